//! `rds:` and `aurora:`: a snapshot or a point in time restored into a new database, looked into, and
//! deleted.

mod preflight;
mod states;
mod verify;

use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::FutureExt;
use jiff::Timestamp;

use self::states::{State, meaning, state};
use super::before::{self, unseen};
use super::guard::Claim;
use super::journal::CopyThing;
use super::label;
use super::make::{Unmade, make};
use super::pace::{Unseen, poll};
use super::record::{CheckRecord, Cleanup, CopyRecord, SourceRecord};
use super::remove::{ours, remove};
use super::scratch::Secret;
use super::source::{Context, Preflight, Source, Stop};
use super::spec::{SourceId, Spec};
use super::tunnel::Tunnel;
use crate::cloud::copies::{Copies, CopyKind, CopySeen};
use crate::cloud::databases::{Database, Databases, NewDatabase, Point};
use crate::cloud::{Cloud, CloudError};

/// Most time that the removal of one copy may take. The machine gives the whole cleanup 45 minutes.
const PATIENCE: Duration = Duration::from_secs(20 * 60);

/// A copy that was asked for.
struct Asked {
    thing: CopyThing,
    /// `None`: no answer has come.
    resource_id: Option<String>,
    at: Instant,
}

/// An RDS instance or an Aurora cluster.
pub struct Rds<'a> {
    cloud: &'a dyn Cloud,
    copies: &'a dyn Copies,
    databases: &'a dyn Databases,
    spec: &'a Spec,
    run_id: &'a str,
    name: String,
    kind: CopyKind,
    region: String,
    source: Option<Database>,
    point: Option<Point>,
    new: Option<NewDatabase>,
    /// In the order in which they were asked for.
    asked: Vec<Asked>,
    tunnel: Option<Tunnel>,
    learned: Option<SourceRecord>,
    warnings: Vec<String>,
}

