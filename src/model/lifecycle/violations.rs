//! What S3 would refuse of a lifecycle configuration, in words, before it is asked.

use std::collections::BTreeSet;

use super::{LifecycleConfiguration, MAX_RULES, Rule, STORAGE_CLASSES};

impl LifecycleConfiguration {
    /// What S3 would refuse in the whole configuration, its rules included.
    pub fn violations(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.rules.is_empty() {
            found.push("a configuration needs at least one rule".to_owned());
        }
        if self.rules.len() > MAX_RULES {
            found.push(format!(
                "{} rules, at most {MAX_RULES} are allowed",
                self.rules.len()
            ));
        }
        let mut ids = BTreeSet::new();
        for rule in &self.rules {
            if let Some(id) = &rule.id
                && !ids.insert(id)
            {
                found.push(format!("rule id `{id}` occurs twice"));
            }
            found.extend(
                rule.violations()
                    .into_iter()
                    .map(|v| format!("rule `{}`: {v}", rule.id())),
            );
        }
        let v1 = self.rules.iter().any(|r| r.prefix.is_some());
        if v1 && self.rules.iter().any(|r| r.filter.is_some()) {
            found.push("Filter element can only be used in Lifecycle V2: rules with a top-level prefix and rules with a filter cannot be mixed".to_owned());
        }
        if v1 {
            found.extend(self.v1_violations());
        }
        found
    }
}

impl LifecycleConfiguration {
    /// What S3 refuses only in rules with top-level prefixes: equal prefixes, overlapping ones with
    /// the same type of action, and keeping the newest old versions.
    ///
    /// Source: aws-sdk-ruby#1653, noobaa-core#8426 (recorded AWS behaviour).
    fn v1_violations(&self) -> Vec<String> {
        let mut found = Vec::new();
        let rules: Vec<(&Rule, &str)> = self
            .rules
            .iter()
            .filter_map(|r| Some((r, r.prefix.as_deref()?)))
            .collect();
        for (i, (rule, prefix)) in rules.iter().enumerate() {
            for (other, beside) in &rules[..i] {
                if prefix == beside {
                    found.push(format!(
                        "rules `{}` and `{}` have the same prefix '{prefix}'",
                        other.id(),
                        rule.id()
                    ));
                } else if prefix.starts_with(beside) || beside.starts_with(prefix) {
                    let theirs = other.action_types();
                    let shared = rule.action_types().into_iter().find(|a| theirs.contains(a));
                    if let Some(action) = shared {
                        found.push(format!(
                            "rules `{}` and `{}` have overlapping prefixes for the same action type {action}",
                            other.id(),
                            rule.id()
                        ));
                    }
                }
            }
            let keeps = rule
                .noncurrent_version_transitions
                .iter()
                .any(|t| t.newer_noncurrent_versions.is_some())
                || rule
                    .noncurrent_version_expiration
                    .as_ref()
                    .is_some_and(|e| e.newer_noncurrent_versions.is_some());
            if keeps {
                found.push(format!(
                    "rule `{}`: keeping the newest old versions needs a filter, not a top-level prefix",
                    rule.id()
                ));
            }
        }
        found
    }
}

