//! CloudWatch alarms: from the SDK's types and back, reads of single ones, and writes.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use aws_sdk_cloudwatch::operation::put_metric_alarm::builders::PutMetricAlarmFluentBuilder;
use aws_sdk_cloudwatch::types::{
    self as sdk, AlarmType, Dimension, EvaluationWindow, Metric, MetricDataQuery, MetricStat, Tag,
};
use rust_decimal::Decimal;

use super::super::error::{self, Named};
use super::super::pace::Api;
use super::super::session::{Region, Session};
use super::super::{cloudwatch, located};
use crate::backtest::Rule;
use crate::cloud::{Call, CloudError, ObjectReading, Subject};
use crate::inventory::{AlarmDefinition, Observed};
use crate::model::object::{
    AlarmMetric, CompositeAlarm, Extra, MetricAlarm, MetricId, MetricQuery, Object, ObjectKey,
    QueryKind,
};
use crate::model::{ResourceType, Tags};

const DESCRIBE: &str = "cloudwatch:DescribeAlarms";
const PUT_METRIC: &str = "cloudwatch:PutMetricAlarm";
const PUT_COMPOSITE: &str = "cloudwatch:PutCompositeAlarm";
const DELETE: &str = "cloudwatch:DeleteAlarms";
const SET_STATE: &str = "cloudwatch:SetAlarmState";

/// What a metric alarm is in our types.
pub fn metric_alarm(region: &str, alarm: &sdk::MetricAlarm) -> Option<AlarmDefinition> {
    let name = alarm.alarm_name()?.to_owned();
    let region = region.to_owned();
    if alarm.evaluation_criteria.is_some() {
        return Some(AlarmDefinition::Other { name, region });
    }
    let mut extra = Extra::new();
    let metric = if alarm.metrics().is_empty() {
        note(&mut extra, "unit", alarm.unit().map(|u| u.as_str()));
        let statistic = match (alarm.statistic(), alarm.extended_statistic()) {
            (Some(statistic), _) => statistic.as_str(),
            (None, Some(extended)) => extended,
            // Neither a metric nor math: of a kind that this version does not know.
            (None, None) => return Some(AlarmDefinition::Other { name, region }),
        };
        AlarmMetric::Single {
            metric: MetricId {
                namespace: alarm.namespace().unwrap_or_default().to_owned(),
                metric: alarm.metric_name().unwrap_or_default().to_owned(),
                dimensions: dimensions(alarm.dimensions()),
            },
            statistic: statistic.to_owned(),
            period: unsigned(alarm.period()),
        }
    } else {
        let mut queries: Vec<MetricQuery> = alarm
            .metrics()
            .iter()
            .map(|query| metric_query(query, &mut extra))
            .collect();
        queries.sort_by(|a, b| a.id.cmp(&b.id));
        AlarmMetric::Math(queries)
    };
    let threshold = alarm.threshold().and_then(|value| {
        let read = decimal(value);
        if read.is_none() {
            note(&mut extra, "threshold", Some(&value.to_string()));
        }
        read
    });
    match &alarm.evaluation_window {
        // The default, whether or not it is spelled out.
        None | Some(EvaluationWindow::SlidingWindow(_)) => {}
        Some(EvaluationWindow::WallClockWindow(window)) => {
            let zone = window.timezone().unwrap_or("UTC");
            note(
                &mut extra,
                "evaluation_window",
                Some(&format!("wall clock, {zone}")),
            );
        }
        Some(other) => note(&mut extra, "evaluation_window", Some(&format!("{other:?}"))),
    }
    if let Some(warm_up) = &alarm.warm_up_configuration {
        let minutes = warm_up.warm_up_period_duration_in_minutes();
        let waits = warm_up.only_start_evaluating_after_warm_up_period_ends();
        let text = match waits {
            Some(true) => format!("{} min, evaluated only after it", unsigned(minutes)),
            _ => format!("{} min", unsigned(minutes)),
        };
        note(&mut extra, "warm_up_configuration", Some(&text));
    }
    let interval = alarm.evaluation_interval().map(|i| i.to_string());
    note(&mut extra, "evaluation_interval", interval.as_deref());
    note_action_configuration(&mut extra, alarm.action_configuration());
    let evaluation_periods = unsigned(alarm.evaluation_periods());
    Some(AlarmDefinition::Metric(MetricAlarm {
        region,
        name,
        description: alarm.alarm_description().unwrap_or_default().to_owned(),
        metric,
        comparison: alarm
            .comparison_operator()
            .map(|o| o.as_str().to_owned())
            .unwrap_or_default(),
        threshold,
        threshold_metric_id: alarm.threshold_metric_id.clone().filter(|i| !i.is_empty()),
        evaluation_periods,
        datapoints_to_alarm: alarm
            .datapoints_to_alarm()
            .map_or(evaluation_periods, |m| unsigned(Some(m))),
        treat_missing_data: alarm
            .treat_missing_data
            .clone()
            .filter(|t| !t.is_empty())
            .unwrap_or_else(|| "missing".to_owned()),
        low_samples: alarm
            .evaluate_low_sample_count_percentile
            .clone()
            .filter(|l| !l.is_empty()),
        actions_enabled: alarm.actions_enabled().unwrap_or(true),
        alarm_actions: set(alarm.alarm_actions()),
        ok_actions: set(alarm.ok_actions()),
        insufficient_data_actions: set(alarm.insufficient_data_actions()),
        extra,
    }))
}

