"""Optimizers and the learning rate's course."""

import torch


def orthogonal(matrix, half=False, rounds=5):
    """The nearest matrix with singular values of about 1, by Newton-Schulz iterations; half: in bf16, which suffices.

    Coefficients: Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    wide = matrix.shape[0] <= matrix.shape[1]
    x = matrix if wide else matrix.T
    x = x / (x.norm() + 1e-7)
    x = x.bfloat16() if half else x
    for _ in range(rounds):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return (x if wide else x.T).to(matrix.dtype)


class Muon(torch.optim.Optimizer):
    """Momentum, made orthogonal: every direction of a matrix moves alike. For hidden matrices only."""

    def __init__(self, parameters, lr, momentum=0.95, weight_decay=0.0, half=False):
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.half = half

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for parameter in group["params"]:
                self._move(parameter, group)

    def _move(self, parameter, group):
        if parameter.grad is None:
            return
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        momentum = state["momentum"]
        momentum.lerp_(parameter.grad, 1 - group["momentum"])
        update = orthogonal(parameter.grad.lerp(momentum, group["momentum"]), self.half)
        rows, columns = parameter.shape
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.add_(update, alpha=-group["lr"] * max(1.0, rows / columns) ** 0.5)


def _hidden(name, parameter):
    """The matrices that every token is multiplied with, inside the blocks."""
    return parameter.ndim == 2 and name.startswith("blocks.") and "adaLN" not in name and "fuser" not in name


def _adamw(model, stage, skip):
    named = [(name, p) for name, p in model.named_parameters() if not skip(name, p)]
    matrices = [p for _, p in named if p.ndim == 2]
    others = [p for _, p in named if p.ndim != 2]
    groups = [{"params": matrices, "weight_decay": stage.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=stage.rate, betas=(0.9, 0.95))


def build(model, stage, half=False):
    """The optimizers of a stage; each remembers its full rate in its groups. half: see `orthogonal`."""
    if stage.optimizer == "muon":
        hidden = [p for name, p in model.named_parameters() if _hidden(name, p)]
        muon = Muon(hidden, lr=stage.muon_rate, weight_decay=stage.weight_decay, half=half)
        optimizers = [_adamw(model, stage, _hidden), muon]
    else:
        optimizers = [_adamw(model, stage, lambda name, p: False)]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["full_rate"] = group["lr"]
    return optimizers


def share_of_rate(step, stage):
    """Rises over `warmup` updates, stays, falls in a straight line to 0 over the last `decay` of all."""
    rise = min(1.0, (step + 1) / max(1, stage.warmup))
    fall = (stage.steps - step) / max(1.0, stage.decay * stage.steps)
    return rise * min(1.0, fall)


def set_rate(optimizers, share):
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["full_rate"] * share


@torch.no_grad()
def move_average(average, model, decay, step):
    """The moving average of the weights; young averages follow faster, so that the start is forgotten."""
    decay = min(decay, (1 + step) / (10 + step))
    for target, value in zip(average.parameters(), model.parameters()):
        target.lerp_(value, 1 - decay)
