#!/bin/sh
# Liveness probe of a replica: fails when none of its ranks has moved for SECONDS, which the leader shows by renewing its --ready-file.
# usage: alive.sh READY_FILE SECONDS
set -eu
changed=$(stat -c %Y "$1")
age=$(($(date +%s) - changed))
[ "$age" -le "$2" ] || { echo "alive.sh: the ranks have not moved for $age s (more than $2)"; exit 1; }