/// What a composite alarm is in our types.
pub fn composite_alarm(region: &str, alarm: &sdk::CompositeAlarm) -> Option<AlarmDefinition> {
    let mut extra = Extra::new();
    note(&mut extra, "actions_suppressor", alarm.actions_suppressor());
    if alarm.actions_suppressor().is_some_and(|s| !s.is_empty()) {
        let wait = alarm
            .actions_suppressor_wait_period()
            .map(|s| s.to_string());
        note(
            &mut extra,
            "actions_suppressor_wait_period",
            wait.as_deref(),
        );
        let extension = alarm.actions_suppressor_extension_period();
        let extension = extension.map(|s| s.to_string());
        note(
            &mut extra,
            "actions_suppressor_extension_period",
            extension.as_deref(),
        );
    }
    note_action_configuration(&mut extra, alarm.action_configuration());
    let rule = alarm.alarm_rule().unwrap_or_default().to_owned();
    // A rule that cannot be read has children that are not known; it differs from all of ours.
    let children = Rule::parse(&rule).map(|r| r.children()).unwrap_or_default();
    Some(AlarmDefinition::Composite(CompositeAlarm {
        region: region.to_owned(),
        name: alarm.alarm_name()?.to_owned(),
        description: alarm.alarm_description().unwrap_or_default().to_owned(),
        rule,
        children,
        actions_enabled: alarm.actions_enabled().unwrap_or(true),
        alarm_actions: set(alarm.alarm_actions()),
        ok_actions: set(alarm.ok_actions()),
        insufficient_data_actions: set(alarm.insufficient_data_actions()),
        extra,
    }))
}

fn note(extra: &mut Extra, field: &str, value: Option<&str>) {
    if let Some(value) = value.filter(|v| !v.is_empty()) {
        extra.insert(field.to_owned(), value.to_owned());
    }
}

fn note_action_configuration(extra: &mut Extra, found: Option<&sdk::ActionConfiguration>) {
    let Some(tags) = found.and_then(|c| c.alarm_tags_propagation()) else {
        return;
    };
    if tags.enabled() == Some(true) {
        let keys = |label: &str, keys: &[String]| match keys.is_empty() {
            true => String::new(),
            false => format!(", {label} {}", keys.join(" ")),
        };
        let only = keys("only", tags.included_tag_keys());
        let but = keys("but not", tags.excluded_tag_keys());
        note(
            extra,
            "action_configuration",
            Some(&format!("tags in notifications{only}{but}")),
        );
    }
}

fn metric_query(query: &MetricDataQuery, extra: &mut Extra) -> MetricQuery {
    let id = query.id().unwrap_or_default().to_owned();
    note(
        extra,
        &format!("metrics.{id}.account_id"),
        query.account_id(),
    );
    let kind = match query.metric_stat() {
        Some(stat) => {
            let unit = stat.unit().map(|u| u.as_str());
            note(extra, &format!("metrics.{id}.unit"), unit);
            let metric = stat.metric();
            QueryKind::Metric {
                metric: MetricId {
                    namespace: metric
                        .and_then(|m| m.namespace())
                        .unwrap_or_default()
                        .to_owned(),
                    metric: metric
                        .and_then(|m| m.metric_name())
                        .unwrap_or_default()
                        .to_owned(),
                    dimensions: dimensions(metric.map(|m| m.dimensions()).unwrap_or_default()),
                },
                statistic: stat.stat().unwrap_or_default().to_owned(),
                period: unsigned(stat.period()),
            }
        }
        None => QueryKind::Expression {
            expression: query.expression().unwrap_or_default().to_owned(),
            period: query.period().map(|p| unsigned(Some(p))),
        },
    };
    MetricQuery {
        id,
        // Source: API model, `cloudwatch:MetricDataQuery`: true where it is not given.
        return_data: query.return_data().unwrap_or(true),
        label: query.label().filter(|l| !l.is_empty()).map(str::to_owned),
        kind,
    }
}

