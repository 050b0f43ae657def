"""What those see who watch a cluster: /metrics, /healthz, /readyz, and whether the numbers are true."""
import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

import grpc

from cluster import BIN, Cluster, api, health_api, expect_failure, wait_until

try:
    from prometheus_client.parser import text_string_to_metric_families as parse
except ImportError:
    parse = None

EMULATED = os.path.join(BIN, "../lib/libmillrace_cuda_emulated.so")


def address_of(cluster):
    return wait_until(lambda: re.search(r"metrics at http://([^/]+)/metrics", cluster.text_of_log()), "the HTTP address")[1]


def get(cluster, path, method="GET", headers=None, body=None):
    """(status, headers, text)"""
    connection = http.client.HTTPConnection(address_of(cluster), timeout=20)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()
    finally:
        connection.close()


class Samples:
    """A page, by the rules of the format and no others: {name: {labels: value}}"""

    def __init__(self, text):
        self.text, self.values = text, {}
        for line in text.splitlines():
            if line and not line.startswith("#"):
                name, labels, value = re.fullmatch(r'([a-z_:]+)(?:\{(.*)\})? (\S+)', line).groups()
                pairs = frozenset(re.findall(r'([a-z_]+)="((?:[^"\\]|\\.)*)"', labels or ""))
                assert pairs not in self.values.setdefault(name, {}), line
                self.values[name][pairs] = float(value)

    def sum(self, name, **labels):
        wanted = set(labels.items())
        found = [value for pairs, value in self.values[name].items() if wanted <= pairs]
        assert found, (name, labels)
        return sum(found)


def samples(cluster):
    return Samples(get(cluster, "/metrics")[2])


def health(cluster):
    call = cluster.channel.unary_unary("/grpc.health.v1.Health/Check",
                                       request_serializer=lambda m: m.SerializeToString(),
                                       response_deserializer=health_api.HealthCheckResponse.FromString)
    return call(health_api.HealthCheckRequest(), timeout=20).status


