#!/usr/bin/env python3
"""A judge of `millrace eval` that is here to try the machinery with: add-k smoothed bigrams of bytes.

    usage: bigram.py TEXTFILE [K]

It is fitted on TEXTFILE when it starts (K is 0.01 if not given) and knows which byte likes to follow which, and nothing
of words, grammar or sense. Its perplexity is per byte. A text that scores well here may be nonsense: use a language
model for anything that you want to believe. Only Python is needed.
"""
import math
import os
import sys

from protocol import serve

BYTES = 256
START = 10  # a text begins as if after a line break


def count_pairs(data):
    pairs = [[0] * BYTES for _ in range(BYTES)]
    before = START
    for byte in data:
        pairs[before][byte] += 1
        before = byte
    return pairs


def surprise_table(pairs, k):
    """[before][byte]: −ln ((count + k) / (total + 256 k))"""
    table = []
    for row in pairs:
        log_total = math.log(sum(row) + BYTES * k)
        table.append([log_total - math.log(count + k) for count in row])
    return table


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: bigram.py TEXTFILE [K]")
    path, k = sys.argv[1], float(sys.argv[2]) if len(sys.argv) == 3 else 0.01
    if not k > 0:
        sys.exit(f"bigram.py: K must be above 0, not {k}")
    with open(path, "rb") as file:
        surprise = surprise_table(count_pairs(file.read()), k)

    def score(text):
        nll, before, data = 0.0, START, text.encode()
        for byte in data:
            nll += surprise[before][byte]
            before = byte
        return nll, len(data)

    serve(f"byte bigrams of {os.path.basename(path)}, k = {k:g}", score)


if __name__ == "__main__":
    main()
