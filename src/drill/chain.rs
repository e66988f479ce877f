//! The chain of records: on disk beside the project, and in the evidence bucket where there is one.
//!
//! Local files are `<run_id>.json`; `HEAD` names the newest one, so that a missing last record shows
//! as well as one from the middle. Rehearsals in the sandbox have a chain of their own in the same
//! folder. In the bucket a record lies under its number, written only if nothing is there: two
//! machines cannot give out the same number, and the chain cannot fork.

mod bucket;
mod meet;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use bucket::Bucket;
use bucket::Put;

use super::journal::{sealed_anew, seals};
use super::record::Record;
use crate::plan::file::write_atomically;

/// Others that take the next number at the same moment, before giving up.
const RACES: usize = 20;

/// A place in a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    pub sequence: u64,
    pub sha256: String,
}

impl Link {
    fn of(record: &Record) -> Link {
        Link {
            sequence: record.sequence,
            sha256: record.sha256.clone(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    newest: Link,
    /// The record in the bucket that the local chain goes on from: this machine never had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<Link>,
    /// Records behind this number are being fetched from the bucket, between those that got new ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    behind: Option<u64>,
}

/// The records of one chain on disk.
#[derive(Debug, Clone)]
pub struct Chain {
    folder: PathBuf,
    sandbox: Option<String>,
}

/// What became of a new record.
#[derive(Debug)]
pub struct Appended {
    pub record: Record,
    pub path: PathBuf,
    /// `s3://…`, with the time until which it is locked.
    pub uploaded: Option<(String, Option<String>)>,
    /// Why it is not in the bucket; the next run tries again.
    pub upload_error: Option<String>,
}

/// What verifying found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// `local`, `sandbox NAME` or the URL of the bucket.
    pub chain: String,
    pub records: u64,
    pub newest: Option<String>,
    /// Every place where the chain is broken; empty if it holds.
    pub broken: Vec<String>,
    /// Records on this machine that the next run uploads.
    pub waiting: Vec<String>,
}

impl Chain {
    /// The chain in `.opsctl/evidence`.
    pub fn new(state: &Path, sandbox: Option<&str>) -> Chain {
        Chain {
            folder: state.join("evidence"),
            sandbox: sandbox.map(str::to_owned),
        }
    }

    /// All chains that have a record or a `HEAD` in the folder; the one of real drills is always
    /// among them.
    pub fn all(state: &Path) -> Vec<Chain> {
        let mut names: std::collections::BTreeSet<Option<String>> = [None].into();
        let folder = state.join("evidence");
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some(scenario) = name.strip_prefix("HEAD.sandbox-") {
                names.insert(Some(scenario.to_owned()));
            } else if name.ends_with(".json")
                && let Ok(bytes) = std::fs::read(entry.path())
                && let Ok(value) = serde_json::from_slice::<serde_json::Value>(&bytes)
                && let Some(scenario) = value["sandbox"].as_str()
            {
                names.insert(Some(scenario.to_owned()));
            }
        }
        names
            .into_iter()
            .map(|name| Chain::new(state, name.as_deref()))
            .collect()
    }

    pub fn name(&self) -> String {
        match &self.sandbox {
            Some(scenario) => format!("sandbox {scenario}"),
            None => "local".to_owned(),
        }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn head_path(&self) -> PathBuf {
        self.folder.join(match &self.sandbox {
            Some(scenario) => format!("HEAD.sandbox-{scenario}"),
            None => "HEAD".to_owned(),
        })
    }

    pub fn path_of(&self, run_id: &str) -> PathBuf {
        self.folder.join(format!("{run_id}.json"))
    }

    fn head(&self) -> Result<Option<Head>, String> {
        let path = self.head_path();
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|e| format!("{}: {e}", path.display())),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(format!("{}: {e}", path.display())),
        }
    }

