//! An S3 lifecycle configuration in every form that S3 knows, and what S3 refuses.
//!
//! `PutBucketLifecycleConfiguration` replaces every rule, so a rule that opsctl did not make has to
//! come through with its form unchanged: the deprecated top-level `Prefix` is not an equivalent
//! `Filter`, and an absent filter is not an empty one.

mod violations;

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
}

/// The classes that objects can move to.
pub const STORAGE_CLASSES: [&str; 6] = [
    "STANDARD_IA",
    "INTELLIGENT_TIERING",
    "ONEZONE_IA",
    "GLACIER_IR",
    "GLACIER",
    "DEEP_ARCHIVE",
];
