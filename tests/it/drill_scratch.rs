//! Dumps that are restored on a server that somebody named: nothing of it but the drill's own
//! database changes.

use std::time::Duration;

use opsctl::drill::driver::Driver;
use opsctl::drill::expect::Expect;
use opsctl::drill::probe::{self, Address, Connection};
use opsctl::drill::scratch::Secret;
use opsctl::drill::spec::Check;

use crate::drill::{BUCKET, drill, dumps, open_folder, put};
use crate::drill_rds::Server;
use crate::emulator::moto;
use crate::support::{self, json, project};

#[test]
fn a_named_server_keeps_everything_but_the_drills_own_database() {
    let emulator = moto();
    let server = Server::start();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let at = |database: &str| Connection {
        address: Address::Host("127.0.0.1".to_owned()),
        port: server.port,
        user: "postgres".to_owned(),
        password: Some(Secret::new(server.password())),
        database: database.to_owned(),
        authorities: None,
    };
    let value = |database: &str, sql: &str| {
        let check = Check {
            sql: sql.to_owned(),
            expect: "= 1".to_owned(),
            expectation: Expect::parse("= 1").unwrap(),
        };
        let limit = Duration::from_secs(30);
        let (record, _) = runtime.block_on(Driver::Postgres.check(&at(database), &check, limit));
        record.actual.or(record.error).unwrap()
    };
    runtime.block_on(async {
        probe::create_database(&at("postgres"), "prod")
            .await
            .unwrap();
        let rows = "CREATE TABLE precious AS SELECT 42 AS i";
        probe::fill(&at("prod"), rows).await.unwrap();
    });

    let plain = std::fs::read_to_string(dumps().path("plain")).unwrap();
    let (head, rest) = plain.split_once("SET statement_timeout").unwrap();
    let rest = format!("SET statement_timeout{rest}");
    let create = "DROP DATABASE IF EXISTS prod;\nCREATE DATABASE prod WITH TEMPLATE = template0;\n\
        ALTER DATABASE prod OWNER TO postgres;\n\\connect prod\n";
    let role = "CREATE ROLE intruder;\nALTER ROLE intruder WITH SUPERUSER;\n";
    put(&emulator, "custom", &[]);
    put(&emulator, "plain", &[]);
    for (name, text) in [
        ("create", format!("{head}{create}{rest}")),
        ("role", format!("{head}{role}{rest}")),
        ("shell", format!("{head}\\! touch /tmp/never\n{rest}")),
    ] {
        let key = format!("{name}/2026-11-22.sql");
        let place = open_folder();
        let path = place.path().join(name);
        std::fs::write(&path, text).unwrap();
        let path = path.to_str().unwrap();
        emulator.python("objects.py", &["put", BUCKET, &key, path]);
    }
    for (name, code, said) in [
        ("custom", 0, ""),
        ("plain", 0, ""),
        ("create", 1, "`DROP DATABASE"),
        ("role", 1, "`CREATE ROLE`"),
        ("shell", 1, "`\\!`"),
    ] {
        let policy = format!(
            "[backups]\n[backups.drill.{name}]\nsource = \"s3-dump:{BUCKET}/{name}/\"\n\
             restore = {{ scratch = \"postgres://postgres@127.0.0.1:{}/postgres\" }}\n\
             [[backups.drill.{name}.check]]\nsql = \"select count(*) from public.orders\"\nexpect = \"= 20000\"\n",
            server.port
        );
        let dir = project(&[
            ("policies/backups.toml", &policy),
            (
                "opsctl.toml",
                &support::WORKSPACE.replace(", \"us-east-1\"", ""),
            ),
        ]);
        let scratch = open_folder();
        let mut command = emulator.command(dir.path(), &["drill", "run", "--format", "json"]);
        command
            .env("TMPDIR", scratch.path())
            .env("PGPASSWORD", server.password());
        let ran = support::ran(command.output().unwrap());
        let record = json(&ran)["drills"][0].clone();
        assert_eq!(ran.code, code, "{name}: {record:#}{}", ran.stderr);
        let reason = record["reasons"][0].as_str().unwrap_or_default();
        assert!(reason.contains(said), "{record:#}");
        assert_eq!(record["cleanup"]["deleted"], true, "{record:#}");
        assert_eq!(value("prod", "select i from precious"), "42", "{name}");
        let left = "select string_agg(datname, ' ' order by datname) from pg_database where not datistemplate";
        assert_eq!(value("postgres", left), "postgres prod shop", "{name}");
        let roles = "select count(*) from pg_roles where rolname in ('app', 'intruder')";
        assert_eq!(value("postgres", roles), "0", "{name}");
    }
    // The same dumps are welcome on a server of the drill's own, but for commands of psql.
    for (name, code) in [("role", 0), ("shell", 2)] {
        let policy = format!(
            "[backups]\n[backups.drill.{name}]\nsource = \"s3-dump:{BUCKET}/{name}/\"\n\
             [[backups.drill.{name}.check]]\nsql = \"select count(*) from public.orders\"\nexpect = \"= 20000\"\n"
        );
        let dir = project(&[
            ("policies/backups.toml", &policy),
            (
                "opsctl.toml",
                &support::WORKSPACE.replace(", \"us-east-1\"", ""),
            ),
        ]);
        let scratch = open_folder();
        let args = ["drill", "run"];
        let ran = drill(&emulator, dir.path(), scratch.path(), &args);
        assert_eq!(ran.code, code, "{name}: {}{}", ran.stdout, ran.stderr);
    }
    assert!(!std::path::Path::new("/tmp/never").exists());
}
