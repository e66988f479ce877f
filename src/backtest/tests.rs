use std::collections::BTreeSet;

use super::*;
use crate::model::Address;
use crate::model::object::{MetricQuery, Object};

fn metric(name: &str) -> MetricId {
    MetricId {
        namespace: "Shop".to_owned(),
        metric: name.to_owned(),
        dimensions: BTreeMap::new(),
    }
}

fn alarm(metric: AlarmMetric, threshold: &str, (m, n): (u32, u32), missing: &str) -> MetricAlarm {
    MetricAlarm {
        region: "eu-west-1".to_owned(),
        name: "a".to_owned(),
        description: String::new(),
        metric,
        comparison: "GreaterThanThreshold".to_owned(),
        threshold: Some(threshold.parse().unwrap()),
        threshold_metric_id: None,
        evaluation_periods: n,
        datapoints_to_alarm: m,
        treat_missing_data: missing.to_owned(),
        low_samples: None,
        actions_enabled: true,
        alarm_actions: BTreeSet::from(["arn:aws:sns:eu-west-1:1:a".to_owned()]),
        ok_actions: BTreeSet::new(),
        insufficient_data_actions: BTreeSet::new(),
        extra: BTreeMap::new(),
    }
}

fn single(name: &str) -> AlarmMetric {
    AlarmMetric::Single {
        metric: metric(name),
        statistic: "Sum".to_owned(),
        period: 60,
    }
}

fn failure_rate() -> AlarmMetric {
    let of = |id: &str, name: &str| MetricQuery {
        id: id.to_owned(),
        return_data: false,
        label: None,
        kind: QueryKind::Metric {
            metric: metric(name),
            statistic: "Sum".to_owned(),
            period: 60,
        },
    };
    let rate = MetricQuery {
        id: "rate".to_owned(),
        return_data: true,
        label: None,
        kind: QueryKind::Expression {
            expression: "IF(total >= 100, 100 * FILL(failed, 0) / total, 0)".to_owned(),
            period: None,
        },
    };
    AlarmMetric::Math(vec![of("failed", "Failed"), rate, of("total", "Total")])
}

const START: i64 = 1_763_000_040;

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(START + 60 * minute).unwrap()
}

fn span(minutes: i64) -> TimeSpan {
    TimeSpan {
        from: at(0),
        to: at(minutes),
    }
}

/// A value for each minute; negative: missing.
fn series(values: &[f64]) -> Series {
    let minutes = (0..).zip(values);
    minutes
        .filter(|(_, v)| **v >= 0.0)
        .map(|(i, v)| (at(i), *v))
        .collect()
}

fn address() -> Address {
    Address::new("prod", "eu-west-1", "cloudwatch-alarm", "a", "alarms")
}

fn told(alarm: &MetricAlarm, series: &[Series], minutes: i64) -> Backtest {
    let run = run(alarm, series, &span(minutes)).unwrap();
    let object = Object::MetricAlarm(alarm.clone());
    report(&address(), &object, &run, &span(minutes))
}

#[test]
fn a_burst_fires_once_and_ends() {
    let mut values = vec![1.0; 600];
    values[300..310].fill(9.0);
    let alarm = alarm(single("Failed"), "5", (3, 5), "notBreaching");
    let run = run(&alarm, &[series(&values)], &span(600)).unwrap();
    let in_alarm: Vec<i64> = run
        .states
        .iter()
        .filter(|(_, s)| *s == AlarmState::Alarm)
        .map(|(t, _)| (t.as_second() - START) / 60)
        .collect();
    // Three points of the burst are complete at minute 303; with 3 of 5 the last two of good ones
    // end it at 313.
    assert_eq!(in_alarm, (303..=312).collect::<Vec<_>>());
    let told = told(&alarm, &[series(&values)], 600);
    assert_eq!(
        told.text,
        format!(
            "once, longest 10 min, last {} {}",
            at(303).strftime("%Y-%m-%d"),
            clock(303)
        )
    );
    assert_eq!(told.outcome, BacktestOutcome::Fires);
}

fn clock(minute: i64) -> String {
    at(minute).strftime("%H:%M").to_string()
}

#[test]
fn a_failure_rate_needs_traffic() {
    let alarm = alarm(failure_rate(), "0.5", (3, 5), "notBreaching");
    // 50 % failures of two requests at night, 1 % of a thousand at noon.
    let mut total = vec![2.0; 600];
    total[200..300].fill(1000.0);
    let mut failed = vec![1.0; 600];
    failed[200..300].fill(10.0);
    let found = told(&alarm, &[series(&failed), series(&total)], 600);
    assert_eq!((found.fired, found.longest_minutes), (1, 100));
    // No failures at all: the counter has no points, and that is good.
    let found = told(&alarm, &[Series::new(), series(&total)], 600);
    assert_eq!(found.outcome, BacktestOutcome::Never);
    assert!(found.text.contains("worst value, 0 ("), "{}", found.text);
}

