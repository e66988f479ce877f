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
use crate::model::{Address, Arn, Control, Tags};
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
        self.percent = percent(Decimal::from(self.compliant), Decimal::from(self.checked));
    }
}

/// A part in percent of the whole, with one decimal, rounded down, so that 100.0 means all; `None`
/// of nothing.
pub fn percent(part: Decimal, whole: Decimal) -> Option<String> {
    let percent = (part * Decimal::ONE_HUNDRED).checked_div(whole)?;
    let shown = percent.round_dp_with_strategy(1, RoundingStrategy::ToZero);
    Some(format!("{shown:.1}"))
}

/// One resource that the tags control judged.
#[derive(Debug)]
pub struct Judged<'a> {
    /// Index of its environment.
    pub environment: usize,
    pub resource: &'a Resource,
    pub address: Address,
    pub tags: &'a Tags,
    /// As ARNs name it.
    pub service: &'a str,
    /// Empty: without one.
    pub team: &'a str,
    pub compliant: bool,
    /// Each key that it must have or gets by default, and whether it is there with an allowed value.
    pub keys: Vec<(&'a str, bool)>,
}

/// The resources that the tags control judged, in the order of the inventories; `None` where no
/// environment has a policy for tags.
pub fn judged<'a>(
    environments: &'a [PlanEnvironment],
    judged: &Plan,
    only: Option<&GlobMatcher>,
) -> Option<Vec<Judged<'a>>> {
    let today = day(judged);
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
    let mut out = Vec::new();
    let mut any = false;
    for (index, environment) in environments.iter().enumerate() {
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
            let address = address(&input, resource, "tags");
            let aliases = policy.aliases.get(TEAM).into_iter().flatten();
            out.push(Judged {
                environment: index,
                resource,
                tags,
                service: service(resource),
                team: team(tags, aliases.map(|a| a.value.as_str())),
                compliant: !wrong.contains(address.as_str()),
                keys: keys
                    .iter()
                    .map(|key| {
                        let right = tags.get(*key).is_some_and(|value| {
                            let rule = policy.values.get(*key);
                            rule.is_none_or(|rule| rule.refuses(value).is_none())
                        });
                        (*key, right)
                    })
                    .collect(),
                address,
            });
        }
    }
    any.then_some(out)
}

/// The day of a plan, in UTC.
pub fn day(plan: &Plan) -> jiff::civil::Date {
    plan.generated_at
        .parse::<jiff::Timestamp>()
        .unwrap_or_default()
        .to_zoned(jiff::tz::TimeZone::UTC)
        .date()
}

/// Counts what the tags control judged; `None` where no environment has a policy for tags.
pub(super) fn of_tags(
    environments: &[PlanEnvironment],
    plan: &Plan,
    only: Option<&GlobMatcher>,
) -> Option<Compliance> {
    let resources = judged(environments, plan, only)?;
    let mut out = Compliance::default();
    for environment in environments {
        if environment.resolved.policies.tags.is_some() {
            let name = environment.target.environment.clone();
            out.by_environment.entry(name).or_default();
        }
    }
    for one in &resources {
        out.overall.add(one.compliant);
        let add = |map: &mut BTreeMap<String, Share>, key: &str, right: bool| {
            // Thousands of resources share a few keys.
            match map.get_mut(key) {
                Some(share) => share.add(right),
                None => map.entry(key.to_owned()).or_default().add(right),
            }
        };
        let name = environments.get(one.environment);
        let name = name.map_or("", |e| e.target.environment.as_str());
        add(&mut out.by_environment, name, one.compliant);
        add(&mut out.by_service, one.service, one.compliant);
        add(&mut out.by_region, &one.resource.region, one.compliant);
        add(&mut out.by_team, one.team, one.compliant);
        for (key, right) in &one.keys {
            add(&mut out.by_key, key, *right);
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
    Some(out)
}

fn service(resource: &Resource) -> &str {
    Arn::parse(&resource.arn).map_or(resource.kind.as_str(), |arn| arn.service)
}

fn team<'a>(tags: &'a Tags, mut aliases: impl Iterator<Item = &'a str>) -> &'a str {
    tags.get(TEAM)
        .or_else(|| aliases.find_map(|alias| tags.get(alias)))
        .map_or("", String::as_str)
}
