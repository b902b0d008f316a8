"""How fast samples come in and are judged: acknowledged uploads over HTTP, and hours of sound validated in a minute.

An upload of ours is signed, checked, decoded, re-encoded, flushed with its folder, and committed with its consent
before it is acknowledged. It stands beside a server that writes as tusd does (tmp and rename, no flush, no checks) and
beside what the disk gives to one writer that flushes. Validation stands beside the plain script with soundfile, librosa
and WebRTC's detector, and beside one that finds the same kinds of figures (`peers/plain_script.py`); ours is timed
with the fingerprints that copies are found by, too, which no script has. Figures are wall-clock seconds of interleaved
runs, the best of each; a machine that does more than this gives no figures. `--memory` measures how much memory
a process takes that reads a corpus from its rows and validates it, from 100 samples up.

    python benchmarks/ingest.py [--quick] [--json] [--no-peers] [--memory] [--only uploads|validation]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from peers.corpora import a_corpus
from peers.plain_script import plain_script, thorough_script
from peers.senders import cpu_of, send
from peers.turns import build_peers
from peers.uploads import (
    Prepared,
    Server,
    Uploader,
    bare_uploads,
    durable_writes_per_s,
    our_server,
    server_without_fsync,
)

from projectone.contracts.base import sha256_hex
from projectone.server.work.look import Question
from projectone.server.work.looking import Looker
from projectone.server.work.sealed_pool import SealedPool
from projectone.waveform.wav import encode_wav

RATE_HZ = 16_000
UPLOAD_S = 15  # 480 kB
N_DEVICES = 4
TEXT = "the quick brown fox jumps over the lazy dog"
OURS = "projectone"
SCRIPT, THOROUGH = "plain script", "script, same kinds of figures"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few clips, to see that it works")
    parser.add_argument("--json", action="store_true", help="no table, only the last line")
    parser.add_argument("--no-peers", action="store_true", help="our own figures alone")
    parser.add_argument("--only", choices=["uploads", "validation"], help="one half alone")
    parser.add_argument("--memory", action="store_true", help="also the memory that validation takes")
    parser.add_argument("--measure-memory", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure_memory is not None:
        print(json.dumps({"peak_mb": peak_of_looking(arguments.measure_memory)}))
        return
    n_runs, n_uploads, n_minutes = (1, 12, 12) if arguments.quick else (5, 400, 120)
    left_out: dict[str, str] = {}
    uploads, cpu_ms, validation = {}, {}, {}
    with tempfile.TemporaryDirectory() as folder:
        if arguments.only != "validation":
            uploads, cpu_ms = measure_uploads(Path(folder), n_uploads, n_runs, has_peers=not arguments.no_peers)
        if arguments.only != "uploads":
            validation = measure_validation(Path(folder), n_minutes, n_runs, left_out, has_peers=not arguments.no_peers)
    memory = memory_by_size((100, 2_000) if arguments.quick else (100, 10_000, 100_000)) if arguments.memory else {}
    if not arguments.json:
        print_table(uploads, validation, memory, left_out)
    result = {
        "name": "ingest",
        "ratios": ratios(uploads, validation),  # above one: we are faster
        "uploads_per_s": {name: round(rate, 1) for name, rate in uploads.items()},
        "server_cpu_ms_per_upload": {name: round(cost, 2) for name, cost in cpu_ms.items()},
        "audio_hours_per_minute": {name: round(rate, 2) for name, rate in validation.items()},
        "peak_mb_by_samples": memory,
        "left_out": left_out,
        "conditions": {
            "upload_bytes": 44 + 2 * UPLOAD_S * RATE_HZ,
            "devices_at_once": N_DEVICES,
            "minutes_of_sound": n_minutes,
            "n_runs": n_runs,
            "cores": os.cpu_count(),
            "time": "wall-clock seconds, best of interleaved runs",
            "machine": platform.machine(),
            "python": platform.python_version(),
        },
    }
    print(json.dumps(result))


def clips_of(n_clips: int, duration_s: float, seed: int = 0) -> list[bytes]:
    """Babble that passes for speech, as WAV files, no two alike."""
    random = np.random.default_rng(seed)
    return [encode_wav(babble(random, int(duration_s * RATE_HZ))) for _ in range(n_clips)]


def babble(random: np.random.Generator, n_samples: int) -> npt.NDArray[np.float32]:
    """Syllables of a fifth of a second with a gliding pitch and three formants; one place in five is empty."""
    n_syllable = RATE_HZ // 5
    time_s = np.arange(n_syllable) / RATE_HZ
    harmonics = np.arange(1, 26)[:, None]
    sound = np.zeros((n_samples // n_syllable + 1, n_syllable))
    for syllable in sound:
        pitch_hz = np.linspace(*random.uniform(90, 220, 2), n_syllable)
        formants_hz = random.uniform((300, 900, 2200), (800, 2200, 3000))
        if random.random() < 0.2:
            continue
        weights = sum(1 / (1 + ((harmonics * pitch_hz.mean() - formant_hz) / 90) ** 2) for formant_hz in formants_hz)
        voice = weights * np.sin(harmonics * 2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ)
        syllable += np.sin(np.pi * time_s * 5) * voice.sum(axis=0)
    spoken = sound.ravel()[:n_samples]
    loud: npt.NDArray[np.float64] = 0.3 * spoken / np.abs(spoken).max() + 0.001 * random.standard_normal(n_samples)
    return loud.astype(np.float32)


def measure_uploads(
    folder: Path, n_uploads: int, n_runs: int, *, has_peers: bool
) -> tuple[dict[str, float], dict[str, float]]:
    """Acknowledged clips in a second, and what the server computed for one in milliseconds, by who acknowledges them.

    Whatever a device computes was computed before, and it sends from a process of its own.
    """
    best: dict[str, float] = {}
    cost_ms: dict[str, float] = {}
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(our_server(folder / "home"))
        known = [Uploader(ours, folder / "home", number) for number in range(N_DEVICES)]
        servers: dict[str, tuple[Server, Callable[[int, int, bytes], Prepared]]] = {
            OURS: (ours, lambda number, n_each, clip: known[number].prepare(n_each, clip))
        }
        if has_peers:
            other = stack.enter_context(server_without_fsync(folder / "unsafe"))
            prepare = lambda number, n_each, clip: bare_uploads(other, n_each, clip)  # noqa: E731
            servers["tmp and rename, no fsync"] = (other, prepare)
        for run in range(n_runs):
            clips = clips_of(N_DEVICES, UPLOAD_S, seed=run)
            for turn, (name, (server, prepare)) in enumerate(servers.items()):
                devices = [prepare(number, n_uploads // N_DEVICES, clip) for number, clip in enumerate(clips)]
                with cpu_of(server.pid) as cpu_s:
                    sent = send(folder / f"requests-{run}-{turn}", server.address, devices)
                assert set(sent.statuses) == {"201"}, f"{name}: {sent.statuses}"
                best[name] = max(best.get(name, 0.0), sent.per_s)
                cost_ms[name] = min(cost_ms.get(name, math.inf), 1000 * sum(cpu_s) / len(sent.waits_s))
            rate = durable_writes_per_s(folder / "disk", clips * (n_uploads // N_DEVICES))
            best["the disk itself"] = max(best.get("the disk itself", 0.0), rate)
    return best, cost_ms


def measure_validation(
    folder: Path, n_minutes: int, n_runs: int, left_out: dict[str, str], *, has_peers: bool
) -> dict[str, float]:
    """Hours of sound judged in a minute; the first turn, in which processes start, does not count."""
    clips = {sha256_hex(clip): clip for clip in clips_of(n_minutes * 6, 10, seed=99)}
    (folder / "clips").mkdir()
    for sha256, clip in clips.items():
        (folder / "clips" / f"{sha256}.wav").write_bytes(clip)
    paths = sorted((folder / "clips").iterdir())
    path_of = {path.stem: path for path in paths}
    builders = {SCRIPT: plain_script, THOROUGH: lambda: thorough_script(TEXT)}
    peers = build_peers(builders, left_out, wanted=has_peers)

    def read(sha256: str) -> bytes:
        content = path_of[sha256].read_bytes()
        assert sha256_hex(content) == sha256
        return content

    with Looker(read, n_remembered=0) as many, Looker(read, engine=SealedPool(1), n_remembered=0) as one:
        works: dict[str, Callable[[], list[str | None]]] = {
            OURS: lambda: judge_all(many, paths),
            f"{OURS}, one process": lambda: judge_all(one, paths),
            f"{OURS}, and fingerprints": lambda: judge_all(many, paths, wants_fingerprint=True),
            **{name: lambda peer=peer: peer(paths) for name, peer in peers.items()},
        }
        best = dict.fromkeys(works, 0.0)
        for run in range(1 + n_runs):
            for name, work in works.items():
                start = time.perf_counter()
                reasons = work()
                taken_s = time.perf_counter() - start
                assert reasons == [None] * len(paths), f"{name} refused a clip"
                if run > 0:
                    best[name] = max(best[name], n_minutes / taken_s)  # minutes a second are hours a minute
    return best


def judge_all(looker: Looker, paths: list[Path], *, wants_fingerprint: bool = False) -> list[str | None]:
    questions = (Question(path.stem, TEXT, wants_fingerprint=wants_fingerprint) for path in paths)
    return [answer.findings.discard for answer in looker.look_at(questions)]


def memory_by_size(sizes: tuple[int, ...]) -> dict[str, float]:
    """Peak memory of a process that looks at so many samples."""
    found = {}
    for size in sizes:
        command = [sys.executable, __file__, "--measure-memory", str(size)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found[str(size)] = json.loads(done.stdout)["peak_mb"]
    return found


def peak_of_looking(n_samples: int) -> float:
    """In MB, this process's, after it read a corpus of so many samples in pages and looked at every one of them."""
    clips = {sha256_hex(clip): clip for clip in clips_of(50, 1.0)}
    with (
        tempfile.TemporaryDirectory() as folder,
        a_corpus(Path(folder) / "home", n_samples, list(clips), 1.0) as catalog,
        Looker(clips.__getitem__) as looker,
    ):
        questions = (
            Question(row.clip_sha256, row.text, row.language, row.heard)
            for page in catalog.usable_pages()
            for row in page
        )
        n_looked_at = sum(1 for _ in looker.look_at(questions))
        assert n_looked_at == looker.n_decoded == n_samples
    return peak_mb()


