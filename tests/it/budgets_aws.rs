//! The budgets control of the binary against emulators, with another client as the witness.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::emulator::{Emulator, ministack, moto};
use crate::support::{Ran, json as parse, project};

const OURS: &str = "opsctl-shop-prod";

const WORKSPACE: &str = r#"
[project]
name = "shop"
team = "core"

[environments.prod]
account = "123456789012"
regions = ["eu-west-1"]
stage = "stage-1"
monthly_budget_usd = 90
notify = ["mailto:ops@example.com", "sns:alerts"]
"#;

/// Everything that the control makes.
fn whole() -> TempDir {
    project(&[("opsctl.toml", WORKSPACE)])
}

/// Without the services that ministack lacks: Cost Explorer, and billing metrics.
fn only_budgets() -> TempDir {
    let policy = r#"
[budgets]
include_credits = false
include_tax = false

[budgets.alert.early]
at_percent = 80
when = "actual"

[budgets.alert.forecast]
at_percent = "99.5"
when = "forecast"

[budgets.split]
by_tag = ["team"]
shares = { team = { core = 60, data = 40 } }
"#;
    // Cost allocation tags are asked for where this account pays; here another does.
    let text = WORKSPACE.replace(
        "[environments.prod]",
        "[payer]\nenvironment = \"root\"\n\n[environments.root]\naccount = \"210987654321\"\nregions = [\"eu-west-1\"]\nstage = \"stage-1\"\nmonthly_budget_usd = 20\n\n[environments.prod]",
    );
    project(&[("opsctl.toml", &text), ("policies/budgets.toml", policy)])
}

fn opsctl(emulator: &Emulator, dir: &Path, args: &[&str]) -> Ran {
    let budgets = ["--control", "budgets", "--env", "prod", "--format", "json"];
    emulator.opsctl(dir, &[args, &budgets].concat())
}

fn plan(emulator: &Emulator, dir: &Path) -> Value {
    let ran = opsctl(emulator, dir, &["plan", "--detailed-exitcode"]);
    assert!([0, 2].contains(&ran.code), "{}\n{}", ran.stderr, ran.stdout);
    parse(&ran)
}

fn changes(document: &Value) -> &[Value] {
    document["changes"].as_array().map_or(&[], Vec::as_slice)
}

fn apply(emulator: &Emulator, dir: &Path) -> Value {
    let ran = opsctl(emulator, dir, &["apply", "--yes"]);
    let document = parse(&ran);
    for change in changes(&document) {
        assert_eq!(change["outcome"], "applied", "{change:#}");
    }
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    document
}

/// What another client sees.
fn witness(emulator: &Emulator, args: &[&str]) -> Value {
    serde_json::from_str(&emulator.python("money_snapshot.py", args)).unwrap()
}

/// That without what is ours.
fn foreign(mut seen: Value) -> Value {
    let ours = |name: &str| {
        let name = name.rsplit(':').next().unwrap_or(name);
        name == OURS || name.starts_with("opsctl-shop-prod-") || name == "alerts"
    };
    for part in seen.as_object_mut().unwrap().values_mut() {
        part.as_object_mut().unwrap().retain(|name, _| !ours(name));
    }
    seen
}

/// How often each operation has been asked for; kept by moto only.
fn calls(emulator: &Emulator) -> BTreeMap<String, u64> {
    let text = std::fs::read_to_string(emulator.folder.path().join("requests.jsonl")).unwrap();
    let mut found = BTreeMap::new();
    for line in text.lines() {
        let request: Value = serde_json::from_str(line).unwrap();
        let part = |key: &str| request[key].as_str().unwrap_or_default().to_owned();
        *found
            .entry(format!("{}:{}", part("service"), part("operation")))
            .or_insert(0) += 1;
    }
    found
}

fn writes(calls: &BTreeMap<String, u64>) -> u64 {
    let is_write = |name: &str| {
        let operation = name.split(':').nth(1).unwrap_or_default();
        [
            "Create",
            "Update",
            "Delete",
            "Put",
            "Set",
            "Subscribe",
            "Tag",
            "Untag",
        ]
        .iter()
        .any(|verb| operation.starts_with(verb))
    };
    calls
        .iter()
        .filter(|(n, _)| is_write(n))
        .map(|(_, c)| c)
        .sum()
}

