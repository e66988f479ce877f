//! One environment being worked out: what all kinds of objects have in common.

use rust_decimal::Decimal;

use super::names::Names;
use super::wanted::Targets;
use crate::config::later::Budgets;
use crate::config::node::Node;
use crate::config::workspace::Environment;
use crate::config::{Origin, Resolved};
use crate::controls::Input;
use crate::controls::object::ObjectChange;
use crate::inventory::{Observed, Resource};
use crate::model::object::{MANAGED_TAG, Object, ObjectKind};
use crate::model::{Address, Arn, Control, Risk, Severity, Tags, ignore_reason};
use crate::plan::{Finding, Reason, Verdict};

/// Whether the environment's account pays for itself, as far as the configuration says.
pub(super) fn pays(resolved: &Resolved) -> bool {
    resolved
        .payer
        .as_ref()
        .is_none_or(|payer| *payer == resolved.environment)
}

/// Whose a thing is by its tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    Ours,
    /// Ours, with the tag `opsctl:ignore`.
    Ignored,
    Foreign,
    Unseen,
}

/// A change of one object, before it is known whether there is anything to change.
pub(super) struct Step<'a> {
    pub before: Option<Object>,
    pub after: Option<Object>,
    pub risk: Risk,
    /// The line that asks for it, and those behind single fields.
    pub reason: Reason,
    pub of_field: &'a dyn Fn(&str) -> Option<Reason>,
    pub delta: Decimal,
    pub basis: Option<String>,
}

/// What a finding says.
pub(super) struct Told {
    pub id: &'static str,
    pub severity: Severity,
    pub message: String,
    pub evidence: String,
    pub remediation: String,
    pub policy: Reason,
}

pub(super) struct Work<'a> {
    pub input: &'a Input<'a>,
    pub policy: &'a Budgets,
    pub config: &'a Environment,
    pub names: Names,
    pub targets: Targets,
    pub verdict: Verdict,
}

impl<'a> Work<'a> {
    pub fn new(input: &'a Input<'a>, policy: &'a Budgets, config: &'a Environment) -> Self {
        Work {
            input,
            policy,
            config,
            names: Names::new(input.resolved),
            targets: Targets::new(config),
            verdict: Verdict::default(),
        }
    }

