//! Writes of budgets, their notifications and subscribers.

use std::collections::BTreeSet;

use aws_sdk_budgets::types as sdk;

use super::convert::NO_END;
use crate::aws::error::{self, Named};
use crate::aws::pace::Api;
use crate::aws::session::Region;
use crate::cloud::{Call, CloudError};
use crate::model::Tags;
use crate::model::object::{Budget, NotificationKey, Subscriber, ThresholdUnit, When};

/// The SDK's builders only miss what is missing in our own types: nothing.
fn built<T, E: std::fmt::Display>(operation: &str, part: Result<T, E>) -> Result<T, CloudError> {
    part.map_err(|e| error::own(operation, "request", e.to_string()))
}

#[allow(deprecated)] // The newer form cannot say what to include by kind of charge.
fn sdk_budget(operation: &str, budget: &Budget) -> Result<sdk::Budget, CloudError> {
    let limit = budget.limit.as_ref().map(|limit| {
        sdk::Spend::builder()
            .amount(limit.amount.normalize().to_string())
            .unit(&limit.unit)
            .build()
    });
    let limit = limit.map(|l| built(operation, l)).transpose()?;
    let types = &budget.cost_types;
    let types = sdk::CostTypes::builder()
        .include_tax(types.include_tax)
        .include_subscription(types.include_subscription)
        .include_refund(types.include_refund)
        .include_credit(types.include_credit)
        .include_upfront(types.include_upfront)
        .include_recurring(types.include_recurring)
        .include_other_subscription(types.include_other_subscription)
        .include_support(types.include_support)
        .include_discount(types.include_discount)
        .use_amortized(types.use_amortized)
        .use_blended(types.use_blended)
        .build();
    let filters = budget.filters.iter();
    let filters = filters.map(|(k, v)| (k.clone(), v.iter().cloned().collect()));
    let end = aws_smithy_types::DateTime::from_secs(NO_END);
    built(
        operation,
        sdk::Budget::builder()
            .budget_name(&budget.name)
            .set_budget_limit(limit)
            .set_cost_filters((!budget.filters.is_empty()).then(|| filters.collect()))
            // Other budgets have none. Source: API model, `budgets:Budget`.
            .set_cost_types((budget.kind == "COST").then_some(types))
            .time_unit(sdk::TimeUnit::from(budget.time_unit.as_str()))
            // Told, so that an end that somebody set goes; the start is AWS's default.
            .time_period(sdk::TimePeriod::builder().end(end).build())
            .budget_type(sdk::BudgetType::from(budget.kind.as_str()))
            .build(),
    )
}

fn sdk_notification(
    operation: &str,
    key: &NotificationKey,
) -> Result<sdk::Notification, CloudError> {
    let threshold = key.threshold.to_string().parse::<f64>();
    built(
        operation,
        sdk::Notification::builder()
            .notification_type(match key.when {
                When::Actual => sdk::NotificationType::Actual,
                When::Forecast => sdk::NotificationType::Forecasted,
            })
            .comparison_operator(sdk::ComparisonOperator::from(key.operator.as_str()))
            .threshold(built(operation, threshold)?)
            .threshold_type(match key.unit {
                ThresholdUnit::Percent => sdk::ThresholdType::Percentage,
                ThresholdUnit::Absolute => sdk::ThresholdType::AbsoluteValue,
            })
            .build(),
    )
}

fn sdk_subscriber(operation: &str, subscriber: &Subscriber) -> Result<sdk::Subscriber, CloudError> {
    let (kind, address) = match subscriber {
        Subscriber::Email(address) => (sdk::SubscriptionType::Email, address),
        Subscriber::Sns(arn) => (sdk::SubscriptionType::Sns, arn),
    };
    let built_one = sdk::Subscriber::builder()
        .subscription_type(kind)
        .address(address)
        .build();
    built(operation, built_one)
}

fn sdk_subscribers(
    operation: &str,
    set: &BTreeSet<Subscriber>,
) -> Result<Vec<sdk::Subscriber>, CloudError> {
    set.iter().map(|s| sdk_subscriber(operation, s)).collect()
}

/// A refusal that says that an earlier try of the same call was carried out, or what to do.
fn judged(error: CloudError) -> CloudError {
    match error.code.as_str() {
        // The SDK repeats a call whose answer was lost: then this is the trace of the first try.
        "DuplicateRecordException" => CloudError {
            maybe_done: true,
            ..error
        },
        "CreationLimitExceededException" => CloudError {
            message: format!(
                "{} (AWS takes 5 to 10 alerts per budget, and per alert one topic and 10 e-mail \
                 addresses: configure fewer)",
                error.message
            ),
            ..error
        },
        _ => error,
    }
}

/// Removing what is gone is done.
fn gone_is_done(result: Result<(), CloudError>) -> Result<(), CloudError> {
    match result {
        Err(error) if error::is_not_found(&error) => Ok(()),
        other => other,
    }
}

