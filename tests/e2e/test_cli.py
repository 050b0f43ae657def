"""The millrace command as a person or a script uses it."""
import json
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
import unittest
from concurrent import futures

import grpc

from cluster import BIN, DEMO, Cluster


def millrace(*arguments, text_in="", code=0, environment=None):
    done = subprocess.run([f"{BIN}/millrace", *arguments], input=text_in, capture_output=True, text=True, timeout=100,
                          env={**os.environ, **(environment or {})})
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


class Alone(unittest.TestCase):
    """Without a cluster: the command starts one for itself."""

    def test_one_command_writes_a_text(self):
        environment = {"MILLRACE_MODEL": DEMO}
        done = millrace("generate", "--length", "40", "--steps", "4", "--seed", "3", "Once upon a time",
                        environment=environment)
        self.assertTrue(done.stdout.startswith("Once upon a time"), done.stdout)
        self.assertIn("cluster", done.stderr)
        again = millrace("generate", "--length", "40", "--steps", "4", "--seed", "3", "Once upon a time",
                         environment=environment)
        self.assertEqual(done.stdout, again.stdout)

    def test_without_any_choice(self):
        done = millrace("generate", "--json", environment={"MILLRACE_MODEL": "", "MILLRACE_ENDPOINT": ""})
        answer = json.loads(done.stdout)
        self.assertEqual((answer["model"], answer["steps"], answer["length"]), ("books-small", 8, 256))
        self.assertEqual(answer["solver"], "euler")  # its config.json says so

    def test_the_demonstration_models_are_those_of_their_cards(self):
        for name in ("books-mini", "books-small"):
            directory = os.path.join(os.path.dirname(DEMO), name)
            fingerprint = re.search("fingerprint +([0-9a-f]{16})", millrace("inspect", directory).stdout)[1]
            with open(os.path.join(directory, "README.md"), encoding="utf-8") as card:
                self.assertIn(fingerprint, card.read())

    def test_an_endpoint_where_nobody_answers(self):
        done = millrace("generate", "--endpoint", "127.0.0.1:1", "x", code=1)
        self.assertEqual(done.stdout, "")
        self.assertIn("127.0.0.1:1", done.stderr)
        self.assertIn("millrace serve", done.stderr)

    def test_a_cluster_that_never_answers_takes_no_longer_than_the_deadline(self):
        ended = threading.Event()

        class Silent(grpc.GenericRpcHandler):
            def service(self, details):
                return grpc.unary_unary_rpc_method_handler(lambda request, context: ended.wait() and b"")

        server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[Silent()])
        address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        try:
            for solver in ([], ["--solver", "euler"]):  # with and without a question about the model
                begun = time.monotonic()
                done = millrace("generate", "--endpoint", address, "--deadline", "1", *solver, "x", code=1)
                self.assertIn("DEADLINE_EXCEEDED", done.stderr)
                self.assertLess(time.monotonic() - begun, 5)
        finally:
            ended.set()
            server.stop(None)

    def test_ctrl_c_is_heard_by_a_cluster_that_never_answers(self):
        """While generate asks for the model, and while it waits for the text."""
        ended, asked = threading.Event(), threading.Event()

        def wait(request, context):
            asked.set()
            ended.wait()
            return b""

        class Silent(grpc.GenericRpcHandler):
            def service(self, details):
                return grpc.unary_unary_rpc_method_handler(wait)

        server = grpc.server(futures.ThreadPoolExecutor(8), handlers=[Silent()])
        address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        try:
            for arguments in (["generate", "x"], ["generate", "--solver", "euler", "x"], ["status", "--watch"]):
                asked.clear()
                process = subprocess.Popen([f"{BIN}/millrace", *arguments, "--endpoint", address], stderr=subprocess.PIPE,
                                           stdout=subprocess.PIPE)
                self.assertTrue(asked.wait(60))
                begun = time.monotonic()
                process.send_signal(signal.SIGINT)
                process.communicate(timeout=60)
                self.assertEqual(process.returncode, 0 if "--watch" in arguments else 130, arguments)
                self.assertLess(time.monotonic() - begun, 3, arguments)
        finally:
            ended.set()
            server.stop(None)

    def test_a_model_that_is_not_there(self):
        with tempfile.TemporaryDirectory() as directory:
            missing = os.path.join(directory, "model")
            done = millrace("generate", "--model-dir", missing, "x", code=1)
        self.assertIn(missing, done.stderr)


class Served(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(ranks=2)

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop()

    def millrace(self, *arguments, **named):
        return millrace(*arguments, environment={"MILLRACE_ENDPOINT": self.cluster.address}, **named)

    def test_prompt_from_standard_input(self):
        done = self.millrace("generate", "--length", "30", "--steps", "2", "--seed", "1", text_in="It was late\n")
        self.assertTrue(done.stdout.startswith("It was late"), done.stdout)

    def test_json(self):
        done = self.millrace("generate", "--json", "--length", "30", "--steps", "2", "--seed", "1", "It was")
        answer = json.loads(done.stdout)
        self.assertTrue(answer["text"].startswith("It was"))
        self.assertEqual(answer["seed"], "1")  # 64 bits: a string, as protobuf's JSON has it

    def test_infill(self):
        done = self.millrace("generate", "--steps", "2", "--seed", "1", "--infill", "The ___3___ and the ___5___.")
        self.assertTrue(done.stdout.startswith("The"), done.stdout)
        self.assertIn(" and the", done.stdout)

    def test_errors_name_what_is_wrong(self):
        self.assertIn("length", self.millrace("generate", "--length", "5000", "x", code=1).stderr)
        self.assertIn("steps", self.millrace("generate", "--steps", "5000", "x", code=1).stderr)
        self.assertIn("gap", self.millrace("generate", "--infill", "no gap", code=2).stderr)
        self.assertIn("--length", self.millrace("generate", "--lenght", "5", "x", code=2).stderr)

    def test_status_and_tokenize(self):
        self.assertIn("books-mini", self.millrace("status").stdout)
        self.assertEqual(json.loads(self.millrace("status", "--json").stdout)["model"]["name"], "books-mini")
        self.assertIn('" upon"', self.millrace("tokenize", "Once upon").stdout)


if __name__ == "__main__":
    unittest.main()
