"""What is killed, and what the client sees."""
import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import grpc

from cluster import BIN, DEMO, TEXT_PATIENCE, Attached, Cluster, alive, api, check_stream, children_of, expect_failure, wait_until

REQUEST = dict(length=512, steps=40, seed=21)
BACK_SECONDS = 10  # to attach to a new coordinator; two on a quiet machine


class Faults(unittest.TestCase):
    def expected(self):
        if not hasattr(Faults, "text_without_fault"):
            with Cluster(ranks=2) as cluster:
                Faults.text_without_fault = list(cluster.text(**REQUEST).ids)
        return Faults.text_without_fault

    def check_recovery(self, choose_victim):
        """Kills something in the middle of a request: it finishes, with the bytes that it would have had."""
        with Cluster(ranks=2) as cluster:
            events = []
            for event in cluster.generate(api.GenerateRequest(**REQUEST)):
                events.append(event)
                if event.WhichOneof("kind") == "frame" and event.frame.step == 5:
                    os.kill(choose_victim(cluster), signal.SIGKILL)
            self.assertEqual(list(check_stream(events).ids), self.expected())
            wait_until(lambda: cluster.status().replicas[0].restarts == 1, "the restart is counted")
            cluster.text(length=8, steps=1, seed=1)
            self.assertEqual(cluster.stop(), 0)

    def test_a_rank_is_killed(self):
        self.check_recovery(lambda cluster: cluster.workers()[1])

    def test_a_rank_is_killed_under_a_solver_with_state(self):
        request = dict(length=256, steps=40, seed=22, solver="STRATIFIED")
        with Cluster(ranks=2) as cluster:
            expected = list(cluster.text(**request).ids)
            events = []
            for event in cluster.generate(api.GenerateRequest(**request)):
                events.append(event)
                if event.WhichOneof("kind") == "frame" and event.frame.step == 5:
                    os.kill(cluster.workers()[1], signal.SIGKILL)
            self.assertEqual(list(check_stream(events).ids), expected)

    def test_the_leader_is_killed(self):
        self.check_recovery(lambda cluster: cluster.workers()[0])

    def test_an_old_ready_file_does_not_count(self):
        """A container that was killed leaves it to the one after it, which loads."""
        with tempfile.NamedTemporaryFile(delete=False) as old:
            pass
        worker = [f"{BIN}/millrace-worker", "--coordinator", "127.0.0.1:1", "--ready-file", old.name]
        subprocess.run([*worker, "--model", DEMO, "--bench", "--length", "8", "--steps", "1", "--repeats", "1"],
                       stdout=subprocess.DEVNULL, check=True)
        self.assertTrue(os.path.exists(old.name))  # whoever measures beside a replica leaves its file alone
        ended = subprocess.run([*worker, "--model", f"{old.name}.none"], capture_output=True, check=False)
        self.assertNotEqual(ended.returncode, 0)
        self.assertFalse(os.path.exists(old.name))

    def test_another_replica_goes_on(self):
        with Cluster("--spawn", "2", ranks=1) as cluster:
            wait_until(lambda: [r.state for r in cluster.status().replicas] == ["ready", "ready"], "both are ready")
            events, victim = [], None
            for event in cluster.generate(api.GenerateRequest(**REQUEST)):
                events.append(event)
                if event.WhichOneof("kind") == "frame" and event.frame.step == 5:
                    victim = next(r.name for r in cluster.status().replicas if r.sequences)
                    os.kill(cluster.workers_of(victim)[0], signal.SIGKILL)
            finished = check_stream(events)
            self.assertEqual(list(finished.ids), self.expected())
            self.assertNotEqual(finished.replica, victim)

    def test_mpirun_is_killed(self):
        self.check_recovery(lambda cluster: cluster.launcher()[0])

    def test_the_coordinator_is_killed(self):
        cluster = Cluster(ranks=2)
        family = [pid for pid, _ in children_of(cluster.process.pid)]
        self.assertGreaterEqual(len(family), 3)
        cluster.process.kill()
        wait_until(lambda: not any(alive(pid) for pid in family), "no process is left over")
        cluster.stop()

    def test_a_cancelled_text_frees_its_place(self):
        with Cluster("--max-sequences", "1", ranks=2) as cluster:
            call = cluster.generate(api.GenerateRequest(length=1024, steps=1000, seed=1), 3600)
            for event in call:
                if event.WhichOneof("kind") == "frame" and event.frame.step == 3:
                    break
            call.cancel()
            cluster.text(length=8, steps=1, seed=1, timeout=10)

    def test_sigterm_lets_requests_finish(self):
        cluster = Cluster("--drain-seconds", str(TEXT_PATIENCE), ranks=2)
        events = []
        for event in cluster.generate(api.GenerateRequest(**REQUEST)):
            events.append(event)
            if event.WhichOneof("kind") == "frame" and event.frame.step == 2:
                cluster.process.send_signal(signal.SIGTERM)
        self.assertEqual(list(check_stream(events).ids), self.expected())
        family = [pid for pid, _ in children_of(cluster.process.pid)]
        self.assertEqual(cluster.stop(), 0)
        self.assertFalse([pid for pid in family if alive(pid)])

    def test_two_coordinators_on_one_port(self):
        with Cluster(ranks=1) as first:
            second = subprocess.run([f"{BIN}/millrace-coordinator", "--listen", first.address, "--model", DEMO],
                                    capture_output=True, text=True, timeout=60)
            self.assertNotEqual(second.returncode, 0)
            self.assertIn(first.address, second.stderr)
            first.text(length=8, steps=1, seed=1)


