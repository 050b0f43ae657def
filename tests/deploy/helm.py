"""The chart: it renders for every example, what it renders is what Kubernetes takes (its own schemas, nothing unknown), every
container is locked down, every setting is one that our programs know, what is asked for comes out where it belongs, and wrong
values are refused by name.

Needs build/kube-tools (deploy/kubernetes/tools.sh brings it); skipped without.
"""
import copy
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

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from kube_api import KubeApi  # noqa: E402

VERSIONS = [f"1.{minor}" for minor in range(29, 37)]
# Not part of Kubernetes: no schema.
CUSTOM = {"ServiceMonitor", "PrometheusRule", "ScaledObject", "LeaderWorkerSet", "GRPCRoute", "BackendTLSPolicy"}
COMPONENT = "app.kubernetes.io/component"


def helm(*arguments):
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run([f"{TOOLS}/helm", *arguments], env={**os.environ, "HOME": home}, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
    done.stdout = "".join(line for line in done.stdout.splitlines(True) if "found symbolic link in path" not in line)
    return done


def render(*arguments):
    done = helm("template", "rel", CHART, "--namespace", "ns", *arguments)
    assert done.returncode == 0, done.stdout
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def render_values(values, *arguments):
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.dump(values, file)
        file.flush()
        return render(*arguments, "-f", file.name)  # over the others


def templates_of(document):
    """(name, metadata, pod spec) of everything that makes pods."""
    kind, name = document["kind"], document["metadata"]["name"]
    if kind == "Pod":
        yield name, document["metadata"], document["spec"]
    elif kind in ("Deployment", "StatefulSet"):
        yield f"{kind} {name}", document["spec"]["template"]["metadata"], document["spec"]["template"]["spec"]
    elif kind == "LeaderWorkerSet":
        for role in ("leaderTemplate", "workerTemplate"):
            template = document["spec"]["leaderWorkerTemplate"][role]
            yield f"{name} {role}", template["metadata"], template["spec"]


def pods(documents):
    return [template for document in documents for template in templates_of(document)]


def one(documents, kind, name="rel-millrace"):
    found = [document for document in documents if document["kind"] == kind and document["metadata"]["name"] == name]
    assert len(found) == 1, f"{len(found)} of {kind} {name}"
    return found[0]


def environment(container):
    return {variable["name"]: variable.get("value") for variable in container["env"]}


# ---- of everything that is rendered ----

seen = set()  # (object as JSON, version): most variants differ in a few objects


def validate(document, version):
    key = (json.dumps(document, sort_keys=True), version)
    if key not in seen:
        kubernetes_validate.validate(document, version, strict=True)
        seen.add(key)


def check_schema(document, versions):
    for version in versions:
        if document["kind"] not in CUSTOM:
            validate(document, version)
        if document["kind"] == "LeaderWorkerSet":  # its pods are Kubernetes' own
            for _, metadata, spec in templates_of(document):
                validate({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", **metadata}, "spec": spec}, version)


def check_locked_down(name, spec):
    pod = spec["securityContext"]
    assert pod["runAsNonRoot"] and pod["seccompProfile"]["type"] == "RuntimeDefault", name
    assert spec["automountServiceAccountToken"] is False and spec["enableServiceLinks"] is False, name
    for container in spec["containers"] + spec.get("initContainers", []):
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False and security["readOnlyRootFilesystem"] is True, name
        assert security["capabilities"]["drop"] == ["ALL"], name
        assert "memory" in container["resources"]["limits"] and "cpu" in container["resources"]["requests"], name
        mounts = {mount["name"] for mount in container["volumeMounts"]}
        assert mounts <= {volume["name"] for volume in spec["volumes"]}, f"{name}: {mounts}"
        assert container["terminationMessagePolicy"] == "FallbackToLogsOnError", name


def check_names(documents):
    names = [(document["kind"], document["metadata"]["name"]) for document in documents]
    assert len(set(names)) == len(names), f"twice: {sorted(name for name in names if names.count(name) > 1)}"
    for document in documents:
        if document["kind"] == "StatefulSet":
            one(documents, "Service", document["spec"]["serviceName"])


def selects(selector, labels):
    return selector.items() <= labels.items()


def check_selectors(documents):
    """Whatever selects pods selects those of one model and one component, and there are some."""
    labels = [metadata["labels"] for _, metadata, _ in pods(documents)]
    for document in documents:
        spec = document["spec"] if "spec" in document else {}
        selector = spec.get("podSelector", spec.get("selector")) if document["kind"] not in ("ServiceMonitor",) else None
        if selector is None:
            continue
        selector = selector.get("matchLabels", selector)
        chosen = [found for found in labels if selects(selector, found)]
        where = f"{document['kind']} {document['metadata']['name']}"
        assert chosen, f"{where} selects nothing: {selector}"
        for key in (COMPONENT, "millrace/model"):
            assert len({found.get(key) for found in chosen}) == 1, f"{where} selects several of {key}"


def check_process_1(documents):
    """Pods drain because process 1 does; a hook that outlives it is a warning at every end. Replicas have a probe that sees a hang."""
    for name, metadata, spec in pods(documents):
        container = spec["containers"][0]
        assert "lifecycle" not in container, name
        assert "tcpSocket" not in json.dumps(container), f"{name}: sshd logs every look at its port"
        program = os.path.basename(container["command"][0])
        if program in ("replica.sh", "group-leader.sh"):
            for kind in ("livenessProbe", "readinessProbe"):
                probe = container[kind]["exec"]["command"]
                assert os.path.basename(probe[0]) == "alive.sh" and probe[1] == environment(container)["MILLRACE_READY_FILE"], name
            assert int(container["readinessProbe"]["exec"]["command"][2]) > 15, name  # the coordinator's patience
        elif metadata["labels"][COMPONENT] == "replica":
            assert program == "group-worker.sh", name
        for path in [word for word in json.dumps(container["command"]).split('"') if word.startswith("/usr/share/millrace/deploy/")]:
            assert os.access(f"{SOURCE}/deploy/kubernetes/{os.path.basename(path)}", os.X_OK), f"{name}: {path} is not ours"


def check_entry(documents, title):
    """Ingress controllers and gateways live in other namespaces: the network policy must let one in."""
    if not any(document["kind"] in ("Ingress", "GRPCRoute") for document in documents):
        return
    for document in documents:
        if document["kind"] == "NetworkPolicy" and document["spec"]["podSelector"]["matchLabels"].get(COMPONENT) == "coordinator":
            peers = [peer for rule in document["spec"]["ingress"] if {"port": "grpc"} in rule["ports"] for peer in rule["from"]]
            assert any("namespaceSelector" in peer for peer in peers), f"{title}: what is outside may not come in"


def check_egress(documents, title):
    """A pod whose model is fetched may look names up and call out; a coordinator whose model is there only answers."""
    fetches = any(container["name"] == "model" for _, _, spec in pods(documents) for container in spec.get("initContainers", []))
    several = any("millrace/model" in metadata["labels"] for _, metadata, _ in pods(documents))
    for document in [] if several else [d for d in documents if d["kind"] == "NetworkPolicy"]:
        egress = document["spec"]["egress"]
        ports = {port["port"] for rule in egress if "to" not in rule for port in rule["ports"]}
        is_coordinator = document["spec"]["podSelector"]["matchLabels"][COMPONENT] == "coordinator"
        if fetches:
            assert ports == {53, 5353, 443}, f"{title}: {ports}"
        else:
            assert ports == (set() if is_coordinator else {53, 5353}), f"{title}: {ports}"


def known_settings(program):
    page = subprocess.run([f"{BIN}/{program}", *(["generate"] if program == "millrace" else []), "--help"], stdout=subprocess.PIPE,
                          text=True).stdout
    return set(re.findall(r"environment\s+(MILLRACE_[A-Z_]+)", page))


WORKER = known_settings("millrace-worker")
KNOWN = {"millrace-coordinator": known_settings("millrace-coordinator"), "replica.sh": WORKER, "group-leader.sh": WORKER,
         "group-worker.sh": WORKER, "millrace": known_settings("millrace")}


def check_settings(name, spec):
    container = spec["containers"][0]
    program = os.path.basename(container["command"][0])
    for variable in container["env"]:
        if variable["name"].startswith("MILLRACE_"):
            assert variable["name"] in KNOWN[program], f"{name}: {program} knows no {variable['name']}"


def check_policies(rendered):
    """checkov's, of all {title: documents} in one run: its start takes longer than its checks. A namespace each keeps them apart."""
    checkov = f"{TOOLS}/bin/checkov"
    if not os.access(checkov, os.X_OK):
        return "no checkov"
    with tempfile.TemporaryDirectory() as directory:
        for number, documents in enumerate(rendered.values()):
            objects = [copy.deepcopy(document) for document in documents if document["kind"] != "Pod"]  # the test's pod
            for document in objects:
                document["metadata"]["namespace"] = f"n{number}"
            with open(f"{directory}/{number}.yaml", "w") as file:
                yaml.dump_all(objects, file)
        # CKV_K8S_43: images by digest, which is the installer's registry's to know; _15: pull policy Always follows from a tag that
        # moves; _11: a CPU limit throttles ranks that wait for each other; _21: the namespace is --namespace; _35: secrets as files
        done = subprocess.run([checkov, "--framework", "kubernetes", "--compact", "--quiet", "-o", "json", "--skip-check",
                               "CKV_K8S_43,CKV_K8S_15,CKV_K8S_11,CKV_K8S_21,CKV_K8S_35,CKV_K8S_40", "-d", directory],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    result = json.loads(done.stdout)
    titles = list(rendered)
    failed = [f"{titles[int(check['file_path'].strip('/').split('.')[0])]}: {check['check_id']} {check['check_name']}: {check['resource']}"
              for check in result.get("results", {}).get("failed_checks", [])]
    assert not failed, "\n".join(failed)
    return f"{result.get('summary', result).get('passed')} policies"


def check_all(documents, title, versions=VERSIONS):
    for document in documents:
        check_schema(document, versions)
    for name, _, spec in pods(documents):
        check_locked_down(name, spec)
        check_settings(name, spec)
    check_names(documents)
    check_selectors(documents)
    check_process_1(documents)
    check_entry(documents, title)
    check_egress(documents, title)


# ---- what is asked for ----

GROUP = ["-f", f"{CHART}/examples/several-nodes.yaml"]
COMMON = {
    "podLabels": {"team": "poets"}, "podAnnotations": {"note": "x"}, "nodeSelector": {"disk": "fast"},
    "tolerations": [{"key": "dedicated", "operator": "Exists"}],
    "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}],
    "priorityClassName": "high", "schedulerName": "volcano", "extraEnv": [{"name": "EXTRA", "value": "1"}],
    "envFrom": [{"configMapRef": {"name": "more"}}], "extraVolumes": [{"name": "certificates", "configMap": {"name": "authority"}}],
    "extraVolumeMounts": [{"name": "certificates", "mountPath": "/etc/authority"}],
    "resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "one-gpu"}],
    "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["hub"]}],
    "initContainers": [{"name": "before", "image": "busybox:1"}], "sidecars": [{"name": "beside", "image": "busybox:1"}],
    "podSecurityContext": {"runAsUser": 1000680000}, "securityContext": {"privileged": False},
}


def common_block_of(metadata, spec, test=False):
    """What came of it, in the form that was asked for. The test's pod has none of the containers."""
    container, made = spec["containers"][0], {}
    made["podLabels"] = {key: value for key, value in metadata["labels"].items() if key == "team"}
    made["podAnnotations"] = {key: value for key, value in metadata["annotations"].items() if key == "note"}
    for key in ("nodeSelector", "tolerations", "topologySpreadConstraints", "priorityClassName", "schedulerName", "resourceClaims",
                "hostAliases"):
        made[key] = spec.get(key)
    made["extraEnv"] = [variable for variable in container["env"] if variable["name"] == "EXTRA"]
    made["envFrom"] = container["envFrom"]
    made["extraVolumes"] = [volume for volume in spec["volumes"] if volume["name"] == "certificates"]
    made["extraVolumeMounts"] = [mount for mount in container["volumeMounts"] if mount["name"] == "certificates"]
    made["podSecurityContext"] = {"runAsUser": spec["securityContext"]["runAsUser"]}
    made["securityContext"] = {"privileged": container["securityContext"]["privileged"]}
    if not test:
        made["initContainers"] = [c for c in spec.get("initContainers", []) if c["name"] == "before"]
        made["sidecars"] = [c for c in spec["containers"] if c["name"] == "beside"]
    return made


def test_common_block():
    """Every pod has it: the coordinator's, a replica's, those of a group, the test's; a component's own reaches only its pods."""
    for arguments in ([], GROUP):
        expected = copy.deepcopy(COMMON)
        documents = render_values({"pod": COMMON}, *arguments)
        for document in documents:
            check_schema(document, [v for v in VERSIONS if v >= "1.31"])  # claims had another form before
        for name, metadata, spec in pods(documents):
            test = metadata["labels"][COMPONENT] == "test"
            wanted = {key: value for key, value in expected.items() if not (test and key in ("initContainers", "sidecars"))}
            made = common_block_of(metadata, spec, test)
            if arguments and not test and metadata["labels"][COMPONENT] == "replica":
                made["nodeSelector"].pop("nvidia.com/gpu.product")
            assert made == wanted, f"{name}: {made}"
    for component in ("coordinator", "replicas"):
        for name, metadata, spec in pods(render_values({component: COMMON}, *GROUP)):
            has = any(volume["name"] == "certificates" for volume in spec["volumes"])
            assert has == component.startswith(metadata["labels"][COMPONENT]), f"{component}: {name}"


def test_common_block_and_own():
    """Lists are added, maps laid over key by key, words replaced."""
    documents = render_values({
        "pod": {"nodeSelector": {"a": "1", "b": "1"}, "tolerations": [{"key": "a"}], "priorityClassName": "low"},
        "replicas": {"nodeSelector": {"b": "2"}, "tolerations": [{"key": "b"}], "priorityClassName": "high",
                     "securityContext": {"readOnlyRootFilesystem": False}}})
    spec = one(documents, "StatefulSet", "rel-millrace-replica")["spec"]["template"]["spec"]
    assert spec["nodeSelector"] == {"a": "1", "b": "2"} and spec["tolerations"] == [{"key": "a"}, {"key": "b"}], spec
    assert spec["priorityClassName"] == "high"
    assert spec["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is False
    coordinator = one(documents, "Deployment")["spec"]["template"]["spec"]
    assert coordinator["priorityClassName"] == "low" and coordinator["containers"][0]["securityContext"]["readOnlyRootFilesystem"]


def test_openshift():
    for name, _, spec in pods(render("-f", f"{CHART}/examples/openshift.yaml")):
        assert not {"runAsUser", "runAsGroup", "fsGroup"} & set(spec["securityContext"]), name


def test_image():
    digest = "sha256:" + "0" * 64
    values = {"image": {"registry": "registry.example.com/", "repository": "ai/millrace", "digest": digest}, "imagePullSecrets": [{"name": "pull"}]}
    for name, _, spec in pods(render_values(values)):
        assert spec["containers"][0]["image"] == f"registry.example.com/ai/millrace:0.1.0@{digest}", name
        assert spec["imagePullSecrets"] == [{"name": "pull"}], name


def test_arguments():
    values = {"coordinator": {"extraArgs": ["--max-queue-tokens", "5"]}, "replicas": {"extraArgs": ["--collective", "mpi"]}}
    for arguments in ([], GROUP):
        for name, metadata, spec in pods(render_values(values, *arguments)):
            command = spec["containers"][0]["command"]
            expected = {"Deployment": ["5"], "StatefulSet": ["mpi"], "rel-millrace-replica leaderTemplate": ["mpi"]}
            last = expected.get(name.split(" ")[0], expected.get(name))
            assert last is None or command[-1:] == last, f"{name}: {command}"


def test_time():
    values = {"replicas": {"startupSeconds": 7200, "hungSeconds": 90, "drainSeconds": 300}, "coordinator": {"startupSeconds": 240}}
    for arguments in ([], GROUP):
        for name, metadata, spec in pods(render_values(values, *arguments)):
            container = spec["containers"][0]
            probe = container.get("startupProbe")
            seconds = probe and probe["periodSeconds"] * probe["failureThreshold"]
            if metadata["labels"][COMPONENT] == "coordinator":
                assert seconds == 240, name
            elif metadata["labels"][COMPONENT] == "replica":
                assert spec["terminationGracePeriodSeconds"] > 300, name
                assert probe is None or (seconds == 7200 and container["livenessProbe"]["exec"]["command"][2] == "90"), name
    for _, metadata, spec in pods(render("--set", "replicas.hungSeconds=0")):
        assert metadata["labels"][COMPONENT] != "replica" or "livenessProbe" not in spec["containers"][0]


def test_rdma():
    values = {"replicas": {"hostNetwork": True, "podAnnotations": {"note": "x"},
                           "rdma": {"resource": "rdma/hca", "count": 2, "networks": "ib", "ipcLock": True}}}
    for arguments in ([], GROUP):
        for name, metadata, spec in pods(render_values(values, *arguments)):
            if metadata["labels"][COMPONENT] != "replica":
                assert "hostNetwork" not in spec and "annotations" not in metadata or metadata["labels"][COMPONENT] == "test", name
                continue
            container = spec["containers"][0]
            assert container["resources"]["limits"]["rdma/hca"] == 2, name
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["IPC_LOCK"]}, name
            assert metadata["annotations"] == {"k8s.v1.cni.cncf.io/networks": "ib", "note": "x"}, name
            assert spec["hostNetwork"] and spec["dnsPolicy"] == "ClusterFirstWithHostNet", name
    group = one(render(*GROUP), "LeaderWorkerSet", "rel-millrace-replica")
    assert group["metadata"]["annotations"]["leaderworkerset.sigs.k8s.io/exclusive-topology"] == "topology.kubernetes.io/rack"


def test_model_sources():
    """Coordinator and replicas alike: where the model is, who fetches it, with which secrets."""
    hub = {"source": "huggingface", "huggingface": {"repository": "us/m", "revision": "abc", "tokenSecret": "hub", "endpoint": "https://mirror"}}
    s3 = {"source": "s3", "s3": {"uri": "s3://b/m", "endpoint": "https://minio:9000", "region": "eu", "credentialsSecret": "keys"}}
    claim = {"create": True, "size": "5Gi", "storageClassName": "nfs", "subPath": "m"}
    for model in (hub, s3):
        for pvc in ({}, claim):
            documents = render_values({"model": {**model, "pvc": pvc}})
            check_all(documents, str(model))
            for name, metadata, spec in [pod for pod in pods(documents) if pod[1]["labels"][COMPONENT] != "test"]:
                (fetch,) = spec["initContainers"]
                volume = next(volume for volume in spec["volumes"] if volume["name"] == "model")
                mount = next(mount for mount in fetch["volumeMounts"] if mount["name"] == "model")
                assert volume.get("persistentVolumeClaim") == ({"claimName": "rel-millrace-model"} if pvc else None), name
                assert mount == {"name": "model", "mountPath": "/model", **({"subPath": "m"} if pvc else {})}, name
                assert environment(spec["containers"][0])["MILLRACE_MODEL"] == "/model", name
                if model is hub:
                    assert fetch["command"][1:] == ["us/m", "abc", "/model"], name
                    assert environment(fetch)["HF_ENDPOINT"] == "https://mirror"
                    token = next(mount for mount in fetch["volumeMounts"] if mount["name"] == "hub-token")
                    assert environment(fetch)["HF_TOKEN_FILE"] == f"{token['mountPath']}/token", name
                    assert not any(mount["name"] == "hub-token" for mount in spec["containers"][0]["volumeMounts"]), name
                else:
                    assert fetch["command"] == ["aws", "s3", "sync", "--no-progress", "--region", "eu", "--endpoint-url", "https://minio:9000",
                                                "s3://b/m", "/model"], name
                    assert fetch["envFrom"] == [{"secretRef": {"name": "keys"}}], name
            if pvc:
                made = one(documents, "PersistentVolumeClaim", "rel-millrace-model")
                assert made["spec"]["resources"]["requests"]["storage"] == "5Gi" and made["spec"]["storageClassName"] == "nfs"
                assert made["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_model_image():
    oci = ["--set", "model.source=oci,model.oci.reference=registry/models/m:1"]
    documents = render(*oci, "--kube-version", "1.35.0")
    check_all(documents, "oci", [version for version in VERSIONS if version >= "1.31"])
    for name, metadata, spec in pods(documents):
        if metadata["labels"][COMPONENT] != "test":
            volume = next(volume for volume in spec["volumes"] if volume["name"] == "model")
            assert volume["image"] == {"reference": "registry/models/m:1", "pullPolicy": "IfNotPresent"}, name
    done = helm("template", "rel", CHART, *oci, "--kube-version", "1.29.0")
    assert done.returncode != 0 and "use model.source: init" in done.stdout, done.stdout


def test_services():
    documents = render_values({"coordinator": {"service": {
        "type": "LoadBalancer", "nodePort": 30077, "httpNodePort": 30080, "loadBalancerClass": "example.com/internal", "loadBalancerSourceRanges": ["10.0.0.0/8"],
        "externalTrafficPolicy": "Local", "annotations": {"note": "x"}}}})
    service = one(documents, "Service")
    assert service["spec"]["loadBalancerClass"] == "example.com/internal" and service["spec"]["externalTrafficPolicy"] == "Local"
    assert service["spec"]["loadBalancerSourceRanges"] == ["10.0.0.0/8"]
    assert service["spec"]["ports"] == [{"name": "grpc", "port": 7077, "targetPort": "grpc", "appProtocol": "kubernetes.io/h2c",
                                         "nodePort": 30077},
                                        {"name": "http", "port": 8080, "targetPort": "http", "appProtocol": "http",
                                         "nodePort": 30080}]  # and not /metrics
    assert one(documents, "Service", "rel-millrace-metrics")["spec"].get("type") is None
    for document in documents:
        check_schema(document, VERSIONS)


def app_protocol(*arguments):
    return one(render(*arguments), "Service")["spec"]["ports"][0]["appProtocol"]


def test_app_protocol():
    tls = "tls.enabled=true,tls.existingSecret=s"
    assert app_protocol() == "kubernetes.io/h2c"
    assert app_protocol("--set", tls) == "https"
    assert app_protocol("--set", f"{tls},coordinator.service.appProtocol=grpc") == "grpc"


def test_route():
    values = {"route": {"enabled": True, "parentRefs": [{"name": "public", "namespace": "gw"}], "hostnames": ["a.example.com"],
                        "headers": [{"name": "x-model", "value": "m"}], "caConfigMap": "ca"},
              "tls": {"enabled": True, "existingSecret": "s"}}
    documents = render_values(values)
    route = one(documents, "GRPCRoute")["spec"]
    assert route["parentRefs"] == [{"name": "public", "namespace": "gw"}] and route["hostnames"] == ["a.example.com"]
    (rule,) = route["rules"]
    assert rule["matches"] == [{"method": {"type": "Exact", "service": "millrace.v1.Millrace"}, "headers": [{"name": "x-model", "value": "m"}]}]
    assert rule["backendRefs"] == [{"name": "rel-millrace", "port": 7077}]  # and no way to the replicas' service
    policy = one(documents, "BackendTLSPolicy")["spec"]
    assert policy["targetRefs"][0]["name"] == "rel-millrace" and policy["validation"]["hostname"] == "rel-millrace"
    with open(f"{SOURCE}/proto/millrace.proto") as file:
        text = file.read()
    assert "package millrace.v1;" in text and "service Millrace {" in text


def test_ingress():
    annotation = "nginx.ingress.kubernetes.io/backend-protocol"
    values = {"ingress": {"enabled": True, "annotations": {"note": "x"}}}
    assert one(render_values(values), "Ingress")["metadata"]["annotations"] == {annotation: "GRPC", "note": "x"}
    values["ingress"]["className"] = "traefik"
    assert one(render_values(values), "Ingress")["metadata"]["annotations"] == {"note": "x"}


def test_monitoring():
    """Rules and dashboard are the repository's own files; the monitor's job is the one that they ask for."""
    documents = render("--set", "serviceMonitor.enabled=true,prometheusRule.enabled=true,dashboard.enabled=true")
    with open(f"{SOURCE}/deploy/grafana/millrace.json") as file:
        assert one(documents, "ConfigMap", "rel-millrace-dashboard")["data"]["millrace.json"] == file.read()
    with open(f"{SOURCE}/deploy/prometheus/alerts.yml") as file:
        rules = yaml.safe_load(file)
    assert one(documents, "PrometheusRule")["spec"] == rules
    monitor = one(documents, "ServiceMonitor")["spec"]
    services = [d for d in documents if d["kind"] == "Service" and selects(monitor["selector"]["matchLabels"], d["metadata"]["labels"])]
    assert [service["metadata"]["name"] for service in services] == ["rel-millrace-metrics"]
    assert any(port["name"] == monitor["endpoints"][0]["port"] for port in services[0]["spec"]["ports"])
    job = services[0]["metadata"]["labels"][monitor["jobLabel"]]
    assert f'job="{job}"' in json.dumps(rules).replace('\\"', '"'), job
    with tempfile.TemporaryDirectory() as directory:  # the files are links into the repository: a package has them whole
        assert helm("package", CHART, "-d", directory).returncode == 0
        (package,) = glob.glob(f"{directory}/*.tgz")
        done = helm("template", "rel", package, "--set", "dashboard.enabled=true,prometheusRule.enabled=true")
        assert done.returncode == 0 and "MillraceNotReady" in done.stdout, done.stdout


def test_models():
    documents = render("-f", f"{CHART}/examples/several-models.yaml")
    check_all(documents, "several models")
    for model, path in (("poems", "/model"), ("code", "/model")):
        name = f"rel-millrace-{model}"
        replicas = one(documents, "StatefulSet", f"{name}-replica")
        variables = environment(replicas["spec"]["template"]["spec"]["containers"][0])
        assert variables["MILLRACE_COORDINATOR"] == f"{name}-replicas:7077" and variables["MILLRACE_MODEL"] == path
        attach = one(documents, "Service", f"{name}-replicas")["spec"]["selector"]
        coordinator = one(documents, "Deployment", name)["spec"]["template"]["metadata"]["labels"]
        assert selects(attach, coordinator)
        assert one(documents, "GRPCRoute", name)["spec"]["rules"][0]["matches"][0]["headers"][0]["value"] == model
        assert one(documents, "Pod", f"{name}-test")["spec"]["containers"][0]["command"][3] == f"{name}:7077"
    assert one(documents, "StatefulSet", "rel-millrace-poems-replica")["spec"]["replicas"] == 2
    assert one(documents, "StatefulSet", "rel-millrace-code-replica")["spec"]["replicas"] == 1  # an entry changes no other


def replicas_with(present, *arguments):
    """As `helm upgrade` would render it in a cluster that has so many."""
    plain = render(*arguments)
    known = {(document["apiVersion"], document["kind"]) for document in plain}
    kind = next(kind for _, kind in known if kind in ("StatefulSet", "LeaderWorkerSet"))
    with KubeApi(known) as api:
        if present is not None:
            version = next(version for version, k in known if k == kind)
            api.add(version, kind, "ns", "rel-millrace-replica", {"spec": {"replicas": present}}, release="rel")
        documents = render(*arguments, "--dry-run=server", "--disable-openapi-validation", "--kube-apiserver", api.url)
    return one(documents, kind, "rel-millrace-replica")["spec"]["replicas"]


def test_autoscaling_keeps_what_is_there():
    hpa = ["--set", "autoscaling.kind=hpa,autoscaling.minReplicas=2,autoscaling.maxReplicas=9"]
    assert replicas_with(7, *hpa) == 7  # it was switched on, or has scaled
    assert replicas_with(1, *hpa) == 2
    assert replicas_with(None, *hpa) == 2  # the first install
    assert replicas_with(7, "--set", "replicas.count=3") == 3  # without an autoscaler the value counts
    assert replicas_with(5, *GROUP, *hpa) == 5
    target = one(render(*GROUP, *hpa), "HorizontalPodAutoscaler", "rel-millrace-replica")["spec"]["scaleTargetRef"]
    assert target["kind"] == "LeaderWorkerSet"


def test_egress_of_ones_own():
    rule = {"to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}], "ports": [{"port": 4317}]}
    for document in render_values({"networkPolicy": {"egress": [rule]}}):
        if document["kind"] == "NetworkPolicy":
            assert rule in document["spec"]["egress"], document["metadata"]["name"]
            assert any(port["port"] == 53 for r in document["spec"]["egress"] for port in r.get("ports", [])), document["metadata"]["name"]


WRONG = [("replicas.ranks=0", "ranks"), ("replicas.backend=gpu", "backend"), ("replicas.kind=deployment", "kind"),
         ("coordinator.port=99999", "port"), ("replicas.sharedMemory=lots", "sharedMemory"), ("replica.count=2", "replica"),
         ("model.source=pvc", "claimName"), ("tls.enabled=true", "existingSecret"), ("tokens.enabled=true", "existingSecret"),
         ("autoscaling.kind=vpa", "kind"), ("serviceMonitor.interval=soon", "interval"), ("model.source=web", "source"),
         ("model.source=huggingface", "model.huggingface.repository"), ("model.huggingface.repository=a/b/c", "repository"),
         ("model.source=s3", "model.s3.uri"), ("model.s3.uri=http://x", "uri"), ("model.source=init", "model.init.image"),
         ("model.pvc.size=big", "size"), ("model.pvc.accessModes={Many}", "accessModes"), ("image.digest=sha256:1", "digest"),
         ("image.repository=", "repository"), ("pod.labels.a=b", "labels"), ("replicas.extraVolume=x", "extraVolume"),
         ("coordinator.extraArgs=--x", "extraArgs"), ("replicas.startupSeconds=0", "startupSeconds"),
         ("replicas.rdma.resource=hca", "resource"), ("route.enabled=true", "route.parentRefs"),
         ("route.headers[0].name=a", "value"), ("coordinator.service.loadBalancerSourceRanges={10.0.0.1}", "loadBalancerSourceRanges"),
         ("models[0].name=Big", "name"), ("models[0].name=a,models[0].replica.count=1", "replica"),
         ("models[0].name=a,models[0].replicas.ranks=0", "ranks"), ("models[0].replicas.ranks=1", "name"),
         ("models[0].name=x-metrics", "name"), ("models[0].name=a,models[1].name=a,models[1].replicas.count=2", "two have the name"),
         ("models[0].name=a-name-that-is-quite-long-now,fullnameOverride=a-release-name", "longer than 40"),
         ("autoscaling.kind=hpa,autoscaling.minReplicas=9", "minReplicas"), ("networkPolicy.dnsPorts={0}", "dnsPorts"),
         ("pod.extraEnv[0].value=1", "extraEnv")]


def test_wrong_values():
    for setting, field in WRONG:
        done = helm("template", "rel", CHART, "--set", setting)
        assert done.returncode != 0, f"--set {setting} was accepted"
        assert field in done.stdout, f"--set {setting}: the error does not name {field}: {done.stdout}"
    done = helm("template", "rel", CHART, *GROUP, "--set", "replicas.ranks=15")
    assert done.returncode != 0 and "multiple of replicas.pods" in done.stdout, done.stdout
    print(f"{len(WRONG) + 1} wrong values refused by name")


def kinds(documents):
    """As helm/README.md says what an example renders to."""
    names = [document["kind"] for document in documents]
    return ", ".join((f"{names.count(name)} " if names.count(name) > 1 else "") + name for name in dict.fromkeys(names))


def test_readme():
    with open(f"{CHART}/README.md") as file:
        page = file.read()
    for path in glob.glob(f"{CHART}/examples/*.yaml"):
        row = re.search(rf"^\| `{os.path.basename(path)}` .*$", page, re.MULTILINE)
        rendered = kinds(render("-f", path))
        assert row and row[0].endswith(f"| {rendered} |"), f"helm/README.md, {os.path.basename(path)}: {rendered}"


def test_examples():
    examples = sorted(glob.glob(f"{CHART}/examples/*.yaml"))
    assert len(examples) >= 6
    variants = [("defaults", [])] + [(os.path.basename(e), ["-f", e]) for e in examples]
    variants += [("model from an init container", ["--set", "model.source=init,model.init.image=registry/model:1"]),
                 ("autoscaling by HPA", ["--set", "autoscaling.kind=hpa"]),
                 ("mutual TLS", ["--set", "tls.enabled=true,tls.mutual=true,tls.existingSecret=s"])]
    rendered = {}
    for title, arguments in variants:
        lint = helm("lint", "--strict", CHART, *arguments)
        assert lint.returncode == 0, lint.stdout
        rendered[title] = render(*arguments)
        check_all(rendered[title], title)
        print(f"{title}: {len(rendered[title])} objects", flush=True)
    print(check_policies(rendered))


def main(*only):
    for name, test in list(globals().items()):
        if name.startswith("test_") and (not only or name in only):
            test()
            print(f"{name[5:].replace('_', ' ')}: as it should be", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
