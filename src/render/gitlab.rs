//! GitLab's code quality report: a list of issues, each at a line of the project.
//!
//! Source: GitLab documentation, "Code Quality report format".

use serde_json::{Value, json};

use super::machine::{fingerprints, place, sentence};
use crate::audit::Audit;
use crate::model::Severity;

/// The findings as GitLab compares them between branches.
pub fn audit(audit: &Audit) -> String {
    let issues: Vec<Value> = audit
        .findings
        .iter()
        .zip(fingerprints(audit))
        .map(|(finding, fingerprint)| {
            let (path, line) = place(&finding.policy);
            json!({
                "description": sentence(finding),
                "check_name": finding.id,
                "fingerprint": fingerprint,
                "severity": severity(finding.severity),
                "location": { "path": path, "lines": { "begin": line } },
            })
        })
        .collect();
    let mut text = serde_json::to_string_pretty(&issues).unwrap_or_default();
    text.push('\n');
    text
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "minor",
        Severity::Medium => "major",
        Severity::High => "critical",
        Severity::Critical => "blocker",
    }
}
