//! The pieces that need no inventory; `opsctl audit alarms` against real endpoints is tested elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::model::object::MetricId;

fn alarm(name: &str, threshold: u32) -> AlarmFact {
    AlarmFact {
        arn: format!("arn:aws:cloudwatch:eu-west-1:1:alarm:{name}"),
        definition: AlarmDefinition::Metric(MetricAlarm {
            region: "eu-west-1".to_owned(),
            name: name.to_owned(),
            description: format!("the alarm {name}"),
            metric: AlarmMetric::Single {
                metric: MetricId {
                    namespace: "Shop".to_owned(),
                    metric: "Errors".to_owned(),
                    dimensions: BTreeMap::new(),
                },
                statistic: "Sum".to_owned(),
                period: 60,
            },
            comparison: "GreaterThanThreshold".to_owned(),
            threshold: Some(threshold.into()),
            threshold_metric_id: None,
            evaluation_periods: 1,
            datapoints_to_alarm: 1,
            treat_missing_data: "missing".to_owned(),
            low_samples: None,
            actions_enabled: true,
            alarm_actions: BTreeSet::from(["arn:aws:sns:eu-west-1:1:a".to_owned()]),
            ok_actions: BTreeSet::new(),
            insufficient_data_actions: BTreeSet::new(),
            extra: BTreeMap::new(),
        }),
        state: "OK".to_owned(),
        state_reason: String::new(),
        state_since: None,
        tags: Observed::default(),
    }
}

#[test]
fn doubles_differ_in_name_and_description_only() {
    let found = doubles(&[alarm("a", 1), alarm("b", 2), alarm("c", 1)]);
    assert_eq!(found, BTreeMap::from([("c".to_owned(), "a".to_owned())]));
}
