//! The databases that drills can look into, by the engine that the service names.

use std::time::{Duration, Instant};

use super::expect::Actual;
use super::probe::{self, CONNECT, Connection, NoValue};
use super::record::CheckRecord;
use super::spec::Check;

/// What became of the connection of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Held,
    /// Lost while the server worked on the check.
    Lost,
    /// There was none.
    Never,
}

/// A kind of database whose SQL drills speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    Postgres,
    /// MySQL and MariaDB.
    MySql,
}

#[cfg(not(feature = "mysql"))]
const WITHOUT: &str = "this opsctl was built without the feature `mysql`, so it cannot look into MySQL and MariaDB; build it with `--features mysql`";

impl Driver {
    /// Of an engine as RDS names it: `postgres`, `aurora-postgresql`, `mysql`, `mariadb`,
    /// `aurora-mysql`. Source: RDS API reference, CreateDBInstance `Engine`.
    pub fn of_engine(engine: &str) -> Option<Driver> {
        match engine {
            "postgres" | "aurora-postgresql" => Some(Driver::Postgres),
            "mysql" | "mariadb" | "aurora-mysql" | "aurora" => Some(Driver::MySql),
            _ => None,
        }
    }

    /// The user where nothing else is said: RDS proposes these names for the master user.
    pub fn user(self) -> &'static str {
        match self {
            Driver::Postgres => "postgres",
            Driver::MySql => "admin",
        }
    }

    /// A database that every server has.
    pub fn database(self) -> &'static str {
        match self {
            Driver::Postgres => "postgres",
            Driver::MySql => "mysql",
        }
    }

    /// # Errors
    /// This program was built without it; said before anything is restored.
    pub fn ready(self) -> Result<(), String> {
        match self {
            Driver::Postgres => Ok(()),
            #[cfg(feature = "mysql")]
            Driver::MySql => Ok(()),
            #[cfg(not(feature = "mysql"))]
            Driver::MySql => Err(WITHOUT.to_owned()),
        }
    }

    /// Whether the server lets us in.
    ///
    /// # Errors
    /// Why not.
    pub async fn ping(self, connection: &Connection) -> Result<(), String> {
        match self {
            Driver::Postgres => probe::ping(connection).await,
            #[cfg(feature = "mysql")]
            Driver::MySql => super::probe_mysql::ping(connection).await,
            #[cfg(not(feature = "mysql"))]
            Driver::MySql => Err(WITHOUT.to_owned()),
        }
    }

    /// The version of the server, as it says it.
    ///
    /// # Errors
    /// What the server answers.
    pub async fn version(self, connection: &Connection) -> Result<String, String> {
        match self {
            Driver::Postgres => probe::version(connection).await,
            #[cfg(feature = "mysql")]
            Driver::MySql => super::probe_mysql::version(connection).await,
            #[cfg(not(feature = "mysql"))]
            Driver::MySql => Err(WITHOUT.to_owned()),
        }
    }

    async fn ask(
        self,
        connection: &Connection,
        sql: &str,
        limit: Duration,
    ) -> Result<Actual, NoValue> {
        match self {
            Driver::Postgres => probe::ask(connection, sql, limit).await,
            #[cfg(feature = "mysql")]
            Driver::MySql => super::probe_mysql::ask(connection, sql, limit).await,
            #[cfg(not(feature = "mysql"))]
            Driver::MySql => Err(WITHOUT.into()),
        }
    }

    /// How long the server is up. Sources: PostgreSQL documentation, `pg_postmaster_start_time`;
    /// MySQL manual, server status variable `Uptime` in `performance_schema.global_status`, which
    /// MariaDB has in `information_schema.global_status`.
    ///
    /// # Errors
    /// What the server answers.
    pub async fn uptime(self, connection: &Connection) -> Result<Duration, String> {
        let asked: &[&str] = match self {
            Driver::Postgres => {
                &["select extract(epoch from now() - pg_postmaster_start_time())::bigint"]
            }
            Driver::MySql => &[
                "select variable_value from performance_schema.global_status where variable_name = 'Uptime'",
                "select variable_value from information_schema.global_status where variable_name = 'UPTIME'",
            ],
        };
        let mut last = String::new();
        for sql in asked {
            match self.ask(connection, sql, CONNECT).await {
                Ok(found) => match found.to_string().trim().parse::<f64>() {
                    Ok(up) => {
                        return Ok(Duration::try_from_secs_f64(up.max(0.0)).unwrap_or_default());
                    }
                    Err(_) => last = format!("`{found}` is no number"),
                },
                Err(NoValue::Refused(e) | NoValue::Lost(e) | NoValue::Unasked(e)) => last = e,
            }
        }
        Err(last)
    }

    /// Runs one check on a connection of its own. With it what became of the connection: if it did not
    /// hold, the record says nothing about the data.
    pub async fn check(
        self,
        connection: &Connection,
        check: &Check,
        limit: Duration,
    ) -> (CheckRecord, Way) {
        let began = Instant::now();
        let asked =
            tokio::time::timeout(limit + CONNECT * 2, self.ask(connection, &check.sql, limit));
        let asked = asked
            .await
            // The server ends a statement at its limit, so silence is that of the connection.
            .unwrap_or_else(|_| {
                let why = format!("no answer within {} s", limit.as_secs());
                Err(NoValue::Lost(why))
            });
        let (actual, held) = match &asked {
            Ok(actual) => (Some(actual), check.expectation.holds(actual)),
            Err(NoValue::Refused(e) | NoValue::Lost(e) | NoValue::Unasked(e)) => {
                (None, Err(e.clone()))
            }
        };
        let record = CheckRecord {
            sql: check.sql.clone(),
            expect: check.expect.clone(),
            actual: actual.map(|a| probe::shortened(&a.to_string())),
            passed: held == Ok(true),
            duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            error: held.err(),
        };
        let way = match asked {
            Ok(_) | Err(NoValue::Refused(_)) => Way::Held,
            Err(NoValue::Lost(_)) => Way::Lost,
            Err(NoValue::Unasked(_)) => Way::Never,
        };
        (record, way)
    }
}
