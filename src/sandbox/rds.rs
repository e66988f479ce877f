//! A restore drill of an RDS instance in the sandbox: states and times are played, the copy is a
//! real PostgreSQL with the rows that the scenario says.

use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;

use super::world::Database;
use crate::config::later::DrillMethod;
use crate::drill::checks::{self, sql_checks};
use crate::drill::driver::Driver;
use crate::drill::folder::{Folder, RunAs, place};
use crate::drill::journal::Thing;
use crate::drill::probe::{self, Connection};
use crate::drill::probe_seed::{Shop, statements};
use crate::drill::record::{
    CheckRecord, Cleanup, CopyRecord, RecoveryPoint, SourceRecord, seconds_between, to_millis,
};
use crate::drill::scratch::Scratch;
use crate::drill::source::{Context, Preflight, Source, Stop};
use crate::drill::spec::{SourceId, Spec};
use crate::drill::tools::{self, Tools};

/// The sandbox's clock: how long a copy stays in each state.
const IN_A_STATE: Duration = Duration::from_millis(150);
/// States that a copy passes through, as RDS names them.
const STATES: [&str; 3] = ["creating", "backing-up", "modifying"];
/// Seconds that a real copy of this size would take, for `drill plan`: a quarter of an hour, and
/// most of a minute for every 10 GB.
const BASE_SECONDS: f64 = 900.0;
const SECONDS_PER_GB: f64 = 4.0;

/// An RDS instance of a scenario.
pub struct SandboxRds<'a> {
    spec: &'a Spec,
    run_id: &'a str,
    name: String,
    database: Option<Database>,
    denied: bool,
    /// Of one state; tests make it longer or shorter.
    pub state_time: Duration,
    tools: Option<Tools>,
    run_as: Option<RunAs>,
    folder: Option<Folder>,
    scratch: Option<Scratch>,
    connection: Option<Connection>,
}

impl<'a> SandboxRds<'a> {
    /// `None`: the drill has another kind of source.
    pub fn new(
        account: Option<&super::world::Account>,
        spec: &'a Spec,
        run_id: &'a str,
    ) -> Option<SandboxRds<'a>> {
        let SourceId::Rds(name) = &spec.id else {
            return None;
        };
        Some(SandboxRds {
            spec,
            run_id,
            name: name.clone(),
            database: account.and_then(|a| a.databases.get(name).cloned()),
            denied: account
                .is_some_and(|a| a.denied.iter().any(|d| d == "rds:DescribeDBInstances")),
            state_time: IN_A_STATE,
            tools: None,
            run_as: None,
            folder: None,
            scratch: None,
            connection: None,
        })
    }

    /// A name that RDS would take: letters, digits and single hyphens, at most 63.
    fn copy_id(&self) -> String {
        let stamp: String = self
            .run_id
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .collect::<String>()
            .to_lowercase();
        let source: String = self.name.chars().take(63 - 7 - stamp.len()).collect();
        format!("drill-{}-{stamp}", source.trim_end_matches('-'))
    }

    fn resource_id(&self, of: &str) -> String {
        use sha2::{Digest, Sha256};
        let digest =
            hex::encode_upper(Sha256::digest(format!("{}/{of}", self.spec.target.account)));
        format!("db-{}", &digest[..26])
    }

    fn seed(&self) -> Result<&Database, Stop> {
        self.database
            .as_ref()
            .ok_or_else(|| Stop::could_not_run("the drill was not prepared"))
    }

    fn folder(&self) -> Result<&Folder, Stop> {
        self.folder
            .as_ref()
            .ok_or_else(|| Stop::could_not_run("the drill was not prepared"))
    }
}

