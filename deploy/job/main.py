"""The main job, from two config files to a clean machine. Started by deploy/run, which installs
what Debian has to give first."""
import argparse
import pathlib
import selectors
import shutil
import signal
import sys
import tempfile
import time

import build
import display as displays
import etcd
import identity
import nodes as appliances
import processes
import wires
from processes import Failed, Program

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
RANKS = 4
ENOUGH = 0.95
STALL_S = 30  # without a step, the job hangs
STOP_S = 5
GRACE_S = 0.5  # until all that died of the same cause are known
DIGITS = pathlib.Path(__file__).parent.parent / "data/digits.csv"


class Interrupted(Exception):
    def __init__(self, number):
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.exit_code = 128 + number


def on_signal(number, _frame):
    raise Interrupted(number)


def arguments():
    usage = (pathlib.Path(__file__).parent / "usage.txt").read_text()
    parser = argparse.ArgumentParser(prog="./deploy/run", usage=usage, add_help=False)
    parser.add_argument("--port", choices=wires.KINDS, default="vhost")
    parser.add_argument("--store", choices=["etcd"])
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--programs", type=pathlib.Path)
    options = parser.parse_args()
    if not 1 <= options.steps <= 1_000_000:
        parser.error("--steps: 1 to 1000000")
    if options.store and options.port.startswith("af_"):
        parser.error("--store etcd: needs --port vhost or memif, whose daemons reach etcd on loopback")
    return options


def shortcomings(result):
    """What is not as it must be, as clauses of one sentence."""
    clauses = []
    if result["accuracy"] < ENOUGH:
        clauses.append(f"the accuracy {result['accuracy']:.3f} is below {ENOUGH}")
    if not result["weights_identical"]:
        clauses.append("the weights are not those of a single process")
    if result["lost"]:
        clauses.append(f"{result['lost']} messages were dropped, or pushed and not pulled")
    if result["unaccounted"]:
        clauses.append(f"{result['unaccounted']} messages are unaccounted for")
    if result["in_flight"]:
        clauses.append(f"{result['in_flight']} messages are still in flight")
    if result.get("members_lost"):
        clauses.append(f"a node was without the other as a member {result['members_lost']} times")
    return clauses


