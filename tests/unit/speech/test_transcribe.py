from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from projectone.errors import DataError
from projectone.speech import transcribe as transcribe_module
from projectone.speech.checkpoint import WhisperCheckpoint
from projectone.speech.decoding import DecodingOptions, DecodingResult, compression_ratio
from projectone.speech.encoding import embed_windows
from projectone.speech.transcribe import GREEDY, TranscribeOptions, transcribe, transcribe_many
from projectone.speech.whisper import Whisper
from projectone.speech.windows import next_window, quietest_frame

Answer = Callable[[DecodingOptions], DecodingResult]


def noise(duration_s: float, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    n_samples = round(16_000 * duration_s)
    # Each clip has a colour of its own, so that different clips give different texts.
    tone = np.sin(np.arange(n_samples) * random.uniform(0.01, 1.5))
    return (0.3 * tone + 0.01 * random.normal(size=n_samples)).astype(np.float32)


def result_of(text: str, **changes: Any) -> DecodingResult:
    plain = DecodingResult(
        tokens=(),
        text=text,
        language="en",
        avg_logprob=-0.2,
        no_speech_prob=0.0,
        compression_ratio=compression_ratio(text),
        temperature=0.0,
    )
    return replace(plain, **changes)


def script(monkeypatch: pytest.MonkeyPatch, answer: Answer) -> list[DecodingOptions]:
    """Let `answer` speak instead of the model; the options that it was asked with are returned."""
    asked: list[DecodingOptions] = []

    def decode_features(
        checkpoint: WhisperCheckpoint, features: mx.array, options: DecodingOptions, *, row_ids: Sequence[int]
    ) -> list[DecodingResult]:
        asked.append(options)
        results = [answer(options) for _ in row_ids]
        return [replace(r, tokens=r.tokens or tuple(checkpoint.tokenizer.encode(r.text))) for r in results]

    monkeypatch.setattr(transcribe_module, "decode_features", decode_features)
    return asked


@pytest.mark.parametrize("short_context", [False, True])
def test_many_clips_get_what_each_gets_alone_in_their_order(checkpoint: WhisperCheckpoint, short_context: bool) -> None:
    clips = [noise(duration_s, seed) for seed, duration_s in enumerate([0.4, 1.9, 5.3, 0.1, 2.0, 1.0, 4.1])]
    progress: list[tuple[int, int]] = []
    options = TranscribeOptions(temperatures=(0.0, 0.7), seed=3, short_context=short_context)
    together = transcribe_many(
        checkpoint, clips, batch_size=3, options=options, on_progress=lambda done, total: progress.append((done, total))
    )
    alone = [transcribe(checkpoint, clip, options=options) for clip in clips]
    assert [t.text for t in together] == [t.text for t in alone]
    assert [t.duration_s for t in together] == pytest.approx([clip.size / 16_000 for clip in clips])
    assert len({t.text for t in together}) > 3
    assert [done for done, _ in progress] == [3, 5, 6, 7]


def test_segments_of_a_long_recording_follow_each_other(checkpoint: WhisperCheckpoint) -> None:
    for timestamps in (False, True):
        options = replace(GREEDY, timestamps=timestamps)
        segments = transcribe(checkpoint, noise(9.5), options=options).segments
        assert len(segments) > 3
        assert segments[0].start_s >= 0
        assert segments[-1].end_s <= 11.5  # a timestamp may lie in the silence after the end, in the last window
        starts = [segment.start_s for segment in segments]
        assert starts == sorted(starts)


def test_a_text_that_looks_wrong_is_tried_again_hotter(
    checkpoint: WhisperCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(options: DecodingOptions) -> DecodingResult:
        if options.temperature == 0:
            return result_of(" no" * 60)  # repeats itself
        if options.temperature == 0.2:
            return result_of(" mumble", avg_logprob=-1.5)
        return result_of(" seven three", temperature=options.temperature)

    asked = script(monkeypatch, answer)
    result = transcribe(checkpoint, noise(1.0))
    assert result.text == "seven three"
    assert result.segments[0].temperature == 0.4
    assert [options.temperature for options in asked] == [0.0, 0.2, 0.4]


def test_the_last_temperature_has_the_last_word(checkpoint: WhisperCheckpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = script(monkeypatch, lambda options: result_of(f" try {options.temperature}", avg_logprob=-3.0))
    assert transcribe(checkpoint, noise(1.0), options=TranscribeOptions(temperatures=(0.0, 1.0))).text == "try 1.0"
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("avg_logprob", "nothing_prob", "text", "n_tries"),
    [(-1.5, 0.0, "", 1), (-0.3, 0.0, "seven", 1), (-0.3, 0.9, "", 1)],
    ids=["improbable", "probable", "forced"],
)
def test_silence_gives_no_text_unless_the_text_is_probable(
    checkpoint: WhisperCheckpoint,
    monkeypatch: pytest.MonkeyPatch,
    avg_logprob: float,
    nothing_prob: float,
    text: str,
    n_tries: int,
) -> None:
    result = result_of(" seven", no_speech_prob=0.9, avg_logprob=avg_logprob, nothing_prob=nothing_prob)
    asked = script(monkeypatch, lambda _: result)
    for duration_s, n_windows in ((1.0, 1), (3.0, 2)):
        asked.clear()
        assert transcribe(checkpoint, noise(duration_s)).text == " ".join([text] * n_windows).strip()
        assert len(asked) == n_tries * n_windows


def test_earlier_text_is_shown_only_when_asked_and_never_what_was_sampled_hot(
    checkpoint: WhisperCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = tuple(checkpoint.tokenizer.encode(" seven"))
    first = tuple(checkpoint.tokenizer.encode(" office"))

    def prompts(temperature: float, **changes: Any) -> list[tuple[int, ...]]:
        asked = script(monkeypatch, lambda _: result_of(" seven", temperature=temperature))
        transcribe(checkpoint, noise(5.0), options=TranscribeOptions(initial_prompt="office", **changes))
        return [options.previous_text for options in asked][:3]

    assert prompts(0.0) == [first] * 3
    assert prompts(0.0, condition_on_previous_text=True) == [first, (*first, *said), (*first, *said, *said)]
    assert prompts(0.8, condition_on_previous_text=True) == [first] * 3


def test_the_next_window_begins_at_the_last_timestamp(
    checkpoint: WhisperCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = checkpoint.tokenizer.timestamp_begin
    word = checkpoint.tokenizer.encode(" go")
    # One second is finished, then a segment is left open: every window of two seconds moves on by one.
    tokens = (begin, *word, begin + 50, begin + 50, *word)
    asked = script(monkeypatch, lambda _: result_of("", tokens=tokens))
    result = transcribe(checkpoint, noise(4.0), options=TranscribeOptions(timestamps=True))
    assert [(s.start_s, s.end_s) for s in result.segments] == [(0.0, 1.0), (1.0, 2.0), (2.0, 3.0), (3.0, 4.0)]
    assert len(asked) == 4


def test_a_long_recording_is_cut_in_its_pauses() -> None:
    loud = np.ones((200, 20), np.float32)
    loud[150:175] = -1  # a quarter of a second of quiet
    assert 155 <= quietest_frame(loud) <= 170
    loud[40:80] = -2  # quieter, but too early: windows would get too short
    assert 155 <= quietest_frame(loud) <= 170


@pytest.mark.parametrize(
    ("pauses", "left", "length"),
    [
        ([30, 60, 90, 150], 500, 90),  # the last one of the first half
        ([30, 150, 190, 260], 500, 150),  # too early is no pause: the first one of the second half
        ([30, 150, 190], 180, 180),  # what is left fits, and nothing is gained by cutting it late
        ([60, 90], 150, 90),
        ([60], 90, 90),  # half a window is left as it is
        ([], 150, 150),
    ],
)
def test_a_window_ends_in_a_pause_between_sentences(pauses: list[int], left: int, length: int) -> None:
    mel, start = mx.random.normal((1000, 20)), 100
    moments = [start + pause for pause in pauses]
    window, n_frames = next_window(mel, start, start + left, 200, is_cut_freely=True, pauses=moments)
    assert n_frames == length
    assert window.shape == (200, 20)
    assert mx.array_equal(window[:length], mel[start : start + length])
    assert next_window(mel, start, start + left, 200, is_cut_freely=False, pauses=moments)[1] == min(left, 200)


def test_the_language_is_detected_once_for_a_recording(
    checkpoint: WhisperCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = transcribe(checkpoint, noise(5.0), options=TranscribeOptions(temperatures=(0.0,)))
    assert result.language in ("en", "de")
    asked = script(monkeypatch, lambda _: result_of(" seven"))
    transcribe(checkpoint, noise(5.0))
    assert len({options.language for options in asked}) == 1
    assert None not in {options.language for options in asked}


def test_a_short_context_is_as_long_as_the_clip_in_whole_seconds(
    checkpoint: WhisperCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_frames: list[int] = []

    def watched(model: Whisper, mels: mx.array) -> mx.array:
        n_frames.append(mels.shape[1])
        return embed_windows(model, mels)

    monkeypatch.setattr(transcribe_module, "embed_windows", watched)
    clips = [noise(duration_s) for duration_s in (0.5, 1.0, 1.1, 2.0)]
    transcribe_many(checkpoint, clips, options=replace(GREEDY, short_context=True))
    assert n_frames == [100, 200]
    n_frames.clear()
    transcribe_many(checkpoint, clips, options=GREEDY)
    assert n_frames == [200]


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (np.zeros(0, np.float32), "empty-audio"),
        (np.array([0.1, np.nan] * 400, np.float32), "not-finite"),
        (np.array([0.1, np.inf] * 400, np.float32), "not-finite"),
        (np.zeros((800, 2), np.float32), "not-mono"),
    ],
)
def test_unusable_sound_is_refused_with_a_reason(
    checkpoint: WhisperCheckpoint, samples: np.ndarray, reason: str
) -> None:
    with pytest.raises(DataError, match="clip 1") as refusal:
        transcribe_many(checkpoint, [noise(0.5), samples])
    assert refusal.value.reason == reason


def test_one_sample_and_pure_silence_are_sound_enough(checkpoint: WhisperCheckpoint) -> None:
    for samples in (np.zeros(1, np.float32), np.zeros(16_000, np.float32), np.zeros(80_000, np.float32)):
        assert isinstance(transcribe(checkpoint, samples, options=GREEDY).text, str)
