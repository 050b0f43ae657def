"""What the logs of a cluster say: one JSON object a line, every request by its id, its caller's trace, and no texts."""
import fcntl
import json
import os
import re
import signal
import threading
import unittest

import grpc

from cluster import TEXT_PATIENCE, Cluster, api, check_stream, expect_failure, wait_until

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
SECRET = "Sesame opens the cave"


def lines_of(cluster, mpirun_may_speak=False):
    lines = []
    for line in cluster.text_of_log().splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            assert mpirun_may_speak, line
    return lines


def find_when_written(cluster, message, **fields):
    """The same, when there is one: a line may be written after the answer that it tells of."""
    return wait_until(lambda: find(cluster, message, **fields), message)


def find(cluster, message, **fields):
    return [line for line in lines_of(cluster, True)
            if line["message"] == message and all(line.get(name) == value for name, value in fields.items())]


class Logs(unittest.TestCase):
    def generate(self, cluster, metadata=(), **fields):
        """(request id, Finished, the traceparent that came back)"""
        call = cluster.channel.unary_stream("/millrace.v1.Millrace/Generate",
                                            request_serializer=lambda m: m.SerializeToString(),
                                            response_deserializer=api.GenerateEvent.FromString)(
                                                api.GenerateRequest(**fields), timeout=TEXT_PATIENCE, metadata=metadata)
        events = list(call)
        return events[0].accepted.request_id, check_stream(events), dict(call.initial_metadata())["traceparent"]

    def test_a_request_can_be_followed(self):
        with Cluster("--log-format", "json", ranks=2, environment={"MILLRACE_LOG": "debug"}) as cluster:
            number, finished, back = self.generate(cluster, [("traceparent", f"00-{TRACE}-{SPAN}-01")], length=24, steps=3,
                                                   prompt=SECRET)
            version, trace, span, flags = back.split("-")
            self.assertEqual((version, trace, flags), ("00", TRACE, "01"))
            self.assertRegex(span, "^[0-9a-f]{16}$")
            self.assertNotEqual(span, SPAN)
            wait_until(lambda: find(cluster, "request done", request=number), "the replica's last line")
            [ended] = find_when_written(cluster, "request finished", request=number)
            self.assertEqual((ended["program"], ended["level"], ended["replica"], ended["caller"]),
                             ("coordinator", "info", "r0", "127.0.0.1"))
            self.assertEqual((ended["length"], ended["step"], ended["steps"]), (24, 3, 3))
            self.assertEqual((ended["trace_id"], ended["span_id"]), (TRACE, span))
            self.assertAlmostEqual(ended["seconds"], finished.timings.total_ms / 1e3, delta=0.05)
            for message in ("request accepted", "request started"):
                [line] = find_when_written(cluster, message, request=number)
                self.assertEqual(line["trace_id"], TRACE)
            [came] = find(cluster, "request came", request=number)
            self.assertEqual((came["program"], came["trace_id"], came["parent_span_id"]), ("r0.0", TRACE, span))
            for line in lines_of(cluster):
                self.assertEqual(list(line)[:4], ["time", "level", "program", "message"])
                self.assertRegex(line["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
            text = cluster.text_of_log()
            for secret in (SECRET, SECRET.split()[0], finished.text[len(SECRET):len(SECRET) + 12]):
                self.assertNotIn(secret, text)

    def test_without_a_trace_one_begins(self):
        with Cluster("--log-format", "json", ranks=1) as cluster:
            valid = f"00-{TRACE}-{SPAN}-01"
            seen = set()
            for metadata in ([], [("traceparent", "00-zz")], [("traceparent", valid), ("traceparent", valid)]):
                number, _, back = self.generate(cluster, metadata, length=8, steps=1)
                self.assertRegex(back, "^00-[0-9a-f]{32}-[0-9a-f]{16}-00$")
                self.assertNotIn(TRACE, back)
                self.assertEqual(find_when_written(cluster, "request finished", request=number)[0]["trace_id"], back.split("-")[1])
                seen.add(back)
            self.assertEqual(len(seen), 3)

    def test_refusals_and_endings(self):
        with Cluster("--log-format", "json", ranks=1) as cluster:
            expect_failure(lambda: list(cluster.generate(api.GenerateRequest(length=0))), grpc.StatusCode.INVALID_ARGUMENT)
            [refused] = find_when_written(cluster, "request refused", code="INVALID_ARGUMENT")
            self.assertIn("length", refused["reason"])
            stream = cluster.generate(api.GenerateRequest(length=1024, steps=1024))
            number = next(stream).accepted.request_id
            stream.cancel()
            wait_until(lambda: find(cluster, "request cancelled", request=number), "the line")
            for _ in range(200):  # whoever asks again and again does not fill the disk
                expect_failure(lambda: list(cluster.generate(api.GenerateRequest(steps=0))), grpc.StatusCode.INVALID_ARGUMENT)
            lines = find(cluster, "request refused")
            self.assertLess(len(lines), 150)
            self.assertNotIn("request came", cluster.text_of_log())  # that is for MILLRACE_LOG=debug

    def test_many_refusals_of_one_code_do_not_hide_another(self):
        with Cluster("--log-format", "json", ranks=1) as cluster:
            for _ in range(8):  # before each of the other, more of the first than a second has room for
                for _ in range(30):
                    expect_failure(lambda: list(cluster.generate(api.GenerateRequest(steps=0))), grpc.StatusCode.INVALID_ARGUMENT)
                expect_failure(lambda: list(cluster.generate(api.GenerateRequest(model="other"))), grpc.StatusCode.NOT_FOUND)
            wait_until(lambda: len(find(cluster, "request refused", code="NOT_FOUND")) == 8, "all of the other")

    def test_a_failover_is_told(self):
        with Cluster("--log-format", "json", ranks=2) as cluster:
            for event in cluster.generate(api.GenerateRequest(length=512, steps=40, seed=21)):
                kind = event.WhichOneof("kind")
                if kind == "accepted":
                    number = event.accepted.request_id
                elif kind == "frame" and event.frame.step == 5:
                    os.kill(cluster.workers()[1], signal.SIGKILL)
            [lost] = find_when_written(cluster, "request failed over: its replica is gone", request=number)
            self.assertEqual((lost["replica"], lost["level"]), ("r0", "warning"))
            self.assertGreaterEqual(lost["step"], 5)

    def test_a_request_keeps_its_id_when_it_gives_way(self):
        with Cluster("--log-format", "json", "--max-sequences", "1", ranks=1, environment={"MILLRACE_LOG": "debug"}) as cluster:
            low = cluster.generate(api.GenerateRequest(length=256, steps=60, priority=api.LOW))
            number = next(low).accepted.request_id
            next(low)
            next(low)  # it runs
            cluster.text(length=8, steps=1, priority=api.HIGH)
            list(low)
            wait_until(lambda: find(cluster, "request done", request=number), "the replica's last line")
            self.assertEqual(len(find(cluster, "request preempted", request=number)), 1)
            self.assertEqual(len(find(cluster, "request came", request=number)), 2)
            self.assertEqual(len(find(cluster, "request dropped", request=number)), 1)

    def test_a_reader_that_stands_still_stops_nothing(self):
        read_end, write_end = os.pipe()
        size = fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 4096)
        with Cluster("--log-format", "json", ranks=1, environment={"MILLRACE_LOG": "debug"}, log=write_end) as cluster:
            os.close(write_end)
            for _ in range(size // 100):  # a line is longer than that: the pipe fills many times over
                self.generate(cluster, length=8, steps=1)
            held_back = size // 100
            lines = []

            def read():
                with open(read_end, encoding="utf8") as log:
                    lines.extend(log)

            reader = threading.Thread(target=read)
            reader.start()  # reads what waits, and on until the end
        reader.join()
        messages = [json.loads(line)["message"] for line in lines if line.startswith("{")]
        self.assertEqual(messages.count("request finished"), held_back)
        self.assertEqual(messages[-1], "ended")

    def test_text_is_for_people(self):
        with Cluster(ranks=1) as cluster:
            number, _, _ = self.generate(cluster, length=8, steps=2)
            line = wait_until(lambda: re.search(rf"^\d\d:\d\d:\d\d\.\d{{3}} info    coordinator: request finished request={number} .*$",
                                                cluster.text_of_log(), re.M), "the line")
            self.assertRegex(line[0], " caller=127.0.0.1 replica=r0 length=8 step=2 steps=2 queue_seconds=")

    def test_a_format_that_is_none(self):
        cluster = Cluster("--log-format", "xml", ready=False)
        self.assertEqual(cluster.process.wait(20), 2)
        self.assertIn('--log-format: "xml" is neither text nor json', cluster.text_of_log())
        cluster.stop()


if __name__ == "__main__":
    unittest.main()
