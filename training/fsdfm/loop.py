"""What pretrain and distil share: devices, the course of a run, progress, checkpoints, samples."""

import copy
import json
import math
import os
import signal
import time
from pathlib import Path

import torch

from . import checkpoint, data, optim, solver, speed
from .bpe import Tokenizer
from .errors import TrainingError
from .losses import generalized_kl, log_probabilities
from .path import Path as MixturePath
from .path import draw_times

SAMPLE_STEPS = (1, 2, 4, 8, 16, 64)


def has_bf16(device):
    """Whether products in bf16 are faster than in float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    known = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported")
    return known and torch.ops.mkldnn._is_mkldnn_bf16_supported()


class Machine:
    """Where this process computes, and its place among the processes of torchrun."""

    def __init__(self, device=None, compiled=False, bf16=None):
        self.world = int(os.environ.get("WORLD_SIZE", 1))
        self.rank = int(os.environ.get("RANK", 0))
        cuda = torch.cuda.is_available() if device is None else device.startswith("cuda")
        local = int(os.environ.get("LOCAL_RANK", 0))
        self.device = torch.device(f"cuda:{local}" if cuda else "cpu")
        self.compiled = compiled
        self.bf16 = has_bf16(self.device) if bf16 is None else bf16
        if compiled and not hasattr(torch, "compile"):
            raise TrainingError(f"--compile needs PyTorch 2, this is {torch.__version__}")
        if cuda:
            torch.cuda.set_device(self.device)
        if self.world > 1:
            torch.distributed.init_process_group("nccl" if cuda else "gloo")

    @property
    def first(self):
        return self.rank == 0

    def autocast(self):
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)

    def wrap(self, model):
        """The model as the training step calls it; its weights stay the model's."""
        if self.world > 1:
            ids = [self.device.index] if self.device.type == "cuda" else None
            model = torch.nn.parallel.DistributedDataParallel(model, device_ids=ids)
        return self.compile(model)

    def compile(self, model):
        return torch.compile(model, dynamic=False) if self.compiled else model

    def mine(self, batch):
        """This process's share of what was drawn for all: any number of processes sees the same batch."""
        return batch[self.rank :: self.world].to(self.device, non_blocking=True)

    def close(self):
        if self.world > 1:
            torch.distributed.destroy_process_group()


class Stop:
    """SIGINT and SIGTERM end the run after the update, with a checkpoint."""

    def __enter__(self):
        self.asked = False
        self.before = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def _ask(self, number, frame):
        self.asked = True

    def __exit__(self, *_):
        for number, handler in self.before.items():
            signal.signal(number, handler)


