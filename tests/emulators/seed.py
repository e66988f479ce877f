"""Fills an emulated account with what opsctl meets in real ones; the same arguments give the same account.

    seed.py --endpoint URL [--buckets 200 --databases 60 ...] [--account ID] [--region eu-west-1] [--seed 1]

About half of all resources are tagged well, the others in every wrong way. A third of the buckets have lifecycle rules
that are not opsctl's, all forms of them together; some hold objects. Prints what it made, as JSON.
"""
import argparse
import collections
import io
import json
import random
import sys
import urllib.error
import urllib.request
import zipfile
import zlib
from xml.sax.saxutils import escape

from aws_clients import Clients, put_lifecycle

PROJECT, TEAMS = "shop", ["platform", "payments", "search", "data"]
CLOUDFORMATION = {"aws:cloudformation:stack-name": "legacy-stack", "aws:cloudformation:logical-id": "Thing",
                  "aws:cloudformation:stack-id": "arn:aws:cloudformation:eu-west-1:123456789012:stack/legacy-stack/0f1e"}
WRONG = {  # name -> what it makes of good tags
    "never-tagged": lambda t: {},
    "wrong-case": lambda t: {k: v for k, v in t.items() if k != "environment"} | {"Environment": t["environment"]},
    "old-spelling": lambda t: {k: v for k, v in t.items() if k != "environment"} | {"env": t["environment"]},
    "both-spellings": lambda t: t | {"Environment": "staging"},
    "no-team": lambda t: {k: v for k, v in t.items() if k != "team"},
    "wrong-value": lambda t: t | {"environment": "production"},
    "bad-pattern": lambda t: t | {"team": "Platform Team"},
    "empty-value": lambda t: t | {"team": ""},
    "foreign-only": lambda t: {"CostCentre": "4711", "owner": "jürgen@example.com", "Größe": "groß + schön"},
    "foreign-too": lambda t: {"environment": "prod", "CostCentre": "", "a/b:c=d+e@f_g.h-i": "x y", "日本": "東京"},
    "emptied": lambda t: {"gone": "soon"},  # and untagged again: had a tag once
    "ignored": lambda t: {"opsctl:ignore": "handled by hand: OPS-7", "env": "x"},
    "terraform": lambda t: {"ManagedBy": "terraform", "env": "prod", "terraform:workspace": "default"},
    "cloudformation": lambda t: {"env": "prod"},  # and CloudFormation's own tags
}
EXTRA = {"CostCentre": "4711", "Größe": "groß", "note": ""}  # what a third of the well-tagged carry besides

