use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::date;
use rust_decimal::Decimal;

use super::*;
use crate::config::Loaded;
use crate::config::load::SHIPPED;
use crate::inventory::{Attributes, EnvironmentInventory, RegionFacts, TopicFact};
use crate::model::object::{AlarmMetric, QueryKind, Topic};
use crate::plan::Operation;
use crate::sandbox::objects::alarm_limits::refuses;

const WORKSPACE: &str = r#"
[project]
name = "shop"
team = "core"

[environments.prod]
account = "123456789012"
regions = ["eu-west-1", "us-east-1"]
stage = "stage-1"
monthly_budget_usd = 50
notify = { page = ["sns:pager"], ticket = ["mailto:ops@shop.example"], info = [] }
"#;

/// The policy on top of `[alarms]` with the prefix.
fn resolved_of(policy: &str, workspace: &str) -> Result<Resolved, Vec<String>> {
    let dir = tempfile::TempDir::new().unwrap();
    let policy = format!("[alarms]\nprefix = \"{{project.name}}-{{environment.name}}-\"\n{policy}");
    let stage = r#"
[stage]
name = "stage-1"
title = "t"
users = { from = 0, to = 1_000 }
monthly_cost_usd = { from = 20, to = 100 }
policies = ["alarms"]
"#;
    for (path, text) in SHIPPED.into_iter().chain([
        ("opsctl.toml", workspace),
        ("policies/alarms.toml", policy.as_str()),
        ("stacks/stage-1.toml", stage),
    ]) {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let mut loaded = Loaded::read(Some(dir.path()));
    loaded.check_all();
    let told: Vec<String> = loaded
        .diagnostics
        .iter()
        .filter(|d| d.is_error())
        .map(|d| d.message.clone())
        .collect();
    if !told.is_empty() {
        return Err(told);
    }
    Ok(loaded.resolve(Some("prod"), "stage-1").unwrap())
}

fn resolved(policy: &str) -> Resolved {
    resolved_of(policy, WORKSPACE).unwrap_or_else(|e| panic!("{e:#?}"))
}

fn errors(policy: &str) -> String {
    match resolved_of(policy, WORKSPACE) {
        Ok(_) => String::new(),
        Err(told) => told.join("\n"),
    }
}

fn inventory() -> EnvironmentInventory {
    let mut out = EnvironmentInventory {
        environment: "prod".into(),
        account: "123456789012".into(),
        regions: vec!["eu-west-1".into(), "us-east-1".into()],
        types_checked: ResourceType::LISTED
            .iter()
            .map(|k| k.as_str().to_owned())
            .collect(),
        ..EnvironmentInventory::default()
    };
    for region in ["eu-west-1", "us-east-1"] {
        out.alarms
            .insert(region.into(), Observed::Known(Vec::new()));
        out.region_facts.insert(
            region.into(),
            RegionFacts {
                lambda_concurrency: Observed::Known(1_000),
                metrics: ["AWS/ApplicationELB", "AWS/ApiGateway", "AWS/S3"]
                    .map(|ns| (ns.to_owned(), Observed::Known(BTreeSet::new())))
                    .into(),
            },
        );
        for topic in ["pager", "opsctl-shop-prod"] {
            let arn = format!("arn:aws:sns:{region}:123456789012:{topic}");
            out.topics.insert(arn, Observed::Absent);
        }
    }
    out
}

fn add(inventory: &mut EnvironmentInventory, arn: &str, attributes: Attributes) {
    let parsed = crate::model::Arn::parse(arn).unwrap();
    let (kind, name) = parsed.classify();
    inventory.resources.push(Resource {
        arn: arn.into(),
        kind,
        name: name.into(),
        region: parsed.region.into(),
        tags: Observed::Known(Tags::new()),
    });
    inventory.attributes.insert(arn.into(), attributes);
}

const DB: &str = "arn:aws:rds:eu-west-1:123456789012:db:orders";

fn database() -> Attributes {
    Attributes {
        class: Some("db.r6g.large".into()),
        engine: Some("postgres".into()),
        allocated_storage: Some(100 * 1024 * 1024 * 1024),
        storage_type: Some("gp3".into()),
        ..Attributes::default()
    }
}

fn run(resolved: &Resolved, inventory: &EnvironmentInventory, destroy: bool) -> Verdict {
    run_only(resolved, inventory, destroy, None)
}

fn run_only(
    resolved: &Resolved,
    inventory: &EnvironmentInventory,
    destroy: bool,
    only: Option<&str>,
) -> Verdict {
    let only = only.map(|g| globset::Glob::new(g).unwrap().compile_matcher());
    plan(&Input {
        resolved,
        inventory,
        today: date(2026, 11, 22),
        only: only.as_ref(),
        destroy,
        controls: &[Control::Alarms],
    })
}

/// What the changes would make of the alarms and topics.
fn applied(inventory: &EnvironmentInventory, verdict: &Verdict) -> EnvironmentInventory {
    let mut out = inventory.clone();
    for change in &verdict.changes {
        let Operation::Object { after, tags, .. } = &change.operation else {
            panic!("{:?}", change.operation);
        };
        let region = change.resource.region.clone();
        if let Some(Object::Topic(topic)) = after.as_deref() {
            let tags = match out.topics.get(&change.resource.arn) {
                Some(Observed::Known(held)) => held.tags.clone(),
                _ => Observed::Known(tags.clone()),
            };
            let fact = TopicFact {
                arn: change.resource.arn.clone(),
                topic: topic.clone(),
                tags,
                kms_key: None,
                unread: None,
                confirmed: topic.subscriptions.clone(),
                pending: BTreeSet::new(),
            };
            out.topics
                .insert(change.resource.arn.clone(), Observed::Known(fact));
            continue;
        }
        let Some(Observed::Known(facts)) = out.alarms.get_mut(&region) else {
            panic!("{region} was not seen");
        };
        let old = facts.iter().position(|f| f.arn == change.resource.arn);
        let held = old.map(|i| facts.remove(i));
        let definition = match after.as_deref() {
            None => continue,
            Some(Object::MetricAlarm(alarm)) => AlarmDefinition::Metric(alarm.clone()),
            Some(Object::CompositeAlarm(alarm)) => AlarmDefinition::Composite(alarm.clone()),
            Some(other) => panic!("{other:?}"),
        };
        facts.push(AlarmFact {
            arn: change.resource.arn.clone(),
            definition,
            state: "OK".into(),
            state_reason: String::new(),
            state_since: None,
            tags: held.map_or(Observed::Known(tags.clone()), |f| f.tags),
        });
    }
    out
}

fn alarms(verdict: &Verdict) -> BTreeMap<String, Object> {
    verdict
        .changes
        .iter()
        .filter_map(|c| match &c.operation {
            Operation::Object {
                after: Some(after), ..
            } if !matches!(**after, Object::Topic(_)) => Some((
                format!("{}/{}", after.region(), after.name()),
                (**after).clone(),
            )),
            _ => None,
        })
        .collect()
}

fn metric_alarm<'a>(alarms: &'a BTreeMap<String, Object>, name: &str) -> &'a MetricAlarm {
    match alarms.get(name) {
        Some(Object::MetricAlarm(alarm)) => alarm,
        _ => panic!("no {name} among {:#?}", alarms.keys()),
    }
}

