//! The doctor for a terminal.

use super::Context;
use crate::doctor::{Report, State};
use crate::render::doctor::{groups, heading, sentence};
use crate::render::paint::{Lines, Paint};
use crate::render::text::{escape, pad, wrap};
use crate::render::{Style, words};

/// For a terminal: a line per check; what is not in order with its reason and its fix.
pub fn doctor(report: &Report, style: &Style) -> String {
    let context = Context::new(style);
    let mut lines = Lines::default();
    let widest = report
        .checks
        .iter()
        .map(|c| c.check.len())
        .max()
        .unwrap_or(0);
    for (environment, checks) in groups(report) {
        lines.blank();
        lines.push(context.paint.bold(&escape(&heading(report, environment))));
        for check in checks {
            let (paint, mark): (fn(Paint, &str) -> String, _) = match check.state {
                State::Ok => (Paint::green, "ok     "),
                State::Problem => (Paint::alarm, "PROBLEM"),
                State::Unknown => (Paint::yellow, "UNKNOWN"),
            };
            let name = pad(&check.check, widest);
            let indent = 2 + mark.len() + 1 + widest + 2;
            let mut shown = wrap(
                &escape(&check.found),
                context.width.saturating_sub(indent).max(20),
            )
            .into_iter();
            let first = shown.next().unwrap_or_default();
            lines.push(format!("  {} {name}  {first}", paint(context.paint, mark)));
            let rest: Vec<(&str, String)> = match check.state {
                State::Ok => Vec::new(),
                _ => vec![("why", check.why.clone()), ("fix", check.fix.clone())],
            };
            for line in shown {
                lines.push(format!("{}{line}", " ".repeat(indent)));
            }
            for (label, text) in rest.iter().filter(|(_, text)| !text.is_empty()) {
                let wide = context.width.saturating_sub(15).max(20);
                // Commands stand on lines of their own, and are not broken: they are to be pasted.
                let commands = match *label {
                    "fix" => check.commands.as_slice(),
                    _ => &[],
                };
                let shown = text
                    .lines()
                    .flat_map(|line| wrap(&escape(line), wide))
                    .chain(commands.iter().map(|command| escape(command)));
                for (i, line) in shown.enumerate() {
                    let label = if i == 0 { *label } else { "   " };
                    lines.push(format!("          {} {line}", context.paint.dim(label)));
                }
            }
        }
    }
    lines.blank();
    for note in &report.not_asked {
        context.wrapped(&mut lines, 0, &format!("Not asked: {note}"), Paint::dim);
    }
    lines.blank();
    context.wrapped(
        &mut lines,
        0,
        &format!("{}.", sentence(report)),
        Paint::bold,
    );
    context.wrapped(&mut lines, 0, &words::api(&report.api), Paint::dim);
    lines.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Check;

    /// What is broken by a newline or a space in the middle is no command any more.
    #[test]
    fn commands_stand_unbroken_on_lines_of_their_own() {
        let command = format!(
            "aws s3api put-bucket-versioning --bucket {}",
            "b".repeat(60)
        );
        let check = Check::ok("prod", "evidence-bucket", "", "no drill begins without it")
            .problem("there is no bucket", "make it, or correct opsctl.toml")
            .run([Some("aws s3 mb s3://b".to_owned()), Some(command.clone())]);
        let checks = vec![check];
        let report = Report {
            format_version: "1.0".to_owned(),
            kind: "doctor".to_owned(),
            opsctl_version: String::new(),
            generated_at: String::new(),
            scope: Vec::new(),
            unobserved: Vec::new(),
            api: crate::cloud::Meter::default().snapshot(),
            summary: Report::count(&checks),
            checks,
            not_asked: Vec::new(),
            sandbox: None,
        };
        let style = Style {
            width: 60,
            colour: false,
            verbose: false,
        };
        let shown = doctor(&report, &style);
        let lines: Vec<&str> = shown.lines().map(str::trim).collect();
        assert!(lines.contains(&"aws s3 mb s3://b"), "{shown}");
        assert!(lines.contains(&command.as_str()), "{shown}");
        let page = crate::render::markdown::doctor(&report);
        assert!(page.contains(&format!("`{command}`")), "{page}");
    }
}
