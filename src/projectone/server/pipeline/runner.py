"""Takes what is due, runs or resumes its graph under the lease, and closes its row."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from langchain_core.runnables import RunnableConfig
from langgraph.types import Command

from projectone.errors import LeaseError, ProjectOneError
from projectone.server.audit import record
from projectone.server.database import Connection
from projectone.server.leases import Lease, Leases
from projectone.server.pipeline.approval import message_of, question_of
from projectone.server.pipeline.checkpoints import load_key, open_checkpointer
from projectone.server.pipeline.finetune import drop_checkpoints
from projectone.server.pipeline.graph import build_graph
from projectone.server.pipeline.ingest import run_folder
from projectone.server.pipeline.ports import Ports
from projectone.server.pipeline.quarantine import quarantine
from projectone.server.pipeline.state import GRAPH_VERSION, TrainingGraphState, thread_id
from projectone.server.pipeline.withdrawal import WITHDRAWN
from projectone.server.runs import Guard, RunRow, Runs, RunState

LEASE_NAME = "trainer"
_ENDS: dict[str, RunState] = {"no-data": "no-data", "no-train": "no-train", WITHDRAWN: "failed"}
MAX_ATTEMPTS = 5
"""A run that was begun this often without an end is set aside, so that one bad batch cannot stop all others."""


class WorkStoppedError(Exception):
    """The worker was asked to stop: what is not finished goes on at the next start."""


@dataclass(frozen=True)
class WorkPermit:
    """What binds a worker's writes to its lease.

    Attributes:
        guard: Refuses a transaction once the lease is stale.
        check: The same, in a transaction of its own.
        pause_point: Called in long work: raises if the lease was lost or the worker has to stop.
    """

    guard: Guard
    check: Callable[[], None]
    pause_point: Callable[[], None]


class Trainer:
    """Runs training runs, one at a time over all workers of a server."""

    def __init__(
        self,
        *,
        home: Path,
        runs: Runs,
        leases: Leases,
        ports: Callable[[WorkPermit], Ports],
        should_stop: threading.Event,
    ) -> None:
        self._home = home
        self._runs = runs
        self._leases = leases
        self._ports = ports
        self._should_stop = should_stop

    @contextmanager
    def permit(
        self, holder: str, *, ttl_s: float, on_wait: Callable[[str], None] = lambda why: None
    ) -> Iterator[WorkPermit]:
        """The lease, renewed until the block ends.

        Raises:
            LeaseError: if another worker holds it and lives.
        """
        lease = self._leases.take_over(LEASE_NAME, holder, ttl_s=ttl_s, on_wait=on_wait)
        try:
            with self._leases.heartbeat(lease) as is_lost:
                yield self._permit(lease, is_lost)
        finally:
            self._leases.release(lease)

    def work_on(self, run: RunRow, permit: WorkPermit) -> RunRow:
        """Run or resume one run to its end, or to where it waits for a person; gives its row.

        Raises:
            WorkStoppedError: if the worker has to stop; the run goes on from its last checkpoint later.
            LeaseError: if the lease was lost; nothing was written since.
            ProjectOneError, OSError: if something outside failed (disk, network); the run is tried again later.
        """
        log_path = f"runs/{run.run_id}/train.jsonl"
        run = self._runs.start(run.run_id, graph_version=GRAPH_VERSION, log_path=log_path, guard=permit.guard)
        ports = self._ports(permit)
        if run.graph_version != GRAPH_VERSION:
            why = f"begun on graph {run.graph_version}, this code has {GRAPH_VERSION}; the samples go on waiting"
            return self._give_up(run, {}, ports, permit, why)
        if run.attempts > MAX_ATTEMPTS:
            known: TrainingGraphState = {}
            if run.dataset_sha256 is not None:
                known["processed_data_path"] = run.dataset_sha256
            if run.candidate_sha256 is not None:
                known["new_model_path"] = run.candidate_sha256
            why = f"{run.node}: begun {MAX_ATTEMPTS} times without an end; {run.reason or 'the worker died each time'}"
            return self._give_up(run, known, ports, permit, why)
        try:
            state = self._invoke(run, ports, permit)
        except WorkStoppedError:
            self._runs.change(run.run_id, guard=permit.guard, attempts=run.attempts - 1)
            raise
        except LeaseError:
            raise
        except (ProjectOneError, OSError) as error:
            self._runs.change(run.run_id, guard=permit.guard, reason=f"attempt {run.attempts}: {error}")
            raise
        return self._runs.get(run.run_id) if state is None else self._close(run, state, permit)

    def _invoke(self, run: RunRow, ports: Ports, permit: WorkPermit) -> TrainingGraphState | None:
        """The state at the run's end; None if it waits for a person now."""
        name = thread_id(run.run_id, GRAPH_VERSION)
        key = load_key(self._home / "keys" / "checkpoints.key")
        with open_checkpointer(self._home / "checkpoints.sqlite", name, key, permit.check) as checkpointer:
            graph = build_graph(ports, checkpointer)
            thread: RunnableConfig = {"configurable": {"thread_id": name}}
            saved = graph.get_state(thread)
            # Not `saved.next`: it is empty too after a kill between a node's writes and the checkpoint that holds them.
            if "deployment_status" in saved.values:
                return cast(TrainingGraphState, saved.values)
            given: TrainingGraphState | Command[str] | None = _first(run, ports) if saved.created_at is None else None
            while True:
                if saved.interrupts:
                    given = _answer_to(saved.interrupts[0].value, ports)
                    if given is None:
                        self._let_wait(cast(TrainingGraphState, saved.values), ports)
                        return None
                # `sync`: a node's result is on the disk before the next one begins.
                state = graph.invoke(given, thread, durability="sync")
                saved = graph.get_state(thread)
                if not saved.interrupts:
                    return cast(TrainingGraphState, state)

    def _let_wait(self, state: TrainingGraphState, ports: Ports) -> None:
        question = question_of(state, ports)
        # In this order: a run that waits is one that somebody was told of.
        ports.notify(message_of(question, state, ports))
        ports.ask(question)

    def _close(self, run: RunRow, state: TrainingGraphState, permit: WorkPermit) -> RunRow:
        status = state["deployment_status"]
        ended: RunState = _ENDS.get(status, "quarantined")
        reason = "no new sample could be used" if ended == "no-data" else self._runs.get(run.run_id).reason
        if status.startswith("deployed"):
            ended, reason = "succeeded", None
        drop_checkpoints(run_folder(self._home, run.run_id))
        self._runs.finish(run.run_id, ended, guard=_recorded(run.run_id, ended, permit), reason=reason)
        return self._runs.get(run.run_id)

    def _give_up(self, run: RunRow, known: TrainingGraphState, ports: Ports, permit: WorkPermit, why: str) -> RunRow:
        state: TrainingGraphState = {
            **known,
            "run_id": run.run_id,
            "graph_version": GRAPH_VERSION,
            "error_message": why,
        }
        quarantine(state, ports)
        drop_checkpoints(run_folder(self._home, run.run_id))
        self._runs.finish(run.run_id, "failed", guard=_recorded(run.run_id, "failed", permit), reason=why)
        return self._runs.get(run.run_id)

    def _permit(self, lease: Lease, is_lost: threading.Event) -> WorkPermit:
        def pause_point() -> None:
            if is_lost.is_set():
                raise LeaseError(f"lease {lease.name!r}: lost while working; stopping")
            if self._should_stop.is_set():
                raise WorkStoppedError("asked to stop")

        return WorkPermit(
            guard=lambda connection: self._leases.check(connection, lease),
            check=lambda: self._leases.assert_held(lease),
            pause_point=pause_point,
        )


def _first(run: RunRow, ports: Ports) -> TrainingGraphState:
    """What a run begins with: nothing yet, or the model that a person proposes."""
    state: TrainingGraphState = {"run_id": run.run_id, "graph_version": GRAPH_VERSION}
    if run.trigger == "proposal":
        assert run.candidate_sha256 is not None and run.version is not None  # of a row that is written whole
        state |= {
            "base_model_version": ports.base(),
            "new_model_path": run.candidate_sha256,
            "proposed_version": run.version,
        }
    return state


def _answer_to(subject_sha256: str, ports: Ports) -> Command[str] | None:
    approval = ports.find_answer(subject_sha256)
    if approval is None or approval.answer is None:
        return None
    return Command(resume={"answer": approval.answer, "subject_sha256": subject_sha256})


def _recorded(run_id: str, state: RunState, permit: WorkPermit) -> Guard:
    """The permit's guard, which also writes into the audit log how the run ended: in one transaction with the end."""

    def guard(connection: Connection) -> None:
        permit.guard(connection)
        record(connection, "run-ended", run_id, now=datetime.now(UTC), state=state)

    return guard
