//! Restore drills: real dumps in an emulated bucket, a real scratch PostgreSQL, every way of dying.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use opsctl::drill::folder::{Folder, RunAs};
use opsctl::drill::probe;
use opsctl::drill::scratch::{Scratch, program};
use opsctl::drill::tools::{INSTALL, Tools};

use crate::emulator::{Emulator, moto};
use crate::support::{self, Ran, json, project};

pub const BUCKET: &str = "acme-dumps";

fn tools() -> Tools {
    Tools::find(true)
        .into_iter()
        .next()
        .unwrap_or_else(|| panic!("these tests restore into a real PostgreSQL: {INSTALL}"))
}

/// A folder that the user of the scratch PostgreSQL can pass through.
pub fn open_folder() -> TempDir {
    let dir = tempfile::Builder::new()
        .prefix("it")
        .tempdir_in("/tmp")
        .unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

/// Dumps of one small database, made once for all tests.
pub struct Dumps(TempDir);

impl Dumps {
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

pub fn dumps() -> &'static Dumps {
    static DUMPS: OnceLock<Dumps> = OnceLock::new();
    DUMPS.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap()
            .block_on(make_dumps())
    })
}

const SCHEMA: &str = "
CREATE TABLE customers (id int PRIMARY KEY, email text NOT NULL);
COMMENT ON TABLE customers IS 'who buys';
CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers, note text, created_at timestamptz);
INSERT INTO customers SELECT i, 'c' || i || '@example.com' FROM generate_series(1, 500) i;
INSERT INTO orders SELECT i, 1 + i % 500, md5(i::text) || md5((i * 7)::text), now() - i * interval '1 minute' FROM generate_series(1, 20000) i;
CREATE ROLE app; ALTER TABLE orders OWNER TO app; GRANT SELECT ON customers TO app;
";

/// Restores with an error: the dump sets an empty search path, in which the function finds nothing.
const BROKEN: &str = "
CREATE TABLE reference (id int); INSERT INTO reference VALUES (1);
CREATE FUNCTION fine() RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) > 0 FROM reference); END';
CREATE TABLE checked (id int CHECK (fine())); INSERT INTO checked VALUES (1);
";

async fn make_dumps() -> Dumps {
    let tools = tools();
    let out = open_folder();
    let run_as = RunAs::choose().unwrap();
    let work = open_folder();
    let folder = Folder::create(&work.path().join("opsctl-drill-dumps"), "dumps", run_as).unwrap();
    let server = Scratch::start(&folder, &tools, "postgres").await.unwrap();
    for (database, statements) in [("shop", SCHEMA), ("broken", BROKEN)] {
        probe::create_database(&server.connection, database)
            .await
            .unwrap();
        probe::fill(&server.connection.on(database), statements)
            .await
            .unwrap();
    }
    let dump = async |database: &str, args: &[&str], name: &str| {
        let target = folder.path().join(name);
        let mut command = program(&tools, "pg_dump", &folder);
        command.envs(server.connection.on(database).variables());
        let status = command
            .args(args)
            .arg("-f")
            .arg(&target)
            .status()
            .await
            .unwrap();
        assert!(status.success());
        target
    };
    let copy = |from: &Path, name: &str| {
        std::fs::copy(from, out.path().join(name)).unwrap();
    };
    copy(&dump("shop", &["-Fc"], "custom").await, "custom");
    copy(&dump("shop", &["-Ft"], "tar").await, "tar");
    copy(&dump("shop", &["-Fp"], "plain").await, "plain");
    copy(&dump("shop", &["-Fp", "--clean"], "clean").await, "clean");
    copy(
        &dump("broken", &["-Fc"], "errors-custom").await,
        "errors-custom",
    );
    copy(
        &dump("broken", &["-Fp"], "errors-plain").await,
        "errors-plain",
    );
    let directory = dump("shop", &["-Fd"], "directory").await;
    let kept = out.path().join("directory");
    std::fs::create_dir(&kept).unwrap();
    let mut builder =
        tar::Builder::new(std::fs::File::create(out.path().join("directory-tar")).unwrap());
    builder.append_dir_all("backup", &directory).unwrap();
    builder.finish().unwrap();
    for entry in std::fs::read_dir(&directory).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), kept.join(entry.file_name())).unwrap();
    }
    server.stop().await;
    folder.remove().unwrap();

    let read = |name: &str| std::fs::read(out.path().join(name)).unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(out.path().join(name), bytes).unwrap();
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let zstd = |bytes: &[u8]| {
        ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
    };
    let (custom, plain) = (read("custom"), read("plain"));
    write("plain-gzip", &gzip(&plain));
    write("custom-gzip", &gzip(&custom));
    write("tar-gzip", &gzip(&read("directory-tar")));
    write("plain-zstd", &zstd(&plain));
    // What can be wrong with them.
    write("truncated-custom", &custom[..custom.len() / 2]);
    write("truncated-plain", &plain[..plain.len() - 400]);
    let gzipped = gzip(&plain);
    write("truncated-gzip", &gzipped[..gzipped.len() * 2 / 3]);
    let tar = read("directory-tar");
    write("truncated-tar", &tar[..tar.len() / 3]);
    let tar = read("tar");
    write("truncated-tar-archive", &tar[..tar.len() / 2]);
    // The year in the header, behind second, minute, hour, day and month: a sign and four bytes each.
    let mut stale = custom.clone();
    let compression = if custom[6] >= 15 { 1 } else { 5 };
    let year = 11 + compression + 5 * 5 + 1;
    // Years since 1900. Four earlier, so that the 29th of February stays a day.
    let made = i16::from(stale[year]) + 1900;
    let now = jiff::Zoned::now().year();
    assert!((now - 1..=now + 1).contains(&made), "{made}");
    stale[year] -= 4;
    write("stale-header", &stale);
    let mut flipped = custom.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x10;
    write("flipped", &flipped);
    let mut flipped = gzipped;
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x10;
    write("flipped-gzip", &flipped);
    // The version that pg_dump writes into an archive is text with its length before it.
    let version = tools.version.clone();
    let at = custom
        .windows(version.len())
        .rposition(|w| w == version.as_bytes())
        .unwrap();
    let mut newer = custom.clone();
    newer[at..at + 2].copy_from_slice(b"99");
    write("newer", &newer);
    let text = String::from_utf8(plain).unwrap();
    let lead = "-- Dumped by pg_dump version ";
    write(
        "newer-plain",
        text.replacen(&format!("{lead}{}", &version[..2]), &format!("{lead}99"), 1)
            .as_bytes(),
    );
    write("empty", b"");
    write("nothing-gzip", &gzip(b""));
    write("picture", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR");
    write("mysql", b"-- MySQL dump 10.13\nCREATE TABLE t (id int);\n");
    Dumps(out)
}

