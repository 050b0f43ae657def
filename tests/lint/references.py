"""Comments and documents name only files that exist, by a path or the end of one, and no document that a reader
does not have. usage: references.py SOURCE_DIRECTORY"""
import os
import re

from tree import SOURCES, files, read, run

DOCUMENTS = (".md",)
SCRIPTS = (".py", ".sh", ".cmake", "CMakeLists.txt", ".proto", ".yaml")
NAME = re.compile(r"(?<![\w./<$}{*-])((?:[\w-]+/|\.\./)*[\w-]+\.(?:c|h|cu|cuh|cpp|md|py|sh|proto|cmake))(?![\w(*/])")
ABSENT = re.compile(r"\((?:the )?(?:spec|specification|design)\b")

# Files of others, and files that a program makes.
NOT_OURS = {"llama.cpp", "grpc/status.h", "google/protobuf/descriptor.proto", "load.md", "scale.md", "env.sh", "50-slurm-pmi.sh"}


def comments(path, text):
    """The text with everything that is not a comment blanked out, so that line numbers stay."""
    if path.endswith(DOCUMENTS):
        return text
    if path.endswith(SOURCES):
        kept = r'"(?:\\.|[^"\\\n])*"|' + r"'(?:\\.|[^'\\\n])*'" + r"|(/\*.*?\*/|//[^\n]*)"
    elif path.endswith(".proto"):
        kept = r'"[^"\n]*"|(//[^\n]*)'
    else:
        kept = r"(?:(?<=\s)|^)(#[^\n]*)"
    blank = lambda part: re.sub(r"[^\n]", " ", part)
    result, at = [], 0
    for match in re.finditer(kept, text, re.S | re.M):
        result += [blank(text[at:match.start()]), match.group() if match.group(1) else blank(match.group())]
        at = match.end()
    return "".join(result + [blank(text[at:])])


def endings(root):
    """Every path of the tree, and every end of one: a/b/c.h, b/c.h, c.h."""
    found = set()
    for path in files(root, ("",)):
        parts = path.split("/")
        found.update("/".join(parts[i:]) for i in range(len(parts)))
    return found


def is_there(known, path, name):
    """Also true of a placeholder (FILE.c)."""
    beside = os.path.normpath(os.path.join(os.path.dirname(path), name))
    own_name = os.path.basename(name)
    return (name in known or beside in known or name in NOT_OURS or own_name in NOT_OURS
            or own_name.split(".")[0].isupper() and not own_name.endswith(".md"))


def check(root):
    known, wrong = endings(root), []
    for path in files(root, SOURCES + DOCUMENTS + SCRIPTS):
        for number, line in enumerate(comments(path, read(root, path)).splitlines(), 1):
            wrong += [f"{path}:{number}: names {name}, which is not there" for name in NAME.findall(line)
                      if not is_there(known, path, name)]
            if ABSENT.search(line):
                wrong.append(f"{path}:{number}: speaks of a document that is not in this repository")
    return wrong


if __name__ == "__main__":
    run("references", check)
