//! The doctor for chat and issues.

use super::escape::{code, text as cell};
use crate::doctor::Report;
use crate::render::doctor::{groups, heading, sentence};

/// A table per environment.
pub fn doctor(report: &Report) -> String {
    let mut out = format!("## opsctl doctor: {}\n", sentence(report));
    for (environment, checks) in groups(report) {
        out.push_str(&format!(
            "\n### {}\n\n| state | check | found | why | fix |\n|---|---|---|---|---|\n",
            cell(&heading(report, environment))
        ));
        for check in checks {
            out.push_str(&format!(
                "| {} | {} | {} | {} | {} |\n",
                check.state.as_str(),
                cell(&check.check),
                cell(&check.found),
                cell(&check.why),
                check
                    .fix
                    .lines()
                    .map(cell)
                    .chain(check.commands.iter().map(|command| code(command)))
                    .collect::<Vec<_>>()
                    .join("<br>")
            ));
        }
    }
    for note in &report.not_asked {
        out.push_str(&format!("\nNot asked: {}\n", cell(note)));
    }
    out
}
