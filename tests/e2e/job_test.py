#!/usr/bin/env python3
"""The main job as a user meets it: real daemons, real programs, a short run. BUILD is the folder
that the programs were built in.

    job_test.py BUILD TEST...
"""
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import unittest
import uuid

MAIN = pathlib.Path(__file__).resolve().parents[2] / "deploy/job/main.py"
BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
LIMIT_S = 300  # against hanging; a job without progress ends itself long before


def needs_root():
    return unittest.skipUnless(os.geteuid() == 0, "needs root for a veth pair")


class Job:
    """A run of the job, and every process that came of it, however distant."""

    def __init__(self, *arguments):
        self._mark = f"PENSTOCK_JOB_TEST={uuid.uuid4()}"
        name, value = self._mark.split("=")
        self.process = subprocess.Popen(
            [sys.executable, MAIN, "--programs", BUILD, "--json", *arguments], text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, name: value})

    def processes(self):
        """{pid: command line} of all that bear our mark."""
        found = {}
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if self._mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().decode().split("\0")
            except OSError:
                pass  # it ended while we looked
        return found

    def folders(self):
        return {pathlib.Path(word).parent for words in self.processes().values() for word in words
                if word.startswith("/tmp/penstock-")}

    def pid_of(self, *words):
        """The process whose command line has these words, once there is one."""
        end = time.monotonic() + LIMIT_S
        while time.monotonic() < end:
            for pid, command in self.processes().items():
                if all(any(word in part for part in command) for word in words) and pid != self.process.pid:
                    return pid
            time.sleep(0.02)
        raise AssertionError(f"no process {words}")

    def wait_for_progress(self):
        return json.loads(self.process.stdout.readline())

    def end(self):
        """(exit code, the last line as JSON, standard error)."""
        out, err = self.process.communicate(timeout=LIMIT_S)
        return self.process.returncode, json.loads(out.splitlines()[-1]), err


class JobTest(unittest.TestCase):
    def assert_nothing_left(self, job, folders):
        self.assertEqual(job.processes(), {})
        for folder in folders:
            self.assertFalse(folder.exists(), folder)

    def assert_good(self, *arguments):
        job = Job("--steps", "600", *arguments)
        code, last, err = job.end()
        self.assertEqual((code, last["ok"]), (0, True), err)
        self.assertGreaterEqual(last["accuracy"], 0.95)
        self.assertTrue(last["weights_identical"])
        self.assertEqual((last["lost"], last["unaccounted"], last["in_flight"]), (0, 0, 0))
        self.assert_nothing_left(job, [])
        return last

    def test_vhost_learns_and_accounts_for_everything(self):
        self.assert_good()

    def test_memif_learns_and_accounts_for_everything(self):
        self.assert_good("--port", "memif")

    @needs_root()
    def test_af_packet_learns_and_accounts_for_everything(self):
        self.assert_good("--port", "af_packet")

    @needs_root()
    def test_af_xdp_learns_and_accounts_for_everything(self):
        self.assert_good("--port", "af_xdp")

    def test_etcd_loses_its_leader_and_nobody_notices(self):
        last = self.assert_good("--store", "etcd")
        self.assertTrue(300 <= last["leader_killed_at_step"] <= 600, last)
        self.assertEqual(last["members_lost"], 0)

    def stopped_by(self, number, *arguments):
        job = Job("--steps", "1000000", *arguments)
        job.wait_for_progress()
        folders = job.folders()
        self.assertTrue(folders)
        os.kill(job.process.pid, number)
        code, last, err = job.end()
        self.assertEqual(code, 128 + number, err)
        self.assertIn("interrupted", last["error"])
        self.assert_nothing_left(job, folders)

    def test_leaves_nothing_when_interrupted(self):
        self.stopped_by(signal.SIGINT)

    def test_leaves_no_etcd_when_interrupted(self):
        self.stopped_by(signal.SIGINT, "--store", "etcd")

    @needs_root()
    def test_leaves_no_namespace_when_terminated(self):
        self.stopped_by(signal.SIGTERM, "--port", "af_packet")

    def fails_when_killed(self, sentence, *words):
        job = Job("--steps", "1000000")
        job.wait_for_progress()
        folders = job.folders()
        os.kill(job.pid_of(*words), signal.SIGKILL)
        code, last, err = job.end()
        self.assertEqual(code, 1, err)
        self.assertIn(sentence, last["error"])
        self.assert_nothing_left(job, folders)

    def test_names_the_node_that_died(self):
        self.fails_when_killed("node B ended early (killed by SIGKILL)", "penstockd", "B.toml")

    def test_names_the_trainer_that_died(self):
        self.fails_when_killed("trainer 2 ended early (killed by SIGKILL)", "trainer", "trainer2")

    def test_is_all_gone_when_it_is_killed_itself(self):
        job = Job("--steps", "1000000")
        job.wait_for_progress()
        job.process.kill()
        job.process.communicate(timeout=LIMIT_S)
        end = time.monotonic() + LIMIT_S
        while job.processes() and time.monotonic() < end:
            time.sleep(0.05)
        self.assertEqual(job.processes(), {})

    def test_says_in_one_sentence_that_steps_make_no_sense(self):
        done = subprocess.run([sys.executable, MAIN, "--steps", "0"], capture_output=True, text=True, timeout=LIMIT_S)
        self.assertEqual(done.returncode, 2)
        self.assertIn("--steps: 1 to 1000000", done.stderr)


if __name__ == "__main__":
    unittest.main()
