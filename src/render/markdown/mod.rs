//! Plans and their outcomes as a comment under a pull request.
//!
//! GitHub refuses comments of more than 65,536 characters, so a long one is told in fewer words
//! until it fits, rather than cut somewhere.

mod apply;
mod audit;
mod block;
mod cost;
mod doctor;
mod drill;
mod drill_report;
pub(super) mod escape;
mod explain;
mod plan;
mod summary;
mod tags;

pub use apply::apply;
pub use audit::audit;
pub use cost::{cost, cost_explained, cost_report};
pub use doctor::doctor;
pub use drill::{drill_list, drill_plans, drill_swept, drill_verified, drills};
pub use drill_report::drill_report;
pub use explain::{catalog, explain, help};
pub use plan::plan;
pub use summary::summary;
pub use tags::tags;

use std::collections::BTreeMap;

use self::escape::{code, text};
use super::text::{cut, loose, plural};
use super::words;
use crate::inventory::{Gap, NotChecked};
use crate::model::Control;
use crate::plan::{Accepted, Counts};
use crate::render::attention::gaps;

/// What was left alone or not looked at, and notes: for whoever asks.
fn remarks(
    out: &mut String,
    counts: &BTreeMap<String, BTreeMap<Control, Counts>>,
    not_checked: &[NotChecked],
    notes: &[String],
    most: usize,
) {
    let mut entries: Vec<String> = words::left_alone(counts)
        .into_iter()
        .map(|(label, what)| format!("{}: {}", text(&label), text(&loose(&what))))
        .collect();
    let unchecked = words::not_checked(not_checked);
    entries.extend(
        unchecked
            .iter()
            .map(|e| format!("not checked: {}", text(e))),
    );
    entries.extend(notes.iter().map(|note| text(&cut(note, 500))));
    if entries.is_empty() {
        return;
    }
    out.push_str("<details><summary>Left alone, not checked, notes</summary>\n\n");
    for entry in entries.iter().take(most) {
        out.push_str(&format!("- {entry}\n"));
    }
    if entries.len() > most {
        out.push_str(&format!("- … and {} more\n", entries.len() - most));
    }
    out.push_str("\n</details>\n\n");
}

/// Below GitHub's limit, with room for a heading that a workflow puts in front.
const LONGEST: usize = 65_000;

/// The first rendering that fits, the last one cut at the end of a line if none does.
fn fitting<T: Copy>(levels: &[T], command: &str, render: impl Fn(T) -> String) -> String {
    let mut shortest = String::new();
    for level in levels {
        shortest = render(*level);
        if shortest.chars().count() <= LONGEST {
            return shortest;
        }
    }
    let note = format!(
        "\n\n… cut here: GitHub takes no longer comment. `opsctl {command}` shows the rest.\n"
    );
    let kept: String = shortest
        .chars()
        .take(LONGEST - note.chars().count())
        .collect();
    let end = kept.rfind('\n').unwrap_or(kept.len());
    format!("{}{note}", &kept[..end])
}

/// What could not be seen, as a quote that nobody scrolls past.
fn unobserved(out: &mut String, unobserved: &[Gap], accepted: &[Accepted], most: usize) {
    if !unobserved.is_empty() {
        out.push_str(&format!("> ⚠ **{}**\n>\n", words::NOT_OBSERVED));
        let rows = gaps(unobserved, most);
        for row in rows.iter().take(most) {
            let resources = row.resources();
            out.push_str(&format!(
                "> - {} in {}, {resources} ({}): {}\n",
                code(row.operation),
                code(&format!("{}/{}", row.environment, row.region)),
                row.controls(),
                text(&cut(&row.error(), 300)),
            ));
        }
        if rows.len() > most {
            let more = plural((rows.len() - most) as u64, "more call", "more calls");
            out.push_str(&format!("> - … and {more}\n"));
        }
        out.push('\n');
    }
    if !accepted.is_empty() {
        out.push_str("> **Not observed, and accepted in `opsctl.toml`**\n>\n");
        for spot in accepted.iter().take(most) {
            out.push_str(&format!(
                "> - {}: {} until {}, {} here: {}\n",
                text(&spot.name),
                code(&spot.operation),
                text(&spot.until),
                spot.gaps,
                text(&cut(&spot.reason, 300))
            ));
        }
        if accepted.len() > most {
            let more = accepted.len() - most;
            out.push_str(&format!("> - … and {more} more\n"));
        }
        out.push('\n');
    }
}

/// Where it happens, when it is not AWS.
fn sandbox(out: &mut String, scenario: Option<&str>) {
    if let Some(note) = words::sandbox(scenario) {
        out.push_str(&format!("{}\n\n", text(&note)));
    }
}
