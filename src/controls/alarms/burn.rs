//! The windows of burn-rate alarms and their factors.
//!
//! Source: Google, "The Site Reliability Workbook", chapter 5 "Alerting on SLOs", section 6 "Multiwindow,
//! Multi-Burn-Rate Alerts": for a window of 30 days, 2 % of the budget in 1 hour (14.4 times as fast as
//! allowed) and 5 % in 6 hours (6 times) page, 10 % in 3 days (1 time) is a ticket; the short window
//! that lets the alarm end soon is a twelfth of the long one.

use rust_decimal::Decimal;

use crate::config::later::alarms::Routing;

/// One pair of windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Speed {
    pub name: &'static str,
    /// Percent of the error budget that is used up within the long window.
    pub budget_percent: u32,
    /// Seconds.
    pub long: u32,
    /// Seconds: a twelfth.
    pub short: u32,
    pub severity: Routing,
}

pub const SPEEDS: [Speed; 3] = [
    Speed {
        name: "fast",
        budget_percent: 2,
        long: 3_600,
        short: 300,
        severity: Routing::Page,
    },
    Speed {
        name: "slow",
        budget_percent: 5,
        long: 21_600,
        short: 1_800,
        severity: Routing::Page,
    },
    Speed {
        name: "trickle",
        budget_percent: 10,
        long: 259_200,
        short: 21_600,
        severity: Routing::Ticket,
    },
];

/// How many times as fast as allowed the budget of `window` seconds burns.
pub fn factor(speed: &Speed, window: u64) -> Decimal {
    Decimal::from(speed.budget_percent) * Decimal::from(window)
        / Decimal::from(u64::from(speed.long) * 100)
}

/// The share of failures from which it burns that fast, in percent: to six digits, so that it comes
/// through a double unchanged.
pub fn threshold_percent(speed: &Speed, window: u64, objective_percent: Decimal) -> Decimal {
    (factor(speed, window) * (Decimal::ONE_HUNDRED - objective_percent))
        .round_dp(6)
        .normalize()
}
