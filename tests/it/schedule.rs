//! `opsctl schedule`: every file is read by its scheduler's own checker, cadences are walked through
//! by a cron of somebody else, and the commands are run.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Ran, binary, json, opsctl, project, ran};

const WORKSPACE: &str = r#"
[project]
name = "Shop & Söhne"
team = "core"

[environments.prod]
account = "123456789012"
regions = ["eu-west-1"]
stage = "stage-4"
monthly_budget_usd = 5000
profile = "shop prod"

[environments."Staging EU"]
account = "123456789013"
regions = ["eu-central-1"]
stage = "stage-1"
monthly_budget_usd = 50

[environments.prod.override.backups.drill.orders]
source = "rds:orders-prod"
limits = { timeout = "2h" }
[[environments.prod.override.backups.drill.orders.check]]
sql = "select count(*) from orders"
expect = "> 0"

[environments.prod.override.backups.drill.users]
source = "s3-dump:dumps/users/"
[[environments.prod.override.backups.drill.users.check]]
sql = "select count(*) from users"
expect = "> 0"

[environments."Staging EU".override.backups]
drill_every = "@EVERY@"
[environments."Staging EU".override.backups.drill.orders]
source = "rds:orders"
limits = { timeout = "1h" }
[[environments."Staging EU".override.backups.drill.orders.check]]
sql = "select count(*) from orders"
expect = "> 0"

[evidence]
environment = "prod"
bucket = "shop-evidence"
"#;

fn shop(every: &str) -> TempDir {
    project(&[
        ("opsctl.toml", &WORKSPACE.replace("@EVERY@", every)),
        // The names are no tag values, on purpose.
        ("policies/tags.toml", "[tags]\n"),
    ])
}

fn python() -> PathBuf {
    std::env::var_os("OPSCTL_SCHEDULERS_PYTHON")
        .unwrap_or_else(|| {
            panic!("OPSCTL_SCHEDULERS_PYTHON is not set: run the tests with tests/run")
        })
        .into()
}

fn check(arguments: &[&str]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schedulers/check.py");
    let done = Command::new(python())
        .arg(script)
        .args(arguments)
        .output()
        .expect("the checker runs");
    passed(&done, &arguments.join(" "))
}

fn passed(done: &Output, what: &str) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        done.status.success(),
        "{what}\n{}{}",
        text(&done.stdout),
        text(&done.stderr)
    );
    text(&done.stdout)
}

fn scheduled(dir: &Path, arguments: &[&str]) -> Ran {
    let mut all = vec!["schedule"];
    all.extend(arguments);
    let ran = opsctl(dir, &all);
    assert_eq!(ran.code, 0, "{arguments:?}\n{}", ran.stderr);
    ran
}

/// Writes the files of a scheduler to a folder.
fn files(dir: &Path, arguments: &[&str]) -> (TempDir, Vec<PathBuf>) {
    let out = TempDir::new().expect("a folder");
    let mut all = arguments.to_vec();
    let path = out.path().display().to_string();
    all.extend(["--out-dir", &path]);
    let ran = scheduled(dir, &all);
    let files = ran
        .stdout
        .lines()
        .filter_map(|l| l.strip_prefix("wrote  "))
        .map(PathBuf::from)
        .collect();
    (out, files)
}

const ROLES: [&str; 4] = [
    "--role-arn",
    "prod=arn:aws:iam::123456789012:role/opsctl",
    "--role-arn",
    "Staging EU=arn:aws:iam::123456789013:role/opsctl",
];

#[test]
fn workflows_pass_the_schema_and_actionlint() {
    let dir = shop("90d");
    for more in [
        &[][..],
        &[
            "--image",
            "registry.example/opsctl:1",
            "--runner",
            "self-hosted",
            "--tolerate-findings",
        ],
        &[
            "--install",
            "curl -fsSL https://x.example/opsctl > opsctl\nchmod +x opsctl",
            "--at",
            "23:55",
        ],
        &["--job", "audit"],
        &["--job", "drill", "-e", "prod"],
        &ROLES,
    ] {
        let (_out, files) = files(dir.path(), &[&["github"], more].concat());
        check(&["github", files[0].to_str().expect("a path")]);
    }
}

#[test]
fn gitlab_files_pass_the_schema_and_their_shell_parses() {
    let dir = shop("90d");
    for more in [
        &[][..],
        &[
            "--image",
            "registry.example/opsctl:1",
            "--runner",
            "docker",
            "--tolerate-findings",
        ],
        &["--install", "cp /opt/opsctl .\nexport PATH=$PWD:$PATH"],
        &ROLES,
    ] {
        let (_out, files) = files(dir.path(), &[&["gitlab"], more].concat());
        check(&["gitlab", files[0].to_str().expect("a path")]);
    }
}

