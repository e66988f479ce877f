"""All tables with their descriptions, tags, recovery, backups and items, by ARN: tables_snapshot.py --endpoint URL [--region R]

Point-in-time recovery without LatestRestorableDateTime, which moves by itself.
"""
import argparse
import json
import sys

from aws_clients import Clients

parser = argparse.ArgumentParser()
parser.add_argument("--endpoint", required=True)
parser.add_argument("--region", default="eu-west-1")
options = parser.parse_args()
aws = Clients(options.endpoint, options.region)
dynamodb = aws("dynamodb")
found = {}
for page in aws.pages("dynamodb", "list_tables"):
    for name in page["TableNames"]:
        try:
            table = dynamodb.describe_table(TableName=name)["Table"]
        except dynamodb.exceptions.ResourceNotFoundException:
            continue
        recovery = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
        recovery.get("PointInTimeRecoveryDescription", {}).pop("LatestRestorableDateTime", None)
        items = None
        if table["TableStatus"] == "ACTIVE":
            items = [item for page in aws.pages("dynamodb", "scan", TableName=name) for item in page["Items"]]
        found[table["TableArn"]] = table | {
            "Tags": dynamodb.list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"], "Recovery": recovery, "Items": items,
            "Backups": dynamodb.list_backups(TableName=name)["BackupSummaries"]}
json.dump(found, sys.stdout, default=str)
