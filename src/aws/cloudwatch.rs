//! CloudWatch: alarms, and the daily storage metrics of S3.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricStat, StatusCode, Tag};
use futures::future::join_all;

use super::alarms::{DESCRIBE, Sweep};
use super::error::{self, Named};
use super::listing::{Listed, Listing, pages, tags};
use super::pace::Api;
use super::session::Region;
use crate::cloud::{CloudError, Subject};
use crate::inventory::BucketSize;
use crate::model::{ResourceType, Tags};

pub const METRICS: &str = "cloudwatch:GetMetricData";
/// Queries in one GetMetricData call, two per bucket. Source: CloudWatch API reference.
const QUERIES: usize = 500;
/// S3 stores one point a day, up to two days late. Source: S3 user guide, "Metrics and dimensions".
const LOOK_BACK: Duration = Duration::from_secs(4 * 86_400);

/// The alarms of a region as a listing.
pub fn listing(region: &str, sweep: &Sweep) -> Vec<Listing> {
    let mut listing = Listing::new(ResourceType::CLOUDWATCH_ALARM, DESCRIBE, region);
    let alarms = sweep.alarms.iter();
    listing.items = alarms
        .map(|a| Listed::new(&a.arn, a.definition.name()))
        .collect();
    listing.error = sweep.error.clone();
    vec![listing]
}

pub async fn read_tags(region: &Region, subject: &Subject) -> Result<Tags, CloudError> {
    region.pace(Api::AlarmTags).await;
    let call = region.cloudwatch().list_tags_for_resource();
    let answer = call.resource_arn(&subject.arn).send().await;
    let answer = answer.named("cloudwatch:ListTagsForResource")?;
    Ok(tags(answer.tags().iter().map(|t| (t.key(), t.value()))))
}

pub async fn tag(region: &Region, subject: &Subject, set: &Tags) -> Result<(), CloudError> {
    region.pace(Api::AlarmTags).await;
    let list = set
        .iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build());
    let call = region
        .cloudwatch()
        .tag_resource()
        .resource_arn(&subject.arn);
    let call = call.set_tags(Some(list.collect()));
    call.send().await.named("cloudwatch:TagResource").map(drop)
}

pub async fn untag(
    region: &Region,
    subject: &Subject,
    keys: &BTreeSet<String>,
) -> Result<(), CloudError> {
    region.pace(Api::AlarmTags).await;
    let call = region
        .cloudwatch()
        .untag_resource()
        .resource_arn(&subject.arn);
    let call = call.set_tag_keys(Some(keys.iter().cloned().collect()));
    call.send()
        .await
        .named("cloudwatch:UntagResource")
        .map(drop)
}

fn query(id: String, bucket: &str, metric: &str, storage: &str) -> MetricDataQuery {
    let dimension = |name: &str, value: &str| Dimension::builder().name(name).value(value).build();
    let metric = Metric::builder()
        .namespace("AWS/S3")
        .metric_name(metric)
        .dimensions(dimension("BucketName", bucket))
        .dimensions(dimension("StorageType", storage))
        .build();
    let stat = MetricStat::builder()
        .metric(metric)
        .period(86_400)
        .stat("Average")
        .build();
    MetricDataQuery::builder().id(id).metric_stat(stat).build()
}

/// The sizes of buckets of this region: one entry per bucket that has data points, or the error.
pub async fn sizes(
    region: &Region,
    buckets: &[String],
) -> Result<BTreeMap<String, BucketSize>, CloudError> {
    let now = SystemTime::now();
    let calls = buckets
        .chunks(QUERIES / 2)
        .map(|chunk| chunk_sizes(region, chunk, now));
    let mut all = BTreeMap::new();
    for part in join_all(calls).await {
        all.append(&mut part?);
    }
    Ok(all)
}

async fn chunk_sizes(
    region: &Region,
    buckets: &[String],
    now: SystemTime,
) -> Result<BTreeMap<String, BucketSize>, CloudError> {
    let queries: Vec<_> = buckets
        .iter()
        .enumerate()
        .flat_map(|(i, bucket)| {
            [
                query(
                    format!("b{i}"),
                    bucket,
                    "BucketSizeBytes",
                    "StandardStorage",
                ),
                query(
                    format!("n{i}"),
                    bucket,
                    "NumberOfObjects",
                    "AllStorageTypes",
                ),
            ]
        })
        .collect();
    let mut newest: BTreeMap<String, (i64, f64)> = BTreeMap::new();
    pages!(METRICS, |token| {
        region.pace(Api::GetMetricData).await;
        let page = region
            .cloudwatch()
            .get_metric_data()
            .set_metric_data_queries(Some(queries.clone()))
            .start_time((now - LOOK_BACK).into())
            .end_time(now.into())
            .set_next_token(token)
            .send()
            .await
            .named(METRICS)?;
        // 0.01 USD per 1,000 metrics requested. Source: "Amazon CloudWatch pricing".
        region.shared.meter.bill(10 * queries.len() as u64);
        for result in page.metric_data_results() {
            if matches!(
                result.status_code(),
                Some(StatusCode::Forbidden | StatusCode::InternalError)
            ) {
                let code = result.status_code().map_or("", |c| c.as_str());
                let message = result.messages().first().and_then(|m| m.value());
                return Err(error::own(
                    METRICS,
                    code,
                    message.unwrap_or("no data for a query"),
                ));
            }
            for (time, value) in result.timestamps().iter().zip(result.values()) {
                let entry = newest.entry(result.id().unwrap_or_default().to_owned());
                let point = (time.secs(), *value);
                let kept = entry.or_insert(point);
                if point.0 > kept.0 {
                    *kept = point;
                }
            }
        }
        Ok(page.next_token)
    })?;
    let value = |id: String| newest.get(&id).map(|(_, value)| *value as u64);
    let known = buckets.iter().enumerate().filter_map(|(i, bucket)| {
        let size = BucketSize {
            // No object in STANDARD, no point; but without a count nothing is known.
            standard_bytes: value(format!("b{i}")).unwrap_or_default(),
            objects: value(format!("n{i}"))?,
        };
        Some((bucket.clone(), size))
    });
    Ok(known.collect())
}
