"""A cluster driven with Triton's client (tests/clients/triton.py), which comes from PyPI and has its own gRPC."""
import os
import subprocess
import sys

from cluster import SOURCE, Cluster, wait_until

PYTHON = sys.argv[1]


def main():
    with Cluster(ranks=1) as cluster:
        run = subprocess.run([PYTHON, "-B", os.path.join(SOURCE, "tests/clients/triton.py")],
                             env={**os.environ, "MILLRACE_ADDRESS": cluster.address})
        wait_until(lambda: not cluster.status().running + cluster.status().queued, "nothing runs for clients that left")
        status = cluster.status()
        print(f"accepted {status.accepted}, finished {status.finished}, cancelled {status.cancelled}, failed {status.failed}")
        assert status.accepted == status.finished + status.cancelled + status.failed
        assert status.cancelled, "a stream that broke has cancelled nothing"
    return run.returncode


if __name__ == "__main__":
    if not os.access(PYTHON, os.X_OK):
        print("skipped: the clients are not installed")
        sys.exit(77)
    sys.exit(main())
