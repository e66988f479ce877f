//! From what a resource has and the policy asks for to one change.

use super::{
    Fact, Judge, Reasons, address, foreign_engine, nowhere, reference, regions_without_copies,
};
use crate::config::later::Backups;
use crate::config::policy::OwnedElsewhere;
use crate::controls::Input;
use crate::inventory::{DatabaseFact, Resource, TableFact, VersioningFact};
use crate::model::partition;
use crate::model::settings::{BackupCopy, Settings, Versioning, days};
use crate::model::{Control, ResourceType, Risk, Severity};
use crate::plan::{ActionKind, Change, FieldChange, Finding, Operation};

/// States of a database in which AWS takes no modification until somebody does something.
///
/// Source: RDS user guide, "Viewing DB instance status".
const STUCK: [&str; 12] = [
    "stopped",
    "stopping",
    "failed",
    "inaccessible-encryption-credentials",
    "inaccessible-encryption-credentials-recoverable",
    "incompatible-network",
    "incompatible-option-group",
    "incompatible-parameters",
    "incompatible-restore",
    "insufficient-capacity",
    "restore-error",
    "storage-full",
];

/// What one resource has, and what it should have.
pub(super) struct Wanted {
    before: Settings,
    after: Settings,
    reasons: Reasons,
    copy: Option<BackupCopy>,
    /// Why it cannot be written: message, evidence, remediation.
    pub obstacle: Option<[String; 3]>,
    pub findings: Vec<Finding>,
    risk: Risk,
    basis: Vec<String>,
    /// Whether all costs are known, and they are none.
    free: bool,
}

impl Wanted {
    pub fn of(judge: &Judge, resource: &Resource, fact: &Fact) -> Wanted {
        let mut wanted = Wanted {
            before: Settings::default(),
            after: Settings::default(),
            reasons: Reasons::new(),
            copy: None,
            obstacle: None,
            findings: Vec::new(),
            risk: Risk::Low,
            basis: Vec::new(),
            free: true,
        };
        match fact {
            Fact::Database(fact) => wanted.database(judge, resource, fact),
            Fact::Table(fact) => wanted.table(judge, resource, fact),
            Fact::Bucket(fact) => wanted.bucket(judge, *fact),
            Fact::Unseen | Fact::Nothing => {}
        }
        wanted
    }

    fn costs(&mut self, basis: &str) {
        self.free = false;
        self.basis.push(basis.to_owned());
    }

    fn database(&mut self, judge: &Judge, resource: &Resource, fact: &DatabaseFact) {
        let (policy, now) = (judge.policy, &fact.settings);
        let kept = now.retention_days.unwrap_or(0);
        if let Some(asked) = &policy.retention_days
            && asked.value > kept
        {
            self.before.retention_days = Some(kept);
            self.after.retention_days = Some(asked.value);
            let reason = judge.reason("retention_days", Some(asked.origin));
            self.reasons.insert("retention_days", reason);
            if kept == 0 {
                self.risk = Risk::High;
            }
            self.costs("backup storage beyond the size of the databases of the region is 0.095 USD per GB and month in us-east-1; how much it will be is not known");
        }
        if let Some(asked) = &policy.deletion_protection
            && asked.value
            && now.deletion_protection == Some(false)
        {
            self.before.deletion_protection = Some(false);
            self.after.deletion_protection = Some(true);
            let reason = judge.reason("deletion_protection", Some(asked.origin));
            self.reasons.insert("deletion_protection", reason);
        }
        if let Some(asked) = &policy.copy_tags_to_snapshot
            && asked.value
            && now.copy_tags_to_snapshot == Some(false)
        {
            self.before.copy_tags_to_snapshot = Some(false);
            self.after.copy_tags_to_snapshot = Some(true);
            let reason = judge.reason("copy_tags_to_snapshot", Some(asked.origin));
            self.reasons.insert("copy_tags_to_snapshot", reason);
        }
        self.copied(judge, resource, fact, kept);
        self.obstacle = self.obstacle(fact);
        if let Some(waits) = fact.pending_retention {
            self.findings.push(
                judge.report(
                    resource,
                    "backups.pending",
                    Severity::Low,
                    [
                        format!(
                            "a retention of {} was asked for and is not in force yet",
                            days(waits)
                        ),
                        "PendingModifiedValues: BackupRetentionPeriod".to_owned(),
                        "nothing to do: AWS applies it soon, or in the next maintenance window"
                            .to_owned(),
                    ],
                    judge.reason(
                        "retention_days",
                        policy.retention_days.as_ref().map(|r| r.origin),
                    ),
                ),
            );
        }
    }

