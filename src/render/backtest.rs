//! What planned alarms would have done in the past.

use super::Style;
use super::markdown::escape::{code, text};
use super::paint::{Lines, Paint};
use super::text::{escape, list, number, wrap};
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

/// One line for each, but for those without data: they say all the same.
fn split(all: Vec<&Backtest>) -> (Vec<&Backtest>, Vec<&Backtest>) {
    // One that would be in alarm at once is worth a line of its own.
    let silent = |b: &&Backtest| b.outcome == BacktestOutcome::NoData && !b.text.contains(':');
    let (silent, told): (Vec<_>, Vec<_>) = all.into_iter().partition(silent);
    match silent.len() > SILENT {
        true => (told, silent),
        false => (silent.into_iter().chain(told).collect(), Vec::new()),
    }
}

/// `43 alarms would have had no data at all: findash-prod-alb-5xx, …`.
fn silence(silent: &[&Backtest], names: usize) -> String {
    let name = |b: &&Backtest| {
        let address = b.address.within_environment();
        let name = address.rsplit('/').next().unwrap_or(address);
        escape(name.strip_suffix("#alarms").unwrap_or(name))
    };
    let all: Vec<String> = silent.iter().map(name).collect();
    format!(
        "no data at all in this time for {} alarms: {}",
        number(all.len() as u64),
        list(&all, names)
    )
}

/// Days as `2026-11-20`.
fn day(time: &str) -> &str {
    time.split('T').next().unwrap_or(time)
}

/// More alarms without data than this are told together.
const SILENT: usize = 3;

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
    let marked = all.iter().any(|b| b.is_marked());
    let (told, silent) = split(all);
    for backtest in &told {
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
    if !silent.is_empty() {
        let names = if style.verbose { usize::MAX } else { 4 };
        let sign = paint.yellow("?");
        let rows = wrap(&silence(&silent, names), style.width.saturating_sub(6));
        for (i, row) in rows.iter().enumerate() {
            let lead = if i == 0 {
                format!("  {sign} ")
            } else {
                " ".repeat(6)
            };
            lines.push(format!("{lead}{row}"));
        }
    }
    if marked {
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
    let (told, silent) = split(all);
    for backtest in told {
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
    if !silent.is_empty() {
        out.push_str(&format!("\n? {}\n", text(&silence(&silent, 10))));
    }
    out
}
