"""Every drill of docs/operations.md names the test that does it, or says why a person has to: drills.py SOURCE BUILD CTEST

The last column of the table below "## Drills" is a list of CTest's names, "by hand: REASON", or both with "; " between.
"""
import json
import subprocess
import sys


def rows(text):
    """The table's rows, as lists of cells."""
    section = text.split("\n## Drills\n", 1)[1].split("\n## ", 1)[0]
    table = [line.strip().strip("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.split(" | ")] for line in table[2:]]


def wrong(cell, tests):
    """What is wrong with a row's last cell; None: nothing."""
    named, _, reason = cell.partition("by hand: ")
    names = [name for name in named.rstrip("; ").split(", ") if name]
    missing = [name for name in names if name not in tests]
    if missing:
        return f"no test is called {', '.join(missing)}"
    return None if names or reason else "neither a test nor why there is none"


def main(source, build, ctest):
    listed = subprocess.run([ctest, "--test-dir", build, "--show-only=json-v1"], stdout=subprocess.PIPE, check=True).stdout
    tests = {test["name"] for test in json.loads(listed)["tests"]}
    with open(f"{source}/docs/operations.md", encoding="utf-8") as file:
        drills = rows(file.read())
    faults = [f"docs/operations.md, drill \"{row[0]}\": {fault}" for row in drills if (fault := wrong(row[-1], tests))]
    print("\n".join(faults) or f"{len(drills)} drills, each with its test")
    if len(drills) < 10:
        sys.exit("the table of drills was not found")
    sys.exit(bool(faults))


main(*sys.argv[1:])
