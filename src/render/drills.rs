//! What the report on restore drills says, whatever its format.

use jiff::Timestamp;

use super::text::plural;
use crate::drill::chain::Verified;
use crate::drill::machine::span;
use crate::drill::record::{Outcome, Record};
use crate::drill::review::{Review, SourceReview, State};

/// A report on drills.
pub struct DrillsReport<'a> {
    pub project: String,
    pub generated_at: String,
    /// The scenario, of a report on rehearsals.
    pub sandbox: Option<String>,
    pub review: Review<'a>,
    pub chains: Vec<Verified>,
    /// What could not be read, and why.
    pub unread: Vec<String>,
    /// What is not known, though nothing is wrong.
    pub notes: Vec<String>,
    /// Records of rehearsals on this machine, which count for nothing here.
    pub rehearsals: u64,
    /// Newest first.
    pub pages: Vec<DrillPage<'a>>,
    /// Of the period, but without a page.
    pub without_page: u64,
    /// The drills were asked for one by one: no review of the period.
    pub single: bool,
    pub command: String,
}

/// One drill with where its record lies.
pub struct DrillPage<'a> {
    pub record: &'a Record,
    /// Files and objects, with what locks them.
    pub places: Vec<String>,
    /// Names of the chains that hold it.
    pub chains: Vec<String>,
    /// Their breaks, where there are any.
    pub broken: Vec<String>,
}

/// What a framework asks for, what these records support, and what they do not show.
pub(super) struct Mapping {
    pub reference: &'static str,
    pub asks: &'static str,
    pub supports: String,
    pub not_shown: &'static str,
}

