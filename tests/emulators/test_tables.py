"""One test for each way in which tables.py is closer to AWS than moto."""
import time

import pytest

from test_repairs import refused

KEY = [{"AttributeName": "id", "KeyType": "HASH"}]
BY = {"IndexName": "by-day", "KeySchema": [{"AttributeName": "day", "KeyType": "HASH"}], "Projection": {"ProjectionType": "ALL"},
      "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}}


@pytest.fixture
def dynamodb(aws, moto):
    client = aws("dynamodb")
    client.create_table(TableName="Orders", KeySchema=KEY, ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 5},
                        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}, {"AttributeName": "day", "AttributeType": "S"}],
                        GlobalSecondaryIndexes=[BY], Tags=[{"Key": "team", "Value": "core"}])
    for i in range(20):
        client.put_item(TableName="Orders", Item={"id": {"S": str(i)}, "day": {"S": "2026-11-22"}})
    client.update_continuous_backups(TableName="Orders", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True})
    return client


def seen(dynamodb, name):
    return dynamodb.describe_table(TableName=name)["Table"]


def restore(dynamodb, name="copy", **more):
    return dynamodb.restore_table_to_point_in_time(SourceTableName="Orders", TargetTableName=name, UseLatestRestorableTime=True, **more)["TableDescription"]


def test_a_copy_has_an_identity_of_its_own_and_no_tags(dynamodb):
    source, copy = seen(dynamodb, "Orders"), restore(dynamodb)
    assert len(source["TableId"]) == 36 and copy["TableId"] != source["TableId"]
    assert copy["RestoreSummary"]["SourceTableArn"] == source["TableArn"]
    assert (source["ItemCount"], copy["ItemCount"]) == (20, 0) and source["TableSizeBytes"] > 0
    assert dynamodb.list_tags_of_resource(ResourceArn=copy["TableArn"])["Tags"] == []


def test_a_copy_is_as_it_was_asked_for(dynamodb):
    backup = dynamodb.create_backup(TableName="Orders", BackupName="nightly")["BackupDetails"]["BackupArn"]
    plain = dynamodb.restore_table_from_backup(BackupArn=backup, TargetTableName="whole")["TableDescription"]
    assert [i["IndexName"] for i in plain["GlobalSecondaryIndexes"]] == ["by-day"]
    cheap = dynamodb.restore_table_from_backup(BackupArn=backup, TargetTableName="cheap", BillingModeOverride="PAY_PER_REQUEST",
                                               GlobalSecondaryIndexOverride=[], LocalSecondaryIndexOverride=[])["TableDescription"]
    assert cheap["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST" and cheap["GlobalSecondaryIndexes"] == []


def test_a_copy_takes_its_time(dynamodb, moto):
    moto.door("POST", "tables", {"creating": 3600, "deleting": 3600})
    arn = restore(dynamodb)["TableArn"]
    assert seen(dynamodb, "copy")["TableStatus"] == "CREATING" and seen(dynamodb, "copy")["RestoreSummary"]["RestoreInProgress"]
    refused("ResourceInUseException", dynamodb.delete_table, TableName="copy")
    refused("ResourceInUseException", dynamodb.tag_resource, ResourceArn=arn, Tags=[{"Key": "a", "Value": "b"}])
    refused("ResourceNotFoundException", dynamodb.scan, TableName="copy")
    moto.door("POST", "tables", {"creating": 0})
    assert dynamodb.scan(TableName="copy", Select="COUNT")["Count"] == 20
    dynamodb.tag_resource(ResourceArn=arn, Tags=[{"Key": "a", "Value": "b"}])
    dynamodb.delete_table(TableName="copy")
    assert seen(dynamodb, "copy")["TableStatus"] == "DELETING"
    moto.door("POST", "tables", {"deleting": 0})
    refused("ResourceNotFoundException", dynamodb.describe_table, TableName="copy")
    moto.door("DELETE", "tables")


def test_points_in_time_trail_and_are_checked(dynamodb):
    said = dynamodb.describe_continuous_backups(TableName="Orders")["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
    latest = said["LatestRestorableDateTime"]
    refused("InvalidRestoreTimeException", dynamodb.restore_table_to_point_in_time, SourceTableName="Orders", TargetTableName="late",
            RestoreDateTime=latest.timestamp() + 60)
    dynamodb.update_continuous_backups(TableName="Orders", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False})
    refused("PointInTimeRecoveryUnavailableException", restore, dynamodb, name="off")


def test_backups_say_whose_they_are_and_may_be_old(dynamodb, moto):
    dynamodb.create_backup(TableName="Orders", BackupName="nightly")
    moto.door("POST", "tables", {"backup_age": {"Orders": 90000}})
    [found] = dynamodb.list_backups(TableName="Orders")["BackupSummaries"]
    assert found["TableId"] == seen(dynamodb, "Orders")["TableId"] and found["BackupSizeBytes"] > 0
    assert time.time() - found["BackupCreationDateTime"].timestamp() > 89000
    moto.door("DELETE", "tables")
