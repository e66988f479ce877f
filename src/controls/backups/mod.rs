//! # Backups
//!
//! **What.** RDS instances and clusters keep automated backups as long as the policy says, cannot be
//! deleted by accident, and give their tags to their snapshots; DynamoDB tables can be recovered to
//! any point in time; buckets named as backups keep old versions; the backups of RDS instances are
//! copied to another region. The audit looks at what no setting shows: how old the newest recovery
//! point is, who may restore a snapshot, and when a restore was last proven.
//!
//! **Why.** Most lost data was lost by a backup that was off, too short, deleted with its database,
//! or never tried.
//!
//! ## What is written
//!
//! | key of the policy | of | written by |
//! |---|---|---|
//! | `retention_days` | RDS instances, Aurora and Multi-AZ clusters | ModifyDBInstance, ModifyDBCluster |
//! | `deletion_protection` | the same | the same |
//! | `copy_tags_to_snapshot` | the same | the same |
//! | `point_in_time_recovery` | DynamoDB tables | UpdateContinuousBackups |
//! | `versioned_buckets` | buckets that it matches; if left out, those named `*backup*`, `*-dump`, `*-dumps` | PutBucketVersioning |
//! | `copy_to_region`, `copy_kms_key` | RDS instances that are in no cluster | StartDBInstanceAutomatedBackupsReplication, in that region |
//!
//! Settings belong to the cluster where there is one, so its members are not looked at. A read replica
//! is no source of anything until it is promoted. Copies of restore drills are left alone.
//!
//! ## How safe
//!
//! Protection only grows: a retention that is longer than asked for stays, and nothing is ever switched
//! off, not even by a saved plan that says so or by `--destroy`. All other settings stay as they are.
//!
//! Backups of an RDS instance that are off (retention 0) are switched on with an outage of seconds to
//! minutes, as its I/O is suspended. Such a change has high risk; `apply` stops before its first write
//! unless `--allow-disruptive` is given. It is written with ApplyImmediately; everything else without,
//! as AWS does it soon anyway.
//!
//! ApplyImmediately also carries out what else waits for the maintenance window, perhaps a change of
//! the class with an outage. An instance for which anything waits is therefore not written, at plan
//! time and again right before the write; `backups.cannot-write` says what waits. The same goes for
//! stopped and broken instances, DocumentDB, Neptune and RDS Custom, and buckets with MFA delete.
//!
//! A copy in another region costs storage and transfer there. Encrypted instances need a key in that
//! region: `alias/aws/rds`, or `copy_kms_key`. AWS replicates automated backups of instances only; what
//! cannot be copied so (clusters, tables that are not global, GovCloud, China) is
//! `backups.copy-not-possible`.
//!
//! ## What is production
//!
//! `production = true` or `false` says it for an environment; if left out, its name does: one with the
//! word `prod`, `prd`, `production` or `live`. A resource with the tag `environment` (or `env`, in any
//! case) is what that tag says.
//!
//! ## Drills
//!
//! A source with production data and no drill is `backups.no-drill`. A configured drill that has not
//! passed within `drill_every` is `backups.drill-overdue`, of high severity, so that the audit exits
//! with 2. That it passed is looked up in the evidence bucket, then in the metric `opsctl/Drill Passed`,
//! then in the records on this machine. If the bucket cannot be read and nothing else shows a pass, or
//! if none of them can be read, the drill is unobserved (exit 3), never fine. Rehearsals in the sandbox
//! count only in the sandbox.
//!
//! **References.** `config.md` (policies/backups.toml); RDS user guide, "Working with backups" and
//! "Replicating automated backups to another AWS Region"; API model, `rds:ModifyDBInstance`.

mod audit;
mod place;
#[cfg(test)]
mod tests;
mod wanted;

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Input, Report, Standing, address, expired_exemption, is_copy, reference, selected, standing,
};
use crate::cloud::Want;
use crate::config::Resolved;
use crate::config::later::Backups;
use crate::config::source::Origin;
use crate::config::values::Matched;
use crate::inventory::{DatabaseFact, Observed, Resource};
use crate::model::{Control, ResourceType, Severity};
use crate::plan::{Change, Counts, Finding, Reason, Verdict};
use wanted::Wanted;

