//! Alarms against emulators: what is written is read back the same, and a burst of failures arrives.

use std::collections::{BTreeMap, BTreeSet};

use opsctl::aws::AwsCloud;
use opsctl::cloud::{Call, Cloud};
use opsctl::inventory::Observed;
use opsctl::model::object::*;

use crate::contract::{aws, tags, target};
use crate::emulator::{ministack, moto};

const REGION: &str = "eu-west-1";

/// With a real clock: the calls go over a real network.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(future)
}

fn metric(name: &str) -> MetricId {
    MetricId {
        namespace: "Shop".to_owned(),
        metric: name.to_owned(),
        dimensions: BTreeMap::from([("Stage".to_owned(), "prod".to_owned())]),
    }
}

fn alarm(name: &str, watched: AlarmMetric) -> MetricAlarm {
    MetricAlarm {
        region: REGION.to_owned(),
        name: name.to_owned(),
        description: "made by a test".to_owned(),
        metric: watched,
        comparison: "GreaterThanThreshold".to_owned(),
        threshold: Some("0.3".parse().unwrap()),
        threshold_metric_id: None,
        evaluation_periods: 5,
        datapoints_to_alarm: 3,
        treat_missing_data: "notBreaching".to_owned(),
        low_samples: None,
        actions_enabled: true,
        alarm_actions: BTreeSet::from([topic()]),
        ok_actions: BTreeSet::from([topic()]),
        insufficient_data_actions: BTreeSet::new(),
        extra: BTreeMap::new(),
    }
}

fn topic() -> String {
    format!("arn:aws:sns:{REGION}:123456789012:pager")
}

fn single(name: &str, statistic: &str, period: u32) -> AlarmMetric {
    AlarmMetric::Single {
        metric: metric(name),
        statistic: statistic.to_owned(),
        period,
    }
}

fn line(id: &str, return_data: bool, kind: QueryKind) -> MetricQuery {
    MetricQuery {
        id: id.to_owned(),
        return_data,
        label: return_data.then(|| "shown".to_owned()),
        kind,
    }
}

fn of(name: &str) -> QueryKind {
    QueryKind::Metric {
        metric: metric(name),
        statistic: "Sum".to_owned(),
        period: 60,
    }
}

fn math() -> MetricAlarm {
    let expression = "IF(total >= 100, 100 * FILL(failed, 0) / total, 0)".to_owned();
    alarm(
        "shop-prod-rate",
        AlarmMetric::Math(vec![
            line("failed", false, of("Failed")),
            line(
                "rate",
                true,
                QueryKind::Expression {
                    expression,
                    period: None,
                },
            ),
            line("total", false, of("Total")),
        ]),
    )
}

fn band() -> MetricAlarm {
    let expression = "ANOMALY_DETECTION_BAND(m1, 2)".to_owned();
    MetricAlarm {
        comparison: "LessThanLowerOrGreaterThanUpperThreshold".to_owned(),
        threshold: None,
        threshold_metric_id: Some("ad1".to_owned()),
        ..alarm(
            "shop-prod-band",
            AlarmMetric::Math(vec![
                line(
                    "ad1",
                    true,
                    QueryKind::Expression {
                        expression,
                        period: None,
                    },
                ),
                line("m1", true, of("Total")),
            ]),
        )
    }
}

fn put(object: &Object) -> Call {
    let tags = tags(&[("opsctl:managed", "shop/prod")]);
    match object.clone() {
        Object::MetricAlarm(alarm) => Call::PutMetricAlarm { alarm, tags },
        Object::CompositeAlarm(alarm) => Call::PutCompositeAlarm { alarm, tags },
        other => panic!("{other:?}"),
    }
}

async fn converges(cloud: &AwsCloud, object: &Object) {
    let target = target();
    for _ in 0..2 {
        let results = cloud.execute(&target, &put(object)).await;
        assert_eq!(results, [Ok(())], "{}", object.name());
        match cloud.read_object(&target, &object.key()).await {
            Observed::Known(found) => {
                assert_eq!(&found.object, object);
                let tags = found.tags.known().expect("tags");
                assert!(tags.contains_key("opsctl:managed"), "{tags:?}");
            }
            other => panic!("{}: {other:?}", object.name()),
        }
    }
}

#[test]
fn alarms_of_every_form_converge_on_moto() {
    let emulator = moto();
    let cloud = aws(&emulator);
    block_on(async {
        for object in [
            alarm("shop-prod-sum", single("Failed", "Sum", 60)),
            alarm("shop-prod-p99", single("Latency", "p99", 300)),
            math(),
            band(),
        ] {
            converges(&cloud, &Object::MetricAlarm(object)).await;
        }
        let names = [
            "shop-prod-sum",
            "shop-prod-p99",
            "shop-prod-rate",
            "shop-prod-band",
        ];
        let call = Call::DeleteAlarms {
            region: REGION.to_owned(),
            names: names.iter().map(|n| (*n).to_owned()).collect(),
        };
        assert_eq!(cloud.execute(&target(), &call).await, [Ok(())]);
        let key = ObjectKey {
            kind: ObjectKind::MetricAlarm,
            region: REGION.to_owned(),
            name: "shop-prod-rate".to_owned(),
        };
        assert_eq!(cloud.read_object(&target(), &key).await, Observed::Absent);
    });
    let violations = emulator.violations();
    assert!(violations.is_empty(), "{violations:#?}");
}

#[test]
fn composites_over_plain_alarms_converge_on_ministack() {
    let emulator = ministack();
    let cloud = aws(&emulator);
    let rule = r#"ALARM("shop-prod-a") AND ALARM("shop-prod-b")"#;
    block_on(async {
        for name in ["shop-prod-a", "shop-prod-b"] {
            let child = alarm(name, single("Failed", "Sum", 60));
            converges(&cloud, &Object::MetricAlarm(child)).await;
        }
        let composite = CompositeAlarm {
            region: REGION.to_owned(),
            name: "shop-prod-both".to_owned(),
            description: "made by a test".to_owned(),
            rule: rule.to_owned(),
            children: BTreeSet::from(["shop-prod-a".to_owned(), "shop-prod-b".to_owned()]),
            actions_enabled: true,
            alarm_actions: BTreeSet::from([topic()]),
            ok_actions: BTreeSet::new(),
            insufficient_data_actions: BTreeSet::new(),
            extra: BTreeMap::new(),
        };
        converges(&cloud, &Object::CompositeAlarm(composite)).await;
    });
}
