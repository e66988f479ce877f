//! Budgets and what goes with them: generated accounts and policies, faults on every call, saved
//! plans that were tampered with, and the binary.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use opsctl::apply::{Outcome, OutcomeKind};
use opsctl::cloud::{Cloud, Want};
use opsctl::config::Loaded;
use opsctl::controls;
use opsctl::model::object::policy::{Publisher, default_policy, policy_of};
use opsctl::model::object::{
    AlarmMetric, AnomalyMonitor, AnomalySubscription, Budget, CostTypes, MANAGED_TAG, MetricAlarm,
    MetricId, Money, MonitorScope, NotificationKey, Object, Subscriber, ThresholdUnit, When,
};
use opsctl::model::{Control, ResourceType, Tags};
use opsctl::plan::build::{PlanEnvironment, PlanRequest, build};
use opsctl::plan::{ActionKind, Plan};
use opsctl::sandbox::world::{
    Account, AlarmItem, BudgetItem, Item, SubscriptionItem, TopicItem, World,
};
use opsctl::sandbox::{Fault, Sandbox};
use proptest::prelude::*;
use rust_decimal::Decimal;
use tempfile::TempDir;

use crate::support::{NOW, apply, block_on, json, opsctl, targets};

const ACCOUNT: &str = "123456789012";
const OURS: &str = "opsctl-shop-prod";

/// Observes and plans tags and budgets, as the command line does.
async fn plan_with(cloud: &dyn Cloud, loaded: &Loaded, destroy: bool) -> Plan {
    let controls = [Control::Tags, Control::Budgets];
    let mut environments = Vec::new();
    for (target, stage) in targets(loaded) {
        let resolved = loaded
            .resolve(Some(&target.environment), &stage)
            .expect("it resolves");
        let want = Want {
            tags: true,
            ..Want::default()
        };
        let want = controls::want(&controls, &resolved, want);
        let inventory = cloud.observe(&target, &want).await;
        environments.push(PlanEnvironment {
            target,
            resolved,
            inventory,
        });
    }
    let plan = build(
        &environments,
        &PlanRequest {
            controls: &controls,
            only: None,
            destroy,
            now: NOW.parse::<Timestamp>().expect("a time"),
            accepted: &Default::default(),
            sandbox: None,
            lock: None,
            api: cloud.meter().snapshot(),
        },
    );
    opsctl::plan::check::check(&plan).expect("the plan shows what it does");
    plan
}

async fn plan(cloud: &dyn Cloud, loaded: &Loaded) -> Plan {
    plan_with(cloud, loaded, false).await
}

fn of_budgets(plan: &Plan) -> Vec<&opsctl::plan::Change> {
    let changes = plan.changes.iter();
    changes.filter(|c| c.control == Control::Budgets).collect()
}

/// What ships, with another workspace and another policy for budgets.
fn loaded(workspace: &str, policy: &str) -> Loaded {
    let mut loaded = Loaded::read(None);
    let node = loaded.parse("policies/budgets.toml", policy.to_owned());
    loaded.policies.insert("budgets".into(), node.unwrap());
    let node = loaded.parse("opsctl.toml", workspace.to_owned());
    loaded.take_workspace(node.unwrap());
    loaded.check_all();
    assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
    loaded
}

fn workspace(budget: &str, notify: &str) -> String {
    format!(
        "[project]\nname = \"shop\"\nteam = \"core\"\n[environments.prod]\naccount = \"{ACCOUNT}\"\nregions = [\"eu-west-1\", \"us-east-1\"]\nstage = \"stage-1\"\nmonthly_budget_usd = {budget}\nnotify = {notify}\n"
    )
}

const POLICY: &str = r#"
[budgets]
include_credits = false
[budgets.alert.early]
at_percent = 80
when = "actual"
[budgets.alert.over]
at_percent = 100
when = "forecast"
[budgets.split]
by_tag = ["team"]
shares = { team = { core = 60, data = 40 } }
[budgets.billing_alarm]
enabled = true
[budgets.anomaly]
enabled = true
minimum_impact_usd = 50
"#;

