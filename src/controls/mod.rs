//! Controls: pure functions of (policy, inventory, day) to a verdict. No clock, no network, no
//! environment variable in here.

pub mod alarms;
pub mod backups;
pub mod budgets;
pub mod hygiene;
pub mod lifecycle;
mod object;
pub mod saving;
pub mod tags;
pub mod topics;

use jiff::civil::Date;

use crate::cloud::Want;
use crate::config::Resolved;
use crate::config::policy::OwnedElsewhere;
use crate::config::values::Matched;
use crate::drill::label;
use crate::inventory::{EnvironmentInventory, Resource};
use crate::model::{Address, Control, Owner, Severity, ignore_reason, owner_of, usd};
use crate::plan::{Finding, Reason, ResourceRef, Verdict};

/// What every control is given.
pub struct Input<'a> {
    pub resolved: &'a Resolved,
    pub inventory: &'a EnvironmentInventory,
    pub today: Date,
    /// Only resources whose address (with the aspect) matches.
    pub only: Option<&'a globset::GlobMatcher>,
    /// Plan the removal of what opsctl made.
    pub destroy: bool,
    /// The controls of this run: what one removes may be held by what another removes before.
    pub controls: &'a [Control],
}

/// Runs one control over one environment.
pub fn run(control: Control, input: &Input) -> Verdict {
    let environment = &input.resolved.environment;
    if !input.resolved.policies.has(control) {
        return Verdict {
            notes: vec![format!(
                "{control}: {} has no policy for it, so {environment} is not checked",
                input.resolved.stage.name.value
            )],
            ..Verdict::default()
        };
    }
    match control {
        Control::Tags => tags::plan(input),
        Control::Lifecycle => lifecycle::plan(input),
        Control::Budgets => budgets::plan(input),
        Control::Alarms => alarms::plan(input),
        Control::Backups => backups::plan(input),
        Control::Cost | Control::Readiness => Verdict {
            notes: vec![format!(
                "{control}: not yet reconciled by this version; the policy was read and is valid"
            )],
            ..Verdict::default()
        },
    }
}

/// What the controls of a run need to see of one environment, added to `want`.
pub fn want(controls: &[Control], resolved: &Resolved, mut want: Want) -> Want {
    if controls.contains(&Control::Budgets) {
        budgets::want(resolved, &mut want);
    }
    if controls.contains(&Control::Alarms) {
        alarms::want(resolved, &mut want);
    }
    if controls.contains(&Control::Backups) {
        backups::want(resolved, &mut want);
    }
    want
}

/// What audits need to see besides.
pub fn want_for_audit(controls: &[Control], resolved: &Resolved, want: &mut Want) {
    if controls.contains(&Control::Alarms) && resolved.policies.alarms.is_some() {
        hygiene::want(resolved, want);
    }
    if controls.contains(&Control::Backups) && resolved.policies.backups.is_some() {
        backups::want_for_audit(resolved, want);
    }
}

/// What an audit reports besides what is planned.
pub fn audit(control: Control, input: &Input, verdict: &mut Verdict) {
    if control == Control::Alarms && input.resolved.policies.alarms.is_some() {
        let hygiene = hygiene::verdict(input);
        verdict.findings.extend(hygiene.findings);
    }
    if control == Control::Backups && input.resolved.policies.has(control) {
        *verdict = backups::judge(input, true);
    }
}

/// Whether a resource is a control's business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is; `expired` names an exemption that has ended.
    Ours { expired: Option<String> },
    /// It bears `opsctl:ignore`.
    Ignored,
    /// An exemption holds.
    Exempt,
    /// Another tool owns it, and the policy says to leave such alone.
    Owned(Owner),
    /// A restore drill made it, and removes it: nobody's production.
    Copy,
    /// Its tags were not seen, so none of this can be told.
    Unseen,
}

/// Whether a drill made it. One tag alone must not hide a database from the controls: a restore or a
/// module may have passed it on.
pub(crate) fn is_copy(resource: &Resource) -> bool {
    resource.name.starts_with(label::PREFIX)
        && resource.tags.known().is_some_and(|tags| {
            [label::RUN, label::SOURCE, label::INTENT]
                .iter()
                .all(|tag| tags.contains_key(*tag))
        })
}

