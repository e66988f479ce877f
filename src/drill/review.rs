//! What a period's records come to, source by source: how often, how many passed, how fast, and
//! whether a drill is overdue. Arithmetic on records; the time is an input.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::record::{Outcome, Record, seconds, seconds_between};
use super::spec::Spec;

/// A drill that the configuration asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    pub environment: String,
    pub drill: String,
    pub source: String,
    pub every: Option<Duration>,
    pub rto: Option<Duration>,
    pub rpo: Option<Duration>,
}

impl Wanted {
    pub fn of(spec: &Spec, every: Option<Duration>) -> Wanted {
        Wanted {
            environment: spec.target.environment.clone(),
            drill: spec.name.clone(),
            source: spec.source.clone(),
            every,
            rto: spec.rto,
            rpo: spec.rpo,
        }
    }
}

/// Whether the last drill that passed is recent enough, as far as these records tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// None has ever passed, or not in these records.
    Never,
    Overdue,
    /// It is not told how often.
    NoCadence,
    InTime,
    /// The configuration does not ask for it (any more), or could not be read.
    NotConfigured,
}

/// How many drills ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub passed: u64,
    pub failed: u64,
    pub missed_objective: u64,
    /// They say nothing about the backup.
    pub aborted: u64,
}

impl Counts {
    fn of<'a>(records: impl Iterator<Item = &'a Record>) -> Counts {
        let mut out = Counts::default();
        for record in records {
            match record.result {
                Outcome::Passed => out.passed += 1,
                Outcome::Failed => out.failed += 1,
                Outcome::MissedObjective => out.missed_objective += 1,
                Outcome::Aborted => out.aborted += 1,
            }
        }
        out
    }

    pub fn runs(&self) -> u64 {
        self.conclusive() + self.aborted
    }

    /// Those that say something about the backup.
    pub fn conclusive(&self) -> u64 {
        self.passed + self.failed + self.missed_objective
    }
}

/// One source over the period.
#[derive(Debug, Clone, Serialize)]
pub struct SourceReview<'a> {
    pub environment: String,
    pub drill: String,
    pub source: String,
    pub state: State,
    pub every_seconds: Option<f64>,
    /// As configured now; of a drill that is not configured those of its newest record.
    pub rto_seconds: Option<f64>,
    pub rpo_seconds: Option<f64>,
    pub counts: Counts,
    /// When the newest drill that passed was done, whenever that was.
    pub last_passed: Option<Timestamp>,
    /// The longest time in the period without a drill that passed, from its beginning (or the first
    /// drill, if that is later) to now.
    pub longest_without_seconds: Option<f64>,
    pub slowest_seconds: Option<f64>,
    pub oldest_point_seconds: Option<f64>,
    /// Drills that failed or missed an objective and after which one passed, with how long that took.
    pub repaired_seconds: Vec<f64>,
    /// Of the period, in order.
    #[serde(skip)]
    pub records: Vec<&'a Record>,
}

/// A period.
#[derive(Debug, Clone, Serialize)]
pub struct Review<'a> {
    pub from: Timestamp,
    pub to: Timestamp,
    pub counts: Counts,
    pub sources: Vec<SourceReview<'a>>,
}

/// Reviews the records between two times against what the configuration asks for. Records outside of
/// the period count only for when a drill last passed.
pub fn review<'a>(
    records: &'a [Record],
    wanted: &[Wanted],
    from: Timestamp,
    to: Timestamp,
) -> Review<'a> {
    let key = |environment: &str, drill: &str| (environment.to_owned(), drill.to_owned());
    let inside = |r: &&Record| r.finished_at >= from && r.started_at <= to;
    let mut by_drill: BTreeMap<(String, String), Vec<&Record>> = BTreeMap::new();
    for record in records.iter().filter(|r| r.started_at <= to) {
        by_drill
            .entry(key(&record.environment, &record.drill))
            .or_default()
            .push(record);
    }
    let mut keys: BTreeSet<(String, String)> = wanted
        .iter()
        .map(|w| key(&w.environment, &w.drill))
        .collect();
    keys.extend(
        by_drill
            .iter()
            .filter(|(_, all)| all.iter().any(inside))
            .map(|(key, _)| key.clone()),
    );
    let sources = keys
        .into_iter()
        .map(|(environment, drill)| {
            let mut all = by_drill
                .remove(&(environment.clone(), drill.clone()))
                .unwrap_or_default();
            all.sort_by_key(|r| r.started_at);
            let asked = wanted
                .iter()
                .find(|w| w.environment == environment && w.drill == drill);
            one(environment, drill, asked, &all, from, to)
        })
        .collect();
    Review {
        from,
        to,
        counts: Counts::of(records.iter().filter(|r| inside(r))),
        sources,
    }
}

