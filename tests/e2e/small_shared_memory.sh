#!/bin/bash
# A /dev/shm that is too small or out of inodes, as in a container without --shm-size: the ranks' shared memory goes elsewhere, and
# the reason is one line. Skipped where namespaces are not permitted.
set -u
unshare --mount true 2>/dev/null || { echo "skipped: no mount namespaces here"; exit 77; }
failures=0
for options in size=64k size=4m nr_inodes=2; do
    output=$(unshare --mount sh -c 'mount -t tmpfs -o "$1" shm /dev/shm && shift && exec "$@"' - "$options" \
        "$MILLRACE_BIN/millrace" bench --ranks 2 --threads 1 --length 64 --steps 1 --repeats 1 \
        --model-dir "$MILLRACE_SOURCE/models/books-mini" 2>&1)
    code=$?
    if [ $code != 0 ] || ! grep -q '/dev/shm has no room for 2 ranks' <<<"$output" || grep -qi 'unreachable' <<<"$output"; then
        echo "FAILED: bench with /dev/shm of $options: exit code $code"
        sed 's/^/    /' <<<"$output"
        failures=$((failures + 1))
    fi
    output=$(unshare --mount sh -c 'mount -t tmpfs -o "$1" shm /dev/shm && shift && exec "$@"' - "$options" \
        "$MILLRACE_BIN/millrace" generate --ranks 2 -l 16 -s 1 --model-dir "$MILLRACE_SOURCE/models/books-mini" hi 2>&1)
    code=$?
    if [ $code != 0 ]; then
        echo "FAILED: generate with /dev/shm of $options: exit code $code"
        sed 's/^/    /' <<<"$output"
        failures=$((failures + 1))
    fi
done
[ $failures = 0 ]