fn billing(emulator: &Emulator) {
    emulator.money(&json!({
        "billing_metric": true,
        "cost_tags": {"project": "Inactive", "environment": "Active", "team": "Inactive", "other": "Inactive"},
    }));
}

fn assert_alerts(seen: &Value) {
    let both = json!([
        "EMAIL:ops@example.com",
        "SNS:arn:aws:sns:eu-west-1:123456789012:alerts"
    ]);
    assert_eq!(
        seen["budgets"][OURS]["alerts"],
        json!({
            "ACTUAL GREATER_THAN 80 PERCENTAGE": both,
            "ACTUAL GREATER_THAN 100 PERCENTAGE": both,
            "FORECASTED GREATER_THAN 80 PERCENTAGE": both,
        })
    );
}

#[test]
fn everything_about_money_converges_on_moto_and_foreign_things_stay() {
    let emulator = moto();
    billing(&emulator);
    emulator.python("seed_money.py", &[]);
    let before = witness(&emulator, &[]);
    let dir = whole();

    let planned = plan(&emulator, dir.path());
    assert_eq!(witness(&emulator, &[]), before, "a plan changes nothing");
    assert!(changes(&planned).len() >= 9, "{planned:#}");
    apply(&emulator, dir.path());

    let seen = witness(&emulator, &[]);
    assert_alerts(&seen);
    let ours = &seen["budgets"][OURS];
    assert_eq!(
        ours["budget"]["BudgetLimit"],
        json!({"Amount": "90.0", "Unit": "USD"})
    );
    assert_eq!(ours["budget"]["CostTypes"]["IncludeCredit"], false);
    assert_eq!(ours["budget"]["CostTypes"]["IncludeTax"], true);
    assert_eq!(ours["tags"]["opsctl:managed"], "shop/prod");
    let topic = &seen["topics"]["arn:aws:sns:eu-west-1:123456789012:alerts"];
    assert!(
        topic["policy"]
            .to_string()
            .contains("budgets.amazonaws.com")
    );
    let subscription = &seen["subscriptions"][OURS];
    assert_eq!(subscription["MonitorArnList"], json!([OURS]));
    assert_eq!(subscription["Frequency"], "IMMEDIATE");
    let alarm =
        &seen["alarms"]["arn:aws:cloudwatch:us-east-1:123456789012:alarm:opsctl-shop-prod-billing"];
    assert_eq!(
        (&alarm["Threshold"], &alarm["Statistic"]),
        (&json!(72.0), &json!("Maximum"))
    );
    assert_eq!(
        seen["cost_tags"],
        json!({"project": "Active", "environment": "Active", "team": "Active", "other": "Inactive"})
    );
    let mut expected = foreign(before.clone());
    expected["cost_tags"] = seen["cost_tags"].clone();
    assert_eq!(foreign(seen.clone()), expected);

    let written = writes(&calls(&emulator));
    assert_eq!(changes(&plan(&emulator, dir.path())), &[] as &[Value]);
    let again = apply(&emulator, dir.path());
    assert_eq!(changes(&again), &[] as &[Value]);
    assert_eq!(
        writes(&calls(&emulator)),
        written,
        "the second apply writes nothing"
    );
    assert_eq!(witness(&emulator, &[]), seen);
    assert_eq!(emulator.violations(), Vec::<String>::new());
}

