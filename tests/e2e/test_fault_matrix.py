"""Every fault at every moment: what the client sees, and how soon it is noticed. With a path in MILLRACE_FAULT_TABLE the
rows of docs/faults.md are added to that file."""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

import grpc

from cluster import BIN, DEMO, Attached, Cluster, Watch, alive, api, check_stream, note, parent_of, wait_until

REQUEST = dict(length=512, steps=40, seed=21)
TIMEOUT = float(os.environ.get("MILLRACE_FAULT_TIMEOUT", 2))  # --replica-timeout; the rule scales with it
PULSE, LOOK = 1, 1  # seconds between two pulses, and between two looks of the coordinator at them
SLACK = 4  # of a loaded machine


def seconds(value):
    return "-" if value is None else f"{value:.1f} s"


class Replicas(unittest.TestCase):
    """Two replicas of two ranks."""

    options = ("--spawn", "2", "--replica-timeout", str(TIMEOUT))

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(*cls.options, ranks=2)
        cls.expected = list(cls.cluster.text(**REQUEST).ids)

    @classmethod
    def tearDownClass(cls):
        code = cls.cluster.stop()
        assert code == 0, cls.cluster.text_of_log()

    def setUp(self):
        self.wait_until_ready()

    def wait_until_ready(self):
        wait_until(lambda: [r.state for r in self.cluster.status().replicas] == ["ready", "ready"], "both are ready")

    def victim(self, what, replica):
        workers = wait_until(lambda: self.cluster.workers_of(replica), "its ranks run")
        return {"rank": workers[-1], "leader": workers[0], "mpirun": parent_of(workers[0])}[what]

    def restarts(self, replica):
        return next(r.restarts for r in self.cluster.status().replicas if r.name == replica)

    def in_the_middle(self, strike):
        """One request, struck at step 5; its events, who ran it then, the moment, and the longest wait for an event."""
        events, replica, at, last, gap = [], None, None, None, 0
        for event in self.cluster.generate(api.GenerateRequest(**REQUEST)):
            now = time.monotonic()
            gap = max(gap, now - last) if at else 0
            last = now
            events.append(event)
            if event.WhichOneof("kind") == "frame" and event.frame.step == 5:
                replica = next(r.name for r in self.cluster.status().replicas if r.sequences)
                at = last = time.monotonic()
                strike(replica)
        self.assertEqual(list(check_stream(events).ids), self.expected)
        return events, replica, at, gap

    def check_noticed(self, fault, when, replica, at, before, bound, watch, gap=None):
        wait_until(lambda: watch.first(replica, at, True, before + 1) is not None, "the replica is ready again")
        noticed, back = watch.first(replica, at, False), watch.first(replica, at, True, before + 1)
        if noticed is None:
            noticed = back  # it was so short that nobody looked
        self.assertLess(noticed, bound + SLACK)
        seen = "nothing" if gap is None else f"a gap of {gap:.1f} s, then the same bytes"
        note(fault, when, seen, seconds(noticed), seconds(back))

    def check(self, fault, what, signal_number, bound):
        """Idle, and in the middle of a request: noticed within the bound, the same bytes, and the replica comes back."""
        with Watch(self.cluster) as watch:
            before, at = self.restarts("r0"), time.monotonic()
            os.kill(self.victim(what, "r0"), signal_number)
            self.check_noticed(fault, "idle", "r0", at, before, bound, watch)
        self.wait_until_ready()
        counts = {name: self.restarts(name) for name in ("r0", "r1")}
        with Watch(self.cluster) as watch:
            events, replica, at, gap = self.in_the_middle(
                lambda name: os.kill(self.victim(what, name), signal_number))
            self.assertNotEqual(events[-1].finished.replica, replica)  # the other one went on
            self.check_noticed(fault, "mid-step", replica, at, counts[replica], bound, watch, gap)

    def test_kill_a_rank(self):
        self.check("`kill -9` of a rank", "rank", signal.SIGKILL, 0)

    def test_kill_the_leader(self):
        self.check("`kill -9` of the leader", "leader", signal.SIGKILL, 0)

    def test_kill_mpirun(self):
        self.check("`kill -9` of mpirun", "mpirun", signal.SIGKILL, 0)

    def test_stop_a_rank(self):
        self.check("SIGSTOP of a rank", "rank", signal.SIGSTOP, TIMEOUT + 2 * PULSE + LOOK)

    def test_stop_the_leader(self):
        self.check("SIGSTOP of the leader", "leader", signal.SIGSTOP, TIMEOUT + PULSE + LOOK)

    def test_stop_mpirun(self):
        """Its ranks need it for nothing but their start and their end."""
        stopped = []

        def stop(replica):
            stopped.append(self.victim("mpirun", replica))
            os.kill(stopped[-1], signal.SIGSTOP)

        before = self.restarts("r0"), self.restarts("r1")
        events, replica, at, gap = self.in_the_middle(stop)
        self.assertEqual(events[-1].finished.replica, replica)
        note("SIGSTOP of mpirun", "idle, mid-step", "nothing", "-", "-")
        # with the rank that it should have looked after it is another matter
        with Watch(self.cluster) as watch:
            at = time.monotonic()
            os.kill(self.victim("rank", replica), signal.SIGKILL)
            self.check_noticed("SIGSTOP of mpirun, then `kill -9` of a rank", "idle", replica, at,
                               before[int(replica[1])], TIMEOUT + 2 * PULSE + LOOK, watch)
        self.assertFalse(alive(stopped[0]))

    def test_stop_the_coordinator(self):
        """For longer than it would grant a replica: its clients wait, no replica is blamed."""
        before = self.restarts("r0"), self.restarts("r1")
        absence = TIMEOUT + 2 * PULSE + LOOK + 1

        def stop(_):
            os.kill(self.cluster.process.pid, signal.SIGSTOP)
            threading.Timer(absence, os.kill, (self.cluster.process.pid, signal.SIGCONT)).start()

        _, _, _, gap = self.in_the_middle(stop)
        self.assertGreater(gap, absence - 0.5)
        self.wait_until_ready()
        time_enough = time.monotonic() + TIMEOUT + 2 * PULSE + LOOK
        wait_until(lambda: time.monotonic() > time_enough, "whoever would be blamed, is")
        self.assertEqual((self.restarts("r0"), self.restarts("r1")), before)
        note(f"SIGSTOP of the coordinator for {absence:.0f} s", "mid-step",
             f"a gap of {gap:.1f} s, then the same bytes; no replica is blamed", "-", "-")


