//! How often an alarm would have fired: CloudWatch's rules over the account's own history. Pure.

mod rule;

pub use rule::{Rule, Share};

/// The states of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlarmState {
    Ok,
    Alarm,
    InsufficientData,
}
