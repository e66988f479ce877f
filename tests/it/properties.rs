//! Properties over generated accounts: a plan that was applied leaves nothing to plan, foreign tags
//! and rules survive, identical input gives identical plans, and what is unknown is never changed.

use std::collections::BTreeMap;

use opsctl::apply::OutcomeKind;
use opsctl::cloud::{Cloud, Want};
use opsctl::config::Loaded;
use opsctl::inventory::{BucketSize, Observed};
use opsctl::model::lifecycle::*;
use opsctl::model::{IGNORE_TAG, ResourceType, Tags, owner_of};
use opsctl::sandbox::world::{Account, BucketItem, Item, World};
use opsctl::sandbox::{Fault, Sandbox};
use proptest::prelude::*;

use crate::support::{apply, block_on, plan, project, targets};

const POLICY: &str = r#"
[tags]
required = ["project", "environment", "team"]
[tags.values]
environment = { one_of = ["dev", "prod"] }
[tags.aliases]
environment = ["Environment", "env"]
team = ["Team"]
[tags.defaults]
project = "{project.name}"
environment = "{environment.name}"
[[tags.infer]]
match = { type = "s3-bucket", name = "*1" }
set = { team = "storage" }
[tags.exempt.legacy]
match = { name = "*2" }
reason = "legacy"
until = "2027-01-01"
"#;

fn loaded() -> Loaded {
    let dir = project(&[("policies/tags.toml", POLICY)]);
    let mut loaded = Loaded::read(Some(dir.path()));
    loaded.check_all();
    assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
    loaded
}

fn tags() -> impl Strategy<Value = Tags> {
    let key = prop::sample::select(vec![
        "project",
        "environment",
        "team",
        "Environment",
        "env",
        "Team",
        "ENVIRONMENT",
        "CostCentre",
        "opsctl:ignore",
        "ManagedBy",
        "aws:cloudformation:stack-name",
        "né",
        "empty",
    ]);
    let value = prop::sample::select(vec![
        "shop",
        "prod",
        "dev",
        "production",
        "core",
        "terraform",
        "",
        "42",
        "ü x",
    ]);
    prop::collection::btree_map(
        key.prop_map(str::to_owned),
        value.prop_map(str::to_owned),
        0..7,
    )
}

fn filter() -> impl Strategy<Value = (Option<String>, Option<Filter>)> {
    let tag = || Tag {
        key: "k".into(),
        value: "v".into(),
    };
    prop_oneof![
        Just((Some(String::new()), None)),
        Just((Some("logs/".to_owned()), None)),
        Just((None, Some(Filter::default()))),
        Just((
            None,
            Some(Filter {
                prefix: Some(String::new()),
                ..Filter::default()
            })
        )),
        Just((
            None,
            Some(Filter {
                prefix: Some("tmp/".into()),
                ..Filter::default()
            })
        )),
        Just((
            None,
            Some(Filter {
                tag: Some(tag()),
                ..Filter::default()
            })
        )),
        Just((
            None,
            Some(Filter {
                object_size_greater_than: Some(1024),
                ..Filter::default()
            })
        )),
        Just((
            None,
            Some(Filter {
                object_size_less_than: Some(1024),
                ..Filter::default()
            })
        )),
        Just((
            None,
            Some(Filter {
                and: Some(And {
                    prefix: Some("a/".into()),
                    tags: vec![tag()],
                    object_size_greater_than: Some(1),
                    object_size_less_than: Some(9)
                }),
                ..Filter::default()
            })
        )),
    ]
}

