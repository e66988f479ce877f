//! One suite over every side of the door: what the sandbox promises, moto and ministack keep too.

use std::collections::BTreeSet;
use std::time::Duration;

use opsctl::aws::{AwsCloud, Settings};
use opsctl::cloud::{Call, Cloud, LockError, LockPlace, Subject, Target, Want};
use opsctl::inventory::Observed;
use opsctl::model::lifecycle::*;
use opsctl::model::{ResourceType, Tags};
use opsctl::sandbox::Sandbox;
use opsctl::sandbox::backups::BackupSeed;
use opsctl::sandbox::world::{Account, BucketItem, Item, World};

use crate::emulator::{ACCOUNT, Emulator, ministack, moto};

const REGION: &str = "eu-west-1";

pub fn target() -> Target {
    Target {
        environment: "prod".into(),
        account: ACCOUNT.into(),
        regions: vec![REGION.into()],
        profile: None,
        role_arn: None,
        external_id: None,
    }
}

fn bucket(name: &str) -> Subject {
    Subject {
        arn: format!("arn:aws:s3:::{name}"),
        kind: ResourceType::S3_BUCKET,
        name: name.into(),
        region: REGION.into(),
    }
}

fn queue(name: &str) -> Subject {
    Subject {
        arn: format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"),
        kind: ResourceType::SQS_QUEUE,
        name: name.into(),
        region: REGION.into(),
    }
}

pub fn tags(pairs: &[(&str, &str)]) -> Tags {
    pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect()
}

fn rule(id: &str) -> Rule {
    Rule {
        id: Some(id.into()),
        status: "Enabled".into(),
        prefix: None,
        filter: Some(Filter {
            prefix: Some(String::new()),
            ..Filter::default()
        }),
        expiration: None,
        transitions: Vec::new(),
        noncurrent_version_transitions: Vec::new(),
        noncurrent_version_expiration: None,
        abort_incomplete_multipart_upload: Some(7),
    }
}

/// What an emulator is known not to keep; the case that meets it is left out and says so here.
struct Lies {
    /// `TransitionDefaultMinimumObjectSize` always reads its default.
    minimum_size: bool,
    /// Top-level prefixes become empty filters.
    v1: bool,
    /// Invalid rules are accepted.
    lenient: bool,
}

/// Expects two empty buckets `plain-one`, `plain-two` and a queue `plain`.
async fn contract(cloud: &dyn Cloud, lies: Lies) {
    let target = target();
    assert_eq!(cloud.caller_account(&target).await.unwrap(), ACCOUNT);
    tagging(cloud, &target).await;
    lifecycle(cloud, &target, &lies).await;
    locking(cloud, &target).await;
    observing(cloud, &target).await;
    assert!(cloud.meter().snapshot().requests > 10);
}

