//! Reads one environment: every listing of every service and region in flight at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::{join, join_all};
use futures::{StreamExt, stream};

use super::alarms::Sweeps;
use super::gaps::Gaps;
use super::join::{Joined, RegionReading, not_used};
use super::listing::{Listed, Listing};
use super::session::{Region, Session};
use super::storage::Storage;
use super::{
    alarms, attributes, backups, cloudwatch, dynamodb, elasticache, error, explorer, lambda, logs,
    money, own, rds, s3, sns, sqs, storage, tagging,
};
use crate::cloud::{CloudError, Subject, Want};
use crate::inventory::{Bucket, EnvironmentInventory, Observed, Resource};
use crate::model::ResourceType;

/// Sees everything that `want` asks for; failures become gaps.
pub async fn observe(session: &Session, want: &Want) -> EnvironmentInventory {
    let sweeps = Sweeps::default();
    // The sweeps of alarms are slow by AWS's rate: they run while the rest is read.
    let swept = join_all(want.alarms.iter().map(|name| async {
        let region = session.region(name).await;
        sweeps.of(&region, |_| ()).await;
    }));
    let (mut inventory, money, _) = futures::join!(
        resources(session, want, &sweeps),
        money::observe(session, want),
        swept
    );
    money.add_to(&mut inventory);
    alarms::observe(session, want, &sweeps, &mut inventory).await;
    inventory.sort();
    inventory
}

/// Resources with their tags, and buckets.
async fn resources(session: &Session, want: &Want, sweeps: &Sweeps) -> EnvironmentInventory {
    let target = &session.target;
    let mut inventory = EnvironmentInventory {
        environment: target.environment.clone(),
        account: target.account.clone(),
        regions: target.regions.clone(),
        ..EnvironmentInventory::default()
    };
    if !(want.tags || want.lifecycle || want.sizes || want.backups) {
        return inventory;
    }
    let regions = join_all(target.regions.iter().map(|name| session.region(name))).await;
    let (mut readings, mut storage) = join(
        join_all(
            regions
                .iter()
                .map(|region| read_region(region, want, sweeps)),
        ),
        storage::observe(session, &regions, want),
    )
    .await;
    add_bucket_listings(&mut readings, &storage, &regions);
    let mut gaps = Gaps::new(target, want);
    gaps.add_listing_failures(&readings, &storage);
    gaps.add_tagging_failures(&readings);
    let listings = || readings.iter().flat_map(|reading| &reading.listings);
    let failed: BTreeSet<_> = listings()
        .filter(|listing| listing.error.is_some())
        .map(|listing| &listing.kind)
        .collect();
    inventory.types_checked = listings()
        .map(|listing| &listing.kind)
        .filter(|kind| !failed.contains(kind))
        .map(ResourceType::to_string)
        .collect();
    inventory
        .types_not_checked
        .extend(listings().filter_map(not_used));

    if want.attributes {
        attributes::observe(session, &regions, &mut readings, &mut inventory).await;
    }
    if want.backups {
        let (readings, buckets) = (&mut readings, &storage.buckets);
        backups::observe(session, &regions, readings, buckets, want, &mut inventory).await;
    }
    let mut unread = Vec::new();
    for (reading, region) in readings.into_iter().zip(&regions) {
        let Joined {
            resources,
            to_confirm,
            not_checked,
        } = super::join::join(reading);
        inventory.resources.extend(resources);
        inventory.types_not_checked.extend(not_checked);
        unread.extend(
            to_confirm
                .into_iter()
                .map(|resource| (Arc::clone(region), resource)),
        );
    }
    confirm(session, unread, &mut inventory.resources, &mut gaps).await;
    gaps.add_storage_failures(&storage);
    if storage.listing_failures.is_empty() {
        drop_vanished(&mut inventory.resources, &mut storage.buckets);
    }
    inventory.buckets = storage.buckets;
    inventory.buckets_elsewhere = storage.elsewhere;
    inventory.gaps.extend(gaps.found);
    inventory
}

