from __future__ import annotations

from dataclasses import replace

import mlx.core as mx
import numpy as np
import pytest

from projectone.speech.checkpoint import WhisperCheckpoint
from projectone.speech.decoding import DecodingOptions, DecodingResult, compression_ratio, decode, detect_language
from projectone.speech.prefix import decoder_prefix
from projectone.speech.tokenizer import Tokenizer

from .conftest import random_checkpoint


def windows(n_rows: int, *, n_frames: int = 200, seed: int = 3) -> mx.array:
    """Noise in which every window has a colour of its own, so that rows end at different times."""
    random = np.random.default_rng(seed)
    colours = 2 * np.random.default_rng(4).normal(size=(n_rows, 1, 20))
    return mx.array((colours + 0.3 * random.normal(size=(n_rows, n_frames, 20))).astype(np.float32))


def shared(result: DecodingResult) -> tuple[object, ...]:
    return result.tokens, result.text, result.language, result.temperature


def test_greedy_decoding_takes_the_likeliest_allowed_token_each_time(checkpoint: WhisperCheckpoint) -> None:
    mels = windows(1)
    options = DecodingOptions(max_new_tokens=9)
    result = decode(checkpoint, mels, options)[0]
    features = checkpoint.model.embed_audio(mels)
    tokens = decoder_prefix(checkpoint.tokenizer, language="en", timestamps=False)
    n_prefix, logprob = len(tokens), 0.0
    generation = checkpoint.generation
    for _ in range(9):
        scores = np.array(checkpoint.model.logits(mx.array([tokens]), features)[0, -1])
        scores[list(generation.suppress_tokens)] = -np.inf
        if len(tokens) == n_prefix:
            scores[list(generation.begin_suppress_tokens)] = -np.inf
        tokens.append(int(scores.argmax()))
        logprob += float(scores.max() - np.logaddexp.reduce(scores.astype(np.float64)))
        if tokens[-1] == checkpoint.tokenizer.eot:
            break
    sampled = tokens[n_prefix:]
    expected = sampled[:-1] if sampled[-1] == checkpoint.tokenizer.eot else sampled
    assert list(result.tokens) == expected
    assert result.avg_logprob == pytest.approx(logprob / (len(expected) + 1), abs=1e-4)


@pytest.mark.parametrize("temperature", [0.0, 0.8])
@pytest.mark.parametrize("timestamps", [False, True])
def test_a_batch_gives_what_each_row_gives_alone(
    checkpoint: WhisperCheckpoint, temperature: float, timestamps: bool
) -> None:
    mels = windows(5)
    options = DecodingOptions(temperature=temperature, timestamps=timestamps, seed=11)
    together = decode(checkpoint, mels, options)
    assert len({len(result.tokens) for result in together}) > 1, "rows must end at different times to say much"
    alone = decode(checkpoint, mels[:1], options)  # row 0 draws from stream 0 in both
    assert shared(alone[0]) == shared(together[0])
    if temperature == 0:
        for row in range(1, 5):
            assert shared(decode(checkpoint, mels[row : row + 1], options)[0]) == shared(together[row])


def test_sampling_repeats_with_its_seed_and_changes_with_another(checkpoint: WhisperCheckpoint) -> None:
    mels = windows(2)
    options = DecodingOptions(temperature=1.0, seed=5)
    first = [shared(r) for r in decode(checkpoint, mels, options)]
    assert first == [shared(r) for r in decode(checkpoint, mels, options)]
    assert first != [shared(r) for r in decode(checkpoint, mels, replace(options, seed=6))]


def test_timestamps_open_and_close_every_segment(checkpoint: WhisperCheckpoint) -> None:
    begin = checkpoint.tokenizer.timestamp_begin
    for result in decode(checkpoint, windows(6), DecodingOptions(timestamps=True)):
        assert result.tokens[0] >= begin
        times = [token for token in result.tokens if token >= begin]
        assert times == sorted(times)
        assert checkpoint.tokenizer.no_timestamps not in result.tokens


