//! `--notify`: a real server on this machine takes the posts, moto's SNS hands on to a queue.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tempfile::TempDir;

use crate::emulator::moto;
use crate::support::{Ran, command, project, ran};

/// A receiver of posts; it answers with these statuses in turn, then with the last one.
struct Receiver {
    port: u16,
    taken: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Receiver {
    fn new(statuses: &'static [u16]) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&taken);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut reader = BufReader::new(stream.unwrap());
                let (mut line, mut length) = (String::new(), 0);
                reader.read_line(&mut line).unwrap();
                let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
                loop {
                    line.clear();
                    reader.read_line(&mut line).unwrap();
                    if line.trim().is_empty() {
                        break;
                    }
                    if let Some((name, value)) = line.split_once(':')
                        && name.eq_ignore_ascii_case("content-length")
                    {
                        length = value.trim().parse().unwrap();
                    }
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                let mut log = log.lock().unwrap();
                let status = statuses.get(log.len()).or(statuses.last()).unwrap();
                log.push((path.clone(), serde_json::from_slice(&body).unwrap()));
                // An answer that repeats the address, as proxies do.
                let text = format!("no such hook: {path}");
                let _ = write!(
                    reader.get_mut(),
                    "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
                    text.len()
                );
            }
        });
        Receiver { port, taken }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/services/T0/S3CR3T", self.port)
    }

    fn bodies(&self) -> Vec<Value> {
        self.taken
            .lock()
            .unwrap()
            .iter()
            .map(|(_, body)| body.clone())
            .collect()
    }
}

const WORKSPACE: &str = r#"
[project]
name = "shop"
team = "core"

[environments.prod]
account = "123456789012"
regions = ["eu-west-1"]
stage = "stage-1"
monthly_budget_usd = 50
notify = ["sns:ops"]

[evidence]
environment = "prod"
bucket = "shop-evidence"

[notify]
targets = ["sns:arn:aws:sns:eu-west-1:123456789012:ops", "slack"]
on = "change"
"#;

fn workspace() -> TempDir {
    project(&[("opsctl.toml", WORKSPACE)])
}

fn audit(emulator: &crate::emulator::Emulator, dir: &Path, hook: &Receiver, args: &[&str]) -> Ran {
    let all = [
        &["audit", "tags", "--fail-on", "low", "--format", "json"],
        args,
    ]
    .concat();
    let mut command = emulator.command(dir, &all);
    command.env("OPSCTL_SLACK_WEBHOOK", hook.url());
    ran(command.output().unwrap())
}

fn no_secret(ran: &Ran) {
    for text in [&ran.stdout, &ran.stderr] {
        assert!(!text.contains("S3CR3T"), "{text}");
    }
}

#[test]
fn a_topic_and_a_webhook_are_told_once_until_the_result_changes() {
    let emulator = moto();
    emulator.python(
        "seed.py",
        &[
            "--buckets",
            "4",
            "--databases",
            "2",
            "--queues",
            "2",
            "--tables",
            "0",
            "--functions",
            "0",
            "--alarms",
            "0",
            "--topics",
            "0",
            "--log-groups",
            "0",
            "--cache",
            "0",
        ],
    );
    emulator.python("objects.py", &["bucket", "shop-evidence"]);
    emulator.python("topic_queue.py", &["make", "ops"]);
    let hook = Receiver::new(&[200]);
    let dir = workspace();

    let first = audit(&emulator, dir.path(), &hook, &["--notify"]);
    assert_eq!(first.code, 2, "{}", first.stderr);
    assert!(
        first
            .stderr
            .contains("notified: sns:arn:aws:sns:eu-west-1:123456789012:ops, slack (127.0.0.1)"),
        "{}",
        first.stderr
    );
    no_secret(&first);
    let text = hook.bodies()[0]["text"].as_str().unwrap().to_owned();
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.starts_with("opsctl audit FAIL: prod"), "{text}");
    let heard = emulator.python("topic_queue.py", &["read", "ops"]);
    let messages: Vec<Value> = serde_json::from_str(&heard).unwrap();
    assert_eq!(messages.len(), 1, "{heard}");
    assert_eq!(
        messages[0]["Message"],
        text.replace("&gt;", ">")
            .replace("&lt;", "<")
            .replace("&amp;", "&")
    );
    assert!(
        messages[0]["Subject"]
            .as_str()
            .unwrap()
            .starts_with("opsctl audit FAIL")
    );

    // The same again, also on a machine that has nothing but the evidence bucket.
    for dir in [dir.path(), workspace().path()] {
        let again = audit(&emulator, dir, &hook, &["--notify"]);
        assert_eq!(again.code, 2);
        assert!(
            again
                .stderr
                .contains("nobody was notified: the result is the same"),
            "{}",
            again.stderr
        );
    }
    assert_eq!(hook.bodies().len(), 1);
    // Asked to tell in any case, it tells; another question has a result of its own.
    assert_eq!(
        audit(
            &emulator,
            dir.path(),
            &hook,
            &["--notify", "slack", "--notify-on", "always"]
        )
        .code,
        2
    );
    assert_eq!(hook.bodies().len(), 2);
    audit(
        &emulator,
        dir.path(),
        &hook,
        &["--notify", "slack", "--region", "eu-west-1"],
    );
    assert_eq!(hook.bodies().len(), 3);
    // What changed is told.
    emulator.python("objects.py", &["bucket", "shop-another"]);
    audit(&emulator, dir.path(), &hook, &["--notify", "slack"]);
    assert_eq!(hook.bodies().len(), 4);
}

