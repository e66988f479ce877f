//! Emulators of AWS as real endpoints: started, seeded and stopped by the tests.
//!
//! `tests/run` installs them and says where they are; without that a test fails, it does not skip.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::{self, Ran};

pub const ACCOUNT: &str = "123456789012";

/// A running emulator; it ends with the value.
pub struct Emulator {
    child: Child,
    port: u16,
    pub folder: TempDir,
    controls: Option<&'static str>,
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn tool(variable: &str) -> PathBuf {
    std::env::var_os(variable)
        .unwrap_or_else(|| panic!("{variable} is not set: run the tests with tests/run"))
        .into()
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/emulators")
        .join(name)
}

/// A port that no other test of this process is given, below those that the kernel hands out: nobody
/// takes it before a slow program binds it.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let block = u16::try_from(std::process::id() % 12).unwrap_or_default();
    for _ in 0..1000 {
        let port = 20_000 + block * 1000 + NEXT.fetch_add(1, Ordering::SeqCst) % 1000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free");
}

fn start(build: impl Fn(u16, &Path) -> Command, patience: Duration) -> Emulator {
    // Somebody else may take the port before the emulator does.
    (0..5)
        .find_map(|_| try_start(&build, patience))
        .expect("the emulator did not start")
}

/// `None` if the emulator ended at once, with its log on stderr.
fn try_start(build: impl Fn(u16, &Path) -> Command, patience: Duration) -> Option<Emulator> {
    let folder = TempDir::new().expect("a temporary folder");
    let port = free_port();
    let log = std::fs::File::create(folder.path().join("emulator.log")).expect("a log");
    let child = build(port, folder.path())
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a log"))
        .stderr(log)
        .spawn()
        .expect("the emulator starts");
    let mut emulator = Emulator {
        controls: None,
        child,
        port,
        folder,
    };
    let started = Instant::now();
    loop {
        let answers = TcpStream::connect(("127.0.0.1", port)).is_ok();
        let log = || {
            let log = emulator.folder.path().join("emulator.log");
            std::fs::read_to_string(log).unwrap_or_default()
        };
        let said = log();
        if let Some(status) = emulator.child.try_wait().expect("its state") {
            eprintln!("the emulator ended: {status}\n{said}");
            return None;
        }
        if answers {
            return Some(emulator);
        }
        assert!(
            started.elapsed() < patience,
            "the emulator did not start:\n{said}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A Python script of `tests/emulators` that needs no emulator; its standard output.
pub fn python(name: &str, args: &[&str]) -> String {
    let output = Command::new(tool("OPSCTL_MOTO_PYTHON"))
        .arg(script(name))
        .args(args)
        .output()
        .expect("python runs");
    let ran = support::ran(output);
    assert!(ran.stderr.is_empty(), "{name}: {}", ran.stderr);
    ran.stdout
}

/// moto with its lies repaired; every request is recorded and checked against AWS's API models.
pub fn moto() -> Emulator {
    let python = tool("OPSCTL_MOTO_PYTHON");
    start(
        |port, folder| {
            let mut command = Command::new(&python);
            command
                .arg(script("moto_aws.py"))
                .arg(port.to_string())
                .arg("--record")
                .arg(folder.join("requests.jsonl"));
            command
        },
        Duration::from_secs(180),
    )
}

pub fn ministack() -> Emulator {
    let binary = tool("OPSCTL_MINISTACK");
    start(
        |port, folder| {
            let mut command = Command::new(&binary);
            command
                .env("GATEWAY_PORT", port.to_string())
                .env("BIND_HOST", "127.0.0.1")
                .current_dir(folder);
            command
        },
        Duration::from_secs(180),
    )
}

/// Only where a Python of 3.12 or newer is on the machine: localstack-core needs one.
pub fn localstack() -> Option<Emulator> {
    let python: PathBuf = std::env::var_os("OPSCTL_LOCALSTACK_PYTHON")?.into();
    Some(start(
        |port, folder| {
            let mut command = Command::new(&python);
            command
                .args(["-m", "localstack.runtime.main"])
                .env("GATEWAY_LISTEN", format!("127.0.0.1:{port}"))
                .env("DNS_ADDRESS", "0")
                .env("LOCALSTACK_VOLUME_DIR", folder)
                .current_dir(folder);
            command
        },
        Duration::from_secs(240),
    ))
}

impl Emulator {
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A Python script of `tests/emulators` against this emulator; its standard output.
    pub fn python(&self, name: &str, args: &[&str]) -> String {
        let output = Command::new(tool("OPSCTL_MOTO_PYTHON"))
            .arg(script(name))
            .args(["--endpoint", &self.url()])
            .args(args)
            .env("AWS_ACCESS_KEY_ID", ACCOUNT)
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .output()
            .expect("python runs");
        let ran = support::ran(output);
        assert_eq!(ran.code, 0, "{name}: {}\n{}", ran.stdout, ran.stderr);
        ran.stdout
    }

    /// The state of the account as another client sees it, kept in a file.
    pub fn snapshot(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, self.python("snapshot.py", &[])).expect("a snapshot");
        path
    }

    /// Everything that was not planned is as before, everything that was is there.
    pub fn only_as_planned(&self, before: &Path, document: &str) {
        let after = self.snapshot("after.json");
        let plan = self.folder.path().join("document.json");
        std::fs::write(&plan, document).expect("the plan in a file");
        let output = Command::new(tool("OPSCTL_MOTO_PYTHON"))
            .arg(script("compare.py"))
            .args([before, &after, &plan])
            .output()
            .expect("python runs");
        let ran = support::ran(output);
        assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    }

    /// The binary against this emulator.
    pub fn opsctl(&self, dir: &Path, args: &[&str]) -> Ran {
        support::ran(self.command(dir, args).output().expect("opsctl runs"))
    }

    pub fn command(&self, dir: &Path, args: &[&str]) -> Command {
        let mut command = support::command(dir);
        command
            .args(args)
            .args(["--endpoint-url", &self.url()])
            .env("AWS_ACCESS_KEY_ID", ACCOUNT)
            .env("AWS_SECRET_ACCESS_KEY", "test");
        if let Some(controls) = self.controls {
            command.env("OPSCTL_CONTROL", controls);
        }
        command
    }

    /// Asked only for these controls: the others have tests of their own.
    pub fn only(mut self, controls: &'static str) -> Emulator {
        self.controls = Some(controls);
        self
    }

    /// Arms faults; see `tests/emulators/README.md`.
    pub fn faults(&self, faults: &serde_json::Value) {
        self.control("POST", "/_opsctl/faults", &faults.to_string());
    }

    /// What only AWS or people can do to budgets and the like; see `tests/emulators/money.py`.
    pub fn money(&self, what: &serde_json::Value) {
        self.control("POST", "/_opsctl/money", &what.to_string());
    }

    /// Restore jobs of AWS Backup; see `tests/emulators/restore_testing.py`.
    pub fn restore_tests(&self, what: &serde_json::Value) {
        self.control("POST", "/_opsctl/restore-tests", &what.to_string());
    }

    /// The restore jobs as they stand.
    pub fn restore_tests_now(&self) -> serde_json::Value {
        let answer = self.control("GET", "/_opsctl/restore-tests", "");
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        serde_json::from_str(body).expect("a list of jobs")
    }

    /// How tables behave; see `tests/emulators/tables.py`.
    pub fn tables(&self, settings: &serde_json::Value) {
        self.control("POST", "/_opsctl/tables", &settings.to_string());
    }

    /// How databases behave; see `tests/emulators/databases.py`.
    pub fn rds(&self, settings: &serde_json::Value) {
        let answer = self.control("POST", "/_opsctl/rds", &settings.to_string());
        assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    }

    pub fn no_faults(&self) {
        self.control("DELETE", "/_opsctl/faults", "");
    }

    /// The faults that nothing has met yet.
    pub fn faults_left(&self) -> serde_json::Value {
        let answer = self.control("GET", "/_opsctl/faults", "");
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        serde_json::from_str(body).expect("a list of faults")
    }

    /// What moto answers to the next questions about costs, in this order.
    pub fn cost_results(&self, results: &[serde_json::Value]) {
        let body = serde_json::json!({ "results": results }).to_string();
        self.control("POST", "/moto-api/static/ce/cost-and-usage-results", &body);
    }

    /// Puts an object into a bucket, which is made.
    pub fn object(&self, bucket: &str, key: &str, bytes: &[u8]) {
        let path = self.folder.path().join("object");
        std::fs::write(&path, bytes).expect("a file");
        let path = path.display().to_string();
        self.python("put_object.py", &[bucket, key, &path]);
    }

    fn control(&self, method: &str, path: &str, body: &str) -> String {
        use std::io::{Read, Write};
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("a connection");
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 2"), "{answer}");
        answer
    }

    /// What of all that was sent AWS would refuse by its own API models.
    pub fn violations(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join("requests.jsonl"))
            .expect("recorded requests");
        assert!(text.lines().count() > 0, "nothing was recorded");
        text.lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a JSON line"))
            .filter(|r| r["violations"].as_array().is_some_and(|v| !v.is_empty()))
            .map(|r| r.to_string())
            .collect()
    }
}
