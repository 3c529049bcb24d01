#!/usr/bin/env python3
"""What deploy/ says of the programs is so: scripts and units.

    deploy_test.py BUILD
"""
import configparser
import pathlib
import shutil
import subprocess
import unittest

from deploy_tree import DEPLOY, LIMIT_S, defaults, text


class ScriptsTest(unittest.TestCase):
    def test_shellcheck_finds_no_fault(self):
        if shutil.which("shellcheck") is None:
            self.skipTest("needs shellcheck")
        scripts = ["systemd/setup", "slurm/prolog", "slurm/epilog", "slurm/task-prolog", "slurm/job.sh",
                   "package", "package_test", "debian/penstock.postinst", "debian/penstock.postrm"]
        done = subprocess.run(["shellcheck", "-x", "-P", "SCRIPTDIR", *scripts], cwd=DEPLOY, text=True, capture_output=True,
                              timeout=LIMIT_S)
        self.assertEqual((done.returncode, done.stdout), (0, ""))


class UnitTest(unittest.TestCase):
    def test_the_folders_are_those_of_the_config(self):
        unit = configparser.RawConfigParser(strict=False)
        unit.optionxform = str
        unit.read_string(text("systemd/penstockd.service"))
        service, node = unit["Service"], defaults()["node"]
        self.assertEqual(f"/run/{service['RuntimeDirectory']}", str(pathlib.Path(node["socket"]).parent))
        self.assertEqual(f"/var/lib/{service['StateDirectory']}", node["state_dir"])
        self.assertIn(f"u {service['User']} ", text("systemd/penstock.sysusers"))


if __name__ == "__main__":
    unittest.main()
