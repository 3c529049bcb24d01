#!/usr/bin/env python3
"""The commands that an installation needs: init, run, bundle, completion, man.

    host_commands_test.py PENSTOCK PENSTOCKD
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest

LIMIT_S = 60


class HostCommandsTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="penstock-host-", dir="/tmp")
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name)
        self.config = self.path / "etc/node.toml"
        self.socket = self.path / "run/p.sock"

    def run_cli(self, *arguments, expect=0, **options):
        done = subprocess.run([PENSTOCK, *map(str, arguments)], text=True, capture_output=True, timeout=LIMIT_S,
                              cwd=self.path, **options)
        self.assertEqual(done.returncode, expect, done.stderr)
        return done.stdout if expect == 0 else done.stderr

    def init(self, *more, **options):
        return self.run_cli("init", "--config", self.config, "--socket", self.socket, "--state-dir",
                            self.path / "state", "--id", 7, *more, **options)

    def start(self):
        node = subprocess.Popen([PENSTOCK, "run", "--config", self.config], stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL,
                                env={**os.environ, "PATH": f"{PENSTOCKD.parent}:{os.environ['PATH']}"})
        self.addCleanup(lambda: (node.kill(), node.wait()))
        end = time.monotonic() + LIMIT_S
        while subprocess.run([PENSTOCK, "--socket", self.socket, "show", "node"], capture_output=True,
                             timeout=LIMIT_S).returncode:
            self.assertIsNone(node.poll())
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)
        return node

    def test_init_makes_what_run_runs(self):
        self.init()
        self.assertEqual(self.run_cli("config", "check", self.config), f"{self.config}: ok\n")
        self.assertTrue((self.path / "state").is_dir() and (self.path / "run").is_dir())
        node = self.start()
        self.assertEqual(os.readlink(f"/proc/{node.pid}/exe"), str(PENSTOCKD))
        answer = json.loads(self.run_cli("--socket", self.socket, "--json", "show", "node"))
        self.assertEqual(answer["id"], 7)

    def test_init_replaces_a_config_only_by_force(self):
        self.config.parent.mkdir()
        self.config.write_text("mine")
        self.assertIn("is there already; --force replaces it", self.init(expect=1))
        self.assertEqual(self.config.read_text(), "mine")
        self.init("--force")
        self.assertIn("id = 7", self.config.read_text())

    def test_init_only_says_what_it_would_do(self):
        answer = json.loads(self.init("--dry-run", "--json"))
        self.assertEqual(list(self.path.iterdir()), [])
        self.assertEqual(answer["text"], self.init("--dry-run"))
        self.assertEqual(answer["directories"], [str(self.path / d) for d in ("etc", "run", "state")])
        self.assertGreater(answer["host"]["cores"], 0)

    def test_run_takes_the_daemon_beside_it_first(self):
        shutil.copy(PENSTOCK, self.path / "penstock")
        for folder, word in ((self.path, "beside"), (self.path / "bin", "in PATH")):
            folder.mkdir(exist_ok=True)
            (folder / "penstockd").write_text(f"#!/bin/sh\necho {word}: $*\n")
            (folder / "penstockd").chmod(0o755)
        done = subprocess.run([self.path / "penstock", "run", "-c", "x.toml"], text=True, capture_output=True,
                              timeout=LIMIT_S, env={"PATH": f"{self.path}/bin:/usr/bin:/bin"})
        self.assertEqual(done.stdout, "beside: --config x.toml\n")

    def test_run_says_when_there_is_no_daemon(self):
        self.assertIn("neither beside penstock nor in PATH", self.run_cli("run", expect=1, env={"PATH": "/nowhere"}))

    def contents(self, archive):
        with tarfile.open(archive) as tar:
            return {m.name.partition("/")[2]: tar.extractfile(m).read().decode() for m in tar if m.isfile()}

    def test_bundle_holds_the_tables_and_no_secret(self):
        self.init()
        secret = self.path / "password"
        secret.write_text("hunter2\n")
        with self.config.open("a") as config:
            config.write("# the old one was hunter2\n")
        self.config.write_text(self.config.read_text().replace(
            '# password_file = "/etc/penstock/etcd-password"', f'user = "u"\npassword_file = "{secret}"'))
        self.start()
        archive = self.path / "b.tar.gz"
        said = json.loads(self.run_cli("--socket", self.socket, "bundle", "--config", self.config, "--output", archive,
                                       "--json"))
        self.assertEqual(said["archive"], str(archive))
        self.assertEqual(archive.stat().st_mode & 0o777, 0o600)
        parts = self.contents(archive)
        self.assertEqual(json.loads(parts["show/node.json"])["id"], 7)
        self.assertIn(f'password_file = "{secret}"', parts["config.toml"])
        self.assertFalse([name for name, text in parts.items() if "hunter2" in text])
        for name in ("lanes", "links", "ports", "clients", "drops", "topology"):
            json.loads(parts[f"show/{name}.json"])
        self.assertIn("<topology", parts["topology.xml"])
        self.assertIn("MemTotal", parts["memory.txt"])
        # What it says is what there is.
        self.assertEqual({p["name"] for p in said["parts"] if "what" in p}, set(parts))
        self.assertEqual(sorted(p.name for p in self.path.iterdir()), ["b.tar.gz", "etc", "password", "run", "state"])

    def test_bundle_does_without_a_node_and_without_a_config(self):
        said = self.run_cli("--socket", self.path / "none", "bundle", "--config", "/nowhere")
        (archive,) = self.path.glob("penstock-bundle-*.tar.gz")
        self.assertIn(str(archive), said)
        self.assertRegex(said, r"show/ +not there: ")
        parts = self.contents(archive)
        self.assertNotIn("show/node.json", parts)
        self.assertIn("/nowhere", parts["config-faults.txt"])
        self.assertIn("cannot be written", self.run_cli("bundle", "-o", "/nowhere/b.tar.gz", expect=1))

    def test_bundle_has_the_journal_or_says_why_not(self):
        programs = self.path / "bin"
        programs.mkdir()
        for name in ("tar", "gzip"):
            (programs / name).symlink_to(shutil.which(name))

        def bundle(journalctl):
            if journalctl:
                (programs / "journalctl").write_text(f"#!/bin/sh\n{journalctl}\n")
                (programs / "journalctl").chmod(0o755)
            archive = self.path / "b.tar.gz"
            self.run_cli("--socket", self.path / "none", "bundle", "--config", "/nowhere", "-o", archive,
                         env={**os.environ, "PATH": str(programs)})
            parts = self.contents(archive)
            return parts.get("journal.txt"), parts["CONTENTS"]

        self.assertRegex(bundle(None)[1], r"journal.txt +not there: there is no journalctl")
        nothing = bundle('echo "Hint: You are currently not seeing messages from the system."; echo "-- No entries --"')
        self.assertIsNone(nothing[0])
        self.assertRegex(nothing[1], r"journal.txt +not there: the journal has no line of penstockd .*as root")
        self.assertRegex(bundle("exit 3")[1], r"journal.txt +not there: journalctl fails with 3")
        text, contents = bundle('echo "$@"')
        self.assertIn("--unit=penstockd", text)
        self.assertIn("--lines=2000", text)
        self.assertRegex(contents, r"journal.txt +the last 2000 lines")

    def complete(self, *words):
        """What bash offers behind these words."""
        script = ('source <("$0" completion bash); COMP_WORDS=("$@"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _penstock; '
                  'printf "%s\\n" "${COMPREPLY[@]}"')
        done = subprocess.run(["bash", "-euc", script, PENSTOCK, "penstock", *words], text=True, capture_output=True,
                              timeout=LIMIT_S)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout.split()

    def test_bash_completes_commands_options_and_values(self):
        self.assertEqual(self.complete("topo"), ["topology"])
        self.assertEqual(self.complete("show", "l"), ["lanes", "links"])
        self.assertEqual(self.complete("config", "ch"), ["check"])
        self.assertEqual(self.complete("sub", "--pol"), ["--policy"])
        self.assertEqual(self.complete("sub", "--policy", "d"), ["disconnect", "drop_newest", "drop_oldest"])
        self.assertEqual(self.complete("sub", "--policy", "block", "--block"), ["--block-for"])
        self.assertEqual(self.complete("--socket", "/x", "completion", ""),
                         ["bash", "zsh", "fish", "--socket", "--json", "--api", "--ca", "--certificate", "--key", "--help"])
        for shell in ("zsh", "fish"):
            self.assertIn("--block-for" if shell == "zsh" else "-l block-for", self.run_cli("completion", shell))

    def test_man_pages_have_every_command_and_option_and_no_fault(self):
        pages = {name: self.run_cli("man", name) for name in ("penstock", "penstockd", "penstock.toml")}
        for command in self.complete(""):
            if not command.startswith("-") and command != "config":
                self.assertRegex(pages["penstock"], rf"\n\.SS {command}\b")
        self.assertIn(".SS config check file", pages["penstock"])
        self.assertIn("--topology", pages["penstockd"].replace("\\-", "-"))
        for line in self.run_cli("config", "example").splitlines():
            if " = " in line:
                self.assertIn(f"\n.B {line.split(' = ')[0].lstrip('# ')}\n", pages["penstock.toml"].replace("\\-", "-"))
        if shutil.which("groff") is None:
            self.skipTest("needs groff")
        for name, page in pages.items():
            done = subprocess.run(["groff", "-ww", "-man", "-Tutf8"], input=page, text=True, capture_output=True,
                                  timeout=LIMIT_S)
            self.assertEqual((done.returncode, done.stderr), (0, ""), name)


if __name__ == "__main__":
    PENSTOCKD = pathlib.Path(sys.argv.pop(2)).resolve()
    PENSTOCK = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
