//! Cost allocation tags: tag keys as dimensions of cost, managed by the payer only.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_costexplorer::types as sdk;

use super::super::error::{self, Named};
use super::super::listing::pages;
use super::super::pace::Api;
use super::super::session::Region;
use super::anomaly::billed;
use crate::cloud::CloudError;
use crate::inventory::CostTagFact;

pub const LIST: &str = "ce:ListCostAllocationTags";
/// Source: API model, `ce:CostAllocationTagsMaxResults`.
const PAGE: i32 = 1000;

/// The tags that people defined, by key; only this one, if a key is given.
pub async fn read(
    region: &Region,
    key: Option<&str>,
) -> Result<BTreeMap<String, CostTagFact>, CloudError> {
    let mut found = BTreeMap::new();
    pages!(LIST, |token| {
        let call = region.costexplorer().list_cost_allocation_tags();
        let call = call
            .r#type(sdk::CostAllocationTagType::UserDefined)
            .set_tag_keys(key.map(|k| vec![k.to_owned()]))
            .max_results(PAGE)
            .set_next_token(token);
        let page = billed!(region, call.send()).named(LIST)?;
        for tag in page.cost_allocation_tags() {
            let fact = CostTagFact {
                active: *tag.status() == sdk::CostAllocationTagStatus::Active,
                last_used: tag.last_used_date().and_then(|text| text.parse().ok()),
            };
            found.insert(tag.tag_key().to_owned(), fact);
        }
        Ok(page.next_token)
    })?;
    Ok(found)
}

/// The account is a member of an organisation, whose payer manages them: AWS says so in words
/// only, "Linked account doesn't have access to cost allocation tags".
pub fn is_member(error: &CloudError) -> bool {
    let message = error.message.to_lowercase();
    matches!(
        error.code.as_str(),
        "AccessDeniedException" | "ValidationException"
    ) && message.contains("linked account")
        && message.contains("cost allocation tag")
}

/// Up to 20 keys at once. A key that is refused fails the call, although AWS answers 200.
pub async fn set(region: &Region, keys: &BTreeSet<String>, active: bool) -> Result<(), CloudError> {
    let operation = "ce:UpdateCostAllocationTagsStatus";
    let status = match active {
        true => sdk::CostAllocationTagStatus::Active,
        false => sdk::CostAllocationTagStatus::Inactive,
    };
    let entries = keys
        .iter()
        .map(|key| {
            sdk::CostAllocationTagStatusEntry::builder()
                .tag_key(key)
                .status(status.clone())
                .build()
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| error::own(operation, "request", e.to_string()))?;
    let call = region.costexplorer().update_cost_allocation_tags_status();
    let call = call.set_cost_allocation_tags_status(Some(entries));
    let answer = billed!(region, call.send()).named(operation)?;
    match answer.errors().first() {
        None => Ok(()),
        Some(refused) => Err(error::own(
            operation,
            refused.code().unwrap_or("Refused"),
            format!(
                "{}: {}",
                refused.tag_key().unwrap_or_default(),
                refused.message().unwrap_or("no reason was given")
            ),
        )),
    }
}
