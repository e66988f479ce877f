//! Machines that append at the same time: every moment between two calls is tried.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use tempfile::TempDir;

use super::*;
use crate::cloud::store::{BucketPlace, ObjectBody, ObjectHead, ObjectStore, StoredObject};
use crate::cloud::{CloudError, Target};
use crate::drill::journal::{Journal, Unfinished, new_run_id};
use crate::drill::machine::draft;
use crate::drill::record::Trigger;
use crate::drill::spec::Spec;
use crate::drill::sweep::{Sweep, sweep};

/// A bucket in memory that lets another machine work between any two calls, and refuses on demand.
#[derive(Default)]
struct Shelf {
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    calls: AtomicUsize,
    /// After so many calls another machine appends a record.
    other: Mutex<Option<(usize, PathBuf)>>,
    /// Uploads are refused.
    closed: AtomicBool,
    /// The run that calls is killed after so many calls; 0: it is not.
    kill_after: AtomicUsize,
    killed: tokio::sync::Notify,
    /// From this call on no answer comes; 0: all do. Whether what was asked is done all the same.
    cut_at: AtomicUsize,
    done_all_the_same: AtomicBool,
}

struct Body(Option<Vec<u8>>);

#[async_trait]
impl ObjectBody for Body {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, CloudError> {
        Ok(self.0.take())
    }
}

fn refused(code: &str) -> CloudError {
    CloudError {
        operation: "s3:*".to_owned(),
        code: code.to_owned(),
        message: "on demand".to_owned(),
        maybe_done: false,
    }
}

impl Shelf {
    /// Whether this call is cut off, and with what answer.
    fn cut(&self) -> Result<(), CloudError> {
        let calls = self.calls.load(Ordering::SeqCst) + 1;
        let at = self.cut_at.load(Ordering::SeqCst);
        if at == 0 || calls < at {
            return Ok(());
        }
        self.calls.fetch_add(1, Ordering::SeqCst);
        Err(CloudError {
            maybe_done: true,
            ..refused("timeout")
        })
    }

    async fn called(&self) {
        let calls = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        if calls == self.kill_after.load(Ordering::SeqCst) {
            self.killed.notify_one();
            std::future::pending::<()>().await;
        }
        let due = {
            let mut other = self.other.lock().unwrap();
            match &*other {
                Some((at, _)) if *at == calls => other.take(),
                _ => None,
            }
        };
        if let Some((_, state)) = due {
            let appended = append(&state, self).await;
            assert_eq!(appended.upload_error, None);
        }
    }

    fn bucket(&self) -> Bucket<'_> {
        Bucket {
            store: self,
            place: BucketPlace {
                target: Spec::sample("rds:orders").target,
                region: "eu-west-1".to_owned(),
                bucket: "evidence".to_owned(),
            },
            prefix: "shop/".to_owned(),
        }
    }

    /// Nothing is broken in the bucket, nor on this machine, nor between the two.
    async fn holds(&self, state: &Path, context: &str) {
        let chain = Chain::new(state, None);
        let local = chain.verify();
        assert_eq!(local.broken, Vec::<String>::new(), "here: {context}");
        let (records, _) = chain.read();
        let bucket = self.bucket().verify(&records).await.unwrap();
        assert_eq!(
            bucket.broken,
            Vec::<String>::new(),
            "in the bucket: {context}"
        );
        assert_eq!(bucket.waiting, Vec::<String>::new(), "{context}");
    }
}

#[async_trait]
impl ObjectStore for Shelf {
    async fn bucket_region(&self, _: &Target, _: &str, _: &str) -> Result<String, CloudError> {
        Ok("eu-west-1".to_owned())
    }

    async fn list_objects(
        &self,
        _: &BucketPlace,
        prefix: &str,
        after: Option<&str>,
    ) -> Result<Vec<StoredObject>, CloudError> {
        self.cut()?;
        let found = self
            .objects
            .lock()
            .unwrap()
            .iter()
            .filter(|(key, _)| key.starts_with(prefix))
            .filter(|(key, _)| after.is_none_or(|after| key.as_str() > after))
            .map(|(key, bytes)| StoredObject {
                key: key.clone(),
                bytes: bytes.len() as u64,
                modified: jiff::Timestamp::UNIX_EPOCH,
                storage_class: "STANDARD".to_owned(),
                etag: String::new(),
            })
            .collect();
        self.called().await;
        Ok(found)
    }

