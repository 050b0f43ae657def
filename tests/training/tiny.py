"""What the tests of training share: the package, a configuration of a tiny model, its text. Exits 77 without PyTorch."""
import dataclasses
import os
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "training"))
try:
    import torch
except ImportError:
    print("skipped: no PyTorch; on Debian: apt install python3-torch")
    sys.exit(77)

from fsdfm import config as configuration
from fsdfm import prepare

BIN = os.environ.get("MILLRACE_BIN", "")

TOML = """
name = "tiny"
[data]
train = ["train.txt"]
valid = ["train.txt"]
vocabulary = 280
[model]
hidden = 16
heads = 2
blocks = 2
condition = 8
length = 12
[pretrain]
steps = 8
batch = 4
warmup = 2
sample = 0
[distil]
steps = 8
batch = 6
warmup = 2
sample = 0
step_weights = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 10]
"""

TEXT = "It was the best of times, it was the worst of times, it was the age of wisdom.\n" * 20


def program(body):
    """Runs a test file: PyTorch on one thread, so that sums are the same in every run."""
    torch.set_num_threads(1)
    unittest.main(module=body)


class WithFiles(unittest.TestCase):
    """A directory with text, configuration and prepared tokens."""

    def setUp(self):
        self.root = tempfile.TemporaryDirectory()
        self.addCleanup(self.root.cleanup)
        self.directory = Path(self.root.name)
        (self.directory / "train.txt").write_text(TEXT, encoding="utf-8")
        self.run_directory = self.directory / "run"

    def config(self, text=TOML):
        (self.directory / "tiny.toml").write_text(text, encoding="utf-8")
        return configuration.load(self.directory / "tiny.toml")

    def prepared(self, text=TOML):
        config = self.config(text)
        prepare.prepare(config, self.run_directory, say=lambda *_: None)
        return config


def changed(config, **sections):
    """The configuration with some values of some sections changed: changed(c, model={"heads": 4})."""
    parts = {name: dataclasses.replace(getattr(config, name), **values) for name, values in sections.items()}
    return dataclasses.replace(config, **parts)
