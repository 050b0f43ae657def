#!/bin/bash
# `millrace token`: what it says it did, it did. The file keeps its owner, group, mode and links; commands at once do
# not undo each other; a token that nobody could read changes nothing. Also: every command checks its output.
set -u
millrace=$MILLRACE_BIN/millrace
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory" || exit 1
unset MILLRACE_ENDPOINT MILLRACE_TOKENS
failures=0

check() { # DESCRIPTION EXPECTED ACTUAL
    if [ "$2" != "$3" ]; then
        echo "FAILED: $1: '$3', not '$2'"
        failures=$((failures + 1))
    fi
}

# Twelve at once give twelve clients, and twelve tokens of theirs.
for i in $(seq 12); do
    "$millrace" token "user$i" --tokens t.json >"$i.token" &
done
wait
check 'clients of twelve commands at once' 12 "$(grep -c '"name"' t.json)"
for i in $(seq 12); do
    hash=$(printf %s "$(cat "$i.token")" | sha256sum | cut -d' ' -f1)
    check "the token of user$i is in the file" 1 "$(grep -c "$hash" t.json)"
done

# Owner, group, mode, access list and link are kept. Only root can give a file away.
mkdir -p etc
mv t.json etc/real.json
ln -s etc/real.json t.json
chmod 640 etc/real.json
[ "$(id -u)" = 0 ] && chown 65534:65533 etc/real.json
before=$(stat -c '%u:%g %a' etc/real.json)
"$millrace" token user1 --revoke --tokens t.json
check 'revoking' 0 $?
check 'owner, group and mode' "$before" "$(stat -c '%u:%g %a' etc/real.json)"
check 'the link' etc/real.json "$(readlink t.json)"
check 'clients after one was revoked' 11 "$(grep -c '"name"' etc/real.json)"
check 'nothing is left behind' real.json "$(ls etc)"

# What cannot be kept is refused, and nothing changes.
refused() { # PATTERN command...
    local pattern=$1 sum output code
    shift
    sum=$(sha256sum etc/real.json)
    output=$("$@" 2>&1)
    code=$?
    if [ $code = 0 ] || ! grep -qE -- "$pattern" <<<"$output" || [ "$sum" != "$(sha256sum etc/real.json)" ] ||
        [ "$(ls etc)" != real.json ]; then
        echo "FAILED: $*: exit code $code, or no line matches '$pattern', or a file changed:"
        sed 's/^/    /' <<<"$output"
        failures=$((failures + 1))
    fi
}
ln etc/real.json second
refused 'has 2 names \(hard links\)' "$millrace" token user2 --revoke --tokens t.json
rm second
ln -s nothing dangling
refused 'is a link to a file that is not there' "$millrace" token user2 --tokens dangling
refused 'standard output cannot be written: No space left' bash -c "$millrace token user2 --tokens t.json >/dev/full"
refused 'standard output cannot be written: Bad file' bash -c "$millrace token user2 --tokens t.json >&-"
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
    chmod 777 "$directory" etc # its directory is open to all, the file is another's
    chmod 664 etc/real.json
    refused 'cannot keep its owner, group and access rights' setpriv --reuid 1 --regid 65533 --clear-groups \
        "$millrace" token user2 --revoke --tokens t.json
    chmod 644 etc/real.json
    refused 'etc/real.json: Permission denied' setpriv --reuid 1 --regid 1 --clear-groups \
        "$millrace" token user2 --revoke --tokens t.json
fi

# Output that cannot be written is a failure of the command, whichever it is.
for command in version help --help '' 'help token' 'generate --help' 'token anna'; do
    output=$(bash -c "$millrace $command >/dev/full" 2>&1)
    check "millrace $command >/dev/full" 1 $?
    check "one sentence of millrace $command" 1 "$(grep -c 'standard output cannot be written' <<<"$output")"
done
for program in millrace-coordinator millrace-worker; do
    bash -c "$MILLRACE_BIN/$program --help >/dev/full" 2>/dev/null
    check "$program --help >/dev/full" 1 $?
done
"$millrace" help generate | true
check 'a reader that has gone away' 'quiet' "$("$millrace" help generate 2>&1 >/dev/null | grep . || echo quiet)"

[ $failures = 0 ]
