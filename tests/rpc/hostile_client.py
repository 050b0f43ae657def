"""Clients that mean harm, against the test server: while each is at it, an honest one is answered.

hostile_client.py SERVER PROTO_DIRECTORY; exits 77 (skipped) where grpcio is missing. The limits are those of service.h.
The hostile ones come from 127.0.0.9 and so on, so that they are other callers than the honest one.
"""
import random
import resource
import select
import socket
import struct
import subprocess
import sys
import tempfile
import time

try:
    import grpc
except ImportError as missing:
    print("skipped:", missing)
    sys.exit(77)

MAX_CALLS, MAX_CALLER_CALLS, REQUEST_SECONDS, STALL_SECONDS = 300, 200, 2, 2
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, CONTINUATION = 0, 1, 3, 4, 6, 9
END_STREAM, END_HEADERS = 1, 4
PATIENCE = 20


def generated(directory):
    out = tempfile.mkdtemp()
    subprocess.run(["protoc", f"--python_out={out}", f"--proto_path={directory}", "millrace.proto"], check=True)
    sys.path.insert(0, out)
    return __import__("millrace_pb2")


class Honest:
    """One connection that stays, and a new one for every look."""

    def __init__(self, address, messages):
        self.address, self.messages = address, messages
        self.channel = grpc.insecure_channel(address)

    def ask(self, channel):
        call = channel.unary_unary("/test.Test/Echo", request_serializer=lambda m: m.SerializeToString(),
                                   response_deserializer=self.messages.DetokenizeResponse.FromString)
        started = time.monotonic()
        while True:
            try:
                answer = call(self.messages.TokenizeRequest(text="still there?"), timeout=PATIENCE, wait_for_ready=True)
                assert answer.text == b"still there?"
                return time.monotonic() - started
            except grpc.RpcError as error:  # the calls of a client that has just hung up are still counted
                if error.code() != grpc.StatusCode.RESOURCE_EXHAUSTED or time.monotonic() - started > PATIENCE:
                    raise

    def look(self):
        seconds = self.ask(self.channel)
        with grpc.insecure_channel(self.address, options=[("grpc.use_local_subchannel_pool", 1)]) as fresh:
            return max(seconds, self.ask(fresh))


# HTTP/2 by hand

def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def literal(name, value):
    """A header field that goes into no table, without Huffman (RFC 7541, 6.2.2)."""
    def text(t):
        head = bytes([len(t)]) if len(t) < 127 else bytes([127]) + varint(len(t) - 127)
        return head + t

    def varint(n):
        out = b""
        while n >= 128:
            out += bytes([n % 128 + 128])
            n //= 128
        return out + bytes([n])
    return b"\x00" + text(name) + text(value)


def call_headers(path, *more):
    fields = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", path), (b":authority", b"x"), (b"te", b"trailers"),
              (b"content-type", b"application/grpc"), *more]
    return b"".join(literal(*field) for field in fields)


def connect(address, source="127.0.0.9"):
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=PATIENCE, source_address=(source, 0))


def greet(address, source="127.0.0.9", settings=b""):
    line = connect(address, source)
    line.sendall(PREFACE + frame(SETTINGS, 0, 0, settings) + frame(SETTINGS, 1, 0))
    return line


def read_until(line, condition):
    """All bytes until the condition holds of them, the end, or patience is out."""
    got, end = b"", time.monotonic() + PATIENCE
    while not condition(got) and time.monotonic() < end:
        readable, _, _ = select.select([line], [], [], 0.5)
        piece = b""
        if readable:
            try:
                piece = line.recv(65536)
            except OSError:
                return got
            if not piece:
                return got
        got += piece
    return got


def frames_of(data):
    found = []
    while len(data) >= 9:
        size = int.from_bytes(data[:3], "big")
        found.append((data[3], int.from_bytes(data[5:9], "big") & 0x7FFFFFFF, data[9:9 + size]))
        data = data[9 + size:]
    return found


def ended(stream):
    """Did the server end this stream: HEADERS with END_STREAM, or a reset?"""
    def condition(data):
        return any(s == stream and kind in (HEADERS, RST_STREAM) for kind, s, _ in frames_of(data))
    return condition


def refused(data):
    """Streams that were answered at once; those that the server took say nothing yet."""
    return {stream for kind, stream, _ in frames_of(data) if kind == HEADERS}


# The attacks; each returns what must be kept open while the honest client asks

def garbage(address):
    random.seed(1)
    lines = []
    for i in range(50):
        line = connect(address)
        noise = bytes(random.randrange(256) for _ in range(500))
        try:
            line.sendall(noise if i % 2 else PREFACE + noise)
        except OSError:
            pass  # hung up on: so it should be
        lines.append(line)
    return lines


