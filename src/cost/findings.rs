//! What of an entry is worth a finding. All thresholds are the cost policy's.
//!
//! | id | severity | when |
//! |---|---|---|
//! | `cost.over-budget` | high, critical | the month to date is above the budget; far above it |
//! | `cost.forecast-over-budget` | high | not yet, but the forecast is |
//! | `cost.above-stage-band` | medium | the month ends above the stage's cost band |
//! | `cost.service-growth` | medium | a service grew in percent and in USD against the same days |
//! | `cost.new-service` | low, medium | a service that cost nothing last month |
//! | `cost.new-region` | low, medium | a region that cost nothing last month; medium if not configured |
//! | `cost.untagged` | medium | the share of spend without a required tag |
//! | `cost.tag-not-activated` | medium | a required tag is no dimension of cost |
//! | `cost.anomaly` | medium, high | Cost Anomaly Detection saw one, by its impact |
//! | `cost.credits-hide-spend` | low | credits make the bill smaller than the spend |
//! | `cost.commitment-underused` | medium | Savings Plans or reservations are paid for and not used |

use rust_decimal::Decimal;

use super::audit::{EnvironmentInput, number};
use super::days::Days;
use super::entry::{AnomalyEntry, Commitments, CostEntry, TagStatus};
use super::steps::PayerAnswers;
use crate::config::later::Cost;
use crate::config::source::Origin;
use crate::config::values::Sourced;
use crate::model::{Address, Amount, Control, Severity, usd};
use crate::plan::{Finding, Reason};

/// Percent of the budget from which being over it is critical, where the policy does not say.
const CRITICAL_PERCENT: i64 = 120;

/// What a finding is made of besides where it is.
struct Say {
    id: &'static str,
    severity: Severity,
    /// Last part of the address.
    name: String,
    message: String,
    evidence: String,
    remediation: String,
    reason: Reason,
    /// USD a month.
    monthly: Option<Decimal>,
}

struct Place<'a> {
    environment: &'a str,
    account: &'a str,
    resolved: &'a crate::config::Resolved,
}

impl Place<'_> {
    fn finding(&self, say: Say) -> Finding {
        Finding {
            id: say.id.to_owned(),
            control: Control::Cost,
            severity: say.severity,
            address: Address::new(self.environment, "global", "cost", &say.name, "cost"),
            arn: format!("arn:aws:iam::{}:root", self.account),
            message: say.message,
            evidence: say.evidence,
            remediation: say.remediation,
            policy: say.reason,
            monthly_cost_usd: say.monthly.map(super::cents::text),
        }
    }

    fn reason(&self, rule: &str, origin: Origin) -> Reason {
        self.resolved.reason(Control::Cost, rule, origin)
    }

    /// A threshold with the line that says it.
    fn limit(&self, rule: &str, value: &Option<Sourced<Amount>>) -> Option<(Decimal, Reason)> {
        let value = value.as_ref()?;
        Some((value.value.0, self.reason(rule, value.origin)))
    }
}

/// `Amazon Elastic Compute Cloud - Compute` as a part of an address.
fn slug(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_alphanumeric() {
            out.extend(c.to_lowercase());
        } else if !out.is_empty() && !out.ends_with('-') {
            out.push('-');
        }
    }
    let out = out.trim_end_matches('-');
    if out.is_empty() { "unnamed" } else { out }.to_owned()
}

/// The findings of one entry; `member` is its (first) environment.
pub(super) fn per_environment(
    out: &mut Vec<Finding>,
    entry: &CostEntry,
    member: &EnvironmentInput<'_>,
    days: &Days,
) {
    let place = Place {
        environment: entry.environment.as_deref().unwrap_or_default(),
        account: &member.account,
        resolved: member.resolved,
    };
    let none = Cost::default();
    let policy = member.resolved.policies.cost.as_ref().unwrap_or(&none);
    tags(out, &place, policy, entry);
    for anomaly in entry.anomalies.iter().flatten() {
        out.extend(an_anomaly(&place, policy, anomaly, &entry.currency));
    }
    // Budget, band and thresholds are in USD.
    if entry.currency != "USD" {
        return;
    }
    budget(out, &place, policy, entry);
    band(out, &place, entry);
    services(out, &place, policy, entry, days);
    regions(out, &place, policy, entry, member);
    credits(out, &place, policy, entry);
}

