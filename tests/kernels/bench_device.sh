#!/bin/sh
# The device benchmark runs every operation and prints a whole row for each. usage: bench_device.sh BENCH_DEVICE
set -eu
out=$("$1" --backend cpu --size nano --batch 1,2 --length 37 --seconds 0.002 --quick)
rows=$(printf '%s\n' "$out" | grep -cE '^nano,auto,[12],[a-z_+ ]+,"[^"]+",[0-9.]+,[0-9.]+,[0-9.]+,[0-9.]+,[0-9.]*$')
[ "$rows" = 20 ] || { printf 'expected 20 rows, got %s:\n%s\n' "$rows" "$out"; exit 1; }
for wrong in "--size huge" "--batch 0" "--batch 1,,2" "--precision f16"; do
    # shellcheck disable=SC2086
    if "$1" --backend cpu --quick $wrong >/dev/null 2>&1; then
        echo "accepted: $wrong"
        exit 1
    fi
done
