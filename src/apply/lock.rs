//! One apply at a time on this machine: an advisory lock on a file, gone with the process.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

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
