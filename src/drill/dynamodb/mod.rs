//! `dynamodb:`: a backup or a point in time of a table restored into a new table, looked into, and
//! deleted.

mod preflight;
mod time;
mod verify;

use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::FutureExt;
use jiff::Timestamp;

use super::before::{self, unseen};
use super::journal::CopyThing;
use super::label;
use super::machine::span;
use super::make::{Unmade, make};
use super::pace::{Unseen, poll, settle};
use super::record::{CheckRecord, Cleanup, CopyRecord};
use super::remove::{ours, remove};
use super::source::{Context, Preflight, Source, Stop};
use super::spec::{SourceId, Spec};
use crate::cloud::copies::{Copies, CopyKind};
use crate::cloud::tables::{NewTable, Table, TablePoint, Tables};
use crate::cloud::{Cloud, CloudError};

pub use verify::{Reading, run_checks};

/// Most time that the removal of the copy may take.
const PATIENCE: Duration = Duration::from_secs(20 * 60);

/// A copy that was asked for.
struct Asked {
    thing: CopyThing,
    /// `None`: no answer has come.
    resource_id: Option<String>,
}

/// A DynamoDB table.
pub struct DynamoDb<'a> {
    cloud: &'a dyn Cloud,
    copies: &'a dyn Copies,
    tables: &'a dyn Tables,
    spec: &'a Spec,
    run_id: &'a str,
    name: String,
    region: String,
    source: Option<Table>,
    point: Option<TablePoint>,
    data_time: Option<Timestamp>,
    asked: Option<Asked>,
    tagged: bool,
}

