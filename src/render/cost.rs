//! What terminals, pull requests and reports have in common about costs.

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::text::{decimal, escape, number, plural};
use crate::cloud::ApiUse;
use crate::cost::{CostEntry, NOTHING_ASKED, ServiceCost, TagStatus};
use crate::model::usd;

/// How a line is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Good,
    Careful,
    Bad,
}

/// One of the lines that matter.
pub(super) struct Lead {
    pub label: &'static str,
    pub amount: String,
    pub text: String,
    pub tone: Tone,
}

/// The amount of a decimal string.
pub(super) fn amount(text: &Option<String>) -> Option<Decimal> {
    text.as_deref().and_then(decimal)
}

/// `1,234.50 USD`, or `unknown`: never zero for what is not known.
pub(super) fn money(text: &Option<String>, currency: &str) -> String {
    match amount(text) {
        Some(value) => format!("{} {}", usd(value), escape(currency)),
        None => "unknown".to_owned(),
    }
}

/// `1,234.50`, or `–`.
pub(super) fn plain(text: &Option<String>) -> String {
    amount(text).map_or_else(|| "–".to_owned(), usd)
}

/// `+12.40`.
pub(super) fn signed(value: Decimal) -> String {
    if value > Decimal::ZERO {
        format!("+{}", usd(value))
    } else {
        usd(value)
    }
}

/// `+12.4 %`, `new` where it cost nothing before.
pub(super) fn change_percent(service: &ServiceCost) -> String {
    match (&service.change_percent, amount(&service.previous_same_days)) {
        (Some(_), _) if amount(&service.change).is_some_and(|c| c.is_zero()) => String::new(),
        (Some(percent), _) => signed_percent(percent),
        (None, Some(previous)) if previous.is_zero() => {
            let now = amount(&service.month_to_date_same_days).unwrap_or_default();
            if now.is_zero() { "" } else { "new" }.to_owned()
        }
        _ => String::new(),
    }
}

pub(super) fn signed_percent(percent: &str) -> String {
    let sign = if percent.starts_with('-') || percent == "0.0" {
        ""
    } else {
        "+"
    };
    format!("{sign}{} %", escape(percent))
}

fn date(text: &Option<String>) -> Option<Date> {
    text.as_deref().and_then(|t| t.parse().ok())
}

/// Short names of this month and the last: `Nov` and `Oct`.
pub(super) fn months(entry: &CostEntry) -> (String, String) {
    let Some(month) = date(&entry.month) else {
        return ("this month".to_owned(), "last month".to_owned());
    };
    let previous = month.saturating_sub(jiff::ToSpan::months(1));
    (
        month.strftime("%b").to_string(),
        previous.strftime("%b").to_string(),
    )
}

/// `November 2026`.
pub(super) fn month(entry: &CostEntry) -> String {
    date(&entry.month).map_or_else(String::new, |m| m.strftime("%B %Y").to_string())
}

/// `days 1 to 21`, `day 1`.
pub(super) fn same_days(entry: &CostEntry) -> String {
    match entry.compared_days {
        1 => "day 1".to_owned(),
        n => format!("days 1 to {n}"),
    }
}