fn rule() -> impl Strategy<Value = Rule> {
    let id = prop::sample::select(vec![
        "opsctl-multipart",
        "opsctl-tiering",
        "opsctl-gone",
        "a",
        "b",
        "Opsctl-x",
        "c d",
    ]);
    let action = 0..8u8;
    (id, filter(), action, any::<bool>()).prop_map(|(id, (prefix, filter), action, enabled)| {
        let mut rule = Rule {
            id: Some(id.to_owned()),
            status: if enabled { "Enabled" } else { "Disabled" }.to_owned(),
            prefix,
            filter,
            expiration: None,
            transitions: Vec::new(),
            noncurrent_version_transitions: Vec::new(),
            noncurrent_version_expiration: None,
            abort_incomplete_multipart_upload: None,
        };
        match action {
            0 => rule.abort_incomplete_multipart_upload = Some(3),
            1 => rule.abort_incomplete_multipart_upload = Some(30),
            2 => {
                rule.expiration = Some(Expiration {
                    days: Some(14),
                    ..Expiration::default()
                })
            }
            3 => {
                rule.expiration = Some(Expiration {
                    date: Some("2027-01-01T00:00:00Z".into()),
                    ..Expiration::default()
                })
            }
            4 => {
                rule.expiration = Some(Expiration {
                    expired_object_delete_marker: Some(true),
                    ..Expiration::default()
                })
            }
            5 => {
                rule.transitions = vec![Transition {
                    days: Some(45),
                    date: None,
                    storage_class: Some("ONEZONE_IA".into()),
                }]
            }
            6 => {
                rule.noncurrent_version_expiration = Some(NoncurrentExpiration {
                    noncurrent_days: Some(9),
                    newer_noncurrent_versions: Some(2),
                })
            }
            _ => {
                rule.noncurrent_version_transitions = vec![NoncurrentTransition {
                    noncurrent_days: Some(40),
                    storage_class: Some("GLACIER".into()),
                    newer_noncurrent_versions: None,
                }]
            }
        }
        rule
    })
}

fn configuration() -> impl Strategy<Value = Option<LifecycleConfiguration>> {
    let minimum = prop::sample::select(vec!["all_storage_classes_128K", "varies_by_storage_class"]);
    (prop::collection::vec(rule(), 0..4), minimum).prop_map(|(rules, minimum)| {
        let configuration = LifecycleConfiguration {
            transition_default_minimum_object_size: Some(minimum.to_owned()),
            rules,
        };
        configuration
            .violations()
            .is_empty()
            .then_some(configuration)
    })
}

prop_compose! {
    fn bucket()(lifecycle in configuration(), gb in prop::option::of(0u64..3000), objects in 0u64..5_000_000) -> BucketItem {
        BucketItem {
            region: "eu-west-1".into(),
            lifecycle,
            size: gb.map(|gb| BucketSize { standard_bytes: gb << 30, objects }),
        }
    }
}

fn world() -> impl Strategy<Value = World> {
    (
        prop::collection::vec((tags(), bucket()), 1..8),
        prop::collection::vec(tags(), 0..8),
    )
        .prop_map(|(buckets, queues)| {
            let mut account = Account {
                id: "123456789012".into(),
                ..Account::default()
            };
            for (i, (tags, bucket)) in buckets.into_iter().enumerate() {
                let name = format!("bucket{i}");
                let item = Item {
                    kind: ResourceType::S3_BUCKET,
                    name: name.clone(),
                    region: "eu-west-1".into(),
                    tags,
                };
                account
                    .resources
                    .insert(format!("arn:aws:s3:::{name}"), item);
                account.buckets.insert(name, bucket);
            }
            for (i, tags) in queues.into_iter().enumerate() {
                let name = format!("queue{i}");
                let arn = format!("arn:aws:sqs:us-east-1:123456789012:{name}");
                account.resources.insert(
                    arn,
                    Item {
                        kind: ResourceType::SQS_QUEUE,
                        name,
                        region: "us-east-1".into(),
                        tags,
                    },
                );
            }
            World {
                scenario: "generated".into(),
                seed: String::new(),
                accounts: BTreeMap::from([("prod".to_owned(), account)]),
                locks: BTreeMap::new(),
            }
        })
}

