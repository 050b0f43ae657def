"""soak.py SECONDS SEED: what tests/soak.sh says. (soak.py client ADDRESS SEED SECONDS POOL: one of its client processes.)

Accepted means answered. A client counts a request as accepted when it has read Accepted, and then as exactly one of
  finished   all steps came, each once and in order, and then Finished
  cancelled  by this client: cancelled, its channel closed, or its short deadline passed
  failed     a status that says why
  lost       anything else: a stream that ends without a word, or says nothing for two minutes
  wrong      (beside finished) the text is not the one that an undisturbed cluster writes for the same request, or a step came
             twice, or one was left out
"""
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time

import grpc

from cluster import Attached, Cluster, alive, api, parent_of, wait_until

N_PROCESSES, N_THREADS = 3, 8
LOST_SECONDS = 120
PATIENT_SECONDS = 900  # for the references, under a sanitizer on a machine that others load
REPLICA_TIMEOUT = 4  # seconds
KINDS = ("finished", "cancelled", "failed", "lost", "wrong")


# ---- requests ----

def make_pool(seed, n):
    """Requests as dictionaries; the same for the same seed."""
    dice = random.Random(seed)
    prompts = ["", "The sea was", "Once upon a time there was", "It rained all day, and"]
    solvers = ["CUMULATIVE", "CUMULATIVE", "CUMULATIVE", "STRATIFIED", "MIXTURE_EULER", "DFM_EULER"]
    return [dict(length=min(1024, int(dice.lognormvariate(4.3, 0.8)) + 16), steps=dice.choice((1, 2, 4, 8, 8, 16, 32)),
                 seed=dice.randrange(1 << 64), prompt=dice.choice(prompts), temperature=dice.choice((0.7, 1.0, 1.0, 1.3)),
                 solver=dice.choice(solvers)) for _ in range(n)]


def add_references(pool):
    """What a cluster that nobody disturbs writes."""
    with Cluster("--max-queue", str(len(pool)), ranks=2) as cluster:
        calls = [cluster.generate(api.GenerateRequest(**request), PATIENT_SECONDS) for request in pool]
        for request, call in zip(pool, calls):
            request["reference"] = [list(event.finished.ids) for event in call if event.WhichOneof("kind") == "finished"][0]


# ---- one client process ----

class Client:
    def __init__(self, address, seed, seconds, pool):
        self.address, self.pool = address, pool
        self.end = time.monotonic() + seconds
        self.lock = threading.Lock()
        self.counts = dict.fromkeys(("accepted", "refused", *KINDS), 0)
        self.notes = []
        self.threads = [threading.Thread(target=self.work, args=(random.Random(f"{seed}/{i}"),)) for i in range(N_THREADS)]

    def run(self):
        for thread in self.threads:
            thread.start()
        for thread in self.threads:
            thread.join()
        return {"counts": self.counts, "notes": self.notes[:20]}

    def count(self, kind, why=None):
        with self.lock:
            self.counts[kind] += 1
            if why:
                self.notes.append(f"{kind}: {why}")

    def connect(self):
        return grpc.insecure_channel(self.address, options=[("grpc.use_local_subchannel_pool", 1)])

    def work(self, dice):
        channel = self.connect()
        while time.monotonic() < self.end:
            request = dice.choice(self.pool)
            whim = dice.random()
            leave_at = dice.randrange(request["steps"] + 1) if whim < 0.2 else None
            timeout = dice.uniform(0.02, 1.5) if 0.2 <= whim < 0.3 else LOST_SECONDS
            how = self.ask(channel, dice, request, leave_at, timeout)
            if how == "refused":
                time.sleep(dice.uniform(0.05, 0.3))  # as it was told to
            if leave_at is not None and dice.random() < 0.3:  # the whole connection goes
                channel.close()
                channel = self.connect()
        channel.close()

    def ask(self, channel, dice, request, leave_at, timeout):
        fields = {key: value for key, value in request.items() if key != "reference"}
        if hasattr(api, "Priority"):
            fields["priority"] = dice.choice(("NORMAL", "NORMAL", "HIGH", "LOW"))
        method = channel.unary_stream("/millrace.v1.Millrace/Generate", request_serializer=lambda m: m.SerializeToString(),
                                      response_deserializer=api.GenerateEvent.FromString)
        stream = Stream(request)
        call = method(api.GenerateRequest(**fields), timeout=timeout)
        try:
            for event in call:
                stream.take(event)
                if leave_at is not None and stream.step == leave_at and not stream.finished:
                    call.cancel()
                    leave_at = None
        except grpc.RpcError as error:
            return self.note_error(stream, request, error, timeout < LOST_SECONDS)
        return self.note_end(stream, request)

    def note_end(self, stream, request):
        self.count("accepted")
        if not stream.finished:
            self.count("lost", f"ended after step {stream.step} without a word: {describe(request)}")
            return "lost"
        self.count("finished")
        if stream.fault:
            self.count("wrong", f"{stream.fault}: {describe(request)}")
        return "finished"

    def note_error(self, stream, request, error, short):
        code, text = error.code(), error.details()
        if not stream.accepted:
            self.count("refused")  # or gone before anybody had read it
            return "refused"
        self.count("accepted")
        if stream.fault:
            self.count("wrong", f"{stream.fault}: {describe(request)}")
        if code == grpc.StatusCode.CANCELLED or (code == grpc.StatusCode.DEADLINE_EXCEEDED and short):
            self.count("cancelled")
        elif code == grpc.StatusCode.DEADLINE_EXCEEDED or not text:
            self.count("lost", f"{code} after step {stream.step}: {text}: {describe(request)}")
        else:
            self.count("failed", f"{code}: {text}")
        return "failed"


