"""The main job on a real cluster, through a client that is not ours."""
import os
import shutil
import subprocess
import tempfile
import threading
import unittest

import grpc

from cluster import BIN, DEMO, Cluster, api, check_stream, expect_failure, wait_until

INVALID = grpc.StatusCode.INVALID_ARGUMENT


class Generate(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(ranks=2)

    @classmethod
    def tearDownClass(cls):
        code = cls.cluster.stop()
        assert code == 0, f"exit code {code} after SIGTERM:\n" + cls.cluster.text_of_log()

    def pieces(self, text):
        return list(self.cluster.unary("Tokenize", api.TokenizeRequest(text=text), api.TokenizeResponse).ids)

    def test_a_text_with_a_prompt(self):
        finished = self.cluster.text(prompt="Once upon a time", length=64, steps=4, seed=7)
        self.assertTrue(finished.text.startswith("Once upon a time"))
        self.assertEqual(len(finished.ids), 64)
        self.assertEqual(list(finished.ids)[:finished.prompt_tokens], self.pieces("Once upon a time"))
        self.assertEqual(finished.ranks, 2)
        self.assertGreater(finished.entropy_bits, 1)
        self.assertLess(finished.mean_log_probability, 0)
        self.assertGreater(finished.timings.compute_ms, 0)
        self.assertGreaterEqual(finished.timings.total_ms, finished.timings.compute_ms * 0.5)

    def test_text_is_the_bytes_of_its_ids(self):
        finished = self.cluster.text(length=40, steps=2, seed=3)
        answer = self.cluster.unary("Detokenize", api.DetokenizeRequest(ids=finished.ids), api.DetokenizeResponse)
        self.assertEqual(finished.text, answer.text.decode(errors="replace"))

    def test_the_seed_decides(self):
        first, second, other = (self.cluster.text(length=50, steps=3, seed=seed) for seed in (5, 5, 6))
        self.assertEqual(first.ids, second.ids)
        self.assertNotEqual(first.ids, other.ids)
        unseeded = [self.cluster.text(length=50, steps=1) for _ in range(2)]
        self.assertNotEqual(unseeded[0].seed, unseeded[1].seed)
        self.assertEqual(self.cluster.text(length=50, steps=1, seed=unseeded[0].seed).ids, unseeded[0].ids)

    def test_defaults_are_the_models(self):
        model = self.cluster.unary("GetModel", api.GetModelRequest(), api.Model)
        events = list(self.cluster.generate(api.GenerateRequest(seed=1)))
        check_stream(events)
        self.assertEqual(events[0].accepted.length, model.trained_length)
        self.assertEqual(events[0].accepted.steps, model.default_steps)

    def test_the_longest_text(self):
        model = self.cluster.unary("GetModel", api.GetModelRequest(), api.Model)
        self.assertEqual(len(self.cluster.text(length=model.max_length, steps=2, seed=1).ids), model.max_length)

    def test_infill_keeps_what_stands_around_the_gaps(self):
        segments = [api.Segment(text="The king "), api.Segment(gap=9), api.Segment(text=" and the queen "),
                    api.Segment(gap=4), api.Segment(text=".")]
        finished = self.cluster.text(infill=api.Infill(segments=segments), steps=4, seed=2)
        self.assertTrue(finished.text.startswith("The king"), finished.text)
        self.assertIn(" and the queen", finished.text)  # its last space is the gap's to write
        self.assertTrue(finished.text.endswith("."), finished.text)
        self.assertEqual(finished.generated_tokens, 13)

    def test_pinned_ids_stay(self):
        editable = bytes([1, 0] * 20)
        finished = self.cluster.text(tokens=api.TokenInput(ids=range(100, 140), editable=editable), steps=3, seed=2)
        self.assertEqual([finished.ids[i] for i in range(1, 40, 2)], list(range(101, 140, 2)))
        self.assertEqual(finished.generated_tokens, 20)

    def test_company_does_not_change_a_text(self):
        requests = [dict(length=20 + 13 * i, steps=1 + i % 6, seed=i, temperature=0.7 + 0.1 * i) for i in range(10)]
        alone = [self.cluster.text(**request).ids for request in requests]
        together = [None] * len(requests)

        def run(i):
            together[i] = self.cluster.text(**requests[i]).ids

        threads = [threading.Thread(target=run, args=(i,)) for i in range(len(requests))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(together, alone)

    def test_solvers_differ_and_repeat(self):
        texts = [[self.cluster.text(length=80, steps=6, seed=4, solver=solver).ids for _ in range(2)] for solver in range(4)]
        for first, second in texts:
            self.assertEqual(first, second)
        self.assertEqual(len({tuple(first) for first, _ in texts}), 4)

    def test_frames_say_how_probable_a_token_was(self):
        frames = [event.frame for event in self.cluster.generate(api.GenerateRequest(length=80, steps=6, seed=4))
                  if event.WhichOneof("kind") == "frame"]
        self.assertEqual(len(frames[0].log_probabilities), 0)  # nothing was drawn from the model yet
        for frame in frames[1:]:
            self.assertEqual(len(frame.log_probabilities), len(frame.ids))
            self.assertTrue(all(-40 < value <= 0 for value in frame.log_probabilities), list(frame.log_probabilities))
        first, last = (sum(f.log_probabilities) / len(f.log_probabilities) for f in (frames[1], frames[-1]))
        self.assertGreater(last, first)  # the model is surer at the end

    def test_most_changes_is_a_limit(self):
        events = list(self.cluster.generate(api.GenerateRequest(length=80, steps=6, seed=4, most_changes=5)))
        check_stream(events)
        changed = [len(event.frame.positions) for event in events if event.WhichOneof("kind") == "frame"]
        self.assertTrue(all(0 < n <= 5 for n in changed[1:-1]), changed)
        self.assertGreater(changed[-1], 40)

    def test_bad_input_is_named(self):
        refused = [
            (dict(length=0), INVALID, "length"),
            (dict(length=1025), INVALID, "length", "1024"),
            (dict(length=4000000000), INVALID, "length", "1024"),
            (dict(steps=0), INVALID, "steps"),
            (dict(steps=1025), INVALID, "steps", "1024"),
            (dict(temperature=float("nan")), INVALID, "temperature"),
            (dict(temperature=float("inf")), INVALID, "temperature"),
            (dict(temperature=0), INVALID, "temperature"),
            (dict(temperature=-1), INVALID, "temperature"),
            (dict(prompt="word " * 3000), INVALID, "prompt"),
            (dict(prompt="one two three four five six", length=3), INVALID, "prompt", "length"),
            (dict(tokens=api.TokenInput(ids=[2048, 1], editable=b"\0\1")), INVALID, "ids", "2048"),
            (dict(tokens=api.TokenInput(ids=[1, 2, 3], editable=b"\1\1")), INVALID, "editable"),
            (dict(tokens=api.TokenInput(ids=[1, 2], editable=b"\0\0")), INVALID, "editable"),
            (dict(tokens=api.TokenInput()), INVALID, "tokens"),
            (dict(infill=api.Infill(segments=[api.Segment(text="no gap")])), INVALID, "infill", "gap"),
            (dict(infill=api.Infill()), INVALID, "infill"),
            (dict(infill=api.Infill(segments=[api.Segment(gap=4000000000)])), INVALID, "gap"),
            (dict(solver=99), INVALID, "solver", "99"),
            (dict(model="another"), grpc.StatusCode.NOT_FOUND, "another", "books-mini"),
            (dict(prompt="x" * (5 << 20)), grpc.StatusCode.RESOURCE_EXHAUSTED),
        ]
        for fields, code, *words in refused:
            with self.subTest(fields=str(fields)[:60]):
                expect_failure(lambda: list(self.cluster.generate(api.GenerateRequest(**fields))), code, *words)
        for wire in (b"\xff", b"\x12\x03\xff\xfe\xfd", b"\x0a\x02a"):  # malformed; a prompt that is not UTF-8; cut short
            expect_failure(lambda: list(self.cluster.generate(wire)), INVALID)
        self.cluster.text(length=8, steps=1, seed=1)  # the next request works

    def test_a_client_that_goes_away(self):
        before = self.cluster.status()
        call = self.cluster.generate(api.GenerateRequest(length=1024, steps=1024, seed=1), 3600)
        for event in call:
            if event.WhichOneof("kind") == "frame" and event.frame.step == 3:
                break
        call.cancel()
        wait_until(lambda: self.cluster.status().cancelled == before.cancelled + 1, "the request counts as cancelled")
        wait_until(lambda: self.cluster.status().replicas[0].sequences == 0, "the replica is idle again")
        self.cluster.text(length=8, steps=1, seed=1)

    def test_a_deadline_that_passes(self):
        expect_failure(lambda: list(self.cluster.generate(api.GenerateRequest(length=1024, steps=1024, seed=1), timeout=0.5)),
                       grpc.StatusCode.DEADLINE_EXCEEDED)
        wait_until(lambda: self.cluster.status().running == 0, "nothing runs any more")
        self.cluster.text(length=8, steps=1, seed=1)

    def test_the_sums_are_right(self):
        wait_until(lambda: self.cluster.status().running == 0, "nothing runs any more")
        status = self.cluster.status()
        self.assertEqual(status.accepted, status.finished + status.cancelled + status.failed)
        self.assertEqual([replica.state for replica in status.replicas], ["ready"])


class MaskSource(unittest.TestCase):
    """A model that starts from masks: random weights, the demonstration model's tokenizer."""

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp()
        model = os.path.join(cls.directory, "model")
        subprocess.run([f"{BIN}/millrace", "random", "nano", model, "--vocabulary", "2048", "--source", "mask"],
                       check=True, stdout=subprocess.DEVNULL)
        shutil.copy(f"{DEMO}/tokenizer.json", model)
        cls.cluster = Cluster(ranks=2, model=model)

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop()
        shutil.rmtree(cls.directory)

    def test_masks_are_written_once_and_none_is_left(self):
        events = list(self.cluster.generate(api.GenerateRequest(prompt="The sea", length=60, steps=5, seed=2,
                                                                solver="MIXTURE_EULER")))
        finished = check_stream(events)
        frames = [event.frame for event in events if event.WhichOneof("kind") == "frame"]
        mask = 2048
        self.assertEqual(list(frames[0].ids)[-50:], [mask] * 50)
        self.assertEqual(list(frames[0].pieces)[-50:], [b""] * 50)
        self.assertTrue(all(token < mask for token in finished.ids))
        written = [position for frame in frames[1:] for position in frame.positions]
        self.assertEqual(len(written), len(set(written)))  # not revised
        self.assertEqual(len(written), finished.generated_tokens)

    def test_revision_writes_again(self):
        events = list(self.cluster.generate(api.GenerateRequest(length=60, steps=5, seed=2, solver="MIXTURE_EULER",
                                                                revise=True)))
        finished = check_stream(events)
        written = [position for event in events if event.WhichOneof("kind") == "frame" and event.frame.step > 0
                   for position in event.frame.positions]
        self.assertGreater(len(written), len(set(written)))
        self.assertTrue(all(token < 2048 for token in finished.ids))

    def test_most_changes_unmasks_a_few_at_a_time(self):
        events = list(self.cluster.generate(api.GenerateRequest(length=60, steps=10, seed=2, most_changes=6,
                                                                solver="MIXTURE_EULER")))
        check_stream(events)
        changed = [len(event.frame.positions) for event in events if event.WhichOneof("kind") == "frame"][1:]
        self.assertTrue(all(n <= 6 for n in changed[:-1]), changed)
        self.assertEqual(sum(changed), 60)


if __name__ == "__main__":
    unittest.main()
