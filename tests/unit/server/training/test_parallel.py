import json
from collections.abc import Sequence

import mlx.core as mx
import numpy as np
import pytest

from projectone.server.training.adamw import Tensors
from projectone.server.training.loss import Batch
from projectone.server.training.parallel import ProcessGroup, digest_of_tensors
from projectone.server.training.parallel_parts import SharedGradients, SharedJudge, share_of
from projectone.server.training.state import DevScore


def batch(n_clips: int, *, is_filled: bool = False) -> Batch:
    """Clip i has i + 1 targets, which say whose they are: 100 * i + column."""
    rows = [row for row in range(n_clips) for _ in range(row + 1)]
    columns = [column for row in range(n_clips) for column in range(row + 1)]
    targets = [100 * row + column for row, column in zip(rows, columns, strict=True)]
    n_more = -len(rows) % 16 if is_filled else 0
    filling = [0] * n_more
    return Batch(
        mel=mx.arange(n_clips * 6).reshape(n_clips, 3, 2).astype(mx.float32),
        tokens=mx.arange(n_clips * 8).reshape(n_clips, 8),
        rows=mx.array(rows + filling),
        columns=mx.array(columns + filling),
        targets=mx.array(targets + filling),
        audio_s=9.0,
        weights=mx.array([1.0] * len(rows) + [0.0] * n_more) if is_filled else None,
    )


def heard(share: Batch) -> list[tuple[int, int]]:
    """Every target that counts, with the first token of the window that it says it belongs to."""
    first = np.array(share.tokens)[np.array(share.rows), 0]
    counts = np.ones(first.size) if share.weights is None else np.array(share.weights)
    found = zip(first.tolist(), np.array(share.targets).tolist(), counts.tolist(), strict=True)
    return sorted((token, target) for token, target, count in found if count)


@pytest.mark.parametrize("is_filled", [False, True])
@pytest.mark.parametrize(("n_clips", "size"), [(7, 2), (4, 4), (2, 3), (1, 2)])
def test_every_target_is_heard_once_with_its_own_window(n_clips: int, size: int, is_filled: bool) -> None:
    whole = batch(n_clips, is_filled=is_filled)
    shares = [share_of(whole, rank=rank, size=size) for rank in range(size)]
    assert sorted(pair for share in shares for pair in heard(share)) == heard(whole)
    for rank, share in enumerate(shares):
        assert share.audio_s == whole.audio_s
        assert share.mel.shape[0] == share.tokens.shape[0] == max(1, len(range(n_clips)[rank::size]))
        assert share.mel.shape[1:] == whole.mel.shape[1:]
        if is_filled:
            assert share.targets.size % 16 == 0


def test_alone_a_batch_is_its_own_share() -> None:
    whole = batch(3)
    assert share_of(whole, rank=0, size=1) is whole


class Party(ProcessGroup):
    """One of two processes whose other's sums are known beforehand."""

    def __init__(self, rank: int, others: list[mx.array]) -> None:
        super().__init__()
        self.rank, self.size = rank, 2
        self.others, self.given = others, []

    def sum(self, arrays: Sequence[mx.array]) -> list[mx.array]:
        self.given = list(arrays)
        return [own + other for own, other in zip(arrays, self.others, strict=True)]


def mean_of_targets(trained: Tensors, share: Batch, step: int) -> tuple[mx.array, Tensors]:
    """Of a loss that is w times each target: its gradient is their mean."""
    counts = mx.ones(share.targets.shape) if share.weights is None else share.weights
    mean = (share.targets * counts).sum() / counts.sum()
    return trained["w"] * mean, {"w": mean}


@pytest.mark.parametrize("n_clips", [5, 1])
def test_shares_add_up_to_the_mean_of_the_whole_batch_however_uneven_they_are(n_clips: int) -> None:
    whole, trained = batch(n_clips), {"w": mx.array(2.0)}
    given: list[list[mx.array]] = []
    for rank in range(2):
        silent = Party(rank, [mx.array(0.0), mx.zeros((2,))])
        SharedGradients(mean_of_targets, silent)(trained, share_of(whole, rank=rank, size=2), 0)
        given.append(silent.given)
    for rank in range(2):
        party = Party(rank, given[1 - rank])
        loss, gradients = SharedGradients(mean_of_targets, party)(trained, share_of(whole, rank=rank, size=2), 0)
        expected = np.array(whole.targets).mean()
        assert float(gradients["w"].item()) == pytest.approx(expected, rel=1e-6)
        assert float(loss.item()) == pytest.approx(2 * expected, rel=1e-6)


def test_what_is_random_differs_between_processes_and_steps_but_not_for_one_alone() -> None:
    steps: list[int] = []

    def noted(trained: Tensors, share: Batch, step: int) -> tuple[mx.array, Tensors]:
        steps.append(step)
        return mx.array(1.0), {"w": mx.array(1.0)}

    for rank in range(2):
        for step in range(3):
            SharedGradients(noted, Party(rank, [mx.array(0.0), mx.zeros((2,))]))({"w": mx.array(1.0)}, batch(2), step)
    assert sorted(steps) == [0, 1, 2, 3, 4, 5]
    steps.clear()
    SharedGradients(noted, ProcessGroup())({"w": mx.array(1.0)}, batch(2), 4)
    assert steps == [4]


def test_a_process_alone_asks_itself_and_gets_its_own_answer() -> None:
    group = ProcessGroup()
    assert (group.rank, group.size, group.is_first) == (0, 1, True)
    score = DevScore(wer=1 / 3, general_wer=None, loss=0.1 + 0.2)
    assert SharedJudge(lambda trained: score, group)({}) == score
    assert group.decide(lambda: {"a": [1, None]}) == {"a": [1, None]}
    with pytest.raises(TypeError):
        group.decide(lambda: object())
    tensors = {"w": mx.array([1.0, -0.0])}
    assert group.tensors(tensors) is tensors
    group.expect_same("00", "nothing to compare with")
    assert json.dumps([array.tolist() for array in group.sum([mx.array([1.0])])]) == "[[1.0]]"


def test_a_digest_of_tensors_is_of_names_and_bits_in_any_order() -> None:
    first, second = mx.array([0.0, 1.0]), mx.array([[2.0]], dtype=mx.float16)
    whole = digest_of_tensors({"a": first, "b": second})
    assert whole == digest_of_tensors({"b": second, "a": first})
    assert whole != digest_of_tensors({"a": mx.array([-0.0, 1.0]), "b": second})
    assert whole != digest_of_tensors({"a": first, "c": second})
    # Not contiguous in memory: the numbers count, not where they lie.
    assert digest_of_tensors({"a": mx.array([0.0, 9.0, 1.0])[::2], "b": second}) == whole
