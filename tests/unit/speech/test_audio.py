"""Sound to log-mel frames."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest

from projectone.speech.audio import HOP_LENGTH, SAMPLE_RATE, log_mel_spectrogram, mel_filters, pad_or_trim


def _noise(n_samples: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(n_samples)).astype(np.float32)


@pytest.mark.parametrize("n_mels", [80, 128])
def test_a_second_of_sound_gives_a_hundred_frames(n_mels: int) -> None:
    mel = log_mel_spectrogram(_noise(SAMPLE_RATE), n_mels)
    assert mel.shape == (100, n_mels)
    assert mel.dtype == mx.float32


def test_a_tone_is_loudest_in_the_band_around_it() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32)
    loudest = int(np.argmax(np.array(log_mel_spectrogram(tone))[50]))
    centre_hz = float(np.argmax(mel_filters(80)[:, loudest])) * SAMPLE_RATE / 400
    assert abs(centre_hz - 1000) <= 40  # one frequency bin


def test_every_filter_has_unit_area() -> None:
    # Slaney's normalisation; the sum over bins of 40 Hz is only near the area of the narrow triangles.
    areas = mel_filters(80)[:, 40:].sum(axis=0) * 40
    np.testing.assert_allclose(areas, 1, atol=0.1)


def test_silence_after_the_sound_leaves_its_frames_as_they_were() -> None:
    sound = _noise(SAMPLE_RATE)
    alone, padded = log_mel_spectrogram(sound), log_mel_spectrogram(sound, padding=SAMPLE_RATE)
    assert padded.shape[0] == 200
    # The last three frames reach over the end of the sound.
    np.testing.assert_array_equal(np.array(padded)[:97], np.array(alone)[:97])


def test_the_range_below_the_loudest_point_is_eighty_decibels() -> None:
    sound = np.concatenate([_noise(SAMPLE_RATE), np.zeros(SAMPLE_RATE, dtype=np.float32)])
    mel = np.array(log_mel_spectrogram(sound))
    assert mel.min() == pytest.approx(mel.max() - 2.0, abs=1e-6)


def test_part_of_a_hop_makes_no_frame() -> None:
    assert log_mel_spectrogram(_noise(10 * HOP_LENGTH + 159)).shape[0] == 10


@pytest.mark.parametrize("shape", [(200,), (0,), (2, 16_000)])
def test_sound_that_is_too_short_or_not_one_channel_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected one channel with more than 200 samples"):
        log_mel_spectrogram(np.zeros(shape, dtype=np.float32))


@pytest.mark.parametrize("length", [3, 5, 9])
def test_padding_or_trimming_gives_the_length_asked_for(length: int) -> None:
    array = mx.arange(10).reshape(2, 5)
    fitted = pad_or_trim(array, length)
    assert fitted.shape == (2, length)
    assert fitted[:, :3].tolist() == array[:, :3].tolist()
    assert fitted[:, 5:].sum().item() == 0
