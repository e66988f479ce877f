//! Puts listings and the tagging API's answers together; pure.

use std::collections::BTreeSet;

use super::error;
use super::listing::Listing;
use super::tagging::Tagged;
use crate::inventory::{NotChecked, Observed, Resource};
use crate::model::{Arn, ResourceType, Tags};

/// Everything that was read of one region.
#[derive(Debug)]
pub struct RegionReading {
    pub region: String,
    pub listings: Vec<Listing>,
    pub tagged: Tagged,
    /// ARNs without tags by Resource Explorer, and why there may be more; `None`: only types with a
    /// listing of their own are wanted.
    pub untagged: Option<(Vec<String>, Option<String>)>,
}

#[derive(Debug, Default)]
pub struct Joined {
    pub resources: Vec<Resource>,
    /// Resources whose tags only their own service can tell; their tags are `Unknown` so far.
    pub to_confirm: Vec<Resource>,
    pub not_checked: BTreeSet<NotChecked>,
}

/// Recovery points and automatic snapshots: made by AWS, tagged by AWS.
fn is_automatic(arn: &Arn<'_>, name: &str) -> bool {
    match arn.service {
        "backup" => arn.resource.starts_with("recovery-point"),
        "rds" => {
            arn.resource.contains("snapshot:")
                && (name.starts_with("rds:") || name.starts_with("awsbackup:"))
        }
        _ => false,
    }
}

/// Joins one region.
///
/// The tagging API tells nothing about resources that never had a tag, so absence from it means
/// "untagged" for whatever a listing found. But the silence about a whole type is no evidence: not
/// every type is covered by it, and then the service itself is asked.
pub fn join(reading: RegionReading) -> Joined {
    let RegionReading {
        region,
        listings,
        tagged: Tagged {
            by_arn: mut tagged,
            error: tagging_error,
        },
        untagged,
    } = reading;
    let mut joined = Joined::default();
    let seen: BTreeSet<ResourceType> = tagged
        .keys()
        .filter_map(|arn| Some(Arn::parse(arn)?.classify().0))
        .collect();
    // A type whose listing failed is known as far as the tagging API reports it.
    let listed: BTreeSet<ResourceType> = listings
        .iter()
        .filter(|l| l.error.is_none())
        .map(|l| l.kind.clone())
        .collect();
    for listing in listings {
        let silence_counts = tagging_error.is_none() && seen.contains(&listing.kind);
        for item in listing.items {
            let reported = tagged.remove(&item.arn);
            let known = item.tags.or(reported).or(silence_counts.then(Tags::new));
            let resource = |tags| Resource {
                arn: item.arn,
                kind: listing.kind.clone(),
                name: item.name,
                region: region.clone(),
                tags,
            };
            match known {
                Some(tags) => joined.resources.push(resource(Observed::Known(tags))),
                None => {
                    let unread = Observed::Unknown("not read".to_owned());
                    joined.to_confirm.push(resource(unread));
                }
            }
        }
    }
    let everything = untagged.is_some();
    let explored = matches!(&untagged, Some((_, None)));
    let unlisted = untagged.iter().flat_map(|(arns, _)| arns);
    let unlisted = unlisted
        .map(|arn| (arn.clone(), Tags::new()))
        .collect::<Vec<_>>();
    for (arn, tags) in tagged.into_iter().chain(unlisted) {
        let Some(parsed) = Arn::parse(&arn) else {
            continue;
        };
        let (kind, name) = parsed.classify();
        // The tagging API remembers deleted resources: a full listing knows better.
        let wanted = everything || kind.is_listed();
        if !wanted || listed.contains(&kind) || is_automatic(&parsed, name) {
            continue;
        }
        // A search by region does not find what has none.
        if !kind.is_listed() && (!explored || parsed.region.is_empty()) {
            joined.not_checked.insert(NotChecked {
                kind: kind.to_string(),
                region: region.clone(),
                reason: "only where tagged: found through the tagging API".to_owned(),
            });
        }
        let name = name.to_owned();
        joined.resources.push(Resource {
            arn,
            kind,
            name,
            // Of the endpoint that reported it: there it can be read again and written.
            region: region.clone(),
            tags: Observed::Known(tags),
        });
    }
    if let Some((_, Some(reason))) = untagged {
        let kind = "other types".to_owned();
        joined.not_checked.insert(NotChecked {
            kind,
            region,
            reason,
        });
    }
    joined
}

/// Why a type cannot be seen in a region although nothing is wrong; `None` for real failures.
pub fn not_used(listing: &Listing) -> Option<NotChecked> {
    let failure = listing.error.as_ref()?;
    error::is_not_subscribed(failure).then(|| NotChecked {
        kind: listing.kind.to_string(),
        region: listing.region.clone(),
        reason: "service not used by this account".to_owned(),
    })
}
