//! What is looked at before anything is made.

use jiff::Timestamp;
use rust_decimal::Decimal;

use super::Rds;
use crate::cloud::copies::CopyKind;
use crate::cloud::databases::{Database, DatabaseSnapshot, Point};
use crate::config::later::DrillMethod;
use crate::drill::before::{self, unseen};
use crate::drill::checks;
use crate::drill::driver::Driver;
use crate::drill::price;
use crate::drill::record::{RecoveryPoint, SourceRecord, seconds_between, to_millis};
use crate::drill::source::{Preflight, Stop};
use crate::drill::way::leads_to_the_copy;

/// Seconds that a copy of this size takes, where nobody has measured: a quarter of an hour, and most
/// of a minute for every 10 GB.
const BASE_SECONDS: f64 = 900.0;
const SECONDS_PER_GIB: f64 = 4.0;

/// What was chosen to restore.
pub struct Chosen {
    pub point: Point,
    pub record: RecoveryPoint,
    pub gib: Option<u64>,
    pub encrypted: Option<bool>,
    pub engine_version: Option<String>,
}

/// The time that the data of a snapshot is of, and where it was read.
fn data_time(snapshot: &DatabaseSnapshot) -> Option<(Timestamp, &'static str)> {
    snapshot
        .data_time
        .map(|at| (at, "SnapshotDatabaseTime"))
        .or(snapshot
            .original_created
            .map(|at| (at, "OriginalSnapshotCreateTime")))
        .or(snapshot.created.map(|at| (at, "SnapshotCreateTime")))
}

/// The newest by the time of its data among those that can be restored: a copy that was made today of
/// a snapshot of last month is a month old.
pub fn newest(snapshots: &[DatabaseSnapshot]) -> Option<&DatabaseSnapshot> {
    snapshots
        .iter()
        .filter(|s| s.status == "available")
        .max_by_key(|s| (data_time(s).map(|(at, _)| at), s.created))
}

/// The part of a version within which groups fit: `16` of `16.4`, `5.7` of `5.7.44`.
fn family(version: Option<&str>) -> Option<String> {
    let version = version?;
    let mut parts = version.split('.');
    let first = parts.next()?;
    match first.parse::<u32>() {
        Ok(n) if n >= 10 => Some(first.to_owned()),
        _ => Some(format!("{first}.{}", parts.next().unwrap_or_default())),
    }
}

