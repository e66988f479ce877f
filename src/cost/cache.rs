//! Answers on disk, so that the same question is not paid for twice.
//!
//! One file for each question, named by a digest of what was asked of whom: the source (AWS, an
//! endpoint, a sandbox), the payer's account and the question with all its days. A question asked
//! after midnight (UTC) has other days and is another question, also where the answer of the day
//! before is young enough: it would lack a day, and at the turn of a month it would be about the
//! wrong one. Whatever cannot be read, or is not what its name says, is not there.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::question::{Answered, Question};
use crate::plan::file::write_atomically;

/// Changes with the form or the meaning of what is kept.
const FORMAT: u32 = 1;

/// What no audit will read again is removed after this long.
const KEPT: Duration = Duration::from_secs(14 * 24 * 3600);

/// A larger file was not written by us.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// Clocks of machines that share a folder may differ by this much.
const SKEW_SECONDS: i64 = 300;

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    format: u32,
    source: String,
    payer: String,
    question: Question,
    answered: Answered,
}

/// The answers of one source.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
    /// Where the answers come from: answers of a sandbox and of AWS never mix.
    source: String,
    max_age: Duration,
}

impl Cache {
    /// `max_age` of zero: always ask (answers are still kept).
    pub fn new(folder: PathBuf, source: impl Into<String>, max_age: Duration) -> Cache {
        Cache {
            folder,
            source: source.into(),
            max_age,
        }
    }

    fn digest(&self, parts: &[&str]) -> String {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update(part.len().to_le_bytes());
            hasher.update(part);
        }
        hex::encode(hasher.finalize())
    }

    /// The file of a question.
    pub fn path(&self, payer: &str, question: &Question) -> PathBuf {
        // A question of plain values always has a JSON form.
        let text = serde_json::to_string(question).unwrap_or_default();
        let version = FORMAT.to_string();
        let name = self.digest(&[&version, &self.source, payer, &text]);
        self.folder.join(format!("{name}.json"))
    }

    /// An answer that is young enough.
    pub fn get(&self, payer: &str, question: &Question, now: Timestamp) -> Option<Answered> {
        let path = self.path(payer, question);
        if std::fs::metadata(&path).ok()?.len() > MOST_BYTES {
            return None;
        }
        let bytes = std::fs::read(&path).ok()?;
        let kept: Kept = serde_json::from_slice(&bytes).ok()?;
        let same = kept.format == FORMAT
            && kept.source == self.source
            && kept.payer == payer
            && kept.question == *question;
        let age = now
            .as_second()
            .checked_sub(kept.answered.asked_at.as_second())?;
        let max_age = i64::try_from(self.max_age.as_secs()).unwrap_or(i64::MAX);
        let fresh = self.max_age > Duration::ZERO && age >= -SKEW_SECONDS && age <= max_age;
        let sane = kept.answered.answer.is_sane();
        (same && fresh && sane).then_some(kept.answered)
    }

    /// Keeps an answer.
    ///
    /// # Errors
    /// What the file system says: the audit goes on without.
    pub fn put(
        &self,
        payer: &str,
        question: &Question,
        answered: &Answered,
    ) -> std::io::Result<()> {
        let kept = Kept {
            format: FORMAT,
            source: self.source.clone(),
            payer: payer.to_owned(),
            question: question.clone(),
            answered: answered.clone(),
        };
        let bytes = serde_json::to_vec(&kept)?;
        write_atomically(&self.path(payer, question), &bytes)
    }

    /// Removes answers that are too old for any audit.
    pub fn sweep(&self) {
        let Ok(entries) = std::fs::read_dir(&self.folder) else {
            return;
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let old = entry
                .metadata()
                .and_then(|m| m.modified())
                .is_ok_and(|at| at.elapsed().is_ok_and(|age| age > KEPT));
            if old && path.extension().is_some_and(|e| e == "json") {
                // Another process may have been faster.
                let _ = std::fs::remove_file(path);
            }
        }
    }

    /// Takes the lock of a payer, under which questions are asked; `None` while another process
    /// holds it. It ends with the value, or with the process.
    ///
    /// # Errors
    /// What the file system says.
    pub fn try_lock(&self, payer: &str) -> std::io::Result<Option<PayerLock>> {
        std::fs::create_dir_all(&self.folder)?;
        let path = self.lock_path(payer);
        let file = File::options()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .open(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(PayerLock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => Err(e),
        }
    }

    fn lock_path(&self, payer: &str) -> PathBuf {
        let name = self.digest(&[&self.source, payer]);
        self.folder.join(format!("{name}.lock"))
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Held for as long as the value lives.
#[derive(Debug)]
pub struct PayerLock {
    _file: File,
}
