import mlx.core as mx
import numpy as np
import pytest
from tests.fakes.tiny_whisper import tiny_checkpoint

from projectone.server.training.loss import Batch, Target, collate_targets, mean_cross_entropy


def batch_of(targets: list[Target], *, pad: int, n_frames: int = 64) -> Batch:
    tokens, rows, columns, wanted = collate_targets(targets, pad=pad)
    mel = np.random.default_rng(0).standard_normal((len(targets), n_frames, 20)).astype(np.float32)
    return Batch(mx.array(mel), mx.array(tokens), mx.array(rows), mx.array(columns), mx.array(wanted), 1.0)


def test_the_loss_equals_the_plain_sum_over_targets() -> None:
    model = tiny_checkpoint().model
    targets = [Target((5, 6, 7, 8), 2), Target((5, 6, 9), 1)]
    batch = batch_of(targets, pad=0)
    features = model.embed_audio(batch.mel)
    nats = []
    for row, target in enumerate(targets):
        logits = np.array(model.logits(mx.array([target.tokens[:-1]]), features[row : row + 1]))[0]
        shares = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
        nats += [-np.log(shares[i - 1, target.tokens[i]]) for i in range(target.n_given, len(target.tokens))]
    # float32 sums in another order.
    assert mean_cross_entropy(model, batch).item() == pytest.approx(np.mean(nats), rel=1e-5)


def test_padding_tokens_do_not_change_the_loss() -> None:
    model = tiny_checkpoint().model
    targets = [Target((5, 6, 7, 8, 9, 10), 2), Target((5, 6, 9), 1)]
    losses = [mean_cross_entropy(model, batch_of(targets, pad=pad)).item() for pad in (0, 17)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_the_given_opening_is_never_a_target() -> None:
    tokens, rows, columns, wanted = collate_targets([Target((1, 2, 3, 4), 3), Target((1, 5), 1)], pad=0)
    assert wanted.tolist() == [4, 5]
    assert rows.tolist() == [0, 1]
    assert columns.tolist() == [2, 0]
    assert tokens.tolist() == [[1, 2, 3], [1, 0, 0]]


def test_a_target_without_anything_to_predict_is_refused() -> None:
    with pytest.raises(ValueError, match="n_given"):
        Target((1, 2), 2)
