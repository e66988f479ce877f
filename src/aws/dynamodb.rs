//! DynamoDB tables.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::Tag;

use super::error::{self, Named};
use super::listing::{Listed, Listing, pages, tags};
use super::pace::Api;
use super::session::Region;
use crate::cloud::{CloudError, Subject};
use crate::model::{ResourceType, Tags};

const LIST: &str = "dynamodb:ListTables";

pub async fn list(region: &Region) -> Vec<Listing> {
    let mut listing = Listing::new(ResourceType::DYNAMODB_TABLE, LIST, &region.name);
    let items = &mut listing.items;
    let outcome = pages!(LIST, |token| {
        // 100 is the most that a page has. Source: DynamoDB API reference.
        let call = region.dynamodb().list_tables().limit(100);
        let page = call
            .set_exclusive_start_table_name(token)
            .send()
            .await
            .named(LIST)?;
        items.extend(
            page.table_names()
                .iter()
                .map(|name| Listed::new(region.arn("dynamodb", &format!("table/{name}")), name)),
        );
        Ok(page.last_evaluated_table_name)
    });
    vec![listing.ended(outcome)]
}

pub async fn read_tags(region: &Region, subject: &Subject) -> Result<Tags, CloudError> {
    let operation = "dynamodb:ListTagsOfResource";
    let mut found = Tags::new();
    pages!(operation, |token| {
        region.pace(Api::DynamoDbTags).await;
        let call = region.dynamodb().list_tags_of_resource();
        let call = call.resource_arn(&subject.arn).set_next_token(token);
        let page = call.send().await.named(operation)?;
        found.extend(tags(
            page.tags().iter().map(|t| (Some(t.key()), Some(t.value()))),
        ));
        Ok(page.next_token)
    })?;
    Ok(found)
}

pub async fn tag(region: &Region, subject: &Subject, set: &Tags) -> Result<(), CloudError> {
    let operation = "dynamodb:TagResource";
    region.pace(Api::DynamoDbTags).await;
    let list = set
        .iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| error::own(operation, "request", e.to_string()))?;
    let call = region.dynamodb().tag_resource().resource_arn(&subject.arn);
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
    region.pace(Api::DynamoDbTags).await;
    let call = region
        .dynamodb()
        .untag_resource()
        .resource_arn(&subject.arn);
    let call = call.set_tag_keys(Some(keys.iter().cloned().collect()));
    call.send().await.named("dynamodb:UntagResource").map(drop)
}

pub const DESCRIBE: &str = "dynamodb:DescribeTable";

/// The regions that a global table is replicated to.
pub async fn replicas(region: &Region, table: &str) -> Result<BTreeSet<String>, CloudError> {
    let _slot = region.slot().await;
    let call = region.dynamodb().describe_table().table_name(table);
    let answer = call.send().await.named(DESCRIBE)?;
    let replicas = answer.table.map(|t| t.replicas.unwrap_or_default());
    let regions = replicas.unwrap_or_default().into_iter();
    Ok(regions.filter_map(|r| r.region_name).collect())
}

/// `PAY_PER_REQUEST` or `PROVISIONED`.
pub async fn billing_mode(region: &Region, table: &str) -> Result<String, CloudError> {
    let _slot = region.slot().await;
    let call = region.dynamodb().describe_table().table_name(table);
    let answer = call.send().await.named(DESCRIBE)?;
    let summary = answer.table.and_then(|t| t.billing_mode_summary);
    let mode = summary.and_then(|s| s.billing_mode);
    // No summary: always was provisioned. Source: DynamoDB API reference, TableDescription.
    Ok(mode.map_or_else(|| "PROVISIONED".to_owned(), |m| m.as_str().to_owned()))
}
