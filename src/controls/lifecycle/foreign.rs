//! Our rules beside those of others: what a rule does in words, whether a foreign one does it
//! already, and whether the two would fight.

use crate::model::lifecycle::Rule;

/// What a rule does, in one line.
pub fn describe(rule: &Rule) -> String {
    let mut parts = Vec::new();
    let class = |c: &Option<String>| c.clone().unwrap_or_default();
    for t in &rule.transitions {
        match (t.days, &t.date) {
            (Some(days), _) => parts.push(format!("{} after {days} days", class(&t.storage_class))),
            (_, Some(date)) => parts.push(format!("{} on {date}", class(&t.storage_class))),
            _ => parts.push(class(&t.storage_class)),
        }
    }
    if let Some(e) = &rule.expiration {
        if let Some(days) = e.days {
            parts.push(format!("delete after {days} days"));
        } else if let Some(date) = &e.date {
            parts.push(format!("delete on {date}"));
        }
        if e.expired_object_delete_marker == Some(true) {
            parts.push("remove expired delete markers".to_owned());
        }
    }
    for t in &rule.noncurrent_version_transitions {
        parts.push(format!(
            "old versions to {} after {} days",
            class(&t.storage_class),
            t.noncurrent_days.unwrap_or_default()
        ));
    }
    if let Some(e) = &rule.noncurrent_version_expiration {
        let keep = e
            .newer_noncurrent_versions
            .map_or(String::new(), |n| format!(" but the newest {n}"));
        parts.push(format!(
            "delete old versions after {} days{keep}",
            e.noncurrent_days.unwrap_or_default()
        ));
    }
    if let Some(days) = rule.abort_incomplete_multipart_upload {
        parts.push(format!("abort unfinished uploads after {days} days"));
    }
    if !rule.is_enabled() {
        parts.push("(disabled)".to_owned());
    }
    parts.join(", ")
}

/// The foreign rules that together already do all that `ours` would.
pub(super) fn satisfied_by(ours: &Rule, foreign: &[&Rule]) -> Option<String> {
    let whole: Vec<&&Rule> = foreign.iter().filter(|r| r.covers_whole_bucket()).collect();
    let mut by: Vec<&str> = Vec::new();
    let mut need = |test: &dyn Fn(&Rule) -> bool| match whole.iter().find(|r| test(r)) {
        Some(rule) => {
            by.push(rule.id());
            true
        }
        None => false,
    };
    if let Some(days) = ours.abort_incomplete_multipart_upload
        && !need(&|r| {
            r.abort_incomplete_multipart_upload
                .is_some_and(|d| d <= days)
        })
    {
        return None;
    }
    for step in &ours.transitions {
        let same = |r: &Rule| {
            r.transitions.iter().any(|t| {
                t.storage_class == step.storage_class
                    && t.days.zip(step.days).is_some_and(|(a, b)| a <= b)
            })
        };
        if !need(&same) {
            return None;
        }
    }
    for step in &ours.noncurrent_version_transitions {
        let same = |r: &Rule| {
            r.noncurrent_version_transitions.iter().any(|t| {
                t.storage_class == step.storage_class
                    && t.noncurrent_days
                        .zip(step.noncurrent_days)
                        .is_some_and(|(a, b)| a <= b)
            })
        };
        if !need(&same) {
            return None;
        }
    }
    if let Some(days) = ours.expiration.as_ref().and_then(|e| e.days)
        && !need(&|r| {
            r.expiration
                .as_ref()
                .and_then(|e| e.days)
                .is_some_and(|d| d <= days)
        })
    {
        return None;
    }
    if let Some(days) = ours
        .noncurrent_version_expiration
        .as_ref()
        .and_then(|e| e.noncurrent_days)
        && !need(&|r| {
            r.noncurrent_version_expiration.as_ref().is_some_and(|e| {
                e.noncurrent_days.is_some_and(|d| d <= days) && kept(r) <= kept(ours)
            })
        })
    {
        return None;
    }
    by.sort_unstable();
    by.dedup();
    (!by.is_empty()).then(|| format!("`{}`", by.join("`, `")))
}

/// How many noncurrent versions a rule's expiration spares.
fn kept(rule: &Rule) -> i32 {
    rule.noncurrent_version_expiration
        .as_ref()
        .and_then(|e| e.newer_noncurrent_versions)
        .unwrap_or_default()
}

/// Why `ours` would fight a foreign rule: in words, and that rule.
///
/// Ours covers the whole bucket, so it overlaps with every rule. Where two rules apply, S3 takes the
/// earlier deletion: a rule of ours must never delete what a foreign rule means to keep longer.
pub(super) fn conflict_with(ours: &Rule, foreign: &[&Rule]) -> Option<(String, String)> {
    let first = ours.transitions.iter().filter_map(|t| t.days).min();
    let days = |rule: &Rule| rule.expiration.as_ref().and_then(|e| e.days);
    let dated = |rule: &Rule| rule.expiration.as_ref().is_some_and(|e| e.date.is_some());
    foreign.iter().find_map(|rule| {
        let id = rule.id();
        let why = if !ours.transitions.is_empty()
            && !rule.transitions.is_empty()
            && rule.covers_whole_bucket()
        {
            format!("the foreign rule `{id}` already moves all objects its own way")
        } else if let (Some(first), Some(expiry)) = (first, days(rule))
            && expiry <= first
            && rule.covers_whole_bucket()
        {
            format!("the foreign rule `{id}` deletes all objects after {expiry} days, before the first move at {first}")
        } else if let Some(ours) = days(ours)
            && (dated(rule) || !rule.transitions.is_empty() || days(rule).is_some_and(|d| d > ours))
        {
            format!("it would delete after {ours} days what the foreign rule `{id}` keeps longer")
        } else if ours.noncurrent_version_expiration.is_some()
            && (rule.noncurrent_version_expiration.is_some()
                || !rule.noncurrent_version_transitions.is_empty())
        {
            format!("the foreign rule `{id}` already handles old versions its own way, and ours deletes some")
        } else {
            return None;
        };
        Some((why, format!("foreign rule `{id}`: {}", describe(rule))))
    })
}
