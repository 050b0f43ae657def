"""The log of a run as a picture."""

import json
from pathlib import Path

from .errors import TrainingError


def read(path):
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def series(rows, key):
    """(updates, values) of the rows that have this key."""
    chosen = [(row["step"], row[key]) for row in rows if key in row]
    return [step for step, _ in chosen], [value for _, value in chosen]


def smooth(values, share=0.9):
    mean, out = values[0] if values else 0.0, []
    for value in values:
        mean = share * mean + (1 - share) * value
        out.append(mean)
    return out


def by_steps(axis, rows, key):
    looks = [row for row in rows if key in row]
    for steps in looks[-1][key] if looks else []:
        axis.plot([row["step"] for row in looks], [row[key].get(steps) for row in looks], marker=".", label=f"{steps} steps")
    axis.set(xlabel="update", ylabel=key, visible=bool(looks))
    if looks:
        axis.legend(fontsize="x-small")


def draw_stage(axes, name, rows):
    for key in ("loss", "path", "shortcut"):
        steps, values = series(rows, key)
        if steps:
            axes[0].plot(steps, smooth(values), label=key)
    axes[0].set(title=name, xlabel="update", ylabel="nats a token", yscale="log")
    axes[0].legend(fontsize="x-small")
    axes[1].plot(*series(rows, "valid_bits"), marker=".")
    axes[1].set(xlabel="update", ylabel="bound on texts not trained on, bits a token")
    by_steps(axes[2], rows, "entropy")
    if len(axes) > 3:
        by_steps(axes[3], rows, "perplexity")


def plotting():
    try:
        import matplotlib
    except ImportError:
        raise TrainingError("this needs matplotlib: pip install matplotlib, or apt install python3-matplotlib") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def draw(run, out):
    pyplot = plotting()
    logs = [(name, read(Path(run) / f"{name}.jsonl")) for name in ("pretrain", "distil")]
    logs = [(name, rows) for name, rows in logs if rows]
    if not logs:
        raise TrainingError(f"{run} has no pretrain.jsonl or distil.jsonl")
    columns = 4 if any("perplexity" in row for _, rows in logs for row in rows) else 3  # it needs a judge
    figure, axes = pyplot.subplots(len(logs), columns, figsize=(4.5 * columns, 4 * len(logs)), squeeze=False)
    for row, (name, rows) in zip(axes, logs):
        draw_stage(row, name, rows)
    figure.tight_layout()
    figure.savefig(out, dpi=80)