/// What opsctl must never touch in an account.
fn foreign(world: &World) -> BTreeMap<String, (Tags, Vec<Rule>, Option<String>)> {
    let managed = [
        "project",
        "environment",
        "team",
        "Environment",
        "env",
        "Team",
    ];
    let account = &world.accounts["prod"];
    account
        .resources
        .iter()
        .map(|(arn, item)| {
            let left_alone = item.tags.contains_key(IGNORE_TAG)
                || owner_of(&item.tags).is_some()
                || item.name.ends_with('2');
            let tags = item
                .tags
                .iter()
                .filter(|(k, _)| left_alone || !managed.contains(&k.as_str()))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect();
            let lifecycle = account
                .buckets
                .get(&item.name)
                .and_then(|b| b.lifecycle.clone())
                .unwrap_or_default();
            let rules: Vec<Rule> = lifecycle
                .rules
                .into_iter()
                .filter(|r| left_alone || !r.is_ours())
                .collect();
            let minimum = if rules.is_empty() {
                None
            } else {
                lifecycle.transition_default_minimum_object_size
            };
            (arn.clone(), (tags, rules, minimum))
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn applied_plans_leave_nothing_and_foreign_things_survive(world in world()) {
        let loaded = loaded();
        let before = foreign(&world);
        let values_before: BTreeMap<String, Tags> = world.accounts["prod"].resources.iter().map(|(a, i)| (a.clone(), i.tags.clone())).collect();
        let sandbox = Sandbox::in_memory(world);
        block_on(async {
            let first = plan(&sandbox, &loaded).await;
            let same = plan(&sandbox, &loaded).await;
            assert_eq!(
                serde_json::to_string(&first.changes).unwrap(),
                serde_json::to_string(&same.changes).unwrap(),
                "identical input gives identical plans"
            );
            let outcomes = apply(&sandbox, &first).await;
            for (change, outcome) in first.changes.iter().zip(&outcomes) {
                assert_eq!(outcome.outcome, OutcomeKind::Applied, "{} {:?}", change.address, outcome.error);
            }
            let again = plan(&sandbox, &loaded).await;
            assert!(again.changes.is_empty(), "{:#?}", again.changes);
        });
        let after = sandbox.world();
        prop_assert_eq!(foreign(&after), before);
        // A value that somebody set under a managed key is never overwritten.
        for (arn, tags) in values_before {
            for key in ["project", "environment", "team"] {
                if let Some(value) = tags.get(key) {
                    prop_assert_eq!(after.accounts["prod"].resources[&arn].tags.get(key), Some(value));
                }
            }
        }
    }

    /// Whatever is unknown, no change is planned for it, and the plan says that it was not seen.
    #[test]
    fn the_unknown_is_never_changed(world in world(), blind in 0..4u8) {
        let loaded = loaded();
        let operation = ["tag:GetResources", "s3:GetBucketLifecycleConfiguration", "s3:ListBuckets", "sqs:ListQueues"][usize::from(blind)];
        let buckets = world.accounts["prod"].buckets.len();
        let sandbox = Sandbox::in_memory(world).with_faults(Box::new(move |op, _| (op == operation).then(|| Fault::Refuse("AccessDenied".into()))));
        block_on(async {
            let plan = plan(&sandbox, &loaded).await;
            assert!(buckets == 0 || plan.unobserved.iter().any(|g| g.operation == operation));
            for change in &plan.changes {
                let of_bucket = change.resource.kind == "s3-bucket";
                let hidden = match blind {
                    0 => true,
                    1 => change.control.as_str() == "lifecycle",
                    2 => of_bucket,
                    _ => change.resource.kind == "sqs-queue",
                };
                assert!(!hidden, "{} was not seen and is changed", change.address);
            }
            for counts in plan.counts.values().flat_map(|c| c.values()) {
                assert!(counts.compliant + counts.unobserved <= counts.checked);
            }
        });
    }

    /// Any sequence of plans and applies, some cut off by failures, ends where one clean run does.
    #[test]
    fn interrupted_runs_converge_to_the_same_account(world in world(), seed in any::<u64>()) {
        let loaded = loaded();
        let clean = Sandbox::in_memory(world.clone());
        block_on(async {
            let first = plan(&clean, &loaded).await;
            apply(&clean, &first).await;
        });
        let random = std::sync::Mutex::new(fastrand_like(seed));
        let shaky = Sandbox::in_memory(world).with_faults(Box::new(move |op, _| {
            if !(op.starts_with("tag:Tag") || op.starts_with("tag:Untag") || op.contains("PutBucket") || op.contains("DeleteBucket")) {
                return None;
            }
            let mut state = random.lock().unwrap();
            *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            match *state >> 61 {
                0 | 1 => Some(Fault::Refuse("InternalError".into())),
                2 => Some(Fault::AnswerLost),
                _ => None,
            }
        }));
        block_on(async {
            for _ in 0..40 {
                let next = plan(&shaky, &loaded).await;
                if next.changes.is_empty() {
                    break;
                }
                apply(&shaky, &next).await;
            }
        });
        prop_assert_eq!(shaky.world().accounts, clean.world().accounts);
    }
}

fn fastrand_like(seed: u64) -> u64 {
    seed | 1
}

/// An unknown tag set is not an empty one: nothing is inferred from it.
#[test]
fn unknown_tags_match_no_rule_that_asks_for_tags() {
    let loaded = loaded();
    let (target, _) = targets(&loaded).remove(0);
    let mut account = Account {
        id: "123456789012".into(),
        ..Account::default()
    };
    account.resources.insert(
        "arn:aws:s3:::b".into(),
        Item {
            kind: ResourceType::S3_BUCKET,
            name: "b".into(),
            region: "eu-west-1".into(),
            tags: Tags::new(),
        },
    );
    account.buckets.insert(
        "b".into(),
        BucketItem {
            region: "eu-west-1".into(),
            ..BucketItem::default()
        },
    );
    account.denied = vec!["tag:GetResources".into()];
    let world = World {
        scenario: String::new(),
        seed: String::new(),
        accounts: BTreeMap::from([("prod".to_owned(), account)]),
        locks: BTreeMap::new(),
    };
    let sandbox = Sandbox::in_memory(world);
    block_on(async {
        let seen = sandbox
            .observe(
                &target,
                &Want {
                    tags: true,
                    lifecycle: true,
                    ..Want::default()
                },
            )
            .await;
        assert!(matches!(seen.resources[0].tags, Observed::Unknown(_)));
        let plan = plan(&sandbox, &loaded).await;
        assert!(plan.changes.is_empty(), "{:#?}", plan.changes);
        assert!(plan.summary.unobserved > 0);
    });
}

fn backup() -> impl Strategy<Value = opsctl::sandbox::backups::BackupSeed> {
    use opsctl::model::settings::Versioning;
    use opsctl::sandbox::backups::BackupSeed;
    let versioning = prop::sample::select(vec![
        Versioning::Off,
        Versioning::Suspended,
        Versioning::Enabled,
    ]);
    let copied = prop::sample::select(vec![None, Some("eu-central-1"), Some("us-east-1")]);
    let status = prop::sample::select(vec!["available", "available", "available", "stopped"]);
    (
        (0u32..=35, any::<bool>(), any::<bool>(), copied, status),
        (any::<bool>(), any::<bool>(), versioning, any::<bool>()),
        (any::<bool>(), prop::option::weighted(0.2, Just("Port"))),
    )
        .prop_map(
            |(
                (retention_days, deletion_protection, copy_tags_to_snapshot, copied, status),
                (multi_az, encrypted, versioning, point_in_time_recovery),
                (mfa_delete, pending),
            )| BackupSeed {
                retention_days,
                deletion_protection,
                copy_tags_to_snapshot,
                copied_to: copied.into_iter().map(|r| (r.to_owned(), 5)).collect(),
                multi_az,
                encrypted,
                status: status.to_owned(),
                pending: pending.into_iter().map(str::to_owned).collect(),
                point_in_time_recovery,
                versioning,
                mfa_delete,
                ..BackupSeed::default()
            },
        )
}

fn backed_up() -> impl Strategy<Value = World> {
    let one = (0..4u8, tags(), backup());
    prop::collection::vec(one, 1..10).prop_map(|things| {
        let names: Vec<String> = (0..things.len()).map(|i| format!("x-backup{i}")).collect();
        let kinds = ["rds-instance", "rds-cluster", "dynamodb-table", "s3-bucket"];
        let seeds: Vec<_> = things
            .iter()
            .zip(&names)
            .map(|((kind, _, seed), name)| (kinds[usize::from(*kind)], name.as_str(), seed.clone()))
            .collect();
        let mut world = crate::backups::world(&seeds);
        let account = world.accounts.get_mut("prod").unwrap();
        for ((_, tags, _), name) in things.iter().zip(&names) {
            let own = account.resources.values_mut().find(|i| &i.name == name);
            own.unwrap().tags = tags.clone();
        }
        world
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// Applied plans leave nothing but the copies of backups that did not exist before; protection
    /// only grows; what waits, what is exempt, ignored, owned or stopped stays as it is.
    #[test]
    fn backups_only_get_stronger(world in backed_up()) {
        let loaded = crate::backups::loaded();
        let before = world.accounts["prod"].clone();
        let sandbox = Sandbox::in_memory(world);
        block_on(async {
            // Where backups are switched on, their copy comes with the second plan.
            for round in 0..3 {
                let next = crate::backups::plan(&sandbox, &loaded).await;
                let same = crate::backups::plan(&sandbox, &loaded).await;
                assert_eq!(serde_json::to_string(&next.changes).unwrap(), serde_json::to_string(&same.changes).unwrap());
                if round == 2 {
                    assert!(next.changes.is_empty(), "{:#?}", next.changes);
                }
                if round == 1 {
                    let copies = next.changes.iter().all(|c| c.fields.iter().all(|f| f.field == "copied_to"));
                    assert!(copies, "{:#?}", next.changes);
                }
                for (change, outcome) in next.changes.iter().zip(apply(&sandbox, &next).await) {
                    assert_eq!(outcome.outcome, OutcomeKind::Applied, "{} {:?}", change.address, outcome.error);
                }
            }
        });
        let after = sandbox.world().accounts["prod"].clone();
        for (arn, was) in &before.protection {
            let (is, tags) = (&after.protection[arn], &before.resources[arn].tags);
            prop_assert!(is.retention_days >= was.retention_days);
            prop_assert!(is.deletion_protection >= was.deletion_protection);
            prop_assert!(is.copy_tags_to_snapshot >= was.copy_tags_to_snapshot);
            prop_assert!(is.point_in_time_recovery >= was.point_in_time_recovery);
            prop_assert!(was.copied_to.iter().all(|c| is.copied_to.get(c.0) == Some(c.1)));
            prop_assert_eq!(&is.pending, &was.pending);
            prop_assert_eq!((&is.status, is.multi_az, is.encrypted), (&was.status, was.multi_az, was.encrypted));
            let bucket = arn.starts_with("arn:aws:s3");
            let held = tags.contains_key(IGNORE_TAG)
                || owner_of(tags).is_some()
                || (!bucket && !arn.contains(":dynamodb:") && (!was.pending.is_empty() || was.status == "stopped"))
                || (bucket && was.mfa_delete);
            if held {
                prop_assert_eq!(is, was);
            }
        }
        prop_assert_eq!(&before.resources, &after.resources);
        prop_assert_eq!(&before.buckets, &after.buckets);
    }
}
