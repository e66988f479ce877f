//! Budgets, anomaly detection, cost allocation tags: as strict as AWS.

use std::collections::BTreeSet;

use rust_decimal::Decimal;
use sha2::{Digest, Sha256};

use super::super::world::{Account, BudgetItem, SubscriptionItem};
use super::super::writes::lost;
use super::super::{Sandbox, refused};
use super::topics;
use crate::cloud::{Call, CloudError, ObjectReading};
use crate::inventory::Observed;
use crate::model::Tags;
use crate::model::object::{
    AnomalyMonitor, AnomalySubscription, Budget, CostAllocationTag, MonitorScope, NotificationKey,
    Object, ObjectKey, ObjectKind, Subscriber,
};

/// Cost Explorer bills every request. Source: "AWS Cost Explorer pricing".
const CE_REQUEST: u64 = 10_000;

/// Notifications of one budget; see `NOTIFICATIONS` of the executor.
const NOTIFICATIONS: usize = 5;

/// What Cost Explorer answers to a member account.
const NOT_THE_PAYER: &str = "Linked account doesn't have access to cost allocation tags.";

type Done = Result<(), CloudError>;

/// A request to Cost Explorer, which is billed even where it is refused.
pub fn enter_ce(
    sandbox: &Sandbox,
    account: &Account,
    operation: &str,
    resource: &str,
) -> Result<bool, CloudError> {
    sandbox.meter.bill(CE_REQUEST);
    sandbox.enter(account, operation, resource)
}

pub fn read(sandbox: &Sandbox, account: &Account, key: &ObjectKey) -> Observed<ObjectReading> {
    let name = key.name.as_str();
    let operations: &[&str] = match key.kind {
        ObjectKind::Budget => &[
            "budgets:DescribeBudget",
            "budgets:DescribeNotificationsForBudget",
            "budgets:DescribeSubscribersForNotification",
            "budgets:ListTagsForResource",
        ],
        ObjectKind::AnomalyMonitor => &["ce:GetAnomalyMonitors"],
        ObjectKind::AnomalySubscription => &["ce:GetAnomalyMonitors", "ce:GetAnomalySubscriptions"],
        _ => &["ce:ListCostAllocationTags"],
    };
    for operation in operations {
        let entered = if operation.starts_with("ce:") {
            enter_ce(sandbox, account, operation, name)
        } else {
            sandbox.enter(account, operation, name)
        };
        if let Err(e) = entered {
            return Observed::Unknown(e.to_string());
        }
    }
    let money = &account.money;
    let found = match key.kind {
        ObjectKind::Budget => money.budgets.get(name).map(|item| {
            let tags = Observed::Known(item.tags.clone());
            (Object::Budget(item.budget.clone()), tags)
        }),
        ObjectKind::AnomalyMonitor => money
            .monitors
            .values()
            .find(|m| m.name == name)
            .map(|m| (Object::AnomalyMonitor(m.clone()), Observed::Absent)),
        ObjectKind::AnomalySubscription => money
            .subscriptions
            .values()
            .find(|s| s.subscription.name == name)
            .map(|s| {
                let object = Object::AnomalySubscription(s.subscription.clone());
                (object, Observed::Absent)
            }),
        _ if money.member => return Observed::Unknown(NOT_THE_PAYER.to_owned()),
        _ => money.cost_tags.get(name).map(|active| {
            let tag = CostAllocationTag {
                key: name.to_owned(),
                active: *active,
            };
            (Object::CostAllocationTag(tag), Observed::Absent)
        }),
    };
    found.map_or(Observed::Absent, |(object, tags)| {
        Observed::Known(ObjectReading { object, tags })
    })
}