RULE = "<Rule><ID>{}</ID><Status>Enabled</Status>{}</Rule>".format
V2 = [RULE(name, body) for name, body in {
    "filter-empty": "<Filter/><Expiration><Days>365</Days></Expiration>",
    "filter-open-close": "<Filter></Filter><Transition><Days>30</Days><StorageClass>STANDARD_IA</StorageClass></Transition>",
    "prefix-empty": "<Filter><Prefix></Prefix></Filter><Transition><Days>0</Days><StorageClass>GLACIER</StorageClass></Transition>",
    "prefix": "<Filter><Prefix>logs/</Prefix></Filter><Expiration><Days>1</Days></Expiration>",
    "prefix-strange": f"<Filter><Prefix> {escape('a&b<c>')}/ü 😀\t&#13;&#10;/ </Prefix></Filter><Expiration><Days>90</Days></Expiration>",
    "tag": "<Filter><Tag><Key>retain</Key><Value>short</Value></Tag></Filter><Expiration><Days>7</Days></Expiration>",
    "tag-empty-value": "<Filter><Tag><Key>temporary</Key><Value></Value></Tag></Filter><Expiration><Days>7</Days></Expiration>",
    "larger": "<Filter><ObjectSizeGreaterThan>131072</ObjectSizeGreaterThan></Filter><Transition><Days>60</Days>"
              "<StorageClass>INTELLIGENT_TIERING</StorageClass></Transition>",
    "larger-than-none": "<Filter><ObjectSizeGreaterThan>0</ObjectSizeGreaterThan></Filter><Expiration><Days>9</Days></Expiration>",
    "smaller": "<Filter><ObjectSizeLessThan>5497558138880</ObjectSizeLessThan></Filter><Expiration><Days>30</Days></Expiration>",
    "and-prefix-tag": "<Filter><And><Prefix>a/</Prefix><Tag><Key>k</Key><Value>v</Value></Tag></And></Filter><Expiration><Days>5</Days></Expiration>",
    "and-tags": "<Filter><And><Tag><Key>k</Key><Value>v</Value></Tag><Tag><Key>l</Key><Value>w w</Value></Tag></And></Filter>"
                "<Expiration><Days>5</Days></Expiration>",
    "and-sizes": "<Filter><And><ObjectSizeGreaterThan>1</ObjectSizeGreaterThan><ObjectSizeLessThan>1000000</ObjectSizeLessThan></And></Filter>"
                 "<Expiration><Days>6</Days></Expiration>",
    "and-all": "<Filter><And><Prefix></Prefix><Tag><Key>k</Key><Value></Value></Tag><ObjectSizeGreaterThan>10</ObjectSizeGreaterThan>"
               "<ObjectSizeLessThan>20</ObjectSizeLessThan></And></Filter><Transition><Days>31</Days><StorageClass>ONEZONE_IA</StorageClass></Transition>",
    "on-a-date": "<Filter><Prefix>d/</Prefix></Filter><Transition><Date>2031-01-01T00:00:00.000Z</Date><StorageClass>GLACIER_IR</StorageClass>"
                 "</Transition><Expiration><Date>2032-01-01T00:00:00.000Z</Date></Expiration>",
    "delete-marker": "<Filter/><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>",
    "delete-marker-false": "<Filter><Prefix>m/</Prefix></Filter><Expiration><ExpiredObjectDeleteMarker>false</ExpiredObjectDeleteMarker></Expiration>",
    "noncurrent": "<Filter/><NoncurrentVersionExpiration><NoncurrentDays>30</NoncurrentDays></NoncurrentVersionExpiration>",
    "noncurrent-newer": "<Filter/><NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays><NewerNoncurrentVersions>100</NewerNoncurrentVersions>"
                        "</NoncurrentVersionExpiration>",
    "noncurrent-chain": "<Filter><Prefix>v/</Prefix></Filter><NoncurrentVersionTransition><NoncurrentDays>30</NoncurrentDays>"
                        "<StorageClass>STANDARD_IA</StorageClass><NewerNoncurrentVersions>2</NewerNoncurrentVersions></NoncurrentVersionTransition>"
                        "<NoncurrentVersionTransition><NoncurrentDays>90</NoncurrentDays><StorageClass>GLACIER</StorageClass>"
                        "</NoncurrentVersionTransition><NoncurrentVersionExpiration><NoncurrentDays>400</NoncurrentDays>"
                        "<NewerNoncurrentVersions>5</NewerNoncurrentVersions></NoncurrentVersionExpiration>",
    "abort": "<Filter/><AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload>",
    "chain": "<Filter><Prefix>c/</Prefix></Filter>" + "".join(
        f"<Transition><Days>{days}</Days><StorageClass>{kind}</StorageClass></Transition>" for days, kind in
        ((30, "STANDARD_IA"), (60, "INTELLIGENT_TIERING"), (90, "GLACIER_IR"), (120, "GLACIER"), (180, "DEEP_ARCHIVE")))
        + "<Expiration><Days>3650</Days></Expiration>",
    "everything": "<Filter><Prefix>e/</Prefix></Filter><Transition><Days>1</Days><StorageClass>DEEP_ARCHIVE</StorageClass></Transition>"
                  "<Expiration><Days>2</Days></Expiration><NoncurrentVersionExpiration><NoncurrentDays>3</NoncurrentDays></NoncurrentVersionExpiration>"
                  "<AbortIncompleteMultipartUpload><DaysAfterInitiation>4</DaysAfterInitiation></AbortIncompleteMultipartUpload>",
    "OPSCTL-not-ours": "<Filter><Prefix>x/</Prefix></Filter><Expiration><Days>8</Days></Expiration>",
    "n" * 250 + "&lt;ü&gt;": "<Filter><Prefix>long/</Prefix></Filter><Expiration><Days>8</Days></Expiration>",
}.items()] + [
    "<Rule><Filter><Prefix>disabled/</Prefix></Filter><Status>Disabled</Status><Expiration><Days>1</Days></Expiration><ID>disabled</ID></Rule>",
    "<Rule><Status>Enabled</Status><Filter><Prefix>nameless/</Prefix></Filter><Expiration><Days>12</Days></Expiration></Rule>",
]
FUTURE = RULE("future", "<Filter><Prefix>f/</Prefix><FutureScope kind=\"x\"><Depth>3</Depth></FutureScope></Filter>"
              "<Expiration><Days>77</Days></Expiration><FutureAction>later</FutureAction>")