def bad_frames(address):
    lines = []
    for bad in (frame(DATA, 0, 1, b"x" * 100), frame(HEADERS, END_HEADERS, 2, call_headers(b"/test.Test/Echo")),
                frame(HEADERS, END_HEADERS, 1, b"\xff" * 50), frame(CONTINUATION, 0, 1, b"x"), frame(SETTINGS, 0, 0, b"x"),
                frame(HEADERS, 0, 1, b"\x00" * 16000) * 3, b"\xff\xff\xff" + bytes(6), frame(PING, 0, 0, b"12345678") * 2000,
                frame(HEADERS, END_HEADERS, 1, b"\x3f\xff\xff\xff\xff\xff\x7f"), frame(SETTINGS, 0, 0, b"") * 5000):
        line = greet(address)
        try:
            line.sendall(bad)
        except OSError:
            pass
        lines.append(line)
    return lines


def idle_connections(address):
    return [connect(address, f"127.0.1.{i % 200 + 1}") for i in range(400)]


def half_a_frame(address):
    lines = []
    for _ in range(100):
        line = greet(address)
        line.sendall(frame(HEADERS, END_HEADERS, 1, call_headers(b"/test.Test/Echo"))[:30])
        lines.append(line)
    return lines


def headers_without_message(address):
    """The call is ended after REQUEST_SECONDS, though its client would wait for ever."""
    line = greet(address)
    started = time.monotonic()
    line.sendall(frame(HEADERS, END_HEADERS, 1, call_headers(b"/test.Test/Echo")) + frame(DATA, 0, 1, b"\0\0\0\0\x10half"))
    got = read_until(line, ended(1))
    assert ended(1)(got), frames_of(got)
    assert time.monotonic() - started >= REQUEST_SECONDS * 0.9, "it was ended, but for another reason"
    assert b"grpc-status\x014" in got, f"not DEADLINE_EXCEEDED but {got!r}"  # UNAVAILABLE: keepalive, much later
    return [line]


def idle_streams(address):
    """One client opens calls that stay: beyond its share each is refused, with a hint when to try again."""
    line = greet(address)
    n = MAX_CALLER_CALLS + 20
    request = b"\0\0\0\0\0"  # an empty message
    for i in range(n):
        line.sendall(frame(HEADERS, END_HEADERS, 2 * i + 1, call_headers(b"/test.Test/Held")) +
                     frame(DATA, END_STREAM, 2 * i + 1, request))
    got = read_until(line, lambda data: len(refused(data)) >= 20)
    assert len(refused(got)) == 20, f"{len(refused(got))} of {n} calls were refused"
    return [line]


def many_hosts(address):
    """Several clients use up all calls that are allowed: the server still says no at once, and is whole again later."""
    lines = []
    for source in ("127.0.0.21", "127.0.0.22"):
        line = greet(address, source)
        for i in range(MAX_CALLER_CALLS):
            line.sendall(frame(HEADERS, END_HEADERS, 2 * i + 1, call_headers(b"/test.Test/Held")) +
                         frame(DATA, END_STREAM, 2 * i + 1, b"\0\0\0\0\0"))
        lines.append(line)
    too_many = 2 * MAX_CALLER_CALLS - MAX_CALLS  # or more: the calls of who has just hung up may still be counted
    got = [b"", b""]  # which of the two comes first is not said
    end = time.monotonic() + PATIENCE
    while sum(len(refused(data)) for data in got) < too_many and time.monotonic() < end:
        for line in select.select(lines, [], [], 0.5)[0]:
            got[lines.index(line)] += line.recv(65536)
    assert sum(len(refused(data)) for data in got) >= too_many, [len(refused(data)) for data in got]
    for line in lines:
        line.close()
    return []


def rapid_reset(address):
    line = greet(address)
    try:
        for i in range(5000):
            line.sendall(frame(HEADERS, END_HEADERS, 2 * i + 1, call_headers(b"/test.Test/Held")) +
                         frame(RST_STREAM, 0, 2 * i + 1, struct.pack(">I", 8)))
    except OSError:
        pass  # hung up on
    return [line]


def seconds_until_cut_off(address, path):
    """How long the server keeps a call whose client never lets it send: INITIAL_WINDOW_SIZE is 0."""
    line = greet(address, settings=struct.pack(">HI", 4, 0))
    line.sendall(frame(HEADERS, END_HEADERS, 1, call_headers(path)) + frame(DATA, END_STREAM, 1, b"\0\0\0\0\0"))
    started = time.monotonic()
    is_end = lambda kind, payload: kind == RST_STREAM or kind == HEADERS and b"grpc-status" in payload
    got = read_until(line, lambda data: any(is_end(kind, payload) for kind, _, payload in frames_of(data)))
    assert any(is_end(kind, payload) for kind, _, payload in frames_of(got)), "it is kept for ever"
    return line, time.monotonic() - started


def closed_window(address):
    """Readers that do not read: one that asked for a flood is cut off as soon as the server's memory for it is full, one with a
    small answer when its time is over."""
    flood, _ = seconds_until_cut_off(address, b"/test.Test/Flood")
    small, seconds = seconds_until_cut_off(address, b"/test.Test/Echo")
    assert STALL_SECONDS * 0.9 < seconds < PATIENCE / 2, f"cut off after {seconds:.2f} s"
    return [flood, small]


