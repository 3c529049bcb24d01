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

    def daemon(self, *devices):
        ports = "".join(f'[[port]]\nname = "p{i}"\ndevice = "{device}"\naddress = "10.77.{i}.1/24"\n'
                        for i, device in enumerate(devices))
        config = self.path / "node.toml"
        config.write_text(f'[node]\nid = 1\nsocket = "{self.path}/node.sock"\n'
                          f'state_dir = "{self.path}/state"\n[memory]\nhugepages = "never"\n{ports}')
        process = subprocess.Popen([BUILD / "control/daemon/penstockd", "--config", config], text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.addCleanup(lambda: (process.kill(), process.communicate()))
        return process

    def show_ports(self, *options):
        return subprocess.run([BUILD / "control/cli/penstock", *options, "show", "ports"], text=True, timeout=LIMIT_S,
                              env={**os.environ, "PENSTOCK_SOCKET": f"{self.path}/node.sock"},
                              capture_output=True).stdout

    def test_a_port_without_its_peer_says_what_it_waits_for(self):
        process = self.daemon(f"virtio-user:{self.path}/v.sock")
        end = time.monotonic() + LIMIT_S
        while not self.show_ports():
            self.assertIsNone(process.poll(), process.poll() and process.stdout.read())
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)
        reason = f"waiting for a vhost peer to connect to {self.path}/v.sock"
        (port,) = json.loads(self.show_ports("--json"))
        self.assertEqual((port["link_up"], port["status"]), (False, "down: " + reason))
        header, row = self.show_ports().splitlines()
        self.assertTrue(header.endswith("STATUS"), header)
        self.assertTrue(row.endswith(reason), row)


if __name__ == "__main__":
    unittest.main()