    /// The records of this chain in order, and the files that cannot be one, with the reason.
    pub fn read(&self) -> (Vec<Record>, Vec<String>) {
        let mut records = Vec::new();
        let mut bad = Vec::new();
        let Ok(entries) = std::fs::read_dir(&self.folder) else {
            return (records, bad);
        };
        for path in entries.flatten().map(|e| e.path()) {
            if path.extension().is_none_or(|e| e != "json") {
                continue;
            }
            let name = path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            match std::fs::read(&path) {
                Ok(bytes) => match Record::read(&bytes) {
                    Ok(record) if record.sandbox != self.sandbox => {}
                    Ok(record) if record.run_id != name => bad.push(format!(
                        "{name}.json holds the record of {}: it was renamed or copied",
                        record.run_id
                    )),
                    Ok(record) => records.push(record),
                    // Which chain a broken file belonged to cannot be known: every chain says so.
                    Err(e) => bad.push(format!("{name}.json: {e}")),
                },
                Err(e) => bad.push(format!("{name}.json: {e}")),
            }
        }
        records.sort_by(|a, b| (a.sequence, &a.run_id).cmp(&(b.sequence, &b.run_id)));
        bad.sort();
        (records, bad)
    }

    /// Whether the chain on disk holds, and every place where it does not.
    pub fn verify(&self) -> Verified {
        let (records, mut broken) = self.read();
        let head = self.head();
        let after = head
            .as_ref()
            .ok()
            .and_then(|h| h.as_ref().and_then(|h| h.after.clone()));
        broken.extend(links(&records, after.as_ref()));
        match (&head, records.last()) {
            (Err(e), _) => broken.push(format!("HEAD: {e}")),
            (Ok(None), Some(last)) => broken.push(format!(
                "HEAD is missing: nothing tells whether {} is the newest record",
                last.run_id
            )),
            (Ok(Some(head)), None) => broken.push(format!(
                "all records are missing: HEAD names number {}",
                head.newest.sequence
            )),
            (Ok(Some(head)), Some(last)) => {
                // A run that was killed between its record and HEAD leaves one more record.
                let noted = records.iter().any(|r| Link::of(r) == head.newest);
                if last.sequence < head.newest.sequence {
                    broken.push(format!(
                        "records {} to {} are missing at the end: HEAD names number {}",
                        last.sequence + 1,
                        head.newest.sequence,
                        head.newest.sequence
                    ));
                } else if !noted {
                    broken.push(format!(
                        "number {} is not the record that HEAD names",
                        head.newest.sequence
                    ));
                }
            }
            (Ok(None), None) => {}
        }
        // Whoever takes a record away and puts HEAD back forgets the journal of its run.
        let runs = self.folder.parent().map(|state| state.join("runs"));
        let there: std::collections::BTreeSet<&str> =
            records.iter().map(|r| r.sha256.as_str()).collect();
        for (run_id, sandbox, seals) in runs.iter().flat_map(|runs| seals(runs)) {
            if sandbox == self.sandbox && !seals.iter().any(|s| there.contains(s.as_str())) {
                broken.push(format!(
                    "{run_id}: its journal tells of a record that is not there as it was written"
                ));
            }
        }
        Verified {
            chain: self.name(),
            records: records.len() as u64,
            newest: records.last().map(|r| r.run_id.clone()),
            broken,
            waiting: Vec::new(),
        }
    }

    fn lock(&self) -> Result<File, String> {
        let fail = |e: std::io::Error| format!("{}: {e}", self.folder.display());
        std::fs::create_dir_all(&self.folder).map_err(fail)?;
        let file = File::create(self.folder.join("lock")).map_err(fail)?;
        file.lock().map_err(fail)?;
        Ok(file)
    }

    async fn locked(&self) -> Result<File, String> {
        let chain = self.clone();
        tokio::task::spawn_blocking(move || chain.lock())
            .await
            .map_err(|e| e.to_string())?
    }

    fn write(&self, record: &Record) -> Result<PathBuf, String> {
        let path = self.path_of(&record.run_id);
        write_atomically(&path, record.text().as_bytes())
            .map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(path)
    }

    fn write_head(&self, head: &Head) -> Result<(), String> {
        let path = self.head_path();
        let mut text = serde_json::to_vec_pretty(head).map_err(|e| e.to_string())?;
        text.push(b'\n');
        write_atomically(&path, &text).map_err(|e| format!("{}: {e}", path.display()))?;
        // The names in the folder have to survive a crash as well as what is in the files.
        File::open(&self.folder)
            .and_then(|f| f.sync_all())
            .map_err(|e| format!("{}: {e}", self.folder.display()))
    }

