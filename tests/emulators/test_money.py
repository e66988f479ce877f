"""One test for each way in which money.py is closer to AWS than moto."""
import datetime
import json

import pytest

from conftest import ACCOUNT
from test_repairs import refused

EIGHTY = {"NotificationType": "ACTUAL", "ComparisonOperator": "GREATER_THAN", "Threshold": 80.0, "ThresholdType": "PERCENTAGE"}
NINETY = EIGHTY | {"Threshold": 90.0}
MAIL = {"SubscriptionType": "EMAIL", "Address": "ops@example.com"}
OTHER = {"SubscriptionType": "EMAIL", "Address": "cfo@example.com"}
TOPIC = {"SubscriptionType": "SNS", "Address": f"arn:aws:sns:us-east-1:{ACCOUNT}:alerts"}
AT_LEAST = {"Dimensions": {"Key": "ANOMALY_TOTAL_IMPACT_ABSOLUTE", "MatchOptions": ["GREATER_THAN_OR_EQUAL"], "Values": ["50"]}}


def budget(name="b", **more):
    return {"BudgetName": name, "BudgetType": "COST", "TimeUnit": "MONTHLY", "BudgetLimit": {"Amount": "1200", "Unit": "USD"}} | more


@pytest.fixture
def budgets(aws):
    return aws("budgets", "us-east-1")


@pytest.fixture
def ce(aws):
    return aws("ce", "us-east-1")


def make(budgets, alerts=(), tags=(), **more):
    budgets.create_budget(AccountId=ACCOUNT, Budget=budget(**more), NotificationsWithSubscribers=[
        {"Notification": n, "Subscribers": s} for n, s in alerts], **({"ResourceTags": list(tags)} if tags else {}))


def seen(budgets, name="b", **more):
    return budgets.describe_budget(AccountId=ACCOUNT, BudgetName=name, **more)["Budget"]


def test_budgets_come_back_normalised(budgets):
    make(budgets, CostFilters={"TagKeyValue": ["user:team$core"]}, CostTypes={"IncludeCredit": False})
    found = seen(budgets)
    assert found["BudgetLimit"] == {"Amount": "1200.0", "Unit": "USD"}
    assert found["TimePeriod"]["End"].astimezone(datetime.UTC).date() == datetime.date(2087, 6, 15) and found["TimePeriod"]["Start"].astimezone(datetime.UTC).day == 1
    assert found["CostTypes"]["IncludeTax"] and not found["CostTypes"]["IncludeCredit"] and not found["CostTypes"]["UseBlended"]
    assert found["HealthStatus"]["Status"] == "HEALTHY" and found["CalculatedSpend"]["ActualSpend"]["Amount"] == "0.0"


def test_filter_expressions_are_hidden_unless_asked_for(budgets):
    make(budgets, FilterExpression={"Tags": {"Key": "team", "Values": ["core"]}}, Metrics=["UnblendedCost"])
    assert not {"FilterExpression", "Metrics", "CostTypes"} & set(seen(budgets))
    assert seen(budgets, ShowFilterExpression=True)["Metrics"] == ["UnblendedCost"]
    refused("InvalidParameterException", make, budgets, name="c", Metrics=["UnblendedCost"], CostTypes={"IncludeTax": True})
    refused("InvalidParameterException", make, budgets, name="c", BudgetLimit={"Amount": "1", "Unit": "USD"}, PlannedBudgetLimits={"1": {"Amount": "1", "Unit": "USD"}})


