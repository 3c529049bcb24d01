#!/usr/bin/env python3
"""The API and its commands against true daemons: what there is, reload, and nodes that hang, die or hear garbage.

    api_test.py BUILD
"""
import concurrent.futures
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
PENSTOCK = BUILD / "control/cli/penstock"
LIMIT_S = 60  # against hanging


class ApiTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="penstock-api-", dir="/tmp")
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name)
        self.processes = {}

    def write_config(self, node, more=""):
        device = f"{'vhost' if node == 1 else 'virtio-user'}:{self.path}/link.sock"
        port = f'[[port]]\nname = "p"\ndevice = "{device}"\naddress = "10.77.0.{node}/24"\n' if self.linked else ""
        (self.path / f"{node}.toml").write_text(
            f'[node]\nid = {node}\nsocket = "{self.path}/{node}.sock"\nstate_dir = "{self.path}/state{node}"\n'
            f'[memory]\nhugepages = "never"\n[store]\nkind = "sqlite"\npath = "{self.path}/store.db"\n'
            f'lease = "2s"\n{more}{port}')

    def daemon(self, node=1, more="", linked=False):
        self.linked = linked
        self.write_config(node, more)
        log = open(self.path / f"{node}.log", "w")
        self.addCleanup(log.close)
        process = subprocess.Popen([BUILD / "control/daemon/penstockd", "--config", self.path / f"{node}.toml"],
                                   stdout=log, stderr=log)
        self.addCleanup(lambda: (process.send_signal(signal.SIGCONT), process.kill(), process.wait()))
        self.processes[node] = process
        self.until(lambda: "penstockd: ready" in self.log(node))
        return process

    def log(self, node=1):
        return (self.path / f"{node}.log").read_text()

    def until(self, is_so):
        end = time.monotonic() + LIMIT_S
        while not is_so():
            for node, p in self.processes.items():
                self.assertIsNone(p.poll(), self.log(node))
            self.assertLess(time.monotonic(), end, "".join(map(self.log, self.processes)))
            time.sleep(0.05)

    def start(self, *arguments, node=1):
        process = subprocess.Popen([PENSTOCK, "--socket", f"{self.path}/{node}.sock", *arguments],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (process.kill(), process.communicate()))
        return process

    def cli(self, *arguments, node=1):
        """(exit code, output, errors)"""
        done = subprocess.run([PENSTOCK, "--socket", f"{self.path}/{node}.sock", *arguments], text=True,
                              timeout=LIMIT_S, capture_output=True, stdin=subprocess.DEVNULL)
        return done.returncode, done.stdout, done.stderr

    def ask(self, *arguments, node=1):
        code, out, err = self.cli(*arguments, "--json", node=node)
        self.assertEqual((code, err), (0, ""))
        return json.loads(out)

    def traffic(self):
        """A publisher that sends for ever, and who hears it."""
        sub = subprocess.Popen([PENSTOCK, "--socket", f"{self.path}/1.sock", "sub", "grad.#"], stdout=subprocess.DEVNULL)
        yes = subprocess.Popen(["yes"], stdout=subprocess.PIPE)
        pub = subprocess.Popen([PENSTOCK, "--socket", f"{self.path}/1.sock", "pub", "grad.w"], stdin=yes.stdout)
        yes.stdout.close()
        for p in (pub, yes, sub):
            self.addCleanup(lambda p=p: (p.kill(), p.wait()))
        self.until(lambda: self.sent() > 1000)

    def sent(self):
        return sum(lane["sent"] for lane in self.ask("lanes")["lanes"])

    def test_every_list_says_what_there_is(self):
        self.daemon()
        sub = self.start("sub", "grad.#", "--policy", "drop_oldest", "--limit-messages", "9")
        pull = self.start("pull", "jobs")
        pub = self.start("pub", "grad.w")
        pub.stdin.write("x\n")
        pub.stdin.flush()
        self.until(lambda: self.ask("topics")["topics"] and len(self.ask("clients")["clients"]) == 3
                   and len(self.ask("subscriptions")["subscriptions"]) == 2)
        topic = self.ask("topics", "grad.*")["topics"][0]
        self.assertEqual((topic["topic"], topic["publishers"], topic["subscriptions"]), ("grad.w", ["penstock pub"], 1))
        self.assertEqual(self.ask("topics", "none.#"), {"topics": [], "more": False})
        [who] = self.ask("subscriptions", "grad.w")["subscriptions"]
        self.assertEqual((who["from"], who["filter"], who["policy"], who["limit_messages"]),
                         ("client", "grad.#", "drop_oldest", 9))
        self.assertTrue(self.ask("subscriptions", "--limit", "1")["more"])
        # One is as show says: the same rows, but for what moves.
        shown = self.ask("show", "lanes")
        self.assertEqual([lane["id"] for lane in self.ask("lanes")["lanes"]], [lane["id"] for lane in shown])
        self.assertEqual(self.ask("lanes")["lanes"][0].keys(), shown[0].keys())
        self.assertEqual(self.ask("clients")["clients"][0]["pid"], self.ask("show", "clients")[0]["pid"])
        self.assertEqual(self.ask("links"), {"links": []})
        [node] = self.ask("nodes")["nodes"]
        self.assertEqual((node["id"], node["name"], node["state"], node["epoch"]), (1, "node1", "self", 1))
        members = self.ask("members")
        self.assertEqual((members["store"], members["trouble"], len(members["members"])), ("sqlite", "", 1))
        for command in ("nodes", "members", "topics", "subscriptions", "lanes", "links", "clients"):
            code, out, err = self.cli(command)
            self.assertEqual((code, err), (0, ""), command)
            self.assertTrue(out.endswith("\n"), command)
        self.assertIn("grad.w  penstock pub", self.cli("topics")[1])
        self.assertEqual(self.cli("topics", "a..b")[::2], (2, "penstock: a..b is no filter\n"))
        watch = self.start("nodes", "--watch", "--json")
        self.assertEqual(json.loads(watch.stdout.readline()), json.loads(watch.stdout.readline()))
        watch.terminate()
        self.assertEqual(watch.wait(LIMIT_S), 0)
        for process in (sub, pull, pub):
            process.kill()

    def test_nodes_that_found_each_other_by_the_store_are_listed_with_their_links(self):
        for node in (1, 2):
            self.daemon(node, linked=True)
        self.until(lambda: all([n["state"] for n in self.ask("nodes", node=node)["nodes"] if n["source"] != "self"] ==
                               ["up"] for node in (1, 2)))
        other = self.ask("nodes")["nodes"][1]
        self.assertEqual((other["id"], other["name"], other["addresses"], other["source"], other["links_up"]),
                         (2, "node2", ["10.77.0.2:9470"], "store", 1))
        self.assertEqual([m["id"] for m in self.ask("members")["members"]], [1, 2])
        self.assertEqual(self.ask("members")["members"][1]["epoch"], 1)

    def test_doctor_asks_the_node_of_the_config_what_goes_through_to_its_peers(self):
        for node in (1, 2):
            self.daemon(node, linked=True)

        def says():
            done = subprocess.run([PENSTOCK, "doctor", "--json", "--config", self.path / "1.toml"], text=True,
                                  timeout=LIMIT_S, capture_output=True)
            return [r["says"] for r in json.loads(done.stdout)["checks"] if r["check"] in ("path_mtu", "memlock")]
        self.until(lambda: says()[1] == "p to node2, path 0: packets of 9000 bytes go through, the port's mtu is 9000")
        self.assertRegex(says()[0], "^penstockd, process ")

    def test_reload_takes_what_applies_and_refuses_a_bad_file_whole(self):
        self.daemon()
        self.assertEqual(self.cli("config", "diff")[1], "nothing differs\n")
        self.assertIn(f'socket = "{self.path}/1.sock"', self.cli("config", "show")[1])
        self.write_config(1, '[log]\nlevel = "debug"\n[lane]\nring = 2048\n')
        code, out, _ = self.cli("config", "diff")
        self.assertEqual(code, 0)
        self.assertIn("at a reload", out)
        changes = {c["key"]: (c["running"], c["file"], c["live"]) for c in self.ask("reload")["changes"]}
        self.assertEqual(changes, {"log.level": ('"info"', '"debug"', True), "lane.ring": ("1024", "2048", False)})
        self.assertIn("lane.ring waits for a restart", self.log())
        self.assertEqual([c["key"] for c in self.ask("reload")["changes"]], ["lane.ring"])
        self.write_config(1, '[log]\nlevel = "error"\nlevle = "x"\n')
        code, out, err = self.cli("reload")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("1.toml:13: log.levle: unknown key (did you mean log.level?)", err)
        self.assertIn("the node's config stays as it was", err)
        self.assertIn('level = "debug"', self.cli("config", "show")[1])
        other = self.path / "other.toml"
        other.write_text('[node]\nid = 1\nname = "x"\n')
        changed = {c["key"] for c in self.ask("config", "diff", str(other))["changes"]}
        self.assertIn("node.name", changed)
        self.assertIn("log.level", changed)

    def test_health_waits_for_a_node_that_is_about_to_start(self):
        early = self.start("health", "--exit-when-healthy", "--timeout", f"{LIMIT_S}s")
        self.assertEqual(self.cli("health")[0], 3)
        self.daemon()
        self.assertEqual(early.wait(LIMIT_S), 0)
        health = self.ask("health")
        self.assertEqual((health["healthy"], {c["name"] for c in health["checks"]}),
                         (True, {"config", "ports", "memory", "store", "workers"}))
        self.assertIn("healthy\n", self.cli("health")[1])
        watch = self.start("health", "--watch")
        self.assertEqual(sum(watch.stdout.readline() == "healthy\n" for _ in range(2 * (len(health["checks"]) + 2))), 2)
        watch.terminate()
        self.assertEqual(watch.wait(LIMIT_S), 0)

    def test_a_node_without_its_port_is_not_healthy(self):
        self.daemon(2, linked=True)  # its other side does not run
        code, out, _ = self.cli("health", node=2)
        self.assertEqual(code, 1)
        self.assertIn("0 of 1 up", out)
        self.assertEqual(self.cli("health", "--exit-when-healthy", "--timeout", "400ms", node=2)[0], 4)

    def test_events_are_raised_and_cleared_and_followed(self):
        self.daemon()
        follow = self.start("events", "--follow", "--json")
        self.write_config(1, "nonsense\n")
        self.assertEqual(self.cli("reload")[0], 1)
        raised = []
        while not raised:
            event = json.loads(follow.stdout.readline())
            raised = [event] if event["name"] == "config_refused" else []
        self.assertEqual((raised[0]["change"], raised[0]["severity"]), ("raised", "error"))
        [now] = self.ask("events", "--raised")
        self.assertEqual((now["name"], now["subject"]), ("config_refused", raised[0]["subject"]))
        self.write_config(1)
        self.assertEqual(self.cli("reload")[0], 0)
        cleared = {}
        while cleared.get("change") != "cleared":
            cleared = json.loads(follow.stdout.readline())
        self.assertEqual(cleared["subject"], raised[0]["subject"])
        self.assertEqual(self.ask("events", "--raised"), [])
        names = [(e["name"], e["change"]) for e in self.ask("events")["events"]]
        self.assertIn(("config_refused", "raised"), names)
        self.assertIn("error   config_refused raised", self.cli("events")[1])
        self.processes[1].kill()
        self.assertEqual(follow.wait(LIMIT_S), 3)

    def test_drain_delivers_what_is_published_and_ends_the_node(self):
        process = self.daemon()
        sub = self.start("sub", "a", "--count", "3")
        self.until(lambda: self.ask("subscriptions")["subscriptions"])
        pub = self.start("pub", "a")
        pub.stdin.write("1\n2\n3\n")
        pub.stdin.flush()
        self.assertEqual(sub.communicate(timeout=LIMIT_S)[0], "1\n2\n3\n")
        code, out, err = self.cli("drain", "--timeout", "20s")
        self.assertEqual((code, out), (0, "drained, the node has ended; what was not delivered, if anything, stands in its log\n"),
                         err)
        self.processes.clear()
        self.assertEqual(process.poll(), 0)  # at once
        self.assertIn("drain", self.log())

    def test_a_member_is_removed_and_comes_back_in_a_later_life(self):
        for node in (1, 2):
            self.daemon(node, linked=True)
        state = lambda: [n["state"] for n in self.ask("nodes")["nodes"] if n["id"] == 2]
        self.until(lambda: state() == ["up"])
        self.assertEqual(self.ask("members", "remove", "2"), {"id": 2, "epoch": 1})
        self.until(lambda: state() != ["up"] and [m["id"] for m in self.ask("members")["members"]] == [1])
        self.assertEqual(self.cli("members", "remove", "77")[::2], (1, "penstock: the store knows no node 77\n"))
        self.processes.pop(2).kill()
        (self.path / "2.sock").unlink()
        self.daemon(2, linked=True)
        self.until(lambda: state() == ["up"])
        self.assertEqual([m["epoch"] for m in self.ask("members")["members"] if m["id"] == 2], [2])

    def test_a_node_that_hangs_is_said_to(self):
        process = self.daemon()
        process.send_signal(signal.SIGSTOP)
        code, _, err = self.cli("reload", "--timeout", "300ms")
        self.assertEqual(code, 4)
        self.assertEqual(err, f"penstock: the node at {self.path}/1.sock.api did not answer within 300 ms: it hangs, or "
                              "is stopped; look at its log, and ask again with a longer --timeout\n")
        process.send_signal(signal.SIGCONT)
        self.assertEqual(self.ask("nodes")["nodes"][0]["id"], 1)

    def test_a_command_never_waits_for_ever_for_a_node_that_is_stopped(self):
        process = self.daemon()
        process.send_signal(signal.SIGSTOP)
        api = f"penstock: the node at {self.path}/1.sock.api did not answer within "
        hangs = ": it hangs, or is stopped; look at its log"
        attached = f"penstock: the node did not answer within 30 s{hangs}\n"
        again = f"{hangs}, and ask again with a longer --timeout\n"
        # Each waits as long as it does; all at once.
        waiting = [(self.start(*command), says) for command, says in [
            (("show", "node"), attached), (("top",), attached), (("topology",), attached), (("pub", "a"), attached),
            (("sub", "a", "--timeout", "1s"), attached), (("drain", "--timeout", "1s"), f"{api}5000 ms{again}"),
            (("config", "show"), f"{api}5000 ms{again}")]]
        # The kernel keeps so many for it, and lets the next wait.
        def connects():
            s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            s.setblocking(False)
            self.addCleanup(s.close)
            return s.connect_ex(f"{self.path}/1.sock") == 0
        self.until(lambda: not connects())
        waiting.append((self.start("show", "node"), f"penstock: the node at {self.path}/1.sock took nobody in within "
                                                    f"30 s{hangs}\n"))
        for command, says in waiting:
            out, err = command.communicate(timeout=LIMIT_S)
            self.assertEqual((command.returncode, out, err), (4, "", says), command.args)
        process.send_signal(signal.SIGCONT)
        self.until(lambda: self.ask("show", "node")["id"] == 1)

    def test_a_node_that_is_gone_is_named_with_the_remedy(self):
        process = self.daemon()
        process.kill()
        process.wait()
        self.processes.clear()
        code, _, err = self.cli("nodes")
        self.assertEqual(code, 3)
        self.assertIn(f"no node answers at {self.path}/1.sock.api (Connection refused): start penstockd", err)
        # A new one takes the dead one's socket.
        self.daemon()
        self.assertEqual(self.ask("nodes")["nodes"][0]["epoch"], 2)

    def test_garbage_silence_and_many_callers_stop_nobody(self):
        process = self.daemon()
        self.traffic()
        silent = []
        for n in range(100):
            s = socket.socket(socket.AF_UNIX)
            s.connect(f"{self.path}/1.sock.api")
            s.sendall([b"", b"GET / HTTP/1.1\r\n\r\n", os.urandom(5000), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"][n % 4])
            silent.append(s)
        before = self.sent()
        commands = [c for c in ("nodes", "topics", "lanes", "subscriptions") for _ in range(8)]
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            codes = list(pool.map(lambda c: self.cli(c, "--json", "--timeout", f"{LIMIT_S}s")[0], commands))
        self.assertEqual(codes, [0] * len(commands))
        self.assertGreater(self.sent(), before)
        self.assertIsNone(process.poll())
        for s in silent:
            s.close()

    def test_from_elsewhere_it_is_reached_with_certificates_only(self):
        run = lambda command: subprocess.run(command, shell=True, check=True, cwd=self.path, stderr=subprocess.DEVNULL)
        (self.path / "san").write_text("subjectAltName=IP:127.0.0.1\n")
        ec = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
        run(f"openssl req -x509 {ec} -days 2 -subj /CN=ca -keyout ca.key -out ca.pem")
        for name in ("node", "me"):
            run(f"openssl req {ec} -subj /CN={name} -keyout {name}.key -out {name}.csr")
            run(f"openssl x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san "
                f"-out {name}.pem")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        self.daemon(more=f'[api]\nlisten = "{address}"\ntls_ca = "{self.path}/ca.pem"\n'
                         f'tls_certificate = "{self.path}/node.pem"\ntls_key = "{self.path}/node.key"\n')
        files = ["--ca", f"{self.path}/ca.pem", "--certificate", f"{self.path}/me.pem", "--key", f"{self.path}/me.key"]
        self.assertEqual(self.ask("--api", address, *files, "nodes")["nodes"][0]["id"], 1)
        code, _, err = self.cli("--api", address, "nodes")
        self.assertEqual(code, 2)
        self.assertIn("give --ca, --certificate and --key", err)
        # Mine vouches for nobody.
        code, _, err = self.cli("--api", address, "--ca", f"{self.path}/me.pem", *files[2:], "nodes", "--timeout", "10s")
        self.assertIn(code, (3, 4), err)

    def test_its_threads_stay_off_the_workers_cpus(self):
        process = self.daemon()
        self.ask("nodes")
        housekeeping = set(self.ask("topology")["housekeeping"])
        names = {}
        for task in pathlib.Path(f"/proc/{process.pid}/task").iterdir():
            name = (task / "comm").read_text().strip()
            names.setdefault(name, set()).update(os.sched_getaffinity(int(task.name)))
        workers = {n for n in names if n.startswith("worker")}
        self.assertEqual(workers, {"worker0"})
        self.assertGreater(len(names), 2, names)  # gRPC's are there
        for name in names.keys() - workers:
            self.assertLessEqual(names[name], housekeeping, name)


if __name__ == "__main__":
    unittest.main()
