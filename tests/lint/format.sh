#!/bin/sh
# Every C file is as clang-format leaves it (.clang-format; comments too). usage: format.sh SOURCE_DIRECTORY
set -eu
cd "$1"
command -v clang-format >/dev/null || { echo "skipped: clang-format is not installed"; exit 77; }
find bench cli common coordinator kernels proto tests training worker -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' -o -name '*.cpp' |
    sort | xargs -n 64 -P 2 clang-format --dry-run --Werror ||
    { echo "mend with: clang-format -i FILE"; exit 1; }
echo "format: nothing to mend"
