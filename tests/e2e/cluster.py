"""A real cluster for a test: coordinator, mpirun, ranks; and a client that is not ours (grpcio).

Environment, as CTest sets it: MILLRACE_BIN, MILLRACE_SOURCE. Exits 77 (skipped) where grpcio is missing.
"""
import glob
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time

try:
    import grpc
except ImportError as missing:
    print("skipped:", missing)
    sys.exit(77)

BIN = os.environ["MILLRACE_BIN"]
SOURCE = os.environ["MILLRACE_SOURCE"]
DEMO = os.path.join(SOURCE, "models/books-mini")
PATIENCE = 60  # seconds; only a defect takes as long
TEXT_PATIENCE = 280  # for a whole text: a loaded machine may be twenty times slower, and a request that cannot end in time is refused


def _messages():
    directory = tempfile.mkdtemp()
    names = ["millrace", "replica", "health", "reflection"]
    subprocess.run(["protoc", f"--python_out={directory}", f"--proto_path={SOURCE}/proto",
                    *[f"{name}.proto" for name in names]], check=True)
    sys.path.insert(0, directory)
    return [__import__(f"{name}_pb2") for name in names]


api, replica_api, health_api, _ = _messages()


def try_namespaces(make):
    """Runs `make`, which makes a network namespace. Where that is refused (in a chroot), it leaves nothing mounted."""
    mounted = os.path.ismount("/run/netns")
    try:
        make()
    except (OSError, subprocess.CalledProcessError):
        if not mounted:
            subprocess.run(["umount", "/run/netns"], capture_output=True)
        raise


