"""moto's server, brought closer to AWS where opsctl would notice. usage: moto_aws.py PORT [--record FILE]

    moto_aws.py      the server: what comes in, who answers it
    repairs.py       moto's own methods, replaced
    backups.py       RDS: what waits for the maintenance window, copies of backups in other regions; S3: versioning
    databases.py     RDS: copies, states that take time
    lifecycle.py     S3 lifecycle: every rule form kept, what S3 refuses refused
    tagging.py       the tagging API over all services, S3 bucket tags
    explorer.py      Resource Explorer's Search
    tables.py        DynamoDB tables: restores, states
    restore_testing.py   restore tests of AWS Backup
    money.py         budgets, anomaly detection, cost allocation tags, subscriptions that wait
    wire.py          answers and errors in the dialect of the request, CBOR
    faults.py        faults on demand
    model_check.py   requests decoded and judged by AWS's service models

The control door, not part of AWS:

    POST, GET, DELETE /_opsctl/faults   see faults.py
    GET, DELETE /_opsctl/calls          {"s3:ListBuckets": 3, ...}, every request that came, faults included
    POST, DELETE /_opsctl/explorer      Resource Explorer has a default view, or has none (at first)
    POST /_opsctl/money                 what only AWS or people can do to budgets and the like, see money.py
    POST, DELETE /_opsctl/tables        states, failures and the like of DynamoDB tables, see tables.py
    POST, GET /_opsctl/restore-tests    restore jobs of AWS Backup, see restore_testing.py
    POST, DELETE /_opsctl/rds           states, failures and the like of databases, see databases.py
    POST /_opsctl/system-tags           {arn: {"aws:...": value}}, tags that only AWS itself can set

--record appends one JSON line per request: service, operation, region, params, violations of the model, status.
"""
import argparse
import collections
import io
import json
import logging
import re
import threading
import traceback

from moto.iam.models import get_account_id_from
from moto.moto_server.werkzeug_app import MotoRequestHandler
from moto.s3.models import s3_backends
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.http import HTTP_STATUS_CODES
from werkzeug.serving import run_simple

import databases
import backups
import explorer
import faults
import lifecycle
import money
import repairs
import restore_testing
import tables
import tagging
from model_check import CHECKSUMS, decode, model
from wire import Answer, Refusal, cut, error, result, to_json

ANY_REGION = {"ListBuckets", "CreateBucket", "GetBucketLocation", None}
NOT_THERE = Refusal("NotImplemented", "not implemented by the emulator", 501)


