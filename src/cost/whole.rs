//! All entries together: sums of what they show, so that they add up to the cent.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::audit::number;
use super::by_account::divide_by_users;
use super::cents::{percent, text};
use super::days::Days;
use super::entry::*;
use super::measure::{Exact, against_limits, compare, movers};
use super::splits::TwoMonths;

/// The sum of the entries and of the other accounts, to the cent; unknown where a part is.
pub(super) fn whole(
    entries: &[CostEntry],
    others: &[(Option<String>, CostEntry)],
    days: &Days,
) -> CostEntry {
    let parts: Vec<&CostEntry> = entries
        .iter()
        .chain(others.iter().map(|(_, e)| e))
        .collect();
    let mut whole = CostEntry {
        month: Some(days.month.to_string()),
        estimated: parts.iter().any(|p| p.estimated),
        idle_hours_note: Some("not measured by this audit".to_owned()),
        left_out: parts
            .first()
            .map(|p| p.left_out.clone())
            .unwrap_or_default(),
        asked_at: parts.iter().filter_map(|p| p.asked_at.clone()).min(),
        ..CostEntry::default()
    };
    let mut not_asked: Vec<String> = Vec::new();
    for text in parts.iter().flat_map(|p| &p.not_asked) {
        if !not_asked.contains(text) {
            not_asked.push(text.clone());
        }
    }
    whole.not_asked = not_asked;
    let sum = |pick: fn(&CostEntry) -> &Option<String>| -> Option<Decimal> {
        parts.iter().map(|p| number(pick(p))).sum()
    };
    let own = |pick: fn(&CostEntry) -> &Option<String>| -> Option<Decimal> {
        let known: Option<Vec<Decimal>> = entries.iter().map(|p| number(pick(p))).collect();
        known.filter(|k| !k.is_empty()).map(|k| k.into_iter().sum())
    };
    whole.budget = own(|e| &e.budget).map(text);
    let currencies: BTreeSet<&str> = parts
        .iter()
        .map(|p| p.currency.as_str())
        .filter(|c| !c.is_empty())
        .collect();
    if currencies.len() > 1 {
        let list: Vec<&str> = currencies.into_iter().collect();
        whole.notes.push(format!(
            "costs in {} are not added up: see each environment",
            list.join(" and ")
        ));
        return whole;
    }
    whole.currency = currencies.first().copied().unwrap_or_default().to_owned();
    if parts.iter().any(|p| p.month_to_date.is_none()) {
        whole
            .notes
            .push("the whole is not known, since a part of it is not".to_owned());
    }
    whole.month_to_date = sum(|e| &e.month_to_date).map(text);
    whole.previous_full_month = sum(|e| &e.previous_full_month).map(text);
    let same: BTreeSet<u32> = parts.iter().map(|p| p.compared_days).collect();
    if let ([n], Some(this), Some(previous)) = (
        same.iter().copied().collect::<Vec<_>>().as_slice(),
        sum(|e| &e.month_to_date_same_days),
        sum(|e| &e.previous_same_days),
    ) {
        whole.compared_days = *n;
        compare(&mut whole, this, previous);
    }
    whole.forecast_month_end = sum(|e| &e.forecast_month_end).map(text);
    whole.forecast_low = sum(|e| &e.forecast_low).map(text);
    whole.forecast_high = sum(|e| &e.forecast_high).map(text);
    if whole.forecast_month_end.is_some() {
        whole.forecast_basis = Some("sum".to_owned());
        whole.forecast_note = (parts.len() > 1).then(|| {
            "the sum of the parts; their intervals added up are wider than one of 80 %".to_owned()
        });
    }
    if others.is_empty() {
        against_limits(&mut whole);
    }
    whole.by_service = merged_services(&parts, whole.compared_days > 0);
    whole.top_movers = movers(&whole.by_service);
    whole.by_region = merged_regions(&parts);
    merged_tags(&mut whole, &parts);
    whole.daily = merged_days(&parts);
    whole.shares = merged_shares(&parts);
    whole.adjustments = merged_adjustments(&parts);
    whole.anomalies = entries
        .iter()
        .map(|e| e.anomalies.clone())
        .collect::<Option<Vec<_>>>()
        .map(|lists| lists.into_iter().flatten().collect());
    whole.other_accounts = others
        .iter()
        .filter_map(|(label, e)| {
            Some(OtherAccount {
                account: e.account.clone()?,
                label: label.clone(),
                month_to_date: e.month_to_date.clone()?,
                previous_same_days: e.previous_same_days.clone(),
                previous_full_month: e.previous_full_month.clone(),
            })
        })
        .collect();
    let known = entries.iter().filter_map(|e| number(&e.users));
    let users = known.fold(Decimal::ZERO, Decimal::saturating_add);
    if users > Decimal::ZERO && others.is_empty() {
        whole.users = Some(users.to_string());
        divide_by_users(&mut whole, users);
    }
    whole
}

