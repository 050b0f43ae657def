"""Texts of a trained network, drawn with PyTorch: to try a way of sampling before Millrace has it."""

import json
from pathlib import Path

from . import data, estimates, solver
from .bpe import Tokenizer
from .errors import TrainingError
from .export import network
from .path import Path as MixturePath

TOGETHER = 16  # texts at a time


class Estimated:
    """A network that answers with the estimate that a student would learn: what distilling aims at, without it."""

    def __init__(self, model, path, kind, average, random):
        self.model, self.path, self.kind, self.average, self.random = model, path, kind, average, random
        self.parameters = model.parameters

    def look(self, x, t, dt):
        return self.model(x, t, dt) if self.model.student else self.model(x, t)

    def __call__(self, x, t, dt):
        looks = estimates.look(self.kind, estimates.Looks(self.look, self.path, x, t, dt, self.random))
        return estimates.mean(self.kind, self.average, looks)


def _check(options):
    for name, low in (("steps", 1), ("texts", 1)):
        if getattr(options, name) < low:
            raise TrainingError(f"--{name} is {getattr(options, name)}; it must be at least {low}")
    for heat in (options.temperature, options.last_temperature):
        if heat is not None and not 0 < heat <= 100:
            raise TrainingError(f"a temperature is {heat}; it may be above 0, to 100")


def label(options, final):
    heat = f"T {options.temperature:g}" + (f", last {final:g}" if final != options.temperature else "")
    estimate = f" {options.estimate} of {options.average}" if options.estimate else ""
    return f"{options.weights} {options.solver} {heat}{estimate}"


def write_texts(config, options):
    """A JSON line for each text: model, solver, steps, ids, text."""
    _check(options)
    model, _ = network(config, options.run, options.weights)
    tokenizer = Tokenizer.load(Path(options.run) / "tokenizer.json")
    path = MixturePath(config.model, config.data.vocabulary)
    final = options.temperature if options.last_temperature is None else options.last_temperature
    heat = solver.temperatures(options.temperature, final, options.steps)
    with open(options.out, "w", encoding="utf-8") as file:
        for begin in range(0, options.texts, TOGETHER):
            random = data.generator(options.seed, "sample", begin)
            count = min(TOGETHER, options.texts - begin)
            drawn, student = model, model.student
            if options.estimate:
                drawn, student = Estimated(model, path, options.estimate, options.average, random), True
            ids = solver.sample(
                drawn, path, count, config.model.length, options.steps, random, options.solver, student, heat
            )
            for text in ids.tolist():
                row = {"model": label(options, final), "solver": options.solver, "steps": options.steps}
                file.write(json.dumps({**row, "ids": text, "text": tokenizer.decode(text)}) + "\n")
