//! `opsctl audit cost`, as people and scripts meet it.

use rust_decimal::Decimal;
use serde_json::Value;

use crate::support::{Ran, command, json, opsctl, project, ran};

const SCENARIOS: [&str; 5] = ["findash", "dartsyn", "acme", "medtrack", "burst"];

fn dec(value: &Value) -> Decimal {
    Decimal::from_str_exact(
        value
            .as_str()
            .unwrap_or_else(|| panic!("no amount: {value}")),
    )
    .unwrap()
}

fn requests(audit: &Value) -> u64 {
    let by_operation = audit["api"]["by_operation"].as_object().unwrap();
    let costs = by_operation.iter().filter(|(o, _)| o.starts_with("ce:"));
    costs.map(|(_, n)| n.as_u64().unwrap()).sum()
}

fn audit(dir: &std::path::Path, scenario: &str, more: &[&str]) -> Ran {
    let mut args = vec!["audit", "cost", "--sandbox", scenario];
    args.extend(more);
    opsctl(dir, &args)
}

#[test]
fn every_scenario_has_amounts_that_add_up() {
    crate::support::not_over_midnight();
    for scenario in SCENARIOS {
        let dir = project(&[]);
        let first = audit(dir.path(), scenario, &["--format", "json"]);
        assert!(
            [0, 2].contains(&first.code),
            "{scenario}: {} {}",
            first.code,
            first.stderr
        );
        let audit_json = json(&first);
        let entries = audit_json["cost"].as_array().unwrap();
        let (whole, parts) = entries.split_last().unwrap();
        assert!(whole["environment"].is_null());
        let sum: Decimal = parts.iter().map(|e| dec(&e["month_to_date"])).sum();
        assert_eq!(dec(&whole["month_to_date"]), sum, "{scenario}");
        for entry in parts {
            let total = dec(&entry["month_to_date"]);
            assert!(total > Decimal::ZERO, "{scenario}");
            let rows = |list: &Value| -> Decimal {
                list.as_array()
                    .unwrap()
                    .iter()
                    .map(|r| dec(&r["month_to_date"]))
                    .sum()
            };
            assert_eq!(rows(&entry["by_service"]), total, "{scenario}");
            assert_eq!(rows(&entry["by_region"]), total, "{scenario}");
            for (key, values) in entry["by_tag"].as_object().unwrap() {
                assert_eq!(rows(values), total, "{scenario} {key}");
            }
            assert!(!entry["forecast_month_end"].is_null());
            assert_eq!(entry["currency"], "USD");
        }
        // The second one is for nothing.
        let second = json(&audit(dir.path(), scenario, &["--format", "json"]));
        assert!(requests(&audit_json) > 0);
        assert_eq!(requests(&second), 0, "{scenario}");
        assert_eq!(second["api"]["cost_usd"], "0.00");
        assert_eq!(second["cost"], audit_json["cost"], "{scenario}");
    }
}

#[test]
fn the_price_is_told_before_and_after() {
    crate::support::not_over_midnight();
    let dir = project(&[]);
    let before = opsctl(
        dir.path(),
        &["audit", "cost", "--explain", "--sandbox", "findash"],
    );
    assert_eq!(before.code, 0, "{}", before.stderr);
    assert!(before.stdout.contains("at least"), "{}", before.stdout);
    assert!(!dir.path().join(".opsctl/cache").exists());
    let page = audit(dir.path(), "findash", &[]).stdout;
    assert!(page.contains("This audit cost 0."), "{page}");
    let after = opsctl(
        dir.path(),
        &[
            "audit",
            "cost",
            "--explain",
            "--sandbox",
            "findash",
            "--format",
            "json",
        ],
    );
    let after = json(&after);
    assert_eq!(after["requests_at_least"], 0);
    assert_eq!(after["kind"], "audit-cost-explain");
    assert_eq!(after["api"]["requests"], 0);
    let page = audit(dir.path(), "findash", &[]).stdout;
    assert!(page.contains("no request to Cost Explorer"), "{page}");
}

#[test]
fn two_processes_at_once_pay_once() {
    crate::support::not_over_midnight();
    let dir = project(&[]);
    let alone = project(&[]);
    let args = ["audit", "cost", "--sandbox", "findash", "--format", "json"];
    let once = requests(&json(&opsctl(alone.path(), &args)));
    let children: Vec<_> = (0..3)
        .map(|_| {
            command(dir.path())
                .args(args)
                .stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let sum: u64 = children
        .into_iter()
        .map(|child| requests(&json(&ran(child.wait_with_output().unwrap()))))
        .sum();
    assert_eq!(sum, once);
}

#[test]
fn the_first_lines_matter_at_any_width() {
    let dir = project(&[]);
    for scenario in SCENARIOS {
        let page = audit(dir.path(), scenario, &[]).stdout;
        for label in ["Spent so far", "Month end", "Biggest mover", "Each day"] {
            assert!(page.contains(label), "{scenario}: no {label}:\n{page}");
        }
        let markdown = audit(dir.path(), scenario, &["--format", "markdown"]).stdout;
        let at = |text: &str| {
            markdown
                .find(text)
                .unwrap_or_else(|| panic!("{text}: {markdown}"))
        };
        assert!(at("**Spent so far**") < at("<details>"), "{scenario}");
        assert_eq!(
            markdown.matches("<details>").count(),
            markdown.matches("</details>").count()
        );
    }
}

#[test]
fn mistakes_in_the_policy_are_told_with_their_line() {
    let policy = "[cost]\nmax_questions = 0\nuntagged_above_percent = 130\nover_budget_critical_percent = 80\ntags = [\"team\", \"team\"]\n\n[cost.growth]\nabove_percent = \"-1\"\n\n[cost.anomaly]\nabove_usd = 100\nhigh_above_usd = 10\n";
    let dir = project(&[("policies/cost.toml", policy)]);
    let ran = opsctl(dir.path(), &["validate"]);
    assert_eq!(ran.code, 1);
    for text in [
        "max_questions is 0",
        "untagged_above_percent is 130",
        "over_budget_critical_percent is 80",
        "listed twice",
        "growth.above_percent is below 0",
        "growth needs above_percent and above_usd",
        "high_above_usd is below",
        "policies/cost.toml:2",
    ] {
        let all = format!("{}{}", ran.stdout, ran.stderr);
        assert!(all.contains(text), "no {text}:\n{all}");
    }
}

#[test]
fn fewer_questions_are_named() {
    let policy = "[cost]\nmax_questions = 1\n";
    let dir = project(&[("policies/cost.toml", policy)]);
    let audit = json(&audit(dir.path(), "burst", &["--format", "json"]));
    assert_eq!(
        audit["api"]["by_operation"]
            .as_object()
            .unwrap()
            .keys()
            .filter(|o| o.starts_with("ce:"))
            .count(),
        1
    );
    let entry = &audit["cost"][0];
    assert!(!entry["month_to_date"].is_null());
    assert_eq!(entry["forecast_basis"], "own-estimate");
    assert!(entry["not_asked"].as_array().unwrap().len() > 3);
    assert!(entry["untagged"]["team"].is_null());
    assert!(entry["shares"].is_null());
}
