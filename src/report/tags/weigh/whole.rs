//! All that was spent, and what of it no judged resource stands for.

use std::collections::BTreeSet;

use rust_decimal::Decimal;

use super::services::{group as group_of, of_bill};
use super::{Weights, amount, cents, pools};
use crate::inventory::Resource;
use crate::report::tags::{Inputs, Spend, SpendElsewhere};

/// What all of it costs, and what no judged resource stands for.
/// `behind`: what judged resources stand for, where that is known.
pub(super) fn spend(inputs: &Inputs<'_>, weights: &Weights, behind: Option<Decimal>) -> Spend {
    let Some(costs) = inputs.costs.as_ref().filter(|_| weights.none.is_none()) else {
        return Spend {
            note: weights.none.clone(),
            ..Spend::default()
        };
    };
    let mut out = Spend {
        as_of: Some(costs.as_of.to_string()),
        ..Spend::default()
    };
    let mut total = Decimal::ZERO;
    let mut unknown: BTreeSet<&str> = inputs
        .environments
        .iter()
        .map(|e| e.target.environment.as_str())
        .collect();
    let judged = |index: &usize, group: usize, of: &Resource| {
        group_of(of) == Some(group) && is_judged(inputs, *index, of)
    };
    let mut elsewhere: Vec<(Decimal, SpendElsewhere)> = Vec::new();
    let mut outside: Vec<(Decimal, SpendElsewhere)> = Vec::new();
    for (members, entry) in pools(inputs, &costs.entries) {
        let Some(to_date) = amount(&entry.month_to_date) else {
            continue;
        };
        total += to_date;
        let name = entry.environment.clone().unwrap_or_default();
        for index in &members {
            unknown.remove(inputs.environments[*index].target.environment.as_str());
        }
        if out.currency.is_none() && !entry.currency.is_empty() {
            out.currency = Some(entry.currency.clone());
        }
        if let Some(asked) = &entry.asked_at
            && out.asked_at.as_ref().is_none_or(|oldest| asked < oldest)
        {
            out.asked_at = Some(asked.clone());
        }
        for service in &entry.by_service {
            let Some(spent) = amount(&service.month_to_date).filter(|a| *a > Decimal::ZERO) else {
                continue;
            };
            let covered = of_bill(&service.name).is_some_and(|group| {
                members.iter().any(|index| {
                    let resources = &inputs.environments[*index].inventory.resources;
                    resources.iter().any(|r| judged(index, group, r))
                })
            });
            if !covered {
                let row = SpendElsewhere {
                    name: service.name.clone(),
                    environment: name.clone(),
                    month_to_date: cents(spent),
                };
                elsewhere.push((spent, row));
            }
        }
        let configured: BTreeSet<&str> = members
            .iter()
            .flat_map(|i| inputs.environments[*i].target.regions.iter())
            .map(String::as_str)
            .collect();
        for region in &entry.by_region {
            let spent = amount(&region.month_to_date).unwrap_or_default();
            let looked_at = region.name == "global" || configured.contains(region.name.as_str());
            if !looked_at && spent > Decimal::ZERO {
                let row = SpendElsewhere {
                    name: region.name.clone(),
                    environment: name.clone(),
                    month_to_date: cents(spent),
                };
                outside.push((spent, row));
            }
        }
    }
    let in_order = |mut rows: Vec<(Decimal, SpendElsewhere)>| {
        rows.sort_by(|(a, x), (b, y)| {
            (b, &x.environment, &x.name).cmp(&(a, &y.environment, &y.name))
        });
        rows.into_iter().map(|(_, row)| row).collect()
    };
    out.elsewhere = in_order(elsewhere);
    out.regions_not_looked_at = in_order(outside);
    let mut notes = Vec::new();
    if unknown.is_empty() {
        out.month_to_date = Some(cents(total));
        out.behind_checked = behind.map(cents);
    } else {
        let names: Vec<&str> = unknown.into_iter().collect();
        notes.push(format!("there is no cost data of {}", names.join(", ")));
    }
    let more = behind.filter(|b| out.month_to_date.is_some() && *b > total);
    let unseen: Vec<String> = weights
        .unseen
        .iter()
        .map(|(service, environment)| format!("{service} in {environment}"))
        .collect();
    if !unseen.is_empty() {
        notes.push(format!("{} could not be seen in full", unseen.join(", ")));
    }
    if !notes.is_empty() {
        out.note = Some(format!(
            "{}: what it is part of has no weight",
            notes.join("; ")
        ));
    }
    if let Some(behind) = more {
        // Else a part would be more than the whole, and nobody could tell why.
        let text = format!(
            "credits and refunds of {} lower the whole and no resource's share",
            cents(behind - total)
        );
        out.note = Some(match out.note {
            Some(note) => format!("{note}; {text}"),
            None => text,
        });
    }
    out
}

fn is_judged(inputs: &Inputs<'_>, index: usize, resource: &Resource) -> bool {
    use crate::controls::{Input, Standing, standing};
    let environment = &inputs.environments[index];
    let Some(policy) = &environment.resolved.policies.tags else {
        return false;
    };
    let input = Input {
        resolved: &environment.resolved,
        inventory: &environment.inventory,
        today: crate::audit::compliance::day(inputs.judged),
        only: None,
        destroy: false,
        controls: &[],
    };
    matches!(
        standing(&input, resource, policy.owned_elsewhere),
        Standing::Ours { .. } | Standing::Owned(_)
    )
}
