//! Metrics of the embedded account: a history made from what a scenario says, the same every time it
//! is asked for on the same day.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::world::Account;
use super::{Sandbox, alarms, backups, gaps, usual};
use crate::cloud::{CloudError, Series, SeriesQuery, Target, TimeSpan};
use crate::inventory::{EnvironmentInventory, MetricsKey, Observed};
use crate::model::Control;
use crate::model::object::MetricId;

/// How far back points go: as long as CloudWatch keeps points of five minutes; that it keeps those of
/// a minute for 15 days only is not imitated. Source: CloudWatch user guide, "Metrics retention".
const HISTORY_DAYS: i64 = 63;
const MINUTE: i64 = 60;
const DAY: i64 = 86_400;

/// `[[metric]]`: a metric with a daily rhythm, incidents, and hours without data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedMetric {
    #[serde(default)]
    pub environment: Option<String>,
    #[serde(default)]
    pub region: Option<String>,
    pub namespace: String,
    pub metric: String,
    #[serde(default)]
    pub dimensions: BTreeMap<String, String>,
    /// In the busiest minute of a day.
    pub peak_per_minute: u32,
    /// Percent of the peak in the quietest minute.
    #[serde(default = "quarter")]
    pub night_percent: u32,
    /// Of every 10,000 in the metric named in `of`, so many are in this one.
    #[serde(default)]
    pub per_ten_thousand: Option<u32>,
    /// The metric that it is a part of; same namespace and dimensions.
    #[serde(default)]
    pub of: Option<String>,
    #[serde(default)]
    pub incident: Vec<Incident>,
}

fn quarter() -> u32 {
    25
}

/// A time at which a metric behaves otherwise, relative to the start of the present day in UTC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Incident {
    pub days_ago: u32,
    /// Minute of the day.
    pub at_minute: u32,
    pub minutes: u32,
    /// Instead of the usual share.
    #[serde(default)]
    pub per_ten_thousand: Option<u32>,
    /// Percent of the usual number; 0: no points at all.
    #[serde(default)]
    pub percent: Option<u32>,
}

