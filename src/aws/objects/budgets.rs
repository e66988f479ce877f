//! AWS Budgets: budgets, their notifications and subscribers, between the SDK's types and ours.

use std::collections::BTreeSet;

use aws_sdk_budgets::types as sdk;
use futures::future::{join, join_all};

use super::super::error::{self, Named};
use super::super::listing::{pages, tags};
use super::super::pace::Api;
use super::super::session::Region;
use super::expression::{budgets_json, leaves};
use super::money::decimal;
use crate::cloud::{Call, CloudError};
use crate::inventory::{BudgetFact, Observed};
use crate::model::Tags;
use crate::model::object::{
    Budget, CostTypes, Extra, Money, Notification, NotificationKey, ObjectKind, Subscriber,
    ThresholdUnit, When,
};

pub const LIST: &str = "budgets:DescribeBudgets";
const DESCRIBE: &str = "budgets:DescribeBudget";
const ALL_NOTIFICATIONS: &str = "budgets:DescribeBudgetNotificationsForAccount";
const NOTIFICATIONS: &str = "budgets:DescribeNotificationsForBudget";
const SUBSCRIBERS: &str = "budgets:DescribeSubscribersForNotification";
const TAGS: &str = "budgets:ListTagsForResource";

/// The end that AWS gives to budgets without one: 15 June 2087, in epoch seconds.
/// Source: API model, `budgets:TimePeriod`.
const NO_END: i64 = 3_706_473_600;
/// Of DescribeBudgets and DescribeBudgetNotificationsForAccount. Source: API model, budgets.
const PAGE: i32 = 1000;
/// Of the lists of one budget. Source: API model, `budgets:MaxResults`.
const SMALL_PAGE: i32 = 100;

/// Names of ours begin like this; only their tags are read.
const OURS: &str = "opsctl-";

fn money(spend: &sdk::Spend) -> Option<Money> {
    Some(Money {
        amount: decimal(&spend.amount)?,
        unit: spend.unit.clone(),
    })
}

fn text(spend: &sdk::Spend) -> String {
    money(spend).map_or_else(
        || format!("{} {}", spend.amount, spend.unit),
        |m| format!("{} {}", m.amount, m.unit),
    )
}

/// Whether AWS can only have derived the filter expression from the older `CostFilters` and
/// `CostTypes`, which are there too. They cannot be given together, but nothing says that they
/// are not answered together. Source: API model, `budgets:CreateBudget`.
fn is_derived(expression: &sdk::Expression, filters: &Budget) -> bool {
    let listed = |value: &str| {
        filters
            .filters
            .values()
            .flatten()
            .any(|f| f == value || f.split_once('$').is_some_and(|(_, v)| v == value))
    };
    leaves(&budgets_json(expression))
        .iter()
        .all(|(key, values)| {
            key == "RECORD_TYPE" || (!values.is_empty() && values.iter().all(|v| listed(v)))
        })
}

