"""The first command of the README in a container that gets half a processor: a real control group, of version 1 or 2.

It sees every processor of the machine, and computes with one rank of one thread. Needs root and a place for the group, else
skipped."""
import os
import subprocess
import sys
import unittest

from cluster import BIN, PATIENCE

V1, V2 = "/sys/fs/cgroup/cpu", "/sys/fs/cgroup"
NAME = f"millrace-test-{os.getpid()}"


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def make_group():
    """A group of half a processor. Fails with OSError where none can be made."""
    is_v2 = os.path.exists(f"{V2}/cgroup.controllers")
    group = f"{V2 if is_v2 else V1}/{NAME}"
    if not is_v2 and not os.path.exists(f"{V1}/cpu.shares"):
        raise OSError(f"{V1} is no control group")
    os.mkdir(group)
    try:
        if is_v2:
            write(f"{group}/cpu.max", "50000 100000")
        else:
            write(f"{group}/cpu.cfs_period_us", "100000")
            write(f"{group}/cpu.cfs_quota_us", "50000")
    except OSError:
        os.rmdir(group)
        raise
    return group


class Quota(unittest.TestCase):
    def test_the_first_command_with_half_a_processor(self):
        group = make_group()
        self.addCleanup(os.rmdir, group)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMPI_MCA_", "MILLRACE_E"))}
        done = subprocess.run(["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', group, f"{BIN}/millrace", "generate",
                               "--length", "32", "It was late, and the children"], capture_output=True, text=True, timeout=PATIENCE,
                              env=environment, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(done.stdout.startswith("It was late, and the children"), done.stdout)
        self.assertIn("(1 rank)", done.stderr)


if __name__ == "__main__":
    try:
        os.rmdir(make_group())
    except OSError as refused:
        print("skipped: no control group can be made here:", refused)
        sys.exit(77)
    unittest.main()
