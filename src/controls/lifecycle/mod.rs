//! # S3 lifecycle
//!
//! **What.** Buckets that a rule of the policy matches bear it, under an id that begins with
//! `opsctl-`; rules of ours that the policy no longer asks for are removed.
//!
//! **Why.** Unfinished uploads and data that nobody reads any more are billed for ever.
//!
//! **How safe.** Rules that opsctl did not make, and the minimum-size setting, come through every
//! write unchanged; a configuration with parts that this version does not know is never written.
//! A rule that would lose money, that a foreign rule already does, or that would fight a foreign
//! rule is not planned. Directory buckets (S3 Express One Zone) are not looked at.
//!
//! **References.** `config.md` (policies/s3-lifecycle.toml); S3 user guide, "Managing the lifecycle
//! of objects".

mod foreign;

use rust_decimal::Decimal;

pub use self::foreign::describe;
use self::foreign::{conflict_with, satisfied_by};
use super::saving::{self, Saving};
use super::{
    Input, Report, Standing, expired_exemption, reference, selected, signed_usd, standing,
};
use crate::config::policy::{LifecyclePolicy, LifecycleRule, OwnedElsewhere};
use crate::config::values::{Matched, Sourced};
use crate::inventory::{Bucket, Observed, Resource};
use crate::model::lifecycle::{Filter, LifecycleConfiguration, MAX_RULES, RULE_PREFIX, Rule};
use crate::model::{Control, ResourceType, Risk, Severity};
use crate::plan::{ActionKind, Change, FieldChange, Finding, Operation, Reason, Verdict};

/// Plans the lifecycle rules of one environment.
pub fn plan(input: &Input) -> Verdict {
    let mut verdict = Verdict::default();
    let Some(policy) = &input.resolved.policies.lifecycle else {
        return verdict;
    };
    verdict.counts.outside_regions = input
        .inventory
        .buckets_elsewhere
        .iter()
        .map(|(name, region)| format!("{name} ({region})"))
        .collect();
    for resource in &input.inventory.resources {
        if resource.kind != ResourceType::S3_BUCKET || !selected(input, resource, "lifecycle") {
            continue;
        }
        let Some(bucket) = input.inventory.buckets.get(&resource.name) else {
            continue;
        };
        verdict.counts.checked += 1;
        if bucket.lifecycle.is_unknown() {
            verdict.counts.unobserved += 1;
            continue;
        }
        match standing(input, resource, policy.owned_elsewhere) {
            // No drill makes a bucket.
            Standing::Copy => {}
            Standing::Unseen => verdict.counts.unobserved += 1,
            Standing::Ignored => verdict.counts.ignored += 1,
            Standing::Exempt => verdict.counts.exempt += 1,
            Standing::Owned(owner) => {
                verdict.counts.owned_elsewhere += 1;
                let mut work = Work::new(input, policy, resource, bucket);
                let (change, _) = work.finish();
                match change {
                    None => verdict.counts.compliant += 1,
                    Some(change) => verdict.findings.push(work.report(
                        "lifecycle.owned-elsewhere",
                        Severity::Low,
                        format!("belongs to {owner}, so its lifecycle rules are left alone"),
                        format!("would change: {}", change.fields.iter().map(|f| f.field.as_str()).collect::<Vec<_>>().join(", ")),
                        format!("set the rules in {}, or say owned_elsewhere = \"write\" in the policy", owner.tool),
                        change.reason,
                    )),
                }
            }
            Standing::Ours { expired } => {
                if let Some(name) = expired {
                    verdict.findings.extend(expired_exemption(
                        input,
                        resource,
                        Control::Lifecycle,
                        &name,
                    ));
                }
                let (change, findings) = Work::new(input, policy, resource, bucket).finish();
                if change.is_none() && findings.iter().all(|f| f.severity == Severity::Low) {
                    verdict.counts.compliant += 1;
                }
                verdict.changes.extend(change);
                verdict.findings.extend(findings);
            }
        }
    }
    verdict
}

/// One bucket being worked out.
struct Work<'a> {
    input: &'a Input<'a>,
    policy: &'a LifecyclePolicy,
    resource: &'a Resource,
    bucket: &'a Bucket,
    current: LifecycleConfiguration,
    /// New rules of ours so far.
    planned: Vec<Rule>,
    findings: Vec<Finding>,
    fields: Vec<FieldChange>,
    risk: Risk,
    delta: Option<Decimal>,
    basis: Vec<String>,
}