impl<'a> DynamoDb<'a> {
    /// `None`: the drill has another kind of source, or the account has no tables.
    pub fn new(cloud: &'a dyn Cloud, spec: &'a Spec, run_id: &'a str) -> Option<DynamoDb<'a>> {
        let SourceId::DynamoDb(name) = &spec.id else {
            return None;
        };
        Some(DynamoDb {
            cloud,
            copies: cloud.copies()?,
            tables: cloud.tables()?,
            spec,
            run_id,
            name: name.clone(),
            region: String::new(),
            source: None,
            point: None,
            data_time: None,
            asked: None,
            tagged: false,
        })
    }

    fn copy_name(&self) -> String {
        label::copy_name(CopyKind::Table, &self.name, self.run_id)
    }

    fn prepared(&self) -> Result<(&Table, &TablePoint), Stop> {
        match (&self.source, &self.point) {
            (Some(source), Some(point)) => Ok((source, point)),
            _ => Err(Stop::could_not_run("the drill was not prepared")),
        }
    }

    /// What is about to be asked for, noted by AWS's clock.
    async fn thing(&self) -> Result<CopyThing, Stop> {
        let target = &self.spec.target;
        // The account once more, right before money is spent; and AWS's clock with it.
        before::account(self.cloud, &self.spec.target).await?;
        let (source, _) = self.prepared()?;
        let intent = self.copies.now();
        Ok(CopyThing {
            kind: CopyKind::Table,
            environment: target.environment.clone(),
            account: target.account.clone(),
            region: self.region.clone(),
            id: self.copy_name(),
            run_id: self.run_id.to_owned(),
            intent,
            until: before::until(self.spec, intent),
            source: self.name.clone(),
            source_resource_id: source.id.clone(),
            cluster: None,
        })
    }

    /// Asks for the copy; from here on the cleanup knows of it.
    async fn ask(&mut self, context: &Context<'_>, thing: CopyThing) -> Result<String, Stop> {
        let (_, point) = self.prepared()?;
        let new = NewTable {
            name: thing.id.clone(),
            region: self.region.clone(),
            indexes: self.spec.restore.indexes,
        };
        let (point, target, tables) = (point.clone(), &self.spec.target, self.tables);
        let call = || {
            let (point, new) = (point.clone(), new.clone());
            async move { tables.restore_table(target, &point, &new).await }.boxed()
        };
        self.asked = Some(Asked {
            thing: thing.clone(),
            resource_id: None,
        });
        match make(self.cloud, context, target, &thing, &call).await {
            Ok(id) => {
                if let Some(asked) = &mut self.asked {
                    asked.resource_id = Some(id.clone());
                }
                Ok(id)
            }
            Err(unmade) => {
                if unmade.nothing_made() {
                    self.asked = None;
                }
                Err(stop_of(unmade))
            }
        }
    }

    /// Gives the copy its tags, which a restore does not take. `Ok(false)`: not yet.
    ///
    /// # Errors
    /// It will not work later either.
    async fn tag(&mut self, context: &Context<'_>) -> Result<bool, Stop> {
        if self.tagged {
            return Ok(true);
        }
        let asked = self
            .asked
            .as_ref()
            .ok_or_else(|| Stop::could_not_run("the drill was not prepared"))?;
        let claim = asked
            .thing
            .claim(&self.spec.target, asked.resource_id.as_deref());
        // All guards: this changes a table.
        let leave = match ours(self.cloud, &claim).await {
            Ok(leave) => leave,
            Err(why) => {
                context.progress(&format!("not tagged yet: {why}"));
                return Ok(false);
            }
        };
        match self.copies.set_tags(&leave, &asked.thing.tags()).await {
            Ok(()) => {
                self.tagged = true;
                Ok(true)
            }
            // While it is being made.
            Err(e)
                if e.is_transient()
                    || e.code == "ResourceInUseException"
                    || e.code == "ResourceNotFoundException" =>
            {
                context.progress(&format!("not tagged yet: {e}"));
                Ok(false)
            }
            Err(e) => Err(unseen("the copy cannot be tagged", &e)),
        }
    }

    /// Waits until the copy can be read and bears its tags; every failure state ends it at once.
    async fn until_ready(&mut self, context: &Context<'_>) -> Result<String, Stop> {
        let began = Instant::now();
        let mut unseen_yet = Unseen::begin();
        let mut ready_at = None;
        let (name, id) = match &self.asked {
            Some(asked) => (asked.thing.id.clone(), asked.resource_id.clone()),
            None => return Err(Stop::could_not_run("the drill was not prepared")),
        };
        let mut been = Vec::<String>::new();
        loop {
            let looked = self
                .tables
                .table(&self.spec.target, &self.region, &name)
                .await;
            let looked = looked.map(|t| t.filter(|t| id.as_ref().is_none_or(|id| &t.id == id)));
            match looked {
                Ok(Some(table)) => {
                    if been.last() != Some(&table.status) {
                        been.push(table.status.clone());
                    }
                    let told = span(began.elapsed().as_secs_f64());
                    context.progress(&format!("{} for {told}", table.status));
                    let ready = match table.status.as_str() {
                        "ACTIVE" | "UPDATING" => !table.restoring,
                        "CREATING" => false,
                        other => {
                            let why = format!(
                                "the table {name} is {other} ({}), after {}",
                                meaning(other),
                                been.join(", ")
                            );
                            return Err(match other {
                                "DELETING" => Stop::could_not_run(why),
                                _ => Stop::failed(why),
                            });
                        }
                    };
                    let tagged = self.tag(context).await?;
                    if ready && tagged {
                        return Ok(format!("{name} is {}", table.status));
                    }
                    if ready {
                        let since = *ready_at.get_or_insert_with(Instant::now);
                        if since.elapsed() > settle() {
                            return Err(Stop::could_not_run(format!(
                                "the table {name} takes no tags, so that nobody else could tell that it is a drill's"
                            )));
                        }
                    }
                }
                Ok(None) if unseen_yet.may_come() => context.progress("not seen yet"),
                Ok(None) => {
                    return Err(Stop::could_not_run(format!(
                        "the table {name} is not there: somebody deleted it"
                    )));
                }
                // A state that could not be read is no state.
                Err(e) if e.is_transient() => context.progress(&e.to_string()),
                Err(e) => return Err(unseen("the copy cannot be seen", &e)),
            }
            tokio::time::sleep(poll()).await;
        }
    }
}

/// What a state means. Source: DynamoDB API reference, TableDescription, `TableStatus`.
fn meaning(status: &str) -> &'static str {
    match status {
        "INACCESSIBLE_ENCRYPTION_CREDENTIALS" => "its KMS key cannot be used",
        "ARCHIVING" | "ARCHIVED" => "its KMS key was out of reach for more than seven days",
        "REPLICATION_NOT_AUTHORIZED" => "it may not replicate",
        "DELETING" => "somebody deletes it",
        _ => "a state that a restore does not pass through",
    }
}

