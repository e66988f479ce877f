//! Checks on a real MariaDB, over the network as on a restored copy.

#![cfg(feature = "mysql")]

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use opsctl::drill::driver::Driver;
use opsctl::drill::expect::Expect;
use opsctl::drill::probe::{Address, Authorities, Connection};
use opsctl::drill::record::CheckRecord;
use opsctl::drill::scratch::Secret;
use opsctl::drill::spec::Check;
use tempfile::TempDir;

const PASSWORD: &str = "only-for-this-test";
const SCHEMA: &str = "\
CREATE DATABASE shop; USE shop;
CREATE TABLE orders (id INT PRIMARY KEY, total DECIMAL(20,2) NOT NULL, note VARCHAR(40),
  placed DATETIME(6) NOT NULL, on_day DATE NOT NULL, share DOUBLE NOT NULL) ENGINE=InnoDB;
INSERT INTO orders VALUES
  (1, 19.90, 'first', '2026-11-01 10:00:00.000250', '2026-11-01', 0.25),
  (2, 12345678901234567.89, NULL, '2026-11-02 11:30:00', '2026-11-02', 0.5);
CREATE USER 'checker'@'%' IDENTIFIED BY 'only-for-this-test';
GRANT ALL ON *.* TO 'checker'@'%';
";

