#!/bin/bash
# `millrace generate` and its private cluster, with a stand-in for the coordinator: what comes out, and that nothing is left.
set -u
fake=$1
here=$(mktemp -d)
trap 'rm -r "$here"' EXIT
cp "$MILLRACE_BIN/millrace" "$here/millrace"
cp "$fake" "$here/millrace-coordinator"
mkdir "$here/model"
echo '{}' >"$here/model/config.json"
unset MILLRACE_ENDPOINT
export MILLRACE_MODEL= FAKE_PID=$here/pid TERM=xterm-256color
generate=("$here/millrace" generate --model-dir "$here/model")
failures=0

check() { # WHAT ACTUAL EXPECTED
    [ "$2" = "$3" ] && return
    echo "FAILED: $1: '$2' instead of '$3'"
    failures=$((failures + 1))
}

contains() { # WHAT TEXT PATTERN
    grep -qE -- "$3" <<<"$2" && return
    echo "FAILED: $1: no line matches '$3' in: $2"
    failures=$((failures + 1))
}

# Waits until the command given is true.
await() {
    local deadline=$((SECONDS + 30))
    until "$@"; do
        [ $SECONDS -lt $deadline ] || { echo "FAILED: waited too long for: $*"; failures=$((failures + 1)); return 1; }
        read -rt 0.05 <> <(:)
    done
}
is_gone() { ! kill -0 "$1" 2>/dev/null || [ "$(ps -o stat= -p "$1" | cut -c1)" = Z ]; }
has_pid() { [ -e "$FAKE_PID" ]; }
check_nothing_left() { # WHAT
    await has_pid && await is_gone "$(cat "$FAKE_PID")"
    rm -f "$FAKE_PID"
}

output=$("${generate[@]}" hello 2>"$here/errors" </dev/null)
check 'piped text' "$output" 'Once upon a time'
check 'remarks' "$(cat "$here/errors")" 'starting a cluster of one machine for this command (2 ranks); keep one running with `millrace serve`'
check_nothing_left 'text'

output=$(echo from a pipe | "${generate[@]}" --json --seed 18446744073709551615 2>/dev/null)
contains 'json' "$output" '"text":"Once upon a time"'
contains 'json' "$output" '"seed":"18446744073709551615"'
check_nothing_left 'json'

output=$("${generate[@]}" --json-frames --infill 'a ___ b' 2>/dev/null)
check 'events' "$(cut -d, -f1 <<<"$output" | tr -d '\n')" '{"event":"accepted"{"event":"frame"{"event":"frame"{"event":"frame"{"event":"finished"'
check_nothing_left 'events'

output=$("${generate[@]}" full 2>&1)
check 'code of a refusal' $? 1
contains 'refusal' "$output" '^millrace generate: RESOURCE_EXHAUSTED: the queue is full: 64 requests wait$'
contains 'refusal' "$output" 'millrace status'
check_nothing_left 'refusal'

output=$("${generate[@]}" cut 2>&1)
check 'code of an answer cut short' $? 1
contains 'cut short' "$output" 'DATA_LOSS: the answer ended before the text was finished'
check_nothing_left 'cut short'

output=$(FAKE_START=fail "${generate[@]}" hello 2>&1)
check 'code of a failed start' $? 1
contains 'failed start' "$output" 'did not start \(exit code 7\)'
contains 'failed start' "$output" '^  \| fake: the model is damaged$'

# What the environment says for clusters that stay does not reach it.
for setting in HTTP=127.0.0.1:1 READY_FILE="$here/ready" TOKENS="$here/none"; do
    check "$setting" "$(env "MILLRACE_$setting" "${generate[@]}" hello 2>/dev/null)" 'Once upon a time'
    check_nothing_left "$setting"
done

