//! What a finding means, in Markdown.

use super::escape::{code, text};
use crate::catalog::{ALL, Entry};

/// One entry of the catalog.
pub fn explain(entry: &Entry) -> String {
    format!("## {}\n\n{}\n", code(entry.id), help(entry))
}

/// The same without a heading, for where one is already.
pub fn help(entry: &Entry) -> String {
    format!(
        "**{}**\n\n{}\n\n**Why it matters.** {}\n\n**How to fix it.** {}\n",
        text(entry.title),
        text(entry.means),
        text(entry.matters),
        text(entry.fix)
    )
}

/// All entries, by control.
pub fn catalog() -> String {
    let mut out = String::from("# Findings\n");
    for (control, entries) in ALL.iter().filter(|(_, e)| !e.is_empty()) {
        out.push_str(&format!(
            "\n## {control}\n\n| finding | what |\n|---|---|\n"
        ));
        for entry in *entries {
            out.push_str(&format!("| {} | {} |\n", code(entry.id), text(entry.title)));
        }
    }
    out
}