/// A budget without its notifications, with what AWS calculated for it.
#[allow(deprecated)] // CostFilters and CostTypes are what budgets of all ages have.
fn fact(found: &sdk::Budget) -> BudgetFact {
    let mut extra = Extra::new();
    let planned = found.planned_budget_limits().filter(|p| !p.is_empty());
    if let Some(planned) = planned {
        let mut all: Vec<_> = planned.iter().map(|(at, s)| (at, text(s))).collect();
        all.sort();
        let all: Vec<_> = all.iter().map(|(at, s)| format!("{at}: {s}")).collect();
        extra.insert("PlannedBudgetLimits".to_owned(), all.join(", "));
    }
    if let Some(auto) = found.auto_adjust_data() {
        let mut says = auto.auto_adjust_type().as_str().to_owned();
        if let Some(history) = auto.historical_options() {
            let periods = history.budget_adjustment_period();
            says = format!("{says}, {periods} periods");
        }
        extra.insert("AutoAdjustData".to_owned(), says);
    }
    let fixed = planned.is_none() && found.auto_adjust_data().is_none();
    let limit = found.budget_limit().filter(|_| fixed);
    if let Some(odd) = limit.filter(|l| money(l).is_none()) {
        extra.insert("BudgetLimit".to_owned(), text(odd));
    }
    if let Some(end) = found.time_period().and_then(|p| p.end())
        && end.secs() != NO_END
    {
        extra.insert("TimePeriod.End".to_owned(), end.to_string());
    }
    if let Some(view) = found.billing_view_arn()
        && !view.ends_with(":billingview/primary")
    {
        extra.insert("BillingViewArn".to_owned(), view.to_owned());
    }
    let budget = Budget {
        name: found.budget_name().to_owned(),
        kind: found.budget_type().as_str().to_owned(),
        time_unit: found.time_unit().as_str().to_owned(),
        limit: limit.and_then(money),
        filters: found
            .cost_filters()
            .into_iter()
            .flatten()
            .filter(|(_, values)| !values.is_empty())
            .map(|(key, values)| (key.clone(), values.iter().cloned().collect()))
            .collect(),
        cost_types: found
            .cost_types()
            .map_or_else(CostTypes::default, own_types),
        notifications: Default::default(),
        extra: Extra::new(),
    };
    let old_form = found.cost_types().is_some();
    if let Some(expression) = found.filter_expression()
        && !(old_form && is_derived(expression, &budget))
    {
        let json = budgets_json(expression).to_string();
        extra.insert("FilterExpression".to_owned(), json);
    }
    if !old_form && !found.metrics().is_empty() {
        let metrics: Vec<_> = found.metrics().iter().map(|m| m.as_str()).collect();
        extra.insert("Metrics".to_owned(), metrics.join(", "));
    }
    let spend = found.calculated_spend();
    let health = found.health_status();
    let unhealthy = health.filter(|h| h.status() == Some(&sdk::HealthStatusValue::Unhealthy));
    BudgetFact {
        budget: Budget { extra, ..budget },
        unread: None,
        actual: spend
            .and_then(|s| s.actual_spend())
            .and_then(|s| decimal(&s.amount)),
        forecast: spend
            .and_then(|s| s.forecasted_spend())
            .and_then(|s| decimal(&s.amount)),
        unhealthy: unhealthy.map(|h| {
            h.status_reason()
                .map_or("UNHEALTHY", |r| r.as_str())
                .to_owned()
        }),
        tags: Observed::default(),
    }
}

fn own_types(found: &sdk::CostTypes) -> CostTypes {
    let default = CostTypes::default();
    CostTypes {
        include_tax: found.include_tax().unwrap_or(default.include_tax),
        include_subscription: found
            .include_subscription()
            .unwrap_or(default.include_subscription),
        include_refund: found.include_refund().unwrap_or(default.include_refund),
        include_credit: found.include_credit().unwrap_or(default.include_credit),
        include_upfront: found.include_upfront().unwrap_or(default.include_upfront),
        include_recurring: found
            .include_recurring()
            .unwrap_or(default.include_recurring),
        include_other_subscription: found
            .include_other_subscription()
            .unwrap_or(default.include_other_subscription),
        include_support: found.include_support().unwrap_or(default.include_support),
        include_discount: found.include_discount().unwrap_or(default.include_discount),
        use_amortized: found.use_amortized().unwrap_or(default.use_amortized),
        use_blended: found.use_blended().unwrap_or(default.use_blended),
    }
}

/// `None`: a kind that this version does not know.
fn own_key(found: &sdk::Notification) -> Option<NotificationKey> {
    Some(NotificationKey {
        when: match found.notification_type() {
            sdk::NotificationType::Actual => When::Actual,
            sdk::NotificationType::Forecasted => When::Forecast,
            _ => return None,
        },
        operator: found.comparison_operator().as_str().to_owned(),
        // The shortest text that gives this number again.
        threshold: decimal(&found.threshold().to_string())?,
        unit: match found.threshold_type() {
            None | Some(sdk::ThresholdType::Percentage) => ThresholdUnit::Percent,
            Some(sdk::ThresholdType::AbsoluteValue) => ThresholdUnit::Absolute,
            Some(_) => return None,
        },
    })
}

fn shown(found: &sdk::Notification) -> String {
    format!(
        "{} {} {} {}",
        found.notification_type().as_str(),
        found.comparison_operator().as_str(),
        found.threshold(),
        found.threshold_type().map_or("PERCENTAGE", |t| t.as_str())
    )
}

/// What is known of the notifications of one budget.
#[derive(Debug, Default)]
struct Alerts {
    read: Vec<Notification>,
    /// Notifications and subscribers of kinds that this version does not know.
    extra: Extra,
    failed: Vec<CloudError>,
}

