"""compare.py finds each way in which an apply can differ from its plan."""
import copy

import pytest

from compare import compare

BUCKET, QUEUE = "arn:aws:s3:::b", "arn:aws:sqs:eu-west-1:123456789012:q"
FOREIGN = {"ID": ["theirs"], "Status": ["Enabled"], "Filter": [""], "Expiration": [{"Days": ["9"]}]}
OURS = {"ID": ["opsctl-ia"], "Status": ["Enabled"], "Filter": [""], "Transition": [{"Days": ["30"], "StorageClass": ["STANDARD_IA"]}]}
BEFORE = {BUCKET: {"tags": {"env": "prod", "keep": "x"}, "lifecycle": {"rules": [FOREIGN], "min_size": "varies_by_storage_class"}},
          QUEUE: {"tags": {"keep": "y"}, "lifecycle": None}}
AFTER = {BUCKET: {"tags": {"environment": "prod", "keep": "x"}, "lifecycle": {"rules": [OURS, FOREIGN], "min_size": "varies_by_storage_class"}},
         QUEUE: {"tags": {"keep": "y"}, "lifecycle": None}}
SIZE = {"transition_default_minimum_object_size": "varies_by_storage_class"}
PLAN = {"changes": [
    {"resource": {"arn": BUCKET}, "control": "tags", "before": {"env": "prod", "environment": None}, "after": {"env": None, "environment": "prod"}},
    {"resource": {"arn": BUCKET}, "control": "lifecycle", "before": {"rules": [{"id": "theirs"}], **SIZE},
     "after": {"rules": [{"id": "theirs"}, {"id": "opsctl-ia"}], **SIZE}}]}


def outcomes(*names):
    plan = copy.deepcopy(PLAN)
    for change, name in zip(plan["changes"], names):
        change["outcome"] = name
    return plan


def changed(account, path, value):
    account = copy.deepcopy(account)
    at = account
    for key in path[:-1]:
        at = at[key]
    if value is None:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return account


def test_as_planned():
    assert compare(BEFORE, AFTER, PLAN) == []
    assert compare(BEFORE, BEFORE, {"changes": []}) == []
    assert compare(BEFORE, AFTER, outcomes("applied", "applied")) == []
    assert compare(BEFORE, BEFORE, outcomes("failed", "skipped")) == []
    assert compare(BEFORE, AFTER, outcomes("failed", "failed")) == []


@pytest.mark.parametrize("path, value, told", [
    ((QUEUE, "tags", "keep"), "z", "tag keep"), ((QUEUE, "tags", "new"), "z", "tag new"), ((QUEUE, "tags", "keep"), None, "tag keep"),
    ((BUCKET, "tags", "keep"), None, "tag keep"), ((BUCKET, "tags", "environment"), "dev", "tag environment"), ((BUCKET, "tags", "env"), "prod", "tag env"),
    ((BUCKET, "lifecycle", "min_size"), "all_storage_classes_128K", "minimum object size"), ((QUEUE,), None, "gone"), (("arn:new",), {}, "new"),
    ((BUCKET, "lifecycle", "rules"), [OURS], "foreign rule 'theirs'"), ((BUCKET, "lifecycle", "rules"), [FOREIGN], "planned"),
    ((BUCKET, "lifecycle", "rules"), [OURS, FOREIGN | {"Filter": [{"Prefix": [""]}]}], "foreign rule 'theirs'"),
    ((BUCKET, "lifecycle", "rules"), [OURS, FOREIGN, FOREIGN | {"ID": ["more"]}], "foreign rule 'more' is new"),
    ((BUCKET, "lifecycle"), {"rules": [], "min_size": None}, "foreign rule"),
])
def test_deviations(path, value, told):
    problems = compare(BEFORE, changed(AFTER, path, value), PLAN)
    assert any(told in problem for problem in problems), problems


def test_what_was_not_planned():
    assert any("lifecycle configuration changed" in p for p in compare(BEFORE, AFTER, {"changes": PLAN["changes"][:1]}))
    assert any("tag env" in p for p in compare(BEFORE, AFTER, {"changes": PLAN["changes"][1:]}))
    assert len(compare(BEFORE, AFTER, outcomes("stale", "stale"))) == 3
    assert any("two changes" in p for p in compare(BEFORE, AFTER, {"changes": PLAN["changes"] + PLAN["changes"][:1]}))
    assert any("the plan saw env" in p for p in compare(changed(BEFORE, (BUCKET, "tags", "env"), "dev"), AFTER, PLAN))
