"""A user with one policy, in a file; prints its access key: iam_user.py --endpoint URL NAME FILE"""
import argparse
import json

from aws_clients import Clients

parser = argparse.ArgumentParser()
parser.add_argument("--endpoint", required=True)
parser.add_argument("name")
parser.add_argument("policy")
options = parser.parse_args()
# The account that ministack gives to keys which are no account id, as those of a user are.
iam = Clients(options.endpoint, "us-east-1", "test")("iam")
iam.create_user(UserName=options.name)
iam.put_user_policy(UserName=options.name, PolicyName="opsctl", PolicyDocument=open(options.policy).read())
print(json.dumps(iam.create_access_key(UserName=options.name)["AccessKey"], default=str))
