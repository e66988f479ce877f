//! GitLab's code quality report: a list of issues, each at a line of the project.
//!
//! GitLab takes an issue that is missing for one that is solved, so what could not be seen is one too.
//! Source: GitLab documentation, "Code Quality report format".

use serde_json::{Value, json};

use super::machine::{Places, Why, sentence, unseen};
use crate::audit::Audit;
use crate::model::Severity;

/// The findings as GitLab compares them between branches.
pub fn audit(audit: &Audit, places: &Places) -> String {
    let issue = |description: &str, id: &str, print: &str, severity: &str, place: (String, u32)| {
        json!({
            "description": description,
            "check_name": id,
            "fingerprint": print,
            "severity": severity,
            "location": { "path": place.0, "lines": { "begin": place.1 } },
        })
    };
    let mut issues: Vec<Value> = unseen(audit)
        .iter()
        .map(|unseen| {
            let severity = match unseen.why {
                Why::Gap if unseen.why.counts(audit) => "blocker",
                Why::Gap => "major",
                Why::Accepted | Why::NotAudited => "info",
            };
            issue(
                &unseen.message,
                unseen.why.id(),
                &unseen.fingerprint,
                severity,
                places.workspace(),
            )
        })
        .collect();
    issues.extend(audit.findings.iter().map(|finding| {
        issue(
            &sentence(finding),
            &finding.id,
            &finding.fingerprint,
            severity(finding.severity),
            places.of(&finding.policy),
        )
    }));
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
