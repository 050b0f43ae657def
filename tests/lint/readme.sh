#!/bin/sh
# The README's first two sh blocks are one command each: what sets up and runs, what tests. usage: readme.sh SOURCE_DIRECTORY
set -eu
awk '/^```sh$/ {n++; inside = 1; next} /^```$/ {inside = 0} inside && n <= 2 {lines[n]++}
     END {exit !(lines[1] == 1 && lines[2] == 1)}' "$1/README.md" || { echo "README.md: its first two sh blocks must be one line each"; exit 1; }
for file in $(grep -oE '\]\([A-Za-z][A-Za-z0-9_./-]*\)' "$1"/README.md "$1"/ARCHITECTURE.md "$1"/CONTRIBUTING.md | sed 's/.*(\(.*\))/\1/' | sort -u); do
    [ -e "$1/$file" ] || { echo "a link to $file, which is not there"; exit 1; }
done
