//! The binary against moto: two hundred buckets and everything else, half of it badly tagged.

use std::path::Path;
use std::process::Stdio;

use serde_json::json;
use tempfile::TempDir;

use crate::emulator::{self, Emulator};
use crate::support::{json as parse, project};

/// Tags and lifecycle rules; money and alarms are in `budgets_aws` and `alarms_moto`.
fn moto() -> Emulator {
    emulator::moto().only("tags,lifecycle")
}

/// A workspace whose every bucket gets a rule of ours.
fn workspace() -> TempDir {
    let text = crate::support::WORKSPACE.replace(", \"us-east-1\"", "");
    project(&[("opsctl.toml", &text)])
}

fn pending(emulator: &Emulator, dir: &Path) -> serde_json::Value {
    let ran = emulator.opsctl(dir, &["plan", "--detailed-exitcode", "--format", "json"]);
    assert!([0, 2].contains(&ran.code), "{}", ran.stderr);
    parse(&ran)
}

#[test]
fn two_hundred_buckets_converge_and_foreign_things_stay() {
    let emulator = moto();
    emulator.python("seed.py", &[]);
    let before = emulator.snapshot("before.json");
    let dir = workspace();

    let first = emulator.opsctl(
        dir.path(),
        &["plan", "--detailed-exitcode", "--format", "json"],
    );
    assert_eq!(first.code, 2, "{}", first.stderr);
    let plan = parse(&first);
    assert!(plan["changes"].as_array().unwrap().len() > 150);
    let untouched = emulator.snapshot("planned.json");
    assert_eq!(
        std::fs::read(&before).unwrap(),
        std::fs::read(&untouched).unwrap(),
        "a plan changes nothing"
    );

    let applied = emulator.opsctl(dir.path(), &["apply", "--yes", "--format", "json"]);
    assert_eq!(
        applied.code,
        0,
        "{}\n{}",
        applied.stderr,
        failures(&applied.stdout)
    );
    let again = emulator.opsctl(
        dir.path(),
        &["plan", "--detailed-exitcode", "--format", "json"],
    );
    assert_eq!(again.code, 0, "{}", again.stdout);
    assert_eq!(parse(&again)["changes"].as_array().unwrap().len(), 0);

    emulator.only_as_planned(&before, &applied.stdout);
    let violations = emulator.violations();
    assert!(violations.is_empty(), "{violations:#?}");
}

