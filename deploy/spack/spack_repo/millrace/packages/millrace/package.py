"""Millrace for Spack 1.0 or newer, from this checkout:

    spack repo add deploy/spack/spack_repo/millrace
    spack env create millrace && spack env activate millrace
    spack add millrace +cuda cuda_arch=90
    spack develop --path "$PWD" millrace@0.1.0
    spack install

Not installed by a Spack yet: there is none where this was written. tests/deploy/spack.py holds it against our CMakeLists.txt.
"""
from spack_repo.builtin.build_systems.cmake import CMakePackage
from spack_repo.builtin.build_systems.cuda import CudaPackage

from spack.package import *


class Millrace(CMakePackage, CudaPackage):
    """Inference cluster for few-step discrete flow-matching language models: a coordinator with a gRPC endpoint, and replicas that share a
    model over MPI ranks."""

    homepage = "https://millrace.invalid"

    version("0.1.0")

    depends_on("c", type="build")
    depends_on("cxx", type="build")  # the tests' emulation of a GPU; CUDA's compiler
    depends_on("cmake@3.25:", type="build")
    depends_on("ninja", type="build")
    depends_on("pkgconfig", type="build")
    depends_on("check", type="build")  # the tests are configured with the rest
    depends_on("python", type="build")

    # protobuf-c 1.4 takes protobuf up to 21.12; gRPC from 1.55 on wants a newer one, and both must be the same.
    depends_on("grpc@1.50 +shared")
    depends_on("protobuf@21:21.12", type="build")
    depends_on("protobuf-c@1.4:")
    depends_on("openmpi@4.1: schedulers=slurm", when="+slurm")
    depends_on("mpi")
    depends_on("hwloc@2:")
    depends_on("jansson@2.14:")
    depends_on("openssl@3:")
    depends_on("pcre2@10.36: +jit")
    depends_on("gnutls@3.7:")
    depends_on("libmicrohttpd@0.9.75: +https")
    depends_on("libzip@1.7:")
    depends_on("utf8proc +shared")

    with when("+cuda"):
        depends_on("cuda@12.9:")
        depends_on("nccl")

    variant("slurm", default=False, description="An Open MPI that Slurm's srun can start ranks of")

    def cmake_args(self):
        args = [self.define("MILLRACE_CUDA", "ON" if self.spec.satisfies("+cuda") else "OFF")]
        architectures = self.spec.variants["cuda_arch"].value if self.spec.satisfies("+cuda") else ("none",)
        if "none" not in architectures:
            # 90 as 90a: Hopper's tensor cores are behind instructions that no other GPU has.
            real = [f"{'90a' if arch == '90' else arch}-real" for arch in architectures]
            args.append(self.define("MILLRACE_CUDA_ARCHITECTURES", ";".join(real)))
        return args
