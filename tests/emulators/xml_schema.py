"""Validates an XML file: xml_schema.py SCHEMA.xsd FILE. Prints what is wrong; exits with 1 then."""

import sys

import xmlschema


def main() -> int:
    schema = xmlschema.XMLSchema(sys.argv[1])
    wrong = 0
    for error in schema.iter_errors(sys.argv[2]):
        print(f"{error.path}: {error.reason}")
        wrong += 1
        if wrong == 10:
            break
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