class Elsewhere(unittest.TestCase):
    """A replica that somebody else started outlives its coordinator."""

    def setUp(self):
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)
        self.address = f"unix:{self.directory}/socket"

    def coordinator(self, *options):
        cluster = Cluster("--spawn", "0", *options, ready=False, listen=self.address)
        self.addCleanup(cluster.stop)
        cluster.connect(self.address)
        return cluster

    def attached(self, cluster):
        """Once a replica is ready; the coordinator may not listen yet."""
        try:
            return [replica.state for replica in cluster.status().replicas] == ["ready"]
        except grpc.RpcError:
            return False

    def start_replica(self, cluster, *options):
        """Two ranks that somebody else started, once they are ready."""
        replica = Attached(self.address, "elsewhere", *options, ranks=2)
        self.addCleanup(replica.end)
        wait_until(lambda: self.attached(cluster), "the replica is ready")
        return replica

    def come_back(self, replica, workers):
        """A new coordinator at the same address has the same processes again."""
        second = self.coordinator()
        began = time.monotonic()
        wait_until(lambda: self.attached(second), "the replica has attached again", BACK_SECONDS)
        print(f"attached again {time.monotonic() - began:.1f} s after the new coordinator's start")
        self.assertEqual(replica.workers(), workers)
        return second

    def test_a_coordinator_is_killed_and_replaced(self):
        first = self.coordinator()
        replica = self.start_replica(first, "--max-sequences", "1")
        workers = replica.workers()
        expected = first.text(length=200, steps=30, seed=5)
        self.assertEqual(expected.replica, "elsewhere")
        try:
            for event in first.generate(api.GenerateRequest(length=1024, steps=1000, seed=6), 3600):
                if event.WhichOneof("kind") == "frame" and event.frame.step == 3:
                    first.process.kill()
        except grpc.RpcError as error:
            self.assertEqual(error.code(), grpc.StatusCode.UNAVAILABLE)
        first.process.wait()
        second = self.come_back(replica, workers)
        second.text(length=8, steps=1, seed=1)  # the next one has the number of the text that was lost
        self.assertEqual(second.text(length=200, steps=30, seed=5).ids, expected.ids)  # which takes no place here

    def end_in_a_text(self, cluster, **request):
        """SIGTERM in the middle of a text: its events."""
        events = []
        for event in cluster.generate(api.GenerateRequest(**request), 3600):
            events.append(event)
            if event.WhichOneof("kind") == "frame" and event.frame.step == 3:
                cluster.process.send_signal(signal.SIGTERM)
        return events

    def test_a_coordinator_is_asked_to_end_and_replaced(self):
        """As in every upgrade: it finishes its text, ends, and the replica outlives it."""
        first = self.coordinator("--drain-seconds", str(TEXT_PATIENCE))
        replica = self.start_replica(first)
        workers = replica.workers()
        expected = check_stream(self.end_in_a_text(first, length=200, steps=30, seed=5))
        self.assertEqual(first.process.wait(), 0)
        second = self.come_back(replica, workers)
        self.assertEqual(second.text(length=200, steps=30, seed=5).ids, expected.ids)

    def test_a_coordinator_whose_time_is_over_is_replaced(self):
        first = self.coordinator("--drain-seconds", "0.2")
        replica = self.start_replica(first, "--max-sequences", "1")
        workers = replica.workers()
        expect_failure(lambda: self.end_in_a_text(first, length=1024, steps=1000, seed=6), grpc.StatusCode.UNAVAILABLE,
                       "shutting down")
        self.assertEqual(first.process.wait(), 0)
        self.come_back(replica, workers).text(length=8, steps=1, seed=1)  # the text of before takes no place


