"""Losses, teacher estimates, steps and draws against cases worked out by hand."""
import math
import unittest
from types import SimpleNamespace
from unittest import mock

import tiny
import torch
from fsdfm import distil, estimates, losses, optim, solver
from fsdfm.model import Transformer, attention
from fsdfm.path import Path, draw_steps, draw_times, stratified


def path(source="uniform", exponent=1.0, vocabulary=4):
    return Path(SimpleNamespace(source=source, exponent=exponent), vocabulary)


def random(seed=1):
    return torch.Generator().manual_seed(seed)


class Losses(unittest.TestCase):
    def setUp(self):
        # one text of two tokens: the first is still noise (1 instead of 2), the second has arrived (3)
        self.p = torch.tensor([[[0.1, 0.2, 0.3, 0.4], [0.25, 0.25, 0.1, 0.4]]])
        self.x_1, self.x_t = torch.tensor([[2, 3]]), torch.tensor([[1, 3]])
        self.looks = [*losses.log_probabilities(self.p.log(), self.x_1, self.x_t), self.x_1 == self.x_t]

    def test_log_probabilities_and_their_gradient(self):
        logits = torch.randn(2, 3, 5, dtype=torch.float64, generator=random())
        x_1, x_t = torch.tensor([[0, 1, 4], [2, 2, 3]]), torch.tensor([[0, 3, 1], [4, 2, 0]])
        expected = torch.log_softmax(logits.float(), -1)
        for found, at in zip(losses.log_probabilities(logits, x_1, x_t), (x_1, x_t)):
            torch.testing.assert_close(found, expected.gather(-1, at[..., None])[..., 0])
        grads = []
        for of in (losses.log_probabilities, lambda p, *ids: [p.log_softmax(-1).gather(-1, i[..., None])[..., 0] for i in ids]):
            given = logits.clone().requires_grad_()
            text, here = of(given, x_1, x_t)
            (text * 2 - here.exp()).sum().backward()
            grads.append(given.grad)
        torch.testing.assert_close(grads[0], grads[1], atol=1e-6, rtol=1e-5)

    def test_attention_and_its_gradient(self):
        q, k, v = (torch.randn(2, 3, 5, 4, dtype=torch.float64, generator=random(i)).requires_grad_() for i in range(3))
        plain = torch.softmax(q @ k.transpose(-1, -2) / 2, -1) @ v
        torch.testing.assert_close(attention(q, k, v), plain, atol=1e-6, rtol=1e-5)
        probe = torch.randn(plain.shape, dtype=torch.float64, generator=random(9))
        found = torch.autograd.grad((attention(q, k, v) * probe).sum(), (q, k, v))
        expected = torch.autograd.grad((plain * probe).sum(), (q, k, v))
        for one, other in zip(found, expected):
            torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)

    def test_generalized_kl(self):
        # weight 1/(1 - t) = 4 at t = 3/4; noise: -(0.2 + ln 0.3), arrived: -(0.4 - 1)
        weight = path().weight(torch.tensor([0.75]))
        found = losses.generalized_kl(*self.looks, weight)
        expected = torch.tensor([[-4 * (0.2 + math.log(0.3)), 4 * 0.6]])
        torch.testing.assert_close(found, expected)

    def test_weight_follows_the_exponent_and_its_limit(self):
        # kappa = t^2: kappa'/(1 - kappa) = 2 t / (1 - t^2) = 1 / 0.75 at t = 1/2
        torch.testing.assert_close(path(exponent=2.0).weight(torch.tensor([0.5])), torch.tensor([4 / 3]))
        torch.testing.assert_close(path().weight(torch.tensor([0.5, 0.99]), 8.0), torch.tensor([2.0, 8.0]))

    def test_cross_entropy_and_path_loss(self):
        ce = torch.tensor([[-math.log(0.3), -math.log(0.4)]])
        stage = SimpleNamespace(kl=2.0, cross_entropy=0.5)
        weight = torch.tensor([4.0])
        both = losses.path_loss(*self.looks, weight, stage)
        torch.testing.assert_close(both, 2 * losses.generalized_kl(*self.looks, weight) + 0.5 * ce)

    def test_forward_kl(self):
        target, p = torch.tensor([[0.5, 0.5]]), torch.tensor([[0.25, 0.75]])
        expected = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
        torch.testing.assert_close(losses.forward_kl(target.log(), p.log()), torch.tensor([expected]))

    def test_the_bound_is_least_for_the_true_posterior(self):
        # two tokens, text 0 with probability 0.8: at t, p(x_1 = 0 | x_t = 0) = 0.8 (t + (1-t)/2) / P(x_t = 0)
        t, prior = 0.5, torch.tensor([0.8, 0.2])
        joint = prior[:, None] * (t * torch.eye(2) + (1 - t) / 2)  # [x_1, x_t]
        posterior = (joint / joint.sum(0)).T  # [x_t, x_1]

        def bound(table):
            total = 0.0
            for x_1 in range(2):
                for x_t in range(2):
                    log_p, same = table[x_t].log()[None], torch.tensor([x_1 == x_t])
                    one = losses.generalized_kl(log_p[:, x_1], log_p[:, x_t], same, torch.tensor([2.0]))
                    total += float(joint[x_1, x_t] * one)
            return total

        best = bound(posterior)
        for shift in (-0.05, -0.01, 0.01, 0.05):
            moved = posterior + torch.tensor([shift, -shift])
            self.assertGreater(bound(moved), best)


