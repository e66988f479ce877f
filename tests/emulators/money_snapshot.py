"""What an emulated account holds of money, read with boto3: money_snapshot.py --endpoint URL [--no-ce] > FILE

JSON: {"budgets": {name: {"budget", "alerts": {notification: [subscriber, ...]}, "tags"}}, "topics": {ARN: {"policy", "subscriptions", "tags"}},
"alarms": {ARN: {...}}, "monitors": {name: {...}}, "subscriptions": {name: {...}}, "cost_tags": {key: status}}. What only the service sets (times,
states, spend) is left out, ARNs of monitors are replaced by names.
"""
import argparse
import json
import sys

from aws_clients import Clients

parser = argparse.ArgumentParser()
parser.add_argument("--endpoint", required=True)
parser.add_argument("--no-ce", action="store_true")
options = parser.parse_args()
aws = Clients(options.endpoint, "us-east-1")
SERVED = {"CalculatedSpend", "LastUpdatedTime", "HealthStatus", "TimePeriod"}
ALARM = {"StateValue", "StateReason", "StateReasonData", "StateUpdatedTimestamp", "StateTransitionedTimestamp", "AlarmConfigurationUpdatedTimestamp"}


def pairs(tags):
    return {tag["Key"]: tag["Value"] for tag in tags}


def budgets():
    client, of = aws("budgets"), {"AccountId": aws.account}
    for page in aws.pages("budgets", "describe_budgets", ShowFilterExpression=True, **of):
        for found in page.get("Budgets", []):
            name, alerts = found["BudgetName"], {}
            for one in client.describe_notifications_for_budget(BudgetName=name, **of).get("Notifications", []):
                one.pop("NotificationState", None)
                told = client.describe_subscribers_for_notification(BudgetName=name, Notification=one, **of)["Subscribers"]
                kind = "{NotificationType} {ComparisonOperator} {Threshold:g} {ThresholdType}".format(**one)
                alerts[kind] = sorted(f"{s['SubscriptionType']}:{s['Address']}" for s in told)
            tags = client.list_tags_for_resource(ResourceARN=f"arn:aws:budgets::{aws.account}:budget/{name}")
            yield name, {"budget": {k: v for k, v in found.items() if k not in SERVED}, "alerts": alerts, "tags": pairs(tags.get("ResourceTags", []))}


def topics():
    for region in ("us-east-1", "eu-west-1"):
        client = aws("sns", region)
        for found in client.list_topics()["Topics"]:
            arn = found["TopicArn"]
            told = client.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"]
            yield arn, {"policy": json.loads(client.get_topic_attributes(TopicArn=arn)["Attributes"]["Policy"]),
                        "subscriptions": sorted(f"{s['Protocol']}:{s['Endpoint']}" for s in told),
                        "tags": pairs(client.list_tags_for_resource(ResourceArn=arn)["Tags"])}


def alarms():
    client = aws("cloudwatch")
    for found in client.describe_alarms()["MetricAlarms"]:
        tags = pairs(client.list_tags_for_resource(ResourceARN=found["AlarmArn"])["Tags"])
        yield found["AlarmArn"], {k: v for k, v in found.items() if k not in ALARM} | {"tags": tags}


def everything(operation, member):
    token = {}
    while True:
        page = getattr(aws("ce"), operation)(**token)
        yield from page[member]
        if not page.get("NextPageToken"):
            return
        token = {"NextPageToken": page["NextPageToken"]}


def main():
    found = {"budgets": dict(budgets()), "topics": dict(topics()), "alarms": dict(alarms())}
    if not options.no_ce:
        monitors = {m["MonitorArn"]: m for m in everything("get_anomaly_monitors", "AnomalyMonitors")}
        found["monitors"] = {m["MonitorName"]: {k: v for k, v in m.items() if k.startswith("Monitor") and k != "MonitorArn"} for m in monitors.values()}
        assert len(found["monitors"]) == len(monitors), f"a monitor twice: {monitors}"
        found["subscriptions"] = {}
        for one in everything("get_anomaly_subscriptions", "AnomalySubscriptions"):
            assert one["SubscriptionName"] not in found["subscriptions"], f"a subscription twice: {one}"
            one["MonitorArnList"] = sorted(monitors[arn]["MonitorName"] for arn in one["MonitorArnList"])
            found["subscriptions"][one.pop("SubscriptionName")] = {k: v for k, v in one.items() if k != "SubscriptionArn"}
        found["cost_tags"] = {t["TagKey"]: t["Status"] for t in aws("ce").list_cost_allocation_tags()["CostAllocationTags"]}
    json.dump(found, sys.stdout, indent=1, sort_keys=True)
    print()


if __name__ == "__main__":
    main()