/// Reads a resource's standing from its tags and the exemptions, the same for every control.
pub(crate) fn standing(input: &Input, resource: &Resource, owned: OwnedElsewhere) -> Standing {
    let Some(tags) = resource.tags.known() else {
        return Standing::Unseen;
    };
    if is_copy(resource) {
        return Standing::Copy;
    }
    if ignore_reason(tags).is_some() {
        return Standing::Ignored;
    }
    // Tagging a stack or a stack set starts an update of all that is in it: never ours to begin.
    // Source: API model `tagging:TagResources`.
    if resource.kind.as_str().starts_with("cloudformation-") {
        return Standing::Owned(Owner {
            tool: "CloudFormation",
            detail: "to tag it would update the stack".to_owned(),
        });
    }
    let mut expired = None;
    for (name, exempt) in input.resolved.policies.tags.iter().flat_map(|t| &t.exempt) {
        if exempt.matches.resource(resource) == Matched::Yes {
            if input.today <= exempt.until.value.0 {
                return Standing::Exempt;
            }
            expired = Some(name.clone());
        }
    }
    match owner_of(tags) {
        Some(owner) if owned == OwnedElsewhere::Leave => Standing::Owned(owner),
        _ => Standing::Ours { expired },
    }
}

/// Whether a resource is among those asked for with `--target`.
pub(crate) fn selected(input: &Input, resource: &Resource, aspect: &str) -> bool {
    input
        .only
        .is_none_or(|glob| glob.is_match(address(input, resource, aspect).as_str()))
}

pub(crate) fn address(input: &Input, resource: &Resource, aspect: &str) -> Address {
    Address::new(
        &input.resolved.environment,
        &resource.region,
        resource.kind.as_str(),
        &resource.name,
        aspect,
    )
}

pub(crate) fn reference(resource: &Resource) -> ResourceRef {
    ResourceRef {
        arn: resource.arn.clone(),
        kind: resource.kind.as_str().to_owned(),
        name: resource.name.clone(),
        region: resource.region.clone(),
    }
}

/// A finding about one resource, its parts named so that none is mixed up.
pub(crate) struct Report<'a> {
    pub id: &'a str,
    pub control: Control,
    pub severity: Severity,
    pub message: String,
    pub evidence: String,
    pub remediation: String,
    pub policy: Reason,
}

impl Report<'_> {
    pub fn on(self, input: &Input, resource: &Resource) -> Finding {
        Finding {
            id: self.id.to_owned(),
            control: self.control,
            severity: self.severity,
            address: address(input, resource, self.control.as_str()),
            arn: resource.arn.clone(),
            message: self.message,
            evidence: self.evidence,
            remediation: self.remediation,
            policy: self.policy,
            monthly_cost_usd: None,
        }
    }
}

/// The finding for an exemption that has ended, the same for every control.
pub(crate) fn expired_exemption(
    input: &Input,
    resource: &Resource,
    control: Control,
    name: &str,
) -> Option<Finding> {
    let exempt = input.resolved.policies.tags.as_ref()?.exempt.get(name)?;
    Some(
        Report {
            id: "tags.exemption-expired",
            control,
            severity: Severity::Medium,
            message: format!("the exemption `{name}` ended on {}", exempt.until.value.0),
            evidence: format!("reason given: {}", exempt.reason.value),
            remediation: "remove the exemption, or renew it with a new end date".to_owned(),
            policy: input.resolved.reason(
                Control::Tags,
                format!("tags.exempt.{name}.until"),
                exempt.until.origin,
            ),
        }
        .on(input, resource),
    )
}

/// `+1.20` or `-1.20`, for reasons and cost bases.
pub(crate) fn signed_usd(amount: rust_decimal::Decimal) -> String {
    if amount.is_sign_negative() {
        usd(amount)
    } else {
        format!("+{}", usd(amount))
    }
}
