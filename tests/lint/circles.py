"""Files whose functions call each other in a circle, wherever they are declared; read from the objects of a build.
usage: circles.py BUILD_DIRECTORY SOURCE_DIRECTORY"""
import json
import os
import re
import subprocess

from layers import CODE
from tree import circles, run


def compiled_now(build):
    """The objects that the build makes as it is configured; others were left behind. None: it does not say."""
    path = os.path.join(build, "compile_commands.json")
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        commands = " ".join(entry["command"] for entry in json.load(file))
    return {os.path.normpath(os.path.join(build, name)) for name in re.findall(r" -o (\S+\.o)\b", commands)}


def objects(build, root):
    """{object file: the source file that it was compiled from}, of the source files that are still there. The emulator
    compiles those of kernels/cuda, so that they are seen without a CUDA toolkit."""
    found = {}
    current = compiled_now(build)
    for place in CODE + ("tests/emulation",):
        for folder, _, names in os.walk(os.path.join(build, place)):
            source = re.sub(r"CMakeFiles/[^/]+\.dir", "", os.path.relpath(folder, build)).replace("__", "..")
            for name in names:
                if current is not None and os.path.normpath(os.path.join(folder, name)) not in current:
                    continue
                path = os.path.normpath(os.path.join(source, name[:-2]))
                if (re.search(r"\.(c|cu)\.o$", name) and path.startswith(CODE)
                        and os.path.exists(os.path.join(root, path))):
                    found[os.path.join(folder, name)] = path
    return found


def calls(build, root):
    """{source file: {source file that it calls: one of the functions}}"""
    source_of = objects(build, root)
    if not source_of:
        return {}
    output = subprocess.run(["nm", "--extern-only", "--print-file-name", *source_of], capture_output=True, text=True,
                            check=True).stdout
    found = re.findall(r"^(.*):[0-9a-f ]* ([A-Za-z]) (\S+)$", output, re.M)
    defined_in = {name: source_of[file] for file, kind, name in found if kind not in "Uwv" and name != "main"}
    graph = {}
    for file, kind, name in found:
        source = source_of[file]
        if kind in "Uwv" and defined_in.get(name, source) != source:
            graph.setdefault(source, {})[defined_in[name]] = name
    return graph


def check(build, root):
    graph = calls(build, root)
    if not graph:
        return [f"no objects in {build}: build first"]
    wrong = []
    for group in circles(graph):
        wrong.append("files that call each other: " + ", ".join(group))
        wrong += [f"    {a} calls {graph[a][b]} of {b}" for a in group for b in group if b in graph[a]]
    return wrong


if __name__ == "__main__":
    run("circles", check)
