//! The Resource Groups Tagging API: tags of many services at once, and writes to them.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_resourcegroupstagging::types::{FailureInfo, ResourceTagMapping};

use super::error::Named;
use super::listing::{pages, tags};
use super::logs::bare_arn;
use super::pace::Api;
use super::session::Region;
use crate::cloud::{CloudError, Subject};
use crate::model::Tags;

pub const GET: &str = "tag:GetResources";
pub const TAG: &str = "tag:TagResources";
pub const UNTAG: &str = "tag:UntagResources";

/// What the tagging API knows of a region: resources that have tags or once had some.
#[derive(Debug, Default)]
pub struct Tagged {
    pub by_arn: HashMap<String, Tags>,
    pub error: Option<CloudError>,
}

fn entry(mapping: &ResourceTagMapping) -> Option<(String, Tags)> {
    let arn = bare_arn(mapping.resource_arn()?).to_owned();
    let pairs = mapping
        .tags()
        .iter()
        .map(|t| (Some(t.key()), Some(t.value())));
    Some((arn, tags(pairs)))
}

/// Everything, or only the resources of some services.
///
/// Tokens live 15 minutes, a page may be empty in the middle, and the last token is an empty
/// string. Source: tagging API reference, GetResources.
pub async fn read_all(region: &Region, services: Option<&[&str]>) -> Tagged {
    let mut found = Tagged::default();
    let by_arn = &mut found.by_arn;
    let outcome = pages!(GET, |token| {
        region.pace(Api::GetResources).await;
        let call = region.tagging().get_resources().resources_per_page(100);
        let call = call.set_resource_type_filters(
            services.map(|all| all.iter().map(|s| (*s).to_owned()).collect()),
        );
        let page = call.set_pagination_token(token).send().await.named(GET)?;
        by_arn.extend(page.resource_tag_mapping_list().iter().filter_map(entry));
        Ok(page.pagination_token)
    });
    found.error = outcome.err();
    found
}

/// The tags of one resource. One that the API does not know counts as untagged: it answers the same
/// for those that never had a tag.
pub async fn read_tags(region: &Region, subject: &Subject) -> Result<Tags, CloudError> {
    let mut found = Tags::new();
    pages!(GET, |token| {
        region.pace(Api::GetResources).await;
        let call = region
            .tagging()
            .get_resources()
            .resource_arn_list(&subject.arn);
        let page = call.set_pagination_token(token).send().await.named(GET)?;
        for (arn, tags) in page.resource_tag_mapping_list().iter().filter_map(entry) {
            if arn == bare_arn(&subject.arn) {
                found = tags;
            }
        }
        Ok(page.pagination_token)
    })?;
    Ok(found)
}

/// Per ARN, what went wrong; empty means that all is done.
pub type Failures = HashMap<String, CloudError>;

fn failures(operation: &str, map: Option<HashMap<String, FailureInfo>>) -> Failures {
    let translate = |info: FailureInfo| CloudError {
        operation: operation.to_owned(),
        code: info
            .error_code()
            .map_or("Failed", |c| c.as_str())
            .to_owned(),
        message: info.error_message().unwrap_or("no message").to_owned(),
        maybe_done: info.status_code() >= 500,
    };
    let entries = map.unwrap_or_default().into_iter();
    entries.map(|(arn, info)| (arn, translate(info))).collect()
}

/// Adds tags to up to 20 resources. HTTP 200 may still name resources that failed.
pub async fn tag(region: &Region, arns: Vec<String>, set: &Tags) -> Result<Failures, CloudError> {
    region.pace(Api::WriteTags).await;
    let map: HashMap<_, _> = set.clone().into_iter().collect();
    let call = region
        .tagging()
        .tag_resources()
        .set_resource_arn_list(Some(arns));
    let answer = call.set_tags(Some(map)).send().await.named(TAG)?;
    Ok(failures(TAG, answer.failed_resources_map))
}

/// Removes keys from up to 20 resources; a key that is not there is no failure.
pub async fn untag(
    region: &Region,
    arns: Vec<String>,
    keys: &BTreeSet<String>,
) -> Result<Failures, CloudError> {
    region.pace(Api::WriteTags).await;
    let call = region
        .tagging()
        .untag_resources()
        .set_resource_arn_list(Some(arns));
    let call = call.set_tag_keys(Some(keys.iter().cloned().collect()));
    let answer = call.send().await.named(UNTAG)?;
    Ok(failures(UNTAG, answer.failed_resources_map))
}
