//! Whether what an alarm watches is there, and its silence understood.

use super::Look;
use crate::controls::alarms::dimensions::KINDS;
use crate::inventory::{AlarmDefinition, EnvironmentInventory, MetricsKey, Observed};
use crate::model::object::{AlarmMetric, MetricAlarm, MetricId, QueryKind};
use crate::model::{ResourceType, Severity};

/// Metrics that only exist when something goes wrong: their silence is good.
/// Source: the pages "CloudWatch metrics for …" of each service's user guide.
const ONLY_ON_ERROR: [(&str, &str); 14] = [
    ("AWS/ApplicationELB", "HTTPCode_ELB_5XX_Count"),
    ("AWS/ApplicationELB", "HTTPCode_Target_5XX_Count"),
    ("AWS/ApplicationELB", "HTTPCode_ELB_4XX_Count"),
    ("AWS/ApplicationELB", "HTTPCode_Target_4XX_Count"),
    ("AWS/ApplicationELB", "RejectedConnectionCount"),
    ("AWS/ApplicationELB", "TargetConnectionErrorCount"),
    ("AWS/ELB", "HTTPCode_Backend_5XX"),
    ("AWS/ELB", "HTTPCode_ELB_5XX"),
    ("AWS/DynamoDB", "ThrottledRequests"),
    ("AWS/DynamoDB", "SystemErrors"),
    ("AWS/DynamoDB", "UserErrors"),
    ("AWS/Lambda", "DeadLetterErrors"),
    ("AWS/Lambda", "DestinationDeliveryFailures"),
    ("AWS/Events", "FailedInvocations"),
];

/// Names of dimensions whose ids we have not listed may still exist.
fn key(region: &str, metric: &MetricId) -> MetricsKey {
    MetricsKey {
        region: region.to_owned(),
        namespace: metric.namespace.clone(),
        metric: metric.metric.clone(),
    }
}

pub fn check(look: &mut Look<'_>) {
    let AlarmDefinition::Metric(alarm) = &look.alarm.definition else {
        return;
    };
    let watched = look.alarm.definition.metrics();
    let inventory = look.input.inventory;
    let mut gone = Vec::new();
    let mut silent = Vec::new();
    for metric in watched {
        if let Some((kind, name)) = gone_resource(inventory, &alarm.region, metric) {
            if !gone.contains(&(kind, name)) {
                gone.push((kind, name));
            }
            continue;
        }
        if let Some(Observed::Known(existing)) = inventory.metrics.get(&key(&alarm.region, metric))
            && !existing.contains(metric)
        {
            silent.push((metric, existing.len(), nearest(metric, existing.iter())));
        }
    }
    for (kind, name) in gone {
        look.report(
            "alarms.resource-gone",
            Severity::Medium,
            format!("watches {kind} {name}, which does not exist any more"),
            format!("all of type {kind} were listed in {}", alarm.region),
            "delete the alarm",
        );
    }
    // Part of an expression may be a counter that is only published when something fails.
    let all_silent = silent.len() == look.alarm.definition.metrics().len();
    if let (Some((metric, others, near)), true) = (silent.first(), all_silent) {
        let others = match (others, near) {
            (0, _) => "no metric of this name had a point in the last two weeks".to_owned(),
            (n, Some(near)) => format!("{n} metrics of this name, the nearest with {near}"),
            (n, None) => format!("{n} metrics of this name, with other dimensions"),
        };
        // Silence is what such a metric is made for.
        let expected = ONLY_ON_ERROR.contains(&(&metric.namespace, &metric.metric))
            || (alarm.treat_missing_data == "notBreaching" && others.starts_with("no metric"));
        let severity = if expected {
            Severity::Low
        } else {
            Severity::High
        };
        let message = format!("no metric is {}: the alarm hears nothing", shown(metric));
        look.report(
            "alarms.metric-missing",
            severity,
            message,
            format!("{others}; CloudWatch does not list metrics that were silent for two weeks"),
            "correct namespace, name and dimensions (all of them have to be named, and no other); `opsctl metrics check` shows those of the policies",
        );
    }
    missing_data(look, alarm);
}

