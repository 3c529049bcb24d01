#!/usr/bin/env python3
"""What the control plane costs those who send and receive, between two true daemons: what becomes of the data rate when
the store is killed, and how soon a publisher elsewhere knows of a subscriber. Prints figures, and asserts that they are
not absurd: a machine that others share says no more.

    figures_test.py BUILD
"""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
import unittest

import two_daemons
from two_daemons import BUILD, LIMIT_S

ROOT = pathlib.Path(__file__).resolve().parents[2]
os.environ["PENSTOCK_LIBRARY"] = str(BUILD / "dataplane/client/libpenstock.so.0")
sys.path.insert(0, str(ROOT / "dataplane/client/python"))
import penstock  # noqa: E402

WINDOW_S = 1
PAIRS = 4
ROUNDS = 100

# Sends until it is killed: as fast as it can, or with a pause, each message the time at which it was sent.
PUBLISHER = """
import sys, time, penstock
publisher = penstock.Client("load", sys.argv[1]).publisher("load")
pause = float(sys.argv[2])
while True:
    publisher.send("load.x", time.monotonic_ns().to_bytes(8, "little") * 32, timeout=60)
    if pause:
        time.sleep(pause)
"""


class FiguresTest(two_daemons.TwoDaemons):
    def publisher(self, pause):
        process = subprocess.Popen([sys.executable, "-c", PUBLISHER, f"{self.path}/1.sock", str(pause)],
                                   env={**os.environ, "PYTHONPATH": str(ROOT / "dataplane/client/python")})
        self.addCleanup(lambda: (process.kill(), process.wait()))

    def client(self):
        return penstock.Client("figures", f"{self.path}/2.sock")

    def trouble(self, node):
        return json.loads(self.cli(node, "--json", "members")).get("trouble", "")

    def count(self, subscriber, seconds):
        """Messages that came within so long."""
        end, n = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            n += subscriber.recv(1) is not None
        return n

    def test_data_flows_while_the_store_is_dead(self):
        server, store = self.etcd()
        self.daemon(1, store)
        self.daemon(2, store)
        self.both_up()
        client = self.client()
        subscriber = client.subscriber("load.#")
        self.publisher(0)
        self.assertIsNotNone(subscriber.recv(LIMIT_S))
        alive, dead = [], []
        for _ in range(PAIRS):
            self.wait_until(lambda: self.count(subscriber, 0.1) and not self.trouble(1) + self.trouble(2))
            alive.append(self.count(subscriber, WINDOW_S))
            server.kill()
            server.wait()
            dead.append(self.count(subscriber, WINDOW_S))
            self.wait_until(lambda: self.count(subscriber, 0.1) and self.trouble(1) and self.trouble(2))
            dead.append(self.count(subscriber, WINDOW_S))
            server = self.start_etcd(*self.etcd_at)
        before, without = statistics.median(alive) / WINDOW_S, statistics.median(dead) / WINDOW_S
        print(f"{before:,.0f} messages of 256 bytes a second with the store, {without:,.0f} without: "
              f"{100 * (without / before - 1):+.1f} % (medians; with {sorted(alive)}, without {sorted(dead)})")
        self.assertGreater(without, before / 2)
        self.assertEqual(subscriber.stats()["gaps"], {})
        self.assertTrue(self.links_up(1) and self.links_up(2))

    def test_a_publisher_elsewhere_hears_of_a_subscriber(self):
        self.daemon(1, self.sqlite())
        self.daemon(2, self.sqlite())
        self.both_up()
        client = self.client()
        self.publisher(0.0005)
        self.assertIsNotNone(client.subscriber("load.#").recv(LIMIT_S))  # it sends
        asked, first = [], []
        for _ in range(ROUNDS):
            time.sleep(0.02)
            begin = time.monotonic_ns()
            subscriber = client.subscriber("load.#")
            acknowledged = time.monotonic_ns()
            message = subscriber.recv(LIMIT_S)
            sent = int.from_bytes(bytes(message.data)[:8], "little")
            first.append((time.monotonic_ns() - acknowledged) / 1e6)
            asked.append((acknowledged - begin) / 1e6)
            self.assertGreater(sent, begin)  # nothing from before comes
            subscriber.close()

        def text(times):
            times.sort()
            return f"least {times[0]:.2f} p50 {times[len(times) // 2]:.2f} p99 {times[len(times) * 99 // 100]:.2f} ms"

        print(f"subscribe(), until every publisher is joined: {text(asked)}; then until the first message, of one each "
              f"half ms: {text(first)}")
        self.assertLess(statistics.median(asked) + statistics.median(first), 2000)


if __name__ == "__main__":
    unittest.main()