/// What changes in the configuration is the only thing that is written; an update keeps the alerts.
#[test]
fn drift_is_repaired_with_the_fewest_writes() {
    let emulator = moto();
    billing(&emulator);
    let dir = whole();
    apply(&emulator, dir.path());
    let first = witness(&emulator, &[]);
    let before = calls(&emulator);
    let text = WORKSPACE.replace("mailto:ops@", "mailto:cto@");
    std::fs::write(dir.path().join("opsctl.toml"), text).unwrap();
    apply(&emulator, dir.path());
    let after = calls(&emulator);
    let more = |name: &str| after.get(name).unwrap_or(&0) - before.get(name).unwrap_or(&0);
    assert_eq!(more("budgets:CreateSubscriber"), 3);
    assert_eq!(more("budgets:DeleteSubscriber"), 3);
    assert_eq!(
        more("budgets:UpdateBudget"),
        0,
        "an update would zero what was spent"
    );
    let text = text_of(&dir).replace("monthly_budget_usd = 90", "monthly_budget_usd = \"95.50\"");
    std::fs::write(dir.path().join("opsctl.toml"), text).unwrap();
    apply(&emulator, dir.path());
    let last = calls(&emulator);
    assert_eq!(last["budgets:UpdateBudget"], 1);
    assert_eq!(last["budgets:CreateBudget"], before["budgets:CreateBudget"]);
    let seen = witness(&emulator, &[]);
    let alerts = |v: &Value| v["budgets"][OURS]["alerts"].to_string();
    assert_eq!(alerts(&seen), alerts(&first).replace("ops@", "cto@"));
    assert_eq!(
        seen["budgets"][OURS]["budget"]["BudgetLimit"]["Amount"],
        "95.5"
    );
    assert_eq!(changes(&plan(&emulator, dir.path())), &[] as &[Value]);
    assert_eq!(emulator.violations(), Vec::<String>::new());
}

fn text_of(dir: &TempDir) -> String {
    std::fs::read_to_string(dir.path().join("opsctl.toml")).unwrap()
}

#[test]
fn budgets_converge_on_ministack_and_another_client_sees_them() {
    let emulator = ministack();
    emulator.python("seed_money.py", &["--no-ce"]);
    let before = witness(&emulator, &["--no-ce"]);
    let dir = only_budgets();
    assert!(!changes(&plan(&emulator, dir.path())).is_empty());
    let applied = apply(&emulator, dir.path());
    let api = &applied["api"]["by_operation"];
    assert!(api["budgets:CreateBudget"].as_u64().unwrap() >= 3, "{api}");
    let seen = witness(&emulator, &["--no-ce"]);
    let both = json!([
        "EMAIL:ops@example.com",
        "SNS:arn:aws:sns:eu-west-1:123456789012:alerts"
    ]);
    for (name, amount) in [
        (OURS, "90"),
        ("opsctl-shop-prod-team-core", "54"),
        ("opsctl-shop-prod-team-data", "36"),
    ] {
        let found = &seen["budgets"][name];
        assert_eq!(
            found["budget"]["BudgetLimit"],
            json!({"Amount": amount, "Unit": "USD"}),
            "{name}"
        );
        assert_eq!(found["budget"]["CostTypes"]["IncludeTax"], false);
        assert_eq!(
            found["alerts"],
            json!({"ACTUAL GREATER_THAN 80 PERCENTAGE": both, "FORECASTED GREATER_THAN 99.5 PERCENTAGE": both})
        );
        assert_eq!(found["tags"]["opsctl:managed"], "shop/prod");
    }
    assert_eq!(foreign(seen.clone()), foreign(before));

    assert_eq!(changes(&plan(&emulator, dir.path())), &[] as &[Value]);
    let again = apply(&emulator, dir.path());
    let asked = again["api"]["by_operation"].as_object().unwrap();
    let asked = asked.iter().map(|(k, v)| (k.clone(), v.as_u64().unwrap()));
    assert_eq!(
        writes(&asked.collect()),
        0,
        "no update call on the second apply"
    );
    assert_eq!(witness(&emulator, &["--no-ce"]), seen);
}

