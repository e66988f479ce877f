use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;
use jiff::civil::{Date, date};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::super::costexplorer::ask;
use super::*;
use crate::cloud::CloudError;
use crate::cost::question::{Answer as Told, Answered, Filter, Granularity, Group, Question};

fn usage(group_by: &[Group], filter: Filter) -> Question {
    Question::Usage {
        start: date(2026, 10, 1),
        end: date(2026, 11, 23),
        granularity: Granularity::Monthly,
        group_by: group_by.to_vec(),
        filter,
    }
}

fn bodies(replay: &Replay) -> Vec<Value> {
    let seen = replay.seen();
    seen.iter()
        .map(|r| serde_json::from_str(&r.body).unwrap())
        .collect()
}

async fn asked(replay: &Replay, question: &Question) -> Result<Answered, CloudError> {
    ask(&replay.session(&["eu-west-1"]), question).await
}

/// One answer to everything.
fn always(body: Value) -> Replay {
    Replay::new(move |_| answer(200, body.to_string()))
}

fn rows(answered: &Answered) -> Vec<(Date, Vec<String>, String, bool)> {
    match &answered.answer {
        Told::Usage { rows, .. } => rows
            .iter()
            .map(|r| (r.start, r.keys.clone(), r.amount.to_string(), r.estimated))
            .collect(),
        other => panic!("{other:?}"),
    }
}

fn group(keys: &[&str], amount: &str) -> Value {
    json!({"Keys": keys, "Metrics": {"UnblendedCost": {"Amount": amount, "Unit": "USD"}}})
}

fn month(start: &str, end: &str, estimated: bool, groups: Value) -> Value {
    json!({"TimePeriod": {"Start": start, "End": end}, "Total": {}, "Groups": groups, "Estimated": estimated})
}

#[tokio::test]
async fn groups_are_read_from_all_pages_with_nothing_changed_but_the_token() {
    let replay = Replay::new(|request| {
        let page = if request.body.contains("second") {
            json!({"ResultsByTime": [
                month("2026-11-01", "2026-11-23", true, json!([group(&["team$a$b"], "-0.5"), group(&["team$"], "1E-7")]))]})
        } else {
            json!({"NextPageToken": "second", "ResultsByTime": [
                month("2026-10-01", "2026-11-01", false, json!([group(&["team$core"], "12.3400000000")])),
                month("2026-11-01", "2026-11-23", true, json!([group(&["team$core"], "0.0000000001")]))]})
        };
        answer(200, page.to_string())
    });
    let question = usage(&[Group::Tag("team".to_owned())], Filter::default());
    let answered = asked(&replay, &question).await.unwrap();
    let (october, november) = (date(2026, 10, 1), date(2026, 11, 1));
    let row = |start, key: &str, amount: &str, estimated| {
        (start, vec![key.to_owned()], amount.to_owned(), estimated)
    };
    assert_eq!(
        rows(&answered),
        [
            row(october, "core", "12.34", false),
            row(november, "", "0.0000001", true),
            row(november, "a$b", "-0.5", true),
            row(november, "core", "0.0000000001", true),
        ]
    );
    assert_eq!(answered.pages, 2);
    let mut sent = bodies(&replay);
    assert_eq!(sent[1]["NextPageToken"], "second");
    sent[1].as_object_mut().unwrap().remove("NextPageToken");
    assert_eq!(sent[0], sent[1]);
    assert_eq!(
        sent[0],
        json!({
            "TimePeriod": {"Start": "2026-10-01", "End": "2026-11-23"},
            "Granularity": "MONTHLY",
            "Metrics": ["UnblendedCost"],
            "GroupBy": [{"Type": "TAG", "Key": "team"}],
        })
    );
    for request in replay.seen() {
        assert_eq!(
            (request.service.as_str(), request.region.as_str()),
            ("ce", "us-east-1")
        );
    }
}

