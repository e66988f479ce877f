import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import cbor2
import pytest

from aws_clients import Clients

HERE = Path(__file__).parent
ACCOUNT, REGION = "123456789012", "eu-west-1"


class Moto:
    """The server under test, with clients and its control door."""

    def __init__(self, record):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.endpoint, self.record = f"http://127.0.0.1:{port}", record
        self.process = subprocess.Popen([sys.executable, "-B", str(HERE / "moto_aws.py"), str(port), "--record", str(record)],
                                        env=os.environ | {"MOTO_ALLOW_NONEXISTENT_REGION": "0"})
        for _ in range(1800):
            try:
                self.door("GET", "calls")
                break
            except (urllib.error.URLError, ConnectionError):
                assert self.process.poll() is None, "the server did not start"
                time.sleep(0.1)
        else:
            raise AssertionError("the server does not answer")
        self.aws = Clients(self.endpoint, REGION, ACCOUNT)

    def door(self, method, name, body=None):
        data = json.dumps(body).encode() if body is not None else None
        with urllib.request.urlopen(urllib.request.Request(f"{self.endpoint}/_opsctl/{name}", data, method=method)) as answer:
            said = answer.read()
            return json.loads(said) if said else None

    def reset(self):
        urllib.request.urlopen(urllib.request.Request(f"{self.endpoint}/moto-api/reset", b"", method="POST")).close()
        self.door("DELETE", "faults")
        self.door("DELETE", "calls")

    def raw(self, method, path, body=b"", headers=(), service="s3", region=REGION):
        """(status, headers, body) of a request that no SDK would send."""
        signed = {"Authorization": f"AWS4-HMAC-SHA256 Credential=AKID/20261122/{region}/{service}/aws4_request, SignedHeaders=host, Signature=0"}
        request = urllib.request.Request(self.endpoint + path, body or None, signed | dict(headers), method=method)
        try:
            with urllib.request.build_opener(NoRedirect).open(request) as answer:
                return answer.status, dict(answer.headers), answer.read()
        except urllib.error.HTTPError as answer:
            return answer.code, dict(answer.headers), answer.read()

    def cbor(self, operation, params, service="monitoring", prefix="GraniteServiceVersion20100801"):
        """(status, headers, answer) over Smithy RPC v2 CBOR."""
        status, headers, body = self.raw("POST", f"/service/{prefix}/operation/{operation}", cbor2.dumps(params), {
            "smithy-protocol": "rpc-v2-cbor", "Content-Type": "application/cbor", "Accept": "application/cbor"}, service)
        return status, headers, cbor2.loads(body) if body else None

    def recorded(self):
        return [json.loads(line) for line in self.record.read_text().splitlines()]


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    moto = Moto(tmp_path_factory.mktemp("moto") / "record.jsonl")
    yield moto
    moto.process.terminate()
    moto.process.wait(10)


@pytest.fixture
def moto(server):
    server.reset()
    return server


@pytest.fixture
def aws(moto):
    return moto.aws
