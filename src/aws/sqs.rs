//! SQS queues, which the service names by URL.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_sqs::types::QueueAttributeName;

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
            Some(Listed {
                locator: Some(url.clone()),
                ..Listed::new(region.arn("sqs", name), name)
            })
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

pub const ATTRIBUTES: &str = "sqs:GetQueueAttributes";

/// ARN of the dead-letter queue of a queue, if it has one.
pub async fn dead_letter_queue(region: &Region, url: &str) -> Result<Option<String>, CloudError> {
    let _slot = region.slot().await;
    let answer = region
        .sqs()
        .get_queue_attributes()
        .queue_url(url)
        .attribute_names(QueueAttributeName::RedrivePolicy)
        .send()
        .await
        .named(ATTRIBUTES)?;
    let attributes = answer.attributes.unwrap_or_default();
    let Some(text) = attributes.get(&QueueAttributeName::RedrivePolicy) else {
        return Ok(None);
    };
    redrive_target(text)
        .map_err(|e| error::own(ATTRIBUTES, "RedrivePolicy", format!("{e}: {text}")))
}

/// The target in a redrive policy; empty text is no policy. Of the rest (`maxReceiveCount`, which is
/// a number or a text) nothing is needed.
fn redrive_target(text: &str) -> Result<Option<String>, String> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let policy: serde_json::Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let target = policy.get("deadLetterTargetArn").and_then(|t| t.as_str());
    Ok(target.filter(|t| !t.is_empty()).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::redrive_target;

    #[test]
    fn redrive_policies_are_read_in_all_their_forms() {
        let target = Ok(Some("arn:aws:sqs:r:1:dead".to_owned()));
        for text in [
            r#"{"deadLetterTargetArn":"arn:aws:sqs:r:1:dead","maxReceiveCount":5}"#,
            r#"{"deadLetterTargetArn":"arn:aws:sqs:r:1:dead","maxReceiveCount":"5"}"#,
        ] {
            assert_eq!(redrive_target(text), target);
        }
        assert_eq!(redrive_target(""), Ok(None));
        assert_eq!(redrive_target("{}"), Ok(None));
        assert!(redrive_target("{").is_err());
    }
}
