//! What reports remember of their earlier runs: one small JSON line for each.
//!
//! Lines are kept in a file of the project folder and, where `[evidence]` is configured, as one
//! object each in the evidence bucket, so that a CI job whose disk is thrown away has its trends
//! too. Neither grows without end: the file keeps [`MOST_LINES`], and of the bucket only the newest
//! [`MOST_OBJECTS`] are read (its own lifecycle rules may remove older ones).

pub mod bucket;
pub mod keys;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::plan::file::write_atomically;

/// Lines that a file keeps: more than a year of daily runs.
pub const MOST_LINES: usize = 400;

/// Lines that are read from the bucket.
pub const MOST_OBJECTS: usize = 100;

/// A larger file or object was not written by us, in bytes.
const MOST_BYTES: u64 = 16 << 20;

/// How long another run that is writing is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs that are so close to each other are at the same time, and may end in another order.
const AT_ONCE: Duration = Duration::from_secs(600);

/// One line: what a report remembers of one run.
pub trait Line: Serialize + DeserializeOwned + Clone + Send + Sync {
    /// When the run was.
    fn at(&self) -> Timestamp;

    /// Different for each run.
    fn run(&self) -> &str;

    /// Takes out what only the newest line is asked for; `newer` are the lines after it.
    fn shorten(&mut self, newer: &[Self]);
}

/// The lines of one report on this machine.
#[derive(Debug, Clone)]
pub struct History {
    path: PathBuf,
}

/// What was read, and how many lines are none of ours, or were cut off.
#[derive(Debug, Clone)]
pub struct Lines<L> {
    /// Oldest first.
    pub lines: Vec<L>,
    pub unreadable: u64,
}

impl<L> Default for Lines<L> {
    fn default() -> Self {
        Lines {
            lines: Vec::new(),
            unreadable: 0,
        }
    }
}

impl History {
    /// `state` is the folder `.opsctl`; `source` tells histories of AWS, of an endpoint and of each
    /// sandbox apart.
    pub fn new(state: &Path, source: &Source<'_>, report: &str) -> History {
        let folder = state.join("history");
        let folder = match source {
            Source::Aws => folder,
            Source::Endpoint(url) => folder.join(format!("endpoint-{}", short_digest(url))),
            Source::Sandbox(name) => sandbox_folder(state, name),
        };
        History {
            path: folder.join(format!("{report}.jsonl")),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All lines that can be read. That there is no file yet is not an error.
    ///
    /// # Errors
    /// What the file system says.
    pub fn read<L: Line>(&self) -> std::io::Result<Lines<L>> {
        match std::fs::metadata(&self.path) {
            Ok(meta) if meta.len() > MOST_BYTES => {
                return Err(std::io::Error::other(format!(
                    "{}: {} bytes are too many for a history",
                    self.path.display(),
                    meta.len()
                )));
            }
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Lines::default()),
            Err(e) => return Err(e),
        }
        let bytes = std::fs::read(&self.path)?;
        Ok(parse(&String::from_utf8_lossy(&bytes)))
    }

    /// Adds lines, those of other runs that this machine has not seen among them, and keeps the file
    /// small. The file is replaced in one step under a lock, so that neither a reader nor another
    /// run ever sees half a line.
    ///
    /// # Errors
    /// What the file system says, or another run has held the lock for too long.
    pub fn add<L: Line>(&self, new: &[L]) -> std::io::Result<()> {
        let _lock = self.lock()?;
        let last = new.iter().map(Line::at).max();
        let last = last.and_then(|last| last.checked_add(AT_ONCE).ok());
        let mut lines = self.read::<L>()?.lines;
        lines.extend_from_slice(new);
        let lines = in_order(lines);
        let mut text = String::new();
        for (i, line) in lines.iter().enumerate() {
            let mut line = line.clone();
            let newer = lines.get(i + 1..).unwrap_or_default();
            // Those that come after all that is added now are of a clock that was wrong, and are not
            // read: what they remember does not stand for this line.
            let read = newer.partition_point(|l| last.is_none_or(|last| l.at() <= last));
            line.shorten(newer.get(..read).unwrap_or_default());
            text.push_str(&serde_json::to_string(&line)?);
            text.push('\n');
        }
        write_atomically(&self.path, text.as_bytes())
    }

    /// Ends with the value, or with the process.
    fn lock(&self) -> std::io::Result<File> {
        let path = self.path.with_extension("lock");
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = File::options().create(true).append(true).open(&path)?;
        let begun = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if begun.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(std::io::Error::other(format!(
                        "{}: another run has been writing for {} seconds",
                        path.display(),
                        PATIENCE.as_secs()
                    )));
                }
                Err(TryLockError::Error(e)) => return Err(e),
            }
        }
    }
}