/// Whether a part is more than so many percent of a whole.
fn exceeds(part: Decimal, whole: Decimal, percent: Decimal) -> bool {
    part.saturating_mul(Decimal::ONE_HUNDRED) > whole.saturating_mul(percent)
}

fn biggest(entry: &CostEntry) -> String {
    let names: Vec<String> = entry
        .by_service
        .iter()
        .take(3)
        .filter_map(|s| Some(format!("{} {} USD", s.name, usd(number(&s.month_to_date)?))))
        .collect();
    if names.is_empty() {
        String::new()
    } else {
        format!("; most of it: {}", names.join(", "))
    }
}

fn budget(out: &mut Vec<Finding>, place: &Place<'_>, policy: &Cost, entry: &CostEntry) {
    let (Some(to_date), Some(budget)) = (number(&entry.month_to_date), number(&entry.budget))
    else {
        return;
    };
    let config = place.resolved.config.as_ref();
    let Some(origin) = config
        .and_then(|c| c.monthly_budget_usd.as_ref())
        .map(|b| b.origin)
    else {
        return;
    };
    let rule = format!(
        "environments.{}.monthly_budget_usd",
        place.resolved.environment
    );
    let reason = Reason {
        policy: "opsctl".to_owned(),
        ..place.reason(&rule, origin)
    };
    let forecast = number(&entry.forecast_month_end);
    let used = entry.budget_used_percent.as_deref().unwrap_or("?");
    if to_date > budget {
        let critical = policy
            .over_budget_critical_percent
            .as_ref()
            .map_or(Decimal::from(CRITICAL_PERCENT), |p| p.value.0);
        let far = exceeds(to_date, budget, critical);
        out.push(place.finding(Say {
            id: "cost.over-budget",
            severity: if far { Severity::Critical } else { Severity::High },
            name: "total".to_owned(),
            message: format!(
                "{} USD spent this month, {used} % of the budget of {} USD",
                usd(to_date),
                usd(budget)
            ),
            evidence: format!(
                "month to date {} USD, budget {} USD, forecast for the month {}{}",
                usd(to_date),
                usd(budget),
                forecast.map_or("unknown".to_owned(), |f| format!("{} USD", usd(f))),
                biggest(entry)
            ),
            remediation: "see which services grew (`opsctl audit cost`), stop what is not needed, or set monthly_budget_usd to what the product really costs".to_owned(),
            reason,
            monthly: Some(to_date - budget),
        }));
    } else if let Some(forecast) = forecast
        && forecast > budget
    {
        let interval = match (number(&entry.forecast_low), number(&entry.forecast_high)) {
            (Some(low), Some(high)) => format!(" ({} to {})", usd(low), usd(high)),
            _ => String::new(),
        };
        let basis = match entry.forecast_basis.as_deref() {
            Some("cost-explorer") => "forecast by AWS",
            _ => "own estimate",
        };
        out.push(place.finding(Say {
            id: "cost.forecast-over-budget",
            severity: Severity::High,
            name: "total".to_owned(),
            message: format!(
                "the month is expected to end at {} USD, {} USD above the budget of {} USD",
                usd(forecast),
                usd(forecast - budget),
                usd(budget)
            ),
            evidence: format!(
                "month to date {} USD ({used} % of the budget), {basis} {} USD{interval}{}",
                usd(to_date),
                usd(forecast),
                biggest(entry)
            ),
            remediation: "see which services grew (`opsctl audit cost`) while there is time to stop what is not needed, or raise monthly_budget_usd".to_owned(),
            reason,
            monthly: Some(forecast - budget),
        }));
    }
}

