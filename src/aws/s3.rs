//! S3 buckets: where they are, their tags, their lifecycle configurations.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_s3::types::{Tag, Tagging};
use aws_smithy_types::retry::RetryConfig;
use futures::future::BoxFuture;

use super::error::{self, Named};
use super::lifecycle;
use super::lifecycle_xml::UnknownElement;
use super::listing::{pages, tags};
use super::session::Region;
use crate::cloud::{CloudError, LifecycleReading, Subject};
use crate::inventory::Observed;
use crate::model::Tags;
use crate::model::lifecycle::LifecycleConfiguration;

pub const LIST: &str = "s3:ListBuckets";
pub const LOCATE: &str = "s3:HeadBucket";
pub const LIFECYCLE: &str = "s3:GetBucketLifecycleConfiguration";
const TAGGING: &str = "s3:GetBucketTagging";

/// All buckets of the account with their regions, as far as S3 tells them.
pub async fn list(region: &Region) -> (Vec<(String, Option<String>)>, Option<CloudError>) {
    let mut found = Vec::new();
    let outcome = pages!(LIST, |token| {
        // BucketRegion comes only if there is a parameter, and 10,000 is the most per page.
        // Source: S3 API reference, ListBuckets.
        let call = region.s3().list_buckets().max_buckets(10_000);
        let page = call
            .set_continuation_token(token)
            .send()
            .await
            .named(LIST)?;
        found.extend(page.buckets().iter().filter_map(|bucket| {
            let region = bucket.bucket_region().filter(|r| !r.is_empty());
            Some((bucket.name()?.to_owned(), region.map(str::to_owned)))
        }));
        Ok(page.continuation_token)
    });
    (found, outcome.err())
}

/// The region of one bucket; S3 tells it in a header even when it denies or redirects.
///
/// Source: S3 API reference, HeadBucket.
pub async fn locate(region: &Region, bucket: &str) -> Result<String, CloudError> {
    const HEADER: &str = "x-amz-bucket-region";
    let _slot = region.slot().await;
    let call = region.s3().head_bucket().bucket(bucket);
    let call = call.expected_bucket_owner(&region.account);
    let answer = call.send().await;
    if let Err(error) = &answer
        && let Some(found) = error.raw_response().and_then(|r| r.headers().get(HEADER))
    {
        return Ok(found.to_owned());
    }
    let missing = || error::own(LOCATE, "NoRegion", "the answer does not tell the region");
    answer.named(LOCATE)?.bucket_region.ok_or_else(missing)
}

/// The lifecycle configuration; `Err` with `NoSuchBucket` if the bucket is gone.
pub async fn read_lifecycle(region: &Region, bucket: &str) -> Result<LifecycleReading, CloudError> {
    let unknown = Arc::new(Mutex::new(None));
    let _slot = region.slot().await;
    let answer = region
        .s3()
        .get_bucket_lifecycle_configuration()
        .bucket(bucket)
        .expected_bucket_owner(&region.account)
        .customize()
        .interceptor(UnknownElement(Arc::clone(&unknown)))
        .send()
        .await
        .named(LIFECYCLE);
    let configuration = match answer {
        Ok(output) => Observed::Known(
            lifecycle::from_sdk(&output)
                .map_err(|message| error::own(LIFECYCLE, "Unreadable", message))?,
        ),
        Err(error) if error.code == "NoSuchLifecycleConfiguration" => Observed::Absent,
        Err(error) => return Err(error),
    };
    let unknown_element = unknown
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    Ok(LifecycleReading {
        configuration,
        unknown_element,
    })
}

/// One attempt only: a write that replaces everything must not be repeated without reading again
/// what others may have written meanwhile.
fn once() -> aws_sdk_s3::config::Builder {
    aws_sdk_s3::config::Config::builder().retry_config(RetryConfig::disabled())
}

