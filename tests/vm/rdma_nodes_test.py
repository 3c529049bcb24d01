#!/usr/bin/env python3
"""Two true daemons with a soft-RoCE device each. Runs in a machine with --rdma rxe:2.

    rdma_nodes_test.py BUILD [TEST]
"""
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
os.environ["PENSTOCK_LIBRARY"] = str(BUILD / "dataplane/client/libpenstock.so.0")
sys.path.insert(0, str(ROOT / "dataplane/client/python"))
import penstock  # noqa: E402

LIMIT_S = 120
SMALL, LARGE = 8, 1 << 20
FROM = 16384  # rdma.from
MESSAGES = int(os.environ.get("MESSAGES", "500"))  # each way
POOL = random.Random(7).randbytes(4 * LARGE)


def ip(*words):
    subprocess.run(["ip", *words], check=True)


class Node:
    """Its link goes over the veth pair u1, u2; its device is rxe1 or rxe2."""

    def __init__(self, test, number, device=None, timeout="5s"):
        self.test, self.number = test, number
        path = pathlib.Path(test.folder.name)
        self.socket = f"{path}/{number}.sock"
        self.log = path / f"{number}.log"
        config = path / f"{number}.toml"
        config.write_text(f"""\
[node]
id = {number}
socket = "{self.socket}"
state_dir = "{path}/state{number}"
[memory]
hugepages = "never"
buffers = "16MiB"
[lane]
arena = "16MiB"
[mirror]
arena = "8MiB"
[rdma]
device = "{device or f'rxe{number}'}"
from = "{FROM}B"
stripe_from = "256KiB"
timeout = "{timeout}"
[[port]]
name = "u"
device = "af_packet:u{number}"
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

    def rdma(self):
        try:
            with penstock.Client(socket=self.socket) as client:
                (link,) = json.loads(client.query("links"))
                return link["rdma"]
        except penstock.Error:
            return {"state": "not listening yet"}

    def wait_rdma(self, state="up"):
        end = time.monotonic() + LIMIT_S
        while (now := self.rdma())["state"] != state:
            self.test.assertIsNone(self.process.poll(), self.log.read_text())
            logs = "\n".join(f.read_text() for f in sorted(self.log.parent.glob("*.log")))
            self.test.assertLess(time.monotonic(), end, f"{logs} {now}")
            time.sleep(0.2)
        return now


class Flow(threading.Thread):
    """Messages of 8 B to 1 MiB, log-uniform, from one node to the other: all, in order, as they were sent."""

    def __init__(self, sender, receiver, seed):
        super().__init__()
        dice = random.Random(seed)
        self.sizes = [SMALL, LARGE] + [int(SMALL * (LARGE / SMALL) ** dice.random()) for _ in range(MESSAGES - 2)]
        self.at = [dice.randrange(len(POOL) - LARGE) for _ in self.sizes]
        self.sender, self.receiver = sender, receiver
        self.wrong, self.got = [], 0
        self.publishing = threading.Event()

    def data(self, i):
        return POOL[self.at[i]:self.at[i] + self.sizes[i]]

    def large(self):
        return [s for s in self.sizes if s >= FROM]

    def send(self):
        with penstock.Client(socket=self.sender.socket) as client:
            publisher = client.publisher()
            for i in range(len(self.sizes)):
                publisher.send(f"rdma.{self.sender.number}", self.data(i), timeout=LIMIT_S)
            self.done.wait(LIMIT_S)  # what is published stays as long as its publisher does

    def run(self):
        self.done = threading.Event()
        with penstock.Client(socket=self.receiver.socket) as client:
            subscriber = client.subscriber(f"rdma.{self.sender.number}")
            sending = threading.Thread(target=self.send)
            sending.start()
            for i in range(len(self.sizes)):
                message = subscriber.recv(timeout=LIMIT_S)
                if message is None:
                    self.wrong.append(f"message {i} of {self.sizes[i]} bytes did not come")
                    break
                if message.gap is not None or bytes(message.data) != self.data(i):
                    self.wrong.append(f"message {i} of {self.sizes[i]} bytes: {message.gap or 'changed'}")
                    break
                self.got += 1
            self.done.set()
            sending.join()


class RdmaNodesTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="penstock-rdma-", dir="/tmp")
        self.addCleanup(self.folder.cleanup)
        # DPDK names a group of sockets by process ^ interface: neighbours in both would share one, and be refused.
        ip("link", "add", "index", "4096", "name", "u1", "mtu", "9000", "type", "veth",
           "peer", "index", "12288", "name", "u2", "mtu", "9000")
        self.addCleanup(ip, "link", "del", "u1")
        for end in ("u1", "u2"):
            ip("link", "set", end, "up")

    def start(self, second=None, timeout="5s"):  # an emulated CPU stands still for long
        return [Node(self, 1, None, timeout), Node(self, 2, second, timeout)]

    def flow_both_ways(self, nodes, meanwhile=None):
        flows = [Flow(nodes[0], nodes[1], 1), Flow(nodes[1], nodes[0], 2)]
        began = time.monotonic()
        for flow in flows:
            flow.start()
        while any(flow.is_alive() for flow in flows):
            if meanwhile:
                meanwhile()
            time.sleep(0.1)
        seconds = time.monotonic() - began
        for flow in flows:
            flow.join()
            self.assertEqual(flow.wrong, [], [n.log.read_text()[-2000:] for n in nodes])
            self.assertEqual(flow.got, MESSAGES)
        print(f"{sum(sum(f.sizes) for f in flows) / 1e6:.1f} MB both ways in {seconds:.1f} s", flush=True)
        return flows

    def test_large_messages_go_by_rdma_and_nothing_of_them_is_copied(self):
        nodes = self.start()
        for node in nodes:
            node.wait_rdma()
        flows = self.flow_both_ways(nodes)
        for node, flow in zip(nodes, flows):
            rdma = node.rdma()
            print(rdma, flush=True)
            # The first may go before the mirror is offered.
            self.assertGreaterEqual(rdma["messages_sent"], len(flow.large()) - 3, node.log.read_text())
            self.assertEqual(rdma["copied_bytes"], 0)
            self.assertEqual(rdma["errors"], 0)
        for node in nodes:
            self.assertEqual(node.stop(), 0, node.log.read_text())

    def test_queue_pairs_that_die_and_links_that_are_cut_lose_nothing(self):
        nodes = self.start(timeout="30ms")
        for node in nodes:
            node.wait_rdma()
        dice = random.Random(3)
        state = {"at": time.monotonic(), "kills": 0, "cuts": 0}

        def meanwhile():  # a cable is out for longer than the device tries: its queue pairs are dead
            if time.monotonic() - state["at"] < 1:
                return
            cut = state["kills"] % 4 == 3
            wire = f"u{dice.randint(1, 2)}" if cut else f"p{dice.randint(1, 2)}"
            ip("link", "set", wire, "down")
            time.sleep(0.5)
            ip("link", "set", wire, "up")
            state["cuts" if cut else "kills"] += 1
            state["kills"] += cut
            state["at"] = time.monotonic()

        rounds = 0
        while state["kills"] < 5 and rounds < 10:  # a fast host is through before much happens
            self.flow_both_ways(nodes, meanwhile)
            rounds += 1
        ends = [node.rdma() for node in nodes]
        print(rounds, state, ends, flush=True)
        self.assertGreater(state["kills"], 4)
        self.assertGreater(state["cuts"], 0)
        self.assertGreater(sum(e["errors"] for e in ends), 2)
        self.assertGreater(sum(e["messages_sent"] for e in ends), MESSAGES // 4)
        for node in nodes:
            node.wait_rdma()  # it comes back
        for node in nodes:
            self.assertEqual(node.stop(), 0, node.log.read_text())

    def test_a_device_that_is_named_twice_is_two_rails(self):
        nodes = [Node(self, n, f"rxe{n},rxe{n}") for n in (1, 2)]
        for node in nodes:
            node.wait_rdma()
        self.flow_both_ways(nodes)
        for node in nodes:
            rdma = node.rdma()
            print(rdma, flush=True)
            self.assertEqual([rail["state"] for rail in rdma["rails"]], ["up", "up"])
            self.assertTrue(all(rail["bytes_sent"] for rail in rdma["rails"]), rdma)
            self.assertGreater(rdma["striped"], 0)
            self.assertEqual(rdma["errors"], 0)
        for node in nodes:
            self.assertEqual(node.stop(), 0, node.log.read_text())

    def test_with_a_node_that_has_none_all_goes_by_frames(self):
        nodes = self.start("none")
        nodes[0].wait_rdma("refused")
        self.flow_both_ways(nodes)
        self.assertEqual(nodes[0].rdma()["bytes_sent"], 0)
        self.assertEqual(nodes[1].rdma()["state"], "none")

    def test_a_device_that_is_not_there_is_named(self):
        node = Node(self, 1, "mlx5_0")
        self.assertEqual(node.process.wait(LIMIT_S), 3)
        self.assertIn("rdma.device: no RDMA device mlx5_0: there are rxe1, rxe2", node.log.read_text())


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:], "-v"])
