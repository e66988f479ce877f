//! Objects in buckets of the sandbox: there are none, and what would be written is refused.

use async_trait::async_trait;

use super::{Sandbox, refused};
use crate::cloud::store::{BucketPlace, ObjectBody, ObjectHead, ObjectStore, StoredObject};
use crate::cloud::{CloudError, Target};

const WHY: &str = "the sandbox keeps no objects in its buckets";

#[async_trait]
impl ObjectStore for Sandbox {
    async fn bucket_region(
        &self,
        target: &Target,
        _: &str,
        bucket: &str,
    ) -> Result<String, CloudError> {
        self.meter.request("s3:HeadBucket", false);
        let world = self.lock();
        world
            .accounts
            .get(&target.environment)
            .and_then(|account| account.buckets.get(bucket))
            .map(|held| held.region.clone())
            .ok_or_else(|| {
                refused(
                    "s3:HeadBucket",
                    "NoSuchBucket",
                    format!("no bucket {bucket}"),
                )
            })
    }

    async fn list_objects(
        &self,
        _: &BucketPlace,
        _: &str,
        _: Option<&str>,
    ) -> Result<Vec<StoredObject>, CloudError> {
        self.meter.request("s3:ListObjectsV2", false);
        Ok(Vec::new())
    }

    async fn head_object(&self, _: &BucketPlace, key: &str) -> Result<ObjectHead, CloudError> {
        self.meter.request("s3:HeadObject", false);
        Err(refused(
            "s3:HeadObject",
            "NoSuchKey",
            format!("{key}: {WHY}"),
        ))
    }

    async fn part_sizes(&self, _: &BucketPlace, key: &str, _: u32) -> Result<Vec<u64>, CloudError> {
        self.meter.request("s3:HeadObject", false);
        Err(refused(
            "s3:HeadObject",
            "NoSuchKey",
            format!("{key}: {WHY}"),
        ))
    }

    async fn get_object(
        &self,
        _: &BucketPlace,
        key: &str,
        _: Option<&str>,
        _: u64,
    ) -> Result<Box<dyn ObjectBody>, CloudError> {
        self.meter.request("s3:GetObject", false);
        Err(refused(
            "s3:GetObject",
            "NoSuchKey",
            format!("{key}: {WHY}"),
        ))
    }

    async fn put_object(
        &self,
        _: &BucketPlace,
        _: &str,
        _: Vec<u8>,
        _: &str,
    ) -> Result<(), CloudError> {
        self.meter.request("s3:PutObject", false);
        Err(refused("s3:PutObject", "NotImplemented", WHY))
    }
}
