//! What is looked at before anything is made.

use jiff::Timestamp;
use rust_decimal::Decimal;

use super::DynamoDb;
use crate::cloud::copies::CopyKind;
use crate::cloud::tables::{Table, TableBackup, TablePoint};
use crate::config::later::DrillMethod;
use crate::drill::before::{self, unseen};
use crate::drill::dump::size;
use crate::drill::record::{RecoveryPoint, SourceRecord, seconds_between, to_millis};
use crate::drill::source::{Preflight, Stop};
use crate::drill::spec::TableCheck;

// USD, list prices of us-east-1. Source: DynamoDB pricing, 2026.
/// For a GB that is restored.
const RESTORE_PER_GB: Decimal = Decimal::from_parts(15, 0, 0, false, 2);
/// For a GB of the Standard class and month.
const STORAGE_PER_GB: Decimal = Decimal::from_parts(25, 0, 0, false, 2);
/// For a million read request units on demand. One reads two times 4 KB, eventually consistent.
const MILLION_READS: Decimal = Decimal::from_parts(125, 0, 0, false, 3);
const HOURS_IN_A_MONTH: u32 = 730;
/// Hours that a copy is estimated to live.
const HOURS: u32 = 2;

/// What was chosen to restore.
pub(super) struct Chosen {
    pub point: TablePoint,
    pub record: RecoveryPoint,
}

/// The newest backup of this very table that can be restored.
pub(super) fn newest<'a>(backups: &'a [TableBackup], table: &Table) -> Option<&'a TableBackup> {
    backups
        .iter()
        .filter(|b| b.status == "AVAILABLE" && b.created.is_some())
        // Without an id there is only the name to go by.
        .filter(|b| b.table_id.as_ref().is_none_or(|id| *id == table.id))
        .max_by_key(|b| b.created)
}

/// What a drill of so many bytes is estimated to cost.
pub(super) fn cost(bytes: u64, reads_all: bool) -> (Decimal, String) {
    let gigabytes = Decimal::from(bytes) / Decimal::from(1_000_000_000u64);
    let restore = gigabytes * RESTORE_PER_GB;
    let storage =
        gigabytes * STORAGE_PER_GB * Decimal::from(HOURS) / Decimal::from(HOURS_IN_A_MONTH);
    let units = Decimal::from(bytes.div_ceil(8192));
    let reads = match reads_all {
        true => units * MILLION_READS / Decimal::from(1_000_000),
        false => Decimal::ZERO,
    };
    let mut basis = format!(
        "{} at {RESTORE_PER_GB} USD per restored GB, {HOURS} h of storage",
        size(bytes)
    );
    if reads_all {
        basis.push_str(", every item read once");
    }
    basis.push_str(", us-east-1 list prices");
    ((restore + storage + reads).round_dp(4), basis)
}

