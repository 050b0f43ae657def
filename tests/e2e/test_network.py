"""The network between coordinator and replica is cut, or slow. The replica runs in a network namespace of its own, at the
other end of a veth pair; needs root (or user namespaces with it), else skipped."""
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from cluster import Attached, Cluster, Watch, api, check_stream, wait_until, try_namespaces
from test_fault_matrix import LOOK, PULSE, SLACK, TIMEOUT, note, seconds

REQUEST = dict(length=512, steps=60, seed=33)
FOUND = 10  # a name is looked up again every second; loaded machines take longer
RECONNECT = 2 + 1  # common/rpc: connecting takes at most 2 s, and is tried again after at most 1


def run(*command):
    subprocess.run(command, check=True, capture_output=True, text=True)


class Link:
    """Two ends of a cable: `here`, and in a namespace that is a host of its own."""

    def __init__(self):
        self.name = f"mr{os.getpid() % 100000}"
        self.device = f"{self.name}a"
        net = f"10.{random.randrange(200, 250)}.{random.randrange(256)}"
        self.here, self.there = f"{net}.1", f"{net}.2"
        run("ip", "netns", "add", self.name)
        try:
            run("ip", "link", "add", self.device, "type", "veth", "peer", "name", "eth0", "netns", self.name)
            run("ip", "address", "add", f"{self.here}/30", "dev", self.device)
            run("ip", "link", "set", self.device, "up")
            run("ip", "-n", self.name, "address", "add", f"{self.there}/30", "dev", "eth0")
            run("ip", "-n", self.name, "link", "set", "eth0", "up")
            run("ip", "-n", self.name, "link", "set", "lo", "up")
            run("ip", "link", "set", self.device, "address", "02:00:00:00:00:01")
            run("ip", "-n", self.name, "link", "set", "eth0", "address", "02:00:00:00:00:02")
            self.set_lost(False, False)
        except subprocess.CalledProcessError:
            self.remove()
            raise

    @property
    def prefix(self):
        return ["ip", "netns", "exec", self.name]

    def set_carrier(self, on):
        run("ip", "link", "set", self.device, "up" if on else "down")
        if on:
            self.set_lost(False, False)  # what the kernel knew of its neighbour went with the link

    def set_lost(self, outgoing, incoming):
        """Packets go to an address that nobody has: they are lost in silence, as in a broken switch."""
        wrong = "02:00:00:00:00:99"
        run("ip", "neighbour", "replace", self.there, "lladdr", wrong if outgoing else "02:00:00:00:00:02", "dev",
            self.device, "nud", "permanent")
        run("ip", "-n", self.name, "neighbour", "replace", self.here, "lladdr",
            wrong if incoming else "02:00:00:00:00:01", "dev", "eth0", "nud", "permanent")

    def remove(self):
        subprocess.run(["ip", "link", "delete", self.device], capture_output=True)
        subprocess.run(["ip", "netns", "delete", self.name], capture_output=True)


class Slow:
    """A relay that holds every byte back for a while, in both directions."""

    def __init__(self, target, delay):
        self.target, self.delay, self.sockets = target, delay, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            host, port = self.target.rsplit(":", 1)
            server = socket.create_connection((host, int(port)))
            self.sockets += [client, server]
            for one, other in ((client, server), (server, client)):
                threading.Thread(target=self.pump, args=(one, other), daemon=True).start()

    def pump(self, source, sink):
        """Reads on, while what was read waits for its time."""
        held = []
        while True:
            wait = max(0, held[0][0] - time.monotonic()) if held else None
            try:
                readable, _, _ = select.select([source], [], [], wait)
            except (OSError, ValueError):  # closed: the test is over
                return
            if readable:
                try:
                    data = source.recv(65536)
                except OSError:
                    data = b""
                held.append((time.monotonic() + self.delay, data))
            while held and held[0][0] <= time.monotonic():
                data = held.pop(0)[1]
                try:
                    sink.sendall(data) if data else sink.shutdown(socket.SHUT_WR)
                except OSError:
                    return
                if not data:
                    return

    def end(self):
        for connection in [self.listener, *self.sockets]:
            connection.close()


