//! Mistakes in files, shown with the line and the text underlined; and plain failures.

use std::fmt::Write;

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource, Severity,
};

use crate::config::{Diagnostic, Level, Sources};

fn handler(colour: bool) -> GraphicalReportHandler {
    let theme = if colour {
        GraphicalTheme::unicode()
    } else {
        GraphicalTheme::unicode_nocolor()
    };
    GraphicalReportHandler::new_themed(theme)
        .with_links(false)
        .with_context_lines(1)
        .with_width(100)
}

/// All diagnostics, errors first, with a line that counts them.
pub fn render(sources: &Sources, diagnostics: &[Diagnostic], colour: bool) -> String {
    let handler = handler(colour);
    let mut out = String::new();
    for d in diagnostics {
        let severity = match d.level {
            Level::Error => Severity::Error,
            Level::Warning => Severity::Warning,
        };
        let mut shown =
            MietteDiagnostic::new(super::text::escape(&d.message)).with_severity(severity);
        if let Some(help) = &d.help {
            shown = shown.with_help(help.clone());
        }
        let report = match d.origin {
            Some(origin) => {
                let source = sources.get(origin.source);
                let start = (origin.start as usize).min(source.text.len());
                let mut end = (origin.end as usize).clamp(start, source.text.len());
                // A table that spans many lines is underlined where it begins.
                if let Some(newline) = source.text[start..end].find('\n') {
                    end = start + newline;
                }
                let label = LabeledSpan::new(None, start, end - start);
                // A line of a megabyte helps nobody.
                let text = if source.text.lines().any(|l| l.len() > 2000) {
                    None
                } else {
                    Some(NamedSource::new(&source.name, source.text.clone()))
                };
                match text {
                    Some(text) => {
                        miette::Report::new(shown.and_label(label)).with_source_code(text)
                    }
                    None => {
                        let message = format!("{}: {}", sources.place(origin), d.message);
                        let mut plain = MietteDiagnostic::new(message).with_severity(severity);
                        plain.help = d.help.clone();
                        miette::Report::new(plain)
                    }
                }
            }
            None => miette::Report::new(shown),
        };
        let _ = handler.render_report(&mut out, report.as_ref());
        out.push('\n');
    }
    let errors = diagnostics.iter().filter(|d| d.is_error()).count();
    let warnings = diagnostics.len() - errors;
    let plural = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    if errors > 0 {
        let _ = writeln!(
            out,
            "{}, {}",
            plural(errors, "error"),
            plural(warnings, "warning")
        );
    }
    out
}

/// One failure that has no place in a file.
pub fn failure(message: &str, help: Option<&str>, colour: bool) -> String {
    let (red, dim, reset) = if colour {
        ("\u{1b}[1;31m", "\u{1b}[36m", "\u{1b}[0m")
    } else {
        ("", "", "")
    };
    let mut out = format!("{red}error:{reset} {message}\n");
    if let Some(help) = help {
        let _ = writeln!(out, "  {dim}help:{reset} {help}");
    }
    out
}
