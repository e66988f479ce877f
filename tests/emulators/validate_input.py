"""Judges a request by AWS's own service model, as `aws SERVICE OPERATION --cli-input-json` does. usage: validate_input.py [--endpoint URL] SERVICE OPERATION FILE

Besides the model's rules those that only its texts say: names of restore-testing plans and selections.
"""
import argparse
import json
import re
import sys

import botocore.session
from botocore.validate import ParamValidator

parser = argparse.ArgumentParser()
parser.add_argument("--endpoint")
parser.add_argument("service")
parser.add_argument("operation")
parser.add_argument("file")
options = parser.parse_args()
with open(options.file, encoding="utf-8") as file:
    params = json.load(file)
shape = botocore.session.get_session().get_service_model(options.service).operation_model(options.operation).input_shape
found = ParamValidator().validate(params, shape)
troubles = [found.generate_report()] if found.has_errors() else []


def names(value):
    for key, inner in value.items() if isinstance(value, dict) else []:
        if key in ("RestoreTestingPlanName", "RestoreTestingSelectionName"):
            yield inner
        yield from names(inner)


troubles += [f"name {name}" for name in names(params) if not re.fullmatch(r"[A-Za-z0-9_]{1,50}", name)]
sys.exit("\n".join(troubles) or 0)