/// Settings of a bucket and metrics of our own, on both sides of the door.
async fn settings(cloud: &dyn Cloud, target: &Target) {
    use opsctl::cloud::{MetricPoint, SeriesQuery, TimeSpan};
    use opsctl::drill::metrics;
    use opsctl::model::settings::Versioning;
    let state = async |name: &str| {
        let none = BTreeSet::new();
        match cloud.read_settings(target, &bucket(name), &none).await {
            Observed::Known(reading) => reading.settings.versioning,
            Observed::Absent => None,
            Observed::Unknown(e) => panic!("{e}"),
        }
    };
    assert_eq!(state("plain-one").await, Some(Versioning::Off));
    assert_eq!(state("no-such-bucket-anywhere").await, None);
    let on = |name: &str| Call::EnableVersioning {
        region: REGION.into(),
        bucket: name.into(),
    };
    for _ in 0..2 {
        cloud
            .execute(target, &on("plain-one"))
            .await
            .remove(0)
            .unwrap();
        assert_eq!(state("plain-one").await, Some(Versioning::Enabled));
    }
    assert_eq!(state("plain-two").await, Some(Versioning::Off));
    let gone = cloud.execute(target, &on("no-such-bucket-anywhere")).await;
    assert_eq!(gone[0].as_ref().unwrap_err().code, "NoSuchBucket");
    let table = Subject {
        arn: format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/none"),
        kind: ResourceType::DYNAMODB_TABLE,
        name: "none".into(),
        region: REGION.into(),
    };
    let none = BTreeSet::new();
    let reading = cloud.read_settings(target, &table, &none).await;
    assert_eq!(reading, Observed::Absent);
    let database = Subject {
        arn: format!("arn:aws:rds:{REGION}:{ACCOUNT}:db:none"),
        kind: ResourceType::RDS_INSTANCE,
        name: "none".into(),
        region: REGION.into(),
    };
    let reading = cloud.read_settings(target, &database, &none).await;
    assert_eq!(reading, Observed::Absent);

    let metric = |drill: &str| metrics::metric(metrics::PASSED, "shop", "prod", drill);
    let points = [("orders", 1.0), ("carts", 0.0)].map(|(drill, value)| MetricPoint {
        metric: metric(drill),
        value,
        unit: "Count",
    });
    cloud.put_metrics(target, REGION, &points).await.unwrap();
    let now = jiff::Timestamp::now();
    let hour = jiff::SignedDuration::from_hours(1);
    let span = TimeSpan {
        from: now - hour,
        to: now + hour,
    };
    let queries = ["orders", "carts", "none"].map(|drill| SeriesQuery {
        metric: metric(drill),
        statistic: "Maximum".into(),
        period: 60,
    });
    let found = cloud.metric_data(target, REGION, &queries, &span).await;
    let values: Vec<Vec<f64>> = found
        .into_iter()
        .map(|series| series.unwrap().into_iter().map(|(_, v)| v).collect())
        .collect();
    assert_eq!(values, [vec![1.0], vec![0.0], vec![]]);
}

async fn tagging(cloud: &dyn Cloud, target: &Target) {
    for subjects in [
        vec![bucket("plain-one"), bucket("plain-two")],
        vec![queue("plain")],
    ] {
        assert_eq!(
            cloud.read_tags(target, &subjects[0]).await,
            Observed::Known(Tags::new()),
            "never tagged"
        );
        let set = |pairs: &[(&str, &str)]| Call::TagResources {
            region: REGION.into(),
            resources: subjects.clone(),
            set: tags(pairs),
        };
        for result in cloud
            .execute(target, &set(&[("a", "1"), ("Größe", "")]))
            .await
        {
            result.unwrap();
        }
        // A second write merges: it adds and overwrites, and leaves the rest.
        for result in cloud.execute(target, &set(&[("a", "2"), ("b", "3")])).await {
            result.unwrap();
        }
        for subject in &subjects {
            let expected = tags(&[("a", "2"), ("b", "3"), ("Größe", "")]);
            assert_eq!(
                cloud.read_tags(target, subject).await,
                Observed::Known(expected)
            );
        }
        let untag = Call::UntagResources {
            region: REGION.into(),
            resources: subjects.clone(),
            keys: BTreeSet::from(["a".to_owned(), "never-there".to_owned()]),
        };
        for result in cloud.execute(target, &untag).await {
            result.unwrap();
        }
        let expected = tags(&[("b", "3"), ("Größe", "")]);
        assert_eq!(
            cloud.read_tags(target, &subjects[0]).await,
            Observed::Known(expected)
        );
    }
    // One that does not exist fails alone.
    let call = Call::TagResources {
        region: REGION.into(),
        resources: vec![queue("plain"), queue("not-there")],
        set: tags(&[("c", "4")]),
    };
    let results = cloud.execute(target, &call).await;
    assert!(results[0].is_ok(), "{:?}", results[0]);
    assert!(results[1].is_err());
    assert!(!matches!(
        cloud.read_tags(target, &queue("not-there")).await,
        Observed::Known(_)
    ));
}

