"""Did an apply do what its plan says, and nothing else?

    compare.py BEFORE AFTER PLAN

BEFORE and AFTER come from snapshot.py, PLAN is the JSON of `opsctl plan` or `opsctl apply`. Prints each deviation, and
exits 1 when there is one. Changes of an apply whose outcome is `stale` or `skipped` must not have happened, those that
`failed` may have happened in whole or not at all.
"""
import json
import sys

OURS = "opsctl-"
SIZE = "transition_default_minimum_object_size"


def rule_id(rule):
    return rule.get("ID", [""])[0]


def compare(before, after, plan):
    problems, changes = [], {}
    for change in plan["changes"]:
        key = change["resource"]["arn"], change["control"]
        if key in changes:
            problems.append(f"{key[0]}: two changes of {key[1]}")
        changes[key] = change
        if key[0] not in before:
            problems.append(f"{key[0]}: planned, but was not there")
        if key[1] not in ("tags", "lifecycle"):
            problems.append(f"{key[0]}: cannot compare {key[1]}")
    problems += [f"{arn}: gone" for arn in before if arn not in after]
    problems += [f"{arn}: new" for arn in after if arn not in before]
    for arn in before:
        if arn in after:
            problems += compare_tags(arn, before[arn]["tags"], after[arn]["tags"], changes.get((arn, "tags")))
            problems += compare_lifecycle(arn, before[arn]["lifecycle"], after[arn]["lifecycle"], changes.get((arn, "lifecycle")))
    return problems


def planned(change):
    """The ways it may have gone: True for done, False for not done."""
    if not change:
        return {False}
    return {"applied": {True}, "failed": {True, False}, "stale": {False}, "skipped": {False}}[change.get("outcome") or "applied"]


def compare_tags(arn, before, after, change):
    problems = []
    if change:
        problems += [f"{arn}: the plan saw {key}={value!r}, it was {before.get(key)!r}"
                     for key, value in (change["before"] or {}).items() if change.get("outcome") != "stale" and before.get(key) != value]
    ways = []
    for done in planned(change):
        wanted = before | (change["after"] or {}) if done else before
        ways.append({key: value for key, value in wanted.items() if value is not None})
    if after not in ways:
        wanted = ways[0]
        problems += [f"{arn}: tag {key} is {after.get(key)!r}, not {wanted.get(key)!r}"
                     for key in sorted({*wanted, *after}) if wanted.get(key) != after.get(key)]
    return problems


def compare_lifecycle(arn, before, after, change):
    if before == after and False in planned(change):
        return []
    if True not in planned(change):
        return [f"{arn}: its lifecycle configuration changed: {json.dumps(before)} -> {json.dumps(after)}"]
    problems = []
    was, now = ({rule_id(rule): rule for rule in (side or {"rules": []})["rules"]} for side in (before, after))
    for name, rule in was.items():
        if not name.startswith(OURS) and now.get(name) != rule:
            problems.append(f"{arn}: foreign rule {name!r} was {json.dumps(rule)}, is {json.dumps(now.get(name))}")
    problems += [f"{arn}: foreign rule {name!r} is new" for name in now if not name.startswith(OURS) and name not in was]
    wanted = change["after"] or {"rules": []}
    ids = {rule.get("id") or "" for rule in wanted["rules"]}
    if ids != set(now):
        problems.append(f"{arn}: rules {sorted(now)}, planned {sorted(ids)}")
    saw = {rule.get("id") or "" for rule in (change["before"] or {"rules": []})["rules"]}
    if saw != set(was):
        problems.append(f"{arn}: the plan saw rules {sorted(saw)}, there were {sorted(was)}")
    size = wanted.get(SIZE) or (before or {}).get("min_size")
    if after and size and after["min_size"] != size:
        problems.append(f"{arn}: minimum object size {after['min_size']}, not {size}")
    if before and before["min_size"] and wanted["rules"] and wanted.get(SIZE) not in (None, before["min_size"]):
        problems.append(f"{arn}: the plan changes the minimum object size from {before['min_size']}")
    return problems


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    before, after, plan = (json.load(open(path, encoding="utf-8")) for path in sys.argv[1:])
    problems = compare(before, after, plan)
    print("\n".join(problems) or f"{len(plan['changes'])} changes as planned, {len(before)} resources otherwise as they were")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
