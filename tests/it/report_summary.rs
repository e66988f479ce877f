//! `opsctl report summary`: its numbers are those of the other commands, it remembers, and it never
//! calls fine what nobody looked at.

use std::path::Path;

use rust_decimal::Decimal;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Ran, json, opsctl, project};

fn report(dir: &Path, arguments: &[&str]) -> Ran {
    opsctl(dir, &[&["report", "summary"], arguments].concat())
}

fn area<'a>(document: &'a Value, id: &str) -> &'a Value {
    document["areas"]
        .as_array()
        .expect("areas")
        .iter()
        .find(|a| a["id"] == id)
        .expect("the area")
}

#[test]
fn the_numbers_are_those_of_the_other_commands() {
    crate::support::not_over_midnight();
    let dir = TempDir::new().expect("a folder");
    for scenario in ["findash", "dartsyn", "acme", "medtrack", "burst"] {
        let sandbox = ["--sandbox", scenario, "--format", "json"];
        let ran = report(dir.path(), &sandbox);
        let document = json(&ran);
        let other = |arguments: &[&str]| json(&opsctl(dir.path(), &[arguments, &sandbox].concat()));
        let ids: Vec<&str> = document["areas"]
            .as_array()
            .expect("areas")
            .iter()
            .filter_map(|a| a["id"].as_str())
            .collect();
        assert_eq!(
            ids,
            ["money", "tags", "storage", "alarms", "backups", "readiness"]
        );
        let tags = other(&["audit", "tags"]);
        assert_eq!(
            area(&document, "tags")["value"],
            tags["compliance"]["overall"]["percent"],
            "{scenario}"
        );
        let cost = other(&["report", "cost"]);
        let entries = cost["cost"].as_array().expect("costs");
        let whole = match entries.as_slice() {
            [one, _] => one,
            all => all.last().expect("the whole"),
        };
        let shown = area(&document, "money")["value"]
            .as_str()
            .expect("an amount");
        assert_eq!(
            shown.replace(',', ""),
            whole["month_to_date"].as_str().expect("an amount")
        );
        let plan = other(&["plan", "--control", "lifecycle"]);
        let saved: Decimal = plan["changes"]
            .as_array()
            .expect("changes")
            .iter()
            .filter_map(|c| {
                c["monthly_cost_delta_usd"]
                    .as_str()?
                    .parse::<Decimal>()
                    .ok()
            })
            .filter(|d| *d < Decimal::ZERO)
            .sum();
        let shown = area(&document, "storage")["value"]
            .as_str()
            .expect("an amount");
        assert_eq!(shown.replace(',', "").parse(), Ok(-saved), "{scenario}");
        // What this version does not compare is not called fine.
        let audit = other(&["audit"]);
        for control in ["backups", "readiness"] {
            let unspoken = format!("{control}: not audited by this version");
            if audit["notes"].to_string().contains(&unspoken) {
                let standing = &area(&document, control)["standing"];
                assert_ne!(standing, "good", "{scenario} {control}");
            }
        }
        let next = document["next"].as_array().expect("steps");
        assert!(!next.is_empty() && next.len() <= 3, "{scenario}");
        let mut areas: Vec<&Value> = next.iter().map(|s| &s["area"]).collect();
        areas.dedup();
        assert_eq!(areas.len(), next.len(), "each of another area");
        for step in next {
            let command = step["command"].as_str();
            // A report on the sandbox must not send anybody to a real account.
            let ours = |c: &str| {
                c.starts_with("opsctl ") && c.ends_with(&format!(" --sandbox {scenario}"))
            };
            assert!(command.is_none_or(ours), "{step}");
            assert!(command.is_some() || step["how"] != "", "{step}");
            assert_ne!(step["effect"], "", "{step}");
        }
        if let Some(keep) = std::env::var_os("OPSCTL_KEEP_PAGES") {
            let html = report(dir.path(), &["--sandbox", scenario, "--format", "html"]).stdout;
            let path = Path::new(&keep).join(format!("summary-{scenario}.html"));
            std::fs::write(path, html).expect("kept");
        }
    }
}

