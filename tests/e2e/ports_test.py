#!/usr/bin/env python3
"""What a true daemon says of ports whose peers are not there.

    ports_test.py BUILD
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest

BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
LIMIT_S = 60


class PortsTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="penstock-ports-", dir="/tmp")
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name)

    def daemon(self, *devices, node=1, more=""):
        ports = "".join(f'[[port]]\nname = "p{i}"\ndevice = "{device}"\naddress = "10.77.{i}.{node}/24"\n'
                        for i, device in enumerate(devices))
        name = "node" if node == 1 else f"node{node}"
        config = self.path / f"{name}.toml"
        config.write_text(f'[node]\nid = {node}\nsocket = "{self.path}/{name}.sock"\n'
                          f'state_dir = "{self.path}/state{node}"\n[memory]\nhugepages = "never"\n{ports}{more}')
        process = subprocess.Popen([BUILD / "control/daemon/penstockd", "--config", config], text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.addCleanup(lambda: (process.kill(), process.communicate()))
        return process

    def cli(self, *arguments, node="node", **options):
        return subprocess.run([BUILD / "control/cli/penstock", *arguments], text=True, timeout=LIMIT_S,
                              env={**os.environ, "PENSTOCK_SOCKET": f"{self.path}/{node}.sock"},
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **options).stdout

    def show_ports(self, *options):
        return self.cli(*options, "show", "ports")

    def wait_until(self, true, processes):
        end = time.monotonic() + LIMIT_S
        while not true():
            for p in processes:
                self.assertIsNone(p.poll(), p.poll() and p.stdout.read())
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)

    def links_up(self, node):
        links = json.loads(self.cli("--json", "show", "links", node=node) or "[]")
        return sum(link["state"] == "up" for link in links)

    def test_a_port_without_its_peer_says_what_it_waits_for(self):
        process = self.daemon(f"virtio-user:{self.path}/v.sock")
        self.wait_until(self.show_ports, [process])
        reason = f"waiting for a vhost peer to connect to {self.path}/v.sock"
        (port,) = json.loads(self.show_ports("--json"))
        self.assertEqual((port["link_up"], port["status"]), (False, "down: " + reason))
        header, row = self.show_ports().splitlines()
        self.assertTrue(header.endswith("STATUS"), header)
        self.assertTrue(row.endswith(reason), row)

    def test_each_of_two_workers_has_a_queue_and_a_path(self):
        def peer(node):
            return f'[workers]\ncount = 2\n[[peer]]\nid = {node}\naddress = "10.77.0.{node}"\n'
        link = f"{self.path}/l.sock"
        processes = [self.daemon(f"vhost:{link}", node=1, more=peer(2)),
                     self.daemon(f"virtio-user:{link}", node=2, more=peer(1))]
        self.wait_until(lambda: self.links_up("node") == self.links_up("node2") == 2, processes)
        count = 6
        sub = subprocess.Popen([BUILD / "control/cli/penstock", "sub", "a.#", "-n", str(count)], text=True,
                               env={**os.environ, "PENSTOCK_SOCKET": f"{self.path}/node2.sock"},
                               stdout=subprocess.PIPE)
        self.addCleanup(lambda: (sub.kill(), sub.communicate()))
        self.wait_until(lambda: "a.#" in self.cli("show", "clients", node="node2"), processes)
        # Each run is a client with a lane of its own, and lanes take the workers in turn.
        for i in range(count):
            self.cli("pub", f"a.{i}", input=f"from {i}\n")
        out, _ = sub.communicate(timeout=LIMIT_S)
        self.assertEqual(sorted(line.split()[-1] for line in out.splitlines()), [str(i) for i in range(count)], out)


if __name__ == "__main__":
    unittest.main()
