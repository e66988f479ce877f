//! What terminals, pull requests and pages have in common about the tag report.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rust_decimal::Decimal;

use super::text::{decimal, escape, number, plural};
use crate::model::usd;
use crate::report::tags::{
    Basis, Exemption, ExemptionState, Offender, Problem, TagReport, WeighedShare,
};

/// `15 November 2026`.
pub(super) fn date(rfc3339: &str) -> String {
    match rfc3339.parse::<Timestamp>() {
        Ok(at) => at.strftime("%-d %B %Y").to_string(),
        Err(_) => escape(rfc3339),
    }
}

/// The time of an earlier run: with the hour where it was on the day of this one.
pub(super) fn when(report: &TagReport, earlier: &str) -> String {
    let day = |text: &str| text.get(..10).map(str::to_owned);
    match earlier.parse::<Timestamp>() {
        Ok(at) if day(earlier) == day(&report.generated_at) => {
            at.strftime("%-d %B %Y, %H:%M UTC").to_string()
        }
        _ => date(earlier),
    }
}

/// `87.9 %`, or a word where nothing is known.
pub(super) fn percent(percent: &Option<String>, otherwise: &str) -> String {
    match percent {
        Some(percent) => format!("{} %", escape(percent)),
        None => otherwise.to_owned(),
    }
}

pub(super) fn money(amount: &Option<String>) -> Option<String> {
    amount.as_deref().and_then(decimal).map(usd)
}

pub(super) fn currency(report: &TagReport) -> String {
    escape(report.spend.currency.as_deref().unwrap_or("USD"))
}

/// `22 of 55`.
pub(super) fn of(share: &WeighedShare) -> String {
    format!("{} of {}", number(share.compliant), number(share.checked))
}

/// The share by spend, in words.
pub(super) fn by_spend(report: &TagReport, share: &WeighedShare) -> String {
    match (&share.spend_percent, money(&share.spend)) {
        (Some(_), Some(spend)) => format!(
            "{} of {spend} {}{}",
            percent(&share.spend_percent, ""),
            currency(report),
            match share.spend_basis {
                Some(Basis::Measured) => ", measured",
                _ => "",
            }
        ),
        (None, Some(_)) => "no spend".to_owned(),
        _ => "unknown".to_owned(),
    }
}

