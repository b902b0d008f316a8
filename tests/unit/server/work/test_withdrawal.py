"""A withdrawal reaches what was made from the samples, at whatever moment of a run it comes."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.fakes import tiny_trainer
from tests.unit.server.work.test_worker import Office, make_office  # noqa: F401 - a fixture

from projectone.errors import StorageError
from projectone.server.corpus.derived import KEPT_COPIES
from projectone.server.corpus.retention import withdraw
from projectone.server.pipeline.ports import TrainingRequest
from projectone.server.pipeline.runner import WorkStoppedError

LEAVING = "person0"


@pytest.fixture
def office(make_office: Callable[..., Office]) -> Office:  # noqa: F811
    """Four samples of two people wait; one of them will leave."""
    office = make_office(TRAINING_CHECKPOINT_EVERY_STEPS="1", TRAINING_EPOCHS="2")
    office.home.send_many(4, seed=3, contributors=2)
    return office


def take_back(office: Office, person: str = LEAVING) -> None:
    """What the API does with a withdrawal, but for the folders."""
    home = office.home
    receipt_id = home.grant(person).receipt_id
    assert withdraw(home.catalog, home.blobs, receipt_id, contributor_id=person, now=datetime.now(UTC)) is not None


def run_once(office: Office) -> list[Any]:
    office.workshop.runs.request("on-demand")
    return office.worker.work_once()


def made(office: Office) -> set[str]:
    """Everything that runs have made: models but the base, and what lies in their folders under a dataset's name."""
    home = office.home.folder
    models = {path for path in (home / "models").iterdir() if path.name not in (office.workshop.base(), KEPT_COPIES)}
    folders = {path for kind in ("training", "candidate") for path in (home / "runs").glob(f"*/{kind}-*")}
    kept = set((home / "quarantine").glob("*/model"))
    packages = {path for path in (home / "packages").rglob("*") if path.is_file()}
    return {path.relative_to(home).as_posix() for path in models | folders | kept | packages}


def test_a_withdrawal_during_training_ends_the_run_and_another_one_learns_from_the_others(office: Office) -> None:
    def train(request: TrainingRequest) -> str:
        if len(request.entries) == 4:
            take_back(office)
        return tiny_trainer.train(request)

    office.changes["train"] = train
    stopped, succeeded = run_once(office)
    assert (stopped.state, stopped.version) == ("failed", None)
    assert stopped.reason == "a sample that it worked with was withdrawn; another run begins without it"
    assert (succeeded.state, succeeded.version, succeeded.n_items) == ("succeeded", "1.0.0", 2)
    assert succeeded.trigger == stopped.trigger
    log = (office.home.folder / stopped.log_path).read_text()
    assert log.count('"event": "step"') == 1  # found at the first step, not at the end
    assert not any(stopped.run_id in name for name in made(office))
    assert not (office.home.folder / "quarantine" / stopped.run_id).exists()
    counts = office.home.catalog.counts()
    assert (counts["used"], counts["erased"], counts["quarantined"]) == (2, 2, 0)
    (said,) = [line for line in notifications(office) if "withdrawn" in line]
    assert stopped.run_id in said


def test_real_training_ends_at_a_withdrawal_and_leaves_nothing(office: Office) -> None:
    office.is_training_real = True
    show = office.workshop.line.show

    def withdraw_at_the_last_step(text: str, **options: Any) -> None:
        if (counted := re.search(r"train (\d+)/(\d+)", text)) and counted[1] == counted[2]:
            assert [name for name in made(office) if "training-" in name]
            take_back(office)
        show(text, **options)

    office.workshop.line.show = withdraw_at_the_last_step  # type: ignore[method-assign]
    stopped, succeeded = run_once(office)
    assert (stopped.state, stopped.candidate_sha256) == ("failed", None)
    assert (succeeded.state, succeeded.n_items) == ("succeeded", 2)
    assert not any(stopped.run_id in name for name in made(office))
    assert {name for name in made(office) if name.startswith("models/")} == {f"models/{succeeded.candidate_sha256}"}


