//! Restore drills as Markdown: for a chat, an issue, an auditor's folder.

use super::escape::{code, text};
use crate::drill::chain::Verified;
use crate::drill::machine::span;
use crate::drill::record::{Record, seconds_between};
use crate::render::words::drill_result;
use crate::render::{DrillPlanView, DrillView, SweptView};

/// What became of drills.
pub fn drills(views: &[DrillView]) -> String {
    let mut out = String::new();
    for view in views {
        one(&mut out, view);
    }
    out
}

pub(super) fn one(out: &mut String, view: &DrillView) {
    let record = &view.record;
    out.push_str(&format!(
        "## Restore drill {}: {}\n\n",
        text(&record.drill),
        drill_result(record.result)
    ));
    for reason in &record.reasons {
        out.push_str(&format!("- {}\n", text(reason)));
    }
    if let Some(help) = &view.help {
        out.push_str(&format!("- {}\n", text(help)));
    }
    if !record.reasons.is_empty() {
        out.push('\n');
    }
    if let Some(scenario) = &record.sandbox {
        out.push_str(&format!(
            "> Rehearsal in the sandbox {}.\n\n",
            code(scenario)
        ));
    }
    let seconds = |s: Option<f64>| s.map_or("–".to_owned(), span);
    out.push_str("| | |\n|---|---|\n");
    let mut row = |label: &str, value: String| out.push_str(&format!("| {label} | {value} |\n"));
    row("Run", code(&record.run_id));
    row(
        "Source",
        format!(
            "{} in {}, account {}, {}",
            code(&record.source.id),
            text(&record.environment),
            text(&record.account),
            text(&record.region)
        ),
    );
    if let Some(point) = &record.recovery_point {
        row(
            "Recovery point",
            format!(
                "{}, {} ({})",
                code(&point.arn),
                point.data_time,
                text(&point.data_time_basis)
            ),
        );
    }
    let (m, o) = (&record.measured, &record.objective);
    row(
        "Recovery point age",
        format!(
            "{}, objective {}",
            seconds(m.recovery_point_age_seconds),
            seconds(o.rpo_seconds)
        ),
    );
    row(
        "Time to recovery",
        format!(
            "available {}, {} {}, objective {}",
            seconds(m.time_to_available_seconds),
            match (record.recovery_seconds(), m.time_to_verified_seconds) {
                (None, Some(_)) => "not proven, checks ended after",
                _ => "proven",
            },
            seconds(m.time_to_verified_seconds),
            seconds(o.rto_seconds)
        ),
    );
    row(
        "Cleanup",
        text(&format!(
            "{}: {}",
            match (record.cleanup.deleted, &record.cleanup.left_to) {
                (true, _) => "nothing is left".to_owned(),
                (false, Some(other)) => format!("left to {other}"),
                (false, None) => "not complete".to_owned(),
            },
            record.cleanup.proof.join("; ")
        )),
    );
    row(
        "Triggered by",
        text(&format!(
            "{} {}",
            record.triggered_by.kind, record.triggered_by.name
        )),
    );
    row(
        "Policy",
        format!(
            "{}, SHA-256 {}",
            code(&format!("{}:{}", record.policy.file, record.policy.line)),
            code(&record.policy.sha256)
        ),
    );
    row("Seal", code(&record.sha256));
    if !view.path.is_empty() {
        row("Evidence", code(&view.path));
    }
    if !view.uploaded.is_empty() {
        row("Uploaded", code(&view.uploaded));
    }
    if let Some(error) = &view.upload_error {
        row("Upload failed", text(error));
    }
    timeline(out, record);
    checks(out, record);
    out.push('\n');
}

fn timeline(out: &mut String, record: &Record) {
    let Some(first) = record.timeline.first().map(|s| s.started_at) else {
        return;
    };
    out.push_str("\n### Timeline\n\n| from | step | took | |\n|---:|---|---:|---|\n");
    for step in &record.timeline {
        let took = step.finished_at.map_or("ended here".to_owned(), |end| {
            format!("{:.1} s", seconds_between(step.started_at, end))
        });
        out.push_str(&format!(
            "| +{:.1} s | {} | {took} | {} |\n",
            seconds_between(first, step.started_at),
            text(&step.step),
            text(step.detail.as_deref().unwrap_or_default())
        ));
    }
}

