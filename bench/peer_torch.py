#!/usr/bin/env python3
"""The same model and sampler in PyTorch, as well as PyTorch does it: what `bench/first_gpu.sh` measures Millrace beside.

Written from the paper (arXiv 2509.20624) and the formulas in ARCHITECTURE.md, with what a careful user of PyTorch would
write: bfloat16 weights and activations, float32 residual and norms, scaled_dot_product_attention, one fused q/k/v product,
conditioning computed once per step, torch.compile around the blocks and around the sampler, the output layer in runs of rows
so that logits fit. Reads a model directory of Millrace (config.json, model.safetensors) without other packages.

    peer_torch.py --model DIR [--batch 1,8,32] [--length 1024] [--steps 8] [--device cuda|cpu] [--dtype bf16|f32]

Prints one line of JSON for each batch: seconds of the fastest run, tokens per second, peak memory.
"""
import argparse
import json
import math
import mmap
import os
import struct
import sys
import time

import torch
import torch.nn.functional as F

ROWS_OF_LOGITS = 8192  # 8,192 rows of a vocabulary of 50,257 are 1.6 GB in float32
TYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}


def read_tensors(path):
    """safetensors: a length, a JSON header, the data."""
    with open(path, "rb") as file:
        memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    n = struct.unpack("<Q", memory[:8])[0]
    tensors = {}
    for name, entry in json.loads(memory[8 : 8 + n]).items():
        if name == "__metadata__" or entry["dtype"] not in TYPES:
            continue
        begin, end = entry["data_offsets"]
        flat = torch.frombuffer(memory, dtype=torch.uint8, count=end - begin, offset=8 + n + begin)
        tensors[name] = flat.clone().view(TYPES[entry["dtype"]]).reshape(entry["shape"])
    return tensors


class Peer:
    """An FS-DFM student or DFM teacher; x: [B, L] token ids, t and dt: floats, the same for the whole batch."""

    def __init__(self, tensors, n_heads, exponent=1.0, device="cuda", dtype=torch.bfloat16, compiled=True):
        self.n_heads, self.exponent, self.device, self.dtype = n_heads, exponent, device, dtype
        keep32 = ("vocab_embed", "norm", "embedding.mlp", "fuser", "adaLN", "bias")
        self.w = {
            name: t.to(device, torch.float32 if any(k in name for k in keep32) else dtype)
            for name, t in tensors.items()
        }
        self.n_blocks = 1 + max(int(n.split(".")[1]) for n in tensors if n.startswith("blocks."))
        self.student = "time_condition_fuser.weight" in tensors
        self.hidden = tensors["vocab_embed.weight"].shape[1]
        self.head_size = self.hidden // n_heads
        for i in range(self.n_blocks):
            self.w[f"blocks.{i}.qkv"] = torch.cat([self.w.pop(f"blocks.{i}.{m}.weight") for m in ("qw", "kw", "vw")])
        compiler = (lambda f: torch.compile(f, dynamic=False)) if compiled else (lambda f: f)
        self.block, self.sample_rows = compiler(self._block), compiler(self._sample_rows)
        self.tables = {}

    # -- conditioning: once a step ---------------------------------------------------------------------------------
    def linear(self, name, x):
        return F.linear(x, self.w[name + ".weight"], self.w[name + ".bias"])

    def embed_time(self, name, tau):
        k = torch.arange(128, dtype=torch.float32, device=self.device)
        angle = torch.tensor(tau, dtype=torch.float32, device=self.device) * torch.exp(k * (-math.log(10000.0) / 128))
        s = torch.cat([torch.cos(angle), torch.sin(angle)])
        return self.linear(name + ".mlp.2", F.silu(self.linear(name + ".mlp.0", s)))

    def condition(self, t, dt):
        c = self.embed_time("time_embedding", t)
        if self.student:
            c = torch.cat([c, self.embed_time("dt_embedding", dt)])
            c = self.linear("time_condition_fuser", c)
        return F.silu(c)

    def modulation(self, layer, c):
        fused = F.silu(self.linear(layer + ".condition_fuser", c)) if self.student else c
        return self.linear(layer + ".adaLN_modulation", fused)

    def rotary(self, length):
        if length not in self.tables:
            half = self.head_size // 2
            inverse = self.w.get("rotary_emb.inv_freq")
            if inverse is None:
                inverse = 10000.0 ** (-torch.arange(half, device=self.device, dtype=torch.float32) / half)
            angle = torch.arange(length, device=self.device, dtype=torch.float32)[:, None] * inverse.float()[None, :]
            self.tables[length] = (torch.cos(angle), torch.sin(angle))
        return self.tables[length]

    # -- forward ---------------------------------------------------------------------------------------------------
    def norm(self, x, weight, scale, shift):
        return (F.layer_norm(x, [self.hidden], eps=1e-5) * weight * (1 + scale) + shift).to(self.dtype)

    @staticmethod
    def rotate(x, cos, sin):
        a, b = x.float().chunk(2, dim=-1)
        return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1).to(x.dtype)

    def _block(self, x, m, norm1, norm2, qkv, out, up, up_bias, down, down_bias, cos, sin):
        shift1, scale1, gate1, shift2, scale2, gate2 = m.chunk(6)
        batch, length, _ = x.shape
        q, k, v = F.linear(self.norm(x, norm1, scale1, shift1), qkv).chunk(3, dim=-1)
        q, k, v = (y.view(batch, length, self.n_heads, self.head_size).transpose(1, 2) for y in (q, k, v))
        o = F.scaled_dot_product_attention(self.rotate(q, cos, sin), self.rotate(k, cos, sin), v)
        x = x + gate1 * F.linear(o.transpose(1, 2).reshape(batch, length, -1), out).float()
        y = F.linear(self.norm(x, norm2, scale2, shift2), up, up_bias.to(self.dtype))
        return x + gate2 * (F.linear(F.gelu(y, approximate="tanh"), down).float() + down_bias)

    def features(self, ids, t, dt):
        """What the output layer multiplies: [B, L, D]."""
        c = self.condition(t, dt)
        cos, sin = self.rotary(ids.shape[1])
        x = F.embedding(ids, self.w["vocab_embed.weight"])
        for i in range(self.n_blocks):
            b = f"blocks.{i}."
            x = self.block(x, self.modulation(f"blocks.{i}", c), self.w[b + "norm1.weight"], self.w[b + "norm2.weight"],
                           self.w[b + "qkv"], self.w[b + "attn_out.weight"], self.w[b + "mlp.0.weight"],
                           self.w[b + "mlp.0.bias"], self.w[b + "mlp.2.weight"], self.w[b + "mlp.2.bias"], cos, sin)
        shift, scale = self.modulation("output_layer", c).chunk(2)
        return self.norm(x, self.w["output_layer.norm_final.weight"], scale, shift)

    def logits(self, ids, t, dt):
        x = self.features(ids, t, dt)
        return F.linear(x, self.w["output_layer.linear.weight"]).float() + self.w["output_layer.linear.bias"]

    # -- the cumulative scalar sampler -----------------------------------------------------------------------------
    def _sample_rows(self, x, ids, weight, bias, bound, u_jump, u_draw, last):
        p = torch.softmax(F.linear(x, weight).float() + bias, dim=-1)
        if not last:
            p_x = p.gather(1, ids[:, None])
            jump = u_jump < 1 - torch.exp(-bound * (1 - p_x[:, 0]))
            p = p.scatter(1, ids[:, None], 0.0)
        sums = torch.cumsum(p, dim=-1)
        drawn = torch.searchsorted(sums, u_draw[:, None] * sums[:, -1:], right=True).squeeze(1)
        drawn = drawn.clamp(max=p.shape[1] - 1)
        return drawn if last else torch.where(jump, drawn, ids)

    def step(self, ids, t, h, last, generator):
        x = self.features(ids, t, h).reshape(-1, self.hidden)
        flat = ids.reshape(-1)
        k0, k1 = t**self.exponent, (t + h) ** self.exponent
        bound = 0.0 if last else math.log(max(1 - k0, 1e-8)) - math.log(max(1 - k1, 1e-8))
        bound = torch.tensor(bound, dtype=torch.float32, device=self.device)
        weight, bias = self.w["output_layer.linear.weight"], self.w["output_layer.linear.bias"]
        new = torch.empty_like(flat)
        for first in range(0, flat.shape[0], ROWS_OF_LOGITS):
            part = slice(first, min(first + ROWS_OF_LOGITS, flat.shape[0]))
            u = torch.rand(2, part.stop - part.start, device=self.device, generator=generator)
            new[part] = self.sample_rows(x[part], flat[part], weight, bias, bound, u[0], u[1], last)
        return new.reshape(ids.shape)

    @torch.inference_mode()
    def write(self, batch, length, steps, seed, vocabulary):
        generator = torch.Generator(self.device).manual_seed(seed)
        ids = torch.randint(vocabulary, (batch, length), device=self.device, generator=generator)
        for i in range(steps):
            ids = self.step(ids, i / steps, 1 / steps, i == steps - 1, generator)
        return ids


