"""The account of the alarm tests: what alarms are made for, somebody else's alarms, and all alarms as boto3 sees them.

    alarms_account.py --endpoint URL resources      # relations between what seed.py made, in both regions
    alarms_account.py --endpoint URL foreign        # alarms of somebody else, in every form that the emulator keeps
    alarms_account.py --endpoint URL taken NAME     # somebody else's alarm with this name, its actions switched off
    alarms_account.py --endpoint URL drift          # what people do to an account in a week
    alarms_account.py --endpoint URL many N         # N alarms of somebody else
    alarms_account.py --endpoint URL points         # business metrics: fresh, old, and with other names and dimensions
    alarms_account.py --endpoint URL neglected      # an alarm for each finding about alarms, named after it
    alarms_account.py --endpoint URL snapshot       # JSON: {region: {name: all fields and tags}}
"""
import argparse
import datetime
import json
import sys
from concurrent.futures import ThreadPoolExecutor

from aws_clients import Clients

REGIONS = ["eu-west-1", "us-east-1"]
TYPES = ["MetricAlarm", "CompositeAlarm"]


def stat(identifier, metric, **more):
    return {"Id": identifier, "ReturnData": False,
            "MetricStat": {"Metric": {"Namespace": "Shop", "MetricName": metric, "Dimensions": [{"Name": "Stage", "Value": "prod"}]},
                           "Period": 60, "Stat": "Sum"}} | more


def foreign(topic):
    """Every field that PutMetricAlarm has, over the forms."""
    common = {"AlarmDescription": "theirs: ü & <b>", "EvaluationPeriods": 4, "DatapointsToAlarm": 2, "AlarmActions": [topic],
              "OKActions": [topic], "InsufficientDataActions": [topic], "Tags": [{"Key": "owner", "Value": "them"}]}
    single = {"Namespace": "Shop", "MetricName": "Failed", "Dimensions": [{"Name": "Stage", "Value": "prod"}], "Period": 60}
    over = {"ComparisonOperator": "GreaterThanOrEqualToThreshold", "Threshold": 0.1}
    return {
        "theirs-metric": common | single | over | {"Statistic": "Sum", "Unit": "Count", "TreatMissingData": "ignore", "ActionsEnabled": False},
        "theirs-percentile": common | single | over | {"ExtendedStatistic": "p99.9", "EvaluateLowSampleCountPercentile": "evaluate"},
        "theirs-math": common | over | {"TreatMissingData": "breaching", "Metrics": [
            stat("failed", "Failed"), stat("total", "Total", Label="all of them"),
            {"Id": "rate", "Expression": "100 * failed / total", "Label": "rate", "ReturnData": True}]},
        "theirs-anomaly": common | {"ComparisonOperator": "GreaterThanUpperThreshold", "ThresholdMetricId": "ad", "Metrics": [
            stat("m1", "Total", ReturnData=True), {"Id": "ad", "Expression": "ANOMALY_DETECTION_BAND(m1, 3)", "Label": "band", "ReturnData": True}]},
    }


def plain(name):
    return {"AlarmName": name, "Namespace": "Theirs", "MetricName": "Depth", "Statistic": "Maximum", "Period": 300, "EvaluationPeriods": 1,
            "Threshold": 5, "ComparisonOperator": "GreaterThanThreshold"}


