"""Memory and time of a restore drill of a large dump: peak RSS of opsctl itself, without PostgreSQL's.

    drill.py OPSCTL [--mib 1024] [--form custom|plain-gzip]

Makes a database of that size with the PostgreSQL of this machine, dumps it, serves the dump as an S3 bucket would
(signatures are not checked), and drills it. Needs twice the size on the disk under TMPDIR.
"""
import argparse
import glob
import gzip
import hashlib
import http.server
import os
import pwd
import shutil
import subprocess
import tempfile
import threading
import time
from email.utils import formatdate
from urllib.parse import parse_qs, urlparse

STS = """<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>
<Arn>arn:aws:iam::123456789012:user/bench</Arn><UserId>A</UserId><Account>123456789012</Account>
</GetCallerIdentityResult></GetCallerIdentityResponse>"""


class Bucket(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    file = size = etag = None

    def log_message(self, *_):
        pass

    def answer(self, body=b"", status=200, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.answer(STS.encode(), Content_Type="text/xml")

    def facts(self):
        return dict(Content_Length=str(self.size), ETag=f'"{self.etag}"', Last_Modified=formatdate(usegmt=True))

    def do_HEAD(self):
        parts = urlparse(self.path).path.strip("/").split("/")
        if len(parts) == 1:
            self.answer(x_amz_bucket_region="eu-west-1")
        else:
            self.answer(**self.facts())

    def do_GET(self):
        url = urlparse(self.path)
        if "list-type" in parse_qs(url.query):
            now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
            self.answer(f"""<ListBucketResult><Name>dumps</Name><KeyCount>1</KeyCount><IsTruncated>false</IsTruncated><Contents>
<Key>big/a.dump</Key><LastModified>{now}</LastModified><ETag>"{self.etag}"</ETag><Size>{self.size}</Size>
<StorageClass>STANDARD</StorageClass></Contents></ListBucketResult>""".encode(), Content_Type="application/xml")
            return
        self.answer(**self.facts())
        with open(self.file, "rb") as source:
            shutil.copyfileobj(source, self.wfile, 1 << 20)


def postgres(mib, form, folder):
    bin = max(glob.glob("/usr/lib/postgresql/*/bin"), default=None) or os.path.dirname(shutil.which("initdb"))
    user = pwd.getpwnam("postgres") if os.getuid() == 0 else None
    more = dict(user=user.pw_uid, group=user.pw_gid, extra_groups=[]) if user else {}
    if user:
        os.chown(folder, user.pw_uid, user.pw_gid)

    def run(name, *args):
        subprocess.run([f"{bin}/{name}", *args], check=True, cwd=folder, stdout=subprocess.DEVNULL, **more)

    data = f"{folder}/data"
    run("initdb", "-D", data, "-A", "trust", "-U", "postgres", "-N")
    run("pg_ctl", "-D", data, "-w", "-l", f"{folder}/log", "-o",
        f"-k {folder} -c listen_addresses= -c fsync=off -c autovacuum=off -c max_wal_size=8GB", "start")
    try:
        rows = mib * 1024 * 1024 // 2060
        run("psql", "-h", folder, "-U", "postgres", "-qc", f"""create table big as
            select i as id, (select string_agg(md5(i::text || j::text), '') from generate_series(1, 64) j) as filler,
                   now() as created_at from generate_series(1, {rows}) i""")
        path = f"{folder}/dump"
        run("pg_dump", "-h", folder, "-U", "postgres", "-d", "postgres", "-f", path,
            *(["-Fc", "-Z0"] if form == "custom" else ["-Fp"]))
    finally:
        run("pg_ctl", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(data)
    if form == "plain-gzip":
        with open(path, "rb") as plain, gzip.open(f"{path}.gz", "wb", compresslevel=1) as packed:
            shutil.copyfileobj(plain, packed, 1 << 20)
        os.replace(f"{path}.gz", path)
    return path, rows


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("opsctl")
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--form", choices=["custom", "plain-gzip"], default="custom")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        os.chmod(folder, 0o755)
        work = f"{folder}/pg"
        os.mkdir(work)
        Bucket.file, rows = postgres(args.mib, args.form, work)
        Bucket.size = os.path.getsize(Bucket.file)
        with open(Bucket.file, "rb") as source:
            Bucket.etag = hashlib.file_digest(source, "md5").hexdigest()
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Bucket)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        project = f"{folder}/project"
        os.makedirs(f"{project}/policies")
        with open(f"{project}/opsctl.toml", "w") as file:
            file.write('[project]\nname = "bench"\nteam = "core"\n[environments.prod]\naccount = "123456789012"\n'
                       'regions = ["eu-west-1"]\nstage = "stage-1"\nmonthly_budget_usd = 50\n')
        with open(f"{project}/policies/backups.toml", "w") as file:
            file.write('[backups.drill.big]\nsource = "s3-dump:dumps/big/"\n[[backups.drill.big.check]]\n'
                       f'sql = "select count(*) from big"\nexpect = "= {rows}"\n')
        for name in ("tags", "budgets", "s3-lifecycle", "alarms", "cost", "readiness"):
            shutil.copy(f"{os.path.dirname(__file__)}/../../policies/{name}.toml", f"{project}/policies/")
        env = dict(os.environ, AWS_ACCESS_KEY_ID="123456789012", AWS_SECRET_ACCESS_KEY="test", TMPDIR=folder,
                   AWS_EC2_METADATA_DISABLED="true", OPSCTL_ENDPOINT_URL=f"http://127.0.0.1:{server.server_port}")
        began = time.time()
        child = subprocess.Popen([os.path.abspath(args.opsctl), "drill", "run"], cwd=project, env=env)
        peak = 0
        while child.poll() is None:
            try:
                with open(f"/proc/{child.pid}/status") as status:
                    peak = max([peak] + [int(line.split()[1]) for line in status if line.startswith("VmHWM")])
            except OSError:
                pass
            time.sleep(0.1)
        print(f"\n{args.form}, {Bucket.size / 2**20:.0f} MiB: exit {child.returncode}, "
              f"{time.time() - began:.1f} s, peak RSS of opsctl {peak / 1024:.1f} MiB")


main()