class Starting(unittest.TestCase):
    """Replicas that cannot start. The coordinator serves, and says why it cannot."""

    def setUp(self):
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)

    def start(self, environment=None, model=DEMO):
        """A coordinator without a ready replica; its port is chosen by asking for one first."""
        address = f"unix:{self.directory}/socket"
        cluster = Cluster(ranks=2, model=model, ready=False, listen=address, environment=environment)
        self.addCleanup(cluster.stop)
        wait_until(lambda: os.path.exists(f"{self.directory}/socket") or cluster.process.poll() is not None, "it listens")
        self.assertIsNone(cluster.process.poll(), cluster.text_of_log())
        cluster.connect(address)
        return cluster

    def test_a_rank_that_dies_at_start(self):
        mpirun = os.path.join(self.directory, "mpirun")
        with open(mpirun, "w") as script:
            script.write("#!/bin/sh\nexit 7\n")
        os.chmod(mpirun, 0o755)
        cluster = self.start(environment={"MILLRACE_MPIRUN": mpirun})
        expect_failure(lambda: cluster.text(length=8, steps=1), grpc.StatusCode.UNAVAILABLE, "7")
        self.assertGreaterEqual(cluster.status().failed, 1)

    def test_a_shard_that_cannot_be_loaded(self):
        model = os.path.join(self.directory, "model")
        shutil.copytree(DEMO, model)
        cluster = self.start(model=model)
        # it listens before it starts replicas, so at first none is known
        wait_until(lambda: [replica.state for replica in cluster.status().replicas] == ["ready"], "the replica is ready")
        size = os.path.getsize(f"{model}/model.safetensors")
        with open(f"{model}/broken", "wb") as broken, open(f"{model}/model.safetensors", "rb") as whole:
            broken.write(whole.read(size - 1000))
        os.rename(f"{model}/broken", f"{model}/model.safetensors")  # the running replica keeps its mapping
        os.kill(cluster.workers()[0], signal.SIGKILL)
        wait_until(lambda: cluster.status().replicas[0].state != "ready", "the death is noticed")
        expect_failure(lambda: cluster.text(length=8, steps=1), grpc.StatusCode.UNAVAILABLE, "model.safetensors")
        shutil.copy(f"{DEMO}/model.safetensors", f"{model}/whole")
        os.rename(f"{model}/whole", f"{model}/model.safetensors")
        wait_until(lambda: cluster.status().replicas[0].state == "ready", "the mended model is loaded")
        cluster.text(length=8, steps=1, seed=1)


if __name__ == "__main__":
    unittest.main()
