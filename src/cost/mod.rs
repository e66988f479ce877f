//! Costs: arithmetic on decimals. No clock, no network in here.

mod entry;
pub mod question;

pub use entry::{Band, CostEntry, ServiceCost, TagCost};