pub fn execute(sandbox: &Sandbox, account: &mut Account, call: &Call) -> Done {
    let budgets = |operation: &'static str, name: &str, account: &Account| {
        sandbox
            .enter(account, operation, name)
            .map(|lose| (operation, lose))
    };
    let ce = |operation: &'static str, name: &str, account: &Account| {
        enter_ce(sandbox, account, operation, name).map(|lose| (operation, lose))
    };
    let (operation, lose) = match call {
        Call::CreateBudget { budget, tags } => {
            let entered = budgets("budgets:CreateBudget", &budget.name, account)?;
            create_budget(account, entered.0, budget, tags)?;
            entered
        }
        Call::UpdateBudget { budget } => {
            let entered = budgets("budgets:UpdateBudget", &budget.name, account)?;
            update_budget(account, entered.0, budget)?;
            entered
        }
        Call::DeleteBudget { budget } => {
            let entered = budgets("budgets:DeleteBudget", budget, account)?;
            let there = account.money.budgets.remove(budget);
            there.ok_or_else(|| no_budget(entered.0, budget))?;
            entered
        }
        Call::CreateNotification {
            budget,
            notification,
            subscribers,
        } => {
            let entered = budgets("budgets:CreateNotification", budget, account)?;
            check_notification(account, entered.0, notification, subscribers)?;
            let held = held(account, entered.0, budget)?;
            if held.notifications.contains_key(notification) {
                return Err(duplicate(entered.0, "the notification"));
            }
            if held.notifications.len() >= NOTIFICATIONS {
                return Err(too_many(entered.0, "notifications"));
            }
            held.notifications
                .insert(notification.clone(), subscribers.clone());
            entered
        }
        Call::DeleteNotification {
            budget,
            notification,
        } => {
            let entered = budgets("budgets:DeleteNotification", budget, account)?;
            let held = held(account, entered.0, budget)?;
            let there = held.notifications.remove(notification);
            there.ok_or_else(|| no_notification(entered.0, notification))?;
            entered
        }
        Call::CreateSubscriber {
            budget,
            notification,
            subscriber,
        } => {
            let entered = budgets("budgets:CreateSubscriber", budget, account)?;
            check_subscribers(account, entered.0, &BTreeSet::from([subscriber.clone()]))?;
            let all = subscribers(account, entered.0, budget, notification)?;
            if all.contains(subscriber) {
                return Err(duplicate(entered.0, "the subscriber"));
            }
            let mut more = all.clone();
            more.insert(subscriber.clone());
            check_subscribers(account, entered.0, &more)?;
            *subscribers(account, entered.0, budget, notification)? = more;
            entered
        }
        Call::DeleteSubscriber {
            budget,
            notification,
            subscriber,
        } => {
            let entered = budgets("budgets:DeleteSubscriber", budget, account)?;
            let all = subscribers(account, entered.0, budget, notification)?;
            if !all.contains(subscriber) {
                let message = format!("Subscriber {subscriber} does not exist");
                return Err(refused(entered.0, "NotFoundException", message));
            }
            if all.len() == 1 {
                let message = "a notification needs at least one subscriber";
                return Err(refused(entered.0, "InvalidParameterException", message));
            }
            all.remove(subscriber);
            entered
        }
        Call::CreateAnomalyMonitor { monitor, tags: _ } => {
            let entered = ce("ce:CreateAnomalyMonitor", &monitor.name, account)?;
            create_monitor(account, entered.0, monitor)?;
            entered
        }
        Call::DeleteAnomalyMonitor { name } => {
            let entered = ce("ce:DeleteAnomalyMonitor", name, account)?;
            let arn = account
                .money
                .monitors
                .iter()
                .find_map(|(arn, m)| (m.name == *name).then(|| arn.clone()));
            let Some(arn) = arn else {
                return Err(refused(entered.0, "UnknownMonitorException", name.clone()));
            };
            account.money.monitors.remove(&arn);
            for item in account.money.subscriptions.values_mut() {
                item.subscription.monitors.remove(name);
            }
            entered
        }
        Call::CreateAnomalySubscription {
            subscription,
            tags: _,
        } => {
            let entered = ce("ce:CreateAnomalySubscription", &subscription.name, account)?;
            check_subscription(account, entered.0, subscription)?;
            let item = SubscriptionItem {
                subscription: subscription.clone(),
                unconfirmed: BTreeSet::new(),
            };
            let there = account.money.subscriptions.len();
            let arn = made_arn(account, "anomalysubscription", &subscription.name, there);
            account.money.subscriptions.insert(arn, item);
            entered
        }
        Call::UpdateAnomalySubscription { subscription } => {
            let entered = ce("ce:UpdateAnomalySubscription", &subscription.name, account)?;
            check_subscription(account, entered.0, subscription)?;
            let item = account
                .money
                .subscriptions
                .values_mut()
                .find(|s| s.subscription.name == subscription.name);
            let Some(item) = item else {
                let name = subscription.name.clone();
                return Err(refused(entered.0, "UnknownSubscriptionException", name));
            };
            item.subscription = subscription.clone();
            entered
        }
        Call::DeleteAnomalySubscription { name } => {
            let entered = ce("ce:DeleteAnomalySubscription", name, account)?;
            let subscriptions = &mut account.money.subscriptions;
            let before = subscriptions.len();
            subscriptions.retain(|_, s| s.subscription.name != *name);
            if subscriptions.len() == before {
                let name = name.clone();
                return Err(refused(entered.0, "UnknownSubscriptionException", name));
            }
            entered
        }
        Call::SetCostAllocationTags { keys, active } => {
            let first = keys.first().map_or("", String::as_str);
            let entered = ce("ce:UpdateCostAllocationTagsStatus", first, account)?;
            set_cost_tags(account, entered.0, keys, *active)?;
            entered
        }
        _ => {
            return Err(refused(
                "budgets",
                "InvalidAction",
                "not a call about money",
            ));
        }
    };
    if lose { Err(lost(operation)) } else { Ok(()) }
}

