//! Alarms and metrics over the wire, which is CBOR.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::super::{metrics, objects, observe::observe};
use super::*;
use crate::cloud::{Call, SeriesQuery, TimeSpan, Want};
use crate::inventory::{AlarmDefinition, EnvironmentInventory, Observed};
use crate::model::Control;
use crate::model::object::{
    AlarmMetric, CompositeAlarm, MetricAlarm, MetricId, MetricQuery, Object, ObjectKey, ObjectKind,
    QueryKind,
};

/// JSON as CBOR; a text such as `@1700000000` is a time. Source: RFC 8949, section 3.
fn cbor(value: &Value, out: &mut Vec<u8>) {
    fn head(kind: u8, n: u64, out: &mut Vec<u8>) {
        out.push(kind << 5 | 27);
        out.extend(n.to_be_bytes());
    }
    match value {
        Value::Null => out.push(0xf6),
        Value::Bool(b) => out.push(if *b { 0xf5 } else { 0xf4 }),
        Value::Number(n) => match n.as_u64() {
            Some(n) => head(0, n, out),
            None => {
                out.push(0xfb);
                out.extend(n.as_f64().unwrap().to_be_bytes());
            }
        },
        Value::String(text) => match text.strip_prefix('@') {
            Some(time) => {
                out.push(0xc1);
                head(0, time.parse().unwrap(), out);
            }
            None => {
                head(3, text.len() as u64, out);
                out.extend(text.as_bytes());
            }
        },
        Value::Array(items) => {
            head(4, items.len() as u64, out);
            items.iter().for_each(|item| cbor(item, out));
        }
        Value::Object(map) => {
            head(5, map.len() as u64, out);
            for (key, value) in map {
                cbor(&json!(key), out);
                cbor(value, out);
            }
        }
    }
}

fn said(status: u16, value: &Value) -> Answer {
    let mut body = Vec::new();
    cbor(value, &mut body);
    let protocol = ("smithy-protocol", "rpc-v2-cbor".to_owned());
    (status, vec![protocol], body)
}

fn cbor_error(status: u16, code: &str) -> Answer {
    let message = format!("about {code}");
    said(status, &json!({ "__type": code, "message": message }))
}

fn arn(name: &str) -> String {
    format!("arn:aws:cloudwatch:eu-west-1:{ACCOUNT}:alarm:{name}")
}

