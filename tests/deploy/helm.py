"""The chart: it renders for every example, what it renders is what Kubernetes takes (its own schemas, nothing unknown), every
container is locked down, every setting is one that our programs know, and wrong values are refused by name.

Needs build/kube-tools (deploy/kubernetes/tools.sh brings it); skipped without.
"""
import glob
import json
import os
import re
import subprocess
import sys
import tempfile

SOURCE, BIN = os.environ["MILLRACE_SOURCE"], os.environ["MILLRACE_BIN"]
TOOLS = os.environ.get("MILLRACE_KUBE_TOOLS", f"{SOURCE}/build/kube-tools")
CHART = f"{SOURCE}/helm"
if not os.access(f"{TOOLS}/helm", os.X_OK):
    print(f"skipped: no helm in {TOOLS}; deploy/kubernetes/tools.sh brings it")
    sys.exit(77)
if not sys.executable.startswith(TOOLS) and os.path.exists(f"{TOOLS}/bin/python"):
    os.execv(f"{TOOLS}/bin/python", [f"{TOOLS}/bin/python", *sys.argv])

import kubernetes_validate  # noqa: E402
import yaml  # noqa: E402

VERSIONS = ("1.29", "1.33")
CUSTOM = {"ServiceMonitor", "ScaledObject", "LeaderWorkerSet"}  # not part of Kubernetes: no schema


def helm(*arguments):
    with tempfile.TemporaryDirectory() as home:
        return subprocess.run([f"{TOOLS}/helm", *arguments], env={**os.environ, "HOME": home}, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)


def render(*arguments):
    done = helm("template", "rel", CHART, "--namespace", "ns", *arguments)
    assert done.returncode == 0, done.stdout
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def pods_of(document):
    """(name, pod spec) of everything that makes pods."""
    kind, name = document["kind"], document["metadata"]["name"]
    if kind == "Pod":
        yield name, document["spec"]
    elif kind in ("Deployment", "StatefulSet"):
        yield name, document["spec"]["template"]["spec"]
    elif kind == "LeaderWorkerSet":
        for role in ("leaderTemplate", "workerTemplate"):
            yield f"{name} {role}", document["spec"]["leaderWorkerTemplate"][role]["spec"]


