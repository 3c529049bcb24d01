#!/usr/bin/env python3
"""The bed itself: what a run hands back, and what it leaves behind when something goes wrong.

    bed_test.py RUN
"""
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import unittest
import uuid

RUN = pathlib.Path(sys.argv.pop(1)).resolve()
sys.dont_write_bytecode = True
sys.path.insert(0, str(RUN.parent))
import kernel  # noqa: E402
import machines  # noqa: E402

LIMIT_S = 400
QEMU = "qemu-system-x86_64"


class BedTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="penstock-bed-", dir="/tmp")
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name)
        # Whatever a run starts bears this mark.
        self.mark = f"PENSTOCK_BED_TEST={uuid.uuid4()}"

    def start(self, *arguments, path=None):
        name, value = self.mark.split("=")
        environment = {**os.environ, name: value, "PATH": path or os.environ["PATH"]}
        process = subprocess.Popen([sys.executable, RUN, *map(str, arguments)], text=True, start_new_session=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
        self.addCleanup(lambda: (process.kill(), process.communicate()))
        return process

    def run_in_vm(self, *arguments, path=None):
        process = self.start(*arguments, path=path)
        out, err = process.communicate(timeout=LIMIT_S)
        return process.returncode, out, err

    def marked(self):
        found = []
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found.append((entry / "cmdline").read_bytes().split(b"\0"))
            except OSError:
                pass  # it ended while we looked
        return found

    def own_path(self, programs):
        """A PATH with these programs, as the text of shell scripts, before the others."""
        for name, text in programs.items():
            (self.path / name).write_text(f"#!/bin/sh\n{text}\n")
            (self.path / name).chmod(0o755)
        return f"{self.path}:{os.environ['PATH']}"

    def test_output_files_and_exit_status_come_back_and_nothing_is_written_here(self):
        kept = self.path / "kept"
        (self.path / "input").write_text("of the host\n")
        code, out, err = self.run_in_vm(
            "--keep", kept, "--env", "WORD=two words", "--", "bash", "-c",
            f"cat {self.path}/input; echo $WORD; echo x >{self.path}/input; echo from there >/run/vm/left; exit 41")
        self.assertEqual((code, out), (41, "of the host\ntwo words\n"), err)
        self.assertEqual((self.path / "input").read_text(), "of the host\n")
        self.assertEqual((kept / "left").read_text(), "from there\n")

    def test_an_interrupted_run_leaves_no_machine_and_no_folder(self):
        process = self.start("--", "bash", "-c", "echo here; sleep 1000")
        self.assertEqual(process.stdout.readline(), "here\n")
        words = b" ".join(word for words in self.marked() if b"qemu" in words[0] for word in words)
        folder = pathlib.Path(re.search(rb"/tmp/penstock-vm-\w+", words)[0].decode())
        self.assertTrue(folder.exists())
        os.kill(process.pid, signal.SIGINT)
        process.communicate(timeout=LIMIT_S)
        self.assertEqual(process.returncode, 130)
        self.assertEqual(self.marked(), [])
        self.assertFalse(folder.exists())

    def test_a_command_without_end_is_stopped_and_not_tried_again(self):
        code, _, err = self.run_in_vm("--limit", 1, "--", "sleep", "1000")
        self.assertEqual(code, 124, err)
        self.assertTrue(err.endswith("tests/vm/run: the command did not end within 1.0 s\n"), err)

    def test_a_machine_that_fails_is_tried_twice_and_shown(self):
        path = self.own_path({QEMU: f"echo no such machine >&2; echo started >>{self.path}/starts; exit 3"})
        code, _, err = self.run_in_vm("--", "true", path=path)
        self.assertEqual(code, 125)
        self.assertEqual((self.path / "starts").read_text(), "started\n" * 2)
        self.assertIn("machine 0 ended by itself (QEMU: 3), before the command; its last words:\n    no such machine", err)
        self.assertEqual(err.count("once more"), 1)

    def test_a_host_without_qemu_is_told_what_to_do(self):
        self.assertEqual(self.run_in_vm("--or-skip", "--", "true", path=str(self.path)),
                         (77, "needs qemu-system-x86_64: apt-get install qemu-system-x86\n", ""))

    def test_a_host_without_the_kernel_is_told_what_to_do(self):
        path = self.own_path({QEMU: "exit 3", "apt-cache": "exit 0", "apt-get": "exit 0"})
        os.environ["PENSTOCK_VM_CACHE"] = str(self.path / "empty")
        self.addCleanup(os.environ.pop, "PENSTOCK_VM_CACHE")
        code, out, err = self.run_in_vm("--or-skip", "--", "true", path=path)
        self.assertEqual(code, 77, err)
        self.assertTrue(out.splitlines()[-1].startswith("needs Debian's linux-image-amd64, and "), out)
        code, _, err = self.run_in_vm("--", "true", path=path)
        self.assertEqual(code, 125)
        self.assertIn("apt-get update", err)


if __name__ == "__main__":
    try:
        machines.qemu()
        kernel.kernel(kernel.PACKAGE)
    except kernel.Missing as missing:
        print(missing)
        sys.exit(77)
    unittest.main()
