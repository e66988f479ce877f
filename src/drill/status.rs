//! When each drill passed last: looked up in the evidence bucket, then in the metric, then in the
//! records on this machine.
//!
//! What shows a pass that is recent enough ends the search. That none passed is only said where the
//! place that everybody writes to could be read: the bucket, or the metric where there is no bucket.
//! Records on one machine prove what they hold, never that there is no other.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::chain::{Bucket, Chain};
use super::metrics;
use super::record::Record;
use crate::cloud::{Cloud, SeriesQuery, Target, TimeSpan};
use crate::inventory::{DrillPassed, Observed};

/// Points of an hour are kept for 455 days. Source: CloudWatch user guide, "Metrics retention".
const KEPT: SignedDuration = SignedDuration::from_hours(455 * 24);
/// By how much the clock of another machine may be ahead.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);
/// Seconds of one point: a metric tells when a drill passed to the hour.
const HOUR: u32 = 3600;
/// The operation of what could not be read, where the error names none.
const EVIDENCE: &str = "opsctl:DrillEvidence";

/// Where it may stand that a drill passed.
pub struct Places<'a> {
    pub cloud: &'a dyn Cloud,
    /// `.opsctl`
    pub state: &'a Path,
    /// The scenario; rehearsals count in it and nowhere else.
    pub sandbox: Option<&'a str>,
    /// The evidence bucket where the project has one, or why it cannot be reached.
    pub bucket: Result<Option<&'a Bucket<'a>>, String>,
}

/// The drills of one environment.
pub struct Asked<'a> {
    pub target: &'a Target,
    pub project: &'a str,
    /// Region of the metrics.
    pub home: &'a str,
    /// Sources by the name of their drill.
    pub drills: BTreeMap<&'a str, &'a str>,
    /// A pass within this time is recent enough.
    pub every: Duration,
    pub now: Timestamp,
}

/// What one place says about one drill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// It was read: the newest pass, if there is any.
    Read(Option<DrillPassed>),
    Unreadable(String),
    /// There is no such place.
    Nowhere,
}

impl Said {
    fn pass(&self) -> Option<&DrillPassed> {
        match self {
            Said::Read(pass) => pass.as_ref(),
            _ => None,
        }
    }
}

/// What follows from what the places say; `limit` is the oldest moment that is recent enough.
pub fn decide(
    bucket: &Said,
    metric: &Said,
    local: &Said,
    limit: Timestamp,
) -> Observed<DrillPassed> {
    let all = [bucket, metric, local];
    let newest = all
        .iter()
        .filter_map(|said| said.pass())
        .max_by_key(|pass| pass.at);
    if let Some(pass) = newest
        && pass.at >= limit
    {
        return Observed::Known(pass.clone());
    }
    let common = match bucket {
        Said::Nowhere => metric,
        there => there,
    };
    match (common, newest) {
        (Said::Unreadable(error), _) => Observed::Unknown(error.clone()),
        (Said::Nowhere, _) => Observed::Unknown(format!("{EVIDENCE}: there is no place to look")),
        (Said::Read(_), Some(pass)) => Observed::Known(pass.clone()),
        (Said::Read(_), None) => Observed::Absent,
    }
}

/// The operation that an error names, and the rest of it.
pub fn operation_of(error: &str) -> (&str, &str) {
    let named = error.split_once(": ").filter(|(head, _)| {
        let parts = head.split_once(':');
        parts.is_some_and(|(service, operation)| {
            let plain =
                |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric());
            plain(service) && plain(operation)
        })
    });
    named.unwrap_or((EVIDENCE, error))
}

fn pass_of(record: &Record) -> DrillPassed {
    DrillPassed {
        at: record.finished_at,
        shown_by: record.run_id.clone(),
    }
}

/// Whether a record is of a drill as it is configured now.
fn is_of(asked: &Asked<'_>, record: &Record) -> bool {
    record.environment == asked.target.environment
        && record.account == asked.target.account
        && asked.drills.get(record.drill.as_str()) == Some(&record.source.id.as_str())
        // A table of the same name in another region is another table; a bucket has one name.
        && (record.source.id.starts_with("s3-dump:")
            || record.region.is_empty()
            || asked.target.regions.contains(&record.region))
}

