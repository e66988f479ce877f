//! The sources of costs: the sandbox's ledger and exports give the same answers.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::{Date, date};
use jiff::{Timestamp, ToSpan};
use opsctl::cloud::Cloud;
use opsctl::cost::question::{Answer, Filter, Granularity, Group, Question, Row};
use opsctl::sandbox::{Sandbox, scenario};
use rust_decimal::Decimal;

use crate::support;

/// Days on which arithmetic with days goes wrong.
const DAYS: [&str; 6] = [
    "2026-11-01",
    "2026-11-22",
    "2026-12-31",
    "2028-02-29",
    "2027-03-01",
    "2026-11-30",
];

fn noon(day: &str) -> Timestamp {
    format!("{day}T12:00:00Z").parse().unwrap()
}

fn sandbox(name: &str, day: &str) -> Sandbox {
    let opened = scenario::open(name, None).ok().expect("a scenario");
    Sandbox::in_memory(opened.world).at(noon(day))
}

fn month(day: Date) -> Question {
    usage(day.first_of_month(), day.tomorrow().unwrap(), &[])
}

fn usage(start: Date, end: Date, group_by: &[Group]) -> Question {
    Question::Usage {
        start,
        end,
        granularity: Granularity::Monthly,
        group_by: group_by.to_vec(),
        filter: Filter::default(),
    }
}

/// What every environment answers.
fn ask_all(name: &str, day: &str, question: &Question) -> BTreeMap<String, Answer> {
    let opened = scenario::open(name, None).ok().expect("a scenario");
    let cloud = sandbox(name, day);
    support::block_on(async {
        let mut found = BTreeMap::new();
        for (target, _) in support::targets(&opened.loaded) {
            let answered = cloud.ask_cost(&target, question).await.expect("an answer");
            found.insert(target.environment, answered.answer);
        }
        found
    })
}

fn rows(answer: &Answer) -> &[Row] {
    match answer {
        Answer::Usage { rows, .. } => rows,
        other => panic!("{other:?}"),
    }
}

fn total(answer: &Answer) -> Decimal {
    rows(answer).iter().map(|r| r.amount).sum()
}

#[test]
#[ignore = "prints"]
fn show() {
    for (name, _) in scenario::SCENARIOS {
        for day in ["2026-11-22"] {
            let today: Date = day.parse().unwrap();
            let next = today.last_of_month().tomorrow().unwrap();
            let last = today.first_of_month().checked_sub(1.month()).unwrap();
            let mtd = ask_all(name, day, &month(today));
            let before = ask_all(name, day, &usage(last, today.first_of_month(), &[]));
            let same = ask_all(
                name,
                day,
                &usage(last, last.checked_add((today.day()).days()).unwrap(), &[]),
            );
            let ahead = ask_all(
                name,
                day,
                &Question::Forecast {
                    start: today,
                    end: next,
                    interval: 80,
                    filter: Filter::default(),
                },
            );
            for (environment, answer) in &mtd {
                println!(
                    "{name} {environment}: mtd {} last {} same days {} ahead {:?}",
                    total(answer).round_dp(2),
                    total(&before[environment]).round_dp(2),
                    total(&same[environment]).round_dp(2),
                    ahead[environment]
                );
            }
        }
    }
    let _ = (DAYS, date(2026, 1, 1), BTreeSet::<String>::new());
}
