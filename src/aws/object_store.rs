//! Objects in S3, for exports: listed, and streamed into files.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::io::AsyncWriteExt;

use super::error::{self, Named};
use super::listing::pages;
use super::session::{Region, Session};
use crate::cloud::{CloudError, StoredObject};

const LIST: &str = "s3:ListBucket";
const GET: &str = "s3:GetObject";
const HEAD: &str = "s3:HeadBucket";

/// The clients of the bucket's own region: S3 tells it even where it refuses the request.
/// Source: S3 API reference, HeadBucket, `x-amz-bucket-region`.
async fn home(session: &Session, bucket: &str) -> Result<Arc<Region>, CloudError> {
    let first = session.target.regions.first();
    let first = session
        .region(first.map_or("us-east-1", String::as_str))
        .await;
    let answer = first.s3().head_bucket().bucket(bucket).send().await;
    let told = match &answer {
        Ok(found) => found.bucket_region().map(str::to_owned),
        Err(e) => e
            .raw_response()
            .and_then(|r| r.headers().get("x-amz-bucket-region"))
            .map(str::to_owned),
    };
    match told {
        Some(region) => Ok(session.region(&region).await),
        None => match answer.named(HEAD) {
            Ok(_) => Ok(first),
            // Listing says more than the empty answer to HEAD.
            Err(error) if error.code == "AccessDenied" => Ok(first),
            Err(error) => Err(error),
        },
    }
}

pub async fn list(
    session: &Session,
    bucket: &str,
    prefix: &str,
) -> Result<Vec<StoredObject>, CloudError> {
    let region = home(session, bucket).await?;
    let mut found = Vec::new();
    let outcome = pages!(LIST, |token| {
        let call = region.s3().list_objects_v2().bucket(bucket).prefix(prefix);
        let page = call
            .set_continuation_token(token)
            .send()
            .await
            .named(LIST)?;
        found.extend(page.contents().iter().filter_map(|object| {
            let seconds = object.last_modified().map(|t| t.secs());
            Some(StoredObject {
                key: object.key()?.to_owned(),
                size: object.size().and_then(|s| u64::try_from(s).ok())?,
                modified: seconds.and_then(|s| Timestamp::from_second(s).ok()),
            })
        }));
        Ok(page.next_continuation_token)
    });
    outcome.map(|()| found)
}

/// Streams an object into a file. An answer that ends before its length is an error.
pub async fn save(session: &Session, bucket: &str, key: &str, to: &Path) -> Result<(), CloudError> {
    let region = home(session, bucket).await?;
    let call = region.s3().get_object().bucket(bucket).key(key);
    let mut answer = call.send().await.named(GET)?;
    let failed = |e: std::io::Error| error::own(GET, "file", format!("{}: {e}", to.display()));
    let mut file = tokio::fs::File::create(to).await.map_err(failed)?;
    let mut written: u64 = 0;
    while let Some(bytes) = answer.body.next().await {
        let bytes = bytes.map_err(|e| error::own(GET, "connection", format!("{key}: {e}")))?;
        written += bytes.len() as u64;
        file.write_all(&bytes).await.map_err(failed)?;
    }
    file.flush().await.map_err(failed)?;
    match answer.content_length.and_then(|l| u64::try_from(l).ok()) {
        Some(length) if length != written => {
            let message = format!("{key}: {written} of {length} bytes came");
            Err(error::own(GET, "connection", message))
        }
        _ => Ok(()),
    }
}
