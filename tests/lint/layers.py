"""Holds the table "The tree" of ARCHITECTURE.md against the includes: a file includes only what its place may use, a
place uses only places above it, and no files include each other. usage: layers.py SOURCE_DIRECTORY"""
import os
import re

from tree import LIBRARIES, Table, circles, files, includes, read, run

CODE = ("common", "proto", "kernels", "coordinator", "worker", "cli", "bench")


def check_rows(root, table):
    """Every place exists and uses only places of rows above its own; every folder at the top has a row."""
    row, places = "ARCHITECTURE.md, The tree: ", list(table.may)
    wrong = [f"{row}there is no {place}" for place in places if not os.path.exists(os.path.join(root, place))]
    wrong += [f"{row}{name}/ has no row" for name in sorted(os.listdir(root))
              if os.path.isdir(os.path.join(root, name)) and name not in places
              and not name.startswith(".") and name != "build"]
    for i, place in enumerate(places):
        for target in sorted(table.may[place] - set(places[:i]) - set(LIBRARIES) - {"*"}):
            wrong.append(f"{row}{place} may use {target}, which is neither a row above it nor a library")
    return wrong


def check_include(root, table, path, name):
    place, target = table.place_of(path), table.place_of(name)
    if not name.startswith("proto/") and not os.path.exists(os.path.join(root, name)):
        return f'"{name}" is not a path from the root of a header that is there'
    if target is None or not table.allows(place, target):
        return f"{place} may not use {target or name} (ARCHITECTURE.md, The tree)"
    return None


def check_library(table, place, name):
    for library, headers in LIBRARIES.items():
        if re.match(headers, name) and not table.allows(place, library):
            return f"{place} may not use {library} (ARCHITECTURE.md, The tree)"
    return None


def check_file(root, table, path, graph):
    place, wrong = table.place_of(path), []
    if place is None:
        return [f"{path}: its folder has no row in ARCHITECTURE.md, The tree"]
    for number, name, library_header in includes(read(root, path)):
        sentence = (check_include(root, table, path, name) if name
                    else check_library(table, place, library_header))
        if sentence:
            wrong.append(f"{path}:{number}: {sentence}")
        if name:
            graph.setdefault(path, set()).add(name)
    return wrong


def check(root):
    table, graph = Table(root), {}
    wrong = check_rows(root, table)
    for path in files(root):
        if path.split("/")[0] in CODE:
            wrong += check_file(root, table, path, graph)
    return wrong + ["files that include each other: " + ", ".join(group) for group in circles(graph)]


if __name__ == "__main__":
    run("layers", check)