    /// Notes in the journal that tells of a record that it gets another seal.
    fn sealed_anew(&self, was: &str, sha256: &str) -> Result<(), String> {
        let runs = self.folder.parent().map(|state| state.join("runs"));
        match runs {
            Some(runs) => {
                sealed_anew(&runs, was, sha256).map_err(|e| format!("{}: {e}", runs.display()))
            }
            None => Ok(()),
        }
    }

    /// Seals a record behind the newest one and writes it: to disk, then to the bucket.
    ///
    /// # Errors
    /// It is not on disk. That it is not in the bucket is told in [`Appended::upload_error`].
    pub async fn append(
        &self,
        mut record: Record,
        bucket: Option<&Bucket<'_>>,
    ) -> Result<Appended, String> {
        let _lock = self.locked().await?;
        let (records, _) = self.read();
        let mut head = self.head().unwrap_or(None);
        let mut upload_error = None;
        let mut local = records.last().map(Link::of);
        // What HEAD names beyond the files is missing; going on behind it keeps that visible.
        if let Some(known) = &head
            && local
                .as_ref()
                .is_none_or(|l| l.sequence < known.newest.sequence)
        {
            local = Some(known.newest.clone());
        }
        let mut remote = None;
        let mut next = 0;
        if let Some(bucket) = bucket {
            match bucket.meet(self, &records).await {
                Ok(met) => {
                    remote = met.tip;
                    next = met.next;
                }
                Err(e) => upload_error = Some(e),
            }
            // It may have got some way before it failed.
            let (records, _) = self.read();
            local = records.last().map(Link::of).or(local);
            head = self.head().unwrap_or(None);
        }
        let mut tip = local.clone();
        if let Some(newest) = remote
            && tip.as_ref().is_none_or(|l| l.sequence <= newest.sequence)
        {
            tip = Some(newest);
        }
        let mut uploaded = None;
        let mut races = 0;
        loop {
            let follows = tip.as_ref().map_or(1, |t| t.sequence + 1);
            record.seal(follows.max(next), tip.as_ref().map(|t| t.sha256.as_str()));
            let (Some(bucket), None) = (bucket, &upload_error) else {
                break;
            };
            match bucket.put(&record).await {
                Ok(()) => {
                    uploaded = Some((bucket.url(&record), bucket.retained(&record).await));
                    break;
                }
                Err(Put::Taken(other)) if races < RACES => {
                    races += 1;
                    let other = *other;
                    if local.is_some() {
                        self.write(&other)?;
                    }
                    tip = Some(Link::of(&other));
                }
                Err(Put::Taken(_)) => {
                    upload_error = Some("other runs kept taking the next number".to_owned());
                }
                Err(Put::Failed(e)) => upload_error = Some(e),
            }
        }
        let after = match &head {
            // The first record here goes on from the one that came last in the bucket: another
            // machine may have written it since we looked.
            _ if local.is_none() => previous(&record),
            Some(head) => head.after.clone(),
            None => None,
        };
        let path = self.write(&record)?;
        self.write_head(&Head {
            newest: Link::of(&record),
            after,
            behind: head.and_then(|h| h.behind),
        })?;
        Ok(Appended {
            record,
            path,
            uploaded,
            upload_error,
        })
    }
}

fn previous(record: &Record) -> Option<Link> {
    Some(Link {
        sequence: record.sequence.checked_sub(1)?,
        sha256: record.previous_sha256.clone()?,
    })
}

/// Where records in order do not follow one another.
fn links(records: &[Record], after: Option<&Link>) -> Vec<String> {
    let mut broken = Vec::new();
    let mut before = after.cloned();
    for record in records {
        let (number, run) = (record.sequence, &record.run_id);
        let expected = before.as_ref().map_or(1, |b| b.sequence + 1);
        if number < expected {
            broken.push(format!("{run}: number {number} is there twice"));
        } else if number > expected {
            let missing = match number - expected {
                1 => format!("record {expected} is missing"),
                _ => format!("records {expected} to {} are missing", number - 1),
            };
            broken.push(format!("{missing} before {run}"));
        } else if record.previous_sha256.as_deref() != before.as_ref().map(|b| b.sha256.as_str()) {
            broken.push(format!(
                "{run}: it does not follow record {}: that one has another seal",
                number.saturating_sub(1)
            ));
        }
        before = Some(Link::of(record));
    }
    broken
}
