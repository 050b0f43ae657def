#!/bin/sh
# Everything that a GPU has to tell, the most valuable first, within a time that is given. Every part has a limit of its own, and what
# is known so far is always on the disk: a part that fails or hangs takes nothing with it. At the end, a report with a table.
#
#   bench/first_gpu.sh --bundle millrace.tar.xz --out results      a bare machine: what bench/bundle.sh --pack made
#   bench/first_gpu.sh --build build/release --out results         a machine that has built it
#   bench/first_gpu.sh ... --out more --before results             goes on: parts that ended well there are not run again
#   bench/first_gpu.sh --build build/release --backend cpu --quick  tries the script where there is no GPU
#
# Exit codes: 0 all parts that had time ended well; 1 one failed (the table says which); 2 bad usage; 77 no GPU here.
set -u

usage() {
    sed -n '2,10s/^# \{0,1\}//p' "$0"
    cat <<'END'

Options:
  --bundle FILE      a packed bundle (bench/bundle.sh --pack), unpacked into a temporary directory
  --build DIR        programs that are there [build/release]
  --out DIR          where results go, eight files at most [gpu-results]
  --before DIR       results of an earlier call, to go on from
  --seconds N        when to stop; parts that would not end by then are left for another call [560]
  --parts A,B        only these (their names are in the table)
  --golden DIR       golden vectors [those of the bundle]
  --python PROGRAM   a Python with PyTorch [python3]
  --backend NAME     [cuda]
  --quick            tiny sizes: to try the script, not to measure
END
}

cd "$(dirname "$0")/.." || exit 1
bundle='' build=build/release out=gpu-results before='' seconds=560 parts='' golden='' python=python3 backend=cuda quick=''
while [ $# -gt 0 ]; do
    case $1 in
    --bundle | --build | --out | --before | --seconds | --parts | --golden | --python | --backend)
        [ $# -ge 2 ] || { echo "first_gpu.sh: $1 needs a value" >&2; exit 2; }
        name=${1#--}
        eval "$name=\$2"
        shift
        ;;
    --quick) quick=--quick ;;
    -h | --help) usage; exit 0 ;;
    *) echo "first_gpu.sh: $1 is no option; --help lists them" >&2; exit 2 ;;
    esac
    shift
done
case $seconds in '' | *[!0-9]*) echo "first_gpu.sh: --seconds $seconds: it must be a number" >&2; exit 2 ;; esac
[ -z "$before" ] || [ -f "$before/parts.tsv" ] || { echo "first_gpu.sh: --before $before: no parts.tsv there" >&2; exit 2; }
if [ "$backend" = cuda ] && [ -z "${MILLRACE_CUDA_MODULE:-}" ] && ! nvidia-smi -L >/dev/null 2>&1; then
    echo "skipped: no GPU here (nvidia-smi finds none); first_gpu.sh --backend cpu --quick tries the script without one" >&2
    exit 77
fi

