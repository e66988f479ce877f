//! What alarms cost.
//!
//! Source: "Amazon CloudWatch pricing", us-east-1 list: a standard alarm 0.10 USD a month for each
//! metric that it analyses, a high-resolution one (a period below a minute) 0.30, an anomaly alarm
//! counts three metrics, a composite 0.50. The first 10 alarm metrics of an account are free.

use rust_decimal::Decimal;

use super::draft::metrics_of;
use crate::model::object::{AlarmMetric, Object, QueryKind};

pub const FREE: &str = "the first 10 alarm metrics of an account are free";
/// USD a month for a custom metric, among the first 10,000.
pub const CUSTOM_METRIC: Decimal = Decimal::from_parts(30, 0, 0, false, 2);

/// USD a month, with the arithmetic.
pub fn of(alarm: &Object) -> (Decimal, String) {
    match alarm {
        Object::CompositeAlarm(_) => (Decimal::new(50, 2), "a composite alarm, 0.50 USD".into()),
        Object::MetricAlarm(alarm) => {
            let high = periods(&alarm.metric).any(|p| p < 60);
            let each = if high {
                Decimal::new(30, 2)
            } else {
                Decimal::new(10, 2)
            };
            let metrics = metrics_of(&alarm.metric).len().max(1) as u64;
            let kind = if high { "high-resolution, " } else { "" };
            if alarm.threshold_metric_id.is_some() {
                let total = each * Decimal::from(3 * metrics);
                return (
                    total,
                    format!("{kind}an anomaly alarm counts as 3 metrics at {each} USD"),
                );
            }
            let word = if metrics == 1 { "metric" } else { "metrics" };
            (
                each * Decimal::from(metrics),
                format!("{kind}{metrics} {word} at {each} USD"),
            )
        }
        _ => (Decimal::ZERO, String::new()),
    }
}

fn periods(metric: &AlarmMetric) -> impl Iterator<Item = u32> + '_ {
    let (single, math) = match metric {
        AlarmMetric::Single { period, .. } => (Some(*period), [].as_slice()),
        AlarmMetric::Math(queries) => (None, queries.as_slice()),
    };
    single
        .into_iter()
        .chain(math.iter().filter_map(|q| match &q.kind {
            QueryKind::Metric { period, .. } => Some(*period),
            QueryKind::Expression { period, .. } => *period,
        }))
}