class Starting(Replicas):
    """The same while a replica starts; a request runs on the other one all the time."""

    options = ("--spawn", "2", "--replica-timeout", "1")
    bound = 10 + PULSE + LOOK  # to attach; what hangs after that has SCHEDULER_PATIENCE * 1

    def strike_at_start(self, fault, what, signal_number, bound):
        old = self.cluster.workers_of("r0")
        before = self.restarts("r0")
        with Watch(self.cluster) as watch:
            os.kill(old[0], signal.SIGKILL)
            wait_until(lambda: len([w for w in self.cluster.workers_of("r0") if w not in old]) == 2, "it starts again")
            at = time.monotonic()
            os.kill(self.victim(what, "r0"), signal_number)
            self.assertEqual(list(self.cluster.text(**REQUEST).ids), self.expected)
            wait_until(lambda: watch.first("r0", at, True, before + 1) is not None, "the replica is ready in the end")
            back = watch.first("r0", at, True, before + 1)
        self.assertLess(back, bound + SLACK)
        note(fault, "while it starts", "nothing", "-", seconds(back))

    def check(self, fault, what, signal_number, bound):
        self.strike_at_start(fault, what, signal_number, self.bound)  # mpirun may lose a rank that dies this early

    def test_stop_mpirun(self):
        self.strike_at_start("SIGSTOP of mpirun", "mpirun", signal.SIGSTOP, self.bound)

    def test_stop_the_coordinator(self):
        self.skipTest("nothing that starts asks it for anything")


