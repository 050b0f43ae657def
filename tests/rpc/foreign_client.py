"""grpcio against common/rpc: another implementation of gRPC and protobuf must agree with ours.

foreign_client.py SERVER PROTO_DIRECTORY; exits 77 (skipped) where grpcio is missing.
"""
import subprocess
import sys
import tempfile

try:
    import grpc
    from google.protobuf import descriptor_pb2
except ImportError as missing:
    print("skipped:", missing)
    sys.exit(77)


def generated_messages(proto_directory):
    """The message classes that protoc makes of our files."""
    directory = tempfile.mkdtemp()
    names = ["millrace", "health", "reflection", "rpc_status"]
    subprocess.run(["protoc", f"--python_out={directory}", f"--proto_path={proto_directory}",
                    *[f"{name}.proto" for name in names]], check=True)
    sys.path.insert(0, directory)
    return [__import__(f"{name}_pb2") for name in names]


def expect_failure(call, code, words=""):
    try:
        call()
    except grpc.RpcError as error:
        assert error.code() == code, error
        assert words in error.details(), error.details()
        return
    raise AssertionError(f"succeeded, expected {code}")


class Client:
    def __init__(self, address, messages):
        self.channel = grpc.insecure_channel(address)
        self.millrace, self.health, self.reflection, self.rpc_status = messages
        self.request = self.millrace.TokenizeRequest

    def method(self, kind, path, answer):
        pack = lambda m: m if isinstance(m, bytes) else m.SerializeToString()
        return getattr(self.channel, kind)(path, request_serializer=pack, response_deserializer=answer.FromString)

    def test(self, kind, name):
        return self.method(kind, f"/test.Test/{name}", self.millrace.DetokenizeResponse)


def check_unary(client):
    echo = client.test("unary_unary", "Echo")
    assert echo(client.request(text="héllo"), timeout=10).text == "héllo".encode()
    expect_failure(lambda: client.test("unary_unary", "Fail")(client.request(text="so it is"), timeout=10),
                   grpc.StatusCode.FAILED_PRECONDITION, "so it is")
    expect_failure(lambda: client.test("unary_unary", "Nothing")(b"", timeout=10), grpc.StatusCode.UNIMPLEMENTED)
    expect_failure(lambda: client.test("unary_unary", "Hold")(b"", timeout=0.2), grpc.StatusCode.DEADLINE_EXCEEDED)
    for bad in (b"\xff", b"\x12\x05ab", b"\x0b", b"\x12\xff\xff\xff\xff\x0f", b"\x12\x01\xff", b"\x12\x01\x00"):
        expect_failure(lambda: echo(bad, timeout=10), grpc.StatusCode.INVALID_ARGUMENT)
    expect_failure(lambda: echo(client.request(text="a" * (5 << 20)), timeout=10),
                   grpc.StatusCode.RESOURCE_EXHAUSTED)


def check_retry_hint(client):
    try:
        client.test("unary_unary", "Busy")(client.request(text="1250"), timeout=10, metadata=[("x-echo", "so")])
        raise AssertionError("not refused")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, error
        assert dict(error.initial_metadata()).get("x-echo") == "so", error.initial_metadata()
        trailers = dict(error.trailing_metadata())
        assert trailers["retry-after-ms"] == "1250", trailers
        status = client.rpc_status.Status.FromString(trailers["grpc-status-details-bin"])
        assert (status.code, status.message) == (8, error.details()), status
        [detail] = status.details
        assert detail.type_url == "type.googleapis.com/google.rpc.RetryInfo"
        delay = client.rpc_status.RetryInfo.FromString(detail.value).retry_delay
        assert (delay.seconds, delay.nanos) == (1, 250000000), delay


def check_streams(client):
    count = client.test("unary_stream", "Count")
    texts = [answer.text.decode() for answer in count(client.request(text="300"), timeout=10)]
    assert texts == [str(i) for i in range(300)]
    held = client.test("unary_stream", "Held")(client.request(), timeout=10)
    held.cancel()
    expect_failure(lambda: next(held), grpc.StatusCode.CANCELLED)
    chat = client.test("stream_stream", "Chat")
    sent = [client.request(text=str(i)) for i in range(300)]
    assert [a.text.decode() for a in chat(iter(sent), timeout=10)] == [str(i) for i in range(300)]
    assert not list(chat(iter([]), timeout=10))


def check_health(client):
    check = client.method("unary_unary", "/grpc.health.v1.Health/Check", client.health.HealthCheckResponse)
    watch = client.method("unary_stream", "/grpc.health.v1.Health/Watch", client.health.HealthCheckResponse)
    for name in ("", "millrace.v1.Millrace"):
        assert check(client.health.HealthCheckRequest(service=name), timeout=10).status == 1
    expect_failure(lambda: check(client.health.HealthCheckRequest(service="nobody"), timeout=10),
                   grpc.StatusCode.NOT_FOUND)
    assert next(watch(client.health.HealthCheckRequest(service="nobody"), timeout=10)).status == 3


def check_reflection(client, package):
    messages = client.reflection
    ask = client.method("stream_stream", f"/grpc.reflection.{package}.ServerReflection/ServerReflectionInfo",
                        messages.ServerReflectionResponse)
    request = messages.ServerReflectionRequest
    answers = list(ask(iter([request(list_services=""),
                             request(file_containing_symbol="millrace.v1.Millrace.Generate"),
                             request(file_by_filename="health.proto"),
                             request(file_containing_symbol="millrace.v1.Nothing"),
                             request(all_extension_numbers_of_type="millrace.v1.Frame")]), timeout=10))
    names = {service.name for service in answers[0].list_services_response.service}
    assert {"millrace.v1.Millrace", "grpc.health.v1.Health"} <= names, names
    for answer, file in ((answers[1], "millrace.proto"), (answers[2], "health.proto")):
        [raw] = answer.file_descriptor_response.file_descriptor_proto
        assert descriptor_pb2.FileDescriptorProto.FromString(raw).name == file
    assert answers[3].error_response.error_code == 5
    assert answers[4].error_response.error_code == 5
    assert answers[3].original_request.file_containing_symbol == "millrace.v1.Nothing"
    # What is listed can be described: grpcurl and grpcui ask for all of it.
    asked = sorted(names)
    for name, answer in zip(asked, ask(iter([request(file_containing_symbol=name) for name in asked]), timeout=10)):
        files = [descriptor_pb2.FileDescriptorProto.FromString(raw)
                 for raw in answer.file_descriptor_response.file_descriptor_proto]
        services = {f"{file.package}.{service.name}" for file in files for service in file.service}
        assert name in services, (name, answer)


def main():
    server = subprocess.Popen([sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    client = Client(server.stdout.readline().strip(), generated_messages(sys.argv[2]))
    check_unary(client)
    check_retry_hint(client)
    check_streams(client)
    check_health(client)
    for package in ("v1alpha", "v1"):
        check_reflection(client, package)
    client.channel.close()
    server.stdin.close()
    assert server.wait(timeout=10) == 0
    print("unary, streams, health and reflection agree")


main()
