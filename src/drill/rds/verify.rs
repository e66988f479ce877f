//! From an available copy to the checks: the password, the way there, the connection.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{Asked, Rds};
use crate::cloud::copies::{CopyKind, CopySeen};
use crate::config::later::Via;
use crate::drill::checks::sql_checks;
use crate::drill::driver::Driver;
use crate::drill::machine::span;
use crate::drill::pace::{poll, settle};
use crate::drill::probe::{Address, Authorities, Connection};
use crate::drill::record::{CheckRecord, SourceRecord};
use crate::drill::remove::ours;
use crate::drill::scratch::Secret;
use crate::drill::source::{Context, Stop};
use crate::drill::tunnel::{Tunnel, reach};
use crate::drill::way::is_the_copy;

/// Tries of the call that sets the password, with a look before each.
const TRIES: u32 = 6;
/// Looks in a row at an available copy without pending changes before its password counts as set: it
/// is available for a moment before the reset begins, too.
const STEADY: u32 = 2;
/// How long a copy may refuse connections after it is available.
const PATIENCE: Duration = Duration::from_secs(180);
/// Least such time, however fast the polling: an instance sets its new password in its own time.
const AT_LEAST: Duration = Duration::from_secs(6);

impl Rds<'_> {
    pub(super) async fn checked(
        &mut self,
        context: &Context<'_>,
    ) -> Result<Vec<CheckRecord>, Stop> {
        if self.spec.checks.is_empty() {
            return Ok(Vec::new());
        }
        let password = match self.own_password() {
            Some(password) => password,
            None => self.reset_password(context).await?,
        };
        let connection = self.way_there(context, password).await?;
        let driver = self.driver();
        self.let_in(context, driver, &connection).await?;
        let via = self.spec.connect.as_ref().map(|c| c.via.clone());
        let age = self.keeper()?.at.elapsed();
        let unproven = is_the_copy(driver, &connection, &via.unwrap_or_default(), age).await?;
        self.warnings.extend(unproven);
        if let (Ok(version), Some(source)) = (driver.version(&connection).await, &self.source) {
            self.learned = Some(SourceRecord {
                id: self.spec.source.clone(),
                resource_id: Some(source.resource_id.clone()),
                engine: Some(source.engine.clone()),
                // The copy's own word, without the build that Debian and others put behind it.
                engine_version: version.split(' ').next().map(str::to_owned),
                encrypted: source.encrypted,
            });
        }
        sql_checks(context, driver, &connection, self.tunnel.as_ref()).await
    }

    /// Preflight has found that there is one.
    fn driver(&self) -> Driver {
        let engine = self.source.as_ref().map(|s| s.engine.as_str());
        engine
            .and_then(Driver::of_engine)
            .unwrap_or(Driver::Postgres)
    }

    /// What has the master password: the cluster, or the only instance.
    fn keeper(&self) -> Result<&Asked, Stop> {
        self.asked
            .first()
            .ok_or_else(|| Stop::could_not_run("the drill was not prepared"))
    }

    /// Gives the copy a random master password, which nobody but this process ever sees.
    async fn reset_password(&self, context: &Context<'_>) -> Result<Secret, Stop> {
        let password = Secret::generate().map_err(Stop::could_not_run)?;
        let asked = self.keeper()?;
        let managed = self.source.as_ref().is_some_and(|s| s.managed_password);
        context.progress("setting a random master password on the copy");
        let mut tries = 0;
        loop {
            tries += 1;
            // All guards once more: this changes a database.
            let leave = ours(self.cloud, &self.claim(asked))
                .await
                .map_err(|e| Stop::could_not_run(format!("no password was set: {e}")))?;
            match self.copies.set_password(&leave, &password, managed).await {
                Ok(()) => break,
                Err(e) if tries < TRIES && (e.is_transient() || e.code.contains("InvalidDB")) => {
                    context.progress(&e.to_string());
                    tokio::time::sleep(poll()).await;
                }
                Err(e) => {
                    return Err(Stop::CouldNotRun(
                        format!("the password of the copy cannot be set: {e}"),
                        Some("with connect.password_env the drill uses a password of yours and sets none".to_owned()),
                    ));
                }
            }
        }
        let mut steady = 0;
        while steady < STEADY {
            tokio::time::sleep(poll()).await;
            let copy = self.until_ready(context, asked).await?;
            steady = match copy.pending_changes {
                true => 0,
                false => steady + 1,
            };
        }
        Ok(password)
    }

    /// The endpoint of the copy, once it has one.
    async fn endpoint(&self, context: &Context<'_>) -> Result<(String, u16), Stop> {
        let asked = self.keeper()?;
        let began = Instant::now();
        loop {
            let copy: CopySeen = self.until_ready(context, asked).await?;
            if let Some(endpoint) = copy.endpoint {
                return Ok(endpoint);
            }
            if began.elapsed() > settle() {
                return Err(Stop::could_not_run(format!(
                    "{} {} is available and has no endpoint",
                    asked.thing.kind, asked.thing.id
                )));
            }
            tokio::time::sleep(poll()).await;
        }
    }

    async fn way_there(
        &mut self,
        context: &Context<'_>,
        password: Secret,
    ) -> Result<Connection, Stop> {
        let (host, port) = self.endpoint(context).await?;
        let connect = self.spec.connect.clone();
        let via = connect.as_ref().map(|c| c.via.clone()).unwrap_or_default();
        if matches!(via, Via::Command(_)) {
            context.progress("opening the tunnel");
        }
        let (at, at_port, tunnel) = reach(&via, &host, port)
            .await
            .map_err(Stop::could_not_run)?;
        self.tunnel = tunnel;
        let source = self.source.as_ref();
        let given = connect.as_ref();
        let user = given
            .and_then(|c| c.user.clone())
            .or(source.and_then(|s| s.master_user.clone()));
        let database = given
            .and_then(|c| c.database.clone())
            .or(source.and_then(|s| s.database_name.clone()));
        Ok(Connection {
            address: Address::Host(at),
            port: at_port,
            user: user.unwrap_or_else(|| self.driver().user().to_owned()),
            password: Some(password),
            database: database.unwrap_or_else(|| self.driver().database().to_owned()),
            authorities: given
                .and_then(|c| c.ca_file.as_ref())
                .map(|file| Authorities {
                    file: PathBuf::from(file),
                    name: host,
                }),
        })
    }

    /// Returns when the copy lets us in.
    async fn let_in(
        &self,
        context: &Context<'_>,
        driver: Driver,
        connection: &Connection,
    ) -> Result<(), Stop> {
        let began = Instant::now();
        let patience = PATIENCE.min(settle() + settle() / 2).max(AT_LEAST);
        loop {
            let why = match driver.ping(connection).await {
                Ok(()) => return Ok(()),
                Err(why) => why,
            };
            let database = &connection.database;
            // The server is there, and what should be in it is not: invalid_catalog_name of
            // PostgreSQL, ER_BAD_DB_ERROR of MySQL and MariaDB.
            if why.contains("SQLSTATE 3D000") || why.contains("error 1049") {
                return Err(Stop::failed(format!(
                    "the copy has no database {database}: {why}"
                )));
            }
            if began.elapsed() > patience {
                let tunnel = self.tunnel.as_ref().map(Tunnel::said).unwrap_or_default();
                let kind = match self.kind {
                    CopyKind::Cluster => "cluster",
                    _ => "instance",
                };
                return Err(Stop::CouldNotRun(
                    format!(
                        "the {kind} is available, but {} did not let {} into {database} within {}: {why}{tunnel}",
                        connection.shown(),
                        connection.user,
                        span(patience.as_secs_f64())
                    ),
                    Some("a copy in a private network is reached with connect.via: a fixed address, or a command that opens a tunnel".to_owned()),
                ));
            }
            context.progress(&format!("no connection yet: {why}"));
            tokio::time::sleep(poll().min(Duration::from_secs(5))).await;
        }
    }
}
