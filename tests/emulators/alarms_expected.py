"""Is every alarm in the account what the policy of alarms_moto.rs means? Worked out anew from the resources, with boto3.

    alarms_expected.py --endpoint URL

Prints each deviation, and exits 1 when there is one. Alarms whose names do not begin with `shop-prod-` are somebody else's.
"""
import argparse
import sys

from alarms_account import REGIONS, TYPES
from aws_clients import Clients

PREFIX = "shop-prod-"
GIB = 1 << 30
MEMORY = {"db.t4g.micro": GIB, "db.r6g.large": 16 * GIB, "cache.t4g.micro": GIB // 2}
BACK = {"StateValue", "StateReason", "StateReasonData", "StateUpdatedTimestamp", "StateTransitionedTimestamp", "AlarmArn", "AlarmDescription",
        "AlarmConfigurationUpdatedTimestamp", "EvaluationState"}  # what an alarm says besides what it was told
ABOVE, BELOW = "GreaterThanThreshold", "LessThanThreshold"
EMPTY = {"Dimensions": [], "Metrics": [], "AlarmActions": [], "OKActions": [], "InsufficientDataActions": []}


def dimensions(**named):
    return [{"Name": name, "Value": value} for name, value in sorted(named.items())]


class Expected:
    def __init__(self, aws, region):
        self.aws, self.region, self.alarms = aws, region, {}

    def topics(self, severity):
        names = {"page": ["pager"], "ticket": ["desk", "opsctl-shop-prod"]}.get(severity, [])
        return sorted(f"arn:aws:sns:{self.region}:{self.aws.account}:{name}" for name in names)

    def add(self, name, severity, watched, when, threshold, points, missing):
        """points: M, N."""
        told = self.topics(severity)
        self.alarms[PREFIX + name] = EMPTY | watched | {
            "ActionsEnabled": True, "AlarmActions": told, "OKActions": told if severity == "page" else [], "ComparisonOperator": when,
            "Threshold": float(threshold), "DatapointsToAlarm": points[0], "EvaluationPeriods": points[1], "TreatMissingData": missing}

    @staticmethod
    def single(namespace, metric, where, statistic, period=60):
        kind = {"ExtendedStatistic": statistic, "EvaluateLowSampleCountPercentile": "ignore"} if statistic[0] == "p" else {"Statistic": statistic}
        return {"Namespace": namespace, "MetricName": metric, "Dimensions": where, "Period": period} | kind

    @staticmethod
    def math(namespace, where, metrics, period, expression, label, identifier="rate"):
        stats = [{"Id": key, "ReturnData": False, "MetricStat": {
            "Metric": {"Namespace": namespace, "MetricName": name, "Dimensions": where}, "Period": period, "Stat": "Sum"}} for key, name in metrics.items()]
        shown = [{"Id": identifier, "Expression": expression, "Label": label, "ReturnData": True}]
        return {"Metrics": sorted(stats + shown, key=lambda query: query["Id"])}

    def business(self):
        if self.region != REGIONS[0]:
            # p99 above 800, 2 of 3 times 5 minutes, info
            self.add("slow", "info", self.single("Shop", "Milliseconds", [], "p99", 300), ABOVE, 800, (2, 3), "notBreaching")
            return
        where = dimensions(Stage="prod")
        rate = self.math("Shop", where, {"failed": "Failed", "total": "Total"}, 60, "IF(total >= 100, 100 * FILL(failed, 0) / total, 0)", "failure rate in %")
        self.add("failures", "page", rate, ABOVE, 0.5, (3, 5), "notBreaching")
        self.add("failures-no-data", "page", self.single("Shop", "Total", where, "Sum"), BELOW, 1, (15, 15), "breaching")
        # 99.9 % over 30 days: 2 % of the budget in an hour, 5 % in six, 10 % in three days, and a twelfth of each window
        for speed, severity, hours, budget in (("fast", "page", 1, 2), ("slow", "page", 6, 5), ("trickle", "ticket", 72, 10)):
            threshold = round(budget / 100 * 30 * 24 / hours * 0.1, 6)
            # of ten requests in the long window a twelfth, at least one, in the short one
            for end, period, least in (("long", hours * 3600, 10), ("short", hours * 300, 1)):
                watched = self.math("Shop", [], {"good": "Good", "total": "Total"}, period,
                                    f"IF(total >= {least}, 100 * (total - FILL(good, 0)) / total, 0)", "error rate in %")
                self.add(f"slo-checkout-{speed}-{end}", None, watched, ABOVE, threshold, (1, 1), "notBreaching")
            told, base = self.topics(severity), f"{PREFIX}slo-checkout-{speed}"
            self.alarms[base] = {"ActionsEnabled": True, "AlarmActions": told, "OKActions": told if severity == "page" else [],
                                 "InsufficientDataActions": [], "AlarmRule": f'ALARM("{base}-long") AND ALARM("{base}-short")'}

    def databases(self):
        for db in self.aws("rds", self.region).describe_db_instances()["DBInstances"]:
            name, where, memory = db["DBInstanceIdentifier"], dimensions(DBInstanceIdentifier=db["DBInstanceIdentifier"]), MEMORY[db["DBInstanceClass"]]
            if ignored(db["TagList"]):
                continue
            for alarm, metric, statistic, when, threshold, severity in (
                    ("cpu", "CPUUtilization", "Average", ABOVE, 90, "ticket"),
                    ("free-storage", "FreeStorageSpace", "Minimum", BELOW, db["AllocatedStorage"] * GIB // 10, "page"),
                    ("memory", "FreeableMemory", "Average", BELOW, memory // 10, "ticket"),
                    ("connections", "DatabaseConnections", "Maximum", ABOVE, min(memory // 9531392, 5000) * 80 // 100, "ticket"),
                    ("transaction-ids", "MaximumUsedTransactionIDs", "Maximum", ABOVE, 1_000_000_000, "page"),
                    ("ebs-balance", "EBSByteBalance%", "Minimum", BELOW, 10, "ticket"),
                    *([("burst-balance", "BurstBalance", "Minimum", BELOW, 20, "ticket")] if db["StorageType"] == "gp2" else [])):
                # balances and transaction ids come every five minutes
                period, points = (300, (3, 3)) if alarm in ("transaction-ids", "ebs-balance", "burst-balance") else (60, (5, 5))
                self.add(f"rds-{alarm}-{name}", severity, self.single("AWS/RDS", metric, where, statistic, period), when, threshold, points, "missing")

    def queues(self):
        sqs = self.aws("sqs", self.region)
        for url in sqs.list_queues()["QueueUrls"]:
            name = url.rsplit("/")[-1]
            where = dimensions(QueueName=name)
            if "opsctl:ignore" in sqs.list_queue_tags(QueueUrl=url).get("Tags", {}):
                continue
            if name == "queue-001":  # takes the dead letters of queue-000
                watched = self.single("AWS/SQS", "ApproximateNumberOfMessagesVisible", where, "Maximum")
                self.add(f"sqs-dead-letters-{name}", "ticket", watched, ABOVE, 0, (1, 1), "notBreaching")
            else:  # tuned: 300 s in 2 of 3 periods of 5 min, page
                watched = self.single("AWS/SQS", "ApproximateAgeOfOldestMessage", where, "Maximum", 300)
                self.add(f"sqs-age-{name}", "page", watched, ABOVE, 300, (2, 3), "notBreaching")

    def functions(self):
        lambdas = self.aws("lambda", self.region)
        for function in lambdas.list_functions()["Functions"]:
            name, where = function["FunctionName"], dimensions(FunctionName=function["FunctionName"])
            if "opsctl:ignore" in lambdas.list_tags(Resource=function["FunctionArn"]).get("Tags", {}):
                continue
            errors = self.math("AWS/Lambda", where, {"failed": "Errors", "total": "Invocations"}, 60,
                               "IF(total >= 10, 100 * FILL(failed, 0) / total, 0)", "failure rate in %")
            self.add(f"lambda-errors-{name}", "ticket", errors, ABOVE, 1, (3, 5), "notBreaching")
            self.add(f"lambda-throttles-{name}", "ticket", self.single("AWS/Lambda", "Throttles", where, "Sum"), ABOVE, 0, (3, 5), "notBreaching")
            self.add(f"lambda-duration-{name}", "ticket", self.single("AWS/Lambda", "Duration", where, "p99"), ABOVE, function["Timeout"] * 800,
                     (5, 5), "notBreaching")
        limit = lambdas.get_account_settings()["AccountLimit"]["ConcurrentExecutions"]
        self.add(f"lambda-concurrency-{self.region}", "page", self.single("AWS/Lambda", "ConcurrentExecutions", [], "Maximum"), ABOVE, limit * 8 // 10,
                 (5, 5), "notBreaching")

    def tables(self):
        throttles = self.math("AWS/DynamoDB", dimensions(TableName="table-000"), {"m0": "ReadThrottleEvents", "m1": "WriteThrottleEvents"}, 60,
                              "FILL(m0, 0) + FILL(m1, 0)", "throttled requests", "sum")
        self.add("dynamodb-throttles-table-000", "ticket", throttles, ABOVE, 0, (3, 5), "notBreaching")  # the others are left out

    def caches(self):
        elasticache = self.aws("elasticache", self.region)
        for cluster in elasticache.describe_cache_clusters()["CacheClusters"]:
            name, where = cluster["CacheClusterId"], dimensions(CacheClusterId=cluster["CacheClusterId"], CacheNodeId="0001")
            if ignored(elasticache.list_tags_for_resource(ResourceName=cluster["ARN"])["TagList"]):
                continue
            for alarm, metric, statistic, when, threshold in (
                    ("cpu", "CPUUtilization", "Average", ABOVE, 90), ("evictions", "Evictions", "Sum", ABOVE, 0),
                    ("memory-free", "FreeableMemory", "Average", BELOW, MEMORY[cluster["CacheNodeType"]] // 10),
                    ("connections", "CurrConnections", "Maximum", ABOVE, 52_000)):
                self.add(f"cache-{alarm}-{name}", "ticket", self.single("AWS/ElastiCache", metric, where, statistic), when, threshold, (5, 5), "missing")

    def all(self):
        for part in (self.business, self.databases, self.queues, self.functions, self.tables, self.caches):
            part()
        return self.alarms


def ignored(tags):
    return any(tag["Key"] == "opsctl:ignore" for tag in tags)


def told(alarm):
    """What an alarm was told, in one form."""
    kept = {key: value for key, value in alarm.items() if key not in BACK}
    if "AlarmRule" not in alarm:
        kept = EMPTY | kept
        kept["Metrics"] = sorted((in_order(query) for query in kept["Metrics"]), key=lambda query: query["Id"])
        kept["Dimensions"] = sorted(kept["Dimensions"], key=lambda d: d["Name"])
    return kept | {key: sorted(kept.get(key, [])) for key in ("AlarmActions", "OKActions", "InsufficientDataActions")}


def in_order(query):
    query = {key: value for key, value in query.items() if not (key == "Label" and value is None)}
    if "MetricStat" in query:
        metric = query["MetricStat"]["Metric"]
        metric["Dimensions"] = sorted(metric.get("Dimensions", []), key=lambda d: d["Name"])
    return query


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--endpoint", required=True)
    aws, problems, count = Clients(parser.parse_args().endpoint, REGIONS[0]), [], 0
    for region in REGIONS:
        expected, cloudwatch, found = Expected(aws, region).all(), aws("cloudwatch", region), {}
        for page in cloudwatch.get_paginator("describe_alarms").paginate(AlarmTypes=TYPES):
            for alarm in page.get("MetricAlarms", []) + page.get("CompositeAlarms", []):
                if alarm["AlarmName"].startswith(PREFIX):
                    found[alarm["AlarmName"]] = alarm
        problems += [f"{region} {name}: missing" for name in sorted(expected.keys() - found.keys())]
        problems += [f"{region} {name}: not asked for" for name in sorted(found.keys() - expected.keys())]
        for name in sorted(expected.keys() & found.keys()):
            wanted, is_ = expected[name], told(found[name])
            is_.pop("AlarmName")
            problems += [f"{region} {name}: {key} is {is_.get(key)!r}, not {wanted.get(key)!r}"
                         for key in sorted(wanted.keys() | is_.keys()) if wanted.get(key) != is_.get(key)]
            tags = {t["Key"]: t["Value"] for t in cloudwatch.list_tags_for_resource(ResourceARN=found[name]["AlarmArn"])["Tags"]}
            if tags.get("opsctl:managed") != "shop/prod":
                problems.append(f"{region} {name}: tags {tags}")
            if not found[name].get("AlarmDescription"):
                problems.append(f"{region} {name}: no description")
        count += len(expected)
    print("\n".join(problems) or f"{count} alarms as the policy means them")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
