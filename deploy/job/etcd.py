"""The store of a run with --store etcd: three members of Debian's etcd-server on loopback, and what
they say of themselves. Each is a Program of the job's, which stops it like the others."""
import http.client
import socket
import time

from processes import Failed, Program

MEMBERS = 3
START_S = 60
ASK_S = 2


def _free_ports(count):
    """All at once, so that no two are the same."""
    held = [socket.socket() for _ in range(count)]
    try:
        for s in held:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in held]
    finally:
        for s in held:
            s.close()


class Etcd:
    def __init__(self, folder):
        ports = _free_ports(2 * MEMBERS)
        self._clients = {f"etcd {i}": port for i, port in enumerate(ports[:MEMBERS])}
        peers = [f"http://127.0.0.1:{port}" for port in ports[MEMBERS:]]
        cluster = ",".join(f"m{i}={peer}" for i, peer in enumerate(peers))
        self.servers = [Program(name, [
            "etcd", "--name", f"m{i}", "--data-dir", folder / f"etcd{i}", "--initial-cluster", cluster,
            "--listen-peer-urls", peers[i], "--initial-advertise-peer-urls", peers[i],
            "--listen-client-urls", f"http://127.0.0.1:{port}", "--advertise-client-urls", f"http://127.0.0.1:{port}"],
            folder / f"etcd{i}.log") for i, (name, port) in enumerate(self._clients.items())]
        self.killed_at = self.led_again = None  # when, by time.monotonic()

    @property
    def endpoints(self):
        return ",".join(f"127.0.0.1:{port}" for port in self._clients.values())

    def leader(self):
        """The server that leads the others; None: none does."""
        return next((s for s in self.servers if s.running() and self._leads(s)), None)

    def _leads(self, server):
        asked = http.client.HTTPConnection("127.0.0.1", self._clients[server.name], timeout=ASK_S)
        try:
            asked.request("GET", "/metrics")
            return b"\netcd_server_is_leader 1\n" in asked.getresponse().read()
        except OSError:
            return False  # not listening yet, or not any more
        finally:
            asked.close()

    def wait_for_leader(self):
        end = time.monotonic() + START_S
        while (leader := self.leader()) is None:
            for server in self.servers:
                server.check_running()
            if time.monotonic() > end:
                raise Failed(f"etcd has no leader after {START_S} s: {self.servers[0].last_words()}")
            time.sleep(0.05)
        return leader

    def kill_leader(self):
        """Which it was. It is none of `servers` any more."""
        leader = self.wait_for_leader()
        leader.kill()
        self.servers.remove(leader)
        self.killed_at = time.monotonic()
        return leader

    def look(self):
        """Notes when there is a leader again."""
        if self.killed_at and not self.led_again and self.leader():
            self.led_again = time.monotonic()
