"""Restore testing of AWS Backup, which no emulator has: the jobs that a test puts here, and the answers that they get.

    POST /_opsctl/restore-tests    {"jobs": [{RestoreJobsListMember, "Region": ..., "Metadata": {...}}],
                                    "plans": {NAME: {"Algorithm": ...}}, "recovery_points": {ARN: RESOURCE-ARN}}
    GET /_opsctl/restore-tests     the jobs as they stand

Members of jobs are named as in the API model, times are numbers. Requests have been judged by the model before they come
here. As AWS does, it takes an answer for a job of a restore-testing plan only, once it is COMPLETED and as long as nobody has
answered; after that it deletes the copy, which here means that DeletionStatus says so. Pages have two jobs.
"""
import json

from model_check import model
from wire import Answer, Refusal

PAGE = 2
state = {"jobs": [], "plans": {}, "recovery_points": {}}


def reset():
    state.update(jobs=[], plans={}, recovery_points={})


def load(said):
    unknown = set(said) - set(state)
    if unknown:
        raise ValueError(f"unknown: {sorted(unknown)}")
    members = set(model("backup").shape_for("RestoreJobsListMember").members) | {"Region", "Metadata"}
    for job in said.get("jobs", []):
        if set(job) - members:
            raise ValueError(f"no members of a restore job: {sorted(set(job) - members)}")
    state.update(said)


def answer(call):
    """None: not of restore testing, so moto's."""
    found = {"ListRestoreJobs": jobs, "DescribeRestoreJob": describe, "GetRestoreJobMetadata": metadata, "DescribeRecoveryPoint": recovery_point,
             "GetRestoreTestingPlan": plan, "PutRestoreValidationResult": put}.get(call.operation)
    if not found:
        return None
    if call.violations:
        raise Refusal("InvalidParameterValueException", "; ".join(call.violations))
    said = found(call)
    return Answer(204) if said is None else Answer(200, json.dumps(said).encode(), [("Content-Type", "application/json")])


def shown(job):
    return {k: v for k, v in job.items() if k not in ("Region", "Metadata")}


def seconds(at):
    return at.timestamp() if hasattr(at, "timestamp") else float(at)


def jobs(call):
    found = [job for job in state["jobs"] if job["Region"] == call.region]
    if "ByCreatedAfter" in call.params:
        found = [job for job in found if job["CreationDate"] > seconds(call.params["ByCreatedAfter"])]
    start = int(call.params.get("NextToken") or 0)
    page = {"RestoreJobs": [shown(job) for job in found[start:start + PAGE]]}
    return page | ({"NextToken": str(start + PAGE)} if len(found) > start + PAGE else {})


def one(call):
    for job in state["jobs"]:
        if job["RestoreJobId"] == call.params["RestoreJobId"] and job["Region"] == call.region:
            return job
    raise Refusal("ResourceNotFoundException", f"Restore job {call.params['RestoreJobId']} does not exist")


def describe(call):
    return shown(one(call))


def metadata(call):
    return {"RestoreJobId": call.params["RestoreJobId"], "Metadata": one(call).get("Metadata", {})}


def recovery_point(call):
    arn = call.params["RecoveryPointArn"]
    if arn not in state["recovery_points"]:
        raise Refusal("ResourceNotFoundException", f"Recovery point {arn} does not exist")
    return {"RecoveryPointArn": arn, "ResourceArn": state["recovery_points"][arn]}


def plan(call):
    name = call.params["RestoreTestingPlanName"]
    if name not in state["plans"]:
        raise Refusal("ResourceNotFoundException", f"Restore testing plan {name} does not exist")
    return {"RestoreTestingPlan": {"RestoreTestingPlanName": name, "RestoreTestingPlanArn": f"arn:aws:backup:{call.region}:123456789012:restore-testing-plan:{name}-0",
                                   "ScheduleExpression": "cron(0 5 ? * * *)", "CreationTime": 1, "RecoveryPointSelection": state["plans"][name]}}


def put(call):
    job = one(call)
    if "CreatedBy" not in job:
        raise Refusal("InvalidRequestException", "The restore job was not created by a restore testing plan")
    if job["Status"] != "COMPLETED" or job.get("ValidationStatus") not in (None, "VALIDATING"):
        raise Refusal("InvalidRequestException", "The restore job does not await validation")
    job["ValidationStatus"] = call.params["ValidationStatus"]
    if "ValidationStatusMessage" in call.params:
        job["ValidationStatusMessage"] = call.params["ValidationStatusMessage"]
    if job["ValidationStatus"] != "VALIDATING":
        job["DeletionStatus"] = "DELETING"
    return None
