"""What a request says, decoded and judged by AWS's own service models as they ship with botocore.

An emulator accepts much that AWS refuses: unknown members, names that are too long, values outside an enum. `decode`
turns one HTTP request into a `Call` with the operation, its parameters and the list of everything the model forbids.
It knows the protocols json 1.0 and 1.1 (also query-compatible), query, rest-xml, rest-json and Smithy RPC v2 CBOR,
and takes whichever the request is written in.
"""
import base64
import binascii
import datetime
import functools
import hashlib
import json
import math
import re
import struct
import zlib
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote
from xml.etree import ElementTree

import botocore.session
import cbor2

try:
    import regex  # knows \p{L}, which many patterns use
except ImportError:
    regex = None

SERVICES = {  # the name a request is signed for -> botocore's name
    **{name: name for name in ("autoscaling", "backup", "budgets", "ce", "dynamodb", "ec2", "elasticache", "events", "iam",
                               "kms", "lambda", "logs", "organizations", "rds", "resource-explorer-2", "s3", "sns", "sqs", "sts")},
    "monitoring": "cloudwatch",
    "tagging": "resourcegroupstaggingapi",
}
UNSIGNED = {"AssumeRoleWithWebIdentity": "sts", "AssumeRoleWithSAML": "sts"}
S3_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
S3_HEADERS = re.compile(  # x-amz- headers that no operation lists: signing, SDK telemetry, checksums
    r"x-amz-(date|content-sha256|security-token|user-agent|sdk-.*|checksum-.*|trailer|decoded-content-length|meta-.*|id-2|te)$")


@dataclass
class Call:
    service: str
    operation: str | None
    region: str
    protocol: str
    params: dict = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)

    @property
    def name(self):
        return f"{self.service}:{self.operation}"

    def record(self):
        return {"service": self.service, "operation": self.operation, "region": self.region,
                "params": printable(self.params), "violations": self.violations}


def printable(value):
    if isinstance(value, dict):
        return {str(k): printable(v) for k, v in value.items()}
    if isinstance(value, list):
        return [printable(v) for v in value]
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode() if len(value) <= 1000 and value.isascii() else f"<{len(value)} bytes>"
    return value


@functools.cache
def model(service):
    return botocore.session.get_session().get_service_model(service)


def decode(method, target, headers, body):
    """target: the raw path with its query string; headers: a dict, names in lower case; body: bytes."""
    path, _, query = target.partition("?")
    scope = re.search(r"Credential=[^/]+/\d+/([^/]+)/([^/]+)/aws4_request", headers.get("authorization", ""))
    region, signed = scope.groups() if scope else ("", "")
    service, kind = SERVICES.get(signed, signed), headers.get("content-type", "")
    if not scope:
        form = dict(parse_qsl(body.decode("utf-8", "replace"))) if "x-www-form-urlencoded" in kind else {}
        service = UNSIGNED.get(form.get("Action"), "")
    call = Call(service, None, region, "")
    if service not in SERVICES.values():
        return call
    cbor = re.match(r"/service/(\w+)/operation/(\w+)$", path)
    if cbor or headers.get("smithy-protocol") == "rpc-v2-cbor":
        call.protocol = "cbor"
        decode_cbor(call, cbor, headers, body)
    elif "x-amz-target" in headers:
        call.protocol = "json"
        decode_json(call, headers, body)
    elif model(service).metadata["protocol"].startswith("rest-"):
        call.protocol = model(service).metadata["protocol"]
        decode_rest(call, method, path, query, headers, body)
    else:
        call.protocol = "query"
        decode_query(call, query if method == "GET" else body.decode("utf-8", "replace"))
    check_hashes(call, headers, body)
    check_more(call)
    return call


def operation_of(call, name):
    """The model of the operation, or None, noted as a violation."""
    if name in model(call.service).operation_names:
        call.operation = name
        return model(call.service).operation_model(name)
    call.operation = name or None
    call.violations.append(f"unknown operation {name}")
    return None


# --- the protocols -----------------------------------------------------------------------------------------------

