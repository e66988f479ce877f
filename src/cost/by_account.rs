//! What is known of an account as a whole: charges, regions, usage types, tags, anomalies, users.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::audit::{Subject, Users, number};
use super::cents::{cents, percent, split, text};
use super::days::Days;
use super::entry::*;
use super::question::Answer;
use super::splits::{TwoMonths, of_account};
use super::steps::{Outcome, PayerAnswers, Purpose, only_untagged};
use super::usage_type::{Kind, kind};
use crate::config::Resolved;
use crate::model::grouped;

/// Splits that are known by account.
pub(super) fn by_account(
    entry: &mut CostEntry,
    payer: &PayerAnswers,
    subject: &Subject<'_>,
    days: &Days,
) {
    let of = |purpose: &Purpose| {
        // Not in the export at all.
        let known = !payer.scope.export || subject.cells.is_some();
        of_account(
            payer.answer(purpose).filter(|_| known),
            &subject.account,
            &entry.currency,
            days,
        )
    };
    let records = of(&Purpose::RecordTypes);
    let regions = of(&Purpose::Regions);
    let usage_types = of(&Purpose::UsageTypes);
    let resources = of(&Purpose::Resources);
    let tags: Vec<(String, Option<BTreeMap<String, TwoMonths>>)> = payer
        .scope
        .tags
        .iter()
        .map(|key| (key.clone(), of(&Purpose::Tag(key.clone()))))
        .collect();
    let mut tax = Decimal::ZERO;
    if let Some(records) = records {
        let sum = |is: fn(&str) -> bool| {
            let mut both = TwoMonths::default();
            for (_, amounts) in records.iter().filter(|(kind, _)| is(kind)) {
                both.this += amounts.this;
                both.previous += amounts.previous;
            }
            both
        };
        let credits = sum(|kind| kind.eq_ignore_ascii_case("credit"));
        let refunds = sum(|kind| kind.eq_ignore_ascii_case("refund"));
        let taxes = sum(|kind| kind.eq_ignore_ascii_case("tax"));
        if !entry.left_out.iter().any(|kind| kind == "Tax") {
            tax = taxes.this;
        }
        entry.adjustments = Some(Adjustments {
            credits: text(credits.this),
            refunds: text(refunds.this),
            tax: text(taxes.this),
            previous_credits: text(credits.previous),
            previous_refunds: text(refunds.previous),
            previous_tax: text(taxes.previous),
            billed_month_to_date: text(sum(|_| true).this),
        });
    }
    if let Some(named) = regions {
        let before = !payer.scope.export || entry.previous_full_month.is_some();
        let mut regions: BTreeMap<&str, TwoMonths> = BTreeMap::new();
        for (name, amounts) in &named {
            let both = regions.entry(region_name(name)).or_default();
            both.this += amounts.this;
            both.previous += amounts.previous;
        }
        let this = split(&regions.values().map(|a| a.this).collect::<Vec<_>>());
        let previous = split(&regions.values().map(|a| a.previous).collect::<Vec<_>>());
        let mut rows: Vec<(Decimal, RegionCost)> = regions
            .keys()
            .zip(this.into_iter().zip(previous))
            .filter(|(_, (this, previous))| !this.is_zero() || !previous.is_zero())
            .map(|(name, (this, previous))| {
                (
                    this,
                    RegionCost {
                        name: (*name).to_owned(),
                        month_to_date: Some(text(this)),
                        previous_full_month: before.then(|| text(previous)),
                    },
                )
            })
            .collect();
        rows.sort_by(|(a, x), (b, y)| (b, &x.name).cmp(&(a, &y.name)));
        entry.by_region = rows.into_iter().map(|(_, row)| row).collect();
    }
    if let Some(types) = usage_types {
        let total: Decimal = types.values().map(|a| a.this).sum();
        let share = |wanted: Kind| {
            let part: Decimal = types
                .iter()
                .filter(|(name, _)| kind(name) == Some(wanted))
                .map(|(_, amounts)| amounts.this)
                .sum();
            Share {
                month_to_date: text(part),
                percent: percent(part, total).map(|p| p.to_string()),
            }
        };
        entry.shares = Some(Shares {
            nat: share(Kind::Nat),
            egress: share(Kind::Egress),
            storage: share(Kind::Storage),
        });
    }
    if let Some(resources) = resources {
        let mut rows: Vec<(&String, Decimal)> =
            resources.iter().map(|(name, a)| (name, a.this)).collect();
        rows.sort_by(|a, b| (b.1, a.0).cmp(&(a.1, b.0)));
        entry.by_resource = rows
            .into_iter()
            .filter(|(name, amount)| !name.is_empty() && !cents(*amount).is_zero())
            .take(20)
            .map(|(name, amount)| ResourceCost {
                name: name.clone(),
                month_to_date: text(amount),
            })
            .collect();
    }
    for (key, values) in tags {
        tag(entry, payer, subject, &key, values, tax);
    }
}

/// Costs that belong to no region come as `NoRegion` or `global`.
fn region_name(name: &str) -> &str {
    match name {
        "" | "NoRegion" | "no region" => "global",
        other => other,
    }
}

