//! `report cost`: what things cost, and the course of the month for its charts.

use jiff::ToSpan;
use jiff::civil::Date;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cloud::ApiUse;
use crate::cost::CostEntry;
use crate::inventory::Gap;
use crate::plan::{Accepted, ScopeEntry};

/// The report, as `--format json` prints it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CostReport {
    pub format_version: String,
    /// `report`.
    pub kind: String,
    /// `cost`.
    pub report: String,
    pub opsctl_version: String,
    pub generated_at: String,
    pub project: String,
    pub scope: Vec<ScopeEntry>,
    pub unobserved: Vec<Gap>,
    #[serde(default)]
    pub accepted_unobserved: Vec<Accepted>,
    pub api: ApiUse,
    /// The day whose data it is; null: nothing is known.
    pub as_of: Option<String>,
    /// One for each environment, then the whole.
    pub cost: Vec<CostEntry>,
    #[serde(default)]
    pub notes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<String>,
}

impl CostReport {
    /// Environments of which nothing is known.
    pub fn unknown(&self) -> Vec<&str> {
        self.cost
            .iter()
            .filter(|e| e.month_to_date.is_none())
            .filter_map(|e| e.environment.as_deref())
            .collect()
    }
}

/// The month, day by day, as sums from its first day.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Course {
    /// 1, 2, …, to the last day of the longer of both months.
    pub days: Vec<u32>,
    /// To the last day that has data.
    pub spent: Vec<Option<Decimal>>,
    pub last_month: Vec<Option<Decimal>>,
    /// From the last complete day to the end of the month, in a straight line.
    pub forecast: Vec<Option<Decimal>>,
    pub band: Vec<Option<(Decimal, Decimal)>>,
    /// What last month came to beyond the last day drawn is none of it: months end differently.
    pub month_days: usize,
}

fn amount(text: &Option<String>) -> Option<Decimal> {
    text.as_deref().and_then(|t| t.parse().ok())
}

/// The course of the month of an entry; `None` where its days are not known.
///
/// Today is not complete: the line of what was spent ends with yesterday, where the forecast begins.
/// On the first day of a month there is no complete day, and it begins at nothing.
pub fn course(entry: &CostEntry) -> Option<Course> {
    let month: Date = entry.month.as_deref()?.parse().ok()?;
    let first = month.first_of_month();
    let last_first = first.saturating_sub(1.month());
    if entry.daily.is_empty() {
        return None;
    }
    let here = usize::try_from(first.days_in_month()).ok()?;
    let there = usize::try_from(last_first.days_in_month()).ok()?;
    let slots = here.max(there);
    let sums = |from: Date, days: usize| {
        let mut out = vec![None; slots];
        let mut sum = Decimal::ZERO;
        for day in &entry.daily {
            if day.date.first_of_month() != from {
                continue;
            }
            sum += day.amount.parse::<Decimal>().unwrap_or_default();
            let at = usize::try_from(day.date.day()).unwrap_or(1) - 1;
            if at < days {
                out[at] = Some(sum);
            }
        }
        out
    };
    let mut spent = sums(first, here);
    let last_month = sums(last_first, there);
    // The newest day is today, and not complete; in a month that is over all are.
    let newest = spent.iter().rposition(Option::is_some);
    let forecast_end = amount(&entry.forecast_month_end);
    let mut forecast = vec![None; slots];
    let mut band = vec![None; slots];
    if let (Some(newest), Some(end)) = (newest, forecast_end)
        && newest + 1 < here
    {
        let from = newest.checked_sub(1);
        let begun = from.and_then(|i| spent[i]).unwrap_or_default();
        spent[newest] = None;
        let start = from.unwrap_or(0);
        let steps = Decimal::from((here - 1 - start) as u64);
        let limits = amount(&entry.forecast_low).zip(amount(&entry.forecast_high));
        for at in start..here {
            let along = Decimal::from((at - start) as u64)
                .checked_div(steps)
                .unwrap_or(Decimal::ONE);
            let line = |to: Decimal| (begun + (to - begun) * along).round_dp(2);
            forecast[at] = Some(line(end));
            band[at] = limits.map(|(low, high)| (line(low), line(high)));
        }
    }
    Some(Course {
        days: (1..=slots as u32).collect(),
        spent,
        last_month,
        forecast,
        band,
        month_days: here,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::DayCost;

    fn entry(today: &str, each: i64) -> CostEntry {
        let today: Date = today.parse().unwrap();
        let first = today.first_of_month();
        let mut day = first.saturating_sub(1.month());
        let mut daily = Vec::new();
        while day <= today {
            daily.push(DayCost {
                date: day,
                amount: each.to_string(),
                estimated: false,
            });
            day = day.saturating_add(1.day());
        }
        CostEntry {
            month: Some(first.to_string()),
            daily,
            forecast_month_end: Some("330.00".to_owned()),
            forecast_low: Some("310.00".to_owned()),
            forecast_high: Some("350.00".to_owned()),
            ..CostEntry::default()
        }
    }

    #[test]
    fn the_forecast_goes_on_where_the_complete_days_end() {
        let course = course(&entry("2026-11-22", 10)).unwrap();
        assert_eq!(course.days.len(), 31);
        assert_eq!(course.spent[20], Some(Decimal::from(210)));
        assert_eq!(course.spent[21], None);
        assert_eq!(course.forecast[20], Some(Decimal::from(210)));
        assert_eq!(
            course.band[20],
            Some((Decimal::from(210), Decimal::from(210)))
        );
        assert_eq!(course.forecast[29], Some(Decimal::new(33_000, 2)));
        assert_eq!(
            course.band[29],
            Some((Decimal::new(31_000, 2), Decimal::new(35_000, 2)))
        );
        assert_eq!(course.forecast[30], None);
        assert_eq!(course.last_month[30], Some(Decimal::from(310)));
    }

    #[test]
    fn first_and_last_days_and_no_days_at_all() {
        let first = course(&entry("2026-02-01", 10)).unwrap();
        assert_eq!(first.spent, vec![None; 31]);
        assert_eq!(first.forecast[0], Some(Decimal::ZERO.round_dp(2)));
        assert!(first.forecast[27].is_some() && first.forecast[28].is_none());
        let last = course(&entry("2026-11-30", 10)).unwrap();
        assert_eq!(last.spent[29], Some(Decimal::from(300)));
        assert_eq!(last.forecast, vec![None; 31]);
        assert_eq!(course(&CostEntry::default()), None);
    }
}
