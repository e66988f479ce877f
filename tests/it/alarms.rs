//! Alarms through the sandbox: what is applied needs nothing more, what is foreign stays, what fails
//! is told, and the metrics have a history.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use opsctl::apply::{Outcome, OutcomeKind};
use opsctl::cloud::{Cloud, SeriesQuery, TimeSpan, Want};
use opsctl::config::Loaded;
use opsctl::model::object::{MetricId, Object};
use opsctl::model::{Control, ResourceType, Tags};
use opsctl::plan::build::{PlanEnvironment, PlanRequest, build};
use opsctl::plan::{ActionKind, Operation, Plan, check};
use opsctl::sandbox::alarms::AttributeSeed;
use opsctl::sandbox::objects::alarm_limits::refuses;
use opsctl::sandbox::world::{Account, AlarmItem, Item, World};
use opsctl::sandbox::{Fault, Sandbox, scenario};
use proptest::prelude::*;

use crate::support::{NOW, apply, block_on, json, opsctl, project, targets};

const ACCOUNT: &str = "123456789012";
const WORKSPACE: &str = r#"
[project]
name = "shop"
team = "core"

[environments.prod]
account = "123456789012"
regions = ["eu-west-1", "us-east-1"]
stage = "stage-1"
monthly_budget_usd = 50
notify = { page = ["sns:pager"], ticket = ["mailto:ops@shop.example", "sns:desk"], info = [] }
"#;
const BUSINESS: &str = r#"
[alarms.business.failures]
failed = { namespace = "Shop", metric = "Failed" }
total = { namespace = "Shop", metric = "Total" }
above_percent = "0.5"
no_data_after = "15m"
[alarms.business.slow]
metric = { namespace = "Shop", metric = "Milliseconds", statistic = "p99" }
above = 800
severity = "info"
[alarms.business.unusual]
metric = { namespace = "Shop", metric = "Orders", statistic = "Sum" }
anomaly = true
severity = "ticket"
[alarms.slo.checkout]
good = { namespace = "Shop", metric = "Good" }
total = { namespace = "Shop", metric = "Total" }
objective_percent = "99.9"
window = "30d"
"#;

/// A project with only the alarms policy.
fn loaded(policy: &str) -> Loaded {
    let policy = format!("[alarms]\nprefix = \"shop-prod-\"\n{policy}");
    let stage = "[stage]\nname = \"stage-1\"\ntitle = \"t\"\nusers = { from = 0, to = 1_000 }\nmonthly_cost_usd = { from = 20, to = 100 }\npolicies = [\"alarms\"]\n";
    let dir = project(&[
        ("opsctl.toml", WORKSPACE),
        ("policies/alarms.toml", &policy),
        ("stacks/stage-1.toml", stage),
    ]);
    let mut loaded = Loaded::read(Some(dir.path()));
    loaded.check_all();
    assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
    loaded
}

async fn plan(cloud: &dyn Cloud, loaded: &Loaded, controls: &[Control]) -> Plan {
    let mut environments = Vec::new();
    for (target, stage) in targets(loaded) {
        let resolved = loaded.resolve(Some(&target.environment), &stage).unwrap();
        let want = opsctl::controls::want(controls, &resolved, Want::default());
        let inventory = cloud.observe(&target, &want).await;
        environments.push(PlanEnvironment {
            target,
            resolved,
            inventory,
        });
    }
    let plan = build(
        &environments,
        &PlanRequest {
            controls,
            only: None,
            destroy: false,
            now: NOW.parse::<Timestamp>().unwrap(),
            accepted: &Default::default(),
            sandbox: None,
            lock: None,
            api: cloud.meter().snapshot(),
        },
    );
    check::check(&plan).unwrap();
    plan
}

fn world(account: Account) -> World {
    World {
        scenario: "alarms".into(),
        seed: String::new(),
        accounts: BTreeMap::from([("prod".to_owned(), account)]),
        locks: BTreeMap::new(),
    }
}

