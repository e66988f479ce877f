//! `opsctl iam`: the generated policies allow every call that is really made, and nothing else.
//!
//! The judge is not ours: `tests/iam` runs an evaluator from npm over what the launcher of moto recorded.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use opsctl::iam::table::rows;

use crate::drill::{BUCKET, drill, dumps, open_folder, put};
use crate::emulator::{ACCOUNT, Emulator, moto};
use crate::support::{self, Ran, json as parse, opsctl as run, project};

const WORKSPACE: &str = r#"
[project]
name = "shop"
team = "core"

[environments.prod]
account = "123456789012"
regions = ["eu-west-1", "us-east-1"]
stage = "stage-3"
monthly_budget_usd = 900
notify = ["mailto:ops@example.com", "sns:ops-alerts"]

[lock]
environment = "prod"
bucket = "shop-opsctl"

[evidence]
environment = "prod"
bucket = "shop-opsctl"
prefix = "evidence/"

[notify]
targets = ["sns:arn:aws:sns:eu-west-1:123456789012:ops-alerts"]
"#;

/// One drill of each kind of source.
fn backups() -> String {
    format!(
        "[backups]\nretention_days = 14\ncopy_to_region = \"us-east-1\"\npoint_in_time_recovery = true\n\
         [backups.drill.custom]\nsource = \"s3-dump:{BUCKET}/custom/\"\nconnect = {{ database = \"shop\" }}\n\
         [[backups.drill.custom.check]]\nsql = \"select count(*) from orders\"\nexpect = \"= 20000\"\n\
         [backups.drill.orders]\nsource = \"rds:orders\"\n\
         [backups.drill.ledger]\nsource = \"aurora:ledger\"\n\
         [backups.drill.sessions]\nsource = \"dynamodb:sessions\"\n{}",
        real_drills()
    )
}

/// Drills that moto plays: of each kind by both methods. Nothing answers behind the port, so those of
/// databases end at the connection; everything that AWS is asked has been asked by then.
fn real_drills() -> String {
    let sources = [
        ("instance", "rds:orders"),
        ("cluster", "aurora:shop"),
        ("table", "dynamodb:Orders"),
    ];
    let mut out = String::new();
    for (name, source) in sources {
        for method in ["snapshot", "point-in-time"] {
            let drill = format!("backups.drill.{name}-{method}");
            out.push_str(&format!(
                "[{drill}]\nsource = \"{source}\"\nmethod = \"{method}\"\n"
            ));
            out.push_str(match name {
                "table" => "",
                _ => "connect = { database = \"shop\", via = \"127.0.0.1:1\" }\n",
            });
            out.push_str(&format!("[[{drill}.check]]\n"));
            out.push_str(match name {
                "table" => "sample = 20\n",
                _ => "sql = \"select 1\"\nexpect = \"= 1\"\n",
            });
        }
    }
    out
}

fn stage_3() -> TempDir {
    project(&[
        ("opsctl.toml", WORKSPACE),
        ("policies/backups.toml", &backups()),
    ])
}