fn merged_services(parts: &[&CostEntry], compared: bool) -> Vec<ServiceCost> {
    let mut all: BTreeMap<&str, Exact> = BTreeMap::new();
    for service in parts.iter().flat_map(|p| &p.by_service) {
        let exact = all.entry(&service.name).or_default();
        exact.to_date += number(&service.month_to_date).unwrap_or_default();
        exact.same += number(&service.month_to_date_same_days).unwrap_or_default();
        exact.previous_same += number(&service.previous_same_days).unwrap_or_default();
        exact.previous_full += number(&service.previous_full_month).unwrap_or_default();
    }
    let mut rows: Vec<(Decimal, ServiceCost)> = all
        .into_iter()
        .map(|(name, e)| {
            let change = e.same - e.previous_same;
            (
                e.to_date,
                ServiceCost {
                    name: name.to_owned(),
                    month_to_date: Some(text(e.to_date)),
                    previous_same_days: compared.then(|| text(e.previous_same)),
                    month_to_date_same_days: compared.then(|| text(e.same)),
                    previous_full_month: Some(text(e.previous_full)),
                    change: compared.then(|| text(change)),
                    change_percent: percent(change, e.previous_same)
                        .filter(|_| compared)
                        .map(|p| p.to_string()),
                },
            )
        })
        .collect();
    rows.sort_by(|(a, x), (b, y)| (b, &x.name).cmp(&(a, &y.name)));
    rows.into_iter().map(|(_, row)| row).collect()
}

fn merged_regions(parts: &[&CostEntry]) -> Vec<RegionCost> {
    let mut all: BTreeMap<&str, TwoMonths> = BTreeMap::new();
    for region in parts.iter().flat_map(|p| &p.by_region) {
        let both = all.entry(&region.name).or_default();
        both.this += number(&region.month_to_date).unwrap_or_default();
        both.previous += number(&region.previous_full_month).unwrap_or_default();
    }
    let mut rows: Vec<(&str, TwoMonths)> = all.into_iter().collect();
    rows.sort_by(|a, b| (b.1.this, a.0).cmp(&(a.1.this, b.0)));
    rows.into_iter()
        .map(|(name, both)| RegionCost {
            name: name.to_owned(),
            month_to_date: Some(text(both.this)),
            previous_full_month: Some(text(both.previous)),
        })
        .collect()
}

