"""The mixture path: where a text is at time t, and how times and step sizes are drawn for training."""

import torch

LAST_TIME = 1 - 1 / 1024  # beyond it single positions would weigh more than 1,024


class Path:
    """kappa(t) = t^n from a source (uniform over the vocabulary, or the mask token) to the text."""

    def __init__(self, model, vocabulary):
        self.exponent = model.exponent
        self.masked = model.source == "mask"
        self.vocabulary = vocabulary
        self.mask = vocabulary

    def kappa(self, t):
        return t**self.exponent

    def weight(self, t, largest=float("inf")):
        """kappa'(t) / (1 - kappa(t)), held at `largest`."""
        rate = self.exponent * t ** (self.exponent - 1)
        return (rate / (1 - self.kappa(t)).clamp_min(1e-8)).clamp_max(largest)

    def source(self, shape, generator):
        if self.masked:
            return torch.full(shape, self.mask, dtype=torch.long)
        return torch.randint(0, self.vocabulary, shape, generator=generator)

    def corrupt(self, x_1, t, generator):
        """x_t: each position is the text's with probability kappa(t), else the source's."""
        kept = torch.rand(x_1.shape, generator=generator) < self.kappa(t)[:, None]
        return torch.where(kept, x_1, self.source(x_1.shape, generator))


def stratified(count, generator):
    """`count` numbers, one in each of as many equal parts of [0, 1), in any order: less variance than free ones."""
    order = torch.randperm(count, generator=generator)
    return (order + torch.rand((), generator=generator)) / count


def draw_times(count, generator):
    return stratified(count, generator) * LAST_TIME


def draw_steps(count, weights, generator):
    """Step sizes 2^-k drawn by `weights` and times on their own grid: t in {0, dt, ..., 1 - dt}, as when sampling.

    Stratified too, so that a batch holds the sizes in the right shares. With dt = 1 the time is 0:
    one-step sampling is trained.
    """
    shares = torch.tensor(weights, dtype=torch.float64)
    edges = torch.cumsum(shares / shares.sum(), 0)
    drawn = stratified(count, generator).double()
    power = torch.searchsorted(edges, drawn, right=True).clamp_max(len(weights) - 1)
    dt = 0.5 ** power.float()
    node = torch.floor(torch.rand(count, generator=generator) * 2.0 ** power.float())
    return node * dt, dt
