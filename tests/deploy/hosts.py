"""Three hosts: the coordinator on one, a replica whose two ranks are on the other two. TLS with certificates on both sides,
latency, a cut cable; the text is always that of one host.
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.environ["MILLRACE_SOURCE"], "tests/e2e"))
import grpc  # noqa: E402
from cluster import BIN, DEMO, SOURCE, TEXT_PATIENCE, Cluster, alive, api, check_stream, children_of, try_namespaces, wait_until  # noqa: E402
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
        for event in call(api.GenerateRequest(**REQUEST), timeout=TEXT_PATIENCE):
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


def image_shell():
    """Of the image's user: what sshd starts ranks through."""
    with open(f"{SOURCE}/deploy/image/finish.sh") as file:
        return re.search(r"useradd .*--shell (\S+)", file.read()).group(1)


class Group(unittest.TestCase):
    """The scripts by which a LeaderWorkerSet's pods become one replica (deploy/kubernetes/group-*.sh), on two hosts with sshd: as the
    image's user, with its passwd and no privileges, under names that resolve only whole, as pods' do."""

    LEADER, WORKER = "group.svc.ns", "group-1.svc.ns"
    USER = 65532

    def as_user(self, *command):
        return ["setpriv", f"--reuid={self.USER}", f"--regid={self.USER}", "--clear-groups", "--no-new-privs", "--bounding-set=-all",
                "--inh-caps=-all", *command]

    def setUp(self):
        if not shutil.which("sshd", path="/usr/sbin"):
            self.skipTest("no sshd")
        if subprocess.run(self.as_user("test", "-x", f"{BIN}/millrace-worker", "-a", "-r", f"{DEMO}/config.json")).returncode:
            self.skipTest(f"user {self.USER} may not read this build")
        self.directory = tempfile.mkdtemp()
        os.chmod(self.directory, 0o755)
        self.addCleanup(shutil.rmtree, self.directory, True)
        self.switch = Switch(["", "h1", "h2"])
        self.addCleanup(self.switch.remove)
        self.make_keys()
        for host in ("h1", "h2"):
            self.make_etc(host)
        self.processes = []
        self.addCleanup(end_all, self.processes)
        self.start_coordinator()

    def make_keys(self):
        self.keys = f"{self.directory}/keys"
        os.mkdir(self.keys)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{self.keys}/id_ed25519"], check=True)
        os.chmod(f"{self.keys}/id_ed25519", 0o644)  # in a pod the secret's group may read it
        if not os.path.exists("/etc/millrace/ssh"):  # where the pods' secret is mounted
            self.addCleanup(lambda: subprocess.run(["rmdir", "-p", "--ignore-fail-on-non-empty", "/etc/millrace/ssh"],
                                                   stderr=subprocess.DEVNULL))

    def make_etc(self, host):
        """`ip netns exec` lays these over /etc. A pod knows itself by both names and the others by none."""
        etc = f"/etc/netns/{self.switch.namespace(host)}"
        os.makedirs(etc)
        self.addCleanup(shutil.rmtree, etc, True)
        with open(f"{etc}/hosts", "w") as file:
            file.write("127.0.0.1 localhost\n")
            for name, whole in (("h1", self.LEADER), ("h2", self.WORKER)):
                file.write(f"{self.switch.address[name]} {whole} {whole.split('.')[0] if name == host else ''}\n")
        with open(f"{etc}/nsswitch.conf", "w") as file:
            file.write("passwd: files\ngroup: files\nhosts: files\n")
        with open(f"{etc}/passwd", "w") as file:
            file.write(f"root:x:0:0:root:/root:/bin/bash\nsshd:x:101:65534::/run/sshd:/usr/sbin/nologin\n"
                       f"nonroot:x:{self.USER}:{self.USER}::{self.directory}:{image_shell()}\n")
        with open(f"{etc}/group", "w") as file:
            file.write(f"root:x:0:\nnonroot:x:{self.USER}:\n")

    def start_coordinator(self):
        here = self.switch.address[""]
        self.cluster = Cluster("--spawn", "0", ready=False, listen=f"{here}:0")
        self.addCleanup(self.cluster.stop)
        self.address = wait_until(lambda: next((w for w in self.cluster.text_of_log().split() if w.startswith(here + ":")), None),
                                  "it listens")
        self.cluster.connect(self.address)

    def pod(self, host, name, *command):
        home = f"{self.directory}/{host}"
        os.mkdir(home)
        os.chown(home, self.USER, self.USER)
        # what a pod mounts at /etc/millrace/ssh
        inside = 'mkdir -p /etc/millrace/ssh && mount --bind "$1" /etc/millrace/ssh && hostname "$2" && shift 2 && exec "$@"'
        environment = {"PATH": f"{BIN}:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": home, "LWS_LEADER_ADDRESS": self.LEADER,
                       "LWS_GROUP_SIZE": "2", "MILLRACE_MODEL": DEMO, "MILLRACE_COORDINATOR": self.address, "MILLRACE_REPLICA": "wide",
                       "MILLRACE_READY_FILE": f"{home}/ready", "OMPI_MCA_oob_tcp_if_include": "eth0",
                       "OMPI_MCA_btl_tcp_if_include": "eth0", "OMPI_MCA_mpi_yield_when_idle": "1"}
        with open(f"{self.directory}/{host}.log", "wb") as log:
            self.processes.append(subprocess.Popen(
                ["ip", "netns", "exec", self.switch.namespace(host), "unshare", "--uts", "--mount", "--pid", "--fork", "--kill-child",
                 "--mount-proc", "sh", "-c", inside, "sh", self.keys, name, *self.as_user(*command)],
                env=environment, stdout=log, stderr=log))
        return self.processes[-1]

    def delete(self, pod):
        """SIGTERM to its process 1."""
        os.kill(children_of(pod.pid)[0][0], signal.SIGTERM)

    def logs(self):
        return "\n".join(read(f"{self.directory}/{host}.log").decode(errors="replace")[-1500:] for host in ("h1", "h2"))

    def test_leader_and_worker(self):
        """They become a replica, write the text of one host, and drain when both get SIGTERM, as all pods of a group do."""
        scripts = f"{SOURCE}/deploy/kubernetes"
        worker = self.pod("h2", "group-1", f"{scripts}/group-worker.sh")
        leader = self.pod("h1", "group", f"{scripts}/group-leader.sh", "2", "1")
        try:
            wait_until(lambda: [(r.state, r.ranks) for r in self.cluster.status().replicas] == [("ready", 2)], "the group is a replica")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.logs()}") from None
        wait_until(lambda: os.path.exists(f"{self.directory}/h1/ready"), "the leader says so")
        events = []
        for event in self.cluster.generate(api.GenerateRequest(**REQUEST), timeout=60):
            events.append(event)
            if event.WhichOneof("kind") == "frame" and event.frame.step == 3:
                for pod in (worker, leader):
                    self.delete(pod)
        self.assertEqual(check_stream(events).replica, "wide")
        self.assertEqual([leader.wait(60), worker.wait(60)], [0, 0], self.logs())
        with Cluster(ranks=1) as alone:
            self.assertEqual(list(events[-1].finished.ids), list(alone.text(**REQUEST).ids))

    def test_a_leader_that_waits_ends_at_once(self):
        """Its other pod never comes."""
        leader = self.pod("h1", "group", f"{SOURCE}/deploy/kubernetes/group-leader.sh", "2", "1")
        wait_until(lambda: "waiting for" in read(f"{self.directory}/h1.log").decode(), "it waits")
        self.delete(leader)
        self.assertEqual(leader.wait(20), 0)


if __name__ == "__main__":
    if not can_make_hosts():
        sys.exit(77)
    unittest.main()