/// All of it is read at any width, and nothing is wider than the terminal.
#[test]
fn objects_are_shown_in_their_own_words() {
    let loaded = usual();
    let sandbox = Sandbox::in_memory(world_of(empty()));
    let shown = |plan: &Plan, width| {
        opsctl::render::human::plan(
            plan,
            &opsctl::render::Style {
                width,
                colour: false,
                verbose: false,
            },
        )
    };
    block_on(async {
        let mut first = plan(&sandbox, &loaded).await;
        first.api = Default::default();
        for width in [60, 80, 120] {
            let text = shown(&first, width);
            let unbroken = format!("arn:aws:sns:us-east-1:{ACCOUNT}:{OURS}");
            for line in text.lines() {
                assert!(
                    line.chars().count() <= width || line.contains(&unbroken),
                    "{width}: {line}"
                );
            }
        }
        insta::assert_snapshot!("objects_created_80", shown(&first, 80));
        insta::assert_snapshot!(
            "objects_created_markdown",
            opsctl::render::markdown::plan(&first)
        );
        let outcomes = apply(&sandbox, &first).await;
        all_applied(&first, &outcomes);
        let text = workspace("60", r#"["mailto:new@shop.example", "sns:ops"]"#);
        let mut second = plan(&sandbox, &self::loaded(&text, POLICY)).await;
        second.api = Default::default();
        insta::assert_snapshot!("objects_updated_60", shown(&second, 60));
    });
}

fn usual() -> Loaded {
    loaded(
        &workspace("50", r#"["mailto:ops@shop.example", "sns:ops"]"#),
        POLICY,
    )
}

fn world_of(account: Account) -> World {
    World {
        scenario: "budgets".into(),
        seed: String::new(),
        accounts: BTreeMap::from([("prod".to_owned(), account)]),
        locks: BTreeMap::new(),
    }
}

fn empty() -> Account {
    let mut account = Account {
        id: ACCOUNT.into(),
        ..Account::default()
    };
    for key in ["project", "environment", "team"] {
        account
            .money
            .cost_tags
            .insert(key.to_owned(), key != "team");
    }
    account
}

fn kinds(plan: &Plan, outcomes: &[Outcome]) -> Vec<(String, OutcomeKind, Option<String>)> {
    plan.changes
        .iter()
        .zip(outcomes)
        .map(|(c, o)| (c.address.to_string(), o.outcome, o.error.clone()))
        .collect()
}

fn all_applied(plan: &Plan, outcomes: &[Outcome]) {
    for (address, outcome, error) in kinds(plan, outcomes) {
        assert_eq!(outcome, OutcomeKind::Applied, "{address}: {error:?}");
    }
}

// ---------------------------------------------------------------------- generated

fn decimal(cents: i64) -> Decimal {
    Decimal::new(cents, 2).normalize()
}

fn sns(region: &str, name: &str) -> String {
    format!("arn:aws:sns:{region}:{ACCOUNT}:{name}")
}

fn subscriber() -> impl Strategy<Value = Subscriber> {
    prop_oneof![
        prop::sample::select(vec!["a@x.example", "ops@shop.example", "c@x.example"])
            .prop_map(|a| Subscriber::Email(a.to_owned())),
        prop::sample::select(vec![sns("eu-west-1", "ops"), sns("eu-west-1", "seeded")])
            .prop_map(Subscriber::Sns),
    ]
}

fn subscribers() -> impl Strategy<Value = BTreeSet<Subscriber>> {
    prop::collection::btree_set(subscriber(), 1..4).prop_map(|all| {
        let mut topics = 0;
        let keep = |s: &Subscriber| {
            topics += u32::from(matches!(s, Subscriber::Sns(_)));
            topics <= 1 || matches!(s, Subscriber::Email(_))
        };
        let mut keep = keep;
        all.into_iter().filter(|s| keep(s)).collect()
    })
}

fn notification() -> impl Strategy<Value = NotificationKey> {
    (
        prop::sample::select(vec![When::Actual, When::Forecast]),
        prop::sample::select(vec![40i64, 75, 80, 100, 120]),
        any::<bool>(),
    )
        .prop_map(|(when, threshold, percent)| NotificationKey {
            when,
            operator: "GREATER_THAN".into(),
            threshold: Decimal::from(threshold),
            unit: if percent {
                ThresholdUnit::Percent
            } else {
                ThresholdUnit::Absolute
            },
        })
}

prop_compose! {
    fn budget(name: &'static str)(
        cents in 1i64..200_000,
        daily in any::<bool>(),
        credits in any::<bool>(),
        filtered in any::<bool>(),
        notifications in prop::collection::btree_map(notification(), subscribers(), 0..5),
    ) -> Budget {
        Budget {
            name: name.to_owned(),
            kind: "COST".into(),
            time_unit: if daily { "DAILY" } else { "MONTHLY" }.into(),
            limit: Some(Money { amount: decimal(cents), unit: "USD".into() }),
            filters: if filtered {
                BTreeMap::from([("Service".to_owned(), BTreeSet::from(["Amazon S3".to_owned()]))])
            } else {
                BTreeMap::new()
            },
            cost_types: CostTypes { include_credit: credits, include_refund: credits, ..CostTypes::default() },
            notifications,
            extra: BTreeMap::new(),
        }
    }
}

fn managed() -> Tags {
    Tags::from([(MANAGED_TAG.to_owned(), "shop/prod".to_owned())])
}

fn whose() -> impl Strategy<Value = Tags> {
    prop::sample::select(vec![
        managed(),
        Tags::new(),
        Tags::from([(MANAGED_TAG.to_owned(), "other/prod".to_owned())]),
    ])
}

fn put_topic(account: &mut Account, region: &str, name: &str, tags: Tags, topic: TopicItem) {
    let arn = sns(region, name);
    let item = Item {
        kind: ResourceType::SNS_TOPIC,
        name: name.into(),
        region: region.into(),
        tags,
    };
    account.resources.insert(arn.clone(), item);
    account.topics.insert(arn, topic);
}

fn alarm(name: &str, threshold: i64, action: Option<String>) -> MetricAlarm {
    MetricAlarm {
        region: "us-east-1".into(),
        name: name.into(),
        description: String::new(),
        metric: AlarmMetric::Single {
            metric: MetricId {
                namespace: "AWS/Billing".into(),
                metric: "EstimatedCharges".into(),
                dimensions: BTreeMap::from([("Currency".to_owned(), "USD".to_owned())]),
            },
            statistic: "Maximum".into(),
            period: 21_600,
        },
        comparison: "GreaterThanThreshold".into(),
        threshold: Some(threshold.into()),
        threshold_metric_id: None,
        evaluation_periods: 1,
        datapoints_to_alarm: 1,
        treat_missing_data: "missing".into(),
        low_samples: None,
        actions_enabled: true,
        alarm_actions: action.into_iter().collect(),
        ok_actions: BTreeSet::new(),
        insufficient_data_actions: BTreeSet::new(),
        extra: BTreeMap::new(),
    }
}

fn put_alarm(account: &mut Account, name: &str, tags: Tags, alarm: MetricAlarm) {
    let arn = format!("arn:aws:cloudwatch:us-east-1:{ACCOUNT}:alarm:{name}");
    let item = Item {
        kind: ResourceType::CLOUDWATCH_ALARM,
        name: name.into(),
        region: "us-east-1".into(),
        tags,
    };
    account.resources.insert(arn.clone(), item);
    let held = AlarmItem {
        alarm: Object::MetricAlarm(alarm),
        state: "OK".into(),
        state_days: 0,
    };
    account.alarms.insert(arn, held);
}

/// An account in which anything may stand already, ours or not, under our names or others.
fn account() -> impl Strategy<Value = Account> {
    let budgets = (
        prop::option::of((budget(OURS), whose())),
        prop::option::of((budget("opsctl-shop-prod-team-core"), whose())),
        prop::option::of((budget("opsctl-shop-prod-old"), whose())),
        prop::option::of((budget("opsctl-shop-prod-eu"), whose())),
        prop::option::of(budget("theirs")),
    );
    let topic = || prop::option::of((whose(), 0..4u8, any::<bool>()));
    let topics = (topic(), topic());
    let alarms = (prop::option::of((whose(), 1i64..99)), any::<bool>());
    let anomaly = (0..4u8, prop::option::of(any::<bool>()));
    let tags = prop::collection::btree_map(
        prop::sample::select(vec!["project", "environment", "team", "other"])
            .prop_map(str::to_owned),
        any::<bool>(),
        0..4,
    );
    (budgets, topics, alarms, anomaly, tags, any::<bool>()).prop_map(
        |(budgets, topics, alarms, anomaly, tags, member)| {
            let mut account = Account {
                id: ACCOUNT.into(),
                ..Account::default()
            };
            put_topic(&mut account, "eu-west-1", "seeded", Tags::new(), TopicItem::default());
            let places = [("eu-west-1", "ops"), ("us-east-1", OURS)];
            for ((region, name), topic) in places.into_iter().zip([topics.0, topics.1]) {
                let Some((tags, form, subscribed)) = topic else {
                    // What budgets notify has to be there.
                    if name == "ops" {
                        put_topic(&mut account, region, name, Tags::new(), TopicItem::default());
                    }
                    continue;
                };
                let arn = sns(region, name);
                let only = BTreeSet::from([Publisher::CloudWatch]);
                let policy = match form {
                    0 => default_policy(&arn),
                    1 => policy_of(&arn, None, &only),
                    2 => serde_json::json!({"Version": "2008-10-17", "Statement": {"Sid": "theirs", "Effect": "Allow", "Principal": "*", "Action": "SNS:Publish", "Resource": arn}}).to_string(),
                    _ => serde_json::json!({"Statement": [{"Sid": "opsctlBudgets", "Effect": "Deny"}]}).to_string(),
                };
                let item = TopicItem {
                    policy: Some(policy),
                    confirmed: subscribed.then(|| "email:x@y.example".to_owned()).into_iter().collect(),
                    ..TopicItem::default()
                };
                put_topic(&mut account, region, name, tags, item);
            }
            let named = [budgets.0, budgets.1, budgets.2, budgets.3];
            let all = named.into_iter().flatten();
            for (budget, tags) in all.chain(budgets.4.map(|b| (b, Tags::new()))) {
                let item = BudgetItem {
                    tags,
                    actual: Some(7.into()),
                    forecast: None,
                    unhealthy: None,
                    budget: budget.clone(),
                };
                account.money.budgets.insert(budget.name, item);
            }
            if let Some((tags, threshold)) = alarms.0 {
                let name = "opsctl-shop-prod-billing";
                put_alarm(&mut account, name, tags, alarm(name, threshold, None));
            }
            if alarms.1 {
                let theirs = alarm("theirs", 3, None);
                put_alarm(&mut account, "theirs", Tags::new(), theirs);
            }
            let service = MonitorScope::Dimension("SERVICE".into());
            let monitor = match anomaly.0 {
                0 => None,
                1 => Some((OURS, service)),
                2 => Some(("Default-Services-Monitor", service)),
                _ => Some((OURS, MonitorScope::Dimension("LINKED_ACCOUNT".into()))),
            };
            let name = monitor.as_ref().map(|(name, _)| (*name).to_owned());
            if let Some((name, scope)) = monitor {
                let monitor = AnomalyMonitor {
                    name: name.into(),
                    scope,
                };
                let arn = format!("arn:aws:ce::{ACCOUNT}:anomalymonitor/seeded");
                account.money.monitors.insert(arn, monitor);
            }
            if let (Some(name), Some(ours)) = (name, anomaly.1) {
                let subscription = AnomalySubscription {
                    name: if ours { OURS } else { "theirs" }.into(),
                    monitors: BTreeSet::from([name]),
                    frequency: "DAILY".into(),
                    minimum_impact_usd: Some(10.into()),
                    subscribers: BTreeSet::from([Subscriber::Email("x@y.example".into())]),
                    extra: BTreeMap::new(),
                };
                let item = SubscriptionItem {
                    subscription,
                    unconfirmed: BTreeSet::new(),
                };
                let arn = format!("arn:aws:ce::{ACCOUNT}:anomalysubscription/seeded");
                account.money.subscriptions.insert(arn, item);
            }
            account.money.cost_tags = tags;
            account.money.member = member;
            account
        },
    )
}

fn policy() -> impl Strategy<Value = String> {
    let switch = || prop::sample::select(vec!["", "enabled = true", "enabled = false"]);
    (
        any::<bool>(),
        any::<bool>(),
        prop::collection::btree_map(1u8..100, any::<bool>(), 0..5),
        prop::collection::btree_map(
            prop::sample::select(vec!["core", "data", "Web Team", "a:b"]),
            1u32..25,
            0..4,
        ),
        switch(),
        switch(),
        any::<bool>(),
    )
        .prop_map(
            |(credits, beside, alerts, shares, alarm, anomaly, impact)| {
                let mut text =
                    format!("[budgets]\ninclude_credits = {credits}\nbeside_foreign = {beside}\n");
                for (percent, actual) in alerts {
                    let when = if actual { "actual" } else { "forecast" };
                    text.push_str(&format!(
                        "[budgets.alert.a{percent}]\nat_percent = {percent}\nwhen = \"{when}\"\n"
                    ));
                }
                if !shares.is_empty() {
                    let all = shares.iter().map(|(v, p)| format!("{v:?} = {p}"));
                    let all = all.collect::<Vec<_>>().join(", ");
                    text.push_str(&format!(
                        "[budgets.split]\nby_tag = [\"team\"]\nshares = {{ team = {{ {all} }} }}\n"
                    ));
                }
                if !alarm.is_empty() {
                    text.push_str(&format!("[budgets.billing_alarm]\n{alarm}\n"));
                }
                if !anomaly.is_empty() {
                    text.push_str(&format!("[budgets.anomaly]\n{anomaly}\n"));
                    if impact {
                        text.push_str("minimum_impact_usd = \"12.50\"\n");
                    }
                }
                text
            },
        )
}

fn notify() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "[]",
        r#"["mailto:ops@shop.example"]"#,
        r#"["sns:ops"]"#,
        r#"["sns:ops", "mailto:ops@shop.example", "mailto:b@shop.example"]"#,
        r#"{ page = ["sns:new", "sns:other"], ticket = ["mailto:ops@shop.example"] }"#,
        r#"["sns:arn:aws:sns:eu-west-1:123456789012:seeded"]"#,
    ])
}

