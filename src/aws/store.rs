//! Objects in buckets.
//!
//! Source: S3 API reference, ListObjectsV2, HeadObject (`partNumber`, `x-amz-checksum-mode`),
//! GetObject (`Range`, `If-Match`), PutObject (`If-None-Match`).

use async_trait::async_trait;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::{ChecksumMode, ChecksumType};
use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;

use super::error::{self, Named};
use super::{AwsCloud, located};
use crate::cloud::store::{
    BucketPlace, ObjectBody, ObjectHead, ObjectStore, StoredChecksum, StoredObject,
};
use crate::cloud::{CloudError, Target};

const LIST: &str = "s3:ListObjectsV2";
const HEAD: &str = "s3:HeadObject";
const GET: &str = "s3:GetObject";
const PUT: &str = "s3:PutObject";
const HEAD_BUCKET: &str = "s3:HeadBucket";
/// Looks at parts in flight at once.
const PARTS_AT_ONCE: usize = 16;

fn time(at: Option<&DateTime>, operation: &str) -> Result<Timestamp, CloudError> {
    at.and_then(|at| Timestamp::new(at.secs(), at.subsec_nanos().try_into().ok()?).ok())
        .ok_or_else(|| error::own(operation, "NoTime", "the object has no LastModified"))
}

fn bytes(length: Option<i64>) -> u64 {
    length
        .and_then(|n| u64::try_from(n).ok())
        .unwrap_or_default()
}

fn etag(raw: Option<&str>) -> String {
    raw.unwrap_or_default().trim_matches('"').to_owned()
}

/// The strongest of the checksums that the answer has.
fn checksum(answer: &HeadObjectOutput) -> Option<StoredChecksum> {
    let all = [
        ("SHA256", answer.checksum_sha256()),
        ("SHA1", answer.checksum_sha1()),
        ("CRC64NVME", answer.checksum_crc64_nvme()),
        ("CRC32C", answer.checksum_crc32_c()),
        ("CRC32", answer.checksum_crc32()),
    ];
    let (algorithm, value) = all.into_iter().find_map(|(a, v)| v.map(|v| (a, v)))?;
    // Base64 has no `-`: what follows one is the number of parts.
    let (value, parts) = match value.split_once('-') {
        Some((value, parts)) => (value, parts.parse().ok()),
        // Emulators leave the number off. Of an object in parts a checksum is a composite one unless
        // S3 says otherwise; CRC64NVME never is. Source: S3 user guide, "Checking object integrity".
        None => {
            let whole = answer.checksum_type() == Some(&ChecksumType::FullObject);
            let parts = etag(answer.e_tag())
                .split_once('-')
                .and_then(|(_, parts)| parts.parse().ok());
            (value, parts.filter(|_| !whole && algorithm != "CRC64NVME"))
        }
    };
    Some(StoredChecksum {
        algorithm,
        value: value.to_owned(),
        parts,
    })
}

struct Body(ByteStream);

#[async_trait]
impl ObjectBody for Body {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, CloudError> {
        match self.0.try_next().await {
            Ok(piece) => Ok(piece.map(Vec::from)),
            Err(e) => Err(error::own(GET, "BrokenBody", e.to_string())),
        }
    }
}

#[async_trait]
impl ObjectStore for AwsCloud {
    async fn bucket_region(
        &self,
        target: &Target,
        asked_in: &str,
        bucket: &str,
    ) -> Result<String, CloudError> {
        let session = self.session(target);
        let clients = session.region(asked_in).await;
        let answer = clients.s3().head_bucket().bucket(bucket).send().await;
        // A bucket elsewhere answers 301 and names its region in a header.
        let elsewhere = answer.as_ref().err().and_then(|e| {
            let headers = e.raw_response()?.headers();
            headers.get("x-amz-bucket-region").map(str::to_owned)
        });
        match answer.named(HEAD_BUCKET) {
            Ok(answer) => Ok(answer.bucket_region.unwrap_or_else(|| asked_in.to_owned())),
            Err(e) => match elsewhere.filter(|region| region != asked_in) {
                Some(region) => Ok(region),
                None => Err(located(e, &session, asked_in)),
            },
        }
    }

    /// Where a bucket lies is told to anybody; that it is ours and may be used is asked once more.
    async fn own_bucket_region(
        &self,
        target: &Target,
        asked_in: &str,
        bucket: &str,
    ) -> Result<String, CloudError> {
        let region = self.bucket_region(target, asked_in, bucket).await?;
        let session = self.session(target);
        let clients = session.region(&region).await;
        clients
            .s3()
            .head_bucket()
            .bucket(bucket)
            .expected_bucket_owner(&target.account)
            .send()
            .await
            .named(HEAD_BUCKET)
            .map_err(|e| located(e, &session, &region))?;
        Ok(region)
    }

