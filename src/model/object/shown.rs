//! What people are shown of an object, derived from all that is compared.
//!
//! Every struct is taken apart field by field here, so that none can be compared and not shown.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use rust_decimal::Decimal;
use serde_json::Value;

use super::policy::{statements, words};
use super::{
    AlarmMetric, AnomalyMonitor, AnomalySubscription, Budget, CompositeAlarm, CostAllocationTag,
    CostTypes, Extra, MetricAlarm, MetricId, MetricQuery, Money, MonitorScope, NotificationKey,
    Object, QueryKind, Subscriber, ThresholdUnit, Topic, When,
};
use crate::model::usd;

/// Label and text of everything that an object says, in the order in which it is read.
type Rows = Vec<(String, String)>;

/// Every row that differs, with its text before and after; `None`: not there.
pub fn fields(
    before: Option<&Object>,
    after: Option<&Object>,
) -> Vec<(String, Option<String>, Option<String>)> {
    let before = before.map(rows).unwrap_or_default();
    let after = after.map(rows).unwrap_or_default();
    let text = |rows: &Rows, label: &str| {
        let row = rows.iter().find(|(l, _)| l == label);
        row.map(|(_, text)| text.clone())
    };
    let gone = before.iter().filter(|(l, _)| text(&after, l).is_none());
    after
        .iter()
        .chain(gone)
        .map(|(label, _)| (label.clone(), text(&before, label), text(&after, label)))
        .filter(|(_, was, is)| was != is)
        .collect()
}

fn rows(object: &Object) -> Rows {
    let rows = match object {
        Object::Topic(o) => topic(o),
        Object::CostAllocationTag(o) => cost_tag(o),
        Object::Budget(o) => budget(o),
        Object::AnomalyMonitor(o) => monitor(o),
        Object::AnomalySubscription(o) => subscription(o),
        Object::MetricAlarm(o) => metric_alarm(o),
        Object::CompositeAlarm(o) => composite_alarm(o),
    };
    // Labels are keys: what comes twice gets a number.
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    rows.into_iter()
        .map(|(label, text)| {
            let times = seen.entry(label.clone()).or_default();
            *times += 1;
            match times {
                1 => (label, text),
                n => (format!("{label} ({n})"), text),
            }
        })
        .collect()
}

fn row(label: &str, text: impl Display) -> (String, String) {
    (label.to_owned(), text.to_string())
}

fn list<T: Display>(items: &BTreeSet<T>) -> String {
    let items: Vec<String> = items.iter().map(T::to_string).collect();
    if items.is_empty() {
        "nobody".to_owned()
    } else {
        items.join(", ")
    }
}

fn extra(extra: &Extra) -> impl Iterator<Item = (String, String)> {
    extra
        .iter()
        .map(|(k, v)| (format!("beyond: {k}"), v.clone()))
}

/// With cents, unless that would hide a part of it.
fn amount(amount: Decimal) -> String {
    if amount.round_dp(2) == amount {
        usd(amount)
    } else {
        amount.normalize().to_string()
    }
}

fn budget(budget: &Budget) -> Rows {
    let Budget {
        name: _,
        kind,
        time_unit,
        limit,
        filters,
        cost_types,
        notifications,
        extra: beyond,
    } = budget;
    let each = match time_unit.as_str() {
        "DAILY" => "a day".to_owned(),
        "MONTHLY" => "a month".to_owned(),
        "QUARTERLY" => "a quarter".to_owned(),
        "ANNUALLY" => "a year".to_owned(),
        other => format!("per {other}"),
    };
    let limit = match limit {
        Some(Money { amount: n, unit }) => format!("{} {unit} {each}", amount(*n)),
        None => format!("none, {each}"),
    };
    let mut rows = vec![row("limit", limit)];
    if kind != "COST" {
        rows.push(row("kind", kind));
    }
    rows.push(row("covers", covers(filters)));
    rows.push(row("counts", counts(*cost_types)));
    let mut all = notifications.iter();
    let first = all.next();
    match first {
        None => rows.push(row("alerts", "none")),
        // The usual case: everybody is told of everything.
        Some((_, told)) if all.all(|(_, others)| others == told) => {
            let alerts: Vec<String> = notifications.keys().map(alert).collect();
            rows.push(row("alerts", alerts.join(", ")));
            rows.push(row("told", list(told)));
        }
        Some(_) => rows.extend(notifications.iter().map(|(key, told)| {
            (
                format!("alert {}", alert(key)),
                format!("to {}", list(told)),
            )
        })),
    }
    rows.extend(extra(beyond));
    rows
}

