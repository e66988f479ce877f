//! Costs for a terminal: three lines that matter, each day, services, tags, and the rest.

use rust_decimal::Decimal;

use super::Context;
use super::unobserved::unobserved;
use crate::cloud::ApiUse;
use crate::cost::explain::{ExplainedQuestion, Explanation, QuestionState};
use crate::cost::{CostEntry, ServiceCost};
use crate::model::usd;
use crate::render::Style;
use crate::render::cost::{
    Tone, age, amount, bar, change_percent, closing, daily, dearest, facts, lead, month, months,
    notes, plain, signed, spark, tags, whole,
};
use crate::render::paint::{Lines, Paint};
use crate::render::text::{cut, escape, pad, plural, width, wrap};
use crate::report::cost::CostReport;

/// Services shown without `-v`.
const SERVICES: usize = 10;

/// Columns that the name of a service has at least.
const LEAST_NAME: usize = 14;

/// Columns of a label in front of its text.
const LABEL: usize = 16;

/// From this width on there is room for bars.
const WIDE: usize = 110;

fn paint(paint: Paint, tone: Tone, text: &str) -> String {
    match tone {
        Tone::Plain => paint.bold(text),
        Tone::Good => paint.green(text),
        Tone::Careful => paint.yellow(text),
        Tone::Bad => paint.alarm(text),
    }
}

/// The entries of `audit cost`, without its findings.
pub fn cost(entries: &[CostEntry], generated_at: &str, api: &ApiUse, style: &Style) -> String {
    let context = Context::new(style);
    let mut lines = Lines::default();
    for entry in entries.iter().filter(|e| e.environment.is_some()) {
        environment(&context, &mut lines, entry);
    }
    if let Some(entry) = whole(entries) {
        together(&context, &mut lines, entry, entries);
    }
    lines.blank();
    not_asked(&context, &mut lines, entries);
    context.wrapped(
        &mut lines,
        0,
        &closing(entries, generated_at, api),
        |p, t| p.dim(t),
    );
    lines.finish()
}

/// The same with what could not be seen, last.
pub fn cost_report(report: &CostReport, style: &Style) -> String {
    let mut out = cost(&report.cost, &report.generated_at, &report.api, style);
    let mut lines = Lines::default();
    unobserved(
        &Context::new(style),
        &mut lines,
        &report.unobserved,
        &report.accepted_unobserved,
    );
    out.push_str(&lines.finish());
    out
}

fn heading(context: &Context, lines: &mut Lines, entry: &CostEntry, name: &str) {
    lines.blank();
    let account = entry.account.as_deref().map(escape).unwrap_or_default();
    let stage = entry.stage.as_deref().map(escape).unwrap_or_default();
    let right = [account.as_str(), stage.as_str(), &month(entry)]
        .iter()
        .filter(|t| !t.is_empty())
        .copied()
        .collect::<Vec<_>>()
        .join(" · ");
    lines.push(format!(
        "{}  {}",
        context.paint.bold(&escape(name)),
        context.paint.dim(&right)
    ));
    lines.blank();
}

fn three(context: &Context, lines: &mut Lines, entry: &CostEntry) {
    let three = lead(entry);
    let column = three.iter().map(|l| width(&l.amount)).max().unwrap_or(0);
    for line in three {
        let indent = 2 + LABEL + column + 2;
        let mut rows = wrap(&line.text, context.width.saturating_sub(indent)).into_iter();
        let fill = " ".repeat(column - width(&line.amount));
        lines.push(format!(
            "  {}{fill}{}  {}",
            pad(line.label, LABEL),
            paint(context.paint, line.tone, &line.amount),
            rows.next().unwrap_or_default()
        ));
        for row in rows {
            lines.push(format!("{}{row}", " ".repeat(indent)));
        }
    }
}

fn environment(context: &Context, lines: &mut Lines, entry: &CostEntry) {
    let name = entry.environment.as_deref().unwrap_or_default();
    heading(context, lines, entry, name);
    three(context, lines, entry);
    days(context, lines, entry);
    services(context, lines, entry);
    rest(context, lines, entry);
}

