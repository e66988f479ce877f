//! `opsctl report tags`: its numbers against another client's, its history, its commands, and what
//! hostile tags do to its formats.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::emulator::{self, Emulator};
use crate::support::{Ran, WORKSPACE, binary, command, json as parse, opsctl, project};

const REPORT: [&str; 2] = ["report", "tags"];

/// The report of a sandbox, in a folder of its own.
fn sandbox(dir: &Path, scenario: &str, more: &[&str]) -> Ran {
    let args: Vec<&str> = REPORT
        .iter()
        .chain(["--sandbox", scenario].iter())
        .chain(more)
        .copied()
        .collect();
    opsctl(dir, &args)
}

fn sandbox_json(dir: &Path, scenario: &str, more: &[&str]) -> Value {
    let ran = sandbox(dir, scenario, &[&["--format", "json"], more].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    parse(&ran)
}

fn moto() -> Emulator {
    emulator::moto()
}

/// One region, in which the other client looks too.
fn shop(more: &str) -> TempDir {
    let text = WORKSPACE.replace(", \"us-east-1\"", "");
    project(&[("opsctl.toml", &format!("{text}{more}"))])
}

fn moto_report(emulator: &Emulator, dir: &Path, more: &[&str]) -> Value {
    let args = [&REPORT, &["--format", "json"], more].concat();
    let ran = emulator.opsctl(dir, &args);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    parse(&ran)
}

fn array<'a>(value: &'a Value, key: &str) -> &'a Vec<Value> {
    value[key]
        .as_array()
        .unwrap_or_else(|| panic!("no list {key}"))
}

/// What Cost Explorer of moto answers: this month's spend by account and service, then nothing.
fn costs(emulator: &Emulator, services: &[(&str, &str)]) {
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let period = |groups: Vec<Value>| {
        json!({"ResultsByTime": [{
            "TimePeriod": {"Start": today.first_of_month().to_string(), "End": today.tomorrow().unwrap().to_string()},
            "Estimated": true, "Groups": groups, "Total": {}}]})
    };
    let groups = services
        .iter()
        .map(|(name, amount)| {
            json!({"Keys": [emulator::ACCOUNT, name],
                   "Metrics": {"UnblendedCost": {"Amount": amount, "Unit": "USD"}}})
        })
        .collect();
    let mut results = vec![period(groups)];
    results.extend((0..12).map(|_| period(vec![])));
    emulator.cost_results(&results);
}

#[test]
fn the_numbers_are_those_of_the_account_by_count_and_by_spend() {
    let emulator = moto();
    emulator.python("seed.py", &[]);
    let dir = shop("");
    let file = |name: &str, value: &Value| {
        let path = emulator.folder.path().join(name);
        std::fs::write(&path, value.to_string()).unwrap();
        path.display().to_string()
    };

    // Nothing was asked for, so nothing is known, and nothing is paid.
    let first = moto_report(&emulator, dir.path(), &[]);
    let path = file("first.json", &first);
    emulator.python("tags_expected.py", &["--report", &path]);
    assert!(
        first["spend"]["note"]
            .as_str()
            .unwrap()
            .contains("opsctl audit cost")
    );
    let asked: Vec<&String> = first["api"]["by_operation"]
        .as_object()
        .unwrap()
        .keys()
        .collect();
    assert!(asked.iter().all(|o| !o.starts_with("ce:")), "{asked:?}");
    assert_eq!(first["api"]["cost_usd"], "0.00");

    costs(
        &emulator,
        &[
            ("Amazon Simple Storage Service", "123.45"),
            ("Amazon Relational Database Service", "700.10"),
            ("AWS Lambda", "3.33"),
            ("AmazonCloudWatch", "12.00"),
            ("Amazon Elastic Compute Cloud - Compute", "250.00"),
        ],
    );
    let audited = emulator.opsctl(dir.path(), &["audit", "cost", "--format", "json"]);
    let audit = parse(&audited);
    assert_eq!(
        audit["cost"][0]["month_to_date"], "1088.88",
        "{}",
        audited.stderr
    );
    let second = moto_report(&emulator, dir.path(), &[]);
    let (report, cost) = (file("second.json", &second), file("cost.json", &audit));
    let said = emulator.python("tags_expected.py", &["--report", &report, "--cost", &cost]);
    assert!(said.contains("as in the account"), "{said}");
    assert_eq!(second["spend"]["month_to_date"], "1088.88");
    // What no resource stands for is told, and what is behind the others adds up.
    assert_eq!(
        array(&second["spend"], "elsewhere")[0]["name"],
        "Amazon Elastic Compute Cloud - Compute"
    );
    assert_eq!(second["trend"]["new"], 0);
    assert_eq!(second["trend"]["fixed"], 0);
    let asked: Vec<&String> = second["api"]["by_operation"]
        .as_object()
        .unwrap()
        .keys()
        .collect();
    assert!(asked.iter().all(|o| !o.starts_with("ce:")), "{asked:?}");

    by_hand(&emulator, dir.path(), &second);
    let violations = emulator.violations();
    assert!(violations.is_empty(), "{violations:#?}");
}

