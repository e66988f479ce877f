//! `opsctl audit` and `opsctl explain`: exit codes, baselines, and every format, also with names that
//! mean harm and with more findings than anybody reads.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use opsctl::audit::{
    Audit, AuditSummary, Baseline, BaselineUse, Outcome, Reported,
    pending::{applied, apply_command},
};
use opsctl::catalog;
use opsctl::inventory::Gap;
use opsctl::model::{Address, Control, Severity};
use opsctl::plan::{Counts, Finding, Reason, ScopeEntry};
use opsctl::render::{self, Places, Style};
use tempfile::TempDir;

use crate::emulator;
use crate::support::{command, json, opsctl, project, ran};

const SCENARIOS: [&str; 5] = ["findash", "dartsyn", "acme", "medtrack", "burst"];

fn sandbox(args: &[&str]) -> crate::support::Ran {
    let dir = TempDir::new().unwrap();
    let mut all = vec!["audit"];
    all.extend(args);
    opsctl(dir.path(), &all)
}

// ---- what it says

#[test]
fn every_scenario_is_valid_by_the_schema_and_adds_up() {
    let dir = TempDir::new().unwrap();
    let schema = json(&opsctl(dir.path(), &["schema", "audit"]));
    let validator = jsonschema::validator_for(&schema).unwrap();
    for scenario in SCENARIOS.into_iter().chain(["findash-denied"]) {
        let ran = sandbox(&["--sandbox", scenario, "--format", "json"]);
        let audit = json(&ran);
        let errors: Vec<String> = validator
            .iter_errors(&audit)
            .map(|e| e.to_string())
            .collect();
        assert!(errors.is_empty(), "{scenario}: {errors:#?}");
        let parsed: Audit = serde_json::from_value(audit.clone()).unwrap();
        let findings = &parsed.findings;
        let total = findings.len() as u64;
        assert!(total > 0, "{scenario}");
        let sum = |values: Vec<u64>| values.into_iter().sum::<u64>();
        let summary = &parsed.summary;
        assert_eq!(sum(summary.by_severity.values().copied().collect()), total);
        assert_eq!(sum(summary.by_control.values().copied().collect()), total);
        assert!(summary.compliant <= summary.checked);
        let mut sorted = findings.clone();
        sorted.sort_by(|a, b| (b.severity, &a.address).cmp(&(a.severity, &b.address)));
        assert_eq!(
            &sorted, findings,
            "{scenario}: worst first, then by address"
        );
        for finding in findings {
            assert!(
                catalog::find(&finding.id).is_some(),
                "{} is not in src/catalog",
                finding.id
            );
            assert!(!finding.policy.file.is_empty(), "{finding:?}");
            assert!(!finding.remediation.is_empty(), "{finding:?}");
        }
        // The shares agree with one another and with what the control counts.
        let compliance = parsed.compliance.unwrap();
        let tags: Vec<&Counts> = parsed
            .counts
            .values()
            .filter_map(|c| c.get(&Control::Tags))
            .collect();
        let judged: u64 = tags.iter().map(|c| opsctl::audit::judged(c)).sum();
        assert_eq!(compliance.overall.checked, judged, "{scenario}");
        let compliant: u64 = tags.iter().map(|c| c.compliant).sum();
        assert_eq!(compliance.overall.compliant, compliant, "{scenario}");
        for by in [
            &compliance.by_environment,
            &compliance.by_service,
            &compliance.by_team,
            &compliance.by_region,
        ] {
            assert_eq!(sum(by.values().map(|s| s.checked).collect()), judged);
            assert_eq!(sum(by.values().map(|s| s.compliant).collect()), compliant);
        }
        for share in compliance.by_key.values() {
            assert_eq!(share.checked, judged);
            assert!(share.compliant >= compliant);
        }
    }
}

