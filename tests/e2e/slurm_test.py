#!/usr/bin/env python3
"""Slurm's prolog and epilog with true daemons: a job of two hosts, both of them this one, told by Slurm's variables.

    slurm_test.py BUILD
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
SLURM = ROOT / "deploy/slurm"
LIMIT_S = 60
JOB = "4711"


@unittest.skipUnless(os.geteuid() == 0, "needs root, as slurmd has")
class SlurmTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="penstock-slurm-", dir="/tmp")
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name)
        self.path.chmod(0o755)
        self.calls = self.path / "bin"
        self.calls.mkdir()
        self.program("scontrol", 'test "$*" = "show hostnames n[1-2]" && printf "n1\\nn2\\n"')
        # The first line of an answer counts.
        self.program("getent", 'case "$2" in n[12]-fabric) n=${2#n}; echo "10.78.0.${n%-fabric} STREAM"; echo "10.9.9.9 DGRAM" ;; '
                               '*) exit 2 ;; esac')
        self.more = self.path / "more.toml"
        self.more.write_text('[memory]\nhugepages = "never"\n[link]\ndead_after = "2s"\n')
        self.settings = self.path / "slurm.conf"
        self.write_settings()

    def program(self, name, body):
        (self.calls / name).write_text(f"#!/bin/sh\n{body}\n")
        (self.calls / name).chmod(0o755)

    def write_settings(self, more=""):
        # Both ends of a virtual cable.
        self.settings.write_text(
            'FABRIC_SUFFIX=-fabric\nFABRIC_BITS=24\n'
            f'case $SLURMD_NODENAME in n1) end=vhost ;; *) end=virtio-user ;; esac\n'
            f'PORT_DEVICE="$end:{self.path}/cable.sock"\nMORE_CONFIG={self.more}\n{more}')

    def environment(self, host, job=JOB):
        tools = [self.calls, BUILD / "control/cli", BUILD / "control/daemon"]
        return {"PATH": ":".join(map(str, tools)) + ":" + os.environ["PATH"],
                "PENSTOCK_SLURM_CONF": str(self.settings), "PENSTOCK_RUN": str(self.path / host),
                "SLURM_JOB_ID": job, "SLURM_JOB_UID": "65534", "SLURM_NODELIST": "n[1-2]", "SLURMD_NODENAME": host}

    def script(self, name, host, expect=0, **environment):
        done = subprocess.run([SLURM / name], env={**self.environment(host), **environment}, text=True, timeout=LIMIT_S,
                              capture_output=True)
        self.assertEqual(done.returncode, expect, done.stderr)
        return done.stdout if expect == 0 else done.stderr

    def prolog(self, host):
        self.script("prolog", host)
        self.addCleanup(self.script, "epilog", host)
        return int((self.path / host / f".{JOB}/pid").read_text())

    def socket(self, host):
        """Where task-prolog says that the job's programs attach."""
        name, _, value = self.script("task-prolog", host).strip().partition("=")
        self.assertEqual(name, "export PENSTOCK_SOCKET")
        return value

    def cli(self, host, *arguments, **options):
        return subprocess.run([BUILD / "control/cli/penstock", *arguments], text=True, timeout=LIMIT_S,
                              env={**os.environ, "PENSTOCK_SOCKET": self.socket(host)}, capture_output=True,
                              **options).stdout

    def wait_until(self, is_so):
        end = time.monotonic() + LIMIT_S
        while not is_so():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)

    def test_a_job_has_its_nodes_and_leaves_nothing(self):
        huge_before = sorted(p.name for p in pathlib.Path("/dev/hugepages").glob("*"))
        daemons = [self.prolog(host) for host in ("n1", "n2")]
        sub = subprocess.Popen([BUILD / "control/cli/penstock", "sub", "a.#", "-n", "1"], text=True,
                               env={**os.environ, "PENSTOCK_SOCKET": self.socket("n2")}, stdout=subprocess.PIPE)
        self.addCleanup(lambda: (sub.kill(), sub.communicate()))
        self.wait_until(lambda: "a.#" in self.cli("n2", "show", "clients"))
        self.wait_until(lambda: self.cli("n1", "pub", "a.b", input="over the cable\n") is not None and sub.poll() is not None)
        self.assertIn("over the cable", sub.stdout.read())
        for host in ("n1", "n2"):
            self.script("epilog", host)
            self.assertEqual(list((self.path / host).iterdir()), [])
        for daemon in daemons:
            self.assertFalse(pathlib.Path(f"/proc/{daemon}").exists() and
                             b"penstockd" in pathlib.Path(f"/proc/{daemon}/cmdline").read_bytes())
        self.assertEqual(sorted(p.name for p in pathlib.Path("/dev/hugepages").glob("*")), huge_before)
        self.script("epilog", "n1")  # once more does no harm

    def test_only_the_user_of_the_job_may_attach(self):
        self.prolog("n1")
        for folder in (f"n1/{JOB}", f"n1/.{JOB}"):  # nothing of the job's user that root writes to
            found = (self.path / folder).stat()
            self.assertEqual(found.st_mode & 0o022, 0)
            self.assertNotEqual(found.st_uid, 65534)
        show = [shutil.which("setpriv"), "--clear-groups", "--regid", "65534", BUILD / "control/cli/penstock", "--socket",
                self.socket("n1"), "show", "node"]
        for user, code in (("65534", 0), ("65533", 1)):
            done = subprocess.run([*show[:1], "--reuid", user, *show[1:]], text=True, capture_output=True, timeout=LIMIT_S)
            self.assertEqual(done.returncode, code, done.stderr)

    def test_a_prolog_that_fails_says_why_and_leaves_nothing(self):
        self.write_settings('FABRIC_SUFFIX=-nowhere\n')
        self.assertIn("n2-nowhere has no address", self.script("prolog", "n1", 1))
        self.write_settings('FABRIC_BITS=99\n')
        self.assertIn("config is wrong", self.script("prolog", "n1", 1))
        self.script("epilog", "n1")
        self.write_settings(f'PORT_DEVICE="af_packet:nosuch0"\n')
        self.assertIn("penstockd does not start", self.script("prolog", "n1", 1))
        self.assertEqual(list((self.path / "n1").iterdir()), [])
        self.assertIn("n9 is not in the job's list", self.script("prolog", "n9", 1))
        self.assertIn("SLURM_JOB_ID is no number", self.script("epilog", "n1", 1, SLURM_JOB_ID="../x"))


if __name__ == "__main__":
    unittest.main()
