"""One test for each way in which backups.py is closer to AWS than moto."""
import pytest
from botocore.exceptions import ClientError

PLACES = {"DBInstanceClass": "db.t3.micro", "Engine": "postgres", "AllocatedStorage": 20, "MasterUsername": "u", "MasterUserPassword": "password-1"}


def made(aws, name="orders", **more):
    aws("rds").create_db_instance(DBInstanceIdentifier=name, **PLACES, **more)
    return found(aws, name)


def found(aws, name="orders"):
    return aws("rds").describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]


def refused(code, call, **kwargs):
    with pytest.raises(ClientError) as e:
        call(**kwargs)
    assert e.value.response["Error"]["Code"] == code, e.value


def test_a_class_waits_for_the_maintenance_window_unless_told_otherwise(aws):
    made(aws)
    aws("rds").modify_db_instance(DBInstanceIdentifier="orders", DBInstanceClass="db.t3.large", DeletionProtection=True)
    now = found(aws)
    assert now["DBInstanceClass"] == "db.t3.micro" and now["PendingModifiedValues"] == {"DBInstanceClass": "db.t3.large"}
    assert now["DeletionProtection"], "this does not wait"
    aws("rds").modify_db_instance(DBInstanceIdentifier="orders", CopyTagsToSnapshot=True, ApplyImmediately=True)
    now = found(aws)
    assert now["DBInstanceClass"] == "db.t3.large" and not now.get("PendingModifiedValues"), "what waited went with it"


def test_a_retention_waits_only_between_none_and_some(aws):
    made(aws, BackupRetentionPeriod=1)
    aws("rds").modify_db_instance(DBInstanceIdentifier="orders", BackupRetentionPeriod=7)
    assert found(aws)["BackupRetentionPeriod"] == 7
    made(aws, "old", BackupRetentionPeriod=0)
    aws("rds").modify_db_instance(DBInstanceIdentifier="old", BackupRetentionPeriod=7)
    assert found(aws, "old")["BackupRetentionPeriod"] == 0
    assert found(aws, "old")["PendingModifiedValues"] == {"BackupRetentionPeriod": 7}
    aws("rds").modify_db_instance(DBInstanceIdentifier="old", BackupRetentionPeriod=7, ApplyImmediately=True)
    assert found(aws, "old")["BackupRetentionPeriod"] == 7
    refused("InvalidParameterValue", aws("rds").modify_db_instance, DBInstanceIdentifier="old", BackupRetentionPeriod=36)


def test_automated_backups_are_copied_to_another_region(aws):
    source = made(aws, BackupRetentionPeriod=7)
    there = aws("rds", "eu-central-1")
    there.start_db_instance_automated_backups_replication(SourceDBInstanceArn=source["DBInstanceArn"], BackupRetentionPeriod=14)
    copies = there.describe_db_instance_automated_backups(DbiResourceId=source["DbiResourceId"])["DBInstanceAutomatedBackups"]
    assert [(c["Region"], c["BackupRetentionPeriod"], c["DBInstanceIdentifier"]) for c in copies] == [("eu-west-1", 14, "orders")]
    told = found(aws)["DBInstanceAutomatedBackupsReplications"]
    assert [c["DBInstanceAutomatedBackupsArn"].split(":")[3] for c in told] == ["eu-central-1"]
    refused("InvalidDBInstanceAutomatedBackupState", there.start_db_instance_automated_backups_replication, SourceDBInstanceArn=source["DBInstanceArn"])


def test_a_copy_needs_backups_and_a_key_where_the_source_has_one(aws):
    there = aws("rds", "eu-central-1")
    none = made(aws, "none", BackupRetentionPeriod=0)
    refused("InvalidDBInstanceState", there.start_db_instance_automated_backups_replication, SourceDBInstanceArn=none["DBInstanceArn"])
    sealed = made(aws, "sealed", BackupRetentionPeriod=7, StorageEncrypted=True)
    refused("InvalidParameterCombination", there.start_db_instance_automated_backups_replication, SourceDBInstanceArn=sealed["DBInstanceArn"])
    there.start_db_instance_automated_backups_replication(SourceDBInstanceArn=sealed["DBInstanceArn"], KmsKeyId="alias/aws/rds")


def test_versioning_is_told_in_the_element_of_s3(aws, moto):
    aws("s3").create_bucket(Bucket="b-1", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    assert moto.raw("GET", "/b-1?versioning")[2].endswith(b'<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></VersioningConfiguration>')
    for state in ("Enabled", "Suspended"):
        aws("s3").put_bucket_versioning(Bucket="b-1", VersioningConfiguration={"Status": state})
        assert aws("s3").get_bucket_versioning(Bucket="b-1")["Status"] == state
        assert f"<Status>{state}</Status>".encode() in moto.raw("GET", "/b-1?versioning")[2]
