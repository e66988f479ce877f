//! The chain in the evidence bucket.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::{Link, Verified, links};
use crate::cloud::CloudError;
use crate::cloud::store::{BucketPlace, ObjectStore, read_small};
use crate::drill::journal::{Note, noted_record, record_note};
use crate::drill::record::Record;

/// So many old records in a row, and those before are older still.
const OLD_ENOUGH: u32 = 8;
/// How far back notes are looked at where only the recent ones count: nobody pays longer than this for
/// a copy without noticing.
const NOTES_SINCE: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Most records without a note that are looked at for that of a killed run. A note is missing only where
/// a run was killed, or not allowed to write it.
const WITHOUT_NOTE: usize = 32;
/// No record comes near this size, in bytes.
const MOST: usize = 4 << 20;

/// The same chain in the evidence bucket.
pub struct Bucket<'a> {
    pub store: &'a dyn ObjectStore,
    pub place: BucketPlace,
    /// Ends with `/`, or is empty.
    pub prefix: String,
}

/// Why a record is not in the bucket.
pub(super) enum Put {
    /// The number is another record's.
    Taken(Box<Record>),
    Failed(String),
}

fn told(e: &CloudError) -> String {
    e.to_string()
}

/// By the names of notes: which run wrote which record, under which seal.
pub(super) fn noted(
    notes: &BTreeMap<String, Vec<String>>,
) -> impl Iterator<Item = (&str, u64, &str)> {
    notes.iter().flat_map(|(run_id, names)| {
        let records = names.iter().filter_map(|name| noted_record(name));
        records.map(|(sequence, sha256)| (run_id.as_str(), sequence, sha256))
    })
}

/// Where records are not what the notes beside them say.
fn against_notes(notes: &BTreeMap<String, Vec<String>>, records: &[Record]) -> Vec<String> {
    let newest = records.last().map_or(0, |r| r.sequence);
    let mut broken = Vec::new();
    let furthest = noted(notes).map(|(_, sequence, _)| sequence).max();
    match furthest.map_or(0, |f| f.saturating_sub(newest)) {
        0 => {}
        1 => broken.push(format!(
            "record {} is missing at the end: its note is still there",
            newest + 1
        )),
        n => broken.push(format!(
            "records {} to {} are missing at the end: their notes are still there",
            newest + 1,
            newest + n
        )),
    }
    let by_number: BTreeMap<u64, &Record> = records.iter().map(|r| (r.sequence, r)).collect();
    for (run_id, sequence, sha256) in noted(notes) {
        match by_number.get(&sequence) {
            Some(there) if there.run_id != run_id => broken.push(format!(
                "record {sequence} is that of run {}, and run {run_id} wrote one of this number: it was replaced",
                there.run_id
            )),
            Some(there) if there.sha256 != sha256 => broken.push(format!(
                "record {sequence}, of run {run_id}, has another seal than when it was written: it was replaced"
            )),
            _ => {}
        }
    }
    broken
}

