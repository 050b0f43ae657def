"""A cluster of Slurm over three hosts with a network between them: a heterogeneous job, the coordinator on a host without GPUs, one
replica whose two ranks are on two others and find each other by PMIx. Its text is that of one host, also when a rank dies; nobody without
the job's token is let in; it drains.
"""
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from slurm_machine import (NODE, Slurm, access_of, assert_closed, assert_ended, end_by_signal, needs_slurm, new_directory,  # noqa: E402
                           processes_of, run_on, skip, workers, write, BIN)
from cluster import DEMO, SOURCE, Cluster, try_namespaces  # noqa: E402
from switch import Switch  # noqa: E402


class SlurmOfHosts(Slurm):
    """Node n1, n2, ... is the host of that name. They see each other's files, as hosts of a cluster do."""

    def __init__(self, directory, switch):
        super().__init__(directory, len(switch.names) - 1, 1)
        self.switch = switch
        # slurmctld wants to be on the host that is named.
        self.host = f"{os.uname().nodename}({switch.address['']})"

    def node_lines(self, ports):
        lines = []
        for i, port in enumerate(ports):
            gres = f"Gres=gpu:{self.gpus}" if i else ""  # the first has none
            lines.append(NODE.format(number=i + 1, address=self.switch.address[f"n{i + 1}"], port=port, cpus=2, gres=gres))
        return "\n".join(lines)

    def prefix(self, node):
        # Not `ip netns exec`: it lays a /sys of its own, in which slurmd finds no cgroups.
        return ["nsenter", f"--net=/run/netns/{self.switch.namespace(node)}", "unshare", "--uts", "sh", "-c", 'hostname "$0"; exec "$@"', node]

    def host_of(self, pid):
        """The node whose network that process has."""
        space = os.stat(f"/proc/{pid}/ns/net").st_ino
        return next((name for name in self.switch.names if name and os.stat(f"/run/netns/{self.switch.namespace(name)}").st_ino == space), "")


def test(slurm):
    with Cluster(ranks=1) as alone:
        expected = alone.text(prompt="Once upon a time", seed=7, steps=64, length=200).text
    job = slurm.submit("--nodelist=n1", "--ntasks=1", ":", "--nodes=2", "--ntasks-per-node=1", "--gres=gpu:1", "--time=10",
                       f"{SOURCE}/deploy/slurm/cluster.sbatch", DEMO,
                       environment={"MILLRACE_RANKS": "2", "MILLRACE_INTERFACE": "eth0", "MILLRACE_BACKEND": "cpu",
                                    "OMPI_MCA_btl": "tcp,self", "OMPI_MCA_btl_tcp_if_include": "eth0", "OMPI_MCA_mpi_yield_when_idle": "1"})
    access = access_of(slurm, job)
    assert access.endpoint.startswith(slurm.switch.address["n1"] + ":"), access.endpoint
    assert write(access, timeout=120) == expected, "another text than that of one host"
    assert sorted(slurm.host_of(pid) for pid in workers(slurm)) == ["n2", "n3"]
    assert [slurm.host_of(pid) for pid in processes_of(slurm, f"{BIN}/millrace-coordinator")] == ["n1"]
    print("two ranks on two hosts, by PMIx", flush=True)
    assert_closed(access)
    killed = []

    def kill_a_rank(step):
        if step == 5 and not killed:
            killed.append(workers(slurm)[0])
            os.kill(killed[0], signal.SIGKILL)

    assert write(access, timeout=120, on_frame=kill_a_rank) == expected, "a killed rank changed the text"
    print("a killed rank: the same text", flush=True)
    assert write(access, timeout=120, on_frame=lambda step: step == 3 and end_by_signal(slurm, job)) == expected, "a text was lost in the drain"
    assert_ended(slurm, job)


def main():
    needs_slurm()
    try:
        try_namespaces(lambda: Switch(["a"]).remove())
    except (OSError, subprocess.CalledProcessError) as error:
        skip(f"no hosts can be made here: {error}")
    switch = Switch(["", "n1", "n2", "n3"])
    try:
        run_on(SlurmOfHosts(new_directory(), switch), "hosts", test)
    finally:
        switch.remove()


main()
