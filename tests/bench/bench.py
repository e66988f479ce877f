"""Measures `opsctl plan` and Cloud Custodian on one emulated account; see run."""
import argparse
import collections
import contextlib
import datetime
import json
import os
import platform
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
EMULATORS = HERE.parent / "emulators"
ACCOUNT, REGION = "123456789012", "eu-west-1"
SIZES = {"buckets": 2000, "databases": 200, "alarms": 500, "queues": 300, "tables": 300, "functions": 200}
AIMS = {"requests": 2400, "wall": 3.0, "cpu": 1.0, "rss": 60.0}
QUIET, DISTURBED = 0.05, 0.1  # shares of the machine that others take: a run waits for the one, and is repeated above the other
TICK = os.sysconf("SC_CLK_TCK")
ENVIRONMENT = {
    "PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8", "AWS_ACCESS_KEY_ID": ACCOUNT, "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_EC2_METADATA_DISABLED": "true", "AWS_DEFAULT_REGION": REGION,
    "HTTPS_PROXY": "http://127.0.0.1:9",  # nobody is there: whatever means to call AWS itself fails
}


def call(port, path, method="GET"):
    with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)) as answer:
        said = answer.read()
    return json.loads(said) if said else None


@contextlib.contextmanager
def server(*command):
    process = subprocess.Popen([sys.executable, "-B", *map(str, command)], stdout=subprocess.PIPE, text=True,
                               env=os.environ | {"MOTO_ALLOW_NONEXISTENT_REGION": "0"})
    try:
        yield process
    finally:
        if process.poll() is not None:
            print(f"{Path(command[0]).name} had ended before, with {process.returncode}", file=sys.stderr)
        process.terminate()
        process.wait(10)


def busy():
    """Seconds of CPU that all processes used since boot, time stolen by the host included."""
    user, nice, system, _, _, irq, soft, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + soft + steal) / TICK


def wait_for_quiet(patience):
    end, cores = time.monotonic() + patience, os.cpu_count()
    while True:
        before = busy()
        time.sleep(2)
        if (busy() - before) / (2 * cores) < QUIET or time.monotonic() > end:
            return


def measure(commands, directory, environment, proxy):
    """Runs them at once. Memory is the sum of their peaks, wall is until the last is done."""
    call(proxy, "/_bench", "DELETE")
    logs = [(directory / f"log-{i}").open("w") for i in range(len(commands))]
    others, start = busy(), time.monotonic()
    children = []
    for command, log in zip(commands, logs):
        redirect = [(os.POSIX_SPAWN_DUP2, log.fileno(), fd) for fd in (1, 2)]
        children.append(os.posix_spawn(command[0], command, environment, file_actions=redirect))
    ended = [os.wait4(child, 0) for child in children]
    wall = time.monotonic() - start
    others, seen = busy() - others, call(proxy, "/_bench")
    for (_, status, _), command, log in zip(ended, commands, logs):
        log.close()
        if os.waitstatus_to_exitcode(status):
            sys.exit(f"{' '.join(command)}: exit code {os.waitstatus_to_exitcode(status)}\n{Path(log.name).read_text()[-4000:]}")
    usage = [used for _, _, used in ended]
    # Linux counts what the process was before exec, and that is this one.
    if min(used.ru_maxrss for used in usage) <= resource.getrusage(resource.RUSAGE_SELF).ru_maxrss:
        sys.exit("cannot tell the memory of a process that needs less than this one")
    cpu = sum(used.ru_utime + used.ru_stime for used in usage)
    return {"wall": wall, "cpu": cpu, "rss": sum(used.ru_maxrss for used in usage) / 1024, "proxy": seen,
            "others": max(0.0, others - cpu - seen["cpu"]) / (wall * os.cpu_count())}


def series(name, prepare, commands, directory, environment, proxy, options):
    """The median of the runs after a first one that fills the proxy's memory. Disturbed ones are repeated, within reason."""
    print(f"\n{name}", flush=True)
    runs, spare = [], options.runs
    while len(runs) <= options.runs:
        prepare()
        if runs:
            wait_for_quiet(options.patience)
        run = measure(commands, directory, environment, proxy)
        again = runs and run["others"] > DISTURBED and spare > 0
        print(f"  {f'run {len(runs)}' if runs else 'warm-up':8} {run['proxy']['requests']} requests, {run['wall']:.2f} s, CPU {run['cpu']:.2f} s, "
              f"{run['rss']:.1f} MiB, {run['proxy']['most_in_flight']} in flight, others took {run['others']:.0%} of the machine"
              f"{': disturbed, again' if again else ''}", flush=True)
        if runs and run["proxy"]["misses"]:
            print(f"  {run['proxy']['misses']} of them were answered by the emulator, in its own time", flush=True)
        if again:
            spare -= 1
        else:
            runs.append(run)
    runs = runs[1:]
    middle = {key: statistics.median(run[key] for run in runs) for key in ("wall", "cpu", "rss")}
    last = runs[-1]["proxy"]
    spent, served = sum(run["proxy"]["cpu"] for run in runs), sum(run["proxy"]["requests"] for run in runs)
    return middle | {"name": name, "requests": statistics.median(run["proxy"]["requests"] for run in runs), "calls": last["calls"], "runs": runs,
                     "in_flight": max(run["proxy"]["most_in_flight"] for run in runs), "misses": sum(run["proxy"]["misses"] for run in runs),
                     "others": max(run["others"] for run in runs), "per_core": served / spent}