/// A project whose drills are named after the dumps in the bucket.
fn drills(names: &[&str], more: &str) -> TempDir {
    let mut text = String::from("[backups]\nretention_days = 7\n");
    for name in names {
        text.push_str(&format!(
            "[backups.drill.{name}]\nsource = \"s3-dump:{BUCKET}/{name}/\"\nconnect = {{ database = \"shop\" }}\n{more}\n\
             [[backups.drill.{name}.check]]\nsql = \"select count(*) from orders\"\nexpect = \"= 20000\"\n\
             [[backups.drill.{name}.check]]\nsql = \"select extract(epoch from now() - max(created_at)) / 3600 from orders\"\nexpect = \"< 24\"\n"
        ));
    }
    let workspace = support::WORKSPACE.replace(", \"us-east-1\"", "");
    project(&[
        ("policies/backups.toml", &text),
        ("opsctl.toml", &workspace),
    ])
}

/// A machine with the drill `custom` that keeps its records in the bucket `acme-evidence`.
fn machine(more: &str) -> TempDir {
    let dir = drills(&["custom"], "");
    support::evidence(dir.path(), "acme-evidence", more);
    dir
}

pub fn put(emulator: &Emulator, name: &str, args: &[&str]) {
    let path = dumps().path(name);
    let key = format!("{name}/2026-11-22.dump");
    let mut all = vec!["put", BUCKET, key.as_str(), path.to_str().unwrap()];
    all.extend(args);
    emulator.python("objects.py", &all);
}

/// The binary with a temporary folder of its own; nothing may be left in that.
pub fn drill(emulator: &Emulator, dir: &Path, scratch: &Path, args: &[&str]) -> Ran {
    let mut command = emulator.command(dir, args);
    command.env("TMPDIR", scratch);
    support::ran(command.output().unwrap())
}

fn nothing_left(scratch: &Path) {
    let left: Vec<_> = std::fs::read_dir(scratch)
        .unwrap()
        .flatten()
        .map(|e| e.path())
        .collect();
    assert!(left.is_empty(), "{left:?}");
    let alive = processes_in(scratch);
    assert!(alive.is_empty(), "{alive:?}");
}

/// Processes that name the folder, or work in it.
fn processes_in(folder: &Path) -> Vec<String> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let cwd = std::fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        if line.contains(folder.to_str().unwrap()) || cwd.starts_with(folder) {
            out.push(line);
        }
    }
    out
}