fn band(out: &mut Vec<Finding>, place: &Place<'_>, entry: &CostEntry) {
    let Some(band) = &entry.stage_band else {
        return;
    };
    let (expected, what) = match number(&entry.forecast_month_end) {
        Some(forecast) => (Some(forecast), "the month is expected to end at"),
        None => (number(&entry.month_to_date), "this month cost so far"),
    };
    let (Some(expected), Ok(to)) = (expected, Decimal::from_str_exact(&band.to)) else {
        return;
    };
    if expected <= to {
        return;
    }
    let stage = &place.resolved.stage;
    out.push(place.finding(Say {
        id: "cost.above-stage-band",
        severity: Severity::Medium,
        name: "total".to_owned(),
        message: format!(
            "{what} {} USD, more than {} is meant to cost",
            usd(expected),
            stage.name.value
        ),
        evidence: format!(
            "{} ({}) costs {} to {} USD a month",
            stage.name.value, stage.title, band.from, band.to
        ),
        remediation: "either the environment is at a later stage than opsctl.toml says (`opsctl stage assess`), or it costs more than its users need".to_owned(),
        reason: Reason {
            policy: stage.name.value.clone(),
            ..place.reason("stage.monthly_cost_usd", stage.name.origin)
        },
        monthly: Some(expected - to),
    }));
}

fn services(
    out: &mut Vec<Finding>,
    place: &Place<'_>,
    policy: &Cost,
    entry: &CostEntry,
    days: &Days,
) {
    // A month in which nothing at all was spent tells nothing: every service would be new.
    let before = number(&entry.previous_full_month).unwrap_or_default();
    let compared = entry.compared_days;
    for service in &entry.by_service {
        let (Some(to_date), Some(previous)) = (
            number(&service.month_to_date),
            number(&service.previous_full_month),
        ) else {
            continue;
        };
        if previous.is_zero() {
            if let Some((above, reason)) =
                place.limit("cost.new_service_above_usd", &policy.new_service_above_usd)
                && to_date >= above
                && to_date > Decimal::ZERO
                && before > Decimal::ZERO
            {
                let much = policy.growth.above_usd.as_ref().map(|a| a.value.0);
                let much = much.is_some_and(|much| to_date >= much);
                out.push(place.finding(Say {
                    id: "cost.new-service",
                    severity: if much { Severity::Medium } else { Severity::Low },
                    name: slug(&service.name),
                    message: format!(
                        "{} is new: {} USD this month, nothing last month",
                        service.name,
                        usd(to_date)
                    ),
                    evidence: format!(
                        "{} to {}: {} USD; {} to {}: 0.00 USD; threshold {} USD",
                        days.month, days.today, usd(to_date), days.previous, days.previous.last_of_month(), usd(above)
                    ),
                    remediation: "if nobody knows why it is there, ask who made it (CloudTrail tells) and delete it; if it is meant, nothing is to be done".to_owned(),
                    reason,
                    monthly: None,
                }));
            }
            continue;
        }
        let (Some(same), Some(previous_same)) = (
            number(&service.month_to_date_same_days),
            number(&service.previous_same_days),
        ) else {
            continue;
        };
        let (Some((percent, reason)), Some(least)) = (
            place.limit("cost.growth.above_percent", &policy.growth.above_percent),
            policy.growth.above_usd.as_ref(),
        ) else {
            continue;
        };
        let change = same - previous_same;
        let grew = change > Decimal::ZERO
            && change >= least.value.0
            && exceeds(change, previous_same.max(Decimal::ZERO), percent);
        if !grew {
            continue;
        }
        let share = match &service.change_percent {
            Some(percent) => format!(" (+{percent} %)"),
            None => String::new(),
        };
        out.push(place.finding(Say {
            id: "cost.service-growth",
            severity: Severity::Medium,
            name: slug(&service.name),
            message: format!(
                "{} costs {} USD more than in the same days of last month{share}",
                service.name,
                usd(change)
            ),
            evidence: format!(
                "days 1 to {compared}: {} USD this month, {} USD last month; thresholds {percent} % and {} USD",
                usd(same),
                usd(previous_same),
                usd(least.value.0)
            ),
            remediation: "look at what changed in that service: more use, larger instances, a forgotten experiment; raise the threshold in policies/cost.toml if this growth is meant".to_owned(),
            reason,
            monthly: Decimal::from(compared).is_zero().then_some(Decimal::ZERO).or_else(|| {
                let length = Decimal::from(days.month.days_in_month());
                (change * length).checked_div(Decimal::from(compared))
            }),
        }));
    }
}

