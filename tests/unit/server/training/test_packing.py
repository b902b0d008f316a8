from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from tests.fakes.tiny_whisper import RATE_HZ, WINDOW_S, say, tiny_checkpoint

from projectone.server.training.batching import PlannedBatch, Stock, plan_batches, stream
from projectone.server.training.config import AudioContext, AugmentationConfig, TrainingConfig
from projectone.server.training.examples import Example, ExampleBuilder, TrainingClip
from projectone.server.training.features import BatchMaker
from projectone.server.training.loss import mean_cross_entropy
from projectone.server.training.packing import MIN_PAUSE_S, pack, room_for, starts_of
from projectone.speech.audio import log_mel

UNVARIED = AugmentationConfig(probability=0)


def packed(durations_s: list[float], n_tokens: int = 10, n_text_ctx: int = 448, seed: int = 0) -> list[list[int]]:
    order = list(range(len(durations_s)))
    texts = [n_tokens] * len(order)
    return pack(order, durations_s, texts, stream(seed), window_s=30.0, n_text_ctx=n_text_ctx)


def test_every_clip_is_in_one_window_and_every_window_has_room() -> None:
    durations_s = np.random.default_rng(0).uniform(0.3, 12.0, 500).tolist()
    windows = packed(durations_s)
    assert sorted(index for window in windows for index in window) == list(range(500))
    assert all(sum(durations_s[i] for i in window) + MIN_PAUSE_S * (len(window) - 1) <= 30 for window in windows)


def test_clips_of_four_seconds_leave_little_of_the_windows_empty() -> None:
    durations_s = np.random.default_rng(1).uniform(3.0, 5.0, 1000).tolist()
    windows = packed(durations_s)
    # Alone in its window each would cost 7.5 times its length; a fifth of the windows is left partly empty on purpose.
    assert 30 * len(windows) / sum(durations_s) < 1.35


def test_a_clip_as_long_as_the_window_has_it_for_itself() -> None:
    assert sorted(packed([30.0, 29.95, 30.0])) == [[0], [1], [2]]


def test_texts_that_fill_the_decoder_end_a_window() -> None:
    windows = packed([0.5] * 60, n_tokens=20, n_text_ctx=128)
    assert max(len(window) for window in windows) == 5  # 6 special tokens, 5 texts of 20, 4 pairs of timestamps
    assert sum(len(window) for window in windows) == 60


def test_clips_begin_one_after_the_other_with_pauses() -> None:
    for seed in range(20):
        sizes = np.random.default_rng(seed).integers(8_000, 64_000, 6).tolist()
        starts = starts_of(sizes, 480_000, np.random.default_rng(seed))
        pauses = np.diff(starts) - np.array(sizes[:-1])
        assert starts[0] >= 0
        assert (pauses >= MIN_PAUSE_S * RATE_HZ).all()
        assert starts[-1] + sizes[-1] <= 480_000


def test_a_window_without_room_for_pauses_still_holds_its_clips() -> None:
    assert starts_of([16_000, 15_999], 32_000, np.random.default_rng(0)) == [0, 16_000]
    assert room_for([16_000, 15_999], 32_000) == 0
    with pytest.raises(ValueError, match="at most 32000"):
        starts_of([16_001, 16_000], 32_000, np.random.default_rng(0))


def tone_examples(*texts: str) -> tuple[ExampleBuilder, list[Example]]:
    builder = ExampleBuilder(tiny_checkpoint(), language="en")
    clips = [TrainingClip(str(i), say(text, seed=i, word_s=0.25), text, f"speaker {i}") for i, text in enumerate(texts)]
    examples, skipped = builder.build(clips)
    assert not skipped
    return builder, examples


def test_a_packed_window_says_when_each_utterance_begins_and_ends() -> None:
    builder, examples = tone_examples("red green", "blue", "black")
    config = TrainingConfig(packed_timestamps_share=1, augmentation=UNVARIED)
    batch = BatchMaker(builder, examples, config).make(0, PlannedBatch(0, (0, 1, 2), 100 * WINDOW_S, (3,)))
    tokenizer = builder.checkpoint.tokenizer
    tokens = batch.tokens[0].tolist()
    begin = tokenizer.timestamp_begin
    times_s = [(token - begin) * 0.02 for token in tokens if token >= begin]
    assert times_s == sorted(times_s)
    assert len(times_s) == 6
    assert tokenizer.decode(tokens) == " red green blue black"
    # Where the timestamps say that somebody speaks, the spectrogram is loud; in the pauses it is not.
    mel = np.array(batch.mel[0])
    for first_s, last_s in zip(times_s[::2], times_s[1::2], strict=True):
        assert mel[round(first_s * 100) + 3 : round(last_s * 100) - 3].max(axis=-1).min() > 0.3
    for last_s, next_s in zip(times_s[1:-1:2], times_s[2::2], strict=True):
        assert mel[round(last_s * 100) + 3 : round(next_s * 100) - 3].max() < 0.3


