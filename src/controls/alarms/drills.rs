//! The alarm "no passed drill within `drill_every`", for each configured drill.
//!
//! An alarm looks back 7 days at most (`Period × EvaluationPeriods`), so it cannot wait for a pass
//! that may be 90 days old. It watches `opsctl/Drill DaysSincePassed` instead, which every drill run
//! and every `opsctl drill status --publish` publishes anew; the smallest value of a day counts, so
//! that a drill that passed ends the alarm at once. Two days without any point are trouble too: then
//! nobody knows. Source: API model, `cloudwatch:PutMetricAlarm`, EvaluationPeriods.

use rust_decimal::Decimal;

use super::draft::{ABOVE, Core, Draft, Shape, Stat, span};
use super::seconds;
use crate::config::Resolved;
use crate::config::later::Drill;
use crate::config::later::alarms::{MissingData, Routing};
use crate::drill::metrics;
use crate::model::Control;

const DAY: u32 = 86_400;
/// Days that have to be bad, or silent, one after the other.
const DAYS: u32 = 2;

/// Whether there is any.
pub fn any(resolved: &Resolved) -> bool {
    let policy = resolved.policies.backups.as_ref();
    policy.is_some_and(|p| p.drill_every.is_some() && !p.drill.is_empty())
}

pub fn drafts(resolved: &Resolved, region: &str) -> Vec<Draft> {
    let Some(policy) = &resolved.policies.backups else {
        return Vec::new();
    };
    let Some(every) = &policy.drill_every else {
        return Vec::new();
    };
    let limit = seconds(every.value);
    let days = Decimal::from(limit) / Decimal::from(DAY);
    let of_drill = |(name, drill): (&String, &Drill)| {
        let watched = metrics::metric(
            metrics::DAYS_SINCE_PASSED,
            &resolved.project,
            &resolved.environment,
            name,
        );
        let stat = Stat {
            metric: watched,
            statistic: "Minimum".to_owned(),
        };
        Draft {
            region: region.to_owned(),
            suffix: format!("drill-overdue-{name}"),
            severity: Some(Routing::Ticket),
            shape: Shape::Metric(Core {
                metric: stat.single(DAY),
                comparison: ABOVE,
                threshold: Some(days.round_dp(4).normalize()),
                band: None,
                datapoints: (DAYS, DAYS),
                missing: MissingData::Breaching.as_str(),
                low_samples: None,
            }),
            sentence: format!(
                "the restore drill {name} of {} has not passed within {}, or `opsctl drill status --publish` has not run for {DAYS} days",
                drill.source.value,
                span(limit)
            ),
            reason: resolved.reason(
                Control::Backups,
                format!("backups.drill.{name}"),
                drill.source.origin,
            ),
        }
    };
    policy.drill.iter().map(of_drill).collect()
}
