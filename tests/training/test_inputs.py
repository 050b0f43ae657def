"""What a user can get wrong: every error is a sentence that names the thing and says what to do."""
import lzma
import subprocess
import sys
import unittest
from pathlib import Path

import tiny
import torch
from fsdfm import checkpoint, data, prepare
from fsdfm import config as configuration
from fsdfm.bpe import Tokenizer
from fsdfm.errors import TrainingError
from fsdfm.export import export
from fsdfm.judge import Judge


class Corpora(tiny.WithFiles):
    def refused(self, content, sentence, name="train.txt", **kwargs):
        (self.directory / name).write_bytes(content)
        with self.assertRaisesRegex(TrainingError, sentence):
            prepare.prepare(self.config(**kwargs), self.run_directory, say=lambda *_: None)

    def test_empty(self):
        self.refused(b"", "train.txt: no text in it")
        self.refused(b"\n<|endoftext|>\n \n", "no text in it")

    def test_not_utf8(self):
        self.refused(b"caf\xe9 au lait", "train.txt is not UTF-8: byte 0xe9 at 3; convert it")

    def test_shorter_than_a_window(self):
        # enough for the tokenizer, not for a window of 600
        text = tiny.TOML.replace("length = 12", "length = 600").replace('valid = ["train.txt"]', 'valid = ["short.txt"]')
        (self.directory / "short.txt").write_text("Too short.")
        self.refused(tiny.TEXT.encode() * 9, r"data.valid has \d+ tokens, less than one window of .* = 601", text=text)

    def test_too_little_for_the_vocabulary(self):
        self.refused(b"Yes.", "a vocabulary of 280 cannot be filled: the text gives 259 entries")

    def test_missing(self):
        (self.directory / "train.txt").unlink()
        with self.assertRaisesRegex(TrainingError, "train.txt cannot be read: .*No such file"):
            prepare.prepare(self.config(), self.run_directory)

    def test_damaged_xz(self):
        whole = lzma.compress(tiny.TEXT.encode())
        self.refused(whole[:-20], "x.xz cannot be read", "x.xz", text=tiny.TOML.replace('["train.txt"]', '["x.xz"]', 1))

    def test_titles_choose_documents(self):
        (self.directory / "two.txt").write_text("first one\n<|endoftext|>\nthe second\n")
        (self.directory / "titles.tsv").write_text("A\tB\t1900\t10\n")
        found = prepare.documents([self.directory / "two.txt"], self.directory / "titles.tsv")
        self.assertEqual(found, ["the second"])
        (self.directory / "titles.tsv").write_text("A\tB\t1900\t77\n")
        with self.assertRaisesRegex(TrainingError, "no document has one of its 1 numbers"):
            prepare.documents([self.directory / "two.txt"], self.directory / "titles.tsv")
        (self.directory / "titles.tsv").write_text("A B 1900\n")
        with self.assertRaisesRegex(TrainingError, "author, title, year, characters"):
            prepare.documents([self.directory / "two.txt"], self.directory / "titles.tsv")

    def test_documents_are_separated_in_the_tokens(self):
        (self.directory / "train.txt").write_text(tiny.TEXT + "\n<|endoftext|>\n" + tiny.TEXT)
        config = self.prepared()
        ids = data.load(self.run_directory / "train.npy", config)
        self.assertEqual(int((ids == 279).sum()), 2)
        self.assertEqual(int(ids[-1]), Tokenizer.load(self.run_directory / "tokenizer.json").end)


class Configurations(unittest.TestCase):
    def refused(self, sentence, old, new):
        self.assertIn(old, tiny.TOML)
        with self.assertRaisesRegex(TrainingError, sentence):
            configuration.parse(tiny.TOML.replace(old, new, 1))

    def test_sizes(self):
        self.refused("model.hidden is 15; it may be 16 to 8192", "hidden = 16", "hidden = 15")
        self.refused("model.hidden is 16; it must be a multiple of model.heads, 3", "heads = 2", "heads = 3")
        self.refused("model.hidden / model.heads is 1; it must be even", "heads = 2", "heads = 16")
        self.refused("model.length is 100000; it may be 8 to 8192", "length = 12", "length = 100000")
        self.refused("pretrain.short is 5; it must divide model.length, 12", "batch = 4", "batch = 4\nshort = 5")
        self.refused("data.vocabulary is 200; it may be 258 to 65536", "vocabulary = 280", "vocabulary = 200")
        self.refused("pretrain.steps is 0; it may be 1 to", "steps = 8", "steps = 0")

    def test_kinds(self):
        self.refused("model.hidden must be a whole number, not 16.5", "hidden = 16", "hidden = 16.5")
        self.refused("model.hidden must be a whole number, not True", "hidden = 16", "hidden = true")
        self.refused("name must be text, not 7", 'name = "tiny"', "name = 7")
        self.refused("data.train must be a list", '["train.txt"]', '"train.txt"')
        self.refused("model.source is 'masked'; it may be uniform or mask", "length = 12", 'length = 12\nsource = "masked"')

    def test_keys(self):
        self.refused("model.widht is not known; known are hidden", "hidden = 16", "hidden = 16\nwidht = 3")
        self.refused("model.heads is missing", "heads = 2", "")
        self.refused("not TOML: .*line", "[data]", "[data")
        self.refused("data.train names no file", '["train.txt"]', "[]")

    def test_step_weights(self):
        self.refused("distil.step_weights must be 11 numbers", "step_weights = [1, ", "step_weights = [")
        self.refused("distil.step_weights must be 11 numbers", "step_weights = [1, ", "step_weights = [-1, ")
        self.refused("would be trained", "[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 10]", "[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]")

    def test_shipped_ones_are_good(self):
        for name in ("small.toml", "base.toml"):
            config = configuration.load(Path(configuration.__file__).parents[1] / name)
            self.assertEqual(config.model.source, "uniform")


