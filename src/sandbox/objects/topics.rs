//! SNS topics. What a topic holds stands in `Account::topics`; its tags in `Account::resources`.

use std::collections::BTreeSet;

use super::super::world::{Account, Item, TopicItem};
use super::super::writes::lost;
use super::super::{Sandbox, gaps, refused};
use crate::cloud::{Call, CloudError, ObjectReading, Target};
use crate::inventory::{EnvironmentInventory, Observed, TopicFact};
use crate::model::object::policy::default_policy;
use crate::model::object::{Object, ObjectKey, Topic};
use crate::model::{Arn, Control, ResourceType, Tags, check_tag_key, check_tag_value};

/// A topic exists where it is among the resources; one that was never written to has defaults.
pub(super) fn held(account: &Account, arn: &str) -> Option<(TopicItem, Tags)> {
    let item = account.resources.get(arn)?;
    let mut held = account.topics.get(arn).cloned().unwrap_or_default();
    held.policy.get_or_insert_with(|| default_policy(arn));
    Some((held, item.tags.clone()))
}

fn fact(arn: &str, held: TopicItem, tags: Tags) -> TopicFact {
    let parsed = Arn::parse(arn);
    TopicFact {
        arn: arn.to_owned(),
        topic: Topic {
            name: parsed.map_or("", |a| a.resource).to_owned(),
            region: parsed.map_or("", |a| a.region).to_owned(),
            policy: held.policy,
            subscriptions: held.confirmed.union(&held.pending).cloned().collect(),
        },
        tags: Observed::Known(tags),
        kms_key: held.kms_key,
        unread: None,
        confirmed: held.confirmed,
        pending: held.pending,
    }
}

/// The topics that were asked for. One that cannot be read is unknown, never absent.
pub fn observe(
    sandbox: &Sandbox,
    account: &Account,
    target: &Target,
    topics: &BTreeSet<String>,
    controls: &[Control],
    seen: &mut EnvironmentInventory,
) {
    for arn in topics {
        let parsed = Arn::parse(arn);
        let region = parsed.map_or("", |a| a.region);
        let name = parsed.map_or("", |a| a.resource);
        let mut gap = |operation: &str, e: &CloudError| {
            let found = gaps(target, region, controls, operation, Some(name), e);
            seen.gaps.extend(found);
        };
        let operation = "sns:GetTopicAttributes";
        if let Err(e) = sandbox.enter(account, operation, name) {
            gap(operation, &e);
            let unknown = Observed::Unknown(e.to_string());
            seen.topics.insert(arn.clone(), unknown);
            continue;
        }
        let Some((held, tags)) = held(account, arn) else {
            seen.topics.insert(arn.clone(), Observed::Absent);
            continue;
        };
        let mut fact = fact(arn, held, tags);
        let operation = "sns:ListTagsForResource";
        if let Err(e) = sandbox.enter(account, operation, name) {
            gap(operation, &e);
            fact.tags = Observed::Unknown(e.to_string());
        }
        let operation = "sns:ListSubscriptionsByTopic";
        if let Err(e) = sandbox.enter(account, operation, name) {
            gap(operation, &e);
            fact.unread = Some(e.to_string());
            fact.topic.subscriptions.clear();
            fact.confirmed.clear();
            fact.pending.clear();
        }
        seen.topics.insert(arn.clone(), Observed::Known(fact));
    }
}

pub fn read(sandbox: &Sandbox, account: &Account, key: &ObjectKey) -> Observed<ObjectReading> {
    for operation in [
        "sns:GetTopicAttributes",
        "sns:ListSubscriptionsByTopic",
        "sns:ListTagsForResource",
    ] {
        if let Err(e) = sandbox.enter(account, operation, &key.name) {
            return Observed::Unknown(e.to_string());
        }
    }
    let arn = key.kind.arn("aws", &key.region, &account.id, &key.name);
    held(account, &arn).map_or(Observed::Absent, |(held, tags)| {
        let fact = fact(&arn, held, tags);
        Observed::Known(ObjectReading {
            object: Object::Topic(fact.topic),
            tags: fact.tags,
        })
    })
}

