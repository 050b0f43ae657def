#!/bin/sh
# Holds the layers of ARCHITECTURE.md ("The tree") against the includes. usage: layers.sh SOURCE_DIRECTORY
set -eu
cd "$1"
failed=0

# allow DIRECTORY PREFIX...: its files include, of this project, only headers under the prefixes.
allow() {
    directory=$1
    shift
    pattern=$(printf '%s|' "$@")
    wrong=$(grep -rnE '^#include "' --include='*.c' --include='*.h' --include='*.cu' --include='*.cuh' "$directory" |
        grep -vE "#include \"(${pattern%|})" || true)
    if [ -n "$wrong" ]; then
        echo "$directory may include only: $*"
        echo "$wrong"
        failed=1
    fi
}

# only HEADER_PATTERN FILE_PATTERN: outside headers that belong in one place.
only() {
    wrong=$(grep -rnE "^#include <$1" --include='*.c' --include='*.h' --include='*.cu' --include='*.cuh' common coordinator worker kernels cli |
        grep -vE "^$2" || true)
    if [ -n "$wrong" ]; then
        echo "<$1...> belongs in $2"
        echo "$wrong"
        failed=1
    fi
}

allow common common/ proto/
allow kernels kernels/ common/
allow worker worker/ kernels/ common/ proto/
allow coordinator coordinator/ common/ proto/
allow cli cli/ common/ proto/
allow bench bench/ kernels/ common/ proto/
only 'grpc/' 'common/rpc/'
only 'openssl/' 'common/rpc/'
only 'mpi\.h' 'worker/(collective/collective_mpi|main)\.c'
only 'cuda' 'kernels/cuda/'
only 'nccl' 'worker/collective/collective_nccl\.c'
only 'hwloc' 'common/machine/'
only 'microhttpd' 'coordinator/'

protobuf_in_common=$(grep -rlE '#include "proto/' common | grep -v '^common/rpc/' || true)
[ -z "$protobuf_in_common" ] || { echo "messages of the wire outside common/rpc: $protobuf_in_common"; failed=1; }
[ $failed = 0 ] && echo "layers: all includes are where they belong"
exit $failed
