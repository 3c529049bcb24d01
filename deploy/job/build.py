"""Builds what the job runs, in build/release; only what changed, when it was built before."""
import pathlib
import subprocess
import sys
import time

from processes import Failed

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = ("control/daemon/penstockd", "control/cli/penstock", "control/demo/penstock-demo")
_folder = ROOT / "build/release"


def penstockd():
    return _folder / PROGRAMS[0]


def penstock():
    return _folder / PROGRAMS[1]


def demo():
    return _folder / PROGRAMS[2]


def use(folder):
    """Takes the programs from `folder`, as they are."""
    global _folder
    _folder = folder.resolve()
    for program in PROGRAMS:
        if not (_folder / program).exists():
            raise Failed(f"{_folder / program} is not there")


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
    log = _folder.with_suffix(".log")
    _folder.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"")
    began = time.monotonic()
    say(f"building in {_folder.relative_to(ROOT)}")
    if not (_folder / "build.ninja").exists():
        _run(["meson", "setup", _folder, "-Dbuildtype=release", "-Dtests=disabled", "-Dbench=disabled"], log, False)
    _run(["ninja", "-C", _folder, *PROGRAMS], log, shown)
    if time.monotonic() - began > 3:
        say(f"built in {time.monotonic() - began:.0f} s")
