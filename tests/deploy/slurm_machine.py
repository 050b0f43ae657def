"""A real Slurm of this machine, which a test starts and ends, and what the tests of it have in common."""
import glob
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.environ["MILLRACE_SOURCE"], "tests/e2e"))
import grpc  # noqa: E402
from cluster import BIN, alive, api, children_of, wait_until  # noqa: E402

PROGRAMS = {name: shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
            for name in ("munged", "slurmctld", "slurmd", "sbatch", "srun", "salloc", "scontrol", "squeue", "sinfo", "scancel")}


def skip(reason):
    print("skipped:", reason)
    sys.exit(77)


def free_ports(n):
    held = [socket.socket() for _ in range(n)]
    for s in held:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


CONF = """ClusterName=test
SlurmctldHost={host}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={directory}/munge.socket
CredType=cred/munge
MpiDefault=pmix
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
SlurmctldPidFile={directory}/slurmctld.pid
SlurmctldLogFile={directory}/slurmctld.log
StateSaveLocation={directory}/state
SlurmdPidFile={directory}/slurmd.%n.pid
SlurmdLogFile={directory}/slurmd.%n.log
SlurmdSpoolDir={directory}/spool.%n
SlurmctldPort={controller}
GresTypes=gpu
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_min_interval=100000
MinJobAge=2
KillWait=5
TmpFS={directory}/tmp.%n
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
NODE = "NodeName=n{number} NodeHostname=localhost NodeAddr={address} Port={port} CPUs={cpus} RealMemory=4000 {gres} State=UNKNOWN"


class Slurm:
    """munged, slurmctld and a slurmd for each node in the foreground, as children of this test."""

    def __init__(self, directory, n_nodes=1, gpus=0):
        self.directory, self.children, self.n_nodes, self.gpus = directory, [], n_nodes, gpus
        self.environment = {**os.environ, "SLURM_CONF": f"{directory}/slurm.conf"}

    host = "localhost"  # the controller's

    def node_lines(self, ports):
        gres = f"Gres=gpu:{self.gpus}" if self.gpus else ""
        return "\n".join(NODE.format(number=i + 1, address="127.0.0.1", port=port, cpus=4, gres=gres) for i, port in enumerate(ports))

    def prefix(self, node):
        """What slurmd of that node is started with."""
        return []

    def open(self):
        directory = self.directory
        controller, *ports = free_ports(1 + self.n_nodes)
        names = [f"n{i + 1}" for i in range(self.n_nodes)]
        for name in ["state"] + [f"{kind}.{name}" for kind in ("spool", "tmp") for name in names]:
            os.mkdir(f"{directory}/{name}")
        for gpu in range(self.gpus):
            os.symlink("/dev/null", f"{directory}/nvidia{gpu}")
        with open(f"{directory}/gres.conf", "w") as file:  # GPUs that are only names
            file.write(f"Name=gpu File={directory}/nvidia[0-{self.gpus - 1}]\n" if self.gpus else "")
        conf = f"{directory}/slurm.conf"
        with open(conf, "w") as file:
            file.write(CONF.format(directory=directory, controller=controller, host=self.host, nodes=self.node_lines(ports)))
        key = f"{directory}/munge.key"
        with open(key, "wb") as file:
            file.write(os.urandom(1024))
        os.chmod(key, 0o400)
        os.chmod(directory, 0o755)
        self.start("munged", "--foreground", "--force", f"--key-file={key}", f"--socket={directory}/munge.socket",
                   f"--log-file={directory}/munged.log", f"--pid-file={directory}/munged.pid", f"--seed-file={directory}/munge.seed")
        wait_until(lambda: os.path.exists(f"{directory}/munge.socket"), "munged listens", 10)
        self.start("slurmctld", "-D", "-f", conf)
        for name in names:
            self.start("slurmd", "-D", "-f", conf, "-N", name, log=f"slurmd.{name}", prefix=self.prefix(name))
        wait_until(lambda: self.run("sinfo", "-h", "-N", "-o", "%T", check=False).split() == ["idle"] * self.n_nodes,
                   "the nodes are idle", 60)

    def start(self, name, *arguments, log=None, prefix=()):
        log = open(f"{self.directory}/{log or name}.out", "wb")
        self.children.append(subprocess.Popen([*prefix, PROGRAMS[name], *arguments], env=self.environment, stdout=log, stderr=log,
                                              cwd=self.directory))

    def run(self, name, *arguments, check=True, environment=None):
        done = subprocess.run([PROGRAMS[name], *arguments], env={**self.environment, **(environment or {})}, cwd=self.directory,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
        if check and done.returncode:
            raise AssertionError(f"{name} {arguments}: {done.returncode}: {done.stdout}")
        return done.stdout

    def submit(self, *arguments, environment=None):
        return self.run("sbatch", "--parsable", f"--output={self.directory}/job-%j.log", *arguments,
                        environment={"MILLRACE_BIN": BIN, **(environment or {})}).strip().split("\n")[-1]

    def state(self, job):
        return self.run("squeue", "-h", "-j", job, "-o", "%T", check=False).strip()

    def log_of(self, job):
        with open(f"{self.directory}/job-{job}.log", errors="replace") as file:
            return file.read()

    def close(self):
        try:
            if len(self.children) == 2 + self.n_nodes:
                self.run("scancel", "--full", "--user=root", check=False)
                wait_until(lambda: not self.run("squeue", "-h", check=False).strip(), "no job is left", 20)
        finally:
            for child in reversed(self.children):
                left = [pid for pid, _ in children_of(child.pid)]
                child.terminate()
                try:
                    child.wait(10)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()
                for pid in left + processes_of(self):
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass


def read(path):
    with open(path, "rb") as file:
        return file.read()


class Access:
    """How a client reaches a cluster: what `. millrace-JOB.env` sets, or an address alone."""

    def __init__(self, endpoint, ca=None, name=None, token=None):
        self.endpoint, self.ca, self.name, self.token = endpoint, ca, name, token

    @classmethod
    def of_file(cls, path):
        done = subprocess.run(["env", "-i", "sh", "-c", '. "$0" && env', path], stdout=subprocess.PIPE, text=True, check=True)
        settings = dict(line.split("=", 1) for line in done.stdout.splitlines())
        token = settings.get("MILLRACE_TOKEN_FILE")
        return cls(settings["MILLRACE_ENDPOINT"], settings.get("MILLRACE_TLS_CA"), settings.get("MILLRACE_TLS_SERVER_NAME"),
                   read(token).decode().strip() if token else None)

    def channel(self):
        if not self.ca:
            return grpc.insecure_channel(self.endpoint)
        return grpc.secure_channel(self.endpoint, grpc.ssl_channel_credentials(read(self.ca)),
                                   [("grpc.ssl_target_name_override", self.name)])

    def metadata(self):
        return [("authorization", f"Bearer {self.token}")] if self.token else []


def write(access, seed=7, steps=64, length=200, on_frame=None, timeout=60):
    """The text. on_frame: called with the step of each frame."""
    with access.channel() as channel:
        call = channel.unary_stream("/millrace.v1.Millrace/Generate", api.GenerateRequest.SerializeToString,
                                    api.GenerateEvent.FromString)
        request = api.GenerateRequest(prompt="Once upon a time", seed=seed, steps=steps, length=length)
        seen, text = [], None
        for event in call(request, timeout=timeout, wait_for_ready=True, metadata=access.metadata()):
            if event.WhichOneof("kind") == "frame":
                seen.append(event.frame.step)
                if on_frame:
                    on_frame(event.frame.step)
            elif event.WhichOneof("kind") == "finished":
                text = event.finished.text
        assert text is not None and seen == sorted(set(seen)), seen
        return text


def assert_closed(access):
    """Nobody else may use it: not in the clear, not without the token."""
    for other in (Access(access.endpoint), Access(access.endpoint, access.ca, access.name),
                  Access(access.endpoint, access.ca, access.name, "0" * 64)):
        try:
            with other.channel() as channel:
                channel.unary_unary("/millrace.v1.Millrace/Status", api.StatusRequest.SerializeToString,
                                    api.StatusResponse.FromString)(api.StatusRequest(), timeout=10, metadata=other.metadata())
        except grpc.RpcError as error:
            expected = grpc.StatusCode.UNAUTHENTICATED if other.ca else grpc.StatusCode.UNAVAILABLE
            assert error.code() == expected, error
            continue
        raise AssertionError(f"open to whoever has {'its certificate' if other.ca else 'its address'}")


def processes_of(slurm, program=""):
    """Slurm's steps are nobody's children: known by the configuration in their environment. Their ranks first."""
    found = []
    for path in glob.glob("/proc/[0-9]*/environ"):
        try:
            with open(path, "rb") as environ, open(path.replace("environ", "cmdline"), "rb") as line:
                if slurm.directory.encode() in environ.read() and line.read().startswith(program.encode()):
                    found.append(int(path.split("/")[2]))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid() and alive(pid)]


def workers(slurm):
    return processes_of(slurm, f"{BIN}/millrace-worker")


def access_of(slurm, job):
    path = f"{slurm.directory}/millrace-{job}"
    wait_until(lambda: os.path.exists(f"{path}.endpoint") and os.path.getsize(f"{path}.endpoint"), "the job says where it listens", 30)
    access = Access.of_file(f"{path}.env")
    assert read(f"{path}.endpoint").decode().strip() == access.endpoint
    return access


def end_by_signal(slurm, job):
    """What --signal=B:TERM@120 does two minutes before the limit."""
    slurm.run("scancel", "--batch", "--signal=TERM", job)


def assert_ended(slurm, job):
    """After its drain: nothing is left of it, its keys neither."""
    wait_until(lambda: slurm.state(job) in ("", "COMPLETED"), "the job ends after its drain", 30)
    log = slurm.log_of(job)
    assert "drained, coordinator ended with 0" in log, log
    wait_until(lambda: not workers(slurm), "no rank is left", 20)
    left = [path for path in glob.glob(f"{slurm.directory}/millrace-{job}.*")]
    assert not left, left


def needs_slurm():
    missing = [name for name, path in PROGRAMS.items() if not path]
    if missing:
        skip(f"no {', '.join(missing)} (Debian: slurm-wlm munge)")
    if os.geteuid():
        skip("slurmd wants root")


def run_on(slurm, title, test):
    """test(slurm) on a Slurm that is started and ended; its logs, where that fails."""
    began, failed = time.monotonic(), True
    try:
        slurm.open()
        test(slurm)
        failed = False
    finally:
        if failed:
            for name in sorted(os.listdir(slurm.directory)):
                if name.endswith((".log", ".out")):
                    print(f"--- {name}\n" + read(f"{slurm.directory}/{name}").decode(errors="replace")[-3000:])
        slurm.close()
        shutil.rmtree(slurm.directory, ignore_errors=True)
    print(f"slurm, {title}: {time.monotonic() - began:.0f} s")


def new_directory():
    return tempfile.mkdtemp(prefix="millrace-slurm-")
