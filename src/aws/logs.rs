//! CloudWatch Logs groups.

use std::collections::{BTreeSet, HashMap};

use super::error::Named;
use super::listing::{Listed, Listing, pages};
use super::pace::Api;
use super::session::Region;
use crate::cloud::{CloudError, Subject};
use crate::model::{ResourceType, Tags};

const LIST: &str = "logs:DescribeLogGroups";

/// The ARN as the tag calls want it, without the `:*` that means its streams.
pub fn bare_arn(arn: &str) -> &str {
    arn.strip_suffix(":*").unwrap_or(arn)
}

pub async fn list(region: &Region) -> Vec<Listing> {
    let mut listing = Listing::new(ResourceType::LOG_GROUP, LIST, &region.name);
    let items = &mut listing.items;
    let outcome = pages!(LIST, |token| {
        // 50 is the most that a page has. Source: CloudWatch Logs API reference.
        let call = region.logs().describe_log_groups().limit(50);
        let page = call.set_next_token(token).send().await.named(LIST)?;
        items.extend(page.log_groups().iter().filter_map(|group| {
            let arn = group.log_group_arn().or(group.arn())?;
            Some(Listed::new(bare_arn(arn), group.log_group_name()?))
        }));
        Ok(page.next_token)
    });
    vec![listing.ended(outcome)]
}

pub async fn read_tags(region: &Region, subject: &Subject) -> Result<Tags, CloudError> {
    region.pace(Api::LogGroupTags).await;
    let call = region.logs().list_tags_for_resource();
    let call = call.resource_arn(bare_arn(&subject.arn));
    let answer = call.send().await.named("logs:ListTagsForResource")?;
    Ok(answer.tags.unwrap_or_default().into_iter().collect())
}

pub async fn tag(region: &Region, subject: &Subject, set: &Tags) -> Result<(), CloudError> {
    region.pace(Api::LogGroupTags).await;
    let map: HashMap<_, _> = set.clone().into_iter().collect();
    let call = region
        .logs()
        .tag_resource()
        .resource_arn(bare_arn(&subject.arn));
    call.set_tags(Some(map))
        .send()
        .await
        .named("logs:TagResource")
        .map(drop)
}

pub async fn untag(
    region: &Region,
    subject: &Subject,
    keys: &BTreeSet<String>,
) -> Result<(), CloudError> {
    region.pace(Api::LogGroupTags).await;
    let call = region
        .logs()
        .untag_resource()
        .resource_arn(bare_arn(&subject.arn));
    let call = call.set_tag_keys(Some(keys.iter().cloned().collect()));
    call.send().await.named("logs:UntagResource").map(drop)
}