fn page(request: &Request) -> Value {
    if !request.body.contains("second") {
        return json!({
            "NextToken": "second",
            "MetricAlarms": [{
                "AlarmName": "shop-dev-errors", "AlarmArn": arn("shop-dev-errors"),
                "ActionsEnabled": true, "OKActions": [], "AlarmActions": ["arn:aws:sns:eu-west-1:123456789012:pager"],
                "StateValue": "INSUFFICIENT_DATA", "StateReason": "no data",
                "StateUpdatedTimestamp": "@1763000100", "StateTransitionedTimestamp": "@1763000000",
                "MetricName": "Errors", "Namespace": "Shop", "Statistic": "Sum", "Period": 60,
                "Dimensions": [{"Name": "Stage", "Value": "dev"}],
                "EvaluationPeriods": 3, "Threshold": 0.1, "ComparisonOperator": "GreaterThanThreshold",
                "Unit": "Count", "SomethingNew": {"that": ["this", "version", 1.5, true]}
            }],
        });
    }
    json!({
        "MetricAlarms": [
            {
                "AlarmName": "rate", "AlarmArn": arn("rate"), "StateValue": "OK",
                "EvaluationPeriods": 5, "DatapointsToAlarm": 3, "Threshold": 1e-30,
                "ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "notBreaching",
                "EvaluationWindow": {"WallClockWindow": {"Timezone": "Europe/Vienna"}},
                "WarmUpConfiguration": {"WarmUpPeriodDurationInMinutes": 30},
                "Metrics": [
                    {"Id": "rate", "Expression": "100*f/t", "ReturnData": true, "Label": "r"},
                    {"Id": "f", "ReturnData": false, "AccountId": "999999999999", "MetricStat": {
                        "Metric": {"Namespace": "Shop", "MetricName": "Failed"}, "Period": 60, "Stat": "Sum"}},
                    {"Id": "t", "ReturnData": false, "MetricStat": {
                        "Metric": {"Namespace": "Shop", "MetricName": "Total"}, "Period": 60, "Stat": "Sum"}}
                ]
            },
            {
                "AlarmName": "band", "AlarmArn": arn("band"), "StateValue": "OK",
                "EvaluationPeriods": 2, "ThresholdMetricId": "ad1",
                "ComparisonOperator": "LessThanLowerOrGreaterThanUpperThreshold",
                "EvaluationWindow": {"SlidingWindow": {}},
                "Metrics": [
                    {"Id": "m1", "ReturnData": true, "MetricStat": {
                        "Metric": {"Namespace": "Shop", "MetricName": "Total"}, "Period": 300, "Stat": "p99"}},
                    {"Id": "ad1", "Expression": "ANOMALY_DETECTION_BAND(m1, 2)", "ReturnData": true}
                ]
            },
            {
                "AlarmName": "promql", "AlarmArn": arn("promql"), "StateValue": "OK",
                "EvaluationCriteria": {"PromQLCriteria": {"Query": "up == 0"}}, "EvaluationInterval": 60
            }
        ],
        "CompositeAlarms": [{
            "AlarmName": "both", "AlarmArn": arn("both"), "StateValue": "ALARM",
            "AlarmRule": "ALARM(\"rate\") AND NOT ALARM(arn:aws:cloudwatch:eu-west-1:123456789012:alarm:band)",
            "ActionsSuppressor": "deploying", "ActionsSuppressorWaitPeriod": 60, "ActionsSuppressorExtensionPeriod": 60
        }],
        "LogAlarms": [{"AlarmName": "log", "AlarmArn": arn("log"), "StateValue": "OK", "Threshold": 1.0}]
    })
}

fn account(request: &Request) -> Answer {
    match (request.service.as_str(), request.action.as_str()) {
        ("monitoring", "DescribeAlarms") => said(200, &page(request)),
        ("monitoring", "ListTagsForResource") => said(
            200,
            &json!({"Tags": [{"Key": "opsctl:managed", "Value": "shop/dev"}]}),
        ),
        ("monitoring", "ListMetrics") if request.body.contains("Errors") => said(
            200,
            &json!({"Metrics": [{"Namespace": "Shop", "MetricName": "Errors",
                "Dimensions": [{"Name": "Stage", "Value": "prod"}]}]}),
        ),
        ("monitoring", _) => said(200, &json!({})),
        ("sns", _) => xml_error(403, "AuthorizationError"),
        ("s3", _) => answer(
            200,
            "<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>",
        ),
        ("rds" | "elasticache", action) => {
            let action = action.to_owned();
            answer(
                200,
                format!("<{action}Response><{action}Result/></{action}Response>"),
            )
        }
        _ => answer(200, "{}"),
    }
}

fn alarms_wanted() -> Want {
    Want {
        alarms: BTreeSet::from(["eu-west-1".to_owned()]),
        own_alarm_prefixes: BTreeSet::from(["shop-dev-".to_owned()]),
        ..Want::default()
    }
}

fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(future)
}

fn seen(replay: &Replay, want: &Want) -> EnvironmentInventory {
    block(observe(&replay.session(&["eu-west-1"]), want))
}

