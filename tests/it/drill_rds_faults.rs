//! Every call of a drill of RDS and Aurora fails in every way; every failure state; every signal. After
//! `gc` the account holds exactly what it held before, and there is a record of every run.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::drill_rds::{Server, Stage, drill, ended, spawn};

/// What a drill asks for: service, operation, and what tells one step's call from another's.
const INSTANCE: [(&str, &str, &str); 10] = [
    ("sts", "GetCallerIdentity", ""),
    ("rds", "DescribeDBInstances", "=orders"),
    ("rds", "DescribeDBInstances", "MaxRecords"),
    ("rds", "DescribeDBInstances", "=drill-"),
    ("rds", "DescribeDBSnapshots", ""),
    ("rds", "DescribeDBSubnetGroups", ""),
    ("rds", "DescribeAccountAttributes", ""),
    ("rds", "RestoreDBInstanceFromDBSnapshot", ""),
    ("rds", "ModifyDBInstance", ""),
    ("rds", "DeleteDBInstance", ""),
];
const CLUSTER: [(&str, &str, &str); 9] = [
    ("rds", "DescribeDBClusters", "=shop"),
    ("rds", "DescribeDBClusters", "=drill-"),
    ("rds", "DescribeDBClusterSnapshots", ""),
    ("rds", "RestoreDBClusterFromSnapshot", ""),
    ("rds", "CreateDBInstance", ""),
    ("rds", "DescribeDBInstances", "=drill-"),
    ("rds", "ModifyDBCluster", ""),
    ("rds", "DeleteDBInstance", ""),
    ("rds", "DeleteDBCluster", ""),
];

/// Mode, times, and whether a drill must come through.
const MODES: [(&str, i64, bool); 6] = [
    ("deny", -1, false),
    ("throttle", 1, true),
    ("error500", 1, true),
    ("reset", 1, true),
    ("answer_lost", 1, true),
    ("delay_ms", 1, false),
];

fn enumerate(name: &str, source: &str, calls: &[(&str, &str, &str)]) {
    let server = Server::start();
    let connect = format!(
        "connect = {{ database = \"shop\", via = \"127.0.0.1:{}\" }}\nlimits = {{ timeout = \"30m\" }}",
        server.port
    );
    let stage = Stage::new(6, &drill(name, source, &connect), "");
    let (stop, passwords) = server.follow(stage.moto.folder.path().join("requests.jsonl"));
    stage.rds(&json!({"states": ["creating"], "deleting": 1}));
    let (mut runs, mut known) = (0, 0);
    let mut trouble: Vec<String> = Vec::new();
    for (service, operation, contains) in calls {
        for (mode, times, comes_through) in MODES {
            let context = format!("{service}:{operation} {contains} {mode}");
            let mut fault =
                json!({"service": service, "operation": operation, "mode": mode, "times": times});
            if !contains.is_empty() {
                fault["resource_contains"] = json!(contains);
            }
            if mode == "delay_ms" {
                fault["ms"] = json!(3000);
            }
            let run = || {
                let mut command = stage.command(&["drill", "run"]);
                if mode == "delay_ms" {
                    command
                        .args(["--timeout", "2s"])
                        .env("OPSCTL_DRILL_POLL", "400ms");
                }
                stage.moto.faults(&json!([fault]));
                let ran = ended(spawn(command));
                let met = stage.moto.faults_left() != json!([fault]) || times < 0;
                stage.moto.no_faults();
                (ran, met)
            };
            let (mut ran, mut met) = run();
            // Where this machine is so slow that another call took too long before.
            for _ in 0..5 {
                if met || mode != "delay_ms" {
                    break;
                }
                stage.gc(&[]);
                known = stage.records().len();
                (ran, met) = run();
            }
            // A delayed call may still be under way.
            if mode == "delay_ms" {
                std::thread::sleep(Duration::from_millis(1500));
            }
            let records = stage.records();
            // The account is looked at before a run begins: without it there is none.
            let began = records.len() > known;
            if began {
                runs += 1;
                let last: &Value = records.last().unwrap();
                let result = last["result"].as_str().unwrap();
                let code = match result {
                    "passed" => 0,
                    "aborted" => 1,
                    _ => 2,
                };
                if code != ran.code {
                    trouble.push(format!("{context}: {result} and exit code {}", ran.code));
                }
                if comes_through && result != "passed" {
                    trouble.push(format!("{context}: {result}: {}", last["reasons"]));
                }
                // What is said to be clean is clean, before any sweep.
                let clean = last["cleanup"]["deleted"] == true;
                let copies = stage.copies();
                if clean && !copies.is_empty() {
                    trouble.push(format!(
                        "{context}: the record says that nothing is left, and there is {copies:#?}"
                    ));
                }
            } else if ran.code != 1 {
                trouble.push(format!(
                    "{context}: no record, and exit code {}: {}",
                    ran.code, ran.stderr
                ));
            }
            if !met {
                trouble.push(format!("{context}: nothing met the fault"));
            }
            let swept = stage.gc(&[]);
            known = stage.records().len();
            let left_once = records
                .last()
                .is_some_and(|r| began && r["cleanup"]["deleted"] == false);
            if left_once && known == records.len() {
                trouble.push(format!(
                    "{context}: no record says that what was left is gone"
                ));
            }
            let differs = stage.differs();
            if swept.code != 0 || !differs.is_empty() {
                trouble.push(format!(
                    "{context}: gc {}: {differs:#?}\n{}\n{}\n{}",
                    swept.code, swept.stdout, ran.stdout, ran.stderr
                ));
            }
        }
    }
    stop.store(true, std::sync::atomic::Ordering::SeqCst);
    passwords.join().unwrap();
    assert!(trouble.is_empty(), "{}", trouble.join("\n"));
    assert!(runs > calls.len() * 4, "{runs}");
    assert_eq!(stage.opsctl(&["drill", "verify"]).code, 0);
    let violations = stage.moto.violations();
    assert!(violations.is_empty(), "{violations:#?}");
}

