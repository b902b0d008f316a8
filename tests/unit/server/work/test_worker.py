"""The worker's loop over real rows, with a tiny trainer and a Hub in memory."""

from __future__ import annotations

import dataclasses
import errno
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from sqlalchemy import update
from tests.fakes import tiny_trainer
from tests.fakes.tiny_whisper import say
from tests.fakes.trainer_home import TrainerHome

from projectone.errors import LeaseError, SettingsError, TrainingError, TransportError
from projectone.server.cli import main
from projectone.server.database import writing
from projectone.server.home import require_home
from projectone.server.leases import LEASES
from projectone.server.pipeline import runner
from projectone.server.pipeline.ports import Ports, TrainingRequest
from projectone.server.pipeline.runner import WorkPermit, WorkStoppedError
from projectone.server.pipeline.state import GRAPH_VERSION
from projectone.server.runs import RUNS, RunRow
from projectone.server.work.release_keys import describe
from projectone.server.work.run_ports import open_ports, open_trainer
from projectone.server.work.worker import Worker
from projectone.server.work.workshop import Workshop


class Office:
    """A worker on a home of its own, and handles to break it."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.home = TrainerHome(folder / "home", hub_url="http://127.0.0.1:1", hub_token="none", **variables)
        self.screen = StringIO()
        self.workshop = Workshop(self.home.settings, stream=self.screen)
        self.should_stop = Event()
        self.changes: dict[str, Any] = {}
        self.candidate_wer = 0.3
        self.is_training_real = False
        self._hire()

    def _hire(self) -> None:
        trainer = open_trainer(self.workshop, self.should_stop, ports=self.ports)
        self.worker = Worker(self.workshop, trainer, self.should_stop, lease_s=30)

    def reopen(self, **settings: Any) -> None:
        """Go on as a new process would, with other settings."""
        self.workshop.close()
        self.workshop = Workshop(dataclasses.replace(self.home.settings, **settings), stream=self.screen)
        self._hire()

    def ports(self, permit: WorkPermit) -> Ports:
        base = self.workshop.base()
        score = tiny_trainer.score_by(lambda sha256: 0.5 if sha256 == base else self.candidate_wer)
        tiny: dict[str, Callable[..., Any] | None] = {
            "triage": None,  # the tiny trainer's models are bytes that nobody can listen with
            "train": tiny_trainer.train,
            "score": score,
            "judge": tiny_trainer.judge,
            "scan": None,
            "recall": None,
            "register": lambda deployment: {"repo_id": "acme/whisper", "commit": "0" * 40, "tag": "v"},
        }
        if self.is_training_real:
            del tiny["train"]
        return dataclasses.replace(open_ports(self.workshop, permit), **{**tiny, **self.changes})

    def newest(self) -> RunRow:
        return self.workshop.runs.newest()[0]


@pytest.fixture
def make_office(tmp_path: Path) -> Iterator[Callable[..., Office]]:
    offices: list[Office] = []

    def make(**variables: str) -> Office:
        offices.append(Office(tmp_path, **variables))
        return offices[-1]

    yield make
    for office in offices:
        office.workshop.close()
        office.home.close()


def test_enough_samples_start_a_run_by_themselves(make_office: Callable[..., Office]) -> None:
    office = make_office(MIN_NEW_SAMPLES="5", SCHEDULE_DAYS="0")
    office.home.send_many(4, seed=3)
    assert office.worker.work_once() == []
    office.home.send_many(1, seed=4)
    (run,) = office.worker.work_once()
    assert (run.trigger, run.state, run.version, run.n_new) == ("threshold", "succeeded", "1.0.0", 5)
    assert office.worker.work_once() == []


def test_a_request_runs_with_a_single_sample(make_office: Callable[..., Office]) -> None:
    office = make_office()
    office.home.send_many(1, seed=3)
    office.workshop.runs.request("on-demand")
    (run,) = office.worker.work_once()
    assert (run.trigger, run.state) == ("on-demand", "succeeded")
    assert office.home.catalog.counts()["used"] == 1


def test_no_person_gives_a_run_more_new_samples_than_the_operator_allows(make_office: Callable[..., Office]) -> None:
    office = make_office(MAX_NEW_PER_CONTRIBUTOR="2")
    office.home.send_many(5, seed=3, contributors=1)
    office.home.send_many(1, seed=4, contributors=1)
    office.workshop.runs.request("on-demand")
    (run,) = office.worker.work_once()
    assert run.n_new == 2
    counts = office.home.catalog.counts()
    assert (counts["used"], counts["waiting"]) == (2, 4)


def test_what_one_person_may_not_give_to_a_run_starts_none(make_office: Callable[..., Office]) -> None:
    office = make_office(MAX_NEW_PER_CONTRIBUTOR="2", MIN_NEW_SAMPLES="4", SCHEDULE_DAYS="0")
    office.home.send_many(6, seed=3, contributors=1)
    assert office.worker.work_once() == []
    office.home.send_many(4, seed=4, contributors=2)
    (run,) = office.worker.work_once()  # and no second one on what is left of the first person's
    assert run.n_new == 4
    assert office.home.catalog.counts()["waiting"] == 6


def test_a_worker_whose_lease_went_to_another_marks_no_sample(make_office: Callable[..., Office]) -> None:
    office = make_office()
    office.home.send_many(2, seed=3)
    sample_ids = [str(row.sample_id) for row in office.home.catalog.waiting()]
    trainer = open_trainer(office.workshop, office.should_stop)
    with trainer.permit("paused", ttl_s=60) as permit:
        ports = open_ports(office.workshop, permit)
        ports.mark(sample_ids[:1], "discarded", "silence", "run1")
        with writing(office.home.engine) as connection:
            connection.execute(update(LEASES).values(fence=LEASES.c.fence + 1, holder="new"))
        with pytest.raises(LeaseError, match="stale"):
            ports.mark(sample_ids[1:], "discarded", "silence", "run1")
    counts = office.home.catalog.counts()
    assert (counts["waiting"], counts["discarded"]) == (1, 1)


def test_a_quiet_week_starts_a_run(make_office: Callable[..., Office]) -> None:
    office = make_office()
    office.home.send_many(1, seed=3)  # received three weeks before the clock of the last run below
    before = datetime.now(UTC) - timedelta(days=8)
    office.workshop.runs.request("on-demand")
    with writing(office.home.engine) as connection:
        values = {"state": "no-data", "finished_at_s": before.timestamp()}
        connection.execute(update(RUNS).values(**values))
    (run,) = office.worker.work_once()
    assert (run.trigger, run.state) == ("schedule", "succeeded")


def test_production_stays_when_the_next_model_is_worse(make_office: Callable[..., Office]) -> None:
    office = make_office()
    office.home.send_many(2, seed=3)
    office.workshop.runs.request("on-demand")
    office.worker.work_once()
    before = office.workshop.ledger.latest("stable")
    poison = office.home.send_many(2, seed=4)
    office.candidate_wer = 0.9
    good = office.workshop.production().weights_sha256
    base = office.workshop.base()
    wers = {base: 0.5, good: 0.3}
    office.changes["score"] = tiny_trainer.score_by(lambda sha256: wers.get(sha256, 0.9))
    office.workshop.runs.request("on-demand")
    (run,) = office.worker.work_once()
    assert run.state == "quarantined"
    assert run.reason == "reject: gain -0.60"
    assert office.workshop.ledger.latest("stable") == before
    assert office.home.catalog.counts()["quarantined"] == len(poison)
    assert (office.home.folder / "quarantine" / run.run_id / "model" / "model.safetensors").is_file()
    assert "is in quarantine" in (office.home.folder / "logs" / "notifications.log").read_text()


def test_what_fails_outside_is_tried_again_and_not_quarantined(make_office: Callable[..., Office]) -> None:
    office = make_office()
    office.home.send_many(2, seed=3)
    office.workshop.runs.request("on-demand")

    def out_of_reach(deployment: object) -> Any:
        raise TransportError("the Hub is out of reach")

    office.changes["register"] = out_of_reach
    with pytest.raises(TransportError):
        office.worker.work_once()
    assert (office.newest().state, office.newest().reason) == ("running", "attempt 1: the Hub is out of reach")
    del office.changes["register"]
    (run,) = office.worker.work_once()
    assert (run.state, run.reason, run.version) == ("succeeded", None, "1.0.0")


def test_a_full_disk_is_waited_for(make_office: Callable[..., Office]) -> None:
    office = make_office()
    office.home.send_many(1, seed=3)
    office.workshop.runs.request("on-demand")
    reasons: list[str | None] = []

    def full(request: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    class Pauses(Event):
        def wait(self, timeout: float | None = None) -> bool:
            reasons.append(office.newest().reason)
            if len(reasons) == 2:
                self.set()
            office.changes.pop("train", None)
            return True

    office.changes["train"] = full
    office.should_stop = Pauses()
    office._hire()
    office.worker.work_forever(0.01)
    assert reasons == ["attempt 1: [Errno 28] No space left on device", None]
    assert office.newest().state == "succeeded"
    assert "No space left on device; trying again in" in office.screen.getvalue()


def test_a_worker_whose_memory_is_locked_waits_and_goes_on(
    make_office: Callable[..., Office], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projectone.storage.sqlite._BUSY_TIMEOUT_MS", 20)
    office = make_office()
    office.home.send_many(1, seed=3)
    office.workshop.runs.request("on-demand")
    with closing(sqlite3.connect(office.home.folder / "checkpoints.sqlite", isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode=WAL")
        other.execute("BEGIN IMMEDIATE")
        reasons: list[str | None] = []

        class Pauses(Event):
            def wait(self, timeout: float | None = None) -> bool:
                reasons.append(office.newest().reason)
                if other.in_transaction:
                    other.execute("ROLLBACK")
                else:
                    self.set()
                return True

        office.should_stop = Pauses()
        office._hire()
        office.worker.work_forever(0.01)
    first, last = reasons
    assert "attempt 1: checkpoints: database is locked" in str(first)
    assert "database is locked" in office.screen.getvalue()
    assert "trying again in" in office.screen.getvalue()
    assert (office.newest().state, last) == ("succeeded", None)


def leave_encoder_outputs(request: TrainingRequest) -> None:
    """What an encoder heard of people's voices, as an unfinished training leaves it."""
    (request.work_folder / "encoder").mkdir(parents=True, exist_ok=True)
    (request.work_folder / "encoder" / "0").write_bytes(b"voices")