/// The three lines that matter: spent so far, month end, biggest mover.
pub(super) fn lead(entry: &CostEntry) -> [Lead; 3] {
    let currency = &entry.currency;
    let to_date = amount(&entry.month_to_date);
    let budget = amount(&entry.budget);
    let forecast = amount(&entry.forecast_month_end);
    let used = entry
        .budget_used_percent
        .as_ref()
        .map_or_else(String::new, |p| format!(", {} %", escape(p)));
    let (spent, tone) = match (to_date, budget, amount(&entry.budget_left)) {
        (None, ..) if entry.forecast_note.as_deref() == Some(NOTHING_ASKED) => {
            (NOTHING_ASKED.to_owned(), Tone::Careful)
        }
        (None, ..) => (
            "could not be seen: see what is not observed".to_owned(),
            Tone::Careful,
        ),
        (Some(_), Some(budget), Some(left)) if left < Decimal::ZERO => (
            format!("{} over the budget of {}{used}", usd(-left), usd(budget)),
            Tone::Bad,
        ),
        (Some(_), Some(budget), Some(left)) => (
            format!("of the budget of {}{used}; {} left", usd(budget), usd(left)),
            if left * Decimal::from(5) < budget {
                Tone::Careful
            } else {
                Tone::Good
            },
        ),
        (Some(_), Some(budget), None) => (
            format!("not compared with the budget of {} USD", usd(budget)),
            Tone::Plain,
        ),
        (Some(_), None, _) => ("no budget is set".to_owned(), Tone::Plain),
    };
    let interval = match (amount(&entry.forecast_low), amount(&entry.forecast_high)) {
        (Some(low), Some(high)) => format!("likely {} to {}, ", usd(low), usd(high)),
        _ => String::new(),
    };
    let basis = match entry.forecast_basis.as_deref() {
        Some("cost-explorer") => "forecast by AWS",
        Some("sum") => "the parts added up",
        Some(_) => "own estimate",
        None => "",
    };
    let over = match (forecast, budget) {
        (Some(f), Some(b)) if currency == "USD" && f > b => {
            format!("; {} over the budget", usd(f - b))
        }
        _ => String::new(),
    };
    let end = match forecast {
        Some(_) => Lead {
            label: "Month end",
            amount: money(&entry.forecast_month_end, currency),
            tone: if over.is_empty() {
                Tone::Good
            } else {
                Tone::Bad
            },
            text: format!("{interval}{basis}{over}"),
        },
        None => Lead {
            label: "Month end",
            amount: "unknown".to_owned(),
            text: entry.forecast_note.as_deref().map_or_else(
                || "there is no forecast".to_owned(),
                |note| escape(note.trim_start_matches("unknown: ")),
            ),
            tone: Tone::Careful,
        },
    };
    let mover = match entry.top_movers.first() {
        Some(mover) => {
            let change = decimal(&mover.change).unwrap_or_default();
            Lead {
                label: "Biggest mover",
                amount: format!("{} {}", signed(change), escape(currency)),
                text: format!(
                    "{}{}, {} against last month",
                    escape(&mover.name),
                    mover.change_percent.as_ref().map_or_else(
                        || " (new)".to_owned(),
                        |p| format!(" ({})", signed_percent(p))
                    ),
                    same_days(entry)
                ),
                tone: if change > Decimal::ZERO {
                    Tone::Careful
                } else {
                    Tone::Good
                },
            }
        }
        None => Lead {
            label: "Biggest mover",
            amount: match to_date {
                None => "unknown".to_owned(),
                Some(_) => "none".to_owned(),
            },
            text: match (to_date, entry.compared_days) {
                (None, _) => "not known".to_owned(),
                (_, 0) => "there is nothing to compare with yet".to_owned(),
                _ => format!(
                    "no service changed, {} against last month",
                    same_days(entry)
                ),
            },
            tone: Tone::Plain,
        },
    };
    [
        Lead {
            label: "Spent so far",
            amount: money(&entry.month_to_date, currency),
            text: spent,
            tone,
        },
        end,
        mover,
    ]
}

/// A line of blocks for a series; nothing below zero is shown. One or two days far above all others
/// (fees on the first) do not flatten the rest: they are full blocks.
pub(super) fn spark(values: &[Decimal]) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let mut sorted = values.to_vec();
    sorted.sort();
    let outliers = if sorted.len() > 10 { 2 } else { 0 };
    let most = sorted
        .iter()
        .rev()
        .nth(outliers)
        .copied()
        .unwrap_or_default();
    values
        .iter()
        .map(|value| {
            if most <= Decimal::ZERO || *value <= Decimal::ZERO {
                return BLOCKS[0];
            }
            let step = (*value * Decimal::from(7))
                .checked_div(most)
                .and_then(|v| v.round().to_usize())
                .unwrap_or(0);
            BLOCKS.get(step).copied().unwrap_or('█')
        })
        .collect()
}