/// One write; `None`: it is not one of budgets.
pub async fn execute(region: &Region, call: &Call) -> Option<Result<(), CloudError>> {
    let result = write(region, call).await?;
    Some(result.map_err(judged))
}

async fn write(region: &Region, call: &Call) -> Option<Result<(), CloudError>> {
    Some(match call {
        Call::CreateBudget { budget, tags } => create(region, budget, tags).await,
        Call::UpdateBudget { budget } => update(region, budget).await,
        Call::DeleteBudget { budget } => {
            region.pace(Api::WriteBudgets).await;
            let call = region.budgets().delete_budget();
            let call = call.account_id(&region.account).budget_name(budget);
            gone_is_done(call.send().await.named("budgets:DeleteBudget").map(drop))
        }
        Call::CreateNotification {
            budget,
            notification,
            subscribers,
        } => create_notification(region, budget, notification, subscribers).await,
        Call::DeleteNotification {
            budget,
            notification,
        } => delete_notification(region, budget, notification).await,
        Call::CreateSubscriber {
            budget,
            notification,
            subscriber,
        } => create_subscriber(region, budget, notification, subscriber).await,
        Call::DeleteSubscriber {
            budget,
            notification,
            subscriber,
        } => delete_subscriber(region, budget, notification, subscriber).await,
        _ => return None,
    })
}

async fn create(region: &Region, budget: &Budget, tags: &Tags) -> Result<(), CloudError> {
    let operation = "budgets:CreateBudget";
    let mut call = region
        .budgets()
        .create_budget()
        .account_id(&region.account)
        .budget(sdk_budget(operation, budget)?);
    for (key, subscribers) in &budget.notifications {
        let one = sdk::NotificationWithSubscribers::builder()
            .notification(sdk_notification(operation, key)?)
            .set_subscribers(Some(sdk_subscribers(operation, subscribers)?))
            .build();
        call = call.notifications_with_subscribers(built(operation, one)?);
    }
    for (key, value) in tags {
        let tag = sdk::ResourceTag::builder().key(key).value(value).build();
        call = call.resource_tags(built(operation, tag)?);
    }
    region.pace(Api::WriteBudgets).await;
    call.send().await.named(operation).map(drop)
}

async fn update(region: &Region, budget: &Budget) -> Result<(), CloudError> {
    let operation = "budgets:UpdateBudget";
    let new = sdk_budget(operation, budget)?;
    region.pace(Api::WriteBudgets).await;
    let call = region.budgets().update_budget();
    let call = call.account_id(&region.account).new_budget(new);
    call.send().await.named(operation).map(drop)
}

async fn create_notification(
    region: &Region,
    budget: &str,
    key: &NotificationKey,
    subscribers: &BTreeSet<Subscriber>,
) -> Result<(), CloudError> {
    let operation = "budgets:CreateNotification";
    let notification = sdk_notification(operation, key)?;
    let subscribers = sdk_subscribers(operation, subscribers)?;
    region.pace(Api::WriteBudgets).await;
    let call = region.budgets().create_notification();
    let call = call.account_id(&region.account).budget_name(budget);
    let call = call.notification(notification);
    let call = call.set_subscribers(Some(subscribers));
    call.send().await.named(operation).map(drop)
}

async fn delete_notification(
    region: &Region,
    budget: &str,
    key: &NotificationKey,
) -> Result<(), CloudError> {
    let operation = "budgets:DeleteNotification";
    let notification = sdk_notification(operation, key)?;
    region.pace(Api::WriteBudgets).await;
    let call = region.budgets().delete_notification();
    let call = call.account_id(&region.account).budget_name(budget);
    let call = call.notification(notification);
    gone_is_done(call.send().await.named(operation).map(drop))
}

async fn create_subscriber(
    region: &Region,
    budget: &str,
    key: &NotificationKey,
    subscriber: &Subscriber,
) -> Result<(), CloudError> {
    let operation = "budgets:CreateSubscriber";
    let notification = sdk_notification(operation, key)?;
    let subscriber = sdk_subscriber(operation, subscriber)?;
    region.pace(Api::WriteBudgets).await;
    let call = region.budgets().create_subscriber();
    let call = call.account_id(&region.account).budget_name(budget);
    let call = call.notification(notification).subscriber(subscriber);
    call.send().await.named(operation).map(drop)
}

async fn delete_subscriber(
    region: &Region,
    budget: &str,
    key: &NotificationKey,
    subscriber: &Subscriber,
) -> Result<(), CloudError> {
    let operation = "budgets:DeleteSubscriber";
    let notification = sdk_notification(operation, key)?;
    let subscriber = sdk_subscriber(operation, subscriber)?;
    region.pace(Api::WriteBudgets).await;
    let call = region.budgets().delete_subscriber();
    let call = call.account_id(&region.account).budget_name(budget);
    let call = call.notification(notification).subscriber(subscriber);
    gone_is_done(call.send().await.named(operation).map(drop))
}
