#!/bin/bash
# The cluster in containers of Enroot and Pyxis: `srun` starts both, so the coordinator becomes a step as well.
#
#   IMAGE=$PWD/millrace.sqsh MODEL=/models/books-small pyxis.sh --nodes=2 --ntasks-per-node=4 --cpus-per-task=8 --gres=gpu:4
#
# `enroot import -o millrace.sqsh docker://REGISTRY#millrace:0.1.0-cuda` makes the image. PMIx in the container: Enroot's hook
# 50-slurm-pmi.sh (enroot/conf/hooks/extra) mounts what the ranks need.
set -eu
: "${IMAGE:?set it to the container image}" "${MODEL:?set it to the model directory}"
here=$(dirname "$(readlink -f "$0")")
export MILLRACE_BIN=/usr/bin
export MILLRACE_SRUN_OPTIONS="--container-image=$IMAGE --container-mounts=$MODEL:$MODEL:ro,$PWD:$PWD" # the job's keys are in $PWD
export MILLRACE_COORDINATOR_WRAPPER="srun --overlap --nodes=1 --ntasks=1 --gres=none $MILLRACE_SRUN_OPTIONS"
exec sbatch "$@" "$here/cluster.sbatch" "$MODEL"
