import numpy as np
from tests.fakes.tiny_whisper import say

from projectone.server.training.augmentation import mask_mel, vary_samples
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
