//! What a control would change, as findings: the account is not as its policy says.

use rust_decimal::Decimal;

use crate::config::policy::TagPolicy;
use crate::model::object::{Object, ObjectKind};
use crate::model::settings::Settings;
use crate::model::{Address, Control, Severity};
use crate::plan::{Change, FieldChange, Finding, Operation};

/// A required tag that is not there; the tags control uses it where it has no value to give.
pub const TAGS_MISSING: &str = "tags.missing";

/// The command that brings one address into line with its policy.
pub fn apply_command(address: &Address) -> String {
    format!(
        "opsctl apply -e {} --target {}",
        shell(address.environment()),
        shell(&glob(address.as_str()))
    )
}

/// Whether a text is that command, in a sandbox or not; then what follows it.
pub fn applied<'a>(remediation: &'a str, address: &Address) -> Option<&'a str> {
    let rest = remediation.strip_prefix(&apply_command(address))?;
    (rest.is_empty() || rest.starts_with(" --sandbox ")).then_some(rest)
}

/// The commands of a text, so that they reach the sandbox and not a real account: the text is one,
/// or they stand in backticks.
pub fn in_sandbox(remediation: &str, scenario: &str) -> String {
    let option = format!(" --sandbox {}", shell(scenario));
    if remediation.starts_with("opsctl ") {
        return format!("{remediation}{option}");
    }
    let mut parts: Vec<String> = remediation.split('`').map(str::to_owned).collect();
    for part in parts.iter_mut().skip(1).step_by(2) {
        if part.starts_with("opsctl ") {
            part.push_str(&option);
        }
    }
    parts.join("`")
}

/// The text as a glob that matches nothing else.
fn glob(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '?' | '*' | '[' | ']' | '{' | '}' | '\\' => out.extend(['[', c, ']']),
            c => out.push(c),
        }
    }
    out
}

