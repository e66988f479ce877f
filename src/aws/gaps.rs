//! What could not be seen, in terms of the controls that need it.

use std::collections::BTreeMap;

use super::attributes::is_watched;
use super::error;
use super::join::{RegionReading, not_used};
use super::storage::{Failure, Storage};
use super::tagging::GET;
use crate::cloud::{CloudError, Target, Want};
use crate::inventory::{Gap, Resource};
use crate::model::{Control, ResourceType};

/// Collects the gaps of one environment.
pub struct Gaps<'a> {
    target: &'a Target,
    want: &'a Want,
    pub found: Vec<Gap>,
}

impl<'a> Gaps<'a> {
    pub fn new(target: &'a Target, want: &'a Want) -> Self {
        let found = Vec::new();
        Gaps {
            target,
            want,
            found,
        }
    }

    fn add(&mut self, control: Control, region: &str, operation: &str, error: String) -> &mut Gap {
        self.found.push(Gap {
            environment: self.target.environment.clone(),
            account: self.target.account.clone(),
            region: region.to_owned(),
            control,
            operation: operation.to_owned(),
            resource: None,
            error,
        });
        let last = self.found.len() - 1;
        &mut self.found[last]
    }

    fn add_failure(&mut self, control: Control, failure: &Failure) {
        let text = error::text(&failure.error);
        self.add(control, &failure.region, failure.operation, text)
            .resource = failure.bucket.clone();
    }

    fn controls(&self) -> Vec<Control> {
        let tags = self.want.tags.then_some(Control::Tags);
        let lifecycle = self.want.lifecycle || self.want.sizes;
        let lifecycle = lifecycle.then_some(Control::Lifecycle);
        let alarms = self.want.attributes.then_some(Control::Alarms);
        let backups = self.want.backups.then_some(Control::Backups);
        tags.into_iter()
            .chain(lifecycle)
            .chain(alarms)
            .chain(backups)
            .collect()
    }

    /// Whether the backups control needs the listing of a type.
    fn is_backed_up(&self, kind: &ResourceType) -> bool {
        let sources = [
            ResourceType::RDS_INSTANCE,
            ResourceType::RDS_CLUSTER,
            ResourceType::DYNAMODB_TABLE,
        ];
        let snapshots = [
            ResourceType::RDS_SNAPSHOT,
            ResourceType::RDS_CLUSTER_SNAPSHOT,
        ];
        self.want.backups
            && (sources.contains(kind) || (self.want.snapshots && snapshots.contains(kind)))
    }

    /// Listings; the list of buckets is needed by every control.
    pub fn add_listing_failures(&mut self, readings: &[RegionReading], storage: &Storage) {
        for listing in readings.iter().flat_map(|r| &r.listings) {
            if let Some(error) = &listing.error
                && listing.kind != ResourceType::S3_BUCKET
                && not_used(listing).is_none()
            {
                let text = error::text(error);
                // Packs are made for what is there; hygiene says what is gone.
                let alarms = self.want.attributes || self.want.alarm_metrics;
                if alarms && is_watched(&listing.kind) {
                    let control = Control::Alarms;
                    self.add(control, &listing.region, listing.operation, text.clone());
                }
                if self.is_backed_up(&listing.kind) {
                    let control = Control::Backups;
                    self.add(control, &listing.region, listing.operation, text.clone());
                }
                self.add(Control::Tags, &listing.region, listing.operation, text);
            }
        }
        for control in self.controls() {
            for failure in &storage.listing_failures {
                self.add_failure(control, failure);
            }
        }
    }

    /// Without the tagging API, types that have no listing cannot be seen at all. For the lifecycle
    /// control it is only a shortcut to the tags of buckets.
    pub fn add_tagging_failures(&mut self, readings: &[RegionReading]) {
        let wanted = if self.want.tags { readings } else { &[] };
        for reading in wanted {
            if let Some(error) = &reading.tagged.error {
                self.add(Control::Tags, &reading.region, GET, error::text(error));
                if self.want.attributes {
                    self.add(Control::Alarms, &reading.region, GET, error::text(error));
                }
            }
        }
    }

    /// One gap for all resources that failed alike.
    pub fn add_unread_tags(&mut self, failed: Vec<(Resource, CloudError)>) {
        let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
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
            let count = group.len();
            let Some((first, error)) = group.into_iter().next() else {
                continue;
            };
            let mut text = error::text(&error);
            if count > 1 {
                text = format!("{text} ({} and {} more)", first.name, count - 1);
            }
            let bucket = first.kind == ResourceType::S3_BUCKET;
            for control in self.controls() {
                let needs = match control {
                    Control::Tags => true,
                    Control::Alarms => is_watched(&first.kind),
                    Control::Backups => {
                        self.is_backed_up(&first.kind)
                            || (bucket && self.want.versioning_of(&first.name))
                    }
                    _ => bucket,
                };
                if needs {
                    self.add(control, &region, &operation, text.clone())
                        .resource = (count == 1).then(|| first.name.clone());
                }
            }
        }
    }

    /// Lifecycle configurations and sizes.
    pub fn add_storage_failures(&mut self, storage: &Storage) {
        for failure in &storage.failures {
            self.add_failure(Control::Lifecycle, failure);
        }
    }
}
