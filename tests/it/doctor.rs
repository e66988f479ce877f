//! `opsctl doctor` against the sandbox and emulators.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::emulator::{ministack, moto};
use crate::support::{Ran, json as parse, opsctl, project};

const WORKSPACE: &str = r#"
[project]
name = "shop"
team = "core"

[environments.prod]
account = "123456789012"
regions = ["eu-west-1", "us-east-1"]
stage = "stage-1"
monthly_budget_usd = 50
notify = ["mailto:ops@example.com", "sns:ops"]

[evidence]
environment = "prod"
bucket = "shop-evidence"
"#;

fn checks(ran: &Ran) -> Vec<Value> {
    parse(ran)["checks"].as_array().unwrap().clone()
}

/// States by check; a problem or an unknown among several wins.
fn states(ran: &Ran) -> BTreeMap<String, String> {
    let mut out: BTreeMap<String, String> = BTreeMap::new();
    for check in checks(ran) {
        let state = check["state"].as_str().unwrap().to_owned();
        let complete = ["found", "why"]
            .iter()
            .all(|k| !check[k].as_str().unwrap().is_empty());
        assert!(complete, "{check}");
        assert_eq!(
            check["fix"].as_str().unwrap().is_empty(),
            state == "ok",
            "{check}"
        );
        let entry = out
            .entry(check["check"].as_str().unwrap().to_owned())
            .or_insert_with(|| state.clone());
        if state != "ok" {
            *entry = state;
        }
    }
    out
}

#[test]
fn the_sandbox_is_looked_at_and_not_made_up() {
    let dir = TempDir::new().unwrap();
    let ran = opsctl(dir.path(), &["doctor", "--sandbox", "--format", "json"]);
    let document = parse(&ran);
    assert_eq!(document["kind"], "doctor");
    let states = states(&ran);
    assert_eq!(states["account-guard"], "ok");
    assert_eq!(states["permissions-plan"], "ok");
    for missing in ["credentials", "clock", "endpoint", "cost-explorer"] {
        assert!(!states.contains_key(missing), "{missing}");
    }
    assert!(document["not_asked"].to_string().contains("--spend"));
    assert_eq!(document["api"]["cost_usd"], "0.00");
    // What the scenario denies is found, and named.
    let ran = opsctl(
        dir.path(),
        &["doctor", "--sandbox", "findash-denied", "--format", "json"],
    );
    let denied: Vec<Value> = checks(&ran)
        .into_iter()
        .filter(|c| c["check"] == "permissions-plan" && c["state"] == "problem")
        .collect();
    assert!(
        denied
            .iter()
            .any(|c| c["found"].as_str().unwrap().contains("DescribeDBInstances")),
        "{denied:#?}"
    );
    assert_ne!(ran.code, 0);
    // Asked to spend, it asks the paying account.
    let ran = opsctl(
        dir.path(),
        &[
            "doctor",
            "--sandbox",
            "--spend",
            "-e",
            "prod",
            "--format",
            "json",
        ],
    );
    assert_eq!(self::states(&ran)["cost-explorer"], "ok");
    assert_ne!(parse(&ran)["api"]["cost_usd"], "0.00");
    // What is pasted stays in the sandbox.
    let commands: Vec<String> = checks(&ran)
        .iter()
        .flat_map(|c| c["commands"].as_array().cloned().unwrap_or_default())
        .map(|c| c.as_str().unwrap().to_owned())
        .collect();
    assert!(!commands.is_empty());
    for command in &commands {
        assert!(
            command.starts_with("opsctl ") && command.ends_with("--sandbox findash"),
            "{command}"
        );
    }
    for format in ["table", "markdown"] {
        let ran = opsctl(dir.path(), &["doctor", "--sandbox", "--format", format]);
        assert!(ran.stdout.contains("in order"), "{}", ran.stdout);
    }
}

#[test]
fn an_empty_account_has_its_problems_told() {
    let emulator = moto();
    let dir = project(&[("opsctl.toml", WORKSPACE)]);
    let ran = emulator.opsctl(dir.path(), &["doctor", "--format", "json"]);
    let states = states(&ran);
    assert_eq!(states["account-guard"], "ok", "{}", ran.stderr);
    assert_eq!(states["clock"], "ok");
    assert_eq!(states["endpoint"], "ok");
    assert_eq!(states["billing-alerts"], "problem");
    assert_eq!(states["subscriptions"], "problem");
    assert_eq!(states["evidence-bucket"], "problem");
    assert_eq!(states["resource-explorer"], "problem");
    let bucket = checks(&ran)
        .into_iter()
        .find(|c| c["check"] == "evidence-bucket")
        .unwrap();
    let make = bucket["commands"][0].as_str().unwrap();
    assert!(
        make.starts_with("aws s3 mb --region eu-west-1 --endpoint-url http://")
            && make.ends_with(" s3://shop-evidence"),
        "{make}"
    );
    // moto cannot be asked what a policy allows: reads were tried, though not all; writes are not known.
    assert_eq!(states["permissions-plan"], "unknown");
    assert_eq!(states["permissions-apply"], "unknown");
    assert_eq!(ran.code, 3, "unknown is never fine");
    let ran = emulator.opsctl(dir.path(), &["doctor", "--for", "plan", "--format", "json"]);
    assert_eq!(ran.code, 3);
    let requests = std::fs::read_to_string(emulator.folder.path().join("requests.jsonl")).unwrap();
    let writes = [
        "Put",
        "Create",
        "Delete",
        "Update",
        "Set",
        "Tag",
        "Publish",
        "Subscribe",
    ];
    for line in requests.lines() {
        let request: Value = serde_json::from_str(line).unwrap();
        let operation = request["operation"].as_str().unwrap_or_default();
        assert!(!writes.iter().any(|w| operation.starts_with(w)), "{line}");
        assert_ne!(request["service"], "ce", "Cost Explorer bills: {line}");
    }
    // That Resource Explorer was asked too often says nothing about its index.
    emulator.faults(&json!([{"service": "resource-explorer-2", "operation": "Search", "mode": "throttle", "times": -1}]));
    let ran = emulator.opsctl(dir.path(), &["doctor", "--for", "plan", "--format", "json"]);
    assert_eq!(self::states(&ran)["resource-explorer"], "unknown");
    emulator.no_faults();
    // A read that is denied is a problem with its permission; one that breaks stays unknown.
    for (mode, state) in [("deny", "problem"), ("error500", "unknown")] {
        emulator.faults(&json!([{"service": "rds", "operation": "DescribeDBInstances", "mode": mode, "times": -1}]));
        let ran = emulator.opsctl(
            dir.path(),
            &[
                "doctor",
                "--for",
                "plan",
                "--format",
                "json",
                "--timeout",
                "10s",
            ],
        );
        let found = checks(&ran).into_iter().find(|c| {
            c["found"]
                .as_str()
                .unwrap()
                .contains("rds:DescribeDBInstances")
        });
        assert_eq!(found.expect("a line of its own")["state"], state);
        emulator.no_faults();
    }
}