fn tag(
    entry: &mut CostEntry,
    payer: &PayerAnswers,
    subject: &Subject<'_>,
    key: &str,
    values: Option<BTreeMap<String, TwoMonths>>,
    tax: Decimal,
) {
    let required = subject.environments.is_empty()
        || subject
            .environments
            .iter()
            .any(|e| tag_keys(e.resolved).iter().any(|k| k == key));
    if !required {
        return;
    }
    let purpose = Purpose::Tag(key.to_owned());
    let Some(values) = values else {
        entry.untagged.insert(key.to_owned(), None);
        let status = match payer.outcome(&purpose) {
            Some(Outcome::NotAsked { .. }) | None => TagStatus::NotAsked,
            _ => TagStatus::Unknown,
        };
        entry.tag_status.insert(key.to_owned(), status);
        return;
    };
    let status = match payer.answer(&purpose) {
        Some(answer) if only_untagged(answer) => match payer.answer(&Purpose::TagStatus) {
            Some(Answer::CostAllocationTags { keys }) => match keys.get(key) {
                Some(true) => TagStatus::Active,
                _ => TagStatus::NotActivated,
            },
            _ => TagStatus::Unknown,
        },
        _ => TagStatus::Active,
    };
    entry.tag_status.insert(key.to_owned(), status);
    if status != TagStatus::Active {
        entry.untagged.insert(key.to_owned(), None);
        return;
    }
    let amounts = split(&values.values().map(|a| a.this).collect::<Vec<_>>());
    let total: Decimal = amounts.iter().copied().sum();
    let mut rows: Vec<(Decimal, TagCost)> = values
        .keys()
        .zip(amounts)
        .filter(|(value, amount)| value.is_empty() || !amount.is_zero())
        .map(|(value, amount)| {
            (
                amount,
                TagCost {
                    value: value.clone(),
                    month_to_date: Some(text(amount)),
                },
            )
        })
        .collect();
    rows.sort_by(|(a, x), (b, y)| (b, &x.value).cmp(&(a, &y.value)));
    let without = rows
        .iter()
        .find(|(_, row)| row.value.is_empty())
        .map_or(Decimal::ZERO, |(amount, _)| *amount);
    entry.untagged.insert(key.to_owned(), Some(text(without)));
    // Tax can never be tagged.
    let tax = cents(tax).clamp(Decimal::ZERO, without.max(Decimal::ZERO));
    if let Some(share) = percent(without - tax, total - tax) {
        entry
            .untagged_percent
            .insert(key.to_owned(), share.to_string());
    }
    entry.by_tag.insert(
        key.to_owned(),
        rows.into_iter().map(|(_, row)| row).collect(),
    );
}

/// The keys by which costs of an environment are split: `[cost] tags`, else the required ones.
pub fn tag_keys(resolved: &Resolved) -> Vec<String> {
    let policies = &resolved.policies;
    let own = policies.cost.as_ref().and_then(|c| c.tags.as_ref());
    let required = policies.tags.as_ref().map(|t| &t.required);
    own.or(required)
        .into_iter()
        .flatten()
        .map(|key| key.value.clone())
        .collect()
}

pub(super) fn anomalies(entry: &mut CostEntry, payer: &PayerAnswers, subject: &Subject<'_>) {
    let Some(answer) = payer.answer(&Purpose::Anomalies) else {
        return;
    };
    if !subject.whole_account {
        // Of which environment it is is not known: it is told once, for the payer.
        entry.anomalies = Some(Vec::new());
        return;
    }
    // No answer is not none.
    let Answer::Anomalies { anomalies } = answer else {
        return;
    };
    // Without an account it is of the only one there is, or of nobody in particular.
    let alone = payer.scope.forecasts.len() <= 1 && payer.scope.shared.is_empty();
    let mut mine: Vec<_> = anomalies
        .iter()
        .filter(|a| match &a.account {
            Some(account) => *account == subject.account,
            None => alone,
        })
        .collect();
    mine.sort_by(|a, b| (b.impact, &a.id).cmp(&(a.impact, &b.id)));
    entry.anomalies = Some(mine.into_iter().map(AnomalyEntry::from).collect());
}

pub(super) fn per_user(entry: &mut CostEntry, subject: &Subject<'_>) {
    let mut users = Decimal::ZERO;
    let mut basis = Vec::new();
    for environment in &subject.environments {
        match &environment.users {
            Users::NotTold => {}
            Users::Configured(n) => users = users.saturating_add(Decimal::from(*n)),
            Users::Measured(n, metric) => {
                users = users.saturating_add(n.round());
                basis.push(metric.clone());
            }
            Users::Unknown(why) => {
                entry
                    .notes
                    .push(format!("the number of users is not known: {why}"));
                return;
            }
        }
    }
    if users <= Decimal::ZERO {
        return;
    }
    entry.users = Some(users.normalize().to_string());
    divide_by_users(entry, users);
    if let (Some(text), false) = (&mut entry.per_user_basis, basis.is_empty()) {
        text.push_str(&format!(" ({})", basis.join(", ")));
    }
}

/// The month's forecast (else what was spent) for each user, to a hundredth of a cent.
pub(super) fn divide_by_users(entry: &mut CostEntry, users: Decimal) {
    let (amount, what) = match number(&entry.forecast_month_end) {
        Some(amount) => (Some(amount), "forecast to the end of the month"),
        None => (number(&entry.month_to_date), "month to date"),
    };
    if let Some(each) = amount.and_then(|a| a.checked_div(users)) {
        entry.per_user = Some(each.round_dp(4).normalize().to_string());
        let count = users.normalize();
        let count = u64::try_from(count).map_or_else(|_| count.to_string(), grouped);
        entry.per_user_basis = Some(format!("{what} / {count} users"));
    }
}
