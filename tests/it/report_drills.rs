//! `opsctl report drills`, on chains with a year of records.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use opsctl::drill::chain::Chain;
use opsctl::drill::record::Record;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Ran, json as parsed, opsctl, project};

const DRILLS: &str = r#"
[backups]
drill_every = "35d"
[backups.drill.orders]
source = "rds:orders-prod"
objective = { rto = "60m", rpo = "24h" }
[[backups.drill.orders.check]]
sql = "select count(*) from orders"
expect = "> 0"
[backups.drill.users]
source = "s3-dump:acme-dumps/users/"
objective = { rto = "30m", rpo = "26h" }
[[backups.drill.users.check]]
sql = "select count(*) from users"
expect = "> 0"
[backups.drill.ledger]
source = "dynamodb:ledger"
"#;

pub fn shop() -> TempDir {
    project(&[
        ("policies/backups.toml", DRILLS),
        (
            "opsctl.toml",
            "[project]\nname = \"shop\"\nteam = \"core\"\n[environments.prod]\naccount = \"123456789012\"\nregions = [\"eu-west-1\"]\nstage = \"stage-3\"\nmonthly_budget_usd = 900\n[environments.prod.override.backups]\ndrill_every = \"35d\"\n",
        ),
    ])
}

/// A record as a run would leave it, so many days ago.
pub fn record(drill: &str, source: &str, days: i64, result: &str, minutes: i64) -> Record {
    let start = Timestamp::now() - SignedDuration::from_hours(24 * days);
    let at = |seconds: i64| (start + SignedDuration::from_secs(seconds)).to_string();
    let took = minutes * 60;
    let failed = result == "failed";
    let reasons: Vec<&str> = match result {
        "failed" => vec!["check failed: select count(*) from orders gave 0, expected > 0"],
        "missed_objective" => {
            vec!["the data was proven after 1 h 20 min, and the objective (RTO) is 1 h"]
        }
        "aborted" => vec!["terminated (SIGTERM) during `wait`"],
        _ => vec![],
    };
    let letter = drill.chars().next().unwrap_or_default();
    let id = format!("{}-{days:04}{letter}", start.strftime("%Y%m%dT%H%M%SZ"));
    serde_json::from_value(json!({
        "format_version": "1.0", "kind": "drill", "opsctl_version": "0.1.0", "run_id": id,
        "sequence": 0, "drill": drill, "sandbox": null,
        "started_at": at(0), "finished_at": at(took + 260),
        "triggered_by": {"kind": "schedule", "name": "ops", "detail": "systemd on backup-1"},
        "policy": {"file": "policies/backups.toml", "line": 5, "sha256": "5f".repeat(32)},
        "environment": "prod", "account": "123456789012", "region": "eu-west-1",
        "source": {"id": source, "resource_id": "db-ABCDEFGHIJKLMNOPQRSTUVWX", "engine": "postgres",
            "engine_version": "16.4", "encrypted": true},
        "recovery_point": {"kind": "snapshot",
            "arn": "arn:aws:rds:eu-west-1:123456789012:snapshot:rds:orders-prod-2026-11-01-03-10",
            "data_time": at(-18_000), "data_time_basis": "SnapshotDatabaseTime",
            "age_seconds": 18_000.0 + days as f64, "size_bytes": 107_374_182_400_u64},
        "copy": {"id": format!("drill-orders-prod-{}", id.to_lowercase()),
            "resource_id": "db-ZYXWVUTSRQPONMLKJIHGFEDCBA", "instance_class": "db.t4g.medium"},
        "timeline": [
            {"step": "preflight", "started_at": at(0), "finished_at": at(8), "detail": "snapshot, 5 h old"},
            {"step": "restore", "started_at": at(8), "finished_at": at(15), "detail": "RestoreDBInstanceFromDBSnapshot"},
            {"step": "wait", "started_at": at(15), "finished_at": at(took - 5), "detail": "creating, backing-up, available"},
            {"step": "verify", "started_at": at(took - 5), "finished_at": (result != "aborted").then(|| at(took)), "detail": "1 of 1 checks passed"},
            {"step": "clean up", "started_at": at(took), "finished_at": at(took + 255), "detail": "deleted"},
            {"step": "record", "started_at": at(took + 255), "finished_at": at(took + 256), "detail": null}],
        "objective": {"rto_seconds": 3600.0, "rpo_seconds": 86_400.0},
        "measured": {"time_to_available_seconds": (took - 20) as f64,
            "time_to_verified_seconds": (result != "aborted").then_some((took - 8) as f64),
            "recovery_point_age_seconds": 18_000.0},
        "checks": [{"sql": "select count(*) from orders", "expect": "> 0",
            "actual": if failed { "0" } else { "1204331" }, "passed": !failed, "duration_ms": 412, "error": null}],
        "cleanup": {"deleted": true, "proof": ["DeleteDBInstance of the copy was accepted",
            "DescribeDBInstances no longer knows it (DBInstanceNotFound)"]},
        "estimated_cost_usd": "0.19", "result": result, "reasons": reasons,
        "previous_sha256": null, "sha256": ""
    }))
    .expect("a record")
}

