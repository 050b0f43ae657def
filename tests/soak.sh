#!/usr/bin/env bash
# Many clients, and replicas that are killed, stopped, drained and cut short under them, for SECONDS.
#   tests/soak.sh SECONDS [SEED]
# The last line is accepted=N finished=N cancelled=N failed=N lost=N wrong=N; exit 0 only if lost and wrong are 0 (and memory
# and descriptors of the coordinator flat). Uses MILLRACE_BIN, or the release build beside this file. Skipped (77)
# without Python's grpcio.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export MILLRACE_SOURCE=${MILLRACE_SOURCE:-$(dirname "$here")}
export MILLRACE_BIN=${MILLRACE_BIN:-$MILLRACE_SOURCE/build/release/bin}
python=/usr/bin/python3 # Debian's, which has grpcio
[ -x "$python" ] || python=python3
exec "$python" -B "$here/e2e/soak.py" "${1:?tests/soak.sh SECONDS}" "${2:-1}"
