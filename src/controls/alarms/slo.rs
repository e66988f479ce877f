//! Burn-rate alarms: `[alarms.slo.*]`.

use super::burn::{SPEEDS, Speed, factor, threshold_percent};
use super::draft::{ABOVE, Core, Draft, Shape, Stat, shortfall_percent, span};
use super::seconds;
use crate::config::later::alarms::{MissingData, Slo};
use crate::plan::Reason;

/// Below it a long window is healthy: one failure among three requests says nothing.
const MINIMUM_TOTAL: u64 = 10;

/// What the short window needs: its part of what the long one does. As much as there would keep a
/// service with few requests quiet even when all of them fail.
fn of_short(minimum: u64, speed: &Speed) -> u64 {
    (minimum * u64::from(speed.short))
        .div_ceil(u64::from(speed.long))
        .max(1)
}

/// Two children and a composite for each speed; only composites notify.
pub fn drafts(name: &str, slo: &Slo, region: &str, reason: &Reason) -> Vec<Draft> {
    let window = seconds(slo.window);
    let minimum = slo.minimum_total.unwrap_or(MINIMUM_TOTAL);
    let objective = slo.objective_percent.0;
    let mut out = Vec::new();
    for speed in SPEEDS {
        let threshold = threshold_percent(&speed, window, objective);
        let times = factor(&speed, window).round_dp(2).normalize();
        let base = format!("slo-{name}-{}", speed.name);
        let ends = [
            ("long", speed.long, minimum),
            ("short", speed.short, of_short(minimum, &speed)),
        ];
        let suffixes = ends.map(|(end, ..)| format!("{base}-{end}"));
        for ((_, seconds, minimum), suffix) in ends.iter().zip(&suffixes) {
            let metric = shortfall_percent(
                Stat::of(&slo.good, "Sum"),
                Stat::of(&slo.total, "Sum"),
                *seconds,
                *minimum,
            );
            out.push(Draft {
                region: region.to_owned(),
                suffix: suffix.clone(),
                severity: None,
                shape: Shape::Metric(Core {
                    metric,
                    comparison: ABOVE,
                    threshold: Some(threshold),
                    band: None,
                    datapoints: (1, 1),
                    missing: MissingData::NotBreaching.as_str(),
                    low_samples: None,
                }),
                sentence: format!(
                    "SLO {name}, part of {base}: more than {threshold} % errors within {}, at least {minimum} events",
                    span((*seconds).into())
                ),
                reason: reason.clone(),
            });
        }
        out.push(Draft {
            region: region.to_owned(),
            suffix: base,
            severity: Some(speed.severity),
            shape: Shape::AllOf(suffixes.to_vec()),
            sentence: format!(
                "SLO {name} ({} % over {}): the error budget burns {times} times as fast as allowed, more than {threshold} % errors within {} and within {}",
                objective.normalize(),
                span(window),
                span(speed.long.into()),
                span(speed.short.into())
            ),
            reason: reason.clone(),
        });
    }
    out
}
