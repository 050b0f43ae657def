"""Quality against steps of several samplers, from what `millrace eval --json` wrote, in one picture."""

import json
from pathlib import Path

from .errors import TrainingError

PANELS = (("perplexity", "generative perplexity"), ("entropy_bits", "entropy of a text's tokens, bits"))


def read(named):
    """LABEL=FILE.json -> label, rows in the order of their steps."""
    label, equals, name = named.rpartition("=")
    if not equals:
        raise TrainingError(f"{named}: give LABEL=FILE.json")
    try:
        rows = json.loads(Path(name).read_text(encoding="utf-8"))["rows"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{name} is not what `millrace eval --json` writes: {error}") from None
    return label, sorted(rows, key=lambda row: row["steps"])


def draw_curve(axis, label, rows, key):
    known = [row for row in rows if row[key]["mean"] is not None]
    steps = [row["steps"] for row in known]
    means, errors = ([row[key][part] for row in known] for part in ("mean", "error"))
    axis.errorbar(steps, means, yerr=errors, marker=".", capsize=2, label=label)


def draw(named, out):
    from .curves import plotting

    pyplot = plotting()
    curves = [read(name) for name in named]
    figure, axes = pyplot.subplots(1, len(PANELS), figsize=(11, 4))
    for axis, (key, title) in zip(axes, PANELS):
        for label, rows in curves:
            draw_curve(axis, label, rows, key)
        axis.set(xscale="log", xlabel="steps", ylabel=title)
        axis.set_xscale("log", base=2)
        axis.grid(alpha=0.3)
    axes[0].set_yscale("log")
    axes[0].legend()
    figure.tight_layout()
    figure.savefig(out, dpi=90)
