#!/bin/sh
# Makes Millrace ready in this checkout: installs what is missing (Debian 12; root, or sudo), then builds
# build/release. Safe to run again: what is there already is left alone.
set -eu
cd "$(dirname "$0")/.."

missing=
for package in $(grep -v '^#' deploy/packages.txt); do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
done
if [ -n "$missing" ]; then
    echo "installing with apt-get, which may take a minute:$missing" >&2
    as_root=
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || { echo "deploy/setup.sh: run me as root, or install:$missing" >&2; exit 1; }
        as_root=sudo
    fi
    $as_root apt-get -o DPkg::Lock::Timeout=600 -qq update
    # shellcheck disable=SC2086 # one argument a package
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -qq install -y \
        --no-install-recommends $missing >/dev/null
fi

# On a terminal the build shows how far it is; elsewhere it speaks only when it fails.
mkdir -p build
log=build/release.log
cmake --preset release >$log 2>&1 || { cat $log >&2; exit 1; }
if [ -t 1 ]; then
    cmake --build --preset release
else
    cmake --build --preset release >>$log 2>&1 || { tail -n 60 $log >&2; exit 1; }
fi
