//! Restore drills of DynamoDB tables on moto with its lies repaired (`tests/emulators/tables.py`).

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::drill_rds::{ended, spawn};
use crate::emulator::{ACCOUNT, Emulator, moto};
use crate::support::{self, Ran, project};

const POLL: &str = "50ms";

/// An account with tables, a project with drills, and what the account looked like before.
struct Stage {
    moto: Emulator,
    dir: TempDir,
    before: Value,
}

const CHECKS: &str = "[[backups.drill.orders.check]]\nitems_within = \"0%\"\n\
    [[backups.drill.orders.check]]\nsample = 50\n\
    [[backups.drill.orders.check]]\nnewest = { attribute = \"created_at\", max_age = \"1d\" }\n";

fn orders(method: &str, more: &str) -> String {
    format!(
        "[backups.drill.orders]\nsource = \"dynamodb:Orders\"\nmethod = \"{method}\"\n\
         objective = {{ rto = \"30m\", rpo = \"24h\" }}\n{more}\n{CHECKS}"
    )
}

fn workspace() -> String {
    support::WORKSPACE.replace(", \"us-east-1\"", "")
}

impl Stage {
    fn new(tables: u32, drills: &str) -> Stage {
        let moto = moto();
        let count = tables.to_string();
        moto.python("seed_tables.py", &["--tables", &count]);
        let policy = format!("[backups]\nretention_days = 7\n{drills}");
        let dir = project(&[
            ("policies/backups.toml", &policy),
            ("opsctl.toml", &workspace()),
        ]);
        let mut stage = Stage {
            moto,
            dir,
            before: Value::Null,
        };
        stage.before = stage.account();
        stage
    }

    fn account(&self) -> Value {
        serde_json::from_str(&self.moto.python("tables_snapshot.py", &[])).unwrap()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.moto.command(self.dir.path(), args);
        command.env("OPSCTL_DRILL_POLL", POLL);
        command
    }

    fn opsctl(&self, args: &[&str]) -> Ran {
        support::ran(self.command(args).output().unwrap())
    }

    fn run(&self) -> (Ran, Value) {
        let ran = self.opsctl(&["drill", "run", "--format", "json"]);
        let record = support::json(&ran)["drills"][0].clone();
        (ran, record)
    }

    fn call(&self, operation: &str, params: &Value) -> Value {
        let said = self
            .moto
            .python("call.py", &["dynamodb", operation, &params.to_string()]);
        serde_json::from_str(&said).unwrap()
    }

    fn differs(&self) -> Vec<String> {
        let of =
            |v: &Value| -> BTreeMap<String, Value> { serde_json::from_value(v.clone()).unwrap() };
        let (before, now) = (of(&self.before), of(&self.account()));
        let mut out = Vec::new();
        for (arn, held) in &before {
            match now.get(arn) {
                None => out.push(format!("gone: {arn}")),
                Some(there) if there != held => {
                    let fields = held.as_object().unwrap().keys();
                    let changed: Vec<&String> = fields
                        .filter(|k| there[k.as_str()] != held[k.as_str()])
                        .collect();
                    out.push(format!("changed: {arn}: {changed:?}"));
                }
                Some(_) => {}
            }
        }
        let new = now.keys().filter(|k| !before.contains_key(*k));
        out.extend(new.map(|k| format!("new: {k}")));
        out
    }

    fn as_before(&self, context: &str) {
        let differs = self.differs();
        assert!(differs.is_empty(), "{context}: {differs:#?}");
    }

    fn copies(&self) -> Vec<Value> {
        let now = self.account();
        let before = self.before.as_object().unwrap();
        let new = now
            .as_object()
            .unwrap()
            .iter()
            .filter(|(arn, _)| !before.contains_key(*arn));
        new.map(|(_, one)| one.clone()).collect()
    }

    fn gc(&self) -> Ran {
        self.opsctl(&["drill", "gc"])
    }

