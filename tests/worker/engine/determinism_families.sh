#!/bin/sh
# usage: determinism_families.sh TEST_DETERMINISM   (environment: MILLRACE_BIN)
# The contract "same model + same request + same seed -> the same bytes" for each published network, with small random
# weights: the properties of test_determinism on one rank, and the same texts on 1, 2 and 4.
set -eu
test=$1
work=$(mktemp -d "${TMPDIR:-/tmp}/families-XXXXXX")
trap 'rm -rf "$work"' EXIT
for network in mdlm sedd duo udlm gidd bd3lm; do
    "$MILLRACE_BIN/millrace" random "$network-nano" "$work/$network" --vocabulary 300 --seed 3 >/dev/null
    for n in 1 2 4; do
        MILLRACE_TEST_MODEL="$work/$network" MILLRACE_SUM_FILE="$work/sum.$n" \
            mpirun -n "$n" --bind-to none "$test" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
        cmp "$work/sum.1" "$work/sum.$n" || { echo "$network: other texts on $n ranks than on one"; exit 1; }
    done
    echo "$network: $(cat "$work/sum.1")"
done
test "$(cat "$work"/sum.1)" # the last one is there