/// Every change of a plan is a finding at the same address, and a fixed account has none of them.
#[test]
fn what_a_plan_would_change_is_found_and_gone_after_an_apply() {
    crate::support::not_over_midnight();
    for scenario in SCENARIOS {
        let dir = TempDir::new().unwrap();
        let at = |args: &[&str]| {
            let mut all = args.to_vec();
            all.extend(["--sandbox", scenario, "--format", "json"]);
            json(&opsctl(dir.path(), &all))
        };
        let plan = at(&["plan"]);
        let audit: Audit = serde_json::from_value(at(&["audit"])).unwrap();
        let fixable = |audit: &Audit| -> BTreeSet<String> {
            let all = audit.findings.iter();
            all.filter(|f| applied(&f.remediation, &f.address).is_some())
                .map(|f| f.address.to_string())
                .collect()
        };
        let planned: BTreeSet<String> = plan["changes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["address"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(fixable(&audit), planned, "{scenario}");
        at(&["apply", "--yes"]);
        let after: Audit = serde_json::from_value(at(&["audit"])).unwrap();
        assert_eq!(fixable(&after), BTreeSet::new(), "{scenario}");
        assert!(after.summary.compliant > audit.summary.compliant);
        // All that is new waits for people: a subscription that nobody has confirmed yet, and a tag
        // of something that was made, for which the policy has no value.
        let key = |f: &Reported| (f.id.clone(), f.address.to_string(), f.message.clone());
        let before: BTreeSet<_> = audit.findings.iter().map(key).collect();
        for finding in after.findings.iter().filter(|f| !before.contains(&key(f))) {
            let waits = [
                // Of counters that only exist when something fails.
                "alarms.metric-missing",
                "alarms.topic-silent",
                "alarms.unconfirmed",
                "budgets.silent-topic",
                "budgets.unconfirmed",
                "tags.missing",
            ];
            assert!(
                waits.contains(&finding.id.as_str()),
                "{}: {}",
                finding.id,
                finding.address
            );
        }
    }
}

#[test]
fn the_command_of_a_finding_fixes_it_and_nothing_else() {
    crate::support::not_over_midnight();
    let dir = TempDir::new().unwrap();
    let audit = || -> Audit {
        let ran = opsctl(dir.path(), &["audit", "--sandbox", "--format", "json"]);
        serde_json::from_value(json(&ran)).unwrap()
    };
    let before = audit();
    let finding = before
        .findings
        .iter()
        .find(|f| f.id == "lifecycle.drifted-rule")
        .unwrap();
    let line = format!(
        "{} --yes",
        finding
            .remediation
            .replacen("opsctl", &crate::support::binary().display().to_string(), 1)
    );
    let out = std::process::Command::new("sh")
        .current_dir(dir.path())
        .args(["-c", &line])
        .output()
        .unwrap();
    assert!(out.status.success(), "{line}: {out:?}");
    let after = audit();
    assert!(
        !after
            .findings
            .iter()
            .any(|f| f.id == "lifecycle.drifted-rule")
    );
    let elsewhere = |audit: &Audit| -> Vec<Reported> {
        let all = audit.findings.iter();
        all.filter(|f| f.address != finding.address)
            .cloned()
            .collect()
    };
    assert_eq!(elsewhere(&before), elsewhere(&after));
}

#[test]
fn names_choose_what_is_audited() {
    let controls = |args: &[&str]| -> Vec<String> {
        let mut all = args.to_vec();
        all.extend(["--sandbox", "--format", "json"]);
        let audit = json(&sandbox(&all));
        let list = audit["controls"].as_array().unwrap();
        list.iter()
            .map(|c| c.as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(controls(&["tags"]), ["tags"]);
    assert_eq!(controls(&["lifecycle", "tags"]), ["tags", "lifecycle"]);
    assert_eq!(controls(&["--control", "tags"]), ["tags"]);
    assert_eq!(
        controls(&["tags", "lifecycle", "--control", "tags"]),
        ["tags"]
    );
    assert_eq!(controls(&[]).len(), 7, "the shipped stages list all");
    let none = sandbox(&["cost", "--control", "tags", "--sandbox"]);
    assert_eq!(none.code, 1, "{}", none.stdout);
    let typo = sandbox(&["tag", "--sandbox"]);
    assert_eq!(typo.code, 1);
    assert!(typo.stderr.contains("'tags'"), "{}", typo.stderr);
    let staging = json(&sandbox(&[
        "-e",
        "staging",
        "--sandbox",
        "--format",
        "json",
    ]));
    assert_eq!(staging["scope"].as_array().unwrap().len(), 1);
    assert_eq!(staging["scope"][0]["stage"], "stage-1");
    let tags = json(&sandbox(&["tags", "--sandbox", "--format", "json"]));
    assert!(tags["compliance"]["overall"]["percent"].is_string());
    assert!(tags.get("cost").is_none());
    let lifecycle = json(&sandbox(&["lifecycle", "--sandbox", "--format", "json"]));
    assert!(lifecycle.get("compliance").is_none());
}

/// A control that is not there yet is never green: alone it is refused, among others it is skipped.
#[test]
fn what_is_not_built_does_not_pass() {
    let ran = sandbox(&["readiness", "--sandbox"]);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    assert_eq!(ran.stdout, "");
    for said in ["cannot audit readiness", "tags, budgets"] {
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
    let among = |format: &str| {
        sandbox(&[
            "tags",
            "readiness",
            "--sandbox",
            "dartsyn",
            "--format",
            format,
        ])
        .stdout
    };
    let table = among("table");
    let first = table.lines().next().unwrap_or_default();
    assert!(first.contains("readiness was not audited"), "{table}");
    let junit = among("junit");
    let suite = junit.split("<testsuite name=\"readiness\"").nth(1).unwrap();
    assert!(suite.contains("<skipped"), "{suite}");
    assert!(!suite.contains("everything else"), "{suite}");
    assert_eq!(check_junit(&junit).2, 1);
    for format in ["sarif", "csv", "github", "gitlab"] {
        let text = among(format);
        assert!(text.contains("readiness: not audited"), "{format}: {text}");
    }
    let audit: Audit = serde_json::from_str(&among("json")).unwrap();
    assert!(
        audit
            .counts
            .values()
            .all(|c| !c.contains_key(&Control::Readiness))
    );
}

// ---- exit codes

#[test]
fn the_exit_code_follows_severity_blindness_and_baseline() {
    let dir = TempDir::new().unwrap();
    let code = |args: &[&str]| {
        let mut all = vec!["audit", "tags", "lifecycle"];
        all.extend(args);
        let ran = opsctl(dir.path(), &all);
        (
            ran.code,
            ran.stdout.lines().next().unwrap_or_default().to_owned(),
        )
    };
    // findash has findings of medium and low severity in these two.
    for (level, expected) in [("low", 2), ("medium", 2), ("high", 0), ("critical", 0)] {
        let (found, line) = code(&["--sandbox", "--fail-on", level]);
        assert_eq!(found, expected, "{level}");
        let word = if expected == 0 { "PASS: " } else { "FAIL: " };
        assert!(line.starts_with(word), "{line}");
    }
    assert_eq!(code(&["--sandbox"]).0, 0, "high, unless told otherwise");
    // Blindness comes first, whatever was found.
    for (args, expected) in [
        (&["--fail-on", "low"][..], 3),
        (&["--fail-on", "critical"], 3),
        (&["--fail-on", "low", "--allow-incomplete"], 2),
        (&["--fail-on", "critical", "--allow-incomplete"], 0),
    ] {
        let mut all = vec!["--sandbox", "findash-denied"];
        all.extend(args);
        let (found, line) = code(&all);
        assert_eq!(found, expected, "{args:?}");
        if expected == 3 {
            assert!(line.starts_with("INCOMPLETE: "), "{line}");
        } else {
            assert!(line.contains("high") || line.contains("low") || line.contains("critical"));
        }
        if expected == 0 {
            assert!(line.contains("not everything"), "{line}");
        }
    }
    // What was denied is not needed for lifecycle rules.
    let seen = opsctl(
        dir.path(),
        &["audit", "lifecycle", "--sandbox", "findash-denied"],
    );
    assert_eq!(seen.code, 0, "{}", seen.stdout);
}

#[test]
fn an_audit_changes_nothing() {
    let dir = TempDir::new().unwrap();
    for format in [
        "table", "json", "markdown", "sarif", "junit", "csv", "github", "gitlab",
    ] {
        let ran = opsctl(
            dir.path(),
            &[
                "audit",
                "tags",
                "lifecycle",
                "--sandbox",
                "--format",
                format,
            ],
        );
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert!(!ran.stdout.is_empty(), "{format}");
    }
    assert!(!dir.path().join(".opsctl/sandbox").exists());
}

#[test]
fn formats_of_audits_are_a_usage_error_elsewhere() {
    let dir = TempDir::new().unwrap();
    for format in ["sarif", "junit", "csv", "github", "gitlab"] {
        for args in [
            &["plan", "--sandbox"][..],
            &["apply", "--sandbox", "--yes"],
            &["stage", "list"],
        ] {
            let mut all = args.to_vec();
            all.extend(["--format", format]);
            let ran = opsctl(dir.path(), &all);
            assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{all:?}");
            assert!(ran.stderr.contains("opsctl audit"), "{}", ran.stderr);
        }
    }
}

#[test]
fn every_format_goes_to_a_file() {
    let dir = TempDir::new().unwrap();
    for format in [
        "table", "json", "markdown", "sarif", "junit", "csv", "github", "gitlab",
    ] {
        let args = ["audit", "tags", "--sandbox", "--format", format];
        let printed = opsctl(dir.path(), &args);
        let name = format!("out/audit.{format}");
        let mut to_file = args.to_vec();
        to_file.extend(["-o", &name]);
        let ran = opsctl(dir.path(), &to_file);
        assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{}", ran.stderr);
        let text = std::fs::read_to_string(dir.path().join(&name)).unwrap();
        assert_eq!(
            without_time(&text),
            without_time(&printed.stdout),
            "{format}"
        );
    }
}

fn without_time(text: &str) -> String {
    let lines = text.lines().filter(|l| !l.contains("\"generated_at\""));
    lines.collect::<Vec<_>>().join("\n")
}

// ---- baselines

#[test]
fn a_baseline_keeps_what_is_known_from_failing() {
    let dir = TempDir::new().unwrap();
    let run = |args: &[&str]| {
        let mut all = vec![
            "audit",
            "tags",
            "lifecycle",
            "--sandbox",
            "--fail-on",
            "low",
        ];
        all.extend(args);
        opsctl(dir.path(), &all)
    };
    assert_eq!(run(&["--format", "json", "-o", "base.json"]).code, 2);
    let path = dir.path().join("base.json");
    let known = run(&["--baseline", "base.json"]);
    assert_eq!(known.code, 0, "{}", known.stdout);
    assert!(
        known.stdout.contains("Known, from base.json"),
        "{}",
        known.stdout
    );
    assert!(!known.stdout.contains("\nMEDIUM"), "{}", known.stdout);
    let mut base: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let total = base["findings"].as_array().unwrap().len() as u64;
    let again = json(&run(&["--baseline", "base.json", "--format", "json"]));
    assert_eq!(again["summary"]["in_baseline"], total);
    assert_eq!(again["summary"]["baseline"]["fixed"], 0);

    // One violation that the baseline does not hold fails.
    let findings = base["findings"].as_array_mut().unwrap();
    let gone = findings.remove(3);
    // And one that it holds has been fixed meanwhile, one is of another control.
    let mut fixed = gone.clone();
    fixed["address"] = "prod/eu-west-1/s3-bucket/long-gone#tags".into();
    fixed["control"] = "tags".into();
    let mut elsewhere = fixed.clone();
    elsewhere["control"] = "alarms".into();
    findings.extend([fixed, elsewhere]);
    std::fs::write(&path, base.to_string()).unwrap();
    let ran = run(&["--baseline", "base.json", "--format", "json"]);
    assert_eq!(ran.code, 2);
    let audit = json(&ran);
    let new: Vec<&serde_json::Value> = audit["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|f| f["in_baseline"] == false)
        .collect();
    assert_eq!(new.len(), 1);
    assert_eq!(
        (&new[0]["id"], &new[0]["address"]),
        (&gone["id"], &gone["address"])
    );
    assert_eq!(audit["summary"]["failing"], 1);
    assert_eq!(audit["summary"]["baseline"]["fixed"], 1);
    assert_eq!(audit["summary"]["baseline"]["not_looked_at"], 1);
    let page = run(&["--baseline", "base.json"]).stdout;
    assert!(page.contains("1 of the baseline are fixed"), "{page}");
    assert!(
        page.starts_with("FAIL: 1 new finding of severity low"),
        "{page}"
    );

    // What could not be seen is not fixed.
    let entry = serde_json::json!({
        "id": "tags.missing",
        "control": "tags",
        "address": "prod/eu-west-1/rds-instance/denied#tags",
    });
    let held = serde_json::json!({"kind": "audit", "format_version": "1.0", "findings": [entry]});
    std::fs::write(&path, held.to_string()).unwrap();
    for (scenario, fixed) in [("findash", 1), ("findash-denied", 0)] {
        let args = [
            "audit",
            "tags",
            "--sandbox",
            scenario,
            "--baseline",
            "base.json",
            "--format",
            "json",
        ];
        let audit = json(&opsctl(dir.path(), &args));
        let baseline = &audit["summary"]["baseline"];
        assert_eq!(
            (&baseline["fixed"], &baseline["not_looked_at"]),
            (&fixed.into(), &(1 - fixed).into())
        );
    }
}

#[test]
fn a_broken_baseline_is_an_error() {
    let dir = TempDir::new().unwrap();
    let plan = opsctl(dir.path(), &["plan", "--sandbox", "--format", "json"]).stdout;
    for (text, says) in [
        ("", "not JSON"),
        ("{\"findings\": [", "not JSON"),
        ("[]", "no `kind`"),
        (&plan, "`plan`"),
        ("{\"kind\": \"audit\"}", "not the JSON of an audit"),
        (
            "{\"kind\": \"audit\", \"format_version\": \"2.0\", \"findings\": []}",
            "2.0",
        ),
        (
            "{\"kind\": \"audit\", \"format_version\": \"1.0\", \"findings\": [{\"id\": 1}]}",
            "not the JSON of an audit",
        ),
    ] {
        std::fs::write(dir.path().join("base.json"), text).unwrap();
        let ran = opsctl(
            dir.path(),
            &["audit", "--sandbox", "--baseline", "base.json"],
        );
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{text}");
        assert!(
            ran.stderr.contains(says) && ran.stderr.contains("base.json"),
            "{}",
            ran.stderr
        );
    }
    let missing = opsctl(
        dir.path(),
        &["audit", "--sandbox", "--baseline", "nowhere.json"],
    );
    assert_eq!(missing.code, 1);
    assert!(
        missing.stderr.contains("nowhere.json"),
        "{}",
        missing.stderr
    );
}

// ---- formats

fn small() -> Vec<String> {
    ["audit", "tags", "lifecycle", "--sandbox", "burst"]
        .map(str::to_owned)
        .to_vec()
}

/// Every format of one scenario, as it is printed.
#[test]
fn snapshots_of_every_format() {
    let dir = TempDir::new().unwrap();
    for format in [
        "table", "json", "markdown", "sarif", "junit", "csv", "github", "gitlab",
    ] {
        let mut args = small();
        args.extend(["--format".to_owned(), format.to_owned()]);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let ran = opsctl(dir.path(), &args);
        insta::assert_snapshot!(format!("audit_{format}"), without_time(&ran.stdout));
        let again = opsctl(dir.path(), &args);
        assert_eq!(
            without_time(&ran.stdout),
            without_time(&again.stdout),
            "{format}"
        );
    }
    let denied = opsctl(
        dir.path(),
        &["audit", "tags", "--sandbox", "findash-denied"],
    );
    insta::assert_snapshot!("audit_denied", denied.stdout);
}

fn sarif_validator() -> jsonschema::Validator {
    let text = include_str!("schemas/sarif-2.1.0.json");
    let mut schema: serde_json::Value = serde_json::from_str(text).unwrap();
    // As published, the pattern of the language is no regular expression; it is not used here.
    for of in ["run", "toolComponent"] {
        let language = &mut schema["definitions"][of]["properties"]["language"];
        assert!(
            language
                .as_object_mut()
                .unwrap()
                .remove("pattern")
                .is_some()
        );
    }
    jsonschema::validator_for(&schema).unwrap()
}

/// What GitHub asks for beyond the schema; see its "SARIF support for code scanning".
fn check_sarif(text: &str, validator: &jsonschema::Validator, findings: usize) {
    let log: serde_json::Value = serde_json::from_str(text).unwrap();
    let errors: Vec<String> = validator.iter_errors(&log).map(|e| e.to_string()).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    for rule in rules {
        for field in ["shortDescription", "fullDescription"] {
            let text = rule[field]["text"].as_str().unwrap();
            assert!(!text.is_empty() && text.chars().count() <= 1024, "{rule}");
        }
        assert!(rule["help"]["text"].as_str().is_some_and(|t| !t.is_empty()));
    }
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), findings.min(25_000));
    let mut prints = BTreeSet::new();
    for result in results {
        let index = result["ruleIndex"].as_u64().unwrap() as usize;
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(
            result["message"]["text"]
                .as_str()
                .is_some_and(|t| !t.contains('\n'))
        );
        let place = &result["locations"][0]["physicalLocation"];
        let uri = place["artifactLocation"]["uri"].as_str().unwrap();
        assert!(
            !uri.starts_with('/') && !uri.contains(':') && !uri.contains(' '),
            "{uri}"
        );
        assert!(place["region"]["startLine"].as_u64().unwrap() >= 1);
        let print = result["partialFingerprints"]["primaryLocationLineHash"]
            .as_str()
            .unwrap();
        assert!(prints.insert(print.to_owned()), "{print} twice");
    }
}

/// What the Jenkins schema has to say against a JUnit file.
fn wrong_by_schema(text: &str) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/schemas/junit-10.xsd");
    emulator::python("xml_schema.py", &[schema, file.path().to_str().unwrap()])
}

#[test]
fn the_schema_of_junit_is_asked() {
    let said = wrong_by_schema("<testsuites><testsuite tests=\"1\"/></testsuites>");
    assert!(said.contains("name"), "{said}");
}

/// What readers of JUnit XML agree on: the Jenkins schema; a suite counts its cases, a case has a
/// name and a class name, and at most one of failure, error and skipped.
fn check_junit(text: &str) -> (u64, u64, u64) {
    use quick_junit::{NonSuccessKind, Report, TestCaseStatus};
    assert_eq!(wrong_by_schema(text), "");
    let report = Report::deserialize_from_str(text).unwrap();
    let (mut failures, mut errors, mut skipped) = (0, 0, 0);
    for suite in &report.test_suites {
        assert_eq!(suite.tests, suite.test_cases.len());
        assert!(suite.tests > 0);
        let mut names = BTreeSet::new();
        for case in &suite.test_cases {
            assert!(
                case.classname
                    .as_ref()
                    .is_some_and(|c| c.as_str().starts_with("opsctl."))
            );
            assert!(
                names.insert(case.name.as_str().to_owned()),
                "{} twice",
                case.name.as_str()
            );
            match &case.status {
                TestCaseStatus::Success { .. } => {}
                TestCaseStatus::Skipped { .. } => skipped += 1,
                TestCaseStatus::NonSuccess {
                    kind: NonSuccessKind::Failure,
                    ..
                } => failures += 1,
                TestCaseStatus::NonSuccess {
                    kind: NonSuccessKind::Error,
                    ..
                } => errors += 1,
            }
        }
    }
    assert_eq!(report.failures as u64, failures);
    assert_eq!(report.errors as u64, errors);
    (failures, errors, skipped)
}

/// The fields that GitLab documents as required, with the values that it documents.
fn check_gitlab(text: &str, findings: usize) {
    let issues: Vec<serde_json::Value> = serde_json::from_str(text).unwrap();
    assert_eq!(issues.len(), findings);
    let mut prints = BTreeSet::new();
    for issue in issues {
        assert!(issue["description"].as_str().is_some_and(|d| !d.is_empty()));
        assert!(issue["check_name"].as_str().is_some_and(|d| !d.is_empty()));
        assert!(prints.insert(issue["fingerprint"].as_str().unwrap().to_owned()));
        let severity = issue["severity"].as_str().unwrap();
        assert!(["info", "minor", "major", "critical", "blocker"].contains(&severity));
        let path = issue["location"]["path"].as_str().unwrap();
        assert!(!path.starts_with('/') && !path.starts_with("./"), "{path}");
        assert!(issue["location"]["lines"]["begin"].as_u64().unwrap() >= 1);
    }
}

/// Each line is a command with escaped properties and message.
fn check_github(text: &str) {
    for line in text.lines() {
        let rest = line
            .strip_prefix("::error ")
            .or_else(|| line.strip_prefix("::warning "))
            .or_else(|| line.strip_prefix("::notice "))
            .unwrap_or_else(|| panic!("not a command: {line}"));
        let (properties, message) = rest.split_once("::").unwrap();
        assert!(!message.is_empty());
        for property in properties.split(',') {
            let (name, value) = property.split_once('=').unwrap();
            assert!(["file", "line", "title"].contains(&name), "{line}");
            assert!(!value.contains(':') && !value.is_empty(), "{line}");
        }
    }
    for level in ["::error ", "::warning ", "::notice "] {
        let of_it = text.lines().filter(|l| l.starts_with(level)).count();
        assert!(of_it <= 20, "{of_it} of {level}");
    }
}

#[test]
fn machine_formats_are_valid_for_every_scenario() {
    let validator = sarif_validator();
    for scenario in SCENARIOS.into_iter().chain(["findash-denied"]) {
        let print = |format| {
            sandbox(&[
                "--sandbox",
                scenario,
                "--fail-on",
                "medium",
                "--format",
                format,
            ])
            .stdout
        };
        let audit: Audit = serde_json::from_str(&print("json")).unwrap();
        // What could not be seen is a result, an issue and a row too.
        let total = audit.findings.len() + audit.unobserved.len();
        let beyond = audit.not_audited().count();
        check_sarif(&print("sarif"), &validator, total);
        check_gitlab(&print("gitlab"), total + beyond);
        check_github(&print("github"));
        let (failures, errors, _) = check_junit(&print("junit"));
        assert_eq!(failures, audit.summary.failing, "{scenario}");
        assert_eq!(errors, audit.unobserved.len() as u64, "{scenario}");
        let mut rows = csv::Reader::from_reader(print("csv").into_bytes().leak() as &[u8]);
        assert_eq!(rows.records().map(Result::unwrap).count(), total + beyond);
    }
}

#[test]
fn sarif_is_located_at_the_line_of_the_policy() {
    let dir = project(&[]);
    let ran = opsctl(
        dir.path(),
        &["audit", "tags", "--sandbox", "--format", "sarif"],
    );
    let log = json(&ran);
    for result in log["runs"][0]["results"].as_array().unwrap() {
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uriBaseId"], "%SRCROOT%");
        let uri = place["artifactLocation"]["uri"].as_str().unwrap();
        let text = std::fs::read_to_string(dir.path().join(uri)).unwrap();
        let line = place["region"]["startLine"].as_u64().unwrap() as usize;
        assert!(text.lines().count() >= line, "{uri}:{line}");
    }
}

#[test]
fn the_step_summary_is_added_to() {
    let dir = TempDir::new().unwrap();
    let summary = dir.path().join("summary.md");
    std::fs::write(&summary, "before\n").unwrap();
    let run = |path: &Path| {
        ran(command(dir.path())
            .args(["audit", "tags", "--sandbox", "--format", "github"])
            .env("GITHUB_STEP_SUMMARY", path)
            .output()
            .unwrap())
    };
    assert_eq!(run(&summary).code, 0);
    let text = std::fs::read_to_string(&summary).unwrap();
    assert!(text.starts_with("before\n**opsctl audit: PASS**"), "{text}");
    // A summary that cannot be written (it is a folder) does not hide the result.
    let nowhere = run(dir.path());
    assert_eq!(nowhere.code, 0);
    assert!(nowhere.stderr.contains("warning"), "{}", nowhere.stderr);
    check_github(&nowhere.stdout);
}

// ---- names that mean harm

const HOSTILE: [&str; 14] = [
    "new\nline",
    "::error::pwned",
    "::stop-commands::x",
    "##[add-mask]x",
    "quote\" and ' and `tick`",
    "<script>alert(1)</script>",
    "a|b|c",
    "\u{202e}gnp.exe",
    "=HYPERLINK(\"http://x\")",
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\u{1b}[31mred\u{7}\0 ]]> & %0A",
];

fn finding(id: &str, severity: Severity, name: &str, message: &str) -> Finding {
    let address = Address::new("prod", "eu-west-1", "s3-bucket", name, "tags");
    Finding {
        id: id.to_owned(),
        control: id.parse_control(),
        severity,
        arn: format!("arn:aws:s3:::{name}"),
        message: message.to_owned(),
        evidence: message.to_owned(),
        remediation: apply_command(&address),
        address,
        policy: Reason {
            policy: "tags".to_owned(),
            rule: "tags.required".to_owned(),
            file: "policies/tags.toml".to_owned(),
            line: 3,
        },
        monthly_cost_usd: None,
    }
}

trait ParseControl {
    fn parse_control(&self) -> Control;
}

impl ParseControl for str {
    fn parse_control(&self) -> Control {
        let head = self.split('.').next().unwrap();
        serde_json::from_value(head.into()).unwrap_or(Control::Tags)
    }
}

fn audit_of(findings: Vec<Finding>, fail_on: Severity, gaps: Vec<Gap>) -> Audit {
    let failing = findings.iter().filter(|f| f.severity >= fail_on).count() as u64;
    let mut by_severity = BTreeMap::new();
    let mut by_control = BTreeMap::new();
    for finding in &findings {
        *by_severity.entry(finding.severity).or_default() += 1;
        *by_control.entry(finding.control).or_default() += 1;
    }
    Audit {
        format_version: "1.0".to_owned(),
        kind: "audit".to_owned(),
        opsctl_version: "0.0.0".to_owned(),
        generated_at: crate::support::NOW.to_owned(),
        scope: vec![ScopeEntry {
            environment: "prod".to_owned(),
            account: "123456789012".to_owned(),
            region: "eu-west-1".to_owned(),
            stage: "stage-3".to_owned(),
        }],
        accepted_unobserved: Vec::new(),
        api: Default::default(),
        controls: vec![Control::Tags, Control::Lifecycle],
        summary: AuditSummary {
            outcome: match (gaps.is_empty(), failing) {
                (false, _) => Outcome::Incomplete,
                (true, 0) => Outcome::Pass,
                _ => Outcome::Fail,
            },
            checked: findings.len() as u64 + 10,
            compliant: 10,
            by_severity,
            by_control,
            fail_on,
            failing,
            in_baseline: 0,
            baseline: None,
        },
        unobserved: gaps,
        findings: findings
            .into_iter()
            .map(|finding| Reported {
                fingerprint: opsctl::audit::fingerprint(&finding.id, finding.address.as_str(), 1),
                finding,
                in_baseline: false,
            })
            .collect(),
        counts: BTreeMap::new(),
        cost: None,
        compliance: None,
        types_checked: Vec::new(),
        types_not_checked: Vec::new(),
        notes: Vec::new(),
        sandbox: None,
    }
}

/// A blind spot that is accepted stands in every format, and fails none of them.
#[test]
fn accepted_blind_spots_are_in_every_format() {
    let mut audit = audit_of(Vec::new(), Severity::High, Vec::new());
    audit.accepted_unobserved = vec![
        serde_json::from_value(serde_json::json!({
            "name": "no-proxies", "operation": "rds:DescribeDBProxies", "reason": "ticket OPS-12",
            "until": "2027-03-31", "gaps": 2,
            "covers": [{"environment": "prod", "region": "eu-west-1", "control": "tags"}],
        }))
        .unwrap(),
    ];
    let places = Places::default();
    let junit = render::junit::audit(&audit).unwrap();
    assert_eq!(check_junit(&junit), (0, 0, 1));
    let sarif = render::sarif::audit(&audit, &places);
    check_sarif(&sarif, &sarif_validator(), 0);
    let gitlab = render::gitlab::audit(&audit, &places);
    check_gitlab(&gitlab, 1);
    let github = render::github::audit(&audit, &places);
    check_github(&github);
    assert!(
        github.starts_with("::notice title=Not observed"),
        "{github}"
    );
    for text in [
        render::human::audit(&audit, &Style::default()),
        render::markdown::audit(&audit),
        render::csv::audit(&audit).unwrap(),
        serde_json::to_string(&audit).unwrap(),
        junit,
        sarif,
        gitlab,
        github,
    ] {
        assert!(text.contains("OPS-12"), "{text}");
        assert!(text.contains("rds:DescribeDBProxies"), "{text}");
    }
}

/// What is denied makes no list shorter than it was.
#[test]
fn what_could_not_be_seen_is_an_issue_of_its_own() {
    let dir = TempDir::new().unwrap();
    let print = |format: &str| {
        let args = [
            "audit",
            "tags",
            "--target",
            "prod/*/rds-instance/*",
            "--sandbox",
            "findash-denied",
            "--format",
            format,
        ];
        let ran = opsctl(dir.path(), &args);
        assert_eq!(ran.code, 3, "{}", ran.stderr);
        ran.stdout
    };
    let issues: Vec<serde_json::Value> = serde_json::from_str(&print("gitlab")).unwrap();
    let gap = &issues[0];
    assert_eq!(gap["check_name"], "opsctl.not-observed");
    assert_eq!(gap["severity"], "blocker");
    assert_eq!(gap["location"]["path"], "opsctl.toml");
    let again: Vec<serde_json::Value> = serde_json::from_str(&print("gitlab")).unwrap();
    assert_eq!(issues, again, "the same fingerprints");
    let csv = print("csv");
    assert!(
        csv.lines()
            .nth(1)
            .is_some_and(|l| l.starts_with("opsctl.not-observed,")),
        "{csv}"
    );
    assert!(print("sarif").contains("\"ruleId\": \"opsctl.not-observed\""));
}

/// The project may be a folder of a repository, and policies may be those that ship.
#[test]
fn places_are_those_of_the_repository() {
    let dir = TempDir::new().unwrap();
    std::fs::create_dir(dir.path().join(".git")).unwrap();
    let infra = dir.path().join("infra");
    std::fs::create_dir(&infra).unwrap();
    let shop = project(&[]);
    for part in ["opsctl.toml", "policies/tags.toml"] {
        let to = infra.join(part);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(shop.path().join(part), to).unwrap();
    }
    let args = [
        "-C",
        "infra",
        "audit",
        "tags",
        "--sandbox",
        "dartsyn",
        "--format",
    ];
    let paths = |dir: &Path| -> BTreeSet<String> {
        let ran = opsctl(dir, &[&args[..], &["gitlab"]].concat());
        let issues: Vec<serde_json::Value> = serde_json::from_str(&ran.stdout).expect(&ran.stderr);
        assert!(!issues.is_empty());
        issues
            .iter()
            .map(|i| i["location"]["path"].as_str().unwrap().to_owned())
            .collect()
    };
    std::fs::remove_file(infra.join("policies/tags.toml")).unwrap();
    std::fs::remove_dir(infra.join("policies")).unwrap();
    assert_eq!(
        paths(dir.path()),
        BTreeSet::from(["infra/opsctl.toml".to_owned()])
    );
    for (path, text) in opsctl::config::load::SHIPPED {
        let to = infra.join(path);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::write(to, text).unwrap();
    }
    assert_eq!(
        paths(dir.path()),
        BTreeSet::from(["infra/policies/tags.toml".to_owned()])
    );
}

fn hostile() -> Audit {
    let mut findings = Vec::new();
    for name in HOSTILE {
        let mut one = finding("tags.missing", Severity::High, name, name);
        one.policy.file = format!("policies/{name}.toml");
        one.policy.rule = name.to_owned();
        one.remediation.push_str(name);
        findings.push(one);
    }
    let gaps = HOSTILE
        .iter()
        .map(|name| Gap {
            environment: "prod".to_owned(),
            account: "123456789012".to_owned(),
            region: (*name).to_owned(),
            control: Control::Tags,
            operation: (*name).to_owned(),
            resource: Some((*name).to_owned()),
            error: (*name).to_owned(),
        })
        .collect();
    let mut audit = audit_of(findings, Severity::High, gaps);
    audit.notes = HOSTILE.map(str::to_owned).to_vec();
    audit.summary.baseline = Some(BaselineUse {
        file: HOSTILE[0].to_owned(),
        entries: 1,
        fixed: 0,
        not_looked_at: 1,
    });
    audit
}

#[test]
fn hostile_names_are_harmless_everywhere() {
    let audit = hostile();
    let plain = |text: &str, format: &str| {
        for bad in ['\u{202e}', '\u{1b}', '\u{7}', '\0'] {
            assert!(!text.contains(bad), "{format}: {bad:?}");
        }
    };
    for width in [60, 80, 140] {
        for verbose in [false, true] {
            let style = Style {
                width,
                colour: false,
                verbose,
            };
            let page = render::github::defuse(&render::human::audit(&audit, &style));
            plain(&page, "table");
            for line in page.lines() {
                assert!(!line.trim_start().starts_with("::"), "{line}");
                assert!(!line.contains("##["), "{line}");
            }
            insta::assert_snapshot!(format!("audit_hostile_{width}_{verbose}"), page);
        }
    }
    let markdown = render::github::defuse(&render::markdown::audit(&audit));
    plain(&markdown, "markdown");
    for line in markdown.lines() {
        // Between backticks nothing is markup.
        let outside: String = line.split('`').step_by(2).collect();
        assert!(!outside.contains("<script"), "{line}");
    }
    assert!(markdown.lines().all(|l| !l.trim_start().starts_with("::")));
    insta::assert_snapshot!("audit_hostile_markdown", markdown);
    let sarif = render::sarif::audit(&audit, &Places::default());
    plain(&sarif, "sarif");
    let all = audit.findings.len() + audit.unobserved.len();
    check_sarif(&sarif, &sarif_validator(), all);
    let junit = render::junit::audit(&audit).unwrap();
    plain(&junit, "junit");
    assert!(!junit.contains("<script"), "{junit}");
    let (failures, errors, _) = check_junit(&junit);
    assert_eq!(
        (failures, errors),
        (HOSTILE.len() as u64, HOSTILE.len() as u64)
    );
    let gitlab = render::gitlab::audit(&audit, &Places::default());
    plain(&gitlab, "gitlab");
    check_gitlab(&gitlab, all);
    let github = render::github::audit(&audit, &Places::default());
    plain(&github, "github");
    check_github(&github);
    let text = render::csv::audit(&audit).unwrap();
    plain(&text, "csv");
    let mut rows = csv::Reader::from_reader(text.as_bytes());
    let mut count = 0;
    for row in rows.records() {
        count += 1;
        for cell in row.unwrap().iter() {
            let formula = cell.trim_start().starts_with(['=', '+', '-', '@']);
            assert!(!formula, "{cell}");
        }
    }
    assert_eq!(count, all);
}

// ---- many

#[test]
fn ten_thousand_findings_read_well_and_stay_valid() {
    let mut findings: Vec<Finding> = Vec::new();
    for i in 0..10_000 {
        let (id, severity, message) = match i % 5 {
            0 => (
                "lifecycle.missing-rule",
                Severity::Medium,
                "rules of the policy are missing: opsctl-multipart".to_owned(),
            ),
            1 => (
                "tags.invalid-value",
                Severity::Medium,
                format!("tag team = \"{i}\" is not allowed"),
            ),
            2 => (
                "tags.wrong-case",
                Severity::Low,
                "Team is team in another case".to_owned(),
            ),
            _ => (
                "tags.missing",
                Severity::High,
                "required tag team is missing".to_owned(),
            ),
        };
        let mut one = finding(id, severity, &format!("bucket-{i:05}"), &message);
        one.policy.line = 3 + i % 40;
        findings.push(one);
    }
    findings.sort_by(|a, b| (b.severity, &a.address).cmp(&(a.severity, &b.address)));
    let audit = audit_of(findings, Severity::High, Vec::new());
    for width in [60, 80, 140] {
        let style = Style {
            width,
            colour: false,
            verbose: false,
        };
        let page = render::human::audit(&audit, &style);
        assert!(page.lines().count() < 80, "{page}");
        assert!(page.starts_with("FAIL: 4,000 findings"), "{page}");
        assert!(page.contains("-v shows each one"), "{page}");
        insta::assert_snapshot!(format!("audit_many_{width}"), page);
    }
    let colour = render::human::audit(
        &audit,
        &Style {
            width: 80,
            colour: true,
            verbose: false,
        },
    );
    assert_eq!(
        strip(&colour),
        render::human::audit(&audit, &Style::default())
    );
    let all = render::human::audit(
        &audit,
        &Style {
            verbose: true,
            ..Style::default()
        },
    );
    for i in [0, 4_999, 9_999] {
        assert!(all.contains(&format!("bucket-{i:05}#")), "{i}");
    }
    let markdown = render::markdown::audit(&audit);
    assert!(markdown.chars().count() <= 65_000, "{}", markdown.len());
    assert_eq!(
        markdown.lines().take(3).filter(|l| !l.is_empty()).count(),
        3
    );
    check_sarif(
        &render::sarif::audit(&audit, &Places::default()),
        &sarif_validator(),
        10_000,
    );
    check_gitlab(&render::gitlab::audit(&audit, &Places::default()), 10_000);
    let github = render::github::audit(&audit, &Places::default());
    check_github(&github);
    assert!(github.lines().count() <= 30, "{github}");
    assert_eq!(
        check_junit(&render::junit::audit(&audit).unwrap()),
        (4_000, 0, 0)
    );
    let text = serde_json::to_string(&audit).unwrap();
    let baseline = Baseline::parse("b.json", &text).unwrap();
    drop(baseline);
}

/// Without colour; every escape sequence of ours ends with `m`.
fn strip(text: &str) -> String {
    let mut out = String::new();
    let mut parts = text.split('\u{1b}');
    out.push_str(parts.next().unwrap());
    for part in parts {
        out.push_str(part.split_once('m').unwrap().1);
    }
    out
}

// ---- the catalog

/// Literals that look like ids of findings and are keys of a policy.
const POLICY_KEYS: [&str; 6] = [
    "tags.required",
    "lifecycle.rule",
    "budgets.alert",
    "budgets.anomaly",
    "budgets.split",
    "cost.tags",
];

#[test]
fn every_id_in_the_source_is_in_the_catalog() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut folders: Vec<_> = ["controls", "audit", "cost", "readiness"]
        .map(|f| root.join(f))
        .into_iter()
        .filter(|f| f.is_dir())
        .collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                files.push(path);
            }
        }
    }
    let controls = catalog::ALL.map(|(c, _)| c.as_str());
    let mut missing = Vec::new();
    let mut seen = 0;
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (i, line) in code.lines().enumerate() {
            let line = line.split("//").next().unwrap_or_default();
            for literal in line.split('"').skip(1).step_by(2) {
                let Some((head, tail)) = literal.split_once('.') else {
                    continue;
                };
                let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
                if !controls.contains(&head) || tail.is_empty() || !tail.chars().all(word) {
                    continue;
                }
                seen += 1;
                if catalog::find(literal).is_none() && !POLICY_KEYS.contains(&literal) {
                    let name = file.strip_prefix(&root).unwrap().display();
                    missing.push(format!(
                        "src/{name}:{}: \"{literal}\" is not in src/catalog/{head}.rs. If it is the id of a finding, add there, in order:\n    \
                         Entry {{\n        id: \"{literal}\",\n        title: \"…\",\n        means: \"…\",\n        matters: \"…\",\n        fix: \"…\",\n    }},\n\
                         If it is a key of a policy, add it to POLICY_KEYS in tests/it/audit.rs.",
                        i + 1
                    ));
                }
            }
        }
    }
    assert!(seen > 30, "{seen}");
    assert!(missing.is_empty(), "{}", missing.join("\n\n"));
}

#[test]
fn findings_are_explained() {
    let dir = TempDir::new().unwrap();
    let one = opsctl(dir.path(), &["explain", "tags.missing"]);
    assert_eq!(one.code, 0);
    insta::assert_snapshot!("explain_one", one.stdout);
    let all = opsctl(dir.path(), &["explain"]);
    for entry in catalog::entries() {
        assert!(all.stdout.contains(entry.id), "{}", entry.id);
    }
    let typo = opsctl(dir.path(), &["explain", "tags.mising"]);
    assert_eq!((typo.code, typo.stdout.as_str()), (1, ""));
    assert!(
        typo.stderr.contains("did you mean `tags.missing`?"),
        "{}",
        typo.stderr
    );
    let document = json(&opsctl(
        dir.path(),
        &["explain", "cost.over-budget", "--format", "json"],
    ));
    assert_eq!(document["explained"][0]["id"], "cost.over-budget");
    let markdown = opsctl(dir.path(), &["explain", "--format", "markdown"]).stdout;
    assert!(markdown.contains("| `tags.missing` |"), "{markdown}");
}
