//! The private folder of a run, and the removal of those that killed runs left behind.
//!
//! A folder is ours to remove when its name, the note inside, its owner and its lock all say so;
//! a process is ours to end when its command line names that very folder.

use std::fs::{DirBuilder, File, TryLockError};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};

const PREFIX: &str = "opsctl-drill-";
const NOTE: &str = "owner.json";
const LOCK: &str = "lock";
/// A socket's path has at most 103 bytes on macOS and 107 on Linux; the name of PostgreSQL's socket
/// is part of it.
const LONGEST: usize = 80;
/// How long PostgreSQL may take to stop before it is killed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who the programs of a drill run as: PostgreSQL refuses to run as root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunAs {
    pub uid: u32,
    pub gid: u32,
}

impl RunAs {
    /// `None`: as whoever runs opsctl. As root: `postgres`, else `nobody`.
    ///
    /// # Errors
    /// As root on a machine that has neither.
    pub fn choose() -> Result<Option<RunAs>, String> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let find = |name: &str| {
            users.lines().find_map(|line| {
                let mut parts = line.split(':');
                (parts.next() == Some(name)).then_some(())?;
                let uid = parts.nth(1)?.parse().ok()?;
                let gid = parts.next()?.parse().ok()?;
                Some(RunAs { uid, gid })
            })
        };
        find("postgres")
            .or_else(|| find("nobody"))
            .filter(|user| user.uid != 0)
            .map(Some)
            .ok_or_else(|| {
                "as root a scratch PostgreSQL needs a user `postgres` or `nobody`, and this machine has neither".to_owned()
            })
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Note {
    run_id: String,
    folder: PathBuf,
    pid: u32,
}

/// A private folder that is removed with the run; its lock is held for as long as the value lives.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    pub run_as: Option<RunAs>,
    _lock: File,
}

/// Where the folder of a run will be.
pub fn place(run_id: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("{PREFIX}{run_id}"));
    if folder.as_os_str().len() > LONGEST {
        return Path::new("/tmp").join(format!("{PREFIX}{run_id}"));
    }
    folder
}

impl Folder {
    /// Makes the folder; nobody else can look into it.
    ///
    /// # Errors
    /// It is there already, or cannot be made.
    pub fn create(path: &Path, run_id: &str, run_as: Option<RunAs>) -> Result<Folder, String> {
        let fail = |e: std::io::Error| format!("{}: {e}", path.display());
        DirBuilder::new().mode(0o700).create(path).map_err(fail)?;
        let lock = File::create(path.join(LOCK)).map_err(fail)?;
        // A sweep that looks at it may hold the lock for a moment.
        lock.lock().map_err(fail)?;
        let note = Note {
            run_id: run_id.to_owned(),
            folder: path.to_owned(),
            pid: std::process::id(),
        };
        let text = serde_json::to_vec(&note).map_err(|e| e.to_string())?;
        let mut file = File::create(path.join(NOTE)).map_err(fail)?;
        std::io::Write::write_all(&mut file, &text).map_err(fail)?;
        file.sync_all().map_err(fail)?;
        let folder = Folder {
            path: path.to_owned(),
            run_as,
            _lock: lock,
        };
        folder.give(path)?;
        Ok(folder)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A folder inside, for the programs of the drill.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn sub(&self, name: &str) -> Result<PathBuf, String> {
        let path = self.path.join(name);
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|e| format!("{}: {e}", path.display()))?;
        self.give(&path)?;
        Ok(path)
    }

    /// Gives a file or folder to the user that the programs run as.
    ///
    /// # Errors
    /// The system refuses.
    pub fn give(&self, path: &Path) -> Result<(), String> {
        match self.run_as {
            None => Ok(()),
            Some(user) => std::os::unix::fs::chown(path, Some(user.uid), Some(user.gid))
                .map_err(|e| format!("{}: {e}", path.display())),
        }
    }

    /// Bytes that still fit on the disk.
    pub fn free(path: &Path) -> Option<u64> {
        let stat = rustix::fs::statvfs(path).ok()?;
        stat.f_bavail.checked_mul(stat.f_frsize)
    }

    /// Ends what still runs in the folder and removes it.
    ///
    /// # Errors
    /// What is left, and why.
    pub fn remove(self) -> Result<Vec<String>, String> {
        erase(&self.path)
    }
}

/// What a sweep found at one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Leftover {
    pub what: String,
    /// Every guard that says it may be removed.
    pub guards: Vec<String>,
    /// Why it may not be removed, or could not be.
    pub kept: Option<String>,
    pub removed: bool,
}

