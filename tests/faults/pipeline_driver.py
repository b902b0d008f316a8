"""The trainer's worker as a process that kills itself with SIGKILL at a named moment.

Rows, checkpoints, blobs, packages, leases and the Hub client are the real ones. Training and scoring are the tiny ones
of `tests/fakes/tiny_trainer.py`. The kill is put in here, around ports and library calls; the product knows nothing
of it.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable
from threading import Event
from typing import Any

import huggingface_hub
from tests.fakes import tiny_trainer

from projectone.errors import LeaseError
from projectone.server.delivery.ledger import Ledger
from projectone.server.leases import Leases
from projectone.server.pipeline.checkpoints import FencedSaver
from projectone.server.pipeline.ports import Ports
from projectone.server.pipeline.runner import WorkPermit
from projectone.server.runs import Runs
from projectone.server.settings import ServerSettings
from projectone.server.work.worker import Worker
from projectone.server.work.workshop import Workshop

LEASE_S = 20.0
REFUSED = 3


class KillAt:
    """Ends the process at the `nth` passing of the moment `name`."""

    def __init__(self, name: str | None, nth: int = 1) -> None:
        self.name = name
        self.left = nth
        self.slow_s = 0.0

    def passing(self, name: str) -> None:
        if name == self.name:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def around(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            detail = f" {args[1]}" if name == "enter" else ""
            if name == "progress":
                time.sleep(self.slow_s)
            self.passing(f"before {name}{detail}")
            result = call(*args, **kwargs)
            self.passing(f"after {name}{detail}")
            return result

        return wrapped

    def around_method(self, owner: type, method: str, name: str) -> None:
        setattr(owner, method, self.around(name, getattr(owner, method)))


def tiny_ports(workshop: Workshop, permit: WorkPermit, *, is_better: bool) -> Ports:
    base = workshop.base()
    score = tiny_trainer.score_by(lambda sha256: 0.5 if sha256 == base else (0.3 if is_better else 0.7))
    return dataclasses.replace(workshop.ports(permit), train=tiny_trainer.train, score=score, judge=tiny_trainer.judge)


def work(
    settings: ServerSettings,
    kill: KillAt,
    *,
    is_better: bool = True,
    slow_s: float = 0.0,
    lease_s: float = LEASE_S,
    defence_off: str | None = None,
) -> None:
    """What `projectone-server work --once` does, up to the kill. With `slow_s` every training step takes that long."""
    warnings.simplefilter("ignore")
    kill.slow_s = slow_s
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
    should_stop = Event()

    def ports(permit: WorkPermit) -> Ports:
        real = tiny_ports(workshop, permit, is_better=is_better)
        wrapped = {
            field.name: kill.around(field.name, getattr(real, field.name))
            for field in dataclasses.fields(real)
            if callable(getattr(real, field.name))
        }
        return dataclasses.replace(real, **wrapped)

    worker = Worker(workshop, workshop.trainer(should_stop, ports=ports), should_stop, lease_s=lease_s)
    try:
        worker.work_once()
    except LeaseError:
        sys.exit(REFUSED)


def start(settings: ServerSettings, kill: KillAt | None = None, **options: Any) -> Any:
    """The worker in a process of its own; a server process that has everything imported already forks it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.faults.pipeline_driver"])
    process = context.Process(target=work, args=(settings, kill or KillAt(None)), kwargs=options)
    process.start()
    return process


def run(settings: ServerSettings, kill: KillAt | None = None, **options: Any) -> int:
    """Runs the worker to its end, or to its kill; gives the exit code."""
    process = start(settings, kill, **options)
    process.join(60)
    assert process.exitcode is not None, "the worker hangs"
    return int(process.exitcode)
