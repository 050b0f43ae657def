"""The shape of C files: lines of at most 110 columns, functions that fit on a screen, include guards that follow the
path, and tests that do not sleep. It relies on clang-format's layout: a function's braces stand in column 0.
usage: shape.py SOURCE_DIRECTORY"""
import re

from tree import files, read, run

COLUMNS = 110
LINES = 60
# The view's demonstration plays to a person.
MAY_SLEEP = {"tests/cli/terminal/view_demo.c"}


def wide_lines(path, lines):
    return [f"{path}:{number}: {len(line)} columns, more than {COLUMNS}"
            for number, line in enumerate(lines, 1) if len(line) > COLUMNS]


def first_line(lines, brace):
    """Where the head of the function begins whose body opens on the line `brace`."""
    at = brace
    while at > 0 and lines[at - 1].strip() and not re.match(r"[#}]|/[*/]| \*", lines[at - 1]) \
            and not lines[at - 1].endswith((";", "*/")):
        at -= 1
    return at


def length(body):
    """Lines, of which a table (an initialiser "= {" that takes lines of its own) counts as one."""
    n, in_table = 0, False
    for line in body:
        n += not in_table
        in_table = (in_table or re.search(r"= \{$", line)) and not re.match(r"\s+\};", line)
    return n


def functions(lines):
    """(line number, head, length) of each function."""
    at = 0
    while at < len(lines):
        if lines[at] == "{":
            begin = first_line(lines, at)
            while not lines[at].startswith("}"):
                at += 1
            yield begin + 1, lines[begin], length(lines[begin:at + 1])
        at += 1


def long_functions(path, lines):
    return [f"{path}:{number}: a function of {n} lines, more than {LINES}: {head}"
            for number, head, n in functions(lines) if n > LINES]


def wrong_guard(path, text):
    name = "MILLRACE_" + re.sub(r"\W", "_", path).upper()
    if re.search(rf"^#ifndef {name}\n#define {name}\n", text, re.M):
        return []
    return [f"{path}:1: its include guard is not {name}"]


def sleeps(path, lines):
    if not path.startswith("tests/") or path in MAY_SLEEP:
        return []
    return [f"{path}:{number}: a test waits for conditions (poll, a condition variable, a reply); it does not sleep"
            for number, line in enumerate(lines, 1) if re.search(r"\b(?:u|nano|clock_nano)?sleep\(", line)]


def check(root):
    wrong = []
    for path in files(root):
        text = read(root, path)
        lines = text.splitlines()
        wrong += wide_lines(path, lines) + long_functions(path, lines) + sleeps(path, lines)
        if path.endswith((".h", ".cuh")):
            wrong += wrong_guard(path, text)
    return wrong


if __name__ == "__main__":
    run("shape", check)
