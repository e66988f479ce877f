//! Writes of anomaly monitors and subscriptions.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_costexplorer::config::retry::RetryConfig;
use aws_sdk_costexplorer::types as sdk;
use rust_decimal::Decimal;

use super::{billed, first, list_subscriptions, monitors, subscriptions};
use crate::aws::error::{self, Named};
use crate::aws::pace::Api;
use crate::aws::session::Region;
use crate::cloud::{Call, CloudError};
use crate::inventory::MonitorFact;
use crate::model::Tags;
use crate::model::object::{AnomalyMonitor, AnomalySubscription, MonitorScope, Subscriber};

/// Tries of a create that is throttled.
const CREATES: u32 = 4;
const PAUSE: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 1000 });

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
