//! Which of the objects under a prefix is the newest dump, and how old it is.

use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::cloud::store::StoredObject;
use crate::drill::machine::span;
use crate::drill::record::{RecoveryPoint, seconds, seconds_between, to_millis};
use crate::drill::source::Stop;

/// One dump: an object, or the files of one in the directory format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The key of the object, or of the folder with a `/` at its end.
    pub key: String,
    pub objects: Vec<StoredObject>,
    /// Of a folder the earliest: the data is as old as the first file.
    pub data_time: Timestamp,
    /// Of a folder the latest.
    pub written: Timestamp,
}

impl Candidate {
    pub fn is_folder(&self) -> bool {
        self.key.ends_with('/')
    }

    pub fn bytes(&self) -> u64 {
        self.objects.iter().map(|o| o.bytes).sum()
    }
}

/// What tools write beside their dumps.
const BESIDE: [&str; 11] = [
    ".asc",
    ".json",
    ".log",
    ".md5",
    ".md5sum",
    ".sha1",
    ".sha256",
    ".sha256sum",
    ".sha512",
    ".sig",
    ".txt",
];

/// All dumps under a prefix, the newest first.
///
/// A folder with a `toc.dat` is one dump. An object without any bytes is one too, and the newest if
/// it is the newest: a job that uploads nothing must not hide behind yesterday's dump.
pub fn candidates(objects: Vec<StoredObject>) -> Vec<Candidate> {
    let folders: Vec<String> = objects
        .iter()
        .filter_map(|o| o.key.strip_suffix("toc.dat"))
        .filter(|folder| folder.is_empty() || folder.ends_with('/'))
        .map(str::to_owned)
        .collect();
    let mut out: Vec<Candidate> = Vec::new();
    for object in objects {
        if object.key.ends_with('/') {
            continue;
        }
        let folder = folders.iter().find(|f| {
            object
                .key
                .strip_prefix(f.as_str())
                .is_some_and(|rest| !rest.contains('/'))
        });
        if let Some(folder) = folder {
            let key = if folder.is_empty() {
                "/"
            } else {
                folder.as_str()
            };
            match out.iter_mut().find(|c| c.key == key) {
                Some(candidate) => {
                    candidate.data_time = candidate.data_time.min(object.modified);
                    candidate.written = candidate.written.max(object.modified);
                    candidate.objects.push(object);
                }
                None => out.push(Candidate {
                    key: key.to_owned(),
                    data_time: object.modified,
                    written: object.modified,
                    objects: vec![object],
                }),
            }
        } else if !BESIDE.iter().any(|end| object.key.ends_with(end)) {
            out.push(Candidate {
                key: object.key.clone(),
                data_time: object.modified,
                written: object.modified,
                objects: vec![object],
            });
        }
    }
    out.sort_by(|a, b| (b.written, &b.key).cmp(&(a.written, &a.key)));
    out
}

/// Why an object cannot be read now, if so.
///
/// Source: S3 API reference, HeadObject, `x-amz-restore`.
pub fn unreadable(storage_class: &str, restore: Option<&str>) -> Option<String> {
    if !matches!(storage_class, "GLACIER" | "DEEP_ARCHIVE") {
        return None;
    }
    match restore {
        Some(state) if state.contains("ongoing-request=\"false\"") => None,
        Some(_) => Some(format!(
            "it is in {storage_class}, and its restore is still going on"
        )),
        None => Some(format!(
            "it is in {storage_class}: it can be read only after a restore that takes hours (`aws s3api restore-object`), which no recovery time of minutes allows; keep the newest dumps in STANDARD, STANDARD_IA or GLACIER_IR"
        )),
    }
}

/// The clock that is the furthest behind UTC; the zone of the clock on pg_dump's wall is not in a dump.
const WEST: SignedDuration = SignedDuration::from_hours(12);

