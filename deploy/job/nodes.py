"""The two appliances: their config files, their daemons, and what they say about themselves."""
import os
import time

import build
from processes import Failed, Program, query

START_S = 60  # DPDK alone has been seen to take 12 s on a busy machine


def cpu_of(node_id):
    """Each node of the pair would choose the same CPU for its worker: give them different ones."""
    cpus = sorted(os.sched_getaffinity(0))
    return cpus[node_id % len(cpus)]


def way_to_others(peer_id, etcd):
    """How a node finds the other: by what etcd says, or because its config says where."""
    if etcd:
        return f'[store]\nkind = "etcd"\nendpoints = "{etcd.endpoints}"\n'
    return f'[[peer]]\nid = {peer_id}\naddress = "10.77.0.{peer_id}"\n'


class Node:
    def __init__(self, name, node_id, others, device, prefix, folder):
        self.name = name
        self.socket = f"{folder}/{name}.sock"
        self._cli = [build.penstock(), "--socket", self.socket, "--json"]
        config = folder / f"{name}.toml"
        config.write_text(f"""\
[node]
id = {node_id}
name = "{name}"
socket = "{self.socket}"
state_dir = "{folder}/{name}.state"

[workers]
cpus = "{cpu_of(node_id)}"

[[port]]
name = "link"
device = "{device}"
address = "10.77.0.{node_id}/24"

{others}""")
        self.daemon = Program(f"node {name}", [*prefix, build.penstockd(), "--config", config],
                              folder / f"{name}.log")

    def show(self, what):
        return query([*self._cli, "show", what])

    def members(self):
        """What the store says of the others, as the node has it: ids, and what is wrong with the store."""
        said = query([*self._cli, "members"])
        return [m["id"] for m in said.get("members", []) if not m.get("self")], said.get("trouble", "")

    def _wait(self, what, is_so):
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            self.daemon.check_running()
            try:
                if is_so():
                    return
            except Failed:
                pass  # not listening yet
            time.sleep(0.05)
        raise Failed(f"node {self.name} was not {what} within {START_S} s: {self.daemon.last_words()}")

    def wait_ready(self):
        self._wait("ready", lambda: bool(self.show("node")))

    def wait_linked(self):
        self._wait("linked to its peer", lambda: any(l["state"] == "up" for l in self.show("links")))

    def wait_store_heard(self):
        self._wait("in touch with its store", lambda: self.members()[1] == "")