impl Bucket<'_> {
    fn key(&self, sequence: u64) -> String {
        format!("{}drill-{sequence:08}.json", self.prefix)
    }

    fn notes_prefix(&self) -> String {
        format!("{}journal/", self.prefix)
    }

    fn note_key(&self, run_id: &str, name: &str) -> String {
        format!("{}{run_id}/{name}.json", self.notes_prefix())
    }

    /// Keeps a note about a copy. Notes are never written over.
    ///
    /// # Errors
    /// It is not in the bucket.
    pub async fn keep_note(&self, run_id: &str, name: &str, note: &Note) -> Result<(), String> {
        let body = serde_json::to_vec_pretty(note).map_err(|e| e.to_string())?;
        let key = self.note_key(run_id, name);
        let put = self
            .store
            .put_object(&self.place, &key, body, "application/json")
            .await;
        match put {
            // Our own first try, whose answer was lost: nobody else writes under this run.
            Err(e) if e.code == "PreconditionFailed" => Ok(()),
            Err(e) => Err(told(&e)),
            Ok(()) => Ok(()),
        }
    }

    /// The names of all notes by their runs; with `since` only of runs from then on, which is one
    /// request for each thousand notes either way.
    ///
    /// # Errors
    /// The bucket could not be read.
    pub async fn notes(
        &self,
        since: Option<Timestamp>,
    ) -> Result<BTreeMap<String, Vec<String>>, String> {
        let prefix = self.notes_prefix();
        // A run id begins with its time, so that keys are in the order of time.
        let after = since.map(|at| format!("{prefix}{}", at.strftime("%Y%m%dT%H%M%SZ")));
        let listed = self
            .store
            .list_objects(&self.place, &prefix, after.as_deref())
            .await
            .map_err(|e| told(&e))?;
        let mut out: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for object in &listed {
            let rest = object.key.strip_prefix(&prefix);
            let name = rest.and_then(|r| r.strip_suffix(".json")?.split_once('/'));
            if let Some((run_id, name)) = name {
                let names = out.entry(run_id.to_owned()).or_default();
                names.push(name.to_owned());
            }
        }
        Ok(out)
    }

    /// The notes of the last 90 days.
    ///
    /// # Errors
    /// See [`Bucket::notes`].
    pub async fn recent_notes(
        &self,
        now: Timestamp,
    ) -> Result<BTreeMap<String, Vec<String>>, String> {
        self.notes(Some(now - NOTES_SINCE)).await
    }

    /// The record of a run, if it is in the bucket. Its note tells where; a run that was killed between
    /// the two left none, so that records without a note are looked at too.
    ///
    /// # Errors
    /// The bucket could not be read.
    pub async fn record_of(&self, run_id: &str) -> Result<Option<Record>, String> {
        let notes = self.recent_notes(Timestamp::now()).await?;
        let numbers = self.numbers().await?;
        self.record_among(run_id, &notes, &numbers).await
    }

    /// The same, of what has been listed.
    pub(super) async fn record_among(
        &self,
        run_id: &str,
        notes: &BTreeMap<String, Vec<String>>,
        numbers: &[u64],
    ) -> Result<Option<Record>, String> {
        if let Some((_, sequence, _)) = noted(notes).find(|(run, ..)| *run == run_id) {
            return self.get(sequence).await.map(Some);
        }
        let with_note: BTreeSet<u64> = noted(notes).map(|(_, sequence, _)| sequence).collect();
        let without = numbers.iter().rev().filter(|n| !with_note.contains(n));
        for number in without.take(WITHOUT_NOTE) {
            let record = self.get(*number).await?;
            if record.run_id == run_id {
                self.note_record(&record).await;
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// Notes that the record of a run is in the bucket: its run is over, and the chain reaches at
    /// least this far. Without the note a sweep looks once more at what is gone, and a record that is
    /// cut off the end shows only on machines that have it.
    async fn note_record(&self, record: &Record) {
        let key = self.note_key(
            &record.run_id,
            &record_note(record.sequence, &record.sha256),
        );
        let body = serde_json::json!({"sequence": record.sequence, "sha256": record.sha256});
        let put = self
            .store
            .put_object(
                &self.place,
                &key,
                body.to_string().into_bytes(),
                "application/json",
            )
            .await;
        match put {
            Err(e) if e.code != "PreconditionFailed" => {
                tracing::warn!("no note of the record {}: {e}", record.run_id);
            }
            _ => {}
        }
    }

    /// A note about a copy; `None`: there is none.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn note(&self, run_id: &str, name: &str) -> Result<Option<Note>, String> {
        let key = self.note_key(run_id, name);
        match read_small(self.store, &self.place, &key, MOST).await {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|e| format!("s3://{}/{key}: {e}", self.place.bucket)),
            Err(e) if e.code == "NoSuchKey" => Ok(None),
            Err(e) => Err(told(&e)),
        }
    }

    /// Where a record lies.
    pub fn url(&self, record: &Record) -> String {
        format!("s3://{}/{}", self.place.bucket, self.key(record.sequence))
    }

    /// The numbers that are there, in order.
    pub(super) async fn numbers(&self) -> Result<Vec<u64>, String> {
        let stem = format!("{}drill-", self.prefix);
        let listed = self
            .store
            .list_objects(&self.place, &stem, None)
            .await
            .map_err(|e| told(&e))?;
        let mut numbers: Vec<u64> = listed
            .iter()
            .filter_map(|o| {
                o.key
                    .strip_prefix(&stem)?
                    .strip_suffix(".json")?
                    .parse()
                    .ok()
            })
            .collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    pub(super) async fn bytes(&self, sequence: u64) -> Result<Vec<u8>, String> {
        read_small(self.store, &self.place, &self.key(sequence), MOST)
            .await
            .map_err(|e| told(&e))
    }

    pub(super) async fn get(&self, sequence: u64) -> Result<Record, String> {
        Record::read(&self.bytes(sequence).await?)
            .map_err(|e| format!("s3://{}/{}: {e}", self.place.bucket, self.key(sequence)))
    }

    pub(super) async fn put(&self, record: &Record) -> Result<(), Put> {
        self.put_record(record).await?;
        self.note_record(record).await;
        Ok(())
    }

    async fn put_record(&self, record: &Record) -> Result<(), Put> {
        let put = self
            .store
            .put_object(
                &self.place,
                &self.key(record.sequence),
                record.text().into_bytes(),
                "application/json",
            )
            .await;
        match put {
            Ok(()) => Ok(()),
            Err(e) if e.code == "PreconditionFailed" || e.maybe_done => {
                let there = self.get(record.sequence).await.map_err(Put::Failed)?;
                // Our own first try, whose answer was lost.
                if there.sha256 == record.sha256 {
                    return Ok(());
                }
                Err(Put::Taken(Box::new(there)))
            }
            Err(e) => Err(Put::Failed(told(&e))),
        }
    }

    /// Until when an object may not be deleted, where the bucket locks what is put into it.
    pub async fn retained(&self, record: &Record) -> Option<String> {
        let head = self
            .store
            .head_object(&self.place, &self.key(record.sequence))
            .await
            .ok()?;
        let (mode, until) = head.retained?;
        Some(format!("{mode} until {until:.0}"))
    }

    /// The records that are there in order, and what is not as it was written.
    ///
    /// # Errors
    /// The bucket could not be read.
    pub async fn look(&self) -> Result<(Vec<Record>, Vec<String>), String> {
        use futures::stream::{self, StreamExt};
        // Before the records: a run that ends meanwhile has its record first and then its note.
        let notes = self.notes(None).await?;
        let numbers = self.numbers().await?;
        let mut broken = Vec::new();
        let mut records = Vec::new();
        let mut unread = 0;
        let mut all = stream::iter(numbers)
            .map(|number| async move { (number, self.bytes(number).await) })
            .buffered(16);
        while let Some((number, bytes)) = all.next().await {
            match Record::read(&bytes?) {
                Ok(record) if record.sequence == number => records.push(record),
                Ok(record) => broken.push(format!(
                    "{} holds record number {}: it was renamed or copied",
                    self.key(number),
                    record.sequence
                )),
                Err(e) => {
                    unread += 1;
                    broken.push(format!("{}: {e}", self.key(number)));
                }
            }
        }
        // One that cannot be read may well be the one that a note is about.
        if unread == 0 {
            broken.extend(against_notes(&notes, &records));
        }
        Ok((records, broken))
    }

    /// Whether the chain in the bucket holds, and the one on disk is a part of it.
    ///
    /// # Errors
    /// It could not be read.
    pub async fn verify(&self, local: &[Record]) -> Result<Verified, String> {
        let (records, broken) = self.look().await?;
        Ok(self.held_against(&records, broken, local))
    }

    /// [`Bucket::verify`], of what [`Bucket::look`] has read.
    pub fn held_against(
        &self,
        records: &[Record],
        mut broken: Vec<String>,
        local: &[Record],
    ) -> Verified {
        broken.extend(links(records, None));
        let mut waiting = Vec::new();
        let mut tip = records.last().map(Link::of);
        for record in local {
            let there = records.iter().find(|r| r.sequence == record.sequence);
            match there {
                Some(there) if there.sha256 == record.sha256 => {}
                Some(there) => broken.push(format!(
                    "number {} is {} in the bucket and {} on this machine",
                    record.sequence, there.run_id, record.run_id
                )),
                // The end of the chain, as the next run uploads it: see `meet`.
                None if record.sequence > tip.as_ref().map_or(0, |t| t.sequence)
                    && record.previous_sha256.as_deref()
                        == tip.as_ref().map(|t| t.sha256.as_str()) =>
                {
                    waiting.push(format!(
                        "{} (number {}) is on this machine only: the next run uploads it",
                        record.run_id, record.sequence
                    ));
                    tip = Some(Link::of(record));
                }
                None => broken.push(format!(
                    "{} (number {}) is on this machine but not in the bucket",
                    record.run_id, record.sequence
                )),
            }
        }
        Verified {
            chain: format!("s3://{}/{}", self.place.bucket, self.prefix),
            records: records.len() as u64,
            newest: records.last().map(|r| r.run_id.clone()),
            broken,
            waiting,
        }
    }

    /// Hands out the records from the newest on, until `enough` says so. One that is not as it was
    /// written proves nothing and is left out.
    ///
    /// # Errors
    /// The bucket could not be read.
    pub async fn newest_first(
        &self,
        mut enough: impl FnMut(&Record) -> bool,
    ) -> Result<(), String> {
        use futures::stream::{self, StreamExt};
        let numbers = self.numbers().await?;
        let mut all = stream::iter(numbers.into_iter().rev())
            .map(|number| async move { (number, self.bytes(number).await) })
            .buffered(8);
        while let Some((number, bytes)) = all.next().await {
            match Record::read(&bytes?) {
                Ok(record) if record.sequence == number => {
                    if enough(&record) {
                        break;
                    }
                }
                Ok(_) => tracing::warn!("{} was renamed or copied", self.key(number)),
                Err(e) => tracing::warn!("{}: {e}", self.key(number)),
            }
        }
        Ok(())
    }

    /// The same back to a time, for records of which only the recent ones count.
    ///
    /// # Errors
    /// See [`Bucket::newest_first`].
    pub async fn newest_since(
        &self,
        oldest: Timestamp,
        mut enough: impl FnMut(&Record) -> bool,
    ) -> Result<(), String> {
        let mut old = 0;
        self.newest_first(|record| {
            let stop = enough(record);
            // One that was uploaded late, or by a machine with a wrong clock, is not the end.
            old = match record.finished_at < oldest {
                true => old + 1,
                false => 0,
            };
            stop || old == OLD_ENOUGH
        })
        .await
    }

    /// All records of the bucket, in order.
    ///
    /// # Errors
    /// One could not be read, or is not as it was written.
    pub async fn read(&self) -> Result<Vec<Record>, String> {
        use futures::stream::{self, StreamExt, TryStreamExt};
        stream::iter(self.numbers().await?)
            .map(|number| self.get(number))
            .buffered(16)
            .try_collect()
            .await
    }
}