class Looked:
    """A network of which every look is known: logits by (t, what it was shown), and a list of the looks."""

    def __init__(self, table):
        self.table, self.looks = table, []

    def __call__(self, x, t, dt):
        self.looks.append((float(t[0]), float(dt[0]), x.clone()))
        return self.table[len(self.looks) - 1].expand(*x.shape, -1)


class Estimates(unittest.TestCase):
    def setUp(self):
        self.looks = [torch.tensor(row) for row in ([0.0, 1.0, 2.0], [3.0, 0.0, 0.0], [0.0, 6.0, 0.0], [0.0, 0.0, 9.0])]
        self.x = torch.tensor([[0, 1, 2, 0]])

    def estimate(self, kind, average, t=0.25, dt=0.5):
        network = Looked(self.looks)
        looks = estimates.Looks(network, path(vocabulary=3), self.x, torch.tensor([t]), torch.tensor([dt]), random())
        return network, estimates.mean(kind, average, estimates.look(kind, looks))

    def test_rk4_weighs_start_middle_middle_end(self):
        network, log_p = self.estimate("rk4", "logits")
        self.assertEqual([look[:2] for look in network.looks], [(0.25, 0.25), (0.5, 0.25), (0.5, 0.25), (0.75, 0.25)])
        # (look 1 + 2 look 2 + 2 look 3 + look 4) / 6
        expected = torch.tensor([6.0, 13.0, 11.0]) / 6
        torch.testing.assert_close(log_p[0, 0], torch.log_softmax(expected, -1))

    def test_heun_looks_at_start_and_middle(self):
        network, log_p = self.estimate("heun", "logits")
        self.assertEqual([look[:2] for look in network.looks], [(0.25, 0.25), (0.5, 0.25)])
        torch.testing.assert_close(log_p[0, 0], torch.log_softmax(torch.tensor([1.5, 0.5, 1.0]), -1))

    def test_averaged_velocity(self):
        _, log_p = self.estimate("rk4", "probabilities")
        expected = sum(w * torch.softmax(z, -1) for w, z in zip((1 / 6, 1 / 3, 1 / 3, 1 / 6), self.looks))
        torch.testing.assert_close(log_p.exp()[0, 2], expected)

    def test_a_whole_step_ends_in_what_was_drawn(self):
        # dt = 1: by the end every position has jumped by the third look, which says 1 with near certainty
        self.looks[2] = torch.tensor([0.0, 60.0, 0.0])
        network, _ = self.estimate("rk4", "logits", t=0.0, dt=1.0)
        self.assertEqual(network.looks[3][:2], (1.0, 0.5))
        self.assertEqual(network.looks[3][2].tolist(), [[1, 1, 1, 1]])
        self.assertEqual(network.looks[0][2].tolist(), self.x.tolist())

    def test_middles_start_from_the_text_that_was_given(self):
        # a look that wants to stay moves nothing: also not what an earlier look had moved
        self.looks[0] = torch.tensor([0.0, 60.0, 0.0])
        network = Looked(self.looks)
        network.table[1] = torch.tensor([60.0, 0.0, 0.0])
        x = torch.zeros(1, 64, dtype=torch.long)
        half = torch.tensor([0.5])
        estimates.look("rk4", estimates.Looks(network, path(vocabulary=3), x, half, half, random()))
        self.assertGreater(int((network.looks[1][2] == 1).sum()), 16)
        self.assertEqual(int(network.looks[2][2].sum()), 0)


