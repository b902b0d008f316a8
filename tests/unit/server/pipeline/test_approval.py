"""The graph, its rows and its checkpoints around a person's answer; what is outside of them is in memory."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.pipeline_ports import World
from tests.unit.server.pipeline.test_evaluate import on_the_secret_set

from projectone.contracts.scores import EvaluationReport, Verdict
from projectone.contracts.versions import Family
from projectone.errors import DataError, StageError
from projectone.server.approvals import APPROVALS, Answer, Approvals
from projectone.server.database import Engine, open_engine, writing
from projectone.server.leases import Leases
from projectone.server.migrations.upgrade import upgrade_database
from projectone.server.pipeline import approval
from projectone.server.pipeline.approval import question_of
from projectone.server.pipeline.models import ModelFolders
from projectone.server.pipeline.ports import Ports, Production
from projectone.server.pipeline.runner import Trainer, WorkPermit
from projectone.server.pipeline.state import APPROVAL, DEPLOYMENT, EVALUATION, FINE_TUNING, INGESTION, QUARANTINE
from projectone.server.runs import RUNS, RunRow, Runs

JUDGED = [INGESTION, FINE_TUNING, EVALUATION, APPROVAL]


def hold(production: EvaluationReport, candidate: EvaluationReport) -> Verdict:
    gain = production.wer.value - candidate.wer.value
    return Verdict(decision="hold", reasons=("may be chance",), gain=gain, gain_low=-0.1, gain_high=0.3)


class Office:
    """A worker's rows and a world of fakes; `work` does what a fresh worker would."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        self.world = World(folder / "home")
        self.world.add("a")
        (self.world.home / "keys").mkdir()
        self.engine = engine
        self.runs = Runs(engine)
        self.now = datetime(2026, 11, 22, tzinfo=UTC)
        self.approvals = Approvals(engine, released=self.released, clock=lambda: self.now)
        self.asked = {"hold"}
        self.changes: dict[str, Any] = {"judge": hold}
        self.run_id = self.runs.request("on-demand").run_id

    def released(self, family: Family) -> str | None:
        return None if self.world.production is None else self.world.production.weights_sha256

    def ports(self, permit: WorkPermit) -> Ports:
        lifetime = timedelta(days=7)
        return self.world.ports(
            asks_person=lambda decision: decision in self.asked,
            ask=lambda question: self.approvals.ask(question, lifetime=lifetime, guard=permit.guard),
            find_answer=self.approvals.find,
            **self.changes,
        )

    def work(self) -> RunRow:
        """As a worker that was started just now: nothing is remembered but rows and checkpoints."""
        trainer = Trainer(
            home=self.world.home,
            runs=Runs(self.engine),
            leases=Leases(self.engine),
            ports=self.ports,
            should_stop=threading.Event(),
        )
        with trainer.permit("worker", ttl_s=60) as permit:
            return trainer.work_on(self.runs.get(self.run_id), permit)

    def answer(self, answer: Answer, by: str = "ada", note: str | None = None) -> None:
        self.approvals.answer(self.run_id, answer, by=by, note=note)

    def release_another(self) -> None:
        other = self.world.home / "other"
        other.mkdir()
        (other / "model.safetensors").write_bytes(b"other")
        sha256 = ModelFolders(self.world.home / "models").keep_copy(other)
        self.world.production = Production(weights_sha256=sha256, version="3.0.0")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{tmp_path_factory.mktemp('rows') / 'rows.sqlite'}")
    upgrade_database(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def office(tmp_path: Path, database: Engine) -> Office:
    with writing(database) as connection:
        connection.execute(RUNS.delete())
    return Office(tmp_path, database)


def test_a_held_run_waits_without_a_lease_and_says_what_to_do(office: Office) -> None:
    row = office.work()
    assert (row.state, row.finished_at, office.world.nodes) == ("waiting", None, JUDGED)
    assert office.runs.next_due() is None
    assert office.world.released == []
    with Trainer(
        home=office.world.home,
        runs=office.runs,
        leases=Leases(office.engine),
        ports=office.ports,
        should_stop=threading.Event(),
    ).permit("another worker", ttl_s=60):
        pass  # nobody holds the lease
    (message,) = office.world.messages.values()
    assert "waits for your decision: the gate could not decide" in message.subject
    assert "May be chance." in message.body
    assert f"projectone-server work approve {office.run_id}" in message.body


def test_an_approved_run_is_released_once_and_says_that_a_person_let_it_out(office: Office) -> None:
    office.work()
    office.answer("approved", note="listened")
    due = office.runs.next_due()
    assert due is not None and due.run_id == office.run_id
    assert office.work().state == "succeeded"
    assert office.world.nodes == [*JUDGED, APPROVAL, DEPLOYMENT]
    (released,) = office.world.released
    assert released.verdict is not None
    assert released.verdict.decision == "hold"
    assert released.verdict.reasons == ("approved by a person", "may be chance")
    assert office.world.marks == {"a": ("used", None)}


def test_a_vetoed_run_is_set_aside_with_who_and_why(office: Office) -> None:
    office.work()
    office.answer("vetoed", note="names are lost")
    row = office.work()
    assert row.state == "quarantined"
    assert "vetoed by ada on 2026-11-22: names are lost; hold: may be chance" in str(office.world.row["reason"])
    assert office.world.released == []
    assert office.world.marks == {}


def test_a_run_that_nobody_decided_about_is_set_aside(office: Office) -> None:
    office.work()
    office.answer("expired", by="server")
    assert office.work().state == "quarantined"
    assert "nobody decided by 2026-11-29" in str(office.world.row["reason"])


def test_a_second_answer_is_refused_and_told_the_first(office: Office) -> None:
    office.work()
    office.answer("approved")
    for again in ("approved", "vetoed"):
        with pytest.raises(DataError, match="is decided already: approved by ada") as refused:
            office.answer(again, by="bob")
        assert refused.value.reason == "not-waiting"
    office.work()
    with pytest.raises(DataError, match="decided already"):
        office.answer("vetoed", by="bob")
    assert len(office.world.released) == 1


def test_of_many_who_answer_at_once_one_is_heard(office: Office) -> None:
    office.work()
    heard: list[str] = []
    barrier = threading.Barrier(6)

    def decide(number: int) -> None:
        barrier.wait()
        try:
            office.approvals.answer(office.run_id, "approved" if number % 2 else "vetoed", by=f"person{number}")
            heard.append(f"person{number}")
        except DataError:
            pass

    threads = [threading.Thread(target=decide, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(heard) == 1
    (found,) = office.approvals.of_run(office.run_id)
    assert found.answered_by == heard[0]
    assert (office.work().state == "succeeded") == (found.answer == "approved")


def test_an_approval_is_refused_once_production_is_another_model_and_the_run_can_be_judged_again(
    office: Office,
) -> None:
    office.work()
    with pytest.raises(DataError, match="production is still what its model was judged against"):
        office.answer("judge-again")
    office.release_another()
    with pytest.raises(DataError, match=r"judged against .*, production is .* now; let it be judged again"):
        office.answer("approved")
    office.answer("judge-again")
    assert office.work().state == "waiting"
    assert office.world.nodes[-3:] == [APPROVAL, EVALUATION, APPROVAL]
    office.answer("approved")
    assert office.work().state == "succeeded"
    assert office.world.released[-1].version == "3.1.0"


def test_a_release_between_the_approval_and_its_use_has_the_run_judged_again(office: Office) -> None:
    office.work()
    office.answer("approved")
    office.release_another()
    assert office.work().state == "waiting"
    assert office.world.released == []
    assert [item.answer for item in office.approvals.of_run(office.run_id)].count(None) == 1


def test_a_production_that_comes_back_is_a_new_question(office: Office) -> None:
    office.work()
    office.release_another()
    office.answer("judge-again")
    office.work()
    office.world.production = Production(weights_sha256=office.world.base_sha256, version="4.0.0")
    office.answer("judge-again")
    assert office.work().state == "waiting"
    assert len(office.approvals.of_run(office.run_id)) == 3
    office.answer("approved")
    assert office.work().state == "succeeded"


def test_a_withdrawal_while_it_waits_refuses_the_release_whoever_approves(office: Office) -> None:
    office.world.add("stays")
    office.work()
    office.world.withdraw("a")
    office.answer("approved")
    assert office.work().state == "failed"
    assert office.world.registered == office.world.released == []
    assert office.world.started_anew == [office.run_id]


def test_a_rejected_model_asks_nobody_and_cannot_be_approved(office: Office) -> None:
    office.changes = {}
    office.asked = {"hold", "promote"}
    office.world.wer = lambda sha256: 0.2 if sha256 == office.world.base_sha256 else 0.6
    assert office.work().state == "quarantined"
    assert office.world.nodes == [INGESTION, FINE_TUNING, EVALUATION, QUARANTINE]
    with pytest.raises(DataError, match="waits for nobody; what was refused is only released by a new run"):
        office.answer("approved")


def test_a_question_about_a_rejected_model_is_not_put(office: Office) -> None:
    office.changes = {}
    ports = office.world.ports()
    judged = {
        "production_sha256": "a" * 64,
        "candidate_sha256": "c" * 64,
        "verdict": Verdict(decision="reject", reasons=("worse",), gain=-1, gain_low=-1, gain_high=-1).model_dump(),
    }
    ports = replace(ports, find_effect=lambda *_: judged)
    with pytest.raises(StageError, match="expected one of hold, promote, got 'reject'"):
        question_of({"run_id": "r", "new_model_path": "c" * 64, "evaluation_metrics": {}}, ports)


def test_by_setting_a_person_also_lets_out_what_the_gate_would(office: Office) -> None:
    office.changes = {}
    office.asked = {"hold", "promote"}
    assert office.work().state == "waiting"
    (message,) = office.world.messages.values()
    assert "the gate would release it" in message.subject
    office.answer("approved")
    assert office.work().state == "succeeded"


def test_nobody_is_asked_unless_the_setting_says_so(office: Office) -> None:
    office.asked = set()
    assert office.work().state == "quarantined"
    assert APPROVAL not in office.world.nodes


def test_an_answer_to_another_question_opens_nothing(office: Office) -> None:
    office.work()
    # Somebody with access to the rows moves an approval of another run here.
    with writing(office.engine) as connection:
        mine = APPROVALS.c.run_id == office.run_id
        connection.execute(APPROVALS.update().where(mine).values(subject_sha256="f" * 64, answer="approved"))
    assert office.work().state == "waiting"
    assert office.world.released == []


SWAPS: list[tuple[str, Any]] = [
    ("decision", "promote"),
    ("reasons", ["better overall, beyond chance"]),
    ("gain", 0.9),
    ("production_sha256", "e" * 64),
    ("gain_low", 0.2),
]


def swap(office: Office, what: str, value: Any) -> None:
    """Somebody with access to the rows puts another judgement under an approval that was given."""
    for (_, _, name, _), result in office.world.effects.items():
        if name == "verdict":
            (result if what.endswith("sha256") else result["verdict"])[what] = value


@pytest.mark.parametrize("n", [5, pytest.param(20, marks=pytest.mark.slow)])
def test_an_approval_lets_out_nothing_but_what_was_approved(tmp_path: Path, office: Office, n: int) -> None:
    for number in range(n):
        office = Office(tmp_path / str(number), office.engine)
        office.work()
        office.answer("approved")
        swap(office, *SWAPS[number % len(SWAPS)])
        row = office.work()
        assert (row.state, office.world.released) == ("quarantined", []), SWAPS[number % len(SWAPS)]
        assert "the answer is to another question" in str(office.world.row["reason"])


def test_control_without_the_comparison_a_swapped_judgement_is_released(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.work()
    office.answer("approved")
    swap(office, "gain", 0.9)
    monkeypatch.setattr(approval, "is_answer_to", lambda question, answer: True)
    assert office.work().state == "succeeded"
    assert len(office.world.released) == 1


def propose(office: Office, version: str) -> None:
    """A model that a person made, in the place of the run that would have trained one."""
    made = office.world.home / "made"
    made.mkdir()
    (made / "model.safetensors").write_bytes(b"made by a person")
    sha256 = ModelFolders(office.world.home / "models").keep_copy(made)
    office.run_id = office.runs.propose(sha256, version, "safety").run_id


def test_a_model_that_a_person_proposes_is_judged_and_waits_as_a_trained_one_does(office: Office) -> None:
    propose(office, "1.4.0")
    assert office.work().state == "waiting"
    assert office.world.nodes == [EVALUATION, APPROVAL]
    office.answer("approved")
    assert office.work().state == "succeeded"
    (released,) = office.world.released
    assert (released.version, released.dataset_sha256, released.n_clips) == ("1.4.0", None, 0)
    assert office.world.marks == {}  # it learned from nobody's samples: they go on waiting
    assert "trained on" not in office.world.messages[f"{office.run_id}-deployed"].body


def test_whoever_is_told_of_a_proposal_reads_of_no_training_and_no_samples(office: Office) -> None:
    office.changes["canary"] = lambda sha256: on_the_secret_set(0.9)
    propose(office, "1.4.0")
    office.work()
    office.answer("vetoed", note="it misses the worst")
    office.work()
    told = list(office.world.messages.values())
    assert [message.key.removeprefix(f"{office.run_id}-")[:8] for message in told] == ["canary", "approval", "quaranti"]
    for message in told:
        assert message.subject.startswith(f"Proposed model 1.4.0 (run {office.run_id})")
    assert "samples" not in told[-1].body and "log" not in told[-1].body
    assert f"projectone-server quarantine show {office.run_id}" in told[-1].body
    # The control: of a run that trained it is said.
    office.run_id = office.runs.request("on-demand").run_id
    office.work()
    assert office.world.messages[f"{office.run_id}-canary"].subject.startswith(f"Training run {office.run_id}")


def test_a_proposed_model_that_is_vetoed_is_set_aside_and_nobodys_samples_with_it(office: Office) -> None:
    propose(office, "1.4.0")
    office.work()
    office.answer("vetoed", note="it misses the worst")
    assert office.work().state == "quarantined"
    assert (office.world.released, office.world.marks) == ([], {})


def test_a_proposed_model_takes_no_step_back_behind_what_was_released_while_it_waited(office: Office) -> None:
    propose(office, "1.4.0")
    office.work()
    office.release_another()
    office.answer("judge-again")
    assert office.work().state == "waiting"
    office.answer("approved")
    row = office.work()
    assert (row.state, office.world.released) == ("quarantined", [])
    assert "proposed as version 1.4.0, and 3.0.0 is released by now" in str(office.world.row["reason"])


def test_the_same_proposal_is_one_run_until_it_is_decided(office: Office) -> None:
    first = office.runs.propose("a" * 64, "1.4.0", "safety")
    assert office.runs.propose("a" * 64, "1.4.0", "safety").run_id == first.run_id
    assert office.runs.propose("a" * 64, "1.5.0", "safety").run_id != first.run_id
    assert office.runs.request("on-demand", "safety").trigger == "on-demand"  # asks for another run, not for this one
