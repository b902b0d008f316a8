"""Word times beside those of mlx-whisper, from the same weights, sound and tokens."""

from __future__ import annotations

from pathlib import Path
from types import MethodType, SimpleNamespace
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from projectone.speech.audio import log_mel_spectrogram
from projectone.speech.checkpoint import WhisperCheckpoint, load_checkpoint
from projectone.speech.decoding import DecodingOptions, decode_features
from projectone.speech.encoding import embed_windows
from projectone.speech.forced import forced_trace
from projectone.speech.mlx_whisper import save_mlx_whisper
from projectone.speech.synthesis import Voice, synthesize
from projectone.speech.timing import find_alignment

pytest.importorskip("mlx_whisper", reason="parity needs the parity extra (mlx-whisper)")

pytestmark = pytest.mark.parity

STARTER = Path(__file__).parents[2] / "models" / "starter"
HEADS = ((1, 0), (1, 1), (1, 2))  # mlx-whisper's guess too: the later half of the layers
TEXTS = ("one nine four", "rubout g m e f three nine", "erase o t h f four six", "march nineteen sixty")


@pytest.fixture(scope="module")
def starter() -> WhisperCheckpoint:
    return load_checkpoint(STARTER)


@pytest.fixture(scope="module")
def theirs(starter: WhisperCheckpoint, tmp_path_factory: pytest.TempPathFactory) -> Any:
    from mlx_whisper.load_models import load_model

    folder = tmp_path_factory.mktemp("theirs")
    save_mlx_whisper(starter, folder, dtype="float32")
    return load_model(str(folder), dtype=mx.float32)


def their_tokenizer(checkpoint: WhisperCheckpoint) -> Any:
    """Our vocabulary behind the names that their code asks for, and their way to split it."""
    from mlx_whisper.tokenizer import Tokenizer

    ours = checkpoint.tokenizer
    made = SimpleNamespace(
        language="en",
        eot=ours.eot,
        no_timestamps=ours.no_timestamps,
        sot_sequence=[ours.sot, ours.language_id("en"), ours.transcribe],
        decode_with_timestamps=ours.decode_with_timestamps,
    )
    for name in ("split_to_word_tokens", "split_tokens_on_spaces", "split_tokens_on_unicode"):
        setattr(made, name, MethodType(getattr(Tokenizer, name), made))
    return made


def spoken(text: str) -> np.ndarray:
    return np.pad(synthesize(text, Voice("v", "en-us", "f2")), (3200, 6400)).astype(np.float32)


@pytest.mark.parametrize("text", TEXTS)
def test_words_lie_where_mlx_whisper_puts_them(text: str, starter: WhisperCheckpoint, theirs: Any) -> None:
    from mlx_whisper import timing

    clip = spoken(text)
    mel = log_mel_spectrogram(clip, starter.dims.n_mels, padding=starter.features.n_samples - clip.size)
    n_frames = clip.size // 160
    features = embed_windows(starter.model, mel[None])
    tokens = starter.tokenizer.encode(f" {text}")
    expected = timing.find_alignment(theirs, their_tokenizer(starter), tokens, mel, n_frames)
    trace = forced_trace(starter, tokens, features[0], language="en", heads=HEADS)
    words = find_alignment(trace, starter.tokenizer, language="en", n_positions=n_frames // 2)
    assert [word.text for word in words] == [word.word.strip() for word in expected] == text.split()
    # The same path: our encoder adds up in another order, which has never moved a step of it on these clips; one step
    # of 20 ms is allowed, and no more.
    assert [word.start_s for word in words] == pytest.approx([word.start for word in expected], abs=0.021)
    assert [word.end_s for word in words] == pytest.approx([word.end for word in expected], abs=0.021)
    # What is noted while decoding lacks the row of end-of-text, with which they judge what is usual for a token.
    (result,) = decode_features(starter, features, DecodingOptions(heads=HEADS))
    if list(result.tokens) == tokens:
        assert result.trace is not None
        noted = find_alignment(result.trace, starter.tokenizer, language="en", n_positions=n_frames // 2)
        apart_s = np.abs([a.start_s - b.start for a, b in zip(noted, expected, strict=True)])
        assert np.median(apart_s) <= 0.021
        assert apart_s.max() <= 0.1


def test_the_pieces_of_their_timing_are_ours() -> None:
    from mlx_whisper import timing

    from projectone.speech.timing import dtw, median_filter

    random = np.random.default_rng(0)
    x = random.normal(size=(12, 150)).astype(np.float32)
    their_rows, their_columns = timing.dtw(x)
    assert dtw(x) == (their_rows.tolist(), their_columns.tolist())
    shares = random.normal(size=(2, 5, 60)).astype(np.float32)
    np.testing.assert_array_equal(median_filter(shares), timing.median_filter(shares, 7))
