//! `drill run --as-validator` and `drill export-restore-testing-plan`: restore tests of AWS Backup,
//! played by `tests/emulators/restore_testing.py`; the copy is an instance in moto, and a real
//! PostgreSQL answers for it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::drill_rds::Server;
use crate::emulator::{ACCOUNT, Emulator, moto};
use crate::support::{self, Ran, json, project};

const SOURCE: &str = "arn:aws:rds:eu-west-1:123456789012:db:orders-prod";
const COPY: &str = "awsbackup-restore-test-0a1b2c";
const PLAN: &str = "arn:aws:backup:eu-west-1:123456789012:restore-testing-plan:nightly-0a1b2c3d-0000-4000-8000-000000000000";

fn now() -> f64 {
    jiff::Timestamp::now().as_second() as f64
}

fn job(id: &str, more: Value) -> Value {
    let mut job = json!({
        "Region": "eu-west-1", "AccountId": ACCOUNT, "RestoreJobId": id, "Status": "COMPLETED",
        "RecoveryPointArn": "arn:aws:rds:eu-west-1:123456789012:snapshot:awsbackup:job-1",
        "BackupVaultArn": "arn:aws:backup:eu-west-1:123456789012:backup-vault:Default",
        "SourceResourceArn": SOURCE, "ResourceType": "RDS",
        "CreatedResourceArn": format!("arn:aws:rds:eu-west-1:{ACCOUNT}:db:{COPY}"),
        "RecoveryPointCreationDate": now() - 7200.0, "CreationDate": now() - 1800.0,
        "CompletionDate": now() - 1200.0, "BackupSizeInBytes": 20u64 << 30,
        "CreatedBy": {"RestoreTestingPlanArn": PLAN}, "ValidationStatus": "VALIDATING",
    });
    for (key, value) in more.as_object().unwrap() {
        job[key] = value.clone();
        if value.is_null() {
            job.as_object_mut().unwrap().remove(key);
        }
    }
    job
}

fn put(emulator: &Emulator, jobs: &[Value]) {
    let plans = json!({
        "nightly": {"Algorithm": "LATEST_WITHIN_WINDOW"},
        "random": {"Algorithm": "RANDOM_WITHIN_WINDOW"},
    });
    let points = json!({
        "arn:aws:rds:eu-west-1:123456789012:snapshot:awsbackup:job-1": SOURCE,
    });
    emulator.restore_tests(&json!({
        "jobs": jobs, "plans": plans, "recovery_points": points,
    }));
}

/// The account as a restore test finds it: the source, the copy, and nothing of ours.
fn account() -> Emulator {
    let emulator = moto();
    let instance = |id: &str| {
        json!({
            "DBInstanceIdentifier": id, "Engine": "postgres", "DBInstanceClass": "db.t4g.medium",
            "AllocatedStorage": 20, "MasterUsername": "postgres", "MasterUserPassword": "not-ours-1",
        })
    };
    let both = json!([instance("orders-prod"), instance(COPY)]);
    emulator.python("call.py", &["rds", "create_db_instance", &both.to_string()]);
    emulator
}

fn drill(port: u16, more: &str) -> TempDir {
    let text = format!(
        "[backups]\nretention_days = 7\ndrill_every = \"30d\"\n\
         [backups.drill.orders]\nsource = \"rds:orders-prod\"\n\
         objective = {{ rto = \"60m\", rpo = \"24h\" }}\n\
         restore = {{ instance_class = \"db.t4g.medium\", subnet_group = \"private\", security_groups = [\"sg-1\"] }}\n\
         connect = {{ database = \"shop\", user = \"postgres\", via = \"127.0.0.1:{port}\" }}\n\
         [[backups.drill.orders.check]]\nsql = \"select count(*) from orders\"\nexpect = \"= 1000\"\n{more}"
    );
    let workspace = support::WORKSPACE.replace(", \"us-east-1\"", "");
    project(&[
        ("policies/backups.toml", &text),
        ("opsctl.toml", &workspace),
    ])
}

