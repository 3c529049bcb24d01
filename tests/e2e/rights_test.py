#!/usr/bin/env python3
"""Two users in two tenants of a true daemon, told apart by the kernel: what each may do, and what a reload takes away.

    rights_test.py BUILD
"""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
LIMIT_S = 60  # against hanging
NOBODY = 65534

RED = '[[rule]]\nname = "red"\nwho = "user:0"\ntenant = "red"\nallow = ["publish", "subscribe", "admin"]\n'
BLUE = '[[rule]]\nname = "blue"\nwho = "user:65534"\ntenant = "blue"\nfilter = "grad.#"\nallow = ["publish", "subscribe"]\n'


@unittest.skipUnless(os.geteuid() == 0, "needs root, to be two users")
class RightsTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="penstock-rights-", dir="/tmp")
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name)
        self.path.chmod(0o755)
        shutil.copy(BUILD / "control/cli/penstock", self.path)  # where nobody may run it
        self.write_config(RED + BLUE)
        self.log_file = open(self.path / "log", "w")
        self.addCleanup(self.log_file.close)
        self.daemon = subprocess.Popen([BUILD / "control/daemon/penstockd", "--config", self.path / "c.toml"],
                                       stdout=self.log_file, stderr=self.log_file)
        self.addCleanup(lambda: (self.daemon.kill(), self.daemon.wait()))
        self.until(lambda: "penstockd: ready" in self.log())

    def write_config(self, rules):
        (self.path / "c.toml").write_text(
            f'[node]\nid = 1\nsocket = "{self.path}/s"\nsocket_mode = "0666"\nstate_dir = "{self.path}/state"\n'
            f'[memory]\nhugepages = "never"\n{rules}')

    def log(self):
        return (self.path / "log").read_text()

    def until(self, is_so):
        end = time.monotonic() + LIMIT_S
        while not is_so():
            self.assertIsNone(self.daemon.poll(), self.log())
            self.assertLess(time.monotonic(), end, self.log())
            time.sleep(0.05)

    def command(self, user, arguments):
        drop = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
        return [*drop, self.path / "penstock", "--socket", self.path / "s", *arguments]

    def start(self, user, *arguments):
        process = subprocess.Popen(self.command(user, arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def cli(self, user, *arguments, **environment):
        done = subprocess.run(self.command(user, arguments), text=True, timeout=LIMIT_S, capture_output=True,
                              input="x\n", env={**os.environ, **environment})
        return done.returncode, done.stdout, done.stderr

    def clients(self):
        code, out, err = self.cli(0, "clients", "--json")
        self.assertEqual((code, err), (0, ""))
        return {c["name"]: c for c in json.loads(out)["clients"]}

    def subscribed(self, n):
        self.until(lambda: len(json.loads(self.cli(0, "subscriptions", "--json")[1])["subscriptions"]) == n)

    def reload(self, rules):
        self.write_config(rules)
        code, out, err = self.cli(0, "reload")
        self.assertEqual(code, 0, out + err)

    def test_each_sees_its_own(self):
        red = self.start(0, "sub", "#", "--count", "1")
        blue = self.start(NOBODY, "sub", "grad.#", "--count", "1")
        self.subscribed(2)
        rows = json.loads(self.cli(0, "clients", "--json")[1])["clients"]
        self.assertEqual({(c["tenant"], c["rule"], c["uid"]) for c in rows}, {("red", "red", 0), ("blue", "blue", NOBODY)})
        self.assertEqual(self.cli(0, "pub", "grad.w")[0], 0)
        self.assertEqual(red.communicate(timeout=LIMIT_S)[0], "x\n")
        self.assertIsNone(blue.poll(), "it heard what was not for it")
        self.assertEqual(self.cli(NOBODY, "pub", "grad.w")[0], 0)
        self.assertEqual(blue.communicate(timeout=LIMIT_S)[0], "x\n")

    def test_what_no_rule_gives_is_refused_by_name(self):
        for arguments, why in [
                (["pub", "weights"], "publish 'weights' in tenant 'blue': rule 'blue' is for 'grad.#'"),
                (["sub", "#", "--count", "1"], "subscribe '#' in tenant 'blue': rule 'blue' is for 'grad.#'"),
                (["show", "clients"], 'allow = ["admin"]')]:
            code, _, err = self.cli(NOBODY, *arguments)
            self.assertEqual(code, 1, err)
            self.assertIn(why, err)
        code, _, err = self.cli(NOBODY, "pub", "grad.w", PENSTOCK_TENANT="red")
        self.assertEqual(code, 1, err)
        self.assertIn("no rule lets uid 65534 into tenant 'red'", err)
        self.assertEqual(self.cli(0, "show", "clients")[0], 0)

    def test_what_a_reload_takes_away_ends(self):
        sub = self.start(NOBODY, "sub", "grad.#")
        self.subscribed(1)
        pub = self.start(NOBODY, "pub", "grad.w")
        pub.stdin.write("x\n")
        pub.stdin.flush()
        self.assertEqual(sub.stdout.readline(), "x\n")
        # A mistake takes nothing away.
        self.write_config(RED + BLUE.replace("user:65534", "user:no-such-user"))
        self.assertEqual(self.cli(0, "reload")[0], 1)
        pub.stdin.write("y\n")
        pub.stdin.flush()
        self.assertEqual(sub.stdout.readline(), "y\n")
        self.reload(RED + BLUE.replace("grad.#", "weights.#"))
        self.assertEqual(sub.wait(LIMIT_S), 5)
        self.assertIn("rule 'blue' is for 'weights.#'", sub.stderr.read())
        pub.stdin.write("z\n" * 4)
        pub.stdin.close()
        self.assertEqual(pub.wait(LIMIT_S), 3)
        self.assertIn("not permitted to publish 'grad.w'", pub.stderr.read())
        # And by SIGHUP the rest.
        sub = self.start(NOBODY, "sub", "weights.#")
        self.subscribed(1)
        self.write_config(RED)
        self.daemon.send_signal(signal.SIGHUP)
        sub.wait(LIMIT_S)
        self.assertIn("no rule lets uid 65534", sub.stderr.read())


if __name__ == "__main__":
    unittest.main()