impl<'a> Work<'a> {
    fn new(
        input: &'a Input<'a>,
        policy: &'a LifecyclePolicy,
        resource: &'a Resource,
        bucket: &'a Bucket,
    ) -> Self {
        Work {
            input,
            policy,
            resource,
            bucket,
            current: bucket.lifecycle.known().cloned().unwrap_or_default(),
            planned: Vec::new(),
            findings: Vec::new(),
            fields: Vec::new(),
            risk: Risk::Low,
            delta: None,
            basis: Vec::new(),
        }
    }

    fn reason(&self, name: &str, rule: &Sourced<LifecycleRule>) -> Reason {
        self.input.resolved.reason(
            Control::Lifecycle,
            format!("lifecycle.rule.{name}"),
            rule.origin,
        )
    }

    fn report(
        &self,
        id: &str,
        severity: Severity,
        message: String,
        evidence: String,
        remediation: String,
        policy: Reason,
    ) -> Finding {
        Report {
            id,
            control: Control::Lifecycle,
            severity,
            message,
            evidence,
            remediation,
            policy,
        }
        .on(self.input, self.resource)
    }

    fn finish(&mut self) -> (Option<Change>, Vec<Finding>) {
        let mut wanted: Vec<(Rule, Reason)> = Vec::new();
        if !self.input.destroy {
            let policy = self.policy;
            for (name, rule) in &policy.rule {
                if rule.matches.resource(self.resource) == Matched::Yes
                    && let Some(s3) = self.want(name, rule)
                {
                    if !self.current.rules.iter().any(|r| r.id == s3.id) {
                        self.planned.push(s3.clone());
                    }
                    wanted.push((s3, self.reason(name, rule)));
                }
            }
        }
        let mut after = LifecycleConfiguration {
            transition_default_minimum_object_size: self
                .current
                .transition_default_minimum_object_size
                .clone(),
            rules: Vec::new(),
        };
        // Rules keep their places: ours are replaced where they stand, new ones come last.
        for rule in &self.current.rules.clone() {
            if !rule.is_ours() {
                after.rules.push(rule.clone());
                continue;
            }
            match wanted.iter().position(|(w, _)| w.id == rule.id) {
                Some(at) => {
                    let (new, reason) = wanted.remove(at);
                    if new.normalised() == rule.normalised() {
                        // In the form of its neighbours, which may have changed since.
                        after.rules.push(self.in_form(rule.clone()));
                    } else {
                        self.field(Some(rule), Some(&new), reason);
                        after.rules.push(new);
                    }
                }
                None => {
                    let reason = self.removal_reason(rule);
                    self.field(Some(rule), None, reason);
                }
            }
        }
        for (rule, reason) in wanted {
            self.field(None, Some(&rule), reason);
            after.rules.push(rule);
        }
        let findings = std::mem::take(&mut self.findings);
        if self.fields.is_empty() {
            return (None, findings);
        }
        self.change(after, findings)
    }

    fn field(&mut self, before: Option<&Rule>, after: Option<&Rule>, reason: Reason) {
        let risk = after.map_or(Risk::Low, |rule| {
            if rule.expiration.is_some() || rule.noncurrent_version_expiration.is_some() {
                // It deletes data, or versions that a restore may need.
                Risk::High
            } else if rule.transitions.is_empty() && rule.noncurrent_version_transitions.is_empty()
            {
                Risk::Low
            } else {
                Risk::Medium
            }
        });
        self.risk = self.risk.max(risk);
        self.fields.push(FieldChange {
            field: before
                .or(after)
                .map(|r| r.id().to_owned())
                .unwrap_or_default(),
            before: before.map(describe),
            after: after.map(describe),
            reason,
        });
    }

    /// A rule of ours that nothing asks for: the policy as a whole is the reason.
    fn removal_reason(&self, rule: &Rule) -> Reason {
        let name = rule.id().trim_start_matches(RULE_PREFIX).to_owned();
        match self.policy.rule.get(&name) {
            Some(own) => self.reason(&name, own),
            None => {
                let origin = self
                    .policy
                    .rule
                    .values()
                    .next()
                    .map(|r| r.origin)
                    .unwrap_or_default();
                self.input
                    .resolved
                    .reason(Control::Lifecycle, "lifecycle.rule", origin)
            }
        }
    }

