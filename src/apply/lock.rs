//! One apply at a time: on this machine by an advisory lock on a file, gone with the process; among
//! machines by an object in S3, where the project configures one.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use crate::cloud::{Cloud, CloudError, LockError, LockPlace};

/// Held for as long as the value lives.
#[derive(Debug)]
pub struct LocalLock {
    _file: File,
}

impl LocalLock {
    /// # Errors
    /// Says who holds the lock, or what is wrong with the file.
    pub fn acquire(folder: &Path) -> Result<LocalLock, String> {
        let path = folder.join("apply.lock");
        let fail = |e: std::io::Error| format!("{}: {e}", path.display());
        std::fs::create_dir_all(folder).map_err(fail)?;
        let mut file = File::options()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .open(&path)
            .map_err(fail)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Only for the message: a lock without a readable holder is held all the same.
                let _ = file.read_to_string(&mut holder);
                return Err(format!(
                    "another apply is running in this project ({}): wait for it to end",
                    holder.trim()
                ));
            }
            Err(TryLockError::Error(e)) => return Err(fail(e)),
        }
        file.set_len(0).map_err(fail)?;
        file.rewind().map_err(fail)?;
        write!(file, "pid {}", std::process::id()).map_err(fail)?;
        Ok(LocalLock { _file: file })
    }
}

/// The project's lock in S3, where `[lock]` configures one.
pub struct RemoteLock<'a> {
    cloud: &'a dyn Cloud,
    place: &'a LockPlace,
    body: String,
    token: String,
}

impl<'a> RemoteLock<'a> {
    /// Takes the lock in the name of a run. `force` names the run whose lock is to be broken.
    ///
    /// # Errors
    /// Says who holds it and since when, and how to break it; or why it could not be taken.
    pub async fn acquire(
        cloud: &'a dyn Cloud,
        place: &'a LockPlace,
        run_id: &str,
        force: Option<&str>,
    ) -> Result<RemoteLock<'a>, String> {
        let body = serde_json::json!({
            "run_id": run_id,
            "since": jiff::Timestamp::now().to_string(),
            "host": std::env::var("HOSTNAME").unwrap_or_default(),
            "pid": std::process::id(),
        })
        .to_string();
        let at = format!("s3://{}/{}", place.bucket, place.key);
        let mut taken = cloud.lock(place, &body).await;
        if let (Err(LockError::Held(holder)), Some(force)) = (&taken, force)
            && field(holder, "run_id") == force
        {
            cloud
                .unlock(place, holder, "")
                .await
                .map_err(|e| format!("the lock {at} could not be broken: {e}"))?;
            taken = cloud.lock(place, &body).await;
        }
        match taken {
            Ok(token) => Ok(RemoteLock {
                cloud,
                place,
                body,
                token,
            }),
            Err(LockError::Held(holder)) => {
                let run = field(&holder, "run_id");
                Err(format!(
                    "the run {run} holds the lock {at} since {} (host {}, pid {}): nothing was changed. If that run is dead: --force-unlock {run}",
                    field(&holder, "since"),
                    field(&holder, "host"),
                    field(&holder, "pid"),
                ))
            }
            Err(LockError::Failed(e)) => Err(format!(
                "the lock {at} could not be taken, so nothing was changed: {e}"
            )),
        }
    }

    /// # Errors
    /// Why the lock is still there.
    pub async fn release(self) -> Result<(), CloudError> {
        self.cloud.unlock(self.place, &self.body, &self.token).await
    }
}

/// A member of the lock's body, as text; a lock of another making has none.
fn field(body: &str, name: &str) -> String {
    serde_json::from_str::<serde_json::Value>(body)
        .ok()
        .and_then(|v| {
            v.get(name)
                .map(|f| f.as_str().map_or_else(|| f.to_string(), str::to_owned))
        })
        .unwrap_or_else(|| "unknown".to_owned())
}
