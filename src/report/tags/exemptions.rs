//! The exemptions of the policies, and how long they hold.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::{Exemption, ExemptionState, Inputs};
use crate::config::values::Matched;
use crate::model::{Control, ignore_reason};

/// An exemption that ends in so many days or less wants somebody's attention.
const SOON: i64 = 30;

/// Those that end first come first.
pub(super) fn exemptions(inputs: &Inputs<'_>, today: Date) -> Vec<Exemption> {
    let mut found: BTreeMap<(String, String, String), Exemption> = BTreeMap::new();
    for environment in inputs.environments {
        let resolved = &environment.resolved;
        for (name, exempt) in resolved.policies.tags.iter().flat_map(|t| &t.exempt) {
            let until = exempt.until.value.0;
            let covered = environment.inventory.resources.iter().filter(|resource| {
                let seen = resource.tags.known();
                seen.is_some_and(|tags| ignore_reason(tags).is_none())
                    && exempt.matches.resource(resource) == Matched::Yes
            });
            let resources = covered.count() as u64;
            let days_left = today
                .until(until)
                .map_or(0, |span| i64::from(span.get_days()));
            let key = (name.clone(), until.to_string(), exempt.reason.value.clone());
            let entry = found.entry(key).or_insert_with(|| Exemption {
                name: name.clone(),
                environments: Vec::new(),
                reason: exempt.reason.value.clone(),
                owner: exempt.owner.as_ref().map(|o| o.value.clone()),
                until: until.to_string(),
                days_left,
                resources: 0,
                state: match days_left {
                    ..0 => ExemptionState::Ended,
                    0..=SOON => ExemptionState::EndsSoon,
                    _ => ExemptionState::Holds,
                },
                policy: resolved.reason(
                    Control::Tags,
                    format!("tags.exempt.{name}"),
                    exempt.until.origin,
                ),
            });
            entry
                .environments
                .push(environment.target.environment.clone());
            entry.resources += resources;
        }
    }
    let mut out: Vec<Exemption> = found.into_values().collect();
    out.sort_by(|a, b| (a.days_left, &a.name).cmp(&(b.days_left, &b.name)));
    out
}
