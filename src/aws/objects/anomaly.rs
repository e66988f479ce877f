//! Cost Anomaly Detection: monitors and subscriptions. Every page of an answer is billed.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_costexplorer::config::retry::RetryConfig;
use aws_sdk_costexplorer::types as sdk;
use futures::future::try_join;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::super::error::{self, Named};
use super::super::listing::pages;
use super::super::pace::Api;
use super::super::session::Region;
use super::expression::costexplorer_json;
use crate::cloud::{Call, CloudError};
use crate::inventory::{AnomalySubscriptionFact, MonitorFact};
use crate::model::Tags;
use crate::model::object::{AnomalyMonitor, AnomalySubscription, Extra, MonitorScope, Subscriber};

pub const MONITORS: &str = "ce:GetAnomalyMonitors";
pub const SUBSCRIPTIONS: &str = "ce:GetAnomalySubscriptions";
/// The API model gives no limit.
const PAGE: i32 = 100;
/// 0.01 USD in millionths, for every request and page. Source: "AWS Cost Explorer pricing".
pub const PRICE: u64 = 10_000;

const ABSOLUTE: &str = "ANOMALY_TOTAL_IMPACT_ABSOLUTE";
const AT_LEAST: &str = "GREATER_THAN_OR_EQUAL";

/// Tries of a create that is throttled.
const CREATES: u32 = 4;
const PAUSE: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 1000 });

/// Waits for its turn, and notes the price.
macro_rules! billed {
    ($region:expr, $call:expr) => {{
        $region.pace(Api::CostManagement).await;
        // Nothing says that refused requests are free.
        let price = $crate::aws::objects::anomaly::PRICE;
        $region.shared.meter.bill(price);
        $call.await
    }};
}
pub(super) use billed;

async fn list_monitors(region: &Region) -> Result<Vec<sdk::AnomalyMonitor>, CloudError> {
    let mut found = Vec::new();
    pages!(MONITORS, |token| {
        let call = region.costexplorer().get_anomaly_monitors();
        let call = call.max_results(PAGE).set_next_page_token(token);
        let page = billed!(region, call.send()).named(MONITORS)?;
        found.extend(page.anomaly_monitors);
        Ok(page.next_page_token)
    })?;
    Ok(found)
}

async fn list_subscriptions(region: &Region) -> Result<Vec<sdk::AnomalySubscription>, CloudError> {
    let mut found = Vec::new();
    pages!(SUBSCRIPTIONS, |token| {
        let call = region.costexplorer().get_anomaly_subscriptions();
        let call = call.max_results(PAGE).set_next_page_token(token);
        let page = billed!(region, call.send()).named(SUBSCRIPTIONS)?;
        found.extend(page.anomaly_subscriptions);
        Ok(page.next_page_token)
    })?;
    Ok(found)
}

fn scope(found: &sdk::AnomalyMonitor) -> MonitorScope {
    let specification = found.monitor_specification().map(costexplorer_json);
    let dimension = found.monitor_dimension().map(|d| d.as_str());
    if let (Some(dimension), None) = (dimension, &specification) {
        return MonitorScope::Dimension(dimension.to_owned());
    }
    if dimension.is_none()
        && let Some(accounts) = specification.as_ref().and_then(accounts)
    {
        return MonitorScope::Accounts(accounts);
    }
    let other = json!({
        "MonitorType": found.monitor_type().as_str(),
        "MonitorDimension": dimension,
        "MonitorSpecification": specification,
    });
    MonitorScope::Other(other.to_string())
}

/// The accounts of `{"Dimensions": {"Key": "LINKED_ACCOUNT", "Values": […]}}`, and of nothing else.
fn accounts(specification: &Value) -> Option<BTreeSet<String>> {
    let one = only(specification, "Dimensions")?;
    let known = ["Key", "Values", "MatchOptions"];
    let plain = one.keys().all(|k| known.contains(&k.as_str()))
        && one.get("Key")? == "LINKED_ACCOUNT"
        && one
            .get("MatchOptions")
            .is_none_or(|options| *options == json!(["EQUALS"]));
    let values = one.get("Values")?.as_array()?;
    plain.then(|| {
        let text = values.iter().filter_map(Value::as_str);
        text.map(str::to_owned).collect()
    })
}

