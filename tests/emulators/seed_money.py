"""Budgets, topics and anomaly detection that belong to somebody else: seed_money.py --endpoint URL [--no-ce]

With --remove-ours, what opsctl made for prod is removed instead."""
import argparse

from aws_clients import Clients

parser = argparse.ArgumentParser()
parser.add_argument("--endpoint", required=True)
parser.add_argument("--no-ce", action="store_true")
parser.add_argument("--remove-ours", action="store_true")
options = parser.parse_args()
aws = Clients(options.endpoint, "us-east-1")
budgets, of = aws("budgets"), {"AccountId": aws.account}
OURS = ("opsctl-shop-prod", "alerts")
if options.remove_ours:
    for one in budgets.describe_budgets(**of)["Budgets"]:
        if one["BudgetName"].startswith(OURS):
            budgets.delete_budget(BudgetName=one["BudgetName"], **of)
    for region in ("us-east-1", "eu-west-1"):
        for one in aws("sns", region).list_topics()["Topics"]:
            if one["TopicArn"].rpartition(":")[2].startswith(OURS):
                aws("sns", region).delete_topic(TopicArn=one["TopicArn"])
    aws("cloudwatch").delete_alarms(AlarmNames=[one["AlarmName"] for one in aws("cloudwatch").describe_alarms(AlarmNamePrefix="opsctl-shop-prod")["MetricAlarms"]])
    ce = aws("ce")
    for one in ce.get_anomaly_subscriptions()["AnomalySubscriptions"]:
        if one["SubscriptionName"].startswith(OURS):
            ce.delete_anomaly_subscription(SubscriptionArn=one["SubscriptionArn"])
    for one in ce.get_anomaly_monitors()["AnomalyMonitors"]:
        if one["MonitorName"].startswith(OURS):
            ce.delete_anomaly_monitor(MonitorArn=one["MonitorArn"])
    raise SystemExit
MAIL = [{"SubscriptionType": "EMAIL", "Address": "them@example.com"}]


def alert(threshold, kind="FORECASTED"):
    return {"NotificationType": kind, "ComparisonOperator": "GREATER_THAN", "Threshold": threshold, "ThresholdType": "PERCENTAGE"}


def budget(name, alerts=(), kind="COST", **more):
    plain = {"BudgetName": name, "BudgetType": kind, "TimeUnit": "MONTHLY"} | ({} if "PlannedBudgetLimits" in more else {"BudgetLimit": {"Amount": "77", "Unit": "USD"}})
    budgets.create_budget(Budget=plain | more, NotificationsWithSubscribers=[{"Notification": one, "Subscribers": MAIL} for one in alerts], **of)


budget("theirs by service", [alert(90), alert(12.5, "ACTUAL")], CostFilters={"Service": ["Amazon Simple Storage Service"]})
budget("theirs of a new form", [alert(95)], FilterExpression={"Tags": {"Key": "team", "Values": ["data"]}}, Metrics=["NetUnblendedCost"])
budget("theirs by usage", kind="USAGE", TimeUnit="DAILY", BudgetLimit={"Amount": "3.5", "Unit": "GB"})
budget("theirs that ends", TimePeriod={"Start": 1761955200, "End": 1798848000}, CostFilters={"Region": ["eu-west-1"]})
budget("opsctl-shop-other", [alert(80)], CostFilters={"Region": ["eu-west-1"]})  # another environment's
for region in ("us-east-1", "eu-west-1"):
    arn = aws("sns", region).create_topic(Name="theirs")["TopicArn"]
    aws("sns", region).subscribe(TopicArn=arn, Protocol="email", Endpoint="them@example.com")
aws("cloudwatch").put_metric_alarm(AlarmName="theirs", Namespace="AWS/Lambda", MetricName="Errors", Statistic="Sum", Period=300,
                                   EvaluationPeriods=1, Threshold=1, ComparisonOperator="GreaterThanThreshold")
if not options.no_ce:
    ce = aws("ce")
    accounts = {"Dimensions": {"Key": "LINKED_ACCOUNT", "Values": ["210987654321"]}}
    monitor = ce.create_anomaly_monitor(AnomalyMonitor={"MonitorName": "theirs", "MonitorType": "CUSTOM", "MonitorSpecification": accounts})["MonitorArn"]
    ce.create_anomaly_subscription(AnomalySubscription={
        "SubscriptionName": "theirs", "MonitorArnList": [monitor], "Frequency": "WEEKLY", "Subscribers": [{"Type": "EMAIL", "Address": "them@example.com"}],
        "ThresholdExpression": {"Dimensions": {"Key": "ANOMALY_TOTAL_IMPACT_PERCENTAGE", "MatchOptions": ["GREATER_THAN_OR_EQUAL"], "Values": ["40"]}}})