/// The documents that `opsctl iam` writes.
fn policies(dir: &Path, role: &str) -> Vec<Value> {
    let out = TempDir::new().unwrap();
    let folder = out.path().to_str().unwrap();
    let ran = run(dir, &["iam", role, "-e", "prod", "--out-dir", folder]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let mut files: Vec<PathBuf> = std::fs::read_dir(out.path())
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    files.sort();
    files
        .iter()
        .map(|f| {
            let text = std::fs::read_to_string(f).unwrap();
            let counted = text.chars().filter(|c| !c.is_whitespace()).count();
            assert!(counted <= 6_144, "{}: {counted}", f.display());
            serde_json::from_str(&text).unwrap()
        })
        .collect()
}

/// What was recorded since so many lines.
fn recorded(emulator: &Emulator, since: &mut usize) -> Vec<Value> {
    let text =
        std::fs::read_to_string(emulator.folder.path().join("requests.jsonl")).unwrap_or_default();
    let new = text
        .lines()
        .skip(*since)
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    *since = text.lines().count();
    new
}

fn node() -> Command {
    let variable = |name: &str| {
        std::env::var_os(name)
            .unwrap_or_else(|| panic!("{name} is not set: run the tests with tests/run"))
    };
    variable("OPSCTL_IAM_MODULES");
    let mut command = Command::new(variable("OPSCTL_NODE"));
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/iam/evaluate.mjs"));
    command
}

fn judge(question: &Value) -> Value {
    let mut child = node()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("node runs");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(question.to_string().as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

fn list(value: &Value) -> Vec<&Value> {
    value.as_array().into_iter().flatten().collect()
}

fn calls(role: &str) -> (Vec<Value>, Vec<Value>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/iam/calls.json");
    let all: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let of = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut calls = of(&all[role]);
    if role != "drill" {
        calls.extend(of(&all["looking"]));
    }
    for call in &mut calls {
        call["assumed"] = json!(true);
    }
    (calls, of(&all["dangers"][role]))
}

/// Statements and actions for which the table gives a reason.
fn explained(role: &str) -> BTreeSet<String> {
    let ran = run(
        stage_3().path(),
        &["iam", role, "-e", "prod", "--explain", "--format", "json"],
    );
    let document = parse(&ran);
    // With the head that all documents have.
    assert_eq!(document["kind"], "iam-explain");
    assert_eq!(document["purpose"], role);
    assert_eq!(document["scope"][0]["environment"], "prod");
    assert!(document["format_version"].is_string() && document["generated_at"].is_string());
    list(&document["actions"])
        .iter()
        .filter(|b| !list(&b["why"]).is_empty())
        .map(|b| {
            format!(
                "{} {}",
                b["sid"].as_str().unwrap(),
                b["action"].as_str().unwrap()
            )
        })
        .collect()
}

/// Every operation that the meter counted has a row in the table.
fn all_in_table(ran: &Ran) {
    let table: BTreeSet<&str> = rows().map(|r| r.operation).collect();
    for operation in parse(ran)["api"]["by_operation"]
        .as_object()
        .unwrap()
        .keys()
    {
        assert!(
            table.contains(operation.as_str()),
            "src/iam/table.rs has no row for {operation}"
        );
    }
}

/// The runs of a whole day at stage 3, each with what it asked AWS.
fn record() -> (Value, [Value; 3]) {
    let emulator = moto();
    emulator.python("seed.py", &crate::moto::SMALL);
    emulator.python("seed_money.py", &[]);
    emulator.python("objects.py", &["bucket", "shop-opsctl"]);
    dumps();
    put(&emulator, "custom", &[]);
    let dir = stage_3();
    let mut at = 0;
    let mut taken = || recorded(&emulator, &mut at);
    taken();

    let json = |args: &[&str]| {
        let ran = emulator.opsctl(dir.path(), &[args, &["--format", "json"]].concat());
        assert!(
            [0, 2, 3].contains(&ran.code),
            "{args:?}: {}\n{}",
            ran.stderr,
            ran.stdout
        );
        all_in_table(&ran);
        ran
    };
    json(&["plan"]);
    json(&["audit"]);
    json(&["metrics", "check"]);
    // The topic is not made yet: what counts is that it was asked.
    let ran = emulator.opsctl(dir.path(), &["audit", "tags", "--notify"]);
    assert!(ran.stderr.contains("sns:Publish"), "{}", ran.stderr);
    let plan = taken();

    let apply = |args: &[&str]| {
        let ran = emulator.opsctl(
            dir.path(),
            &[
                &[
                    "apply",
                    "--yes",
                    "--format",
                    "json",
                    "--allow-incomplete",
                    "--allow-disruptive",
                ],
                args,
            ]
            .concat(),
        );
        let outcomes: BTreeSet<String> = list(&parse(&ran)["changes"])
            .iter()
            .map(|c| c["outcome"].to_string())
            .collect();
        assert!(
            outcomes.contains("\"applied\""),
            "{}\n{}",
            ran.stderr,
            ran.stdout
        );
        all_in_table(&ran);
    };
    apply(&[]);
    // What differs is updated, what opsctl made is removed again.
    let changed = WORKSPACE.replace("monthly_budget_usd = 900", "monthly_budget_usd = 700");
    std::fs::write(dir.path().join("opsctl.toml"), changed).unwrap();
    apply(&["--control", "budgets"]);
    // Cost Explorer alone knows the ARNs of what was made.
    let anomaly: Value = serde_json::from_str(&emulator.python("anomaly_arns.py", &[])).unwrap();
    let mut tags = json!({});
    for (arn, name) in anomaly.as_object().unwrap() {
        if name.as_str().unwrap().starts_with("opsctl-shop-prod") {
            tags[arn] = json!({ "opsctl:managed": "shop/prod" });
        }
    }
    let saved = dir.path().join("destroy.json");
    let saved = saved.to_str().unwrap();
    let ran = emulator.opsctl(
        dir.path(),
        &["plan", "--destroy", "--out", saved, "--allow-incomplete"],
    );
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let ran = emulator.opsctl(
        dir.path(),
        &[
            "apply",
            saved,
            "--yes",
            "--max-deletes",
            "1000",
            "--format",
            "json",
        ],
    );
    all_in_table(&ran);
    let apply = taken();

    let scratch = open_folder();
    emulator.python("topic_queue.py", &["make", "ops-alerts"]);
    taken();
    let ran = drill(
        &emulator,
        dir.path(),
        scratch.path(),
        &[
            "drill",
            "run",
            "custom",
            "--format",
            "json",
            "--notify",
            "--notify-on",
            "always",
        ],
    );
    assert_eq!(ran.code, 0, "{}\n{}", ran.stderr, ran.stdout);
    all_in_table(&ran);
    let ran = emulator.opsctl(dir.path(), &["drill", "verify"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let mut drill = taken();
    emulator.python("seed_databases.py", &["--databases", "6"]);
    emulator.python("seed_tables.py", &["--tables", "2"]);
    taken();
    for (name, code) in [("instance", 1), ("cluster", 1), ("table", 0)] {
        for method in ["snapshot", "point-in-time"] {
            let name = format!("{name}-{method}");
            let ran = support::ran(
                emulator
                    .command(dir.path(), &["drill", "run", &name, "--format", "json"])
                    .env("OPSCTL_DRILL_POLL", "50ms")
                    .output()
                    .unwrap(),
            );
            assert_eq!(ran.code, code, "{name}: {}\n{}", ran.stderr, ran.stdout);
            all_in_table(&ran);
            let record = &parse(&ran)["drills"][0];
            assert_eq!(record["cleanup"]["deleted"], true, "{record:#}");
        }
    }
    drill.extend(taken());
    let all = |role: &str, requests: Vec<Value>| {
        let (more, dangers) = calls(role);
        let recorded = requests.len();
        let requests: Vec<Value> = requests.into_iter().chain(more).collect();
        assert!(recorded > 5, "{role}: {recorded}");
        json!({
            "policies": policies(dir.path(), role),
            "recorded": recorded,
            "requests": requests,
            "dangers": dangers,
        })
    };
    (
        tags,
        [all("plan", plan), all("apply", apply), all("drill", drill)],
    )
}

#[test]
fn the_policies_of_stage_3_are_sufficient_and_minimal_by_an_independent_evaluator() {
    let (mut tags, [plan, apply, drill]) = record();
    for arn in ["anomalysubscription/ours", "anomalymonitor/ours"] {
        tags[format!("arn:aws:ce::123456789012:{arn}")] = json!({ "opsctl:managed": "shop/prod" });
    }
    let question = json!({
        "account": ACCOUNT,
        "tags": tags,
        "roles": { "plan": plan, "apply": apply, "drill": drill },
    });
    // To be looked at by hand: node tests/iam/evaluate.mjs < it
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("iam-question.json");
    std::fs::write(kept, question.to_string()).unwrap();
    let answer = judge(&question);
    for role in ["plan", "apply", "drill"] {
        let verdict = &answer[role];
        let empty = |key: &str| {
            assert_eq!(
                list(&verdict[key]),
                Vec::<&Value>::new(),
                "{role}: {key}: {:#}",
                verdict[key]
            );
        };
        // The evaluator's list of actions, types and keys knows all of the policy.
        empty("invalid");
        // The translation of requests misses nothing that AWS asks for.
        empty("unknown");
        empty("incomplete");
        empty("denied");
        empty("allowed_dangers");
        // Each statement, taken out, is missed.
        empty("superfluous");
        assert!(verdict["checks"].as_u64().unwrap() > 20, "{verdict}");
        assert!(verdict["dangers"].as_u64().unwrap() > 5);
        // Each action is taken by a call that was recorded, or by one that is assumed, and the table
        // says why.
        let why = explained(role);
        for statement in list(&question["roles"][role]["policies"])
            .into_iter()
            .flat_map(|p| list(&p["Statement"]))
        {
            for action in list(&statement["Action"]) {
                let key = format!(
                    "{} {}",
                    statement["Sid"].as_str().unwrap(),
                    action.as_str().unwrap()
                );
                let recorded = verdict["recorded"].get(&key).is_some();
                let assumed = verdict["used"].get(&key).is_some();
                assert!(recorded || assumed, "{role}: no call needs {key}");
                assert!(
                    recorded || why.contains(&key),
                    "{role}: {key} is not recorded, and the table does not say why"
                );
            }
        }
        println!(
            "{role}: {} recorded requests, {} different checks, {} dangers refused, {} statements",
            question["roles"][role]["recorded"],
            verdict["checks"],
            verdict["dangers"],
            list(&verdict["needed"]).len()
        );
    }
}

/// What opsctl reads with a plan's permissions in reality is read-only: a policy without a part of the
/// profile does not allow that part.
#[test]
fn a_stage_without_a_control_gets_no_permission_for_it() {
    let dir = stage_3();
    let actions = |args: &[&str]| -> BTreeSet<String> {
        let ran = run(
            dir.path(),
            &[&["iam"], args, &["-e", "prod", "--inline"]].concat(),
        );
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let policy: Value = serde_json::from_str(&ran.stdout).unwrap();
        list(&policy["Statement"])
            .iter()
            .flat_map(|s| list(&s["Action"]))
            .map(|a| a.as_str().unwrap().to_owned())
            .collect()
    };
    let lifecycle = actions(&["apply", "--control", "lifecycle"]);
    assert!(lifecycle.contains("s3:PutLifecycleConfiguration"));
    for foreign in [
        "budgets:ModifyBudget",
        "tag:TagResources",
        "cloudwatch:PutMetricAlarm",
        "rds:ModifyDBInstance",
    ] {
        assert!(!lifecycle.contains(foreign), "{foreign}");
    }
    let tags = actions(&["plan", "--control", "tags"]);
    assert!(tags.contains("rds:DescribeDBInstances") && !tags.contains("budgets:ViewBudget"));
}

#[test]
fn too_large_a_policy_says_what_to_do() {
    let dir = stage_3();
    let ran = run(dir.path(), &["iam", "apply", "-e", "prod"]);
    assert_eq!(ran.code, 1);
    assert_eq!(ran.stdout, "");
    assert!(
        ran.stderr.contains("6144") && ran.stderr.contains("--out-dir"),
        "{}",
        ran.stderr
    );
}

#[test]
fn bad_input_is_told() {
    let dir = stage_3();
    for (args, told) in [
        (
            &["iam", "plan", "--trust", "github:acme"][..],
            "github:ORG/REPO",
        ),
        (
            &["iam", "apply", "-e", "prod", "--trust", "github:acme/infra"],
            ":ENVIRONMENT",
        ),
        (
            &["iam", "drill", "-e", "prod", "--trust", "github:acme/infra"],
            ":ENVIRONMENT",
        ),
        (&["iam", "all"], "possible values"),
        (&["iam", "plan", "-e", "nope"], "unknown environment"),
        (
            &["iam", "plan", "--explain", "--out-dir", "x"],
            "cannot be used with",
        ),
    ] {
        let ran = run(dir.path(), args);
        assert_eq!(ran.code, 1, "{args:?}");
        assert!(ran.stderr.contains(told), "{args:?}: {}", ran.stderr);
    }
    let plain = project(&[]);
    for args in [
        &["iam", "drill"][..],
        &["iam", "drill", "--out-dir", "written"],
        &["iam", "drill", "--explain"],
    ] {
        let ran = run(plain.path(), args);
        assert_eq!(ran.code, 1, "{args:?}");
        assert!(
            ran.stderr.contains("no drill is configured"),
            "{}",
            ran.stderr
        );
    }
    assert!(
        !plain.path().join("written").exists(),
        "what is refused leaves nothing behind"
    );
}

/// Without drills of its own an environment has a policy only where those of others need one.
#[test]
fn who_keeps_the_evidence_of_others_needs_a_policy_and_nobody_else_does() {
    const DRILLS: &str = "[backups]\n[backups.drill.orders]\nsource = \"rds:orders\"\n";
    let environment = |name: &str, account: &str, more: &str| {
        format!(
            "[environments.{name}]\naccount = \"{account}\"\nregions = [\"eu-west-1\"]\nstage = \"stage-3\"\n\
             monthly_budget_usd = 900\nnotify = [\"sns:ops\"]\n{more}"
        )
    };
    let with = |prod: &str| {
        let text = format!(
            "[project]\nname = \"shop\"\nteam = \"core\"\n{}{}{}[evidence]\nenvironment = \"staging\"\nbucket = \"shop-evidence\"\n",
            environment("dev", "111111111111", ""),
            environment("staging", "222222222222", ""),
            environment("prod", "123456789012", prod),
        );
        project(&[
            ("opsctl.toml", &text),
            ("policies/backups.toml", "[backups]\n"),
        ])
    };
    let own = DRILLS.replace("[backups", "[environments.prod.override.backups");
    let dir = with(&own);
    let keeps = run(dir.path(), &["iam", "drill", "-e", "staging"]);
    assert_eq!(keeps.code, 0, "{}", keeps.stderr);
    assert!(keeps.stdout.contains("shop-evidence"), "{}", keeps.stdout);
    assert!(
        keeps
            .stderr
            .contains("those of prod: it keeps their evidence"),
        "{}",
        keeps.stderr
    );
    let none = run(dir.path(), &["iam", "drill", "-e", "dev"]);
    assert_eq!(none.code, 1);
    assert!(
        none.stderr.contains("dev has no drills") && none.stderr.contains("drills in prod"),
        "{}",
        none.stderr
    );
    // Where there are no drills at all, nobody keeps their evidence.
    let dir = with("");
    let none = run(dir.path(), &["iam", "drill", "-e", "staging"]);
    assert_eq!(none.code, 1, "{}", none.stdout);
    assert!(
        none.stderr.contains("no drill is configured"),
        "{}",
        none.stderr
    );
}
