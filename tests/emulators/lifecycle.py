"""S3 lifecycle configurations, kept as the XML they came in, and refused where S3 refuses them.

moto keeps only the parts of a rule it knows, never the minimum-size header, and takes rules that S3 rejects. Elements
whose names start with `Future` stand for what S3 may add one day: any rule may hold them, and they come back unchanged.
"""
import base64
import datetime
import hashlib
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from model_check import S3_NAMESPACE, local
from wire import Answer, Refusal

SIZES = ("all_storage_classes_128K", "varies_by_storage_class")
COLDER = ("STANDARD_IA", "INTELLIGENT_TIERING", "ONEZONE_IA", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE")
BARRED = {("ONEZONE_IA", "GLACIER_IR")}  # beyond the order above
INFREQUENT, GLACIERS = {"STANDARD_IA", "ONEZONE_IA"}, {"GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"}
MANY = {"Transition", "NoncurrentVersionTransition"}
ACTIONS = MANY | {"Expiration", "NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload"}
PREDICATES = {"Prefix", "Tag", "ObjectSizeGreaterThan", "ObjectSizeLessThan"}


def put(bucket, body, headers):
    size = headers.get("x-amz-transition-default-minimum-object-size", SIZES[0])
    if size not in SIZES:
        raise Refusal("InvalidArgument", "Invalid TransitionDefaultMinimumObjectSize")
    try:
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError:
        raise malformed()
    check(root)
    for rank, rule in enumerate(root):
        if not text(rule, "ID"):  # S3 gives such a rule a name of its own
            for empty in [node for node in rule if local(node.tag) == "ID"]:
                rule.remove(empty)
            name = ElementTree.Element("ID")
            name.text = base64.b64encode(hashlib.sha256(f"{bucket.name}{rank}".encode()).digest()[:18]).decode()
            rule.insert(0, name)
    bucket.opsctl_lifecycle = write(root), size
    return Answer(200, headers=[("x-amz-transition-default-minimum-object-size", size)])


def get(bucket):
    if not getattr(bucket, "opsctl_lifecycle", None):
        raise Refusal("NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist", 404)
    xml, size = bucket.opsctl_lifecycle
    return Answer(200, xml, [("Content-Type", "application/xml"), ("x-amz-transition-default-minimum-object-size", size)])


def delete(bucket):
    bucket.opsctl_lifecycle = None
    return Answer(204)


def write(root):
    """XML that keeps every character of every text, line ends included, which ElementTree's own writer does not."""
    def node(n, extra=""):
        attributes = "".join(f" {local(k)}={quoteattr(v)}" for k, v in n.attrib.items())
        inner = escape(n.text or "", {"\r": "&#13;"}) if not len(n) else "".join(map(node, n))
        return f"<{local(n.tag)}{extra}{attributes}>{inner}</{local(n.tag)}>"
    return ('<?xml version="1.0" encoding="UTF-8"?>\n' + node(root, f' xmlns="{S3_NAMESPACE}"')).encode()


# --- what S3 refuses ---------------------------------------------------------------------------------------------------

def malformed():
    return Refusal("MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema")


def argument(message):
    return Refusal("InvalidArgument", message)


def request(message):
    return Refusal("InvalidRequest", message)


def children(node, allowed, required=()):
    """The children by name, once each unless S3 repeats them; MalformedXML for anything else."""
    found = {}
    for child in node:
        name = local(child.tag)
        if name.startswith("Future"):
            continue
        if name not in allowed or (name in found and name not in MANY | {"Tag"}):
            raise malformed()
        found.setdefault(name, []).append(child)
    if any(name not in found for name in required):
        raise malformed()
    return found


def text(node, name):
    return next((child.text or "" for child in node if local(child.tag) == name), None)


def number(node, name, message, least=0, most=None):
    value = text(node, name)
    if value is None:
        return None
    try:
        value = int(value)
    except ValueError:
        raise malformed()
    if value < least or (most is not None and value > most):
        raise argument(message)
    return value


def date(node):
    value = text(node, "Date")
    if value is None:
        return None
    try:
        value = datetime.datetime.fromisoformat(value)
        value = value.replace(tzinfo=value.tzinfo or datetime.UTC).astimezone(datetime.UTC)
    except ValueError:
        raise malformed()
    if value.time() != datetime.time():
        raise argument("'Date' must be at midnight GMT")
    return value


def check(root):
    rules = list(root)
    if local(root.tag) != "LifecycleConfiguration" or not 1 <= len(rules) <= 1000 or any(local(r.tag) != "Rule" for r in rules):
        raise malformed()
    seen, forms, prefixes = set(), set(), []
    for rule in rules:
        parts = children(rule, ACTIONS | {"ID", "Prefix", "Filter", "Status"}, ["Status"])
        if text(rule, "Status") not in ("Enabled", "Disabled") or ("Prefix" in parts) == ("Filter" in parts):
            raise malformed()
        name = text(rule, "ID")
        if name:
            if len(name) > 255:
                raise argument("ID length should not exceed allowed limit of 255")
            if name in seen:
                raise argument("Rule ID must be unique. Found same ID for more than one rule")
            seen.add(name)
        forms.add("Prefix" if "Prefix" in parts else "Filter")
        check_rule(rule, parts)
        if "Prefix" in parts:
            prefixes.append((text(rule, "Prefix"), {a for a in ACTIONS if a in parts}))
    if len(forms) > 1:
        raise request("Filter element can only be used in Lifecycle V2.")
    for i, (one, actions) in enumerate(prefixes):  # only configurations of the old form are checked for overlap
        for other, others in prefixes[:i]:
            if one == other:
                raise request(f"Found two rules with same prefix '{one}'")
            if (one.startswith(other) or other.startswith(one)) and actions & others:
                raise request(f"Found overlapping prefixes '{other}' and '{one}' for same action type '{sorted(actions & others)[0]}'")


def check_rule(rule, parts):
    tags, sizes, scope = check_filter(parts["Filter"][0]) if "Filter" in parts else (False, False, f"prefix '{text(rule, 'Prefix')}'")
    if not ACTIONS & set(parts):
        raise request("At least one action needs to be specified in a rule")
    expires = expires_on = None
    if "Expiration" in parts:
        node = parts["Expiration"][0]
        if len(children(node, {"Days", "Date", "ExpiredObjectDeleteMarker"})) != 1:
            raise malformed()
        expires, expires_on = number(node, "Days", "'Days' for Expiration action must be a positive integer", 1), date(node)
        marker = text(node, "ExpiredObjectDeleteMarker")
        if marker not in (None, "true", "false"):
            raise malformed()
        if marker == "true" and tags:
            raise request("ExpiredObjectDeleteMarker cannot be specified with Tags.")
    steps = [check_step(node, "Transition", "Days") for node in parts.get("Transition", [])]
    check_steps(steps, "Transition", "Days", scope)
    times = {"Date" if step[2] else "Days" for step in steps}
    if len(times) > 1:
        raise request(f"Found mixed 'Date' and 'Days' based Transition actions in lifecycle rule for {scope}")
    if (expires and "Date" in times) or (expires_on and "Days" in times):
        raise request(f"Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle rule for {scope}")
    if expires and any(expires <= step[1] for step in steps):
        raise argument(f"'Days' in the Expiration action for {scope} must be greater than 'Days' in the Transition action")
    if expires_on and any(expires_on <= step[2] for step in steps):
        raise argument(f"'Date' in the Expiration action for {scope} must be later than 'Date' in the Transition action")
    steps = [check_step(node, "NoncurrentVersionTransition", "NoncurrentDays") for node in parts.get("NoncurrentVersionTransition", [])]
    check_steps(steps, "NoncurrentVersionTransition", "NoncurrentDays", scope)
    if "NoncurrentVersionExpiration" in parts:
        node = parts["NoncurrentVersionExpiration"][0]
        children(node, {"NoncurrentDays", "NewerNoncurrentVersions"}, ["NoncurrentDays"])
        gone = number(node, "NoncurrentDays", "'NoncurrentDays' for NoncurrentVersionExpiration action must be a positive integer", 1)
        if any(gone <= step[1] for step in steps):
            raise argument(f"'NoncurrentDays' in the NoncurrentVersionExpiration action for {scope} must be greater than "
                           "'NoncurrentDays' in the NoncurrentVersionTransition action")
    for action in ("NoncurrentVersionExpiration", "NoncurrentVersionTransition"):
        for node in parts.get(action, []):
            if number(node, "NewerNoncurrentVersions", f"'NewerNoncurrentVersions' for {action} action must be from 1 to 100", 1, 100):
                if "Filter" not in parts:
                    raise request("NewerNoncurrentVersions element can only be used in Lifecycle V2.")
    if "AbortIncompleteMultipartUpload" in parts:
        node = parts["AbortIncompleteMultipartUpload"][0]
        children(node, {"DaysAfterInitiation"}, ["DaysAfterInitiation"])
        number(node, "DaysAfterInitiation", "'DaysAfterInitiation' for AbortIncompleteMultipartUpload action must be a positive integer", 1)
        if tags:
            raise request("AbortIncompleteMultipartUpload cannot be specified with Tags.")
        if sizes:
            raise request("AbortIncompleteMultipartUpload cannot be specified with Object Size.")


def check_filter(node):
    """(has tags, has sizes, how S3 names it in errors)"""
    parts = children(node, PREDICATES | {"And"})
    if sum(map(len, parts.values())) > 1:
        raise malformed()
    if "And" in parts:
        node = parts["And"][0]
        parts = children(node, PREDICATES)
        if not parts:
            raise malformed()
    keys, said = [], []
    if "Prefix" in parts:
        said.append(f"prefix={text(node, 'Prefix')}")
    for tag in parts.get("Tag", []):
        children(tag, {"Key", "Value"}, ["Key", "Value"])
        key, value = text(tag, "Key"), text(tag, "Value")
        if not 1 <= len(key) <= 128 or len(value) > 256:
            raise Refusal("InvalidTag", "The TagKey or TagValue you have provided is invalid")
        keys.append(key)
        said.append(f"tag={{key={key}, value={value}}}")
    if len(set(keys)) != len(keys):
        raise request("Duplicate Tag Keys are not allowed.")
    above = number(node, "ObjectSizeGreaterThan", "'ObjectSizeGreaterThan' must be nonnegative")
    below = number(node, "ObjectSizeLessThan", "'ObjectSizeLessThan' must be a positive integer", 1)
    if above is not None and below is not None and below <= above:
        raise request("'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.")
    return bool(keys), above is not None or below is not None, f"filter '({' and '.join(said) or 'prefix='})'"


def check_step(node, action, days):
    """(class, days, date) of a transition"""
    dated = action == "Transition"
    parts = children(node, {days, "StorageClass"} | ({"Date"} if dated else {"NewerNoncurrentVersions"}), ["StorageClass"])
    kind = text(node, "StorageClass")
    if kind not in COLDER or {"Days", "Date"} <= set(parts):
        raise malformed()
    after, on = number(node, days, f"'{days}' in {action} action must be nonnegative"), date(node)
    if after is None and on is None:
        raise argument(f"'{action}' action must specify either 'Days' or 'Date'") if dated else malformed()
    if after is not None and after < 30 and kind in INFREQUENT:
        raise argument(f"'{days}' in {action} action must be greater than or equal to 30 for storageClass '{kind}'")
    return kind, after, on


def check_steps(steps, action, days, scope):
    if len({step[0] for step in steps}) != len(steps):
        raise request(f"'StorageClass' must be different for '{action}' actions in same 'Rule' with {scope}")
    if len({bool(step[2]) for step in steps}) > 1:
        return  # mixed, which has an error of its own
    month = datetime.timedelta(30) if steps and steps[0][2] else 30
    steps = sorted(((kind, after if after is not None else on) for kind, after, on in steps), key=lambda step: COLDER.index(step[0]))
    for i, (kind, when) in enumerate(steps):
        for warmer, before in steps[:i]:
            late = f"in the '{action}' action for StorageClass '{kind}' for {scope} must be"
            if when <= before or (warmer, kind) in BARRED:
                raise argument(f"'{days}' {late} greater than that for StorageClass '{warmer}'")
            if warmer in INFREQUENT and kind in GLACIERS and when < before + month:
                raise argument(f"'{days}' {late} 30 days more than that for StorageClass '{warmer}'")
