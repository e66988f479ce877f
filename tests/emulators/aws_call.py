"""One call to an emulated service, as somebody else would make it.

    aws_call.py --endpoint URL SERVICE OPERATION [JSON]
"""
import argparse
import json
import sys

from aws_clients import Clients


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("service")
    parser.add_argument("operation")
    parser.add_argument("params", nargs="?", default="{}", type=json.loads)
    options = parser.parse_args()
    said = getattr(Clients(options.endpoint, "eu-west-1", "123456789012")(options.service), options.operation)(**options.params)
    said.pop("ResponseMetadata", None)
    json.dump(said, sys.stdout, default=str)


if __name__ == "__main__":
    main()
