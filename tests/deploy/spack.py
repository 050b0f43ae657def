"""The recipe for Spack against our CMakeLists.txt: the same version, a dependency for each library that is looked for, options that CMake
knows. Spack itself is not here: its words are stand-ins, so how it concretizes and builds is not shown.
"""
import contextlib
import importlib.util
import os
import re
import sys
import types

SOURCE = os.environ["MILLRACE_SOURCE"]
RECIPE = f"{SOURCE}/deploy/spack/spack_repo/millrace/packages/millrace/package.py"
# What CMake looks for, where Spack calls it otherwise.
NAMES = {"MPI": "mpi", "grpc": "grpc", "gpr": "grpc", "libssl": "openssl", "libcrypto": "openssl", "libpcre2-8": "pcre2",
         "libprotobuf-c": "protobuf-c", "libutf8proc": "utf8proc", "protoc": "protobuf", "protoc-c": "protobuf-c",
         "CUDAToolkit": "cuda", "Threads": "c", "PkgConfig": "pkgconfig", "nccl": "nccl"}

said = {"depends_on": [], "version": [], "variant": []}


def stand_in(name):
    return lambda first, *_, **named: said[name].append((first, named))


class Spec:
    def __init__(self, cuda, architectures=("none",)):
        self.cuda = cuda
        self.variants = {"cuda_arch": types.SimpleNamespace(value=architectures)}

    def satisfies(self, what):
        assert what == "+cuda", what
        return self.cuda


class CMakePackage:
    def define(self, name, value):
        return f"-D{name}={value}"


def load():
    words = types.ModuleType("spack.package")
    for name in said:
        setattr(words, name, stand_in(name))
    words.when = lambda *_: contextlib.nullcontext()
    for name, members in (("cmake", {"CMakePackage": CMakePackage}), ("cuda", {"CudaPackage": type("CudaPackage", (), {})})):
        module = types.ModuleType(f"spack_repo.builtin.build_systems.{name}")
        module.__dict__.update(members)
        sys.modules[module.__name__] = module
    for name in ("spack", "spack_repo", "spack_repo.builtin", "spack_repo.builtin.build_systems"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["spack.package"] = words
    module = importlib.util.module_from_spec(spec := importlib.util.spec_from_file_location("recipe", RECIPE))
    spec.loader.exec_module(module)
    return module.Millrace


def read(path):
    with open(f"{SOURCE}/{path}") as file:
        return re.sub(r"#.*", "", file.read())


def wanted():
    """Spack's names of all that the build looks for."""
    found = set()
    for path in ("CMakeLists.txt", "proto/CMakeLists.txt", "kernels/cuda/CMakeLists.txt"):
        text = read(path)
        found |= set(re.findall(r"find_package\((\w+)", text))
        for modules in re.findall(r"pkg_check_modules\(\w+ REQUIRED IMPORTED_TARGET ([^)]*)\)", text):
            found |= set(modules.split())
        found |= set(re.findall(r"find_(?:library|program)\(\w+ (?:NAMES )?([\w-]+)", text))
    return {NAMES.get(name, name) for name in found}


recipe = load()
names = {re.match(r"[\w-]+", first)[0] for first, _ in said["depends_on"]}
missing = wanted() - names
assert not missing, f"CMake looks for {missing}, which the recipe does not depend on"
assert "cmake" in names and {"slurm"} == {first for first, _ in said["variant"]}
(version,) = re.findall(r"project\(millrace VERSION (\S+)", read("CMakeLists.txt"))
assert [first for first, _ in said["version"]] == [version], said["version"]
(minimum,) = re.findall(r"cmake_minimum_required\(VERSION (\S+)\)", read("CMakeLists.txt"))
assert f"cmake@{minimum}:" in [first for first, _ in said["depends_on"]], minimum
(cuda,) = re.findall(r"find_package\(CUDAToolkit (\S+)\)", read("kernels/cuda/CMakeLists.txt"))
assert f"cuda@{cuda}:" in [first for first, _ in said["depends_on"]], cuda


def arguments(*spec):
    package = recipe()
    package.spec = Spec(*spec)
    return package.cmake_args()


assert arguments(False) == ["-DMILLRACE_CUDA=OFF"]
assert arguments(True) == ["-DMILLRACE_CUDA=ON"]
assert arguments(True, ("80", "90")) == ["-DMILLRACE_CUDA=ON", "-DMILLRACE_CUDA_ARCHITECTURES=80-real;90a-real"]
for option in ("MILLRACE_CUDA ", "MILLRACE_CUDA_ARCHITECTURES "):
    assert f"set({option}" in read("kernels/cuda/CMakeLists.txt"), option
print(f"{len(names)} dependencies, {len(wanted())} that CMake looks for")