/// The subscribers of notifications, in flight together; a notification that is gone by now is
/// left out.
async fn alerts(region: &Region, budget: &str, found: Vec<sdk::Notification>) -> Alerts {
    let reads = found.iter().map(|n| subscribers(region, budget, n));
    let mut all = Alerts::default();
    for (notification, answer) in found.iter().zip(join_all(reads).await) {
        let Some(key) = own_key(notification) else {
            let key = format!("Notification {}", shown(notification));
            all.extra.insert(key, "of a kind unknown here".to_owned());
            continue;
        };
        match answer {
            Ok(list) => {
                let mut known = BTreeSet::new();
                for subscriber in list {
                    let address = subscriber.address().to_owned();
                    match subscriber.subscription_type() {
                        sdk::SubscriptionType::Email => {
                            known.insert(Subscriber::Email(address));
                        }
                        sdk::SubscriptionType::Sns => {
                            known.insert(Subscriber::Sns(address));
                        }
                        other => {
                            let kind = other.as_str();
                            let key = format!("Subscriber {kind} of {key}");
                            all.extra.insert(key, address);
                        }
                    }
                }
                all.read.push((key, known));
            }
            Err(error) if error::is_not_found(&error) => {}
            Err(error) => {
                all.read.push((key, BTreeSet::new()));
                all.failed.push(error);
            }
        }
    }
    all
}

async fn subscribers(
    region: &Region,
    budget: &str,
    notification: &sdk::Notification,
) -> Result<Vec<sdk::Subscriber>, CloudError> {
    let _slot = region.slot().await;
    let mut found = Vec::new();
    let asked = identity(notification)?;
    pages!(SUBSCRIBERS, |token| {
        region.pace(Api::ReadBudgets).await;
        let call = region.budgets().describe_subscribers_for_notification();
        let page = call
            .account_id(&region.account)
            .budget_name(budget)
            .notification(asked.clone())
            .max_results(SMALL_PAGE)
            .set_next_token(token)
            .send()
            .await
            .named(SUBSCRIBERS)?;
        found.extend(page.subscribers.unwrap_or_default());
        Ok(page.next_token)
    })?;
    Ok(found)
}

/// A notification as requests name it: without its state.
fn identity(found: &sdk::Notification) -> Result<sdk::Notification, CloudError> {
    sdk::Notification::builder()
        .notification_type(found.notification_type().clone())
        .comparison_operator(found.comparison_operator().clone())
        .threshold(found.threshold())
        .set_threshold_type(found.threshold_type().cloned())
        .build()
        .map_err(|e| error::own(SUBSCRIBERS, "request", e.to_string()))
}

async fn notifications(
    region: &Region,
    budget: &str,
) -> Result<Vec<sdk::Notification>, CloudError> {
    let mut found = Vec::new();
    pages!(NOTIFICATIONS, |token| {
        region.pace(Api::ReadBudgets).await;
        let call = region.budgets().describe_notifications_for_budget();
        let page = call
            .account_id(&region.account)
            .budget_name(budget)
            .max_results(SMALL_PAGE)
            .set_next_token(token)
            .send()
            .await
            .named(NOTIFICATIONS)?;
        found.extend(page.notifications.unwrap_or_default());
        Ok(page.next_token)
    })?;
    Ok(found)
}

/// All notifications of the account by the name of their budget, without subscribers.
async fn all_notifications(
    region: &Region,
) -> Result<Vec<(String, Vec<sdk::Notification>)>, CloudError> {
    let mut found = Vec::new();
    pages!(ALL_NOTIFICATIONS, |token| {
        region.pace(Api::ReadBudgets).await;
        let call = region.budgets().describe_budget_notifications_for_account();
        let page = call
            .account_id(&region.account)
            .max_results(PAGE)
            .set_next_token(token)
            .send()
            .await
            .named(ALL_NOTIFICATIONS)?;
        for of in page.budget_notifications_for_account.unwrap_or_default() {
            found.extend(of.budget_name.zip(of.notifications));
        }
        Ok(page.next_token)
    })?;
    Ok(found)
}

async fn budgets(region: &Region) -> Result<Vec<sdk::Budget>, CloudError> {
    let mut found = Vec::new();
    pages!(LIST, |token| {
        region.pace(Api::ReadBudgets).await;
        let call = region.budgets().describe_budgets();
        let page = call
            .account_id(&region.account)
            .show_filter_expression(true)
            .max_results(PAGE)
            .set_next_token(token)
            .send()
            .await
            .named(LIST)?;
        found.extend(page.budgets.unwrap_or_default());
        Ok(page.next_token)
    })?;
    Ok(found)
}

async fn read_tags(region: &Region, budget: &str) -> Result<Tags, CloudError> {
    region.pace(Api::ReadBudgets).await;
    let arn = ObjectKind::Budget.arn(region.partition(), "", &region.account, budget);
    let call = region.budgets().list_tags_for_resource();
    let answer = call.resource_arn(arn).send().await.named(TAGS)?;
    let list = answer.resource_tags();
    Ok(tags(list.iter().map(|t| (Some(t.key()), Some(t.value())))))
}