fn set(list: &[String]) -> BTreeSet<String> {
    list.iter().cloned().collect()
}

fn unsigned(value: Option<i32>) -> u32 {
    value
        .and_then(|v| u32::try_from(v).ok())
        .unwrap_or_default()
}

fn dimensions(list: &[Dimension]) -> BTreeMap<String, String> {
    list.iter()
        .filter_map(|d| Some((d.name()?.to_owned(), d.value()?.to_owned())))
        .collect()
}

/// The decimal that a person would write for it: the shortest one that reads back the same.
pub fn decimal(value: f64) -> Option<Decimal> {
    let text = value.to_string();
    Decimal::from_str_exact(&text).ok().map(|d| d.normalize())
}

fn double(value: Decimal) -> Option<f64> {
    f64::from_str(&value.to_string()).ok()
}

pub fn to_dimensions(map: &BTreeMap<String, String>) -> Option<Vec<Dimension>> {
    let list: Vec<_> = map
        .iter()
        .map(|(name, value)| Dimension::builder().name(name).value(value).build())
        .collect();
    (!list.is_empty()).then_some(list)
}

pub fn to_stat(metric: &MetricId, statistic: &str, period: u32) -> MetricStat {
    let metric = Metric::builder()
        .namespace(&metric.namespace)
        .metric_name(&metric.metric)
        .set_dimensions(to_dimensions(&metric.dimensions))
        .build();
    MetricStat::builder()
        .metric(metric)
        .period(signed(period))
        .stat(statistic)
        .build()
}

fn signed(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

fn to_query(query: &MetricQuery) -> MetricDataQuery {
    let builder = MetricDataQuery::builder()
        .id(&query.id)
        .return_data(query.return_data)
        .set_label(query.label.clone());
    match &query.kind {
        QueryKind::Metric {
            metric,
            statistic,
            period,
        } => builder.metric_stat(to_stat(metric, statistic, *period)),
        QueryKind::Expression { expression, period } => builder
            .expression(expression)
            .set_period(period.map(signed)),
    }
    .build()
}

fn list(set: &BTreeSet<String>) -> Option<Vec<String>> {
    (!set.is_empty()).then(|| set.iter().cloned().collect())
}

fn to_tags(tags: &Tags) -> Option<Vec<Tag>> {
    let list: Vec<_> = tags
        .iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect();
    (!list.is_empty()).then_some(list)
}

/// Puts everything of the alarm into the request: what is not sent is cleared.
fn with_metric_alarm(
    request: PutMetricAlarmFluentBuilder,
    alarm: &MetricAlarm,
    tags: &Tags,
) -> PutMetricAlarmFluentBuilder {
    let request = request
        .alarm_name(&alarm.name)
        .set_alarm_description(Some(alarm.description.clone()).filter(|d| !d.is_empty()))
        .comparison_operator(alarm.comparison.as_str().into())
        .set_threshold(alarm.threshold.and_then(double))
        .set_threshold_metric_id(alarm.threshold_metric_id.clone())
        .evaluation_periods(signed(alarm.evaluation_periods))
        .datapoints_to_alarm(signed(alarm.datapoints_to_alarm))
        .treat_missing_data(&alarm.treat_missing_data)
        .set_evaluate_low_sample_count_percentile(alarm.low_samples.clone())
        .actions_enabled(alarm.actions_enabled)
        .set_alarm_actions(list(&alarm.alarm_actions))
        .set_ok_actions(list(&alarm.ok_actions))
        .set_insufficient_data_actions(list(&alarm.insufficient_data_actions))
        .set_tags(to_tags(tags));
    match &alarm.metric {
        AlarmMetric::Math(queries) => {
            request.set_metrics(Some(queries.iter().map(to_query).collect()))
        }
        AlarmMetric::Single {
            metric,
            statistic,
            period,
        } => {
            let request = request
                .namespace(&metric.namespace)
                .metric_name(&metric.metric)
                .set_dimensions(to_dimensions(&metric.dimensions))
                .period(signed(*period));
            // The five simple ones have a field of their own.
            match sdk::Statistic::values().contains(&statistic.as_str()) {
                true => request.statistic(statistic.as_str().into()),
                false => request.extended_statistic(statistic),
            }
        }
    }
}

/// One alarm by name, of whatever kind; `Absent`: no alarm has it.
pub async fn read(session: &Session, key: &ObjectKey) -> Observed<ObjectReading> {
    let region = session.region(&key.region).await;
    let unknown = |error| Observed::Unknown(located(error, session, &key.region).to_string());
    region.pace(Api::DescribeAlarms).await;
    let answer = region
        .cloudwatch()
        .describe_alarms()
        .alarm_names(&key.name)
        .alarm_types(AlarmType::MetricAlarm)
        .alarm_types(AlarmType::CompositeAlarm)
        .alarm_types(AlarmType::LogAlarm)
        .send()
        .await
        .named(DESCRIBE);
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return unknown(error),
    };
    let metric = answer.metric_alarms().iter().find_map(|a| {
        (a.alarm_name() == Some(&key.name)).then(|| (metric_alarm(&region.name, a), a.alarm_arn()))
    });
    let composite = answer.composite_alarms().iter().find_map(|a| {
        (a.alarm_name() == Some(&key.name))
            .then(|| (composite_alarm(&region.name, a), a.alarm_arn()))
    });
    let other = || {
        let message = format!(
            "an alarm of a kind that opsctl does not write (log, PromQL) has the name {}",
            key.name
        );
        Observed::Unknown(message)
    };
    let (object, arn) = match metric.or(composite) {
        Some((Some(AlarmDefinition::Metric(alarm)), arn)) => (Object::MetricAlarm(alarm), arn),
        Some((Some(AlarmDefinition::Composite(alarm)), arn)) => {
            (Object::CompositeAlarm(alarm), arn)
        }
        Some(_) => return other(),
        None if answer
            .log_alarms()
            .iter()
            .any(|a| a.alarm_name() == Some(&key.name)) =>
        {
            return other();
        }
        None => return Observed::Absent,
    };
    let subject = Subject {
        arn: arn.map_or_else(
            || region.arn("cloudwatch", &format!("alarm:{}", key.name)),
            str::to_owned,
        ),
        kind: ResourceType::CLOUDWATCH_ALARM,
        name: key.name.clone(),
        region: key.region.clone(),
    };
    let tags = match cloudwatch::read_tags(&region, &subject).await {
        Ok(tags) => Observed::Known(tags),
        // Deleted between the two calls.
        Err(error) if error::is_not_found(&error) => return Observed::Absent,
        Err(error) => Observed::Unknown(located(error, session, &key.region).to_string()),
    };
    Observed::Known(ObjectReading { object, tags })
}

