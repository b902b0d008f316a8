"""What a person waits for: from the start of the program to the first text, and from a sound to its partial text.

Random weights of whisper's sizes, the same number of tokens for everybody, one thread, a real recording of eleven
seconds (one window). Each start is a fresh process; engines take turns. mlx-whisper is measured as it is shipped (on
the reference BLAS that mlx comes with on Linux) and with the OpenBLAS that we load; faster-whisper in float32 and int8,
each against ours in the same numerics. Above one, a peer takes longer, or more memory, than we do.

Partial text: a recording is fed in real time, a tenth of a second at a time, into the real spool and the real listener.
Latency is from a piece's arrival to the first partial text that is about all of it. The random model writes as many
tokens as people speak; the starter model writes what it hears.

    python benchmarks/device.py [--quick] [--json] [--no-peers] [--size tiny|base|starter] [--feed-s N]
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from peers.starts import ENGINES
from peers.turns import OURS, UnsuitedError, conditions
from peers.whispers import SIZES, random_checkpoint, save_for_ctranslate2, save_for_mlx_whisper

import numpy as np  # isort: skip

from projectone.device.live import Live, Partials, Spools
from projectone.device.live.pauses import level_db
from projectone.device.recordings import Recording
from projectone.speech.checkpoint import WhisperCheckpoint, load_checkpoint, save_checkpoint
from projectone.speech.transcribe import TranscribeOptions, transcribe
from projectone.speech.whisper import ModelDimensions
from projectone.waveform.resample import to_16k_mono

ROOT = Path(__file__).resolve().parents[1]
OUR_INT8 = "projectone int8"
# Each peer against ours in the same numerics.
RIVALS = {
    "mlx_whisper": ("mlx-whisper", OURS),
    "mlx_whisper_our_blas": ("mlx-whisper, our BLAS", OURS),
    "faster_whisper": ("faster-whisper float32", OURS),
    "faster_whisper_int8": ("faster-whisper int8", OUR_INT8),
}
FAR = 4.0
PATIENCE_S = 30.0
PIECE_BYTES = 3200
SPEECH_DB = -50.0
TOKENS_PER_S = 3.5  # of English, as Whisper's vocabulary cuts it
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer tokens, starts and seconds")
    parser.add_argument("--json", action="store_true", help="no table, only the last line")
    parser.add_argument("--no-peers", action="store_true", help="our own time alone")
    parser.add_argument("--size", choices=list(SIZES), default="tiny")
    parser.add_argument("--feed-s", type=float, metavar="N", help="seconds that are fed in real time")
    parser.add_argument(
        "--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder with misc_en/audio/jfk.flac"
    )
    arguments = parser.parse_args()
    n_tokens, n_starts, n_runs, feed_s = (24, 1, 1, 6.0) if arguments.quick else (64, 5, 5, 60.0)
    feed_s = arguments.feed_s or feed_s
    sound, is_real = recording(arguments.data)
    engines = [name for name in ENGINES if not arguments.no_peers or name.startswith(OURS)]
    left_out = {name: "not asked for" for name in ENGINES if name not in engines}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        checkpoint = saved_for_all(SIZES[arguments.size], folder, engines, left_out)
        np.save(folder / "audio.npy", sound[: checkpoint.features.n_samples])
        rows = starts(folder, engines, left_out, n_tokens=n_tokens, n_starts=n_starts, n_runs=n_runs)
        listening = {arguments.size: feed(folder / "random", checkpoint, sound, feed_s, is_random=True)}
        if arguments.size != "starter":
            starter = load_checkpoint(ROOT / "models" / "starter")
            listening["starter model"] = feed(folder / "starter", starter, sound, feed_s, is_random=False)
    for row in rows.values():
        row["realtime_factor"] = row["again_cpu_s"] * 16_000 / min(sound.size, checkpoint.features.n_samples)
    if not arguments.json:
        print_tables(rows, listening, left_out)
    result = {
        "name": "device",
        "ratios": ratios(rows),
        "engines": {name: {key: round(value, 3) for key, value in row.items()} for name, row in rows.items()},
        "partial_latency": listening,
        "left_out": left_out,
        "conditions": conditions(
            size=arguments.size,
            n_tokens=n_tokens,
            n_starts=n_starts,
            feed_s=feed_s,
            is_real_recording=is_real,
            time_of_starts="seconds on the clock, best of fresh processes in turns; the rest CPU seconds",
        ),
    }
    print(json.dumps(result))


def recording(data: Path) -> tuple[np.ndarray, bool]:
    """Eleven seconds of a speech, or noise in the rhythm of one where that is not here; and which of them it is."""
    path = data / "misc_en" / "audio" / "jfk.flac"
    try:
        import soundfile

        samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
        return to_16k_mono(samples, rate_hz).reshape(-1), True
    except (ImportError, OSError, RuntimeError):
        random, n = np.random.default_rng(0), 11 * 16_000
        rhythm = np.repeat(random.uniform(0, 0.3, n // 4000) * (random.random(n // 4000) < 0.7), 4000)
        return (random.standard_normal(n) * rhythm).astype(np.float32), False


def saved_for_all(
    dims: ModelDimensions, folder: Path, engines: list[str], left_out: dict[str, str]
) -> WhisperCheckpoint:
    """The random model in everybody's format; who cannot open it is left out."""
    checkpoint = random_checkpoint(dims)
    eot = checkpoint.tokenizer.eot
    never = (*checkpoint.generation.suppress_tokens, eot)
    checkpoint = replace(checkpoint, generation=replace(checkpoint.generation, suppress_tokens=never))
    save_checkpoint(checkpoint, folder / "hugging-face")
    (folder / "ids.json").write_text(json.dumps({"eot": eot}))
    builders = {
        "mlx-whisper": lambda: save_for_mlx_whisper(checkpoint, folder / "mlx"),
        "faster-whisper float32": lambda: save_for_ctranslate2(folder / "hugging-face", folder / "float32", "float32"),
        "faster-whisper int8": lambda: save_for_ctranslate2(folder / "hugging-face", folder / "int8", "int8"),
    }
    for name, build in builders.items():
        if name not in engines:
            continue
        try:
            build()
        except (ImportError, UnsuitedError) as error:
            for other in [other for other in engines if other.startswith(name)]:
                engines.remove(other)
                left_out[other] = f"not installed ({error.name})" if isinstance(error, ImportError) else str(error)
    return checkpoint


