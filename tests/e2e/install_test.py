#!/usr/bin/env python3
"""What is installed is enough for a program: the README's publisher, compiled by the README's command against the
installed headers and pkg-config file, publishes through the installed daemon.

    install_test.py BUILD    built; the files go to a folder of their own by DESTDIR
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
README = (ROOT / "README.md").read_text()


class InstallTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="penstock-install-", dir="/tmp")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.path = pathlib.Path(cls.folder.name)
        cls.root = cls.path / "root"
        subprocess.run(["meson", "install", "--no-rebuild", "--quiet", "-C", BUILD], check=True, timeout=LIMIT_S,
                       env={**os.environ, "DESTDIR": str(cls.root)}, stdout=subprocess.DEVNULL)
        library = cls.find("libpenstock.so")
        cls.environment = {**os.environ, "PENSTOCK_SOCKET": f"{cls.path}/node.sock",
                           "PKG_CONFIG_PATH": str(cls.find("penstock.pc").parent),
                           "PKG_CONFIG_SYSROOT_DIR": str(cls.root),
                           "LD_LIBRARY_PATH": str(library.parent)}

    @classmethod
    def find(cls, name):
        (found,) = cls.root.rglob(name)
        return found

    def run_here(self, command, **options):
        return subprocess.run(command, cwd=self.path, env=self.environment, text=True, timeout=LIMIT_S,
                              capture_output=True, **options)

    def start_node(self):
        config = self.path / "node.toml"
        config.write_text(f'[node]\nid = 1\nsocket = "{self.path}/node.sock"\nstate_dir = "{self.path}/state"\n')
        node = subprocess.Popen([self.find("penstockd"), "--config", config], env=self.environment,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(lambda: (node.kill(), node.wait()))
        end = time.monotonic() + LIMIT_S
        while self.run_here([self.find("penstockd").with_name("penstock"), "show", "node"]).returncode:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)

    def test_a_program_builds_and_publishes(self):
        (self.path / "publisher.cc").write_text(re.search(r"```cpp\n(.*?publisher.*?)```", README, re.DOTALL)[1])
        command = re.search(r"^    (c\+\+ .* -o publisher)$", README, re.MULTILINE)[1]
        compiled = self.run_here(command, shell=True)
        self.assertEqual(compiled.returncode, 0, compiled.stderr)
        self.start_node()
        published = self.run_here(["./publisher"])
        self.assertEqual((published.returncode, published.stdout), (0, ""))

    def test_the_library_is_found_by_its_soname(self):
        names = sorted(p.name for p in self.find("libpenstock.so").parent.glob("libpenstock.so*"))
        self.assertIn("libpenstock.so.0", names)

    def test_python_finds_the_package(self):
        package = self.find("_library.py").parent
        answer = subprocess.run([sys.executable, "-B", "-c", "import penstock; print(penstock.__file__)"], text=True,
                                env={**self.environment, "PYTHONPATH": str(package.parent)}, timeout=LIMIT_S,
                                capture_output=True)
        self.assertEqual(answer.stdout.strip(), str(package / "__init__.py"), answer.stderr)


if __name__ == "__main__":
    unittest.main()
