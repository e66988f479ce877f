"""One test for each way in which moto_aws.py is closer to AWS than moto, and for each fault it can play."""
import base64
import datetime
import hashlib
import time
import zlib

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ConnectionError, EndpointConnectionError, HTTPClientError

import seed
from aws_clients import get_lifecycle, put_lifecycle
from conftest import ACCOUNT, REGION
from model_check import S3_NAMESPACE
from snapshot import rules, snapshot

WHOLE = f'<LifecycleConfiguration xmlns="{S3_NAMESPACE}">{{}}</LifecycleConfiguration>'.format
EXPIRE = "<Expiration><Days>1</Days></Expiration>"
RULE = "<Rule><ID>{}</ID><Status>Enabled</Status>{}</Rule>".format


def bucket(aws, name="bucket-1", region=REGION):
    where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    aws("s3", region).create_bucket(Bucket=name, **where)
    return name


def refused(code, call, *args, status=None, **kwargs):
    with pytest.raises(ClientError) as e:
        call(*args, **kwargs)
    assert e.value.response["Error"]["Code"] == code, e.value
    assert status is None or e.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    return e.value.response["Error"].get("Message", "")


# --- S3 lifecycle ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("body", seed.V2 + seed.V1 + [seed.FUTURE], ids=lambda body: body[10:35])
def test_lifecycle_keeps_every_form(aws, body):
    name = bucket(aws)
    put_lifecycle(aws("s3"), name, WHOLE(body))
    xml, size = get_lifecycle(aws("s3"), name)
    kept = rules(xml)
    if "<ID>" not in body:
        assert all(rule.pop("ID") for rule in kept)
    assert kept == rules(WHOLE(body)) and size == "all_storage_classes_128K"
    put_lifecycle(aws("s3"), name, xml)  # what was read can be written
    assert get_lifecycle(aws("s3"), name)[0] == xml


def test_lifecycle_keeps_all_forms_together_and_the_minimum_size(aws):
    name = bucket(aws)
    put_lifecycle(aws("s3"), name, WHOLE("".join(seed.V2)), "varies_by_storage_class")
    xml, size = get_lifecycle(aws("s3"), name)
    assert len(rules(xml)) == len(seed.V2) and size == "varies_by_storage_class"
    put_lifecycle(aws("s3"), name, xml)
    assert get_lifecycle(aws("s3"), name)[1] == "all_storage_classes_128K"  # a write without the header means the default


def test_lifecycle_is_gone_with_delete_and_with_its_bucket(aws):
    name = bucket(aws)
    assert get_lifecycle(aws("s3"), name) is None
    for gone in (aws("s3").delete_bucket_lifecycle, aws("s3").delete_bucket):
        put_lifecycle(aws("s3"), name, WHOLE(seed.V2[0]))
        gone(Bucket=name)
        if gone.__name__ == "delete_bucket":
            bucket(aws)
        assert get_lifecycle(aws("s3"), name) is None
    refused("NoSuchBucket", get_lifecycle, aws("s3"), "not-there")


def step(kind, days, action="Transition", member="Days"):
    return f"<{action}><{member}>{days}</{member}><StorageClass>{kind}</StorageClass></{action}>"


