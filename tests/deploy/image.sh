#!/bin/sh
# The image's root file system runs as a cluster would run it: a user without privileges, no capabilities, everything read-only but
# /tmp and /dev/shm, no network but its own loopback.
# usage: image.sh BUILD_DIRECTORY SOURCE_DIRECTORY
# MILLRACE_TEST_IMAGE=1 asks for it (minutes, downloads); with 2 the root is made twice and must be the same bytes.
set -eu
[ -n "${MILLRACE_TEST_IMAGE:-}" ] || { echo "skipped: set MILLRACE_TEST_IMAGE=1 (a root is made: minutes and 80 MB of downloads), or 2 (two are, and compared)"; exit 77; }
[ "$(id -u)" = 0 ] || { echo "skipped: needs root"; exit 77; }
command -v mmdebstrap >/dev/null || { echo "skipped: no mmdebstrap"; exit 77; }
build=$1 source=$2 work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT
fail() { echo "image.sh: $*" >&2; exit 1; }

"$source/deploy/image/rootfs.sh" "$build" "$work/one.tar" 2>"$work/log" || { tail -5 "$work/log"; fail "rootfs.sh"; }
if [ "${MILLRACE_TEST_IMAGE}" = 2 ]; then
    "$source/deploy/image/rootfs.sh" "$build" "$work/two.tar" 2>/dev/null
    cmp "$work/one.tar" "$work/two.tar" || fail "two builds differ"
    echo "two builds: the same $(sha256sum <"$work/one.tar" | cut -c1-16)"
fi
mkdir "$work/root"
tar -C "$work/root" -xf "$work/one.tar"
echo "size: $(du -sm "$work/root" | cut -f1) MiB, $(gzip -1 <"$work/one.tar" | wc -c | awk '{printf "%d", $1 / 1048576}') MiB compressed"
[ -z "$(find "$work/root" -xdev -perm /6000 -type f)" ] || fail "set-user-ID programs are left"

mkdir -p "$work/root/etc/millrace/ssh" # a pod's secret is mounted there
ssh-keygen -q -t ed25519 -N '' -f "$work/root/etc/millrace/ssh/id_ed25519"
chmod 644 "$work/root/etc/millrace/ssh/id_ed25519"

cat >"$work/inside.sh" <<'END'
set -eu
mount --bind "$1" "$1"
mount -t proc proc "$1/proc"
mount -t tmpfs -o mode=1777 tmpfs "$1/tmp"
mount --rbind /dev "$1/dev"
mount -t tmpfs -o mode=1777,size=64m tmpfs "$1/dev/shm"
mount -o remount,bind,ro "$1"
ip link set lo up
# Leaving root's user id drops all capabilities, and no-new-privs keeps it so.
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp MILLRACE_MODEL=/usr/share/millrace/models/books-small \
    chroot --userspec=65532:65532 "$1" setpriv --no-new-privs /bin/sh -c "$2"
END

# What the image's user does: a cluster of one container, then one of two, as the chart starts them, then the way into a group's pod.
cat >"$work/user.sh" <<'END'
[ "$(id -u)" = 65532 ] || exit 3
! touch /usr/x 2>/dev/null || exit 4
deploy=/usr/share/millrace/deploy
wait_for() { i=0; until "$@" 2>/dev/null; do i=$((i + 1)); [ $i -lt 600 ] || { cat /tmp/*.log; exit 5; }; sleep 0.1; done; }

millrace-coordinator --listen 127.0.0.1:7077 --ready-file /tmp/one 2>/tmp/one.log & coordinator=$!
wait_for test -s /tmp/one
millrace status --endpoint 127.0.0.1:7077 >/tmp/status || { cat /tmp/one.log; exit 6; }
millrace generate --endpoint 127.0.0.1:7077 --seed 7 --length 64 "Once upon a time" || exit 7
kill -TERM $coordinator
wait $coordinator || { cat /tmp/one.log; exit 8; }

millrace-coordinator --spawn 0 --listen 127.0.0.1:7078 2>/tmp/two.log & coordinator=$!
MILLRACE_READY_FILE=/tmp/ready MILLRACE_COORDINATOR=127.0.0.1:7078 \
    $deploy/replica.sh mpirun --bind-to none --oversubscribe -n 2 millrace-worker 2>/tmp/replica.log & replica=$!
wait_for test -e /tmp/ready
$deploy/alive.sh /tmp/ready 60 || exit 9
millrace generate --endpoint 127.0.0.1:7078 --seed 7 --length 64 "Once upon a time" >/tmp/again || { cat /tmp/*.log; exit 10; }
kill -TERM $replica
wait $replica || { cat /tmp/replica.log; exit 11; }
kill -TERM $coordinator
wait $coordinator || { cat /tmp/two.log; exit 12; }

$deploy/group-worker.sh 2>/tmp/sshd.log & sshd=$!
install -m 600 /etc/millrace/ssh/id_ed25519 /tmp/key
in_a_pod() { ssh -q -i /tmp/key -p 2222 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null nonroot@127.0.0.1 "$@"; }
wait_for in_a_pod millrace-worker --help >/tmp/help
kill -TERM $sshd
wait $sshd || { cat /tmp/sshd.log; exit 13; }
curl --version >/dev/null && [ -s /etc/ssl/certs/ca-certificates.crt ] && [ -x $deploy/fetch-model.sh ] || exit 14
END
text=$(unshare --mount --net --pid --fork --propagation private sh "$work/inside.sh" "$work/root" "$(cat "$work/user.sh")") ||
    fail "ended with $?: $text"
case $text in "Once upon a time"*) echo "image: ran as 65532 on a read-only root: $(printf '%s' "$text" | head -c 60 | tr '\n' ' ')..." ;; *) fail "said: $text" ;; esac
