"""Restore testing of AWS Backup as restore_testing.py plays it, through boto3."""
import time

import pytest

from test_repairs import refused

PLAN = "arn:aws:backup:eu-west-1:123456789012:restore-testing-plan:nightly-0"
POINT = "arn:aws:rds:eu-west-1:123456789012:snapshot:awsbackup:job-1"


def job(name, **more):
    return {"Region": "eu-west-1", "RestoreJobId": name, "Status": "COMPLETED", "CreationDate": time.time(), "RecoveryPointArn": POINT,
            "CreatedBy": {"RestoreTestingPlanArn": PLAN}, "ValidationStatus": "VALIDATING"} | more


@pytest.fixture
def backup(aws):
    return aws("backup", "eu-west-1")


@pytest.fixture
def jobs(moto):
    moto.door("POST", "restore-tests", {
        "jobs": [job("a"), job("b"), job("c"), job("old", CreationDate=1.0), {k: v for k, v in job("own").items() if k != "CreatedBy"}, job("far", Region="us-east-1")],
        "plans": {"nightly": {"Algorithm": "LATEST_WITHIN_WINDOW"}}, "recovery_points": {POINT: "arn:aws:rds:eu-west-1:123456789012:db:x"}})


def test_jobs_come_in_pages_of_their_region(backup, jobs):
    pages = list(backup.get_paginator("list_restore_jobs").paginate(ByCreatedAfter=100))
    assert [[j["RestoreJobId"] for j in page["RestoreJobs"]] for page in pages] == [["a", "b"], ["c", "own"]]


def test_an_answer_is_taken_once_and_the_copy_is_deleted(backup, jobs):
    backup.put_restore_validation_result(RestoreJobId="a", ValidationStatus="FAILED", ValidationStatusMessage="no rows")
    found = backup.describe_restore_job(RestoreJobId="a")
    assert (found["ValidationStatus"], found["ValidationStatusMessage"], found["DeletionStatus"]) == ("FAILED", "no rows", "DELETING")
    refused("InvalidRequestException", backup.put_restore_validation_result, RestoreJobId="a", ValidationStatus="SUCCESSFUL")
    refused("ResourceNotFoundException", backup.describe_restore_job, RestoreJobId="far")


def test_plans_and_recovery_points_are_told(backup, jobs):
    plan = backup.get_restore_testing_plan(RestoreTestingPlanName="nightly")["RestoreTestingPlan"]
    assert plan["RecoveryPointSelection"]["Algorithm"] == "LATEST_WITHIN_WINDOW"
    assert backup.describe_recovery_point(BackupVaultName="Default", RecoveryPointArn=POINT)["ResourceArn"].endswith(":db:x")
    assert backup.get_restore_job_metadata(RestoreJobId="b")["Metadata"] == {}


def test_what_no_job_has_is_refused(moto):
    with pytest.raises(Exception, match="400"):
        moto.door("POST", "restore-tests", {"jobs": [{"RestoreJobID": "typo", "Region": "eu-west-1"}]})
