//! Downloads, and the proof that what came is what was uploaded.

use std::path::{Path, PathBuf};

use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::io::{AsyncWriteExt, BufWriter};

use super::proof::Claim;
use super::{Dump, size};
use crate::cloud::store::{ObjectHead, StoredObject};
use crate::drill::source::{Context, Stop};

/// Tries of one download, each going on where the last one broke off.
const TRIES: u32 = 6;
/// Files of a directory dump that are downloaded at once.
const AT_ONCE: usize = 8;

impl Dump<'_> {
    /// Downloads one object and proves that it is what was uploaded.
    async fn fetch(
        &self,
        context: &Context<'_>,
        object: &StoredObject,
        to: &Path,
    ) -> Result<String, Stop> {
        let place = self.place()?;
        let key = &object.key;
        let head = self.head(key).await?;
        let mut file = BufWriter::with_capacity(
            1 << 20,
            tokio::fs::File::create_new(to)
                .await
                .map_err(|e| Stop::could_not_run(format!("{}: {e}", to.display())))?,
        );
        let disk = |e: std::io::Error| Stop::could_not_run(format!("{}: {e}", to.display()));
        let mut got: u64 = 0;
        let mut tries = 0;
        while got < head.bytes {
            let trouble = match self
                .store
                .get_object(place, key, Some(&head.etag), got)
                .await
            {
                Err(e) if e.code == "PreconditionFailed" => {
                    return Err(Stop::could_not_run(format!(
                        "{} was replaced while it was read: run the drill again",
                        self.url(key)
                    )));
                }
                Err(e) if !e.is_transient() => {
                    return Err(Stop::could_not_run(e.to_string()));
                }
                Err(e) => Some(e),
                Ok(mut body) => loop {
                    match body.next().await {
                        Ok(Some(piece)) => {
                            got += piece.len() as u64;
                            file.write_all(&piece).await.map_err(disk)?;
                            context.progress(&format!("{} of {}", size(got), size(head.bytes)));
                            if tries > 0 && piece.len() > 1 << 16 {
                                tries = 0;
                            }
                        }
                        Ok(None) => break None,
                        Err(e) => break Some(e),
                    }
                },
            };
            if got >= head.bytes {
                break;
            }
            tries += 1;
            if tries >= TRIES {
                let why = trouble.map_or_else(|| "it ended early".to_owned(), |e| e.to_string());
                return Err(Stop::could_not_run(format!(
                    "{} could not be read beyond byte {got} of {}: {why}",
                    self.url(key),
                    head.bytes
                )));
            }
            tokio::time::sleep(std::time::Duration::from_millis(200 << tries)).await;
        }
        file.flush().await.map_err(disk)?;
        drop(file);
        if got != head.bytes {
            return Err(Stop::failed(format!(
                "{} should have {} bytes, and {got} came",
                self.url(key),
                head.bytes
            )));
        }
        self.prove(key, &head, to).await
    }

    pub(super) async fn head(&self, key: &str) -> Result<ObjectHead, Stop> {
        self.store
            .head_object(self.place()?, key)
            .await
            .map_err(|e| Stop::could_not_run(e.to_string()))
    }

    async fn prove(&self, key: &str, head: &ObjectHead, path: &Path) -> Result<String, Stop> {
        let encryption = head.encryption.as_deref().unwrap_or("none");
        let Some(claim) = Claim::of(head) else {
            return Ok(format!(
                "length verified only: S3 has no checksum of it (encryption {encryption})"
            ));
        };
        let sizes = match claim.parts() {
            None => Vec::new(),
            Some(parts) => {
                let asked = self.store.part_sizes(self.place()?, key, parts).await;
                match asked {
                    Ok(sizes) if sizes.iter().sum::<u64>() == head.bytes => sizes,
                    Ok(_) => {
                        return Ok(
                            "length verified only: the sizes of its parts do not add up".to_owned()
                        );
                    }
                    Err(e) => {
                        return Ok(format!(
                            "length verified only: the sizes of its parts are not known ({e})"
                        ));
                    }
                }
            }
        };
        let path = path.to_owned();
        tokio::task::spawn_blocking(move || claim.check(&path, &sizes))
            .await
            .map_err(|e| Stop::could_not_run(e.to_string()))?
            .map_err(|e| Stop::failed(format!("{}: {e}", self.url(key))))
    }

    /// Downloads the chosen dump; what comes back is its file, or its folder.
    pub(super) async fn download(&self, context: &Context<'_>) -> Result<(PathBuf, String), Stop> {
        let (Some(chosen), Some(folder)) = (&self.chosen, &self.folder) else {
            return Err(Stop::could_not_run("the drill was not prepared"));
        };
        let to = folder.sub("dump").map_err(Stop::could_not_run)?;
        if !chosen.is_folder() {
            let path = to.join("object");
            let object = chosen
                .objects
                .first()
                .ok_or_else(|| Stop::could_not_run("no object was chosen"))?;
            let proof = self.fetch(context, object, &path).await?;
            return Ok((path, proof));
        }
        let fetches: Vec<_> = chosen
            .objects
            .iter()
            .map(|object| self.fetch_file(context, object, &to))
            .collect();
        let proofs: Vec<String> = stream::iter(fetches)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        let verified = proofs.iter().filter(|p| !p.starts_with("length")).count();
        Ok((
            to,
            format!(
                "{verified} of {} files verified by checksum or ETag",
                proofs.len()
            ),
        ))
    }

    async fn fetch_file(
        &self,
        context: &Context<'_>,
        object: &StoredObject,
        to: &Path,
    ) -> Result<String, Stop> {
        let name = object.key.rsplit('/').next().unwrap_or_default();
        let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if name.starts_with('.') || !name.chars().all(safe) {
            return Err(Stop::failed(format!(
                "{} is no file of a dump in the directory format",
                self.url(&object.key)
            )));
        }
        self.fetch(context, object, &to.join(name)).await
    }
}
