"""TLS, mutual TLS, tokens and scopes of a real cluster, seen by clients that are not ours and by our own command."""
import hashlib
import json
import os
import ssl
import subprocess
import tempfile
import unittest

from cluster import (BIN, DEMO, SOURCE, Attached, Cluster, api, children_of, expect_failure, grpc, health_api,
                     wait_until)

SECRETS = {name: f"secret-of-{name}-0123456789" for name in ("anna", "boss", "rack", "nobody")}
FILES = tempfile.TemporaryDirectory()


def path(name):
    return os.path.join(FILES.name, name)


def content(name):
    with open(path(name), "rb") as file:
        return file.read()


def write(name, text):
    """As a tool would that replaces a file: beside it, then renamed."""
    with open(path(name + ".new"), "w") as file:
        file.write(text)
    os.chmod(path(name + ".new"), 0o600)
    os.rename(path(name + ".new"), path(name))
    return path(name)


def clients(*entries):
    return json.dumps({"clients": list(entries)})


def entry(name, *scopes, **more):
    return {"name": name, "token_sha256": hashlib.sha256(SECRETS[name].encode()).hexdigest(), "scopes": list(scopes), **more}


ALL = clients(entry("anna", "generate"), entry("boss", "admin"), entry("rack", "replica"),
              {"name": "replica-7", "certificate": "replica-7.cluster", "scopes": ["replica"]})


def setUpModule():
    subprocess.run([f"{SOURCE}/tests/rpc/certificates.sh", FILES.name], check=True)
    for name, secret in SECRETS.items():
        write(f"{name}.token", secret + "\n")


def tearDownModule():
    FILES.cleanup()


def channel(address, certificate=None):
    pair = (content(f"{certificate}.key"), content(f"{certificate}.pem")) if certificate else (None, None)
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(content("ca.pem"), *pair),
                               [("grpc.use_local_subchannel_pool", 1)])


def bearer(name):
    return [("authorization", f"Bearer {SECRETS[name]}")] if name else []


def status(line, name=None, timeout=20):
    call = line.unary_unary("/millrace.v1.Millrace/Status", request_serializer=lambda m: m.SerializeToString(),
                            response_deserializer=api.StatusResponse.FromString)
    return call(api.StatusRequest(), timeout=timeout, metadata=bearer(name))


def generate(line, name=None):
    call = line.unary_stream("/millrace.v1.Millrace/Generate", request_serializer=lambda m: m.SerializeToString(),
                             response_deserializer=api.GenerateEvent.FromString)
    events = list(call(api.GenerateRequest(prompt="Once", length=32, steps=2, seed=1), timeout=60, metadata=bearer(name)))
    return events[-1].finished


def health(line):
    call = line.unary_unary("/grpc.health.v1.Health/Check", request_serializer=lambda m: m.SerializeToString(),
                            response_deserializer=health_api.HealthCheckResponse.FromString)
    return call(health_api.HealthCheckRequest(), timeout=20).status


