"""A topic with a queue behind it: topic_queue.py --endpoint URL make|read NAME; read prints what came, as JSON."""
import argparse
import json

from aws_clients import Clients

parser = argparse.ArgumentParser()
parser.add_argument("--endpoint", required=True)
parser.add_argument("action", choices=["make", "read"])
parser.add_argument("name")
options = parser.parse_args()
aws = Clients(options.endpoint, "eu-west-1")
sqs = aws("sqs")
if options.action == "make":
    topic = aws("sns").create_topic(Name=options.name)["TopicArn"]
    url = sqs.create_queue(QueueName=f"behind-{options.name}")["QueueUrl"]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    aws("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)
else:
    url = sqs.get_queue_url(QueueName=f"behind-{options.name}")["QueueUrl"]
    found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    print(json.dumps([json.loads(m["Body"]) for m in found], indent=1))
