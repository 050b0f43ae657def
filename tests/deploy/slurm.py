"""deploy/slurm/*.sbatch on a real Slurm of one machine, which this test starts and ends.

A cluster as one job answers a request, survives a killed rank with the same text, drains on its signal before the time limit;
a replica as a job of its own attaches, and comes back through Slurm's queue after it was killed. Placement: four nodes and
GPUs that are only names, with programs that say where they are. usage: slurm.py cluster|placement
"""
import os
import re
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from slurm_machine import (BIN, Access, Slurm, access_of, assert_closed, assert_ended, end_by_signal, needs_slurm, new_directory,  # noqa: E402
                           read, run_on, wait_until, workers, write)
from cluster import DEMO, SOURCE  # noqa: E402


def test_cluster(slurm):
    job = slurm.submit("--ntasks=2", "--cpus-per-task=1", "--time=10", f"{SOURCE}/deploy/slurm/cluster.sbatch", DEMO,
                       environment={"MILLRACE_RANKS": "2"})
    access = access_of(slurm, job)
    calm = write(access)
    killed = []

    def kill_a_rank(step):
        if step == 5 and not killed:
            killed.append(workers(slurm)[0])
            os.kill(killed[0], signal.SIGKILL)

    assert write(access, on_frame=kill_a_rank) == calm, "a killed rank changed the text"
    assert killed
    assert_closed(access)
    keys = f"{slurm.directory}/millrace-{job}.keys"
    assert os.stat(keys).st_mode & 0o777 == 0o700, oct(os.stat(keys).st_mode)
    assert all(os.stat(f"{keys}/{name}").st_mode & 0o077 == 0 for name in os.listdir(keys))
    # In the middle of a text: it finishes, the job ends.
    assert write(access, on_frame=lambda step: step == 3 and end_by_signal(slurm, job)) == calm, "a text was lost in the drain"
    assert_ended(slurm, job)
    return calm


def test_first_command(slurm):
    """Inside an allocation of one task the README's first command starts the cluster that it starts elsewhere."""
    said = slurm.run("salloc", "--quiet", "-n1", f"{BIN}/millrace", "generate", "--length", "32", "It was late, and the children")
    assert re.search("^It was late, and the children", said, re.MULTILINE), said
    assert "starting a cluster of one machine" in said, said


def test_open_cluster(slurm, calm):
    """Whoever asks for it gets one that is open to all."""
    job = slurm.submit("--ntasks=1", "--time=10", f"{SOURCE}/deploy/slurm/cluster.sbatch", DEMO,
                       environment={"MILLRACE_OPEN": "1", "MILLRACE_HOST": "127.0.0.1"})
    access = access_of(slurm, job)
    assert access.ca is None and access.token is None and write(access) == calm
    end_by_signal(slurm, job)
    assert_ended(slurm, job)


def test_replica_jobs(slurm, calm):
    """The coordinator is not a Slurm job; two array tasks are its replicas."""
    log = f"{slurm.directory}/coordinator.log"
    with open(log, "wb") as file:
        coordinator = subprocess.Popen([f"{BIN}/millrace-coordinator", "--model", DEMO, "--listen", "127.0.0.1:0", "--spawn", "0"],
                                       stderr=file)
    try:
        address = wait_until(lambda: (re.findall(r" on (127\.0\.0\.1:\d+)\n", read(log).decode()) or [None])[0], "an address", 20)
        access = Access(address)
        job = slurm.submit("--array=0-1", "--ntasks=1", "--time=10", f"{SOURCE}/deploy/slurm/replica.sbatch", DEMO,
                           environment={"MILLRACE_COORDINATOR": address})
        wait_until(lambda: len(workers(slurm)) == 2, "two replicas run", 30)
        assert write(access) == calm, "another replica, another text"
        os.kill(workers(slurm)[0], signal.SIGKILL)
        assert write(access) == calm
        wait_until(lambda: "back into the queue" in "".join(slurm.log_of(f) for f in logs(slurm)), "the job is requeued", 30)
        slurm.run("scancel", job, check=False)
        wait_until(lambda: not workers(slurm), "no replica is left", 30)
    finally:
        coordinator.send_signal(signal.SIGTERM)
        coordinator.wait(40)


