#!/usr/bin/env python3
"""`penstock doctor` where there are RDMA devices: the kernel's soft-RoCE. Runs in a machine with rxe1.

    doctor_test.py BUILD
"""
import json
import os
import pathlib
import subprocess
import sys
import unittest

BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
LIMIT_S = 90


class DoctorTest(unittest.TestCase):
    def findings(self):
        """(level, sentence) of each check that speaks of rxe1."""
        done = subprocess.run([BUILD / "control/cli/penstock", "doctor", "--json", "--config", "/nowhere.toml"], text=True,
                              capture_output=True, timeout=LIMIT_S,
                              env={**os.environ, "PATH": f"{BUILD}/control/daemon:{os.environ['PATH']}"})
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        rows = json.loads(done.stdout)["checks"]
        return {r["check"]: (r["level"], r["says"]) for r in rows if r["says"].startswith("rxe1 port 1")}

    def ip(self, *words):
        subprocess.run(["ip", *words], check=True, timeout=LIMIT_S)

    def test_soft_roce_is_named_with_its_address_and_what_it_lacks(self):
        found = self.findings()
        self.assertEqual(found["rdma_device"], ("ok", "rxe1 port 1, made by software; penstockd can use it"))
        self.assertEqual(found["rdma_port"], ("ok", "rxe1 port 1: Ethernet, ACTIVE"))
        self.assertEqual(found["rdma_address"][0], "ok")
        self.assertRegex(found["rdma_address"][1], r"GID \d+ is RoCE v2, 10\.8\.0\.1 of v1")
        self.assertEqual(found["rdma_mtu"], ("ok", "rxe1 port 1: packets of 4096 bytes over v1, mtu 9000"))

        self.ip("address", "flush", "dev", "v1", "scope", "global")
        found = self.findings()
        self.assertEqual(found["rdma_address"], ("warning", "rxe1 port 1 has no RoCE v2 address"))
        self.assertEqual(found["rdma_device"][0], "warning")
        self.assertIn("has no RoCE v2 address: give its interface an IP address", found["rdma_device"][1])

        self.ip("link", "set", "p1", "down")
        found = self.findings()
        self.assertEqual(found["rdma_port"], ("warning", "rxe1 port 1: Ethernet, DOWN"))


if __name__ == "__main__":
    unittest.main()
