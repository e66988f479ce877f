//! Restore drills for a terminal.

use super::Context;
use crate::drill::chain::Verified;
use crate::drill::machine::span;
use crate::drill::record::{Outcome, Record};
use crate::render::paint::{Lines, Paint};
use crate::render::text::{cut, duration, escape, pad, width};
use crate::render::{DrillPlanView, DrillView, Style, SweptView};

fn result_paint(outcome: Outcome) -> fn(Paint, &str) -> String {
    match outcome {
        Outcome::Passed => Paint::green,
        Outcome::Failed => Paint::alarm,
        Outcome::MissedObjective => Paint::red,
        Outcome::Aborted => Paint::yellow,
    }
}

/// What became of a run of drills, each with its timeline.
pub fn drills(views: &[DrillView], style: &Style) -> String {
    let context = Context::new(style);
    let mut lines = Lines::default();
    for view in views {
        lines.blank();
        one(&context, &mut lines, view);
    }
    if views.len() > 1 {
        lines.blank();
        let count = |o: Outcome| views.iter().filter(|v| v.record.result == o).count();
        let text = [
            (Outcome::Passed, "passed"),
            (Outcome::Failed, "failed"),
            (Outcome::MissedObjective, "missed an objective"),
            (Outcome::Aborted, "could not run"),
        ]
        .into_iter()
        .filter(|(outcome, _)| count(*outcome) > 0)
        .map(|(outcome, word)| format!("{} {word}", count(outcome)))
        .collect::<Vec<_>>()
        .join(", ");
        context.wrapped(
            &mut lines,
            0,
            &format!("{} drills: {text}.", views.len()),
            Paint::bold,
        );
    }
    lines.finish()
}

fn one(context: &Context, lines: &mut Lines, view: &DrillView) {
    let record = &view.record;
    let paint = result_paint(record.result);
    let word = crate::render::words::drill_result(record.result);
    let name = format!(
        "{} ({}, {})",
        record.drill, record.environment, record.source.id
    );
    // What there is to say about a passed one is not why it passed.
    let why = record.reasons.first().filter(|_| !record.passed());
    let headline = match why {
        Some(reason) => format!("{word}  {name}: {reason}"),
        None => format!("{word}  {name}"),
    };
    context.wrapped(lines, 0, &escape(&headline), paint);
    for reason in record.reasons.iter().skip(usize::from(why.is_some())) {
        context.wrapped(lines, 2, &escape(reason), paint);
    }
    if let Some(help) = &view.help {
        context.wrapped(lines, 2, &format!("→ {}", escape(help)), |_, t| {
            t.to_owned()
        });
    }
    if let Some(scenario) = &record.sandbox {
        let note = format!(
            "rehearsal in the sandbox `{scenario}`: the source and its states are played, the PostgreSQL and the checks are real"
        );
        context.wrapped(lines, 2, &note, Paint::yellow);
    }
    lines.blank();
    facts(context, lines, record);
    if !record.timeline.is_empty() {
        lines.blank();
        lines.push(format!("  {}", context.paint.bold("Timeline")));
        timeline(context, lines, record);
    }
    if !record.checks.is_empty() {
        lines.blank();
        lines.push(format!("  {}", context.paint.bold("Checks")));
        checks(context, lines, record);
    }
    lines.blank();
    for (label, text) in [
        ("evidence", view.path.as_str()),
        ("sealed", record.sha256.as_str()),
        ("uploaded", view.uploaded.as_str()),
        ("journal", view.journal.as_str()),
    ] {
        if !text.is_empty() {
            let text = format!("{label:<9} {}", escape(text));
            context.wrapped(lines, 2, &text, Paint::dim);
        }
    }
    if let Some(error) = &view.upload_error {
        let text = format!(
            "the record is only on this machine, the upload failed: {}; the next run tries again",
            escape(error)
        );
        context.wrapped(lines, 2, &text, Paint::red);
    }
}

fn objective(seconds: Option<f64>) -> String {
    seconds.map_or(String::new(), |s| format!(" (objective {})", span(s)))
}

