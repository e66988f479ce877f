//! The calls between two states, carried out by the strict account of the sandbox.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rust_decimal::Decimal;

use super::calls;
use crate::cloud::{Call, Cloud, Target};
use crate::inventory::Observed;
use crate::model::Tags;
use crate::model::object::{
    Budget, CostTypes, MANAGED_TAG, Money, NotificationKey, Object, Subscriber, ThresholdUnit,
    Topic, When,
};
use crate::sandbox::Sandbox;
use crate::sandbox::world::{Account, BudgetItem, Item, TopicItem, World};

const ACCOUNT: &str = "123456789012";

fn arn(name: &str) -> String {
    format!("arn:aws:sns:eu-west-1:{ACCOUNT}:{name}")
}

fn target() -> Target {
    Target {
        environment: "prod".into(),
        account: ACCOUNT.into(),
        regions: vec!["eu-west-1".into()],
        profile: None,
        role_arn: None,
        external_id: None,
    }
}

/// Up to ten addresses and one topic, as AWS takes them.
fn subscribers() -> impl Strategy<Value = BTreeSet<Subscriber>> {
    let addresses = prop::collection::btree_set(0u8..20, 0..=10);
    (addresses, prop::option::of(0u8..3)).prop_map(|(addresses, topic)| {
        let mut all: BTreeSet<Subscriber> = addresses
            .into_iter()
            .map(|i| Subscriber::Email(format!("m{i}@x.example")))
            .collect();
        all.extend(topic.map(|i| Subscriber::Sns(arn(&format!("t{i}")))));
        if all.is_empty() {
            all.insert(Subscriber::Email("only@x.example".into()));
        }
        all
    })
}

fn budget() -> impl Strategy<Value = Budget> {
    let key = (any::<bool>(), 1u32..9).prop_map(|(actual, tens)| NotificationKey {
        when: if actual { When::Actual } else { When::Forecast },
        operator: "GREATER_THAN".into(),
        threshold: Decimal::from(tens * 10),
        unit: ThresholdUnit::Percent,
    });
    let notifications = prop::collection::btree_map(key, subscribers(), 0..=5);
    (1i64..4, notifications).prop_map(|(limit, notifications)| Budget {
        name: "opsctl-shop-prod".into(),
        kind: "COST".into(),
        time_unit: "MONTHLY".into(),
        limit: Some(Money {
            amount: limit.into(),
            unit: "USD".into(),
        }),
        filters: BTreeMap::new(),
        cost_types: CostTypes::default(),
        notifications,
        extra: BTreeMap::new(),
    })
}

fn sandbox(budget: Option<&Budget>) -> Sandbox {
    let mut account = Account {
        id: ACCOUNT.into(),
        ..Account::default()
    };
    for i in 0..3 {
        let name = format!("t{i}");
        let item = Item {
            kind: crate::model::ResourceType::SNS_TOPIC,
            name: name.clone(),
            region: "eu-west-1".into(),
            tags: Tags::new(),
        };
        account.topics.insert(arn(&name), TopicItem::default());
        account.resources.insert(arn(&name), item);
    }
    if let Some(budget) = budget {
        let item = BudgetItem {
            budget: budget.clone(),
            tags: Tags::new(),
            actual: Some(9.into()),
            forecast: None,
            unhealthy: None,
        };
        account.money.budgets.insert(budget.name.clone(), item);
    }
    Sandbox::in_memory(World {
        scenario: String::new(),
        seed: String::new(),
        accounts: BTreeMap::from([("prod".to_owned(), account)]),
        locks: BTreeMap::new(),
    })
}

fn carry_out(sandbox: &Sandbox, all: &[Call]) {
    futures::executor::block_on(async {
        for call in all {
            for result in sandbox.execute(&target(), call).await {
                result.unwrap_or_else(|e| panic!("{call:?}: {e}"));
            }
        }
    });
}

