//! CloudWatch metrics: which exist, and their points.

use super::error;
use super::session::Region;
use crate::cloud::{CloudError, Series, SeriesQuery, TimeSpan};
use crate::model::object::MetricId;

/// The points of metrics, in the order of the queries.
pub async fn data(
    _region: &Region,
    queries: &[SeriesQuery],
    _span: &TimeSpan,
) -> Vec<Result<Series, CloudError>> {
    let error = error::own(
        "cloudwatch:GetMetricData",
        error::NOT_IMPLEMENTED,
        "not yet",
    );
    vec![Err(error); queries.len()]
}

/// The metrics of a namespace.
pub async fn list(
    _region: &Region,
    _namespace: &str,
    _metric: Option<&str>,
) -> Result<Vec<MetricId>, CloudError> {
    Err(error::own(
        "cloudwatch:ListMetrics",
        error::NOT_IMPLEMENTED,
        "not yet",
    ))
}