#[test]
fn another_account_or_no_credentials_is_told_and_nothing_else_is_asked() {
    let emulator = moto();
    let text = WORKSPACE.replace("123456789012", "999999999999");
    let dir = project(&[("opsctl.toml", &text)]);
    let ran = emulator.opsctl(dir.path(), &["doctor", "--format", "json"]);
    assert_eq!(ran.code, 3);
    let found = states(&ran);
    assert_eq!(found["account-guard"], "problem");
    assert_eq!(found["everything-else"], "unknown");
    let requests = std::fs::read_to_string(emulator.folder.path().join("requests.jsonl")).unwrap();
    assert!(
        requests.lines().all(|l| l.contains("GetCallerIdentity")),
        "{requests}"
    );

    let ran = opsctl(dir.path(), &["doctor", "--format", "json"]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert_eq!(states(&ran)["credentials"], "problem");
    let mut command = crate::support::command(dir.path());
    command
        .args([
            "doctor",
            "--format",
            "json",
            "--endpoint-url",
            "http://127.0.0.1:9",
            "--timeout",
            "5s",
        ])
        .env("AWS_ACCESS_KEY_ID", "x")
        .env("AWS_SECRET_ACCESS_KEY", "a-very-secret-key");
    let ran = crate::support::ran(command.output().unwrap());
    assert_eq!(states(&ran)["endpoint"], "problem");
    assert!(!ran.stdout.contains("a-very-secret-key") && !ran.stderr.contains("a-very-secret-key"));
}

/// ministack evaluates the policies of its users, though not the context of a question: what is judged
/// here is the question and the answer; the policies are judged in `iam`.
#[test]
fn permissions_are_asked_of_iam() {
    let emulator = ministack();
    let text = WORKSPACE.replace("123456789012", "000000000000");
    let dir = project(&[("opsctl.toml", &text)]);
    let run = |name: &str, policy: Value| -> Vec<Value> {
        let path = dir.path().join(format!("{name}.json"));
        std::fs::write(&path, policy.to_string()).unwrap();
        let made = emulator.python("iam_user.py", &[name, path.to_str().unwrap()]);
        let keys: Value = serde_json::from_str(&made).unwrap();
        let mut command = emulator.command(dir.path(), &["doctor", "--format", "json"]);
        command
            .env("AWS_ACCESS_KEY_ID", keys["AccessKeyId"].as_str().unwrap())
            .env(
                "AWS_SECRET_ACCESS_KEY",
                keys["SecretAccessKey"].as_str().unwrap(),
            );
        let ran = crate::support::ran(command.output().unwrap());
        let document = parse(&ran);
        assert!(
            document["api"]["by_operation"]["iam:SimulatePrincipalPolicy"].as_u64() > Some(10),
            "{document:#}"
        );
        assert!(
            !ran.stdout
                .contains(keys["SecretAccessKey"].as_str().unwrap())
        );
        checks(&ran)
            .into_iter()
            .filter(|c| c["check"].as_str().unwrap().starts_with("permissions"))
            .collect()
    };
    let statement = |action: Value| json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": action, "Resource": "*" }] });
    for check in run("everything", statement(json!("*"))) {
        assert_eq!(check["state"], "ok", "{check}");
        assert!(
            check["found"].as_str().unwrap().contains("asked of IAM"),
            "{check}"
        );
    }
    let found = run("little", statement(json!(["s3:*", "budgets:ViewBudget"])));
    assert!(found.iter().all(|c| c["state"] == "problem"), "{found:#?}");
    let told: String = found
        .iter()
        .filter(|c| c["check"] == "permissions-plan")
        .map(|c| c["found"].to_string())
        .collect();
    assert!(
        told.contains("rds: ") && told.contains("DescribeDBInstances"),
        "{told}"
    );
    assert!(
        !told.contains("s3: ") && !told.contains("ViewBudget"),
        "{told}"
    );
}
