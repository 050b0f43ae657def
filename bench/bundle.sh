#!/bin/sh
# Puts a build and every library that it needs into one directory, for a GPU machine without our packages and without a
# network (a lease, a cluster's node): the programs, the CUDA module, the GPU tests, Open MPI. What the machine must have: a kernel and
# C library at least as new as here, NVIDIA's driver, and CUDA's libcublasLt.so.13 and libnccl.so.2 (PyTorch brings both).
#
#   bench/bundle.sh BUILD_DIRECTORY OUT_DIRECTORY                        the programs there: . OUT/env.sh
#   bench/bundle.sh --pack FILE.tar.xz [--golden DIR] BUILD_DIRECTORY    packed (some 13 MB; with the golden vectors 16), for
#                                                                        bench/first_gpu.sh --bundle FILE.tar.xz
set -eu
pack='' golden='' scratch=''
while [ $# -gt 2 ]; do
    case $1 in
    --pack) pack=$2 ;;
    --golden) golden=$2 ;;
    *) break ;;
    esac
    shift 2
done
if [ -n "$pack" ]; then
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    set -- "$1" "$scratch/bundle"
fi
[ $# = 2 ] || { sed -n '2,9p' "$0"; exit 2; }
build=$1 out=$2
rm -rf "$out"
mkdir -p "$out/bin" "$out/lib" "$out/tests" "$out/openmpi"
cp "$build"/bin/millrace "$build"/bin/millrace-worker "$build"/bin/bench_device "$out/bin/"
cp "$build"/lib/libmillrace_cuda.so "$out/lib/" || { echo "bundle.sh: $build has no CUDA module; configure with -DMILLRACE_CUDA=ON" >&2; exit 1; }
cp "$build"/tests/test_any "$build"/tests/test_steps_device "$out/tests/" 2>/dev/null || cp "$build"/tests/test_any "$out/tests/"
strip "$out"/bin/* "$out"/tests/*
mpi=$(dirname "$(readlink -f "$(command -v mpirun)")")
plugins=$(ompi_info --parsable --path pkglibdir | cut -d: -f3)
data=$(ompi_info --parsable --path pkgdatadir | cut -d: -f3)
mkdir -p "$out/openmpi/bin" "$out/openmpi/lib/openmpi" "$out/openmpi/share/openmpi" "$out/openmpi/etc"
cp "$mpi/orterun" "$mpi/orted" "$out/openmpi/bin/" 2>/dev/null || cp -L "$(command -v mpirun)" "$(command -v orted)" "$out/openmpi/bin/"
[ -e "$out/openmpi/bin/mpirun" ] || ln -s orterun "$out/openmpi/bin/mpirun"
cp -L "$plugins"/openmpi3/*.so "$out/openmpi/lib/openmpi/" 2>/dev/null || cp -L "$plugins"/*.so "$out/openmpi/lib/openmpi/"
cp "$data"/*.txt "$out/openmpi/share/openmpi/"
# Everything that these need, but the C library itself and what comes with the driver and CUDA.
for file in "$out"/bin/* "$out"/tests/* "$out"/lib/*.so "$out"/openmpi/bin/* "$out"/openmpi/lib/openmpi/*.so; do
    ldd "$file" 2>/dev/null | awk '$3 ~ /^\// { print $3 }'
done | sort -u | grep -vE '/(libc|libm|libdl|libpthread|librt|libresolv|ld-linux[^/]*|libcuda|libcudart|libcublas[^/]*|libnccl|libnvidia[^/]*)\.so' |
    while read -r library; do cp -L "$library" "$out/lib/"; done
cat >"$out/env.sh" <<'END'
# Source this: . DIRECTORY/env.sh. A script that is not bash says in MILLRACE_BUNDLE where that is.
bundle=${MILLRACE_BUNDLE:-$(cd "$(dirname "${BASH_SOURCE:-$0}")" && pwd)}
nvidia=$(python3 -c 'import nvidia, glob; print(":".join(sorted(d for p in nvidia.__path__ for d in glob.glob(p + "/*/lib"))))' 2>/dev/null)
export LD_LIBRARY_PATH="$bundle/lib:${nvidia:+$nvidia:}/usr/local/cuda/lib64${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export OPAL_PREFIX="$bundle/openmpi" PATH="$bundle/openmpi/bin:$bundle/bin:$PATH" OMPI_MCA_mca_component_path="$bundle/openmpi/lib/openmpi"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_plm=isolated PMIX_MCA_pcompress_base_silence_warning=1
END
git -C "$(dirname "$0")" rev-parse HEAD >"$out/commit" 2>/dev/null || true
[ -z "$golden" ] || cp -r "$golden" "$out/golden"
if [ -z "$pack" ]; then
    du -sh "$out"
else
    tar -C "$scratch" -cJf "$pack" bundle
    du -h "$pack"
fi