#[tokio::test]
async fn without_groups_the_total_counts() {
    let replay = always(json!({"ResultsByTime": [{
        "TimePeriod": {"Start": "2026-11-01", "End": "2026-11-23"}, "Groups": [], "Estimated": true,
        "Total": {"UnblendedCost": {"Amount": "1173.79", "Unit": "USD"}}}]}));
    let session = replay.session(&["eu-west-1"]);
    let answered = ask(&session, &usage(&[], Filter::default())).await.unwrap();
    assert_eq!(
        rows(&answered),
        [(date(2026, 11, 1), vec![], "1173.79".to_owned(), true)]
    );
    let used = session.shared.meter.snapshot();
    assert_eq!(used.cost_usd, "0.01");
    assert_eq!(used.by_operation["ce:GetCostAndUsage"], 1);
}

#[tokio::test]
async fn a_filter_has_one_root() {
    let accounts: BTreeSet<String> = ["1".repeat(12), "2".repeat(12)].into();
    let kinds: BTreeSet<String> = ["Credit".to_owned(), "Refund".to_owned()].into();
    let members = json!({"Dimensions": {"Key": "LINKED_ACCOUNT", "Values": accounts}});
    let others = json!({"Not": {"Dimensions": {"Key": "RECORD_TYPE", "Values": kinds}}});
    let cases = [
        (accounts.clone(), BTreeSet::new(), members.clone()),
        (BTreeSet::new(), kinds.clone(), others.clone()),
        (accounts, kinds, json!({"And": [members, others]})),
        (BTreeSet::new(), BTreeSet::new(), Value::Null),
    ];
    for (accounts, without_record_types, expected) in cases {
        let replay = always(json!({"ResultsByTime": []}));
        let filter = Filter {
            accounts,
            without_record_types,
        };
        asked(&replay, &usage(&[], filter)).await.unwrap();
        assert_eq!(bodies(&replay)[0]["Filter"], expected);
    }
}

#[tokio::test]
async fn a_forecast_has_the_bounds_of_its_month() {
    let replay = always(json!({
        "Total": {"Amount": "489.97", "Unit": "USD"},
        "ForecastResultsByTime": [{
            "TimePeriod": {"Start": "2026-11-22", "End": "2026-12-01"}, "MeanValue": "489.97",
            "PredictionIntervalLowerBound": "450.1", "PredictionIntervalUpperBound": "530.25"}]}));
    let question = Question::Forecast {
        start: date(2026, 11, 22),
        end: date(2026, 12, 1),
        interval: 80,
        filter: Filter::default(),
    };
    let answered = asked(&replay, &question).await.unwrap();
    let decimal = |text: &str| Decimal::from_str_exact(text).unwrap();
    assert_eq!(
        answered.answer,
        Told::Forecast {
            currency: "USD".to_owned(),
            mean: decimal("489.97"),
            low: decimal("450.1"),
            high: decimal("530.25"),
        }
    );
    assert_eq!(
        bodies(&replay)[0],
        json!({
            "TimePeriod": {"Start": "2026-11-22", "End": "2026-12-01"},
            "Metric": "UNBLENDED_COST", "Granularity": "MONTHLY", "PredictionIntervalLevel": 80,
        })
    );
}

#[tokio::test]
async fn no_data_is_an_answer() {
    let replay = Replay::new(|_| json_error(400, "DataUnavailableException"));
    let (start, end) = (date(2026, 10, 1), date(2026, 11, 1));
    for question in [
        usage(&[], Filter::default()),
        Question::SavingsPlansUtilization { start, end },
    ] {
        let answered = asked(&replay, &question).await.unwrap();
        let Told::NoData { reason } = &answered.answer else {
            panic!("{answered:?}");
        };
        assert!(reason.contains("DataUnavailable"), "{reason}");
        assert_eq!(answered.pages, 0);
    }
}

