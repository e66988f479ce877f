//! Costs: arithmetic on decimals. No clock, no network in here.

pub mod amount;
mod entry;
pub mod export;
pub mod question;
pub mod tally;

pub use entry::{Band, CostEntry, ServiceCost, TagCost};