/// A credit lowers the whole and no resource's share: then a part is more than the whole, and says why.
#[test]
fn credits_are_told_where_they_make_a_part_more_than_the_whole() {
    let emulator = moto();
    emulator.python("seed.py", &["--buckets", "4", "--databases", "0"]);
    let dir = shop("");
    costs(
        &emulator,
        &[
            ("Amazon Simple Storage Service", "50.00"),
            ("AWS Support (Business)", "-30.00"),
        ],
    );
    let ran = emulator.opsctl(dir.path(), &["audit", "cost", "--format", "json"]);
    assert_eq!(
        parse(&ran)["cost"][0]["month_to_date"],
        "20.00",
        "{}",
        ran.stderr
    );
    let spend = &moto_report(&emulator, dir.path(), &[])["spend"];
    assert_eq!(spend["month_to_date"], "20.00");
    assert_eq!(spend["behind_checked"], "50.00");
    let note = spend["note"].as_str().unwrap_or_default();
    assert!(
        note.contains("credits and refunds of 30.00 lower the whole"),
        "{spend}"
    );
}

/// A command of the CLI of AWS does what it says.
fn by_hand(emulator: &Emulator, dir: &Path, report: &Value) {
    let fixable = |operation: &str, report: &Value| -> Option<(String, String)> {
        array(report, "resources").iter().find_map(|r| {
            let command = r["fix"]["command"].as_str()?;
            let fine = command.starts_with(&format!("aws resourcegroupstaggingapi {operation}"))
                && r["service"] == "s3"
                && !command.contains("VALUE");
            fine.then(|| {
                (
                    r["address"].as_str().unwrap().to_owned(),
                    command.to_owned(),
                )
            })
        })
    };
    let (address, command) = fixable("tag-resources", report).expect("a value to correct");
    assert!(command.contains("\"environment\":\"prod\""), "{command}");
    emulator.python("aws_cli.py", &[&command]);
    let after = moto_report(emulator, dir, &[]);
    let left = array(&after, "resources")
        .iter()
        .any(|r| r["address"] == address);
    assert!(!left, "{command}");
    assert_eq!(after["trend"]["fixed"], 1);
    let (address, command) = fixable("untag-resources", &after).expect("a twin to remove");
    emulator.python("aws_cli.py", &[&command]);
    let after = moto_report(emulator, dir, &[]);
    let left = array(&after, "resources")
        .iter()
        .any(|r| r["address"] == address);
    assert!(!left, "{command}");
}

#[test]
fn trends_survive_a_disk_that_does_not() {
    let emulator = moto();
    emulator.python(
        "seed.py",
        &[
            "--buckets",
            "20",
            "--databases",
            "4",
            "--snapshots",
            "0",
            "--cache",
            "0",
        ],
    );
    emulator.object("shop-opsctl", "reason", b"to be there");
    let evidence =
        "\n[evidence]\nenvironment = \"prod\"\nbucket = \"shop-opsctl\"\nprefix = \"e\"\n";
    let first = shop(evidence);
    let report = moto_report(&emulator, first.path(), &[]);
    assert_eq!(report["trend"]["new"], Value::Null);
    assert_eq!(array(&report["trend"], "runs").len(), 1);

    // Another machine, with nothing on it.
    let second = shop(evidence);
    let report = moto_report(&emulator, second.path(), &["--no-history"]);
    assert_eq!(array(&report["trend"], "runs").len(), 2);
    assert_eq!(
        (&report["trend"]["new"], &report["trend"]["fixed"]),
        (&json!(0), &json!(0))
    );
    let old = &array(&report, "resources")[0];
    assert_eq!(
        (&old["new"], &old["since_first_run"]),
        (&json!(false), &json!(true))
    );

    // A run of only some addresses compares, and is not remembered.
    let some = ["--target", "prod/*/s3-bucket/*"];
    let report = moto_report(&emulator, second.path(), &some);
    assert_eq!(report["trend"]["new"], 0);
    assert_eq!(report["trend"]["fixed"], Value::Null);
    assert_eq!(array(&report["trend"], "runs").len(), 1);

    let fixed = emulator.opsctl(
        second.path(),
        &["apply", "--control", "tags", "--yes", "--format", "json"],
    );
    assert!([0, 1].contains(&fixed.code), "{}", fixed.stderr);
    let third = shop(evidence);
    let report = moto_report(&emulator, third.path(), &[]);
    assert!(
        report["trend"]["fixed"].as_u64().unwrap() > 3,
        "{}",
        report["trend"]
    );
    assert_eq!(array(&report["trend"], "runs").len(), 2);
    let lines = std::fs::read_to_string(history(third.path(), "endpoint-")).unwrap();
    assert_eq!(
        lines.lines().count(),
        2,
        "what was read of others is kept here too"
    );
    assert!(!third.path().join(".opsctl/history/tags.jsonl").exists());

    // Without the bucket there is a warning, and a report all the same.
    let gone = shop(&evidence.replace("shop-opsctl", "shop-gone"));
    let ran = emulator.opsctl(gone.path(), &REPORT);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("shop-gone"), "{}", ran.stderr);
}

