//! Topics, budgets, anomaly detection, cost allocation tags: one suite over every side of the door.

use std::collections::{BTreeMap, BTreeSet};

use opsctl::cloud::{Call, Cloud, CloudError, Target, Want};
use opsctl::inventory::{EnvironmentInventory, Observed};
use opsctl::model::object::{
    AnomalyMonitor, AnomalySubscription, Budget, CostTypes, Money, MonitorScope, NotificationKey,
    Object, ObjectKey, ObjectKind, Subscriber, ThresholdUnit, Topic, When,
};
use opsctl::sandbox::Sandbox;
use opsctl::sandbox::world::{Account, World};
use rust_decimal::Decimal;
use serde_json::json;

use crate::contract::{aws, run, tags, target};
use crate::emulator::{ACCOUNT, ministack, moto};

const TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:opsctl-shop-prod-money";

/// What an emulator is known not to keep.
struct Lies {
    /// Subscriptions by e-mail are confirmed without anybody's doing.
    confirmed: bool,
    /// Has budgets and topics only.
    no_cost_explorer: bool,
    /// A topic can be made again with other tags and another policy, and nothing changes.
    any_topic: bool,
}

const NONE: Lies = Lies {
    confirmed: false,
    no_cost_explorer: false,
    any_topic: false,
};

fn policy(sid: &str) -> String {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": sid,
            "Effect": "Allow",
            "Principal": {"Service": "budgets.amazonaws.com"},
            "Action": "SNS:Publish",
            "Resource": TOPIC,
            "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}},
        }],
    })
    .to_string()
}

fn topic() -> Topic {
    Topic {
        name: "opsctl-shop-prod-money".into(),
        region: "us-east-1".into(),
        policy: Some(policy("first")),
        subscriptions: BTreeSet::new(),
    }
}

fn decimal(text: &str) -> Decimal {
    Decimal::from_str_exact(text).unwrap()
}

pub fn at(when: When, percent: &str) -> NotificationKey {
    NotificationKey {
        when,
        operator: "GREATER_THAN".into(),
        threshold: decimal(percent),
        unit: ThresholdUnit::Percent,
    }
}

pub fn mail(address: &str) -> Subscriber {
    Subscriber::Email(address.into())
}

pub fn budget(name: &str) -> Budget {
    let both = BTreeSet::from([mail("ops@example.com"), Subscriber::Sns(TOPIC.into())]);
    let one = BTreeSet::from([mail("ops@example.com")]);
    Budget {
        name: name.into(),
        kind: "COST".into(),
        time_unit: "MONTHLY".into(),
        limit: Some(Money {
            amount: decimal("1200.50"),
            unit: "USD".into(),
        }),
        filters: BTreeMap::from([(
            "TagKeyValue".into(),
            BTreeSet::from(["user:team$core".to_owned()]),
        )]),
        cost_types: CostTypes {
            include_credit: false,
            include_refund: false,
            ..CostTypes::default()
        },
        notifications: BTreeMap::from([
            (at(When::Actual, "80"), both),
            (at(When::Forecast, "99.5"), one),
        ]),
        extra: BTreeMap::new(),
    }
}

pub fn key(kind: ObjectKind, region: &str, name: &str) -> ObjectKey {
    ObjectKey {
        kind,
        region: region.into(),
        name: name.into(),
    }
}

async fn does(cloud: &dyn Cloud, call: Call) -> Result<(), CloudError> {
    cloud.execute(&target(), &call).await.remove(0)
}

/// `None`: it is not there.
async fn now(cloud: &dyn Cloud, key: &ObjectKey) -> Option<Object> {
    match cloud.read_object(&target(), key).await {
        Observed::Known(reading) => Some(reading.object),
        Observed::Absent => None,
        Observed::Unknown(error) => panic!("{key:?}: {error}"),
    }
}

