"""Corpus -> tokenizer.json and files of token ids."""

import lzma
from pathlib import Path

import numpy as np

from . import bpe
from .errors import TrainingError


def read_text(path):
    opened = lzma.open if str(path).endswith(".xz") else open
    try:
        with opened(path, "rb") as file:
            return file.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise TrainingError(
            f"{path} is not UTF-8: byte {error.object[error.start]:#04x} at {error.start}; convert it with iconv"
        ) from None
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise TrainingError(f"{path} cannot be read: {error}") from None


def read_titles(path):
    try:
        return {int(line.split("\t")[3]) for line in read_text(path).splitlines() if line}
    except (IndexError, ValueError):
        raise TrainingError(f"{path}: every line must be author, title, year, characters, with tabs between") from None


def documents(paths, select=""):
    """The documents of all files, without blank ends."""
    found = []
    for path in paths:
        found += [document.strip() for document in read_text(path).split(bpe.END)]
    found = [document for document in found if document]
    if not found:
        raise TrainingError(f"{', '.join(map(str, paths))}: no text in it")
    if not select:
        return found
    sizes = read_titles(select)
    chosen = [document for document in found if len(document) in sizes]
    if not chosen:
        raise TrainingError(f"{select}: no document has one of its {len(sizes)} numbers of characters")
    return chosen


def encode(tokenizer, texts, length, what):
    ids = []
    for text in texts:
        ids.extend(tokenizer.encode(text))
        ids.append(tokenizer.end)
    if len(ids) < length + 1:
        raise TrainingError(
            f"{what} has {len(ids)} tokens, less than one window of model.length + 1 = {length + 1}: "
            "give more text or a smaller length"
        )
    return np.array(ids, dtype=np.uint16)


def prepare(config, out, say=print):
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    train = documents(config.data.train, config.data.select)
    valid = documents(config.data.valid)
    say(f"{len(train)} documents, {sum(map(len, train))} characters to train on; {len(valid)} to validate on")
    tokenizer = bpe.Tokenizer(bpe.train(train, config.data.vocabulary))
    tokenizer.save(out / "tokenizer.json")
    for name, texts in (("train", train), ("valid", valid)):
        ids = encode(tokenizer, texts, config.model.length, f"data.{name}")
        np.save(out / f"{name}.npy", ids)
        characters = sum(map(len, texts))
        say(f"{name}.npy: {len(ids)} tokens, {characters / len(ids):.2f} characters each")
