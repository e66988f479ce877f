//! `report summary` as Markdown.

use super::escape::{code, text};
use crate::render::summary::{
    about, accepted, changed, direction, explain, gaps, name, stand, standing, value,
};
use crate::report::summary::SummaryReport;

/// The areas, the next steps, what has changed.
pub fn summary(report: &SummaryReport) -> String {
    let mut out = format!(
        "# Summary: {}\n\n{}\n\n",
        text(&report.project),
        stand(report)
    );
    if let Some(sandbox) = &report.sandbox {
        out.push_str(&format!(
            "> Sandbox {}: an embedded account, not AWS.\n\n",
            code(sandbox)
        ));
    }
    let gaps = gaps(report);
    if !gaps.is_empty() {
        out.push_str("> **Not everything could be seen:**\n");
        for gap in &gaps {
            out.push_str(&format!("> - {}\n", text(gap)));
        }
        out.push('\n');
    }
    let accepted = accepted(report);
    if !accepted.is_empty() {
        out.push_str("> **Not observed, and accepted in `opsctl.toml`:**\n");
        for spot in &accepted {
            out.push_str(&format!("> - {}\n", text(spot)));
        }
        out.push('\n');
    }
    out.push_str("| | | | |\n|---|---|---|---|\n");
    for area in &report.areas {
        let number = match area.value {
            Some(_) => format!("**{}** {}", text(&value(area)), text(&area.label)),
            None => String::new(),
        };
        out.push_str(&format!(
            "| {} | {} | {number} | {} |\n",
            name(area.id),
            standing(area.standing).0,
            text(&area.text.join(" "))
        ));
    }
    out.push_str("\n## What to do next\n\n");
    if report.next.is_empty() {
        out.push_str("Nothing that was looked at asks for anything.\n");
    }
    for (i, step) in report.next.iter().enumerate() {
        out.push_str(&format!(
            "{}. **{}** ({})\n   {}\n",
            i + 1,
            text(&step.title),
            text(&about(step)),
            text(&step.effect)
        ));
        if !step.how.is_empty() {
            out.push_str(&format!("   How: {}\n", text(&step.how)));
        }
        for command in step.command.iter().chain(&explain(step)) {
            out.push_str(&format!("   - {}\n", code(command)));
        }
    }
    out.push_str(&format!(
        "\n## What has changed\n\n{}\n",
        text(&changed(report))
    ));
    if !report.changed.moved.is_empty() {
        out.push_str("\n| | then | now | |\n|---|---|---|---|\n");
        for moved in &report.changed.moved {
            out.push_str(&format!(
                "| {} | {} | {} | {} |\n",
                name(moved.area),
                text(&moved.before),
                text(&moved.now),
                direction(moved).0
            ));
        }
    }
    out
}
