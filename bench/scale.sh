#!/usr/bin/env bash
# What a coordinator costs as replicas and waiting requests grow: bench/scale.sh [COORDINATOR...] > scale.md
#   Each COORDINATOR is LABEL=PROGRAM, of this version or an older one (default: now=build/release/bin/millrace-coordinator).
#   Several are measured in turn, cell by cell. CSV in scale.csv where it is run, a row as soon as it is measured; a Markdown table on standard output, and below it
#   how the CPU of a request grows: its exponent in the number of replicas and of waiting requests (least squares of the
#   logarithms). Environment: SCALE_REPLICAS "1 10 100 500", SCALE_WAITING "10 100 1000 10000", SCALE_SECONDS 5,
#   SCALE_FRAMES 4000 (frames a second that all replicas of a cell offer together; 0: they answer at once).
set -euo pipefail
source=$(cd "$(dirname "$0")/.." && pwd)
bin=${MILLRACE_BIN:-$source/build/release/bin}
model=${MILLRACE_LOAD_MODEL:-$source/models/books-mini}
seconds=${SCALE_SECONDS:-5} offered=${SCALE_FRAMES:-4000} sequences=4
[ $# -gt 0 ] || set -- "now=$bin/millrace-coordinator"
work=$(mktemp -d)
trap 'kill $(cat "$work"/pid 2>/dev/null) 2>/dev/null || true; rm -rf "$work"' EXIT

measure() { # LABEL PROGRAM REPLICAS WAITING
  rm -f "$work/socket"
  "$2" --model "$model" --listen "unix:$work/socket" --spawn 0 --max-queue 100000 --max-queue-tokens 0 2> "$work/log" &
  echo $! > "$work/pid"
  for _ in $(seq 100); do [ -S "$work/socket" ] && break; sleep 0.05; done
  step_ms=$(awk -v r="$3" -v m=$sequences -v f="$offered" 'BEGIN { print f ? 1000 * r * m / f : 0 }')
  nice "$bin/bench_scale" --address "unix:$work/socket" --coordinator "$(cat "$work/pid")" --model "$model" --label "$1" \
    --replicas "$3" --waiting "$4" --sequences $sequences --step-ms "$step_ms" --seconds "$seconds" \
    --warm-up "${SCALE_WARM_UP:-2}" $header >> "$work/csv"
  header=
  [ -n "${SCALE_QUIET:-}" ] || cp "$work/csv" scale.csv # cell by cell: what was measured stays when the rest is not
  { kill -9 "$(cat "$work/pid")"; wait "$(cat "$work/pid")"; } 2> /dev/null || true
  rm "$work/pid"
}

header=--header
for replicas in ${SCALE_REPLICAS:-1 10 100 500}; do
  for waiting in ${SCALE_WAITING:-10 100 1000 10000}; do
    for coordinator in "$@"; do
      measure "${coordinator%%=*}" "${coordinator#*=}" "$replicas" "$waiting"
    done
  done
done
awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) gsub("_", " ", $i) }
         { line = "|"; for (i = 1; i <= NF; i++) line = line " " $i " |"; print line }
         NR == 1 { line = "|"; for (i = 1; i <= NF; i++) line = line "---|"; print line }' "$work/csv"
# y = a + p log(replicas) + q log(waiting) by the normal equations, a label at a time.
awk -F, 'NR > 1 && $9 > 0 { l = $1; labels[l] = 1; x = log($2); z = log($3 > 0 ? $3 : 1); y = log($9)
           n[l]++; sx[l] += x; sz[l] += z; sy[l] += y; xx[l] += x * x; zz[l] += z * z; xz[l] += x * z; xy[l] += x * y; zy[l] += z * y }
         END { for (l in labels) {
           a = xx[l] - sx[l] * sx[l] / n[l]; b = zz[l] - sz[l] * sz[l] / n[l]; c = xz[l] - sx[l] * sz[l] / n[l]
           d = xy[l] - sx[l] * sy[l] / n[l]; e = zy[l] - sz[l] * sy[l] / n[l]; det = a * b - c * c
           p = det > 1e-9 ? (d * b - e * c) / det : (a > 1e-9 ? d / a : 0); q = det > 1e-9 ? (e * a - d * c) / det : (b > 1e-9 ? e / b : 0)
           printf "\n%s: the CPU of a request grows as replicas^%.2f, waiting^%.2f", l, p, q }
         print "" }' "$work/csv"
