"""Tokens a second, the share of the machine's peak, and the time left."""

import time

import torch

BF16_PEAK = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L4": 121e12}  # dense, from the data sheets


def flops_per_token(model, sizes):
    """Of one forward pass: two for each weight that a token is multiplied with, and attention."""
    weights = sum(
        p.numel()
        for name, p in model.named_parameters()
        if p.ndim == 2 and not any(part in name for part in ("embed", "adaLN", "fuser"))
    )
    return 2 * weights + 4 * sizes.blocks * sizes.length * sizes.hidden


def peak(device, dtype):
    """FLOP/s that this device can reach: the data sheet's, or for others the best of some large products."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        for key, value in BF16_PEAK.items():
            if key in name:
                return value
    size = 768
    a = torch.randn(size, size, dtype=dtype, device=device)
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        (a @ a)[0, 0].item()
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best


def duration(seconds):
    hours, minutes = divmod(int(seconds) // 60, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min"


class Meter:
    def __init__(self, run):
        self.run = run
        dtype = torch.bfloat16 if run.machine.bf16 else torch.float32
        self.peak = peak(run.machine.device, dtype) * run.machine.world
        forward = flops_per_token(run.model, run.config.model)
        self.flops = forward * run.stage.passes
        run.say(
            f"{run.stage.name}: {sum(p.numel() for p in run.model.parameters()) / 1e6:.2f} million parameters, "
            f"{self.flops / 1e6:.0f} MFLOP a token, peak {self.peak / 1e12:.2f} TFLOP/s"
        )
        self.restart()

    def restart(self):
        self.began, self.tokens = time.monotonic(), self.run.tokens
        self.sums, self.counts, self.updates = {}, {}, 0

    def count(self, parts):
        self.updates += 1
        for key, value in parts.items():
            self.sums[key] = self.sums.get(key, 0.0) + float(value)
            self.counts[key] = self.counts.get(key, 0) + 1

    def report(self):
        run, elapsed = self.run, time.monotonic() - self.began
        run.seconds += elapsed
        rate = (run.tokens - self.tokens) / elapsed
        means = {key: round(value / self.counts[key], 4) for key, value in self.sums.items()}
        left = (run.settings.steps - run.step) * elapsed / self.updates
        utilisation = rate * self.flops / self.peak
        shown = " ".join(f"{key} {value:.3f}" for key, value in means.items())
        run.say(
            f"{run.step}/{run.settings.steps}  {shown}  {rate:.0f} tokens/s  {100 * utilisation:.1f} % MFU  "
            f"{duration(left)} left"
        )
        run.log({**means, "tokens_s": round(rate), "mfu": round(utilisation, 4), "seconds": round(run.seconds)})
        self.restart()