class Checkpoints(tiny.WithFiles):
    def saved(self):
        config = self.prepared()
        content = {"stage": "pretrain", "identity": checkpoint.identity(config, "pretrain")}
        checkpoint.save(self.run_directory / "pretrain.pt", content)
        return config

    def refused(self, config, sentence, stage="pretrain"):
        with self.assertRaisesRegex(TrainingError, sentence):
            checkpoint.load_for(self.run_directory / "pretrain.pt", config, stage)

    def test_another_configuration(self):
        config = self.saved()
        self.refused(tiny.changed(config, model={"hidden": 32}), "was made with model.hidden = 16, .* says 32")
        self.refused(tiny.changed(config, pretrain={"ema": 0.5}), "was made with pretrain.ema = 0.999")
        self.refused(config, "is of the stage 'pretrain', not 'distil'", "distil")
        self.assertTrue(checkpoint.load_for(self.run_directory / "pretrain.pt", config, "pretrain"))

    def test_a_longer_run_goes_on(self):
        config = tiny.changed(self.saved(), pretrain={"steps": 99}, distil={"ema": 0.5})
        self.assertTrue(checkpoint.load_for(self.run_directory / "pretrain.pt", config, "pretrain"))

    def test_not_a_checkpoint(self):
        config = self.saved()
        path = self.run_directory / "pretrain.pt"
        whole = path.read_bytes()
        for content in (b"", b"hello", whole[: len(whole) // 2]):
            path.write_bytes(content)
            self.refused(config, "pretrain.pt is not a checkpoint of this program")
        torch.save([1, 2], path)
        self.refused(config, "is not a checkpoint of this program")
        path.unlink()
        self.refused(config, "does not exist")

    def test_export_before_training(self):
        with self.assertRaisesRegex(TrainingError, "distil.pt does not exist"):
            export(self.prepared(), self.run_directory, self.directory / "model")


class Tokens(tiny.WithFiles):
    def test_not_prepared(self):
        with self.assertRaisesRegex(TrainingError, "train.npy cannot be read .*run `prepare` first"):
            data.load(self.run_directory / "train.npy", self.config())

    def test_of_another_vocabulary(self):
        config = tiny.changed(self.prepared(), data={"vocabulary": 270})
        with self.assertRaisesRegex(TrainingError, "holds token 279, data.vocabulary is 270: run `prepare` again"):
            data.load(self.run_directory / "train.npy", config)


class Program(tiny.WithFiles):
    def test_errors_are_sentences(self):
        (self.directory / "tiny.toml").write_text(tiny.TOML.replace("heads = 2", "heads = 3"))
        command = [sys.executable, "-m", "fsdfm", "prepare", self.directory / "tiny.toml", self.run_directory]
        result = subprocess.run(command, capture_output=True, text=True, cwd=Path(configuration.__file__).parents[1])
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr, "^fsdfm: .*tiny.toml: model.hidden is 16; it must be a multiple")
        self.assertEqual(result.stderr.count("\n"), 1)

    def test_judges(self):
        judges = Path(configuration.__file__).parents[2] / "deploy/judges"
        judge = Judge(f"{sys.executable} {judges}/bigram.py {self.directory}/train.txt")
        known, unknown = judge.perplexity([tiny.TEXT[:80]]), judge.perplexity(["zqxj vkwq!"])
        judge.close()
        self.assertLess(known, unknown)
        with self.assertRaisesRegex(TrainingError, "the judge could not be started"):
            Judge(f"{self.directory}/none/judge")
        with self.assertRaisesRegex(TrainingError, "the judge ended or said 'hello"):
            Judge("echo hello")


if __name__ == "__main__":
    tiny.program("__main__")