/// What opsctl must never touch.
fn foreign(account: &Account) -> serde_json::Value {
    let ours = |tags: Option<&Tags>| {
        tags.and_then(|t| t.get(MANAGED_TAG)).map(String::as_str) == Some("shop/prod")
    };
    let tags = |arn: &String| account.resources.get(arn).map(|i| &i.tags);
    let money = &account.money;
    let theirs = (
        money
            .budgets
            .values()
            .filter(|b| !ours(Some(&b.tags)))
            .collect::<Vec<_>>(),
        money
            .monitors
            .values()
            .filter(|m| m.name != OURS)
            .collect::<Vec<_>>(),
        money
            .subscriptions
            .values()
            .filter(|s| s.subscription.name != OURS)
            .collect::<Vec<_>>(),
        account
            .topics
            .iter()
            .filter(|(arn, _)| !ours(tags(arn)))
            .collect::<Vec<_>>(),
        account
            .alarms
            .iter()
            .filter(|(arn, _)| !ours(tags(arn)))
            .collect::<Vec<_>>(),
        // Subscriptions and statements of others in topics of ours.
        account
            .topics
            .iter()
            .filter(|(arn, _)| ours(tags(arn)))
            .map(|(arn, t)| {
                let policy: serde_json::Value =
                    serde_json::from_str(t.policy.as_deref().unwrap_or("{}")).unwrap();
                let all = opsctl::model::object::policy::statements(&policy);
                let theirs = all.into_iter().find(|s| s["Sid"] == "theirs");
                (arn, t.confirmed.clone(), theirs)
            })
            .filter(|(_, confirmed, theirs)| !confirmed.is_empty() || theirs.is_some())
            .collect::<Vec<_>>(),
    );
    serde_json::to_value(theirs).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the account holds and the policy says, one apply is enough, the rest is spared, and
    /// a second apply asks for nothing.
    #[test]
    fn applied_plans_leave_nothing_and_foreign_things_survive(
        account in account(), policy in policy(), notify in notify(), cents in 2i64..2_000_000,
    ) {
        let loaded = loaded(&workspace(&format!("\"{}\"", Decimal::new(cents, 2)), notify), &policy);
        let before = foreign(&account);
        let active: Vec<String> = account.money.cost_tags.iter().filter(|(_, a)| **a).map(|(k, _)| k.clone()).collect();
        let sandbox = Sandbox::in_memory(world_of(account));
        let after = block_on(async {
            let first = plan(&sandbox, &loaded).await;
            let outcomes = apply(&sandbox, &first).await;
            all_applied(&first, &outcomes);
            let again = plan(&sandbox, &loaded).await;
            assert!(again.changes.is_empty(), "{:#?}", again.changes);
            sandbox.world().accounts["prod"].clone()
        });
        prop_assert_eq!(foreign(&after), before);
        for key in active {
            prop_assert!(after.money.cost_tags[&key], "{} was deactivated", key);
        }
        // And everything of ours can go again; what stays is what others rest on.
        let gone = block_on(async {
            let first = plan_with(&sandbox, &loaded, true).await;
            let outcomes = apply(&sandbox, &first).await;
            all_applied(&first, &outcomes);
            let again = plan_with(&sandbox, &loaded, true).await;
            assert!(of_budgets(&again).is_empty(), "{:#?}", again.changes);
            sandbox.world().accounts["prod"].clone()
        });
        let left: Vec<&BudgetItem> = gone.money.budgets.values().filter(|b| b.tags.get(MANAGED_TAG).map(String::as_str) == Some("shop/prod")).collect();
        prop_assert!(left.is_empty(), "{:?}", left);
    }

    /// Broken off anywhere, any number of times, it ends where one clean run does.
    #[test]
    fn interrupted_runs_converge_to_the_same_account(account in account(), policy in policy(), notify in notify(), seed in any::<u64>()) {
        let loaded = loaded(&workspace("50", notify), &policy);
        let clean = Sandbox::in_memory(world_of(account.clone()));
        block_on(async {
            let first = plan(&clean, &loaded).await;
            apply(&clean, &first).await;
        });
        let random = Mutex::new(seed | 1);
        let shaky = Sandbox::in_memory(world_of(account)).with_faults(Box::new(move |op, _| {
            let verb = op.split(':').nth(1).unwrap_or_default();
            let reads = ["Get", "List", "Describe"];
            if reads.iter().any(|r| verb.starts_with(r)) {
                return None;
            }
            let mut state = random.lock().unwrap();
            *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            match *state >> 61 {
                0 => Some(Fault::Refuse("AccessDenied".into())),
                1 => Some(Fault::Broken("InternalError".into())),
                2 => Some(Fault::AnswerLost),
                _ => None,
            }
        }));
        block_on(async {
            for _ in 0..60 {
                let next = plan(&shaky, &loaded).await;
                if next.changes.is_empty() {
                    break;
                }
                apply(&shaky, &next).await;
            }
            let left = plan(&shaky, &loaded).await;
            assert!(left.changes.is_empty(), "{:#?}", left.changes);
        });
        let settled = |sandbox: &Sandbox| {
            let mut account = sandbox.world().accounts["prod"].clone();
            // Ids are AWS's to give, and a budget that was written twice forgot its spend.
            account.money.monitors = account.money.monitors.into_values().map(|m| (m.name.clone(), m)).collect();
            account.money.subscriptions = account.money.subscriptions.into_values().map(|s| (s.subscription.name.clone(), s)).collect();
            for item in account.money.budgets.values_mut() {
                item.actual = None;
            }
            account
        };
        prop_assert_eq!(settled(&shaky), settled(&clean));
    }

    /// What cannot be seen is never written, and the plan says that it was not seen.
    #[test]
    fn the_unknown_is_never_changed(account in account(), policy in policy(), notify in notify(), blind in 0usize..8) {
        let operations = [
            ("budgets:DescribeBudgets", "budgets-budget"),
            ("budgets:ListTagsForResource", "budgets-budget"),
            ("budgets:DescribeNotificationsForBudget", "budgets-budget"),
            ("ce:GetAnomalyMonitors", "ce-anomaly"),
            ("ce:GetAnomalySubscriptions", "ce-anomaly"),
            ("ce:ListCostAllocationTags", "ce-costallocationtag"),
            ("sns:GetTopicAttributes", "sns-topic"),
            ("cloudwatch:DescribeAlarms", "cloudwatch-alarm"),
        ];
        let (operation, kind) = operations[blind];
        let loaded = loaded(&workspace("50", notify), &policy);
        let there: BTreeSet<String> = account.money.budgets.keys().cloned().collect();
        let sandbox = Sandbox::in_memory(world_of(account)).with_faults(Box::new(move |op, _| (op == operation).then(|| Fault::Refuse("AccessDenied".into()))));
        block_on(async {
            let plan = plan(&sandbox, &loaded).await;
            let asked = sandbox.meter().snapshot().by_operation.contains_key(operation);
            assert!(!asked || plan.unobserved.iter().any(|g| g.operation == operation), "{operation}");
            for change in of_budgets(&plan) {
                // Of a budget that is not there, neither tags nor alerts can be unknown.
                let new = change.action == ActionKind::Create && !there.contains(&change.resource.name) && blind > 0;
                let hidden = change.resource.kind.starts_with(kind) && !(kind == "budgets-budget" && new);
                assert!(!hidden || !asked, "{} was not seen and is changed", change.address);
            }
            for counts in plan.counts.values().flat_map(|c| c.values()) {
                assert!(counts.compliant + counts.unobserved <= counts.checked);
            }
        });
    }

}