class Steps(unittest.TestCase):
    N = 40000

    def shares(self, solver_name, t=0.5, h=0.25):
        p = torch.tensor([0.2, 0.5, 0.3])
        x = torch.zeros(1, self.N, dtype=torch.long)
        moved = solver.step(
            solver_name, path(vocabulary=3), x, p.log().expand(1, self.N, -1), torch.tensor([t]), torch.tensor([h]), random()
        )
        return torch.bincount(moved[0], minlength=3).float() / self.N

    def near(self, shares, jump):
        expected = torch.tensor([1 - jump, jump * 0.5 / 0.8, jump * 0.3 / 0.8])
        self.assertLess(float((shares - expected).abs().max()), 5 * math.sqrt(0.25 / self.N))

    def test_cumulative(self):
        # h alpha = ln(0.5 / 0.25) = ln 2, P = 1 - 2^-0.8
        self.near(self.shares("cumulative"), 1 - 2**-0.8)

    def test_euler(self):
        self.near(self.shares("euler"), 1 - math.exp(-0.8))

    def test_dfm(self):
        # h kappa' / (1 - kappa) = 0.25 / 0.5
        self.near(self.shares("dfm"), 0.8 * (1 - math.exp(-0.5)))

    def test_last_step_of_a_mask_source_writes_what_is_masked(self):
        masked = path("mask", vocabulary=3)
        p = torch.tensor([0.0, 1.0, 0.0, 5.0]).log().expand(1, 2, -1)
        self.assertEqual(solver.last(masked, torch.tensor([[3, 2]]), p, random()).tolist(), [[1, 2]])

    def test_a_mask_source_never_ends_masked(self):
        # all of p is on the mask, and the rest of it too small for a float
        logits = torch.tensor([0.0, 1.0, 0.0, 300.0]).expand(1, 64, -1)
        ids = solver.last(path("mask", vocabulary=3), torch.full((1, 64), 3), logits, random())
        self.assertEqual(sorted(set(ids.flatten().tolist())), [0, 1, 2])

    def test_a_jump_from_a_token_that_has_all_of_p_ends_at_a_token(self):
        logits = torch.tensor([300.0, 0.0, 0.0]).expand(1, 64, -1)
        at, doubt = torch.zeros(1, 64, dtype=torch.long), lambda logits, x: torch.full(x.shape, -9.0)
        half = torch.tensor([0.5])
        ids = solver.step("euler", path(vocabulary=3), at, logits, half, half, random(), doubt)
        self.assertEqual(sorted(set(ids.flatten().tolist())), [0, 1, 2])

    def test_the_ends_of_a_distribution(self):
        weights = torch.tensor([[0.0, 2.0, 1.0, 0.0], [1e-45, 0.0, 0.0, 0.0]])
        for number, expected in ((0.0, [1, 0]), (1 - 2**-24, [2, 0])):
            with mock.patch.object(torch, "rand", lambda shape, **_: torch.full(shape, number)):
                self.assertEqual(solver.draw(weights, random()).tolist(), expected)

    def test_a_cold_last_step_takes_the_likeliest(self):
        network = torch.nn.Embedding(4, 4)  # a stand-in with a device; logits are the same everywhere
        network.forward = lambda x, t: torch.tensor([0.0, 1.0, 0.5, 0.0]).expand(*x.shape, -1)
        for final, likeliest in ((0.01, True), (1.0, False)):
            heat = solver.temperatures(1.0, final, 3)
            x = solver.sample(network, path(), 2, 50, 3, random(), student=False, heat=heat)
            self.assertEqual(bool((x == 1).all()), likeliest)

    def test_entropy(self):
        # 2 bits of four equal ones, 0 of one
        self.assertAlmostEqual(solver.entropy(torch.tensor([[0, 1, 2, 3], [7, 7, 7, 7]])), 1.0)


