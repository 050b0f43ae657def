#!/usr/bin/env bash
# Clients from PyPI in a virtual environment of the build: tests/clients/setup.sh BUILD
# Does nothing where they are there already. Exits 77 (skipped) where there is no PyPI to ask.
set -euo pipefail
directory=$1/clients wanted=$(cd "$(dirname "$0")" && pwd)/requirements.txt
cmp -s "$wanted" "$directory/installed" && exit 0
/usr/bin/python3 -m venv "$directory" 2> "$1/clients.log" || { echo "skipped: no python3-venv"; exit 77; }
"$directory/bin/pip" --quiet --disable-pip-version-check install -r "$wanted" > "$1/clients.log" 2>&1 || {
  tail -n 3 "$1/clients.log"
  echo "skipped: PyPI does not answer, or has not what tests/clients/requirements.txt names"
  exit 77
}
cp "$wanted" "$directory/installed"
