"""Machines, batch systems, networks and pipes that are not as on a developer's desk: the commands work all the same."""
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import unittest

from cluster import BIN, DEMO, PATIENCE, wait_until


def surroundings(**more):
    """Our environment without what the tests of other things set for Open MPI."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("OMPI_MCA_", "MILLRACE_E"))}
    return {**ours, **more}


def generate(**environment):
    return subprocess.run([f"{BIN}/millrace", "generate", "--model-dir", DEMO, "--ranks", "2", "--length", "16",
                           "--steps", "1", "--seed", "3", "hi"], env=surroundings(**environment), capture_output=True,
                          text=True, timeout=PATIENCE)


class Machines(unittest.TestCase):
    """mpirun counts cores and reads what batch systems say; we tell it what is meant."""

    def check(self, **environment):
        done = generate(**environment)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(done.stdout.startswith("hi"), done.stdout)

    def test_one_core_of_two_threads(self):
        self.check(HWLOC_SYNTHETIC="pack:1 core:1 pu:2", HWLOC_THISSYSTEM="1")

    def test_the_first_command_on_one_core_of_two_threads(self):
        """As the README has it: nothing is said about ranks."""
        done = subprocess.run([f"{BIN}/millrace", "generate", "--length", "32", "It was late, and the children"], capture_output=True,
                              env=surroundings(HWLOC_SYNTHETIC="pack:1 core:1 pu:2", HWLOC_THISSYSTEM="1"), text=True,
                              timeout=PATIENCE, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(done.stdout.startswith("It was late, and the children"), done.stdout)
        self.assertIn("(1 rank)", done.stderr)

    def test_one_core_of_one_thread(self):
        self.check(HWLOC_SYNTHETIC="pack:1 core:1 pu:1", HWLOC_THISSYSTEM="1")

    def test_inside_a_job_of_slurm_with_one_task(self):
        host = socket.gethostname()
        self.check(SLURM_JOBID="1", SLURM_JOB_ID="1", SLURM_NODELIST=host, SLURM_JOB_NODELIST=host,
                   SLURM_TASKS_PER_NODE="1", SLURM_NTASKS="1", SLURM_NNODES="1")

    def test_inside_a_job_of_an_mpirun(self):
        inner = [f"{BIN}/millrace", "generate", "--no-view", "--model-dir", DEMO, "--ranks", "2", "--length", "16", "--steps",
                 "1", "hi"]
        done = subprocess.run(["mpirun", "-n", "1", *inner], env=surroundings(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1"),
                              capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(done.stdout.startswith("hi"), done.stdout)

    def test_bench_inside_a_job_of_slurm(self):
        host = socket.gethostname()
        done = subprocess.run([f"{BIN}/millrace", "bench", "--model-dir", DEMO, "--ranks", "2", "--length", "32",
                               "--steps", "1", "--repeats", "1"], capture_output=True, text=True, timeout=PATIENCE,
                              env=surroundings(SLURM_JOBID="1", SLURM_JOB_ID="1", SLURM_NODELIST=host, SLURM_NNODES="1",
                                               SLURM_TASKS_PER_NODE="1", SLURM_NTASKS="1"))
        self.assertEqual(done.returncode, 0, done.stderr)


class HangingUp:
    """A listener that accepts and closes at once: a forwarded port without anybody behind it."""

    def __enter__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()
        return self

    def serve(self):
        try:
            while True:
                self.socket.accept()[0].close()
        except OSError:
            pass

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


class Peers(unittest.TestCase):
    """A peer that hangs up is an error like any other, not the program's end."""

    def test_every_command_says_that_nobody_serves_there(self):
        # Whether the write that would raise SIGPIPE comes before the peer's reset is chance: several times.
        with HangingUp() as peer:
            for command in ["status"], ["generate", "x"], ["tokenize", "x"], ["drain", "r0"], ["status"], ["status"]:
                done = subprocess.run([f"{BIN}/millrace", *command, "--endpoint", peer.address], capture_output=True,
                                      text=True, timeout=PATIENCE, env=surroundings(), stdin=subprocess.DEVNULL)
                self.assertEqual(done.returncode, 1, f"{command}: {done.returncode} {done.stderr}")
                self.assertIn("UNAVAILABLE", done.stderr)

    def test_a_replicas_leader_tries_again(self):
        with HangingUp() as peer:
            log = self.enterContext(tempfile.TemporaryFile("w+"))
            leader = subprocess.Popen([f"{BIN}/millrace-worker", "--model", DEMO, "--coordinator", peer.address],
                                      stderr=log, env=surroundings())
            try:
                def attempts():
                    text = os.pread(log.fileno(), 1 << 20, 0).decode()
                    return len(re.findall("UNAVAILABLE|again|hang|closed|connect", text)) >= 2 or leader.poll() is not None
                wait_until(attempts, "two attempts")
                self.assertIsNone(leader.poll(), os.pread(log.fileno(), 1 << 20, 0).decode())
            finally:
                leader.kill()
                leader.wait()


class Pipes(unittest.TestCase):
    def test_a_reader_that_has_enough_ends_the_command_quietly(self):
        reading, writing = os.pipe()
        with tempfile.NamedTemporaryFile("w") as text:
            text.write("word " * 100000)
            text.flush()
            tokenizing = subprocess.Popen([f"{BIN}/millrace", "tokenize", "--model-dir", DEMO, "--file", text.name],
                                          stdout=writing, stderr=subprocess.PIPE, text=True, env=surroundings())
            os.close(writing)
            os.read(reading, 100)
            os.close(reading)
            errors = tokenizing.communicate(timeout=PATIENCE)[1]
        self.assertEqual((tokenizing.returncode, errors), (-signal.SIGPIPE, ""))

    def test_closed_standard_files(self):
        done = subprocess.run(["sh", "-c", f"exec {BIN}/millrace generate --model-dir {DEMO} -l 16 -s 1 hi <&- 2>&-"],
                              stdout=subprocess.PIPE, text=True, timeout=PATIENCE, env=surroundings())
        self.assertEqual(done.returncode, 0)
        self.assertTrue(done.stdout.startswith("hi"), done.stdout)


if __name__ == "__main__":
    unittest.main()
