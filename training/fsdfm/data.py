"""Windows of token ids, drawn at random places of the text; the same for the same seed and update."""

from pathlib import Path

import numpy as np
import torch

from .errors import TrainingError


def load(path, config):
    try:
        ids = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path} cannot be read ({error}): run `prepare` first") from None
    if ids.ndim != 1 or len(ids) < config.model.length + 1:
        raise TrainingError(f"{path} has less than one window of {config.model.length} tokens: run `prepare` again")
    if int(ids.max()) >= config.data.vocabulary:
        raise TrainingError(
            f"{path} holds token {int(ids.max())}, data.vocabulary is {config.data.vocabulary}: run `prepare` again"
        )
    return ids


def generator(seed, stage, step):
    """All randomness of one update comes from here, so that a resumed run goes on as if never stopped."""
    mixed = np.random.SeedSequence([seed, sum(stage.encode()), step]).generate_state(2, np.uint32)
    return torch.Generator().manual_seed(int(mixed[0]) << 31 | int(mixed[1]) >> 1)


def windows(ids, count, length, random):
    """[count, length] from random places."""
    starts = torch.randint(0, len(ids) - length, (count,), generator=random).tolist()
    return torch.from_numpy(np.stack([ids[start : start + length] for start in starts]).astype(np.int64))


def even_windows(ids, count, length):
    """[count, length] from evenly spaced places: what is validated on."""
    starts = np.linspace(0, len(ids) - length, count).astype(int)
    return torch.from_numpy(np.stack([ids[start : start + length] for start in starts]).astype(np.int64))


def exists(run):
    return all((Path(run) / name).exists() for name in ("tokenizer.json", "train.npy", "valid.npy"))
