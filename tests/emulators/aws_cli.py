"""Stands in for the CLI of AWS where a report names a command of it: aws_cli.py --endpoint URL COMMAND, COMMAND as a shell would read it."""
import argparse
import json
import shlex
import sys

from aws_clients import Clients

parser = argparse.ArgumentParser()
parser.add_argument("--endpoint", required=True)
parser.add_argument("command")
options = parser.parse_args()
program, service, operation, *rest = shlex.split(options.command)
command = argparse.ArgumentParser()
command.add_argument("--region", required=True)
command.add_argument("--profile")
command.add_argument("--resource-arn-list", nargs="+", required=True)
command.add_argument("--tags", type=json.loads)
command.add_argument("--tag-keys", nargs="+")
args = command.parse_args(rest)
assert (program, service) == ("aws", "resourcegroupstaggingapi"), options.command
aws = Clients(options.endpoint, args.region)("resourcegroupstaggingapi")
if operation == "tag-resources":
    answer = aws.tag_resources(ResourceARNList=args.resource_arn_list, Tags=args.tags)
else:
    answer = aws.untag_resources(ResourceARNList=args.resource_arn_list, TagKeys=args.tag_keys)
sys.exit(f"{answer['FailedResourcesMap']}" if answer["FailedResourcesMap"] else 0)