/// Takes the time in the dump where it is older than that of the upload: a job that fails to dump and
/// uploads the file of yesterday makes a new object of old data.
///
/// # Errors
/// The data is older than the objective.
pub fn dated(
    point: &mut RecoveryPoint,
    made: DateTime,
    looked_at: Timestamp,
    rpo: Option<Duration>,
) -> Result<(), Stop> {
    let latest = made
        .to_zoned(TimeZone::UTC)
        .and_then(|made| made.timestamp().checked_add(WEST));
    let Ok(latest) = latest.map(to_millis) else {
        return Ok(());
    };
    if latest >= point.data_time {
        return Ok(());
    }
    point.data_time = latest;
    point.data_time_basis = "header of the dump, in the westernmost time zone".to_owned();
    point.age_seconds = seconds_between(latest, looked_at);
    match rpo.map(seconds) {
        Some(rpo) if point.age_seconds > rpo => Err(Stop::Missed(format!(
            "pg_dump began at {made} by its own clock, so the data is at least {} old, however new the upload is, and the objective (RPO) is {}",
            span(point.age_seconds),
            span(rpo)
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_data_is_old_however_new_its_upload_is() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let uploaded = || RecoveryPoint {
            kind: "dump".to_owned(),
            arn: String::new(),
            data_time: "2026-11-22T11:00:00Z".parse().unwrap(),
            data_time_basis: "LastModified".to_owned(),
            age_seconds: 3600.0,
            size_bytes: None,
        };
        let day = Some(Duration::from_secs(26 * 3600));
        // In no zone of the world is this before the upload for sure.
        for made in [
            "2026-11-22T10:00:00",
            "2026-11-22T00:00:00",
            "2026-11-23T00:00:00",
            "9999-12-30T21:00:00",
        ] {
            let mut point = uploaded();
            assert_eq!(dated(&mut point, made.parse().unwrap(), now, day), Ok(()));
            assert_eq!(point, uploaded(), "{made}");
        }
        let mut point = uploaded();
        assert_eq!(
            dated(&mut point, "2026-11-21T10:00:00".parse().unwrap(), now, day),
            Ok(())
        );
        assert_eq!(point.age_seconds, 14.0 * 3600.0);
        let mut point = uploaded();
        let old = dated(&mut point, "2025-11-22T10:00:00".parse().unwrap(), now, day);
        assert!(matches!(old, Err(Stop::Missed(_))), "{old:?}");
        let mut point = uploaded();
        let old = dated(
            &mut point,
            "2025-11-22T10:00:00".parse().unwrap(),
            now,
            None,
        );
        assert!(old.is_ok() && point.age_seconds > 364.0 * 86_400.0);
    }

    fn object(key: &str, second: i64, bytes: u64) -> StoredObject {
        StoredObject {
            key: key.to_owned(),
            bytes,
            modified: Timestamp::from_second(second).unwrap(),
            storage_class: "STANDARD".to_owned(),
            etag: String::new(),
        }
    }

    #[test]
    fn the_newest_dump_is_chosen_whatever_its_form() {
        let all = candidates(vec![
            object("pg/", 99, 0),
            object("pg/a.dump", 10, 5),
            object("pg/b.dump", 20, 0),
            object("pg/b.dump.sha256", 21, 64),
            object("pg/dir/3345.dat.gz", 14, 1),
            object("pg/dir/toc.dat", 15, 2),
        ]);
        let keys: Vec<&str> = all.iter().map(|c| c.key.as_str()).collect();
        assert_eq!(keys, ["pg/b.dump", "pg/dir/", "pg/a.dump"]);
        assert_eq!(all[1].data_time, Timestamp::from_second(14).unwrap());
        assert_eq!((all[1].bytes(), all[1].objects.len()), (3, 2));
    }

    #[test]
    fn archived_objects_are_unreadable_until_they_are_restored() {
        assert_eq!(unreadable("STANDARD", None), None);
        assert_eq!(unreadable("GLACIER_IR", None), None);
        assert!(unreadable("GLACIER", None).is_some());
        assert!(unreadable("DEEP_ARCHIVE", Some("ongoing-request=\"true\"")).is_some());
        let done = "ongoing-request=\"false\", expiry-date=\"Fri, 21 Dec 2026 00:00:00 GMT\"";
        assert_eq!(unreadable("GLACIER", Some(done)), None);
    }
}