class Stream:
    """What has come of one request."""

    def __init__(self, request):
        self.request, self.accepted, self.step, self.finished, self.fault = request, False, -1, False, None
        self.ids = {}

    def take(self, event):
        kind = event.WhichOneof("kind")
        if kind == "accepted":
            self.accepted = True
        elif kind == "frame":
            if event.frame.step != self.step + 1:
                self.fault = f"step {event.frame.step} after step {self.step}"
            self.step = event.frame.step
            self.ids.update(zip(event.frame.positions, event.frame.ids))
        else:
            self.finished = True
            ids = list(event.finished.ids)
            if self.step != self.request["steps"]:
                self.fault = f"finished after step {self.step}"
            elif ids != self.request["reference"]:
                self.fault = "another text"
            elif ids != [self.ids[i] for i in range(len(ids))]:
                self.fault = "the frames do not add up to the text"


def describe(request):
    return json.dumps({key: value for key, value in request.items() if key != "reference"})


# ---- what happens to the replicas ----

class Chaos:
    def __init__(self, cluster, seed):
        self.cluster, self.dice, self.counts = cluster, random.Random(f"{seed}/chaos"), {}
        self.resume = []  # (when, pid): stopped processes
        self.guest, self.n_guests = None, 0
        self.drained, self.rolled = None, "r1"
        self.next_at = time.monotonic() + 1

    def step(self):
        now = time.monotonic()
        for when, pid in [entry for entry in self.resume if entry[0] <= now]:
            self.resume.remove((when, pid))
            self.signal(pid, signal.SIGCONT)
        if now >= self.next_at:
            self.next_at = now + self.dice.uniform(0.3, 2.5)
            self.strike()

    def strike(self):
        name, weight = zip(("kill_a_rank", 3), ("kill_a_leader", 3), ("kill_mpirun", 2), ("stop_a_rank", 2), ("pause_a_rank", 2),
                           ("pause_mpirun", 1), ("pause_the_coordinator", 1), ("guest_joins_or_leaves", 4),
                           ("drain_and_restart", 2), ("roll_on", 2))
        chosen = self.dice.choices(name, weight)[0]
        try:
            if getattr(self, chosen)():
                self.counts[chosen] = self.counts.get(chosen, 0) + 1
        except ProcessLookupError:
            pass  # it was gone already

    @staticmethod
    def signal(pid, number):
        try:
            os.kill(pid, number)
            return True
        except ProcessLookupError:
            return False

    def ranks(self):
        """Of a replica of the coordinator's own, if it runs."""
        return self.cluster.workers_of(self.dice.choice(("r0", "r1")))

    def kill_a_rank(self):
        ranks = self.ranks()
        return bool(ranks) and self.signal(ranks[-1], signal.SIGKILL)

    def kill_a_leader(self):
        ranks = self.ranks()
        return bool(ranks) and self.signal(ranks[0], signal.SIGKILL)

    def kill_mpirun(self):
        ranks = self.ranks()
        mpirun = parent_of(ranks[0]) if ranks and alive(ranks[0]) else None
        return mpirun not in (None, 1, self.cluster.process.pid) and self.signal(mpirun, signal.SIGKILL)

    def stop_a_rank(self):
        """For good: it has to be noticed."""
        ranks = self.ranks()
        return bool(ranks) and self.signal(self.dice.choice(ranks), signal.SIGSTOP)

    def pause(self, pid, most):
        self.resume.append((time.monotonic() + self.dice.uniform(0.2, most), pid))
        return self.signal(pid, signal.SIGSTOP)

    def pause_a_rank(self):
        ranks = self.ranks()
        return bool(ranks) and self.pause(self.dice.choice(ranks), 2)

    def pause_mpirun(self):
        ranks = self.ranks()
        mpirun = parent_of(ranks[0]) if ranks and alive(ranks[0]) else None
        return mpirun not in (None, 1, self.cluster.process.pid) and self.pause(mpirun, 2)

    def pause_the_coordinator(self):
        return self.pause(self.cluster.process.pid, 2)

    def ask(self, name, restart):
        """Whether it was done: a replica that just starts cannot be drained, and a coordinator that is stopped says nothing."""
        if any(pid == self.cluster.process.pid for _, pid in self.resume):
            return False
        try:
            self.cluster.unary("DrainReplica", api.DrainReplicaRequest(replica=name, restart=restart), api.DrainReplicaResponse, 5)
            return True
        except grpc.RpcError as error:
            assert error.code() in (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.DEADLINE_EXCEEDED), error
            return False

    def drain_and_restart(self):
        """Out, and at the next turn in again, as an administrator does."""
        if self.drained:
            name, self.drained = self.drained, None
            return self.ask(name, True)
        name = self.dice.choice(("r0", "r1"))
        self.drained = name if self.ask(name, False) else None
        return bool(self.drained)

    def roll_on(self):
        """One turn of a rolling restart."""
        self.rolled = "r1" if self.rolled == "r0" else "r0"
        return self.ask(self.rolled, True)

    def guest_joins_or_leaves(self):
        """A replica that is not the coordinator's: told to stop, drained, or killed."""
        if self.guest and self.guest.process.poll() is not None:
            self.guest.end()
            self.guest = None
        if not self.guest:
            self.n_guests += 1
            self.guest = Attached(self.cluster.address, f"guest{self.n_guests % 8}", ranks=1)
            return True
        ranks = self.guest.workers()
        number = self.dice.choice((signal.SIGTERM, signal.SIGUSR1, signal.SIGKILL))
        return bool(ranks) and self.signal(ranks[0], number)

    def end(self):
        for _, pid in self.resume:
            self.signal(pid, signal.SIGCONT)
        self.resume = []
        if self.drained:
            self.ask(self.drained, True)
        if self.guest:
            self.guest.end()