/// How far down the waterfall of storage classes an object is; transitions only go down.
///
/// Source: S3 user guide, "Transitioning objects using Amazon S3 Lifecycle".
fn may_follow(from: &str, to: &str) -> bool {
    let allowed: &[&str] = match from {
        "STANDARD_IA" => &[
            "INTELLIGENT_TIERING",
            "ONEZONE_IA",
            "GLACIER_IR",
            "GLACIER",
            "DEEP_ARCHIVE",
        ],
        "INTELLIGENT_TIERING" => &["ONEZONE_IA", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"],
        "ONEZONE_IA" => &["GLACIER", "DEEP_ARCHIVE"],
        "GLACIER_IR" => &["GLACIER", "DEEP_ARCHIVE"],
        "GLACIER" => &["DEEP_ARCHIVE"],
        _ => &[],
    };
    allowed.contains(&to)
}

const IA: [&str; 2] = ["STANDARD_IA", "ONEZONE_IA"];
const ARCHIVE: [&str; 3] = ["GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"];

/// Checks the order and the distance of `(days, storage class)` steps.
fn step_violations(steps: &[(i32, &str)], what: &str, found: &mut Vec<String>) {
    for (days, class) in steps {
        if !STORAGE_CLASSES.contains(class) {
            found.push(format!(
                "{what} to `{class}`: not a storage class that objects can move to (one of {})",
                STORAGE_CLASSES.join(", ")
            ));
        } else if IA.contains(class) && *days < 30 {
            found.push(format!(
                "{what} to {class} after {days} days: 30 days is the least for this class"
            ));
        }
        if *days < 0 {
            found.push(format!("{what} after {days} days: days cannot be negative"));
        }
    }
    let mut sorted = steps.to_vec();
    sorted.sort_by_key(|s| s.0);
    for pair in sorted.windows(2) {
        let ((d1, c1), (d2, c2)) = (pair[0], pair[1]);
        if !STORAGE_CLASSES.contains(&c1) || !STORAGE_CLASSES.contains(&c2) {
            continue;
        }
        if c1 == c2 {
            found.push(format!("{what} to {c1} twice"));
        } else if !may_follow(c1, c2) {
            found.push(format!("{what} from {c1} (after {d1} days) to {c2} (after {d2} days): objects only move down to colder classes"));
        } else if d2 == d1 {
            found.push(format!(
                "{what} to {c1} and to {c2} after the same {d1} days"
            ));
        } else if IA.contains(&c1) && ARCHIVE.contains(&c2) && d2 - d1 < 30 {
            found.push(format!("{what} to {c2} after {d2} days: at least 30 days after the move to {c1} ({d1} days), so {} or more", d1 + 30));
        }
    }
}

impl Rule {
    /// What S3 would refuse in this rule, in words.
    ///
    /// Sources: API model `s3:LifecycleRule`; S3 user guide, "Lifecycle configuration elements".
    pub fn violations(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.id().len() > 255 {
            found.push("an id has at most 255 characters".to_owned());
        }
        if !matches!(self.status.as_str(), "Enabled" | "Disabled") {
            found.push(format!(
                "status `{}` is neither Enabled nor Disabled",
                self.status
            ));
        }
        if self.prefix.is_some() && self.filter.is_some() {
            found.push("has both a filter and a top-level prefix".to_owned());
        }
        if self.prefix.is_none() && self.filter.is_none() {
            found.push("needs a filter, which may be empty".to_owned());
        }
        if self.action_types().is_empty() {
            found.push("has no action".to_owned());
        }
        let mut tagged = false;
        let mut sized = false;
        if let Some(filter) = &self.filter {
            let forms = [
                filter.prefix.is_some(),
                filter.tag.is_some(),
                filter.object_size_greater_than.is_some(),
                filter.object_size_less_than.is_some(),
                filter.and.is_some(),
            ];
            if forms.into_iter().filter(|set| *set).count() > 1 {
                found.push("a filter holds exactly one of prefix, tag, size or `and`".to_owned());
            }
            tagged = filter.tag.is_some();
            sized =
                filter.object_size_greater_than.is_some() || filter.object_size_less_than.is_some();
            if let Some(and) = &filter.and {
                tagged |= !and.tags.is_empty();
                sized |=
                    and.object_size_greater_than.is_some() || and.object_size_less_than.is_some();
                let keys: BTreeSet<_> = and.tags.iter().map(|t| &t.key).collect();
                if keys.len() != and.tags.len() {
                    found.push("tag keys inside `and` must be unique".to_owned());
                }
                if let (Some(low), Some(high)) =
                    (and.object_size_greater_than, and.object_size_less_than)
                    && low >= high
                {
                    found.push(
                        "ObjectSizeGreaterThan must be less than ObjectSizeLessThan".to_owned(),
                    );
                }
            }
        }
        if let Some(days) = self.abort_incomplete_multipart_upload {
            if days < 1 {
                found.push("AbortIncompleteMultipartUpload needs 1 day or more".to_owned());
            }
            if tagged || sized {
                found.push(
                    "AbortIncompleteMultipartUpload cannot be combined with a tag or size filter"
                        .to_owned(),
                );
            }
        }
        if let Some(expiration) = &self.expiration {
            let marker = expiration.expired_object_delete_marker == Some(true);
            if marker && (expiration.days.is_some() || expiration.date.is_some()) {
                found.push("ExpiredObjectDeleteMarker excludes Days and Date".to_owned());
            }
            if marker && tagged {
                found.push(
                    "ExpiredObjectDeleteMarker cannot be combined with a tag filter".to_owned(),
                );
            }
            if expiration.days.is_some_and(|d| d < 1) {
                found.push("Expiration needs 1 day or more".to_owned());
            }
        }
        let dated = self.expiration.as_ref().is_some_and(|e| e.date.is_some())
            || self.transitions.iter().any(|t| t.date.is_some());
        let in_days = self.expiration.as_ref().is_some_and(|e| e.days.is_some())
            || self.transitions.iter().any(|t| t.days.is_some());
        if dated && in_days {
            found.push("Days and Date cannot be mixed in one rule".to_owned());
        }
        let steps: Vec<_> = self
            .transitions
            .iter()
            .filter_map(|t| Some((t.days?, t.storage_class.as_deref()?)))
            .collect();
        step_violations(&steps, "transition", &mut found);
        if let (Some(last), Some(Some(expire))) = (
            steps.iter().map(|s| s.0).max(),
            self.expiration.as_ref().map(|e| e.days),
        ) && expire <= last
        {
            found.push(format!(
                "Expiration after {expire} days must come after the last transition ({last} days)"
            ));
        }
        let steps: Vec<_> = self
            .noncurrent_version_transitions
            .iter()
            .filter_map(|t| Some((t.noncurrent_days?, t.storage_class.as_deref()?)))
            .collect();
        step_violations(&steps, "noncurrent transition", &mut found);
        if let Some(expiration) = &self.noncurrent_version_expiration {
            match expiration.noncurrent_days {
                None => found.push("NoncurrentVersionExpiration needs NoncurrentDays".to_owned()),
                Some(days) if days < 1 => {
                    found.push("NoncurrentVersionExpiration needs 1 day or more".to_owned());
                }
                Some(days) => {
                    if let Some(last) = steps.iter().map(|s| s.0).max()
                        && days <= last
                    {
                        found.push(format!("NoncurrentVersionExpiration after {days} days must come after the last noncurrent transition ({last} days)"));
                    }
                }
            }
        }
        let kept = self
            .noncurrent_version_transitions
            .iter()
            .filter_map(|t| t.newer_noncurrent_versions)
            .chain(
                self.noncurrent_version_expiration
                    .as_ref()
                    .and_then(|e| e.newer_noncurrent_versions),
            );
        if kept.into_iter().any(|n| !(1..=100).contains(&n)) {
            found.push("NewerNoncurrentVersions is 1 to 100".to_owned());
        }
        found
    }
}
