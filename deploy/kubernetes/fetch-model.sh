#!/bin/sh
# Fetches a model directory from a Hugging Face hub: config.json, tokenizer.json, and model.safetensors or the shards that its index names.
# usage: fetch-model.sh REPOSITORY REVISION DIRECTORY
#   HF_ENDPOINT     the hub (https://huggingface.co)
#   HF_TOKEN_FILE   a file with the token, for what is private or gated
#
# A file appears under its name when it is whole, so several pods may fill one volume. What is there from the same repository and revision
# is not fetched again: name a commit as REVISION to be sure what it is.
set -eu
[ $# = 3 ] || { sed -n '3,5p' "$0"; exit 2; }
repository=$1 revision=$2 directory=$3 hub=${HF_ENDPOINT:-https://huggingface.co}
source="$hub $repository $revision"
marker=$directory/.millrace-source
say() { echo "fetch-model.sh: $*" >&2; }

if [ "$(cat "$marker" 2>/dev/null)" = "$source" ]; then
    say "$repository at $revision is there already"
    exit 0
fi
[ ! -e "$marker" ] || { say "$directory holds $(cat "$marker"), not $source: give each its own volume or subPath"; exit 1; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"; rm -f "$directory"/.part."$(hostname)".*' EXIT
trap 'exit 1' TERM INT
: >"$scratch/headers" # the token goes through a file: everybody may read a command line
[ -z "${HF_TOKEN_FILE:-}" ] || printf 'Authorization: Bearer %s\n' "$(tr -d '[:space:]' <"$HF_TOKEN_FILE")" >"$scratch/headers"
chmod 600 "$scratch/headers"

# File $1. 1: the repository has none of that name. A connection that breaks is taken up where it broke.
fetch() {
    part=$directory/.part.$(hostname).$(echo "$1" | tr / _)
    tries=0
    while :; do
        code=$(curl --silent --location --fail --connect-timeout 20 --speed-time 60 --speed-limit 1000 --continue-at - --header "@$scratch/headers" \
            --output "$part" --write-out '%{http_code}' "$hub/$repository/resolve/$revision/$1") && break
        case $code in
            404) return 1 ;;
            401 | 403) say "$repository: HTTP $code for $1: a token that may read it is needed (HF_TOKEN_FILE)"; exit 1 ;;
            416) rm -f "$part" ;; # what is left of it does not fit
        esac
        tries=$((tries + 1))
        [ "$tries" -lt 8 ] || { say "$repository: HTTP $code for $1, again and again"; exit 1; }
        say "$1: HTTP $code, or the connection broke; trying again"
        sleep "$tries"
    done
    mkdir -p "$(dirname "$directory/$1")"
    mv "$part" "$directory/$1"
    say "$1: $(stat -c %s "$directory/$1") bytes"
}
need() { fetch "$1" || { say "$repository has no $1 at $revision: is it a Millrace model directory (millrace convert makes one)?"; exit 1; }; }

mkdir -p "$directory"
need config.json
need tokenizer.json
if ! fetch model.safetensors; then
    need model.safetensors.index.json
    for shard in $(grep -o '"[^"/]*\.safetensors"' "$directory/model.safetensors.index.json" | tr -d '"' | sort -u); do need "$shard"; done
fi
printf '%s' "$source" >"$scratch/marker"
mv "$scratch/marker" "$marker"
