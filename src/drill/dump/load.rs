//! `pg_restore` and `psql`, with every line that they say weighed.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Pid, Signal};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::format::{self, Form, Kind, Packing};
use super::statements::Statements;
use crate::drill::folder::Folder;
use crate::drill::probe::Connection;
use crate::drill::scratch::program;
use crate::drill::tools::Tools;

/// So much of the end of a plain dump is looked at.
const TAIL: usize = 4096;
/// Lines of a program that are kept for its last words.
const KEPT: usize = 40;
/// Longest reason, in characters.
const LONGEST: usize = 400;

/// Where a dump is loaded to.
pub struct Load<'a> {
    pub tools: &'a Tools,
    pub folder: &'a Folder,
    /// With the database to load into.
    pub connection: &'a Connection,
    /// A server of our own, on which no error is harmless.
    pub own: bool,
    pub progress: &'a (dyn Fn(u64) + Sync),
}

/// Errors that say nothing against a dump; everything else does.
///
/// - `SET transaction_timeout`, which pg_dump 17 and newer write, on an older server;
/// - the comment of an extension that the server's own administrator owns;
/// - in plain SQL, which knows no `--no-owner`: owners, grants, policies and user mappings of roles that
///   only the old server had; in a dump of a whole cluster also roles that are there already;
/// - in plain SQL of `--clean`: that what is to be dropped is not there.
pub fn harmless(message: &str, statement: &str) -> bool {
    let statement = statement.trim_start().to_ascii_uppercase();
    let missing_role = message.starts_with("role \"") && message.ends_with("does not exist");
    let role_exists = message.starts_with("role \"") && message.ends_with("already exists");
    message == "unrecognized configuration parameter \"transaction_timeout\""
        || (message.starts_with("must be owner of extension")
            && statement.starts_with("COMMENT ON EXTENSION"))
        || (missing_role
            && (statement.starts_with("GRANT ")
                || statement.starts_with("REVOKE ")
                || statement.starts_with("ALTER DEFAULT PRIVILEGES ")
                || statement.starts_with("CREATE POLICY ")
                || statement.starts_with("CREATE USER MAPPING ")
                || (statement.starts_with("ALTER ") && statement.contains(" OWNER TO "))))
        || (role_exists && statement.starts_with("CREATE ROLE "))
        || (message.ends_with("does not exist")
            && (statement.starts_with("DROP ")
                || (statement.starts_with("ALTER TABLE ")
                    && (statement.contains(" DROP CONSTRAINT ")
                        || statement.ends_with(" DROP DEFAULT;")))))
}

/// Why a dump was not loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unloaded {
    /// It says something about the dump.
    Broken(String),
    /// It would change more than the drill's own database on a server that somebody named.
    NotHere(String),
}

impl From<String> for Unloaded {
    fn from(why: String) -> Unloaded {
        Unloaded::Broken(why)
    }
}

/// Weighs what a program says, line by line.
#[derive(Debug, Default)]
pub struct Watcher {
    /// An error whose statement comes in the next line.
    pending: Option<String>,
    allowed: u64,
    ignored: Option<u64>,
    lines: VecDeque<String>,
}

impl Watcher {
    /// The reason to stop, if the line is one.
    pub fn hear(&mut self, line: &str) -> Option<String> {
        if self.lines.len() == KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back(line.to_owned());
        let statement = line
            .strip_prefix("Command was: ")
            .or_else(|| line.split_once(": STATEMENT:  ").map(|(_, s)| s));
        if let Some(statement) = statement {
            let message = self.pending.take()?;
            if harmless(&message, statement) {
                self.allowed += 1;
                return None;
            }
            return Some(format!("{message} ({})", statement.trim()));
        }
        if let Some(count) = line.split_once("errors ignored on restore: ") {
            self.ignored = count.1.trim().parse().ok();
            return None;
        }
        let error = line
            .split_once("ERROR:  ")
            .or_else(|| line.split_once("FATAL:  "))
            .map(|(_, message)| message.trim().to_owned());
        let own = line
            .strip_prefix("pg_restore: error: ")
            .or_else(|| line.strip_prefix("psql: error: "));
        match (error, own) {
            (Some(message), _) => {
                let before = self.pending.replace(message);
                before.filter(|b| !harmless(b, ""))
            }
            // What came before is the cause: "a worker process died" only says that something did.
            (None, Some(own)) => Some(match self.pending.take() {
                Some(before) if !harmless(&before, "") => before,
                _ => own.to_owned(),
            }),
            (None, None) => None,
        }
    }