/// Source: API model, `sns:CreateTopic`.
fn is_name(name: &str) -> bool {
    (1..=256).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

fn json(operation: &str, policy: Option<&str>) -> Result<(), CloudError> {
    let parsed = policy.map(serde_json::from_str::<serde_json::Value>);
    match parsed {
        Some(Err(e)) => Err(refused(
            operation,
            "InvalidParameter",
            format!("Invalid parameter: Policy Error: {e}"),
        )),
        _ => Ok(()),
    }
}

pub fn execute(sandbox: &Sandbox, account: &mut Account, call: &Call) -> Result<(), CloudError> {
    let name_of = |arn: &str| Arn::parse(arn).map_or("", |a| a.resource).to_owned();
    let not_found = |operation: &str| refused(operation, "NotFound", "Topic does not exist");
    let (operation, lose) = match call {
        Call::CreateTopic { topic, tags } => {
            let operation = "sns:CreateTopic";
            let lose = sandbox.enter(account, operation, &topic.name)?;
            if !is_name(&topic.name) {
                let message = "Invalid parameter: Topic Name";
                return Err(refused(operation, "InvalidParameter", message));
            }
            json(operation, topic.policy.as_deref())?;
            let bad = tags
                .iter()
                .find_map(|(k, v)| check_tag_key(k).and(check_tag_value(v)).err());
            if let Some(e) = bad {
                return Err(refused(operation, "InvalidParameter", e.to_string()));
            }
            let arn = format!("arn:aws:sns:{}:{}:{}", topic.region, account.id, topic.name);
            // A topic that is there is answered with, if it does not differ.
            if let Some((there, there_tags)) = held(account, &arn) {
                let same = fact(&arn, there, there_tags.clone())
                    .topic
                    .policy_document()
                    == topic.policy_document();
                if !same || there_tags != *tags {
                    let message =
                        "Invalid parameter: Topic already exists with different attributes or tags";
                    return Err(refused(operation, "InvalidParameter", message));
                }
            } else {
                let item = Item {
                    kind: ResourceType::SNS_TOPIC,
                    name: topic.name.clone(),
                    region: topic.region.clone(),
                    tags: tags.clone(),
                };
                account.resources.insert(arn.clone(), item);
                let made = TopicItem {
                    policy: topic.policy.clone(),
                    ..TopicItem::default()
                };
                account.topics.insert(arn, made);
            }
            (operation, lose)
        }
        Call::SetTopicPolicy { arn, policy, .. } => {
            let operation = "sns:SetTopicAttributes";
            let lose = sandbox.enter(account, operation, &name_of(arn))?;
            json(operation, Some(policy))?;
            if held(account, arn).is_none() {
                return Err(not_found(operation));
            }
            let topic = account.topics.entry(arn.clone()).or_default();
            topic.policy = Some(policy.clone());
            (operation, lose)
        }
        Call::Subscribe {
            topic,
            subscription,
            ..
        } => {
            let operation = "sns:Subscribe";
            let lose = sandbox.enter(account, operation, &name_of(topic))?;
            if held(account, topic).is_none() {
                return Err(not_found(operation));
            }
            let address = subscription.strip_prefix("email:");
            if !address.is_some_and(|a| a.contains('@')) {
                let message = "Invalid parameter: Email address";
                return Err(refused(operation, "InvalidParameter", message));
            }
            let topic = account.topics.entry(topic.clone()).or_default();
            if !topic.confirmed.contains(subscription) {
                topic.pending.insert(subscription.clone());
            }
            (operation, lose)
        }
        Call::DeleteTopic { arn, .. } => {
            let operation = "sns:DeleteTopic";
            let lose = sandbox.enter(account, operation, &name_of(arn))?;
            // To delete what is not there is no error. Source: API reference, DeleteTopic.
            account.resources.remove(arn);
            account.topics.remove(arn);
            (operation, lose)
        }
        _ => return Err(refused("sns", "InvalidAction", "not a topic call")),
    };
    if lose { Err(lost(operation)) } else { Ok(()) }
}
