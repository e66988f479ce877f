//! Compliance weighted by spend.
//!
//! AWS tells costs by service, not by resource. So what a service has cost in an environment this
//! month is shared out evenly among the resources of that service which were seen there, those that
//! were not judged among them; a share of compliance is then that of their costs. Where a key is a
//! cost allocation tag in all environments, its share is not estimated: AWS splits costs by it.

mod services;
mod whole;

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;

use services::{group, of_arn, of_bill};
use whole::spend;

use super::{Basis, Inputs, Spend, Weighed, WeighedShare};
use crate::audit::compliance::{Judged, percent};
use crate::config::policy::TagPolicy;
use crate::cost::{CostEntry, TagStatus};
use crate::inventory::Resource;
use crate::model::Control;

/// What one resource of a service costs, by environment.
pub(super) struct Weights {
    /// Of each environment, by service; `None`: its costs are not known, or its resources could not
    /// all be seen, so that those that were would get the share of the others too.
    each: Vec<Option<BTreeMap<usize, Option<Decimal>>>>,
    /// Services that could not be seen in full, with their environments.
    unseen: BTreeSet<(String, String)>,
    /// Why there are none at all.
    none: Option<String>,
}

impl Weights {
    pub fn of(inputs: &Inputs<'_>) -> Weights {
        let nothing = |why: &str| Weights {
            each: inputs.environments.iter().map(|_| None).collect(),
            unseen: BTreeSet::new(),
            none: Some(why.to_owned()),
        };
        let Some(costs) = &inputs.costs else {
            return nothing(
                "no cost data is at hand: `opsctl audit cost` asks for it, which AWS bills, and keeps it",
            );
        };
        if inputs.narrowed {
            return nothing(
                "only some regions were asked for, and costs by service are of all regions",
            );
        }
        let currencies: BTreeSet<&str> = pools(inputs, &costs.entries)
            .map(|(_, entry)| entry.currency.as_str())
            .filter(|c| !c.is_empty())
            .collect();
        if currencies.len() > 1 {
            return nothing("the environments pay in different currencies");
        }
        let mut each: Vec<Option<BTreeMap<usize, Option<Decimal>>>> =
            inputs.environments.iter().map(|_| None).collect();
        let mut all_unseen = BTreeSet::new();
        for (members, entry) in pools(inputs, &costs.entries) {
            if amount(&entry.month_to_date).is_none() {
                continue;
            }
            let mut seen: BTreeMap<usize, u64> = BTreeMap::new();
            let mut unseen: BTreeSet<usize> = BTreeSet::new();
            for index in &members {
                for gap in &inputs.environments[*index].inventory.gaps {
                    let service = gap.operation.split(':').next().unwrap_or_default();
                    if let Some(group) = of_arn(service).filter(|_| gap.control == Control::Tags) {
                        unseen.insert(group);
                        all_unseen.insert((service.to_owned(), gap.environment.clone()));
                    }
                }
                for resource in &inputs.environments[*index].inventory.resources {
                    if let Some(group) = group(resource) {
                        *seen.entry(group).or_default() += 1;
                    }
                }
            }
            let mut spent: BTreeMap<usize, Decimal> = BTreeMap::new();
            for service in &entry.by_service {
                if let (Some(group), Some(amount)) =
                    (of_bill(&service.name), amount(&service.month_to_date))
                {
                    *spent.entry(group).or_default() += amount;
                }
            }
            let weights: BTreeMap<usize, Option<Decimal>> = seen
                .into_iter()
                .map(|(group, count)| {
                    let spent = spent.get(&group).copied().unwrap_or_default();
                    // Refunds may be more than what was spent: nobody's share is below nothing.
                    let spent = spent.max(Decimal::ZERO);
                    let known = !unseen.contains(&group);
                    (group, known.then(|| spent / Decimal::from(count)))
                })
                .collect();
            for index in members {
                each[index] = Some(weights.clone());
            }
        }
        Weights {
            each,
            unseen: all_unseen,
            none: None,
        }
    }