async fn observe(cloud: &dyn Cloud, target: &Target, want: Want) -> EnvironmentInventory {
    let seen = cloud.observe(target, &want).await;
    assert_eq!(seen.gaps, Vec::new());
    seen
}

fn code(result: Result<(), CloudError>) -> String {
    result.unwrap_err().code
}

async fn contract(cloud: &dyn Cloud, lies: &Lies) {
    topics(cloud, lies).await;
    budgets(cloud).await;
    if lies.no_cost_explorer {
        return;
    }
    anomalies(cloud).await;
}

async fn topics(cloud: &dyn Cloud, lies: &Lies) {
    let region = "us-east-1".to_owned();
    let key = key(ObjectKind::Topic, &region, "opsctl-shop-prod-money");
    assert_eq!(now(cloud, &key).await, None);
    let create = |topic: Topic, value: &str| Call::CreateTopic {
        topic,
        tags: tags(&[("opsctl:managed", value)]),
    };
    does(cloud, create(topic(), "shop/prod")).await.unwrap();
    // The same again finds the same topic.
    does(cloud, create(topic(), "shop/prod")).await.unwrap();
    if !lies.any_topic {
        let other = create(topic(), "shop/dev");
        assert_eq!(code(does(cloud, other).await), "InvalidParameter");
        let other = Topic {
            policy: Some(policy("other")),
            ..topic()
        };
        let other = create(other, "shop/prod");
        assert_eq!(code(does(cloud, other).await), "InvalidParameter");
    }
    match cloud.read_object(&target(), &key).await {
        Observed::Known(reading) => {
            assert_eq!(reading.object, Object::Topic(topic()));
            let expected = tags(&[("opsctl:managed", "shop/prod")]);
            assert_eq!(reading.tags, Observed::Known(expected));
        }
        other => panic!("{other:?}"),
    }
    let set = Call::SetTopicPolicy {
        region: region.clone(),
        arn: TOPIC.into(),
        policy: policy("second"),
    };
    does(cloud, set).await.unwrap();
    for _ in 0..2 {
        let subscribe = Call::Subscribe {
            region: region.clone(),
            topic: TOPIC.into(),
            subscription: "email:ops@example.com".into(),
        };
        does(cloud, subscribe).await.unwrap();
    }
    let mut wanted = topic();
    wanted.policy = Some(policy("second"));
    wanted.subscriptions.insert("email:ops@example.com".into());
    assert_eq!(now(cloud, &key).await, Some(Object::Topic(wanted.clone())));

    let nowhere = format!("{TOPIC}-not");
    let elsewhere = TOPIC.replace("us-east-1", "eu-west-1");
    let want = Want {
        topics: BTreeSet::from([TOPIC.to_owned(), nowhere.clone(), elsewhere.clone()]),
        ..Want::default()
    };
    let seen = observe(cloud, &target(), want).await;
    assert_eq!(seen.topics[&nowhere], Observed::Absent);
    assert_eq!(seen.topics[&elsewhere], Observed::Absent);
    let fact = seen.topics[TOPIC].known().unwrap();
    assert_eq!(fact.topic, wanted);
    assert_eq!((&fact.unread, &fact.kms_key), (&None, &None));
    if !lies.confirmed {
        assert_eq!(fact.pending, wanted.subscriptions);
        assert_eq!(fact.confirmed, BTreeSet::new());
    }
    let delete = || Call::DeleteTopic {
        region: region.clone(),
        arn: TOPIC.into(),
    };
    does(cloud, delete()).await.unwrap();
    does(cloud, delete()).await.unwrap();
    assert_eq!(now(cloud, &key).await, None);
    // Budgets take no topic that is not there.
    does(cloud, create(topic(), "shop/prod")).await.unwrap();
}

