"""Checkpoint -> the model directory that Millrace serves; and recorded logits for `millrace verify`."""

import json
import os
import shutil
from pathlib import Path

import torch

from . import checkpoint, data, safetensors
from .errors import TrainingError
from .model import Transformer
from .path import Path as MixturePath
from .path import draw_steps
from .pretrain import sizes

NETWORKS = {  # name: stage, entry of its checkpoint
    "ema": ("distil", "student_ema_model"),
    "student": ("distil", "student_model"),
    "teacher": ("pretrain", "teacher_model"),
}


def network(config, run, which):
    """A network with its trained weights, and the update that they are of."""
    stage, entry = NETWORKS[which]
    content = checkpoint.load_for(Path(run) / f"{stage}.pt", config, stage)
    model = Transformer(sizes(config), student=stage == "distil")
    model.load_state_dict(content[entry])
    return model.eval(), content


def model_config(config, which, content, name, solver):
    model = config.model
    return {
        "format": "millrace-1",
        "name": name or config.name,
        "architecture": "dfm" if which == "teacher" else "fs-dfm",
        "vocabulary": config.data.vocabulary,
        "hidden": model.hidden,
        "heads": model.heads,
        "blocks": model.blocks,
        "condition": model.condition,
        "source": model.source,
        "scheduler": {"type": "polynomial", "exponent": model.exponent},
        "trained_length": model.length,
        "max_length": max(model.length, 1024),
        "default_steps": 8,
        "max_steps": 1024,
        **({"default_solver": solver} if solver else {}),
        "origin": {"made_by": "training/fsdfm export", "entry": NETWORKS[which][1], "step": content["step"]},
    }


def write_json(path, value):
    new = Path(str(path) + ".new")
    new.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    os.replace(new, path)


def export(config, run, out, which="ema", dtype="f32", name=None, solver=None):
    """Matrices in `dtype` (f32 or bf16), vectors in float32, as `millrace convert` writes them."""
    model, content = network(config, run, which)
    out = Path(out)
    matrices = {"f32": torch.float32, "bf16": torch.bfloat16}[dtype]
    tensors = {key: value.to(matrices if value.ndim == 2 else torch.float32) for key, value in model.state_dict().items()}
    try:
        out.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(run) / "tokenizer.json", out / "tokenizer.json")
        safetensors.write(out / "model.safetensors", tensors)
        write_json(out / "config.json", model_config(config, which, content, name, solver))
    except OSError as error:
        raise TrainingError(f"{out} could not be written: {error}") from None


@torch.no_grad()
def golden(config, run, out, which="ema", cases=4):
    """A directory that `millrace verify` holds itself against: the weights, and logits of real texts in float32."""
    model, _ = network(config, run, which)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    role = "student" if model.student else "teacher"
    random = data.generator(config.seed, "golden", 0)
    path, length = MixturePath(config.model, config.data.vocabulary), config.model.length
    x_1 = data.even_windows(data.load(Path(run) / "valid.npy", config), cases, length)
    t, dt = draw_steps(cases, [1.0] * 11, random)
    x_t = path.corrupt(x_1, t, random)
    arrays = {}
    for i in range(cases):
        row = slice(i, i + 1)
        arrays[f"case{i}.x_t"], arrays[f"case{i}.t"] = x_t[row], t[row]
        if model.student:
            arrays[f"case{i}.dt"] = dt[row]
        arrays[f"case{i}.logits"] = model(x_t[row], t[row], dt[row]) if model.student else model(x_t[row], t[row])
    safetensors.write(out / f"weights_{role}.safetensors", model.state_dict())
    safetensors.write(out / f"forward_{role}.safetensors", arrays)
    write_json(out / "manifest.json", manifest(config, model, role))


def manifest(config, model, role):
    shape = {
        "weights": f"weights_{role}.safetensors",
        "vocab_size": config.data.vocabulary,
        "masked": config.model.source == "mask",
        "n_out": config.ids,
        "mask_token": config.data.vocabulary if config.model.source == "mask" else -1,
        "dt_conditioned": model.student,
        "hidden_size": config.model.hidden,
        "cond_dim": config.model.condition,
        "n_heads": config.model.heads,
        "head_dim": config.model.hidden // config.model.heads,
        "n_blocks": config.model.blocks,
        "length": config.model.length,
        "mlp_ratio": 4,
        "freq_dim": 256,
        "rope_base": 10000,
        "ln_eps": 1e-05,
        "n_params": sum(p.numel() for p in model.parameters()),
    }
    files = {
        f"weights_{role}.safetensors": {"tensors_n": len(model.state_dict())},
        f"forward_{role}.safetensors": {},
    }
    return {"models": {role: shape}, "files": files, "trajectories": {}, "checkpoints": {}}
