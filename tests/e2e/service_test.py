#!/usr/bin/env python3
"""What the service manager hears of a true daemon, and that the unit files are right.

    service_test.py BUILD
"""
import ctypes
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
LIMIT_S = 60
SILENCE_S = 2  # of a watchdog that is fed every third of a second
PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17
SYSTEMD = ROOT / "deploy/systemd"


class NotifyTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="penstock-service-", dir="/tmp")
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name)
        self.config = self.path / "node.toml"
        self.config.write_text(f'[node]\nid = 1\nsocket = "{self.path}/node.sock"\nstate_dir = "{self.path}/state"\n'
                               '[memory]\nhugepages = "never"\n')
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.manager.close)
        self.manager.bind(f"{self.path}/notify")
        self.manager.settimeout(LIMIT_S)
        # systemd would name the daemon in WATCHDOG_PID; without it the interval is for whoever reads it.
        self.log = open(self.path / "log", "w")
        self.addCleanup(self.log.close)
        self.daemon = subprocess.Popen(
            [BUILD / "control/daemon/penstockd", "--config", self.config], stdout=self.log, stderr=self.log,
            env={**os.environ, "NOTIFY_SOCKET": f"{self.path}/notify", "WATCHDOG_USEC": "1000000"})
        self.addCleanup(lambda: (self.daemon.kill(), self.daemon.wait()))

    def heard(self):
        return self.manager.recv(4096).decode().splitlines()

    def wait_for(self, word):
        while True:
            lines = self.heard()
            if word in lines:
                return lines

    def is_silent(self):
        """Nothing more comes, after what had been on its way."""
        self.manager.settimeout(SILENCE_S)
        try:
            for _ in range(20):
                self.heard()
            return False
        except TimeoutError:
            return True
        finally:
            self.manager.settimeout(LIMIT_S)

    def ptrace(self, request, thread):
        libc = ctypes.CDLL(None, use_errno=True)
        libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        if libc.ptrace(request, thread, None, None) != 0:
            raise OSError(ctypes.get_errno(), "ptrace")

    def worker(self):
        for task in pathlib.Path(f"/proc/{self.daemon.pid}/task").iterdir():
            if (task / "comm").read_text().strip() == "worker0":
                return int(task.name)
        self.fail("the daemon has no thread worker0")

    def test_says_ready_reloading_and_stopping(self):
        self.assertIn("STATUS=node 1, 1 worker(s), 0 port(s)", self.wait_for("READY=1"))
        self.daemon.send_signal(signal.SIGHUP)
        self.wait_for("RELOADING=1")
        self.wait_for("READY=1")
        self.daemon.send_signal(signal.SIGTERM)
        self.wait_for("STOPPING=1")
        self.assertEqual(self.daemon.wait(LIMIT_S), 0)

    def test_the_watchdog_is_fed_only_while_the_worker_turns(self):
        self.wait_for("READY=1")
        for _ in range(3):
            self.wait_for("WATCHDOG=1")
        worker = self.worker()
        self.ptrace(PTRACE_SEIZE, worker)
        self.ptrace(PTRACE_INTERRUPT, worker)
        self.assertEqual(os.waitpid(worker, 0x40000000)[0], worker)  # __WALL: a thread
        self.assertTrue(self.is_silent())
        self.ptrace(PTRACE_DETACH, worker)
        self.wait_for("WATCHDOG=1")


