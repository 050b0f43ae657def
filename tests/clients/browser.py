"""Chromium without a window, driven over its debugging protocol. `with Browser() as page`."""
import base64
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import urllib.request

import websocket

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 60  # seconds; only a defect takes as long


def program():
    return next((found for found in map(shutil.which, PROGRAMS) if found), None)


class Browser:
    def __init__(self, width=1200, height=1000, dark=False, scale=1):
        self.directory = tempfile.mkdtemp()
        self.process = subprocess.Popen(
            [program(), "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--remote-allow-origins=*",
             f"--user-data-dir={self.directory}", "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.complaints, self.number = [], 0
        self.socket = websocket.create_connection(self._target(), timeout=PATIENCE)
        for domain in ("Runtime", "Log", "Page"):
            self.command(f"{domain}.enable")
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=width < 600)
        self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
                                                             {"name": "prefers-reduced-motion", "value": "reduce"}])

    def _target(self):
        file, end = os.path.join(self.directory, "DevToolsActivePort"), time.monotonic() + PATIENCE
        while time.monotonic() < end:  # another process writes it
            lines = pathlib.Path(file).read_text().split("\n") if os.path.exists(file) else []
            if len(lines) > 1:
                port = lines[0]
                pages = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/json"))
                found = [page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page"]
                if found:
                    return found[0]
            time.sleep(0.05)
        raise AssertionError("the browser did not start")

    def command(self, method, **parameters):
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("method") == "Runtime.exceptionThrown":
                self.complaints.append(message["params"]["exceptionDetails"].get("exception", {}).get("description", "exception"))
            elif message.get("method") == "Log.entryAdded" and message["params"]["entry"]["level"] == "error":
                self.complaints.append(message["params"]["entry"]["text"])
            elif message.get("id") == self.number:
                assert "error" not in message, message["error"]
                return message["result"]

    def open(self, url):
        self.command("Page.navigate", url=url)

    def value(self, expression):
        result = self.command("Runtime.evaluate", expression=f"(async () => ({{value: await ({expression})}}))()", returnByValue=True, awaitPromise=True,
                              userGesture=True)
        assert "exceptionDetails" not in result, (expression, result["exceptionDetails"])
        return result["result"]["value"].get("value")  # undefined is not sent

    def run(self, statements):
        return self.value(f"(() => {{ {statements} }})()")

    def wait(self, expression, patience=PATIENCE):
        """The page changes by itself; looks until the expression is true."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            try:
                found = self.value(expression)
            except AssertionError:  # the document is being replaced
                found = None
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError(f"not within {patience} s: {expression}")

    def type(self, text):
        self.command("Input.insertText", text=text)

    def press(self, key, code, modifiers=0):
        for kind in ("keyDown", "keyUp"):
            text = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
            self.command("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, modifiers=modifiers, **text)

    def screenshot(self, path, whole=False):
        picture = self.command("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        with open(path, "wb") as file:
            file.write(base64.b64decode(picture["data"]))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)