/// The history of the only source whose folder begins so.
fn history(dir: &Path, folder: &str) -> std::path::PathBuf {
    let root = dir.join(".opsctl/history");
    let found = std::fs::read_dir(&root)
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.file_name().unwrap().to_string_lossy().starts_with(folder));
    found.expect("a history").join("tags.jsonl")
}

#[test]
fn the_one_command_fixes_and_the_next_report_says_so() {
    let dir = TempDir::new().unwrap();
    let before = sandbox_json(dir.path(), "dartsyn", &[]);
    assert_eq!(before["trend"]["new"], Value::Null);
    let fixable: Vec<&Value> = array(&before, "resources")
        .iter()
        .filter(|r| r["fix"]["command"].is_string() && r["fix"]["text"] == "")
        .take(3)
        .collect();
    assert_eq!(fixable.len(), 3);
    for resource in &fixable {
        let line = resource["fix"]["command"].as_str().unwrap();
        let programs = binary().parent().unwrap().display().to_string();
        let mut shell = std::process::Command::new("sh");
        let kept = command(dir.path());
        shell.current_dir(dir.path()).env_clear();
        for (name, value) in kept.get_envs() {
            if let Some(value) = value {
                shell.env(name, value);
            }
        }
        let path = std::env::var("PATH").unwrap_or_default();
        shell.env("PATH", format!("{programs}:{path}"));
        let out = shell
            .args(["-c", &format!("{line} --yes")])
            .output()
            .unwrap();
        assert!(
            out.status.success(),
            "{line}\n{}",
            String::from_utf8_lossy(&out.stderr)
        );
    }
    let after = sandbox_json(dir.path(), "dartsyn", &[]);
    let left: BTreeSet<&str> = array(&after, "resources")
        .iter()
        .map(|r| r["address"].as_str().unwrap())
        .collect();
    let findings: u64 = fixable
        .iter()
        .map(|r| {
            assert!(!left.contains(r["address"].as_str().unwrap()));
            let ids: BTreeSet<&str> = array(r, "findings")
                .iter()
                .map(|f| f["id"].as_str().unwrap())
                .collect();
            ids.len() as u64
        })
        .sum();
    assert_eq!(after["trend"]["fixed"], findings);
    assert_eq!(after["trend"]["new"], 0);
    let count = |report: &Value| {
        report["compliance"]["overall"]["compliant"]
            .as_u64()
            .unwrap()
    };
    assert_eq!(count(&after), count(&before) + 3);

    // Reset, it has no past.
    assert_eq!(opsctl(dir.path(), &["sandbox", "reset", "dartsyn"]).code, 0);
    let again = sandbox_json(dir.path(), "dartsyn", &[]);
    assert_eq!(again["trend"]["since"], Value::Null);
}