// ---------------------------------------------------------------------- faults

/// Plans on a healthy account, then applies with the faults; then once more without any.
fn apply_with(
    faults: impl Fn(&str, &str) -> Option<Fault> + Send + Sync + 'static,
) -> (Plan, Vec<Outcome>, Account) {
    let loaded = usual();
    let armed = Arc::new(Mutex::new(false));
    let sandbox = Sandbox::in_memory(world_of(empty())).with_faults(Box::new({
        let armed = armed.clone();
        move |op, resource| {
            if *armed.lock().unwrap() {
                faults(op, resource)
            } else {
                None
            }
        }
    }));
    block_on(async {
        let first = plan(&sandbox, &loaded).await;
        *armed.lock().unwrap() = true;
        let outcomes = apply(&sandbox, &first).await;
        let after = sandbox.world().accounts["prod"].clone();
        *armed.lock().unwrap() = false;
        // Without faults the next run finishes what is left.
        let next = plan(&sandbox, &loaded).await;
        let finished = apply(&sandbox, &next).await;
        all_applied(&next, &finished);
        let left = plan(&sandbox, &loaded).await;
        assert!(left.changes.is_empty(), "{:#?}", left.changes);
        (first, outcomes, after)
    })
}

const WRITES: [&str; 7] = [
    "sns:CreateTopic",
    "sns:Subscribe",
    "budgets:CreateBudget",
    "cloudwatch:PutMetricAlarm",
    "ce:CreateAnomalyMonitor",
    "ce:CreateAnomalySubscription",
    "ce:UpdateCostAllocationTagsStatus",
];

