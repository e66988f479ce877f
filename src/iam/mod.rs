//! Least privilege: the IAM policy that exactly one resolved profile needs.
//!
//! [`table`] says for every operation that opsctl can make which IAM actions it takes, in which part
//! of a profile it is made, and how far AWS lets it be narrowed ([`scope`]); [`facts`] are what a
//! profile fixes (account, regions, names, buckets, sources of drills); [`policy`] puts both together
//! and splits what is too large; [`trust`] says who may take the role. Pure: no AWS, no clock.

pub mod facts;
pub mod policy;
pub mod scope;
pub mod table;
pub mod trust;

#[cfg(test)]
mod tests;

use crate::model::Control;

/// What a role is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Role {
    /// Everything that only looks: plan, audit, cost, reports, metrics.
    Plan,
    /// What apply writes, and what it reads to decide that.
    Apply,
    /// Restore drills: the copy, its removal, the evidence.
    Drill,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Plan => "plan",
            Role::Apply => "apply",
            Role::Drill => "drill",
        }
    }

    /// Whether a policy for this role holds what `other` needs: apply plans first.
    pub fn covers(self, other: Role) -> bool {
        self == other || (self == Role::Apply && other == Role::Plan)
    }
}

/// A part of a profile that makes an operation necessary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// All resources with their tags are looked at.
    Resources,
    /// Tags are written.
    Tags,
    /// Buckets are looked at.
    Buckets,
    /// Lifecycle configurations.
    Lifecycle,
    /// Bucket sizes, for rules that are judged by their saving.
    Sizes,
    Budgets,
    Anomaly,
    CostTags,
    BillingMetric,
    /// Topics that notifications go to.
    Topics,
    /// The topic for e-mail of the billing alarm and of alarms: addresses are subscribed.
    Mail,
    Alarms,
    /// Topics that any alarm notifies: audits look at those.
    AlarmTopics,
    /// What alarm thresholds are derived from.
    Attributes,
    /// Metrics that the policies name: `metrics check`, back-tests, users of the cost audit.
    Metrics,
    /// The cost audit of the account that pays.
    Cost,
    Backups,
    /// Retention, deletion protection and tags of snapshots are written.
    BackupDatabases,
    /// Point-in-time recovery of tables is switched on.
    BackupTables,
    /// Versioning of buckets is switched on.
    BackupVersioning,
    /// Backups are copied to another region.
    BackupCopies,
    /// The lock of the project lies in this account.
    Lock,
    /// The evidence bucket of the project lies in this account.
    Evidence,
    /// `[notify]` names topics of this account.
    Notify,
    /// The role may ask what it may do: `opsctl doctor`.
    Simulate,
    /// Any drill.
    Drill,
    RdsDrill,
    AuroraDrill,
    DynamoDrill,
    DumpDrill,
}

impl Part {
    /// The control that a part belongs to; those of no control are needed by all of them.
    pub fn control(self) -> Option<Control> {
        Some(match self {
            Part::Resources | Part::Tags => Control::Tags,
            Part::Lifecycle | Part::Sizes => Control::Lifecycle,
            Part::Budgets | Part::Anomaly | Part::CostTags | Part::BillingMetric => {
                Control::Budgets
            }
            Part::Alarms | Part::AlarmTopics | Part::Attributes => Control::Alarms,
            Part::Cost => Control::Cost,
            Part::Backups
            | Part::BackupDatabases
            | Part::BackupTables
            | Part::BackupVersioning
            | Part::BackupCopies => Control::Backups,
            _ => return None,
        })
    }
}
