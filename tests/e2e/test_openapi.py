"""docs/openapi.yaml, which a validator reads, and by which Schemathesis asks a cluster (tests/clients/openapi.py).

usage: test_openapi.py PYTHON [EXAMPLES]    the interpreter of the clients' environment; examples of each kind and operation
"""
import os
import subprocess
import sys

from cluster import SOURCE
from http_door import Door

PYTHON, EXAMPLES = sys.argv[1], (sys.argv[2:] or ["20"])[0]


def main():
    with Door() as door:
        run = subprocess.run([PYTHON, "-B", os.path.join(SOURCE, "tests/clients/openapi.py"), os.path.join(SOURCE, "docs/openapi.yaml"), EXAMPLES],
                             env={**os.environ, "MILLRACE_URL": door.url})
        finished = door.cluster.status().finished
        print(f"{finished} texts were written")
        assert finished >= 5, "nothing that the description allows was accepted"
    return run.returncode


if __name__ == "__main__":
    if not os.access(PYTHON, os.X_OK):
        print("skipped: the clients are not installed")
        sys.exit(77)
    sys.exit(main())
