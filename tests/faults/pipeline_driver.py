"""The trainer's worker as a process that kills itself with SIGKILL, or falls asleep, at a named moment.

Rows, checkpoints, blobs, packages, leases and the Hub client are the real ones. Training and scoring are the tiny ones
of `tests/fakes/tiny_trainer.py`. The moment is put in here, around ports and library calls; the product knows nothing
of it. No test waits for a clock: leases outlast every test, and the test that wants one to end ends it in the rows.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from typing import Any

import huggingface_hub
from tests.fakes import tiny_trainer

from projectone.errors import LeaseError
from projectone.server.delivery.ledger import Ledger
from projectone.server.leases import Lease, Leases
from projectone.server.pipeline.checkpoints import FencedSaver
from projectone.server.pipeline.ports import Ports
from projectone.server.pipeline.runner import WorkPermit
from projectone.server.runs import Runs
from projectone.server.settings import ServerSettings
from projectone.server.work.run_ports import open_ports, open_trainer
from projectone.server.work.worker import Worker
from projectone.server.work.workshop import Workshop

LEASE_S = 600.0
BEAT_S = 0.25
PATIENCE_S = 180.0
REFUSED = 3
_FORKSERVER = multiprocessing.get_context("forkserver")
_FORKSERVER.set_forkserver_preload(["tests.faults.pipeline_driver"])


class KillAt:
    """Ends the process at the `nth` passing of the moment `name`."""

    def __init__(self, name: str | None, nth: int = 1) -> None:
        self.name = name
        self.left = nth

    def passing(self, name: str) -> None:
        if name == self.name:
            self.left -= 1
            if self.left == 0:
                self.act()

    def act(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def around(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            detail = f" {args[1]}" if name == "enter" else ""
            self.passing(f"before {name}{detail}")
            result = call(*args, **kwargs)
            self.passing(f"after {name}{detail}")
            return result

        return wrapped

    def around_method(self, owner: type, method: str, name: str) -> None:
        setattr(owner, method, self.around(name, getattr(owner, method)))


class PauseAt(KillAt):
    """Stands still at the moment, tells the test, and goes on when the test says so.

    With `is_asleep` the heartbeat stands still too: the lease is not renewed. No signal does it, which could land in
    the middle of a transaction of another thread and keep the database locked.
    """

    def __init__(self, name: str, nth: int = 1, *, is_asleep: bool) -> None:
        super().__init__(name, nth)
        self.is_asleep = is_asleep
        self.is_there: Event = _FORKSERVER.Event()
        self.may_go_on: Event = _FORKSERVER.Event()

    def act(self) -> None:
        if self.is_asleep:
            with _beating:
                self._wait()
        else:
            self._wait()

    def _wait(self) -> None:
        self.is_there.set()
        if not self.may_go_on.wait(PATIENCE_S):
            sys.exit("nobody came to wake this worker")


_beating = threading.Lock()


def beat_often() -> None:
    """Renew the lease four times a second, long as it is: a second worker sees at once that the first one lives."""
    heartbeat, renew = Leases.heartbeat, Leases.renew

    def fast(self: Leases, lease: Lease) -> Any:
        return heartbeat(self, dataclasses.replace(lease, ttl_s=3 * BEAT_S))

    def renew_while_awake(self: Leases, lease: Lease) -> None:
        with _beating:
            renew(self, dataclasses.replace(lease, ttl_s=LEASE_S))

    Leases.heartbeat = fast  # type: ignore[method-assign]
    Leases.renew = renew_while_awake  # type: ignore[method-assign]


def tiny_ports(workshop: Workshop, permit: WorkPermit, *, is_better: bool) -> Ports:
    base = workshop.base()
    score = tiny_trainer.score_by(lambda sha256: 0.5 if sha256 == base else (0.3 if is_better else 0.7))
    return dataclasses.replace(
        # The tiny trainer's models are bytes that nobody can listen with: no triage.
        open_ports(workshop, permit),
        train=tiny_trainer.train,
        score=score,
        judge=tiny_trainer.judge,
        scan=None,
        recall=None,
        triage=None,
    )


def work(settings: ServerSettings, kill: KillAt, *, is_better: bool = True, defence_off: str | None = None) -> None:
    """What `projectone-server work --once` does, up to the kill."""
    warnings.simplefilter("ignore")
    beat_often()
    if defence_off == "one release for each run":
        publish = Ledger.publish
        Ledger.publish = lambda self, run_id, *args, **named: publish(  # type: ignore[method-assign]
            self, f"{run_id}-{os.getpid()}", *args, **named
        )
    if defence_off == "fence":
        Leases.check = Leases.renew = lambda *_: None  # type: ignore[method-assign,assignment]
    kill.around_method(huggingface_hub.HfApi, "create_commit", "hub commit")
    kill.around_method(huggingface_hub.HfApi, "create_tag", "hub tag")
    kill.around_method(FencedSaver, "put", "checkpoint")
    kill.around_method(FencedSaver, "put_writes", "node result")
    kill.around_method(Runs, "finish", "finish")
    workshop = Workshop(settings, stream=sys.stderr)
    should_stop = threading.Event()

    def ports(permit: WorkPermit) -> Ports:
        real = tiny_ports(workshop, permit, is_better=is_better)
        wrapped = {
            field.name: kill.around(field.name, getattr(real, field.name))
            for field in dataclasses.fields(real)
            if callable(getattr(real, field.name))
        }
        return dataclasses.replace(real, **wrapped)

    worker = Worker(workshop, open_trainer(workshop, should_stop, ports=ports), should_stop, lease_s=LEASE_S)
    try:
        worker.work_once()
    except LeaseError:
        sys.exit(REFUSED)
    finally:
        workshop.close()


def start(settings: ServerSettings, kill: KillAt, options: dict[str, Any]) -> Any:
    """The worker in a process of its own; a server process that has everything imported already forks it."""
    process = _FORKSERVER.Process(target=work, args=(settings, kill), kwargs=options)
    process.start()
    return process


def end(process: Any) -> int:
    """Waits for the worker's end; gives its exit code."""
    process.join(PATIENCE_S)
    assert process.exitcode is not None, "the worker hangs"
    return int(process.exitcode)


def run(settings: ServerSettings, kill: KillAt | None = None, **options: Any) -> int:
    """Runs the worker to its end, or to its kill; gives the exit code."""
    process = start(settings, kill or KillAt(None), options)
    try:
        return end(process)
    finally:
        process.kill()


@contextmanager
def paused(settings: ServerSettings, pause: PauseAt, **options: Any) -> Iterator[Callable[[], int]]:
    """A worker that stands at its moment for the block; calling what is given wakes it and gives its exit code."""
    process = start(settings, pause, options)

    def wake() -> int:
        pause.may_go_on.set()
        return end(process)

    try:
        assert pause.is_there.wait(PATIENCE_S), f"the worker never came to {pause.name!r}"
        yield wake
    finally:
        process.kill()
        process.join()
