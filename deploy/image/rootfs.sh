#!/bin/sh
# Makes the root file system of the container image (CPU variant) without a container engine: what the stage `cpu` of the
# Dockerfile makes, from this machine's Debian mirror. The same inputs give the same bytes.
#
#   deploy/image/rootfs.sh BUILD_DIRECTORY OUT.tar     needs mmdebstrap, root; downloads about 80 MB
set -eu
[ $# = 2 ] || { sed -n '2,5p' "$0"; exit 2; }
build=$1 out=$2 here=$(cd "$(dirname "$0")" && pwd)
command -v mmdebstrap >/dev/null || { echo "rootfs.sh: mmdebstrap is missing (apt-get install mmdebstrap)" >&2; exit 1; }
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-1700000000}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$build" && cpack -G DEB -B "$work" >/dev/null)
package=$(ls "$work"/millrace_*.deb)
cp "$here/finish.sh" "$work/finish.sh"
mmdebstrap --quiet --mode=root --variant=apt --include=ca-certificates --aptopt='APT::Install-Recommends "false"' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook="copy-in $package $work/finish.sh /tmp" --customize-hook='chroot "$1" sh /tmp/finish.sh' \
    bookworm "$out" /etc/apt/sources.list.d/debian.sources