#[tokio::test]
async fn commitments_are_percentages_or_none() {
    let (start, end) = (date(2026, 10, 1), date(2026, 11, 1));
    let percent = |text: &str| Told::Percent {
        percent: Decimal::from_str_exact(text).unwrap(),
    };
    let covered = |covered: &str, total: &str| json!({"Coverage": {"SpendCoveredBySavingsPlans": covered, "TotalCost": total}});
    let cases = [
        (
            Question::SavingsPlansUtilization { start, end },
            json!({"Total": {"Utilization": {"TotalCommitment": "720", "UtilizationPercentage": "97.40"}}}),
            Some(percent("97.4")),
        ),
        (
            Question::SavingsPlansUtilization { start, end },
            json!({"Total": {"Utilization": {"TotalCommitment": "0", "UtilizationPercentage": "0"}}}),
            None,
        ),
        (
            Question::SavingsPlansCoverage { start, end },
            json!({"SavingsPlansCoverages": [covered("30", "90"), covered("30", "10")]}),
            Some(percent("60")),
        ),
        (
            Question::SavingsPlansCoverage { start, end },
            json!({"SavingsPlansCoverages": []}),
            None,
        ),
        (
            Question::ReservationUtilization { start, end },
            json!({"UtilizationsByTime": [], "Total": {"PurchasedHours": "744", "UtilizationPercentage": "88"}}),
            Some(percent("88")),
        ),
        (
            Question::ReservationUtilization { start, end },
            json!({"UtilizationsByTime": [], "Total": {"PurchasedHours": "0", "UtilizationPercentage": "0"}}),
            None,
        ),
        (
            Question::ReservationCoverage { start, end },
            json!({"CoveragesByTime": [], "Total": {"CoverageHours": {"TotalRunningHours": "100", "CoverageHoursPercentage": "25"}}}),
            Some(percent("25")),
        ),
    ];
    for (question, body, expected) in cases {
        let answered = asked(&always(body), &question).await.unwrap();
        match expected {
            Some(expected) => assert_eq!(answered.answer, expected, "{question:?}"),
            None => assert!(
                matches!(answered.answer, Told::NoData { .. }),
                "{question:?}: {answered:?}"
            ),
        }
    }
}

/// Commitments are told of days before today only.
#[tokio::test]
async fn the_end_of_commitments_is_before_today() {
    let replay = always(json!({"SavingsPlansCoverages": []}));
    let today = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let start = today.yesterday().unwrap().yesterday().unwrap();
    let end = today.tomorrow().unwrap();
    asked(&replay, &Question::SavingsPlansCoverage { start, end })
        .await
        .unwrap();
    let sent: Date = bodies(&replay)[0]["TimePeriod"]["End"]
        .as_str()
        .and_then(|t| t.parse().ok())
        .unwrap();
    assert!(sent < today, "{sent}");
    let answered = asked(
        &replay,
        &Question::ReservationCoverage { start: today, end },
    )
    .await
    .unwrap();
    assert!(matches!(answered.answer, Told::NoData { .. }));
    assert_eq!(replay.seen().len(), 1);
}

#[tokio::test]
async fn anomalies_and_tag_keys_are_read_from_all_pages() {
    let anomaly = |id: &str, end: Value| {
        json!({"AnomalyId": id, "AnomalyStartDate": "2026-11-13T00:00:00Z", "AnomalyEndDate": end,
            "DimensionValue": "Amazon CloudWatch", "MonitorArn": "arn:aws:ce::1:anomalymonitor/x",
            "AnomalyScore": {"MaxScore": 0.5, "CurrentScore": 0.5},
            "Impact": {"MaxImpact": 4.0, "TotalImpact": 27.1},
            "RootCauses": [{"Region": "eu-west-1", "UsageType": "EU-DataProcessing-Bytes", "LinkedAccount": "123456789012"}]})
    };
    let (first, second) = (anomaly("a", Value::Null), anomaly("b", json!("2026-11-15")));
    let replay = Replay::new(move |request| {
        let body = match (request.action.as_str(), request.body.contains("next")) {
            ("GetAnomalies", false) => json!({"Anomalies": [first], "NextPageToken": "next"}),
            ("GetAnomalies", true) => json!({"Anomalies": [second]}),
            (_, false) => {
                json!({"NextToken": "next", "CostAllocationTags": [{"TagKey": "team", "Type": "UserDefined", "Status": "Active"}]})
            }
            _ => {
                json!({"CostAllocationTags": [{"TagKey": "env", "Type": "UserDefined", "Status": "Inactive"}]})
            }
        };
        answer(200, body.to_string())
    });
    let (start, end) = (date(2026, 11, 1), date(2026, 11, 22));
    let answered = asked(&replay, &Question::Anomalies { start, end })
        .await
        .unwrap();
    let Told::Anomalies { anomalies } = &answered.answer else {
        panic!("{answered:?}");
    };
    let told: Vec<_> = anomalies
        .iter()
        .map(|a| {
            (
                a.id.as_str(),
                a.end,
                a.impact.to_string(),
                a.service.as_deref(),
            )
        })
        .collect();
    let service = Some("Amazon CloudWatch");
    assert_eq!(
        told,
        [
            ("a", None, "27.1".to_owned(), service),
            ("b", Some(date(2026, 11, 15)), "27.1".to_owned(), service),
        ]
    );
    let answered = asked(&replay, &Question::CostAllocationTags).await.unwrap();
    let keys = [("env".to_owned(), false), ("team".to_owned(), true)];
    assert_eq!(
        answered.answer,
        Told::CostAllocationTags { keys: keys.into() }
    );
}