#[test]
fn cron_jobs_of_kubernetes_pass_its_schema() {
    let dir = shop("90d");
    for more in [
        &[][..],
        &["--namespace", "ops", "--service-account", "opsctl"],
        &["--job", "audit"],
    ] {
        let base: &[&str] = &["kubernetes", "--image", "registry.example/opsctl:1"];
        let (_out, files) = files(dir.path(), &[base, &ROLES, more].concat());
        check(&["kubernetes", files[0].to_str().expect("a path")]);
    }
    // A profile is nothing that a pod has, and exit codes nothing that it can forgive.
    let refused = opsctl(dir.path(), &["schedule", "kubernetes", "--image", "x:1"]);
    assert_eq!(refused.code, 1);
    assert!(
        refused.stderr.contains("--role-arn prod="),
        "{}",
        refused.stderr
    );
    let refused = opsctl(
        dir.path(),
        &[
            &[
                "schedule",
                "kubernetes",
                "--image",
                "x:1",
                "--tolerate-findings",
            ],
            &ROLES[..],
        ]
        .concat(),
    );
    assert_eq!(refused.code, 1);
}

/// The names of the folder and of the environment are hard to quote.
#[cfg(target_os = "linux")]
#[test]
fn units_pass_systemd_analyze() {
    let dir = shop("90d");
    let hard = dir.path().join("a b 50%d 'q' $HOME");
    std::fs::create_dir(&hard).expect("a folder");
    for name in ["opsctl.toml", "stacks", "policies"] {
        std::fs::rename(dir.path().join(name), hard.join(name)).expect("moved");
    }
    let program = dir.path().join("a b 50%d $HOME").join("opsctl");
    std::fs::create_dir(program.parent().expect("a parent")).expect("a folder");
    std::fs::copy(binary(), &program).expect("a binary");
    let (out, files) = files(
        &hard,
        &[
            "systemd",
            "--binary",
            program.to_str().expect("a path"),
            "--user",
            "root",
            "--on-failure",
            "multi-user.target",
        ],
    );
    assert_eq!(files.len(), 8);
    let done = Command::new("systemd-analyze")
        .arg("verify")
        .args(&files)
        .env("SYSTEMD_UNIT_PATH", format!("{}:", out.path().display()))
        .output()
        .expect("systemd-analyze runs: it comes with systemd");
    passed(&done, "systemd-analyze verify");
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(!said.contains("opsctl-"), "{said}");
    for file in files
        .iter()
        .filter(|f| f.extension().is_some_and(|e| e == "timer"))
    {
        let text = std::fs::read_to_string(file).expect("a timer");
        let when = text
            .lines()
            .find_map(|l| l.strip_prefix("OnCalendar="))
            .expect("OnCalendar");
        let done = Command::new("systemd-analyze")
            .args(["calendar", "--iterations=400", when])
            .output()
            .expect("systemd-analyze runs");
        passed(&done, when);
    }
    // systemd itself has no way to write a quote in the path of a program.
    let quote = hard.join("opsctl");
    let refused = opsctl(
        &hard,
        &[
            "schedule",
            "systemd",
            "--binary",
            quote.to_str().expect("a path"),
        ],
    );
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("quote"), "{}", refused.stderr);
    let service = std::fs::read_to_string(&files[0]).expect("a service");
    assert!(!service.contains("SuccessExitStatus="), "{service}");
    let asked = scheduled(&hard, &["systemd", "--tolerate-findings"]).stdout;
    assert!(asked.contains("\nSuccessExitStatus=2\n"));
}

/// For any `drill_every`, by the arithmetic of another cron: with one run missed, the time from a
/// drill that passed at once to one that took its longest is within it.
#[test]
fn no_drill_is_ever_overdue_even_if_a_run_fails() {
    for (every, spare) in [
        ("365d", true),
        ("184d", true),
        ("120d", true),
        ("90d", true),
        ("63d", true),
        ("45d", true),
        ("31d", true),
        ("30d", true),
        ("14d", true),
        ("7d", true),
        ("3d", true),
        ("48h", true),
        ("24h", true),
        ("12h", true),
        ("8h", false),
    ] {
        let dir = shop(every);
        let document = json(&scheduled(
            dir.path(),
            &[
                "cron",
                "--job",
                "drill",
                "-e",
                "Staging EU",
                "--format",
                "json",
            ],
        ));
        let job = &document["jobs"][0];
        let cron = job["cron"].as_str().expect("a cron");
        let gap: u64 = check(&["gaps", cron, "9"]).trim().parse().expect("seconds");
        assert_eq!(job["longest_gap_seconds"], gap, "{every}: {cron}");
        let longest = job["longest_seconds"].as_u64().expect("seconds");
        assert_eq!(longest, 3600 + 50 * 60);
        let limit = humantime::parse_duration(every)
            .expect("a period")
            .as_secs();
        let gaps = if spare { 2 } else { 1 };
        assert!(gap * gaps + longest + 900 <= limit, "{every}: {cron}");
        assert_eq!(
            document["notes"].to_string().contains("no room"),
            !spare,
            "{every}"
        );
    }
    let refused = opsctl(shop("2h").path(), &["schedule", "cron"]);
    assert_eq!(refused.code, 1);
    assert!(
        refused.stderr.contains("Staging EU: drill_every is 2 h"),
        "{}",
        refused.stderr
    );
}

