"""Every value of the chart: changing it changes what is rendered, in one of a few releases that have everything switched on; the schema
knows it, refuses another type for it by name, and knows none that values.yaml does not have.

Needs build/kube-tools, as helm.py does; skipped without. usage: chart_values.py [BEGINNING OF A VALUE'S NAME]...
"""
import copy
import json
import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from helm import CHART, COMMON, helm  # noqa: E402

import jsonschema  # noqa: E402
import yaml  # noqa: E402

with open(f"{CHART}/values.yaml") as file:
    VALUES = yaml.safe_load(file)
with open(f"{CHART}/values.schema.json") as file:
    SCHEMA = json.load(file)
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)

ALL_ON = {
    "tls": {"enabled": True, "existingSecret": "s"}, "tokens": {"enabled": True, "existingSecret": "t"},
    "ingress": {"enabled": True}, "serviceMonitor": {"enabled": True}, "prometheusRule": {"enabled": True}, "dashboard": {"enabled": True},
    "route": {"enabled": True, "parentRefs": [{"name": "gateway"}], "caConfigMap": "c"}, "autoscaling": {"kind": "hpa"},
    "coordinator": {"service": {"type": "LoadBalancer"}}, "replicas": {"gpus": 1, "rdma": {"resource": "rdma/hca"}},
    "networkPolicy": {"clients": [{"namespaceSelector": {}}]},
}
# What the releases have on top: between them every source of a model, both kinds of replica, both autoscalers.
RELEASES = [
    {"model": {"source": "huggingface", "huggingface": {"repository": "a/b"}, "pvc": {"create": True}}},
    {"model": {"source": "s3", "s3": {"uri": "s3://b/m"}}, "autoscaling": {"kind": "keda"},
     "replicas": {"kind": "leaderworkerset", "ranks": 4, "pods": 2, "ssh": {"existingSecret": "k"}}},
    {"model": {"source": "oci", "oci": {"reference": "r/m:1"}}, "autoscaling": {"kind": "none"}},
    {"model": {"source": "init", "init": {"image": "r/i:1"}}, "tls": {"enabled": False}},
    {"model": {"source": "image"}, "serviceAccount": {"create": False, "name": "someone"}},
]
# Values for what has a pattern or a form of its own.
OTHER = {
    "model.huggingface.repository": "c/d", "model.huggingface.endpoint": "https://mirror", "model.s3.uri": "s3://c/m",
    "model.s3.endpoint": "https://minio", "model.pvc.accessModes": ["ReadWriteOnce"], "image.digest": "sha256:" + "1" * 64,
    "serviceMonitor.interval": "31s", "replicas.rdma.resource": "rdma/other", "coordinator.service.loadBalancerSourceRanges": ["10.0.0.0/8"],
    "coordinator.service.externalTrafficPolicy": "Local", "networkPolicy.dnsPorts": [54], "networkPolicy.fetchPorts": [444],
    "networkPolicy.clients": [{"podSelector": {}}], "networkPolicy.monitoring": [{"podSelector": {}}],
    "networkPolicy.egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}], "model.fetchEnv": [{"name": "A", "value": "b"}],
    "model.fetchEnvFrom": [{"configMapRef": {"name": "m"}}], "imagePullSecrets": [{"name": "pull"}], "route.parentRefs": [{"name": "other"}],
    "route.hostnames": ["h.example.com"], "route.headers": [{"name": "x", "value": "y"}], "models": [{"name": "poems"}],
    "replicas.ranks": 8, "replicas.pods": 4, "replicas.gpus": 2, "autoscaling.minReplicas": 2,
}
FREE = {"affinity": {"nodeAffinity": {}}}  # of a pod, not in COMMON
PODS = list(VALUES["pod"])


def leaves(tree, path=()):
    for key, value in tree.items():
        if isinstance(value, dict) and value and key not in PODS and key not in ("resources", "fetchResources", "labels"):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def put(tree, path, value):
    for key in path[:-1]:
        tree = tree.setdefault(key, {})
    tree[path[-1]] = value


def over(*layers):
    made = {}
    for layer in layers:
        for key, value in layer.items():
            made[key] = over(made[key], value) if isinstance(value, dict) and isinstance(made.get(key), dict) else copy.deepcopy(value)
    return made


