"""Faults on demand: POST a JSON list to /_opsctl/faults, DELETE to clear, GET to see what is left.

Each fault is {"service", "operation" (or "*"), "mode", "times": n or -1 (1 when absent), "resource_contains"}:

    deny, throttle, error500   answered in the dialect of the service
    error                      any other: "code", "status", "message"
    delay_ms                   waits "ms" milliseconds, then goes on
    reset                      cuts the connection before anything happened
    answer_lost                performs the call, then cuts the connection
    partial                    TagResources, UntagResources: resources whose ARN contains "resource_contains" fail with
                               "code" (ThrottlingException) and "status" (400) inside an answer of 200, the others succeed

"resource_contains" is matched against the path and the body as they were sent.
"""
import threading
import time
from urllib.parse import unquote_plus

from model_check import SERVICES
from wire import Refusal

MODES = {"deny", "throttle", "error500", "error", "delay_ms", "reset", "answer_lost", "partial"}
DENY = {"s3": ("AccessDenied", 403), "sns": ("AuthorizationError", 403), "query": ("AccessDenied", 403), "json": ("AccessDeniedException", 400),
        "rest-json": ("AccessDeniedException", 403), "cbor": ("AccessDenied", 403)}
THROTTLE = {"s3": ("SlowDown", 503), "resourcegroupstaggingapi": ("ThrottledException", 400), "lambda": ("TooManyRequestsException", 429),
            "query": ("Throttling", 400), "json": ("ThrottlingException", 400), "rest-json": ("ThrottlingException", 429), "cbor": ("Throttling", 400)}
BROKEN = {"s3": ("InternalError", 500), "query": ("InternalFailure", 500), "json": ("InternalServerError", 500),
          "rest-json": ("ServiceException", 500), "cbor": ("InternalServiceFault", 500)}

lock = threading.Lock()
waiting = []


def load(faults):
    for fault in faults:
        if fault.get("mode") not in MODES or not fault.get("service") or not fault.get("operation"):
            raise ValueError(f"no fault: {fault}")
        fault.setdefault("times", 1)
        fault["service"] = SERVICES.get(fault["service"], fault["service"])
    with lock:
        waiting.extend(faults)


def clear():
    with lock:
        waiting.clear()


def take(call, target, body):
    """The faults that hit this call, each counted down. Delays are served here."""
    text, hit = unquote_plus(target) + body.decode("utf-8", "replace"), []
    with lock:
        for fault in waiting:
            if (fault["service"] == call.service and fault["operation"] in ("*", call.operation) and fault["times"] != 0
                    and (fault.get("resource_contains", "") in text or fault.get("resource_contains", "") in unquote_plus(text))):
                fault["times"] -= fault["times"] > 0
                hit.append(fault)
                if fault["mode"] not in ("delay_ms", "partial"):
                    break
        waiting[:] = [fault for fault in waiting if fault["times"] != 0]
    time.sleep(sum(fault.get("ms", 1000) for fault in hit if fault["mode"] == "delay_ms") / 1000)
    return {fault["mode"]: fault for fault in hit if fault["mode"] != "delay_ms"}


def refusal(call, hit):
    """What the call is refused with, or None."""
    for mode, codes, message in (("deny", DENY, f"User is not authorized to perform: {call.name}"), ("throttle", THROTTLE, "Rate exceeded"),
                                 ("error500", BROKEN, "We encountered an internal error. Please try again.")):
        if mode in hit:
            code, status = codes.get(call.service) or codes[call.protocol]
            return Refusal(code, message, status)
    if "error" in hit:
        fault = hit["error"]
        return Refusal(fault.get("code", "ServiceUnavailable"), fault.get("message", "on demand"), fault.get("status", 400))
    return None