    pub fn account_id(&self) -> &'a str {
        &self.config.account.value
    }

    pub fn reason(&self, rule: impl Into<String>, origin: Origin) -> Reason {
        self.input.resolved.reason(Control::Budgets, rule, origin)
    }

    /// The reason that a key of the policy gives, with its place.
    pub fn rule(&self, path: &str) -> Reason {
        let mut origin = Origin::default();
        let mut node: Option<&Node> = Some(&self.input.resolved.node);
        for key in path.split('.') {
            let entry = node.and_then(|n| n.table()?.get(key));
            if let Some(entry) = entry {
                origin = entry.key;
            }
            node = entry.map(|e| &e.node);
        }
        self.reason(path, origin)
    }

    /// The reason that a key of the environment gives.
    pub fn environment(&self, key: &str, origin: Origin) -> Reason {
        let name = &self.input.resolved.environment;
        self.reason(format!("environments.{name}.{key}"), origin)
    }

    pub fn limit_reason(&self) -> Reason {
        match &self.config.monthly_budget_usd {
            Some(limit) => self.environment("monthly_budget_usd", limit.origin),
            None => self.rule("budgets"),
        }
    }

    pub fn notify_reason(&self) -> Reason {
        let first = self.config.notify.targets().next();
        match first {
            Some(target) => self.environment("notify", target.origin),
            None => self.environment("account", self.config.account.origin),
        }
    }

    pub fn arn(&self, kind: ObjectKind, region: &str, name: &str) -> String {
        kind.arn("aws", region, self.account_id(), name)
    }

    /// A thing as plans and addresses name it.
    pub fn resource(&self, arn: String, region: &str) -> Resource {
        let (kind, name) = match Arn::parse(&arn) {
            Some(parsed) => {
                let (kind, name) = parsed.classify();
                (kind, name.to_owned())
            }
            None => (crate::model::ResourceType::new("unknown"), arn.clone()),
        };
        Resource {
            arn,
            kind,
            name,
            region: region.to_owned(),
            tags: Observed::Known(Tags::new()),
        }
    }

    fn address(&self, resource: &Resource) -> Address {
        crate::controls::address(self.input, resource, Control::Budgets.as_str())
    }

    fn selected(&self, resource: &Resource) -> bool {
        crate::controls::selected(self.input, resource, Control::Budgets.as_str())
    }

    fn resource_of(&self, kind: ObjectKind, region: &str, name: &str) -> Resource {
        let arn = self.arn(kind, region, name);
        self.resource(arn, region)
    }

    pub fn is_selected(&self, kind: ObjectKind, region: &str, name: &str) -> bool {
        self.selected(&self.resource_of(kind, region, name))
    }

    /// Whose a thing with our name is. Where a service keeps no tags, the name decides.
    pub fn whose(&self, tags: &Observed<Tags>) -> Whose {
        match tags {
            Observed::Unknown(_) => Whose::Unseen,
            Observed::Absent => Whose::Ours,
            Observed::Known(tags) if tags.get(MANAGED_TAG) != Some(&self.names.managed) => {
                Whose::Foreign
            }
            Observed::Known(tags) if ignore_reason(tags).is_some() => Whose::Ignored,
            Observed::Known(_) => Whose::Ours,
        }
    }

    /// Counts a thing that was not seen well enough.
    pub fn unseen(&mut self, kind: ObjectKind, region: &str, name: &str) {
        if self.is_selected(kind, region, name) {
            self.verdict.counts.checked += 1;
            self.verdict.counts.unobserved += 1;
        }
    }

    pub fn ignored(&mut self, kind: ObjectKind, region: &str, name: &str) {
        if self.is_selected(kind, region, name) {
            self.verdict.counts.checked += 1;
            self.verdict.counts.ignored += 1;
        }
    }

    /// Something bears our name and is not ours.
    pub fn conflict(&mut self, kind: ObjectKind, region: &str, name: &str, tags: &Observed<Tags>) {
        let resource = self.resource_of(kind, region, name);
        if !self.selected(&resource) {
            return;
        }
        self.verdict.counts.checked += 1;
        let bears = tags.known().and_then(|t| t.get(MANAGED_TAG));
        let evidence = match bears {
            Some(other) => format!("{MANAGED_TAG} = \"{other}\""),
            None => format!("it has no tag {MANAGED_TAG}"),
        };
        let told = Told {
            id: "budgets.conflict",
            severity: Severity::High,
            message: format!("{name} bears our name, but is not ours: it is left alone"),
            evidence,
            remediation: format!(
                "rename or remove it; or, if opsctl is to have it, give it the tag {MANAGED_TAG} = \"{}\"",
                self.names.managed
            ),
            policy: self.rule("budgets"),
        };
        self.find(&resource, told);
    }

    pub fn find(&mut self, resource: &Resource, told: Told) {
        if !self.selected(resource) {
            return;
        }
        self.verdict.findings.push(Finding {
            id: told.id.to_owned(),
            control: Control::Budgets,
            severity: told.severity,
            address: self.address(resource),
            arn: resource.arn.clone(),
            message: told.message,
            evidence: told.evidence,
            remediation: told.remediation,
            policy: told.policy,
            monthly_cost_usd: None,
        });
    }

    /// A finding about one of our objects.
    pub fn find_on(&mut self, kind: ObjectKind, region: &str, name: &str, told: Told) {
        let resource = self.resource_of(kind, region, name);
        self.find(&resource, told);
    }

    pub fn note(&mut self, text: String) {
        let text = format!("budgets: {}: {text}", self.input.resolved.environment);
        if !self.verdict.notes.contains(&text) {
            self.verdict.notes.push(text);
        }
    }

    /// Plans an object, where it differs from what is there.
    pub fn settle(&mut self, step: Step<'_>) {
        let Some(object) = step.after.as_ref().or(step.before.as_ref()) else {
            return;
        };
        let region = object.region().to_owned();
        let resource = self.resource_of(object.kind(), &region, object.name());
        if !self.selected(&resource) {
            return;
        }
        self.verdict.counts.checked += 1;
        if step.before == step.after {
            self.verdict.counts.compliant += 1;
            return;
        }
        let change = ObjectChange {
            control: Control::Budgets,
            before: step.before,
            after: step.after,
            reason: step.reason,
            of_field: step.of_field,
            risk: step.risk,
            delta: step.delta,
            basis: step.basis,
            managed: &self.names.managed,
        };
        self.verdict.changes.push(change.on(self.input, &resource));
    }

    /// Plans the removal of an object of ours.
    pub fn remove(&mut self, object: Object, reason: Reason, delta: Decimal) {
        let basis = (!delta.is_zero()).then(|| "one metric alarm less".to_owned());
        self.settle(Step {
            before: Some(object),
            after: None,
            risk: Risk::Medium,
            reason,
            of_field: &|_| None,
            delta,
            basis,
        });
    }
}
