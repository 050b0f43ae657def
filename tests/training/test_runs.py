"""Whole runs of a tiny model: resumed, killed while saving, exported, and held against Millrace."""
import json
import os
import signal
import subprocess
import sys
import unittest
from pathlib import Path

import tiny
import torch
from fsdfm import __main__ as cli
from fsdfm import checkpoint, data, errors, estimates, export, judge, path
from fsdfm.bpe import Tokenizer
from fsdfm.distil import Distil
from fsdfm.loop import Machine, Run
from fsdfm.pretrain import Pretrain

MACHINE = {"device": "cpu", "bf16": False}
ODD_TEXT = "Hello  w\u00f6rld, it's 12\u00bd o\u00b2clock!\n\n\u201cYes\u201d \t x\u2028 \u6771\u4eac na\u00efve_name 'll DON'T \u00a0 .  "


class Quiet(Run):
    def say(self, text):
        pass


class WithRuns(tiny.WithFiles):
    def setUp(self):
        super().setUp()
        self.settings = self.prepared()

    def start(self, name):
        torch.manual_seed(self.settings.seed)
        stage = Pretrain(self.settings) if name == "pretrain" else Distil(self.settings, self.run_directory)
        return Quiet(self.settings, stage, self.run_directory, Machine(**MACHINE))

    def finish(self, name):
        """Trained to the end; then every weight made large, so that every part of the network shows in its logits."""
        run = self.start(name)
        self.assertTrue(run.go())
        for parameter in run.average.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
        run.save()