impl DrillsReport<'_> {
    pub(super) fn broken(&self) -> Vec<String> {
        self.chains
            .iter()
            .flat_map(|c| c.broken.iter().map(|b| format!("{}: {b}", c.chain)))
            .collect()
    }

    /// All records are there as they were written, as far as anybody can tell.
    pub fn is_whole(&self) -> bool {
        self.unread.is_empty() && self.chains.iter().all(|c| c.broken.is_empty())
    }

    /// Ends what is counted where records are missing or changed; else empty.
    pub(super) fn of_those(&self) -> &'static str {
        match self.is_whole() {
            true => "",
            false => ", of those that verify",
        }
    }

    /// One or two sentences for the top.
    pub(super) fn stand(&self) -> String {
        match self.is_whole() {
            true => self.standing(),
            // First: it takes the worth from all that follows.
            false => format!("The records are not whole. {}", self.standing()),
        }
    }

    fn standing(&self) -> String {
        if self.single {
            return match self.pages.first() {
                Some(page) => headline(page.record),
                None => "There is no such record.".to_owned(),
            };
        }
        if self.review.counts.runs() == 0 {
            return match self.review.sources.len() as u64 {
                0 => "No drill is on record, and none is configured.".to_owned(),
                n => format!(
                    "No drill is on record: nothing shows that the backups of {} can be restored.",
                    plural(n, "source", "sources")
                ),
            };
        }
        if self.sandbox.is_some() {
            return format!(
                "{} on record, and no evidence: nothing here says anything about a real backup.",
                plural(self.review.counts.runs(), "rehearsal is", "rehearsals are")
            );
        }
        let asked = self.review.asked().count() as u64;
        let in_time = self
            .review
            .asked()
            .filter(|s| s.state == State::InTime)
            .count();
        let overdue = self
            .review
            .asked()
            .filter(|s| matches!(s.state, State::Overdue | State::Never))
            .count() as u64;
        match (asked, overdue) {
            (0, _) => format!(
                "{} on record; no drill is configured now.",
                plural(self.review.counts.runs(), "drill is", "drills are")
            ),
            (_, 0) if in_time as u64 == asked => {
                "Every source with a drill has been restored and checked within its time."
                    .to_owned()
            }
            (_, 0) => "No drill is overdue.".to_owned(),
            (_, n) => format!(
                "{} of {} {} no drill that passed within the time that the policy asks for.",
                n,
                plural(asked, "source", "sources"),
                if n == 1 { "has" } else { "have" }
            ),
        }
    }

    /// What is wrong with the records, for the warning on top; empty where nothing is.
    pub(super) fn faults(&self) -> Vec<String> {
        self.broken()
            .into_iter()
            .chain(self.unread.iter().cloned())
            .collect()
    }

    pub(super) fn rehearsal(&self) -> Option<String> {
        self.sandbox.as_ref().map(|name| format!(
                "These are rehearsals in the sandbox {name}: the source and its states are played. They prove nothing about any backup and are no evidence."
            ))
    }

    /// What each framework asks for and what these records say to it. The references and what they
    /// ask for: SOC 2 trust services criteria A1.2, A1.3, CC7.5; ISO/IEC 27001:2022 Annex A 8.13;
    /// Regulation (EU) 2022/2554 Articles 11 and 12, each in our own words.
    pub(super) fn mappings(&self) -> Vec<Mapping> {
        let review = &self.review;
        let counts = &review.counts;
        let runs = plural(counts.runs(), "drill", "drills");
        let checked: usize = review.records().map(|r| r.checks.len()).sum();
        let restored = review
            .records()
            .filter(|r| r.measured.time_to_available_seconds.is_some())
            .count() as u64;
        let repaired: Vec<f64> = review
            .sources
            .iter()
            .flat_map(|s| s.repaired_seconds.iter().copied())
            .collect();
        let open = review
            .sources
            .iter()
            .filter(|s| {
                let last = s
                    .records
                    .iter()
                    .rev()
                    .find(|r| r.result != Outcome::Aborted);
                last.is_some_and(|r| !r.passed())
            })
            .count() as u64;
        let repairs = match (repaired.len() as u64, open) {
            (0, 0) => "No drill failed in the period.".to_owned(),
            (n, open) => format!(
                "{} by one that passed{}; {} still open.",
                plural(n, "failure was followed", "failures were followed"),
                repaired
                    .iter()
                    .copied()
                    .max_by(f64::total_cmp)
                    .map_or_else(String::new, |s| format!(", within {} at most", span(s))),
                plural(open, "source is", "sources are")
            ),
        };
        let policies: std::collections::BTreeSet<&str> =
            review.records().map(|r| r.policy.sha256.as_str()).collect();
        vec![
            Mapping {
                reference: "SOC 2 A1.2",
                asks: "Backup processes and recovery infrastructure are in place and watched.",
                supports: format!(
                    "{}: each names the recovery point it found, its age, and the objective for it.",
                    plural(
                        review
                            .records()
                            .filter(|r| r.recovery_point.is_some())
                            .count() as u64,
                        "record",
                        "records"
                    )
                ),
                not_shown: "Physical and environmental protection, capacity, sources without a drill.",
            },
            Mapping {
                reference: "SOC 2 A1.3",
                asks: "Procedures for recovery are tested, and backups are complete and sound.",
                supports: format!(
                    "{runs}; in {restored} of them data was restored, and {} of it ran.",
                    plural(checked as u64, "check", "checks")
                ),
                not_shown: "Recovery of the whole system, and of people and processes.",
            },
            Mapping {
                reference: "SOC 2 CC7.5",
                asks: "Recovery from incidents is prepared, tested and improved.",
                supports: format!("Measured against targets in every record. {repairs}"),
                not_shown: "Root causes, and what was changed: those are in your incident reports.",
            },
            Mapping {
                reference: "ISO/IEC 27001:2022 A.8.13",
                asks: "Backups are kept and regularly tested under a policy.",
                supports: format!(
                    "How often, per source, in the table above. Each record holds the digest of the policy file it ran under ({} in the period).",
                    plural(policies.len() as u64, "version", "versions")
                ),
                not_shown: "Approval of the policy; the history of its file does.",
            },
            Mapping {
                reference: "DORA Art. 11",
                asks: "Continuity plans, with recovery objectives, are tested at least yearly for critical functions.",
                supports: format!(
                    "Recovery times of {} measured against objectives.",
                    plural(
                        review
                            .records()
                            .filter(|r| r.recovery_seconds().is_some())
                            .count() as u64,
                        "drill",
                        "drills"
                    )
                ),
                not_shown: "Which functions are critical, scenarios, switchover, communication.",
            },
            Mapping {
                reference: "DORA Art. 12",
                asks: "Backup and restoration are tested regularly; restored data is checked.",
                supports: format!(
                    "{runs}, each with its checks and with proof that the copy was removed."
                ),
                not_shown: "Restoration onto systems segregated from the source: drills restore beside it, in the same account, or on the machine that runs them.",
            },
        ]
    }
}