#[test]
fn who_cannot_be_told_is_told_again_and_the_exit_code_says_so() {
    let emulator = moto();
    let hook = Receiver::new(&[500, 429, 503, 404]);
    let text = WORKSPACE.replace(
        "[evidence]\nenvironment = \"prod\"\nbucket = \"shop-evidence\"\n",
        "",
    );
    let dir = project(&[("opsctl.toml", &text)]);
    // Nothing to find in an empty account: alone it would be 0.
    let quiet = audit(&emulator, dir.path(), &hook, &[]);
    assert_eq!(quiet.code, 0, "{}{}", quiet.stdout, quiet.stderr);
    let failed = audit(&emulator, dir.path(), &hook, &["--notify", "slack"]);
    assert_eq!(failed.code, 1, "{}", failed.stderr);
    assert!(
        failed
            .stderr
            .contains("not notified: slack (127.0.0.1): HTTP 503")
            && failed.stderr.contains("3 tries"),
        "{}",
        failed.stderr
    );
    no_secret(&failed);
    assert_eq!(hook.bodies().len(), 3, "tried three times");
    // Not forgotten, and not tried again where trying is useless.
    let failed = audit(&emulator, dir.path(), &hook, &["--notify", "slack"]);
    assert!(failed.stderr.contains("HTTP 404"), "{}", failed.stderr);
    no_secret(&failed);
    assert_eq!(hook.bodies().len(), 4);
    // Only when something needs attention: nothing does.
    let quiet = audit(
        &emulator,
        dir.path(),
        &hook,
        &["--notify", "slack", "--notify-on", "attention"],
    );
    assert_eq!(quiet.code, 0);
    assert!(
        quiet.stderr.contains("nothing needs attention"),
        "{}",
        quiet.stderr
    );
    // A topic that is not there.
    let failed = audit(
        &emulator,
        dir.path(),
        &hook,
        &["--notify", "sns:arn:aws:sns:eu-west-1:123456789012:nope"],
    );
    assert_eq!(failed.code, 1);
    assert!(failed.stderr.contains("sns:Publish"), "{}", failed.stderr);
}

/// A second environment, whose account these credentials do not reach, has the topic.
const OTHER: &str = r#"
[environments.staging]
account = "999999999999"
regions = ["eu-west-1"]
stage = "stage-1"
monthly_budget_usd = 50
notify = ["sns:ops"]
"#;

fn without_evidence(more: &str) -> TempDir {
    let text = WORKSPACE.replace(
        "[evidence]\nenvironment = \"prod\"\nbucket = \"shop-evidence\"\n",
        more,
    );
    project(&[("opsctl.toml", &text)])
}