impl<'a> Rds<'a> {
    /// `None`: the drill has another kind of source, or the account has no databases.
    pub fn new(cloud: &'a dyn Cloud, spec: &'a Spec, run_id: &'a str) -> Option<Rds<'a>> {
        let (name, kind) = match &spec.id {
            SourceId::Rds(name) => (name, CopyKind::Instance),
            SourceId::Aurora(name) => (name, CopyKind::Cluster),
            _ => return None,
        };
        Some(Rds {
            cloud,
            copies: cloud.copies()?,
            databases: cloud.databases()?,
            spec,
            run_id,
            // As RDS keeps names.
            name: name.to_lowercase(),
            kind,
            region: String::new(),
            source: None,
            point: None,
            new: None,
            asked: Vec::new(),
            tunnel: None,
            learned: None,
            warnings: Vec::new(),
        })
    }

    /// The user's own password, where one is given; then none is set on the copy.
    fn own_password(&self) -> Option<Secret> {
        let variable = self.spec.connect.as_ref()?.password_env.as_ref()?;
        std::env::var(variable).ok().map(Secret::new)
    }

    /// Everything that the restore is told, but for the tags. `fits`: the groups of the source fit
    /// `version`, that of the recovery point.
    fn planned(
        &self,
        source: &Database,
        class: &str,
        version: Option<String>,
        fits: bool,
    ) -> NewDatabase {
        let restore = &self.spec.restore;
        let group = |given: &Option<String>, own: &Option<String>| {
            given.clone().or(own.clone().filter(|_| fits))
        };
        NewDatabase {
            id: label::copy_name(self.kind, &self.name, self.run_id),
            region: self.region.clone(),
            engine: source.engine.clone(),
            engine_version: version,
            instance_class: Some(class.to_owned()),
            subnet_group: restore.subnet_group.clone().or(source.subnet_group.clone()),
            security_groups: match restore.security_groups.is_empty() {
                true => source.security_groups.clone(),
                false => restore.security_groups.clone(),
            },
            parameter_group: group(&restore.parameter_group, &source.parameter_group),
            cluster_parameter_group: group(
                &restore.cluster_parameter_group,
                &source.cluster_parameter_group,
            ),
            option_group: group(&restore.option_group, &source.option_group),
            lifecycle_support: source.lifecycle_support.clone(),
            serverless_v2: source.serverless_v2.clone(),
            cluster: None,
            tags: Default::default(),
        }
    }

    fn prepared(&self) -> Result<(&Database, &Point, &NewDatabase), Stop> {
        match (&self.source, &self.point, &self.new) {
            (Some(source), Some(point), Some(new)) => Ok((source, point, new)),
            _ => Err(Stop::could_not_run("the drill was not prepared")),
        }
    }

    /// What is about to be asked for, noted by AWS's clock.
    async fn thing(
        &self,
        kind: CopyKind,
        id: &str,
        cluster: Option<String>,
    ) -> Result<CopyThing, Stop> {
        let target = &self.spec.target;
        // The account once more, right before money is spent; and AWS's clock with it.
        before::account(self.cloud, target).await?;
        let (source, ..) = self.prepared()?;
        let intent = self.copies.now();
        Ok(CopyThing {
            kind,
            environment: target.environment.clone(),
            account: target.account.clone(),
            region: self.region.clone(),
            id: id.to_owned(),
            run_id: self.run_id.to_owned(),
            intent,
            until: before::until(self.spec, intent),
            source: self.name.clone(),
            source_resource_id: source.resource_id.clone(),
            cluster,
        })
    }

    /// Asks for one copy; from here on the cleanup knows of it.
    async fn ask(&mut self, context: &Context<'_>, thing: CopyThing) -> Result<String, Stop> {
        let (_, point, new) = self.prepared()?;
        let new = NewDatabase {
            id: thing.id.clone(),
            cluster: thing.cluster.clone(),
            tags: thing.tags(),
            ..new.clone()
        };
        let (point, kind, target) = (point.clone(), self.kind, &self.spec.target);
        let databases = self.databases;
        let call = || {
            let (point, new) = (point.clone(), new.clone());
            async move {
                match (kind, &new.cluster) {
                    (CopyKind::Cluster, None) => {
                        databases.restore_cluster(target, &point, &new).await
                    }
                    (CopyKind::Cluster, Some(_)) => databases.create_member(target, &new).await,
                    _ => databases.restore_instance(target, &point, &new).await,
                }
            }
            .boxed()
        };
        self.asked.push(Asked {
            thing: thing.clone(),
            resource_id: None,
            at: Instant::now(),
        });
        match make(self.cloud, context, target, &thing, &call).await {
            Ok(id) => {
                if let Some(last) = self.asked.last_mut() {
                    last.resource_id = Some(id.clone());
                }
                Ok(id)
            }
            Err(unmade) => {
                if unmade.nothing_made() {
                    self.asked.pop();
                }
                Err(stop_of(unmade))
            }
        }
    }

    fn claim(&self, asked: &Asked) -> Claim {
        asked
            .thing
            .claim(&self.spec.target, asked.resource_id.as_deref())
    }

    /// One look at a copy of ours. `None`: it is not there.
    async fn seen(&self, asked: &Asked) -> Result<Option<CopySeen>, CloudError> {
        let thing = &asked.thing;
        let target = &self.spec.target;
        let seen = self
            .copies
            .look(target, &thing.region, thing.kind, &thing.id)
            .await?;
        Ok(seen.filter(|s| asked.resource_id.is_none() || s.resource_id == asked.resource_id))
    }

    /// Waits until a copy is available and settled; every failure state ends it at once.
    async fn until_ready(&self, context: &Context<'_>, asked: &Asked) -> Result<CopySeen, Stop> {
        let began = Instant::now();
        let mut unseen_yet = Unseen::begin();
        let thing = &asked.thing;
        let mut been = Vec::<String>::new();
        loop {
            match self.seen(asked).await {
                Ok(Some(copy)) => {
                    if been.last() != Some(&copy.status) {
                        been.push(copy.status.clone());
                    }
                    context.progress(&format!(
                        "{} for {}",
                        copy.status,
                        super::machine::span(began.elapsed().as_secs_f64())
                    ));
                    let told = || {
                        format!(
                            "{} {} is {} ({}), after {}",
                            thing.kind,
                            thing.id,
                            copy.status,
                            meaning(&copy.status),
                            been.join(", ")
                        )
                    };
                    match state(&copy.status) {
                        State::Ready if !copy.pending_changes => return Ok(copy),
                        State::Ready | State::OnItsWay => {}
                        State::Broken => return Err(Stop::failed(told())),
                        State::Stuck | State::Leaving => return Err(Stop::could_not_run(told())),
                    }
                }
                Ok(None) if unseen_yet.may_come() => context.progress("not seen yet"),
                Ok(None) => {
                    return Err(Stop::could_not_run(format!(
                        "{} {} is not there: somebody deleted or renamed it",
                        thing.kind, thing.id
                    )));
                }
                // A state that could not be read is no state.
                Err(e) if e.is_transient() => context.progress(&e.to_string()),
                Err(e) => return Err(unseen("the copy cannot be seen", &e)),
            }
            tokio::time::sleep(poll()).await;
        }
    }

    /// Holds a copy against what was asked for: private, and with our tags only. RDS is known to add
    /// the source's tags; they would make the copy look like production.
    async fn settle_in(&self, asked: &Asked, copy: &CopySeen) -> Result<(), Stop> {
        if copy.publicly_accessible == Some(true) && copy.kind == CopyKind::Instance {
            return Err(Stop::could_not_run(format!(
                "{} is publicly accessible although it was asked for as private",
                copy.shown()
            )));
        }
        let wanted = asked.thing.tags();
        let extra = copy.tags.known().is_some_and(|tags| {
            tags.keys()
                .any(|k| !wanted.contains_key(k) && !k.starts_with("aws:"))
        });
        if !extra {
            return Ok(());
        }
        let leave = ours(self.cloud, &self.claim(asked))
            .await
            .map_err(Stop::could_not_run)?;
        self.copies
            .set_tags(&leave, &wanted)
            .await
            .map_err(|e| unseen("the tags that RDS added to the copy cannot be removed", &e))
    }
}

/// How a refused call reads to the drill.
fn stop_of(unmade: Unmade) -> Stop {
    let (error, help) = match unmade {
        Unmade::NotNoted(stop) => return stop,
        Unmade::Taken(why) => return Stop::could_not_run(why),
        Unmade::Lost(e) => {
            return Stop::could_not_run(format!("what became of the restore is not known: {e}"));
        }
        Unmade::Refused(e) => {
            let help = match e.code.as_str() {
                "InstanceQuotaExceeded"
                | "StorageQuotaExceeded"
                | "DBClusterQuotaExceededFault" => Some("ask for a higher quota"),
                "InsufficientDBInstanceCapacity" | "InsufficientDBClusterCapacityFault" => {
                    Some("try again later, or name another restore.instance_class")
                }
                "AccessDenied" | "AccessDeniedException" => {
                    Some("`opsctl iam drill` prints the policy that a drill needs")
                }
                _ => None,
            };
            (e, help)
        }
    };
    let text = format!("the restore was refused: {error}");
    // These say that the backup is not what it should be.
    let backup = [
        "InvalidDBSnapshotState",
        "DBSnapshotNotFound",
        "DBSnapshotNotFoundFault",
        "InvalidDBClusterSnapshotStateFault",
        "DBClusterSnapshotNotFoundFault",
        "InvalidRestoreFault",
        "PointInTimeRestoreNotEnabled",
        "KMSKeyNotAccessibleFault",
    ];
    match backup.contains(&error.code.as_str()) {
        true => Stop::failed(text),
        false => Stop::CouldNotRun(text, help.map(str::to_owned)),
    }
}

#[async_trait]
impl Source for Rds<'_> {
    async fn preflight(&mut self, now: Timestamp) -> Result<Preflight, Stop> {
        self.looked(now).await
    }