/// The part of this name, if it is the only one.
fn only<'a>(expression: &'a Value, part: &str) -> Option<&'a serde_json::Map<String, Value>> {
    let map = expression.as_object().filter(|m| m.len() == 1)?;
    map.get(part)?.as_object()
}

/// The least impact in USD, where the threshold is that and nothing else.
fn minimum_impact(threshold: &Value) -> Option<Decimal> {
    let one = only(threshold, "Dimensions")?;
    if one.get("Key")? != ABSOLUTE || *one.get("MatchOptions")? != json!([AT_LEAST]) {
        return None;
    }
    match one.get("Values")?.as_array()?.as_slice() {
        [value] => super::money::decimal(value.as_str()?),
        _ => None,
    }
}

/// Sorted by name and ARN: of several with one name, the first is meant.
fn monitor_facts(found: Vec<sdk::AnomalyMonitor>) -> Vec<MonitorFact> {
    let mut facts: Vec<_> = found
        .iter()
        .map(|m| MonitorFact {
            arn: m.monitor_arn().unwrap_or_default().to_owned(),
            monitor: AnomalyMonitor {
                name: m.monitor_name().to_owned(),
                scope: scope(m),
            },
        })
        .collect();
    facts.sort_by(|a, b| (&a.monitor.name, &a.arn).cmp(&(&b.monitor.name, &b.arn)));
    facts
}

/// The monitor that a name means.
fn first<'a>(monitors: &'a [MonitorFact], name: &str) -> Option<&'a MonitorFact> {
    monitors.iter().find(|m| m.monitor.name == name)
}

/// A monitor by name; by its ARN where its name means another one, or where it is gone.
fn monitor_name(monitors: &[MonitorFact], arn: &str) -> String {
    let found = monitors.iter().find(|m| m.arn == arn);
    found
        .map(|m| m.monitor.name.as_str())
        .filter(|name| first(monitors, name).is_some_and(|m| m.arn == arn))
        .unwrap_or(arn)
        .to_owned()
}

#[allow(deprecated)] // `Threshold` is what older subscriptions may have instead.
fn subscription_fact(
    found: &sdk::AnomalySubscription,
    monitors: &[MonitorFact],
) -> AnomalySubscriptionFact {
    let mut extra = Extra::new();
    let expression = found.threshold_expression().map(costexplorer_json);
    let minimum = match &expression {
        Some(expression) => minimum_impact(expression),
        None => found
            .threshold()
            .and_then(|t| super::money::decimal(&t.to_string())),
    };
    if let (Some(expression), None) = (&expression, minimum) {
        extra.insert("ThresholdExpression".to_owned(), expression.to_string());
    }
    let mut subscribers = BTreeSet::new();
    let mut unconfirmed = BTreeSet::new();
    for subscriber in found.subscribers() {
        let address = subscriber.address().unwrap_or_default().to_owned();
        match subscriber.r#type() {
            Some(sdk::SubscriberType::Sns) => {
                subscribers.insert(Subscriber::Sns(address));
            }
            Some(sdk::SubscriberType::Email) => {
                if subscriber
                    .status()
                    .is_some_and(|s| *s != sdk::SubscriberStatus::Confirmed)
                {
                    unconfirmed.insert(address.clone());
                }
                subscribers.insert(Subscriber::Email(address));
            }
            other => {
                let kind = other.map_or("without a type", |t| t.as_str());
                extra.insert(format!("Subscriber {kind}"), address);
            }
        }
    }
    AnomalySubscriptionFact {
        arn: found.subscription_arn().unwrap_or_default().to_owned(),
        subscription: AnomalySubscription {
            name: found.subscription_name().to_owned(),
            monitors: found
                .monitor_arn_list()
                .iter()
                .map(|arn| monitor_name(monitors, arn))
                .collect(),
            frequency: found.frequency().as_str().to_owned(),
            minimum_impact_usd: minimum,
            subscribers,
            extra,
        },
        unconfirmed,
    }
}