fn expression(alarm: &MetricAlarm) -> &str {
    let AlarmMetric::Math(queries) = &alarm.metric else {
        panic!("{:?}", alarm.metric)
    };
    queries
        .iter()
        .find_map(|q| match &q.kind {
            QueryKind::Expression { expression, .. } => Some(expression.as_str()),
            QueryKind::Metric { .. } => None,
        })
        .unwrap()
}

const RATE: &str = r#"
packs = ["business"]
[alarms.business.failures]
failed = { namespace = "Shop", metric = "Failed" }
total = { namespace = "Shop", metric = "Total" }
above_percent = "0.5"
minimum_total = 100
no_data_after = "15m"
"#;

#[test]
fn a_failure_rate_and_its_dead_man() {
    let verdict = run(&resolved(RATE), &inventory(), false);
    let all = alarms(&verdict);
    insta::assert_snapshot!("failure_rate", serde_json::to_string_pretty(&all).unwrap());
    let twin = metric_alarm(&all, "eu-west-1/shop-prod-failures-no-data");
    assert!(matches!(&twin.metric, AlarmMetric::Single { statistic, .. } if statistic == "Sum"));
    assert_eq!(
        (twin.treat_missing_data.as_str(), twin.evaluation_periods),
        ("breaching", 15)
    );
    let rate = metric_alarm(&all, "eu-west-1/shop-prod-failures");
    assert_eq!(
        expression(rate),
        "IF(total >= 100, 100 * FILL(failed, 0) / total, 0)"
    );
    // Two metrics and one: 0.30 USD.
    let total: Decimal = crate::plan::total_delta(&verdict.changes);
    assert_eq!(total, Decimal::new(30, 2));
    assert!(
        verdict.notes.iter().any(|n| n.contains("0.30 USD")),
        "{:?}",
        verdict.notes
    );
    assert!(
        verdict
            .notes
            .iter()
            .any(|n| n.contains("Shop Failed, Shop Total"))
    );
}

