"""Holds the tokenizer against PyPI's `tokenizers`, the reference.

  reference.py write [NAME...]   makes data/*.json: small tokenizers, and the digests that test_reference.c holds
  reference.py compare BUILD [N] encodes and decodes N texts with both, and shows where they differ

Both need `tokenizers` (and the first one its version below). The texts are those of data/texts.json: pieces of all
kinds of text, from which random texts are made. test_reference.c makes the same ones.
"""
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.join(HERE, "data")
SHARED = os.environ.get("MILLRACE_SHARED", os.path.join(HERE, "..", "..", "..", "shared"))
VERSION = "0.23.3"
N_TEXTS, PER_DIGEST = 20000, 1000
# (name of the digests, directory, V of the model)
TOKENIZERS = [
    ("gpt2", f"{SHARED}/data/gpt2-tokenizer", 50257),
    ("llada", f"{SHARED}/golden/families/llada/model", 320),
    ("dream", f"{SHARED}/golden/families/dream/model", 328),
    ("qwen3-diffusion", f"{SHARED}/golden/families/qwen3-diffusion/model", 328),
    ("diffullama", f"{SHARED}/golden/families/diffullama/model", 408),
    ("bert", f"{DATA}/bert", 700),
    ("metaspace", f"{DATA}/metaspace", 900),
    ("stages", f"{DATA}/stages", 600),
    ("classes", f"{DATA}/classes", 300),
]
# Texts with characters for which the parts of the reference have Unicode's tables of other years than we.
SKIPPED = {"stages": [1873, 3558]}
MASK = (1 << 64) - 1
ONLY = sys.argv[2:] if sys.argv[1:2] == ["write"] else []


class Random:
    """The generator of test_reference.c."""

    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) & MASK
        return (self.state >> 33) % n


def random_text(seed, pieces):
    random = Random(seed)
    out = []
    for _ in range(random.below(24)):
        if random.below(8) == 0:
            character = random.below(0x110000)
            out.append(chr(character) if not 0xD800 <= character < 0xE000 else " ")
        else:
            piece = pieces[random.below(len(pieces))]
            out.append(piece * (1 + random.below(9)) if random.below(6) == 0 else piece)
    return "".join(out)


def random_ids(seed, n_ids):
    random = Random(seed ^ 0xABCDEF)
    return [random.below(n_ids) for _ in range(random.below(40))]


def fnv(hash, data):
    for byte in data:
        hash = (hash ^ byte) * 0x100000001B3 & MASK
    return hash


def load(directory):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(f"{directory}/tokenizer.json")
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def reference(tokenizer, seed, text, n_tokens):
    """What the reference makes of one text and of random ids."""
    tokenizer.encode_special_tokens = seed % 3 == 1
    ids = tokenizer.encode(text, add_special_tokens=seed % 3 == 2).ids
    back = ids if seed % 2 else random_ids(seed, n_tokens)
    return ids, back, tokenizer.decode(back, skip_special_tokens=seed % 4 == 0)


def digests(tokenizer, pieces, skipped):
    found = []
    n_tokens = tokenizer.get_vocab_size()
    for first in range(0, N_TEXTS, PER_DIGEST):
        hash = 0xCBF29CE484222325
        for seed in sorted(set(range(first, first + PER_DIGEST)) - set(skipped)):
            ids, _, decoded = reference(tokenizer, seed, random_text(seed, pieces), n_tokens)
            for id in ids:
                hash = fnv(hash, id.to_bytes(4, "little"))
            hash = fnv(hash, decoded.encode())
        found.append(f"{hash:016x}")
    return found


def save(name, tokenizer, change=lambda root: None):
    if ONLY and name not in ONLY:
        return  # training does not give the same twice
    root = json.loads(tokenizer.to_str())
    change(root)
    os.makedirs(f"{DATA}/{name}", exist_ok=True)
    with open(f"{DATA}/{name}/tokenizer.json", "w", encoding="utf-8") as file:
        json.dump(root, file, ensure_ascii=False, separators=(",", ":"))
        file.write("\n")


