"""Tables for restore drills: seed_tables.py --endpoint URL [--tables N] [--items N] [--region R]

The first is `Orders` (partition key, sort key, a global index, provisioned, tags, point-in-time recovery, one backup, created_at on each
item); the others are small and of all kinds.
"""
import argparse
import datetime

from aws_clients import Clients

parser = argparse.ArgumentParser()
parser.add_argument("--endpoint", required=True)
parser.add_argument("--tables", type=int, default=5)
parser.add_argument("--items", type=int, default=200)
parser.add_argument("--region", default="eu-west-1")
options = parser.parse_args()
dynamodb = Clients(options.endpoint, options.region)("dynamodb")
now = datetime.datetime.now(datetime.UTC)


def fill(name, items):
    for start in range(0, len(items), 25):
        dynamodb.batch_write_item(RequestItems={name: [{"PutRequest": {"Item": item}} for item in items[start:start + 25]]})


dynamodb.create_table(
    TableName="Orders", KeySchema=[{"AttributeName": "customer", "KeyType": "HASH"}, {"AttributeName": "order", "KeyType": "RANGE"}],
    AttributeDefinitions=[{"AttributeName": "customer", "AttributeType": "S"}, {"AttributeName": "order", "AttributeType": "N"},
                          {"AttributeName": "day", "AttributeType": "S"}],
    ProvisionedThroughput={"ReadCapacityUnits": 400, "WriteCapacityUnits": 400},
    GlobalSecondaryIndexes=[{"IndexName": "by-day", "KeySchema": [{"AttributeName": "day", "KeyType": "HASH"}],
                             "Projection": {"ProjectionType": "ALL"}, "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}}],
    Tags=[{"Key": "environment", "Value": "prod"}, {"Key": "team", "Value": "core"}], DeletionProtectionEnabled=True)
fill("Orders", [{"customer": {"S": f"c{i % 40}"}, "order": {"N": str(i)}, "day": {"S": now.date().isoformat()}, "total": {"N": "9.95"},
                 "created_at": {"S": (now - datetime.timedelta(minutes=i + 10)).isoformat(timespec="seconds")}} for i in range(options.items)])
dynamodb.update_continuous_backups(TableName="Orders", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True})
dynamodb.create_backup(TableName="Orders", BackupName="nightly")
for i in range(options.tables - 1):
    name = f"table-{i:02}"
    dynamodb.create_table(TableName=name, KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}], DeletionProtectionEnabled=i % 3 == 0,
                          AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "SNB"[i % 3]}], BillingMode="PAY_PER_REQUEST",
                          **({"Tags": [{"Key": "team", "Value": "data"}]} if i % 2 else {}))
    fill(name, [{"id": ({"S": f"k{n}"}, {"N": str(n)}, {"B": bytes([n])})[i % 3]} for n in range(i % 4)])
