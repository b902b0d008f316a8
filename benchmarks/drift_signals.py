"""What a device counts of real speech under the starter model: of clips as they are, and of harmed ones.

Decoding takes minutes and resampling into weeks takes none, so what was measured is kept in a file: one line for each
clip and harm, with its speaker and its class in every histogram.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from projectone.device.engine import load_engine
from projectone.device.heard import TEXT_ONLY, Heard
from projectone.device.quality.measures import measure, measure_correction
from projectone.speech.checkpoint import load_checkpoint, save_checkpoint
from projectone.speech.normalize import normalize_text
from projectone.speech.wer import word_errors

Samples = npt.NDArray[np.float32]
Chance = np.random.Generator
RATE_HZ = 16_000
_N_SPEAKERS = {"an4": 40, "kathleen_arctic": 1, "misc_en": 3}
_N_CLIPS = {"an4": 14, "kathleen_arctic": 60, "misc_en": 20}
_MOST_CORRECTED = 0.5
_WEIGHT_NOISE = 0.45


@dataclass(frozen=True)
class Measured:
    """One clip under one harm: whose it is, and its class in each histogram it tells of."""

    harm: str
    speaker: str
    bins: dict[str, int]


def stretched(samples: Samples, factor: float) -> Samples:
    """Played so many times as fast, and as high."""
    times = np.arange(int(len(samples) / factor)) * factor
    return np.interp(times, np.arange(len(samples)), samples).astype(np.float32)


def noisy(samples: Samples, chance: Chance) -> Samples:
    """Under white noise 10 dB below the speech."""
    level = np.sqrt(np.mean(samples**2) + 1e-12) * 10 ** (-10 / 20)
    return (samples + level * chance.standard_normal(len(samples))).astype(np.float32)


HARMS: dict[str, Callable[[Samples, Chance], Samples]] = {
    "none": lambda samples, chance: samples,
    "noise, 10 dB": noisy,
    "second half missing": lambda samples, chance: samples[: max(1_600, len(samples) // 2)],
    "wrong sample rate": lambda samples, chance: stretched(samples, 2.0),
    "silence": lambda samples, chance: (3e-4 * chance.standard_normal(len(samples))).astype(np.float32),
    "30 % faster": lambda samples, chance: stretched(samples, 1.3),
    "clipped": lambda samples, chance: np.clip(8 * samples / (np.abs(samples).max() + 1e-9), -1, 1),
    "gibberish": lambda samples, chance: np.ascontiguousarray(samples[::-1]),
}
WORSE_MODEL = "worse model"
OTHER_ACCENT = "other accent"
MORE_EDITS = "more is corrected"


def read_signals(path: Path) -> list[Measured]:
    """What was measured before."""
    return [Measured(**json.loads(line)) for line in path.read_text().splitlines()]


def measure_signals(model: Path, data: Path, path: Path, *, n_speakers: int | None, say: Callable[[str], None]) -> None:
    """Measure every harm, and keep it in `path`."""
    usual = list(_clips(data, _N_SPEAKERS, _N_CLIPS, n_speakers))
    accent = list(_clips(data, {"speechocean762": 60}, {"speechocean762": 8}, n_speakers))
    rows: list[Measured] = []
    engine = load_engine(model, language="en", numerics="float32")
    try:
        for harm, change in HARMS.items():
            rows += _measured(engine, harm, usual, change)
            say(f"{harm}: {len(usual)} clips")
        rows += _measured(engine, OTHER_ACCENT, accent, HARMS["none"])
        rows += _measured(engine, MORE_EDITS, usual, HARMS["none"], more_edits=True)
        say(f"{OTHER_ACCENT}: {len(accent)} clips")
    finally:
        engine.close()
    worse = load_engine(_worse(model, path.with_suffix(".model")), language="en", numerics="float32")
    try:
        rows += _measured(worse, WORSE_MODEL, usual, HARMS["none"])
    finally:
        worse.close()
    path.write_text("".join(json.dumps(asdict(row)) + "\n" for row in rows))


def _clips(
    data: Path, n_speakers: dict[str, int], n_clips: dict[str, int], at_most: int | None
) -> Iterator[tuple[str, Samples, str]]:
    """Speaker, sound and text, of speakers who gave at least five clips."""
    chance = np.random.default_rng(4)
    for folder, wanted in n_speakers.items():
        rows = [json.loads(line) for line in (data / folder / "manifest.jsonl").read_text().splitlines()]
        by_speaker: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            by_speaker.setdefault(row["speaker"], []).append(row)
        many = sorted(speaker for speaker, clips in by_speaker.items() if len(clips) >= 5)
        chosen = chance.permutation(len(many))[: min(wanted, at_most or wanted)]
        for speaker in (many[place] for place in chosen):
            clips = by_speaker[speaker]
            for place in chance.permutation(len(clips))[: min(n_clips[folder], 5 if at_most else 1_000)]:
                samples, rate = soundfile.read(data / folder / clips[place]["audio"], dtype="float32")
                assert rate == RATE_HZ, "the collection is at 16 kHz"
                yield f"{folder} {speaker}", samples, clips[place]["text"]


def _measured(
    engine: Any,  # noqa: ANN401 - as `load_engine` gives it
    harm: str,
    clips: Iterable[tuple[str, Samples, str]],
    change: Callable[[Samples, Chance], Samples],
    *,
    more_edits: bool = False,
) -> list[Measured]:
    chance, rows = np.random.default_rng(5), []
    for speaker, original, said in clips:
        samples = change(original, chance)
        began = time.process_time()
        heard = engine.transcribe(samples, TEXT_ONLY)
        took_s = time.process_time() - began
        bins = dict(measure(Heard(heard.text, "1.0.0", (), heard.signals, took_s), samples))
        wrong = _distance(said, heard.text)
        if 0 < wrong <= _MOST_CORRECTED and heard.text.strip():  # people correct what is nearly right
            corrected = _rewritten(said, chance) if more_edits else said
            bins |= measure_correction(heard.text, corrected, _distance)
        rows.append(Measured(harm, speaker, {name: int(bin_) for name, bin_ in bins.items()}))
    return rows


def _distance(said: str, heard: str) -> float:
    return word_errors(normalize_text(said), normalize_text(heard)).rate


def _rewritten(text: str, chance: Chance) -> str:
    """With two words of five changed: people rewrite what they said."""
    words: Sequence[str] = text.split()
    return " ".join("otherwise" if chance.random() < 0.4 else word for word in words)


def _worse(model: Path, folder: Path) -> Path:
    """A copy of the model with noise on every matrix."""
    import mlx.core as mx
    from mlx.utils import tree_flatten, tree_unflatten

    checkpoint, chance = load_checkpoint(model), np.random.default_rng(6)
    changed = []
    for name, values in tree_flatten(checkpoint.model.parameters()):
        noise = chance.standard_normal(values.shape) * float(mx.std(values.astype(mx.float32))) * _WEIGHT_NOISE
        changed.append(
            (name, values + mx.array(noise.astype(np.float32)).astype(values.dtype) if values.ndim > 1 else values)
        )
    checkpoint.model.update(tree_unflatten(changed))
    save_checkpoint(checkpoint, folder)
    return folder
