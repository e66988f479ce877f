//! Reads one environment: every listing of every service and region in flight at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::{join, join_all};
use futures::{StreamExt, stream};

use super::join::{Joined, RegionReading, not_used};
use super::listing::{Listed, Listing};
use super::session::{Region, Session};
use super::storage::Storage;
use super::tagging::GET;
use super::{
    cloudwatch, dynamodb, elasticache, error, explorer, lambda, logs, own, rds, s3, sns, sqs,
    storage, tagging,
};
use crate::cloud::{CloudError, Subject, Target, Want};
use crate::inventory::{EnvironmentInventory, Gap, Observed, Resource};
use crate::model::{Control, ResourceType};

/// Sees everything that `want` asks for; failures become gaps.
pub async fn observe(session: &Session, want: Want) -> EnvironmentInventory {
    let target = &session.target;
    let mut inventory = EnvironmentInventory {
        environment: target.environment.clone(),
        account: target.account.clone(),
        regions: target.regions.clone(),
        ..EnvironmentInventory::default()
    };
    if !(want.tags || want.lifecycle || want.sizes) {
        return inventory;
    }
    let regions = join_all(target.regions.iter().map(|name| session.region(name))).await;
    let (mut readings, mut storage) = join(
        join_all(regions.iter().map(|region| read_region(region, want))),
        storage::observe(session, &regions, want),
    )
    .await;
    add_bucket_listings(&mut readings, &storage, &regions);
    let mut gaps = Gaps {
        target,
        want,
        found: Vec::new(),
    };
    gaps.add_listing_failures(&readings, &storage);
    gaps.add_tagging_failures(&readings);
    inventory.types_checked = ResourceType::LISTED
        .iter()
        .filter(|kind| {
            let mut listings = readings
                .iter()
                .flat_map(|r| &r.listings)
                .filter(|l| l.kind == **kind);
            listings.by_ref().count() > 0
        })
        .filter(|kind| {
            let mut listings = readings.iter().flat_map(|r| &r.listings);
            listings.all(|l| l.kind != **kind || l.error.is_none())
        })
        .map(ResourceType::to_string)
        .collect();
    let unused = readings
        .iter()
        .flat_map(|r| &r.listings)
        .filter_map(not_used);
    inventory.types_not_checked.extend(unused);

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
    gaps.add_storage_failures(&mut storage);
    // A bucket that vanished between the calls is gone from both.
    inventory.resources.retain(|r| {
        r.kind != ResourceType::S3_BUCKET
            || storage.buckets.contains_key(&r.name)
            || !storage.listing_failures.is_empty()
    });
    inventory.buckets = storage.buckets;
    inventory.buckets_elsewhere = storage.elsewhere;
    inventory.gaps = gaps.found;
    inventory.sort();
    inventory
}

async fn read_region(region: &Region, want: Want) -> RegionReading {
    let service = if want.tags { None } else { Some("s3") };
    let listings = async {
        if !want.tags {
            return Vec::new();
        }
        let (a, b, c, d, e, f, g, h) = futures::join!(
            rds::list(region),
            lambda::list(region),
            dynamodb::list(region),
            sqs::list(region),
            sns::list(region),
            cloudwatch::list(region),
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
    let (listings, tagged, untagged) =
        futures::join!(listings, tagging::read_all(region, service), untagged);
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

/// What could not be seen, for which of the wanted controls.
struct Gaps<'a> {
    target: &'a Target,
    want: Want,
    found: Vec<Gap>,
}

impl Gaps<'_> {
    fn add(
        &mut self,
        control: Control,
        region: &str,
        operation: &str,
        resource: Option<String>,
        error: String,
    ) {
        self.found.push(Gap {
            environment: self.target.environment.clone(),
            account: self.target.account.clone(),
            region: region.to_owned(),
            control,
            operation: operation.to_owned(),
            resource,
            error,
        });
    }

    fn controls(&self) -> impl Iterator<Item = Control> + use<> {
        let lifecycle = self.want.lifecycle || self.want.sizes;
        let wanted = [
            (self.want.tags, Control::Tags),
            (lifecycle, Control::Lifecycle),
        ];
        wanted
            .into_iter()
            .filter_map(|(wanted, control)| wanted.then_some(control))
    }

    fn add_listing_failures(&mut self, readings: &[RegionReading], storage: &Storage) {
        for listing in readings.iter().flat_map(|r| &r.listings) {
            if let Some(error) = &listing.error
                && listing.kind != ResourceType::S3_BUCKET
                && not_used(listing).is_none()
            {
                self.add(
                    Control::Tags,
                    &listing.region,
                    listing.operation,
                    None,
                    error::text(error),
                );
            }
        }
        for failure in &storage.listing_failures {
            for control in self.controls() {
                let text = error::text(&failure.error);
                self.add(
                    control,
                    &failure.region,
                    failure.operation,
                    failure.bucket.clone(),
                    text,
                );
            }
        }
    }

    /// Without the tagging API, types that have no listing cannot be seen at all.
    fn add_tagging_failures(&mut self, readings: &[RegionReading]) {
        for reading in readings
            .iter()
            .filter(|_| self.want.tags)
            .collect::<Vec<_>>()
        {
            if let Some(error) = &reading.tagged.error {
                self.add(
                    Control::Tags,
                    &reading.region,
                    GET,
                    None,
                    error::text(error),
                );
            }
        }
    }

    /// One gap for all resources that failed alike.
    fn add_unread_tags(&mut self, failed: Vec<(Resource, CloudError)>) {
        let mut groups: BTreeMap<(String, String, String), Vec<(Resource, CloudError)>> =
            BTreeMap::new();
        for (resource, error) in failed {
            let key = (
                resource.region.clone(),
                error.operation.clone(),
                error.code.clone(),
            );
            groups.entry(key).or_default().push((resource, error));
        }
        for ((region, operation, _), mut group) in groups {
            group.sort_by(|a, b| a.0.name.cmp(&b.0.name));
            let Some((first, error)) = group.first() else {
                continue;
            };
            let (name, text) = match group.len() {
                1 => (Some(first.name.clone()), error::text(error)),
                n => (
                    None,
                    format!("{} (first of {n} resources)", error::text(error)),
                ),
            };
            let bucket = first.kind == ResourceType::S3_BUCKET;
            for control in self.controls().filter(|c| *c == Control::Tags || bucket) {
                self.add(control, &region, &operation, name.clone(), text.clone());
            }
        }
    }

    fn add_storage_failures(&mut self, storage: &mut Storage) {
        for failure in storage.failures.drain(..) {
            let text = error::text(&failure.error);
            self.add(
                Control::Lifecycle,
                &failure.region,
                failure.operation,
                failure.bucket,
                text,
            );
        }
    }
}
