"""Writes safetensors files: an 8-byte length, a JSON header, the numbers."""

import json
import os
import struct
from pathlib import Path

import torch

from .errors import TrainingError

NAMES = {torch.float32: "F32", torch.bfloat16: "BF16", torch.int64: "I64"}


def _bytes(tensor):
    tensor = tensor.detach().cpu().contiguous()
    if tensor.dtype == torch.bfloat16:  # numpy has none
        tensor = tensor.view(torch.int16)
    return tensor.numpy().tobytes()


def write(path, tensors):
    """`tensors`: name -> tensor, in this order. Whole or not at all."""
    header, at = {}, 0
    for name, tensor in tensors.items():
        size = tensor.numel() * tensor.element_size()
        header[name] = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % 64)
    new = Path(str(path) + ".new")
    try:
        with open(new, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for tensor in tensors.values():
                file.write(_bytes(tensor))
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise TrainingError(f"{path} could not be written: {error}") from None