# ---- the whole ----

def usage(pid):
    """MiB of memory, and descriptors."""
    with open(f"/proc/{pid}/status") as status:
        memory = next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))
    return memory, len(os.listdir(f"/proc/{pid}/fd"))


class Usage:
    """Of the coordinator, once a second while it works: the second quarter of the time against the last."""

    def __init__(self, pid, seconds):
        self.pid, self.seconds, self.start, self.samples = pid, seconds, time.monotonic(), []

    def look(self):
        passed = time.monotonic() - self.start
        if passed < self.seconds and len(self.samples) <= passed:
            self.samples.append(usage(self.pid))

    def mean(self, since, until):
        n = len(self.samples)
        part = self.samples[int(since * n):int(until * n)] or self.samples[-1:]
        return [sum(values) / len(part) for values in zip(*part)]

    def compare(self):
        first, last = self.mean(0.25, 0.5), self.mean(0.75, 1)
        flat = last[0] <= 1.25 * first[0] + 8 and last[1] <= 1.25 * first[1] + 4
        return flat, (f"{'flat' if flat else 'NOT FLAT'}: memory {first[0]:.1f} MiB first, {last[0]:.1f} MiB last; "
                      f"descriptors {first[1]:.0f} first, {last[1]:.0f} last (means of the second and the last quarter)")


