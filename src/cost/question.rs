//! What is asked about costs, and how it is answered: the same questions go to Cost Explorer, to
//! the sandbox's ledger and to an export file.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// One dimension of grouping.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// The account that used it (LINKED_ACCOUNT).
    Account,
    Service,
    Region,
    UsageType,
    /// The kind of charge (RECORD_TYPE): Usage, Tax, Credit, Refund, …
    RecordType,
    /// The value of a cost allocation tag; empty: without the tag.
    Tag(String),
    /// Only in exports.
    Resource,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Granularity {
    Daily,
    Monthly,
}

/// Which costs count.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Filter {
    /// Only these accounts; empty: all.
    pub accounts: BTreeSet<String>,
    /// Without charges of these kinds, e.g. `Credit`, `Refund`, `Tax`.
    pub without_record_types: BTreeSet<String>,
}

/// One question; with all its pages it is one line of the audit's price.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "question", rename_all = "snake_case")]
pub enum Question {
    /// Unblended cost by period and group. `start` inclusive, `end` exclusive.
    Usage {
        start: Date,
        end: Date,
        granularity: Granularity,
        /// At most two. Source: API model, `ce:GetCostAndUsage`.
        group_by: Vec<Group>,
        filter: Filter,
    },
    /// The sum of the days from `start` (today) to `end` (exclusive), with an interval.
    Forecast {
        start: Date,
        end: Date,
        /// Percent, 51 to 99.
        interval: u8,
        filter: Filter,
    },
    /// Anomalies that Cost Anomaly Detection saw. Both days inclusive.
    Anomalies {
        start: Date,
        end: Date,
    },
    SavingsPlansUtilization {
        start: Date,
        end: Date,
    },
    SavingsPlansCoverage {
        start: Date,
        end: Date,
    },
    ReservationUtilization {
        start: Date,
        end: Date,
    },
    ReservationCoverage {
        start: Date,
        end: Date,
    },
    /// Which tag keys are dimensions of cost.
    CostAllocationTags,
}

/// One amount of a [`Question::Usage`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// First day of the period.
    pub start: Date,
    /// In the order of `group_by`; a tag's value without the `key$` in front.
    pub keys: Vec<String>,
    pub amount: Decimal,
    /// The period is not finished.
    pub estimated: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anomaly {
    pub id: String,
    pub start: Date,
    /// `None`: it goes on.
    pub end: Option<Date>,
    pub account: Option<String>,
    pub service: Option<String>,
    pub region: Option<String>,
    pub usage_type: Option<String>,
    pub impact: Decimal,
    /// Name of the monitor, where it is told.
    pub monitor: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    Usage {
        currency: String,
        rows: Vec<Row>,
    },
    Forecast {
        currency: String,
        mean: Decimal,
        low: Decimal,
        high: Decimal,
    },
    Anomalies {
        anomalies: Vec<Anomaly>,
    },
    /// Of coverage or utilisation.
    Percent {
        percent: Decimal,
    },
    /// Key and whether it is active.
    CostAllocationTags {
        keys: BTreeMap<String, bool>,
    },
    /// There is nothing to tell (`DataUnavailableException` and its like): not an error, and not zero.
    NoData {
        reason: String,
    },
}

impl Answer {
    /// Whether its amounts can be amounts: what is read back from a file may be anything.
    pub fn is_sane(&self) -> bool {
        let sane = |amount: &Decimal| super::amount::sane(*amount).is_some();
        match self {
            Answer::Usage { rows, .. } => rows.iter().all(|row| sane(&row.amount)),
            Answer::Forecast {
                mean, low, high, ..
            } => [mean, low, high].into_iter().all(sane),
            Answer::Anomalies { anomalies } => anomalies.iter().all(|a| sane(&a.impact)),
            Answer::Percent { percent } => sane(percent),
            Answer::CostAllocationTags { .. } | Answer::NoData { .. } => true,
        }
    }
}

/// An answer with its age and price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    pub answer: Answer,
    pub asked_at: Timestamp,
    /// Pages that were read: each is billed.
    pub pages: u32,
}
