//! Backups against moto: settings converge, everything else stays as another client sees it, and what
//! could not be seen is told.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::emulator::{self, Emulator};
use crate::support::{json as parse, project};

const OVERRIDE: &str = "\n[environments.prod.override.backups]\nretention_days = 14\ncopy_to_region = \"eu-central-1\"\n";
const DRILL: &str = "\n[environments.prod.override.backups.drill.orders]\nsource = \"rds:strong\"\n\
    [[environments.prod.override.backups.drill.orders.check]]\nsql = \"select 1\"\nexpect = \"= 1\"\n";

fn moto() -> Emulator {
    let emulator = emulator::moto().only("backups");
    emulator.python("backups_account.py", &["resources"]);
    emulator
}

fn workspace(more: &str) -> TempDir {
    let text = crate::support::WORKSPACE.replace(", \"us-east-1\"", "");
    project(&[("opsctl.toml", &format!("{text}{more}"))])
}

type State = BTreeMap<String, Value>;

/// Everything that another client sees, by ARN.
fn state(emulator: &Emulator) -> State {
    serde_json::from_str(&emulator.python("backups_account.py", &["snapshot"])).unwrap()
}

fn run(emulator: &Emulator, dir: &Path, args: &[&str]) -> (i32, Value) {
    let mut all = args.to_vec();
    all.extend(["--format", "json"]);
    let ran = emulator.opsctl(dir, &all);
    assert!([0, 1, 2, 3].contains(&ran.code), "{}", ran.stderr);
    (
        ran.code,
        if ran.stdout.is_empty() {
            json!(ran.stderr)
        } else {
            parse(&ran)
        },
    )
}

/// `weak: retention_days, …` of a plan.
fn planned(plan: &Value) -> Vec<String> {
    let changes = plan["changes"].as_array().unwrap().iter();
    changes
        .map(|c| {
            let fields: Vec<&str> = c["fields"]
                .as_array()
                .unwrap()
                .iter()
                .map(|f| f["field"].as_str().unwrap())
                .collect();
            format!(
                "{}: {}",
                c["resource"]["name"].as_str().unwrap(),
                fields.join(" ")
            )
        })
        .collect()
}

/// The members in which two states differ, as `name: member`.
fn differences(before: &State, after: &State) -> Vec<String> {
    assert!(
        before.keys().eq(after.keys()),
        "nothing appears and nothing vanishes"
    );
    let mut out = Vec::new();
    for (arn, was) in before {
        let (was, is) = (was.as_object().unwrap(), after[arn].as_object().unwrap());
        let names: std::collections::BTreeSet<_> = was.keys().chain(is.keys()).collect();
        for name in names {
            if was.get(name) != is.get(name) {
                let short = arn.rsplit([':', '/']).next().unwrap();
                out.push(format!("{short}: {name}"));
            }
        }
    }
    out
}

#[test]
fn settings_converge_and_everything_else_stays() {
    let emulator = moto();
    let dir = workspace(OVERRIDE);
    let before = state(&emulator);
    let (code, plan) = run(&emulator, dir.path(), &["plan", "--detailed-exitcode"]);
    assert_eq!(code, 2, "{plan}");
    let mut found = planned(&plan);
    found.sort();
    assert_eq!(
        found,
        [
            "carts: point_in_time_recovery",
            "main: copy_tags_to_snapshot deletion_protection retention_days",
            "off: retention_days",
            "pg-dumps: versioning",
            "sealed: copied_to copy_tags_to_snapshot deletion_protection retention_days",
            "shop-backups: versioning",
            "strong: copied_to",
            "weak: copied_to copy_tags_to_snapshot deletion_protection retention_days",
        ]
    );
    assert_eq!(state(&emulator), before, "a plan changes nothing");

    // The one with an outage stops all of it before the first write.
    let (code, refused) = run(&emulator, dir.path(), &["apply", "--yes"]);
    assert_eq!(code, 1);
    let text = refused.as_str().unwrap();
    assert!(
        text.contains("--allow-disruptive") && text.contains("rds-instance/off"),
        "{text}"
    );
    assert_eq!(state(&emulator), before);

    let (code, applied) = run(
        &emulator,
        dir.path(),
        &["apply", "--yes", "--allow-disruptive"],
    );
    assert_eq!(code, 0, "{applied}");
    let after = state(&emulator);
    assert_eq!(
        differences(&before, &after),
        [
            "carts: recovery",
            "main: BackupRetentionPeriod",
            "main: CopyTagsToSnapshot",
            "main: DeletionProtection",
            // Of a member it is that of its cluster.
            "main-1: BackupRetentionPeriod",
            "off: BackupRetentionPeriod",
            "sealed: BackupRetentionPeriod",
            "sealed: CopyTagsToSnapshot",
            "sealed: DBInstanceAutomatedBackupsReplications",
            "sealed: DeletionProtection",
            "strong: DBInstanceAutomatedBackupsReplications",
            "weak: BackupRetentionPeriod",
            "weak: CopyTagsToSnapshot",
            "weak: DBInstanceAutomatedBackupsReplications",
            "weak: DeletionProtection",
            "pg-dumps: versioning",
            "shop-backups: versioning",
        ]
    );
    let waiting = &after["arn:aws:rds:eu-west-1:123456789012:db:waiting"];
    assert_eq!(
        waiting["DBInstanceClass"], "db.t3.medium",
        "what waits goes on waiting"
    );

    // Now that there are backups of it, they can be copied; after that nothing is left.
    let (_, plan) = run(&emulator, dir.path(), &["plan"]);
    assert_eq!(planned(&plan), ["off: copied_to"]);
    assert_eq!(run(&emulator, dir.path(), &["apply", "--yes"]).0, 0);
    let (code, plan) = run(&emulator, dir.path(), &["plan", "--detailed-exitcode"]);
    assert_eq!((code, planned(&plan).len()), (0, 0), "{plan}");
    let violations = emulator.violations();
    assert!(violations.is_empty(), "{violations:#?}");
}

