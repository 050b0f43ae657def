"""Checkpoints: written whole or not at all, and refused by another configuration."""

import dataclasses
import os
from pathlib import Path

import torch

from .errors import TrainingError

FREE = {"steps", "decay", "report", "sample", "save_minutes"}  # of a stage: these may change between runs


def identity(config, stage):
    """What must be the same for a checkpoint to go on: {dotted name: value}."""
    kept = {"seed": config.seed, "data.vocabulary": config.data.vocabulary}
    for section in ("model", stage):
        table = dataclasses.asdict(getattr(config, section))
        kept.update({f"{section}.{key}": value for key, value in table.items() if key not in FREE})
    return kept


def save(path, content):
    """Atomic: a kill or a full disk leaves the last checkpoint as it was."""
    path = Path(path)
    new = path.with_name(path.name + ".new")
    try:
        with open(new, "wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
        _sync_directory(path.parent)
    except (OSError, RuntimeError) as error:  # torch wraps a full disk in a RuntimeError
        new.unlink(missing_ok=True)
        raise TrainingError(
            f"{path} could not be written: {error}; the last checkpoint is kept, free some space and start again"
        ) from None


def _sync_directory(path):
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _read(path):
    """Only tensors and plain values: nothing in a file runs. (PyTorch 1.13's own such reader knows no floats.)"""
    plain = {"weights_only": True} if int(torch.__version__.split(".")[0]) >= 2 else {}
    content = torch.load(path, map_location="cpu", **plain)
    if not isinstance(content, dict):
        raise ValueError("it holds no dictionary")
    return content


def load(path):
    try:
        return _read(path)
    except FileNotFoundError:
        raise TrainingError(f"{path} does not exist") from None
    except Exception as error:  # what a damaged file raises is PyTorch's business: many kinds
        raise TrainingError(f"{path} is not a checkpoint of this program: {error}") from None


def load_for(path, config, stage):
    content = load(path)
    if content.get("stage") != stage:
        raise TrainingError(f"{path} is of the stage {content.get('stage')!r}, not {stage!r}")
    have, want = content["identity"], identity(config, stage)
    for key in want:
        if have.get(key) != want[key]:
            raise TrainingError(
                f"{path} was made with {key} = {have.get(key)}, the configuration says {want[key]}: "
                "set it back, or give another run directory"
            )
    return content