pub fn keep(dir: &Path, records: Vec<Record>) {
    let chain = Chain::new(&dir.join(".opsctl"), None);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for record in records {
        runtime
            .block_on(chain.append(record, None))
            .expect("appended");
    }
}

/// Twelve months of one source, one of another that stopped, none of a third.
pub fn year(dir: &Path) {
    let mut records: Vec<Record> = Vec::new();
    records.push(record(
        "users",
        "s3-dump:acme-dumps/users/",
        360,
        "passed",
        12,
    ));
    for month in (0..12).rev() {
        let days = month * 30 + 2;
        let (result, minutes) = match month {
            7 => ("failed", 31),
            3 => ("missed_objective", 80),
            _ => ("passed", 24 + (month * 7) % 11),
        };
        records.push(record("orders", "rds:orders-prod", days, result, minutes));
        if month == 7 {
            records.push(record("orders", "rds:orders-prod", days - 1, "passed", 30));
        }
        if month == 5 {
            records.push(record("orders", "rds:orders-prod", days - 1, "aborted", 9));
        }
        if month >= 6 {
            records.push(record(
                "users",
                "s3-dump:acme-dumps/users/",
                days - 1,
                "passed",
                10 + month,
            ));
        }
    }
    keep(dir, records);
}

fn report(dir: &Path, arguments: &[&str]) -> Ran {
    opsctl(dir, &[&["report", "drills"], arguments].concat())
}

fn source<'a>(document: &'a Value, drill: &str) -> &'a Value {
    document["review"]["sources"]
        .as_array()
        .expect("sources")
        .iter()
        .find(|s| s["drill"] == drill)
        .expect("the source")
}