    async fn restore(&mut self, context: &Context<'_>) -> Result<CopyRecord, Stop> {
        let (id, class) = {
            let (_, _, new) = self.prepared()?;
            (new.id.clone(), new.instance_class.clone())
        };
        let kind = self.kind;
        let name = id.clone();
        let resource_id = context
            .step("restore", async {
                let thing = self.thing(kind, &name, None).await?;
                let made = self.ask(context, thing).await?;
                Ok((made.clone(), format!("{kind} {name} ({made})")))
            })
            .await?;
        Ok(CopyRecord {
            id,
            resource_id: Some(resource_id),
            instance_class: class,
        })
    }

    async fn wait(&mut self, context: &Context<'_>) -> Result<(), Stop> {
        if self.kind == CopyKind::Cluster {
            self.wait_for(context, "wait for the cluster").await?;
            let cluster = self
                .asked
                .first()
                .map(|a| a.thing.id.clone())
                .ok_or_else(|| Stop::could_not_run("the drill was not prepared"))?;
            let id = label::copy_name(
                CopyKind::Instance,
                &format!("{}-i", self.short()),
                self.run_id,
            );
            context
                .step("add an instance", async {
                    let thing = self.thing(CopyKind::Instance, &id, Some(cluster)).await?;
                    let made = self.ask(context, thing).await?;
                    Ok(((), format!("DB instance {id} ({made})")))
                })
                .await?;
        }
        self.wait_for(context, "wait").await
    }

    async fn verify(&mut self, context: &Context<'_>) -> Result<Vec<CheckRecord>, Stop> {
        self.checked(context).await
    }

    async fn cleanup(&mut self) -> Cleanup {
        if let Some(tunnel) = self.tunnel.take() {
            tunnel.close().await;
        }
        let mut out = Cleanup {
            deleted: true,
            proof: Vec::new(),
            ..Cleanup::default()
        };
        if self.asked.is_empty() {
            out.proof.push("nothing had been made".to_owned());
        }
        // Instances before the cluster that they are in.
        for asked in self.asked.iter().rev() {
            let say = |text: &str| tracing::info!(copy = asked.thing.id, "{text}");
            let removed = remove(self.cloud, &self.claim(asked), PATIENCE, &say).await;
            removed.note(&mut out);
        }
        out
    }

    fn learned(&self) -> Option<SourceRecord> {
        self.learned.clone()
    }

    fn warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }
}

impl Rds<'_> {
    /// The name of the source, short enough that a suffix survives.
    fn short(&self) -> String {
        self.name.chars().take(28).collect()
    }

    async fn wait_for(&mut self, context: &Context<'_>, step: &str) -> Result<(), Stop> {
        let asked = self
            .asked
            .last()
            .ok_or_else(|| Stop::could_not_run("the drill was not prepared"))?;
        let this = &*self;
        context
            .step(step, async {
                let copy = this.until_ready(context, asked).await?;
                this.settle_in(asked, &copy).await?;
                Ok(((), format!("{} is {}", copy.id, copy.status)))
            })
            .await
    }
}