fn days(context: &Context, lines: &mut Lines, entry: &CostEntry) {
    let (last, this) = daily(entry);
    if last.iter().chain(&this).all(Decimal::is_zero) {
        return;
    }
    let all: Vec<Decimal> = last.iter().chain(&this).copied().collect();
    let blocks: Vec<char> = spark(&all).chars().collect();
    let (before, now) = blocks.split_at(last.len());
    let (this_month, last_month) = months(entry);
    let text = |blocks: &[char]| blocks.iter().collect::<String>();
    lines.blank();
    // Both months where there is room, else this one.
    if context.width > 2 + LABEL + blocks.len() {
        lines.push(format!(
            "  {}{} {}",
            pad("Each day", LABEL),
            context.paint.dim(&text(before)),
            text(now)
        ));
        let under = format!("{} {this_month}", pad(&last_month, before.len()));
        lines.push(format!(
            "  {}{}",
            " ".repeat(LABEL),
            context.paint.dim(&under)
        ));
    } else {
        lines.push(format!("  {}{}", pad("Each day", LABEL), text(now)));
    }
    if let Some(day) = dearest(entry) {
        let note = format!("dearest: {day}; the last day shown is not over yet");
        for row in wrap(&note, context.width.saturating_sub(2 + LABEL)) {
            lines.push(format!(
                "  {}{}",
                " ".repeat(LABEL),
                context.paint.dim(&row)
            ));
        }
    }
}

fn services(context: &Context, lines: &mut Lines, entry: &CostEntry) {
    if entry.by_service.is_empty() {
        return;
    }
    let (this, last) = months(entry);
    let n = entry.compared_days;
    let compared = n > 0;
    let upto = |name: &str| match n {
        1 => format!("{name} 1"),
        n => format!("{name} 1-{n}"),
    };
    let mut columns = vec![format!("{this} so far")];
    if compared {
        columns.extend([upto(&this), upto(&last), "change".to_owned(), String::new()]);
    } else {
        columns.push(format!("all {last}"));
    }
    let most = if context.verbose {
        usize::MAX
    } else {
        SERVICES
    };
    let shown: Vec<&ServiceCost> = entry.by_service.iter().take(most).collect();
    let cells = |s: &ServiceCost| {
        let mut out = vec![plain(&s.month_to_date)];
        if compared {
            out.extend([
                plain(&s.month_to_date_same_days),
                plain(&s.previous_same_days),
                amount(&s.change).map_or_else(String::new, |c| {
                    if c.is_zero() {
                        String::new()
                    } else {
                        signed(c)
                    }
                }),
                change_percent(s),
            ]);
        } else {
            out.push(plain(&s.previous_full_month));
        }
        out
    };
    let mut rows: Vec<(String, Vec<String>, Decimal, Decimal)> = shown
        .iter()
        .map(|s| {
            (
                escape(&s.name),
                cells(s),
                amount(&s.month_to_date).unwrap_or_default(),
                amount(&s.change).unwrap_or_default(),
            )
        })
        .collect();
    if entry.by_service.len() > shown.len() {
        let rest = entry.by_service.iter().skip(shown.len());
        let sum = |pick: fn(&ServiceCost) -> &Option<String>| -> Option<String> {
            let total: Decimal = rest.clone().filter_map(|s| amount(pick(s))).sum();
            Some(total.to_string())
        };
        let more = ServiceCost {
            name: String::new(),
            month_to_date: sum(|s| &s.month_to_date),
            previous_same_days: sum(|s| &s.previous_same_days),
            month_to_date_same_days: sum(|s| &s.month_to_date_same_days),
            previous_full_month: sum(|s| &s.previous_full_month),
            change: sum(|s| &s.change),
            change_percent: None,
        };
        let count = (entry.by_service.len() - shown.len()) as u64;
        let mut texts = cells(&more);
        texts.truncate(4);
        rows.push((
            plural(count, "more service", "more services"),
            texts,
            amount(&more.month_to_date).unwrap_or_default(),
            Decimal::ZERO,
        ));
    }
    let mut widths: Vec<usize> = (0..columns.len())
        .map(|i| {
            rows.iter()
                .filter_map(|(_, cells, ..)| cells.get(i))
                .chain(columns.get(i))
                .map(|c| width(c))
                .max()
                .unwrap_or(0)
        })
        .collect();
    // On a narrow terminal the last columns go, not the names.
    let total = |widths: &[usize]| widths.iter().map(|w| w + 2).sum::<usize>();
    while widths.len() > 1 && 2 + LEAST_NAME + total(&widths) > context.width {
        widths.pop();
    }
    let numbers = total(&widths);
    let wide = context.width >= WIDE;
    let bars = if wide { 22 } else { 0 };
    let longest = rows.iter().map(|(name, ..)| width(name)).max().unwrap_or(0);
    let room = context
        .width
        .saturating_sub(2 + numbers + bars)
        .max(LEAST_NAME)
        .min(longest.max(LEAST_NAME));
    let line = |name: &str, cells: &[String]| {
        let mut out = format!("  {}", pad(&cut(name, room), room));
        for (i, w) in widths.iter().enumerate() {
            let cell = cells.get(i).map(String::as_str).unwrap_or_default();
            out.push_str(&" ".repeat(2 + w.saturating_sub(width(cell))));
            out.push_str(cell);
        }
        out
    };
    lines.blank();
    lines.push(context.paint.dim(line("Service", &columns).trim_end()));
    let top = rows.iter().map(|r| r.2).max().unwrap_or_default();
    for (name, cells, spent, change) in &rows {
        let text = line(name, cells);
        // The change is the end of the line, so it can be painted as one piece.
        let colour = |text: &str| match change.cmp(&Decimal::ZERO) {
            std::cmp::Ordering::Greater => context.paint.yellow(text),
            std::cmp::Ordering::Less => context.paint.green(text),
            std::cmp::Ordering::Equal => text.to_owned(),
        };
        let tail: usize = widths.iter().skip(3).map(|w| w + 2).sum();
        let painted = if compared && cells.len() > 4 && tail > 0 {
            let at = text
                .char_indices()
                .rev()
                .nth(tail.saturating_sub(1))
                .map_or(0, |(i, _)| i);
            let (head, end) = text.split_at(at);
            format!("{head}{}", colour(end))
        } else {
            text
        };
        let bar = if wide {
            format!("  {}", context.paint.dim(&bar(*spent, top, 20)))
        } else {
            String::new()
        };
        lines.push(format!("{painted}{bar}"));
    }
}