#[test]
fn each_call_of_an_instance_drill_fails_in_each_way() {
    enumerate("orders", "rds:orders", &INSTANCE);
}

#[test]
fn each_call_of_a_cluster_drill_fails_in_each_way() {
    enumerate("shop", "aurora:shop", &CLUSTER);
}

#[test]
fn each_failure_state_ends_the_wait_at_once() {
    let drills = "[backups.drill.orders]\nsource = \"rds:orders\"\n[backups.drill.shop]\nsource = \"aurora:shop\"\n";
    let stage = Stage::new(6, drills, "");
    for (state, result, code) in [
        ("failed", "failed", 2),
        ("incompatible-restore", "failed", 2),
        ("restore-error", "failed", 2),
        ("incompatible-parameters", "failed", 2),
        ("incompatible-option-group", "failed", 2),
        ("inaccessible-encryption-credentials", "failed", 2),
        ("storage-full", "failed", 2),
        ("incompatible-network", "aborted", 1),
        ("insufficient-capacity", "aborted", 1),
        ("stopped", "aborted", 1),
    ] {
        for name in ["orders", "shop"] {
            stage.rds(&json!({"states": ["creating"], "ends": state, "deleting": 1}));
            let began = Instant::now();
            let (ran, record) = stage.run(&[name]);
            let context = format!("{name} {state}: {}", record["reasons"]);
            assert_eq!(
                (ran.code, record["result"].as_str()),
                (code, Some(result)),
                "{context}"
            );
            let why = record["reasons"][0].as_str().unwrap();
            assert!(why.contains(state), "{context}");
            assert_eq!(record["cleanup"]["deleted"], true, "{context}");
            assert!(began.elapsed() < Duration::from_secs(600), "{context}");
            stage.rds(&json!({"states": [], "ends": "available", "deleting": 0}));
            stage.as_before(&context);
        }
    }
}

#[test]
fn signals_in_every_step_end_in_the_cleanup() {
    let server = Server::start();
    let connect = format!(
        "connect = {{ user = \"postgres\", database = \"shop\", password_env = \"DRILL_PASSWORD\", via = \"127.0.0.1:{}\" }}",
        server.port
    );
    let more = "[[backups.drill.orders.check]]\nsql = \"select count(*) from pg_sleep(50)\"\nexpect = \"= 1\"\n";
    let drills =
        drill("orders", "rds:orders", &connect) + more + &drill("quick", "rds:orders", &connect);
    let stage = Stage::new(6, &drills, &server.password());
    stage.rds(&json!({"states": vec!["creating"; 6], "deleting": 3}));
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        for step in ["preflight", "restore", "wait", "verify", "clean up"] {
            let known = stage.records().len();
            if step == "restore" {
                let late = json!([{"service": "rds", "operation": "RestoreDBInstanceFromDBSnapshot", "mode": "delay_ms", "ms": 300}]);
                stage.moto.faults(&late);
            }
            if step == "clean up" {
                let late = json!([{"service": "rds", "operation": "DeleteDBInstance", "mode": "delay_ms", "ms": 5000}]);
                stage.moto.faults(&late);
            }
            // One whose checks last until it is interrupted, and one that comes to its end.
            let name = if step == "clean up" {
                "quick"
            } else {
                "orders"
            };
            let child = spawn(stage.command(&["drill", "run", name]));
            let began = Instant::now();
            let wanted = "\"event\":\"started\",\"at\"";
            while !stage.journals().iter().any(|text| {
                !text.contains("\"event\":\"end\"")
                    && text
                        .lines()
                        .any(|l| l.contains(wanted) && l.contains(&format!("\"step\":\"{step}\"")))
            }) {
                assert!(
                    began.elapsed() < Duration::from_secs(60),
                    "{step} did not begin"
                );
                std::thread::sleep(Duration::from_millis(5));
            }
            let send = |signal: &str| {
                let mut kill = Command::new("kill");
                kill.args(["-s", signal, &child.id().to_string()]);
                kill.stderr(std::process::Stdio::null()).status().unwrap()
            };
            assert!(send(signal).success());
            // As CI runners do, which lose patience; it may be over by now.
            std::thread::sleep(Duration::from_millis(100));
            send("TERM");
            let ran = ended(child);
            let context = format!("{signal} in {step}: {}{}", ran.stdout, ran.stderr);
            assert_eq!(ran.code, code, "{context}");
            let records = stage.records();
            assert_eq!(records.len(), known + 1, "{context}");
            let record = records.last().unwrap();
            assert_eq!(record["cleanup"]["deleted"], true, "{context}");
            if step != "clean up" {
                assert_eq!(record["result"], "aborted", "{context}");
                assert!(
                    record["reasons"][0].as_str().unwrap().contains("SIG"),
                    "{context}"
                );
            }
            stage.moto.no_faults();
            stage.rds(&json!({"deleting": 0}));
            stage.as_before(&context);
            stage.rds(&json!({"deleting": 3}));
        }
    }
}
