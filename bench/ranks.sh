#!/usr/bin/env bash
# Ranks that share the cores of this machine: bench/ranks.sh MODEL [ROUNDS [LENGTH [STEPS]]] prints a table
#   Seconds for a text of LENGTH tokens (256) in STEPS steps (2), by ranks and by how they exchange: shared memory, MPI that yields while
#   it waits, MPI that spins. Quiet, and disturbed: beside one process that is always busy. Everything takes its turn in each of ROUNDS
#   rounds (3); the median counts. One rank with two threads, which exchanges nothing, is the measure. The texts are compared.
set -euo pipefail
source=$(cd "$(dirname "$0")/.." && pwd)
bin=${MILLRACE_BIN:-$source/build/release/bin}
model=$1 rounds=${2:-3} length=${3:-256} steps=${4:-2}
work=$(mktemp -d)
busy=
trap '[ -z "$busy" ] || kill "$busy"; rm -rf "$work"' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

# measure NAME RANKS THREADS COLLECTIVE YIELD
measure() {
  mpirun --host "localhost:$2" -n "$2" --bind-to none --mca btl self,vader --mca mpi_yield_when_idle "$5" --oversubscribe --quiet \
    "$bin/millrace-worker" --model "$model" --bench --length "$length" --steps "$steps" --repeats 2 --threads "$3" --collective "$4" \
    2>> "$work/log" > "$work/out" || { cat "$work/log" >&2; exit 1; }
  sed 's/.*"seconds":\([0-9.e-]*\),.*/\1/' "$work/out" >> "$work/$1.$when"
  sed 's/.*"checksum":"\([0-9a-f]*\)".*/\1/' "$work/out" >> "$work/checksums"
}

round() {
  measure alone 1 2 mpi 0
  for ranks in 2 4 8; do
    measure shm$ranks $ranks 1 shm 1
    measure yield$ranks $ranks 1 mpi 1
    [ -n "${MILLRACE_NO_SPIN:-}" ] || measure spin$ranks $ranks 1 mpi 0
  done
}

for _ in $(seq "$rounds"); do
  when=quiet
  round
  when=disturbed
  sh -c 'while :; do :; done' &
  busy=$!
  round
  kill "$busy"
  busy=
done

median() { sort -g "$work/$1" 2> /dev/null | awk '{ v[NR] = $1 } END { if (NR) printf "%.2f", v[int((NR + 1) / 2)]; else printf "-" }'; }

[ "$(sort -u "$work/checksums" | wc -l)" = 1 ] || { echo "the texts differ" >&2; exit 1; }
echo "| ranks × threads | quiet: shared memory | MPI, yields | MPI, spins | disturbed: shared memory | MPI, yields | MPI, spins |"
echo "|---|---|---|---|---|---|---|"
echo "| 1 × 2 | $(median alone.quiet) | | | $(median alone.disturbed) | | |"
for ranks in 2 4 8; do
  echo "| $ranks × 1 | $(median shm$ranks.quiet) | $(median yield$ranks.quiet) | $(median spin$ranks.quiet) |" \
    "$(median shm$ranks.disturbed) | $(median yield$ranks.disturbed) | $(median spin$ranks.disturbed) |"
done
