"""`projectone-server work`: the AI Model Trainer's worker.

It looks for work every few seconds: a run that was interrupted, one that was asked for, or one that is due by the
number of new samples or by the calendar. SIGTERM ends it at the next training step; the run goes on at the next start.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from threading import Event

from projectone.errors import LeaseError, ProjectOneError, SettingsError, StorageError
from projectone.server.corpus.backup_ages import kept_backups, overdue, told
from projectone.server.notifications.outbox import Message
from projectone.server.pipeline.checkpoints import assert_strict_reader
from projectone.server.pipeline.runner import Trainer, WorkPermit, WorkStoppedError
from projectone.server.runs import RunRow, to_json
from projectone.server.settings import ServerSettings
from projectone.server.work.approval import add_actions, execute_action
from projectone.server.work.checkpoints import publish_checkpoint
from projectone.server.work.devices import hold_what_came_late
from projectone.server.work.lines import Line, open_lines
from projectone.server.work.renewal import keeping_signed
from projectone.server.work.scripts import publish_scripts
from projectone.server.work.unchanged import retire
from projectone.server.work.workshop import Workshop

SUMMARY = "Train, judge and deploy: take the runs that are due, and go on with interrupted ones."
EXAMPLES = """\
  projectone-server work                 until it is stopped (SIGTERM or Ctrl-C)
  projectone-server work --once          what is due now, then exit
  projectone-server work --once --json
  projectone-server work waiting                                     runs that wait for a person
  projectone-server work approve 3f2a91c0 --by ada --note "listened to the ten clips that got worse"
  projectone-server work veto 3f2a91c0 --by ada --note 'names are lost'
  projectone-server work judge-again 3f2a91c0
  projectone-server work report 3f2a91c0"""

LEASE_TTL_S = 15.0
_RETRY_INTERVAL_S = 30.0
_LONGEST_S = 86_400.0
_EXPIRY_INTERVAL = timedelta(hours=1)
_CHECKPOINT_INTERVAL = timedelta(hours=1)
_SHOW_INTERVAL = timedelta(minutes=10)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--once", action="store_true", help="do what is due, then exit")
    parser.add_argument("--interval-s", type=float, default=2.0, help="seconds between two looks for work (default 2)")
    parser.add_argument(
        "--lease-s",
        type=float,
        default=LEASE_TTL_S,
        help=f"seconds after which a worker that died is replaced (default {LEASE_TTL_S:g})",
    )
    parser.add_argument(
        "--json", action="store_true", help="with --once: print one JSON object with the runs at the end"
    )
    add_actions(parser)


def execute(arguments: argparse.Namespace, settings: ServerSettings) -> int:
    """Work until stopped, or once; or say what a person decides."""
    if arguments.action is not None:
        return execute_action(arguments, settings)
    for option, least_s in (("interval_s", 0.01), ("lease_s", 0.5)):
        value = getattr(arguments, option)
        if not least_s <= value <= _LONGEST_S:
            name = f"--{option.replace('_', '-')}"
            raise SettingsError(f"{name}: expected {least_s:g} to {_LONGEST_S:g} seconds, got {value:g}")
    assert_strict_reader()
    workshop = Workshop(settings)
    try:
        with stop_on_signal() as should_stop:
            speech, *others = open_lines(workshop, should_stop)
            worker = Worker(workshop, speech.trainer, should_stop, lease_s=arguments.lease_s, others=others)
            if arguments.once:
                runs = worker.work_once()
                if arguments.json:
                    print(json.dumps({"runs": to_json(runs)}))
            else:
                with keeping_signed(workshop.publisher, workshop.line.say):
                    for line in (speech, *others):  # a bad model waits for no run's end
                        line.workshop.rollout.watch(should_stop, workshop.line.say)
                    worker.work_forever(arguments.interval_s)
    finally:
        workshop.close()
    return 0


@contextmanager
def stop_on_signal() -> Iterator[Event]:
    """An event that SIGTERM and SIGINT set; a second signal ends the process at once."""
    should_stop = Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def stop(number: int, _frame: object) -> None:
        should_stop.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, stop)
    try:
        yield should_stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Worker:
    """The loop around the trainer. One worker, and one lease, serve every family of models."""

    def __init__(
        self,
        workshop: Workshop,
        trainer: Trainer,
        should_stop: Event,
        *,
        lease_s: float,
        others: Sequence[Line] = (),
    ) -> None:
        self._workshop = workshop
        self._lines = (Line(workshop, trainer), *others)
        self._should_stop = should_stop
        self._lease_s = lease_s
        self._expired_at: datetime | None = None
        self._signed_at: datetime | None = None
        self._shown_at: datetime | None = None
        self._is_all_erased = False
        self._erasure_problem: str | None = None
        self._holder = f"{socket.gethostname()}/{os.getpid()}/{uuid.uuid4().hex[:8]}"

    def work_once(self) -> list[RunRow]:
        """Do everything that is due; gives the runs that ended.

        Raises:
            LeaseError: if another worker is at work.
            ProjectOneError: if something outside failed; the run is tried again next time.
        """
        ended: list[RunRow] = []
        try:
            self._expire()
            hold_what_came_late(self._workshop.devices, self._workshop.suspects, datetime.now(UTC))
            if not self._is_all_erased:  # what a crash kept the last worker from
                self._erase_withdrawn()
            self._end_waiting()
            for line in self._lines:
                self._work_on(line, ended)
            for line in self._lines:
                self._retire_overdue(line)
                line.workshop.rollout.look()
            self._workshop.drift.look_now_and_then()
            self._sign_checkpoint()
        except WorkStoppedError:
            self._workshop.line.say("stopped; the run goes on at the next start")
        finally:
            self._workshop.outbox.flush(self._workshop.senders)
        self._show_releases()
        return ended

    def work_forever(self, interval_s: float) -> None:
        """Look for work until told to stop. What fails outside (disk, network) is tried again, less and less often."""
        n_failures = 0
        self._workshop.line.say("waiting for work")
        while not self._should_stop.is_set():
            pause_s = interval_s
            try:
                self.work_once()
                n_failures = 0
            except LeaseError as error:
                self._workshop.line.say(f"standing by: {error}")
                pause_s = max(interval_s, self._lease_s)
            except (ProjectOneError, OSError) as error:  # OSError: a full disk, a folder that is closed
                n_failures += 1
                pause_s = min(interval_s * 2**n_failures, _RETRY_INTERVAL_S)
                self._workshop.line.say(f"{error}; trying again in {pause_s:.0f} s")
            self._should_stop.wait(pause_s)

    def _work_on(self, line: Line, ended: list[RunRow]) -> None:
        while not self._should_stop.is_set() and (run := line.next_run()) is not None:
            with self._permit(line) as permit:
                # Another worker may have ended it while we waited for the lease.
                fresh = self._workshop.runs.get(run.run_id)
                if fresh.state in ("requested", "running"):
                    ended.append(self._report(line.trainer.work_on(fresh, permit)))
            self._erase_withdrawn()
            if ended and (ended[-1].state, ended[-1].family) == ("succeeded", "speech"):
                self._choose_scripts()

    def _permit(self, line: Line) -> AbstractContextManager[WorkPermit]:
        return line.trainer.permit(self._holder, ttl_s=self._lease_s, on_wait=self._workshop.line.say)

    def _retire_overdue(self, line: Line) -> None:
        """A recalled model that no run has replaced in time goes all the same: an earlier one takes its place."""
        recall = None if self._should_stop.is_set() else line.overdue()
        if recall is None:
            return
        with self._permit(line) as permit:
            release = retire(line.workshop, permit, recall)
        self._workshop.line.say(f"version {recall.manifest.version} is retired; {release.manifest.version} is released")

    def _end_waiting(self) -> None:
        """Runs that nobody decided about in time, and those whose model may no longer go out, go on to their end."""
        now = datetime.now(UTC)
        for approval in self._workshop.approvals.waiting():
            run = self._workshop.runs.get(approval.question.run_id)
            if run.dataset_sha256 is not None and self._workshop.catalog.is_withdrawn(run.dataset_sha256):
                self._workshop.approvals.answer(run.run_id, "withdrawn")
            elif now >= approval.expires_at:
                self._workshop.approvals.answer(run.run_id, "expired")

    def _expire(self) -> None:
        """Erase what is kept no longer; say so if that should have been done before."""
        now = datetime.now(UTC)
        if self._expired_at is not None and now - self._expired_at < _EXPIRY_INTERVAL:
            return
        late = [due for due in self._workshop.expiry.due(now) if due.is_late(now)]
        if late:
            body = "\n".join(
                f"{due.purpose}: {due.n_due}, the first since {due.first_due_at:%Y-%m-%d}." for due in late
            )
            message = Message(
                key=f"retention-late-{now:%Y-%m-%d}", subject="Samples were kept longer than promised", body=body
            )
            self._workshop.outbox.add(message, list(self._workshop.senders))
        if old := overdue(kept_backups(self._workshop.settings.backup_folders), now):
            message = Message(
                key=f"backups-late-{now:%Y-%m-%d}", subject="Backups are older than promised", body=told(old, now)
            )
            self._workshop.outbox.add(message, list(self._workshop.senders))
        n_expired = self._workshop.expiry.expire(now)
        if n_expired:
            self._workshop.line.say(f"erased {n_expired} samples whose time was over")
            self._is_all_erased = False  # their clips, and what was made from them, are next
        n_spent = self._workshop.catalog.destroy_spent_keys(now)
        if n_spent:
            self._workshop.line.say(f"destroyed the keys of {n_spent} consents under which no sample is left")
        self._sweep_memories(now)
        self._expired_at = now

    def _sweep_memories(self, now: datetime) -> None:
        """What ran out of the memories of products' people. A store out of reach keeps nobody from training."""
        try:
            swept = self._workshop.sweep_memories(now)
        except (StorageError, SettingsError) as error:
            self._workshop.line.say(f"memories were not swept: {error}")
        else:
            if swept is not None and swept.n_expired:
                self._workshop.line.say(f"let go of {swept.n_expired} memories whose time was over")

    def _show_releases(self) -> None:
        """List what is released, if a run was interrupted before it did; sign again what expires soon."""
        now = datetime.now(UTC)
        if self._shown_at is None or now - self._shown_at >= _SHOW_INTERVAL:
            for line in self._lines:
                line.workshop.handout.show()
            self._shown_at = now

    def _sign_checkpoint(self) -> None:
        """Sign what the audit log holds; if it is not what was signed before, tell a human instead."""
        now = datetime.now(UTC)
        if self._signed_at is not None and now - self._signed_at < _CHECKPOINT_INTERVAL:
            return
        try:
            publish_checkpoint(self._workshop.settings, now)
        except ProjectOneError as error:
            self._workshop.line.say(str(error))
            key = f"checkpoint-failed-{now:%Y-%m-%d}"
            message = Message(key=key, subject="The audit log could not be signed", body=str(error))
            self._workshop.outbox.add(message, list(self._workshop.senders))
        self._signed_at = now

    def _erase_withdrawn(self) -> None:
        """What a run that just ended had made from samples that were withdrawn while it was at work.

        What cannot be removed is tried again at every look for work; training the others goes on.
        """
        try:
            try:
                self._workshop.catalog.remove_doomed(self._workshop.blobs.delete)
            finally:  # one bad sector holds up nothing else
                for name in self._workshop.derived.erase():
                    self._workshop.line.say(f"erased after a withdrawal: {name}")
                self._workshop.golden.set_aside()  # and lets go of whoever agrees to judge no more
                self._workshop.recalls.mark()
        except StorageError as error:
            self._is_all_erased = False
            if str(error) != self._erasure_problem:
                self._workshop.line.say(f"{error}; trying again")
            self._erasure_problem = str(error)
        else:
            self._is_all_erased = True

    def _choose_scripts(self) -> None:
        """What the new model gets wrong decides what people are asked to read; without it they read the last sheet."""
        try:
            publish_scripts(self._workshop)
        except (ProjectOneError, OSError) as error:
            self._workshop.line.say(f"no new sentences to read: {error}")

    def _report(self, run: RunRow) -> RunRow:
        what = f"version {run.version}" if run.state == "succeeded" else run.reason
        if run.state == "waiting":
            what = "for a person: projectone-server work waiting"
        self._workshop.line.say(f"run {run.run_id}: {run.state} ({what})")
        return run


if __name__ == "__main__":
    sys.exit("run: projectone-server work")
