//! Attempts to make a drill of RDS delete what is not its copy, or leave what is.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::drill_rds::{Stage, ended, spawn};
use crate::emulator::ACCOUNT;
use crate::support;

const DRILL: &str = "[backups.drill.orders]\nsource = \"rds:orders\"\n";

/// An account with a copy that a killed run left behind.
fn with_leftover(drills: &str) -> (Stage, Value) {
    let stage = Stage::new(6, drills, "");
    let copy = leave(&stage);
    (stage, copy)
}

fn leave(stage: &Stage) -> Value {
    stage.rds(&json!({"states": vec!["creating"; 2000]}));
    let mut child = spawn(stage.command(&["drill", "run"]));
    let began = Instant::now();
    // The step is over once the note is in the evidence bucket too.
    let restored = |text: &str| {
        text.contains("\"event\":\"made\"")
            && text.lines().any(|line| {
                line.contains("\"event\":\"finished\"") && line.contains("\"step\":\"restore\"")
            })
            && !text.contains("\"event\":\"end\"")
    };
    let made = || stage.journals().iter().any(|text| restored(text));
    while !made() {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "no copy was made"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    stage.rds(&json!({"states": []}));
    let mut copies = stage.copies();
    assert_eq!(copies.len(), 1);
    let copy = copies.remove(0);
    // Otherwise it would stay busy, and refuse to go, for two thousand looks.
    stage.rds(&json!({"settle": id(&copy)}));
    copy
}

fn id(copy: &Value) -> &str {
    copy["DBInstanceIdentifier"].as_str().unwrap()
}

fn call(stage: &Stage, operation: &str, params: &Value) {
    stage
        .moto
        .python("call.py", &["rds", operation, &params.to_string()]);
}

/// Once it is available: moto refuses to delete it before.
fn delete(stage: &Stage, id: &str) {
    stage.rds(&json!({"settle": id}));
    call(
        stage,
        "delete_db_instance",
        &json!({"DBInstanceIdentifier": id, "SkipFinalSnapshot": true}),
    );
}

fn create(stage: &Stage, id: &str, tags: &Value) {
    call(
        stage,
        "create_db_instance",
        &json!({
            "DBInstanceIdentifier": id, "Engine": "postgres", "DBInstanceClass": "db.t4g.micro", "AllocatedStorage": 20,
            "MasterUsername": "postgres", "MasterUserPassword": "not-a-secret", "Tags": tags,
        }),
    );
}

fn last(stage: &Stage) -> Value {
    stage.records().last().cloned().unwrap_or_default()
}

#[test]
fn a_dry_run_names_the_guards_and_removes_nothing() {
    let (stage, copy) = with_leftover(DRILL);
    let dry = stage.gc(&["--dry-run"]);
    let said: String = dry.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for guard in [
        "account:",
        "name:",
        "run tag:",
        "source tag:",
        "intent tag:",
        "created after the intent:",
        "resource id:",
        "not the source:",
        "no replicas:",
        "stands alone:",
    ] {
        assert!(
            said.contains(&format!("✓ {guard}")),
            "{guard}: {}",
            dry.stdout
        );
    }
    assert!(
        said.contains(&format!("would remove DB instance {}", id(&copy))),
        "{said}"
    );
    assert_eq!((dry.code, stage.copies().len()), (0, 1));
    let swept = stage.gc(&[]);
    assert_eq!(swept.code, 0, "{}{}", swept.stdout, swept.stderr);
    stage.as_before("after gc");
    assert_eq!(last(&stage)["result"], "aborted");
    let again = stage.gc(&[]);
    assert!(
        again.code == 0 && !again.stdout.contains("removed"),
        "{}",
        again.stdout
    );
}

#[test]
fn the_next_run_sweeps_first() {
    let (stage, _) = with_leftover(DRILL);
    let (ran, record) = stage.run(&[]);
    assert_eq!(
        (ran.code, &record["result"]),
        (0, &json!("passed")),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("removed what an earlier drill left"),
        "{}",
        ran.stderr
    );
    stage.as_before("after the next run");
    assert_eq!(stage.records().len(), 2);
}

#[test]
fn a_renamed_copy_is_known_by_its_resource_id() {
    let (stage, copy) = with_leftover(DRILL);
    // Somebody found it useful.
    stage.rds(&json!({"rename": {id(&copy): "orders-new"}}));
    let swept = stage.gc(&[]);
    let said: String = swept
        .stdout
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    assert_eq!(swept.code, 1, "{}", swept.stdout);
    assert!(
        said.contains("orders-new does not begin with `drill-`"),
        "{said}"
    );
    assert_eq!(id(&stage.copies()[0]), "orders-new");
    // Another name of a copy hides nothing.
    stage.rds(&json!({"rename": {"orders-new": "drill-something"}}));
    let swept = stage.gc(&[]);
    assert_eq!(swept.code, 0, "{}", swept.stdout);
    stage.as_before("after it was called like a copy again");
    assert_eq!(last(&stage)["cleanup"]["deleted"], true);
}

#[test]
fn a_stale_journal_does_not_reach_a_new_database_of_the_old_name() {
    for with_tags in [false, true] {
        let (stage, copy) = with_leftover(DRILL);
        delete(&stage, id(&copy));
        let tags = if with_tags {
            copy["TagList"].clone()
        } else {
            json!([])
        };
        create(&stage, id(&copy), &tags);
        let swept = stage.gc(&["--format", "json"]);
        let there: Vec<Value> = stage
            .copies()
            .into_iter()
            .filter(|c| c["DBInstanceArn"].is_string())
            .collect();
        assert_eq!(there.len(), 1, "{}", swept.stdout);
        assert_eq!(id(&there[0]), id(&copy));
        assert_ne!(there[0]["DbiResourceId"], copy["DbiResourceId"]);
        assert_eq!(
            stage.requests("DeleteDBInstance"),
            1,
            "only the one of this test"
        );
        assert_eq!(swept.code, 0, "{}", swept.stdout);
        let proof = last(&stage)["cleanup"]["proof"].to_string();
        assert!(proof.contains("no DB instance of the name"), "{proof}");
    }
}

#[test]
fn a_copy_that_lost_its_tags_or_became_a_source_is_left() {
    let (stage, copy) = with_leftover(DRILL);
    let arn = &copy["DBInstanceArn"];
    call(
        &stage,
        "remove_tags_from_resource",
        &json!({"ResourceName": arn, "TagKeys": ["opsctl:drill-source"]}),
    );
    let swept = stage.gc(&[]);
    assert_eq!(
        (swept.code, stage.copies().len()),
        (1, 1),
        "{}",
        swept.stdout
    );
    assert!(
        swept.stdout.contains("source tag: it has no tag"),
        "{}",
        swept.stdout
    );
    call(
        &stage,
        "add_tags_to_resource",
        &json!({"ResourceName": arn, "Tags": copy["TagList"]}),
    );
    stage.rds(&json!({"settle": id(&copy)}));
    let replica =
        json!({"DBInstanceIdentifier": "promoted", "SourceDBInstanceIdentifier": id(&copy)});
    call(&stage, "create_db_instance_read_replica", &replica);
    let swept = stage.gc(&[]);
    assert_eq!(
        (swept.code, stage.copies().len() >= 2),
        (1, true),
        "{}",
        swept.stdout
    );
    assert!(
        swept.stdout.contains("promoted replicate from it"),
        "{}",
        swept.stdout
    );
    call(
        &stage,
        "delete_db_instance",
        &json!({"DBInstanceIdentifier": "promoted", "SkipFinalSnapshot": true}),
    );
    assert_eq!(stage.gc(&[]).code, 0);
    stage.as_before("after all");
}

#[test]
fn a_machine_that_lost_its_files_leaves_name_and_tags() {
    let (stage, copy) = with_leftover(DRILL);
    std::fs::remove_dir_all(stage.dir.path().join(".opsctl")).unwrap();
    // Its run may be alive on another machine.
    let swept = stage.gc(&[]);
    assert_eq!(
        (swept.code, stage.copies().len()),
        (0, 1),
        "{}",
        swept.stdout
    );
    assert!(swept.stdout.contains("left alone"), "{}", swept.stdout);
    // Nor does a new drill of the same source begin beside it.
    let (ran, record) = stage.run(&[]);
    assert_eq!(
        (ran.code, &record["result"]),
        (1, &json!("aborted")),
        "{}",
        ran.stdout
    );
    assert!(
        record["reasons"][0].as_str().unwrap().contains(id(&copy)),
        "{record:#}"
    );
    // Three hours, and the time of a cleanup.
    stage.rds(&json!({"clock": 4 * 3600}));
    let swept = stage.gc(&[]);
    assert_eq!(swept.code, 0, "{}", swept.stdout);
    stage.as_before("after four hours");
    // Among what was never touched are a production database called drill-… and one with our tag.
    let names: Vec<&str> = stage
        .before
        .as_object()
        .unwrap()
        .values()
        .filter_map(|v| v["DBInstanceIdentifier"].as_str())
        .collect();
    assert!(names.contains(&"drill-machine-prod") && names.contains(&"drill-reports"));
}

#[test]
fn notes_in_the_evidence_bucket_know_the_resource_id() {
    let drills = format!("{DRILL}limits = {{ timeout = \"1h\" }}\n");
    let stage = Stage::new(6, &drills, "");
    stage.moto.object("ops-evidence", "hello", b"x");
    support::evidence(stage.dir.path(), "ops-evidence", "prefix = \"evidence/\"\n");
    let copy = leave(&stage);
    std::fs::remove_dir_all(stage.dir.path().join(".opsctl")).unwrap();
    stage.rds(&json!({"clock": 5 * 3600}));
    let dry = stage.gc(&["--dry-run", "--format", "json"]);
    assert!(
        dry.stdout.contains("as our restore answered"),
        "{}",
        dry.stdout
    );
    // A namesake with the same tags, which is not what the notes say.
    delete(&stage, id(&copy));
    create(&stage, id(&copy), &copy["TagList"]);
    let swept = stage.gc(&[]);
    assert_eq!(
        stage.copies().len(),
        2,
        "the namesake and its snapshot stay: {}",
        swept.stdout
    );
    delete(&stage, id(&copy));
    stage.as_before("between");
    stage.rds(&json!({"clock": 0}));
    leave(&stage);
    std::fs::remove_dir_all(stage.dir.path().join(".opsctl")).unwrap();
    stage.rds(&json!({"clock": 5 * 3600}));
    let swept = stage.gc(&[]);
    assert_eq!(swept.code, 0, "{}{}", swept.stdout, swept.stderr);
    stage.as_before("after gc on another machine");
    // The evidence of the lost run is written by the one that swept.
    let record = last(&stage);
    assert_eq!(record["result"], "aborted", "{record:#}");
    assert!(
        record["reasons"][0]
            .as_str()
            .unwrap()
            .contains("lost its files"),
        "{record:#}"
    );
    assert_eq!(stage.opsctl(&["drill", "verify"]).code, 0);
}

/// The account is what counts, whatever the environment is called by now.
#[test]
fn an_environment_that_was_renamed_is_swept_all_the_same() {
    let (stage, _) = with_leftover(DRILL);
    let path = stage.dir.path().join("opsctl.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let renamed = text.replace("[environments.prod]", "[environments.staging]");
    assert_ne!(text, renamed);
    std::fs::write(&path, renamed).unwrap();
    let swept = stage.gc(&[]);
    assert_eq!(swept.code, 0, "{}{}", swept.stdout, swept.stderr);
    stage.as_before("after gc");
    assert_eq!(last(&stage)["result"], "aborted");
}

/// Another project in the account has drills that take a day, and this one knows only its own.
#[test]
fn a_long_drill_of_another_project_is_left_alone() {
    let long = format!("{DRILL}limits = {{ timeout = \"24h\" }}\n");
    let (stage, copy) = with_leftover(&long);
    let mut tags: Vec<&str> = copy["TagList"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["Key"].as_str().unwrap())
        .collect();
    tags.sort_unstable();
    assert_eq!(
        tags,
        [
            "opsctl:drill",
            "opsctl:drill-intent",
            "opsctl:drill-source",
            "opsctl:drill-until"
        ]
    );
    std::fs::remove_dir_all(stage.dir.path().join(".opsctl")).unwrap();
    let path = stage.dir.path().join("policies/backups.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("24h", "1h")).unwrap();
    for (hours, left) in [(5, 1), (26, 0)] {
        stage.rds(&json!({"clock": hours * 3600}));
        let swept = stage.gc(&[]);
        assert_eq!(swept.code, 0, "{}{}", swept.stdout, swept.stderr);
        assert_eq!(
            stage.copies().len(),
            left,
            "after {hours} h: {}",
            swept.stdout
        );
    }
}

#[test]
fn two_drills_at_once() {
    let stage = Stage::new(6, DRILL, "");
    stage.rds(&json!({"states": vec!["creating"; 2000]}));
    let first = spawn(stage.command(&["drill", "run"]));
    let began = Instant::now();
    while stage.copies().is_empty() {
        assert!(began.elapsed() < Duration::from_secs(60), "no copy");
    }
    let refused = ended(spawn(stage.command(&["drill", "run"])));
    assert_eq!(refused.code, 1, "{}{}", refused.stdout, refused.stderr);
    let copy = stage.copies().pop().unwrap();
    stage.rds(&json!({"settle": copy["DBInstanceIdentifier"], "states": vec!["creating"; 10]}));
    let first = ended(first);
    assert_eq!(first.code, 0, "{}{}", first.stdout, first.stderr);
    assert!(
        refused.stderr.contains("is running on this machine"),
        "{}",
        refused.stderr
    );
    stage.as_before("after two on one machine");
    // On two machines, which know nothing of each other.
    let other = support::project(&[]);
    for file in ["opsctl.toml", "policies/backups.toml"] {
        std::fs::copy(stage.dir.path().join(file), other.path().join(file)).unwrap();
    }
    let mut there = stage.moto.command(other.path(), &["drill", "run"]);
    there.env("OPSCTL_DRILL_POLL", "50ms");
    let both = [spawn(stage.command(&["drill", "run"])), spawn(there)].map(ended);
    for ran in &both {
        assert!([0, 1].contains(&ran.code), "{}{}", ran.stdout, ran.stderr);
    }
    assert!(both.iter().any(|r| r.code == 0));
    stage.as_before("after two on two machines");
}

#[test]
fn a_clock_that_is_wrong_or_jumps() {
    let stage = Stage::new(6, DRILL, "");
    for (during, after) in [
        (-7200, 0),
        (7200, 0),
        (0, 86_400),
        (0, -86_400),
        (-86_400, 86_400),
    ] {
        // AWS's clock against ours: the same as ours being wrong the other way.
        stage.rds(&json!({"clock": during, "states": ["creating"]}));
        let (ran, record) = stage.run(&[]);
        assert_eq!(
            (ran.code, &record["result"]),
            (0, &json!("passed")),
            "{during}: {}",
            record["reasons"]
        );
        stage.as_before("after a whole run");
        leave(&stage);
        stage.rds(&json!({"clock": after}));
        let swept = stage.gc(&[]);
        assert_eq!(swept.code, 0, "{during} {after}: {}", swept.stdout);
        stage.as_before("after a killed one");
    }
}

#[test]
fn a_source_that_is_deleted_meanwhile() {
    let mut stage = Stage::new(6, DRILL, "");
    let snapshot =
        json!({"DBInstanceIdentifier": "db-05", "DBSnapshotIdentifier": "db-05-by-hand"});
    call(&stage, "create_db_snapshot", &snapshot);
    let policy = stage.dir.path().join("policies/backups.toml");
    let text = std::fs::read_to_string(&policy)
        .unwrap()
        .replace("rds:orders", "rds:db-05");
    std::fs::write(policy, text).unwrap();
    stage.rds(&json!({"states": vec!["creating"; 60]}));
    let child = spawn(stage.command(&["drill", "run", "--format", "json"]));
    let began = Instant::now();
    while stage.requests("RestoreDBInstanceFromDBSnapshot") == 0 {
        assert!(began.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(10));
    }
    call(
        &stage,
        "delete_db_instance",
        &json!({"DBInstanceIdentifier": "db-05", "SkipFinalSnapshot": true}),
    );
    let ran = ended(child);
    let record = &support::json(&ran)["drills"][0];
    assert_eq!(
        (ran.code, &record["result"]),
        (0, &json!("passed")),
        "{}",
        record["reasons"]
    );
    let before = stage.before.as_object_mut().unwrap();
    before.retain(|arn, _| !arn.contains("db-05"));
    let differs = stage.differs();
    assert!(
        differs.iter().all(|d| d.contains("db-05-by-hand")),
        "{differs:?}"
    );
    // Without the source there is nothing to drill.
    let (ran, record) = stage.run(&[]);
    assert_eq!(ran.code, 1);
    assert!(
        record["reasons"][0]
            .as_str()
            .unwrap()
            .contains("there is no DB instance db-05"),
        "{record:#}"
    );
}

#[test]
fn what_a_restore_should_not_do() {
    let stage = Stage::new(6, DRILL, "");
    // Protected although it was asked for without: turned off after all guards, by the one function.
    stage.rds(&json!({"protected": true, "deleting": 1}));
    let (ran, record) = stage.run(&[]);
    assert_eq!(
        (ran.code, &record["result"]),
        (0, &json!("passed")),
        "{}",
        record["reasons"]
    );
    assert!(
        record["cleanup"]["proof"]
            .to_string()
            .contains("deletion protection turned off")
    );
    stage.rds(&json!({"protected": false, "deleting": 0}));
    stage.as_before("after a protected copy");
    // Public although it was asked for as private.
    stage.rds(&json!({"public": true}));
    let (ran, record) = stage.run(&[]);
    assert_eq!(
        (ran.code, &record["result"]),
        (1, &json!("aborted")),
        "{}",
        record["reasons"]
    );
    assert!(
        record["reasons"][0]
            .as_str()
            .unwrap()
            .contains("publicly accessible"),
        "{record:#}"
    );
    stage.as_before("after a public copy");
    // The source's deletion protection was never touched.
    let orders = format!("arn:aws:rds:eu-west-1:{ACCOUNT}:db:orders");
    assert_eq!(stage.account()[orders]["DeletionProtection"], true);
}

#[test]
fn nothing_is_restored_where_it_cannot_work() {
    let mysql = "[backups.drill.my]\nsource = \"rds:my\"\n[[backups.drill.my.check]]\nsql = \"select 1\"\nexpect = \"= 1\"\n";
    let more = format!(
        "{DRILL}{mysql}\
         [backups.drill.stale]\nsource = \"rds:orders\"\nobjective = {{ rpo = \"1s\" }}\n\
         [backups.drill.none]\nsource = \"rds:db-05\"\n\
         [backups.drill.nothing]\nsource = \"rds:db-00\"\n\
         [backups.drill.member]\nsource = \"rds:shop-1\"\n\
         [backups.drill.no-pitr]\nsource = \"rds:empty\"\nmethod = \"point-in-time\"\n\
         [backups.drill.dear]\nsource = \"rds:orders\"\nrestore = {{ instance_class = \"db.r6g.16xlarge\" }}\n\
         [backups.drill.nowhere]\nsource = \"rds:orders\"\nrestore = {{ subnet_group = \"not-there\" }}\n"
    );
    let stage = Stage::new(6, &more, "");
    for (id, engine) in [("my", "sqlserver-ex"), ("empty", "postgres")] {
        call(
            &stage,
            "create_db_instance",
            &json!({
                "DBInstanceIdentifier": id, "Engine": engine, "DBInstanceClass": "db.t4g.micro", "AllocatedStorage": 20, "BackupRetentionPeriod": 0,
                "EngineVersion": "8.0.35", "MasterUsername": "root", "MasterUserPassword": "not-a-secret",
            }),
        );
    }
    // A minute on, so that the snapshot is surely older than a second.
    stage.rds(&json!({"forget": "db-05", "clock": 60}));
    for (name, code, result, why) in [
        ("my", 1, "aborted", "does not speak"),
        ("stale", 2, "missed_objective", "nothing was restored"),
        ("none", 2, "failed", "has no snapshot at all"),
        ("nothing", 1, "aborted", "there is no DB instance db-00"),
        ("member", 1, "aborted", "instance of the cluster shop"),
        ("no-pitr", 2, "failed", "retention is 0"),
        ("dear", 1, "aborted", "limits.cost_usd"),
        ("nowhere", 1, "aborted", "no DB subnet group not-there"),
    ] {
        let (ran, record) = stage.run(&[name]);
        let context = format!("{name}: {}", record["reasons"]);
        assert_eq!(
            (ran.code, record["result"].as_str()),
            (code, Some(result)),
            "{context}"
        );
        assert!(
            record["reasons"][0].as_str().unwrap().contains(why),
            "{context}"
        );
    }
    stage.rds(&json!({"quotas": {"DBInstances": 10}}));
    let (ran, record) = stage.run(&["orders"]);
    assert_eq!(ran.code, 1);
    assert!(
        record["reasons"][0]
            .as_str()
            .unwrap()
            .contains("quota DBInstances"),
        "{record:#}"
    );
    // Quotas that cannot be read only warn.
    stage.moto.faults(&json!([{"service": "rds", "operation": "DescribeAccountAttributes", "mode": "deny", "times": -1}]));
    let (ran, record) = stage.run(&["orders"]);
    assert_eq!(
        (ran.code, &record["result"]),
        (0, &json!("passed")),
        "{}",
        record["reasons"]
    );
    assert!(
        record["reasons"]
            .to_string()
            .contains("quotas were not looked at"),
        "{record:#}"
    );
    assert_eq!(stage.requests("RestoreDBInstanceFromDBSnapshot"), 1);
}