/// Each read refused: exit 3, the operation named, nothing planned for what is hidden.
#[test]
fn what_is_denied_is_told_and_never_made_again() {
    let emulator = moto();
    billing(&emulator);
    emulator.python("seed_money.py", &[]);
    let dir = whole();
    apply(&emulator, dir.path());
    let before = witness(&emulator, &[]);
    // Where all notifications cannot be had at once, each budget is asked: nothing is hidden.
    emulator.faults(&json!([{"service": "budgets", "operation": "DescribeBudgetNotificationsForAccount", "mode": "deny", "times": -1}]));
    assert_eq!(changes(&plan(&emulator, dir.path())), &[] as &[Value]);
    for (service, operation, named) in [
        ("budgets", "DescribeBudgets", "budgets:DescribeBudgets"),
        (
            "budgets",
            "DescribeSubscribersForNotification",
            "budgets:DescribeSubscribersForNotification",
        ),
        (
            "budgets",
            "ListTagsForResource",
            "budgets:ListTagsForResource",
        ),
        ("ce", "GetAnomalyMonitors", "ce:GetAnomalyMonitors"),
        (
            "ce",
            "GetAnomalySubscriptions",
            "ce:GetAnomalySubscriptions",
        ),
        ("ce", "ListCostAllocationTags", "ce:ListCostAllocationTags"),
        ("cloudwatch", "ListMetrics", "cloudwatch:ListMetrics"),
        ("cloudwatch", "DescribeAlarms", "cloudwatch:DescribeAlarms"),
        ("sns", "GetTopicAttributes", "sns:GetTopicAttributes"),
        (
            "sns",
            "ListSubscriptionsByTopic",
            "sns:ListSubscriptionsByTopic",
        ),
        ("sns", "ListTagsForResource", "sns:ListTagsForResource"),
    ] {
        emulator.no_faults();
        emulator.faults(
            &json!([{"service": service, "operation": operation, "mode": "deny", "times": -1}]),
        );
        let ran = opsctl(&emulator, dir.path(), &["plan", "--detailed-exitcode"]);
        assert_eq!(ran.code, 3, "{named}: {}\n{}", ran.stderr, ran.stdout);
        let document = parse(&ran);
        let gaps = document["unobserved"].to_string();
        assert!(gaps.contains(named), "{named}: {gaps}");
        assert_eq!(changes(&document), &[] as &[Value], "{named}");
    }
    emulator.no_faults();
    assert_eq!(witness(&emulator, &[]), before);
}

const WRITES: [(&str, &str); 7] = [
    ("budgets", "CreateBudget"),
    ("sns", "CreateTopic"),
    ("sns", "Subscribe"),
    ("ce", "CreateAnomalyMonitor"),
    ("ce", "CreateAnomalySubscription"),
    ("ce", "UpdateCostAllocationTagsStatus"),
    ("cloudwatch", "PutMetricAlarm"),
];

/// A write refused fails alone or with what needs it, and the next run makes up for it.
#[test]
fn a_denied_write_is_made_up_for_by_the_next_run() {
    let emulator = moto();
    billing(&emulator);
    emulator.python("seed_money.py", &[]);
    let before = foreign(witness(&emulator, &[]));
    let dir = whole();
    for (service, operation) in WRITES {
        emulator.faults(
            &json!([{"service": service, "operation": operation, "mode": "deny", "times": -1}]),
        );
        let ran = opsctl(&emulator, dir.path(), &["apply", "--yes"]);
        assert_eq!(ran.code, 1, "{operation}: {}", ran.stdout);
        let document = parse(&ran);
        let failed: Vec<_> = changes(&document)
            .iter()
            .filter(|c| c["outcome"] == "failed")
            .collect();
        assert!(!failed.is_empty(), "{operation}: {document:#}");
        let text = failed
            .iter()
            .map(|c| c["error"].to_string())
            .collect::<String>();
        assert!(text.contains(operation), "{operation}: {text}");
        emulator.no_faults();
        // Leaves something to be made for the next operation of the list.
        if operation != "PutMetricAlarm" {
            remove_ours(&emulator);
        }
    }
    apply(&emulator, dir.path());
    assert_eq!(changes(&plan(&emulator, dir.path())), &[] as &[Value]);
    let mut after = foreign(witness(&emulator, &[]));
    after["cost_tags"] = before["cost_tags"].clone();
    assert_eq!(after, before);
}

fn remove_ours(emulator: &Emulator) {
    emulator.python("seed_money.py", &["--remove-ours"]);
    billing(emulator);
}

