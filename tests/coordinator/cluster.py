"""The coordinator as a program, with grpcio as its clients and as fake replicas that play proto/replica.proto by hand.

cluster.py COORDINATOR SOURCE_DIRECTORY; exits 77 (skipped) where grpcio is missing.
Every wait has a limit, and is for a condition; a fake replica does nothing that the test did not tell it to.
"""
import contextlib
import hashlib
import json
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

try:
    import grpc
except ImportError as missing:
    print("skipped:", missing)
    sys.exit(77)

COORDINATOR, SOURCE = sys.argv[1], sys.argv[2]
MILLRACE = os.path.join(os.path.dirname(COORDINATOR), "millrace")
MODEL = os.path.join(SOURCE, "models", "books-mini")
PATIENCE = 20  # seconds; a test that needs it has failed


def generated_messages():
    directory = tempfile.mkdtemp()
    subprocess.run(["protoc", f"--python_out={directory}", f"--proto_path={SOURCE}/proto",
                    "millrace.proto", "replica.proto", "health.proto", "reflection.proto"], check=True)
    sys.path.insert(0, directory)
    return [__import__(f"{name}_pb2") for name in ("millrace", "replica", "health", "reflection")]


pb, replica_pb, health_pb, reflection_pb = generated_messages()


def wait_for(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited too long for {what}"
        time.sleep(0.005)


def expect_failure(call, code, *words):
    try:
        call()
    except grpc.RpcError as error:
        assert error.code() == code, (error.code(), error.details())
        for word in words:
            assert word in error.details(), (word, error.details())
        return
    raise AssertionError(f"succeeded, expected {code}")


class Coordinator:
    """A coordinator process; its log is read so that it never blocks, and to learn its address."""

    def __init__(self, *arguments, environment=None, listen="127.0.0.1:0"):
        self.lines = []
        self.process = subprocess.Popen(
            [COORDINATOR, "--model", MODEL, "--listen", listen, *arguments], stderr=subprocess.PIPE, text=True,
            env={**os.environ, "MILLRACE_LOG": "debug", **(environment or {})})
        self.reader = threading.Thread(target=self.read_log, daemon=True)
        self.reader.start()
        wait_for(lambda: self.find(r"serving \S+ on (\S+)") or self.process.poll() is not None, "the coordinator")
        found = self.find(r"serving \S+ on (\S+)")
        self.address = found and found.group(1)
        self.channel = self.address and self.connect()

    def read_log(self):
        for line in self.process.stderr:
            self.lines.append(line)

    def find(self, pattern):
        return next((m for m in (re.search(pattern, line) for line in list(self.lines)) if m), None)

    def connect(self):
        return grpc.insecure_channel(self.address, options=[("grpc.use_local_subchannel_pool", 1)])

    def method(self, kind, path, answer, channel=None):
        pack = lambda m: m if isinstance(m, bytes) else m.SerializeToString()
        return getattr(channel or self.channel, kind)(path, request_serializer=pack,
                                                       response_deserializer=answer.FromString)

    def unary(self, name, request, answer):
        return self.method("unary_unary", f"/millrace.v1.Millrace/{name}", answer)(request, timeout=PATIENCE)

    def generate(self, request, channel=None, timeout=PATIENCE):
        return self.method("unary_stream", "/millrace.v1.Millrace/Generate", pb.GenerateEvent, channel)(
            request, timeout=timeout)

    def status(self):
        return self.unary("Status", pb.StatusRequest(), pb.StatusResponse)

    def health(self, service=""):
        return self.method("unary_unary", "/grpc.health.v1.Health/Check", health_pb.HealthCheckResponse)(
            health_pb.HealthCheckRequest(service=service), timeout=PATIENCE).status

    def end(self, signal_number=signal.SIGTERM):
        self.process.send_signal(signal_number)
        return self.process.wait(timeout=PATIENCE)


@contextlib.contextmanager
def coordinator(*arguments, **options):
    started = Coordinator(*arguments, **options)
    try:
        yield started
        if started.process.poll() is None:
            assert started.end() == 0, "".join(started.lines)
        started.reader.join()
        assert not started.find(r"Sanitizer|runtime error"), "".join(started.lines)
    except BaseException:
        sys.stderr.write("".join(started.lines))
        raise
    finally:
        if started.process.poll() is None:
            started.process.kill()


class FakeReplica:
    def __init__(self, cluster, name, fingerprint, max_sequences=4, ready=True, launch=""):
        self.outgoing, self.incoming = queue.Queue(), queue.Queue()
        self.channel = cluster.connect()
        attach = cluster.method("stream_stream", "/millrace.replica.v1.Replicas/Attach", replica_pb.ToReplica,
                                self.channel)
        self.call = attach(iter(self.outgoing.get, None))
        threading.Thread(target=self.read, daemon=True).start()
        self.say(hello=replica_pb.Hello(replica=name, version="test", model_fingerprint=fingerprint, ranks=2,
                                        backend="fake", launch=launch))
        if ready:
            self.say(ready=replica_pb.Ready(max_sequences=max_sequences, max_batch_tokens=4096))
            assert self.next("welcome") is not None

    def read(self):
        try:
            for message in self.call:
                self.incoming.put(message)
            self.incoming.put(None)
        except grpc.RpcError as error:
            self.incoming.put(error)

    def say(self, **kind):
        self.outgoing.put(replica_pb.FromReplica(**kind))

    def next(self, kind):
        """The next message, which must be of that kind."""
        message = self.incoming.get(timeout=PATIENCE)
        assert isinstance(message, replica_pb.ToReplica) and message.WhichOneof("kind") == kind, message
        return getattr(message, kind)

    def end(self):
        """None after a clean end, or the error."""
        message = self.incoming.get(timeout=PATIENCE)
        assert message is None or isinstance(message, grpc.RpcError), message
        return message

    def step(self, submit, step):
        """Reports a step that writes the id 100 + step at every editable position."""
        positions = [i for i, editable in enumerate(submit.editable) if editable]
        done = step == submit.steps
        self.say(report=replica_pb.Report(sequence=submit.sequence, step=step, positions=positions,
                                          ids=[100 + step] * len(positions), step_ms=2.5, done=done,
                                          log_probability=-2.0 * len(positions) if done else 0,
                                          scored=len(positions) if done else 0))

    def cut(self):
        self.call.cancel()
        self.channel.close()

    def leave(self):
        self.outgoing.put(None)
        assert self.end() is None
        self.channel.close()


def read_fingerprint():
    """A replica with another model is told what the coordinator's is."""
    with coordinator("--spawn", "0") as cluster:
        wrong = FakeReplica(cluster, "r0", "0123456789abcdef", ready=False)
        wrong.say(ready=replica_pb.Ready(max_sequences=1, max_batch_tokens=1024))
        assert wrong.next("welcome") is not None
        error = wrong.end()
        assert error.code() == grpc.StatusCode.FAILED_PRECONDITION and "0123456789abcdef" in error.details()
        assert cluster.status().replicas[0].state == "failed"
        stream, _, _ = begin(cluster)  # waits for one that can run it, as if the stranger were not there
        stream.cancel()
        return re.search(r"coordinator's is ([0-9a-f]{16})", error.details()).group(1)


FINGERPRINT = None


def kind_of(event):
    return event.WhichOneof("kind")


def next_frame(stream, step):
    event = next(stream)
    assert kind_of(event) == "frame" and event.frame.step == step, event
    return event.frame


def begin(cluster, channel=None, **fields):
    """Starts a request and reads up to its starting frame."""
    stream = cluster.generate(pb.GenerateRequest(**fields), channel)
    accepted = next(stream)
    assert kind_of(accepted) == "accepted"
    first = next_frame(stream, 0)
    assert list(first.positions) == list(range(accepted.accepted.length))
    return stream, accepted.accepted, first


def test_full_life():
    with coordinator("--spawn", "0") as cluster:
        assert cluster.health() == 2 and cluster.health("millrace.v1.Millrace") == 2
        replica = FakeReplica(cluster, "r0", FINGERPRINT)
        wait_for(lambda: cluster.health("millrace.v1.Millrace") == 1, "SERVING")
        stream, accepted, first = begin(cluster, prompt="Once upon", length=20, steps=3, seed=2**64 - 1, temperature=0.5)
        submit = replica.next("submit")
        assert (accepted.length, accepted.steps, accepted.seed, accepted.temperature) == (20, 3, 2**64 - 1, 0.5)
        assert list(submit.ids) == list(first.ids) and submit.step == 0 and submit.seed == 2**64 - 1
        assert submit.editable == b"\0" * accepted.pinned + b"\1" * (20 - accepted.pinned)
        for step in (1, 2, 3):
            replica.step(submit, step)
            frame = next_frame(stream, step)
            assert list(frame.positions) == list(range(accepted.pinned, 20)) and frame.final == (step == 3)
            assert set(frame.ids) == {100 + step} and len(frame.pieces) == len(frame.ids)
        finished = next(stream).finished
        assert list(stream) == []
        assert list(finished.ids) == list(first.ids)[:accepted.pinned] + [103] * (20 - accepted.pinned)
        assert list(finished.changed_step) == [0] * accepted.pinned + [3] * (20 - accepted.pinned)
        assert finished.text.startswith("Once upon") and (finished.prompt_tokens, finished.generated_tokens) == (
            accepted.pinned, 20 - accepted.pinned)
        assert abs(finished.mean_log_probability + 2.0) < 1e-12 and finished.timings.compute_ms == 7.5
        assert (finished.replica, finished.ranks) == ("r0", 2)
        assert 0 < finished.timings.first_frame_ms <= finished.timings.total_ms
        status = cluster.status()
        assert (status.accepted, status.finished, status.running) == (1, 1, 0)
        assert (status.replicas[0].state, status.replicas[0].backend) == ("ready", "fake")
        replica.leave()
        wait_for(lambda: cluster.health() == 2, "NOT_SERVING")


def test_two_clients_and_cancel():
    with coordinator("--spawn", "0") as cluster:
        replica = FakeReplica(cluster, "r0", FINGERPRINT)
        one, _, _ = begin(cluster, steps=2)
        other, _, _ = begin(cluster, steps=2)
        first, second = replica.next("submit"), replica.next("submit")
        one.cancel()
        assert replica.next("cancel").sequence == first.sequence
        replica.step(first, 1)  # it was under way; nobody hears it
        for step in (1, 2):
            replica.step(second, step)
            next_frame(other, step)
        assert kind_of(next(other)) == "finished"
        status = cluster.status()
        assert (status.accepted, status.finished, status.cancelled, status.failed) == (2, 1, 1, 0)


def test_disconnect_and_deadline():
    with coordinator("--spawn", "0") as cluster:
        replica = FakeReplica(cluster, "r0", FINGERPRINT)
        channel = cluster.connect()
        stream, _, _ = begin(cluster, channel, steps=2)
        submit = replica.next("submit")
        replica.step(submit, 1)
        next_frame(stream, 1)
        channel.close()
        assert replica.next("cancel").sequence == submit.sequence
        expect_failure(lambda: list(cluster.generate(pb.GenerateRequest(), timeout=0.3)),
                       grpc.StatusCode.DEADLINE_EXCEEDED)
        submit = replica.next("submit")
        assert replica.next("cancel").sequence == submit.sequence
        wait_for(lambda: cluster.status().cancelled == 2, "both to be counted")


def test_failover_goes_on_from_the_last_frame():
    with coordinator("--spawn", "0") as cluster:
        lost = FakeReplica(cluster, "r0", FINGERPRINT)
        stream, accepted, first = begin(cluster, prompt="Once", length=16, steps=4, seed=9)
        submit = lost.next("submit")
        lost.step(submit, 1)
        lost.step(submit, 2)
        next_frame(stream, 1)
        frame = next_frame(stream, 2)
        lost.cut()
        wait_for(lambda: cluster.status().queued == 1, "the request to be back in the queue")
        heir = FakeReplica(cluster, "r1", FINGERPRINT)
        resumed = heir.next("submit")
        expected = list(first.ids)
        for position, token in zip(frame.positions, frame.ids):
            expected[position] = token
        assert list(resumed.ids) == expected and resumed.step == 2 and resumed.steps == 4
        assert (resumed.seed, resumed.sequence, resumed.editable) == (9, submit.sequence, submit.editable)
        for step in (3, 4):
            heir.step(resumed, step)
            next_frame(stream, step)
        finished = next(stream).finished
        assert finished.replica == "r1" and finished.timings.compute_ms == 10
        states = {r.name: (r.state, r.last_error) for r in cluster.status().replicas}
        assert states["r0"][0] == "starting" and states["r0"][1] and states["r1"][0] == "ready"


def test_solver_state_moves_along():
    """The stratified solver's remainders are part of the state of a text."""
    with coordinator("--spawn", "0") as cluster:
        lost = FakeReplica(cluster, "r0", FINGERPRINT)
        stream, accepted, _ = begin(cluster, prompt="Once", length=6, steps=3, solver=pb.STRATIFIED, most_changes=2)
        submit = lost.next("submit")
        assert (submit.solver, submit.most_changes, list(submit.until_jump)) == (pb.STRATIFIED, 2, [])
        assert accepted.solver == pb.STRATIFIED and accepted.editable == submit.editable
        remainders = [0.5, 0.25, 1.0, 2.0, 0.125, 4.0]
        lost.say(report=replica_pb.Report(sequence=submit.sequence, step=1, until_jump=remainders))
        next_frame(stream, 1)
        lost.cut()
        heir = FakeReplica(cluster, "r1", FINGERPRINT)
        resumed = heir.next("submit")
        assert list(resumed.until_jump) == remainders and resumed.step == 1 and resumed.solver == pb.STRATIFIED
        heir.say(report=replica_pb.Report(sequence=submit.sequence, step=2))  # without them
        assert heir.end().code() == grpc.StatusCode.INVALID_ARGUMENT
        stream.cancel()
        expect_failure(lambda: list(cluster.generate(b"\x48\x63")), grpc.StatusCode.INVALID_ARGUMENT, "solver", "99")


def test_untrustworthy_replica():
    with coordinator("--spawn", "0") as cluster:
        bad = FakeReplica(cluster, "r0", FINGERPRINT)
        stream, _, _ = begin(cluster, steps=2)
        submit = bad.next("submit")
        bad.step(submit, 2)  # a step left out
        assert bad.end().code() == grpc.StatusCode.INVALID_ARGUMENT
        good = FakeReplica(cluster, "r1", FINGERPRINT)
        again = good.next("submit")
        assert again.step == 0 and list(again.ids) == list(submit.ids)
        twin = FakeReplica(cluster, "r1", FINGERPRINT, ready=False)
        assert twin.end().code() == grpc.StatusCode.ALREADY_EXISTS
        for step in (1, 2):
            good.step(again, step)
            next_frame(stream, step)
        assert kind_of(next(stream)) == "finished"


def test_rejected_and_load_failed():
    with coordinator("--spawn", "0") as cluster:
        replica = FakeReplica(cluster, "r0", FINGERPRINT)
        stream, _, _ = begin(cluster)
        submit = replica.next("submit")
        replica.say(rejected=replica_pb.Rejected(sequence=submit.sequence, status=8, reason="no room for so much"))
        expect_failure(lambda: next(stream), grpc.StatusCode.RESOURCE_EXHAUSTED, "no room for so much")
        replica.leave()
        waiting, _, _ = begin(cluster)
        broken = FakeReplica(cluster, "r1", "", ready=False)
        broken.say(failed=replica_pb.LoadFailed(rank=1, status=15, reason="model.safetensors is damaged"))
        expect_failure(lambda: next(waiting), grpc.StatusCode.UNAVAILABLE, "r1", "model.safetensors is damaged")
        assert broken.next("welcome") is not None
        broken.leave()
        expect_failure(lambda: next(cluster.generate(pb.GenerateRequest())), grpc.StatusCode.UNAVAILABLE,
                       "model.safetensors is damaged")
        status = cluster.status()
        assert (status.accepted, status.failed) == (2, 2) and status.replicas[0].state == "failed"


def test_a_replica_that_fails_is_lost():
    """Not loading, but a step fails: it says why, and closes its stream as one does that was told to leave."""
    with coordinator("--spawn", "0") as cluster:
        stream, accepted, _ = begin(cluster, steps=1)
        for life in range(6):
            replica = FakeReplica(cluster, "r0", FINGERPRINT)
            assert replica.next("submit").step == 0
            replica.say(failed=replica_pb.LoadFailed(rank=0, status=13, reason=f"fault {life}: an illegal address"))
            replica.leave()
            known = cluster.status().replicas[0]
            assert (known.state, known.last_error) == ("starting", f"fault {life}: an illegal address"), known
        expect_failure(lambda: next(stream), grpc.StatusCode.INTERNAL, "6 replicas", "r0: fault 5: an illegal address")
        assert cluster.find(r"replica r0 failed: fault 3: an illegal address")
        replica = FakeReplica(cluster, "r0", FINGERPRINT)
        stream, _, _ = begin(cluster, steps=1)
        replica.step(replica.next("submit"), 1)
        next_frame(stream, 1)
        assert kind_of(next(stream)) == "finished"
        status = cluster.status()
        assert (status.accepted, status.finished, status.failed) == (2, 1, 1) and status.replicas[0].restarts == 6


def test_what_a_replica_says_breaks_nothing():
    with coordinator("--spawn", "0") as cluster:
        for code in (0, 1, 17, 1 << 31, (1 << 32) - 1):
            replica = FakeReplica(cluster, "r0", FINGERPRINT)
            stream, _, _ = begin(cluster)
            replica.say(rejected=replica_pb.Rejected(sequence=replica.next("submit").sequence, status=code, reason="no"))
            expect_failure(lambda: next(stream), grpc.StatusCode.INTERNAL, "no")
            replica.leave()
        for ready in (dict(max_sequences=1 << 31), dict(max_sequences=1, held_sequences=1 << 31)):
            replica = FakeReplica(cluster, "r1", FINGERPRINT, ready=False)
            replica.say(ready=replica_pb.Ready(max_batch_tokens=4096, **ready))
            replica.next("welcome")
            assert replica.end().code() == grpc.StatusCode.INVALID_ARGUMENT
        stream, _, _ = begin(cluster)
        for milliseconds in (float("nan"), float("inf"), -1.0):
            replica = FakeReplica(cluster, "r2", FINGERPRINT)
            submit = replica.next("submit")
            replica.say(report=replica_pb.Report(sequence=submit.sequence, step=1, step_ms=milliseconds))
            assert replica.end().code() == grpc.StatusCode.INVALID_ARGUMENT
        replica = FakeReplica(cluster, "r2", FINGERPRINT)
        submit = replica.next("submit")
        for step in range(1, submit.steps + 1):
            replica.step(submit, step)
            next_frame(stream, step)
        assert kind_of(next(stream)) == "finished"


def test_queue_full_and_order():
    with coordinator("--spawn", "0", "--max-queue", "2") as cluster:
        replica = FakeReplica(cluster, "r0", FINGERPRINT, max_sequences=1)
        streams = [begin(cluster, steps=1, seed=i)[0] for i in range(3)]
        expect_failure(lambda: next(cluster.generate(pb.GenerateRequest())), grpc.StatusCode.RESOURCE_EXHAUSTED,
                       "queue", "2 requests wait", "try again")
        for seed, stream in enumerate(streams):
            submit = replica.next("submit")
            assert submit.seed == seed
            replica.step(submit, 1)
            next_frame(stream, 1)
            assert kind_of(next(stream)) == "finished"


def test_bad_requests():
    with coordinator("--spawn", "0") as cluster:
        bad = grpc.StatusCode.INVALID_ARGUMENT
        generate = lambda request: lambda: list(cluster.generate(request))
        expect_failure(generate(pb.GenerateRequest(length=0)), bad, "length", "1 to 1024")
        expect_failure(generate(pb.GenerateRequest(steps=0)), bad, "steps", "1 to 1024")
        expect_failure(generate(pb.GenerateRequest(temperature=float("nan"))), bad, "temperature")
        expect_failure(generate(pb.GenerateRequest(infill=pb.Infill())), bad, "infill")
        expect_failure(generate(pb.GenerateRequest(tokens=pb.TokenInput(ids=[1, 2], editable=b"\1"))), bad, "editable")
        expect_failure(generate(pb.GenerateRequest(tokens=pb.TokenInput(ids=[2048, 2], editable=b"\0\1"))), bad, "ids[0]")
        expect_failure(generate(b"\x12\x02a\xff"), bad, "prompt", "UTF-8")
        expect_failure(generate(b"\x12\x03a\x00b"), bad, "prompt", "NUL")
        expect_failure(generate(b"\x12\x7f"), bad)
        expect_failure(generate(pb.GenerateRequest(model="other")), grpc.StatusCode.NOT_FOUND, "other")
        expect_failure(generate(pb.GenerateRequest(prompt="a" * (2 << 20))), grpc.StatusCode.RESOURCE_EXHAUSTED)
        expect_failure(generate(pb.GenerateRequest(prompt="word " * 3000)), bad, "prompt", "1024")
        assert cluster.status().accepted == 0


def test_large_messages_hold_nobody_up():
    """A megabyte of text is tokenized beside everything else."""
    with coordinator("--spawn", "0") as cluster:
        prompt = "incomprehensibilities " * 45000
        calls = [cluster.generate(pb.GenerateRequest(prompt=prompt)) for _ in range(6)]
        wait_for(lambda: any(call.done() for call in calls), "the first of them")
        cluster.status()
        assert not all(call.done() for call in calls), "the status was asked for after them, and came after them all"
        begun = time.monotonic()
        for call in calls:
            expect_failure(lambda call=call: list(call), grpc.StatusCode.INVALID_ARGUMENT, "prompt", "1024")
        print(f"  six large prompts took {time.monotonic() - begun:.2f} s more")
        gone = cluster.generate(pb.GenerateRequest(prompt=prompt[:60000]))
        gone.cancel()  # while it is tokenized, or before
        wait_for(lambda: cluster.status().running == 0 and cluster.status().queued == 0, "nothing is left of it")
        text = cluster.unary("Tokenize", pb.TokenizeRequest(text=prompt), pb.TokenizeResponse)
        assert b"".join(text.pieces).decode() == prompt
        back = cluster.unary("Detokenize", pb.DetokenizeRequest(ids=text.ids), pb.DetokenizeResponse)
        assert back.text.decode() == prompt


def test_large_messages_beyond_the_bound_are_counted_and_logged():
    with coordinator("--spawn", "0", "--http", "127.0.0.1:0") as cluster:
        wait_for(lambda: cluster.find(r"metrics at (\S+)"), "the page")
        n, codes = 300, []
        calls = [cluster.generate(pb.GenerateRequest(prompt="incomprehensibilities " * 20000)) for _ in range(n)]
        for call in calls:
            try:
                list(call)
            except grpc.RpcError as error:
                codes.append(error.code())
        refused = codes.count(grpc.StatusCode.RESOURCE_EXHAUSTED)
        assert refused and codes.count(grpc.StatusCode.INVALID_ARGUMENT) == n - refused, codes
        with urllib.request.urlopen(cluster.find(r"metrics at (\S+)").group(1), timeout=PATIENCE) as page:
            counted = dict(re.findall(r'refused_total\{reason="(\w+)"\} (\d+)', page.read().decode()))
        assert (counted["large_messages"], counted["invalid"]) == (str(refused), str(n - refused)), (refused, counted)
        wait_for(lambda: cluster.find(r"request refused.*large messages wait"), "its line in the log")


def test_ten_thousand_cancelled_requests():
    """Cancelled before, while and after they run: nothing grows. MILLRACE_CANCELS says how many."""
    n = int(os.environ.get("MILLRACE_CANCELS", "2000"))
    # the address sanitizer keeps what is freed for a while: little here, or memory would seem to grow
    options = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1:thread_local_quarantine_size_kb=64"
    with coordinator("--spawn", "0", "--max-queue", "100000", environment={"ASAN_OPTIONS": options}) as cluster:
        replica = FakeReplica(cluster, "r0", FINGERPRINT, max_sequences=8)

        def usage():
            with open(f"/proc/{cluster.process.pid}/status", encoding="utf-8") as status:
                resident = int(re.search(r"VmRSS:\s+(\d+) kB", status.read()).group(1))
            return resident, len(os.listdir(f"/proc/{cluster.process.pid}/fd"))

        def cancel(count):
            for start in range(0, count, 50):
                calls = [cluster.generate(pb.GenerateRequest(length=64, steps=3, seed=seed)) for seed in range(50)]
                for number, call in enumerate(calls):
                    if number % 2:
                        next(call)
                    call.cancel()
                while not replica.incoming.empty():
                    message = replica.incoming.get()
                    if message.WhichOneof("kind") == "submit" and message.submit.sequence % 3 == 0:
                        replica.step(message.submit, 1)
            wait_for(lambda: cluster.status().running + cluster.status().queued == 0, "all to be gone")

        cancel(n // 4)  # until the allocators have what they keep
        before = usage()
        cancel(n)
        after = usage()
        status = cluster.status()
        assert status.accepted == status.cancelled + status.finished and not status.failed, status
        print(f"  {status.accepted} accepted, {status.cancelled} cancelled; resident {before[0]} → {after[0]} kB, "
              f"descriptors {before[1]} → {after[1]}")
        assert after[1] <= before[1] + 2 and after[0] < before[0] * 1.1 + 2000, (before, after)


def test_model_methods():
    with coordinator("--spawn", "0") as cluster:
        model = cluster.unary("GetModel", pb.GetModelRequest(), pb.Model)
        assert (model.name, model.architecture, model.source) == ("books-mini", "fs-dfm", "uniform")
        assert (model.vocabulary, model.trained_length, model.max_length) == (2048, 128, 1024)
        assert 2_900_000 < model.parameters < 3_100_000
        tokens = cluster.unary("Tokenize", pb.TokenizeRequest(text="Once upon a time, é"), pb.TokenizeResponse)
        assert b"".join(tokens.pieces).decode() == "Once upon a time, é"
        text = cluster.unary("Detokenize", pb.DetokenizeRequest(ids=tokens.ids), pb.DetokenizeResponse)
        assert text.text.decode() == "Once upon a time, é"
        expect_failure(lambda: cluster.unary("Detokenize", pb.DetokenizeRequest(ids=[2048]), pb.DetokenizeResponse),
                       grpc.StatusCode.INVALID_ARGUMENT, "ids[0]", "2048")
        expect_failure(lambda: cluster.unary("GetModel", pb.GetModelRequest(model="x"), pb.Model),
                       grpc.StatusCode.NOT_FOUND)
        expect_failure(lambda: cluster.health("nobody"), grpc.StatusCode.NOT_FOUND)
        ask = cluster.method("stream_stream", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                             reflection_pb.ServerReflectionResponse)
        [answer] = ask(iter([reflection_pb.ServerReflectionRequest(list_services="")]), timeout=PATIENCE)
        names = {service.name for service in answer.list_services_response.service}
        assert {"millrace.v1.Millrace", "millrace.replica.v1.Replicas", "grpc.health.v1.Health"} <= names


def test_one_coordinator_a_port():
    with coordinator("--spawn", "0") as cluster:
        second = Coordinator("--spawn", "0", listen=cluster.address)
        assert second.process.wait(timeout=PATIENCE) == 1
        second.reader.join()
        assert second.find("already in use") and second.find(cluster.address)


def test_one_coordinator_a_unix_path():
    path = os.path.join(tempfile.mkdtemp(), "socket")
    with coordinator("--spawn", "0", listen=f"unix:{path}") as cluster:
        second = Coordinator("--spawn", "0", listen=f"unix:{path}")
        assert second.process.wait(timeout=PATIENCE) == 1
        second.reader.join()
        assert second.find("another program listens there") and second.find(path)
        assert os.path.exists(path)
        cluster.status()
        cluster.process.kill()  # its socket stays behind, and is in nobody's way
        cluster.process.wait(timeout=PATIENCE)
        with coordinator("--spawn", "0", listen=f"unix:{path}") as heir:
            heir.status()


def test_drain_lets_requests_finish():
    with coordinator("--spawn", "0") as cluster:
        replica = FakeReplica(cluster, "r0", FINGERPRINT)
        stream, _, _ = begin(cluster, steps=2)
        submit = replica.next("submit")
        replica.step(submit, 1)
        next_frame(stream, 1)
        cluster.process.send_signal(signal.SIGTERM)
        wait_for(lambda: cluster.find("shutting down"), "the drain")
        wait_for(lambda: cluster.health() == 2, "NOT_SERVING")
        expect_failure(lambda: list(cluster.generate(pb.GenerateRequest())), grpc.StatusCode.UNAVAILABLE, "shutting down")
        replica.step(submit, 2)
        next_frame(stream, 2)
        assert kind_of(next(stream)) == "finished"
        left = replica.end()  # it is let go, for the next coordinator: somebody else started it
        assert left.code() == grpc.StatusCode.UNAVAILABLE and "leaving" in left.details(), left
        assert cluster.process.wait(timeout=PATIENCE) == 0


def test_a_ready_file_is_this_coordinators():
    path = os.path.join(tempfile.mkdtemp(), "ready")
    with open(path, "w", encoding="utf-8") as old:
        old.write("127.0.0.1:1\n")
    with coordinator("--spawn", "0", "--ready-file", path) as cluster:
        wait_for(lambda: not os.path.exists(path), "the end of the old file")
        replica = FakeReplica(cluster, "r0", FINGERPRINT)
        wait_for(lambda: os.path.exists(path), "the new file")
        with open(path, encoding="utf-8") as new:
            assert new.read() == cluster.address + "\n"
        replica.leave()


def test_lost_replicas_of_others_are_left_out_and_forgotten():
    with coordinator("--spawn", "0") as cluster:
        lost, steady = FakeReplica(cluster, "lost", FINGERPRINT), FakeReplica(cluster, "steady", FINGERPRINT)
        states = lambda: {replica.name: replica.state for replica in cluster.status().replicas}
        command = lambda *arguments: subprocess.run([MILLRACE, *arguments, "--endpoint", cluster.address],
                                                    stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False)
        lost.cut()
        wait_for(lambda: states() == {"lost": "starting", "steady": "ready"}, "the loss")
        alone = command("restart", "lost")
        assert alone.returncode != 0 and "whoever started it" in alone.stderr, alone
        outcomes = []
        everything = threading.Thread(target=lambda: outcomes.append(command("restart", "--all")))
        everything.start()
        steady.next("drain")
        steady.leave()
        again = FakeReplica(cluster, "steady", FINGERPRINT)
        everything.join()
        assert outcomes[0].returncode == 0 and "lost: left out" in outcomes[0].stderr, outcomes
        done = command("drain", "lost")
        assert done.returncode == 0 and "not expected back" in done.stderr, done
        assert states() == {"steady": "ready"}, states()
        again.leave()


def test_second_signal_hurries():
    with coordinator("--spawn", "0") as cluster:
        stream, _, _ = begin(cluster)
        cluster.process.send_signal(signal.SIGINT)
        wait_for(lambda: cluster.find("shutting down"), "the drain")
        cluster.process.send_signal(signal.SIGINT)
        expect_failure(lambda: next(stream), grpc.StatusCode.UNAVAILABLE, "shutting down")
        assert cluster.process.wait(timeout=PATIENCE) == 0
    with coordinator("--spawn", "0", "--drain-seconds", "0.2") as cluster:
        stream, _, _ = begin(cluster)
        cluster.process.send_signal(signal.SIGTERM)
        expect_failure(lambda: next(stream), grpc.StatusCode.UNAVAILABLE, "shutting down")
        assert cluster.process.wait(timeout=PATIENCE) == 0


def test_many_texts_at_once_are_served():
    """One decision submits more than 4 MiB to a replica that reads: it is not hung up on."""
    n = 3000
    with coordinator("--spawn", "0", "--max-queue", "5000", "--max-queue-tokens", "0") as cluster:
        channels = [cluster.connect() for _ in range(4)]  # of 1,024 calls at most
        streams = [cluster.generate(pb.GenerateRequest(length=1024, steps=1), channels[i % 4], timeout=60) for i in range(n)]
        wait_for(lambda: cluster.status().queued == n, "the queue")
        replica = FakeReplica(cluster, "r0", FINGERPRINT, ready=False)
        assert replica.next("welcome") is not None
        replica.say(ready=replica_pb.Ready(max_sequences=n, max_batch_tokens=1024 * n))
        submits = [replica.next("submit") for _ in range(n)]
        assert sum(len(submit.SerializeToString()) for submit in submits) > 4 << 20
        for stream in streams:
            stream.cancel()
        assert cluster.status().replicas[0].state == "ready"
        for channel in channels:
            channel.close()


def write_tokens(path, **clients):
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump({"clients": [{"name": name, "token_sha256": hashlib.sha256(name.encode()).hexdigest(), "scopes": scopes}
                               for name, scopes in clients.items()]}, file)
    os.chmod(path + ".new", 0o600)
    os.replace(path + ".new", path)


def test_a_revoked_token_ends_what_runs():
    path = os.path.join(tempfile.mkdtemp(), "tokens.json")
    write_tokens(path, anna=["generate"], ben=["generate"], rack=["replica"])
    with coordinator("--spawn", "0", "--tokens", path) as cluster:
        bearer = lambda name: [("authorization", f"Bearer {name}")]
        method = lambda kind, path, answer: cluster.method(kind, path, answer)
        outgoing = queue.Queue()
        attach = method("stream_stream", "/millrace.replica.v1.Replicas/Attach", replica_pb.ToReplica)
        line = attach(iter(outgoing.get, None), metadata=bearer("rack"))
        outgoing.put(replica_pb.FromReplica(hello=replica_pb.Hello(replica="r0", version="test", model_fingerprint=FINGERPRINT, ranks=1)))
        next(line)
        generate = method("unary_stream", "/millrace.v1.Millrace/Generate", pb.GenerateEvent)
        streams = {name: generate(pb.GenerateRequest(), timeout=PATIENCE, metadata=bearer(name)) for name in ("anna", "ben")}
        for stream in streams.values():
            assert kind_of(next(stream)) == "accepted" and kind_of(next(stream)) == "frame"
        write_tokens(path, anna=["generate"])
        expect_failure(lambda: next(streams["ben"]), grpc.StatusCode.UNAUTHENTICATED, "token")
        expect_failure(lambda: next(line), grpc.StatusCode.UNAUTHENTICATED, "token")
        assert streams["anna"].is_active()
        status = method("unary_unary", "/millrace.v1.Millrace/Status", pb.StatusResponse)
        wait_for(lambda: status(pb.StatusRequest(), metadata=bearer("anna")).replicas[0].state != "ready", "the replica's end")
        streams["anna"].cancel()
        outgoing.put(None)


def test_the_limits_of_open_calls_are_options():
    with coordinator("--spawn", "0", "--max-calls", "3", "--client-calls", "2") as cluster:
        open_ones = [begin(cluster)[0] for _ in range(2)]
        expect_failure(lambda: next(cluster.generate(pb.GenerateRequest())), grpc.StatusCode.RESOURCE_EXHAUSTED, "2 calls of")
        for stream in open_ones:
            stream.cancel()
    for wrong in (("--max-calls", "0"), ("--max-calls", "5", "--client-calls", "6")):
        done = subprocess.run([COORDINATOR, "--model", MODEL, *wrong], stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False)
        assert done.returncode == 2 and "calls" in done.stderr, done


def test_a_long_reason_is_cut():
    """A client takes some kilobytes of trailers; beyond them it would say something else."""
    with coordinator("--spawn", "0") as cluster:
        replica = FakeReplica(cluster, "r0", FINGERPRINT)
        stream, _, _ = begin(cluster)
        submit = replica.next("submit")
        replica.say(rejected=replica_pb.Rejected(sequence=submit.sequence, status=3, reason="too odd " + "é" * 50000))
        expect_failure(lambda: next(stream), grpc.StatusCode.INVALID_ARGUMENT, "too odd é")
        replica.leave()


def test_a_full_temporary_directory_is_named():
    """In a name space of its own, where it can be mounted."""
    place = tempfile.mkdtemp()
    script = f"mount -t tmpfs -o size=64k tmpfs {place} && (dd if=/dev/zero of={place}/all bs=1k count=100 2>/dev/null; exec \"$@\")"
    started = subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", COORDINATOR, "--model", MODEL, "--listen", "127.0.0.1:0",
                              "--ready-file", os.path.join(tempfile.mkdtemp(), "ready")],
                             env={**os.environ, "MILLRACE_MPIRUN": fake_launcher("exit 1\n"), "TMPDIR": place}, timeout=PATIENCE,
                             stderr=subprocess.PIPE, text=True, check=False)
    if "mount" in started.stderr or "unshare" in started.stderr:
        print("not tried, for want of a name space:", started.stderr.strip())
        return
    assert started.returncode == 1 and f"{place} is full" in started.stderr, started.stderr


