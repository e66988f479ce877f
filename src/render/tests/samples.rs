//! Pieces of plans.

use std::collections::BTreeMap;

use crate::cloud::ApiUse;
use crate::inventory::Gap;
use crate::model::lifecycle::{LifecycleConfiguration, Rule};
use crate::model::{Address, Control, Risk, Severity};
use crate::plan::{
    ActionKind, Change, Counts, FieldChange, Finding, Operation, Plan, Reason, ResourceRef,
    ScopeEntry, Summary, tag_values, total_delta,
};

/// Key, before, after, line of the policy.
pub type Tag<'a> = (&'a str, Option<&'a str>, Option<&'a str>, u32);

pub fn reason(policy: &str, rule: &str, file: &str, line: u32) -> Reason {
    Reason {
        policy: policy.into(),
        rule: rule.into(),
        file: file.into(),
        line,
    }
}

fn resource(kind: &str, region: &str, name: &str) -> ResourceRef {
    ResourceRef {
        arn: format!("arn:aws:service:{region}:210987654321:{name}"),
        kind: kind.into(),
        name: name.into(),
        region: region.into(),
    }
}

pub fn tags(environment: &str, kind: &str, name: &str, tags: &[Tag<'_>]) -> Change {
    let side = |after: bool| -> BTreeMap<String, Option<String>> {
        tags.iter()
            .map(|t| {
                (
                    t.0.to_owned(),
                    if after { t.2 } else { t.1 }.map(str::to_owned),
                )
            })
            .collect()
    };
    let fields: Vec<FieldChange> = tags
        .iter()
        .map(|(key, before, after, line)| FieldChange {
            field: (*key).to_owned(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
            reason: reason(
                "tags",
                &match (before, after) {
                    (None, _) => format!("tags.defaults.{key}"),
                    (_, None) => format!("tags.aliases.{}", key.to_lowercase()),
                    _ => format!("tags.values.{key}"),
                },
                "policies/tags.toml",
                *line,
            ),
        })
        .collect();
    let (before, after) = (side(false), side(true));
    Change {
        address: Address::new(environment, "eu-west-1", kind, name, "tags"),
        control: Control::Tags,
        action: ActionKind::Update,
        resource: resource(kind, "eu-west-1", name),
        before: tag_values(&before),
        after: tag_values(&after),
        reason: fields[0].reason.clone(),
        risk: Risk::Low,
        monthly_cost_delta_usd: None,
        cost_basis: None,
        fields,
        operation: Operation::Tags {
            before,
            after,
            unless_owned: true,
        },
    }
}

fn rule(id: &str, days: i32) -> Rule {
    serde_json::from_value(serde_json::json!({
        "id": id, "status": "Enabled", "abort_incomplete_multipart_upload": days,
    }))
    .unwrap()
}

/// Rule id, before, after: in words.
pub fn lifecycle(
    environment: &str,
    name: &str,
    fields: &[(&str, Option<&str>, Option<&str>)],
    foreign: usize,
    delta: Option<&str>,
    basis: Option<&str>,
) -> Change {
    let side = |after: bool| {
        let mut rules: Vec<Rule> = (0..foreign)
            .map(|i| rule(&format!("by-hand-{i}"), 9))
            .collect();
        for (id, b, a) in fields {
            if if after { a } else { b }.is_some() {
                rules.push(rule(id, 7));
            }
        }
        (!rules.is_empty()).then_some(LifecycleConfiguration {
            transition_default_minimum_object_size: None,
            rules,
        })
    };
    let (before, after) = (side(false), side(true));
    let fields: Vec<FieldChange> = fields
        .iter()
        .enumerate()
        .map(|(i, (id, before, after))| FieldChange {
            field: (*id).to_owned(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
            reason: reason(
                "s3-lifecycle",
                &format!("lifecycle.rule.{}", id.trim_start_matches("opsctl-")),
                "policies/s3-lifecycle.toml",
                2 + 7 * i as u32,
            ),
        })
        .collect();
    let action = match (&before, &after) {
        (None, _) => ActionKind::Create,
        (_, None) => ActionKind::Delete,
        _ => ActionKind::Update,
    };
    Change {
        address: Address::new(environment, "eu-west-1", "s3-bucket", name, "lifecycle"),
        control: Control::Lifecycle,
        action,
        resource: resource("s3-bucket", "eu-west-1", name),
        before: serde_json::to_value(&before).unwrap(),
        after: serde_json::to_value(&after).unwrap(),
        reason: fields[0].reason.clone(),
        risk: if after.is_none() {
            Risk::Medium
        } else {
            Risk::Low
        },
        monthly_cost_delta_usd: delta.map(str::to_owned),
        cost_basis: basis.map(str::to_owned),
        fields,
        operation: Operation::Lifecycle {
            before,
            after,
            unless_owned: true,
        },
    }
}

pub fn finding(id: &str, severity: Severity, address: &str, message: &str) -> Finding {
    Finding {
        id: id.into(),
        control: Control::Tags,
        severity,
        address: serde_json::from_value(address.into()).unwrap(),
        arn: String::new(),
        message: message.into(),
        evidence: String::new(),
        remediation: String::new(),
        policy: reason("tags", "tags.required", "policies/tags.toml", 2),
        monthly_cost_usd: None,
    }
}

pub fn gap(region: &str, control: Control, call: &str, resource: Option<&str>, error: &str) -> Gap {
    Gap {
        environment: "prod".into(),
        account: "210987654321".into(),
        region: region.into(),
        control,
        operation: call.into(),
        resource: resource.map(str::to_owned),
        error: error.into(),
    }
}

pub fn counts(compliant: u64, unobserved: u64) -> Counts {
    Counts {
        checked: compliant + unobserved,
        compliant,
        unobserved,
        ..Counts::default()
    }
}

pub fn plan(changes: Vec<Change>) -> Plan {
    let count = |kind| changes.iter().filter(|c| c.action == kind).count() as u64;
    let entry = |environment: &str, account: &str, region: &str, stage: &str| ScopeEntry {
        environment: environment.into(),
        account: account.into(),
        region: region.into(),
        stage: stage.into(),
    };
    Plan {
        format_version: "1.0".into(),
        kind: "plan".into(),
        opsctl_version: "0.1.0".into(),
        generated_at: "2026-11-20T08:00:00Z".into(),
        scope: vec![
            entry("prod", "210987654321", "eu-west-1", "stage-3"),
            entry("prod", "210987654321", "us-east-1", "stage-3"),
            entry("staging", "210987654322", "eu-west-1", "stage-1"),
        ],
        unobserved: Vec::new(),
        accepted_unobserved: Vec::new(),
        api: ApiUse {
            requests: 812,
            cost_usd: "0.00".into(),
            ..ApiUse::default()
        },
        summary: Summary {
            create: count(ActionKind::Create),
            update: count(ActionKind::Update),
            delete: count(ActionKind::Delete),
            unchanged: 45,
            unobserved: 0,
            monthly_cost_delta_usd: total_delta(&changes).to_string(),
        },
        changes,
        findings: Vec::new(),
        counts: BTreeMap::from([(
            "prod".to_owned(),
            BTreeMap::from([(Control::Tags, counts(45, 0))]),
        )]),
        types_checked: Vec::new(),
        types_not_checked: Vec::new(),
        notes: Vec::new(),
        sandbox: None,
        backtest: Vec::new(),
        lock: None,
        targets: Vec::new(),
        digest: String::new(),
    }
}