#[test]
fn all_kinds_come_in_one_sweep_and_nothing_of_them_is_lost() {
    let replay = Replay::new(account);
    let inventory = seen(&replay, &alarms_wanted());
    assert_eq!(inventory.gaps, []);
    assert_eq!(replay.count("DescribeAlarms"), 2);
    for request in replay
        .seen()
        .iter()
        .filter(|r| r.action == "DescribeAlarms")
    {
        for kind in ["MetricAlarm", "CompositeAlarm", "LogAlarm"] {
            assert!(request.body.contains(kind), "{kind}");
        }
    }
    let alarms = inventory.alarms["eu-west-1"].known().unwrap();
    let names: Vec<_> = alarms.iter().map(|a| a.definition.name()).collect();
    assert_eq!(
        names,
        ["band", "both", "log", "promql", "rate", "shop-dev-errors"]
    );
    let of = |name: &str| alarms.iter().find(|a| a.definition.name() == name).unwrap();
    let metric = |name: &str| match &of(name).definition {
        AlarmDefinition::Metric(alarm) => alarm.clone(),
        other => panic!("{other:?}"),
    };
    let errors = metric("shop-dev-errors");
    assert_eq!(errors.threshold, Some(Decimal::new(1, 1)));
    assert_eq!(
        (errors.evaluation_periods, errors.datapoints_to_alarm),
        (3, 3)
    );
    assert_eq!(errors.treat_missing_data, "missing");
    assert_eq!(errors.extra.get("unit").map(String::as_str), Some("Count"));
    let fact = of("shop-dev-errors");
    assert_eq!(fact.state_since.map(|t| t.as_second()), Some(1_763_000_000));
    assert!(fact.tags.known().unwrap().contains_key("opsctl:managed"));
    // Only names of ours are asked for their tags.
    assert_eq!(replay.count("ListTagsForResource"), 1);
    assert!(of("rate").tags.is_unknown());
    let rate = metric("rate");
    assert_eq!(rate.threshold, None, "no decimal has so many places");
    let extra: Vec<(&str, &str)> = rate.extra.iter().map(|(k, v)| (&**k, &**v)).collect();
    assert_eq!(
        extra,
        [
            ("evaluation_window", "wall clock, Europe/Vienna"),
            ("metrics.f.account_id", "999999999999"),
            ("threshold", "0.000000000000000000000000000001"),
            ("warm_up_configuration", "30 min"),
        ]
    );
    let AlarmMetric::Math(queries) = &rate.metric else {
        panic!()
    };
    let ids: Vec<_> = queries.iter().map(|q| (&*q.id, q.return_data)).collect();
    assert_eq!(ids, [("f", false), ("rate", true), ("t", false)]);
    let band = metric("band");
    assert_eq!(band.threshold_metric_id.as_deref(), Some("ad1"));
    assert!(band.extra.is_empty(), "{:?}", band.extra);
    assert!(matches!(
        of("promql").definition,
        AlarmDefinition::Other { .. }
    ));
    assert!(matches!(
        of("log").definition,
        AlarmDefinition::Other { .. }
    ));
    let AlarmDefinition::Composite(both) = &of("both").definition else {
        panic!()
    };
    assert_eq!(both.children.iter().collect::<Vec<_>>(), ["band", "rate"]);
    assert_eq!(both.extra.len(), 3);
}

#[test]
fn one_sweep_serves_tags_and_alarms() {
    let replay = Replay::new(account);
    let want = Want {
        tags: true,
        ..alarms_wanted()
    };
    let inventory = seen(&replay, &want);
    assert_eq!(replay.count("DescribeAlarms"), 2);
    let listed = inventory.resources.iter();
    let listed = listed.filter(|r| r.kind.as_str() == "cloudwatch-alarm");
    assert_eq!(listed.count(), 6);
    assert_eq!(inventory.alarms["eu-west-1"].known().unwrap().len(), 6);
}

#[test]
fn metrics_and_topics_of_alarms_are_looked_at_where_asked_for() {
    let replay = Replay::new(account);
    let want = Want {
        alarm_metrics: true,
        alarm_topics: true,
        ..alarms_wanted()
    };
    let inventory = seen(&replay, &want);
    // Errors and Total; Failed is another account's.
    assert_eq!(replay.count("ListMetrics"), 2);
    let counts: Vec<_> = inventory
        .metrics
        .iter()
        .map(|(key, found)| (&*key.metric, found.known().map(BTreeSet::len)))
        .collect();
    assert_eq!(counts, [("Errors", Some(1)), ("Total", Some(0))]);
    let topic = "arn:aws:sns:eu-west-1:123456789012:pager";
    assert!(inventory.topics[topic].is_unknown());
    let gap = inventory.gaps.first().unwrap();
    assert_eq!(
        (gap.control, gap.resource.as_deref()),
        (Control::Alarms, Some("pager"))
    );
}

