"""moto itself, where a patched method is the shortest way to what AWS does."""
import copy
import datetime
import json
import threading
from xml.sax.saxutils import escape

import moto.cloudwatch.models
from moto.cloudwatch.models import Alarm, CloudWatchBackend, Dimension, MetricDatum
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.responses import ActionResult
from moto.dynamodb.models import DynamoDBBackend
from moto.elasticache.models import ElastiCacheBackend
from moto.s3.models import S3Backend, s3_backends

ASKED = threading.local()  # .params: those of the request being served, of which moto hands on only part


def replace(owner, name):
    """Puts the decorated function, called with the original first, in the place of owner.name."""
    def with_original(function):
        original = getattr(owner, name)
        setattr(owner, name, lambda *args, **kwargs: function(original, *args, **kwargs))
        return function
    return with_original


# --- ElastiCache: what is deleted goes

@replace(ElastiCacheBackend, "delete_cache_cluster")
def delete_cache_cluster(original, self, cache_cluster_id):
    deleted = original(self, cache_cluster_id)
    del self.cache_clusters[cache_cluster_id]
    return deleted


# --- Lambda: what a new account may do

LAMBDA_ACCOUNT = json.dumps({
    "AccountLimit": {"TotalCodeSize": 80530636800, "CodeSizeUnzipped": 262144000, "CodeSizeZipped": 52428800, "ConcurrentExecutions": 1000,
                     "UnreservedConcurrentExecutions": 1000},
    "AccountUsage": {"TotalCodeSize": 0, "FunctionCount": 0}}).encode()


# --- DynamoDB: tagging merges, it does not append a second tag of the same key

@replace(DynamoDBBackend, "tag_resource")
def tag_table(original, self, arn, tags):
    for table in self.tables.values():
        if table.table_arn == arn:
            new = tags if isinstance(tags, dict) else {tag["Key"]: tag["Value"] for tag in tags}
            merged = {tag["Key"]: tag["Value"] for tag in table.tags or []} | new
            table.tags = [{"Key": key, "Value": value} for key, value in merged.items()]


# --- CloudWatch: dimensions in any order, a new alarm has no data, alarms in pages, metric alarms unless asked, tags only at creation

Dimension.__lt__ = lambda a, b: (a.name or "", a.value or "") < (b.name or "", b.value or "")
moto.cloudwatch.models.are_dimensions_same = lambda one, other: sorted(one) == sorted(other)


def describe_alarms(self):
    asked = getattr(ASKED, "params", {})
    names, kinds = asked.get("AlarmNames"), asked.get("AlarmTypes") or ["MetricAlarm"]
    found = [alarm for name, alarm in sorted(self.cloudwatch_backend.alarms.items())
             if (name in names if names else name.startswith(asked.get("AlarmNamePrefix", "")))
             and ("CompositeAlarm" if alarm.rule is not None else "MetricAlarm") in kinds
             and asked.get("StateValue") in (None, alarm.state_value)
             and (not asked.get("ActionPrefix") or any(a.startswith(asked["ActionPrefix"]) for a in alarm.alarm_actions))]
    after, size = asked.get("NextToken", ""), asked.get("MaxRecords", 100 if names else 50)
    found = [alarm for alarm in found if alarm.name > after]
    token = {"NextToken": found[size - 1].name} if len(found) > size else {}
    page = found[:size]
    return ActionResult({"MetricAlarms": [a for a in page if a.rule is None], "CompositeAlarms": [a for a in page if a.rule is not None]} | token)


CloudWatchResponse.describe_alarms = describe_alarms
CloudWatchResponse.put_composite_alarm = CloudWatchResponse.put_metric_alarm


