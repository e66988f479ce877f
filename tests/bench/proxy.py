"""A stand-in for the way to AWS: between a program and moto_aws.py, with a latency, a memory and a meter.

    proxy.py --upstream PORT [--latency-ms 30]      prints the port it chose, and serves on loopback

The first answer to a request comes from upstream, which is slow; each further one to the same request from memory, so
that a warmed-up run measures the program and not the emulator. Same means: same service, region, method, target,
X-Amz-Target and body. Signature, date and invocation id do not count, nor do the times in a question for metrics, which
are by the day. Every answer leaves no earlier than the latency after its request came.

    GET /_bench        {"requests", "calls": {"s3:ListBuckets": 1}, "misses", "most_in_flight", "seconds", "cpu"}
    DELETE /_bench     starts the count anew, the memory stays
"""
import argparse
import asyncio
import collections
import concurrent.futures
import gc
import http.client
import json
import re
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "emulators"))
from model_check import decode  # noqa: E402

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)
CHUNKED = re.compile(rb"\r\n(?:transfer-encoding|expect):", re.I)
SCOPE = re.compile(rb"Credential=[^/]+/\d+/([^/]+/[^/]+)/aws4_request")
TARGET = re.compile(rb"\r\nx-amz-target: *([^\r]+)", re.I)
TIMES = re.compile(rb"(StartTime|EndTime)\xc1(?:\xfb.{8}|\xfa.{4}|\x1b.{8}|\x1a.{4})", re.S)
HOPS = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}
LAST = re.compile(rb"\r\nconnection: *close", re.I)


class Meter:
    def __init__(self):
        self.calls, self.misses, self.in_flight, self.most = collections.Counter(), 0, 0, 0
        self.first, self.last, self.cpu = None, None, time.process_time()

    def report(self):
        return {"requests": sum(self.calls.values()), "calls": dict(sorted(self.calls.items())), "misses": self.misses,
                "most_in_flight": self.most, "seconds": self.last - self.first if self.last else 0, "cpu": time.process_time() - self.cpu}


class Proxy:
    def __init__(self, upstream, latency):
        self.upstream, self.latency = upstream, latency
        self.known, self.asked = {}, {}  # key -> (name, answer), and what is on the way
        self.meter, self.local = Meter(), threading.local()
        # moto gains nothing from more, and a client would run into its timeouts.
        self.threads = concurrent.futures.ThreadPoolExecutor(2)

    async def learn(self, key, head, body):
        loop = asyncio.get_running_loop()
        if key not in self.asked:
            self.asked[key] = loop.run_in_executor(self.threads, self.fetch, head, body)
        name, answer, fine = await self.asked[key]
        if fine:
            self.known[key] = name, answer
        self.asked.pop(key, None)
        return name, answer

    def fetch(self, head, body):
        start, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = start.split(" ")
        headers = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines if line)}
        name = decode(method, target, headers, body).name
        if not hasattr(self.local, "connection"):
            self.local.connection = http.client.HTTPConnection("127.0.0.1", self.upstream, timeout=300)
        connection = self.local.connection
        for attempt in (1, 2):
            try:
                connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
                for key, value in headers.items():
                    if key not in HOPS:
                        connection.putheader(key, value)
                if body or method in ("POST", "PUT"):
                    connection.putheader("Content-Length", str(len(body)))
                connection.endheaders(body or None)
                found = connection.getresponse()
                said = found.read()
                break
            except (http.client.HTTPException, OSError) as e:
                connection.close()
                if attempt == 2:
                    print(f"proxy.py: {name}: {e!r}", file=sys.stderr, flush=True)
                    return name, b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", False
        kept = [f"{k}: {v}" for k, v in found.getheaders() if k.lower() not in HOPS]
        if method == "HEAD":
            kept += [f"Content-Length: {found.headers['content-length']}"] if found.headers["content-length"] else []
        elif found.status not in (204, 304):
            kept.append(f"Content-Length: {len(said)}")
        lines = [f"HTTP/1.1 {found.status} {found.reason}", *kept, "", ""]
        return name, "\r\n".join(lines).encode("latin-1") + said, found.status < 500


class Connection(asyncio.Protocol):
    """One client: a request, its answer, the next request."""

    def __init__(self, proxy, loop):
        self.proxy, self.loop, self.waiting, self.busy = proxy, loop, b"", False

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.waiting = self.waiting + data if self.waiting else data
        if not self.busy:
            self.next()

    def next(self):
        end = self.waiting.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.waiting[:end]
        if CHUNKED.search(head):
            self.transport.write(b"HTTP/1.1 411 Length Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            self.transport.close()
            return
        length = LENGTH.search(head)
        whole = end + 4 + (int(length[1]) if length else 0)
        if len(self.waiting) < whole:
            return
        body, self.waiting = self.waiting[end + 4:whole], self.waiting[whole:]
        self.serve(head, body)

    def serve(self, head, body):
        start, proxy = head[:head.index(b" HTTP/")], self.proxy
        if start.endswith(b" /_bench"):
            self.door(start)
            return
        meter, now = proxy.meter, self.loop.time()
        self.busy, self.last, self.counted = True, bool(LAST.search(head)), meter
        meter.first = meter.first or now
        meter.in_flight += 1
        meter.most = max(meter.most, meter.in_flight)
        scope, target = SCOPE.search(head), TARGET.search(head)
        asked = TIMES.sub(rb"\1", body) if b"/GetMetricData" in start else body
        key = start, scope and scope[1], target and target[1], asked
        found = proxy.known.get(key)
        if found:
            self.loop.call_at(now + proxy.latency, self.answer, *found)
        else:
            meter.misses += 1
            self.loop.create_task(self.ask(key, head, body, now + proxy.latency))

    async def ask(self, key, head, body, due):
        name, answer = await self.proxy.learn(key, head, body)
        await asyncio.sleep(due - self.loop.time())
        self.answer(name, answer)

    def answer(self, name, answer):
        meter = self.counted
        meter.in_flight -= 1
        meter.calls[name] += 1
        meter.last = self.loop.time()
        self.busy = False
        if self.transport.is_closing():
            return
        self.transport.write(answer)
        if self.last:
            self.transport.close()
        elif self.waiting:
            self.next()

    def door(self, start):
        said = json.dumps(self.proxy.meter.report()).encode()
        if start.startswith(b"DELETE"):
            self.proxy.meter = Meter()
            gc.collect()
            gc.freeze()
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(said), said))


async def main():
    parser = argparse.ArgumentParser(description="latency, memory and meter in front of moto_aws.py")
    parser.add_argument("--upstream", type=int, required=True)
    parser.add_argument("--latency-ms", type=float, default=30)
    options = parser.parse_args()
    loop = asyncio.get_running_loop()
    proxy = Proxy(options.upstream, options.latency_ms / 1000)
    server = await loop.create_server(lambda: Connection(proxy, loop), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
