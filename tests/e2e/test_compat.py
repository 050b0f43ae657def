"""The promise of docs/protocol.md: an old client and an old replica work with the coordinator of today.

tests/compat keeps the wire's files as they were; the client and the replica here speak those, through grpcio.
"""
import glob
import os
import queue
import re
import subprocess
import sys
import tempfile
import threading

import cluster
from cluster import SOURCE, Cluster, wait_until

import grpc
from google.protobuf import descriptor_pb2

OLD = sorted(glob.glob(f"{SOURCE}/tests/compat/*"))


def descriptors(directory):
    """{full name of a field, value or method: what must never change about it}"""
    with tempfile.NamedTemporaryFile() as out:
        files = [f for f in ("millrace.proto", "replica.proto")]
        subprocess.run(["protoc", f"--proto_path={directory}", f"--descriptor_set_out={out.name}", *files], check=True)
        everything = descriptor_pb2.FileDescriptorSet.FromString(out.read())
    facts = {}

    def take_message(message, prefix):
        name = f"{prefix}.{message.name}"
        for field in message.field:
            oneof = message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else ""
            facts[f"{name}.{field.name}"] = (field.number, field.type, field.label, field.type_name, oneof)
        for nested in message.nested_type:
            take_message(nested, name)

    for file in everything.file:
        for message in file.message_type:
            take_message(message, file.package)
        for enum in file.enum_type:
            for value in enum.value:
                facts[f"{file.package}.{enum.name}.{value.name}"] = value.number
        for service in file.service:
            for m in service.method:
                facts[f"{file.package}.{service.name}/{m.name}"] = (m.input_type, m.output_type, m.client_streaming,
                                                                    m.server_streaming)
    return facts


def old_messages(directory):
    """The generated modules of that version; a process of its own would be needed for two versions of one name, so the old
    files get a package of their own: on the wire packages of messages do not exist."""
    target = tempfile.mkdtemp()
    for name in ("millrace", "replica"):
        with open(f"{directory}/{name}.proto") as file:
            text = file.read().replace("package millrace.", "package old.millrace.")
        with open(f"{target}/old_{name}.proto", "w") as file:
            file.write(text)
    subprocess.run(["protoc", f"--python_out={target}", f"--proto_path={target}", "old_millrace.proto", "old_replica.proto"],
                   check=True)
    sys.path.insert(0, target)
    try:
        return __import__("old_millrace_pb2"), __import__("old_replica_pb2")
    finally:
        sys.path.pop(0)


def generate(channel, api, **fields):
    call = channel.unary_stream("/millrace.v1.Millrace/Generate", api.GenerateRequest.SerializeToString,
                                api.GenerateEvent.FromString)
    return list(call(api.GenerateRequest(**fields), timeout=60))


def test_the_wire_only_grows():
    now = descriptors(f"{SOURCE}/proto")
    for directory in OLD:
        before = descriptors(directory)
        assert len(before) > 80, directory
        for name, fact in before.items():
            assert now.get(name) == fact, f"{name} was {fact} in {os.path.basename(directory)}, is {now.get(name)}"


def test_an_old_client():
    for directory in OLD:
        api, _ = old_messages(directory)
        with Cluster(ranks=1) as running:
            today = generate(running.channel, cluster.api, prompt="Once upon a time", seed=3, steps=4, length=64)
            before = generate(running.channel, api, prompt="Once upon a time", seed=3, steps=4, length=64)
            kinds = [event.WhichOneof("kind") for event in before]
            assert kinds == ["accepted"] + ["frame"] * 5 + ["finished"], kinds
            assert before[-1].finished.text == today[-1].finished.text != ""
            status = running.channel.unary_unary("/millrace.v1.Millrace/Status", api.StatusRequest.SerializeToString,
                                                 api.StatusResponse.FromString)(api.StatusRequest(), timeout=10)
            assert status.finished == 2 and status.replicas[0].state == "ready"


class OldReplica:
    """Takes what it is given and "refines" it: each step sets the first editable position to the step's number."""

    def __init__(self, address, messages, fingerprint):
        self.replica = messages
        self.submitted = []
        self.outgoing = queue.Queue()
        self.channel = grpc.insecure_channel(address)
        self.outgoing.put(messages.FromReplica(hello=messages.Hello(replica="old", version="0.1.0", ranks=1, backend="cpu",
                                                                    model_fingerprint=fingerprint)))
        self.call = self.channel.stream_stream("/millrace.replica.v1.Replicas/Attach", messages.FromReplica.SerializeToString,
                                               messages.ToReplica.FromString)(iter(self.outgoing.get, None))
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        try:
            for message in self.call:
                if message.WhichOneof("kind") == "welcome":
                    self.outgoing.put(self.replica.FromReplica(ready=self.replica.Ready(max_sequences=4, max_batch_tokens=4096,
                                                                                        load_seconds=0.1)))
                elif message.WhichOneof("kind") == "submit":
                    self.refine(message.submit)
        except grpc.RpcError:
            pass

    def refine(self, submit):
        self.submitted.append(submit)
        first = submit.editable.index(1)
        for step in range(submit.step + 1, submit.steps + 1):
            self.outgoing.put(self.replica.FromReplica(report=self.replica.Report(
                sequence=submit.sequence, step=step, positions=[first], ids=[step], step_ms=1.0, done=step == submit.steps,
                log_probability=-1.0, scored=1)))

    def close(self):
        self.outgoing.put(None)
        self.channel.close()


def fingerprint_of_demo():
    """A replica of today says it in its hello; the coordinator says it in its refusal of another."""
    out = subprocess.run([f"{cluster.BIN}/millrace", "inspect", cluster.DEMO], stdout=subprocess.PIPE, text=True, check=True).stdout
    return next(word for line in out.splitlines() if "fingerprint" in line.lower() for word in line.split() if len(word) == 16)


def test_an_old_replica():
    for directory in OLD:
        api, replica_api = old_messages(directory)
        log = tempfile.TemporaryFile()
        coordinator = subprocess.Popen([f"{cluster.BIN}/millrace-coordinator", "--listen", "127.0.0.1:0", "--model", cluster.DEMO,
                                        "--spawn", "0"], stderr=log)
        replica = None
        try:
            def address():
                serving = re.search(r"serving .* on (\S+)\n", cluster.text_of(log))
                return serving and serving[1]
            at = wait_until(address, "the coordinator listens")
            replica = OldReplica(at, replica_api, fingerprint_of_demo())
            with grpc.insecure_channel(at) as channel:
                for client in (cluster.api, api):
                    events = generate(channel, client, prompt="Once", seed=3, steps=5, length=32)
                    steps = [event.frame.step for event in events if event.WhichOneof("kind") == "frame"]
                    assert steps == [0, 1, 2, 3, 4, 5], steps
                    finished = events[-1].finished
                    first = replica.submitted[-1].editable.index(1)
                    assert finished.ids[first] == 5 and finished.replica == "old"
            assert len(replica.submitted) == 2
        finally:
            if replica:
                replica.close()
            coordinator.terminate()
            coordinator.wait(40)


if __name__ == "__main__":
    assert OLD
    for test in (test_the_wire_only_grows, test_an_old_client, test_an_old_replica):
        test()
        print(test.__name__, "ok")