class Pages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster("--metrics", "127.0.0.1:0", ranks=2)
        cls.cluster.text(length=32, steps=4, seed=1)

    @classmethod
    def tearDownClass(cls):
        assert cls.cluster.stop() == 0

    def test_no_port_unless_asked(self):
        with Cluster(ranks=1) as cluster:
            self.assertNotIn("metrics at", cluster.text_of_log())
            listening = []
            for table in ("/proc/net/tcp", "/proc/net/tcp6"):
                with open(table, encoding="ascii") as lines:
                    listening += [line for line in lines if " 0A " in line]
            inodes = {os.readlink(f"/proc/{cluster.process.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{cluster.process.pid}/fd")
                      if os.path.lexists(f"/proc/{cluster.process.pid}/fd/{fd}")}
            self.assertEqual(sum(f"socket:[{line.split()[9]}]" in inodes for line in listening), 1)

    def test_answers(self):
        status, headers, text = get(self.cluster, "/metrics")
        self.assertEqual((status, headers["Content-Type"]), (200, "text/plain; version=0.0.4; charset=utf-8"))
        self.assertEqual(get(self.cluster, "/healthz")[::2], (200, "ok\n"))
        self.assertEqual(get(self.cluster, "/readyz")[::2], (200, "ready\n"))
        self.assertEqual(get(self.cluster, "/metrics?name[]=x")[0], 200)
        self.assertEqual(get(self.cluster, "/metrics", "HEAD")[::2], (200, ""))
        for path in ("/", "/metrics/", "/../etc/passwd", "/%00", "/metrics%2f"):
            self.assertEqual(get(self.cluster, path)[0], 404, path)
        for method in ("POST", "PUT", "DELETE", "BREW"):
            status, headers, _ = get(self.cluster, "/metrics", method, body="x" * 1000)
            self.assertEqual((status, headers["Allow"]), (405, "GET, HEAD"), method)
        self.assertIn(get(self.cluster, "/metrics", headers={"x": "a" * 20000})[0], (413, 431))

    def test_promtool_finds_nothing_to_say(self):
        if not shutil.which("promtool"):
            self.skipTest("promtool is not installed (Debian package prometheus)")
        checked = subprocess.run(["promtool", "check", "metrics"], input=get(self.cluster, "/metrics")[2], text=True,
                                 capture_output=True, check=False)
        self.assertEqual((checked.returncode, checked.stdout + checked.stderr), (0, ""))

    def test_another_parser_reads_the_same(self):
        if not parse:
            self.skipTest("no prometheus_client (Debian package python3-prometheus-client)")
        page = samples(self.cluster)
        theirs = {(sample.name, frozenset(sample.labels.items())): sample.value
                  for family in parse(page.text) for sample in family.samples}
        ours = {(name, pairs): value for name, values in page.values.items() for pairs, value in values.items()}
        self.assertEqual(theirs, ours)
        for family in parse(page.text):
            self.assertTrue(family.name.startswith(("millrace_", "process_")), family.name)
            self.assertTrue(family.documentation.endswith("."), family.name)

    def test_histograms_are_whole(self):
        page = samples(self.cluster)
        for name in [n[:-len("_bucket")] for n in page.values if n.endswith("_bucket")]:
            buckets = sorted((float(dict(pairs)["le"]), n) for pairs, n in page.values[name + "_bucket"].items())
            counts = [n for _, n in buckets]
            self.assertEqual(counts, sorted(counts), name)
            self.assertEqual(buckets[-1], (float("inf"), page.sum(name + "_count")), name)

    def test_clients_that_say_nothing_hold_nobody_up(self):
        """300 connections that never finish their request, in the way of one that does."""
        host, port = address_of(self.cluster).split(":")
        idle = []
        try:
            for i in range(300):
                connection = socket.create_connection((host, int(port)), timeout=20)
                connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nX: " if i % 2 else b"")
                idle.append(connection)
                if i % 50 == 49:
                    start = time.monotonic()
                    self.assertEqual(get(self.cluster, "/readyz")[0], 200)
                    self.assertLess(time.monotonic() - start, 5)
            fds = samples(self.cluster).sum("process_open_fds")
            self.assertLess(fds, 64 + 100)
        finally:
            for connection in idle:
                connection.close()

    def test_a_port_that_is_taken_is_named(self):
        taken = address_of(self.cluster)
        other = Cluster("--metrics", taken, ready=False)
        self.assertEqual(other.process.wait(60), 1)
        self.assertIn(f"--metrics: cannot listen on {taken}: Address already in use", other.text_of_log())
        other.stop()
        for bad in ("nonsense", "127.0.0.1", ":80", "127.0.0.1:notaport"):
            other = Cluster("--metrics", bad, ready=False)
            self.assertEqual(other.process.wait(60), 2)  # bad usage, as for every option
            self.assertIn("--metrics:", other.text_of_log())
            other.stop()