    /// What a resource costs this month: nothing where its service is on no bill; `None` where that is
    /// not known.
    pub fn of_resource(&self, environment: usize, resource: &Resource) -> Option<Decimal> {
        let weights = self.each.get(environment)?.as_ref()?;
        match group(resource).and_then(|group| weights.get(&group)) {
            Some(weight) => *weight,
            None => Some(Decimal::ZERO),
        }
    }
}

/// The environments that an entry is about. Those that share an account and cannot be told apart
/// have one together, named `a+b`.
fn pools<'a>(
    inputs: &'a Inputs<'_>,
    entries: &'a [CostEntry],
) -> impl Iterator<Item = (Vec<usize>, &'a CostEntry)> {
    entries.iter().filter_map(|entry| {
        let name = entry.environment.as_deref()?;
        let of = |wanted: &str| {
            inputs
                .environments
                .iter()
                .position(|e| e.target.environment == wanted)
        };
        let members: Vec<usize> = match of(name) {
            Some(index) => vec![index],
            None => name.split('+').filter_map(of).collect(),
        };
        (!members.is_empty()).then_some((members, entry))
    })
}

fn amount(text: &Option<String>) -> Option<Decimal> {
    text.as_deref().and_then(|t| t.parse().ok())
}

/// Whether calls of that name are about one service, as ARNs name it.
pub(super) fn is_service(name: &str) -> bool {
    of_arn(name).is_some()
}

pub(super) fn cents(amount: Decimal) -> String {
    format!("{:.2}", amount.round_dp(2))
}

/// A share being counted.
#[derive(Default)]
struct Tally {
    compliant: u64,
    checked: u64,
    spend: Decimal,
    spend_compliant: Decimal,
    /// Something in it has no known cost.
    blind: bool,
}

impl Tally {
    fn add(&mut self, right: bool, weight: Option<Decimal>) {
        self.checked += 1;
        self.compliant += u64::from(right);
        match weight {
            Some(weight) => {
                self.spend += weight;
                if right {
                    self.spend_compliant += weight;
                }
            }
            None => self.blind = true,
        }
    }

    fn close(self) -> WeighedShare {
        let known = !self.blind && self.checked > 0;
        WeighedShare {
            compliant: self.compliant,
            checked: self.checked,
            percent: percent(Decimal::from(self.compliant), Decimal::from(self.checked)),
            spend: known.then(|| cents(self.spend)),
            spend_compliant: known.then(|| cents(self.spend_compliant)),
            spend_percent: percent(self.spend_compliant, self.spend).filter(|_| known),
            spend_basis: known.then_some(Basis::Estimated),
        }
    }
}