fn no_budget(operation: &str, name: &str) -> CloudError {
    let message = format!("Unable to get budget: {name} - the budget doesn't exist.");
    refused(operation, "NotFoundException", message)
}

fn no_notification(operation: &str, key: &NotificationKey) -> CloudError {
    let message = format!("Notification {key} does not exist");
    refused(operation, "NotFoundException", message)
}

fn duplicate(operation: &str, what: &str) -> CloudError {
    let message = format!("{what} already exists");
    refused(operation, "DuplicateRecordException", message)
}

fn too_many(operation: &str, what: &str) -> CloudError {
    let message = format!("too many {what}");
    refused(operation, "CreationLimitExceededException", message)
}

fn held<'a>(
    account: &'a mut Account,
    operation: &str,
    name: &str,
) -> Result<&'a mut Budget, CloudError> {
    let item = account.money.budgets.get_mut(name);
    item.map(|i| &mut i.budget)
        .ok_or_else(|| no_budget(operation, name))
}

fn subscribers<'a>(
    account: &'a mut Account,
    operation: &str,
    budget: &str,
    key: &NotificationKey,
) -> Result<&'a mut BTreeSet<Subscriber>, CloudError> {
    held(account, operation, budget)?
        .notifications
        .get_mut(key)
        .ok_or_else(|| no_notification(operation, key))
}

/// Source: API model, `budgets:Budget`, `budgets:BudgetName`.
fn check_budget(operation: &str, budget: &Budget) -> Done {
    let wrong = |message: &str| {
        Err(refused(
            operation,
            "InvalidParameterException",
            format!("{}: {message}", budget.name),
        ))
    };
    let name = &budget.name;
    if name.is_empty() || name.chars().count() > 100 {
        return wrong("a budget name has 1 to 100 characters");
    }
    if name.contains([':', '\\']) || name.contains("/action/") {
        return wrong("a budget name has no `:`, `\\` or `/action/`");
    }
    if !["DAILY", "MONTHLY", "QUARTERLY", "ANNUALLY", "CUSTOM"].contains(&budget.time_unit.as_str())
    {
        return wrong("the time unit is none");
    }
    match &budget.limit {
        Some(limit) if limit.amount > Decimal::ZERO => {}
        _ => return wrong("the limit must be above 0"),
    }
    let tags = budget.filters.get("TagKeyValue");
    if tags.is_some_and(|t| t.iter().any(|v| !v.contains('$'))) {
        return wrong("a tag filter is like `user:key$value`");
    }
    Ok(())
}

fn check_notification(
    account: &Account,
    operation: &str,
    key: &NotificationKey,
    subscribers: &BTreeSet<Subscriber>,
) -> Done {
    if key.threshold <= Decimal::ZERO {
        let message = "a threshold is above 0";
        return Err(refused(operation, "InvalidParameterException", message));
    }
    check_subscribers(account, operation, subscribers)
}

fn check_subscribers(
    account: &Account,
    operation: &str,
    subscribers: &BTreeSet<Subscriber>,
) -> Done {
    let wrong = |message: String| Err(refused(operation, "InvalidParameterException", message));
    let mut topics_named = 0;
    for subscriber in subscribers {
        match subscriber {
            Subscriber::Email(address) if !address.contains('@') => {
                return wrong(format!("{address} is not an e-mail address"));
            }
            Subscriber::Email(_) => {}
            Subscriber::Sns(arn) => {
                topics_named += 1;
                if topics::held(account, arn).is_none() {
                    return wrong(format!("SNS topic {arn} is not valid in this account"));
                }
            }
        }
    }
    if subscribers.is_empty() {
        return wrong("a notification needs at least one subscriber".to_owned());
    }
    if topics_named > 1 || subscribers.len() - topics_named > 10 {
        return Err(too_many(operation, "subscribers"));
    }
    Ok(())
}

fn normalised(budget: &Budget) -> Budget {
    let mut budget = budget.clone();
    if let Some(limit) = &mut budget.limit {
        limit.amount = limit.amount.normalize();
    }
    budget
}