/// Where AWS splits costs by a key, the share is what it says, and not an estimate.
#[test]
fn a_key_that_is_a_dimension_of_cost_is_measured() {
    crate::support::not_over_midnight();
    let dir = TempDir::new().unwrap();
    let audit = ["audit", "cost", "--sandbox", "dartsyn", "--format", "json"];
    let cost = parse(&opsctl(dir.path(), &audit));
    let report = sandbox_json(dir.path(), "dartsyn", &[]);
    let cents = |v: &Value| -> i64 { v.as_str().unwrap().replace('.', "").parse().unwrap() };
    let entries: Vec<&Value> = array(&cost, "cost")
        .iter()
        .filter(|e| e["environment"].is_string())
        .collect();
    let mut measured = 0;
    for (key, share) in report["compliance"]["by_key"].as_object().unwrap() {
        if !entries.iter().all(|e| e["tag_status"][key] == "active") {
            assert_eq!(share["spend_basis"], "estimated", "{key}");
            continue;
        }
        measured += 1;
        assert_eq!(share["spend_basis"], "measured", "{key}");
        // Of `project` every value is allowed.
        assert_eq!(key, "project");
        let (mut all, mut with) = (0, 0);
        for entry in &entries {
            let mut untagged = 0;
            for row in array(&entry["by_tag"], key) {
                let spent = cents(&row["month_to_date"]);
                all += spent;
                match row["value"].as_str().unwrap() {
                    "" => untagged += spent,
                    _ => with += spent,
                }
            }
            let counted = !array(entry, "left_out").contains(&json!("Tax"));
            if counted {
                all -= cents(&entry["adjustments"]["tax"]).min(untagged);
            }
        }
        assert_eq!(
            (cents(&share["spend"]), cents(&share["spend_compliant"])),
            (all, with)
        );
        let percent = format!("{}.{}", with * 100 / all, with * 1000 / all % 10);
        assert_eq!(share["spend_percent"], percent);
    }
    assert_eq!(measured, 1);
    // What is behind the judged and what is elsewhere are parts of the whole.
    let whole = cents(&report["spend"]["month_to_date"]);
    let sum: i64 = entries.iter().map(|e| cents(&e["month_to_date"])).sum();
    assert_eq!(whole, sum);
    let elsewhere: i64 = array(&report["spend"], "elsewhere")
        .iter()
        .map(|e| cents(&e["month_to_date"]))
        .sum();
    assert!(cents(&report["spend"]["behind_checked"]) + elsewhere <= whole + 1);
}