    async fn head_object(&self, _: &BucketPlace, _: &str) -> Result<ObjectHead, CloudError> {
        Err(refused("AccessDenied"))
    }

    async fn part_sizes(&self, _: &BucketPlace, _: &str, _: u32) -> Result<Vec<u64>, CloudError> {
        Err(refused("AccessDenied"))
    }

    async fn get_object(
        &self,
        _: &BucketPlace,
        key: &str,
        _: Option<&str>,
        _: u64,
    ) -> Result<Box<dyn ObjectBody>, CloudError> {
        self.cut()?;
        let found = self.objects.lock().unwrap().get(key).cloned();
        self.called().await;
        match found {
            Some(bytes) => Ok(Box::new(Body(Some(bytes)))),
            None => Err(refused("NoSuchKey")),
        }
    }

    async fn put_object(
        &self,
        _: &BucketPlace,
        key: &str,
        body: Vec<u8>,
        _: &str,
    ) -> Result<(), CloudError> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(refused("AccessDenied"));
        }
        let cut = self.cut();
        if cut.is_err() && !self.done_all_the_same.load(Ordering::SeqCst) {
            return cut;
        }
        let put = {
            let mut objects = self.objects.lock().unwrap();
            match objects.contains_key(key) {
                true => Err(refused("PreconditionFailed")),
                false => {
                    objects.insert(key.to_owned(), body);
                    Ok(())
                }
            }
        };
        cut?;
        self.called().await;
        put
    }
}

fn record(run_id: &str) -> Record {
    let trigger = Trigger {
        kind: "user".to_owned(),
        name: "ada".to_owned(),
        detail: None,
    };
    let mut record = draft(&Spec::sample("rds:orders"), run_id, None, &trigger);
    record.cleanup.deleted = true;
    record
}

/// A run of a machine, with its journal.
async fn append(state: &Path, shelf: &Shelf) -> Appended {
    append_as(&new_run_id(), state, shelf).await
}

async fn append_as(run_id: &str, state: &Path, shelf: &Shelf) -> Appended {
    let record = record(run_id);
    let journal = Journal::begin(&state.join("runs"), run_id, &record).unwrap();
    let appended = Chain::new(state, None)
        .append(record, Some(&shelf.bucket()))
        .await
        .unwrap();
    journal.end(&appended.record.sha256).unwrap();
    appended
}

/// What a machine has been through before another one comes between its calls.
#[derive(Debug, Clone, Copy)]
enum Before {
    /// Neither has a record.
    Nothing,
    /// Both have one.
    Both,
    /// This machine has one that could not be uploaded, and the other took its number.
    Waiting,
}

async fn before(kind: Before, shelf: &Shelf, one: &Path, two: &Path) {
    match kind {
        Before::Nothing => {}
        Before::Both => {
            append(one, shelf).await;
            append(two, shelf).await;
        }
        Before::Waiting => {
            append(one, shelf).await;
            shelf.closed.store(true, Ordering::SeqCst);
            assert!(append(one, shelf).await.upload_error.is_some());
            shelf.closed.store(false, Ordering::SeqCst);
            append(two, shelf).await;
        }
    }
}