/// Each receiver has a memory of its own.
#[test]
fn who_was_told_is_left_alone_and_who_was_not_is_tried_again() {
    let emulator = moto();
    let hook = Receiver::new(&[200]);
    let dir = without_evidence(OTHER);
    let topic = "sns:arn:aws:sns:eu-west-1:999999999999:ops";
    let ask = [
        "-e",
        "prod",
        "--notify",
        topic,
        "--notify",
        "slack",
        "--notify-on",
        "change",
    ];
    for (run, told) in [(0, "notified: slack"), (1, "not notified again: slack")] {
        let failed = audit(&emulator, dir.path(), &hook, &ask);
        assert_eq!(failed.code, 1, "{run}: {}", failed.stderr);
        assert!(failed.stderr.contains(told), "{run}: {}", failed.stderr);
        assert!(
            failed
                .stderr
                .contains(&format!("not notified: {topic}: `staging` is account")),
            "{run}: {}",
            failed.stderr
        );
    }
    assert_eq!(
        hook.bodies().len(),
        1,
        "one broken target repeats nothing to the others"
    );
    // The name of what is kept tells nothing of the address.
    let kept = std::fs::read_dir(dir.path().join(".opsctl/notify")).unwrap();
    let names: Vec<String> = kept
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(names.len(), 1, "{names:?}");
    assert!(
        !names[0].contains("S3CR3T") && !names[0].contains("127"),
        "{names:?}"
    );
    // Alone it is still tried, and still fails.
    let alone = ["-e", "prod", "--notify", topic, "--notify-on", "change"];
    assert_eq!(audit(&emulator, dir.path(), &hook, &alone).code, 1);
}

/// Silence would look like an account that is in order.
#[test]
fn an_audit_and_a_drill_that_cannot_run_are_told() {
    let emulator = moto();
    let hook = Receiver::new(&[200]);
    let dir = without_evidence(OTHER);
    let url = hook.url();
    let on = |when: &'static str| ["-e", "staging", "--notify", "slack", "--notify-on", when];
    let failed = audit(&emulator, dir.path(), &hook, &on("attention"));
    assert_eq!(failed.code, 1, "{}", failed.stderr);
    assert!(failed.stdout.is_empty(), "{}", failed.stdout);
    let text = hook.bodies()[0]["text"].as_str().unwrap().to_owned();
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(
        text.starts_with("opsctl audit COULD NOT RUN: staging (tags)"),
        "{text}"
    );
    assert!(text.contains("nothing is known to be in order"), "{text}");
    assert!(text.contains("`staging` is account 999999999999"), "{text}");
    // Told once, until there is another result.
    audit(&emulator, dir.path(), &hook, &on("change"));
    assert_eq!(hook.bodies().len(), 1);
    // A page that cannot be written does not keep the result from those who wait for it.
    let lost = audit(
        &emulator,
        dir.path(),
        &hook,
        &["-e", "prod", "--notify", &url, "-o", "."],
    );
    assert_eq!(lost.code, 1, "{}", lost.stderr);
    assert_eq!(hook.bodies()[1]["outcome"], "pass");
    // A baseline that is not there: nothing was looked at, and that is told, as JSON too.
    let lost = audit(
        &emulator,
        dir.path(),
        &hook,
        &["-e", "prod", "--notify", &url, "--baseline", "nowhere.json"],
    );
    assert_eq!(lost.code, 1, "{}", lost.stderr);
    let body = hook.bodies()[2].clone();
    assert_eq!(
        (&body["outcome"], &body["attention"]),
        (&"error".into(), &true.into())
    );
    no_secret(&lost);
    // A run of drills that ends before the first of them.
    let drill = "\n[environments.staging.override.backups.drill.orders]\nsource = \"rds:orders\"\n";
    let other = OTHER.replace("stage-1", "stage-3");
    let dir = without_evidence(&format!("{other}{drill}"));
    let mut command = emulator.command(dir.path(), &["drill", "run", "--notify", &url]);
    let failed = ran(command
        .arg("--notify-on")
        .arg("attention")
        .output()
        .unwrap());
    assert_eq!(failed.code, 1, "{}", failed.stderr);
    let bodies = hook.bodies();
    assert_eq!(bodies.len(), 4, "{}", failed.stderr);
    assert_eq!(bodies[3]["what"], "drill");
    assert_eq!(bodies[3]["lines"][0], "opsctl drill COULD NOT RUN: orders");
}