def test_a_stopped_run_goes_on_without_what_was_withdrawn_and_its_checkpoints_go(office: Office) -> None:
    office.is_training_real = True
    office.changes["progress"] = stop_at(office, 1)
    assert run_once(office) == []
    assert [name for name in made(office) if "training-" in name]
    take_back(office)
    del office.changes["progress"]
    (run,) = office.worker.work_once()  # goes on where it was, but not with what was withdrawn
    assert (run.state, run.n_items) == ("succeeded", 2)
    left = made(office)
    office.workshop.derived.erase()
    assert made(office) == left, "what the ended run had made of the withdrawn sample is gone already"
    dataset = office.newest().dataset_sha256
    assert all(str(dataset)[:16] in name for name in left if name.startswith("runs/"))


def test_a_withdrawal_in_the_last_moment_stops_the_release_in_its_own_transaction(office: Office) -> None:
    retracted: list[str] = []

    def register(deployment: Any) -> dict[str, Any]:
        if deployment.n_clips == 4:
            take_back(office)
        return {"repo_id": "acme/whisper", "commit": "0" * 40, "tag": "v"}

    def retract(run_id: str) -> list[str]:
        retracted.append(run_id)
        return ["The Hub had taken the model."]

    office.changes |= {"register": register, "retract": retract}
    stopped, succeeded = run_once(office)
    assert (stopped.state, succeeded.state, succeeded.version) == ("failed", "succeeded", "1.0.0")
    assert retracted == [stopped.run_id]
    releases = office.workshop.ledger.releases()
    assert [release.run_id for release in releases] == [succeeded.run_id]
    assert "The Hub had taken the model." in "\n".join(notifications(office))


def test_a_quarantined_model_goes_with_the_sample_and_what_says_why_stays(office: Office) -> None:
    office.candidate_wer = 0.9
    (run,) = run_once(office)
    kept = office.home.folder / "quarantine" / run.run_id
    assert (kept / "model").is_dir()
    office.home.send_many(2, seed=7, contributors=1)
    office.candidate_wer = 0.3
    run_once(office)
    take_back(office, "person1")  # only the first run had heard them
    removed = office.workshop.derived.erase()
    assert f"quarantine/{run.run_id}/model" in removed
    assert f"models/{run.candidate_sha256}" in removed
    assert {path.name for path in kept.iterdir()} == {"dataset.json", "train.jsonl", "why.json", "model-erased.json"}
    assert office.workshop.derived.erase() == []


def test_what_a_killed_worker_left_half_made_goes_too(office: Office) -> None:
    office.candidate_wer = 0.9
    (run,) = run_once(office)
    folder = office.home.folder / "runs" / run.run_id
    half = [folder / f".tmp-candidate-{run.dataset_sha256[:16]}{kind}-{'0' * 32}" for kind in ("", ".adapter")]
    of_others = folder / f".tmp-candidate-{'0' * 16}-{'0' * 32}"
    for path in (*half, of_others):
        path.mkdir()
        (path / "model.safetensors").write_bytes(b"weights")
    take_back(office)
    office.workshop.derived.erase()
    assert not any(path.exists() for path in half)
    assert of_others.exists()


