//! Findings for spreadsheets, which take a cell that begins like a formula for one.

use super::drills::DrillsReport;
use std::collections::BTreeSet;

use super::machine::{Why, unseen};
use super::text::{decimal, escape};
use crate::audit::Audit;
use crate::report::cost::CostReport;
use crate::report::tags::{Problem, TagReport};

const HEAD: [&str; 16] = [
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
    "fingerprint",
];

/// The findings as CSV (RFC 4180) with a head line; first what could not be seen, so that a table
/// without rows says that nothing was found.
///
/// # Errors
/// What the writer says.
pub fn audit(audit: &Audit) -> Result<String, String> {
    let none = String::new;
    let blind = unseen(audit).into_iter().map(|unseen| {
        [
            unseen.why.id().to_owned(),
            none(),
            cell(unseen.control.as_str()),
            cell(&unseen.environment),
            cell(&unseen.address),
            none(),
            cell(&unseen.message),
            none(),
            cell(&unseen.help),
            none(),
            none(),
            none(),
            none(),
            "false".to_owned(),
            unseen.why.counts(audit).to_string(),
            unseen.fingerprint,
        ]
    });
    write(
        &HEAD,
        blind.chain(audit.findings.iter().map(|finding| {
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
                finding.fingerprint.clone(),
            ]
        })),
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
    let blind = tags_unseen(report).into_iter().map(|(place, id, what)| {
        let mut row: [String; 20] = Default::default();
        let mut parts = place.split('/');
        row[1] = cell(parts.next().unwrap_or_default());
        row[2] = cell(parts.next().unwrap_or_default());
        row[0] = cell(&place);
        row[8] = id.to_owned();
        row[9] = cell(&what);
        row
    });
    write(
        &TAGS_HEAD,
        blind.chain(report.resources.iter().map(|one| {
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
        })),
    )
}

/// What a table of resources does not show: where, under which name, and in words. Whether it is
/// compliant is empty there, which is neither.
fn tags_unseen(report: &TagReport) -> Vec<(String, &'static str, String)> {
    let gaps = report.unobserved.iter().map(|gap| {
        let what = gap.resource.as_deref().unwrap_or("all resources");
        (
            format!("{}/{}", gap.environment, gap.region),
            Why::Gap.id(),
            format!("{}, {what}: {}", gap.operation, gap.error),
        )
    });
    let spots = report.accepted_unobserved.iter().filter(|s| s.gaps > 0);
    let accepted = spots.flat_map(|spot| {
        let places: BTreeSet<&str> = spot.covers.iter().map(|c| c.environment.as_str()).collect();
        places.into_iter().map(|environment| {
            let text = format!(
                "{}, accepted until {} as {}: {}",
                spot.operation, spot.until, spot.name, spot.reason
            );
            (environment.to_owned(), Why::Accepted.id(), text)
        })
    });
    let without = report.not_looked_at.environments_without_policy.iter();
    let without = without.map(|environment| {
        (
            environment.clone(),
            "opsctl.no-policy",
            "its stage has no policy for tags".to_owned(),
        )
    });
    gaps.chain(accepted).chain(without).collect()
}

/// Drills of a period, one in each row.
///
/// # Errors
/// What the writer says.
pub fn drills(report: &DrillsReport<'_>) -> Result<String, String> {
    let seconds = |s: Option<f64>| s.map_or_else(String::new, |s| format!("{s}"));
    let whole = report.is_whole();
    let rows = report.review.sources.iter().flat_map(|source| {
        source.records.iter().map(move |r| {
            [
                cell(&r.run_id),
                r.started_at.to_string(),
                r.finished_at.to_string(),
                cell(&r.drill),
                cell(&r.environment),
                cell(&r.account),
                cell(&r.source.id),
                r.result.as_str().to_owned(),
                seconds(r.recovery_seconds()),
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
                // Of the chain, not of this record: others are missing, changed or unreadable.
                whole.to_string(),
            ]
        })
    });
    write(
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
            "records_whole",
        ],
        rows,
    )
}

const COST_HEAD: [&str; 10] = [
    "environment",
    "account",
    "currency",
    "month",
    "split",
    "name",
    "month_to_date",
    "previous_same_days",
    "previous_full_month",
    "change",
];

/// Costs in long form: the total, each day, service, region and tag value on a line of its own. What
/// is not known is empty, never 0.
///
/// # Errors
/// What the writer says.
pub fn cost(report: &CostReport) -> Result<String, String> {
    let mut rows: Vec<[String; 10]> = Vec::new();
    for entry in &report.cost {
        let mut push = |split: &str, name: &str, amounts: [&Option<String>; 4]| {
            let [now, same, full, change] =
                amounts.map(|a| amount(a.as_deref().unwrap_or_default()));
            rows.push([
                cell(entry.environment.as_deref().unwrap_or("(all)")),
                cell(entry.account.as_deref().unwrap_or_default()),
                cell(&entry.currency),
                cell(entry.month.as_deref().unwrap_or_default()),
                split.to_owned(),
                cell(name),
                now,
                same,
                full,
                change,
            ]);
        };
        let none = None;
        push(
            "total",
            "",
            [
                &entry.month_to_date,
                &entry.previous_same_days,
                &entry.previous_full_month,
                &entry.change,
            ],
        );
        push("budget", "", [&entry.budget, &none, &none, &none]);
        push(
            "forecast",
            "month end",
            [&entry.forecast_month_end, &none, &none, &none],
        );
        push(
            "forecast",
            "low",
            [&entry.forecast_low, &none, &none, &none],
        );
        push(
            "forecast",
            "high",
            [&entry.forecast_high, &none, &none, &none],
        );
        for service in &entry.by_service {
            push(
                "service",
                &service.name,
                [
                    &service.month_to_date,
                    &service.previous_same_days,
                    &service.previous_full_month,
                    &service.change,
                ],
            );
        }
        for region in &entry.by_region {
            push(
                "region",
                &region.name,
                [
                    &region.month_to_date,
                    &none,
                    &region.previous_full_month,
                    &none,
                ],
            );
        }
        for (key, values) in &entry.by_tag {
            for value in values {
                push(
                    &format!("tag:{}", escape(key)),
                    &value.value,
                    [&value.month_to_date, &none, &none, &none],
                );
            }
        }
        for day in &entry.daily {
            push(
                "day",
                &day.date.to_string(),
                [&Some(day.amount.clone()), &none, &none, &none],
            );
        }
    }
    write(&COST_HEAD, rows.into_iter())
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
