"""The account of the backup tests: databases, tables and buckets in every state, and all that boto3 sees of them.

    backups_account.py --endpoint URL resources     # see RESOURCES below
    backups_account.py --endpoint URL class NAME    # a change of its class waits for the maintenance window
    backups_account.py --endpoint URL snapshot      # JSON: {arn: everything that its service says}
    backups_account.py --endpoint URL metrics       # JSON: the newest value of every metric of opsctl/Drill by name and drill
"""
import argparse
import datetime
import json
import sys

from aws_clients import Clients

REGION = "eu-west-1"
OWN = {"DBInstanceClass": "db.t3.medium", "Engine": "postgres", "AllocatedStorage": 20, "MasterUsername": "u", "MasterUserPassword": "password-1"}
STRONG = {"BackupRetentionPeriod": 30, "DeletionProtection": True, "CopyTagsToSnapshot": True}


def pairs(**tags):
    return [{"Key": key.replace("__", ":"), "Value": value} for key, value in tags.items()]


# A copy of a drill bears all three, and a name of one.
DRILL = [{"Key": "opsctl:drill", "Value": "20261122T104000Z-0a1b2c"}, {"Key": "opsctl:drill-source", "Value": "db-SOURCE"},
         {"Key": "opsctl:drill-intent", "Value": "2026-11-22T10:40:00Z"}]


class Account:
    def __init__(self, options):
        self.options, self.aws = options, Clients(options.endpoint, REGION)

    def resources(self):
        rds, dynamodb, s3 = (self.aws(service) for service in ("rds", "dynamodb", "s3"))

        def instance(name, tags=(), **more):
            rds.create_db_instance(DBInstanceIdentifier=name, Tags=[*pairs(team="core"), *tags], **(OWN | more))

        instance("weak", BackupRetentionPeriod=1)
        instance("strong", **STRONG, MultiAZ=True)
        instance("off", BackupRetentionPeriod=0, DeletionProtection=True, CopyTagsToSnapshot=True)
        instance("waiting", BackupRetentionPeriod=1)
        rds.modify_db_instance(DBInstanceIdentifier="waiting", DBInstanceClass="db.t3.large")
        instance("sealed", BackupRetentionPeriod=1, StorageEncrypted=True)
        instance("theirs", pairs(ManagedBy="terraform"), BackupRetentionPeriod=1)
        instance("ignored", pairs(opsctl__ignore="ours to break"), BackupRetentionPeriod=1)
        instance("drill-weak-1", DRILL, BackupRetentionPeriod=0)
        rds.create_db_instance_read_replica(DBInstanceIdentifier="weak-replica", SourceDBInstanceIdentifier="weak")
        rds.create_db_cluster(DBClusterIdentifier="main", Engine="aurora-postgresql", MasterUsername="u", MasterUserPassword="password-1")
        rds.create_db_instance(DBInstanceIdentifier="main-1", DBClusterIdentifier="main", Engine="aurora-postgresql", DBInstanceClass="db.r5.large")
        for name in ("kept", "lent", "public"):
            rds.create_db_snapshot(DBInstanceIdentifier="sealed" if name == "kept" else "weak", DBSnapshotIdentifier=name)
        rds.modify_db_snapshot_attribute(DBSnapshotIdentifier="lent", AttributeName="restore", ValuesToAdd=["111122223333"])
        rds.modify_db_snapshot_attribute(DBSnapshotIdentifier="public", AttributeName="restore", ValuesToAdd=["all"])
        rds.create_db_cluster_snapshot(DBClusterIdentifier="main", DBClusterSnapshotIdentifier="main-before")
        for name in ("carts", "done"):
            dynamodb.create_table(TableName=name, BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
                                  AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}], Tags=pairs(team="core"))
        dynamodb.update_continuous_backups(TableName="done", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True})
        for name, state in (("shop-backups", None), ("pg-dumps", "Suspended"), ("old-backup", "Enabled"), ("images", None)):
            s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
            if state:
                s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": state})
            s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": pairs(team="core")})

    def klass(self):
        self.aws("rds").modify_db_instance(DBInstanceIdentifier=self.options.name, DBInstanceClass="db.t3.large")

    def snapshot(self):
        found = {}
        rds, dynamodb, s3 = (self.aws(service) for service in ("rds", "dynamodb", "s3"))
        for page in self.aws.pages("rds", "describe_db_instances"):
            found |= {one["DBInstanceArn"]: one for one in page["DBInstances"]}
        for page in self.aws.pages("rds", "describe_db_clusters"):
            found |= {one["DBClusterArn"]: one for one in page["DBClusters"]}
        for page in self.aws.pages("rds", "describe_db_snapshots"):
            for one in page["DBSnapshots"]:
                attributes = rds.describe_db_snapshot_attributes(DBSnapshotIdentifier=one["DBSnapshotIdentifier"])
                found[one["DBSnapshotArn"]] = one | attributes["DBSnapshotAttributesResult"]
        for name in dynamodb.list_tables()["TableNames"]:
            table = dynamodb.describe_table(TableName=name)["Table"]
            recovery = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
            found[table["TableArn"]] = table | {"recovery": recovery["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"]}
        for bucket in s3.list_buckets()["Buckets"]:
            name = bucket["Name"]
            found[f"arn:aws:s3:::{name}"] = {"versioning": s3.get_bucket_versioning(Bucket=name).get("Status"),
                                             "tags": s3.get_bucket_tagging(Bucket=name)["TagSet"]}
        for one in found.values():
            if not one.get("PendingModifiedValues", True):
                del one["PendingModifiedValues"]
            # moto moves these at every look.
            for moving in ("LatestRestorableTime", "EarliestRestorableTime"):
                one.pop(moving, None)
        json.dump(dict(sorted(found.items())), sys.stdout, default=str, indent=1)

    def metrics(self):
        cloudwatch, now = self.aws("cloudwatch"), datetime.datetime.now(datetime.UTC)
        out = {}
        for page in self.aws.pages("cloudwatch", "list_metrics", Namespace="opsctl/Drill"):
            for metric in page["Metrics"]:
                query = {"Id": "q", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Average"}}
                points = cloudwatch.get_metric_data(MetricDataQueries=[query], StartTime=now - datetime.timedelta(hours=1),
                                                    EndTime=now + datetime.timedelta(hours=1), ScanBy="TimestampAscending")
                dimensions = {d["Name"]: d["Value"] for d in metric["Dimensions"]}
                name = f"{metric['MetricName']} {dimensions['Project']} {dimensions['Environment']} {dimensions['Drill']}"
                out[name] = points["MetricDataResults"][0]["Values"][-1:]
        json.dump(out, sys.stdout)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("what", choices=["resources", "class", "snapshot", "metrics"])
    parser.add_argument("name", nargs="?")
    options = parser.parse_args()
    account = Account(options)
    {"resources": account.resources, "class": account.klass, "snapshot": account.snapshot, "metrics": account.metrics}[options.what]()


if __name__ == "__main__":
    main()
