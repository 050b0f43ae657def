"""The network: a DFM (teacher) or FS-DFM (student) transformer, in the tensors that Millrace serves.

Names and shapes of the state dict are those of common/model/layout.c. Formulas: the FS-DFM paper
(arXiv 2509.20624) and docs/fidelity.md.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

SINUSOID = 256  # width of the sinusoid of t and dt
ROTARY_BASE = 10000.0


def sinusoid(tau):
    """[B] in [0, 1] -> [B, 256]: cosines first."""
    half = SINUSOID // 2
    frequency = torch.exp(torch.arange(half, dtype=torch.float32, device=tau.device) * (-math.log(10000.0) / half))
    angle = tau.float()[:, None] * frequency
    return torch.cat([angle.cos(), angle.sin()], dim=-1)


class TimeEmbedding(nn.Module):
    def __init__(self, condition):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(SINUSOID, condition), nn.SiLU(), nn.Linear(condition, condition))

    def forward(self, tau):
        return self.mlp(sinusoid(tau))


class Norm(nn.Module):
    """Layer norm in float32, with a weight and no bias."""

    def __init__(self, hidden):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(hidden))

    def forward(self, x):
        return F.layer_norm(x.float(), (x.shape[-1],), eps=1e-5) * self.weight


class Rotary(nn.Module):
    def __init__(self, head_size):
        super().__init__()
        exponent = torch.arange(0, head_size, 2, dtype=torch.float32) / head_size
        self.register_buffer("inv_freq", 1.0 / ROTARY_BASE**exponent)

    def forward(self, length):
        angle = torch.arange(length, dtype=torch.float32, device=self.inv_freq.device)[:, None] * self.inv_freq
        angle = torch.cat([angle, angle], dim=-1)
        return angle.cos(), angle.sin()


def rotate(x, cosine, sine):
    """x: [B, H, L, Dh]; the two halves of a head are the two parts of the complex numbers."""
    first, second = x.chunk(2, dim=-1)
    return x * cosine + torch.cat([-second, first], dim=-1) * sine


class Attention(torch.autograd.Function):
    """softmax(q k^T / sqrt(Dh)) v, with its gradient written out.

    On a CPU, compiled, both take a sixth of the time of PyTorch's fused attention (2.15, windows of 128), whose
    backward pass is slow there. The weights [B, H, L, L] are kept for the backward pass.
    """

    @staticmethod
    def forward(ctx, q, k, v):
        q = q * (1 / math.sqrt(q.shape[-1]))
        weights = torch.softmax((q @ k.transpose(-1, -2)).float(), dim=-1).to(v.dtype)
        ctx.save_for_backward(q, k, v, weights)
        return weights @ v

    @staticmethod
    def backward(ctx, grad):
        q, k, v, weights = ctx.saved_tensors
        by_weight = (grad @ v.transpose(-1, -2)).float()
        w = weights.float()
        by_score = (w * (by_weight - (by_weight * w).sum(-1, keepdim=True))).to(q.dtype)
        by_q = (by_score @ k) * (1 / math.sqrt(q.shape[-1]))
        return by_q, by_score.transpose(-1, -2) @ q, weights.transpose(-1, -2) @ grad


def attention(q, k, v):
    """[B, H, L, Dh] each; every position sees every other."""
    if q.is_cuda and hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(q, k, v)
    return Attention.apply(q, k, v)


class Block(nn.Module):
    def __init__(self, hidden, heads, condition, student):
        super().__init__()
        self.heads = heads
        self.norm1 = Norm(hidden)
        self.qw = nn.Linear(hidden, hidden, bias=False)
        self.kw = nn.Linear(hidden, hidden, bias=False)
        self.vw = nn.Linear(hidden, hidden, bias=False)
        self.attn_out = nn.Linear(hidden, hidden, bias=False)
        self.norm2 = Norm(hidden)
        self.mlp = nn.Sequential(
            nn.Linear(hidden, 4 * hidden), nn.GELU(approximate="tanh"), nn.Linear(4 * hidden, hidden)
        )
        self.condition_fuser = nn.Linear(2 * condition, condition) if student else None
        self.adaLN_modulation = nn.Linear(condition, 6 * hidden)

    def split(self, x):
        batch, length, hidden = x.shape
        return x.view(batch, length, self.heads, hidden // self.heads).transpose(1, 2)

    def attend(self, x, cosine, sine):
        q, k, v = self.split(self.qw(x)), self.split(self.kw(x)), self.split(self.vw(x))
        q, k = rotate(q.float(), cosine, sine).to(v.dtype), rotate(k.float(), cosine, sine).to(v.dtype)
        mixed = attention(q, k, v).transpose(1, 2).reshape(x.shape)
        return self.attn_out(mixed)

    def forward(self, x, c, cosine, sine):
        if self.condition_fuser is not None:
            c = F.silu(self.condition_fuser(c))
        shift1, scale1, gate1, shift2, scale2, gate2 = self.adaLN_modulation(c)[:, None].chunk(6, dim=-1)
        x = x + gate1 * self.attend(self.norm1(x) * (1 + scale1) + shift1, cosine, sine)
        return x + gate2 * self.mlp(self.norm2(x) * (1 + scale2) + shift2)


class OutputLayer(nn.Module):
    def __init__(self, hidden, ids, condition, student):
        super().__init__()
        self.norm_final = Norm(hidden)
        self.linear = nn.Linear(hidden, ids)
        self.condition_fuser = nn.Linear(2 * condition, condition) if student else None
        self.adaLN_modulation = nn.Linear(condition, 2 * hidden)

    def forward(self, x, c):
        if self.condition_fuser is not None:
            c = F.silu(self.condition_fuser(c))
        shift, scale = self.adaLN_modulation(c)[:, None].chunk(2, dim=-1)
        return self.linear(self.norm_final(x) * (1 + scale) + shift)


class Transformer(nn.Module):
    """x_t [B, L] ids, t [B] (and dt [B] for a student) -> logits [B, L, ids] of x_1."""

    def __init__(self, sizes, student):
        super().__init__()
        hidden, condition = sizes.hidden, sizes.condition
        self.student = student
        self.vocab_embed = nn.Embedding(sizes.ids, hidden)
        self.time_embedding = TimeEmbedding(condition)
        if student:
            self.dt_embedding = TimeEmbedding(condition)
            self.time_condition_fuser = nn.Linear(2 * condition, 2 * condition)
        self.rotary_emb = Rotary(hidden // sizes.heads)
        self.blocks = nn.ModuleList(Block(hidden, sizes.heads, condition, student) for _ in range(sizes.blocks))
        self.output_layer = OutputLayer(hidden, sizes.ids, condition, student)
        self.reset()

    def reset(self):
        """Small normal weights; gates and modulations start at zero, so a block starts as the identity."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.normal_(self.vocab_embed.weight, std=0.02)
        nn.init.zeros_(self.output_layer.linear.weight)
        for layer in [*self.blocks, self.output_layer]:
            nn.init.zeros_(layer.adaLN_modulation.weight)

    def conditioning(self, t, dt):
        c = self.time_embedding(t)
        if self.student:
            c = self.time_condition_fuser(torch.cat([c, self.dt_embedding(dt)], dim=-1))
        return F.silu(c)

    def forward(self, x, t, dt=None):
        c = self.conditioning(t, dt)
        cosine, sine = self.rotary_emb(x.shape[1])
        h = self.vocab_embed(x)
        for block in self.blocks:
            h = block(h, c, cosine, sine)
        return self.output_layer(h, c)
