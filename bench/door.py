"""What the HTTP door costs: a short text over HTTP and over gRPC, in turn; and many streams at once.

bench/door.py [CLIENTS] [MODEL]    with MILLRACE_BIN as for the tests; Debian's python3-grpcio
Prints a row for each figure. A gap is the time between two frames of one stream, a step its mean; the median of the streams.
When the coordinator had a frame, the frame says itself, since its acceptance; the quickest frame of a stream counts as not delayed.
"""
import http.client
import json
import os
import re
import selectors
import socket
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
os.environ.setdefault("MILLRACE_BIN", os.path.join(ROOT, "build/release/bin"))
os.environ.setdefault("MILLRACE_SOURCE", ROOT)
sys.path.insert(0, os.path.join(ROOT, "tests/e2e"))
from cluster import api  # noqa: E402
from http_door import Door  # noqa: E402

CLIENTS = int(sys.argv[1]) if len(sys.argv) > 1 else 256
MODEL = os.path.join(ROOT, "models", sys.argv[2] if len(sys.argv) > 2 else "books-mini")
ROUNDS, STEPS = 400, 40


def quantile(values, q):
    return sorted(values)[min(len(values) - 1, int(q * len(values)))]


def overhead(door):
    connection = http.client.HTTPConnection(door.host, door.port)
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    body = json.dumps({"prompt": "The", "max_tokens": 4, "seed": 1, "millrace": {"steps": 1, "solver": "cumulative"}})

    def over_http():
        connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
        return answer["choices"][0]["millrace"]["seconds"]["total"]

    def over_grpc():
        events = list(door.cluster.generate(api.GenerateRequest(prompt="The", length=5, steps=1, seed=1)))
        return events[-1].finished.timings.total_ms / 1e3

    beside = {over_http: [], over_grpc: []}  # beyond the time from acceptance to end, which is the same for both
    whole = {over_http: [], over_grpc: []}
    for i in range(ROUNDS + 20):
        for way in (over_http, over_grpc) if i % 2 else (over_grpc, over_http):
            started = time.perf_counter()
            inside = way()
            took = time.perf_counter() - started
            if i >= 20:
                whole[way].append(1e3 * took)
                beside[way].append(1e3 * (took - inside))
    for way, name in ((over_http, "HTTP"), (over_grpc, "gRPC")):
        print(f"short text over {name}: p50 {quantile(whole[way], .5):.2f} ms, p95 {quantile(whole[way], .95):.2f} ms; "
              f"beside the cluster's own time p50 {quantile(beside[way], .5):.2f} ms")
    print(f"HTTP more than gRPC: p50 {quantile(beside[over_http], .5) - quantile(beside[over_grpc], .5):+.2f} ms")


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def streams(door, n):
    body = json.dumps({"prompt": "The", "max_tokens": 8, "seed": 1, "stream": True, "millrace": {"frames": True, "steps": STEPS}}).encode()
    request = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    selector = selectors.DefaultSelector()
    started, before = time.perf_counter(), cpu_seconds(door.cluster.process.pid)
    for _ in range(n):
        connection = socket.create_connection((door.host, door.port))
        connection.sendall(request)
        connection.setblocking(False)
        selector.register(connection, selectors.EVENT_READ, {"frames": [], "rest": b""})
    open_ones, gaps, steps, delays, n_frames = n, [], [], [], 0
    while open_ones:
        for key, _ in selector.select():
            stream, now = key.data, time.perf_counter()
            piece = key.fileobj.recv(1 << 16)
            stream["rest"] += piece
            seen = stream["rest"].count(b'"frame":{')
            for _ in range(seen - len(stream["frames"])):
                stream["frames"].append(now)
            if not piece or b"[DONE]" in stream["rest"]:
                assert len(stream["frames"]) == STEPS + 1, stream["rest"][-200:]
                n_frames += len(stream["frames"])
                steps.append((stream["frames"][-1] - stream["frames"][1]) / (STEPS - 1))
                had = [float(text) for text in re.findall(rb'"steps":\d+,"seconds":([0-9.e-]+)', stream["rest"])]
                behind = [at - seconds for at, seconds in zip(stream["frames"], had)]
                delays += [each - min(behind) for each in behind[1:]]
                gaps += [b - a for a, b in zip(stream["frames"][1:], stream["frames"][2:])]
                selector.unregister(key.fileobj)
                key.fileobj.close()
                open_ones -= 1
    took = time.perf_counter() - started
    step = quantile(steps, .5)
    print(f"{n} streams of {STEPS} steps: {took:.2f} s, {n_frames / took:.0f} frames/s; a step {1e3 * step:.1f} ms, gap p99 "
          f"{1e3 * quantile(gaps, .99):.1f} ms ({quantile(gaps, .99) / step:.2f} steps), longest {max(gaps) / step:.2f} steps; "
          f"a frame is here p50 {1e3 * quantile(delays, .5):.2f}, p99 {1e3 * quantile(delays, .99):.1f} ms ({quantile(delays, .99) / step:.2f} steps) after "
          f"the coordinator had it; "
          f"coordinator {cpu_seconds(door.cluster.process.pid) - before:.2f} s of CPU")


with Door("--max-sequences", "512", "--batch-tokens", "16384", "--max-queue", "1000", model=MODEL) as measured:
    overhead(measured)
    for clients in (32, CLIENTS):
        streams(measured, clients)
