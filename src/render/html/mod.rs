//! Reports as HTML: one self-contained file for each, all from the same shell.
//!
//! # How to make a page
//!
//! 1. Write `templates/NAME.html`: `{% extends "page.html" %}`, `{% import "parts.html" as parts %}`,
//!    and the blocks `main` and (optional) `foot`. Each part of the page is a `<section>` with an `id`
//!    and an `<h2>`; nothing else makes headings of that level.
//! 2. List it in [`TEMPLATES`].
//! 3. Fill a [`Head`] and any `Serialize` value for the rest, and call [`page`]. In the template the
//!    value's fields are there by their names, the head is `head`.
//!
//! What the parts are for, and what they take:
//!
//! | macro of `parts.html` | takes | shows |
//! |---|---|---|
//! | `figure` | [`Figure`] | one of the big numbers on top, inside `<dl class="figures">` |
//! | `warning` | id, title, text, list of lines, `""` or `"careful"` | what could not be seen, above everything that hangs on it |
//! | `plain` | [`table::Table`] | a short table |
//! | `explorer` | id, [`table::Explorer`] | a table that is sorted, filtered and paged, of any size |
//! | `chart` | [`chart::Figure`], from [`chart::Plot::figure`] | columns, lines, a band, a limit; with its numbers as a table |
//!
//! Several short tables side by side stand in `<div class="panels">`, each in `<div class="panel">`.
//! Classes for text: `lede` (under a heading), `note` (below a table), `good`, `careful`, `bad`, `muted`.
//!
//! # What holds for every page
//!
//! - **Nothing leaves it.** The content security policy allows the page's own style and script by
//!   their digests, images as `data:`, and no connection at all. So there are no `style` attributes:
//!   what depends on numbers is drawn as SVG.
//! - **Foreign text stays text.** Every string that a template prints is passed through
//!   [`super::text::escape`] (control, invisible and direction-changing characters) and then escaped
//!   for HTML; the rows of an explorer are JSON in a data block, and the script only ever uses
//!   `textContent`. Only what [`minijinja::Value::from_safe_string`] made is taken as markup: the
//!   charts and [`table::Explorer`]'s data, both built in here.
//! - **No number is made in a template or in the script.** They get texts; a number that a table is
//!   sorted by comes along with its text.

pub mod chart;
pub mod cost;
pub mod drills;
pub mod summary;
pub mod table;
pub mod tags;
pub mod timeline;

use base64::Engine;
use jiff::Timestamp;
use minijinja::value::Value;
use minijinja::{Environment, UndefinedBehavior, context};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::text::escape;
use crate::plan::Accepted;

/// The accepted blind spots that hide something in this run, each in a line.
fn accepted(spots: &[Accepted]) -> Vec<String> {
    let hiding = spots.iter().filter(|a| a.gaps > 0);
    hiding
        .map(|a| format!("{}: {} (accepted until {})", a.operation, a.reason, a.until))
        .collect()
}

const STYLE: &str = concat!(
    include_str!("templates/style.css"),
    include_str!("templates/sheets.css")
);
const SCRIPT: &str = include_str!("templates/script.js");

/// All templates, by the name by which they extend and import each other.
const TEMPLATES: &[(&str, &str)] = &[
    ("page.html", include_str!("templates/page.html")),
    ("parts.html", include_str!("templates/parts.html")),
    ("summary.html", include_str!("templates/summary.html")),
    ("tags.html", include_str!("templates/tags.html")),
    ("cost.html", include_str!("templates/cost.html")),
    ("drills.html", include_str!("templates/drills.html")),
    #[cfg(test)]
    ("sample.html", include_str!("templates/sample.html")),
];

/// The mark of the shell, as the browser's tab shows it.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 20 20' fill='none' stroke='%230d5464' stroke-width='2.5'%3E%3Cpath d='M10 1.5a8.5 8.5 0 1 0 8.5 8.5M6 9.5 9.5 13 18 3'/%3E%3C/svg%3E";