fn facts(context: &Context, lines: &mut Lines, record: &Record) {
    let mut rows: Vec<(&str, String)> = Vec::new();
    if let Some(point) = &record.recovery_point {
        rows.push((
            "recovery point",
            format!(
                "{} old{}: {} {} ({} {})",
                span(point.age_seconds),
                objective(record.objective.rpo_seconds),
                point.kind,
                point.arn,
                point.data_time_basis,
                point.data_time,
            ),
        ));
    }
    if let Some(took) = record.measured.time_to_verified_seconds {
        let available = record.measured.time_to_available_seconds.unwrap_or(took);
        rows.push((
            "recovered",
            format!(
                "available after {}, {} after {}{}",
                span(available),
                match record.recovery_seconds() {
                    Some(_) => "proven",
                    None => "checks ended",
                },
                span(took),
                match record.recovery_seconds() {
                    Some(_) => objective(record.objective.rto_seconds),
                    None if record.checks.iter().any(|c| !c.passed) => {
                        ": nothing was proven".to_owned()
                    }
                    None => String::new(),
                }
            ),
        ));
    }
    if let Some(copy) = &record.copy {
        rows.push(("copy", copy.id.clone()));
    }
    let left = match (record.cleanup.deleted, &record.cleanup.left_to) {
        (true, _) => "nothing is left".to_owned(),
        (false, Some(other)) => format!("left to {other}"),
        (false, None) => "NOT COMPLETE".to_owned(),
    };
    rows.push((
        "cleanup",
        format!("{left}: {}", record.cleanup.proof.join("; ")),
    ));
    rows.push((
        "triggered by",
        match &record.triggered_by.detail {
            Some(detail) => format!(
                "{} {} ({detail})",
                record.triggered_by.kind, record.triggered_by.name
            ),
            None => format!("{} {}", record.triggered_by.kind, record.triggered_by.name),
        },
    ));
    for (label, text) in rows {
        let room = context.width.saturating_sub(18);
        for (i, part) in crate::render::text::wrap(&escape(&text), room)
            .iter()
            .enumerate()
        {
            let label = if i == 0 { label } else { "" };
            lines.push(format!("  {}{part}", context.paint.dim(&pad(label, 16))));
        }
    }
}

fn timeline(context: &Context, lines: &mut Lines, record: &Record) {
    let Some(first) = record.timeline.first().map(|s| s.started_at) else {
        return;
    };
    let longest = record
        .timeline
        .iter()
        .map(|s| width(&s.step))
        .max()
        .unwrap_or(0);
    for step in &record.timeline {
        let began = crate::drill::record::seconds_between(first, step.started_at);
        let took = match step.finished_at {
            Some(end) => format!(
                "{:.1} s",
                crate::drill::record::seconds_between(step.started_at, end)
            ),
            None => "ended".to_owned(),
        };
        let head = format!(
            "    {:>8}  {}  {took:>8}",
            format!("+{began:.1} s"),
            pad(&step.step, longest)
        );
        let detail = step.detail.as_deref().unwrap_or_default();
        let room = context.width.saturating_sub(width(&head) + 2);
        let detail = if context.verbose {
            escape(detail)
        } else {
            cut(&escape(detail), room.max(10))
        };
        lines.push(format!("{head}  {}", context.paint.dim(&detail)));
    }
}

fn checks(context: &Context, lines: &mut Lines, record: &Record) {
    for check in &record.checks {
        let sign = match check.passed {
            true => context.paint.green("ok    "),
            false => context.paint.alarm("failed"),
        };
        let actual = match (&check.actual, &check.error) {
            (Some(actual), None) => format!("{actual}, expected {}", check.expect),
            (Some(_), Some(error)) | (None, Some(error)) => {
                format!("{error}; expected {}", check.expect)
            }
            (None, None) => format!("expected {}", check.expect),
        };
        let room = context.width.saturating_sub(12);
        for (i, part) in crate::render::text::wrap(&escape(&check.sql), room)
            .iter()
            .enumerate()
        {
            match i {
                0 => lines.push(format!("    {sign}  {part}")),
                _ => lines.push(format!("            {part}")),
            }
        }
        let text = format!("{} ({})", escape(&actual), duration(check.duration_ms));
        context.wrapped(lines, 12, &text, Paint::dim);
    }
}

/// What runs would do.
pub fn drill_plans(views: &[DrillPlanView], style: &Style) -> String {
    let context = Context::new(style);
    let mut lines = Lines::default();
    for view in views {
        lines.blank();
        let title = format!("{} ({}, {})", view.drill, view.environment, view.source);
        context.wrapped(&mut lines, 0, &escape(&title), Paint::bold);
        if let Some(stop) = &view.stop {
            context.wrapped(
                &mut lines,
                2,
                &format!("would stop: {}", escape(stop)),
                Paint::red,
            );
        }
        if let Some(help) = &view.help {
            context.wrapped(&mut lines, 2, &format!("→ {}", escape(help)), |_, t| {
                t.to_owned()
            });
        }
        for (label, text) in [
            ("recovery point", &view.recovery_point),
            ("objective", &view.objective),
            ("cost", &view.cost),
            ("time", &view.time),
            ("limits", &view.limits),
            ("policy", &view.policy),
        ] {
            if !text.is_empty() {
                let room = context.width.saturating_sub(18);
                for (i, part) in crate::render::text::wrap(&escape(text), room)
                    .iter()
                    .enumerate()
                {
                    let label = if i == 0 { label } else { "" };
                    lines.push(format!("  {}{part}", context.paint.dim(&pad(label, 16))));
                }
            }
        }
        for (i, step) in view.steps.iter().enumerate() {
            context.wrapped(
                &mut lines,
                4,
                &format!("{}. {}", i + 1, escape(step)),
                |_, t| t.to_owned(),
            );
        }
        for warning in &view.warnings {
            context.wrapped(
                &mut lines,
                2,
                &format!("warning: {}", escape(warning)),
                Paint::yellow,
            );
        }
    }
    lines.finish()
}