#[test]
fn silence_is_what_the_alarm_makes_of_it() {
    let mut values = vec![10.0; 600];
    values[400..420].fill(-1.0);
    let mut deadman = alarm(single("Total"), "1", (3, 3), "breaching");
    deadman.comparison = "LessThanThreshold".to_owned();
    let found = told(&deadman, &[series(&values)], 600);
    // Real points of the evaluation range count before missing ones do.
    assert_eq!((found.fired, found.longest_minutes), (1, 16));
    let deadman = MetricAlarm {
        treat_missing_data: "notBreaching".to_owned(),
        ..deadman
    };
    assert_eq!(told(&deadman, &[series(&values)], 600).fired, 0);
    let found = told(&deadman, &[Series::new()], 600);
    assert_eq!(found.outcome, BacktestOutcome::NoData);
}

#[test]
fn constant_and_impossible_alarms_are_marked() {
    let noisy = alarm(single("Failed"), "5", (1, 1), "missing");
    let values: Vec<f64> = (0..600)
        .map(|i| if i % 3 == 0 { 9.0 } else { 1.0 })
        .collect();
    let found = told(&noisy, &[series(&values)], 600);
    assert_eq!(found.outcome, BacktestOutcome::Constant);
    assert!(found.text.contains("33 % of the time"), "{}", found.text);
    // A part of a composite disturbs nobody.
    let part = MetricAlarm {
        alarm_actions: BTreeSet::new(),
        ..noisy
    };
    let found = told(&part, &[series(&values)], 600);
    assert_eq!(found.outcome, BacktestOutcome::Fires);
    // One point in ten periods never makes 3 of 5.
    let sparse = alarm(single("Failed"), "5", (3, 5), "notBreaching");
    let values: Vec<f64> = (0..600)
        .map(|i| if i % 10 == 0 { 9.0 } else { -1.0 })
        .collect();
    let found = told(&sparse, &[series(&values)], 600);
    assert_eq!(found.outcome, BacktestOutcome::Never);
    assert!(found.text.contains("could not have"), "{}", found.text);
    // The threshold is out of reach.
    let high = alarm(single("Failed"), "100", (1, 1), "missing");
    let found = told(&high, &[series(&[3.0; 600])], 600);
    assert!(found.text.contains("worst value, 3"), "{}", found.text);
}

#[test]
fn what_cannot_be_backtested_says_so() {
    let mut band = alarm(single("Failed"), "1", (1, 1), "missing");
    band.threshold = None;
    band.threshold_metric_id = Some("ad1".to_owned());
    assert!(queries(&band).unwrap_err().contains("anomaly band"));
    let AlarmMetric::Math(mut lines) = failure_rate() else {
        panic!()
    };
    lines[1].kind = QueryKind::Expression {
        expression: "rate + 1".to_owned(),
        period: None,
    };
    let circle = alarm(AlarmMetric::Math(lines), "1", (1, 1), "missing");
    let series = [Series::new(), Series::new()];
    let error = run(&circle, &series, &span(60)).unwrap_err();
    assert!(error.contains("refers to itself"), "{error}");
}

#[test]
fn dynamodb_alarms_keep_their_state_when_data_is_missing() {
    let mut alarm = alarm(single("ThrottledRequests"), "5", (1, 1), "notBreaching");
    let AlarmMetric::Single { metric, .. } = &mut alarm.metric else {
        panic!()
    };
    metric.namespace = "AWS/DynamoDB".to_owned();
    let mut values = vec![-1.0; 60];
    values[20] = 9.0;
    let run = run(&alarm, &[series(&values)], &span(60)).unwrap();
    assert_eq!(run.states.last().map(|(_, s)| *s), Some(AlarmState::Alarm));
}

#[test]
fn a_composite_follows_its_children() {
    let mut fast = vec![1.0; 240];
    fast[100..160].fill(9.0);
    let mut slow = vec![1.0; 240];
    slow[130..200].fill(9.0);
    let child = alarm(single("Failed"), "5", (1, 1), "missing");
    let fast = run(&child, &[series(&fast)], &span(240)).unwrap();
    let slow = run(&child, &[series(&slow)], &span(240)).unwrap();
    let rule = r#"ALARM("fast") AND ALARM("slow")"#;
    let composite = CompositeAlarm {
        region: "eu-west-1".to_owned(),
        name: "both".to_owned(),
        description: String::new(),
        rule: rule.to_owned(),
        children: Rule::parse(rule).unwrap().children(),
        actions_enabled: true,
        alarm_actions: BTreeSet::new(),
        ok_actions: BTreeSet::new(),
        insufficient_data_actions: BTreeSet::new(),
        extra: BTreeMap::new(),
    };
    let mut children = BTreeMap::from([
        ("fast".to_owned(), Ok(&fast)),
        ("slow".to_owned(), Ok(&slow)),
    ]);
    let found = run_composite(&composite, &children).unwrap();
    let told = report(
        &address(),
        &Object::CompositeAlarm(composite.clone()),
        &found,
        &span(240),
    );
    assert_eq!((told.fired, told.longest_minutes), (1, 30));
    children.insert("slow".to_owned(), Err("no".to_owned()));
    assert!(run_composite(&composite, &children).is_err());
}