class Cut(unittest.TestCase):
    """A replica far away, and one near by that takes over; or none."""

    @classmethod
    def setUpClass(cls):
        with Cluster(ranks=1) as cluster:
            cls.expected = list(cluster.text(**REQUEST).ids)

    def setUp(self):
        self.link = Link()
        self.addCleanup(self.link.remove)
        self.cluster = Cluster("--spawn", "0", "--replica-timeout", str(TIMEOUT), ready=False,
                               listen=f"{self.link.here}:0", environment={"MILLRACE_LOG": "debug"})
        self.addCleanup(self.cluster.stop)
        self.address = wait_until(self.find_address, "it listens")
        self.cluster.connect(self.address)
        self.attach("far", prefix=self.link.prefix)

    def find_address(self):
        words = self.cluster.text_of_log().split()
        return next((word for word in words if word.startswith(self.link.here + ":")), None)

    def attach(self, name, **options):
        replica = Attached(options.pop("address", self.address), name, **options)
        self.addCleanup(replica.end)
        wait_until(lambda: self.state(name) == "ready", f"{name} is ready")
        return replica

    def state(self, name):
        return next((r.state for r in self.cluster.status().replicas if r.name == name), None)

    def cut_in_the_middle(self, cut):
        """`cut` happens at step 5 of a request that runs far away. Its events, the moment, the longest wait."""
        events, at, last, gap = [], None, None, 0
        for event in self.cluster.generate(api.GenerateRequest(**REQUEST)):
            now = time.monotonic()
            gap, last = max(gap, now - last) if at else 0, now
            events.append(event)
            if event.WhichOneof("kind") == "frame" and event.frame.step == 5:
                cut()
                at = last = time.monotonic()
        self.assertEqual(list(check_stream(events).ids), self.expected)
        return events[-1].finished, at, gap

    def check_cut(self, fault, cut, mend):
        """Another replica goes on; mended, the far one is back."""
        wait_until(lambda: self.state("far") == "ready", "the far one is ready")
        near = []

        def strike():
            cut()
            near.append(Attached(self.address, "near"))  # from nothing: it was not there to be chosen before
            self.addCleanup(near[0].end)

        with Watch(self.cluster) as watch:
            finished, at, gap = self.cut_in_the_middle(strike)
            noticed = watch.first("far", at, False)
            self.assertEqual(finished.replica, "near")
            self.assertLess(noticed, TIMEOUT + 2 * PULSE + LOOK + SLACK)
            mended = time.monotonic()
            mend()
            wait_until(lambda: watch.first("far", mended, True) is not None, "the far one is back")
            back = watch.first("far", mended, True)
        self.assertLess(back, RECONNECT + SLACK)
        note(fault, "mid-step", f"a gap of {gap:.1f} s, then the same bytes", seconds(noticed),
             f"{back:.1f} s after it was mended")

    def test_the_link_is_down(self):
        self.check_cut("link down between coordinator and replica", lambda: self.link.set_carrier(False),
                       lambda: self.link.set_carrier(True))

    def test_packets_are_lost(self):
        self.check_cut("all packets lost, both ways", lambda: self.link.set_lost(True, True),
                       lambda: self.link.set_lost(False, False))

    def test_packets_to_the_replica_are_lost(self):
        """The replica is heard, and hears nothing: of a new request it knows nothing, so nothing moves but its pulses."""
        self.link.set_lost(True, False)
        at = time.monotonic()
        with Watch(self.cluster) as watch:
            near = self.attach("near")
            wait_until(lambda: watch.first("far", at, False) is not None, "it is noticed")
            noticed = watch.first("far", at, False)
            self.assertEqual(list(self.cluster.text(**REQUEST).ids), self.expected)
        near.end()
        note("packets to the replica lost", "idle", "nothing", seconds(noticed), "-")

    def test_the_only_replica_is_cut_off(self):
        """The request waits; when the link is mended it goes on where it was."""
        absence = TIMEOUT + 2 * PULSE + LOOK + 2

        def cut():
            self.link.set_lost(True, True)
            threading.Timer(absence, self.link.set_lost, (False, False)).start()

        finished, _, gap = self.cut_in_the_middle(cut)
        self.assertEqual(finished.replica, "far")
        self.assertLess(gap, absence + RECONNECT + SLACK)
        note(f"the only replica cut off for {absence:.0f} s", "mid-step", f"a gap of {gap:.1f} s, then the same bytes",
             "as above", f"{gap - absence:.1f} s after it was mended")

    def test_a_cut_too_short_to_notice(self):
        def cut():
            self.link.set_lost(True, True)
            threading.Timer(TIMEOUT / 2, self.link.set_lost, (False, False)).start()

        finished, at, gap = self.cut_in_the_middle(cut)
        self.assertEqual(finished.replica, "far")
        self.assertEqual(self.cluster.status().replicas[0].restarts, 0)
        note(f"all packets lost for {TIMEOUT / 2:.0f} s", "mid-step", f"a gap of {gap:.1f} s, then the same bytes", "-",
             "-")

    def test_a_slow_network(self):
        """Half a second each way: nobody is blamed, and steps do not wait for it."""
        relay = Slow(self.address, 0.5)
        self.addCleanup(relay.end)
        self.attach("slow", address=relay.address)
        os.kill(self.far_leader(), signal.SIGKILL)
        wait_until(lambda: self.state("far") != "ready", "only the slow one is left")
        finished, _, gap = self.cut_in_the_middle(lambda: None)
        self.assertEqual(finished.replica, "slow")
        self.assertEqual(next(r.restarts for r in self.cluster.status().replicas if r.name == "slow"), 0)
        note("0.5 s of latency each way", "mid-step", f"the same bytes; {finished.timings.total_ms / 1000:.1f} s for "
             f"{REQUEST['steps']} steps", "-", "-")

    def far_leader(self):
        inside = subprocess.run(["ip", "netns", "pids", self.link.name], capture_output=True, text=True, check=True)
        for pid in map(int, inside.stdout.split()):
            with open(f"/proc/{pid}/cmdline", "rb") as command:
                if command.read().split(b"\0")[0].endswith(b"/millrace-worker"):
                    return pid
        raise AssertionError("no rank runs in the namespace")


