//! Boundary days, odd amounts, and properties of the audit's arithmetic.

use std::collections::{BTreeMap, BTreeSet};

use insta::assert_snapshot;
use jiff::civil::{Date, date};
use jiff::{Timestamp, ToSpan};
use proptest::prelude::*;
use rust_decimal::Decimal;

use super::audit::{AuditInput, CostReport, EnvironmentInput, Users, audit, number};
use super::cents::{cents, percent, split};
use super::days::Days;
use super::entry::{CostEntry, TagStatus};
use super::forecast::estimate;
use super::question::{Anomaly, Answer, Answered, Filter, Question, Row};
use super::steps::{
    ForecastScope, Need, Outcome, PayerAnswers, PayerScope, Purpose, is_reservation,
    is_savings_plan, need, steps,
};
use super::usage_type::{Kind, kind};
use crate::cloud::CloudError;
use crate::config::{Loaded, Resolved};
use crate::model::Severity;

const ACCOUNT: &str = "123456789012";

fn dec(text: &str) -> Decimal {
    Decimal::from_str_exact(text).unwrap()
}

/// An environment `prod` at stage-1 with what is given below its account.
fn resolved(environments: &str) -> Vec<Resolved> {
    let mut loaded = Loaded::read(None);
    let text = format!("[project]\nname = \"shop\"\nteam = \"core\"\n{environments}");
    let node = loaded.parse("opsctl.toml", text).expect("TOML");
    loaded.take_workspace(node);
    assert!(!loaded.has_errors(), "{:#?}", loaded.diagnostics);
    let workspace = loaded.workspace.clone().unwrap();
    workspace
        .environments
        .iter()
        .map(|(name, e)| loaded.resolve(Some(name), &e.stage.value).unwrap())
        .collect()
}

fn prod(more: &str) -> Vec<Resolved> {
    resolved(&format!(
        "[environments.prod]\naccount = \"{ACCOUNT}\"\nregions = [\"eu-west-1\"]\nstage = \"stage-1\"\n{more}"
    ))
}

fn answered(answer: Answer) -> Outcome {
    Outcome::Answered(Answered {
        answer,
        asked_at: "2026-11-22T05:00:00Z".parse::<Timestamp>().unwrap(),
        pages: 1,
    })
}

fn usage(rows: Vec<Row>) -> Answer {
    Answer::Usage {
        currency: "USD".to_owned(),
        rows,
    }
}

fn row(start: Date, keys: &[&str], amount: &str) -> Row {
    Row {
        start,
        keys: keys.iter().map(|k| (*k).to_owned()).collect(),
        amount: dec(amount),
        estimated: false,
    }
}

/// Every day from the first of last month to today.
fn each_day(today: Date, mut rows_of: impl FnMut(Date) -> Vec<Row>) -> Vec<Row> {
    let days = Days::of(today);
    let mut out = Vec::new();
    let mut day = days.previous;
    while day <= today {
        out.extend(rows_of(day));
        day = day.saturating_add(1.day());
    }
    out
}

fn scope(tags: &[&str]) -> PayerScope {
    PayerScope {
        account: ACCOUNT.to_owned(),
        forecasts: vec![ForecastScope {
            environment: "prod".to_owned(),
            account: ACCOUNT.to_owned(),
        }],
        tags: tags.iter().map(|t| (*t).to_owned()).collect(),
        filter: Filter {
            accounts: BTreeSet::new(),
            without_record_types: ["Credit".to_owned(), "Refund".to_owned()].into(),
        },
        ..PayerScope::default()
    }
}

/// What was asked, with answers to some of it; the rest had no room.
fn payer(scope: PayerScope, today: Date, mut answers: Vec<(Purpose, Outcome)>) -> PayerAnswers {
    let steps = steps(&scope, &Days::of(today))
        .into_iter()
        .map(|step| {
            let found = answers.iter().position(|(p, _)| *p == step.purpose);
            let outcome = match found {
                Some(i) => answers.remove(i).1,
                None => Outcome::NotAsked {
                    reason: "not in this test".to_owned(),
                    wanted: true,
                },
            };
            (step, outcome)
        })
        .collect();
    assert!(answers.is_empty(), "{answers:?}");
    PayerAnswers {
        scope,
        environment: "prod".to_owned(),
        steps,
    }
}

fn run_with(
    resolved: &[Resolved],
    users: Users,
    payers: &[PayerAnswers],
    today: Date,
) -> CostReport {
    let environments: Vec<EnvironmentInput<'_>> = resolved
        .iter()
        .map(|r| EnvironmentInput {
            resolved: r,
            account: r.config.as_ref().unwrap().account.value.clone(),
            payer: 0,
            users: users.clone(),
        })
        .collect();
    let accounts = environments.iter().map(|e| e.account.clone()).collect();
    audit(&AuditInput {
        today,
        environments: &environments,
        payers,
        accounts: &accounts,
        narrowed: false,
    })
}

fn run(resolved: &[Resolved], payers: &[PayerAnswers], today: Date) -> CostReport {
    run_with(resolved, Users::NotTold, payers, today)
}

/// One environment that costs 2 USD each day.
fn steady(today: Date, more: Vec<(Purpose, Outcome)>) -> CostReport {
    let rows = each_day(today, |day| vec![row(day, &[ACCOUNT, "Lambda"], "2")]);
    let mut answers = vec![(Purpose::Daily, answered(usage(rows)))];
    answers.extend(more);
    run(
        &prod("monthly_budget_usd = 50"),
        &[payer(scope(&[]), today, answers)],
        today,
    )
}

