//! Lambda functions.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::error::Named;
use super::listing::{Listed, Listing, pages};
use super::pace::Api;
use super::session::Region;
use crate::cloud::{CloudError, Subject};
use crate::inventory::Attributes;
use crate::model::{ResourceType, Tags};

const LIST: &str = "lambda:ListFunctions";

pub async fn list(region: &Region) -> Vec<Listing> {
    let mut listing = Listing::new(ResourceType::LAMBDA_FUNCTION, LIST, &region.name);
    let items = &mut listing.items;
    let outcome = pages!(LIST, |token| {
        // 50 is the most that a page has. Source: Lambda API reference.
        let call = region.lambda().list_functions().max_items(50);
        let page = call.set_marker(token).send().await.named(LIST)?;
        items.extend(page.functions().iter().filter_map(|found| {
            let attributes = Attributes {
                timeout: found.timeout().and_then(|t| u32::try_from(t).ok()),
                ..Attributes::default()
            };
            let listed = Listed::new(found.function_arn()?, found.function_name()?);
            Some(listed.with(attributes))
        }));
        Ok(page.next_marker)
    });
    vec![listing.ended(outcome)]
}

pub async fn read_tags(region: &Region, subject: &Subject) -> Result<Tags, CloudError> {
    region.pace(Api::LambdaTags).await;
    let call = region.lambda().list_tags().resource(&subject.arn);
    let answer = call.send().await.named("lambda:ListTags")?;
    Ok(answer.tags.unwrap_or_default().into_iter().collect())
}

pub async fn tag(region: &Region, subject: &Subject, set: &Tags) -> Result<(), CloudError> {
    region.pace(Api::LambdaTags).await;
    let map: HashMap<_, _> = set.clone().into_iter().collect();
    let call = region.lambda().tag_resource().resource(&subject.arn);
    call.set_tags(Some(map))
        .send()
        .await
        .named("lambda:TagResource")
        .map(drop)
}

pub async fn untag(
    region: &Region,
    subject: &Subject,
    keys: &BTreeSet<String>,
) -> Result<(), CloudError> {
    region.pace(Api::LambdaTags).await;
    let call = region.lambda().untag_resource().resource(&subject.arn);
    let call = call.set_tag_keys(Some(keys.iter().cloned().collect()));
    call.send().await.named("lambda:UntagResource").map(drop)
}

pub const SETTINGS: &str = "lambda:GetAccountSettings";
pub const MAPPINGS: &str = "lambda:ListEventSourceMappings";

/// How many functions may run at once in this region.
pub async fn concurrency(region: &Region) -> Result<Option<u32>, CloudError> {
    let answer = region.lambda().get_account_settings().send().await;
    let answer = answer.named(SETTINGS)?;
    let limit = answer.account_limit.map(|l| l.concurrent_executions);
    Ok(limit.and_then(|l| u32::try_from(l).ok()))
}

/// What the event source mappings of each function read, by the ARN of the function.
pub async fn event_sources(
    region: &Region,
) -> Result<BTreeMap<String, BTreeSet<String>>, CloudError> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    pages!(MAPPINGS, |token| {
        // 100 is the most that a page has. Source: Lambda API reference.
        let call = region.lambda().list_event_source_mappings().max_items(100);
        let page = call.set_marker(token).send().await.named(MAPPINGS)?;
        for mapping in page.event_source_mappings() {
            if let (Some(function), Some(source)) =
                (mapping.function_arn(), mapping.event_source_arn())
            {
                let sources = found.entry(unqualified(function)).or_default();
                sources.insert(source.to_owned());
            }
        }
        Ok(page.next_marker)
    })?;
    Ok(found)
}

/// The ARN of a function without its version or alias.
fn unqualified(arn: &str) -> String {
    arn.split(':').take(7).collect::<Vec<_>>().join(":")
}