/// A bucket that one of the calls found gone is gone from all answers.
fn drop_vanished(resources: &mut Vec<Resource>, buckets: &mut BTreeMap<String, Bucket>) {
    resources.retain(|r| r.kind != ResourceType::S3_BUCKET || buckets.contains_key(&r.name));
    let names: BTreeSet<_> = resources
        .iter()
        .filter(|r| r.kind == ResourceType::S3_BUCKET)
        .map(|r| r.name.as_str())
        .collect();
    buckets.retain(|name, _| names.contains(name.as_str()));
}

async fn read_region(region: &Region, want: &Want, sweeps: &Sweeps) -> RegionReading {
    // Listings of RDS tell the tags themselves.
    let services: &[&str] = if want.backups {
        &["s3", "dynamodb"]
    } else {
        &["s3"]
    };
    let snapshots = match (want.snapshots, want.tags) {
        (true, _) => rds::Snapshots::All,
        (false, true) => rds::Snapshots::Manual,
        (false, false) => rds::Snapshots::None,
    };
    let listings = async {
        if !want.tags {
            if !want.backups {
                return Vec::new();
            }
            let (a, b) = join(rds::list(region, snapshots), dynamodb::list(region)).await;
            return a.into_iter().chain(b).collect();
        }
        let (a, b, c, d, e, f, g, h) = futures::join!(
            rds::list(region, snapshots),
            lambda::list(region),
            dynamodb::list(region),
            sqs::list(region),
            sns::list(region),
            sweeps.of(region, |sweep| cloudwatch::listing(&region.name, sweep)),
            logs::list(region),
            elasticache::list(region),
        );
        [a, b, c, d, e, f, g, h].into_iter().flatten().collect()
    };
    let untagged = async {
        match want.tags {
            true => Some(explorer::untagged(region).await),
            false => None,
        }
    };
    let (listings, tagged, untagged) = futures::join!(
        listings,
        tagging::read_all(region, (!want.tags).then_some(services)),
        untagged
    );
    RegionReading {
        region: region.name.clone(),
        listings,
        tagged,
        untagged,
    }
}

/// The one listing of all buckets, as a listing of each region.
fn add_bucket_listings(readings: &mut [RegionReading], storage: &Storage, regions: &[Arc<Region>]) {
    for (reading, region) in readings.iter_mut().zip(regions) {
        let mut listing = Listing::new(ResourceType::S3_BUCKET, s3::LIST, &region.name);
        let here = storage.buckets.values().filter(|b| b.region == region.name);
        listing.items.extend(here.map(|bucket| {
            let arn = format!("arn:{}:s3:::{}", region.partition(), bucket.name);
            Listed::new(arn, &bucket.name)
        }));
        listing.error = storage.listing_failures.first().map(|f| f.error.clone());
        reading.listings.push(listing);
    }
}

/// Asks the owning services for the tags that nothing else told.
async fn confirm(
    session: &Session,
    unread: Vec<(Arc<Region>, Resource)>,
    resources: &mut Vec<Resource>,
    gaps: &mut Gaps<'_>,
) {
    let mut answers = stream::iter(unread)
        .map(|(region, resource)| read_own(region, resource))
        .buffer_unordered(session.shared.concurrency);
    let mut failed = Vec::new();
    while let Some(answer) = answers.next().await {
        let Some((resource, error)) = answer else {
            continue;
        };
        failed.extend(error.map(|error| (resource.clone(), error)));
        resources.push(resource);
    }
    gaps.add_unread_tags(failed);
}

/// The resource with its tags, or with the error; `None` if it is gone.
async fn read_own(
    region: Arc<Region>,
    mut resource: Resource,
) -> Option<(Resource, Option<CloudError>)> {
    let subject = Subject {
        arn: resource.arn.clone(),
        kind: resource.kind.clone(),
        name: resource.name.clone(),
        region: resource.region.clone(),
    };
    match own::read_tags(&region, &subject).await {
        Ok(tags) => {
            resource.tags = Observed::Known(tags);
            Some((resource, None))
        }
        // Also where the service does not know what its own listing has just shown: that may be a
        // resource on its way out, but it was not seen, and is not to vanish without a word.
        Err(error) => {
            resource.tags = Observed::Unknown(error::text(&error));
            Some((resource, Some(error)))
        }
    }
}