def make_tokenizers(pieces):
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    with open(f"{SHARED}/data/wikitext-2/valid.detok.txt", encoding="utf-8") as file:
        lines = file.read()[:200000].split("\n") + pieces * 3

    bert = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    bert.normalizer = normalizers.BertNormalizer(lowercase=True)
    bert.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    bert.train_from_iterator(lines, trainers.WordPieceTrainer(vocab_size=700, special_tokens=special, show_progress=False,
                                                              limit_alphabet=300))
    bert.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair=None,
                                                        special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    bert.decoder = decoders.WordPiece(prefix="##", cleanup=True)
    save("bert", bert)

    meta = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    meta.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    special = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    meta.train_from_iterator(lines, trainers.BpeTrainer(vocab_size=900, special_tokens=special, show_progress=False,
                                                        limit_alphabet=300))
    meta.post_processor = processors.TemplateProcessing(single="<s> $A", pair=None, special_tokens=[("<s>", 1)])
    meta.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="first")])
    save("metaspace", meta, lambda root: root.update(added_tokens=root["added_tokens"][:3]))

    stages = Tokenizer(models.BPE(ignore_merges=True))
    stages.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase(), normalizers.Replace("ß", "ss")])
    stages.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split("-", "merged_with_next"), pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.ByteLevel(add_prefix_space=True)])
    stages.decoder = decoders.ByteLevel()
    stages.train_from_iterator(lines, trainers.BpeTrainer(vocab_size=560, show_progress=False,
                                                          initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))

    def add(root):  # words of the vocabulary keep their ids
        for content, flags in (("<think>", {}), (" the", {"lstrip": True}), ("and", {"single_word": True}),
                               ("<|im_end|>", {"special": True, "rstrip": True, "normalized": False}),
                               ("\n\n", {"rstrip": True}), ("<|", {}), ("中a", {"lstrip": True, "rstrip": True})):
            vocab = root["model"]["vocab"]
            n_new = sum(token["content"] not in vocab for token in root["added_tokens"])
            id = vocab.get(content, 560 + n_new)  # without a gap: the reference would number them anew
            root["added_tokens"].append({"id": id, "content": content, "single_word": False, "lstrip": False,
                                         "rstrip": False, "normalized": True, "special": False} | flags)
    save("stages", stages, add)

    classes = Tokenizer(models.BPE())
    pattern = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ll)?|"
               r"\p{N}{1,3}+| ?[^\s\p{L}\p{N}]+[\r\n/]*|\w+|\s*[\r\n]+|\s+(?!\S)|\s+")
    from tokenizers import Regex
    classes.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"),
                                                     pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    classes.decoder = decoders.ByteLevel()
    classes.train_from_iterator(pieces * 3, trainers.BpeTrainer(vocab_size=300, show_progress=False,
                                                                initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    save("classes", classes)


def read_pieces():
    with open(f"{DATA}/texts.json", encoding="utf-8") as file:
        return json.load(file)


def write():
    import tokenizers

    if tokenizers.__version__ != VERSION:
        sys.exit(f"reference.py: tokenizers {VERSION} is needed, not {tokenizers.__version__}")
    pieces = read_pieces()
    make_tokenizers(pieces)
    rows = []
    if ONLY:  # keep the others
        with open(f"{DATA}/digests.json", encoding="utf-8") as file:
            rows = [row for row in json.load(file) if row["tokenizer"] not in ONLY]
    for name, directory, n_ids in TOKENIZERS:
        if ONLY and name not in ONLY:
            continue
        tokenizer = load(directory)
        rows.append({"tokenizer": name, "n_ids": n_ids, "n_tokens": tokenizer.get_vocab_size(),
                     "skipped": SKIPPED.get(name, []),
                     "digests": digests(tokenizer, pieces, SKIPPED.get(name, []))})
        print(name, tokenizer.get_vocab_size())
    with open(f"{DATA}/digests.json", "w", encoding="utf-8") as file:
        json.dump(rows, file, indent=1)
        file.write("\n")


def compare_one(program, directory, n_ids, pieces, n):
    tokenizer, lines, wanted = load(directory), [], []
    n_tokens = tokenizer.get_vocab_size()
    for seed in range(n):
        text = random_text(seed, pieces)
        ids, back, _ = reference(tokenizer, seed, text, n_tokens)
        lines += [{"text": text, "as_text": seed % 3 == 1, "add_special": seed % 3 == 2}, {"decode": back}]
        wanted += [{"ids": ids}, {"text": tokenizer.decode(back, skip_special_tokens=False),
                                  "skipped": tokenizer.decode(back, skip_special_tokens=True), "streamed": True}]
    run = subprocess.run([program, directory, str(n_ids)], input="\n".join(map(json.dumps, lines)), capture_output=True,
                         text=True, check=False)
    if run.returncode:
        return [(directory, run.stderr)]
    got = [json.loads(line) for line in run.stdout.split("\n") if line]
    return [both for both in zip(lines, wanted, got) if both[1] != both[2]]


def compare(build, n):
    differ = 0
    for name, directory, n_ids in TOKENIZERS:
        bad = compare_one(f"{build}/tests/tokenize_lines", directory, n_ids, read_pieces(), n)
        print(f"{name}: {2 * n} texts, {len(bad)} differ")
        for case in bad[:3]:
            print("   ", "\n      ".join(repr(part)[:600] for part in case))
        differ += len(bad)
    return differ > 0


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write()
    else:
        sys.exit(compare(sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 3000))
