//! The days that an audit is about, all from one "today" in UTC (Cost Explorer's days are UTC).
//!
//! **Today is not complete.** It counts in the month to date, since the money is spent, and not in
//! comparisons. Those are between as many complete days of this month as of the last: on the 22nd
//! days 1 to 21 of both. If last month was shorter it ends both sides: on 31 March days 1 to 28 of
//! March are compared with 1 to 28 of February. On the 1st no day is complete and nothing is
//! compared.
//!
//! **The month end** is what complete days cost, plus a forecast from today (inclusive) to the end
//! of the month: a forecast holds the whole of today, so what today has cost so far is not added
//! to it. On the 1st that is the forecast alone; on the last day it is a forecast of one day. `Start`
//! of a forecast may not be after today, `End` is exclusive (API model, `ce:GetCostForecast`).

use jiff::ToSpan;
use jiff::civil::Date;

/// The dates around one today.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days {
    pub today: Date,
    /// The first of this month.
    pub month: Date,
    /// The first of last month.
    pub previous: Date,
    /// The exclusive end of what has been spent.
    pub tomorrow: Date,
    /// The exclusive end of this month.
    pub next_month: Date,
}

impl Days {
    pub fn of(today: Date) -> Days {
        let month = today.first_of_month();
        Days {
            today,
            month,
            previous: month.saturating_sub(1.month()),
            tomorrow: today.saturating_add(1.day()),
            next_month: month.saturating_add(1.month()),
        }
    }

    /// Days of this month before today.
    pub fn complete(&self) -> i32 {
        i32::from(self.today.day()) - 1
    }

    /// Days of each month that are compared, when this month is known for `complete` days.
    pub fn compared(&self, complete: i32) -> i32 {
        complete
            .min(i32::from(self.previous.days_in_month()))
            .max(0)
    }

    /// Days from today to the end of the month, both counted.
    pub fn remaining(&self) -> i32 {
        i32::from(self.month.days_in_month()) - self.complete()
    }

    pub fn is_this_month(&self, day: Date) -> bool {
        self.month <= day && day < self.next_month
    }

    pub fn is_previous_month(&self, day: Date) -> bool {
        self.previous <= day && day < self.month
    }
}
