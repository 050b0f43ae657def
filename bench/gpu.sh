#!/bin/sh
# Measures this machine's GPU: builds, runs the GPU tests, then times in one run the card's own ceilings, every operation
# against its floor, whole texts, and the same model in PyTorch. Needs no network. Everything goes to one directory, with a
# report in Markdown at the end.
#
#   bench/gpu.sh                          all of it, about half an hour on an H100
#   bench/gpu.sh --sizes 0.17B --batches 1,32 --no-peer
#   bench/gpu.sh --backend cpu --quick    tries this script where there is no GPU
#
# Exit codes: 0 everything ran; 1 something failed (the report says what); 2 bad usage; 77 no GPU here.
set -u

usage() {
    sed -n '2,11s/^# \{0,1\}//p' "$0"
    cat <<'END'

Options:
  --build DIR        build directory [build/gpu]
  --no-build         take the programs that are there
  --out DIR          where results go [build/gpu-results/DATE]
  --sizes A,B        models with random weights [0.17B,1.3B,1.7B]
  --batches N,N      texts in a batch [1,8,32,128]
  --precisions A,B   of Millrace [bf16,fp8]
  --length N         tokens of a text [1024]
  --steps N          refinement steps [8]
  --backend NAME     [cuda]
  --no-tests         leave out the GPU tests and compute-sanitizer
  --no-peer          leave out PyTorch
  --python PROGRAM   a Python with PyTorch [python3]
  --quick            tiny sizes: to try the script, not to measure
END
}

cd "$(dirname "$0")/.." || exit 1
build=build/gpu out=build/gpu-results/$(date -u +%Y%m%d-%H%M%S) sizes=0.17B,1.3B,1.7B batches=1,8,32,128 precisions=bf16,fp8
length=1024 steps=8 backend=cuda python=python3 make=1 tests=1 peer=1 quick= seconds=0.2
while [ $# -gt 0 ]; do
    case $1 in
    --build | --out | --sizes | --batches | --precisions | --length | --steps | --backend | --python)
        [ $# -ge 2 ] || { echo "gpu.sh: $1 needs a value" >&2; exit 2; }
        name=${1#--}
        eval "$name=\$2"
        shift
        ;;
    --no-build) make= ;;
    --no-tests) tests= ;;
    --no-peer) peer= ;;
    --quick) quick=--quick sizes=nano batches=1,2 precisions=auto length=64 seconds=0.002 ;;
    -h | --help) usage; exit 0 ;;
    *) echo "gpu.sh: $1 is no option; --help lists them" >&2; exit 2 ;;
    esac
    shift
done

if [ "$backend" = cuda ] && ! nvidia-smi -L >/dev/null 2>&1; then
    echo "skipped: no GPU here (nvidia-smi finds none); gpu.sh --backend cpu --quick tries the script without one" >&2
    exit 77
fi
mkdir -p "$out" || exit 1
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
failed=0

# part TITLE COMMAND...: runs it, keeps what it says on standard error, notes how it ended. Standard output is the caller's.
part() {
    title=$1
    shift
    printf '== %s\n' "$title" >&2
    began=$(date +%s)
    if "$@" 2>"$out/last.err"; then verdict=ok; else verdict="failed ($?)"; failed=1; fi
    cat "$out/last.err" >>"$out/errors.log"
    [ "$verdict" = ok ] || tail -n 5 "$out/last.err" >&2
    printf '%s\t%s\t%s s\n' "$title" "$verdict" "$(($(date +%s) - began))" | tee -a "$out/parts.tsv" >&2
}

describe() {
    git rev-parse HEAD 2>/dev/null || echo "commit unknown"
    date -u +%Y-%m-%dT%H:%MZ
    nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,power.limit --format=csv,noheader 2>/dev/null ||
        grep -m1 'model name' /proc/cpuinfo
    nvcc --version 2>/dev/null | tail -n 1
}

build_all() {
    cmake --preset release -B "$build" -DMILLRACE_CUDA=ON && cmake --build "$build" -j "$(nproc)"
}

# A bundle (bench/bundle.sh) has no CTest; its tests are the same programs.
run_tests() {
    if [ -f "$build/CTestTestfile.cmake" ]; then
        ctest --test-dir "$build" -L gpu --timeout 300 --output-on-failure
    else
        "$build/tests/test_any" cuda && MILLRACE_TEST_BACKEND=cuda "$build/tests/test_steps_device"
    fi
}

sanitize() {
    compute-sanitizer --tool "$1" --error-exitcode 1 "$build/tests/test_any" cuda
}

make_model() {
    mkdir -p "$(dirname "$1")"
    [ -f "$1/config.json" ] || "$build/bin/millrace" random --dtype bf16 "$2" "$1"
}

kernels() {
    "$build/bin/bench_device" --backend "$backend" --precision "$2" --size "$1" --batch "$batches" --length "$length" \
        --seconds "$seconds" $quick
}

texts() {
    "$build/bin/millrace-worker" --bench --backend "$backend" --model "$1" --precision "$2" --batch "$3" --length "$length" \
        --steps "$steps"
}

torch() {
    "$python" bench/peer_torch.py --model "$1" --batch "$batches" --length "$length" --steps "$steps"
}

describe >"$out/machine.txt"
[ -z "$make" ] || part "build" build_all >"$out/build.log"
if [ -n "$tests" ]; then
    part "tests (ctest -L gpu)" run_tests >"$out/tests.log"
    for tool in memcheck racecheck; do
        command -v compute-sanitizer >/dev/null && [ "$backend" = cuda ] &&
            part "compute-sanitizer $tool" sanitize $tool >"$out/sanitizer-$tool.log"
    done
fi
for size in $(echo "$sizes" | tr , ' '); do
    model=$build/models/random-$size
    part "weights $size" make_model "$model" "$size" >/dev/null
    for precision in $(echo "$precisions" | tr , ' '); do
        [ "$size" = 1.7B ] || part "operations $size $precision" kernels "$size" "$precision" >"$out/kernels-$size-$precision.csv"
        for batch in $(echo "$batches" | tr , ' '); do
            part "texts $size $precision batch $batch" texts "$model" "$precision" "$batch" >>"$out/texts-$precision.jsonl"
        done
    done
    [ -z "$peer" ] || part "pytorch $size" torch "$model" >>"$out/peer.jsonl"
done
rm -f "$out/last.err"
part "report" "$python" bench/gpu_report.py "$out" >"$out/report.md"
echo "results: $out/report.md" >&2
exit $failed