/// Whose history it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source<'a> {
    Aws,
    Endpoint(&'a str),
    Sandbox(&'a str),
}

/// Where the histories of a sandbox lie, for its reset.
pub fn sandbox_folder(state: &Path, scenario: &str) -> PathBuf {
    state.join("history").join("sandbox").join(scenario)
}

fn short_digest(text: &str) -> String {
    use sha2::{Digest, Sha256};
    hex::encode(&Sha256::digest(text)[..6])
}

fn parse<L: Line>(text: &str) -> Lines<L> {
    let mut out = Lines::default();
    for line in text.lines().filter(|l| !l.trim().is_empty()) {
        match serde_json::from_str(line) {
            Ok(line) => out.lines.push(line),
            Err(_) => out.unreadable += 1,
        }
    }
    out.lines = in_order(out.lines);
    out
}

/// Oldest first, each run once, and no more than [`MOST_LINES`].
pub fn in_order<L: Line>(mut lines: Vec<L>) -> Vec<L> {
    lines.sort_by(|a, b| (a.at(), a.run()).cmp(&(b.at(), b.run())));
    lines.dedup_by(|a, b| a.run() == b.run());
    let much = lines.len().saturating_sub(MOST_LINES);
    lines.drain(..much);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Run {
        at: Timestamp,
        run: String,
        #[serde(default)]
        detail: String,
    }

    impl Line for Run {
        fn at(&self) -> Timestamp {
            self.at
        }

        fn run(&self) -> &str {
            &self.run
        }

        fn shorten(&mut self, newer: &[Self]) {
            if !newer.is_empty() {
                self.detail.clear();
            }
        }
    }

    fn run(second: i64) -> Run {
        Run {
            at: Timestamp::from_second(second).unwrap(),
            run: format!("run-{second}"),
            detail: "x".repeat(100),
        }
    }

    fn history(dir: &Path) -> History {
        History::new(dir, &Source::Aws, "tags")
    }

    #[test]
    fn the_file_stays_small_and_keeps_the_newest() {
        let dir = tempfile::tempdir().unwrap();
        let history = history(dir.path());
        assert!(history.read::<Run>().unwrap().lines.is_empty());
        let all: Vec<Run> = (0..450).map(run).collect();
        history.add(&all[..449]).unwrap();
        history.add(&all[449..]).unwrap();
        let lines = history.read::<Run>().unwrap().lines;
        assert_eq!(lines.len(), MOST_LINES);
        assert_eq!(lines[0].run, "run-50");
        assert_eq!(lines[399], run(449));
        assert!(lines[..399].iter().all(|l| l.detail.is_empty()));
        // The same run again is the same line.
        history.add(&[run(449)]).unwrap();
        assert_eq!(history.read::<Run>().unwrap().lines.len(), MOST_LINES);
    }

    #[test]
    fn a_line_of_the_future_takes_nothing_from_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let history = history(dir.path());
        history.add(&[run(4_000_000_000)]).unwrap();
        history.add(&[run(1)]).unwrap();
        history.add(&[run(2)]).unwrap();
        let lines = history.read::<Run>().unwrap().lines;
        let details: Vec<bool> = lines.iter().map(|l| l.detail.is_empty()).collect();
        assert_eq!(details, [true, false, false]);
    }

    #[test]
    fn many_at_once_lose_nothing() {
        let dir = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for part in 0..8 {
                let dir = dir.path();
                scope.spawn(move || {
                    for second in 0..10 {
                        history(dir).add(&[run(part * 10 + second)]).unwrap();
                        let seen = history(dir).read::<Run>().unwrap();
                        assert_eq!(seen.unreadable, 0);
                    }
                });
            }
        });
        assert_eq!(history(dir.path()).read::<Run>().unwrap().lines.len(), 80);
    }

    #[test]
    fn what_is_not_a_line_is_counted_and_outlived() {
        let dir = tempfile::tempdir().unwrap();
        let history = history(dir.path());
        history.add(&[run(1)]).unwrap();
        let mut text = std::fs::read_to_string(history.path()).unwrap();
        text.push_str("{\"at\": \"2026-\n\0\n");
        std::fs::write(history.path(), text).unwrap();
        let found = history.read::<Run>().unwrap();
        assert_eq!((found.lines.len(), found.unreadable), (1, 2));
        history.add(&[run(2)]).unwrap();
        let found = history.read::<Run>().unwrap();
        assert_eq!((found.lines.len(), found.unreadable), (2, 0));
    }

    #[test]
    fn sources_do_not_mix() {
        let dir = Path::new("x");
        let path = |source| History::new(dir, &source, "tags").path().to_owned();
        let all = [
            path(Source::Aws),
            path(Source::Endpoint("http://a")),
            path(Source::Endpoint("http://b")),
            path(Source::Sandbox("findash")),
            path(Source::Sandbox("dartsyn")),
        ];
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
        assert!(all[3].starts_with(sandbox_folder(dir, "findash")));
    }
}
