"""The page of a cluster in a browser (tests/clients/page.py), without and with a token."""
import os
import re
import subprocess
import sys
import tempfile

from cluster import BIN, SOURCE, Cluster, wait_until

PYTHON = sys.argv[1]
HERE = os.path.join(SOURCE, "tests/clients")


def run(name, *cases, options=(), token=""):
    with Cluster("--http", "127.0.0.1:0", *options, ranks=1) as cluster:
        address = wait_until(lambda: re.search(r"http://([\d.]+:\d+)", cluster.text_of_log()), "the log says where the page is").group(1)
        done = subprocess.run([PYTHON, "-B", os.path.join(HERE, "page.py"), *cases],
                              env={**os.environ, "MILLRACE_URL": f"http://{address}/", "MILLRACE_TOKEN": token})
        print(f"{name}: {'ok' if not done.returncode else 'failed'}", flush=True)
    return done.returncode


def main():
    failed = run("open to everybody")
    with tempfile.TemporaryDirectory() as directory:
        tokens = os.path.join(directory, "tokens.json")
        token = subprocess.run([f"{BIN}/millrace", "token", "anna", "--tokens", tokens], capture_output=True, text=True,
                               check=True).stdout.strip()
        failed += run("with a token", "Page.test_a_token_can_be_read_about_by_keyboard", "Page.test_the_cluster_is_seen",
                      options=("--tokens", tokens), token=token)
    return failed


if __name__ == "__main__":
    if not os.access(PYTHON, os.X_OK):
        print("skipped: the clients are not installed")
        sys.exit(77)
    if subprocess.run([PYTHON, "-c", "import sys; sys.path.insert(0, sys.argv[1]); import browser; sys.exit(not browser.program())", HERE]).returncode:
        print("skipped: no chromium")
        sys.exit(77)
    sys.exit(main())
