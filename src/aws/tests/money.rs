//! What no emulator answers: budgets of other forms, races, refusals, and pages that are billed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};

use rust_decimal::Decimal;

use super::super::{objects, observe::observe};
use super::*;
use crate::cloud::{Call, CloudError, ObjectReading, Want};
use crate::inventory::{BudgetFact, EnvironmentInventory, Observed};
use crate::model::Control;
use crate::model::object::{
    AnomalyMonitor, AnomalySubscription, Budget, CostTypes, Money, MonitorScope, NotificationKey,
    ObjectKey, ObjectKind, Subscriber, ThresholdUnit, When,
};

fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(future)
}

fn see(replay: &Replay, want: Want) -> (EnvironmentInventory, String) {
    block(async {
        let session = replay.session(&["eu-west-1"]);
        let seen = observe(&session, &want).await;
        (seen, session.shared.meter.snapshot().cost_usd)
    })
}

fn do_it(replay: &Replay, call: &Call) -> Result<(), CloudError> {
    block(async {
        let session = replay.session(&["eu-west-1"]);
        let region = session.region(call.region()).await;
        objects::execute(&session, &region, call).await
    })
}

fn look(replay: &Replay, kind: ObjectKind, region: &str, name: &str) -> Observed<ObjectReading> {
    let key = ObjectKey {
        kind,
        region: region.to_owned(),
        name: name.to_owned(),
    };
    block(async { objects::read(&replay.session(&["eu-west-1"]), &key).await })
}

fn decimal(text: &str) -> Decimal {
    Decimal::from_str_exact(text).unwrap()
}

fn all() -> Want {
    Want {
        budgets: true,
        anomaly: true,
        cost_tags: true,
        billing_metric: true,
        ..Want::default()
    }
}

fn budgets() -> Want {
    Want {
        budgets: true,
        ..Want::default()
    }
}

const TYPES: &str = r#""CostTypes":{"IncludeTax":true,"IncludeSubscription":true,"UseBlended":false,
    "IncludeRefund":true,"IncludeCredit":false,"IncludeUpfront":true,"IncludeRecurring":true,
    "IncludeOtherSubscription":true,"IncludeSupport":true,"IncludeDiscount":true,"UseAmortized":false}"#;

/// A budget as DescribeBudgets gives it, from its distinguishing parts.
fn described(name: &str, parts: &str) -> String {
    format!(
        r#"{{"BudgetName":"{name}","BudgetType":"COST","TimeUnit":"MONTHLY",
        "BudgetLimit":{{"Amount":"1200.0","Unit":"USD"}},
        "TimePeriod":{{"Start":1.7619552E9,"End":3.7064736E9}},
        "CalculatedSpend":{{"ActualSpend":{{"Amount":"345.600","Unit":"USD"}},"ForecastedSpend":{{"Amount":"1.2E+3","Unit":"USD"}}}},
        "LastUpdatedTime":1.763798400123E9,"HealthStatus":{{"Status":"HEALTHY","LastUpdatedTime":1.7637984E9}}{parts}}}"#
    )
}