/// All budgets of the account by name, and what of them could not be read, with the budget's name.
///
/// # Errors
/// The budgets themselves could not be listed.
pub async fn observe(
    region: &Region,
) -> Result<(Vec<BudgetFact>, Vec<(String, CloudError)>), CloudError> {
    let (found, at_once) = join(budgets(region), all_notifications(region)).await;
    let found = found?;
    // Where the one call does not work, each budget is asked; so is a budget that was made since.
    let mut at_once = at_once.ok();
    let mut known = |name: &str| {
        let all = at_once.as_mut()?;
        let mut own = Vec::new();
        all.retain_mut(|(of, list)| {
            let other = of != name;
            if !other {
                own.append(list);
            }
            other
        });
        Some(own)
    };
    let reads = found.iter().map(|b| (b, known(b.budget_name())));
    let reads: Vec<_> = reads.collect();
    let answers = join_all(reads.into_iter().map(|(b, known)| one(region, b, known))).await;
    let mut failures = Vec::new();
    let mut facts = Vec::new();
    for (fact, failed) in answers.into_iter().flatten() {
        let name = fact.budget.name.clone();
        failures.extend(failed.into_iter().map(|e| (name.clone(), e)));
        facts.push(fact);
    }
    facts.sort_by(|a, b| a.budget.name.cmp(&b.budget.name));
    Ok((facts, failures))
}

/// The rest of one budget, as far as it could be read; `None` if it is gone.
async fn one(
    region: &Region,
    found: &sdk::Budget,
    known: Option<Vec<sdk::Notification>>,
) -> Option<(BudgetFact, Vec<CloudError>)> {
    let mut fact = fact(found);
    let name = fact.budget.name.clone();
    let asked = async {
        let list = match known {
            Some(list) => list,
            None => {
                let _slot = region.slot().await;
                notifications(region, &name).await?
            }
        };
        Ok::<_, CloudError>(alerts(region, &name, list).await)
    };
    let own_tags = async {
        match name.starts_with(OURS) {
            true => Some(read_tags(region, &name).await),
            false => None,
        }
    };
    let (alerts, own_tags) = join(asked, own_tags).await;
    let mut failed = Vec::new();
    match alerts {
        Ok(alerts) => {
            fact.unread = alerts.failed.first().map(error::text);
            failed.extend(alerts.failed);
            fact.budget.notifications = alerts.read.into_iter().collect();
            fact.budget.extra.extend(alerts.extra);
        }
        Err(error) if error::is_not_found(&error) => return None,
        Err(error) => {
            fact.unread = Some(error::text(&error));
            failed.push(error);
        }
    }
    match own_tags {
        None => {}
        Some(Ok(tags)) => fact.tags = Observed::Known(tags),
        Some(Err(error)) if error::is_not_found(&error) => return None,
        Some(Err(error)) => {
            fact.tags = Observed::Unknown(error::text(&error));
            failed.push(error);
        }
    }
    Some((fact, failed))
}

/// One budget with all its notifications and subscribers, and its tags, which may be unknown;
/// `None`: there is none of this name.
pub async fn read(
    region: &Region,
    name: &str,
) -> Result<Option<(Budget, Observed<Tags>)>, CloudError> {
    let describe = async {
        region.pace(Api::ReadBudgets).await;
        let call = region.budgets().describe_budget();
        let answer = call
            .account_id(&region.account)
            .budget_name(name)
            .show_filter_expression(true)
            .send()
            .await
            .named(DESCRIBE)?;
        Ok(answer.budget)
    };
    let (found, list, tags) = futures::join!(
        describe,
        notifications(region, name),
        read_tags(region, name)
    );
    let found = match found {
        Ok(Some(found)) => fact(&found),
        Ok(None) => return Ok(None),
        Err(error) if error::is_not_found(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let list = match list {
        Ok(list) => list,
        // Removed between the two answers.
        Err(error) if error::is_not_found(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let alerts = alerts(region, name, list).await;
    if let Some(error) = alerts.failed.into_iter().next() {
        return Err(error);
    }
    let mut budget = found.budget;
    budget.notifications = alerts.read.into_iter().collect();
    budget.extra.extend(alerts.extra);
    let tags = tags.map_or_else(|e| Observed::Unknown(error::text(&e)), Observed::Known);
    Ok(Some((budget, tags)))
}

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