    fn sound(&self) {
        let verified = self.opsctl(&["drill", "verify"]);
        assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
        let violations = self.moto.violations();
        assert!(violations.is_empty(), "{violations:#?}");
    }
}

fn reason(record: &Value) -> String {
    record["reasons"].to_string()
}

/// One copy appears, on demand, without indexes, with our tags, is read, and goes; forty tables stay
/// as they are, to the last item.
#[test]
fn one_copy_comes_and_goes_among_forty_tables() {
    for method in ["snapshot", "point-in-time"] {
        let stage = Stage::new(41, &orders(method, ""));
        stage
            .moto
            .tables(&json!({"creating": 2.0, "deleting": 600.0, "unseen": 1}));
        let child = spawn(stage.command(&["drill", "run", "--format", "json"]));
        let began = Instant::now();
        let mut most = 0;
        let mut tagged = None;
        while tagged.is_none() && began.elapsed() < Duration::from_secs(60) {
            let copies = stage.copies();
            most = most.max(copies.len());
            tagged = copies
                .into_iter()
                .find(|c| c["Tags"].as_array().is_some_and(|t| !t.is_empty()));
        }
        stage.moto.tables(&json!({"deleting": 0.0}));
        let ran = ended(child);
        assert_eq!(ran.code, 0, "{method}: {}{}", ran.stdout, ran.stderr);
        let copy = tagged.expect("the copy is seen with its tags");
        assert_eq!(most, 1);
        assert!(
            copy["TableName"]
                .as_str()
                .unwrap()
                .starts_with("drill-Orders-")
        );
        assert_eq!(copy["BillingModeSummary"]["BillingMode"], "PAY_PER_REQUEST");
        assert_eq!(copy["GlobalSecondaryIndexes"], json!([]));
        let tags: Vec<&str> = copy["Tags"]
            .as_array()
            .unwrap()
            .iter()
            .map(|t| t["Key"].as_str().unwrap())
            .collect();
        assert_eq!(tags.len(), 3, "{tags:?}");
        assert!(
            tags.iter().all(|t| t.starts_with("opsctl:drill")),
            "{tags:?}"
        );
        let record = support::json(&ran)["drills"][0].clone();
        assert_eq!(record["result"], "passed", "{record}");
        assert_eq!(record["copy"]["resource_id"], copy["TableId"]);
        assert_eq!(record["checks"][0]["actual"], "200, 0% off");
        assert_eq!(record["checks"][1]["actual"], "50 of 50 are there");
        assert_eq!(record["cleanup"]["deleted"], true);
        assert_eq!(record["source"]["engine"], "dynamodb");
        let took = record["measured"]["time_to_available_seconds"]
            .as_f64()
            .unwrap();
        assert!((1.9..300.0).contains(&took), "{took}");
        let age = record["measured"]["recovery_point_age_seconds"]
            .as_f64()
            .unwrap();
        assert!(age < 330.0, "{age}");
        stage.as_before(method);
        stage.sound();
    }
}