def test_the_spectrogram_of_a_packed_window_is_that_of_its_sound() -> None:
    builder, examples = tone_examples("red", "blue")
    maker = BatchMaker(builder, examples, TrainingConfig(augmentation=UNVARIED, packed_timestamps_share=1))
    batch = maker.make(0, PlannedBatch(0, (0, 1), 100 * WINDOW_S, (2,)))
    begin = builder.checkpoint.tokenizer.timestamp_begin
    starts_s = [(t - begin) * 0.02 for t in batch.tokens[0].tolist() if t >= begin][::2]
    window = np.zeros(WINDOW_S * RATE_HZ, np.float32)
    for example, start_s in zip(examples, starts_s, strict=True):
        start = round(start_s * RATE_HZ)
        window[start : start + example.clip.samples.size] += example.clip.samples[: window.size - start]
    # The start is known to 10 ms, one frame: bands are compared by their course, not frame by frame.
    ours, whole = np.array(batch.mel[0]), log_mel(window, 20)
    assert np.corrcoef(ours.ravel(), whole.ravel())[0, 1] > 0.9


def test_without_timestamps_the_texts_follow_each_other() -> None:
    builder, examples = tone_examples("red", "blue green")
    config = TrainingConfig(packed_timestamps_share=0, augmentation=UNVARIED)
    batch = BatchMaker(builder, examples, config).make(0, PlannedBatch(0, (0, 1), 0, (2,)))
    tokenizer = builder.checkpoint.tokenizer
    assert tokenizer.no_timestamps in batch.tokens[0].tolist()
    assert tokenizer.decode(batch.targets.tolist()) == " red blue green"
    assert batch.audio_s == pytest.approx(sum(example.clip.duration_s for example in examples))


def test_the_loss_of_a_packed_window_covers_all_of_its_texts() -> None:
    builder, examples = tone_examples("red green", "blue")
    maker = BatchMaker(builder, examples, TrainingConfig(packed_timestamps_share=1))
    batch = maker.make(0, PlannedBatch(0, (0, 1), 0, (2,)))
    n_text = sum(len(example.text) for example in examples)
    assert batch.targets.shape[0] == n_text + 2 * 2 + 1  # two pairs of timestamps, the end
    assert mx.isfinite(mean_cross_entropy(builder.checkpoint.model, batch)).item()


def test_varied_clips_stay_inside_their_window_and_keep_their_texts() -> None:
    builder, examples = tone_examples("red green", "blue", "black")
    config = TrainingConfig(augmentation=AugmentationConfig(probability=1, speed=0.5), packed_timestamps_share=1)
    maker = BatchMaker(builder, examples, config)
    for step in range(30):
        batch = maker.make(step, PlannedBatch(0, (0, 1, 2), 100 * WINDOW_S, (3,)))
        assert batch.mel.shape[1] == 100 * WINDOW_S
        assert builder.checkpoint.tokenizer.decode(batch.targets.tolist()) == " red green blue black"


def test_whole_windows_are_packed_by_default_and_short_ones_are_not() -> None:
    stock = Stock(durations_s=[4.0] * 70, n_tokens=[10] * 70)

    def padded_s(config: TrainingConfig) -> float:
        plan = plan_batches(stock, config, window_frames=3000, n_text_ctx=448)
        assert sorted(i for batch in plan for i in batch.indices) == list(range(70))
        return sum(len(batch.rows()) * max(4.0, batch.min_frames / 100) for batch in plan)

    assert padded_s(TrainingConfig(epochs=1, context="full", packing="off")) == 70 * 30
    assert padded_s(TrainingConfig(epochs=1, context="full")) < 70 * 4 * 1.5
    assert all(
        not batch.row_sizes
        for batch in plan_batches(stock, TrainingConfig(epochs=1), window_frames=3000, n_text_ctx=448)
    )


def test_short_contexts_can_pack_the_steps_that_cover_windows() -> None:
    stock = Stock(durations_s=[2.0] * 200, n_tokens=[10] * 200)
    config = TrainingConfig(epochs=1, packing="on", full_window_share=0.5)
    plan = plan_batches(stock, config, window_frames=3000, n_text_ctx=448)
    assert any(batch.row_sizes for batch in plan)
    assert all(batch.min_frames for batch in plan if batch.row_sizes)
    assert sorted(i for batch in plan for i in batch.indices) == list(range(200))


class CountedReads(list[float]):
    """A list that counts how often it is read."""

    n_reads = 0

    def __getitem__(self, index: Any) -> Any:
        self.n_reads += 1
        return super().__getitem__(index)


@pytest.mark.parametrize("context", ["short", "full"])
def test_planning_a_hundred_thousand_clips_looks_at_each_a_few_times(context: AudioContext) -> None:
    random = np.random.default_rng(0)
    durations_s = CountedReads(random.uniform(0.5, 15, 100_000).tolist())
    stock = Stock(durations_s=durations_s, n_tokens=[20] * 100_000, groups=[(20_000, 0.2)])
    plan = plan_batches(stock, TrainingConfig(epochs=1, context=context), window_frames=3000, n_text_ctx=448)
    assert len({index for batch in plan for index in batch.indices}) == 100_000
    assert durations_s.n_reads < 5 * 100_000
