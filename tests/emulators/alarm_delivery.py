"""A topic with a queue behind it, and a burst of failures: prints the message that arrives."""
import argparse
import json
import sys
import time

from aws_clients import Clients


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("step", choices=["prepare", "burst"])
    args = parser.parse_args()
    aws = Clients(args.endpoint, "eu-west-1")
    if args.step == "prepare":
        topic = aws("sns").create_topic(Name="pager")["TopicArn"]
        url = aws("sqs").create_queue(QueueName="pages")["QueueUrl"]
        queue = aws("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        aws("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)
        return
    url = aws("sqs").get_queue_url(QueueName="pages")["QueueUrl"]
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        aws("cloudwatch").put_metric_data(Namespace="Shop", MetricData=[
            {"MetricName": "Failed", "Dimensions": [{"Name": "Stage", "Value": "prod"}], "Value": 50, "Unit": "Count"}])
        # An emulator that evaluates when it is asked is asked here.
        aws("cloudwatch").describe_alarms(AlarmNames=["shop-prod-burst"])
        for message in aws("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=2).get("Messages", []):
            text = json.loads(message["Body"]).get("Message", message["Body"])
            if "shop-prod-burst" in text:
                print(text)
                return
    sys.exit("no message arrived")


main()
