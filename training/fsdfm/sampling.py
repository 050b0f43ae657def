"""Texts of a trained network, drawn with PyTorch: to try a way of sampling before Millrace has it."""

import json
from pathlib import Path

from . import data, solver
from .bpe import Tokenizer
from .errors import TrainingError
from .export import network
from .path import Path as MixturePath

TOGETHER = 16  # texts at a time


def _check(options):
    for name, low in (("steps", 1), ("texts", 1)):
        if getattr(options, name) < low:
            raise TrainingError(f"--{name} is {getattr(options, name)}; it must be at least {low}")
    for heat in (options.temperature, options.last_temperature):
        if heat is not None and not 0 < heat <= 100:
            raise TrainingError(f"a temperature is {heat}; it may be above 0, to 100")


def label(options, final):
    heat = f"T {options.temperature:g}" + (f", last {final:g}" if final != options.temperature else "")
    return f"{options.weights} {options.solver} {heat}"


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
            ids = solver.sample(
                model, path, count, config.model.length, options.steps, random, options.solver, model.student, heat
            )
            for text in ids.tolist():
                row = {"model": label(options, final), "solver": options.solver, "steps": options.steps}
                file.write(json.dumps({**row, "ids": text, "text": tokenizer.decode(text)}) + "\n")