#[test]
fn what_is_refused_is_unknown_and_what_is_throttled_is_repeated() {
    let denied = Replay::new(|request| match request.action.as_str() {
        "DescribeAlarms" => cbor_error(403, "AccessDenied"),
        _ => account(request),
    });
    let inventory = seen(&denied, &alarms_wanted());
    assert!(inventory.alarms["eu-west-1"].is_unknown());
    let gap = inventory.gaps.first().unwrap();
    assert_eq!(gap.control, Control::Alarms);
    assert_eq!(gap.operation, "cloudwatch:DescribeAlarms");

    let tries = AtomicU32::new(0);
    let throttled = Replay::new(move |request| match request.action.as_str() {
        "DescribeAlarms" if tries.fetch_add(1, Ordering::SeqCst) == 1 => {
            cbor_error(400, "Throttling")
        }
        _ => account(request),
    });
    let inventory = seen(&throttled, &alarms_wanted());
    assert_eq!(throttled.count("DescribeAlarms"), 3);
    assert_eq!(inventory.alarms["eu-west-1"].known().unwrap().len(), 6);
}

fn query(metric: &str) -> SeriesQuery {
    SeriesQuery {
        metric: MetricId {
            namespace: "Shop".to_owned(),
            metric: metric.to_owned(),
            dimensions: BTreeMap::new(),
        },
        statistic: "Sum".to_owned(),
        period: 60,
    }
}

#[test]
fn points_come_in_pages_and_each_metric_has_its_own_outcome() {
    let replay = Replay::new(|request| {
        let first = json!({
            "NextToken": "more",
            "MetricDataResults": [
                {"Id": "q0", "StatusCode": "PartialData", "Timestamps": ["@1763000100", "@1763000040"], "Values": [2.0, 1.0]},
                {"Id": "q1", "StatusCode": "Forbidden", "Messages": [{"Code": "Forbidden", "Value": "not yours"}]}
            ]
        });
        let second = json!({
            "MetricDataResults": [
                {"Id": "q0", "StatusCode": "Complete", "Timestamps": ["@1763000160", "@1762000000"], "Values": [3.5, 9.0]},
                {"Id": "q2", "StatusCode": "Complete", "Timestamps": [], "Values": []}
            ]
        });
        let more = request.body.contains("more");
        said(200, if more { &second } else { &first })
    });
    let span = TimeSpan {
        from: Timestamp::from_second(1_763_000_000).unwrap(),
        to: Timestamp::from_second(1_763_003_600).unwrap(),
    };
    let session = replay.session(&["eu-west-1"]);
    let found = block(async {
        let region = session.region("eu-west-1").await;
        metrics::data(&region, &[query("a"), query("b"), query("c")], &span).await
    });
    let points = found[0].as_ref().unwrap().iter();
    let points: Vec<_> = points
        .map(|(t, v)| (t.as_second() - 1_763_000_000, *v))
        .collect();
    assert_eq!(points, [(40, 1.0), (100, 2.0), (160, 3.5)]);
    let error = found[1].as_ref().unwrap_err();
    assert_eq!((&*error.code, &*error.message), ("Forbidden", "not yours"));
    assert_eq!(found[2], Ok(Vec::new()));
    // Two pages of three metrics, at 0.01 USD for a thousand.
    assert_eq!(session.shared.meter.snapshot().cost_usd, "0.0001");
}

#[test]
fn a_call_asks_for_no_more_points_than_one_answer_holds() {
    let replay = Replay::new(|_| said(200, &json!({"MetricDataResults": []})));
    let fortnight = TimeSpan {
        from: Timestamp::from_second(1_763_000_040).unwrap(),
        to: Timestamp::from_second(1_763_000_040 + 14 * 86_400).unwrap(),
    };
    // Five times 20,160 points are 100,800.
    let queries: Vec<_> = (0..11).map(|i| query(&format!("m{i}"))).collect();
    block(async {
        let region = replay.session(&["eu-west-1"]).region("eu-west-1").await;
        metrics::data(&region, &queries, &fortnight).await
    });
    assert_eq!(replay.count("GetMetricData"), 3);
}

