"""Words of whole recordings, however they are decoded."""

from __future__ import annotations

from dataclasses import replace

import mlx.core as mx
import numpy as np
import pytest

from projectone.speech import stepping
from projectone.speech.alignment_heads import alignment_heads_of, guessed_heads
from projectone.speech.checkpoint import WhisperCheckpoint
from projectone.speech.decoding import DecodingOptions, decode_features
from projectone.speech.forced import forced_trace
from projectone.speech.transcribe import GREEDY, TranscribeOptions, transcribe, transcribe_many
from projectone.speech.whisper import ModelDimensions
from projectone.speech.words import WordFinder

ALL_HEADS = ((0, 0), (0, 1), (1, 0), (1, 1))


def writing_letters(checkpoint: WhisperCheckpoint, *, has_timestamps: bool = True) -> WhisperCheckpoint:
    """Random weights that write no bytes which make no character, and no timestamp that nobody asked for."""
    generation, tokenizer = checkpoint.generation, checkpoint.tokenizer
    odd = [i for i in range(tokenizer.eot) if not all(c.isalnum() or c == " " for c in tokenizer.decode([i]))]
    odd += [] if has_timestamps else range(tokenizer.timestamp_begin, tokenizer.n_vocab)
    return replace(checkpoint, generation=replace(generation, suppress_tokens=(*generation.suppress_tokens, *odd)))