/// How a refused call reads to the drill.
fn stop_of(unmade: Unmade) -> Stop {
    let error: CloudError = match unmade {
        Unmade::NotNoted(stop) => return stop,
        Unmade::Taken(why) => return Stop::could_not_run(why),
        Unmade::Lost(e) => {
            return Stop::could_not_run(format!("what became of the restore is not known: {e}"));
        }
        Unmade::Refused(e) => e,
    };
    let text = format!("the restore was refused: {error}");
    match error.code.as_str() {
        // These say that the backup is not what it should be.
        "BackupNotFoundException"
        | "BackupInUseException"
        | "InvalidRestoreTimeException"
        | "PointInTimeRecoveryUnavailableException" => Stop::failed(text),
        "LimitExceededException" => Stop::CouldNotRun(
            text,
            Some(
                "too many restores, tables or index changes at a time: try again later".to_owned(),
            ),
        ),
        _ => unseen("the restore was refused", &error),
    }
}

#[async_trait]
impl Source for DynamoDb<'_> {
    async fn preflight(&mut self, now: Timestamp) -> Result<Preflight, Stop> {
        self.looked(now).await
    }

    async fn restore(&mut self, context: &Context<'_>) -> Result<CopyRecord, Stop> {
        let id = self.copy_name();
        let name = id.clone();
        let made = context
            .step("restore", async {
                let thing = self.thing().await?;
                let made = self.ask(context, thing).await?;
                // DynamoDB may take the tags only later; `wait` sees to it.
                self.tag(context).await?;
                Ok((made.clone(), format!("table {name} ({made})")))
            })
            .await?;
        Ok(CopyRecord {
            id,
            resource_id: Some(made),
            instance_class: None,
        })
    }

    async fn wait(&mut self, context: &Context<'_>) -> Result<(), Stop> {
        context
            .step("wait", async {
                let told = self.until_ready(context).await?;
                Ok(((), told))
            })
            .await
    }

    async fn verify(&mut self, context: &Context<'_>) -> Result<Vec<CheckRecord>, Stop> {
        let (source, copy) = match (&self.source, &self.asked) {
            (Some(source), Some(asked)) => (source.name.clone(), asked.thing.id.clone()),
            _ => return Err(Stop::could_not_run("the drill was not prepared")),
        };
        let reading = Reading {
            tables: self.tables,
            region: self.region.clone(),
            source,
            copy,
            data_time: self.data_time,
            now: self.copies.now(),
        };
        run_checks(&reading, context).await
    }

    async fn cleanup(&mut self) -> Cleanup {
        let mut out = Cleanup {
            deleted: true,
            ..Cleanup::default()
        };
        let Some(asked) = &self.asked else {
            out.proof.push("nothing had been made".to_owned());
            return out;
        };
        let claim = asked
            .thing
            .claim(&self.spec.target, asked.resource_id.as_deref());
        let say = |text: &str| tracing::info!(copy = asked.thing.id, "{text}");
        let removed = remove(self.cloud, &claim, PATIENCE, &say).await;
        removed.note(&mut out);
        out
    }
}
