"""Looks after releases on their way: opens the next stage when its time has come, and stops what does harm.

It holds no lease and waits for nobody: a training run may take hours, and a bad model must not. Two of them at work do
no harm either, as every change is one transaction. A row is written first and shown to devices afterwards; what was
not shown when a process died is shown at the next look.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from typing import Final

from projectone.contracts.releases import ReleaseManifest, family_of
from projectone.contracts.rollouts import RolloutPlan, stages_from
from projectone.contracts.versions import DEFAULT_FAMILY
from projectone.errors import DataError, ProjectOneError
from projectone.server.database import Engine
from projectone.server.delivery.ledger import Ledger
from projectone.server.delivery.publisher import Publisher
from projectone.server.delivery.rollouts import Rollout, share_shown
from projectone.server.delivery.tickets import FOLDER, TicketKeys, Tickets
from projectone.server.monitoring.evidence import METRICS, Limits
from projectone.server.notifications.outbox import Message
from projectone.server.rollout_desk import Look, RolloutDesk, finding_shown
from projectone.server.settings import ServerSettings

KEPT_FOR: Final = timedelta(days=30)
"""How long reports of releases that were replaced are kept."""

INTERVAL_S: Final = 30.0
STOPPED_BY_REPORTS: Final = frozenset({"crash-loops", *METRICS})


class RolloutWatch:
    """Looks at the newest release of a channel."""

    def __init__(
        self,
        engine: Engine,
        ledger: Ledger,
        *,
        channel: str,
        show: Callable[[str, bytes], object],
        notify: Callable[[Message], object],
        tickets: Tickets,
        limits: Limits | None = None,
        least_reports: int = 0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Join rows and reports.

        Args:
            engine: The server's database.
            ledger: What is released.
            channel: Which channel is looked after.
            show: Shows devices the state of a channel, signed.
            notify: Tells a human.
            tickets: Who had one is forgotten with the release.
            limits: When to stop a release.
            least_reports: Devices that must have said how it does in use before more than five percent are asked.
            clock: Now, with its zone.
        """
        self.desk = RolloutDesk(
            engine, ledger, channel=channel, limits=limits, least_reports=least_reports, clock=clock
        )
        self._show = show
        self._notify = notify
        self._tickets = tickets
        self._clock = clock

    def look(self) -> Look | None:
        """Judge, stop or widen, and show; None before the first release.

        Raises:
            StorageError: if the disk or the database refused; SettingsError: if a key is missing.
        """
        found = self.desk.read()
        if found is None:
            return None
        if found.rollout.told is None:
            self._forget(found.manifest)
        now, rollout, reason = self._clock(), found.rollout, found.judgement.stop
        try:
            if reason is not None and rollout.status in ("running", "paused", "done"):
                rollout = self.desk.rollouts.halt(rollout, reason, now=now)
            elif rollout.is_due(now) and not found.lacks_reports:
                rollout = self.desk.rollouts.advance(rollout, now=now)
        except DataError:  # somebody else was quicker: the next look sees what they did
            return self.desk.read()
        if rollout.reason in STOPPED_BY_REPORTS and rollout.told != rollout.state.to_bytes().decode():
            self._notify(_stopped(found))  # before devices are told: a crash in between says it once more, not never
        self.tell(rollout)
        return replace(found, rollout=rollout)

    def tell(self, rollout: Rollout) -> None:
        """Show devices what a row says, if they were told something else before.

        Raises:
            StorageError: if the disk refused; SettingsError: if a key is missing.
        """
        content = rollout.state.to_bytes()
        if rollout.told != content.decode():
            self._show(rollout.channel, content)
            self.desk.rollouts.note_told(rollout)

    def _forget(self, manifest: ReleaseManifest) -> None:
        """Who had tickets for earlier releases; and in time what was said with them."""
        self._tickets.forget(manifest.channel, manifest.seq)
        self.desk.health.forget(manifest.channel, manifest.seq, self._clock() - KEPT_FOR)

    def watch(self, should_stop: Event, say: Callable[[str], object], *, interval_s: float = INTERVAL_S) -> Thread:
        """Look again and again, in a thread of its own, until told to stop."""

        def run() -> None:
            last = ""
            while not should_stop.wait(interval_s):
                try:
                    self.look()
                    last = ""
                except (ProjectOneError, OSError) as error:
                    if str(error) != last:
                        say(f"rollout: {error}; trying again")
                    last = str(error)

        thread = Thread(target=run, name="rollout-watch", daemon=True)
        thread.start()
        return thread


def new_plan(settings: ServerSettings, now: datetime) -> RolloutPlan | None:
    """The stages in which a release of now goes out, and the key of its tickets; None for everybody at once."""
    if not settings.rollout:
        return None
    key = TicketKeys(settings.keys_folder / FOLDER).new()
    return RolloutPlan(salt=secrets.token_hex(16), stages=stages_from(now, settings.rollout), ticket_key=key)


def open_watch(
    settings: ServerSettings,
    engine: Engine,
    ledger: Ledger,
    publisher: Publisher,
    notify: Callable[[Message], object],
) -> RolloutWatch:
    """The watch over a home."""
    return RolloutWatch(
        engine,
        ledger,
        channel=settings.channel,
        show=publisher.publish_rollout,
        notify=notify,
        tickets=Tickets(engine, TicketKeys(settings.keys_folder / FOLDER)),
        limits=Limits(alpha=settings.rollout_alpha),
        least_reports=settings.rollout_reports,
    )


def _stopped(found: Look) -> Message:
    manifest, reason = found.manifest, found.judgement.stop
    lines = [finding_shown(finding) for finding in found.judgement.findings if finding.treated.total]
    family = family_of(manifest.channel)
    of_family = "" if family == DEFAULT_FAMILY else f" --family {family}"
    body = "\n".join(
        [
            f"It had gone to: {share_shown(found.rollout)}. No device takes it any more; those that have it keep it.",
            *lines,
            "",
            f"Go back to the model before:  projectone-server rollout rollback{of_family}",
            f"Let it go on all the same:    projectone-server rollout resume{of_family}",
        ]
    )
    subject = f"Model {manifest.version} is stopped: {reason}"
    # A second stop of the same release, after a person let it go on, is another message.
    key = f"rollout-halted-{manifest.channel}-{manifest.seq}-{found.rollout.judged_up_to}"
    return Message(key=key, subject=subject, body=body)
