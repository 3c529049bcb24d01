#!/usr/bin/env python3
"""The commands of penstock against a true node without ports.

    commands_test.py PENSTOCK PENSTOCKD
"""
import json
import os
import pathlib
import pty
import signal
import subprocess
import sys
import tempfile
import time
import unittest

LIMIT_S = 60  # against hanging


def existing(folder):
    return folder if folder.exists() else existing(folder.parent)


class Node:
    """A daemon in a folder of its own."""

    def __init__(self, folder):
        self.socket = folder / "p.sock"
        self.config = pathlib.Path(tempfile.mkdtemp(dir=existing(folder))) / "node.toml"
        self.write_config("info")
        self.log = self.config.with_name("log")
        with self.log.open("w") as log:
            self.process = subprocess.Popen([PENSTOCKD, "--config", self.config], stderr=log)
        self.wait_for_log("penstockd: ready")

    def write_config(self, level, more=""):
        self.config.write_text(f"""[node]
id = 1
socket = "{self.socket}"
state_dir = "{self.socket.parent}"
[memory]
hugepages = "never"
[log]
level = "{level}"
{more}""")

    def wait_for_log(self, text):
        end = time.monotonic() + LIMIT_S
        while text not in self.log.read_text():
            if time.monotonic() > end or self.process.poll() is not None:
                raise AssertionError(f"no '{text}' in the log:\n{self.log.read_text()}")
            time.sleep(0.02)

    def start(self, *arguments, **options):
        return subprocess.Popen([PENSTOCK, "--socket", self.socket, *arguments], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)

    def run(self, *arguments, given=b""):
        """(exit code, output, errors)"""
        process = self.start(*arguments)
        out, err = process.communicate(given, timeout=LIMIT_S)
        return process.returncode, out, err.decode()

    def show(self, what):
        code, out, err = self.run("show", what, "--json")
        assert code == 0, err
        return json.loads(out)

    def receiver(self, command, topics, *arguments):
        """A sub or pull that is in place."""
        process = self.start(command, topics, "--timeout", f"{LIMIT_S}s", *arguments)
        while not any(s["filter"] == topics for c in self.show("clients") for s in c["subscriptions"]):
            time.sleep(0.02)
        return process

    def stop(self):
        self.process.terminate()
        self.process.wait(LIMIT_S)


def result(process):
    out, err = process.communicate(timeout=LIMIT_S)
    return process.returncode, out, err.decode()


class CommandsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="penstock-commands-")
        cls.node = Node(pathlib.Path(cls.folder.name))

    @classmethod
    def tearDownClass(cls):
        cls.node.stop()
        cls.folder.cleanup()

    def test_lines_go_from_pub_to_every_sub(self):
        subs = [self.node.receiver("sub", f, "--count", "3") for f in ("lines.#", "lines.*")]
        self.assertEqual(self.node.run("pub", "lines.a", given=b"1\n2\n3\n")[0], 0)
        for sub in subs:
            self.assertEqual(result(sub), (0, b"1\n2\n3\n", ""))

    def test_json_tells_topic_position_and_time(self):
        sub = self.node.receiver("sub", "json.#", "--json", "--count", "2")
        code, out, _ = self.node.run("pub", "json.a", "--json", given=b"x\n\xff\n")
        self.assertEqual((code, json.loads(out)["sent"]), (0, 2))
        first, second = map(json.loads, result(sub)[1].splitlines())
        self.assertEqual((first["topic"], first["position"], first["data"]), ("json.a", 0, "x"))
        self.assertEqual((second["position"], second["hex"]), (1, "ff"))
        self.assertGreater(first["time_ns"], 0)

    def test_a_file_larger_than_an_arena_is_one_message(self):
        content = os.urandom(6_000_000)
        path = pathlib.Path(self.folder.name) / "content"
        path.write_bytes(content)
        sub = self.node.receiver("sub", "file", "--raw", "--count", "2")
        self.assertEqual(self.node.run("pub", "file", "--file", path)[0], 0)
        self.assertEqual(self.node.run("pub", "file", "--raw", given=content)[0], 0)
        code, out, _ = result(sub)
        self.assertEqual((code, out == content * 2), (0, True))

    def test_who_is_too_slow_for_its_policy_is_told_so(self):
        sub = self.node.receiver("sub", "slow", "--policy", "disconnect", "--limit-messages", "10")
        os.kill(sub.pid, signal.SIGSTOP)
        self.assertEqual(self.node.run("pub", "slow", given=b"x\n" * 50)[0], 0)
        end = time.monotonic() + LIMIT_S
        while "evicted" not in str(self.node.show("lanes")) and time.monotonic() < end:
            time.sleep(0.02)
        os.kill(sub.pid, signal.SIGCONT)
        code, _, errors = result(sub)
        self.assertEqual(code, 5, errors)
        self.assertIn("too_slow", errors)
        self.assertIn("too slow for its policy disconnect", errors)

    def test_each_job_goes_to_one_puller(self):
        pulls = [self.node.receiver("pull", "jobs.#") for _ in range(2)]
        jobs = [f"job {n}" for n in range(100)]
        self.assertEqual(self.node.run("push", "jobs.a", given="\n".join(jobs).encode())[0], 0)
        def delivered():
            return sum(reader["delivered"] for lane in self.node.show("lanes") if lane["kind"] == "inbox"
                       for reader in lane["readers"])
        while delivered() < len(jobs):
            time.sleep(0.02)
        for pull in pulls:
            pull.send_signal(signal.SIGINT)
        results = [result(p) for p in pulls]
        self.assertEqual([r[0] for r in results], [0, 0])
        got = sorted(line for r in results for line in r[1].decode().splitlines())
        self.assertEqual(got, sorted(jobs))

    def test_time_runs_out(self):
        self.assertEqual(self.node.run("sub", "never", "--timeout", "10ms")[0], 4)
        code, _, err = self.node.run("push", "nobody", "--timeout", "10ms", given=b"x\n")
        self.assertEqual((code, err), (4, "penstock: nobody: no route\n"))

    def test_bad_topics_are_refused(self):
        for command in (["pub", "a..b"], ["push", "a.*"], ["sub", "a..#"], ["pull", ""]):
            code, _, err = self.node.run(*command, given=b"x\n")
            self.assertEqual(code, 1, err)

    def test_show_accounts_for_every_reader(self):
        sub = self.node.receiver("sub", "shown")
        pub = self.node.start("pub", "shown")
        pub.stdin.write(b"1\n2\n")
        pub.stdin.flush()
        while not any(lane["sent"] == 2 for lane in self.node.show("lanes")):
            time.sleep(0.02)
        code, out, _ = self.node.run("show", "lanes")
        self.assertEqual(code, 0)
        self.assertIn(b"holds for 1 of 1", out)
        for what in ("links", "ports", "clients", "drops", "node"):
            self.assertEqual(self.node.run("show", what)[0], 0, what)
        code, out, _ = self.node.run("top", "--count", "1")
        self.assertEqual(code, 0)
        self.assertIn(b"penstock pub", out)
        pub.stdin.close()
        sub.terminate()
        self.assertEqual([sub.wait(LIMIT_S), pub.wait(LIMIT_S)], [0, 0])
        for process in (sub, pub):
            process.stdout.close()
            process.stderr.close()
        sub.stdin.close()

    def test_top_ends_at_q_and_leaves_the_terminal_as_it_was(self):
        ours, theirs = pty.openpty()
        top = subprocess.Popen([PENSTOCK, "--socket", self.node.socket, "top"], stdin=theirs, stdout=theirs)
        seen = b""
        while b"no lanes" not in seen and b"LANE" not in seen:
            seen += os.read(ours, 4096)
        os.write(ours, b"q")
        self.assertEqual(top.wait(LIMIT_S), 0)
        os.close(ours)
        os.close(theirs)

    def test_top_as_json_is_a_line_a_look(self):
        code, out, _ = self.node.run("top", "--json", "--count", "2", "--interval", "10ms")
        self.assertEqual(code, 0)
        looks = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([look["node"]["id"] for look in looks], [1, 1])
        self.assertGreater(looks[1]["at_ns"], looks[0]["at_ns"])

    def test_bench_measures(self):
        code, out, err = self.node.run("bench", "--time", "100ms", "--json")
        self.assertEqual(code, 0, err)
        measured = json.loads(out)
        self.assertGreater(measured["round_trips"], 0)
        self.assertGreater(measured["messages"], 0)

    def test_topology_tells_the_choice(self):
        code, out, _ = self.node.run("topology")
        self.assertEqual(code, 0)
        self.assertIn(b"worker 0: CPU ", out)

    def test_sighup_takes_the_log_level(self):
        self.node.write_config("debug", "[link]\nwindow = 9\n")
        self.node.process.send_signal(signal.SIGHUP)
        self.node.wait_for_log("link.window waits for a restart")
        self.node.write_config("nonsense")
        self.node.process.send_signal(signal.SIGHUP)
        self.node.wait_for_log("the config stays as it was")


class NodeGoneTest(unittest.TestCase):
    def test_a_sub_ends_with_three(self):
        with tempfile.TemporaryDirectory(prefix="penstock-commands-") as folder:
            node = Node(pathlib.Path(folder))
            sub = node.receiver("sub", "a")
            node.stop()
            code, _, err = result(sub)
            self.assertEqual((code, err), (3, "penstock: a: closed\n"))


class DaemonTest(unittest.TestCase):
    def fails(self, *arguments):
        done = subprocess.run([PENSTOCKD, *arguments], capture_output=True, text=True, timeout=LIMIT_S)
        return done.returncode, done.stderr

    def test_wrong_usage_is_two(self):
        self.assertEqual(self.fails("--no-such-option")[0], 2)
        self.assertEqual(self.fails("--help")[0], 0)

    def test_makes_the_folders_of_its_socket_and_state(self):
        with tempfile.TemporaryDirectory(prefix="penstock-commands-") as folder:
            node = Node(pathlib.Path(folder) / "not" / "there")
            self.assertEqual(node.show("node")["id"], 1)
            node.stop()

    def test_huge_pages_that_are_required_and_missing_are_named(self):
        with tempfile.TemporaryDirectory(prefix="penstock-commands-") as folder:
            config = pathlib.Path(folder) / "node.toml"
            config.write_text(f"""[node]
id = 1
socket = "{folder}/p.sock"
state_dir = "{folder}"
[memory]
hugepages = "require"
buffers = "64GiB"
""")
            code, error = self.fails("--config", config)
            self.assertEqual(code, 6)
            self.assertIn("huge pages are required (memory.hugepages)", error)


if __name__ == "__main__":
    PENSTOCKD = sys.argv.pop()
    PENSTOCK = sys.argv.pop()
    unittest.main()
