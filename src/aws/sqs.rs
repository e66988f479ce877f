//! SQS queues, which the service names by URL.

use std::collections::{BTreeSet, HashMap};

use super::error::{self, Named};
use super::listing::{Listed, Listing, pages};
use super::session::Region;
use crate::cloud::{CloudError, Subject};
use crate::model::{ResourceType, Tags};

const LIST: &str = "sqs:ListQueues";

pub async fn list(region: &Region) -> Vec<Listing> {
    let mut listing = Listing::new(ResourceType::SQS_QUEUE, LIST, &region.name);
    let items = &mut listing.items;
    let outcome = pages!(LIST, |token| {
        // Without MaxResults there is no next page, however many queues there are.
        // Source: SQS API reference, ListQueues.
        let call = region.sqs().list_queues().max_results(1000);
        let page = call.set_next_token(token).send().await.named(LIST)?;
        items.extend(page.queue_urls().iter().filter_map(|url| {
            let name = url.rsplit('/').next()?;
            Some(Listed::new(region.arn("sqs", name), name))
        }));
        Ok(page.next_token)
    });
    vec![listing.ended(outcome)]
}

async fn url(region: &Region, subject: &Subject) -> Result<String, CloudError> {
    let operation = "sqs:GetQueueUrl";
    let answer = region
        .sqs()
        .get_queue_url()
        .queue_name(&subject.name)
        .send()
        .await;
    let missing = || error::own(operation, "NoUrl", "the answer has no queue URL");
    answer.named(operation)?.queue_url.ok_or_else(missing)
}

pub async fn read_tags(region: &Region, subject: &Subject) -> Result<Tags, CloudError> {
    let url = url(region, subject).await?;
    let answer = region.sqs().list_queue_tags().queue_url(url).send().await;
    let answer = answer.named("sqs:ListQueueTags")?;
    Ok(answer.tags.unwrap_or_default().into_iter().collect())
}

pub async fn tag(region: &Region, subject: &Subject, set: &Tags) -> Result<(), CloudError> {
    let url = url(region, subject).await?;
    let map: HashMap<_, _> = set.clone().into_iter().collect();
    let call = region.sqs().tag_queue().queue_url(url).set_tags(Some(map));
    call.send().await.named("sqs:TagQueue").map(drop)
}

pub async fn untag(
    region: &Region,
    subject: &Subject,
    keys: &BTreeSet<String>,
) -> Result<(), CloudError> {
    let url = url(region, subject).await?;
    let call = region.sqs().untag_queue().queue_url(url);
    let call = call.set_tag_keys(Some(keys.iter().cloned().collect()));
    call.send().await.named("sqs:UntagQueue").map(drop)
}