def noise(duration_s: float, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    n_samples = round(16_000 * duration_s)
    tone = np.sin(np.arange(n_samples) * random.uniform(0.01, 1.5)) * np.repeat(
        random.uniform(0, 1, 20), n_samples // 20
    )
    return (0.3 * tone + 0.001 * random.normal(size=n_samples)).astype(np.float32)


@pytest.mark.parametrize("is_plain", [True, False], ids=["numpy", "mlx"])
def test_what_is_noted_while_decoding_is_what_one_pass_over_the_text_shows(
    checkpoint: WhisperCheckpoint, is_plain: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stepping, "is_plain", lambda module: is_plain)
    features = mx.random.normal((3, 100, 16))
    for row, result in enumerate(decode_features(checkpoint, features, DecodingOptions(heads=ALL_HEADS))):
        assert result.trace is not None
        forced = forced_trace(checkpoint, result.tokens, features[row], language="en", heads=ALL_HEADS)
        assert forced.n_before == result.trace.n_before
        # The same sums in another order; shares are at most 1.
        np.testing.assert_allclose(result.trace.shares, forced.shares[:, :-1], atol=1e-5)
        assert result.trace.shares.shape[1] == result.trace.n_before + len(result.tokens) + 1
        # Under the rules a token is at least as likely as without them.
        assert all(ruled >= free - 1e-4 for ruled, free in zip(result.trace.logprobs, forced.logprobs, strict=True))


def test_watching_changes_nothing_that_is_heard(checkpoint: WhisperCheckpoint) -> None:
    clips = [noise(1.5, seed) for seed in range(3)]
    plain = transcribe_many(checkpoint, clips, options=GREEDY)
    timed = transcribe_many(checkpoint, clips, options=replace(GREEDY, words=True))
    assert [(t.text, t.windows) for t in timed] == [(t.text, t.windows) for t in plain]
    assert not any(segment.words for t in plain for segment in t.segments)


@pytest.mark.parametrize(
    "options",
    [
        GREEDY,
        replace(GREEDY, short_context=True),
        replace(GREEDY, timestamps=True),
        TranscribeOptions(language="en", temperatures=(0.0, 0.8), logprob_threshold=0.0),
        replace(GREEDY, condition_on_previous_text=True, initial_prompt="seven three"),
    ],
    ids=["plain", "short", "timestamps", "sampled", "prompted"],
)
@pytest.mark.parametrize("length_s", [0.7, 5.3], ids=["one window", "several"])
def test_every_word_of_a_text_has_its_place_in_the_recording(
    checkpoint: WhisperCheckpoint, options: TranscribeOptions, length_s: float
) -> None:
    model = writing_letters(checkpoint, has_timestamps=options.timestamps)
    heard = transcribe(model, noise(length_s), options=replace(options, words=True))
    words = [word for segment in heard.segments for word in segment.words]
    assert bool(words) == bool(heard.text)
    assert [word.text for word in words] == [word for segment in heard.segments for word in segment.text.split()]
    starts = [word.start_s for word in words]
    assert starts == sorted(starts)
    assert all(0 <= word.start_s <= word.end_s <= length_s + 0.02 for word in words)
    assert all(0 < word.probability <= 1 for word in words)


def test_a_clip_has_the_same_words_alone_and_among_others(checkpoint: WhisperCheckpoint) -> None:
    clips, options = [noise(1.0 + 0.3 * seed, seed) for seed in range(3)], replace(GREEDY, words=True)
    together = transcribe_many(checkpoint, clips, options=options)
    for clip, among in zip(clips, together, strict=True):
        alone = transcribe(checkpoint, clip, options=options)
        words, expected = among.segments[0].words, alone.segments[0].words
        assert [(w.text, w.start_s, w.end_s) for w in words] == [(w.text, w.start_s, w.end_s) for w in expected]
        assert [w.probability for w in words] == pytest.approx([w.probability for w in expected], rel=1e-4)


def test_a_text_that_was_put_right_afterwards_is_followed_anew(checkpoint: WhisperCheckpoint) -> None:
    features, clip = mx.random.normal((1, 100, 16)), noise(2.0)
    (result,) = decode_features(checkpoint, features, DecodingOptions(heads=alignment_heads_of(checkpoint)))
    changed = replace(result, tokens=tuple(checkpoint.tokenizer.encode(" seven three nine")))
    finder = WordFinder(checkpoint, clip)
    for given in (changed, replace(changed, trace=None)):
        words = finder.of_window(given, features[0], start_frame=0, n_frames=200, timestamps=False)
        assert [word.text for word in words] == ["seven", "three", "nine"]


def test_a_model_that_names_no_head_or_impossible_ones_uses_its_later_layers(checkpoint: WhisperCheckpoint) -> None:
    def naming(*heads: tuple[int, int]) -> WhisperCheckpoint:
        return replace(checkpoint, generation=replace(checkpoint.generation, alignment_heads=heads))

    assert alignment_heads_of(checkpoint) == ((1, 0), (1, 1))
    assert alignment_heads_of(naming((0, 1))) == ((0, 1),)
    assert alignment_heads_of(naming((0, 1), (7, 3))) == ((1, 0), (1, 1))  # those of the model it was distilled from
    large = ModelDimensions(128, 1500, 1280, 20, 32, 51866, 448, 1280, 20, 32)
    assert 16 <= len(guessed_heads(large)) <= 32


def test_eight_bits_look_where_float32_looks(checkpoint: WhisperCheckpoint) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra int8")
    from projectone.speech.int8 import quantised

    packed, clip = quantised(checkpoint, n_threads=1), noise(1.5)
    heard = transcribe(writing_letters(packed), clip, options=replace(GREEDY, words=True))
    assert [word.text for segment in heard.segments for word in segment.words] == heard.text.split()
    features = mx.random.normal((1, 100, 16))
    (result,) = decode_features(packed, features, DecodingOptions(heads=ALL_HEADS))
    assert result.trace is not None
    forced = forced_trace(checkpoint, result.tokens, features[0], language="en", heads=ALL_HEADS)
    # Queries and keys are rounded to eight bits: shares move by a few hundredths where they are large.
    theirs = forced.shares[:, :-1]
    assert np.abs(result.trace.shares - theirs).max() < 0.15
    assert np.corrcoef(result.trace.shares.ravel(), theirs.ravel())[0, 1] > 0.95