#[test]
fn every_write_that_is_refused_says_so_and_what_rests_on_it_is_not_tried() {
    for write in WRITES {
        let (plan, outcomes, _) =
            apply_with(move |op, _| (op == write).then(|| Fault::Refuse("AccessDenied".into())));
        let all = kinds(&plan, &outcomes);
        let failed: Vec<_> = all
            .iter()
            .filter(|(_, o, _)| *o == OutcomeKind::Failed)
            .collect();
        assert!(!failed.is_empty(), "{write}");
        let refused = |error: &Option<String>| error.as_deref().is_some_and(|e| e.contains(write));
        assert!(
            failed.iter().any(|(_, _, e)| refused(e)),
            "{write}: {failed:?}"
        );
        for (address, _, error) in &failed {
            let error = error.as_deref().unwrap();
            assert!(
                error.contains(write) || error.contains("which was not made"),
                "{write}: {address}: {error}"
            );
        }
        if write == "sns:CreateTopic" {
            // Nothing that would notify a topic that is not there.
            let tried: Vec<_> = all
                .iter()
                .filter(|(a, o, _)| a.contains("-billing") && *o == OutcomeKind::Applied)
                .collect();
            assert!(tried.is_empty(), "{tried:?}");
        }
        if write == "ce:CreateAnomalyMonitor" {
            let subscription = all.iter().find(|(a, ..)| a.contains("anomalysubscription"));
            let error = subscription.unwrap().2.as_deref().unwrap();
            assert!(error.contains("which was not made"), "{error}");
        }
    }
}

