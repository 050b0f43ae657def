"""A cluster's HTTP door for the tests that drive it: its address, requests, raw sockets."""
import http.client
import json
import re
import socket
import ssl

from cluster import PATIENCE, Cluster, wait_until


def address_of(cluster):
    found = wait_until(lambda: re.search(r"API at (https?)://([^/]+)/", cluster.text_of_log()), "the HTTP address")
    host, port = found[2].rsplit(":", 1)
    return host.strip("[]"), int(port)


class Door:
    """with Door("--max-queue", "1") as door: door.post("/v1/completions", {...})"""

    def __init__(self, *options, tls=None, **more):
        self.cluster = Cluster("--http", "127.0.0.1:0", *options, **{"ranks": 1, **more})
        self.host, self.port = address_of(self.cluster)
        self.tls = tls

    @property
    def url(self):
        return f"http{'s' if self.tls else ''}://{self.host}:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.cluster.stop()

    def connect(self, timeout=PATIENCE):
        if self.tls:
            return http.client.HTTPSConnection(self.host, self.port, timeout=timeout, context=self.tls)
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout)

    def ask(self, method, path, body=None, headers=None, connection=None):
        """Returns (code, headers, body)."""
        own = connection or self.connect()
        own.request(method, path, body, headers or {})
        answer = own.getresponse()
        content = answer.read()
        if not connection:
            own.close()
        return answer.status, answer.headers, content

    def get(self, path, **headers):
        return self.ask("GET", path, headers=headers)

    def post(self, path, body, headers=None, **more):
        """`body`: an object, or bytes as they are. The answer's body is parsed."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        code, answered, text = self.ask("POST", path, content, {"Content-Type": "application/json", **(headers or {})}, **more)
        return code, answered, json.loads(text)

    def complete(self, **fields):
        return self.post("/v1/completions", fields)

    def raw(self):
        """A socket to the door."""
        plain = socket.create_connection((self.host, self.port), PATIENCE)
        return self.tls.wrap_socket(plain, server_hostname="localhost") if isinstance(self.tls, ssl.SSLContext) else plain

    def send_raw(self, *pieces):
        """Sends bytes on one connection and returns all that comes until it is closed, or until `PATIENCE`."""
        with self.raw() as connection:
            for piece in pieces:
                connection.sendall(piece)
            return read_all(connection)

    def events(self, body, headers=None):
        """The data of a stream's events, parsed; "[DONE]" stays a string. Comments are left out."""
        connection = self.connect()
        connection.request("POST", "/v1/completions", json.dumps({**body, "stream": True}),
                           {"Content-Type": "application/json", **(headers or {})})
        answer = connection.getresponse()
        assert answer.status == 200, (answer.status, answer.read())
        found = []
        for line in answer.read().decode().split("\n\n"):
            if line.startswith("data: "):
                text = line[len("data: "):]
                found.append(text if text == "[DONE]" else json.loads(text))
            else:
                assert not line or line.startswith(": "), line
        connection.close()
        return found


def read_all(connection):
    text = b""
    while True:
        try:
            piece = connection.recv(65536)
        except (ConnectionResetError, TimeoutError):
            return text
        if not piece:
            return text
        text += piece