/// Keeps the newest pass of each drill.
fn note(passes: &mut BTreeMap<String, DrillPassed>, asked: &Asked<'_>, record: &Record) {
    if !record.passed() || !is_of(asked, record) {
        return;
    }
    let pass = pass_of(record);
    // Of a clock that was wrong: it would look recent for as long as the clock was ahead.
    if pass.at > asked.now.checked_add(AHEAD).unwrap_or(Timestamp::MAX) {
        return;
    }
    let known = passes
        .entry(record.drill.clone())
        .or_insert_with(|| pass.clone());
    if known.at < pass.at {
        *known = pass;
    }
}

/// When each drill passed last.
pub async fn last_passed(
    places: &Places<'_>,
    asked: &Asked<'_>,
) -> BTreeMap<String, Observed<DrillPassed>> {
    let every = SignedDuration::try_from(asked.every).unwrap_or(SignedDuration::MAX);
    let limit = asked.now.checked_sub(every).unwrap_or(Timestamp::MIN);
    let bucket = in_bucket(places, asked, limit).await;
    let recent = |said: &Said| said.pass().is_some_and(|p| p.at >= limit);
    let said_by_bucket = |name: &str| match &bucket {
        Ok(Some(passes)) => Said::Read(passes.get(name).cloned()),
        Ok(None) => Said::Nowhere,
        Err(e) => Said::Unreadable(e.clone()),
    };
    let open: Vec<&str> = asked
        .drills
        .keys()
        .copied()
        .filter(|name| !recent(&said_by_bucket(name)))
        .collect();
    let mut metric = in_metric(places, asked, &open, every).await;
    let local = in_folder(places, asked);
    asked
        .drills
        .keys()
        .map(|name| {
            let of_metric = metric.remove(*name).unwrap_or(Said::Nowhere);
            let of_folder = match &local {
                Some(passes) => Said::Read(passes.get(*name).cloned()),
                None => Said::Nowhere,
            };
            let found = decide(&said_by_bucket(name), &of_metric, &of_folder, limit);
            ((*name).to_owned(), found)
        })
        .collect()
}

type Passes = BTreeMap<String, DrillPassed>;

async fn in_bucket(
    places: &Places<'_>,
    asked: &Asked<'_>,
    limit: Timestamp,
) -> Result<Option<Passes>, String> {
    let Some(bucket) = places.bucket.clone()? else {
        return Ok(None);
    };
    // A machine may upload a record days after it was made.
    let week = SignedDuration::from_hours(7 * 24);
    let oldest = limit.checked_sub(week).unwrap_or(Timestamp::MIN);
    let mut passes = Passes::new();
    bucket
        .newest_since(oldest, |record| {
            note(&mut passes, asked, record);
            asked.drills.keys().all(|name| passes.contains_key(*name))
        })
        .await?;
    Ok(Some(passes))
}