/// A crontab is accepted by cron itself, and its commands do as they say: silent when all is well,
/// and with the output and the exit code when not.
#[test]
fn cron_accepts_the_crontab_and_its_commands_mail_only_what_matters() {
    let dir = shop("90d");
    let hard = dir.path().join("50% of 'it'");
    std::fs::create_dir(&hard).expect("a folder");
    for name in ["opsctl.toml", "stacks", "policies"] {
        std::fs::rename(dir.path().join(name), hard.join(name)).expect("moved");
    }
    let stub = hard.join("stub");
    std::fs::write(
        &stub,
        "#!/bin/sh\necho \"ran $* in $PWD as $OPSCTL_SCHEDULE\" | tee ran\nexit $(cat code)\n",
    )
    .expect("a stub");
    std::fs::set_permissions(&stub, std::fs::Permissions::from_mode(0o755)).expect("executable");
    let stub = stub.to_str().expect("a path");
    let (_out, files) = files(&hard, &["cron", "--binary", stub]);
    if cfg!(target_os = "linux") {
        let done = Command::new("crontab")
            .arg("-n")
            .arg(&files[0])
            .output()
            .expect("crontab runs: it comes with cron");
        passed(&done, "crontab -n");
    }
    let command = |text: &str, id: &str| {
        let line = text
            .lines()
            .find(|l| !l.starts_with('#') && l.contains(id))
            .expect("a job");
        let command = line.splitn(6, ' ').nth(5).expect("a command");
        // What cron does with it: a bare % would end it.
        assert!(!command.replace("\\%", "").contains('%'));
        command.replace("\\%", "%")
    };
    let run = |command: &str, code: &str| {
        std::fs::write(hard.join("code"), code).expect("a code");
        let _ = std::fs::remove_file(hard.join("ran"));
        ran(Command::new("sh")
            .args(["-c", command])
            .current_dir("/")
            .stdin(Stdio::null())
            .output()
            .expect("sh runs"))
    };
    let text = std::fs::read_to_string(&files[0]).expect("a crontab");
    let drill = command(&text, "drill-staging-eu.lock");
    let fine = run(&drill, "0");
    assert_eq!(
        (fine.code, fine.stdout.as_str()),
        (0, ""),
        "{}",
        fine.stderr
    );
    let ran = std::fs::read_to_string(hard.join("ran")).expect("it ran");
    assert!(
        ran.starts_with("ran drill run --env=Staging EU in "),
        "{ran}"
    );
    assert!(ran.trim_end().ends_with("as cron"), "{ran}");
    let failed = run(&drill, "2");
    assert!(
        failed
            .stdout
            .contains("drill-staging-eu: exit 2\nran drill"),
        "{}",
        failed.stdout
    );
    // Asked not to, it keeps findings to itself, but not that it could not run.
    let tolerant = scheduled(&hard, &["cron", "--binary", stub, "--tolerate-findings"]).stdout;
    let tolerant = command(&tolerant, "audit.lock");
    assert_eq!(run(&tolerant, "2").stdout, "");
    assert!(run(&tolerant, "3").stdout.contains("audit: exit 3"));
    // A run that has not ended keeps the next one out.
    let other = std::fs::File::create(hard.join(".opsctl").join(lock_of(&drill))).expect("a file");
    other.lock().expect("the lock is free");
    let kept_out = run(&drill, "0");
    assert!(kept_out.stdout.contains("exit 75"), "{}", kept_out.stdout);
    drop(other);
    assert!(!hard.join("ran").exists());
}

fn lock_of(command: &str) -> String {
    let from = command.find(".opsctl/").expect("a lock") + ".opsctl/".len();
    let lock = &command[from..];
    lock[..lock.find(".lock").expect("a lock") + 5].to_owned()
}

