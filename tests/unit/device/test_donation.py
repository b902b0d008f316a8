"""Whether a donation is worth giving, and what a person is told if it is not."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from projectone.device.donation import check_sound, check_words
from projectone.device.wiring import _distances

RATE = 16_000
TEXT = "the quick brown fox jumps"
WORDS, LETTERS = _distances()


def voice(seconds: float = 2.0, *, peak: float = 0.3, floor: float = 0.0005) -> npt.NDArray[np.float32]:
    """Loud and quiet as syllables are, over a little noise."""
    draw = np.random.default_rng(0)
    moment = np.arange(int(seconds * RATE)) / RATE
    loudness = np.clip(np.sin(2 * np.pi * 2.5 * moment), 0, None) ** 2
    sound = loudness * np.sin(2 * np.pi * 180 * moment) * peak + draw.normal(0, floor, moment.size)
    return sound.astype(np.float32)


@pytest.mark.parametrize(
    ("samples", "reason", "advice"),
    [
        (voice(peak=0.015, floor=0.0), "too-quiet", "come closer"),
        (np.clip(voice(peak=6.0), -1, 1), "clipping", "move back"),
        (voice(peak=0.1, floor=0.03), "noisy", "quieter room"),
        (np.zeros(2 * RATE, dtype=np.float32), "silence", "muted"),
        (np.sin(np.arange(2 * RATE) * 0.2).astype(np.float32) * 0.3, "no-speech", "right microphone"),
        (voice(0.4), "cut-off", "cut off"),
        (voice(50.0), "slow", "only the sentence"),
        (voice(61.0), "too-long", "one sentence at a time"),
        (voice(0.05), "too-short", "press record"),
    ],
)
def test_what_is_wrong_is_named_with_what_to_do(samples: npt.NDArray[np.float32], reason: str, advice: str) -> None:
    finding = check_sound(samples, TEXT)
    assert finding is not None
    assert finding.reason == reason
    assert advice in finding.advice


def test_a_good_recording_passes() -> None:
    assert check_sound(voice(), TEXT) is None


OTHERS = ["seven apples fell", "a cold wind blew over the hill"]


@pytest.mark.parametrize(
    ("heard", "is_fine"),
    [
        ("the quick brown fox jumps", True),
        ("The quick brown box, jumps!", True),
        ("a wick round fogs chumps", True),  # hardly a word is right, and yet it is this sentence
        ("seven apples fell", False),
        ("a cold wind flew over the hill", False),
        ("", False),
    ],
)
def test_the_words_are_those_of_the_script(heard: str, is_fine: bool) -> None:
    finding = check_words(heard, TEXT, others=[TEXT, *OTHERS], word_distance=WORDS, letter_distance=LETTERS)
    assert (finding is None) is is_fine
    assert finding is None or (heard or "nothing") in finding.advice


def test_real_recordings_are_not_sent_back(real_data: Path) -> None:
    clips = [
        (real_data / name, json.loads(line))
        for name in ("an4", "kathleen_arctic", "speechocean762")
        for line in (real_data / name / "manifest.jsonl").read_text().splitlines()
    ]
    wrong = []
    soundfile = pytest.importorskip("soundfile")
    chosen = random.Random(0).sample(clips, 200)
    for folder, row in chosen:
        samples, _ = soundfile.read(folder / row["audio"], dtype="float32")
        finding = check_sound(samples, row["text"])
        wrong += [] if finding is None else [finding.reason]
    assert len(wrong) <= len(chosen) // 100, wrong
