//! Findings for spreadsheets, which take a cell that begins like a formula for one.

use super::text::{decimal, escape};
use crate::audit::Audit;

const HEAD: [&str; 15] = [
    "id",
    "severity",
    "control",
    "environment",
    "address",
    "arn",
    "message",
    "evidence",
    "remediation",
    "policy_file",
    "policy_line",
    "policy_rule",
    "monthly_cost_usd",
    "in_baseline",
    "fails",
];

/// The findings as CSV (RFC 4180) with a head line.
///
/// # Errors
/// What the writer says.
pub fn audit(audit: &Audit) -> Result<String, String> {
    let mut writer = ::csv::WriterBuilder::new()
        .terminator(::csv::Terminator::CRLF)
        .from_writer(Vec::new());
    let failed = |e: ::csv::Error| format!("CSV: {e}");
    writer.write_record(HEAD).map_err(failed)?;
    for finding in &audit.findings {
        let fails = !finding.in_baseline && finding.severity >= audit.summary.fail_on;
        let line = finding.policy.line.to_string();
        writer
            .write_record([
                cell(&finding.id),
                cell(finding.severity.as_str()),
                cell(finding.control.as_str()),
                cell(finding.address.environment()),
                cell(finding.address.as_str()),
                cell(&finding.arn),
                cell(&finding.message),
                cell(&finding.evidence),
                cell(&finding.remediation),
                cell(&finding.policy.file),
                line,
                cell(&finding.policy.rule),
                amount(finding.monthly_cost_usd.as_deref().unwrap_or_default()),
                finding.in_baseline.to_string(),
                fails.to_string(),
            ])
            .map_err(failed)?;
    }
    let bytes = writer
        .into_inner()
        .map_err(|e| format!("CSV: {}", e.error()))?;
    String::from_utf8(bytes).map_err(|e| format!("CSV: {e}"))
}

/// A number may begin with a sign, anything else not.
fn amount(text: &str) -> String {
    if decimal(text).is_some() {
        text.to_owned()
    } else {
        cell(text)
    }
}

/// Text that no spreadsheet calculates: an apostrophe in front makes it text in all of them.
///
/// Source: OWASP, "CSV Injection"; the full-width forms are read as operators too.
fn cell(text: &str) -> String {
    let safe = escape(text);
    let first = safe.trim_start().chars().next();
    if first.is_some_and(|c| "=+-@\t\r|%＝＋－＠".contains(c)) {
        format!("'{safe}")
    } else {
        safe
    }
}
