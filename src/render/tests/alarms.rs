//! Many new alarms: who is told, and what they mean.

use std::collections::BTreeSet;

use super::samples::{plan, reason};
use crate::model::object::{AlarmMetric, MetricAlarm, MetricId, Object};
use crate::model::{Address, Control, Risk, Tags};
use crate::plan::{ActionKind, Change, Operation, Plan, ResourceRef};
use crate::render::text::width;
use crate::render::{Style, human, markdown};

/// A new alarm; without a severity others rest on it.
fn alarm(name: &str, severity: Option<&str>, rule: &str, sentence: &str) -> Change {
    let lead = severity.map_or(String::new(), |s| format!("[{s}] "));
    let region = "eu-west-1";
    let actions = match severity {
        Some(severity) => BTreeSet::from([format!("arn:aws:sns:{region}:1:to-{severity}")]),
        None => BTreeSet::new(),
    };
    let object = Object::MetricAlarm(MetricAlarm {
        region: region.to_owned(),
        name: name.to_owned(),
        description: format!("{lead}{sentence}. Made by opsctl: {rule}."),
        metric: AlarmMetric::Single {
            metric: MetricId {
                namespace: "AWS/RDS".to_owned(),
                metric: "CPUUtilization".to_owned(),
                dimensions: Default::default(),
            },
            statistic: "Average".to_owned(),
            period: 60,
        },
        comparison: "GreaterThanThreshold".to_owned(),
        threshold: Some(90.into()),
        threshold_metric_id: None,
        evaluation_periods: 5,
        datapoints_to_alarm: 5,
        treat_missing_data: "missing".to_owned(),
        low_samples: None,
        actions_enabled: true,
        alarm_actions: actions,
        ok_actions: BTreeSet::new(),
        insufficient_data_actions: BTreeSet::new(),
        extra: Default::default(),
    });
    Change {
        address: Address::new("prod", region, "cloudwatch-alarm", name, "alarms"),
        control: Control::Alarms,
        action: ActionKind::Create,
        resource: ResourceRef {
            arn: format!("arn:aws:cloudwatch:{region}:1:alarm:{name}"),
            kind: "cloudwatch-alarm".to_owned(),
            name: name.to_owned(),
            region: region.to_owned(),
        },
        before: serde_json::Value::Null,
        after: serde_json::to_value(&object).unwrap(),
        fields: Vec::new(),
        reason: reason("alarms", rule, "policies/alarms.toml", 7),
        risk: Risk::Low,
        monthly_cost_delta_usd: Some("0.10".to_owned()),
        cost_basis: None,
        operation: Operation::Object {
            before: None,
            after: Some(Box::new(object)),
            tags: Tags::new(),
        },
    }
}

fn many() -> Plan {
    let mut all: Vec<Change> = (0..20)
        .map(|i| {
            let name = format!("shop-prod-rds-cpu-db-{i:02}");
            let text = format!("CPUUtilization of db-{i:02} above 90 % in 5 of 5 min");
            alarm(&name, Some("ticket"), "alarms.packs: rds-cpu", &text)
        })
        .collect();
    let hostile = "Latency of a\u{1b}[2Jb ```\n@everyone above 3 s";
    all.push(alarm(
        "x",
        Some("page"),
        "alarms.packs: api-latency",
        hostile,
    ));
    let slo = "alarms.slo.checkout";
    all.push(alarm(
        "shop-prod-slo-fast",
        Some("page"),
        slo,
        "SLO checkout burns",
    ));
    all.push(alarm(
        "shop-prod-slo-fast-long",
        None,
        slo,
        "SLO checkout, part",
    ));
    plan(all)
}

fn at(width: usize, verbose: bool) -> String {
    let style = Style {
        width,
        verbose,
        ..Style::default()
    };
    human::plan(&many(), &style)
}

#[test]
fn who_is_told_stands_first_and_each_line_of_the_policy_once() {
    for columns in [60, 80, 100, 140] {
        let text = at(columns, false);
        for line in text.lines() {
            assert!(width(line) <= columns, "{line}");
        }
        let place = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part}\n{text}"));
        assert!(place("page    2 alarms to to-page") < place("ticket  20 alarms to to-ticket"));
        assert!(
            place("parts   1 alarm without a message") < place("slo.checkout   2 alarms, page")
        );
        assert!(place("with 1 alarm that they rest on") < place("api-latency   1 alarm, page"));
        assert!(place("api-latency   1 alarm, page") < place("rds-cpu   20 alarms, ticket"));
        place("+2.00 USD/mo");
        place("CPUUtilization of db-03");
        place("… and 16 more like it");
        assert!(
            !text.contains("db-04") && !text.contains('\u{1b}'),
            "{text}"
        );
    }
    // All of it with -v.
    assert!(at(100, true).contains("shop-prod-rds-cpu-db-19"));
}

#[test]
fn in_a_comment_nothing_ends_the_fence() {
    let text = markdown::plan(&many());
    assert!(
        text.contains("- **ticket**: 20 alarms to to-ticket"),
        "{text}"
    );
    assert!(
        text.contains("@@ + rds-cpu · 20 alarms, ticket · +2.00 USD/month @@"),
        "{text}"
    );
    let fences = text.lines().filter(|l| l.trim_start().starts_with("```"));
    assert_eq!(fences.count(), 2, "{text}");
}