def decode_cbor(call, route, headers, body):
    if not route:
        call.violations.append("not a path of rpc-v2-cbor")
        return
    if route[1] != model(call.service).metadata.get("targetPrefix"):
        call.violations.append(f"unknown service {route[1]}")
    if headers.get("smithy-protocol") != "rpc-v2-cbor":
        call.violations.append("no header smithy-protocol: rpc-v2-cbor")
    operation = operation_of(call, route[2])
    try:
        call.params = cbor2.loads(body) if body else {}
    except (cbor2.CBORDecodeError, ValueError) as e:
        call.violations.append(f"body is no CBOR: {e}")
        return
    validate_input(call, operation)


def decode_json(call, headers, body):
    metadata = model(call.service).metadata
    prefix, _, name = headers["x-amz-target"].rpartition(".")
    if prefix != metadata.get("targetPrefix"):
        call.violations.append(f"unknown target prefix {prefix}")
    kind = f"application/x-amz-json-{metadata.get('jsonVersion')}"
    if headers.get("content-type", "").split(";")[0] != kind:
        call.violations.append(f"content-type is not {kind}")
    operation = operation_of(call, name)
    try:
        call.params = json.loads(body or b"{}")
    except ValueError as e:
        call.violations.append(f"body is no JSON: {e}")
        return
    validate_input(call, operation)


def decode_query(call, text):
    form = dict(parse_qsl(text, keep_blank_values=True))
    operation = operation_of(call, form.pop("Action", ""))
    version = form.pop("Version", None)
    if version != model(call.service).api_version:
        call.violations.append(f"Version is {version}, not {model(call.service).api_version}")
    if operation and operation.input_shape:
        used = set()
        call.params = from_form(operation.input_shape, "", form, used, call.violations)
        call.violations += [f"{key}: unknown" for key in form if key not in used]
        validate_input(call, operation)
    elif form:
        call.violations += [f"{key}: unknown" for key in form]
        call.params = form


def from_form(shape, prefix, form, used, violations):
    """The value of a query-protocol parameter, None when the form has nothing under that name."""
    if shape.type_name == "structure":
        found = {}
        for name, member in shape.members.items():
            key = member.serialization.get("name", name)
            if member.type_name == "list" and member.serialization.get("flattened"):
                key = member.member.serialization.get("name", key)
            value = from_form(member, f"{prefix}.{key}" if prefix else key, form, used, violations)
            if value is not None:
                found[name] = value
        return found if found or not prefix else None
    if shape.type_name in ("list", "map"):
        if form.get(prefix) == "":
            used.add(prefix)
            return [] if shape.type_name == "list" else {}
        flat = shape.serialization.get("flattened")
        inner = "member" if shape.type_name == "list" else "entry"
        if shape.type_name == "list":
            inner = shape.member.serialization.get("name", inner)
        start = prefix if flat else f"{prefix}.{inner}"
        rank = re.compile(re.escape(start) + r"\.(\d+)(?:\.|$)")
        ranks = sorted({int(m[1]) for m in map(rank.match, form) if m})
        if not ranks:
            return None
        if ranks != list(range(1, len(ranks) + 1)):
            violations.append(f"{prefix}: not numbered from 1 without gaps")
        if shape.type_name == "list":
            return [from_form(shape.member, f"{start}.{i}", form, used, violations) for i in ranks]
        key, value = shape.key.serialization.get("name", "key"), shape.value.serialization.get("name", "value")
        return {from_form(shape.key, f"{start}.{i}.{key}", form, used, violations):
                from_form(shape.value, f"{start}.{i}.{value}", form, used, violations) for i in ranks}
    if prefix not in form:
        return None
    used.add(prefix)
    return from_text(shape, form[prefix], prefix, violations)


@functools.cache
def routes(service):
    """(method, pattern of the path, literal query parameters, operation) of every operation of a REST service."""
    found = []
    for name in model(service).operation_names:
        operation = model(service).operation_model(name)
        uri, _, query = operation.http["requestUri"].partition("?")
        pattern = re.sub(r"\\\{(\w+)(\\\+)?\\\}", lambda m: f"(?P<{m[1]}>{'.+' if m[2] else '[^/]+'})", re.escape(uri.rstrip("/")))
        found.append((operation.http["method"], re.compile(pattern + "/?$"), dict(parse_qsl(query, keep_blank_values=True)), operation))
    return found


