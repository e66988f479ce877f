//! From a state and the wanted one to the calls in between; pure.

use std::collections::BTreeSet;

use crate::cloud::Call;
use crate::model::Tags;
use crate::model::object::{Budget, Notification, Object, Subscriber, Topic};

/// Notifications that a budget may have for certain. Sources disagree: five (`CreateBudgetRequest`)
/// or ten (`Notification`). Source: API model, budgets.
const NOTIFICATIONS: usize = 5;

/// Subscribers that a notification can have: one topic and ten addresses.
/// Source: API model, `budgets:Subscribers`.
fn fits<'a>(subscribers: impl Iterator<Item = &'a Subscriber>) -> bool {
    let (topics, addresses): (Vec<_>, Vec<_>) =
        subscribers.partition(|s| matches!(s, Subscriber::Sns(_)));
    topics.len() <= 1 && addresses.len() <= 10
}

/// The calls that turn `now` into `after`, in their order; each can be repeated.
pub fn calls(arn: &str, now: Option<&Object>, after: Option<&Object>, tags: &Tags) -> Vec<Call> {
    match (now, after) {
        (None, None) => Vec::new(),
        (Some(object), None) => remove(arn, object),
        (Some(Object::Topic(now)), Some(Object::Topic(after))) => {
            topic(arn, Some(now), after, tags)
        }
        (None, Some(Object::Topic(after))) => topic(arn, None, after, tags),
        (Some(Object::Budget(now)), Some(Object::Budget(after))) => budget(now, after),
        (None, Some(Object::Budget(after))) => vec![Call::CreateBudget {
            budget: after.clone(),
            tags: tags.clone(),
        }],
        // The scope of a monitor cannot be changed.
        (Some(old @ Object::AnomalyMonitor(_)), Some(Object::AnomalyMonitor(after))) => {
            let mut out = remove(arn, old);
            out.push(Call::CreateAnomalyMonitor {
                monitor: after.clone(),
                tags: tags.clone(),
            });
            out
        }
        (_, Some(Object::AnomalyMonitor(after))) => vec![Call::CreateAnomalyMonitor {
            monitor: after.clone(),
            tags: tags.clone(),
        }],
        (Some(_), Some(Object::AnomalySubscription(after))) => {
            vec![Call::UpdateAnomalySubscription {
                subscription: after.clone(),
            }]
        }
        (None, Some(Object::AnomalySubscription(after))) => {
            vec![Call::CreateAnomalySubscription {
                subscription: after.clone(),
                tags: tags.clone(),
            }]
        }
        (_, Some(Object::CostAllocationTag(after))) => vec![Call::SetCostAllocationTags {
            keys: BTreeSet::from([after.key.clone()]),
            active: after.active,
        }],
        (_, Some(Object::MetricAlarm(after))) => vec![Call::PutMetricAlarm {
            alarm: after.clone(),
            tags: tags.clone(),
        }],
        (_, Some(Object::CompositeAlarm(after))) => vec![Call::PutCompositeAlarm {
            alarm: after.clone(),
            tags: tags.clone(),
        }],
        // Something else bears the name: never ours to turn into another kind.
        (Some(_), Some(Object::Topic(_) | Object::Budget(_))) => Vec::new(),
    }
}

fn remove(arn: &str, object: &Object) -> Vec<Call> {
    let name = object.name().to_owned();
    vec![match object {
        Object::Topic(topic) => Call::DeleteTopic {
            region: topic.region.clone(),
            arn: arn.to_owned(),
        },
        Object::Budget(_) => Call::DeleteBudget { budget: name },
        Object::AnomalyMonitor(_) => Call::DeleteAnomalyMonitor { name },
        Object::AnomalySubscription(_) => Call::DeleteAnomalySubscription { name },
        Object::CostAllocationTag(tag) => Call::SetCostAllocationTags {
            keys: BTreeSet::from([tag.key.clone()]),
            active: false,
        },
        Object::MetricAlarm(_) | Object::CompositeAlarm(_) => Call::DeleteAlarms {
            region: object.region().to_owned(),
            names: vec![name],
        },
    }]
}

fn topic(arn: &str, now: Option<&Topic>, after: &Topic, tags: &Tags) -> Vec<Call> {
    let region = after.region.clone();
    let mut out = Vec::new();
    match now {
        None => out.push(Call::CreateTopic {
            topic: after.clone(),
            tags: tags.clone(),
        }),
        Some(now) if now.policy_document() != after.policy_document() => {
            out.extend(after.policy.clone().map(|policy| Call::SetTopicPolicy {
                region: region.clone(),
                arn: arn.to_owned(),
                policy,
            }));
        }
        Some(_) => {}
    }
    let held = now.map(|t| t.subscriptions.clone()).unwrap_or_default();
    out.extend(
        after
            .subscriptions
            .difference(&held)
            .map(|subscription| Call::Subscribe {
                region: region.clone(),
                topic: arn.to_owned(),
                subscription: subscription.clone(),
            }),
    );
    out
}

fn budget(now: &Budget, after: &Budget) -> Vec<Call> {
    let name = after.name.clone();
    let mut out = Vec::new();
    let without = |budget: &Budget| Budget {
        notifications: Default::default(),
        ..budget.clone()
    };
    if without(now) != without(after) {
        out.push(Call::UpdateBudget {
            budget: after.clone(),
        });
    }
    let delete = |(key, _): &Notification| Call::DeleteNotification {
        budget: name.clone(),
        notification: key.clone(),
    };
    let create = |(key, subscribers): &Notification| Call::CreateNotification {
        budget: name.clone(),
        notification: key.clone(),
        subscribers: subscribers.clone(),
    };
    let only = |a: &Budget, b: &Budget| -> Vec<Notification> {
        a.notifications
            .iter()
            .filter(|(key, _)| !b.notifications.contains_key(key))
            .map(|(key, subscribers)| (key.clone(), subscribers.clone()))
            .collect()
    };
    let (gone, new) = (only(now, after), only(after, now));
    // An alert is never missing in between where there is room for both.
    let room = now.notifications.len() + new.len() <= NOTIFICATIONS;
    if room {
        out.extend(new.iter().map(create));
        out.extend(gone.iter().map(delete));
    } else {
        out.extend(gone.iter().map(delete));
        out.extend(new.iter().map(create));
    }
    for (key, wanted) in &after.notifications {
        let Some(held) = now.notifications.get(key) else {
            continue;
        };
        let new = wanted.difference(held).map(|s| Call::CreateSubscriber {
            budget: name.clone(),
            notification: key.clone(),
            subscriber: s.clone(),
        });
        let old = held.difference(wanted).map(|s| Call::DeleteSubscriber {
            budget: name.clone(),
            notification: key.clone(),
            subscriber: s.clone(),
        });
        if fits(held.union(wanted)) {
            // Somebody is always told.
            out.extend(new);
            out.extend(old);
        } else if held.intersection(wanted).next().is_some() {
            out.extend(old);
            out.extend(new);
        } else {
            // The last subscriber cannot go without its notification.
            out.push(delete(&(key.clone(), held.clone())));
            out.push(create(&(key.clone(), wanted.clone())));
        }
    }
    out
}
