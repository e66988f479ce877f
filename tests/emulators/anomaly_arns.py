"""What anomaly detection has, as JSON {ARN: name}: anomaly_arns.py --endpoint URL"""
import argparse
import json

from aws_clients import Clients

parser = argparse.ArgumentParser()
parser.add_argument("--endpoint", required=True)
ce = Clients(parser.parse_args().endpoint, "us-east-1")("ce")
found = {m["MonitorArn"]: m["MonitorName"] for m in ce.get_anomaly_monitors()["AnomalyMonitors"]}
found |= {s["SubscriptionArn"]: s["SubscriptionName"] for s in ce.get_anomaly_subscriptions()["AnomalySubscriptions"]}
print(json.dumps(found, indent=1, sort_keys=True))