def test_a_training_that_broke_leaves_nothing_of_what_it_heard(make_office: Callable[..., Office]) -> None:
    office = make_office()
    office.home.send_many(1, seed=3)
    office.workshop.runs.request("on-demand")

    def diverge(request: TrainingRequest) -> str:
        leave_encoder_outputs(request)
        raise TrainingError("the loss is not finite")

    office.changes["train"] = diverge
    (run,) = office.worker.work_once()
    assert (run.state, run.reason) == ("quarantined", "model_fine_tuning: the loss is not finite")
    assert list(office.home.folder.rglob("encoder")) == []


def test_a_run_that_never_ends_is_given_up_so_that_others_can_run(make_office: Callable[..., Office]) -> None:
    office = make_office()
    bad = office.home.send_many(1, seed=3)
    office.workshop.runs.request("on-demand")

    def crash(request: TrainingRequest) -> str:
        leave_encoder_outputs(request)
        raise MemoryError

    office.changes["train"] = crash
    for _ in range(runner.MAX_ATTEMPTS):
        with pytest.raises(MemoryError):
            office.worker.work_once()
    (given_up,) = office.worker.work_once()
    assert given_up.state == "failed"
    assert "begun 5 times" in str(given_up.reason)
    assert list(office.home.folder.rglob("encoder")) == []
    assert office.home.catalog.counts()["quarantined"] == len(bad)
    del office.changes["train"]
    office.home.send_many(1, seed=4)
    office.workshop.runs.request("on-demand")
    (run,) = office.worker.work_once()
    assert (run.state, run.n_items) == ("succeeded", 1)