/// The chain does not fork and loses no number, whenever another machine writes its record.
#[tokio::test]
async fn two_machines_append_at_the_same_time() {
    for kind in [Before::Nothing, Before::Both, Before::Waiting] {
        let mut at = 1;
        loop {
            let context = format!("{kind:?}, after call {at}");
            let (one, two) = (TempDir::new().unwrap(), TempDir::new().unwrap());
            let shelf = Shelf::default();
            before(kind, &shelf, one.path(), two.path()).await;
            shelf.calls.store(0, Ordering::SeqCst);
            *shelf.other.lock().unwrap() = Some((at, two.path().to_owned()));
            let appended = append(one.path(), &shelf).await;
            let came = shelf.other.lock().unwrap().take().is_none();
            // A number that is taken while earlier records go up is told, and tried again next time.
            if appended.upload_error.is_some() {
                append(one.path(), &shelf).await;
            }
            append(two.path(), &shelf).await;
            for state in [one.path(), two.path()] {
                append(state, &shelf).await;
                shelf.holds(state, &context).await;
            }
            let third = TempDir::new().unwrap();
            shelf.holds(third.path(), &context).await;
            if !came {
                assert!(at > 4, "{context}: there were fewer calls than a run makes");
                break;
            }
            at += 1;
        }
    }
}

/// A killed run whose record a later run wrote, and could not upload before its number was taken.
#[tokio::test]
async fn the_record_of_a_swept_run_may_be_numbered_anew() {
    let (one, two) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let shelf = Shelf::default();
    append(one.path(), &shelf).await;
    let runs = one.path().join("runs");
    let (killed, sweeping) = (new_run_id(), new_run_id());
    drop(Journal::begin(&runs, &killed, &record(&killed)).unwrap());
    let (mut dead, _) = Unfinished::find(&runs);
    assert_eq!(dead.len(), 1);
    shelf.closed.store(true, Ordering::SeqCst);
    let chain = Chain::new(one.path(), None);
    // The record of what a sweep did has an id of its own, and the journal of the dead run its seal.
    let swept = chain
        .append(record(&sweeping), Some(&shelf.bucket()))
        .await
        .unwrap();
    assert!(swept.upload_error.is_some());
    dead.pop().unwrap().end(&swept.record.sha256).unwrap();
    shelf.closed.store(false, Ordering::SeqCst);
    append(two.path(), &shelf).await;
    append(one.path(), &shelf).await;
    append(two.path(), &shelf).await;
    for state in [one.path(), two.path()] {
        shelf.holds(state, "after the sweep").await;
    }
    let (records, _) = chain.read();
    let moved = records.iter().find(|r| r.run_id == sweeping).unwrap();
    assert_ne!(moved.sha256, swept.record.sha256);
    // Whoever takes it away from this machine is found out by the journal.
    std::fs::remove_file(chain.path_of(&moved.run_id)).unwrap();
    assert!(!chain.verify().broken.is_empty());
}

/// Records that were uploaded late, or by a machine whose clock is wrong, hide no recent ones.
#[tokio::test]
async fn old_records_between_recent_ones_are_not_the_end() {
    use jiff::{SignedDuration, Timestamp};
    let shelf = Shelf::default();
    let now = Timestamp::now();
    let hours_ago = [900, 1, 800, 700, 600, 500, 400, 300, 200, 2, 100, 3];
    let mut previous: Option<String> = None;
    for (sequence, hours) in (1..).zip(hours_ago) {
        let mut one = record(&format!("20261122T000000Z-{sequence:06}"));
        one.finished_at = now - SignedDuration::from_hours(hours);
        one.seal(sequence, previous.as_deref());
        previous = Some(one.sha256.clone());
        assert!(shelf.bucket().put(&one).await.is_ok());
    }
    let mut seen = Vec::new();
    shelf
        .bucket()
        .newest_since(now - SignedDuration::from_hours(24), |one| {
            seen.push(one.sequence);
            false
        })
        .await
        .unwrap();
    // Seven old ones in a row are passed over.
    assert!(seen.contains(&10) && seen.contains(&2), "{seen:?}");
}

/// What a machine may go through.
#[derive(Debug, Clone, Copy)]
enum Move {
    Run,
    /// Nothing can be uploaded.
    Closed,
    /// Killed after so many calls.
    Killed(usize),
    /// No answers from this call on, though what is asked may be done.
    Cut(usize, bool),
    /// All its files are gone.
    Lost,
}

/// Finishes what killed runs began, as each run does first.
async fn swept(state: &Path, shelf: &Shelf) -> Vec<String> {
    let bucket = shelf.bucket();
    let swept = sweep(&Sweep {
        state,
        bucket: Some(&bucket),
        resolve: &|_, _| None,
        cloud: None,
        places: &[],
        dry_run: false,
        progress: &|_| {},
    })
    .await;
    swept.trouble
}

