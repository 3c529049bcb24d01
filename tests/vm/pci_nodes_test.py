#!/usr/bin/env python3
"""Two nodes on PCI NICs, by the drivers that DPDK has for hardware. Runs in a machine, $VM_NICS in pairs of one model.

    pci_nodes_test.py BUILD MODEL... [TEST]
"""
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
os.environ["PENSTOCK_LIBRARY"] = str(BUILD / "dataplane/client/libpenstock.so.0")
sys.path.insert(0, str(ROOT / "dataplane/client/python"))
import penstock  # noqa: E402

LIMIT_S = 90
NICS = os.environ["VM_NICS"].split()
SMALL, LARGE = 8, 1 << 20
MESSAGES = 10


class Node:
    def __init__(self, test, number, nic, huge):
        self.test = test
        self.path = pathlib.Path(test.folder.name)
        self.socket = f"{self.path}/{number}.sock"
        self.log = self.path / f"{number}.log"
        config = self.path / f"{number}.toml"
        config.write_text(f"""\
[node]
id = {number}
socket = "{self.socket}"
state_dir = "{self.path}/state{number}"
[memory]
hugepages = "{huge}"
buffers = "48MiB"
[workers]
cpus = "{number - 1}"
[[port]]
name = "nic"
device = "pci:{nic}"
address = "10.77.0.{number}/24"
[[peer]]
id = {3 - number}
address = "10.77.0.{3 - number}"
""")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([BUILD / "control/daemon/penstockd", "--config", config], stdout=log,
                                            stderr=log)
        test.addCleanup(self.stop)

    def stop(self):
        self.process.terminate()
        return self.process.wait(LIMIT_S)

    def show(self, what):
        try:
            with penstock.Client(socket=self.socket) as client:
                return json.loads(client.query(what))
        except penstock.Error:
            return []  # not listening yet

    def wait_linked(self):
        end = time.monotonic() + LIMIT_S
        while not any(link["state"] == "up" for link in self.show("links")):
            self.test.assertIsNone(self.process.poll(), self.log.read_text())
            self.test.assertLess(time.monotonic(), end, f"{self.log.read_text()} {self.show('ports')}")
            time.sleep(0.2)

    def port(self):
        (port,) = self.show("ports")
        return port


class PciNodesTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="penstock-pci-", dir="/tmp")
        self.addCleanup(self.folder.cleanup)

    def messages(self, sender, receiver):
        """Of 8 B to 1 MiB, log-uniform, one way: all of them, in order, as they were sent."""
        dice = random.Random(1)
        sizes = [SMALL, LARGE] + [int(SMALL * (LARGE / SMALL) ** dice.random()) for _ in range(MESSAGES - 2)]
        with penstock.Client(socket=receiver.socket) as to, penstock.Client(socket=sender.socket) as origin:
            subscriber = to.subscriber("pci.#")
            publisher = origin.publisher()
            for i, size in enumerate(sizes):
                data = dice.randbytes(size)
                publisher.send("pci.all", data, timeout=LIMIT_S)
                message = subscriber.recv(timeout=LIMIT_S)
                self.assertIsNotNone(message, f"message {i} of {size} bytes did not come: {sender.port()} {sender.show('links')}")
                self.assertEqual(bytes(message.data), data, f"message {i} of {size} bytes")
        return sum(sizes)

    def cross(self, model, nics, huge):
        """Messages both ways between two NICs; what the ports say afterwards."""
        nodes = [Node(self, i + 1, nics[i], huge[i]) for i in range(2)]
        for node in nodes:
            node.wait_linked()
        for sender, receiver in (nodes, nodes[::-1]):
            before = receiver.port()["rx_bytes"]
            sent = self.messages(sender, receiver)
            self.assertGreaterEqual(receiver.port()["rx_bytes"] - before, sent)
        ports = [node.port() for node in nodes]
        for node, port in zip(nodes, ports):
            print(f"{model}: {port}", flush=True)
            self.assertEqual((port["rx_errors"], port["tx_errors"]), (0, 0))
            self.assertEqual(node.stop(), 0, node.log.read_text())
        return nodes, ports

    def test_all_arrives_and_nothing_is_copied(self):
        for i, model in enumerate(MODELS):
            with self.subTest(model):
                # QEMU's e1000e drops a frame whose piece crosses a page of the IOMMU.
                huge = ("require", "require") if model == "e1000e" else ("never", "require")
                _, ports = self.cross(model, NICS[2 * i:][:2], huge)
                self.assertEqual([(p["zero_copy"], p["tx_linearized"]) for p in ports], [(True, 0)] * 2)

    def test_what_the_iommu_cannot_reach_is_copied_and_said(self):
        nodes, ports = self.cross(MODELS[0], NICS[:2], ("never", "never"))
        for node, port in zip(nodes, ports):
            self.assertFalse(port["zero_copy"])
            self.assertGreater(port["tx_linearized"], LARGE // port["mtu"])
            self.assertEqual(node.log.read_text().count("port nic: the device cannot read every lane"), 1)

    def test_a_nic_that_another_driver_holds_is_left_alone(self):
        nodes = []
        for i, driver in enumerate(("uio_pci_generic", "virtio-pci")):
            subprocess.run(["vm-bind", driver, NICS[i]], check=True, stdout=subprocess.DEVNULL)
            nodes.append(Node(self, i + 1, NICS[i], "never"))
        for node, nic in zip(nodes, NICS):
            self.assertEqual(node.process.wait(LIMIT_S), 3)
            self.assertIn(f"port pci:{nic}: no such NIC, or no driver of DPDK holds it; bind it to vfio-pci",
                          node.log.read_text())


if __name__ == "__main__":
    MODELS = [word for word in sys.argv[1:] if not word.startswith("PciNodesTest.")]
    unittest.main(argv=[sys.argv[0], *[word for word in sys.argv[1:] if word not in MODELS], "-v"])
