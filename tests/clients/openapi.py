"""docs/openapi.yaml against a cluster: is it a valid description, and does the cluster do what it says? Environment: MILLRACE_URL.

openapi-spec-validator reads it. Schemathesis makes requests from it: ones that it allows, of texts short enough for a test, which must be
answered as it says; and ones that it does not allow, which must be refused. usage: openapi.py FILE EXAMPLES
"""
import copy
import os
import subprocess
import sys
import tempfile

import yaml
from openapi_spec_validator import validate

FILE, EXAMPLES = sys.argv[1], sys.argv[2]
URL = os.environ["MILLRACE_URL"]
TOOL = os.path.join(os.path.dirname(sys.executable), "schemathesis")


def short(api):
    """The same, but only what a small model writes in a moment, and fields that need others with them left out."""
    api = copy.deepcopy(api)
    schemas = api["components"]["schemas"]
    schemas["TokenIds"]["maxItems"] = 8
    schemas["TokenIds"]["items"]["maximum"] = 2000
    fields, extensions = schemas["CompletionRequest"]["properties"], schemas["Extensions"]["properties"]
    schemas["CompletionRequest"]["required"] = ["prompt", "max_tokens"]
    fields["model"] = {"type": "null"}
    text, texts, _, lists = fields["prompt"]["anyOf"]
    text["maxLength"] = texts["items"]["maxLength"] = 30
    texts["maxItems"] = lists["maxItems"] = 3
    fields["suffix"]["maxLength"] = 30
    fields["max_tokens"] = {"type": "integer", "minimum": 1, "maximum": 24}
    fields["n"]["maximum"] = 3
    for name in ("best_of", "stream_options"):
        del fields[name]
    for each in fields["stop"]["anyOf"]:
        each.get("items", each).pop("maxLength", None)
        each.get("items", each).update({"maxLength": 20} if each["type"] != "null" else {})
    fields["user"]["maxLength"] = 60
    extensions["steps"]["anyOf"] = [{"type": "integer", "minimum": 1, "maximum": 12}, {"const": "auto"}]
    extensions["deadline"]["minimum"] = 60
    extensions["solver"]["enum"] = ["cumulative", "euler", "dfm", "stratified", None]  # which this model can use
    for name in ("segments", "frames"):
        del extensions[name]
    return api


def run(api, mode, *checks):
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "openapi.yaml")
        with open(path, "w") as file:
            yaml.safe_dump(api, file)
        return subprocess.run([TOOL, "run", path, "--url", URL, "--mode", mode, "--max-examples", EXAMPLES, "--seed", "1", "--no-color",
                               "--workers", "2", "--suppress-health-check", "all", "--phases", "examples,coverage,fuzzing",
                               "--request-timeout", "120", *checks], cwd=directory).returncode


def main():
    with open(FILE) as file:
        api = yaml.safe_load(file)
    validate(api)
    print("a valid OpenAPI", api["openapi"])
    allowed = run(short(api), "positive", "--exclude-checks", "unsupported_method")
    refused = run(api, "negative", "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,"
                  "response_schema_conformance,negative_data_rejection,unsupported_method,allow_header_conformance")
    return allowed or refused


if __name__ == "__main__":
    sys.exit(main())