#[test]
fn it_remembers_and_says_what_has_changed() {
    crate::support::not_over_midnight();
    let dir = TempDir::new().expect("a folder");
    let sandbox = ["--sandbox", "findash", "--format", "json"];
    let first = json(&report(dir.path(), &sandbox));
    assert_eq!(first["changed"]["since"], Value::Null);
    let again = json(&report(dir.path(), &sandbox));
    assert_eq!(again["changed"]["new"], 0);
    assert_eq!(again["changed"]["fixed"], 0);
    assert_eq!(again["changed"]["moved"], serde_json::json!([]));
    let applied = opsctl(
        dir.path(),
        &[
            "apply",
            "--sandbox",
            "findash",
            "--control",
            "tags",
            "--yes",
        ],
    );
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    let audit = |d: &Path| {
        json(&opsctl(
            d,
            &["audit", "tags", "--sandbox", "findash", "--format", "json"],
        ))
    };
    let left = audit(dir.path())["findings"]
        .as_array()
        .expect("findings")
        .len() as u64;
    let after = report(
        dir.path(),
        &["--sandbox", "findash", "--no-history", "--format", "json"],
    );
    let document = json(&after);
    let findings = |d: &Value| {
        let f = &area(d, "tags")["findings"];
        ["critical", "high", "medium", "low"]
            .iter()
            .map(|s| f[s].as_u64().expect("a number"))
            .sum::<u64>()
    };
    assert_eq!(findings(&document), left);
    assert_eq!(document["changed"]["fixed"], findings(&first) - left);
    let moved = document["changed"]["moved"].as_array().expect("moved");
    let tags = moved
        .iter()
        .find(|m| m["area"] == "tags")
        .expect("tags have moved");
    assert_eq!(tags["better"], true, "{tags}");
    // Not remembered: the next run compares with the same one.
    let next = json(&report(dir.path(), &sandbox));
    assert_eq!(next["changed"]["since"], document["changed"]["since"]);
    // Other places are another history.
    let one = json(&report(
        dir.path(),
        &[&sandbox[..], &["-e", "staging"]].concat(),
    ));
    assert_eq!(one["changed"]["since"], Value::Null);
    let markdown = report(
        dir.path(),
        &["--sandbox", "findash", "--format", "markdown"],
    )
    .stdout;
    assert!(markdown.contains("## What has changed"));
}

#[test]
fn what_could_not_be_seen_is_not_fine_and_not_fixed() {
    let dir = TempDir::new().expect("a folder");
    let sandbox = ["--sandbox", "findash-denied"];
    let ran = report(dir.path(), &[&sandbox[..], &["--format", "json"]].concat());
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    let document = json(&ran);
    for one in document["areas"].as_array().expect("areas") {
        if one["unobserved"].as_u64() > Some(0) {
            assert_ne!(one["standing"], "good", "{one}");
        }
    }
    let again = report(dir.path(), &[&sandbox[..], &["--format", "json"]].concat());
    assert_eq!(json(&again)["changed"]["fixed"], Value::Null);
    let html = report(dir.path(), &[&sandbox[..], &["--format", "html"]].concat()).stdout;
    assert!(html.contains("Not everything could be seen"));
    assert_eq!(
        report(
            dir.path(),
            &[&sandbox[..], &["--allow-incomplete"]].concat()
        )
        .code,
        0
    );
    assert_eq!(
        report(dir.path(), &[&sandbox[..], &["--format", "csv"]].concat()).code,
        1
    );
}

/// A stage that asks for tags alone: everything else was not looked at, and is not fine.
#[test]
fn what_no_policy_asks_for_was_not_looked_at() {
    let stage = |name: &str, from: u64| {
        format!(
            "[stage]\nname = \"{name}\"\ntitle = \"x\"\nusers = {{ from = {from}, to = 1000000 }}\nmonthly_cost_usd = {{ from = 0, to = 20000 }}\npolicies = [\"tags\"]\n"
        )
    };
    let (one, three) = (stage("stage-1", 0), stage("stage-3", 1));
    let dir = project(&[
        ("stacks/stage-1.toml", &one),
        ("stacks/stage-3.toml", &three),
    ]);
    let ran = report(dir.path(), &["--sandbox", "findash", "--format", "json"]);
    let document = json(&ran);
    for id in ["storage", "readiness"] {
        assert_eq!(area(&document, id)["standing"], "not_looked_at", "{id}");
        assert_eq!(area(&document, id)["value"], Value::Null, "{id}");
    }
    assert_ne!(area(&document, "tags")["standing"], "not_looked_at");
    let html = report(dir.path(), &["--sandbox", "findash", "--format", "html"]).stdout;
    assert!(html.contains("not looked at"));
}
