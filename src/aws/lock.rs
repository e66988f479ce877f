//! A lock as an S3 object: written only if it is not there, removed only if it is still ours.
//!
//! Source: S3 API reference, PutObject (`If-None-Match`: 412 means held, 409 means try again) and
//! DeleteObject (`If-Match`).

use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;

use super::error::{self, Named};
use super::session::Region;
use crate::cloud::{CloudError, LockError};

const PUT: &str = "s3:PutObject";
const GET: &str = "s3:GetObject";
const DELETE: &str = "s3:DeleteObject";

async fn put(region: &Region, bucket: &str, key: &str, body: &str) -> Result<String, CloudError> {
    region
        .s3()
        .put_object()
        .bucket(bucket)
        .key(key)
        .expected_bucket_owner(&region.account)
        .if_none_match("*")
        .body(ByteStream::from(body.as_bytes().to_vec()))
        .send()
        .await
        .named(PUT)
        .map(|answer| answer.e_tag.unwrap_or_default())
}

async fn get(region: &Region, bucket: &str, key: &str) -> Result<String, CloudError> {
    let answer = region
        .s3()
        .get_object()
        .bucket(bucket)
        .key(key)
        .expected_bucket_owner(&region.account)
        .send()
        .await
        .named(GET)?;
    let bytes = answer
        .body
        .collect()
        .await
        .map_err(|e| error::own(GET, "BrokenBody", e.to_string()))?;
    Ok(String::from_utf8_lossy(&bytes.into_bytes()).into_owned())
}

fn is_held(error: &CloudError) -> bool {
    matches!(error.code.as_str(), "PreconditionFailed" | "Http412")
}

/// Takes the lock; the ETag is the token to release it with.
pub async fn acquire(
    region: &Region,
    bucket: &str,
    key: &str,
    body: &str,
) -> Result<String, LockError> {
    let mut wait = Duration::from_millis(200);
    for _ in 0..6 {
        match put(region, bucket, key, body).await {
            Ok(token) => return prove(region, bucket, key, body, token).await,
            Err(error) if is_held(&error) => {
                let holder = match get(region, bucket, key).await {
                    Ok(holder) => holder,
                    // Released in between: it is free to be taken.
                    Err(gone) if gone.code == "NoSuchKey" => continue,
                    Err(e) => return Err(LockError::Failed(e)),
                };
                // Our own first try, whose answer was lost.
                if holder == body {
                    return Ok(String::new());
                }
                return Err(LockError::Held(holder));
            }
            Err(error) if error.code == "ConditionalRequestConflict" => {
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
            Err(error) => return Err(LockError::Failed(error)),
        }
    }
    let message = "others kept writing the lock at the same moment";
    Err(LockError::Failed(error::own(
        PUT,
        "ConditionalRequestConflict",
        message,
    )))
}

/// Some S3 clones ignore the condition; a lock that a second writer could overwrite is none.
async fn prove(
    region: &Region,
    bucket: &str,
    key: &str,
    body: &str,
    token: String,
) -> Result<String, LockError> {
    match put(region, bucket, key, body).await {
        Err(error) if is_held(&error) => Ok(token),
        Err(error) => {
            // Not left behind for the next run to stumble over.
            let _ = release(region, bucket, key, body, &token).await;
            Err(LockError::Failed(error))
        }
        Ok(second) => {
            let _ = release(region, bucket, key, body, &second).await;
            let message = "this endpoint ignores If-None-Match, so a lock in it would not hold";
            Err(LockError::Failed(error::own(
                PUT,
                "NoConditionalWrites",
                message,
            )))
        }
    }
}

/// Removes the lock if it still says `body`.
pub async fn release(
    region: &Region,
    bucket: &str,
    key: &str,
    body: &str,
    token: &str,
) -> Result<(), CloudError> {
    // Not every endpoint honours If-Match on a delete, so what is there is looked at first.
    if get(region, bucket, key).await? != body {
        return Err(error::own(
            DELETE,
            "NotOurs",
            "the lock is somebody else's by now",
        ));
    }
    let call = region
        .s3()
        .delete_object()
        .bucket(bucket)
        .key(key)
        .expected_bucket_owner(&region.account);
    let call = if token.is_empty() {
        call
    } else {
        call.if_match(token)
    };
    call.send().await.named(DELETE).map(drop)
}
