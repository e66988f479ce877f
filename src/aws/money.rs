//! Reads what concerns money: budgets, anomaly detection, cost allocation tags, the billing metric,
//! and the topics that notifications go to.

use std::collections::BTreeMap;

use futures::future::join_all;

use super::error::{self, Named};
use super::listing::pages;
use super::objects::{anomaly, budgets, cost_tags, topics};
use super::session::{Region, Session};
use crate::cloud::{CloudError, Target, Want};
use crate::inventory::{EnvironmentInventory, Gap, MoneyFacts, Observed, TopicFact};
use crate::model::Control;

/// Where budgets, Cost Explorer and the billing metric are, whatever the environment's regions.
const REGION: &str = "us-east-1";
const METRICS: &str = "cloudwatch:ListMetrics";

/// What was seen, to be put into an inventory.
#[derive(Debug, Default)]
pub struct Money {
    facts: MoneyFacts,
    topics: BTreeMap<String, Observed<TopicFact>>,
    gaps: Vec<Gap>,
}

impl Money {
    pub fn add_to(self, inventory: &mut EnvironmentInventory) {
        inventory.money = self.facts;
        inventory.topics.extend(self.topics);
        inventory.gaps.extend(self.gaps);
        inventory.sort();
    }
}

/// Sees what of money `want` asks for, all of it in flight together.
pub async fn observe(session: &Session, want: &Want) -> Money {
    let mut money = Money::default();
    let topics = async {
        let reads = want.topics.iter().map(|arn| topic(session, arn));
        join_all(reads).await
    };
    let account = async {
        if !(want.budgets || want.anomaly || want.cost_tags || want.billing_metric) {
            return None;
        }
        let region = session.region(REGION).await;
        Some(account(&region, want).await)
    };
    let (topics, account) = futures::join!(topics, account);
    let target = &session.target;
    if let Some((facts, failures)) = account {
        money.facts = facts;
        money.gaps.extend(grouped(target, failures));
    }
    for (arn, (fact, failed)) in want.topics.iter().zip(topics) {
        let region = topics::region_of(arn).unwrap_or(REGION);
        for error in failed {
            money.gaps.extend(users_of_topics(want).map(|control| Gap {
                control,
                resource: Some(arn.rsplit(':').next().unwrap_or(arn).to_owned()),
                ..gap(target, region, &error)
            }));
        }
        money.topics.insert(arn.clone(), fact);
    }
    money
}

/// Topics are looked at for those who notify through them.
fn users_of_topics(want: &Want) -> impl Iterator<Item = Control> {
    let alarms = want.alarm_topics || !want.alarms.is_empty();
    let budgets = want.budgets || want.anomaly || !alarms;
    let budgets = budgets.then_some(Control::Budgets);
    budgets.into_iter().chain(alarms.then_some(Control::Alarms))
}

/// A topic in its own region.
pub async fn topic(session: &Session, arn: &str) -> (Observed<TopicFact>, Vec<CloudError>) {
    match topics::region_of(arn) {
        Some(region) => {
            let region = session.region(region).await;
            topics::observe(&region, arn).await
        }
        None => {
            let message = format!("`{arn}` is not the ARN of a topic");
            let error = error::own(topics::ATTRIBUTES, "request", message);
            (Observed::Unknown(error::text(&error)), vec![error])
        }
    }
}

/// An error, and the one thing of several that it is about.
type Failure = (Option<String>, CloudError);

async fn account(region: &Region, want: &Want) -> (MoneyFacts, Vec<Failure>) {
    let (budgets, anomaly, tags, metric) = futures::join!(
        when(want.budgets, budgets::observe(region)),
        when(want.anomaly, anomaly::observe(region)),
        when(want.cost_tags, cost_tags::read(region, None)),
        when(want.billing_metric, billing_metric(region)),
    );
    let mut facts = MoneyFacts::default();
    let mut failures: Vec<Failure> = Vec::new();
    if let Some(answer) = budgets {
        let answer = answer.map(|(all, failed)| {
            failures.extend(failed.into_iter().map(|(name, e)| (Some(name), e)));
            all
        });
        facts.budgets = known(answer, &mut failures);
    }
    if let Some((monitors, subscriptions)) = anomaly {
        facts.monitors = known(monitors, &mut failures);
        facts.subscriptions = known(subscriptions, &mut failures);
    }
    facts.cost_tags = match tags {
        None => Observed::default(),
        Some(Err(error)) if cost_tags::is_member(&error) => Observed::Absent,
        Some(answer) => known(answer, &mut failures),
    };
    facts.billing_metric = match metric {
        None => Observed::default(),
        Some(Ok(false)) => Observed::Absent,
        Some(answer) => known(answer.map(drop), &mut failures),
    };
    (facts, failures)
}

async fn when<T>(asked: bool, read: impl Future<Output = T>) -> Option<T> {
    match asked {
        true => Some(read.await),
        false => None,
    }
}

fn known<T>(answer: Result<T, CloudError>, failures: &mut Vec<Failure>) -> Observed<T> {
    answer.map_or_else(
        |error| {
            let unknown = Observed::Unknown(error::text(&error));
            failures.push((None, error));
            unknown
        },
        Observed::Known,
    )
}

/// Whether CloudWatch has estimated charges, which it has once billing alerts are switched on.
/// Source: CloudWatch user guide, "Creating a billing alarm to monitor your estimated AWS charges".
async fn billing_metric(region: &Region) -> Result<bool, CloudError> {
    let mut found = false;
    pages!(METRICS, |token| {
        let call = region.cloudwatch().list_metrics();
        let page = call
            .namespace("AWS/Billing")
            .metric_name("EstimatedCharges")
            .set_next_token(token)
            .send()
            .await
            .named(METRICS)?;
        found = !page.metrics().is_empty();
        // One is enough; a page may be empty although there are more.
        Ok(page.next_token.filter(|_| !found))
    })?;
    Ok(found)
}

fn gap(target: &Target, region: &str, error: &CloudError) -> Gap {
    Gap {
        environment: target.environment.clone(),
        account: target.account.clone(),
        region: region.to_owned(),
        control: Control::Budgets,
        operation: error.operation.clone(),
        resource: None,
        error: error::text(error),
    }
}

/// One gap for all things that failed alike.
fn grouped(target: &Target, failures: Vec<Failure>) -> Vec<Gap> {
    let mut groups: BTreeMap<(String, String), Vec<Failure>> = BTreeMap::new();
    for failure in failures {
        let key = (failure.1.operation.clone(), failure.1.code.clone());
        groups.entry(key).or_default().push(failure);
    }
    groups
        .into_values()
        .filter_map(|mut group| {
            group.sort_by(|a, b| a.0.cmp(&b.0));
            let mut names: Vec<_> = group.iter().filter_map(|(name, _)| name.clone()).collect();
            names.dedup();
            let (_, error) = group.first()?;
            let mut gap = gap(target, "global", error);
            match names.as_slice() {
                [] => {}
                [one] => gap.resource = Some(one.clone()),
                [first, more @ ..] => {
                    gap.error = format!("{} ({first} and {} more)", gap.error, more.len());
                }
            }
            if error.operation == METRICS {
                gap.region = REGION.to_owned();
            }
            Some(gap)
        })
        .collect()
}
