//! Policies besides those of tags and lifecycle rules.

pub mod alarms;
mod alarms_check;
mod audits;
mod backups;
mod budgets;

pub use alarms::Alarms;
pub use alarms_check::is_statistic;
pub use audits::{Cost, PRACTICES, Readiness, UsersMetric, check_readiness};
pub use backups::{Backups, Check, Connect, Drill, DrillMethod, Restore, Via};
pub use budgets::{BudgetWhen, Budgets};

fn yes() -> bool {
    true
}
