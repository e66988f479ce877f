//! Restore drills of RDS and Aurora: moto plays the account, the SQL goes to a real PostgreSQL.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use opsctl::drill::folder::{Folder, RunAs};
use opsctl::drill::probe::{self, Address, Connection};
use opsctl::drill::scratch::{Scratch, Secret};
use opsctl::drill::tools::{INSTALL, Tools};

use crate::emulator::{Emulator, moto};
use crate::support::{self, Ran, project};

/// Between two looks, in tests.
const POLL: &str = "50ms";

/// A real PostgreSQL behind a port of this machine, with the rows that the checks expect.
pub struct Server {
    runtime: tokio::runtime::Runtime,
    scratch: Option<Scratch>,
    folder: Option<Folder>,
    _place: TempDir,
    pub port: u16,
    /// With the password that is good now.
    connection: Arc<Mutex<Connection>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(scratch) = self.scratch.take() {
            self.runtime.block_on(scratch.stop());
        }
        if let Some(folder) = self.folder.take() {
            let _ = folder.remove();
        }
    }
}

impl Server {
    pub fn start() -> Server {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let tools = Tools::find(true)
            .into_iter()
            .next()
            .unwrap_or_else(|| panic!("these tests need a real PostgreSQL: {INSTALL}"));
        let place = tempfile::Builder::new()
            .prefix("it")
            .tempdir_in("/tmp")
            .unwrap();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(place.path(), open).unwrap();
        let folder = Folder::create(
            &place.path().join("opsctl-drill-rds"),
            "rds",
            RunAs::choose().unwrap(),
        )
        .unwrap();
        let scratch = runtime.block_on(async {
            let scratch = Scratch::start(&folder, &tools, "postgres").await.unwrap();
            probe::create_database(&scratch.connection, "shop").await.unwrap();
            let rows = "CREATE TABLE orders (id int, created_at timestamptz);
                 INSERT INTO orders SELECT i, now() - i * interval '1 minute' FROM generate_series(1, 1000) i";
            probe::fill(&scratch.connection.on("shop"), rows).await.unwrap();
            scratch
        });
        let Address::Socket(sockets) = &scratch.connection.address else {
            panic!("a scratch PostgreSQL has a socket");
        };
        let port = forward(sockets.join(format!(".s.PGSQL.{}", scratch.connection.port)));
        Server {
            runtime,
            connection: Arc::new(Mutex::new(scratch.connection.clone())),
            scratch: Some(scratch),
            folder: Some(folder),
            _place: place,
            port,
        }
    }

    pub fn password(&self) -> String {
        let connection = self.connection.lock().unwrap();
        connection.password.as_ref().unwrap().reveal().to_owned()
    }

    /// From now on it says that it was started so long ago.
    pub fn seems_up_for(&self, hours: u32) {
        let text = format!(
            "CREATE OR REPLACE FUNCTION public.pg_postmaster_start_time() RETURNS timestamptz
                 LANGUAGE sql AS $$ select now() - interval '{hours} hours' $$;
             ALTER DATABASE shop SET search_path = public, pg_catalog;"
        );
        let connection = self.connection.lock().unwrap().on("shop");
        self.runtime
            .block_on(probe::fill(&connection, &text))
            .unwrap();
    }

    /// Does what RDS would: takes over every master password that a drill sets. Gives those that came.
    pub fn follow(
        &self,
        requests: PathBuf,
    ) -> (Arc<AtomicBool>, std::thread::JoinHandle<Vec<String>>) {
        let stop = Arc::new(AtomicBool::new(false));
        let (flag, connection) = (Arc::clone(&stop), Arc::clone(&self.connection));
        let handle = self.runtime.handle().clone();
        let thread = std::thread::spawn(move || {
            let mut seen: Vec<String> = Vec::new();
            let mut at = 0;
            while !flag.load(Ordering::SeqCst) {
                let text = std::fs::read_to_string(&requests).unwrap_or_default();
                let whole = text.rfind('\n').map_or(0, |end| end + 1);
                let new = text.get(at..whole).unwrap_or_default().to_owned();
                at = whole;
                for line in new.lines() {
                    let Ok(line) = serde_json::from_str::<Value>(line) else {
                        continue;
                    };
                    let Some(password) = line["params"]["MasterUserPassword"].as_str() else {
                        continue;
                    };
                    let modifies = line["operation"]
                        .as_str()
                        .is_some_and(|o| o.starts_with("Modify"));
                    if !modifies || seen.iter().any(|p| p == password) {
                        continue;
                    }
                    let now = connection.lock().unwrap().clone();
                    let alter = format!("ALTER USER postgres PASSWORD '{password}'");
                    handle.block_on(probe::fill(&now, &alter)).unwrap();
                    connection.lock().unwrap().password = Some(Secret::new(password.to_owned()));
                    seen.push(password.to_owned());
                }
                std::thread::sleep(Duration::from_millis(30));
            }
            seen
        });
        (stop, thread)
    }
}

