#!/usr/bin/env python3
"""Fails when a file includes what its layer may not. The table is the architecture."""
import pathlib
import re
import sys

# Longest matching prefix wins. A layer always sees itself.
MAY_INCLUDE = {
    "dataplane/base": [],
    "dataplane/wire": ["dataplane/base"],
    "dataplane/net": ["dataplane/base"],
    "dataplane/lane": ["dataplane/base"],
    "dataplane/topic": ["dataplane/base"],
    "dataplane/link": ["dataplane/base", "dataplane/wire", "dataplane/net", "dataplane/lane"],
    "dataplane/port.h": ["dataplane/base"],
    "dataplane": ["dataplane/base", "dataplane/wire", "dataplane/net", "dataplane/lane", "dataplane/topic",
                  "dataplane/link", "dataplane/port.h", "rdma"],
    "dataplane/client": ["dataplane/base", "dataplane/lane", "dataplane/topic"],
    "rdma": ["dataplane/base", "dataplane/wire"],
    "drivers": ["dataplane/base", "dataplane/port.h", "rdma"],
    "drivers/udp": ["dataplane/base", "dataplane/net", "dataplane/port.h", "rdma"],
    "control": ["dataplane/*", "rdma"],
    "control/daemon": ["*"],
    "tests": ["*"],
    "bench": ["*"],
}
ONLY_DRIVERS = re.compile(r"^(rte_|infiniband/|rdma/rdma_|cuda)")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def layer(path):
    hits = [p for p in MAY_INCLUDE if path == p or path.startswith(p + "/")]
    return max(hits, key=len, default=None)


def allowed(here, there):
    may = MAY_INCLUDE[here]
    if there in may or "*" in may:
        return True
    return any(m.endswith("/*") and (there + "/").startswith(m[:-1]) for m in may)


def faults(root):
    for f in sorted(p for p in root.rglob("*") if p.suffix in (".h", ".hpp", ".cc")):
        rel = f.relative_to(root).as_posix()
        here = layer(rel)
        if here is None or here in ("tests", "bench"):
            continue
        for n, line in enumerate(f.read_text().splitlines(), 1):
            m = INCLUDE.match(line)
            if not m:
                continue
            there = layer(m[2]) if m[1] == '"' else None
            if m[1] == "<" and ONLY_DRIVERS.match(m[2]) and here != "drivers":
                yield f"{rel}:{n}: <{m[2]}> belongs in drivers/"
            elif m[1] == '"' and there is None:
                yield f"{rel}:{n}: \"{m[2]}\" is not a path from the root"
            elif there not in (None, here) and not allowed(here, there):
                yield f"{rel}:{n}: {here} may not include {there}"


if __name__ == "__main__":
    bad = list(faults(pathlib.Path(sys.argv[1])))
    print("\n".join(bad) or "layers: clean")
    sys.exit(bool(bad))