fn failures(document: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(document).unwrap_or_default();
    value["changes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|c| c["outcome"] != "applied")
        .map(|c| format!("{} {} {}\n", c["address"], c["outcome"], c["error"]))
        .collect()
}

/// A small account of everything, for `seed.py`.
pub const SMALL: [&str; 18] = [
    "--buckets",
    "12",
    "--databases",
    "4",
    "--queues",
    "4",
    "--tables",
    "4",
    "--functions",
    "4",
    "--alarms",
    "4",
    "--topics",
    "2",
    "--log-groups",
    "2",
    "--cache",
    "1",
];

/// Each service refused in turn: exit 3, the operation named, nothing planned for what is hidden.
///
/// What the tagging API still shows of a refused service was seen, and may be planned.
#[test]
fn a_denied_service_exits_3_and_says_what_was_not_seen() {
    let emulator = moto();
    emulator.python("seed.py", &SMALL);
    let dir = workspace();
    for (service, operation, named, hidden) in [
        ("rds", "DescribeDBInstances", "rds:DescribeDBInstances", ""),
        ("lambda", "ListFunctions", "lambda:ListFunctions", ""),
        ("dynamodb", "ListTables", "dynamodb:ListTables", ""),
        ("sqs", "ListQueues", "sqs:ListQueues", ""),
        ("sns", "ListTopics", "sns:ListTopics", ""),
        (
            "cloudwatch",
            "DescribeAlarms",
            "cloudwatch:DescribeAlarms",
            "",
        ),
        ("logs", "DescribeLogGroups", "logs:DescribeLogGroups", ""),
        ("s3", "ListBuckets", "s3:ListBuckets", "#lifecycle"),
        (
            "s3",
            "GetBucketLifecycleConfiguration",
            "s3:GetBucketLifecycleConfiguration",
            "#lifecycle",
        ),
        (
            "resourcegroupstaggingapi",
            "GetResources",
            "tag:GetResources",
            "",
        ),
    ] {
        emulator.no_faults();
        emulator.faults(
            &json!([{"service": service, "operation": operation, "mode": "deny", "times": -1}]),
        );
        let ran = emulator.opsctl(
            dir.path(),
            &["plan", "--detailed-exitcode", "--format", "json"],
        );
        assert_eq!(ran.code, 3, "{named}: {}\n{}", ran.stderr, ran.stdout);
        let plan = parse(&ran);
        let gaps = plan["unobserved"].to_string();
        assert!(gaps.contains(named), "{named}: {gaps}");
        for change in plan["changes"].as_array().unwrap() {
            let address = change["address"].as_str().unwrap();
            assert!(
                hidden.is_empty() || !address.contains(hidden),
                "{named}: {address}"
            );
        }
        let table = emulator.opsctl(dir.path(), &["plan"]);
        assert!(table.stdout.contains(named), "{named}: {}", table.stdout);
        let allowed = emulator.opsctl(dir.path(), &["plan", "--allow-incomplete"]);
        assert_eq!(allowed.code, 0, "{named}");
    }
}

/// Killed at any moment, the same apply converges, and nothing is lost.
#[test]
fn a_killed_apply_converges() {
    let emulator = moto();
    emulator.python("seed.py", &SMALL);
    let before = emulator.snapshot("before.json");
    let dir = workspace();
    let plan = pending(&emulator, dir.path());
    let total = plan["changes"].as_array().unwrap().len();
    assert!(total > 10);
    for wait in [150, 300, 450, 600] {
        let mut child = emulator
            .command(dir.path(), &["apply", "--yes", "--concurrency", "2"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(wait));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let last = emulator.opsctl(dir.path(), &["apply", "--yes", "--format", "json"]);
    assert_eq!(last.code, 0, "{}", failures(&last.stdout));
    assert_eq!(
        pending(&emulator, dir.path())["changes"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
    emulator.only_as_planned(&before, &plan.to_string());
}

/// Throttling, cut connections and lost answers in the middle of an apply.
#[test]
fn faults_on_the_wire_are_survived_or_told() {
    let emulator = moto();
    emulator.python("seed.py", &SMALL);
    let before = emulator.snapshot("before.json");
    let dir = workspace();
    let plan = pending(&emulator, dir.path());
    emulator.faults(&json!([
        {"service": "resourcegroupstaggingapi", "operation": "TagResources", "mode": "throttle", "times": 2},
        {"service": "resourcegroupstaggingapi", "operation": "TagResources", "mode": "answer_lost", "times": 1},
        {"service": "s3", "operation": "PutBucketLifecycleConfiguration", "mode": "answer_lost", "times": 1},
        {"service": "s3", "operation": "PutBucketLifecycleConfiguration", "mode": "reset", "times": 1},
        {"service": "s3", "operation": "PutBucketLifecycleConfiguration", "mode": "error500", "times": 1},
    ]));
    let ran = emulator.opsctl(dir.path(), &["apply", "--yes", "--format", "json"]);
    assert_eq!(ran.code, 0, "{}", failures(&ran.stdout));
    assert!(parse(&ran)["api"]["retries"].as_u64().unwrap() > 0);
    emulator.no_faults();
    assert_eq!(
        pending(&emulator, dir.path())["changes"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
    emulator.only_as_planned(&before, &plan.to_string());
}

/// Two hundred answered although one resource of a batch is refused.
#[test]
fn a_resource_that_the_tagging_api_refuses_is_told_alone() {
    let emulator = moto();
    emulator.python("seed.py", &SMALL);
    let dir = workspace();
    let plan = pending(&emulator, dir.path());
    let queue = plan["changes"]
        .as_array()
        .unwrap()
        .iter()
        .find(|c| c["control"] == "tags" && c["resource"]["type"] == "sqs-queue")
        .expect("a queue to tag")["resource"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    emulator.faults(&json!([{
        "service": "resourcegroupstaggingapi", "operation": "TagResources", "mode": "partial", "times": -1,
        "resource_contains": queue, "code": "AccessDeniedException"
    }]));
    let ran = emulator.opsctl(dir.path(), &["apply", "--yes", "--format", "json"]);
    assert_eq!(ran.code, 1);
    for change in parse(&ran)["changes"].as_array().unwrap() {
        let refused = change["resource"]["name"] == queue.as_str() && change["control"] == "tags";
        let expected = if refused { "failed" } else { "applied" };
        assert_eq!(change["outcome"], expected, "{change}");
        if refused {
            assert!(
                change["error"].as_str().unwrap().contains("AccessDenied"),
                "{change}"
            );
        }
    }
}

/// Credentials of another account: nothing is looked at, nothing is written.
#[test]
fn another_account_is_refused() {
    let emulator = moto();
    let text = crate::support::WORKSPACE.replace("123456789012", "999999999999");
    let dir = project(&[("opsctl.toml", &text)]);
    for command in [&["plan"][..], &["apply", "--yes"]] {
        let ran = emulator.opsctl(dir.path(), command);
        assert_eq!(ran.code, 1);
        assert_eq!(ran.stdout, "");
        assert!(
            ran.stderr.contains("999999999999") && ran.stderr.contains("123456789012"),
            "{}",
            ran.stderr
        );
    }
    let requests = std::fs::read_to_string(emulator.folder.path().join("requests.jsonl")).unwrap();
    assert!(
        requests.lines().all(|l| l.contains("GetCallerIdentity")),
        "{requests}"
    );
}

#[test]
fn without_credentials_or_endpoint_it_fails_fast_and_says_why() {
    let dir = workspace();
    let ran = crate::support::opsctl(dir.path(), &["plan"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.to_lowercase().contains("credentials"),
        "{}",
        ran.stderr
    );
    let mut command = crate::support::command(dir.path());
    command
        .args([
            "plan",
            "--endpoint-url",
            "http://127.0.0.1:9",
            "--timeout",
            "5s",
        ])
        .env("AWS_ACCESS_KEY_ID", "x")
        .env("AWS_SECRET_ACCESS_KEY", "x");
    let ran = crate::support::ran(command.output().unwrap());
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("nothing was done"), "{}", ran.stderr);
}

/// An element that this version does not know is never written over.
#[test]
fn a_configuration_newer_than_this_version_is_left_alone() {
    let emulator = moto();
    let mut args = SMALL.to_vec();
    args[1] = "120";
    args.push("--future");
    emulator.python("seed.py", &args);
    let before = emulator.snapshot("before.json");
    let dir = workspace();
    let plan = pending(&emulator, dir.path());
    let told: Vec<_> = plan["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|f| {
            f["id"] == "lifecycle.cannot-write" && f["message"].as_str().unwrap().contains("Future")
        })
        .collect();
    assert!(!told.is_empty(), "{}", plan["findings"]);
    let applied = emulator.opsctl(dir.path(), &["apply", "--yes", "--format", "json"]);
    assert_eq!(applied.code, 0, "{}", failures(&applied.stdout));
    emulator.only_as_planned(&before, &applied.stdout);
}
