"""What `docker build` of the image sends: all that a stage copies or builds from, and nothing that the machine made. A build folder in it
would break the build: its cache names another path."""
import fnmatch
import os
import re
import subprocess

SOURCE = os.environ["MILLRACE_SOURCE"]
MUST_NOT = ["build/release/CMakeCache.txt", "build/kube-tools/helm", ".git/HEAD", "compile_commands.json", "tests/e2e/__pycache__/cluster.pyc"]


def patterns():
    with open(f"{SOURCE}/.dockerignore") as file:
        return [line.strip() for line in file if line.strip() and not line.startswith("#")]


def is_left_out(path):
    """As Docker reads the file, as far as we use it: a pattern matches a path or a folder above it; **/ is any folder."""
    parts = path.split("/")
    for pattern in patterns():
        assert not pattern.startswith("!"), "this test does not know exceptions"
        anywhere, pattern = pattern.startswith("**/"), pattern.removeprefix("**/")
        for i in range(1, len(parts) + 1):
            above = "/".join(parts[:i])
            if fnmatch.fnmatchcase(parts[i - 1] if anywhere else above, pattern) and (anywhere or above.count("/") == pattern.count("/")):
                return True
    return False


def tracked():
    done = subprocess.run(["git", "-c", f"safe.directory={SOURCE}", "-C", SOURCE, "ls-files"], capture_output=True, text=True, check=False)
    return done.stdout.split("\n")[:-1] if done.returncode == 0 else []


def copied():
    with open(f"{SOURCE}/deploy/image/Dockerfile") as file:
        return re.findall(r"^COPY (?!--from)(\S+) ", file.read(), re.MULTILINE)


for path in MUST_NOT:
    assert is_left_out(path), f"the context has {path}"
for path in copied():
    assert path == "." or (os.path.exists(f"{SOURCE}/{path}") and not is_left_out(path)), f"the context lacks {path}"
missing = [path for path in tracked() if is_left_out(path) and not path.startswith(".ci/")]
assert not missing, f"the context lacks {missing}"
with open(f"{SOURCE}/deploy/packages.txt") as file:
    packages = file.read().split()
# The build stages start from a slim base, where cpack finds only what deploy/setup.sh installs.
assert {"dpkg-dev", "file"} <= set(packages), "cpack could not say what the package depends on"
print(f"{len(tracked())} files are there, {len(MUST_NOT)} are not")
