//! The control on built inventories: no account, no clock.

use std::collections::{BTreeMap, BTreeSet};

use globset::Glob;
use jiff::civil::date;
use proptest::prelude::*;
use rust_decimal::Decimal;

use super::wanted::shares;
use crate::cloud::Want;
use crate::config::Loaded;
use crate::controls::{self, Input};
use crate::inventory::{
    AlarmDefinition, AlarmFact, BudgetFact, CostTagFact, EnvironmentInventory, MonitorFact,
    Observed, TopicFact,
};
use crate::model::object::policy::{Publisher, default_policy, policy_of};
use crate::model::object::{
    AnomalyMonitor, Budget, CostTypes, MANAGED_TAG, Money, MonitorScope, NotificationKey, Object,
    Subscriber, ThresholdUnit, Topic, When,
};
use crate::model::{Control, Tags};
use crate::plan::{Change, Operation, Verdict};

const ACCOUNT: &str = "123456789012";
const NAME: &str = "opsctl-shop-prod";

/// `[project]` and one environment; `more` goes into it or after it.
fn workspace(more: &str) -> String {
    format!(
        "[project]\nname = \"shop\"\nteam = \"core\"\n[environments.prod]\naccount = \"{ACCOUNT}\"\nregions = [\"eu-west-1\"]\nstage = \"stage-1\"\n{more}"
    )
}

const USUAL: &str =
    "monthly_budget_usd = 50\nnotify = [\"mailto:ops@shop.example\", \"sns:ops\"]\n";

/// What ships, with another workspace and another policy for budgets.
fn loaded(workspace: &str, policy: Option<&str>) -> Loaded {
    let mut loaded = Loaded::read(None);
    if let Some(text) = policy {
        let node = loaded.parse("policies/budgets.toml", text.to_owned());
        loaded.policies.insert("budgets".into(), node.unwrap());
    }
    let node = loaded.parse("opsctl.toml", workspace.to_owned());
    loaded.take_workspace(node.unwrap());
    loaded.check_all();
    loaded
}

/// All is known, and nothing is there.
fn nothing() -> EnvironmentInventory {
    let mut inventory = EnvironmentInventory {
        environment: "prod".into(),
        account: ACCOUNT.into(),
        regions: vec!["eu-west-1".into()],
        ..EnvironmentInventory::default()
    };
    inventory.money.budgets = Observed::Known(Vec::new());
    inventory.money.monitors = Observed::Known(Vec::new());
    inventory.money.subscriptions = Observed::Known(Vec::new());
    inventory.money.cost_tags = Observed::Known(BTreeMap::new());
    inventory.money.billing_metric = Observed::Known(());
    inventory
        .alarms
        .insert("us-east-1".into(), Observed::Known(Vec::new()));
    inventory
}

struct Case {
    loaded: Loaded,
    inventory: EnvironmentInventory,
    destroy: bool,
    only: Option<&'static str>,
}

impl Case {
    fn new(more: &str) -> Case {
        Case::with(more, None)
    }

    fn with(more: &str, policy: Option<&str>) -> Case {
        let loaded = loaded(&workspace(more), policy);
        assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
        let mut case = Case {
            loaded,
            inventory: nothing(),
            destroy: false,
            only: None,
        };
        // Every topic that is asked for was looked at, and is not there.
        for arn in case.want().topics {
            case.inventory.topics.insert(arn, Observed::Absent);
        }
        case
    }

    fn want(&self) -> Want {
        let resolved = self.loaded.resolve(Some("prod"), "stage-1").unwrap();
        controls::want(&[Control::Budgets], &resolved, Want::default())
    }

    fn run(&self) -> Verdict {
        let resolved = self.loaded.resolve(Some("prod"), "stage-1").unwrap();
        let only = self.only.map(|g| Glob::new(g).unwrap().compile_matcher());
        controls::run(
            Control::Budgets,
            &Input {
                resolved: &resolved,
                inventory: &self.inventory,
                today: date(2026, 11, 22),
                only: only.as_ref(),
                destroy: self.destroy,
                controls: &[Control::Budgets, Control::Alarms],
            },
        )
    }