#[tokio::test]
async fn throttling_is_repeated_and_told() {
    let tries = AtomicUsize::new(0);
    let replay = Replay::new(move |_| {
        if tries.fetch_add(1, Ordering::Relaxed) == 0 {
            json_error(400, "LimitExceededException")
        } else {
            answer(200, r#"{"ResultsByTime":[]}"#)
        }
    });
    let session = replay.session(&["eu-west-1"]);
    let answered = ask(&session, &usage(&[], Filter::default())).await.unwrap();
    assert_eq!(answered.pages, 1);
    let used = session.shared.meter.snapshot();
    assert_eq!((used.requests, used.retries, used.throttled), (2, 1, 1));
    assert_eq!(used.cost_usd, "0.01", "what was refused is not billed");
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let refused = |code: &'static str, message: &'static str| {
        Replay::new(move |_| answer(400, json!({"__type": code, "message": message}).to_string()))
    };
    for (code, message, help) in [
        (
            "AccessDeniedException",
            "User not enabled for cost explorer access",
            "has never been opened",
        ),
        (
            "AccessDeniedException",
            "Linked account doesn't have access to cost explorer.",
            "[payer]",
        ),
        (
            "AccessDeniedException",
            "User: x is not authorized to perform: ce:GetCostAndUsage",
            "allow ce:GetCostAndUsage",
        ),
        ("BillExpirationException", "expired", "13 months"),
    ] {
        let question = usage(&[], Filter::default());
        let error = asked(&refused(code, message), &question).await.unwrap_err();
        assert_eq!(error.code, code);
        assert!(error.message.contains(help), "{error}");
    }
}

#[tokio::test]
async fn what_cannot_be_added_up_or_asked_is_an_error() {
    let two = json!({"ResultsByTime": [month("2026-11-01", "2026-11-23", true, json!([
        group(&["A"], "1"),
        {"Keys": ["B"], "Metrics": {"UnblendedCost": {"Amount": "1", "Unit": "CNY"}}},
    ]))]});
    let broken = json!({"ResultsByTime": [month("2026-11-01", "2026-11-23", true, json!([group(&["A"], "lots")]))]});
    for (body, code) in [(two, "TwoCurrencies"), (broken, "UnreadableAnswer")] {
        let question = usage(&[Group::Service], Filter::default());
        let error = asked(&always(body), &question).await.unwrap_err();
        assert_eq!(error.code, code);
    }
    let never = Replay::new(|_| panic!("nothing is to be asked"));
    let day = date(2026, 11, 1);
    let empty = Question::Usage {
        start: day,
        end: day,
        granularity: Granularity::Daily,
        group_by: Vec::new(),
        filter: Filter::default(),
    };
    assert_eq!(asked(&never, &empty).await.unwrap_err().code, "EmptyPeriod");
    let resources = usage(&[Group::Resource], Filter::default());
    assert_eq!(
        asked(&never, &resources).await.unwrap_err().code,
        "OnlyInExports"
    );
    let same = always(json!({"ResultsByTime": [], "NextPageToken": "again"}));
    let error = asked(&same, &usage(&[], Filter::default()))
        .await
        .unwrap_err();
    assert_eq!(error.code, "Pagination");
}
