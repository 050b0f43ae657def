"""The same requests on clusters of 1, 2 and 4 ranks: the same bytes; and on 3 and 8, texts all the same."""
import unittest

from cluster import Cluster

REQUESTS = [dict(length=128, steps=8, seed=11), dict(prompt="The sea was", length=200, steps=5, seed=12),
            dict(length=17, steps=1, seed=13, temperature=1.3),
            dict(length=90, steps=6, seed=14, solver="STRATIFIED"), dict(length=90, steps=6, seed=15, solver="DFM_EULER"),
            dict(length=90, steps=6, seed=16, solver="MIXTURE_EULER", most_changes=7)]


class Ranks(unittest.TestCase):
    def test_same_bytes(self):
        texts = {}
        for ranks in (1, 2, 3, 4, 8):
            with Cluster(ranks=ranks) as cluster:
                texts[ranks] = [list(cluster.text(**request).ids) for request in REQUESTS]
        self.assertEqual(texts[1], texts[2])
        self.assertEqual(texts[1], texts[4])
        self.assertEqual(texts[1], texts[8])
        self.assertEqual([len(t) for t in texts[3]], [len(t) for t in texts[1]])


if __name__ == "__main__":
    unittest.main()
