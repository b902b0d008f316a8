import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten, tree_unflatten
from tests.fakes.tiny_whisper import RATE_HZ, WINDOW_S, WORDS, say, tiny_checkpoint

from projectone.server.training.adamw import AdamW, clip_by_global_norm
from projectone.server.training.config import TrainingConfig
from projectone.server.training.examples import ExampleBuilder, TrainingClip
from projectone.server.training.lessons import Lessons
from projectone.server.training.loss import mean_cross_entropy
from projectone.server.training.material import sort_clips
from projectone.server.training.negatives import negative_clips
from projectone.speech.checkpoint import WhisperCheckpoint
from projectone.speech.transcribe import GREEDY, transcribe_many


def speech(n: int) -> list[TrainingClip]:
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(list(WORDS), size=random.integers(1, 4))) for _ in range(n)]
    return [TrainingClip(f"{i}", say(text, seed=i), text, f"s{i % 3}") for i, text in enumerate(texts)]


def test_negatives_are_decided_by_the_seed_and_fit_the_window() -> None:
    first, again, other = (negative_clips(30, [], window_s=4.0, seed=seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a.samples, b.samples) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a.samples, b.samples) for a, b in zip(first, other, strict=True))
    for clip in first:
        assert clip.samples.dtype == np.float32
        assert 0.5 * RATE_HZ <= clip.samples.size <= 4.0 * RATE_HZ
        assert np.isfinite(clip.samples).all()
        assert np.abs(clip.samples).max() <= 1
        assert clip.text == ""
    assert any(not clip.samples.any() for clip in first)


def test_the_room_of_a_clip_is_used_and_its_speech_is_not() -> None:
    random = np.random.default_rng(0)
    room = 0.002 * random.standard_normal(RATE_HZ).astype(np.float32)
    loud = 0.3 * np.sin(np.arange(RATE_HZ) * 0.3).astype(np.float32)
    clips = negative_clips(10, [np.concatenate([loud, room])], window_s=30.0, seed=0)
    rooms = [clip.samples for clip in clips[1::2]]
    for sound in rooms:
        assert np.sqrt(np.mean(sound**2)) == pytest.approx(0.002, rel=0.2)
    # Speech from end to end has no quiet stretch: what is made is what would be made without it.
    made, without = (negative_clips(10, own, window_s=30.0, seed=0) for own in ([loud, loud], []))
    assert all(np.array_equal(a.samples, b.samples) for a, b in zip(made, without, strict=True))


def trained(config: TrainingConfig) -> WhisperCheckpoint:
    """A model of the language of tones, after a few dozen steps."""
    checkpoint = tiny_checkpoint()
    lessons = Lessons(
        ExampleBuilder(checkpoint, language="en"), sort_clips(checkpoint, speech(24), [], [], config), config
    )
    weights = dict(tree_flatten(checkpoint.model.trainable_parameters()))
    optimiser, moments = AdamW(), AdamW().zeros(weights)

    def loss(weights: dict[str, mx.array], batch: object) -> mx.array:
        checkpoint.model.update(tree_unflatten(list(weights.items())))
        return mean_cross_entropy(checkpoint.model, batch)  # type: ignore[arg-type]

    for step in range(len(lessons)):
        _, gradients = mx.value_and_grad(loss)(weights, lessons.batch(step))
        gradients, _ = clip_by_global_norm(gradients, 1.0)
        weights, moments = optimiser.step(weights, gradients, moments, learning_rate=5e-3, n_done=step)
        mx.eval(weights, moments)
    checkpoint.model.update(tree_unflatten(list(weights.items())))
    return checkpoint


def n_invented(checkpoint: WhisperCheckpoint) -> int:
    """Of 24 clips without speech that no training has seen, how many come out with words."""
    clips = [clip.samples for clip in negative_clips(24, [], window_s=WINDOW_S, seed=99)]
    return sum(bool(said.text) for said in transcribe_many(checkpoint, clips, options=GREEDY))


@pytest.mark.slow
def test_a_model_that_saw_negatives_invents_less_in_silence_and_still_hears() -> None:
    config = TrainingConfig(epochs=20, batch_size=8, replay_fraction=0, negatives_share=0)
    without = trained(config)
    with_them = trained(TrainingConfig(**{**vars(config), "negatives_share": 0.3}))
    assert n_invented(without) > 12
    assert n_invented(with_them) <= n_invented(without) // 2
    heard = transcribe_many(with_them, [say("red", seed=5), say("blue green", seed=6)], options=GREEDY)
    assert all(said.text for said in heard)
