#!/bin/bash
# What `millrace` says to a command line that is wrong, or that needs no cluster: exit code and sentence.
set -u
millrace=$MILLRACE_BIN/millrace
unset MILLRACE_ENDPOINT MILLRACE_MODEL
failures=0
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
nowhere=$here/nowhere

# expect CODE PATTERN command...: the exit code, and a line of output or errors that matches (grep -E)
expect() {
    local code=$1 pattern=$2 output actual
    shift 2
    output=$("$@" 2>&1 </dev/null)
    actual=$?
    if [ "$actual" != "$code" ] || ! grep -qE -- "$pattern" <<<"$output"; then
        echo "FAILED: $* gave $actual, not $code, or no line matches '$pattern':"
        sed 's/^/    /' <<<"$output"
        failures=$((failures + 1))
    fi
}

expect 0 'millrace generate "Once upon a time"' "$millrace"
expect 0 '^  generate ' "$millrace" --help
expect 0 '^millrace [0-9]+\.[0-9]+\.[0-9]+$' "$millrace" version
expect 0 '^millrace [0-9]+\.[0-9]+\.[0-9]+$' "$millrace" --version
for command in generate serve status tokenize convert random inspect bench eval verify; do
    expect 0 "^Usage: millrace $command" "$millrace" "$command" --help
    expect 0 "^Usage: millrace $command" "$millrace" help "$command"
done
expect 2 "there is no command 'genrate'; did you mean .millrace generate.\?" "$millrace" genrate
expect 2 "there is no command 'xyzzy'; .millrace help. lists them" "$millrace" xyzzy
expect 2 "there is no command 'serv'; did you mean .millrace serve" "$millrace" help serv

expect 2 'unknown option --lenght; did you mean --length\?' "$millrace" generate --lenght 5
expect 2 '--steps needs a whole number from 1 to' "$millrace" generate --steps 0
expect 2 "not 'auto:4-'" "$millrace" generate --steps auto:4-
expect 2 '--priority is high, normal or low' "$millrace" generate --priority urgent
expect 2 '--temperature is 0; it must be from 0.01 to 100' "$millrace" generate --temperature 0
expect 2 "--seed needs a whole number from 0 to 2\^64 - 1, not '-1'" "$millrace" generate --seed -1 x
expect 2 "not '18446744073709551616'" "$millrace" generate --seed 18446744073709551616 x
expect 2 'one too many' "$millrace" generate once upon
expect 2 'the text has no gap' "$millrace" generate --infill 'no gap'
expect 2 'the gap ___0___ must have' "$millrace" generate --infill 'a ___0___ b'
expect 2 'takes no prompt beside it' "$millrace" generate --infill '___' prompt
expect 2 'only one of them' "$millrace" generate --file x prompt
expect 2 '--json or --json-frames' "$millrace" generate --json --json-frames x
expect 2 "$nowhere/x: No such file" "$millrace" generate --file "$nowhere/x"
expect 2 'is not valid UTF-8: byte 0xFF at offset 1' "$millrace" generate $'a\xff'
expect 2 "there is no command 'a\?b\?\[31m'" "$millrace" $'a\001b\033[31m'
expect 2 "not 'x\?\]0;t\?'" "$millrace" generate --length $'x\033]0;t\007' y
# A file's byte order mark and its last line break, of Windows too, are not the text's; - is standard input, for --file too.
ids=$("$millrace" tokenize --ids hi)
for file in 'hi' 'hi\n' 'hi\r\n' '\xef\xbb\xbfhi\r\n'; do
    for operand in - --file=- --file=/dev/stdin; do
        [ "$(printf "$file" | "$millrace" tokenize --ids "$operand")" = "$ids" ] && continue
        echo "FAILED: tokenize $operand of '$file' is not that of 'hi'"
        failures=$((failures + 1))
    done
done

expect 2 '--ranks 1,x: must be' "$millrace" bench --ranks 1,x
expect 2 '--ranks 0: must be' "$millrace" bench --ranks 0

# Addresses are read where they are typed: no library guesses a port.
expect 2 '--endpoint: "127.0.0.1" is no address: the port is missing' "$millrace" status --endpoint 127.0.0.1
expect 2 '-e: "127.0.0.1:99999" is no address: a port is at most 65535' "$millrace" generate -e 127.0.0.1:99999 x
expect 2 'MILLRACE_ENDPOINT: "::1:7077" is no address: an IPv6 address stands in brackets' \
    env MILLRACE_ENDPOINT=::1:7077 "$millrace" tokenize x
