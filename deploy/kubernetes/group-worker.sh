#!/bin/sh
# Other pods of a LeaderWorkerSet group: an sshd of our own user that lets in nobody but the leader, on port 2222.
set -eu
mkdir -p -m 700 "$HOME/sshd"
ssh-keygen -q -t ed25519 -N '' -f "$HOME/sshd/host_key"
install -m 600 /etc/millrace/ssh/id_ed25519.pub "$HOME/sshd/authorized_keys"
exec /usr/sbin/sshd -D -e -p 2222 -h "$HOME/sshd/host_key" -o "AuthorizedKeysFile=$HOME/sshd/authorized_keys" -o StrictModes=no \
    -o PasswordAuthentication=no -o KbdInteractiveAuthentication=no -o UsePAM=no -o "PidFile=$HOME/sshd/pid" -o AllowTcpForwarding=no \
    -o X11Forwarding=no -o PermitUserEnvironment=no