def test_a_run_of_an_older_graph_is_set_aside_and_its_samples_go_on_waiting(
    make_office: Callable[..., Office], monkeypatch: pytest.MonkeyPatch
) -> None:
    office = make_office()
    office.home.send_many(1, seed=3)
    office.workshop.runs.request("on-demand")
    office.changes["train"] = lambda request: (_ for _ in ()).throw(TransportError("interrupted"))
    with pytest.raises(TransportError):
        office.worker.work_once()
    monkeypatch.setattr(runner, "GRAPH_VERSION", GRAPH_VERSION + 1)
    (run,) = office.worker.work_once()
    assert run.state == "failed"
    why = f"begun on graph {GRAPH_VERSION}, this code has {GRAPH_VERSION + 1}; the samples go on waiting"
    assert run.reason == why
    assert office.home.catalog.counts()["waiting"] == 1


def test_a_stop_leaves_a_run_that_goes_on(make_office: Callable[..., Office]) -> None:
    office = make_office()
    office.home.send_many(1, seed=3)
    office.workshop.runs.request("on-demand")
    steps: list[int] = []

    def train(request: Any) -> str:
        def on_progress(progress: Any) -> None:
            steps.append(progress.step)
            if len(steps) == 3:
                office.should_stop.set()
            request.on_progress(progress)

        return tiny_trainer.train(dataclasses.replace(request, on_progress=on_progress))

    office.changes["train"] = train
    assert office.worker.work_once() == []
    assert (office.newest().state, office.newest().attempts) == ("running", 0)
    office.should_stop.clear()
    (run,) = office.worker.work_once()
    assert run.state == "succeeded"
    assert steps == [1, 2, 3, 4, 5, 6]