/// A port that leads to a socket.
fn forward(socket: PathBuf) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = UnixStream::connect(&socket) else {
                continue;
            };
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            let (mut back, mut out) = (server, client);
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Both);
            });
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut back, &mut out);
                let _ = out.shutdown(Shutdown::Both);
            });
        }
    });
    port
}

/// An account, a project with drills, and what both looked like before.
pub struct Stage {
    pub moto: Emulator,
    pub dir: TempDir,
    pub before: Value,
    password: String,
}

/// A drill with one check of the real database.
pub fn drill(name: &str, source: &str, connect: &str) -> String {
    format!(
        "[backups.drill.{name}]\nsource = \"{source}\"\n{connect}\n\
         [[backups.drill.{name}.check]]\nsql = \"select count(*) from orders\"\nexpect = \"= 1000\"\n"
    )
}

impl Stage {
    /// With so many databases; `drills` is what stands in the policy below `[backups]`.
    pub fn new(databases: u32, drills: &str, password: &str) -> Stage {
        let moto = moto();
        let count = databases.to_string();
        moto.python("seed_databases.py", &["--databases", &count]);
        let policy = format!("[backups]\nretention_days = 7\n{drills}");
        let workspace = support::WORKSPACE.replace(", \"us-east-1\"", "");
        let dir = project(&[
            ("policies/backups.toml", &policy),
            ("opsctl.toml", &workspace),
        ]);
        let before = Value::Null;
        let mut stage = Stage {
            moto,
            dir,
            before,
            password: password.to_owned(),
        };
        stage.before = stage.account();
        stage
    }

    /// All databases and snapshots, field by field.
    pub fn account(&self) -> Value {
        serde_json::from_str(&self.moto.python("databases_snapshot.py", &[])).unwrap()
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.moto.command(self.dir.path(), args);
        command
            .env("OPSCTL_DRILL_POLL", POLL)
            .env("DRILL_PASSWORD", &self.password);
        command
    }

    pub fn opsctl(&self, args: &[&str]) -> Ran {
        support::ran(self.command(args).output().unwrap())
    }

    /// The only record of a run.
    pub fn run(&self, args: &[&str]) -> (Ran, Value) {
        let mut all = vec!["drill", "run", "--format", "json"];
        all.extend(args);
        let ran = self.opsctl(&all);
        let records = support::json(&ran)["drills"].clone();
        (ran, records[0].clone())
    }

    /// The journals of all runs.
    pub fn journals(&self) -> Vec<String> {
        let folder = self.dir.path().join(".opsctl/runs");
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .filter(|e| e.path().extension().is_some_and(|x| x == "jsonl"))
            .map(|e| std::fs::read_to_string(e.path()).unwrap_or_default())
            .collect()
    }

    /// How many lines of all journals are of such an event.
    fn events(&self, name: &str) -> usize {
        let event = format!("\"event\":\"{name}\"");
        self.journals().concat().matches(&event).count()
    }

    pub fn records(&self) -> Vec<Value> {
        let folder = self.dir.path().join(".opsctl/evidence");
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut out: Vec<Value> = entries
            .filter(|e| e.path().extension().is_some_and(|x| x == "json"))
            .map(|e| serde_json::from_slice(&std::fs::read(e.path()).unwrap()).unwrap())
            .collect();
        out.sort_by_key(|r| r["sequence"].as_u64());
        out
    }

    pub fn rds(&self, settings: &Value) {
        self.moto.rds(settings);
    }