TAG = "<Tag><Key>{}</Key><Value>v</Value></Tag>".format
ABORT = "<AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload>"
WHOLE_BUCKET = "<Filter/>"
REFUSED = {
    "no rules": ("", "MalformedXML"),
    "too many rules": ("".join(RULE(i, WHOLE_BUCKET + EXPIRE) for i in range(1001)), "MalformedXML"),
    "unknown element": (RULE("a", WHOLE_BUCKET + EXPIRE + "<Foo/>"), "MalformedXML"),
    "no scope": (RULE("a", EXPIRE), "MalformedXML"),
    "two scopes": (RULE("a", "<Filter/><Prefix/>" + EXPIRE), "MalformedXML"),
    "bad status": ("<Rule><ID>a</ID><Status>On</Status><Filter/>" + EXPIRE + "</Rule>", "MalformedXML"),
    "two predicates": (RULE("a", f"<Filter><Prefix/>{TAG('k')}</Filter>" + EXPIRE), "MalformedXML"),
    "empty and": (RULE("a", "<Filter><And/></Filter>" + EXPIRE), "MalformedXML"),
    "same tag twice": (RULE("a", f"<Filter><And>{TAG('k')}{TAG('k')}</And></Filter>" + EXPIRE), "InvalidRequest: Duplicate Tag Keys"),
    "sizes that exclude": (RULE("a", "<Filter><And><ObjectSizeGreaterThan>9</ObjectSizeGreaterThan><ObjectSizeLessThan>9</ObjectSizeLessThan></And></Filter>"
                                + EXPIRE), "InvalidRequest: 'ObjectSizeLessThan'"),
    "duplicate id": (RULE("a", "<Filter><Prefix>1</Prefix></Filter>" + EXPIRE) + RULE("a", "<Filter><Prefix>2</Prefix></Filter>" + EXPIRE),
                     "InvalidArgument: Rule ID must be unique"),
    "long id": (RULE("a" * 256, WHOLE_BUCKET + EXPIRE), "InvalidArgument: ID length"),
    "no action": (RULE("a", WHOLE_BUCKET), "InvalidRequest: At least one action"),
    "old and new form": (RULE("a", "<Prefix>1</Prefix>" + EXPIRE) + RULE("b", "<Filter><Prefix>2</Prefix></Filter>" + EXPIRE),
                         "InvalidRequest: Filter element can only be used in Lifecycle V2."),
    "same old prefix": (RULE("a", "<Prefix>1</Prefix>" + EXPIRE) + RULE("b", "<Prefix>1</Prefix>" + ABORT), "InvalidRequest: Found two rules with same"),
    "overlapping old prefixes": (RULE("a", "<Prefix>1</Prefix>" + EXPIRE) + RULE("b", "<Prefix>1/2</Prefix>" + EXPIRE), "InvalidRequest: Found overlapping"),
    "abort with tags": (RULE("a", f"<Filter>{TAG('k')}</Filter>{ABORT}"), "InvalidRequest: AbortIncompleteMultipartUpload cannot be specified with Tags"),
    "abort with sizes": (RULE("a", f"<Filter><ObjectSizeLessThan>9</ObjectSizeLessThan></Filter>{ABORT}"), "InvalidRequest: AbortIncomplete"),
    "marker with tags": (RULE("a", f"<Filter>{TAG('k')}</Filter><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"),
                         "InvalidRequest: ExpiredObjectDeleteMarker"),
    "marker with days": (RULE("a", WHOLE_BUCKET + "<Expiration><Days>1</Days><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"),
                         "MalformedXML"),
    "expire in 0 days": (RULE("a", WHOLE_BUCKET + "<Expiration><Days>0</Days></Expiration>"), "InvalidArgument: 'Days' for Expiration"),
    "expire at noon": (RULE("a", WHOLE_BUCKET + "<Expiration><Date>2030-01-01T12:00:00Z</Date></Expiration>"), "InvalidArgument: 'Date' must be at midnight"),
    "days that are none": (RULE("a", WHOLE_BUCKET + "<Expiration><Days>x</Days></Expiration>"), "MalformedXML"),
    "IA before 30 days": (RULE("a", WHOLE_BUCKET + step("STANDARD_IA", 29)), "InvalidArgument: 'Days' in Transition action must be greater than or equal to 30"),
    "noncurrent IA before 30": (RULE("a", WHOLE_BUCKET + step("ONEZONE_IA", 1, "NoncurrentVersionTransition", "NoncurrentDays")),
                                "InvalidArgument: 'NoncurrentDays' in NoncurrentVersionTransition"),
    "glacier soon after IA": (RULE("a", WHOLE_BUCKET + step("STANDARD_IA", 30) + step("GLACIER", 59)), "InvalidArgument: 'Days' in the 'Transition'"),
    "warmer again": (RULE("a", WHOLE_BUCKET + step("GLACIER", 1) + step("INTELLIGENT_TIERING", 9)), "InvalidArgument: 'Days' in the 'Transition'"),
    "one class twice": (RULE("a", WHOLE_BUCKET + step("GLACIER", 1) + step("GLACIER", 9)), "InvalidRequest: 'StorageClass' must be different"),
    "bad class": (RULE("a", WHOLE_BUCKET + step("STANDARD", 90)), "MalformedXML"),
    "days and a date": (RULE("a", WHOLE_BUCKET + step("GLACIER", 90) + step("DEEP_ARCHIVE", "2030-01-01T00:00:00Z", member="Date")),
                        "InvalidRequest: Found mixed 'Date' and 'Days' based Transition"),
    "expiry on a date": (RULE("a", WHOLE_BUCKET + step("GLACIER", 90) + "<Expiration><Date>2030-01-01T00:00:00Z</Date></Expiration>"),
                         "InvalidRequest: Found mixed 'Date' and 'Days' based Expiration"),
    "gone before moved": (RULE("a", WHOLE_BUCKET + step("GLACIER", 90) + "<Expiration><Days>90</Days></Expiration>"), "InvalidArgument: 'Days' in the Expiration"),
    "too many newer": (RULE("a", WHOLE_BUCKET + "<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays><NewerNoncurrentVersions>101"
                            "</NewerNoncurrentVersions></NoncurrentVersionExpiration>"), "InvalidArgument: 'NewerNoncurrentVersions'"),
}


@pytest.mark.parametrize("body, code", REFUSED.values(), ids=REFUSED)
def test_lifecycle_refuses_what_s3_refuses(aws, body, code):
    name = bucket(aws)
    code, _, told = code.partition(": ")
    message = refused(code, put_lifecycle, aws("s3"), name, WHOLE(body), status=400)
    assert told in message
    assert get_lifecycle(aws("s3"), name) is None


def test_s3_wants_checksums_that_fit(moto, aws):
    name, body = bucket(aws), WHOLE(seed.V2[0]).encode()
    crc = {"x-amz-checksum-crc32": base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()}
    for headers, code in (({}, b"InvalidRequest"), ({"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="}, b"BadDigest"),
                          (crc | {"x-amz-content-sha256": "0" * 64}, b"XAmzContentSHA256Mismatch"),
                          (crc | {"x-amz-content-sha256": hashlib.sha256(body).hexdigest()}, b"")):
        status, _, said = moto.raw("PUT", f"/{name}?lifecycle", body, headers)
        assert code in said and (status == 200) == (not code)


# --- S3, the rest -----------------------------------------------------------------------------------------------------

def test_expected_bucket_owner(aws):
    name = bucket(aws)
    aws("s3").head_bucket(Bucket=name, ExpectedBucketOwner=ACCOUNT)
    refused("403", aws("s3").head_bucket, Bucket=name, ExpectedBucketOwner="1" * 12, status=403)
    for call in (aws("s3").get_bucket_tagging, aws("s3").get_bucket_lifecycle_configuration, aws("s3").delete_bucket_lifecycle):
        refused("AccessDenied", call, Bucket=name, ExpectedBucketOwner="1" * 12, status=403)


def test_list_buckets_pages_with_regions(aws):
    names = [bucket(aws, f"page-{i}", REGION if i % 2 else "us-east-1") for i in range(5)]
    first = aws("s3").list_buckets(MaxBuckets=3)
    rest = aws("s3").list_buckets(MaxBuckets=3, ContinuationToken=first["ContinuationToken"])
    assert [b["Name"] for b in first["Buckets"] + rest["Buckets"]] == names and "ContinuationToken" not in rest
    assert [b["Name"] for b in aws("s3").list_buckets(BucketRegion=REGION)["Buckets"]] == names[1::2]
    assert {b["BucketRegion"] for b in first["Buckets"]} == {REGION, "us-east-1"}
    assert "BucketRegion" not in aws("s3").list_buckets()["Buckets"][0]  # only where a parameter was given