proptest! {
    /// No call on the way is one that AWS refuses, and the spend that AWS counts is forgotten only
    /// where the budget itself changes.
    #[test]
    fn any_budget_turns_into_any_other(before in prop::option::of(budget()), after in prop::option::of(budget())) {
        let sandbox = sandbox(before.as_ref());
        let (was, will) = (before.clone().map(Object::Budget), after.clone().map(Object::Budget));
        let all = calls("", was.as_ref(), will.as_ref(), &Tags::new());
        carry_out(&sandbox, &all);
        let world = sandbox.world();
        let now = world.accounts["prod"].money.budgets.get("opsctl-shop-prod");
        prop_assert_eq!(now.map(|i| &i.budget), after.as_ref());
        if let (Some(before), Some(after), Some(now)) = (before, after, now) {
            let same = before.limit == after.limit;
            prop_assert_eq!(now.actual, Some(if same { 9.into() } else { Decimal::ZERO }));
        }
    }

    /// Where both fit, a notification that stays never tells fewer than before or after.
    #[test]
    fn nobody_is_forgotten_on_the_way(before in budget(), after in budget()) {
        let all = calls("", Some(&Object::Budget(before.clone())), Some(&Object::Budget(after.clone())), &Tags::new());
        for (key, held) in &before.notifications {
            let Some(wanted) = after.notifications.get(key) else { continue };
            let deleted = all.iter().any(|c| matches!(c, Call::DeleteNotification { notification, .. } if notification == key));
            let addresses = held.union(wanted).filter(|s| matches!(s, Subscriber::Email(_))).count();
            let topics = held.union(wanted).filter(|s| matches!(s, Subscriber::Sns(_))).count();
            if addresses <= 10 && topics <= 1 {
                prop_assert!(!deleted);
                let at = |create: bool| all.iter().enumerate().filter(move |(_, c)| match c {
                    Call::CreateSubscriber { notification, .. } => create && notification == key,
                    Call::DeleteSubscriber { notification, .. } => !create && notification == key,
                    _ => false,
                }).map(|(i, _)| i);
                if let (Some(last), Some(first)) = (at(true).max(), at(false).min()) {
                    prop_assert!(last < first);
                }
            }
        }
    }
}

#[test]
fn a_topic_is_made_once_and_then_only_what_differs_is_written() {
    let topic = |policy: &str, subscriptions: &[&str]| {
        Object::Topic(Topic {
            name: "ops".into(),
            region: "eu-west-1".into(),
            policy: Some(policy.into()),
            subscriptions: subscriptions.iter().map(|s| (*s).to_owned()).collect(),
        })
    };
    let tags = Tags::from([(MANAGED_TAG.to_owned(), "shop/prod".to_owned())]);
    let one = topic("{\"Statement\": []}", &["email:a@x.example"]);
    let two = topic(
        "{\"Statement\":[]}",
        &["email:a@x.example", "email:b@x.example"],
    );
    let sandbox = sandbox(None);
    let first = calls(&arn("ops"), None, Some(&one), &tags);
    assert_eq!(first.len(), 2);
    carry_out(&sandbox, &first);
    // Another spelling of the same policy is no difference.
    let second = calls(&arn("ops"), Some(&one), Some(&two), &tags);
    assert!(
        matches!(&second[..], [Call::Subscribe { subscription, .. }] if subscription == "email:b@x.example")
    );
    carry_out(&sandbox, &second);
    assert!(calls(&arn("ops"), Some(&two), Some(&two), &tags).is_empty());
    let read = futures::executor::block_on(sandbox.read_object(&target(), &two.key()));
    let Observed::Known(reading) = read else {
        panic!("{read:?}");
    };
    assert_eq!(reading.object, two);
    assert_eq!(reading.tags, Observed::Known(tags.clone()));
    carry_out(&sandbox, &calls(&arn("ops"), Some(&two), None, &tags));
    assert!(
        !sandbox.world().accounts["prod"]
            .topics
            .contains_key(&arn("ops"))
    );
}

#[test]
fn nothing_is_turned_into_another_kind() {
    let budget = Object::Budget(Budget {
        name: "x".into(),
        kind: "COST".into(),
        time_unit: "MONTHLY".into(),
        limit: None,
        filters: BTreeMap::new(),
        cost_types: CostTypes::default(),
        notifications: BTreeMap::new(),
        extra: BTreeMap::new(),
    });
    let topic = Object::Topic(Topic {
        name: "x".into(),
        region: "eu-west-1".into(),
        policy: None,
        subscriptions: BTreeSet::new(),
    });
    let none = Tags::new();
    assert!(calls("", Some(&budget), Some(&topic), &none).is_empty());
    assert!(calls("", Some(&topic), Some(&budget), &none).is_empty());
}
