//! `policies/*.toml`: the policies that this version reconciles. The others are in `later`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::later::{Alarms, Backups, Budgets, Cost, Readiness};
use super::source::{Diagnostic, Level, Sources};
use super::values::{Day, Match, Pattern, Sourced};
use crate::model::lifecycle::{self, RULE_PREFIX};
use crate::model::{Amount, check_tag_key, check_tag_value};

/// One policy file, or all policies of a stage laid together.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "opsctl policy")]
pub struct Policies {
    pub tags: Option<TagPolicy>,
    pub budgets: Option<Budgets>,
    pub lifecycle: Option<LifecyclePolicy>,
    pub alarms: Option<Alarms>,
    pub backups: Option<Backups>,
    pub cost: Option<Cost>,
    pub readiness: Option<Readiness>,
}

/// What to do with resources that CloudFormation, Terraform or the like owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OwnedElsewhere {
    /// Report them with their owner, change nothing: their owner would change it back.
    #[default]
    Leave,
    /// Treat them like all others.
    Write,
}

/// `[tags]`
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TagPolicy {
    /// Keys that every resource must have.
    #[serde(default)]
    pub required: Vec<Sourced<String>>,
    /// What the value of a key may be.
    #[serde(default)]
    pub values: BTreeMap<String, Sourced<ValueRule>>,
    /// Wrong-case and old spellings of a key, reported and migrated.
    #[serde(default)]
    pub aliases: BTreeMap<String, Vec<Sourced<String>>>,
    /// Filled in where the key is missing.
    #[serde(default)]
    pub defaults: BTreeMap<String, Sourced<String>>,
    /// First match wins, before the defaults.
    #[serde(default)]
    pub infer: Vec<Infer>,
    /// Resources that are left alone by every control, until a day.
    #[serde(default)]
    pub exempt: BTreeMap<String, Exempt>,
    #[serde(default)]
    pub owned_elsewhere: OwnedElsewhere,
}

/// Allowed values of one tag key.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ValueRule {
    pub one_of: Option<Vec<String>>,
    pub pattern: Option<Pattern>,
}

