//! From verdicts to a plan.

use std::collections::{BTreeMap, BTreeSet};

use globset::GlobMatcher;
use jiff::Timestamp;
use jiff::civil::Date;

use super::file::seal;
use super::{
    Accepted, ActionKind, Change, FORMAT_VERSION, Operation, Plan, ScopeEntry, Summary, total_delta,
};
use crate::cloud::{ApiUse, LockPlace, Target};
use crate::config::Resolved;
use crate::config::workspace::AcceptUnobserved;
use crate::controls::{self, Input};
use crate::inventory::{EnvironmentInventory, Gap};
use crate::model::{Control, ResourceType};

/// The note of a `--target` that chooses nothing begins so.
pub const NOTHING_LIKE: &str = "nothing that was seen has an address like";

/// One environment with all that planning it needs.
pub struct PlanEnvironment {
    pub target: Target,
    pub resolved: Resolved,
    pub inventory: EnvironmentInventory,
}

/// What is asked of a plan besides the environments.
pub struct PlanRequest<'a> {
    pub controls: &'a [Control],
    /// Only changes and findings with such an address.
    pub only: Option<&'a GlobMatcher>,
    pub destroy: bool,
    pub now: Timestamp,
    pub accepted: &'a BTreeMap<String, AcceptUnobserved>,
    pub sandbox: Option<String>,
    pub lock: Option<LockPlace>,
    pub api: ApiUse,
}

/// Builds the plan. Pure: the same input gives the same plan, but for `generated_at`.
pub fn build(environments: &[PlanEnvironment], request: &PlanRequest) -> Plan {
    let mut plan = gather(environments, request, true);
    seal(&mut plan);
    plan
}

/// All that the controls say, for an audit: where two environments share an account, each has its
/// own say about the same resource. Not sealed, so that nobody can execute it.
pub fn judge(environments: &[PlanEnvironment], request: &PlanRequest) -> Plan {
    gather(environments, request, false)
}