    /// What is left to say when the program has ended.
    pub fn end(&mut self, status: std::process::ExitStatus, program: &str) -> Result<u64, String> {
        if let Some(message) = self.pending.take().filter(|m| !harmless(m, "")) {
            return Err(message);
        }
        if let Some(ignored) = self.ignored
            && ignored != self.allowed
        {
            return Err(format!(
                "{program} ignored {ignored} errors, of which {} are known to be harmless",
                self.allowed
            ));
        }
        let forgiven = self.ignored.is_some() && status.code() == Some(1);
        if status.success() || forgiven {
            return Ok(self.allowed);
        }
        let said: Vec<&str> = self.lines.iter().map(String::as_str).collect();
        let words = crate::drill::scratch::last_words(&said.join("\n"));
        Err(match words.is_empty() {
            true => format!("{program} ended with {status}"),
            false => format!("{program}: {words}"),
        })
    }
}

fn short(text: String) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

impl Load<'_> {
    fn client(&self, name: &str) -> Command {
        let mut command = program(self.tools, name, self.folder);
        command.envs(self.connection.variables()).kill_on_drop(true);
        command
    }

    fn pg_restore(&self) -> Command {
        let mut command = self.client("pg_restore");
        // A subscription of the copy would keep its database from being dropped.
        command.args(["--no-owner", "--no-acl", "--no-subscriptions", "--dbname"]);
        command.arg(&self.connection.database);
        if self.own {
            command.arg("--exit-on-error");
        }
        command
    }

    fn jobs() -> String {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        cores.min(4).to_string()
    }

    /// Restores a file. What comes back says what was done.
    ///
    /// # Errors
    /// Why the dump cannot be restored.
    pub async fn file(&self, path: &Path, kind: &Kind) -> Result<String, Unloaded> {
        let packed = kind.packing != Packing::None;
        match &kind.form {
            Form::Custom(_) if packed => {
                self.feed(self.pg_restore(), "pg_restore", path, kind.packing, None)
                    .await
            }
            Form::Custom(_) => {
                let mut command = self.pg_restore();
                command.args(["--jobs", &Load::jobs()]).arg(path);
                Ok(self.watch(command, "pg_restore").await?)
            }
            Form::Tar(_) => {
                // pg_restore may wait for ever for the end of a file that has none.
                whole_tar(path.to_owned(), kind.packing).await?;
                self.feed(self.pg_restore(), "pg_restore", path, kind.packing, None)
                    .await
            }
            Form::TarOfSomething => {
                let folder = self.folder.sub("unpacked")?;
                let unpacked = unpack(path.to_owned(), kind.packing, folder).await?;
                Ok(self.directory(&unpacked).await?)
            }
            Form::Plain { has_end, .. } => {
                let mut command = self.client("psql");
                // Errors are weighed here, one by one: ON_ERROR_STOP knows none that are harmless.
                command.args(["-X", "-q", "-b", "-v", "ON_ERROR_STOP=0", "-f", "-"]);
                self.feed(command, "psql", path, kind.packing, Some(*has_end))
                    .await
            }
        }
    }

    /// Restores a dump in the directory format.
    ///
    /// # Errors
    /// Why it cannot be restored.
    pub async fn directory(&self, path: &Path) -> Result<String, String> {
        let mut command = self.pg_restore();
        command
            .args(["--format=directory", "--jobs", &Load::jobs()])
            .arg(path);
        self.watch(command, "pg_restore").await
    }

    /// Runs a program that reads the file itself.
    async fn watch(&self, mut command: Command, name: &str) -> Result<String, String> {
        let child = command
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| format!("{name} could not be started: {e}"))?;
        self.hear(child, name).await.map_err(short)
    }

    async fn hear(&self, mut child: Child, name: &str) -> Result<String, String> {
        let mut watcher = Watcher::default();
        if let Some(stderr) = child.stderr.take() {
            let mut lines = BufReader::new(stderr).split(b'\n');
            while let Ok(Some(line)) = lines.next_segment().await {
                let line = String::from_utf8_lossy(&line);
                if let Some(reason) = watcher.hear(line.trim_end()) {
                    let _ = child.kill().await;
                    return Err(reason);
                }
            }
        }
        let status = child.wait().await.map_err(|e| format!("{name}: {e}"))?;
        let allowed = watcher.end(status, name)?;
        Ok(match allowed {
            0 => name.to_owned(),
            n => format!("{name}, {n} harmless errors"),
        })
    }

    /// Runs a program that is given the unpacked content of the file, piece by piece. `plain`: it is
    /// SQL, and has to have the line by which pg_dump ends.
    async fn feed(
        &self,
        mut command: Command,
        name: &str,
        path: &Path,
        packing: Packing,
        plain: Option<bool>,
    ) -> Result<String, Unloaded> {
        let mut child = command
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| format!("{name} could not be started: {e}"))?;
        let stdin = child
            .stdin
            .take()
            .and_then(|stdin| stdin.into_owned_fd().ok())
            .ok_or_else(|| format!("{name} has no standard input"))?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok());
        let statements = plain.map(|_| Statements::new(self.own));
        let fed = Arc::new(AtomicU64::new(0));
        let feeder = tokio::task::spawn_blocking({
            let (path, fed) = (path.to_owned(), Arc::clone(&fed));
            move || {
                let to = File::from(stdin);
                let pumped = pump(&path, packing, &to, statements, &fed);
                // At the end of its input psql would run what it has of a statement.
                if matches!(pumped, Pumped::Forbidden(_))
                    && let Some(pid) = pid.and_then(Pid::from_raw)
                {
                    let _ = rustix::process::kill_process(pid, Signal::KILL);
                }
                pumped
            }
        });
        let hearing = self.hear(child, name);
        tokio::pin!(hearing);
        let said = loop {
            tokio::select! {
                said = &mut hearing => break said,
                () = tokio::time::sleep(std::time::Duration::from_millis(500)) => {
                    (self.progress)(fed.load(Ordering::Relaxed));
                }
            }
        };
        let pumped = feeder.await.map_err(|e| e.to_string())?;
        // A damaged file is the cause of whatever the program says about what it was given.
        let tail = match pumped {
            Pumped::Whole(tail) => tail,
            Pumped::Unreadable(e) => return Err(format::unpacking(packing, &e).into()),
            Pumped::Forbidden(what) if self.own => {
                return Err(Unloaded::Broken(format!(
                    "it has a command of psql that no dump has ({what})"
                )));
            }
            Pumped::Forbidden(what) => return Err(Unloaded::NotHere(what)),
            Pumped::Refused => Vec::new(),
        };
        let said = said.map_err(short)?;
        if plain == Some(true) && !format::ends_well(&tail) {
            return Err(Unloaded::Broken(
                "it is truncated: the line `PostgreSQL database dump complete` is missing at its end"
                    .to_owned(),
            ));
        }
        Ok(said)
    }
}

