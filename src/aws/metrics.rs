//! CloudWatch metrics: which exist, and their points.

use std::collections::BTreeMap;

use aws_sdk_cloudwatch::types::{
    Dimension, MetricDataQuery, MetricDatum, ScanBy, StandardUnit, StatusCode,
};
use aws_smithy_types::DateTime;
use futures::future::join_all;
use jiff::Timestamp;

use super::cloudwatch::METRICS;
use super::error::{self, Named};
use super::listing::pages;
use super::objects::to_stat;
use super::pace::Api;
use super::session::Region;
use crate::cloud::{CloudError, MetricPoint, Series, SeriesQuery, TimeSpan};
use crate::model::object::MetricId;

const LIST: &str = "cloudwatch:ListMetrics";
/// Queries in one GetMetricData call. Source: CloudWatch API reference.
const QUERIES: usize = 500;
/// Points in one answer; more come in pages. Source: API model, `GetMetricDataInput$MaxDatapoints`.
const POINTS: u64 = 100_800;
/// Millionths of a USD for each metric requested. Source: "Amazon CloudWatch pricing".
const PRICE: u64 = 10;

/// The points of metrics, in the order of the queries.
pub async fn data(
    region: &Region,
    queries: &[SeriesQuery],
    span: &TimeSpan,
) -> Vec<Result<Series, CloudError>> {
    let calls = groups(queries, span)
        .into_iter()
        .map(|group| call(region, group, span));
    join_all(calls).await.into_iter().flatten().collect()
}

/// As few calls as their limits allow: one asked for more points than fit is answered in pages, and
/// every page is billed for all its metrics.
fn groups<'a>(queries: &'a [SeriesQuery], span: &TimeSpan) -> Vec<&'a [SeriesQuery]> {
    let seconds = (span.to.as_second() - span.from.as_second()).max(0);
    let seconds = u64::try_from(seconds).unwrap_or_default();
    let points = |query: &SeriesQuery| seconds.div_ceil(u64::from(query.period.max(1)));
    let mut out = Vec::new();
    let (mut start, mut sum) = (0, 0);
    for (i, query) in queries.iter().enumerate() {
        let more = points(query);
        if i > start && (sum + more > POINTS || i - start == QUERIES) {
            out.push(&queries[start..i]);
            (start, sum) = (i, 0);
        }
        sum += more;
    }
    if start < queries.len() {
        out.push(&queries[start..]);
    }
    out
}

fn time(at: Timestamp) -> DateTime {
    DateTime::from_secs(at.as_second())
}

/// One series while it is being read.
#[derive(Default)]
struct Reading {
    points: BTreeMap<i64, f64>,
    refused: Option<CloudError>,
    partial: bool,
}

