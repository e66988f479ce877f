//! What each receiver was told last.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Channel, Notice, fingerprint};
use crate::cloud::store::{BucketPlace, ObjectStore, read_small};
use crate::plan::file::write_atomically;

/// As much of a kept result as is read.
const MOST: usize = 64 << 10;

/// The result that a receiver was told last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub fingerprint: String,
    outcome: String,
    pub lines: Vec<String>,
    at: jiff::Timestamp,
}

/// Where the last results are kept: always on this machine, and in the evidence bucket where there is
/// one, as CI runners lose their disk. Each receiver has its own: what one of them could not be told
/// is still news to it, and to nobody else.
pub struct Memory<'a> {
    pub folder: PathBuf,
    pub sandbox: Option<&'a str>,
    /// With the prefix of the project.
    pub bucket: Option<(&'a dyn ObjectStore, BucketPlace, String)>,
}

impl Memory<'_> {
    fn stem(&self, notice: &Notice, channel: &Channel) -> String {
        let scope = fingerprint([notice.scope.as_str()]);
        let sandbox = self
            .sandbox
            .map(|s| format!("sandbox-{s}-"))
            .unwrap_or_default();
        format!(
            "{sandbox}{}-{}-{}",
            notice.what,
            scope.get(..12).unwrap_or_default(),
            channel.key()
        )
    }

    fn file(&self, notice: &Notice, channel: &Channel) -> PathBuf {
        self.folder
            .join(format!("{}.json", self.stem(notice, channel)))
    }

    /// `Ok(None)`: none was told yet. The newer of the two places: the bucket knows what other
    /// machines told, and only this machine what was told while the bucket could not be reached.
    pub(super) async fn last(
        &self,
        notice: &Notice,
        channel: &Channel,
    ) -> Result<Option<Kept>, String> {
        let here = self.last_here(notice, channel)?;
        let there = self.last_in_bucket(notice, channel).await?;
        Ok(here.into_iter().chain(there).max_by_key(|kept| kept.at))
    }

    fn last_here(&self, notice: &Notice, channel: &Channel) -> Result<Option<Kept>, String> {
        let file = self.file(notice, channel);
        match std::fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|e| format!("{}: {e}", file.display())),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(format!("{}: {e}", file.display())),
        }
    }

    async fn last_in_bucket(
        &self,
        notice: &Notice,
        channel: &Channel,
    ) -> Result<Option<Kept>, String> {
        let Some((store, place, prefix)) = &self.bucket else {
            return Ok(None);
        };
        let prefix = format!("{prefix}notify/{}/", self.stem(notice, channel));
        let listed = store
            .list_objects(place, &prefix, None)
            .await
            .map_err(|e| e.to_string())?;
        let Some(newest) = listed.iter().map(|o| o.key.as_str()).max() else {
            return Ok(None);
        };
        let bytes = read_small(*store, place, newest, MOST)
            .await
            .map_err(|e| e.to_string())?;
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|e| format!("s3://{}/{newest}: {e}", place.bucket))
    }

    pub(super) async fn keep(
        &self,
        notice: &Notice,
        channel: &Channel,
        at: jiff::Timestamp,
    ) -> Result<(), String> {
        let kept = Kept {
            fingerprint: notice.fingerprint.clone(),
            outcome: notice.outcome.clone(),
            lines: notice.lines.to_vec(),
            at,
        };
        let text = serde_json::to_vec(&kept).map_err(|e| e.to_string())?;
        write(&self.file(notice, channel), &text)?;
        if let Some((store, place, prefix)) = &self.bucket {
            // Keys sort by time; none is ever written over.
            let key = format!(
                "{prefix}notify/{}/{:.3}.json",
                self.stem(notice, channel),
                at
            );
            store
                .put_object(place, &key, text, "application/json")
                .await
                .map_err(|e| e.to_string())?;
        }
        Ok(())
    }
}

fn write(path: &Path, text: &[u8]) -> Result<(), String> {
    let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    made.and_then(|()| write_atomically(path, text))
        .map_err(|e| format!("{}: {e}", path.display()))
}