/// A label with wrapped text.
fn fact(context: &Context, lines: &mut Lines, label: &str, text: &str, tone: Tone) {
    let indent = 2 + LABEL;
    let label = cut(label, LABEL - 1);
    for (i, row) in wrap(text, context.width.saturating_sub(indent))
        .into_iter()
        .enumerate()
    {
        let row = match tone {
            Tone::Plain => row,
            tone => paint(context.paint, tone, &row),
        };
        let label = if i == 0 { label.as_str() } else { "" };
        lines.push(format!("  {}{row}", pad(label, LABEL)));
    }
}

fn rest(context: &Context, lines: &mut Lines, entry: &CostEntry) {
    let tags = tags(entry, if context.verbose { 50 } else { 4 });
    if !tags.is_empty() {
        lines.blank();
        for tag in tags {
            fact(
                context,
                lines,
                &format!("Tag {}", tag.key),
                &tag.text,
                tag.tone,
            );
        }
    }
    let facts = facts(entry);
    if !facts.is_empty() {
        lines.blank();
        for (label, text) in facts {
            fact(context, lines, label, &text, Tone::Plain);
        }
    }
    if !entry.by_resource.is_empty() {
        lines.blank();
        lines.push(format!(
            "  {}",
            context.paint.dim("Most expensive resources")
        ));
        let most = if context.verbose { 20 } else { 5 };
        for resource in entry.by_resource.iter().take(most) {
            let value = crate::render::text::decimal(&resource.month_to_date).unwrap_or_default();
            let name = crate::render::text::cut_left(
                &escape(&resource.name),
                context.width.saturating_sub(16),
            );
            lines.push(format!("  {:>12}  {name}", usd(value)));
        }
    }
    let notes = notes(entry);
    if !notes.is_empty() {
        lines.blank();
        for note in notes {
            for (i, row) in wrap(&note, context.width.saturating_sub(4))
                .iter()
                .enumerate()
            {
                let mark = if i == 0 { "  - " } else { "    " };
                lines.push(context.paint.dim(&format!("{mark}{row}")));
            }
        }
    }
}