class Runs(WithRuns):
    def same(self, one, other):
        for a, b in zip(one.state_dict().values(), other.state_dict().values()):
            self.assertTrue(torch.equal(a, b))

    def check_resumed(self, name):
        whole = self.start(name)
        for _ in range(6):
            whole.update()
        cut = self.start(name)
        for _ in range(3):
            cut.update()
        cut.save()
        resumed = self.start(name)
        self.assertEqual(resumed.step, 3)
        for _ in range(3):
            resumed.update()
        self.same(whole.model, resumed.model)
        self.same(whole.average, resumed.average)
        self.assertFalse(all(torch.equal(a, b) for a, b in zip(cut.model.parameters(), resumed.model.parameters())))

    def test_resumed_as_if_never_stopped(self):
        self.check_resumed("pretrain")
        (self.run_directory / "pretrain.pt").unlink()
        self.finish("pretrain")
        self.check_resumed("distil")

    def test_windows_are_short_at_first(self):
        run = self.start("pretrain")
        stage = run.stage
        stage.settings = tiny.changed(self.settings, pretrain={"short": 6, "short_share": 0.5}).pretrain
        self.assertEqual([stage.windows(step) for step in (0, 3, 4, 7)], [(8, 6), (8, 6), (4, 12), (4, 12)])
        for _ in range(5):
            run.update()
        self.assertEqual(run.tokens, 5 * 48)

    def test_learns(self):
        run = self.start("pretrain")
        run.settings = tiny.changed(self.settings, pretrain={"steps": 400, "muon_rate": 0.05, "rate": 0.01}).pretrain
        losses = [float(run.update()["loss"]) for _ in range(150)]
        self.assertLess(sum(losses[-20:]), 0.7 * sum(losses[:20]))

    def test_estimates_are_learnt(self):
        self.finish("pretrain")
        run = self.start("distil")
        parts = [run.update() for _ in range(3)]
        self.assertTrue(all(part["shortcut"] >= 0 and part["path"] > 0 for part in parts))

    def test_a_students_loss(self):
        # small steps learn from the path, the others from the estimate: both as written out here
        self.finish("pretrain")
        run = self.start("distil")
        stage, model = run.stage, run.model
        torch.nn.init.normal_(model.output_layer.linear.weight)  # far from its average
        stage.settings = tiny.changed(self.settings, distil={"shortcut": 0.5, "kl": 2.0}).distil
        x_1 = data.windows(run.train, 6, 12, data.generator(1, "test", 0))
        loss, parts = stage.loss(x_1, data.generator(1, "test", 1))
        random = data.generator(1, "test", 1)
        t, dt = path.draw_steps(6, stage.settings.step_weights, random)
        x_t = run.path.corrupt(x_1, t, random)
        large = dt > 1 / 1024
        self.assertTrue(0 < int(large.sum()) < 6)
        with run.machine.autocast():
            looks = estimates.Looks(run.average, run.path, x_t[large], t[large], dt[large], random)
            target = estimates.mean("rk4", "logits", estimates.look("rk4", looks))
            log_p = torch.log_softmax(model(x_t, t, dt).float(), -1)
        text, here = (log_p.gather(-1, ids[..., None])[..., 0] for ids in (x_1, x_t))
        same = (x_1 == x_t).float()
        kl = -run.path.weight(t, stage.settings.max_weight)[:, None] * (here.exp() - same + (1 - same) * text)
        by_path = (2 * kl - stage.settings.cross_entropy * text)[~large].sum()
        shortcut = (target.exp() * (target - log_p[large])).sum()
        expected = (by_path + 0.5 * shortcut) / x_1.numel()
        torch.testing.assert_close(loss, expected, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(parts["shortcut"], shortcut / (12 * large.sum()), atol=1e-4, rtol=1e-4)
        weight = model.output_layer.linear.weight
        found, grad = (torch.autograd.grad(one, weight)[0] for one in (loss, expected))
        torch.testing.assert_close(found, grad, atol=1e-3, rtol=2e-2)

    def test_a_signal_stops_with_a_checkpoint(self):
        run = self.start("pretrain")
        update = run.update
        run.update = lambda: (update(), os.kill(os.getpid(), signal.SIGTERM))[0]
        self.assertFalse(run.go())
        self.assertEqual(checkpoint.load(run.file)["step"], 1)

    def test_log_and_samples(self):
        run = self.start("pretrain")
        run.settings = tiny.changed(self.settings, pretrain={"steps": 4, "sample": 4, "report": 2}).pretrain
        judges = Path(export.__file__).parents[2] / "deploy/judges"
        run.judge = judge.Judge(f"{sys.executable} {judges}/bigram.py {self.directory}/train.txt")
        self.addCleanup(run.judge.close)
        run.go()
        rows = [json.loads(line) for line in (self.run_directory / "pretrain.jsonl").read_text().splitlines()]
        self.assertEqual([row["step"] for row in rows], [2, 4, 4])
        self.assertGreater(rows[0]["tokens_s"], 0)
        self.assertEqual(list(rows[2]["entropy"]), ["1", "2", "4", "8", "16", "64"])
        self.assertEqual(list(rows[2]["perplexity"]), list(rows[2]["entropy"]))
        self.assertGreater(rows[2]["perplexity"]["8"], 1)
        self.assertIn("=== update 4, 64 steps ===", (self.run_directory / "samples-pretrain.txt").read_text())

    def test_texts_for_scoring(self):
        self.finish("pretrain")
        out = self.directory / "texts.jsonl"
        command = ["sample", str(self.directory / "tiny.toml"), str(self.run_directory), "--out", str(out)]
        cli.run(cli.arguments([*command, "--weights", "teacher", "--texts", "3", "--steps", "2"]))
        rows = [json.loads(line) for line in out.read_text().splitlines()]
        self.assertEqual([(row["model"], row["steps"], len(row["ids"])) for row in rows], [("teacher cumulative T 1", 2, 12)] * 3)
        estimate = ["--weights", "teacher", "--texts", "2", "--steps", "2", "--estimate", "heun"]
        cli.run(cli.arguments([*command, *estimate]))
        row = json.loads(out.read_text().splitlines()[1])
        self.assertEqual((row["model"], len(row["ids"])), ("teacher cumulative T 1 heun of logits", 12))
        with self.assertRaisesRegex(errors.TrainingError, "--steps is 0; it must be at least 1"):
            cli.run(cli.arguments([*command, "--steps", "0"]))
        with self.assertRaisesRegex(errors.TrainingError, "a temperature is -1.0"):
            cli.run(cli.arguments([*command, "--last-temperature", "-1"]))

    def test_any_number_of_processes_sees_the_same_batch(self):
        machine = Machine(**MACHINE)
        machine.world, parts = 2, []
        for machine.rank in range(2):
            parts.append(machine.mine(torch.arange(6)))
        self.assertEqual([part.tolist() for part in parts], [[0, 2, 4], [1, 3, 5]])


class Saves(tiny.WithFiles):
    def setUp(self):
        super().setUp()
        self.path = self.directory / "x.pt"
        checkpoint.save(self.path, {"good": 1})

    def in_child(self, code):
        """Runs code that saves to sys.argv[2]."""
        code = "import os, resource, signal, sys; sys.path.insert(0, sys.argv[1]); import torch\n" \
               "from fsdfm import checkpoint, errors\n" + code
        command = [sys.executable, "-c", code, str(Path(export.__file__).parents[1]), str(self.path)]
        return subprocess.run(command, capture_output=True, text=True)

    def test_killed_while_saving(self):
        result = self.in_child(
            "def half(content, file):\n"
            "    file.write(b'half'); file.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"
            "torch.save = half\n"
            "checkpoint.save(sys.argv[2], {'good': 2})\n"
        )
        self.assertEqual(result.returncode, -signal.SIGKILL)
        self.assertTrue(self.path.with_name("x.pt.new").exists(), "the save was under way")
        self.assertEqual(checkpoint.load(self.path), {"good": 1})
        with open(self.path, "rb") as old:
            checkpoint.save(self.path, {"good": 3})
            self.assertEqual(torch.load(old), {"good": 1}, "replaced, not written over")
        self.assertEqual(checkpoint.load(self.path), {"good": 3})

    def test_full_disk(self):
        result = self.in_child(
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))\n"
            "try: checkpoint.save(sys.argv[2], {'large': torch.zeros(1000000)})\n"
            "except errors.TrainingError as error: print(error)\n"
        )
        self.assertIn("the last checkpoint is kept, free some space", result.stdout, result.stderr)
        self.assertFalse(self.path.with_name("x.pt.new").exists())
        self.assertEqual(checkpoint.load(self.path), {"good": 1})


