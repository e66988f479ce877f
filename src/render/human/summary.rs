//! `report summary` for a terminal.

use super::Context;
use crate::render::Style;
use crate::render::paint::{Lines, Paint};
use crate::render::summary::{
    about, accepted, changed, explain, gaps, name, stand, standing, value,
};
use crate::render::text::{escape, pad, width};
use crate::report::summary::{Standing, SummaryReport};

/// The areas, the next steps, what has changed.
pub fn summary_report(report: &SummaryReport, style: &Style) -> String {
    let context = Context::new(style);
    let mut lines = Lines::default();
    let indent = if context.width < 60 { 4 } else { 20 };
    if let Some(sandbox) = crate::render::words::sandbox(report.sandbox.as_deref()) {
        context.wrapped(&mut lines, 0, &sandbox, Paint::yellow);
        lines.blank();
    }
    context.wrapped(&mut lines, 0, &escape(&stand(report)), Paint::bold);
    for gap in gaps(report) {
        context.wrapped(
            &mut lines,
            2,
            &format!("not seen: {}", escape(&gap)),
            Paint::alarm,
        );
    }
    for spot in accepted(report) {
        let text = format!("not seen, and accepted: {}", escape(&spot));
        context.wrapped(&mut lines, 2, &text, Paint::yellow);
    }
    for area in &report.areas {
        lines.blank();
        let paint = match area.standing {
            Standing::Good => Paint::green,
            Standing::Bad => Paint::red,
            Standing::NotLookedAt | Standing::NotApplicable => Paint::dim,
            Standing::Careful | Standing::Unknown => Paint::yellow,
        };
        let number = match area.value {
            Some(_) => format!("{} {}", escape(&value(area)), escape(&area.label)),
            None => String::new(),
        };
        let head = format!(
            "{}{}",
            context.paint.bold(&pad(name(area.id), 20)),
            paint(context.paint, &pad(standing(area.standing).0, 15)),
        );
        // Where the line is too short, the number has one of its own.
        if number.is_empty() || 35 + width(&number) <= context.width {
            lines.push(format!("{head}{number}").trim_end());
        } else {
            lines.push(head.trim_end());
            context.wrapped(&mut lines, indent, &number, |_, t| t.to_owned());
        }
        for text in &area.text {
            context.wrapped(&mut lines, indent, &escape(text), |_, t| t.to_owned());
        }
    }
    lines.blank();
    lines.push(context.paint.bold("Next"));
    if report.next.is_empty() {
        lines.push("  Nothing that was looked at asks for anything.");
    }
    for (i, step) in report.next.iter().enumerate() {
        lines.blank();
        context.wrapped(
            &mut lines,
            2,
            &format!("{}. {}", i + 1, escape(&step.title)),
            Paint::bold,
        );
        context.wrapped(&mut lines, 5, &escape(&about(step)), Paint::dim);
        context.wrapped(&mut lines, 5, &escape(&step.effect), |_, t| t.to_owned());
        if !step.how.is_empty() {
            context.wrapped(&mut lines, 5, &escape(&step.how), |_, t| t.to_owned());
        }
        for command in step.command.iter().chain(&explain(step)) {
            lines.push(format!("     → {}", escape(command)));
        }
    }
    lines.blank();
    context.wrapped(&mut lines, 0, &escape(&changed(report)), |_, t| {
        t.to_owned()
    });
    for moved in &report.changed.moved {
        let text = format!("{}: {} → {}", name(moved.area), moved.before, moved.now);
        context.wrapped(&mut lines, 2, &escape(&text), Paint::dim);
    }
    lines.finish()
}
