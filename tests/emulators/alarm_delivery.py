"""Messages of alarms as they arrive on a queue behind their topic.

    alarm_delivery.py --endpoint URL subscribe        # a queue that takes what the topic `pager` tells
    alarm_delivery.py --endpoint URL burst ALARM      # many failures, until the alarm's message is there: prints it
    alarm_delivery.py --endpoint URL messages N       # waits for N messages: a line of JSON each
    alarm_delivery.py --endpoint URL state ALARM      # its state
    alarm_delivery.py --endpoint URL other ALARM      # somebody else's alarm that stops an instance
"""
import argparse
import json
import sys
import time

from aws_clients import Clients

REGION, STAGE = "eu-west-1", [{"Name": "Stage", "Value": "prod"}]


def received(aws, url):
    for message in aws("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=2, MaxNumberOfMessages=10).get("Messages", []):
        aws("sqs").delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        yield json.loads(json.loads(message["Body"])["Message"])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("step", choices=["subscribe", "burst", "messages", "state", "other"])
    parser.add_argument("what", nargs="?")
    args = parser.parse_args()
    aws = Clients(args.endpoint, REGION)
    if args.step == "subscribe":
        topic = f"arn:aws:sns:{REGION}:{aws.account}:pager"
        url = aws("sqs").create_queue(QueueName="pages")["QueueUrl"]
        queue = aws("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        aws("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)
        return
    if args.step == "state":
        print(aws("cloudwatch").describe_alarms(AlarmNames=[args.what])["MetricAlarms"][0]["StateValue"])
        return
    if args.step == "other":
        aws("cloudwatch").put_metric_alarm(AlarmName=args.what, Namespace="AWS/EC2", MetricName="CPUUtilization", Statistic="Average", Period=300,
                                           EvaluationPeriods=1, Threshold=1, ComparisonOperator="LessThanThreshold",
                                           AlarmActions=[f"arn:aws:automate:{REGION}:ec2:stop", f"arn:aws:sns:{REGION}:{aws.account}:pager"])
        return
    url, deadline, found = aws("sqs").get_queue_url(QueueName="pages")["QueueUrl"], time.monotonic() + 90, []
    while time.monotonic() < deadline:
        if args.step == "burst":
            aws("cloudwatch").put_metric_data(Namespace="Shop", MetricData=[
                {"MetricName": "Failed", "Dimensions": STAGE, "Value": 50, "Unit": "Count"}])
            # An emulator that evaluates when it is asked is asked here.
            aws("cloudwatch").describe_alarms(AlarmNames=[args.what])
        found += received(aws, url)
        if args.step == "burst":
            found = [message for message in found if message["AlarmName"] == args.what and message["NewStateValue"] == "ALARM"]
        if len(found) >= int(args.what if args.step == "messages" else 1):
            print("\n".join(map(json.dumps, found)))
            return
    sys.exit(f"too few messages arrived: {found}")


main()
