"""The one configuration file of a model (TOML): read, checked, every wrong value named with what it may be."""

import dataclasses
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path

from .errors import TrainingError

SMALLEST_STEP = 1024  # of the step sizes 2^0 .. 2^-10


def limits(low, high, **kwargs):
    return field(metadata={"low": low, "high": high}, **kwargs)


def choice(*values, **kwargs):
    return field(metadata={"values": values}, **kwargs)


@dataclass(frozen=True)
class Data:
    train: list  # text files (UTF-8, may be .xz), documents separated by a line <|endoftext|>
    valid: list
    vocabulary: int = limits(258, 65536)  # tokens, the separator counted
    select: str = ""  # a list of titles: only documents whose number of characters is in its fourth column


@dataclass(frozen=True)
class Model:
    hidden: int = limits(16, 8192)
    heads: int = limits(1, 128)
    blocks: int = limits(1, 128)
    condition: int = limits(8, 4096)
    length: int = limits(8, 8192)  # tokens of a window
    source: str = choice("uniform", "mask", default="uniform")
    exponent: float = limits(0.1, 10.0, default=1.0)  # kappa(t) = t^exponent


@dataclass(frozen=True)
class Training:
    """What both stages have."""

    steps: int = limits(1, 10**9)
    batch: int = limits(1, 65536)  # windows of one update, over all processes
    warmup: int = limits(0, 10**9, default=100)  # updates of rising learning rate
    decay: float = limits(0.0, 1.0, default=0.5)  # share of the updates at the end, of falling learning rate
    optimizer: str = choice("muon", "adamw", default="muon")
    rate: float = limits(0.0, 1.0, default=1e-3)  # AdamW's
    muon_rate: float = limits(0.0, 1.0, default=0.02)  # Muon's, of the matrices of the blocks
    weight_decay: float = limits(0.0, 1.0, default=0.01)
    clip: float = limits(0.0, 1e6, default=1.0)  # of the gradient's norm; 0: none
    ema: float = limits(0.0, 1.0, default=0.999)
    report: int = limits(1, 10**9, default=20)  # updates between lines of progress
    sample: int = limits(0, 10**9, default=500)  # updates between samples; 0: none
    save_minutes: float = limits(0.0, 1e6, default=5.0)


@dataclass(frozen=True)
class Pretrain(Training):
    short: int = limits(0, 8192, default=0)  # tokens of the windows at first, more of them in a batch; 0: model.length
    short_share: float = limits(0.0, 1.0, default=0.6)  # of the updates, those with short windows
    kl: float = limits(0.0, 100.0, default=1.0)  # weight of the generalised KL
    cross_entropy: float = limits(0.0, 100.0, default=0.5)  # weight of -ln p(x_1), every position alike
    max_weight: float = limits(1.0, 1e6, default=1024.0)  # kappa'/(1-kappa) is held at this


@dataclass(frozen=True)
class Distil(Training):
    kl: float = limits(0.0, 100.0, default=1.0)
    cross_entropy: float = limits(0.0, 100.0, default=0.5)
    max_weight: float = limits(1.0, 1e6, default=1024.0)
    estimate: str = choice("rk4", "heun", default="rk4")
    average: str = choice("probabilities", "logits", default="logits")
    shortcut: float = limits(0.0, 100.0, default=1.0)  # weight of KL(estimate || student)
    path_up_to: float = limits(0.0, 1.0, default=1 / 513)  # steps smaller than this learn from the path
    step_weights: list = field(default_factory=lambda: [2.0**i for i in range(11)])  # of 2^0, 2^-1, ... 2^-10


@dataclass(frozen=True)
class Config:
    name: str
    data: Data
    model: Model
    pretrain: Pretrain
    distil: Distil
    seed: int = limits(0, 2**31, default=1)

    @property
    def ids(self):
        """Rows of the embedding: the vocabulary, and the mask token."""
        return self.data.vocabulary + (self.model.source == "mask")


SECTIONS = {"data": Data, "model": Model, "pretrain": Pretrain, "distil": Distil}


def _checked(where, spec, value):
    name, meta = f"{where}{spec.name}", spec.metadata
    if spec.type in (int, "int") and (isinstance(value, bool) or not isinstance(value, int)):
        raise TrainingError(f"{name} must be a whole number, not {value!r}")
    if spec.type in (float, "float"):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TrainingError(f"{name} must be a number, not {value!r}")
        value = float(value)
    if spec.type is str and not isinstance(value, str):
        raise TrainingError(f"{name} must be text, not {value!r}")
    if spec.type is list and not isinstance(value, list):
        raise TrainingError(f"{name} must be a list, not {value!r}")
    if "values" in meta and value not in meta["values"]:
        raise TrainingError(f"{name} is {value!r}; it may be {' or '.join(meta['values'])}")
    if "low" in meta and not meta["low"] <= value <= meta["high"]:
        raise TrainingError(f"{name} is {value}; it may be {meta['low']} to {meta['high']}")
    return value


def _section(where, kind, table):
    if not isinstance(table, dict):
        raise TrainingError(f"{where.rstrip('.')} must be a section, [{where.rstrip('.')}]")
    known = {spec.name: spec for spec in fields(kind)}
    for key in table:
        if key not in known:
            raise TrainingError(f"{where}{key} is not known; known are {', '.join(known)}")
    values = {}
    for key, spec in known.items():
        if key in SECTIONS and kind is Config:
            values[key] = _section(f"{key}.", SECTIONS[key], table.get(key, {}))
        elif key in table:
            values[key] = _checked(where, spec, table[key])
        elif spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING:
            raise TrainingError(f"{where}{key} is missing")
    return kind(**values)


def _check_whole(config):
    model = config.model
    if model.hidden % model.heads:
        raise TrainingError(f"model.hidden is {model.hidden}; it must be a multiple of model.heads, {model.heads}")
    if model.hidden // model.heads % 2:
        raise TrainingError(f"model.hidden / model.heads is {model.hidden // model.heads}; it must be even")
    if config.pretrain.short and model.length % config.pretrain.short:
        raise TrainingError(f"pretrain.short is {config.pretrain.short}; it must divide model.length, {model.length}")
    weights = config.distil.step_weights
    if len(weights) != 11 or any(isinstance(w, bool) or not isinstance(w, (int, float)) or w < 0 for w in weights):
        raise TrainingError("distil.step_weights must be 11 numbers of 0 or more, for the steps 1, 1/2, ... 1/1024")
    if not sum(weights) > 0:
        raise TrainingError("distil.step_weights are all 0: no step size would be trained")
    for key in ("train", "valid"):
        if not getattr(config.data, key):
            raise TrainingError(f"data.{key} names no file")


def parse(text):
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TrainingError(f"not TOML: {error}") from None
    config = _section("", Config, table)
    _check_whole(config)
    return config


def load(path):
    """The configuration; files that it names are relative to it."""
    try:
        config = parse(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(f"{path}: {error}") from None
    except TrainingError as error:
        raise TrainingError(f"{path}: {error}") from None
    base = Path(path).resolve().parent
    data = config.data
    data = dataclasses.replace(
        data,
        train=[str(base / name) for name in data.train],
        valid=[str(base / name) for name in data.valid],
        select=str(base / data.select) if data.select else "",
    )
    return dataclasses.replace(config, data=data)
