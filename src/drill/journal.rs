//! What a drill is about to do, on disk before it does it; and what is left by one that was killed.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::guard::{Claim, Proof};
use super::label;
use super::record::{Cleanup, Record};
use crate::cloud::Target;
use crate::cloud::copies::CopyKind;
use crate::model::Tags;

/// A thing that outlives the process unless it is removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "thing", rename_all = "kebab-case")]
pub enum Thing {
    /// A private folder with a scratch PostgreSQL and a dump in it.
    ScratchFolder { path: PathBuf },
    /// A database on a server that was named in `scratch`.
    ScratchDatabase { drill: String, database: String },
    /// A copy in the cloud, under a name that no other run gives.
    Copy(CopyThing),
}

/// A copy that is about to be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyThing {
    pub kind: CopyKind,
    pub environment: String,
    pub account: String,
    pub region: String,
    pub id: String,
    pub run_id: String,
    /// Now, by AWS's clock; the copy bears it as a tag.
    pub intent: Timestamp,
    /// Name of the source.
    pub source: String,
    pub source_resource_id: String,
    /// The cluster copy that an instance copy is put into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// See [`label::UNTIL`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl CopyThing {
    /// The tags that it is made with.
    pub fn tags(&self) -> Tags {
        label::tags(
            &self.run_id,
            &self.source_resource_id,
            self.intent,
            self.until,
        )
    }

    /// What is claimed of it; `resource_id` is what the call that made it answered.
    pub fn claim(&self, target: &Target, resource_id: Option<&str>) -> Claim {
        Claim {
            target: target.clone(),
            region: self.region.clone(),
            kind: self.kind,
            id: self.id.clone(),
            run_id: self.run_id.clone(),
            intent: self.intent,
            source: self.source.clone(),
            source_resource_id: self.source_resource_id.clone(),
            proof: Proof::Journal {
                resource_id: resource_id.map(str::to_owned),
            },
            older_than: None,
            until: self.until,
            cluster: self.cluster.clone(),
        }
    }
}

/// The journal of one run; every line is on disk when its function returns. The file is locked for
/// as long as the run lives.
#[derive(Debug)]
pub struct Journal {
    run_id: String,
    path: PathBuf,
    file: Mutex<File>,
    last_draft: Mutex<Option<Record>>,
}

/// One line.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Line {
    event: String,
    at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    thing: Option<Thing>,
    /// The evidence as far as it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    draft: Option<Box<Record>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cleanup: Option<Cleanup>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    made: Option<Made>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<serde_json::Value>,
}

/// A note about a copy in the evidence bucket.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Note {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thing: Option<CopyThing>,
    /// The evidence as far as it was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draft: Option<Record>,
    /// What the call that made the copy has answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_id: Option<String>,
}

/// Name of the note that is made before a copy is asked for.
pub fn intent_note(copy: &str) -> String {
    format!("intent-{copy}")
}

/// Name of the note of its resource id.
pub fn made_note(copy: &str) -> String {
    format!("made-{copy}")
}

/// How the note begins that the record of a run is in the bucket.
pub const RECORD_NOTE: &str = "record-";

/// Name of that note, which tells the number and the seal of the record: a listing is enough to hold
/// the chain against it.
pub fn record_note(sequence: u64, sha256: &str) -> String {
    format!("{RECORD_NOTE}{sequence:08}-{sha256}")
}

/// The number and the seal in the name of such a note.
pub fn noted_record(name: &str) -> Option<(u64, &str)> {
    let (sequence, sha256) = name.strip_prefix(RECORD_NOTE)?.split_once('-')?;
    Some((sequence.parse().ok()?, sha256))
}

/// The copies that a run has noted in the evidence bucket, where its record is not there.
pub fn copies_of_unfinished(names: &[String]) -> Vec<&str> {
    if names.iter().any(|n| n.starts_with(RECORD_NOTE)) {
        return Vec::new();
    }
    names
        .iter()
        .filter_map(|n| n.strip_prefix("intent-"))
        .collect()
}

/// The answer to the call that made a copy.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Made {
    id: String,
    resource_id: String,
}

impl Line {
    fn new(event: &str) -> Line {
        Line {
            event: event.to_owned(),
            at: Timestamp::now(),
            step: None,
            thing: None,
            draft: None,
            cleanup: None,
            made: None,
            note: None,
        }
    }
}

/// Room for the whole journal of a run, in bytes.
#[cfg(target_os = "linux")]
const RESERVED: u64 = 128 << 10;