/// The top of a page.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Head {
    /// The heading: `Tag compliance`.
    pub title: String,
    /// The project's name.
    pub project: String,
    /// One sentence under the heading: what the page says, before any number.
    pub stand: String,
    /// RFC 3339, UTC.
    pub generated_at: String,
    /// Environments, accounts, regions, and whatever else tells what this is about.
    pub facts: Vec<Fact>,
    /// The sections that the line under the facts leads to.
    pub jumps: Vec<Jump>,
    /// What makes this page again, for the foot.
    pub command: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct Fact {
    pub label: String,
    pub text: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct Jump {
    /// Of the section.
    pub id: &'static str,
    pub title: &'static str,
}

/// One of the big numbers on top.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Figure {
    pub label: String,
    pub value: String,
    /// Behind the number, smaller: `%`, `USD`.
    pub unit: &'static str,
    pub text: String,
    /// `good`, `careful`, `bad` or empty.
    pub tone: &'static str,
    /// Smaller than the others.
    pub lesser: bool,
}

impl Head {
    /// The facts that every page about environments begins with.
    pub fn scope(scope: &[crate::plan::ScopeEntry], sandbox: Option<&str>) -> Vec<Fact> {
        use std::collections::{BTreeMap, BTreeSet};
        let mut places: BTreeMap<(&str, &str, &str), BTreeSet<&str>> = BTreeMap::new();
        for entry in scope {
            places
                .entry((&entry.environment, &entry.account, &entry.stage))
                .or_default()
                .insert(&entry.region);
        }
        let mut facts: Vec<Fact> = places
            .into_iter()
            .map(|((environment, account, stage), regions)| Fact {
                label: format!("{environment}, {stage}"),
                text: format!(
                    "{account} · {}",
                    regions.into_iter().collect::<Vec<_>>().join(", ")
                ),
            })
            .collect();
        if let Some(name) = sandbox {
            facts.push(Fact {
                label: "Sandbox".to_owned(),
                text: format!("{name}: an embedded account, not AWS"),
            });
        }
        facts
    }
}

/// Makes a page. `name` is one of [`TEMPLATES`], `body` what it needs besides the head.
///
/// # Errors
/// A template asks for what is not there: a mistake in this program, which its tests find.
pub fn page(name: &str, head: &Head, body: impl Serialize) -> Result<String, String> {
    let failed = |e: minijinja::Error| format!("the page {name} could not be made: {e:#}");
    let mut environment = Environment::new();
    // A misspelled field is a mistake and not an empty place; only `if` may ask for what is not there.
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_trim_blocks(true);
    environment.set_formatter(|out, state, value| match value.as_str() {
        Some(text) if !value.is_safe() => {
            minijinja::escape_formatter(out, state, &Value::from(escape(text)))
        }
        _ => minijinja::escape_formatter(out, state, value),
    });
    environment.add_filter("prose", prose);
    for (name, source) in TEMPLATES {
        environment.add_template(name, source).map_err(failed)?;
    }
    let at: Timestamp = head.generated_at.parse().unwrap_or_default();
    let head = context! {
        date => at.strftime("%Y-%m-%d").to_string(),
        when => at.strftime("%-d %B %Y, %H:%M UTC").to_string(),
        version => env!("CARGO_PKG_VERSION"),
        ..Value::from_serialize(head)
    };
    let frame = context! {
        head => head,
        csp => policy(),
        icon => Value::from_safe_string(ICON.to_owned()),
        style => Value::from_safe_string(STYLE.to_owned()),
        script => Value::from_safe_string(SCRIPT.to_owned()),
        ..Value::from_serialize(body)
    };
    environment
        .get_template(name)
        .and_then(|template| template.render(frame))
        .map_err(failed)
}

/// A sentence of ours in which commands stand in backticks, as the terminal shows them. What is
/// between them is foreign text like any other.
fn prose(text: &str) -> Value {
    let parts: Vec<String> = text.split('`').map(chart::html).collect();
    if parts.len().is_multiple_of(2) {
        return Value::from_safe_string(chart::html(text));
    }
    let mut out = String::new();
    for (i, part) in parts.iter().enumerate() {
        match i % 2 {
            0 => out.push_str(part),
            _ => out.push_str(&format!("<code>{part}</code>")),
        }
    }
    Value::from_safe_string(out)
}

/// The content security policy: the page's own style and script, and nothing from anywhere.
fn policy() -> String {
    let digest = |text: &str| {
        let hash = Sha256::digest(text.as_bytes());
        base64::engine::general_purpose::STANDARD.encode(hash)
    };
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; img-src data:; base-uri 'none'; form-action 'none'",
        digest(SCRIPT),
        digest(STYLE)
    )
}

#[cfg(test)]
mod tests;