/// The folders of all runs, dead or alive, at the places where runs put them.
pub fn candidates() -> Vec<PathBuf> {
    let mut parents = vec![std::env::temp_dir()];
    if !parents.contains(&PathBuf::from("/tmp")) {
        parents.push("/tmp".into());
    }
    let mut out: Vec<PathBuf> = parents
        .iter()
        .filter_map(|p| std::fs::read_dir(p).ok())
        .flat_map(|entries| entries.flatten())
        .filter(|e| e.file_name().to_string_lossy().starts_with(PREFIX))
        .map(|e| e.path())
        .collect();
    out.sort();
    out.dedup();
    out
}

/// Removes the folder of a run that is dead, if all guards agree; `None`: it is not there, or its
/// run is alive. `journalled` is the run whose journal names this very folder.
pub fn sweep(path: &Path, journalled: Option<&str>, dry_run: bool) -> Option<Leftover> {
    let meta = std::fs::symlink_metadata(path).ok()?;
    let mut out = Leftover {
        what: format!("scratch folder {}", path.display()),
        guards: Vec::new(),
        kept: None,
        removed: false,
    };
    match guards(path, &meta, journalled, &mut out.guards) {
        Ok(Some(_lock)) if dry_run => {}
        Ok(Some(_lock)) => match erase(path) {
            Ok(_) => out.removed = true,
            Err(e) => out.kept = Some(e),
        },
        Ok(None) => return None,
        Err(why) => out.kept = Some(why),
    }
    Some(out)
}

/// All guards; the lock is held while the caller removes. `None`: the run is alive, or another
/// user's.
fn guards(
    path: &Path,
    meta: &std::fs::Metadata,
    journalled: Option<&str>,
    passed: &mut Vec<String>,
) -> Result<Option<Option<File>>, String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let run_id = name
        .strip_prefix(PREFIX)
        .ok_or("its name is not that of a drill's folder")?;
    if !meta.is_dir() {
        return Err("it is not a folder".to_owned());
    }
    passed.push(format!("the name is that of run {run_id}"));
    let us = rustix::process::geteuid().as_raw();
    let theirs = RunAs::choose().ok().flatten().map(|user| user.uid);
    if meta.uid() != us && Some(meta.uid()) != theirs {
        // Another user's drill is that user's to sweep.
        return match journalled {
            None => Ok(None),
            Some(_) => Err(format!("it belongs to another user (uid {})", meta.uid())),
        };
    }
    passed.push(format!("it belongs to uid {}", meta.uid()));
    if meta.mode() & 0o077 != 0 {
        return Err("others may write or look into it".to_owned());
    }
    let lock = match File::options().write(true).open(path.join(LOCK)) {
        Ok(file) => match file.try_lock() {
            Ok(()) => Some(file),
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(e)) => return Err(e.to_string()),
        },
        Err(_) => None,
    };
    let note = std::fs::read(path.join(NOTE))
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Note>(&bytes).ok());
    match note {
        Some(note) if note.run_id == run_id && note.folder == path => {
            passed.push("the note inside names this run and this folder".to_owned());
        }
        Some(_) => return Err("the note inside names another run".to_owned()),
        None if journalled == Some(run_id) => {
            passed.push("its journal names this folder, and it died before the note".to_owned());
        }
        // One that is just being made or removed looks like that for a moment.
        None if journalled.is_none() && is_young(meta) => return Ok(None),
        None => return Err("there is no note inside, and no journal that names it".to_owned()),
    }
    passed.push("its run is dead: the lock is free".to_owned());
    Ok(Some(lock))
}

/// Changed within the last hour, or at a time that cannot be told.
fn is_young(meta: &std::fs::Metadata) -> bool {
    meta.modified()
        .ok()
        .and_then(|at| at.elapsed().ok())
        .is_none_or(|age| age < Duration::from_secs(3600))
}