impl DynamoDb<'_> {
    async fn find(&mut self) -> Result<Table, Stop> {
        before::account(self.cloud, &self.spec.target).await?;
        let target = &self.spec.target;
        let mut found: Vec<(String, Table)> = Vec::new();
        for region in &target.regions {
            let seen = self.tables.table(target, region, &self.name).await;
            let what = format!("the source {} cannot be seen", self.spec.source);
            if let Some(table) = seen.map_err(|e| unseen(&what, &e))? {
                found.push((region.clone(), table));
            }
        }
        let regions = target.regions.join(", ");
        if found.len() > 1 {
            let there: Vec<&str> = found.iter().map(|(r, _)| r.as_str()).collect();
            return Err(Stop::CouldNotRun(
                format!(
                    "{} is in more than one region: {}",
                    self.spec.source,
                    there.join(", ")
                ),
                Some("name the one to restore in by --region".to_owned()),
            ));
        }
        let Some((region, table)) = found.pop() else {
            return Err(Stop::CouldNotRun(
                format!(
                    "there is no table {} in {regions} of account {}",
                    self.name, target.account
                ),
                Some(
                    "was it deleted? Its backups cannot be told from those of a namesake without it"
                        .to_owned(),
                ),
            ));
        };
        if table.id.is_empty() || table.arn.is_empty() {
            return Err(Stop::could_not_run(format!(
                "{} does not tell its TableId, without which nothing is restored",
                self.spec.source
            )));
        }
        self.region = region;
        Ok(table)
    }

    async fn choose(&self, table: &Table, now: Timestamp) -> Result<Chosen, Stop> {
        let (target, region) = (&self.spec.target, self.region.as_str());
        let source = &self.spec.source;
        if self.spec.method == DrillMethod::PointInTime {
            let asked = self.tables.point_in_time(target, region, &self.name).await;
            let recovery =
                asked.map_err(|e| unseen("point-in-time recovery cannot be seen", &e))?;
            let Some(latest) = recovery.latest.filter(|_| recovery.enabled) else {
                return Err(Stop::failed(match recovery.enabled {
                    false => format!("{source} has point-in-time recovery switched off"),
                    true => format!("{source} cannot be restored to any point in time yet"),
                }));
            };
            // DynamoDB restores to whole seconds, and not to one after the latest.
            let at = Timestamp::from_second(latest.as_second()).unwrap_or(latest);
            return Ok(Chosen {
                point: TablePoint::Time {
                    source_arn: table.arn.clone(),
                    at,
                },
                record: RecoveryPoint {
                    kind: "point-in-time".to_owned(),
                    arn: table.arn.clone(),
                    data_time: to_millis(at),
                    data_time_basis: "LatestRestorableDateTime".to_owned(),
                    age_seconds: seconds_between(at, now),
                    size_bytes: Some(table.bytes),
                },
            });
        }
        let backups = self
            .tables
            .table_backups(target, region, &self.name)
            .await
            .map_err(|e| unseen("the backups cannot be seen", &e))?;
        let Some((backup, at)) = newest(&backups, table).and_then(|b| Some((b, b.created?))) else {
            let of_others = backups
                .iter()
                .filter(|b| b.table_id.as_ref().is_some_and(|id| *id != table.id))
                .count();
            let mut why = match backups.len() {
                0 => format!("{source} has no backup at all"),
                n if n == of_others => format!(
                    "{source} has no backup: the {n} there are of a table of that name that was deleted"
                ),
                _ => format!("{source} has no AVAILABLE backup"),
            };
            why.push_str(
                "; those that AWS Backup keeps are tested by its restore testing (`drill run --as-validator`)",
            );
            if let Ok(recovery) = self.tables.point_in_time(target, region, &self.name).await
                && recovery.enabled
            {
                why.push_str(
                    "; point-in-time recovery is on: method = \"point-in-time\" restores that",
                );
            }
            return Err(Stop::failed(why));
        };
        Ok(Chosen {
            point: TablePoint::Backup(backup.arn.clone()),
            record: RecoveryPoint {
                kind: "backup".to_owned(),
                arn: backup.arn.clone(),
                data_time: to_millis(at),
                data_time_basis: "BackupCreationDateTime".to_owned(),
                age_seconds: seconds_between(at, now),
                size_bytes: backup.bytes,
            },
        })
    }

    fn record_of(&self, table: &Table) -> SourceRecord {
        SourceRecord {
            id: self.spec.source.clone(),
            resource_id: Some(table.id.clone()),
            engine: Some("dynamodb".to_owned()),
            engine_version: None,
            // Every table is; the question is only with whose key.
            encrypted: Some(true),
        }
    }

    pub(super) async fn looked(&mut self, machine_now: Timestamp) -> Result<Preflight, Stop> {
        let table = self.find().await?;
        // The age is measured with the clock that the times come from.
        let now = self.copies.now();
        let warnings = Vec::from_iter(before::clocks(machine_now, now));
        let early = |stop: Stop, warnings: Vec<String>| Preflight {
            source: self.record_of(&table),
            region: self.region.clone(),
            warnings,
            stop: Some(stop),
            ..Preflight::default()
        };
        if !matches!(table.status.as_str(), "ACTIVE" | "UPDATING") {
            let why = format!("{} is {}", self.spec.source, table.status);
            return Ok(early(Stop::could_not_run(why), warnings));
        }
        let chosen = match self.choose(&table, now).await {
            Ok(chosen) => chosen,
            // What is known of the source goes on record with it.
            Err(stop) => return Ok(early(stop, warnings)),
        };
        before::alone(
            self.copies,
            self.spec,
            self.run_id,
            &self.region,
            CopyKind::Table,
            &table.id,
        )
        .await?;
        let checks = &self.spec.table_checks;
        let reads_all = checks
            .iter()
            .any(|c| !matches!(c, TableCheck::Sample { .. }));
        let bytes = chosen.record.size_bytes.unwrap_or(table.bytes);
        let (estimated, basis) = cost(bytes.max(table.bytes), reads_all);
        let indexes = match (table.indexes.len(), self.spec.restore.indexes) {
            (0, _) => String::new(),
            (n, true) => format!(", with {n} indexes"),
            (n, false) => format!(", without its {n} indexes"),
        };
        let steps = vec![
            format!(
                "restore {} as {} (on demand{indexes})",
                chosen.record.arn,
                self.copy_name()
            ),
            "tag the copy as a drill's, and wait until it is ACTIVE".to_owned(),
            crate::drill::checks::step(checks.len()),
            "delete the copy and wait until it is gone".to_owned(),
        ];
        let out = Preflight {
            source: self.record_of(&table),
            region: self.region.clone(),
            recovery_point: Some(chosen.record.clone()),
            estimated_cost_usd: estimated,
            cost_basis: basis,
            estimated_seconds: None,
            steps,
            warnings,
            stop: None,
        };
        self.data_time = Some(chosen.record.data_time);
        self.point = Some(chosen.point);
        self.source = Some(table);
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backup(arn: &str, status: &str, at: &str, table: Option<&str>) -> TableBackup {
        TableBackup {
            arn: arn.to_owned(),
            status: status.to_owned(),
            kind: "USER".to_owned(),
            created: Some(at.parse().unwrap()),
            bytes: None,
            table_id: table.map(str::to_owned),
        }
    }

    #[test]
    fn the_newest_available_backup_of_this_very_table_counts() {
        let table = Table {
            id: "now".to_owned(),
            ..Table::default()
        };
        let backups = [
            backup("old", "AVAILABLE", "2026-11-20T00:00:00Z", Some("now")),
            backup("new", "AVAILABLE", "2026-11-21T00:00:00Z", Some("now")),
            backup("making", "CREATING", "2026-11-22T00:00:00Z", Some("now")),
            backup("before", "AVAILABLE", "2026-11-22T00:00:00Z", Some("then")),
        ];
        assert_eq!(newest(&backups, &table).unwrap().arn, "new");
        assert_eq!(newest(&backups[2..], &table), None);
    }

    #[test]
    fn a_terabyte_that_is_read_is_estimated_by_its_parts() {
        // 150 for the restore, 0.68 for two hours of storage, 15.26 for 122 million reads.
        let (usd, basis) = cost(1_000_000_000_000, true);
        assert_eq!(usd, Decimal::new(1_659_437, 4));
        assert!(basis.contains("every item read once"), "{basis}");
        assert_eq!(cost(0, true).0, Decimal::ZERO);
    }
}