class Name(unittest.TestCase):
    """The coordinator comes back under its name at another address, as a pod does that was replaced."""

    def point_name_at(self, address):
        with open(self.hosts, "w") as file:
            file.write(f"127.0.0.1 localhost\n{address} coordinator.test\n")

    def coordinator(self, listen):
        cluster = Cluster("--spawn", "0", ready=False, listen=listen)
        self.addCleanup(cluster.stop)
        host = listen.split(":")[0]
        cluster.connect(wait_until(lambda: next((w for w in cluster.text_of_log().split() if w.startswith(f"{host}:")), None),
                                   "it listens"))
        return cluster

    def port_of(self, cluster):
        return next(w for w in cluster.text_of_log().split() if w.startswith("127.0.0.2:")).split(":")[1]

    def test_it_is_found_again(self):
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory)
        self.hosts = f"{directory}/hosts"
        self.point_name_at("127.0.0.2")
        first = self.coordinator("127.0.0.2:0")
        port = self.port_of(first)
        inside = f'mount --bind {self.hosts} /etc/hosts && exec "$@"'
        replica = Attached(f"coordinator.test:{port}", "elsewhere", prefix=("unshare", "--mount", "sh", "-c", inside, "sh"))
        self.addCleanup(replica.end)

        def is_ready(cluster):
            return [r.state for r in cluster.status().replicas] == ["ready"]

        wait_until(lambda: is_ready(first), "the replica is ready")
        workers = replica.workers()
        first.stop()
        self.point_name_at("127.0.0.3")
        second = self.coordinator(f"127.0.0.3:{port}")
        began = time.monotonic()
        wait_until(lambda: is_ready(second), "the replica has found it", FOUND)
        note("coordinator at another address", "idle", "-", "-", f"{time.monotonic() - began:.1f} s after it listens")
        self.assertEqual(replica.workers(), workers)


if __name__ == "__main__":
    try:
        try_namespaces(lambda: Link().remove())
    except (OSError, subprocess.CalledProcessError) as refused:
        print("skipped: no network namespaces here:", getattr(refused, "stderr", refused))
        sys.exit(77)
    unittest.main()