@unittest.skipUnless(os.path.exists(os.path.join(tiny.BIN, "millrace")), "no millrace in MILLRACE_BIN")
class AgainstMillrace(WithRuns):
    """The exported model in Millrace, and the tokenizer."""

    def millrace(self, *command, **options):
        return subprocess.run(
            [os.path.join(tiny.BIN, "millrace"), *map(str, command)], capture_output=True, timeout=60, **options
        )

    def test_logits(self):
        self.finish("pretrain")
        self.finish("distil")
        for which in ("ema", "teacher"):
            out = self.directory / f"golden-{which}"
            export.golden(self.settings, self.run_directory, out, which)
            result = self.millrace("verify", out, "--ranks", "1", "--json", text=True)
            report = json.loads(result.stdout)
            self.assertEqual((result.returncode, report["failed"], report["checks"]), (0, 0, 2), result.stdout)

    def test_a_mask_source_too(self):
        self.settings = self.prepared(tiny.TOML.replace("length = 12", 'length = 12\nsource = "mask"\nexponent = 2.0'))
        self.finish("pretrain")
        self.finish("distil")
        export.golden(self.settings, self.run_directory, self.directory / "golden")
        result = self.millrace("verify", self.directory / "golden", "--ranks", "1", text=True)
        self.assertEqual(result.returncode, 0, result.stdout)
        export.export(self.settings, self.run_directory, self.directory / "model", solver="euler")
        shown = self.millrace("inspect", self.directory / "model", text=True)
        self.assertIn("mask (token 280), \u03ba(t) = t^2", shown.stdout, shown.stderr)
        self.assertIn("solver        euler", shown.stdout)

    def test_export_is_what_convert_makes(self):
        self.finish("pretrain")
        self.finish("distil")
        file = self.run_directory / "distil.pt"
        for dtype in ("f32", "bf16"):
            ours, theirs = self.directory / f"ours-{dtype}", self.directory / f"theirs-{dtype}"
            export.export(self.settings, self.run_directory, ours, "ema", dtype)
            tokenizer = ours / "tokenizer.json"
            result = self.millrace("convert", file, theirs, "--weights", "ema", "--dtype", dtype, "--tokenizer", tokenizer)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual((ours / "model.safetensors").read_bytes(), (theirs / "model.safetensors").read_bytes())

    def test_tokens(self):
        model = self.directory / "model"
        self.finish("pretrain")
        export.export(self.settings, self.run_directory, model, "teacher")
        for text in (ODD_TEXT, tiny.TEXT.strip()):
            result = self.millrace("tokenize", "--ids", "--model-dir", model, input=text.encode())
            ids = Tokenizer.load(model / "tokenizer.json").encode(text)
            self.assertEqual([int(i) for i in result.stdout.split()], ids, result.stderr)

    def test_decoding_gives_the_text_back(self):
        tokenizer = Tokenizer.load(self.run_directory / "tokenizer.json")
        self.assertEqual(tokenizer.decode(tokenizer.encode(ODD_TEXT)), ODD_TEXT)


if __name__ == "__main__":
    tiny.program("__main__")