enum Pumped {
    /// With the last bytes.
    Whole(Vec<u8>),
    Unreadable(std::io::Error),
    /// The program wanted no more.
    Refused,
    /// It must not have what comes next.
    Forbidden(String),
}

/// Unpacks a file into a pipe; SQL statement by statement.
fn pump(
    path: &Path,
    packing: Packing,
    mut to: &File,
    mut statements: Option<Statements>,
    fed: &AtomicU64,
) -> Pumped {
    let mut reader = match format::open(path, packing) {
        Ok(reader) => reader,
        Err(e) => return Pumped::Unreadable(e),
    };
    let mut buffer = vec![0u8; 256 * 1024];
    let mut tail: Vec<u8> = Vec::new();
    loop {
        let n = match reader.read(&mut buffer) {
            Ok(n) => n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => return Pumped::Unreadable(e),
        };
        let read = &buffer[..n];
        let written = match &mut statements {
            None => to.write_all(read),
            Some(statements) => {
                let passed = match n {
                    0 => statements.end(),
                    _ => statements.pass(read),
                };
                match passed {
                    Ok(passed) => to.write_all(&passed),
                    Err(what) => return Pumped::Forbidden(what),
                }
            }
        };
        if written.is_err() {
            return Pumped::Refused;
        }
        if n == 0 {
            return Pumped::Whole(tail);
        }
        fed.fetch_add(n as u64, Ordering::Relaxed);
        tail.extend_from_slice(&read[n.saturating_sub(TAIL)..]);
        if tail.len() > TAIL {
            tail.drain(..tail.len() - TAIL);
        }
    }
}

/// Reads a tar to its end.
async fn whole_tar(path: PathBuf, packing: Packing) -> Result<(), String> {
    let read = move || {
        let reader = format::open(&path, packing).map_err(|e| damaged(packing, &e))?;
        let mut archive = tar::Archive::new(reader);
        for entry in archive.entries().map_err(|e| damaged(packing, &e))? {
            let mut entry = entry.map_err(|e| damaged(packing, &e))?;
            let size = entry.size();
            let there = std::io::copy(&mut entry, &mut std::io::sink())
                .map_err(|e| damaged(packing, &e))?;
            if there != size {
                return Err(TRUNCATED.to_owned());
            }
        }
        Ok(())
    };
    tokio::task::spawn_blocking(read)
        .await
        .map_err(|e| e.to_string())?
}