    /// What is planned, as it would stand afterwards.
    fn carried_out(mut self) -> Case {
        let tags = || Observed::Known(managed());
        for change in self.run().changes {
            let Operation::Object { after, .. } = change.operation else {
                panic!("not an object");
            };
            match *after.unwrap() {
                Object::Budget(budget) => put(&mut self.inventory.money.budgets, fact(budget)),
                Object::Topic(topic) => {
                    let arn = change.resource.arn;
                    self.inventory.topics.insert(
                        arn.clone(),
                        Observed::Known(topic_fact(&arn, topic, tags())),
                    );
                }
                Object::MetricAlarm(alarm) => {
                    let all = self.inventory.alarms.get_mut("us-east-1").unwrap();
                    put(all, alarm_fact(alarm));
                }
                Object::AnomalyMonitor(monitor) => put(
                    &mut self.inventory.money.monitors,
                    MonitorFact {
                        arn: "arn".into(),
                        monitor,
                    },
                ),
                Object::AnomalySubscription(subscription) => put(
                    &mut self.inventory.money.subscriptions,
                    crate::inventory::AnomalySubscriptionFact {
                        arn: "arn".into(),
                        subscription,
                        unconfirmed: BTreeSet::new(),
                    },
                ),
                other => panic!("{other:?}"),
            }
        }
        self
    }
}

fn put<T>(held: &mut Observed<Vec<T>>, one: T) {
    match held {
        Observed::Known(all) => all.push(one),
        _ => panic!("not known"),
    }
}

fn managed() -> Tags {
    Tags::from([(MANAGED_TAG.to_owned(), "shop/prod".to_owned())])
}

fn alarm_fact(alarm: crate::model::object::MetricAlarm) -> AlarmFact {
    AlarmFact {
        arn: "arn".into(),
        definition: AlarmDefinition::Metric(alarm),
        state: "OK".into(),
        state_reason: String::new(),
        state_since: None,
        tags: Observed::Known(managed()),
    }
}

fn topic_fact(arn: &str, topic: Topic, tags: Observed<Tags>) -> TopicFact {
    TopicFact {
        arn: arn.to_owned(),
        confirmed: BTreeSet::new(),
        pending: topic.subscriptions.clone(),
        topic,
        tags,
        kms_key: None,
        unread: None,
    }
}

fn fact(budget: Budget) -> BudgetFact {
    BudgetFact {
        budget,
        unread: None,
        actual: None,
        forecast: None,
        unhealthy: None,
        tags: Observed::Known(managed()),
    }
}

/// A budget of somebody else that would do.
fn theirs(limit: i64, percent: i64) -> BudgetFact {
    let key = NotificationKey {
        when: When::Actual,
        operator: "GREATER_THAN".into(),
        threshold: percent.into(),
        unit: ThresholdUnit::Percent,
    };
    let told = BTreeSet::from([Subscriber::Email("cfo@shop.example".into())]);
    BudgetFact {
        tags: Observed::default(),
        ..fact(Budget {
            name: "theirs".into(),
            kind: "COST".into(),
            time_unit: "MONTHLY".into(),
            limit: Some(Money {
                amount: limit.into(),
                unit: "USD".into(),
            }),
            filters: BTreeMap::new(),
            cost_types: CostTypes {
                include_credit: false,
                include_refund: false,
                ..CostTypes::default()
            },
            notifications: BTreeMap::from([(key, told)]),
            extra: BTreeMap::new(),
        })
    }
}

fn foreign_topic(arn: &str, policy: String, kms_key: Option<&str>) -> Observed<TopicFact> {
    let parsed = crate::model::Arn::parse(arn).unwrap();
    let topic = Topic {
        name: parsed.resource.into(),
        region: parsed.region.into(),
        policy: Some(policy),
        subscriptions: BTreeSet::from(["email:a@x.example".to_owned()]),
    };
    let mut fact = topic_fact(arn, topic, Observed::Known(Tags::new()));
    fact.confirmed = std::mem::take(&mut fact.pending);
    fact.kms_key = kms_key.map(str::to_owned);
    Observed::Known(fact)
}

