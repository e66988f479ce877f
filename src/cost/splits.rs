//! Rows of answers, put together by account, service and day.

use std::collections::BTreeMap;

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::days::Days;
use super::question::{Answer, Row};

/// Service, day, amount.
pub type Cells = BTreeMap<String, BTreeMap<Date, Decimal>>;

/// A daily answer by its first key (account, or the value of a tag).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    pub currency: String,
    pub by_first: BTreeMap<String, Cells>,
    pub estimated: bool,
    /// The newest day of this month before today with any row.
    pub newest: Option<Date>,
    /// There is a row of last month.
    pub has_previous: bool,
    /// There is a row of today.
    pub has_today: bool,
}

/// `None` where there is nothing to tell.
pub fn table(answer: &Answer, days: &Days) -> Option<Table> {
    let Answer::Usage { currency, rows } = answer else {
        return None;
    };
    let mut table = Table {
        currency: currency.clone(),
        ..Table::default()
    };
    for row in rows {
        let [first, second, ..] = row.keys.as_slice() else {
            continue;
        };
        if !days.is_this_month(row.start) && !days.is_previous_month(row.start) {
            continue;
        }
        table.has_previous |= days.is_previous_month(row.start);
        if days.is_this_month(row.start) {
            table.estimated |= row.estimated;
            if row.start < days.today {
                table.newest = table.newest.max(Some(row.start));
            }
            table.has_today |= row.start == days.today;
        }
        let cells = table.by_first.entry(first.clone()).or_default();
        let day = cells.entry(second.clone()).or_default();
        let amount = day.entry(row.start).or_default();
        *amount += row.amount;
    }
    Some(table)
}

/// Amounts of the two months of an account by the second key of a monthly answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TwoMonths {
    pub this: Decimal,
    pub previous: Decimal,
}

/// The second key's amounts of one account; `None` where there is no such answer.
pub fn of_account(
    answer: Option<&Answer>,
    account: &str,
    currency: &str,
    days: &Days,
) -> Option<BTreeMap<String, TwoMonths>> {
    let Answer::Usage {
        currency: found,
        rows,
    } = answer?
    else {
        return None;
    };
    if found != currency && !rows.is_empty() {
        return None;
    }
    let mut out: BTreeMap<String, TwoMonths> = BTreeMap::new();
    for Row {
        start,
        keys,
        amount,
        ..
    } in rows
    {
        let [first, second, ..] = keys.as_slice() else {
            continue;
        };
        if first != account {
            continue;
        }
        let both = out.entry(second.clone()).or_default();
        if days.is_this_month(*start) {
            both.this += amount;
        } else if days.is_previous_month(*start) {
            both.previous += amount;
        }
    }
    Some(out)
}