/// A modification that came between plan and apply is not set off.
#[test]
fn a_change_of_the_class_that_waits_is_not_set_off() {
    // A saved plan is executed whole, whatever controls are asked for.
    let emulator = emulator::moto();
    emulator.python("backups_account.py", &["resources"]);
    let dir = workspace("");
    let file = dir.path().join("saved.json");
    let file = file.to_str().unwrap();
    assert_eq!(
        run(
            &emulator,
            dir.path(),
            &["plan", "--control", "backups", "--out", file]
        )
        .0,
        0
    );
    emulator.python("backups_account.py", &["class", "off"]);
    emulator.python("backups_account.py", &["class", "weak"]);
    let before = state(&emulator);
    let (code, applied) = run(
        &emulator,
        dir.path(),
        &["apply", file, "--yes", "--allow-disruptive"],
    );
    assert_eq!(code, 1, "stale is told");
    for change in applied["changes"].as_array().unwrap() {
        let name = change["resource"]["name"].as_str().unwrap();
        let stale = ["off", "weak"].contains(&name);
        assert_eq!(
            change["outcome"],
            if stale { "stale" } else { "applied" },
            "{change}"
        );
        if stale {
            assert!(
                change["error"]
                    .as_str()
                    .unwrap()
                    .contains("DBInstanceClass"),
                "{change}"
            );
        }
    }
    let after = state(&emulator);
    for name in ["off", "weak"] {
        let arn = format!("arn:aws:rds:eu-west-1:123456789012:db:{name}");
        assert_eq!(after[&arn], before[&arn]);
    }
}

/// Each read refused in turn: exit 3 with its name, also when only the backups are asked for.
#[test]
fn a_denied_read_exits_3_and_says_what_was_not_seen() {
    let emulator = moto();
    let dir = workspace(&format!("{OVERRIDE}{DRILL}"));
    for (service, operation, only_audit) in [
        ("rds", "DescribeDBInstances", false),
        ("rds", "DescribeDBClusters", false),
        ("dynamodb", "ListTables", false),
        ("dynamodb", "DescribeContinuousBackups", false),
        ("s3", "ListBuckets", false),
        ("s3", "GetBucketVersioning", false),
        ("rds", "DescribeDBSnapshots", true),
        ("rds", "DescribeDBClusterSnapshots", true),
        ("rds", "DescribeDBSnapshotAttributes", true),
        ("rds", "DescribeDBClusterSnapshotAttributes", true),
        ("dynamodb", "DescribeTable", true),
        ("cloudwatch", "GetMetricData", true),
    ] {
        emulator.no_faults();
        emulator.faults(
            &json!([{"service": service, "operation": operation, "mode": "deny", "times": -1}]),
        );
        let named = format!("{service}:{operation}");
        for (command, blind) in [(&["plan"][..], !only_audit), (&["audit", "backups"], true)] {
            let (code, document) = run(&emulator, dir.path(), command);
            let gaps = document["unobserved"].to_string();
            assert_eq!(code == 3, blind, "{named} {command:?}: {document}");
            assert_eq!(gaps.contains(&named), blind, "{named} {command:?}: {gaps}");
        }
    }
}

