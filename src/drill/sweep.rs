//! What runs that were killed left behind: found by their journals and by the guards on the things
//! themselves, removed, and put on record.

mod copies;

use std::path::Path;

use copies::Noted;
pub use copies::Place;

use super::chain::{Appended, Bucket, Chain};
use super::folder::{self, Leftover};
use super::journal::{Thing, Unfinished, new_run_id};
use super::probe::{self, Connection};
use super::record::{Cleanup, Outcome, Record, now};
use crate::cloud::Cloud;
use crate::cloud::copies::CopyKind;

/// Where the scratch database of an environment's drill is; `None` if the configuration no longer
/// says.
pub type Resolve<'a> = dyn Fn(&str, &str) -> Option<Connection> + Sync + 'a;

/// What a sweep did, or would do.
#[derive(Debug, Default)]
pub struct Swept {
    pub things: Vec<Leftover>,
    /// Copies that may belong to runs on other machines, and what only looks like a copy: no trouble.
    pub young: Vec<Leftover>,
    /// The records that the killed runs could not write.
    pub records: Vec<Appended>,
    pub trouble: Vec<String>,
}

impl Swept {
    pub fn is_clean(&self) -> bool {
        self.trouble.is_empty() && self.things.iter().all(|t| t.kept.is_none())
    }
}

/// Everything that a sweep needs.
pub struct Sweep<'a> {
    /// `.opsctl`
    pub state: &'a Path,
    pub bucket: Option<&'a Bucket<'a>>,
    pub resolve: &'a Resolve<'a>,
    pub cloud: Option<&'a dyn Cloud>,
    /// The environments whose copies are looked for.
    pub places: &'a [Place],
    pub dry_run: bool,
    pub progress: &'a (dyn Fn(&str) + Sync),
}

