#!/usr/bin/env python3
"""The README's publisher and subscriber compile and do what it says. BUILD as in job_test.py.

    readme_test.py BUILD
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
LIMIT_S = 60


class ReadmeTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="penstock-readme-", dir="/tmp")
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name)
        self.environment = {**os.environ, "PENSTOCK_SOCKET": f"{self.path}/node.sock",
                            "LD_LIBRARY_PATH": str(BUILD / "dataplane/client")}

    def start(self, *command):
        process = subprocess.Popen([str(c) for c in command], env=self.environment, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(lambda: (process.kill(), process.communicate()))
        return process

    def start_node(self):
        config = self.path / "node.toml"
        config.write_text(f'[node]\nid = 1\nsocket = "{self.path}/node.sock"\nstate_dir = "{self.path}/state"\n')
        self.start(BUILD / "control/daemon/penstockd", "--config", config)
        self.wait_until(lambda: self.ask("show", "node"))

    def ask(self, *question):
        return subprocess.run([BUILD / "control/cli/penstock", "--json", *question], env=self.environment,
                              capture_output=True, text=True, timeout=LIMIT_S).stdout

    def wait_until(self, is_so):
        end = time.monotonic() + LIMIT_S
        while not is_so():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)

    def compile(self, name, code):
        source = self.path / f"{name}.cc"
        source.write_text(code)
        subprocess.run(["c++", "-std=c++20", "-Wall", "-Wextra", "-Werror", "-I", ROOT / "dataplane/client", source,
                        "-L", BUILD / "dataplane/client", "-lpenstock", "-o", self.path / name], check=True)
        return self.path / name

    def test_publisher_and_subscriber(self):
        publisher, subscriber = re.findall(r"```cpp\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
        publisher, subscriber = self.compile("publisher", publisher), self.compile("subscriber", subscriber)
        self.start_node()
        # As a pipe the subscriber's output would wait in its buffer: a terminal's is written by line.
        reader = self.start("stdbuf", "-oL", subscriber)
        self.wait_until(lambda: "weights.#" in self.ask("show", "clients"))
        self.assertEqual(self.start(publisher).wait(LIMIT_S), 0)
        self.assertEqual(reader.stdout.readline(), "weights.hidden: 12 bytes\n")


if __name__ == "__main__":
    unittest.main()