fn merged_tags(whole: &mut CostEntry, parts: &[&CostEntry]) {
    let keys: BTreeSet<&String> = parts.iter().flat_map(|p| p.untagged.keys()).collect();
    for key in keys {
        // Only the parts that are split by it at all.
        let with: Vec<&&CostEntry> = parts
            .iter()
            .filter(|p| p.untagged.contains_key(key))
            .collect();
        let untagged: Option<Decimal> = with
            .iter()
            .map(|p| p.untagged.get(key).and_then(number))
            .sum();
        whole.untagged.insert(key.clone(), untagged.map(text));
        let Some(untagged) = untagged else { continue };
        let mut values: BTreeMap<&str, Decimal> = BTreeMap::new();
        for row in with.iter().filter_map(|p| p.by_tag.get(key)).flatten() {
            *values.entry(&row.value).or_default() +=
                number(&row.month_to_date).unwrap_or_default();
        }
        let total: Decimal = values.values().sum();
        // Tax can never be tagged: each part leaves its own out, and so does their sum.
        let tax: Decimal = with.iter().map(|p| untaggable(p, key)).sum();
        if let Some(share) = percent(untagged - tax, total - tax) {
            whole
                .untagged_percent
                .insert(key.clone(), share.to_string());
        }
        whole.tag_status.insert(key.clone(), TagStatus::Active);
        let mut rows: Vec<(&str, Decimal)> = values.into_iter().collect();
        rows.sort_by(|a, b| (b.1, a.0).cmp(&(a.1, b.0)));
        let rows = rows.into_iter().map(|(value, amount)| TagCost {
            value: value.to_owned(),
            month_to_date: Some(text(amount)),
        });
        whole.by_tag.insert(key.clone(), rows.collect());
    }
}

/// The tax among what a part has without a tag, as [`super::by_account`] takes it off.
fn untaggable(part: &CostEntry, key: &str) -> Decimal {
    if part.left_out.iter().any(|kind| kind == "Tax") {
        return Decimal::ZERO;
    }
    let untagged = part.untagged.get(key).and_then(number).unwrap_or_default();
    let tax = part.adjustments.as_ref().map(|a| a.tax.as_str());
    tax.and_then(|t| Decimal::from_str_exact(t).ok())
        .unwrap_or_default()
        .clamp(Decimal::ZERO, untagged.max(Decimal::ZERO))
}

fn merged_days(parts: &[&CostEntry]) -> Vec<DayCost> {
    let mut all: BTreeMap<Date, (Decimal, bool)> = BTreeMap::new();
    for day in parts.iter().flat_map(|p| &p.daily) {
        let (amount, estimated) = all.entry(day.date).or_default();
        *amount += Decimal::from_str_exact(&day.amount).unwrap_or_default();
        *estimated |= day.estimated;
    }
    all.into_iter()
        .map(|(date, (amount, estimated))| DayCost {
            date,
            amount: text(amount),
            estimated,
        })
        .collect()
}

fn merged_shares(parts: &[&CostEntry]) -> Option<Shares> {
    let all: Option<Vec<&Shares>> = parts.iter().map(|p| p.shares.as_ref()).collect();
    let all = all.filter(|a| !a.is_empty())?;
    let total: Option<Decimal> = parts.iter().map(|p| number(&p.month_to_date)).sum();
    let share = |pick: fn(&Shares) -> &Share| {
        let part: Decimal = all
            .iter()
            .filter_map(|s| Decimal::from_str_exact(&pick(s).month_to_date).ok())
            .sum();
        Share {
            month_to_date: text(part),
            percent: total.and_then(|t| percent(part, t)).map(|p| p.to_string()),
        }
    };
    Some(Shares {
        nat: share(|s| &s.nat),
        egress: share(|s| &s.egress),
        storage: share(|s| &s.storage),
    })
}

fn merged_adjustments(parts: &[&CostEntry]) -> Option<Adjustments> {
    let all: Option<Vec<&Adjustments>> = parts.iter().map(|p| p.adjustments.as_ref()).collect();
    let all = all.filter(|a| !a.is_empty())?;
    let sum = |pick: fn(&Adjustments) -> &String| {
        text(
            all.iter()
                .filter_map(|a| Decimal::from_str_exact(pick(a)).ok())
                .sum(),
        )
    };
    Some(Adjustments {
        credits: sum(|a| &a.credits),
        refunds: sum(|a| &a.refunds),
        tax: sum(|a| &a.tax),
        previous_credits: sum(|a| &a.previous_credits),
        previous_refunds: sum(|a| &a.previous_refunds),
        previous_tax: sum(|a| &a.previous_tax),
        billed_month_to_date: sum(|a| &a.billed_month_to_date),
    })
}