def check_schema(document):
    for version in VERSIONS:
        if document["kind"] not in CUSTOM:
            kubernetes_validate.validate(document, version, strict=True)
        for name, spec in pods_of(document):  # of custom kinds, too
            kubernetes_validate.validate({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": spec}, version,
                                         strict=True)


def check_locked_down(name, spec):
    pod = spec["securityContext"]
    assert pod["runAsNonRoot"] and pod["runAsUser"] and pod["seccompProfile"]["type"] == "RuntimeDefault", name
    assert spec["automountServiceAccountToken"] is False and spec["enableServiceLinks"] is False, name
    for container in spec["containers"] + spec.get("initContainers", []):
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False and security["readOnlyRootFilesystem"] is True, name
        assert security["capabilities"]["drop"] == ["ALL"], name
        assert "memory" in container["resources"]["limits"] and "cpu" in container["resources"]["requests"], name
        mounts = {mount["name"] for mount in container["volumeMounts"]}
        assert mounts <= {volume["name"] for volume in spec["volumes"]}, f"{name}: {mounts}"


def check_ingress(documents, title):
    """An ingress controller lives in another namespace: where there is an Ingress, the network policy must let one in."""
    if not any(document["kind"] == "Ingress" for document in documents):
        return
    for document in documents:
        if document["kind"] == "NetworkPolicy" and document["spec"]["podSelector"]["matchLabels"].get(
                "app.kubernetes.io/component") == "coordinator":
            peers = [peer for rule in document["spec"]["ingress"] if {"port": "grpc"} in rule["ports"] for peer in rule["from"]]
            assert any("namespaceSelector" in peer for peer in peers), f"{title}: the ingress controller may not come in"


def known_settings(program):
    page = subprocess.run([f"{BIN}/{program}", *(["generate"] if program == "millrace" else []), "--help"], stdout=subprocess.PIPE,
                          text=True).stdout
    return set(re.findall(r"environment\s+(MILLRACE_[A-Z_]+)", page))


KNOWN = {"millrace-coordinator": known_settings("millrace-coordinator"), "mpirun": known_settings("millrace-worker"),
         "group-leader.sh": known_settings("millrace-worker"), "group-worker.sh": known_settings("millrace-worker"),
         "millrace": known_settings("millrace")}


def check_settings(name, spec):
    for container in spec["containers"]:
        program = os.path.basename(container["command"][0])
        for variable in container["env"]:
            if variable["name"].startswith("MILLRACE_"):
                assert variable["name"] in KNOWN[program], f"{name}: {program} knows no {variable['name']}"


def check_policy(documents, title):
    checkov = f"{TOOLS}/bin/checkov"
    if not os.access(checkov, os.X_OK):
        return "no checkov"
    with tempfile.TemporaryDirectory() as directory:
        with open(f"{directory}/all.yaml", "w") as file:
            file.write("---\n".join(yaml.dump(document) for document in documents if document["kind"] != "Pod"))  # the test's pod
        # CKV_K8S_8: a replica that hangs ends itself (no liveness probe); CKV_K8S_43: images by digest, which is the installer's registry's to know; _15: pull policy Always follows from a tag that
        # moves; _11: a CPU limit throttles ranks that wait for each other; _21: the namespace is --namespace; _35: secrets as files
        done = subprocess.run([checkov, "--framework", "kubernetes", "--compact", "--quiet", "-o", "json", "--skip-check",
                               "CKV_K8S_8,CKV_K8S_43,CKV_K8S_15,CKV_K8S_11,CKV_K8S_21,CKV_K8S_35,CKV_K8S_40", "-d", directory],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    result = json.loads(done.stdout)
    failed = [f"{check['check_id']} {check['check_name']}: {check['resource']}"
              for check in result.get("results", {}).get("failed_checks", [])]
    assert not failed, f"{title}: " + "\n".join(failed)
    return f"{result.get('summary', result).get('passed')} policies"


WRONG = [("replicas.ranks=0", "ranks"), ("replicas.backend=gpu", "backend"), ("replicas.kind=deployment", "kind"),
         ("coordinator.port=99999", "port"), ("replicas.sharedMemory=lots", "sharedMemory"), ("replica.count=2", "replica"),
         ("model.source=pvc", "claimName"), ("tls.enabled=true", "existingSecret"), ("tokens.enabled=true", "existingSecret"),
         ("autoscaling.kind=vpa", "kind"), ("serviceMonitor.interval=soon", "interval")]


def check_wrong_values():
    for setting, field in WRONG:
        done = helm("template", "rel", CHART, "--set", setting)
        assert done.returncode != 0, f"--set {setting} was accepted"
        assert field in done.stdout, f"--set {setting}: the error does not name {field}: {done.stdout}"
    done = helm("template", "rel", CHART, "-f", f"{CHART}/examples/several-nodes.yaml", "--set", "replicas.ranks=15")
    assert done.returncode != 0 and "multiple of replicas.pods" in done.stdout, done.stdout


def main():
    examples = sorted(glob.glob(f"{CHART}/examples/*.yaml"))
    assert len(examples) >= 3
    variants = [("defaults", [])] + [(os.path.basename(e), ["-f", e]) for e in examples]
    variants += [("model from an init container", ["--set", "model.source=init,model.init.image=registry/model:1"]),
                 ("autoscaling by HPA", ["--set", "autoscaling.kind=hpa"]),
                 ("mutual TLS", ["--set", "tls.enabled=true,tls.mutual=true,tls.existingSecret=s"])]
    for title, arguments in variants:
        lint = helm("lint", "--strict", CHART, *arguments)
        assert lint.returncode == 0, lint.stdout
        documents = render(*arguments)
        for document in documents:
            check_schema(document)
            for name, spec in pods_of(document):
                check_locked_down(name, spec)
                check_settings(name, spec)
        check_ingress(documents, title)
        print(f"{title}: {len(documents)} objects, {check_policy(documents, title)}")
    check_wrong_values()
    print(f"{len(WRONG) + 1} wrong values refused by name")


main()