def wrong_by_opsctl(plan):
    """control -> the resources that are to be changed, or of which it says what is wrong"""
    found = collections.defaultdict(set)
    for change in plan["changes"]:
        found[change["control"]].add(change["resource"]["arn"])
    for finding in plan["findings"]:
        if finding["arn"] and finding["control"] == "tags" and finding["id"] != "tags.owned-elsewhere":
            found["tags"].add(finding["arn"])
    return found


def wrong_by_custodian(folder):
    found = collections.defaultdict(set)
    for path in folder.glob("**/resources.json"):
        control = path.parent.name.rpartition("-")[2]
        for one in json.loads(path.read_text()):
            arn = next((one[key] for key in ("DBInstanceArn", "FunctionArn", "TableArn", "QueueArn", "AlarmArn") if key in one), None)
            found[control].add(arn or f"arn:aws:s3:::{one['Name']}")
    return found


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def machine():
    model = next(line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB, Linux {platform.release()}"


def report(rows, agreed, options, seeded):
    opsctl, custodian = rows[0], rows[1]
    pins = (HERE / "requirements" / "custodian.txt").read_text().split()
    version = {name: value for name, _, value in (pin.partition("==") for pin in pins)}
    cells = lambda row: f"{row['requests']:,.0f} | {row['wall']:.2f} s | {row['cpu']:.2f} s | {row['rss']:.1f} MiB"
    missed = [what for what, key in (("requests", "requests"), ("wall", "wall"), ("CPU", "cpu"), ("peak memory", "rss")) if opsctl[key] > AIMS[key]]

    def share(key):
        ratio = opsctl[key] / min(row[key] for row in rows[1:])
        return f"1/{1 / ratio:.1f} of" if ratio < 1 else f"{ratio:.1f} times"
    lines = [
        "# Benchmark", "",
        "`tests/bench/run` writes this file. " f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC, {machine()}.",
        f"{output(options.opsctl, '--version')} ({options.source}), {output('rustc', '--version').rpartition(' (')[0]}; "
        f"Cloud Custodian {version['c7n']} with boto3 {version['boto3']} on Python {output(options.custodian, '-c', 'import platform; print(platform.python_version())')}.", "",
        "| | requests | wall | CPU, user + system | peak memory |", "|---|---:|---:|---:|---:|",
        *(f"| {row['name']} | {cells(row)} |" for row in rows),
        "| aim of opsctl | <= {requests:,} | <= {wall:g} s | <= {cpu:g} s | <= {rss:g} MiB |".format(**AIMS), "",
        f"Medians of {options.runs} runs after a warm-up. Of what the better of the other rows takes, opsctl takes {share('requests')} the requests, "
        f"{share('wall')} the time, {share('cpu')} the CPU and {share('rss')} the memory. Aims missed: {', '.join(missed) or 'none'}.", "",
        "| | wall, all runs | CPU | peak memory | most in flight | others took at most |", "|---|---|---|---|---:|---:|",
        *(f"| {row['name']} | {spread(row, 'wall')} s | {spread(row, 'cpu')} s | {spread(row, 'rss', 1)} MiB | {row['in_flight']} | {row['others']:.0%} of the machine |"
          for row in rows), "",
        "## What is asked", "",
        f"One account, one region: {', '.join(f'{count:,} {what}' for what, count in SIZES.items())}, and a few of what else there is "
        f"(`tests/emulators/seed.py`). Half of them are tagged in some wrong way or never were, and {seeded['lifecycle configurations']:,} buckets have "
        "lifecycle rules of others.",
        "",
        "- opsctl: `opsctl plan --control tags --control lifecycle --format json`, with the files that `opsctl init` writes. It also asks for types that "
        "Custodian is not asked for (topics, log groups, caches, clusters, snapshots) and for the sizes of all buckets, which its lifecycle rules depend on.",
        "- Custodian: [`custodian.yml`](custodian.yml), the same questions. Tuned: only the needed call of the eight that it would make about each bucket "
        "besides region and tags, buckets fetched once for both questions (cache in memory), no validation. Its numbers of threads are constants: 10 for "
        "buckets, 3 for tables, 2 for queues. The second row runs the buckets and the rest in two processes at once. "
        "[`custodian.py`](custodian.py) starts it, since its SQS client would go to AWS itself.",
        *agreed, "",
        "## How", "",
        "moto is far too slow to be measured against, so [`proxy.py`](proxy.py) stands before it: each call takes 30 ms, and the answer to one that was "
        f"asked before comes from memory. {'Every' if not sum(row['misses'] for row in rows) else 'Nearly every'} request of the measured runs did"
        f"{'' if not sum(row['misses'] for row in rows) else ': all but ' + str(sum(row['misses'] for row in rows))}. The proxy "
        f"itself served {min(row['per_core'] for row in rows):,.0f} to {max(row['per_core'] for row in rows):,.0f} requests per second of its CPU time, on the same "
        "machine. Plain HTTP: AWS adds the cost of TLS, for all alike.",
        f"CPU and peak memory are the kernel's (`wait4`), for two processes their sum. Runs wait for a quiet machine, and those in which others took more "
        f"than {DISTURBED:.0%} of it are repeated.", "",
        "## Requests", "", "| | " + " | ".join(row["name"] for row in rows[:2]) + " |", "|---|---:|---:|",
        *(f"| {name} | {opsctl['calls'].get(name, 0):,} | {custodian['calls'].get(name, 0):,} |" for name in sorted({*opsctl["calls"], *custodian["calls"]})),
    ]
    return "\n".join(lines) + "\n"


def spread(row, key, digits=2):
    return f"{min(run[key] for run in row['runs']):.{digits}f} – {max(run[key] for run in row['runs']):.{digits}f}"


def compare(plan, folder):
    """Do both name the same resources? Only of the types that Custodian was asked for."""
    lines, ours, theirs = [], wrong_by_opsctl(plan), wrong_by_custodian(folder)
    asked = lambda arn: any(part in arn for part in (":s3:::", ":lambda:", ":dynamodb:", ":sqs:", ":alarm:")) or ":rds:" in arn and ":db:" in arn
    for control in ("tags", "lifecycle"):
        mine = {arn for arn in ours[control] if asked(arn)}
        only = {"opsctl": mine - theirs[control], "Custodian": theirs[control] - mine}
        said = f"- {control}: both name the same {len(mine & theirs[control]):,} resources"
        if mine != theirs[control]:
            said += ", " + " and ".join(f"{who} alone {len(arns):,} more" for who, arns in only.items() if arns)
        if control == "lifecycle" and only["Custodian"]:
            said += ": it does not see where S3 would refuse the rule beside those that are there"
        lines.append(f"{said}.")
        for who, arns in only.items():
            if arns:
                print(f"{control}: only {who}: {' '.join(sorted(arns)[:5])}", flush=True)
    return lines


def main():
    parser = argparse.ArgumentParser(description="measures opsctl and Cloud Custodian")
    parser.add_argument("--opsctl", required=True)
    parser.add_argument("--custodian", required=True, metavar="PYTHON")
    parser.add_argument("--source", default="unknown", help="what opsctl was built from, for the report")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--patience", type=float, default=120, metavar="S", help="longest wait for a quiet machine before each run")
    parser.add_argument("--no-custodian", action="store_true", help="opsctl alone; leaves RESULTS.md as it is")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            upstream = free.getsockname()[1]
        moto = stack.enter_context(server(EMULATORS / "moto_aws.py", upstream))
        while True:
            try:
                call(upstream, "/_opsctl/calls")
                break
            except (urllib.error.URLError, ConnectionError):
                if moto.poll() is not None:
                    sys.exit("moto_aws.py did not start")
                time.sleep(0.2)
        print("filling the emulator takes about a minute", flush=True)
        flags = [part for what, count in SIZES.items() for part in (f"--{what}", str(count))]
        seeded = json.loads(output(sys.executable, "-B", str(EMULATORS / "seed.py"), "--endpoint", f"http://127.0.0.1:{upstream}", *flags))
        port = int(stack.enter_context(server(HERE / "proxy.py", "--upstream", upstream)).stdout.readline())
        endpoint = f"http://127.0.0.1:{port}"

        project, plan = folder / "shop", folder / "plan.json"
        output(options.opsctl, "init", "-C", str(project))
        workspace = project / "opsctl.toml"
        workspace.write_text(workspace.read_text().replace("111111111111", ACCOUNT))
        command = [options.opsctl, "plan", "-C", str(project), "--control", "tags", "--control", "lifecycle", "--endpoint-url", endpoint,
                   "--format", "json", "-o", str(plan)]
        rows = [series("opsctl plan", lambda: None, [command], folder, ENVIRONMENT, port, options)]
        if options.no_custodian:
            return
        out = folder / "custodian"
        base = [options.custodian, str(HERE / "custodian.py"), "run", "--region", REGION, "--cache", "memory", "--skip-validation"]
        run = lambda name, *types: [*base, "--output-dir", str(out / name), *(part for kind in types for part in ("--resource", kind)), str(HERE / "custodian.yml")]
        clear = lambda: shutil.rmtree(out, ignore_errors=True)
        aim = ENVIRONMENT | {"AWS_ENDPOINT_URL": endpoint}
        rows.append(series("custodian run", clear, [run("all")], folder, aim, port, options))
        rows.append(series("custodian run, two at once", clear, [run("s3", "s3"), run("rest", "rds", "lambda", "dynamodb-table", "sqs", "alarm")],
                           folder, aim, port, options))
        text = report(rows, compare(json.loads(plan.read_text()), out), options, seeded)
        (HERE / "RESULTS.md").write_text(text)
        print(f"\n{text}")


if __name__ == "__main__":
    main()