@replace(CloudWatchBackend, "put_metric_alarm")
def put_metric_alarm(original, self, *args, **kwargs):
    name = kwargs["name"] if "name" in kwargs else args[0]
    before: Alarm | None = self.alarms.get(name)
    if before is not None:
        kwargs["tags"] = None
    alarm = original(self, *args, **kwargs)
    if before is None:
        alarm.state_value = "INSUFFICIENT_DATA"
    else:
        for kept in ("state_value", "state_reason", "state_reason_data", "state_updated_timestamp"):
            if hasattr(before, kept):
                setattr(alarm, kept, getattr(before, kept))
    return alarm


@replace(CloudWatchBackend, "get_metric_data")
def get_metric_data(original, self, queries, *args, **kwargs):
    """A metric without dimensions is one of its own, not the sum of all that bear its name."""
    if any("MetricStat" not in query for query in queries):
        return original(self, queries, *args, **kwargs)
    bare = copy.copy(self)
    bare.get_all_metrics = lambda: [datum for datum in self.get_all_metrics() if not datum.dimensions]
    asked = [(bool(query["MetricStat"]["Metric"].get("Dimensions")), query) for query in queries]
    found = [result for owner, kind in ((self, True), (bare, False))
             for result in original(owner, [query for has, query in asked if has is kind], *args, **kwargs)]
    return sorted(found, key=lambda result: [query["Id"] for query in queries].index(result["id"]))


# --- S3: storage metrics of the region, by class, of the last days and not of today, over all versions

STORAGE = {"STANDARD": "StandardStorage", "STANDARD_IA": "StandardIAStorage", "ONEZONE_IA": "OneZoneIAStorage", "GLACIER": "GlacierStorage",
           "INTELLIGENT_TIERING": "IntelligentTieringFAStorage", "GLACIER_IR": "GlacierInstantRetrievalStorage", "DEEP_ARCHIVE": "DeepArchiveStorage"}


def get_cloudwatch_metrics(account, region):
    found = []
    midnight = datetime.datetime.now(datetime.UTC).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    for name, bucket in list(s3_backends[account]["aws"].buckets.items()):
        objects = [key for _, versions in bucket.keys.iterlists() for key in versions if hasattr(key, "contentsize")]
        if bucket.region_name != region or not objects:
            continue
        sizes = {}
        for key in objects:
            kind = STORAGE.get(key.storage_class, "StandardStorage")
            sizes[kind] = sizes.get(kind, 0) + key.contentsize
        for metric, unit, kind, value in (("NumberOfObjects", "Count", "AllStorageTypes", len(objects)),
                                          *(("BucketSizeBytes", "Bytes", kind, size) for kind, size in sizes.items())):
            dimensions = [{"Name": "StorageType", "Value": kind}, {"Name": "BucketName", "Value": name}]
            found += [MetricDatum(namespace="AWS/S3", name=metric, value=value, unit=unit, dimensions=dimensions,
                                  timestamp=midnight - datetime.timedelta(days)) for days in (1, 2)]
    return found


S3Backend.get_cloudwatch_metrics = staticmethod(get_cloudwatch_metrics)


# --- S3: ListBuckets in pages, with regions

def list_buckets(params, account):
    found = dict(s3_backends[account]["aws"].buckets) if account in s3_backends else {}
    region, after, size = params.get("BucketRegion"), params.get("ContinuationToken", ""), params.get("MaxBuckets", 10_000)
    names = sorted(name for name, bucket in found.items()
                   if name.startswith(params.get("Prefix", "")) and region in (None, bucket.region_name) and name > after)
    rows = "".join(
        f"<Bucket><Name>{escape(name)}</Name><CreationDate>{found[name].creation_date.strftime('%Y-%m-%dT%H:%M:%S.000Z')}</CreationDate>"
        + (f"<BucketRegion>{found[name].region_name}</BucketRegion>" if params else "") + "</Bucket>" for name in names[:size])
    token = f"<ContinuationToken>{escape(names[size - 1])}</ContinuationToken>" if len(names) > size else ""
    return ('<?xml version="1.0" encoding="UTF-8"?>\n<ListAllMyBucketsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Owner><ID>{account}</ID></Owner><Buckets>{rows}</Buckets>{token}</ListAllMyBucketsResult>").encode()
