//! Metrics of the embedded account.

use super::Sandbox;
use super::world::Account;
use crate::cloud::{CloudError, Series, SeriesQuery, TimeSpan};
use crate::model::object::MetricId;

pub(super) fn data(
    _sandbox: &Sandbox,
    _account: &Account,
    _region: &str,
    queries: &[SeriesQuery],
    _span: &TimeSpan,
) -> Vec<Result<Series, CloudError>> {
    vec![Ok(Series::new()); queries.len()]
}

pub(super) fn list(
    _sandbox: &Sandbox,
    _account: &Account,
    _region: &str,
    _namespace: &str,
    _metric: Option<&str>,
) -> Result<Vec<MetricId>, CloudError> {
    Ok(Vec::new())
}
