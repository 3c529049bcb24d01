#!/usr/bin/env python3
"""What a true daemon shows to Prometheus and to probes, under load and under attack.

    metrics_test.py BUILD
"""
import contextlib
import ctypes
import json
import math
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
SOURCE = pathlib.Path(__file__).resolve().parents[2]
LIMIT_S = 60
PTRACE_ATTACH, PTRACE_DETACH, WALL = 16, 17, 0x40000000
PTRACE = ctypes.CDLL(None, use_errno=True).ptrace
PTRACE.argtypes = [ctypes.c_long] * 4

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf"^({NAME})(?:\{{(.*)\}})? (\S+)$")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')


def parse(text):
    """The exposition as {name: {labels: value}}; what promtool would complain of is an error."""
    helped, types, families, samples = set(), {}, set(), {}
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name, words = line[7:].split(" ", 1)
            assert name not in helped and words.endswith("."), line
            helped.add(name)
        elif line.startswith("# TYPE "):
            name, kind = line[7:].split(" ")
            assert name not in types and name in helped, line
            assert kind in ("counter", "gauge", "histogram"), line
            assert name.endswith("_total") == (kind == "counter"), line
            assert not re.search(r"_(ms|us|ns|milliseconds|kilobytes|percent)(_|$)", name), line
            types[name] = kind
        else:
            match = SAMPLE.match(line)
            assert match, line
            name, labels, value = match[1], match[2] or "", float(match[3])
            part = re.fullmatch(r"(.*)_(bucket|sum|count)", name)
            family = part[1] if part and types.get(part[1]) == "histogram" else name
            assert name.startswith("penstock_") and family in types, line
            assert family != name or types[family] != "histogram", line
            families.add(family)
            assert "".join(m[0] for m in LABEL.finditer(labels)) == labels, line
            keys = tuple(sorted((m[1], m[2]) for m in LABEL.finditer(labels)))
            assert keys not in samples.setdefault(name, {}), f"twice: {line}"
            assert math.isfinite(value) and value >= 0, line
            samples[name][keys] = value
    assert types.keys() == families
    for name in (n for n, kind in types.items() if kind == "histogram"):
        counts = [(float(dict(keys)["le"]), value) for keys, value in samples[name + "_bucket"].items()]
        assert counts == sorted(counts) and [v for _, v in counts] == sorted(v for _, v in counts), counts
        assert counts[-1] == (math.inf, samples[name + "_count"][()]), counts
    return samples


class MetricsTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="penstock-metrics-", dir="/tmp")
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name)
        self.processes, self.ports = {}, {}

    def config(self, node, more=""):
        device = f"{'vhost' if node == 1 else 'virtio-user'}:{self.path}/link.sock"
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.ports.setdefault(node, s.getsockname()[1])
        (self.path / f"{node}.toml").write_text(
            f'[node]\nid = {node}\nsocket = "{self.path}/{node}.sock"\nstate_dir = "{self.path}/state{node}"\n'
            f'[memory]\nhugepages = "never"\n[link]\ndead_after = "2s"\n'
            f'[store]\nkind = "sqlite"\npath = "{self.path}/store.db"\nlease = "2s"\n'
            f'[metrics]\nlisten = "127.0.0.1:{self.ports[node]}"\n[log]\nformat = "json"\n{more}'
            f'[[port]]\nname = "p"\ndevice = "{device}"\naddress = "10.78.0.{node}/24"\n')

    def daemon(self, node):
        self.config(node)
        with open(self.path / f"{node}.log", "a") as out:
            process = subprocess.Popen([BUILD / "control/daemon/penstockd", "--config", self.path / f"{node}.toml"],
                                       stdout=out, stderr=out)
        self.addCleanup(lambda: (process.kill(), process.wait()))
        self.processes[node] = process
        self.wait_until(lambda: self.get(node, "/livez")[0] == 200)
        return process

    def get(self, node, path, method="GET"):
        request = urllib.request.Request(f"http://127.0.0.1:{self.ports[node]}{path}", method=method)
        try:
            with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def metrics(self, node):
        status, text = self.get(node, "/metrics")
        self.assertEqual(status, 200, text)
        return parse(text)

    def value(self, node, name, **labels):
        return self.metrics(node).get("penstock_" + name, {}).get(tuple(sorted(labels.items())))

    def log(self, node):
        return (self.path / f"{node}.log").read_text()

    def events(self, node):
        """What the log has of events, as objects."""
        lines = [line for line in self.log(node).splitlines() if line.startswith("{")]
        return [e for e in map(json.loads, lines) if "event" in e]

    def cli(self, node, *arguments, **options):
        return subprocess.run([BUILD / "control/cli/penstock", *arguments], text=True, timeout=LIMIT_S,
                              env={**os.environ, "PENSTOCK_SOCKET": f"{self.path}/{node}.sock"},
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **options).stdout

    def start(self, node, *arguments):
        process = subprocess.Popen([BUILD / "control/cli/penstock", *arguments], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                   env={**os.environ, "PENSTOCK_SOCKET": f"{self.path}/{node}.sock"})
        self.addCleanup(lambda: (process.kill(), process.communicate()))
        return process

    def wait_until(self, is_so):
        end = time.monotonic() + LIMIT_S
        while not is_so():
            for node, p in self.processes.items():
                self.assertIsNone(p.poll(), self.log(node))
            self.assertLess(time.monotonic(), end, "".join(self.log(n) for n in self.processes))
            time.sleep(0.1)

    def subscriber(self, node, count):
        sub = self.start(node, "sub", "a.#", "-n", str(count))
        self.wait_until(lambda: "a.#" in self.cli(node, "show", "clients"))
        return sub

    def publish(self, node, first, count):
        self.cli(node, "pub", "a.b", input="".join(f"{i}\n" for i in range(first, first + count)))

    def test_sums_are_those_of_show_and_never_go_back(self):
        self.daemon(1)
        self.daemon(2)
        self.wait_until(lambda: self.value(1, "peers", state="up") == 1 and self.value(2, "peers", state="up") == 1)
        here, there = self.subscriber(1, 300), self.subscriber(2, 300)
        lossy = self.start(1, "sub", "a.#", "--policy", "drop_oldest")
        self.wait_until(lambda: self.value(1, "subscriptions") == 2)
        self.publish(1, 0, 300)
        self.assertEqual((here.wait(LIMIT_S), there.wait(LIMIT_S)), (0, 0))
        self.wait_until(lambda: self.value(1, "messages_published_total") == 300)
        self.wait_until(lambda: self.value(1, "messages_delivered_total", to="link") == 300)
        self.wait_until(lambda: self.value(1, "lanes", kind="lane") == 0)  # it has ended; what it counted has not
        self.assertEqual(self.value(1, "messages_published_total"), 300)
        self.assertGreaterEqual(self.value(1, "messages_delivered_total", to="client"), 300)
        self.wait_until(lambda: self.value(2, "messages_delivered_total", to="client") == 300)
        self.assertEqual(self.value(1, "published_bytes_total"), 300 * 64)
        self.publish(1, 300, 50)
        self.wait_until(lambda: self.value(1, "messages_published_total") == 350)
        lossy.send_signal(signal.SIGINT)
        for node in (1, 2):
            shown = json.loads(self.cli(node, "--json", "show", "drops"))

            def agree():
                drops = self.metrics(node)["penstock_drops_total"]
                return shown == {dict(k)["reason"]: v for k, v in drops.items()}

            def settled():
                shown.update(json.loads(self.cli(node, "--json", "show", "drops")))
                return agree()

            self.wait_until(settled)
        # Reload, and what no reader has: sums stay.
        before = self.metrics(1)
        self.processes[1].send_signal(signal.SIGHUP)
        self.wait_until(lambda: "config read again" in self.log(1))
        after = self.metrics(1)
        for name, series in before.items():
            if name.endswith("_total"):
                for labels, value in series.items():
                    self.assertGreaterEqual(after[name][labels], value, (name, labels))

    def test_the_dashboard_and_the_manual_name_what_there_is(self):
        self.daemon(1)
        self.daemon(2)
        self.wait_until(lambda: self.value(1, "peers", state="up") == 1)
        names = set(self.metrics(1))
        dashboard = (SOURCE / "deploy/grafana/penstock.json").read_text()
        queries = [t["expr"] for panel in json.loads(dashboard)["panels"] for t in panel.get("targets", [])]
        self.assertGreater(len(queries), 10)
        for query in queries:
            used = re.findall(r"penstock_\w+", query)
            self.assertTrue(used, query)
            self.assertLessEqual(set(used), names, query)
        # What a rail says takes a device: tests/control/metrics has it.
        manual = (SOURCE / "control/metrics/README.md").read_text()
        named = set(re.findall(r"`(penstock_\w+)", manual))
        self.assertEqual({n for n in named if not n.startswith("penstock_rdma_")},
                         {n for n in names if not n.startswith("penstock_rdma_")})

    def test_probes_say_what_is_wrong_and_peers_are_not_their_business(self):
        self.daemon(1)
        self.assertEqual(self.get(1, "/livez"), (200, "ok\n"))
        self.wait_until(lambda: "[+] store: " in self.get(1, "/readyz?verbose")[1])  # once it was heard
        status, text = self.get(1, "/readyz?verbose")
        self.assertEqual(status, 503, text)  # its one port waits for the other side
        self.assertIn("[-] ports: 0 of 1 up", text)
        for name in ("config", "memory", "store", "workers", "control"):
            self.assertIn(f"[+] {name}: ", text)
        self.daemon(2)
        self.wait_until(lambda: self.get(1, "/readyz") == (200, "ok\n"))
        self.processes.pop(2).kill()
        self.wait_until(lambda: self.get(1, "/readyz")[0] == 503)
        self.assertEqual(self.get(1, "/livez"), (200, "ok\n"))
        raised = [(e["event"], e["change"]) for e in self.events(1)]
        self.assertEqual(raised.count(("port_down", "raised")), 2, raised)
        self.assertEqual(raised.count(("port_down", "cleared")), 1, raised)
        self.wait_until(lambda: self.value(1, "events_raised", event="link_down") == 1)
        self.wait_until(lambda: [e["change"] for e in self.events(1) if e["event"] == "link_down"] ==
                        ["raised", "cleared", "raised"])

    def test_a_file_with_mistakes_raises_until_it_has_none(self):
        process = self.daemon(1)
        self.config(1, more="lvl = 1\n")
        process.send_signal(signal.SIGHUP)
        self.wait_until(lambda: self.value(1, "events_raised", event="config_refused") == 1)
        self.config(1)
        process.send_signal(signal.SIGHUP)
        self.wait_until(lambda: self.value(1, "events_raised", event="config_refused") == 0)
        changes = [e["change"] for e in self.events(1) if e["event"] == "config_refused"]
        self.assertEqual(changes, ["raised", "cleared"])

    def test_a_port_that_is_taken_is_named(self):
        self.daemon(1)
        self.ports[2] = self.ports[1]
        self.config(2)
        run = subprocess.run([BUILD / "control/daemon/penstockd", "--config", self.path / "2.toml"],
                             capture_output=True, text=True, timeout=LIMIT_S)
        self.assertEqual(run.returncode, 4, run.stderr)
        self.assertIn(f"metrics.listen: cannot listen at 127.0.0.1:{self.ports[1]}", run.stderr)
        self.assertIn("in use", run.stderr)

    def send(self, data):
        s = socket.create_connection(("127.0.0.1", self.ports[1]), timeout=LIMIT_S)
        self.addCleanup(s.close)
        with contextlib.suppress(ConnectionError):  # it may be cut off before it has said all
            s.sendall(data)
        return s

    def answer(self, data):
        s = self.send(data)
        try:
            return b"".join(iter(lambda: s.recv(4096), b""))
        except ConnectionResetError:
            return b""

    def test_garbage_slow_ones_and_crowds_stop_nothing(self):
        process = self.daemon(1)
        sub = self.subscriber(1, 20)
        for garbage in (b"\0" * 100 + b"\r\n\r\n", b"GET\r\n\r\n", b"GET /metrics HTTP/9.9\r\n\r\n",
                        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n", b"\xff" * 5000,
                        b"GET /../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n",
                        b"GET /etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n"):
            said = self.answer(garbage)
            self.assertNotIn(b" 200 ", said, garbage)
            self.assertNotIn(b"root:", said)
        self.assertEqual(self.get(1, "/nothing")[0], 404)
        self.assertEqual(self.get(1, "/")[0], 404)
        for method in ("POST", "PUT", "DELETE"):
            self.assertEqual(self.get(1, "/metrics", method)[0], 405)
        self.assertEqual(self.get(1, "/metrics", "HEAD"), (200, ""))
        # A hundred that never finish their request, while messages flow.
        slow = [self.send(b"GET /metrics HTTP/1.1\r\nHo") for _ in range(100)]
        for i in range(20):
            with contextlib.suppress(ConnectionError):
                slow[i].sendall(b"s")
            self.publish(1, i, 1)
        self.assertEqual(sub.wait(LIMIT_S), 0)
        self.assertEqual(json.loads(self.cli(1, "--json", "show", "node"))["id"], 1)
        for s in slow:
            s.close()
        self.wait_until(lambda: self.get(1, "/metrics")[0] == 200)
        # A hundred at once, all answered.
        crowd = [self.send(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(100)]
        for s in crowd:
            said = b"".join(iter(lambda s=s: s.recv(65536), b""))
            self.assertTrue(said.startswith(b"HTTP/1.1 200 OK\r\n"), said[:200])
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(LIMIT_S), 0, self.log(1))

    def test_a_loop_that_stands_still_is_not_said_to_be_alive(self):
        """A thread alone is stopped as a debugger does it."""
        process = self.daemon(1)
        threads = {t.joinpath("comm").read_text().strip(): int(t.name)
                   for t in pathlib.Path(f"/proc/{process.pid}/task").iterdir()}
        for thread, what in ((threads["worker0"], "[-] workers: "), (process.pid, "[-] control: ")):
            self.assertEqual(self.get(1, "/livez"), (200, "ok\n"))
            self.assertEqual(PTRACE(PTRACE_ATTACH, thread, 0, 0), 0, os.strerror(ctypes.get_errno()))
            os.waitpid(thread, WALL)
            self.wait_until(lambda: self.get(1, "/livez")[0] == 503)
            self.assertIn(what, self.get(1, "/livez")[1])
            self.assertEqual(PTRACE(PTRACE_DETACH, thread, 0, 0), 0, os.strerror(ctypes.get_errno()))
            self.wait_until(lambda: self.get(1, "/livez")[0] == 200)
        stuck = [e["change"] for e in self.events(1) if e["event"] == "worker_stuck"]
        self.assertEqual(stuck, ["raised", "cleared"])


if __name__ == "__main__":
    unittest.main()