pub use place::{home, is_production};

/// Names of buckets with backups in them, where the policy names none.
const BACKUP_BUCKETS: [&str; 3] = ["*backup*", "*-dump", "*-dumps"];

/// What the control needs to see.
pub fn want(resolved: &Resolved, want: &mut Want) {
    let Some(policy) = &resolved.policies.backups else {
        return;
    };
    want.backups = true;
    want.versioned.extend(names_of_buckets(policy));
}

/// What its audit needs to see besides.
pub fn want_for_audit(resolved: &Resolved, want: &mut Want) {
    let policy = resolved.policies.backups.as_ref();
    want.snapshots = true;
    want.replicas = policy.is_some_and(|p| p.copy_to_region.is_some());
}

/// Globs that the name of every bucket to be versioned is like.
fn names_of_buckets(policy: &Backups) -> Vec<String> {
    match &policy.versioned_buckets {
        None => BACKUP_BUCKETS.map(str::to_owned).to_vec(),
        Some(matches) => match &matches.name {
            Some(globs) => globs
                .0
                .iter()
                .map(|glob| glob.0.glob().glob().to_owned())
                .collect(),
            None => vec!["*".to_owned()],
        },
    }
}

/// Whether a bucket is one with backups in it.
fn is_backup_bucket(policy: &Backups, resource: &Resource) -> Matched {
    match &policy.versioned_buckets {
        Some(matches) => matches.resource(resource),
        None => {
            let like = |glob: &str| {
                globset::Glob::new(glob).is_ok_and(|g| g.compile_matcher().is_match(&resource.name))
            };
            match BACKUP_BUCKETS.into_iter().any(like) {
                true => Matched::Yes,
                false => Matched::No,
            }
        }
    }
}

/// Plans the settings of one environment.
pub fn plan(input: &Input) -> Verdict {
    judge(input, false)
}

/// What is planned, and with `audit` what no setting shows.
pub fn judge(input: &Input, audit: bool) -> Verdict {
    let Some(policy) = &input.resolved.policies.backups else {
        return Verdict::default();
    };
    if input.destroy {
        return Verdict {
            notes: vec![format!(
                "backups: the settings of {} stay as they are: none of them was made by opsctl as a whole",
                input.resolved.environment
            )],
            ..Verdict::default()
        };
    }
    let mut judge = Judge {
        input,
        policy,
        audit,
        verdict: Verdict::default(),
    };
    for resource in &input.inventory.resources {
        let kind = &resource.kind;
        let known = [
            ResourceType::RDS_INSTANCE,
            ResourceType::RDS_CLUSTER,
            ResourceType::DYNAMODB_TABLE,
            ResourceType::S3_BUCKET,
        ];
        if known.contains(kind) && selected(input, resource, "backups") {
            judge.resource(resource);
        }
    }
    if audit {
        judge.snapshots();
        judge.drills();
    }
    judge.disruptive();
    judge.verdict
}

/// What is known of one resource.
enum Fact<'a> {
    Database(&'a DatabaseFact),
    Table(&'a crate::inventory::TableFact),
    Bucket(crate::inventory::VersioningFact),
    Unseen,
    /// It is not this control's business.
    Nothing,
}

struct Judge<'a> {
    input: &'a Input<'a>,
    policy: &'a Backups,
    audit: bool,
    verdict: Verdict,
}

impl<'a> Judge<'a> {
    fn counts(&mut self) -> &mut Counts {
        &mut self.verdict.counts
    }

    fn reason(&self, key: &str, origin: Option<Origin>) -> Reason {
        let origin = origin.or_else(|| self.any_origin()).unwrap_or_default();
        self.input
            .resolved
            .reason(Control::Backups, format!("backups.{key}"), origin)
    }

