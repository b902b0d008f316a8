"""Fifty devices that send at once: acknowledged uploads in a second, how long each waits, and what the server computes.

Every upload is a signed clip of 480 kB that is checked, sealed, flushed with its folder and committed with its consent
before it is acknowledged. The devices send what they prepared before, from one other process on the same machine; the
first part gives each its next upload when the last one is answered, the second one lets a fixed number come due in
each second, and a wait is counted from the moment at which an upload was due. Devices count as many addresses on Linux.

    python benchmarks/load.py [--quick] [--json] [--devices N] [--uploads N] [--per-s N]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from peers.senders import Sent, cpu_of, send
from peers.uploads import Server, Uploader, our_server

from projectone.waveform.wav import encode_wav

RATE_HZ = 16_000
CLIP_S = 15  # 480 kB
MOST = "as fast as they are answered"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few uploads, to see that it works")
    parser.add_argument("--json", action="store_true", help="no table, only the last line")
    parser.add_argument("--no-peers", action="store_true", help="changes nothing: there are none here")
    parser.add_argument("--devices", type=int, default=50, help="devices at once (default: %(default)s)")
    parser.add_argument("--uploads", type=int, default=200, help="uploads of each (default: %(default)s)")
    parser.add_argument("--per-s", type=float, default=100.0, help="uploads due in a second (default: %(default)s)")
    arguments = parser.parse_args()
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
            "cores": os.cpu_count(),
            "machine": platform.machine(),
            "python": platform.python_version(),
        },
    }
    print(json.dumps(result))


def clips_of(n_clips: int) -> list[bytes]:
    """Noise, as WAV files, no two alike: what is said in them is judged later, by the worker."""
    random = np.random.default_rng(61)
    return [encode_wav(0.1 * random.standard_normal(CLIP_S * RATE_HZ, np.float32)) for _ in range(n_clips)]


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


if __name__ == "__main__":
    main()
