"""What an emulated account holds, read with boto3 from each service itself and never through the tagging API.

    snapshot.py --endpoint URL [--region eu-west-1] [--account ID] [--services s3,rds,...] > FILE

JSON: {arn: {"tags": {...}, "lifecycle": null or {"rules": [...], "min_size": ...}}}. A lifecycle rule is its XML as a
structure, unknown elements included: {element: [content, ...]}, where content is text or such a structure.
"""
import argparse
import datetime
import json
import sys
from xml.etree import ElementTree

from aws_clients import Clients, get_lifecycle

HOLLOW = {"Filter", "And"}  # elements in which white space means nothing


def structure(node):
    name = node.tag.rpartition("}")[2]
    attributes = {f"@{key.rpartition('}')[2]}": [value] for key, value in node.attrib.items()}
    if not len(node) and not attributes:
        text = node.text or ""
        if name == "Date":
            return datetime.datetime.fromisoformat(text.strip()).isoformat()
        return text.strip() if name in HOLLOW else text
    found = attributes
    for child in node:
        found.setdefault(child.tag.rpartition("}")[2], []).append(structure(child))
    if not len(node) and node.text:
        found["text()"] = [node.text]
    return {key: sorted(found[key], key=json.dumps) for key in sorted(found)}


def rules(xml):
    return sorted(map(structure, ElementTree.fromstring(xml)), key=lambda rule: rule.get("ID", [""]))


def plain(pairs):
    tags = {pair["Key"]: pair.get("Value", "") for pair in pairs}
    assert len(tags) == len(pairs), f"a tag key twice: {pairs}"
    return tags


class Reader:
    def __init__(self, aws):
        self.aws = aws

    def all(self, service, operation, member, **params):
        for page in self.aws.pages(service, operation, **params):
            yield from page.get(member, [])

    def s3(self):
        for bucket in self.all("s3", "list_buckets", "Buckets"):
            name = bucket["Name"]
            s3 = self.aws("s3")
            region = s3.get_bucket_location(Bucket=name)["LocationConstraint"] or "us-east-1"
            s3 = self.aws("s3", {"EU": "eu-west-1"}.get(region, region))
            try:
                tags = plain(s3.get_bucket_tagging(Bucket=name)["TagSet"])
            except s3.exceptions.ClientError as e:
                if e.response["Error"]["Code"] != "NoSuchTagSet":
                    raise
                tags = {}
            found = get_lifecycle(s3, name)
            yield f"arn:aws:s3:::{name}", tags, found and {"rules": rules(found[0]), "min_size": found[1]}

    def rds(self):
        for operation, member, arn in (("describe_db_instances", "DBInstances", "DBInstanceArn"), ("describe_db_clusters", "DBClusters", "DBClusterArn"),
                                       ("describe_db_snapshots", "DBSnapshots", "DBSnapshotArn"),
                                       ("describe_db_cluster_snapshots", "DBClusterSnapshots", "DBClusterSnapshotArn")):
            for found in self.all("rds", operation, member):
                yield found[arn], plain(self.aws("rds").list_tags_for_resource(ResourceName=found[arn])["TagList"])

    def lambda_(self):
        for found in self.all("lambda", "list_functions", "Functions"):
            yield found["FunctionArn"], self.aws("lambda").list_tags(Resource=found["FunctionArn"]).get("Tags", {})

    def dynamodb(self):
        for name in self.all("dynamodb", "list_tables", "TableNames"):
            arn = self.aws("dynamodb").describe_table(TableName=name)["Table"]["TableArn"]
            yield arn, plain(list(self.all("dynamodb", "list_tags_of_resource", "Tags", ResourceArn=arn)))

    def sqs(self):
        for url in self.all("sqs", "list_queues", "QueueUrls"):
            arn = self.aws("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
            yield arn, self.aws("sqs").list_queue_tags(QueueUrl=url).get("Tags", {})

    def sns(self):
        for topic in self.all("sns", "list_topics", "Topics"):
            yield topic["TopicArn"], plain(self.aws("sns").list_tags_for_resource(ResourceArn=topic["TopicArn"])["Tags"])

    def cloudwatch(self):
        for page in self.aws.pages("cloudwatch", "describe_alarms", AlarmTypes=["MetricAlarm", "CompositeAlarm"]):
            for alarm in page.get("MetricAlarms", []) + page.get("CompositeAlarms", []):
                yield alarm["AlarmArn"], plain(self.aws("cloudwatch").list_tags_for_resource(ResourceARN=alarm["AlarmArn"])["Tags"])

    def logs(self):
        for group in self.all("logs", "describe_log_groups", "logGroups"):
            arn = group["arn"].removesuffix(":*")
            yield arn, self.aws("logs").list_tags_for_resource(resourceArn=arn).get("tags", {})

    def elasticache(self):
        for found in self.all("elasticache", "describe_cache_clusters", "CacheClusters"):
            yield found["ARN"], plain(self.aws("elasticache").list_tags_for_resource(ResourceName=found["ARN"])["TagList"])


SERVICES = ["s3", "rds", "lambda", "dynamodb", "sqs", "sns", "cloudwatch", "logs", "elasticache"]


def snapshot(endpoint, region="eu-west-1", services=SERVICES, account="123456789012"):
    reader, found = Reader(Clients(endpoint, region, account)), {}
    for service in services:
        for arn, tags, *lifecycle in getattr(reader, "lambda_" if service == "lambda" else service)():
            found[arn] = {"tags": dict(sorted(tags.items())), "lifecycle": lifecycle[0] if lifecycle else None}
    return dict(sorted(found.items()))


def main():
    parser = argparse.ArgumentParser(description="what an emulated account holds")
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--region", default="eu-west-1")
    parser.add_argument("--account", default="123456789012")
    parser.add_argument("--services", type=lambda text: text.split(","), default=SERVICES)
    options = parser.parse_args()
    json.dump(snapshot(options.endpoint, options.region, options.services, options.account), sys.stdout, indent=1, ensure_ascii=False)
    print()


if __name__ == "__main__":
    main()