/// By dimension: its name, what stands for an empty value, and the shares, worst first.
pub(super) fn dimensions(report: &TagReport) -> [(&'static str, Vec<(String, &WeighedShare)>); 5] {
    let of = &report.compliance;
    [
        ("environment", shares(&of.by_environment)),
        ("key", shares(&of.by_key)),
        ("team", shares(&of.by_team)),
        ("service", shares(&of.by_service)),
        ("region", shares(&of.by_region)),
    ]
}

fn shares(of: &BTreeMap<String, WeighedShare>) -> Vec<(String, &WeighedShare)> {
    let mut rows: Vec<(String, &WeighedShare)> = of
        .iter()
        .map(|(name, share)| match name.as_str() {
            "" => ("(no team)".to_owned(), share),
            name => (escape(name), share),
        })
        .collect();
    rows.sort_by(|(a_name, a), (b_name, b)| {
        let part = |s: &WeighedShare| {
            Decimal::from(s.compliant)
                .checked_div(Decimal::from(s.checked))
                .unwrap_or(Decimal::ONE)
        };
        (part(a), std::cmp::Reverse(a.checked), a_name).cmp(&(
            part(b),
            std::cmp::Reverse(b.checked),
            b_name,
        ))
    });
    rows
}

/// What has changed since the run before.
pub(super) fn changed(report: &TagReport) -> String {
    let trend = &report.trend;
    let Some(since) = &trend.since else {
        return "This is the first run that is remembered: there is nothing to compare with yet."
            .to_owned();
    };
    let at_least = if trend.sampled { "at least " } else { "" };
    let mut text = format!(
        "Since {}: {at_least}{} new",
        when(report, since),
        number(trend.new.unwrap_or_default())
    );
    match trend.fixed {
        Some(fixed) => text.push_str(&format!(", {at_least}{} fixed", number(fixed))),
        None => text.push_str("; of some addresses only it is not known what was fixed"),
    }
    text.push('.');
    if let Some(points) = points(report) {
        text.push_str(&format!(" {points}."));
    }
    if trend.policy_changed {
        text.push_str(" The policy has changed since then: the shares are not of the same thing.");
    }
    text
}

/// `Compliance by count: +2.1 points`, against the run before this one.
fn points(report: &TagReport) -> Option<String> {
    let [.., before, this] = report.trend.runs.as_slice() else {
        return None;
    };
    let difference = decimal(this.percent.as_deref()?)? - decimal(before.percent.as_deref()?)?;
    let sign = if difference > Decimal::ZERO { "+" } else { "" };
    Some(match difference.is_zero() {
        true => "Compliance by count is the same".to_owned(),
        false => format!("Compliance by count: {sign}{difference} points"),
    })
}

/// How old a resource's oldest finding is.
pub(super) fn age(offender: &Offender) -> String {
    match (offender.age_days, offender.since_first_run) {
        (Some(0), true) | (None, _) => "not known yet".to_owned(),
        (Some(0), false) => "new today".to_owned(),
        (Some(days), true) => format!("{} or more", plural_days(days)),
        (Some(days), false) => plural_days(days),
    }
}

pub(super) fn plural_days(days: i64) -> String {
    plural(days.unsigned_abs(), "day", "days")
}

/// Whose it is, or that nobody says so.
pub(super) fn owner(offender: &Offender) -> String {
    match &offender.owner {
        Some(owner) => escape(&owner.name),
        None => "nobody".to_owned(),
    }
}

/// What is wrong with it, in sentences.
pub(super) fn wrong(offender: &Offender) -> String {
    messages(offender, |_| true)
}

/// What is wrong with it that was not before.
pub(super) fn wrong_now(offender: &Offender) -> String {
    messages(offender, |problem| problem.new == Some(true))
}

fn messages(offender: &Offender, which: impl Fn(&Problem) -> bool) -> String {
    let wanted = offender.findings.iter().filter(|f| which(f));
    let mut texts: Vec<String> = wanted.map(|f| escape(&f.message)).collect();
    texts.dedup();
    texts.join("; ")
}

/// `type, environment, region`.
pub(super) fn place(offender: &Offender) -> String {
    format!(
        "{} · {} · {}",
        escape(&offender.kind),
        escape(&offender.environment),
        escape(&offender.region)
    )
}

/// `43 days left`.
pub(super) fn left(exemption: &Exemption) -> String {
    match (exemption.state, exemption.days_left) {
        (ExemptionState::Ended, days) => format!("ended {} ago", plural_days(days)),
        (_, 0) => "ends today".to_owned(),
        (_, days) => format!("{} left", plural_days(days)),
    }
}

/// As a sentence begins.
pub(super) fn capital(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(characters).collect()
}

/// What the spend-weighted shares rest on.
pub(super) fn basis(report: &TagReport) -> String {
    let spend = &report.spend;
    let mut text = match (&spend.as_of, money(&spend.month_to_date)) {
        (Some(day), Some(total)) => {
            let behind =
                money(&spend.behind_checked).unwrap_or_else(|| "an unknown part".to_owned());
            format!(
                "{total} {} from the 1st of the month to {}; resources that were judged stand for {behind} of it.",
                currency(report),
                escape(day)
            )
        }
        _ => String::new(),
    };
    if let Some(day) = other_month(report) {
        text.push_str(&format!(
            " All amounts are of {}: of this month nothing is known yet.",
            day.strftime("%B %Y")
        ));
    }
    if let Some(note) = &spend.note {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&super::machine::closed(&capital(&escape(note))));
    }
    text
}

/// The month that the costs are about: `this month`, or `in October 2026`.
pub(super) fn month(report: &TagReport) -> String {
    match other_month(report) {
        None => "this month".to_owned(),
        Some(day) => format!("in {}", day.strftime("%B %Y")),
    }
}

/// The last day of the costs, where that was in another month than this report.
fn other_month(report: &TagReport) -> Option<jiff::civil::Date> {
    let day: jiff::civil::Date = report.spend.as_of.as_deref()?.parse().ok()?;
    let now: Timestamp = report.generated_at.parse().ok()?;
    let today = now.to_zoned(jiff::tz::TimeZone::UTC).date();
    (day.first_of_month() != today.first_of_month()).then_some(day)
}

/// Where the numbers by spend come from, once for the whole report.
pub(super) fn estimated(report: &TagReport) -> String {
    format!(
        "AWS tells costs by service, not by resource: what a service has cost in an environment {} is shared out evenly among its resources there. Where a key is a cost allocation tag its share by spend is measured: it is the spend that bears an allowed value of it, tax left out.",
        month(report)
    )
}
