//! Policies whose controls come with a later version: they parse and validate, and the plan says
//! that they are not reconciled yet.

mod alarms;
mod audits;
mod backups;
mod budgets;

pub use alarms::Alarms;
pub use audits::{Cost, PRACTICES, Readiness, check_readiness};
pub use backups::{Backups, Connect, DrillMethod, Restore, Via};
pub use budgets::Budgets;

fn yes() -> bool {
    true
}
