"""The identity sent = delivered + dropped + in flight, for every lane and reader of both nodes."""
import time

SETTLE_S = 10  # for acknowledgements under way; what is in flight then stays so


class Row:
    def __init__(self, node, lane, reader):
        self.node = node
        self.lane = lane["name"] or f"lane {lane['id']}"
        self.kind = lane["kind"]
        self.reader = reader["who"]
        self.sent = reader["sent"]
        self.delivered = reader["delivered"]
        self.dropped = sum(reader["dropped"].values())
        self.in_flight = reader["in_flight"]

    @property
    def unaccounted(self):
        return abs(self.sent - self.delivered - self.dropped - self.in_flight)


def rows(nodes):
    """One look at every lane. A lane's past readers count as one more reader."""
    found = []
    for node in nodes:
        for lane in node.show("lanes"):
            readers = list(lane["readers"])
            if lane.get("left", {}).get("sent"):
                readers.append({"who": "(left)", "in_flight": 0, **lane["left"]})
            found += [Row(node.name, lane, r) for r in readers]
    return found


def settled(nodes):
    """The rows once nothing is in flight any more, or as they are after SETTLE_S."""
    end = time.monotonic() + SETTLE_S
    while True:
        found = rows(nodes)
        if not any(r.in_flight for r in found) or time.monotonic() > end:
            return found
        time.sleep(0.1)


def table(found):
    lines = [f"{'node':4} {'lane':18} {'kind':7} {'reader':14} {'sent':>8} = {'delivered':>9} + {'dropped':>7} + {'in flight':>9}"]
    for r in found:
        lines.append(f"{r.node:4} {r.lane:18} {r.kind:7} {r.reader:14} {r.sent:8} = {r.delivered:9} + {r.dropped:7} "
                     f"+ {r.in_flight:9}{'' if r.unaccounted == 0 else '   DOES NOT HOLD'}")
    return lines