def fake_launcher(script):
    """A program to stand in for mpirun."""
    path = os.path.join(tempfile.mkdtemp(), "mpirun")
    with open(path, "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\n" + script)
    os.chmod(path, 0o755)
    return path


def test_replicas_that_cannot_start():
    launcher = fake_launcher("exit 3\n")
    with coordinator("--spawn", "1", environment={"MILLRACE_MPIRUN": launcher}) as cluster:
        stream, _, _ = begin(cluster)
        expect_failure(lambda: next(stream), grpc.StatusCode.UNAVAILABLE, "r0", "exit code 3")
        wait_for(lambda: cluster.status().replicas[0].state == "failed", "the state")
    ready, written = os.pipe()
    started = subprocess.run([COORDINATOR, "--model", MODEL, "--listen", "127.0.0.1:0", "--ready-fd", str(written)],
                             env={**os.environ, "MILLRACE_MPIRUN": launcher}, pass_fds=[written], timeout=PATIENCE,
                             stderr=subprocess.PIPE, text=True)
    os.close(written)
    assert started.returncode == 1 and "exit code 3" in started.stderr and os.read(ready, 1) == b""


def test_a_launcher_that_is_not_there():
    launcher = os.path.join(tempfile.mkdtemp(), "mpirun")
    with coordinator("--spawn", "1", environment={"MILLRACE_MPIRUN": launcher}) as cluster:
        stream, _, _ = begin(cluster)
        expect_failure(lambda: next(stream), grpc.StatusCode.UNAVAILABLE, launcher, "Open MPI")
        wait_for(lambda: cluster.status().replicas[0].state == "failed", "the state")


