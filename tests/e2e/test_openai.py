"""A cluster driven with OpenAI's client (tests/clients/openai_client.py), which comes from PyPI.

usage: test_openai.py PYTHON    the interpreter of the clients' environment
"""
import os
import subprocess
import sys

from cluster import SOURCE, wait_until
from http_door import Door

PYTHON = sys.argv[1]


def main():
    with Door() as door:
        run = subprocess.run([PYTHON, "-B", os.path.join(SOURCE, "tests/clients/openai_client.py")],
                             env={**os.environ, "MILLRACE_URL": door.url})
        wait_until(lambda: not door.cluster.status().running + door.cluster.status().queued, "nothing runs for clients that left")
        status = door.cluster.status()
        print(f"accepted {status.accepted}, finished {status.finished}, cancelled {status.cancelled}, failed {status.failed}")
        assert status.accepted == status.finished + status.cancelled + status.failed
        assert status.cancelled, "a stream that was closed has cancelled nothing"
    return run.returncode


if __name__ == "__main__":
    if not os.access(PYTHON, os.X_OK):
        print("skipped: the clients are not installed")
        sys.exit(77)
    sys.exit(main())