/// `Shop/Orders {Stage=prod}`.
fn shown(metric: &MetricId) -> String {
    let dimensions: Vec<String> = metric
        .dimensions
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    match dimensions.is_empty() {
        true => format!("{}/{} without dimensions", metric.namespace, metric.metric),
        false => format!(
            "{}/{} with exactly {}",
            metric.namespace,
            metric.metric,
            dimensions.join(", ")
        ),
    }
}

/// The dimensions of the metric that has most in common with it.
fn nearest<'a>(metric: &MetricId, existing: impl Iterator<Item = &'a MetricId>) -> Option<String> {
    let common = |other: &MetricId| {
        let same = other.dimensions.iter();
        same.filter(|(name, value)| metric.dimensions.get(*name) == Some(value))
            .count()
    };
    let best =
        existing.max_by_key(|other| (common(other), std::cmp::Reverse(other.dimensions.len())))?;
    let text: Vec<String> = best
        .dimensions
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    Some(match text.is_empty() {
        true => "no dimensions".to_owned(),
        false => text.join(", "),
    })
}

/// The resource of a metric's dimension, if all resources of its type were listed and it is not there.
fn gone_resource<'a>(
    inventory: &EnvironmentInventory,
    region: &str,
    metric: &'a MetricId,
) -> Option<(&'static str, &'a str)> {
    let kind = KINDS
        .iter()
        .find(|k| k.namespace == metric.namespace && metric.dimensions.contains_key(k.dimension))?;
    let name = metric.dimensions.get(kind.dimension)?;
    let listed = inventory.types_checked.contains(kind.kind)
        && inventory.regions.iter().any(|r| r == region)
        && ResourceType::new(kind.kind).is_listed();
    let there = inventory
        .resources
        .iter()
        .any(|r| r.kind.as_str() == kind.kind && r.region == region && &r.name == name);
    (listed && !there).then_some((kind.kind, name.as_str()))
}

fn missing_data(look: &mut Look<'_>, alarm: &MetricAlarm) {
    let AlarmMetric::Single {
        metric, statistic, ..
    } = &alarm.metric
    else {
        return filled(look, alarm);
    };
    let low = alarm.comparison.starts_with("LessThan");
    let evidence = format!("TreatMissingData is {}", alarm.treat_missing_data);
    let only_on_error = ONLY_ON_ERROR.contains(&(&metric.namespace, &metric.metric));
    if only_on_error && alarm.treat_missing_data == "breaching" && !low {
        look.report(
            "alarms.missing-data",
            Severity::Medium,
            format!(
                "{} is only published when something fails, and silence puts the alarm into ALARM",
                metric.metric
            ),
            evidence,
            "treat missing data as notBreaching",
        );
    } else if low
        && matches!(statistic.as_str(), "Sum" | "SampleCount")
        && alarm.treat_missing_data == "notBreaching"
    {
        look.report(
            "alarms.missing-data",
            Severity::Medium,
            "a heartbeat: it watches for too little, and no data at all counts as good".to_owned(),
            evidence,
            "treat missing data as breaching",
        );
    }
}

/// A dead-man switch whose silence is filled never sees it.
fn filled(look: &mut Look<'_>, alarm: &MetricAlarm) {
    let AlarmMetric::Math(queries) = &alarm.metric else {
        return;
    };
    let filled = queries.iter().any(|q| {
        q.return_data
            && matches!(&q.kind, QueryKind::Expression { expression, .. }
                if expression.to_ascii_uppercase().contains("REPEAT"))
    });
    if filled && alarm.treat_missing_data == "breaching" {
        look.report(
            "alarms.missing-data",
            Severity::Medium,
            "missing data counts as breaching, but FILL(…, REPEAT) leaves nothing missing"
                .to_owned(),
            "the last value is repeated for as long as the range of the evaluation has one"
                .to_owned(),
            "take the FILL away, or give the silence an alarm of its own",
        );
    }
}
