//! What drills publish, for alarms and for `drill status`: the namespace `opsctl/Drill`.
//!
//! CloudWatch alarms look back a week at most, and `drill_every` is months. So besides the result of
//! each drill there is the number of days since the last one that passed, published anew by every run
//! and by `drill status --publish`; an alarm on it needs to look at the newest points only, and takes
//! silence as trouble. Source: API model, `cloudwatch:PutMetricAlarm`, EvaluationPeriods.

use std::collections::BTreeMap;

use super::record::Record;
use super::spec::Spec;
use crate::cloud::{Cloud, CloudError, MetricPoint, Target};
use crate::model::object::MetricId;

pub const NAMESPACE: &str = "opsctl/Drill";
/// 1 if the drill passed, else 0.
pub const PASSED: &str = "Passed";
/// From the beginning of the restore until the data was proven.
pub const RECOVERY_SECONDS: &str = "RecoverySeconds";
pub const RECOVERY_POINT_AGE_SECONDS: &str = "RecoveryPointAgeSeconds";
/// Days since the newest drill that passed.
pub const DAYS_SINCE_PASSED: &str = "DaysSincePassed";

pub const PROJECT: &str = "Project";
pub const ENVIRONMENT: &str = "Environment";
pub const DRILL: &str = "Drill";
/// What the drill restored: a drill that was given another source has not passed with it yet.
pub const SOURCE: &str = "Source";

/// A metric about what a drill found out about one source. Values of dimensions are ASCII and at
/// most 1,024 characters. Source: API model, `cloudwatch:DimensionValue`.
pub fn of_source(
    name: &str,
    project: &str,
    environment: &str,
    drill: &str,
    source: &str,
) -> MetricId {
    let mut metric = metric(name, project, environment, drill);
    let ascii: String = source.escape_default().take(1024).collect();
    metric.dimensions.insert(SOURCE.to_owned(), ascii);
    metric
}

/// A metric of one drill, whatever its source is.
pub fn metric(name: &str, project: &str, environment: &str, drill: &str) -> MetricId {
    MetricId {
        namespace: NAMESPACE.to_owned(),
        metric: name.to_owned(),
        dimensions: BTreeMap::from([
            (PROJECT.to_owned(), project.to_owned()),
            (ENVIRONMENT.to_owned(), environment.to_owned()),
            (DRILL.to_owned(), drill.to_owned()),
        ]),
    }
}

/// What one record comes to. An aborted drill did not pass.
pub fn of_record(project: &str, record: &Record) -> Vec<MetricPoint> {
    let (environment, drill, source) = (&record.environment, &record.drill, &record.source.id);
    let point = |name: &str, value: f64, unit| MetricPoint {
        metric: of_source(name, project, environment, drill, source),
        value,
        unit,
    };
    let passed = if record.passed() { 1.0 } else { 0.0 };
    let measured = &record.measured;
    let mut out = vec![point(PASSED, passed, "Count")];
    out.extend(
        measured
            .time_to_verified_seconds
            .map(|s| point(RECOVERY_SECONDS, s, "Seconds")),
    );
    out.extend(
        measured
            .recovery_point_age_seconds
            .map(|s| point(RECOVERY_POINT_AGE_SECONDS, s, "Seconds")),
    );
    if record.passed() {
        // The alarm watches it under the name of the drill.
        out.push(MetricPoint {
            metric: metric(DAYS_SINCE_PASSED, project, environment, drill),
            value: 0.0,
            unit: "None",
        });
    }
    out
}

/// Where the metrics of an environment's drills go.
pub struct Publisher<'a> {
    pub cloud: &'a dyn Cloud,
    /// The first region of an environment, whatever the run was narrowed to.
    pub home: &'a (dyn Fn(&Spec) -> String + Sync),
}

impl Publisher<'_> {
    /// Publishes a record of a real drill. `Some`: a sentence about why it could not; the drill is
    /// what it was all the same.
    pub async fn push(&self, spec: &Spec, record: &Record) -> Option<String> {
        if record.sandbox.is_some() {
            return None;
        }
        let points = of_record(&spec.project, record);
        let region = (self.home)(spec);
        publish(self.cloud, &spec.target, &region, &points)
            .await
            .err()
            .map(|e| format!("drill `{}`: its metrics were not published: {e}", spec.name))
    }
}

/// # Errors
/// What CloudWatch answers.
pub async fn publish(
    cloud: &dyn Cloud,
    target: &Target,
    region: &str,
    points: &[MetricPoint],
) -> Result<(), CloudError> {
    if points.is_empty() {
        return Ok(());
    }
    cloud.put_metrics(target, region, points).await
}
