//! What a profile fixes: whose account, where, what things are called.

use std::collections::BTreeSet;

use super::Part;
use crate::cloud::{Target, Want};
use crate::config::Resolved;
use crate::config::later::Backups;
use crate::config::values::Sourced;
use crate::config::workspace::Workspace;
use crate::controls::topics::{base_name, managed, needs};
use crate::drill::spec::{SourceId, Spec};
use crate::model::{Arn, Control};

/// One environment at its stage, as far as permissions depend on it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    pub environment: String,
    /// `aws`, `aws-cn`, `aws-us-gov`
    pub partition: String,
    pub account: String,
    /// Those of the environment, and those that its alarms and billing live in; sorted.
    pub regions: Vec<String>,
    /// What the names of budgets, topics and anomaly subscriptions begin with.
    pub base: String,
    /// The value of the tag that says whose a thing is.
    pub managed: String,
    pub alarm_prefixes: BTreeSet<String>,
    /// ARNs of the topics that the policies notify.
    pub topics: BTreeSet<String>,
    /// Addresses that are subscribed to topics of ours.
    pub addresses: Vec<String>,
    /// Keys that the tag policy writes or removes.
    pub tag_keys: Vec<String>,
    /// Bucket and key.
    pub lock: Option<(String, String)>,
    /// Bucket and prefix, which ends with `/`.
    pub evidence: Option<(String, String)>,
    /// ARNs of the topics of `[notify]`.
    pub notified: BTreeSet<String>,
    /// Buckets and prefixes.
    pub dumps: BTreeSet<(String, String)>,
    /// The ARN of the role that the policy is for, where it may ask about itself.
    pub role: Option<String>,
    pub databases: BTreeSet<String>,
    pub clusters: BTreeSet<String>,
    pub tables: BTreeSet<String>,
    pub parts: BTreeSet<Part>,
}

fn tag_keys(resolved: &Resolved) -> Vec<String> {
    let mut keys = BTreeSet::new();
    if let Some(policy) = &resolved.policies.tags {
        keys.extend(policy.required.iter().map(|k| k.value.clone()));
        keys.extend(policy.defaults.keys().cloned());
        keys.extend(policy.infer.iter().flat_map(|i| i.set.keys().cloned()));
        for (key, spellings) in &policy.aliases {
            keys.insert(key.clone());
            keys.extend(spellings.iter().map(|s| s.value.clone()));
        }
    }
    keys.into_iter().collect()
}

/// What the settings of the policy need to be written; one that is left out, or is off, needs nothing.
fn writes(backups: &Backups, want: &Want) -> impl Iterator<Item = Part> {
    let on = |setting: &Option<Sourced<bool>>| setting.as_ref().is_some_and(|s| s.value);
    [
        (
            Part::BackupDatabases,
            backups.retention_days.is_some()
                || on(&backups.deletion_protection)
                || on(&backups.copy_tags_to_snapshot),
        ),
        (Part::BackupTables, on(&backups.point_in_time_recovery)),
        // If left out, buckets with certain names are versioned.
        (Part::BackupVersioning, !want.versioned.is_empty()),
        (Part::BackupCopies, backups.copy_to_region.is_some()),
    ]
    .into_iter()
    .filter_map(|(part, needed)| needed.then_some(part))
}

