//! The steps of a drill on a common time line, as inline SVG: wide and narrow, like [`super::chart`].

use minijinja::value::Value;

use super::chart::html;
use crate::drill::machine::span;
use crate::drill::record::{Record, seconds_between};
use crate::render::text::{cut, width};

/// Width of a character of text 12 high, as in [`super::chart`].
const CHARACTER: f64 = 7.0;
const ROW: f64 = 26.0;

struct Step {
    name: String,
    from: f64,
    to: f64,
    /// The run ended in it.
    ended: bool,
    took: String,
}

/// The timeline as a picture, with a line for the recovery time objective where it is near. Nothing
/// for a record without steps.
pub fn draw(record: &Record) -> Option<Value> {
    let began = record.timeline.first()?.started_at;
    let steps: Vec<Step> = record
        .timeline
        .iter()
        .map(|step| {
            let end = step.finished_at.unwrap_or(step.started_at);
            let took = seconds_between(step.started_at, end);
            Step {
                name: step.step.clone(),
                from: seconds_between(began, step.started_at),
                to: seconds_between(began, end),
                ended: step.finished_at.is_none(),
                took: match step.finished_at {
                    Some(_) => span(took),
                    None => "ended here".to_owned(),
                },
            }
        })
        .collect();
    let whole = steps.iter().map(|s| s.to).fold(0.0, f64::max).max(0.001);
    // The objective counts from the restore. One far away would squeeze the steps to nothing.
    let objective = record
        .timeline
        .iter()
        .find(|s| s.step == "restore")
        .zip(record.objective.rto_seconds)
        .map(|(step, rto)| seconds_between(began, step.started_at) + rto)
        .filter(|at| *at <= whole * 3.0);
    let end = objective.map_or(whole, |at| whole.max(at));
    let mut svg = String::new();
    for (class, wide) in [("wide", 760.0), ("narrow", 320.0)] {
        one(&mut svg, class, wide, &steps, end, objective, record);
    }
    Some(Value::from_safe_string(svg))
}

fn one(
    out: &mut String,
    class: &str,
    wide: f64,
    steps: &[Step],
    end: f64,
    objective: Option<f64>,
    record: &Record,
) {
    let narrow = class == "narrow";
    let names: Vec<String> = steps
        .iter()
        .map(|s| cut(&s.name, if narrow { 11 } else { 24 }))
        .collect();
    let longest = names.iter().map(|n| width(n)).max().unwrap_or(0);
    let left = longest as f64 * CHARACTER + 8.0;
    let times = steps.iter().map(|s| width(&s.took)).max().unwrap_or(0);
    let right = wide - (times as f64 * CHARACTER + 10.0);
    let top = if objective.is_some() { 20.0 } else { 6.0 };
    let bottom = top + steps.len() as f64 * ROW;
    let height = bottom + 22.0;
    let x = |seconds: f64| left + seconds / end * (right - left);
    let label = format!(
        "Timeline of the drill {}: {}",
        record.drill,
        steps
            .iter()
            .map(|s| format!("{} {}", s.name, s.took))
            .collect::<Vec<_>>()
            .join(", ")
    );
    out.push_str(&format!(
        "<svg class=\"plot {class}\" viewBox=\"0 0 {wide} {height}\" role=\"img\" aria-label=\"{}\">",
        html(&label)
    ));
    let marks = if narrow { 2 } else { 4 };
    for i in 0..=marks {
        let second = end * f64::from(i) / f64::from(marks);
        let anchor = match i {
            0 => "start",
            i if i == marks => "end",
            _ => "middle",
        };
        out.push_str(&format!(
            "<path class=\"{}\" d=\"M{at:.1} {top:.1}V{bottom:.1}\"/><text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
            if i == 0 { "axis" } else { "grid" },
            height - 6.0,
            match i {
                0 => "0".to_owned(),
                _ => html(&span(second)),
            },
            at = x(second),
        ));
    }
    for (i, (step, name)) in steps.iter().zip(&names).enumerate() {
        let y = top + i as f64 * ROW;
        let (from, to) = (x(step.from), x(step.to));
        let tone = match step.ended {
            true => " bad",
            false if step.name == "clean up" => " quiet",
            false => "",
        };
        out.push_str(&format!(
            "<text class=\"name\" x=\"{:.1}\" y=\"{text:.1}\" text-anchor=\"end\">{}</text><rect class=\"step{tone}\" x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"1.5\"/><text x=\"{:.1}\" y=\"{text:.1}\">{}</text>",
            left - 8.0,
            html(name),
            y + 6.0,
            (to - from).max(2.5),
            ROW - 12.0,
            to.max(from + 2.5) + 6.0,
            html(&step.took),
            text = y + ROW / 2.0 + 4.0,
        ));
    }
    if let Some(at) = objective {
        let place = x(at);
        let text = format!(
            "objective {}",
            span(record.objective.rto_seconds.unwrap_or(0.0))
        );
        let room = width(&text) as f64 * CHARACTER;
        // Beside the line, on the side that has room.
        let anchor = if place + room / 2.0 > wide {
            "end"
        } else {
            "middle"
        };
        out.push_str(&format!(
            "<path class=\"rule\" d=\"M{place:.1} {:.1}V{bottom:.1}\"/><text class=\"rule-label\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
            top - 2.0,
            if anchor == "end" { wide - 2.0 } else { place },
            top - 7.0,
            html(&text)
        ));
    }
    out.push_str("</svg>");
}
