//! The binary against ministack, which evaluates plain alarms and delivers: a burst of failures that
//! arrives, a page test, and composite alarms of others.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::emulator::{Emulator, ministack};
use crate::support::{json as parse, project};

const WORKSPACE: &str = r#"
[project]
name = "shop"
team = "core"

[environments.prod]
account = "123456789012"
regions = ["eu-west-1"]
stage = "stage-1"
monthly_budget_usd = 50
notify = { page = ["sns:pager"], ticket = [], info = [] }
"#;
const STAGE: &str = r#"
[stage]
name = "stage-1"
title = "The alarms alone"
users = { from = 0, to = 1_000 }
monthly_cost_usd = { from = 20, to = 100 }
policies = ["alarms"]
"#;
const POLICY: &str = r#"
[alarms]
prefix = "shop-prod-"
packs = ["business"]
[alarms.business.burst]
metric = { namespace = "Shop", metric = "Failed", statistic = "Sum", dimensions = { Stage = "prod" } }
above = 5
datapoints = "1 of 1"
"#;

fn workspace() -> TempDir {
    project(&[
        ("opsctl.toml", WORKSPACE),
        ("stacks/stage-1.toml", STAGE),
        ("policies/alarms.toml", POLICY),
    ])
}

/// Applied, and nothing more to do.
fn applied(emulator: &Emulator) -> TempDir {
    let dir = workspace();
    let ran = emulator.opsctl(dir.path(), &["apply", "--yes", "--format", "json"]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stderr, ran.stdout);
    let ran = emulator.opsctl(
        dir.path(),
        &["plan", "--detailed-exitcode", "--format", "json"],
    );
    assert_eq!(parse(&ran)["changes"], json!([]));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    emulator.python("alarm_delivery.py", &["subscribe"]);
    dir
}

/// An alarm of a policy, and people who hear of it.
#[test]
fn a_burst_of_failures_arrives() {
    let emulator = ministack();
    let dir = applied(&emulator);
    let arrived = emulator.python("alarm_delivery.py", &["burst", "shop-prod-burst"]);
    let message: Value = serde_json::from_str(arrived.lines().next().unwrap()).unwrap();
    assert_eq!(message["AlarmName"], "shop-prod-burst");
    assert_eq!(message["NewStateValue"], "ALARM");
    let state = emulator.python("alarm_delivery.py", &["state", "shop-prod-burst"]);
    assert_eq!(state.trim(), "ALARM");
    // An alarm that fires is still as planned, and cannot be tested.
    let ran = emulator.opsctl(dir.path(), &["plan", "--detailed-exitcode"]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    let ran = page_test(&emulator, &dir, &["shop-prod-burst", "--yes"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("is in ALARM already"), "{}", ran.stderr);
}

fn page_test(emulator: &Emulator, dir: &TempDir, args: &[&str]) -> crate::support::Ran {
    let all: Vec<&str> = ["doctor", "--page-test"]
        .into_iter()
        .chain(args.iter().copied())
        .collect();
    emulator.opsctl(dir.path(), &all)
}

#[test]
fn a_page_test_sets_the_state_shows_the_delivery_and_puts_the_state_back() {
    let emulator = ministack();
    let dir = applied(&emulator);
    let state = || {
        let said = emulator.python("alarm_delivery.py", &["state", "shop-prod-burst"]);
        said.trim().to_owned()
    };
    let before = state();
    emulator.python("alarm_delivery.py", &["other", "theirs-stops"]);
    emulator.python("alarms_account.py", &["taken", "theirs-off"]);
    for (args, why) in [
        // There is nobody to ask.
        (&["shop-prod-burst"][..], "say --yes"),
        (
            &["shop-prod-nothing", "--yes"],
            "there is no alarm shop-prod-nothing",
        ),
        (&["theirs-stops", "--yes"], "does more than to notify"),
        (&["theirs-off", "--yes"], "switched off"),
    ] {
        let ran = page_test(&emulator, &dir, args);
        assert_eq!(ran.code, 1, "{args:?}: {}", ran.stdout);
        assert_eq!(ran.stdout, "", "{args:?}");
        assert!(ran.stderr.contains(why), "{args:?}: {}", ran.stderr);
    }
    assert_eq!(state(), before, "nothing was set");

    // ministack delivers, and its history never says so: that is told, not taken for a success.
    let ran = page_test(
        &emulator,
        &dir,
        &["shop-prod-burst", "--yes", "--format", "json"],
    );
    assert_eq!(ran.code, 2, "{}\n{}", ran.stderr, ran.stdout);
    let shown = &parse(&ran)["page_test"];
    let topic = "arn:aws:sns:eu-west-1:123456789012:pager";
    assert_eq!(
        shown["deliveries"],
        json!([{ "topic": topic, "outcome": "unknown", "error": null }])
    );
    assert_eq!(
        (&shown["passed"], &shown["restored"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(state(), before);
    let arrived = emulator.python("alarm_delivery.py", &["messages", "1"]);
    assert!(arrived.contains("not a real alarm"), "{arrived}");
}

/// All that an alarm was told, without what it says of its state.
fn told(emulator: &Emulator) -> Value {
    let text = emulator.python("alarms_account.py", &["snapshot"]);
    let mut found: Value = serde_json::from_str(&text).unwrap();
    for alarm in found["eu-west-1"].as_object_mut().unwrap().values_mut() {
        let alarm = alarm.as_object_mut().unwrap();
        alarm.retain(|key, _| !key.starts_with("State"));
    }
    found["eu-west-1"].clone()
}

#[test]
fn a_composite_of_others_is_as_it_was_after_ten_plans_and_applies() {
    let emulator = ministack();
    let dir = workspace();
    emulator.python("alarms_account.py", &["--composite", "foreign"]);
    emulator.python(
        "alarms_account.py",
        &["--composite", "taken", "shop-prod-burst"],
    );
    let before = told(&emulator);
    assert!(
        before["theirs-composite"]["AlarmRule"].is_string(),
        "{before:#}"
    );
    assert!(
        before["shop-prod-burst"]["AlarmRule"].is_string(),
        "{before:#}"
    );
    for _ in 0..10 {
        let ran = emulator.opsctl(dir.path(), &["plan", "--format", "json"]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let findings = parse(&ran)["findings"].clone();
        let conflict = "prod/eu-west-1/cloudwatch-alarm/shop-prod-burst#alarms";
        let told_of = findings.as_array().unwrap().iter();
        assert_eq!(
            told_of
                .filter(|f| f["id"] == "alarms.conflict" && f["address"] == conflict)
                .count(),
            1,
            "{findings:#}"
        );
        let ran = emulator.opsctl(dir.path(), &["apply", "--yes"]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
    }
    assert_eq!(told(&emulator), before);
}