fn ids(report: &CostReport) -> Vec<&str> {
    report.findings.iter().map(|f| f.id.as_str()).collect()
}

fn forecast(mean: &str) -> Outcome {
    answered(Answer::Forecast {
        currency: "USD".to_owned(),
        mean: dec(mean),
        low: dec(mean) - dec("1"),
        high: dec(mean) + dec("1"),
    })
}

/// Every field of days that an entry has, in one line.
fn days_line(today: Date) -> String {
    // AWS's forecast of today and the rest, at 2 a day.
    let days = Days::of(today);
    let rest = Decimal::from(2 * days.remaining());
    let report = steady(
        today,
        vec![(
            Purpose::Forecast(ACCOUNT.to_owned()),
            forecast(&rest.to_string()),
        )],
    );
    let e = &report.entries[0];
    let show = |t: &Option<String>| t.clone().unwrap_or_else(|| "-".to_owned());
    format!(
        "{today}: to date {}, month end {} ({}), compared {} days: {} with {}, last month {}, days {}",
        show(&e.month_to_date),
        show(&e.forecast_month_end),
        show(&e.forecast_basis),
        e.compared_days,
        show(&e.month_to_date_same_days),
        show(&e.previous_same_days),
        show(&e.previous_full_month),
        e.daily.len(),
    )
}