fn resource(account: &mut Account, kind: &str, region: &str, name: &str, seed: AttributeSeed) {
    let arn = match kind {
        "rds-instance" => format!("arn:aws:rds:{region}:{ACCOUNT}:db:{name}"),
        "lambda-function" => format!("arn:aws:lambda:{region}:{ACCOUNT}:function:{name}"),
        "elasticache-cluster" => format!("arn:aws:elasticache:{region}:{ACCOUNT}:cluster:{name}"),
        "dynamodb-table" => format!("arn:aws:dynamodb:{region}:{ACCOUNT}:table/{name}"),
        _ => format!("arn:aws:sqs:{region}:{ACCOUNT}:{name}"),
    };
    let item = Item {
        kind: ResourceType::new(kind),
        name: name.into(),
        region: region.into(),
        tags: Tags::new(),
    };
    account.resources.insert(arn.clone(), item);
    account.attributes.insert(arn, seed);
}

fn account() -> Account {
    Account {
        id: ACCOUNT.into(),
        ..Account::default()
    }
}

/// An alarm as it stands in an account before opsctl comes.
fn held(account: &mut Account, alarm: Object, tags: Tags) {
    let arn = alarm
        .kind()
        .arn("aws", alarm.region(), ACCOUNT, alarm.name());
    let item = Item {
        kind: ResourceType::CLOUDWATCH_ALARM,
        name: alarm.name().into(),
        region: alarm.region().into(),
        tags,
    };
    account.resources.insert(arn.clone(), item);
    let state = "OK".to_owned();
    account.alarms.insert(
        arn,
        AlarmItem {
            alarm,
            state,
            state_days: 0,
        },
    );
}

fn kinds(outcomes: &[Outcome]) -> BTreeSet<OutcomeKind> {
    outcomes.iter().map(|o| o.outcome).collect()
}

fn arb_class() -> impl Strategy<Value = AttributeSeed> {
    (
        prop::sample::select(vec![
            "db.t4g.micro",
            "db.r6g.large",
            "db.x9.large",
            "db.serverless",
        ]),
        prop::sample::select(vec![
            "postgres",
            "mysql",
            "aurora-postgresql",
            "sqlserver-se",
        ]),
        prop::sample::select(vec!["gp2", "gp3", "io1"]),
        1..4_000u64,
        any::<bool>(),
    )
        .prop_map(|(class, engine, storage, gib, replica)| AttributeSeed {
            class: Some(class.into()),
            engine: Some(engine.into()),
            storage_type: Some(storage.into()),
            allocated_gib: Some(gib),
            replica_of: replica.then(|| "one".to_owned()),
            ..AttributeSeed::default()
        })
}

fn arb_account() -> impl Strategy<Value = Account> {
    let region = || prop::sample::select(vec!["eu-west-1", "us-east-1"]);
    let name = || prop::sample::select(vec!["one", "two", "two-dlq", "ü b", "x.fifo"]);
    (
        prop::collection::vec((region(), name(), arb_class()), 0..4),
        prop::collection::vec((region(), name(), 1..900u32, any::<bool>()), 0..4),
        prop::collection::vec((region(), name()), 0..4),
        prop::collection::vec((region(), name(), 1..4u32, any::<bool>()), 0..3),
    )
        .prop_map(|(dbs, functions, queues, caches)| {
            let mut account = account();
            for (region, name, seed) in dbs {
                resource(&mut account, "rds-instance", region, name, seed);
            }
            for (region, name, timeout, stream) in functions {
                let source = format!("arn:aws:kinesis:{region}:{ACCOUNT}:stream/s");
                let seed = AttributeSeed {
                    timeout: Some(timeout),
                    event_sources: stream.then_some(source).into_iter().collect(),
                    ..AttributeSeed::default()
                };
                resource(&mut account, "lambda-function", region, name, seed);
                resource(
                    &mut account,
                    "dynamodb-table",
                    region,
                    name,
                    Default::default(),
                );
            }
            for (region, name) in queues {
                resource(&mut account, "sqs-queue", region, name, Default::default());
            }
            for (region, name, nodes, memcached) in caches {
                let seed = AttributeSeed {
                    class: Some("cache.r7g.large".into()),
                    engine: Some(if memcached { "memcached" } else { "valkey" }.into()),
                    nodes: Some(nodes),
                    ..AttributeSeed::default()
                };
                resource(&mut account, "elasticache-cluster", region, name, seed);
            }
            account
        })
}

