//! SNS topics with their policies and subscriptions.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_sns::types::Tag;

use super::super::error::{self, Named};
use super::super::listing::pages;
use super::super::pace::Api;
use super::super::session::{Region, Session};
use super::super::sns;
use crate::aws::located;
use crate::cloud::{Call, CloudError, ObjectReading, Subject};
use crate::inventory::{Observed, TopicFact};
use crate::model::object::{Object, ObjectKey, Topic};
use crate::model::{Arn, ResourceType, Tags};

pub const ATTRIBUTES: &str = "sns:GetTopicAttributes";
const SUBSCRIPTIONS: &str = "sns:ListSubscriptionsByTopic";

/// What the list of subscriptions says instead of an ARN. Source: SNS API reference, Subscribe.
const PENDING: &str = "PendingConfirmation";
const DELETED: &str = "Deleted";

async fn attributes(region: &Region, arn: &str) -> Result<HashMap<String, String>, CloudError> {
    let call = region.sns().get_topic_attributes().topic_arn(arn);
    let answer = call.send().await.named(ATTRIBUTES)?;
    Ok(answer.attributes.unwrap_or_default())
}

/// Confirmed ones, and those that wait for a click.
async fn subscriptions(
    region: &Region,
    arn: &str,
) -> Result<(BTreeSet<String>, BTreeSet<String>), CloudError> {
    let (mut confirmed, mut pending) = (BTreeSet::new(), BTreeSet::new());
    pages!(SUBSCRIPTIONS, |token| {
        let call = region.sns().list_subscriptions_by_topic();
        let call = call.topic_arn(arn).set_next_token(token);
        let page = call.send().await.named(SUBSCRIPTIONS)?;
        for found in page.subscriptions() {
            let (Some(protocol), Some(endpoint)) = (found.protocol(), found.endpoint()) else {
                continue;
            };
            let text = format!("{protocol}:{endpoint}");
            match found.subscription_arn().unwrap_or(PENDING) {
                DELETED => {}
                PENDING => {
                    pending.insert(text);
                }
                _ => {
                    confirmed.insert(text);
                }
            }
        }
        Ok(page.next_token)
    })?;
    // Asked for again while an earlier one is confirmed: that is no longer waiting.
    pending.retain(|p| !confirmed.contains(p));
    Ok((confirmed, pending))
}

async fn tags(region: &Region, arn: &str, name: &str) -> Result<Tags, CloudError> {
    let subject = Subject {
        arn: arn.to_owned(),
        kind: ResourceType::SNS_TOPIC,
        name: name.to_owned(),
        region: region.name.clone(),
    };
    sns::read_tags(region, &subject).await
}

/// A topic as far as it could be read, and what could not; `region` is its own.
///
/// `Absent`: there is none. Without its attributes nothing of it is known.
pub async fn observe(region: &Region, arn: &str) -> (Observed<TopicFact>, Vec<CloudError>) {
    let name = arn.rsplit(':').next().unwrap_or(arn);
    let _slot = region.slot().await;
    let (attributes, subscriptions, tags) = futures::join!(
        attributes(region, arn),
        subscriptions(region, arn),
        tags(region, arn, name)
    );
    let mut attributes = match attributes {
        Ok(attributes) => attributes,
        Err(error) if error::is_not_found(&error) => return (Observed::Absent, Vec::new()),
        Err(error) => return (Observed::Unknown(error::text(&error)), vec![error]),
    };
    let mut failed = Vec::new();
    let mut unread = None;
    let (confirmed, pending) = subscriptions.unwrap_or_else(|error| {
        unread = Some(error::text(&error));
        failed.push(error);
        Default::default()
    });
    let tags = tags.map_or_else(
        |error| {
            let unknown = Observed::Unknown(error::text(&error));
            failed.push(error);
            unknown
        },
        Observed::Known,
    );
    let fact = TopicFact {
        arn: arn.to_owned(),
        topic: Topic {
            name: name.to_owned(),
            region: region.name.clone(),
            policy: attributes.remove("Policy").filter(|p| !p.is_empty()),
            subscriptions: confirmed.union(&pending).cloned().collect(),
        },
        tags,
        kms_key: attributes
            .remove("KmsMasterKeyId")
            .filter(|k| !k.is_empty()),
        unread,
        confirmed,
        pending,
    };
    (Observed::Known(fact), failed)
}