/// All monitors of the account, by name and ARN.
pub async fn monitors(region: &Region) -> Result<Vec<MonitorFact>, CloudError> {
    list_monitors(region).await.map(monitor_facts)
}

/// All monitors and subscriptions; subscriptions name the monitors, so one needs the other.
pub async fn subscriptions(
    region: &Region,
) -> Result<(Vec<MonitorFact>, Vec<AnomalySubscriptionFact>), CloudError> {
    let (monitors, found) = try_join(monitors(region), list_subscriptions(region)).await?;
    let facts = subscription_facts(found, &monitors);
    Ok((monitors, facts))
}

fn subscription_facts(
    found: Vec<sdk::AnomalySubscription>,
    monitors: &[MonitorFact],
) -> Vec<AnomalySubscriptionFact> {
    let mut facts: Vec<_> = found
        .iter()
        .map(|s| subscription_fact(s, monitors))
        .collect();
    facts.sort_by(|a, b| (&a.subscription.name, &a.arn).cmp(&(&b.subscription.name, &b.arn)));
    facts
}

/// Both lists, each with its own failure. Without the monitors, subscriptions say nothing that
/// could be compared.
pub async fn observe(
    region: &Region,
) -> (
    Result<Vec<MonitorFact>, CloudError>,
    Result<Vec<AnomalySubscriptionFact>, CloudError>,
) {
    let (monitors, found) =
        futures::future::join(monitors(region), list_subscriptions(region)).await;
    let facts = match (&monitors, found) {
        (Ok(monitors), Ok(found)) => Ok(subscription_facts(found, monitors)),
        (Err(error), Ok(_)) => Err(error.clone()),
        (_, Err(error)) => Err(error),
    };
    (monitors, facts)
}

fn at_least(usd: Decimal) -> sdk::Expression {
    let dimension = sdk::DimensionValues::builder()
        .key(sdk::Dimension::AnomalyTotalImpactAbsolute)
        .match_options(sdk::MatchOption::GreaterThanOrEqual)
        .values(usd.normalize().to_string())
        .build();
    sdk::Expression::builder().dimensions(dimension).build()
}

fn sdk_monitor(
    operation: &str,
    monitor: &AnomalyMonitor,
) -> Result<sdk::AnomalyMonitor, CloudError> {
    let builder = sdk::AnomalyMonitor::builder().monitor_name(&monitor.name);
    let builder = match &monitor.scope {
        MonitorScope::Dimension(dimension) => builder
            .monitor_type(sdk::MonitorType::Dimensional)
            .monitor_dimension(sdk::MonitorDimension::from(dimension.as_str())),
        MonitorScope::Accounts(accounts) => {
            let dimension = sdk::DimensionValues::builder()
                .key(sdk::Dimension::LinkedAccount)
                .set_values(Some(accounts.iter().cloned().collect()))
                .build();
            let accounts = sdk::Expression::builder().dimensions(dimension).build();
            builder
                .monitor_type(sdk::MonitorType::Custom)
                .monitor_specification(accounts)
        }
        MonitorScope::Other(_) => {
            let message = "a monitor of this form is never made by opsctl";
            return Err(error::own(operation, "request", message));
        }
    };
    built(operation, builder.build())
}

fn built<T, E: std::fmt::Display>(operation: &str, part: Result<T, E>) -> Result<T, CloudError> {
    part.map_err(|e| error::own(operation, "request", e.to_string()))
}