class Coming(unittest.TestCase):
    """Replicas that somebody else starts and ends."""

    @classmethod
    def setUpClass(cls):
        with Cluster(ranks=2) as cluster:
            cls.expected = list(cluster.text(**REQUEST).ids)

    def setUp(self):
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory)
        self.address = f"unix:{directory}/socket"
        self.cluster = Cluster("--spawn", "0", "--replica-timeout", str(TIMEOUT), ready=False, listen=self.address)
        self.addCleanup(self.cluster.stop)
        wait_until(lambda: os.path.exists(f"{directory}/socket"), "it listens")
        self.cluster.connect(self.address)

    def attach(self, name, ready=True):
        replica = Attached(self.address, name, ranks=2)
        self.addCleanup(replica.end)
        if ready:
            wait_until(lambda: self.states().get(name) == "ready", f"{name} is ready")
        return replica

    def states(self):
        return {replica.name: replica.state for replica in self.cluster.status().replicas}

    def in_the_middle(self, strike):
        events, last, gap = [], None, 0
        for event in self.cluster.generate(api.GenerateRequest(**REQUEST)):
            now = time.monotonic()
            gap, last = max(gap, now - last) if last else 0, now if last else None
            events.append(event)
            if event.WhichOneof("kind") == "frame" and event.frame.step == 5:
                strike()
                last = time.monotonic()
        finished = check_stream(events)
        self.assertEqual(list(finished.ids), self.expected)
        return finished, gap

    def test_a_replica_leaves_and_another_joins(self):
        """Told to stop, it stops at the next step boundary; whoever comes then goes on."""
        first = self.attach("first")

        def strike():
            os.kill(first.workers()[0], signal.SIGTERM)
            self.attach("second", ready=False)

        finished, gap = self.in_the_middle(strike)
        self.assertEqual(finished.replica, "second")
        self.assertEqual(list(self.states()), ["second"])  # who said goodbye is forgotten
        self.assertEqual(first.process.wait(), 0)
        note("a replica leaves, another joins", "mid-step", f"a gap of {gap:.1f} s, then the same bytes", "at once", "-")

    def test_a_replica_drains(self):
        """SIGUSR1 to mpirun: it finishes what it has, and no more."""
        first = self.attach("first")
        finished, gap = self.in_the_middle(lambda: os.kill(first.process.pid, signal.SIGUSR1))
        self.assertEqual(finished.replica, "first")
        self.assertEqual(first.process.wait(), 0)
        wait_until(lambda: not self.states(), "it is forgotten")
        note("a replica drains (SIGUSR1)", "mid-step", "nothing", "at once", "-")

    def test_a_replica_that_hangs_ends_itself(self):
        """Nobody here started it, so nobody here can: its own launcher has to see that it ended."""
        replica = self.attach("first")
        with Watch(self.cluster) as watch:
            at = time.monotonic()
            os.kill(replica.workers()[1], signal.SIGSTOP)
            wait_until(lambda: watch.first("first", at, False) is not None, "it is noticed")
            self.assertNotEqual(replica.process.wait(60), 0)
            ended = time.monotonic() - at
            noticed = watch.first("first", at, False)
        self.assertLess(noticed, TIMEOUT + 2 * PULSE + LOOK + SLACK)
        self.assertLess(ended, TIMEOUT + 2 * PULSE + LOOK + 10 + 2 + SLACK)  # HUNG_SECONDS of worker/serve.c
        note("SIGSTOP of a rank of a replica that we did not start", "idle", "nothing", seconds(noticed),
             f"ends itself after {ended:.1f} s, for its launcher to start it again")

    def test_all_replicas_are_lost(self):
        """The request waits for whoever comes."""
        replicas = [self.attach("first"), self.attach("second")]

        def strike():
            for replica in replicas:
                for pid in replica.workers():
                    os.kill(pid, signal.SIGKILL)
            wait_until(lambda: set(self.states().values()) == {"starting"}, "both are gone")
            self.attach("third", ready=False)

        finished, gap = self.in_the_middle(strike)
        self.assertEqual(finished.replica, "third")
        note("all replicas lost, another joins", "mid-step", f"a gap of {gap:.1f} s, then the same bytes", "at once", "-")

    def test_all_replicas_are_lost_and_the_deadline_passes(self):
        first = self.attach("first")
        steps = []
        with self.assertRaises(grpc.RpcError) as failure:
            for event in self.cluster.generate(api.GenerateRequest(length=1024, steps=1000, seed=1), timeout=4):
                if event.WhichOneof("kind") == "frame":
                    steps.append(event.frame.step)
                    if event.frame.step == 5:
                        os.kill(first.workers()[1], signal.SIGKILL)
        self.assertEqual(failure.exception.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        self.assertEqual(steps, list(range(len(steps))))
        note("all replicas lost, nobody comes", "mid-step", "DEADLINE_EXCEEDED when the call's deadline passes", "at once",
             "-")

    def test_the_coordinator_is_away(self):
        """The replica finds it again soon after it is back, however long that took."""
        replica = self.attach("first")
        self.cluster.process.kill()
        self.cluster.stop()
        away = time.monotonic() + 6  # longer than any pause between two tries
        wait_until(lambda: time.monotonic() > away, "the replica has tried in vain")
        self.cluster = Cluster("--spawn", "0", ready=False, listen=self.address)
        self.addCleanup(self.cluster.stop)
        self.cluster.connect(self.address)
        wait_until(self.answers, "it listens")
        at = time.monotonic()
        wait_until(lambda: self.states().get("first") == "ready", "the replica is back")
        back = time.monotonic() - at
        self.assertLess(back, 2 + 1)
        self.assertIsNone(replica.process.poll())
        note("the coordinator is killed and comes back 6 s later", "idle", "UNAVAILABLE meanwhile", "at once",
             f"{back:.1f} s after it listens")

    def answers(self):
        try:
            return self.cluster.status()
        except grpc.RpcError:
            return None


class Slow(unittest.TestCase):
    def test_a_slow_step_is_no_hang(self):
        """A step of four long texts of a model of 170 million parameters takes longer than a replica may stand still."""
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory)
        model, timeout = f"{directory}/model", 2
        subprocess.run([f"{BIN}/millrace", "random", "0.17B", model, "--vocabulary", "2048", "--dtype", "bf16"], check=True,
                       stdout=subprocess.DEVNULL)
        shutil.copy(f"{DEMO}/tokenizer.json", model)
        with Cluster("--replica-timeout", str(timeout), ranks=2, model=model) as cluster:
            calls = [cluster.generate(api.GenerateRequest(length=1024, steps=1, seed=i), 280) for i in range(4)]
            finished = [check_stream(list(call)) for call in calls]
            step = max(text.timings.compute_ms for text in finished) / 1000
            self.assertEqual(cluster.status().replicas[0].restarts, 0)
            if step < timeout + PULSE:
                self.skipTest(f"a step took {step:.1f} s: this machine is too fast to tell")
        note(f"none: a step takes {step:.1f} s with a timeout of {timeout} s", "mid-step", "nothing", "-", "-")

    def test_a_slow_operation_is_no_hang(self):
        """One attention over a long text, on one thread, takes longer than a replica may stand still: it moves inside."""
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory)
        model, timeout, blocks = f"{directory}/model", 1, 4
        shutil.copytree(DEMO, model)
        with open(f"{model}/config.json") as file:
            config = json.load(file)
        self.assertEqual(config["blocks"], blocks)
        with open(f"{model}/config.json", "w") as file:
            json.dump({**config, "max_length": 16384}, file)
        with Cluster("--replica-timeout", str(timeout), "--threads", "1", ranks=1, model=model) as cluster:
            finished = check_stream(list(cluster.generate(api.GenerateRequest(length=16384, steps=1, seed=1), 1000)))
            operation = 0.8 * finished.timings.compute_ms / 1000 / blocks  # nine tenths of the step are its attentions
            self.assertEqual(cluster.status().replicas[0].restarts, 0)
            if operation < timeout + 2 * PULSE:
                self.skipTest(f"an operation took {operation:.1f} s: this machine is too fast to tell")
        note(f"none: one operation takes {operation:.1f} s with a timeout of {timeout} s", "mid-step", "nothing", "-", "-")