async fn budgets(cloud: &dyn Cloud) {
    let name = "opsctl-shop-prod";
    let key = key(ObjectKind::Budget, "global", name);
    assert_eq!(now(cloud, &key).await, None);
    let mut held = budget(name);
    let create = || Call::CreateBudget {
        budget: budget(name),
        tags: tags(&[("opsctl:managed", "shop/prod")]),
    };
    does(cloud, create()).await.unwrap();
    assert_eq!(
        code(does(cloud, create()).await),
        "DuplicateRecordException"
    );
    match cloud.read_object(&target(), &key).await {
        Observed::Known(reading) => {
            assert_eq!(reading.object, Object::Budget(held.clone()));
            let expected = tags(&[("opsctl:managed", "shop/prod")]);
            assert_eq!(reading.tags, Observed::Known(expected));
        }
        other => panic!("{other:?}"),
    }

    // An update replaces all but the notifications.
    let updated = Budget {
        limit: Some(Money {
            amount: decimal("0.75"),
            unit: "USD".into(),
        }),
        filters: BTreeMap::new(),
        cost_types: CostTypes::default(),
        notifications: BTreeMap::new(),
        ..held.clone()
    };
    let update = Call::UpdateBudget {
        budget: updated.clone(),
    };
    does(cloud, update).await.unwrap();
    held = Budget {
        notifications: held.notifications,
        ..updated
    };
    assert_eq!(now(cloud, &key).await, Some(Object::Budget(held.clone())));

    let eighty = at(When::Actual, "80");
    let absolute = NotificationKey {
        unit: ThresholdUnit::Absolute,
        threshold: decimal("1000000.25"),
        ..eighty.clone()
    };
    let one = BTreeSet::from([mail("cfo@example.com")]);
    let notification = || Call::CreateNotification {
        budget: name.into(),
        notification: absolute.clone(),
        subscribers: one.clone(),
    };
    does(cloud, notification()).await.unwrap();
    let twice = code(does(cloud, notification()).await);
    assert_eq!(twice, "DuplicateRecordException");
    let subscriber = |address: &str| Call::CreateSubscriber {
        budget: name.into(),
        notification: eighty.clone(),
        subscriber: mail(address),
    };
    does(cloud, subscriber("cto@example.com")).await.unwrap();
    let twice = code(does(cloud, subscriber("cto@example.com")).await);
    assert_eq!(twice, "DuplicateRecordException");
    let unsubscribe = Call::DeleteSubscriber {
        budget: name.into(),
        notification: eighty.clone(),
        subscriber: mail("ops@example.com"),
    };
    does(cloud, unsubscribe).await.unwrap();
    let delete = Call::DeleteNotification {
        budget: name.into(),
        notification: at(When::Forecast, "99.5"),
    };
    does(cloud, delete).await.unwrap();
    held.notifications.insert(absolute, one);
    held.notifications.remove(&at(When::Forecast, "99.5"));
    let of = held.notifications.get_mut(&eighty).unwrap();
    of.remove(&mail("ops@example.com"));
    of.insert(mail("cto@example.com"));
    assert_eq!(now(cloud, &key).await, Some(Object::Budget(held.clone())));

    let foreign = Budget {
        notifications: BTreeMap::new(),
        ..budget("theirs")
    };
    let theirs = Call::CreateBudget {
        budget: foreign.clone(),
        tags: tags(&[("a", "b")]),
    };
    does(cloud, theirs).await.unwrap();
    let want = || Want {
        budgets: true,
        ..Want::default()
    };
    let seen = observe(cloud, &target(), want()).await;
    let facts = seen.money.budgets.known().unwrap();
    let all: Vec<_> = facts.iter().map(|f| f.budget.clone()).collect();
    assert_eq!(all, [held, foreign]);
    let expected = tags(&[("opsctl:managed", "shop/prod")]);
    assert_eq!(facts[0].tags, Observed::Known(expected));
    assert!(facts[1].tags.is_unknown(), "only ours are asked for");
    for fact in facts {
        assert_eq!((&fact.unread, &fact.unhealthy), (&None, &None));
        assert_eq!(fact.actual, Some(Decimal::ZERO));
    }
    let delete = Call::DeleteBudget {
        budget: name.into(),
    };
    does(cloud, delete).await.unwrap();
    assert_eq!(now(cloud, &key).await, None);
}

