"""The student: a flow that is told its step size, taught to take large steps by its own average's smaller ones."""

import torch

from . import checkpoint, estimates, losses
from .errors import TrainingError
from .model import Transformer
from .path import draw_steps
from .pretrain import sizes


def begin_as(student, teacher):
    """Gives a student the teacher's function, whatever dt is.

    SiLU(x) - SiLU(-x) = x: so a fuser that passes (t_emb, -t_emb) on, and one in each layer that subtracts the
    halves, hand exactly t_emb to the layer. The columns for dt start at 0 and learn.
    """
    missing, unknown = student.load_state_dict(teacher, strict=False)
    assert not unknown
    with torch.no_grad():
        condition = student.time_condition_fuser.weight.shape[0] // 2
        one = torch.eye(condition)
        zero = torch.zeros(condition, condition)
        student.time_condition_fuser.weight.copy_(torch.cat([torch.cat([one, zero], 1), torch.cat([-one, zero], 1)]))
        student.time_condition_fuser.bias.zero_()
        for layer in [*student.blocks, student.output_layer]:
            layer.condition_fuser.weight.copy_(torch.cat([one, -one], 1))
            layer.condition_fuser.bias.zero_()


def teacher_weights(run_directory, config):
    content = checkpoint.load_for(run_directory / "pretrain.pt", config, "pretrain")
    return content["teacher_model"]


class Distil:
    name, student = "distil", True
    entry, average_entry = "student_model", "student_ema_model"

    def __init__(self, config, directory):
        self.settings = config.distil
        self.length = config.model.length
        self.teacher = teacher_weights(directory, config)
        self.model = Transformer(sizes(config), student=True)
        begin_as(self.model, self.teacher)
        weights = self.settings.step_weights
        share = sum(w for i, w in enumerate(weights) if 0.5**i >= self.settings.path_up_to) / sum(weights)
        self.passes = 3 + share * len(estimates.KINDS[self.settings.estimate][1])
        if share and self.settings.shortcut == 0:
            raise TrainingError("distil.shortcut is 0: step sizes of distil.path_up_to and more would learn nothing")

    def start(self, run, network):
        self.run, self.network = run, network
        compiled = run.machine.compile
        self.guide, self.look_up = compiled(run.average), compiled(losses.log_probability)
        self.by_path, self.by_estimate = compiled(self._by_path), compiled(self._by_estimate)

    def entries(self):
        return {"teacher_model": self.teacher}

    def windows(self, step):
        return self.settings.batch, self.length

    @staticmethod
    def logits(network, x, t, dt):
        return network(x, t, dt)

    def loss(self, x_1, random):
        run, settings = self.run, self.settings
        t, dt = draw_steps(len(x_1), settings.step_weights, random)
        x_t = run.path.corrupt(x_1, t, random)
        x_1, x_t, t, dt = (run.machine.mine(part) for part in (x_1, x_t, t, dt))
        large = dt >= settings.path_up_to
        with run.machine.autocast():
            looks = self._looks(x_t[large], t[large], dt[large], random) if large.any() else None
            logits = self.network(x_t, t, dt)
        weight = run.path.weight(t, settings.max_weight)
        small = ~large
        by_path = self.by_path(logits[small], x_1[small], x_t[small], weight[small])
        shortcut = self.by_estimate(looks, logits[large]) if looks else by_path.new_zeros(())
        loss = (by_path + settings.shortcut * shortcut) / x_1.numel()
        parts = {"loss": loss.detach()}
        for name, total, rows in (("path", by_path, small), ("shortcut", shortcut, large)):
            if rows.any():
                parts[name] = total.detach() / (int(rows.sum()) * x_1.shape[1])
        return loss, parts

    def _by_path(self, logits, x_1, x_t, weight):
        log_text, log_here = losses.log_probabilities(logits, x_1, x_t)
        return losses.path_loss(log_text, log_here, x_1 == x_t, weight, self.settings).sum()

    def _by_estimate(self, looks, logits):
        target = estimates.mean(self.settings.estimate, self.settings.average, looks)
        return losses.forward_kl(target, losses.log_softmax(logits)).sum()

    def _looks(self, x, t, dt, random):
        noise = random
        if x.is_cuda:
            noise = torch.Generator(x.device).manual_seed(random.initial_seed() % 2**62 + self.run.machine.rank)
        looks = estimates.Looks(self.guide, self.run.path, x, t, dt, noise, self.look_up)
        return estimates.look(self.settings.estimate, looks)