#[test]
fn the_other_forms() {
    let policy = r#"
packs = ["business"]
[alarms.business.slow]
metric = { namespace = "Shop", metric = "Milliseconds", statistic = "p99" }
above = 800
severity = "ticket"
[alarms.business.few-orders]
metric = { namespace = "Shop", metric = "Orders", statistic = "Sum", dimensions = { Site = "de" } }
below = 5
period = "5m"
datapoints = "3 of 3"
region = "us-east-1"
[alarms.business.unusual]
metric = { namespace = "Shop", metric = "Orders", statistic = "Sum" }
anomaly = true
severity = "info"
"#;
    let verdict = run(&resolved(policy), &inventory(), false);
    let all = alarms(&verdict);
    insta::assert_snapshot!("other_forms", serde_json::to_string_pretty(&all).unwrap());
    for alarm in all.values() {
        assert_eq!(refuses(alarm), None, "{alarm:?}");
    }
    assert!(
        verdict
            .notes
            .iter()
            .any(|n| n.contains("notify.info of prod is empty, so 1 alarm tells nobody")),
        "{:?}",
        verdict.notes
    );
}

const SLO: &str = r#"
packs = ["business"]
[alarms.slo.checkout]
good = { namespace = "Shop", metric = "Good" }
total = { namespace = "Shop", metric = "Total" }
objective_percent = "99.9"
window = "30d"
"#;

/// The Site Reliability Workbook, chapter 5, table 5-8: for 99.9 % and 30 days.
#[test]
fn burn_rates_are_those_of_the_workbook() {
    let month = 30 * 86_400;
    let objective = Decimal::new(999, 1);
    let told: Vec<_> = burn::SPEEDS
        .iter()
        .map(|s| {
            assert_eq!(s.long, 12 * s.short, "the short window is a twelfth");
            (
                s.long,
                s.short,
                burn::factor(s, month).normalize().to_string(),
                burn::threshold_percent(s, month, objective).to_string(),
            )
        })
        .collect();
    let is = |long, short, factor: &str, threshold: &str| {
        (long, short, factor.to_owned(), threshold.to_owned())
    };
    assert_eq!(
        told,
        [
            is(3_600, 300, "14.4", "1.44"),
            is(21_600, 1_800, "6", "0.6"),
            is(259_200, 21_600, "1", "0.1"),
        ]
    );
    // 2 % of 28 days within an hour.
    assert_eq!(
        burn::factor(&burn::SPEEDS[0], 28 * 86_400),
        Decimal::new(1344, 2)
    );
}

