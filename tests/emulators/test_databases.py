"""One test for each way in which moto_aws.py's databases are closer to AWS than moto's."""
import datetime
import email.utils
import urllib.error
import urllib.request

import pytest
from botocore.exceptions import ClientError

from conftest import ACCOUNT, REGION

ONE = {"Engine": "postgres", "EngineVersion": "16.4", "DBInstanceClass": "db.t3.micro", "AllocatedStorage": 20, "MasterUsername": "root",
       "MasterUserPassword": "not-a-secret"}
CLUSTER = {"Engine": "aurora-postgresql", "MasterUsername": "root", "MasterUserPassword": "not-a-secret"}


@pytest.fixture
def rds(aws):
    aws("rds").create_db_instance(DBInstanceIdentifier="d", BackupRetentionPeriod=7, DeletionProtection=True, CopyTagsToSnapshot=True,
                                  MultiAZ=True, Tags=[{"Key": "team", "Value": "core"}], **ONE)
    aws("rds").create_db_snapshot(DBInstanceIdentifier="d", DBSnapshotIdentifier="s")
    return aws("rds")


def settings(moto, **asked):
    moto.door("POST", "rds", asked)


def one(rds, name="d"):
    return rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]


def restore(rds, name="r", **more):
    return rds.restore_db_instance_from_db_snapshot(DBInstanceIdentifier=name, DBSnapshotIdentifier="s", **more)["DBInstance"]


def refused(code, call, **params):
    with pytest.raises(ClientError) as e:
        call(**params)
    assert e.value.response["Error"]["Code"] == code, e.value


def keys(found):
    return sorted(tag["Key"] for tag in found["TagList"])


def test_every_instance_has_a_resource_id_of_its_own(rds):
    rds.create_db_instance(DBInstanceIdentifier="e", **ONE)
    ids = {found["DbiResourceId"] for found in rds.describe_db_instances()["DBInstances"]}
    assert len(ids) == 2
    by_id = rds.describe_db_snapshots(Filters=[{"Name": "dbi-resource-id", "Values": [one(rds)["DbiResourceId"]]}])["DBSnapshots"]
    assert {s["DBInstanceIdentifier"] for s in by_id} == {"d"} and all(s["DbiResourceId"] == one(rds)["DbiResourceId"] for s in by_id)


def test_copies_are_as_they_were_asked_for(rds):
    asked = {"PubliclyAccessible": False, "BackupRetentionPeriod": 0, "DeletionProtection": False, "MultiAZ": False, "CopyTagsToSnapshot": False}
    tags = [{"Key": "drill", "Value": "x"}]
    for made in (restore(rds, Tags=tags, **asked),
                 rds.restore_db_instance_to_point_in_time(SourceDBInstanceIdentifier="d", TargetDBInstanceIdentifier="p", UseLatestRestorableTime=True,
                                                          Tags=tags, **asked)["DBInstance"]):
        assert {key: made[key] for key in asked} == asked and made["TagList"] == tags
        assert made["DbiResourceId"] != one(rds)["DbiResourceId"]
    snapshots = rds.describe_db_snapshots(SnapshotType="automated")["DBSnapshots"]
    assert {s["DBInstanceIdentifier"] for s in snapshots} == {"d"}


def test_copies_take_over_what_was_not_asked_for(rds):
    made = restore(rds)
    assert made["PubliclyAccessible"] and keys(made) == ["team"] and not made["DeletionProtection"]


def test_default_option_groups_are_there(rds):
    group = one(rds)["OptionGroupMemberships"][0]["OptionGroupName"]
    made = restore(rds, OptionGroupName=group)
    assert made["OptionGroupMemberships"][0]["OptionGroupName"] == group
    refused("OptionGroupNotFoundFault", rds.restore_db_instance_from_db_snapshot, DBInstanceIdentifier="q", DBSnapshotIdentifier="s", OptionGroupName="nix")


def test_times_of_backups(moto, rds):
    snapshot = rds.describe_db_snapshots(DBSnapshotIdentifier="s")["DBSnapshots"][0]
    assert snapshot["SnapshotDatabaseTime"] <= snapshot["SnapshotCreateTime"]
    settings(moto, clock=3600)
    looks = [one(rds)["LatestRestorableTime"] for _ in range(3)]
    latest = looks[1]  # every five minutes it moves between two looks
    assert latest in (looks[0], looks[2]) and latest.minute % 5 == 0 and latest.second == 0
    rds.create_db_instance(DBInstanceIdentifier="without", BackupRetentionPeriod=0, **ONE)
    assert "LatestRestorableTime" not in one(rds, "without")


def test_states_last_for_so_many_looks(moto, rds):
    settings(moto, states=["creating", "backing-up"])
    made = restore(rds)
    assert made["DBInstanceStatus"] == "creating" and "Endpoint" not in made and "InstanceCreateTime" not in made
    looks = [one(rds, "r") for _ in range(5)]
    assert [look["DBInstanceStatus"] for look in looks] == ["creating", "creating", "backing-up", "available", "available"]
    assert "Endpoint" in looks[2] and "InstanceCreateTime" in looks[2]
    assert one(rds)["DBInstanceStatus"] == "available"


