import numpy as np
from tests.fakes.tiny_whisper import say

from projectone.server.training.augmentation import band_limited, mask_mel, vary_samples
from projectone.server.training.config import AugmentationConfig


def test_a_variation_is_decided_by_its_generator() -> None:
    clip = say("red green")
    first, second, other = (
        vary_samples(clip, AugmentationConfig(), np.random.default_rng(seed), 32_000) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, second)
    assert first.size != other.size


def test_a_variation_stays_a_clip_of_its_kind() -> None:
    clip = say("red green blue black")
    for seed in range(50):
        varied = vary_samples(clip, AugmentationConfig(), np.random.default_rng(seed), 32_000)
        assert varied.dtype == np.float32
        assert 0.9 * clip.size <= varied.size <= min(32_000, 1.12 * clip.size)
        assert np.abs(varied).max() <= 1


def test_noise_keeps_its_distance() -> None:
    clip = say("red green")
    config = AugmentationConfig(gain_db=0, speed=0, noise_probability=1, noise_snr_db=(20, 20))
    for seed in range(10):
        noise = vary_samples(clip, config, np.random.default_rng(seed), 32_000) - clip
        snr_db = 10 * np.log10(np.mean(clip**2) / np.mean(noise**2))
        assert 19.5 < snr_db < 20.5  # clipping at full scale takes a little


def test_masks_cover_little_and_leave_the_original_alone() -> None:
    mel = np.random.default_rng(0).standard_normal((100, 20)).astype(np.float32)
    before = mel.copy()
    for seed in range(20):
        masked = mask_mel(mel, AugmentationConfig(mask_share=0.1), np.random.default_rng(seed))
        assert (masked != mel).mean() <= 0.25
    assert np.array_equal(mel, before)


def test_without_masks_nothing_is_masked() -> None:
    mel = np.ones((10, 4), np.float32)
    assert np.array_equal(mask_mel(mel, AugmentationConfig(n_masks=0), np.random.default_rng(0)), mel)


def test_a_telephone_lets_the_middle_through_and_nothing_else() -> None:
    times = np.arange(16_000) / 16_000
    for tone_hz, passes in ((100, False), (1000, True), (2500, True), (5000, False)):
        tone = (0.5 * np.sin(2 * np.pi * tone_hz * times)).astype(np.float32)
        limited = band_limited(tone, 300.0, 3400.0)
        assert limited.dtype == np.float32
        assert limited.size == tone.size
        # The ends of a tone that begins at once hold other frequencies too.
        middle_db = 10 * np.log10(np.mean(limited[2000:-2000] ** 2) / np.mean(tone[2000:-2000] ** 2))
        assert middle_db > -0.5 if passes else middle_db < -30


def test_some_clips_pass_a_telephone_and_without_it_nothing_changes() -> None:
    clip = say("black")  # 3 kHz
    always = AugmentationConfig(band_limit_probability=1, band_limit_hz=(1500, 2000), noise_probability=0)
    never = AugmentationConfig(noise_probability=0)
    for seed in range(5):
        limited, plain = (vary_samples(clip, config, np.random.default_rng(seed), 32_000) for config in (always, never))
        assert limited.size == plain.size
        assert np.mean(limited**2) < 0.05 * np.mean(plain**2)
