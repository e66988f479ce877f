"""Requests in every protocol, good ones that pass and bad ones that are reported."""
import base64
import io
import zlib

import boto3
import cbor2
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config

from model_check import CHECKSUMS, S3_NAMESPACE, decode, model

ARN = "arn:aws:sqs:eu-west-1:123456789012:q"


def sent(service, operation, **params):
    """What boto3 would send, decoded; nothing leaves, and boto3 does not look at the parameters."""
    caught = []

    def catch(request, **_):
        body = request.body.read() if hasattr(request.body, "read") else request.body or b""
        headers = {k.lower(): v.decode() if isinstance(v, bytes) else v for k, v in request.headers.items()}
        path = request.url.split("/", 3)[3]
        caught.append(decode(request.method, "/" + path, headers, body.encode() if isinstance(body, str) else body))
        return AWSResponse(request.url, 500, {}, io.BytesIO(b""))
    client = boto3.client(service, region_name="eu-west-1", endpoint_url="http://127.0.0.1:1", aws_access_key_id="x", aws_secret_access_key="x",
                          config=Config(parameter_validation=False, retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}))
    client.meta.events.register("before-send", catch)
    try:
        getattr(client, operation)(**params)
    except Exception:
        if not caught:
            raise
    return caught[0]


def cbor(service, operation, params, signed=None):
    prefix = model(service).metadata["targetPrefix"]
    return decode("POST", f"/service/{prefix}/operation/{operation}", {
        "smithy-protocol": "rpc-v2-cbor", "content-type": "application/cbor",
        "authorization": f"AWS4-HMAC-SHA256 Credential=x/20261122/eu-west-1/{signed}/aws4_request, SignedHeaders=h, Signature=0"}, cbor2.dumps(params))


def s3(method, target, body=b"", **headers):
    headers = {k.replace("_", "-"): v for k, v in headers.items()} | {
        "authorization": "AWS4-HMAC-SHA256 Credential=x/20261122/eu-west-1/s3/aws4_request, SignedHeaders=h, Signature=0"}
    if body:
        headers["x-amz-checksum-crc32"] = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
    return decode(method, target, headers, body)


GOOD = [
    ("json 1.1", "resourcegroupstaggingapi", "tag_resources", dict(ResourceARNList=[ARN], Tags={"a": ""})),
    ("json 1.1", "resourcegroupstaggingapi", "get_resources", dict(TagFilters=[{"Key": "a", "Values": ["b"]}], ResourcesPerPage=100)),
    ("json 1.1", "logs", "describe_log_groups", dict(limit=50)),
    ("json 1.0", "dynamodb", "tag_resource", dict(ResourceArn="arn:aws:dynamodb:eu-west-1:123456789012:table/t", Tags=[{"Key": "a", "Value": "b"}])),
    ("json, query-compatible", "sqs", "list_queues", dict(MaxResults=1000)),
    ("json, query-compatible", "sqs", "tag_queue", dict(QueueUrl="http://x/1/q", Tags={"a": "b"})),
    ("json of cloudwatch", "cloudwatch", "describe_alarms", dict(MaxRecords=100, AlarmTypes=["MetricAlarm"])),
    ("query", "rds", "describe_db_instances", dict(MaxRecords=100, Filters=[{"Name": "engine", "Values": ["postgres", "mysql"]}])),
    ("query", "rds", "add_tags_to_resource", dict(ResourceName="arn:aws:rds:eu-west-1:123456789012:db:d", Tags=[{"Key": "ü", "Value": ""}, {"Key": "b", "Value": "c d"}])),
    ("query", "sns", "create_topic", dict(Name="t", Attributes={"DisplayName": "d"}, Tags=[{"Key": "a", "Value": "b"}])),
    ("query", "elasticache", "describe_cache_clusters", dict(MaxRecords=20)),
    ("query", "sts", "get_caller_identity", {}),
    ("query", "sts", "assume_role", dict(RoleArn="arn:aws:iam::123456789012:role/r", RoleSessionName="s-1", DurationSeconds=900)),
    ("rest-json", "lambda", "tag_resource", dict(Resource="arn:aws:lambda:eu-west-1:123456789012:function:f", Tags={"a": "b"})),
    ("rest-json", "lambda", "untag_resource", dict(Resource="arn:aws:lambda:eu-west-1:123456789012:function:f", TagKeys=["a", "b"])),
    ("rest-json", "lambda", "list_functions", dict(MaxItems=50)),
    ("rest-json", "resource-explorer-2", "search", dict(QueryString="tag:none", MaxResults=1000)),
    ("rest-xml", "s3", "list_buckets", dict(MaxBuckets=1000)),
    ("rest-xml", "s3", "get_object", dict(Bucket="bucket", Key="a/b c/ü?x=1")),
    ("rest-xml", "s3", "put_object", dict(Bucket="bucket", Key="k", Body=b"x", IfNoneMatch="*", ExpectedBucketOwner="1" * 12, Metadata={"m": "n"})),
    ("rest-xml", "s3", "list_objects_v2", dict(Bucket="bucket", MaxKeys=10, Prefix="a b")),
    ("rest-xml", "s3", "put_bucket_tagging", dict(Bucket="bucket", Tagging={"TagSet": [{"Key": "a", "Value": ""}]})),
    ("rest-xml", "s3", "put_bucket_lifecycle_configuration", dict(
        Bucket="bucket", TransitionDefaultMinimumObjectSize="varies_by_storage_class", LifecycleConfiguration={"Rules": [
            {"ID": "a", "Status": "Enabled", "Filter": {"And": {"Prefix": "p", "Tags": [{"Key": "k", "Value": "v"}]}}, "Expiration": {"Days": 1}}]})),
]