def test_two_processes_that_erase_at_once_do_not_disturb_each_other(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.candidate_wer = 0.9
    run_once(office)
    take_back(office)
    read_text = Path.read_text

    def gone(path: Path, *arguments: Any, **options: Any) -> str:
        if path.name.startswith("training-"):
            path.unlink()  # the other process
        return read_text(path, *arguments, **options)

    monkeypatch.setattr(Path, "read_text", gone)
    assert any(name.startswith("quarantine/") for name in office.workshop.derived.erase())


def test_what_nobody_withdrew_stays(office: Office) -> None:
    office.candidate_wer = 0.9
    run_once(office)
    before = made(office)
    assert before
    take_back(office, "person2")  # sent nothing
    assert office.workshop.derived.erase() == []
    assert made(office) == before


def test_a_released_model_stays_as_it_was_and_the_next_is_trained_without_the_sample(office: Office) -> None:
    (first,) = run_once(office)
    take_back(office, "person1")
    office.workshop.derived.erase()
    assert (office.home.folder / "models" / first.candidate_sha256).is_dir()
    assert office.workshop.production().version == "1.0.0"
    office.home.send_many(1, seed=8, contributors=1)
    wers = {first.candidate_sha256: 0.3}
    office.changes["score"] = tiny_trainer.score_by(lambda sha256: wers.get(sha256, 0.1))
    (second,) = run_once(office)
    assert (second.state, second.version, second.n_items) == ("succeeded", "1.1.0", 3)


def test_the_base_is_spared_even_if_training_gave_the_same_weights(office: Office) -> None:
    base = office.workshop.base()

    def train_nothing(request: TrainingRequest) -> str:
        shutil.copytree(office.workshop.models.find(base), request.out)
        return base

    office.changes |= {"train": train_nothing, "asks_person": lambda decision: False}
    (run,) = run_once(office)
    assert (run.state, run.candidate_sha256) == ("quarantined", base)
    take_back(office)
    removed = office.workshop.derived.erase()
    assert f"quarantine/{run.run_id}/model" in removed
    assert office.workshop.models.find(base).is_dir()


def test_a_run_that_is_at_work_is_left_to_its_worker(office: Office) -> None:
    office.changes["progress"] = stop_at(office, 3)
    run_once(office)
    before = made(office)
    assert [name for name in before if "training-" in name]
    take_back(office)
    assert office.workshop.derived.erase() == []
    assert made(office) == before


def test_a_crash_while_a_run_is_let_go_asks_for_one_other_run_and_not_for_two(office: Office) -> None:
    def train(request: TrainingRequest) -> str:
        take_back(office)
        return tiny_trainer.train(request)

    def power_cut(message: Any) -> None:
        raise MemoryError

    office.changes |= {"train": train, "notify": power_cut}
    with pytest.raises(MemoryError):
        run_once(office)
    office.changes.clear()
    stopped, succeeded = office.worker.work_once()
    assert (stopped.state, succeeded.state) == ("failed", "succeeded")
    assert len(office.workshop.runs.newest()) == 2


def test_what_cannot_be_removed_is_said_once_and_tried_again(office: Office) -> None:
    office.candidate_wer = 0.9
    run_once(office)
    erase = office.workshop.derived.erase

    def refuse() -> list[str]:
        raise StorageError("models/1: could not be removed")

    office.workshop.derived.erase = refuse  # type: ignore[method-assign]
    take_back(office)
    office._hire()  # another worker: it looks when it starts
    for _ in range(2):
        office.worker.work_once()
    assert office.screen.getvalue().count("could not be removed; trying again") == 1
    office.workshop.derived.erase = erase  # type: ignore[method-assign]
    office.worker.work_once()
    assert "erased after a withdrawal: quarantine/" in office.screen.getvalue()


def test_a_worker_that_starts_finishes_what_a_crash_left(office: Office) -> None:
    office.candidate_wer = 0.9
    (run,) = run_once(office)
    take_back(office)  # and then the power goes
    assert f"quarantine/{run.run_id}/model" in made(office)
    office.reopen()
    office.worker.work_once()
    assert f"quarantine/{run.run_id}/model" not in made(office)
    assert f"erased after a withdrawal: quarantine/{run.run_id}/model" in office.screen.getvalue()


def stop_at(office: Office, step: int) -> Callable[[str, Any], None]:
    """A progress that ends the worker, as SIGTERM does, once training has come to `step`."""

    def progress(run_id: str, done: Any) -> None:
        if done.step >= step:
            raise WorkStoppedError

    return progress


def notifications(office: Office) -> list[str]:
    path: Path = office.home.folder / "logs" / "notifications.log"
    return path.read_text().splitlines() if path.is_file() else []
