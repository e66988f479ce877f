"""Are the numbers of `opsctl report tags` those of the account? Counted anew from each service itself, with boto3.

    tags_expected.py --endpoint URL --report report.json [--cost audit-cost.json] [--region eu-west-1]

For the shipped policy in the project of support.rs (shop, prod, team core). The spend behind the shares is worked out from
the cost audit's amounts by service. Prints each deviation, and exits 1 when there is one.
"""
import argparse
import collections
import json
import re
import sys
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal

from snapshot import snapshot

REQUIRED = ["project", "environment", "team"]
ALLOWED = {"environment": lambda v: v in ("dev", "staging", "prod"), "team": lambda v: re.fullmatch("[a-z][a-z0-9-]{1,30}", v), "project": lambda v: True}
ALIASES = {"project": ["Project"], "environment": ["Environment", "env", "Env"], "team": ["Team"]}
BILLS = {"s3": ["Amazon Simple Storage Service"], "rds": ["Amazon Relational Database Service"], "lambda": ["AWS Lambda"], "dynamodb": ["Amazon DynamoDB"],
         "sqs": ["Amazon Simple Queue Service"], "sns": ["Amazon Simple Notification Service"], "elasticache": ["Amazon ElastiCache"],
         "cloudwatch+logs": ["AmazonCloudWatch"]}


def owned(tags):
    return "aws:cloudformation:stack-name" in tags or tags.get("ManagedBy") == "terraform"


def right(tags):
    """Nothing to change and nothing to report: every key is there and allowed, and no other spelling of it is."""
    if not all(key in tags and ALLOWED[key](tags[key]) for key in REQUIRED):
        return False
    return not any(key.lower() == tag.lower() or tag in ALIASES[key] for key in REQUIRED for tag in tags if tag not in REQUIRED)


def percent(part, whole):
    return None if not whole else str((Decimal(part) * 100 / Decimal(whole)).quantize(Decimal("0.1"), ROUND_DOWN))


def cents(amount):
    return str(amount.quantize(Decimal("0.01"), ROUND_HALF_EVEN))


def service_of(arn):
    return arn.split(":")[2]


def bill_of(service):
    return "cloudwatch+logs" if service in ("cloudwatch", "logs") else service


def spends(path, found):
    """What one resource of a service costs: its service's month to date shared out among all that were found."""
    if not path:
        return None
    entry = next(e for e in json.load(open(path))["cost"] if e["environment"] == "prod")
    counts = collections.Counter(bill_of(service_of(arn)) for arn in found)
    spent = {s["name"]: Decimal(s["month_to_date"]) for s in entry["by_service"]}
    return {service: sum((spent.get(name, Decimal(0)) for name in BILLS.get(service, [])), Decimal(0)) / n for service, n in counts.items()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--report", required=True)
    parser.add_argument("--cost")
    parser.add_argument("--region", default="eu-west-1")
    options = parser.parse_args()
    report, found = json.load(open(options.report)), snapshot(options.endpoint, options.region)
    # Automated snapshots are new every night, and not checked.
    found = {arn: resource for arn, resource in found.items() if "snapshot:rds:" not in arn}
    each, problems = spends(options.cost, found), []

    def same(what, said, wanted):
        if isinstance(wanted, list) and len(wanted) > 9:
            said, wanted = sorted(set(said) - set(wanted)), sorted(set(wanted) - set(said))
        if said != wanted:
            problems.append(f"{what}: the report says {said!r}, the account {wanted!r}")

    shares = {name: collections.defaultdict(lambda: [0, 0, Decimal(0), Decimal(0)]) for name in ("overall", "by_environment", "by_key", "by_service", "by_team", "by_region")}
    wrong, ignored = set(), 0
    for arn, resource in found.items():
        tags = resource["tags"]
        if "opsctl:ignore" in tags:
            ignored += 1
            continue
        good, service = right(tags), service_of(arn)
        weight = each[bill_of(service)] if each is not None else Decimal(0)
        if not good:
            wrong.add(arn)
        team = next((tags[key] for key in ["team", *ALIASES["team"]] if key in tags), "")
        places = [("overall", "", good), ("by_environment", "prod", good), ("by_service", service, good), ("by_region", options.region, good), ("by_team", team, good)]
        places += [("by_key", key, bool(key in tags and ALLOWED[key](tags[key]))) for key in REQUIRED]
        for name, key, fine in places:
            share = shares[name][key]
            share[1] += 1
            share[3] += weight
            if fine:
                share[0] += 1
                share[2] += weight
    for name, wanted in shares.items():
        said = {"": report["compliance"][name]} if name == "overall" else report["compliance"][name]
        same(f"{name}: names", sorted(said), sorted(wanted))
        for key, (part, whole, spent_right, spent) in wanted.items():
            one, what = said.get(key, {}), f"{name} {key}"
            same(what, [one.get("compliant"), one.get("checked"), one.get("percent")], [part, whole, percent(part, whole)])
            if each is None:
                same(what, [one.get("spend"), one.get("spend_compliant"), one.get("spend_percent")], [None, None, None])
            elif one.get("spend_basis") != "measured":
                same(what, [one.get("spend"), one.get("spend_compliant"), one.get("spend_percent")], [cents(spent), cents(spent_right), percent(spent_right, spent)])
    same("ignored", report["summary"]["ignored"], ignored)
    same("not compliant", sorted(r["arn"] for r in report["resources"] if not r["compliant"]), sorted(wrong))
    for resource in report["resources"]:
        tags = found[resource["arn"]]["tags"]
        team = next((tags[key] for key in ["team", *ALIASES["team"]] if key in tags), "")
        owner = resource["owner"]
        if team.strip():
            same(f"owner of {resource['arn']}", owner and owner["name"], team)
        elif "owner" in tags:
            same(f"owner of {resource['arn']}", owner and owner["name"], tags["owner"])
        elif not owned(tags):
            same(f"owner of {resource['arn']}", owner, None)
        if each is not None:
            same(f"cost of {resource['arn']}", resource["month_to_date"], cents(each[bill_of(service_of(resource["arn"]))]))
    twins = collections.Counter((key, tag) for arn, r in found.items() if "opsctl:ignore" not in r["tags"] for tag in r["tags"] for key in REQUIRED
                                if tag not in REQUIRED and (tag in ALIASES[key] or tag.lower() == key.lower()))
    same("twins", {(t["key"], t["spelling"]): t["resources"] for t in report["twins"]}, dict(twins))
    print("\n".join(problems) or f"{len(found)} resources, {sum(map(len, shares.values()))} shares as in the account")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
