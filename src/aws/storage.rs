//! The buckets of an account: found once, then read each in its own region.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use futures::future::join_all;
use futures::stream;

use super::session::{Region, Session};
use super::{cloudwatch, error, s3};
use crate::cloud::{CloudError, LifecycleReading, Want};
use crate::inventory::{Bucket, BucketSize, Observed};

/// A call about buckets that failed.
#[derive(Debug)]
pub struct Failure {
    pub operation: &'static str,
    /// `None`: all of them.
    pub bucket: Option<String>,
    pub region: String,
    pub error: CloudError,
}

#[derive(Debug, Default)]
pub struct Storage {
    pub buckets: BTreeMap<String, Bucket>,
    pub elsewhere: Vec<(String, String)>,
    /// ListBuckets and where buckets are: needed by everything.
    pub listing_failures: Vec<Failure>,
    /// Configurations and sizes: only needed by the lifecycle control.
    pub failures: Vec<Failure>,
}

/// Finds the buckets in `regions` and reads what `want` asks for.
pub async fn observe(session: &Session, regions: &[Arc<Region>], want: &Want) -> Storage {
    let mut storage = Storage::default();
    let Some(first) = regions.first() else {
        return storage;
    };
    let found = find(first, &mut storage).await;
    let mut homes: BTreeMap<&str, (&Arc<Region>, Vec<String>)> = regions
        .iter()
        .map(|region| (region.name.as_str(), (region, Vec::new())))
        .collect();
    for (name, region) in found {
        match homes.get_mut(region.as_str()) {
            Some((_, names)) => names.push(name),
            None => storage.elsewhere.push((name, region)),
        }
    }
    let homes: Vec<_> = homes.into_values().collect();
    let places: Vec<_> = homes
        .iter()
        .flat_map(|(region, names)| names.iter().map(|name| (Arc::clone(region), name.clone())))
        .collect();
    let configurations = stream::iter(places)
        .map(|(region, name)| read_bucket(region, name, want))
        .buffer_unordered(session.shared.concurrency)
        .collect::<Vec<_>>();
    let sized = homes
        .into_iter()
        .filter(|(_, names)| want.sizes && !names.is_empty());
    let sizes = join_all(sized.map(|(region, names)| read_sizes(Arc::clone(region), names)));
    let (configurations, sizes) = futures::join!(configurations, sizes);
    for (region, name, outcome) in configurations {
        add_bucket(&mut storage, region, name, outcome);
    }
    for (region, outcome) in sizes {
        let here = storage.buckets.values_mut().filter(|b| b.region == region);
        match outcome {
            Ok(known) => here.for_each(|bucket| {
                bucket.size = known
                    .get(&bucket.name)
                    .map_or(Observed::Absent, |s| Observed::Known(*s));
            }),
            Err(error) => {
                here.for_each(|bucket| bucket.size = Observed::Unknown(error::text(&error)));
                storage.failures.push(Failure {
                    operation: cloudwatch::METRICS,
                    bucket: None,
                    region,
                    error,
                });
            }
        }
    }
    storage
}

type BucketOutcome = (String, String, Option<Result<LifecycleReading, CloudError>>);

async fn read_bucket(region: Arc<Region>, name: String, want: &Want) -> BucketOutcome {
    let outcome = match want.lifecycle {
        true => Some(s3::read_lifecycle(&region, &name).await),
        false => None,
    };
    (region.name.clone(), name, outcome)
}

type SizesOutcome = (String, Result<BTreeMap<String, BucketSize>, CloudError>);

async fn read_sizes(region: Arc<Region>, buckets: Vec<String>) -> SizesOutcome {
    let outcome = cloudwatch::sizes(&region, &buckets).await;
    (region.name.clone(), outcome)
}

async fn find_region(
    region: &Region,
    name: String,
    known: Option<String>,
) -> (String, Result<String, CloudError>) {
    let found = match known {
        Some(known) => Ok(known),
        None => s3::locate(region, &name).await,
    };
    (name, found)
}

/// All buckets with their regions.
async fn find(first: &Region, storage: &mut Storage) -> Vec<(String, String)> {
    let (listed, error) = s3::list(first).await;
    if let Some(error) = error {
        storage.listing_failures.push(Failure {
            operation: s3::LIST,
            bucket: None,
            region: first.name.clone(),
            error,
        });
    }
    let located = listed
        .into_iter()
        .map(|(name, region)| find_region(first, name, region));
    let mut found = Vec::new();
    for (name, region) in join_all(located).await {
        match region {
            Ok(region) => found.push((name, region)),
            // Deleted since it was listed.
            Err(error) if error::is_not_found(&error) || error.code == "Http404" => {}
            Err(error) => storage.listing_failures.push(Failure {
                operation: s3::LOCATE,
                bucket: Some(name),
                region: first.name.clone(),
                error,
            }),
        }
    }
    found
}

fn add_bucket(
    storage: &mut Storage,
    region: String,
    name: String,
    outcome: Option<Result<LifecycleReading, CloudError>>,
) {
    let mut bucket = Bucket {
        name: name.clone(),
        region: region.clone(),
        lifecycle: Observed::Unknown("not read".to_owned()),
        unknown_element: None,
        size: Observed::Absent,
    };
    match outcome {
        None => {}
        Some(Ok(reading)) => {
            bucket.lifecycle = reading.configuration;
            bucket.unknown_element = reading.unknown_element;
        }
        Some(Err(error)) if error.code == "NoSuchBucket" => return,
        Some(Err(error)) => {
            bucket.lifecycle = Observed::Unknown(error::text(&error));
            storage.failures.push(Failure {
                operation: s3::LIFECYCLE,
                bucket: Some(name.clone()),
                region,
                error,
            });
        }
    }
    storage.buckets.insert(name, bucket);
}