class Server:
    def __init__(self, moto, record=None):
        self.moto, self.record = moto, record
        self.calls, self.lock = collections.Counter(), threading.Lock()

    def __call__(self, environ, start):
        method, target = environ["REQUEST_METHOD"], environ.get("RAW_URI") or environ["PATH_INFO"]
        size = environ.get("CONTENT_LENGTH")
        body = environ["wsgi.input"].read(int(size)) if size else environ["wsgi.input"].read() if environ.get("wsgi.input_terminated") else b""
        if target.startswith("/_opsctl/"):
            answer = self.door(method, target, body)
        elif target.startswith("/moto-api"):
            if "/reset" in target:
                tagging.reset()
                money.reset()
                databases.door("DELETE", {}, "")
                explorer.on = False
                restore_testing.reset()
                tables.door("DELETE", {})
            answer = self.pass_on(environ, body)
        else:
            answer = self.serve(environ, method, target, body)
        status = f"{answer.status} {HTTP_STATUS_CODES.get(answer.status, '')}"
        start(status, [(k, v) for k, v in answer.headers if k.lower() != "content-length"] + length_of(answer, method))
        return [b"" if method == "HEAD" else answer.body]

    def door(self, method, target, body):
        try:
            match method, target.removeprefix("/_opsctl/"):
                case "POST", "faults":
                    faults.load(json.loads(body))
                case "DELETE", "faults":
                    faults.clear()
                case "GET", "faults":
                    return Answer(200, json.dumps(faults.waiting).encode(), [("Content-Type", "application/json")])
                case "GET", "calls":
                    return Answer(200, json.dumps(dict(sorted(self.calls.items()))).encode(), [("Content-Type", "application/json")])
                case "DELETE", "calls":
                    self.calls.clear()
                case ("POST" | "DELETE"), "explorer":
                    explorer.on = method == "POST"
                case "POST", "money":
                    money.door(json.loads(body), "123456789012")
                case ("POST" | "DELETE"), "tables":
                    tables.door(method, json.loads(body or b"{}"))
                case "POST", "restore-tests":
                    restore_testing.load(json.loads(body))
                case "GET", "restore-tests":
                    return Answer(200, json.dumps(restore_testing.state["jobs"]).encode(), [("Content-Type", "application/json")])
                case ("POST" | "DELETE"), "rds":
                    databases.door(method, json.loads(body or b"{}"), "123456789012")
                case "POST", "system-tags":
                    for arn, tags in json.loads(body).items():
                        tagging.set_system_tags(arn.split(":")[4] or owner(arn.split(":")[5]), {arn: tags})
                case _:
                    return Answer(404, b"no such door\n")
        except (ValueError, KeyError) as e:
            return Answer(400, f"{e}\n".encode())
        return Answer(204)

    def serve(self, environ, method, target, body):
        headers = {k[5:].replace("_", "-").lower(): v for k, v in environ.items() if k.startswith("HTTP_")}
        headers |= {k.replace("_", "-").lower(): environ[k] for k in ("CONTENT_TYPE", "CONTENT_LENGTH") if environ.get(k)}
        call = decode(method, target, headers, body)
        with self.lock:
            self.calls[call.name] += 1
        said = None
        try:
            hit = faults.take(call, target, body)
            said = "reset" if "reset" in hit else None
            if said:
                cut(environ)
            refusal = faults.refusal(call, hit)
            answer = error(call, refusal, method) if refusal else self.answer(environ, call, method, headers, body, hit)
            said = answer.status
            if "answer_lost" in hit:
                said = "answer_lost"
                cut(environ)
            return answer
        finally:
            if self.record and call.service:
                with self.lock:
                    self.record.write(json.dumps(call.record() | {"status": said}, ensure_ascii=False, default=str) + "\n")
                    self.record.flush()

    def answer(self, environ, call, method, headers, body, hit):
        key = re.search(r"Credential=([^/]+)/", headers.get("authorization", ""))
        account = headers.get("x-moto-account-id") or get_account_id_from(key[1] if key else "")
        name = call.operation or ""
        repairs.ASKED.params = call.params
        try:
            if call.service == "s3":
                found = self.s3(call, account, headers, body)
            elif call.service == "resourcegroupstaggingapi" and name in ("GetResources", "TagResources", "UntagResources"):
                if call.violations:
                    raise Refusal("InvalidParameterException", "; ".join(call.violations))
                with tagging.lock:
                    found = result(call, tagging.get_resources(call, account) if name == "GetResources"
                                   else tagging.change(call, account, hit.get("partial")))
            elif call.service in ("budgets", "ce"):
                found = money.answer(call, account)
            elif call.service == "backup":
                found = restore_testing.answer(call)
            elif call.name == "lambda:GetAccountSettings":
                found = Answer(200, repairs.LAMBDA_ACCOUNT, [("Content-Type", "application/json")])
            else:
                found = explorer.answer(call, account) if call.service == "resource-explorer-2" else None
            if not found:
                if re.match("Untag|RemoveTags", name):
                    tagging.touched(call.service, account, call.region)
                before = money.before_topics(call, account)
                found = money.with_waiting(call, account, self.from_moto(environ, call, method, body), before)
        except Refusal as refusal:
            return error(call, refusal, method)
        if name.startswith("Delete") and found.status < 300:
            tagging.deleted(call.service, account, call.region)
        return found

    def s3(self, call, account, headers, body):
        """What this launcher answers itself; None leaves the rest to moto."""
        bucket = bucket_of(call.params.get("Bucket"))
        if bucket:
            expected = headers.get("x-amz-expected-bucket-owner")
            if expected and expected != bucket.account_id:
                raise Refusal("AccessDenied", "Access Denied", 403)
            if call.region and call.region != bucket.region_name and call.operation not in ANY_REGION:
                moved = error(call, Refusal("PermanentRedirect", "The bucket you are attempting to access must be addressed using the "
                                            "specified endpoint. Please send all future requests to this endpoint.", 301))
                moved.headers.append(("x-amz-bucket-region", bucket.region_name))
                return moved
        for violation in call.violations:
            if violation.startswith("x-amz-content-sha256"):
                raise Refusal("XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed.")
            if violation.split(" ")[0] in CHECKSUMS:
                raise Refusal("BadDigest", "The checksum you specified did not match what we received.")
            if violation == "needs a checksum of the body":
                raise Refusal("InvalidRequest", "Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
        if call.operation == "ListBuckets":
            return Answer(200, repairs.list_buckets(call.params, account), [("Content-Type", "application/xml")])
        if not bucket:
            return None
        backend = s3_backends[bucket.account_id]["aws"]
        with tagging.lock:
            match call.operation:
                case "PutBucketLifecycleConfiguration":
                    return lifecycle.put(bucket, body, headers)
                case "GetBucketLifecycleConfiguration":
                    return lifecycle.get(bucket)
                case "DeleteBucketLifecycle":
                    return lifecycle.delete(bucket)
                case "GetBucketVersioning":
                    return backups.get_versioning(bucket)
                case "GetBucketTagging":
                    return tagging.get_bucket_tags(bucket, backend)
                case "PutBucketTagging":
                    tagging.touched("s3", bucket.account_id, bucket.region_name)
                    return tagging.put_bucket_tags(bucket, backend, call)
                case "DeleteBucketTagging":
                    tagging.touched("s3", bucket.account_id, bucket.region_name)
                    return tagging.delete_bucket_tags(bucket, backend)
        return None

    def from_moto(self, environ, call, method, body):
        if call.protocol == "cbor":
            metadata = model(call.service).metadata
            body = json.dumps(to_json(call.params)).encode()
            environ.update({"PATH_INFO": "/", "RAW_URI": "/", "REQUEST_URI": "/", "HTTP_X_AMZ_TARGET": f"{metadata['targetPrefix']}.{call.operation}",
                            "CONTENT_TYPE": f"application/x-amz-json-{metadata['jsonVersion']}"})
            for key in ("HTTP_SMITHY_PROTOCOL", "HTTP_ACCEPT", "HTTP_X_AMZN_QUERY_MODE"):
                environ.pop(key, None)
        answer = self.pass_on(environ, body)
        if answer.status == 500 and answer.body.lstrip()[:9].lower() == b"<!doctype":  # moto's word for "never heard of it"
            return error(call, NOT_THERE, method)
        if call.protocol == "cbor":
            return self.as_cbor(call, answer)
        if call.name == "lambda:ListFunctions" and answer.status == 200:
            return page_of_functions(call, answer)
        return answer

    def as_cbor(self, call, answer):
        try:
            said = json.loads(answer.body) if answer.body.strip() else {}
        except ValueError:
            return error(call, NOT_THERE)
        if answer.status >= 400:
            code = said.get("__type", "InternalFailure").split("#")[-1]
            told = next((v.split(";")[0] for k, v in answer.headers if k.lower() == "x-amzn-query-error"), code)
            return error(call, Refusal(told, said.get("message") or said.get("Message") or "", answer.status))
        shape = model(call.service).operation_model(call.operation).output_shape
        return result(call, said) if shape else Answer(200, b"", [("smithy-protocol", "rpc-v2-cbor")])

    def pass_on(self, environ, body):
        environ.update({"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))})
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        seen = {}
        try:
            said = b"".join(self.moto(environ, lambda status, headers, exc=None: seen.update(status=status, headers=headers)))
        except NotImplementedError:
            return Answer(500, b"<!doctype")
        return Answer(int(seen["status"].split()[0]), said, seen["headers"])


def length_of(answer, method):
    if method == "HEAD":  # the length of what a GET would bring
        return [(k, v) for k, v in answer.headers if k.lower() == "content-length"]
    return [] if answer.status == 204 else [("Content-Length", str(len(answer.body)))]


def owner(bucket):
    return s3_backends.bucket_accounts[bucket][1]


def bucket_of(name):
    if name not in s3_backends.bucket_accounts:
        return None
    partition, account = s3_backends.bucket_accounts[name]
    return s3_backends[account][partition].buckets.get(name)


def page_of_functions(call, answer):
    """Lambda lists 50 functions at most."""
    found = sorted(json.loads(answer.body)["Functions"], key=lambda f: f["FunctionName"])
    found = [f for f in found if f["FunctionName"] > call.params.get("Marker", "")]
    size = min(call.params.get("MaxItems", 50), 50)
    said = {"Functions": found[:size]} | ({"NextMarker": found[size - 1]["FunctionName"]} if len(found) > size else {})
    return Answer(200, json.dumps(said).encode(), answer.headers)


class KeepAlive(MotoRequestHandler):
    """Keeps connections open, as AWS does and werkzeug's own handler does not. Quiet but for errors."""
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def run_wsgi(self):
        try:
            seen = []
            body = b"".join(self.server.app(self.make_environ(), lambda status, headers: seen.extend((status, headers))))
        except ConnectionError:
            self.close_connection = True
            return
        except Exception:
            self.log_error("%s", traceback.format_exc())
            seen, body, self.close_connection = ["500 Broken", [("Content-Length", "0")]], b"", True
        status, _, reason = seen[0].partition(" ")
        self.send_response(int(status), reason)
        for header in seen[1]:
            self.send_header(*header)
        self.end_headers()
        self.wfile.write(body)

    def date_time_string(self, timestamp=None):
        return databases.date()

    def log_request(self, code="-", size="-"):
        pass


def main():
    parser = argparse.ArgumentParser(description="moto's server, closer to AWS")
    parser.add_argument("port", type=int)
    parser.add_argument("--record", metavar="FILE")
    options = parser.parse_args()
    record = open(options.record, "a", encoding="utf-8") if options.record else None
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app = Server(DomainDispatcherApplication(create_backend_app), record)
    run_simple("127.0.0.1", options.port, app, threaded=True, request_handler=KeepAlive)


if __name__ == "__main__":
    main()