def millrace(*arguments, environment=None):
    """Exit code and both outputs of our command, with nothing of the environment's own about security."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("MILLRACE_TLS", "MILLRACE_TOKEN"))}
    done = subprocess.run([f"{BIN}/millrace", *arguments], env={**plain, **(environment or {})}, text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=90)
    return done.returncode, done.stdout, done.stderr


TLS = ("--tls-cert", path("server.pem"), "--tls-key", path("server.key"))
MUTUAL = (*TLS, "--tls-client-ca", path("ca.pem"))


class Tokens(unittest.TestCase):
    """One cluster with TLS and tokens, and everything that is asked of it."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(*TLS, "--tokens", write("tokens.json", ALL), ranks=1)
        cls.line = channel(cls.cluster.address)

    @classmethod
    def tearDownClass(cls):
        cls.line.close()
        cls.cluster.stop()

    def test_a_token_opens_what_its_scopes_say(self):
        self.assertEqual(len(generate(self.line, "anna").ids), 32)
        self.assertEqual(status(self.line, "boss").replicas[0].state, status(self.line, "anna").replicas[0].state)
        expect_failure(lambda: generate(self.line, "boss"), grpc.StatusCode.PERMISSION_DENIED, "scope generate", "boss has admin")
        expect_failure(lambda: status(self.line, "rack"), grpc.StatusCode.PERMISSION_DENIED)

    def test_who_shows_nothing_good_is_refused(self):
        expect_failure(lambda: status(self.line), grpc.StatusCode.UNAUTHENTICATED, "authorization: Bearer")
        expect_failure(lambda: status(self.line, "nobody"), grpc.StatusCode.UNAUTHENTICATED)
        self.assertEqual(health(self.line), 1)  # probes have no token

    def test_attach_needs_the_replica_scope(self):
        call = self.line.stream_stream("/millrace.replica.v1.Replicas/Attach", lambda m: m, lambda m: m)
        expect_failure(lambda: list(call(iter([]), timeout=20, metadata=bearer("anna"))), grpc.StatusCode.PERMISSION_DENIED)
        expect_failure(lambda: list(call(iter([]), timeout=20)), grpc.StatusCode.UNAUTHENTICATED)

    def test_our_command(self):
        where = ("--endpoint", self.cluster.address)
        tls = (*where, "--tls-ca", path("ca.pem"))
        for command, words in ((("status",), "books-mini"), (("generate", "--seed", "1", "--length", "32", "Once"), "Once"),
                               (("tokenize", "--json", "Once"), '"ids"')):
            code, output, errors = millrace(*command, *tls, "--token-file", path("anna.token"))
            self.assertEqual((code, words in output), (0, True), errors)
        code, _, errors = millrace("status", environment={"MILLRACE_ENDPOINT": self.cluster.address, "MILLRACE_TLS_CA": path("ca.pem"),
                                                          "MILLRACE_TOKEN": SECRETS["anna"]})
        self.assertEqual(code, 0, errors)
        for arguments, words in (((*where,), "wants TLS"), (tls, "--token-file"),
                                 ((*where, "--tls-ca", path("other-ca.pem")), "is not accepted"),
                                 ((*tls, "--tls-server-name", "other.test"), "not for other.test"),
                                 ((*where, "--tls-ca", path("none.pem")), "No such file"),
                                 ((*tls, "--token-file", path("none.token")), "No such file"),
                                 ((*tls, "--token-file", path("nobody.token")), "UNAUTHENTICATED")):
            code, _, errors = millrace("status", *arguments)
            self.assertEqual((code, words in errors), (1, True), errors)

    def test_only_an_administrator_drains_and_restarts(self):
        where = ("--endpoint", self.cluster.address, "--tls-ca", path("ca.pem"))
        restarts = status(self.line, "boss").replicas[0].restarts
        for command in ("drain", "restart"):
            for token, words in (("anna", "PERMISSION_DENIED"), ("rack", "PERMISSION_DENIED"), (None, "UNAUTHENTICATED")):
                code, _, errors = millrace(command, "r0", *where, *(("--token-file", path(f"{token}.token")) if token else ()))
                self.assertEqual((code, words in errors), (1, True), errors)
        self.assertEqual((status(self.line, "boss").replicas[0].state, status(self.line, "boss").replicas[0].restarts),
                         ("ready", restarts))
        for command, states in (("drain", ("starting", "drained")), ("restart", ("ready",))):  # the process may not have ended
            code, _, errors = millrace(command, "r0", *where, "--token-file", path("boss.token"))
            self.assertEqual(code, 0, errors)
            self.assertIn(status(self.line, "boss").replicas[0].state, states)
        self.assertEqual(len(generate(self.line, "anna").ids), 32)

    def test_plaintext_clients_are_refused(self):
        with grpc.insecure_channel(self.cluster.address) as plain:
            expect_failure(lambda: status(plain, timeout=10), grpc.StatusCode.UNAVAILABLE)

    def test_a_replica_from_elsewhere_shows_its_token(self):
        replica = Attached(self.cluster.address, "far", "--tls-ca", path("ca.pem"), "--token-file", path("rack.token"))
        try:
            wait_until(lambda: any(r.name == "far" and r.state == "ready" for r in status(self.line, "boss").replicas),
                       "the replica attaches")
        finally:
            replica.process.terminate()
            replica.process.wait(60)

    def test_no_secret_is_seen(self):
        for name in SECRETS:
            for call in (status, generate):
                try:
                    call(self.line, name)
                except grpc.RpcError as error:
                    self.assertNotIn(SECRETS[name], str(error))
        log = self.cluster.text_of_log()
        everything = [("the log", log), ("its own command line", self.of_process(self.cluster.process.pid, "cmdline"))]
        everything += [(f"the command line of {pid}", command) for pid, command in children_of(self.cluster.process.pid)]
        environments = [self.of_process(pid, "environ") for pid in self.cluster.workers()]
        own = [line.split("=", 1)[1] for environment in environments for line in environment.split("\0")
               if line.startswith("MILLRACE_TOKEN=")]
        self.assertTrue(own, "the replica's own token, which this test looks for too, is in its environment")
        for secret in [*SECRETS.values(), *own]:
            for what, text in everything:
                self.assertFalse(secret in text, f"{what} holds a token")
        for environment in environments:
            self.assertNotIn("MILLRACE_TLS", environment)

    @staticmethod
    def of_process(pid, what):
        with open(f"/proc/{pid}/{what}") as file:
            return file.read()


