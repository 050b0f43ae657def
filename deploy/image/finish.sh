#!/bin/sh
# Last step of every image: installs the packages in /tmp, leaves a user and writable places, removes what nobody reads.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
# deploy/kubernetes: the leader of a group of pods starts ranks in the others through ssh; fetch-model.sh uses curl
apt-get -qq install -y --no-install-recommends /tmp/*.deb openssh-client openssh-server curl ca-certificates >/dev/null
# The shell: sshd starts the ranks of a group's other pods through it.
groupadd --gid 65532 nonroot
useradd --uid 65532 --gid 65532 --home-dir /var/lib/millrace --no-create-home --shell /bin/sh nonroot
install -d -o 65532 -g 65532 /var/lib/millrace
apt-get clean
rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/cache/ldconfig/aux-cache /var/log/* /usr/share/doc/* \
    /usr/share/man/* /usr/share/locale/* /tmp/*
# A set-user-ID program is of no use to a process without privileges, except to whoever breaks in.
find / -xdev -perm /6000 -type f -exec chmod a-s {} +