fn regions(
    out: &mut Vec<Finding>,
    place: &Place<'_>,
    policy: &Cost,
    entry: &CostEntry,
    member: &EnvironmentInput<'_>,
) {
    let Some((above, reason)) =
        place.limit("cost.new_region_above_usd", &policy.new_region_above_usd)
    else {
        return;
    };
    if number(&entry.previous_full_month).unwrap_or_default() <= Decimal::ZERO {
        return;
    }
    let configured = member
        .resolved
        .config
        .iter()
        .flat_map(|c| &c.regions)
        .map(|r| r.value.as_str())
        .collect::<Vec<_>>();
    for region in &entry.by_region {
        let (Some(to_date), Some(previous)) = (
            number(&region.month_to_date),
            number(&region.previous_full_month),
        ) else {
            continue;
        };
        if !previous.is_zero() || to_date < above || to_date.is_zero() || region.name == "global" {
            continue;
        }
        let known = configured.contains(&region.name.as_str());
        out.push(place.finding(Say {
            id: "cost.new-region",
            severity: if known { Severity::Low } else { Severity::Medium },
            name: format!("region-{}", slug(&region.name)),
            message: format!(
                "{} is new: {} USD this month, nothing last month{}",
                region.name,
                usd(to_date),
                if known {
                    ""
                } else {
                    ", and opsctl.toml does not name it"
                }
            ),
            evidence: format!(
                "regions of opsctl.toml: {}; threshold {} USD",
                configured.join(", "),
                usd(above)
            ),
            remediation: "if nobody knows what runs there, look for it at once: unknown regions are where stolen keys are used; if it is meant, add it to `regions`".to_owned(),
            reason: reason.clone(),
            monthly: None,
        }));
    }
}

fn tags(out: &mut Vec<Finding>, place: &Place<'_>, policy: &Cost, entry: &CostEntry) {
    for (key, status) in &entry.tag_status {
        if *status != TagStatus::NotActivated {
            continue;
        }
        let keys = policy
            .tags
            .as_ref()
            .or_else(|| place.resolved.policies.tags.as_ref().map(|t| &t.required));
        let origin = keys
            .into_iter()
            .flatten()
            .find(|k| k.value == *key)
            .map(|k| k.origin);
        let Some(origin) = origin else { continue };
        let rule = if policy.tags.is_some() {
            "cost.tags"
        } else {
            "tags.required"
        };
        out.push(place.finding(Say {
            id: "cost.tag-not-activated",
            severity: Severity::Medium,
            name: format!("tag-{}", slug(key)),
            message: format!(
                "the tag `{key}` is not activated for cost allocation: who spends what is not known by it"
            ),
            evidence: "all spend shows without this tag, and its key is not among the active ones".to_owned(),
            remediation: "`opsctl apply --control budgets` activates the keys that the tag policy requires, in the account that pays; others under Billing, Cost allocation tags. The first numbers come within a day".to_owned(),
            reason: place.reason(rule, origin),
            monthly: None,
        }));
    }
    let Some((above, reason)) = place.limit(
        "cost.untagged_above_percent",
        &policy.untagged_above_percent,
    ) else {
        return;
    };
    for (key, share) in &entry.untagged_percent {
        let Ok(share) = Decimal::from_str_exact(share) else {
            continue;
        };
        if share <= above {
            continue;
        }
        let amount = entry.untagged.get(key).and_then(number).unwrap_or_default();
        out.push(place.finding(Say {
            id: "cost.untagged",
            severity: Severity::Medium,
            name: format!("tag-{}", slug(key)),
            message: format!("{share} % of the spend has no tag `{key}`"),
            evidence: format!(
                "{} {} without it this month; tax cannot be tagged and is not counted; threshold {above} %",
                usd(amount),
                entry.currency
            ),
            remediation: "`opsctl audit tags` lists what is untagged, `opsctl plan --control tags` shows what would be set; costs follow within a day".to_owned(),
            reason: reason.clone(),
            monthly: None,
        }));
    }
}

