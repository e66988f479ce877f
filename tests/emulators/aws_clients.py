"""boto3 clients for one endpoint, and the raw XML of lifecycle configurations, which boto3 would cut to what it knows."""
import boto3
from botocore.config import Config

SETTINGS = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 3, "mode": "standard"},
                  connect_timeout=5, read_timeout=60, max_pool_connections=20)


class Clients:
    def __init__(self, endpoint, region, account="123456789012"):
        """An access key that is an account id gives that account on ministack and localstack; moto knows only this one."""
        self.endpoint, self.region, self.made = endpoint, region, {}
        self.session = boto3.Session(aws_access_key_id=account, aws_secret_access_key="secret", region_name=region)
        self.account = self("sts").get_caller_identity()["Account"]

    def __call__(self, service, region=None):
        key = service, region or self.region
        if key not in self.made:
            self.made[key] = self.session.client(service, region_name=key[1], endpoint_url=self.endpoint, config=SETTINGS)
        return self.made[key]

    def pages(self, service, operation, **params):
        client = self(service)
        if client.can_paginate(operation):
            yield from client.get_paginator(operation).paginate(**params)
        else:
            yield getattr(client, operation)(**params)


def put_lifecycle(s3, bucket, xml, size=None):
    """Puts this very XML."""
    def swap(params, **_):
        params["body"] = xml.encode()
    event = "before-call.s3.PutBucketLifecycleConfiguration"
    s3.meta.events.register(event, swap)
    try:
        extra = {"TransitionDefaultMinimumObjectSize": size} if size else {}
        s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": []}, **extra)
    finally:
        s3.meta.events.unregister(event, swap)


def get_lifecycle(s3, bucket, **params):
    """(XML, size) as the wire brought them, None where there is no configuration."""
    seen = []

    def keep(response_dict, **_):
        seen.append(response_dict)
    event = "before-parse.s3.GetBucketLifecycleConfiguration"
    s3.meta.events.register(event, keep)
    try:
        answer = s3.get_bucket_lifecycle_configuration(Bucket=bucket, **params)
    except s3.exceptions.ClientError as e:
        if e.response["Error"]["Code"] == "NoSuchLifecycleConfiguration":
            return None
        raise
    finally:
        s3.meta.events.unregister(event, keep)
    return seen[-1]["body"].decode(), answer.get("TransitionDefaultMinimumObjectSize")
