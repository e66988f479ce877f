//! Lambda functions.

use std::collections::{BTreeSet, HashMap};

use super::error::Named;
use super::listing::{Listed, Listing, pages};
use super::pace::Api;
use super::session::Region;
use crate::cloud::{CloudError, Subject};
use crate::model::{ResourceType, Tags};

const LIST: &str = "lambda:ListFunctions";

pub async fn list(region: &Region) -> Vec<Listing> {
    let mut listing = Listing::new(ResourceType::LAMBDA_FUNCTION, LIST, &region.name);
    let items = &mut listing.items;
    let outcome =
        pages!(LIST, |token| {
            // 50 is the most that a page has. Source: Lambda API reference.
            let call = region.lambda().list_functions().max_items(50);
            let page = call.set_marker(token).send().await.named(LIST)?;
            items.extend(page.functions().iter().filter_map(|found| {
                Some(Listed::new(found.function_arn()?, found.function_name()?))
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
