"""Fifty devices that send at once: acknowledged uploads in a second, how long each waits, and what the server computes.

Every upload is a signed clip of 480 kB that is checked, sealed, flushed with its folder and committed with its consent
before it is acknowledged. The devices send what they prepared before, from one other process on the same machine; the
first part gives each its next upload when the last one is answered, the second one lets a fixed number come due in
each second, and a wait is counted from the moment at which an upload was due. Devices count as many addresses on Linux.

With `--flood` there are two: an honest device with an upload due each half second, alone and beside one that asks for
ten times its quota over all the lines that it may hold, a minute of each in turn, so that the quota is whole again.

    python benchmarks/load.py [--quick] [--json] [--devices N] [--uploads N] [--per-s N]
    python benchmarks/load.py --flood [--quick] [--json] [--rounds N]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from peers.flood import Answered, Device, send_together
from peers.senders import Sent, cpu_of, send
from peers.uploads import Server, Uploader, our_server

from projectone.server.api.quotas import QuotaLimits
from projectone.waveform.wav import encode_wav

RATE_HZ = 16_000
CLIP_S = 15  # 480 kB
MOST = "as fast as they are answered"
TIMES_QUOTA = 10
MINUTE_S = 60.0
HONEST_PER_S = 2.0
REFUSED = "429"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few uploads, to see that it works")
    parser.add_argument("--json", action="store_true", help="no table, only the last line")
    parser.add_argument("--no-peers", action="store_true", help="changes nothing: there are none here")
    parser.add_argument("--devices", type=int, default=50, help="devices at once (default: %(default)s)")
    parser.add_argument("--uploads", type=int, default=200, help="uploads of each (default: %(default)s)")
    parser.add_argument("--per-s", type=float, default=100.0, help="uploads due in a second (default: %(default)s)")
    parser.add_argument("--flood", action="store_true", help="an honest device, alone and beside a greedy one")
    parser.add_argument("--rounds", type=int, default=3, help="of --flood, two minutes each (default: %(default)s)")
    arguments = parser.parse_args()
    if arguments.flood:
        print_flood(run_flood(arguments.rounds, is_quick=arguments.quick), is_json=arguments.json)
        return
    if arguments.quick:
        arguments.devices, arguments.uploads, arguments.per_s = 6, 4, 20.0
    parts = {}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        with our_server(folder / "home") as server:
            known = [Uploader(server, folder / "home", number) for number in range(arguments.devices)]
            clips = clips_of(arguments.devices)
            for name, per_s in ((MOST, 0.0), (f"{arguments.per_s:g} due in a second", arguments.per_s)):
                devices = [one.prepare(arguments.uploads, clip) for one, clip in zip(known, clips, strict=True)]
                with cpu_of(server.pid) as cpu_s:
                    sent = send(folder / name, server.address, devices, per_s=per_s)
                parts[name] = figures(sent, cpu_s)
            peak_mb = peak_mb_of(server)
    if not arguments.json:
        print_table(parts, peak_mb)
    result = {
        "name": "load",
        "ratios": {},
        "parts": parts,
        "server_peak_mb": peak_mb,
        "conditions": {
            "devices": arguments.devices,
            "uploads_each": arguments.uploads,
            "upload_bytes": 44 + 2 * CLIP_S * RATE_HZ,
            **conditions(),
        },
    }
    print(json.dumps(result))


def run_flood(n_rounds: int, *, is_quick: bool) -> dict[str, Any]:
    """Rounds of an honest device alone and beside a flood, on one server."""
    limits = QuotaLimits()
    n_honest, honest_per_s, clip_s = int(HONEST_PER_S * MINUTE_S), HONEST_PER_S, CLIP_S
    n_greedy, greedy_per_s = TIMES_QUOTA * limits.device, TIMES_QUOTA * limits.device / MINUTE_S
    if is_quick:  # once, a little more than the quota as fast as it is answered, and short clips
        n_rounds, n_honest, honest_per_s, clip_s = 1, 20, 8.0, 0.5
        n_greedy, greedy_per_s = limits.device + 200, 1000.0
    alone: list[list[Answered]] = []
    beside: list[list[Answered]] = []
    floods: list[list[Answered]] = []
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        with our_server(folder / "home") as server:
            known = [Uploader(server, folder / "home", number) for number in range(2)]
            clips = clips_of(2, clip_s)

            def honest() -> Device:
                return Device(known[0].prepare(n_honest, clips[0]), honest_per_s, MINUTE_S)

            for number in range(n_rounds):
                alone += send_together(folder / f"alone-{number}", server.address, [honest()])
                greedy = Device(known[1].prepare(n_greedy, clips[1]), greedy_per_s, MINUTE_S, limits.open_requests)
                both = send_together(folder / f"beside-{number}", server.address, [honest(), greedy])
                beside.append(both[0])
                floods.append(both[1])
    return flood_report(alone, beside, floods) | {
        "conditions": {
            "upload_bytes": 44 + 2 * int(clip_s * RATE_HZ),
            "quota_per_minute": limits.device,
            "greedy_lines": limits.open_requests,
            "honest_per_s": honest_per_s,
            **conditions(),
        }
    }


def flood_report(
    alone: list[list[Answered]], beside: list[list[Answered]], floods: list[list[Answered]]
) -> dict[str, Any]:
    """The honest device's waits without and with a flood, and what the flood got; a list for each round."""
    ends_s = [served_until_s(flood) for flood in floods]
    told = [(one, one.due_s < end_s) for row, end_s in zip(beside, ends_s, strict=True) for one in row]
    parts = {
        "alone": waits([*chain(*alone)]),
        "beside the flood": waits([one for one, _ in told]),
        "of these, while it was served": waits([one for one, is_served in told if is_served]),
        "of these, while it was refused": waits([one for one, is_served in told if not is_served]),
    }
    asked = [*chain(*floods)]
    refused = [one for one in asked if one.status == REFUSED]
    before, after = parts["alone"], parts["beside the flood"]
    return {
        "name": "load --flood",
        "ratios": {f"honest_{name}": round(after[f"{name}_ms"] / before[f"{name}_ms"], 2) for name in ("p50", "p99")},
        "honest": parts,
        "p99_ms_of_each_round": [[waits(row)["p99_ms"] for row in both] for both in zip(alone, beside, strict=True)],
        "flood": {
            "asked": len(asked),
            "statuses": dict(Counter(one.status for one in asked)),
            "refused_share": round(len(refused) / len(asked), 4),
            "refusals_with_retry_after": sum(one.says_when for one in refused),
            "served_until_s": [round(end_s, 1) for end_s in ends_s],
        },
    }