class Hopeless(unittest.TestCase):
    def test_no_replica_is_left(self):
        """The model's file is damaged, and then its replica dies: the request fails once, and says why."""
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory)
        model = f"{directory}/model"
        shutil.copytree(DEMO, model)
        with Cluster(ranks=2, model=model) as cluster:
            steps, at = [], None
            with self.assertRaises(grpc.RpcError) as failure:
                for event in cluster.generate(api.GenerateRequest(**{**REQUEST, "steps": 1000})):
                    self.assertNotEqual(event.WhichOneof("kind"), "finished")
                    if event.WhichOneof("kind") == "frame":
                        steps.append(event.frame.step)
                    if len(steps) == 6 and at is None:
                        with open(f"{model}/broken", "wb") as broken:
                            broken.write(b"not a model")
                        os.rename(f"{model}/broken", f"{model}/model.safetensors")
                        os.kill(cluster.workers()[1], signal.SIGKILL)
                        at = time.monotonic()
        self.assertEqual(failure.exception.code(), grpc.StatusCode.UNAVAILABLE)
        self.assertIn("model.safetensors", failure.exception.details())
        self.assertEqual(steps, list(range(len(steps))))
        note("`kill -9` of a rank, and the model cannot be loaded again", "mid-step",
             f"UNAVAILABLE with the reason after {time.monotonic() - at:.1f} s", "at once", "-")


if __name__ == "__main__":
    unittest.main()
