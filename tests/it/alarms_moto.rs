//! The binary against moto: alarms over a hundred resources, as another client reads them; alarms of
//! others, a killed apply, and what may not be seen.

use std::collections::BTreeSet;
use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::emulator::{Emulator, moto};
use crate::support::{json as parse, project};

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
const STAGE: &str = r#"
[stage]
name = "stage-1"
title = "The alarms alone"
users = { from = 0, to = 1_000 }
monthly_cost_usd = { from = 20, to = 100 }
policies = ["alarms"]
"#;
/// `tests/emulators/alarms_expected.py` says what it means.
const POLICY: &str = r#"
[alarms]
prefix = "shop-prod-"
packs = ["business", "database", "queue", "serverless", "cache"]
[alarms.business.failures]
failed = { namespace = "Shop", metric = "Failed", dimensions = { Stage = "prod" } }
total = { namespace = "Shop", metric = "Total", dimensions = { Stage = "prod" } }
above_percent = "0.5"
minimum_total = 100
no_data_after = "15m"
[alarms.business.slow]
metric = { namespace = "Shop", metric = "Milliseconds", statistic = "p99" }
above = 800
period = "5m"
datapoints = "2 of 3"
severity = "info"
region = "us-east-1"
[alarms.slo.checkout]
good = { namespace = "Shop", metric = "Good" }
total = { namespace = "Shop", metric = "Total" }
objective_percent = "99.9"
window = "30d"
[alarms.tune.sqs-age]
threshold = 300
period = "5m"
datapoints = "2 of 3"
severity = "page"
[alarms.tune.dynamodb-throttles]
match = { not_name = "table-00[1-9]" }
"#;

fn with_policy(policy: &str) -> TempDir {
    project(&[
        ("opsctl.toml", WORKSPACE),
        ("stacks/stage-1.toml", STAGE),
        ("policies/alarms.toml", policy),
    ])
}

/// So many of each in both regions; without them no alarms of packs.
fn seed(emulator: &Emulator, [databases, queues, tables, functions, cache]: [u32; 5]) {
    for region in ["eu-west-1", "us-east-1"] {
        let mut args: Vec<String> = ["--region", region].map(str::to_owned).into();
        for (what, n) in [
            ("databases", databases),
            ("queues", queues),
            ("tables", tables),
            ("functions", functions),
            ("cache", cache),
            ("buckets", 0),
            ("snapshots", 0),
            ("alarms", 0),
            ("topics", 0),
            ("log-groups", 0),
        ] {
            args.extend([format!("--{what}"), n.to_string()]);
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        emulator.python("seed.py", &args);
    }
    emulator.python("alarms_account.py", &["resources"]);
}

const SMALL: [u32; 5] = [2, 4, 1, 1, 1];

fn plan(emulator: &Emulator, dir: &TempDir) -> (i32, Value) {
    let args = ["plan", "--detailed-exitcode", "--format", "json"];
    let ran = emulator.opsctl(dir.path(), &args);
    assert!([0, 2, 3].contains(&ran.code), "{}", ran.stderr);
    (ran.code, parse(&ran))
}

fn apply(emulator: &Emulator, dir: &TempDir) -> Value {
    let args = ["apply", "--yes", "--max-deletes", "9", "--format", "json"];
    let ran = emulator.opsctl(dir.path(), &args);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stderr, ran.stdout);
    parse(&ran)
}

fn nothing_left(emulator: &Emulator, dir: &TempDir) -> Value {
    let (code, left) = plan(emulator, dir);
    assert_eq!(left["changes"], json!([]));
    assert_eq!(code, 0);
    left
}

fn count(document: &Value, operation: &str) -> u64 {
    document["api"]["by_operation"][operation]
        .as_u64()
        .unwrap_or_default()
}

fn names(document: &Value) -> BTreeSet<&str> {
    let changes = document["changes"].as_array().expect("changes");
    let alarms = changes
        .iter()
        .filter(|c| c["resource"]["type"] == "cloudwatch-alarm");
    alarms
        .map(|c| c["resource"]["name"].as_str().expect("a name"))
        .collect()
}