/// One attempt; see [`once`].
pub async fn put_lifecycle(
    region: &Region,
    bucket: &str,
    configuration: &LifecycleConfiguration,
) -> Result<(), CloudError> {
    let operation = "s3:PutBucketLifecycleConfiguration";
    let (header, rules) = lifecycle::to_sdk(configuration)
        .map_err(|message| error::own(operation, "Unwritable", message))?;
    region
        .s3()
        .put_bucket_lifecycle_configuration()
        .bucket(bucket)
        .expected_bucket_owner(&region.account)
        .set_transition_default_minimum_object_size(header)
        .lifecycle_configuration(rules)
        .customize()
        .config_override(once())
        .send()
        .await
        .named(operation)
        .map(drop)
}

/// One attempt; see [`once`].
pub async fn delete_lifecycle(region: &Region, bucket: &str) -> Result<(), CloudError> {
    let call = region.s3().delete_bucket_lifecycle().bucket(bucket);
    call.expected_bucket_owner(&region.account)
        .customize()
        .config_override(once())
        .send()
        .await
        .named("s3:DeleteBucketLifecycle")
        .map(drop)
}

/// Repeats a read-merge-write, from the read on, while the write fails in passing.
async fn patiently<'a>(
    operation: &str,
    mut write: impl FnMut() -> BoxFuture<'a, Result<(), CloudError>>,
) -> Result<(), CloudError> {
    const TRIES: u32 = 5;
    for attempt in 1..TRIES {
        match write().await {
            Err(error) if error.is_transient() => {
                tracing::debug!(operation, attempt, code = error.code, "trying again");
                let pause =
                    Duration::from_millis(250 << attempt).mul_f64(0.5 + fastrand::f64() / 2.0);
                tokio::time::sleep(pause).await;
            }
            outcome => return outcome,
        }
    }
    write().await
}

/// The tags of a bucket; none at all is a 404 of its own.
pub async fn read_tags(region: &Region, subject: &Subject) -> Result<Tags, CloudError> {
    let call = region.s3().get_bucket_tagging().bucket(&subject.name);
    let call = call.expected_bucket_owner(&region.account);
    match call.send().await.named(TAGGING) {
        Ok(answer) => Ok(tags(
            answer
                .tag_set()
                .iter()
                .map(|t| (Some(t.key()), Some(t.value()))),
        )),
        Err(error) if error.code == "NoSuchTagSet" => Ok(Tags::new()),
        Err(error) => Err(error),
    }
}

/// Replaces the tag set by what `change` makes of the present one: S3 cannot add a single tag.
///
/// `aws:` tags go back as they were read; S3 refuses a set that lacks them.
async fn change_tags(
    region: &Region,
    subject: &Subject,
    change: impl Fn(&mut Tags) + Send + Sync,
) -> Result<(), CloudError> {
    let operation = "s3:PutBucketTagging";
    patiently(operation, || {
        Box::pin(async {
            let before = read_tags(region, subject).await?;
            let mut after = before.clone();
            change(&mut after);
            if after == before {
                return Ok(());
            }
            if after.is_empty() {
                let call = region.s3().delete_bucket_tagging().bucket(&subject.name);
                let call = call.expected_bucket_owner(&region.account);
                let call = call.customize().config_override(once());
                return call.send().await.named("s3:DeleteBucketTagging").map(drop);
            }
            let set = after
                .iter()
                .map(|(key, value)| Tag::builder().key(key).value(value).build())
                .collect::<Result<Vec<_>, _>>()
                .and_then(|set| Tagging::builder().set_tag_set(Some(set)).build())
                .map_err(|e| error::own(operation, "request", e.to_string()))?;
            region
                .s3()
                .put_bucket_tagging()
                .bucket(&subject.name)
                .expected_bucket_owner(&region.account)
                .tagging(set)
                .customize()
                .config_override(once())
                .send()
                .await
                .named(operation)
                .map(drop)
        })
    })
    .await
}

pub async fn tag(region: &Region, subject: &Subject, set: &Tags) -> Result<(), CloudError> {
    change_tags(region, subject, |tags| {
        tags.extend(set.iter().map(|(k, v)| (k.clone(), v.clone())));
    })
    .await
}

pub async fn untag(
    region: &Region,
    subject: &Subject,
    keys: &BTreeSet<String>,
) -> Result<(), CloudError> {
    change_tags(region, subject, |tags| {
        tags.retain(|key, _| !keys.contains(key))
    })
    .await
}