def test_buckets_belong_to_the_account_of_the_caller(moto, aws):
    bucket(aws)
    creds = aws("sts").assume_role(RoleArn="arn:aws:iam::222222222222:role/x", RoleSessionName="test")["Credentials"]
    other = boto3.client("s3", endpoint_url=moto.endpoint, region_name=REGION, aws_access_key_id=creds["AccessKeyId"],
                         aws_secret_access_key=creds["SecretAccessKey"], aws_session_token=creds["SessionToken"])
    assert other.list_buckets()["Buckets"] == [] and len(aws("s3").list_buckets()["Buckets"]) == 1


def test_a_bucket_answers_in_its_own_region_only(moto, aws):
    bucket(aws, "far-away", "eu-central-1")
    for method, path in (("GET", "/far-away?tagging"), ("HEAD", "/far-away"), ("GET", "/far-away?lifecycle")):
        status, headers, _ = moto.raw(method, path)
        assert status == 301 and headers["x-amz-bucket-region"] == "eu-central-1"
    assert moto.raw("GET", "/far-away?location")[0] == 200
    status, headers, _ = moto.raw("HEAD", "/far-away", region="eu-central-1")
    assert status == 200 and headers["x-amz-bucket-region"] == "eu-central-1"


def test_bucket_tags_come_back_as_they_were_put(aws):
    name, tags = bucket(aws), [{"Key": "a b", "Value": ""}, {"Key": "Größe", "Value": " x  y "}]
    refused("NoSuchTagSet", aws("s3").get_bucket_tagging, Bucket=name, status=404)
    aws("s3").put_bucket_tagging(Bucket=name, Tagging={"TagSet": tags})
    assert aws("s3").get_bucket_tagging(Bucket=name)["TagSet"] == tags
    put = lambda *tags: aws("s3").put_bucket_tagging(Bucket=name, Tagging={"TagSet": [{"Key": k, "Value": v} for k, v in tags]})
    refused("InvalidTag", put, ("a", "1"), ("a", "2"))
    refused("InvalidTag", put, ("a", "no, commas"))
    refused("InvalidTag", put, ("aws:x", "1"))
    refused("BadRequest", put, *((str(i), "") for i in range(51)))
    assert aws("s3").get_bucket_tagging(Bucket=name)["TagSet"] == tags
    aws("s3").delete_bucket_tagging(Bucket=name)
    refused("NoSuchTagSet", aws("s3").get_bucket_tagging, Bucket=name)


def test_system_tags_stay(moto, aws):
    name, mark = bucket(aws), {"aws:cloudformation:stack-name": "s"}
    moto.door("POST", "system-tags", {f"arn:aws:s3:::{name}": mark})
    refused("InvalidTag", aws("s3").put_bucket_tagging, Bucket=name, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    aws("s3").put_bucket_tagging(Bucket=name, Tagging={"TagSet": [{"Key": k, "Value": v} for k, v in (mark | {"a": "b"}).items()]})
    aws("s3").delete_bucket_tagging(Bucket=name)
    assert aws("s3").get_bucket_tagging(Bucket=name)["TagSet"] == [{"Key": "aws:cloudformation:stack-name", "Value": "s"}]
    tagging = aws("resourcegroupstaggingapi")
    refused("InvalidParameterException", tagging.untag_resources, ResourceARNList=[f"arn:aws:s3:::{name}"], TagKeys=list(mark))
    refused("InvalidParameterException", tagging.tag_resources, ResourceARNList=[f"arn:aws:s3:::{name}"], Tags=mark)


def test_storage_metrics(moto, aws):
    name = bucket(aws)
    aws("s3").put_object(Bucket=name, Key="k", Body=b"x" * 400)
    aws("s3").put_object(Bucket=name, Key="l", Body=b"x" * 600)
    aws("s3").put_object(Bucket=name, Key="m", Body=b"x" * 10, StorageClass="STANDARD_IA")
    bucket(aws, "empty-one")
    now = datetime.datetime.now(datetime.UTC)
    dimensions = [{"Name": "BucketName", "Value": name}, {"Name": "StorageType", "Value": "StandardStorage"}]
    for order in (dimensions, dimensions[::-1]):
        query = {"Id": "size", "MetricStat": {"Period": 86400, "Stat": "Average", "Metric": {"Namespace": "AWS/S3", "MetricName": "BucketSizeBytes",
                                                                                          "Dimensions": order}}}
        status, _, said = moto.cbor("GetMetricData", {"MetricDataQueries": [query], "StartTime": now - datetime.timedelta(3), "EndTime": now})
        assert status == 200 and said["MetricDataResults"][0]["Values"] == [1000.0, 1000.0]  # one point a day
    metrics = aws("cloudwatch").list_metrics(Namespace="AWS/S3")["Metrics"]
    assert sorted((m["MetricName"], *sorted(d["Value"] for d in m["Dimensions"])) for m in metrics) == [
        ("BucketSizeBytes", "StandardIAStorage", name), ("BucketSizeBytes", "StandardStorage", name), ("NumberOfObjects", "AllStorageTypes", name)]


# --- the tagging API --------------------------------------------------------------------------------------------------

def make(aws, kind):
    """Creates one resource without tags: (its ARN, how to read its tags from its own service)"""
    pairs = lambda tags: {tag["Key"]: tag["Value"] for tag in tags}
    if kind == "s3:bucket":
        name = bucket(aws)

        def read():
            try:
                return pairs(aws("s3").get_bucket_tagging(Bucket=name)["TagSet"])
            except ClientError:
                return {}
        return f"arn:aws:s3:::{name}", read
    if kind.startswith("rds:"):
        rds, login = aws("rds"), {"MasterUsername": "root", "MasterUserPassword": "not-a-secret"}
        one = dict(DBInstanceIdentifier="d", Engine="postgres", DBInstanceClass="db.t3.micro", AllocatedStorage=20, **login)
        match kind:
            case "rds:db":
                arn = rds.create_db_instance(**one)["DBInstance"]["DBInstanceArn"]
            case "rds:snapshot":
                rds.create_db_instance(**one)
                arn = rds.create_db_snapshot(DBSnapshotIdentifier="s", DBInstanceIdentifier="d")["DBSnapshot"]["DBSnapshotArn"]
            case _:
                arn = rds.create_db_cluster(DBClusterIdentifier="c", Engine="aurora-postgresql", **login)["DBCluster"]["DBClusterArn"]
        if kind == "rds:cluster-snapshot":
            arn = rds.create_db_cluster_snapshot(DBClusterIdentifier="c", DBClusterSnapshotIdentifier="s")["DBClusterSnapshot"]["DBClusterSnapshotArn"]
        return arn, lambda: pairs(rds.list_tags_for_resource(ResourceName=arn)["TagList"])
    if kind == "lambda:function":
        options = seed.argparse.Namespace(seed=1, endpoint=aws.endpoint, region=REGION, account=ACCOUNT, functions=1)
        seeder = seed.Seeder(options)
        seeder.tags = lambda arn: ({}, False)
        seeder.functions()
        arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:function-000"
        return arn, lambda: aws("lambda").list_tags(Resource=arn)["Tags"]
    if kind == "dynamodb:table":
        arn = aws("dynamodb").create_table(TableName="t12", BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "i", "KeyType": "HASH"}],
                                           AttributeDefinitions=[{"AttributeName": "i", "AttributeType": "S"}])["TableDescription"]["TableArn"]

        def read():
            tags = aws("dynamodb").list_tags_of_resource(ResourceArn=arn)["Tags"]
            assert len(tags) == len(pairs(tags))
            return pairs(tags)
        return arn, read
    if kind == "sqs:queue":
        url = aws("sqs").create_queue(QueueName="q")["QueueUrl"]
        return f"arn:aws:sqs:{REGION}:{ACCOUNT}:q", lambda: aws("sqs").list_queue_tags(QueueUrl=url).get("Tags", {})
    if kind == "sns:topic":
        arn = aws("sns").create_topic(Name="t")["TopicArn"]
        return arn, lambda: pairs(aws("sns").list_tags_for_resource(ResourceArn=arn)["Tags"])
    if kind == "cloudwatch:alarm":
        alarm(aws, "a")
        arn = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:a"
        return arn, lambda: pairs(aws("cloudwatch").list_tags_for_resource(ResourceARN=arn)["Tags"])
    if kind == "logs:log-group":
        aws("logs").create_log_group(logGroupName="/g")
        arn = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/g"
        return arn, lambda: aws("logs").list_tags_for_resource(resourceArn=arn)["tags"]
    arn = aws("elasticache").create_cache_cluster(CacheClusterId="c", Engine="memcached", CacheNodeType="cache.t3.micro", NumCacheNodes=1)["CacheCluster"]["ARN"]
    return arn, lambda: pairs(aws("elasticache").list_tags_for_resource(ResourceName=arn)["TagList"])


