"""Bad clips get their reason; real ones are let through."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.hostile.audio_families import speechlike

from projectone.server.corpus.validation import examine
from projectone.server.sandbox.decode import AudioDecoder
from projectone.waveform.quality import Quality, judge_quality, measure_quality, why_unusable
from projectone.waveform.resample import to_16k_mono
from projectone.waveform.wav import encode_wav, parse_wav, pcm16_of, read_header, read_samples

RANDOM = np.random.default_rng(0)
T = np.arange(16000) / 16000


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (np.array([np.nan] * 4000, np.float32), "not-finite"),
        (speechlike(RANDOM)[:1599], "too-short"),
        (np.zeros(16000, np.float32), "silence"),
        (np.full(16000, 0.4, np.float32), "dc-offset"),
        (np.full(16000, 0.1, np.float32), "silence"),
        (np.sign(np.sin(2 * np.pi * 200 * T)).astype(np.float32), "clipping"),
        (np.sin(2 * np.pi * 50 * T).astype(np.float32) * 0.3, "no-speech"),
        (RANDOM.normal(0, 0.1, 16000).astype(np.float32), "no-speech"),
        (np.where(np.arange(16000) == 8000, 0.9, 0.0).astype(np.float32), "no-speech"),
    ],
)
def test_a_bad_clip_gets_its_reason(samples: np.ndarray, reason: str) -> None:
    assert why_unusable(samples) == reason


def test_something_like_speech_is_let_through_loud_or_quiet() -> None:
    for gain in (0.02, 0.3, 1.5):
        assert why_unusable(np.clip(speechlike(RANDOM) * gain, -1, 1)) is None


def test_the_figures_are_what_they_say() -> None:
    quality = measure_quality((0.5 * np.sin(2 * np.pi * 200 * T) + 0.1).astype(np.float32))
    assert quality.duration_s == 1.0
    assert quality.peak_db == pytest.approx(-6.02, abs=0.05)
    assert quality.level_db == pytest.approx(-9.03, abs=0.05)
    assert quality.dc_offset == pytest.approx(0.1, abs=1e-3)


@pytest.mark.parametrize("n_samples", [1600, 1999, 16_000, 64_321, 100_001])
@pytest.mark.parametrize("offset", [0.0, 0.0015, 0.03, 0.15])
def test_the_integers_of_a_file_and_floats_measure_the_same_and_an_offset_changes_nothing_else(
    n_samples: int, offset: float
) -> None:
    plain = 0.2 * speechlike(np.random.default_rng(n_samples), n_samples / 16_000 + 0.1)[:n_samples]
    content = encode_wav(plain + np.float32(offset))
    header = read_header(content)
    integers = pcm16_of(content, header)
    assert integers is not None
    of_file, of_floats = measure_quality(integers), measure_quality(read_samples(content, header)[:, 0])
    without = measure_quality(parse_wav(encode_wav(plain)).samples[:, 0])
    assert flat(of_file) == pytest.approx(flat(of_floats), abs=1e-4)
    assert of_file.dc_offset - without.dc_offset == pytest.approx(offset, abs=1e-4)
    for level in ("peak_db", "level_db", "spread_db", "speech_s", "snr_db"):
        assert flat(of_file)[level] == pytest.approx(flat(without)[level], abs=0.02), level
    assert judge_quality(of_file) == judge_quality(of_floats) == judge_quality(without)


@pytest.mark.parametrize("amplitude", [1, 5])
def test_a_large_offset_leaves_no_roundings_where_hardly_anything_else_is_heard(amplitude: int) -> None:
    clicks = np.zeros(6_400, np.int16)
    clicks[np.random.default_rng(amplitude).integers(0, 6_400, 12)] = amplitude
    found, expected = (measure_quality(clicks + np.int16(offset)).voice for offset in (6_554, 0))
    assert (found.tonality, found.movement_db) == pytest.approx((expected.tonality, expected.movement_db), rel=0.01)
    assert found.voicing == pytest.approx(expected.voicing, abs=0.005)


def test_the_loudest_integer_is_clipped_and_not_turned_round() -> None:
    assert measure_quality(np.full(16_000, -32_768, np.int16)).clipped_share == 1.0


def flat(quality: Quality) -> dict[str, float]:
    figures = {**vars(quality), **vars(quality.voice)}
    return {name: float(value) for name, value in figures.items() if name != "voice" and value is not None}


def real_clips(folder: Path, *, step: int) -> list[tuple[Path, str]]:
    rows = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    return [(folder / row["audio"], row["text"]) for row in rows[::step]]


@pytest.mark.slow
def test_at_most_one_real_clip_in_a_hundred_is_refused(real_data: Path) -> None:
    clips = real_clips(real_data / "fsdd", step=2)
    clips += real_clips(real_data / "an4", step=6) + real_clips(real_data / "speechocean762", step=8)
    assert len(clips) > 500
    refused = []
    with AudioDecoder() as decoder:
        for path, text in clips:
            samples, rate = decoder.decode(path.read_bytes(), suffix=".flac")
            if (reason := examine(to_16k_mono(samples, rate), text)) is not None:
                refused.append((path.name, reason))
    assert len(refused) <= 0.01 * len(clips), refused[:10]
