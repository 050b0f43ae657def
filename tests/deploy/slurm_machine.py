"""A real Slurm of this machine, which a test starts and ends, and what the tests of it have in common."""
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.environ["MILLRACE_SOURCE"], "tests/e2e"))
import grpc  # noqa: E402
from cluster import BIN, DEMO, SOURCE, alive, api, children_of, wait_until  # noqa: E402

PROGRAMS = {name: shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
            for name in ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "squeue", "sinfo", "scancel")}


def skip(reason):
    print("skipped:", reason)
    sys.exit(77)


def free_ports(n):
    import socket
    held = [socket.socket() for _ in range(n)]
    for s in held:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


CONF = """ClusterName=test
SlurmctldHost=localhost
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
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
NODE = "NodeName=n{number} NodeHostname=localhost NodeAddr=127.0.0.1 Port={port} CPUs=4 RealMemory=4000 {gres} State=UNKNOWN"


class Slurm:
    """munged, slurmctld and a slurmd for each node in the foreground, as children of this test."""

    def __init__(self, directory, n_nodes=1, gpus=0):
        self.directory, self.children, self.n_nodes, self.gpus = directory, [], n_nodes, gpus
        self.environment = {**os.environ, "SLURM_CONF": f"{directory}/slurm.conf"}

    def open(self):
        directory = self.directory
        controller, *ports = free_ports(1 + self.n_nodes)
        names = [f"n{i + 1}" for i in range(self.n_nodes)]
        for name in ["state"] + [f"spool.{name}" for name in names]:
            os.mkdir(f"{directory}/{name}")
        gres = f"Gres=gpu:{self.gpus}" if self.gpus else ""
        nodes = "\n".join(NODE.format(number=i + 1, port=port, gres=gres) for i, port in enumerate(ports))
        for gpu in range(self.gpus):
            os.symlink("/dev/null", f"{directory}/nvidia{gpu}")
        with open(f"{directory}/gres.conf", "w") as file:  # GPUs that are only names
            file.write(f"Name=gpu File={directory}/nvidia[0-{self.gpus - 1}]\n" if self.gpus else "")
        conf = f"{directory}/slurm.conf"
        with open(conf, "w") as file:
            file.write(CONF.format(directory=directory, controller=controller, nodes=nodes))
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
            self.start("slurmd", "-D", "-f", conf, "-N", name, log=f"slurmd.{name}")
        wait_until(lambda: self.run("sinfo", "-h", "-N", "-o", "%T", check=False).split() == ["idle"] * self.n_nodes,
                   "the nodes are idle", 60)

    def start(self, name, *arguments, log=None):
        log = open(f"{self.directory}/{log or name}.out", "wb")
        self.children.append(subprocess.Popen([PROGRAMS[name], *arguments], env=self.environment, stdout=log, stderr=log,
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


def write(endpoint, seed=7, steps=64, length=200, on_frame=None, timeout=60):
    """The text, and the steps that its frames had."""
    with grpc.insecure_channel(endpoint) as channel:
        call = channel.unary_stream("/millrace.v1.Millrace/Generate", api.GenerateRequest.SerializeToString,
                                    api.GenerateEvent.FromString)
        request = api.GenerateRequest(prompt="Once upon a time", seed=seed, steps=steps, length=length)
        seen, text = [], None
        for event in call(request, timeout=timeout, wait_for_ready=True):
            if event.WhichOneof("kind") == "frame":
                seen.append(event.frame.step)
                if on_frame:
                    on_frame(event.frame.step)
            elif event.WhichOneof("kind") == "finished":
                text = event.finished.text
        assert text is not None and seen == sorted(set(seen)), seen
        return text


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


def endpoint_of(slurm, job):
    path = f"{slurm.directory}/millrace-{job}.endpoint"
    wait_until(lambda: os.path.exists(path) and os.path.getsize(path), "the job says where it listens", 30)
    with open(path) as file:
        return file.read().strip()
