"""A device that fails: at start, at a step, on a rank above 0, under one request of many (failing.c)."""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../e2e"))

import grpc

from cluster import BIN, DEMO, Attached, Cluster, api, check_stream, expect_failure, note, wait_until

RANKS = int(os.environ["MILLRACE_TEST_RANKS"])
REQUEST = dict(length=256, steps=24, seed=21)
FAILED = "the test's device failed"


class Failing(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)
        self.order_path = f"{self.directory}/order"
        os.environ["MILLRACE_TEST_FAILURE"] = self.order_path
        self.n_sockets = 0

    def order(self, rank, where, number=0, times="always"):
        with open(f"{self.order_path}.new", "w") as order:
            order.write(f"{rank} {where} {number} {times}\n")
        os.rename(f"{self.order_path}.new", self.order_path)

    def healthy(self):
        os.remove(self.order_path)

    def serving(self, *options, ranks=RANKS):
        """A coordinator whose replica need not become ready."""
        self.n_sockets += 1  # another one each time: grpcio keeps its connections
        path = f"{self.directory}/socket{self.n_sockets}"
        self.address = f"unix:{path}"
        cluster = Cluster(*options, ranks=ranks, ready=False, listen=self.address)
        self.addCleanup(cluster.stop)
        wait_until(lambda: os.path.exists(path) or cluster.process.poll() is not None, "it listens")
        cluster.connect(self.address)
        return cluster

    def expected(self, **request):
        """What is written where nothing fails."""
        key = tuple(sorted(request.items()))
        if key not in texts:
            self.assertFalse(os.path.exists(self.order_path))
            with Cluster(ranks=1) as cluster:
                texts[key] = list(cluster.text(**request).ids)
        return texts[key]

    def replica(self, cluster):
        replicas = cluster.status().replicas
        return replicas[0] if replicas else None

    def check_log(self, cluster, rank, words):
        """The rank says by itself what failed there."""
        def said():
            return any(f" error   r0.{rank}: " in line and words in line for line in cluster.text_of_log().splitlines())

        wait_until(said, f"rank {rank} logs \"{words}\"", 10)


texts = {}


class Starting(Failing):
    """Each part of a start, on the first rank and on the last: the client that waits reads the engine's sentence."""

    def check(self, where, words, number=0):
        for rank in sorted({0, RANKS - 1}):
            with self.subTest(rank=rank):
                self.order(rank, where, number)
                cluster = self.serving()
                named = (words,) if RANKS == 1 else (words, f"rank {rank} of {RANKS}")
                expect_failure(lambda: cluster.text(length=8, steps=1), grpc.StatusCode.UNAVAILABLE, *named)
                known = self.replica(cluster)
                self.assertEqual(known.state, "failed")
                self.assertIn(words, known.last_error)
                self.check_log(cluster, rank, words)
                self.healthy()
                wait_until(lambda: self.replica(cluster).state == "ready", "a later start is a good one")
                cluster.text(length=8, steps=1, seed=1)
                self.assertEqual(cluster.stop(), 0)
        note(f"a replica cannot start: {words}", "while it starts", "UNAVAILABLE with the reason", "at once", "-")

    def test_no_backend(self):
        self.check("backend", "the test's backend does not run here")

    def test_no_device(self):
        self.check("open", "the test's device does not open")

    def test_little_memory(self):
        self.check("memory", "no batch with the longest text fits")

    def test_no_memory_for_a_weight(self):
        self.check("weight", "has no memory for a weight")

    def test_no_engine(self):
        self.check("engine", "has no memory for an engine")

    def test_the_warm_up_fails(self):
        self.check("pass", FAILED, 1)

    def test_the_warm_up_fails_before_the_ranks_exchange(self):
        """A rank whose device has failed adds nothing to the others' sums."""
        self.check("token", FAILED, 0)  # the warm-up's text is nothing but token 0


