#!/bin/sh
# Other pods of a LeaderWorkerSet group: an sshd of our own user that lets in nobody but the leader, on port 2222.
#
# All pods of a group get SIGTERM together. The leader then drains, for which it needs the ranks here: sshd is ended when mpirun's daemon
# (orted, which starts the ranks of this pod) is gone, or when the pod's grace period is over.
set -eu
mkdir -p "$HOME/sshd" && chmod 700 "$HOME/sshd"
rm -f "$HOME/sshd/host_key" "$HOME/sshd/host_key.pub" # of the container before this one: /tmp outlives it
ssh-keygen -q -t ed25519 -N '' -f "$HOME/sshd/host_key"
install -m 600 /etc/millrace/ssh/id_ed25519.pub "$HOME/sshd/authorized_keys"

leaving=''
trap 'leaving=yes' TERM INT
/usr/sbin/sshd -D -e -p 2222 -h "$HOME/sshd/host_key" -o "AuthorizedKeysFile=$HOME/sshd/authorized_keys" -o StrictModes=no \
    -o PasswordAuthentication=no -o KbdInteractiveAuthentication=no -o UsePAM=no -o "PidFile=$HOME/sshd/pid" -o AllowTcpForwarding=no \
    -o X11Forwarding=no -o PermitUserEnvironment=no &
sshd=$!

ranks_are_here() {
    for name in /proc/[0-9]*/comm; do
        read -r program <"$name" 2>/dev/null && [ "$program" = orted ] && return 0
    done
    return 1
}
code=0
while kill -0 "$sshd" 2>/dev/null; do
    if [ -n "$leaving" ] && ! ranks_are_here; then
        kill -TERM "$sshd"
        leaving=''
    fi
    if [ -n "$leaving" ]; then sleep 0.5; else wait "$sshd" && code=0 || code=$?; fi
done
exit "$code"