#[async_trait]
impl Source for SandboxRds<'_> {
    async fn preflight(&mut self, now: Timestamp) -> Result<Preflight, Stop> {
        let tools = tokio::task::spawn_blocking(|| Tools::find(true))
            .await
            .map_err(|e| Stop::could_not_run(e.to_string()))?;
        let Some(tools) = tools.into_iter().next() else {
            return Err(Stop::CouldNotRun(
                "the sandbox restores into a real PostgreSQL, and this machine has none (initdb, postgres, pg_restore, psql): nothing was done".to_owned(),
                Some(tools::INSTALL.to_owned()),
            ));
        };
        self.run_as = RunAs::choose().map_err(Stop::could_not_run)?;
        if self.denied {
            return Err(Stop::could_not_run(format!(
                "rds:DescribeDBInstances: AccessDenied: the source {} cannot be seen",
                self.name
            )));
        }
        let Some(database) = &self.database else {
            return Err(Stop::could_not_run(format!(
                "the scenario has no database in `{}` of environment `{}`",
                self.name, self.spec.target.environment
            )));
        };
        let target = &self.spec.target;
        let region = target.regions.first().cloned().unwrap_or_default();
        let (kind, age, basis) = match self.spec.method {
            DrillMethod::Snapshot => ("snapshot", database.snapshot_age, "SnapshotDatabaseTime"),
            DrillMethod::PointInTime => ("point-in-time", 300, "LatestRestorableTime"),
        };
        let age = SignedDuration::from_secs(i64::try_from(age).unwrap_or(i64::MAX));
        let data_time = to_millis(now.checked_sub(age).unwrap_or(now));
        let arn = match self.spec.method {
            DrillMethod::Snapshot => format!(
                "arn:aws:rds:{region}:{}:snapshot:rds:{}-{}",
                target.account,
                self.name,
                data_time.strftime("%Y-%m-%d-%H-%M")
            ),
            DrillMethod::PointInTime => {
                format!("arn:aws:rds:{region}:{}:db:{}", target.account, self.name)
            }
        };
        let class = self.spec.restore.instance_class.as_deref();
        let class = class.unwrap_or(&database.instance_class).to_owned();
        // On demand, us-east-1: a t4g.medium is 0.065 an hour, larger classes more; storage
        // 0.115 USD per GB and month. Source: RDS price list, 2026.
        let hourly = match class.as_str() {
            "db.t4g.medium" => Decimal::new(65, 3),
            "db.t4g.large" => Decimal::new(129, 3),
            _ => Decimal::new(25, 2),
        };
        let storage = Decimal::from(database.size_gb) * Decimal::new(115, 3) / Decimal::from(730);
        let seconds = BASE_SECONDS + SECONDS_PER_GB * f64::from(database.size_gb);
        let steps = vec![
            format!(
                "restore {arn} as {} ({class}, private, tagged as a drill)",
                self.copy_id()
            ),
            "wait until it is available".to_owned(),
            checks::step(self.spec.checks.len()),
            "delete the copy and wait until it is gone".to_owned(),
        ];
        self.tools = Some(tools);
        Ok(Preflight {
            source: SourceRecord {
                id: self.spec.source.clone(),
                resource_id: Some(self.resource_id(&self.name)),
                engine: Some(database.engine.clone()),
                engine_version: Some(database.engine_version.clone()),
                encrypted: Some(database.encrypted),
            },
            region,
            recovery_point: Some(RecoveryPoint {
                kind: kind.to_owned(),
                arn,
                data_time,
                data_time_basis: basis.to_owned(),
                age_seconds: seconds_between(data_time, now),
                size_bytes: Some(u64::from(database.size_gb) << 30),
            }),
            estimated_cost_usd: (hourly + storage).round_dp(4),
            cost_basis: format!("one hour of {class} and {} GB of storage", database.size_gb),
            estimated_seconds: Some(seconds),
            steps,
            warnings: Vec::new(),
            stop: None,
        })
    }

    async fn restore(&mut self, context: &Context<'_>) -> Result<CopyRecord, Stop> {
        let id = self.copy_id();
        let path = place(self.run_id);
        context
            .step("restore", async {
                context.intent(&Thing::ScratchFolder { path: path.clone() })?;
                let folder =
                    Folder::create(&path, self.run_id, self.run_as).map_err(Stop::could_not_run)?;
                self.folder = Some(folder);
                Ok((
                    (),
                    format!("{id}, in the sandbox a PostgreSQL on this machine"),
                ))
            })
            .await?;
        Ok(CopyRecord {
            resource_id: Some(self.resource_id(&id)),
            id,
            instance_class: self
                .spec
                .restore
                .instance_class
                .clone()
                .or_else(|| self.database.as_ref().map(|d| d.instance_class.clone())),
        })
    }

    async fn wait(&mut self, context: &Context<'_>) -> Result<(), Stop> {
        let tools = self
            .tools
            .clone()
            .ok_or_else(|| Stop::could_not_run("the drill was not prepared"))?;
        context
            .step("wait", async {
                for state in STATES {
                    context.progress(state);
                    tokio::time::sleep(self.state_time).await;
                    if state == "creating" {
                        let scratch = Scratch::start(self.folder()?, &tools, self.spec.user())
                            .await
                            .map_err(Stop::could_not_run)?;
                        self.scratch = Some(scratch);
                    }
                }
                let base = self
                    .scratch
                    .as_ref()
                    .map(|s| s.connection.clone())
                    .ok_or_else(|| Stop::could_not_run("the scratch PostgreSQL has ended"))?;
                let name = self.spec.database();
                if name != "postgres" {
                    probe::create_database(&base, name)
                        .await
                        .map_err(Stop::could_not_run)?;
                }
                let connection = base.on(name);
                let seed = self.seed()?;
                let shop = Shop {
                    orders: seed.orders,
                    newest_seconds: seed.newest_row_age,
                };
                probe::fill(&connection, &statements(&shop))
                    .await
                    .map_err(|e| Stop::could_not_run(format!("the scenario's data: {e}")))?;
                self.connection = Some(connection);
                context.progress("available");
                Ok(((), format!("{}, available", STATES.join(", "))))
            })
            .await
    }

    async fn verify(&mut self, context: &Context<'_>) -> Result<Vec<CheckRecord>, Stop> {
        let connection = self
            .connection
            .as_ref()
            .ok_or_else(|| Stop::could_not_run("there is no connection"))?;
        sql_checks(context, Driver::Postgres, connection, None).await
    }

    async fn cleanup(&mut self) -> Cleanup {
        let mut out = Cleanup {
            deleted: true,
            proof: Vec::new(),
            ..Cleanup::default()
        };
        if let Some(scratch) = self.scratch.take() {
            scratch.stop().await;
            out.proof.push(format!(
                "{} is deleted: its PostgreSQL is stopped",
                self.copy_id()
            ));
        }
        if let Some(folder) = self.folder.take() {
            out.of_folder(folder).await;
        }
        out
    }
}
