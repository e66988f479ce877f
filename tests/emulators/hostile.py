"""Resources whose tags are meant to break whatever shows them: hostile.py --endpoint URL [--region eu-west-1]. Prints the values, as JSON."""
import argparse
import json

from aws_clients import Clients

VALUES = ["<script>hacked=1</script>", "\"><img src=x onerror=hacked=1>", "'; hacked=1 //", "</script><script>hacked=1</script>", "\u202egnp.exe", "\u2066left\u2069",
          "\U0001f469\u200d\U0001f4bb \U0001f525", "w" * 256, "=HYPERLINK(\"http://x\",\"y\")", "+1+1", "-1-1", "@SUM(A1)", "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "a|b`c*d_e",
          "[x](javascript:alert(1))", "::error::x", "line\nbreak\ttab", "$(touch hacked) `touch hacked`", "{{ 7 * 7 }}{% raw %}", "&lt;b&gt;", "  spaces  ", "\ufeff\u200binvisible"]

parser = argparse.ArgumentParser()
parser.add_argument("--endpoint", required=True)
parser.add_argument("--region", default="eu-west-1")
options = parser.parse_args()
aws = Clients(options.endpoint, options.region)
sns, sqs = aws("sns"), aws("sqs")
for i, value in enumerate(VALUES):
    # As the owner, as a value that is not allowed, under another spelling, and beside the right key.
    sns.create_topic(Name=f"hostile-{i:02}", Tags=[{"Key": "team", "Value": value}, {"Key": "environment", "Value": value}])
    sqs.create_queue(QueueName=f"hostile-{i:02}", tags={"Environment": value, "environment": "prod", "team": "core", "TEAM": value, "owner": value})
print(json.dumps(VALUES))