fn ids(verdict: &Verdict) -> Vec<&str> {
    let mut ids: Vec<&str> = verdict.findings.iter().map(|f| f.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn change<'a>(verdict: &'a Verdict, kind: &str, name: &str) -> &'a Change {
    let found = verdict
        .changes
        .iter()
        .find(|c| c.resource.kind == kind && c.resource.name == name);
    found.unwrap_or_else(|| panic!("no {kind} {name} in {:#?}", told(verdict)))
}

/// A verdict as text: changes with what they show, findings, gaps, notes.
fn told(verdict: &Verdict) -> String {
    let mut out = String::new();
    for change in &verdict.changes {
        out.push_str(&format!("{} {}\n", change.action.sign(), change.address));
        for field in &change.fields {
            out.push_str(&format!(
                "    {}: {} -> {}   [{}]\n",
                field.field,
                field.before.as_deref().unwrap_or("-"),
                field.after.as_deref().unwrap_or("-"),
                field.reason.rule
            ));
        }
    }
    for finding in &verdict.findings {
        out.push_str(&format!(
            "! {} {} {}: {} ({})\n",
            finding.severity.as_str(),
            finding.id,
            finding.address,
            finding.message,
            finding.evidence
        ));
    }
    for gap in &verdict.gaps {
        out.push_str(&format!(
            "? {} {}: {}\n",
            gap.operation, gap.region, gap.error
        ));
    }
    for note in &verdict.notes {
        out.push_str(&format!("# {note}\n"));
    }
    let c = &verdict.counts;
    out.push_str(&format!(
        "= {} checked, {} compliant, {} ignored, {} unobserved\n",
        c.checked, c.compliant, c.ignored, c.unobserved
    ));
    out
}

#[test]
fn an_empty_account() {
    insta::assert_snapshot!(told(&Case::new(USUAL).run()));
}

#[test]
fn an_account_that_pays_for_others() {
    let more = format!("{USUAL}[payer]\nenvironment = \"prod\"\n");
    let case = Case::new(&more);
    insta::assert_snapshot!(told(&case.run()));
    let again = case.carried_out().run();
    assert!(again.changes.is_empty(), "{}", told(&again));
}

#[test]
fn what_is_as_it_should_be_is_left_alone() {
    let case = Case::new(USUAL).carried_out();
    let verdict = case.run();
    assert!(verdict.changes.is_empty(), "{}", told(&verdict));
    let c = &verdict.counts;
    assert_eq!((c.checked, c.compliant), (7, 7), "{}", told(&verdict));
}

#[test]
fn amounts_are_compared_as_numbers() {
    let mut case = Case::new(USUAL).carried_out();
    if let Observed::Known(all) = &mut case.inventory.money.budgets {
        all[0].budget.limit.as_mut().unwrap().amount = "50.0".parse().unwrap();
    }
    assert!(case.run().changes.is_empty());
}

