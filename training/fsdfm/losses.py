"""Losses per position, in nats."""

import torch
import torch.nn.functional as F


def generalized_kl(log_p, x_1, x_t, weight):
    """The bound's integrand: -weight [p(x_t) - d + (1 - d) ln p(x_1)], d = 1 where x_1 = x_t.

    log_p [B, L, ids], x_1 and x_t [B, L], weight [B] = kappa'/(1 - kappa) -> [B, L].
    Source: Shaul et al., arXiv 2412.03487; Millrace computes the same for `millrace eval --elbo`.
    """
    p_here = log_p.gather(-1, x_t[..., None])[..., 0].exp()
    log_p_text = log_p.gather(-1, x_1[..., None])[..., 0]
    same = (x_1 == x_t).to(log_p.dtype)
    return -weight[:, None] * (p_here - same + (1 - same) * log_p_text)


def cross_entropy(log_p, x_1):
    return -log_p.gather(-1, x_1[..., None])[..., 0]


def path_loss(log_p, x_1, x_t, weight, stage):
    """What a teacher, and a student at the smallest step, learns from: [B, L]."""
    loss = stage.kl * generalized_kl(log_p, x_1, x_t, weight)
    if stage.cross_entropy:
        loss = loss + stage.cross_entropy * cross_entropy(log_p, x_1)
    return loss


def forward_kl(log_target, log_p):
    """KL(target || p) of each position."""
    return F.kl_div(log_p, log_target, reduction="none", log_target=True).sum(-1)


def log_softmax(logits):
    return torch.log_softmax(logits.float(), dim=-1)
