from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest

from projectone.speech import stepping
from projectone.speech.checkpoint import WhisperCheckpoint
from projectone.speech.stepping import MlxStepper, NumpyStepper, open_stepper

# float32 sums in another order, and an error function that is right to 1.5e-7; scores are around 10.
TOLERANCE = 2e-5


def whole(checkpoint: WhisperCheckpoint, tokens: list[list[int]], features: mx.array) -> np.ndarray:
    return np.array(checkpoint.model.logits(mx.array(tokens), features))


@pytest.mark.parametrize(
    ("is_plain", "fewest_steps"), [(True, 9), (True, 1), (False, 9)], ids=["numpy", "laid out anew", "mlx"]
)
def test_steps_give_the_scores_of_one_pass_over_all_tokens(
    checkpoint: WhisperCheckpoint, is_plain: bool, fewest_steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stepping, "is_plain", lambda module: is_plain)
    monkeypatch.setattr(stepping, "_FEWEST_STEPS", fewest_steps)
    features = mx.random.normal((3, 100, 16))
    tokens = np.random.default_rng(1).integers(0, checkpoint.dims.n_vocab, (3, 9)).tolist()
    expected = whole(checkpoint, tokens, features)
    opening, stepper = open_stepper(
        checkpoint.model, features, [row[:4] for row in tokens], n_steps=5, positions=(0, -1)
    )
    assert isinstance(stepper, NumpyStepper if is_plain else MlxStepper)
    np.testing.assert_allclose(opening, expected[:, [0, 3]], atol=TOLERANCE)
    for position in (4, 5):
        scores = stepper.step([row[position] for row in tokens])
        np.testing.assert_allclose(scores, expected[:, position], atol=TOLERANCE)
    stepper.keep([2, 0])
    for position in (6, 7, 8):
        scores = stepper.step([tokens[2][position], tokens[0][position]])
        np.testing.assert_allclose(scores, expected[[2, 0], position], atol=TOLERANCE)


def test_an_adapter_or_another_type_is_stepped_through_mlx(checkpoint: WhisperCheckpoint) -> None:
    features = mx.random.normal((1, 100, 16))
    checkpoint.model.set_dtype(mx.float16)
    scores, stepper = open_stepper(checkpoint.model, features, [[1, 2]], n_steps=2, positions=(-1,))
    assert isinstance(stepper, MlxStepper)
    assert scores.dtype == np.float32
    assert stepper.step([3]).dtype == np.float32


def test_a_row_that_goes_on_for_long_has_its_weights_moved_once(
    checkpoint: WhisperCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[int] = []
    monkeypatch.setattr(stepping, "move_to_large_pages", lambda weights: moved.append(len(weights)))
    monkeypatch.setattr(stepping, "_STEPS_BEFORE_MOVING", 5)
    _, stepper = open_stepper(checkpoint.model, mx.random.normal((1, 100, 16)), [[1, 2]], n_steps=20, positions=(-1,))
    for n_taken in range(20):
        assert bool(moved) == (n_taken > 5)
        stepper.step([3])
    assert moved == [1 + 8 * checkpoint.dims.n_text_layer]
