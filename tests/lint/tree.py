"""What the checks of this folder read: the source files, their includes, and the table of ARCHITECTURE.md."""
import os
import re
import sys

SOURCES = (".c", ".h", ".cu", ".cuh", ".cpp")
ELSEWHERE = {".git", "build", "__pycache__", "node_modules", "venv", ".venv"}

# A word of the table's right column, and the headers that only such places may include.
LIBRARIES = {
    "gRPC": r"grpc/",
    "OpenSSL": r"openssl/",
    "MPI": r"mpi\.h",
    "CUDA": r"(cuda|cublas)",
    "NCCL": r"nccl",
    "libmicrohttpd": r"microhttpd",
    "libzip": r"zip\.h",
    "hwloc": r"hwloc",
    "utf8proc": r"utf8proc",
}


def files(root, endings=SOURCES):
    """The paths, from the root, of all files with these endings, in order."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if f not in ELSEWHERE)
        found += [os.path.relpath(os.path.join(folder, name), root) for name in names if name.endswith(endings)]
    return sorted(found)


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as file:
        return file.read()


def includes(text):
    """(line number, the quoted name or None, the name in angle brackets or None) of each include."""
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r'\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)', line)
        if match:
            yield number, match.group(1), match.group(2)


class Table:
    """The table "The tree" of ARCHITECTURE.md: places, and what each may use."""

    def __init__(self, root):
        section = re.search(r"^## The tree\n(.*?)^## ", read(root, "ARCHITECTURE.md"), re.M | re.S)
        rows = re.findall(r"^\|([^|]*)\|([^|]*)\|([^|]*)\|$", section.group(1) if section else "", re.M)
        self.may = {}
        for place, _, use in rows[2:]: # below the heading and its line
            words = set(re.findall(r"`([^`]+)`", use))
            words |= {library for library in LIBRARIES if re.search(r"\b%s\b" % library, use)}
            for name in re.findall(r"`([^`]+)`", place):
                self.may[name.rstrip("/")] = {"*"} if use.strip() == "all" else words

    def place_of(self, path):
        """The longest place that holds the path: a file's own row, or a folder's; None without one."""
        while path and path not in self.may:
            path = os.path.dirname(path)
        return path or None

    def allows(self, place, target):
        return target == place or target in self.may[place] or "*" in self.may[place]


def circles(graph):
    """The groups of nodes that reach each other; graph: {node: set of nodes}. Tarjan's algorithm."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for next_node in sorted(graph.get(node, ())):
            if next_node not in index:
                visit(next_node)
            if next_node in stack:
                low[node] = min(low[node], low[next_node])
        if low[node] == index[node]:
            group = stack[stack.index(node):]
            del stack[stack.index(node):]
            if len(group) > 1:
                found.append(sorted(group))

    sys.setrecursionlimit(10000)
    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def run(name, check):
    """The main function of a check: prints what `check(root, ...)` returns and exits."""
    wrong = check(*sys.argv[1:])
    for sentence in wrong:
        print(sentence)
    print(f"{name}: " + (f"{len(wrong)} to mend" if wrong else "nothing to mend"))
    sys.exit(1 if wrong else 0)
