"""Which GPUs the replicas of a machine get. The GPUs are the emulator's; mpirun is a script that writes down how it was called.
usage: gpu_placement.py"""
import os
import re
import signal
import subprocess
import tempfile
import time
import unittest

BIN = os.environ["MILLRACE_BIN"]
SOURCE = os.environ["MILLRACE_SOURCE"]
EMULATED = os.path.join(BIN, "../lib/libmillrace_cuda_emulated.so")
MODEL = os.path.join(SOURCE, "models/books-mini")
PATIENCE_SECONDS = 60


class Machine:
    """A host with emulated GPUs. Only what a test sets is in its environment."""

    def __init__(self, n_gpus, **environment):
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(("MILLRACE_GPU", "CUDA_"))}
        self.environment.update(MILLRACE_CUDA_MODULE=EMULATED, MILLRACE_EMULATED_DEVICES=str(n_gpus), **environment)

    def replicas(self, n_expected, *options):
        """[(first GPU, ranks, share of its memory)] of each replica that the coordinator starts, in order."""
        with tempfile.TemporaryDirectory() as directory:
            calls = os.path.join(directory, "calls")
            mpirun = os.path.join(directory, "mpirun")
            with open(mpirun, "w") as script:
                script.write(f'#!/bin/sh\necho "$*" >>{calls}\nexec sleep 60\n')
            os.chmod(mpirun, 0o755)
            coordinator = subprocess.Popen(
                [f"{BIN}/millrace-coordinator", "--model", MODEL, "--listen", "127.0.0.1:0", *options],
                env={**self.environment, "MILLRACE_MPIRUN": mpirun}, stderr=subprocess.PIPE, text=True)
            try:
                lines = self.read(calls, n_expected, coordinator)
            finally:
                coordinator.send_signal(signal.SIGTERM)
                self.log = coordinator.communicate(timeout=PATIENCE_SECONDS)[1]
        lines.sort(key=lambda line: int(re.search(r"--replica r(\d+)", line)[1]))
        return [self.parse(line) for line in lines]

    @staticmethod
    def read(path, n_expected, coordinator):
        end = time.monotonic() + PATIENCE_SECONDS
        lines = []
        while len(lines) < n_expected and time.monotonic() < end and coordinator.poll() is None:
            if os.path.exists(path):
                with open(path) as calls:
                    lines = calls.read().splitlines()
            time.sleep(0.05)
        return lines

    @staticmethod
    def parse(line):
        share = re.search(r"--gpu-memory (\S+)", line)
        return (int(re.search(r"--gpu-first (\d+)", line)[1]), int(re.search(r"-n (\d+)", line)[1]), share and share[1])

    def worker(self, *options):
        return subprocess.run([f"{BIN}/millrace-worker", "--backend", "cuda", *options], env=self.environment, text=True,
                              capture_output=True, timeout=PATIENCE_SECONDS, check=False)


class Placement(unittest.TestCase):
    def test_a_machine_of_eight_uses_eight(self):
        machine = Machine(8)
        self.assertEqual(machine.replicas(8), [(i, 1, None) for i in range(8)])
        self.assertIn("8 GPUs: 8 replicas of 1 ranks", machine.log)

    def test_replicas_of_two_ranks_have_two_each(self):
        self.assertEqual(Machine(8).replicas(4, "--ranks", "2"), [(i, 2, None) for i in (0, 2, 4, 6)])

    def test_the_visible_ones_are_used(self):
        self.assertEqual(Machine(8, CUDA_VISIBLE_DEVICES="5,2").replicas(2), [(0, 1, None), (1, 1, None)])

    def test_a_gpu_is_shared_when_that_is_asked_for(self):
        self.assertEqual(Machine(2).replicas(4, "--replicas-per-gpu", "2"),
                         [(0, 1, "0.4600"), (0, 1, "0.4600"), (1, 1, "0.4600"), (1, 1, "0.4600")])

    def test_a_cpu_has_one_replica(self):
        self.assertEqual(len(Machine(8).replicas(1, "--backend", "cpu")), 1)

    def test_the_worker_says_what_it_sees(self):
        self.assertEqual(Machine(8).worker("--devices").stdout, "cuda 8\n")
        self.assertEqual(Machine(8, CUDA_VISIBLE_DEVICES="3").worker("--devices").stdout, "cuda 1\n")
        self.assertEqual(Machine(8, CUDA_VISIBLE_DEVICES="").worker("--devices").returncode, 1)

    def test_the_log_says_which(self):
        done = Machine(8, CUDA_VISIBLE_DEVICES="0,6,7").worker("--model", MODEL, "--bench", "--length", "8", "--steps", "1",
                                                               "--repeats", "1", "--precision", "f32", "--gpu-first", "1")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("GPU 1 of 3 at fffe:06:00.0", done.stderr)

    def test_a_gpu_that_is_not_there_is_refused(self):
        done = Machine(8).worker("--model", MODEL, "--bench", "--gpu-first", "8")
        self.assertEqual(done.returncode, 1)
        self.assertIn("GPU 8 is not there: this process sees 8. Start fewer replicas or ranks, or let replicas share a GPU "
                      "(--replicas-per-gpu)", done.stderr)


if __name__ == "__main__":
    unittest.main()