class Job:
    def __init__(self, options):
        self.options = options
        self.display = displays.Display(options.json)
        # Short, whatever TMPDIR says: a socket's path ends at 107 bytes.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="penstock-", dir="/tmp"))
        self.started = []  # in the order of starting; stopped the other way round
        self.wire = self.etcd = None
        self.members_lost = self.killed_at_step = 0

    def start(self, program):
        self.started.append(program)
        return program

    def run(self):
        if self.options.programs:
            build.use(self.options.programs)
        else:
            build.build(self.display.say, sys.stdout.isatty() and not self.options.json)
        if self.options.store:
            self.start_etcd()
        began = time.monotonic()
        nodes = self.start_nodes()
        self.display.say("node A and node B are linked: " + ", ".join(self.wire.devices))
        server, trainers = self.start_clients(nodes)
        final = self.watch(server, trainers, nodes)
        seconds = time.monotonic() - began
        rows = identity.settled(nodes)
        self.display.say("\nsent = delivered + dropped + in flight, for every lane and reader:")
        for line in identity.table(rows):
            self.display.say(f"  {line}")
        for client in [*trainers, server]:
            client.finish(STOP_S)
        identical = self.same_weights()
        result = {
            "accuracy": final["accuracy"], "weights_identical": identical,
            "lost": sum(r.dropped for r in rows) + final["missing"],
            "unaccounted": sum(r.unaccounted for r in rows), "in_flight": sum(r.in_flight for r in rows),
            "seconds": round(seconds, 1)}
        if self.etcd:
            result |= self.etcd_result(nodes)
        self.display.say(f"\n{self.options.steps} steps in {seconds:.1f} s\n"
                         f"accuracy on digits never seen: {result['accuracy']:.3f}\n"
                         f"weights bit for bit those of a single process: {'yes' if identical else 'no'}")
        return result

    def start_etcd(self):
        self.etcd = etcd.Etcd(self.folder)
        self.started += self.etcd.servers
        self.display.say(f"etcd: {etcd.MEMBERS} members on loopback, {self.etcd.wait_for_leader().name} leads")

    def mind_etcd(self, step):
        """Kills the leader when half of the steps are done; then waits, beside the job, for the next."""
        self.etcd.look()
        if self.killed_at_step or step < self.options.steps // 2:
            return
        leader = self.etcd.kill_leader()
        self.started.remove(leader)
        self.killed_at_step = step
        self.display.say(f"\nkilled the leader, {leader.name}, after step {step}\n")

    def etcd_result(self, nodes):
        """What became of the members. The rest of etcd is given time to choose a leader, and the nodes to hear it."""
        self.etcd.wait_for_leader()
        self.etcd.look()
        for node in nodes:
            node.wait_store_heard()
        self.look_at_members(nodes)
        gap = self.etcd.led_again - self.etcd.killed_at
        self.display.say(f"\netcd had a leader again {gap:.1f} s after its own was killed after step "
                         f"{self.killed_at_step}; members lost: {self.members_lost}")
        return {"leader_killed_at_step": self.killed_at_step, "without_leader_s": round(gap, 1),
                "members_lost": self.members_lost}

    def look_at_members(self, nodes):
        self.members_lost += sum(len(node.members()[0]) != 1 for node in nodes)

    def start_nodes(self):
        self.wire = wires.Wire(self.options.port, self.folder)
        self.wire.start(self.folder)
        nodes = []
        for name, own, peer in (("A", 1, 2), ("B", 2, 1)):
            node = appliances.Node(name, own, appliances.way_to_others(peer, self.etcd), self.wire.devices[own - 1], self.wire.prefixes[own - 1],
                                   self.folder)
            self.start(node.daemon)
            node.wait_ready()
            nodes.append(node)
        for node in nodes:
            node.wait_linked()
        return nodes

    def start_clients(self, nodes):
        common = ["--data", DIGITS, "--ranks", RANKS, "--steps", self.options.steps]
        server = self.start(Program("server", [build.demo(), "server", "--socket", nodes[1].socket, "--weights-out",
                                               self.folder / "server.weights", *common], self.folder / "server.log"))
        trainers = [self.start(Program(f"trainer {rank}",
                                       [build.demo(), "trainer", "--socket", nodes[0].socket, "--rank", rank,
                                        "--weights-out", self.folder / f"trainer{rank}.weights", *common],
                                       self.folder / f"trainer{rank}.log")) for rank in range(RANKS)]
        return server, trainers

    def watch(self, server, trainers, nodes):
        """Shows progress until the server and every trainer say that they are done."""
        pushed, final, last_step, moved = {}, None, -1, time.monotonic()
        with selectors.DefaultSelector() as ready:
            for client in [server, *trainers]:
                ready.register(client, selectors.EVENT_READ)
            while final is None or len(pushed) < RANKS:
                for key, _ in ready.select(timeout=1):
                    for said in key.fileobj.read():
                        if "done" in said and key.fileobj is server:
                            final = said
                        elif "done" in said:
                            pushed[key.fileobj] = said["pushed"]
                        else:
                            if said["step"] > last_step:
                                last_step, moved = said["step"], time.monotonic()
                            self.show(said, nodes)
                if self.etcd:
                    self.mind_etcd(last_step)
                self.check_running()
                if time.monotonic() - moved > STALL_S:
                    raise Failed(f"no step for {STALL_S} s after step {max(last_step, 0)}")
        # The books of the nodes, held against what the programs at both ends have counted.
        final["missing"] = abs(sum(pushed.values()) - final["pulled"])
        return final

    def check_running(self):
        if all(program.running() for program in self.started):
            return
        # Who dies takes others along, and a killed process closes its sockets before its parent is told of
        # it. A moment later all are known, and the first in the order of starting is the cause.
        time.sleep(GRACE_S)
        for program in self.started:
            program.check_running()

    def show(self, progress, nodes):
        if not self.display.due(progress):
            return
        try:
            links, drops = [n.show("links") for n in nodes], [n.show("drops") for n in nodes]
            if self.etcd:
                self.look_at_members(nodes)
        except Failed:
            self.check_running()  # one that died is the cause, and is named
            raise
        self.display.progress(progress, *displays.totals(links, drops))

    def same_weights(self):
        """Do the server and every trainer hold what a single process computes?"""
        alone = self.folder / "alone.weights"
        processes.query([build.demo(), "reference", "--data", DIGITS, "--ranks", RANKS, "--steps", self.options.steps,
                         "--weights-out", alone], timeout_s=300)
        want = alone.read_bytes()
        return all(p.read_bytes() == want for p in self.folder.glob("*.weights"))

    def clean_up(self):
        """Stops and removes everything, whatever state it is in. Returns what did not go in order."""
        complaints = []
        deadline = time.monotonic() + STOP_S
        for program in reversed(self.started):
            if not program.stop(deadline):
                complaints.append(f"{program.name} did not stop and was killed")
        if self.wire:
            self.wire.stop(deadline)
        strays = processes.reap_strays()
        if strays:
            complaints.append(f"{strays} processes were left running and were killed")
        if self.options.keep:
            self.display.say(f"configs and logs are in {self.folder}")
        else:
            shutil.rmtree(self.folder)
        return complaints


def main():
    options = arguments()
    for number in SIGNALS:
        signal.signal(number, on_signal)
    processes.adopt_orphans()
    job = Job(options)
    result, failure, code = None, None, 1
    try:
        result = job.run()
    except Interrupted as interrupted:
        failure, code = str(interrupted), interrupted.exit_code
    except Failed as failed:
        failure = str(failed)
    except Exception as bug:  # whatever it is, the machine must be clean afterwards
        failure = f"{type(bug).__name__}: {bug}"
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    complaints = job.clean_up()
    job.display.say(f"clean-up: {'; '.join(complaints) or 'no process, namespace, socket or file is left'}")
    if failure:
        job.display.failure(failure)
        return code
    wrong = shortcomings(result) + complaints
    if wrong:
        print(f"failed: {'; '.join(wrong)}", file=sys.stderr)
    job.display.result({**result, "ok": not wrong})
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
