//! Cost Anomaly Detection: monitors and subscriptions. Every page of an answer is billed.

mod write;

use std::collections::BTreeSet;

use aws_sdk_costexplorer::types as sdk;
use futures::future::try_join;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::expression::costexplorer_json;
use super::money::decimal;
use crate::aws::error::Named;
use crate::aws::listing::pages;
use crate::aws::pace::Api;
use crate::aws::session::Region;
use crate::cloud::CloudError;
use crate::inventory::{AnomalySubscriptionFact, MonitorFact};
use crate::model::object::{AnomalyMonitor, AnomalySubscription, Extra, MonitorScope, Subscriber};

pub use write::execute;

pub const MONITORS: &str = "ce:GetAnomalyMonitors";
pub const SUBSCRIPTIONS: &str = "ce:GetAnomalySubscriptions";
/// The API model gives no limit.
const PAGE: i32 = 100;
/// 0.01 USD in millionths, for every request and page. Source: "AWS Cost Explorer pricing".
pub const PRICE: u64 = 10_000;

const ABSOLUTE: &str = "ANOMALY_TOTAL_IMPACT_ABSOLUTE";
const AT_LEAST: &str = "GREATER_THAN_OR_EQUAL";

/// Waits for its turn, and notes the price.
macro_rules! billed {
    ($region:expr, $call:expr) => {{
        $region.pace(Api::CostExplorer).await;
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
        [value] => decimal(value.as_str()?),
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
        None => found.threshold().and_then(|t| decimal(&t.to_string())),
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