def starts(
    folder: Path, engines: list[str], left_out: dict[str, str], *, n_tokens: int, n_starts: int, n_runs: int
) -> dict[str, Row]:
    """The best of each engine's fresh processes, in turns; who is far behind gets one turn."""
    best: dict[str, Row] = {}
    for turn in range(n_starts):
        for engine in list(engines):
            fastest = min((row["first_s"] for row in best.values()), default=math.inf)
            if turn and best[engine]["first_s"] > FAR * fastest:
                continue
            row = start(folder, engine, n_tokens, n_runs)
            if "missing" in row:
                engines.remove(engine)
                left_out[engine] = f"not installed ({row['missing']})"
                continue
            known = best.setdefault(engine, row)
            best[engine] = {key: min(value, known[key]) for key, value in row.items()}
    return best


def start(folder: Path, engine: str, n_tokens: int, n_runs: int) -> Row:
    command = [sys.executable, str(Path(__file__).parent / "peers" / "starts.py"), engine, str(folder)]
    command += [str(folder / "audio.npy"), str(n_tokens), str(n_runs), repr(time.time())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{engine}: {done.stderr[-2000:]}")
    row: Row = json.loads(done.stdout.splitlines()[-1])
    return row


def feed(home: Path, checkpoint: WhisperCheckpoint, sound: np.ndarray, feed_s: float, *, is_random: bool) -> Row:
    """Speak into a live recording at the speed of speech; how long each tenth of a second waited for its text."""

    def hear(samples: np.ndarray) -> str:
        # Random weights do not end by themselves.
        n_tokens = max(1, round(TOKENS_PER_S * samples.size / 16_000)) if is_random else 224
        options = TranscribeOptions(language="en", temperatures=(0.0,), short_context=True, max_new_tokens=n_tokens)
        return transcribe(checkpoint, samples, options=options).text

    def keep(wav: bytes, said_at: datetime) -> Recording:
        raise AssertionError("nothing is finished here")

    hear(np.zeros(16_000, dtype=np.float32))  # the model is loaded when the microphone is opened
    live = Live(Spools(home), Partials(hear), keep=keep, kept_at=lambda at: None, clock=lambda: datetime.now(UTC))
    pcm = (np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes()
    pcm = (pcm * math.ceil(feed_s * 32_000 / len(pcm)))[: round(feed_s * 32_000)]
    live_id = live.begin()
    waiting: list[tuple[int, float]] = []
    latencies_s: list[float] = []
    began = time.perf_counter()
    for first in range(0, len(pcm), PIECE_BYTES):
        end = min(len(pcm), first + PIECE_BYTES)
        watch(live, live_id, waiting, latencies_s, until_s=began + end / 32_000)
        live.append(live_id, first, pcm[first:end])
        if level_db(pcm[first:end]) > SPEECH_DB:
            waiting.append((end, time.perf_counter()))
    while waiting and time.perf_counter() < began + feed_s + PATIENCE_S:
        watch(live, live_id, waiting, latencies_s, until_s=time.perf_counter() + 0.1)
    live.discard(live_id)
    live.close()
    p50_s, p95_s = np.percentile(latencies_s, [50, 95])
    return {
        "p50_s": round(float(p50_s), 3),
        "p95_s": round(float(p95_s), 3),
        "n_pieces": len(latencies_s),
        "n_never": len(waiting),
    }


def watch(live: Live, live_id: str, waiting: list[tuple[int, float]], found_s: list[float], *, until_s: float) -> None:
    """Note which pieces the newest text is about, until this moment; every five milliseconds, as a fast screen."""
    while (left_s := until_s - time.perf_counter()) > 0:
        n_bytes = live.partial(live_id).n_bytes
        while waiting and waiting[0][0] <= n_bytes:
            found_s.append(time.perf_counter() - waiting.pop(0)[1])
        time.sleep(min(0.005, left_s))


def ratios(rows: dict[str, Row]) -> Row:
    """Each peer against ours in the same numerics."""
    measures = {"ready": "ready_s", "first_transcript": "first_s", "realtime": "again_cpu_s", "memory": "peak_mb"}
    return {
        rival: {name: round(rows[peer][key] / rows[own][key], 2) for name, key in measures.items()}
        for rival, (peer, own) in RIVALS.items()
        if peer in rows and own in rows
    }


def print_tables(rows: dict[str, Row], listening: dict[str, Row], left_out: dict[str, str]) -> None:
    print(f"{'':26} {'ready, s':>9} {'first text, s':>14} {'CPU s per s of sound':>22} {'peak memory, MB':>16}")
    for name, row in rows.items():
        values = f"{row['ready_s']:9.2f} {row['first_s']:14.2f} {row['realtime_factor']:22.4f} {row['peak_mb']:16.0f}"
        print(f"{name:26} {values}")
    for name, row in listening.items():
        print(f"partial text, {name:12} {row['p50_s']:.3f} s in the middle, {row['p95_s']:.3f} s for 95 %")
    for name, reason in left_out.items():
        print(f"{name:26} left out: {reason}")


if __name__ == "__main__":
    main()
