"""What is installed, as one value: which models there are, which is on trial, and what must never come back."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from projectone.contracts.base import Contract, Name, Sha256

# One crash while a model is tried may be bad luck; a second one is the model.
MAX_TRIES = 2
CRASH_LOOP = "loading it ended the app, twice"
"""Why such a model is set aside."""

USER_WENT_BACK = "the user went back from it"
"""Why a model is set aside that its user may still go forward to again; nobody goes back to any other one."""


class Slot(Contract):
    """One installed model."""

    folder: Name
    seq: int = Field(ge=1)
    version: str
    manifest_sha256: Sha256


class SetAside(Contract):
    """A release that is not to be installed again by itself, and why."""

    seq: int = Field(ge=1)
    version: str
    reason: str


class InstallState(Contract):
    """The whole of `state.json`.

    Attributes:
        current: The model in use.
        previous: The one before it, whole, to fall back to.
        trial: A model that was installed and not yet seen to work.
        tries: How often the trial was begun; written before the model is touched, so that a crash counts.
        floor: The highest `seq` that ever ran well here; nothing below it is installed again.
        set_aside: Releases that failed their trial, or that the user went back from.
    """

    schema_version: Literal[1] = 1
    current: Slot | None = None
    previous: Slot | None = None
    trial: Slot | None = None
    tries: int = Field(default=0, ge=0)
    floor: int = Field(default=0, ge=0)
    set_aside: tuple[SetAside, ...] = ()

    def slots(self) -> tuple[Slot, ...]:
        """Every model that must stay on the disk."""
        return tuple(slot for slot in (self.current, self.previous, self.trial) if slot is not None)

    def why_set_aside(self, seq: int) -> str | None:
        """Why a release is not installed again by itself; None if nothing speaks against it."""
        return next((item.reason for item in self.set_aside if item.seq == seq), None)

    def barred(self, slot: Slot) -> str | None:
        """Why nobody is to go back to a model; None if nothing speaks against it, or its user alone."""
        reason = self.why_set_aside(slot.seq)
        return None if reason == USER_WENT_BACK else reason

    def with_trial(self, slot: Slot) -> InstallState:
        """A new model is there and waits to be tried."""
        return self.without_aside(slot)._with(trial=slot, tries=0)

    def without_aside(self, slot: Slot) -> InstallState:
        """Nothing speaks against this model any more."""
        return self._with(set_aside=tuple(item for item in self.set_aside if item.seq != slot.seq))

    def with_try(self) -> InstallState:
        """The trial begins once more."""
        return self._with(tries=self.tries + 1)

    def promoted(self) -> InstallState:
        """The trial went well: it is the model in use now, and the floor rises to it."""
        if self.trial is None:
            raise ValueError("promoted: expected a trial, got none")
        # A release that replaces its own broken files leaves the older previous in place.
        is_repair = self.current is not None and self.current.seq == self.trial.seq
        # Nor is a model kept to go back to that the server stopped, or that did badly here.
        is_kept = self.current is not None and not is_repair and self.barred(self.current) is None
        previous = self.current if is_kept else self.previous
        floor = max(self.floor, self.trial.seq)
        return self._with(current=self.trial, previous=previous, trial=None, tries=0, floor=floor)

    def dropped(self, reason: str) -> InstallState:
        """The trial failed: the model in use stays, and this release is not tried again by itself."""
        if self.trial is None:
            return self
        return self._aside(self.trial, reason)._with(trial=None, tries=0)

    def without_trial(self) -> InstallState:
        """Forget a trial that is damaged, or that nobody wants any more: it may be installed again."""
        return self._with(trial=None, tries=0)

    def without_retired(self, min_seq: int) -> InstallState:
        """No model of before `min_seq` is kept to go back to. One in use stays until another one takes its place."""
        if self.previous is None or self.previous.seq >= min_seq:
            return self
        return self._with(previous=None)

    def fallen_back(self) -> InstallState:
        """The model in use is damaged: the one before it takes over. The same release may be installed afresh."""
        return self._with(current=self.previous, previous=None)

    def without_previous(self) -> InstallState:
        """There is no room for a model to go back to."""
        return self._with(previous=None)

    def stopped(self, slot: Slot, reason: str) -> InstallState:
        """Nobody is to go back to this model; in use it stays until another one takes its place."""
        return self._aside(slot, reason)

    def rolled_back(self, reason: str = USER_WENT_BACK) -> InstallState:
        """Back to the model before. The floor stays, so nothing else can use the way back."""
        if self.current is None or self.previous is None:
            raise ValueError("rolled_back: expected a current and a previous model")
        aside = self._aside(self.current, self.barred(self.current) or reason)
        kept = tuple(item for item in aside.set_aside if item.seq != self.previous.seq)
        return aside._with(current=self.previous, previous=self.current, set_aside=kept)

    def _aside(self, slot: Slot, reason: str) -> InstallState:
        others = tuple(item for item in self.set_aside if item.seq != slot.seq)
        # Only releases at or above the floor can be offered again.
        kept = tuple(item for item in others if item.seq >= self.floor)
        return self._with(set_aside=(*kept, SetAside(seq=slot.seq, version=slot.version, reason=reason)))

    def _with(self, **changes: object) -> InstallState:
        return self.model_copy(update=changes)
