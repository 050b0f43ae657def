"""What runs in a replica's pod, without Kubernetes: replica.sh as process 1, and the liveness probe (deploy/kubernetes)."""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.environ["MILLRACE_SOURCE"], "tests/e2e"))
import grpc  # noqa: E402
from cluster import BIN, DEMO, SOURCE, Cluster, alive, api, check_stream, children_of, try_namespaces, wait_until  # noqa: E402

SCRIPTS = f"{SOURCE}/deploy/kubernetes"
HUNG_SECONDS = 3  # without movement, to the probe


def can_be_process_1():
    try:
        try_namespaces(lambda: subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", "true"], check=True, capture_output=True))
        return True
    except (OSError, subprocess.CalledProcessError) as error:
        print("skipped: no namespaces can be made here:", error)
        return False


class Pod:
    """replica.sh as process 1 of its own process namespace, where signals have no default action."""

    def __init__(self, directory, address, command=None, prefix=()):
        self.ready = f"{directory}/ready"
        environment = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
                       "OMPI_MCA_mpi_yield_when_idle": "1", "MILLRACE_READY_FILE": self.ready, "HOME": directory}
        worker = ["mpirun", "--bind-to", "none", "--oversubscribe", "-n", "2", f"{BIN}/millrace-worker", "--model", DEMO, "--coordinator",
                  address, "--replica", "pod"]
        self.outside = subprocess.Popen(["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", *prefix,
                                         f"{SCRIPTS}/replica.sh", *(command or worker)], env=environment, stderr=subprocess.DEVNULL)
        self.first = wait_until(lambda: next((pid for pid, line in children_of(self.outside.pid) if "replica.sh" in line), None),
                                "process 1 runs")

    def workers(self):
        return sorted(pid for pid, line in children_of(self.first) if line.startswith(f"{BIN}/millrace-worker"))

    def is_alive(self):
        """As the kubelet asks."""
        return subprocess.run([f"{SCRIPTS}/alive.sh", self.ready, str(HUNG_SECONDS)], capture_output=True).returncode == 0

    def end(self):
        for pid in [pid for pid, _ in children_of(self.outside.pid)]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.outside.wait()


class Replica(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory, True)
        self.cluster = Cluster("--spawn", "0", ready=False, listen=f"unix:{self.directory}/socket")
        self.addCleanup(self.cluster.stop)
        self.cluster.connect(f"unix:{self.directory}/socket")

    def start(self, ready=True, command=None, prefix=()):
        pod = Pod(self.directory, f"unix:{self.directory}/socket", command, prefix)
        self.addCleanup(pod.end)
        if ready:
            wait_until(lambda: os.path.exists(pod.ready), "it is ready")
            wait_until(self.is_known, "the coordinator knows it")
        return pod

    def is_known(self):
        try:
            return [r.state for r in self.cluster.status().replicas] == ["ready"]
        except grpc.RpcError:
            return False

    def test_sigterm_drains(self):
        """The text that runs is finished there, since there is no other replica; the pod ends with 0."""
        pod = self.start()
        events = []
        for event in self.cluster.generate(api.GenerateRequest(length=256, steps=60, seed=4)):
            events.append(event)
            if event.WhichOneof("kind") == "frame" and event.frame.step == 3:
                os.kill(pod.first, signal.SIGTERM)
        self.assertEqual(check_stream(events).replica, "pod")
        self.assertEqual(pod.outside.wait(60), 0)
        self.assertFalse(os.path.exists(pod.ready))

    def test_sigterm_before_it_is_ready(self):
        """There is nothing to drain. (What does not answer to SIGTERM is what Kubernetes' grace period is for.)"""
        pod = self.start(ready=False, command=["sleep", "1000"])
        wait_until(lambda: children_of(pod.first), "its child runs")
        os.kill(pod.first, signal.SIGTERM)
        self.assertEqual(pod.outside.wait(60), 128 + signal.SIGTERM)

    def test_a_user_that_nobody_knows(self):
        """OpenShift gives each namespace its own, which no passwd has, in root's group."""
        user = ["setpriv", "--reuid=1000680000", "--regid=0", "--clear-groups", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
        if subprocess.run([*user, "test", "-x", f"{BIN}/millrace-worker", "-a", "-r", f"{DEMO}/config.json"]).returncode:
            self.skipTest("other users may not read this build")
        wait_until(lambda: os.path.exists(f"{self.directory}/socket"), "the coordinator listens")
        for path in (self.directory, f"{self.directory}/socket"):
            os.chmod(path, 0o777)
        pod = self.start(prefix=user)
        self.assertEqual(self.cluster.text(length=16, steps=2, seed=1).replica, "pod")
        self.assertEqual({os.stat(f"/proc/{rank}").st_uid for rank in pod.workers()}, {1000680000})

    def test_a_dead_rank_ends_the_pod(self):
        pod = self.start()
        os.kill(pod.workers()[1], signal.SIGKILL)
        self.assertNotEqual(pod.outside.wait(60), 0)

    def test_the_probe_sees_a_rank_that_hangs(self):
        pod = self.start()
        before = os.stat(pod.ready).st_mtime
        wait_until(lambda: os.stat(pod.ready).st_mtime > before, "an idle replica renews its file")
        self.assertTrue(pod.is_alive())
        for rank in pod.workers():  # the leader, and one that it waits for
            os.kill(rank, signal.SIGSTOP)
            wait_until(lambda: not pod.is_alive(), "the probe fails")
            os.kill(rank, signal.SIGCONT)
            wait_until(pod.is_alive, "and passes again")

    def test_the_probe_without_a_file(self):
        missing = subprocess.run([f"{SCRIPTS}/alive.sh", f"{self.directory}/nowhere", "5"], capture_output=True)
        self.assertNotEqual(missing.returncode, 0)


if __name__ == "__main__":
    if not can_be_process_1():
        sys.exit(77)
    unittest.main()