#[test]
fn a_year_is_reported_source_by_source() {
    let dir = shop();
    year(dir.path());
    let ran = report(dir.path(), &["--format", "json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let document = parsed(&ran);
    assert_eq!(document["intact"], true);
    let orders = source(&document, "orders");
    assert_eq!(orders["state"], "in_time");
    assert_eq!(
        orders["counts"],
        json!({"passed": 11, "failed": 1, "missed_objective": 1, "aborted": 1})
    );
    assert_eq!(orders["slowest_seconds"], 80.0 * 60.0 - 8.0);
    assert_eq!(source(&document, "users")["state"], "overdue");
    assert_eq!(source(&document, "ledger")["state"], "never");
    // The numbers again, from the records themselves.
    let drills = document["drills"].as_array().expect("drills");
    let of = |drill: &str, result: &str| {
        drills
            .iter()
            .filter(|d| d["drill"] == drill && d["result"] == result)
            .count()
    };
    assert_eq!(of("orders", "passed"), 11);
    assert_eq!(of("users", "passed"), 7);
    let csv = report(dir.path(), &["--format", "csv"]).stdout;
    assert_eq!(csv.lines().count(), 1 + drills.len());
    let markdown = report(dir.path(), &["--format", "markdown"]).stdout;
    assert!(
        markdown.contains("| orders in prod | in time | every 35 d |"),
        "{markdown}"
    );
    assert!(markdown.contains("verified, intact: local"));
    let table = report(dir.path(), &[]).stdout;
    assert!(
        table.contains("never passed") && table.contains("11 of 13, 1 could not run"),
        "{table}"
    );
    let html = report(dir.path(), &["--format", "html"]).stdout;
    for text in [
        "2 of 3 sources have no drill that passed",
        "SOC 2 A1.3",
        "is for you and your auditor to judge",
        "objective 1 h",
        "DBInstanceNotFound",
        "Could not run: terminated (SIGTERM)",
    ] {
        assert!(html.contains(text), "{text}");
    }
    assert!(!html.to_lowercase().contains("compliant"));
    // A narrower period counts less, and what passed before it still counts as passed.
    let since = (Timestamp::now() - SignedDuration::from_hours(24 * 20))
        .strftime("%Y-%m-%d")
        .to_string();
    let document = parsed(&report(
        dir.path(),
        &["--since", &since, "--format", "json"],
    ));
    assert_eq!(source(&document, "orders")["counts"]["passed"], 1);
    assert_eq!(source(&document, "users")["state"], "overdue");
    assert!(source(&document, "users")["last_passed"].is_string());
    if let Some(keep) = std::env::var_os("OPSCTL_KEEP_PAGES") {
        std::fs::write(Path::new(&keep).join("drills.html"), html).expect("kept");
    }
}

#[test]
fn each_drill_has_a_sheet_that_can_be_filed_alone() {
    let dir = shop();
    year(dir.path());
    let list = parsed(&opsctl(dir.path(), &["drill", "list", "--format", "json"]));
    let failed = list["drills"]
        .as_array()
        .and_then(|all| all.iter().find(|d| d["result"] == "failed"))
        .expect("a failed drill");
    let id = failed["run_id"].as_str().expect("an id");
    let html = report(dir.path(), &[id, "--format", "html"]).stdout;
    let seal = failed["sha256"].as_str().expect("a seal");
    for text in [id, seal, "gave 0, expected", "backup-1", &"5f".repeat(32)] {
        assert!(html.contains(&text.replace('>', "&gt;")), "{text}");
    }
    assert!(!html.contains("SOC 2"));
    assert_eq!(report(dir.path(), &["nope"]).code, 1);
    let folder = dir.path().join("filed");
    let ran = report(
        dir.path(),
        &[
            "--format",
            "html",
            "--out-dir",
            folder.to_str().expect("a path"),
        ],
    );
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let files = std::fs::read_dir(&folder).expect("files").count();
    let all = list["drills"].as_array().expect("drills").len();
    assert_eq!(files, 1 + all);
    assert_eq!(ran.stdout.lines().count(), files);
    let refused = report(dir.path(), &["--out-dir", "x"]);
    assert_eq!(refused.code, 1);
}

/// Whatever is done to the records shows in every format, and in the exit code.
#[test]
fn a_broken_chain_is_shown_loudly() {
    for harm in ["change", "remove", "forge"] {
        let dir = shop();
        year(dir.path());
        let folder = dir.path().join(".opsctl/evidence");
        let mut files: Vec<_> = std::fs::read_dir(&folder)
            .expect("records")
            .map(|e| e.expect("a file").path())
            .filter(|p| p.extension().is_some_and(|e| e == "json"))
            .collect();
        files.sort();
        let victim = &files[3];
        match harm {
            "change" => {
                let text = std::fs::read_to_string(victim).expect("read");
                std::fs::write(victim, text.replacen("passed", "fa1led", 1)).expect("written");
            }
            "remove" => std::fs::remove_file(victim).expect("removed"),
            // Sealed anew, so that only its place in the chain tells.
            _ => {
                let bytes = std::fs::read(victim).expect("read");
                let mut record = Record::read(&bytes).expect("a record");
                record.reasons = vec!["nothing to see".to_owned()];
                let previous = record.previous_sha256.clone();
                record.seal(record.sequence, previous.as_deref());
                std::fs::write(victim, record.text()).expect("written");
            }
        }
        for format in ["html", "markdown", "table"] {
            let ran = report(dir.path(), &["--format", format]);
            assert_eq!(ran.code, 3, "{harm} {format}: {}", ran.stderr);
            let says = match format {
                "html" => "The records are not whole",
                "markdown" => "**The records are not whole.**",
                _ => "BROKEN",
            };
            assert!(ran.stdout.contains(says), "{harm} {format}");
        }
        assert_eq!(
            parsed(&report(dir.path(), &["--format", "json"]))["intact"],
            false
        );
        assert_eq!(report(dir.path(), &["--allow-incomplete"]).code, 0);
    }
}

#[test]
fn without_records_it_says_so_and_what_to_do() {
    let dir = shop();
    let ran = report(dir.path(), &["--format", "html"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("opsctl drill run"), "{}", ran.stderr);
    assert!(
        ran.stdout
            .contains("No drill is on record: nothing shows that the backups of 3 sources")
    );
    // Not even a project: nothing is known, and nothing is wrong.
    let nowhere = TempDir::new().expect("a folder");
    let ran = report(nowhere.path(), &["--format", "html"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("there is no opsctl.toml here"));
}

#[test]
fn rehearsals_do_not_count_and_are_marked() {
    let dir = shop();
    let mut played = record("orders", "rds:orders-prod", 1, "passed", 10);
    played.sandbox = Some("findash".to_owned());
    let chain = Chain::new(&dir.path().join(".opsctl"), Some("findash"));
    tokio::runtime::Runtime::new()
        .expect("a runtime")
        .block_on(chain.append(played, None))
        .expect("appended");
    let real = parsed(&report(dir.path(), &["--format", "json"]));
    assert_eq!(real["drills"], json!([]));
    assert_eq!(real["rehearsals_not_counted"], 1);
    assert_eq!(source(&real, "orders")["state"], "never");
    for (format, says) in [
        ("html", "A rehearsal, not evidence"),
        ("markdown", "**A rehearsal, not evidence.**"),
        ("table", "are no evidence"),
    ] {
        let ran = report(dir.path(), &["--sandbox", "findash", "--format", format]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert!(ran.stdout.contains(says), "{format}: {}", ran.stdout);
        // Nothing here is good news of a real backup.
        assert!(!ran.stdout.contains("class=\"value good"), "{format}");
    }
}

#[test]
fn what_a_record_says_stays_text() {
    let dir = shop();
    let mut hostile = record("orders", "rds:orders-prod", 1, "failed", 10);
    let bad = "</script><img src=x onerror=alert(1)>\u{202e}\"'=1+1";
    hostile.drill = bad.to_owned();
    hostile.reasons = vec![bad.to_owned()];
    hostile.triggered_by.name = bad.to_owned();
    hostile.checks[0].sql = bad.to_owned();
    hostile.timeline[0].step = bad.to_owned();
    keep(dir.path(), vec![hostile]);
    let html = report(dir.path(), &["--format", "html"]).stdout;
    assert!(!html.contains("<img") && !html.contains('\u{202e}'));
    assert!(html.contains("&lt;img"));
    let markdown = report(dir.path(), &["--format", "markdown"]).stdout;
    assert!(!markdown.contains("<img"));
}
