//! What planned alarms would have done in the past.

use super::Style;
use super::markdown::escape::{code, text};
use super::paint::{Lines, Paint};
use super::text::{escape, wrap};
use crate::backtest::{Backtest, BacktestOutcome};
use crate::plan::Plan;

/// Marked ones first, each kind by address.
fn sorted(plan: &Plan) -> Vec<&Backtest> {
    let mut all: Vec<&Backtest> = plan.backtest.iter().collect();
    all.sort_by_key(|b| {
        let rank = match b.outcome {
            BacktestOutcome::Constant => 0,
            BacktestOutcome::NoData => 1,
            BacktestOutcome::Never => 2,
            BacktestOutcome::NotPossible => 3,
            BacktestOutcome::Fires => 4,
        };
        (rank, b.address.as_str())
    });
    all
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

/// For a terminal; empty without a backtest.
pub fn human(plan: &Plan, style: &Style) -> String {
    let all = sorted(plan);
    let Some(first) = all.first() else {
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
    for backtest in &all {
        let sign = mark(backtest.outcome).to_string();
        let sign = match backtest.outcome {
            BacktestOutcome::Constant => paint.red(&sign),
            BacktestOutcome::Fires => sign,
            _ => paint.yellow(&sign),
        };
        lines.push(format!("  {sign} {}", escape(backtest.address.as_str())));
        for line in wrap(&escape(&backtest.text), style.width.saturating_sub(6)) {
            lines.push(format!("      {line}"));
        }
    }
    if all.iter().any(|b| b.is_marked()) {
        lines.push(format!("  {}", paint.dim(LEGEND)));
    }
    format!("\n{}", lines.finish())
}

/// For pull requests; empty without a backtest.
pub fn markdown(plan: &Plan) -> String {
    let all = sorted(plan);
    let Some(first) = all.first() else {
        return String::new();
    };
    let mut out = format!(
        "\n### Backtest, {} to {}\n\n|  | alarm | would have fired |\n|---|---|---|\n",
        day(&first.from),
        day(&first.to)
    );
    for backtest in all {
        let sign = match backtest.outcome {
            BacktestOutcome::Constant => "**!**",
            BacktestOutcome::NoData | BacktestOutcome::Never => "?",
            BacktestOutcome::NotPossible => "–",
            BacktestOutcome::Fires => "",
        };
        out.push_str(&format!(
            "| {sign} | {} | {} |\n",
            code(backtest.address.as_str()),
            text(&backtest.text)
        ));
    }
    out
}