/// Finishes what dead runs began. With `dry_run` only looks.
pub async fn sweep(with: &Sweep<'_>) -> Swept {
    let mut out = Swept::default();
    // Of those that are alive here nothing is lost, and the others come first.
    let known = Unfinished::not_over(&with.state.join("runs"));
    let (unfinished, trouble) = Unfinished::find(&with.state.join("runs"));
    out.trouble = trouble;
    for run in unfinished {
        let mut cleanup = run.cleaned.clone().unwrap_or(Cleanup {
            deleted: true,
            proof: Vec::new(),
            ..Cleanup::default()
        });
        // What was made last goes first: an instance before the cluster that it is in.
        for thing in run.things.iter().rev() {
            let (found, proof) = one(thing, &run, with).await;
            cleanup.proof.extend(proof);
            let Some(found) = found else {
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
        if with.dry_run || !cleanup.deleted {
            continue;
        }
        if cleanup.proof.is_empty() {
            cleanup.proof.push("nothing had been made".to_owned());
        }
        if let Err(e) = finish(with, run, cleanup, &mut out).await {
            out.trouble.push(e);
        }
    }
    if let Some(cloud) = with.cloud {
        let tables = |p: &Place| p.kinds.contains(&CopyKind::Table);
        let noted = match (with.bucket, cloud.copies()) {
            (Some(bucket), Some(copies)) if with.places.iter().any(tables) => {
                copies::noted_tables(bucket, copies.now(), &known).await
            }
            _ => Ok(Vec::new()),
        };
        let noted = noted.unwrap_or_else(|e| {
            out.trouble.push(format!(
                "the notes in the evidence bucket cannot be read, so tables without tags are not known: {e}"
            ));
            Vec::new()
        });
        for place in with.places {
            lost(cloud, place, with, &noted, &known, &mut out).await;
        }
    }
    // Folders whose journal is lost, with its project or its disk.
    for path in folder::candidates() {
        let known = out
            .things
            .iter()
            .any(|t| t.what.ends_with(&path.display().to_string()));
        if !known && let Some(found) = blocking(path, None, with.dry_run).await {
            out.things.push(found);
        }
    }
    out
}

/// Copies whose journal is not on this machine.
async fn lost(
    cloud: &dyn Cloud,
    place: &Place,
    with: &Sweep<'_>,
    noted: &[Noted],
    known: &[String],
    out: &mut Swept,
) {
    let orphans = match copies::orphans(cloud, place, with.bucket, noted, known).await {
        Ok((orphans, foreign)) => {
            out.young.extend(foreign);
            orphans
        }
        Err(e) => {
            out.trouble.push(format!(
                "copies of environment `{}` cannot be looked for: {e}",
                place.target.environment
            ));
            return;
        }
    };
    for orphan in orphans {
        let found = copies::one(cloud, &orphan.claim, with.dry_run, with.progress).await;
        if found.nothing {
            continue;
        }
        if found.young {
            out.young.push(found.left);
            continue;
        }
        if found.left.removed
            && let Some(draft) = orphan.draft
        {
            let cleanup = Cleanup {
                deleted: true,
                proof: found.proof,
                ..Cleanup::default()
            };
            let why = "the run was killed, and its machine lost its files; a later run removed what it had made";
            if let Err(e) = record_of_lost(with, draft, cleanup, why, out).await {
                out.trouble.push(e);
            }
        }
        out.things.push(found.left);
    }
}

/// The record of a run whose machine is gone, from its notes in the evidence bucket.
async fn record_of_lost(
    with: &Sweep<'_>,
    draft: Record,
    cleanup: Cleanup,
    why: &str,
    out: &mut Swept,
) -> Result<(), String> {
    let noted = match with.bucket {
        Some(bucket) => bucket.record_of(&draft.run_id).await?.is_some(),
        None => false,
    };
    let (local, _) = Chain::new(with.state, None).read();
    let mut known = local.iter().chain(out.records.iter().map(|a| &a.record));
    let written = noted || known.any(|r| r.run_id == draft.run_id);
    if written {
        return Ok(());
    }
    let record = Record {
        finished_at: now(),
        cleanup,
        result: Outcome::Aborted,
        reasons: vec![why.to_owned()],
        ..draft
    };
    let appended = Chain::new(with.state, None)
        .append(record, with.bucket)
        .await?;
    out.records.push(appended);
    Ok(())
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

/// What was found of a thing, if it is there, and what was looked at.
async fn one(thing: &Thing, run: &Unfinished, with: &Sweep<'_>) -> (Option<Leftover>, Vec<String>) {
    let Thing::Copy(copy) = thing else {
        let found = local(thing, run, with.resolve, with.dry_run).await;
        let proof = match &found {
            None => vec![format!("{} is not there", named(thing))],
            Some(_) => Vec::new(),
        };
        return (found, proof);
    };
    let kept = |why: String| Leftover {
        what: named(thing),
        guards: vec![format!("the journal of run {} names it", run.run_id)],
        kept: Some(why),
        removed: false,
    };
    let of_account = || {
        let mut places = with.places.iter();
        places.find(|p| p.target.account == copy.account)
    };
    let place = with
        .places
        .iter()
        .find(|p| p.target.environment == copy.environment && p.target.account == copy.account)
        // The environment may have another name by now: the account is what counts.
        .or_else(of_account);
    let (Some(cloud), Some(place)) = (with.cloud, place) else {
        let why = format!(
            "the configuration has no environment of account {} any more, so it cannot be reached; put it back, or see that the copy is gone and remove the journal {}",
            copy.account,
            run.path().display()
        );
        return (Some(kept(why)), Vec::new());
    };
    let resource_id = run.made.get(&copy.id).map(String::as_str);
    let claim = copy.claim(&place.target, resource_id);
    let mut found = copies::one(cloud, &claim, with.dry_run, with.progress).await;
    if found.nothing {
        return (None, found.proof);
    }
    let first = format!("the journal of run {} names it", run.run_id);
    found.left.guards.insert(0, first);
    (Some(found.left), found.proof)
}

async fn local(
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
            let environment = run.draft.as_ref().map_or("", |d| d.environment.as_str());
            let Some(connection) = resolve(environment, drill) else {
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
        Thing::Copy(_) => {}
    }
    Some(out)
}

/// Whether a draft tells how its run ended: those of before are aborted, and do not say why.
fn judged(draft: &Record) -> bool {
    draft.result != Outcome::Aborted || !draft.reasons.is_empty()
}

/// Writes the record that the run could not write.
async fn finish(
    with: &Sweep<'_>,
    run: Unfinished,
    cleanup: Cleanup,
    out: &mut Swept,
) -> Result<(), String> {
    let Some(draft) = &run.draft else {
        // Killed before its first note was whole: nothing had been done.
        return run.end("").map_err(|e| e.to_string());
    };
    let chain = Chain::new(with.state, draft.sandbox.as_deref());
    // It may have been uploaded before it could be written here.
    if let Some(bucket) = with.bucket.filter(|_| draft.sandbox.is_none())
        && let Err(e) = bucket.adopt(&chain, &run.run_id).await
    {
        // A second record of the same run would contradict the first for ever.
        return Err(format!(
            "whether the record of run {} was uploaded before it was killed cannot be seen, so none is written until it can: {e}",
            run.run_id
        ));
    }
    let (records, _) = chain.read();
    let written = records.iter().find(|r| r.run_id == run.run_id);
    let sha256 = match written {
        Some(record) if record.cleanup.deleted => record.sha256.clone(),
        // It says that something was left, and that is no longer so.
        Some(record) => {
            let record = Record {
                run_id: new_run_id(),
                started_at: now(),
                finished_at: now(),
                cleanup,
                timeline: Vec::new(),
                checks: Vec::new(),
                measured: Default::default(),
                result: Outcome::Aborted,
                reasons: vec![format!(
                    "no drill: what run {} had left behind was removed",
                    run.run_id
                )],
                ..record.clone()
            };
            let bucket = with.bucket.filter(|_| draft.sandbox.is_none());
            let appended = chain.append(record, bucket).await?;
            let sha256 = appended.record.sha256.clone();
            out.records.push(appended);
            sha256
        }
        None => {
            let during = run
                .last_step
                .as_ref()
                .map_or_else(String::new, |s| format!(" during `{s}`"));
            let record = match judged(draft) {
                // It came to its end, and only the record is missing.
                true => {
                    let mut reasons = draft.reasons.clone();
                    reasons.push(
                        "the run could not write this record; a later run did, from its journal"
                            .to_owned(),
                    );
                    Record {
                        cleanup,
                        reasons,
                        ..draft.clone()
                    }
                }
                false => Record {
                    finished_at: now(),
                    cleanup,
                    result: Outcome::Aborted,
                    reasons: vec![format!(
                        "the run was killed{during}; a later run removed what it had made"
                    )],
                    ..draft.clone()
                },
            };
            let bucket = with.bucket.filter(|_| draft.sandbox.is_none());
            let appended = chain.append(record, bucket).await?;
            let sha256 = appended.record.sha256.clone();
            out.records.push(appended);
            sha256
        }
    };
    run.end(&sha256).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::journal::Journal;
    use crate::drill::machine;
    use crate::drill::record::Trigger;
    use crate::drill::spec::Spec;

    #[tokio::test]
    async fn a_result_outlives_a_record_that_could_not_be_written() {
        let state = tempfile::tempdir().unwrap();
        let runs = state.path().join("runs");
        let trigger = Trigger {
            kind: "user".to_owned(),
            name: "ada".to_owned(),
            detail: None,
        };
        let spec = Spec::sample("s3-dump:bucket/prefix");
        let mut draft = machine::draft(&spec, "20261122T104000Z-0a1b2c", None, &trigger);
        let journal = Journal::begin(&runs, &draft.run_id, &draft).unwrap();
        draft.result = Outcome::Failed;
        draft.reasons = vec!["check failed: select 1".to_owned()];
        journal.draft(&draft).unwrap();
        drop(journal);
        let with = Sweep {
            state: state.path(),
            bucket: None,
            resolve: &|_, _| None,
            cloud: None,
            places: &[],
            dry_run: false,
            progress: &|_| {},
        };
        let run = Unfinished::find(&runs).0.pop().unwrap();
        let mut out = Swept::default();
        let cleanup = Cleanup {
            deleted: true,
            ..Cleanup::default()
        };
        finish(&with, run, cleanup, &mut out).await.unwrap();
        let record = &out.records[0].record;
        assert_eq!(record.result, Outcome::Failed);
        assert_eq!(record.reasons[0], "check failed: select 1");
        assert!(record.reasons[1].contains("later run"));
        assert_eq!(record.finished_at, draft.finished_at);
        assert!(Unfinished::find(&runs).0.is_empty());
    }
}