/// Takes the room on the disk before anything is done: a result that comes while the disk is full has
/// to be kept all the same.
///
/// # Errors
/// There is no such room.
#[cfg(target_os = "linux")]
fn reserve(file: &File) -> std::io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;
    match fallocate(file, FallocateFlags::KEEP_SIZE, 0, RESERVED) {
        // Not every file system can.
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn reserve(_: &File) -> std::io::Result<()> {
    Ok(())
}

/// Gives back the room that a journal has not needed.
fn release(file: &File) {
    if let Err(e) = file.metadata().and_then(|m| file.set_len(m.len())) {
        tracing::debug!("the room behind the journal: {e}");
    }
}

/// An id that sorts by time and that no two runs share.
pub fn new_run_id() -> String {
    format!(
        "{}-{:06x}",
        Timestamp::now().strftime("%Y%m%dT%H%M%SZ"),
        fastrand::u32(..0x100_0000)
    )
}

impl Journal {
    /// # Errors
    /// The file could not be made; nothing may be done then.
    pub fn begin(folder: &Path, run_id: &str, draft: &Record) -> std::io::Result<Journal> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join(format!("drill-{run_id}.jsonl"));
        // Under another name until it is locked and its first line stands: a sweep must not take it for
        // that of a dead run.
        let begun = tempfile::Builder::new()
            .prefix(".begin-")
            .tempfile_in(folder)?
            .into_temp_path();
        let file = File::options().append(true).open(&begun)?;
        file.try_lock().map_err(|e| match e {
            TryLockError::WouldBlock => std::io::Error::other("the journal is locked"),
            TryLockError::Error(e) => e,
        })?;
        reserve(&file)?;
        let journal = Journal {
            run_id: run_id.to_owned(),
            path,
            file: Mutex::new(file),
            last_draft: Mutex::new(Some(draft.clone())),
        };
        journal.append(&Line {
            draft: Some(Box::new(draft.clone())),
            note: Some(json!({"pid": std::process::id()})),
            ..Line::new("begin")
        })?;
        begun
            .persist_noclobber(&journal.path)
            .map_err(|e| e.error)?;
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

    fn append(&self, line: &Line) -> std::io::Result<()> {
        let mut file = self.file.lock().unwrap_or_else(|e| e.into_inner());
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        file.write_all(&text)?;
        file.sync_data()
    }

    pub fn step(&self, step: &str, finished: bool) -> std::io::Result<()> {
        self.append(&Line {
            step: Some(step.to_owned()),
            ..Line::new(if finished { "finished" } else { "started" })
        })
    }

    /// Notes a thing that is about to be made; it may be made when this returns.
    ///
    /// # Errors
    /// The note is not on disk, so the thing must not be made.
    pub fn intent(&self, thing: &Thing) -> std::io::Result<()> {
        self.append(&Line {
            thing: Some(thing.clone()),
            ..Line::new("intent")
        })
    }

    /// Notes the resource id that the call that made a copy has answered.
    ///
    /// # Errors
    /// The note is not on disk; the copy can still be adopted.
    pub fn made(&self, id: &str, resource_id: &str) -> std::io::Result<()> {
        self.append(&Line {
            made: Some(Made {
                id: id.to_owned(),
                resource_id: resource_id.to_owned(),
            }),
            ..Line::new("made")
        })
    }

    /// Keeps the evidence as far as it is known, for whoever has to finish it.
    pub fn draft(&self, draft: &Record) -> std::io::Result<()> {
        *self.last_draft.lock().unwrap_or_else(|e| e.into_inner()) = Some(draft.clone());
        self.append(&Line {
            draft: Some(Box::new(draft.clone())),
            ..Line::new("draft")
        })
    }

    /// The evidence as it was kept last.
    pub fn last_draft(&self) -> Option<Record> {
        let draft = self.last_draft.lock().unwrap_or_else(|e| e.into_inner());
        draft.clone()
    }

    pub fn cleaned(&self, cleanup: &Cleanup) -> std::io::Result<()> {
        self.append(&Line {
            cleanup: Some(cleanup.clone()),
            ..Line::new("cleaned")
        })
    }

    /// The run is over: its record lies in the chain under this seal.
    pub fn end(&self, sha256: &str) -> std::io::Result<()> {
        self.append(&Line {
            note: Some(json!({"sha256": sha256})),
            ..Line::new("end")
        })?;
        release(&self.file.lock().unwrap_or_else(|e| e.into_inner()));
        Ok(())
    }
}

/// A run that is over: its id, the sandbox that it was in, and the seals that its record has had.
pub type Ended = (String, Option<String>, Vec<String>);

/// The runs in a folder that are over.
pub fn seals(folder: &Path) -> Vec<Ended> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut out: Vec<Ended> = entries
        .filter_map(|e| {
            let name = e.file_name().to_string_lossy().into_owned();
            let run = name.strip_prefix("drill-")?.strip_suffix(".jsonl")?;
            let text = std::fs::read_to_string(e.path()).ok()?;
            let lines: Vec<Line> = text
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok())
                .collect();
            let seals: Vec<String> = lines
                .iter()
                .filter(|line| line.event == "end")
                .filter_map(|line| line.note.as_ref()?["sha256"].as_str())
                .filter(|seal| !seal.is_empty())
                .map(str::to_owned)
                .collect();
            let draft = lines.iter().find_map(|line| line.draft.as_ref())?;
            (!seals.is_empty()).then(|| (run.to_owned(), draft.sandbox.clone(), seals))
        })
        .collect();
    out.sort();
    out
}

