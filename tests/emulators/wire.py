"""Answers and errors in the dialect the request was written in, and CBOR to and from what moto understands."""
import datetime
import json
import os
import socket
import struct
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

import cbor2

from model_check import model


@dataclass
class Answer:
    status: int
    body: bytes = b""
    headers: list = field(default_factory=list)


class Refusal(Exception):
    """An error as the service would put it."""

    def __init__(self, code, message, status=400):
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status = code, message, status


def error(call, refusal, method="GET"):
    code, message, status = refusal.code, refusal.message, refusal.status
    fault = "Sender" if status < 500 else "Receiver"
    compatible = [("x-amzn-query-error", f"{code};{fault}")] if call.service and "awsQueryCompatible" in model(call.service).metadata else []
    said = {"__type": code, "message": message}
    if call.protocol == "cbor":
        return Answer(status, cbor2.dumps(said), [("Content-Type", "application/cbor"), ("smithy-protocol", "rpc-v2-cbor"), *compatible])
    if call.protocol == "json":
        return Answer(status, json.dumps(said).encode(), [("Content-Type", "application/x-amz-json-1.1"), *compatible])
    if call.protocol == "rest-json":
        return Answer(status, json.dumps({"Message": message, "message": message}).encode(),
                      [("Content-Type", "application/json"), ("x-amzn-ErrorType", code)])
    xml = f"<Code>{code}</Code><Message>{escape(message)}</Message>"
    xml = (f"<ErrorResponse><Error><Type>{fault}</Type>{xml}</Error><RequestId>r</RequestId></ErrorResponse>" if call.protocol == "query"
           else f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{xml}<RequestId>r</RequestId><HostId>h</HostId></Error>')
    return Answer(status, b"" if method == "HEAD" else xml.encode(), [("Content-Type", "application/xml")])


def result(call, value):
    """A success of the protocols that carry one structure."""
    if call.protocol == "cbor":
        shape = model(call.service).operation_model(call.operation).output_shape
        return Answer(200, cbor2.dumps(to_cbor(value, shape)), [("Content-Type", "application/cbor"), ("smithy-protocol", "rpc-v2-cbor")])
    return Answer(200, json.dumps(value).encode(), [("Content-Type", "application/x-amz-json-1.1")])


def to_json(value):
    """Decoded CBOR as JSON would have carried it."""
    if isinstance(value, cbor2.CBORTag):
        return to_json(value.value)
    if isinstance(value, datetime.datetime):
        return value.timestamp()
    if isinstance(value, dict):
        return {k: to_json(v) for k, v in value.items()}
    if isinstance(value, list):
        return [to_json(v) for v in value]
    return value


def to_cbor(value, shape):
    """A JSON answer, its numbers and times typed by the model as a strict CBOR client wants them."""
    if value is None or shape is None:
        return value
    match shape.type_name:
        case "structure":
            return {k: to_cbor(v, shape.members.get(k)) for k, v in value.items() if v is not None}
        case "list":
            return [to_cbor(v, shape.member) for v in value]
        case "map":
            return {k: to_cbor(v, shape.value) for k, v in value.items()}
        case "timestamp":
            if isinstance(value, str):
                value = datetime.datetime.fromisoformat(value).timestamp()
            return cbor2.CBORTag(1, float(value))
        case "double" | "float":
            return float(value)
        case "integer" | "long":
            return int(value)
    return value


def cut(environ):
    """Breaks the connection under the client, without an answer: it sees a reset."""
    connection = environ["werkzeug.socket"]
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(connection.detach())
    raise ConnectionResetError("cut on demand")
