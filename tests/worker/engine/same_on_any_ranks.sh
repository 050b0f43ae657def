#!/bin/sh
# The same requests on 1, 2, 4 and 8 ranks, on every instruction set that this machine has, and with the host running ahead:
# the same tokens.
# usage: same_on_any_ranks.sh TEST_DETERMINISM
set -eu
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
n=0
for cpu in avx512 avx2; do
    for ranks in 1 2 4 $([ $cpu = avx2 ] && echo 8); do
        file=$directory/$cpu.$ranks
        ahead=$([ $ranks = 2 ] && echo on || echo off)
        if MILLRACE_RUN_AHEAD=$ahead MILLRACE_CPU=$cpu MILLRACE_SUM_FILE=$file mpirun -n $ranks --bind-to none "$1" >"$directory/log" 2>&1; then
            n=$((n + 1))
            echo "$cpu, $ranks ranks: $(cat "$file")"
        elif grep -q 'does not have that instruction set' "$directory/log"; then
            echo "$cpu: not on this machine"
            break
        else
            cat "$directory/log"
            exit 1
        fi
    done
done
[ $n -ge 4 ] || { echo "nothing was compared"; exit 1; }
[ "$(cat "$directory"/avx* | sort -u | wc -l)" = 1 ] || { echo "the texts differ"; exit 1; }
