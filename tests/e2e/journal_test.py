#!/usr/bin/env python3
"""What the journal of systemd gets from a true daemon: lines and events, with fields.

    journal_test.py BUILD

It plays the journal itself, on a /run of its own.
"""
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
LIMIT_S = 60


def fields(datagram):
    """The entry as a dictionary; none of ours has a line feed in a value."""
    return dict(line.split("=", 1) for line in datagram.decode().splitlines())


class JournalTest(unittest.TestCase):
    def test_gets_lines_and_events(self):
        journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(journal.close)
        os.makedirs("/run/systemd/journal")
        journal.bind("/run/systemd/journal/socket")
        journal.settimeout(LIMIT_S)
        with tempfile.TemporaryDirectory(prefix="penstock-journal-", dir="/tmp") as folder:
            config = pathlib.Path(folder) / "c.toml"
            good = (f'[node]\nid = 1\nname = "a"\nsocket = "{folder}/s"\nstate_dir = "{folder}/state"\n'
                    f'[log]\nformat = "journald"\n')
            config.write_text(good)
            daemon = subprocess.Popen([BUILD / "control/daemon/penstockd", "--config", config],
                                      stderr=subprocess.PIPE, text=True)
            self.addCleanup(lambda: (daemon.kill(), daemon.communicate()))

            def wait_for(**wanted):
                while True:
                    entry = fields(journal.recv(1 << 16))
                    self.assertEqual(entry["SYSLOG_IDENTIFIER"], "penstockd")
                    if all(entry.get(k) == v for k, v in wanted.items()):
                        return entry

            while not wait_for(PRIORITY="6")["MESSAGE"].startswith("node 1 (a), epoch 1"):
                pass  # what it says before: that there is no RDMA device
            config.write_text(good + "lvl = 1\n")
            daemon.send_signal(signal.SIGHUP)
            raised = wait_for(PENSTOCK_EVENT="config_refused")
            self.assertEqual((raised["PENSTOCK_CHANGE"], raised["PRIORITY"]), ("raised", "3"))
            self.assertEqual(raised["PENSTOCK_SUBJECT"], str(config))
            self.assertEqual(raised["PENSTOCK_SUPPRESSED"], "0")
            config.write_text(good)
            daemon.send_signal(signal.SIGHUP)
            cleared = wait_for(PENSTOCK_EVENT="config_refused")
            self.assertEqual((cleared["PENSTOCK_CHANGE"], cleared["PRIORITY"]), ("cleared", "6"))
            self.assertEqual(int(cleared["PENSTOCK_NUMBER"]), int(raised["PENSTOCK_NUMBER"]) + 1)
            daemon.send_signal(signal.SIGTERM)
            wait_for(MESSAGE="stopped")
            self.assertEqual(daemon.communicate(timeout=LIMIT_S)[1], "penstockd: ready\n")
            self.assertEqual(daemon.returncode, 0)


if __name__ == "__main__":
    if "PENSTOCK_OWN_RUN" not in os.environ:
        os.environ["PENSTOCK_OWN_RUN"] = "1"
        os.execvp("unshare", ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /run && exec "$0" "$@"',
                              sys.executable, __file__, str(BUILD), *sys.argv[1:]])
    unittest.main()