/// Expects the inactive cost allocation tag `Team`.
async fn anomalies(cloud: &dyn Cloud) {
    let name = "opsctl-shop-prod";
    let monitor = AnomalyMonitor {
        name: name.into(),
        scope: MonitorScope::Dimension("SERVICE".into()),
    };
    let of_monitor = key(ObjectKind::AnomalyMonitor, "global", name);
    let of_subscription = key(ObjectKind::AnomalySubscription, "global", name);
    assert_eq!(now(cloud, &of_monitor).await, None);
    assert_eq!(now(cloud, &of_subscription).await, None);
    let create = |monitor: &AnomalyMonitor| Call::CreateAnomalyMonitor {
        monitor: monitor.clone(),
        tags: tags(&[("opsctl:managed", "shop/prod")]),
    };
    let mut subscription = AnomalySubscription {
        name: name.into(),
        monitors: BTreeSet::from([name.to_owned()]),
        frequency: "DAILY".into(),
        minimum_impact_usd: Some(decimal("49.50")),
        subscribers: BTreeSet::from([mail("ops@example.com")]),
        extra: BTreeMap::new(),
    };
    let subscribe = |subscription: &AnomalySubscription| Call::CreateAnomalySubscription {
        subscription: subscription.clone(),
        tags: tags(&[("opsctl:managed", "shop/prod")]),
    };
    let early = does(cloud, subscribe(&subscription)).await;
    assert_eq!(code(early), "UnknownMonitorException");
    does(cloud, create(&monitor)).await.unwrap();
    let second = AnomalyMonitor {
        name: "second".into(),
        ..monitor.clone()
    };
    let second = does(cloud, create(&second)).await;
    assert_eq!(code(second), "LimitExceededException");
    let accounts = AnomalyMonitor {
        name: "accounts".into(),
        scope: MonitorScope::Accounts(BTreeSet::from([
            ACCOUNT.to_owned(),
            "210987654321".to_owned(),
        ])),
    };
    does(cloud, create(&accounts)).await.unwrap();
    let seen = now(cloud, &of_monitor).await;
    assert_eq!(seen, Some(Object::AnomalyMonitor(monitor.clone())));

    does(cloud, subscribe(&subscription)).await.unwrap();
    let seen = now(cloud, &of_subscription).await;
    let expected = Object::AnomalySubscription(subscription.clone());
    assert_eq!(seen, Some(expected));
    subscription.monitors.insert("accounts".into());
    subscription.minimum_impact_usd = Some(decimal("100"));
    subscription.frequency = "IMMEDIATE".into();
    subscription.subscribers = BTreeSet::from([Subscriber::Sns(TOPIC.into())]);
    let update = Call::UpdateAnomalySubscription {
        subscription: subscription.clone(),
    };
    does(cloud, update).await.unwrap();
    let seen = now(cloud, &of_subscription).await;
    let expected = Object::AnomalySubscription(subscription.clone());
    assert_eq!(seen, Some(expected));

    let of_tag = |name: &str| key(ObjectKind::CostAllocationTag, "global", name);
    assert_eq!(now(cloud, &of_tag("Never")).await, None);
    for active in [true, false, true] {
        let set = Call::SetCostAllocationTags {
            keys: BTreeSet::from(["Team".to_owned()]),
            active,
        };
        does(cloud, set).await.unwrap();
        match now(cloud, &of_tag("Team")).await {
            Some(Object::CostAllocationTag(tag)) => assert_eq!(tag.active, active),
            other => panic!("{other:?}"),
        }
    }
    let unheard = Call::SetCostAllocationTags {
        keys: BTreeSet::from(["Never".to_owned()]),
        active: true,
    };
    does(cloud, unheard).await.unwrap_err();

    let want = Want {
        anomaly: true,
        cost_tags: true,
        billing_metric: true,
        ..Want::default()
    };
    let seen = observe(cloud, &target(), want).await.money;
    let monitors = seen.monitors.known().unwrap().iter();
    let monitors: Vec<_> = monitors.map(|m| m.monitor.clone()).collect();
    assert_eq!(monitors.len(), 2);
    assert!(monitors.contains(&monitor) && monitors.contains(&accounts));
    let found = &seen.subscriptions.known().unwrap()[0];
    assert_eq!(found.subscription, subscription);
    assert!(seen.cost_tags.known().unwrap()["Team"].active);
    assert_eq!(seen.billing_metric, Observed::Known(()));
    assert!(seen.budgets.is_unknown(), "nobody asked for them");

    let delete = Call::DeleteAnomalySubscription { name: name.into() };
    does(cloud, delete).await.unwrap();
    let delete = Call::DeleteAnomalyMonitor { name: name.into() };
    does(cloud, delete).await.unwrap();
    assert_eq!(now(cloud, &of_monitor).await, None);
    assert_eq!(now(cloud, &of_subscription).await, None);
    let cost = decimal(&cloud.meter().snapshot().cost_usd);
    assert!(cost >= decimal("0.20"), "every request is billed: {cost}");
}