/// The processes whose command line names the folder, or that work in it; with whether to signal
/// them at once.
///
/// A server without clients (`--single`, and `--boot` below initdb) leaves its shared memory behind
/// when a signal ends it, but ends by itself with its input; backends end with their server.
fn processes(folder: &Path) -> Vec<(Pid, bool)> {
    let needle = folder.display().to_string();
    let own = std::process::id().to_string();
    let named = |text: &str| {
        text.match_indices(&needle).any(|(at, _)| {
            // `…-1` is not `…-12`.
            text[at + needle.len()..]
                .chars()
                .next()
                .is_none_or(|c| !c.is_ascii_alphanumeric() && c != '-')
        })
    };
    let mut pids: Vec<(i32, bool)> = Vec::new();
    if Path::new("/proc/self/cmdline").exists() {
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Ok(pid) = name.parse::<i32>() else {
                continue;
            };
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            // What initdb starts names no folder, but works in it.
            let inside = std::fs::read_link(entry.path().join("cwd"))
                .is_ok_and(|cwd| cwd.starts_with(folder));
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            let named = named(&line);
            if name != own && (inside || named) {
                pids.push((pid, named && !line.contains(" --single ")));
            }
        }
    } else {
        let listed = std::process::Command::new("ps")
            .args(["-A", "-o", "pid=,args="])
            .stdin(std::process::Stdio::null())
            .output();
        for line in listed
            .map(|o| String::from_utf8_lossy(&o.stdout).into_owned())
            .unwrap_or_default()
            .lines()
        {
            let (pid, args) = line.trim().split_once(' ').unwrap_or_default();
            if pid != own
                && named(args)
                && let Ok(pid) = pid.parse()
            {
                pids.push((pid, !args.contains(" --single ")));
            }
        }
    }
    pids.into_iter()
        .filter_map(|(pid, at_once)| Some((Pid::from_raw(pid)?, at_once)))
        .collect()
}

/// Ends the folder's processes and removes it with all that is in it.
fn erase(path: &Path) -> Result<Vec<String>, String> {
    let mut proof = Vec::new();
    let began = Instant::now();
    let mut first = processes(path);
    let count = first.len();
    // For PostgreSQL, SIGQUIT is an immediate shutdown: the server and all its backends.
    let mut signal = Signal::QUIT;
    while !first.is_empty() {
        for (pid, at_once) in &first {
            if *at_once || began.elapsed() > PATIENCE / 2 {
                // It may have ended in between.
                let _ = rustix::process::kill_process(*pid, signal);
            }
        }
        std::thread::sleep(Duration::from_millis(20));
        first = processes(path);
        if began.elapsed() > PATIENCE * 2 {
            return Err(format!(
                "{count} processes in {} do not end",
                path.display()
            ));
        }
        if began.elapsed() > PATIENCE {
            signal = Signal::KILL;
        }
    }
    proof.push(match count {
        0 => "no process of the run is alive".to_owned(),
        n => format!("{n} processes of the run ended"),
    });
    // What a backend that is just ending writes may come in between.
    let mut last = None;
    for _ in 0..50 {
        match std::fs::remove_dir_all(path) {
            Ok(()) => {
                last = None;
                break;
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                last = None;
                break;
            }
            Err(e) => last = Some(e),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    if let Some(e) = last {
        return Err(format!("{}: {e}", path.display()));
    }
    proof.push(format!("the folder {} is gone", path.display()));
    Ok(proof)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_passes_every_guard_is_swept() {
        let parent = tempfile::TempDir::new().unwrap();
        let path = parent.path().join("opsctl-drill-run1");
        let folder = Folder::create(&path, "run1", None).unwrap();
        assert_eq!(sweep(&path, None, false), None, "its run is alive");
        drop(folder);
        let dry = sweep(&path, None, true).unwrap();
        assert!(
            !dry.removed && dry.kept.is_none() && dry.guards.len() == 4,
            "{dry:?}"
        );
        assert!(path.exists());
        // A folder under a name of ours that somebody else made.
        let foreign = parent.path().join("opsctl-drill-run2");
        DirBuilder::new().mode(0o700).create(&foreign).unwrap();
        assert_eq!(sweep(&foreign, None, false), None);
        assert!(sweep(&foreign, Some("run3"), false).unwrap().kept.is_some());
        assert!(foreign.exists());
        // A copy of one of ours.
        let copied = parent.path().join("opsctl-drill-run4");
        DirBuilder::new().mode(0o700).create(&copied).unwrap();
        std::fs::copy(path.join(NOTE), copied.join(NOTE)).unwrap();
        assert!(sweep(&copied, None, false).unwrap().kept.is_some());
        assert!(sweep(&path, None, false).unwrap().removed);
        assert!(!path.exists() && foreign.exists() && copied.exists());
    }

    #[test]
    fn a_link_is_never_followed() {
        let parent = tempfile::TempDir::new().unwrap();
        let target = parent.path().join("precious");
        std::fs::create_dir(&target).unwrap();
        let link = parent.path().join("opsctl-drill-run1");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(sweep(&link, Some("run1"), false).unwrap().kept.is_some());
        assert!(target.exists());
    }
}
