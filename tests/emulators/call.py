"""One call by boto3, its answer as JSON. usage: call.py --endpoint URL [--region R] SERVICE OPERATION [JSON|-] (- reads standard input)

A list instead of an object is so many calls, one after the other.
"""
import argparse
import json
import sys

from aws_clients import Clients

parser = argparse.ArgumentParser()
parser.add_argument("--endpoint", required=True)
parser.add_argument("--region", default="eu-west-1")
parser.add_argument("service")
parser.add_argument("operation")
parser.add_argument("params", nargs="?", default="{}")
options = parser.parse_args()
params = json.loads(sys.stdin.read() if options.params == "-" else options.params)
call = getattr(Clients(options.endpoint, options.region)(options.service), options.operation)
answers = [call(**one) for one in (params if isinstance(params, list) else [params])]
for answer in answers:
    answer.pop("ResponseMetadata", None)
json.dump(answers if isinstance(params, list) else answers[0], sys.stdout, default=str)
