"""An account full of databases for restore drills.

    seed_databases.py --endpoint URL [--databases 40]

`orders` is the one that is drilled: in a subnet group, with tags, a snapshot, and a replica. Among the others are a production
database whose name begins with `drill-`, one that bears the tag of a drill, and protected ones. `shop` is an Aurora cluster.
"""
import argparse

from aws_clients import Clients

LOGIN = {"MasterUsername": "postgres", "MasterUserPassword": "not-a-secret"}


def tags(**pairs):
    return [{"Key": key.replace("_", ":", 1), "Value": value} for key, value in pairs.items()]


def seed(aws, count):
    ec2, rds = aws("ec2"), aws("rds")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnets = [ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{i}.0/24", AvailabilityZone=f"eu-west-1{zone}")["Subnet"]["SubnetId"]
               for i, zone in enumerate("ab")]
    group = ec2.create_security_group(VpcId=vpc, GroupName="databases", Description="databases")["GroupId"]
    rds.create_db_subnet_group(DBSubnetGroupName="private", DBSubnetGroupDescription="private", SubnetIds=subnets)
    instance = {"Engine": "postgres", "EngineVersion": "16.4", "DBInstanceClass": "db.t4g.medium", "AllocatedStorage": 20, **LOGIN}
    rds.create_db_instance(DBInstanceIdentifier="orders", DBName="shop", DBSubnetGroupName="private", VpcSecurityGroupIds=[group],
                           BackupRetentionPeriod=7, DeletionProtection=True, MultiAZ=True, CopyTagsToSnapshot=True,
                           Tags=tags(project="shop", environment="prod", team="core"), **instance)
    rds.create_db_snapshot(DBInstanceIdentifier="orders", DBSnapshotIdentifier="orders-by-hand")
    rds.create_db_instance_read_replica(DBInstanceIdentifier="orders-replica", SourceDBInstanceIdentifier="orders")
    # Named like a copy, and nobody's copy.
    rds.create_db_instance(DBInstanceIdentifier="drill-machine-prod", BackupRetentionPeriod=7, Tags=tags(team="core"), **instance)
    # Restored by hand from a copy of a drill: it took over the tags.
    taken = tags(opsctl_drill="20260101T000000Z-abcdef", team="core")
    rds.create_db_instance(DBInstanceIdentifier="reports", BackupRetentionPeriod=7, Tags=taken, **instance)
    rds.create_db_instance(DBInstanceIdentifier="drill-reports", BackupRetentionPeriod=7, Tags=taken, **instance)
    for i in range(5, count):
        rds.create_db_instance(DBInstanceIdentifier=f"db-{i:02}", BackupRetentionPeriod=i % 8, DeletionProtection=i % 3 == 0,
                               Tags=tags(team=f"team-{i % 4}"), **instance)
    rds.create_db_cluster(DBClusterIdentifier="shop", Engine="aurora-postgresql", EngineVersion="16.4", DatabaseName="shop", DBSubnetGroupName="private",
                          VpcSecurityGroupIds=[group], DeletionProtection=True, BackupRetentionPeriod=7, Tags=tags(team="core"), **LOGIN)
    for name in ("shop-1", "shop-2"):
        rds.create_db_instance(DBInstanceIdentifier=name, DBClusterIdentifier="shop", Engine="aurora-postgresql", DBInstanceClass="db.r6g.large")
    rds.create_db_cluster_snapshot(DBClusterIdentifier="shop", DBClusterSnapshotIdentifier="shop-by-hand", Tags=tags(team="core"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--databases", type=int, default=40, help="instances besides those of the cluster")
    options = parser.parse_args()
    seed(Clients(options.endpoint, "eu-west-1", "123456789012"), options.databases)


if __name__ == "__main__":
    main()