    /// Names of what differs from the beginning.
    pub fn differs(&self) -> Vec<String> {
        let now = self.account();
        let of =
            |v: &Value| -> BTreeMap<String, Value> { serde_json::from_value(v.clone()).unwrap() };
        let (before, now) = (of(&self.before), of(&now));
        let mut out = Vec::new();
        for (arn, held) in &before {
            match now.get(arn) {
                None => out.push(format!("gone: {arn}")),
                Some(there) if there != held => {
                    let fields = held.as_object().unwrap();
                    let changed: Vec<&String> = fields
                        .keys()
                        .filter(|k| there.get(k.as_str()) != held.get(k.as_str()))
                        .collect();
                    out.push(format!("changed: {arn}: {changed:?}"));
                }
                Some(_) => {}
            }
        }
        out.extend(
            now.keys()
                .filter(|k| !before.contains_key(*k))
                .map(|k| format!("new: {k}")),
        );
        out
    }

    pub fn as_before(&self, context: &str) {
        let differs = self.differs();
        assert!(differs.is_empty(), "{context}: {differs:#?}");
    }

    /// The copies that are there now, whole.
    pub fn copies(&self) -> Vec<Value> {
        let now = self.account();
        let before = self.before.as_object().unwrap();
        let new = now
            .as_object()
            .unwrap()
            .iter()
            .filter(|(arn, _)| !before.contains_key(*arn));
        new.map(|(_, one)| one.clone()).collect()
    }

    pub fn gc(&self, args: &[&str]) -> Ran {
        let mut all = vec!["drill", "gc"];
        all.extend(args);
        self.opsctl(&all)
    }

    /// How many requests of an operation came.
    pub fn requests(&self, operation: &str) -> usize {
        let path = self.moto.folder.path().join("requests.jsonl");
        let text = std::fs::read_to_string(path).unwrap();
        let lines = text
            .lines()
            .filter_map(|l| serde_json::from_str::<Value>(l).ok());
        lines.filter(|l| l["operation"] == operation).count()
    }
}