    /// For what no key of the policy asks for, but having one at all.
    fn of_policy(&self) -> Reason {
        let origin = self.any_origin().unwrap_or_default();
        self.input
            .resolved
            .reason(Control::Backups, "backups", origin)
    }

    /// A line of the policy, for what no key of its own asks for.
    fn any_origin(&self) -> Option<Origin> {
        let policy = self.policy;
        policy
            .retention_days
            .as_ref()
            .map(|v| v.origin)
            .or_else(|| policy.deletion_protection.as_ref().map(|v| v.origin))
            .or_else(|| policy.drill_every.as_ref().map(|v| v.origin))
    }

    fn report(
        &self,
        resource: &Resource,
        id: &'static str,
        severity: Severity,
        [message, evidence, remediation]: [String; 3],
        policy: Reason,
    ) -> Finding {
        Report {
            id,
            control: Control::Backups,
            severity,
            message,
            evidence,
            remediation,
            policy,
        }
        .on(self.input, resource)
    }

    fn fact(&self, resource: &Resource) -> Fact<'a> {
        let facts = &self.input.inventory.backups;
        let kind = &resource.kind;
        if is_copy(resource) {
            return Fact::Nothing;
        }
        if *kind == ResourceType::S3_BUCKET {
            return match is_backup_bucket(self.policy, resource) {
                Matched::No => Fact::Nothing,
                Matched::Unknown => Fact::Unseen,
                Matched::Yes => match facts.buckets.get(&resource.name) {
                    Some(Observed::Known(fact)) => Fact::Bucket(*fact),
                    _ => Fact::Unseen,
                },
            };
        }
        if *kind == ResourceType::DYNAMODB_TABLE {
            return match facts.tables.get(&resource.arn) {
                Some(Observed::Known(fact)) => Fact::Table(fact),
                // Deleted since it was listed.
                Some(Observed::Absent) => Fact::Nothing,
                _ => Fact::Unseen,
            };
        }
        match facts.databases.get(&resource.arn) {
            Some(fact)
                if fact.cluster.is_some()
                    || fact.replica_of.is_some()
                    || fact.status == "deleting" =>
            {
                Fact::Nothing
            }
            Some(fact) => Fact::Database(fact),
            None => Fact::Unseen,
        }
    }

    fn resource(&mut self, resource: &Resource) {
        let fact = self.fact(resource);
        if matches!(fact, Fact::Nothing) {
            return;
        }
        self.counts().checked += 1;
        if matches!(fact, Fact::Unseen) {
            self.counts().unobserved += 1;
            return;
        }
        let owner = match standing(self.input, resource, self.policy.owned_elsewhere) {
            // Left out above, so that none is counted.
            Standing::Copy => return,
            Standing::Unseen => return self.counts().unobserved += 1,
            Standing::Ignored => return self.counts().ignored += 1,
            Standing::Exempt => return self.counts().exempt += 1,
            Standing::Owned(owner) => {
                self.counts().owned_elsewhere += 1;
                Some(owner)
            }
            Standing::Ours { expired } => {
                let expired = expired.and_then(|name| {
                    expired_exemption(self.input, resource, Control::Backups, &name)
                });
                self.verdict.findings.extend(expired);
                None
            }
        };
        let mut wanted = Wanted::of(self, resource, &fact);
        let mut findings = std::mem::take(&mut wanted.findings);
        let mut change = None;
        if let Some(asked) = wanted.change(self.input, resource, self.policy) {
            if let Some(owner) = owner {
                findings.push(self.left_to(resource, &asked, &owner.to_string(), owner.tool));
            } else if let Some([why, evidence, fix]) = wanted.obstacle {
                let fields = names(&asked);
                findings.push(self.report(
                    resource,
                    "backups.cannot-write",
                    Severity::Medium,
                    [
                        format!("{why}, so it is not changed: {fields}"),
                        evidence,
                        fix,
                    ],
                    asked.reason.clone(),
                ));
            } else {
                change = Some(asked);
            }
        }
        if self.audit {
            findings.extend(self.about(resource, &fact));
        }
        if change.is_none() && findings.iter().all(|f| f.severity == Severity::Low) {
            self.counts().compliant += 1;
        }
        self.verdict.changes.extend(change);
        self.verdict.findings.extend(findings);
    }

    fn left_to(&self, resource: &Resource, asked: &Change, owner: &str, tool: &str) -> Finding {
        self.report(
            resource,
            "backups.owned-elsewhere",
            Severity::Low,
            [
                format!("belongs to {owner}, so its backup settings are left alone"),
                format!("would change: {}", told(asked)),
                format!("set them in {tool}, or say owned_elsewhere = \"write\" in the policy"),
            ],
            asked.reason.clone(),
        )
    }

    /// Says which changes an apply refuses without being told otherwise.
    fn disruptive(&mut self) {
        let changes = self.verdict.changes.iter();
        let names: Vec<String> = changes
            .filter(|c| c.disruption().is_some())
            .map(|c| c.resource.name.clone())
            .collect();
        if !names.is_empty() {
            self.verdict.notes.push(format!(
                "backups: automated backups of {} are off in {}; switching them on suspends I/O for seconds to minutes, so apply needs --allow-disruptive",
                names.join(", "),
                self.input.resolved.environment
            ));
        }
    }

    /// The newest data that a database can be restored to, and whether that is all there is.
    fn snapshots_of(&self, resource: &Resource) -> Option<&'a [crate::inventory::SnapshotFact]> {
        let kind = match resource.kind == ResourceType::RDS_CLUSTER {
            true => ResourceType::RDS_CLUSTER_SNAPSHOT,
            false => ResourceType::RDS_SNAPSHOT,
        };
        let all = &self.input.inventory.backups.snapshots;
        match all.get(&(resource.region.clone(), kind))? {
            Observed::Known(found) => Some(found.as_slice()),
            Observed::Absent => Some(&[]),
            Observed::Unknown(_) => None,
        }
    }
}