class Numbers(unittest.TestCase):
    def test_counts_add_up(self):
        with Cluster("--metrics", "127.0.0.1:0", "--max-queue", "3", "--max-sequences", "2", ranks=2) as cluster:
            for seed in range(3):
                cluster.text(length=40, steps=4, seed=seed, prompt="Once upon a time")
            cluster.text(length=16, steps=2, seed=1, priority="HIGH")
            # two run, three wait, one is refused; all five are cancelled
            streams = [cluster.generate(api.GenerateRequest(length=1024, steps=1024, seed=seed), 3600) for seed in range(5)]
            for stream in streams:
                self.assertEqual(next(stream).WhichOneof("kind"), "accepted")
            expect_failure(lambda: list(cluster.generate(api.GenerateRequest())), grpc.StatusCode.RESOURCE_EXHAUSTED)
            expect_failure(lambda: list(cluster.generate(api.GenerateRequest(length=0))), grpc.StatusCode.INVALID_ARGUMENT)
            page = samples(cluster)
            self.assertEqual((page.sum("millrace_running_requests"), page.sum("millrace_queue_requests")), (2, 3))
            self.assertEqual((page.sum("millrace_running_tokens"), page.sum("millrace_queue_tokens")), (2048, 3072))
            self.assertEqual(page.sum("millrace_replica_running_tokens", replica="r0"), 2048)
            for stream in streams:
                stream.cancel()
            wait_until(lambda: samples(cluster).sum("millrace_requests_total", outcome="cancelled") == 5, "the cancelled")
            page = samples(cluster)
            ended = {outcome: page.sum("millrace_requests_total", outcome=outcome)
                     for outcome in ("finished", "cancelled", "failed")}
            self.assertEqual(ended, {"finished": 4, "cancelled": 5, "failed": 0})
            self.assertEqual(page.sum("millrace_requests_accepted_total"), sum(ended.values()))
            self.assertEqual(page.sum("millrace_requests_accepted_total", priority="high"), 1)
            self.assertEqual(page.sum("millrace_requests_refused_total", reason="queue_requests"), 1)
            self.assertEqual(page.sum("millrace_requests_refused_total", reason="invalid"), 1)
            self.assertEqual(page.sum("millrace_requests_refused_total"), 2)
            self.assertEqual(page.sum("millrace_request_seconds_count"), 4)
            status = cluster.status()
            self.assertEqual((status.accepted, status.finished, status.cancelled), (9, 4, 5))

    def test_who_may_not_is_counted_and_named(self):
        token = "correct horse battery staple"
        with tempfile.NamedTemporaryFile("w", suffix=".json") as clients:
            digest = hashlib.sha256(token.encode()).hexdigest()
            json.dump({"clients": [{"name": "anna", "token_sha256": digest, "scopes": ["generate"]},
                                   {"name": "rack", "token_sha256": hashlib.sha256(b"rack").hexdigest(),
                                    "scopes": ["replica"]}]}, clients)
            clients.flush()
            with Cluster("--metrics", "127.0.0.1:0", "--tokens", clients.name, "--log-format", "json", ranks=1) as cluster:
                call = cluster.channel.unary_stream("/millrace.v1.Millrace/Generate",
                                                    request_serializer=lambda m: m.SerializeToString(),
                                                    response_deserializer=api.GenerateEvent.FromString)
                for headers in ([], [("authorization", "Bearer wrong")]):
                    expect_failure(lambda: list(call(api.GenerateRequest(length=8, steps=1), timeout=20, metadata=headers)),
                                   grpc.StatusCode.UNAUTHENTICATED)
                expect_failure(lambda: list(call(api.GenerateRequest(length=8, steps=1), timeout=20,
                                                 metadata=[("authorization", "Bearer rack")])), grpc.StatusCode.PERMISSION_DENIED)
                list(call(api.GenerateRequest(length=8, steps=1), timeout=20, metadata=[("authorization", f"Bearer {token}")]))
                page = samples(cluster)
                self.assertEqual(page.sum("millrace_requests_refused_total", reason="unauthorised"), 3)
                self.assertEqual(page.sum("millrace_requests_total", outcome="finished"), 1)
                wait_until(lambda: re.search('"message":"request finished".*"caller":"anna"', cluster.text_of_log()), "the line")
                log = cluster.text_of_log()
                self.assertNotIn(token, log + page.text)

    def test_steps_and_jumps(self):
        with Cluster("--metrics", "127.0.0.1:0", ranks=2) as cluster:
            finished, frames = None, []
            # a warm-up step comes before everything; it is in the first pulse after it
            wait_until(lambda: samples(cluster).sum("millrace_replica_passes_total", replica="r0") == 1, "the warm-up")
            before = samples(cluster)
            for event in cluster.generate(api.GenerateRequest(length=64, steps=8, seed=5, prompt="The old man")):
                if event.WhichOneof("kind") == "frame" and event.frame.step:
                    frames.append(event.frame)
                elif event.WhichOneof("kind") == "finished":
                    finished = event.finished
            page = samples(cluster)
            jumps = sum(len(frame.positions) for frame in frames)
            self.assertEqual(page.sum("millrace_step_changed_positions_count"), 8)
            self.assertEqual(page.sum("millrace_step_changed_positions_sum"), jumps)
            self.assertEqual(page.sum("millrace_step_seconds_count"), 8)
            self.assertAlmostEqual(page.sum("millrace_step_seconds_sum"), finished.timings.compute_ms / 1e3, delta=1e-6)
            self.assertEqual(page.sum("millrace_generated_tokens_total"), finished.generated_tokens)
            self.assertAlmostEqual(page.sum("millrace_request_queue_seconds_sum"), finished.timings.queue_ms / 1e3, delta=0.01)
            # the replica's own account, which comes with its next pulse
            since = lambda name: samples(cluster).sum(name, replica="r0") - before.sum(name, replica="r0")
            wait_until(lambda: since("millrace_replica_sequence_steps_total") == 8, "a pulse")
            self.assertEqual(since("millrace_replica_changed_positions_total"), jumps)
            passes = since("millrace_replica_passes_total")
            self.assertTrue(6 <= passes <= 8, passes)
            self.assertEqual(since("millrace_replica_rows_total"), passes * 64)
            needed = since("millrace_replica_needed_rows_total")
            page = samples(cluster)
            self.assertTrue(jumps <= needed <= 8 * 64, needed)
            phases = {dict(pairs)["phase"] for pairs in page.values["millrace_replica_phase_seconds_total"]}
            self.assertEqual(phases, {"matmul", "attention", "head", "communication", "other"})
            self.assertGreater(page.sum("millrace_replica_phase_seconds_total", phase="matmul"), 0)

    @unittest.skipUnless(os.path.exists(EMULATED), "no emulated GPU")
    def test_a_device_that_is_only_handed_its_work_has_no_phases(self):
        with Cluster("--backend", "cuda", "--precision", "f32", "--metrics", "127.0.0.1:0", ranks=1,
                     environment={"MILLRACE_CUDA_MODULE": EMULATED, "MILLRACE_WARM_UP": "16"}) as cluster:
            name = "millrace_replica_phase_seconds_total"
            before = samples(cluster).sum(name)
            cluster.text(length=8, steps=1)
            wait_until(lambda: samples(cluster).sum(name) > before, "a pulse")
            page = samples(cluster)
            self.assertEqual(page.sum(name), page.sum(name, phase="other"))

    def test_status_shows_what_was_recent(self):
        command = [f"{BIN}/millrace", "status", "--endpoint"]
        with Cluster(ranks=1) as cluster:
            wait_until(lambda: cluster.status().recent.seconds > 0, "the first second")
            for seed in range(3):
                cluster.text(length=32, steps=4, seed=seed)
            recent = cluster.status().recent
            self.assertAlmostEqual(recent.requests_per_second * recent.seconds, 3, places=3)
            self.assertAlmostEqual(recent.tokens_per_second * recent.seconds, 96, places=3)
            self.assertGreater(recent.total.p95_ms, 0)
            page = subprocess.run([*command, cluster.address], capture_output=True, text=True, check=True).stdout
            self.assertRegex(page, r"\nlast +\d+ s +\S+ texts/s, \d+ tokens/s")
            self.assertRegex(page, r"\nlatency   p50, p95: text \S+ s, \S+ s; first frame")
            watcher = subprocess.Popen([*command, cluster.address, "--json", "--watch", "--interval", "0.1"],
                                       stdout=subprocess.PIPE, text=True)
            looks = [json.loads(watcher.stdout.readline()) for _ in range(3)]
            watcher.send_signal(signal.SIGINT)
            self.assertEqual(watcher.wait(20), 0)
            watcher.stdout.close()
            self.assertEqual([look["finished"] for look in looks], [3, 3, 3])
            self.assertLess(looks[0]["uptime_seconds"], looks[2]["uptime_seconds"])
            self.assertGreater(looks[0]["recent"]["total"]["p50_ms"], 0)
            watcher = subprocess.Popen([*command, cluster.address, "--watch", "--interval", "0.1"], stdout=subprocess.PIPE, text=True)
            cluster.stop()
            said = watcher.stdout.readline()
            while "UNAVAILABLE" not in said:  # it goes on, in case the cluster comes back
                said = watcher.stdout.readline()
            watcher.send_signal(signal.SIGINT)
            watcher.stdout.close()
            self.assertEqual(watcher.wait(20), 0)

    def test_a_killed_replica_is_seen(self):
        with Cluster("--metrics", "127.0.0.1:0", ranks=2) as cluster:
            seen = []
            for event in cluster.generate(api.GenerateRequest(length=512, steps=40, seed=21)):
                if event.WhichOneof("kind") == "frame" and event.frame.step == 5:
                    page = samples(cluster)
                    self.assertEqual(page.sum("millrace_replica_ranks_up", replica="r0"), 2)
                    self.assertEqual(page.sum("millrace_replica_up", replica="r0"), 1)
                    os.kill(cluster.workers()[1], signal.SIGKILL)
                    status, _, reason = wait_until(lambda: (lambda a: a if a[0] == 503 else None)(get(cluster, "/readyz")), "503")
                    seen.append((status, reason))
                    page = samples(cluster)
                    self.assertEqual((page.sum("millrace_ready"), page.sum("millrace_replica_ranks_up", replica="r0")), (0, 0))
                    self.assertEqual(get(cluster, "/healthz")[0], 200)
            self.assertEqual(seen[0][0], 503)
            self.assertIn("r0 is starting", seen[0][1])
            wait_until(lambda: get(cluster, "/readyz")[0] == 200, "ready again")
            wait_until(lambda: health(cluster) == 1, "SERVING")
            page = samples(cluster)
            self.assertEqual(page.sum("millrace_failovers_total"), 1)
            self.assertEqual(page.sum("millrace_replica_restarts_total", replica="r0"), 1)
            self.assertEqual(page.sum("millrace_requests_total", outcome="finished"), 1)
            self.assertEqual(page.sum("millrace_requests_total", outcome="failed"), 0)
            self.assertEqual(page.sum("millrace_replica_state", replica="r0", state="ready"), 1)

    def test_a_ready_file_of_the_environment_is_not_its_replicas(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "ready")
            with Cluster(ranks=1, environment={"MILLRACE_READY_FILE": path}) as cluster:
                list(cluster.generate(api.GenerateRequest(length=8, steps=1)))  # a replica that had it would have made it, too
                with open(path) as file:
                    self.assertEqual(file.read(), cluster.address + "\n")
                cluster.stop()
                self.assertTrue(os.path.exists(path))  # and would have taken it away

    def test_readiness_without_replicas_and_while_draining(self):
        cluster = Cluster("--metrics", "127.0.0.1:0", "--spawn", "0", "--drain-seconds", "60", ready=False)
        try:
            self.assertEqual(get(cluster, "/readyz")[::2], (503, "no replica has attached yet\n"))
            self.assertEqual(get(cluster, "/healthz")[0], 200)
            cluster.connect(wait_until(lambda: re.search(r"serving .* on (\S+)", cluster.text_of_log()), "the address")[1])
            self.assertEqual(health(cluster), 2)
            stream = cluster.generate(api.GenerateRequest(length=8, steps=1))
            next(stream)  # it waits, and so does the coordinator
            cluster.process.send_signal(signal.SIGTERM)
            wait_until(lambda: get(cluster, "/readyz")[::2] == (503, "shutting down: no new requests\n"), "the drain")
            expect_failure(lambda: list(cluster.generate(api.GenerateRequest())), grpc.StatusCode.UNAVAILABLE)
            self.assertEqual(samples(cluster).sum("millrace_requests_refused_total", reason="shutting_down"), 1)
            stream.cancel()
            self.assertEqual(cluster.process.wait(60), 0)
        finally:
            cluster.stop()

    def test_a_ready_replica_does_not_make_a_leaving_cluster_ready(self):
        with Cluster("--metrics", "127.0.0.1:0", "--drain-seconds", "60", ranks=1) as cluster:
            stream = cluster.generate(api.GenerateRequest(length=1024, steps=1024))
            next(stream)
            self.assertEqual((get(cluster, "/readyz")[0], health(cluster)), (200, 1))
            cluster.process.send_signal(signal.SIGTERM)
            wait_until(lambda: get(cluster, "/readyz")[::2] == (503, "shutting down: no new requests\n"), "the drain")
            wait_until(lambda: health(cluster) == 2, "NOT_SERVING")
            page = samples(cluster)
            self.assertEqual((page.sum("millrace_ready"), page.sum("millrace_running_requests")), (0, 1))
            stream.cancel()


if __name__ == "__main__":
    unittest.main()
