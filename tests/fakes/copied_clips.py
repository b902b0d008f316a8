"""Copies of a recording as somebody would make them who floods a corpus, and the real recordings to make them of."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from projectone.server.sandbox.decode import AudioDecoder
from projectone.waveform.fingerprint import at_speed
from projectone.waveform.resample import to_16k_mono

Samples = npt.NDArray[np.float32]
RATE_HZ = 16_000


def copy_of(clip: Samples, random: np.random.Generator, *, most_speed: float = 0.01) -> Samples:
    """Another loudness, another speed, 30 dB of noise and another encoding: some of the four, never none."""
    chosen = random.random(4) < 0.6
    chosen[random.integers(4)] = True
    copy = clip
    if chosen[0]:
        copy = copy * np.float32(random.uniform(0.1, 0.9) / max(1e-6, float(np.abs(copy).max())))
    if chosen[1]:
        copy = at_speed(copy, 1 + random.uniform(-most_speed, most_speed))
    if chosen[2]:
        level = float(np.sqrt(np.mean(copy**2))) * 10 ** (-30 / 20)
        copy = copy + level * random.standard_normal(copy.size).astype(np.float32)
    return re_encoded(copy, random) if chosen[3] else copy.astype(np.float32)


def re_encoded(clip: Samples, random: np.random.Generator) -> Samples:
    """Through the codec of a telephone, or lossily compressed."""
    kinds = (("WAV", "ULAW"), ("WAV", "ALAW"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"))
    container, codec = kinds[random.integers(len(kinds))]
    file = io.BytesIO()
    soundfile.write(file, np.clip(clip, -1, 1), RATE_HZ, format=container, subtype=codec)
    file.seek(0)
    samples, _ = soundfile.read(file, dtype="float32")
    return np.asarray(samples, np.float32)


def read_clips(data: Path, wanted: Sequence[tuple[str, int]]) -> list[tuple[str, str, Samples]]:
    """Name, text and sound of the first so many recordings of each corpus."""
    found = []
    with AudioDecoder() as decoder:
        for corpus, n in wanted:
            lines = (data / corpus / "manifest.jsonl").read_text().splitlines()[:n]
            for row in map(json.loads, lines):
                path = data / corpus / row["audio"]
                samples, rate = decoder.decode(path.read_bytes(), suffix=path.suffix)
                found.append((f"{corpus}/{row['audio']}", row["text"], to_16k_mono(samples, rate)))
    return found
