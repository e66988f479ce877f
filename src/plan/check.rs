//! Whether a plan says what it does: what people are shown has to follow from what is executed.
//!
//! A digest tells that nothing was changed by accident; it cannot tell that somebody wrote the file
//! with a digest of their own. So everything that is shown is derived again from the operations.

use std::collections::BTreeSet;

use super::{ActionKind, Change, FieldChange, Operation, Plan, tag_values, total_delta};
use crate::controls::lifecycle::describe;
use crate::model::lifecycle::{LifecycleConfiguration, Rule};
use crate::model::object::{MANAGED_TAG, Object, ObjectKind, fields};
use crate::model::settings::{BackupCopy, Settings};
use crate::model::{Address, Arn, Control, ResourceType, Tags, check_tag_key};

/// What the names of budgets, monitors and subscriptions of ours begin with.
const OUR_PREFIX: &str = "opsctl-";

/// What of a change is derived from its operation: field, before, after.
type Shown = (String, Option<String>, Option<String>);

fn shown(fields: &[FieldChange]) -> BTreeSet<Shown> {
    fields
        .iter()
        .map(|f| (f.field.clone(), f.before.clone(), f.after.clone()))
        .collect()
}

/// # Errors
/// The first thing in the plan that does not follow from its operations.
pub fn check(plan: &Plan) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for change in &plan.changes {
        one(plan, change).map_err(|e| format!("{}: {e}", change.address))?;
        if !seen.insert((&change.resource.arn, change.control)) {
            return Err(format!("{}: changed twice in one plan", change.address));
        }
    }
    let count = |kind| plan.changes.iter().filter(|c| c.action == kind).count() as u64;
    let summary = &plan.summary;
    if (summary.create, summary.update, summary.delete)
        != (
            count(ActionKind::Create),
            count(ActionKind::Update),
            count(ActionKind::Delete),
        )
        || summary.monthly_cost_delta_usd != format!("{:.2}", total_delta(&plan.changes))
    {
        return Err("the summary is not that of the changes".to_owned());
    }
    Ok(())
}

fn one(plan: &Plan, change: &Change) -> Result<(), String> {
    let target = plan
        .targets
        .iter()
        .find(|t| t.environment == change.address.environment())
        .ok_or("its environment is not among the targets")?;
    let arn = Arn::parse(&change.resource.arn).ok_or("its ARN is not one")?;
    if !arn.account.is_empty() && arn.account != target.account {
        return Err(format!(
            "it belongs to the account {}, the environment is {}",
            arn.account, target.account
        ));
    }
    let (kind, name) = arn.classify();
    let resource = &change.resource;
    if kind.as_str() != resource.kind || name != resource.name {
        return Err("its name and type are not those of its ARN".to_owned());
    }
    let address = Address::new(
        &target.environment,
        &resource.region,
        &resource.kind,
        &resource.name,
        change.control.as_str(),
    );
    if address != change.address {
        return Err("its address is not that of its resource".to_owned());
    }
    let consistent = match &change.operation {
        Operation::Tags { before, after, .. } => {
            if let Some(key) = after
                .keys()
                .find(|k| check_tag_key(k).is_err() && after[*k].is_some())
            {
                return Err(format!("`{key}` cannot be a tag key"));
            }
            let fields: BTreeSet<Shown> = after
                .iter()
                .map(|(k, v)| (k.clone(), before.get(k).cloned().flatten(), v.clone()))
                .collect();
            change.control == Control::Tags
                && before.keys().eq(after.keys())
                && change.action == ActionKind::Update
                && (&change.before, &change.after) == (&tag_values(before), &tag_values(after))
                && shown(&change.fields) == fields
        }
        Operation::Lifecycle { before, after, .. } => {
            let json =
                |c: &Option<LifecycleConfiguration>| serde_json::to_value(c).unwrap_or_default();
            let rules = |c: &Option<LifecycleConfiguration>, ours: bool| -> Vec<Rule> {
                let all = c.iter().flat_map(|c| c.rules.clone());
                all.filter(|r| r.is_ours() == ours).collect()
            };
            if rules(before, false) != rules(after, false) {
                return Err("it would change a rule that is not ours".to_owned());
            }
            let minimum =
                |c: &LifecycleConfiguration| c.transition_default_minimum_object_size.clone();
            if let (Some(before), Some(after)) = (before, after)
                && minimum(before) != minimum(after)
            {
                return Err("it would change TransitionDefaultMinimumObjectSize".to_owned());
            }
            let action = match (before, after) {
                (None, Some(_)) => ActionKind::Create,
                (Some(_), None) => ActionKind::Delete,
                _ => ActionKind::Update,
            };
            change.control == Control::Lifecycle
                && change.action == action
                && (&change.before, &change.after) == (&json(before), &json(after))
                && shown(&change.fields)
                    == lifecycle_fields(&rules(before, true), &rules(after, true))
        }
        Operation::Object {
            before,
            after,
            tags,
        } => {
            object(change, before.as_deref(), after.as_deref(), tags)?;
            let json = |o: &Option<Box<Object>>| serde_json::to_value(o).unwrap_or_default();
            let action = match (before, after) {
                (None, Some(_)) => ActionKind::Create,
                (Some(_), None) => ActionKind::Delete,
                _ => ActionKind::Update,
            };
            change.action == action
                && (&change.before, &change.after) == (&json(before), &json(after))
                && shown(&change.fields)
                    == fields(before.as_deref(), after.as_deref())
                        .into_iter()
                        .collect()
        }
        Operation::Settings {
            before,
            after,
            copy,
            ..
        } => {
            settings(change, before, after, copy.as_ref())?;
            let json = |s: &Settings| serde_json::to_value(s).unwrap_or_default();
            change.control == Control::Backups
                && change.action == ActionKind::Update
                && (&change.before, &change.after) == (&json(before), &json(after))
                && shown(&change.fields) == Settings::fields(before, after).into_iter().collect()
        }
    };
    consistent
        .then_some(())
        .ok_or_else(|| "what it shows is not what it does".to_owned())
}

