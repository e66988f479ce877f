//! What `opsctl audit cost` reports.

use super::Entry;

pub(super) const FINDINGS: &[Entry] = &[
    Entry {
        id: "cost.above-stage-band",
        title: "Spend is above the band of the stage",
        means: "The month costs more than monthly_cost_usd of the stage profile says that such a stage costs.",
        matters: "Either something is larger than this stage needs, or the account has outgrown its stage and needs the next one's controls.",
        fix: "`opsctl stage assess` tells which stage the account is in; otherwise reduce what grew most.",
    },
    Entry {
        id: "cost.anomaly",
        title: "AWS found a cost anomaly",
        means: "Cost anomaly detection reports spend that does not fit the pattern of the past.",
        matters: "It sees patterns within services that monthly comparisons miss.",
        fix: "Look at the root causes that the finding names; give feedback in the console if it is a false alarm, so that the model learns.",
    },
    Entry {
        id: "cost.commitment-underused",
        title: "A commitment is not used up",
        means: "Savings Plans or reservations are paid for and not used in full.",
        matters: "The unused part is lost every hour.",
        fix: "Move matching workloads onto the commitment, sell what can be sold on the marketplace, and let it end otherwise.",
    },
    Entry {
        id: "cost.credits-hide-spend",
        title: "Credits hide what is spent",
        means: "Credits or refunds cover a part of the month's spend, so that the bill is smaller than what is used.",
        matters: "The day the credits end, the bill jumps to the full amount, and budgets that count credits have never warned of it.",
        fix: "Keep include_credits = false in policies/budgets.toml, and plan with the spend before credits that the cost page shows.",
    },
    Entry {
        id: "cost.forecast-over-budget",
        title: "Spend will probably pass the budget",
        means: "The forecast for the end of the month is above monthly_budget_usd of the environment.",
        matters: "There is still time to act: what is reduced today no longer adds to the rest of the month.",
        fix: "Look at the services that grew most on the cost page; reduce them, or raise monthly_budget_usd if the spend is meant.",
    },
    Entry {
        id: "cost.new-region",
        title: "A region that was not there last month",
        means: "A region costs more than new_region_above_usd and was not on last month's bill.",
        matters: "Resources in a region that nobody watches are the usual sign of stolen credentials.",
        fix: "Ask who started it. If nobody did, rotate the credentials and look into CloudTrail of that region at once.",
    },
    Entry {
        id: "cost.new-service",
        title: "A service that was not there last month",
        means: "A service costs more than new_service_above_usd and was not on last month's bill.",
        matters: "It may be a trial that somebody forgot, or credentials in the wrong hands.",
        fix: "Ask who started it. If it is meant, it is no longer new next month; a baseline keeps it quiet until then.",
    },
    Entry {
        id: "cost.over-budget",
        title: "Spend is over the budget",
        means: "The month's spend so far is above monthly_budget_usd of the environment.",
        matters: "The month costs more than was planned, and every day adds to it.",
        fix: "Look at the services and tag values that grew most on the cost page; reduce them, or raise monthly_budget_usd if the spend is meant.",
    },
    Entry {
        id: "cost.service-growth",
        title: "A service costs much more than last month",
        means: "A service grew, against the same days of last month, by more than both thresholds of the cost policy.",
        matters: "Growth that nobody planned is a leak, a mistake or an attack more often than success.",
        fix: "Find what drives it by usage type and tag on the cost page; raise cost.growth in the policy if such growth is normal.",
    },
    Entry {
        id: "cost.tag-not-activated",
        title: "Tag key cannot be used for cost reports",
        means: "A tag key that the policy requires is not activated as a cost allocation tag.",
        matters: "Spend cannot be split by the key, and activation does not reach back.",
        fix: "`opsctl plan --control budgets` from the payer account plans the activation; AWS takes up to 24 hours.",
    },
    Entry {
        id: "cost.untagged",
        title: "Too much spend without a required tag",
        means: "The share of the month's spend without a required tag is above untagged_above_percent of the cost policy.",
        matters: "That spend cannot be assigned to a team or a product, so nobody feels responsible for it.",
        fix: "`opsctl audit tags` lists the resources; activate the key as a cost allocation tag if it is not, and allow for the day until AWS shows it.",
    },
];