impl Facts {
    /// `want`: what plan and audit look at for the controls in question.
    ///
    /// # Errors
    /// Drills that validation would have found.
    pub fn new(
        target: &Target,
        resolved: &Resolved,
        workspace: &Workspace,
        controls: &[Control],
        want: &Want,
    ) -> Result<Facts, String> {
        let policies = &resolved.policies;
        let has = |control: Control| controls.contains(&control) && policies.has(control);
        let mut regions: BTreeSet<String> = target.regions.iter().cloned().collect();
        regions.extend(want.alarms.iter().cloned());
        if want.billing_metric {
            regions.insert("us-east-1".to_owned());
        }
        let first = target.regions.first().map_or("", String::as_str);
        let needs = needs(resolved);
        let mut facts = Facts {
            environment: target.environment.clone(),
            partition: crate::model::partition(first).to_owned(),
            account: target.account.clone(),
            base: base_name(resolved),
            managed: managed(resolved),
            alarm_prefixes: want.own_alarm_prefixes.clone(),
            topics: want.topics.clone(),
            addresses: needs
                .values()
                .flat_map(|need| &need.subscriptions)
                .filter_map(|s| s.strip_prefix("email:"))
                .map(str::to_owned)
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect(),
            tag_keys: tag_keys(resolved),
            ..Facts::default()
        };
        let parts = [
            (Part::Resources, want.tags),
            (Part::Tags, has(Control::Tags) && !facts.tag_keys.is_empty()),
            (Part::Buckets, want.tags || want.lifecycle || want.sizes),
            (Part::Lifecycle, want.lifecycle),
            (Part::Sizes, want.sizes),
            (Part::Budgets, want.budgets),
            (Part::Anomaly, want.anomaly),
            (Part::CostTags, want.cost_tags),
            (Part::BillingMetric, want.billing_metric),
            (Part::Topics, !want.topics.is_empty()),
            (
                Part::Mail,
                !want.topics.is_empty() && !facts.addresses.is_empty(),
            ),
            (Part::Alarms, !want.alarms.is_empty()),
            (Part::AlarmTopics, want.alarm_topics),
            (Part::Attributes, want.attributes),
            (
                Part::Metrics,
                has(Control::Alarms) || (has(Control::Cost) && uses_metrics(resolved)),
            ),
            (
                Part::Cost,
                has(Control::Cost)
                    && resolved
                        .payer
                        .as_ref()
                        .is_none_or(|p| *p == target.environment),
            ),
            (Part::Backups, has(Control::Backups)),
        ];
        if let Some(backups) = &policies.backups
            && has(Control::Backups)
        {
            facts.parts.extend(writes(backups, want));
        }
        facts.parts.extend(
            parts
                .into_iter()
                .filter(|(_, on)| *on)
                .map(|(part, _)| part),
        );
        if let Some(lock) = &workspace.lock
            && lock.environment.value == target.environment
        {
            let key = format!("opsctl/{}.lock", workspace.project.name.value);
            facts.lock = Some((lock.bucket.clone(), key));
            facts.parts.insert(Part::Lock);
        }
        if let Some(evidence) = &workspace.evidence
            && evidence.environment.value == target.environment
        {
            let project = &workspace.project.name.value;
            let prefix = format!("{}{project}/", evidence.folder());
            facts.evidence = Some((evidence.bucket.clone(), prefix));
            facts.parts.insert(Part::Evidence);
        }
        facts.notified = workspace
            .notify
            .iter()
            .flat_map(|n| &n.targets)
            .filter_map(|t| t.strip_prefix("sns:"))
            .filter(|arn| Arn::parse(arn).is_some_and(|a| a.account == target.account))
            .map(str::to_owned)
            .collect();
        if !facts.notified.is_empty() {
            facts.parts.insert(Part::Notify);
        }
        facts.add_drills(target, resolved)?;
        if let Some(copy) = policies
            .backups
            .as_ref()
            .and_then(|b| b.copy_to_region.as_ref())
            && has(Control::Backups)
        {
            regions.insert(copy.value.clone());
        }
        if let Some(users) = policies.cost.as_ref().and_then(|c| c.users_metric.as_ref())
            && has(Control::Cost)
        {
            regions.extend(users.value.region.clone());
        }
        facts.regions = regions.into_iter().collect();
        Ok(facts)
    }

    fn add_drills(&mut self, target: &Target, resolved: &Resolved) -> Result<(), String> {
        for spec in Spec::all(target, resolved)? {
            self.parts.insert(Part::Drill);
            self.parts.insert(match spec.id {
                SourceId::Rds(name) => {
                    self.databases.insert(name);
                    Part::RdsDrill
                }
                SourceId::Aurora(name) => {
                    self.clusters.insert(name);
                    Part::AuroraDrill
                }
                SourceId::DynamoDb(name) => {
                    self.tables.insert(name);
                    Part::DynamoDrill
                }
                SourceId::Dump { bucket, prefix } => {
                    self.dumps.insert((bucket, prefix));
                    Part::DumpDrill
                }
            });
        }
        Ok(())
    }

    pub fn arn(&self, service: &str, region: &str, resource: &str) -> String {
        let (partition, account) = (&self.partition, &self.account);
        format!("arn:{partition}:{service}:{region}:{account}:{resource}")
    }

    /// What endpoints of this partition end with. Source: AWS general reference, "Service endpoints".
    pub fn domain(&self) -> &'static str {
        match self.partition.as_str() {
            "aws-cn" => "amazonaws.com.cn",
            _ => "amazonaws.com",
        }
    }
}

/// Whether the cost audit asks a metric for the number of users.
fn uses_metrics(resolved: &Resolved) -> bool {
    resolved
        .policies
        .cost
        .as_ref()
        .is_some_and(|c| c.users_metric.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An empty `[backups]` reads, and writes nothing.
    #[test]
    fn only_the_settings_of_the_policy_are_written() {
        let mut want = Want::default();
        assert_eq!(writes(&Backups::default(), &want).count(), 0);
        want.versioned.insert("*-dump".to_owned());
        let parts: Vec<Part> = writes(&Backups::default(), &want).collect();
        assert_eq!(parts, [Part::BackupVersioning]);
    }
}