    fn change(
        &self,
        after: LifecycleConfiguration,
        mut findings: Vec<Finding>,
    ) -> (Option<Change>, Vec<Finding>) {
        let reason = self.fields[0].reason.clone();
        let refuse = |message: String, evidence: String, remediation: &str| {
            self.report(
                "lifecycle.cannot-write",
                Severity::Medium,
                message,
                evidence,
                remediation.to_owned(),
                reason.clone(),
            )
        };
        if let Some(element) = &self.bucket.unknown_element {
            findings.push(refuse(
                format!("has a lifecycle configuration with <{element}>, which this version does not know and would lose: left alone"),
                format!("element <{element}>"),
                "use a newer opsctl, or set the rules by hand",
            ));
            return (None, findings);
        }
        // What was there already is AWS's business; only what we add can be refused.
        let known: Vec<String> = self.current.violations();
        let new: Vec<String> = if after.rules.is_empty() {
            Vec::new()
        } else {
            after
                .violations()
                .into_iter()
                .filter(|v| !known.contains(v))
                .collect()
        };
        if let Some(violation) = new.first() {
            findings.push(refuse(
                format!("S3 would refuse the rule beside those that are there: {violation}"),
                format!(
                    "{} rules, {} of them foreign",
                    self.current.rules.len(),
                    self.current.rules.iter().filter(|r| !r.is_ours()).count()
                ),
                "change the foreign rules, or except the bucket in the policy's match",
            ));
            return (None, findings);
        }
        let before = match &self.bucket.lifecycle {
            Observed::Known(configuration) => Some(configuration.clone()),
            _ => None,
        };
        let after = (!after.rules.is_empty()).then_some(after);
        let action = match (&before, &after) {
            (None, _) => ActionKind::Create,
            (_, None) => ActionKind::Delete,
            _ => ActionKind::Update,
        };
        let json = |c: &Option<LifecycleConfiguration>| serde_json::to_value(c).unwrap_or_default();
        let change = Change {
            address: super::address(self.input, self.resource, "lifecycle"),
            control: Control::Lifecycle,
            action,
            resource: reference(self.resource),
            before: json(&before),
            after: json(&after),
            reason,
            risk: self.risk,
            monthly_cost_delta_usd: self.delta.map(|d| format!("{d:.2}")),
            cost_basis: Some(if self.basis.is_empty() {
                "not estimated: the size metrics tell nothing about unfinished uploads, old versions and deletions".to_owned()
            } else {
                self.basis.join("; ")
            }),
            fields: self.fields.clone(),
            operation: Operation::Lifecycle {
                before,
                after,
                unless_owned: self.policy.owned_elsewhere == OwnedElsewhere::Leave,
            },
        };
        (Some(change), findings)
    }

    /// The rule as it should stand in this bucket, or `None` where it should not.
    fn want(&mut self, name: &str, rule: &Sourced<LifecycleRule>) -> Option<Rule> {
        let mut s3 = rule.to_s3(name);
        let reason = self.reason(name, rule);
        let existing = self.current.rules.iter().find(|r| r.id == s3.id).cloned();
        if let Some(existing) = &existing
            && existing.normalised() == s3.normalised()
        {
            // It is there: what was once worth it is not judged again, or it would come and go as
            // the objects move.
            return Some(self.in_form(s3));
        }
        let foreign: Vec<&Rule> = self
            .current
            .rules
            .iter()
            .filter(|r| !r.is_ours() && r.is_enabled())
            .collect();
        if existing.is_none()
            && let Some(same) = satisfied_by(&s3, &foreign)
        {
            let message = format!("{} is already done by the foreign rule {same}", s3.id());
            let finding = self.report(
                "lifecycle.satisfied",
                Severity::Low,
                message,
                format!("asked for: {}", describe(&s3)),
                "nothing to do: it is not doubled".to_owned(),
                reason,
            );
            self.findings.push(finding);
            return None;
        }
        if let Some(conflict) = conflict_with(&s3, &foreign) {
            let finding = self.report(
                "lifecycle.conflict",
                Severity::Medium,
                format!("{} is not planned: {}", s3.id(), conflict.0),
                conflict.1,
                "change the foreign rule, or except the bucket in the policy's match".to_owned(),
                reason,
            );
            self.findings.push(finding);
            // A rule of ours that stands already stays as it is.
            return existing;
        }
        if existing.is_some() {
            return Some(self.in_form(s3));
        }
        s3 = self.in_form(s3);
        if s3.filter.is_none()
            && let Some(problem) = self.old_form_problem(&s3)
        {
            let finding = self.report(
                "lifecycle.old-form",
                Severity::Medium,
                format!("{} is not planned: {problem}", s3.id()),
                "the foreign rules have a top-level prefix (Lifecycle V1), which S3 does not mix with filters".to_owned(),
                "convert the foreign rules to filters".to_owned(),
                reason,
            );
            self.findings.push(finding);
            return None;
        }
        if self.current.rules.len() >= MAX_RULES {
            let finding = self.report(
                "lifecycle.no-room",
                Severity::Medium,
                format!(
                    "{} is not planned: the bucket has {} rules already, the most that S3 allows",
                    s3.id(),
                    self.current.rules.len()
                ),
                format!("{} rules", self.current.rules.len()),
                "remove rules that are not needed".to_owned(),
                reason,
            );
            self.findings.push(finding);
            return None;
        }
        if s3.transitions.is_empty() {
            return Some(s3);
        }
        self.if_worth_it(s3, rule, reason)
    }

