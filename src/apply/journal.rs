//! The record of every write, durable before the call leaves: `.opsctl/runs/<run id>.jsonl`.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use jiff::Timestamp;
use serde_json::json;

use crate::cloud::{Call, CloudError};

/// One run's journal, open for appending.
pub struct Journal {
    run_id: String,
    path: PathBuf,
    file: Mutex<(File, u64)>,
}

impl Journal {
    /// Begins a journal in `folder`; `digest` names the plan that is executed.
    pub fn begin(folder: &Path, digest: &str) -> std::io::Result<Journal> {
        std::fs::create_dir_all(folder)?;
        let now = Timestamp::now();
        let run_id = format!(
            "{}-{:04x}",
            now.strftime("%Y%m%dT%H%M%SZ"),
            fastrand::u16(..)
        );
        let path = folder.join(format!("{run_id}.jsonl"));
        let file = File::options().create_new(true).append(true).open(&path)?;
        let journal = Journal {
            run_id,
            path,
            file: Mutex::new((file, 0)),
        };
        journal.append(&json!({
            "event": "begin", "at": now.to_string(), "run_id": journal.run_id, "plan": digest,
            "opsctl_version": env!("CARGO_PKG_VERSION"), "pid": std::process::id(),
        }))?;
        // The name of the file must survive a crash as well as its content.
        File::open(folder)?.sync_all()?;
        Ok(journal)
    }

    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    fn append(&self, event: &serde_json::Value) -> std::io::Result<u64> {
        let mut guard = self.file.lock().unwrap_or_else(|e| e.into_inner());
        let (file, count) = &mut *guard;
        *count += 1;
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        file.write_all(&line)?;
        file.sync_data()?;
        Ok(*count)
    }

    /// Notes a call that is about to be made; returns when the note is on disk.
    pub fn intent(
        &self,
        environment: &str,
        addresses: &[&str],
        call: &Call,
    ) -> std::io::Result<u64> {
        self.append(&json!({
            "event": "intent", "at": Timestamp::now().to_string(), "environment": environment,
            "addresses": addresses, "request": call,
        }))
    }

    /// Notes how the call with that intent ended.
    pub fn result(&self, intent: u64, results: &[Result<(), CloudError>]) -> std::io::Result<()> {
        let errors: Vec<Option<String>> = results
            .iter()
            .map(|r| r.as_ref().err().map(ToString::to_string))
            .collect();
        self.append(&json!({
            "event": "result", "at": Timestamp::now().to_string(), "intent": intent, "errors": errors,
        }))
        .map(|_| ())
    }

    /// Notes the end of the run.
    pub fn end(&self, summary: &serde_json::Value) -> std::io::Result<()> {
        self.append(&json!({
            "event": "end", "at": Timestamp::now().to_string(), "summary": summary,
        }))
        .map(|_| ())
    }
}
