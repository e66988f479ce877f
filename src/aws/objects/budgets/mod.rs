//! AWS Budgets: reads of budgets with their notifications and subscribers.

mod convert;
mod write;

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_budgets::types as sdk;
use futures::future::{join, join_all};

use crate::aws::error::{self, Named};
use crate::aws::listing::{pages, tags};
use crate::aws::pace::Api;
use crate::aws::session::Region;
use crate::cloud::CloudError;
use crate::inventory::{BudgetFact, Observed};
use crate::model::Tags;
use crate::model::object::{Budget, Extra, Notification, ObjectKind, Subscriber};

use convert::{fact, identity, own_key, shown};
pub use write::execute;

pub const LIST: &str = "budgets:DescribeBudgets";
const DESCRIBE: &str = "budgets:DescribeBudget";
const ALL_NOTIFICATIONS: &str = "budgets:DescribeBudgetNotificationsForAccount";
const NOTIFICATIONS: &str = "budgets:DescribeNotificationsForBudget";
const SUBSCRIBERS: &str = "budgets:DescribeSubscribersForNotification";
const TAGS: &str = "budgets:ListTagsForResource";

/// Of DescribeBudgets and DescribeBudgetNotificationsForAccount. Source: API model, budgets.
const PAGE: i32 = 1000;
/// Of the lists of one budget. Source: API model, `budgets:MaxResults`.
const SMALL_PAGE: i32 = 100;

/// Names of ours begin like this; only their tags are read.
const OURS: &str = "opsctl-";

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
) -> Result<BTreeMap<String, Vec<sdk::Notification>>, CloudError> {
    let mut found: BTreeMap<String, Vec<_>> = BTreeMap::new();
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
            if let (Some(name), Some(list)) = (of.budget_name, of.notifications) {
                found.entry(name).or_default().extend(list);
            }
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
    // Where the one call does not work, each budget is asked.
    let mut at_once = at_once.ok();
    let reads: Vec<_> = found
        .iter()
        .map(|budget| {
            let known = at_once
                .as_mut()
                .map(|all| all.remove(budget.budget_name()).unwrap_or_default());
            (budget, known)
        })
        .collect();
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