/// Of long periods a span has few: the first of them count too, once there are as many points as it
/// takes.
#[test]
fn an_incident_at_the_beginning_of_the_span_counts() {
    let states = |values: &[f64], datapoints, missing: &str| -> Vec<AlarmState> {
        let alarm = alarm(single("Failed"), "5", datapoints, missing);
        let span = span(values.len() as i64);
        let found = run(&alarm, &[series(values)], &span).unwrap();
        found.states.into_iter().map(|(_, state)| state).collect()
    };
    use AlarmState::{Alarm, Ok};
    assert_eq!(
        states(&[0.0, 9.0, 0.0, 0.0], (1, 1), "notBreaching"),
        [Ok, Alarm, Ok, Ok]
    );
    // What was before the span may have been enough: a state is not made up.
    assert_eq!(
        states(&[-1.0, -1.0, -1.0, 0.0, 0.0, 0.0], (3, 3), "breaching"),
        [Ok, Ok]
    );
}

/// The rate of failures in percent over windows of so many seconds, above 1.
fn burn(period: u32) -> MetricAlarm {
    let AlarmMetric::Math(mut lines) = failure_rate() else {
        panic!()
    };
    for line in &mut lines {
        if let QueryKind::Metric { period: p, .. } = &mut line.kind {
            *p = period;
        }
    }
    alarm(AlarmMetric::Math(lines), "1", (1, 1), "notBreaching")
}

#[test]
fn long_windows_slide() {
    // Points of five minutes: an outage of half an hour that no window of six hours begins with.
    // The minute after the start is a whole five of them.
    let five = |i: i64| at(1 + 5 * i);
    let all =
        |value: &dyn Fn(i64) -> f64| -> Series { (0..288).map(|i| (five(i), value(i))).collect() };
    let total = all(&|_| 1000.0);
    let failed = all(&|i| if (100..106).contains(&i) { 1000.0 } else { 0.0 });
    let span = TimeSpan {
        from: five(0),
        to: five(288),
    };
    let data = [failed, total];
    let long = burn(21_600);
    assert!(queries(&long).unwrap().iter().all(|q| q.period == 300));
    let long = run(&long, &data, &span).unwrap();
    let short = run(&burn(1_800), &data, &span).unwrap();
    let alarmed = |run: &Run| -> Vec<i64> {
        let states = run.states.iter().filter(|(_, s)| *s == AlarmState::Alarm);
        states
            .map(|(t, _)| (t.as_second() - START - 60) / 300)
            .collect()
    };
    // 1 % of 72 points is not yet one of them, so the first lost one is enough; the last window that
    // holds one ends 71 steps after it.
    assert_eq!(alarmed(&long), (101..=177).collect::<Vec<_>>());
    assert_eq!(alarmed(&short), (101..=111).collect::<Vec<_>>());
    let rule = r#"ALARM("long") AND ALARM("short")"#;
    let composite = CompositeAlarm {
        region: "eu-west-1".to_owned(),
        name: "both".to_owned(),
        description: String::new(),
        rule: rule.to_owned(),
        children: Rule::parse(rule).unwrap().children(),
        actions_enabled: true,
        alarm_actions: BTreeSet::new(),
        ok_actions: BTreeSet::new(),
        insufficient_data_actions: BTreeSet::new(),
        extra: BTreeMap::new(),
    };
    let children = BTreeMap::from([
        ("long".to_owned(), Ok(&long)),
        ("short".to_owned(), Ok(&short)),
    ]);
    let found = run_composite(&composite, &children).unwrap();
    assert_eq!(alarmed(&found), (101..=111).collect::<Vec<_>>());
}

#[test]
fn only_what_adds_up_is_put_together() {
    let of = |statistic: &str, period: u32| {
        let metric = AlarmMetric::Single {
            metric: metric("Latency"),
            statistic: statistic.to_owned(),
            period,
        };
        queries(&alarm(metric, "1", (1, 1), "missing")).unwrap()[0].period
    };
    assert_eq!(of("Sum", 60), 60);
    assert_eq!(of("Sum", 300), 300);
    assert_eq!(of("Maximum", 3_600), 300);
    // More than a day is looked at once an hour.
    assert_eq!(of("Sum", 259_200), 3_600);
    assert_eq!(of("p99", 3_600), 3_600);
    assert_eq!(of("Average", 3_600), 3_600);
    assert_eq!(of("Sum", 420), 420);
}
