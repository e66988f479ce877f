//! What was known before: an earlier audit, whose findings do not fail again.

use std::collections::{BTreeMap, BTreeSet};

use globset::GlobMatcher;
use serde::Deserialize;

use super::{Audit, BaselineUse};
use crate::model::Control;

/// The findings of an earlier audit, by id and address.
#[derive(Debug, Clone, PartialEq)]
pub struct Baseline {
    file: String,
    entries: Vec<Entry>,
}

/// All that a baseline needs to tell of a finding; the rest of the file may be of any version.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Entry {
    id: String,
    address: String,
    control: Control,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct Document {
    format_version: String,
    kind: String,
    findings: Vec<Entry>,
}

impl Baseline {
    /// Reads a baseline from the text of an audit's JSON.
    ///
    /// # Errors
    /// What keeps the text from being one, in words.
    pub fn parse(file: &str, text: &str) -> Result<Baseline, String> {
        // Editors and shells of Windows put it in front.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let value: serde_json::Value =
            serde_json::from_str(text).map_err(|e| format!("it is not JSON: {e}"))?;
        match value.get("kind").and_then(|k| k.as_str()) {
            Some("audit") => {}
            Some(kind) => return Err(format!("it is the JSON of `{kind}`, not of an audit")),
            None => return Err("it has no `kind`, so it is not an audit".to_owned()),
        }
        let document: Document = serde_json::from_value(value)
            .map_err(|e| format!("it is not the JSON of an audit: {e}"))?;
        debug_assert_eq!(document.kind, "audit");
        if document.format_version.split('.').next() != Some("1") {
            return Err(format!(
                "its format_version is {}, and this version reads 1.x",
                document.format_version
            ));
        }
        Ok(Baseline {
            file: file.to_owned(),
            entries: document.findings,
        })
    }

    /// Marks the findings that the baseline holds.
    ///
    /// One entry stands for one finding: where a resource has two of one id and the baseline holds
    /// one, one of them is new (the one with the other message, where that tells them apart).
    pub(super) fn mark(&self, audit: &mut Audit, only: Option<&GlobMatcher>) -> BaselineUse {
        let mut held: BTreeMap<(&str, &str), Vec<&Entry>> = BTreeMap::new();
        for entry in &self.entries {
            held.entry((&entry.id, &entry.address))
                .or_default()
                .push(entry);
        }
        // First those that are word for word the same, then any of the same id and address.
        let mut known = vec![false; audit.findings.len()];
        for word_for_word in [true, false] {
            for (reported, known) in audit.findings.iter().zip(&mut known) {
                let key = (reported.id.as_str(), reported.address.as_str());
                if !*known
                    && let Some(entries) = held.get_mut(&key)
                    && let Some(at) = entries
                        .iter()
                        .position(|e| !word_for_word || e.message == reported.message)
                {
                    entries.swap_remove(at);
                    *known = true;
                }
            }
        }
        let left: Vec<&Entry> = held.into_values().flatten().collect();
        for (reported, known) in audit.findings.iter_mut().zip(known) {
            reported.in_baseline = known;
        }
        let seen = Seen::of(audit, only);
        let fixed = left.iter().filter(|e| seen.looked_for(e)).count() as u64;
        BaselineUse {
            file: self.file.clone(),
            entries: self.entries.len() as u64,
            fixed,
            not_looked_at: left.len() as u64 - fixed,
        }
    }
}

/// What an audit can speak of at all.
struct Seen<'a> {
    controls: &'a [Control],
    /// Environment and region.
    places: BTreeSet<(&'a str, &'a str)>,
    blind: BTreeSet<(&'a str, Control)>,
    only: Option<&'a GlobMatcher>,
}

impl<'a> Seen<'a> {
    fn of(audit: &'a Audit, only: Option<&'a GlobMatcher>) -> Self {
        Seen {
            controls: &audit.controls,
            places: audit
                .scope
                .iter()
                .map(|s| (s.environment.as_str(), s.region.as_str()))
                .collect(),
            blind: audit.blind().collect(),
            only,
        }
    }

    /// Whether the audit would have found it again, if it were still so.
    fn looked_for(&self, entry: &Entry) -> bool {
        let mut parts = entry.address.splitn(3, '/');
        let environment = parts.next().unwrap_or_default();
        let region = parts.next().unwrap_or_default();
        let in_scope = self.places.iter().any(|(e, r)| {
            // What has no region of its own is looked at with every one.
            *e == environment && (*r == region || !is_region(region))
        });
        self.controls.contains(&entry.control)
            && in_scope
            && !self.blind.contains(&(environment, entry.control))
            && self.only.is_none_or(|glob| glob.is_match(&entry.address))
    }
}

/// `eu-west-1`, unlike `global`.
fn is_region(text: &str) -> bool {
    text.ends_with(|c: char| c.is_ascii_digit()) && text.matches('-').count() >= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An audit of one environment, in which nothing was found.
    fn audit(unobserved: serde_json::Value, accepted: serde_json::Value) -> Audit {
        serde_json::from_value(serde_json::json!({
            "format_version": "1.0", "kind": "audit", "opsctl_version": "0", "generated_at": "",
            "scope": [{"environment": "prod", "account": "1", "region": "eu-west-1", "stage": "x"}],
            "unobserved": unobserved, "accepted_unobserved": accepted,
            "api": serde_json::to_value(crate::cloud::ApiUse::default()).unwrap(),
            "controls": ["tags", "lifecycle"], "findings": [],
            "summary": {"checked": 0, "compliant": 0, "by_severity": {}, "by_control": {}},
        }))
        .unwrap()
    }

    const BASELINE: &str = "\u{feff}{\"format_version\": \"1.0\", \"kind\": \"audit\", \"findings\": [
        {\"id\": \"tags.missing\", \"address\": \"prod/eu-west-1/rds-instance/a#tags\", \"control\": \"tags\"},
        {\"id\": \"lifecycle.x\", \"address\": \"prod/eu-west-1/s3-bucket/b#lifecycle\", \"control\": \"lifecycle\"}]}";

    #[test]
    fn what_an_accepted_blind_spot_hides_is_not_fixed() {
        let baseline = Baseline::parse("b.json", BASELINE).unwrap();
        let told = |audit: &mut Audit| {
            let used = baseline.mark(audit, None);
            (used.fixed, used.not_looked_at)
        };
        let none = serde_json::json!([]);
        assert_eq!(told(&mut audit(none.clone(), none.clone())), (2, 0));
        let gap = serde_json::json!([{
            "environment": "prod", "account": "1", "region": "eu-west-1", "control": "tags",
            "operation": "rds:DescribeDBInstances", "error": "AccessDenied",
        }]);
        assert_eq!(told(&mut audit(gap, none.clone())), (1, 1));
        let accepted = serde_json::json!([{
            "name": "no-rds", "operation": "rds:DescribeDBInstances", "reason": "x",
            "until": "2027-01-01", "gaps": 1,
            "covers": [{"environment": "prod", "region": "eu-west-1", "control": "tags"}],
        }]);
        assert_eq!(told(&mut audit(none, accepted)), (1, 1));
    }
}