def test_an_update_replaces_all_but_the_alerts_and_zeroes_the_spend(moto, budgets):
    make(budgets, [(EIGHTY, [MAIL])], CostFilters={"Service": ["x"]})
    moto.door("POST", "money", {"budgets": {"b": {"CalculatedSpend": {"ActualSpend": {"Amount": "7.5", "Unit": "USD"}}}}})
    assert seen(budgets)["CalculatedSpend"]["ActualSpend"]["Amount"] == "7.5"
    budgets.update_budget(AccountId=ACCOUNT, NewBudget=budget(BudgetLimit={"Amount": "10.50", "Unit": "USD"}))
    found = seen(budgets)
    assert found["BudgetLimit"]["Amount"] == "10.5" and found["CostFilters"] == {} and found["CalculatedSpend"]["ActualSpend"]["Amount"] == "0.0"
    assert len(budgets.describe_notifications_for_budget(AccountId=ACCOUNT, BudgetName="b")["Notifications"]) == 1
    refused("NotFoundException", budgets.update_budget, AccountId=ACCOUNT, NewBudget=budget("c"))


def test_budgets_and_their_alerts_come_in_pages(budgets):
    for i in range(5):
        make(budgets, [(EIGHTY, [MAIL])] if i else [], name=f"b{i}")
    pages = list(budgets.get_paginator("describe_budgets").paginate(AccountId=ACCOUNT, MaxResults=2))
    assert [[b["BudgetName"] for b in p["Budgets"]] for p in pages] == [["b0", "b1"], ["b2", "b3"], ["b4"]]
    pages = list(budgets.get_paginator("describe_budget_notifications_for_account").paginate(AccountId=ACCOUNT, MaxResults=3))
    found = [n for p in pages for n in p["BudgetNotificationsForAccount"]]
    assert len(pages) == 2 and [n["BudgetName"] for n in found] == ["b1", "b2", "b3", "b4"]
    assert found[0]["Notifications"] == [EIGHTY | {"NotificationState": "OK"}]


def test_subscribers_are_kept_and_limited(budgets):
    make(budgets, [(EIGHTY, [MAIL, TOPIC])])
    of = {"AccountId": ACCOUNT, "BudgetName": "b", "Notification": EIGHTY}
    read = lambda: budgets.describe_subscribers_for_notification(**of)["Subscribers"]
    assert read() == [MAIL, TOPIC]
    refused("DuplicateRecordException", budgets.create_subscriber, Subscriber=MAIL, **of)
    refused("CreationLimitExceededException", budgets.create_subscriber, Subscriber=TOPIC | {"Address": TOPIC["Address"] + "2"}, **of)
    budgets.create_subscriber(Subscriber=OTHER, **of)
    budgets.update_subscriber(OldSubscriber=OTHER, NewSubscriber=OTHER | {"Address": "new@example.com"}, **of)
    assert [s["Address"] for s in read()] == ["ops@example.com", TOPIC["Address"], "new@example.com"]
    for one in read():
        budgets.delete_subscriber(Subscriber=one, **of)
    refused("NotFoundException", budgets.describe_subscribers_for_notification, **of)  # the last one takes the notification along


def test_notifications_are_told_apart_by_what_they_say(budgets):
    make(budgets, [(EIGHTY, [MAIL])])
    of = {"AccountId": ACCOUNT, "BudgetName": "b"}
    plain = {k: v for k, v in EIGHTY.items() if k != "ThresholdType"}  # PERCENTAGE is the default
    refused("DuplicateRecordException", budgets.create_notification, Notification=plain, Subscribers=[MAIL], **of)
    budgets.update_notification(OldNotification=EIGHTY, NewNotification=NINETY, **of)
    assert budgets.describe_subscribers_for_notification(Notification=NINETY, **of)["Subscribers"] == [MAIL]
    for threshold in range(4):
        budgets.create_notification(Notification=EIGHTY | {"Threshold": float(threshold)}, Subscribers=[MAIL], **of)
    refused("CreationLimitExceededException", budgets.create_notification, Notification=EIGHTY, Subscribers=[MAIL], **of)
    budgets.delete_notification(Notification=NINETY, **of)
    refused("NotFoundException", budgets.delete_notification, Notification=NINETY, **of)