@pytest.mark.parametrize("protocol, service, operation, params", GOOD, ids=lambda x: x if isinstance(x, str) else "")
def test_good_requests_pass(protocol, service, operation, params):
    call = sent(service, operation, **params)
    assert call.violations == []
    assert (call.service, call.operation.lower(), call.region) == (service, operation.replace("_", ""), "eu-west-1")
    if operation != "put_object":
        assert call.params.items() >= params.items()  # boto3 adds a few of its own
    assert call.record()["params"] is not None


BAD = [
    ("json 1.1", "resourcegroupstaggingapi", "tag_resources", dict(ResourceARNList=[ARN] * 21, Tags={}),
     ["ResourceARNList: 21 items, at most 20 allowed", "Tags: 0 entries, at least 1 needed"]),
    ("json 1.1", "resourcegroupstaggingapi", "tag_resources", dict(ResourceARNList=[ARN], Tags={"a" * 129: "b", "c": "d" * 257, "aws:x": ""}),
     ["Tags key ", "Tags.c: 257 characters, at most 256 allowed", "tag keys must not start with aws:"]),
    ("json 1.1", "resourcegroupstaggingapi", "untag_resources", dict(ResourceARNList=[ARN]), ["TagKeys: missing"]),
    ("json 1.1", "resourcegroupstaggingapi", "get_resources", dict(ResourceARNList=[ARN], ResourcesPerPage=5), ["ResourceARNList excludes ResourcesPerPage"]),
    ("json 1.1", "logs", "describe_log_groups", dict(limit=51), ["limit: 51, at most 50 allowed"]),
    ("json 1.1", "logs", "describe_log_groups", dict(logGroupNamePrefix="a b"), ["logGroupNamePrefix: 'a b' does not match"]),
    ("json 1.0", "dynamodb", "list_tables", dict(Limit=101), ["Limit: 101, at most 100 allowed"]),
    ("json, query-compatible", "sqs", "tag_queue", dict(QueueUrl="u"), ["Tags: missing"]),
    ("query", "rds", "add_tags_to_resource", dict(ResourceName="arn"), ["Tags: missing"]),
    ("query", "sts", "assume_role", dict(RoleArn="arn:aws:iam::123456789012:role/r", RoleSessionName="a b", DurationSeconds=899),
     ["RoleSessionName: 'a b' does not match", "DurationSeconds: 899, at least 900 needed"]),
    ("query", "sns", "tag_resource", dict(ResourceArn="a", Tags=[{"Key": "", "Value": "v"}]), ["Tags[0].Key: 0 characters, at least 1 needed"]),
    ("query", "elasticache", "add_tags_to_resource", dict(Tags=[]), ["ResourceName: missing"]),
    ("rest-json", "lambda", "list_functions", dict(MaxItems=10001), ["MaxItems: 10001, at most 10000 allowed"]),
    ("rest-json", "lambda", "tag_resource", dict(Resource="nonsense", Tags={"a": "b"}), ["Resource: 'nonsense' does not match"]),
    ("rest-json", "resource-explorer-2", "search", dict(QueryString="x" * 1281), ["QueryString: 1281 characters, at most 1280 allowed"]),
    ("rest-xml", "s3", "list_buckets", dict(MaxBuckets=10001), ["MaxBuckets: 10001, at most 10000 allowed"]),
    ("rest-xml", "s3", "put_bucket_lifecycle_configuration", dict(
        Bucket="bucket", TransitionDefaultMinimumObjectSize="64K", LifecycleConfiguration={"Rules": [
            {"Status": "On", "Filter": {}, "Transitions": [{"Days": 1, "StorageClass": "COLD"}], "Expiration": {}}]}),
     ["TransitionDefaultMinimumObjectSize: '64K' is none of", "LifecycleConfiguration.Rules[0].Status: 'On' is none of",
      "LifecycleConfiguration.Rules[0].Transitions[0].StorageClass: 'COLD' is none of"]),
    ("rest-xml", "s3", "put_bucket_tagging", dict(Bucket="bucket", Tagging={"TagSet": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]}),
     ["a tag key given twice"]),
]


