//! One drill of a source at a time on this machine; the lock goes with the process.

use std::fs::{File, TryLockError};
use std::path::Path;

use sha2::{Digest, Sha256};

/// Held for as long as the value lives.
#[derive(Debug)]
pub struct SourceLock {
    _file: File,
}

impl SourceLock {
    /// # Errors
    /// Another drill of this source is running, or what is wrong with the file.
    pub fn acquire(folder: &Path, account: &str, source: &str) -> Result<SourceLock, String> {
        let name = hex::encode(&Sha256::digest(format!("{account}/{source}"))[..8]);
        let path = folder.join(format!("drill-{name}.lock"));
        let fail = |e: std::io::Error| format!("{}: {e}", path.display());
        std::fs::create_dir_all(folder).map_err(fail)?;
        let file = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(fail)?;
        match file.try_lock() {
            Ok(()) => Ok(SourceLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(format!(
                "another drill of {source} is running on this machine: wait for it to end"
            )),
            Err(TryLockError::Error(e)) => Err(fail(e)),
        }
    }
}