fn sdk_subscribers(set: &BTreeSet<Subscriber>) -> Vec<sdk::Subscriber> {
    let one = |subscriber: &Subscriber| {
        let (kind, address) = match subscriber {
            Subscriber::Email(address) => (sdk::SubscriberType::Email, address),
            Subscriber::Sns(arn) => (sdk::SubscriberType::Sns, arn),
        };
        sdk::Subscriber::builder()
            .r#type(kind)
            .address(address)
            .build()
    };
    set.iter().map(one).collect()
}

fn sdk_tags(operation: &str, tags: &Tags) -> Result<Option<Vec<sdk::ResourceTag>>, CloudError> {
    let all = tags
        .iter()
        .map(|(k, v)| {
            built(
                operation,
                sdk::ResourceTag::builder().key(k).value(v).build(),
            )
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok((!all.is_empty()).then_some(all))
}

/// The ARNs of the monitors of a subscription.
fn monitor_arns(
    operation: &str,
    names: &BTreeSet<String>,
    monitors: &[MonitorFact],
) -> Result<Vec<String>, CloudError> {
    let arn = |name: &String| {
        let found = first(monitors, name).map(|m| m.arn.clone());
        let found = found.or_else(|| name.starts_with("arn:").then(|| name.clone()));
        found.ok_or_else(|| {
            let message = format!("there is no anomaly monitor `{name}` for it to watch");
            error::own(operation, "UnknownMonitorException", message)
        })
    };
    names.iter().map(arn).collect()
}

/// One write; `None`: it is not one of anomaly detection.
pub async fn execute(region: &Region, call: &Call) -> Option<Result<(), CloudError>> {
    Some(match call {
        Call::CreateAnomalyMonitor { monitor, tags } => create_monitor(region, monitor, tags).await,
        Call::DeleteAnomalyMonitor { name } => delete_monitor(region, name).await,
        Call::CreateAnomalySubscription { subscription, tags } => {
            create_subscription(region, subscription, tags).await
        }
        Call::UpdateAnomalySubscription { subscription } => {
            update_subscription(region, subscription).await
        }
        Call::DeleteAnomalySubscription { name } => delete_subscription(region, name).await,
        _ => return None,
    })
}

/// Names are not unique, so a create that is repeated blindly makes a second one: the SDK is not
/// to repeat it, and whoever asked has to look first. A refusal for the rate is repeated here.
macro_rules! created_once {
    ($region:expr, $operation:expr, $call:expr) => {{
        let mut tries = 1;
        loop {
            let once = aws_sdk_costexplorer::Config::builder()
                .retry_config(RetryConfig::standard().with_max_attempts(1));
            let call = $call.customize().config_override(once);
            match billed!($region, call.send()).named($operation) {
                Err(error) if tries < CREATES && is_rate(&error) => {
                    let pause = PAUSE * (1 << tries);
                    tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
                    tries += 1;
                }
                other => break other.map(drop).map_err(quota_told),
            }
        }
    }};
}

/// `LimitExceededException` is both: too many calls, and too many monitors.
/// Source: API model, ce; the text of the quota: "Limit exceeded on dimensional spend monitor
/// creation".
fn is_rate(error: &CloudError) -> bool {
    error::is_throttle(&error.code)
        || (error.code == "LimitExceededException" && !is_quota(&error.message))
}

fn is_quota(message: &str) -> bool {
    let message = message.to_lowercase();
    message.contains("limit exceeded on") || message.contains("creation")
}

fn quota_told(error: CloudError) -> CloudError {
    if error.code == "LimitExceededException" && is_quota(&error.message) {
        let message = format!(
            "{} (an account has one monitor of its services: remove the other one, or let it do)",
            error.message
        );
        return CloudError { message, ..error };
    }
    error
}

async fn create_monitor(
    region: &Region,
    monitor: &AnomalyMonitor,
    tags: &Tags,
) -> Result<(), CloudError> {
    let operation = "ce:CreateAnomalyMonitor";
    let monitor = sdk_monitor(operation, monitor)?;
    let tags = sdk_tags(operation, tags)?;
    created_once!(
        region,
        operation,
        region
            .costexplorer()
            .create_anomaly_monitor()
            .anomaly_monitor(monitor.clone())
            .set_resource_tags(tags.clone())
    )
}

async fn delete_monitor(region: &Region, name: &str) -> Result<(), CloudError> {
    let operation = "ce:DeleteAnomalyMonitor";
    let monitors = monitors(region).await?;
    let Some(found) = first(&monitors, name) else {
        return Ok(());
    };
    let call = region.costexplorer().delete_anomaly_monitor();
    let call = call.monitor_arn(&found.arn);
    let result = billed!(region, call.send()).named(operation).map(drop);
    gone_is_done(result, "UnknownMonitorException")
}

/// Removing what is gone is done.
fn gone_is_done(result: Result<(), CloudError>, code: &str) -> Result<(), CloudError> {
    match result {
        Err(error) if error.code == code => Ok(()),
        other => other,
    }
}

async fn create_subscription(
    region: &Region,
    subscription: &AnomalySubscription,
    tags: &Tags,
) -> Result<(), CloudError> {
    let operation = "ce:CreateAnomalySubscription";
    let monitors = monitors(region).await?;
    let threshold = subscription.minimum_impact_usd.map(at_least);
    let built_one = sdk::AnomalySubscription::builder()
        .subscription_name(&subscription.name)
        .set_monitor_arn_list(Some(monitor_arns(
            operation,
            &subscription.monitors,
            &monitors,
        )?))
        .set_subscribers(Some(sdk_subscribers(&subscription.subscribers)))
        .frequency(sdk::AnomalySubscriptionFrequency::from(
            subscription.frequency.as_str(),
        ))
        .set_threshold_expression(threshold)
        .build();
    let wanted = built(operation, built_one)?;
    let tags = sdk_tags(operation, tags)?;
    created_once!(
        region,
        operation,
        region
            .costexplorer()
            .create_anomaly_subscription()
            .anomaly_subscription(wanted.clone())
            .set_resource_tags(tags.clone())
    )
}

async fn update_subscription(
    region: &Region,
    subscription: &AnomalySubscription,
) -> Result<(), CloudError> {
    let operation = "ce:UpdateAnomalySubscription";
    let (monitors, found) = subscriptions(region).await?;
    let found = found
        .iter()
        .find(|s| s.subscription.name == subscription.name);
    let Some(found) = found else {
        let message = format!("there is no anomaly subscription `{}`", subscription.name);
        let code = "UnknownSubscriptionException";
        return Err(error::own(operation, code, message));
    };
    let arns = monitor_arns(operation, &subscription.monitors, &monitors)?;
    let call = region.costexplorer().update_anomaly_subscription();
    let call = call
        .subscription_arn(&found.arn)
        .set_monitor_arn_list(Some(arns))
        .set_subscribers(Some(sdk_subscribers(&subscription.subscribers)))
        .frequency(sdk::AnomalySubscriptionFrequency::from(
            subscription.frequency.as_str(),
        ))
        .set_threshold_expression(subscription.minimum_impact_usd.map(at_least));
    billed!(region, call.send()).named(operation).map(drop)
}

async fn delete_subscription(region: &Region, name: &str) -> Result<(), CloudError> {
    let operation = "ce:DeleteAnomalySubscription";
    let found = list_subscriptions(region).await?;
    let arns = found
        .iter()
        .filter(|s| s.subscription_name() == name)
        .filter_map(|s| s.subscription_arn());
    let Some(arn) = arns.min() else {
        return Ok(());
    };
    let call = region.costexplorer().delete_anomaly_subscription();
    let call = call.subscription_arn(arn);
    let result = billed!(region, call.send()).named(operation).map(drop);
    gone_is_done(result, "UnknownSubscriptionException")
}