async fn lifecycle(cloud: &dyn Cloud, target: &Target, lies: &Lies) {
    let read = async || {
        cloud
            .read_lifecycle(target, REGION, "plain-one")
            .await
            .configuration
    };
    assert_eq!(read().await, Observed::Absent);
    let mut forms = vec![
        vec![rule("opsctl-a")],
        vec![
            Rule {
                filter: Some(Filter {
                    prefix: Some("tmp/".into()),
                    ..Filter::default()
                }),
                ..rule("prefix")
            },
            Rule {
                filter: Some(Filter {
                    tag: Some(Tag {
                        key: "k".into(),
                        value: "v".into(),
                    }),
                    ..Filter::default()
                }),
                abort_incomplete_multipart_upload: None,
                expiration: Some(Expiration {
                    days: Some(9),
                    ..Expiration::default()
                }),
                ..rule("tag")
            },
            Rule {
                transitions: vec![
                    Transition {
                        days: Some(30),
                        date: None,
                        storage_class: Some("STANDARD_IA".into()),
                    },
                    Transition {
                        days: Some(90),
                        date: None,
                        storage_class: Some("GLACIER_IR".into()),
                    },
                ],
                noncurrent_version_expiration: Some(NoncurrentExpiration {
                    noncurrent_days: Some(365),
                    newer_noncurrent_versions: Some(3),
                }),
                ..rule("opsctl-tiering")
            },
            Rule {
                status: "Disabled".into(),
                ..rule("off")
            },
        ],
    ];
    if !lies.v1 {
        forms.push(vec![Rule {
            prefix: Some("old/".into()),
            filter: None,
            ..rule("v1")
        }]);
        forms.push(vec![Rule {
            filter: Some(Filter {
                and: Some(And {
                    prefix: Some("a/".into()),
                    tags: vec![Tag {
                        key: "k".into(),
                        value: "v".into(),
                    }],
                    object_size_greater_than: Some(5),
                    object_size_less_than: None,
                }),
                ..Filter::default()
            }),
            abort_incomplete_multipart_upload: None,
            expiration: Some(Expiration {
                days: Some(9),
                ..Expiration::default()
            }),
            ..rule("and")
        }]);
    }
    for rules in forms {
        let minimum = if lies.minimum_size {
            "all_storage_classes_128K"
        } else {
            "varies_by_storage_class"
        };
        let configuration = LifecycleConfiguration {
            transition_default_minimum_object_size: Some(minimum.into()),
            rules,
        };
        assert_eq!(configuration.violations(), Vec::<String>::new());
        let call = Call::PutLifecycle {
            region: REGION.into(),
            bucket: "plain-one".into(),
            configuration: configuration.clone(),
        };
        cloud.execute(target, &call).await.remove(0).unwrap();
        match read().await {
            Observed::Known(now) => assert_eq!(configuration.difference(&now), None, "{now:#?}"),
            other => panic!("{other:?}"),
        }
    }
    if !lies.lenient {
        let bad = LifecycleConfiguration {
            transition_default_minimum_object_size: None,
            rules: vec![rule("same"), rule("same")],
        };
        assert!(!bad.violations().is_empty());
        let call = Call::PutLifecycle {
            region: REGION.into(),
            bucket: "plain-two".into(),
            configuration: bad,
        };
        let error = cloud.execute(target, &call).await.remove(0).unwrap_err();
        assert!(!error.maybe_done, "{error:?}");
        assert_eq!(
            cloud
                .read_lifecycle(target, REGION, "plain-two")
                .await
                .configuration,
            Observed::Absent
        );
    }
    let delete = Call::DeleteLifecycle {
        region: REGION.into(),
        bucket: "plain-one".into(),
    };
    cloud.execute(target, &delete).await.remove(0).unwrap();
    assert_eq!(read().await, Observed::Absent);
    let nowhere = cloud
        .read_lifecycle(target, REGION, "no-such-bucket-here")
        .await
        .configuration;
    assert!(
        nowhere.is_unknown(),
        "a bucket that is not there has no absent configuration: {nowhere:?}"
    );
}

async fn locking(cloud: &dyn Cloud, target: &Target) {
    let place = LockPlace {
        target: target.clone(),
        region: REGION.into(),
        bucket: "plain-two".into(),
        key: "opsctl/x.lock".into(),
    };
    let token = cloud.lock(&place, "first").await.unwrap();
    assert_eq!(
        cloud.lock(&place, "second").await,
        Err(LockError::Held("first".into()))
    );
    assert!(
        cloud.unlock(&place, "second", "").await.is_err(),
        "not ours to release"
    );
    cloud.unlock(&place, "first", &token).await.unwrap();
    let token = cloud.lock(&place, "third").await.unwrap();
    cloud.unlock(&place, "third", &token).await.unwrap();
}

