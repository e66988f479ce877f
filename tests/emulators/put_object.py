"""Puts a file into a bucket of us-west-2, which is made: put_object.py --endpoint URL BUCKET KEY FILE"""
import argparse

from aws_clients import Clients

args = argparse.ArgumentParser()
args.add_argument("--endpoint", required=True)
args.add_argument("bucket")
args.add_argument("key")
args.add_argument("file")
args = args.parse_args()
s3 = Clients(args.endpoint, "us-west-2")("s3")
s3.create_bucket(Bucket=args.bucket, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
with open(args.file, "rb") as body:
    s3.put_object(Bucket=args.bucket, Key=args.key, Body=body)