#[test]
fn boundary_days() {
    let lines: Vec<String> = [
        date(2026, 11, 1),
        date(2026, 11, 2),
        date(2026, 11, 22),
        date(2026, 11, 30),
        date(2026, 12, 31),
        date(2027, 1, 1),
        date(2026, 3, 29),
        date(2026, 3, 31),
        date(2028, 2, 29),
        date(2028, 3, 31),
        date(2028, 3, 1),
    ]
    .map(days_line)
    .into();
    assert_snapshot!(lines.join("\n"), @r#"
    2026-11-01: to date 2.00, month end 60.00 (cost-explorer), compared 0 days: - with -, last month 62.00, days 32
    2026-11-02: to date 4.00, month end 60.00 (cost-explorer), compared 1 days: 2.00 with 2.00, last month 62.00, days 33
    2026-11-22: to date 44.00, month end 60.00 (cost-explorer), compared 21 days: 42.00 with 42.00, last month 62.00, days 53
    2026-11-30: to date 60.00, month end 60.00 (cost-explorer), compared 29 days: 58.00 with 58.00, last month 62.00, days 61
    2026-12-31: to date 62.00, month end 62.00 (cost-explorer), compared 30 days: 60.00 with 60.00, last month 60.00, days 61
    2027-01-01: to date 2.00, month end 62.00 (cost-explorer), compared 0 days: - with -, last month 62.00, days 32
    2026-03-29: to date 58.00, month end 62.00 (cost-explorer), compared 28 days: 56.00 with 56.00, last month 56.00, days 57
    2026-03-31: to date 62.00, month end 62.00 (cost-explorer), compared 28 days: 56.00 with 56.00, last month 56.00, days 59
    2028-02-29: to date 58.00, month end 58.00 (cost-explorer), compared 28 days: 56.00 with 56.00, last month 62.00, days 60
    2028-03-31: to date 62.00, month end 62.00 (cost-explorer), compared 29 days: 58.00 with 58.00, last month 58.00, days 60
    2028-03-01: to date 2.00, month end 62.00 (cost-explorer), compared 0 days: - with -, last month 58.00, days 30
    "#);
}

#[test]
fn on_the_first_nothing_is_compared_and_it_is_said() {
    let report = steady(date(2026, 11, 1), Vec::new());
    let entry = &report.entries[0];
    assert_eq!(entry.compared_days, 0);
    assert_eq!(entry.previous_same_days, None);
    assert_eq!(entry.change, None);
    assert!(entry.top_movers.is_empty());
    assert!(
        entry
            .notes
            .iter()
            .any(|n| n.contains("no day of this month is complete"))
    );
    // The estimate rests on last month: 30 days at 2.
    assert_eq!(entry.forecast_month_end.as_deref(), Some("60.00"));
    assert_eq!(entry.forecast_basis.as_deref(), Some("own-estimate"));
}

/// From an export that holds 2 USD of Lambda a day from `first` to `last`.
fn from_export(account: &str, first: Date, last: Date, today: Date) -> CostReport {
    let rows = each_day(today, |day| {
        if first <= day && day <= last {
            vec![row(day, &[account, "Lambda"], "2")]
        } else {
            Vec::new()
        }
    });
    let mut scope = scope(&["team"]);
    scope.export = true;
    let monthly = usage(vec![row(first.first_of_month(), &[account, "a"], "2")]);
    let answers = vec![
        (Purpose::Daily, answered(usage(rows))),
        (Purpose::Forecast(ACCOUNT.to_owned()), forecast("18")),
        (Purpose::Tag("team".to_owned()), answered(monthly.clone())),
        (Purpose::Regions, answered(monthly)),
    ];
    run(&prod(""), &[payer(scope, today, answers)], today)
}

#[test]
fn where_an_export_ends_costs_are_not_known_and_not_zero() {
    let (october, today) = (date(2026, 10, 1), date(2026, 11, 22));
    let of = |last| from_export(ACCOUNT, october, last, today).entries.remove(0);
    let whole = of(today);
    assert_eq!(whole.compared_days, 21);
    assert_eq!(whole.forecast_month_end.as_deref(), Some("60.00"));
    // Of its last day it may hold a part.
    assert_eq!(of(date(2026, 11, 21)).compared_days, 20);
    let early = of(date(2026, 11, 10));
    assert_eq!(early.month_to_date.as_deref(), Some("20.00"));
    assert_eq!(early.compared_days, 9);
    assert_eq!(early.change.as_deref(), Some("0.00"));
    // 18 for 9 days, 24 for the 12 that are missing, 18 from today on.
    assert_eq!(early.forecast_month_end.as_deref(), Some("60.00"));
    let before = of(date(2026, 10, 31));
    assert_eq!(before.month_to_date, None);
    assert_eq!(before.forecast_month_end, None);
    // At the start of a month there cannot be anything of it yet.
    let first = from_export(ACCOUNT, october, date(2026, 10, 31), date(2026, 11, 1));
    assert_eq!(first.entries[0].month_to_date.as_deref(), Some("0.00"));
}

#[test]
fn what_an_export_lacks_is_not_zero() {
    let (october, november) = (date(2026, 10, 1), date(2026, 11, 1));
    let today = date(2026, 11, 22);
    let new = from_export(ACCOUNT, november, today, today);
    let entry = &new.entries[0];
    assert_eq!(entry.month_to_date.as_deref(), Some("44.00"));
    assert_eq!(entry.previous_full_month, None);
    assert_eq!(entry.previous_same_days, None);
    assert_eq!(entry.by_service[0].previous_full_month, None);
    assert_eq!(entry.by_region[0].previous_full_month, None);
    assert!(entry.daily.iter().all(|d| d.date >= november));
    assert_eq!(ids(&new), Vec::<&str>::new());
    let elsewhere = from_export("999999999999", october, today, today);
    let entry = &elsewhere.entries[0];
    assert_eq!(entry.month_to_date, None);
    assert_eq!(entry.untagged["team"], None);
    assert!(entry.by_region.is_empty());
    assert_eq!(entry.anomalies, None);
}

#[test]
fn a_day_without_data_yet_is_neither_zero_nor_lost() {
    let today = date(2026, 11, 22);
    let rows = each_day(today, |day| {
        // Of the 21st and today nothing has arrived.
        if day < date(2026, 11, 21) {
            vec![row(day, &[ACCOUNT, "Lambda"], "2")]
        } else {
            Vec::new()
        }
    });
    let answers = vec![
        (Purpose::Daily, answered(usage(rows))),
        (Purpose::Forecast(ACCOUNT.to_owned()), forecast("18")),
    ];
    let report = run(&prod(""), &[payer(scope(&[]), today, answers)], today);
    let entry = &report.entries[0];
    assert_eq!(entry.compared_days, 20);
    assert_eq!(entry.change.as_deref(), Some("0.00"));
    // 40 for 20 days, 2 for the missing one, 18 from today on.
    assert_eq!(entry.forecast_month_end.as_deref(), Some("60.00"));
}

#[test]
fn without_a_forecast_of_aws_there_is_an_estimate_that_says_so() {
    let today = date(2026, 11, 22);
    for (outcome, reason) in [
        (
            answered(Answer::NoData {
                reason: "too short a history".to_owned(),
            }),
            "too short a history",
        ),
        (
            Outcome::Failed(CloudError {
                operation: "ce:GetCostForecast".to_owned(),
                code: "AccessDeniedException".to_owned(),
                message: "no".to_owned(),
                maybe_done: false,
            }),
            "AccessDeniedException",
        ),
    ] {
        let report = steady(
            today,
            vec![(Purpose::Forecast(ACCOUNT.to_owned()), outcome)],
        );
        let entry = &report.entries[0];
        assert_eq!(entry.forecast_basis.as_deref(), Some("own-estimate"));
        assert_eq!(entry.forecast_month_end.as_deref(), Some("60.00"));
        assert!(entry.forecast_note.as_deref().unwrap().contains(reason));
        assert_eq!(report.gaps.len(), usize::from(reason.starts_with("Access")));
        assert_eq!(ids(&report), ["cost.forecast-over-budget"]);
    }
}

#[test]
fn what_could_not_be_asked_is_unknown_and_a_gap() {
    let today = date(2026, 11, 22);
    let denied = || {
        Outcome::Failed(CloudError {
            operation: "ce:GetCostAndUsage".to_owned(),
            code: "AccessDeniedException".to_owned(),
            message: "no".to_owned(),
            maybe_done: false,
        })
    };
    let scope = scope(&["team"]);
    let answers = vec![
        (Purpose::Daily, denied()),
        (Purpose::Tag("team".to_owned()), denied()),
    ];
    let report = run(
        &prod("monthly_budget_usd = 50"),
        &[payer(scope, today, answers)],
        today,
    );
    for entry in &report.entries {
        assert_eq!(entry.month_to_date, None);
        assert_eq!(entry.forecast_month_end, None);
        assert_eq!(entry.budget_left, None);
        assert_eq!(entry.previous_full_month, None);
        assert_eq!(entry.untagged.get("team"), Some(&None));
        assert!(entry.by_service.is_empty() && entry.daily.is_empty());
    }
    assert_eq!(report.entries[0].budget.as_deref(), Some("50.00"));
    assert_eq!(report.gaps.len(), 1, "{:#?}", report.gaps);
    assert_eq!(report.gaps[0].operation, "ce:GetCostAndUsage");
    assert!(report.findings.is_empty());
}

#[test]
fn an_empty_account_costs_nothing_and_that_is_known() {
    let today = date(2026, 11, 22);
    let report = run(
        &prod("monthly_budget_usd = 50"),
        &[payer(
            scope(&["team"]),
            today,
            vec![
                (Purpose::Daily, answered(usage(Vec::new()))),
                (Purpose::Tag("team".to_owned()), answered(usage(Vec::new()))),
            ],
        )],
        today,
    );
    let entry = &report.entries[0];
    assert_eq!(entry.month_to_date.as_deref(), Some("0.00"));
    assert_eq!(entry.forecast_month_end.as_deref(), Some("0.00"));
    assert_eq!(entry.budget_used_percent.as_deref(), Some("0.0"));
    assert_eq!(entry.change_percent, None);
    assert!(report.findings.is_empty());
}

#[test]
fn a_new_account_without_data_is_unknown_but_no_gap() {
    let today = date(2026, 11, 22);
    let report = run(
        &prod(""),
        &[payer(
            scope(&[]),
            today,
            vec![(
                Purpose::Daily,
                answered(Answer::NoData {
                    reason: "not ready".to_owned(),
                }),
            )],
        )],
        today,
    );
    assert_eq!(report.entries[0].month_to_date, None);
    assert!(report.gaps.is_empty());
    assert!(
        report.notes[0].contains("no cost data yet"),
        "{:?}",
        report.notes
    );
}

#[test]
fn findings_of_a_bad_month() {
    let today = date(2026, 11, 22);
    let rows = each_day(today, |day| {
        let this = day >= date(2026, 11, 1);
        let mut rows = vec![
            row(
                day,
                &[ACCOUNT, "Amazon RDS"],
                if this { "4.50" } else { "2" },
            ),
            row(day, &[ACCOUNT, "Tax"], "0.5"),
        ];
        if this {
            rows.push(row(day, &[ACCOUNT, "AWS Glue"], "1"));
        }
        rows
    });
    let month = date(2026, 11, 1);
    let answers = vec![
        (Purpose::Daily, answered(usage(rows))),
        (Purpose::Forecast(ACCOUNT.to_owned()), forecast("54")),
        (
            Purpose::RecordTypes,
            answered(usage(vec![
                row(month, &[ACCOUNT, "Usage"], "121"),
                row(month, &[ACCOUNT, "Tax"], "11"),
                row(month, &[ACCOUNT, "Credit"], "-100"),
                row(month, &[ACCOUNT, "Refund"], "-1.5"),
            ])),
        ),
        (
            Purpose::Tag("team".to_owned()),
            answered(usage(vec![
                row(month, &[ACCOUNT, "core"], "60.5"),
                row(month, &[ACCOUNT, ""], "71.5"),
            ])),
        ),
        (
            Purpose::Tag("project".to_owned()),
            answered(usage(vec![row(month, &[ACCOUNT, ""], "132")])),
        ),
        (
            Purpose::TagStatus,
            answered(Answer::CostAllocationTags {
                keys: BTreeMap::from([("team".to_owned(), true), ("project".to_owned(), false)]),
            }),
        ),
        (
            Purpose::Regions,
            answered(usage(vec![
                row(month, &[ACCOUNT, "eu-west-1"], "100"),
                row(date(2026, 10, 1), &[ACCOUNT, "eu-west-1"], "70"),
                row(month, &[ACCOUNT, "ap-south-1"], "32"),
            ])),
        ),
        (
            Purpose::Anomalies,
            answered(Answer::Anomalies {
                anomalies: vec![Anomaly {
                    id: "a-1".to_owned(),
                    start: date(2026, 11, 3),
                    end: None,
                    account: Some(ACCOUNT.to_owned()),
                    service: Some("Amazon RDS".to_owned()),
                    region: None,
                    usage_type: None,
                    impact: dec("120.456"),
                    monitor: None,
                }],
            }),
        ),
    ];
    let report = run(
        &prod("monthly_budget_usd = 100"),
        &[payer(scope(&["project", "team"]), today, answers)],
        today,
    );
    let shown: Vec<String> = report
        .findings
        .iter()
        .map(|f| {
            format!(
                "{} {} {}\n  {}\n  {}\n  {}:{} {}\n",
                f.severity.as_str(),
                f.id,
                f.address,
                f.message,
                f.evidence,
                f.policy.file,
                f.policy.line,
                f.policy.rule
            )
        })
        .collect();
    assert_snapshot!(shown.concat(), @r#"
    critical cost.over-budget prod/global/cost/total#cost
      132.00 USD spent this month, 132.0 % of the budget of 100.00 USD
      month to date 132.00 USD, budget 100.00 USD, forecast for the month 180.00 USD; most of it: Amazon RDS 99.00 USD, AWS Glue 22.00 USD, Tax 11.00 USD
      opsctl.toml:8 environments.prod.monthly_budget_usd
    high cost.anomaly prod/global/cost/anomaly-a-1#cost
      AWS saw an anomaly in Amazon RDS: 120.46 USD more than expected
      from 2026-11-03, goes on
      builtin:policies/cost.toml:21 cost.anomaly.above_usd
    medium cost.service-growth prod/global/cost/amazon-rds#cost
      Amazon RDS costs 52.50 USD more than in the same days of last month (+125.0 %)
      days 1 to 21: 94.50 USD this month, 42.00 USD last month; thresholds 30 % and 20.00 USD
      builtin:policies/cost.toml:17 cost.growth.above_percent
    medium cost.new-service prod/global/cost/aws-glue#cost
      AWS Glue is new: 22.00 USD this month, nothing last month
      2026-11-01 to 2026-11-22: 22.00 USD; 2026-10-01 to 2026-10-31: 0.00 USD; threshold 5.00 USD
      builtin:policies/cost.toml:8 cost.new_service_above_usd
    medium cost.new-region prod/global/cost/region-ap-south-1#cost
      ap-south-1 is new: 32.00 USD this month, nothing last month, and opsctl.toml does not name it
      regions of opsctl.toml: eu-west-1; threshold 1.00 USD
      builtin:policies/cost.toml:9 cost.new_region_above_usd
    medium cost.tag-not-activated prod/global/cost/tag-project#cost
      the tag `project` is not activated for cost allocation: who spends what is not known by it
      all spend shows without this tag, and its key is not among the active ones
      builtin:policies/tags.toml:5 tags.required
    medium cost.untagged prod/global/cost/tag-team#cost
      50.0 % of the spend has no tag `team`
      71.50 USD without it this month; tax cannot be tagged and is not counted; threshold 10 %
      builtin:policies/cost.toml:7 cost.untagged_above_percent
    medium cost.above-stage-band prod/global/cost/total#cost
      the month is expected to end at 180.00 USD, more than stage-1 is meant to cost
      stage-1 (One box, no regrets) costs 20.00 to 100.00 USD a month
      builtin:stacks/stage-1.toml:2 stage.monthly_cost_usd
    low cost.credits-hide-spend prod/global/cost/credits#cost
      credits and refunds of 101.50 USD hide spend: the bill shows 30.50 USD, without them it is 132.00 USD
      this month: credits -100.00, refunds -1.50; last month: credits 0.00, refunds 0.00 USD
      builtin:policies/cost.toml:11 cost.credits_above_usd
    "#);
    assert_eq!(
        report.entries[0].tag_status.get("project"),
        Some(&TagStatus::NotActivated)
    );
    assert_eq!(report.entries[0].untagged.get("project"), Some(&None));
}

#[test]
fn being_over_the_budget_by_a_fifth_is_critical() {
    for (budget, severity) in [
        ("44", None),
        ("43", Some(Severity::High)),
        ("36", Some(Severity::Critical)),
    ] {
        let today = date(2026, 11, 22);
        let rows = each_day(today, |day| vec![row(day, &[ACCOUNT, "Lambda"], "2")]);
        let report = run(
            &prod(&format!("monthly_budget_usd = {budget}")),
            &[payer(
                scope(&[]),
                today,
                vec![(Purpose::Daily, answered(usage(rows)))],
            )],
            today,
        );
        let found = report.findings.iter().find(|f| f.id == "cost.over-budget");
        assert_eq!(found.map(|f| f.severity), severity, "{budget}");
    }
}

#[test]
fn credits_that_count_may_make_a_month_negative() {
    let today = date(2026, 11, 22);
    let rows = each_day(today, |day| {
        let mut rows = vec![row(day, &[ACCOUNT, "Lambda"], "2")];
        if day == date(2026, 11, 5) {
            rows.push(row(day, &[ACCOUNT, "Credits"], "-100"));
        }
        rows
    });
    let mut scope = scope(&[]);
    scope.filter = Filter::default();
    let report = run(
        &prod("monthly_budget_usd = 50"),
        &[payer(
            scope,
            today,
            vec![
                (Purpose::Daily, answered(usage(rows))),
                (Purpose::Forecast(ACCOUNT.to_owned()), forecast("18")),
            ],
        )],
        today,
    );
    let entry = &report.entries[0];
    assert_eq!(entry.month_to_date.as_deref(), Some("-56.00"));
    assert_eq!(entry.forecast_month_end.as_deref(), Some("-40.00"));
    assert_eq!(entry.budget_left.as_deref(), Some("106.00"));
    adds_up(&report);
}

#[test]
fn currencies_are_never_added() {
    let today = date(2026, 11, 22);
    let environments = resolved(
        "[environments.dev]\naccount = \"111111111111\"\nregions = [\"eu-west-1\"]\nstage = \"stage-1\"\nmonthly_budget_usd = 50\n\
         [environments.prod]\naccount = \"222222222222\"\nregions = [\"eu-west-1\"]\nstage = \"stage-1\"\nmonthly_budget_usd = 50\n",
    );
    let payers: Vec<PayerAnswers> = [("111111111111", "USD"), ("222222222222", "CNY")]
        .map(|(account, currency)| {
            let rows = each_day(today, |day| vec![row(day, &[account, "Lambda"], "9")]);
            let mut scope = scope(&[]);
            scope.account = account.to_owned();
            scope.forecasts[0].account = account.to_owned();
            let answer = Answer::Usage {
                currency: currency.to_owned(),
                rows,
            };
            payer(scope, today, vec![(Purpose::Daily, answered(answer))])
        })
        .into();
    let inputs: Vec<EnvironmentInput<'_>> = environments
        .iter()
        .enumerate()
        .map(|(i, r)| EnvironmentInput {
            resolved: r,
            account: r.config.as_ref().unwrap().account.value.clone(),
            payer: i,
            users: Users::NotTold,
        })
        .collect();
    let accounts = inputs.iter().map(|e| e.account.clone()).collect();
    let report = audit(&AuditInput {
        today,
        environments: &inputs,
        payers: &payers,
        accounts: &accounts,
        narrowed: false,
    });
    let [a, b, whole] = report.entries.as_slice() else {
        panic!("{}", report.entries.len());
    };
    assert_eq!(a.month_to_date, b.month_to_date);
    assert_eq!(b.budget_left, None);
    assert!(b.notes.iter().any(|n| n.contains("CNY")));
    assert_eq!(whole.month_to_date, None);
    assert!(whole.notes.iter().any(|n| n.contains("CNY and USD")));
    assert!(
        report
            .findings
            .iter()
            .all(|f| f.address.environment() == "dev")
    );
}

#[test]
fn environments_on_one_account_are_told_apart_by_their_tag_or_not_at_all() {
    let today = date(2026, 11, 22);
    let environments = resolved(&format!(
        "[environments.dev]\naccount = \"{ACCOUNT}\"\nregions = [\"eu-west-1\"]\nstage = \"stage-1\"\nshared_account = true\nmonthly_budget_usd = 20\n\
         [environments.prod]\naccount = \"{ACCOUNT}\"\nregions = [\"eu-west-1\"]\nstage = \"stage-1\"\nshared_account = true\nmonthly_budget_usd = 80\n"
    ));
    let mut scope = scope(&[]);
    scope.forecasts.clear();
    scope.shared = [ACCOUNT.to_owned()].into();
    let daily = || each_day(today, |day| vec![row(day, &[ACCOUNT, "Lambda"], "3")]);
    let by_tag = each_day(today, |day| {
        vec![
            row(day, &["dev", "Lambda"], "0.5"),
            row(day, &["prod", "Lambda"], "2"),
            row(day, &["", "Lambda"], "0.5"),
        ]
    });
    let shared = Purpose::SharedAccount(ACCOUNT.to_owned());
    let answers = vec![
        (Purpose::Daily, answered(usage(daily()))),
        (shared.clone(), answered(usage(by_tag))),
    ];
    let report = run(
        &environments,
        &[payer(scope.clone(), today, answers)],
        today,
    );
    let names: Vec<_> = report
        .entries
        .iter()
        .map(|e| (e.environment.as_deref(), e.month_to_date.as_deref()))
        .collect();
    assert_eq!(
        names,
        [
            (Some("dev"), Some("11.00")),
            (Some("prod"), Some("44.00")),
            (None, Some("66.00")),
        ]
    );
    adds_up(&report);
    // Nobody uses the tag.
    let untagged = each_day(today, |day| vec![row(day, &["", "Lambda"], "3")]);
    let answers = vec![
        (Purpose::Daily, answered(usage(daily()))),
        (shared, answered(usage(untagged))),
    ];
    let report = run(&environments, &[payer(scope, today, answers)], today);
    assert_eq!(report.entries.len(), 2);
    assert_eq!(report.entries[0].environment.as_deref(), Some("dev+prod"));
    assert_eq!(report.entries[0].budget.as_deref(), Some("100.00"));
    assert!(report.entries[0].notes[0].contains("no tag `environment`"));
    adds_up(&report);
}

#[test]
fn other_accounts_of_the_payer_are_part_of_the_whole() {
    let today = date(2026, 11, 22);
    let rows = each_day(today, |day| {
        vec![
            row(day, &[ACCOUNT, "Lambda"], "2.005"),
            row(day, &["999999999999", "Amazon S3"], "1.005"),
        ]
    });
    let report = run(
        &prod(""),
        &[payer(
            scope(&[]),
            today,
            vec![(Purpose::Daily, answered(usage(rows)))],
        )],
        today,
    );
    let whole = report.entries.last().unwrap();
    assert_eq!(whole.other_accounts.len(), 1);
    assert_eq!(whole.other_accounts[0].month_to_date, "22.11");
    assert_eq!(whole.month_to_date.as_deref(), Some("66.22"));
    adds_up(&report);
}

#[test]
fn cost_per_user() {
    let today = date(2026, 11, 22);
    let rows = || each_day(today, |day| vec![row(day, &[ACCOUNT, "Lambda"], "2")]);
    let per_user = |users: Users| {
        let payers = [payer(
            scope(&[]),
            today,
            vec![(Purpose::Daily, answered(usage(rows())))],
        )];
        let report = run_with(&prod(""), users, &payers, today);
        report.entries[0].per_user.clone()
    };
    assert_eq!(per_user(Users::Configured(1000)).as_deref(), Some("0.06"));
    assert_eq!(per_user(Users::Configured(0)), None);
    assert_eq!(per_user(Users::NotTold), None);
    assert_eq!(
        per_user(Users::Measured(dec("7"), "M".to_owned())).as_deref(),
        Some("8.5714")
    );
    assert_eq!(per_user(Users::Unknown("denied".to_owned())), None);
}

#[test]
fn two_hundred_services() {
    let today = date(2026, 11, 22);
    let names: Vec<String> = (0..200).map(|i| format!("Service {i:03}")).collect();
    let rows = each_day(today, |day| {
        names
            .iter()
            .enumerate()
            .map(|(i, name)| row(day, &[ACCOUNT, name], &format!("0.{:06}", i * 37 + 1)))
            .collect()
    });
    let report = run(
        &prod(""),
        &[payer(
            scope(&[]),
            today,
            vec![(Purpose::Daily, answered(usage(rows)))],
        )],
        today,
    );
    adds_up(&report);
    assert!(report.entries[0].by_service.len() > 100);
    assert!(report.entries[0].top_movers.len() <= 5);
}

#[test]
fn usage_types_by_their_names() {
    for (name, expected) in [
        ("EUW1-NatGateway-Hours", Some(Kind::Nat)),
        ("NatGateway-Bytes", Some(Kind::Nat)),
        ("DataTransfer-Out-Bytes", Some(Kind::Egress)),
        ("EUW1-USE1-AWS-Out-Bytes", Some(Kind::Egress)),
        ("EU-Out-OBytes", Some(Kind::Egress)),
        ("DataTransfer-Regional-Bytes", Some(Kind::Egress)),
        ("EUW1-TimedStorage-ByteHrs", Some(Kind::Storage)),
        ("EBS:VolumeUsage.gp3", Some(Kind::Storage)),
        ("RDS:GP3-Storage", Some(Kind::Storage)),
        ("Aurora:BackupUsage", Some(Kind::Storage)),
        ("Aurora:StorageIOUsage", None),
        ("DataTransfer-In-Bytes", None),
        ("BoxUsage:t4g.medium", None),
        ("Lambda-GB-Second-ARM", None),
        ("", None),
    ] {
        assert_eq!(kind(name), expected, "{name}");
    }
}

#[test]
fn commitments_by_their_record_types() {
    for name in ["SavingsPlanCoveredUsage", "Savings Plan Recurring Fee"] {
        assert!(is_savings_plan(name) && !is_reservation(name), "{name}");
    }
    for name in ["RIFee", "DiscountedUsage", "Recurring reservation fee"] {
        assert!(is_reservation(name) && !is_savings_plan(name), "{name}");
    }
    assert!(!is_reservation("Usage") && !is_savings_plan("Credit"));
}

#[test]
fn commitments_and_tag_keys_are_asked_for_only_with_a_reason() {
    let today = date(2026, 11, 22);
    let needs = |kinds: &[&str], tag_value: &str| -> Vec<Purpose> {
        let rows = kinds
            .iter()
            .map(|k| row(date(2026, 11, 1), &[ACCOUNT, k], "1"))
            .collect();
        let so_far = payer(
            scope(&["team"]),
            today,
            vec![
                (Purpose::RecordTypes, answered(usage(rows))),
                (
                    Purpose::Tag("team".to_owned()),
                    answered(usage(vec![row(
                        date(2026, 11, 1),
                        &[ACCOUNT, tag_value],
                        "1",
                    )])),
                ),
            ],
        )
        .steps;
        so_far
            .iter()
            .map(|(step, _)| step)
            .filter(|step| need(step, &so_far) != Need::Yes)
            .map(|step| step.purpose.clone())
            .collect()
    };
    use Purpose::*;
    assert_eq!(
        needs(&["Usage"], "core"),
        [
            TagStatus,
            SavingsPlansUtilization,
            ReservationUtilization,
            SavingsPlansCoverage,
            ReservationCoverage
        ]
    );
    assert_eq!(
        needs(&["SavingsPlanNegation"], ""),
        [ReservationUtilization, ReservationCoverage]
    );
}

#[test]
fn one_fee_does_not_make_the_estimate() {
    let mut days = vec![dec("2"); 20];
    days[18] = dec("500");
    assert_eq!(estimate(&days, 10).unwrap().mean, dec("20"));
    assert_eq!(estimate(&days[..2], 10), None);
}

#[test]
fn percentages_have_a_whole() {
    assert_eq!(percent(dec("1"), dec("0")), None);
    assert_eq!(percent(dec("1"), dec("-5")), None);
    assert_eq!(percent(dec("1"), dec("3")).unwrap().to_string(), "33.3");
    assert_eq!(cents(dec("-0.004")).to_string(), "0.00");
}

/// All sums of a report that have to be right to the cent.
fn adds_up(report: &CostReport) {
    let sum =
        |amounts: &mut dyn Iterator<Item = Option<Decimal>>| amounts.flatten().sum::<Decimal>();
    let Some((whole, entries)) = report.entries.split_last() else {
        panic!("no entries");
    };
    let others: Decimal = whole
        .other_accounts
        .iter()
        .map(|o| dec(&o.month_to_date))
        .sum();
    let parts = sum(&mut entries.iter().map(|e| number(&e.month_to_date)));
    assert_eq!(number(&whole.month_to_date), Some(parts + others));
    for entry in &report.entries {
        let check = |name: &str, total: &Option<String>, parts: Decimal| {
            assert_eq!(
                number(total),
                Some(parts),
                "{name} of {:?}",
                entry.environment
            );
        };
        let services = |pick: fn(&super::ServiceCost) -> &Option<String>| {
            sum(&mut entry.by_service.iter().map(|s| number(pick(s))))
        };
        check(
            "services",
            &entry.month_to_date,
            services(|s| &s.month_to_date),
        );
        check(
            "services of last month",
            &entry.previous_full_month,
            services(|s| &s.previous_full_month),
        );
        if entry.compared_days > 0 {
            check(
                "same days",
                &entry.month_to_date_same_days,
                services(|s| &s.month_to_date_same_days),
            );
            check(
                "previous same days",
                &entry.previous_same_days,
                services(|s| &s.previous_same_days),
            );
            check("change", &entry.change, services(|s| &s.change));
        }
        let month = entry.month.clone().unwrap();
        let this = |d: &&super::DayCost| d.date.to_string() >= month;
        let days: Decimal = entry
            .daily
            .iter()
            .filter(this)
            .map(|d| dec(&d.amount))
            .sum();
        check("days", &entry.month_to_date, days);
    }
}

fn amounts() -> impl Strategy<Value = Vec<Decimal>> {
    prop::collection::vec(
        (-2_000_000i64..9_000_000, 0u32..8).prop_map(|(n, s)| Decimal::new(n, s)),
        0..40,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn split_cents_add_up(parts in amounts()) {
        let rounded = split(&parts);
        prop_assert_eq!(rounded.len(), parts.len());
        prop_assert_eq!(rounded.iter().copied().sum::<Decimal>(), cents(parts.iter().copied().sum()));
        for (exact, shown) in parts.iter().zip(&rounded) {
            prop_assert!((exact - shown).abs() < dec("0.01"), "{} as {}", exact, shown);
        }
    }

    #[test]
    fn any_bill_adds_up(
        amounts in prop::collection::vec((0i32..62, 0usize..5, 0usize..3, -500_000i64..900_000), 0..200),
        offset in 0i32..800,
    ) {
        let today = date(2026, 1, 1).saturating_add(offset.days());
        let first = Days::of(today).previous;
        let accounts = [ACCOUNT, "222222222222", "333333333333"];
        let rows = amounts
            .iter()
            .map(|(day, service, account, n)| Row {
                start: first.saturating_add(day.days()),
                keys: vec![accounts[*account].to_owned(), format!("S{service}")],
                amount: Decimal::new(*n, 5),
                estimated: true,
            })
            .filter(|row| row.start <= today)
            .collect();
        let report = run(
            &prod("monthly_budget_usd = 50"),
            &[payer(scope(&[]), today, vec![(Purpose::Daily, answered(usage(rows)))])],
            today,
        );
        adds_up(&report);
    }

    #[test]
    fn no_question_is_about_the_future_or_nothing(offset in 0i32..1500, tags in 0usize..6, environments in 0usize..9) {
        let today = date(2025, 1, 1).saturating_add(offset.days());
        let keys: Vec<String> = (0..tags).map(|i| format!("k{i}")).collect();
        let scope = PayerScope {
            tags: keys,
            forecasts: vec![ForecastScope::default(); environments],
            ..PayerScope::default()
        };
        for step in steps(&scope, &Days::of(today)) {
            match step.question {
                Question::Usage { start, end, .. } => {
                    prop_assert!(start < end && end == today.saturating_add(1.day()));
                    prop_assert!(start.day() == 1);
                }
                Question::Forecast { start, end, .. } => {
                    prop_assert!(start == today && start < end && end.day() == 1);
                }
                Question::Anomalies { start, end } => prop_assert!(start <= end && end == today),
                Question::SavingsPlansUtilization { start, end }
                | Question::SavingsPlansCoverage { start, end }
                | Question::ReservationUtilization { start, end }
                | Question::ReservationCoverage { start, end } => {
                    prop_assert!(start < end && end < today);
                }
                Question::CostAllocationTags => {}
            }
        }
    }
}

/// Entries for the snapshots of what people see.
pub(crate) fn sample() -> Vec<CostEntry> {
    let today = date(2026, 11, 22);
    let rows = each_day(today, |day| {
        let weekend = matches!(
            day.weekday(),
            jiff::civil::Weekday::Saturday | jiff::civil::Weekday::Sunday
        );
        let late = day >= date(2026, 11, 12);
        vec![
            row(day, &[ACCOUNT, "Amazon Relational Database Service"], "1.1"),
            row(
                day,
                &[ACCOUNT, "AWS Lambda"],
                if weekend { "0.3" } else { "0.9" },
            ),
            row(
                day,
                &[ACCOUNT, "EC2 - Other"],
                if late { "1.9" } else { "0.4" },
            ),
            row(day, &[ACCOUNT, "<script>|`x`"], "0.01"),
        ]
    });
    let month = date(2026, 11, 1);
    let answers = vec![
        (Purpose::Daily, answered(usage(rows))),
        (Purpose::Forecast(ACCOUNT.to_owned()), forecast("24.5")),
        (
            Purpose::Tag("team".to_owned()),
            answered(usage(vec![
                row(month, &[ACCOUNT, "core"], "48"),
                row(month, &[ACCOUNT, ""], "12.71"),
            ])),
        ),
    ];
    run_with(
        &prod("monthly_budget_usd = 75\nusers = 900"),
        Users::Configured(900),
        &[payer(scope(&["team"]), today, answers)],
        today,
    )
    .entries
}