#[test]
fn files_that_differ_are_not_overwritten_unless_told_to() {
    let dir = shop("90d");
    let folder = dir.path().join("out");
    let folder = folder.to_str().expect("a path");
    scheduled(dir.path(), &["systemd", "--out-dir", folder]);
    scheduled(dir.path(), &["systemd", "--out-dir", folder]);
    let audit = std::fs::read_dir(folder)
        .expect("files")
        .map(|e| e.expect("a file").path())
        .find(|p| p.to_string_lossy().ends_with("audit.timer"))
        .expect("a timer");
    std::fs::write(&audit, "mine").expect("written");
    let refused = opsctl(
        dir.path(),
        &["schedule", "systemd", "--at", "01:00", "--out-dir", folder],
    );
    assert_eq!(refused.code, 1);
    assert!(
        refused.stderr.contains("nothing was written"),
        "{}",
        refused.stderr
    );
    assert_eq!(std::fs::read_to_string(&audit).expect("read"), "mine");
    scheduled(
        dir.path(),
        &["systemd", "--at", "01:00", "--out-dir", folder, "--force"],
    );
    assert!(
        std::fs::read_to_string(&audit)
            .expect("read")
            .contains("*-*-* 01:00:00 UTC")
    );
}

#[test]
fn what_is_asked_for_is_what_is_written() {
    let dir = shop("90d");
    let jobs = |arguments: &[&str]| -> Vec<Value> {
        let mut all = vec!["cron", "--format", "json"];
        all.extend(arguments);
        json(&scheduled(dir.path(), &all))["jobs"]
            .as_array()
            .expect("jobs")
            .clone()
    };
    let ids = |jobs: &[Value]| -> Vec<String> {
        jobs.iter()
            .map(|j| j["id"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    assert_eq!(
        ids(&jobs(&[])),
        ["drill-staging-eu", "drill-prod", "status", "audit"]
    );
    assert_eq!(ids(&jobs(&["--job", "audit"])), ["audit"]);
    assert_eq!(
        ids(&jobs(&["--job", "drill", "-e", "prod"])),
        ["drill-prod", "status"]
    );
    let exact = jobs(&["--job", "audit", "--at", "04:05", "--jitter", "0s"]);
    assert_eq!(exact[0]["cron"], "5 4 * * *");
    let more = jobs(&["--job", "audit", "--", "--fail-on", "high"]);
    let arguments = more[0]["arguments"].to_string();
    assert!(arguments.ends_with(r#""--fail-on","high"]"#), "{arguments}");
    // The same project always gets the same minute.
    assert_eq!(jobs(&[]), jobs(&[]));
    for (bad, says) in [
        (&["schedule", "cron", "--at", "24:00"][..], "03:30"),
        (
            &["schedule", "cron", "--", "--fail-on", "high"],
            "say which",
        ),
        (
            &["schedule", "github", "--role-arn", "nonsense"],
            "not the ARN of a role",
        ),
        (
            &[
                "schedule",
                "github",
                "--role-arn",
                "x=arn:aws:iam::1:role/a",
            ],
            "unknown environment",
        ),
        (&["schedule", "systemd", "-o", "x"], "--out-dir"),
        (&["schedule", "cron", "--format", "markdown"], "markdown"),
        (&["schedule", "cron", "--user", "a b"], "one word"),
        (&["schedule", "cron", "--name", "Nope Nope"], "lower-case"),
    ] {
        let refused = opsctl(dir.path(), bad);
        assert_eq!(refused.code, 1, "{bad:?}");
        assert!(refused.stderr.contains(says), "{bad:?}: {}", refused.stderr);
    }
    let none = project(&[]);
    let refused = opsctl(none.path(), &["schedule", "cron", "--job", "drill"]);
    assert_eq!(refused.code, 1);
    assert!(
        refused.stderr.contains("no drill is configured"),
        "{}",
        refused.stderr
    );
    assert_eq!(opsctl(none.path(), &["schedule", "cron"]).code, 0);
    let played = opsctl(none.path(), &["schedule", "cron", "--sandbox"]);
    assert!(
        played.stdout.contains("--sandbox=findash"),
        "{}",
        played.stdout
    );
}

/// No key, token or password of the environment ends up in a file.
#[test]
fn secrets_of_the_environment_are_not_written() {
    let dir = shop("90d");
    for kind in ["cron", "systemd", "github", "gitlab"] {
        let done = crate::support::command(dir.path())
            .args(["schedule", kind])
            .env("AWS_SECRET_ACCESS_KEY", "hush-hush")
            .env("AWS_SESSION_TOKEN", "hush-hush")
            .env("PGPASSWORD", "hush-hush")
            .output()
            .expect("opsctl runs");
        assert!(!passed(&done, kind).contains("hush"));
    }
}