@pytest.mark.parametrize("protocol, service, operation, params, problems", BAD, ids=lambda x: x if isinstance(x, str) else "")
def test_bad_requests_are_reported(protocol, service, operation, params, problems):
    found = sent(service, operation, **params).violations
    assert len(found) == len(problems), found
    for problem in problems:
        assert any(violation.startswith(problem) for violation in found), found


def test_cbor():
    alarm = dict(AlarmName="a", MetricName="m", Namespace="n", ComparisonOperator="GreaterThanThreshold", EvaluationPeriods=1, Period=60, Statistic="Sum",
                 Threshold=1.0, Tags=[{"Key": "a", "Value": "b"}])
    assert cbor("cloudwatch", "PutMetricAlarm", alarm, "monitoring").violations == []
    call = cbor("cloudwatch", "DescribeAlarms", {"MaxRecords": 101, "AlarmTypes": ["Alarm"], "AlarmNames": ["a"], "AlarmNamePrefix": "b", "X": 1}, "monitoring")
    assert sorted(v.split(":")[0] for v in call.violations) == ["AlarmNames excludes AlarmNamePrefix", "AlarmTypes[0]", "MaxRecords", "X"]
    assert cbor("cloudwatch", "PutMetricAlarm", alarm | {"Threshold": "1"}, "monitoring").violations == ["Threshold: a str where a double is expected"]
    assert cbor("cloudwatch", "PutMetricAlarm", alarm | {"EvaluationPeriods": True}, "monitoring").violations == [
        "EvaluationPeriods: a bool where a integer is expected"]
    assert cbor("cloudwatch", "PutMetricAlarm", alarm | {"Metrics": [{"Id": "a"}]}, "monitoring").violations == [
        "one of MetricName, Metrics and EvaluationCriteria"]
    assert cbor("cloudwatch", "Nonsense", {}, "monitoring").violations == ["unknown operation Nonsense"]
    assert cbor("resourcegroupstaggingapi", "GetResources", {"ResourcesPerPage": 100}, "tagging").violations == []


def test_bytes_on_the_wire():
    scope = "AWS4-HMAC-SHA256 Credential=x/20261122/eu-west-1/{}/aws4_request, SignedHeaders=h, Signature=0".format
    tagging = {"authorization": scope("tagging"), "x-amz-target": "ResourceGroupsTaggingAPI_20170126.GetResources", "content-type": "application/x-amz-json-1.1"}
    assert decode("POST", "/", tagging, b"{}").violations == []
    assert decode("POST", "/", tagging, b'{"Resources": 1}').violations == ["Resources: unknown"]
    assert decode("POST", "/", tagging, b'{"ResourcesPerPage": "1"}').violations[0] == "ResourcesPerPage: a str where a integer is expected"
    assert "body is no JSON" in decode("POST", "/", tagging, b"{").violations[0]
    assert decode("POST", "/", tagging | {"content-type": "application/json"}, b"{}").violations == ["content-type is not application/x-amz-json-1.1"]
    rds = {"authorization": scope("rds"), "content-type": "application/x-www-form-urlencoded"}
    assert decode("POST", "/", rds, b"Action=DescribeDBInstances&Version=2014-10-31").violations == []
    assert decode("POST", "/", rds, b"Action=DescribeDBInstances&Version=2014-10-30&Foo=1&MaxRecords=x").violations == [
        "Version is 2014-10-30, not 2014-10-31", "MaxRecords: 'x' is no integer", "Foo: unknown"]
    assert decode("POST", "/", rds, b"Action=DescribeDBInstances&Version=2014-10-31&Filters.Filter.2.Name=a&Filters.Filter.2.Values.Value.1=b").violations == [
        "Filters: not numbered from 1 without gaps"]


