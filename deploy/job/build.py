"""Builds what the job runs, in build/release; only what changed, when it was built before."""
import pathlib
import subprocess
import sys
import time

from processes import Failed

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build/release"
PENSTOCKD, PENSTOCK, DEMO = PROGRAMS = (
    FOLDER / "control/daemon/penstockd", FOLDER / "control/cli/penstock", FOLDER / "control/demo/penstock-demo")


def _run(command, log, shown):
    if shown:
        code = subprocess.run(command, cwd=ROOT).returncode
    else:
        with open(log, "ab") as out:
            code = subprocess.run(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT).returncode
    if code != 0:
        if not shown:
            sys.stderr.write("".join(log.read_text(errors="replace").splitlines(keepends=True)[-20:]))
        raise Failed(f"'{' '.join(map(str, command))}' failed" + ("" if shown else f", see {log}"))


def build(say, shown):
    """`shown`: ninja's own progress line is for a terminal."""
    log = FOLDER.with_suffix(".log")
    FOLDER.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"")
    began = time.monotonic()
    say(f"building in {FOLDER.relative_to(ROOT)}")
    if not (FOLDER / "build.ninja").exists():
        _run(["meson", "setup", FOLDER, "-Dbuildtype=release", "-Dtests=disabled", "-Dbench=disabled"], log, False)
    _run(["ninja", "-C", FOLDER, *(p.relative_to(FOLDER) for p in PROGRAMS)], log, shown)
    if time.monotonic() - began > 3:
        say(f"built in {time.monotonic() - began:.0f} s")
