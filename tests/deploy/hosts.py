"""Three hosts: the coordinator on one, a replica whose two ranks are on the other two. TLS with certificates on both sides,
latency, a cut cable; the text is always that of one host.
"""
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.environ["MILLRACE_SOURCE"], "tests/e2e"))
import grpc  # noqa: E402
from cluster import BIN, DEMO, Cluster, alive, api, check_stream, children_of, try_namespaces, wait_until  # noqa: E402
from switch import Switch  # noqa: E402

REQUEST = dict(prompt="Once upon a time", seed=33, steps=40, length=256)
NOTICED = 20  # seconds: mpirun's keepalive (2 + 3 x 1 s), its own end, and a loaded machine


def can_make_hosts():
    try:
        try_namespaces(lambda: Switch(["a"]).remove())
        return True
    except (OSError, subprocess.CalledProcessError) as error:
        print("skipped: no hosts can be made here:", error)
        return False


def openssl(directory, *arguments):
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)


def make_certificates(directory, server_address):
    """As docs/security.md says."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl(directory, "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=test")
    for name, names in (("server", f"IP:{server_address},DNS:localhost"), ("replica", "DNS:replica"), ("client", "DNS:client")):
        with open(f"{directory}/{name}.ext", "w") as file:
            file.write(f"subjectAltName={names}\n")
        openssl(directory, "req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl(directory, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
                "-extfile", f"{name}.ext", "-out", f"{name}.pem")


def read(path):
    with open(path, "rb") as file:
        return file.read()


def end_all(processes):
    for process in reversed(processes):
        family = [process.pid] + [pid for pid, _ in children_of(process.pid)]
        for pid in family:
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                pass
        process.wait()
        wait_until(lambda: not any(alive(pid) for pid in family), "its processes are gone")


class Hosts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with Cluster(ranks=1) as cluster:
            cls.expected = list(cluster.text(**REQUEST).ids)

    def setUp(self):
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory, True)
        self.switch = Switch(["", "h1", "h2"])
        self.addCleanup(self.switch.remove)
        self.processes = []
        self.addCleanup(end_all, self.processes)
        make_certificates(self.directory, self.switch.address[""])
        self.start_coordinator()

    def start(self, command, name, environment=None):
        log = open(f"{self.directory}/{name}.log", "wb")
        self.processes.append(subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **(environment or {})}))
        log.close()
        return self.processes[-1]

    def log_of(self, name):
        return read(f"{self.directory}/{name}.log").decode(errors="replace")

    def start_coordinator(self):
        d, here = self.directory, self.switch.address[""]
        self.start([f"{BIN}/millrace-coordinator", "--model", DEMO, "--listen", f"{here}:0", "--spawn", "0", "--tls-cert",
                    f"{d}/server.pem", "--tls-key", f"{d}/server.key", "--tls-client-ca", f"{d}/ca.pem", "--replica-timeout", "10"],
                   "coordinator")
        self.address = wait_until(lambda: next((w for w in self.log_of("coordinator").split() if w.startswith(here + ":")), None),
                                  "it listens")
        credentials = grpc.ssl_channel_credentials(read(f"{d}/ca.pem"), read(f"{d}/client.key"), read(f"{d}/client.pem"))
        self.channel = grpc.secure_channel(self.address, credentials)
        self.addCleanup(self.channel.close)

    def start_replica(self, name, hosts):
        """One rank on each host, started from the first."""
        agent = f"{self.directory}/agent.sh"
        places = "\n".join(f"{self.switch.address[h]}) ns={self.switch.namespace(h)} name={h} ;;" for h in ("h1", "h2"))
        with open(agent, "w") as file:
            file.write(f'#!/bin/sh\ncase $1 in\n{places}\nesac\nshift\n'
                       'exec ip netns exec "$ns" unshare --uts sh -c "hostname $name; $*"\n')
        os.chmod(agent, 0o755)
        d = self.directory
        settings = {"MILLRACE_TLS_CA": f"{d}/ca.pem", "MILLRACE_TLS_CERT": f"{d}/replica.pem", "MILLRACE_TLS_KEY": f"{d}/replica.key",
                    "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_mpi_yield_when_idle": "1"}
        mca = {"plm_rsh_agent": agent, "plm_rsh_no_tree_spawn": "1", "oob_tcp_if_include": "eth0", "btl_tcp_if_include": "eth0",
               "btl": "tcp,self", "oob_tcp_keepalive_time": "2", "oob_tcp_keepalive_intvl": "1", "oob_tcp_keepalive_probes": "3",
               "odls_base_sigkill_timeout": "0"}
        exports = [word for variable in settings if variable.startswith("MILLRACE") for word in ("-x", variable)]
        self.start([*self.switch.prefix(hosts[0]), "mpirun", "--bind-to", "none", "-n", str(len(hosts)), "--host",
                    ",".join(f"{self.switch.address[h]}:1" for h in hosts), *[w for k, v in mca.items() for w in ("--mca", k, v)],
                    *exports, f"{BIN}/millrace-worker", "--model", DEMO, "--coordinator", self.address, "--replica", name], name,
                   settings)

    def status(self):
        return self.channel.unary_unary("/millrace.v1.Millrace/Status", api.StatusRequest.SerializeToString,
                                        api.StatusResponse.FromString)(api.StatusRequest(), timeout=10)

    def state(self, name):
        return next((r.state for r in self.status().replicas if r.name == name), None)

    def wait_ready(self, name):
        wait_until(lambda: self.state(name) == "ready", f"{name} is ready: {self.log_of(name)[-1500:]}")

    def write(self, on_frame=None):
        call = self.channel.unary_stream("/millrace.v1.Millrace/Generate", api.GenerateRequest.SerializeToString,
                                         api.GenerateEvent.FromString)
        events = []
        for event in call(api.GenerateRequest(**REQUEST), timeout=120):
            events.append(event)
            if on_frame and event.WhichOneof("kind") == "frame":
                on_frame(event.frame.step)
        finished = check_stream(events)
        self.assertEqual(list(finished.ids), self.expected, "another text than on one host")
        return finished

    def test_a_replica_on_two_hosts(self):
        self.start_replica("wide", ["h1", "h2"])
        self.wait_ready("wide")
        self.assertEqual([r.ranks for r in self.status().replicas], [2])
        seconds = {}
        for delay in (0, 0.002):
            self.switch.delay = delay
            finished = self.write()
            self.assertEqual(finished.replica, "wide")
            seconds[delay] = finished.timings.compute_ms / 1000
        self.switch.delay = 0
        print(f"two hosts: {REQUEST['steps']} steps in {seconds[0]:.2f} s; with 2 ms on every cable {seconds[0.002]:.2f} s")
        self.assertGreater(seconds[0.002], seconds[0])  # the sums do cross the cable

    def test_a_cut_between_its_hosts(self):
        self.start_replica("wide", ["h1", "h2"])
        self.wait_ready("wide")
        struck = []

        def strike(step):
            if step == 5 and not struck:
                self.switch.cut("h2")
                struck.append(time.monotonic())
                self.start_replica("spare", ["h1"])

        finished = self.write(strike)
        self.assertEqual(finished.replica, "spare")
        took = time.monotonic() - struck[0]
        wait_until(lambda: self.state("wide") != "ready", "the cut replica is given up", NOTICED)
        print(f"a cable of a replica cut at step 5: finished elsewhere, the same bytes, {took:.1f} s later")
        self.assertLess(took, NOTICED + 10)

    def test_without_a_certificate_there_is_no_line(self):
        anyone = grpc.secure_channel(self.address, grpc.ssl_channel_credentials(read(f"{self.directory}/ca.pem")))
        with self.assertRaises(grpc.RpcError) as caught:
            anyone.unary_unary("/millrace.v1.Millrace/Status", api.StatusRequest.SerializeToString,
                               api.StatusResponse.FromString)(api.StatusRequest(), timeout=10)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.UNAVAILABLE)
        anyone.close()


class Group(unittest.TestCase):
    """The scripts by which a LeaderWorkerSet's pods become one replica (deploy/kubernetes/group-*.sh), on two hosts with sshd."""

    def test_leader_and_worker(self):
        if not shutil.which("sshd", path="/usr/sbin"):
            self.skipTest("no sshd")
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory, True)
        switch = Switch(["", "h1", "h2"])
        self.addCleanup(switch.remove)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{directory}/id_ed25519"], check=True)
        for host in ("h1", "h2"):  # `ip netns exec` lays these over /etc
            os.makedirs(f"/etc/netns/{switch.namespace(host)}")
            self.addCleanup(shutil.rmtree, f"/etc/netns/{switch.namespace(host)}", True)
            with open(f"/etc/netns/{switch.namespace(host)}/hosts", "w") as file:
                file.write(f"127.0.0.1 localhost\n{switch.address['h1']} group group.svc.ns\n{switch.address['h2']} group-1 group-1.svc.ns\n")
        if not os.path.exists("/etc/millrace/ssh"):  # where the pods' secret is mounted
            self.addCleanup(lambda: subprocess.run(["rmdir", "-p", "--ignore-fail-on-non-empty", "/etc/millrace/ssh"],
                                                   stderr=subprocess.DEVNULL))
        processes = []
        self.addCleanup(end_all, processes)
        cluster = Cluster("--spawn", "0", ready=False, listen=f"{switch.address['']}:0")
        self.addCleanup(cluster.stop)
        address = wait_until(lambda: next((w for w in cluster.text_of_log().split() if w.startswith(switch.address[""] + ":")), None),
                             "it listens")
        cluster.connect(address)
        scripts = os.path.join(os.environ["MILLRACE_SOURCE"], "deploy/kubernetes")

        def pod(host, name, *command):
            home = f"{directory}/{host}"
            os.mkdir(home)
            # what a pod mounts at /etc/millrace/ssh and has in its PATH
            inside = ('mkdir -p /etc/millrace/ssh /run/sshd && mount --bind "$1" /etc/millrace/ssh && hostname "$2" && shift 2 && exec "$@"')
            environment = {"PATH": f"{BIN}:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": home, "LWS_LEADER_ADDRESS": "group.svc.ns",
                           "LWS_GROUP_SIZE": "2", "MILLRACE_MODEL": DEMO, "MILLRACE_COORDINATOR": address, "MILLRACE_REPLICA": "wide",
                           "MILLRACE_READY_FILE": f"{directory}/ready", "OMPI_ALLOW_RUN_AS_ROOT": "1",
                           "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_oob_tcp_if_include": "eth0",
                           "OMPI_MCA_btl_tcp_if_include": "eth0"}
            log = open(f"{directory}/{host}.log", "wb")
            processes.append(subprocess.Popen(["ip", "netns", "exec", switch.namespace(host), "unshare", "--uts", "--mount", "sh", "-c",
                                               inside, "sh", directory, name, *command], env=environment, stdout=log, stderr=log))
            log.close()

        pod("h2", "group-1", f"{scripts}/group-worker.sh")
        pod("h1", "group", f"{scripts}/group-leader.sh", "2", "1")
        try:
            wait_until(lambda: [(r.state, r.ranks) for r in cluster.status().replicas] == [("ready", 2)], "the group is a replica")
        except AssertionError:
            for host in ("h1", "h2"):
                print(read(f"{directory}/{host}.log").decode(errors="replace")[-2000:])
            raise
        self.assertTrue(os.path.exists(f"{directory}/ready"))
        finished = cluster.text(prompt="Once upon a time", seed=33, steps=8, length=64)
        with Cluster(ranks=1) as alone:
            self.assertEqual(list(finished.ids), list(alone.text(prompt="Once upon a time", seed=33, steps=8, length=64).ids))


if __name__ == "__main__":
    if not can_make_hosts():
        sys.exit(77)
    unittest.main()