fn checks(out: &mut String, record: &Record) {
    if record.checks.is_empty() {
        return;
    }
    out.push_str("\n### Checks\n\n| | query | expected | actual |\n|---|---|---|---|\n");
    for check in &record.checks {
        let actual = check
            .actual
            .as_deref()
            .or(check.error.as_deref())
            .unwrap_or("–");
        out.push_str(&format!(
            "| {} | {} | {} | {} |\n",
            if check.passed { "✅" } else { "❌" },
            text(&check.sql),
            text(&check.expect),
            text(actual)
        ));
    }
}

/// What runs would do.
pub fn drill_plans(views: &[DrillPlanView]) -> String {
    let mut out = String::new();
    for view in views {
        out.push_str(&format!("## Restore drill {}\n\n", text(&view.drill)));
        if let Some(stop) = &view.stop {
            out.push_str(&format!("**Would stop:** {}\n\n", text(stop)));
        }
        for (label, value) in [
            ("Source", &view.source),
            ("Recovery point", &view.recovery_point),
            ("Objective", &view.objective),
            ("Cost", &view.cost),
            ("Time", &view.time),
            ("Limits", &view.limits),
            ("Policy", &view.policy),
        ] {
            if !value.is_empty() {
                out.push_str(&format!("- {label}: {}\n", text(value)));
            }
        }
        out.push('\n');
        for (i, step) in view.steps.iter().enumerate() {
            out.push_str(&format!("{}. {}\n", i + 1, text(step)));
        }
        out.push('\n');
    }
    out
}

/// Records in rows.
pub fn drill_list(records: &[Record]) -> String {
    let mut out = String::from(
        "| run | drill | environment | result | proven after | |\n|---|---|---|---|---:|---|\n",
    );
    for record in records {
        out.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} |\n",
            code(&record.run_id),
            text(&record.drill),
            text(&record.environment),
            drill_result(record.result),
            record
                .measured
                .time_to_verified_seconds
                .map_or("–".to_owned(), span),
            text(
                record
                    .reasons
                    .first()
                    .map(String::as_str)
                    .unwrap_or_default()
            ),
        ));
    }
    out
}

/// Whether the chains hold.
pub fn drill_verified(chains: &[Verified]) -> String {
    let mut out = String::from("| chain | records | |\n|---|---:|---|\n");
    for chain in chains {
        let mut state = match chain.broken.is_empty() {
            true => "intact".to_owned(),
            false => format!("**broken**: {}", text(&chain.broken.join("; "))),
        };
        if !chain.waiting.is_empty() {
            state.push_str(&format!("; {}", text(&chain.waiting.join("; "))));
        }
        out.push_str(&format!(
            "| {} | {} | {state} |\n",
            text(&chain.chain),
            chain.records
        ));
    }
    out
}

/// What a sweep removed, or would remove.
pub fn drill_swept(view: &SweptView) -> String {
    let mut out = String::from("| | what | why |\n|---|---|---|\n");
    for thing in &view.things {
        let word = match (&thing.kept, view.dry_run) {
            (Some(_), _) => "kept",
            (None, true) => "would remove",
            (None, false) => "removed",
        };
        let why = thing
            .kept
            .clone()
            .unwrap_or_else(|| thing.guards.join("; "));
        out.push_str(&format!(
            "| {word} | {} | {} |\n",
            text(&thing.what),
            text(&why)
        ));
    }
    for thing in &view.young {
        let why = thing.kept.clone().unwrap_or_default();
        out.push_str(&format!(
            "| left alone | {} | {} |\n",
            text(&thing.what),
            text(&why)
        ));
    }
    for trouble in &view.trouble {
        out.push_str(&format!("| trouble | {} | |\n", text(trouble)));
    }
    out
}
