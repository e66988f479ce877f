//! Costs: which questions are asked, and what the answers amount to. Arithmetic on decimals: no
//! clock and no network in here, today is an input. Only [`cache`] touches files.

pub mod amount;
pub mod audit;
mod by_account;
pub mod cache;
pub mod cents;
pub mod days;
mod entry;
pub mod explain;
pub mod export;
mod findings;
mod forecast;
mod measure;
pub mod question;
mod splits;
pub mod steps;
pub mod tally;
pub mod usage_type;
mod whole;

#[cfg(test)]
pub(crate) mod tests;

/// What an entry says of its amounts where no question was ever asked.
pub const NOTHING_ASKED: &str = "nothing has been asked yet: `opsctl audit cost` asks";

pub use audit::{AuditInput, CostReport, EnvironmentInput, Users, audit};
pub use by_account::tag_keys;
pub use entry::{
    Adjustments, AnomalyEntry, Band, Commitments, CostEntry, DayCost, Mover, OtherAccount,
    RegionCost, ResourceCost, ServiceCost, Share, Shares, TagCost, TagStatus,
};