def test_the_row_and_the_screen_show_how_far_training_is(make_office: Callable[..., Office]) -> None:
    office = make_office()
    office.home.send_many(1, seed=3)
    office.workshop.runs.request("on-demand")
    office.worker.work_once()
    run = office.newest()
    assert (run.progress_step, run.progress_total, run.progress_loss) == (6, 6, 1 / 6)
    assert f"run {run.run_id}: step 1" in office.screen.getvalue()
    assert f"run {run.run_id}: succeeded (version 1.0.0)" in office.screen.getvalue()


def test_a_release_is_listed_and_signed_again_in_the_second_half_of_its_life(
    make_office: Callable[..., Office],
) -> None:
    office = make_office(RELEASE_DAYS="10")
    office.home.send_many(1, seed=3)
    office.workshop.runs.request("on-demand")
    office.worker.work_once()
    [release] = office.workshop.ledger.releases("stable")
    listed = office.home.settings.home / "tuf" / "targets" / "stable" / "float16"
    [document] = (path for path in listed.iterdir() if not path.name.endswith("notes.json"))
    assert document.read_bytes() == release.manifest.listed().to_bytes()
    first = describe(office.home.settings)["roles"]
    office.worker._shown_at = None
    office.worker.work_once()
    assert describe(office.home.settings)["roles"] == first
    office.workshop.publisher._clock = lambda: release.manifest.created_at + timedelta(days=6)
    office.worker._shown_at = None
    office.worker.work_once()
    again = describe(office.home.settings)["roles"]
    assert [again[role]["version"] - first[role]["version"] for role in first] == [0, 1, 1, 1, 1]


@pytest.mark.parametrize("option", ["--interval-s", "--lease-s"])
@pytest.mark.parametrize("value", ["nan", "inf", "-1", "0"])
def test_a_time_that_is_none_is_refused(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["work", "--once", option, value]) == 2
    assert f"{option}: expected" in capsys.readouterr().err


def test_without_a_home_there_is_nothing_to_work_for(tmp_path: Path, make_office: Callable[..., Office]) -> None:
    settings = dataclasses.replace(make_office().home.settings, home=tmp_path / "nowhere")
    with pytest.raises(SettingsError, match="init"):
        require_home(settings)
    assert not (tmp_path / "nowhere").exists()


def test_a_stopped_run_that_finds_other_settings_begins_again_and_blames_no_sample(
    make_office: Callable[..., Office],
) -> None:
    office = make_office(TRAINING_CHECKPOINT_EVERY_STEPS="1", TRAINING_EPOCHS="2")
    office.is_training_real = True
    office.home.send_many(6, seed=3)
    office.workshop.runs.request("on-demand")

    def stop(run_id: str, progress: Any) -> None:
        if progress.step >= 1:
            raise WorkStoppedError

    office.changes["progress"] = stop
    assert office.worker.work_once() == []
    checkpoints = list((office.home.folder / "runs").rglob("checkpoint-*"))
    assert checkpoints
    del office.changes["progress"]
    office.reopen(training_learning_rate=1e-3)
    (run,) = office.worker.work_once()
    assert (run.state, run.reason) == ("succeeded", None)
    assert office.home.catalog.counts()["quarantined"] == 0
    assert not any(checkpoint.exists() for checkpoint in checkpoints)


def test_words_that_corrections_introduced_are_spoken_to_the_model(make_office: Callable[..., Office]) -> None:
    pytest.importorskip("espeakng_loader", reason="needs the extra 'voices'")
    office = make_office(TRAINING_CARRIERS_PER_TERM="10", TRAINING_EPOCHS="1", TRAINING_MAX_STEPS="2")
    office.is_training_real = True
    for number, (text, heard) in enumerate((("green blue", "grin blue"), ("red", "red"), ("blue", "blue"))):
        office.home.send(f"person{number}", str(number), text, say(text, seed=number, is_lively=True), heard=heard)
    office.workshop.runs.request("on-demand")
    (run,) = office.worker.work_once()
    assert run.state == "succeeded"
    lines = (office.home.folder / "runs" / str(run.run_id) / "train.jsonl").read_text().splitlines()
    finished = json.loads(lines[-1])
    # One word, ten sentences; those that do not fit the window of two seconds are named, the others are learned.
    left_out = [skipped["clip_id"] for skipped in finished["skipped"]]
    assert 0 < len(left_out) < 10
    assert all(clip_id.startswith("carrier-") for clip_id in left_out)