fn create_budget(account: &mut Account, operation: &str, budget: &Budget, tags: &Tags) -> Done {
    check_budget(operation, budget)?;
    if account.money.budgets.contains_key(&budget.name) {
        return Err(duplicate(operation, "the budget"));
    }
    if budget.notifications.len() > NOTIFICATIONS {
        return Err(too_many(operation, "notifications"));
    }
    for (key, subscribers) in &budget.notifications {
        check_notification(account, operation, key, subscribers)?;
    }
    let item = BudgetItem {
        budget: normalised(budget),
        tags: tags.clone(),
        actual: Some(Decimal::ZERO),
        forecast: None,
        unhealthy: None,
    };
    account.money.budgets.insert(budget.name.clone(), item);
    Ok(())
}

/// Replaces all but the notifications, and forgets what was spent until new billing data arrives.
/// Source: API model, `budgets:UpdateBudget`.
fn update_budget(account: &mut Account, operation: &str, budget: &Budget) -> Done {
    check_budget(operation, budget)?;
    let item = account
        .money
        .budgets
        .get_mut(&budget.name)
        .ok_or_else(|| no_budget(operation, &budget.name))?;
    item.budget = Budget {
        notifications: std::mem::take(&mut item.budget.notifications),
        ..normalised(budget)
    };
    item.actual = Some(Decimal::ZERO);
    item.forecast = None;
    Ok(())
}

/// An id that nobody can know before, the same in every run.
fn made_arn(account: &Account, kind: &str, name: &str, there: usize) -> String {
    let digest = hex::encode(Sha256::digest(format!("{kind}/{name}/{there}")));
    format!(
        "arn:aws:ce::{}:{kind}/{}",
        account.id,
        digest.get(..32).unwrap_or(&digest)
    )
}

fn create_monitor(account: &mut Account, operation: &str, monitor: &AnomalyMonitor) -> Done {
    let dimension = matches!(monitor.scope, MonitorScope::Dimension(_));
    let mut monitors = account.money.monitors.values();
    if dimension && monitors.any(|m| m.scope == monitor.scope) {
        let message = "Limit exceeded on dimensional spend monitor creation";
        return Err(refused(operation, "LimitExceededException", message));
    }
    if let MonitorScope::Accounts(accounts) = &monitor.scope
        && account.money.member
        && accounts.iter().any(|a| *a != account.id)
    {
        let message = "a member account watches only itself";
        return Err(refused(operation, "ValidationException", message));
    }
    let there = account.money.monitors.len();
    let arn = made_arn(account, "anomalymonitor", &monitor.name, there);
    account.money.monitors.insert(arn, monitor.clone());
    Ok(())
}

/// Source: API model, `ce:AnomalySubscription`; "Creating your alert subscriptions".
fn check_subscription(account: &Account, operation: &str, wanted: &AnomalySubscription) -> Done {
    let wrong = |message: &str| Err(refused(operation, "ValidationException", message));
    let monitors = &account.money.monitors;
    for name in &wanted.monitors {
        if !monitors.values().any(|m| m.name == *name) {
            return Err(refused(operation, "UnknownMonitorException", name.clone()));
        }
    }
    if wanted.monitors.is_empty() || wanted.subscribers.is_empty() {
        return wrong("a subscription needs a monitor and a subscriber");
    }
    if wanted
        .minimum_impact_usd
        .is_none_or(|m| m.is_sign_negative())
    {
        return wrong("a subscription needs a threshold");
    }
    let mut topics_named = 0;
    for subscriber in &wanted.subscribers {
        if let Subscriber::Sns(arn) = subscriber {
            topics_named += 1;
            if topics::held(account, arn).is_none() {
                return wrong("the SNS topic is not valid");
            }
        }
    }
    match wanted.frequency.as_str() {
        "IMMEDIATE" if topics_named == wanted.subscribers.len() => Ok(()),
        "DAILY" | "WEEKLY" if topics_named == 0 => Ok(()),
        _ => wrong("IMMEDIATE goes to SNS, DAILY and WEEKLY to e-mail"),
    }
}

/// Per-key problems come back in a list of a 200 answer. Source: API model,
/// `ce:UpdateCostAllocationTagsStatus`.
fn set_cost_tags(
    account: &mut Account,
    operation: &str,
    keys: &BTreeSet<String>,
    active: bool,
) -> Done {
    if account.money.member {
        return Err(refused(operation, "ValidationException", NOT_THE_PAYER));
    }
    if keys.is_empty() || keys.len() > 20 {
        return Err(refused(operation, "ValidationException", "1 to 20 keys"));
    }
    for key in keys {
        match account.money.cost_tags.get_mut(key) {
            Some(held) => *held = active,
            None => {
                let message = format!("{key} was not found");
                return Err(refused(operation, "TagKeysNotFoundException", message));
            }
        }
    }
    Ok(())
}
