"""Programs that the job starts: each dies with us, logs to a file, and is stopped in good order."""
import ctypes
import json
import os
import pathlib
import signal
import subprocess
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)


class Failed(Exception):
    """What went wrong, as one sentence for the user."""


def adopt_orphans():
    """Whatever our programs leave running becomes our child, so that none can hide."""
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class Program:
    """A running program: JSON lines from its standard output; it ends when its standard input does."""

    def __init__(self, name, command, log):
        self.name = name
        self.log = pathlib.Path(log)
        self._rest = b""
        with open(self.log, "wb") as errors:
            # A session of its own: ^C at the terminal reaches us alone, and we stop in order.
            self._process = subprocess.Popen(
                [str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                start_new_session=True, preexec_fn=_die_with_parent)
        os.set_blocking(self._process.stdout.fileno(), False)

    @property
    def pid(self):
        return self._process.pid

    def fileno(self):
        return self._process.stdout.fileno()

    def last_words(self):
        lines = [s for s in self.log.read_text(errors="replace").splitlines() if s.strip()]
        return lines[-1] if lines else "it said nothing"

    def running(self):
        return self._process.poll() is None

    def check_running(self):
        code = self._process.poll()
        if code is not None:
            how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            raise Failed(f"{self.name} ended early ({how}): {self.last_words()}")

    def read(self):
        """The JSON objects that have come since the last call."""
        try:
            while chunk := os.read(self.fileno(), 65536):
                self._rest += chunk
        except BlockingIOError:
            pass
        *lines, self._rest = self._rest.split(b"\n")
        return [json.loads(s) for s in lines if s.strip()]

    def finish(self, timeout_s):
        """Tells a client by closing its standard input that it may go, and waits until it has."""
        self._process.stdin.close()
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name} did not end within {timeout_s} s") from None
        if code != 0:
            raise Failed(f"{self.name} ended with exit code {code}: {self.last_words()}")

    def kill(self):
        self._process.kill()
        self._process.wait()

    def stop(self, deadline):
        """Asks it to go; kills it at `deadline`. Never raises. False when it had to be killed."""
        if self._process.poll() is not None:
            return True
        self._process.terminate()
        try:
            self._process.wait(max(0.1, deadline - time.monotonic()))
            return True
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            return False


def query(command, timeout_s=10):
    """Runs a command that answers in JSON."""
    try:
        done = subprocess.run([str(c) for c in command], capture_output=True, timeout=timeout_s, text=True,
                              stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_die_with_parent)
    except subprocess.TimeoutExpired:
        raise Failed(f"'{' '.join(map(str, command))}' did not answer within {timeout_s} s") from None
    if done.returncode != 0:
        raise Failed(f"'{' '.join(map(str, command))}' failed: {done.stderr.strip() or done.returncode}")
    return json.loads(done.stdout)


def reap_strays():
    """Kills what our programs left running; returns how many there were."""
    strays = set()
    while True:
        for entry in pathlib.Path("/proc/self/task").glob("*/children"):
            for pid in map(int, entry.read_text().split()):
                os.kill(pid, signal.SIGKILL)
                strays.add(pid)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return len(strays)