/// A metric's own noise.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// An even hash, so that the same minute always says the same.
fn noise(own: u64, minute: i64) -> u64 {
    let mut hash = (own ^ minute.cast_unsigned()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 29;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

impl SeedMetric {
    pub fn id(&self) -> MetricId {
        MetricId {
            namespace: self.namespace.clone(),
            metric: self.metric.clone(),
            dimensions: self.dimensions.clone(),
        }
    }

    fn is(&self, id: &MetricId) -> bool {
        self.metric == id.metric
            && self.namespace == id.namespace
            && self.dimensions == id.dimensions
    }

    fn incidents(&self, minute: i64, today: i64) -> impl Iterator<Item = &Incident> {
        self.incident.iter().filter(move |i| {
            let from = today - i64::from(i.days_ago) * DAY + i64::from(i.at_minute) * MINUTE;
            (from..from + i64::from(i.minutes) * MINUTE).contains(&minute)
        })
    }

    /// How many there are in the minute that begins so many seconds after 1970; `None`: no point.
    fn count(&self, all: &[SeedMetric], minute: i64, today: i64) -> Option<u64> {
        let whole = match &self.of {
            Some(name) => {
                let other = all.iter().find(|m| {
                    &m.metric == name
                        && m.namespace == self.namespace
                        && m.dimensions == self.dimensions
                        && m.region == self.region
                        && m.environment == self.environment
                });
                other?.count(all, minute, today)?
            }
            None => {
                // Busiest at 15:00 UTC, quietest at 03:00: a smooth way between the two.
                let hours = (minute.rem_euclid(DAY)) as f64 / 3600.0;
                let wave = (1.0 - ((hours - 3.0) * std::f64::consts::PI / 12.0).cos()) / 2.0;
                let low = f64::from(self.night_percent) / 100.0;
                let peak = f64::from(self.peak_per_minute);
                let jitter = (noise(hash(&self.metric), minute) % 2001) as f64 / 10_000.0 - 0.1;
                (peak * (low + (1.0 - low) * wave) * (1.0 + jitter)).round() as u64
            }
        };
        let mut count = whole;
        if let Some(usual) = self.per_ten_thousand {
            let share = self
                .incidents(minute, today)
                .find_map(|i| i.per_ten_thousand)
                .unwrap_or(usual);
            // The rest of the division comes as often as it is likely.
            let exact = whole * u64::from(share);
            let rest = u64::from(noise(hash(&self.metric), minute) % 10_000 < exact % 10_000);
            count = exact / 10_000 + rest;
        }
        for percent in self.incidents(minute, today).filter_map(|i| i.percent) {
            if percent == 0 {
                return None;
            }
            count = count * u64::from(percent) / 100;
        }
        Some(count)
    }

    /// The one sample of a minute.
    fn sample(&self, all: &[SeedMetric], minute: i64, today: i64) -> Option<f64> {
        let count = self.count(all, minute, today)?;
        // A counter that counts nothing is not published: that is how most applications do it.
        (count > 0).then_some(count as f64)
    }
}

fn aggregate(statistic: &str, points: &[f64]) -> Option<f64> {
    let n = points.len();
    if n == 0 {
        return None;
    }
    let sum: f64 = points.iter().sum();
    let mut sorted = points.to_vec();
    sorted.sort_by(f64::total_cmp);
    let percentile = |p: f64| {
        let rank = ((p / 100.0) * (n as f64 - 1.0)).round() as usize;
        sorted.get(rank.min(n - 1)).copied()
    };
    match statistic {
        "Sum" => Some(sum),
        "SampleCount" => Some(n as f64),
        "Average" => Some(sum / n as f64),
        "Minimum" => sorted.first().copied(),
        "Maximum" => sorted.last().copied(),
        other => {
            let number = other.trim_start_matches(|c: char| c.is_ascii_alphabetic());
            percentile(number.parse().ok()?)
        }
    }
}

pub(super) fn data(
    sandbox: &Sandbox,
    account: &Account,
    region: &str,
    queries: &[SeriesQuery],
    span: &TimeSpan,
) -> Vec<Result<Series, CloudError>> {
    let operation = "cloudwatch:GetMetricData";
    // 500 queries to a request. Source: CloudWatch API reference, GetMetricData.
    for _ in queries.chunks(500) {
        if let Err(e) = sandbox.enter(account, operation, region) {
            return vec![Err(e); queries.len()];
        }
    }
    // 0.01 USD for 1,000 metrics.
    sandbox.meter.bill(10 * queries.len() as u64);
    let now = sandbox.now();
    queries
        .iter()
        .map(|query| Ok(series(account, region, query, span, now)))
        .collect()
}

fn series(
    account: &Account,
    region: &str,
    query: &SeriesQuery,
    span: &TimeSpan,
    now: Timestamp,
) -> Series {
    if let Some(points) = backups::points(account, region, &query.metric, now) {
        return of_points(&points, query, span);
    }
    let seed = account
        .metrics
        .iter()
        .find(|m| m.region.as_deref() == Some(region) && m.is(&query.metric));
    let usual = match seed {
        Some(_) => None,
        None => usual::course(account, region, &query.metric),
    };
    if seed.is_none() && usual.is_none() {
        return Series::new();
    }
    let own = hash(&serde_json::to_string(&query.metric).unwrap_or_default());
    let today = now.as_second().div_euclid(DAY) * DAY;
    let period = i64::from(query.period.max(1)).max(MINUTE);
    let oldest = today - HISTORY_DAYS * DAY;
    let from = span.from.as_second().max(oldest);
    let to = span.to.as_second().min(now.as_second());
    let mut out = Series::new();
    let mut start = from.div_euclid(period) * period;
    if start < span.from.as_second() {
        start += period;
    }
    while start < to {
        let end = (start + period).min(to);
        let value = match (seed, usual) {
            (Some(seed), _) => {
                let minutes = (start..end).step_by(MINUTE as usize);
                let points: Vec<f64> = minutes
                    .filter_map(|minute| seed.sample(&account.metrics, minute, today))
                    .collect();
                aggregate(&query.statistic, &points)
            }
            (None, Some(course)) => {
                course.point(&query.statistic, start, period, noise(own, start))
            }
            (None, None) => None,
        };
        if let Some(value) = value
            && let Ok(time) = Timestamp::from_second(start)
        {
            out.push((time, value));
        }
        start += period;
    }
    out
}

/// Single points, each period in one.
fn of_points(points: &[(Timestamp, f64)], query: &SeriesQuery, span: &TimeSpan) -> Series {
    let period = i64::from(query.period.max(1));
    let mut by_start: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
    for (at, value) in points
        .iter()
        .filter(|(at, _)| (span.from..span.to).contains(at))
    {
        let start = at.as_second().div_euclid(period) * period;
        by_start.entry(start).or_default().push(*value);
    }
    let pairs = by_start.into_iter().filter_map(|(start, values)| {
        let value = aggregate(&query.statistic, &values)?;
        Some((Timestamp::from_second(start).ok()?, value))
    });
    pairs.collect()
}

pub(super) fn list(
    sandbox: &Sandbox,
    account: &Account,
    region: &str,
    namespace: &str,
    metric: Option<&str>,
) -> Result<Vec<MetricId>, CloudError> {
    sandbox.enter(account, "cloudwatch:ListMetrics", namespace)?;
    let named = |m: &MetricId| m.namespace == namespace && metric.is_none_or(|n| m.metric == n);
    let out = existing(account, region).into_iter();
    Ok(out.filter(named).collect())
}

/// Every metric of a region.
fn existing(account: &Account, region: &str) -> BTreeSet<MetricId> {
    let own = account.metrics.iter();
    own.filter(|m| m.region.as_deref() == Some(region))
        .map(SeedMetric::id)
        .chain(alarms::discoverable(account, region))
        .chain(usual::published(account, region))
        .chain(
            account
                .pushed
                .iter()
                .filter(|p| p.region == region)
                .map(|p| p.metric.clone()),
        )
        .collect()
}

/// Which of the metrics that alarms watch exist: a listing for each name, as in AWS.
pub(super) fn watched(
    sandbox: &Sandbox,
    account: &Account,
    target: &Target,
    seen: &mut EnvironmentInventory,
) {
    let mut wanted: BTreeSet<MetricsKey> = BTreeSet::new();
    for (region, alarms) in &seen.alarms {
        let alarms = alarms.known().into_iter().flatten();
        wanted.extend(
            alarms
                .flat_map(|alarm| alarm.definition.metrics())
                .map(|m| MetricsKey {
                    region: region.clone(),
                    namespace: m.namespace.clone(),
                    metric: m.metric.clone(),
                }),
        );
    }
    let mut by_region: BTreeMap<String, BTreeSet<MetricId>> = BTreeMap::new();
    for key in wanted {
        let operation = "cloudwatch:ListMetrics";
        let found = match sandbox.enter(account, operation, &key.namespace) {
            Ok(_) => {
                let all = by_region
                    .entry(key.region.clone())
                    .or_insert_with(|| existing(account, &key.region));
                let named = |m: &&MetricId| m.namespace == key.namespace && m.metric == key.metric;
                Observed::Known(all.iter().filter(named).cloned().collect())
            }
            Err(e) => {
                const ALARMS: [Control; 1] = [Control::Alarms];
                let gap = gaps(target, &key.region, &ALARMS, operation, None, &e);
                // Once for a region.
                seen.gaps.extend(
                    gap.into_iter()
                        .filter(|g| !seen.gaps.contains(g))
                        .collect::<Vec<_>>(),
                );
                Observed::Unknown(e.to_string())
            }
        };
        seen.metrics.insert(key, found);
    }
}
