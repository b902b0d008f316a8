"""How a better model arrives unnoticed: fetched when it is free to, tried when nobody minds, gone back from by itself.

One step looks at the model in use, asks the server now and then, fetches what is new, and tries it at a moment at which
nobody minds (`conditions`). `step` does it once; a thread of the app in the browser repeats it, and
`projectone update --when-idle` waits for it.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from projectone.contracts.releases import NotedRelease
from projectone.contracts.rollouts import SeenTurn
from projectone.contracts.versions import DEFAULT_FAMILY, Family
from projectone.device.acceptance import Comparison, TrialRows
from projectone.device.adoption.offered import LastLook, Offered
from projectone.device.adoption.standing import AdoptionState, Phase, at_rest, at_work, models_on_disk
from projectone.device.conditions import Conditions, Hours, may_fetch, may_try
from projectone.device.health.after import ModelUses
from projectone.device.installed import Installed, InstallState, Slot
from projectone.device.updater import Offer, UpdateReport
from projectone.errors import ArtifactError, LeaseError, PostponedError, ProjectOneError, TransportError
from projectone.storage.database import Database

STEP_S: Final = 60.0
ASK_EVERY: Final = timedelta(hours=6)
ASK_AGAIN: Final = timedelta(minutes=15)
PATIENCE: Final = timedelta(days=7)
"""A model that has waited so long is tried as soon as the machine has little to do."""

_LOOK_AGAIN_S = 5.0
_NOTICE_S = 2.0
_OFF, _STAGED = "automatic_off", "staged_since"


class Bring(Protocol):
    """Looks for a newer model and brings it, as `Updater.update`; and says how that went, if the user wants it said."""

    def __call__(
        self,
        *,
        is_again: bool = False,
        is_early: bool = False,
        may_try: Callable[[], bool] = ...,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> UpdateReport:
        """What came of it."""
        ...


class Look(Protocol):
    """What an update would bring, as `Updater.look`: nothing is fetched for it."""

    def __call__(self, *, is_again: bool = False, is_early: bool = False) -> Offer:
        """What there is."""
        ...


class Adoption:
    """The models of a device over time. It may be used by several threads."""

    def __init__(
        self,
        database: Database,
        installed: Installed,
        *,
        rows: TrialRows,
        uses: ModelUses,
        bring: Bring,
        look_for: Look,
        reload: Callable[[], None],
        is_in_gap: Callable[[], bool],
        seen: Callable[[], SeenTurn | None],
        look: Callable[[], Conditions],
        hours: Hours,
        budget_bytes: int | None,
        clock: Callable[[], datetime],
        family: Family = DEFAULT_FAMILY,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        """Join the rooms.

        Args:
            database: Of this device.
            installed: The models here.
            rows: What trials showed.
            uses: How each model did.
            bring: Looks for a newer model and brings it.
            look_for: Says what there is, and brings nothing.
            reload: Makes the transcriber use the model that is current now.
            is_in_gap: Whether nobody can transcribe just now because a model takes the place of another.
            seen: A release whose turn has not come.
            look: What the system says of itself.
            hours: When a system that does not say whether it is in use is taken to be free.
            budget_bytes: What models may take on the disk.
            clock: The time, with its zone.
            family: What the models are for. Whether newer ones are looked for is one decision for all families.
            timer: Seconds, from anywhere.
        """
        self._database = database
        self._installed = installed
        self._rows = rows
        self._uses = uses
        self._bring = bring
        self._look_for = look_for
        self._last_look = LastLook(database, installed, family, clock)
        self._reload = reload
        self._is_in_gap = is_in_gap
        self._seen = seen
        self._look = look
        self._hours = hours
        self._budget_bytes = budget_bytes
        self._clock = clock
        self._timer = timer
        self._staged = _STAGED if family == DEFAULT_FAMILY else f"{_STAGED}.{family}"
        self._doing: Phase | None = None
        self._problem: str | None = None
        self._asked_at: datetime | None = None
        self._stopping = threading.Event()
        self._noticed: Slot | None = None
        self._thread: threading.Thread | None = None

    @property
    def is_automatic(self) -> bool:
        """Whether newer models are looked for without being asked; so it is until somebody switches it off."""
        return self._fact(_OFF) is None

    def switch(self, is_on: bool) -> None:
        """Look for newer models without being asked, or do not."""
        self._note(_OFF, None if is_on else "1")

    def comparisons(self) -> list[Comparison]:
        """What each trial on the user's own recordings showed, the last first. It stays on this device."""
        return self._rows.newest()

    def manifest(self) -> NotedRelease | None:
        """What was signed of the model in use, with its notes; None if there is none, or its files are damaged."""
        current = self._installed.state().current
        try:
            return None if current is None else self._installed.manifest_of(current)
        except ArtifactError:
            return None

    def count_correction(self, model_version: str) -> None:
        """A recording that this model heard was corrected."""
        self._uses.count_correction(model_version)

    def conditions(self) -> Conditions:
        """What the system says of itself now; programs of its own are asked for that, which takes a while."""
        return self._look()

    def state(self, seen: Conditions | None = None) -> AdoptionState:
        """Where this device stands; nothing is asked of the server.

        Args:
            seen: What the system said a moment ago; it is asked if it is not given.
        """
        installed = self._installed.state()
        comparisons, waits = self._rows.newest(), self._waits_for(installed, seen or self._look())
        phase, words = self._busy_with() or at_rest(
            installed, waits, problem=self._problem, seen=self._seen(), noun=self._installed.noun, found=self.offered()
        )
        version = installed.current.version if installed.current else None
        use = self._uses.of(version) if version else None
        return AdoptionState(
            phase=phase,
            words=words,
            version=version,
            since=use.since if use else None,
            staged_version=installed.trial.version if installed.trial else None,
            is_automatic=self.is_automatic,
            waits_for=waits,
            last=comparisons[0] if comparisons else None,
            models=models_on_disk(self._installed),
            used_bytes=self._installed.used_bytes(),
            budget_bytes=self._budget_bytes,
        )

    def look_for_newer(self, *, is_again: bool = False, is_early: bool = False) -> Offered:
        """Ask the server what there is: what is new in it, how much is to be fetched. Nothing is fetched.

        Args:
            is_again: As if a release that was set aside were wanted.
            is_early: As if it were wanted before this device's turn.

        Raises:
            ProjectOneError: as `Updater.look`.
        """
        return self._last_look.keep(self._look_for(is_again=is_again, is_early=is_early))

    def offered(self) -> Offered | None:
        """A newer release that is here or was looked at within a day, and is not in use; the server is not asked."""
        return self._last_look.standing(self._installed.state())

    def update(
        self,
        *,
        is_again: bool = False,
        is_early: bool = False,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> UpdateReport:
        """Bring the newest model now; see `DeviceClient.update`."""
        return self._brought(self._bring(is_again=is_again, is_early=is_early, on_progress=on_progress))

    def roll_back(self) -> str:
        """Use the model before from now on; gives its version.

        Raises:
            ArtifactError: if there is none to go back to.
        """
        slot = self._installed.roll_back()
        self._reload()
        return slot.version

    def step(self) -> UpdateReport | None:
        """Do what is due at this moment, if anything is.

        Raises:
            ProjectOneError: as `DeviceClient.update`.
        """
        went_back = self._uses.settle()
        self._reload()  # after going back, or because another process brought a model or went back
        if went_back is not None or not self.is_automatic:
            return None
        installed, seen = self._installed.state(), self._look()
        if installed.trial is not None:
            return None if self._waits_for(installed, seen) else self._run()
        now = self._clock()
        is_due = self._asked_at is None or not timedelta(0) <= now - self._asked_at < ASK_EVERY
        if not is_due or may_fetch(seen):
            return None
        self._asked_at = now
        try:
            return self._run()
        except (LeaseError, TransportError):  # another process is at it, or there is no network
            self._asked_at = now - ASK_EVERY + ASK_AGAIN
            raise

    def update_when_idle(
        self,
        max_wait_s: float,
        on_wait: Callable[[tuple[str, ...]], None] = lambda waits: None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> UpdateReport:
        """Bring the newest model, and wait with its trial for a moment at which nobody minds.

        Args:
            max_wait_s: After so long, what was fetched stays for the next time.
            on_wait: Told what is waited for.
            on_progress: As `DeviceClient.update`.

        Raises:
            ProjectOneError: as `DeviceClient.update`.
        """
        end_s = self._timer() + max_wait_s
        while (waits := may_fetch(self._look())) and self._timer() < end_s and not self._pause():
            on_wait(waits)
        if waits:
            version = self._installed.state().current
            name = version.version if version else None
            return UpdateReport("staged", name, name, f"nothing was fetched: {waits[0]}")
        report = self._run(on_progress)
        while report.status == "staged" and self._timer() < end_s:
            waits = self._waits_for(self._installed.state(), self._look())
            if waits:
                on_wait(waits)
                if self._pause():
                    break
            else:
                report = self._run(on_progress)
        return report

    def start_background(self) -> None:
        """Take a step now and then on a thread of its own, until `stop`."""
        if self._thread is None:
            self._stopping.clear()
            self._noticed = self._installed.state().current
            self._thread = threading.Thread(target=self._work, name="projectone-adoption", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End that thread. What it was at goes on at the next start; a trial begins anew."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _work(self) -> None:
        # Not at once: whoever opens the app wants something else first. Nor all devices of a fleet together.
        pause_s = random.uniform(0.5, 1.5) * STEP_S
        while not self._rest(pause_s):
            pause_s = STEP_S
            try:
                self.step()
                self._problem = None
            except (LeaseError, TransportError, PostponedError):  # the next time
                self._problem = None
            except (ProjectOneError, OSError) as error:
                self._problem = str(error)

    def _rest(self, pause_s: float) -> bool:
        """Until the next step; says whether to stop. What another process does to the model is noticed meanwhile."""
        until_s = time.monotonic() + pause_s
        while (left_s := until_s - time.monotonic()) > 0:
            if self._stopping.wait(min(left_s, _NOTICE_S)):
                return True
            now = self._installed.state().current
            if now != self._noticed:
                self._noticed = now
                with contextlib.suppress(ProjectOneError, OSError):  # the next step says what is in the way
                    self._reload()
        return self._stopping.is_set()

    def _pause(self) -> bool:
        """Wait a little; says whether to stop."""
        return self._stopping.wait(_LOOK_AGAIN_S)

    def _run(self, on_progress: Callable[[int, int], None] | None = None) -> UpdateReport:
        def progress(have: int, total: int) -> None:
            self._doing = "downloading"
            if on_progress is not None:
                on_progress(have, total)
            if self._stopping.is_set():
                raise PostponedError("the app is being closed; the download goes on at the next start")

        try:
            report = self._brought(self._bring(may_try=self._moment(), on_progress=progress))
        finally:
            self._doing = None
        if report.status == "staged":
            if self._fact(self._staged) is None:
                self._note(self._staged, self._clock().isoformat())
        else:
            self._note(self._staged, None)
        return report

    def _brought(self, report: UpdateReport) -> UpdateReport:
        """What was looked at is as old as the update: only what waits for its turn is still to be had."""
        if report.status != "waiting":
            self._last_look.forget()
        return report

    def _moment(self) -> Callable[[], bool]:
        """Whether a trial may begin; and then, asked again and again, whether it may go on."""
        last_s, was = -_LOOK_AGAIN_S, True
        has_begun = False

        def may_go_on() -> bool:
            nonlocal last_s, was, has_begun
            if self._stopping.is_set():
                return False
            now_s = self._timer()
            if not was or now_s - last_s >= _LOOK_AGAIN_S:
                seen = self._look()
                # The trial itself gives the processors much to do.
                last_s, was = now_s, not self._moment_lacks(replace(seen, is_quiet=None) if has_begun else seen)
            has_begun = has_begun or was
            if has_begun:
                self._doing = "trying"
            return was

        return may_go_on

    def _moment_lacks(self, seen: Conditions) -> tuple[str, ...]:
        since = self._fact(self._staged)
        now = self._clock()
        is_patient = since is None or now - datetime.fromisoformat(since) < PATIENCE
        return may_try(seen, now.astimezone(), self._hours, is_patient=is_patient)

    def _waits_for(self, installed: InstallState, seen: Conditions) -> tuple[str, ...]:
        return self._moment_lacks(seen) if installed.trial is not None else may_fetch(seen)

    def _busy_with(self) -> tuple[Phase, str] | None:
        doing = "swapping" if self._is_in_gap() else self._doing
        if doing is not None:
            return at_work(doing, self._installed.noun)
        return None

    def _fact(self, name: str) -> str | None:
        rows = self._database.query("SELECT value FROM adoption_facts WHERE name = ?", (name,))
        return rows[0]["value"] if rows else None

    def _note(self, name: str, value: str | None) -> None:
        if value is None:
            self._database.execute("DELETE FROM adoption_facts WHERE name = ?", (name,))
        else:
            self._database.execute("INSERT OR REPLACE INTO adoption_facts VALUES (?, ?)", (name, value))
