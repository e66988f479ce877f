//! The scenarios that ship, each a system that people described publicly.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::world::{Parsed, Scenario, World};
use crate::config::source::suggest;
use crate::config::{Diagnostic, Loaded};

/// `(name, file)` of every scenario.
pub const SCENARIOS: [(&str, &str); 6] = [
    ("findash", include_str!("scenarios/findash.toml")),
    ("dartsyn", include_str!("scenarios/dartsyn.toml")),
    ("acme", include_str!("scenarios/acme.toml")),
    ("medtrack", include_str!("scenarios/medtrack.toml")),
    ("burst", include_str!("scenarios/burst.toml")),
    (
        "findash-denied",
        include_str!("scenarios/findash-denied.toml"),
    ),
];

pub const DEFAULT: &str = "findash";

/// A scenario with the files of the project folder, or those that ship.
pub struct Opened {
    pub scenario: Scenario,
    pub world: World,
    pub loaded: Loaded,
}

/// Opens a scenario; stages and policies come from `dir` where there is one.
///
/// # Errors
/// An unknown name, or mistakes in the files.
pub fn open(name: &str, dir: Option<&Path>) -> Result<Opened, Box<(Loaded, Vec<Diagnostic>)>> {
    // The scenario brings its own environments: of the project only stages and policies count.
    let mut loaded = dir.map_or_else(|| Loaded::read(None), Loaded::read_without_workspace);
    let Some((_, text)) = SCENARIOS.iter().find(|(n, _)| *n == name) else {
        let names: Vec<&str> = SCENARIOS.iter().map(|(n, _)| *n).collect();
        let d = Diagnostic::plain(format!("unknown scenario `{name}`"));
        let d = match suggest(name, names.iter().copied()) {
            Some(close) => d.with_help(format!("did you mean `{close}`?")),
            None => d.with_help(format!("there are: {}", names.join(", "))),
        };
        return Err(Box::new((loaded, vec![d])));
    };
    let Some(node) = loaded.parse(
        &format!("builtin:scenarios/{name}.toml"),
        (*text).to_owned(),
    ) else {
        let errors = std::mem::take(&mut loaded.diagnostics);
        return Err(Box::new((loaded, errors)));
    };
    let parsed = match Parsed::new(node) {
        Ok(parsed) => parsed,
        Err(errors) => return Err(Box::new((loaded, errors))),
    };
    loaded.take_workspace(parsed.workspace.clone());
    let seed = hex::encode(Sha256::digest(text.as_bytes()));
    match parsed.world(name, &seed, &loaded) {
        Ok(world) => Ok(Opened {
            scenario: parsed.scenario,
            world,
            loaded,
        }),
        Err(errors) => Err(Box::new((loaded, errors))),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use jiff::civil::date;

    use super::*;
    use crate::cloud::{Call, Cloud, Subject, Target, Want};
    use crate::controls::{self, Input};
    use crate::inventory::{EnvironmentInventory, Gap};
    use crate::model::{Control, ResourceType, check_tag_key, check_tag_value};
    use crate::plan::{ActionKind, Change, Finding, Operation, Verdict};
    use crate::sandbox::Sandbox;

    const CONTROLS: [Control; 2] = [Control::Tags, Control::Lifecycle];

    /// The scenarios in which everything can be seen.
    const OBSERVABLE: [&str; 5] = ["findash", "dartsyn", "acme", "medtrack", "burst"];

    fn opened(name: &str) -> Opened {
        let mut opened = match open(name, None) {
            Ok(opened) => opened,
            Err(found) => panic!("{name}: {}", told(&found.0, &found.1)),
        };
        opened.loaded.check_all();
        let loaded = &opened.loaded;
        assert!(
            loaded.diagnostics.is_empty(),
            "{name}: {}",
            told(loaded, &loaded.diagnostics)
        );
        opened
    }

    fn told(loaded: &Loaded, errors: &[Diagnostic]) -> String {
        let lines: Vec<String> = errors
            .iter()
            .map(|d| match d.origin {
                Some(origin) => format!("line {}: {}", loaded.sources.line(origin), d.message),
                None => d.message.clone(),
            })
            .collect();
        lines.join("\n")
    }

    fn targets(opened: &Opened) -> Vec<Target> {
        let workspace = opened.loaded.workspace.as_ref().unwrap();
        workspace
            .environments
            .iter()
            .map(|(name, environment)| Target {
                environment: name.clone(),
                account: environment.account.value.clone(),
                regions: environment
                    .regions
                    .iter()
                    .map(|r| r.value.clone())
                    .collect(),
                profile: None,
                role_arn: None,
                external_id: None,
            })
            .collect()
    }

    /// What one look at one environment gives.
    struct Seen {
        target: Target,
        inventory: EnvironmentInventory,
        verdicts: BTreeMap<Control, Verdict>,
    }

    async fn look(opened: &Opened, sandbox: &Sandbox) -> Vec<Seen> {
        let workspace = opened.loaded.workspace.as_ref().unwrap();
        let want = Want {
            tags: true,
            lifecycle: true,
            sizes: true,
            ..Want::default()
        };
        let mut seen = Vec::new();
        for target in targets(opened) {
            let stage = &workspace.environments[&target.environment].stage.value;
            let resolved = opened
                .loaded
                .resolve(Some(&target.environment), stage)
                .unwrap();
            let inventory = sandbox.observe(&target, &want).await;
            let input = Input {
                resolved: &resolved,
                inventory: &inventory,
                today: date(2026, 11, 2),
                only: None,
                destroy: false,
                controls: &CONTROLS,
            };
            let verdicts = CONTROLS
                .into_iter()
                .map(|control| (control, controls::run(control, &input)))
                .collect();
            seen.push(Seen {
                target,
                inventory,
                verdicts,
            });
        }
        seen
    }

    fn changes(seen: &[Seen], control: Control) -> Vec<&Change> {
        let verdicts = seen.iter().map(|s| &s.verdicts[&control]);
        verdicts.flat_map(|v| &v.changes).collect()
    }

    fn findings(seen: &[Seen]) -> Vec<&Finding> {
        let verdicts = seen.iter().flat_map(|s| s.verdicts.values());
        verdicts.flat_map(|v| &v.findings).collect()
    }

    fn gaps(seen: &[Seen]) -> Vec<&Gap> {
        seen.iter().flat_map(|s| &s.inventory.gaps).collect()
    }

    /// The calls that one change comes down to.
    fn calls(change: &Change) -> Vec<Call> {
        let region = change.resource.region.clone();
        let bucket = change.resource.name.clone();
        match &change.operation {
            Operation::Lifecycle {
                after: Some(after), ..
            } => vec![Call::PutLifecycle {
                region,
                bucket,
                configuration: after.clone(),
            }],
            Operation::Lifecycle { after: None, .. } => {
                vec![Call::DeleteLifecycle { region, bucket }]
            }
            Operation::Object { .. } | Operation::Settings { .. } => Vec::new(),
            Operation::Tags { after, .. } => {
                let subject = Subject {
                    arn: change.resource.arn.clone(),
                    kind: ResourceType::new(change.resource.kind.clone()),
                    name: change.resource.name.clone(),
                    region: region.clone(),
                };
                let set = after
                    .iter()
                    .filter_map(|(k, v)| Some((k.clone(), v.clone()?)));
                let keys = after.iter().filter(|(_, v)| v.is_none());
                vec![
                    Call::TagResources {
                        region: region.clone(),
                        resources: vec![subject.clone()],
                        set: set.collect(),
                    },
                    Call::UntagResources {
                        region,
                        resources: vec![subject],
                        keys: keys.map(|(k, _)| k.clone()).collect(),
                    },
                ]
            }
        }
    }

    #[test]
    fn every_scenario_is_valid_and_resolves() {
        for (name, _) in SCENARIOS {
            let opened = opened(name);
            let workspace = opened.loaded.workspace.as_ref().unwrap();
            for (environment, config) in &workspace.environments {
                let resolved = opened
                    .loaded
                    .resolve(Some(environment), &config.stage)
                    .unwrap_or_else(|e| panic!("{name}: {}", told(&opened.loaded, &e)));
                assert_eq!(resolved.stage.name.value, config.stage.value);
                let users = resolved.stage.users;
                let own = config.users.unwrap_or(users.from);
                assert!(
                    (users.from..users.to).contains(&own),
                    "{name}: {environment}"
                );
            }
        }
    }

    #[test]
    fn an_unknown_scenario_is_told_with_the_closest() {
        let Err(found) = open("findahs", None) else {
            panic!("there is no such scenario");
        };
        assert_eq!(found.1[0].help.as_deref(), Some("did you mean `findash`?"));
    }

    #[test]
    fn seeded_tags_are_such_as_aws_would_take() {
        for (name, _) in SCENARIOS {
            let world = opened(name).world;
            for (arn, item) in world.accounts.values().flat_map(|a| &a.resources) {
                for (key, value) in item.tags.iter().filter(|(k, _)| !k.starts_with("aws:")) {
                    check_tag_key(key).unwrap_or_else(|e| panic!("{name}: {arn}: {key}: {e}"));
                    check_tag_value(value)
                        .unwrap_or_else(|e| panic!("{name}: {arn}: {value}: {e}"));
                }
            }
        }
    }

    #[tokio::test]
    async fn there_is_work_of_every_kind() {
        for name in OBSERVABLE {
            let opened = opened(name);
            let sandbox = Sandbox::in_memory(opened.world.clone());
            let seen = look(&opened, &sandbox).await;
            assert!(gaps(&seen).is_empty(), "{name}: {:?}", gaps(&seen));
            for one in &seen {
                for control in CONTROLS {
                    assert!(
                        !one.verdicts[&control].changes.is_empty(),
                        "{name}: {control} has nothing to do in {}",
                        one.target.environment
                    );
                }
            }
            let lifecycle = changes(&seen, Control::Lifecycle);
            assert!(
                lifecycle.iter().any(|c| c.action == ActionKind::Create),
                "{name}: no configuration is new"
            );
            let fields = || lifecycle.iter().flat_map(|c| &c.fields);
            assert!(
                fields().any(|f| f.before.is_some() && f.after.is_none()),
                "{name}: no rule of ours is stale"
            );
            assert!(
                fields().any(|f| f.before.is_some() && f.after.is_some()),
                "{name}: no rule of ours has drifted"
            );
            let savings: BTreeSet<_> = lifecycle
                .iter()
                .filter_map(|c| c.monthly_cost_delta_usd.as_deref())
                .collect();
            assert!(savings.len() > 1, "{name}: the savings are {savings:?}");
            let ids: BTreeSet<&str> = findings(&seen).iter().map(|f| f.id.as_str()).collect();
            for id in [
                "tags.invalid-value",
                "tags.owned-elsewhere",
                "tags.twin-conflict",
                "tags.wrong-case",
                "lifecycle.conflict",
                "lifecycle.not-worth-it",
                "lifecycle.satisfied",
            ] {
                assert!(ids.contains(id), "{name}: no {id} among {ids:?}");
            }
            let counts = || seen.iter().flat_map(|s| s.verdicts.values());
            assert!(counts().any(|v| v.counts.ignored > 0), "{name}");
            assert!(counts().any(|v| v.counts.exempt > 0), "{name}");
            assert!(
                counts().any(|v| !v.counts.outside_regions.is_empty()),
                "{name}"
            );
        }
    }

    #[tokio::test]
    async fn what_is_applied_needs_nothing_more_and_spares_the_rest() {
        for (name, _) in SCENARIOS {
            let opened = opened(name);
            let sandbox = Sandbox::in_memory(opened.world.clone());
            let first = look(&opened, &sandbox).await;
            for one in &first {
                for change in one.verdicts.values().flat_map(|v| &v.changes) {
                    for call in calls(change) {
                        for result in sandbox.execute(&one.target, &call).await {
                            result.unwrap_or_else(|e| panic!("{name}: {}: {e}", change.address));
                        }
                    }
                }
            }
            for one in look(&opened, &sandbox).await {
                for verdict in one.verdicts.values() {
                    let left: Vec<_> = verdict.changes.iter().map(|c| &c.address).collect();
                    assert!(left.is_empty(), "{name}: {left:?}");
                }
            }
            let after = sandbox.world();
            for (environment, account) in &opened.world.accounts {
                for (bucket, held) in &account.buckets {
                    let foreign = |item: &crate::sandbox::world::BucketItem| {
                        let rules = item.lifecycle.iter().flat_map(|l| l.rules.clone());
                        rules.filter(|r| !r.is_ours()).collect::<Vec<_>>()
                    };
                    let now = &after.accounts[environment].buckets[bucket];
                    assert_eq!(foreign(held), foreign(now), "{name}: {bucket}");
                }
            }
        }
    }

    #[tokio::test]
    async fn the_denied_one_is_blind_in_prod_only() {
        let opened = opened("findash-denied");
        let sandbox = Sandbox::in_memory(opened.world.clone());
        let seen = look(&opened, &sandbox).await;
        let gaps = gaps(&seen);
        assert!(!gaps.is_empty());
        for gap in gaps {
            assert_eq!(gap.environment, "prod");
            assert_eq!(gap.operation, "rds:DescribeDBInstances");
            assert_eq!(gap.control, Control::Tags);
        }
        for control in CONTROLS {
            assert!(!changes(&seen, control).is_empty());
        }
    }
}
