"""deploy/slurm/*.sbatch on a real Slurm of one machine, which this test starts and ends.

A cluster as one job answers a request, survives a killed rank with the same text, drains on its signal before the time limit;
a replica as a job of its own attaches, and comes back through Slurm's queue after it was killed. Placement: four nodes and
GPUs that are only names, with programs that say where they are. usage: slurm.py cluster|placement
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from slurm_machine import BIN, DEMO, SOURCE, PROGRAMS, Slurm, endpoint_of, skip, wait_until, workers, write  # noqa: E402


def test_cluster(slurm):
    job = slurm.submit("--ntasks=2", "--cpus-per-task=1", "--time=10", f"{SOURCE}/deploy/slurm/cluster.sbatch", DEMO,
                       environment={"MILLRACE_RANKS": "2"})
    endpoint = endpoint_of(slurm, job)
    calm = write(endpoint)
    killed = []

    def kill_a_rank(step):
        if step == 5 and not killed:
            killed.append(workers(slurm)[0])
            os.kill(killed[0], signal.SIGKILL)

    assert write(endpoint, on_frame=kill_a_rank) == calm, "a killed rank changed the text"
    assert killed

    # What --signal=B:TERM@120 does two minutes before the limit, in the middle of a text: it finishes, the job ends.
    def end_the_job(step):
        if step == 3:
            slurm.run("scancel", "--batch", "--signal=TERM", job)

    assert write(endpoint, on_frame=end_the_job) == calm, "a text was lost in the drain"
    wait_until(lambda: slurm.state(job) in ("", "COMPLETED"), "the job ends after its drain", 30)
    log = slurm.log_of(job)
    assert "drained, coordinator ended with 0" in log, log
    wait_until(lambda: not workers(slurm), "no rank is left", 20)
    return calm


def test_replica_jobs(slurm, calm):
    """The coordinator is not a Slurm job; two array tasks are its replicas."""
    log = f"{slurm.directory}/coordinator.log"
    with open(log, "wb") as file:
        coordinator = subprocess.Popen([f"{BIN}/millrace-coordinator", "--model", DEMO, "--listen", "127.0.0.1:0", "--spawn", "0"],
                                       stderr=file)
    try:
        address = wait_until(lambda: (re.findall(r" on (127\.0\.0\.1:\d+)\n", open(log).read()) or [None])[0], "an address", 20)
        job = slurm.submit("--array=0-1", "--ntasks=1", "--time=10", f"{SOURCE}/deploy/slurm/replica.sbatch", DEMO,
                           environment={"MILLRACE_COORDINATOR": address})
        wait_until(lambda: len(workers(slurm)) == 2, "two replicas run", 30)
        assert write(address) == calm, "another replica, another text"
        os.kill(workers(slurm)[0], signal.SIGKILL)
        assert write(address) == calm
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

    def command(*arguments, code=0):
        done = subprocess.run([f"{SOURCE}/deploy/slurm/millrace-slurm", *arguments], env=environment, text=True, timeout=90,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.returncode == code, done.stdout
        return done.stdout

    assert "'/nowhere' is no model directory" in command("up", "/nowhere", code=1)
    up = command("up", DEMO, "--ntasks=2", "--cpus-per-task=1", "--time=10")
    endpoint, job = (re.search(rf"^{word} (\S+)$", up, re.M)[1] for word in ("endpoint", "job"))
    assert endpoint.startswith("127.0.0.1:"), endpoint
    assert command("endpoint", job).strip() == endpoint
    assert "ready" in command("status", job) and job in command("status")
    assert write(endpoint) == calm
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


def run(kind, slurm):
    if kind == "placement":
        test_placement(slurm)
        test_gpus(slurm)
        return
    test_bad_arguments(slurm)
    calm = test_cluster(slurm)
    test_one_command(slurm, calm)
    test_replica_jobs(slurm, calm)


def main(kind):
    missing = [name for name, path in PROGRAMS.items() if not path]
    if missing:
        skip(f"no {', '.join(missing)} (Debian: slurm-wlm munge)")
    if os.geteuid():
        skip("slurmd wants root")
    directory = tempfile.mkdtemp(prefix="millrace-slurm-")
    began = time.monotonic()
    slurm = Slurm(directory, 4, 4) if kind == "placement" else Slurm(directory)
    failed = True
    try:
        slurm.open()
        run(kind, slurm)
        failed = False
    finally:
        if failed:
            for name in sorted(os.listdir(directory)):
                if name.endswith((".log", ".out")):
                    print(f"--- {name}\n" + open(f"{directory}/{name}", errors="replace").read()[-3000:])
        slurm.close()
        shutil.rmtree(directory, ignore_errors=True)
    print(f"slurm, {kind}: {time.monotonic() - began:.0f} s")


main(sys.argv[1])