def test_decoding_stops_where_the_context_ends(checkpoint: WhisperCheckpoint) -> None:
    eot = checkpoint.tokenizer.eot
    options = DecodingOptions(max_new_tokens=10_000, suppress_tokens=(eot,), previous_text=(5,) * 40)
    result = decode(checkpoint, windows(1), options)[0]
    # 15 tokens of earlier text and <|startofprev|>, four of the prefix: the rest of 32, and one that needs no place.
    assert len(result.tokens) == 32 - 16 - 4 + 1


def test_the_language_is_detected_when_it_is_not_given(checkpoint: WhisperCheckpoint) -> None:
    mels = windows(4)
    shares = detect_language(checkpoint, checkpoint.model.embed_audio(mels))
    for row in shares:
        assert sum(row.values()) == pytest.approx(1)
        assert list(row.values()) == sorted(row.values(), reverse=True)
    results = decode(checkpoint, mels, DecodingOptions(language=None, max_new_tokens=4))
    assert [r.language for r in results] == [next(iter(row)) for row in shares]
    for row, result in enumerate(results):
        given = DecodingOptions(language=result.language, max_new_tokens=4)
        assert shared(decode(checkpoint, mels[row : row + 1], given)[0]) == shared(result)


def test_an_english_only_model_has_no_language(english_tokenizer: Tokenizer) -> None:
    english = random_checkpoint(english_tokenizer)
    assert decode(english, windows(1), DecodingOptions(language=None, max_new_tokens=3))[0].language is None
    with pytest.raises(ValueError, match="English-only"):
        detect_language(english, english.model.embed_audio(windows(1)))


def test_fewer_frames_than_a_window_are_decoded_as_they_are(checkpoint: WhisperCheckpoint) -> None:
    assert checkpoint.model.embed_audio(windows(1, n_frames=120)).shape[1] == 60
    assert decode(checkpoint, windows(2, n_frames=120), DecodingOptions(max_new_tokens=3))


def test_no_speech_is_read_at_the_start_token(checkpoint: WhisperCheckpoint) -> None:
    mels = windows(1)
    result = decode(checkpoint, mels, DecodingOptions(max_new_tokens=2, previous_text=(5, 6, 7)))[0]
    tokens = decoder_prefix(checkpoint.tokenizer, language="en", timestamps=False, previous_text=(5, 6, 7))
    at = tokens.index(checkpoint.tokenizer.sot)
    scores = checkpoint.model.logits(mx.array([tokens]), checkpoint.model.embed_audio(mels))[0, at]
    assert result.no_speech_prob == pytest.approx(mx.softmax(scores)[checkpoint.tokenizer.no_speech].item(), rel=1e-3)


def test_the_wish_to_write_nothing_is_read_before_the_rules_forbid_it(checkpoint: WhisperCheckpoint) -> None:
    mels = windows(2)
    tokens = decoder_prefix(checkpoint.tokenizer, language="en", timestamps=False)
    features = checkpoint.model.embed_audio(mels)
    scores = checkpoint.model.logits(mx.array([tokens, tokens]), features)[:, -1]
    expected = mx.softmax(scores, axis=-1)[:, checkpoint.tokenizer.eot].tolist()
    results = decode(checkpoint, mels, DecodingOptions(max_new_tokens=2))
    assert [result.nothing_prob for result in results] == pytest.approx(expected, rel=1e-3)


def test_repetition_shows_in_the_compression_ratio() -> None:
    assert compression_ratio("the quick brown fox jumps over the lazy dog") < 1.5
    assert compression_ratio("no no no " * 30) > 2.4
    assert compression_ratio("") == 0


@pytest.mark.parametrize("wrong", [{"temperature": -0.1}, {"max_new_tokens": 0}])
def test_impossible_options_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DecodingOptions(**wrong)  # type: ignore[arg-type]
