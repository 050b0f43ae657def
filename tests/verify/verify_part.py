#!/usr/bin/python3
"""millrace verify on a part of the golden vectors, for a backend that is too slow for all of them (the CUDA backend in the emulator).

usage: verify_part.py PATTERN... -- OPTION...   (options of millrace verify; environment MILLRACE_BIN, MILLRACE_SHARED)

Makes a directory with the files that match, all weights, and a manifest that names only these.
"""
import fnmatch
import json
import os
import pathlib
import subprocess
import sys
import tempfile

SKIPPED = 77


def main():
    cut = sys.argv.index("--")
    patterns, options = sys.argv[1:cut], sys.argv[cut + 1:]
    source = pathlib.Path(os.environ["MILLRACE_SHARED"]) / "golden/public"
    if not source.is_dir():
        print("skipped: the golden vectors are not here:", source)
        sys.exit(SKIPPED)
    manifest = json.loads((source / "manifest.json").read_text())
    names = [name for name in sorted(os.listdir(source))
             if any(fnmatch.fnmatch(name, pattern) for pattern in patterns + ["weights_*"])]
    wanted = [name for name in names if not name.startswith("weights_")]
    if not wanted:
        sys.exit(f"no golden vectors match {patterns}")
    manifest["files"] = {name: about for name, about in manifest["files"].items() if name in names}
    manifest["trajectories"] = {name: about for name, about in manifest["trajectories"].items()
                                if f"traj_{name}.safetensors" in names}
    manifest["checkpoints"] = {}
    with tempfile.TemporaryDirectory() as directory:
        for name in names:
            os.symlink(source / name, pathlib.Path(directory) / name)
        (pathlib.Path(directory) / "manifest.json").write_text(json.dumps(manifest))
        command = [str(pathlib.Path(os.environ["MILLRACE_BIN"]) / "millrace"), "verify", directory, *options]
        sys.exit(subprocess.run(command, check=False).returncode)


if __name__ == "__main__":
    main()