def test_one_command(slurm, calm):
    """millrace-slurm: up waits until the cluster answers, down lets it finish."""
    environment = {**slurm.environment, "MILLRACE_BIN": BIN, "MILLRACE_SLURM_DIRECTORY": slurm.directory, "MILLRACE_RANKS": "2",
                   "MILLRACE_HOST": "127.0.0.1"}
    script = f"{SOURCE}/deploy/slurm/millrace-slurm"

    def command(*arguments, code=0):
        done = subprocess.run([script, *arguments], env=environment, text=True, timeout=90,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.returncode == code, done.stdout
        return done.stdout

    assert "'/nowhere' is no model directory" in command("up", "/nowhere", code=1)
    up = command("up", DEMO, "--ntasks=2", "--cpus-per-task=1", "--time=10")
    endpoint, job = (re.search(rf"^{word} (\S+)$", up, re.M)[1] for word in ("endpoint", "job"))
    assert endpoint.startswith("127.0.0.1:"), endpoint
    assert command("endpoint", job).strip() == endpoint
    assert "ready" in command("status", job) and job in command("status")
    assert write(access_of(slurm, job)) == calm
    typed = subprocess.run(["bash", "-c", f'eval "$(\'{script}\' env {job})" && "$MILLRACE_BIN/millrace" generate --steps 2 --length 16 Once'],
                           env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    assert typed.returncode == 0 and typed.stdout.startswith("Once"), typed.stdout
    assert f"job {job} has ended" in command("down", job)
    assert not workers(slurm)
    assert "there is no job" in command("down", job, code=1)


def logs(slurm):
    return [name[4:-4] for name in os.listdir(slurm.directory) if name.startswith("job-")]


def test_bad_arguments(slurm):
    missing = f"{slurm.directory}/missing"
    job = slurm.submit("--ntasks=1", f"{SOURCE}/deploy/slurm/cluster.sbatch", missing)
    wait_until(lambda: slurm.state(job) in ("", "FAILED"), "the job ends", 20)
    assert f"'{missing}' is no model directory" in slurm.log_of(job)


# ---- four nodes with GPUs that are only names: where do the ranks go? ----

STUBS = {
    "millrace-coordinator": """trap 'kill $!; exit 0' TERM
sleep 600 & wait""",
    # Says where it is and which GPUs of the node its step has, and stays there, as a replica does.
    "millrace-worker": """while [ "$1" != --replica ]; do shift; done
echo "$2 $SLURM_STEP_ID $SLURMD_NODENAME $SLURM_PROCID ${SLURM_STEP_GPUS:-${GPU_DEVICE_ORDINAL:-none}}" >>"$STUB_LOG"
trap 'kill $!; exit 0' TERM
sleep 600 & wait""",
}


def stubs(slurm):
    directory = f"{slurm.directory}/stubs"
    os.makedirs(directory, exist_ok=True)
    for name, text in STUBS.items():
        with open(f"{directory}/{name}", "w") as file:
            file.write("#!/bin/bash\n" + text + "\n")
        os.chmod(f"{directory}/{name}", 0o755)
    return directory


def place(slurm, n_ranks, *options, **environment):
    """{replica: [(node, GPUs of its step), ...]} of a job with `options`, when all of its ranks run."""
    log = tempfile.mktemp(dir=slurm.directory, prefix="ranks-")
    open(log, "w").close()
    job = slurm.submit(*options, "--time=10", f"{SOURCE}/deploy/slurm/cluster.sbatch", DEMO,
                       environment={"MILLRACE_BIN": stubs(slurm), "MILLRACE_SRUN_MPI": "none", "STUB_LOG": log, **environment})

    def lines():
        with open(log) as file:
            return [line.split() for line in file]

    try:
        wait_until(lambda: len(lines()) >= n_ranks, f"{n_ranks} ranks run", 60)
        found = {}
        for replica, _, node, _, gpus in lines():
            found.setdefault(replica, []).append((node, gpus))
        return found
    finally:
        slurm.run("scancel", "--batch", "--signal=TERM", job, check=False)
        wait_until(lambda: slurm.state(job) == "", "the job ends", 60)


def nodes_of(ranks):
    return sorted({node for node, _ in ranks})


def test_placement(slurm):
    # One node's ranks are a replica: four replicas, each on a node of its own.
    found = place(slurm, 16, "--nodes=4", "--ntasks=16")
    assert sorted(nodes_of(ranks) for ranks in found.values()) == [["n1"], ["n2"], ["n3"], ["n4"]], found
    # Smaller ones share a node; larger ones take as few nodes as they fit on.
    found = place(slurm, 16, "--nodes=4", "--ntasks=16", MILLRACE_RANKS="2")
    assert len(found) == 8 and all(len(nodes_of(ranks)) == 1 for ranks in found.values()), found
    found = place(slurm, 16, "--nodes=4", "--ntasks=16", MILLRACE_RANKS="8")
    assert len(found) == 2 and all(len(nodes_of(ranks)) == 2 for ranks in found.values()), found
    print("placement: replicas of 4, 2 and 8 ranks on 4 nodes of 4", flush=True)


def test_gpus(slurm):
    """Two replicas of two ranks on each node of four GPUs: all run at once, with GPUs of their own."""
    for option in ("--gres=gpu:4", "--gpus-per-node=4", "--gpus-per-task=1", "--gpus=8"):
        found = place(slurm, 8, "--nodes=2", "--ntasks-per-node=4", option, MILLRACE_RANKS="2")
        assert len(found) == 4 and all(len(nodes_of(ranks)) == 1 for ranks in found.values()), (option, found)
        taken = sorted((ranks[0][0], gpu) for ranks in found.values() for gpu in ranks[0][1].split(","))
        assert len(set(taken)) == 8, (option, taken)
        print(f"GPUs: {option}: {taken}", flush=True)


def test_heterogeneous(slurm):
    """The coordinator in a component without GPUs, replicas in the others, each component with ranks of its own."""
    found = place(slurm, 8, "--nodelist=n1", "--ntasks=1", ":", "--nodes=2", "--ntasks-per-node=4", "--gres=gpu:4", MILLRACE_RANKS="2")
    assert len(found) == 4 and nodes_of([rank for ranks in found.values() for rank in ranks]) in (["n2", "n3"], ["n2", "n4"], ["n3", "n4"]), found
    assert all(len(nodes_of(ranks)) == 1 for ranks in found.values()), found
    taken = {(ranks[0][0], gpu) for ranks in found.values() for gpu in ranks[0][1].split(",")}
    assert len(taken) == 8, taken
    found = place(slurm, 4, "--nodelist=n1", "--ntasks=1", ":", "--nodelist=n2", "--ntasks=1", ":", "--nodelist=n3", "--ntasks=3")
    assert sorted((nodes_of(ranks), len(ranks)) for ranks in found.values()) == [(["n2"], 1), (["n3"], 3)], found
    print("placement: heterogeneous jobs", flush=True)


def placement(slurm):
    test_placement(slurm)
    test_gpus(slurm)
    test_heterogeneous(slurm)


def cluster(slurm):
    test_bad_arguments(slurm)
    calm = test_cluster(slurm)
    test_open_cluster(slurm, calm)
    test_first_command(slurm)
    test_one_command(slurm, calm)
    test_replica_jobs(slurm, calm)


needs_slurm()
if sys.argv[1] == "placement":
    run_on(Slurm(new_directory(), 4, 4), "placement", placement)
else:
    run_on(Slurm(new_directory()), "cluster", cluster)