fn one<'a>(
    environment: String,
    drill: String,
    asked: Option<&Wanted>,
    all: &[&'a Record],
    from: Timestamp,
    to: Timestamp,
) -> SourceReview<'a> {
    let records: Vec<&Record> = all
        .iter()
        .filter(|r| r.finished_at >= from)
        .copied()
        .collect();
    let newest = all.last();
    let passes = || all.iter().filter(|r| r.passed());
    let last_passed = passes().map(|r| r.finished_at).max();
    let every = asked.and_then(|w| w.every);
    let state = match (asked, last_passed, every) {
        (None, ..) => State::NotConfigured,
        (Some(_), None, _) => State::Never,
        (Some(_), Some(_), None) => State::NoCadence,
        (Some(_), Some(at), Some(every)) if seconds_between(at, to) > seconds(every) => {
            State::Overdue
        }
        (Some(_), Some(_), Some(_)) => State::InTime,
    };
    let measured = |of: fn(&Record) -> Option<f64>| {
        records.iter().filter_map(|r| of(r)).max_by(f64::total_cmp)
    };
    let objective = |now: Option<Duration>, then: fn(&Record) -> Option<f64>| match asked {
        Some(_) => now.map(seconds),
        None => newest.and_then(|r| then(r)),
    };
    SourceReview {
        state,
        source: asked
            .map(|w| w.source.clone())
            .or_else(|| newest.map(|r| r.source.id.clone()))
            .unwrap_or_default(),
        every_seconds: every.map(seconds),
        rto_seconds: objective(asked.and_then(|w| w.rto), |r| r.objective.rto_seconds),
        rpo_seconds: objective(asked.and_then(|w| w.rpo), |r| r.objective.rpo_seconds),
        counts: Counts::of(records.iter().copied()),
        last_passed,
        longest_without_seconds: longest_without(all, from, to),
        slowest_seconds: measured(Record::recovery_seconds),
        oldest_point_seconds: measured(|r| r.measured.recovery_point_age_seconds),
        repaired_seconds: repaired(all, from),
        environment,
        drill,
        records,
    }
}

fn longest_without(all: &[&Record], from: Timestamp, to: Timestamp) -> Option<f64> {
    let first = all.first()?.started_at;
    // A pass before the period still counts in it.
    let before = all
        .iter()
        .filter(|r| r.passed() && r.finished_at < from)
        .map(|r| r.finished_at)
        .max();
    let mut since = before.unwrap_or_else(|| first.max(from));
    let mut longest: f64 = 0.0;
    for pass in all.iter().filter(|r| r.passed() && r.finished_at >= from) {
        longest = longest.max(seconds_between(since, pass.finished_at));
        since = pass.finished_at;
    }
    Some(longest.max(seconds_between(since, to)))
}

