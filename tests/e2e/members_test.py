#!/usr/bin/env python3
"""Two true daemons that share a store find each other with no [[peer]] in their configs.

    members_test.py BUILD
"""
import base64
import contextlib
import json
import select
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
import unittest
import urllib.request

import two_daemons
from two_daemons import LIMIT_S


class MembersTest(two_daemons.TwoDaemons):
    def test_two_find_each_other_and_again_when_one_has_died_with_its_disk(self):
        self.daemon(1, self.sqlite())
        self.daemon(2, self.sqlite())
        self.both_up()
        self.carries("first")
        self.assertEqual(self.epoch(2), 1)
        self.processes[2].send_signal(signal.SIGKILL)
        self.processes.pop(2).wait()
        self.wait_until(lambda: not self.links_up(1))
        shutil.rmtree(self.path / "state2")
        (self.path / "2.sock").unlink()
        self.daemon(2, self.sqlite())
        self.both_up()
        self.assertEqual(self.epoch(2), 2)  # the store remembers
        self.carries("second")

    def test_the_wall_clock_may_jump(self):
        """A day ahead and two back, while leases run and calls are under way: nobody notices."""
        _, store = self.etcd()
        wall = self.path / "wall"
        wall.write_text("+0\n")
        faked = {"LD_PRELOAD": "/usr/$LIB/faketime/libfaketimeMT.so.1", "FAKETIME_TIMESTAMP_FILE": str(wall),
                 "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        self.daemon(1, store, environment=faked)
        self.daemon(2, store, environment=faked)
        self.both_up()
        for jump in ("+86400", "-86400", "+0"):
            wall.write_text(jump + "\n")
            time.sleep(5)  # leases of 2 s would be over
            self.assertTrue(self.links_up(1) and self.links_up(2), jump)
            self.carries("at" + jump)
        # It did jump: the daemon dates what it says by it.
        tomorrow = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 86400))
        wall.write_text("+86400\n")
        self.processes[1].send_signal(signal.SIGHUP)
        self.wait_until(lambda: f"{tomorrow} " in self.log(1))
        for log in self.log(1), self.log(2):
            self.assertNotIn("has left", log)
            self.assertLessEqual(log.count("link_down raised"), 1, log)  # before they met

    def test_a_lease_that_ends_under_a_live_node_is_taken_anew(self):
        _, store = self.etcd()
        self.daemon(1, store)
        self.daemon(2, store)
        self.both_up()
        address = store.split('endpoints = "')[1].split('"')[0]

        def ask(path, **question):
            with urllib.request.urlopen(f"http://{address}/v3/{path}", json.dumps(question).encode(), LIMIT_S) as answer:
                return json.load(answer)

        def leases():
            return {lease["ID"] for lease in ask("lease/leases").get("leases", [])}

        before = leases()
        self.assertEqual(len(before), 2)
        for lease in before:
            ask("lease/revoke", ID=lease)
        first, end = (base64.b64encode(key).decode() for key in (b"penstock/members/", b"penstock/members0"))
        self.wait_until(lambda: len(leases()) == 2 and int(ask("kv/range", key=first, range_end=end)["count"]) == 2)
        self.assertFalse(leases() & before)
        self.assertTrue(self.links_up(1) and self.links_up(2))
        for log in self.log(1), self.log(2):
            self.assertNotIn("has left", log)

    def test_of_two_with_one_id_the_first_says_so(self):
        self.daemon(1, self.sqlite())
        self.daemon(2, self.sqlite())
        self.both_up()
        (self.path / "twin").mkdir()
        config = self.path / "twin/1.toml"
        own = (self.path / "1.toml").read_text().split("[[port]]")[0]
        config.write_text(own.replace(f"{self.path}/1.sock", f"{self.path}/twin/1.sock").replace("/state1", "/twin/state1"))
        with open(self.path / "twin/1.log", "w") as out:
            twin = subprocess.Popen([two_daemons.BUILD / "control/daemon/penstockd", "--config", config], stdout=out, stderr=out)
        self.addCleanup(lambda: (twin.kill(), twin.wait()))
        self.wait_until(lambda: "the store knows another start of node 1, epoch 2" in self.log(1))
        raised = json.loads(self.cli(1, "--json", "events"))["raised"]
        self.assertIn("members_trouble", [e["name"] for e in raised])
        self.assertIsNone(twin.poll())

    def test_a_row_that_nobody_can_read_is_raised_until_it_is_gone(self):
        self.daemon(1, self.sqlite())
        self.daemon(2, self.sqlite())
        self.both_up()

        def write(*statements):
            with contextlib.closing(sqlite3.connect(self.path / "store.db", timeout=LIMIT_S)) as db, db:
                db.execute("UPDATE state SET revision = revision + 1")
                for statement in statements:
                    db.execute(statement)

        def changes():
            events = json.loads(self.cli(1, "--json", "events"))["events"]
            return [(e["name"], e["change"]) for e in events if e["name"] in ("members_trouble", "store_unreachable")]

        write("INSERT INTO entry SELECT 'members/9', 'scribbled', revision, 0 FROM state",
              "INSERT INTO change SELECT revision, 'members/9', 'scribbled', 0 FROM state")
        self.wait_until(lambda: changes() == [("members_trouble", "raised")])
        write("DELETE FROM entry WHERE key = 'members/9'",
              "INSERT INTO change SELECT revision, 'members/9', NULL, 0 FROM state")
        self.wait_until(lambda: changes() == [("members_trouble", "raised"), ("members_trouble", "cleared")])

    def test_one_that_dies_is_removed_and_comes_back_as_a_member(self):
        self.daemon(1, self.sqlite())
        self.daemon(2, self.sqlite())
        self.both_up()
        self.processes[2].send_signal(signal.SIGKILL)
        self.processes.pop(2).wait()
        self.wait_until(lambda: self.links(1) == [])
        self.assertIn("node 2 (node2) has left, or is no more", self.log(1))
        (self.path / "2.sock").unlink()
        self.daemon(2, self.sqlite())
        self.both_up()
        self.carries("again")

    def test_sigterm_delivers_what_is_published_before_it_ends(self):
        self.daemon(1, self.sqlite())
        self.daemon(2, self.sqlite())
        self.both_up()
        sub = self.subscriber()
        while not select.select([sub.stdout], [], [], 0.1)[0]:
            self.cli(1, "pub", "a.b", input="first\n")  # until it has been heard of
        lines = [str(i) for i in range(900)]
        self.processes[2].send_signal(signal.SIGSTOP)
        self.assertIsNotNone(self.cli(1, "pub", "a.b", input="\n".join(lines) + "\n"))
        self.processes[1].send_signal(signal.SIGTERM)
        self.wait_until(lambda: "draining" in self.log(1))
        self.processes[2].send_signal(signal.SIGCONT)
        self.assertEqual(self.processes.pop(1).wait(LIMIT_S), 0, self.log(1))
        self.assertIn("drained: all that was published is delivered", self.log(1))
        end = threading.Timer(LIMIT_S, sub.kill)
        end.start()
        got = [sub.stdout.readline().split()[-1]]
        while got[-1] != lines[-1]:
            got += [w for w in sub.stdout.readline().split()[-1:] or self.fail(f"only {len(got)} came") if w != "first"]
        end.cancel()
        self.assertEqual(got[1:], lines)

    def test_what_is_up_stays_up_when_the_store_goes_and_begins_without_it(self):
        self.daemon(1, self.sqlite())
        self.daemon(2, self.sqlite())
        self.both_up()
        self.wait_until(lambda: all((self.path / f"state{n}/members.snapshot").exists() for n in (1, 2)))
        for part in self.path.glob("store.db*"):
            part.unlink()
        (self.path / "store.db").mkdir()
        self.wait_until(lambda: all("store: " in self.log(n) for n in (1, 2)))
        self.assertTrue(self.links_up(1) and self.links_up(2))
        self.carries("without a store")
        self.processes[2].send_signal(signal.SIGKILL)
        self.processes.pop(2).wait()
        (self.path / "2.sock").unlink()
        self.daemon(2, self.sqlite())
        self.both_up()
        self.carries("begun without a store")
        (self.path / "store.db").rmdir()
        self.wait_until(lambda: all("heard again" in self.log(n) for n in (1, 2)))
        self.assertTrue(self.links_up(1) and self.links_up(2))

    def test_an_etcd_that_dies_takes_nothing_with_it(self):
        server, store = self.etcd()
        self.daemon(1, store)
        self.daemon(2, store)
        self.both_up()
        server.kill()
        server.wait()
        self.wait_until(lambda: all("store: etcd" in self.log(n) for n in (1, 2)))
        self.assertTrue(self.links_up(1) and self.links_up(2))
        self.carries("without etcd")

    def test_one_that_an_operator_removes_goes_on_alone_until_its_next_start(self):
        _, store = self.etcd()
        self.daemon(1, store)
        self.daemon(2, store)
        self.both_up()
        put = {key: base64.b64encode(text.encode()).decode()
               for key, text in (("key", "penstock/removed/2"), ("value", '{"epoch": 1}'))}
        address = store.split('endpoints = "')[1].split('"')[0]
        urllib.request.urlopen(f"http://{address}/v3/kv/put", json.dumps(put).encode(), LIMIT_S).close()
        self.wait_until(lambda: self.links(1) == [] and self.links(2) == [])
        self.assertIn("node 2 was removed by an operator, epoch 1", self.log(1))
        self.assertIn("an operator has removed this node, epoch 1", self.log(2))
        self.processes[2].send_signal(signal.SIGTERM)
        self.processes.pop(2).wait()
        self.daemon(2, store)
        self.both_up()
        self.assertEqual(self.epoch(2), 2)

    def test_a_file_that_people_edit_is_enough(self):
        members = self.path / "members.toml"
        members.write_text('[members.1]\nports = ["10.77.0.1:9470"]\n')
        store = f'kind = "static"\npath = "{members}"\n'
        self.daemon(1, store)
        self.daemon(2, store)
        self.wait_until(lambda: self.cli(1, "show", "node") and self.cli(2, "show", "node"))
        first = members.read_text()

        def second_at(port):
            fresh = self.path / "members.new"
            fresh.write_text(first + f'[members.2]\nports = ["10.77.0.2:{port}"]\n')
            fresh.rename(members)

        second_at(9470)
        self.both_up()
        self.carries("by a file")
        second_at(9999)
        self.wait_until(lambda: "has moved and is called where it is, at 10.77.0.2:9999" in self.log(1))
        self.wait_until(lambda: not self.links_up(1) and not self.links_up(2))
        second_at(9470)
        self.both_up()
        self.carries("where it was")


if __name__ == "__main__":
    unittest.main()