def served_until_s(flood: list[Answered]) -> float:
    """When its quota was used up: from there on ten in a row were refused (a single one had too many lines)."""
    answers = sorted(flood, key=lambda one: one.due_s + one.wait_s)
    for first in range(len(answers) - 9):
        if all(one.status == REFUSED for one in answers[first : first + 10]):
            return answers[first].due_s + answers[first].wait_s
    return answers[-1].due_s + answers[-1].wait_s


def waits(answers: list[Answered]) -> dict[str, Any]:
    """How long answers took, and which they were."""
    if not answers:
        return {"n": 0}
    ms = sorted(1000 * one.wait_s for one in answers)
    return {
        "n": len(ms),
        "p50_ms": round(statistics.median(ms), 1),
        "p99_ms": round(ms[min(len(ms) - 1, int(0.99 * len(ms)))], 1),
        "longest_ms": round(ms[-1], 1),
        "statuses": dict(Counter(one.status for one in answers)),
    }


def conditions() -> dict[str, Any]:
    return {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}


def clips_of(n_clips: int, duration_s: float = CLIP_S) -> list[bytes]:
    """Noise, as WAV files, no two alike: what is said in them is judged later, by the worker."""
    random = np.random.default_rng(61)
    n_samples = int(duration_s * RATE_HZ)
    return [encode_wav(0.1 * random.standard_normal(n_samples, np.float32)) for _ in range(n_clips)]


def figures(sent: Sent, cpu_s: list[float]) -> dict[str, Any]:
    """What is told of one part."""
    n_uploads = len(sent.waits_s)
    user_s, kernel_s = cpu_s
    return {
        "uploads": n_uploads,
        "uploads_per_s": round(sent.per_s, 1),
        "p50_ms": round(sent.wait_ms(0.5), 1),
        "p99_ms": round(sent.wait_ms(0.99), 1),
        "longest_ms": round(1000 * sent.waits_s[-1], 1),
        "statuses": sent.statuses,
        "server_cpu_ms_per_upload": round(1000 * (user_s + kernel_s) / n_uploads, 2),
        "of_it_in_the_kernel_ms": round(1000 * kernel_s / n_uploads, 2),
        "client_cpu_ms_per_upload": round(1000 * sent.client_cpu_s / n_uploads, 2),
    }


def peak_mb_of(server: Server) -> float | None:
    """The most memory that the server ever held; None where the system does not say."""
    status = Path(f"/proc/{server.pid}/status")
    if not status.exists():
        return None
    (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
    return round(int(line.split()[1]) / 1024, 1)


def print_table(parts: dict[str, dict[str, Any]], peak_mb: float | None) -> None:
    print(f"{'':30} {'uploads/s':>10} {'p50 ms':>8} {'p99 ms':>8} {'CPU ms':>8}  statuses")
    for name, found in parts.items():
        cost_ms = found["server_cpu_ms_per_upload"]
        print(
            f"{name:30} {found['uploads_per_s']:10.1f} {found['p50_ms']:8.1f} {found['p99_ms']:8.1f} {cost_ms:8.2f}"
            f"  {found['statuses']}"
        )
    print(f"the server's memory at most: {peak_mb} MB")


def print_flood(result: dict[str, Any], *, is_json: bool) -> None:
    if not is_json:
        print(f"{'the honest device':32} {'uploads':>8} {'p50 ms':>8} {'p99 ms':>8} {'longest':>8}  statuses")
        for name, found in result["honest"].items():
            if found["n"]:
                numbers = " ".join(f"{found[key]:8.1f}" for key in ("p50_ms", "p99_ms", "longest_ms"))
                print(f"{name:32} {found['n']:8} {numbers}  {found['statuses']}")
        flood = result["flood"]
        print(f"the flood asked {flood['asked']} times, {flood['refused_share']:.0%} refused: {flood['statuses']}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