    /// What S3 would refuse if the rule came beside those that are there and those planned before
    /// it, all in the old form.
    fn old_form_problem(&self, rule: &Rule) -> Option<String> {
        let mut tentative = self.current.clone();
        // A rule of ours that goes with this very write is in nobody's way.
        tentative
            .rules
            .retain(|r| !r.is_ours() || self.asked_for(r.id()));
        tentative.rules.extend(self.planned.iter().cloned());
        let known = tentative.violations();
        tentative.rules.push(rule.clone());
        tentative
            .violations()
            .into_iter()
            .find(|v| !known.contains(v))
    }

    /// Whether the policy asks for a rule of ours with this id in this bucket.
    fn asked_for(&self, id: &str) -> bool {
        id.strip_prefix(RULE_PREFIX)
            .and_then(|name| self.policy.rule.get(name))
            .is_some_and(|rule| rule.matches.resource(self.resource) == Matched::Yes)
    }

    /// Our rule in the form that the configuration can hold.
    fn in_form(&self, mut rule: Rule) -> Rule {
        let others = LifecycleConfiguration {
            transition_default_minimum_object_size: None,
            rules: self
                .current
                .rules
                .iter()
                .filter(|r| !r.is_ours())
                .cloned()
                .collect(),
        };
        if others.is_v1() {
            rule.filter = None;
            rule.prefix = Some(String::new());
        } else {
            rule.prefix = None;
            rule.filter = Some(Filter {
                prefix: Some(String::new()),
                ..Filter::default()
            });
        }
        rule
    }

    fn if_worth_it(
        &mut self,
        s3: Rule,
        rule: &Sourced<LifecycleRule>,
        reason: Reason,
    ) -> Option<Rule> {
        let threshold = rule.only_if.as_ref().map(|o| o.saves_usd_per_month.value.0);
        let skip = |this: &mut Self, why: String, evidence: String| {
            let finding = this.report(
                "lifecycle.not-worth-it",
                Severity::Low,
                format!("{} is not planned: {why}", s3.id()),
                evidence,
                "nothing to do; lower only_if to have it planned all the same".to_owned(),
                reason.clone(),
            );
            this.findings.push(finding);
        };
        let saving: Saving = match &self.bucket.size {
            Observed::Known(size) => match saving::estimate(
                *size,
                &s3.transitions,
                s3.expiration.as_ref().and_then(|e| e.days),
                &self.policy.prices,
            ) {
                Some(saving) => saving,
                // A class without a price: nothing to judge by.
                None => return Some(s3),
            },
            Observed::Absent if threshold.is_some() => {
                skip(
                    self,
                    "its size metrics have no data, so its saving is not known".to_owned(),
                    "no data points of BucketSizeBytes in the last days".to_owned(),
                );
                return None;
            }
            Observed::Unknown(error) if threshold.is_some() => {
                skip(
                    self,
                    "its size could not be read, so its saving is not known".to_owned(),
                    error.clone(),
                );
                return None;
            }
            _ => return Some(s3),
        };
        if let Some(threshold) = threshold
            && saving.usd_per_month < threshold
        {
            skip(
                self,
                format!(
                    "it saves {} USD/month, less than the {threshold} asked for",
                    saving.usd_per_month
                ),
                saving.basis,
            );
            return None;
        }
        *self.delta.get_or_insert(Decimal::ZERO) -= saving.usd_per_month;
        self.basis.push(format!(
            "{} {} USD/month: {}",
            s3.id(),
            signed_usd(-saving.usd_per_month),
            saving.basis
        ));
        Some(s3)
    }
}