/// Whether a change of settings only protects more, and is of a resource that has such settings.
fn settings(
    change: &Change,
    before: &Settings,
    after: &Settings,
    copy: Option<&BackupCopy>,
) -> Result<(), String> {
    if let Some(why) = Settings::weaker(before, after) {
        return Err(why.to_owned());
    }
    if before == after {
        return Err("it changes nothing".to_owned());
    }
    let kind = ResourceType::new(change.resource.kind.clone());
    let Settings {
        retention_days,
        deletion_protection,
        copy_tags_to_snapshot,
        copied_to,
        point_in_time_recovery,
        versioning,
    } = after;
    let instance = kind == ResourceType::RDS_INSTANCE;
    let database = instance || kind == ResourceType::RDS_CLUSTER;
    let of_database = retention_days.is_some()
        || deletion_protection.is_some()
        || copy_tags_to_snapshot.is_some();
    if (of_database && !database)
        || (copied_to.is_some() && !instance)
        || (point_in_time_recovery.is_some() && kind != ResourceType::DYNAMODB_TABLE)
        || (versioning.is_some() && kind != ResourceType::S3_BUCKET)
    {
        return Err(format!("a {kind} has no such setting"));
    }
    let none = BTreeSet::new();
    let was = before.copied_to.as_ref().unwrap_or(&none);
    let more: Vec<&String> = copied_to
        .as_ref()
        .unwrap_or(&none)
        .difference(was)
        .collect();
    match (more.as_slice(), copy) {
        ([], None) => Ok(()),
        ([region], Some(copy))
            if **region == copy.region && copy.region != change.resource.region =>
        {
            match copy.retention_days {
                1..=35 => Ok(()),
                days => Err(format!("a copy cannot be kept for {days} days")),
            }
        }
        _ => Err("the copy that it begins is not the one that it shows".to_owned()),
    }
}

/// Whether a change is of the object that it names, by a control that makes such objects.
fn object(
    change: &Change,
    before: Option<&Object>,
    after: Option<&Object>,
    tags: &Tags,
) -> Result<(), String> {
    let arn = Arn::parse(&change.resource.arn).ok_or("its ARN is not one")?;
    let both = before.into_iter().chain(after);
    for object in both {
        let named = object
            .kind()
            .arn(arn.partition, object.region(), arn.account, object.name());
        if named != change.resource.arn || object.region() != change.resource.region {
            return Err("its object is not the one that its ARN names".to_owned());
        }
        let by = match object.kind() {
            ObjectKind::CompositeAlarm => matches!(change.control, Control::Alarms),
            ObjectKind::MetricAlarm | ObjectKind::Topic => {
                matches!(change.control, Control::Alarms | Control::Budgets)
            }
            _ => change.control == Control::Budgets,
        };
        if !by {
            return Err(format!(
                "the control {} makes no such thing",
                change.control
            ));
        }
    }
    let object = after.or(before);
    match object {
        // These have no tag that could say later whose they are.
        Some(Object::Budget(_) | Object::AnomalyMonitor(_) | Object::AnomalySubscription(_))
            if object.is_some_and(|o| !o.name().starts_with(OUR_PREFIX)) =>
        {
            return Err(format!("its name does not begin with {OUR_PREFIX}"));
        }
        Some(Object::CostAllocationTag(_)) => match after {
            Some(Object::CostAllocationTag(tag)) if tag.active => {}
            _ => return Err("it would stop a cost allocation tag".to_owned()),
        },
        _ => {}
    }
    match (before, after) {
        (None, None) => return Err("it names no object".to_owned()),
        (Some(a), Some(b)) if a.kind() != b.kind() => {
            return Err("it would turn one kind of thing into another".to_owned());
        }
        (None, Some(after))
            if !tags.contains_key(MANAGED_TAG) && after.kind() != ObjectKind::CostAllocationTag =>
        {
            return Err(format!(
                "it would make something without the tag {MANAGED_TAG}"
            ));
        }
        _ => {}
    }
    Ok(())
}

fn lifecycle_fields(before: &[Rule], after: &[Rule]) -> BTreeSet<Shown> {
    let mut out = BTreeSet::new();
    for rule in before {
        let now = after.iter().find(|r| r.id == rule.id);
        if now.map(Rule::normalised) != Some(rule.normalised()) {
            out.insert((
                rule.id().to_owned(),
                Some(describe(rule)),
                now.map(describe),
            ));
        }
    }
    for rule in after
        .iter()
        .filter(|r| !before.iter().any(|b| b.id == r.id))
    {
        out.insert((rule.id().to_owned(), None, Some(describe(rule))));
    }
    out
}