def route(call, method, path, query, headers):
    asked, best = dict(query), []
    for verb, pattern, literal, operation in routes(call.service):
        match = pattern.match(path)
        if verb != method or not match or any(asked.get(k) != v for k, v in literal.items()):
            continue
        shape = operation.input_shape
        located = {"querystring": asked, "header": headers}
        missing = needed = 0
        for name in shape.required_members if shape else []:
            where = shape.members[name].serialization
            if where.get("location") in located:
                needed += 1
                missing += where["name"] not in asked and where["name"].lower() not in headers
        best.append(((-len(literal), missing, asked.get("x-id", operation.name) != operation.name, operation.deprecated, -needed,
                      operation.name), match, literal, operation))
    return min(best, key=lambda candidate: candidate[0])[1:] if best else None


def decode_rest(call, method, path, query, headers, body):
    query = parse_qsl(query, keep_blank_values=True)
    found = route(call, method, path, query, headers)
    if not found:
        call.violations.append(f"no operation for {method} {path}")
        return
    match, literal, operation = found
    call.operation, shape = operation.name, operation.input_shape
    labels = {k: unquote(v) for k, v in match.groupdict().items()}
    asked = {}
    for key, value in query:
        asked.setdefault(key, []).append(value)
    left = {k for k in asked if k not in literal and k != "x-id"}
    headers_left = {h for h in headers if h.startswith("x-amz-") and not S3_HEADERS.match(h)} if call.service == "s3" else set()
    params, rest = {}, {}
    for name, member in (shape.members if shape else {}).items():
        location, key = member.serialization.get("location"), member.serialization.get("name", name)
        if location == "uri" and key in labels:
            params[name] = from_text(member, labels[key], name, call.violations)
        elif location == "querystring" and member.type_name == "map":
            params[name] = {k: v[0] for k, v in asked.items() if k in left}
            left = set()
        elif location == "querystring" and key in asked:
            left.discard(key)
            params[name] = ([from_text(member.member, v, name, call.violations) for v in asked[key]] if member.type_name == "list"
                            else from_text(member, asked[key][0], name, call.violations))
        elif location == "header" and key.lower() in headers:
            headers_left.discard(key.lower())
            value = headers[key.lower()]
            params[name] = ([from_text(member.member, v.strip(), name, call.violations) for v in value.split(",")]
                            if member.type_name == "list" else from_text(member, value, name, call.violations))
        elif location == "headers":
            params[name] = {h[len(key):]: v for h, v in headers.items() if h.startswith(key.lower())}
        elif location is None:
            rest[name] = member
    call.violations += [f"query parameter {key}: unknown" for key in sorted(left)]
    call.violations += [f"header {key}: unknown" for key in sorted(headers_left)]
    payload = shape.serialization.get("payload") if shape else None
    if payload and rest[payload].type_name in ("blob", "string"):
        if body:
            params[payload] = body
    elif body and payload:
        value = from_body(call, rest[payload], body)
        if value is not None:
            params[payload] = value
    elif body and rest:
        if call.protocol == "rest-xml":
            call.violations.append("a body the checker cannot read")
        else:
            params |= from_body(call, None, body) or {}
    elif body and body not in (b"{}", b""):
        call.violations.append("a body where none is expected")
    call.params = params
    validate_input(call, operation)


def from_body(call, shape, body):
    if call.protocol == "rest-json":
        try:
            return json.loads(body)
        except ValueError as e:
            call.violations.append(f"body is no JSON: {e}")
            return None
    try:
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError as e:
        call.violations.append(f"body is no XML: {e}")
        return None
    name = shape.serialization.get("name", shape.name)
    namespace, _, tag = root.tag.rpartition("}")
    if tag != name:
        call.violations.append(f"body is a <{tag}>, not a <{name}>")
    if namespace.lstrip("{") not in ("", S3_NAMESPACE):
        call.violations.append(f"namespace {namespace.lstrip('{')}")
    return from_xml(shape, root, name, call.violations)


def local(tag):
    return tag.rpartition("}")[2]