pub fn spawn(mut command: Command) -> Child {
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

pub fn ended(child: Child) -> Ran {
    support::ran(child.wait_with_output().unwrap())
}

fn tags(of: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = of["TagList"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["Key"].as_str().unwrap())
        .collect();
    keys.sort_unstable();
    keys
}

/// One copy appears, private and with our tags, is looked into over a password that nobody sees, and
/// goes; forty databases stay as they are.
#[test]
fn one_copy_comes_and_goes_among_forty_databases() {
    let server = Server::start();
    let via = format!(
        "connect = {{ via = \"127.0.0.1:{}\" }}\nobjective = {{ rto = \"10m\", rpo = \"24h\" }}",
        server.port
    );
    let stage = Stage::new(40, &drill("orders", "rds:orders", &via), "");
    let before = stage.before.as_object().unwrap();
    assert_eq!(before.keys().filter(|arn| arn.contains(":db:")).count(), 42);
    let states = [
        "creating",
        "creating",
        "backing-up",
        "modifying",
        "modifying",
        "modifying",
    ];
    stage.rds(&json!({"states": states, "inherit_tags": true, "deleting": 3}));
    let (stop, passwords) = server.follow(stage.moto.folder.path().join("requests.jsonl"));
    let mut command = stage.command(&["drill", "run", "-vv", "--format", "json"]);
    command.env("OPSCTL_DRILL_POLL", "300ms");
    let child = spawn(command);
    let began = Instant::now();
    let mut most = 0;
    let mut seen_private = false;
    loop {
        let copies = stage.copies();
        most = most.max(copies.len());
        for copy in &copies {
            assert!(
                copy["DBInstanceIdentifier"]
                    .as_str()
                    .unwrap()
                    .starts_with("drill-orders-")
            );
            for (field, value) in [
                ("PubliclyAccessible", json!(false)),
                ("BackupRetentionPeriod", json!(0)),
                ("DeletionProtection", json!(false)),
                ("MultiAZ", json!(false)),
                ("CopyTagsToSnapshot", json!(false)),
            ] {
                assert_eq!(copy[field], value, "{field}: {copy:#}");
            }
            let orders = &before["arn:aws:rds:eu-west-1:123456789012:db:orders"];
            for field in [
                "VpcSecurityGroups",
                "DBParameterGroups",
                "OptionGroupMemberships",
            ] {
                assert_eq!(copy[field], orders[field], "{field}");
            }
            assert_eq!(copy["DBSubnetGroup"]["DBSubnetGroupName"], "private");
            assert_ne!(copy["DbiResourceId"], orders["DbiResourceId"]);
            // The source's tags are taken off again as soon as it is available.
            if copy["DBInstanceStatus"] == "resetting-master-credentials" {
                assert_eq!(
                    tags(copy),
                    ["opsctl:drill", "opsctl:drill-intent", "opsctl:drill-source"]
                );
            }
            seen_private = true;
        }
        if copies.is_empty() && seen_private {
            break;
        }
        assert!(
            began.elapsed() < Duration::from_secs(600),
            "no copy came and went"
        );
    }
    let ran = ended(child);
    stop.store(true, Ordering::SeqCst);
    let passwords = passwords.join().unwrap();
    let document = support::json(&ran);
    let record = &document["drills"][0];
    assert_eq!(
        (ran.code, &record["result"]),
        (0, &json!("passed")),
        "{}\n{}",
        ran.stdout,
        ran.stderr
    );
    assert_eq!(record["checks"][0]["actual"], "1000");
    assert_eq!((most, seen_private), (1, true));
    assert_eq!(stage.requests("RestoreDBInstanceFromDBSnapshot"), 1);
    assert_eq!(
        record["recovery_point"]["data_time_basis"],
        "SnapshotDatabaseTime"
    );
    assert_eq!(record["copy"]["instance_class"], "db.t4g.medium");
    // A password was set, and it is nowhere.
    let [password] = &passwords[..] else {
        panic!("one password: {}", passwords.len())
    };
    let mut texts = vec![ran.stdout.clone(), ran.stderr.clone()];
    read_all(stage.dir.path(), &mut texts);
    assert!(texts.len() > 4, "the journal and the record are among them");
    assert!(
        texts.iter().all(|t| !t.contains(password.as_str())),
        "the password is written somewhere"
    );
    stage.rds(&json!({"deleting": 0}));
    stage.as_before("after the drill");
    let verified = stage.opsctl(&["drill", "verify"]);
    assert_eq!(verified.code, 0, "{}", verified.stdout);
    let violations = stage.moto.violations();
    assert!(violations.is_empty(), "{violations:#?}");
}

fn read_all(folder: &std::path::Path, out: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            read_all(&path, out);
        } else {
            let mut text = Vec::new();
            std::fs::File::open(&path)
                .unwrap()
                .read_to_end(&mut text)
                .unwrap();
            out.push(String::from_utf8_lossy(&text).into_owned());
        }
    }
}

