"""Resource Explorer 2, which moto lacks: Search over the resources that tagging.py knows, once the door has switched it on.

Off, as in an account that never set it up: no default view, and Search answers 401. The query takes the filters `tag:none`,
`tag.key:`, `region:`, `resourcetype:`, `service:` and `id:`, `*` at their end, `-` before them, and free text; without regard
to case, as AWS does. Only the first 1000 matches are ever returned.
"""
import datetime
import fnmatch
import json

from moto.core.base_backend import BackendDict

import tagging
from wire import Answer, Refusal

on = False


def view(call, account):
    return f"arn:aws:resource-explorer-2:{call.region}:{account}:view/all/0a1b2c3d-0000-4000-8000-000000000000"


def answer(call, account):
    if call.operation == "GetDefaultView":
        said = {"ViewArn": view(call, account)} if on else {}
    elif call.operation == "ListViews":
        said = {"Views": [view(call, account)] if on else []}
    elif call.operation == "Search":
        if not on or call.params.get("ViewArn", view(call, account)) != view(call, account):
            raise Refusal("UnauthorizedException", "Unauthorized", 401)
        said = search(call, account)
    else:
        raise Refusal("NotImplemented", "not implemented by the emulator", 501)
    return Answer(200, json.dumps(said).encode(), [("Content-Type", "application/json")])


def search(call, account):
    words = call.params["QueryString"].split()
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    found = [resource for region in regions(account, call.region) for resource in resources(account, region, now) if all(fits(word, resource) for word in words)]
    count = {"TotalResources": min(len(found), 1000), "Complete": len(found) <= 1000}
    start, size = int(call.params.get("NextToken") or 0), call.params.get("MaxResults", 100)
    page, rest = found[:1000][start:start + size], len(found[:1000]) > start + size
    return {"Resources": page, "Count": count, "ViewArn": view(call, account)} | ({"NextToken": str(start + size)} if rest else {})


def regions(account, first):
    """The region asked comes first, then every other that holds something: the view is an aggregator's."""
    held = {bucket.region_name for bucket in tagging.s3_backends[account]["aws"].buckets.values()}
    held |= {region for kind in tagging.KINDS[1:] if isinstance(kind.backends, BackendDict) for region in list(kind.backends[account])}
    return [first, *sorted(held - {first})]


def resources(account, region, now):
    for kind in tagging.KINDS:
        for arn, found in kind.resources(account, region).items():
            tags = kind.read(arn, *found)
            yield {"Arn": arn, "OwningAccountId": account, "Region": region, "ResourceType": kind.type, "Service": tagging.service_of(kind),
                   "LastReportedAt": now, "Properties": [{"Name": "tags", "LastReportedAt": now, "Data": [{"Key": k, "Value": v} for k, v in tags.items()]}]}


def fits(word, resource):
    if word.startswith("-"):
        return not fits(word[1:], resource)
    name, colon, value = word.lower().partition(":")
    tags = resource["Properties"][0]["Data"]
    match name:
        case "tag" if value == "none":
            return not any(not tag["Key"].startswith("aws:") for tag in tags)
        case "tag" if value == "all":
            return bool(tags)
        case "tag.key":
            return any(fnmatch.fnmatchcase(tag["Key"].lower(), value) for tag in tags)
        case "region" | "resourcetype" | "service" | "id" if colon:
            member = {"region": "Region", "resourcetype": "ResourceType", "service": "Service", "id": "Arn"}[name]
            return fnmatch.fnmatchcase(resource[member].lower(), value)
    return word.lower() in resource["Arn"].lower()
