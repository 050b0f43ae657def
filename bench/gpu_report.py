#!/usr/bin/env python3
"""Turns a directory of bench/gpu.sh into Markdown on standard output. usage: gpu_report.py DIRECTORY"""
import csv
import glob
import json
import os
import sys


def lines(path):
    if not os.path.exists(path):
        return []
    with open(path) as file:
        return [line.rstrip("\n") for line in file if line.strip()]


def table(head, rows):
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print()


def kernels(path):
    all_lines = lines(path)
    if len(all_lines) < 2:
        return
    print(f"### {os.path.basename(path)[8:-4]}\n\n{all_lines[0][2:]}\n")
    head = ["batch", "operation", "shape", "µs", "floor µs", "TFLOP/s", "GB/s", "of floor"]
    rows = []
    for row in csv.DictReader(all_lines[1:]):
        share = row["percent_of_floor"]
        rows.append([row["batch"], row["operation"], row["shape"], row["us"], row["floor_us"], row["tflops"],
                     row["gbytes_per_s"], share + " %" if share else "—"])
    table(head, rows)


def texts(directory):
    peers = {}
    for line in lines(os.path.join(directory, "peer.jsonl")):
        row = json.loads(line)
        if "seconds" in row:
            peers[row["model"], row["batch"]] = row
    rows = []
    for path in sorted(glob.glob(os.path.join(directory, "texts-*.jsonl"))):
        precision = os.path.basename(path)[6:-6]
        for row in map(json.loads, lines(path)):
            peer = peers.get((row["model"], row["batch"]))
            rows.append([row["model"], precision, row["batch"], f'{row["seconds"]:.4f}', f'{row["tokens_per_second"]:,.0f}',
                         f'{row["gflops"] / 1e3:.1f}', f'{row["ceiling_gflops"] / 1e3:.1f}',
                         f'{100 * row["fraction_of_ceiling"]:.0f} %', f'{row["peak_memory_mib"]:,.0f}',
                         f'{row["load_seconds"]:.2f}', f'{peer["seconds"]:.4f}' if peer else "—",
                         f'{peer["seconds"] / row["seconds"]:.2f}×' if peer else "—"])
    if rows:
        print("## Whole texts\n")
        table(["model", "precision", "batch", "seconds", "tokens/s", "TFLOP/s done", "ceiling", "used", "memory MiB", "load s",
               "PyTorch s", "against PyTorch"], rows)


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    directory = sys.argv[1]
    print("# " + " · ".join(lines(os.path.join(directory, "machine.txt"))) + "\n\n## Parts\n")
    table(["part", "ended", "took"], [line.split("\t") for line in lines(os.path.join(directory, "parts.tsv"))])
    texts(directory)
    print("## Operations against their floors\n")
    for path in sorted(glob.glob(os.path.join(directory, "kernels-*.csv"))):
        kernels(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
