#!/bin/sh
# First pod of a LeaderWorkerSet group: waits for the others' sshd, then becomes replica.sh, whose mpirun has ranks on all of them.
# usage: group-leader.sh RANKS RANKS_PER_POD [WORKER OPTION...]      (LWS_* is set by the controller)
set -eu
trap 'exit 0' TERM INT # process 1 has no default action: a pod that is deleted while it waits here would stay for its whole grace period
ranks=$1 per_pod=$2
shift 2
: "${LWS_LEADER_ADDRESS:?not in a LeaderWorkerSet}" "${LWS_GROUP_SIZE:?not in a LeaderWorkerSet}"
# GROUP.SERVICE.NAMESPACE: the leader is GROUP, the others GROUP-1, GROUP-2, ...
group=${LWS_LEADER_ADDRESS%%.*} domain=${LWS_LEADER_ADDRESS#*.}
rm -f "${MILLRACE_READY_FILE:-}" # of the container before this one: /tmp outlives it
mkdir -p "$HOME/.ssh" && chmod 700 "$HOME/.ssh"
install -m 600 /etc/millrace/ssh/id_ed25519 "$HOME/.ssh/id_ed25519"
cat >"$HOME/.ssh/config" <<END
Host *
  Port 2222
  IdentityFile $HOME/.ssh/id_ed25519
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
  LogLevel ERROR
END
hosts="localhost:$per_pod" i=1
while [ "$i" -lt "$LWS_GROUP_SIZE" ]; do
    host=$group-$i.$domain
    until ssh -F "$HOME/.ssh/config" -o ConnectTimeout=2 "$host" true 2>/dev/null; do
        echo "group-leader.sh: waiting for $host" >&2
        sleep 1
    done
    hosts=$hosts,$host:$per_pod
    i=$((i + 1))
done
# Every variable of ours goes to the other pods' ranks, and those of the libraries that carry the exchanges. A cut network is noticed in about
# seven seconds (oob keepalive).
exports=
for name in $(env | sed -n 's/^\(\(MILLRACE\|NCCL\|UCX\|FI\)_[A-Z0-9_]*\)=.*/\1/p'); do exports="$exports -x $name"; done
# Names are used whole (mpirun cuts them at the first dot by itself): pods have no short ones in DNS.
# shellcheck disable=SC2086 # a list of options
exec "$(dirname "$0")/replica.sh" mpirun --bind-to none -n "$ranks" --host "$hosts" --mca plm_rsh_args "-F $HOME/.ssh/config" \
    --mca plm_rsh_no_tree_spawn 1 --mca orte_keep_fqdn_hostnames 1 --mca oob_tcp_keepalive_time 2 --mca oob_tcp_keepalive_intvl 1 \
    --mca oob_tcp_keepalive_probes 3 $exports "$(command -v millrace-worker)" "$@"