def test_failure_states(moto, rds):
    settings(moto, ends="incompatible-restore")
    restore(rds)
    assert [one(rds, "r")["DBInstanceStatus"] for _ in range(3)][1:] == ["incompatible-restore"] * 2
    rds.delete_db_instance(DBInstanceIdentifier="r", SkipFinalSnapshot=True)


def test_busy_databases_refuse_and_deleting_takes_time(moto, rds):
    settings(moto, states=["creating"], deleting=2)
    restore(rds)
    refused("InvalidDBInstanceState", rds.delete_db_instance, DBInstanceIdentifier="r", SkipFinalSnapshot=True)
    for _ in range(3):
        one(rds, "r")
    rds.delete_db_instance(DBInstanceIdentifier="r", SkipFinalSnapshot=True)
    assert [one(rds, "r")["DBInstanceStatus"] for _ in range(2)] == ["deleting"] * 2
    refused("DBInstanceNotFound", rds.describe_db_instances, DBInstanceIdentifier="r")


def test_a_new_password_takes_a_while(rds):
    restore(rds)
    rds.modify_db_instance(DBInstanceIdentifier="r", MasterUserPassword="another-one", ApplyImmediately=True)
    looks = [one(rds, "r") for _ in range(3)]
    assert [look["DBInstanceStatus"] for look in looks] == ["available", "resetting-master-credentials", "available"]
    assert [bool(look.get("PendingModifiedValues")) for look in looks] == [True, True, False]


def test_tags_public_protected_unseen_on_demand(moto, rds):
    settings(moto, inherit_tags=True, public=True, protected=True, unseen=2)
    made = restore(rds, Tags=[{"Key": "drill", "Value": "x"}], PubliclyAccessible=False, DeletionProtection=False)
    assert keys(made) == ["drill", "team"] and made["PubliclyAccessible"] and made["DeletionProtection"]
    for _ in range(2):
        refused("DBInstanceNotFound", rds.describe_db_instances, DBInstanceIdentifier="r")
    assert one(rds, "r")["DBInstanceStatus"] == "available"


def test_clusters(moto, aws):
    rds = aws("rds")
    rds.create_db_cluster(DBClusterIdentifier="c", DeletionProtection=True, Tags=[{"Key": "team", "Value": "core"}], **CLUSTER)
    rds.create_db_cluster_snapshot(DBClusterIdentifier="c", DBClusterSnapshotIdentifier="cs")
    asked = {"DeletionProtection": False, "Tags": [{"Key": "drill", "Value": "x"}]}
    settings(moto, states=["creating"])
    one = rds.restore_db_cluster_from_snapshot(DBClusterIdentifier="r", SnapshotIdentifier="cs", Engine="aurora-postgresql", **asked)["DBCluster"]
    two = rds.restore_db_cluster_to_point_in_time(DBClusterIdentifier="p", SourceDBClusterIdentifier="c", UseLatestRestorableTime=True, **asked)["DBCluster"]
    for made in (one, two):
        assert made["Status"] == "creating" and not made["DeletionProtection"] and keys(made) == ["drill"]
    refused("DBClusterAlreadyExistsFault", rds.restore_db_cluster_from_snapshot, DBClusterIdentifier="r", SnapshotIdentifier="cs",
            Engine="aurora-postgresql")
    looks = [rds.describe_db_clusters(DBClusterIdentifier="r")["DBClusters"][0]["Status"] for _ in range(4)]
    assert looks == ["creating", "creating", "available", "available"]
    rds.delete_db_cluster(DBClusterIdentifier="r", SkipFinalSnapshot=True)
    left = rds.describe_db_cluster_snapshots(SnapshotType="automated")["DBClusterSnapshots"]
    assert "r" not in {s["DBClusterIdentifier"] for s in left}


def test_quotas(moto, rds):
    settings(moto, quotas={"DBInstances": 40})
    assert rds.describe_account_attributes()["AccountQuotas"] == [{"AccountQuotaName": "DBInstances", "Used": 1, "Max": 40}]


def test_the_clock(moto, rds):
    settings(moto, clock=-7200)
    made = restore(rds)
    with urllib.request.urlopen(f"{moto.endpoint}/_opsctl/calls") as answer:
        shown = email.utils.parsedate_to_datetime(answer.headers["Date"])
    here = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=2)
    assert abs(shown - here) < datetime.timedelta(seconds=10) and abs(made["InstanceCreateTime"] - here) < datetime.timedelta(seconds=10)


def test_renames_settling_and_forgetting(moto, rds):
    restore(rds)
    before = one(rds, "r")
    settings(moto, rename={"r": "other"})
    after = one(rds, "other")
    assert after["DbiResourceId"] == before["DbiResourceId"] and after["DBInstanceArn"] == f"arn:aws:rds:{REGION}:{ACCOUNT}:db:other"
    settings(moto, states=["creating"] * 9)
    restore(rds, "slow")
    settings(moto, settle="slow", forget="d")
    left = {s["DBInstanceIdentifier"] for s in rds.describe_db_snapshots()["DBSnapshots"]}
    assert one(rds, "slow")["DBInstanceStatus"] == "available" and "d" not in left


def test_everything_is_put_back(moto, rds):
    settings(moto, states=["creating"], clock=3600, unseen=1)
    moto.door("DELETE", "rds")
    assert restore(rds)["DBInstanceStatus"] == "available" and one(rds, "r")
    with pytest.raises(urllib.error.HTTPError):
        settings(moto, nonsense=1)
