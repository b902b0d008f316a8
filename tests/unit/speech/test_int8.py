from __future__ import annotations

import sys

import mlx.core as mx
import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs the extra int8")

from projectone.errors import SettingsError
from projectone.speech.checkpoint import WhisperCheckpoint
from projectone.speech.decoding import DecodingOptions, decode
from projectone.speech.encoding import embed_windows
from projectone.speech.int8 import Int8Whisper, quantised
from projectone.speech.int8_stepping import Int8Stepper
from projectone.speech.stepping import open_stepper
from projectone.speech.tokenizer import Tokenizer
from projectone.speech.transcribe import GREEDY, transcribe_many

from .conftest import random_checkpoint

# Eight bits of activations and weights, through a block and more; as a share of the spread of the exact numbers.
TOLERANCE = 0.05


@pytest.fixture(scope="module")
def exact(tokenizer: Tokenizer) -> WhisperCheckpoint:
    return random_checkpoint(tokenizer)


@pytest.fixture(scope="module")
def rounded(exact: WhisperCheckpoint) -> WhisperCheckpoint:
    return quantised(exact, n_threads=1)


def spread_of_error(found: np.ndarray, exact: np.ndarray) -> float:
    return float(np.sqrt(((found - exact) ** 2).mean()) / exact.std())


@pytest.mark.parametrize("n_frames", [200, 7, 1])
def test_windows_of_any_length_get_nearly_the_models_own_features(checkpoint: WhisperCheckpoint, n_frames: int) -> None:
    mels = mx.random.normal((2, n_frames, 20))
    exact = np.array(checkpoint.model.embed_audio(mels))
    found = np.array(embed_windows(quantised(checkpoint, n_threads=1).model, mels))
    assert found.shape == exact.shape
    assert 0 < spread_of_error(found, exact) < TOLERANCE


def test_steps_give_nearly_the_scores_of_one_pass_over_all_tokens(
    exact: WhisperCheckpoint, rounded: WhisperCheckpoint
) -> None:
    features = mx.random.normal((3, 100, 16))
    tokens = np.random.default_rng(1).integers(0, exact.dims.n_vocab, (3, 9)).tolist()
    expected = np.array(exact.model.logits(mx.array(tokens), features))
    opening, stepper = open_stepper(rounded.model, features, [row[:4] for row in tokens], n_steps=5, positions=(0, -1))
    assert isinstance(stepper, Int8Stepper)
    assert spread_of_error(opening, expected[:, [0, 3]]) < TOLERANCE
    for position in (4, 5):
        assert spread_of_error(stepper.step([row[position] for row in tokens]), expected[:, position]) < TOLERANCE
    stepper.keep([2, 0])
    for position in (6, 7, 8):
        scores = stepper.step([tokens[2][position], tokens[0][position]])
        assert spread_of_error(scores, expected[[2, 0], position]) < TOLERANCE


def test_tokens_at_once_and_one_by_one_get_the_same_scores(rounded: WhisperCheckpoint) -> None:
    features, model = mx.random.normal((2, 50, 16)), rounded.model
    tokens = np.random.default_rng(2).integers(0, rounded.dims.n_vocab, (2, 6)).tolist()
    at_once, _ = open_stepper(model, features, tokens, n_steps=0, positions=range(6))
    scores, stepper = open_stepper(model, features, [row[:1] for row in tokens], n_steps=5, positions=(0,))
    by_one = [scores[:, 0], *(stepper.step([row[position] for row in tokens]) for position in range(1, 6))]
    np.testing.assert_allclose(np.stack(by_one, axis=1), at_once, atol=0.05 * at_once.std())


def test_a_batch_gives_what_its_rows_give_alone(rounded: WhisperCheckpoint) -> None:
    mels = mx.random.normal((4, 200, 20))
    options = DecodingOptions(max_new_tokens=12)
    together = decode(rounded, mels, options)
    alone = [decode(rounded, mels[row : row + 1], options)[0] for row in range(4)]
    assert [result.tokens for result in together] == [result.tokens for result in alone]


def test_recordings_are_transcribed_with_it(rounded: WhisperCheckpoint) -> None:
    clips = [
        np.random.default_rng(row).standard_normal(16_000 * seconds, np.float32) for row, seconds in ((0, 1), (1, 3))
    ]
    heard = transcribe_many(rounded, clips, options=GREEDY)
    assert [round(said.duration_s) for said in heard] == [1, 3]
    assert isinstance(rounded.model, Int8Whisper)


def test_without_the_library_the_message_says_what_to_install(
    exact: WhisperCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(SettingsError, match=r"projectone\[int8\]"):
        quantised(exact)


def test_more_frames_than_a_window_and_other_numbers_are_refused(rounded: WhisperCheckpoint) -> None:
    with pytest.raises(ValueError, match="200 frames"):
        embed_windows(rounded.model, mx.zeros((1, 201, 20)))
    half = random_checkpoint(rounded.tokenizer)
    half.model.set_dtype(mx.float16)
    with pytest.raises(ValueError, match="in float32"):
        quantised(half)