fn arb_policy() -> impl Strategy<Value = String> {
    let packs = vec![
        "business",
        "web",
        "database",
        "queue",
        "serverless",
        "cache",
        "storage",
    ];
    (
        prop::sample::subsequence(packs, 0..=7),
        any::<bool>(),
        1..99u32,
        prop::sample::select(vec!["page", "ticket", "info"]),
    )
        .prop_map(|(packs, business, threshold, severity)| {
            let packs: Vec<String> = packs.iter().map(|p| format!("\"{p}\"")).collect();
            format!(
                "packs = [{}]\n{}\n[alarms.tune.rds-cpu]\nthreshold = {threshold}\nseverity = \"{severity}\"\n[alarms.tune.dynamodb-system-errors]\nenabled = {business}\n",
                packs.join(", "),
                if business { BUSINESS } else { "" }
            )
        })
}

/// Foreign alarms of every kind, some with names of ours: made from ours, then changed.
fn foreign(account: &mut Account, sandbox: &World, every: usize) {
    let ours: Vec<Object> = sandbox.accounts["prod"]
        .alarms
        .values()
        .map(|a| a.alarm.clone())
        .collect();
    for (i, mut alarm) in ours
        .into_iter()
        .enumerate()
        .filter(|(i, _)| i % 3 == every % 3)
    {
        match &mut alarm {
            Object::MetricAlarm(a) => {
                if i % 2 == 0 {
                    a.name = format!("theirs-{i}");
                }
                a.description = "theirs".into();
                a.extra.insert("EvaluationWindow".into(), "5".into());
            }
            Object::CompositeAlarm(a) => {
                a.name = format!("shop-prod-theirs-{i}");
                a.children.clear();
                a.rule = "TRUE".into();
            }
            _ => {}
        }
        let other = Tags::from([("opsctl:managed".to_owned(), "shop/staging".to_owned())]);
        let tags = if i % 4 == 0 { other } else { Tags::new() };
        held(account, alarm, tags);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn what_is_applied_needs_nothing_more_and_spares_the_rest(
        start in arb_account(),
        first in arb_policy(),
        second in arb_policy(),
        every in 0usize..3,
    ) {
        // What opsctl would make, to find names that somebody else may have.
        let alone = Sandbox::in_memory(world(start.clone()));
        let (first, second) = (loaded(&first), loaded(&second));
        block_on(async {
            let planned = plan(&alone, &first, &[Control::Alarms]).await;
            for change in &planned.changes {
                if let Operation::Object { after: Some(alarm), .. } = &change.operation
                    && !matches!(**alarm, Object::Topic(_))
                {
                    prop_assert_eq!(refuses(alarm), None);
                }
            }
            apply(&alone, &planned).await;
            let mut account = start.clone();
            foreign(&mut account, &alone.world(), every);
            let theirs = account.alarms.clone();
            let sandbox = Sandbox::in_memory(world(account));
            // The second policy takes things away, the first brings them back.
            for policy in [&first, &second, &first] {
                let planned = plan(&sandbox, policy, &[Control::Alarms]).await;
                prop_assert!(planned.unobserved.is_empty());
                let outcomes = apply(&sandbox, &planned).await;
                for (change, outcome) in planned.changes.iter().zip(&outcomes) {
                    prop_assert_eq!(outcome.outcome, OutcomeKind::Applied, "{}: {:?}", change.address, outcome.error);
                }
                let left = plan(&sandbox, policy, &[Control::Alarms]).await;
                prop_assert!(left.changes.is_empty(), "{:?}", left.changes);
                let now = sandbox.world();
                for (arn, alarm) in &theirs {
                    prop_assert_eq!(Some(alarm), now.accounts["prod"].alarms.get(arn));
                }
            }
            Ok(())
        })?;
    }
}

/// Plans on a healthy account, then applies with the faults.
fn apply_with(
    faults: impl Fn(&str, &str) -> Option<Fault> + Send + Sync + 'static,
) -> (Plan, Vec<Outcome>) {
    let armed = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let loaded = loaded(&format!("packs = [\"business\"]\n{BUSINESS}"));
    let order = std::sync::atomic::Ordering::SeqCst;
    let sandbox = Sandbox::in_memory(world(account())).with_faults(Box::new({
        let armed = armed.clone();
        move |op, name| armed.load(order).then(|| faults(op, name)).flatten()
    }));
    block_on(async {
        let planned = plan(&sandbox, &loaded, &[Control::Alarms]).await;
        armed.store(true, order);
        let outcomes = apply(&sandbox, &planned).await;
        (planned, outcomes)
    })
}

#[test]
fn what_rests_on_something_that_was_refused_is_not_tried() {
    let (plan, outcomes) = apply_with(|op, name| {
        (op == "cloudwatch:PutMetricAlarm" && name == "shop-prod-slo-checkout-fast-short"
            || op == "sns:CreateTopic" && name == "desk")
            .then(|| Fault::Refuse("AccessDenied".into()))
    });
    let mut waiting = BTreeSet::new();
    for (change, outcome) in plan.changes.iter().zip(&outcomes) {
        let error = outcome.error.clone().unwrap_or_default();
        if error.contains("not tried: it needs") {
            waiting.insert(change.resource.name.clone());
        } else if outcome.outcome == OutcomeKind::Failed {
            assert!(error.contains("AccessDenied"), "{error}");
        }
    }
    // The composite needs its child; what goes to the desk needs the topic.
    for name in [
        "shop-prod-slo-checkout-fast",
        "shop-prod-unusual",
        "shop-prod-slo-checkout-trickle",
    ] {
        assert!(waiting.contains(name), "{waiting:?}");
    }
    assert_eq!(waiting.len(), 3, "{waiting:?}");
}

#[test]
fn an_answer_that_was_lost_is_found_to_have_been_carried_out() {
    for operation in [
        "cloudwatch:PutMetricAlarm",
        "cloudwatch:PutCompositeAlarm",
        "sns:CreateTopic",
    ] {
        let (_, outcomes) = apply_with(move |op, _| (op == operation).then_some(Fault::AnswerLost));
        assert_eq!(
            kinds(&outcomes),
            BTreeSet::from([OutcomeKind::Applied]),
            "{operation}"
        );
    }
}

#[test]
fn the_quota_is_told_and_nothing_is_tried_again() {
    let (_, outcomes) = apply_with(|op, _| {
        (op == "cloudwatch:PutMetricAlarm").then(|| Fault::Refuse("LimitExceeded".into()))
    });
    let told = outcomes.iter().filter_map(|o| o.error.as_deref());
    assert!(told.into_iter().any(|e| e.contains("LimitExceeded")));
}

#[test]
fn what_cannot_be_read_is_a_gap_and_not_planned() {
    for operation in [
        "cloudwatch:DescribeAlarms",
        "lambda:GetAccountSettings",
        "lambda:ListEventSourceMappings",
        "sqs:GetQueueAttributes",
        "cloudwatch:ListMetrics",
        "lambda:ListFunctions",
        "rds:DescribeDBInstances",
    ] {
        let mut start = account();
        resource(
            &mut start,
            "lambda-function",
            "eu-west-1",
            "pay",
            Default::default(),
        );
        resource(
            &mut start,
            "sqs-queue",
            "eu-west-1",
            "jobs",
            Default::default(),
        );
        resource(
            &mut start,
            "rds-instance",
            "eu-west-1",
            "db",
            Default::default(),
        );
        let loaded = loaded("packs = [\"serverless\", \"queue\", \"database\", \"web\"]\n");
        let full = Sandbox::in_memory(world(start.clone()));
        block_on(async {
            let planned = plan(&full, &loaded, &[Control::Alarms]).await;
            apply(&full, &planned).await;
            let mut after = full.world();
            let prod = after.accounts.get_mut("prod").unwrap();
            prod.denied = vec![operation.to_owned()];
            let blind = Sandbox::in_memory(after);
            let planned = plan(&blind, &loaded, &[Control::Alarms]).await;
            assert!(
                planned.changes.is_empty(),
                "{operation}: {:?}",
                planned.changes
            );
            assert!(
                planned.unobserved.iter().any(|g| g.operation == operation),
                "{operation}"
            );
            // Nothing is made either where nothing was there before.
            start.denied = vec![operation.to_owned()];
            let blind = Sandbox::in_memory(world(start.clone()));
            let planned_blind = plan(&blind, &loaded, &[Control::Alarms]).await;
            let deletes = planned_blind
                .changes
                .iter()
                .filter(|c| c.action != ActionKind::Create);
            assert_eq!(deletes.count(), 0);
        });
    }
}

#[test]
fn budgets_and_alarms_share_a_topic() {
    let loaded = {
        let policy =
            format!("[alarms]\nprefix = \"shop-prod-\"\npacks = [\"business\"]\n{BUSINESS}");
        let dir = project(&[
            (
                "opsctl.toml",
                WORKSPACE
                    .replace("regions = [\"eu-west-1\", ", "regions = [")
                    .as_str(),
            ),
            ("policies/alarms.toml", &policy),
        ]);
        let mut loaded = Loaded::read(Some(dir.path()));
        loaded.check_all();
        assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
        loaded
    };
    let both = [Control::Budgets, Control::Alarms];
    let policies = |plan: &Plan| -> BTreeMap<String, String> {
        let topics = plan.changes.iter().filter_map(|c| match &c.operation {
            Operation::Object {
                after: Some(after), ..
            } => match &**after {
                Object::Topic(t) => Some((t.name.clone(), t.policy.clone().unwrap())),
                _ => None,
            },
            _ => None,
        });
        let mut out = BTreeMap::new();
        for (name, policy) in topics {
            assert_eq!(
                out.insert(name.clone(), policy),
                None,
                "{name} is planned twice"
            );
        }
        out
    };
    block_on(async {
        let sandbox = Sandbox::in_memory(world(account()));
        let together = plan(&sandbox, &loaded, &both).await;
        assert!(
            !together
                .notes
                .iter()
                .any(|n| n.contains("want different things"))
        );
        let wanted = policies(&together);
        assert!(wanted["pager"].contains("cloudwatch.amazonaws.com"));
        assert!(wanted["pager"].contains("budgets.amazonaws.com"));
        // Each alone wants the same of what they share.
        for one in both {
            for (name, policy) in policies(&plan(&sandbox, &loaded, &[one]).await) {
                assert_eq!(wanted.get(&name), Some(&policy), "{name}");
            }
        }
        let outcomes = apply(&sandbox, &together).await;
        assert_eq!(kinds(&outcomes), BTreeSet::from([OutcomeKind::Applied]));
        for controls in [both.as_slice(), &both[..1], &both[1..]] {
            let left = plan(&sandbox, &loaded, controls).await;
            assert!(left.changes.is_empty(), "{:?}", left.changes);
        }
    });
}

#[test]
fn the_scenarios_show_every_kind_of_alarm_and_whose_it_is() {
    let dir = tempfile::TempDir::new().unwrap();
    let planned = json(&opsctl(
        dir.path(),
        &[
            "plan",
            "--sandbox",
            "findash",
            "-e",
            "prod",
            "--control",
            "alarms",
            "--format",
            "json",
        ],
    ));
    let changes = planned["changes"].as_array().unwrap();
    let names = |action: &str| -> BTreeSet<&str> {
        let of = changes.iter().filter(|c| c["action"] == action);
        of.filter_map(|c| c["resource"]["name"].as_str()).collect()
    };
    for name in [
        "findash-prod-transaction-failure-rate",
        "findash-prod-transaction-failure-rate-no-data",
        "findash-prod-slo-checkout-fast",
        "findash-prod-rds-free-storage-orders-prod",
        "findash-prod-alb-5xx-findash-prod",
        "findash-prod-api-5xx-findash-api-prod",
    ] {
        assert!(names("create").contains(name), "{name}");
    }
    assert_eq!(
        names("delete"),
        BTreeSet::from(["findash-prod-rds-cpu-orders-old"])
    );
    assert!(names("update").contains("findash-prod-sqs-dead-letters-findash-emails-dlq"));
    let conflict = planned["findings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|f| f["id"] == "alarms.conflict");
    assert!(
        conflict.unwrap()["address"]
            .as_str()
            .unwrap()
            .contains("findash-prod-rds-cpu-orders-prod")
    );
}

#[test]
fn metrics_have_a_rhythm_a_burst_and_a_gap() {
    let opened = scenario::open("findash", None).unwrap_or_else(|_| panic!("it opens"));
    let sandbox = Sandbox::in_memory(opened.world);
    let (target, _) = targets(&opened.loaded)
        .into_iter()
        .find(|(t, _)| t.environment == "prod")
        .unwrap();
    let query = |metric: &str| SeriesQuery {
        metric: MetricId {
            namespace: "FinDash".into(),
            metric: metric.into(),
            dimensions: BTreeMap::new(),
        },
        statistic: "Sum".into(),
        period: 300,
    };
    let now = Timestamp::now();
    let span = TimeSpan {
        from: now - SignedDuration::from_hours(24 * 14),
        to: now,
    };
    block_on(async {
        let queries = [
            query("TransactionsFailed"),
            query("Transactions"),
            query("Nothing"),
        ];
        let found = sandbox
            .metric_data(&target, "eu-west-1", &queries, &span)
            .await;
        let again = sandbox
            .metric_data(&target, "eu-west-1", &queries, &span)
            .await;
        let series: Vec<_> = found.into_iter().map(Result::unwrap).collect();
        assert_eq!(
            series,
            again.into_iter().map(Result::unwrap).collect::<Vec<_>>()
        );
        let [failed, total, nothing] = series.as_slice() else {
            panic!("three")
        };
        assert!(nothing.is_empty());
        let failed: BTreeMap<_, _> = failed.iter().copied().collect();
        let rates: Vec<f64> = total
            .iter()
            .map(|(t, n)| 100.0 * failed.get(t).copied().unwrap_or(0.0) / n)
            .collect();
        let bad = rates.iter().filter(|r| **r > 2.0).count();
        assert!(
            (10..=12).contains(&bad),
            "a burst of 55 minutes, once: {bad} periods"
        );
        let quiet = rates.iter().filter(|r| **r < 0.5).count();
        assert!(quiet > rates.len() * 9 / 10);
        // 40 minutes without a point: eight periods of five minutes.
        let gap = total
            .windows(2)
            .any(|w| (w[1].0 - w[0].0).total(jiff::Unit::Minute).unwrap() > 40.0);
        assert!(gap);
        let most = total.iter().map(|p| p.1).fold(0.0, f64::max);
        let least = total.iter().map(|p| p.1).fold(f64::MAX, f64::min);
        assert!(most > 4.0 * least, "{most} {least}");
        let listed = sandbox
            .list_metrics(&target, "eu-west-1", "FinDash", None)
            .await
            .unwrap();
        assert_eq!(listed.len(), 5);
    });
}

/// The history that the sandbox makes up says something of every kind of alarm.
#[test]
fn backtests_of_the_scenarios_show_what_would_have_fired() {
    let dir = tempfile::TempDir::new().unwrap();
    for (scenario, length, outcomes) in [
        (
            "findash",
            "14d",
            &["constant", "fires", "never", "no_data"][..],
        ),
        ("acme", "3d", &["fires", "never", "no_data", "not_possible"]),
    ] {
        let args = [
            "plan",
            "--sandbox",
            scenario,
            "-e",
            "prod",
            "--control",
            "alarms",
            "--backtest",
            length,
            "--format",
            "json",
        ];
        let planned = json(&opsctl(dir.path(), &args));
        let all = planned["backtest"].as_array().unwrap();
        let found: BTreeSet<&str> = all.iter().map(|b| b["outcome"].as_str().unwrap()).collect();
        assert_eq!(found, outcomes.iter().copied().collect(), "{scenario}");
        let alarms = planned["changes"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|c| c["resource"]["type"] == "cloudwatch-alarm" && c["action"] != "delete");
        assert_eq!(all.len(), alarms.count(), "{scenario}: one for each");
        let silent = all.iter().filter(|b| b["outcome"] == "no_data").count();
        assert!(
            silent * 4 < all.len(),
            "{scenario}: {silent} of {}",
            all.len()
        );
    }
}

/// Every finding about alarms, provoked in the scenario; without ListMetrics nothing is missing.
#[test]
fn the_default_scenario_shows_every_finding_of_the_hygiene() {
    let dir = tempfile::TempDir::new().unwrap();
    let found = json(&opsctl(
        dir.path(),
        &[
            "audit",
            "alarms",
            "--sandbox",
            "findash",
            "--format",
            "json",
        ],
    ));
    let ids: BTreeSet<&str> = found["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["id"].as_str().unwrap())
        .collect();
    for id in [
        "no-action",
        "actions-disabled",
        "action-nowhere",
        "topic-silent",
        "topic-refuses",
        "metric-missing",
        "insufficient-data",
        "resource-gone",
        "missing-data",
        "duplicate",
    ] {
        let id = format!("alarms.{id}");
        assert!(ids.contains(id.as_str()), "{id}: {ids:?}");
    }
}

/// What a page test says of an alarm whose topics take the message.
#[test]
fn a_page_test_in_the_sandbox_is_accepted() {
    let dir = tempfile::TempDir::new().unwrap();
    let test = |alarm: &str| {
        opsctl(
            dir.path(),
            &[
                "doctor",
                "--sandbox",
                "findash",
                "--page-test",
                alarm,
                "--yes",
            ],
        )
    };
    let ran = test("api-5xx-2023");
    assert_eq!(ran.code, 0, "{}\n{}", ran.stderr, ran.stdout);
    assert!(
        ran.stdout.contains("ops-alerts: took the message"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains("Its state is OK again"),
        "{}",
        ran.stdout
    );
    let ran = test("emails-late");
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("switched off"), "{}", ran.stderr);
}

#[test]
fn metrics_of_a_policy_are_compared_with_those_of_the_scenario() {
    let dir = project(&[(
        "policies/alarms.toml",
        r#"
[alarms]
prefix = "findash-prod-"
packs = ["business"]
[alarms.business.near]
metric = { namespace = "FinDash", metric = "TransactionFailed", statistic = "Sum" }
above = 1
[alarms.business.dimensioned]
metric = { namespace = "FinDash", metric = "Logins", statistic = "Sum", dimensions = { Stage = "prod" } }
above = 1
[alarms.business.nowhere]
metric = { namespace = "FinDsh", metric = "Logins", statistic = "Sum" }
above = 1
"#,
    )]);
    let ran = opsctl(
        dir.path(),
        &["metrics", "check", "--sandbox", "findash", "-e", "prod"],
    );
    assert_eq!(ran.code, 2, "{}\n{}", ran.stderr, ran.stdout);
    for text in [
        "did you mean TransactionsFailed?",
        "it exists with no dimensions, not with Stage=prod",
        "the namespace FinDsh has no metrics",
        "last point",
    ] {
        assert!(ran.stdout.contains(text), "{text}: {}", ran.stdout);
    }
    for scenario in ["findash", "acme"] {
        let empty = tempfile::TempDir::new().unwrap();
        let ran = opsctl(empty.path(), &["metrics", "check", "--sandbox", scenario]);
        assert_eq!(ran.code, 0, "{}", ran.stdout);
        assert!(ran.stdout.contains(" ok "), "{}", ran.stdout);
    }
}
