"""The teacher: a plain discrete flow, from (x_t, t) to the text."""

from types import SimpleNamespace

from . import losses
from .model import Transformer
from .path import draw_times


def sizes(config):
    model = config.model
    return SimpleNamespace(
        hidden=model.hidden, heads=model.heads, blocks=model.blocks, condition=model.condition, ids=config.ids
    )


class Pretrain:
    name, student = "pretrain", False
    entry, average_entry = "model", "teacher_model"  # names in the checkpoint, as `millrace convert` knows them
    passes = 3  # forward, and a backward of two forwards' cost

    def __init__(self, config):
        self.settings = config.pretrain
        self.length = config.model.length
        self.model = Transformer(sizes(config), student=False)

    def start(self, run, network):
        self.run, self.network = run, network
        self.losses = run.machine.compile(self._losses)

    def entries(self):
        return {}

    def windows(self, step):
        """(how many, of how many tokens): as many tokens in short windows as in long ones."""
        settings = self.settings
        short = settings.short if step < settings.short_share * settings.steps else 0
        length = short or self.length
        return settings.batch * self.length // length, length

    @staticmethod
    def logits(network, x, t, dt):
        return network(x, t)

    def loss(self, x_1, random):
        path, mine = self.run.path, self.run.machine.mine
        t = draw_times(len(x_1), random)
        x_t = path.corrupt(x_1, t, random)
        x_1, x_t, t = mine(x_1), mine(x_t), mine(t)
        with self.run.machine.autocast():
            logits = self.network(x_t, t)
        loss, kl = self.losses(logits, x_1, x_t, path.weight(t, self.settings.max_weight))
        return loss, {"loss": loss.detach(), "kl": kl}

    def _losses(self, logits, x_1, x_t, weight):
        log_text, log_here = losses.log_probabilities(logits, x_1, x_t)
        kl = losses.generalized_kl(log_text.detach(), log_here.detach(), x_1 == x_t, weight).mean()
        return losses.path_loss(log_text, log_here, x_1 == x_t, weight, self.settings).mean(), kl
