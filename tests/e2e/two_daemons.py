"""Two true daemons with one store, for the tests that need them. The first argument of the program is BUILD."""
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import unittest

BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
LIMIT_S = 60


class TwoDaemons(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="penstock-members-", dir="/tmp")
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name)
        self.processes = {}

    def daemon(self, node, store, log="a", environment=None):
        device = f"{'vhost' if node == 1 else 'virtio-user'}:{self.path}/link.sock"
        config = self.path / f"{node}.toml"
        config.write_text(
            f'[node]\nid = {node}\nsocket = "{self.path}/{node}.sock"\nstate_dir = "{self.path}/state{node}"\ndrain = "30s"\n'
            f'[memory]\nhugepages = "never"\n[link]\ndead_after = "2s"\n[store]\n{store}'
            f'[[port]]\nname = "p"\ndevice = "{device}"\naddress = "10.77.0.{node}/24"\n')
        with open(self.path / f"{node}.log", log) as out:
            process = subprocess.Popen([BUILD / "control/daemon/penstockd", "--config", config], stdout=out, stderr=out,
                                       env={**os.environ, **(environment or {})})
        self.addCleanup(lambda: (process.kill(), process.wait()))
        self.processes[node] = process
        return process

    def sqlite(self):
        return f'kind = "sqlite"\npath = "{self.path}/store.db"\nlease = "2s"\n'

    def etcd(self):
        """A server, and what a config says of it."""
        with socket.socket() as a, socket.socket() as b:
            a.bind(("127.0.0.1", 0)), b.bind(("127.0.0.1", 0))
            client, peer = self.etcd_at = tuple(f"127.0.0.1:{s.getsockname()[1]}" for s in (a, b))
        return self.start_etcd(client, peer), f'kind = "etcd"\nendpoints = "{client}"\nlease = "2s"\n'

    def start_etcd(self, client, peer):
        with open(self.path / "etcd.log", "a") as out:
            server = subprocess.Popen(
                ["etcd", "--data-dir", self.path / "etcd", "--listen-client-urls", f"http://{client}",
                 "--advertise-client-urls", f"http://{client}", "--listen-peer-urls", f"http://{peer}",
                 "--initial-advertise-peer-urls", f"http://{peer}", "--initial-cluster", f"default=http://{peer}"],
                stdout=out, stderr=out)
        self.addCleanup(lambda: (server.kill(), server.wait()))
        return server

    def log(self, node):
        return (self.path / f"{node}.log").read_text()

    def cli(self, node, *arguments, **options):
        return subprocess.run([BUILD / "control/cli/penstock", *arguments], text=True, timeout=LIMIT_S,
                              env={**os.environ, "PENSTOCK_SOCKET": f"{self.path}/{node}.sock"},
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **options).stdout

    def wait_until(self, is_so):
        end = time.monotonic() + LIMIT_S
        while not is_so():
            for node, p in self.processes.items():
                self.assertIsNone(p.poll(), self.log(node))
            self.assertLess(time.monotonic(), end, self.log(1) + self.log(2))
            time.sleep(0.05)

    def links(self, node):
        return [link["state"] for link in json.loads(self.cli(node, "--json", "show", "links") or '[{"state": "?"}]')]

    def links_up(self, node):
        return self.links(node) == ["up"]

    def both_up(self):
        self.wait_until(lambda: self.links_up(1) and self.links_up(2))

    def epoch(self, node):
        return json.loads(self.cli(node, "--json", "show", "node"))["epoch"]

    def subscriber(self, *options):
        """One at node 2."""
        sub = subprocess.Popen([BUILD / "control/cli/penstock", "sub", "a.#", *options], text=True,
                               env={**os.environ, "PENSTOCK_SOCKET": f"{self.path}/2.sock"}, stdout=subprocess.PIPE)
        self.addCleanup(lambda: (sub.kill(), sub.communicate()))
        self.wait_until(lambda: "a.#" in self.cli(2, "show", "clients"))
        return sub

    def carries(self, word):
        """A message from node 1 to a subscriber at node 2."""
        sub = self.subscriber("-n", "1")
        self.wait_until(lambda: self.cli(1, "pub", "a.b", input=word + "\n") is not None and sub.poll() is not None)
        self.assertIn(word, sub.stdout.read())