def test_s3_on_the_wire():
    rule = "<Rule><ID>a</ID><Status>Enabled</Status><Filter/>{}</Rule>".format
    body = lambda inner, ns=S3_NAMESPACE: f'<LifecycleConfiguration xmlns="{ns}">{inner}</LifecycleConfiguration>'.encode()
    put = lambda *args, **kwargs: s3("PUT", "/bucket?lifecycle", body(*args), **kwargs).violations
    days = "<Expiration><Days>1</Days></Expiration>"
    assert put(rule(days)) == []
    assert put(rule("<Expiration><Days>x</Days></Expiration>")) == ["LifecycleConfiguration.Rules[0].Expiration.Days: 'x' is no integer"]
    assert put(rule(days + "<Foo/>")) == ["LifecycleConfiguration.Rules[0].Foo: unknown"]
    assert put(rule(days + "<FutureFoo/>")) == []
    assert put(rule(days + days)) == ["LifecycleConfiguration.Rules[0].Expiration: given twice"]
    assert put(rule(days), "urn:x") == ["namespace urn:x"]
    assert put(rule(days), x_amz_expected_owner="1") == ["header x-amz-expected-owner: unknown"]
    assert s3("GET", "/bucket?tagging&foo=1").violations == ["query parameter foo: unknown"]
    assert s3("POST", "/bucket").violations == ["no operation for POST /bucket"]
    assert put("")[0] == "LifecycleConfiguration.Rules: missing"


@pytest.mark.parametrize("method, target, operation", [
    ("GET", "/", "ListBuckets"), ("GET", "/?x-id=ListBuckets&max-buckets=5", "ListBuckets"), ("GET", "/b?tagging", "GetBucketTagging"),
    ("PUT", "/b?tagging", "PutBucketTagging"), ("DELETE", "/b/?tagging", "DeleteBucketTagging"), ("GET", "/b?lifecycle", "GetBucketLifecycleConfiguration"),
    ("PUT", "/b?lifecycle", "PutBucketLifecycleConfiguration"), ("DELETE", "/b?lifecycle", "DeleteBucketLifecycle"), ("HEAD", "/b", "HeadBucket"),
    ("GET", "/b?location", "GetBucketLocation"), ("GET", "/b?versioning", "GetBucketVersioning"), ("PUT", "/b", "CreateBucket"), ("DELETE", "/b", "DeleteBucket"),
    ("GET", "/b?list-type=2&prefix=x", "ListObjectsV2"), ("GET", "/b?prefix=x", "ListObjects"), ("GET", "/b?versions", "ListObjectVersions"),
    ("GET", "/b/k", "GetObject"), ("PUT", "/b/k/l?x-id=PutObject", "PutObject"), ("HEAD", "/b/k", "HeadObject"), ("DELETE", "/b/k?x-id=DeleteObject", "DeleteObject"),
    ("PUT", "/b/k?partNumber=1&uploadId=u", "UploadPart"), ("GET", "/b/k?uploadId=u", "ListParts"), ("POST", "/b/k?uploads", "CreateMultipartUpload"),
    ("POST", "/b?delete", "DeleteObjects"), ("GET", "/b/k?tagging", "GetObjectTagging"), ("GET", "/b?metrics", "ListBucketMetricsConfigurations"),
    ("GET", "/b?metrics&id=a", "GetBucketMetricsConfiguration"),
])
def test_s3_operations_are_told_apart(method, target, operation):
    assert s3(method, target).operation == operation
    assert s3("PUT", "/b/k", x_amz_copy_source="/b/l").operation == "CopyObject"


def test_hashes():
    body = f'<Tagging xmlns="{S3_NAMESPACE}"><TagSet/></Tagging>'.encode()
    assert s3("PUT", "/b?tagging", body).violations == []
    assert s3("PUT", "/b?tagging", body, x_amz_content_sha256="0" * 64).violations == ["x-amz-content-sha256 is not that of the body"]
    assert s3("PUT", "/b?tagging", body, content_md5="AAAA").violations == ["content-md5 is not that of the body"]
    headers = {"authorization": "AWS4-HMAC-SHA256 Credential=x/20261122/eu-west-1/s3/aws4_request, SignedHeaders=h, Signature=0"}
    assert decode("PUT", "/b?tagging", headers, body).violations == ["needs a checksum of the body"]
    assert base64.b64encode(CHECKSUMS["x-amz-checksum-crc32c"](b"123456789")) == b"4waSgw=="
    assert CHECKSUMS["x-amz-checksum-crc64nvme"](b"123456789").hex() == "ae8b14860a799888"


def test_unsigned_and_unknown_services():
    call = decode("POST", "/", {"content-type": "application/x-www-form-urlencoded"},
                  b"Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn:aws:iam::123456789012:role/r&RoleSessionName=ab&WebIdentityToken=abcd")
    assert call.name == "sts:AssumeRoleWithWebIdentity" and call.violations == []
    assert decode("GET", "/x", {}, b"").service == ""