/// The region of a topic, from its ARN.
pub fn region_of(arn: &str) -> Option<&str> {
    Arn::parse(arn)
        .filter(|a| a.service == "sns" && !a.region.is_empty())
        .map(|a| a.region)
}

/// One topic right now, all of it or nothing.
pub async fn read(session: &Session, key: &ObjectKey) -> Observed<ObjectReading> {
    let region = session.region(&key.region).await;
    let arn = key
        .kind
        .arn(region.partition(), &region.name, &region.account, &key.name);
    let (found, failed) = observe(&region, &arn).await;
    if let Some(error) = failed.into_iter().next() {
        return Observed::Unknown(located(error, session, &region.name).to_string());
    }
    match found {
        Observed::Known(fact) => Observed::Known(ObjectReading {
            object: Object::Topic(fact.topic),
            tags: fact.tags,
        }),
        Observed::Absent => Observed::Absent,
        Observed::Unknown(error) => Observed::Unknown(error),
    }
}

pub async fn execute(_session: &Session, region: &Region, call: &Call) -> Result<(), CloudError> {
    match call {
        Call::CreateTopic { topic, tags } => create(region, topic, tags).await,
        Call::SetTopicPolicy { arn, policy, .. } => {
            let call = region.sns().set_topic_attributes().topic_arn(arn);
            let call = call.attribute_name("Policy").attribute_value(policy);
            call.send().await.named("sns:SetTopicAttributes").map(drop)
        }
        Call::Subscribe {
            topic,
            subscription,
            ..
        } => subscribe(region, topic, subscription).await,
        Call::Publish {
            topic,
            subject,
            message,
            ..
        } => {
            let call = region.sns().publish().topic_arn(topic);
            let call = call.subject(subject).message(message);
            call.send().await.named("sns:Publish").map(drop)
        }
        Call::DeleteTopic { arn, .. } => {
            let call = region.sns().delete_topic().topic_arn(arn);
            match call.send().await.named("sns:DeleteTopic").map(drop) {
                Err(error) if error::is_not_found(&error) => Ok(()),
                other => other,
            }
        }
        _ => {
            let message = "this call is not one of topics";
            Err(error::own("sns", error::NOT_IMPLEMENTED, message))
        }
    }
}

/// The same call again finds the same topic. Source: API model, `sns:CreateTopic`.
async fn create(region: &Region, topic: &Topic, tags: &Tags) -> Result<(), CloudError> {
    let operation = "sns:CreateTopic";
    let list = tags
        .iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| error::own(operation, "request", e.to_string()))?;
    let mut call = region.sns().create_topic().name(&topic.name);
    if let Some(policy) = &topic.policy {
        call = call.attributes("Policy", policy);
    }
    if !list.is_empty() {
        call = call.set_tags(Some(list));
    }
    call.send().await.named(operation).map(drop)
}

async fn subscribe(region: &Region, topic: &str, subscription: &str) -> Result<(), CloudError> {
    let operation = "sns:Subscribe";
    let Some((protocol, endpoint)) = subscription.split_once(':') else {
        let message = format!("`{subscription}` is not like email:ops@example.com");
        return Err(error::own(operation, "request", message));
    };
    region.pace(Api::Subscribe).await;
    let call = region.sns().subscribe().topic_arn(topic);
    let call = call.protocol(protocol).endpoint(endpoint);
    call.send().await.named(operation).map(drop)
}
