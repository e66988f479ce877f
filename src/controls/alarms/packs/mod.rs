//! The packs: one alarm for each matching resource, discovered at plan time.
//!
//! The choice of metrics follows AWS's "Recommended alarms" (CloudWatch user guide); thresholds are
//! engineering defaults, and `[alarms.tune.ID]` gives others. What hangs on the size of a resource is
//! derived from it, and says how.

mod cache;
pub mod classes;
mod database;
mod queue;
mod serverless;
mod storage;
mod web;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;

use self::classes::gib;
use super::draft::{ABOVE, BELOW, Core, Stat, failure_percent, often};
use crate::config::later::alarms::{MissingData, Pack, Routing};
use crate::inventory::{Attributes, EnvironmentInventory, Observed, Resource};
use crate::model::object::AlarmMetric;

/// For what one alarm of a pack is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// For each resource of this type.
    Resource(&'static str),
    /// For each cache node.
    Node,
    /// For each load balancer, target group or API found through its metrics.
    LoadBalancer,
    TargetGroup,
    RestApi,
    HttpApi,
    /// For each bucket with request metrics.
    MeteredBucket,
    /// Once for a region in which there is such a resource.
    Region(&'static str),
}

impl Of {
    /// The namespace through whose metrics it is found.
    pub fn discovered_in(self) -> Option<&'static str> {
        match self {
            Of::LoadBalancer | Of::TargetGroup => Some("AWS/ApplicationELB"),
            Of::RestApi | Of::HttpApi => Some("AWS/ApiGateway"),
            Of::MeteredBucket => Some("AWS/S3"),
            _ => None,
        }
    }

    /// The type that has to be listed in full to say that one is gone.
    pub fn listed_as(self) -> Option<&'static str> {
        match self {
            Of::Resource(kind) | Of::Region(kind) => Some(kind),
            Of::Node => Some("elasticache-cluster"),
            _ => None,
        }
    }
}

/// One alarm of a pack.
pub struct PackAlarm {
    /// Stable: it is part of the alarm's name, and the key of `[alarms.tune.ID]`.
    pub id: &'static str,
    pub packs: &'static [Pack],
    pub of: Of,
    pub threshold: i64,
    /// What the threshold is in; one that begins with `%` is a percentage.
    pub unit: &'static str,
    pub severity: Routing,
    /// Seconds.
    pub period: u32,
    /// M of N.
    pub datapoints: (u32, u32),
    /// Whether it is made without being asked for in `[alarms.tune.ID]`.
    pub by_default: bool,
    pub make: fn(&Scene, &Subject, &Frame) -> Made,
}

/// What surrounds a subject.
pub struct Scene<'a> {
    pub inventory: &'a EnvironmentInventory,
    /// The queues whose dead letters a queue takes, by its ARN.
    pub dead_letters: BTreeMap<&'a str, BTreeSet<&'a str>>,
    /// Regions in which the attributes of some queue were not seen.
    pub queues_unseen: BTreeSet<&'a str>,
}

/// What an alarm is about.
#[derive(Debug, Clone)]
pub struct Subject<'a> {
    pub resource: Cow<'a, Resource>,
    pub attributes: Option<&'a Attributes>,
    /// In the alarm's name.
    pub label: String,
    pub dimensions: BTreeMap<String, String>,
}

impl Subject<'_> {
    fn stat(&self, namespace: &str, metric: &str, statistic: &str) -> Stat {
        Stat::new(namespace, metric, &self.dimensions, statistic)
    }
}

/// When it fires, after tuning.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    pub threshold: Decimal,
    pub period: u32,
    pub datapoints: (u32, u32),
}

/// What comes of one alarm for one resource.
pub enum Made {
    Alarm(Box<Core>, String),
    /// The resource has no such metric.
    NotFor,
    /// What it hangs on was not seen: why.
    Unseen(String),
    /// No threshold can be derived: why.
    NoThreshold(String),
}

/// All alarms of all packs.
pub fn all() -> impl Iterator<Item = &'static PackAlarm> {
    [
        database::ALARMS,
        storage::ALARMS,
        cache::ALARMS,
        queue::ALARMS,
        serverless::ALARMS,
        web::ALARMS,
    ]
    .into_iter()
    .flatten()
}

pub fn find(id: &str) -> Option<&'static PackAlarm> {
    all().find(|a| a.id == id)
}

const GIB: u64 = 1024 * 1024 * 1024;

/// Bytes for people: `12.8 GiB`, `400 MiB`.
fn bytes(n: Decimal) -> String {
    let gib = n / Decimal::from(GIB);
    if gib >= Decimal::ONE {
        format!("{} GiB", gib.round_dp(2).normalize())
    } else {
        let mib = n / Decimal::from(1024 * 1024);
        format!("{} MiB", mib.round_dp(1).normalize())
    }
}

fn percent_of(percent: Decimal, whole: u64) -> Decimal {
    (Decimal::from(whole) * percent / Decimal::ONE_HUNDRED)
        .floor()
        .normalize()
}

