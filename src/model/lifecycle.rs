//! An S3 lifecycle configuration in every form that S3 knows, and what S3 refuses.
//!
//! `PutBucketLifecycleConfiguration` replaces every rule, so a rule that opsctl did not make has to
//! come through with its form unchanged: the deprecated top-level `Prefix` is not an equivalent
//! `Filter`, and an absent filter is not an empty one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Rules with this id prefix are ours; all others are foreign.
pub const RULE_PREFIX: &str = "opsctl-";

/// Most rules that one bucket can have. Source: S3 user guide, "Lifecycle configuration elements".
pub const MAX_RULES: usize = 1000;

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LifecycleConfiguration {
    /// The header `x-amz-transition-default-minimum-object-size` of the whole configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transition_default_minimum_object_size: Option<String>,
    pub rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `Enabled` or `Disabled`.
    pub status: String,
    /// The deprecated top-level prefix ("Lifecycle V1").
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration: Option<Expiration>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transitions: Vec<Transition>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub noncurrent_version_transitions: Vec<NoncurrentTransition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noncurrent_version_expiration: Option<NoncurrentExpiration>,
    /// Days after initiation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort_incomplete_multipart_upload: Option<i32>,
}

/// A filter with no member set stands for the empty element: the whole bucket.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<Tag>,
    /// Bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_size_greater_than: Option<i64>,
    /// Bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_size_less_than: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub and: Option<And>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct And {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_size_greater_than: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_size_less_than: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tag {
    pub key: String,
    pub value: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expiration {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<i32>,
    /// RFC 3339, midnight UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expired_object_delete_marker: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Transition {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoncurrentTransition {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noncurrent_days: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newer_noncurrent_versions: Option<i32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoncurrentExpiration {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noncurrent_days: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newer_noncurrent_versions: Option<i32>,
}

impl Rule {
    pub fn id(&self) -> &str {
        self.id.as_deref().unwrap_or_default()
    }

    pub fn is_ours(&self) -> bool {
        self.id().starts_with(RULE_PREFIX)
    }

    pub fn is_enabled(&self) -> bool {
        self.status == "Enabled"
    }

    /// Whether the rule applies to every object of the bucket, in whichever form it says so.
    pub fn covers_whole_bucket(&self) -> bool {
        let empty = |prefix: &Option<String>| prefix.as_deref().unwrap_or_default().is_empty();
        empty(&self.prefix)
            && self.filter.as_ref().is_none_or(|f| {
                empty(&f.prefix)
                    && f.tag.is_none()
                    && f.object_size_greater_than.is_none()
                    && f.object_size_less_than.is_none()
                    && f.and.is_none()
            })
    }

    /// The same rule with its "whole bucket" filter in one canonical form, for comparison of a rule
    /// of ours with what S3 gives back.
    pub fn normalised(&self) -> Rule {
        let mut rule = self.clone();
        if rule.covers_whole_bucket() {
            rule.prefix = None;
            rule.filter = None;
        }
        rule
    }

    /// The kinds of action that the rule takes, by S3's names.
    pub fn action_types(&self) -> Vec<&'static str> {
        let mut found = Vec::new();
        if self.expiration.is_some() {
            found.push("Expiration");
        }
        if !self.transitions.is_empty() {
            found.push("Transition");
        }
        if !self.noncurrent_version_transitions.is_empty() {
            found.push("NoncurrentVersionTransition");
        }
        if self.noncurrent_version_expiration.is_some() {
            found.push("NoncurrentVersionExpiration");
        }
        if self.abort_incomplete_multipart_upload.is_some() {
            found.push("AbortIncompleteMultipartUpload");
        }
        found
    }
}

impl LifecycleConfiguration {
    /// Whether the two mean the same: same header, same rules by id, in any order.
    pub fn same_as(&self, other: &LifecycleConfiguration) -> bool {
        self.difference(other).is_none()
    }

    /// The first thing that differs, in words; `None` when the two mean the same.
    pub fn difference(&self, other: &LifecycleConfiguration) -> Option<String> {
        // S3 fills the header in when it was not sent.
        let header = |c: &LifecycleConfiguration| {
            c.transition_default_minimum_object_size
                .clone()
                .unwrap_or_else(|| "all_storage_classes_128K".to_owned())
        };
        if header(self) != header(other) {
            return Some(format!(
                "TransitionDefaultMinimumObjectSize is {}, was {}",
                header(other),
                header(self)
            ));
        }
        let sorted = |c: &LifecycleConfiguration| {
            let mut rules: Vec<Rule> = c
                .rules
                .iter()
                .map(|r| {
                    if r.is_ours() {
                        r.normalised()
                    } else {
                        r.clone()
                    }
                })
                .collect();
            rules.sort_by(|a, b| a.id.cmp(&b.id));
            rules
        };
        let (mine, theirs) = (sorted(self), sorted(other));
        for rule in &mine {
            match theirs.iter().find(|r| r.id == rule.id) {
                None => return Some(format!("rule `{}` is gone", rule.id())),
                Some(found) if found != rule => {
                    return Some(format!("rule `{}` changed", rule.id()));
                }
                Some(_) => {}
            }
        }
        if let Some(rule) = theirs.iter().find(|r| !mine.iter().any(|m| m.id == r.id)) {
            return Some(format!("rule `{}` is new", rule.id()));
        }
        (mine.len() != theirs.len()).then(|| "the number of rules changed".to_owned())
    }

    /// All rules use the deprecated top-level prefix, which S3 does not let mix with filters
    /// ("Filter element can only be used in Lifecycle V2").
    ///
    /// Source: aws-sdk-ruby#1653, noobaa-core#8426.
    pub fn is_v1(&self) -> bool {
        !self.rules.is_empty()
            && self
                .rules
                .iter()
                .all(|r| r.prefix.is_some() && r.filter.is_none())
    }

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
        let mut ids = std::collections::BTreeSet::new();
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

pub const STORAGE_CLASSES: [&str; 6] = [
    "STANDARD_IA",
    "INTELLIGENT_TIERING",
    "ONEZONE_IA",
    "GLACIER_IR",
    "GLACIER",
    "DEEP_ARCHIVE",
];

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
                let keys: std::collections::BTreeSet<_> = and.tags.iter().map(|t| &t.key).collect();
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