impl<'a> Review<'a> {
    /// The sources that the configuration asks for.
    pub(super) fn asked(&self) -> impl Iterator<Item = &SourceReview<'a>> {
        self.sources
            .iter()
            .filter(|s| s.state != State::NotConfigured)
    }

    pub(super) fn records(&self) -> impl Iterator<Item = &'a Record> {
        self.sources.iter().flat_map(|s| s.records.iter().copied())
    }
}

/// `orders in prod: passed`, with the decisive reason.
pub(super) fn headline(record: &Record) -> String {
    let word = word(record.result);
    match (record.passed(), record.reasons.first()) {
        (false, Some(reason)) => format!("{word}: {reason}"),
        _ => match record.recovery_seconds() {
            Some(took) => format!(
                "{word}: restored, and its data proven, within {}",
                span(took)
            ),
            None => word.to_owned(),
        },
    }
}

/// The result in words.
pub(super) fn word(result: Outcome) -> &'static str {
    match result {
        Outcome::Passed => "Passed",
        Outcome::Failed => "Failed",
        Outcome::MissedObjective => "Missed an objective",
        Outcome::Aborted => "Could not run",
    }
}

/// `good`, `careful`, `bad`.
pub(super) fn tone(result: Outcome) -> &'static str {
    match result {
        Outcome::Passed => "good",
        Outcome::Failed | Outcome::MissedObjective => "bad",
        Outcome::Aborted => "careful",
    }
}

/// Whether a source is in time: a word, its tone.
pub(super) fn state(state: State) -> (&'static str, &'static str) {
    match state {
        State::Never => ("never passed", "bad"),
        State::Overdue => ("overdue", "bad"),
        State::NoCadence => ("no drill_every", "careful"),
        State::InTime => ("in time", "good"),
        State::NotConfigured => ("not configured", "muted"),
    }
}

/// `3 of 4 passed`, and those that say nothing.
pub(super) fn passes(source: &SourceReview<'_>) -> String {
    let counts = &source.counts;
    let mut out = match counts.conclusive() {
        0 => "–".to_owned(),
        n => format!("{} of {n}", counts.passed),
    };
    if counts.aborted > 0 {
        out.push_str(&format!(", {} could not run", counts.aborted));
    }
    out
}

pub(super) fn seconds(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), span)
}

/// `12 min of 1 h`, `12 min, no objective`.
pub(super) fn against(value: Option<f64>, objective: Option<f64>) -> String {
    match (value, objective) {
        (None, None) => "–".to_owned(),
        (None, Some(objective)) => format!("not measured, objective {}", span(objective)),
        (Some(value), None) => format!("{}, no objective", span(value)),
        (Some(value), Some(objective)) => format!("{} of {}", span(value), span(objective)),
    }
}

/// Whether a measured time keeps its objective; nothing where either is missing.
pub(super) fn keeps(value: Option<f64>, objective: Option<f64>) -> Option<bool> {
    Some(value? <= objective?)
}

/// A long time in whole days, a shorter one as [`span`] says it.
pub(super) fn ago(seconds: f64) -> String {
    match seconds {
        s if s >= 3.0 * 86_400.0 => format!("{} d", (s / 86_400.0).round()),
        s => span(s),
    }
}

