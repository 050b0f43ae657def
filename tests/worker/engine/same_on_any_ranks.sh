#!/bin/sh
# The same requests on 1, 2, 4 and 8 ranks, through shared memory and through MPI, on every instruction set that this machine has,
# and with the host running ahead: the same tokens, in each precision. Precisions differ from one another.
# usage: same_on_any_ranks.sh TEST_DETERMINISM
set -eu
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT

# compare PRECISION: all runs of one precision
compare() {
    n=0
    for cpu in avx512 avx2; do
        for ranks in 1 2 4 $([ $cpu = avx2 ] && echo 8); do
            file=$directory/$1.$cpu.$ranks
            ahead=$([ $ranks = 2 ] && echo on || echo off)
            collective=$([ $ranks = 4 ] && echo mpi || echo shm)
            if MILLRACE_TEST_COLLECTIVE=$collective MILLRACE_PRECISION=$1 MILLRACE_RUN_AHEAD=$ahead MILLRACE_CPU=$cpu MILLRACE_SUM_FILE=$file \
                mpirun -n $ranks --bind-to none "$2" >"$directory/log" 2>&1; then
                n=$((n + 1))
                echo "$1, $cpu, $ranks ranks: $(cat "$file")"
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
    [ "$(cat "$directory/$1".* | sort -u | wc -l)" = 1 ] || { echo "$1: the texts differ"; exit 1; }
}

precisions="f32 bf16 int8"
for precision in $precisions; do
    compare "$precision" "$1"
done
[ "$(cat "$directory"/*.* | sort -u | wc -l)" = "$(echo "$precisions" | wc -w)" ] || { echo "two precisions give the same texts"; exit 1; }
