"""How the two nodes are joined: the device of each, and the network namespaces where it needs them.

The namespaces have no names: each lives as long as a process of ours that sleeps in it. When that
dies, however it dies, the kernel removes namespace and veth pair.
"""
import pathlib
import subprocess
import time

from processes import Failed, Program

KINDS = ("vhost", "memif", "af_packet", "af_xdp")


class Wire:
    """devices: the device of node A and of node B. prefixes: what to put before a daemon's command."""

    def __init__(self, kind, folder):
        self.holders = []
        self.prefixes = ([], [])
        if kind == "vhost":
            self.devices = (f"vhost:{folder}/link.sock", f"virtio-user:{folder}/link.sock")
        elif kind == "memif":
            self.devices = (f"memif-server:{folder}/link.sock", f"memif-client:{folder}/link.sock")
        else:
            self.devices = (f"{kind}:psa", f"{kind}:psb")

    def start(self, folder):
        """Makes the namespaces, for the kinds that need them."""
        if not self.devices[0].startswith("af_"):
            return
        for end in "ab":
            # cat, because it ends with its standard input: also when we are killed.
            self.holders.append(Program(f"namespace {end}", ["unshare", "--net", "cat"],
                                        pathlib.Path(folder, f"namespace-{end}.log")))
        for holder in self.holders:
            _wait_for_own_namespace(holder)
        a, b = (str(h.pid) for h in self.holders)
        _run("ip", "link", "add", "psa", "netns", a, "type", "veth", "peer", "name", "psb", "netns", b)
        self.prefixes = tuple(["nsenter", "--target", pid, "--net", "--"] for pid in (a, b))
        for prefix, interface in zip(self.prefixes, ("psa", "psb")):
            # Without an IPv6 address of its own the kernel sends nothing that would count as foreign.
            _run(*prefix, "ip", "link", "set", interface, "addrgenmode", "none", "up")

    def stop(self, deadline):
        return all([h.stop(deadline) for h in self.holders])


def _wait_for_own_namespace(holder):
    ours = pathlib.Path("/proc/self/ns/net").readlink()
    for _ in range(500):
        holder.check_running()
        if pathlib.Path(f"/proc/{holder.pid}/ns/net").readlink() != ours:
            return
        time.sleep(0.01)
    raise Failed("no network namespace could be made within 5 s")


def _run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    if done.returncode != 0:
        raise Failed(f"'{' '.join(command)}' failed: {done.stderr.strip()} (veth needs root)")