fn gather(environments: &[PlanEnvironment], request: &PlanRequest, one_writer: bool) -> Plan {
    let today = request.now.to_zoned(jiff::tz::TimeZone::UTC).date();
    let mut plan = Plan {
        format_version: FORMAT_VERSION.to_owned(),
        kind: "plan".to_owned(),
        opsctl_version: env!("CARGO_PKG_VERSION").to_owned(),
        generated_at: format!("{:.0}", request.now),
        scope: Vec::new(),
        unobserved: Vec::new(),
        accepted_unobserved: Vec::new(),
        api: request.api.clone(),
        changes: Vec::new(),
        findings: Vec::new(),
        summary: Summary::default(),
        counts: BTreeMap::new(),
        types_checked: Vec::new(),
        types_not_checked: Vec::new(),
        notes: Vec::new(),
        backtest: Vec::new(),
        sandbox: request.sandbox.clone(),
        targets: Vec::new(),
        lock: request.lock.clone(),
        digest: String::new(),
    };
    let mut unchanged = 0;
    for environment in environments {
        let input = Input {
            resolved: &environment.resolved,
            inventory: &environment.inventory,
            today,
            only: request.only,
            destroy: request.destroy,
            controls: request.controls,
        };
        for region in &environment.target.regions {
            plan.scope.push(ScopeEntry {
                environment: environment.target.environment.clone(),
                account: environment.target.account.clone(),
                region: region.clone(),
                stage: environment.resolved.stage.name.value.clone(),
            });
        }
        plan.targets.push(environment.target.clone());
        for control in request.controls {
            let mut verdict = controls::run(*control, &input);
            if !one_writer {
                controls::audit(*control, &input, &mut verdict);
            }
            let changed = verdict.changes.len() as u64;
            let judged = verdict.counts.checked - verdict.counts.unobserved;
            unchanged += judged.saturating_sub(changed);
            plan.changes.append(&mut verdict.changes);
            plan.findings.append(&mut verdict.findings);
            plan.unobserved.append(&mut verdict.gaps);
            for note in verdict.notes {
                if !plan.notes.contains(&note) {
                    plan.notes.push(note);
                }
            }
            if control.reconciled() {
                plan.counts
                    .entry(environment.target.environment.clone())
                    .or_default()
                    .insert(*control, verdict.counts);
            }
        }
        if request.controls.contains(&Control::Tags) {
            plan.types_checked
                .extend(environment.inventory.types_checked.iter().cloned());
            plan.types_not_checked
                .extend(environment.inventory.types_not_checked.iter().cloned());
        }
        plan.unobserved.extend(
            environment
                .inventory
                .gaps
                .iter()
                .filter(|g| request.controls.contains(&g.control))
                .cloned(),
        );
    }
    let checked: u64 = plan
        .counts
        .values()
        .flat_map(|c| c.values())
        .map(|c| c.checked)
        .sum();
    if let Some(only) = request.only
        && checked == 0
    {
        plan.notes.push(format!("{NOTHING_LIKE} {}", only.glob()));
    }
    if one_writer {
        plan.notes.extend(one_writer_each(&mut plan.changes));
    }
    plan.accepted_unobserved = accept(&mut plan.unobserved, request.accepted, today);
    for (name, accepted) in request.accepted {
        if today > accepted.until.value.0 {
            plan.notes.push(format!(
                "the accepted blind spot `{name}` ended on {}: it counts again",
                accepted.until.value.0
            ));
        }
    }
    plan.types_checked.sort();
    plan.types_checked.dedup();
    plan.types_not_checked.sort();
    plan.types_not_checked.dedup();
    plan.changes.sort_by(|a, b| a.address.cmp(&b.address));
    plan.findings
        .sort_by(|a, b| (&a.address, &a.id, &a.message).cmp(&(&b.address, &b.id, &b.message)));
    plan.unobserved.sort();
    let count = |kind: ActionKind| plan.changes.iter().filter(|c| c.action == kind).count() as u64;
    plan.summary = Summary {
        create: count(ActionKind::Create),
        update: count(ActionKind::Update),
        delete: count(ActionKind::Delete),
        unchanged,
        unobserved: plan.unobserved.len() as u64,
        monthly_cost_delta_usd: format!("{:.2}", total_delta(&plan.changes)),
    };
    plan
}

/// Two environments that share an account see the same resources: a change that both want is
/// planned once, and one on which they disagree not at all.
fn one_writer_each(changes: &mut Vec<Change>) -> Vec<String> {
    let mut wanted: BTreeMap<(String, Option<Control>), Vec<Change>> = BTreeMap::new();
    for change in std::mem::take(changes) {
        // Several controls may notify one topic, and want the same of it.
        let topic = change.resource.kind == ResourceType::SNS_TOPIC.as_str()
            && matches!(change.operation, Operation::Object { .. });
        let key = (
            change.resource.arn.clone(),
            (!topic).then_some(change.control),
        );
        wanted.entry(key).or_default().push(change);
    }
    let mut notes = Vec::new();
    for ((arn, _), mut rivals) in wanted {
        let control = rivals[0].control;
        if rivals.iter().all(|c| c.after == rivals[0].after) {
            changes.push(rivals.swap_remove(0));
            continue;
        }
        let who: Vec<&str> = rivals.iter().map(|c| c.address.environment()).collect();
        notes.push(format!(
            "{control}: {arn} is not planned: {} share its account and want different things",
            who.join(" and ")
        ));
    }
    notes
}

/// Takes the gaps that the workspace accepts off the list, and says which and until when.
pub fn accept(
    gaps: &mut Vec<Gap>,
    accepted: &BTreeMap<String, AcceptUnobserved>,
    today: Date,
) -> Vec<Accepted> {
    let mut out = Vec::new();
    for (name, entry) in accepted {
        if today > entry.until.value.0 {
            continue;
        }
        let mut spot = Accepted {
            name: name.clone(),
            operation: entry.operation.value.clone(),
            reason: entry.reason.value.clone(),
            until: entry.until.value.0.to_string(),
            gaps: 0,
            covers: BTreeSet::new(),
        };
        spot.take(gaps);
        out.push(spot);
    }
    out
}