/// Notes a new seal in the journal that has the old one; a record of another machine has no journal
/// here.
///
/// # Errors
/// The note is not on disk.
pub fn sealed_anew(folder: &Path, was: &str, sha256: &str) -> std::io::Result<()> {
    let all = seals(folder);
    let Some((run_id, ..)) = all
        .iter()
        .find(|(.., seals)| seals.iter().any(|s| s == was))
    else {
        return Ok(());
    };
    let path = folder.join(format!("drill-{run_id}.jsonl"));
    let mut file = File::options().append(true).open(path)?;
    let line = Line {
        note: Some(json!({"sha256": sha256, "by": "upload"})),
        ..Line::new("end")
    };
    let mut text = serde_json::to_vec(&line)?;
    text.push(b'\n');
    file.write_all(&text)?;
    file.sync_data()
}

/// The journal of a run that did not end, and that no process works on any more.
#[derive(Debug)]
pub struct Unfinished {
    pub run_id: String,
    pub things: Vec<Thing>,
    /// The resource ids of copies, by name, as far as the answers came.
    pub made: BTreeMap<String, String>,
    /// Nothing is left of its things; only the record is missing.
    pub cleaned: Option<Cleanup>,
    pub draft: Option<Record>,
    /// Steps that had begun, the last one last.
    pub last_step: Option<String>,
    pub last_at: Option<Timestamp>,
    path: PathBuf,
    /// Held, so that no second sweep works on it at the same time.
    file: File,
}

impl Unfinished {
    /// All of them in a folder. What cannot be read is told beside them.
    pub fn find(folder: &Path) -> (Vec<Unfinished>, Vec<String>) {
        let mut found = Vec::new();
        let mut trouble = Vec::new();
        let Ok(entries) = std::fs::read_dir(folder) else {
            return (found, trouble);
        };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
        paths.sort();
        for path in paths {
            let name = path
                .file_name()
                .and_then(|n| n.to_str())
                .unwrap_or_default();
            let run_id = name
                .strip_prefix("drill-")
                .and_then(|rest| rest.strip_suffix(".jsonl"));
            let Some(run_id) = run_id.map(str::to_owned) else {
                continue;
            };
            match Unfinished::open(&path, &run_id) {
                Ok(Some(unfinished)) => found.push(unfinished),
                Ok(None) => {}
                Err(e) => trouble.push(format!("{}: {e}", path.display())),
            }
        }
        (found, trouble)
    }

    /// The runs in a folder that are not over: dead or alive.
    pub fn not_over(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .filter_map(|e| {
                let name = e.file_name().to_string_lossy().into_owned();
                let run = name.strip_prefix("drill-")?.strip_suffix(".jsonl")?;
                let text = std::fs::read_to_string(e.path()).ok()?;
                let over = text.lines().any(|line| {
                    serde_json::from_str::<Line>(line).is_ok_and(|line| line.event == "end")
                });
                (!over).then(|| run.to_owned())
            })
            .collect()
    }

    fn open(path: &Path, run_id: &str) -> std::io::Result<Option<Unfinished>> {
        let file = File::options().read(true).append(true).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            // Its run is alive.
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(e)) => return Err(e),
        }
        let text = std::fs::read_to_string(path)?;
        let mut out = Unfinished {
            run_id: run_id.to_owned(),
            things: Vec::new(),
            made: BTreeMap::new(),
            cleaned: None,
            draft: None,
            last_step: None,
            last_at: None,
            path: path.to_owned(),
            file,
        };
        for line in text.lines() {
            // The last line may be torn: what it noted was not done yet.
            let Ok(line) = serde_json::from_str::<Line>(line) else {
                continue;
            };
            out.last_at = Some(line.at);
            match line.event.as_str() {
                "end" => return Ok(None),
                "started" => out.last_step = line.step,
                _ => {}
            }
            out.things.extend(line.thing);
            out.made.extend(line.made.map(|m| (m.id, m.resource_id)));
            if let Some(draft) = line.draft {
                out.draft = Some(*draft);
            }
            if line.cleanup.as_ref().is_some_and(|c| c.deleted) {
                out.cleaned = line.cleanup;
            }
        }
        Ok(Some(out))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Notes that the run is over.
    ///
    /// # Errors
    /// The note is not on disk.
    pub fn end(mut self, sha256: &str) -> std::io::Result<()> {
        let line = Line {
            note: Some(json!({"sha256": sha256, "by": "sweep"})),
            ..Line::new("end")
        };
        // A torn last line must not swallow this one.
        let mut text = b"\n".to_vec();
        text.extend(serde_json::to_vec(&line)?);
        text.push(b'\n');
        self.file.write_all(&text)?;
        release(&self.file);
        self.file.sync_data()
    }
}
