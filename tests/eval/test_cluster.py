"""`millrace eval` with a cluster: the demonstration model, two numbers of steps, the judge of bigrams."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.environ["MILLRACE_SOURCE"], "tests/e2e"))
from cluster import BIN, DEMO, SOURCE, Cluster  # noqa: E402

BOOK = os.path.join(SOURCE, "ARCHITECTURE.md")
JUDGE = f"python3 -B '{SOURCE}/deploy/judges/bigram.py' '{BOOK}'"


class Eval(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(ranks=2)
        cls.directory = tempfile.TemporaryDirectory()

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop()
        cls.directory.cleanup()

    def path(self, name):
        return os.path.join(self.directory.name, name)

    def eval(self, *arguments, code=0):
        done = subprocess.run([f"{BIN}/millrace", "eval", "--texts", "6", "--length", "40", *arguments],
                              capture_output=True, text=True, timeout=100, stdin=subprocess.DEVNULL,
                              env={**os.environ, "MILLRACE_ENDPOINT": self.cluster.address, "MILLRACE_MODEL": DEMO})
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def samples(self, name):
        with open(self.path(name)) as lines:
            return [json.loads(line) for line in lines]

    def test_unconditional(self):
        done = self.eval("--steps", "1,2", "--seed", "5", "--judge", JUDGE, "--samples", self.path("s.jsonl"),
                         "--json", self.path("r.json"), "--plot", self.path("p.svg"), "--in-flight", "3")
        self.assertIn("writing, 2 steps: 6 of 6", done.stderr)
        self.assertIn("byte bigrams of ARCHITECTURE.md", done.stdout)
        with open(self.path("r.json")) as file:
            rows = json.load(file)["rows"]
        self.assertEqual([(row["steps"], row["texts"], row["model"]) for row in rows],
                         [(1, 6, "books-mini"), (2, 6, "books-mini")])
        for row in rows:
            self.assertGreater(row["perplexity"]["mean"], 5)
            self.assertGreater(row["tokens_per_second"], 0)
            self.assertGreater(row["seconds_per_text"]["mean"], 0)
            self.assertLess(row["mean_log_probability"]["mean"], 0)
        # The same seeds, asked for one at a time by somebody else, give the same texts.
        for sample in self.samples("s.jsonl"):
            finished = self.cluster.text(length=40, steps=sample["steps"], seed=int(sample["seed"]))
            self.assertEqual(list(finished.ids), sample["ids"])
            self.assertEqual(finished.text, sample["text"])
        self.assertEqual([s["seed"] for s in self.samples("s.jsonl")], [str(5 + i) for i in range(6)] * 2)
        # And what was written is measured as it was when it was written.
        self.eval_again("s.jsonl", rows)

    def eval_again(self, name, rows):
        done = subprocess.run([f"{BIN}/millrace", "eval", "--score", self.path(name), "--judge", JUDGE, "--json", "-"],
                              capture_output=True, text=True, timeout=100, check=True)
        for before, after in zip(rows, json.loads(done.stdout)["rows"]):
            for figure in ("perplexity", "corpus_perplexity", "entropy_bits", "distinct_3", "mean_log_probability"):
                self.assertAlmostEqual(before[figure]["mean"], after[figure]["mean"], 4)

    def test_a_models_own_solver(self):
        model = self.path("its-own")
        shutil.copytree(DEMO, model)
        with open(f"{model}/config.json") as file:
            config = json.load(file)
        with open(f"{model}/config.json", "w") as file:
            json.dump({**config, "default_solver": "euler"}, file)
        written = {}
        for name, arguments in (("own", ["--model-dir", model]), ("euler", ["--solver", "euler"]), ("none", [])):
            self.eval("--steps", "3", *arguments, "--samples", self.path(name))
            written[name] = [sample["ids"] for sample in self.samples(name)]
        self.assertEqual(written["own"], written["euler"])
        self.assertNotEqual(written["own"], written["none"])

    def test_a_judge_that_fails_does_not_cost_the_texts(self):
        fake = os.path.join(SOURCE, "tests/eval/fake_judge.py")
        done = self.eval("--steps", "2", "--judge", f"python3 '{fake}' dies", "--samples", self.path("kept.jsonl"), code=1)
        self.assertIn("ended too early", done.stderr)
        self.assertEqual(len(self.samples("kept.jsonl")), 6)

    def test_prefix(self):
        self.eval("--steps", "2", "--prefix", BOOK, "--prefix-tokens", "10", "--samples", self.path("prefix.jsonl"))
        ids = self.cluster.unary("Tokenize", *self.tokenize()).ids
        window = "".join(chr(i) for i in ids)
        for sample in self.samples("prefix.jsonl"):
            self.assertIn("".join(chr(i) for i in sample["ids"][:10]), window)
            self.assertNotIn("".join(chr(i) for i in sample["ids"]), window)

    def test_infill(self):
        self.eval("--steps", "2", "--infill", BOOK, "--infill-share", "0.5", "--samples", self.path("infill.jsonl"))
        ids = list(self.cluster.unary("Tokenize", *self.tokenize()).ids)
        for index, sample in enumerate(self.samples("infill.jsonl")):
            first = int(index * (len(ids) - 40 + 1) / 6)
            same = sum(a == b for a, b in zip(sample["ids"], ids[first:first + 40]))
            self.assertGreaterEqual(same, 20)
            self.assertLess(same, 36)

    def tokenize(self):
        from cluster import api
        with open(BOOK) as file:
            return api.TokenizeRequest(text=file.read().removesuffix("\n")), api.TokenizeResponse

    def test_elbo(self):
        one = json.loads(self.eval("--elbo", BOOK, "--elbo-windows", "8", "--ranks", "1", "--json", "-").stdout)["elbo"]
        two = json.loads(self.eval("--elbo", BOOK, "--elbo-windows", "8", "--ranks", "2", "--json", "-").stdout)["elbo"]
        self.assertEqual(one["bits_per_token"], two["bits_per_token"])  # the same bits on any number of ranks
        self.assertEqual((one["model"], one["windows"], one["length"], two["ranks"]), ("books-mini", 8, 40, 2))
        self.assertAlmostEqual(one["dt"], 1 / 1024)
        self.assertGreater(one["bits_per_token"], 5)
        self.assertLess(one["bits_per_token"], 25)

    def test_refusals(self):
        self.assertIn("--steps 5000", self.eval("--steps", "1,5000", code=1).stderr)
        self.assertIn("leave nothing to write", self.eval("--prefix", BOOK, "--prefix-tokens", "40", code=1).stderr)
        missing = self.path("missing")
        self.assertIn(missing, self.eval("--prefix", missing, code=1).stderr)
        self.assertIn(missing, self.eval("--elbo", missing, code=1).stderr)


if __name__ == "__main__":
    unittest.main()