#[test]
fn a_lost_answer_is_settled_by_looking() {
    for write in WRITES {
        let (plan, outcomes, _) =
            apply_with(move |op, _| (op == write).then_some(Fault::AnswerLost));
        all_applied(&plan, &outcomes);
    }
}

#[test]
fn a_write_that_broke_every_time_fails_and_one_that_broke_twice_does_not() {
    for write in WRITES {
        let (plan, outcomes, _) =
            apply_with(move |op, _| (op == write).then(|| Fault::Broken("InternalError".into())));
        let all = kinds(&plan, &outcomes);
        assert!(
            all.iter().any(|(_, o, _)| *o == OutcomeKind::Failed),
            "{write}"
        );

        let seen = Mutex::new(BTreeMap::<String, u32>::new());
        let (plan, outcomes, _) = apply_with(move |op, resource| {
            if op != write {
                return None;
            }
            let mut seen = seen.lock().unwrap();
            let times = seen.entry(resource.to_owned()).or_default();
            *times += 1;
            (*times <= 2).then(|| Fault::Refuse("ThrottlingException".into()))
        });
        all_applied(&plan, &outcomes);
    }
}

#[test]
fn nothing_is_written_where_it_could_not_be_read_again() {
    let before = empty();
    for read in [
        "sns:GetTopicAttributes",
        "sns:ListTagsForResource",
        "budgets:DescribeBudget",
        "budgets:ListTagsForResource",
        "cloudwatch:ListTagsForResource",
        "ce:GetAnomalyMonitors",
        "ce:ListCostAllocationTags",
    ] {
        let (plan, outcomes, after) =
            apply_with(move |op, _| (op == read).then(|| Fault::Refuse("AccessDenied".into())));
        let failed: Vec<_> = kinds(&plan, &outcomes)
            .into_iter()
            .filter(|(_, o, _)| *o == OutcomeKind::Failed)
            .collect();
        assert!(!failed.is_empty(), "{read}");
        for (address, _, error) in failed {
            let error = error.unwrap();
            assert!(
                error.contains("nothing was changed") || error.contains("which was not made"),
                "{address}: {error}"
            );
        }
        match read.split(':').next().unwrap() {
            "sns" => assert_eq!(after.topics, before.topics),
            "budgets" => assert_eq!(after.money.budgets, before.money.budgets),
            "cloudwatch" => assert_eq!(after.alarms, before.alarms),
            _ => {}
        }
    }
}