def wait_until(condition, what, patience=PATIENCE):
    """Looks again and again until a deadline, which fails the test. The condition belongs to another process, and nothing here can wait on it."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {patience} s: {what}")


def note(*row):
    """Adds a row of the table in docs/faults.md to the file that $MILLRACE_FAULT_TABLE names."""
    if "MILLRACE_FAULT_TABLE" in os.environ:
        with open(os.environ["MILLRACE_FAULT_TABLE"], "a") as table:
            table.write("| " + " | ".join(row) + " |\n")


def children_of(pid):
    """All descendants of a process: [(pid, command line)]."""
    parent_of, commands = {}, {}
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path) as stat:
                fields = stat.read().rsplit(")", 1)[1].split()
            child = int(path.split("/")[2])
            with open(f"/proc/{child}/cmdline") as line:
                commands[child] = line.read().replace("\0", " ").strip()
            if fields[0] != "Z":
                parent_of[child] = int(fields[1])
        except (OSError, ValueError):
            continue
    found, known = [], {pid}
    while True:
        new = [c for c, p in parent_of.items() if p in known and c not in known]
        if not new:
            return found
        known.update(new)
        found += [(c, commands[c]) for c in new]


def parent_of(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return int(stat.read().rsplit(")", 1)[1].split()[1])


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def text_of(file):
    """What other processes have written there so far. It does not seek: we share their offset, and they would write over the beginning."""
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode(errors="replace")


class Attached:
    """A replica that the coordinator did not start: mpirun by hand, with `prefix` (a network namespace) in front of it."""

    def __init__(self, address, name, *options, ranks=1, prefix=(), log=None):
        environment = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
                       "OMPI_MCA_rmaps_base_oversubscribe": "1", "OMPI_MCA_mpi_yield_when_idle": "1"}
        output = log or subprocess.DEVNULL
        self.process = subprocess.Popen(
            [*prefix, "mpirun", "-n", str(ranks), "--bind-to", "none", "--mca", "odls_base_sigkill_timeout", "0",
             f"{BIN}/millrace-worker", "--model", DEMO, "--coordinator", address, "--replica", name, *options],
            env=environment, stdout=output, stderr=output)

    def workers(self):
        return sorted(pid for pid, command in children_of(self.process.pid)
                      if command.startswith(f"{BIN}/millrace-worker"))

    def end(self):
        """Ends it in whatever state it is, also when its processes are stopped."""
        family = [self.process.pid] + [pid for pid, _ in children_of(self.process.pid)]
        for pid in family:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()
        wait_until(lambda: not any(alive(pid) for pid in family), "the replica's processes are gone")


class Watch:
    """Notes when replicas stop being ready and when they are ready again. A thread looks at Status all the time."""

    def __init__(self, cluster):
        self.cluster, self.ending, self.seen = cluster, False, []
        self.thread = threading.Thread(target=self._look)
        self.thread.start()

    def _look(self):
        while not self.ending:
            now = time.monotonic()
            for replica in self.cluster.status().replicas:
                self.seen.append((now, replica.name, replica.state == "ready", replica.restarts))
            time.sleep(0.02)

    def first(self, replica, after, ready, restarts=0):
        """The first moment after `after` at which it was (not) ready, counted from `after`; None: not seen."""
        for moment, name, is_ready, n in list(self.seen):
            if name == replica and moment > after and is_ready == ready and n >= restarts:
                return moment - after
        return None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ending = True
        self.thread.join()


class Cluster:
    """millrace-coordinator with one replica; `with Cluster(ranks=2) as cluster`. `log`: a descriptor that takes its log."""

    def __init__(self, *options, ranks=2, model=DEMO, ready=True, environment=None, listen="127.0.0.1:0", log=None):
        read_end, write_end = os.pipe()
        self.log = tempfile.TemporaryFile()
        say_ready = ["--ready-fd", str(write_end)] if ready else []  # with it, a start that fails ends the program
        self.process = subprocess.Popen(
            [f"{BIN}/millrace-coordinator", "--listen", listen, "--model", model, "--spawn", "1", "--ranks",
             str(ranks), *say_ready, *options],
            pass_fds=[write_end], stdout=log or self.log, stderr=log or self.log, env={**os.environ, **(environment or {})})
        os.close(write_end)
        self.ready_end = read_end
        self.address = self._read_address() if ready else None
        if self.address:
            self.connect(self.address)

    def connect(self, address):
        self.channel = grpc.insecure_channel(address, options=[("grpc.max_send_message_length", -1)])

    def _read_address(self):
        text = b""
        end = time.monotonic() + PATIENCE
        while not text.endswith(b"\n"):
            readable, _, _ = select.select([self.ready_end], [], [], max(0, end - time.monotonic()))
            piece = os.read(self.ready_end, 4096) if readable else b""
            if not piece:
                raise AssertionError("the cluster did not start:\n" + self.text_of_log())
            text += piece
        return text.decode().strip()

    def text_of_log(self):
        return self.log_text if self.log.closed else text_of(self.log)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Sends SIGTERM and returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("the coordinator did not end after SIGTERM:\n" + self.text_of_log())
        finally:
            if self.ready_end >= 0:
                os.close(self.ready_end)
                self.log_text = self.text_of_log()
                self.log.close()
            self.ready_end = -1
        return code

    # The processes of the replica

    def workers(self):
        """The pids of the ranks."""
        return sorted(pid for pid, command in children_of(self.process.pid) if command.startswith(f"{BIN}/millrace-worker"))

    def workers_of(self, replica):
        return sorted(pid for pid, command in children_of(self.process.pid)
                      if command.startswith(f"{BIN}/millrace-worker") and f"--replica {replica} " in command + " ")

    def launcher(self):
        return [pid for pid, command in children_of(self.process.pid) if os.path.basename(command.split(" ")[0]) in
                ("mpirun", "orterun")]

    # Calls

    def generate(self, request, timeout=TEXT_PATIENCE):
        call = self.channel.unary_stream("/millrace.v1.Millrace/Generate",
                                         request_serializer=lambda m: m if isinstance(m, bytes) else m.SerializeToString(),
                                         response_deserializer=api.GenerateEvent.FromString)
        return call(request, timeout=timeout)

    def text(self, timeout=TEXT_PATIENCE, **fields):
        """Reads and checks the whole stream of one request; returns its Finished."""
        return check_stream(list(self.generate(api.GenerateRequest(**fields), timeout)))

    def unary(self, name, request, answer, timeout=PATIENCE):
        call = self.channel.unary_unary(f"/millrace.v1.Millrace/{name}", request_serializer=lambda m: m.SerializeToString(),
                                        response_deserializer=answer.FromString)
        return call(request, timeout=timeout)

    def status(self):
        return self.unary("Status", api.StatusRequest(), api.StatusResponse)


def check_stream(events):
    """Checks what holds for every stream of Generate, whatever was asked."""
    kinds = [event.WhichOneof("kind") for event in events]
    assert kinds[0] == "accepted" and kinds[-1] == "finished", kinds
    assert kinds[1:-1] == ["frame"] * (len(kinds) - 2), kinds
    accepted, finished = events[0].accepted, events[-1].finished
    frames = [event.frame for event in events[1:-1]]
    steps = [frame.step for frame in frames]
    assert steps[0] == 0 and steps[-1] == accepted.steps and steps == sorted(set(steps)), steps
    assert [frame.final for frame in frames] == [False] * (len(frames) - 1) + [True]
    assert list(frames[0].positions) == list(range(accepted.length))
    ids, changed = {}, {}
    for frame in frames:
        assert len(frame.positions) == len(frame.ids) == len(frame.pieces)
        assert list(frame.positions) == sorted(set(frame.positions))
        for position, token in zip(frame.positions, frame.ids):
            ids[position], changed[position] = token, frame.step
    assert list(finished.ids) == [ids[i] for i in range(accepted.length)]
    assert finished.prompt_tokens == accepted.pinned
    assert finished.prompt_tokens + finished.generated_tokens == accepted.length
    assert finished.seed == accepted.seed
    if steps == list(range(accepted.steps + 1)):
        assert list(finished.changed_step) == [changed[i] for i in range(accepted.length)]
    return finished


def expect_failure(call, code, *words):
    """Checks that the call ends with `code` and that its sentence has the words."""
    try:
        call()
    except grpc.RpcError as error:
        assert error.code() == code, f"{error.code()}: {error.details()}"
        for word in words:
            assert word in error.details(), error.details()
        return error
    raise AssertionError(f"succeeded, expected {code}")