async fn in_metric(
    places: &Places<'_>,
    asked: &Asked<'_>,
    drills: &[&str],
    every: SignedDuration,
) -> BTreeMap<String, Said> {
    if drills.is_empty() {
        return BTreeMap::new();
    }
    let environment = &asked.target.environment;
    let queries: Vec<SeriesQuery> = drills
        .iter()
        .map(|drill| SeriesQuery {
            metric: metrics::of_source(
                metrics::PASSED,
                asked.project,
                environment,
                drill,
                asked.drills.get(drill).copied().unwrap_or_default(),
            ),
            statistic: "Maximum".to_owned(),
            period: HOUR,
        })
        .collect();
    let day = SignedDuration::from_hours(24);
    let back = every.checked_add(day).unwrap_or(KEPT).min(KEPT);
    let from = asked.now.checked_sub(back).unwrap_or(Timestamp::MIN);
    let hour = i64::from(HOUR);
    let from = Timestamp::from_second(from.as_second().div_euclid(hour) * hour).unwrap_or(from);
    let to = asked.now.checked_add(SignedDuration::from_hours(1));
    let span = TimeSpan {
        from,
        to: to.unwrap_or(asked.now),
    };
    let answers = places
        .cloud
        .metric_data(asked.target, asked.home, &queries, &span)
        .await;
    drills
        .iter()
        .zip(answers)
        .map(|(drill, answer)| {
            let said = match answer {
                Err(e) => Said::Unreadable(e.to_string()),
                Ok(points) => {
                    let mut passed = points.iter().rev().filter(|(_, value)| *value >= 1.0);
                    // The hour in which it passed, as a whole: not later than now.
                    Said::Read(passed.next().map(|(at, _)| DrillPassed {
                        at: (*at).min(asked.now),
                        shown_by: format!("metric {} {}", metrics::NAMESPACE, metrics::PASSED),
                    }))
                }
            };
            ((*drill).to_owned(), said)
        })
        .collect()
}

/// `None`: no drill ever ran on this machine.
fn in_folder(places: &Places<'_>, asked: &Asked<'_>) -> Option<Passes> {
    let chain = Chain::new(places.state, places.sandbox);
    if !chain.folder().is_dir() {
        return None;
    }
    let mut passes = Passes::new();
    let (records, bad) = chain.read();
    for text in bad {
        tracing::warn!("{text}");
    }
    for record in &records {
        note(&mut passes, asked, record);
    }
    Some(passes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + hours * 3600).unwrap()
    }

    fn pass(hours: i64) -> Said {
        Said::Read(Some(DrillPassed {
            at: at(hours),
            shown_by: format!("{hours}"),
        }))
    }

    fn told(found: &Observed<DrillPassed>) -> &str {
        match found {
            Observed::Known(pass) => &pass.shown_by,
            Observed::Absent => "never",
            Observed::Unknown(_) => "unknown",
        }
    }

    /// The limit is at hour 0: what is later is recent enough.
    #[test]
    fn what_follows_from_each_answer() {
        let none = || Said::Read(None);
        let denied = || Said::Unreadable("s3:GetObject: AccessDenied: no".to_owned());
        let nowhere = || Said::Nowhere;
        for (bucket, metric, local, expected) in [
            (pass(5), nowhere(), nowhere(), "5"),
            (none(), pass(3), nowhere(), "3"),
            (none(), none(), pass(2), "2"),
            // An old pass is told, and is no excuse.
            (pass(-5), none(), none(), "-5"),
            (pass(-5), pass(-3), none(), "-3"),
            (none(), none(), none(), "never"),
            (none(), none(), nowhere(), "never"),
            (nowhere(), none(), nowhere(), "never"),
            // The bucket cannot be read: only a recent pass elsewhere helps.
            (denied(), pass(1), none(), "1"),
            (denied(), none(), pass(1), "1"),
            (denied(), none(), none(), "unknown"),
            (denied(), pass(-1), pass(-1), "unknown"),
            // Without a bucket the metric is what everybody writes to.
            (nowhere(), denied(), pass(4), "4"),
            (nowhere(), denied(), none(), "unknown"),
            (nowhere(), denied(), nowhere(), "unknown"),
            // With one the metric only helps.
            (none(), denied(), none(), "never"),
            (nowhere(), nowhere(), nowhere(), "unknown"),
        ] {
            let found = decide(&bucket, &metric, &local, at(0));
            assert_eq!(told(&found), expected, "{bucket:?} {metric:?} {local:?}");
        }
    }

    #[test]
    fn errors_name_their_operation() {
        assert_eq!(
            operation_of("s3:GetObject: AccessDenied: no"),
            ("s3:GetObject", "AccessDenied: no")
        );
        assert_eq!(operation_of("broken"), (EVIDENCE, "broken"));
        assert_eq!(
            operation_of("the evidence bucket x cannot be reached: s3:HeadBucket: no").0,
            EVIDENCE
        );
    }
}