fn validate(emulator: &Emulator, dir: &Path, password: &str, args: &[&str]) -> Ran {
    let mut all = vec!["drill", "run", "--as-validator"];
    all.extend(args);
    let mut command = emulator.command(dir, &all);
    command.env("PGPASSWORD", password);
    support::ran(command.output().unwrap())
}

fn state(emulator: &Emulator, id: &str) -> Value {
    let jobs = emulator.restore_tests_now();
    let mut found = jobs.as_array().unwrap().iter();
    found
        .find(|j| j["RestoreJobId"] == id)
        .cloned()
        .unwrap_or_else(|| panic!("no job {id}"))
}

/// What the account holds, as the service's own listing tells it.
fn instances(emulator: &Emulator) -> Value {
    let mut found: Value =
        serde_json::from_str(&emulator.python("call.py", &["rds", "describe_db_instances"]))
            .unwrap();
    // It moves at every look.
    for one in found["DBInstances"].as_array_mut().unwrap() {
        one.as_object_mut().unwrap().remove("LatestRestorableTime");
    }
    found
}

#[test]
fn a_restore_test_is_answered_with_the_result_of_the_checks() {
    let emulator = account();
    let server = Server::start();
    let dir = drill(server.port, "");
    let before = instances(&emulator);
    put(
        &emulator,
        &[
            job("own", json!({"CreatedBy": null, "ValidationStatus": null})),
            job("running", json!({"Status": "RUNNING"})),
            job("old", json!({"ValidationStatus": "SUCCESSFUL"})),
            job(
                "other",
                json!({"SourceResourceArn": "arn:aws:rds:eu-west-1:123456789012:db:ledger"}),
            ),
            job("waits", json!({})),
            job(
                "silent",
                json!({"ValidationStatus": null, "SourceResourceArn": null}),
            ),
        ],
    );
    let ran = validate(
        &emulator,
        dir.path(),
        &server.password(),
        &["--format", "json"],
    );
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    let document = json(&ran);
    let records = document["drills"].as_array().unwrap();
    assert_eq!(records.len(), 2, "{}", ran.stdout);
    for record in records {
        assert_eq!(record["result"], "passed", "{}", record["reasons"]);
        assert_eq!(record["checks"][0]["actual"], "1000");
        assert_eq!(record["copy"]["id"], COPY);
        assert_eq!(record["cleanup"]["deleted"], false);
        assert_eq!(record["cleanup"]["left_to"], "AWS Backup");
        assert_eq!(
            record["recovery_point"]["data_time_basis"],
            "RecoveryPointCreationDate"
        );
        let age = record["measured"]["recovery_point_age_seconds"]
            .as_f64()
            .unwrap();
        assert!((5399.0..5402.0).contains(&age), "{age}");
        // Ten minutes for the restore; the twenty in which nobody came are not counted.
        let took = record["measured"]["time_to_verified_seconds"]
            .as_f64()
            .unwrap();
        assert!((599.0..1200.0).contains(&took), "{took}");
    }
    for id in ["waits", "silent"] {
        let answered = state(&emulator, id);
        assert_eq!(answered["ValidationStatus"], "SUCCESSFUL", "{answered}");
        let message = answered["ValidationStatusMessage"].as_str().unwrap();
        assert!(message.contains("1 of 1 checks passed"), "{message}");
    }
    for id in ["own", "running", "other"] {
        assert_ne!(
            state(&emulator, id)["ValidationStatus"],
            "SUCCESSFUL",
            "{id}"
        );
    }
    assert!(ran.stderr.contains("restore job other"), "{}", ran.stderr);
    // Nothing was made, changed or deleted, and the password is in no file.
    assert_eq!(instances(&emulator), before);
    for entry in files(dir.path()) {
        let text = std::fs::read(&entry).unwrap();
        let text = String::from_utf8_lossy(&text);
        assert!(!text.contains(&server.password()), "{}", entry.display());
    }
    // The second time there is nothing to do.
    let ran = validate(&emulator, dir.path(), &server.password(), &[]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stdout.starts_with("nothing to validate"),
        "{}",
        ran.stdout
    );
    let ran = emulator.opsctl(dir.path(), &["drill", "verify"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let violations = emulator.violations();
    assert!(violations.is_empty(), "{violations:#?}");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        match entry.path() {
            path if path.is_dir() => out.extend(files(&path)),
            path => out.push(path),
        }
    }
    out
}

#[test]
fn a_failing_check_and_a_missed_objective_are_failures() {
    let emulator = account();
    let server = Server::start();
    let more = "[[backups.drill.orders.check]]\nsql = \"select max(id) from orders\"\nexpect = \"> 5000\"\n";
    let failing = drill(server.port, more);
    put(&emulator, &[job("waits", json!({}))]);
    let ran = validate(&emulator, failing.path(), &server.password(), &[]);
    assert_eq!(ran.code, 2, "{}{}", ran.stdout, ran.stderr);
    let answered = state(&emulator, "waits");
    assert_eq!(answered["ValidationStatus"], "FAILED");
    let message = answered["ValidationStatusMessage"].as_str().unwrap();
    assert!(
        message.contains("max(id) from orders gave 1000, expected > 5000"),
        "{message}"
    );

    // Good data that is too old, or came too late.
    let dir = drill(server.port, "");
    for (id, more, wanted) in [
        (
            "stale",
            json!({"RecoveryPointCreationDate": now() - 90_000.0}),
            "(RPO) is 1 d",
        ),
        (
            "slow",
            json!({"CreationDate": now() - 9000.0, "CompletionDate": now() - 1200.0}),
            "(RTO) is 1 h",
        ),
    ] {
        put(&emulator, &[job(id, more)]);
        let ran = validate(
            &emulator,
            dir.path(),
            &server.password(),
            &["--format", "json"],
        );
        assert_eq!(ran.code, 2, "{id}: {}{}", ran.stdout, ran.stderr);
        let record = &json(&ran)["drills"][0];
        assert_eq!(
            record["result"], "missed_objective",
            "{id}: {}",
            record["reasons"]
        );
        assert!(
            record["reasons"][0].as_str().unwrap().contains(wanted),
            "{record}"
        );
        assert_eq!(state(&emulator, id)["ValidationStatus"], "FAILED", "{id}");
    }
    // A plan that takes any recovery point says nothing about the newest one.
    let random = json!({
        "RecoveryPointCreationDate": now() - 900_000.0,
        "CreatedBy": {"RestoreTestingPlanArn": PLAN.replace(":nightly-", ":random-")},
    });
    put(&emulator, &[job("random", random)]);
    let ran = validate(&emulator, dir.path(), &server.password(), &[]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(state(&emulator, "random")["ValidationStatus"], "SUCCESSFUL");
    // Of a continuous backup the time of the restore counts, where it is told.
    for (metadata, age) in [
        (json!({"RestoreTime": "2026-11-20T03:00:00Z"}), true),
        (json!({"UseLatestRestorableTime": "true"}), false),
    ] {
        let point = "arn:aws:backup:eu-west-1:123456789012:recovery-point:continuous:db-x-1";
        let more = json!({
            "RecoveryPointArn": point, "Metadata": metadata,
            "CreationDate": 1_795_330_000.0, "CompletionDate": 1_795_330_600.0,
        });
        put(&emulator, &[job("continuous", more)]);
        let args = ["--restore-job", "continuous", "--format", "json"];
        let ran = validate(&emulator, dir.path(), &server.password(), &args);
        let record = &json(&ran)["drills"][0];
        let measured = &record["measured"]["recovery_point_age_seconds"];
        assert_eq!(measured.is_null(), !age, "{record}");
        assert_eq!(
            state(&emulator, "continuous")["ValidationStatus"],
            if age { "FAILED" } else { "SUCCESSFUL" }
        );
    }
}

#[test]
fn what_cannot_be_looked_into_is_not_answered() {
    let emulator = account();
    let server = Server::start();
    let dir = drill(server.port, "");
    let unanswered = |id: &str, ran: &Ran, wanted: &str| {
        assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
        let all = format!("{}{}", ran.stdout, ran.stderr);
        let all = all.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(all.contains(wanted), "{wanted}: {all}");
        assert_eq!(state(&emulator, id)["ValidationStatus"], "VALIDATING");
    };
    // A password that is not the source's; a copy that is not there; one that is no copy.
    put(&emulator, &[job("waits", json!({}))]);
    let ran = validate(&emulator, dir.path(), "wrong", &[]);
    unanswered("waits", &ran, "holds the one of connect.user");
    let gone = format!("arn:aws:rds:eu-west-1:{ACCOUNT}:db:awsbackup-restore-test-gone");
    put(
        &emulator,
        &[job("gone", json!({"CreatedResourceArn": gone}))],
    );
    let ran = validate(&emulator, dir.path(), &server.password(), &[]);
    unanswered("gone", &ran, "RDS says that there is none");
    put(
        &emulator,
        &[job("source", json!({"CreatedResourceArn": SOURCE}))],
    );
    let ran = validate(&emulator, dir.path(), &server.password(), &[]);
    unanswered(
        "source",
        &ran,
        "its name is not that of a copy of a restore test",
    );
    // Nobody says what was restored.
    let silent = json!({"SourceResourceArn": null, "RecoveryPointArn": null});
    put(&emulator, &[job("silent", silent)]);
    let ran = validate(&emulator, dir.path(), &server.password(), &[]);
    unanswered("silent", &ran, "does not say what it restored");
    // Two drills for one answer.
    let twice = drill(
        server.port,
        "[backups.drill.again]\nsource = \"rds:orders-prod\"\n",
    );
    put(&emulator, &[job("waits", json!({}))]);
    let ran = validate(&emulator, twice.path(), &server.password(), &[]);
    unanswered("waits", &ran, "name one of them");
    let ran = validate(&emulator, twice.path(), &server.password(), &["orders"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
}

/// The result that restore testing exists for.
#[test]
fn a_restore_that_failed_is_a_failed_drill_and_told_once() {
    let emulator = account();
    let dir = drill(1, "");
    let failed = json!({"Status": "FAILED", "StatusMessage": "the snapshot is corrupt", "CreatedResourceArn": null,
        "ValidationStatus": null});
    put(
        &emulator,
        &[
            job("failed", failed),
            job("aborted", json!({"Status": "ABORTED"})),
        ],
    );
    let ran = validate(&emulator, dir.path(), "x", &["--format", "json"]);
    assert_eq!(ran.code, 2, "{}{}", ran.stdout, ran.stderr);
    let document = json(&ran);
    let record = &document["drills"][0];
    assert_eq!(record["result"], "failed");
    assert_eq!(
        record["reasons"][0],
        "AWS Backup could not restore the backup: FAILED: the snapshot is corrupt"
    );
    assert_eq!(record["measured"]["time_to_available_seconds"], Value::Null);
    assert_eq!(document["validations"][0]["answer"], Value::Null);
    assert_eq!(document["drills"].as_array().unwrap().len(), 1);
    assert!(ran.stderr.contains("aborted has no copy"), "{}", ran.stderr);
    assert_eq!(
        state(&emulator, "failed")["ValidationStatus"],
        Value::Null,
        "it takes no answer"
    );
    let again = validate(&emulator, dir.path(), "x", &[]);
    assert_eq!(again.code, 0, "{}{}", again.stdout, again.stderr);
}

/// With evidence in a bucket: what cannot be uploaded is told and goes up later, and what one machine
/// has on record no other one tells again.
#[test]
fn records_of_validations_reach_the_evidence_bucket() {
    let emulator = account();
    let server = Server::start();
    emulator.object("ops-evidence", "hello", b"x");
    let machine = || {
        let dir = drill(server.port, "");
        support::evidence(dir.path(), "ops-evidence", "prefix = \"evidence/\"\n");
        dir
    };
    let (one, two) = (machine(), machine());
    let answered = |dir: &Path| validate(&emulator, dir, &server.password(), &[]);
    put(&emulator, &[job("first", json!({}))]);
    emulator
        .faults(&json!([{"service": "s3", "operation": "PutObject", "mode": "deny", "times": -1}]));
    let ran = answered(one.path());
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("the upload failed"), "{}", ran.stdout);
    assert_eq!(
        state(&emulator, "first")["ValidationStatus"],
        "SUCCESSFUL",
        "AWS Backup has its answer all the same"
    );
    emulator.no_faults();
    let failed = json!({"Status": "FAILED", "StatusMessage": "the snapshot is corrupt", "CreatedResourceArn": null,
        "ValidationStatus": null});
    put(&emulator, &[job("failed", failed)]);
    let ran = answered(one.path());
    assert_eq!(ran.code, 2, "{}{}", ran.stdout, ran.stderr);
    let ran = answered(two.path());
    assert_eq!(
        ran.code, 0,
        "told a second time: {}{}",
        ran.stdout, ran.stderr
    );
    for dir in [&one, &two] {
        let ran = emulator.opsctl(dir.path(), &["drill", "verify"]);
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        let listed = emulator.opsctl(dir.path(), &["drill", "list", "--format", "json"]);
        assert_eq!(json(&listed)["drills"].as_array().unwrap().len(), 2);
    }
}

#[test]
fn a_tunnel_that_nothing_ties_to_the_copy_is_not_asked() {
    let emulator = account();
    let server = Server::start();
    let dir = drill(server.port, "");
    let path = dir.path().join("policies/backups.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let via = format!("via = \"127.0.0.1:{}\"", server.port);
    let tunnel = format!(
        "via = {{ command = \"exec socat TCP-LISTEN:{{local_port}},fork TCP:127.0.0.1:{}\" }}",
        server.port
    );
    std::fs::write(&path, text.replace(&via, &tunnel)).unwrap();
    put(&emulator, &[job("waits", json!({}))]);
    let ran = validate(&emulator, dir.path(), &server.password(), &[]);
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    let said = format!("{}{}", ran.stdout, ran.stderr);
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("neither {endpoint} nor {host}"), "{said}");
    assert_eq!(state(&emulator, "waits")["ValidationStatus"], "VALIDATING");
}

/// The copy has the passwords of its source, and so has production.
#[test]
fn a_server_that_is_older_than_the_copy_is_not_the_copy() {
    let emulator = account();
    let server = Server::start();
    let dir = drill(server.port, "");
    for (hours, code, said, answer) in [
        (30, 1, "it is not the copy", "VALIDATING"),
        (2, 0, "it is not proven that", "SUCCESSFUL"),
    ] {
        server.seems_up_for(hours);
        put(&emulator, &[job("waits", json!({}))]);
        let ran = validate(&emulator, dir.path(), &server.password(), &[]);
        assert_eq!(ran.code, code, "{}{}", ran.stdout, ran.stderr);
        let all = ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(all.contains(said), "{all}");
        assert_eq!(state(&emulator, "waits")["ValidationStatus"], answer);
    }
}

#[test]
fn a_job_that_is_named_has_to_be_one_that_waits() {
    let emulator = account();
    let server = Server::start();
    let dir = drill(server.port, "");
    put(
        &emulator,
        &[
            job("own", json!({"CreatedBy": null})),
            job("running", json!({"Status": "RUNNING"})),
            job(
                "failed",
                json!({"Status": "FAILED", "StatusMessage": "no default VPC"}),
            ),
            job("old", json!({"ValidationStatus": "FAILED"})),
            job(
                "bucket",
                json!({"ResourceType": "S3", "SourceResourceArn": "arn:aws:s3:::logs"}),
            ),
            job(
                "deleted",
                json!({"ValidationStatus": null, "DeletionStatus": "DELETING"}),
            ),
            job("waits", json!({})),
            job("waits-too", json!({})),
        ],
    );
    for (id, wanted) in [
        ("nobody", "there is no restore job `nobody`"),
        ("own", "it is not one of a restore-testing plan"),
        ("running", "it is RUNNING"),
        (
            "failed",
            "could not restore the backup: FAILED: no default VPC",
        ),
        ("old", "it has been answered already: FAILED"),
        ("bucket", "no drill in question has that source"),
        ("deleted", "deletes its copy already"),
    ] {
        let ran = validate(
            &emulator,
            dir.path(),
            &server.password(),
            &["--restore-job", id],
        );
        assert_eq!(ran.code, 1, "{id}: {}", ran.stdout);
        assert!(ran.stderr.contains(wanted), "{id}: {}", ran.stderr);
    }
    let args = ["--restore-job", "waits"];
    let ran = validate(&emulator, dir.path(), &server.password(), &args);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(state(&emulator, "waits")["ValidationStatus"], "SUCCESSFUL");
    assert_eq!(
        state(&emulator, "waits-too")["ValidationStatus"],
        "VALIDATING"
    );
    // Without the other option it means nothing.
    let ran = emulator.opsctl(dir.path(), &["drill", "run", "--restore-job", "waits"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let sandbox = support::opsctl(dir.path(), &["drill", "run", "--as-validator", "--sandbox"]);
    assert_eq!(sandbox.code, 1);
    assert!(
        sandbox.stderr.contains("the sandbox has no AWS Backup"),
        "{}",
        sandbox.stderr
    );
}

#[test]
fn denied_throttled_and_lost_calls_are_told_and_answered_later() {
    let emulator = account();
    let server = Server::start();
    let dir = drill(server.port, "");
    put(&emulator, &[job("waits", json!({}))]);
    let fault = |operation: &str, mode: &str, times: i64| {
        emulator.no_faults();
        emulator.faults(&json!([
            {"service": "backup", "operation": operation, "mode": mode, "times": times},
        ]));
    };
    fault("ListRestoreJobs", "deny", -1);
    let ran = validate(
        &emulator,
        dir.path(),
        &server.password(),
        &["--format", "json"],
    );
    assert_eq!(ran.code, 3, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(
        json(&ran)["unobserved"][0]["operation"],
        "backup:ListRestoreJobs"
    );
    fault("PutRestoreValidationResult", "deny", -1);
    let ran = validate(&emulator, dir.path(), &server.password(), &[]);
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stderr.contains("AWS Backup was not told"),
        "{}",
        ran.stderr
    );
    assert_eq!(state(&emulator, "waits")["ValidationStatus"], "VALIDATING");
    // A plan that cannot be read: the checks count, the age does not.
    fault("GetRestoreTestingPlan", "deny", -1);
    let ran = validate(
        &emulator,
        dir.path(),
        &server.password(),
        &["--format", "json"],
    );
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let reasons = json(&ran)["drills"][0]["reasons"].to_string();
    assert!(reasons.contains("cannot be seen"), "{reasons}");
    emulator.no_faults();
    let violations = emulator.violations();
    assert!(violations.is_empty(), "{violations:#?}");
}

#[test]
fn a_killed_or_interrupted_validator_leaves_the_job_for_the_next() {
    let emulator = account();
    let server = Server::start();
    let slow = "[[backups.drill.orders.check]]\nsql = \"select count(*) from pg_sleep(30)\"\nexpect = \"= 1\"\n";
    let dir = drill(server.port, slow);
    for signal in ["-INT", "-KILL"] {
        put(&emulator, &[job("waits", json!({}))]);
        let mut command = emulator.command(dir.path(), &["drill", "run", "--as-validator"]);
        command
            .env("PGPASSWORD", server.password())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        let mut child = command.spawn().unwrap();
        let began = Instant::now();
        while !journals(dir.path()).contains("\"verify\"") {
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "it never came to the checks"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status()
            .unwrap();
        let status = child.wait().unwrap();
        assert_eq!(
            state(&emulator, "waits")["ValidationStatus"],
            "VALIDATING",
            "{signal}"
        );
        if signal == "-INT" {
            assert_eq!(status.code(), Some(130));
            for entry in std::fs::read_dir(dir.path().join(".opsctl/runs"))
                .unwrap()
                .flatten()
            {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
    let ran = emulator.opsctl(dir.path(), &["drill", "gc", "--format", "json"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(json(&ran)["drills"][0]["result"], "aborted");
    assert_eq!(emulator.opsctl(dir.path(), &["drill", "verify"]).code, 0);
}

fn journals(dir: &Path) -> String {
    let Ok(entries) = std::fs::read_dir(dir.join(".opsctl/runs")) else {
        return String::new();
    };
    entries
        .flatten()
        .filter_map(|e| std::fs::read_to_string(e.path()).ok())
        .collect()
}

#[test]
fn exported_plans_are_what_the_aws_command_line_takes() {
    let emulator = moto();
    let dir = drill(
        5432,
        "[backups.drill.carts]\nsource = \"dynamodb:Carts\"\n\
         [backups.drill.ledger-of-europe]\nsource = \"aurora:ledger\"\nmethod = \"point-in-time\"\n\
         [backups.drill.dumps]\nsource = \"s3-dump:acme/x\"\n",
    );
    let export = |args: &[&str]| {
        let mut all = vec!["drill", "export-restore-testing-plan"];
        all.extend(args);
        support::opsctl(dir.path(), &all)
    };
    let out = dir.path().join("plans of ours");
    let ran = export(&["--out-dir", out.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("left out: drill `dumps`"),
        "{}",
        ran.stderr
    );
    let files = files(&out);
    assert_eq!(files.len(), 6, "{files:?}");
    // Judged by the models that the AWS command line judges by.
    for file in &files {
        let operation = match file.to_str().unwrap().ends_with(".plan.json") {
            true => "CreateRestoreTestingPlan",
            false => "CreateRestoreTestingSelection",
        };
        emulator.python(
            "validate_input.py",
            &["backup", operation, file.to_str().unwrap()],
        );
    }
    let commands: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(commands.len(), 6);
    assert!(commands[0].starts_with("aws backup create-restore-testing-plan --region eu-west-1"));
    let ran = export(&[
        "orders",
        "--schedule",
        "cron(0 3 ? * SUN *)",
        "--validation-hours",
        "8",
    ]);
    let one = &json(&ran)["restore_testing_plans"][0];
    let plan = &one["create_restore_testing_plan"]["RestoreTestingPlan"];
    assert_eq!(plan["RestoreTestingPlanName"], "opsctl_shop_prod_orders");
    assert_eq!(plan["ScheduleExpression"], "cron(0 3 ? * SUN *)");
    let selection = &one["create_restore_testing_selection"]["RestoreTestingSelection"];
    assert_eq!(selection["ProtectedResourceArns"][0], SOURCE);
    assert_eq!(selection["ValidationWindowHours"], 8);
    assert_eq!(
        selection["RestoreMetadataOverrides"],
        json!({
            "dbInstanceClass": "db.t4g.medium", "dbSubnetGroupName": "private",
            "vpcSecurityGroupIds": "[\"sg-1\"]",
        })
    );
    for (args, wanted) in [
        (vec!["dumps"], "AWS Backup knows no dumps"),
        (vec!["ordres"], "did you mean `orders`?"),
        (vec!["--schedule", "daily"], "is not a schedule"),
        (vec!["--vault", "Default"], "is not the ARN of a vault"),
        (vec!["--role", "backup"], "is not the ARN of a role"),
        (vec!["--validation-hours", "0"], "0 is not in 1..=168"),
    ] {
        let ran = export(&args);
        assert_eq!(ran.code, 1, "{args:?}");
        assert!(ran.stderr.contains(wanted), "{args:?}: {}", ran.stderr);
    }
}
