//! What planned alarms would have done in the past.

use std::collections::BTreeMap;

use super::Style;
use super::markdown::escape::{code, text};
use super::paint::{Lines, Paint};
use super::text::{escape, wrap};
use crate::backtest::{Backtest, BacktestOutcome};
use crate::plan::Plan;

/// Alarms of which the same is to be said are told together; so many of them are named.
const SHOWN: usize = 5;

/// Of the alarms that would not have fired, so many groups are told.
const QUIET: usize = 12;

/// The same outcome in the same words.
struct Group<'a> {
    outcome: BacktestOutcome,
    text: &'a str,
    of: Vec<&'a Backtest>,
}

/// Marked ones first, each kind by address. What can be said of many in the same words is one group.
fn groups(plan: &Plan) -> Vec<Group<'_>> {
    let mut all: Vec<&Backtest> = plan.backtest.iter().collect();
    all.sort_by_key(|b| {
        let rank = match b.outcome {
            BacktestOutcome::Constant => 0,
            BacktestOutcome::Fires => 1,
            // Those that came near first.
            BacktestOutcome::Never if b.text.contains("worst value") => 3,
            BacktestOutcome::Never => 2,
            BacktestOutcome::NoData => 4,
            BacktestOutcome::NotPossible => 5,
        };
        (rank, b.address.as_str())
    });
    let mut out: Vec<Group> = Vec::new();
    for backtest in all {
        let alone = backtest.fired > 0;
        let same = |g: &&mut Group| g.outcome == backtest.outcome && g.text == backtest.text;
        match out.iter_mut().find(same).filter(|_| !alone) {
            Some(group) => group.of.push(backtest),
            None => out.push(Group {
                outcome: backtest.outcome,
                text: &backtest.text,
                of: vec![backtest],
            }),
        }
    }
    out
}

fn mark(outcome: BacktestOutcome) -> char {
    match outcome {
        BacktestOutcome::Constant => '!',
        BacktestOutcome::NoData | BacktestOutcome::Never => '?',
        BacktestOutcome::NotPossible => '-',
        BacktestOutcome::Fires => ' ',
    }
}

/// Days as `2026-11-20`.
fn day(time: &str) -> &str {
    time.split('T').next().unwrap_or(time)
}

const LEGEND: &str = "! would tell nothing   ? would not have fired   - cannot be told";

/// `60 alarms: 2 fire too often to tell anything, 9 fire, …`
fn counts(plan: &Plan) -> String {
    let kinds = [
        (BacktestOutcome::Constant, "fire too often to tell anything"),
        (BacktestOutcome::Fires, "fire"),
        (BacktestOutcome::Never, "never"),
        (BacktestOutcome::NoData, "have no data"),
        (BacktestOutcome::NotPossible, "cannot be backtested"),
    ];
    let parts: Vec<String> = kinds
        .into_iter()
        .filter_map(|(kind, text)| {
            let n = plan.backtest.iter().filter(|b| b.outcome == kind).count();
            (n > 0).then(|| format!("{n} {text}"))
        })
        .collect();
    format!("{} alarms: {}", plan.backtest.len(), parts.join(", "))
}

fn more(n: usize) -> Option<String> {
    let rest = n.checked_sub(SHOWN).filter(|rest| *rest > 0)?;
    Some(format!("… and {rest} more; -v shows each one"))
}

/// For a terminal; empty without a backtest.
pub fn human(plan: &Plan, style: &Style) -> String {
    let Some(first) = plan.backtest.first() else {
        return String::new();
    };
    let paint = Paint { on: style.colour };
    let mut lines = Lines::default();
    let title = format!(
        "Backtest: what these alarms would have done from {} to {}",
        day(&first.from),
        day(&first.to)
    );
    lines.push(paint.bold(&title));
    let mut left: BTreeMap<BacktestOutcome, usize> = BTreeMap::new();
    let mut cut = 0;
    for group in groups(plan) {
        let told = left.entry(group.outcome).or_default();
        let all = matches!(
            group.outcome,
            BacktestOutcome::Constant | BacktestOutcome::Fires
        );
        if *told >= QUIET && !all && !style.verbose {
            cut += group.of.len();
            continue;
        }
        *told += 1;
        let sign = mark(group.outcome).to_string();
        let sign = match group.outcome {
            BacktestOutcome::Constant => paint.red(&sign),
            BacktestOutcome::Fires => sign,
            _ => paint.yellow(&sign),
        };
        let shown = if style.verbose { usize::MAX } else { SHOWN };
        for (i, backtest) in group.of.iter().take(shown).enumerate() {
            let sign = if i == 0 { sign.as_str() } else { " " };
            lines.push(format!("  {sign} {}", escape(backtest.address.as_str())));
        }
        if let Some(rest) = more(group.of.len()).filter(|_| !style.verbose) {
            lines.push(format!("    {}", paint.dim(&rest)));
        }
        for line in wrap(&escape(group.text), style.width.saturating_sub(6)) {
            lines.push(format!("      {line}"));
        }
    }
    if cut > 0 {
        let rest = format!("… and {cut} more that would not have fired; -v shows each one");
        lines.push(format!("    {}", paint.dim(&rest)));
    }
    for line in wrap(&counts(plan), style.width.saturating_sub(2)) {
        lines.push(format!("  {line}"));
    }
    if plan.backtest.iter().any(Backtest::is_marked) {
        lines.push(format!("  {}", paint.dim(LEGEND)));
    }
    format!("\n{}", lines.finish())
}

/// For pull requests; empty without a backtest.
pub fn markdown(plan: &Plan) -> String {
    let Some(first) = plan.backtest.first() else {
        return String::new();
    };
    let mut out = format!(
        "\n### Backtest, {} to {}\n\n{}.\n\n|  | alarm | would have fired |\n|---|---|---|\n",
        day(&first.from),
        day(&first.to),
        text(&counts(plan))
    );
    for group in groups(plan) {
        let sign = match group.outcome {
            BacktestOutcome::Constant => "**!**",
            BacktestOutcome::NoData | BacktestOutcome::Never => "?",
            BacktestOutcome::NotPossible => "–",
            BacktestOutcome::Fires => "",
        };
        let mut named: Vec<String> = group
            .of
            .iter()
            .take(SHOWN)
            .map(|b| code(b.address.as_str()))
            .collect();
        if let Some(rest) = group.of.len().checked_sub(SHOWN).filter(|n| *n > 0) {
            named.push(format!("… and {rest} more"));
        }
        out.push_str(&format!(
            "| {sign} | {} | {} |\n",
            named.join("<br>"),
            text(group.text)
        ));
    }
    out
}