/// Records in rows, the newest last.
pub fn drill_list(records: &[Record], style: &Style) -> String {
    let context = Context::new(style);
    let mut lines = Lines::default();
    if records.is_empty() {
        lines.push("No drill has been recorded here.");
        return lines.finish();
    }
    let name = |r: &Record| match &r.sandbox {
        Some(scenario) => format!("{} [sandbox {scenario}]", r.drill),
        None => format!("{} ({})", r.drill, r.environment),
    };
    let longest = records
        .iter()
        .map(|r| width(&name(r)))
        .max()
        .unwrap_or(0)
        .min(50);
    for record in records {
        let word = crate::render::words::drill_result(record.result);
        let took = record
            .measured
            .time_to_verified_seconds
            .map_or("–".to_owned(), span);
        let head = format!(
            "{}  {}  {}  {:>10}  ",
            pad(&escape(&record.run_id), 23),
            pad(&cut(&escape(&name(record)), longest), longest),
            result_paint(record.result)(context.paint, &pad(word, 9)),
            took,
        );
        let plain = 23 + longest + 9 + 10 + 8;
        let reason = record
            .reasons
            .first()
            .map(String::as_str)
            .unwrap_or_default();
        let room = context.width.saturating_sub(plain).max(20);
        lines.push(format!(
            "{head}{}",
            context.paint.dim(&cut(&escape(reason), room))
        ));
    }
    lines.finish()
}

/// Whether the chains hold.
pub fn drill_verified(chains: &[Verified], style: &Style) -> String {
    let context = Context::new(style);
    let mut lines = Lines::default();
    for chain in chains {
        let records = crate::render::text::plural(chain.records, "record", "records");
        if chain.broken.is_empty() {
            let newest = chain
                .newest
                .as_deref()
                .map_or(String::new(), |n| format!(", newest {n}"));
            let text = format!("intact  {}: {records}{newest}", chain.chain);
            context.wrapped(&mut lines, 0, &escape(&text), Paint::green);
        } else {
            let text = format!("BROKEN  {}: {}", chain.chain, chain.broken[0]);
            context.wrapped(&mut lines, 0, &escape(&text), Paint::alarm);
            for place in &chain.broken[1..] {
                context.wrapped(&mut lines, 8, &escape(place), Paint::red);
            }
        }
        for record in &chain.waiting {
            context.wrapped(&mut lines, 8, &escape(record), Paint::yellow);
        }
    }
    lines.finish()
}

/// What a sweep removed, or would remove.
pub fn drill_swept(view: &SweptView, style: &Style) -> String {
    let context = Context::new(style);
    let mut lines = Lines::default();
    if view.things.is_empty()
        && view.young.is_empty()
        && view.records.is_empty()
        && view.trouble.is_empty()
    {
        lines.push("Nothing is left of earlier drills.");
    }
    for thing in &view.things {
        let (word, paint): (&str, fn(Paint, &str) -> String) = match (&thing.kept, view.dry_run) {
            (Some(_), _) => ("kept", Paint::yellow),
            (None, true) => ("would remove", Paint::bold),
            (None, false) => ("removed", Paint::green),
        };
        context.wrapped(
            &mut lines,
            0,
            &format!("{word}  {}", escape(&thing.what)),
            paint,
        );
        for guard in &thing.guards {
            context.wrapped(&mut lines, 4, &format!("✓ {}", escape(guard)), Paint::dim);
        }
        if let Some(why) = &thing.kept {
            context.wrapped(&mut lines, 4, &format!("✗ {}", escape(why)), Paint::yellow);
        }
    }
    for thing in &view.young {
        let why = thing.kept.as_deref().unwrap_or_default();
        let text = format!("left alone  {}: {why}", thing.what);
        context.wrapped(&mut lines, 0, &escape(&text), Paint::dim);
    }
    for record in &view.records {
        let text = format!(
            "recorded  {} ({}): {}",
            record.run_id,
            record.drill,
            record.reasons.join("; ")
        );
        context.wrapped(&mut lines, 0, &escape(&text), Paint::dim);
    }
    for trouble in &view.trouble {
        context.wrapped(&mut lines, 0, &escape(trouble), Paint::red);
    }
    lines.finish()
}