def check_large_headers(honest):
    call = honest.channel.unary_unary("/test.Test/Echo", request_serializer=lambda m: m.SerializeToString(),
                                      response_deserializer=honest.messages.DetokenizeResponse.FromString)
    request = honest.messages.TokenizeRequest(text="x")
    assert call(request, timeout=PATIENCE, metadata=[("x-small", "a" * 8000)]).text == b"x"
    # They end their own call and no other of the connection, which a proxy may share among many users.
    held = honest.channel.unary_stream("/test.Test/Held", request_serializer=lambda m: m.SerializeToString(),
                                       response_deserializer=honest.messages.DetokenizeResponse.FromString)(request)
    honest.ask(honest.channel)
    for large in ([("x-large", "a" * 17000)], [("x-large", "a" * 40000)], [("x-large", "a" * 1000000)],
                  [("x-large", "a" * (1 << 20))], [(f"x-{i}", "a" * 2000) for i in range(10)],
                  [(f"x-{i}", "a") for i in range(1000)]):
        try:
            call(request, timeout=PATIENCE, metadata=large)
            raise AssertionError("headers of more than 16 KiB were taken")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, error
            assert "at most 16384 are taken" in error.details(), error
        assert held.is_active(), "another call of the connection has ended"
        assert call(request, timeout=PATIENCE).text == b"x"
    held.cancel()


def check_compression(honest, server):
    """A small message that would be a huge one is refused before it is unpacked; its connection lives on."""
    before = memory_of(server)
    call = honest.channel.unary_unary("/test.Test/Echo", request_serializer=lambda m: m.SerializeToString(),
                                      response_deserializer=honest.messages.DetokenizeResponse.FromString)
    bomb = honest.messages.TokenizeRequest(text="a" * (128 << 20))
    for compression in (grpc.Compression.Gzip, grpc.Compression.Deflate):
        try:
            call(bomb, timeout=PATIENCE, compression=compression)
            raise AssertionError("a compressed message was taken")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.UNIMPLEMENTED, error
        honest.ask(honest.channel)
    assert memory_of(server) < before + 64, f"the server grew from {before} to {memory_of(server)} MiB"


def memory_of(process):
    with open(f"/proc/{process.pid}/status") as status:
        return next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmRSS"))


def check_connections(path, messages):
    """More connections than the process has descriptors, opened as fast as this client can: the server hangs up on some
    of who has the most, the honest one stays, and later everybody is let in again."""
    server = start(path, lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024)))
    address = server.stdout.readline().strip()
    honest = Honest(address, messages)
    honest.look()
    lines = []
    for _ in range(60):
        lines += [connect(address) for _ in range(50)]
        honest.ask(honest.channel)
    honest.look()
    for line in lines:
        line.close()
    honest.look()
    honest.channel.close()
    with open(f"/proc/{server.pid}/limits") as limits:
        assert "Max open files            1024 " in limits.read(), "the limit was another one"
    stop(server)


def check_listens_again(path, messages):
    """When the process has no descriptor left, gRPC stops accepting for good. The server notices, and listens again; calls that
    run go on."""
    server = start(path)
    address = server.stdout.readline().strip()
    honest = Honest(address, messages)
    honest.look()
    held = honest.channel.unary_stream("/test.Test/Held", request_serializer=lambda m: m.SerializeToString(),
                                       response_deserializer=messages.DetokenizeResponse.FromString)(messages.TokenizeRequest(text="x"))
    before = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (8, before[1]))
    lines = [connect(address) for _ in range(3)]
    time.sleep(0.5)
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, before)
    started = time.monotonic()
    assert honest.look() < 15, "nobody was let in"
    print(f"listens again            {time.monotonic() - started:.1f} s after the descriptors were back", flush=True)
    assert held.is_active(), "a call that ran has ended"
    for line in lines:
        line.close()
    held.cancel()
    honest.channel.close()
    stop(server)


def sanitized(process):
    """A sanitizer keeps what was freed."""
    with open(f"/proc/{process.pid}/maps") as maps:
        return any(name in line for line in maps for name in ("libasan", "libtsan"))


def start(path, before=None):
    return subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=before)


def stop(server):
    server.stdin.close()
    assert server.wait(timeout=PATIENCE) == 0, "the server did not end well"


def main():
    messages = generated(sys.argv[2])
    server = start(sys.argv[1])
    address = server.stdout.readline().strip()
    honest = Honest(address, messages)
    honest.look()
    for attack in (garbage, bad_frames, idle_connections, half_a_frame, headers_without_message, idle_streams, many_hosts,
                   rapid_reset, closed_window):
        lines = attack(address)
        seconds = honest.look()
        for line in lines:
            line.close()
        assert seconds < 5, f"{attack.__name__}: an honest call took {seconds:.1f} s"
        print(f"{attack.__name__:24} honest call {1000 * seconds:6.1f} ms, server {memory_of(server)} MiB", flush=True)
    check_large_headers(honest)
    if not sanitized(server):
        check_compression(honest, server)
    assert memory_of(server) < (1600 if sanitized(server) else 400), "the server grew"
    honest.channel.close()
    stop(server)
    check_connections(sys.argv[1], messages)
    check_listens_again(sys.argv[1], messages)


if __name__ == "__main__":
    main()
