#!/usr/bin/env python3
"""Fails when a file breaks a rule of the house that a compiler does not know."""
import pathlib
import re
import sys

SHIPPED = ("dataplane", "rdma", "drivers", "control")
CODE = (".h", ".hpp", ".cc")
MAX_LINES = 400
MAX_README_LINES = 200
# (pattern, in which folders, except where, what to say)
LINES = [
    (re.compile(r"\bTODO\b|\bFIXME\b|\bXXX\b|^\s*#\s*if 0\b"), SHIPPED + ("tests", "bench"), (),
     "file an issue, or do it now"),
    (re.compile(r"\bstd::atomic\b"), SHIPPED, ("dataplane/base/",), "std::atomic lives in dataplane/base"),
    (re.compile(r"\bvolatile\b"), SHIPPED, (), "no volatile"),
    (re.compile(r"\bstd::function\b|\bstd::shared_ptr\b"), ("dataplane", "rdma"), (),
     "no std::function or shared_ptr in the dataplane"),
]
GETENV = re.compile(r"\b(?:secure_)?getenv\s*\(")


def code_without_comment(line):
    return re.sub(r"//.*", "", line)


def faults(root):
    readers_of_environment = []
    built = "\n".join(p.read_text() for top in SHIPPED for p in (root / top).rglob("meson.build"))
    for file in sorted(p for top in SHIPPED + ("tests", "bench") for p in (root / top).rglob("*")):
        rel = file.relative_to(root).as_posix()
        if file.suffix not in CODE or rel.startswith("tests/fuzz/corpus"):
            continue
        lines = file.read_text().splitlines()
        if len(lines) > MAX_LINES:
            yield f"{rel}: {len(lines)} lines, more than {MAX_LINES}: split it"
        for n, line in enumerate(lines, 1):
            for pattern, tops, exempt, why in LINES:
                text = line if "TODO" in pattern.pattern else code_without_comment(line)
                if rel.startswith(tuple(t + "/" for t in tops)) and not rel.startswith(exempt or ("\0",)):
                    if pattern.search(text):
                        yield f"{rel}:{n}: {why}"
            if rel.startswith(tuple(t + "/" for t in SHIPPED)) and GETENV.search(code_without_comment(line)):
                readers_of_environment.append(rel)
        if rel.startswith(tuple(t + "/" for t in SHIPPED)) and file.suffix in (".h", ".hpp") and f"'{rel}'" not in built:
            yield f"{rel}: not in `headers` of its meson.build, so nothing checks that it compiles alone"
    for extra in sorted(set(readers_of_environment))[1:]:
        yield f"{extra}: the environment is read in one file only, and {readers_of_environment[0]} does"
    for readme in sorted(root.glob("*/README.md")):
        n = len(readme.read_text().splitlines())
        if n > MAX_README_LINES:
            yield f"{readme.relative_to(root)}: {n} lines, more than {MAX_README_LINES}"


if __name__ == "__main__":
    bad = list(faults(pathlib.Path(sys.argv[1])))
    print("\n".join(bad) or "rules: clean")
    sys.exit(bool(bad))
