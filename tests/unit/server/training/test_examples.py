import numpy as np
import pytest
from tests.fakes.tiny_whisper import RATE_HZ, WINDOW_S, say, tiny_checkpoint

from projectone.server.training.examples import ExampleBuilder, TrainingClip, padded_mel, stack_mels
from projectone.speech.audio import log_mel


def clip(text: str = "red", seconds: float = 0.5, clip_id: str = "a") -> TrainingClip:
    samples = np.random.default_rng(0).standard_normal(round(seconds * RATE_HZ)).astype(np.float32) * 0.1
    return TrainingClip(clip_id, samples, text, "someone")


@pytest.mark.parametrize("n_samples", [4000, 8000, 12345, 31_700])
@pytest.mark.parametrize("loudness", [1.0, 1e-3, 1e-7])
def test_a_padded_batch_holds_the_frames_of_the_whole_window(n_samples: int, loudness: float) -> None:
    samples = np.random.default_rng(1).standard_normal(n_samples).astype(np.float32) * loudness
    n_window = WINDOW_S * RATE_HZ
    whole = log_mel(np.pad(samples, (0, n_window - n_samples)), 20)
    ours = stack_mels([padded_mel(samples, n_mels=20)], whole.shape[0])[0]
    # The same float32 arithmetic on the same numbers, but for the blocking of the matrix product.
    np.testing.assert_allclose(ours, whole, atol=1e-5)


def test_targets_begin_after_the_prefix_that_decoding_gives() -> None:
    checkpoint = tiny_checkpoint()
    tokenizer = checkpoint.tokenizer
    builder = ExampleBuilder(checkpoint, language="en")
    (example,), _ = builder.build([clip("red green")])
    plain = builder.plain_target(example)
    prefix = [tokenizer.sot, tokenizer.language_id("en"), tokenizer.transcribe, tokenizer.no_timestamps]
    assert list(plain.tokens[: plain.n_given]) == prefix
    assert tokenizer.decode(plain.tokens[plain.n_given :]) == " red green"
    assert plain.tokens[-1] == tokenizer.eot


def test_a_timed_target_spans_the_sound() -> None:
    checkpoint = tiny_checkpoint()
    builder = ExampleBuilder(checkpoint, language="en")
    (example,), _ = builder.build([clip("red", seconds=0.5)])
    timed = builder.timed_target(example, example.clip.samples.size)
    assert checkpoint.tokenizer.decode_with_timestamps(timed.tokens) == "<|0.00|> red<|0.50|>"
    assert checkpoint.tokenizer.no_timestamps not in timed.tokens


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (clip(seconds=WINDOW_S + 0.5), "window"),
        (clip(seconds=0.05), "window"),
        (clip(text="  "), "no text"),
        (clip(text="red green blue black " * 20), "tokens"),
        (TrainingClip("a", np.array([np.nan] * 8000, np.float32), "red", "x"), "finite"),
        (TrainingClip("a", np.zeros((8000, 2), np.float32), "red", "x"), "one channel"),
    ],
)
def test_a_clip_that_does_not_fit_is_left_out_with_its_reason(bad: TrainingClip, reason: str) -> None:
    good = clip(clip_id="good")
    examples, skipped = ExampleBuilder(tiny_checkpoint(), language="en").build([bad, good])
    assert [example.clip.clip_id for example in examples] == ["good"]
    assert reason in skipped[0].reason


def test_the_language_of_tones_is_seeded() -> None:
    assert np.array_equal(say("red blue", seed=3), say("red blue", seed=3))
    assert not np.array_equal(say("red blue", seed=3)[:4000], say("red blue", seed=4)[:4000])
