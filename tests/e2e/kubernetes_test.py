#!/usr/bin/env python3
"""The manifest for Kubernetes, read as Kubernetes and the node would.

    kubernetes_test.py BUILD
"""
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import tomllib
import time
import unittest
import urllib.error
import urllib.request

import yaml

from deploy_tree import BUILD, LIMIT_S, PENSTOCK, ROOT, defaults, text


class KubernetesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.objects = {o["kind"]: o for o in yaml.safe_load_all(text("kubernetes/penstock.yaml"))}
        cls.pod = cls.objects["DaemonSet"]["spec"]["template"]["spec"]
        (cls.init,), (cls.container,) = cls.pod["initContainers"], cls.pod["containers"]
        cls.data = cls.objects["ConfigMap"]["data"]

    def config_of(self, ip):
        """What init.sh makes of the ConfigMap on the host with this address."""
        with tempfile.TemporaryDirectory(prefix="penstock-kubernetes-", dir="/tmp") as folder:
            path = pathlib.Path(folder)
            (path / "penstock.toml").write_text(self.data["penstock.toml"])
            script = self.data["init.sh"].replace("/config/", f"{path}/").replace("/etc/penstock/", f"{path}/made-")
            script = re.sub(r"^chown .*\n", "", script, flags=re.MULTILINE)
            done = subprocess.run(["sh", "-c", script], text=True, capture_output=True, timeout=LIMIT_S,
                                  env={"PATH": f"{PENSTOCK.parent}:{os.environ['PATH']}", "HOST_IP": ip, "HOST_NAME": "gpu-7"})
            self.assertEqual(done.returncode, 0, done.stderr)
            return tomllib.loads((path / "made-penstock.toml").read_text())

    def test_every_host_gets_a_config_of_its_own_that_is_allowed(self):
        config = self.config_of("10.20.30.40")
        self.assertEqual(config["node"], {"id": (10 << 24) + (20 << 16) + (30 << 8) + 40, "name": "gpu-7"})
        self.assertEqual(config["port"][0]["address"], "10.1.30.40/16")
        self.assertNotEqual(self.config_of("10.20.30.41")["node"]["id"], config["node"]["id"])

    def test_the_probes_go_where_the_config_listens(self):
        (port,) = self.container["ports"]
        self.assertEqual(tomllib.loads(self.data["penstock.toml"].replace("@ID@", "1"))["metrics"]["listen"],
                         f"0.0.0.0:{port['containerPort']}")
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            self.assertEqual(self.container[probe]["httpGet"]["port"], port["name"])

    def test_the_probes_are_what_a_true_node_answers(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            at = "127.0.0.1:%d" % free.getsockname()[1]
        with tempfile.TemporaryDirectory(prefix="penstock-kubernetes-", dir="/tmp") as folder:
            config = pathlib.Path(folder, "node.toml")
            config.write_text(f'[node]\nid = 1\nsocket = "{folder}/s"\nstate_dir = "{folder}"\n[metrics]\nlisten = "{at}"\n')
            node = subprocess.Popen([BUILD / "control/daemon/penstockd", "--config", config], stderr=subprocess.DEVNULL)
            self.addCleanup(lambda: (node.kill(), node.wait()))
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                self.wait_for_200(f"http://{at}{self.container[probe]['httpGet']['path']}")

    def wait_for_200(self, url):
        end = time.monotonic() + LIMIT_S
        while True:
            try:
                with urllib.request.urlopen(url, timeout=LIMIT_S) as answer:
                    return self.assertEqual(answer.status, 200)
            except urllib.error.URLError as error:
                if getattr(error, "code", 503) != 503 or time.monotonic() > end:
                    raise
                time.sleep(0.1)

    def missing(self, given, kept, path=""):
        """What of the first is not in the second."""
        if isinstance(given, dict):
            for key, value in given.items():
                yield from self.missing(value, (kept or {}).get(key), f"{path}.{key}")
        elif isinstance(given, list):
            for number, value in enumerate(given):
                yield from self.missing(value, kept[number] if number < len(kept or []) else None, f"{path}[{number}]")
        elif given != kept:
            yield path

    def kubernetes_knows_every_field(self):
        """kubectl reads into its own types: what they do not have is lost on the way."""
        for name in (None, "readynessProbe"):
            if name:
                self.container[name] = {"periodSeconds": 1}
                self.addCleanup(self.container.pop, name)
            given = self.objects["DaemonSet"]
            read = subprocess.run(["kubectl", "set", "image", "--local", "-f", "-", "*=another", "-o", "json"],
                                  input=json.dumps(given), text=True, capture_output=True, timeout=LIMIT_S)
            self.assertEqual(read.returncode, 0, read.stderr)
            given = json.loads(json.dumps(given).replace(self.init["image"], "another"))
            lost = list(self.missing(given, json.loads(read.stdout)))
            self.assertEqual(lost, [f".spec.template.spec.containers[0].{name}.periodSeconds"] if name else [])

    if shutil.which("kubectl"):  # of Kubernetes, not of Debian
        test_kubernetes_knows_every_field = kubernetes_knows_every_field

    def test_huge_pages_are_asked_for_as_kubernetes_wants_it_and_hold_the_buffers(self):
        resources = self.container["resources"]
        self.assertEqual(resources["requests"], resources["limits"])
        self.assertEqual((resources["limits"]["hugepages-2Mi"], "cpu" in resources["limits"]), ("1Gi", True))
        self.assertIn('buffers = "512MiB"', self.data["penstock.toml"])

    def test_every_mount_has_its_volume_and_every_volume_its_mount(self):
        mounts = {m["name"] for c in (self.init, self.container) for m in c["volumeMounts"]}
        self.assertEqual(mounts, {v["name"] for v in self.pod["volumes"]})
        known = defaults()["node"]
        hosts = {v["hostPath"]["path"] for v in self.pod["volumes"] if "hostPath" in v}
        self.assertIn(str(pathlib.Path(known["socket"]).parent), hosts)
        paths = {m["mountPath"] for m in self.container["volumeMounts"]}
        self.assertLessEqual({str(pathlib.Path(known["socket"]).parent), known["state_dir"]}, paths)

    def test_the_image_is_of_this_version(self):
        version = re.search(r"version: '([^']+)'", (ROOT / "meson.build").read_text())[1]
        self.assertEqual({self.init["image"], self.container["image"]}, {f"penstock:{version}"})
        self.assertIn(f" -t penstock:{version} ", text("container/Containerfile"))

    def test_user_and_capabilities_are_those_of_the_image(self):
        file = text("container/Containerfile")
        user = self.container["securityContext"]
        self.assertEqual(re.search(r"^USER (\d+):", file, re.MULTILINE)[1], str(user["runAsUser"]))
        self.assertIn(f"--uid {user['runAsUser']} ", file)
        granted = {c.removeprefix("cap_").upper() for c in re.search(r"setcap (\S+)\+ep", file)[1].split(",")}
        self.assertEqual(granted, set(user["capabilities"]["add"]))
        self.assertIn(f"chown {user['runAsUser']}:{user['runAsGroup']} ", self.data["init.sh"])


if __name__ == "__main__":
    unittest.main()