/// A single metric above or below a number.
fn simple(
    subject: &Subject,
    frame: &Frame,
    (namespace, metric, statistic): (&str, &str, &str),
    (comparison, threshold): (&'static str, Decimal),
    missing: MissingData,
) -> Core {
    Core {
        metric: subject
            .stat(namespace, metric, statistic)
            .single(frame.period),
        comparison,
        threshold: Some(threshold.normalize()),
        band: None,
        datapoints: frame.datapoints,
        missing: missing.as_str(),
        low_samples: super::is_percentile(statistic).then_some("ignore"),
    }
}

/// Above the threshold as it is written.
fn above(
    subject: &Subject,
    frame: &Frame,
    metric: (&str, &str, &str),
    unit: &str,
    missing: MissingData,
) -> Made {
    let core = simple(subject, frame, metric, (ABOVE, frame.threshold), missing);
    let sentence = format!(
        "{} of {} above {}{unit} in {}",
        metric.1,
        subject.label,
        frame.threshold.normalize(),
        often(frame.datapoints, frame.period)
    );
    Made::Alarm(Box::new(core), sentence)
}

/// Above or below a number that was derived: `why` says from what.
fn derived(
    subject: &Subject,
    frame: &Frame,
    metric: (&str, &str, &str),
    compared: (&'static str, Decimal),
    missing: MissingData,
    (shown, why): (String, String),
) -> Made {
    let word = if compared.0 == BELOW {
        "below"
    } else {
        "above"
    };
    let core = simple(subject, frame, metric, compared, missing);
    let sentence = format!(
        "{} of {} {word} {shown} in {}: {why}",
        metric.1,
        subject.label,
        often(frame.datapoints, frame.period)
    );
    Made::Alarm(Box::new(core), sentence)
}

/// A share of two sums, in percent.
fn share(
    subject: &Subject,
    frame: &Frame,
    namespace: &str,
    (failed, total): (&str, &str),
    minimum: u64,
) -> Made {
    let metric = failure_percent(
        subject.stat(namespace, failed, "Sum"),
        subject.stat(namespace, total, "Sum"),
        frame.period,
        minimum,
    );
    percent_made(
        subject,
        frame,
        metric,
        format!("{failed} / {total}"),
        minimum,
    )
}

fn percent_made(
    subject: &Subject,
    frame: &Frame,
    metric: AlarmMetric,
    what: String,
    minimum: u64,
) -> Made {
    let core = Core {
        metric,
        comparison: ABOVE,
        threshold: Some(frame.threshold.normalize()),
        band: None,
        datapoints: frame.datapoints,
        missing: MissingData::NotBreaching.as_str(),
        low_samples: None,
    };
    let sentence = format!(
        "{what} of {} above {} % in {}, at least {minimum} per period",
        subject.label,
        frame.threshold.normalize(),
        often(frame.datapoints, frame.period)
    );
    Made::Alarm(Box::new(core), sentence)
}

/// Free memory below a share of what the class has; `None`: that is not known.
fn memory_below(
    subject: &Subject,
    frame: &Frame,
    namespace: &'static str,
    class: &str,
    memory: Option<u64>,
) -> Made {
    let Some(memory) = memory else {
        return Made::NoThreshold(format!("the memory of {class} is not known"));
    };
    let limit = percent_of(frame.threshold, memory);
    derived(
        subject,
        frame,
        (namespace, "FreeableMemory", "Average"),
        (BELOW, limit),
        MissingData::Missing,
        (
            bytes(limit),
            format!(
                "{} % of the {} of {class}",
                frame.threshold.normalize(),
                gib(memory)
            ),
        ),
    )
}

/// The attributes, or that they were not seen.
macro_rules! attributes {
    ($subject:expr) => {
        match $subject.attributes {
            Some(attributes) => attributes,
            None => {
                return Made::Unseen(format!(
                    "what its threshold is derived from was not seen of {}",
                    $subject.label
                ));
            }
        }
    };
}
use attributes;

/// What an observation says, or that it was not made.
fn seen<'a, T>(fact: &'a Observed<T>, what: &str) -> Result<Option<&'a T>, Made> {
    match fact {
        Observed::Known(value) => Ok(Some(value)),
        Observed::Absent => Ok(None),
        Observed::Unknown(why) => Err(Made::Unseen(format!("{what}: {why}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_their_defaults_are_such_as_cloudwatch_takes() {
        let mut seen = std::collections::BTreeSet::new();
        for alarm in all() {
            assert!(seen.insert(alarm.id), "{} is there twice", alarm.id);
            let (m, n) = alarm.datapoints;
            assert!(0 < m && m <= n, "{}", alarm.id);
            assert!(alarm.period >= 60 && alarm.period.is_multiple_of(60));
            let limit = if alarm.period >= 3600 {
                604_800
            } else {
                86_400
            };
            assert!(alarm.period * n <= limit, "{}", alarm.id);
            if alarm.unit.starts_with('%') {
                assert!((0..100).contains(&alarm.threshold), "{}", alarm.id);
            }
        }
    }

    /// A suffix is read back to the alarm that it belongs to, so none may begin another.
    #[test]
    fn no_id_begins_another_one() {
        for a in all() {
            for b in all() {
                assert!(
                    a.id == b.id || !b.id.starts_with(&format!("{}-", a.id)),
                    "{} begins {}",
                    a.id,
                    b.id
                );
            }
        }
    }
}