fn rich() -> MetricAlarm {
    let metric = |name: &str| QueryKind::Metric {
        metric: query(name).metric,
        statistic: "p99.9".to_owned(),
        period: 300,
    };
    MetricAlarm {
        region: "eu-west-1".to_owned(),
        name: "shop-dev-rate".to_owned(),
        description: "what it is for".to_owned(),
        metric: AlarmMetric::Math(vec![
            MetricQuery {
                id: "e1".to_owned(),
                return_data: true,
                label: Some("rate".to_owned()),
                kind: QueryKind::Expression {
                    expression: "m1 / 2".to_owned(),
                    period: Some(300),
                },
            },
            MetricQuery {
                id: "m1".to_owned(),
                return_data: false,
                label: None,
                kind: metric("a"),
            },
        ]),
        comparison: "GreaterThanOrEqualToThreshold".to_owned(),
        threshold: Some("0.3".parse().unwrap()),
        threshold_metric_id: None,
        evaluation_periods: 5,
        datapoints_to_alarm: 3,
        treat_missing_data: "notBreaching".to_owned(),
        low_samples: Some("ignore".to_owned()),
        actions_enabled: true,
        alarm_actions: BTreeSet::from(["arn:aws:sns:eu-west-1:1:a".to_owned()]),
        ok_actions: BTreeSet::from(["arn:aws:sns:eu-west-1:1:b".to_owned()]),
        insufficient_data_actions: BTreeSet::new(),
        extra: BTreeMap::new(),
    }
}

/// The quota of alarms is not throttling: said once, with what to do.
#[test]
fn the_quota_of_alarms_is_no_reason_to_try_again() {
    let replay = Replay::new(|_| cbor_error(400, "LimitExceeded"));
    let session = replay.session(&["eu-west-1"]);
    let error = block(async {
        let region = session.region("eu-west-1").await;
        let call = Call::PutMetricAlarm {
            alarm: rich(),
            tags: Default::default(),
        };
        objects::execute(&session, &region, &call).await
    });
    let error = error.unwrap_err();
    assert_eq!(replay.count("PutMetricAlarm"), 1);
    assert!(error.message.contains("Service Quotas"), "{error}");
    assert!(!error.is_transient());
}

#[test]
fn an_alarm_that_is_gone_counts_as_deleted_and_as_absent() {
    let replay = Replay::new(|request| match request.action.as_str() {
        "DeleteAlarms" => cbor_error(404, "ResourceNotFound"),
        _ => said(200, &json!({})),
    });
    let session = replay.session(&["eu-west-1"]);
    let key = ObjectKey {
        kind: ObjectKind::MetricAlarm,
        region: "eu-west-1".to_owned(),
        name: "gone".to_owned(),
    };
    block(async {
        let region = session.region("eu-west-1").await;
        let call = Call::DeleteAlarms {
            region: "eu-west-1".to_owned(),
            names: vec!["gone".to_owned()],
        };
        assert_eq!(objects::execute(&session, &region, &call).await, Ok(()));
        assert_eq!(objects::read(&session, &key).await, Observed::Absent);
    });
}

/// A name of ours that another kind of alarm bears is read as what it is.
#[test]
fn one_alarm_is_read_whatever_its_kind() {
    let replay = Replay::new(|request| match request.action.as_str() {
        "DescribeAlarms" => {
            let mut all = page(&Request {
                body: "second".to_owned(),
                ..request.clone()
            });
            all.as_object_mut().unwrap().remove("NextToken");
            said(200, &all)
        }
        _ => account(request),
    });
    let session = replay.session(&["eu-west-1"]);
    let read = |name: &str| {
        let key = ObjectKey {
            kind: ObjectKind::MetricAlarm,
            region: "eu-west-1".to_owned(),
            name: name.to_owned(),
        };
        block(objects::read(&session, &key))
    };
    let Observed::Known(found) = read("both") else {
        panic!()
    };
    assert!(matches!(
        found.object,
        Object::CompositeAlarm(CompositeAlarm { .. })
    ));
    assert!(read("promql").is_unknown());
    assert!(read("log").is_unknown());
}
