//! Findings for spreadsheets, which take a cell that begins like a formula for one.

use super::text::{decimal, escape};
use crate::audit::Audit;
use crate::report::tags::{Problem, TagReport};

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
    write(
        &HEAD,
        audit.findings.iter().map(|finding| {
            let fails = !finding.in_baseline && finding.severity >= audit.summary.fail_on;
            let line = finding.policy.line.to_string();
            [
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
            ]
        }),
    )
}

const TAGS_HEAD: [&str; 20] = [
    "address",
    "environment",
    "region",
    "type",
    "name",
    "arn",
    "compliant",
    "severity",
    "findings",
    "what",
    "owner",
    "owner_source",
    "first_seen",
    "age_days",
    "since_first_run",
    "new",
    "month_to_date",
    "currency",
    "fix_command",
    "fix_text",
];

/// The resources of a tag report, one line each.
///
/// # Errors
/// What the writer says.
pub fn tags(report: &TagReport) -> Result<String, String> {
    let currency = report.spend.currency.as_deref().unwrap_or_default();
    write(
        &TAGS_HEAD,
        report.resources.iter().map(|one| {
            let list = |pick: fn(&Problem) -> &str| {
                let texts: Vec<&str> = one.findings.iter().map(pick).collect();
                cell(&texts.join("; "))
            };
            let text = |text: &Option<String>| cell(text.as_deref().unwrap_or_default());
            let owner = one.owner.as_ref();
            [
                cell(&one.address),
                cell(&one.environment),
                cell(&one.region),
                cell(&one.kind),
                cell(&one.name),
                cell(&one.arn),
                one.compliant.to_string(),
                cell(one.severity.as_str()),
                list(|f| &f.id),
                list(|f| &f.message),
                cell(owner.map_or("", |o| &o.name)),
                cell(owner.map_or("", |o| &o.source)),
                text(&one.first_seen),
                one.age_days.map_or_else(String::new, |d| d.to_string()),
                one.since_first_run.to_string(),
                one.new.map_or_else(String::new, |new| new.to_string()),
                amount(one.month_to_date.as_deref().unwrap_or_default()),
                cell(currency),
                text(&one.fix.command),
                cell(&one.fix.text),
            ]
        }),
    )
}

fn write<const N: usize>(
    head: &[&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> Result<String, String> {
    let failed = |e: ::csv::Error| format!("CSV: {e}");
    let mut writer = ::csv::WriterBuilder::new()
        .terminator(::csv::Terminator::CRLF)
        .from_writer(Vec::new());
    writer.write_record(head).map_err(failed)?;
    for row in rows {
        writer.write_record(&row).map_err(failed)?;
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