/// A member account has no cost allocation tags, and one without billing alerts no metric.
async fn member(cloud: &dyn Cloud) {
    let want = Want {
        cost_tags: true,
        billing_metric: true,
        ..Want::default()
    };
    let seen = observe(cloud, &target(), want).await.money;
    assert_eq!(seen.cost_tags, Observed::Absent);
    assert_eq!(seen.billing_metric, Observed::Absent);
    let set = Call::SetCostAllocationTags {
        keys: BTreeSet::from(["Team".to_owned()]),
        active: true,
    };
    let error = does(cloud, set).await.unwrap_err();
    assert!(error.message.contains("Linked account"), "{error}");
    let of_tag = key(ObjectKind::CostAllocationTag, "global", "Team");
    assert!(cloud.read_object(&target(), &of_tag).await.is_unknown());
}

fn sandbox(arrange: impl Fn(&mut Account)) -> Sandbox {
    let mut account = Account {
        id: ACCOUNT.into(),
        ..Account::default()
    };
    arrange(&mut account);
    Sandbox::in_memory(World {
        scenario: "contract".into(),
        seed: String::new(),
        accounts: [("prod".to_owned(), account)].into(),
        locks: Default::default(),
    })
}

#[test]
fn the_sandbox_keeps_the_contract_of_money() {
    run(async {
        let cloud = sandbox(|account| {
            account.money.cost_tags.insert("Team".into(), false);
        });
        contract(&cloud, &NONE).await;
        let cloud = sandbox(|account| {
            account.money.member = true;
            account.money.billing_alerts_off = true;
        });
        member(&cloud).await;
    });
}

#[test]
fn moto_keeps_the_contract_of_money() {
    let emulator = moto();
    let cloud = aws(&emulator);
    run(async {
        member_switch(&emulator, true);
        member(&cloud).await;
        member_switch(&emulator, false);
        contract(&cloud, &NONE).await;
    });
    assert_eq!(emulator.violations(), Vec::<String>::new());
}

fn member_switch(emulator: &crate::emulator::Emulator, member: bool) {
    emulator.money(&json!({
        "member": member,
        "billing_metric": !member,
        "cost_tags": {"Team": "Inactive"},
    }));
}

#[test]
fn ministack_keeps_the_contract_of_money() {
    let emulator = ministack();
    let lies = Lies {
        confirmed: true,
        no_cost_explorer: true,
        any_topic: true,
    };
    run(contract(&aws(&emulator), &lies));
}