async fn call(
    region: &Region,
    queries: &[SeriesQuery],
    span: &TimeSpan,
) -> Vec<Result<Series, CloudError>> {
    let asked: Vec<MetricDataQuery> = queries
        .iter()
        .enumerate()
        .map(|(i, query)| {
            MetricDataQuery::builder()
                .id(format!("q{i}"))
                .metric_stat(to_stat(&query.metric, &query.statistic, query.period))
                .build()
        })
        .collect();
    let mut readings: Vec<Reading> = queries.iter().map(|_| Reading::default()).collect();
    let outcome = pages!(METRICS, |token| {
        region.pace(Api::GetMetricData).await;
        let answer = region
            .cloudwatch()
            .get_metric_data()
            .set_metric_data_queries(Some(asked.clone()))
            .start_time(time(span.from))
            .end_time(time(span.to))
            .scan_by(ScanBy::TimestampAscending)
            .set_next_token(token)
            .send()
            .await
            .named(METRICS);
        let page = answer?;
        region.shared.meter.bill(PRICE * asked.len() as u64);
        for result in page.metric_data_results() {
            let index = result.id().and_then(|id| id.strip_prefix('q'));
            let index = index.and_then(|i| i.parse::<usize>().ok());
            let Some(reading) = index.and_then(|i| readings.get_mut(i)) else {
                continue;
            };
            let said = || {
                let message = result.messages().first().and_then(|m| m.value());
                message.unwrap_or("no data for this metric").to_owned()
            };
            match result.status_code() {
                Some(code @ (StatusCode::Forbidden | StatusCode::InternalError)) => {
                    reading.refused = Some(error::own(METRICS, code.as_str(), said()));
                }
                // More of it is on another page.
                Some(StatusCode::PartialData) => reading.partial = true,
                _ => reading.partial = false,
            }
            let points = result.timestamps().iter().zip(result.values());
            reading
                .points
                .extend(points.map(|(at, value)| (at.secs(), *value)));
        }
        Ok(page.next_token)
    });
    readings
        .into_iter()
        .map(|reading| match (&outcome, reading.refused) {
            (Err(error), _) => Err(error.clone()),
            (_, Some(error)) => Err(error),
            (Ok(()), None) if reading.partial => Err(error::own(
                METRICS,
                "PartialData",
                "the service said that there is more data, and gave no page with it",
            )),
            (Ok(()), None) => Ok(series(reading.points, span)),
        })
        .collect()
}

/// In ascending order, and only what lies in the span: the service rounds it.
fn series(points: BTreeMap<i64, f64>, span: &TimeSpan) -> Series {
    points
        .into_iter()
        .filter_map(|(at, value)| Some((Timestamp::from_second(at).ok()?, value)))
        .filter(|(at, _)| (span.from..span.to).contains(at))
        .collect()
}

/// The metrics of a namespace, sorted; without those that had no point for two weeks.
pub async fn list(
    region: &Region,
    namespace: &str,
    metric: Option<&str>,
) -> Result<Vec<MetricId>, CloudError> {
    let mut found = Vec::new();
    pages!(LIST, |token| {
        region.pace(Api::ListMetrics).await;
        let page = region
            .cloudwatch()
            .list_metrics()
            .namespace(namespace)
            .set_metric_name(metric.map(str::to_owned))
            .set_next_token(token)
            .send()
            .await
            .named(LIST)?;
        found.extend(page.metrics().iter().filter_map(|m| {
            Some(MetricId {
                namespace: m.namespace()?.to_owned(),
                metric: m.metric_name()?.to_owned(),
                dimensions: m
                    .dimensions()
                    .iter()
                    .filter_map(|d| Some((d.name()?.to_owned(), d.value()?.to_owned())))
                    .collect(),
            })
        }));
        Ok(page.next_token)
    })?;
    found.sort();
    found.dedup();
    Ok(found)
}

/// Metrics in one PutMetricData call. Source: API model, `cloudwatch:PutMetricData`.
const PUT_MOST: usize = 1000;

/// Writes one point each, with the time of now.
pub async fn put(region: &Region, points: &[MetricPoint]) -> Result<(), CloudError> {
    let mut by_namespace: BTreeMap<&str, Vec<MetricDatum>> = BTreeMap::new();
    for point in points {
        let dimensions = point.metric.dimensions.iter();
        let dimensions = dimensions
            .map(|(name, value)| Dimension::builder().name(name).value(value).build())
            .collect();
        let datum = MetricDatum::builder()
            .metric_name(&point.metric.metric)
            .set_dimensions(Some(dimensions))
            .value(point.value)
            .unit(StandardUnit::from(point.unit))
            .build();
        let namespace = point.metric.namespace.as_str();
        by_namespace.entry(namespace).or_default().push(datum);
    }
    for (namespace, data) in by_namespace {
        for part in data.chunks(PUT_MOST) {
            let call = region.cloudwatch().put_metric_data().namespace(namespace);
            let answer = call.set_metric_data(Some(part.to_vec())).send().await;
            answer.named("cloudwatch:PutMetricData")?;
        }
    }
    Ok(())
}