class Running(Failing):
    def check_one_loss(self, rank):
        """The fifth step fails, once: a gap, then the same bytes; and the loss is counted, with its reason."""
        expected = self.expected(**REQUEST)
        self.order(rank, "pass", 6, "once")
        with Cluster("--metrics", "127.0.0.1:0", ranks=RANKS) as cluster:
            events, gap = self.with_gap(cluster.generate(api.GenerateRequest(**REQUEST)))
            self.assertEqual(list(check_stream(events).ids), expected)
            self.assertFalse(os.path.exists(self.order_path), "the order was obeyed")
            self.check_log(cluster, rank, FAILED)
            known = self.replica(cluster)
            self.assertEqual((known.state, known.restarts), ("ready", 1))
            self.assertIn(FAILED, known.last_error)
            self.assertIn(f"replica r0 failed: {f'rank {rank} of {RANKS}: ' if RANKS > 1 else ''}{FAILED}",
                          cluster.text_of_log())
            status = cluster.status()
            self.assertEqual((status.accepted, status.finished, status.failed), (1, 1, 0))
            self.assertEqual(self.counter(cluster, "millrace_failovers_total"), 1)
        note(f"a step fails on the device of {'the leader' if rank == 0 else 'another rank'}", "mid-step",
             f"a gap of {gap:.1f} s, then the same bytes", "at once", "-")

    def with_gap(self, call):
        """All events of a call, and the longest time between two of them."""
        events, gap, last = [], 0, None
        for event in call:
            now = time.monotonic()
            gap, last = max(gap, now - last) if last else 0, now
            events.append(event)
        return events, gap

    def counter(self, cluster, name):
        address = re.search(r"metrics at (http://[^/]+/metrics)", cluster.text_of_log())[1]
        with urllib.request.urlopen(address, timeout=20) as page:
            return float(re.search(rf"^{name} (\S+)$", page.read().decode(), re.M)[1])

    def test_a_step_fails_on_the_leader(self):
        self.check_one_loss(0)

    @unittest.skipIf(RANKS == 1, "there is one rank")
    def test_a_step_fails_on_another_rank(self):
        self.check_one_loss(RANKS - 1)

    def test_one_request_of_many(self):
        """It makes every replica fail that runs it. It ends, with the reason; the others are finished, with the same bytes."""
        others = [dict(length=64, steps=6, seed=seed) for seed in range(4)]
        expected = [self.expected(**request) for request in others]
        with Cluster("--max-sequences", "8", ranks=RANKS) as cluster:
            token = cluster.unary("Tokenize", api.TokenizeRequest(text=" the the the the the the the the"),
                                  api.TokenizeResponse).ids[-1]
            self.order(RANKS - 1, "token", token)
            at = time.monotonic()
            poison = cluster.generate(api.GenerateRequest(prompt=" the the the the the the the the", length=32, steps=8, seed=9))
            calls = [cluster.generate(api.GenerateRequest(**request)) for request in others]
            outcomes = [None] * len(calls)

            def read(i):
                outcomes[i] = list(check_stream(list(calls[i])).ids)

            readers = [threading.Thread(target=read, args=(i,)) for i in range(len(calls))]
            for reader in readers:
                reader.start()
            expect_failure(lambda: list(poison), grpc.StatusCode.INTERNAL, "6 replicas", f"{FAILED}: token {token}")
            ended = time.monotonic() - at
            for reader in readers:
                reader.join()
            self.assertEqual(outcomes, expected)
            self.check_log(cluster, RANKS - 1, FAILED)
            status = cluster.status()
            self.assertEqual((status.accepted, status.finished, status.failed), (5, 4, 1))
            self.assertEqual(list(cluster.text(**others[0]).ids), expected[0])
        note("every step of one request of five fails, on the last rank", "mid-step",
             f"INTERNAL with the device's reason after {ended:.0f} s; the other four a gap, then the same bytes", "at once", "-")

    def test_a_replica_that_somebody_else_started(self):
        """It failed, and is not forgotten as if it had left."""
        expected = self.expected(**REQUEST)
        cluster = self.serving("--spawn", "0")
        self.order(0, "pass", 6, "once")
        first = Attached(self.address, "outside", ranks=RANKS)
        self.addCleanup(first.end)
        events = cluster.generate(api.GenerateRequest(**REQUEST))
        self.assertNotEqual(first.process.wait(60), 0)
        known = self.replica(cluster)
        self.assertEqual((known.name, known.state), ("outside", "starting"))
        self.assertIn(FAILED, known.last_error)
        second = Attached(self.address, "outside", ranks=RANKS)
        self.addCleanup(second.end)
        self.assertEqual(list(check_stream(list(events)).ids), expected)


class Signals(Failing):
    """Whoever asks a worker to end need not wait for it to have loaded, measured or checked."""

    def test_while_it_loads(self):
        cluster = self.serving("--spawn", "0")
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            self.order(RANKS - 1, "load")
            replica = Attached(self.address, "outside", ranks=RANKS)
            self.addCleanup(replica.end)
            wait_until(lambda: self.replica(cluster) is not None, "it has attached")
            os.kill(replica.workers()[0], number)
            replica.process.wait(20)
            wait_until(lambda: self.replica(cluster) is None, "it said goodbye, and is forgotten")

    def check(self, *mode):
        for number in (signal.SIGTERM, signal.SIGINT):
            worker = subprocess.Popen([f"{BIN}/millrace-worker", *mode], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            self.addCleanup(worker.stdout.close)
            wait_until(lambda: self.has_threads(worker.pid), "it has begun")
            worker.send_signal(number)
            self.assertEqual(worker.wait(10), -number)

    def has_threads(self, pid):
        """More than one: MPI is there, so main has set its mask."""
        return len(os.listdir(f"/proc/{pid}/task")) > 1

    def test_while_it_measures(self):
        self.check("--model", DEMO, "--threads", "2", "--bench", "--length", "1024", "--steps", "1000", "--repeats", "100")

    def test_while_it_bounds(self):
        ids = f"{self.directory}/ids"
        with open(ids, "wb") as file:
            file.write(b"\1\0\0\0" * 4096)
        self.check("--model", DEMO, "--threads", "2", "--elbo", ids, "--length", "1024", "--samples", "100000")

    def test_while_it_verifies(self):
        golden = os.path.join(os.environ["MILLRACE_SHARED"], "golden/public")
        if not os.path.isdir(golden):
            self.skipTest("the golden vectors are not there")
        self.order(0, "load")  # the checks are over in a moment
        self.check("--verify", golden)


if __name__ == "__main__":
    unittest.main()