class Account:
    def __init__(self, options):
        self.options, self.aws = options, Clients(options.endpoint, REGIONS[0])

    def resources(self):
        for region in REGIONS:
            sqs, rds, lambdas = (self.aws(service, region) for service in ("sqs", "rds", "lambda"))
            dead = sqs.get_queue_url(QueueName="queue-001")["QueueUrl"]
            arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
            policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 3})
            sqs.set_queue_attributes(QueueUrl=sqs.get_queue_url(QueueName="queue-000")["QueueUrl"], Attributes={"RedrivePolicy": policy})
            rds.modify_db_instance(DBInstanceIdentifier="db-000", DBInstanceClass="db.r6g.large", AllocatedStorage=200, StorageType="gp3",
                                   ApplyImmediately=True)
            lambdas.update_function_configuration(FunctionName="function-000", Timeout=45)

    def foreign(self):
        topic = self.aws("sns").create_topic(Name="theirs")["TopicArn"]
        cloudwatch = self.aws("cloudwatch")
        for name, fields in foreign(topic).items():
            cloudwatch.put_metric_alarm(AlarmName=name, **fields)
        if self.options.composite:
            cloudwatch.put_metric_alarm(**plain("theirs-part"))
            cloudwatch.put_composite_alarm(AlarmName="theirs-composite", AlarmRule='ALARM("theirs-part") AND NOT OK("theirs-part")',
                                           AlarmDescription="theirs", AlarmActions=[topic], OKActions=[topic], ActionsEnabled=False,
                                           Tags=[{"Key": "owner", "Value": "them"}])

    def taken(self):
        if self.options.composite:
            self.aws("cloudwatch").put_composite_alarm(AlarmName=self.options.rest[0], AlarmRule='ALARM("theirs-part")', AlarmDescription="theirs")
            return
        fields = foreign(f"arn:aws:sns:{REGIONS[0]}:{self.aws.account}:theirs")["theirs-metric"]
        self.aws("cloudwatch").put_metric_alarm(AlarmName=self.options.rest[0], **fields)

    def drift(self):
        """An alarm deleted, one changed, and the resource of others gone."""
        cloudwatch = self.aws("cloudwatch")
        cloudwatch.delete_alarms(AlarmNames=["shop-prod-rds-cpu-db-000", "shop-prod-rds-memory-db-000", "shop-prod-lambda-throttles-function-000",
                                             "shop-prod-sqs-age-queue-000", "shop-prod-cache-cpu-cache-000", "shop-prod-failures"])
        changed = cloudwatch.describe_alarms(AlarmNames=["shop-prod-sqs-dead-letters-queue-001"])["MetricAlarms"][0]
        keys = ("AlarmName", "Namespace", "MetricName", "Dimensions", "Statistic", "Period", "EvaluationPeriods", "ComparisonOperator", "AlarmActions")
        cloudwatch.put_metric_alarm(Threshold=17, ActionsEnabled=False, **{key: changed[key] for key in keys})
        self.aws("rds").delete_db_instance(DBInstanceIdentifier="db-001", SkipFinalSnapshot=True)
        self.aws("sqs").delete_queue(QueueUrl=self.aws("sqs").get_queue_url(QueueName="queue-003")["QueueUrl"])

    def many(self):
        cloudwatch = self.aws("cloudwatch")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda i: cloudwatch.put_metric_alarm(**plain(f"theirs-{i:05}")), range(int(self.options.rest[0]))))

    def points(self):
        now = datetime.datetime.now(datetime.UTC)
        stage = [{"Name": "Stage", "Value": "prod"}]
        for region, metric, age in ((REGIONS[0], "Failed", 0), (REGIONS[0], "Total", 3), (REGIONS[0], "Goods", 0), (REGIONS[1], "Milliseconds", 0)):
            self.aws("cloudwatch", region).put_metric_data(Namespace="Shop", MetricData=[
                {"MetricName": metric, "Dimensions": stage, "Value": 7, "Timestamp": now - datetime.timedelta(hours=age, minutes=6)}])

    def neglected(self):
        cloudwatch, sns, topics = self.aws("cloudwatch"), self.aws("sns"), {}
        there = self.aws("sqs").create_queue(QueueName="there")["QueueUrl"]
        queue = self.aws("sqs").get_queue_attributes(QueueUrl=there, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        for name in ("good", "silent", "waiting", "closed", "sealed"):
            topics[name] = sns.create_topic(Name=name)["TopicArn"]
            if name not in ("silent", "waiting"):
                sns.subscribe(TopicArn=topics[name], Protocol="sqs", Endpoint=queue)
        sns.subscribe(TopicArn=topics["waiting"], Protocol="email", Endpoint="ops@shop.example")
        deny = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "sns:Publish", "Resource": topics["closed"]}]}
        sns.set_topic_attributes(TopicArn=topics["closed"], AttributeName="Policy", AttributeValue=json.dumps(deny))
        sns.set_topic_attributes(TopicArn=topics["sealed"], AttributeName="KmsMasterKeyId", AttributeValue="alias/aws/sns")
        stage = [{"Name": "Stage", "Value": "prod"}]
        cloudwatch.put_metric_data(Namespace="Shop", MetricData=[{"MetricName": "Failed", "Dimensions": stage, "Value": 1}])
        cloudwatch.put_metric_data(Namespace="AWS/DynamoDB", MetricData=[{"MetricName": "SystemErrors", "Value": 1}])
        works = {"Namespace": "Shop", "MetricName": "Failed", "Dimensions": stage, "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1,
                 "ComparisonOperator": "GreaterThanThreshold", "AlarmActions": [topics["good"]]}
        for threshold, (name, more) in enumerate({
                "fine": {}, "no-action": {"AlarmActions": []}, "actions-disabled": {"ActionsEnabled": False},
                "action-nowhere": {"AlarmActions": [topics["good"].replace(":good", ":gone")]},
                "topic-silent": {"AlarmActions": [topics["silent"]]}, "topic-silent-2": {"AlarmActions": [topics["waiting"]]},
                "topic-refuses": {"AlarmActions": [topics["closed"]]}, "topic-refuses-2": {"AlarmActions": [topics["sealed"]]},
                "metric-missing": {"Dimensions": [{"Name": "Stage", "Value": "production"}]},
                "resource-gone": {"Namespace": "AWS/SQS", "MetricName": "ApproximateAgeOfOldestMessage",
                                  "Dimensions": [{"Name": "QueueName", "Value": "gone"}]},
                "missing-data": {"Namespace": "AWS/DynamoDB", "MetricName": "SystemErrors", "Dimensions": [], "TreatMissingData": "breaching"},
                "duplicate-of": {"Threshold": 99}, "duplicate": {"Threshold": 99}}.items()):
            cloudwatch.put_metric_alarm(**{"AlarmName": f"theirs-{name}", "Threshold": threshold} | works | more)

    def snapshot(self):
        found = {region: {} for region in REGIONS}
        for region in REGIONS:
            cloudwatch = self.aws("cloudwatch", region)
            for page in cloudwatch.get_paginator("describe_alarms").paginate(AlarmTypes=TYPES):
                for alarm in page.get("MetricAlarms", []) + page.get("CompositeAlarms", []):
                    tags = cloudwatch.list_tags_for_resource(ResourceARN=alarm["AlarmArn"])["Tags"]
                    found[region][alarm["AlarmName"]] = alarm | {"Tags": {tag["Key"]: tag["Value"] for tag in tags}}
        json.dump(found, sys.stdout, indent=1, default=str, ensure_ascii=False, sort_keys=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--composite", action="store_true", help="a composite alarm too")
    parser.add_argument("step", choices=["resources", "foreign", "taken", "drift", "many", "points", "neglected", "snapshot"])
    parser.add_argument("rest", nargs="*")
    options = parser.parse_args()
    getattr(Account(options), options.step)()


if __name__ == "__main__":
    main()
