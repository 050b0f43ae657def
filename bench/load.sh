#!/usr/bin/env bash
# Figures under load: bench/load.sh [SECONDS [CLIENTS]] > load.md
#   SECONDS for each number of clients (20), CLIENTS "1 8 64 256". CSV in load.csv where it is run; a Markdown table on standard
#   output. Each row on a cluster of its own (MILLRACE_LOAD_OPTIONS: more options for the coordinator).
set -euo pipefail
source=$(cd "$(dirname "$0")/.." && pwd)
bin=${MILLRACE_BIN:-$source/build/release/bin}
seconds=${1:-20}
work=$(mktemp -d)
trap 'kill $(cat "$work"/pid 2>/dev/null) 2>/dev/null || true; rm -rf "$work"' EXIT
header=--header
for clients in ${2:-1 8 64 256}; do
  rm -f "$work/ready"
  mkfifo "$work/ready"
  # shellcheck disable=SC2086
  "$bin/millrace-coordinator" --model "${MILLRACE_LOAD_MODEL:-$source/models/books-mini}" --listen 127.0.0.1:0 --ready-fd 3 \
    --max-queue 1024 ${MILLRACE_LOAD_OPTIONS:-} 3> "$work/ready" 2> "$work/log" &
  echo $! > "$work/pid"
  read -r address < "$work/ready" || { cat "$work/log" >&2; exit 1; }
  "$bin/bench_load" --address "$address" --clients "$clients" --seconds "$seconds" --coordinator "$(cat "$work/pid")" $header \
    >> "$work/csv"
  header=
  kill "$(cat "$work/pid")"
  wait "$(cat "$work/pid")"
  rm "$work/pid"
done
[ "$seconds" -lt 5 ] || cp "$work/csv" load.csv
awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) gsub("_", " ", $i) }
         { line = "|"; for (i = 1; i <= NF; i++) line = line " " $i " |"; print line }
         NR == 1 { line = "|"; for (i = 1; i <= NF; i++) line = line "---|"; print line }' "$work/csv"