fn together(context: &Context, lines: &mut Lines, entry: &CostEntry, entries: &[CostEntry]) {
    heading(context, lines, entry, "All together");
    three(context, lines, entry);
    lines.blank();
    let mut rows: Vec<[String; 4]> = vec![[
        "Environment".to_owned(),
        format!("{} so far", months(entry).0),
        "month end".to_owned(),
        "budget".to_owned(),
    ]];
    for part in entries.iter().filter(|e| e.environment.is_some()) {
        rows.push([
            escape(part.environment.as_deref().unwrap_or_default()),
            plain(&part.month_to_date),
            plain(&part.forecast_month_end),
            plain(&part.budget),
        ]);
    }
    for other in &entry.other_accounts {
        let label = match &other.label {
            Some(label) => format!("{} {}", other.account, escape(label)),
            None => format!("{} (no environment)", escape(&other.account)),
        };
        rows.push([
            label,
            plain(&Some(other.month_to_date.clone())),
            String::new(),
            String::new(),
        ]);
    }
    let widths = [0, 1, 2, 3].map(|i| {
        rows.iter()
            .filter_map(|r| r.get(i))
            .map(|c| width(c))
            .max()
            .unwrap_or(0)
    });
    for (i, row) in rows.iter().enumerate() {
        let [name, cells @ ..] = row;
        let room = widths[0].min(
            context
                .width
                .saturating_sub(2 + widths.iter().skip(1).map(|w| w + 2).sum::<usize>()),
        );
        let mut text = format!("  {}", pad(&cut(name, room), room));
        for (cell, w) in cells.iter().zip(widths.iter().skip(1)) {
            text.push_str(&" ".repeat(2 + w - width(cell)));
            text.push_str(cell);
        }
        lines.push(if i == 0 {
            context.paint.dim(&text)
        } else {
            text
        });
    }
    if let Some(commitments) = facts(entry)
        .into_iter()
        .find(|(label, _)| *label == "Commitments")
    {
        lines.blank();
        fact(context, lines, commitments.0, &commitments.1, Tone::Plain);
    }
    for note in &entry.notes {
        lines.blank();
        context.wrapped(lines, 2, &escape(note), Paint::yellow);
    }
}

fn not_asked(context: &Context, lines: &mut Lines, entries: &[CostEntry]) {
    let mut all: Vec<&String> = Vec::new();
    for text in entries.iter().flat_map(|e| &e.not_asked) {
        if !all.contains(&text) {
            all.push(text);
        }
    }
    for text in all {
        context.wrapped(
            lines,
            0,
            &format!("Not asked: {}", escape(text)),
            Paint::yellow,
        );
    }
}

/// `audit cost --explain`.
pub fn cost_explained(explanation: &Explanation, now: &str, style: &Style) -> String {
    let context = Context::new(style);
    let mut lines = Lines::default();
    for payer in &explanation.payers {
        lines.blank();
        lines.push(format!(
            "{}  {}",
            context.paint.bold(&escape(&payer.environment)),
            context.paint.dim(&format!(
                "account {}, at most {}",
                escape(&payer.account),
                plural(payer.max_questions, "question", "questions")
            ))
        ));
        lines.blank();
        for question in &payer.questions {
            let (mark, tone) = match question.state {
                QuestionState::Ask => ("ask", Tone::Careful),
                QuestionState::Kept => ("kept", Tone::Good),
                QuestionState::Perhaps => ("perhaps", Tone::Plain),
                QuestionState::NotNeeded => ("no need", Tone::Plain),
                QuestionState::NoRoom => ("no room", Tone::Bad),
            };
            let text = format!("{}{}", escape(&question.what), aside(question, now));
            let rows = wrap(&text, context.width.saturating_sub(11));
            for (i, row) in rows.iter().enumerate() {
                let mark = if i == 0 {
                    let mark = pad(mark, 9);
                    match tone {
                        Tone::Plain => context.paint.dim(&mark),
                        tone => paint(context.paint, tone, &mark),
                    }
                } else {
                    " ".repeat(9)
                };
                lines.push(format!("  {mark}{row}"));
            }
        }
    }
    lines.blank();
    context.wrapped(&mut lines, 0, &price_ahead(explanation), Paint::bold);
    lines.finish()
}

pub(in crate::render) fn aside(question: &ExplainedQuestion, now: &str) -> String {
    let age = question.asked_at.as_deref().and_then(|at| age(at, now));
    match (&question.why, age) {
        (Some(why), _) => format!(" ({})", escape(why)),
        (None, Some(age)) => format!(" ({age})"),
        (None, None) => String::new(),
    }
}

pub(in crate::render) fn price_ahead(explanation: &Explanation) -> String {
    let Explanation {
        requests_at_least: least,
        questions_at_most: most,
        cost_usd_at_least: cost,
        cost_usd_one_page_each: cost_most,
        ..
    } = explanation;
    if *most == 0 {
        return "An audit now would ask nothing and cost 0.00 USD.".to_owned();
    }
    let perhaps = if most > least {
        format!(
            ", or {} ({cost_most} USD) if those that hang on other answers are needed",
            plural(*most, "question", "questions")
        )
    } else {
        String::new()
    };
    format!(
        "An audit now would make at least {} to Cost Explorer for {cost} USD{perhaps}. A long answer comes in pages, and each page is a request of 0.01 USD more; how many there are is known only afterwards. Nothing was asked.",
        plural(*least, "request", "requests")
    )
}