/// The output without the places where its lines were broken.
fn words(ran: &Ran) -> String {
    ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn records(ran: &Ran) -> Vec<Value> {
    json(ran)["drills"].as_array().unwrap().clone()
}

#[test]
fn every_form_of_dump_is_restored_and_leaves_nothing() {
    let emulator = moto();
    let names = [
        "custom",
        "tar",
        "plain",
        "clean",
        "directory",
        "directory-tar",
        "plain-gzip",
        "custom-gzip",
        "tar-gzip",
        "plain-zstd",
    ];
    for name in names {
        match name {
            "directory" => {
                for entry in std::fs::read_dir(dumps().path(name)).unwrap().flatten() {
                    let key = format!(
                        "directory/2026-11-22/{}",
                        entry.file_name().to_string_lossy()
                    );
                    let path = entry.path();
                    emulator.python("objects.py", &["put", BUCKET, &key, path.to_str().unwrap()]);
                }
            }
            "tar" => put(&emulator, name, &["--checksum", "SHA256"]),
            "plain" => put(&emulator, name, &["--checksum", "SHA1"]),
            _ => put(&emulator, name, &[]),
        }
    }
    let dir = drills(&names, "objective = { rto = \"10m\", rpo = \"1h\" }");
    let scratch = open_folder();
    let ran = drill(
        &emulator,
        dir.path(),
        scratch.path(),
        &["drill", "run", "--format", "json"],
    );
    let all = records(&ran);
    for record in &all {
        assert_eq!(
            record["result"], "passed",
            "{}: {}\n{}",
            record["drill"], record["reasons"], record["timeline"]
        );
        assert_eq!(record["cleanup"]["deleted"], true);
        assert_eq!(record["checks"][0]["actual"], "20000");
        let proof = record["timeline"][1]["detail"].as_str().unwrap();
        assert!(proof.contains("verified"), "{proof}");
    }
    assert_eq!((ran.code, all.len()), (0, names.len()), "{}", ran.stderr);
    nothing_left(scratch.path());
    let verified = drill(&emulator, dir.path(), scratch.path(), &["drill", "verify"]);
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
    // The password is nowhere: hex of 48 digits is in no file of the project but as a seal of 64.
    let violations = emulator.violations();
    assert!(violations.is_empty(), "{violations:#?}");
}

#[test]
fn a_dump_in_parts_is_proven_part_by_part() {
    let emulator = moto();
    let big = open_folder();
    let path = big.path().join("big");
    // Three parts of at least 5 MiB: a plain dump with a long comment before its end.
    let plain = String::from_utf8(std::fs::read(dumps().path("plain")).unwrap()).unwrap();
    let filler = format!("-- {}\n", "x".repeat(1000)).repeat(13_000);
    std::fs::write(
        &path,
        format!(
            "{}{filler}--\n-- PostgreSQL database dump complete\n--\n",
            plain
        ),
    )
    .unwrap();
    let put = [
        "put",
        BUCKET,
        "parts/a.sql",
        path.to_str().unwrap(),
        "--part-mib",
        "5",
    ];
    emulator.python("objects.py", &put);
    let dir = drills(&["parts"], "");
    let scratch = open_folder();
    let proven = || {
        let args = ["drill", "run", "--format", "json"];
        let ran = drill(&emulator, dir.path(), scratch.path(), &args);
        let all = records(&ran);
        assert_eq!(ran.code, 0, "{}", all[0]["reasons"]);
        let proof = all[0]["timeline"][1]["detail"].as_str().unwrap();
        assert!(proof.contains(" parts verified"), "{proof}");
        proof.to_owned()
    };
    let proof = proven();
    assert!(
        proof.contains("MD5 ETag of 3 parts") || proof.contains("MD5 ETag of 4 parts"),
        "{proof}"
    );
    // As boto3 and the AWS CLI upload large files: with a checksum of each part.
    for algorithm in ["CRC32", "SHA256"] {
        let upload = ["upload", BUCKET, "parts/a.sql", path.to_str().unwrap()];
        emulator.python(
            "objects.py",
            &[&upload[..], &["--checksum", algorithm]].concat(),
        );
        let proof = proven();
        assert!(proof.contains(&format!("{algorithm} checksum")), "{proof}");
    }
}

#[test]
fn every_damage_is_a_failed_drill_with_its_reason() {
    let emulator = moto();
    let cases = [
        ("truncated-custom", "cannot be restored"),
        ("truncated-plain", "truncated"),
        ("truncated-gzip", "truncated"),
        ("truncated-tar", "truncated"),
        ("truncated-tar-archive", "truncated"),
        ("flipped", "cannot be restored"),
        // Where the damage lies decides who notices it first: the unpacking, or psql.
        ("flipped-gzip", "cannot be restored"),
        ("newer", "made by pg_dump 99"),
        ("newer-plain", "made by pg_dump 99"),
        ("empty", "empty"),
        ("nothing-gzip", "nothing in it"),
        ("errors-custom", "does not exist"),
        ("errors-plain", "does not exist"),
        ("picture", "neither"),
        ("mysql", "MySQL"),
        ("absent", "no dump under"),
        ("archived", "GLACIER"),
    ];
    for (name, _) in cases {
        match name {
            "absent" => {}
            "archived" => {
                let path = dumps().path("custom");
                let args = [
                    "put",
                    BUCKET,
                    "archived/a.dump",
                    path.to_str().unwrap(),
                    "--storage-class",
                    "GLACIER",
                ];
                emulator.python("objects.py", &args);
            }
            _ => put(&emulator, name, &[]),
        }
    }
    let names: Vec<&str> = cases.iter().map(|(name, _)| *name).collect();
    let dir = drills(&names, "");
    let scratch = open_folder();
    let ran = drill(
        &emulator,
        dir.path(),
        scratch.path(),
        &["drill", "run", "--format", "json"],
    );
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    let all = records(&ran);
    for (name, reason) in cases {
        let record = all.iter().find(|r| r["drill"] == name).unwrap();
        assert_eq!(record["result"], "failed", "{name}: {}", record["reasons"]);
        let first = record["reasons"][0].as_str().unwrap();
        assert!(first.contains(reason), "{name}: {first}");
        assert_eq!(record["cleanup"]["deleted"], true, "{name}");
    }
    nothing_left(scratch.path());
    // In the first line for people, too.
    let table = drill(
        &emulator,
        dir.path(),
        scratch.path(),
        &["drill", "run", "empty"],
    );
    assert_eq!(table.code, 2);
    let first = table.stdout.lines().next().unwrap();
    assert!(
        first.starts_with("FAILED") && first.contains("empty"),
        "{first}"
    );
    let verified = drill(&emulator, dir.path(), scratch.path(), &["drill", "verify"]);
    assert_eq!(verified.code, 0, "{}", verified.stdout);
}

#[test]
fn a_backup_that_is_too_old_is_not_even_downloaded() {
    let emulator = moto();
    put(&emulator, "custom", &[]);
    std::thread::sleep(Duration::from_millis(1100));
    let dir = drills(&["custom"], "objective = { rpo = \"1s\" }");
    let scratch = open_folder();
    let ran = drill(
        &emulator,
        dir.path(),
        scratch.path(),
        &["drill", "run", "--format", "json"],
    );
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert_eq!(records(&ran)[0]["result"], "missed_objective");
    assert!(json(&ran)["api"]["by_operation"]["s3:GetObject"].is_null());
    let planned = drill(&emulator, dir.path(), scratch.path(), &["drill", "plan"]);
    assert_eq!(planned.code, 2);
    assert!(planned.stdout.contains("would stop"), "{}", planned.stdout);
}

#[test]
fn without_postgresql_nothing_is_asked_of_s3() {
    let emulator = moto();
    put(&emulator, "custom", &[]);
    let dir = drills(&["custom"], "");
    let mut command = emulator.command(dir.path(), &["drill", "run", "--format", "json"]);
    command.env("OPSCTL_POSTGRES_BINDIR", "/nonexistent");
    let ran = support::ran(command.output().unwrap());
    assert_eq!(ran.code, 1);
    let asked = json(&ran)["api"]["by_operation"].clone();
    assert!(
        asked
            .as_object()
            .unwrap()
            .keys()
            .all(|k| !k.starts_with("s3:")),
        "{asked}"
    );
    let mut command = emulator.command(dir.path(), &["drill", "run"]);
    command.env("OPSCTL_POSTGRES_BINDIR", "/nonexistent");
    let ran = support::ran(command.output().unwrap());
    for package in ["apt-get install postgresql", "brew install", "dnf install"] {
        assert!(words(&ran).contains(package), "{}", ran.stdout);
    }
    let mut command = support::command(dir.path());
    command
        .args(["drill", "run", "orders", "--sandbox"])
        .env("OPSCTL_POSTGRES_BINDIR", "/nonexistent");
    let ran = support::ran(command.output().unwrap());
    assert_eq!(ran.code, 1);
    assert!(
        words(&ran).contains("apt-get install postgresql"),
        "{}",
        ran.stdout
    );
}

/// A job that fails to dump and uploads the file of before makes a new object of old data.
#[test]
fn a_new_upload_of_an_old_dump_misses_the_objective() {
    let emulator = moto();
    put(&emulator, "stale-header", &[]);
    let scratch = open_folder();
    let with = |objective: &str| {
        let dir = drills(&["stale-header"], objective);
        let args = ["drill", "run", "--format", "json"];
        let ran = drill(&emulator, dir.path(), scratch.path(), &args);
        let record = records(&ran)[0].clone();
        let age = &record["measured"]["recovery_point_age_seconds"];
        assert!(age.as_f64().unwrap() > 364.0 * 86_400.0, "{record:#}");
        assert_eq!(
            record["recovery_point"]["data_time_basis"],
            "header of the dump, in the westernmost time zone"
        );
        (ran.code, record)
    };
    let (code, record) = with("objective = { rpo = \"26h\" }");
    assert_eq!((code, &record["result"]), (2, &"missed_objective".into()));
    let reason = record["reasons"][0].as_str().unwrap();
    assert!(reason.starts_with("pg_dump began at 20"), "{reason}");
    assert_eq!(with("").0, 0, "nobody said how old it may be");
    nothing_left(scratch.path());
}

#[test]
fn records_are_chained_in_the_evidence_bucket_across_machines() {
    let emulator = moto();
    put(&emulator, "custom", &[]);
    emulator.python("objects.py", &["bucket", "acme-evidence"]);
    let machine = || machine("prefix = \"drills/\"\n");
    let scratch = open_folder();
    let (one, two) = (machine(), machine());
    for dir in [&one, &two, &one, &two] {
        let ran = drill(&emulator, dir.path(), scratch.path(), &["drill", "run"]);
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        assert!(
            ran.stdout
                .contains("uploaded s3://acme-evidence/drills/shop/drill-0000000"),
            "{}",
            ran.stdout
        );
    }
    let keys: Vec<String> =
        serde_json::from_str(&emulator.python("objects.py", &["list", "acme-evidence"])).unwrap();
    let (notes, keys): (Vec<String>, Vec<String>) =
        keys.into_iter().partition(|k| k.contains("/journal/"));
    let expected: Vec<String> = (1..=4)
        .map(|n| format!("drills/shop/drill-{n:08}.json"))
        .collect();
    assert_eq!(keys, expected);
    let mut noted: Vec<&str> = notes.iter().filter_map(|k| k.rsplit('/').next()).collect();
    noted.sort_unstable();
    assert_eq!(noted.len(), 4);
    for (name, n) in noted.iter().zip(1..) {
        // With the seal behind the number.
        let begin = format!("record-{n:08}-");
        assert!(
            name.starts_with(&begin) && name.len() == begin.len() + 64 + 5,
            "{name}"
        );
    }
    for dir in [&one, &two] {
        let ran = drill(&emulator, dir.path(), scratch.path(), &["drill", "verify"]);
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        let listed = drill(
            &emulator,
            dir.path(),
            scratch.path(),
            &["drill", "list", "--format", "json"],
        );
        assert_eq!(records(&listed).len(), 4);
    }
    // A machine that never ran one knows how long the last one took.
    let ran = drill(
        &emulator,
        machine().path(),
        scratch.path(),
        &["drill", "plan"],
    );
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("the last time (20"), "{}", ran.stdout);
    // Somebody cuts off the end: a machine that never had those records notices it too.
    let last = emulator.python(
        "objects.py",
        &["get", "acme-evidence", "drills/shop/drill-00000004.json"],
    );
    for number in [4, 3] {
        let key = format!("drills/shop/drill-{number:08}.json");
        emulator.python("objects.py", &["delete", "acme-evidence", &key]);
        let three = machine();
        let ran = drill(
            &emulator,
            three.path(),
            scratch.path(),
            &["drill", "verify"],
        );
        assert_eq!(ran.code, 2, "{}{}", ran.stdout, ran.stderr);
        let missing = match number {
            4 => "record 4 is missing at the end",
            _ => "records 3 to 4 are missing at the end",
        };
        assert!(ran.stdout.contains(missing), "{}", ran.stdout);
    }
    // The machines that have them put them back, and nothing is missing.
    let ran = drill(&emulator, two.path(), scratch.path(), &["drill", "run"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(
        last,
        emulator.python(
            "objects.py",
            &["get", "acme-evidence", "drills/shop/drill-00000004.json"],
        )
    );
    let ran = drill(&emulator, one.path(), scratch.path(), &["drill", "verify"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    // A record that cannot be uploaded is told, waits, and goes with the next one.
    emulator.faults(&serde_json::json!([{"service": "s3", "operation": "PutObject", "mode": "deny", "times": -1}]));
    let ran = drill(&emulator, two.path(), scratch.path(), &["drill", "run"]);
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    emulator.no_faults();
    let ran = drill(&emulator, two.path(), scratch.path(), &["drill", "verify"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stdout.contains("on this machine only") && !ran.stdout.contains("missing at the end"),
        "{}",
        ran.stdout
    );
    let ran = drill(&emulator, one.path(), scratch.path(), &["drill", "verify"]);
    assert_eq!(ran.code, 0, "others know nothing of it: {}", ran.stdout);
    let ran = drill(&emulator, two.path(), scratch.path(), &["drill", "run"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let ran = drill(&emulator, two.path(), scratch.path(), &["drill", "verify"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    // Somebody makes a record look better than it was.
    let tamper = [
        "overwrite",
        "acme-evidence",
        "drills/shop/drill-00000002.json",
        "\"20000\"",
        "\"30000\"",
    ];
    emulator.python("objects.py", &tamper);
    let ran = drill(&emulator, one.path(), scratch.path(), &["drill", "verify"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stdout.contains("drill-00000002.json: it was changed"),
        "{}",
        ran.stdout
    );
}

/// Killed between the upload of its record and the file on this machine: there is one record, not two.
#[test]
fn a_record_that_was_uploaded_before_a_kill_is_adopted() {
    let emulator = moto();
    put(&emulator, "custom", &[]);
    emulator.python("objects.py", &["bucket", "acme-evidence"]);
    let dir = machine("");
    let scratch = open_folder();
    let opsctl = |args: &[&str]| drill(&emulator, dir.path(), scratch.path(), args);
    let state = dir.path().join(".opsctl");
    for before in [0, 1] {
        for _ in 0..before {
            assert_eq!(opsctl(&["drill", "run"]).code, 0);
        }
        let head = std::fs::read(state.join("evidence/HEAD")).ok();
        let ran = opsctl(&["drill", "run", "--format", "json"]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let run_id = records(&ran)[0]["run_id"].as_str().unwrap().to_owned();
        std::fs::remove_file(state.join(format!("evidence/{run_id}.json"))).unwrap();
        match head {
            Some(head) => std::fs::write(state.join("evidence/HEAD"), head).unwrap(),
            None => std::fs::remove_file(state.join("evidence/HEAD")).unwrap(),
        }
        let journal = state.join(format!("runs/drill-{run_id}.jsonl"));
        let text = std::fs::read_to_string(&journal).unwrap();
        let alive: String = text
            .lines()
            .filter(|l| !l.contains("\"event\":\"end\""))
            .map(|l| format!("{l}\n"))
            .collect();
        assert_ne!(text, alive);
        std::fs::write(&journal, alive).unwrap();
        let ran = opsctl(&["drill", "gc"]);
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        let ran = opsctl(&["drill", "verify"]);
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        let listed = records(&opsctl(&["drill", "list", "--format", "json"]));
        let same = listed.iter().filter(|r| r["run_id"] == run_id.as_str());
        assert_eq!(same.count(), 1);
        assert_eq!(listed.len(), 1 + 2 * before);
        assert!(listed.iter().all(|r| r["result"] == "passed"));
    }
}

/// A machine that could not upload goes on behind those that could.
#[test]
fn a_number_that_another_machine_took_is_no_broken_chain() {
    let emulator = moto();
    put(&emulator, "custom", &[]);
    emulator.python("objects.py", &["bucket", "acme-evidence"]);
    let machine = || machine("");
    let scratch = open_folder();
    let run = |dir: &TempDir| drill(&emulator, dir.path(), scratch.path(), &["drill", "run"]);
    let (one, two) = (machine(), machine());
    assert_eq!(run(&one).code, 0);
    emulator.faults(&serde_json::json!([{"service": "s3", "operation": "PutObject", "mode": "deny", "times": -1}]));
    for _ in 0..2 {
        assert_eq!(run(&one).code, 1, "its records stay here");
    }
    emulator.no_faults();
    for _ in 0..2 {
        assert_eq!(run(&two).code, 0);
    }
    let ran = run(&one);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let ran = run(&two);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    for dir in [&one, &two, &machine()] {
        let ran = drill(&emulator, dir.path(), scratch.path(), &["drill", "verify"]);
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        let args = ["drill", "list", "--format", "json"];
        let listed = records(&drill(&emulator, dir.path(), scratch.path(), &args));
        assert_eq!(listed.len(), 7, "{listed:?}");
        let moved = listed
            .iter()
            .filter(|r| {
                r["reasons"]
                    .to_string()
                    .contains("until it could be uploaded")
            })
            .count();
        assert_eq!(moved, 2);
    }
}

/// What is taken away or replaced in the bucket stays visible, whoever goes on with the chain.
#[test]
fn a_failed_drill_cannot_be_made_to_vanish() {
    use opsctl::drill::record::Record;
    let emulator = moto();
    put(&emulator, "custom", &[]);
    emulator.python("objects.py", &["bucket", "acme-evidence"]);
    let machine = || machine("");
    let scratch = open_folder();
    let run = |dir: &TempDir| drill(&emulator, dir.path(), scratch.path(), &["drill", "run"]);
    let verify = || {
        let dir = machine();
        drill(&emulator, dir.path(), scratch.path(), &["drill", "verify"])
    };
    let first = machine();
    let keys: Vec<String> = {
        assert_eq!(run(&first).code, 0);
        let failing = machine();
        let policy = failing.path().join("policies/backups.toml");
        let text = std::fs::read_to_string(&policy).unwrap();
        std::fs::write(&policy, text.replace("= 20000", "= 30000")).unwrap();
        assert_eq!(run(&failing).code, 2);
        serde_json::from_str(&emulator.python("objects.py", &["list", "acme-evidence"])).unwrap()
    };
    let second = keys
        .iter()
        .find(|k| k.ends_with("drill-00000002.json"))
        .unwrap();
    assert_eq!(verify().code, 0);
    let text = emulator.python("objects.py", &["get", "acme-evidence", second]);

    // Made to look better, with a seal that fits.
    let mut record = Record::read(text.as_bytes()).unwrap();
    record.result = opsctl::drill::record::Outcome::Passed;
    record.reasons = Vec::new();
    let previous = record.previous_sha256.clone();
    record.seal(2, previous.as_deref());
    let place = open_folder();
    let path = place.path().join("better.json");
    std::fs::write(&path, record.text()).unwrap();
    let path = path.to_str().unwrap();
    emulator.python("objects.py", &["put", "acme-evidence", second, path]);
    let ran = verify();
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    assert!(ran.stdout.contains("has another seal"), "{}", ran.stdout);

    // Taken away, and the next machine knows nothing of it.
    emulator.python("objects.py", &["delete", "acme-evidence", second]);
    assert_eq!(run(&machine()).code, 0);
    let ran = verify();
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    assert!(ran.stdout.contains("record 2 is missing"), "{}", ran.stdout);
    // Whoever had records before goes on all the same.
    let ran = run(&first);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    // Put where it was, by somebody who numbers anew.
    let third = second.replace("00000002", "00000004");
    let text = emulator.python("objects.py", &["get", "acme-evidence", &third]);
    let mut record = Record::read(text.as_bytes()).unwrap();
    let previous = record.previous_sha256.clone();
    record.seal(2, previous.as_deref());
    std::fs::write(path, record.text()).unwrap();
    emulator.python("objects.py", &["put", "acme-evidence", second, path]);
    emulator.python("objects.py", &["delete", "acme-evidence", &third]);
    let ran = verify();
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    let said = words(&ran);
    assert!(
        said.contains("it was replaced") && said.contains("missing at the end"),
        "{said}"
    );
}

/// A project whose sandbox drill waits in its check.
fn slow() -> TempDir {
    let text = "[backups]\n[backups.drill.slow]\nsource = \"rds:orders-prod\"\nlimits = { check_timeout = \"2m\" }\n\
        [[backups.drill.slow.check]]\nsql = \"select 1 from pg_sleep(100)\"\nexpect = \"= 1\"\n";
    project(&[("policies/backups.toml", text)])
}

fn start(dir: &Path, scratch: &Path) -> Child {
    support::command(dir)
        .args([
            "drill",
            "run",
            "slow",
            "-e",
            "prod",
            "--sandbox",
            "--format",
            "json",
        ])
        .env("TMPDIR", scratch)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits until so many journals say that a step has begun.
fn until(dir: &Path, step: &str, runs: usize) {
    let began = Instant::now();
    let wanted = format!("\"step\":\"{step}\"");
    loop {
        let reached = std::fs::read_dir(dir.join(".opsctl/runs"))
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|e| std::fs::read_to_string(e.path()).ok())
            .filter(|text| text.contains(&wanted))
            .count();
        if reached >= runs {
            return;
        }
        assert!(
            began.elapsed() < Duration::from_secs(120),
            "`{step}` never began"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until nothing holds a lock of a dead run: what it was about to start may do so until it has
/// started.
fn released(dir: &Path, scratch: &Path) {
    let began = Instant::now();
    let files = |folder: &Path| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|e| e.path()).collect::<Vec<_>>()
    };
    let folders = files(scratch).into_iter().map(|p| p.join("lock"));
    for path in files(&dir.join(".opsctl/runs")).into_iter().chain(folders) {
        let free = || match std::fs::File::options().write(true).open(&path) {
            Ok(file) => file.try_lock().is_ok(),
            Err(_) => true,
        };
        while !free() {
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "{} is locked",
                path.display()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill")
        .args([format!("-{name}"), child.id().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn signals_end_a_drill_in_every_step_with_a_cleanup_and_a_record() {
    for (name, code, step) in [
        ("INT", 130, "verify"),
        ("TERM", 143, "verify"),
        ("TERM", 143, "wait"),
    ] {
        let (dir, scratch) = (slow(), open_folder());
        let child = start(dir.path(), scratch.path());
        until(dir.path(), step, 1);
        signal(&child, name);
        let ran = support::ran(child.wait_with_output().unwrap());
        assert_eq!(ran.code, code, "{}", ran.stderr);
        let record = &records(&ran)[0];
        assert_eq!(record["result"], "aborted");
        let reason = record["reasons"][0].as_str().unwrap();
        // Between the look at the journal and the signal it may have come further; the checks last.
        let during = [step, "verify"].iter().any(|s| reason.contains(s));
        assert!(reason.contains(&format!("SIG{name}")) && during, "{reason}");
        nothing_left(scratch.path());
        let verified = support::opsctl(dir.path(), &["drill", "verify"]);
        assert_eq!(verified.code, 0, "{}", verified.stdout);
    }
}

#[test]
fn what_a_killed_drill_leaves_is_swept_and_recorded() {
    for (step, by_run) in [
        ("verify", false),
        ("wait", false),
        ("restore", false),
        ("verify", true),
    ] {
        let (dir, scratch) = (slow(), open_folder());
        let mut child = start(dir.path(), scratch.path());
        until(dir.path(), step, 1);
        // While it runs, a second one of the same source is refused, and gc leaves it alone.
        if step == "verify" {
            let second = support::ran(
                start(dir.path(), scratch.path())
                    .wait_with_output()
                    .unwrap(),
            );
            assert_eq!(second.code, 1);
            assert!(
                second.stderr.contains("another drill of rds:orders-prod"),
                "{}",
                second.stderr
            );
            let mut gc = support::command(dir.path());
            gc.args(["drill", "gc", "--sandbox"])
                .env("TMPDIR", scratch.path());
            let gc = support::ran(gc.output().unwrap());
            assert_eq!(gc.code, 0, "{}", gc.stdout);
            assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 1);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        released(dir.path(), scratch.path());
        let gc = |args: &[&str]| {
            let mut command = support::command(dir.path());
            command.args(args).env("TMPDIR", scratch.path());
            support::ran(command.output().unwrap())
        };
        if step == "verify" {
            let dry = gc(&["drill", "gc", "--sandbox", "--dry-run"]);
            assert!(dry.stdout.contains("would remove"), "{}", dry.stdout);
            assert!(!processes_in(scratch.path()).is_empty());
        }
        if by_run {
            let mut next = start(dir.path(), scratch.path());
            until(dir.path(), "verify", 2);
            assert_eq!(
                std::fs::read_dir(scratch.path()).unwrap().count(),
                1,
                "the dead run's folder is gone"
            );
            signal(&next, "TERM");
            next.wait().unwrap();
        } else {
            let swept = gc(&["drill", "gc", "--sandbox"]);
            assert_eq!(swept.code, 0, "{}{}", swept.stdout, swept.stderr);
        }
        nothing_left(scratch.path());
        let listed = support::opsctl(dir.path(), &["drill", "list", "--format", "json"]);
        let killed = &records(&listed)[0];
        assert_eq!(killed["result"], "aborted", "{killed}");
        assert!(
            killed["reasons"][0].as_str().unwrap().contains("killed"),
            "{killed}"
        );
        let verified = support::opsctl(dir.path(), &["drill", "verify"]);
        assert_eq!(verified.code, 0, "{}", verified.stdout);
        let again = gc(&["drill", "gc", "--sandbox"]);
        assert!(again.stdout.contains("Nothing is left"), "{}", again.stdout);
    }
}

#[test]
fn a_check_is_a_query_of_one_value_that_only_reads() {
    let checks = [
        ("select count(*) from orders", "= 48000", None),
        ("select sum(total) from orders", "> 0.5", None),
        (
            "select 12345678901234567890123456789.000000000000000000001::numeric",
            "> 12345678901234567890123456789",
            None,
        ),
        ("select 0.1::float8 + 0.2::float8", "= 0.3", Some("")),
        (
            "select status from orders where id = 1",
            "is not null",
            None,
        ),
        ("select true", "= true", None),
        (
            "select max(created_at) from orders where false",
            "< 24",
            Some("null"),
        ),
        (
            "select id, total from orders limit 1",
            "> 0",
            Some("2 columns"),
        ),
        (
            "select id from orders limit 2",
            "> 0",
            Some("more than one row"),
        ),
        ("select id from orders where false", "> 0", Some("no row")),
        ("delete from order_lines", "> 0", Some("no value")),
        (
            "delete from order_lines returning line",
            "> 0",
            Some("read-only"),
        ),
        (
            "select 1; drop table orders",
            "= 1",
            Some("multiple commands"),
        ),
        ("commit", "= 1", Some("no value")),
        (
            "select set_config('transaction_read_only', 'off', false)",
            "= off",
            Some("read-write mode"),
        ),
        (
            "select nextval('no_such_sequence')",
            "> 0",
            Some("does not exist"),
        ),
        ("select 1 from pg_sleep(30)", "= 1", Some("timeout")),
        ("select count(*) from order_lines", "= 96000", None),
    ];
    let mut text = String::from(
        "[backups]\n[backups.drill.many]\nsource = \"rds:orders-prod\"\nlimits = { check_timeout = \"2s\" }\n",
    );
    for (sql, expect, _) in checks {
        text.push_str(&format!(
            "[[backups.drill.many.check]]\nsql = {sql:?}\nexpect = {expect:?}\n"
        ));
    }
    let (dir, scratch) = (project(&[("policies/backups.toml", &text)]), open_folder());
    let mut command = support::command(dir.path());
    command
        .args([
            "drill",
            "run",
            "many",
            "-e",
            "prod",
            "--sandbox",
            "--format",
            "json",
        ])
        .env("TMPDIR", scratch.path());
    let ran = support::ran(command.output().unwrap());
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    let record = &records(&ran)[0];
    for ((sql, _, wrong), found) in checks.iter().zip(record["checks"].as_array().unwrap()) {
        assert_eq!(found["passed"], wrong.is_none(), "{sql}: {found}");
        let error = found["error"].as_str().unwrap_or_default();
        assert!(error.contains(wrong.unwrap_or_default()), "{sql}: {found}");
    }
    nothing_left(scratch.path());
}

#[test]
fn the_sandbox_drills_pass_and_fail_as_their_scenarios_say() {
    let dir = TempDir::new().unwrap();
    let ran = support::opsctl(dir.path(), &["drill", "run", "orders", "--sandbox"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stdout.contains("Timeline") && ran.stdout.starts_with("passed"),
        "{}",
        ran.stdout
    );
    let ran = support::opsctl(
        dir.path(),
        &["drill", "run", "orders", "--sandbox", "dartsyn"],
    );
    assert_eq!(ran.code, 2, "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stdout
            .lines()
            .next()
            .unwrap()
            .contains("max(created_at)")
            || ran.stdout.contains("73."),
        "{}",
        ran.stdout
    );
    assert_eq!(support::opsctl(dir.path(), &["drill", "verify"]).code, 0);
    for entry in std::fs::read_dir(dir.path().join(".opsctl/evidence"))
        .unwrap()
        .flatten()
    {
        let path = entry.path();
        if path.extension().is_none_or(|e| e != "json") {
            continue;
        }
        let whole = std::fs::read(&path).unwrap();
        for at in [0, whole.len() / 3, whole.len() / 2, whole.len() - 1] {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            std::fs::write(&path, changed).unwrap();
            let ran = support::opsctl(dir.path(), &["drill", "verify"]);
            assert_eq!(ran.code, 2, "byte {at}: {}", ran.stdout);
        }
        std::fs::write(&path, whole).unwrap();
    }
    assert_eq!(support::opsctl(dir.path(), &["drill", "verify"]).code, 0);
}

/// A real drill publishes how it went; that it passed is found in the bucket, in the metric or on the
/// machine, and where none of them can be read nobody says that all is well.
#[test]
fn that_a_drill_passed_is_published_and_found_again() {
    let emulator = moto();
    put(&emulator, "custom", &[]);
    emulator.python("objects.py", &["bucket", "acme-evidence"]);
    let here = drills(&["custom"], "");
    let scratch = open_folder();
    let published = || -> std::collections::BTreeMap<String, Vec<f64>> {
        serde_json::from_str(&emulator.python("backups_account.py", &["metrics"])).unwrap()
    };
    let status = |dir: &Path, args: &[&str]| {
        let mut all = vec!["drill", "status", "--format", "json"];
        all.extend(args);
        let ran = drill(&emulator, dir, scratch.path(), &all);
        let found = json(&ran)["status"][0].clone();
        let said = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
        (ran.code, said("state"), said("shown_by"))
    };
    let audit = |dir: &Path| {
        let args = ["audit", "backups", "--format", "json"];
        let ran = drill(&emulator, dir, scratch.path(), &args);
        let document = json(&ran);
        let found = document["findings"].as_array().unwrap().iter();
        let overdue = found.filter(|f| f["id"] == "backups.drill-overdue").count();
        (ran.code, overdue)
    };
    let (code, state, _) = status(here.path(), &[]);
    assert_eq!((code, state.as_str()), (2, "overdue"), "it never ran");
    assert_eq!(audit(here.path()), (2, 1));

    // The metric cannot be written: that is told, and the drill has passed all the same.
    emulator.faults(&serde_json::json!([{"service": "cloudwatch", "operation": "PutMetricData", "mode": "deny", "times": -1}]));
    let ran = drill(&emulator, here.path(), scratch.path(), &["drill", "run"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stderr.contains("its metrics were not published")
            && ran.stderr.contains("PutMetricData"),
        "{}",
        ran.stderr
    );
    assert!(published().is_empty());
    emulator.no_faults();
    let (code, state, shown_by) = status(here.path(), &[]);
    assert_eq!(
        (code, state.as_str()),
        (0, "ok"),
        "the record on this machine shows it"
    );
    assert!(shown_by.starts_with("20"), "{shown_by}");
    let elsewhere = drills(&["custom"], "");
    assert_eq!(status(elsewhere.path(), &[]).0, 2, "nobody else can know");
    // It can be told afterwards, from the machine that knows.
    assert_eq!(status(here.path(), &["--publish"]).0, 0);
    let days = published()["DaysSincePassed shop prod custom"][0];
    assert!((0.0..0.1).contains(&days), "{days}");

    let ran = drill(&emulator, here.path(), scratch.path(), &["drill", "run"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let found = published();
    assert_eq!(found["Passed shop prod custom"], [1.0]);
    assert!(found["RecoverySeconds shop prod custom"][0] > 0.0);
    assert!(found["RecoveryPointAgeSeconds shop prod custom"][0] >= 0.0);
    let (code, state, shown_by) = status(elsewhere.path(), &[]);
    assert_eq!((code, state.as_str()), (0, "ok"));
    assert_eq!(shown_by, "metric opsctl/Drill Passed");
    assert_eq!(audit(elsewhere.path()), (0, 0));
    // A pass of one source says nothing about another, whatever the drill is called.
    let policy = elsewhere.path().join("policies/backups.toml");
    let text = std::fs::read_to_string(&policy).unwrap();
    std::fs::write(&policy, text.replace("/custom/", "/another/")).unwrap();
    assert_eq!(status(elsewhere.path(), &[]).0, 2);
    std::fs::write(&policy, text).unwrap();

    // Denied, on a machine without records, there is nothing to know it by.
    emulator.faults(&serde_json::json!([{"service": "cloudwatch", "operation": "GetMetricData", "mode": "deny", "times": -1}]));
    assert_eq!(status(elsewhere.path(), &[]).0, 3);
    assert_eq!(audit(elsewhere.path()), (3, 0));
    assert_eq!(status(here.path(), &[]).0, 0, "here the record shows it");
    emulator.no_faults();

    // With an evidence bucket that is what counts; one that cannot be read is not an empty one.
    for dir in [&here, &elsewhere] {
        support::evidence(dir.path(), "acme-evidence", "");
    }
    let ran = drill(&emulator, here.path(), scratch.path(), &["drill", "run"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let (code, _, shown_by) = status(elsewhere.path(), &[]);
    assert!(code == 0 && shown_by.starts_with("20"), "{shown_by}");
    emulator.faults(&serde_json::json!([
        {"service": "s3", "operation": "ListObjectsV2", "mode": "deny", "times": -1},
        {"service": "cloudwatch", "operation": "GetMetricData", "mode": "deny", "times": -1},
    ]));
    assert_eq!(audit(elsewhere.path()), (3, 0));
    emulator.no_faults();

    // A drill of another source with the same name proves nothing of this one.
    let path = elsewhere.path().join("policies/backups.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("/custom/", "/other/")).unwrap();
    emulator.faults(&serde_json::json!([{"service": "cloudwatch", "operation": "GetMetricData", "mode": "deny", "times": -1}]));
    assert_eq!(status(elsewhere.path(), &[]).0, 2);
}
