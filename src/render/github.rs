//! Annotations of a GitHub workflow.
//!
//! GitHub shows ten of a level for one step, so findings of one kind that the same line of a policy
//! asks for are one annotation; the page behind them is the summary of the step.
//! Source: GitHub, "Workflow commands for GitHub Actions".

use std::collections::BTreeMap;

use super::attention;
use super::machine::{Places, Why, unseen};
use super::text::{cut, escape, number, plural};
use crate::audit::{Audit, Outcome, Reported};
use crate::catalog;
use crate::model::Severity;

/// Annotations of one level; GitHub does not show more.
const MOST: usize = 10;

/// Addresses named in one annotation.
const ADDRESSES: usize = 5;

/// Findings that the baseline does not hold, as workflow commands; one line each.
pub fn audit(audit: &Audit, places: &Places) -> String {
    let mut out = String::new();
    gaps(&mut out, audit);
    let tolerated = tolerated(&mut out, audit);
    let mut groups: BTreeMap<_, Vec<&Reported>> = BTreeMap::new();
    for finding in audit.findings.iter().filter(|f| !f.in_baseline) {
        let key = (
            std::cmp::Reverse(finding.severity),
            &finding.id,
            places.of(&finding.policy),
        );
        groups.entry(key).or_default().push(finding);
    }
    let mut levels: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for ((severity, id, (file, line)), members) in groups {
        let title = catalog::find(id).map_or(id.as_str(), |e| e.title);
        let title = format!("{title} ({id}, {})", severity.0.as_str());
        let command = command(
            level(severity.0),
            Some((&file, line)),
            &title,
            &message(&members),
        );
        levels.entry(level(severity.0)).or_default().push(command);
    }
    for level in ["error", "warning", "notice"] {
        let commands = levels.remove(level).unwrap_or_default();
        // Notices of another kind have taken some of the places.
        let most = match level {
            "notice" => MOST - tolerated,
            _ => MOST,
        };
        let more = commands.len().saturating_sub(most);
        // The last place tells of those that have none.
        let shown = if more > 0 { most - 1 } else { most };
        for line in commands.iter().take(shown) {
            out.push_str(line);
        }
        if more > 0 {
            let rest = plural((commands.len() - shown) as u64, "more kind", "more kinds");
            out.push_str(&command(
                level,
                None,
                "opsctl audit",
                &format!("{rest} of finding; the step summary lists them"),
            ));
        }
    }
    out
}

fn gaps(out: &mut String, audit: &Audit) {
    let level = if audit.summary.outcome == Outcome::Incomplete {
        "error"
    } else {
        "warning"
    };
    let rows = attention::gaps(&audit.unobserved, MOST);
    for row in rows.iter().take(MOST) {
        let text = format!(
            "{} in {}/{}, {} ({}): {}",
            row.operation,
            row.environment,
            row.region,
            row.resources(),
            row.controls(),
            row.error()
        );
        out.push_str(&command(level, None, "Not observed", &text));
    }
}

/// What is not seen and does not fail: how many notices it took.
fn tolerated(out: &mut String, audit: &Audit) -> usize {
    let all = unseen(audit);
    let notices: Vec<_> = all.iter().filter(|u| u.why != Why::Gap).collect();
    let room = MOST / 2;
    for notice in notices.iter().take(room) {
        out.push_str(&command(
            "notice",
            None,
            notice.why.title(),
            &notice.message,
        ));
    }
    notices.len().min(room)
}

fn message(members: &[&Reported]) -> String {
    let mut text = match members {
        [one] => escape(&one.message),
        [first, rest @ ..] => {
            let same = rest.iter().all(|f| f.message == first.message);
            let what = plural(members.len() as u64, "resource", "resources");
            if same {
                format!("{what}: {}", escape(&first.message))
            } else {
                format!("{what}, e.g. {}", escape(&first.message))
            }
        }
        [] => String::new(),
    };
    for finding in members.iter().take(ADDRESSES) {
        text.push_str(&format!("\n{}", escape(finding.address.as_str())));
    }
    if members.len() > ADDRESSES {
        let more = number((members.len() - ADDRESSES) as u64);
        text.push_str(&format!("\n… and {more} more"));
    }
    text
}

/// One workflow command. Its message may hold line breaks of ours; all others are escaped before.
fn command(level: &str, place: Option<(&str, u32)>, title: &str, message: &str) -> String {
    let message: Vec<String> = message.lines().map(|l| cut(&escape(l), 1000)).collect();
    let place = place.map_or_else(String::new, |(file, line)| {
        format!("file={},line={line},", property(file))
    });
    format!(
        "::{level} {place}title={}::{}\n",
        property(&escape(title)),
        data(&message.join("\n"))
    )
}

/// The escapes of a command's message.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// The escapes of a command's properties.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low => "notice",
    }
}

/// Text for people in which no line is a workflow command: the runner reads whatever a step prints,
/// and a resource may be named `::stop-commands::x`.
pub fn defuse(text: &str) -> String {
    if !text.contains("::") && !text.contains("##[") {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let start = line.len() - line.trim_start().len();
        let (indent, rest) = line.split_at(start);
        out.push_str(indent);
        match rest.strip_prefix("::") {
            Some(rest) => {
                out.push_str(r"\u{3a}:");
                out.push_str(&rest.replace("##[", r"#\u{23}["));
            }
            None => out.push_str(&rest.replace("##[", r"#\u{23}[")),
        }
    }
    out
}
