//! Settings of things that somebody else made: single values are changed, the rest stays.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A field in words: its name, before, after.
pub type FieldText = (String, Option<String>, Option<String>);

/// Versioning of a bucket. Once on, it can be suspended but never be off again.
/// Source: S3 user guide, "Retaining multiple versions of objects with S3 Versioning".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Versioning {
    Off,
    Suspended,
    Enabled,
}

impl Versioning {
    pub fn as_str(self) -> &'static str {
        match self {
            Versioning::Off => "off",
            Versioning::Suspended => "suspended",
            Versioning::Enabled => "enabled",
        }
    }
}

/// What protects the data of one resource; `None`: the resource has no such setting, or it is not
/// asked about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// RDS: days that automated backups are kept, 0 to 35; 0 is none at all. One that was asked for
    /// and waits counts as set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<u32>,
    /// RDS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_protection: Option<bool>,
    /// RDS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy_tags_to_snapshot: Option<bool>,
    /// RDS instances: regions that their automated backups are replicated to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copied_to: Option<BTreeSet<String>>,
    /// DynamoDB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point_in_time_recovery: Option<bool>,
    /// S3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versioning: Option<Versioning>,
}

/// A copy of automated backups in another region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupCopy {
    pub region: String,
    /// Days that it is kept there, 1 to 35.
    pub retention_days: u32,
    /// ARN of the key in that region, where the source is encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
}

fn on(yes: bool) -> String {
    if yes { "on" } else { "off" }.to_owned()
}

/// `1 day`, `7 days`.
pub fn days(n: u32) -> String {
    match n {
        1 => "1 day".to_owned(),
        n => format!("{n} days"),
    }
}

impl Settings {
    /// Every field that is there, in words; different values have different words.
    fn rows(&self) -> BTreeMap<&'static str, String> {
        let Settings {
            retention_days,
            deletion_protection,
            copy_tags_to_snapshot,
            copied_to,
            point_in_time_recovery,
            versioning,
        } = self;
        let copies = copied_to.as_ref().map(|regions| match regions.len() {
            0 => "none".to_owned(),
            _ => regions.iter().cloned().collect::<Vec<_>>().join(", "),
        });
        [
            ("retention_days", retention_days.map(days)),
            ("deletion_protection", deletion_protection.map(on)),
            ("copy_tags_to_snapshot", copy_tags_to_snapshot.map(on)),
            ("copied_to", copies),
            ("point_in_time_recovery", point_in_time_recovery.map(on)),
            ("versioning", versioning.map(|v| v.as_str().to_owned())),
        ]
        .into_iter()
        .filter_map(|(name, text)| Some((name, text?)))
        .collect()
    }

    /// The fields in which two states differ, by name.
    pub fn fields(before: &Settings, after: &Settings) -> Vec<FieldText> {
        let (was, will) = (before.rows(), after.rows());
        let names: BTreeSet<&str> = was.keys().chain(will.keys()).copied().collect();
        names
            .into_iter()
            .map(|name| {
                (
                    name.to_owned(),
                    was.get(name).cloned(),
                    will.get(name).cloned(),
                )
            })
            .filter(|(_, was, will)| was != will)
            .collect()
    }

    /// Whether all that `wanted` says is so.
    pub fn satisfies(&self, wanted: &Settings) -> bool {
        let now = self.rows();
        wanted
            .rows()
            .iter()
            .all(|(name, text)| now.get(name) == Some(text))
    }

    /// The first field that is neither as it was seen nor as it shall be, in words.
    pub fn moved(&self, before: &Settings, after: &Settings) -> Option<String> {
        let (now, was, will) = (self.rows(), before.rows(), after.rows());
        was.iter().find_map(|(name, seen)| {
            let is = now.get(name);
            let expected = is == Some(seen) || is == will.get(name);
            (!expected).then(|| {
                let is = is.map_or("not there", String::as_str);
                format!("{name} was {seen}, is {is}")
            })
        })
    }

    /// What makes `after` a weaker protection than `before`, or a different question; nothing of
    /// that kind is ever written.
    pub fn weaker(before: &Settings, after: &Settings) -> Option<&'static str> {
        let (was, will) = (before.rows(), after.rows());
        if !was.keys().eq(will.keys()) {
            return Some("it does not say of every field what it was and what it shall be");
        }
        let off = |was: Option<bool>, will: Option<bool>| was == Some(true) && will == Some(false);
        if after.retention_days < before.retention_days {
            return Some("it would keep backups for a shorter time");
        }
        if after.retention_days.is_some_and(|d| d > 35) {
            return Some("RDS keeps backups for 35 days at most");
        }
        if off(before.deletion_protection, after.deletion_protection) {
            return Some("it would switch deletion protection off");
        }
        if off(before.copy_tags_to_snapshot, after.copy_tags_to_snapshot) {
            return Some("it would stop copying tags to snapshots");
        }
        if off(before.point_in_time_recovery, after.point_in_time_recovery) {
            return Some("it would switch point-in-time recovery off");
        }
        if before.versioning != after.versioning && after.versioning != Some(Versioning::Enabled) {
            return Some("it would not switch versioning on");
        }
        if let (Some(was), Some(will)) = (&before.copied_to, &after.copied_to)
            && !was.is_subset(will)
        {
            return Some("it would end a copy in another region");
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retention(days: u32) -> Settings {
        Settings {
            retention_days: Some(days),
            ..Settings::default()
        }
    }

    #[test]
    fn fields_that_moved_are_told_from_those_that_are_done() {
        let (before, after) = (retention(1), retention(7));
        assert_eq!(retention(1).moved(&before, &after), None);
        assert_eq!(retention(7).moved(&before, &after), None);
        assert_eq!(
            retention(14).moved(&before, &after).as_deref(),
            Some("retention_days was 1 day, is 14 days")
        );
        assert!(retention(7).satisfies(&after) && !retention(1).satisfies(&after));
        assert_eq!(
            Settings::fields(&before, &after),
            [(
                "retention_days".to_owned(),
                Some("1 day".to_owned()),
                Some("7 days".to_owned())
            )]
        );
    }

    #[test]
    fn nothing_weaker_passes() {
        let with = |change: fn(&mut Settings)| {
            let mut all = Settings {
                retention_days: Some(7),
                deletion_protection: Some(true),
                copy_tags_to_snapshot: Some(true),
                copied_to: Some(BTreeSet::from(["eu-central-1".to_owned()])),
                point_in_time_recovery: Some(true),
                versioning: Some(Versioning::Enabled),
            };
            change(&mut all);
            all
        };
        let good = with(|_| ());
        assert_eq!(Settings::weaker(&good, &good), None);
        for (i, change) in [
            (|s| s.retention_days = Some(6)) as fn(&mut Settings),
            |s| s.retention_days = Some(36),
            |s| s.deletion_protection = Some(false),
            |s| s.copy_tags_to_snapshot = Some(false),
            |s| s.copied_to = Some(BTreeSet::new()),
            |s| s.point_in_time_recovery = Some(false),
            |s| s.versioning = Some(Versioning::Suspended),
            |s| s.versioning = None,
        ]
        .into_iter()
        .enumerate()
        {
            assert!(Settings::weaker(&good, &with(change)).is_some(), "{i}");
        }
    }
}