def test_a_budget_is_made_whole_or_not_at_all(budgets):
    refused("DuplicateRecordException", make, budgets, [(EIGHTY, [MAIL]), (EIGHTY, [OTHER])])
    refused("NotFoundException", seen, budgets)
    make(budgets)
    refused("DuplicateRecordException", make, budgets)
    refused("InvalidParameterException", make, budgets, name="a:b")
    budgets.delete_budget(AccountId=ACCOUNT, BudgetName="b")
    for call in (budgets.delete_budget, budgets.describe_budget, budgets.describe_notifications_for_budget):
        refused("NotFoundException", call, AccountId=ACCOUNT, BudgetName="b")


def test_budgets_have_tags(budgets):
    arn = f"arn:aws:budgets::{ACCOUNT}:budget/b"
    make(budgets, tags=[{"Key": "a", "Value": "1"}])
    budgets.tag_resource(ResourceARN=arn, ResourceTags=[{"Key": "b", "Value": "2"}])
    budgets.untag_resource(ResourceARN=arn, ResourceTagKeys=["a"])
    assert budgets.list_tags_for_resource(ResourceARN=arn)["ResourceTags"] == [{"Key": "b", "Value": "2"}]
    refused("NotFoundException", budgets.list_tags_for_resource, ResourceARN=arn + "c")


def monitor(ce, name="m", **more):
    asked = more or {"MonitorType": "DIMENSIONAL", "MonitorDimension": "SERVICE"}
    return ce.create_anomaly_monitor(AnomalyMonitor={"MonitorName": name} | asked)["MonitorArn"]


def accounts(*ids):
    return {"MonitorType": "CUSTOM", "MonitorSpecification": {"Dimensions": {"Key": "LINKED_ACCOUNT", "Values": list(ids)}}}


def test_one_monitor_of_services_and_many_others(ce):
    monitor(ce)
    assert "dimensional" in refused("LimitExceededException", monitor, ce, "again")
    arns = [monitor(ce, "same name", **accounts(ACCOUNT)) for _ in range(21)]
    first = ce.get_anomaly_monitors(MaxResults=100)
    rest = ce.get_anomaly_monitors(NextPageToken=first["NextPageToken"])
    assert len(first["AnomalyMonitors"]) == 20 and len(rest["AnomalyMonitors"]) == 2 and "NextPageToken" not in rest
    assert len(ce.get_anomaly_monitors(MonitorArnList=arns[:2])["AnomalyMonitors"]) == 2
    ce.delete_anomaly_monitor(MonitorArn=arns[0])
    refused("UnknownMonitorException", ce.delete_anomaly_monitor, MonitorArn=arns[0])


def test_subscriptions_need_monitors_a_threshold_and_fitting_subscribers(ce):
    arn = monitor(ce)
    wanted = {"SubscriptionName": "s", "MonitorArnList": [arn], "Frequency": "DAILY", "ThresholdExpression": AT_LEAST,
              "Subscribers": [{"Type": "EMAIL", "Address": "ops@example.com"}]}
    create = lambda **more: ce.create_anomaly_subscription(AnomalySubscription={k: v for k, v in (wanted | more).items() if v})["SubscriptionArn"]
    refused("UnknownMonitorException", create, MonitorArnList=[arn + "x"])
    refused("ValidationException", create, ThresholdExpression=None)
    refused("ValidationException", create, Frequency="IMMEDIATE")
    made = create()
    found, = ce.get_anomaly_subscriptions()["AnomalySubscriptions"]
    assert found["Subscribers"][0]["Status"] == "CONFIRMED" and found["SubscriptionArn"] == made and found["AccountId"] == ACCOUNT
    ce.update_anomaly_subscription(SubscriptionArn=made, Frequency="WEEKLY")
    assert ce.get_anomaly_subscriptions(SubscriptionArnList=[made])["AnomalySubscriptions"][0]["Frequency"] == "WEEKLY"
    ce.delete_anomaly_subscription(SubscriptionArn=made)
    refused("UnknownSubscriptionException", ce.delete_anomaly_subscription, SubscriptionArn=made)
    refused("UnknownSubscriptionException", ce.update_anomaly_subscription, SubscriptionArn=made, Frequency="DAILY")