/// The text as one word of a POSIX shell.
pub fn shell(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// The findings that a change stands for; `tags` tells which keys are required.
pub fn findings(change: &Change, tags: Option<&TagPolicy>) -> Vec<Finding> {
    match &change.operation {
        Operation::Tags { .. } => of_tags(change, tags),
        Operation::Lifecycle { .. } => of_lifecycle(change),
        Operation::Object { before, after, .. } => {
            of_object(change, before.as_deref(), after.as_deref())
                .into_iter()
                .collect()
        }
        Operation::Settings { before, .. } => of_settings(change, before),
    }
}

/// A finding for each setting: they are missing for different reasons.
fn of_settings(change: &Change, before: &Settings) -> Vec<Finding> {
    use Severity::{High, Low, Medium};
    let off = before.retention_days == Some(0);
    let one = |field: &FieldChange| {
        let (id, severity, message) = match field.field.as_str() {
            "retention_days" if off => (
                "backups.automated-off",
                High,
                "it has no automated backups at all",
            ),
            "retention_days" => (
                "backups.retention-short",
                Medium,
                "its automated backups are kept for a shorter time than asked for",
            ),
            "deletion_protection" => (
                "backups.deletion-protection-off",
                Medium,
                "it can be deleted by one call",
            ),
            "copy_tags_to_snapshot" => (
                "backups.tags-not-copied",
                Low,
                "its snapshots do not get its tags",
            ),
            "copied_to" => (
                "backups.not-copied",
                Medium,
                "its backups are in its own region only",
            ),
            "point_in_time_recovery" => (
                "backups.pitr-off",
                High,
                "it cannot be recovered to a point in time",
            ),
            _ => (
                "backups.versioning-off",
                Medium,
                "it holds backups, and what is overwritten or deleted in it is gone",
            ),
        };
        finding(change, id, severity, message.to_owned(), &[field])
    };
    change.fields.iter().map(one).collect()
}

/// A finding about some fields of a change; the first one's line of the policy is the reason.
fn finding(
    change: &Change,
    id: &str,
    severity: Severity,
    message: String,
    fields: &[&FieldChange],
) -> Finding {
    let evidence: Vec<String> = fields.iter().map(|f| describe(f)).collect();
    Finding {
        id: id.to_owned(),
        control: change.control,
        severity,
        address: change.address.clone(),
        arn: change.resource.arn.clone(),
        message,
        evidence: evidence.join("; "),
        remediation: apply_command(&change.address),
        policy: fields
            .first()
            .map_or_else(|| change.reason.clone(), |f| f.reason.clone()),
        monthly_cost_usd: None,
    }
}

/// What is there, and what the policy asks for.
fn describe(field: &FieldChange) -> String {
    let (name, before, after) = (&field.field, &field.before, &field.after);
    match (before, after) {
        (None, Some(after)) => format!("{name}: not there, asked for: {after}"),
        (Some(before), Some(after)) => format!("{name}: {before}, asked for: {after}"),
        (Some(before), None) => format!("{name}: {before}, not asked for"),
        (None, None) => name.clone(),
    }
}

fn names(fields: &[&FieldChange]) -> String {
    let names: Vec<&str> = fields.iter().map(|f| f.field.as_str()).collect();
    names.join(", ")
}

fn of_tags(change: &Change, policy: Option<&TagPolicy>) -> Vec<Finding> {
    let old = |f: &&FieldChange| f.after.is_none() || f.reason.rule.starts_with("tags.aliases.");
    let (spellings, missing): (Vec<&FieldChange>, Vec<&FieldChange>) =
        change.fields.iter().partition(old);
    let mut out = Vec::new();
    if !missing.is_empty() {
        let required = policy.is_some_and(|p| {
            let mut keys = p.required.iter();
            keys.any(|k| missing.iter().any(|f| f.field == k.value))
        });
        let severity = if required {
            Severity::Medium
        } else {
            Severity::Low
        };
        let (are, it) = if missing.len() == 1 {
            ("tag is", "it")
        } else {
            ("tags are", "each")
        };
        let message = format!(
            "{are} missing, and the policy has a value for {it}: {}",
            names(&missing)
        );
        out.push(finding(change, TAGS_MISSING, severity, message, &missing));
    }
    if !spellings.is_empty() {
        // Moved is `Env` with `environment` not there yet; else the old one is merely left over.
        let moved = spellings.iter().any(|f| f.after.is_some());
        let gone: Vec<&FieldChange> = spellings
            .iter()
            .filter(|f| f.after.is_none())
            .copied()
            .collect();
        let key = |f: &FieldChange| {
            let rule = f.reason.rule.strip_prefix("tags.aliases.");
            rule.unwrap_or(&f.field).to_owned()
        };
        let pairs: Vec<String> = if gone.is_empty() {
            spellings.iter().map(|f| f.field.clone()).collect()
        } else {
            gone.iter()
                .map(|f| format!("{} for {}", f.field, key(f)))
                .collect()
        };
        let severity = if moved {
            Severity::Medium
        } else {
            Severity::Low
        };
        let message = format!("old spellings of tag keys: {}", pairs.join(", "));
        out.push(finding(change, "tags.alias", severity, message, &spellings));
    }
    out
}

fn of_lifecycle(change: &Change) -> Vec<Finding> {
    let kinds = [
        (
            "lifecycle.missing-rule",
            Severity::Medium,
            "rules of the policy are missing",
        ),
        (
            "lifecycle.drifted-rule",
            Severity::Medium,
            "rules are not as the policy says",
        ),
        (
            "lifecycle.obsolete-rule",
            Severity::Low,
            "rules of ours that the policy no longer asks for",
        ),
    ];
    let mut out = Vec::new();
    for (i, (id, severity, message)) in kinds.into_iter().enumerate() {
        let fields: Vec<&FieldChange> = change
            .fields
            .iter()
            .filter(|f| i == kind(f.before.is_some(), f.after.is_some()))
            .collect();
        if !fields.is_empty() {
            let message = format!("{message}: {}", names(&fields));
            out.push(finding(change, id, severity, message, &fields));
        }
    }
    // What it costs to leave it as it is.
    if let Some(first) = out.first_mut() {
        first.monthly_cost_usd = change
            .monthly_cost_delta_usd
            .as_deref()
            .and_then(|text| Decimal::from_str_exact(text).ok())
            .filter(|delta| delta.is_sign_negative() && !delta.is_zero())
            .map(|delta| format!("{:.2}", -delta));
    }
    out
}

/// 0 missing, 1 drifted, 2 obsolete.
fn kind(before: bool, after: bool) -> usize {
    match (before, after) {
        (false, _) => 0,
        (true, true) => 1,
        (true, false) => 2,
    }
}

fn of_object(change: &Change, before: Option<&Object>, after: Option<&Object>) -> Option<Finding> {
    let object = after.or(before)?;
    let kind = kind(before.is_some(), after.is_some());
    let fields: Vec<&FieldChange> = change.fields.iter().collect();
    let (what, ids, severities) = wording(change.control, object.kind());
    let id = ids.get(kind)?;
    let severity = *severities.get(kind)?;
    let message = match kind {
        0 => format!("{what} that the policy asks for is not there"),
        1 => format!("{what} is not as the policy says: {}", names(&fields)),
        _ => format!("{what} of ours is there, and the policy no longer asks for it"),
    };
    Some(finding(change, id, severity, message, &fields))
}

type Wording = (&'static str, [&'static str; 3], [Severity; 3]);