class UnitsTest(unittest.TestCase):
    def test_systemd_finds_no_fault(self):
        if shutil.which("systemd-analyze") is None:
            self.skipTest("needs systemd-analyze")
        with tempfile.TemporaryDirectory(prefix="penstock-units-", dir="/tmp") as folder:
            units = []
            for unit in SYSTEMD.glob("*.service"):
                # The programs stand where they are installed; here they are those of the tree.
                text = unit.read_text().replace("/usr/bin/penstockd", str(BUILD / "control/daemon/penstockd"))
                text = text.replace("/usr/lib/penstock/setup", str(SYSTEMD / "setup"))
                text = text.replace("Documentation=man:penstockd(8) man:penstock.toml(5)\n", "")
                units.append(pathlib.Path(folder, unit.name))
                units[-1].write_text(text)
            self.assertGreaterEqual(len(units), 2)
            verified = subprocess.run(["systemd-analyze", "verify", "--recursive-errors=no", *units], text=True, timeout=LIMIT_S,
                                      capture_output=True)
            self.assertEqual((verified.returncode, verified.stderr), (0, ""))

    def setup(self, path, expect, **settings):
        done = subprocess.run([SYSTEMD / "setup"], text=True, capture_output=True, timeout=LIMIT_S,
                              env={"PATH": f"{path}/bin:{os.environ['PATH']}", "SYS": str(path / "sys"), **settings})
        self.assertEqual(done.returncode, expect, done.stderr)
        return done.stderr

    def host(self):
        """A /sys with two NICs, and programs that write down how they were called."""
        folder = tempfile.TemporaryDirectory(prefix="penstock-setup-", dir="/tmp")
        self.addCleanup(folder.cleanup)
        path = pathlib.Path(folder.name)
        pages = path / "sys/kernel/mm/hugepages/hugepages-2048kB"
        pages.mkdir(parents=True)
        (pages / "nr_hugepages").write_text("16\n")
        for nic, interface in (("0000:03:00.0", "net/free0"), ("0000:04:00.0", "virtio0/net/used0")):
            (path / "sys/bus/pci/devices" / nic / interface).mkdir(parents=True)
            (path / "sys/bus/pci/devices" / nic / "driver").symlink_to("../../../../bus/pci/drivers/ice")
        (path / "bin").mkdir()
        for name, body in (("driverctl", f'echo "driverctl $*" >> {path}/calls'),
                           ("modprobe", f'echo "modprobe $*" >> {path}/calls'),
                           ("ip", 'case "$*" in *used0*) echo "2: used0 inet 10.0.0.5/24" ;; esac')):
            program = path / "bin" / name
            program.write_text(f"#!/bin/sh\n{body}\n")
            program.chmod(0o755)
        (path / "calls").write_text("")
        return path, pages / "nr_hugepages"

    def test_setup_makes_huge_pages_and_never_takes_some_away(self):
        path, pages = self.host()
        self.setup(path, 0, HUGEPAGES_2M="8")
        self.assertEqual(pages.read_text(), "16\n")
        self.setup(path, 0, HUGEPAGES_2M="32")
        self.assertEqual(pages.read_text(), "32\n")
        self.assertIn("no huge pages of 1048576 kB", self.setup(path, 1, HUGEPAGES_1G="1"))
        self.assertIn("'many' is no number", self.setup(path, 1, HUGEPAGES_2M="many"))

    def test_setup_binds_a_nic_once_and_never_one_with_an_address(self):
        path, _ = self.host()
        self.setup(path, 0, NICS="0000:03:00.0")
        self.assertEqual((path / "calls").read_text(),
                         "modprobe vfio-pci\ndriverctl --nosave set-override 0000:03:00.0 vfio-pci\n")
        self.setup(path, 0, NICS="0000:03:00.0", NIC_DRIVER="ice")  # bound already
        self.assertEqual((path / "calls").read_text().count("driverctl"), 1)
        self.assertIn("used0, which has an IP address", self.setup(path, 1, NICS="0000:04:00.0"))
        (path / "sys/bus/pci/devices/0000:03:00.0/net/free0/master").touch()
        self.assertIn("bond or bridge", self.setup(path, 1, NICS="0000:03:00.0"))
        self.assertEqual((path / "calls").read_text().count("driverctl"), 1)
        self.assertIn("no PCI device 0000:09:00.0", self.setup(path, 1, NICS="0000:09:00.0"))


if __name__ == "__main__":
    unittest.main()