/// A bar of at most `width` blocks, to an eighth.
pub(super) fn bar(part: Decimal, whole: Decimal, width: u32) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    if whole <= Decimal::ZERO || part <= Decimal::ZERO {
        return String::new();
    }
    let eighths = (part.min(whole) * Decimal::from(width * 8))
        .checked_div(whole)
        .and_then(|v| v.round().to_usize())
        .unwrap_or(0)
        .max(1);
    let last = EIGHTHS.get(eighths % 8).copied().unwrap_or_default();
    format!("{}{last}", "█".repeat(eighths / 8))
}

/// The days of last and of this month.
pub(super) fn daily(entry: &CostEntry) -> (Vec<Decimal>, Vec<Decimal>) {
    let month = date(&entry.month);
    let mut last = Vec::new();
    let mut this = Vec::new();
    for day in &entry.daily {
        let value = decimal(&day.amount).unwrap_or_default();
        if month.is_some_and(|m| day.date < m) {
            last.push(value);
        } else {
            this.push(value);
        }
    }
    (last, this)
}

/// `dearest day 14 Nov with 61.20`.
pub(super) fn dearest(entry: &CostEntry) -> Option<String> {
    let (value, day) = entry
        .daily
        .iter()
        .filter_map(|d| Some((decimal(&d.amount)?, d.date)))
        .max_by(|a, b| (a.0, b.1).cmp(&(b.0, a.1)))?;
    (value > Decimal::ZERO)
        .then(|| format!("{} {} with {}", day.day(), day.strftime("%b"), usd(value)))
}

/// The split of one tag: the values with their share, untagged last.
pub(super) struct TagLine {
    pub key: String,
    pub text: String,
    pub tone: Tone,
}

pub(super) fn tags(entry: &CostEntry, most: usize) -> Vec<TagLine> {
    entry
        .tag_status
        .iter()
        .map(|(key, status)| {
            let unknown = |text: &str| TagLine {
                key: escape(key),
                text: text.to_owned(),
                tone: Tone::Careful,
            };
            match status {
                TagStatus::NotActivated => {
                    return unknown("unknown: the key is not activated for cost allocation");
                }
                TagStatus::Unknown => {
                    return unknown("unknown: only untagged spend shows, or it could not be seen");
                }
                TagStatus::NotAsked => return unknown("not asked"),
                TagStatus::Active => {}
            }
            let rows = entry.by_tag.get(key).map(Vec::as_slice).unwrap_or_default();
            let total: Decimal = rows.iter().filter_map(|r| amount(&r.month_to_date)).sum();
            let share = |value: Decimal| match crate::cost::cents::percent(value, total) {
                Some(percent) => format!("{} %", percent.round()),
                None => usd(value),
            };
            let valued: Vec<(&str, Decimal)> = rows
                .iter()
                .filter(|r| !r.value.is_empty())
                .filter_map(|r| Some((r.value.as_str(), amount(&r.month_to_date)?)))
                .collect();
            let mut parts: Vec<String> = valued
                .iter()
                .take(most)
                .map(|(value, spent)| format!("{} {}", escape(value), share(*spent)))
                .collect();
            if valued.len() > most {
                let rest = valued.iter().skip(most).map(|(_, v)| *v).sum();
                let more = plural((valued.len() - most) as u64, "more value", "more values");
                parts.push(format!("{more} {}", share(rest)));
            }
            let without = entry.untagged.get(key).and_then(amount).unwrap_or_default();
            parts.push(if without.is_zero() {
                "nothing untagged".to_owned()
            } else {
                let taggable = entry
                    .untagged_percent
                    .get(key)
                    .map_or_else(String::new, |p| {
                        format!(", {} % of what can be tagged", escape(p))
                    });
                format!("untagged {} ({}{taggable})", share(without), usd(without))
            });
            TagLine {
                key: escape(key),
                text: parts.join(", "),
                tone: Tone::Plain,
            }
        })
        .collect()
}