#[test]
fn a_topic_of_ours_that_drifted_is_mended_and_keeps_what_others_added() {
    let mut case = Case::new(USUAL).carried_out();
    let arn = format!("arn:aws:sns:eu-west-1:{ACCOUNT}:ops");
    let Some(Observed::Known(fact)) = case.inventory.topics.get_mut(&arn) else {
        panic!("no topic");
    };
    let theirs = serde_json::json!({"Sid": "app", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::1:root"}, "Action": "SNS:Publish", "Resource": arn});
    let document = serde_json::json!({"Version": "2008-10-17", "Statement": [theirs, {"Sid": "opsctlBudgets", "Effect": "Deny", "Principal": "*", "Action": "*"}]});
    fact.topic.policy = Some(document.to_string());
    fact.topic
        .subscriptions
        .insert("sqs:arn:aws:sqs:eu-west-1:1:q".into());
    let verdict = case.run();
    insta::assert_snapshot!(told(&verdict));
    let after = change(&verdict, "sns-topic", "ops").after.to_string();
    assert!(after.contains("arn:aws:iam::1:root") && after.contains("sqs:arn"));
}

#[test]
fn a_topic_that_lets_several_out_is_one_finding() {
    let arn = format!("arn:aws:sns:eu-west-1:{ACCOUNT}:ops");
    let mut case = Case::new(USUAL);
    let closed = foreign_topic(&arn, default_policy(&arn), None);
    case.inventory.topics.insert(arn, closed);
    let verdict = case.run();
    let blocked: Vec<&str> = verdict
        .findings
        .iter()
        .filter(|f| f.id == "budgets.topic-blocked")
        .map(|f| f.message.as_str())
        .collect();
    let expected = "the policy of the topic ops does not let budgets.amazonaws.com and costalerts.amazonaws.com publish";
    assert_eq!(blocked, [expected]);
}

#[test]
fn a_foreign_topic_is_only_looked_at() {
    let arn = format!("arn:aws:sns:eu-west-1:{ACCOUNT}:ops");
    let all = BTreeSet::from(Publisher::ALL);
    let open = policy_of(&arn, None, &all);
    for (policy, key, expected) in [
        (default_policy(&arn), None, vec!["budgets.topic-blocked"]),
        (open.clone(), None, vec![]),
        (
            open.clone(),
            Some("alias/aws/sns"),
            vec!["budgets.topic-blocked"],
        ),
        (
            open,
            Some("arn:aws:kms:eu-west-1:1:key/x"),
            vec!["budgets.topic-key-unread"],
        ),
    ] {
        let mut case = Case::new(USUAL);
        case.inventory
            .topics
            .insert(arn.clone(), foreign_topic(&arn, policy, key));
        let verdict = case.run();
        let of_topics: Vec<&str> = ids(&verdict)
            .into_iter()
            .filter(|id| id.contains("topic"))
            .collect();
        assert_eq!(of_topics, expected);
        assert!(
            !verdict.changes.iter().any(|c| c.resource.arn == arn),
            "{}",
            told(&verdict)
        );
    }
}

#[test]
fn what_bears_our_name_without_our_tag_is_a_conflict() {
    for tags in [
        Tags::new(),
        Tags::from([(MANAGED_TAG.to_owned(), "shop/other".to_owned())]),
    ] {
        let mut case =
            Case::new("monthly_budget_usd = 60\nnotify = [\"mailto:ops@shop.example\"]\n");
        let done = Case::new(USUAL).carried_out();
        case.inventory = done.inventory;
        if let Observed::Known(all) = &mut case.inventory.money.budgets {
            all[0].tags = Observed::Known(tags.clone());
        }
        if let Some(Observed::Known(all)) = case.inventory.alarms.get_mut("us-east-1") {
            all[0].tags = Observed::Known(tags.clone());
        }
        let mail = format!("arn:aws:sns:us-east-1:{ACCOUNT}:{NAME}");
        if let Some(Observed::Known(fact)) = case.inventory.topics.get_mut(&mail) {
            fact.tags = Observed::Known(tags);
        }
        let verdict = case.run();
        let conflicts = verdict
            .findings
            .iter()
            .filter(|f| f.id == "budgets.conflict");
        assert_eq!(conflicts.count(), 3, "{}", told(&verdict));
        for kind in ["budgets-budget", "cloudwatch-alarm", "sns-topic"] {
            assert!(
                !verdict.changes.iter().any(|c| c.resource.kind == kind),
                "{}",
                told(&verdict)
            );
        }
    }
}

#[test]
fn tags_that_could_not_be_read_make_no_conflict_and_no_change() {
    let mut case = Case::new("monthly_budget_usd = 60\nnotify = []\n");
    case.inventory = Case::new(USUAL).carried_out().inventory;
    if let Observed::Known(all) = &mut case.inventory.money.budgets {
        all[0].tags = Observed::Unknown("AccessDenied".into());
    }
    let verdict = case.run();
    assert!(!ids(&verdict).contains(&"budgets.conflict"));
    assert!(
        !verdict
            .changes
            .iter()
            .any(|c| c.resource.kind == "budgets-budget")
    );
    assert_eq!(verdict.counts.unobserved, 1, "{}", told(&verdict));
}

#[test]
fn a_budget_of_somebody_else_whose_alerts_are_not_seen_makes_no_second_one() {
    let run = |edit: &dyn Fn(&mut BudgetFact)| {
        let mut fact = theirs(50, 80);
        fact.unread = Some("AccessDenied".into());
        edit(&mut fact);
        let mut case = Case::new(USUAL);
        put(&mut case.inventory.money.budgets, fact);
        let verdict = case.run();
        let kind = "budgets-budget";
        let made = verdict.changes.iter().any(|c| c.resource.kind == kind);
        (made, verdict.counts.unobserved)
    };
    assert_eq!(run(&|_| {}), (false, 1));
    let other = |f: &mut BudgetFact| {
        let one = BTreeSet::from(["Amazon S3".to_owned()]);
        f.budget.filters.insert("Service".into(), one);
    };
    assert_eq!(run(&other), (true, 0), "it is about other costs anyway");
    // One that is seen is enough, whatever the others are.
    let mut case = Case::new(USUAL);
    put(&mut case.inventory.money.budgets, theirs(50, 80));
    let mut unread = theirs(50, 80);
    unread.budget.name = "another".to_owned();
    unread.unread = Some("AccessDenied".into());
    put(&mut case.inventory.money.budgets, unread);
    assert!(ids(&case.run()).contains(&"budgets.covered"));
}

#[test]
fn a_budget_of_somebody_else_can_be_enough() {
    let covered = |fact: BudgetFact, policy: Option<&str>| {
        let mut case = Case::with(USUAL, policy);
        put(&mut case.inventory.money.budgets, fact);
        let verdict = case.run();
        let ours = verdict
            .changes
            .iter()
            .any(|c| c.resource.kind == "budgets-budget");
        assert_eq!(
            ids(&verdict).contains(&"budgets.covered"),
            !ours,
            "{}",
            told(&verdict)
        );
        !ours
    };
    // 80 % of 50 USD is 40.
    assert!(covered(theirs(50, 80), None));
    assert!(covered(theirs(100, 40), None));
    assert!(!covered(theirs(50, 90), None), "too late");
    assert!(
        !covered(theirs(1, 80), None),
        "it goes off on the first day of every month"
    );
    let with = |edit: &dyn Fn(&mut BudgetFact)| {
        let mut fact = theirs(50, 80);
        edit(&mut fact);
        covered(fact, None)
    };
    assert!(!with(&|f| f.budget.time_unit = "DAILY".into()));
    assert!(!with(&|f| f.budget.kind = "USAGE".into()));
    assert!(
        !with(&|f| f.budget.cost_types.include_credit = true),
        "credits hide what is spent"
    );
    assert!(!with(&|f| f
        .budget
        .notifications
        .values_mut()
        .for_each(BTreeSet::clear)));
    assert!(!with(&|f| f.unhealthy = Some("FILTER_INVALID".into())));
    assert!(!with(&|f| {
        f.budget
            .extra
            .insert("FilterExpression".into(), "{}".into());
    }));
    assert!(!with(&|f| {
        let one = BTreeSet::from(["Amazon S3".to_owned()]);
        f.budget.filters.insert("Service".into(), one);
    }));
    let beside = "[budgets]\nbeside_foreign = true\n[budgets.alert.early]\nat_percent = 80\nwhen = \"actual\"\n";
    assert!(!covered(theirs(50, 80), Some(beside)));
    // One of ours that is there already is kept.
    let mut case = Case::new(USUAL).carried_out();
    put(&mut case.inventory.money.budgets, theirs(50, 80));
    let verdict = case.run();
    assert!(
        verdict.changes.is_empty() && !ids(&verdict).contains(&"budgets.covered"),
        "{}",
        told(&verdict)
    );
}

#[test]
fn without_the_billing_metric_there_is_no_alarm_and_the_plan_is_blind() {
    let mut case = Case::new(USUAL);
    case.inventory.money.billing_metric = Observed::Absent;
    let verdict = case.run();
    assert!(
        !verdict
            .changes
            .iter()
            .any(|c| c.resource.region == "us-east-1"),
        "{}",
        told(&verdict)
    );
    assert_eq!(verdict.gaps.len(), 1);
    assert!(
        verdict.gaps[0]
            .error
            .contains("Receive CloudWatch billing alerts")
    );
    // Where the metric could not be read, its gap is the inventory's.
    case.inventory.money.billing_metric = Observed::Unknown("AccessDenied".into());
    let verdict = case.run();
    assert!(verdict.gaps.is_empty());
    assert_eq!(verdict.counts.unobserved, 1);
    // Nothing is said of what was not asked for.
    case.inventory.money.billing_metric = Observed::Absent;
    case.only = Some("*budget/*");
    assert!(case.run().gaps.is_empty());
}

#[test]
fn the_monitor_of_all_services_that_is_there_is_used() {
    let mut case = Case::new(USUAL);
    let monitor = AnomalyMonitor {
        name: "Default-Services-Monitor".into(),
        scope: MonitorScope::Dimension("SERVICE".into()),
    };
    put(
        &mut case.inventory.money.monitors,
        MonitorFact {
            arn: "arn".into(),
            monitor,
        },
    );
    let verdict = case.run();
    let after = &change(&verdict, "ce-anomalysubscription", NAME).after;
    assert_eq!(
        after["monitors"],
        serde_json::json!(["Default-Services-Monitor"])
    );
    assert_eq!(after["frequency"], "IMMEDIATE");
    assert!(
        !verdict
            .changes
            .iter()
            .any(|c| c.resource.kind == "ce-anomalymonitor")
    );
    assert!(
        verdict
            .notes
            .iter()
            .any(|n| n.contains("Default-Services-Monitor"))
    );
}

#[test]
fn cost_allocation_tags_are_activated_once_they_are_known() {
    let mut case = Case::new(USUAL);
    let tag = |active| CostTagFact {
        active,
        last_used: None,
    };
    case.inventory.money.cost_tags = Observed::Known(BTreeMap::from([
        ("project".to_owned(), tag(true)),
        ("team".to_owned(), tag(false)),
        ("other".to_owned(), tag(false)),
    ]));
    let verdict = case.run();
    let tags: Vec<&str> = verdict
        .changes
        .iter()
        .filter(|c| c.resource.kind == "ce-costallocationtag")
        .map(|c| c.resource.name.as_str())
        .collect();
    assert_eq!(tags, ["team"]);
    let unseen: Vec<&str> = verdict
        .findings
        .iter()
        .filter(|f| f.id == "budgets.cost-tag-unseen")
        .map(|f| f.address.as_str())
        .collect();
    assert_eq!(
        unseen,
        ["prod/global/ce-costallocationtag/environment#budgets"]
    );
    // A member account cannot, and says so.
    case.inventory.money.cost_tags = Observed::Absent;
    let verdict = case.run();
    assert!(
        verdict.notes.iter().any(|n| n.contains("activated there")),
        "{}",
        told(&verdict)
    );
    assert!(
        !verdict
            .changes
            .iter()
            .any(|c| c.resource.kind == "ce-costallocationtag")
    );
}

#[test]
fn a_member_account_is_not_asked_for_cost_allocation_tags() {
    let more = format!(
        "{USUAL}[environments.staging]\naccount = \"999999999999\"\nregions = [\"us-east-1\"]\nstage = \"stage-1\"\n[payer]\nenvironment = \"staging\"\n"
    );
    let case = Case::new(&more);
    assert!(!case.want().cost_tags);
    let verdict = case.run();
    assert!(
        verdict.notes.iter().any(|n| n.contains("that of staging")),
        "{}",
        told(&verdict)
    );
    // Its costs are its own: nothing has to be filtered.
    assert_eq!(
        change(&verdict, "budgets-budget", NAME).after["filters"],
        serde_json::json!({})
    );
}

#[test]
fn nobody_to_tell_and_nothing_to_spend_are_findings() {
    let verdict = Case::new("monthly_budget_usd = 5000\n").run();
    insta::assert_snapshot!(told(&verdict));
    let verdict = Case::new("notify = [\"mailto:ops@shop.example\"]\n").run();
    assert!(ids(&verdict).contains(&"budgets.no-limit"));
    assert!(
        !verdict
            .changes
            .iter()
            .any(|c| ["budgets-budget", "cloudwatch-alarm"].contains(&c.resource.kind.as_str())),
        "{}",
        told(&verdict)
    );
}

#[test]
fn more_targets_than_aws_takes_are_told() {
    let mut list: Vec<String> = (0..12)
        .map(|i| format!("\"mailto:m{i}@x.example\""))
        .collect();
    list.extend((0..6).map(|i| format!("\"sns:t{i}\"")));
    list.push(format!("\"sns:arn:aws:sns:eu-west-1:{ACCOUNT}:there\""));
    let more = format!("monthly_budget_usd = 50\nnotify = [{}]\n", list.join(", "));
    let case = Case::new(&more);
    let verdict = case.run();
    for id in [
        "budgets.one-topic",
        "budgets.many-addresses",
        "budgets.many-topics",
        "budgets.topic-region",
    ] {
        assert!(ids(&verdict).contains(&id), "{id}: {}", told(&verdict));
    }
    let told_of = &change(&verdict, "budgets-budget", NAME).after["notifications"]["actual GREATER_THAN 80 percent"];
    assert_eq!(told_of.as_array().unwrap().len(), 11);
    let again = case.carried_out().run();
    assert!(again.changes.is_empty(), "{}", told(&again));
}

#[test]
fn what_others_have_is_judged_and_never_changed() {
    let mut case = Case::new(USUAL).carried_out();
    let mut daily = theirs(9, 80);
    daily.budget.name = "daily".into();
    daily.budget.time_unit = "DAILY".into();
    let (mut key, told_of) = daily.budget.notifications.pop_first().unwrap();
    key.when = When::Forecast;
    daily.budget.notifications.insert(key.clone(), told_of);
    key.threshold = 90.into();
    daily.budget.notifications.insert(key, BTreeSet::new());
    let mut hiding = theirs(90, 100);
    hiding.budget.name = "hiding".into();
    hiding.budget.cost_types = CostTypes::default();
    hiding.unhealthy = Some("FILTER_INVALID".into());
    put(&mut case.inventory.money.budgets, daily);
    put(&mut case.inventory.money.budgets, hiding);
    let verdict = case.run();
    insta::assert_snapshot!(told(&verdict));
    assert!(verdict.changes.is_empty());
}

#[test]
fn over_and_unhealthy_budgets_of_ours_are_told() {
    let mut case = Case::new(USUAL).carried_out();
    if let Observed::Known(all) = &mut case.inventory.money.budgets {
        all[0].actual = Some("50.01".parse().unwrap());
        all[0].unhealthy = Some("BILLING_VIEW_UNHEALTHY".into());
    }
    let verdict = case.run();
    for id in ["budgets.over", "budgets.unhealthy"] {
        assert!(ids(&verdict).contains(&id), "{}", told(&verdict));
    }
}

#[test]
fn destroying_takes_what_is_ours_and_leaves_what_others_rest_on() {
    let mut case = Case::new(USUAL).carried_out();
    put(&mut case.inventory.money.budgets, theirs(50, 80));
    let mut longer = fact(theirs(1, 1).budget);
    longer.budget.name = format!("{NAME}-eu");
    longer.tags = Observed::Known(Tags::from([(
        MANAGED_TAG.to_owned(),
        "shop/prod-eu".to_owned(),
    )]));
    put(&mut case.inventory.money.budgets, longer);
    let arn = format!("arn:aws:sns:us-east-1:{ACCOUNT}:{NAME}");
    if let Some(Observed::Known(fact)) = case.inventory.topics.get_mut(&arn) {
        fact.topic
            .subscriptions
            .insert("email:someone@else.example".into());
    }
    case.destroy = true;
    insta::assert_snapshot!(told(&case.run()));
}

#[test]
fn what_the_policy_no_longer_wants_goes() {
    let split = "[budgets]\n[budgets.alert.early]\nat_percent = 80\nwhen = \"actual\"\n[budgets.split]\nby_tag = [\"team\"]\nshares = { team = { core = 50 } }\n[budgets.billing_alarm]\nenabled = true\n[budgets.anomaly]\nenabled = true\n";
    let mut case = Case::with(USUAL, Some(split)).carried_out();
    let without =
        "[budgets]\n[budgets.billing_alarm]\nenabled = false\n[budgets.anomaly]\nenabled = false\n";
    case.loaded = loaded(&workspace(USUAL), Some(without));
    insta::assert_snapshot!(told(&case.run()));
}

#[test]
fn mistakes_are_told_with_their_place() {
    for (more, policy, expected) in [
        (
            "notify = [\"sns:arn:aws:sns:eu-west-1:999999999999:x\"]",
            "",
            "belongs to the account 999999999999",
        ),
        (
            "notify = [\"sns:arn:aws:sqs:eu-west-1:123456789012:x\"]",
            "",
            "not the ARN of a topic",
        ),
        ("notify = [\"sns:a b\"]", "", "letters, digits"),
        (
            "",
            "[budgets.alert.a]\nat_percent = 80\nwhen = \"actual\"\n[budgets.alert.b]\nat_percent = \"80.0\"\nwhen = \"actual\"",
            "are the same to AWS",
        ),
        (
            "",
            "[budgets.anomaly]\nenabled = true\nminimum_impact_usd = -1",
            "0 or more",
        ),
        (
            "",
            "[budgets.split]\nby_tag = [\"team\"]\nshares = { team = { core = 0 } }",
            "must be above 0",
        ),
        ("", "[budgets]\nbeside_foriegn = true", "beside_foriegn"),
    ] {
        let loaded = loaded(&workspace(more), (!policy.is_empty()).then_some(policy));
        let hit = loaded
            .diagnostics
            .iter()
            .find(|d| d.message.contains(expected));
        let hit = hit.unwrap_or_else(|| panic!("{expected}: {:?}", loaded.diagnostics));
        assert!(hit.is_error() && hit.origin.is_some(), "{hit:?}");
    }
    let six: String = (1..=6)
        .map(|i| format!("[budgets.alert.a{i}]\nat_percent = {i}\nwhen = \"actual\"\n"))
        .collect();
    let loaded = loaded(&workspace(""), Some(&six));
    assert!(
        loaded
            .diagnostics
            .iter()
            .any(|d| d.message.contains("6 alerts")),
        "{:?}",
        loaded.diagnostics
    );
}

proptest! {
    /// Together the shares are the amount's share to the cent, and each is within a cent of its own.
    #[test]
    fn shares_add_up_to_the_cent(cents in 1i64..100_000_000, parts in prop::collection::vec(1u32..1000, 1..9), most in 10u32..=1000) {
        // Together at most the whole, and none is nothing.
        let parts_total: u32 = parts.iter().sum();
        let tenths: Vec<u32> = parts.iter().map(|p| (p * most / parts_total.max(most)).max(1)).collect();
        let total: u32 = tenths.iter().sum();
        let amount = Decimal::new(cents, 2);
        let percents: BTreeMap<String, Decimal> = tenths.iter().enumerate().map(|(i, t)| (format!("t{i}"), Decimal::new(i64::from(*t), 1))).collect();
        let shares = shares(amount, &percents);
        let sum: Decimal = shares.values().sum();
        prop_assert_eq!(sum, (amount * Decimal::new(i64::from(total), 1) / Decimal::from(100)).round_dp(2));
        for (name, share) in &shares {
            prop_assert_eq!(*share, share.round_dp(2));
            let exact = amount * percents[name] / Decimal::from(100);
            prop_assert!((*share - exact).abs() <= Decimal::new(1, 2), "{}: {} of {}", name, share, exact);
        }
    }
}
