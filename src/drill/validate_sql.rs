//! The copy of a restore test that is a database: found in RDS, asked by SQL.
//!
//! The copy has the users and passwords of its source. Nothing about it is changed, so the password
//! comes from `connect.password_env`, or else from `PGPASSWORD`, as it does for a scratch server.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::before::unseen;
use super::checks::sql_checks;
use super::driver::Driver;
use super::probe::{Address, Authorities, Connection};
use super::record::{CheckRecord, CopyRecord, SourceRecord};
use super::scratch::Secret;
use super::source::{Context, Stop};
use super::spec::SourceId;
use super::tunnel::{Tunnel, reach};
use super::validate::{Checker, Looked};
use super::way::{is_the_copy, leads_to_the_copy};
use crate::cloud::copies::{Copies, CopyKind, CopySeen};
use crate::cloud::databases::{Database, Databases};
use crate::config::later::Via;

/// A database that AWS Backup restored.
pub struct SqlCopy<'a> {
    copies: &'a dyn Copies,
    databases: &'a dyn Databases,
    region: &'a str,
    /// Its name, which [`super::restore_test::copy_of`] has looked at.
    id: String,
    password: Option<String>,
    driver: Option<Driver>,
    connection: Option<Connection>,
    tunnel: Option<Tunnel>,
    /// By AWS's clock.
    made: Option<Timestamp>,
    warnings: Vec<String>,
}

impl<'a> SqlCopy<'a> {
    pub fn new(
        copies: &'a dyn Copies,
        databases: &'a dyn Databases,
        region: &'a str,
        id: String,
        password: Option<String>,
    ) -> SqlCopy<'a> {
        SqlCopy {
            copies,
            databases,
            region,
            id,
            password,
            driver: None,
            connection: None,
            tunnel: None,
            made: None,
            warnings: Vec::new(),
        }
    }

    fn kind(context: &Context<'_>) -> CopyKind {
        match context.spec.id {
            SourceId::Aurora(_) => CopyKind::Cluster,
            _ => CopyKind::Instance,
        }
    }

    /// What it is besides: its engine above all.
    async fn described(&self, context: &Context<'_>) -> Result<Database, Stop> {
        let target = &context.spec.target;
        let found = match Self::kind(context) {
            CopyKind::Cluster => self.databases.cluster(target, self.region, &self.id).await,
            _ => self.databases.instance(target, self.region, &self.id).await,
        };
        found
            .map_err(|e| unseen("the copy cannot be seen", &e))?
            .ok_or_else(|| Stop::could_not_run(format!("{} is not there any more", self.id)))
    }

    async fn look(&self, context: &Context<'_>) -> Result<CopySeen, Stop> {
        let spec = context.spec;
        let kind = Self::kind(context);
        let seen = self
            .copies
            .look(&spec.target, self.region, kind, &self.id)
            .await
            .map_err(|e| unseen("the copy cannot be seen", &e))?;
        let Some(seen) = seen else {
            return Err(Stop::could_not_run(format!(
                "AWS Backup says that it made {kind} {}, and RDS says that there is none in {}",
                self.id, self.region
            )));
        };
        if seen.status != "available" {
            return Err(Stop::could_not_run(format!(
                "{} is {}, not available",
                seen.shown(),
                seen.status
            )));
        }
        if kind == CopyKind::Cluster && seen.members.is_empty() {
            return Err(Stop::CouldNotRun(
                format!(
                    "{} has no instance, so nothing can be asked of it: AWS Backup restores clusters without one",
                    seen.shown()
                ),
                Some(
                    "add an instance to the cluster before the validator runs, and delete it afterwards: AWS Backup cannot delete a cluster with an instance in it"
                        .to_owned(),
                ),
            ));
        }
        Ok(seen)
    }
}

#[async_trait]
impl Checker for SqlCopy<'_> {
    async fn find(&mut self, context: &Context<'_>) -> Result<Looked, Stop> {
        let seen = self.look(context).await?;
        let database = self.described(context).await?;
        let spec = context.spec;
        let driver = Driver::of_engine(&database.engine).ok_or_else(|| {
            Stop::could_not_run(format!(
                "{} is one of {}, which this version does not speak",
                seen.shown(),
                database.engine
            ))
        })?;
        driver.ready().map_err(Stop::could_not_run)?;
        self.driver = Some(driver);
        let connect = spec.connect.as_ref();
        let via = connect.map(|c| c.via.clone()).unwrap_or_default();
        leads_to_the_copy(&via)?;
        self.made = seen.created;
        // A fixed address needs no endpoint.
        let (endpoint, own_port) = match (&seen.endpoint, &via) {
            (Some(endpoint), _) => endpoint.clone(),
            (None, Via::Address(_)) => (seen.id.clone(), 0),
            (None, _) => {
                let why = format!("{} has no endpoint", seen.shown());
                return Err(Stop::could_not_run(why));
            }
        };
        let (host, port, tunnel) = reach(&via, &endpoint, own_port)
            .await
            .map_err(Stop::could_not_run)?;
        self.tunnel = tunnel;
        let connection = Connection {
            address: Address::Host(host),
            port,
            user: connect
                .and_then(|c| c.user.clone())
                .or(database.master_user.clone())
                .unwrap_or_else(|| driver.user().to_owned()),
            password: self.password.clone().map(Secret::new),
            database: connect
                .and_then(|c| c.database.clone())
                .or(database.database_name.clone())
                .unwrap_or_else(|| driver.database().to_owned()),
            authorities: connect
                .and_then(|c| c.ca_file.as_ref())
                .map(|file| Authorities {
                    file: PathBuf::from(file),
                    name: endpoint,
                }),
        };
        self.connection = Some(connection);
        Ok(Looked {
            copy: CopyRecord {
                id: seen.id.clone(),
                resource_id: seen.resource_id.clone(),
                instance_class: database.instance_class,
            },
            source: SourceRecord {
                engine: Some(database.engine),
                engine_version: database.engine_version,
                encrypted: database.encrypted,
                ..SourceRecord::default()
            },
        })
    }

    async fn verify(&mut self, context: &Context<'_>) -> Result<Vec<CheckRecord>, Stop> {
        let (Some(connection), Some(driver)) = (&self.connection, self.driver) else {
            return Err(Stop::could_not_run("there is no connection"));
        };
        driver.ping(connection).await.map_err(|e| {
            Stop::CouldNotRun(
                format!(
                    "the copy cannot be reached at {} as {}: {e}{}",
                    connection.shown(),
                    connection.user,
                    self.tunnel.as_ref().map(Tunnel::said).unwrap_or_default()
                ),
                Some(
                    "the copy has the users and passwords of its source: PGPASSWORD, or the variable in connect.password_env, holds the one of connect.user; connect.via says how it is reached"
                        .to_owned(),
                ),
            )
        })?;
        // The copy has the passwords of its source: whoever let us in need not be the copy.
        let via = context.spec.connect.as_ref().map(|c| c.via.clone());
        let age = self.made.map(|at| self.copies.now().duration_since(at));
        let age = age.and_then(|age| Duration::try_from(age).ok());
        let unproven = is_the_copy(
            driver,
            connection,
            &via.unwrap_or_default(),
            age.unwrap_or_default(),
        )
        .await?;
        self.warnings.extend(unproven);
        sql_checks(context, driver, connection, self.tunnel.as_ref()).await
    }

    async fn close(&mut self) {
        self.connection = None;
        if let Some(tunnel) = self.tunnel.take() {
            tunnel.close().await;
        }
    }

    fn warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }
}
