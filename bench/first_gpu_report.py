#!/usr/bin/env python3
"""Turns a directory of bench/first_gpu.sh into Markdown on standard output, however much of it is there.
usage: first_gpu_report.py DIRECTORY"""
import csv
import json
import os
import re
import sys

# Milliseconds a step of 1,024 tokens on an H200 that were expected before anything had run (docs/cuda.md, "What to expect").
EXPECTED_MS = {("0.17B", 1): 1.7, ("0.17B", 8): 6.2, ("0.17B", 32): 22, ("0.17B", 128): 86, ("1.3B", 1): 7.4, ("1.3B", 8): 39,
               ("1.3B", 32): 148, ("1.3B", 128): 589, ("1.7B", 1): 9.8, ("1.7B", 8): 52, ("1.7B", 32): 195, ("1.7B", 128): 777}


def lines(directory, name):
    path = os.path.join(directory, name)
    if not os.path.exists(path):
        return []
    with open(path, errors="replace") as file:
        return [line.rstrip("\n") for line in file if line.strip()]


def objects(directory, name):
    """The lines that are whole: a part that was stopped may have left half a one."""
    for line in lines(directory, name):
        try:
            yield json.loads(line)
        except ValueError:
            continue


def table(head, rows):
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(str(cell).replace("|", "/") for cell in row) + " |")
    print()


def parts(directory):
    last = {}
    for line in lines(directory, "parts.tsv"):
        cells = line.split("\t")
        last[cells[0]] = cells
    if last:
        print("## Parts\n")
        table(["part", "ended", "seconds"], last.values())


def texts(directory):
    found = list(objects(directory, "texts.jsonl"))
    peers = {(row["size"], row["batch"]): row for row in found if "program" in row and "seconds" in row}
    rows = []
    for row in found:
        if "program" in row:
            continue
        step = 1e3 * row["seconds"] / row["steps"]
        expected = EXPECTED_MS.get((row["size"], row["batch"])) if row["length"] == 1024 and not row["with"] else None
        peer = peers.get((row["size"], row["batch"]))
        rows.append([row["size"], row["precision"] + (" " + row["with"] if row["with"] else ""), row["batch"], f"{step:.2f}",
                     expected or "", f'{row["tokens_per_second"]:,.0f}', f'{row["gflops"] / 1e3:.3g}',
                     f'{100 * row["fraction_of_ceiling"]:.0f} %', f'{peer["seconds"] / row["seconds"]:.2f}×' if peer else "",
                     f'{row.get("device_memory_mib", 0):,.0f}', f'{row["load_seconds"]:.1f}'])
    if rows:
        print("## Whole texts\n")
        table(["model", "numbers", "batch", "ms a step", "expected", "tokens/s", "TFLOP/s", "of the ceiling", "against PyTorch",
               "GPU MiB", "load s"], rows)
    for row in peers.values():
        print(f'{row["program"]}, {row["size"]}, batch {row["batch"]}: {1e3 * row["seconds"] / row["steps"]:.2f} ms a step, '
              f'{row["tokens_per_second"]:,.0f} tokens/s\n')


def phases(directory):
    rows = [[row["size"], row["batch"]] + [f"{100 * row['share'][phase]:.1f} %" for phase in row["share"]]
            for row in objects(directory, "texts.jsonl") if row.get("with") == "--phases" and row.get("share")]
    if rows:
        print("## Where a step's time goes (waited for after each phase)\n")
        table(["model", "batch", "products", "attention", "head", "communication", "the rest"], rows)


def choices(directory):
    """What the device said of itself, once each."""
    said = []
    for line in lines(directory, "errors.log"):
        found = re.search(r"((products of \[|GPU \d+ of |cuBLASLt |NCCL \d).*)", line)
        if found and found[1] not in said:
            said.append(found[1])
    if said:
        print("## What the device said\n")
        print("\n".join("- " + line for line in said) + "\n")


def operations(directory):
    head, rows = [], []
    for line in lines(directory, "operations.csv"):
        if line.startswith("#"):
            rows.append([line[2:]] + [""] * 6)
        elif line.startswith("size,"):
            head = next(csv.reader([line]))
        elif head:
            row = dict(zip(head, next(csv.reader([line]))))
            if len(row) == len(head):
                rows.append([f'{row["size"]} {row["precision"]} {row["batch"]}', row["operation"], row["shape"], row["us"],
                             row["floor_us"], row["tflops"], row["percent_of_floor"]])
    if rows:
        print("## Operations against their floors\n")
        table(["model", "operation", "shape", "µs", "floor µs", "TFLOP/s", "% of the floor"], rows)


def profile(directory):
    """Time by kernel, of ncu's list of launches."""
    sums, head = {}, None
    for line in lines(directory, "profile.csv"):
        row = next(csv.reader([line]), [])
        if "Kernel Name" in row:
            head = row
        elif head and len(row) == len(head):
            cells = dict(zip(head, row))
            value = float(cells["Metric Value"].replace(",", "")) * {"nsecond": 1e-3, "ns": 1e-3, "msecond": 1e3, "ms": 1e3}.get(
                cells["Metric Unit"], 1)
            name = cells["Kernel Name"].split("(")[0][:80]
            n, total = sums.get(name, (0, 0))
            sums[name] = (n + 1, total + value)
    total = sum(value for _, value in sums.values())
    if total:
        print("## Where the time is (ncu, 500 launches)\n")
        table(["kernel", "launches", "µs", "%"], [[name, n, f"{value:.0f}", f"{100 * value / total:.1f}"] for name, (n, value) in
                                                 sorted(sums.items(), key=lambda item: -item[1][1])[:25]])


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    directory = sys.argv[1]
    print("# " + " · ".join(lines(directory, "machine.txt")[:6]) + "\n")
    for section in (parts, texts, phases, choices, operations, profile):
        try:
            section(directory)
        except (KeyError, ValueError, TypeError) as error:  # what is left is still worth printing
            print(f"({section.__name__}: {type(error).__name__} {error})\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
