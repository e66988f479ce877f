"""Everything that RDS tells of an account, field by field, but for LatestRestorableTime, which moves by itself.

    databases_snapshot.py --endpoint URL > FILE
"""
import argparse
import json
import sys

from aws_clients import Clients

LISTS = (("describe_db_instances", "DBInstances", "DBInstanceArn"), ("describe_db_clusters", "DBClusters", "DBClusterArn"),
         ("describe_db_snapshots", "DBSnapshots", "DBSnapshotArn"), ("describe_db_cluster_snapshots", "DBClusterSnapshots", "DBClusterSnapshotArn"))


def snapshot(aws):
    found = {}
    for operation, member, arn in LISTS:
        for page in aws.pages("rds", operation):
            for one in page[member]:
                one.pop("LatestRestorableTime", None)
                found[one[arn]] = one
    for table in aws("dynamodb").list_tables()["TableNames"]:
        one = aws("dynamodb").describe_table(TableName=table)["Table"]
        found[one["TableArn"]] = one
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--endpoint", required=True)
    options = parser.parse_args()
    json.dump(snapshot(Clients(options.endpoint, "eu-west-1", "123456789012")), sys.stdout, indent=1, sort_keys=True, default=str)


if __name__ == "__main__":
    main()