fn credits(out: &mut Vec<Finding>, place: &Place<'_>, policy: &Cost, entry: &CostEntry) {
    let (Some(adjustments), Some((above, reason))) = (
        &entry.adjustments,
        place.limit("cost.credits_above_usd", &policy.credits_above_usd),
    ) else {
        return;
    };
    let amount = |text: &String| Decimal::from_str_exact(text).unwrap_or_default();
    let hidden = -(amount(&adjustments.credits) + amount(&adjustments.refunds));
    if hidden <= above {
        return;
    }
    let billed = amount(&adjustments.billed_month_to_date);
    out.push(place.finding(Say {
        id: "cost.credits-hide-spend",
        severity: Severity::Low,
        name: "credits".to_owned(),
        message: format!(
            "credits and refunds of {} USD hide spend: the bill shows {} USD, without them it is {} USD",
            usd(hidden),
            usd(billed),
            usd(billed + hidden)
        ),
        evidence: format!(
            "this month: credits {}, refunds {}; last month: credits {}, refunds {} USD",
            adjustments.credits,
            adjustments.refunds,
            adjustments.previous_credits,
            adjustments.previous_refunds
        ),
        remediation: "credits end: plan with the spend without them, and leave them out of budgets (include_credits = false in policies/budgets.toml)".to_owned(),
        reason,
        monthly: Some(hidden),
    }));
}

fn an_anomaly(
    place: &Place<'_>,
    policy: &Cost,
    anomaly: &AnomalyEntry,
    currency: &str,
) -> Option<Finding> {
    let (above, reason) = place.limit("cost.anomaly.above_usd", &policy.anomaly.above_usd)?;
    let impact = Decimal::from_str_exact(&anomaly.impact).ok()?;
    if impact < above {
        return None;
    }
    let high = policy.anomaly.high_above_usd.as_ref();
    let high = high.is_some_and(|high| impact >= high.value.0);
    let what = anomaly.service.as_deref().unwrap_or("a service");
    let details: Vec<&str> = [&anomaly.region, &anomaly.usage_type, &anomaly.monitor]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect();
    let until = anomaly
        .to
        .as_ref()
        .map_or("goes on".to_owned(), |to| format!("to {to}"));
    Some(place.finding(Say {
        id: "cost.anomaly",
        severity: if high { Severity::High } else { Severity::Medium },
        name: format!("anomaly-{}", slug(&anomaly.id)),
        message: format!(
            "AWS saw an anomaly in {what}: {} {currency} more than expected",
            usd(impact)
        ),
        evidence: format!(
            "from {}, {until}{}",
            anomaly.from,
            if details.is_empty() {
                String::new()
            } else {
                format!("; {}", details.join(", "))
            }
        ),
        remediation: "see its root causes in Cost Anomaly Detection, and tell AWS there whether it was one: that trains the monitor".to_owned(),
        reason,
        monthly: None,
    }))
}

/// An anomaly of a payer that belongs to no environment in particular.
pub(super) fn anomaly(
    out: &mut Vec<Finding>,
    anomaly: &AnomalyEntry,
    currency: &str,
    member: &EnvironmentInput<'_>,
) {
    let place = Place {
        environment: &member.resolved.environment,
        account: &member.account,
        resolved: member.resolved,
    };
    let none = Cost::default();
    let policy = member.resolved.policies.cost.as_ref().unwrap_or(&none);
    out.extend(an_anomaly(&place, policy, anomaly, currency));
}

/// Savings Plans and reservations that are paid for and not used.
pub(super) fn commitments(
    out: &mut Vec<Finding>,
    commitments: &Commitments,
    payer: &PayerAnswers,
    member: &EnvironmentInput<'_>,
) {
    let place = Place {
        environment: &member.resolved.environment,
        account: &payer.scope.account,
        resolved: member.resolved,
    };
    let none = Cost::default();
    let policy = member.resolved.policies.cost.as_ref().unwrap_or(&none);
    let Some((below, reason)) = place.limit(
        "cost.commitment_used_below_percent",
        &policy.commitment_used_below_percent,
    ) else {
        return;
    };
    for (name, what, used) in [
        (
            "savings-plans",
            "Savings Plans",
            &commitments.savings_plans_utilization,
        ),
        (
            "reservations",
            "reservations",
            &commitments.reservation_utilization,
        ),
    ] {
        let Some(used) = number(used) else { continue };
        if used >= below {
            continue;
        }
        out.push(place.finding(Say {
            id: "cost.commitment-underused",
            severity: Severity::Medium,
            name: name.to_owned(),
            message: format!("{used} % of the {what} is used; the rest is paid for nothing"),
            evidence: format!("the last 30 days; threshold {below} %"),
            remediation: "move work onto what is covered, and let the commitment run out or renew it smaller".to_owned(),
            reason: reason.clone(),
            monthly: None,
        }));
    }
}
