//! Costs for a pull request or a chat: three lines first, the rest folded.

use rust_decimal::Decimal;

use super::escape::{code, html, text};
use super::unobserved;
use crate::cloud::ApiUse;
use crate::cost::explain::{Explanation, QuestionState};
use crate::cost::{CostEntry, ServiceCost};
use crate::render::cost::{
    Tone, amount, bar, change_percent, closing, daily, facts, lead, month, months, notes, plain,
    signed, spark, tags, whole,
};
use crate::render::human::{aside, price_ahead};
use crate::render::text::plural;
use crate::report::cost::CostReport;

/// Services, regions and resources in tables.
const MOST_ROWS: usize = 25;

/// The same with what could not be seen.
pub fn cost_report(report: &CostReport) -> String {
    let mut out = String::new();
    unobserved(
        &mut out,
        &report.unobserved,
        &report.accepted_unobserved,
        MOST_ROWS,
    );
    out.push_str(&cost(&report.cost, &report.generated_at, &report.api));
    out
}

/// Heading, three lines, and the rest folded, for each environment.
pub fn cost(entries: &[CostEntry], generated_at: &str, api: &ApiUse) -> String {
    let mut out = String::new();
    for entry in entries.iter().filter(|e| e.environment.is_some()) {
        let name = entry.environment.as_deref().unwrap_or_default();
        section(&mut out, entry, name);
        details(&mut out, entry);
    }
    if let Some(entry) = whole(entries) {
        section(&mut out, entry, "All together");
        together(&mut out, entry, entries);
    }
    let mut not_asked: Vec<&String> = Vec::new();
    for text in entries.iter().flat_map(|e| &e.not_asked) {
        if !not_asked.contains(&text) {
            not_asked.push(text);
        }
    }
    for question in not_asked {
        out.push_str(&format!("> Not asked: {}\n\n", text(question)));
    }
    out.push_str(&format!(
        "<sub>{}</sub>\n",
        html(&closing(entries, generated_at, api))
    ));
    out
}

fn section(out: &mut String, entry: &CostEntry, name: &str) {
    out.push_str(&format!("### {} · {}\n\n", text(name), text(&month(entry))));
    let three = lead(entry);
    let last = three.len() - 1;
    for (i, line) in three.iter().enumerate() {
        let mark = match line.tone {
            Tone::Bad => "🔴 ",
            Tone::Careful if i < 2 => "🟡 ",
            _ => "",
        };
        // Two spaces at the end of a line break it.
        let end = if i == last { "" } else { "  " };
        out.push_str(&format!(
            "{mark}**{}** {}: {}{end}\n",
            line.label,
            text(&line.amount),
            text(&line.text)
        ));
    }
    out.push('\n');
}

fn details(out: &mut String, entry: &CostEntry) {
    if entry.month_to_date.is_none() && entry.notes.is_empty() {
        return;
    }
    let services = entry.by_service.len() as u64;
    out.push_str(&format!(
        "<details><summary>{}, each day, tags and more</summary>\n\n",
        plural(services, "service", "services")
    ));
    let (last, this) = daily(entry);
    if last.iter().chain(&this).any(|d| !d.is_zero()) {
        let all: Vec<Decimal> = last.iter().chain(&this).copied().collect();
        let blocks: Vec<char> = spark(&all).chars().collect();
        let (before, now) = blocks.split_at(last.len());
        let (this_month, last_month) = months(entry);
        out.push_str(&format!(
            "`{}` {last_month} · `{}` {this_month}\n\n",
            before.iter().collect::<String>(),
            now.iter().collect::<String>()
        ));
    }
    services_table(out, entry);
    let tags = tags(entry, 10);
    if !tags.is_empty() {
        out.push_str("| Tag | Spend |\n|:--|:--|\n");
        for tag in tags {
            out.push_str(&format!("| {} | {} |\n", code(&tag.key), text(&tag.text)));
        }
        out.push('\n');
    }
    for (label, fact) in facts(entry) {
        out.push_str(&format!("- **{label}**: {}\n", text(&fact)));
    }
    for resource in entry.by_resource.iter().take(5) {
        out.push_str(&format!(
            "- {}: {} {}\n",
            code(&resource.name),
            plain(&Some(resource.month_to_date.clone())),
            text(&entry.currency)
        ));
    }
    for note in notes(entry) {
        out.push_str(&format!("- {}\n", text(&note)));
    }
    out.push_str("\n</details>\n\n");
}