/// The fields of a change with their values.
fn told(change: &Change) -> String {
    let fields = change.fields.iter().map(|f| {
        let text = |v: &Option<String>| v.clone().unwrap_or_default();
        format!("{} from {} to {}", f.field, text(&f.before), text(&f.after))
    });
    fields.collect::<Vec<_>>().join(", ")
}

fn names(change: &Change) -> String {
    let fields: Vec<&str> = change.fields.iter().map(|f| f.field.as_str()).collect();
    fields.join(", ")
}

/// The drills of the policy by the kind and name of their source.
fn drilled(policy: &Backups) -> BTreeMap<(ResourceType, String), Vec<&str>> {
    use crate::drill::spec::SourceId;
    let mut out: BTreeMap<(ResourceType, String), Vec<&str>> = BTreeMap::new();
    for (name, drill) in &policy.drill {
        let key = match SourceId::parse(&drill.source) {
            Ok(SourceId::Rds(id)) => (ResourceType::RDS_INSTANCE, id),
            Ok(SourceId::Aurora(id)) => (ResourceType::RDS_CLUSTER, id),
            Ok(SourceId::DynamoDb(id)) => (ResourceType::DYNAMODB_TABLE, id),
            // A dump does not tell of which database it is.
            Ok(SourceId::Dump { .. }) | Err(_) => continue,
        };
        out.entry(key).or_default().push(name);
    }
    out
}

/// Engines whose settings other services write, and what stands for them in a sentence.
fn foreign_engine(engine: &str) -> Option<&'static str> {
    match engine {
        "docdb" => Some("DocumentDB"),
        "neptune" => Some("Neptune"),
        e if e.starts_with("custom-") => Some("RDS Custom"),
        _ => None,
    }
}

/// Changes of the same reading, with what makes them; see [`wanted`].
type Reasons = BTreeMap<&'static str, Reason>;

/// Regions of a partition where backups are not replicated by this version.
fn regions_without_copies(region: &str) -> bool {
    crate::model::partition(region) != "aws"
}

/// No region at all.
fn nowhere() -> BTreeSet<String> {
    BTreeSet::new()
}
