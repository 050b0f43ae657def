"""The Grafana dashboard and the alert rules ask only for what /metrics has; and a real Prometheus answers every panel."""
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import unittest
import urllib.parse
import urllib.request

from cluster import SOURCE, Cluster, api, wait_until

DASHBOARD = os.path.join(SOURCE, "deploy/grafana/millrace.json")
ALERTS = os.path.join(SOURCE, "deploy/prometheus/alerts.yml")
EMPTY_WHILE_ALL_IS_WELL = {"Failures by status"}


def panels():
    with open(DASHBOARD, encoding="utf-8") as file:
        return json.load(file)["panels"]


def queries():
    """[(title of the panel, what it asks)], with Grafana's variables filled in."""
    return [(panel["title"], target["expr"].replace("$__rate_interval", "15s").replace("$replica", ".*").replace("$job", "millrace"))
            for panel in panels() for target in panel.get("targets", [])]


def alert_queries():
    with open(ALERTS, encoding="utf-8") as file:
        return re.findall(r"^ +expr: (.*)$", file.read(), re.M)


def address_of(cluster):
    return wait_until(lambda: re.search(r"metrics at http://([^/]+)/metrics", cluster.text_of_log()), "the HTTP address")[1]


def fetch(url):
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.read().decode()


def generate_some(cluster):
    """Two wait while one runs; one step of the texts is long enough to be seen waiting."""
    streams = [cluster.generate(api.GenerateRequest(length=256, steps=4, seed=seed)) for seed in range(3)]
    return [list(stream) for stream in streams]


class Files(unittest.TestCase):
    def test_the_dashboard_is_whole(self):
        ids = [panel["id"] for panel in panels()]
        self.assertEqual(len(ids), len(set(ids)))
        taken = set()
        for panel in panels():
            place = panel["gridPos"]
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
            self.assertFalse(cells & taken, panel["title"])
            taken |= cells
            self.assertLessEqual(place["x"] + place["w"], 24)
            self.assertTrue(panel["title"])
            if panel["type"] != "row":
                self.assertTrue(panel["targets"], panel["title"])
                self.assertEqual(panel["datasource"]["uid"], "${datasource}")
                references = [target["refId"] for target in panel["targets"]]
                self.assertEqual(len(references), len(set(references)))
        with open(DASHBOARD, encoding="utf-8") as file:
            variables = {variable["name"] for variable in json.load(file)["templating"]["list"]}
        used = {name for panel in panels() for target in panel.get("targets", [])
                for name in re.findall(r"\$(\w+)", target["expr"])}
        self.assertEqual(used - {"__rate_interval"}, variables - {"datasource"})

    def test_promtool_takes_the_rules(self):
        if not shutil.which("promtool"):
            self.skipTest("promtool is not installed (Debian package prometheus)")
        subprocess.run(["promtool", "check", "rules", ALERTS], check=True, stdout=subprocess.DEVNULL)
        with tempfile.TemporaryDirectory() as directory:
            every = os.path.join(directory, "queries.yml")  # a rule of every panel: is it a query at all?
            with open(every, "w", encoding="utf-8") as file:
                json.dump({"groups": [{"name": "panels", "rules": [{"record": f"panel:{i}", "expr": expr}
                                                                   for i, (_, expr) in enumerate(queries())]}]}, file)
            subprocess.run(["promtool", "check", "rules", every], check=True, stdout=subprocess.DEVNULL)
            with open(os.path.join(SOURCE, "tests/e2e/alerts_test.yml"), encoding="utf-8") as file:
                text = file.read().replace("RULES", ALERTS)
            cases = os.path.join(directory, "cases.yml")
            with open(cases, "w", encoding="utf-8") as file:
                file.write(text)
            done = subprocess.run(["promtool", "test", "rules", cases], capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            with open(ALERTS, encoding="utf-8") as file:
                alerts = re.findall(r"alert: (\w+)", file.read())
            for alert in alerts:
                self.assertRegex(text, rf"alertname: {alert}\n +exp_alerts:\n", "never seen to fire")


class Queries(unittest.TestCase):
    def test_every_name_and_label_exists(self):
        with Cluster("--metrics", "127.0.0.1:0", ranks=1) as cluster:
            page = fetch(f"http://{address_of(cluster)}/metrics")
        labels = {"up": set()}  # that Prometheus makes itself
        for name, found in re.findall(r"^([a-z_]+)(?:\{(.*)\})? ", page, re.M):
            labels.setdefault(name, set()).update(re.findall(r'([a-z_]+)="', found))
        asked = set()
        for query in [query for _, query in queries()] + alert_queries():
            asked.update(re.findall(r"\b(?:millrace|process)_[a-z_]+", query))
            for name, selector in re.findall(r"\b([a-z_]+)\{([^}]*)\}", query):
                for label in re.findall(r"([a-z_]+)(?:=|!=|=~|!~)\"", selector):
                    self.assertIn(label, labels[name] | {"job", "instance"}, query)
        self.assertFalse(asked - set(labels), "not on the page")
        self.assertGreater(len(asked), 30)

    def test_a_prometheus_answers_every_panel(self):
        if not shutil.which("prometheus"):
            self.skipTest("prometheus is not installed")
        with Cluster("--metrics", "127.0.0.1:0", "--max-sequences", "1", ranks=1) as cluster, \
                tempfile.TemporaryDirectory() as directory, socket.socket() as free:
            with open(f"{directory}/prometheus.yml", "w", encoding="utf-8") as file:
                json.dump({"global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "rule_files": [ALERTS],
                           "scrape_configs": [{"job_name": "millrace",
                                               "static_configs": [{"targets": [address_of(cluster)]}]}]}, file)
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
            free.close()
            with open(f"{directory}/log", "w", encoding="utf-8") as log, subprocess.Popen(
                    ["prometheus", f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/data",
                     f"--web.listen-address={address}"], stderr=log, stdout=log) as prometheus:
                try:
                    self.ask_everything(cluster, address)
                finally:
                    prometheus.terminate()

    def ask_everything(self, cluster, address):
        def answers(query):
            try:
                found = json.loads(fetch(f"http://{address}/api/v1/query?query={urllib.parse.quote(query)}"))
            except OSError:
                return []  # it is starting
            return found["data"]["result"]

        wait_until(lambda: answers("millrace_ready"), "the first scrape")
        for title, query in queries():
            if title in EMPTY_WHILE_ALL_IS_WELL:
                continue

            def is_answered():
                values = [sample["value"][1] for sample in answers(query)]
                if not values or all(value == "NaN" for value in values):
                    generate_some(cluster)
                    return False
                return True
            wait_until(is_answered, f"{title}: {query}")
        self.assertEqual([a["labels"]["alertname"] for a in json.loads(fetch(f"http://{address}/api/v1/alerts"))["data"]["alerts"]
                          if a["state"] == "firing"], [])
        print("prometheus answered", len(queries()), "queries:", answers("sum(millrace_requests_total)")[0]["value"][1], "requests")


if __name__ == "__main__":
    unittest.main()