/// Label and text of what else is known, in order of worth.
pub(super) fn facts(entry: &CostEntry) -> Vec<(&'static str, String)> {
    let mut out = Vec::new();
    let currency = escape(&entry.currency);
    if let (Some(full), Some(previous)) = (
        amount(&entry.previous_full_month),
        amount(&entry.previous_same_days),
    ) {
        let change = amount(&entry.change).unwrap_or_default();
        let percent = entry
            .change_percent
            .as_ref()
            .map_or_else(String::new, |p| format!(" ({})", signed_percent(p)));
        out.push((
            "Last month",
            format!(
                "{} in all; {} in {}, this month {}{percent}",
                usd(full),
                usd(previous),
                same_days(entry),
                if change.is_zero() {
                    "the same".to_owned()
                } else {
                    signed(change)
                },
            ),
        ));
    } else if let Some(full) = amount(&entry.previous_full_month) {
        out.push(("Last month", format!("{} in all", usd(full))));
    }
    if let Some(shares) = &entry.shares {
        let part = |name: &str, share: &crate::cost::Share| {
            let percent = share
                .percent
                .as_ref()
                .map_or_else(String::new, |p| format!(" ({} %)", escape(p)));
            let value = decimal(&share.month_to_date).unwrap_or_default();
            format!("{name} {}{percent}", usd(value))
        };
        out.push((
            "Watch",
            [
                part("NAT gateways", &shares.nat),
                part("data transfer out", &shares.egress),
                part("storage", &shares.storage),
            ]
            .join(", "),
        ));
    }
    if !entry.by_region.is_empty() {
        let total: Decimal = entry
            .by_region
            .iter()
            .filter_map(|r| amount(&r.month_to_date))
            .sum();
        let list: Vec<String> = entry
            .by_region
            .iter()
            .take(5)
            .filter_map(|r| {
                let value = amount(&r.month_to_date)?;
                let share = crate::cost::cents::percent(value, total)?;
                Some(format!("{} {} %", escape(&r.name), share))
            })
            .collect();
        let more = match entry.by_region.len().saturating_sub(5) {
            0 => String::new(),
            n => format!(" and {} more", number(n as u64)),
        };
        if !list.is_empty() {
            out.push(("Regions", format!("{}{more}", list.join(", "))));
        }
    }
    if let (Some(band), Some(stage)) = (&entry.stage_band, &entry.stage) {
        let place = entry.band_percent.as_ref().map_or_else(String::new, |p| {
            format!("; the month ends at {} % of its upper end", escape(p))
        });
        let edge = |text: &str| decimal(text).map_or_else(String::new, usd);
        out.push((
            "Cost band",
            format!(
                "{} costs {} to {} USD{place}",
                escape(stage),
                edge(&band.from),
                edge(&band.to)
            ),
        ));
    }
    if let (Some(each), Some(basis)) = (&entry.per_user, &entry.per_user_basis) {
        out.push((
            "Per user",
            format!("{} {currency} ({})", escape(each), escape(basis)),
        ));
    }
    if let Some(a) = &entry.adjustments {
        let value = |text: &str| decimal(text).unwrap_or_default();
        let parts: Vec<String> = [
            ("credits", &a.credits),
            ("refunds", &a.refunds),
            ("tax", &a.tax),
        ]
        .into_iter()
        .filter(|(_, v)| !value(v).is_zero())
        .map(|(name, v)| format!("{name} {}", usd(value(v))))
        .collect();
        if !parts.is_empty() {
            out.push((
                "On the bill",
                format!(
                    "{}; the bill shows {}",
                    parts.join(", "),
                    usd(value(&a.billed_month_to_date))
                ),
            ));
        }
    }
    if let Some(anomalies) = &entry.anomalies {
        let text = match anomalies.as_slice() {
            [] => "none this month".to_owned(),
            list => list
                .iter()
                .take(3)
                .map(|a| {
                    format!(
                        "{} {} since {}",
                        a.service
                            .as_deref()
                            .map_or_else(|| "a service".to_owned(), escape),
                        decimal(&a.impact).map_or_else(String::new, signed),
                        escape(&a.from)
                    )
                })
                .collect::<Vec<_>>()
                .join("; "),
        };
        out.push(("Anomalies", text));
    }
    if let Some(c) = &entry.commitments {
        let mut parts: Vec<String> = [
            ("Savings Plans used", &c.savings_plans_utilization),
            ("covering", &c.savings_plans_coverage),
            ("reservations used", &c.reservation_utilization),
            ("covering", &c.reservation_coverage),
        ]
        .into_iter()
        .filter_map(|(name, v)| Some(format!("{name} {} %", escape(v.as_ref()?))))
        .collect();
        if parts.is_empty() {
            parts.extend(c.note.as_deref().map(escape));
        }
        if !parts.is_empty() {
            out.push(("Commitments", parts.join(", ")));
        }
    }
    out
}