# On a terminal: the view, then the plain text.
output=$(script -qec "${generate[*]} hello" /dev/null </dev/null)
contains 'view' "$output" $'\033\\[\\?25h.*Once upon a time'
contains 'view' "$output" 'step 2/2'
contains 'summary' "$output" 'again with --seed 1234567'
check_nothing_left 'view'
output=$(NO_COLOR=1 script -qec "${generate[*]} hello" /dev/null </dev/null)
check 'colours with NO_COLOR' "$(grep -c $'\033\\[[0-9;]*m' <<<"$output")" 0
check_nothing_left 'no colour'
output=$(TERM=dumb script -qec "${generate[*]} hello" /dev/null </dev/null)
check 'control sequences on a dumb terminal' "$(grep -c $'\033' <<<"$output")" 0
check_nothing_left 'dumb'

# A text may hold what commands a terminal. A terminal does not get it, with the view or without; a file gets the text as it is.
for terminal in dumb xterm-256color; do
    output=$(TERM=$terminal script -qec "${generate[*]} rude" /dev/null </dev/null)
    check "a title set on $terminal" "$(grep -c $'\033]' <<<"$output")" 0
    contains "the rest of the text on $terminal" "$output" $'\tOnce'
    contains "its second line on $terminal" "$output" 'again'
    check_nothing_left 'rude'
done
check 'the text in a pipe' "$("${generate[@]}" rude 2>/dev/null)" $'\033]0;mine\007\tOnce\nagain'
check_nothing_left 'rude, piped'

# Ctrl-C, SIGTERM and a death without warning leave no cluster behind.
for signal in INT TERM KILL; do
    bash -c 'trap - INT; exec "$@"' - env --default-signal=INT "${generate[@]}" hang >"$here/out" 2>"$here/errors" </dev/null &
    command=$!
    await has_pid
    kill -$signal $command
    wait $command
    code=$?
    [ $signal = KILL ] || check "code after SIG$signal" $code 130
    [ $signal = KILL ] || contains "SIG$signal" "$(cat "$here/errors")" 'millrace generate: interrupted'
    check_nothing_left "SIG$signal"
done

# Names of replicas and their words go through the same filter.
FAKE_RUDE=1 "$here/millrace-coordinator" --model x --ready-fd 3 3>"$here/address" &
running=$!
await test -s "$here/address"
for command in status 'restart --all --timeout 1' $'drain --no-wait \033]0;mine\007r0'; do
    output=$("$here/millrace" $command --endpoint "$(cat "$here/address")" 2>&1)
    check "code of $command" $? $([[ $command != restart* ]]; echo $?) # it never becomes ready again
    check "control sequences of $command" "$(grep -c $'\033\|\007' <<<"$output")" 0
    contains "a name in $command" "$output" '\?]0;mine\?'
done
kill $running
wait $running
rm -f "$FAKE_PID" "$here/address"

# A cluster that runs already.
"$here/millrace-coordinator" --model x --ready-fd 3 3>"$here/address" &
running=$!
await test -s "$here/address"
export MILLRACE_ENDPOINT=$(cat "$here/address")
check 'a running cluster' "$("$here/millrace" generate hello 2>&1 </dev/null)" 'Once upon a time'
contains 'status' "$("$here/millrace" status)" '^cluster   127.0.0.1:[0-9]+, version fake'
contains 'status' "$("$here/millrace" status --json)" '"replicas": \[\]'
check 'tokenize' "$("$here/millrace" tokenize x)" '     42  "piece"'
check 'tokenize' "$("$here/millrace" tokenize --ids x)" '42'
kill $running
wait $running
output=$("$here/millrace" generate hello 2>&1 </dev/null)
check 'code without a cluster' $? 1
contains 'without a cluster' "$output" 'UNAVAILABLE'
rm -f "$FAKE_PID"

# serve becomes the coordinator, with the model found.
cat >"$here/millrace-coordinator" <<'END'
#!/bin/bash
echo "$@"
END
check 'serve' "$("$here/millrace" serve --ranks 3 --model "$here/model")" "--ranks 3 --model $here/model"
check 'serve' "$("$here/millrace" serve --spawn=0 --model=m)" '--spawn=0 --model=m'
check 'serve' "$(MILLRACE_MODEL=$here/model "$here/millrace" serve)" "--model $here/model"

[ "$failures" = 0 ] && echo "generate does what it should, and leaves nothing behind"
exit $((failures > 0))