fn alert(key: &NotificationKey) -> String {
    let NotificationKey {
        when,
        operator,
        threshold,
        unit,
    } = key;
    let when = match when {
        When::Actual => "actual",
        When::Forecast => "forecast",
    };
    let than = match operator.as_str() {
        "GREATER_THAN" => "above",
        "LESS_THAN" => "below",
        "EQUAL_TO" => "at",
        other => other,
    };
    match unit {
        ThresholdUnit::Percent => format!("{when} {than} {} %", threshold.normalize()),
        ThresholdUnit::Absolute => format!("{when} {than} an amount of {}", amount(*threshold)),
    }
}

fn covers(filters: &BTreeMap<String, BTreeSet<String>>) -> String {
    if filters.is_empty() {
        return "the whole account".to_owned();
    }
    let one = |(dimension, values): (&String, &BTreeSet<String>)| match dimension.as_str() {
        "LinkedAccount" => format!("the account {}", list(values)),
        "TagKeyValue" => {
            let tags = values.iter().map(|v| {
                let user = v.strip_prefix("user:").and_then(|v| v.split_once('$'));
                user.map_or_else(|| v.clone(), |(key, value)| format!("{key} = {value}"))
            });
            format!("the tag {}", tags.collect::<Vec<_>>().join(" or "))
        }
        other => format!("{other} = {}", list(values)),
    };
    filters.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn counts(types: CostTypes) -> String {
    let CostTypes {
        include_tax,
        include_subscription,
        include_refund,
        include_credit,
        include_upfront,
        include_recurring,
        include_other_subscription,
        include_support,
        include_discount,
        use_amortized,
        use_blended,
    } = types;
    let out: Vec<&str> = [
        (include_credit, "credits"),
        (include_refund, "refunds"),
        (include_tax, "tax"),
        (include_subscription, "subscriptions"),
        (include_upfront, "upfront fees"),
        (include_recurring, "recurring fees"),
        (include_other_subscription, "other subscriptions"),
        (include_support, "support"),
        (include_discount, "discounts"),
    ]
    .into_iter()
    .filter_map(|(counted, name)| (!counted).then_some(name))
    .collect();
    let mut text = if out.is_empty() {
        "all charges, credits and refunds too".to_owned()
    } else {
        format!("all charges except {}", out.join(", "))
    };
    if use_amortized {
        text.push_str("; amortized");
    }
    if use_blended {
        text.push_str("; blended");
    }
    text
}

fn topic(topic: &Topic) -> Rows {
    let Topic {
        name,
        region,
        policy,
        subscriptions,
    } = topic;
    let document = topic.policy_document();
    let mut rows = Rows::new();
    match (policy, document.as_object()) {
        (None, _) => rows.push(row("policy", "none")),
        (Some(text), None) => rows.push(row("policy", text)),
        (Some(_), Some(parts)) => {
            for statement in statements(&document) {
                rows.push(match words(&statement, region, name) {
                    Some((label, text)) => row(label, text),
                    None => {
                        let sid = statement["Sid"].as_str();
                        let label = sid.map_or("policy".to_owned(), |sid| format!("policy {sid}"));
                        (label, statement.to_string())
                    }
                });
            }
            let rest = parts.iter().filter(|(k, _)| *k != "Statement");
            rows.extend(rest.map(|(key, value)| {
                let text = match value {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                (format!("policy {key}"), text)
            }));
        }
    }
    if !subscriptions.is_empty() {
        rows.push(row("subscriptions", list(subscriptions)));
    }
    rows
}

fn monitor(monitor: &AnomalyMonitor) -> Rows {
    let AnomalyMonitor { name: _, scope } = monitor;
    let text = match scope {
        MonitorScope::Dimension(dimension) if dimension == "SERVICE" => {
            "every service by itself".to_owned()
        }
        MonitorScope::Dimension(dimension) => format!("every {dimension} by itself"),
        MonitorScope::Accounts(accounts) => format!("the account {}", list(accounts)),
        MonitorScope::Other(json) => json.clone(),
    };
    vec![row("watches", text)]
}

fn subscription(subscription: &AnomalySubscription) -> Rows {
    let AnomalySubscription {
        name: _,
        monitors,
        frequency,
        minimum_impact_usd,
        subscribers,
        extra: beyond,
    } = subscription;
    let impact = match minimum_impact_usd {
        Some(usd) => format!("{} USD", amount(*usd)),
        None => "not by amount".to_owned(),
    };
    let when = match frequency.as_str() {
        "IMMEDIATE" => "at once",
        "DAILY" => "once a day",
        "WEEKLY" => "once a week",
        other => other,
    };
    let mut rows = vec![
        row("monitors", list(monitors)),
        row("from an impact of", impact),
        row("told", list(subscribers as &BTreeSet<Subscriber>)),
        row("when", when),
    ];
    rows.extend(extra(beyond));
    rows
}

fn cost_tag(tag: &CostAllocationTag) -> Rows {
    let CostAllocationTag { key: _, active } = tag;
    let text = if *active { "active" } else { "inactive" };
    vec![row("cost allocation", text)]
}

fn metric(id: &MetricId) -> String {
    let MetricId {
        namespace,
        metric,
        dimensions,
    } = id;
    let mut text = format!("{namespace} {metric}");
    for (key, value) in dimensions {
        text.push_str(&format!(", {key} = {value}"));
    }
    text
}

fn period(seconds: u32) -> String {
    match seconds {
        s if s > 0 && s.is_multiple_of(3600) => format!("{} h", s / 3600),
        s if s > 0 && s.is_multiple_of(60) => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}

fn query(query: &MetricQuery) -> (String, String) {
    let MetricQuery {
        id,
        return_data,
        label,
        kind,
    } = query;
    let mut text = match kind {
        QueryKind::Metric {
            metric: id,
            statistic,
            period: seconds,
        } => format!("{}, {statistic} of {}", metric(id), period(*seconds)),
        QueryKind::Expression {
            expression,
            period: None,
        } => expression.clone(),
        QueryKind::Expression {
            expression,
            period: Some(seconds),
        } => format!("{expression}, each {}", period(*seconds)),
    };
    if let Some(label) = label {
        text.push_str(&format!(", called {label:?}"));
    }
    let what = if *return_data { "watches" } else { "with" };
    (format!("{what} {id}"), text)
}

fn metric_alarm(alarm: &MetricAlarm) -> Rows {
    let MetricAlarm {
        region: _,
        name: _,
        description,
        metric: watched,
        comparison,
        threshold,
        threshold_metric_id,
        evaluation_periods,
        datapoints_to_alarm,
        treat_missing_data,
        low_samples,
        actions_enabled,
        alarm_actions,
        ok_actions,
        insufficient_data_actions,
        extra: beyond,
    } = alarm;
    // First what it means: an alarm of ours says so in its description.
    let mut rows = described(description);
    match watched {
        AlarmMetric::Single {
            metric: id,
            statistic,
            period: seconds,
        } => {
            rows.push(row("watches", metric(id)));
            rows.push(row(
                "statistic",
                format!("{statistic} of {}", period(*seconds)),
            ));
        }
        AlarmMetric::Math(queries) => rows.extend(queries.iter().map(query)),
    }
    let than = match comparison.as_str() {
        "GreaterThanThreshold" => "above",
        "GreaterThanOrEqualToThreshold" => "at or above",
        "LessThanThreshold" => "below",
        "LessThanOrEqualToThreshold" => "at or below",
        other => other,
    };
    let what = match watched {
        AlarmMetric::Math(queries) => queries
            .iter()
            .find(|q| q.return_data && matches!(q.kind, QueryKind::Expression { .. }))
            .and_then(|q| q.label.as_deref()),
        AlarmMetric::Single { .. } => None,
    };
    let than = match what {
        Some(what) if threshold.is_some() => format!("{what} {than}"),
        _ => than.to_owned(),
    };
    let mut fires = match threshold {
        Some(threshold) => format!("{than} {}", threshold.normalize()),
        None => than,
    };
    if let Some(band) = threshold_metric_id {
        fires.push_str(&format!(" the band {band}"));
    }
    fires.push_str(&format!(
        ", {datapoints_to_alarm} of {evaluation_periods} data points"
    ));
    rows.push(row("fires", fires));
    rows.push(row("missing data", treat_missing_data));
    rows.extend(low_samples.iter().map(|s| row("low samples", s)));
    rows.extend(actions(
        *actions_enabled,
        alarm_actions,
        ok_actions,
        insufficient_data_actions,
    ));
    rows.extend(extra(beyond));
    rows
}

fn described(description: &str) -> Rows {
    if description.is_empty() {
        return Rows::new();
    }
    vec![row("description", description)]
}

fn composite_alarm(alarm: &CompositeAlarm) -> Rows {
    let CompositeAlarm {
        region: _,
        name: _,
        description,
        rule,
        children,
        actions_enabled,
        alarm_actions,
        ok_actions,
        insufficient_data_actions,
        extra: beyond,
    } = alarm;
    let mut rows = described(description);
    rows.push(row("fires", rule));
    if !children.is_empty() {
        rows.push(row("alarms", list(children)));
    }
    rows.extend(actions(
        *actions_enabled,
        alarm_actions,
        ok_actions,
        insufficient_data_actions,
    ));
    rows.extend(extra(beyond));
    rows
}

fn actions(
    enabled: bool,
    alarm: &BTreeSet<String>,
    ok: &BTreeSet<String>,
    insufficient: &BTreeSet<String>,
) -> Rows {
    let mut rows = vec![row("told", list(alarm))];
    if !ok.is_empty() {
        rows.push(row("told when over", list(ok)));
    }
    if !insufficient.is_empty() {
        rows.push(row("told without data", list(insufficient)));
    }
    if !enabled {
        rows.push(row("actions", "switched off"));
    }
    rows
}
