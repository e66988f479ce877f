//! Resource Explorer, where the account has it: resources of any type that never had a tag.

use std::time::Duration;

use aws_sdk_resourceexplorer2::config::Builder;
use aws_sdk_resourceexplorer2::config::retry::RetryConfig;

use super::error::{self, Named};
use super::pace::Api;
use super::session::Region;
use crate::cloud::CloudError;

const SEARCH: &str = "resource-explorer-2:Search";
/// It is optional, so it must not hold up a run for long.
const ATTEMPTS: u32 = 3;
const BACKOFF: Duration = Duration::from_millis(200);
/// More than these first matches are never returned. Source: API reference, Search.
const MATCHES: usize = 1000;

/// The ARNs of untagged resources, or why there may be others.
pub async fn untagged(region: &Region) -> (Vec<String>, Option<String>) {
    let mut found = Vec::new();
    match search(region, &mut found).await {
        Ok(true) => (found, None),
        Ok(false) => {
            let reason =
                format!("Resource Explorer returns only the first {MATCHES} untagged resources");
            (found, Some(reason))
        }
        Err(error) => (
            found,
            Some(format!("Resource Explorer: {}", error::text(&error))),
        ),
    }
}

/// `Ok(true)` if that is all there is.
async fn search(region: &Region, found: &mut Vec<String>) -> Result<bool, CloudError> {
    let query = format!("tag:none region:{} resourcetype.supports:tags", region.name);
    let mut token = None;
    let mut seen = 0;
    loop {
        region.pace(Api::Search).await;
        let retry = RetryConfig::standard()
            .with_max_attempts(ATTEMPTS)
            .with_initial_backoff(BACKOFF);
        let page = region
            .explorer()
            .search()
            .query_string(&query)
            .max_results(MATCHES as i32)
            .set_next_token(token)
            .customize()
            .config_override(Builder::new().retry_config(retry))
            .send()
            .await
            .named(SEARCH)?;
        let own = page.resources().iter().filter(|resource| {
            // The view of an organization shows other accounts as well.
            let owner = resource.owning_account_id();
            owner.is_none_or(|owner| owner == region.account)
        });
        found.extend(own.filter_map(|resource| resource.arn().map(str::to_owned)));
        seen += page.resources().len();
        let complete = page.count().and_then(|c| c.complete()).unwrap_or(false);
        token = page.next_token.filter(|t| !t.is_empty());
        if token.is_none() || seen >= MATCHES {
            return Ok(complete);
        }
    }
}
