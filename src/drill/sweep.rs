//! What runs that were killed left behind: found by their journals and by the guards on the things
//! themselves, removed, and put on record.

use std::path::Path;

use super::chain::{Appended, Bucket, Chain};
use super::folder::{self, Leftover};
use super::journal::{Thing, Unfinished};
use super::probe::{self, Connection};
use super::record::{Cleanup, Outcome, Record, now};

/// Where the scratch database of a drill is; `None` if the configuration no longer says.
pub type Resolve<'a> = dyn Fn(&str) -> Option<Connection> + Sync + 'a;

/// What a sweep did, or would do.
#[derive(Debug, Default)]
pub struct Swept {
    pub things: Vec<Leftover>,
    /// The records that the killed runs could not write.
    pub records: Vec<Appended>,
    pub trouble: Vec<String>,
}

impl Swept {
    pub fn is_clean(&self) -> bool {
        self.trouble.is_empty() && self.things.iter().all(|t| t.kept.is_none())
    }
}

/// Finishes what dead runs began. With `dry_run` only looks.
pub async fn sweep(
    state: &Path,
    bucket: Option<&Bucket<'_>>,
    resolve: &Resolve<'_>,
    dry_run: bool,
) -> Swept {
    let mut out = Swept::default();
    let (unfinished, trouble) = Unfinished::find(&state.join("runs"));
    out.trouble = trouble;
    for run in unfinished {
        let mut cleanup = run.cleaned.clone().unwrap_or(Cleanup {
            deleted: true,
            proof: Vec::new(),
            ..Cleanup::default()
        });
        for thing in &run.things {
            let Some(found) = one(thing, &run, resolve, dry_run).await else {
                cleanup.proof.push(format!("{} is not there", named(thing)));
                continue;
            };
            match &found.kept {
                None => cleanup.proof.push(format!("{} was removed", found.what)),
                Some(why) => {
                    cleanup.deleted = false;
                    cleanup.proof.push(format!("{}: {why}", found.what));
                }
            }
            out.things.push(found);
        }
        if dry_run || !cleanup.deleted {
            continue;
        }
        if cleanup.proof.is_empty() {
            cleanup.proof.push("nothing had been made".to_owned());
        }
        if let Err(e) = finish(state, bucket, run, cleanup, &mut out).await {
            out.trouble.push(e);
        }
    }
    // Folders whose journal is lost, with its project or its disk.
    for path in folder::candidates() {
        let known = out
            .things
            .iter()
            .any(|t| t.what.ends_with(&path.display().to_string()));
        if !known && let Some(found) = blocking(path, None, dry_run).await {
            out.things.push(found);
        }
    }
    out
}

async fn blocking(
    path: std::path::PathBuf,
    run_id: Option<String>,
    dry_run: bool,
) -> Option<Leftover> {
    tokio::task::spawn_blocking(move || folder::sweep(&path, run_id.as_deref(), dry_run))
        .await
        .ok()
        .flatten()
}

fn named(thing: &Thing) -> String {
    match thing {
        Thing::ScratchFolder { path } => format!("scratch folder {}", path.display()),
        Thing::ScratchDatabase { database, .. } => format!("scratch database {database}"),
        Thing::Copy(copy) => format!("{} {} in {}", copy.kind, copy.id, copy.region),
    }
}

async fn one(
    thing: &Thing,
    run: &Unfinished,
    resolve: &Resolve<'_>,
    dry_run: bool,
) -> Option<Leftover> {
    let mut out = Leftover {
        what: named(thing),
        guards: vec![format!("the journal of run {} names it", run.run_id)],
        kept: None,
        removed: false,
    };
    match thing {
        Thing::ScratchFolder { path } => {
            return blocking(path.clone(), Some(run.run_id.clone()), dry_run).await;
        }
        Thing::ScratchDatabase { drill, database } => {
            let Some(connection) = resolve(drill) else {
                out.kept = Some(format!(
                    "the configuration has no `scratch` server for drill `{drill}` any more"
                ));
                return Some(out);
            };
            match probe::has_database(&connection, database).await {
                Ok(false) => return None,
                Ok(true) => out
                    .guards
                    .push("its name is that of a drill's database".to_owned()),
                Err(e) => {
                    out.kept = Some(e);
                    return Some(out);
                }
            }
            if !dry_run {
                match probe::drop_database(&connection, database).await {
                    Ok(()) => out.removed = true,
                    Err(e) => out.kept = Some(e),
                }
            }
        }
        Thing::Copy(_) => {
            out.kept = Some("this version does not make such copies".to_owned());
        }
    }
    Some(out)
}

/// Writes the record that the run could not write.
async fn finish(
    state: &Path,
    bucket: Option<&Bucket<'_>>,
    run: Unfinished,
    cleanup: Cleanup,
    out: &mut Swept,
) -> Result<(), String> {
    let Some(draft) = &run.draft else {
        // Killed before its first note was whole: nothing had been done.
        return run.end("").map_err(|e| e.to_string());
    };
    let chain = Chain::new(state, draft.sandbox.as_deref());
    let (records, _) = chain.read();
    let written = records.iter().find(|r| r.run_id == run.run_id);
    let sha256 = match written {
        Some(record) => record.sha256.clone(),
        None => {
            let during = run
                .last_step
                .as_ref()
                .map_or_else(String::new, |s| format!(" during `{s}`"));
            let record = Record {
                finished_at: now(),
                cleanup,
                result: Outcome::Aborted,
                reasons: vec![format!(
                    "the run was killed{during}; a later run removed what it had made"
                )],
                ..draft.clone()
            };
            let bucket = bucket.filter(|_| draft.sandbox.is_none());
            let appended = chain.append(record, bucket).await?;
            let sha256 = appended.record.sha256.clone();
            out.records.push(appended);
            sha256
        }
    };
    run.end(&sha256).map_err(|e| e.to_string())
}
