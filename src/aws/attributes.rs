//! What alarm thresholds are derived from: from the listings that are made anyway, and from a few
//! calls of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::{join_all, join3};
use futures::{StreamExt, stream};

use super::join::RegionReading;
use super::listing::Listing;
use super::session::{Region, Session};
use super::{dynamodb, error, lambda, metrics, sqs};
use crate::cloud::CloudError;
use crate::inventory::{Attributes, DISCOVERED, EnvironmentInventory, Gap, Observed, RegionFacts};
use crate::model::object::MetricId;
use crate::model::{Control, ResourceType};

/// Types that alarms are made for.
pub fn is_watched(kind: &ResourceType) -> bool {
    [
        ResourceType::S3_BUCKET,
        ResourceType::RDS_INSTANCE,
        ResourceType::RDS_CLUSTER,
        ResourceType::LAMBDA_FUNCTION,
        ResourceType::DYNAMODB_TABLE,
        ResourceType::SQS_QUEUE,
        ResourceType::ELASTICACHE_CLUSTER,
        ResourceType::ELASTICACHE_REPLICATION_GROUP,
    ]
    .contains(kind)
}

/// Operation, resource, error.
pub type Failure = (&'static str, Option<String>, CloudError);

/// One region's part of the inventory.
struct Found {
    region: String,
    attributes: BTreeMap<String, Attributes>,
    facts: RegionFacts,
    failures: Vec<Failure>,
}

/// What one resource takes a call for.
struct Question {
    arn: String,
    name: String,
    /// The URL of a queue; `None`: a table.
    queue: Option<String>,
}

/// Adds the attributes of all resources of the listings, and the facts of the regions.
pub async fn observe(
    session: &Session,
    regions: &[Arc<Region>],
    readings: &mut [RegionReading],
    inventory: &mut EnvironmentInventory,
) {
    let reads = readings
        .iter_mut()
        .zip(regions)
        .map(|(reading, region)| of_region(session, region, &mut reading.listings));
    for found in join_all(reads).await {
        inventory.attributes.extend(found.attributes);
        inventory
            .region_facts
            .insert(found.region.clone(), found.facts);
        for (operation, resource, error) in group(found.failures) {
            inventory.gaps.push(Gap {
                environment: session.target.environment.clone(),
                account: session.target.account.clone(),
                region: found.region.clone(),
                control: Control::Alarms,
                operation: operation.to_owned(),
                resource,
                error,
            });
        }
    }
}

async fn of_region(session: &Session, region: &Arc<Region>, listings: &mut [Listing]) -> Found {
    let mut attributes = BTreeMap::new();
    let mut questions = Vec::new();
    let mut has_functions = false;
    for listing in listings {
        let asks =
            listing.kind == ResourceType::SQS_QUEUE || listing.kind == ResourceType::DYNAMODB_TABLE;
        has_functions |= listing.kind == ResourceType::LAMBDA_FUNCTION && !listing.items.is_empty();
        for item in &mut listing.items {
            if let Some(found) = item.attributes.take() {
                attributes.insert(item.arn.clone(), *found);
            } else if asks {
                attributes.insert(item.arn.clone(), Attributes::default());
                questions.push(Question {
                    arn: item.arn.clone(),
                    name: item.name.clone(),
                    queue: item.locator.take(),
                });
            }
        }
    }
    let mut failures = Vec::new();
    let answers = stream::iter(questions)
        .map(|question| ask(region, question))
        .buffer_unordered(session.shared.concurrency)
        .collect::<Vec<_>>();
    let functions = async {
        match has_functions {
            true => {
                let calls =
                    futures::join!(lambda::concurrency(region), lambda::event_sources(region));
                Some(calls)
            }
            false => None,
        }
    };
    let (answers, functions, discovered) = join3(answers, functions, discover(region)).await;
    for (question, answer) in answers {
        let Some(entry) = attributes.get_mut(&question.arn) else {
            continue;
        };
        match (question.queue.is_some(), answer) {
            // Gone since it was listed.
            (_, Err(error)) if error::is_not_found(&error) => {
                attributes.remove(&question.arn);
            }
            (true, answer) => {
                let operation = sqs::ATTRIBUTES;
                entry.dead_letter_queue =
                    observed(answer, operation, Some(&question.name), &mut failures);
            }
            (false, answer) => {
                let operation = dynamodb::DESCRIBE;
                entry.billing_mode =
                    observed(answer, operation, Some(&question.name), &mut failures);
            }
        }
    }
    let mut facts = RegionFacts::default();
    if let Some((concurrency, sources)) = functions {
        facts.lambda_concurrency = observed(concurrency, lambda::SETTINGS, None, &mut failures);
        let sources = observed(sources.map(Some), lambda::MAPPINGS, None, &mut failures);
        for (arn, entry) in &mut attributes {
            // Only functions have a timeout.
            if entry.timeout.is_some() {
                entry.event_sources = match &sources {
                    Observed::Known(all) => all
                        .get(arn)
                        .map_or(Observed::Absent, |s| Observed::Known(s.clone())),
                    Observed::Absent => Observed::Absent,
                    Observed::Unknown(why) => Observed::Unknown(why.clone()),
                };
            }
        }
    }
    for (namespace, answer) in discovered {
        let found = observed(
            answer.map(Some),
            "cloudwatch:ListMetrics",
            Some(namespace),
            &mut failures,
        );
        facts.metrics.insert(namespace.to_owned(), found);
    }
    Found {
        region: region.name.clone(),
        attributes,
        facts,
        failures,
    }
}

async fn ask(
    region: &Region,
    question: Question,
) -> (Question, Result<Option<String>, CloudError>) {
    let answer = match &question.queue {
        Some(url) => sqs::dead_letter_queue(region, url).await,
        None => dynamodb::billing_mode(region, &question.name)
            .await
            .map(Some),
    };
    (question, answer)
}

fn observed<T>(
    answer: Result<Option<T>, CloudError>,
    operation: &'static str,
    resource: Option<&str>,
    failures: &mut Vec<Failure>,
) -> Observed<T> {
    match answer {
        Ok(Some(value)) => Observed::Known(value),
        Ok(None) => Observed::Absent,
        Err(error) => {
            let text = error::text(&error);
            failures.push((operation, resource.map(str::to_owned), error));
            Observed::Unknown(text)
        }
    }
}

type Discovered = Vec<(&'static str, Result<BTreeSet<MetricId>, CloudError>)>;

/// The metrics by whose dimensions load balancers and APIs are found, by namespace.
async fn discover(region: &Region) -> Discovered {
    let reads = DISCOVERED.iter().map(|(namespace, metric)| async move {
        let found = metrics::list(region, namespace, Some(metric)).await;
        (*namespace, found)
    });
    let mut out: BTreeMap<&'static str, Result<BTreeSet<MetricId>, CloudError>> = BTreeMap::new();
    for (namespace, found) in join_all(reads).await {
        let entry = out.entry(namespace).or_insert_with(|| Ok(BTreeSet::new()));
        match (entry.as_mut(), found) {
            (Ok(all), Ok(found)) => all.extend(found),
            (_, Err(error)) => *entry = Err(error),
            (Err(_), Ok(_)) => {}
        }
    }
    out.into_iter().collect()
}

/// A resource, where the failed call was about one.
type Failed = (Option<String>, CloudError);

/// One failure for all that failed alike.
pub fn group(failures: Vec<Failure>) -> Vec<(&'static str, Option<String>, String)> {
    let mut groups: BTreeMap<(&'static str, String), Vec<Failed>> = BTreeMap::new();
    for (operation, resource, error) in failures {
        let key = (operation, error.code.clone());
        groups.entry(key).or_default().push((resource, error));
    }
    groups
        .into_iter()
        .filter_map(|((operation, _), mut group)| {
            group.sort_by(|a, b| a.0.cmp(&b.0));
            let count = group.len();
            let (resource, error) = group.into_iter().next()?;
            let text = error::text(&error);
            Some(match (count, resource) {
                (1, resource) => (operation, resource, text),
                (n, Some(name)) => {
                    let text = format!("{text} ({name} and {} more)", n - 1);
                    (operation, None, text)
                }
                (_, None) => (operation, None, text),
            })
        })
        .collect()
}