def from_xml(shape, node, path, violations):
    if shape.type_name == "structure":
        names, found = {}, {}
        for name, member in shape.members.items():
            if member.serialization.get("xmlAttribute"):
                value = next((v for k, v in node.attrib.items() if local(k) == member.serialization["name"].split(":")[-1]), None)
                if value is not None:
                    found[name] = value
                continue
            key = member.serialization.get("name", name)
            if member.type_name == "list" and member.serialization.get("flattened"):
                key = member.serialization.get("name") or member.member.serialization.get("name", name)
            names[key] = name, member
        for child in node:
            name, member = names.get(local(child.tag), (None, None))
            if name is None and local(child.tag).startswith("Future"):
                continue  # stands for what S3 may add one day, see lifecycle.py
            if name is None:
                violations.append(f"{path}.{local(child.tag)}: unknown")
            elif member.type_name == "list" and member.serialization.get("flattened"):
                found.setdefault(name, []).append(from_xml(member.member, child, f"{path}.{name}[{len(found.get(name, []))}]", violations))
            elif name in found:
                violations.append(f"{path}.{name}: given twice")
            else:
                found[name] = from_xml(member, child, f"{path}.{name}", violations)
        return found
    if shape.type_name == "list":
        expected = shape.member.serialization.get("name", "member")
        violations += [f"{path}.{local(c.tag)}: unknown" for c in node if local(c.tag) != expected]
        return [from_xml(shape.member, c, f"{path}[{i}]", violations) for i, c in enumerate(node)]
    if len(node):
        violations.append(f"{path}: elements where text is expected")
    return from_text(shape, node.text or "", path, violations)


def from_text(shape, text, path, violations):
    """A scalar of the textual protocols; what cannot be read stays text, for `validate` to report."""
    try:
        match shape.type_name:
            case "integer" | "long":
                return int(text)
            case "float" | "double":
                return float(text)
            case "boolean":
                return {"true": True, "false": False}[text]
            case "blob":
                return base64.b64decode(text, validate=True)
            case "timestamp":
                return timestamp(text)
    except (ValueError, KeyError, binascii.Error):
        violations.append(f"{path}: {text!r} is no {shape.type_name}")
        return None
    return text


def timestamp(text):
    if re.fullmatch(r"-?\d+(\.\d+)?", text):
        return datetime.datetime.fromtimestamp(float(text), datetime.UTC)
    if re.match(r"[A-Z][a-z]{2}, ", text):
        return datetime.datetime.strptime(text, "%a, %d %b %Y %H:%M:%S %Z").replace(tzinfo=datetime.UTC)
    found = datetime.datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(text)
    return found


# --- the model's rules ---------------------------------------------------------------------------------------------

def validate_input(call, operation):
    if not isinstance(call.params, dict):
        call.violations.append("the parameters are no structure")
        call.params = {}
    if operation:
        if operation.input_shape:
            validate(operation.input_shape, call.params, "", call.violations)
        else:
            call.violations += [f"{key}: unknown" for key in call.params]


@functools.cache
def pattern(text):
    try:
        return (regex or re).compile(text)
    except Exception:  # a pattern that only Java understands says nothing here
        return None


TYPES = {"string": str, "integer": int, "long": int, "boolean": bool, "list": list, "map": dict, "structure": dict,
         "float": (int, float), "double": (int, float), "blob": (bytes, str), "timestamp": (datetime.datetime, int, float, cbor2.CBORTag)}


def validate(shape, value, path, violations):
    kind, where = shape.type_name, path or "request"
    if value is None:
        return
    if kind == "character":
        kind = "string"
    if not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        if not (kind in ("float", "double") and value in ("NaN", "Infinity", "-Infinity")) and not shape.metadata.get("document"):
            violations.append(f"{where}: a {type(value).__name__} where a {kind} is expected")
        return
    if shape.metadata.get("document"):
        return
    join = lambda key: f"{path}.{key}" if path else str(key)
    match kind:
        case "structure":
            violations += [f"{join(k)}: unknown" for k in value if k not in shape.members]
            violations += [f"{join(k)}: missing" for k in shape.required_members if value.get(k) is None]
            if shape.is_tagged_union and sum(v is not None for v in value.values()) != 1:
                violations.append(f"{where}: exactly one of its members must be given")
            for key, item in value.items():
                if key in shape.members:
                    validate(shape.members[key], item, join(key), violations)
        case "list":
            measure(shape, len(value), where, "items", violations)
            for i, item in enumerate(value):
                validate(shape.member, item, f"{path}[{i}]", violations)
        case "map":
            measure(shape, len(value), where, "entries", violations)
            for key, item in value.items():
                validate(shape.key, key, f"{path} key {key!r}", violations)
                validate(shape.value, item, join(key), violations)
        case "string":
            measure(shape, len(value), where, "characters", violations)
            enum, rule = getattr(shape, "enum", None), shape.metadata.get("pattern")
            if enum and value not in enum:
                violations.append(f"{where}: {value!r} is none of {', '.join(enum)}")
            if rule and pattern(rule) and not pattern(rule).fullmatch(value):
                violations.append(f"{where}: {value!r} does not match {rule}")
        case "blob":
            measure(shape, len(value), where, "bytes", violations)
        case "integer" | "long" | "float" | "double":
            if isinstance(value, float) and not math.isfinite(value):
                return
            measure(shape, value, where, "", violations)


