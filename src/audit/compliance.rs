//! How much of what can carry tags carries the right ones.
//!
//! Counted are the resources that the tags control could judge: not those whose tags were not seen,
//! that bear `opsctl:ignore`, or that an exemption covers. A resource is compliant when there is
//! nothing to change and nothing to report; for a single key, when the key is there with an allowed
//! value.

use std::collections::BTreeMap;

use globset::GlobMatcher;
use rust_decimal::Decimal;
use rust_decimal::RoundingStrategy;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::controls::{Input, Standing, address, selected, standing};
use crate::inventory::Resource;
use crate::model::{Arn, Control, Tags};
use crate::plan::Plan;
use crate::plan::build::PlanEnvironment;

/// The tag that says whose a resource is.
const TEAM: &str = "team";

/// The finding that does not make a resource's tags wrong.
const EXPIRED: &str = "tags.exemption-expired";

/// Compliance of the tags.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Compliance {
    pub overall: Share,
    pub by_environment: BTreeMap<String, Share>,
    /// Keys that every resource must have, or gets by default.
    pub by_key: BTreeMap<String, Share>,
    /// As ARNs name it: `s3`, `rds`, …
    pub by_service: BTreeMap<String, Share>,
    /// By the value of the tag `team`, or of an old spelling of it; empty: without one.
    pub by_team: BTreeMap<String, Share>,
    pub by_region: BTreeMap<String, Share>,
}

/// How many of how many.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Share {
    pub compliant: u64,
    pub checked: u64,
    /// With one decimal, rounded down, so that 100.0 means all; null where nothing was checked.
    pub percent: Option<String>,
}

impl Share {
    fn add(&mut self, compliant: bool) {
        self.checked += 1;
        self.compliant += u64::from(compliant);
    }

    fn close(&mut self) {
        self.percent = (self.checked > 0).then(|| {
            let percent =
                Decimal::from(self.compliant) * Decimal::ONE_HUNDRED / Decimal::from(self.checked);
            let shown = percent.round_dp_with_strategy(1, RoundingStrategy::ToZero);
            format!("{shown:.1}")
        });
    }
}

/// Counts what the tags control judged; `None` where no environment has a policy for tags.
pub(super) fn of_tags(
    environments: &[PlanEnvironment],
    judged: &Plan,
    only: Option<&GlobMatcher>,
) -> Option<Compliance> {
    let today = judged
        .generated_at
        .parse::<jiff::Timestamp>()
        .unwrap_or_default()
        .to_zoned(jiff::tz::TimeZone::UTC)
        .date();
    let wrong: std::collections::BTreeSet<&str> = judged
        .changes
        .iter()
        .filter(|c| c.control == Control::Tags)
        .map(|c| c.address.as_str())
        .chain(
            judged
                .findings
                .iter()
                .filter(|f| f.control == Control::Tags && f.id != EXPIRED)
                .map(|f| f.address.as_str()),
        )
        .collect();
    let mut out = Compliance::default();
    let mut any = false;
    for environment in environments {
        let Some(policy) = &environment.resolved.policies.tags else {
            continue;
        };
        any = true;
        let input = Input {
            resolved: &environment.resolved,
            inventory: &environment.inventory,
            today,
            only,
            destroy: false,
            controls: &[Control::Tags],
        };
        let keys: std::collections::BTreeSet<&str> = policy
            .required
            .iter()
            .map(|k| k.value.as_str())
            .chain(policy.defaults.keys().map(String::as_str))
            .collect();
        let name = &environment.target.environment;
        out.by_environment.entry(name.clone()).or_default();
        for resource in &environment.inventory.resources {
            let (Some(tags), Standing::Ours { .. } | Standing::Owned(_)) = (
                resource.tags.known(),
                standing(&input, resource, policy.owned_elsewhere),
            ) else {
                continue;
            };
            if !selected(&input, resource, "tags") {
                continue;
            }
            let compliant = !wrong.contains(address(&input, resource, "tags").as_str());
            out.overall.add(compliant);
            let add = |map: &mut BTreeMap<String, Share>, key: &str| {
                // Thousands of resources share a few keys.
                match map.get_mut(key) {
                    Some(share) => share.add(compliant),
                    None => map.entry(key.to_owned()).or_default().add(compliant),
                }
            };
            add(&mut out.by_environment, name);
            add(&mut out.by_service, service(resource));
            add(&mut out.by_region, &resource.region);
            let aliases = policy.aliases.get(TEAM).into_iter().flatten();
            add(
                &mut out.by_team,
                team(tags, aliases.map(|a| a.value.as_str())),
            );
            for key in &keys {
                let right = tags.get(*key).is_some_and(|value| {
                    let rule = policy.values.get(*key);
                    rule.is_none_or(|rule| rule.refuses(value).is_none())
                });
                out.by_key.entry((*key).to_owned()).or_default().add(right);
            }
        }
    }
    for share in std::iter::once(&mut out.overall).chain(
        [
            &mut out.by_environment,
            &mut out.by_key,
            &mut out.by_service,
            &mut out.by_team,
            &mut out.by_region,
        ]
        .into_iter()
        .flat_map(BTreeMap::values_mut),
    ) {
        share.close();
    }
    any.then_some(out)
}

fn service(resource: &Resource) -> &str {
    Arn::parse(&resource.arn).map_or(resource.kind.as_str(), |arn| arn.service)
}

fn team<'a>(tags: &'a Tags, mut aliases: impl Iterator<Item = &'a str>) -> &'a str {
    tags.get(TEAM)
        .or_else(|| aliases.find_map(|alias| tags.get(alias)))
        .map_or("", String::as_str)
}