/// What the amounts leave out, and where they mean less than they seem to.
pub(super) fn notes(entry: &CostEntry) -> Vec<String> {
    let mut out: Vec<String> = entry.notes.iter().map(|n| escape(n)).collect();
    if entry.forecast_month_end.is_some()
        && let Some(note) = &entry.forecast_note
    {
        out.push(format!("month end: {}", escape(note)));
    }
    if !entry.left_out.is_empty() && entry.month_to_date.is_some() {
        let kinds: Vec<String> = entry
            .left_out
            .iter()
            .map(|kind| match kind.as_str() {
                "Credit" => "credits".to_owned(),
                "Refund" => "refunds".to_owned(),
                other => escape(other).to_lowercase(),
            })
            .collect();
        out.push(format!(
            "amounts leave out {}, as the budget does",
            kinds.join(" and ")
        ));
    }
    if entry.estimated {
        out.push("amounts of this month are provisional until AWS closes it".to_owned());
    }
    out
}

/// `this audit cost 0.09 USD (9 requests to Cost Explorer)`, or that it cost nothing.
pub(super) fn price(api: &ApiUse) -> String {
    let requests: u64 = api
        .by_operation
        .iter()
        .filter(|(operation, _)| operation.starts_with("ce:"))
        .map(|(_, n)| n)
        .sum();
    match requests {
        0 => "This audit cost 0.00 USD: no request to Cost Explorer".to_owned(),
        n => format!(
            "This audit cost {} USD ({})",
            escape(&api.cost_usd),
            plural(n, "request to Cost Explorer", "requests to Cost Explorer")
        ),
    }
}

/// `2 h 10 min`, to the minute.
pub(super) fn age(asked_at: &str, generated_at: &str) -> Option<String> {
    let asked: Timestamp = asked_at.parse().ok()?;
    let now: Timestamp = generated_at.parse().ok()?;
    let minutes = (now.as_second() - asked.as_second()).max(0) / 60;
    Some(match (minutes / 60, minutes % 60) {
        (0, 0) => "just asked".to_owned(),
        (0, m) => format!("{m} min old"),
        (h, 0) => format!("{h} h old"),
        (h, m) => format!("{h} h {m} min old"),
    })
}

/// The last line: what it cost and how old the answers are.
pub(super) fn closing(entries: &[CostEntry], generated_at: &str, api: &ApiUse) -> String {
    let oldest = entries.iter().filter_map(|e| e.asked_at.as_deref()).min();
    match oldest.and_then(|at| age(at, generated_at)) {
        Some(age) if age == "just asked" => format!("{}; the answers are fresh.", price(api)),
        Some(age) => format!("{}; the oldest answer is {age}.", price(api)),
        None => format!("{}.", price(api)),
    }
}

/// The whole, where it says more than its only part.
pub(super) fn whole(entries: &[CostEntry]) -> Option<&CostEntry> {
    let whole = entries.iter().find(|e| e.environment.is_none())?;
    let parts = entries.iter().filter(|e| e.environment.is_some()).count();
    (parts > 1 || !whole.other_accounts.is_empty()).then_some(whole)
}