def measure(shape, size, where, unit, violations):
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and size < low:
        violations.append(f"{where}: {size} {unit}".rstrip() + f", at least {low} needed")
    if high is not None and size > high:
        violations.append(f"{where}: {size} {unit}".rstrip() + f", at most {high} allowed")


# --- hashes, and rules that models state in prose only --------------------------------------------------------------

def crc(body, polynomial, bits):
    mask = value = (1 << bits) - 1
    for byte in body:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (polynomial if value & 1 else 0)
    return (value ^ mask).to_bytes(bits // 8, "big")


CHECKSUMS = {
    "content-md5": lambda b: hashlib.md5(b).digest(),
    "x-amz-checksum-crc32": lambda b: struct.pack(">I", zlib.crc32(b)),
    "x-amz-checksum-crc32c": lambda b: crc(b, 0x82F63B78, 32),
    "x-amz-checksum-crc64nvme": lambda b: crc(b, 0x9A6C9329AC4BC9B5, 64),
    "x-amz-checksum-sha1": lambda b: hashlib.sha1(b).digest(),
    "x-amz-checksum-sha256": lambda b: hashlib.sha256(b).digest(),
}


def check_hashes(call, headers, body):
    """A body changed after it was signed or summed, and an S3 write that needs a checksum and has none."""
    signed = headers.get("x-amz-content-sha256", "")
    if re.fullmatch(r"[0-9a-f]{64}", signed) and signed != hashlib.sha256(body).hexdigest():
        call.violations.append("x-amz-content-sha256 is not that of the body")
    if call.service != "s3" or len(body) > 1 << 20:
        return
    given = [name for name in CHECKSUMS if name in headers]
    for name in given:
        if headers[name] != base64.b64encode(CHECKSUMS[name](body)).decode():
            call.violations.append(f"{name} is not that of the body")
    if call.operation and model("s3").operation_model(call.operation).http_checksum.get("requestChecksumRequired"):
        if not given and "x-amz-trailer" not in headers and not any(h.startswith("x-amz-checksum-") for h in headers):
            call.violations.append("needs a checksum of the body")


def check_more(call):
    if any(": a " in violation for violation in call.violations):  # of a wrong type: enough said
        return
    given = {key for key, value in call.params.items() if value}
    match call.name:
        case "resourcegroupstaggingapi:GetResources":
            others = given & {"PaginationToken", "TagFilters", "ResourcesPerPage", "TagsPerPage", "ResourceTypeFilters"}
            if "ResourceARNList" in given and others:
                call.violations.append(f"ResourceARNList excludes {', '.join(sorted(others))}")
            if "ExcludeCompliantResources" in given and "IncludeComplianceDetails" not in given:
                call.violations.append("ExcludeCompliantResources needs IncludeComplianceDetails")
            size = call.params.get("ResourcesPerPage", 1)
            if isinstance(size, int) and not 1 <= size <= 100:
                call.violations.append("ResourcesPerPage must be from 1 to 100")
        case "cloudwatch:DescribeAlarms":
            if {"AlarmNames", "AlarmNamePrefix"} <= given:
                call.violations.append("AlarmNames excludes AlarmNamePrefix")
        case "cloudwatch:PutMetricAlarm":
            if len(given & {"MetricName", "Metrics", "EvaluationCriteria"}) != 1:
                call.violations.append("one of MetricName, Metrics and EvaluationCriteria")
        case "resourcegroupstaggingapi:TagResources" | "s3:PutBucketTagging":
            tags = call.params.get("Tags") or call.params.get("Tagging", {}).get("TagSet", [])
            keys = list(tags) if isinstance(tags, dict) else [tag.get("Key") for tag in tags]
            if len(set(keys)) != len(keys):
                call.violations.append("a tag key given twice")
            if call.service != "s3" and any(str(key).lower().startswith("aws:") for key in keys):
                call.violations.append("tag keys must not start with aws:")
