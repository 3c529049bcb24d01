"""What the user sees while the job runs: a table redrawn in place, plain lines, or JSON."""
import json
import sys
import time


def _way(name, way):
    return (f"  {name:10} {way['messages_per_s']:11,.0f} {way['bytes_per_s'] / 1e6:8,.1f} "
            f"{way['p50_ns'] / 1e3:9,.0f} {way['p99_ns'] / 1e3:9,.0f}")


def _drops(drops):
    return ", ".join(f"{reason} {n}" for reason, n in sorted(drops.items()) if n) or "none"


def totals(links, drops):
    """Sums over what both nodes say: (retransmitted, {reason: n})."""
    by_reason = {}
    for node in drops:
        for reason, n in node.items():
            by_reason[reason] = by_reason.get(reason, 0) + n
    return sum(link["retransmitted"] for node in links for link in node), by_reason


class Display:
    def __init__(self, as_json):
        self._json = as_json
        self._redraws = sys.stdout.isatty() and not as_json
        self._drawn = 0
        self._last = 0.0

    def _print(self, text):
        print(text, flush=True)

    def say(self, text):
        """A step of the job, for people only."""
        if not self._json:
            self._print(text)

    def due(self, now):
        """Whether to show these figures: plain lines come once a second, and for the last step."""
        wanted = self._redraws or now["step"] == now["steps"] or time.monotonic() - self._last > 0.9
        if wanted:
            self._last = time.monotonic()
        return wanted

    def progress(self, now, retransmitted, drops):
        if self._json:
            self._print(json.dumps({**now, "retransmitted": retransmitted, "drops": drops}))
            return
        head = f"step {now['step']:5}/{now['steps']}   loss {now['loss']:.4f}   accuracy {now['accuracy']:.3f}"
        if not self._redraws:
            ways = "   ".join(f"{name} {now[name]['messages_per_s']:,.0f}/s {now[name]['bytes_per_s'] / 1e6:,.0f} MB/s "
                              f"p50 {now[name]['p50_ns'] / 1e3:,.0f} p99 {now[name]['p99_ns'] / 1e3:,.0f} us"
                              for name in ("gradients", "weights"))
            self._print(f"{head}   {ways}   resent {retransmitted}   drops {_drops(drops)}")
            return
        lines = ["", f"  {head}", "",
                 f"  {'':10} {'messages/s':>11} {'MB/s':>8} {'p50 us':>9} {'p99 us':>9}   one way",
                 _way("gradients", now["gradients"]), _way("weights", now["weights"]),
                 f"  resent {retransmitted}   drops {_drops(drops)}", ""]
        up = f"\033[{self._drawn}F" if self._drawn else ""
        self._print(up + "\n".join(f"{line}\033[K" for line in lines))
        self._drawn = len(lines)

    def failure(self, sentence):
        """The end, for people (on standard error) and for programs."""
        print(f"failed: {sentence}", file=sys.stderr, flush=True)
        if self._json:
            self._print(json.dumps({"ok": False, "error": sentence}))

    def result(self, result):
        """The end, for programs."""
        if self._json:
            self._print(json.dumps(result))
            return
        word = "ok" if result["ok"] else "not ok"
        self._print(f"{word}: accuracy={result['accuracy']:.3f} "
                    f"weights_identical={'yes' if result['weights_identical'] else 'no'} "
                    f"lost={result['lost']} unaccounted={result['unaccounted']}")