    fn copied(&mut self, judge: &Judge, resource: &Resource, fact: &DatabaseFact, kept: u32) {
        let policy = judge.policy;
        let Some(asked) = &policy.copy_to_region else {
            return;
        };
        let region = &asked.value;
        let none = nowhere();
        let there = fact.settings.copied_to.as_ref().unwrap_or(&none);
        if there.contains(region) {
            return;
        }
        let cluster = resource.kind == ResourceType::RDS_CLUSTER;
        let impossible = if *region == resource.region {
            Some("it is in that region itself".to_owned())
        } else if cluster {
            Some("AWS replicates automated backups of instances only, not of clusters".to_owned())
        } else if let Some(name) = foreign_engine(&fact.engine) {
            Some(format!("AWS replicates no automated backups of {name}"))
        } else if regions_without_copies(&resource.region) {
            Some(format!(
                "this version begins no copies in the partition {}",
                partition(&resource.region)
            ))
        } else if kept == 0 {
            Some("there are no automated backups to copy yet".to_owned())
        } else {
            None
        };
        let reason = judge.reason("copy_to_region", Some(asked.origin));
        if let Some(why) = impossible {
            self.findings
                .push(not_copied(judge, resource, region, &why, cluster, reason));
            return;
        }
        let mut more = there.clone();
        more.insert(region.clone());
        self.before.copied_to = Some(there.clone());
        self.after.copied_to = Some(more);
        self.reasons.insert("copied_to", reason);
        let account = &judge.input.inventory.account;
        let key = policy.copy_kms_key.as_ref().map(|k| k.value.as_str());
        let key = key.unwrap_or("alias/aws/rds");
        self.copy = Some(BackupCopy {
            region: region.clone(),
            retention_days: self.after.retention_days.unwrap_or(kept).clamp(1, 35),
            kms_key: fact.encrypted.then(|| match key.starts_with("arn:") {
                true => key.to_owned(),
                false => format!("arn:{}:kms:{region}:{account}:{key}", partition(region)),
            }),
        });
        self.risk = self.risk.max(Risk::Medium);
        self.costs("a copy costs its storage in the other region (0.095 USD per GB and month in us-east-1) and the transfer to it (0.02 USD per GB); its size is not known");
    }

    fn obstacle(&self, fact: &DatabaseFact) -> Option<[String; 3]> {
        if let Some(name) = foreign_engine(&fact.engine) {
            return Some([
                format!("it is of {name}, whose settings this version does not write"),
                format!("engine {}", fact.engine),
                "set them in the console or the tool that made it".to_owned(),
            ]);
        }
        if !fact.pending.is_empty() {
            let waiting: Vec<&str> = fact.pending.iter().map(String::as_str).collect();
            return Some([
                "modifications wait for its maintenance window, which a change now could set off"
                    .to_owned(),
                format!("PendingModifiedValues: {}", waiting.join(", ")),
                "let the maintenance window pass, or apply or withdraw what waits, then plan again"
                    .to_owned(),
            ]);
        }
        if STUCK.contains(&fact.status.as_str()) {
            return Some([
                format!("it is {}, and AWS changes nothing of it so", fact.status),
                format!("status {}", fact.status),
                "start or mend it, then plan again".to_owned(),
            ]);
        }
        None
    }