impl Rds<'_> {
    /// The source, in the one region where it is.
    pub(super) async fn find(&mut self) -> Result<Database, Stop> {
        let target = &self.spec.target;
        before::account(self.cloud, target).await?;
        let mut found: Vec<(String, Database)> = Vec::new();
        for region in &target.regions {
            let seen = match self.kind {
                CopyKind::Cluster => self.databases.cluster(target, region, &self.name).await,
                _ => self.databases.instance(target, region, &self.name).await,
            };
            let what = format!("the source {} cannot be seen", self.spec.source);
            if let Some(database) = seen.map_err(|e| unseen(&what, &e))? {
                found.push((region.clone(), database));
            }
        }
        let regions = target.regions.join(", ");
        if found.len() > 1 {
            let there: Vec<&str> = found.iter().map(|(region, _)| region.as_str()).collect();
            return Err(Stop::CouldNotRun(
                format!(
                    "{} is in more than one region: {}",
                    self.spec.source,
                    there.join(", ")
                ),
                Some("--region names one of them".to_owned()),
            ));
        }
        let Some((region, database)) = found.pop() else {
            return Err(Stop::CouldNotRun(
                format!(
                    "there is no {} {} in {regions} of account {}",
                    self.kind, self.name, target.account
                ),
                Some("was it renamed or deleted? Its snapshots cannot be told from those of a namesake without it".to_owned()),
            ));
        };
        self.region = region;
        Ok(database)
    }

    /// Whether this version can do it at all, before anything is spent.
    pub(super) fn suits(&self, source: &Database) -> Result<(), Stop> {
        if let (CopyKind::Instance, Some(cluster)) = (self.kind, &source.cluster) {
            return Err(Stop::CouldNotRun(
                format!(
                    "{} is an instance of the cluster {cluster}, whose backups are the cluster's",
                    self.name
                ),
                Some(format!("source = \"aurora:{cluster}\"")),
            ));
        }
        if self.kind == CopyKind::Cluster {
            if !source.engine.starts_with("aurora") {
                return Err(Stop::could_not_run(format!(
                    "{} is a Multi-AZ cluster of {}, not one of Aurora: this version restores Aurora clusters",
                    self.name, source.engine
                )));
            }
            if source.engine_mode.as_deref() == Some("serverless") {
                return Err(Stop::could_not_run(format!(
                    "{} is Aurora Serverless v1, which takes no instances: this version restores provisioned clusters and Serverless v2",
                    self.name
                )));
            }
        }
        if self.spec.checks.is_empty() {
            return Ok(());
        }
        let ready = Driver::of_engine(&source.engine).map(Driver::ready);
        match ready {
            Some(Ok(())) => {}
            Some(Err(e)) => {
                return Err(Stop::CouldNotRun(
                    format!("the checks cannot be made, so nothing was restored: {e}"),
                    Some("or leave the checks out: then only the restore is proven".to_owned()),
                ));
            }
            None => {
                return Err(Stop::could_not_run(format!(
                    "the checks need a connection to {}, which this version does not speak: nothing was restored",
                    source.engine
                )));
            }
        }
        let connect = self.spec.connect.as_ref();
        let variable = connect.and_then(|c| c.password_env.as_deref());
        match variable {
            Some(name) if std::env::var_os(name).is_none() => {
                return Err(Stop::could_not_run(format!(
                    "connect.password_env names {name}, and that variable is not set: nothing was restored"
                )));
            }
            Some(_) => {}
            None => {
                let user = connect.and_then(|c| c.user.as_deref());
                if let (Some(user), Some(master)) = (user, source.master_user.as_deref())
                    && user != master
                {
                    return Err(Stop::CouldNotRun(
                        format!(
                            "a password can be set for the master user {master} only, and connect.user is {user}: nothing was restored"
                        ),
                        Some(format!(
                            "leave connect.user out, or name a variable with the password of {user} in connect.password_env"
                        )),
                    ));
                }
            }
        }
        if let Some(connect) = connect {
            leads_to_the_copy(&connect.via)?;
        }
        if let Some(file) = connect.and_then(|c| c.ca_file.as_deref())
            && let Err(e) = std::fs::metadata(file)
        {
            return Err(Stop::could_not_run(format!("connect.ca_file: {file}: {e}")));
        }
        Ok(())
    }

    /// The recovery point that a run restores.
    pub(super) async fn choose(&self, source: &Database, now: Timestamp) -> Result<Chosen, Stop> {
        if self.spec.method == DrillMethod::PointInTime {
            let Some(at) = source.latest_restorable else {
                let retention = match source.retention {
                    Some(0) => "its backup retention is 0, so it has no backups at all".to_owned(),
                    Some(days) => format!(
                        "its backup retention is {days} days, but no time can be restored yet"
                    ),
                    None => "it has no LatestRestorableTime".to_owned(),
                };
                return Err(Stop::failed(format!(
                    "{} cannot be restored to a point in time: {retention}",
                    self.spec.source
                )));
            };
            return Ok(Chosen {
                point: Point::Time {
                    source: source.id.clone(),
                    at,
                },
                record: RecoveryPoint {
                    kind: "point-in-time".to_owned(),
                    arn: source.arn.clone(),
                    data_time: to_millis(at),
                    data_time_basis: "LatestRestorableTime".to_owned(),
                    age_seconds: seconds_between(at, now),
                    size_bytes: source.storage_gib.map(|g| g << 30),
                },
                gib: source.storage_gib,
                encrypted: source.encrypted,
                engine_version: source.engine_version.clone(),
            });
        }
        let snapshots = self
            .databases
            .snapshots(&self.spec.target, &self.region, source)
            .await
            .map_err(|e| unseen("the snapshots cannot be seen", &e))?;
        let Some(snapshot) = newest(&snapshots) else {
            let others: Vec<String> = snapshots
                .iter()
                .map(|s| format!("{} is {}", s.id, s.status))
                .collect();
            return Err(Stop::failed(match others.is_empty() {
                true => format!("{} has no snapshot at all", self.spec.source),
                false => format!(
                    "{} has no snapshot that can be restored: {}",
                    self.spec.source,
                    others.join(", ")
                ),
            }));
        };
        let Some((at, basis)) = data_time(snapshot) else {
            return Err(Stop::could_not_run(format!(
                "{} does not tell when it was made",
                snapshot.arn
            )));
        };
        Ok(Chosen {
            point: Point::Snapshot(snapshot.id.clone()),
            record: RecoveryPoint {
                kind: "snapshot".to_owned(),
                arn: snapshot.arn.clone(),
                data_time: to_millis(at),
                data_time_basis: basis.to_owned(),
                age_seconds: seconds_between(at, now),
                size_bytes: snapshot.storage_gib.map(|g| g << 30),
            },
            gib: snapshot.storage_gib,
            encrypted: snapshot.encrypted,
            engine_version: snapshot.engine_version.clone(),
        })
    }

    /// Subnet group and quotas; what cannot be read is a warning.
    async fn room(
        &self,
        source: &Database,
        gib: Option<u64>,
        warnings: &mut Vec<String>,
    ) -> Result<(), Stop> {
        let (target, region) = (&self.spec.target, self.region.as_str());
        if let Some(group) = self
            .spec
            .restore
            .subnet_group
            .as_ref()
            .or(source.subnet_group.as_ref())
        {
            match self.databases.has_subnet_group(target, region, group).await {
                Ok(true) => {}
                Ok(false) => {
                    return Err(Stop::could_not_run(format!(
                        "there is no DB subnet group {group} in {region}: nothing was restored"
                    )));
                }
                Err(e) => warnings.push(format!("the subnet group {group} was not looked at: {e}")),
            }
        }
        if !self.spec.restore.security_groups.is_empty() {
            warnings.push(
                "security groups are not looked at before the restore (they belong to EC2)"
                    .to_owned(),
            );
        }
        let quotas = match self.databases.quotas(target, region).await {
            Ok(quotas) => quotas,
            Err(e) => {
                warnings.push(format!("the quotas were not looked at: {e}"));
                return Ok(());
            }
        };
        for quota in quotas {
            let more = match quota.name.as_str() {
                "DBInstances" => 1,
                "DBClusters" if self.kind == CopyKind::Cluster => 1,
                "AllocatedStorage" if self.kind == CopyKind::Instance => {
                    gib.and_then(|g| i64::try_from(g).ok()).unwrap_or_default()
                }
                _ => continue,
            };
            if quota.used.saturating_add(more) > quota.max {
                return Err(Stop::CouldNotRun(
                    format!(
                        "the quota {} of {region} has no room for a copy: {} of {} are used and {more} more are needed",
                        quota.name, quota.used, quota.max
                    ),
                    Some("ask for a higher quota: without room no restore would work in an emergency either".to_owned()),
                ));
            }
        }
        Ok(())
    }

    fn cost(
        &self,
        source: &Database,
        class: &str,
        gib: Option<u64>,
        hours: u32,
    ) -> (Decimal, String) {
        let aurora = self.kind == CopyKind::Cluster;
        let units = source
            .serverless_v2
            .as_ref()
            .and_then(|(_, most)| most.parse().ok());
        let (hour, known) = price::hourly(class, units);
        let storage = price::storage(gib.unwrap_or_default(), aurora);
        let total = (hour + storage) * Decimal::from(hours);
        let mut basis = format!("{hours} h of {class} at {} USD", hour.normalize());
        if !known {
            basis.push_str(" (an unknown class, estimated high)");
        }
        match gib {
            Some(gib) => basis.push_str(&format!(" and of {gib} GiB of storage")),
            None => basis.push_str(", storage not known"),
        }
        basis.push_str(", us-east-1 list prices");
        (total.round_dp(4), basis)
    }

    pub(super) async fn looked(&mut self, machine_now: Timestamp) -> Result<Preflight, Stop> {
        let source = self.find().await?;
        self.suits(&source)?;
        // The age is measured with the clock that the times come from.
        let now = self.copies.now().max(Timestamp::UNIX_EPOCH);
        let mut warnings = Vec::from_iter(before::clocks(machine_now, now));
        let chosen = match self.choose(&source, now).await {
            Ok(chosen) => chosen,
            Err(stop) => {
                // What is known of the source goes on record with it.
                return Ok(Preflight {
                    source: self.record_of(&source, None),
                    region: self.region.clone(),
                    warnings,
                    stop: Some(stop),
                    ..Preflight::default()
                });
            }
        };
        let class = self
            .spec
            .restore
            .instance_class
            .clone()
            .or(source.instance_class.clone())
            .ok_or_else(|| {
                Stop::CouldNotRun(
                    format!(
                        "{} has no instance whose class could be taken",
                        self.spec.source
                    ),
                    Some("name one: restore = { instance_class = \"db.r6g.large\" }".to_owned()),
                )
            })?;
        self.room(&source, chosen.gib, &mut warnings).await?;
        before::alone(
            self.copies,
            self.spec,
            self.run_id,
            &self.region,
            self.kind,
            &source.resource_id,
        )
        .await?;
        let fits =
            family(chosen.engine_version.as_deref()) == family(source.engine_version.as_deref());
        if !fits {
            warnings.push(format!(
                "the recovery point is of version {}, the source is of {}: the copy gets default parameter and option groups",
                chosen.engine_version.as_deref().unwrap_or("?"),
                source.engine_version.as_deref().unwrap_or("?")
            ));
        }
        if chosen.encrypted == Some(false) {
            warnings.push("the recovery point is not encrypted".to_owned());
        }
        let seconds = BASE_SECONDS + SECONDS_PER_GIB * chosen.gib.unwrap_or(100) as f64;
        let hours = (seconds / 3600.0).ceil() as u32;
        let (cost, basis) = self.cost(&source, &class, chosen.gib, hours.max(1));
        let record = self.record_of(&source, chosen.encrypted);
        let new = self.planned(&source, &class, chosen.engine_version.clone(), fits);
        let mut steps = vec![format!(
            "restore {} as {} ({class}, private, tagged as a drill, subnet group {}, security groups {})",
            chosen.record.arn,
            new.id,
            new.subnet_group.as_deref().unwrap_or("default"),
            match new.security_groups.is_empty() {
                true => "default".to_owned(),
                false => new.security_groups.join(", "),
            }
        )];
        if self.kind == CopyKind::Cluster {
            steps.push("add one instance to the copy of the cluster".to_owned());
        }
        steps.push("wait until it is available".to_owned());
        if !self.spec.checks.is_empty() {
            if self.own_password().is_none() {
                steps.push("set a random master password on the copy".to_owned());
            }
            steps.push(checks::step(self.spec.checks.len()));
        }
        steps.push("delete the copy and wait until it is gone".to_owned());
        let out = Preflight {
            source: record,
            region: self.region.clone(),
            recovery_point: Some(chosen.record),
            estimated_cost_usd: cost,
            cost_basis: basis,
            estimated_seconds: Some(seconds),
            steps,
            warnings,
            stop: None,
        };
        self.source = Some(source);
        self.point = Some(chosen.point);
        self.new = Some(new);
        Ok(out)
    }

    fn record_of(&self, source: &Database, encrypted: Option<bool>) -> SourceRecord {
        SourceRecord {
            id: self.spec.source.clone(),
            resource_id: Some(source.resource_id.clone()),
            engine: Some(source.engine.clone()),
            engine_version: source.engine_version.clone(),
            encrypted: encrypted.or(source.encrypted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(id: &str, status: &str, created: &str) -> DatabaseSnapshot {
        DatabaseSnapshot {
            id: id.to_owned(),
            arn: String::new(),
            status: status.to_owned(),
            kind: "automated".to_owned(),
            created: created.parse().ok(),
            original_created: None,
            data_time: None,
            encrypted: None,
            storage_gib: None,
            engine_version: None,
            source_resource_id: None,
        }
    }

    #[test]
    fn the_newest_data_counts_not_the_newest_copy() {
        let mut copy = snapshot("copy", "available", "2026-11-22T09:00:00Z");
        copy.original_created = "2026-10-01T00:00:00Z".parse().ok();
        let night = snapshot("night", "available", "2026-11-22T03:00:00Z");
        let begun = snapshot("begun", "creating", "2026-11-22T10:00:00Z");
        let all = [copy, night, begun];
        assert_eq!(newest(&all).map(|s| s.id.as_str()), Some("night"));
        assert_eq!(newest(&all[2..]), None);
    }

    #[test]
    fn groups_fit_within_a_major_version() {
        assert_eq!(family(Some("16.4")), family(Some("16.1")));
        assert_ne!(family(Some("16.4")), family(Some("15.9")));
        assert_ne!(family(Some("5.7.44")), family(Some("8.0.35")));
        assert_eq!(family(Some("9.6.1")).as_deref(), Some("9.6"));
    }
}
