"""Losses per position, in nats."""

import torch
import torch.nn.functional as F


class LogProbability(torch.autograd.Function):
    """ln softmax(logits) at some ids alone: logits [B, L, ids], at [B, L, K] -> [B, L, K].

    Its gradient, written out, is one pass over the logits: compiled on a CPU a quarter of the time of log_softmax and gather.
    """

    @staticmethod
    def forward(ctx, logits, at):
        normalizer = torch.logsumexp(logits.float(), -1, keepdim=True)
        ctx.save_for_backward(logits, normalizer, at)
        return logits.gather(-1, at).float() - normalizer

    @staticmethod
    def backward(ctx, grad):
        logits, normalizer, at = ctx.saved_tensors
        by_logit = -(logits.float() - normalizer).exp() * grad.sum(-1, keepdim=True)
        every = torch.arange(logits.shape[-1], device=logits.device)
        for k in range(at.shape[-1]):  # faster than a scatter, once compiled
            by_logit = by_logit + torch.where(every == at[..., k : k + 1], grad[..., k : k + 1], 0.0)
        return by_logit.to(logits.dtype), None


def log_probability(logits, x):
    """ln p(x): logits [..., ids], x [...]."""
    return LogProbability.apply(logits, x[..., None])[..., 0]


def log_probabilities(logits, x_1, x_t):
    """(ln p(x_1), ln p(x_t)), [B, L] each."""
    return LogProbability.apply(logits, torch.stack([x_1, x_t], -1)).unbind(-1)


def generalized_kl(log_text, log_here, same, weight):
    """The bound's integrand: -weight [p(x_t) - d + (1 - d) ln p(x_1)], d = 1 where x_1 = x_t (`same`).

    log_text = ln p(x_1) and log_here = ln p(x_t) [B, L], weight [B] = kappa'/(1 - kappa) -> [B, L].
    Source: Shaul et al., arXiv 2412.03487; Millrace computes the same for `millrace eval --elbo`.
    """
    same = same.to(log_text.dtype)
    return -weight[:, None] * (log_here.exp() - same + (1 - same) * log_text)


def path_loss(log_text, log_here, same, weight, stage):
    """What a teacher, and a student at the smallest step, learns from: [B, L]."""
    return stage.kl * generalized_kl(log_text, log_here, same, weight) - stage.cross_entropy * log_text


def forward_kl(log_target, log_p):
    """KL(target || p) of each position."""
    return F.kl_div(log_p, log_target, reduction="none", log_target=True).sum(-1)


def log_softmax(logits):
    return torch.log_softmax(logits.float(), dim=-1)