#[test]
fn a_url_gets_the_result_as_json_and_the_sandbox_only_says_it() {
    let hook = Receiver::new(&[200]);
    let dir = TempDir::new().unwrap();
    let run = |args: &[&str], url: Option<&str>| {
        let mut command = command(dir.path());
        command.args(args);
        if let Some(url) = url {
            command.env("OPSCTL_NOTIFY_URL", url);
        }
        ran(command.output().unwrap())
    };
    let said = run(
        &[
            "audit",
            "tags",
            "--fail-on",
            "low",
            "--sandbox",
            "--notify",
            "slack,url",
        ],
        None,
    );
    assert_eq!(said.code, 2, "{}", said.stderr);
    assert!(
        said.stderr.contains(
            "would be sent to slack (hooks.slack.com), url (localhost):\nopsctl audit FAIL"
        ),
        "{}",
        said.stderr
    );
    let said = run(
        &["drill", "run", "orders", "--sandbox", "--notify=url"],
        Some(&hook.url()),
    );
    assert!(
        said.stderr.contains("opsctl drill PASS: 1 of 1 passed"),
        "{}",
        said.stderr
    );
    assert!(hook.bodies().is_empty(), "nothing leaves the sandbox");
    let emulator = moto();
    let text = WORKSPACE.replace(
        "[evidence]\nenvironment = \"prod\"\nbucket = \"shop-evidence\"\n",
        "",
    );
    let dir = project(&[("opsctl.toml", &text)]);
    let ran = audit(
        &emulator,
        dir.path(),
        &hook,
        &["--notify", &hook.url(), "--notify-on", "always"],
    );
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let body = &hook.bodies()[0];
    assert_eq!(body["kind"], "notification");
    assert_eq!(body["outcome"], "pass");
    assert_eq!(body["lines"].as_array().unwrap().len(), 3);
}

#[test]
fn mistakes_are_told_before_the_work_begins() {
    let dir = workspace();
    let run = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = command(dir.path());
        command
            .args(args)
            .args(["--endpoint-url", "http://127.0.0.1:9"]);
        command.envs(variables.iter().copied());
        ran(command.output().unwrap())
    };
    for (args, variables, told) in [
        (
            &["audit", "--notify", "slack"][..],
            &[][..],
            "OPSCTL_SLACK_WEBHOOK is not set",
        ),
        (
            &["audit", "--notify", "slack"],
            &[("OPSCTL_SLACK_WEBHOOK", "http://hooks.example/S3CR3T")],
            "https://",
        ),
        (
            &["audit", "--notify", "url"],
            &[("OPSCTL_NOTIFY_URL", "S3CR3T")],
            "https://",
        ),
        (
            &[
                "audit",
                "--notify",
                "sns:arn:aws:sns:eu-west-1:999999999999:x",
            ],
            &[],
            "no environment has the account",
        ),
        (
            &["audit", "--notify", "tags"],
            &[],
            "names of audits stand before",
        ),
        (
            &["audit", "--notify", "hooks.slack.com/services/S3CR3T"],
            &[],
            "a target is",
        ),
        (
            &["audit"],
            &[("OPSCTL_NOTIFY", "hooks.slack.com/services/S3CR3T")],
            "a target is",
        ),
        (
            &["audit", "--notify", "https://hooks.example/x?ids=1,S3CR3T"],
            &[],
            "%2C for a comma",
        ),
        (
            &["audit", "--notify-on", "change"],
            &[],
            "nobody is to be told",
        ),
    ] {
        let ran = run(args, variables);
        assert_eq!(ran.code, 1, "{args:?}");
        assert!(ran.stderr.contains(told), "{args:?}: {}", ran.stderr);
        no_secret(&ran);
    }
    // The help shows the variable, not what is in it.
    let help = run(
        &["audit", "--help"],
        &[("OPSCTL_NOTIFY", "https://hooks.example/S3CR3T")],
    );
    assert!(help.stdout.contains("OPSCTL_NOTIFY"), "{}", help.stdout);
    no_secret(&help);
    let text = WORKSPACE.replace("\"slack\"]", "\"https://hooks.slack.com/services/x\"]");
    let dir = project(&[("opsctl.toml", &text)]);
    let ran = crate::support::opsctl(dir.path(), &["validate"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.contains("is not a target of [notify]"),
        "{}",
        ran.stderr
    );
}