def peak_mb() -> float:
    """The most that this process ever held; what `getrusage` says begins with what its parent held."""
    status = Path("/proc/self/status")
    if not status.exists():
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 1)  # bytes on macOS
    (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
    return round(int(line.split()[1]) / 1024, 1)


def ratios(uploads: dict[str, float], validation: dict[str, float]) -> dict[str, float]:
    found = {}
    if uploads:
        found["uploads_vs_the_disk_itself"] = uploads[OURS] / uploads["the disk itself"]
    if "tmp and rename, no fsync" in uploads:
        found["uploads_vs_no_fsync"] = uploads[OURS] / uploads["tmp and rename, no fsync"]
    for name, script in (("validation_vs_plain_script", SCRIPT), ("validation_vs_same_figures", THOROUGH)):
        if script in validation:
            found[name] = validation[OURS] / validation[script]
            found[f"{name}_one_process"] = validation[f"{OURS}, one process"] / validation[script]
    return {name: round(ratio, 2) for name, ratio in found.items()}


def print_table(
    uploads: dict[str, Any], validation: dict[str, Any], memory: dict[str, float], left_out: dict[str, str]
) -> None:
    print(f"{'':28} {'uploads/s':>10}")
    for name, rate in uploads.items():
        print(f"{name:28} {rate:10.1f}")
    print(f"\n{'':28} {'hours/min':>10}")
    for name, rate in validation.items():
        print(f"{name:28} {rate:10.2f}")
    for size, peak_mb in memory.items():
        print(f"{size + ' samples':28} {peak_mb:10.1f} MB")
    for name, reason in left_out.items():
        print(f"{name:28} left out: {reason}")


if __name__ == "__main__":
    main()
