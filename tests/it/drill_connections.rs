//! Connections to copies that break: they say nothing about the backup, and are told so.

use std::time::Duration;

use opsctl::drill::driver::Driver;
use opsctl::drill::probe::{Address, Connection};
use opsctl::drill::scratch::Secret;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::drill_rds::{Server, Stage};
use crate::support::Ran;

/// A tunnel that ends with its connection of a number (`exit:N`), or cuts off some only (`drop:N`,
/// `drop:N-M`).
const TUNNEL: &str = r#"
import os, socket, sys, threading
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
how, numbers = sys.argv[3].split(":")
first, last = (numbers.split("-") * 2)[:2]
def pump(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
    except OSError:
        pass
    b.close()
count = 0
while True:
    client, _ = listener.accept()
    # The tunnel is asked once whether it is there, and that connection carries nothing.
    if not client.recv(1, socket.MSG_PEEK):
        continue
    count += 1
    if int(first) <= count <= int(last):
        if how == "exit":
            print("the bastion closed the session", file=sys.stderr, flush=True)
            os._exit(255)
        client.close()
        continue
    server = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
    threading.Thread(target=pump, args=(client, server), daemon=True).start()
    threading.Thread(target=pump, args=(server, client), daemon=True).start()
"#;

const CHECKS: [&str; 2] = ["select count(*) from orders", "select max(id) from orders"];

/// One drill whose tunnel breaks so, with these checks.
fn drill(server: &Server, place: &TempDir, how: &str, checks: &[&str]) -> (Ran, Value, Stage) {
    let script = place.path().join("tunnel.py");
    std::fs::write(&script, TUNNEL).unwrap();
    let checks: String = checks
        .iter()
        .map(|sql| {
            format!("[[backups.drill.orders.check]]\nsql = \"{sql}\"\nexpect = \"= 1000\"\n")
        })
        .collect();
    let drill = format!(
        "[backups.drill.orders]\nsource = \"rds:orders\"\n\
         connect = {{ user = \"postgres\", database = \"shop\", password_env = \"DRILL_PASSWORD\", \
         via = {{ command = \"exec python3 {} {{local_port}} {} {how} {{endpoint}}\" }} }}\n{checks}",
        script.display(),
        server.port
    );
    let stage = Stage::new(4, &drill, &server.password());
    stage.rds(&json!({"states": []}));
    let (ran, record) = stage.run(&[]);
    stage.as_before(how);
    (ran, record, stage)
}

fn first_reason(record: &Value) -> &str {
    record["reasons"][0].as_str().unwrap()
}

/// Let in, version, first check, second check.
#[test]
fn a_tunnel_that_dies_is_no_failed_backup() {
    let server = Server::start();
    let place = TempDir::new().unwrap();
    for (number, said) in [
        (3, "in check 1 of 2, and none had passed before"),
        (4, "in check 2 of 2, and 1 of 2 checks had passed"),
    ] {
        let (ran, record, _) = drill(&server, &place, &format!("exit:{number}"), &CHECKS);
        assert_eq!(
            (ran.code, &record["result"]),
            (1, &json!("aborted")),
            "{record:#}"
        );
        let reason = first_reason(&record);
        assert!(
            reason.contains(said) && reason.contains("the bastion closed the session"),
            "{reason}"
        );
    }
    // One connection that breaks is made again.
    for number in 3..=4 {
        let (ran, record, _) = drill(&server, &place, &format!("drop:{number}"), &CHECKS);
        assert_eq!(
            (ran.code, &record["result"]),
            (0, &json!("passed")),
            "{record:#}"
        );
    }
}

/// The server answers before and after, but no session could be opened for the check: it was never
/// asked, so it has not failed.
#[test]
fn a_check_that_was_never_asked_has_not_failed() {
    let server = Server::start();
    let place = TempDir::new().unwrap();
    let (ran, record, _) = drill(&server, &place, "drop:4-6", &CHECKS);
    assert_eq!(
        (ran.code, &record["result"]),
        (1, &json!("aborted")),
        "{record:#}"
    );
    let reason = first_reason(&record);
    assert!(
        reason.contains("in check 2 of 2, and 1 of 2 checks had passed")
            && reason.contains("it answers again"),
        "{reason}"
    );
    // One fewer: the last of three tries is let in.
    let (ran, record, _) = drill(&server, &place, "drop:4-5", &CHECKS);
    assert_eq!(
        (ran.code, &record["result"]),
        (0, &json!("passed")),
        "{record:#}"
    );
}

#[test]
fn a_check_that_breaks_its_connection_has_failed() {
    let server = Server::start();
    let place = TempDir::new().unwrap();
    let checks = [
        "select pg_terminate_backend(pg_backend_pid())::int",
        CHECKS[0],
    ];
    let (ran, record, _) = drill(&server, &place, "exit:1000", &checks);
    assert_eq!(
        (ran.code, &record["result"]),
        (2, &json!("failed")),
        "{record:#}"
    );
    assert!(
        first_reason(&record).contains("lost in each of 3 tries, and the server answers otherwise"),
        "{record:#}"
    );
    assert_eq!(record["checks"][1]["passed"], true, "the others are made");
    // A failure that is known stays one, though the way there is gone afterwards.
    let checks = ["select 1", CHECKS[0]];
    let (ran, record, _) = drill(&server, &place, "exit:4", &checks);
    assert_eq!(
        (ran.code, &record["result"]),
        (2, &json!("failed")),
        "{record:#}"
    );
    assert_eq!(record["checks"].as_array().unwrap().len(), 2);
}

/// What tells a fixed address from one that leads to another server.
#[test]
fn a_server_tells_how_long_it_is_up() {
    let server = Server::start();
    let connection = Connection {
        address: Address::Host("127.0.0.1".to_owned()),
        port: server.port,
        user: "postgres".to_owned(),
        password: Some(Secret::new(server.password())),
        database: "shop".to_owned(),
        authorities: None,
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let up = || {
        runtime
            .block_on(Driver::Postgres.uptime(&connection))
            .unwrap()
    };
    let first = up();
    assert!(first < Duration::from_secs(120), "{first:?}");
    std::thread::sleep(Duration::from_millis(2100));
    let more = up() - first;
    assert!(
        (1..=20).contains(&more.as_secs()),
        "{more:?} after two seconds"
    );
}

#[test]
fn a_fixed_address_that_leads_to_an_older_server_is_told() {
    let server = Server::start();
    let drill = crate::drill_rds::drill(
        "orders",
        "rds:orders",
        &format!(
            "connect = {{ user = \"postgres\", database = \"shop\", password_env = \"DRILL_PASSWORD\", via = \"127.0.0.1:{}\" }}",
            server.port
        ),
    );
    let stage = Stage::new(4, &drill, &server.password());
    stage.rds(&json!({"states": []}));
    for (hours, code, said) in [
        (1, 0, "it is not proven that 127.0.0.1"),
        (30, 1, "it is not the copy"),
    ] {
        server.seems_up_for(hours);
        let (ran, record) = stage.run(&[]);
        assert_eq!(ran.code, code, "{record:#}");
        assert!(record["reasons"].to_string().contains(said), "{record:#}");
        stage.as_before(said);
    }
}