impl ValueRule {
    /// Why a value is not allowed, or `None` if it is.
    pub fn refuses(&self, value: &str) -> Option<String> {
        if let Some(list) = &self.one_of
            && !list.iter().any(|v| v == value)
        {
            return Some(format!("must be one of {}", list.join(", ")));
        }
        match &self.pattern {
            Some(p) if !p.0.is_match(value) => Some(format!("must match {}", p.0.as_str())),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Infer {
    #[serde(rename = "match")]
    pub matches: Match,
    pub set: BTreeMap<String, Sourced<String>>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exempt {
    #[serde(rename = "match")]
    pub matches: Match,
    pub reason: Sourced<String>,
    /// The last day of the exemption; after it, it is a finding.
    pub until: Sourced<Day>,
    /// Who answers for it.
    pub owner: Option<Sourced<String>>,
}

/// Where the values of a key are allowed, and how to allow others.
fn allowed_at(place: &str, key: &str) -> String {
    match place.strip_prefix("builtin:") {
        Some(file) => {
            let file = file.rsplit_once(':').map_or(file, |(file, _)| file);
            format!(
                "allowed values are set at {place}, which ships with opsctl: `opsctl init` writes {file} into the project (it overwrites nothing), and `{key}` under [tags.values] there can be changed"
            )
        }
        None => format!("allowed values are set at {place}"),
    }
}

impl TagPolicy {
    /// Every key that the policy may write.
    pub fn managed_keys(&self) -> std::collections::BTreeSet<&str> {
        self.required
            .iter()
            .map(|k| k.value.as_str())
            .chain(self.values.keys().map(String::as_str))
            .chain(self.aliases.keys().map(String::as_str))
            .chain(self.defaults.keys().map(String::as_str))
            .chain(
                self.infer
                    .iter()
                    .flat_map(|i| i.set.keys().map(String::as_str)),
            )
            .collect()
    }

    /// Mistakes that the types cannot catch.
    pub fn check(&self, sources: &Sources) -> Vec<Diagnostic> {
        let mut out = Vec::new();
        for key in &self.required {
            if let Err(e) = check_tag_key(key) {
                out.push(Diagnostic::error(
                    key.origin,
                    format!("`{}` cannot be a tag key: {e}", key.value),
                ));
            }
        }
        let check_pair = |key: &str, value: &Sourced<String>, out: &mut Vec<Diagnostic>| {
            if let Err(e) = check_tag_key(key) {
                out.push(Diagnostic::error(
                    value.origin,
                    format!("`{key}` cannot be a tag key: {e}"),
                ));
            }
            if value.contains('{') && value.contains('}') {
                return; // A placeholder, expanded per environment and checked then.
            }
            if let Err(e) = check_tag_value(value) {
                out.push(Diagnostic::error(
                    value.origin,
                    format!("`{}` cannot be a tag value: {e}", value.value),
                ));
            } else if let Some(rule) = self.values.get(key)
                && let Some(why) = rule.refuses(value)
            {
                out.push(
                    Diagnostic::error(
                        value.origin,
                        format!(
                            "`{}` is not allowed for the tag `{key}`: {why}",
                            value.value
                        ),
                    )
                    .with_help(allowed_at(&sources.place(rule.origin), key)),
                );
            }
        };
        for (key, value) in &self.defaults {
            check_pair(key, value, &mut out);
        }
        for (key, value) in self.infer.iter().flat_map(|i| &i.set) {
            check_pair(key, value, &mut out);
        }
        for (key, rule) in &self.values {
            if let Err(e) = check_tag_key(key) {
                out.push(Diagnostic::error(
                    rule.origin,
                    format!("`{key}` cannot be a tag key: {e}"),
                ));
            }
            for value in rule.one_of.iter().flatten() {
                if let Err(e) = check_tag_value(value) {
                    out.push(Diagnostic::error(
                        rule.origin,
                        format!("`{value}` cannot be a tag value: {e}"),
                    ));
                }
            }
            if rule.one_of.as_ref().is_some_and(Vec::is_empty) {
                out.push(Diagnostic::error(
                    rule.origin,
                    "an empty list allows no value at all",
                ));
            }
        }
        let managed = self.managed_keys();
        if let Some(key) = managed.iter().find(|k| k.starts_with("opsctl:")) {
            let origin = self
                .required
                .iter()
                .map(|k| k.origin)
                .chain(self.defaults.values().map(|v| v.origin))
                .next();
            let message = format!(
                "`{key}`: keys that begin with `opsctl:` are opsctl's own, no policy sets them"
            );
            out.push(Diagnostic {
                level: Level::Error,
                message,
                origin,
                help: None,
            });
        }
        let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
        for (key, aliases) in &self.aliases {
            for alias in aliases {
                if alias.value.is_empty() || alias.value.starts_with("opsctl:") {
                    out.push(Diagnostic::error(
                        alias.origin,
                        format!("`{}` cannot be an alias", alias.value),
                    ));
                } else if managed.contains(alias.value.as_str()) {
                    out.push(Diagnostic::error(
                        alias.origin,
                        format!(
                            "`{}` is itself a managed key: an alias is migrated away",
                            alias.value
                        ),
                    ));
                } else if alias.to_lowercase().starts_with("aws:") {
                    out.push(Diagnostic::error(
                        alias.origin,
                        format!("`{}` belongs to AWS and cannot be migrated", alias.value),
                    ));
                } else if let Some(other) = seen.insert(&alias.value, key) {
                    out.push(Diagnostic::error(
                        alias.origin,
                        format!(
                            "`{}` is an alias of both `{other}` and `{key}`",
                            alias.value
                        ),
                    ));
                }
            }
        }
        for (name, exempt) in &self.exempt {
            let told = [
                ("reason", Some(&exempt.reason), "why it is left alone"),
                ("owner", exempt.owner.as_ref(), "who answers for it"),
            ];
            for (field, value, what) in told {
                if let Some(value) = value.filter(|v| v.trim().is_empty()) {
                    out.push(
                        Diagnostic::error(
                            value.origin,
                            format!("exemption `{name}`: {field} is empty"),
                        )
                        .with_help(format!("write down {what}")),
                    );
                }
            }
            if exempt.matches.is_everything() {
                out.push(
                    Diagnostic::error(
                        exempt.reason.origin,
                        format!("exemption `{name}` matches every resource"),
                    )
                    .with_help("name what is exempt: match = { name = \"…\" }"),
                );
            }
        }
        out
    }
}

/// `[lifecycle]`
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LifecyclePolicy {
    /// Written to S3 as rule id `opsctl-<name>`.
    #[serde(default)]
    pub rule: BTreeMap<String, Sourced<LifecycleRule>>,
    #[serde(default)]
    pub owned_elsewhere: OwnedElsewhere,
    /// USD a month per GB and class, and per 1,000 transitions, over the built-in list prices.
    #[serde(default)]
    pub prices: BTreeMap<String, Sourced<ClassPrice>>,
}

/// List prices of one storage class; what is left out is as built in.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClassPrice {
    pub gb_month: Option<Amount>,
    pub per_1000_transitions: Option<Amount>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LifecycleRule {
    #[serde(rename = "match")]
    pub matches: Match,
    #[serde(default)]
    pub transition: Vec<Step>,
    #[serde(default)]
    pub noncurrent: Noncurrent,
    /// Deletes current objects; in a versioned bucket it adds a delete marker.
    pub expire_after_days: Option<i32>,
    pub abort_multipart_after_days: Option<i32>,
    pub only_if: Option<OnlyIf>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    pub after_days: i32,
    /// A storage class: STANDARD_IA, ONEZONE_IA, INTELLIGENT_TIERING, GLACIER_IR, GLACIER or DEEP_ARCHIVE.
    pub to: String,
}

#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Noncurrent {
    #[serde(default)]
    pub transition: Vec<Step>,
    pub expire_after_days: Option<i32>,
    /// Newest noncurrent versions that are never touched, 1 to 100.
    pub keep: Option<i32>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OnlyIf {
    /// The rule is planned only where it saves at least this much.
    pub saves_usd_per_month: Sourced<Amount>,
}

impl LifecycleRule {
    /// The rule as S3 has it.
    pub fn to_s3(&self, name: &str) -> lifecycle::Rule {
        let keep = self.noncurrent.keep;
        lifecycle::Rule {
            id: Some(format!("{RULE_PREFIX}{name}")),
            status: "Enabled".to_owned(),
            prefix: None,
            filter: Some(lifecycle::Filter {
                prefix: Some(String::new()),
                ..Default::default()
            }),
            expiration: self.expire_after_days.map(|days| lifecycle::Expiration {
                days: Some(days),
                ..Default::default()
            }),
            transitions: self
                .transition
                .iter()
                .map(|step| lifecycle::Transition {
                    days: Some(step.after_days),
                    date: None,
                    storage_class: Some(step.to.clone()),
                })
                .collect(),
            noncurrent_version_transitions: self
                .noncurrent
                .transition
                .iter()
                .map(|step| lifecycle::NoncurrentTransition {
                    noncurrent_days: Some(step.after_days),
                    storage_class: Some(step.to.clone()),
                    newer_noncurrent_versions: keep,
                })
                .collect(),
            noncurrent_version_expiration: self.noncurrent.expire_after_days.map(|days| {
                lifecycle::NoncurrentExpiration {
                    noncurrent_days: Some(days),
                    newer_noncurrent_versions: keep,
                }
            }),
            abort_incomplete_multipart_upload: self.abort_multipart_after_days,
        }
    }
}

impl LifecyclePolicy {
    /// Mistakes that the types cannot catch: what S3 would refuse.
    pub fn check(&self) -> Vec<Diagnostic> {
        let mut out = Vec::new();
        for (class, price) in &self.prices {
            let known = class == "STANDARD" || lifecycle::STORAGE_CLASSES.contains(&class.as_str());
            let negative = [price.gb_month, price.per_1000_transitions]
                .into_iter()
                .flatten()
                .any(|a| a.0.is_sign_negative());
            if !known {
                out.push(Diagnostic::error(
                    price.origin,
                    format!("`{class}` is not a storage class"),
                ));
            } else if negative {
                out.push(Diagnostic::error(price.origin, "a price is not negative"));
            }
        }
        for (name, rule) in &self.rule {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if name.is_empty() || name.len() > 200 || !name.chars().all(plain) {
                out.push(Diagnostic::error(
                    rule.origin,
                    "a rule name has 1 to 200 letters, digits, - _ and .",
                ));
            }
            if rule.expire_after_days.is_some() && rule.matches.is_everything() {
                out.push(Diagnostic::warning(
                    rule.origin,
                    format!("rule `{name}` deletes the objects of every bucket"),
                ));
            }
            for violation in rule.to_s3(name).violations() {
                out.push(Diagnostic::error(
                    rule.origin,
                    format!("rule `{name}`: {violation}"),
                ));
            }
            if rule.noncurrent.keep.is_some()
                && rule.noncurrent.transition.is_empty()
                && rule.noncurrent.expire_after_days.is_none()
            {
                out.push(Diagnostic::error(
                    rule.origin,
                    format!("rule `{name}`: `keep` says which noncurrent versions to spare, but nothing is done to the others"),
                ));
            }
            if let Some(only_if) = &rule.only_if
                && rule.transition.is_empty()
            {
                out.push(Diagnostic::warning(
                    only_if.saves_usd_per_month.origin,
                    format!("rule `{name}`: only transitions have a computable saving, so this condition never holds"),
                ));
            }
        }
        out
    }
}
