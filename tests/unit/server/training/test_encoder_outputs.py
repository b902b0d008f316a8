import os
from dataclasses import replace
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from tests.fakes.tiny_whisper import tiny_checkpoint

from projectone.server.training.encoder_outputs import EncodedBatches, EncoderOutputs, repeated_steps
from projectone.server.training.loss import Batch, mean_cross_entropy

# float16 keeps eleven bits of every output of the encoder; the loss is a mean over many of them.
LOSS_TOLERANCE = 1e-3
MODEL = tiny_checkpoint().model


def batch(seed: int) -> Batch:
    random = np.random.default_rng(seed)
    return Batch(
        mel=mx.array(random.standard_normal((2, 64, 20)).astype(np.float32)),
        tokens=mx.array(random.integers(0, 250, (2, 5))),
        rows=mx.array([0, 0, 1, 1]),
        columns=mx.array([3, 4, 3, 4]),
        targets=mx.array([7, 8, 9, 10]),
        audio_s=1.0,
    )


def outputs(folder: Path, *, max_bytes: int = 10**9, model: str = "m") -> EncoderOutputs:
    return EncoderOutputs(folder, MODEL.embed_audio, model_sha256=model, max_bytes=max_bytes)


def test_the_loss_is_that_of_the_encoder_itself(tmp_path: Path) -> None:
    encoded = EncodedBatches(batch, [0, 1, 2], outputs(tmp_path))
    for step in range(3):
        expected = mean_cross_entropy(MODEL, batch(step)).item()
        assert mean_cross_entropy(MODEL, encoded.batch(step)).item() == pytest.approx(expected, rel=LOSS_TOLERANCE)


def test_each_batch_is_encoded_once_even_across_processes(tmp_path: Path) -> None:
    first = outputs(tmp_path)
    batches = EncodedBatches(batch, [0, 1, 0, 1, 1], first)
    heard = [batches.batch(step) for step in range(5)]
    assert first.n_computed == 2
    again = outputs(tmp_path)
    resumed = EncodedBatches(batch, [0, 1], again).batch(1)
    assert again.n_computed == 0
    for features in (heard[1].features, heard[3].features, resumed.features):
        assert features is not None
        assert heard[4].features is not None
        assert mx.array_equal(features, heard[4].features)


def test_what_is_computed_equals_what_is_read_to_the_bit(tmp_path: Path) -> None:
    full = EncodedBatches(batch, [0], outputs(tmp_path / "a"))
    none = EncodedBatches(batch, [0], outputs(tmp_path / "b", max_bytes=0))
    made, read, made_again = full.batch(0).features, full.batch(0).features, none.batch(0).features
    assert made is not None
    assert read is not None
    assert made_again is not None
    assert mx.array_equal(made, read)
    assert mx.array_equal(made, made_again)
    assert list((tmp_path / "b").iterdir()) == []


def test_the_disk_is_not_filled_beyond_the_limit(tmp_path: Path) -> None:
    one = outputs(tmp_path / "one")
    EncodedBatches(batch, [0], one).batch(0)
    size = sum(path.stat().st_size for path in (tmp_path / "one").iterdir())
    two = outputs(tmp_path / "two", max_bytes=2 * size + 1)
    batches = EncodedBatches(batch, list(range(4)), two)
    for _ in range(2):
        for step in range(4):
            batches.batch(step)
    assert len(list((tmp_path / "two").iterdir())) == 2
    assert two.n_computed == 4 + 2


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_a_damaged_file_is_computed_again(damage: str, tmp_path: Path) -> None:
    made = EncodedBatches(batch, [0], outputs(tmp_path)).batch(0).features
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes({"flip": bytes(content), "cut": bytes(content[: len(content) // 2]), "empty": b""}[damage])
    again = outputs(tmp_path)
    features = EncodedBatches(batch, [0], again).batch(0).features
    assert again.n_computed == 1
    assert made is not None
    assert features is not None
    assert mx.array_equal(made, features)


def test_another_model_or_sound_has_other_outputs(tmp_path: Path) -> None:
    one, other = outputs(tmp_path), outputs(tmp_path, model="n")
    assert len({one.key_of(batch(0).mel), one.key_of(batch(1).mel), other.key_of(batch(0).mel)}) == 3
    longer = replace(batch(0), mel=batch(0).mel.reshape(1, 128, 20))
    assert one.key_of(longer.mel) != one.key_of(batch(0).mel)


def test_nothing_of_the_voices_is_left(tmp_path: Path) -> None:
    made = outputs(tmp_path / "outputs")
    EncodedBatches(batch, [0], made).batch(0)
    made.clear()
    assert os.listdir(tmp_path) == []  # noqa: PTH208


def test_later_epochs_repeat_the_first_ones_in_another_order() -> None:
    planned = [0] * 5 + [1] * 4 + [2] * 5 + [3] * 5 + [4] * 6
    sources, epochs = repeated_steps(planned, 2, 0, max_steps=None)
    assert sources[:9] == list(range(9))
    assert sorted(sources[9:14]) == [0, 1, 2, 3, 4]
    assert sorted(sources[14:18]) == [5, 6, 7, 8]
    assert sorted(sources[18:]) == [0, 1, 2, 3, 4]
    assert sources[9:14] != sources[18:]
    assert epochs == [0] * 5 + [1] * 4 + [2] * 5 + [3] * 4 + [4] * 5
    assert repeated_steps(planned, 2, 0, max_steps=None)[0] == sources
    assert repeated_steps(planned, 2, 0, max_steps=7) == (sources[:7], epochs[:7])
