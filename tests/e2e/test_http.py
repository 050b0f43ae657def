"""The HTTP door of a real cluster: what it answers, what it refuses, and whom it holds up."""
import hashlib
import json
import os
import re
import resource
import select
import shutil
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time
import unittest

from cluster import SOURCE, TEXT_PATIENCE, api, wait_until
from http_door import Door, read_all

JSON = b"Content-Type: application/json\r\n"


def head(path="/v1/completions", more=JSON, method=b"POST"):
    return method + b" " + path.encode() + b" HTTP/1.1\r\nHost: x\r\n" + more


def with_length(body):
    return head() + b"Content-Length: %d\r\n\r\n" % len(body) + body


def codes(answers):
    return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d\d\d)", answers)]


class Tests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.door = Door("--http-trusted-proxies", "127.0.0.1, 10.0.0.0/8")

    @classmethod
    def tearDownClass(cls):
        cls.door.cluster.stop()

    def refused(self, code, body, *words, param=None, headers=None):
        got, _, answer = self.door.post("/v1/completions", body, headers)
        message = answer["error"]["message"]
        self.assertEqual((got, answer["error"]["param"]), (code, param), message)
        for word in words:
            self.assertIn(word, message)
        self.assertEqual(set(answer["error"]), {"message", "type", "param", "code"})

    # ---- what is answered ----

    def test_same_text_as_grpc(self):
        for fields, request in [
                ({"prompt": "The ", "max_tokens": 9}, {"prompt": "The ", "length": 10}),
                ({"prompt": "The cat", "temperature": 0.7, "max_tokens": 6, "millrace": {"steps": 4, "solver": "stratified"}},
                 {"prompt": "The cat", "temperature": 0.7, "length": 8, "steps": 4, "solver": api.STRATIFIED})]:
            code, _, answer = self.door.complete(seed=11, echo=True, **fields)
            self.assertEqual(code, 200, answer)
            ids = answer["choices"][0]["millrace"]
            request = {"solver": api.Solver.Value("CUMULATIVE"), **request, "length": ids["length"]}
            if "millrace" not in fields:
                request["solver"] = {"cumulative": 0, "euler": 1, "dfm": 2, "stratified": 3}[self.model()["default_solver"]]
            finished = self.door.cluster.text(seed=11, **request)
            self.assertEqual(answer["choices"][0]["text"], finished.text)
            self.assertEqual(answer["usage"]["completion_tokens"], finished.generated_tokens)

    def model(self):
        return json.loads(self.door.get("/v1/models")[2])["data"][0]["millrace"]

    def test_shape(self):
        code, headers, answer = self.door.complete(prompt="The", max_tokens=8, n=2, seed=3)
        self.assertEqual(code, 200)
        self.assertEqual(set(answer), {"id", "object", "created", "model", "system_fingerprint", "choices", "usage"})
        self.assertEqual(answer["system_fingerprint"].split("/")[:2], [answer["model"], "f32"])
        self.assertEqual([choice["index"] for choice in answer["choices"]], [0, 1])
        self.assertEqual([choice["millrace"]["seed"] for choice in answer["choices"]], [3, 4])
        self.assertEqual(answer["usage"]["completion_tokens"], 16)
        self.assertEqual(answer["id"], "cmpl-" + headers["x-request-id"])
        alone = self.door.complete(prompt="The", max_tokens=8, seed=4)[2]
        self.assertEqual(alone["choices"][0]["text"], answer["choices"][1]["text"])

    def test_seed_is_drawn_and_told(self):
        first, second = [self.door.complete(prompt="The", max_tokens=24)[2]["choices"][0] for _ in range(2)]
        self.assertNotEqual(first["text"], second["text"])
        again = self.door.complete(prompt="The", max_tokens=24, seed=first["millrace"]["seed"])[2]["choices"][0]
        self.assertEqual(again["text"], first["text"])
        self.assertLess(first["millrace"]["seed"], 1 << 53)

    def test_prompt_forms(self):
        from_text = self.door.complete(prompt="The cat", max_tokens=6, seed=1)[2]["choices"][0]
        ids = self.door.cluster.unary("Tokenize", api.TokenizeRequest(text="The cat"), api.TokenizeResponse).ids
        from_ids = self.door.complete(prompt=list(ids), max_tokens=6, seed=1)[2]["choices"][0]
        self.assertEqual(from_ids["text"], from_text["text"])
        two = self.door.complete(prompt=[list(ids), list(ids)], max_tokens=6, seed=1, n=2)[2]["choices"]
        self.assertEqual([choice["millrace"]["seed"] for choice in two], [1, 2, 3, 4])
        self.assertEqual(two[0]["text"], from_text["text"])
        texts = self.door.complete(prompt=["The cat", "A dog"], max_tokens=6, seed=1)[2]["choices"]
        self.assertEqual(texts[0]["text"], from_text["text"])
        self.assertEqual(len(texts), 2)

    def test_prompt_and_text_read_on(self):
        for prompt in ("The", "The ", "The  ", ""):
            plain = self.door.complete(prompt=prompt, max_tokens=12, seed=2)[2]["choices"][0]["text"]
            echoed = self.door.complete(prompt=prompt, max_tokens=12, seed=2, echo=True)[2]["choices"][0]["text"]
            stripped = prompt.rstrip(" ")
            self.assertTrue(echoed.startswith(stripped))
            left_out = len(prompt) - len(stripped)
            written = echoed[len(stripped):]
            expected = written[min(left_out, len(written) - len(written.lstrip(" "))):]
            self.assertEqual(plain, expected)

    def test_infill(self):
        answer = self.door.complete(prompt="The cat", suffix=" the end.", max_tokens=5, seed=1, echo=True)[2]
        self.assertTrue(answer["choices"][0]["text"].startswith("The cat"))
        self.assertNotIn(" the end.", answer["choices"][0]["text"][len("The cat"):] if answer["usage"]["completion_tokens"] == 0 else "")
        whole = self.door.complete(seed=1, millrace={"segments": [{"text": "The cat"}, {"gap": 5}, {"text": " the end."}]})[2]
        self.assertTrue(whole["choices"][0]["text"].startswith("The cat"))
        self.assertTrue(whole["choices"][0]["text"].endswith(" the end."))
        middle = whole["choices"][0]["text"][:-len(" the end.")]
        self.assertEqual(middle, answer["choices"][0]["text"])

    def test_stop(self):
        text = self.door.complete(prompt="The", max_tokens=30, seed=5)[2]["choices"][0]["text"]
        stop = text[len(text) // 2:len(text) // 2 + 3]
        cut = self.door.complete(prompt="The", max_tokens=30, seed=5, stop=["\u0001never", stop])[2]["choices"][0]
        self.assertEqual((cut["text"], cut["finish_reason"]), (text[:text.index(stop)], "stop"))
        self.assertEqual(self.door.complete(prompt="The", max_tokens=30, seed=5, stop="\u0001never")[2]["choices"][0]["finish_reason"], "length")

    def test_stream_is_the_same_text(self):
        fields = {"prompt": "The", "max_tokens": 16, "seed": 9, "n": 3}
        whole = self.door.complete(**fields)[2]
        events = self.door.events({**fields, "stream_options": {"include_usage": True}})
        self.assertEqual(events[-1], "[DONE]")
        self.assertEqual((events[-2]["choices"], events[-2]["usage"]), ([], whole["usage"]))
        texts, ends = {}, {}
        for event in events[:-2]:
            for choice in event["choices"]:
                texts[choice["index"]] = texts.get(choice["index"], "") + choice["text"]
                ends[choice["index"]] = choice["finish_reason"]
        self.assertEqual(texts, {choice["index"]: choice["text"] for choice in whole["choices"]})
        self.assertEqual(set(ends.values()), {"length"})
        self.assertEqual(len({event["id"] for event in events[:-1]}), 1)

    def test_frames(self):
        events = self.door.events({"prompt": "The", "max_tokens": 16, "seed": 9, "millrace": {"frames": True, "steps": 6}})
        said = [event["millrace"] for event in events[:-1] if "millrace" in event]
        accepted, frames = said[0]["accepted"], [s["frame"] for s in said if "frame" in s]
        self.assertEqual([frame["step"] for frame in frames], list(range(7)))
        ids, pieces, changed = {}, {}, {}
        for frame in frames:
            for position, token, piece in zip(frame["positions"], frame["ids"], frame["pieces"]):
                ids[position], pieces[position], changed[position] = token, piece, frame["step"]
        final = events[-2]["choices"][0]
        self.assertEqual([ids[i] for i in range(accepted["length"])], final["millrace"]["ids"])
        self.assertEqual([changed[i] for i in range(accepted["length"])], final["millrace"]["changed_step"])
        (start, end), = accepted["editable"]
        joined = b"".join(p.encode() if isinstance(p, str) else bytes(p) for p in (pieces[i] for i in range(start, end)))
        self.assertEqual(joined.decode(errors="replace"), final["text"])

    def test_models_and_status(self):
        listed = json.loads(self.door.get("/v1/models")[2])["data"][0]
        self.assertEqual(json.loads(self.door.get("/v1/models/" + listed["id"])[2]), listed)
        self.assertEqual(self.door.get("/v1/models/other")[0], 404)
        status = json.loads(self.door.get("/v1/millrace/status")[2])
        self.assertEqual(status["replicas"][0]["state"], "ready")
        self.assertEqual(self.door.get("/readyz")[0], 200)
        self.assertIn(b"millrace_http_answers_total", self.door.get("/metrics")[2])

    def test_forwarded_for(self):
        """127.0.0.1 is trusted, so accounts go by the last address in front of it; whoever wrote further left is not believed."""
        def caller(value):
            code, headers, _ = self.door.post("/v1/completions", {"prompt": "The", "max_tokens": 2, "user": "u-1"},
                                              {"X-Forwarded-For": value})
            self.assertEqual(code, 200)
            identity = headers["x-request-id"]
            line = wait_until(lambda: re.search(f"request of a user request={identity} caller=(\\S+) user=u-1",
                                                self.door.cluster.text_of_log()), "the line")
            return line[1]
        self.assertEqual(caller("9.9.9.9, 203.0.113.7"), "203.0.113.7")
        self.assertEqual(caller("203.0.113.7, 10.1.2.3"), "203.0.113.7")
        self.assertEqual(caller("1.1.1.1, [2001:db8::1]:99, 10.1.2.3:1"), "[2001:db8::1]")
        self.assertEqual(caller("1.1.1.1, nonsense"), "127.0.0.1")
        self.assertEqual(caller("7.7.7.7, " + "1.2.3.4, " * 200 + "10.1.1.1"), "127.0.0.1")

    # ---- bad input ----

    def test_not_json(self):
        for body, *words in [
                (b"", "empty"), (b"nonsense", "not JSON"), (b"[1]", "an array"), (b'"x"', "a string"), (b"{", "not JSON"),
                (b'{"prompt": "a"} trailing', "not JSON"), (b'{"prompt": NaN}', "not JSON"), (b'{"temperature": 1e999}', "not JSON"),
                (b'{"prompt": "a", "prompt": "b"}', "duplicate"), (b'{"prompt": "\\ud800"}', "not JSON"),
                (b'{"prompt": "\\udc00 a"}', "not JSON"), (b'{"prompt": "\\ud83dx"}', "not JSON"), (b'{"prompt": "\xff"}', "not JSON"),
                (b'{"prompt": "a\\u0000b"}', "not JSON"), (b'{"seed": 99999999999999999999}', "not JSON"),
                (b'{"prompt": ' + b"[" * 100000 + b"]" * 100000 + b"}", "depth"), (b"\xef\xbb\xbf{}", "not JSON")]:
            self.refused(400, body, *words)

    def test_wrong_fields(self):
        good = {"prompt": "The", "max_tokens": 4}
        for field, values in {
                "prompt": [7, True, {}, [], [[]], [1.5], ["a", 3], [[1, "a"]], [-1], [1 << 40], [True], [[1], "a"], ["a"] * 129, [99999999]],
                "suffix": [7, []], "max_tokens": [0, -1, 1.5, "4", True, 1 << 40, 99999, []],
                "n": [0, -1, 129, "1", 1.5, True], "best_of": [2, 0, "1"], "seed": [1.5, "1", True, []],
                "temperature": [0, -1, 101, "1", [], 1e300], "stop": [["a"] * 5, 7, [7], "", [""], ["a" * 1025], {}],
                "echo": [1, "true"], "logprobs": [0, 3, True], "stream": ["yes", 1], "stream_options": [7, {"include_usage": 1}, {}],
                "user": [7, "x" * 257], "top_p": [0.5, "1"], "presence_penalty": [0.1], "frequency_penalty": [-1],
                "logit_bias": [{"50256": -100}, 1], "millrace": [7, []], "model": [7]}.items():
            for value in values:
                name = {"stream_options": "stream_options"}.get(field, field)
                code, _, answer = self.door.post("/v1/completions", {**good, field: value})
                self.assertEqual(code, 400, (field, value, answer))
                self.assertTrue(answer["error"]["param"].startswith(name), (field, value, answer))

    def test_wrong_extensions(self):
        good = {"prompt": "The", "max_tokens": 4}
        for field, values in {
                "steps": [0, -1, "many", 1.5, [], {"at_least": 0, "at_most": 99999}, {"at_leest": 1}, 1 << 20, {"at_least": 9, "at_most": 2}],
                "solver": ["magic", 7], "deadline": [0, -1, "1", 1e9], "priority": ["urgent", 1], "frames": [1, True],
                "segments": [[], [{"gap": 4}], [{}], 7, [7]], "plain_text": [1], "revise": ["x"], "most_changes": [-1, "1"],
                "stepps": [8]}.items():
            for value in values:
                code, _, answer = self.door.post("/v1/completions", {**good, "millrace": {field: value}})
                self.assertEqual(code, 400, (field, value, answer))
                self.assertTrue(answer["error"]["param"].startswith("millrace." + field), (field, value, answer))
        for segments in [[{"text": "a"}], [{"gap": -1}], [{"gap": 1, "text": "a"}], [{"gap": 1}] * 5000, [{"txt": "a"}], [{"gap": 1 << 40}]]:
            code, _, answer = self.door.post("/v1/completions", {"millrace": {"segments": segments}})
            self.assertEqual((code, answer["error"]["param"]), (400, "millrace.segments"), (segments[:2], answer))

    def test_unknown_fields(self):
        self.refused(400, {"prompt": "a", "max_token": 4}, "did you mean max_tokens", param="max_token")
        self.refused(400, {"prompt": "a", "messages": []}, "no such field", param="messages")
        self.refused(400, {"max_tokens": 4}, "is missing", param="prompt")
        self.refused(404, {"prompt": "a", "model": "gpt-5"}, "is not served here", param="model")

    def test_null_is_left_out(self):
        code, _, answer = self.door.complete(prompt="The", max_tokens=4, stop=None, seed=None, logprobs=None, suffix=None, user=None,
                                             temperature=None, n=None, best_of=None, stream=None, stream_options=None, millrace=None,
                                             top_p=1, presence_penalty=0, frequency_penalty=0.0, logit_bias={})
        self.assertEqual(code, 200, answer)

    def test_chat_has_no_template(self):
        code, _, answer = self.door.post("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]})
        self.assertEqual((code, answer["error"]["code"]), (400, "no_chat_template"))

    # ---- HTTP ----

    def test_content_type(self):
        for kind, code in [("application/json", 200), ("application/json; charset=utf-8", 200), ("Application/JSON", 200),
                           ("text/plain", 415), ("application/jsonx", 415), ("application/x-www-form-urlencoded", 415),
                           ("multipart/form-data; boundary=x", 415)]:
            got = self.door.post("/v1/completions", {"prompt": "The", "max_tokens": 2}, {"Content-Type": kind})
            self.assertEqual(got[0], code, kind)
        self.assertEqual(codes(self.door.send_raw(head(more=b"Content-Length: 2\r\nConnection: close\r\n\r\n{}"))), [415])
        self.assertEqual(self.door.post("/v1/completions", b"x", {"Content-Encoding": "gzip"})[0], 415)

    def test_methods(self):
        for method, path, code in [("GET", "/v1/completions", 405), ("PUT", "/v1/completions", 405), ("DELETE", "/v1/models", 405),
                                   ("OPTIONS", "/v1/completions", 405), ("HEAD", "/v1/models", 200), ("HEAD", "/healthz", 200),
                                   ("GET", "/v1/nothing", 404), ("BREW", "/v1/models", 405), ("GET", "/v1/models/", 404),
                                   ("GET", "/v1/models/../../etc/passwd", 404), ("GET", "/%2e%2e/", 404)]:
            got, headers, body = self.door.ask(method, path)
            self.assertEqual(got, code, (method, path, body))
            self.assertEqual("Allow" in headers, code == 405)
            if method == "HEAD":
                self.assertEqual(body, b"")
                self.assertGreater(int(headers["Content-Length"]), 0)
        self.assertNotIn("Access-Control-Allow-Origin", self.door.ask("GET", "/v1/models", headers={"Origin": "https://a.example"})[1])

    def test_headers_of_answers(self):
        for path in ("/v1/models", "/nothing"):
            headers = self.door.get(path)[1]
            self.assertEqual(headers["Cross-Origin-Opener-Policy"], "same-origin")
            self.assertEqual(headers["Cross-Origin-Embedder-Policy"], "require-corp")
            self.assertIn("default-src 'none'", headers["Content-Security-Policy"])
            self.assertEqual(headers["X-Content-Type-Options"], "nosniff")

    def test_chunked(self):
        body = json.dumps({"prompt": "The", "max_tokens": 3, "seed": 1}).encode()
        pieces = b"".join(b"%x\r\n%s\r\n" % (1, body[i:i + 1]) for i in range(len(body))) + b"0\r\n\r\n"
        answer = self.door.send_raw(head(more=JSON + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n") + pieces)
        self.assertEqual(codes(answer), [200])
        for wrong in (b"zz\r\n", b"-1\r\n", b"ffffffffffffffffff\r\nx", b"5\r\nabcdefgh\r\n"):
            answer = self.door.send_raw(head(more=JSON + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n") + wrong)
            self.assertNotIn(200, codes(answer), wrong)

    def test_pipelining(self):
        body = json.dumps({"prompt": "The", "max_tokens": 3, "seed": 1}).encode()
        last = head("/v1/models", b"Connection: close\r\n\r\n", b"GET")
        answer = self.door.send_raw(with_length(body) * 3 + with_length(b"{}") + last)
        self.assertEqual(codes(answer), [200, 200, 200, 400, 200])

    def test_one_connection_for_many(self):
        connection = self.door.connect()
        for i in range(20):
            code, _, _ = self.door.post("/v1/completions", {"prompt": "The", "max_tokens": 2, "stream": False}, connection=connection)
            self.assertEqual(code, 200)
        connection.close()

    def test_large(self):
        self.assertEqual(self.door.post("/v1/completions", {"prompt": "a" * (1 << 20)})[0], 413)
        answer = self.door.send_raw(head(more=JSON + b"Content-Length: 99999999999\r\nExpect: 100-continue\r\n\r\n"))
        self.assertEqual(codes(answer), [413])
        code, _, answer = self.door.post("/v1/completions", {"prompt": "a " * (1 << 18)})  # read beside the server's thread
        self.assertEqual((code, answer["error"]["param"]), (400, "prompt"))
        chunk = b"10000\r\n" + b"a" * 65536 + b"\r\n"
        answer = self.door.send_raw(head(more=JSON + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"), chunk * 20, b"0\r\n\r\n")
        self.assertEqual(codes(answer), [413])
        self.assertIn(codes(self.door.send_raw(head(more=b"X: " + b"a" * 40000 + b"\r\nConnection: close\r\n\r\n"))), ([431], []))
        self.assertIn(codes(self.door.send_raw(b"GET /" + b"a" * 40000 + b" HTTP/1.1\r\n\r\n")), ([414], [431], []))

    def test_endless_body(self):
        with self.door.raw() as connection:
            connection.sendall(head(more=JSON + b"Transfer-Encoding: chunked\r\n\r\n"))
            sent, chunk = 0, b"10000\r\n" + b"a" * 65536 + b"\r\n"
            with self.assertRaises((BrokenPipeError, ConnectionResetError)):
                while sent < 1 << 30:
                    connection.sendall(chunk)
                    sent += len(chunk)
        self.assertLess(sent, 64 << 20)

    def test_garbage(self):
        for garbage in (b"\0" * 100, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 200, b"GET\r\n\r\n", b"\r\n\r\n\r\n",
                        b"GET / HTTP/9.9\r\n\r\n", b"POST /v1/completions HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
                        b"POST /v1/completions HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
            with self.door.raw() as connection:
                connection.sendall(garbage)
                connection.shutdown(socket.SHUT_WR)
                self.assertNotIn(b" 200 ", read_all(connection))
        self.assertEqual(self.door.get("/healthz")[0], 200)

    # ---- clients that leave, wait, or are too many ----

    def counts(self):
        return self.door.cluster.status()

    def test_client_that_leaves(self):
        long = {"prompt": "The", "max_tokens": 400, "millrace": {"steps": 1000}}
        for stream in (False, True):
            for reset in (False, True):
                before = self.counts().cancelled
                body = json.dumps({**long, "stream": stream}).encode()
                connection = self.door.raw()
                connection.sendall(with_length(body))
                wait_until(lambda: self.counts().running == 1, "it runs")
                if stream:
                    wait_until(lambda: b"step 1 of" in connection.recv(65536), "a frame")
                if reset:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()
                left = time.monotonic()
                wait_until(lambda: self.counts().cancelled == before + 1, "it is cancelled", 20)
                self.assertLess(time.monotonic() - left, 2)
        wait_until(lambda: self.counts().running == 0, "nothing runs")

    def test_client_that_leaves_with_many_texts(self):
        before = self.counts().cancelled
        body = json.dumps({"prompt": "The", "max_tokens": 300, "n": 20, "millrace": {"steps": 1000}}).encode()
        with self.door.raw() as connection:
            connection.sendall(with_length(body))
            wait_until(lambda: self.counts().running + self.counts().queued == 20, "all are accepted")
        wait_until(lambda: self.counts().cancelled == before + 20, "all are cancelled", 20)

    def test_deadline(self):
        started = time.monotonic()
        code, headers, answer = self.door.complete(prompt="The", max_tokens=400, millrace={"steps": 1000, "deadline": 0.5})
        self.assertEqual((code, answer["error"]["code"], answer["error"]["param"]), (504, "deadline_exceeded", None), answer)
        self.assertIn("deadline", answer["error"]["message"])
        self.assertEqual(headers["x-should-retry"], "false")
        self.assertLess(time.monotonic() - started, 10)
        wait_until(lambda: self.counts().running == 0, "nothing runs")

    def test_slow_reader(self):
        """A client that takes nothing is cut off, and others do not notice."""
        before, longest = self.counts(), self.model()["max_length"]
        readers = [self.door.raw() for _ in range(2)]
        body = {"prompt": "", "max_tokens": longest, "n": 100, "stream": True, "millrace": {"frames": True, "steps": 1000}}
        for connection in readers:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(with_length(json.dumps(body).encode()))
        for _ in range(5):
            self.assertEqual(self.door.get("/healthz")[0], 200)
        wait_until(lambda: self.counts().cancelled == before.cancelled + 200, "both are cut off", TEXT_PATIENCE)
        for connection in readers:
            connection.close()

    def test_slow_sender(self):
        """A body that comes byte by byte, and a head that does: both are hung up on, however alive they look."""
        slow = [self.door.raw() for _ in range(2)]
        slow[0].sendall(head() + b"Content-Length: 1000\r\n\r\n")
        slow[1].sendall(b"POST /v1/completions HTTP/1.1\r\n")
        began, open_ones = time.monotonic(), {0, 1}
        while open_ones:
            self.assertLess(time.monotonic() - began, 90)
            for i in list(open_ones):
                readable, _, _ = select.select([slow[i]], [], [], 0.5)
                if readable:
                    self.assertNotIn(b" 200 ", read_all(slow[i]))
                    open_ones.remove(i)
                    continue
                try:
                    slow[i].sendall(b" " if i == 0 else b"X")
                except OSError:
                    open_ones.remove(i)
        self.assertGreater(time.monotonic() - began, 20)
        for connection in slow:
            connection.close()

    def test_many_connections(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        n = min(10000, hard - 500)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, n + 500), hard))
        idle = []
        try:
            for _ in range(n):
                idle.append(socket.create_connection((self.door.host, self.door.port), 30))
            started = time.monotonic()
            self.assertEqual(self.door.complete(prompt="The", max_tokens=2)[0], 200)
            self.assertLess(time.monotonic() - started, 10)
        finally:
            for connection in idle:
                connection.close()
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Bounds(unittest.TestCase):
    def test_limits_and_accounts(self):
        tokens = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("anna", "ben", "root", "rack")}
        clients = [{"name": "anna", "token_sha256": tokens["anna"], "scopes": ["generate"], "max_requests": 1},
                   {"name": "ben", "token_sha256": tokens["ben"], "scopes": ["generate"]},
                   {"name": "root", "token_sha256": tokens["root"], "scopes": ["admin"]},
                   {"name": "rack", "token_sha256": tokens["rack"], "scopes": ["replica"]}]
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({"clients": clients}, file)
            file.flush()
            with Door("--tokens", file.name, "--max-queue", "2") as door:
                def ask(name, **fields):
                    headers = {"Authorization": f"Bearer {name}"} if name else {}
                    return door.post("/v1/completions", {"prompt": "The", "max_tokens": 2, **fields}, headers)
                self.assertEqual([ask(name)[0] for name in (None, "nobody", "root", "rack", "ben")], [401, 401, 403, 403, 200])
                self.assertEqual(ask(None)[2]["error"]["code"], "invalid_api_key")
                self.assertEqual([door.get(path)[0] for path in ("/healthz", "/readyz", "/metrics", "/v1/models")], [200, 200, 401, 401])
                self.assertEqual(door.get("/metrics", Authorization="Bearer root")[0], 200)
                code, headers, answer = ask("anna", n=2)
                self.assertEqual((code, answer["error"]["code"]), (429, "rate_limit_exceeded"), answer)
                self.assertGreaterEqual(int(headers["Retry-After"]), 1)
                self.assertGreater(int(headers["retry-after-ms"]), 0)
                self.assertEqual(ask("anna")[0], 200)  # the one that was accepted has been cancelled
                code, _, answer = ask("ben", n=120, max_tokens=200, millrace={"steps": 100})
                self.assertEqual((code, answer["error"]["code"]), (429, "rate_limit_exceeded"), answer)
                self.assertNotIn("anna ", door.cluster.text_of_log().replace("caller=anna", ""))
                self.assertIn("millrace_requests_refused_total{reason=\"unauthorised\"} 5",
                              door.get("/metrics", Authorization="Bearer root")[2].decode())

    def test_cors(self):
        origin = {"Origin": "https://a.example"}
        with Door("--http-allow-origin", "https://a.example") as door:
            code, headers, _ = door.ask("OPTIONS", "/v1/completions", headers=origin)
            self.assertEqual((code, headers["Access-Control-Allow-Origin"]), (204, "https://a.example"))
            self.assertIn("authorization", headers["Access-Control-Allow-Headers"])
            self.assertEqual(door.get("/v1/models", **origin)[1]["Access-Control-Allow-Origin"], "https://a.example")
            self.assertNotIn("Access-Control-Allow-Origin", door.get("/v1/models", Origin="https://b.example")[1])

    def test_no_replica(self):
        with Door("--spawn", "0", ready=False) as door:
            self.assertEqual(door.get("/readyz")[0], 503)
            code, _, answer = door.complete(prompt="The", max_tokens=2, millrace={"deadline": 0.3})
            self.assertEqual((code, answer["error"]["code"]), (504, "deadline_exceeded"))

    def test_answers_are_finished_before_the_end(self):
        """After SIGTERM a request that runs is answered; a new one hears 503, or finds nobody."""
        with Door("--drain-seconds", "250") as door:
            results = []
            thread = threading.Thread(target=lambda: results.append(door.complete(prompt="The", max_tokens=100, millrace={"steps": 40})))
            thread.start()
            wait_until(lambda: door.cluster.status().running == 1, "it runs")
            self.assertEqual(door.cluster.stop(), 0)
            thread.join()
            self.assertEqual(results[0][0], 200, results)

    def test_clean_end_with_open_connections(self):
        with Door() as door:
            idle = [door.raw() for _ in range(5)]
            idle[0].sendall(b"POST /v1/comp")
            idle[1].sendall(head() + b"Content-Length: 10\r\n\r\n{")
            self.assertEqual(door.cluster.stop(), 0)
            for connection in idle:
                connection.close()


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        subprocess.run([f"{SOURCE}/tests/rpc/certificates.sh", cls.directory.name], check=True)

    @classmethod
    def tearDownClass(cls):
        cls.directory.cleanup()

    def path(self, name):
        return os.path.join(self.directory.name, name)

    def context(self, certificate=None):
        context = ssl.create_default_context(cafile=self.path("ca.pem"))
        if certificate:
            context.load_cert_chain(self.path(f"{certificate}.pem"), self.path(f"{certificate}.key"))
        return context

    def clients(self, *clients):
        with open(self.path("clients.json"), "w") as file:
            json.dump({"clients": list(clients)}, file)
        return self.path("clients.json")

    def options(self, name="server"):
        return "--tls-cert", self.path(f"{name}.pem"), "--tls-key", self.path(f"{name}.key")

    def test_tls_and_token(self):
        tokens = self.clients({"name": "anna", "token_sha256": hashlib.sha256(b"secret").hexdigest(), "scopes": ["generate"]})
        with Door(*self.options(), "--tokens", tokens, tls=self.context()) as door:
            self.assertEqual(door.complete(prompt="The", max_tokens=2)[0], 401)
            code, _, answer = door.post("/v1/completions", {"prompt": "The", "max_tokens": 2}, {"Authorization": "Bearer secret"})
            self.assertEqual(code, 200, answer)
            events = door.events({"prompt": "The", "max_tokens": 9}, {"Authorization": "Bearer secret"})
            self.assertEqual(events[-1], "[DONE]")
            with socket.create_connection((door.host, door.port)) as plain:
                plain.sendall(b"GET /healthz HTTP/1.1\r\n\r\n")
                self.assertNotIn(b"200 OK", read_all(plain))
            stalled = [socket.create_connection((door.host, door.port)) for _ in range(30)]  # they never shake hands
            self.assertEqual(door.get("/healthz")[0], 200)
            for connection in stalled:
                connection.close()
            with self.assertRaises(ssl.SSLError):
                door.tls = ssl.create_default_context()
                door.get("/healthz")

    def test_client_certificates(self):
        """The same names as over gRPC: common name, then alternative names; a stranger's is none."""
        listed = self.clients({"name": "anna", "certificate": "anna.clients", "scopes": ["generate"]},
                              {"name": "rack", "certificate": "replica-7.cluster", "scopes": ["replica"]})
        with Door(*self.options(), "--tls-client-ca", self.path("ca.pem"), "--tokens", listed, tls=self.context("anna")) as door:
            code, headers, _ = door.post("/v1/completions", {"prompt": "The", "max_tokens": 2, "user": "u"})
            self.assertEqual(code, 200)
            wait_until(lambda: f"request={headers['x-request-id']} caller=anna" in door.cluster.text_of_log(), "the account")
            for certificate, code in (("replica", 403), ("second", 401), (None, 401)):
                door.tls = self.context(certificate)
                self.assertEqual(door.complete(prompt="The", max_tokens=2)[0], code, certificate)
            door.tls = self.context("stranger")
            try:
                self.assertEqual(door.complete(prompt="The", max_tokens=2)[0], 401)
            except (ssl.SSLError, ConnectionError):
                pass  # the handshake may end there already

    def test_new_certificate(self):
        for kind in ("pem", "key"):
            shutil.copy(self.path(f"server.{kind}"), self.path(f"live.{kind}"))
        with Door(*self.options("live"), tls=self.context()) as door:
            address = (door.host, door.port)
            old = door.connect()
            self.assertEqual(door.ask("GET", "/healthz", connection=old)[0], 200)
            before = ssl.get_server_certificate(address)
            for kind in ("pem", "key"):
                shutil.copy(self.path(f"second.{kind}"), self.path(f"next.{kind}"))
                os.rename(self.path(f"next.{kind}"), self.path(f"live.{kind}"))
            wait_until(lambda: ssl.get_server_certificate(address) != before, "the new certificate")
            self.assertEqual(door.ask("GET", "/healthz", connection=old)[0], 200)  # the connection lives on
            self.assertEqual(door.complete(prompt="The", max_tokens=2)[0], 200)
            old.close()


if __name__ == "__main__":
    unittest.main()
