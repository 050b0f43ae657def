#!/usr/bin/python3
"""What the CUDA kernels take: registers, shared memory and spills of every kernel for every architecture, by ptxas, and
whether those that should use the tensor cores do. Needs nvcc, no GPU. Exit 1: a kernel spills or has no tensor instruction.

usage: cuda_resources.py [--nvcc NVCC] [--source DIRECTORY] [--architectures 80,90a] [--markdown] [FILE.cu...]

Tensor instructions are counted in the machine code (HMMA, HGMMA) where cuobjdump is there; else in the PTX (mma.sync, wgmma), which the
assembler turns into one or more of them.
"""
import argparse
import concurrent.futures
import itertools
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77
# The hot kernels: in these files, entries of these names multiply on tensor cores.
TENSOR = {"matmul_tensor.cu": r"\btensor_product<", "attention_tensor.cu": r"attention", "head_scan.cu": r"by_tensor_cores",
          "head_draw.cu": r"by_tensor_cores"}


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def readable(names):
    """Mangled names in C++'s own spelling, without arguments."""
    if not shutil.which("c++filt") or not names:
        return {name: name for name in names}
    lines = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True).stdout.split("\n")
    return {name: re.sub(r"^void ", "", line.replace("(anonymous namespace)::", "")).rsplit("(", 1)[0]
            for name, line in zip(names, lines)}


def resources(log):
    """{entry: {registers, shared, stack, spills}} of ptxas -v."""
    found, entry = {}, None
    for line in log.splitlines():
        begin = re.search(r"Compiling entry function '(\S+)'", line)
        if begin:
            entry = found.setdefault(begin[1], dict(registers=0, shared=0, stack=0, spills=0))
        elif entry is not None:
            spills = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", line)
            if spills:
                entry["stack"], entry["spills"] = int(spills[1]), int(spills[2]) + int(spills[3])
            used = re.search(r"Used (\d+) registers", line)
            if used:
                shared = re.search(r"(\d+) bytes smem", line)
                entry["registers"], entry["shared"] = int(used[1]), int(shared[1]) if shared else 0
                entry = None
    return found


def count_by_entry(text, begin, instruction):
    counts, entry = {}, None
    for line in text.splitlines():
        name = re.search(begin, line)
        if name:
            entry = name[1]
            counts[entry] = 0
        elif entry and re.search(instruction, line):
            counts[entry] += 1
    return counts


def tensor_instructions(nvcc, cubin, ptx_command, ptx):
    cuobjdump = shutil.which("cuobjdump") or shutil.which("cuobjdump", path=str(pathlib.Path(nvcc).parent))
    if cuobjdump:
        return count_by_entry(run([cuobjdump, "-sass", cubin]), r"Function : (\S+)", r"\b(HMMA|HGMMA)\b")
    run(ptx_command)
    return count_by_entry(pathlib.Path(ptx).read_text(), r"\.entry (\w+)\(", r"\b(mma\.sync|wgmma\.mma_async)")


def measure(nvcc, source, file, architecture, directory):
    common = [nvcc, "-std=c++17", "-O3", f"-I{source}", f"-gencode=arch=compute_{architecture},code=sm_{architecture}"]
    stem = f"{directory}/{file.stem}.{architecture}"
    cubin, ptx = f"{stem}.cubin", f"{stem}.ptx"
    found = resources(run(common + ["-cubin", "-Xptxas", "-v", "-o", cubin, file]))
    if file.name in TENSOR:
        counts = tensor_instructions(nvcc, cubin, [nvcc, "-std=c++17", "-O3", f"-I{source}", f"-arch=compute_{architecture}",
                                                   "-ptx", "-o", ptx, file], ptx)
        for entry, row in found.items():
            row["tensor"] = counts.get(entry, 0)
    return found


def measure_all(options, files):
    """(file, architecture, its entries) in order; one compiler a core."""
    jobs = list(itertools.product(files, options.architectures.split(",")))
    with tempfile.TemporaryDirectory() as directory, \
            concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        results = pool.map(lambda job: measure(options.nvcc, options.source, *job, directory), jobs)
        return [(file, architecture, found) for (file, architecture), found in zip(jobs, results)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nvcc", default=shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc")
    parser.add_argument("--source", default=pathlib.Path(__file__).resolve().parents[1], type=pathlib.Path)
    parser.add_argument("--architectures", default="80,90a")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("files", nargs="*", type=pathlib.Path)
    options = parser.parse_args()
    if not pathlib.Path(options.nvcc).is_file():
        print("skipped: no nvcc here")
        sys.exit(SKIPPED)
    files = options.files or sorted((options.source / "kernels/cuda").glob("*.cu"))
    form = "| {:<58} | {:>4} | {:>9} | {:>6} | {:>6} | {:>6} |" if options.markdown else "{:<60} {:>5} {:>9} {:>7} {:>7} {:>7}"
    print(form.format("kernel", "sm", "registers", "shared", "spills", "tensor"))
    if options.markdown:
        print("|---|---|---|---|---|---|")
    wrong, n = [], 0
    for file, architecture, found in measure_all(options, files):
        names = readable(list(found))
        for entry, row in sorted(found.items(), key=lambda item: names[item[0]]):
            n += 1
            print(form.format(names[entry], architecture, row["registers"], row["shared"], row["spills"],
                              row.get("tensor", "")))
            if row["spills"]:
                wrong.append(f"{names[entry]} (sm_{architecture}) spills {row['spills']} bytes")
        hot = [entry for entry in found if re.search(TENSOR.get(file.name, "^$"), names[entry])]
        if file.name in TENSOR and not any(found[entry]["tensor"] for entry in hot):
            wrong.append(f"{file.name} (sm_{architecture}) uses no tensor core")
        wrong += [f"{names[entry]} (sm_{architecture}) uses no tensor core" for entry in hot
                  if file.name == "matmul_tensor.cu" and not found[entry]["tensor"]]
    print("\n".join(wrong) or f"{n} kernels: none spills; those that should use tensor cores do")
    sys.exit(1 if wrong or n == 0 else 0)


main()
