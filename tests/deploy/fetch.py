"""deploy/kubernetes/fetch-model.sh against a hub of our own: a token that must not go on to the host of the data, connections that break,
shards, what is not there, a volume that two pods fill."""
import http.server
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest

SOURCE = os.environ["MILLRACE_SOURCE"]
SCRIPT = f"{SOURCE}/deploy/kubernetes/fetch-model.sh"
TOKEN = "hf_secret"
WEIGHTS = bytes(range(256)) * 4096


class Server(http.server.ThreadingHTTPServer):
    def __init__(self, handler):
        super().__init__(("127.0.0.1", 0), handler)
        self.files, self.asked, self.breaks, self.leaked = {}, [], 0, False
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self, host="127.0.0.1"):
        return f"http://{host}:{self.server_port}"


class Hub(http.server.BaseHTTPRequestHandler):
    """Small files at once, large ones from another host, as Hugging Face does."""

    def log_message(self, *_):
        pass

    def refuse(self, code):
        self.send_response(code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self):
        hub = self.server
        hub.asked.append(self.path)
        if hub.private and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.refuse(401)
        name = self.path.removeprefix("/us/model/resolve/main/")
        if name not in hub.files:
            return self.refuse(404)
        self.send_response(302)
        self.send_header("Location", f"{hub.store.url('localhost')}/{name}")
        self.send_header("Content-Length", "0")
        self.end_headers()


class Store(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        store = self.server
        store.leaked |= "Authorization" in self.headers
        data = store.files[self.path[1:]]
        begin = int(self.headers["Range"].split("=")[1].rstrip("-")) if self.headers.get("Range") else 0
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(data) - begin))
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        if store.breaks and len(data) > 1000:
            store.breaks -= 1
            store.asked.append(begin)
            self.wfile.write(data[begin:begin + 1000])
            self.close_connection = True
            return
        store.asked.append(begin)
        self.wfile.write(data[begin:])


class Fetch(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory, True)
        self.store, self.hub = Server(Store), Server(Hub)
        for server in (self.store, self.hub):
            self.addCleanup(server.server_close)
            self.addCleanup(server.shutdown)
        self.hub.store, self.hub.private = self.store, False
        self.hub.files = self.store.files = {"config.json": b"{}", "tokenizer.json": b"[]", "model.safetensors": WEIGHTS}
        self.model = f"{self.directory}/model"

    def fetch(self, revision="main", token=None):
        environment = {**os.environ, "HF_ENDPOINT": self.hub.url()}
        if token:
            with open(f"{self.directory}/token", "w") as file:
                file.write(token + "\n")
            environment["HF_TOKEN_FILE"] = f"{self.directory}/token"
        return subprocess.run([SCRIPT, "us/model", revision, self.model], env=environment, capture_output=True, text=True, timeout=100)

    def check(self, done, *names):
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(sorted(os.listdir(self.model)), sorted([".millrace-source", *names]))
        for name in names:
            with open(f"{self.model}/{name}", "rb") as file:
                self.assertEqual(file.read(), self.store.files[name])

    def test_a_private_model(self):
        self.hub.private = True
        self.check(self.fetch(token=TOKEN), "config.json", "tokenizer.json", "model.safetensors")
        self.assertFalse(self.store.leaked, "the token went to the host of the data")
        asked = len(self.hub.asked)
        self.check(self.fetch(), "config.json", "tokenizer.json", "model.safetensors")  # by the pod after it
        self.assertEqual(len(self.hub.asked), asked)

    def test_without_its_token(self):
        self.hub.private = True
        done = self.fetch()
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("a token that may read it is needed", done.stderr)
        self.assertEqual(os.listdir(self.model), [])

    def test_connections_that_break(self):
        self.store.breaks = 2
        self.check(self.fetch(), "config.json", "tokenizer.json", "model.safetensors")
        self.assertEqual([begin for begin in self.store.asked if begin], [1000, 2000])  # taken up, not begun again

    def test_shards(self):
        del self.store.files["model.safetensors"]
        index = b'{"weight_map": {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors", "c": "model-1-of-2.safetensors"}}'
        self.store.files |= {"model.safetensors.index.json": index, "model-1-of-2.safetensors": b"1", "model-2-of-2.safetensors": b"2"}
        self.check(self.fetch(), *self.store.files)

    def test_what_is_no_model(self):
        del self.store.files["tokenizer.json"]
        done = self.fetch()
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("has no tokenizer.json", done.stderr)
        self.assertFalse(os.path.exists(f"{self.model}/.millrace-source"))

    def test_another_model_is_there(self):
        self.check(self.fetch(), "config.json", "tokenizer.json", "model.safetensors")
        done = self.fetch(revision="v2")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("give each its own volume", done.stderr)


if __name__ == "__main__":
    if not shutil.which("curl"):
        print("skipped: no curl")
        sys.exit(77)
    unittest.main()
