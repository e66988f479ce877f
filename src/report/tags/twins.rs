//! Keys that stand on resources in another spelling than the policy's.

use std::collections::{BTreeMap, BTreeSet};

use super::{Fix, Inputs, Twin};
use crate::audit::compliance::Judged;
use crate::audit::pending::shell;

const SETS: &str = "sets the right key to the same value, then removes this one";

/// Most resources first.
pub(super) fn twins(inputs: &Inputs<'_>, resources: &[Judged<'_>]) -> Vec<Twin> {
    let mut found: BTreeMap<(&str, &str, bool), (Twin, BTreeSet<&str>)> = BTreeMap::new();
    for one in resources {
        let environment = &inputs.environments[one.environment];
        let Some(policy) = &environment.resolved.policies.tags else {
            continue;
        };
        let managed = policy.managed_keys();
        for (tag, value) in one.tags {
            if managed.contains(tag.as_str()) {
                continue;
            }
            for key in &managed {
                let aliases = policy.aliases.get(*key).into_iter().flatten();
                let listed = aliases.into_iter().any(|a| a.value == *tag);
                let case_only = key.to_lowercase() == tag.to_lowercase();
                if !listed && !case_only {
                    continue;
                }
                let (twin, environments) = found.entry((*key, tag.as_str(), listed)).or_default();
                twin.case_only = case_only;
                twin.resources += 1;
                if let Some(right) = one.tags.get(*key) {
                    twin.beside_right_key += 1;
                    twin.conflicting += u64::from(right != value);
                }
                environments.insert(&environment.target.environment);
            }
        }
    }
    let mut twins: Vec<Twin> = found
        .into_iter()
        .map(|((key, spelling, listed), (twin, environments))| Twin {
            key: key.to_owned(),
            spelling: spelling.to_owned(),
            listed,
            fix: fix(inputs, key, spelling, listed, &twin, &environments),
            environments: environments.into_iter().map(str::to_owned).collect(),
            ..twin
        })
        .collect();
    twins.sort_by(|a, b| {
        (b.resources, &a.key, &a.spelling).cmp(&(a.resources, &b.key, &b.spelling))
    });
    twins
}

fn fix(
    inputs: &Inputs<'_>,
    key: &str,
    spelling: &str,
    listed: bool,
    twin: &Twin,
    environments: &BTreeSet<&str>,
) -> Fix {
    if !listed {
        return Fix {
            command: None,
            text: format!(
                "add {spelling:?} to tags.aliases.{key} in policies/tags.toml, then apply"
            ),
        };
    }
    // Which of two values is right is nothing that apply decides.
    let by_hand = match twin.conflicting {
        0 => String::new(),
        n => format!(
            "{n} of {} say something else under {key}: decide by hand",
            twin.resources
        ),
    };
    if twin.conflicting >= twin.resources {
        return Fix {
            command: None,
            text: by_hand,
        };
    }
    let mut command = "opsctl apply --control tags".to_owned();
    for environment in environments {
        command.push_str(&format!(" -e {}", shell(environment)));
    }
    if let Some(scenario) = &inputs.audit.sandbox {
        command.push_str(&format!(" --sandbox {}", shell(scenario)));
    }
    Fix {
        command: Some(command),
        text: match by_hand.is_empty() {
            true => SETS.to_owned(),
            false => format!("{SETS}; {by_hand}"),
        },
    }
}
