from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine

from projectone.errors import LeaseError, StorageError
from projectone.server.database import METADATA, open_engine
from projectone.server.runs import EFFECTS, RUNS, Effects, Runs, to_json

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{tmp_path / 'rows.sqlite'}")
    METADATA.create_all(engine, tables=[RUNS, EFFECTS])
    yield engine
    engine.dispose()


@pytest.fixture
def runs(engine: Engine) -> Runs:
    return Runs(engine, clock=lambda: NOW)


def allow(connection: Connection) -> None:
    """A lease that holds."""


def refuse(connection: Connection) -> None:
    raise LeaseError("stale")


def test_each_family_has_requests_and_runs_of_its_own(runs: Runs) -> None:
    speech, intents = runs.request("on-demand"), runs.request("on-demand", "intents")
    assert runs.request("threshold", "intents").run_id == intents.run_id != speech.run_id
    runs.start(intents.run_id, graph_version=1, log_path="log", guard=allow)
    due, other = runs.next_due(), runs.next_due("intents")
    assert due is not None and other is not None
    assert (due.run_id, other.run_id) == (speech.run_id, intents.run_id)  # neither holds the other up
    assert [run.family for run in runs.newest()] == ["intents", "speech"]
    assert [run.run_id for run in runs.newest(family="speech")] == [speech.run_id]


def test_asking_twice_trains_once(runs: Runs) -> None:
    first = runs.request("on-demand")
    assert runs.request("threshold").run_id == first.run_id
    runs.start(first.run_id, graph_version=1, log_path="log", guard=allow)
    assert runs.request("on-demand").run_id != first.run_id


def test_an_interrupted_run_comes_before_a_request(runs: Runs) -> None:
    first = runs.request("on-demand")
    runs.start(first.run_id, graph_version=1, log_path="log", guard=allow)
    second = runs.request("on-demand")
    due = runs.next_due()
    assert due is not None and due.run_id == first.run_id
    runs.finish(first.run_id, "succeeded", guard=allow)
    due = runs.next_due()
    assert due is not None and due.run_id == second.run_id


def test_a_closed_run_stays_closed(runs: Runs) -> None:
    run = runs.request("on-demand")
    runs.finish(run.run_id, "quarantined", guard=allow, reason="worse")
    runs.finish(run.run_id, "succeeded", guard=allow, reason=None)
    assert (runs.get(run.run_id).state, runs.get(run.run_id).reason) == ("quarantined", "worse")


def test_attempts_are_counted_for_each_node(runs: Runs) -> None:
    run_id = runs.request("on-demand").run_id
    for _ in range(3):
        runs.start(run_id, graph_version=1, log_path="log", guard=allow)
        runs.enter(run_id, "ingestion", guard=allow)
    assert runs.get(run_id).attempts == 3
    runs.enter(run_id, "training", guard=allow)
    assert runs.get(run_id).attempts == 1


def test_a_resumed_run_keeps_the_graph_it_began_with(runs: Runs) -> None:
    run_id = runs.request("on-demand").run_id
    runs.start(run_id, graph_version=1, log_path="log", guard=allow)
    assert runs.start(run_id, graph_version=2, log_path="log", guard=allow).graph_version == 1


def test_a_stale_worker_changes_no_run(runs: Runs) -> None:
    run = runs.request("on-demand")
    with pytest.raises(LeaseError):
        runs.start(run.run_id, graph_version=1, log_path="log", guard=refuse)
    with pytest.raises(LeaseError):
        runs.finish(run.run_id, "succeeded", guard=refuse)
    assert runs.get(run.run_id) == run


def test_an_unknown_run_is_named(runs: Runs) -> None:
    with pytest.raises(StorageError, match="no-such-run"):
        runs.get("no-such-run")


def test_rows_are_plain_json(runs: Runs) -> None:
    run = runs.request("on-demand")
    runs.change(run.run_id, guard=allow, verdict='{"decision":"hold"}')
    (plain,) = to_json(runs.newest())
    assert plain["requested_at"] == "2026-11-21T00:00:00+00:00"
    assert plain["verdict"] == {"decision": "hold"}


def test_an_effect_is_had_once_for_each_input(engine: Engine) -> None:
    effects = Effects(engine, guard=allow)
    done: list[str] = []

    def act(name: str) -> Any:
        return lambda: done.append(name) or {"commit": name}

    assert effects.once("run", "deploy", "commit", {"model": "a"}, act("first")) == {"commit": "first"}
    assert effects.once("run", "deploy", "commit", {"model": "a"}, act("second")) == {"commit": "first"}
    assert effects.once("run", "deploy", "commit", {"model": "b"}, act("third")) == {"commit": "third"}
    assert effects.once("other", "deploy", "commit", {"model": "a"}, act("fourth")) == {"commit": "fourth"}
    assert done == ["first", "third", "fourth"]
    assert effects.find("run", "deploy", "tag") is None


def test_an_effect_that_failed_is_not_remembered(engine: Engine) -> None:
    effects = Effects(engine, guard=allow)

    def fail() -> dict[str, Any]:
        raise StorageError("disk full")

    with pytest.raises(StorageError):
        effects.once("run", "deploy", "commit", {}, fail)
    assert effects.once("run", "deploy", "commit", {}, lambda: {"ok": True}) == {"ok": True}


def test_a_stale_worker_has_no_effect(engine: Engine) -> None:
    done: list[str] = []
    with pytest.raises(LeaseError):
        Effects(engine, guard=refuse).once("run", "deploy", "commit", {}, lambda: done.append("had") or {})
    assert done == []