    async fn list_objects(
        &self,
        place: &BucketPlace,
        prefix: &str,
        after: Option<&str>,
    ) -> Result<Vec<StoredObject>, CloudError> {
        let session = self.session(&place.target);
        let clients = session.region(&place.region).await;
        let mut pages = clients
            .s3()
            .list_objects_v2()
            .bucket(&place.bucket)
            .prefix(prefix)
            .set_start_after(after.map(str::to_owned))
            .into_paginator()
            .send();
        let mut out = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page
                .named(LIST)
                .map_err(|e| located(e, &session, &place.region))?;
            for object in page.contents() {
                out.push(StoredObject {
                    key: object.key().unwrap_or_default().to_owned(),
                    bytes: bytes(object.size()),
                    modified: time(object.last_modified(), LIST)?,
                    storage_class: object
                        .storage_class()
                        .map_or("STANDARD", |c| c.as_str())
                        .to_owned(),
                    etag: etag(object.e_tag()),
                });
            }
        }
        Ok(out)
    }

    async fn head_object(&self, place: &BucketPlace, key: &str) -> Result<ObjectHead, CloudError> {
        let session = self.session(&place.target);
        let clients = session.region(&place.region).await;
        let answer = clients
            .s3()
            .head_object()
            .bucket(&place.bucket)
            .key(key)
            .checksum_mode(ChecksumMode::Enabled)
            .send()
            .await
            .named(HEAD)
            .map_err(|e| located(e, &session, &place.region))?;
        let retained = answer.object_lock_mode().and_then(|mode| {
            let until = time(answer.object_lock_retain_until_date(), HEAD).ok()?;
            Some((mode.as_str().to_owned(), until))
        });
        Ok(ObjectHead {
            bytes: bytes(answer.content_length()),
            modified: time(answer.last_modified(), HEAD)?,
            etag: etag(answer.e_tag()),
            version: answer.version_id().map(str::to_owned),
            storage_class: answer
                .storage_class()
                .map_or("STANDARD", |c| c.as_str())
                .to_owned(),
            restore: answer.restore().map(str::to_owned),
            encryption: answer
                .server_side_encryption()
                .map(|e| e.as_str().to_owned()),
            kms_key: answer.ssekms_key_id().map(str::to_owned),
            checksum: checksum(&answer),
            retained,
        })
    }

    async fn part_sizes(
        &self,
        place: &BucketPlace,
        key: &str,
        parts: u32,
    ) -> Result<Vec<u64>, CloudError> {
        let session = self.session(&place.target);
        let clients = session.region(&place.region).await;
        let size = |part: u32| {
            let call = clients
                .s3()
                .head_object()
                .bucket(&place.bucket)
                .key(key)
                .part_number(i32::try_from(part).unwrap_or(i32::MAX))
                .send();
            async move {
                call.await
                    .named(HEAD)
                    .map(|answer| bytes(answer.content_length()))
            }
        };
        stream::iter((1..=parts).map(size))
            .buffered(PARTS_AT_ONCE)
            .try_collect()
            .await
            .map_err(|e| located(e, &session, &place.region))
    }

    async fn get_object(
        &self,
        place: &BucketPlace,
        key: &str,
        etag: Option<&str>,
        from: u64,
    ) -> Result<Box<dyn ObjectBody>, CloudError> {
        let session = self.session(&place.target);
        let clients = session.region(&place.region).await;
        let answer = clients
            .s3()
            .get_object()
            .bucket(&place.bucket)
            .key(key)
            .set_if_match(etag.map(|etag| format!("\"{etag}\"")))
            .set_range((from > 0).then(|| format!("bytes={from}-")))
            .send()
            .await
            .named(GET)
            .map_err(|e| located(e, &session, &place.region))?;
        Ok(Box::new(Body(answer.body)))
    }

    async fn put_object(
        &self,
        place: &BucketPlace,
        key: &str,
        body: Vec<u8>,
        content_type: &str,
    ) -> Result<(), CloudError> {
        let session = self.session(&place.target);
        let clients = session.region(&place.region).await;
        clients
            .s3()
            .put_object()
            .bucket(&place.bucket)
            .key(key)
            .expected_bucket_owner(&clients.account)
            .if_none_match("*")
            .content_type(content_type)
            .body(ByteStream::from(body))
            .send()
            .await
            .named(PUT)
            .map(drop)
            .map_err(|e| match e.code.as_str() {
                "Http412" => CloudError {
                    code: "PreconditionFailed".to_owned(),
                    ..e
                },
                _ => located(e, &session, &place.region),
            })
    }
}
