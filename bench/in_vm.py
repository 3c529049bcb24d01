"""The rows of bench/run that need RDMA devices: a machine with soft-RoCE runs them all in turn, once (rig/verbs_in_vm)."""
import json
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
PERFTEST = ("ib_write_bw", "ib_write_lat")
PROGRAMS = ("verbs_rig", *PERFTEST)
PUTS, TRIPS = 24, 1000  # of one run: a second in an emulated processor
LIMIT_S = 600


def runs(reps):
    """An emulated machine with two processors is as fast as the host lets it: many short runs, in turn."""
    return 2 * reps + 1


class InVm:
    """Runs of all rows, made when the first of them is asked for."""

    def __init__(self, rig, runs, before):
        self.rig, self.runs, self.before = rig, runs, before
        self.made = None
        self.why = None

    def next(self, what, who):
        """The next run of one contestant: {value, ...}, or a string that says what went wrong."""
        if self.made is None and self.why is None:
            self.why = self._make()
        if self.why:
            return self.why
        results = self.made.get((what, who))
        if not results:
            return f"the machine gave no more runs of {who}"
        result = results.pop(0)
        return f"{who}: {result['failed']}" if "failed" in result else result

    def _make(self):
        command = [str(ROOT / "tests/vm/run"), "--rdma", "rxe:2", "--limit", str(LIMIT_S), "--or-skip", "--",
                   str(ROOT / "bench/rig/verbs_in_vm"), str(self.rig.resolve()), str(self.runs), str(PUTS), str(TRIPS)]
        done = subprocess.run(command, capture_output=True, text=True, preexec_fn=self.before)
        if done.returncode != 0:  # 77: a sentence that begins with "needs"
            said = (done.stdout + done.stderr).strip().splitlines()
            return "in a virtual machine: " + (said[-1] if said else f"exit code {done.returncode}")
        self.made = {}
        for line in done.stdout.splitlines():
            result = json.loads(line)
            self.made.setdefault((result["what"], result["who"]), []).append(result)
        return None