started=$(date +%s)
work=$(mktemp -d) || exit 1
maker=''
trap '[ -z "$maker" ] || kill "$maker" 2>/dev/null; rm -rf "$work"' EXIT
mkdir -p "$out" || exit 1
out=$(cd "$out" && pwd)
[ -z "$before" ] || cp "$before"/* "$out/"
touch "$out/parts.tsv"
failed=0

# ---- where the programs are; libraries of the bundle are for its programs alone ----
if [ -n "$bundle" ]; then
    tar -xf "$bundle" -C "$work" || { echo "first_gpu.sh: --bundle $bundle cannot be unpacked" >&2; exit 2; }
    build=$work/bundle
fi
[ -x "$build/bin/millrace-worker" ] || { echo "first_gpu.sh: no bin/millrace-worker in $build; build it, or give --bundle" >&2; exit 2; }
build=$(cd "$build" && pwd)
[ -n "$golden" ] || golden=$build/golden
ours() {
    if [ -f "$build/env.sh" ]; then
        (MILLRACE_BUNDLE=$build && . "$build/env.sh" && exec "$@")
    else
        OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 "$@"
    fi
}

sizes() { # the name of a size, in a trial the smallest
    if [ -n "$quick" ]; then echo nano; else echo "$1"; fi
}
length=1024 steps=8 op_seconds=0.1 precision=bf16 low=fp8
[ -z "$quick" ] || { length=16 steps=2 op_seconds=0.001; }
[ "$backend" != cpu ] || { precision=f32 low=f32; }

# ---- running a part ----
left() {
    echo $((seconds - ($(date +%s) - started)))
}

note() { # NAME VERDICT SECONDS
    printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>"$out/parts.tsv"
    printf '%4d s  %-28s %s, %s s\n' "$(($(date +%s) - started))" "$1" "$2" "$3" >&2
}

is_wanted() {
    [ -z "$parts" ] || case ,$parts, in *",$1,"*) ;; *) return 1 ;; esac
    ! awk -F '\t' -v name="$1" '$1 == name && $2 == "ok" { found = 1 } END { exit !found }' "$out/parts.tsv"
}

# part NAME LIMIT FILE COMMAND...: what the command prints is added to FILE, what it complains about to errors.log. The command may
# say 77: it cannot run here. A part whose limit does not fit into the time that is left is not begun.
part() {
    name=$1 limit=$2 file=$3
    shift 3
    is_wanted "$name" || return 0
    limit=${FIRST_GPU_LIMIT:-$limit} # for the test of this script
    if [ "$limit" -gt "$(left)" ]; then
        note "$name" "no time left" 0
        return 0
    fi
    began=$(date +%s)
    timed "$limit" "$@" >"$work/out" 2>"$work/err"
    code=$?
    { echo "== $name"; cat "$work/err"; } >>"$out/errors.log"
    cat "$work/out" >>"$out/$file"
    case $code in
    0) verdict=ok ;;
    77) verdict="skipped: $(tail -n 1 "$work/err" | tr '\t' ' ')" ;;
    124 | 137) verdict="stopped after its limit of $limit s" failed=1 ;;
    *) verdict="failed ($code): $(tail -n 1 "$work/err" | cut -c 1-160 | tr '\t' ' ')" failed=1 ;;
    esac
    note "$name" "$verdict" "$(($(date +%s) - began))"
    report
}

# timed LIMIT COMMAND...: a function of ours or a program, in a process group of its own that ends with it.
timed() {
    limit_of=$1
    shift
    ("$@") &
    child=$!
    (sleep "$limit_of" && kill_tree "$child") 2>/dev/null &
    guard=$!
    wait "$child" 2>/dev/null
    code_of=$?
    kill_below "$guard" # its sleep: then it ends by itself
    wait "$guard" 2>/dev/null
    return $code_of
}

kill_below() {
    for below in $(cat /proc/"$1"/task/*/children 2>/dev/null); do
        kill_tree "$below"
    done
}

# A process and all below it, the lowest first.
kill_tree() {
    kill_below "$1"
    kill -9 "$1" 2>/dev/null
}

report() {
    "$python" bench/first_gpu_report.py "$out" >"$work/report" 2>/dev/null && cp "$work/report" "$out/report.md"
}

# ---- the parts ----
machine() {
    { git rev-parse HEAD 2>/dev/null || cat "$build/commit" 2>/dev/null || echo "commit unknown"; } | head -n 1
    date -u +%Y-%m-%dT%H:%MZ
    nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,power.limit --format=csv,noheader 2>/dev/null ||
        grep -m1 'model name' /proc/cpuinfo
    ours ldd "$build/bin/millrace-worker" | grep 'not found' >&2 && return 1
    ours "$build/bin/millrace-worker" --devices --backend "$backend"
}