/// What becomes of one move: the run that it began, if it came to that.
async fn moved(what: Move, run_id: &str, state: &Path, shelf: &Shelf) -> Option<String> {
    shelf.calls.store(0, Ordering::SeqCst);
    match what {
        Move::Lost => {
            std::fs::remove_dir_all(state).unwrap();
            return None;
        }
        Move::Closed => shelf.closed.store(true, Ordering::SeqCst),
        Move::Run => {}
        Move::Killed(calls) => shelf.kill_after.store(calls, Ordering::SeqCst),
        Move::Cut(call, done) => {
            shelf.done_all_the_same.store(done, Ordering::SeqCst);
            shelf.cut_at.store(call, Ordering::SeqCst);
        }
    }
    let run = async {
        let trouble = swept(state, shelf).await;
        if matches!(what, Move::Run) {
            assert_eq!(trouble, Vec::<String>::new());
        }
        append_as(run_id, state, shelf).await;
    };
    tokio::select! {
        biased;
        () = run => {}
        () = shelf.killed.notified() => {}
    }
    shelf.kill_after.store(0, Ordering::SeqCst);
    shelf.cut_at.store(0, Ordering::SeqCst);
    shelf.closed.store(false, Ordering::SeqCst);
    let begun = state.join(format!("runs/drill-{run_id}.jsonl")).exists();
    begun.then(|| run_id.to_owned())
}

/// Whatever machines have gone through, in the end there is one chain, and each run is in it once.
#[tokio::test]
async fn machines_that_are_killed_cut_off_and_lost_share_one_chain() {
    // More of them: OPSCTL_TEST_SEEDS=1000.
    let seeds = std::env::var("OPSCTL_TEST_SEEDS").map_or(40, |n| n.parse().unwrap());
    for seed in 0..seeds {
        let mut random = fastrand::Rng::with_seed(seed);
        let folder = TempDir::new().unwrap();
        let machines: Vec<PathBuf> = (0..3).map(|m| folder.path().join(m.to_string())).collect();
        let shelf = Shelf::default();
        let mut said = format!("seed {seed}:");
        // In an order of their own, so that a seed says everything.
        let day = jiff::Timestamp::now()
            .strftime("%Y%m%dT000000Z")
            .to_string();
        let mut runs = fastrand::Rng::with_seed(seed);
        let mut run_id = || format!("{day}-{:06x}", runs.u32(..0x100_0000));
        let mut known: Vec<Vec<String>> = vec![Vec::new(); machines.len()];
        for _ in 0..6 {
            let machine = random.usize(..machines.len());
            let what = match random.u32(..16) {
                0..4 => Move::Run,
                4..6 => Move::Closed,
                6..10 => Move::Killed(random.usize(1..16)),
                10..15 => Move::Cut(random.usize(1..16), random.bool()),
                _ => Move::Lost,
            };
            said.push_str(&format!(" {machine} {what:?},"));
            std::fs::create_dir_all(&machines[machine]).unwrap();
            match moved(what, &run_id(), &machines[machine], &shelf).await {
                Some(run) => known[machine].push(run),
                None => known[machine].clear(),
            }
        }
        for _ in 0..2 {
            for (machine, state) in machines.iter().enumerate() {
                known[machine].extend(moved(Move::Run, &run_id(), state, &shelf).await);
            }
        }
        for state in &machines {
            shelf.holds(state, &said).await;
        }
        let (records, _) = shelf.bucket().look().await.unwrap();
        let mut runs: Vec<&str> = records.iter().map(|r| r.run_id.as_str()).collect();
        runs.sort_unstable();
        let twice: Vec<_> = runs.windows(2).filter(|w| w[0] == w[1]).collect();
        assert!(twice.is_empty(), "{said} {twice:?}");
        for run in known.iter().flatten() {
            assert!(
                runs.binary_search(&run.as_str()).is_ok(),
                "{said} {run} is nowhere"
            );
        }
    }
}
