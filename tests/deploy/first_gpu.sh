#!/bin/sh
# bench/first_gpu.sh from end to end, tiny: all parts on the CPU; on the emulated GPU; a part that hangs, one that fails, and going on
# from what an earlier call left. usage: first_gpu.sh BUILD_DIRECTORY SOURCE_DIRECTORY
set -eu
build=$(cd "$1" && pwd) source=$(cd "$2" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
    echo "$*"
    cat "$work"/*/parts.tsv "$work"/*/errors.log 2>/dev/null
    exit 1
}
verdict() { # DIRECTORY PART
    awk -F '\t' -v name="$2" '$1 == name { v = $2 } END { print v }' "$work/$1/parts.tsv"
}
run() { # DIRECTORY OPTIONS...
    out=$work/$1
    shift
    "$source/bench/first_gpu.sh" --build "$build" --out "$out" --quick --golden "$work/none" --python /usr/bin/python3 "$@" >"$work/said" 2>&1
}

run cpu --backend cpu || fail "on the CPU"
for part in machine tests-own texts-1.3B-32 texts-1.3B-1 operations-1.3B texts-1.7B-32; do
    [ "$(verdict cpu $part)" = ok ] || fail "cpu, $part: $(verdict cpu $part)"
done
[ "$(find "$work/cpu" -type f | wc -l)" -le 8 ] || fail "more than eight files: $(ls "$work/cpu")"
grep -q '^| 1.3B | f32 | 2 |' "$work/cpu/report.md" || fail "no texts in the report: $(cat "$work/cpu/report.md")"
grep -q '| head_scan |' "$work/cpu/report.md" || fail "no operations in the report"

# Going on: what ended well is not run again, one part is wanted.
run more --backend cpu --before "$work/cpu" --parts texts-1.3B-1,texts-1.3B-8 || fail "going on"
grep -q 'texts-1.3B-8 .*ok' "$work/said" || fail "nothing was run: $(cat "$work/said")"
[ "$(grep -c 'texts-1.3B-1	' "$work/more/parts.tsv")" = 1 ] || fail "a part was run again"

# No time for anything; a build whose worker fails, and one whose tests hang: the table is there all the same.
run late --backend cpu --seconds 3 || fail "without time"
[ "$(verdict late texts-1.3B-32)" = "no time left" ] || fail "a part was begun without time"
mkdir -p "$work/broken/bin" "$work/broken/tests"
printf '#!/bin/sh\necho "it is broken" >&2\nexit 3\n' >"$work/broken/bin/millrace-worker"
ln -s "$build/bin/millrace" "$build/bin/bench_device" "$work/broken/bin/"
printf '#!/bin/sh\nsleep 100 & wait\n' >"$work/broken/tests/test_any"
chmod +x "$work/broken/bin/millrace-worker" "$work/broken/tests/test_any"
FIRST_GPU_LIMIT=2 "$source/bench/first_gpu.sh" --build "$work/broken" --backend cpu --quick --out "$work/bad" --python /usr/bin/python3 \
    --golden "$work/none" --parts tests-own,texts-1.3B-1,operations-1.3B >"$work/said" 2>&1 && fail "all is said to be well"
case $(verdict bad tests-own) in "stopped after its limit of 2 s") ;; *) fail "a hang: $(verdict bad tests-own)" ;; esac
case $(verdict bad texts-1.3B-1) in "failed (1): it is broken") ;; *) fail "a failure: $(verdict bad texts-1.3B-1)" ;; esac
grep -q '| tests-own | stopped' "$work/bad/report.md" || fail "no table: $(cat "$work/bad/report.md")"

# A bundle's own surroundings, whatever the shell: its env.sh as bench/bundle.sh writes it.
mkdir -p "$work/bundled/bin"
sed -n '/^cat >"$out\/env.sh"/,/^END$/p' "$source/bench/bundle.sh" | sed '1d;$d' >"$work/bundled/env.sh"
printf '#!/bin/sh\necho "prefix $OPAL_PREFIX"\n' >"$work/bundled/bin/millrace-worker"
chmod +x "$work/bundled/bin/millrace-worker"
"$source/bench/first_gpu.sh" --build "$work/bundled" --backend cpu --quick --out "$work/surroundings" --python /usr/bin/python3 --parts machine \
    >"$work/said" 2>&1 || fail "a bundle"
grep -q "^prefix $work/bundled/openmpi$" "$work/surroundings/machine.txt" || fail "the bundle's place: $(cat "$work/surroundings/machine.txt")"

module=$build/lib/libmillrace_cuda_emulated.so
[ -f "$module" ] || exit 0
MILLRACE_CUDA_MODULE=$module run gpu --parts machine,texts-1.3B-1,phases-1.3B-1 || fail "on the emulated GPU"
grep -q '^| 1.3B | bf16 | 1 |' "$work/gpu/report.md" || fail "no texts of the emulated GPU: $(cat "$work/gpu/report.md")"
grep -q '^- GPU 0 of 1 at ' "$work/gpu/report.md" || fail "the report does not say which GPU it was"
grep -q '^| model | batch | products | attention |' "$work/gpu/report.md" || fail "the report does not say where the time goes"
