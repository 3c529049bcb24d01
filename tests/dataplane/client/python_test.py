#!/usr/bin/env python3
"""The Python client against a mini node: python_test.py MINI_NODE"""
import array
import asyncio
import gc
import json
import os
import subprocess
import sys
import unittest

import penstock

MINI_NODE = sys.argv.pop(1)


class PythonClient(unittest.TestCase):
    def setUp(self):
        self.node = subprocess.Popen([MINI_NODE], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.socket = self.node.stdout.readline().decode().strip()
        self.client = penstock.Client("tester", self.socket)

    def tearDown(self):
        self.client.close()
        self.stop_node()

    def stop_node(self):
        self.node.stdin.close()
        self.node.wait()
        self.node.stdout.close()

    def test_sends_and_receives(self):
        subscriber = self.client.subscriber("grad.#")
        publisher = self.client.publisher("trainer", timestamps=True)
        publisher.send("grad.layer3.w", b"\x01\x02\x03", key=7)
        message = subscriber.recv()
        self.assertEqual(bytes(message.data), b"\x01\x02\x03")
        self.assertEqual(message.topic, "grad.layer3.w")
        self.assertEqual(message.publisher, "trainer")
        self.assertEqual((message.position, message.key), (0, 7))
        self.assertEqual(message.origin_node, self.client.node_id())
        self.assertGreater(message.time_ns, 0)
        self.assertIsNone(message.gap)
        self.assertTrue(message.data.readonly)

    def test_sends_anything_with_a_buffer(self):
        subscriber = self.client.subscriber("t")
        publisher = self.client.publisher()
        floats = array.array("f", [1.0, 2.0])
        for data in (b"bytes", bytearray(b"array"), memoryview(b"view"), "text", floats, b""):
            publisher.send("t", data)
            want = data.encode() if isinstance(data, str) else bytes(data)
            self.assertEqual(bytes(subscriber.recv().data), want)

    def test_parts(self):
        subscriber = self.client.subscriber("t")
        publisher = self.client.publisher()
        publisher.send_parts("t", [b"head", b"", bytearray(b"body")])
        self.assertEqual([bytes(p) for p in subscriber.recv().parts], [b"head", b"", b"body"])

    def test_loan_is_filled_in_place(self):
        subscriber = self.client.subscriber("t")
        publisher = self.client.publisher()
        room = publisher.loan(4)
        room[:] = b"room"
        publisher.commit("t", 3)
        self.assertEqual(bytes(subscriber.recv().data), b"roo")

    def test_push_and_pull(self):
        pusher = self.client.pusher()
        with self.assertRaises(penstock.NoRoute):
            pusher.send("work", b"x")
        puller = self.client.puller("work")
        pusher.send("work", b"x", timeout=10)
        self.assertEqual(bytes(puller.recv(10).data), b"x")

    def test_full_is_told(self):
        subscriber = self.client.subscriber("t")
        publisher = self.client.publisher(ring_entries=4)
        for _ in range(4):
            publisher.send("t", b"x")
        with self.assertRaises(penstock.WouldBlock):
            publisher.send("t", b"x")
        with self.assertRaises(penstock.WouldBlock):
            publisher.send("t", b"x", timeout=0.01)
        self.assertEqual(publisher.stats()["sent"], 4)
        self.assertEqual(publisher.stats()["would_block"], 2)
        self.assertIsNotNone(subscriber.recv())

    def test_zero_copy_is_required_in_vain_without_a_device(self):
        with self.assertRaises(ValueError):
            self.client.subscriber("t", path="rdma")
        with self.assertRaisesRegex(penstock.Error, "see rdma.device") as refused:
            self.client.subscriber("t", path="require_zero_copy")
        self.assertEqual(refused.exception.code, 8)
        subscriber = self.client.subscriber("t", path="prefer")
        self.client.publisher().send("t", b"x")
        self.assertFalse(subscriber.recv().copied)

    def test_lossy_subscriber_learns_of_gaps(self):
        subscriber = self.client.subscriber("t", policy="drop_oldest")
        publisher = self.client.publisher(ring_entries=4)
        for _ in range(100):
            publisher.send("t", b"x")
        gap = subscriber.recv().gap
        self.assertEqual(gap[1], "overrun")
        self.assertGreater(gap[0], 90)
        self.assertEqual(subscriber.stats()["gaps"], {"overrun": gap[0]})

    def test_nothing_is_none(self):
        subscriber = self.client.subscriber("t")
        self.assertIsNone(subscriber.recv(0))
        self.assertIsNone(subscriber.recv(0.01))

    def test_asyncio(self):
        subscriber = self.client.subscriber("t")
        publisher = self.client.publisher()
        publisher.topic("t")

        async def main():
            got = []

            async def receive():
                while len(got) < 30:
                    got.append(bytes((await subscriber.recv_async()).data))

            async def send():
                for i in range(30):
                    publisher.send("t", str(i))
                    await asyncio.sleep(0.001 if i % 3 == 0 else 0)

            await asyncio.wait_for(asyncio.gather(receive(), send()), 20)
            return got

        self.assertEqual(asyncio.run(main()), [str(i).encode() for i in range(30)])

    def test_errors_say_what_to_do(self):
        with self.assertRaises(penstock.Error) as caught:
            penstock.Client("tester", "/nowhere")
        self.assertIn("/nowhere", str(caught.exception))
        with self.assertRaisesRegex(penstock.Error, "no topic"):
            self.client.publisher().topic("a..b")
        with self.assertRaisesRegex(penstock.Error, "no filter"):
            self.client.subscriber("a..b")

    def test_query(self):
        self.assertEqual(json.loads(self.client.query("lanes")), {"lanes": 0})

    def test_closed_things_say_so(self):
        publisher = self.client.publisher()
        publisher.close()
        with self.assertRaises(penstock.Closed):
            publisher.send("t", b"x")
        subscriber = self.client.subscriber("t")
        self.client.close()
        with self.assertRaises(penstock.Closed):
            subscriber.recv(0)

    def test_iteration_ends_with_the_node(self):
        subscriber = self.client.subscriber("t")
        publisher = self.client.publisher()
        publisher.send("t", b"last words")
        self.stop_node()
        self.assertEqual([bytes(m.data) for m in subscriber], [b"last words"])

    def test_garbage_gives_everything_back(self):
        before = len(os.listdir("/proc/self/fd"))
        other = penstock.Client("other", self.socket)
        subscriber = other.subscriber("t")
        publisher = other.publisher()
        publisher.send("t", b"x")
        del other, publisher, subscriber
        gc.collect()
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)


if __name__ == "__main__":
    unittest.main()
