//! # Saving of a transition rule
//!
//! What a transition rule saves per month, from a bucket's size and object count.
//!
//! The metrics tell how much a bucket holds, not how old it is. The estimate assumes a bucket in
//! its steady state whose objects are of all ages between 0 and [`HORIZON_DAYS`] alike, all of the
//! average size:
//!
//! ```text
//! share of a class   = days spent in it / 365
//! storage saving     = GB x share x (price of STANDARD - price of the class)
//! transition cost    = objects x 30.4/365 x price of one transition, for each step
//! minimum duration   = objects that leave a class early are billed for its minimum all the same
//! archive overhead   = 8 KB at STANDARD and 32 KB at the archive's price per object (GLACIER, DEEP_ARCHIVE)
//! ```
//!
//! Objects below 128 KB are not moved by default, so an average below that counts as no saving.
//! Retrieval is not included. Prices: us-east-1 list prices as of 2026-10, USD; the policy may
//! override them. Sources: S3 pricing page; S3 user guide, "Transitioning objects".

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::config::policy::ClassPrice;
use crate::inventory::BucketSize;
use crate::model::grouped;
use crate::model::lifecycle::Transition;

/// The age in days up to which objects are assumed to be spread evenly.
pub const HORIZON_DAYS: i32 = 365;

/// Smaller objects stay where they are, unless the bucket says otherwise.
const MINIMUM_OBJECT_BYTES: u64 = 128 * 1024;

/// The day of the built-in price list.
pub const PRICE_DATE: &str = "2026-10";

/// Prices of one storage class in USD.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    pub gb_month: Decimal,
    pub per_1000_transitions: Decimal,
    pub minimum_days: i32,
    pub archive_overhead: bool,
}

/// The built-in list price of a class, with what the policy overrides.
pub fn price(class: &str, overrides: &BTreeMap<String, ClassPrice>) -> Option<Price> {
    let d = |mantissa: i64, scale: u32| Decimal::new(mantissa, scale);
    let mut price = match class {
        "STANDARD" => Price {
            gb_month: d(23, 3),
            per_1000_transitions: d(0, 0),
            minimum_days: 0,
            archive_overhead: false,
        },
        // An object that nobody reads sinks to the infrequent tier after 30 days.
        "INTELLIGENT_TIERING" => Price {
            gb_month: d(125, 4),
            per_1000_transitions: d(1, 2),
            minimum_days: 0,
            archive_overhead: false,
        },
        "STANDARD_IA" => Price {
            gb_month: d(125, 4),
            per_1000_transitions: d(1, 2),
            minimum_days: 30,
            archive_overhead: false,
        },
        "ONEZONE_IA" => Price {
            gb_month: d(1, 2),
            per_1000_transitions: d(1, 2),
            minimum_days: 30,
            archive_overhead: false,
        },
        "GLACIER_IR" => Price {
            gb_month: d(4, 3),
            per_1000_transitions: d(2, 2),
            minimum_days: 90,
            archive_overhead: false,
        },
        "GLACIER" => Price {
            gb_month: d(36, 4),
            per_1000_transitions: d(3, 2),
            minimum_days: 90,
            archive_overhead: true,
        },
        "DEEP_ARCHIVE" => Price {
            gb_month: d(99, 5),
            per_1000_transitions: d(5, 2),
            minimum_days: 180,
            archive_overhead: true,
        },
        _ => return None,
    };
    if let Some(own) = overrides.get(class) {
        price.gb_month = own.gb_month.map_or(price.gb_month, |a| a.0);
        price.per_1000_transitions = own
            .per_1000_transitions
            .map_or(price.per_1000_transitions, |a| a.0);
    }
    Some(price)
}

/// A saving with the arithmetic that led to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Saving {
    /// USD a month; negative when the rule loses money.
    pub usd_per_month: Decimal,
    pub basis: String,
}

