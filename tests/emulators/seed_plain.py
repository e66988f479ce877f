"""Seeds a few resources of the forms that every emulator keeps: seed_plain.py --endpoint URL [--only-s3 | --contract]"""
import argparse

from aws_clients import Clients

args = argparse.ArgumentParser()
args.add_argument("--endpoint", required=True)
args.add_argument("--only-s3", action="store_true")
args.add_argument("--contract", action="store_true", help="two empty buckets and a queue")
args = args.parse_args()
client = Clients(args.endpoint, "eu-west-1")

s3 = client("s3")
if args.contract:
    for name in ("plain-one", "plain-two"):
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    client("sqs").create_queue(QueueName="plain")
    raise SystemExit
for i in range(8):
    name = f"plain-{i}-bucket"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    if i % 2:
        s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": [{"Key": "Environment", "Value": "prod"}, {"Key": "CostCentre", "Value": "7"}]})
    if i % 3 == 0:
        s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": [
            {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 9}}]})
if not args.only_s3:
    for i in range(3):
        client("sqs").create_queue(QueueName=f"plain-{i}")
        client("sns").create_topic(Name=f"plain-{i}")
    client("rds").create_db_instance(DBInstanceIdentifier="plain", Engine="postgres", DBInstanceClass="db.t3.micro",
                                     AllocatedStorage=20, MasterUsername="u", MasterUserPassword="password-1")
