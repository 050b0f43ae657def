"""Texts of the demonstration model are like those that the reference's sampler drew from the same weights.

The reference's own 64 texts for each number of steps lie beside the project; per-text entropies must agree within
sampling error. Skipped where they are not there.
"""
import collections
import json
import math
import os
import statistics
import sys
import unittest

from cluster import Cluster

SAMPLES = os.path.join(os.environ["MILLRACE_SHARED"], "models/books-mini/reference_samples.jsonl")
STEPS = (1, 2, 4, 8, 16)
LENGTH = 128


def entropy_bits(ids):
    counts = collections.Counter(ids)
    return -sum(n / len(ids) * math.log2(n / len(ids)) for n in counts.values())


def reference_entropies():
    entropies = collections.defaultdict(list)
    with open(SAMPLES) as lines:
        for line in lines:
            sample = json.loads(line)
            if "student" in sample["model"]:
                entropies[sample["steps"]].append(entropy_bits(sample["ids"]))
    return entropies


class Quality(unittest.TestCase):
    def test_entropy_is_the_references(self):
        reference = reference_entropies()
        with Cluster(ranks=2) as cluster:
            for steps in STEPS:
                theirs, ours = reference[steps], []
                for seed in range(len(theirs)):
                    finished = cluster.text(length=LENGTH, steps=steps, seed=seed)
                    ours.append(entropy_bits(finished.ids))
                    self.assertAlmostEqual(ours[-1], finished.entropy_bits, places=6)
                error = math.sqrt(statistics.variance(theirs) / len(theirs) + statistics.variance(ours) / len(ours))
                z = (statistics.mean(ours) - statistics.mean(theirs)) / error
                print(f"{steps:3} steps: entropy {statistics.mean(ours):.3f} bits, reference "
                      f"{statistics.mean(theirs):.3f}, {z:+.2f} standard errors", file=sys.stderr)
                self.assertLess(abs(z), 4)


if __name__ == "__main__":
    if not os.path.exists(SAMPLES):
        print("skipped:", SAMPLES, "is not here")
        sys.exit(77)
    unittest.main()