class Run:
    """One stage of training. A stage gives: name, student, model, settings (its configuration), entry and average_entry
    (names of the weights in the checkpoint), entries() (what else is in it), passes (forward passes' cost of an update),
    start(run, network), windows(step), logits(network, x, t, dt), loss(x_1, random) -> scalar and {name: number}."""

    def __init__(self, config, stage, directory, machine, judge=None):
        self.config, self.stage, self.machine, self.judge = config, stage, machine, judge
        self.directory = Path(directory)
        self.path = MixturePath(config.model, config.data.vocabulary)
        self.train = data.load(self.directory / "train.npy", config)
        self.valid = data.load(self.directory / "valid.npy", config)
        self.tokenizer = Tokenizer.load(self.directory / "tokenizer.json")
        self.settings = stage.settings
        if self.settings.batch % machine.world:
            raise TrainingError(
                f"{stage.name}.batch is {self.settings.batch}; it must be a multiple of the {machine.world} processes"
            )
        self.model = stage.model.to(machine.device)
        self.average = copy.deepcopy(stage.model).requires_grad_(False)
        self.optimizers = optim.build(self.model, self.settings, machine.bf16)
        self.step, self.tokens, self.seconds = 0, 0, 0.0
        self.file = self.directory / f"{stage.name}.pt"
        if self.file.exists():
            self._resume()
        stage.start(self, machine.wrap(self.model))

    def say(self, text):
        if self.machine.first:
            print(text, flush=True)

    def _resume(self):
        content = checkpoint.load_for(self.file, self.config, self.stage.name)
        self.model.load_state_dict(content[self.stage.entry])
        self.average.load_state_dict(content[self.stage.average_entry])
        for optimizer, state in zip(self.optimizers, content["optimizers"]):
            optimizer.load_state_dict(state)
        self.step, self.tokens, self.seconds = content["step"], content["tokens"], content["seconds"]
        self.say(f"{self.file}: goes on after update {self.step}")

    def save(self):
        if not self.machine.first:
            return
        content = {
            self.stage.entry: self.model.state_dict(),
            self.stage.average_entry: self.average.state_dict(),
            **self.stage.entries(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "identity": checkpoint.identity(self.config, self.stage.name),
            "stage": self.stage.name,
            "name": self.config.name,
            "step": self.step,
            "tokens": self.tokens,
            "seconds": self.seconds,
        }
        checkpoint.save(self.file, content)

    def update(self):
        random = data.generator(self.config.seed, self.stage.name, self.step)
        optim.set_rate(self.optimizers, optim.share_of_rate(self.step, self.settings))
        x_1 = data.windows(self.train, *self.stage.windows(self.step), random)
        loss, parts = self.stage.loss(x_1, random)
        if not math.isfinite(loss.item()):
            raise TrainingError(
                f"the loss is {loss.item()} at update {self.step}: lower {self.stage.name}.rate and muon_rate; "
                f"the last checkpoint is {self.file}"
            )
        loss.backward()
        if self.settings.clip:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        optim.move_average(self.average, self.model, self.settings.ema, self.step)
        self.step += 1
        self.tokens += x_1.numel()
        return parts

    def log(self, row):
        if self.machine.first:
            with open(self.directory / f"{self.stage.name}.jsonl", "a", encoding="utf-8") as file:
                file.write(json.dumps({"step": self.step, "tokens": self.tokens, **row}) + "\n")

    @torch.no_grad()
    def validate(self, count=128):
        """Bits a token of texts not trained on: the bound, at the smallest step size for a student."""
        random = data.generator(0, "valid", 0)
        total, network = 0.0, self.average
        x = data.even_windows(self.valid, count, self.config.model.length)
        times = draw_times(count, random)
        corrupted = self.path.corrupt(x, times, random)
        for some in torch.arange(count).split(16):
            x_1, x_t, t = (part[some].to(self.machine.device) for part in (x, corrupted, times))
            with self.machine.autocast():
                logits = self.stage.logits(network, x_t, t, torch.full_like(t, 1 / 1024))
            bound = generalized_kl(*log_probabilities(logits, x_1, x_t), x_1 == x_t, self.path.weight(t))
            total += float(bound.mean(1).sum())
        return total / count / math.log(2)

    @torch.no_grad()
    def samples(self, count=8):
        random = data.generator(self.config.seed, "samples", 0)
        found = {}
        for steps in SAMPLE_STEPS:
            with self.machine.autocast():
                ids = solver.sample(
                    self.average, self.path, count, self.config.model.length, steps, random, student=self.stage.student
                )
            found[steps] = ids.cpu()
        return found

    def look(self):
        """Validation and samples, into the log and samples-STAGE.txt."""
        if not self.machine.first:
            return
        found = self.samples()
        row = {"valid_bits": round(self.validate(), 4)}
        row["entropy"] = {str(steps): round(solver.entropy(ids), 2) for steps, ids in found.items()}
        if self.judge:
            texts = {steps: [self.tokenizer.decode(text.tolist()) for text in ids] for steps, ids in found.items()}
            row["perplexity"] = {str(steps): round(self.judge.perplexity(some), 1) for steps, some in texts.items()}
        self.log(row)
        self.say("  " + ", ".join(f"{key} {value}" for key, value in row.items()))
        self._write_samples(found)

    def _write_samples(self, found):
        with open(self.directory / f"samples-{self.stage.name}.txt", "a", encoding="utf-8") as file:
            for steps, ids in found.items():
                text = self.tokenizer.decode(ids[0].tolist())
                file.write(f"=== update {self.step}, {steps} steps ===\n{text}\n\n")

    def go(self):
        """Trains to the end, or until a signal; leaves a checkpoint."""
        meter = speed.Meter(self)
        saved = time.monotonic()
        with Stop() as stop:
            while self.step < self.settings.steps and not stop.asked:
                parts = self.update()
                meter.count(parts)
                if self.step % self.settings.report == 0:
                    meter.report()
                if self.settings.sample and self.step % self.settings.sample == 0:
                    self.look()
                    meter.restart()
                if time.monotonic() - saved > 60 * self.settings.save_minutes:
                    self.save()
                    saved = time.monotonic()
        self.save()
        done = self.step >= self.settings.steps
        self.say(f"{self.file}: {'done' if done else 'stopped'} after {self.step} updates, {self.tokens} tokens")
        return done