def alarm(aws, name, **more):
    aws("cloudwatch").put_metric_alarm(AlarmName=name, Namespace="n", MetricName="m", Statistic="Sum", Period=60, EvaluationPeriods=1, Threshold=1.0,
                                       ComparisonOperator="GreaterThanThreshold", **more)


DELETE = {
    "s3:bucket": lambda aws: aws("s3").delete_bucket(Bucket="bucket-1"),
    "sqs:queue": lambda aws: aws("sqs").delete_queue(QueueUrl=aws("sqs").get_queue_url(QueueName="q")["QueueUrl"]),
    "sns:topic": lambda aws: aws("sns").delete_topic(TopicArn=f"arn:aws:sns:{REGION}:{ACCOUNT}:t"),
    "cloudwatch:alarm": lambda aws: aws("cloudwatch").delete_alarms(AlarmNames=["a"]),
    "logs:log-group": lambda aws: aws("logs").delete_log_group(logGroupName="/g"),
    "elasticache:cluster": lambda aws: aws("elasticache").delete_cache_cluster(CacheClusterId="c"),
}
KINDS = ["s3:bucket", "rds:db", "rds:cluster", "rds:snapshot", "rds:cluster-snapshot", "lambda:function", "dynamodb:table", "sqs:queue", "sns:topic",
         "cloudwatch:alarm", "logs:log-group", "elasticache:cluster"]


def listed(aws, **params):
    return {r["ResourceARN"]: {t["Key"]: t["Value"] for t in r["Tags"]}
            for r in aws("resourcegroupstaggingapi").get_resources(**params)["ResourceTagMappingList"]}


@pytest.mark.parametrize("kind", KINDS)
def test_tagging_api_serves_every_service(aws, kind):
    arn, read = make(aws, kind)
    tagging = aws("resourcegroupstaggingapi")
    assert arn not in listed(aws) and read() == {}  # never tagged: invisible
    for tags in ({"a": "1", "b": "2"}, {"b": "3", "Größe c": ""}):
        assert tagging.tag_resources(ResourceARNList=[arn], Tags=tags)["FailedResourcesMap"] == {}
    merged = {"a": "1", "b": "3", "Größe c": ""}
    assert read() == merged and listed(aws)[arn] == merged
    assert listed(aws, ResourceARNList=[arn, "arn:aws:sqs:eu-west-1:123456789012:nix"]) == {arn: merged}
    assert listed(aws, ResourceTypeFilters=[kind]) == listed(aws, ResourceTypeFilters=[kind.split(":")[0]]) == {arn: merged}
    assert listed(aws, ResourceTypeFilters=["ec2"]) == {} == listed(aws, TagFilters=[{"Key": "a", "Values": ["2"]}])
    assert listed(aws, TagFilters=[{"Key": "a", "Values": ["2", "1"]}, {"Key": "b"}]) == {arn: merged}
    assert tagging.untag_resources(ResourceARNList=[arn], TagKeys=["a", "b", "never-there"])["FailedResourcesMap"] == {}
    assert read() == {"Größe c": ""}
    tagging.untag_resources(ResourceARNList=[arn], TagKeys=["Größe c"])
    assert read() == {} and listed(aws) == {arn: {}}  # was tagged once: visible