/// What such an object is called, and the ids and severities of a missing, a drifted and an
/// obsolete one.
fn wording(control: Control, object: ObjectKind) -> Wording {
    use Severity::{High, Low, Medium};
    match (object, control) {
        // Without it nobody is told.
        (ObjectKind::Topic, Control::Budgets) => (
            "the topic for notifications",
            [
                "budgets.topic-missing",
                "budgets.topic-drifted",
                "budgets.topic-obsolete",
            ],
            [High, High, Low],
        ),
        (ObjectKind::Topic, _) => (
            "the topic for notifications",
            [
                "alarms.topic-missing",
                "alarms.topic-drifted",
                "alarms.topic-obsolete",
            ],
            [High, High, Low],
        ),
        (ObjectKind::Budget, _) => (
            "the budget",
            ["budgets.missing", "budgets.drifted", "budgets.obsolete"],
            [High, Medium, Low],
        ),
        (ObjectKind::AnomalyMonitor, _) => (
            "the anomaly monitor",
            [
                "budgets.anomaly-monitor-missing",
                "budgets.anomaly-monitor-drifted",
                "budgets.anomaly-monitor-obsolete",
            ],
            [Medium, Medium, Low],
        ),
        (ObjectKind::AnomalySubscription, _) => (
            "the subscription to cost anomalies",
            [
                "budgets.anomaly-subscription-missing",
                "budgets.anomaly-subscription-drifted",
                "budgets.anomaly-subscription-obsolete",
            ],
            [Medium, Medium, Low],
        ),
        (ObjectKind::CostAllocationTag, _) => (
            "the cost allocation tag",
            [
                "budgets.cost-tag-inactive",
                "budgets.cost-tag-inactive",
                "budgets.cost-tag-obsolete",
            ],
            [Medium, Medium, Low],
        ),
        (ObjectKind::MetricAlarm | ObjectKind::CompositeAlarm, Control::Budgets) => (
            "the billing alarm",
            [
                "budgets.billing-alarm-missing",
                "budgets.billing-alarm-drifted",
                "budgets.billing-alarm-obsolete",
            ],
            [Medium, Medium, Low],
        ),
        (ObjectKind::MetricAlarm | ObjectKind::CompositeAlarm, _) => (
            "an alarm",
            ["alarms.missing", "alarms.drifted", "alarms.obsolete"],
            [Medium, Medium, Low],
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_stay_in_the_sandbox() {
        let there = |text: &str| in_sandbox(text, "findash");
        assert_eq!(
            there("opsctl apply -e prod"),
            "opsctl apply -e prod --sandbox findash"
        );
        assert_eq!(
            there("see `opsctl audit cost`, or `aws s3 ls`"),
            "see `opsctl audit cost --sandbox findash`, or `aws s3 ls`"
        );
        assert_eq!(there("raise the budget"), "raise the budget");
        let address = Address::new("prod", "eu-west-1", "s3-bucket", "x", "tags");
        let command = apply_command(&address);
        assert_eq!(applied(&command, &address), Some(""));
        assert_eq!(
            applied(&there(&command), &address),
            Some(" --sandbox findash")
        );
        assert_eq!(applied("raise the budget", &address), None);
    }

    #[test]
    fn the_command_matches_its_address_and_no_other() {
        for name in [
            "a",
            "a*b",
            "a?b",
            "[x]",
            "{y,z}",
            r"back\slash",
            "it's",
            "$(x)",
            "`x`",
            "-e",
            "a b",
        ] {
            let address = Address::new("prod", "eu-west-1", "s3-bucket", name, "tags");
            let matcher = globset::Glob::new(&glob(address.as_str()))
                .unwrap()
                .compile_matcher();
            assert!(matcher.is_match(address.as_str()), "{name}");
            let other = Address::new("prod", "eu-west-1", "s3-bucket", "axb", "tags");
            assert!(!matcher.is_match(other.as_str()), "{name}");
        }
    }

    #[test]
    fn the_command_is_one_for_the_shell() {
        let address = Address::new("prod", "eu-west-1", "s3-bucket", "it's $(rm) `x`", "tags");
        let out = std::process::Command::new("sh")
            .args(["-c", &format!("printf '%s\n' {}", apply_command(&address))])
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8_lossy(&out.stdout),
            "opsctl\napply\n-e\nprod\n--target\nprod/eu-west-1/s3-bucket/it's $(rm) `x`#tags\n"
        );
    }
}