class Reload(unittest.TestCase):
    def test_tokens_and_certificates_change_under_a_running_cluster(self):
        for end in (".pem", ".key"):
            write("live" + end, content("server" + end).decode())
        options = ("--tls-cert", path("live.pem"), "--tls-key", path("live.key"), "--tokens", write("live.json", ALL))
        with Cluster(*options, ranks=1) as cluster, channel(cluster.address) as line:
            status(line, "anna")
            write("live.json", '{"clients": [{"name": "anna"}]}')
            wait_until(lambda: "the clients so far stay" in cluster.text_of_log(), "the bad file is noticed")
            status(line, "anna")
            write("live.json", clients(entry("boss", "admin")))
            wait_until(lambda: self.is_refused(line), "the token is revoked")
            status(line, "boss")
            host, port = cluster.address.split(":")
            before = ssl.get_server_certificate((host, int(port)))
            write("live.pem", content("second.pem").decode())
            wait_until(lambda: "the certificate in use stays" in cluster.text_of_log(), "half of the change is noticed")
            self.assertEqual(ssl.get_server_certificate((host, int(port))), before)
            write("live.key", content("second.key").decode())
            wait_until(lambda: ssl.get_server_certificate((host, int(port))) != before, "the new certificate is shown")
            status(line, "boss")  # over the old connection

    @staticmethod
    def is_refused(line):
        try:
            status(line, "anna")
        except grpc.RpcError as error:
            return error.code() == grpc.StatusCode.UNAUTHENTICATED
        return False


class Mutual(unittest.TestCase):
    def test_certificates_let_in_clients_and_replicas(self):
        with Cluster(*MUTUAL, ranks=1) as cluster:
            with channel(cluster.address, "anna") as line:
                self.assertEqual(len(generate(line).ids), 32)
                replica = Attached(cluster.address, "far", "--tls-ca", path("ca.pem"), "--tls-cert", path("replica.pem"),
                                   "--tls-key", path("replica.key"))
                wait_until(lambda: len(status(line).replicas) == 2, "the replica attaches")
                replica.process.terminate()
                replica.process.wait(60)
            for certificate in (None, "stranger"):
                with channel(cluster.address, certificate) as line:
                    expect_failure(lambda: status(line, timeout=10), grpc.StatusCode.UNAVAILABLE)
            code, _, errors = millrace("status", "-e", cluster.address, "--tls-ca", path("ca.pem"), "--tls-cert",
                                       path("anna.pem"), "--tls-key", path("anna.key"))
            self.assertEqual(code, 0, errors)
            code, _, errors = millrace("status", "-e", cluster.address, "--tls-ca", path("ca.pem"))
            self.assertTrue(code == 1 and "client certificate" in errors, errors)

    def test_certificate_or_token(self):
        with Cluster(*MUTUAL, "--tls-client-optional", "--tokens", write("both.json", ALL), ranks=1) as cluster:
            with channel(cluster.address) as line:
                status(line, "anna")
                expect_failure(lambda: status(line), grpc.StatusCode.UNAUTHENTICATED)
            with channel(cluster.address, "replica") as line:  # listed, but for another scope
                expect_failure(lambda: status(line), grpc.StatusCode.PERMISSION_DENIED, "replica-7 has replica")
            with channel(cluster.address, "anna") as line:  # signed, but not listed
                expect_failure(lambda: status(line), grpc.StatusCode.UNAUTHENTICATED)


class Starting(unittest.TestCase):
    def refused(self, *options):
        done = subprocess.run([f"{BIN}/millrace-coordinator", "--model", DEMO, "--listen", "127.0.0.1:0", *options],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 1, done.stderr)
        return done.stderr

    def test_what_cannot_work_ends_the_start(self):
        for options, words in ((("--tls-cert", path("none.pem"), "--tls-key", path("server.key")), "none.pem: No such file"),
                               (("--tls-cert", path("server.pem")), "--tls-key is missing"),
                               (("--tls-cert", path("server.pem"), "--tls-key", path("second.key")), "is not the key of"),
                               (("--tls-cert", path("expired.pem"), "--tls-key", path("expired.key")), "has expired"),
                               (("--tls-client-ca", path("ca.pem")), "--tls-cert"),
                               ((*MUTUAL, "--tls-client-optional"), "--tokens"),
                               (("--tokens", path("none.json")), "none.json: No such file"),
                               (("--tokens", write("bad.json", "{")), "bad.json: line 1")):
            self.assertIn(words, self.refused(*options))

    def test_open_doors_are_warned_of(self):
        with Cluster(ranks=1, listen="0.0.0.0:0") as cluster:
            log = cluster.text_of_log()
            self.assertIn("without TLS", log)
            self.assertIn("asks nobody who they are", log)
        with Cluster(*TLS, "--tokens", write("closed.json", ALL), ranks=1, listen="0.0.0.0:0") as cluster:
            self.assertNotIn("warning", cluster.text_of_log())
        with Cluster(ranks=1) as cluster:
            self.assertNotIn("warning", cluster.text_of_log())

    def test_a_cluster_for_one_text_minds_its_own_business(self):
        code, output, errors = millrace(
            "generate", "--model-dir", DEMO, "--seed", "1", "--length", "32", "Once",
            environment={"MILLRACE_TLS_CERT": path("none.pem"), "MILLRACE_TLS_CA": path("none.pem"), "MILLRACE_TOKENS": path("none"),
                         "MILLRACE_TOKEN": "whatever", "MILLRACE_RANKS": "1"})
        self.assertEqual((code, "Once" in output), (0, True), errors)


if __name__ == "__main__":
    unittest.main()