fn no_violations(emulator: &Emulator) {
    let violations = emulator.violations();
    assert!(violations.is_empty(), "{violations:#?}");
}

/// Two business alarms, an SLO, and the packs database, queue, serverless and cache.
#[test]
fn alarms_over_a_hundred_resources_are_what_the_policy_means() {
    let emulator = moto();
    seed(&emulator, [4, 28, 6, 6, 6]);
    emulator.python("alarms_account.py", &["foreign"]);
    let dir = with_policy(POLICY);
    let (code, planned) = plan(&emulator, &dir);
    assert_eq!(code, 2);
    assert!(names(&planned).len() > 100, "{:?}", names(&planned));
    let before = emulator.python("alarms_account.py", &["snapshot"]);
    assert!(!before.contains("shop-prod-"), "a plan changes nothing");

    let applied = apply(&emulator, &dir);
    assert_eq!(
        applied["changes"].as_array().unwrap().len(),
        planned["changes"].as_array().unwrap().len()
    );
    nothing_left(&emulator, &dir);
    // Each region has a rate of its own, and does not wait for the other one.
    let path = emulator.folder.path().join("requests.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    let puts: Vec<Value> = text
        .lines()
        .filter(|line| line.contains("\"PutMetricAlarm\"") && line.contains("shop-prod-"))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let quarter = &puts[..puts.len() / 4];
    for region in ["eu-west-1", "us-east-1"] {
        assert!(quarter.iter().any(|r| r["region"] == region), "{region}");
    }
    let said = emulator.python("alarms_expected.py", &[]);
    assert!(said.contains("alarms as the policy means them"), "{said}");
    let theirs: Value = serde_json::from_str(&before).unwrap();
    let now: Value =
        serde_json::from_str(&emulator.python("alarms_account.py", &["snapshot"])).unwrap();
    for (name, alarm) in theirs["eu-west-1"].as_object().unwrap() {
        assert_eq!(&now["eu-west-1"][name], alarm, "{name}");
    }
    no_violations(&emulator);
}

/// What people did to ours is put right, and nothing else is touched, ten times over.
#[test]
fn alarms_of_others_are_as_they_were_after_ten_plans_and_applies() {
    let emulator = moto();
    let dir = with_policy(&POLICY.replace(
        r#"packs = ["business", "database", "queue", "serverless", "cache"]"#,
        r#"packs = ["business"]"#,
    ));
    emulator.python("alarms_account.py", &["--composite", "foreign"]);
    // One has the name of ours, and another the name of what a composite of ours rests on.
    for taken in ["shop-prod-failures", "shop-prod-slo-checkout-slow-long"] {
        emulator.python("alarms_account.py", &["taken", taken]);
    }
    let snapshot = || -> Value {
        serde_json::from_str(&emulator.python("alarms_account.py", &["snapshot"])).unwrap()
    };
    let before = snapshot();
    assert_eq!(before["eu-west-1"].as_object().unwrap().len(), 8);
    for round in 0..10 {
        let (code, planned) = plan(&emulator, &dir);
        assert_eq!(code, if round == 0 { 2 } else { 0 }, "{planned:#}");
        let conflicts: BTreeSet<&str> = planned["findings"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|f| f["id"] == "alarms.conflict")
            .map(|f| f["address"].as_str().unwrap())
            .collect();
        let address = |name: &str| format!("prod/eu-west-1/cloudwatch-alarm/{name}#alarms");
        for name in [
            "shop-prod-failures",
            "shop-prod-slo-checkout-slow-long",
            "shop-prod-slo-checkout-slow",
        ] {
            assert!(conflicts.contains(address(name).as_str()), "{conflicts:?}");
            assert!(!names(&planned).contains(name), "{name}");
        }
        assert_eq!(conflicts.len(), 3, "{conflicts:?}");
        apply(&emulator, &dir);
    }
    // The time of the last write among them.
    let now = snapshot();
    for (name, alarm) in before["eu-west-1"].as_object().unwrap() {
        assert_eq!(&now["eu-west-1"][name], alarm, "{name}");
    }
    no_violations(&emulator);
}

/// Killed at any moment, the same apply converges.
#[test]
fn a_killed_apply_of_alarms_converges() {
    let emulator = moto();
    seed(&emulator, SMALL);
    emulator.python("alarms_account.py", &["foreign"]);
    let dir = with_policy(POLICY);
    let written = || {
        let path = emulator.folder.path().join("requests.jsonl");
        let text = std::fs::read_to_string(path).unwrap();
        text.matches("\"operation\": \"PutMetricAlarm\"").count()
    };
    for more in [1, 2, 7] {
        let enough = written() + more;
        let mut child = emulator
            .command(dir.path(), &["apply", "--yes", "--concurrency", "4"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while written() < enough {
            assert!(child.try_wait().unwrap().is_none(), "it ended too soon");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let (code, left) = plan(&emulator, &dir);
    assert_eq!(code, 2);
    assert!(names(&left).len() > 10, "killed in the middle: {left:#}");
    apply(&emulator, &dir);
    nothing_left(&emulator, &dir);
    let said = emulator.python("alarms_expected.py", &[]);
    assert!(said.contains("alarms as the policy means them"), "{said}");
    no_violations(&emulator);
}

/// Each look refused in turn, of an account in which something is to be made, changed and deleted:
/// exit 3, the operation named, nothing planned for what hangs on it.
#[test]
fn a_denied_look_at_what_alarms_hang_on_exits_3_and_plans_nothing_blindly() {
    let emulator = moto();
    seed(&emulator, SMALL);
    let dir = with_policy(POLICY);
    apply(&emulator, &dir);
    emulator.python("alarms_account.py", &["drift"]);
    let (code, healthy) = plan(&emulator, &dir);
    assert_eq!(code, 2);
    let all = names(&healthy);
    for (name, action) in [
        ("shop-prod-failures", "create"),
        ("shop-prod-rds-cpu-db-000", "create"),
        ("shop-prod-rds-memory-db-000", "create"),
        ("shop-prod-rds-cpu-db-001", "delete"),
        ("shop-prod-sqs-age-queue-000", "create"),
        ("shop-prod-sqs-age-queue-003", "delete"),
        ("shop-prod-sqs-dead-letters-queue-001", "update"),
        ("shop-prod-lambda-throttles-function-000", "create"),
        ("shop-prod-cache-cpu-cache-000", "create"),
    ] {
        let change = healthy["changes"]
            .as_array()
            .unwrap()
            .iter()
            .find(|c| c["resource"]["name"] == name)
            .unwrap_or_else(|| panic!("{name}: {all:?}"));
        assert_eq!(change["action"], action, "{name}");
    }
    // What the tagging API still shows, and no more than its name is needed for; a queue that is gone,
    // whatever the attributes of the others are.
    let seen_otherwise = |operation: &str, name: &str| match operation {
        "DescribeDBInstances" => name == "shop-prod-rds-cpu-db-000",
        "ListFunctions" => name == "shop-prod-lambda-throttles-function-000",
        "GetQueueAttributes" => name == "shop-prod-sqs-age-queue-003",
        _ => false,
    };
    for (service, operation, named, hidden, seen) in [
        (
            "cloudwatch",
            "DescribeAlarms",
            "cloudwatch:DescribeAlarms",
            "shop-",
            "",
        ),
        (
            "rds",
            "DescribeDBInstances",
            "rds:DescribeDBInstances",
            "rds-",
            "sqs-",
        ),
        ("sqs", "ListQueues", "sqs:ListQueues", "sqs-", "rds-"),
        (
            "sqs",
            "GetQueueAttributes",
            "sqs:GetQueueAttributes",
            "sqs-",
            "rds-",
        ),
        (
            "lambda",
            "ListFunctions",
            "lambda:ListFunctions",
            "lambda-",
            "rds-",
        ),
        (
            "elasticache",
            "DescribeCacheClusters",
            "elasticache:DescribeCacheClusters",
            "cache-",
            "rds-",
        ),
    ] {
        emulator.no_faults();
        emulator.faults(
            &json!([{"service": service, "operation": operation, "mode": "deny", "times": -1}]),
        );
        let (code, blind) = plan(&emulator, &dir);
        assert_eq!(code, 3, "{named}");
        assert!(blind["unobserved"].to_string().contains(named), "{named}");
        let planned = names(&blind);
        let blindly: Vec<_> = planned
            .iter()
            .filter(|name| name.contains(hidden))
            .filter(|name| !seen_otherwise(operation, name))
            .collect();
        assert!(blindly.is_empty(), "{named}: {blindly:?}");
        // What was seen is planned as before.
        let kept = |all: &BTreeSet<&str>| -> BTreeSet<String> {
            let of = all.iter().filter(|n| !seen.is_empty() && n.contains(seen));
            of.map(|n| (*n).to_owned()).collect()
        };
        assert_eq!(kept(&planned), kept(&all), "{named}");
    }
    // Whose an alarm is comes from the tagging API, and where that is refused from each alarm.
    emulator.no_faults();
    emulator.faults(&json!([
        {"service": "resourcegroupstaggingapi", "operation": "GetResources", "mode": "deny", "times": -1},
        {"service": "cloudwatch", "operation": "ListTagsForResource", "mode": "deny", "times": -1},
    ]));
    let (code, blind) = plan(&emulator, &dir);
    assert_eq!(code, 3);
    let gaps = blind["unobserved"].to_string();
    assert!(gaps.contains("cloudwatch:ListTagsForResource"), "{gaps}");
    for change in blind["changes"].as_array().unwrap() {
        assert_eq!(change["action"], "create", "{change}");
    }
    emulator.no_faults();
    apply(&emulator, &dir);
    nothing_left(&emulator, &dir);
}

/// A hundred alarms to a page: one sweep, whatever the number.
#[test]
fn many_alarms_are_read_in_one_sweep() {
    let emulator = moto();
    emulator.python("alarms_account.py", &["many", "450"]);
    let dir = with_policy("[alarms]\nprefix = \"shop-prod-\"\npacks = [\"business\"]\n");
    let planned = nothing_left(&emulator, &dir);
    // Five pages in one region, one in the other.
    assert_eq!(count(&planned, "cloudwatch:DescribeAlarms"), 6);
    assert_eq!(count(&planned, "cloudwatch:ListTagsForResource"), 0);
}

/// One alarm for each finding, named after it; being without data for days takes days.
#[test]
fn an_audit_finds_what_keeps_alarms_from_working() {
    let emulator = moto();
    emulator.python("alarms_account.py", &["neglected"]);
    let dir = with_policy("[alarms]\nprefix = \"shop-prod-\"\npacks = [\"business\"]\n");
    let audit = || emulator.opsctl(dir.path(), &["audit", "alarms", "--format", "json"]);
    let ran = audit();
    let document = parse(&ran);
    let found: BTreeSet<(String, String)> = document["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| {
            let address = f["address"].as_str().unwrap();
            let name = address
                .rsplit('/')
                .next()
                .unwrap()
                .trim_end_matches("#alarms");
            (f["id"].as_str().unwrap().to_owned(), name.to_owned())
        })
        .collect();
    let mut expected = BTreeSet::new();
    for id in [
        "no-action",
        "actions-disabled",
        "action-nowhere",
        "topic-silent",
        "topic-refuses",
        "metric-missing",
        "resource-gone",
        "missing-data",
    ] {
        expected.insert((format!("alarms.{id}"), format!("theirs-{id}")));
    }
    for id in ["topic-silent", "topic-refuses"] {
        expected.insert((format!("alarms.{id}"), format!("theirs-{id}-2")));
    }
    // The first by name is the one that stays.
    expected.insert(("alarms.duplicate".into(), "theirs-duplicate-of".into()));
    assert_eq!(found, expected, "{}", ran.stderr);
    let said = document["findings"].to_string();
    for text in ["1 waiting for confirmation", "Stage=prod", "alias/aws/sns"] {
        assert!(said.contains(text), "{text}: {said}");
    }
    for (operation, named, id) in [
        (
            "ListMetrics",
            "cloudwatch:ListMetrics",
            "alarms.metric-missing",
        ),
        ("ListQueues", "sqs:ListQueues", "alarms.resource-gone"),
        (
            "GetTopicAttributes",
            "sns:GetTopicAttributes",
            "alarms.action-nowhere",
        ),
        (
            "ListSubscriptionsByTopic",
            "sns:ListSubscriptionsByTopic",
            "alarms.topic-silent",
        ),
    ] {
        let service = named.split(':').next().unwrap();
        emulator.no_faults();
        emulator.faults(
            &json!([{"service": service, "operation": operation, "mode": "deny", "times": -1}]),
        );
        let ran = audit();
        assert_eq!(ran.code, 3, "{named}: {}", ran.stderr);
        let blind = parse(&ran);
        assert!(blind["unobserved"].to_string().contains(named), "{named}");
        let findings = blind["findings"].as_array().unwrap();
        assert!(
            !findings.iter().any(|f| f["id"] == id),
            "{named}: {findings:#?}"
        );
    }
    no_violations(&emulator);
}

/// Which of the policy's metrics are there: fresh, old, or only under another name or with others
/// dimensions.
#[test]
fn metrics_are_checked_with_near_misses() {
    let emulator = moto();
    emulator.python("alarms_account.py", &["points"]);
    let dir = with_policy(POLICY);
    let check = |dir: &TempDir, more: &[&str]| {
        let args: Vec<&str> = ["metrics", "check", "--format", "json"]
            .into_iter()
            .chain(more.iter().copied())
            .collect();
        emulator.opsctl(dir.path(), &args)
    };
    let ran = check(&dir, &[]);
    assert_eq!(ran.code, 2, "{}\n{}", ran.stderr, ran.stdout);
    let document = parse(&ran);
    let of = |name: &str| {
        let all = document["metrics"].as_array().unwrap();
        all.iter()
            .find(|m| m["used_by"].to_string().contains(name))
            .unwrap_or_else(|| panic!("{name}: {document:#}"))
    };
    for (name, standing, text) in [
        ("business.failures.failed", "fresh", "last point"),
        ("business.failures.total", "stale", "the last point is"),
        ("business.slow.metric", "missing", "exists with Stage=prod"),
        ("slo.checkout.good", "missing", "did you mean Goods?"),
        (
            "slo.checkout.total",
            "missing",
            "exists with Stage=prod, not with no dimensions",
        ),
    ] {
        let found = of(name);
        assert_eq!(found["standing"], standing, "{found}");
        let message = found["message"].as_str().unwrap();
        assert!(message.contains(text), "{message}");
    }
    assert_eq!(of("business.slow.metric")["region"], "us-east-1");

    let fresh = with_policy(
        "[alarms]\nprefix = \"shop-prod-\"\npacks = [\"business\"]\n[alarms.business.burst]\nmetric = { namespace = \"Shop\", metric = \"Failed\", dimensions = { Stage = \"prod\" } }\nabove = 5\n",
    );
    let ran = check(&fresh, &[]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stderr, ran.stdout);

    for operation in ["ListMetrics", "GetMetricData"] {
        emulator.no_faults();
        emulator.faults(&json!([{"service": "cloudwatch", "operation": operation, "mode": "deny", "times": -1}]));
        let ran = check(&dir, &[]);
        assert_eq!(ran.code, 3, "{operation}: {}", ran.stdout);
        let blind = parse(&ran);
        assert!(
            blind["unobserved"].to_string().contains(operation),
            "{blind:#}"
        );
        for metric in blind["metrics"].as_array().unwrap() {
            let missing = metric["standing"] == "missing";
            assert!(operation == "GetMetricData" || !missing, "{metric}");
        }
        let table = emulator.opsctl(dir.path(), &["metrics", "check"]);
        assert!(table.stdout.contains("could not look"), "{}", table.stdout);
    }
    no_violations(&emulator);
}