/// A state that somebody else made between two tries is not overwritten.
#[test]
fn what_moved_since_the_plan_is_stale() {
    let loaded = usual();
    let sandbox = Sandbox::in_memory(world_of(empty()));
    let other = Sandbox::in_memory(world_of(empty()));
    let text = workspace("60", r#"["mailto:else@shop.example", "sns:ops"]"#);
    let another = self::loaded(&text, POLICY);
    block_on(async {
        let planned = plan(&sandbox, &loaded).await;
        let first = plan(&other, &another).await;
        apply(&other, &first).await;
        let outcomes = apply(&other, &planned).await;
        let stale: Vec<_> = kinds(&planned, &outcomes)
            .into_iter()
            .filter(|(_, o, _)| *o == OutcomeKind::Stale)
            .collect();
        let budget = stale
            .iter()
            .find(|(a, ..)| a.ends_with(&format!("/{OURS}#budgets")));
        let error = budget.unwrap().2.as_deref().unwrap();
        assert!(error.contains("it is there now"), "{error}");
        let now = &other.world().accounts["prod"].money.budgets[OURS].budget;
        assert_eq!(now.limit.as_ref().unwrap().amount, Decimal::from(60));
    });
}

/// An update would set the spend that AWS counts to zero.
#[test]
fn a_second_apply_updates_nothing_and_a_changed_address_does_not_update_the_budget() {
    let loaded = usual();
    let sandbox = Sandbox::in_memory(world_of(empty()));
    let written = |sandbox: &Sandbox| -> u64 {
        let calls = sandbox.meter().snapshot().by_operation;
        let writes = calls.iter().filter(|(op, _)| {
            let verb = op.split(':').nth(1).unwrap_or_default();
            [
                "Create",
                "Update",
                "Put",
                "Set",
                "Delete",
                "Subscribe",
                "Tag",
            ]
            .iter()
            .any(|w| verb.starts_with(w))
        });
        writes.map(|(_, n)| n).sum()
    };
    block_on(async {
        let first = plan(&sandbox, &loaded).await;
        let outcomes = apply(&sandbox, &first).await;
        all_applied(&first, &outcomes);
        let once = written(&sandbox);
        assert!(once > 6);
        let again = plan(&sandbox, &loaded).await;
        let outcomes = apply(&sandbox, &again).await;
        assert!(outcomes.is_empty());
        // Not even the plan that is done.
        for outcome in apply(&sandbox, &first).await {
            assert_eq!(outcome.outcome, OutcomeKind::Skipped);
        }
        assert_eq!(written(&sandbox), once);

        let text = workspace("50", r#"["mailto:new@shop.example", "sns:ops"]"#);
        let moved = self::loaded(&text, POLICY);
        let third = plan(&sandbox, &moved).await;
        assert!(!third.changes.is_empty());
        let outcomes = apply(&sandbox, &third).await;
        all_applied(&third, &outcomes);
        let calls = sandbox.meter().snapshot().by_operation;
        assert_eq!(calls.get("budgets:UpdateBudget"), None);
        assert_eq!(calls.get("budgets:CreateSubscriber"), Some(&6));
        assert_eq!(calls.get("budgets:DeleteSubscriber"), Some(&6));
    });
}

#[test]
fn cost_explorer_is_billed_as_aws_does() {
    let loaded = usual();
    let sandbox = Sandbox::in_memory(world_of(empty()));
    block_on(async {
        plan(&sandbox, &loaded).await;
        assert_eq!(sandbox.meter().snapshot().cost_usd, "0.03");
        let text = workspace("50", "[]");
        let without = self::loaded(&text, "[budgets]\n");
        let free = Sandbox::in_memory(world_of(empty()));
        plan(&free, &without).await;
        // Only the cost allocation tags that the tag policy requires.
        assert_eq!(free.meter().snapshot().cost_usd, "0.01");
    });
}

// ---------------------------------------------------------------------- accounts that are shared

#[test]
fn environments_on_one_account_do_not_fight() {
    let text = format!(
        "[project]\nname = \"shop\"\nteam = \"core\"\n[environments.prod]\naccount = \"{ACCOUNT}\"\nregions = [\"eu-west-1\"]\nstage = \"stage-1\"\nmonthly_budget_usd = 70\nshared_account = true\nnotify = [\"sns:ops\", \"mailto:a@x.example\"]\n[environments.staging]\naccount = \"{ACCOUNT}\"\nregions = [\"eu-west-1\"]\nstage = \"stage-1\"\nmonthly_budget_usd = 30\nshared_account = true\nnotify = [\"sns:ops\"]\n"
    );
    let loaded = loaded(&text, POLICY);
    // The sandbox keeps accounts by environment: the same one is reached by both names in turn.
    let mut account = empty();
    account.money.cost_tags.insert("environment".into(), true);
    let mut world = world_of(account.clone());
    world.accounts.insert("staging".into(), account);
    let sandbox = Sandbox::in_memory(world);
    block_on(async {
        let first = plan(&sandbox, &loaded).await;
        let shown: Vec<&str> = of_budgets(&first)
            .iter()
            .map(|c| c.resource.name.as_str())
            .collect();
        // One topic and one monitor for both, a budget and an alarm for each.
        assert_eq!(
            shown.iter().filter(|n| **n == "ops").count(),
            2,
            "{shown:?}: one in each region"
        );
        assert_eq!(
            shown.iter().filter(|n| n.ends_with("-shared")).count(),
            1,
            "{shown:?}"
        );
        for name in ["opsctl-shop-prod-billing", "opsctl-shop-staging-billing"] {
            let alarm = first
                .changes
                .iter()
                .find(|c| c.resource.name == name)
                .unwrap();
            assert_eq!(
                alarm.after["threshold"], "80",
                "of what both may spend: {alarm:?}"
            );
        }
        let of = |name: &str| {
            let change = first
                .changes
                .iter()
                .find(|c| c.resource.name == name && c.resource.kind == "budgets-budget");
            change.unwrap().after["filters"].clone()
        };
        assert_eq!(
            of("opsctl-shop-prod"),
            serde_json::json!({"TagKeyValue": ["user:environment$prod"]})
        );
        assert_eq!(
            of("opsctl-shop-staging"),
            serde_json::json!({"TagKeyValue": ["user:environment$staging"]})
        );
        assert!(
            !shown.iter().any(|n| n.contains("-team-")),
            "nothing is split: {shown:?}"
        );
    });
}

// ---------------------------------------------------------------------- the binary

#[test]
fn billing_alerts_that_are_off_are_a_blind_spot_with_a_way_out() {
    let dir = TempDir::new().unwrap();
    let args = [
        "plan",
        "--sandbox",
        "findash-denied",
        "--control",
        "budgets",
        "-e",
        "staging",
    ];
    let ran = opsctl(dir.path(), &args);
    assert_eq!(ran.code, 3, "{}", ran.stdout);
    assert!(
        ran.stdout.contains("Receive CloudWatch billing"),
        "{}",
        ran.stdout
    );
    let plan = json(&opsctl(
        dir.path(),
        &[&args[..], &["--format", "json"]].concat(),
    ));
    assert_eq!(plan["unobserved"][0]["operation"], "cloudwatch:ListMetrics");
    let text = plan["changes"].to_string();
    assert!(!text.contains("-billing"), "no alarm that could never fire");
    assert!(
        text.contains("budgets-budget"),
        "the budget is planned all the same"
    );
}

#[test]
fn what_was_made_can_be_removed_and_foreign_budgets_stay() {
    let dir = TempDir::new().unwrap();
    let run = |args: &[&str]| {
        let all = [
            args,
            &[
                "--sandbox",
                "findash",
                "--control",
                "budgets",
                "--format",
                "json",
            ],
        ]
        .concat();
        let ran = opsctl(dir.path(), &all);
        assert_eq!(ran.code, 0, "{}\n{}", ran.stderr, ran.stdout);
        json(&ran)
    };
    run(&["apply", "--yes"]);
    let removed = run(&["apply", "--yes", "--destroy"]);
    for change in removed["changes"].as_array().unwrap() {
        assert_eq!(change["action"], "delete", "{change}");
        assert_eq!(change["outcome"], "applied", "{change}");
    }
    assert_eq!(
        removed["changes"].as_array().unwrap().len(),
        11,
        "{removed}"
    );
    let state = std::fs::read_to_string(dir.path().join(".opsctl/sandbox/findash.json")).unwrap();
    let state: serde_json::Value = serde_json::from_str(&state).unwrap();
    let prod = &state["accounts"]["prod"];
    let budgets: Vec<&String> = prod["money"]["budgets"]
        .as_object()
        .unwrap()
        .keys()
        .collect();
    assert_eq!(budgets, ["Monthly spend"]);
    assert_eq!(
        prod["money"]["cost_tags"]["team"], true,
        "never deactivated"
    );
    assert!(!prod["topics"].to_string().contains("opsctl-findash-prod"));
}

/// A saved plan with a digest of its own that shows something else than it does.
#[test]
fn a_saved_plan_that_does_not_say_what_it_does_is_refused() {
    let dir = TempDir::new().unwrap();
    let ran = opsctl(
        dir.path(),
        &[
            "plan",
            "--sandbox",
            "--control",
            "budgets",
            "--out",
            "plan.json",
        ],
    );
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let text = std::fs::read_to_string(dir.path().join("plan.json")).unwrap();
    let good: Plan = serde_json::from_str(&text).unwrap();
    opsctl::plan::check::check(&good).unwrap();
    let index = |kind: &str, action: ActionKind| {
        let found = good
            .changes
            .iter()
            .position(|c| c.resource.kind == kind && c.action == action);
        found.unwrap_or_else(|| panic!("no {kind}"))
    };
    let budget = index("budgets-budget", ActionKind::Create);
    let update = index("budgets-budget", ActionKind::Update);
    let alarm = index("cloudwatch-alarm", ActionKind::Create);
    let topic = index("sns-topic", ActionKind::Create);
    let tag = index("ce-costallocationtag", ActionKind::Update);
    type Edit = Box<dyn Fn(&mut serde_json::Value)>;
    let operation = move |i: usize, path: &'static str, value: serde_json::Value| -> Edit {
        Box::new(move |d| {
            *d["changes"][i]["operation"].pointer_mut(path).expect(path) = value.clone();
        })
    };
    let both = move |i: usize, path: &'static str, value: serde_json::Value| -> Edit {
        Box::new(move |d| {
            let change = &mut d["changes"][i];
            *change["operation"]
                .pointer_mut(&format!("/after{path}"))
                .expect(path) = value.clone();
            *change["after"].pointer_mut(path).expect(path) = value.clone();
        })
    };
    let edits: Vec<(&str, Edit)> = vec![
        (
            "the limit",
            operation(budget, "/after/limit/amount", "999999".into()),
        ),
        (
            "the limit, in the JSON too",
            both(budget, "/limit/amount", "999999".into()),
        ),
        (
            "what counts",
            both(budget, "/cost_types/include_credit", true.into()),
        ),
        (
            "the cents that rounding would hide",
            both(budget, "/limit/amount", "1500.001".into()),
        ),
        (
            "the filters",
            both(budget, "/filters", serde_json::json!({"Service": ["x"]})),
        ),
        ("the kind", both(budget, "/kind", "USAGE".into())),
        (
            "what stood before",
            operation(update, "/before/limit/amount", "1".into()),
        ),
        ("the threshold", both(alarm, "/threshold", "1000000".into())),
        (
            "the actions",
            both(alarm, "/alarm_actions", serde_json::json!([])),
        ),
        ("the description", both(alarm, "/description", "x".into())),
        (
            "the policy",
            both(topic, "/policy", "{\"Statement\":[]}".into()),
        ),
        ("the name", both(topic, "/name", "another".into())),
        (
            "the tag that says whose it is",
            operation(topic, "/tags", serde_json::json!({})),
        ),
        ("a tag that is stopped", both(tag, "/active", false.into())),
        (
            "a deletion",
            operation(update, "/after", serde_json::Value::Null),
        ),
        (
            "another kind",
            operation(
                budget,
                "/after",
                serde_json::json!({"object": "cost_allocation_tag", "key": "opsctl-findash-prod", "active": true}),
            ),
        ),
        (
            "another account",
            Box::new(move |d| {
                d["changes"][budget]["resource"]["arn"] =
                    "arn:aws:budgets::999999999999:budget/opsctl-findash-prod".into()
            }),
        ),
        (
            "another control",
            Box::new(move |d| {
                let change = &mut d["changes"][budget];
                change["control"] = "alarms".into();
                let address = change["address"]
                    .as_str()
                    .unwrap()
                    .replace("#budgets", "#alarms");
                change["address"] = address.into();
            }),
        ),
    ];
    for (what, edit) in edits {
        let mut document: serde_json::Value = serde_json::from_str(&text).unwrap();
        edit(&mut document);
        let bad: Plan = serde_json::from_value(document).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_ne!(bad, good, "{what}");
        assert!(opsctl::plan::check::check(&bad).is_err(), "{what}");
    }
    // A foreign budget under its own name, with everything shown as it is.
    let foreign = text.replace("opsctl-findash-prod", "Monthly spend");
    let bad: Plan = serde_json::from_str(&foreign).unwrap();
    let error = opsctl::plan::check::check(&bad).unwrap_err();
    assert!(error.contains("opsctl-"), "{error}");
}
