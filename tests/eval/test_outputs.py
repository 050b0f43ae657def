"""`millrace eval --score`: table, JSON and picture of texts that are there. Needs no cluster."""
import json
import math
import os
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree as xml

MILLRACE = os.path.join(os.environ["MILLRACE_BIN"], "millrace")
HERE = os.path.dirname(os.path.abspath(__file__))
BIGRAM = os.path.join(os.environ["MILLRACE_SOURCE"], "deploy/judges/bigram.py")
FAKE = f"python3 '{HERE}/fake_judge.py'"
SVG = "{http://www.w3.org/2000/svg}"
TEXTS = [{"text": "a b c", "ids": [1, 2, 1, 2], "steps": 1, "model": "m"},
         {"text": "a bb", "ids": [1, 1, 1, 1], "steps": 1, "model": "m"},
         {"text": "abcde f", "ids": [4, 3, 2, 1], "steps": 8, "model": "m", "seed": "18446744073709551615"},
         {"text": "ä", "ids": [4, 3, 2, 1], "steps": 8, "model": "m"}]


def millrace(*arguments, code=0):
    environment = {name: value for name, value in os.environ.items() if name not in ("MILLRACE_ENDPOINT", "MILLRACE_MODEL")}
    done = subprocess.run([MILLRACE, "eval", *arguments], capture_output=True, text=True, timeout=100, env=environment,
                          stdin=subprocess.DEVNULL)
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


class Outputs(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = lambda name: os.path.join(directory.name, name)
        with open(self.path("texts.jsonl"), "w") as file:
            file.writelines(json.dumps(text) + "\n" for text in TEXTS)

    def score(self, *arguments, **named):
        return millrace("--score", self.path("texts.jsonl"), *arguments, **named)

    def test_json(self):
        self.score("--judge", FAKE + " good", "--json", self.path("out.json"))
        with open(self.path("out.json")) as file:
            report = json.load(file)
        self.assertEqual(report["judge"], "fake 1.0")
        one, eight = report["rows"]
        self.assertEqual((one["steps"], one["texts"], one["judged"], eight["steps"]), (1, 2, 2, 8))
        self.assertEqual(one["judge"], "fake 1.0")  # nll = bytes, tokens = words
        self.assertAlmostEqual(one["perplexity"]["mean"], (math.exp(5 / 3) + math.exp(4 / 2)) / 2, 5)
        self.assertAlmostEqual(one["perplexity"]["error"], abs(math.exp(5 / 3) - math.exp(4 / 2)) / 2, 5)
        self.assertAlmostEqual(one["corpus_perplexity"]["mean"], math.exp(9 / 5), 5)
        self.assertAlmostEqual(one["entropy_bits"]["mean"], 0.5, 6)
        self.assertAlmostEqual(one["entropy_nats"]["mean"], 0.5 * math.log(2), 6)
        self.assertAlmostEqual(one["distinct_1"]["mean"], (0.5 + 0.25) / 2, 6)
        self.assertAlmostEqual(one["distinct_2"]["mean"], (2 / 3 + 1 / 3) / 2, 6)
        self.assertIsNone(one["seconds_per_text"]["mean"])
        self.assertAlmostEqual(eight["corpus_perplexity"]["mean"], math.exp(9 / 3), 4)

    def test_table(self):
        table = self.score("--judge", FAKE + " good").stdout
        row = next(line for line in table.splitlines() if line.split()[:2] == ["m", "8"])
        self.assertEqual(row.split()[-2:], ["fake", "1.0"])  # the judge is beside its figures
        self.assertRegex(table, r"m +8 +2\.000 ±0\.000 +1\.386")
        without = self.score().stdout
        self.assertNotIn("corpus perplexity", without)
        self.assertIn("no perplexity without a --judge", without)

    def test_against_itself(self):
        self.score("--judge", FAKE + " good", "--against", self.path("texts.jsonl"), "--json", self.path("out.json"))
        with open(self.path("out.json")) as file:
            differences = json.load(file)["differences"]
        self.assertEqual([d["steps"] for d in differences], [1, 8])
        self.assertEqual(differences[0]["z"]["perplexity"], 0)
        self.assertEqual(differences[0]["z"]["entropy_bits"], 0)

    def test_picture(self):
        self.score("--judge", FAKE + " good", "--plot", self.path("out.svg"), "--against", self.path("texts.jsonl"))
        root = xml.parse(self.path("out.svg")).getroot()
        self.assertEqual(root.tag, SVG + "svg")
        self.assertEqual(len(root.findall(f".//{SVG}circle")), 4)
        labels = [text.text for text in root.iter(SVG + "text")]
        self.assertIn("judge: fake 1.0; bars: one standard error", labels)
        self.assertIn("refinement steps", labels)
        self.assertTrue({"1", "8"} <= set(labels))

    def test_bigrams(self):
        book = self.path("book.txt")
        with open(book, "w") as file:
            file.write("ab")  # pairs: \n→a once, a→b once
        with open(self.path("texts.jsonl"), "w") as file:
            file.write(json.dumps({"text": "aba", "ids": [1]}))
        done = self.score("--judge", f"python3 -B '{BIGRAM}' '{book}' 1", "--json", "-")
        row = json.loads(done.stdout)["rows"][0]
        self.assertEqual(row["judge"], "byte bigrams of book.txt, k = 1")
        nll = -2 * math.log(2 / 257) - math.log(1 / 256)
        self.assertAlmostEqual(row["perplexity"]["mean"], math.exp(nll / 3), 3)

    def test_what_goes_wrong(self):
        self.assertIn("ended too early (exit code 4)", self.many("dies").stderr)
        self.assertIn("Traceback", self.many("garbage").stderr)
        self.assertIn("was due", self.many("out_of_order").stderr)
        done = self.score("--judge", FAKE + " silent_hello", "--judge-timeout", "1", code=1)
        self.assertIn("nothing for 1 s (--judge-timeout)", done.stderr)
        missing = self.path("missing")
        self.assertIn(missing, millrace("--score", missing, code=1).stderr)
        self.assertIn("--judge", self.score("--plot", "x.svg", code=2).stderr)
        self.assertIn("--score", self.score("--steps", "4", code=2).stderr)
        self.assertIn("--prefix or --infill", millrace("--prefix", "a", "--infill", "b", code=2).stderr)
        self.assertIn("--steps 1,x", millrace("--steps", "1,x", code=2).stderr)
        self.assertIn("cannot be written", self.score("--json", self.path("missing/x"), code=1).stderr)

    def many(self, kind):
        with open(self.path("texts.jsonl"), "w") as file:
            file.writelines(json.dumps(text) + "\n" for text in TEXTS + TEXTS)
        return self.score("--judge", f"{FAKE} {kind}", code=1)


if __name__ == "__main__":
    unittest.main()