def measure(peer, batch, args, vocabulary):
    def wait():
        if args.device == "cuda":
            torch.cuda.synchronize()

    if args.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    peer.write(batch, args.length, args.steps, 0, vocabulary)  # compiles
    wait()
    warm_up, best = time.perf_counter() - started, math.inf
    for seed in range(args.repeats):
        started = time.perf_counter()
        peer.write(batch, args.length, args.steps, 1 + seed, vocabulary)
        wait()
        best = min(best, time.perf_counter() - started)
    return {
        "program": "pytorch " + torch.__version__,
        "model": os.path.basename(os.path.normpath(args.model)),
        "dtype": args.dtype,
        "batch": batch,
        "length": args.length,
        "steps": args.steps,
        "seconds": best,
        "tokens_per_second": batch * args.length / best,
        "warm_up_seconds": warm_up,
        "memory_mib": torch.cuda.max_memory_allocated() / 2**20 if args.device == "cuda" else 0,
    }


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--model", required=True)
    options.add_argument("--batch", default="1")
    options.add_argument("--length", type=int, default=1024)
    options.add_argument("--steps", type=int, default=8)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--device", default="cuda")
    options.add_argument("--dtype", choices=("bf16", "f32"), default="bf16")
    options.add_argument("--eager", action="store_true", help="without torch.compile")
    args = options.parse_args()
    with open(os.path.join(args.model, "config.json")) as file:
        config = json.load(file)
    tensors = read_tensors(os.path.join(args.model, "model.safetensors"))
    dtype = torch.bfloat16 if args.dtype == "bf16" else torch.float32
    peer = Peer(tensors, config["heads"], config["scheduler"]["exponent"], args.device, dtype, not args.eager)
    for batch in (int(n) for n in args.batch.split(",")):
        try:
            print(json.dumps(measure(peer, batch, args, config["vocabulary"])), flush=True)
        except torch.cuda.OutOfMemoryError:
            print(json.dumps({"program": "pytorch " + torch.__version__, "batch": batch, "error": "out of memory"}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