def is_gone(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_nothing_outlives_the_coordinator():
    pids = os.path.join(tempfile.mkdtemp(), "pids")
    launcher = fake_launcher(f"sleep 1000 & trap 'kill $!' TERM; echo $! $$ whole >> {pids}; wait\n")
    noted = lambda: open(pids, encoding="utf-8").read().split() if os.path.exists(pids) else []
    # mpirun dies: its rank, an orphan, is killed, and both are started again
    with coordinator("--spawn", "1", environment={"MILLRACE_MPIRUN": launcher}) as cluster:
        wait_for(lambda: noted().count("whole") == 1, "the launcher")
        rank, mpirun = map(int, noted()[:2])
        os.kill(mpirun, signal.SIGKILL)
        wait_for(lambda: is_gone(rank), "the orphan to be killed")
        wait_for(lambda: noted().count("whole") == 2, "the restart")
        assert cluster.status().replicas[0].last_error
        rank, mpirun = map(int, noted()[3:5])
        cluster.process.kill()
        cluster.process.wait(timeout=PATIENCE)
        wait_for(lambda: is_gone(mpirun) and is_gone(rank), "launcher and rank to follow")
    # what it left in shared memory is removed by the next one, and nothing that is in use
    left = lambda: [name for name in os.listdir("/dev/shm") if name.startswith(f"millrace-{cluster.process.pid}-")]
    assert left()
    open(f"/dev/shm/{left()[0]}/segment", "w", encoding="utf-8").close()
    with coordinator("--spawn", "1", environment={"MILLRACE_MPIRUN": launcher}) as other:
        wait_for(lambda: noted().count("whole") == 3, "the launcher")
        assert not left()
        with coordinator("--spawn", "1", environment={"MILLRACE_MPIRUN": launcher}):
            wait_for(lambda: noted().count("whole") == 4, "the launcher")
            assert os.path.isdir(f"/dev/shm/millrace-{other.process.pid}-r0")
    assert not os.path.exists(f"/dev/shm/millrace-{other.process.pid}-r0")


def test_slow_is_told_from_hung():
    """Pulses that move keep a replica that reports nothing; pulses that stand still do not, idle or not."""
    with coordinator("--spawn", "0", "--replica-timeout", "1") as cluster:
        slow = FakeReplica(cluster, "slow", FINGERPRINT)
        slow.say(pulse=replica_pb.Pulse(progress=1))
        stream, _, _ = begin(cluster, steps=1)
        submit = slow.next("submit")
        hung = FakeReplica(cluster, "hung", FINGERPRINT)
        progress, gone = 1, []
        hung.say(pulse=replica_pb.Pulse(progress=5))
        threading.Thread(target=lambda: gone.append(hung.end()), daemon=True).start()
        for progress in range(2, 400):
            if gone:
                break
            slow.say(pulse=replica_pb.Pulse(progress=progress))
            hung.say(pulse=replica_pb.Pulse(progress=5))
            gone or time.sleep(0.05)
        assert gone and gone[0].code() == grpc.StatusCode.DEADLINE_EXCEEDED, gone
        assert "nothing moved" in gone[0].details()
        states = {r.name: r.state for r in cluster.status().replicas}
        assert states == {"slow": "ready", "hung": "starting"}, states
        slow.step(submit, 1)
        next_frame(stream, 1)
        assert kind_of(next(stream)) == "finished"


def test_a_replica_that_hangs_is_killed():
    pids = os.path.join(tempfile.mkdtemp(), "pids")
    launcher = fake_launcher(f"echo $$ $MILLRACE_LAUNCH whole >> {pids}; exec sleep 1000\n")
    noted = lambda: open(pids, encoding="utf-8").read().split() if os.path.exists(pids) else []
    with coordinator("--spawn", "1", "--replica-timeout", "1", environment={"MILLRACE_MPIRUN": launcher}) as cluster:
        wait_for(lambda: noted().count("whole") == 1, "the launcher")
        replica = FakeReplica(cluster, "r0", FINGERPRINT, launch=noted()[1])
        stream, _, _ = begin(cluster, steps=1)
        submit = replica.next("submit")
        assert replica.end().code() == grpc.StatusCode.DEADLINE_EXCEEDED  # it said nothing for a second
        wait_for(lambda: noted().count("whole") == 2, "the restart")
        assert is_gone(int(noted()[0]))
        heir = FakeReplica(cluster, "r0", FINGERPRINT, launch=noted()[4])
        assert heir.next("submit") == submit
        heir.step(submit, 1)
        next_frame(stream, 1)
        assert kind_of(next(stream)) == "finished"
        heir.leave()


def test_the_name_of_our_replica_is_kept():
    """While it is down, an outsider does not get its name, and what it says of it counts for nothing."""
    noted = os.path.join(tempfile.mkdtemp(), "noted")
    launcher = fake_launcher(f"echo $MILLRACE_LAUNCH >> {noted}; exec sleep 1000\n")
    launches = lambda: open(noted, encoding="utf-8").read().split() if os.path.exists(noted) else []
    with coordinator("--spawn", "1", environment={"MILLRACE_MPIRUN": launcher, "MILLRACE_LAUNCH": "inherited"}) as cluster:
        wait_for(lambda: len(launches()) == 1, "the launcher")
        for wrong in ("", "inherited", launches()[0][:-1]):
            outsider = FakeReplica(cluster, "r0", FINGERPRINT, ready=False, launch=wrong)
            error = outsider.end()
            assert error.code() == grpc.StatusCode.FAILED_PRECONDITION, error
            assert "starts itself" in error.details() and "--replica" in error.details(), error
        own = FakeReplica(cluster, "r0", FINGERPRINT, ready=False, launch=launches()[0])
        assert own.next("welcome") is not None
        stranger = FakeReplica(cluster, "stranger", FINGERPRINT)
        told = cluster.method("stream_stream", "/millrace.replica.v1.Replicas/Attach", replica_pb.ToReplica)(iter(
            [replica_pb.FromReplica(failed=replica_pb.LoadFailed(replica="r0", reason="it is broken"))]))
        wait_for(lambda: cluster.find("nobody listens"), "the stranger's words")
        told.cancel()  # a call that nobody holds is cancelled, perhaps before it is heard
        states = {r.name: r.state for r in cluster.status().replicas}
        assert states == {"r0": "starting", "stranger": "ready"}, states
        own.cut()
        stranger.leave()


def test_ranks_that_share_cores_yield_and_are_not_bound():
    """All ranks and threads of all replicas count, not those of one."""
    cores = len(os.sched_getaffinity(0))
    noted = os.path.join(tempfile.mkdtemp(), "noted")
    launcher = fake_launcher(f'echo "$*" >> {noted}; exec sleep 1000\n')
    lines = lambda: open(noted, encoding="utf-8").read().splitlines() if os.path.exists(noted) else []
    for spawn, ranks, threads, yields, to in ((1, cores, 1, False, "core"), (2, cores, 1, True, "none"), (1, cores, 2, True, "none"),
                                              (1, 1, 1, cores < 1, "none" if cores > 1 else "core")):
        with coordinator("--spawn", str(spawn), "--ranks", str(ranks), "--threads", str(threads),
                         environment={"MILLRACE_MPIRUN": launcher}):
            wait_for(lambda: len(lines()) == spawn, "the launchers")
            assert all(("mpi_yield_when_idle 1" in line) == yields for line in lines()), (spawn, ranks, threads, lines())
            # Another cluster of this machine would be bound to the same first core: only ranks that take all cores are.
            assert all(f"--bind-to {to}" in line for line in lines()), (spawn, ranks, threads, lines())
        os.unlink(noted)


def main():
    global FINGERPRINT
    FINGERPRINT = read_fingerprint()
    chosen = sys.argv[3:]
    for name, test in sorted(globals().items()):
        if name.startswith("test_") and (not chosen or name in chosen):
            start = time.monotonic()
            test()
            print(f"{name}: {time.monotonic() - start:.2f} s", flush=True)


main()