/// Throttling, cut connections, lost answers and server errors around every write: it converges,
/// nothing is made twice, and foreign things stay.
#[test]
fn faults_around_writes_are_survived() {
    for mode in ["throttle", "reset", "answer_lost", "error500"] {
        let emulator = moto();
        billing(&emulator);
        emulator.python("seed_money.py", &[]);
        let before = foreign(witness(&emulator, &[]));
        let dir = whole();
        let faults: Vec<_> = WRITES
            .iter()
            .map(|(service, operation)| json!({"service": service, "operation": operation, "mode": mode, "times": 1}))
            .collect();
        emulator.faults(&Value::from(faults));
        let ran = opsctl(&emulator, dir.path(), &["apply", "--yes"]);
        let document = parse(&ran);
        for change in changes(&document) {
            assert_eq!(change["outcome"], "applied", "{mode}: {change:#}");
        }
        assert_eq!(ran.code, 0, "{mode}: {}", ran.stderr);
        emulator.no_faults();
        assert_eq!(
            changes(&plan(&emulator, dir.path())),
            &[] as &[Value],
            "{mode}"
        );
        // That nothing is there twice is the witness's own check.
        let seen = witness(&emulator, &[]);
        assert_alerts(&seen);
        let mut after = foreign(seen);
        after["cost_tags"] = before["cost_tags"].clone();
        assert_eq!(after, before, "{mode}");
    }
}

/// Alerts change under faults: each step is repeated from what stands there.
#[test]
fn faults_around_changes_of_alerts_are_survived() {
    let emulator = moto();
    billing(&emulator);
    let dir = whole();
    apply(&emulator, dir.path());
    let path = dir.path().join("policies/budgets.toml");
    let shipped = std::fs::read_to_string(&path).unwrap();
    for (round, mode) in ["throttle", "reset", "answer_lost", "error500"]
        .iter()
        .enumerate()
    {
        let text = WORKSPACE
            .replace("mailto:ops@", &format!("mailto:ops{round}@"))
            .replace(
                "monthly_budget_usd = 90",
                &format!("monthly_budget_usd = {}", 80 + round),
            );
        std::fs::write(dir.path().join("opsctl.toml"), text).unwrap();
        let percent = format!("at_percent = {}", 60 + round);
        let policy = shipped.replace("at_percent = 80", &percent);
        std::fs::write(&path, policy).unwrap();
        let operations = [
            "UpdateBudget",
            "CreateNotification",
            "DeleteNotification",
            "CreateSubscriber",
            "DeleteSubscriber",
        ];
        let faults: Vec<_> = operations
            .iter()
            .map(|operation| json!({"service": "budgets", "operation": operation, "mode": mode, "times": 1}))
            .collect();
        emulator.faults(&Value::from(faults));
        apply(&emulator, dir.path());
        emulator.no_faults();
        assert_eq!(
            changes(&plan(&emulator, dir.path())),
            &[] as &[Value],
            "{mode}"
        );
        let told = witness(&emulator, &[])["budgets"][OURS]["alerts"].to_string();
        assert!(
            told.contains(&format!("ops{round}@")) && !told.contains("ops@"),
            "{told}"
        );
    }
    assert_eq!(emulator.violations(), Vec::<String>::new());
}

/// Killed at any moment, the same apply converges, and nothing is made twice.
#[test]
fn a_killed_apply_converges() {
    let emulator = moto();
    billing(&emulator);
    emulator.python("seed_money.py", &[]);
    let before = foreign(witness(&emulator, &[]));
    let dir = whole();
    for wait in [600, 1200, 1600, 2000, 2400, 2800, 3200] {
        let mut child = emulator
            .command(
                dir.path(),
                &[
                    "apply",
                    "--yes",
                    "--control",
                    "budgets",
                    "--concurrency",
                    "2",
                ],
            )
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(wait));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    apply(&emulator, dir.path());
    assert_eq!(changes(&plan(&emulator, dir.path())), &[] as &[Value]);
    let seen = witness(&emulator, &[]);
    assert_alerts(&seen);
    let mut after = foreign(seen);
    after["cost_tags"] = before["cost_tags"].clone();
    assert_eq!(after, before);
}
