"""deploy/ and the programs that were built, for the tests that hold one against the other. The first argument of the
program is BUILD."""
import pathlib
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
DEPLOY = ROOT / "deploy"
PENSTOCK = BUILD / "control/cli/penstock"
LIMIT_S = 60


def text(path):
    return (DEPLOY / path).read_text()


def defaults():
    example = subprocess.run([PENSTOCK, "config", "example"], text=True, capture_output=True, timeout=LIMIT_S, check=True)
    return tomllib.loads(example.stdout)