async fn observing(cloud: &dyn Cloud, target: &Target) {
    let seen = cloud
        .observe(
            target,
            &Want {
                tags: true,
                lifecycle: true,
                ..Want::default()
            },
        )
        .await;
    let find = |name: &str| seen.resources.iter().find(|r| r.name == name);
    assert_eq!(
        find("plain-two")
            .and_then(|r| r.tags.known())
            .and_then(|t| t.get("b"))
            .map(String::as_str),
        Some("3")
    );
    assert!(find("plain").is_some_and(|r| r.kind == ResourceType::SQS_QUEUE));
    assert!(seen.buckets.contains_key("plain-one"));
    let mut sorted = seen.resources.clone();
    sorted.sort_by(|a, b| (&a.kind, &a.region, &a.name).cmp(&(&b.kind, &b.region, &b.name)));
    assert_eq!(sorted, seen.resources);
}

/// Credentials come from the environment that `tests/run` sets.
pub fn aws(emulator: &Emulator) -> AwsCloud {
    assert!(
        std::env::var_os("AWS_ACCESS_KEY_ID").is_some(),
        "no test credentials: run the tests with tests/run"
    );
    AwsCloud::new(Settings {
        endpoint_url: Some(emulator.url()),
        concurrency: 8,
        timeout: Duration::from_secs(120),
        profile_override: None,
    })
}

pub fn run(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future);
}

/// Two empty buckets and a queue, without anything.
fn plain_world() -> World {
    let mut account = Account {
        id: ACCOUNT.into(),
        ..Account::default()
    };
    for name in ["plain-one", "plain-two"] {
        let subject = bucket(name);
        account.buckets.insert(
            name.into(),
            BucketItem {
                region: REGION.into(),
                ..BucketItem::default()
            },
        );
        let off = BackupSeed {
            versioning: opsctl::model::settings::Versioning::Off,
            ..BackupSeed::default()
        };
        account.protection.insert(subject.arn.clone(), off);
        account.resources.insert(
            subject.arn,
            Item {
                kind: subject.kind,
                name: name.into(),
                region: REGION.into(),
                tags: Tags::new(),
            },
        );
    }
    let subject = queue("plain");
    account.resources.insert(
        subject.arn,
        Item {
            kind: subject.kind,
            name: "plain".into(),
            region: REGION.into(),
            tags: Tags::new(),
        },
    );
    World {
        scenario: "contract".into(),
        seed: String::new(),
        accounts: [("prod".to_owned(), account)].into(),
        locks: Default::default(),
    }
}

#[test]
fn the_sandbox_keeps_the_contract() {
    run(contract(
        &Sandbox::in_memory(plain_world()),
        Lies {
            minimum_size: false,
            v1: false,
            lenient: false,
        },
    ));
}

#[test]
fn moto_keeps_the_contract() {
    let emulator = moto();
    emulator.python("seed_plain.py", &["--contract"]);
    run(contract(
        &aws(&emulator),
        Lies {
            minimum_size: false,
            v1: false,
            lenient: false,
        },
    ));
    assert_eq!(emulator.violations(), Vec::<String>::new());
}

#[test]
fn ministack_keeps_the_contract() {
    let emulator = ministack();
    emulator.python("seed_plain.py", &["--contract"]);
    run(contract(
        &aws(&emulator),
        Lies {
            minimum_size: true,
            v1: true,
            lenient: true,
        },
    ));
}

#[test]
fn settings_and_metrics_are_the_same_on_both_sides() {
    run(settings(&Sandbox::in_memory(plain_world()), &target()));
    let emulator = moto();
    emulator.python("seed_plain.py", &["--contract"]);
    run(settings(&aws(&emulator), &target()));
    assert_eq!(emulator.violations(), Vec::<String>::new());
}