coordinator=$MILLRACE_BIN/millrace-coordinator worker=$MILLRACE_BIN/millrace-worker
expect 2 '--listen: "127.0.0.1" is no address: the port is missing' "$coordinator" --model "$nowhere" --listen 127.0.0.1
expect 2 '-l: "127.0.0.1:" is no address: the port is missing' "$coordinator" --model "$nowhere" -l 127.0.0.1:
expect 2 '--listen: "127.0.0.1:99999" is no address' "$coordinator" --model "$nowhere" --listen 127.0.0.1:99999
expect 2 '--http: "9464" is no address: the port is missing' "$coordinator" --model "$nowhere" --http 9464
expect 2 '--coordinator: "10.0.0.1" is no address' "$worker" --model "$nowhere" --coordinator 10.0.0.1

# Nobody listens at port 1.
expect 1 'UNAVAILABLE' "$millrace" status --endpoint 127.0.0.1:1
expect 1 'millrace serve' "$millrace" status --endpoint 127.0.0.1:1
expect 1 'UNAVAILABLE' "$millrace" generate --endpoint 127.0.0.1:1 x
expect 1 'UNAVAILABLE' env MILLRACE_ENDPOINT=127.0.0.1:1 "$millrace" generate x
expect 1 'UNAVAILABLE' "$millrace" tokenize --endpoint 127.0.0.1:1 x
expect 1 "$nowhere is no model directory" "$millrace" generate --model-dir "$nowhere" x
expect 1 "$nowhere is no model directory" "$millrace" tokenize --model-dir "$nowhere" x
expect 1 "$nowhere is no model directory" "$millrace" bench --model-dir "$nowhere"

# A model's directory that is typed wins over an endpoint of the environment; both typed is a mistake.
for command in generate tokenize eval; do
    expect 2 'only one of them' "$millrace" "$command" --endpoint 127.0.0.1:1 --model-dir "$nowhere"
    expect 2 'only one of them' env MILLRACE_ENDPOINT=127.0.0.1:2 "$millrace" "$command" -e 127.0.0.1:1 --model-dir "$nowhere"
    expect 1 "$nowhere is no model directory" env MILLRACE_ENDPOINT=127.0.0.1:1 "$millrace" "$command" --model-dir "$nowhere"
done
expect 1 'UNAVAILABLE' env MILLRACE_ENDPOINT=127.0.0.1:1 MILLRACE_MODEL="$nowhere" "$millrace" generate x

# The worker behind inspect --plan takes what inspect takes.
expect 2 'millrace inspect: --batch is 4097; it must be from 1 to 4096' "$millrace" inspect --plan --batch 4097 "$nowhere"
expect 1 "millrace-worker: .*$nowhere" "$millrace" inspect --plan --batch 4096 --tp 64 --length 1048576 "$nowhere"

# Tokenizing without a cluster: a directory with a config and a tokenizer is enough.
model=$here/model
mkdir "$model"
cp "$MILLRACE_SHARED/models/books-mini/tokenizer.json" "$model"
cat >"$model/config.json" <<'END'
{ "format": "millrace-1", "name": "words", "architecture": "fs-dfm", "vocabulary": 2048, "hidden": 192, "heads": 4,
  "blocks": 4, "condition": 64, "source": "uniform", "scheduler": {"type": "polynomial", "exponent": 1},
  "trained_length": 128, "max_length": 1024, "default_steps": 8, "max_steps": 1024 }
END
expect 0 '^ *[0-9]+  "Once"$|^ *[0-9]+  "O' "$millrace" tokenize --model-dir "$model" 'Once upon'
expect 0 '^2047$' "$millrace" tokenize --ids --model-dir "$model" '<|endoftext|>'
expect 0 '"\\n"$' "$millrace" tokenize --model-dir "$model" $'\n'
expect 0 '"ids": \[' "$millrace" tokenize --json --model-dir "$model" 'é'
expect 0 '^$' "$millrace" tokenize --ids --model-dir "$model"
piped=$(printf 'Once upon\n' | "$millrace" tokenize --ids --model-dir "$model")
typed=$("$millrace" tokenize --ids --model-dir "$model" 'Once upon')
[ -n "$piped" ] && [ "$piped" = "$typed" ] || { echo "FAILED: piped '$piped', typed '$typed'"; failures=$((failures + 1)); }

[ "$failures" = 0 ] && echo "all command lines answered as they should"
exit $((failures > 0))
