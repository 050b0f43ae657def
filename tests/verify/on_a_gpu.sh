#!/bin/sh
# Runs a test where there is a GPU; elsewhere it is skipped. usage: on_a_gpu.sh COMMAND...
nvidia-smi -L >/dev/null 2>&1 || { echo "skipped: nvidia-smi finds no GPU"; exit 77; }
exec "$@"
