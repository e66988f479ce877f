//! Findings for spreadsheets, which take a cell that begins like a formula for one.

use super::text::{decimal, escape};
use crate::audit::Audit;
use crate::drill::review::Review;

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
    let rows = audit.findings.iter().map(|finding| {
        let fails = !finding.in_baseline && finding.severity >= audit.summary.fail_on;
        vec![
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
            finding.policy.line.to_string(),
            cell(&finding.policy.rule),
            amount(finding.monthly_cost_usd.as_deref().unwrap_or_default()),
            finding.in_baseline.to_string(),
            fails.to_string(),
        ]
    });
    table(&HEAD, rows)
}

/// Drills of a period, one in each row.
///
/// # Errors
/// What the writer says.
pub fn drills(review: &Review<'_>) -> Result<String, String> {
    let seconds = |s: Option<f64>| s.map_or_else(String::new, |s| format!("{s}"));
    let rows = review.sources.iter().flat_map(|source| {
        source.records.iter().map(move |r| {
            vec![
                cell(&r.run_id),
                r.started_at.to_string(),
                r.finished_at.to_string(),
                cell(&r.drill),
                cell(&r.environment),
                cell(&r.account),
                cell(&r.source.id),
                r.result.as_str().to_owned(),
                seconds(r.measured.time_to_verified_seconds),
                seconds(r.objective.rto_seconds),
                seconds(r.measured.recovery_point_age_seconds),
                seconds(r.objective.rpo_seconds),
                r.checks.iter().filter(|c| c.passed).count().to_string(),
                r.checks.len().to_string(),
                r.cleanup.deleted.to_string(),
                cell(r.reasons.first().map(String::as_str).unwrap_or_default()),
                r.sequence.to_string(),
                r.sha256.clone(),
                r.sandbox.as_deref().map(cell).unwrap_or_default(),
            ]
        })
    });
    table(
        &[
            "run_id",
            "started_at",
            "finished_at",
            "drill",
            "environment",
            "account",
            "source",
            "result",
            "time_to_verified_seconds",
            "rto_seconds",
            "recovery_point_age_seconds",
            "rpo_seconds",
            "checks_passed",
            "checks",
            "copy_removed",
            "reason",
            "number",
            "sha256",
            "rehearsal_in",
        ],
        rows,
    )
}

/// Rows under a head line, as RFC 4180 wants them.
fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Result<String, String> {
    let mut writer = ::csv::WriterBuilder::new()
        .terminator(::csv::Terminator::CRLF)
        .from_writer(Vec::new());
    let failed = |e: ::csv::Error| format!("CSV: {e}");
    writer.write_record(head).map_err(failed)?;
    for row in rows {
        writer.write_record(row).map_err(failed)?;
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