const TRUNCATED: &str = "the tar ends too early: the file is truncated";

fn damaged(packing: Packing, error: &std::io::Error) -> String {
    match packing {
        Packing::None if error.kind() == std::io::ErrorKind::UnexpectedEof => TRUNCATED.to_owned(),
        Packing::None => format!("the tar is damaged: {error}"),
        _ => format::unpacking(packing, error),
    }
}

/// Unpacks a tar into a folder; gives back the folder in it that holds `toc.dat`.
async fn unpack(path: PathBuf, packing: Packing, to: PathBuf) -> Result<PathBuf, String> {
    tokio::task::spawn_blocking(move || unpack_now(&path, packing, &to))
        .await
        .map_err(|e| e.to_string())?
}

fn unpack_now(path: &Path, packing: Packing, to: &Path) -> Result<PathBuf, String> {
    let damaged = |e: std::io::Error| damaged(packing, &e);
    let reader = format::open(path, packing).map_err(damaged)?;
    let mut archive = tar::Archive::new(reader);
    let mut found = None;
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = entry.path().map_err(damaged)?.into_owned();
        // Only what lies inside: a name may try to lead elsewhere.
        let inside: PathBuf = name
            .components()
            .filter(|c| !matches!(c, std::path::Component::CurDir))
            .collect();
        if !inside
            .components()
            .all(|c| matches!(c, std::path::Component::Normal(_)))
        {
            return Err(format!(
                "the tar holds a name that leads outside: {}",
                name.display()
            ));
        }
        let target = to.join(&inside);
        let parent = target.parent().unwrap_or(to);
        let here = |e: std::io::Error| format!("{}: {e}", target.display());
        std::fs::create_dir_all(parent).map_err(here)?;
        let size = entry.size();
        let mut file = File::create_new(&target).map_err(here)?;
        let copied = std::io::copy(&mut entry, &mut file).map_err(damaged)?;
        if copied != size {
            return Err(TRUNCATED.to_owned());
        }
        if target.file_name().is_some_and(|n| n == "toc.dat") {
            found = Some(parent.to_owned());
        }
    }
    found.ok_or_else(|| {
        "it is a tar without a toc.dat: not a dump, or the end of it is missing".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(lines: &[&str]) -> Option<String> {
        let mut watcher = Watcher::default();
        lines.iter().find_map(|line| watcher.hear(line))
    }

    #[test]
    fn only_known_lines_are_harmless() {
        for lines in [
            [
                "pg_restore: error: could not execute query: ERROR:  unrecognized configuration parameter \"transaction_timeout\"",
                "Command was: SET transaction_timeout = 0;",
            ],
            [
                "pg_restore: error: could not execute query: ERROR:  must be owner of extension plpgsql",
                "Command was: COMMENT ON EXTENSION plpgsql IS 'PL/pgSQL procedural language';",
            ],
            [
                "psql:<stdin>:19: ERROR:  role \"app\" does not exist",
                "psql:<stdin>:19: STATEMENT:  ALTER TABLE public.orders OWNER TO app;",
            ],
        ] {
            assert_eq!(heard(&lines), None, "{lines:?}");
        }
        for lines in [
            [
                "pg_restore: error: could not execute query: ERROR:  relation \"orders\" already exists",
                "Command was: CREATE TABLE public.orders (id bigint);",
            ],
            [
                "psql:<stdin>:19: ERROR:  role \"app\" does not exist",
                "psql:<stdin>:19: STATEMENT:  SET ROLE app;",
            ],
            [
                "pg_restore: error: could not execute query: ERROR:  must be owner of extension plpgsql",
                "Command was: DROP EXTENSION plpgsql;",
            ],
            [
                "pg_restore: error: could not read from input file: end of file",
                "",
            ],
        ] {
            assert!(heard(&lines).is_some(), "{lines:?}");
        }
    }

    #[test]
    fn ignored_errors_have_to_be_accounted_for() {
        use std::os::unix::process::ExitStatusExt;
        let one = std::process::ExitStatus::from_raw(1 << 8);
        let mut watcher = Watcher::default();
        watcher.hear("pg_restore: warning: errors ignored on restore: 1");
        assert!(watcher.end(one, "pg_restore").is_err());
        let mut watcher = Watcher::default();
        watcher.hear("pg_restore: error: could not execute query: ERROR:  unrecognized configuration parameter \"transaction_timeout\"");
        watcher.hear("Command was: SET transaction_timeout = 0;");
        watcher.hear("pg_restore: warning: errors ignored on restore: 1");
        assert_eq!(watcher.end(one, "pg_restore"), Ok(1));
    }
}
