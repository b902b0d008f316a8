"""Implementations take turns, each on one thread, so that a busy moment of the machine hits all of them."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable, Mapping
from typing import Any

import projectone.speech  # noqa: F401  # the BLAS before mlx
from projectone.speech.blas import load_blas

OURS = "projectone"
_TURNS_OF_ALL = 2


class UnsuitedError(Exception):
    """This peer cannot do this work; the message says why."""


Work = Callable[[], object]
Seconds = dict[str, float]


def take_turns(
    works: Mapping[str, Work],
    *,
    n_runs: int,
    n_warm_up: int = 1,
    far_behind: float = math.inf,
    clock: Callable[[], float] = time.process_time,
) -> Seconds:
    """CPU seconds of each work: the best of its turns, because whatever else runs can only add to them.

    Args:
        works: By name.
        n_runs: Turns that count.
        n_warm_up: Turns before them that do not.
        far_behind: A work that took so many times as long as the fastest in two turns that count gets no more of them:
            they would take most of the time, and say nothing new.
        clock: CPU seconds.
    """
    best = dict.fromkeys(works, math.inf)
    for turn in range(n_warm_up + n_runs):
        n_counted, fastest = turn - n_warm_up, min(best.values())
        for name, work in works.items():
            if n_counted >= _TURNS_OF_ALL and best[name] > far_behind * fastest:
                continue
            start = clock()
            work()
            taken = clock() - start
            if n_counted >= 0:
                best[name] = min(best[name], taken)
    return best


def build_peers(
    builders: Mapping[str, Callable[[], Any]], left_out: dict[str, str], *, wanted: bool = True
) -> dict[str, Any]:
    """What each builder gives; those whose library is missing are named in `left_out` with the reason."""
    built = {}
    for name, build in builders.items():
        if not wanted:
            left_out[name] = "not asked for"
            continue
        try:
            built[name] = build()
        except ImportError as error:
            left_out[name] = f"not installed ({error.name})"
        except UnsuitedError as error:
            left_out[name] = str(error)
    return built


def ratios_to_ours(seconds: Seconds) -> Seconds:
    """How many times our time each peer takes: above one, we are faster."""
    return {name: round(taken / seconds[OURS], 2) for name, taken in seconds.items() if name != OURS}


def conditions(**more: object) -> dict[str, object]:
    """What the figures were taken under."""
    return {
        **more,
        "threads": 1,
        "time": "CPU seconds, best of interleaved runs",
        "blas": load_blas().source,
        "machine": platform.machine(),
        "python": platform.python_version(),
    }