#[test]
fn a_plan_restores_nothing_and_says_what_it_would_cost() {
    let stage = Stage::new(3, &orders("snapshot", ""));
    let ran = stage.opsctl(&["drill", "plan"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let words = ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for wanted in [
        "about 0.00 USD",
        "per restored GB",
        "without its 1 indexes",
        "run 3 checks",
    ] {
        assert!(words.contains(wanted), "{wanted}: {words}");
    }
    stage.as_before("plan");
    // Over the limit nothing is made.
    let dear = orders("snapshot", "limits = { cost_usd = \"0.0000001\" }");
    let stage = Stage::new(1, &dear);
    let (ran, record) = stage.run();
    // 20 kB cost less than a hundredth of a cent.
    assert_eq!(
        (ran.code, &record["result"]),
        (0, &json!("passed")),
        "{}",
        ran.stderr
    );
    stage.as_before("cost");
}

#[test]
fn bad_backups_fail_with_the_reason() {
    let stage = Stage::new(2, &orders("snapshot", ""));
    let cases = [
        (json!({"lose": 5}), 2, "failed", "number of items gave"),
        (
            json!({"described": {"Orders": 0}}),
            2,
            "failed",
            "up to six hours old",
        ),
        (
            json!({"ends": "INACCESSIBLE_ENCRYPTION_CREDENTIALS"}),
            2,
            "failed",
            "its KMS key cannot be used",
        ),
        (json!({"ends": "ARCHIVED"}), 2, "failed", "is ARCHIVED"),
        (
            json!({"backup_age": {"Orders": 90_000}}),
            2,
            "missed_objective",
            "nothing was restored",
        ),
    ];
    let usual = json!({"lose": 0, "described": {}, "ends": "ACTIVE", "backup_age": {}});
    for (settings, code, result, wanted) in cases {
        stage.moto.tables(&settings);
        let (ran, record) = stage.run();
        assert_eq!(ran.code, code, "{settings}: {}{}", ran.stdout, ran.stderr);
        assert_eq!(record["result"], result, "{settings}: {record}");
        assert!(
            reason(&record).contains(wanted),
            "{settings}: {}",
            reason(&record)
        );
        stage.moto.tables(&usual);
        stage.as_before(&settings.to_string());
    }
    // Keys that are missing: without a share that may be, one is too many. Five of the forty partitions
    // are left, with 25 items: whichever 50 are drawn, some are missing.
    stage.moto.tables(&json!({"lose": 35}));
    let (_, record) = stage.run();
    let checks = record["checks"].as_array().unwrap();
    assert_eq!(checks[1]["passed"], false, "{record}");
    stage.moto.tables(&json!({"lose": 0}));
    // No backup at all; of a namesake only; recovery switched off.
    let backups = stage.call("list_backups", &json!({"TableName": "Orders"}));
    let arn = &backups["BackupSummaries"][0]["BackupArn"];
    stage.call("delete_backup", &json!({"BackupArn": arn}));
    let (ran, record) = stage.run();
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    let why = reason(&record);
    assert!(
        why.contains("has no backup at all") && why.contains("point-in-time"),
        "{why}"
    );
    let off = json!({
        "TableName": "Orders",
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": false},
    });
    stage.call("update_continuous_backups", &off);
    let policy = format!("[backups]\n{}", orders("point-in-time", ""));
    std::fs::write(stage.dir.path().join("policies/backups.toml"), policy).unwrap();
    let (ran, record) = stage.run();
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(reason(&record).contains("switched off"), "{record}");
    stage.sound();
}

#[test]
fn stale_rows_and_gone_sources_are_told() {
    let old = "[backups.drill.orders]\nsource = \"dynamodb:Orders\"\n\
        [[backups.drill.orders.check]]\nnewest = { attribute = \"created_at\", max_age = \"5m\" }\n\
        [[backups.drill.orders.check]]\nnewest = { attribute = \"updated\", max_age = \"5m\" }\n\
        [[backups.drill.orders.check]]\nnewest = { attribute = \"total\", max_age = \"5m\" }\n\
        [backups.drill.empty]\nsource = \"dynamodb:table-00\"\nmethod = \"point-in-time\"\n\
        [[backups.drill.empty.check]]\nsample = 5\n\
        [backups.drill.gone]\nsource = \"dynamodb:Nowhere\"\n";
    let stage = Stage::new(2, old);
    let on = json!({
        "TableName": "table-00",
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": true},
    });
    stage.call("update_continuous_backups", &on);
    let stage = Stage {
        before: stage.account(),
        ..stage
    };
    let ran = stage.opsctl(&["drill", "run", "--format", "json"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    let all = support::json(&ran)["drills"].clone();
    let of = |name: &str| {
        let mut found = all.as_array().unwrap().iter();
        found.find(|r| r["drill"] == name).cloned().unwrap()
    };
    let orders = of("orders");
    assert!(
        reason(&orders).contains("newest `created_at` gave"),
        "{orders}"
    );
    assert!(
        reason(&orders).contains("none of its 200 items has `updated`"),
        "{orders}"
    );
    // 9.95 seconds after 1970.
    assert!(
        reason(&orders).contains("newest `total` gave 1970"),
        "{orders}"
    );
    assert!(
        reason(&of("empty")).contains("no items that the copy could have"),
        "{}",
        of("empty")
    );
    let gone = of("gone");
    assert_eq!(gone["result"], "aborted");
    assert!(
        reason(&gone).contains("there is no table Nowhere"),
        "{gone}"
    );
    stage.as_before("stale");
}

#[test]
fn killed_at_random_moments_and_swept() {
    let stage = Stage::new(8, &orders("snapshot", ""));
    stage
        .moto
        .tables(&json!({"creating": 1.0, "deleting": 0.4}));
    // How long a whole run takes here.
    let began = Instant::now();
    let (ran, _) = stage.run();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let whole = began.elapsed();
    let mut left_something = 0;
    // Twenty at any time of a run, and some of which it is certain that there is a copy.
    for n in 0..26 {
        let held = n >= 20;
        if held {
            stage.moto.tables(&json!({"creating": 600.0}));
        }
        let known = journals(stage.dir.path()).matches("\"made\"").count();
        let mut child = spawn(stage.command(&["drill", "run"]));
        let share = (f64::from(n % 20) + fastrand::f64()) / 20.0;
        if held {
            let began = Instant::now();
            while journals(stage.dir.path()).matches("\"made\"").count() == known {
                assert!(began.elapsed() < Duration::from_secs(60), "no copy");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        std::thread::sleep(whole.mul_f64(share));
        let _ = child.kill();
        let _ = child.wait();
        left_something += usize::from(!stage.copies().is_empty());
        if held {
            stage.moto.tables(&json!({"creating": 0.0}));
        }
        let ran = stage.gc();
        assert_eq!(ran.code, 0, "{n}: {}{}", ran.stdout, ran.stderr);
        stage.as_before(&format!("kill {n} after {share:.2} of a run"));
    }
    assert!(
        left_something > 5,
        "only {left_something} kills were in time"
    );
    stage.sound();
}

/// Each call of a drill denied, throttled, broken, cut off, or carried out without an answer: in the
/// end the account is as before.
#[test]
fn every_call_may_fail_in_every_way() {
    let stage = Stage::new(3, &orders("snapshot", ""));
    stage
        .moto
        .tables(&json!({"creating": 0.3, "deleting": 0.2}));
    let operations = [
        "DescribeTable",
        "ListTables",
        "ListBackups",
        "ListTagsOfResource",
        "RestoreTableFromBackup",
        "TagResource",
        "Scan",
        "BatchGetItem",
        "DeleteTable",
    ];
    for operation in operations {
        for (mode, times) in [
            ("deny", -1),
            ("deny", 1),
            ("throttle", 2),
            ("error500", 2),
            ("reset", 1),
            ("answer_lost", 1),
        ] {
            let context = format!("{operation} {mode} {times}");
            stage.moto.no_faults();
            stage.moto.faults(&json!([{
                "service": "dynamodb", "operation": operation, "mode": mode, "times": times,
            }]));
            let (ran, record) = stage.run();
            assert!(record["result"].is_string(), "{context}: {}", ran.stderr);
            // What may pass has passed.
            if matches!(mode, "throttle" | "error500" | "reset" | "answer_lost") {
                assert_eq!(record["result"], "passed", "{context}: {record}");
            }
            // What could not be read says nothing about the data.
            if mode == "deny" && ["Scan", "BatchGetItem"].contains(&operation) {
                assert_eq!(
                    (ran.code, &record["result"]),
                    (1, &json!("aborted")),
                    "{context}: {record}"
                );
            }
            stage.moto.no_faults();
            let ran = stage.gc();
            assert_eq!(ran.code, 0, "{context}: {}{}", ran.stdout, ran.stderr);
            stage.as_before(&context);
        }
    }
    stage.sound();
}

/// A drill whose copy takes no tags for as long as it is being made, however slow this machine is.
fn untagged(stage: &Stage, lost_answer: bool) -> std::process::Child {
    stage.moto.tables(&json!({"creating": 600.0}));
    if lost_answer {
        stage.moto.faults(&json!([{
            "service": "dynamodb", "operation": "RestoreTableFromBackup",
            "mode": "answer_lost", "times": 1,
        }, {
            "service": "dynamodb", "operation": "ListTagsOfResource", "mode": "delay_ms",
            "ms": 60_000, "times": -1, "resource_contains": "drill-Orders",
        }]));
    }
    spawn(stage.command(&["drill", "run"]))
}

/// Kills at the one moment when a copy bears no tags yet: only its own journal can tell it.
#[test]
fn an_untagged_copy_is_removed_by_its_journal_only() {
    let stage = Stage::new(3, &orders("snapshot", ""));
    for lost_answer in [false, true] {
        let mut child = untagged(&stage, lost_answer);
        let began = Instant::now();
        let there = || match lost_answer {
            true => stage
                .call("list_tables", &json!({}))
                .to_string()
                .contains("drill-Orders"),
            false => journal_has(stage.dir.path(), "\"made\""),
        };
        while !there() {
            assert!(began.elapsed() < Duration::from_secs(60), "no copy");
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = child.kill();
        let _ = child.wait();
        stage.moto.no_faults();
        stage.moto.tables(&json!({"creating": 0.0}));
        let copy = stage.copies().pop().expect("the copy is there");
        assert_eq!(copy["Tags"], json!([]));
        let made = journal(stage.dir.path()).contains("\"made\"");
        assert_eq!(
            made,
            !lost_answer,
            "the kill came too late: {}",
            journal(stage.dir.path())
        );
        // A machine without the journal leaves it alone.
        let elsewhere = project(&[
            (
                "policies/backups.toml",
                &format!("[backups]\n{}", orders("snapshot", "")),
            ),
            ("opsctl.toml", &workspace()),
        ]);
        let mut command = stage.moto.command(elsewhere.path(), &["drill", "gc"]);
        command.env("OPSCTL_DRILL_POLL", POLL);
        let ran = support::ran(command.output().unwrap());
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        assert!(
            ran.stdout.contains("it was restored from") && ran.stdout.contains("drill-Orders"),
            "somebody is told: {}",
            ran.stdout
        );
        assert_eq!(
            stage.copies().len(),
            1,
            "the copy without tags is still there"
        );
        let ran = stage.gc();
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        stage.as_before(&format!("lost answer: {lost_answer}"));
    }
    stage.sound();
}

/// The notes in the evidence bucket claim it from anywhere, once no run can be alive any more.
#[test]
fn an_untagged_copy_of_a_lost_machine_is_known_by_its_notes() {
    let stage = Stage::new(3, &orders("snapshot", ""));
    stage.moto.object("ops-evidence", "hello", b"x");
    support::evidence(stage.dir.path(), "ops-evidence", "prefix = \"evidence/\"\n");
    for lost_answer in [false, true] {
        let mut child = untagged(&stage, lost_answer);
        let began = Instant::now();
        let there = || match lost_answer {
            true => stage
                .call("list_tables", &json!({}))
                .to_string()
                .contains("drill-Orders"),
            // The step is over once the note of the answer is in the bucket too.
            false => restored(stage.dir.path()),
        };
        while !there() {
            assert!(began.elapsed() < Duration::from_secs(60), "no copy");
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = child.kill();
        let _ = child.wait();
        stage.moto.no_faults();
        stage.moto.tables(&json!({"creating": 0.0}));
        assert_eq!(stage.copies().pop().unwrap()["Tags"], json!([]));
        std::fs::remove_dir_all(stage.dir.path().join(".opsctl")).unwrap();
        // Its run may be alive elsewhere.
        let ran = stage.gc();
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        assert_eq!(stage.copies().len(), 1, "{}", ran.stdout);
        assert!(ran.stdout.contains("a run may be"), "{}", ran.stdout);
        stage.moto.rds(&json!({"clock": 5 * 3600}));
        let ran = stage.gc();
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        stage.as_before(&format!("lost answer: {lost_answer}"));
        let listed = stage.opsctl(&["drill", "list", "--format", "json"]);
        let record = support::json(&listed)["drills"][0].clone();
        assert_eq!(record["result"], "aborted", "{record:#}");
        assert_eq!(stage.opsctl(&["drill", "verify"]).code, 0);
        stage.moto.rds(&json!({"clock": 0}));
    }
    stage.sound();
}

/// What one environment noted is known in all of its account, under whatever name.
#[test]
fn the_notes_of_an_environment_outlive_its_name() {
    let stage = Stage::new(3, &orders("snapshot", ""));
    stage.moto.object("ops-evidence", "hello", b"x");
    let settings = stage.dir.path().join("opsctl.toml");
    let one = std::fs::read_to_string(&settings).unwrap();
    // Before `prod` in the order of names, in the same account.
    let both =
        one.clone() + &one[one.find("[environments.prod]").unwrap()..].replace("prod", "dev");
    for (then, environment) in [
        (&both, "prod"),
        (&one.replace("prod", "staging"), "staging"),
    ] {
        std::fs::write(&settings, &one).unwrap();
        support::evidence(stage.dir.path(), "ops-evidence", "prefix = \"evidence/\"\n");
        let mut child = untagged(&stage, false);
        let began = Instant::now();
        while !restored(stage.dir.path()) {
            assert!(began.elapsed() < Duration::from_secs(60), "no copy");
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = child.kill();
        let _ = child.wait();
        stage.moto.tables(&json!({"creating": 0.0}));
        std::fs::remove_dir_all(stage.dir.path().join(".opsctl")).unwrap();
        let evidence = format!(
            "{then}\n[evidence]\nenvironment = \"{environment}\"\nbucket = \"ops-evidence\"\nprefix = \"evidence/\"\n"
        );
        std::fs::write(&settings, evidence).unwrap();
        let ran = stage.gc();
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        assert_eq!(stage.copies().len(), 1, "it may be alive: {}", ran.stdout);
        assert!(ran.stdout.contains("a run may be"), "{}", ran.stdout);
        stage.moto.rds(&json!({"clock": 5 * 3600}));
        let ran = stage.gc();
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        stage.as_before(environment);
        stage.moto.rds(&json!({"clock": 0}));
    }
    stage.sound();
}

/// Whether a run has made its copy and noted it everywhere.
fn restored(dir: &Path) -> bool {
    journals(dir)
        .lines()
        .any(|l| l.contains("\"event\":\"finished\"") && l.contains("\"step\":\"restore\""))
}

fn journals(dir: &Path) -> String {
    let runs = std::fs::read_dir(dir.join(".opsctl/runs"));
    runs.into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| std::fs::read_to_string(e.path()).ok())
        .collect()
}

fn journal(dir: &Path) -> String {
    let entries = std::fs::read_dir(dir.join(".opsctl/runs")).unwrap();
    let mut paths: Vec<_> = entries
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|x| x == "jsonl"))
        .collect();
    paths.sort();
    std::fs::read_to_string(paths.last().unwrap()).unwrap()
}

#[test]
fn tricks_delete_nothing() {
    let stage = Stage::new(4, &orders("snapshot", ""));
    let backups = stage.call("list_backups", &json!({"TableName": "Orders"}));
    let backup = backups["BackupSummaries"][0]["BackupArn"].clone();
    let make = |name: &str, tags: Value| {
        stage.call(
            "create_table",
            &json!({
                "TableName": name, "BillingMode": "PAY_PER_REQUEST", "Tags": tags,
                "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            }),
        );
    };
    let tag = |key: &str, value: &str| json!({"Key": key, "Value": value});
    // A killed run; then its copy is deleted by hand, and another table takes the name: one that was
    // made, and one that was restored from the same backup.
    for restored in [false, true] {
        stage.moto.tables(&json!({"creating": 600.0}));
        let _ = std::fs::remove_dir_all(stage.dir.path().join(".opsctl/runs"));
        let mut child = spawn(stage.command(&["drill", "run"]));
        let began = Instant::now();
        while !journal_has(stage.dir.path(), "\"made\"") {
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "no copy was made"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = child.kill();
        let _ = child.wait();
        stage.moto.tables(&json!({"creating": 0.0}));
        let name = stage.copies()[0]["TableName"].as_str().unwrap().to_owned();
        stage.call("delete_table", &json!({"TableName": name}));
        if restored {
            let params = json!({"TargetTableName": name, "BackupArn": backup});
            stage.call("restore_table_from_backup", &params);
        } else {
            make(&name, json!([]));
        }
        let ran = stage.gc();
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        let left = stage.copies();
        assert_eq!(left.len(), 1, "the namesake is still there");
        stage.call("delete_table", &json!({"TableName": name}));
        stage.as_before("stale journal");
    }
    // A production table that is called like a copy, and tables that bear our tags.
    make("drill-sergeants", json!([]));
    make(
        "Carts",
        json!([tag("opsctl:drill", "20261101T000000Z-abcdef")]),
    );
    make(
        "drill-halls",
        json!([
            tag("opsctl:drill", "20261101T000000Z-abcdef"),
            tag("opsctl:drill-source", "some-table"),
            tag("opsctl:drill-intent", "2026-11-01T00:00:00Z"),
        ]),
    );
    let stage = Stage {
        before: stage.account(),
        ..stage
    };
    let (ran, record) = stage.run();
    assert_eq!(record["result"], "passed", "{}{}", ran.stdout, ran.stderr);
    stage.gc();
    stage.as_before("tables that look like copies");
    // A copy with deletion protection is ours all the same.
    stage.moto.tables(&json!({"protected": true}));
    let (ran, record) = stage.run();
    assert_eq!(record["result"], "passed", "{}{}", ran.stdout, ran.stderr);
    // One of them looks like what an earlier drill left and is not proven to be: somebody has to look.
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("drill-halls"), "{}", ran.stderr);
    assert!(
        record["cleanup"]["proof"]
            .to_string()
            .contains("deletion protection turned off")
    );
    stage.moto.tables(&json!({"protected": false}));
    stage.as_before("protected");
    stage.sound();
}

fn journal_has(dir: &Path, text: &str) -> bool {
    journals(dir).contains(text)
}

#[test]
fn two_drills_at_once_and_an_interrupt() {
    let stage = Stage::new(2, &orders("snapshot", ""));
    stage.moto.tables(&json!({"creating": 600.0}));
    let first = spawn(stage.command(&["drill", "run", "--format", "json"]));
    let began = Instant::now();
    while stage.copies().is_empty() {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "no copy appeared"
        );
    }
    // On this machine the lock tells, from another the tags, once they are there.
    let here = stage.opsctl(&["drill", "run"]);
    assert_eq!(here.code, 1);
    assert!(here.stderr.contains("another drill of"), "{}", here.stderr);
    stage.moto.tables(&json!({"creating": 0.0}));
    let ran = ended(first);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    stage.as_before("two at once");

    stage.moto.tables(&json!({"creating": 600.0}));
    let child = spawn(stage.command(&["drill", "run", "--format", "json"]));
    let began = Instant::now();
    while stage.copies().is_empty() {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "no copy appeared"
        );
    }
    Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    stage.moto.tables(&json!({"creating": 0.0}));
    let ran = ended(child);
    assert_eq!(ran.code, 130, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(support::json(&ran)["drills"][0]["cleanup"]["deleted"], true);
    stage.as_before("interrupted");
    stage.sound();
}

#[test]
fn keys_that_do_not_fit_a_table_are_refused() {
    for (check, wanted) in [
        ("sql = \"select 1\"\nexpect = \"= 1\"", "a table has no SQL"),
        ("sample = 0", "sample: 0 is not in 1 to 1000"),
        ("sample = 1001", "sample: 1001 is not in 1 to 1000"),
        ("items_within = \"1\"", "is not a share like"),
        ("items_within = \"101%\"", "is not a share like"),
        ("items_within = \"-1%\"", "is not a share like"),
        (
            "sample = 5\nmissing_within = \"some\"",
            "missing_within: `some`",
        ),
        ("sample = 5\nitems_within = \"1%\"", "write two checks"),
        (
            "missing_within = \"1%\"",
            "one of `items_within`, `sample` and `newest`",
        ),
        (
            "newest = { attribute = \"\", max_age = \"1h\" }",
            "the attribute has no name",
        ),
        ("newest = { attribute = \"at\" }", "max_age"),
    ] {
        let policy = format!(
            "[backups]\n[backups.drill.orders]\nsource = \"dynamodb:Orders\"\n[[backups.drill.orders.check]]\n{check}\n"
        );
        let dir = project(&[("policies/backups.toml", &policy)]);
        let ran = support::opsctl(dir.path(), &["validate"]);
        assert_eq!(ran.code, 1, "{check}");
        let all = format!("{}{}", ran.stdout, ran.stderr).replace('│', " ");
        let words = all.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(wanted), "{check}: {all}");
    }
    let policy = "[backups]\n[backups.drill.orders]\nsource = \"rds:orders\"\n[[backups.drill.orders.check]]\nsql = \"select 1\"\nexpect = \"= 1\"\nsample = 5\n";
    let dir = project(&[("policies/backups.toml", policy)]);
    let ran = support::opsctl(dir.path(), &["validate"]);
    let all = format!("{}{}", ran.stdout, ran.stderr);
    assert!(all.contains("`sample` is for DynamoDB tables"), "{all}");
}

/// The copy of a restore test of AWS Backup is read by the same checks.
#[test]
fn a_restore_test_of_a_table_is_answered() {
    let stage = Stage::new(2, &orders("snapshot", ""));
    let backups = stage.call("list_backups", &json!({"TableName": "Orders"}));
    let name = "awsbackup-restore-test-0a1b";
    stage.call(
        "restore_table_from_backup",
        &json!({"TargetTableName": name, "BackupArn": backups["BackupSummaries"][0]["BackupArn"]}),
    );
    let arn = |table: &str| format!("arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/{table}");
    let now = jiff::Timestamp::now().as_second();
    let jobs = json!({
        "jobs": [{
            "Region": "eu-west-1", "RestoreJobId": "waits", "Status": "COMPLETED", "ResourceType": "DynamoDB",
            "SourceResourceArn": arn("Orders"), "CreatedResourceArn": arn(name),
            "RecoveryPointArn": "arn:aws:backup:eu-west-1:123456789012:recovery-point:0a1b",
            "RecoveryPointCreationDate": now - 60, "CreationDate": now - 30, "CompletionDate": now - 10,
            "CreatedBy": {"RestoreTestingPlanArn": "arn:aws:backup:eu-west-1:123456789012:restore-testing-plan:nightly-0"},
            "ValidationStatus": "VALIDATING",
        }],
        "plans": {"nightly": {"Algorithm": "LATEST_WITHIN_WINDOW"}},
    });
    for (settings, code, wanted) in [
        (json!({}), 0, "SUCCESSFUL"),
        (json!({"described": {"Orders": 500}}), 2, "FAILED"),
    ] {
        stage.moto.restore_tests(&jobs);
        stage.moto.tables(&settings);
        let before = stage.account();
        let ran = stage.opsctl(&["drill", "run", "--as-validator", "--format", "json"]);
        assert_eq!(ran.code, code, "{}{}", ran.stdout, ran.stderr);
        let job = &stage.moto.restore_tests_now()[0];
        assert_eq!(job["ValidationStatus"], wanted, "{job}");
        assert_eq!(stage.account(), before);
    }
    stage.sound();
}