/// Answers with these budgets, and nothing else.
fn only(list: Vec<String>) -> Replay {
    Replay::new(move |request| match request.action.as_str() {
        "DescribeBudgets" => {
            assert!(request.body.contains(r#""ShowFilterExpression":true"#));
            assert_eq!(
                (&*request.service, &*request.region),
                ("budgets", "us-east-1")
            );
            answer(200, format!(r#"{{"Budgets":[{}]}}"#, list.join(",")))
        }
        "DescribeBudgetNotificationsForAccount" => {
            answer(200, r#"{"BudgetNotificationsForAccount":[]}"#)
        }
        other => panic!("unexpected {other}"),
    })
}

fn seen_one(parts: &str) -> BudgetFact {
    let (seen, _) = see(&only(vec![described("b", parts)]), budgets());
    assert_eq!(seen.gaps, []);
    seen.money.budgets.known().unwrap()[0].clone()
}

#[test]
fn what_aws_fills_in_is_no_difference() {
    let view = format!(r#","BillingViewArn":"arn:aws:billing::{ACCOUNT}:billingview/primary""#);
    // Whether the older form comes back in the newer one too, no document says.
    let derived = format!(
        r#",{TYPES},"CostFilters":{{"TagKeyValue":["user:team$core"],"Service":[]}},"Metrics":["UnblendedCost"],
        "FilterExpression":{{"And":[{{"Not":{{"Dimensions":{{"Key":"RECORD_TYPE","Values":["Credit"]}}}}}},
            {{"Tags":{{"Key":"team","Values":["core"]}}}}]}}{view}"#
    );
    let filter = (
        "TagKeyValue".to_owned(),
        BTreeSet::from(["user:team$core".to_owned()]),
    );
    let expected = Budget {
        name: "b".into(),
        kind: "COST".into(),
        time_unit: "MONTHLY".into(),
        limit: Some(Money {
            amount: decimal("1200"),
            unit: "USD".into(),
        }),
        filters: BTreeMap::from([filter]),
        cost_types: CostTypes {
            include_credit: false,
            ..CostTypes::default()
        },
        notifications: BTreeMap::new(),
        extra: BTreeMap::new(),
    };
    let fact = seen_one(&derived);
    assert_eq!(fact.budget, expected);
    // Normalised, not only equal: it is shown and written.
    assert_eq!(fact.budget.limit.unwrap().amount.to_string(), "1200");
    assert_eq!(
        (fact.actual, fact.forecast),
        (Some(decimal("345.6")), Some(decimal("1200")))
    );
    assert_eq!((fact.unhealthy, fact.unread), (None, None));
}

#[test]
fn what_this_version_does_not_write_makes_a_difference() {
    for (parts, extra, has_limit) in [
        (
            r#","FilterExpression":{"Tags":{"Key":"team","MatchOptions":["ABSENT"]}},"Metrics":["NetUnblendedCost"]"#.to_owned(),
            vec![
                ("FilterExpression", r#"{"Tags":{"Key":"team","MatchOptions":["ABSENT"]}}"#),
                ("Metrics", "NetUnblendedCost"),
            ],
            true,
        ),
        (
            // Not derived from the filters that stand beside it.
            format!(r#",{TYPES},"FilterExpression":{{"Or":[{{"Dimensions":{{"Key":"REGION","Values":["eu-west-1"]}}}},{{"CostCategories":{{"Key":"k","Values":["v"]}}}}]}}"#),
            vec![("FilterExpression", r#"{"Or":[{"Dimensions":{"Key":"REGION","Values":["eu-west-1"]}},{"CostCategories":{"Key":"k","Values":["v"]}}]}"#)],
            true,
        ),
        (
            format!(r#",{TYPES},"PlannedBudgetLimits":{{"1764547200":{{"Amount":"20.50","Unit":"USD"}},"1761955200":{{"Amount":"10.0","Unit":"USD"}}}}"#),
            vec![("PlannedBudgetLimits", "1761955200: 10 USD, 1764547200: 20.5 USD")],
            false,
        ),
        (
            format!(r#",{TYPES},"AutoAdjustData":{{"AutoAdjustType":"HISTORICAL","HistoricalOptions":{{"BudgetAdjustmentPeriod":3}},"LastAutoAdjustTime":1.7637984E9}}"#),
            vec![("AutoAdjustData", "HISTORICAL, 3 periods")],
            false,
        ),
        (
            format!(r#",{TYPES},"BillingViewArn":"arn:aws:billing::1:billingview/custom-x""#),
            vec![("BillingViewArn", "arn:aws:billing::1:billingview/custom-x")],
            true,
        ),
    ] {
        let budget = seen_one(&parts).budget;
        let expected = extra.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        assert_eq!(budget.extra, expected.collect(), "{parts}");
        assert_eq!(budget.limit.is_some(), has_limit, "{parts}");
    }
    let ends = described("b", "").replace("3.7064736E9", "1.7988480E9");
    let (seen, _) = see(&only(vec![ends]), budgets());
    let budget = &seen.money.budgets.known().unwrap()[0].budget;
    assert_eq!(budget.extra["TimePeriod.End"], "2027-01-02T00:00:00Z");
}

#[test]
fn an_unhealthy_budget_says_why() {
    let sick = described("b", "").replace(
        r#""Status":"HEALTHY""#,
        r#""Status":"UNHEALTHY","StatusReason":"FILTER_INVALID""#,
    );
    let (seen, _) = see(&only(vec![sick]), budgets());
    let fact = &seen.money.budgets.known().unwrap()[0];
    assert_eq!(fact.unhealthy.as_deref(), Some("FILTER_INVALID"));
}

fn notification(threshold: &str) -> String {
    format!(
        r#"{{"NotificationType":"ACTUAL","ComparisonOperator":"GREATER_THAN","Threshold":{threshold},"NotificationState":"ALARM"}}"#
    )
}

fn at(threshold: &str) -> NotificationKey {
    NotificationKey {
        when: When::Actual,
        operator: "GREATER_THAN".into(),
        threshold: decimal(threshold),
        unit: ThresholdUnit::Percent,
    }
}

fn mail(address: &str) -> Subscriber {
    Subscriber::Email(address.to_owned())
}

/// Every list in two pages, the first of them with an empty one before.
fn paged(request: &Request, two: [String; 2], member: &str) -> Answer {
    let page = |list: &str, token: &str| answer(200, format!(r#"{{"{member}":[{list}]{token}}}"#));
    match request.body.split_once(r#""NextToken":""#) {
        None => page("", r#","NextToken":"1""#),
        Some((_, rest)) if rest.starts_with('1') => page(&two[0], r#","NextToken":"2""#),
        Some(_) => page(&two[1], ""),
    }
}

#[test]
fn everything_comes_in_pages() {
    let replay = Replay::new(|request| match request.action.as_str() {
        "DescribeBudgets" => {
            let two = [described("b", ""), described("opsctl-a", "")];
            paged(request, two, "Budgets")
        }
        "DescribeBudgetNotificationsForAccount" => {
            let of = |name: &str, threshold: &str| {
                let one = notification(threshold);
                format!(r#"{{"BudgetName":"{name}","Notifications":[{one}]}}"#)
            };
            // Those of one budget may be on two pages.
            let two = [of("opsctl-a", "80.0"), of("opsctl-a", "99.5")];
            paged(request, two, "BudgetNotificationsForAccount")
        }
        "DescribeSubscribersForNotification" => {
            assert!(
                !request.body.contains("NotificationState"),
                "{}",
                request.body
            );
            let one = r#"{"SubscriptionType":"EMAIL","Address":"a@example.com"}"#.to_owned();
            let two = r#"{"SubscriptionType":"SNS","Address":"arn:aws:sns:us-east-1:1:t"}"#;
            paged(request, [one, two.to_owned()], "Subscribers")
        }
        "ListTagsForResource" => {
            assert!(
                request
                    .body
                    .contains(&format!("arn:aws:budgets::{ACCOUNT}:budget/opsctl-a"))
            );
            answer(200, r#"{"ResourceTags":[{"Key":"k","Value":"v"}]}"#)
        }
        other => panic!("unexpected {other}"),
    });
    let (seen, cost) = see(&replay, budgets());
    assert_eq!((seen.gaps, cost.as_str()), (Vec::new(), "0.00"));
    let facts = seen.money.budgets.known().unwrap();
    let names: Vec<_> = facts.iter().map(|f| f.budget.name.as_str()).collect();
    assert_eq!(names, ["b", "opsctl-a"]);
    let both = BTreeSet::from([
        mail("a@example.com"),
        Subscriber::Sns("arn:aws:sns:us-east-1:1:t".into()),
    ]);
    let expected = [(at("80"), both.clone()), (at("99.5"), both)];
    assert_eq!(facts[1].budget.notifications, expected.into());
    assert!(facts[1].tags.known().is_some() && facts[0].tags.is_unknown());
    // Nothing is asked for budgets without notifications, nor for the tags of foreign ones.
    assert_eq!(replay.count("ListTagsForResource"), 1);
    assert_eq!(replay.count("DescribeSubscribersForNotification"), 6);
    assert_eq!(replay.count("DescribeNotificationsForBudget"), 0);
}

/// Budgets `a` and `b` with an alert each; the two ways to ask for the alerts as given.
fn with_alerts(
    at_once: impl Fn() -> Answer + Send + Sync + 'static,
    of_one: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    subscribers: impl Fn(&Request) -> Answer + Send + Sync + 'static,
) -> Replay {
    Replay::new(move |request| match request.action.as_str() {
        "DescribeBudgets" => {
            let list = [described("a", ""), described("b", "")].join(",");
            answer(200, format!(r#"{{"Budgets":[{list}]}}"#))
        }
        "DescribeBudgetNotificationsForAccount" => at_once(),
        "DescribeNotificationsForBudget" => of_one(request),
        "DescribeSubscribersForNotification" => subscribers(request),
        other => panic!("unexpected {other}"),
    })
}

fn one_alert(_: &Request) -> Answer {
    let one = notification("80.0");
    answer(200, format!(r#"{{"Notifications":[{one}]}}"#))
}

fn one_subscriber(_: &Request) -> Answer {
    answer(
        200,
        r#"{"Subscribers":[{"SubscriptionType":"EMAIL","Address":"a@example.com"}]}"#,
    )
}

#[test]
fn where_all_alerts_cannot_be_had_at_once_each_budget_is_asked() {
    for refusal in ["UnknownOperationException", "AccessDeniedException"] {
        let refuse = move || json_error(400, refusal);
        let replay = with_alerts(refuse, one_alert, one_subscriber);
        let (seen, _) = see(&replay, budgets());
        assert_eq!(seen.gaps, []);
        for fact in seen.money.budgets.known().unwrap() {
            let expected = [(at("80"), BTreeSet::from([mail("a@example.com")]))];
            assert_eq!(fact.budget.notifications, expected.into());
        }
        assert_eq!(replay.count("DescribeNotificationsForBudget"), 2);
    }
}

#[test]
fn what_goes_between_two_answers_is_gone() {
    let refuse = || json_error(501, "NotImplemented");
    let is_a = |request: &Request| request.body.contains(r#""BudgetName":"a""#);
    let replay = with_alerts(
        refuse,
        move |request| match is_a(request) {
            true => json_error(400, "NotFoundException"),
            false => one_alert(request),
        },
        |_| json_error(400, "NotFoundException"),
    );
    let (seen, _) = see(&replay, budgets());
    assert_eq!(seen.gaps, []);
    let facts = seen.money.budgets.known().unwrap();
    assert_eq!(facts.len(), 1, "budget a is gone");
    assert_eq!(facts[0].budget.name, "b");
    assert_eq!(
        (facts[0].budget.notifications.len(), &facts[0].unread),
        (0, &None)
    );
}

#[test]
fn alerts_that_cannot_be_read_are_said_so() {
    let refuse = || json_error(400, "AccessDeniedException");
    let denied = |_: &Request| json_error(400, "AccessDeniedException");
    for replay in [
        with_alerts(refuse, denied, one_subscriber),
        with_alerts(refuse, one_alert, denied),
    ] {
        let (seen, _) = see(&replay, budgets());
        assert_eq!(seen.gaps.len(), 1, "{:?}", seen.gaps);
        let gap = &seen.gaps[0];
        assert_eq!(
            (gap.control, gap.region.as_str()),
            (Control::Budgets, "global")
        );
        assert!(gap.error.contains("(a and 1 more)"), "{}", gap.error);
        assert!(gap.operation.starts_with("budgets:Describe"));
        for fact in seen.money.budgets.known().unwrap() {
            let unread = fact.unread.as_deref().unwrap();
            assert!(unread.contains("AccessDenied"), "{unread}");
        }
    }
}

#[test]
fn a_single_budget_is_read_whole_or_not_at_all() {
    let replay = |alerts: fn(&Request) -> Answer, subscribers: fn(&Request) -> Answer| {
        Replay::new(move |request| match request.action.as_str() {
            "DescribeBudget" => answer(200, format!(r#"{{"Budget":{}}}"#, described("b", ""))),
            "DescribeNotificationsForBudget" => alerts(request),
            "DescribeSubscribersForNotification" => subscribers(request),
            "ListTagsForResource" => json_error(400, "AccessDeniedException"),
            other => panic!("unexpected {other}"),
        })
    };
    let read = |replay: &Replay| look(replay, ObjectKind::Budget, "global", "b");
    let whole = replay(one_alert, one_subscriber);
    match read(&whole) {
        Observed::Known(reading) => assert!(reading.tags.is_unknown()),
        other => panic!("{other:?}"),
    }
    assert_eq!(whole.seen().len(), 4);
    let denied = |_: &Request| json_error(400, "AccessDeniedException");
    assert!(read(&replay(denied, one_subscriber)).is_unknown());
    assert!(read(&replay(one_alert, denied)).is_unknown());
    let gone = |_: &Request| json_error(400, "NotFoundException");
    assert_eq!(read(&replay(gone, one_subscriber)), Observed::Absent);
    let absent = Replay::new(|_| json_error(400, "NotFoundException"));
    assert_eq!(read(&absent), Observed::Absent);
    let denied = Replay::new(|_| json_error(400, "AccessDeniedException"));
    assert!(read(&denied).is_unknown());
}

/// Nothing that is refused turns into something that is not there.
#[test]
fn all_that_is_refused_is_unknown_and_a_gap() {
    let replay = Replay::new(|request| match request.service.as_str() {
        // The CBOR form of {"__type": "AccessDenied"}.
        "monitoring" => (
            403,
            vec![("smithy-protocol", "rpc-v2-cbor".to_owned())],
            b"\xa1f__typelAccessDenied".to_vec(),
        ),
        _ => json_error(400, "AccessDeniedException"),
    });
    let (seen, _) = see(&replay, all());
    let money = &seen.money;
    assert!(money.budgets.is_unknown() && money.monitors.is_unknown());
    assert!(money.subscriptions.is_unknown() && money.cost_tags.is_unknown());
    assert!(money.billing_metric.is_unknown());
    let operations: Vec<_> = seen
        .gaps
        .iter()
        .map(|g| (g.operation.as_str(), g.region.as_str(), g.control))
        .collect();
    let gap = |operation, region| (operation, region, Control::Budgets);
    assert_eq!(
        operations,
        [
            gap("budgets:DescribeBudgets", "global"),
            gap("ce:GetAnomalyMonitors", "global"),
            gap("ce:GetAnomalySubscriptions", "global"),
            gap("ce:ListCostAllocationTags", "global"),
            gap("cloudwatch:ListMetrics", "us-east-1"),
        ]
    );
}

#[test]
fn only_these_words_mean_a_member_account() {
    let refused = |code: &'static str, message: &'static str| {
        let replay = Replay::new(move |_| {
            answer(
                400,
                format!(r#"{{"__type":"{code}","message":"{message}"}}"#),
            )
        });
        let want = Want {
            cost_tags: true,
            ..Want::default()
        };
        let (seen, _) = see(&replay, want);
        (seen.money.cost_tags, seen.gaps.len())
    };
    let said = "Failed to list Cost Allocation Tags: Linked account doesn't have access to cost allocation tags.";
    for code in ["AccessDeniedException", "ValidationException"] {
        assert_eq!(refused(code, said), (Observed::Absent, 0));
    }
    let denied =
        "User: arn:aws:iam::1:user/x is not authorized to perform: ce:ListCostAllocationTags";
    let (tags, gaps) = refused("AccessDeniedException", denied);
    assert!(tags.is_unknown() && gaps == 1);
    let (tags, _) = refused("InternalFailure", said);
    assert!(tags.is_unknown());
}

fn monitor_arn(id: u32) -> String {
    format!("arn:aws:ce::{ACCOUNT}:anomalymonitor/{id}")
}

/// Three monitors in two pages, of which two bear one name, and a subscription of each form.
fn detection(request: &Request) -> Answer {
    let second = request.body.contains("NextPageToken");
    match request.action.as_str() {
        "GetAnomalyMonitors" if second => answer(
            200,
            format!(
                r#"{{"AnomalyMonitors":[
                {{"MonitorArn":"{}","MonitorName":"same","MonitorType":"CUSTOM","DimensionalValueCount":0,
                  "MonitorSpecification":{{"Dimensions":{{"Key":"LINKED_ACCOUNT","Values":["2","1"]}}}}}},
                {{"MonitorArn":"{}","MonitorName":"tags","MonitorType":"DIMENSIONAL","MonitorDimension":"TAG","DimensionalValueCount":9,
                  "MonitorSpecification":{{"Tags":{{"Key":"team"}}}}}}]}}"#,
                monitor_arn(2),
                monitor_arn(3)
            ),
        ),
        "GetAnomalyMonitors" => answer(
            200,
            format!(
                r#"{{"NextPageToken":"x","AnomalyMonitors":[{{"MonitorArn":"{}","MonitorName":"same","MonitorType":"DIMENSIONAL",
                "MonitorDimension":"SERVICE","CreationDate":"2026-01-01","LastEvaluatedDate":"2026-11-22","DimensionalValueCount":31}}]}}"#,
                monitor_arn(1)
            ),
        ),
        "GetAnomalySubscriptions" => {
            let one = |name: &str, monitors: &[String], threshold: &str| {
                let arns = format!("\"{}\"", monitors.join("\",\""));
                format!(
                    r#"{{"SubscriptionArn":"arn:aws:ce::{ACCOUNT}:anomalysubscription/{name}","AccountId":"{ACCOUNT}","SubscriptionName":"{name}",
                    "MonitorArnList":[{arns}],"Frequency":"DAILY",{threshold},
                    "Subscribers":[{{"Address":"a@example.com","Type":"EMAIL","Status":"CONFIRMED"}},{{"Address":"b@example.com","Type":"EMAIL","Status":"DECLINED"}}]}}"#
                )
            };
            let leaf = |key: &str, value: &str| {
                format!(
                    r#"{{"Dimensions":{{"Key":"ANOMALY_TOTAL_IMPACT_{key}","Values":["{value}"],"MatchOptions":["GREATER_THAN_OR_EQUAL"]}}}}"#
                )
            };
            let both = format!("{},{}", leaf("ABSOLUTE", "10"), leaf("PERCENTAGE", "5"));
            let list = [
                one("old", &[monitor_arn(1)], r#""Threshold":25.5"#),
                one(
                    "plain",
                    &[monitor_arn(1), monitor_arn(3)],
                    &format!(
                        r#""ThresholdExpression":{},"Threshold":7.0"#,
                        leaf("ABSOLUTE", "100.0")
                    ),
                ),
                one(
                    "tree",
                    &[monitor_arn(2), monitor_arn(9)],
                    &format!(r#""ThresholdExpression":{{"Or":[{both}]}}"#),
                ),
            ];
            answer(
                200,
                format!(r#"{{"AnomalySubscriptions":[{}]}}"#, list.join(",")),
            )
        }
        "ListCostAllocationTags" if request.body.contains("NextToken") => answer(
            200,
            r#"{"CostAllocationTags":[{"TagKey":"team","Type":"UserDefined","Status":"Inactive"}]}"#,
        ),
        "ListCostAllocationTags" => {
            assert!(request.body.contains(r#""Type":"UserDefined""#));
            answer(
                200,
                r#"{"NextToken":"n","CostAllocationTags":[{"TagKey":"Environment","Type":"UserDefined","Status":"Active",
                "LastUpdatedDate":"2026-01-01T00:00:00Z","LastUsedDate":"2026-11-01T00:00:00Z"}]}"#,
            )
        }
        other => panic!("unexpected {other}"),
    }
}

#[test]
fn anomaly_detection_is_read_in_pages_and_each_is_billed() {
    let replay = Replay::new(detection);
    let want = Want {
        anomaly: true,
        cost_tags: true,
        ..Want::default()
    };
    let (seen, cost) = see(&replay, want);
    assert_eq!(seen.gaps, []);
    // Two pages of monitors, one of subscriptions, two of tags.
    assert_eq!((replay.seen().len(), cost.as_str()), (5, "0.05"));
    let monitors = seen.money.monitors.known().unwrap();
    let scopes: Vec<_> = monitors.iter().map(|m| m.monitor.scope.clone()).collect();
    let accounts = BTreeSet::from(["1".to_owned(), "2".to_owned()]);
    let other = r#"{"MonitorDimension":"TAG","MonitorSpecification":{"Tags":{"Key":"team"}},"MonitorType":"DIMENSIONAL"}"#;
    assert_eq!(
        scopes,
        [
            MonitorScope::Dimension("SERVICE".into()),
            MonitorScope::Accounts(accounts),
            MonitorScope::Other(other.into()),
        ]
    );
    let subscriptions = seen.money.subscriptions.known().unwrap();
    let minima: Vec<_> = subscriptions
        .iter()
        .map(|s| s.subscription.minimum_impact_usd)
        .collect();
    assert_eq!(minima, [Some(decimal("25.5")), Some(decimal("100")), None]);
    let of = |i: usize| &subscriptions[i].subscription;
    assert!(of(2).extra["ThresholdExpression"].contains("PERCENTAGE"));
    // A name means the first monitor of it; others, and what is gone, go by their ARN.
    let names = |list: &[&str]| {
        list.iter()
            .map(|n| (*n).to_owned())
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(of(1).monitors, names(&["same", "tags"]));
    assert_eq!(of(2).monitors, names(&[&monitor_arn(2), &monitor_arn(9)]));
    assert_eq!(subscriptions[0].unconfirmed, names(&["b@example.com"]));
    let tags = seen.money.cost_tags.known().unwrap();
    assert!(tags["Environment"].active && !tags["team"].active);
    let used = tags["Environment"].last_used.unwrap();
    assert_eq!(used.to_string(), "2026-11-01T00:00:00Z");
}

#[test]
fn without_the_monitors_subscriptions_are_unknown() {
    let replay = Replay::new(|request| match request.action.as_str() {
        "GetAnomalyMonitors" => json_error(400, "AccessDeniedException"),
        _ => detection(request),
    });
    let want = Want {
        anomaly: true,
        ..Want::default()
    };
    let (seen, _) = see(&replay, want);
    assert!(seen.money.monitors.is_unknown() && seen.money.subscriptions.is_unknown());
    assert_eq!(seen.gaps.len(), 1);
}

fn subscription(monitors: &[&str]) -> AnomalySubscription {
    AnomalySubscription {
        name: "plain".into(),
        monitors: monitors.iter().map(|m| (*m).to_owned()).collect(),
        frequency: "DAILY".into(),
        minimum_impact_usd: Some(decimal("50.00")),
        subscribers: BTreeSet::from([mail("a@example.com")]),
        extra: BTreeMap::new(),
    }
}

#[test]
fn subscriptions_are_written_with_the_arns_behind_the_names() {
    let replay = Replay::new(|request| match request.action.as_str() {
        "UpdateAnomalySubscription" | "CreateAnomalySubscription" => {
            let arns = format!(
                r#""MonitorArnList":["{}","{}"]"#,
                monitor_arn(9),
                monitor_arn(1)
            );
            assert!(request.body.contains(&arns), "{}", request.body);
            assert!(
                request.body.contains(r#""Values":["50"]"#),
                "{}",
                request.body
            );
            answer(200, r#"{"SubscriptionArn":"x"}"#)
        }
        _ => detection(request),
    });
    let wanted = subscription(&["same", &monitor_arn(9)]);
    let update = Call::UpdateAnomalySubscription {
        subscription: wanted.clone(),
    };
    do_it(&replay, &update).unwrap();
    let create = Call::CreateAnomalySubscription {
        subscription: wanted,
        tags: Default::default(),
    };
    do_it(&replay, &create).unwrap();
    let missing = Call::UpdateAnomalySubscription {
        subscription: subscription(&["nobody"]),
    };
    let error = do_it(&replay, &missing).unwrap_err();
    assert!(
        error.message.contains("`nobody`") && !error.maybe_done,
        "{error}"
    );
    assert_eq!(replay.count("UpdateAnomalySubscription"), 1);
}

fn create_monitor() -> Call {
    Call::CreateAnomalyMonitor {
        monitor: AnomalyMonitor {
            name: "m".into(),
            scope: MonitorScope::Dimension("SERVICE".into()),
        },
        tags: Default::default(),
    }
}

fn limit(message: &str) -> Answer {
    answer(
        400,
        format!(r#"{{"__type":"LimitExceededException","message":"{message}"}}"#),
    )
}

/// The same code says that there were too many calls, and that there are too many monitors.
#[test]
fn too_many_calls_are_repeated_and_too_many_monitors_are_not() {
    let tries = AtomicU32::new(0);
    let replay = Replay::new(move |_| match tries.fetch_add(1, Ordering::SeqCst) {
        0 | 1 => limit("You made too many calls in a short period of time. Try again later."),
        _ => answer(200, r#"{"MonitorArn":"x"}"#),
    });
    do_it(&replay, &create_monitor()).unwrap();
    assert_eq!(replay.seen().len(), 3);
    let replay = Replay::new(|_| limit("Limit exceeded on dimensional spend monitor creation"));
    let error = do_it(&replay, &create_monitor()).unwrap_err();
    assert_eq!(replay.seen().len(), 1);
    assert!(
        !error.is_transient() && error.message.contains("remove"),
        "{error}"
    );
}

/// Names are not unique: a create that may have happened is not to be sent again unseen.
#[test]
fn a_monitor_is_never_made_twice_over_a_lost_answer() {
    let replay = Replay::new(|_| json_error(500, "InternalFailure"));
    let error = do_it(&replay, &create_monitor()).unwrap_err();
    assert_eq!(replay.seen().len(), 1);
    assert!(error.maybe_done && error.is_transient(), "{error}");
}

fn create_budget() -> Call {
    Call::CreateBudget {
        budget: Budget {
            name: "b".into(),
            kind: "COST".into(),
            time_unit: "MONTHLY".into(),
            limit: Some(Money {
                amount: decimal("1200.00"),
                unit: "USD".into(),
            }),
            filters: BTreeMap::new(),
            cost_types: CostTypes::default(),
            notifications: BTreeMap::from([(at("80"), BTreeSet::from([mail("a@example.com")]))]),
            extra: BTreeMap::new(),
        },
        tags: [("k".to_owned(), "v".to_owned())].into(),
    }
}

/// The SDK repeats a create whose answer was lost; that it is there then is no refusal.
#[test]
fn a_budget_that_is_there_after_a_lost_answer_may_be_ours() {
    let tries = AtomicU32::new(0);
    let replay = Replay::new(move |request| {
        assert!(
            request.body.contains(r#""Amount":"1200""#),
            "{}",
            request.body
        );
        assert!(
            request
                .body
                .contains(r#""ResourceTags":[{"Key":"k","Value":"v"}]"#)
        );
        match tries.fetch_add(1, Ordering::SeqCst) {
            0 => json_error(500, "InternalErrorException"),
            _ => json_error(400, "DuplicateRecordException"),
        }
    });
    let error = do_it(&replay, &create_budget()).unwrap_err();
    assert_eq!(error.code, "DuplicateRecordException");
    assert!(error.maybe_done && error.is_transient());
}

#[test]
fn too_many_alerts_are_explained() {
    let replay = Replay::new(|_| json_error(400, "CreationLimitExceededException"));
    let error = do_it(&replay, &create_budget()).unwrap_err();
    assert!(error.message.contains("configure fewer"), "{error}");
    assert!(!error.is_transient());
}

#[test]
fn removing_what_is_gone_is_done() {
    let budget = || "b".to_owned();
    let gone = Replay::new(|_| json_error(400, "NotFoundException"));
    for call in [
        Call::DeleteBudget { budget: budget() },
        Call::DeleteNotification {
            budget: budget(),
            notification: at("80"),
        },
        Call::DeleteSubscriber {
            budget: budget(),
            notification: at("80"),
            subscriber: mail("a@example.com"),
        },
    ] {
        do_it(&gone, &call).unwrap();
    }
    let create = Call::CreateSubscriber {
        budget: budget(),
        notification: at("80"),
        subscriber: mail("a@example.com"),
    };
    assert_eq!(do_it(&gone, &create).unwrap_err().code, "NotFoundException");
    let nothing =
        Replay::new(|_| answer(200, r#"{"AnomalyMonitors":[],"AnomalySubscriptions":[]}"#));
    let name = || "m".to_owned();
    do_it(&nothing, &Call::DeleteAnomalyMonitor { name: name() }).unwrap();
    do_it(&nothing, &Call::DeleteAnomalySubscription { name: name() }).unwrap();
    assert_eq!(nothing.seen().len(), 2, "nothing was removed");
}

#[test]
fn a_cost_tag_that_is_refused_in_a_200_is_refused() {
    let replay = Replay::new(|_| {
        answer(
            200,
            r#"{"Errors":[{"TagKey":"team","Code":"TagKeysNotFoundException","Message":"Tag keys not found"}]}"#,
        )
    });
    let set = Call::SetCostAllocationTags {
        keys: BTreeSet::from(["team".to_owned()]),
        active: true,
    };
    let error = do_it(&replay, &set).unwrap_err();
    assert_eq!(error.code, "TagKeysNotFoundException");
    assert!(error.message.contains("team"), "{error}");
}

const TOPIC: &str = "arn:aws:sns:eu-central-1:123456789012:alerts";

/// A topic in two pages of subscriptions; `deny` refuses one of its three reads.
fn topic(request: &Request, deny: &str) -> Answer {
    assert_eq!(request.region, "eu-central-1", "in the topic's own region");
    let action = &request.action;
    if action == deny {
        return xml_error(403, "AuthorizationError");
    }
    let query = |result: &str| {
        let body = format!(
            "<{action}Response><{action}Result>{result}</{action}Result></{action}Response>"
        );
        answer(200, body)
    };
    let member = |endpoint: &str, arn: &str| {
        format!(
            "<member><TopicArn>{TOPIC}</TopicArn><Protocol>email</Protocol><Endpoint>{endpoint}</Endpoint><SubscriptionArn>{arn}</SubscriptionArn></member>"
        )
    };
    match action.as_str() {
        "GetTopicAttributes" => query(
            "<Attributes><entry><key>Policy</key><value>{\"Version\":\"2012-10-17\"}</value></entry>\
             <entry><key>KmsMasterKeyId</key><value>alias/aws/sns</value></entry></Attributes>",
        ),
        "ListSubscriptionsByTopic" if request.body.contains("NextToken") => query(&format!(
            "<Subscriptions>{}{}</Subscriptions>",
            member("b@example.com", "PendingConfirmation"),
            member("old@example.com", "Deleted")
        )),
        "ListSubscriptionsByTopic" => query(&format!(
            "<Subscriptions>{}</Subscriptions><NextToken>n</NextToken>",
            member("a@example.com", &format!("{TOPIC}:1"))
        )),
        "ListTagsForResource" => {
            query("<Tags><member><Key>k</Key><Value>v</Value></member></Tags>")
        }
        other => panic!("unexpected {other}"),
    }
}

fn topics() -> Want {
    Want {
        topics: BTreeSet::from([TOPIC.to_owned()]),
        budgets: false,
        ..Want::default()
    }
}

#[test]
fn a_topic_is_read_with_what_waits_and_what_encrypts_it() {
    let replay = Replay::new(|request| topic(request, ""));
    let (seen, _) = see(&replay, topics());
    assert_eq!(seen.gaps, []);
    let fact = seen.topics[TOPIC].known().unwrap();
    let set = |list: &[&str]| {
        list.iter()
            .map(|s| format!("email:{s}"))
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(fact.confirmed, set(&["a@example.com"]));
    assert_eq!(fact.pending, set(&["b@example.com"]));
    assert_eq!(
        fact.topic.subscriptions,
        set(&["a@example.com", "b@example.com"])
    );
    assert_eq!(fact.kms_key.as_deref(), Some("alias/aws/sns"));
    assert!(fact.tags.known().is_some());
}

#[test]
fn parts_of_a_topic_that_are_refused_are_said_so() {
    for (deny, operation) in [
        ("GetTopicAttributes", "sns:GetTopicAttributes"),
        ("ListSubscriptionsByTopic", "sns:ListSubscriptionsByTopic"),
        ("ListTagsForResource", "sns:ListTagsForResource"),
    ] {
        let replay = Replay::new(move |request| topic(request, deny));
        let (seen, _) = see(&replay, topics());
        let gaps: Vec<_> = seen
            .gaps
            .iter()
            .map(|g| {
                (
                    g.operation.as_str(),
                    g.region.as_str(),
                    g.resource.as_deref(),
                )
            })
            .collect();
        assert_eq!(gaps, [(operation, "eu-central-1", Some("alerts"))]);
        match (deny, &seen.topics[TOPIC]) {
            ("GetTopicAttributes", fact) => assert!(fact.is_unknown()),
            (_, Observed::Known(fact)) => {
                assert_eq!(fact.unread.is_some(), deny == "ListSubscriptionsByTopic");
                assert_eq!(fact.tags.is_unknown(), deny == "ListTagsForResource");
            }
            other => panic!("{other:?}"),
        }
        // Before a write, a part is not enough.
        let one = look(&replay, ObjectKind::Topic, "eu-central-1", "alerts");
        assert!(one.is_unknown(), "{one:?}");
    }
    let gone = Replay::new(|_| xml_error(404, "NotFound"));
    let (seen, _) = see(&gone, topics());
    assert_eq!(
        (&seen.topics[TOPIC], seen.gaps.len()),
        (&Observed::Absent, 0)
    );
}

#[test]
fn what_is_no_topic_is_unknown() {
    let replay = Replay::new(|request| panic!("unexpected {}", request.action));
    let want = Want {
        topics: BTreeSet::from(["alerts".to_owned()]),
        ..Want::default()
    };
    let (seen, _) = see(&replay, want);
    assert!(seen.topics["alerts"].is_unknown() && seen.gaps.len() == 1);
}