#[test]
fn only_composites_of_an_slo_notify() {
    let verdict = run(&resolved(SLO), &inventory(), false);
    let all = alarms(&verdict);
    insta::assert_snapshot!("slo", serde_json::to_string_pretty(&all).unwrap());
    let (mut composites, mut children) = (0, 0);
    for alarm in all.values() {
        assert_eq!(refuses(alarm), None);
        match alarm {
            Object::CompositeAlarm(c) => {
                composites += 1;
                assert_eq!(c.children.len(), 2);
                for child in &c.children {
                    assert!(all.contains_key(&format!("eu-west-1/{child}")));
                    assert!(c.rule.contains(&format!("ALARM(\"{child}\")")));
                }
                assert!(!c.alarm_actions.is_empty());
            }
            Object::MetricAlarm(a) => {
                children += 1;
                assert_eq!(a.actions().count(), 0, "{}", a.name);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((composites, children), (3, 6));
}

#[test]
fn thresholds_are_derived_and_show_their_arithmetic() {
    let policy = r#"
packs = ["database", "serverless", "queue", "cache"]
[alarms.tune.rds-cpu]
threshold = 75
severity = "page"
[alarms.tune.lambda-throttles]
enabled = false
"#;
    let mut seen = inventory();
    add(&mut seen, DB, database());
    add(
        &mut seen,
        "arn:aws:rds:eu-west-1:123456789012:db:replica",
        Attributes {
            replica_of: Some("orders".into()),
            storage_type: Some("gp2".into()),
            ..database()
        },
    );
    add(
        &mut seen,
        "arn:aws:lambda:eu-west-1:123456789012:function:pay",
        Attributes {
            timeout: Some(30),
            event_sources: Observed::Known(BTreeSet::from([
                "arn:aws:kinesis:eu-west-1:123456789012:stream/in".to_owned(),
            ])),
            ..Attributes::default()
        },
    );
    let dlq = "arn:aws:sqs:eu-west-1:123456789012:jobs-dead";
    add(
        &mut seen,
        "arn:aws:sqs:eu-west-1:123456789012:jobs",
        Attributes {
            dead_letter_queue: Observed::Known(dlq.into()),
            ..Attributes::default()
        },
    );
    add(
        &mut seen,
        dlq,
        Attributes {
            dead_letter_queue: Observed::Absent,
            ..Attributes::default()
        },
    );
    add(
        &mut seen,
        "arn:aws:elasticache:eu-west-1:123456789012:cluster:mem",
        Attributes {
            class: Some("cache.m6g.large".into()),
            engine: Some("memcached".into()),
            nodes: BTreeSet::from(["0001".into(), "0002".into()]),
            ..Attributes::default()
        },
    );
    let verdict = run(&resolved(policy), &seen, false);
    let all = alarms(&verdict);
    let told: BTreeMap<&String, String> = all
        .iter()
        .map(|(name, alarm)| {
            let Object::MetricAlarm(a) = alarm else {
                panic!("{name}")
            };
            (
                name,
                format!("{} | {}", a.threshold.unwrap(), a.description),
            )
        })
        .collect();
    insta::assert_snapshot!("packs", serde_json::to_string_pretty(&told).unwrap());
    for alarm in all.values() {
        assert_eq!(refuses(alarm), None, "{alarm:?}");
    }
}

#[test]
fn what_was_not_seen_is_neither_planned_nor_removed() {
    let policy = resolved("packs = [\"database\"]\n");
    let mut seen = inventory();
    add(&mut seen, DB, database());
    let made = applied(&seen, &run(&policy, &seen, false));
    assert!(run(&policy, &made, false).changes.is_empty());

    let mut blind = made.clone();
    blind.attributes.clear();
    let verdict = run(&policy, &blind, false);
    assert!(verdict.changes.is_empty(), "{:?}", verdict.changes);
    assert_eq!(verdict.counts.unobserved, 7);

    // The instances could not be listed: their alarms stay.
    let mut blind = made.clone();
    blind.resources.clear();
    blind.types_checked.remove("rds-instance");
    let verdict = run(&policy, &blind, false);
    assert!(verdict.changes.is_empty(), "{:?}", verdict.changes);
    assert!(verdict.counts.unobserved > 0);

    // They were listed, and it is gone.
    let mut gone = made.clone();
    gone.resources.clear();
    let deletes = run(&policy, &gone, false).changes;
    assert!(!deletes.is_empty() && deletes.iter().all(|c| c.action == ActionKind::Delete));

    let mut blind = made.clone();
    let unknown = Observed::Unknown("denied".into());
    blind.alarms.insert("eu-west-1".into(), unknown);
    let verdict = run(&policy, &blind, false);
    assert!(verdict.changes.is_empty(), "{:?}", verdict.changes);

    let mut blind = made;
    if let Some(Observed::Known(facts)) = blind.alarms.get_mut("eu-west-1") {
        for fact in facts {
            fact.tags = Observed::Unknown("denied".into());
            if let AlarmDefinition::Metric(alarm) = &mut fact.definition {
                alarm.threshold = Some(1.into());
            }
        }
    }
    let verdict = run(&policy, &blind, false);
    assert!(verdict.changes.is_empty(), "{:?}", verdict.changes);
}

#[test]
fn a_silent_load_balancer_keeps_its_alarms() {
    let policy = resolved("packs = [\"web\"]\n");
    let mut seen = inventory();
    let metric = crate::model::object::MetricId {
        namespace: "AWS/ApplicationELB".into(),
        metric: "RequestCount".into(),
        dimensions: BTreeMap::from([("LoadBalancer".into(), "app/shop/1".into())]),
    };
    if let Some(facts) = seen.region_facts.get_mut("eu-west-1") {
        facts.metrics.insert(
            "AWS/ApplicationELB".into(),
            Observed::Known(BTreeSet::from([metric])),
        );
    }
    let verdict = run(&policy, &seen, false);
    let names: Vec<_> = alarms(&verdict).into_keys().collect();
    assert_eq!(
        names,
        [
            "eu-west-1/shop-prod-alb-5xx-shop",
            "eu-west-1/shop-prod-alb-latency-shop",
            "eu-west-1/shop-prod-alb-own-5xx-shop"
        ]
    );
    let mut silent = applied(&seen, &verdict);
    silent.region_facts = inventory().region_facts;
    let verdict = run(&policy, &silent, false);
    assert!(verdict.changes.is_empty());
    assert!(
        verdict
            .notes
            .iter()
            .any(|n| n.contains("may only be silent")),
        "{:?}",
        verdict.notes
    );
    // Without the pack nothing speaks for them.
    let off = run(&resolved("packs = []\n"), &silent, false);
    assert_eq!(off.changes.len(), 3);
}

#[test]
fn foreign_alarms_are_conflicts_or_left_alone() {
    let policy = resolved(RATE);
    let seen = inventory();
    let made = applied(&seen, &run(&policy, &seen, false));
    for tags in [
        Tags::new(),
        Tags::from([(MANAGED_TAG.to_owned(), "shop/staging".to_owned())]),
    ] {
        let mut taken = made.clone();
        if let Some(Observed::Known(facts)) = taken.alarms.get_mut("eu-west-1") {
            for fact in facts {
                fact.tags = Observed::Known(tags.clone());
                if let AlarmDefinition::Metric(alarm) = &mut fact.definition {
                    alarm.threshold = Some(77.into());
                }
            }
        }
        for destroy in [false, true] {
            let verdict = run(&policy, &taken, destroy);
            assert!(verdict.changes.is_empty(), "{:?}", verdict.changes);
            let conflicts = verdict
                .findings
                .iter()
                .filter(|f| f.id == "alarms.conflict");
            assert_eq!(conflicts.count(), if destroy { 0 } else { 2 });
        }
    }
    // What is ours goes with the policy entry, and with destroy.
    for (policy, destroy) in [
        (resolved("packs = [\"business\"]\n"), false),
        (policy, true),
    ] {
        let verdict = run(&policy, &made, destroy);
        assert_eq!(verdict.changes.len(), 2);
        assert!(
            verdict
                .changes
                .iter()
                .all(|c| c.action == ActionKind::Delete)
        );
    }
}

/// A composite of ours never rests on an alarm of somebody else.
#[test]
fn a_composite_needs_children_of_ours() {
    let policy = resolved(SLO);
    let seen = inventory();
    let mut made = applied(&seen, &run(&policy, &seen, false));
    if let Some(Observed::Known(facts)) = made.alarms.get_mut("eu-west-1") {
        facts.retain(|f| !matches!(f.definition, AlarmDefinition::Composite(_)));
        for fact in facts.iter_mut() {
            match fact.definition.name() {
                "shop-prod-slo-checkout-fast-long" => fact.tags = Observed::Known(Tags::new()),
                "shop-prod-slo-checkout-slow-short" => {
                    fact.tags = Observed::Unknown("denied".into());
                }
                _ => {}
            }
        }
    }
    let verdict = run(&policy, &made, false);
    let names: Vec<_> = alarms(&verdict).into_keys().collect();
    assert_eq!(names, ["eu-west-1/shop-prod-slo-checkout-trickle"]);
    let conflicts = verdict
        .findings
        .iter()
        .filter(|f| f.id == "alarms.conflict");
    assert_eq!(conflicts.count(), 2);
    assert_eq!(verdict.counts.unobserved, 2);
}

#[test]
fn fields_that_are_newer_than_opsctl_make_a_difference_on_ours_only() {
    let policy = resolved(RATE);
    let mut made = applied(&inventory(), &run(&policy, &inventory(), false));
    if let Some(Observed::Known(facts)) = made.alarms.get_mut("eu-west-1")
        && let AlarmDefinition::Metric(alarm) = &mut facts[0].definition
    {
        alarm
            .extra
            .insert("WarmUpConfiguration".into(), "15".into());
    }
    let verdict = run(&policy, &made, false);
    assert_eq!(verdict.changes.len(), 1);
    assert_eq!(
        verdict.changes[0].fields[0].field,
        "beyond: WarmUpConfiguration"
    );
}

#[test]
fn mails_become_subscriptions_and_topics_are_shared() {
    let policy = resolved(&RATE.replace(
        "[alarms.business.failures]",
        "[alarms.business.failures]\nseverity = \"ticket\"",
    ));
    let verdict = run(&policy, &inventory(), false);
    let topics: Vec<&Topic> = verdict
        .changes
        .iter()
        .filter_map(|c| match &c.operation {
            Operation::Object { after: Some(a), .. } => match &**a {
                Object::Topic(topic) => Some(topic),
                _ => None,
            },
            _ => None,
        })
        .collect();
    let [topic] = topics.as_slice() else {
        panic!("{topics:?}")
    };
    assert_eq!(topic.name, "opsctl-shop-prod");
    assert_eq!(
        topic.subscriptions,
        BTreeSet::from(["email:ops@shop.example".to_owned()])
    );
    let text = topic.policy.as_deref().unwrap();
    assert!(text.contains("cloudwatch.amazonaws.com") && text.contains("123456789012"));
    // Tickets are not repeated when they end.
    let all = alarms(&verdict);
    let alarm = metric_alarm(&all, "eu-west-1/shop-prod-failures");
    assert_eq!((alarm.alarm_actions.len(), alarm.ok_actions.len()), (1, 0));
    let made = applied(&inventory(), &verdict);
    assert!(run(&policy, &made, false).changes.is_empty());
}

#[test]
fn mistakes_are_told() {
    let business = |keys: &str| {
        format!("[alarms.business.x]\nmetric = {{ namespace = \"S\", metric = \"M\" }}\n{keys}\n")
    };
    let rate = |keys: &str| {
        format!(
            "[alarms.business.x]\nfailed = {{ namespace = \"S\", metric = \"F\" }}\ntotal = {{ namespace = \"S\", metric = \"T\" }}\n{keys}\n"
        )
    };
    let slo = |objective: &str, window: &str| {
        format!(
            "[alarms.slo.x]\ngood = {{ namespace = \"S\", metric = \"G\" }}\ntotal = {{ namespace = \"S\", metric = \"T\" }}\nobjective_percent = \"{objective}\"\nwindow = \"{window}\"\n"
        )
    };
    for (policy, needle) in [
        (business(""), "has no threshold"),
        (business("above = 1\nbelow = 2"), "exclude each other"),
        (business("above_percent = 1"), "share of `failed` in `total`"),
        (business("above = 1\nperiod = \"45s\""), "no period of 45 s"),
        (business("above = 1\nperiod = \"10m\"\ndatapoints = \"1 of 200\""), "look at 120000 s"),
        (business("above = 1\nperiod = \"1h\"\ndatapoints = \"1 of 169\""), "7 days"),
        (business("above = 1\nno_data_after = \"2m\""), "at least three periods"),
        (business("above = 1\nregion = \"Ireland\""), "not a region"),
        (business("above = 1").replace("\"M\"", "\"M\", statistic = \"average\""), "not a statistic"),
        (rate("above_percent = 100"), "could never fire"),
        (rate("above_percent = -1"), "not a percentage"),
        (rate("above = 3"), "takes above_percent"),
        (slo("100", "30d"), "below 100 percent"),
        (slo("90", "30d"), "could never fire"),
        (slo("99.9", "2d"), "7 to 90 days"),
        ("[alarms.tune.rds-cpi]\nthreshold = 1\n".to_owned(), "no pack has an alarm `rds-cpi`"),
        ("[alarms.tune.rds-cpu]\nthreshold = 120\n".to_owned(), "could never fire"),
        ("[alarms.per_resource.x]\nfor = \"lambda\"\nmetric = \"Errors\"\nabove = 1\n".to_owned(), "not known"),
        ("[alarms.per_resource.x]\nfor = \"lambda-function\"\nmetric = \"Errors\"\nabove_percent = 1\n".to_owned(), "for two metrics"),
        (format!("[alarms.business.{}]\nmetric = {{ namespace = \"S\", metric = \"M\" }}\nabove = 1\n", "n".repeat(250)), "CloudWatch allows 255"),
        ("[alarms.business.\"a b\"]\nmetric = { namespace = \"S\", metric = \"M\" }\nabove = 1\n".to_owned(), "letters, digits"),
    ] {
        let told = errors(&policy);
        assert!(told.contains(needle), "{policy}\n→ {told}");
    }
}

#[test]
fn per_resource_alarms_narrow_by_match_and_ignore() {
    let policy = resolved(
        "[alarms.per_resource.errors]\nfor = \"lambda-function\"\nmatch = { name = \"pay*\" }\nmetric = \"Errors / Invocations\"\nabove_percent = 1\n",
    );
    let mut seen = inventory();
    for name in ["pay-in", "pay-out", "mail"] {
        let arn = format!("arn:aws:lambda:eu-west-1:123456789012:function:{name}");
        add(&mut seen, &arn, Attributes::default());
    }
    seen.resources[1].tags = Observed::Known(Tags::from([("opsctl:ignore".into(), "x".into())]));
    let verdict = run(&policy, &seen, false);
    let names: Vec<_> = alarms(&verdict).into_keys().collect();
    assert_eq!(names, ["eu-west-1/shop-prod-errors-pay-in"]);
    assert_eq!(verdict.counts.ignored, 1);
}

/// A copy of a drill is gone in an hour or two: alarms on it would only wake somebody.
#[test]
fn copies_of_restore_drills_have_no_alarms() {
    let policy = resolved(
        "[alarms.per_resource.busy]\nfor = \"rds-instance\"\nmetric = \"CPUUtilization\"\nabove = 90\n",
    );
    let mut seen = inventory();
    for name in ["orders", "drill-orders-1"] {
        let arn = format!("arn:aws:rds:eu-west-1:123456789012:db:{name}");
        add(&mut seen, &arn, Attributes::default());
    }
    let copy = seen.resources.iter_mut().find(|r| r.name != "orders");
    let tags = ["opsctl:drill", "opsctl:drill-source", "opsctl:drill-intent"];
    copy.unwrap().tags = Observed::Known(tags.map(|t| (t.to_owned(), "run".to_owned())).into());
    let verdict = run(&policy, &seen, false);
    let names: Vec<_> = alarms(&verdict).into_keys().collect();
    assert_eq!(names, ["eu-west-1/shop-prod-busy-orders"]);
}

#[test]
fn five_thousand_alarms_are_planned_quickly() {
    let policy = resolved("packs = [\"serverless\"]\n");
    let mut seen = inventory();
    for n in 0..1_700 {
        let arn = format!("arn:aws:lambda:eu-west-1:123456789012:function:f{n}");
        let attributes = Attributes {
            timeout: Some(30),
            event_sources: Observed::Absent,
            ..Attributes::default()
        };
        add(&mut seen, &arn, attributes);
    }
    let verdict = run(&policy, &seen, false);
    let made = applied(&seen, &verdict);
    assert_eq!(alarms(&verdict).len(), 3 * 1_700 + 1);
    assert!(run(&policy, &made, false).changes.is_empty());
}

const SLO_AND_DATABASE: &str = r#"
packs = ["business", "database"]
[alarms.slo.checkout]
good = { namespace = "Shop", metric = "Good" }
total = { namespace = "Shop", metric = "All" }
objective_percent = "99.9"
window = "30d"
"#;

/// Region and name of every change but those of topics.
fn touched(verdict: &Verdict) -> BTreeSet<String> {
    let changes = verdict.changes.iter();
    let alarms = changes.filter(|c| c.resource.kind != "sns-topic");
    alarms
        .map(|c| format!("{}/{}", c.resource.region, c.resource.name))
        .collect()
}

#[test]
fn a_run_that_was_narrowed_to_a_region_leaves_the_alarms_of_others() {
    let resolved = resolved(SLO_AND_DATABASE);
    let mut seen = inventory();
    add(&mut seen, DB, database());
    let seen = applied(&seen, &run(&resolved, &seen, false));
    assert!(run(&resolved, &seen, false).changes.is_empty());
    // Nothing of eu-west-1 was looked at, but for its alarms.
    let mut narrowed = seen.clone();
    narrowed.regions = vec!["us-east-1".into()];
    narrowed.resources.clear();
    let verdict = run(&resolved, &narrowed, false);
    assert_eq!(touched(&verdict), BTreeSet::new());
    let verdict = run(&resolved, &narrowed, true);
    assert_eq!(touched(&verdict), BTreeSet::new());
}

#[test]
fn a_target_brings_what_it_rests_on() {
    let resolved = resolved(SLO_AND_DATABASE);
    let seen = inventory();
    let one = "prod/eu-west-1/cloudwatch-alarm/shop-prod-slo-checkout-fast#alarms";
    let verdict = run_only(&resolved, &seen, false, Some(one));
    let base = "eu-west-1/shop-prod-slo-checkout-fast";
    assert_eq!(
        touched(&verdict),
        ["", "-long", "-short"]
            .map(|end| format!("{base}{end}"))
            .into()
    );
    let topics = |verdict: &Verdict| -> Vec<String> {
        let changes = verdict.changes.iter();
        let topics = changes.filter(|c| c.resource.kind == "sns-topic");
        topics.map(|c| c.resource.arn.clone()).collect()
    };
    assert_eq!(
        topics(&verdict),
        ["arn:aws:sns:eu-west-1:123456789012:pager"]
    );
    // A topic can be named by itself.
    let verdict = run_only(&resolved, &seen, false, Some("*/sns-topic/pager#*"));
    assert_eq!(touched(&verdict), BTreeSet::new());
    assert_eq!(
        topics(&verdict),
        ["arn:aws:sns:eu-west-1:123456789012:pager"]
    );
}

#[test]
fn the_short_window_of_a_small_service_can_fire_too() {
    let resolved = resolved(SLO_AND_DATABASE);
    let verdict = run(&resolved, &inventory(), false);
    let made = alarms(&verdict);
    let expression = |name: &str| match &made[&format!("eu-west-1/shop-prod-slo-checkout-{name}")] {
        Object::MetricAlarm(alarm) => match &alarm.metric {
            AlarmMetric::Math(queries) => queries
                .iter()
                .find_map(|q| match &q.kind {
                    QueryKind::Expression { expression, .. } => Some(expression.clone()),
                    QueryKind::Metric { .. } => None,
                })
                .unwrap(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    assert!(expression("fast-long").starts_with("IF(total >= 10,"));
    assert!(expression("fast-short").starts_with("IF(total >= 1,"));
}

#[test]
fn what_could_never_fire_or_never_converge_is_refused() {
    let business = |text: &str| format!("packs = [\"business\"]\n[alarms.business.x]\n{text}\n");
    let share = |failed: &str| {
        business(&format!(
            "failed = {{ namespace = \"S\", {failed} }}\ntotal = {{ namespace = \"S\", metric = \"All\" }}\nabove_percent = 1"
        ))
    };
    let one = |rest: &str| {
        business(&format!(
            "metric = {{ namespace = \"S\", metric = \"L\" }}\n{rest}"
        ))
    };
    for (policy, told) in [
        (share("metric = \"All\""), "their share never changes"),
        (
            share("metric = \"Bad\", statistic = \"p99\""),
            "`p99` is no count",
        ),
        (
            one("above = \"0.1234567890123456\""),
            "keeps 15 digits of a threshold",
        ),
        (
            "packs = [\"database\"]\n[alarms.per_resource.x]\nfor = \"rds-instance\"\nmetric = \"A / A\"\nabove_percent = 1\n".to_owned(),
            "in itself never changes",
        ),
        (
            business("metric = { namespace = \":S\", metric = \"L\" }\nabove = 1"),
            "does not begin with a colon",
        ),
    ] {
        let found = errors(&policy);
        assert!(found.contains(told), "{policy}: {found}");
    }
    assert_eq!(errors(&one("above = \"0.123456789012345\"")), "");
}

#[test]
fn tuning_that_changes_nothing_is_told() {
    let resolved = resolved("packs = [\"database\"]\n[alarms.tune.cache-cpu]\nthreshold = 80\n");
    let verdict = run(&resolved, &inventory(), false);
    let told = |n: &String| n.contains("[alarms.tune.cache-cpu] changes nothing in prod");
    assert!(verdict.notes.iter().any(told), "{:#?}", verdict.notes);
}

#[test]
fn a_topic_goes_with_the_alarms_that_hold_it() {
    let resolved = resolved(SLO_AND_DATABASE);
    let seen = applied(&inventory(), &run(&resolved, &inventory(), false));
    let Some(Observed::Known(facts)) = seen.alarms.get("eu-west-1") else {
        panic!()
    };
    assert!(!facts.is_empty());
    let input = |controls, destroy| Input {
        resolved: &resolved,
        inventory: &seen,
        today: date(2026, 11, 22),
        only: None,
        destroy,
        controls,
    };
    let both: &[Control] = &[Control::Alarms, Control::Budgets];
    let all = |input: &Input| facts.iter().all(|f| leaves(input, f));
    let none = |input: &Input| !facts.iter().any(|f| leaves(input, f));
    assert!(all(&input(both, true)));
    assert!(none(&input(both, false)));
    assert!(none(&input(&[Control::Budgets], true)));
    // One of another environment that begins with the same letters stays, and so does its topic.
    let mut other = facts[0].clone();
    let tag = (MANAGED_TAG.to_owned(), "shop/prod-eu".to_owned());
    other.tags = Observed::Known(Tags::from([tag]));
    assert!(!leaves(&input(both, true), &other));
    other.tags = Observed::Unknown("denied".to_owned());
    assert!(!leaves(&input(both, true), &other));
}
