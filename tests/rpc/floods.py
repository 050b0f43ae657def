"""Clients that send without a pause: what a neighbour waits meanwhile, and what the server's memory becomes.

floods.py SERVER PROTO_DIRECTORY [--table] [FLOOD...]; exits 77 (skipped) where grpcio is missing.
SERVER is tests/rpc/server_main.c. Each flood comes from a process of its own, for some seconds, from another address than the
neighbour's, who makes one call after another meanwhile, on a connection that stays and on new ones. --table only measures.
"""
import resource
import select
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time

sys.argv, arguments = sys.argv[:3], sys.argv[3:]
import grpc
from hostile_client import (PATIENCE, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, RST_STREAM, SETTINGS, Honest, call_headers,
                            connect, frame, generated, greet, memory_of, sanitized, start, stop)

SECONDS = 3 if "--table" in arguments else 1.5
ECHO = call_headers(b"/test.Test/Echo")


def discard(line):
    """Reads what the server says, so that the flood does not stop for it."""
    def read():
        try:
            while line.recv(1 << 20):
                pass
        except OSError:
            pass
    threading.Thread(target=read, daemon=True).start()


def pour(address, chunks, source="127.0.0.9", settings=b""):
    """Sends the chunks until the server hangs up or the time is over, on one connection after another."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        try:
            line = greet(address, source, settings)
            discard(line)
            for chunk in chunks():
                line.sendall(chunk)
                if time.monotonic() > end:
                    break
            line.close()
        except OSError:
            time.sleep(0.05)


def forever(chunk):
    while True:
        yield chunk


def streams(one, per_chunk=500):
    """one(stream) for ever new streams."""
    stream = 1
    while True:
        yield b"".join(one(stream + 2 * i) for i in range(per_chunk))
        stream += 2 * per_chunk


# The floods

def settings(address):
    pour(address, lambda: forever(frame(SETTINGS, 0, 0, b"") * 7000))


def continuation(address):
    def chunks():
        yield frame(HEADERS, 0, 1, ECHO[:10])
        yield from forever(frame(CONTINUATION, 0, 1, b"") * 7000)
    pour(address, chunks)


def empty_data(address):
    def chunks():
        yield frame(HEADERS, END_HEADERS, 1, ECHO)
        yield from forever(frame(DATA, 0, 1, b"") * 7000)
    pour(address, chunks)


def rapid_reset(address):
    pour(address, lambda: streams(lambda s: frame(HEADERS, END_HEADERS, s, ECHO) + frame(RST_STREAM, 0, s, struct.pack(">I", 8))))


def reset_with_body(address):
    body = b"\0\0\0\0\x10half"
    pour(address, lambda: streams(lambda s: frame(HEADERS, END_HEADERS, s, ECHO) + frame(DATA, 0, s, body) +
                                  frame(RST_STREAM, 0, s, struct.pack(">I", 8))))


def unknown_methods(address):
    head = call_headers(b"/no.Such/Method")
    pour(address, lambda: streams(lambda s: frame(HEADERS, END_HEADERS | END_STREAM, s, head)))


def huge_message(address):
    """A message of 2 GB is declared, and sent as fast as the server lets us."""
    def attack():
        line = greet(address)
        line.setblocking(False)
        line.setblocking(True)
        line.sendall(frame(HEADERS, END_HEADERS, 1, ECHO))
        stream_window = connection_window = 65535
        piece, got = frame(DATA, 0, 1, b"x" * 16384), b""
        head = b"\0" + struct.pack(">I", 2000000000)
        line.sendall(frame(DATA, 0, 1, head))
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            if min(stream_window, connection_window) >= 16384 + 5:
                line.sendall(piece)
                stream_window -= 16384
                connection_window -= 16384
                continue
            readable, _, _ = select.select([line], [], [], 0.1)
            if readable:
                more = line.recv(1 << 16)
                if not more:
                    return
                got += more
            while len(got) >= 9 and len(got) >= 9 + int.from_bytes(got[:3], "big"):
                size, kind, stream = int.from_bytes(got[:3], "big"), got[3], int.from_bytes(got[5:9], "big") & 0x7FFFFFFF
                payload, got = got[9:9 + size], got[9 + size:]
                if kind == 8 and stream:
                    stream_window += struct.unpack(">I", payload)[0]
                elif kind == 8:
                    connection_window += struct.unpack(">I", payload)[0]
                elif kind == SETTINGS:
                    for at in range(0, size, 6):
                        key, value = struct.unpack(">HI", payload[at:at + 6])
                        stream_window += value - 65535 if key == 4 else 0
                elif kind == RST_STREAM:
                    return
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        try:
            attack()
        except OSError:
            pass
        time.sleep(0.05)


def connect_and_close(address):
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        try:
            connect(address).close()
        except OSError:
            time.sleep(0.01)


FLOODS = [settings, continuation, empty_data, rapid_reset, reset_with_body, unknown_methods, huge_message, connect_and_close]


class Memory(threading.Thread):
    """The most that the server ever had."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.most, self.over = server, 0, False
        self.start()

    def run(self):
        while not self.over:
            self.most = max(self.most, memory_of(self.server))
            time.sleep(0.05)


def suffer(server, address, messages, flood, n=1):
    """The neighbour's waits in seconds, on a connection that stays and on new ones, and the server's memory."""
    honest, memory = Honest(address, messages), Memory(server)
    honest.look()
    processes = [subprocess.Popen([sys.executable, __file__, "flood", flood.__name__, address, *arguments]) for _ in range(n)]
    old, new, end = [], [], time.monotonic() + SECONDS
    time.sleep(0.2)
    try:
        while time.monotonic() < end:
            old.append(honest.ask(honest.channel))
            new.append(honest.look())
            time.sleep(0.02)
    except grpc.RpcError as error:
        print(f"{flood.__name__}: an honest call failed: {error.code()} {error.details()}")
        old.append(PATIENCE)
        new.append(PATIENCE)
    for process in processes:
        process.kill()
        process.wait()
    time.sleep(0.3)
    memory.over = True
    honest.channel.close()
    return old, new, memory.most, memory_of(server)


def main():
    if sys.argv[1] == "flood":
        globals()[sys.argv[2]](arguments[0])
        return
    messages = generated(sys.argv[2])
    bad = []
    chosen = [flood for flood in FLOODS if flood.__name__ in arguments] or FLOODS
    print("| flood | median, ms | worst, ms | worst of a new connection, ms | most memory, MiB | kept |\n|---|---|---|---|---|---|")
    for flood in chosen:
        server = start(sys.argv[1], lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (16384, 16384)))
        address = server.stdout.readline().strip()
        old, new, most, kept = suffer(server, address, messages, flood, 1)
        print(f"| {flood.__name__} | {1000 * statistics.median(old):.1f} | {1000 * max(old):.0f} | {1000 * max(new):.0f} | {most} | {kept} |",
              flush=True)
        if not sanitized(server):
            bad += [f"{flood.__name__}: the neighbour had to wait"] * (max(old) > 2 or max(new) > 6)
            bad += [f"{flood.__name__}: the server grew"] * (most > 150)
        stop(server)
    assert "--table" in arguments or not bad, bad


if __name__ == "__main__":
    main()
