import resource
from pathlib import Path

import mlx.core as mx
import pytest

from projectone.errors import StorageError, TrainingError
from projectone.server.training.adamw import AdamW
from projectone.server.training.state import Best, DevScore, StateFolder, TrainingState

SCORE = DevScore(wer=0.25, general_wer=None, loss=1.5, errors=(1, 0), n_words=4)
LOWEST = DevScore(wer=0.0, general_wer=None, loss=1.75, errors=(0, 0), n_words=4)


def state(step: int, *, n_rollbacks: int = 0, best_step: int | None = None) -> TrainingState:
    weights = {"a.weight": mx.full((3, 2), step + 0.1), "b": mx.arange(4) / 3}
    ones = {"a.weight": mx.ones((3, 2))}
    best = None if best_step is None else Best(step=best_step, score=SCORE, weights=ones, lowest=LOWEST)
    return TrainingState(
        step=step, weights=weights, moments=AdamW().zeros(weights), n_rollbacks=n_rollbacks, before=SCORE, best=best
    )


def test_what_was_saved_comes_back_bit_for_bit(tmp_path: Path) -> None:
    saved = state(7, n_rollbacks=1, best_step=5)
    StateFolder(tmp_path, "print").save(saved)
    read = StateFolder(tmp_path, "print").latest()
    assert read is not None
    assert (read.step, read.n_rollbacks, read.before) == (7, 1, SCORE)
    for name, weight in saved.weights.items():
        assert mx.array_equal(read.weights[name], weight)
        assert mx.array_equal(read.moments[1][name], saved.moments[1][name])
    assert read.best is not None
    assert (read.best.step, read.best.score, read.best.lowest) == (5, SCORE, LOWEST)
    assert mx.array_equal(read.best.weights["a.weight"], mx.ones((3, 2)))


def test_the_last_two_are_kept_with_the_best_they_need(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path, "print")
    for step, best_step in ((0, None), (5, 5), (10, 10), (15, 10)):
        folder.save(state(step, best_step=best_step))
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == ["best-r0-s000010", "checkpoint-r0-s000010", "checkpoint-r0-s000015"]


def test_a_return_counts_as_later_than_what_it_gave_up(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path, "print")
    folder.save(state(20))
    folder.save(state(10, n_rollbacks=1))
    latest = folder.latest()
    assert latest is not None
    assert (latest.step, latest.n_rollbacks) == (10, 1)


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path, "print")
    folder.save(state(5))
    folder.save(state(10))
    tensors = tmp_path / "checkpoint-r0-s000010" / "tensors.safetensors"
    content = bytearray(tensors.read_bytes())
    content[-1] ^= 1
    tensors.write_bytes(content)
    latest = folder.latest()
    assert latest is not None
    assert latest.step == 5
    (tmp_path / "checkpoint-r0-s000005" / "state.json").write_text("{")
    with pytest.raises(StorageError, match="no checkpoint can be read"):
        folder.latest()


@pytest.mark.parametrize("name", ["checkpoint-r0-s000010/state.json", "best-r0-s000010/tensors.safetensors"])
def test_what_is_damaged_is_made_again_and_not_taken_for_whole(name: str, tmp_path: Path) -> None:
    folder = StateFolder(tmp_path, "print")
    folder.save(state(5))
    folder.save(state(10, best_step=10))
    (tmp_path / name).write_bytes(b"torn")
    resumed = StateFolder(tmp_path, "print")
    latest = resumed.latest()
    assert latest is not None
    assert latest.step == 5
    resumed.save(state(10, best_step=10))
    again = StateFolder(tmp_path, "print").latest()
    assert again is not None
    assert again.step == 10
    assert again.best is not None
    assert mx.array_equal(again.best.weights["a.weight"], mx.ones((3, 2)))


def test_a_full_disk_is_said_and_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path, "print")
    folder.save(state(5))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, hard))
    try:
        with pytest.raises(StorageError, match=r"checkpoint-r0-s000010' could not be made: tensors\.safetensors: "):
            folder.save(state(10))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-r0-s000005"]


def test_half_a_checkpoint_is_swept_away(tmp_path: Path) -> None:
    (tmp_path / ".tmp-checkpoint-r0-s000010-abc").mkdir()
    assert StateFolder(tmp_path, "print").latest() is None
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    StateFolder(tmp_path, "one").save(state(5))
    with pytest.raises(TrainingError, match="other clips, settings or base"):
        StateFolder(tmp_path, "two").latest()


def test_what_was_begun_with_other_arithmetic_is_refused_by_its_name(tmp_path: Path) -> None:
    StateFolder(tmp_path, "one", {"arithmetic": 1, "mlx": "0.1", "numpy": "2.3"}).save(state(5))
    now = StateFolder(tmp_path, "two", {"arithmetic": 2, "mlx": "0.1", "numpy": "2.4"})
    with pytest.raises(TrainingError, match=r"begun with arithmetic 1, numpy 2\.3; here is arithmetic 2, numpy 2\.4"):
        now.latest()
    with pytest.raises(TrainingError, match="other clips, settings or base"):  # the same arithmetic: not to blame
        StateFolder(tmp_path, "two", {"arithmetic": 1, "mlx": "0.1", "numpy": "2.3"}).latest()


def test_what_was_begun_before_the_arithmetic_was_noted_is_refused(tmp_path: Path) -> None:
    StateFolder(tmp_path, "one").save(state(5))
    with pytest.raises(TrainingError, match="begun with arithmetic not noted; here is arithmetic 1"):
        StateFolder(tmp_path, "two", {"arithmetic": 1}).latest()


def test_a_run_that_was_stopped_goes_on_from_there_but_never_returns_there(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path, "print")
    folder.save(state(5, best_step=5))
    folder.pause(state(6, best_step=5))
    folder.pause(state(8, best_step=5))
    newest, saved = folder.latest(), folder.latest(is_saved=True)
    assert newest is not None
    assert newest.step == 8
    assert newest.best is not None
    assert saved is not None
    assert saved.step == 5
    assert sorted(path.name for path in tmp_path.glob("paused-*")) == ["paused-r0-s000008"]
    folder.save(state(10))
    assert not list(tmp_path.glob("paused-*"))


def test_a_finished_run_keeps_no_checkpoint(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path, "print")
    folder.save(state(5, best_step=5))
    folder.pause(state(6, best_step=5))
    folder.clear()
    assert list(tmp_path.iterdir()) == []
