//! SNS topics.

use std::collections::BTreeSet;

use aws_sdk_sns::types::Tag;

use super::error::{self, Named};
use super::listing::{Listed, Listing, pages, tags};
use super::pace::Api;
use super::session::Region;
use crate::cloud::{CloudError, Subject};
use crate::model::{ResourceType, Tags};

const LIST: &str = "sns:ListTopics";

pub async fn list(region: &Region) -> Vec<Listing> {
    let mut listing = Listing::new(ResourceType::SNS_TOPIC, LIST, &region.name);
    let items = &mut listing.items;
    let outcome = pages!(LIST, |token| {
        let call = region.sns().list_topics().set_next_token(token);
        let page = call.send().await.named(LIST)?;
        items.extend(page.topics().iter().filter_map(|topic| {
            let arn = topic.topic_arn()?;
            Some(Listed::new(arn, arn.rsplit(':').next()?))
        }));
        Ok(page.next_token)
    });
    vec![listing.ended(outcome)]
}

pub async fn read_tags(region: &Region, subject: &Subject) -> Result<Tags, CloudError> {
    region.pace(Api::SnsTags).await;
    let call = region
        .sns()
        .list_tags_for_resource()
        .resource_arn(&subject.arn);
    let answer = call.send().await.named("sns:ListTagsForResource")?;
    Ok(tags(
        answer
            .tags()
            .iter()
            .map(|t| (Some(t.key()), Some(t.value()))),
    ))
}

pub async fn tag(region: &Region, subject: &Subject, set: &Tags) -> Result<(), CloudError> {
    let operation = "sns:TagResource";
    region.pace(Api::SnsTags).await;
    let list = set
        .iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| error::own(operation, "request", e.to_string()))?;
    let call = region.sns().tag_resource().resource_arn(&subject.arn);
    call.set_tags(Some(list))
        .send()
        .await
        .named(operation)
        .map(drop)
}

pub async fn untag(
    region: &Region,
    subject: &Subject,
    keys: &BTreeSet<String>,
) -> Result<(), CloudError> {
    region.pace(Api::SnsTags).await;
    let call = region.sns().untag_resource().resource_arn(&subject.arn);
    let call = call.set_tag_keys(Some(keys.iter().cloned().collect()));
    call.send().await.named("sns:UntagResource").map(drop)
}