class Draws(unittest.TestCase):
    def test_one_time_in_each_part(self):
        parts = (stratified(64, random()) * 64).floor().long()
        self.assertEqual(sorted(parts.tolist()), list(range(64)))
        self.assertLess(float(draw_times(64, random()).max()), 1.0)

    def test_step_sizes_by_weight_on_their_own_grid(self):
        t, dt = draw_steps(1000, [1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 7], random())
        for size, share in ((1.0, 100), (0.25, 200), (1 / 1024, 700)):
            self.assertAlmostEqual(int((dt == size).sum()), share, delta=1)
        self.assertTrue(bool((t[dt == 1] == 0).all()), "one-step sampling is trained, from 0")
        self.assertEqual(set(t[dt == 0.25].tolist()), {0.0, 0.25, 0.5, 0.75})
        self.assertLessEqual(float((t + dt).max()), 1.0)

    def test_a_text_is_kept_with_probability_kappa(self):
        x_1 = torch.zeros(2, 20000, dtype=torch.long)
        x_t = path(exponent=2.0).corrupt(x_1, torch.tensor([0.0, 0.5]), random())
        same = (x_t == 0).float().mean(1)
        self.assertAlmostEqual(float(same[0]), 1 / 4, delta=0.02)
        self.assertAlmostEqual(float(same[1]), 1 / 4 + 3 / 4 / 4, delta=0.02)
        masked = path("mask").corrupt(x_1, torch.tensor([0.0, 0.5]), random())
        self.assertTrue(bool((masked[0] == 4).all()))


class Networks(unittest.TestCase):
    def test_a_student_begins_as_its_teacher(self):
        sizes = SimpleNamespace(hidden=16, heads=2, blocks=2, condition=8, ids=20)
        torch.manual_seed(1)
        teacher, student = Transformer(sizes, False), Transformer(sizes, True)
        for parameter in teacher.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        distil.begin_as(student, teacher.state_dict())
        x, t = torch.randint(0, 20, (3, 7)), torch.tensor([0.0, 0.4, 0.9])
        for dt in (1.0, 1 / 1024):
            torch.testing.assert_close(student(x, t, torch.full((3,), dt)), teacher(x, t), atol=1e-4, rtol=1e-4)

    def test_muon_moves_all_directions_alike(self):
        torch.manual_seed(1)
        for half in (False, True):
            values = torch.linalg.svdvals(optim.orthogonal(torch.randn(24, 8) * torch.logspace(-1, 1, 8), half))
            self.assertGreater(float(values.min()), 0.4)
            self.assertLess(float(values.max()), 1.5)

    def test_rate_rises_stays_falls(self):
        stage = SimpleNamespace(steps=100, warmup=10, decay=0.5)
        shares = [optim.share_of_rate(step, stage) for step in (0, 9, 30, 50, 75, 99)]
        for found, expected in zip(shares, (0.1, 1.0, 1.0, 1.0, 0.5, 0.02)):
            self.assertAlmostEqual(found, expected)


if __name__ == "__main__":
    tiny.program("__main__")