/// The quota of alarms is no throttling: nothing gets better by waiting.
fn quota(error: CloudError) -> CloudError {
    if error.code != "LimitExceeded" && error.code != "LimitExceededFault" {
        return error;
    }
    let message = format!(
        "{}; this account has as many alarms in this region as its quota allows: raise the quota \
         (Service Quotas, Amazon CloudWatch, number of alarms) or delete unused ones \
         (`opsctl audit alarms` names them), then apply again",
        error.message.trim_end_matches('.')
    );
    CloudError { message, ..error }
}

/// Writes that concern alarms.
pub async fn execute(_session: &Session, region: &Region, call: &Call) -> Result<(), CloudError> {
    let client = region.cloudwatch();
    match call {
        Call::PutMetricAlarm { alarm, tags } => {
            region.pace(Api::PutMetricAlarm).await;
            let request = with_metric_alarm(client.put_metric_alarm(), alarm, tags);
            let answer = request.send().await.named(PUT_METRIC);
            answer.map(drop).map_err(quota)
        }
        Call::PutCompositeAlarm { alarm, tags } => {
            region.pace(Api::PutCompositeAlarm).await;
            let request = client
                .put_composite_alarm()
                .alarm_name(&alarm.name)
                .set_alarm_description(Some(alarm.description.clone()).filter(|d| !d.is_empty()))
                .alarm_rule(&alarm.rule)
                .actions_enabled(alarm.actions_enabled)
                .set_alarm_actions(list(&alarm.alarm_actions))
                .set_ok_actions(list(&alarm.ok_actions))
                .set_insufficient_data_actions(list(&alarm.insufficient_data_actions))
                .set_tags(to_tags(tags));
            let answer = request.send().await.named(PUT_COMPOSITE);
            answer.map(drop).map_err(quota)
        }
        Call::SetAlarmState {
            name,
            state,
            reason,
            ..
        } => {
            region.pace(Api::DeleteAlarms).await;
            let request = client
                .set_alarm_state()
                .alarm_name(name)
                .state_value(state.as_str().into())
                .state_reason(reason);
            request.send().await.named(SET_STATE).map(drop)
        }
        Call::DeleteAlarms { names, .. } => {
            region.pace(Api::DeleteAlarms).await;
            let request = client.delete_alarms().set_alarm_names(Some(names.clone()));
            match request.send().await.named(DELETE) {
                // It is gone, which is what was asked for.
                Err(error) if error::is_not_found(&error) && names.len() == 1 => Ok(()),
                other => other.map(drop),
            }
        }
        _ => Err(error::own(
            "cloudwatch",
            error::NOT_IMPLEMENTED,
            "not a write of alarms",
        )),
    }
}