def test_cost_allocation_tags_are_the_payers(moto, ce):
    moto.door("POST", "money", {"cost_tags": {"Team": "Inactive", "Environment": "Active"}})
    listed = lambda **more: {t["TagKey"]: t["Status"] for t in ce.list_cost_allocation_tags(**more)["CostAllocationTags"]}
    assert listed(Type="UserDefined", Status="Active") == {"Environment": "Active"} and listed(TagKeys=["Team"]) == {"Team": "Inactive"}
    first = ce.list_cost_allocation_tags(MaxResults=1)
    assert [t["TagKey"] for t in ce.list_cost_allocation_tags(NextToken=first["NextToken"])["CostAllocationTags"]] == ["Team"]
    asked = [{"TagKey": "Team", "Status": "Active"}, {"TagKey": "Never", "Status": "Active"}]
    errors = ce.update_cost_allocation_tags_status(CostAllocationTagsStatus=asked)["Errors"]  # refused in part, and 200
    assert [e["TagKey"] for e in errors] == ["Never"] and listed()["Team"] == "Active"
    moto.door("POST", "money", {"member": True})
    assert "Linked account" in refused("AccessDeniedException", listed)
    refused("AccessDeniedException", ce.update_cost_allocation_tags_status, CostAllocationTagsStatus=asked)


def test_the_billing_metric_exists_where_alerts_are_on(moto, aws):
    listed = lambda region: aws("cloudwatch", region).list_metrics(Namespace="AWS/Billing", MetricName="EstimatedCharges")["Metrics"]
    assert listed("us-east-1") == []
    moto.door("POST", "money", {"billing_metric": True})
    assert [len(m["Dimensions"]) for m in listed("us-east-1")] == [1, 2] and listed("eu-west-1") == []


def test_subscriptions_by_mail_wait_for_a_click(moto, aws):
    sns = aws("sns")
    arn = sns.create_topic(Name="t")["TopicArn"]
    listed = lambda: {s["Endpoint"]: s["SubscriptionArn"] for s in sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"]}
    for address in ("a@example.com", "b@example.com", "a@example.com"):
        assert sns.subscribe(TopicArn=arn, Protocol="email", Endpoint=address)["SubscriptionArn"] == "pending confirmation"
    assert listed() == {"a@example.com": "PendingConfirmation", "b@example.com": "PendingConfirmation"}
    moto.door("POST", "money", {"confirm": ["a@example.com"]})
    assert listed()["a@example.com"].startswith(arn) and listed()["b@example.com"] == "PendingConfirmation"
    assert sns.subscribe(TopicArn=arn, Protocol="email", Endpoint="a@example.com")["SubscriptionArn"].startswith(arn)


def test_a_topic_is_not_made_again_with_other_attributes_or_tags(aws):
    sns, policy = aws("sns"), json.dumps({"Version": "2012-10-17", "Statement": []})
    create = lambda value="1", policy=policy: sns.create_topic(Name="t", Attributes={"Policy": policy}, Tags=[{"Key": "a", "Value": value}])["TopicArn"]
    arn = create()
    assert create() == arn and sns.create_topic(Name="t")["TopicArn"] == arn
    refused("InvalidParameter", create, "2")
    refused("InvalidParameter", create, policy=json.dumps({"Version": "2008-10-17", "Statement": []}))


def test_a_reset_forgets(moto, budgets, ce):
    make(budgets)
    monitor(ce)
    moto.door("POST", "money", {"member": True, "billing_metric": True, "cost_tags": {"Team": "Active"}})
    moto.reset()
    assert budgets.describe_budgets(AccountId=ACCOUNT)["Budgets"] == [] and ce.get_anomaly_monitors()["AnomalyMonitors"] == []
    assert ce.list_cost_allocation_tags()["CostAllocationTags"] == []