    fn table(&mut self, judge: &Judge, resource: &Resource, fact: &TableFact) {
        let policy = judge.policy;
        if let Some(asked) = &policy.point_in_time_recovery
            && asked.value
            && !fact.point_in_time_recovery
        {
            self.before.point_in_time_recovery = Some(false);
            self.after.point_in_time_recovery = Some(true);
            let reason = judge.reason("point_in_time_recovery", Some(asked.origin));
            self.reasons.insert("point_in_time_recovery", reason);
            self.costs("0.20 USD per GB of the table and month in us-east-1; its size is not read");
        }
        if let Some(asked) = &policy.copy_to_region
            && judge.audit
            && asked.value != resource.region
            && !fact.replicas.contains(&asked.value)
        {
            let reason = judge.reason("copy_to_region", Some(asked.origin));
            let why = "backups of tables are copied by AWS Backup, or the table is made global";
            self.findings
                .push(not_copied(judge, resource, &asked.value, why, true, reason));
        }
    }

    fn bucket(&mut self, judge: &Judge, fact: VersioningFact) {
        if fact.state == Versioning::Enabled {
            return;
        }
        self.before.versioning = Some(fact.state);
        self.after.versioning = Some(Versioning::Enabled);
        let origin = judge.policy.versioned_buckets.as_ref().map(|m| m.origin);
        let reason = judge.reason("versioned_buckets", origin);
        self.reasons.insert("versioning", reason);
        self.risk = Risk::Medium;
        self.costs("every overwritten or deleted object is kept and billed until a lifecycle rule removes it");
        if fact.mfa_delete {
            self.obstacle = Some([
                "its versioning changes only with a code of its MFA device".to_owned(),
                "MFADelete is enabled".to_owned(),
                "switch versioning on as the root user, with the device".to_owned(),
            ]);
        }
    }

    /// The change, if anything is to be changed.
    pub fn change(&self, input: &Input, resource: &Resource, policy: &Backups) -> Option<Change> {
        let fields: Vec<FieldChange> = Settings::fields(&self.before, &self.after)
            .into_iter()
            .filter_map(|(field, before, after)| {
                let reason = self.reasons.get(field.as_str())?.clone();
                Some(FieldChange {
                    field,
                    before,
                    after,
                    reason,
                })
            })
            .collect();
        let reason = fields.first()?.reason.clone();
        let json = |s: &Settings| serde_json::to_value(s).unwrap_or_default();
        Some(Change {
            address: address(input, resource, "backups"),
            control: Control::Backups,
            action: ActionKind::Update,
            resource: reference(resource),
            before: json(&self.before),
            after: json(&self.after),
            reason,
            risk: self.risk,
            monthly_cost_delta_usd: self.free.then(|| "0.00".to_owned()),
            cost_basis: (!self.basis.is_empty())
                .then(|| format!("not estimated: {}", self.basis.join("; "))),
            fields,
            operation: Operation::Settings {
                before: self.before.clone(),
                after: self.after.clone(),
                copy: self.copy.clone(),
                unless_owned: policy.owned_elsewhere == OwnedElsewhere::Leave,
            },
        })
    }
}

fn not_copied(
    judge: &Judge,
    resource: &Resource,
    region: &str,
    why: &str,
    otherwise: bool,
    reason: crate::plan::Reason,
) -> Finding {
    let fix = match otherwise {
        true => {
            "copy its snapshots by AWS Backup, or replicate the whole of it; then a baseline keeps this quiet"
        }
        false => "see what stands in the way, then plan again",
    };
    judge.report(
        resource,
        "backups.copy-not-possible",
        Severity::Medium,
        [
            format!("opsctl cannot copy its backups to {region}: {why}"),
            format!("no replication to {region} is seen"),
            fix.to_owned(),
        ],
        reason,
    )
}