make_models() { # in the background: they are wanted in this order
    for size in $(sizes 1.3B) $(sizes 0.17B) $(sizes 1.7B); do
        [ -f "$work/models/$size/done" ] && continue
        mkdir -p "$work/models"
        ours "$build/bin/millrace" random --dtype bf16 "$size" "$work/models/$size.new" &&
            mv "$work/models/$size.new" "$work/models/$size" && touch "$work/models/$size/done"
    done >"$work/models.log" 2>&1
}

# model SIZE: waits until it is made, and prints where it is.
model() {
    size=$(sizes "$1")
    while [ ! -f "$work/models/$size/done" ]; do
        kill -0 "$maker" 2>/dev/null || { tail -n 2 "$work/models.log" >&2; echo "the model $size could not be made" >&2; return 1; }
        sleep 0.2
    done
    echo "$work/models/$size"
}

tests() { # PRODUCTS SUITE...: the kernels' tests with our own products, or the library's
    [ -x "$build/tests/test_any" ] || { echo "no tests/test_any in $build" >&2; return 77; }
    products=$1
    shift
    [ -n "$*" ] || [ -z "$quick" ] || set -- device
    [ "$backend" != cuda ] || [ -n "${MILLRACE_CUDA_MODULE:-}" ] || export MILLRACE_CUDA_MATMUL="$products"
    [ -z "${1:-}" ] || export CK_RUN_SUITE="$1"
    ours "$build/tests/test_any" "$backend"
}

golden_vectors() {
    [ -d "$golden" ] || { echo "no golden vectors in $golden" >&2; return 77; }
    ours "$build/bin/millrace-worker" --verify "$golden" --backend "$backend" --precision f32 --only "$1"
}

texts() { # SIZE BATCH PRECISION [NAME=VALUE, or --phases]
    directory=$(model "$1") || return 1
    batch=$2
    [ -z "$quick" ] || [ "$batch" = 1 ] || batch=2
    option=''
    case ${4:-} in
    --*) option=$4 ;;
    ?*) export "$4" ;;
    esac
    ceiling=$(grep -h "\"precision\":\"$3\"" "$out/texts.jsonl" 2>/dev/null | sed -n 's/.*"ceiling_gflops":\([0-9.]*\).*/\1/p' | head -n 1)
    ours "$build/bin/millrace-worker" --bench --backend "$backend" --model "$directory" --precision "$3" --batch "$batch" \
        --length "$length" --steps "$steps" $option ${ceiling:+--ceiling "$ceiling"} >"$work/line" || return 1
    sed "s/^{/{\"size\":\"$1\",\"precision\":\"$3\",\"with\":\"${4:-}\",\"asked_batch\":$2,/" "$work/line"
}

peer() { # SIZE BATCHES
    "$python" -c 'import torch' 2>/dev/null || { echo "no PyTorch in $python" >&2; return 77; }
    directory=$(model "$1") || return 1
    [ -z "$quick" ] || set -- "$1" 1
    device=$backend
    "$python" bench/peer_torch.py --model "$directory" --batch "$2" --length "$length" --steps "$steps" --device "$device" >"$work/line"
    code_of_peer=$?
    sed "s/^{/{\"size\":\"$1\",/" "$work/line"
    return $code_of_peer
}

operations() { # SIZE BATCHES PRECISION
    [ -z "$quick" ] || set -- "$1" 1,2 "$3"
    ours "$build/bin/bench_device" --backend "$backend" --precision "$3" --size "$(sizes "$1")" --batch "$2" --length "$length" \
        --seconds "$op_seconds" $quick
}

profile() {
    command -v ncu >/dev/null || { echo "no ncu here" >&2; return 77; }
    directory=$(model 1.3B) || return 1
    export MILLRACE_CUDA_GRAPHS=off
    ours env -u LD_PRELOAD ncu --metrics gpu__time_duration.sum --launch-skip 400 --launch-count 500 --csv \
        "$build/bin/millrace-worker" --bench --backend "$backend" --model "$directory" --precision "$precision" --batch 32 \
        --length "$length" --steps 2 --repeats 1 --ceiling 1
}