V1 = [  # S3 does not let a configuration mix these with rules that have a Filter
    "".join(RULE(name, body) for name, body in {
        "old-tmp": "<Prefix>tmp/</Prefix><Expiration><Days>3</Days></Expiration>",
        "old-archive": "<Prefix>archive/</Prefix><Transition><Days>30</Days><StorageClass>STANDARD_IA</StorageClass></Transition>"
                       "<Transition><Days>90</Days><StorageClass>GLACIER</StorageClass></Transition>",
        "old-noncurrent": "<Prefix>docs/</Prefix><NoncurrentVersionExpiration><NoncurrentDays>10</NoncurrentDays></NoncurrentVersionExpiration>",
    }.items()),
    RULE("old-all", "<Prefix></Prefix><AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload>"),
    RULE("old-date", "<Prefix/><Expiration><Date>2033-05-01T00:00:00.000Z</Date></Expiration>"),
]


class Seeder:
    def __init__(self, options):
        self.options, self.random = options, random.Random(options.seed)
        self.aws = Clients(options.endpoint, options.region, options.account)
        self.made, self.system = collections.Counter(), {}
        self.ranks, self.wrong = collections.Counter(), list(WRONG)

    def arn(self, service, rest):
        return f"arn:aws:{service}:{self.options.region}:{self.aws.account}:{rest}"

    def tags(self, arn):
        """Its tags, whatever else is made, and whether they are to be taken off again. Every second of a service is wrong."""
        chance, service = random.Random(f"{self.options.seed} {arn}"), arn.split(":")[2]
        good = {"project": PROJECT, "environment": "prod", "team": chance.choice(TEAMS)}
        rank = self.ranks[service] = self.ranks[service] + 1
        if rank % 2:
            return (good | EXTRA if chance.random() < 1 / 3 else good), False
        how = self.wrong[(zlib.crc32(service.encode()) + 5 * (rank // 2)) % len(self.wrong)]
        self.made[f"tags {how}"] += 1
        if how == "cloudformation":
            self.system[arn] = CLOUDFORMATION
        return WRONG[how](good), how == "emptied"

    def each(self, what, name):
        for i in range(getattr(self.options, what)):
            self.made[what] += 1
            yield i, name.format(i)

    def run(self):
        for what in ("buckets", "databases", "snapshots", "queues", "tables", "functions", "alarms", "topics", "log_groups", "cache"):
            getattr(self, what)()
        if self.system:
            try:
                door = urllib.request.Request(f"{self.options.endpoint.rstrip('/')}/_opsctl/system-tags", json.dumps(self.system).encode())
                urllib.request.urlopen(door).close()
            except urllib.error.HTTPError as e:
                if b"unknown: arn:" in e.read():
                    raise
                self.made["tags cloudformation, not set"] = len(self.system)

    def buckets(self):
        s3, region = self.aws("s3"), self.options.region
        where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        for i, name in self.each("buckets", "shop-{:03}-" + f"{self.aws.account[-4:]}"):
            name += ["-logs", "-media", "", "-backup"][i % 4]
            s3.create_bucket(Bucket=name, **where)
            tags, emptied = self.tags(f"arn:aws:s3:::{name}")
            if tags:
                s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": pairs(tags)})
            if emptied:
                s3.delete_bucket_tagging(Bucket=name)
            if i % 7 == 3:
                s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
            if i % 5 == 0:
                for key in range(1 + i % 3):
                    s3.put_object(Bucket=name, Key=f"logs/{key}", Body=b"x" * (1 << 10 + i % 10))
        with_rules = [f"shop-{i:03}-{self.aws.account[-4:]}{['-logs', '-media', '', '-backup'][i % 4]}"
                      for i in range(0, self.options.buckets, 3)]
        self.lifecycles(s3, with_rules)

    def lifecycles(self, s3, buckets):
        rules = V2 + ([FUTURE] if self.options.future else [])
        old, new = (buckets[:3], buckets[3:]) if len(buckets) > 3 else ([], buckets)
        for bucket, body in zip(old, V1):
            self.put_rules(s3, bucket, body, None)
        for i, bucket in enumerate(new):  # every form at least once, then again with others beside it
            mine = rules[i::len(new)] if len(new) < len(rules) else [rules[i % len(rules)]]
            if i >= len(rules):
                mine = mine + [rule for rule in self.random.sample(rules, self.random.randint(0, 6)) if rule not in mine]
            self.put_rules(s3, bucket, "\n ".join(mine), "varies_by_storage_class" if i % 3 == 1 else None)

    def put_rules(self, s3, bucket, body, size):
        xml = f'<LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">\n {body}\n</LifecycleConfiguration>'
        try:
            put_lifecycle(s3, bucket, xml, size)
        except s3.exceptions.ClientError as e:  # an emulator that knows fewer forms
            print(f"{bucket}: {e}", file=sys.stderr)
            self.made["lifecycle configurations refused"] += 1
            return
        self.made["lifecycle configurations"] += 1
        self.made["lifecycle rules"] += body.count("<Rule>")

    def databases(self):
        rds = self.aws("rds")
        for i, name in self.each("databases", "db-{:03}"):
            tags, emptied = self.tags(self.arn("rds", f"{'cluster' if i % 6 == 5 else 'db'}:{name}"))
            if i % 6 == 5:
                made = rds.create_db_cluster(DBClusterIdentifier=name, Engine="aurora-postgresql", MasterUsername="root",
                                             MasterUserPassword="not-a-secret", Tags=pairs(tags))["DBCluster"]["DBClusterArn"]
            else:
                made = rds.create_db_instance(DBInstanceIdentifier=name, Engine="postgres", DBInstanceClass="db.t4g.micro", AllocatedStorage=20,
                                              MasterUsername="root", MasterUserPassword="not-a-secret", BackupRetentionPeriod=i % 8,
                                              Tags=pairs(tags))["DBInstance"]["DBInstanceArn"]
            if emptied:
                rds.remove_tags_from_resource(ResourceName=made, TagKeys=list(tags))

    def snapshots(self):
        if self.options.databases:
            for _, name in self.each("snapshots", "snap-{:03}"):
                tags, emptied = self.tags(self.arn("rds", f"snapshot:{name}"))
                made = self.aws("rds").create_db_snapshot(DBSnapshotIdentifier=name, DBInstanceIdentifier="db-000", Tags=pairs(tags))
                if emptied:
                    self.aws("rds").remove_tags_from_resource(ResourceName=made["DBSnapshot"]["DBSnapshotArn"], TagKeys=list(tags))

    def queues(self):
        sqs = self.aws("sqs")
        for _, name in self.each("queues", "queue-{:03}"):
            tags, emptied = self.tags(self.arn("sqs", name))
            url = sqs.create_queue(QueueName=name, **({"tags": tags} if tags else {}))["QueueUrl"]
            if emptied:
                sqs.untag_queue(QueueUrl=url, TagKeys=list(tags))

    def tables(self):
        dynamodb = self.aws("dynamodb")
        for _, name in self.each("tables", "table-{:03}"):
            arn = self.arn("dynamodb", f"table/{name}")
            tags, emptied = self.tags(arn)
            dynamodb.create_table(TableName=name, BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
                                  AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}], Tags=pairs(tags))
            if emptied:
                dynamodb.untag_resource(ResourceArn=arn, TagKeys=list(tags))

    def functions(self):
        if not self.options.functions:
            return
        trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}]}
        iam, lambdas, code = self.aws("iam"), self.aws("lambda"), io.BytesIO()
        try:
            role = iam.create_role(RoleName="seed-lambda", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        except iam.exceptions.EntityAlreadyExistsException:
            role = f"arn:aws:iam::{self.aws.account}:role/seed-lambda"
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr(zipfile.ZipInfo("app.py"), "def handler(event, context):\n    return 1\n")
        for _, name in self.each("functions", "function-{:03}"):
            arn = self.arn("lambda", f"function:{name}")
            tags, emptied = self.tags(arn)
            lambdas.create_function(FunctionName=name, Runtime="python3.13", Role=role, Handler="app.handler", Code={"ZipFile": code.getvalue()}, Tags=tags)
            if emptied:
                lambdas.untag_resource(Resource=arn, TagKeys=list(tags))

    def alarms(self):
        cloudwatch = self.aws("cloudwatch")
        for i, name in self.each("alarms", "alarm {:03}"):
            arn = self.arn("cloudwatch", f"alarm:{name}")
            tags, emptied = self.tags(arn)
            cloudwatch.put_metric_alarm(AlarmName=name, Namespace="AWS/SQS", MetricName="ApproximateAgeOfOldestMessage", Statistic="Maximum", Period=300,
                                        Dimensions=[{"Name": "QueueName", "Value": f"queue-{i:03}"}], EvaluationPeriods=3, Threshold=600,
                                        ComparisonOperator="GreaterThanThreshold", TreatMissingData="notBreaching", **({"Tags": pairs(tags)} if tags else {}))
            if emptied:
                cloudwatch.untag_resource(ResourceARN=arn, TagKeys=list(tags))

    def topics(self):
        sns = self.aws("sns")
        for _, name in self.each("topics", "topic-{:03}"):
            tags, emptied = self.tags(self.arn("sns", name))
            arn = sns.create_topic(Name=name, Tags=pairs(tags))["TopicArn"]
            if emptied:
                sns.untag_resource(ResourceArn=arn, TagKeys=list(tags))

    def log_groups(self):
        logs = self.aws("logs")
        for _, name in self.each("log_groups", "/seed/group-{:03}"):
            arn = self.arn("logs", f"log-group:{name}")
            tags, emptied = self.tags(arn)
            logs.create_log_group(logGroupName=name, **({"tags": tags} if tags else {}))
            if emptied:
                logs.untag_resource(resourceArn=arn, tagKeys=list(tags))

    def cache(self):
        for _, name in self.each("cache", "cache-{:03}"):
            tags, emptied = self.tags(self.arn("elasticache", f"cluster:{name}"))
            made = self.aws("elasticache").create_cache_cluster(CacheClusterId=name, Engine="memcached", CacheNodeType="cache.t4g.micro",
                                                                NumCacheNodes=1, Tags=pairs(tags))
            if emptied:
                self.aws("elasticache").remove_tags_from_resource(ResourceName=made["CacheCluster"]["ARN"], TagKeys=list(tags))


def pairs(tags):
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def main():
    parser = argparse.ArgumentParser(description="fills an emulated account")
    parser.add_argument("--endpoint", required=True)
    for name, default in {"buckets": 200, "databases": 60, "queues": 60, "tables": 60, "functions": 60, "alarms": 60, "topics": 20, "log-groups": 20,
                          "cache": 5, "snapshots": 5}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--account", default="123456789012")
    parser.add_argument("--region", default="eu-west-1")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--future", action="store_true", help="also rules with elements that S3 does not have yet (moto_aws.py takes them)")
    seeder = Seeder(parser.parse_args())
    seeder.run()
    print(json.dumps(dict(sorted(seeder.made.items())), indent=1))


if __name__ == "__main__":
    main()