#[test]
fn many_runs_at_once_leave_whole_lines() {
    let dir = TempDir::new().unwrap();
    let runs: Vec<_> = (0..5)
        .map(|_| {
            command(dir.path())
                .args(["report", "tags", "--sandbox", "dartsyn", "-o", "/dev/null"])
                .stderr(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for run in runs {
        let out = run.wait_with_output().unwrap();
        assert!(
            out.status.success(),
            "{}",
            String::from_utf8_lossy(&out.stderr)
        );
    }
    let path = dir
        .path()
        .join(".opsctl/history/sandbox/dartsyn/tags.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(lines.len(), 5);
    // Only the newest keeps what was open.
    let open = lines
        .iter()
        .filter(|l| l["env"]["prod"]["open"].is_object())
        .count();
    assert_eq!(open, 1);
    let longest = text.lines().map(str::len).max().unwrap();
    assert!(longest < 4_000, "a line has {longest} bytes");
}

#[test]
fn what_cannot_be_seen_is_exit_3_and_on_top() {
    let dir = TempDir::new().unwrap();
    for format in ["table", "markdown", "html", "json", "csv"] {
        let ran = sandbox(dir.path(), "findash-denied", &["--format", format]);
        assert_eq!(ran.code, 3, "{format}: {}", ran.stderr);
        assert!(ran.stdout.contains("AccessDenied"), "{format}");
        let ran = sandbox(
            dir.path(),
            "findash-denied",
            &["--format", format, "--allow-incomplete"],
        );
        assert_eq!(ran.code, 0, "{format}");
    }
    let report = parse(&sandbox(
        dir.path(),
        "findash-denied",
        &["--format", "json"],
    ));
    let not_compared = report["trend"]["not_compared"].to_string();
    assert!(
        not_compared.contains("nothing of it counts as fixed"),
        "{not_compared}"
    );
    let ran = sandbox(dir.path(), "dartsyn", &["--format", "sarif"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.contains("table, json, markdown, csv and html"),
        "{}",
        ran.stderr
    );
    let ran = opsctl(
        dir.path(),
        &["audit", "tags", "--sandbox", "--format", "html"],
    );
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("opsctl report"), "{}", ran.stderr);
}

/// What nobody judged is said in the short formats too.
#[test]
fn an_environment_without_a_policy_and_a_target_like_nothing_are_said() {
    let stage = |name: &str, from: u64, policies: &str| {
        format!(
            "[stage]\nname = \"{name}\"\ntitle = \"x\"\nusers = {{ from = {from}, to = 1000000 }}\nmonthly_cost_usd = {{ from = 0, to = 20000 }}\npolicies = [{policies}]\n"
        )
    };
    let (one, three) = (
        stage("stage-1", 0, "\"s3-lifecycle\""),
        stage("stage-3", 1, "\"tags\""),
    );
    let dir = project(&[
        ("stacks/stage-1.toml", &one),
        ("stacks/stage-3.toml", &three),
    ]);
    for format in ["table", "csv", "markdown", "html"] {
        let ran = sandbox(dir.path(), "findash", &["--format", format]);
        assert!(
            ran.stdout.contains("its stage has no policy for tags"),
            "{format}: {}{}",
            ran.stdout,
            ran.stderr
        );
    }
    let ran = sandbox(dir.path(), "findash", &["--target", "zzz"]);
    assert_eq!(ran.code, 0);
    assert!(
        ran.stderr
            .contains("warning: nothing that was seen has an address like zzz"),
        "{}",
        ran.stderr
    );
}

#[test]
fn the_json_is_as_its_schema_says() {
    let dir = TempDir::new().unwrap();
    let schema = opsctl(dir.path(), &["schema", "report-tags"]);
    let validator = jsonschema::validator_for(&parse(&schema)).unwrap();
    for scenario in ["dartsyn", "findash", "findash-denied", "acme"] {
        let report = parse(&sandbox(dir.path(), scenario, &["--format", "json"]));
        let errors: Vec<String> = validator
            .iter_errors(&report)
            .map(|e| e.to_string())
            .collect();
        assert!(errors.is_empty(), "{scenario}: {errors:#?}");
        let typed: opsctl::report::tags::TagReport =
            serde_json::from_value(report.clone()).unwrap();
        assert_eq!(serde_json::to_value(&typed).unwrap(), report);
    }
}

#[test]
fn hostile_tags_are_shown_and_do_nothing() {
    let emulator = moto();
    let values: Vec<String> = serde_json::from_str(&emulator.python("hostile.py", &[])).unwrap();
    let dir = shop("");
    let formats: [(&[&str], &[&str]); 2] = [
        (&REPORT, &["table", "markdown", "html", "csv", "json"]),
        (
            &["audit", "tags"],
            &[
                "table", "markdown", "csv", "github", "gitlab", "junit", "sarif", "json",
            ],
        ),
    ];
    for (name, formats) in formats {
        for format in formats {
            let args = [name, &["-v", "--format", format]].concat();
            let ran = emulator.opsctl(dir.path(), &args);
            assert!([0, 2].contains(&ran.code), "{args:?}: {}", ran.stderr);
            harmless(&args.join(" "), format, &ran.stdout, &values);
        }
    }
}

fn harmless(what: &str, format: &str, text: &str, values: &[String]) {
    for (name, bad) in [
        ("escape", '\u{1b}'),
        ("bell", '\u{7}'),
        ("override", '\u{202e}'),
        ("isolate", '\u{2066}'),
        ("mark", '\u{feff}'),
        ("zero width", '\u{200b}'),
    ] {
        // For machines a value is what it is; JSON itself escapes control characters.
        if format != "json" || bad < ' ' {
            assert!(!text.contains(bad), "{what}: {name}");
        }
    }
    match format {
        "json" => {
            let document: Value = serde_json::from_str(text).unwrap();
            let all = document.to_string();
            for value in values.iter().filter(|v| !v.trim().is_empty()) {
                let quoted = serde_json::to_string(value).unwrap();
                let inner = quoted.trim_matches('"').trim();
                let twice = serde_json::to_string(inner).unwrap();
                let known = all.contains(inner) || all.contains(twice.trim_matches('"'));
                assert!(known, "{what}: {value:?} is not there");
            }
        }
        "csv" => {
            let mut reader = csv::Reader::from_reader(text.as_bytes());
            for record in reader.records() {
                for cell in &record.unwrap() {
                    let first = cell.trim_start().chars().next();
                    let number = cell.parse::<f64>().is_ok();
                    assert!(
                        number || !first.is_some_and(|c| "=+-@".contains(c)),
                        "{what}: {cell}"
                    );
                }
            }
        }
        "html" | "markdown" | "table" | "github" => {
            // In Markdown, what stands between backticks is text.
            let spans = |line: &str| line.split('`').step_by(2).collect::<String>();
            let outside: String = match format {
                "markdown" => text.lines().map(spans).collect(),
                _ => text.to_owned(),
            };
            if format == "html" || format == "markdown" {
                let tags = outside.matches("<script>").count();
                assert_eq!(tags, usize::from(format == "html"), "{what}");
                assert!(!outside.contains("<img"), "{what}");
            }
            if format == "markdown" {
                assert!(!outside.contains("[x](javascript"), "{what}");
            }
            let command = |line: &&str| line.trim_start().starts_with("::error::x");
            assert_eq!(text.lines().filter(command).count(), 0, "{what}");
        }
        _ => {}
    }
}