def schema_of(path):
    node = SCHEMA
    for key in path:
        node = node["properties"][key]
        node = SCHEMA["definitions"][node["$ref"].split("/")[-1]] if "$ref" in node else node
    return node


def another(path, value):
    """A valid value that is not the default."""
    name, schema = ".".join(path), schema_of(path)
    if name in OTHER:
        return OTHER[name]
    if path[-1] in PODS:
        return {**COMMON, **FREE, "runtimeClassName": "nvidia"}[path[-1]]
    if isinstance(value, bool):
        return not value
    if "enum" in schema:
        return next(choice for choice in schema["enum"] if choice not in (value, ""))
    if isinstance(value, int):
        return value + 1 if value < schema["maximum"] else value - 1
    if path[-1] in ("resources", "fetchResources"):
        return {"requests": {"cpu": "3", "memory": "3Gi"}, "limits": {"memory": "5Gi"}}
    if isinstance(value, list):
        return ["--other"]
    if isinstance(value, dict):
        return {"other": "words"}
    return "3Gi" if schema.get("pattern", "").startswith("^[0-9]") else "other"


def render(values):
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        json.dump(values, file)
        file.flush()
        done = helm("template", "rel", CHART, "--namespace", "ns", "--kube-version", "1.35.0", "-f", file.name)
    assert done.returncode == 0, f"{values}: {done.stdout}"
    return done.stdout


plain = {}


def shows(path, value):
    for number, release in enumerate(RELEASES):
        base = over(ALL_ON, release)
        if number not in plain:
            plain[number] = render(base)
        changed = over(base)
        put(changed, path, value)
        if path == ("replicas", "kind"):
            changed = over(changed, {"replicas": {"ssh": {"existingSecret": "k"}}})
        if render(changed) != plain[number]:
            return True
    return False


def all_leaves():
    """Those of values.yaml, and `pod`'s under the two components that take them as well."""
    yield from leaves(VALUES)
    for component in ("coordinator", "replicas"):
        for key in PODS:
            yield (component, key), VALUES["pod"][key]


def test_every_value_shows():
    count = 0
    for path, value in all_leaves():
        if not ".".join(path).startswith(tuple(sys.argv[1:]) or ""):
            continue
        other = another(path, value)
        values = {}
        put(values, path, other)
        errors = [error.message for error in VALIDATOR.iter_errors(values)]
        assert not errors, f"{'.'.join(path)}={other}: {errors}"
        # What is on in the releases shows when it is off.
        assert shows(path, other) or (isinstance(value, bool) and shows(path, value)), f"{'.'.join(path)}: {other} instead of {value} changes nothing that is rendered"
        count += 1
    print(f"{count} values: each shows in what is rendered", flush=True)


def nonsense(value):
    """Of no type that the value may have."""
    return ["x"] if isinstance(value, (dict, str, bool, int)) else "x"


def test_the_schema_refuses_nonsense():
    for path, value in all_leaves():
        for wrong in (nonsense(value), 1.5, None if not isinstance(value, dict) else "x"):
            values = {}
            put(values, path, wrong)
            found = {".".join(map(str, error.absolute_path)) for error in VALIDATOR.iter_errors(values)}
            assert any(name == ".".join(path) or name.startswith(".".join(path) + ".") for name in found), f"{'.'.join(path)}={wrong}: {found}"


def sections(tree, path=()):
    yield path, tree
    for key, value in tree.items():
        if isinstance(value, dict) and value and key not in PODS and key not in ("resources", "fetchResources", "labels"):
            yield from sections(value, (*path, key))


def test_no_unknown_names():
    for path, section in sections(VALUES):
        values = {}
        put(values, (*path, "nobodyKnowsThis"), 1)
        assert not VALIDATOR.is_valid(values), f"{'.'.join(path)} takes any name"
        known, listed = set(schema_of(path)["properties"]), set(section)
        extra = known - listed - (set(PODS) if path in (("coordinator",), ("replicas",)) else set()) - ({"global"} if not path else set())
        assert not extra, f"{'.'.join(path)}: the schema has {extra}, values.yaml has not"
        assert not listed - known, f"{'.'.join(path)}: values.yaml has {listed - known}, the schema has not"
    print(f"{len(list(sections(VALUES)))} sections: the same names in values.yaml and its schema", flush=True)


test_no_unknown_names()
test_the_schema_refuses_nonsense()
test_every_value_shows()
