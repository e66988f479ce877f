//! How the chain on this machine and the one in the evidence bucket come to the same length.

use jiff::Timestamp;

use super::bucket::{Bucket, Put, noted};
use super::{Chain, Head, Link};
use crate::drill::record::Record;

/// How far the chain in the bucket reaches.
pub(super) struct Met {
    pub tip: Option<Link>,
    /// The number of the next record.
    pub next: u64,
}

impl Bucket<'_> {
    /// Uploads what an earlier run could not, fetches what other machines wrote. A machine without any
    /// record stays without: it goes on from the newest one in the bucket.
    ///
    /// A record that is missing at the end, by its note, keeps its number: the gap stays visible. A
    /// record whose number another machine took while it waited for its upload gets a new one, and
    /// says so.
    ///
    /// # Errors
    /// The bucket could not be read or written, or has another record of a run than this machine.
    pub(super) async fn meet(&self, chain: &Chain, local: &[Record]) -> Result<Met, String> {
        // The notes first: whoever uploads meanwhile has a record before its note, so that no number
        // seems to be taken away that is only new.
        let notes = self.recent_notes(Timestamp::now()).await?;
        let numbers = self.numbers().await?;
        let newest = numbers.last().copied();
        let taken = noted(&notes).map(|(_, sequence, _)| sequence).max();
        let tip = match newest {
            Some(number) => Some(Link::of(&self.get(number).await?)),
            None => None,
        };
        let mut met = Met {
            next: newest.max(taken).unwrap_or(0) + 1,
            tip,
        };
        let Some(last) = local.last() else {
            return Ok(met);
        };
        let reached = newest.unwrap_or(0);
        let head = chain.head().unwrap_or(None);
        let after = head.as_ref().and_then(|h| h.after.clone());
        // Where a run that was killed or cut off here had not come to the end.
        let mut behind = head.as_ref().and_then(|h| h.behind);
        let (shared, waiting) = self
            .waiting(&numbers, local, met.tip.as_ref(), behind)
            .await?;
        for record in waiting {
            let mut record = record.clone();
            let previous = met.tip.as_ref().map(|t| t.sha256.as_str());
            // The number of one that was taken away is its own.
            let is_anothers = |(run_id, number, _): (&str, u64, &str)| {
                number == record.sequence && run_id != record.run_id
            };
            let follows = record.previous_sha256.as_deref() == previous
                && record.sequence > met.tip.as_ref().map_or(0, |t| t.sequence)
                && !noted(&notes).any(is_anothers);
            if !follows {
                if behind.is_none_or(|b| b > shared) {
                    behind = Some(shared);
                    chain.write_head(&Head {
                        newest: head.as_ref().map_or(Link::of(last), |h| h.newest.clone()),
                        after: after.clone(),
                        behind,
                    })?;
                }
                // Uploaded by a run that was killed before it could say so here.
                let there = self.record_among(&record.run_id, &notes, &numbers).await?;
                if let Some(there) = there {
                    chain.sealed_anew(&record.sha256, &there.sha256)?;
                    chain.write(&there)?;
                    continue;
                }
                let was = record.sha256.clone();
                record.reasons.push(format!(
                    "this record was number {} on its machine until it could be uploaded: another machine had taken the number",
                    record.sequence
                ));
                record.seal(met.next, previous);
                chain.sealed_anew(&was, &record.sha256)?;
            }
            match self.put(&record).await {
                Ok(()) => met.tip = Some(Link::of(&record)),
                Err(Put::Taken(_)) => return Err("another run took the next number".to_owned()),
                Err(Put::Failed(e)) => return Err(e),
            }
            met.next = met.next.max(record.sequence + 1);
            if !follows {
                chain.write(&record)?;
            }
        }
        let from = match behind {
            // What was before the first record here stays away.
            Some(behind) => behind.max(after.as_ref().map_or(0, |a| a.sequence)),
            None => last.sequence,
        };
        // A number may be missing there.
        let news = numbers.iter().filter(|n| (from + 1..=reached).contains(*n));
        for number in news {
            chain.write(&self.get(*number).await?)?;
        }
        if let (Some(_), Some(newest)) = (behind, &met.tip) {
            chain.write_head(&Head {
                newest: newest.clone(),
                after,
                behind: None,
            })?;
        }
        Ok(met)
    }

    /// Writes the record of a run to this machine, where it is in the bucket and not here: the run was
    /// killed in between.
    ///
    /// # Errors
    /// The bucket could not be read, or the disk not be written.
    pub async fn adopt(&self, chain: &Chain, run_id: &str) -> Result<(), String> {
        if chain.path_of(run_id).exists() {
            return Ok(());
        }
        let Some(record) = self.record_of(run_id).await? else {
            return Ok(());
        };
        let _lock = chain.locked().await?;
        let (local, _) = chain.read();
        // Where this machine has records, those between belong here too, and its own may have to move.
        if !local.is_empty() {
            self.meet(chain, &local).await?;
        }
        if chain.path_of(run_id).exists() {
            return Ok(());
        }
        chain.write(&record)?;
        let head = chain.head().unwrap_or(None);
        let after = match &head {
            Some(head) => head.after.clone(),
            None => super::previous(&record),
        };
        let newest = match &head {
            Some(head) if head.newest.sequence > record.sequence => head.newest.clone(),
            _ => Link::of(&record),
        };
        chain.write_head(&Head {
            newest,
            after,
            behind: head.and_then(|h| h.behind),
        })
    }

    /// The number of the last record that both chains have, and those of this machine behind it; with
    /// `behind` what lies after that number is no chain yet, and all of it is held against the bucket.
    async fn waiting<'r>(
        &self,
        numbers: &[u64],
        local: &'r [Record],
        tip: Option<&Link>,
        behind: Option<u64>,
    ) -> Result<(u64, Vec<&'r Record>), String> {
        let reached = tip.map_or(0, |t| t.sequence);
        let mut waiting = Vec::new();
        let mut shared = 0;
        for record in local.iter().rev() {
            let number = record.sequence;
            if number > reached {
                waiting.push(record);
                continue;
            }
            // One that is missing there is told by `drill verify`, and stays missing.
            let other = match numbers.binary_search(&number).is_err()
                || tip.is_some_and(|t| t.sha256 == record.sha256)
            {
                true => None,
                false => Some(self.get(number).await?),
            };
            let other = other.filter(|other| other.sha256 != record.sha256);
            let Some(other) = other else {
                shared = shared.max(number);
                if behind.is_none_or(|behind| number <= behind) {
                    break;
                }
                continue;
            };
            if other.run_id == record.run_id {
                return Err(format!(
                    "number {number}, of run {}, is another one in s3://{}/{} than on this machine: look with `opsctl drill verify`",
                    record.run_id, self.place.bucket, self.prefix
                ));
            }
            waiting.push(record);
        }
        waiting.reverse();
        Ok((shared, waiting))
    }
}
