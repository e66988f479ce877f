//! The lines of a report in the evidence bucket, one object each.

use futures::stream::{self, StreamExt};
use jiff::{Timestamp, ToSpan, tz::TimeZone};

use super::{Line, Lines, MOST_OBJECTS, in_order};
use crate::cloud::store::{BucketPlace, ObjectStore, read_small};

/// No line comes near this size, in bytes.
const MOST: usize = 1 << 20;

/// Objects that are read at a time.
const AT_A_TIME: usize = 16;

/// Lines older than this are not looked for, in days.
const OLDEST: i64 = 400;

/// The history of one report in the evidence bucket.
pub struct BucketHistory<'a> {
    pub store: &'a dyn ObjectStore,
    pub place: BucketPlace,
    /// Ends with `/`: of the project and the report.
    pub prefix: String,
}

impl BucketHistory<'_> {
    /// Objects are listed in the order of their keys, which is that of time.
    fn key<L: Line>(&self, line: &L) -> String {
        let at = line.at().strftime("%Y%m%dT%H%M%S%3fZ");
        format!("{}{at}-{}.json", self.prefix, line.run())
    }

    pub fn url(&self) -> String {
        format!("s3://{}/{}", self.place.bucket, self.prefix)
    }

    /// The newest lines.
    ///
    /// # Errors
    /// The bucket could not be listed, or an object not be read.
    pub async fn read<L: Line>(&self, now: Timestamp) -> Result<Lines<L>, String> {
        let from = now.to_zoned(TimeZone::UTC).saturating_sub(OLDEST.days());
        let after = format!("{}{}", self.prefix, from.strftime("%Y%m%d"));
        let listed = self
            .store
            .list_objects(&self.place, &self.prefix, Some(&after))
            .await
            .map_err(|e| e.to_string())?;
        let much = listed.len().saturating_sub(MOST_OBJECTS);
        let newest = listed.into_iter().skip(much).map(|o| o.key);
        let read: Vec<Result<Vec<u8>, String>> = stream::iter(newest)
            .map(|key| async move {
                read_small(self.store, &self.place, &key, MOST)
                    .await
                    .map_err(|e| e.to_string())
            })
            .buffered(AT_A_TIME)
            .collect()
            .await;
        let mut out = Lines::default();
        for bytes in read {
            match serde_json::from_slice(&bytes?) {
                Ok(line) => out.lines.push(line),
                Err(_) => out.unreadable += 1,
            }
        }
        out.lines = in_order(out.lines);
        Ok(out)
    }

    /// Adds one line. Runs at the same time write different objects; the same run again is the same
    /// object.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn add<L: Line>(&self, line: &L) -> Result<(), String> {
        let body = serde_json::to_vec(line).map_err(|e| e.to_string())?;
        let put = self
            .store
            .put_object(&self.place, &self.key(line), body, "application/json")
            .await;
        match put {
            Ok(()) => Ok(()),
            // Our own first try, whose answer was lost.
            Err(e) if e.code == "PreconditionFailed" => Ok(()),
            Err(e) => Err(e.to_string()),
        }
    }
}
