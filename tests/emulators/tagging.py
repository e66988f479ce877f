"""Tags as AWS keeps them, over moto's resources: the Resource Groups Tagging API, S3 bucket tags, system tags.

moto's own tagging API sees some services only, shows buckets in every region, fails whole calls for one unknown
resource, tags nothing of SQS, doubles DynamoDB tags, spends its page tokens, and forgets what was tagged once.
"""
import re
import threading
import time
import uuid
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Callable
from xml.sax.saxutils import escape

import regex
from moto.awslambda.models import lambda_backends
from moto.cloudwatch.models import cloudwatch_backends
from moto.core.resource_tagging import make_tag_matcher, match_resource_type
from moto.dynamodb.models import dynamodb_backends
from moto.elasticache.models import elasticache_backends
from moto.logs.models import logs_backends
from moto.rds.models import rds_backends
from moto.s3.models import s3_backends
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

from model_check import S3_NAMESPACE
from wire import Answer, Refusal

CHARACTERS = regex.compile(r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*")
lock = threading.RLock()


@dataclass
class Kind:
    """One type of taggable resource: where moto keeps them, and how it keeps their tags."""
    type: str
    backends: Any
    find: Callable  # backend -> resources
    arn: Callable
    store: str  # "tagger" (a TaggingService of the backend), "list" or "map" (of the resource)
    name: str  # the attribute
    unknown: tuple = ("InvalidParameterException", 400)

    def resources(self, account, region):
        """arn -> (backend, resource)"""
        if self.type == "s3:bucket":
            backend = self.backends[account]["aws"]
            return {b.arn: (backend, b) for b in list(backend.buckets.values()) if b.region_name == region}
        backend = self.backends[account][region]
        return {self.arn(r): (backend, r) for r in list(self.find(backend))}

    def read(self, arn, backend, resource):
        match self.store:
            case "tagger":
                tags = getattr(backend, self.name).get_tag_dict_for_resource(arn)
            case "list":
                tags = {tag["Key"]: tag.get("Value") for tag in getattr(resource, self.name) or []}
            case _:
                tags = dict(getattr(resource, self.name) or {})
        return {key: value or "" for key, value in tags.items()}

    def write(self, arn, backend, resource, tags):
        match self.store:
            case "tagger":
                getattr(backend, self.name).tags[arn] = dict(tags)
            case "list":
                setattr(resource, self.name, [{"Key": k, "Value": v} for k, v in tags.items()])
            case _:
                setattr(resource, self.name, dict(tags))


def plain(resource):
    return resource.arn


MISSING = ("ResourceNotFoundException", 404)
KINDS = [
    Kind("s3:bucket", s3_backends, None, plain, "tagger", "tagger"),
    *(Kind(f"rds:{kind}", rds_backends, lambda b, at=at: getattr(b, at).values(), plain, "list", "tags")
      for kind, at in (("db", "databases"), ("cluster", "clusters"), ("snapshot", "database_snapshots"),
                       ("cluster-snapshot", "cluster_snapshots"), ("subgrp", "subnet_groups"), ("og", "option_groups"),
                       ("pg", "db_parameter_groups"), ("cluster-pg", "db_cluster_parameter_groups"))),
    Kind("lambda:function", lambda_backends, lambda b: b.list_functions(), lambda f: f.function_arn, "map", "tags", MISSING),
    Kind("dynamodb:table", dynamodb_backends, lambda b: b.tables.values(), lambda t: t.table_arn, "list", "tags", MISSING),
    Kind("sqs:queue", sqs_backends, lambda b: b.queues.values(), lambda q: q.queue_arn, "map", "tags"),
    Kind("sns:topic", sns_backends, lambda b: b.topics.values(), plain, "map", "_tags", MISSING),
    Kind("cloudwatch:alarm", cloudwatch_backends, lambda b: b.alarms.values(), lambda a: a.alarm_arn, "tagger", "tagger", MISSING),
    Kind("logs:log-group", logs_backends, lambda b: b.groups.values(), plain, "tagger", "tagger", MISSING),
    *(Kind(f"elasticache:{kind}", elasticache_backends, lambda b, at=at: getattr(b, at).values(), plain, "tagger", "tagging_service")
      for kind, at in (("cluster", "cache_clusters"), ("replicationgroup", "replication_groups"), ("snapshot", "snapshots"),
                       ("subnetgroup", "cache_subnet_groups"))),
]
once = defaultdict(set)  # (account, region, type) -> ARNs that have had a tag
pages = {}  # token -> (time, answers)


def service_of(kind):
    return kind.type.split(":")[0]


def find(arn, account, region):
    """(kind, backend, resource), each None when unknown."""
    for kind in KINDS:
        if arn.split(":")[2] == service_of(kind):
            found = kind.resources(account, region).get(arn)
            if found:
                return kind, *found
    return None, None, None


def touched(service, account, region):
    """Before tags may vanish: remember who had any."""
    for kind in KINDS:
        if service in (service_of(kind), "resourcegroupstaggingapi"):
            once[account, region, kind.type] |= {arn for arn, found in kind.resources(account, region).items() if kind.read(arn, *found)}


def deleted(service, account, region):
    """After a deletion: nothing of the dead stays, neither tags for a successor of the same name, nor their having been."""
    for kind in KINDS:
        if service != service_of(kind):
            continue
        alive = kind.resources(account, region)
        once[account, region, kind.type] &= set(alive)
        if kind.store == "tagger" and kind.type != "s3:bucket":
            tagger = getattr(kind.backends[account][region], kind.name)
            mark = f":{account}:{kind.type.split(':')[1]}:"
            for arn in [arn for arn in tagger.tags if mark in arn and arn not in alive]:
                del tagger.tags[arn]
        elif kind.type == "s3:bucket":
            backend = s3_backends[account]["aws"]
            for arn in [a for a in backend.tagger.tags if re.fullmatch(r"arn:aws:s3:::[^/]+", a) and a[13:] not in backend.buckets]:
                del backend.tagger.tags[arn]


def reset():
    once.clear()
    pages.clear()


# --- the tagging API ------------------------------------------------------------------------------------------------

def get_resources(call, account):
    params, region = call.params, call.region
    for token in [t for t, (born, _) in pages.items() if time.monotonic() - born > 900]:
        del pages[token]
    token = params.get("PaginationToken")
    if not token:
        answers = list(cut_pages(tagged(params, account, region), params))
        token = f"{uuid.uuid4()}:0"
        pages[token.split(":")[0]] = time.monotonic(), answers
    name, _, rank = token.partition(":")
    if name not in pages or not rank.isdigit() or int(rank) >= len(pages[name][1]):
        raise Refusal("PaginationTokenExpiredException", "The PaginationToken is expired")
    answers, rank = pages[name][1], int(rank)
    found = [{"ResourceARN": arn, "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]} for arn, tags in answers[rank]]
    return {"PaginationToken": f"{name}:{rank + 1}" if rank + 1 < len(answers) else "", "ResourceTagMappingList": found}


def tagged(params, account, region):
    match, wanted, types = make_tag_matcher(params.get("TagFilters")), params.get("ResourceARNList"), params.get("ResourceTypeFilters")
    for kind in KINDS:
        for arn, found in kind.resources(account, region).items():
            tags = kind.read(arn, *found)
            if tags:
                once[account, region, kind.type].add(arn)
            elif arn not in once[account, region, kind.type]:
                continue  # never tagged: AWS does not show it
            if match_resource_type(kind.type, types) and (arn in wanted if wanted else match(tags)):
                yield arn, tags


def cut_pages(found, params):
    """Pages as AWS cuts them; where there are several, an empty one comes second, as AWS says may happen."""
    page, most, tags = [], params.get("ResourcesPerPage") or (10**6 if "TagsPerPage" in params else 100), 0
    first = True
    for arn, has in found:
        cost = max(len(has), 1)
        if len(page) == most or (page and tags + cost > params.get("TagsPerPage", 10**9)):
            yield page
            if first:
                yield []
            page, tags, first = [], 0, False
        page.append((arn, has))
        tags += cost
    yield page


def change(call, account, partial=None):
    """TagResources and UntagResources; `partial` is a fault that fails some of the resources."""
    params, failed = call.params, {}
    gone, new = params.get("TagKeys", []), params.get("Tags", {})
    if any(key.lower().startswith("aws:") for key in [*gone, *new]):
        raise Refusal("InvalidParameterException", "Tag keys must not start with aws:")
    for arn in params["ResourceARNList"]:
        parts = arn.split(":", 5)
        if len(parts) < 6 or parts[0] != "arn":
            raise Refusal("InvalidParameterException", f"{arn} is not a valid ARN")
        kind, backend, resource = find(arn, account, call.region)
        problem = None
        if partial and partial.get("resource_contains", "") in arn:
            problem = partial.get("code", "ThrottlingException"), partial.get("status", 400), partial.get("message", "Rate exceeded")
        elif parts[2] not in map(service_of, KINDS):
            problem = "InternalServiceException", 500, "the service of this resource is not supported"
        elif not kind:
            owner = next(k for k in KINDS if service_of(k) == parts[2])
            problem = *owner.unknown, arn
        else:
            tags = kind.read(arn, backend, resource)
            if tags:
                once[account, call.region, kind.type].add(arn)
            tags = {key: value for key, value in tags.items() if key not in gone} | new
            if sum(not key.startswith("aws:") for key in tags) > 50:
                problem = "InvalidParameterException", 400, "a resource has 50 tags at most"
            elif not all(CHARACTERS.fullmatch(text) for pair in new.items() for text in pair):
                problem = "InvalidParameterException", 400, "a tag has characters that are not allowed"
            else:
                kind.write(arn, backend, resource, tags)
        if problem:
            failed[arn] = dict(zip(("ErrorCode", "StatusCode", "ErrorMessage"), problem))
    return {"FailedResourcesMap": failed}


def set_system_tags(account, wanted):
    """The control door's way to give resources what only AWS can: tags that start with aws:."""
    for arn, new in wanted.items():
        region = arn.split(":")[3] or s3_backends[account]["aws"].buckets[arn.split(":")[5]].region_name
        kind, backend, resource = find(arn, account, region)
        if not kind:
            raise ValueError(f"unknown: {arn}")
        kind.write(arn, backend, resource, kind.read(arn, backend, resource) | new)


# --- S3's own bucket tags: the whole set at once, system tags included --------------------------------------------------

def get_bucket_tags(bucket, backend):
    tags = KINDS[0].read(bucket.arn, backend, bucket)
    if not tags:
        raise Refusal("NoSuchTagSet", "The TagSet does not exist", 404)
    rows = "".join(f"<Tag><Key>{escape(k)}</Key><Value>{escape(v)}</Value></Tag>" for k, v in tags.items())
    xml = f'<?xml version="1.0" encoding="UTF-8"?>\n<Tagging xmlns="{S3_NAMESPACE}"><TagSet>{rows}</TagSet></Tagging>'
    return Answer(200, xml.encode(), [("Content-Type", "application/xml")])


def put_bucket_tags(bucket, backend, call):
    given = call.params.get("Tagging", {}).get("TagSet", [])
    tags = {tag.get("Key", ""): tag.get("Value", "") for tag in given}
    system = lambda some: {k: v for k, v in some.items() if k.startswith("aws:")}
    if len(tags) != len(given):
        raise Refusal("InvalidTag", "Cannot provide multiple Tags with the same key")
    if len(tags) - len(system(tags)) > 50:
        raise Refusal("BadRequest", "Bucket tag count cannot be greater than 50")
    for key, value in tags.items():
        if not 1 <= len(key) <= 128 or not CHARACTERS.fullmatch(key):
            raise Refusal("InvalidTag", "The TagKey you have provided is invalid")
        if len(value) > 256 or not CHARACTERS.fullmatch(value):
            raise Refusal("InvalidTag", "The TagValue you have provided is invalid")
    if system(tags) != system(KINDS[0].read(bucket.arn, backend, bucket)):
        raise Refusal("InvalidTag", "System tags cannot be added/updated/removed by requester")
    KINDS[0].write(bucket.arn, backend, bucket, tags)
    return Answer(204)


def delete_bucket_tags(bucket, backend):
    tags = KINDS[0].read(bucket.arn, backend, bucket)
    KINDS[0].write(bucket.arn, backend, bucket, {k: v for k, v in tags.items() if k.startswith("aws:")})
    return Answer(204)
