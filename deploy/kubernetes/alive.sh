#!/bin/sh
# Probe of a replica: fails when it is not ready yet, or when none of its ranks has moved for SECONDS. The leader shows that they do by
# renewing its --ready-file.
# usage: alive.sh READY_FILE SECONDS
set -eu
changed=$(stat -c %Y "$1" 2>/dev/null) || { echo "alive.sh: there is no $1: the replica is not ready"; exit 1; }
age=$(($(date +%s) - changed))
[ "$age" -le "$2" ] || { echo "alive.sh: the ranks have not moved for $age s (more than $2)"; exit 1; }
