"""What a large step should do, estimated from several smaller looks of the student's moving average.

The logits (or probabilities) that the average gives for half the step, at the start, the middle and the end of
the step, on texts that its own jumps lead to, are averaged with the weights of Runge-Kutta (RK-4) or Heun.
Paper: FS-DFM, arXiv 2509.20624, section 3. Jumps are those of the cumulative scalar.

Two choices differ from the public code, and one is the same on purpose:
 - RK-4's second middle and its end are reached from x_t (with the middle's velocity), as Runge-Kutta has it; the
   public code chains one half step after another, which is three half steps by the end.
 - Only rows that learn from the estimate are computed.
 - Averaging logits is the default. Averaging probabilities is averaging velocities, but a fair simulation then
   returns E[p(x_1 | x_later) | x_t] = p(x_1 | x_t): nothing new. The mean of logits is sharper.
"""

import torch

from . import losses, solver


class Looks:
    """Looks of one network at texts, with the half step that it is told; [b] rows of their own t and dt."""

    def __init__(self, network, path, x, t, dt, random, look_up=losses.log_probability):
        self.network, self.path, self.random, self.look_up = network, path, random, look_up
        self.x, self.t, self.dt = x, t, dt

    def logits(self, x, t):
        return self.network(x, t, self.dt / 2)

    def jump(self, logits, t, h):
        """x_t moved by h with these logits' velocity at time t."""
        return solver.step("cumulative", self.path, self.x, logits, t, h, self.random, self.look_up)


def heun(looks):
    """The start and the middle, weighted alike."""
    t, half = looks.t, looks.dt / 2
    first = looks.logits(looks.x, t)
    return [first, looks.logits(looks.jump(first, t, half), t + half)]


def rk4(looks):
    """The start, the middle twice, the end."""
    t, half, dt = looks.t, looks.dt / 2, looks.dt
    first = looks.logits(looks.x, t)
    second = looks.logits(looks.jump(first, t, half), t + half)
    third = looks.logits(looks.jump(second, t, half), t + half)
    return [first, second, third, looks.logits(looks.jump(third, t, dt), t + dt)]


KINDS = {"rk4": (rk4, (1 / 6, 1 / 3, 1 / 3, 1 / 6)), "heun": (heun, (1 / 2, 1 / 2))}


def mean(kind, average, logits):
    """ln p of the averaged looks."""
    weighted = list(zip(KINDS[kind][1], logits))
    if average == "logits":
        return torch.log_softmax(sum(weight * one.float() for weight, one in weighted), -1)
    return sum(weight * torch.softmax(one.float(), -1) for weight, one in weighted).clamp_min(1e-30).log()


@torch.no_grad()
def look(kind, looks):
    """The logits [b, L, ids] of each look; `mean` of them is what a student should have at (x, t, dt)."""
    return KINDS[kind][0](looks)
