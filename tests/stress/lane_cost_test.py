"""Bounds the instructions that publishing and receiving a 64-byte message take.

    lane_cost_test.py LANE_COST VALGRIND

Instructions, because time says nothing on a busy machine. Run twice with different numbers of
messages: the difference is what a message costs, without start and set-up.
"""

import re
import subprocess
import sys

# Measured with g++ 12.2, -O2: publish 64.6 (16 of them write the bytes), receive 58.0.
PUBLISH_BOUND = 70
RECEIVE_BOUND = 64


def instructions(program, valgrind, what, count):
    run = subprocess.run(
        [valgrind, "--tool=callgrind", "--callgrind-out-file=/dev/null", program, what, str(count)],
        capture_output=True, text=True, check=True)
    return int(re.search(r"Collected : (\d+)", run.stderr).group(1))


def per_message(program, valgrind, what):
    few, many = 6400, 64000
    return (instructions(program, valgrind, what, many) -
            instructions(program, valgrind, what, few)) / (many - few)


def main():
    program, valgrind = sys.argv[1:]
    publish = per_message(program, valgrind, "publish")
    receive = per_message(program, valgrind, "both") - publish
    print(f"publish {publish:.1f} (at most {PUBLISH_BOUND}), "
          f"receive {receive:.1f} (at most {RECEIVE_BOUND}) instructions")
    return 0 if publish <= PUBLISH_BOUND and receive <= RECEIVE_BOUND else 1


sys.exit(main())