fn repaired(all: &[&Record], from: Timestamp) -> Vec<f64> {
    let mut out = Vec::new();
    let mut broken: Option<Timestamp> = None;
    for record in all {
        match record.result {
            Outcome::Failed | Outcome::MissedObjective => {
                broken.get_or_insert(record.finished_at);
            }
            Outcome::Passed => {
                if let Some(since) = broken.take()
                    && record.finished_at >= from
                {
                    out.push(seconds_between(since, record.finished_at));
                }
            }
            Outcome::Aborted => {}
        }
    }
    out
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::drill::record::{Measured, Objective, StepRecord};

    pub fn record(drill: &str, at: &str, result: Outcome, took: f64) -> Record {
        let started: Timestamp = at.parse().unwrap();
        let end = started + jiff::SignedDuration::from_secs(took as i64);
        let json = serde_json::json!({
            "format_version": "1.0", "kind": "drill", "opsctl_version": "0.1.0",
            "run_id": format!("{drill}-{at}"), "sequence": 1, "drill": drill, "sandbox": null,
            "started_at": started, "finished_at": end,
            "triggered_by": {"kind": "schedule", "name": "ops", "detail": "systemd on box"},
            "policy": {"file": "policies/backups.toml", "line": 12, "sha256": "ab".repeat(32)},
            "environment": "prod", "account": "123456789012", "region": "eu-west-1",
            "source": {"id": "rds:orders-prod", "resource_id": "db-X", "engine": "postgres",
                "engine_version": "16.4", "encrypted": true},
            "recovery_point": null, "copy": null, "timeline": [],
            "objective": {"rto_seconds": null, "rpo_seconds": null},
            "measured": {"time_to_available_seconds": null, "time_to_verified_seconds": null,
                "recovery_point_age_seconds": null},
            "checks": [], "cleanup": {"deleted": true, "proof": []},
            "estimated_cost_usd": "0.10", "result": result, "reasons": [],
            "previous_sha256": null, "sha256": ""
        });
        let mut record: Record = serde_json::from_value(json).unwrap();
        record.objective = Objective {
            rto_seconds: Some(3600.0),
            rpo_seconds: Some(86_400.0),
        };
        record.measured = Measured {
            time_to_available_seconds: Some(took / 2.0),
            time_to_verified_seconds: Some(took),
            recovery_point_age_seconds: Some(7200.0),
        };
        record.timeline = vec![StepRecord {
            step: "verify".to_owned(),
            started_at: started,
            finished_at: Some(end),
            detail: None,
        }];
        record
    }

    fn wanted(days: u64) -> Wanted {
        Wanted {
            environment: "prod".to_owned(),
            drill: "orders".to_owned(),
            source: "rds:orders-prod".to_owned(),
            every: Some(Duration::from_secs(days * 86_400)),
            rto: Some(Duration::from_secs(3600)),
            rpo: None,
        }
    }

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn only_proven_recoveries_have_a_time() {
        for (result, proven) in [
            (Outcome::Passed, true),
            (Outcome::MissedObjective, true),
            (Outcome::Failed, false),
            (Outcome::Aborted, false),
        ] {
            let records = [
                record("orders", "2026-01-01T03:00:00Z", Outcome::Passed, 900.0),
                record("orders", "2026-02-01T03:00:00Z", result, 5000.0),
            ];
            let of = review(
                &records,
                &[wanted(90)],
                time("2026-01-01T00:00:00Z"),
                time("2026-03-01T00:00:00Z"),
            );
            let slowest = if proven { 5000.0 } else { 900.0 };
            assert_eq!(of.sources[0].slowest_seconds, Some(slowest), "{result:?}");
        }
    }

    #[test]
    fn a_year_is_counted_source_by_source() {
        let records = [
            record("orders", "2025-06-01T03:00:00Z", Outcome::Passed, 600.0),
            record("orders", "2026-01-01T03:00:00Z", Outcome::Passed, 900.0),
            record("orders", "2026-02-01T03:00:00Z", Outcome::Failed, 100.0),
            record("orders", "2026-02-03T03:00:00Z", Outcome::Aborted, 1.0),
            record("orders", "2026-02-05T03:00:00Z", Outcome::Passed, 1800.0),
            record(
                "old",
                "2026-03-01T03:00:00Z",
                Outcome::MissedObjective,
                9000.0,
            ),
        ];
        let review = review(
            &records,
            &[wanted(30)],
            time("2025-11-22T00:00:00Z"),
            time("2026-11-22T00:00:00Z"),
        );
        assert_eq!((review.counts.runs(), review.counts.conclusive()), (5, 4));
        let [old, orders] = review.sources.as_slice() else {
            panic!("{:?}", review.sources);
        };
        assert_eq!(old.state, State::NotConfigured);
        assert_eq!(old.rto_seconds, Some(3600.0));
        assert_eq!(orders.state, State::Overdue);
        assert_eq!(orders.counts.passed, 2);
        assert_eq!(orders.slowest_seconds, Some(1800.0));
        assert_eq!(orders.rpo_seconds, None);
        // From the failure's end to the end of the run that passed.
        assert_eq!(orders.repaired_seconds, [4.0 * 86_400.0 + 1800.0 - 100.0]);
        // Since the fifth of February.
        let longest = orders.longest_without_seconds.unwrap();
        assert!((longest / 86_400.0 - 289.85).abs() < 0.02, "{longest}");
    }

    #[test]
    fn what_never_passed_is_not_in_time() {
        let records = [record(
            "orders",
            "2026-11-21T03:00:00Z",
            Outcome::Aborted,
            1.0,
        )];
        let state = |records: &[Record], wanted: &Wanted| {
            let (from, to) = (time("2025-11-22T00:00:00Z"), time("2026-11-22T00:00:00Z"));
            review(records, std::slice::from_ref(wanted), from, to).sources[0].state
        };
        assert_eq!(state(&records, &wanted(30)), State::Never);
        assert_eq!(state(&[], &wanted(30)), State::Never);
        let passed = [record(
            "orders",
            "2026-11-21T03:00:00Z",
            Outcome::Passed,
            1.0,
        )];
        assert_eq!(state(&passed, &wanted(30)), State::InTime);
        let any = Wanted {
            every: None,
            ..wanted(1)
        };
        assert_eq!(state(&passed, &any), State::NoCadence);
        // A pass before the period still counts.
        let early = [record(
            "orders",
            "2025-10-01T03:00:00Z",
            Outcome::Passed,
            1.0,
        )];
        assert_eq!(state(&early, &wanted(500)), State::InTime);
        assert_eq!(state(&early, &wanted(30)), State::Overdue);
    }
}