fn services_table(out: &mut String, entry: &CostEntry) {
    if entry.by_service.is_empty() {
        return;
    }
    let (this, last) = months(entry);
    let n = entry.compared_days;
    let upto = |name: &str| match n {
        1 => format!("{name} 1"),
        n => format!("{name} 1–{n}"),
    };
    if n > 0 {
        out.push_str(&format!(
            "| Service | {this} so far | {} | {} | Change | | |\n|:--|--:|--:|--:|--:|--:|:--|\n",
            upto(&this),
            upto(&last)
        ));
    } else {
        out.push_str(&format!(
            "| Service | {this} so far | all {last} | |\n|:--|--:|--:|:--|\n"
        ));
    }
    let top = entry
        .by_service
        .iter()
        .filter_map(|s| amount(&s.month_to_date))
        .max()
        .unwrap_or_default();
    for s in entry.by_service.iter().take(MOST_ROWS) {
        out.push_str(&row(s, n > 0, top));
    }
    if entry.by_service.len() > MOST_ROWS {
        let rest: Decimal = entry
            .by_service
            .iter()
            .skip(MOST_ROWS)
            .filter_map(|s| amount(&s.month_to_date))
            .sum();
        let more = (entry.by_service.len() - MOST_ROWS) as u64;
        let empty = if n > 0 { "| | | | | |" } else { "| | |" };
        out.push_str(&format!(
            "| {} | {} {empty}\n",
            plural(more, "more service", "more services"),
            plain(&Some(rest.to_string()))
        ));
    }
    out.push('\n');
}

fn row(s: &ServiceCost, compared: bool, top: Decimal) -> String {
    let spent = amount(&s.month_to_date).unwrap_or_default();
    let bar = match bar(spent, top, 12) {
        bar if bar.is_empty() => String::new(),
        bar => format!("`{bar}`"),
    };
    if compared {
        let change = amount(&s.change)
            .filter(|c| !c.is_zero())
            .map_or_else(String::new, signed);
        format!(
            "| {} | {} | {} | {} | {change} | {} | {bar} |\n",
            text(&s.name),
            plain(&s.month_to_date),
            plain(&s.month_to_date_same_days),
            plain(&s.previous_same_days),
            change_percent(s)
        )
    } else {
        format!(
            "| {} | {} | {} | {bar} |\n",
            text(&s.name),
            plain(&s.month_to_date),
            plain(&s.previous_full_month)
        )
    }
}

fn together(out: &mut String, entry: &CostEntry, entries: &[CostEntry]) {
    out.push_str(&format!(
        "| Environment | {} so far | Month end | Budget |\n|:--|--:|--:|--:|\n",
        months(entry).0
    ));
    for part in entries.iter().filter(|e| e.environment.is_some()) {
        out.push_str(&format!(
            "| {} | {} | {} | {} |\n",
            text(part.environment.as_deref().unwrap_or_default()),
            plain(&part.month_to_date),
            plain(&part.forecast_month_end),
            plain(&part.budget)
        ));
    }
    for other in &entry.other_accounts {
        out.push_str(&format!(
            "| {} {} | {} | | |\n",
            text(&other.account),
            text(other.label.as_deref().unwrap_or("(no environment)")),
            plain(&Some(other.month_to_date.clone()))
        ));
    }
    out.push('\n');
    for note in &entry.notes {
        out.push_str(&format!("> {}\n\n", text(note)));
    }
}

/// `audit cost --explain`.
pub fn cost_explained(explanation: &Explanation, now: &str) -> String {
    let mut out = format!("{}\n\n", text(&price_ahead(explanation)));
    for payer in &explanation.payers {
        out.push_str(&format!(
            "### {} · account {}\n\n| | Question |\n|:--|:--|\n",
            text(&payer.environment),
            text(&payer.account)
        ));
        for question in &payer.questions {
            let mark = match question.state {
                QuestionState::Ask => "**ask**",
                QuestionState::Kept => "kept",
                QuestionState::Perhaps => "perhaps",
                QuestionState::NotNeeded => "no need",
                QuestionState::NoRoom => "no room",
            };
            out.push_str(&format!(
                "| {mark} | {}{} |\n",
                text(&question.what),
                text(&aside(question, now))
            ));
        }
        out.push('\n');
    }
    out
}
