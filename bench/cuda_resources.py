#!/usr/bin/python3
"""What the CUDA kernels take: registers, shared memory and spills of every kernel for every architecture, by ptxas, and
whether those that should use the tensor cores do; where cuobjdump is there (the CUDA toolkit, or Triton's folder of programs: put it on
PATH with nvdisasm), also how many instructions their inner loops have. Needs nvcc, no GPU. Exit 1: a kernel spills, has no tensor
instruction, or has a longer inner loop than LOOPS allows.

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
# The hottest instances: how many instructions the machine code of the loop over k or keys may have, with those of branches that are
# seldom taken. What they have now, and a few percent: a compiler may schedule differently, but must not lose its unrolling (before the
# copies' counts were constants it was 655, 641 and 1,133) or the epilogue's reads of 16 bytes at a time.
LOOPS = {"tensor_product<shape<128, 128, 2, 4>, by_chunk, by_chunk, float>": 155,
         "head_scan_kernel<head::by_tensor_cores<head::shape<128, 2, 2>, head::by_chunk> >": 245,
         "attention_tensor_kernel<attention_by_tensor_cores::shape<64, 2> >": 880}
WIDE_READS = {"head_scan_kernel<head::by_tensor_cores<head::shape<128, 2, 2>, head::by_chunk> >": 4}


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


def by_address(sass):
    """{entry: [(address, instruction)]}"""
    code, entry = {}, None
    for line in sass.splitlines():
        name = re.search(r"Function : (\S+)", line)
        found = re.match(r"\s+/\*([0-9a-f]{4,})\*/\s+(.*?);", line)
        if name:
            entry = name[1]
            code[entry] = []
        elif found and entry:
            code[entry].append((int(found[1], 16), found[2]))
    return code


def inner_loop(code):
    """Instructions of the shortest loop (a branch backwards) with a product in it; 0: there is none."""
    lengths = []
    for address, text in code:
        branch = re.search(r"\bBRA\b.*?0x([0-9a-f]+)", text)
        if branch and int(branch[1], 16) <= address:
            body = [other for at, other in code if int(branch[1], 16) <= at <= address]
            if any(re.search(r"\b(HMMA|HGMMA)\b", other) for other in body):
                lengths.append(len(body))
    return min(lengths, default=0)


def tensor_instructions(nvcc, cubin, ptx_command, ptx):
    """{entry: what there is of tensor instructions, the inner loop's length, reads of 16 bytes from shared memory}"""
    cuobjdump = shutil.which("cuobjdump") or shutil.which("cuobjdump", path=str(pathlib.Path(nvcc).parent))
    if cuobjdump:
        return {entry: dict(tensor=sum(bool(re.search(r"\b(HMMA|HGMMA)\b", text)) for _, text in code), loop=inner_loop(code),
                            wide=sum("LDS.128" in text for _, text in code))
                for entry, code in by_address(run([cuobjdump, "-sass", cubin])).items()}
    run(ptx_command)
    counts = count_by_entry(pathlib.Path(ptx).read_text(), r"\.entry (\w+)\(", r"\b(mma\.sync|wgmma\.mma_async)")
    return {entry: dict(tensor=n) for entry, n in counts.items()}


def too_long(name, row):
    """What is worse than it was, of an instance that LOOPS and WIDE_READS name."""
    for known, most in LOOPS.items():
        if name.endswith(known) and row.get("loop", 0) > most:
            yield f"{name}: its inner loop has {row['loop']} instructions, more than {most}"
    for known, least in WIDE_READS.items():
        if name.endswith(known) and "wide" in row and row["wide"] < least:
            yield f"{name}: {row['wide']} reads of 16 bytes from shared memory, fewer than {least}: banks collide"


def measure(nvcc, source, file, architecture, directory):
    common = [nvcc, "-std=c++17", "-O3", f"-I{source}", f"-gencode=arch=compute_{architecture},code=sm_{architecture}"]
    stem = f"{directory}/{file.stem}.{architecture}"
    cubin, ptx = f"{stem}.cubin", f"{stem}.ptx"
    found = resources(run(common + ["-cubin", "-Xptxas", "-v", "-o", cubin, file]))
    if file.name in TENSOR:
        counts = tensor_instructions(nvcc, cubin, [nvcc, "-std=c++17", "-O3", f"-I{source}", f"-arch=compute_{architecture}",
                                                   "-ptx", "-o", ptx, file], ptx)
        for entry, row in found.items():
            row.update(counts.get(entry, dict(tensor=0)))
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
    form = "| {:<58} | {:>4} | {:>9} | {:>6} | {:>6} | {:>6} | {:>6} |" if options.markdown else "{:<60} {:>5} {:>9} {:>7} {:>7} {:>7} {:>7}"
    print(form.format("kernel", "sm", "registers", "shared", "spills", "tensor", "loop"))
    if options.markdown:
        print("|---|---|---|---|---|---|---|")
    wrong, n = [], 0
    for file, architecture, found in measure_all(options, files):
        names = readable(list(found))
        for entry, row in sorted(found.items(), key=lambda item: names[item[0]]):
            n += 1
            print(form.format(names[entry], architecture, row["registers"], row["shared"], row["spills"],
                              row.get("tensor", ""), row.get("loop", "")))
            wrong += too_long(names[entry], row) if architecture.startswith("90") else []
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