#[test]
fn writes_that_are_refused_or_lost_are_told_or_survived() {
    let emulator = moto();
    let dir = workspace("");
    emulator.faults(&json!([
        {"service": "rds", "operation": "ModifyDBInstance", "mode": "deny", "times": -1, "resource_contains": "weak"},
        {"service": "rds", "operation": "ModifyDBInstance", "mode": "throttle", "times": 2, "resource_contains": "sealed"},
        {"service": "rds", "operation": "ModifyDBCluster", "mode": "answer_lost", "times": 1},
        {"service": "dynamodb", "operation": "UpdateContinuousBackups", "mode": "reset", "times": 1},
        {"service": "s3", "operation": "PutBucketVersioning", "mode": "error500", "times": 1},
    ]));
    let (code, applied) = run(
        &emulator,
        dir.path(),
        &["apply", "--yes", "--allow-disruptive"],
    );
    assert_eq!(code, 1);
    for change in applied["changes"].as_array().unwrap() {
        let denied = change["resource"]["name"] == "weak";
        let expected = if denied { "failed" } else { "applied" };
        assert_eq!(change["outcome"], expected, "{change}");
        if denied {
            let error = change["error"].as_str().unwrap();
            assert!(
                error.contains("rds:ModifyDBInstance") && error.contains("AccessDenied"),
                "{error}"
            );
        }
    }
    emulator.no_faults();
    assert_eq!(run(&emulator, dir.path(), &["apply", "--yes"]).0, 0);
    let (code, plan) = run(&emulator, dir.path(), &["plan", "--detailed-exitcode"]);
    assert_eq!((code, planned(&plan).len()), (0, 0));
}

/// Killed at any moment, the same apply converges.
#[test]
fn a_killed_apply_converges() {
    let emulator = moto();
    let dir = workspace(OVERRIDE);
    let before = state(&emulator);
    for wait in [150, 300, 450, 600] {
        let mut child = emulator
            .command(
                dir.path(),
                &["apply", "--yes", "--allow-disruptive", "--concurrency", "1"],
            )
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(wait));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    // Twice: what was off can be copied only once it is on.
    for _ in 0..2 {
        let (code, applied) = run(
            &emulator,
            dir.path(),
            &["apply", "--yes", "--allow-disruptive"],
        );
        assert_eq!(code, 0, "{applied}");
    }
    let (code, plan) = run(&emulator, dir.path(), &["plan", "--detailed-exitcode"]);
    assert_eq!((code, planned(&plan).len()), (0, 0));
    let touched = differences(&before, &state(&emulator));
    for name in [
        "theirs",
        "ignored",
        "waiting",
        "drill-weak-1",
        "weak-replica",
        "images",
        "done",
        "old-backup",
    ] {
        assert!(
            !touched.iter().any(|t| t.starts_with(&format!("{name}:"))),
            "{touched:?}"
        );
    }
}

#[test]
fn the_audit_says_what_no_setting_shows() {
    let emulator = moto();
    let dir = workspace(&format!("{OVERRIDE}{DRILL}"));
    let (code, audit) = run(&emulator, dir.path(), &["audit", "backups"]);
    assert_eq!(code, 2, "{audit}");
    let mut found: Vec<String> = audit["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|f| f["severity"] != "low")
        .map(|f| {
            let name = f["address"].as_str().unwrap();
            let name = name
                .rsplit('/')
                .next()
                .unwrap()
                .trim_end_matches("#backups");
            format!(
                "{} {name}",
                f["id"].as_str().unwrap().trim_start_matches("backups.")
            )
        })
        .collect();
    found.sort();
    for expected in [
        "automated-off off",
        "cannot-write waiting",
        "copy-not-possible carts",
        "copy-not-possible main",
        "copy-not-possible off",
        "deletion-protection-off weak",
        "drill-overdue orders",
        "no-drill carts",
        "no-drill main",
        "no-drill weak",
        "no-recovery-point off",
        "not-copied strong",
        "pitr-off carts",
        "retention-short main",
        "snapshot-public public",
        "snapshot-shared lent",
        "snapshot-unencrypted lent",
        "snapshot-unencrypted weak",
        "versioning-off shop-backups",
    ] {
        assert!(
            found.contains(&expected.to_owned()),
            "{expected}: {found:#?}"
        );
    }
    let unexpected = [
        "ignored",
        "drill-weak-1",
        "weak-replica",
        "main-1",
        "images",
    ];
    assert!(
        !found
            .iter()
            .any(|f| unexpected.iter().any(|u| f.ends_with(&format!(" {u}")))),
        "{found:#?}"
    );
    assert!(!found.contains(&"no-drill strong".to_owned()), "it has one");
}

/// Only the calls that are needed: nothing of other services, one listing of each type.
#[test]
fn few_calls_are_made() {
    let emulator = moto();
    let dir = workspace("");
    let (_, plan) = run(&emulator, dir.path(), &["plan"]);
    let calls: BTreeMap<String, u64> =
        serde_json::from_value(plan["api"]["by_operation"].clone()).unwrap();
    let expected = BTreeMap::from(
        [
            ("dynamodb:DescribeContinuousBackups", 2),
            ("dynamodb:ListTables", 1),
            ("rds:DescribeDBClusters", 1),
            ("rds:DescribeDBInstances", 1),
            ("s3:GetBucketVersioning", 3),
            ("s3:ListBuckets", 1),
            ("sts:GetCallerIdentity", 1),
            ("tag:GetResources", 1),
        ]
        .map(|(name, n)| (name.to_owned(), n)),
    );
    assert_eq!(calls, expected);
}