/// Estimates what the transitions of one rule save in one bucket.
///
/// `expire_days` is the age at which the same rule deletes objects, if it does.
pub fn estimate(
    size: BucketSize,
    transitions: &[Transition],
    expire_days: Option<i32>,
    overrides: &BTreeMap<String, ClassPrice>,
) -> Option<Saving> {
    let gib = Decimal::from(1024u64 * 1024 * 1024);
    let gb = Decimal::from(size.standard_bytes) / gib;
    if size.objects == 0 || size.standard_bytes == 0 {
        return Some(Saving {
            usd_per_month: Decimal::ZERO,
            basis: "nothing in STANDARD to move".to_owned(),
        });
    }
    let average = size.standard_bytes / size.objects;
    let holds = format!(
        "{} GB in {} objects of {} on average",
        gb.round_dp(1).normalize(),
        grouped(size.objects),
        bytes(average)
    );
    if average < MINIMUM_OBJECT_BYTES {
        return Some(Saving {
            usd_per_month: Decimal::ZERO,
            basis: format!("{holds}: S3 does not move objects below 128 KB"),
        });
    }
    let standard = price("STANDARD", overrides)?;
    let mut steps: Vec<(i32, &str)> = transitions
        .iter()
        .filter_map(|t| Some((t.days?, t.storage_class.as_deref()?)))
        .collect();
    steps.sort_unstable();
    let horizon = expire_days
        .map_or(HORIZON_DAYS, |d| d.min(HORIZON_DAYS))
        .max(1);
    let objects = Decimal::from(size.objects);
    let days = Decimal::from(horizon);
    // The share of all objects that pass a given age within one month.
    let passing = Decimal::new(304, 1) / days;
    let mut storage = Decimal::ZERO;
    let mut requests = Decimal::ZERO;
    let mut penalty = Decimal::ZERO;
    for (i, (from, class)) in steps.iter().enumerate() {
        let class_price = price(class, overrides)?;
        if *from >= horizon {
            break;
        }
        let until = steps.get(i + 1).map_or(horizon, |next| next.0.min(horizon));
        let stay = until - from;
        let share = Decimal::from(stay) / days;
        storage += gb * share * (standard.gb_month - class_price.gb_month);
        requests += objects * passing * class_price.per_1000_transitions / Decimal::from(1000);
        // Only objects that leave the class do so early; at the horizon they stay.
        let leaves = i + 1 < steps.len() || expire_days.is_some();
        if leaves && stay < class_price.minimum_days {
            let missing = Decimal::from(class_price.minimum_days - stay) / Decimal::new(304, 1);
            penalty += gb * passing * missing * class_price.gb_month;
        }
        if class_price.archive_overhead {
            let kb = objects * share / Decimal::from(1024 * 1024);
            penalty += kb
                * (Decimal::from(8) * standard.gb_month + Decimal::from(32) * class_price.gb_month);
        }
    }
    let total = (storage - requests - penalty).round_dp(2);
    let mut basis = format!(
        "{holds}, ages spread evenly over {horizon} days: storage {} less {} for transitions",
        storage.round_dp(2),
        requests.round_dp(2)
    );
    if !penalty.is_zero() {
        basis.push_str(&format!(
            " and {} for minimum durations and overhead",
            penalty.round_dp(2)
        ));
    }
    basis.push_str(&format!(
        " = {total} USD/month (us-east-1 list prices of {PRICE_DATE}, retrieval not included)"
    ));
    Some(Saving {
        usd_per_month: total,
        basis,
    })
}

fn bytes(n: u64) -> String {
    let n = Decimal::from(n).to_f64().unwrap_or_default();
    let (value, unit) = match n {
        n if n >= 1_073_741_824.0 => (n / 1_073_741_824.0, "GB"),
        n if n >= 1_048_576.0 => (n / 1_048_576.0, "MB"),
        n => (n / 1024.0, "KB"),
    };
    if value >= 100.0 {
        format!("{value:.0} {unit}")
    } else {
        format!("{value:.1} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(days: i32, class: &str) -> Transition {
        Transition {
            days: Some(days),
            date: None,
            storage_class: Some(class.to_owned()),
        }
    }

    fn size(gb: u64, objects: u64) -> BucketSize {
        BucketSize {
            standard_bytes: gb * 1024 * 1024 * 1024,
            objects,
        }
    }

    /// By hand: 1,000 GB, 60/365 days in IA, 275/365 in GLACIER_IR; 1,000,000 objects.
    #[test]
    fn the_shipped_rule_on_a_terabyte() {
        let steps = [step(30, "STANDARD_IA"), step(90, "GLACIER_IR")];
        let saving = estimate(size(1000, 1_000_000), &steps, None, &BTreeMap::new()).unwrap();
        // 1000*60/365*0.0105 + 1000*275/365*0.019 = 1.726 + 14.315 = 16.041
        // 1e6*30.4/365*(0.01+0.02)/1000 = 2.4986
        assert_eq!(
            saving.usd_per_month,
            Decimal::new(1354, 2),
            "{}",
            saving.basis
        );
    }

    #[test]
    fn small_objects_save_nothing_and_medium_ones_can_lose() {
        let steps = [step(30, "STANDARD_IA")];
        let tiny = estimate(size(1, 1_000_000), &steps, None, &BTreeMap::new()).unwrap();
        assert_eq!(tiny.usd_per_month, Decimal::ZERO);
        let steps = [step(30, "STANDARD_IA"), step(60, "DEEP_ARCHIVE")];
        let loses = estimate(size(130, 1_000_000), &steps, Some(90), &BTreeMap::new()).unwrap();
        assert!(loses.usd_per_month.is_sign_negative(), "{}", loses.basis);
    }

    #[test]
    fn an_empty_bucket_saves_nothing() {
        let steps = [step(30, "STANDARD_IA")];
        let saving = estimate(size(0, 0), &steps, None, &BTreeMap::new()).unwrap();
        assert_eq!(saving.usd_per_month, Decimal::ZERO);
    }
}
