"""A step on the same packed window, ours beside transformers on torch, in several processes of their own.

Both make the same products on the same window of seven clips, so they are close, and one process differs from the next
by a hundredth whatever it runs. So several processes hold both, which take turns; in every other one theirs goes
first. Of each process the best of the turns counts, in CPU seconds on one thread; shown are the geometric mean of the
ratios and its 95 % interval (Student's t over processes). `train.py` has all other ways to train.

    python benchmarks/windows.py [--quick] [--json] [--no-peers] [--size tiny|base] [--processes N]
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
from typing import Any

from peers.training import CLIP_S, Shape, their_step
from peers.turns import UnsuitedError, conditions, take_turns
from peers.whispers import SIZES
from train import THEIR_WINDOW, WINDOW, our_step

from projectone.server.training.memory import keep_freed_memory

# Of Student's distribution, 97.5 %, by degrees of freedom.
_T = {1: 12.71, 2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26, 11: 2.20}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two processes, few turns: to see that it works")
    parser.add_argument("--json", action="store_true", help="no table, only the last line")
    parser.add_argument("--no-peers", action="store_true", help="nothing to compare: says so")
    parser.add_argument("--size", choices=list(SIZES), default="tiny")
    parser.add_argument("--processes", type=int, default=8, metavar="N", help="(default 8)")
    parser.add_argument("--first", choices=(WINDOW, THEIR_WINDOW), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    n_runs = 1 if arguments.quick else 6
    if arguments.first:
        print(json.dumps(in_turns(arguments.size, arguments.first, n_runs)))
        return
    found: list[dict[str, float]] = []
    left_out: dict[str, str] = {}
    for number in range(0 if arguments.no_peers else 2 if arguments.quick else arguments.processes):
        command = [sys.executable, __file__, "--size", arguments.size, "--first", (WINDOW, THEIR_WINDOW)[number % 2]]
        done = subprocess.run([*command, *["--quick"] * arguments.quick], capture_output=True, text=True, check=True)
        seconds = json.loads(done.stdout.splitlines()[-1])
        if "left_out" in seconds:
            left_out[THEIR_WINDOW] = seconds["left_out"]
            break
        found.append(seconds)
        if not arguments.json:
            print(f"process {number + 1}: {seconds[THEIR_WINDOW] / seconds[WINDOW]:.3f} ({seconds[WINDOW]:.3f} CPU s)")
    if arguments.no_peers:
        left_out[THEIR_WINDOW] = "not asked for"
    result = {"name": "windows", "size": arguments.size, **summary(found), "processes": found, "left_out": left_out}
    print(json.dumps(result | {"conditions": conditions(clip_s=CLIP_S, n_runs=n_runs)}))


def in_turns(size: str, first: str, n_runs: int) -> dict[str, Any]:
    """CPU seconds of either step, in this process."""
    keep_freed_memory()  # as `finetune` does; the peer gets the same
    dims = SIZES[size]
    window = 2 * dims.n_audio_ctx
    packed = Shape(1, window, int(window / 100 // CLIP_S))
    try:
        works = {WINDOW: our_step(dims, packed, "full"), THEIR_WINDOW: their_step(dims, packed)}
    except (ImportError, UnsuitedError) as error:
        return {"left_out": str(error)}
    return take_turns({name: works[name] for name in sorted(works, key=lambda name: name != first)}, n_runs=n_runs)


def summary(found: list[dict[str, float]]) -> dict[str, Any]:
    """How many times as fast ours is: the mean over processes, and what chance explains."""
    logs = [math.log(seconds[THEIR_WINDOW] / seconds[WINDOW]) for seconds in found]
    if not logs:
        return {"ratios": {}, "interval": None}
    mean = statistics.fmean(logs)
    half = math.inf
    if len(logs) > 1:
        t = _T[max(n for n in _T if n < len(logs))]  # of fewer, where it is not listed: wider
        half = t * statistics.stdev(logs) / math.sqrt(len(logs))
    bounds = [round(math.exp(mean + sign * half), 3) if half < math.inf else None for sign in (-1, 1)]
    return {"ratios": {"transformers_window": round(math.exp(mean), 3)}, "interval": bounds}


if __name__ == "__main__":
    main()