sanitizer() { # TOOL SUITE
    command -v compute-sanitizer >/dev/null && [ "$backend" = cuda ] && [ -z "${MILLRACE_CUDA_MODULE:-}" ] ||
        { echo "no compute-sanitizer here" >&2; return 77; }
    export CK_RUN_SUITE="$2" MILLRACE_CUDA_MATMUL=own
    ours compute-sanitizer --tool "$1" --error-exitcode 1 "$build/tests/test_any" cuda
}

steps_test() {
    [ -x "$build/tests/test_steps_device" ] || { echo "no tests/test_steps_device in $build" >&2; return 77; }
    [ -d "$golden" ] || { echo "no golden vectors in $golden" >&2; return 77; }
    mkdir -p "$work/shared/golden" && ln -sfn "$golden" "$work/shared/golden/public"
    export MILLRACE_TEST_BACKEND="$backend" MILLRACE_SHARED="$work/shared" MILLRACE_SOURCE="$PWD"
    ours "$build/tests/test_steps_device"
}

make_models &
maker=$!
part machine 20 machine.txt machine
part tests-own 90 tests.log tests own
part golden-forward 60 tests.log golden_vectors forward
part golden-trajectory 60 tests.log golden_vectors trajectories
part texts-1.3B-32 60 texts.jsonl texts 1.3B 32 $precision
part texts-1.3B-1 40 texts.jsonl texts 1.3B 1 $precision
part texts-1.3B-32-own 60 texts.jsonl texts 1.3B 32 $precision MILLRACE_CUDA_MATMUL=own
part texts-1.3B-1-no-graphs 40 texts.jsonl texts 1.3B 1 $precision MILLRACE_CUDA_GRAPHS=off
part peer-1.3B 150 texts.jsonl peer 1.3B 32,1
part tests-library 90 tests.log tests cublaslt
part operations-1.3B 90 operations.csv operations 1.3B 1,32 $precision
part phases-1.3B-32 60 texts.jsonl texts 1.3B 32 $precision --phases
part phases-1.3B-1 40 texts.jsonl texts 1.3B 1 $precision --phases
part profile-1.3B 60 profile.csv profile
part memcheck-attention 100 tests.log sanitizer memcheck "attention, any backend"
part texts-1.3B-32-low 60 texts.jsonl texts 1.3B 32 $low
part racecheck-head 100 tests.log sanitizer racecheck "head, any backend"
part texts-0.17B-1 40 texts.jsonl texts 0.17B 1 $precision
part texts-0.17B-32 40 texts.jsonl texts 0.17B 32 $precision
part peer-0.17B 150 texts.jsonl peer 0.17B 1,32
part texts-1.3B-128 60 texts.jsonl texts 1.3B 128 $precision
part texts-1.7B-32 60 texts.jsonl texts 1.7B 32 $precision
part steps 60 tests.log steps_test
# With more time than a quarter of an hour:
part operations-1.3B-low 90 operations.csv operations 1.3B 1,32 $low
part operations-0.17B 90 operations.csv operations 0.17B 1,8,32,128 $precision
part texts-1.3B-8 40 texts.jsonl texts 1.3B 8 $precision
part texts-0.17B-128 60 texts.jsonl texts 0.17B 128 $precision
part memcheck-head 300 tests.log sanitizer memcheck "head, any backend"
part memcheck-matmul 300 tests.log sanitizer memcheck matmul
part initcheck-attention 300 tests.log sanitizer initcheck "attention, any backend"

report || echo "first_gpu.sh: no Python for the report; parts.tsv and the other files have it all" >&2
echo >&2
awk -F '\t' '{ last[$1] = $0; if (!($1 in place)) { place[$1] = ++n; name[n] = $1 } }
    END { for (i = 1; i <= n; i++) { split(last[name[i]], f, "\t"); printf "%-24s %5s s  %s\n", f[1], f[3], f[2] } }' "$out/parts.tsv"
[ ! -f "$out/report.md" ] || echo "report: $out/report.md"
exit $failed