pub(super) fn weigh(
    inputs: &Inputs<'_>,
    resources: &[Judged<'_>],
    weights: &Weights,
) -> (Weighed, Spend) {
    let mut overall = Tally::default();
    let [
        mut environments,
        mut keys,
        mut services,
        mut teams,
        mut regions,
    ]: [BTreeMap<String, Tally>; 5] = Default::default();
    for environment in inputs.environments {
        if environment.resolved.policies.tags.is_some() {
            environments
                .entry(environment.target.environment.clone())
                .or_default();
        }
    }
    for one in resources {
        let weight = weights.of_resource(one.environment, one.resource);
        let add =
            |map: &mut BTreeMap<String, Tally>, name: &str, right: bool| match map.get_mut(name) {
                Some(tally) => tally.add(right, weight),
                None => map.entry(name.to_owned()).or_default().add(right, weight),
            };
        overall.add(one.compliant, weight);
        let name = &inputs.environments[one.environment].target.environment;
        add(&mut environments, name, one.compliant);
        add(&mut services, one.service, one.compliant);
        add(&mut teams, one.team, one.compliant);
        add(&mut regions, &one.resource.region, one.compliant);
        for (key, right) in &one.keys {
            add(&mut keys, key, *right);
        }
    }
    // Resources that were not seen may be anybody's, so that no team's share of the spend is known;
    // their service and region are.
    for environment in inputs.environments {
        if environment.resolved.policies.tags.is_none() {
            continue;
        }
        let gaps = &environment.inventory.gaps;
        for gap in gaps.iter().filter(|g| g.control == Control::Tags) {
            teams.values_mut().for_each(|team| team.blind = true);
            let service = gap.operation.split(':').next().unwrap_or_default();
            if let Some(tally) = services.get_mut(service) {
                tally.blind = true;
            }
            // A region of which nothing was seen has its row too: unknown, and not left out.
            if environment.target.regions.contains(&gap.region) {
                regions.entry(gap.region.clone()).or_default();
            }
            if let Some(tally) = regions.get_mut(&gap.region) {
                tally.blind = true;
            }
        }
    }
    let close = |map: BTreeMap<String, Tally>| -> BTreeMap<String, WeighedShare> {
        map.into_iter().map(|(k, t)| (k, t.close())).collect()
    };
    let spend = spend(inputs, weights, (!overall.blind).then_some(overall.spend));
    let mut weighed = Weighed {
        overall: overall.close(),
        by_environment: close(environments),
        by_key: close(keys),
        by_service: close(services),
        by_team: close(teams),
        by_region: close(regions),
    };
    if weights.none.is_none() {
        for (key, share) in &mut weighed.by_key {
            measured(inputs, key, share);
        }
    }
    (weighed, spend)
}

/// The share of a key as AWS splits costs by it, where it does so in every environment that asks
/// for it. Tax cannot be tagged, and is left out.
fn measured(inputs: &Inputs<'_>, key: &str, share: &mut WeighedShare) {
    let Some(costs) = &inputs.costs else { return };
    let asks = |policy: &TagPolicy| {
        policy.required.iter().any(|k| k.value == key) || policy.defaults.contains_key(key)
    };
    let mut left: BTreeSet<usize> = (0..inputs.environments.len())
        .filter(|i| {
            let policies = &inputs.environments[*i].resolved.policies;
            policies.tags.as_ref().is_some_and(asks)
        })
        .collect();
    let (mut right, mut all) = (Decimal::ZERO, Decimal::ZERO);
    for (members, entry) in pools(inputs, &costs.entries) {
        let policy = members
            .iter()
            .filter(|i| left.contains(i))
            .find_map(|i| inputs.environments[*i].resolved.policies.tags.as_ref());
        let Some(policy) = policy else { continue };
        if entry.tag_status.get(key) != Some(&TagStatus::Active) {
            return;
        }
        let (Some(rows), Some(untagged)) = (
            entry.by_tag.get(key),
            entry.untagged.get(key).and_then(amount),
        ) else {
            return;
        };
        let tax = match &entry.adjustments {
            Some(a) if !entry.left_out.iter().any(|k| k == "Tax") => {
                a.tax.parse().unwrap_or_default()
            }
            _ => Decimal::ZERO,
        };
        for row in rows {
            let spent = amount(&row.month_to_date).unwrap_or_default();
            all += spent;
            let rule = policy.values.get(key);
            let allowed = rule.is_none_or(|r| r.refuses(&row.value).is_none());
            if !row.value.is_empty() && allowed {
                right += spent;
            }
        }
        all -= tax.clamp(Decimal::ZERO, untagged.max(Decimal::ZERO));
        for index in members {
            left.remove(&index);
        }
    }
    if !left.is_empty() || all <= Decimal::ZERO {
        return;
    }
    share.spend = Some(cents(all));
    share.spend_compliant = Some(cents(right));
    share.spend_percent = percent(right.clamp(Decimal::ZERO, all), all);
    share.spend_basis = Some(Basis::Measured);
}
