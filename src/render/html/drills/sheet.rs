//! The sheet of one drill.

use minijinja::value::Value;
use serde::Serialize;

use crate::drill::machine::span;
use crate::drill::record::seconds_between;
use crate::render::drills::{DrillPage, facts, headline, keeps, seals, time, tone, word};
use crate::render::html::table::{Cell, Column, Kind, Table};
use crate::render::html::{Fact, timeline};
use crate::render::text::number;

/// One drill.
#[derive(Serialize)]
pub(super) struct Sheet {
    id: String,
    title: String,
    when: String,
    word: &'static str,
    tone: &'static str,
    headline: String,
    reasons: Vec<String>,
    facts: Vec<Fact>,
    picture: Option<Value>,
    steps: Option<Table>,
    objectives: Table,
    checks: Option<Table>,
    cleanup: String,
    cleanup_tone: &'static str,
    proof: Vec<String>,
    seals: Vec<Fact>,
    broken: bool,
    sandbox: Option<String>,
}

fn labelled(all: Vec<(&'static str, String)>) -> Vec<Fact> {
    all.into_iter()
        .map(|(label, text)| Fact {
            label: label.to_owned(),
            text,
        })
        .collect()
}

pub(super) fn sheet(page: &DrillPage<'_>) -> Sheet {
    let record = page.record;
    let checks = (!record.checks.is_empty()).then(|| Table {
        columns: vec![
            Column::text("Query").kind(Kind::Code).class("wide"),
            Column::text("Expected").kind(Kind::Code),
            Column::text("Found").class("wide"),
            Column::text("Result"),
            Column::number("Took"),
        ],
        rows: record
            .checks
            .iter()
            .map(|check| {
                let found = match (&check.actual, &check.error) {
                    (Some(actual), _) => actual.clone(),
                    (None, Some(_)) => "–".to_owned(),
                    (None, None) => "nothing".to_owned(),
                };
                vec![
                    Cell::text(check.sql.as_str()),
                    Cell::text(check.expect.as_str()),
                    Cell::text(found).sub(check.error.clone().unwrap_or_default()),
                    match check.passed {
                        true => Cell::text("as expected").tone("good"),
                        false => Cell::text("failed").tone("bad"),
                    },
                    Cell::text(format!("{} ms", number(check.duration_ms))),
                ]
            })
            .collect(),
        ..Table::default()
    });
    let began = record.timeline.first().map(|s| s.started_at);
    let steps = began.map(|began| Table {
        stack: true,
        columns: vec![
            Column::text("Step"),
            Column::number("Began"),
            Column::number("Took"),
            Column::text("What").class("wide"),
        ],
        rows: record
            .timeline
            .iter()
            .map(|step| {
                vec![
                    Cell::text(step.step.as_str()),
                    Cell::text(format!(
                        "+{}",
                        span(seconds_between(began, step.started_at))
                    )),
                    match step.finished_at {
                        Some(end) => Cell::text(span(seconds_between(step.started_at, end))),
                        None => Cell::text("ended here").tone("bad"),
                    },
                    Cell::text(step.detail.clone().unwrap_or_default()),
                ]
            })
            .collect(),
        ..Table::default()
    });
    let (m, o) = (&record.measured, &record.objective);
    let line = |name: &'static str, value: Option<f64>, objective: Option<f64>| {
        vec![
            Cell::text(name),
            Cell::text(objective.map_or_else(|| "none".to_owned(), span)),
            Cell::text(value.map_or_else(|| "not measured".to_owned(), span)),
            match keeps(value, objective) {
                Some(true) => Cell::text("yes").tone("good"),
                Some(false) => Cell::text("no").tone("bad"),
                None => Cell::text("–").tone("muted"),
            },
        ]
    };
    let mut recovery = line(
        match m.time_to_verified_seconds.is_some() && record.recovery_seconds().is_none() {
            true => "Time to recovery (RTO): not proven; until the checks ended",
            false => "Time to recovery (RTO): until the data was proven",
        },
        m.time_to_verified_seconds,
        o.rto_seconds,
    );
    if record.recovery_seconds().is_none() {
        recovery.pop();
        recovery.push(Cell::text("–").tone("muted"));
    }
    let objectives = Table {
        columns: vec![
            Column::text("Objective"),
            Column::text("Asked for"),
            Column::text("Measured"),
            Column::text("Kept"),
        ],
        rows: vec![
            recovery,
            line(
                "of it, until the copy was available",
                m.time_to_available_seconds,
                None,
            ),
            line(
                "Age of the recovery point (RPO)",
                m.recovery_point_age_seconds,
                o.rpo_seconds,
            ),
        ],
        stack: true,
        ..Table::default()
    };
    let (cleanup, cleanup_tone) = match record.cleanup.deleted {
        true => ("Nothing of the copy is left.", "good"),
        false => ("The cleanup is NOT complete: something may be left.", "bad"),
    };
    Sheet {
        id: format!("run-{}", record.run_id),
        title: format!("{} in {}", record.drill, record.environment),
        when: time(record.started_at),
        word: word(record.result),
        tone: tone(record.result),
        headline: headline(record),
        reasons: record
            .reasons
            .iter()
            .skip(usize::from(!record.passed()))
            .cloned()
            .collect(),
        facts: labelled(facts(page)),
        picture: timeline::draw(record),
        steps,
        objectives,
        checks,
        cleanup: cleanup.to_owned(),
        cleanup_tone,
        proof: record.cleanup.proof.clone(),
        seals: labelled(seals(page)),
        broken: !page.broken.is_empty(),
        sandbox: record.sandbox.clone(),
    }
}
