"""As much of a Kubernetes API server as `helm template --dry-run=server` asks: which kinds there are, and objects by name."""
import http.server
import json
import threading

PLURALS = {"NetworkPolicy": "networkpolicies", "Ingress": "ingresses"}


class KubeApi:
    """kinds: (apiVersion, kind) of all that is known."""

    def __init__(self, kinds):
        self.pages = {"/version": {"major": "1", "minor": "36", "gitVersion": "v1.36.0"},
                      "/api": {"kind": "APIVersions", "versions": ["v1"]}}
        versions = sorted({version for version, _ in kinds})
        for version in versions:
            self.pages[self._root(version)] = {
                "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version,
                "resources": [{"name": self._plural(kind), "singularName": kind.lower(), "namespaced": True, "kind": kind,
                               "verbs": ["get", "list", "create"]} for v, kind in sorted(kinds) if v == version]}
        groups = [{"groupVersion": version, "version": version.split("/")[1]} for version in versions if "/" in version]
        self.pages["/apis"] = {"kind": "APIGroupList", "apiVersion": "v1", "groups": [
            {"name": group["groupVersion"].split("/")[0], "versions": [group], "preferredVersion": group} for group in groups]}
        pages = self.pages

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                page = pages.get(self.path.split("?")[0])
                missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
                body = json.dumps(page or missing).encode()
                self.send_response(200 if page else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    @staticmethod
    def _root(version):
        return f"/apis/{version}" if "/" in version else f"/api/{version}"

    @staticmethod
    def _plural(kind):
        return PLURALS.get(kind, kind.lower() + "s")

    def add(self, version, kind, namespace, name, content, release):
        """An object that helm made for that release."""
        metadata = {"name": name, "namespace": namespace, "labels": {"app.kubernetes.io/managed-by": "Helm"},
                    "annotations": {"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": namespace}}
        self.pages[f"{self._root(version)}/namespaces/{namespace}/{self._plural(kind)}/{name}"] = {
            "apiVersion": version, "kind": kind, "metadata": metadata, **content}

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
