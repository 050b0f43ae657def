#!/bin/sh
# The device benchmark runs every operation and prints a whole row for each, on a CPU and, where it is built, on the emulated GPU
# in both formats. usage: bench_device.sh BENCH_DEVICE [EMULATED_MODULE]
set -eu
if [ -n "${2:-}" ]; then
    for precision in bf16 fp8; do
        rows=$(MILLRACE_CUDA_MODULE=$2 "$1" --backend cuda --precision $precision --size nano --batch 1,2 --length 9 --seconds 0.001 --quick | grep -c "^nano,$precision,")
        [ "$rows" = 20 ] || { echo "cuda $precision: expected 20 rows, got $rows"; exit 1; }
    done
fi
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