@pytest.mark.parametrize("kind", DELETE)
def test_tags_die_with_their_resource(aws, kind):
    arn, read = make(aws, kind)
    aws("resourcegroupstaggingapi").tag_resources(ResourceARNList=[arn], Tags={"a": "1"})
    DELETE[kind](aws)
    assert listed(aws) == {}
    arn, read = make(aws, kind)
    assert read() == {} and listed(aws) == {}


def test_native_untagging_is_remembered(aws):
    url = aws("sqs").create_queue(QueueName="q", tags={"a": "1"})["QueueUrl"]
    aws("sqs").untag_queue(QueueUrl=url, TagKeys=["a"])
    name = bucket(aws)
    aws("s3").put_bucket_tagging(Bucket=name, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    aws("s3").delete_bucket_tagging(Bucket=name)
    assert listed(aws) == {f"arn:aws:sqs:{REGION}:{ACCOUNT}:q": {}, f"arn:aws:s3:::{name}": {}}


def test_dynamodb_tagging_merges(aws):
    arn, read = make(aws, "dynamodb:table")
    for value in "12":
        aws("dynamodb").tag_resource(ResourceArn=arn, Tags=[{"Key": "a", "Value": value}])
    assert read() == {"a": "2"}


def test_one_bad_resource_fails_alone(aws):
    good, read = make(aws, "sqs:queue")
    bad = [f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:nix", f"arn:aws:sqs:us-east-1:{ACCOUNT}:q", f"arn:aws:sqs:{REGION}:222222222222:q",
           "arn:aws:s3:::nix", f"arn:aws:rds:{REGION}:{ACCOUNT}:db:nix", f"arn:aws:gamelift:{REGION}:{ACCOUNT}:fleet/f"]
    for call, extra in (("tag_resources", {"Tags": {"a": "1"}}), ("untag_resources", {"TagKeys": ["b"]})):
        failed = getattr(aws("resourcegroupstaggingapi"), call)(ResourceARNList=[good, *bad], **extra)["FailedResourcesMap"]
        assert sorted(failed) == sorted(bad)
        assert all(f["StatusCode"] >= 400 and f["ErrorCode"] and f["ErrorMessage"] for f in failed.values())
        assert failed[bad[0]]["ErrorCode"] == "ResourceNotFoundException" and failed[bad[5]]["ErrorCode"] == "InternalServiceException"
    assert read() == {"a": "1"}
    failed = aws("resourcegroupstaggingapi").tag_resources(ResourceARNList=[good], Tags={str(i): "" for i in range(50)})["FailedResourcesMap"]
    assert list(failed) == [good] and read() == {"a": "1"}


def test_tagging_api_refuses_bad_requests(aws):
    tagging = boto3.client("resourcegroupstaggingapi", endpoint_url=aws.endpoint, region_name=REGION, aws_access_key_id="x", aws_secret_access_key="x",
                           config=Config(parameter_validation=False))
    arn = "arn:aws:sqs:eu-west-1:123456789012:q"
    for call, params in ((tagging.tag_resources, dict(ResourceARNList=[arn] * 21, Tags={"a": "b"})),
                         (tagging.tag_resources, dict(ResourceARNList=[arn], Tags={str(i): "" for i in range(51)})),
                         (tagging.tag_resources, dict(ResourceARNList=[arn], Tags={"a" * 129: "b"})),
                         (tagging.tag_resources, dict(ResourceARNList=["q"], Tags={"a": "b"})),
                         (tagging.untag_resources, dict(ResourceARNList=[arn], TagKeys=[])),
                         (tagging.get_resources, dict(ResourceARNList=[arn], ResourcesPerPage=10)),
                         (tagging.get_resources, dict(ResourceARNList=[arn] * 101)),
                         (tagging.get_resources, dict(ResourcesPerPage=101))):
        refused("InvalidParameterException", call, **params, status=400)
    refused("PaginationTokenExpiredException", tagging.get_resources, PaginationToken="nix")


def test_tagging_api_pages(aws):
    for i in range(205):
        aws("sqs").create_queue(QueueName=f"q-{i:03}", tags={"a": str(i)})
    pages, token = [], None
    while token != "":
        asked = {"PaginationToken": token} if token else {}
        page = aws("resourcegroupstaggingapi").get_resources(**asked)
        again = aws("resourcegroupstaggingapi").get_resources(**asked) if token else page  # a retry gets the same page
        assert page["ResourceTagMappingList"] == again["ResourceTagMappingList"]
        pages.append([r["ResourceARN"] for r in page["ResourceTagMappingList"]])
        token = page["PaginationToken"]
    assert [len(page) for page in pages] == [100, 0, 100, 5]  # an empty page is no end
    assert len({arn for page in pages for arn in page}) == 205
    assert len(listed(aws, ResourcesPerPage=7)) == 7


def test_buckets_show_in_their_region_only(aws):
    for region in (REGION, "eu-central-1"):
        bucket(aws, f"in-{region}", region)
        aws("s3", region).put_bucket_tagging(Bucket=f"in-{region}", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    assert list(listed(aws)) == [f"arn:aws:s3:::in-{REGION}"]
    failed = aws("resourcegroupstaggingapi").tag_resources(ResourceARNList=["arn:aws:s3:::in-eu-central-1"], Tags={"a": "c"})
    assert list(failed["FailedResourcesMap"]) == ["arn:aws:s3:::in-eu-central-1"]


def test_tagging_api_over_cbor(moto, aws):
    arn, read = make(aws, "sns:topic")
    call = lambda operation, params: moto.cbor(operation, params, "tagging", "ResourceGroupsTaggingAPI_20170126")
    assert call("TagResources", {"ResourceARNList": [arn], "Tags": {"a": "1"}})[2] == {"FailedResourcesMap": {}}
    assert call("GetResources", {})[2] == {"PaginationToken": "", "ResourceTagMappingList": [{"ResourceARN": arn, "Tags": [{"Key": "a", "Value": "1"}]}]}
    status, _, said = call("TagResources", {"ResourceARNList": [arn], "Tags": {}})
    assert status == 400 and said["__type"] == "InvalidParameterException"


def test_resource_explorer(moto, aws):
    arn, _ = make(aws, "sqs:queue")
    for i in range(3):
        aws("sns").create_topic(Name=f"t-{i}", Tags=[{"Key": "a", "Value": "b"}])
    explorer = aws("resource-explorer-2")
    assert "ViewArn" not in explorer.get_default_view() and explorer.list_views()["Views"] == []
    refused("UnauthorizedException", explorer.search, QueryString="tag:none", status=401)
    moto.door("POST", "explorer")
    found = explorer.search(QueryString="tag:none region:eu-west-1", ViewArn=explorer.get_default_view()["ViewArn"])
    assert [r["Arn"] for r in found["Resources"]] == [arn] and found["Count"] == {"TotalResources": 1, "Complete": True}
    first = explorer.search(QueryString="-tag:none resourcetype:SNS:topic", MaxResults=2)
    rest = explorer.search(QueryString="-tag:none resourcetype:SNS:topic", MaxResults=2, NextToken=first["NextToken"])
    assert len(first["Resources"]) == 2 and len(rest["Resources"]) == 1 and "NextToken" not in rest
    assert first["Resources"][0]["Properties"][0]["Data"] == [{"Key": "a", "Value": "b"}]


# --- CloudWatch, RDS, Lambda -----------------------------------------------------------------------------------------

def test_alarms_in_pages(moto, aws):
    for i in range(120):
        alarm(aws, f"alarm {i:03}")
    seen, token = [], {}
    while True:
        status, _, said = moto.cbor("DescribeAlarms", {"MaxRecords": 50} | token)
        assert status == 200
        seen.append(len(said["MetricAlarms"]))
        if "NextToken" not in said:
            break
        token = {"NextToken": said["NextToken"]}
    assert seen == [50, 50, 20]
    assert len(moto.cbor("DescribeAlarms", {"MaxRecords": 100})[2]["MetricAlarms"]) == 100
    assert len(moto.cbor("DescribeAlarms", {})[2]["MetricAlarms"]) == 50
    assert [a["AlarmName"] for a in moto.cbor("DescribeAlarms", {"AlarmNames": ["alarm 007", "nix"]})[2]["MetricAlarms"]] == ["alarm 007"]
    assert len(moto.cbor("DescribeAlarms", {"AlarmNamePrefix": "alarm 01", "StateValue": "OK"})[2]["MetricAlarms"]) in (0, 10)


def test_composite_alarms_only_when_asked(moto, aws):
    alarm(aws, "metric")
    aws("cloudwatch").put_composite_alarm(AlarmName="composite", AlarmRule='ALARM("metric")')
    said = moto.cbor("DescribeAlarms", {})[2]
    assert len(said["MetricAlarms"]) == 1 and said.get("CompositeAlarms", []) == []
    said = moto.cbor("DescribeAlarms", {"AlarmTypes": ["CompositeAlarm"]})[2]
    assert said.get("MetricAlarms", []) == [] and [a["AlarmName"] for a in said["CompositeAlarms"]] == ["composite"]


def test_alarm_updates_ignore_tags_and_keep_the_state(aws):
    alarm(aws, "a", Tags=[{"Key": "a", "Value": "1"}])
    assert aws("cloudwatch").describe_alarms()["MetricAlarms"][0]["StateValue"] == "INSUFFICIENT_DATA"
    aws("cloudwatch").set_alarm_state(AlarmName="a", StateValue="ALARM", StateReason="test")
    alarm(aws, "a", Tags=[{"Key": "b", "Value": "2"}], AlarmDescription="new")
    found = aws("cloudwatch").describe_alarms(AlarmNames=["a"])["MetricAlarms"][0]
    assert found["StateValue"] == "ALARM" and found["AlarmDescription"] == "new"
    assert aws("cloudwatch").list_tags_for_resource(ResourceARN=found["AlarmArn"])["Tags"] == [{"Key": "a", "Value": "1"}]


def test_what_moto_lacks_is_a_501_in_its_dialect(moto, aws):
    status, _, said = moto.cbor("GetMetricWidgetImage", {"MetricWidget": "{}"})
    assert status == 501 and said["__type"] == "NotImplemented"
    refused("NotImplemented", boto3.client("rds", endpoint_url=moto.endpoint, region_name=REGION, aws_access_key_id="x", aws_secret_access_key="x",
                                           config=Config(retries={"total_max_attempts": 1})).describe_db_recommendations, status=501)


def test_a_restored_database_is_a_new_one(aws):
    make(aws, "rds:snapshot")
    aws("rds").modify_db_instance(DBInstanceIdentifier="d", DeletionProtection=True, BackupRetentionPeriod=9)
    aws("rds").add_tags_to_resource(ResourceName=f"arn:aws:rds:{REGION}:{ACCOUNT}:db:d", Tags=[{"Key": "a", "Value": "1"}])
    source = aws("rds").describe_db_instances()["DBInstances"][0]
    copies = [aws("rds").restore_db_instance_from_db_snapshot(DBInstanceIdentifier="r1", DBSnapshotIdentifier="s", PubliclyAccessible=False),
              aws("rds").restore_db_instance_to_point_in_time(SourceDBInstanceIdentifier="d", TargetDBInstanceIdentifier="r2", UseLatestRestorableTime=True,
                                                              PubliclyAccessible=False, DeletionProtection=False, Tags=[{"Key": "drill", "Value": "x"}])]
    for copy in (copy["DBInstance"] for copy in copies):
        assert copy["DbiResourceId"] != source["DbiResourceId"] and not copy["DeletionProtection"] and not copy["PubliclyAccessible"]
    assert copies[1]["DBInstance"]["TagList"] == [{"Key": "drill", "Value": "x"}]


def test_no_automated_snapshots_without_retention(aws):
    make(aws, "rds:db")
    kept = dict(Engine="postgres", DBInstanceClass="db.t3.micro", AllocatedStorage=20, MasterUsername="root", MasterUserPassword="not-a-secret")
    aws("rds").create_db_instance(DBInstanceIdentifier="without", BackupRetentionPeriod=0, **kept)
    assert {s["DBInstanceIdentifier"] for s in aws("rds").describe_db_snapshots(SnapshotType="automated")["DBSnapshots"]} == {"d"}


def test_lambda_lists_fifty_at_most(aws):
    seeder = seed.Seeder(seed.argparse.Namespace(seed=1, endpoint=aws.endpoint, region=REGION, account=ACCOUNT, functions=53))
    seeder.functions()
    first = aws("lambda").list_functions(MaxItems=1000)
    rest = aws("lambda").list_functions(Marker=first["NextMarker"])
    assert len(first["Functions"]) == 50 and len(rest["Functions"]) == 3 and "NextMarker" not in rest


# --- faults -----------------------------------------------------------------------------------------------------------

CALLS = {  # service -> (a call, codes of: denied, throttled, broken)
    "s3": (lambda aws: aws("s3").list_buckets(), ("AccessDenied", 403), ("SlowDown", 503), "InternalError"),
    "rds": (lambda aws: aws("rds").describe_db_instances(), ("AccessDenied", 403), ("Throttling", 400), "InternalFailure"),
    "sns": (lambda aws: aws("sns").list_topics(), ("AuthorizationError", 403), ("Throttling", 400), "InternalFailure"),
    "sts": (lambda aws: aws("sts").get_caller_identity(), ("AccessDenied", 403), ("Throttling", 400), "InternalFailure"),
    "dynamodb": (lambda aws: aws("dynamodb").list_tables(), ("AccessDeniedException", 400), ("ThrottlingException", 400), "InternalServerError"),
    "logs": (lambda aws: aws("logs").describe_log_groups(), ("AccessDeniedException", 400), ("ThrottlingException", 400), "InternalServerError"),
    "sqs": (lambda aws: aws("sqs").list_queues(), ("AccessDeniedException", 400), ("ThrottlingException", 400), "InternalServerError"),
    "tagging": (lambda aws: aws("resourcegroupstaggingapi").get_resources(), ("AccessDeniedException", 400), ("ThrottledException", 400), "InternalServerError"),
    "lambda": (lambda aws: aws("lambda").list_functions(), ("AccessDeniedException", 403), ("TooManyRequestsException", 429), "ServiceException"),
}


@pytest.mark.parametrize("service", CALLS)
@pytest.mark.parametrize("mode", ["deny", "throttle", "error500"])
def test_faults_in_every_dialect(moto, aws, service, mode):
    call, denied, throttled, broken = CALLS[service]
    moto.door("POST", "faults", [{"service": service, "operation": "*", "mode": mode, "times": -1}])
    code, status = {"deny": denied, "throttle": throttled, "error500": (broken, 500)}[mode]
    single = lambda service: once(aws, service)
    refused(code, call, single, status=status)
    moto.door("DELETE", "faults")
    call(single)


@pytest.mark.parametrize("mode, code, status", [("deny", "AccessDenied", 403), ("throttle", "Throttling", 400), ("error500", "InternalServiceFault", 500)])
def test_faults_in_cbor(moto, mode, code, status):
    moto.door("POST", "faults", [{"service": "cloudwatch", "operation": "DescribeAlarms", "mode": mode}])
    got, headers, said = moto.cbor("DescribeAlarms", {})
    assert (got, said["__type"]) == (status, code) and headers["x-amzn-query-error"].split(";")[0] == code
    assert headers["smithy-protocol"] == "rpc-v2-cbor"
    assert moto.cbor("DescribeAlarms", {})[0] == 200  # once only


def test_faults_hit_one_operation_on_one_resource(moto, aws):
    for name in ("bucket-1", "bucket-2"):
        bucket(aws, name)
        aws("s3").put_bucket_tagging(Bucket=name, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    for operation in ("GetBucketTagging", "PutBucketTagging", "GetBucketLifecycleConfiguration", "PutBucketLifecycleConfiguration", "DeleteBucketLifecycle",
                      "HeadBucket", "GetBucketLocation"):
        moto.door("POST", "faults", [{"service": "s3", "operation": operation, "mode": "deny", "times": -1, "resource_contains": "bucket-2"}])
    s3 = aws("s3")
    s3.get_bucket_tagging(Bucket="bucket-1"), s3.get_bucket_location(Bucket="bucket-1"), s3.head_bucket(Bucket="bucket-1")
    put_lifecycle(s3, "bucket-1", WHOLE(seed.V2[0]))
    for call in (s3.get_bucket_tagging, s3.get_bucket_lifecycle_configuration, s3.delete_bucket_lifecycle, s3.get_bucket_location):
        refused("AccessDenied", call, Bucket="bucket-2")
    refused("403", s3.head_bucket, Bucket="bucket-2")
    refused("AccessDenied", put_lifecycle, s3, "bucket-2", WHOLE(seed.V2[0]))
    s3.get_bucket_versioning(Bucket="bucket-2")


def test_a_fault_ends_after_its_times(moto, aws):
    moto.door("POST", "faults", [{"service": "s3", "operation": "ListBuckets", "mode": "throttle", "times": 2}])
    aws("s3").list_buckets()  # the third attempt
    assert moto.door("GET", "calls") == {"s3:ListBuckets": 3} and moto.door("GET", "faults") == []


def once(aws, service):
    return aws.session.client(service, endpoint_url=aws.endpoint, config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}))


LOST = (ConnectionError, ConnectionClosedError, EndpointConnectionError, HTTPClientError)


def test_reset_and_answer_lost(moto, aws):
    name = bucket(aws)
    tag = dict(Bucket=name, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    s3 = once(aws, "s3")
    s3.list_buckets()  # the connection is open
    moto.door("POST", "faults", [{"service": "s3", "operation": "PutBucketTagging", "mode": "reset"}])
    with pytest.raises(LOST):
        s3.put_bucket_tagging(**tag)
    refused("NoSuchTagSet", s3.get_bucket_tagging, Bucket=name)
    moto.door("POST", "faults", [{"service": "s3", "operation": "PutBucketTagging", "mode": "answer_lost"}])
    with pytest.raises(LOST):
        s3.put_bucket_tagging(**tag)
    assert s3.get_bucket_tagging(Bucket=name)["TagSet"] == tag["Tagging"]["TagSet"]  # it had happened
    # The connection is cut before the line is written.
    for _ in range(300):
        if any(r["operation"] == "PutBucketTagging" and r["status"] == "answer_lost" for r in moto.recorded()):
            break
        time.sleep(0.1)
    else:
        raise AssertionError("the call whose answer was lost is not on record")


def test_delay(moto, aws):
    moto.door("POST", "faults", [{"service": "sts", "operation": "*", "mode": "delay_ms", "ms": 300}])
    start = time.monotonic()
    aws("sts").get_caller_identity()
    assert time.monotonic() - start > 0.3


def test_any_error_on_demand(moto, aws):
    moto.door("POST", "faults", [{"service": "s3", "operation": "ListBuckets", "mode": "error", "code": "OperationAborted", "status": 409}])
    refused("OperationAborted", once(aws, "s3").list_buckets, status=409)


def test_partial_failure(moto, aws):
    arns = [aws("sns").create_topic(Name=name)["TopicArn"] for name in ("good", "bad")]
    moto.door("POST", "faults", [{"service": "tagging", "operation": "TagResources", "mode": "partial", "resource_contains": ":bad"}])
    tag = lambda: aws("resourcegroupstaggingapi").tag_resources(ResourceARNList=arns, Tags={"a": "1"})["FailedResourcesMap"]
    assert {arn: f["ErrorCode"] for arn, f in tag().items()} == {arns[1]: "ThrottlingException"}
    assert tag() == {} and listed(aws) == {arn: {"a": "1"} for arn in arns}


def test_bad_faults_are_refused(moto):
    with pytest.raises(Exception, match="400"):
        moto.door("POST", "faults", [{"service": "s3", "operation": "*", "mode": "nonsense"}])


def test_record(moto, aws):
    bucket(aws)
    moto.cbor("DescribeAlarms", {"MaxRecords": 101, "Nonsense": 1})
    created, described = moto.recorded()[-2:]
    assert created == {"service": "s3", "operation": "CreateBucket", "region": REGION, "violations": [], "status": 200,
                       "params": {"Bucket": "bucket-1", "CreateBucketConfiguration": {"LocationConstraint": REGION}}}
    assert described["operation"] == "DescribeAlarms" and len(described["violations"]) == 2


def test_metric_without_dimensions(aws):
    cloudwatch, now = aws("cloudwatch"), datetime.datetime.now(datetime.UTC)
    data = [{"MetricName": "n", "Value": 1, "Timestamp": now}, {"MetricName": "n", "Value": 5, "Timestamp": now, "Dimensions": [{"Name": "a", "Value": "b"}]}]
    cloudwatch.put_metric_data(Namespace="N", MetricData=data)
    queries = [{"Id": key, "MetricStat": {"Metric": {"Namespace": "N", "MetricName": "n", "Dimensions": dimensions}, "Period": 3600, "Stat": "Sum"}}
               for key, dimensions in (("x", []), ("y", [{"Name": "a", "Value": "b"}]), ("z", [{"Name": "a", "Value": "c"}]))]
    hour = datetime.timedelta(hours=1)
    found = cloudwatch.get_metric_data(MetricDataQueries=queries, StartTime=now - hour, EndTime=now + hour)["MetricDataResults"]
    assert [(result["Id"], result["Values"]) for result in found] == [("x", [1]), ("y", [5]), ("z", [])]


def test_lambda_account(aws):
    limit = aws("lambda").get_account_settings()["AccountLimit"]
    assert limit["ConcurrentExecutions"] == limit["UnreservedConcurrentExecutions"] == 1000


# --- the seeded account -----------------------------------------------------------------------------------------------

def test_seeding_is_deterministic_and_clean(moto, aws):
    few = dict(buckets=60, databases=6, queues=6, tables=6, functions=6, alarms=6, topics=6, log_groups=6, cache=2, snapshots=2)
    options = seed.argparse.Namespace(endpoint=aws.endpoint, region=REGION, account=ACCOUNT, seed=1, future=True, **few)
    found, before = [], len(moto.recorded())
    for _ in range(2):
        moto.reset()
        seeder = seed.Seeder(options)
        seeder.run()
        assert not seeder.made["lifecycle configurations refused"] and not seeder.made["tags cloudformation, not set"]
        found.append(snapshot(aws.endpoint, REGION))
    made = [{arn: held for arn, held in account.items() if ":rds:db-" not in arn} for account in found]  # but for automated snapshots
    assert made[0] == made[1] and len(made[0]) == sum(few.values()) < len(found[0])
    assert [r for r in moto.recorded()[before:] if r["violations"]] == []  # and no request of it that AWS would refuse
    kept = {rule["ID"][0] for resource in found[0].values() for rule in (resource["lifecycle"] or {"rules": []})["rules"]}
    assert {"old-tmp", "old-all", "old-date", "future", "filter-empty", "noncurrent-chain", "n" * 250 + "<ü>"} <= kept
    assert {r["lifecycle"]["min_size"] for r in found[0].values() if r["lifecycle"]} == {"all_storage_classes_128K", "varies_by_storage_class"}
    assert any("aws:cloudformation:stack-name" in r["tags"] for r in found[0].values())
