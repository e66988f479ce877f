//! What no setting shows: recovery points, snapshots, drills.

use jiff::{SignedDuration, Timestamp};

use super::{Fact, Judge, drilled, home, is_production};
use crate::config::policy::OwnedElsewhere;
use crate::controls::{Standing, selected, standing};
use crate::drill::machine::span;
use crate::inventory::{DatabaseFact, Observed, Resource, SnapshotFact};
use crate::model::{ResourceType, Severity, Tags};
use crate::plan::{Finding, Reason};

/// Users up to which one zone is a reasonable place for a database.
const SMALL: u64 = 10_000;

fn age(at: Option<Timestamp>, now: Timestamp) -> Option<SignedDuration> {
    Some(now.duration_since(at?))
}

fn words(age: SignedDuration) -> String {
    span(age.as_secs_f64())
}

impl Judge<'_> {
    /// Findings about one database or table.
    pub(super) fn about(&self, resource: &Resource, fact: &Fact) -> Vec<Finding> {
        let mut out = Vec::new();
        let source = match fact {
            Fact::Database(fact) => {
                out.extend(self.recovery_point(resource, fact));
                out.extend(self.unencrypted_together(resource));
                out.extend(self.single_zone(resource, fact));
                true
            }
            Fact::Table(_) => true,
            Fact::Bucket(_) | Fact::Unseen | Fact::Nothing => false,
        };
        if source {
            out.extend(self.without_drill(resource));
        }
        out
    }

    fn now(&self) -> Option<Timestamp> {
        self.input.inventory.backups.at
    }

    /// How old the newest recovery point may be: the strictest of what the policy says.
    fn limit(&self, resource: &Resource) -> Option<(SignedDuration, Reason)> {
        let policy = self.policy;
        let most = policy.snapshot_max_age.as_ref().map(|max| {
            (
                max.value.0,
                self.reason("snapshot_max_age", Some(max.origin)),
            )
        });
        let key = (resource.kind.clone(), resource.name.clone());
        let of_drills = drilled(policy).remove(&key).unwrap_or_default();
        let rpos = of_drills.into_iter().filter_map(|name| {
            let drill = policy.drill.get(name)?;
            let rpo = drill.objective.as_ref()?.rpo?;
            let key = format!("drill.{name}.objective");
            Some((rpo.0, self.reason(&key, Some(drill.source.origin))))
        });
        let strictest = most
            .into_iter()
            .chain(rpos)
            .min_by_key(|(limit, _)| *limit)?;
        Some((
            SignedDuration::try_from(strictest.0).unwrap_or(SignedDuration::MAX),
            strictest.1,
        ))
    }

    /// Snapshots of one database that can be restored from.
    fn own_snapshots(&self, resource: &Resource) -> Option<Vec<&SnapshotFact>> {
        let id = self.input.inventory.backups.databases.get(&resource.arn);
        let id = id.and_then(|f| f.resource_id.as_deref());
        let all = self.snapshots_of(resource)?;
        let own = |s: &&SnapshotFact| match (&s.resource_id, id) {
            // A name may have been another database's once.
            (Some(of), Some(id)) => of == id,
            _ => s.source == resource.name,
        };
        Some(all.iter().filter(own).collect())
    }

    fn recovery_point(&self, resource: &Resource, fact: &DatabaseFact) -> Option<Finding> {
        let (limit, reason) = self.limit(resource)?;
        let now = self.now()?;
        // Nothing changes in it, so nothing gets older.
        if fact.status == "stopped" {
            return None;
        }
        let kept = fact.settings.retention_days.unwrap_or(0) > 0;
        let automatic = fact.restorable.filter(|_| kept);
        let snapshots = self.own_snapshots(resource);
        let newest = snapshots.iter().flatten();
        let newest = newest
            .filter(|s| s.status == "available")
            .filter_map(|s| s.data_time)
            .chain(automatic)
            .max();
        let severity = match is_production(self.input.resolved, resource) {
            true => Severity::High,
            false => Severity::Medium,
        };
        match age(newest, now) {
            Some(age) if age <= limit => None,
            // There may be a newer one among those that were not seen.
            _ if snapshots.is_none() => None,
            Some(age) => Some(self.report(
                resource,
                "backups.recovery-point-old",
                severity,
                [
                    format!(
                        "the newest recovery point is {} old, {} at most is asked for",
                        words(age),
                        words(limit)
                    ),
                    format!("newest data: {}", newest.map(|t| format!("{t:.0}")).unwrap_or_default()),
                    "see why no newer backup was made: RDS events, the backup window, the state of the database".to_owned(),
                ],
                reason,
            )),
            None => Some(self.report(
                resource,
                "backups.no-recovery-point",
                severity,
                [
                    "there is nothing to restore it from".to_owned(),
                    match kept {
                        true => "no LatestRestorableTime, and no snapshot that is available",
                        false => "automated backups are off, and no snapshot is available",
                    }
                    .to_owned(),
                    "switch automated backups on, or take a snapshot now".to_owned(),
                ],
                reason,
            )),
        }
    }

    /// One finding for all automated snapshots of a database: every night brings another.
    fn unencrypted_together(&self, resource: &Resource) -> Option<Finding> {
        let own = self.own_snapshots(resource)?;
        let open = own.iter().filter(|s| s.made == "automated" && !s.encrypted);
        let n = open.count();
        (n > 0).then(|| {
            self.report(
                resource,
                "backups.snapshot-unencrypted",
                Severity::Medium,
                [
                    "its automated snapshots are not encrypted, as the database is not".to_owned(),
                    match n {
                        1 => "1 automated snapshot".to_owned(),
                        n => format!("{n} automated snapshots"),
                    },
                    "restore an encrypted copy of a snapshot into a new database, and move to it"
                        .to_owned(),
                ],
                self.of_policy(),
            )
        })
    }

    fn single_zone(&self, resource: &Resource, fact: &DatabaseFact) -> Option<Finding> {
        let resolved = self.input.resolved;
        if fact.multi_az || !is_production(resolved, resource) {
            return None;
        }
        let severity = match resolved.stage.users.from < SMALL {
            true => Severity::Low,
            false => Severity::Medium,
        };
        let stage = &resolved.stage.name.value;
        Some(self.report(
            resource,
            "backups.single-az",
            severity,
            [
                "it holds production data and runs in one Availability Zone".to_owned(),
                format!("MultiAZ is false; the stage is {stage}"),
                "make it Multi-AZ, or add a reader in another zone to a cluster".to_owned(),
            ],
            self.of_policy(),
        ))
    }

    fn without_drill(&self, resource: &Resource) -> Option<Finding> {
        let every = self.policy.drill_every.as_ref()?;
        let key = (resource.kind.clone(), resource.name.clone());
        if drilled(self.policy).contains_key(&key) || !is_production(self.input.resolved, resource)
        {
            return None;
        }
        let kind = match &resource.kind {
            k if *k == ResourceType::RDS_INSTANCE => "rds",
            k if *k == ResourceType::RDS_CLUSTER => "aurora",
            _ => "dynamodb",
        };
        let environment = &self.input.resolved.environment;
        Some(self.report(
            resource,
            "backups.no-drill",
            Severity::Medium,
            [
                "it holds production data, and no restore of it is ever tried".to_owned(),
                format!("no [backups.drill.NAME] has the source {kind}:{}", resource.name),
                format!(
                    "add [environments.{environment}.override.backups.drill.NAME] with source = \"{kind}:{}\" to opsctl.toml",
                    resource.name
                ),
            ],
            self.reason("drill_every", Some(every.origin)),
        ))
    }

    /// Findings about snapshots, each by itself.
    pub(super) fn snapshots(&mut self) {
        let inventory = self.input.inventory;
        let mut found = Vec::new();
        for ((region, kind), seen) in &inventory.backups.snapshots {
            for fact in seen.known().into_iter().flatten() {
                let resource = Resource {
                    arn: fact.arn.clone(),
                    kind: kind.clone(),
                    name: fact.name.clone(),
                    region: region.clone(),
                    tags: Observed::Known(fact.tags.clone()),
                };
                let held = standing(self.input, &resource, OwnedElsewhere::Write);
                if !selected(self.input, &resource, "backups")
                    || matches!(held, Standing::Ignored | Standing::Exempt)
                {
                    continue;
                }
                found.extend(self.open_to_others(&resource, fact));
                if !fact.encrypted && fact.made != "automated" {
                    found.push(self.report(
                        &resource,
                        "backups.snapshot-unencrypted",
                        Severity::Medium,
                        [
                            format!("this {} snapshot of {} is not encrypted", fact.made, fact.source),
                            "Encrypted is false".to_owned(),
                            "copy it with a key (CopyDBSnapshot with KmsKeyId), then delete the one in the clear".to_owned(),
                        ],
                        self.of_policy(),
                    ));
                }
            }
        }
        self.verdict.findings.extend(found);
    }

    fn open_to_others(&self, resource: &Resource, fact: &SnapshotFact) -> Option<Finding> {
        let shared = fact.shared.known().filter(|s| !s.is_empty())?;
        let public = shared.contains("all");
        let others: Vec<&str> = shared.iter().map(String::as_str).collect();
        let (id, severity, message) = match public {
            true => (
                "backups.snapshot-public",
                Severity::Critical,
                format!(
                    "everybody with an AWS account may restore this snapshot of {}",
                    fact.source
                ),
            ),
            false => (
                "backups.snapshot-shared",
                Severity::High,
                format!(
                    "other accounts may restore this snapshot of {}: {}",
                    fact.source,
                    others.join(", ")
                ),
            ),
        };
        let cluster = resource.kind == ResourceType::RDS_CLUSTER_SNAPSHOT;
        let operation = match cluster {
            true => "ModifyDBClusterSnapshotAttribute",
            false => "ModifyDBSnapshotAttribute",
        };
        Some(self.report(
            resource,
            id,
            severity,
            [
                message,
                format!("attribute restore: {}", others.join(", ")),
                format!(
                    "if that is not meant: take {} out of the attribute `restore` of {} in {} (rds:{operation})",
                    others.join(", "),
                    fact.name,
                    resource.region
                ),
            ],
            self.of_policy(),
        ))
    }

    /// Configured drills that have not passed in time.
    pub(super) fn drills(&mut self) {
        let (Some(every), Some(now)) = (&self.policy.drill_every, self.now()) else {
            return;
        };
        let limit = SignedDuration::try_from(every.value.0).unwrap_or(SignedDuration::MAX);
        let resolved = self.input.resolved;
        let mut found = Vec::new();
        for (name, drill) in &self.policy.drill {
            let resource = self.drill_as_resource(name, &drill.source);
            if !selected(self.input, &resource, "backups") {
                continue;
            }
            let (message, evidence) = match self.input.inventory.backups.drills.get(name) {
                Some(Observed::Known(passed)) if now.duration_since(passed.at) <= limit => continue,
                Some(Observed::Known(passed)) => (
                    format!(
                        "the drill passed {} ago, and the policy asks for every {}",
                        words(now.duration_since(passed.at)),
                        words(limit)
                    ),
                    format!("last pass: {:.0} ({})", passed.at, passed.shown_by),
                ),
                Some(Observed::Absent) => (
                    format!(
                        "the drill has not passed within {}, as far as there is any trace",
                        words(limit)
                    ),
                    "looked up in the evidence, the metric opsctl/Drill Passed and the records on this machine".to_owned(),
                ),
                // A gap says so.
                Some(Observed::Unknown(_)) | None => continue,
            };
            let source = &drill.source.value;
            found.push(self.report(
                &resource,
                "backups.drill-overdue",
                Severity::High,
                [
                    format!("{message}: {source} is not known to be restorable"),
                    evidence,
                    format!("opsctl drill run {name} -e {}", resolved.environment),
                ],
                self.reason(&format!("drill.{name}"), Some(drill.source.origin)),
            ));
        }
        self.verdict.findings.extend(found);
    }

    /// A drill for addresses and findings; its ARN is that of its source, where that was seen.
    fn drill_as_resource(&self, name: &str, source: &str) -> Resource {
        let inventory = self.input.inventory;
        let of = |r: &&Resource| {
            let key = (r.kind.clone(), r.name.clone());
            drilled(self.policy)
                .get(&key)
                .is_some_and(|drills| drills.contains(&name))
        };
        let seen = inventory.resources.iter().find(of);
        Resource {
            arn: seen.map_or_else(|| source.to_owned(), |r| r.arn.clone()),
            kind: ResourceType::new("restore-drill"),
            name: name.to_owned(),
            region: home(self.input.resolved)
                .or_else(|| inventory.regions.first().cloned())
                .unwrap_or_default(),
            tags: Observed::Known(Tags::new()),
        }
    }
}
