#!/bin/sh
# Process 1 of a replica's pod: runs mpirun and turns Kubernetes' SIGTERM into a drain.
# usage: replica.sh mpirun ...
#
# SIGTERM would make mpirun end its ranks at once. SIGUSR1, which it passes on to them, makes the replica take no new texts, hand over or
# finish what runs, and end with 0. A replica that is not ready yet has nothing to drain: it gets SIGTERM. When a rank dies, mpirun ends the
# others and its exit code is ours: the kubelet starts the container again.
set -u
ready=${MILLRACE_READY_FILE:-}
child='' leaving=''

leave() {
    leaving=yes
    [ -n "$child" ] || return 0
    if [ -z "$ready" ] || [ -e "$ready" ]; then
        echo "replica.sh: draining" >&2
        kill -USR1 "$child" 2>/dev/null
    else
        kill -TERM "$child" 2>/dev/null
    fi
}
trap leave TERM INT

[ -z "$ready" ] || rm -f "$ready" # of the container before this one: /tmp outlives it
"$@" &
child=$!
[ -z "$leaving" ] || leave # the signal came before there was anybody to tell
# A trap ends `wait` early; the child's own end is what counts.
code=0
while :; do
    wait "$child"
    code=$?
    kill -0 "$child" 2>/dev/null || break
done
exit "$code"