def start_clients(address, seed, seconds, pool):
    return [subprocess.Popen([sys.executable, "-B", __file__, "client", address, f"{seed}/{i}", str(seconds), pool],
                             stdout=subprocess.PIPE, text=True) for i in range(N_PROCESSES)]


def gather(clients):
    total, notes = dict.fromkeys(("accepted", "refused", *KINDS), 0), []
    for client in clients:
        result = json.loads(client.stdout.read())
        client.wait()
        notes += result["notes"]
        for kind, n in result["counts"].items():
            total[kind] += n
    return total, notes


def check_coordinator(cluster):
    """The coordinator's own books: nothing runs, and what was accepted has ended."""
    def idle():
        status = cluster.status()
        return status if status.queued == 0 and status.running == 0 else None
    status = wait_until(idle, "the coordinator has nothing left to do")
    return status.accepted == status.finished + status.cancelled + status.failed, status


def soak(seconds, seed, pool_path):
    with Cluster("--spawn", "2", "--replica-timeout", str(REPLICA_TIMEOUT), "--max-sequences", "16", ranks=2) as cluster:
        clients = start_clients(cluster.address, seed, seconds, pool_path)
        chaos, watched = Chaos(cluster, seed), Usage(cluster.process.pid, seconds)
        start = time.monotonic()
        while any(client.poll() is None for client in clients):
            if time.monotonic() - start < seconds:
                chaos.step()
            elif chaos:
                chaos.end()
                chaos.resume, chaos.guest, chaos.drained = [], None, None
            watched.look()
            time.sleep(0.02)
        total, notes = gather(clients)
        consistent, status = check_coordinator(cluster)
        if cluster.process.poll() is not None or not consistent:
            notes.append("the coordinator's books do not add up")
    if "MILLRACE_SOAK_LOG" in os.environ:
        with open(os.environ["MILLRACE_SOAK_LOG"], "w") as log:
            log.write(cluster.text_of_log())
    return total, notes, chaos.counts, watched.compare(), consistent, status


def main(seconds, seed):
    pool = make_pool(seed, max(48, min(400, int(2 * seconds))))
    add_references(pool)
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "pool.json")
        with open(path, "w") as file:
            json.dump(pool, file)
        total, notes, strikes, (flat, memory), consistent, status = soak(seconds, seed, path)
    for note in sorted(set(notes)):
        print(note)
    print("strikes: " + ", ".join(f"{name.replace('_', ' ')} {n}" for name, n in sorted(strikes.items())))
    print(f"coordinator: accepted={status.accepted} finished={status.finished} cancelled={status.cancelled} "
          f"failed={status.failed}" + ("" if consistent else ", which does not add up") + f"; refused={total['refused']}")
    print(memory)
    accounted = total["accepted"] == total["finished"] + total["cancelled"] + total["failed"] + total["lost"]
    print(" ".join(f"{kind}={total[kind]}" for kind in ("accepted", *KINDS)))
    worked = total["finished"] > 0 and strikes
    return 0 if accounted and worked and consistent and flat and not total["lost"] and not total["wrong"] else 1


if __name__ == "__main__":
    if sys.argv[1] == "client":
        with open(sys.argv[5]) as requests:
            print(json.dumps(Client(sys.argv[2], sys.argv[3], float(sys.argv[4]), json.load(requests)).run()))
        sys.exit(0)
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2])))
