//! Parts of an HTML report about costs: tables with bars, and each day as an inline SVG. No script,
//! no style sheet: classes for whoever has one, `currentColor` for who has not.

use rust_decimal::Decimal;

use super::cost::{amount, daily, lead, month, months, plain};
use super::text::{decimal, escape};
use crate::cost::CostEntry;
use crate::model::usd;

/// Services in the table.
const MOST_ROWS: usize = 25;

fn html(raw: &str) -> String {
    escape(raw)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// The bars of each day, this month's after a gap; 100 units high. Empty without any spend.
pub fn daily_svg(entry: &CostEntry) -> String {
    let (last, this) = daily(entry);
    let most = last.iter().chain(&this).copied().max().unwrap_or_default();
    if most <= Decimal::ZERO {
        return String::new();
    }
    let (bar, gap) = (9, 12);
    let width = (last.len() + this.len()) * (bar + 1) + gap;
    let (this_month, last_month) = months(entry);
    let mut out = format!(
        "<svg class=\"cost-days\" role=\"img\" viewBox=\"0 0 {width} 100\" width=\"{width}\" height=\"100\" aria-label=\"Spend of each day, {} and {}\">",
        html(&last_month),
        html(&this_month)
    );
    for (i, day) in entry.daily.iter().enumerate() {
        let value = decimal(&day.amount).unwrap_or_default();
        let height = (value.max(Decimal::ZERO) * Decimal::from(96))
            .checked_div(most)
            .unwrap_or_default()
            .round_dp(1)
            .max(Decimal::ONE);
        let now = i >= last.len();
        let x = i * (bar + 1) + if now { gap } else { 0 };
        out.push_str(&format!(
            "<rect x=\"{x}\" y=\"{}\" width=\"{bar}\" height=\"{height}\" fill=\"currentColor\" opacity=\"{}\"><title>{}: {} {}</title></rect>",
            Decimal::ONE_HUNDRED - height,
            if now { "0.9" } else { "0.4" },
            day.date,
            usd(value),
            html(&entry.currency)
        ));
    }
    out.push_str("</svg>\n");
    out
}

/// The three lines, each day, and the services with bars: one section for an HTML page.
pub fn cost_section(entry: &CostEntry) -> String {
    let name = entry.environment.as_deref().unwrap_or("All together");
    let mut out = format!(
        "<section class=\"cost\">\n<h2>{} <small>{}</small></h2>\n<dl class=\"cost-lead\">\n",
        html(name),
        html(&month(entry))
    );
    for line in lead(entry) {
        out.push_str(&format!(
            "<dt>{}</dt><dd><strong>{}</strong> {}</dd>\n",
            line.label,
            html(&line.amount),
            html(&line.text)
        ));
    }
    out.push_str("</dl>\n");
    out.push_str(&daily_svg(entry));
    let top = entry
        .by_service
        .iter()
        .filter_map(|s| amount(&s.month_to_date))
        .max()
        .unwrap_or_default();
    out.push_str("<table class=\"cost-services\">\n<thead><tr><th>Service</th><th>So far</th><th>Last month</th><th></th></tr></thead>\n<tbody>\n");
    for service in entry.by_service.iter().take(MOST_ROWS) {
        let spent = amount(&service.month_to_date).unwrap_or_default();
        let width = crate::cost::cents::percent(spent.max(Decimal::ZERO), top).unwrap_or_default();
        out.push_str(&format!(
            "<tr><td>{}</td><td>{}</td><td>{}</td><td><svg viewBox=\"0 0 100 10\" width=\"200\" height=\"10\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect width=\"{width}\" height=\"10\" fill=\"currentColor\"/></svg></td></tr>\n",
            html(&service.name),
            plain(&service.month_to_date),
            plain(&service.previous_full_month)
        ));
    }
    out.push_str("</tbody>\n</table>\n</section>\n");
    out
}