/// A tunnel as teams have them: a program of its own, with helpers, that never ends by itself.
const TUNNEL: &str = r#"
import socket, sys, threading, time
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
def pump(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
    except OSError:
        pass
    b.close()
print("to", sys.argv[3], sys.argv[4], file=sys.stderr, flush=True)
while True:
    client, _ = listener.accept()
    server = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
    threading.Thread(target=pump, args=(client, server), daemon=True).start()
    threading.Thread(target=pump, args=(server, client), daemon=True).start()
"#;

fn tunnels(script: &std::path::Path) -> usize {
    let name = script.to_str().unwrap();
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|e| {
            let line = std::fs::read(e.path().join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(name)
        })
        .count()
}

#[test]
fn every_source_and_every_way_there() {
    let server = Server::start();
    let place = TempDir::new().unwrap();
    let script = place.path().join("tunnel.py");
    std::fs::File::create(&script)
        .unwrap()
        .write_all(TUNNEL.as_bytes())
        .unwrap();
    let tunnel = format!(
        "via = {{ command = \"sleep 1000 & python3 {} {{local_port}} {} {{endpoint}} {{port}}\" }}",
        script.display(),
        server.port
    );
    let own = "user = \"postgres\", database = \"shop\", password_env = \"DRILL_PASSWORD\"";
    let address = format!("via = \"127.0.0.1:{}\"", server.port);
    let drills = [
        drill(
            "time",
            "rds:orders",
            &format!("method = \"point-in-time\"\nconnect = {{ {own}, {tunnel} }}"),
        ),
        drill(
            "shop",
            "aurora:shop",
            &format!("connect = {{ {own}, {address} }}"),
        ),
        drill(
            "shop-time",
            "aurora:shop",
            &format!("method = \"point-in-time\"\nconnect = {{ {own}, {address} }}"),
        ),
    ];
    let stage = Stage::new(8, &drills.concat(), &server.password());
    stage.rds(&json!({"states": ["creating", "backing-up"], "deleting": 2, "unseen": 2}));
    let ran = stage.opsctl(&["drill", "run", "--format", "json"]);
    let document = support::json(&ran);
    for record in document["drills"].as_array().unwrap() {
        assert_eq!(
            record["result"], "passed",
            "{}: {}",
            record["drill"], record["reasons"]
        );
        assert_eq!(record["checks"][0]["actual"], "1000");
        assert_eq!(record["cleanup"]["deleted"], true);
    }
    assert_eq!(
        (ran.code, document["drills"].as_array().unwrap().len()),
        (0, 3),
        "{}",
        ran.stderr
    );
    assert_eq!(
        stage.requests("ModifyDBInstance") + stage.requests("ModifyDBCluster"),
        0
    );
    assert_eq!(tunnels(&script), 0, "a tunnel is still there");
    stage.rds(&json!({"deleting": 0}));
    stage.as_before("after three drills");
    let violations = stage.moto.violations();
    assert!(violations.is_empty(), "{violations:#?}");
    let text = std::fs::read_to_string(stage.moto.folder.path().join("requests.jsonl")).unwrap();
    assert!(!text.contains("copy-on-write") && text.contains("full-copy"));
}

/// However it dies, and whenever: after `gc` the account holds what it held, and the evidence says so.
#[test]
fn killed_at_twenty_moments_and_swept() {
    let server = Server::start();
    let connect = format!(
        "connect = {{ user = \"postgres\", database = \"shop\", password_env = \"DRILL_PASSWORD\", via = \"127.0.0.1:{}\" }}",
        server.port
    );
    let drills = drill("orders", "rds:orders", &connect) + &drill("shop", "aurora:shop", &connect);
    let stage = Stage::new(40, &drills, &server.password());
    stage.rds(&json!({"states": ["creating", "backing-up"], "deleting": 2}));
    // How long whole runs take here and now.
    let mut whole = [Duration::ZERO; 2];
    for (name, took) in ["orders", "shop"].iter().zip(&mut whole) {
        let began = Instant::now();
        let (ran, _) = stage.run(&[name]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        *took = began.elapsed();
    }
    let mut left = 0;
    let mut killed = 0;
    let mut random = fastrand::Rng::with_seed(20_261_122);
    let usual = json!({"states": ["creating", "backing-up"]});
    // Twenty at any time of a run, and some of which it is certain that there is a copy.
    for round in 0..32 {
        let held = round >= 20;
        let which = if held { 0 } else { round % 2 };
        if held {
            stage.rds(&json!({"states": vec!["creating"; 2000]}));
        }
        let known = stage.events("made");
        let mut child = spawn(stage.command(&["drill", "run", ["orders", "shop"][which]]));
        if held {
            let began = Instant::now();
            while stage.events("made") == known {
                assert!(began.elapsed() < Duration::from_secs(60), "no copy");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        std::thread::sleep(whole[which].mul_f64(random.f64()));
        child.kill().unwrap();
        killed += u32::from(!child.wait().unwrap().success());
        let copies = stage.copies();
        left += copies.len();
        if held {
            for copy in &copies {
                stage.rds(&json!({"settle": copy["DBInstanceIdentifier"]}));
            }
            stage.rds(&usual);
        }
        let swept = stage.gc(&["--format", "json"]);
        assert_eq!(
            swept.code, 0,
            "round {round}: {}\n{}",
            swept.stdout, swept.stderr
        );
        let differs: Vec<String> = stage.differs();
        assert!(differs.is_empty(), "round {round}: {differs:#?}");
    }
    assert!(
        killed > 11 && left > 11,
        "killed {killed}, found {left} copies"
    );
    // Every run that had begun is on record; the chain holds.
    let journals = stage.events("begin");
    let records = stage.records();
    assert_eq!(records.len(), journals);
    let aborted = records.iter().filter(|r| r["result"] == "aborted").count();
    assert!(aborted > 5, "{aborted}");
    assert!(records.iter().all(|r| r["cleanup"]["deleted"] == true));
    assert_eq!(stage.opsctl(&["drill", "verify"]).code, 0);
}