/// A server that ends with the value.
struct Server {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program(name: &str) -> PathBuf {
    let places = [
        "/usr/sbin",
        "/usr/bin",
        "/usr/local/bin",
        "/opt/homebrew/bin",
    ];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = std::env::split_paths(&path).chain(places.map(PathBuf::from));
    all.map(|folder| folder.join(name))
        .find(|p| p.is_file())
        .unwrap_or_else(|| {
            panic!("{name} is missing: run the tests with tests/run (Debian: apt-get install mariadb-server)")
        })
}

impl Server {
    fn start(tls: bool) -> Server {
        let folder = tempfile::Builder::new()
            .prefix("it")
            .tempdir_in("/tmp")
            .unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let data = folder.path().join("data");
        // As root the server has to run as somebody else.
        let id = Command::new("id").arg("-u").output().unwrap().stdout;
        let user = match id.starts_with(b"0\n") {
            true => vec!["--user=mysql"],
            false => vec![],
        };
        // On a machine with much to do the kernel may have no room for InnoDB's own asynchronous I/O.
        let install = || {
            let _ = std::fs::remove_dir_all(&data);
            Command::new(program("mariadb-install-db"))
                .args(["--no-defaults", "--auth-root-authentication-method=normal"])
                .args(["--innodb-use-native-aio=0"])
                .arg(format!("--datadir={}", data.display()))
                .args(&user)
                .output()
                .unwrap()
        };
        let mut made = install();
        for _ in 0..2 {
            if !made.status.success() {
                std::thread::sleep(Duration::from_secs(2));
                made = install();
            }
        }
        assert!(
            made.status.success(),
            "{}{}",
            String::from_utf8_lossy(&made.stdout),
            String::from_utf8_lossy(&made.stderr)
        );
        let schema = folder.path().join("schema.sql");
        // One statement on a line is what --init-file takes.
        let lines: String = SCHEMA.replace('\n', " ").replace("; ", ";\n");
        std::fs::write(&schema, lines).unwrap();
        std::fs::set_permissions(&schema, std::fs::Permissions::from_mode(0o644)).unwrap();
        let mut more = Vec::new();
        if tls {
            let (key, cert) = (
                folder.path().join("key.pem"),
                folder.path().join("cert.pem"),
            );
            let made = Command::new("openssl")
                .args([
                    "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                ])
                .args(["-subj", "/CN=somebody-else"])
                .args(["-addext", "subjectAltName=DNS:somebody-else"])
                .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
                .arg(&key)
                .arg("-out")
                .arg(&cert)
                .output()
                .expect("openssl makes the certificate of the server");
            assert!(made.status.success(), "{made:?}");
            std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
            more.push(format!("--ssl-key={}", key.display()));
            more.push(format!("--ssl-cert={}", cert.display()));
        }
        let port = crate::emulator::free_port();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let child = Command::new(program("mariadbd"))
            .args([
                "--no-defaults",
                "--innodb-use-native-aio=0",
                "--bind-address=127.0.0.1",
                "--skip-name-resolve",
            ])
            .arg(format!("--datadir={}", data.display()))
            .arg(format!("--port={port}"))
            .arg(format!("--socket={}", folder.path().join("s").display()))
            .arg(format!(
                "--pid-file={}",
                folder.path().join("pid").display()
            ))
            .arg(format!("--init-file={}", schema.display()))
            .args(&user)
            .args(&more)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Server {
            child,
            port,
            _folder: folder,
        }
    }

    fn connection(&self, password: &str) -> Connection {
        Connection {
            address: Address::Host("127.0.0.1".into()),
            port: self.port,
            user: "checker".into(),
            password: Some(Secret::new(password.into())),
            database: "shop".into(),
            authorities: None,
        }
    }

    async fn wait(&self) {
        let began = Instant::now();
        loop {
            match Driver::MySql.ping(&self.connection(PASSWORD)).await {
                Ok(()) => return,
                Err(e) if began.elapsed() > Duration::from_secs(180) => {
                    let log = std::fs::read_to_string(self._folder.path().join("log"));
                    panic!("{e}: {}", log.unwrap_or_default())
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
}

async fn check(server: &Server, sql: &str, expect: &str, limit: u64) -> CheckRecord {
    let check = Check {
        sql: sql.into(),
        expect: expect.into(),
        expectation: Expect::parse(expect).unwrap(),
    };
    let connection = server.connection(PASSWORD);
    Driver::MySql
        .check(&connection, &check, Duration::from_secs(limit))
        .await
        .0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checks_give_one_value_and_change_nothing() {
    let server = Server::start(false);
    server.wait().await;
    let version = Driver::MySql.version(&server.connection(PASSWORD)).await;
    assert!(version.unwrap().contains("MariaDB"));
    let up = Driver::MySql.uptime(&server.connection(PASSWORD)).await;
    assert!(
        up.unwrap() < Duration::from_secs(180),
        "it was started just now"
    );

    let passing = [
        ("select count(*) from orders", "= 2", "2"),
        (
            "select max(total) from orders",
            "= 12345678901234567.89",
            "12345678901234567.89",
        ),
        ("select note from orders where id = 1", "= 'first'", "first"),
        (
            "select min(placed) from orders",
            "= '2026-11-01 10:00:00.000250'",
            "2026-11-01 10:00:00.000250",
        ),
        (
            "select max(on_day) from orders",
            "= '2026-11-02'",
            "2026-11-02",
        ),
        (
            "select share from orders where id = 1",
            "between 0.2 and 0.3",
            "0.25",
        ),
        ("select count(*) > 1 from orders", "= 1", "1"),
        (
            "select timestampdiff(second, '2026-11-01', '2026-11-02')",
            "<= 86400",
            "86400",
        ),
        ("select -5", "< 0", "-5"),
    ];
    for (sql, expect, actual) in passing {
        let record = check(&server, sql, expect, 10).await;
        assert!(record.passed, "{record:?}");
        assert_eq!(record.actual.as_deref(), Some(actual), "{sql}");
    }
    let null = check(&server, "select note from orders where id = 2", "= 'x'", 10).await;
    assert!(!null.passed);
    assert_eq!(null.actual.as_deref(), Some("null"));

    let failing = [
        ("select id, total from orders", "one value"),
        ("select id from orders", "more than one row"),
        ("select id from orders where false", "no row"),
        ("select nothing from orders", "1054"),
        ("select 1; select 2", "1064"),
        ("update orders set total = 0", "1792"),
        ("delete from orders returning id", "1792"),
        ("drop table orders", "no value"),
    ];
    for (sql, why) in failing {
        let record = check(&server, sql, "> 0", 10).await;
        assert!(!record.passed, "{record:?}");
        let error = record.error.unwrap_or_default();
        assert!(error.contains(why), "{sql}: {error}");
    }
    let all = check(&server, "select sum(id) from orders", "= 3", 10).await;
    assert!(all.passed, "nothing was changed: {all:?}");

    // The server itself ends what takes too long.
    let began = Instant::now();
    let slow = check(&server, "select sleep(30)", ">= 0", 1).await;
    assert!(!slow.passed, "{slow:?}");
    assert!(began.elapsed() < Duration::from_secs(29), "{slow:?}");

    let refused = Driver::MySql.ping(&server.connection("wrong")).await;
    let refused = refused.unwrap_err();
    assert!(
        refused.contains("1045") && !refused.contains("wrong"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_with_tls_says_is_encrypted() {
    const CIPHER: &str = "select variable_value from information_schema.session_status where variable_name = 'Ssl_cipher'";
    let server = Server::start(true);
    server.wait().await;
    let record = check(&server, CIPHER, "!= ''", 10).await;
    assert!(record.passed, "{record:?}");
    // Held against its certificate, the name in that has to be the server's.
    let strict = |name: &str| Connection {
        authorities: Some(Authorities {
            file: server._folder.path().join("cert.pem"),
            name: name.to_owned(),
        }),
        ..server.connection(PASSWORD)
    };
    let refused = Driver::MySql.ping(&strict("orders.example")).await;
    let refused = refused.unwrap_err().to_lowercase();
    assert!(refused.contains("certificate"), "{refused}");
    assert_eq!(Driver::MySql.ping(&strict("somebody-else")).await, Ok(()));
}
