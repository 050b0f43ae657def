"""Sampling in PyTorch, to see texts while training and to make teacher estimates.

The same laws as Millrace's solvers (docs/solvers.md), with other random numbers.
"""

import torch

from .losses import log_probability

EPSILON = 1e-8


def hazard(path, t, h):
    """h * alpha of the cumulative scalar: ln(1 - kappa(t)) - ln(1 - kappa(t + h)), [B]."""
    here = (1 - path.kappa(t)).clamp_min(EPSILON).log()
    there = (1 - path.kappa(t + h)).clamp_min(EPSILON).log()
    return (here - there) * (h / (h + EPSILON))


def jump_probability(solver, path, t, h, stay):
    """P(jump) of each position; stay [B, L] = p(x_t)."""
    if solver == "cumulative":
        return 1 - torch.exp(-hazard(path, t, h)[:, None] * (1 - stay))
    if solver == "euler":
        return 1 - torch.exp(-(1 - stay))
    return (1 - torch.exp(-h * path.weight(t)))[:, None] * (1 - stay)  # dfm


def draw(p, random):
    """One id of each distribution in the last dimension (weights will do), by its distribution function."""
    below = p.cumsum(-1)
    total = below[..., -1:]
    drawn = torch.rand(total.shape, generator=random, device=p.device) * total
    drawn = torch.minimum(drawn, torch.nextafter(total, torch.zeros_like(total)))  # a tiny total's product may be rounded up
    return torch.searchsorted(below, drawn, right=True)[..., 0]


def step(solver, path, x, logits, t, h, random, look_up=log_probability):
    """x one step later. The new token of a position that jumps is drawn from p = softmax(logits) without its own."""
    stay = look_up(logits, x).exp()
    jumps = torch.rand(x.shape, generator=random, device=x.device) < jump_probability(solver, path, t, h, stay)
    if not jumps.any():
        return x
    others = torch.softmax(logits[jumps].float(), -1).scatter(-1, x[jumps][:, None], 0.0)
    others = others + (others.sum(-1, keepdim=True) <= 0) * 1.0  # p was all on x: that position hardly ever jumps
    x = x.clone()
    x[jumps] = draw(others, random)
    return x


def last(path, x, logits, random):
    if not path.masked:
        return draw(torch.softmax(logits.float(), -1), random)
    drawn = draw(torch.softmax(logits[..., : path.mask].float(), -1), random)  # the mask is the last id
    return torch.where(x == path.mask, drawn, x)


def temperatures(first, final, steps):
    """One for each step: `first` for all but the last step, which has `final`."""
    return [first] * (steps - 1) + [final]


@torch.no_grad()
def sample(network, path, count, length, steps, random, solver="cumulative", student=True, heat=None):
    """`count` texts of ids from nothing, in `steps` steps; on the network's device. heat: a temperature for each step."""
    device = next(network.parameters()).device
    x = path.source((count, length), random).to(device)
    noise = random if device.type == "cpu" else torch.Generator(device).manual_seed(random.initial_seed())
    for i in range(steps):
        t = torch.full((count,), i / steps, device=device)
        h = torch.full((count,), 1 / steps, device=device)
        logits = network(x, t, h) if student else network(x, t)
        logits = logits.float() / (heat[i] if heat else 1.0)
        x = last(path, x, logits, noise) if i == steps - 1 else step(solver, path, x, logits, t, h, noise)
    return x


def entropy(ids):
    """Mean over texts of the entropy of a text's own histogram of ids, in bits."""
    total = 0.0
    for row in ids:
        share = torch.bincount(row.flatten()).float() / row.numel()
        share = share[share > 0]
        total += float(-(share * share.log2()).sum())
    return total / len(ids)