/// `22 November 2026, 03:30 UTC`.
pub(super) fn time(at: Timestamp) -> String {
    at.strftime("%-d %B %Y, %H:%M UTC").to_string()
}

pub(super) fn day(at: Timestamp) -> String {
    at.strftime("%-d %b %Y").to_string()
}

/// Label and text of what an auditor files with a drill.
pub(super) fn facts(page: &DrillPage<'_>) -> Vec<(&'static str, String)> {
    let record = page.record;
    let source = &record.source;
    let mut out = vec![
        ("Run", record.run_id.clone()),
        (
            "When",
            format!(
                "{} to {}",
                precise(record.started_at),
                precise(record.finished_at)
            ),
        ),
        (
            "Environment",
            format!(
                "{}, account {}, {}",
                record.environment, record.account, record.region
            ),
        ),
    ];
    let mut what = vec![source.id.clone()];
    what.extend(source.resource_id.clone());
    if let Some(engine) = &source.engine {
        what.push(match &source.engine_version {
            Some(version) => format!("{engine} {version}"),
            None => engine.clone(),
        });
    }
    what.push(
        match source.encrypted {
            Some(true) => "encrypted",
            Some(false) => "not encrypted",
            None => "encryption not told",
        }
        .to_owned(),
    );
    out.push(("Source", what.join(", ")));
    out.push((
        "Recovery point",
        match &record.recovery_point {
            None => "none was found or chosen".to_owned(),
            Some(point) => {
                let size = point
                    .size_bytes
                    .map_or_else(String::new, |b| format!(", {}", bytes(b)));
                format!(
                    "{} {}; data of {} ({}), {} old{size}",
                    point.kind,
                    point.arn,
                    precise(point.data_time),
                    point.data_time_basis,
                    span(point.age_seconds)
                )
            }
        },
    ));
    if let Some(copy) = &record.copy {
        let more: Vec<&str> = [&copy.resource_id, &copy.instance_class]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        out.push((
            "Restored to",
            match more.is_empty() {
                true => copy.id.clone(),
                false => format!("{} ({})", copy.id, more.join(", ")),
            },
        ));
    }
    let trigger = &record.triggered_by;
    out.push((
        "Triggered by",
        match &trigger.detail {
            Some(detail) => format!("{}: {}, {detail}", trigger.kind, trigger.name),
            None => format!("{}: {}", trigger.kind, trigger.name),
        },
    ));
    out.push((
        "Policy",
        format!(
            "{}:{}, SHA-256 {}",
            record.policy.file, record.policy.line, record.policy.sha256
        ),
    ));
    out.push((
        "Estimated cost",
        format!("{} USD", record.estimated_cost_usd),
    ));
    out.push(("Made by", format!("opsctl {}", record.opsctl_version)));
    out
}

/// The place in the chain and the seals.
pub(super) fn seals(page: &DrillPage<'_>) -> Vec<(&'static str, String)> {
    let record = page.record;
    let mut out = vec![
        ("Number in the chain", record.sequence.to_string()),
        (
            "Seal of the record before",
            record
                .previous_sha256
                .clone()
                .unwrap_or_else(|| "none: it is the first".to_owned()),
        ),
        ("Seal (SHA-256)", record.sha256.clone()),
    ];
    out.extend(page.places.iter().map(|p| ("Kept at", p.clone())));
    out.push((
        "Chain",
        match (page.chains.is_empty(), page.broken.is_empty()) {
            (true, _) => "not verified".to_owned(),
            (false, true) => format!("verified, intact: {}", page.chains.join(", ")),
            (false, false) => format!("BROKEN: {}", page.broken.join("; ")),
        },
    ));
    out
}

fn precise(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn bytes(n: u64) -> String {
    let (value, unit) = match n {
        0..1_000_000 => (n as f64 / 1e3, "kB"),
        1_000_000..1_000_000_000 => (n as f64 / 1e6, "MB"),
        _ => (n as f64 / 1e9, "GB"),
    };
    format!("{value:.1} {unit}")
}
