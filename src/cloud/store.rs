//! Objects in buckets: what restore drills read their dumps from and keep their records in.

use std::path::Path;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::io::AsyncWriteExt;

use super::{CloudError, Target};

/// A bucket as an environment reaches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketPlace {
    pub target: Target,
    pub region: String,
    pub bucket: String,
}

/// One object as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    pub key: String,
    pub bytes: u64,
    /// Set by S3 when the upload began or ended; a copy gets a new one.
    pub modified: Timestamp,
    /// `STANDARD`, `GLACIER`, …
    pub storage_class: String,
    pub etag: String,
}

/// A checksum that S3 keeps with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredChecksum {
    /// `SHA256`, `SHA1`, `CRC32`, `CRC32C` or `CRC64NVME`.
    pub algorithm: &'static str,
    /// Base64; of a composite one without its `-N`.
    pub value: String,
    /// The checksum of the checksums of so many parts, not of the object's bytes.
    pub parts: Option<u32>,
}

/// One object as it tells about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectHead {
    pub bytes: u64,
    pub modified: Timestamp,
    pub etag: String,
    pub version: Option<String>,
    pub storage_class: String,
    /// The `x-amz-restore` header of an object in an archive class.
    pub restore: Option<String>,
    /// `AES256`, `aws:kms`, `aws:kms:dsse`.
    pub encryption: Option<String>,
    pub kms_key: Option<String>,
    pub checksum: Option<StoredChecksum>,
    /// Object Lock: `GOVERNANCE` or `COMPLIANCE`, and the time until which it holds.
    pub retained: Option<(String, Timestamp)>,
}

/// The bytes of an object as they arrive.
#[async_trait]
pub trait ObjectBody: Send {
    /// The next piece; `None` at the end.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, CloudError>;
}

/// Objects in buckets. Only `apply`, `drill` and `history` may call
/// [`ObjectStore::put_object`].
#[async_trait]
pub trait ObjectStore: Send + Sync {
    /// The region that a bucket lies in.
    async fn bucket_region(
        &self,
        target: &Target,
        asked_in: &str,
        bucket: &str,
    ) -> Result<String, CloudError>;

    /// The same for a bucket that has to be the account's own: one of that name elsewhere is an error.
    async fn own_bucket_region(
        &self,
        target: &Target,
        asked_in: &str,
        bucket: &str,
    ) -> Result<String, CloudError> {
        self.bucket_region(target, asked_in, bucket).await
    }

    /// All objects under a prefix, all pages, in ascending order of their keys; with `after` only
    /// those whose keys come after it.
    async fn list_objects(
        &self,
        place: &BucketPlace,
        prefix: &str,
        after: Option<&str>,
    ) -> Result<Vec<StoredObject>, CloudError>;

    async fn head_object(&self, place: &BucketPlace, key: &str) -> Result<ObjectHead, CloudError>;

    /// The sizes of the parts that an object was uploaded in.
    async fn part_sizes(
        &self,
        place: &BucketPlace,
        key: &str,
        parts: u32,
    ) -> Result<Vec<u64>, CloudError>;

    /// The bytes from `from` on, if the object still is the one with that ETag.
    async fn get_object(
        &self,
        place: &BucketPlace,
        key: &str,
        etag: Option<&str>,
        from: u64,
    ) -> Result<Box<dyn ObjectBody>, CloudError>;

    /// Writes an object that is not there yet; one that is answers `PreconditionFailed`. The
    /// bucket has to belong to the account of the place.
    async fn put_object(
        &self,
        place: &BucketPlace,
        key: &str,
        body: Vec<u8>,
        content_type: &str,
    ) -> Result<(), CloudError>;
}

/// Streams an object, as it was listed, into a file, which is overwritten.
///
/// # Errors
/// What the store answers (`PreconditionFailed`: it was replaced since), an answer that ends before
/// its length, or that the file cannot be written.
pub async fn save(
    store: &dyn ObjectStore,
    place: &BucketPlace,
    object: &StoredObject,
    to: &Path,
) -> Result<(), CloudError> {
    let failed = |code: &str, message: String| CloudError {
        operation: "s3:GetObject".to_owned(),
        code: code.to_owned(),
        message,
        maybe_done: false,
    };
    let disk = |e: std::io::Error| failed("file", format!("{}: {e}", to.display()));
    let etag = Some(object.etag.as_str()).filter(|etag| !etag.is_empty());
    let mut body = store.get_object(place, &object.key, etag, 0).await?;
    let mut file = tokio::fs::File::create(to).await.map_err(disk)?;
    let mut written: u64 = 0;
    while let Some(piece) = body.next().await? {
        written += piece.len() as u64;
        file.write_all(&piece).await.map_err(disk)?;
    }
    file.flush().await.map_err(disk)?;
    if written != object.bytes {
        let (key, length) = (&object.key, object.bytes);
        let message = format!("{key}: {written} of {length} bytes came");
        return Err(failed("connection", message));
    }
    Ok(())
}

/// Reads a small object whole.
///
/// # Errors
/// What the store answers; `TooLarge` beyond `most` bytes.
pub async fn read_small(
    store: &dyn ObjectStore,
    place: &BucketPlace,
    key: &str,
    most: usize,
) -> Result<Vec<u8>, CloudError> {
    let mut body = store.get_object(place, key, None, 0).await?;
    let mut out = Vec::new();
    while let Some(piece) = body.next().await? {
        out.extend_from_slice(&piece);
        if out.len() > most {
            return Err(CloudError {
                operation: "s3:GetObject".to_owned(),
                code: "TooLarge".to_owned(),
                message: format!("{key} has more than {most} bytes"),
                maybe_done: false,
            });
        }
    }
    Ok(out)
}
