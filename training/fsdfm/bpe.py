"""Byte-level BPE: training, encoding, and the tokenizer.json that Millrace reads (common/tokenizer).

A text is cut into words by GPT-2's pattern, a word is its UTF-8 bytes, and the most frequent pair of
neighbours is merged until the vocabulary is full. The last id is the separator of documents.
"""

import heapq
import json
import re
import sys
import unicodedata
from collections import Counter, defaultdict

from .errors import TrainingError

END = "<|endoftext|>"


def _ranges(categories):
    """A character class body: all code points of these categories. Python's re has no \\p{L}."""
    body, start = [], None
    for code in range(sys.maxunicode + 2):
        inside = code <= sys.maxunicode and unicodedata.category(chr(code))[0] in categories
        if inside and start is None:
            start = code
        elif not inside and start is not None:
            body.append(f"\\U{start:08x}-\\U{code - 1:08x}")
            start = None
    return "".join(body)


_LETTERS, _NUMBERS = _ranges("L"), _ranges("N")
WORD = re.compile(
    r"'s|'t|'re|'ve|'m|'ll|'d"
    f"| ?[{_LETTERS}]+| ?[{_NUMBERS}]+"
    rf"| ?[^\s{_LETTERS}{_NUMBERS}]+|\s+(?!\S)|\s+"
)


def byte_symbols():
    """Byte -> printable character, as GPT-2 writes bytes in a vocabulary; in the order of ids 0..255."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    symbols = {byte: chr(byte) for byte in printable}
    hidden = [byte for byte in range(256) if byte not in symbols]
    symbols.update({byte: chr(256 + i) for i, byte in enumerate(hidden)})
    return dict(sorted(symbols.items(), key=lambda item: item[1]))


BYTE_SYMBOL = byte_symbols()


def spell(word):
    """A word in the symbols of its bytes."""
    return "".join(BYTE_SYMBOL[byte] for byte in word.encode())


class _Words:
    """All words as lists of symbols, with the counts of neighbouring pairs kept up to date."""

    def __init__(self, counts):
        self.words = [list(word) for word in counts]
        self.counts = list(counts.values())
        self.pairs = Counter()
        self.where = defaultdict(set)
        for index, word in enumerate(self.words):
            self._count(index, word, 1)
        self.heap = [(-n, pair) for pair, n in self.pairs.items()]
        heapq.heapify(self.heap)

    def _count(self, index, word, sign):
        for pair in zip(word, word[1:]):
            self.pairs[pair] += sign * self.counts[index]
            if sign > 0:
                self.where[pair].add(index)

    def most_frequent(self):
        """The most frequent pair, the smallest in order among equals; None when no word has two symbols."""
        while self.heap:
            n, pair = heapq.heappop(self.heap)
            if self.pairs[pair] == -n and n < 0:
                return pair
        return None

    def merge(self, pair):
        changed = set()
        for index in self.where.pop(pair):
            word = self.words[index]
            self._count(index, word, -1)
            changed.update(zip(word, word[1:]))
            self.words[index] = merged = merge_pair(word, pair)
            self._count(index, merged, 1)
            changed.update(zip(merged, merged[1:]))
        for other in changed:
            if self.pairs[other] > 0:
                heapq.heappush(self.heap, (-self.pairs[other], other))


def merge_pair(word, pair):
    merged, i = [], 0
    while i < len(word):
        if i + 1 < len(word) and (word[i], word[i + 1]) == pair:
            merged.append(word[i] + word[i + 1])
            i += 2
        else:
            merged.append(word[i])
            i += 1
    return merged


def train(texts, vocabulary):
    """Merges that fill a vocabulary of this size: 256 bytes, merges, the separator."""
    counts = Counter()
    for text in texts:
        counts.update(WORD.findall(text))
    words = _Words(Counter({spell(word): n for word, n in counts.items()}))
    merges = []
    while len(merges) < vocabulary - 257:
        pair = words.most_frequent()
        if pair is None:
            raise TrainingError(
                f"a vocabulary of {vocabulary} cannot be filled: the text gives {257 + len(merges)} entries; "
                f"lower data.vocabulary to that or give more text"
            )
        words.merge(pair)
        merges.append(pair)
    return merges


class Tokenizer:
    def __init__(self, merges):
        self.merges = merges
        symbols = list(BYTE_SYMBOL.values()) + ["".join(pair) for pair in merges]
        self.ids = {symbol: i for i, symbol in enumerate(symbols)}
        self.symbols = symbols
        self.end = len(symbols)
        self.vocabulary = self.end + 1
        self.rank = {pair: i for i, pair in enumerate(merges)}
        self.cache = {}
        self.byte_of = {symbol: byte for byte, symbol in BYTE_SYMBOL.items()}

    def _word(self, word):
        ids = self.cache.get(word)
        if ids is None:
            symbols = list(spell(word))
            while len(symbols) > 1:
                pair = min(zip(symbols, symbols[1:]), key=lambda p: self.rank.get(p, len(self.rank)))
                if pair not in self.rank:
                    break
                symbols = merge_pair(symbols, pair)
            ids = self.cache[word] = [self.ids[symbol] for symbol in symbols]
        return ids

    def encode(self, text):
        ids = []
        for word in WORD.findall(text):
            ids.extend(self._word(word))
        return ids

    def decode(self, ids):
        parts, out = [], []
        for i in ids:
            if i == self.end:
                out.append(bytes(parts).decode(errors="replace") + END)
                parts = []
            elif i < self.end:
                parts.extend(self.byte_of[symbol] for symbol in self.symbols[i])
        return "".join(out) + bytes(parts).decode(errors="replace")

    def to_json(self):
        level = {"type": "ByteLevel", "trim_offsets": True, "use_regex": True}
        added = {"id": self.end, "content": END, "single_word": False, "lstrip": False, "rstrip": False}
        model = {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": {**self.ids, END: self.end},
            "merges": [" ".join(pair) for pair in self.merges],
        }
        return {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [{**added, "normalized": False, "special": True}],
            "normalizer": None,
            "pre_tokenizer": {**level, "add_prefix_space": False},
            "post_processor": None,
            "decoder": {**level, "add_prefix_space": True},
            "model": model,
        }

    def save(self, path):
        with open(path, "w", encoding="utf-8") as file:
            json.dump(self.to_json(), file, ensure_ascii=False, indent=1)

    @classmethod
    def load(cls, path):
        with open(path, encoding="utf-8") as file:
            merges = json.load(file)["model"]["merges"]
        return cls([tuple(merge.split(" ")) for merge in merges])
