"""`Guard`: whether a text raises the alarm of the safety classifier that is installed here, whichever that is."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from projectone.device.assistant.engine import GuardEngine
from projectone.device.in_use import InUse, MayGoOn, ModelTrial, Watch
from projectone.device.installed import Installed, Outcome, Slot
from projectone.errors import ArtifactError, GuardError, LeaseError, StorageError

if TYPE_CHECKING:
    from projectone.assist.safety import SafetyJudgement

GuardTrial = ModelTrial[str, bool]
"""What a new safety classifier must get through: texts, and whether each raises its alarm."""

_WARMING = "hello"


class Guard:
    """Reads texts with the safety classifier in use. Used by several threads; nothing is loaded before it is asked."""

    def __init__(
        self,
        installed: Installed,
        load: Callable[[Path], GuardEngine],
        *,
        begin_trial: Callable[[Slot, MayGoOn], GuardTrial],
        was_any: Callable[[], bool] = lambda: False,
        has_room: Callable[[Path], bool] = lambda folder: True,
        watch: Watch | None = None,
        on_read: Callable[[str, float, SafetyJudgement], object] = lambda version, took_s, judgement: None,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Join what is needed.

        Args:
            installed: The safety classifiers on this device.
            load: Makes an engine from a classifier's folder.
            begin_trial: What a new one must get through.
            was_any: Whether one was ever in use here, also where nothing of it is left in `installed`.
            has_room: Whether there is memory for the one in a folder beside the one that is loaded.
            watch: Told of what happens to the one in use.
            on_read: Told of each text that was read: by which version, in how many seconds, and what it thought.
                Nothing of the text.
            timer: Seconds, from anywhere.
        """
        self._installed = installed
        self._was_any = was_any
        self._on_read = on_read
        self._timer = timer
        self._in_use: InUse[GuardEngine, str, bool] = InUse(
            installed,
            load,
            lambda engine, text: engine.flags(text),
            begin_trial=begin_trial,
            warm=lambda engine: engine.flags(_WARMING),
            has_room=has_room,
            watch=watch,
        )

    def is_here(self) -> bool:
        """Whether texts are to be read here: one is installed, or one was, and is damaged or gone.

        A device that once had one never goes on without by itself.

        Raises:
            GuardError: if what is installed cannot be told.
        """
        try:
            return self._is_here()
        except StorageError as error:
            raise GuardError(str(error)) from error

    def _is_here(self) -> bool:
        state = self._installed.state()
        if state.current is None and state.trial is not None:
            with contextlib.suppress(LeaseError), self._installed.changing():
                self.try_new_model()
            state = self._installed.state()
        return state.current is not None or state.floor > 0 or self._was_any()

    def flags(self, text: str) -> bool:
        """Whether a text raises the alarm; where no safety classifier was ever installed, none does.

        Raises:
            GuardError: if one was installed and cannot be read: nothing is let through unread.
        """
        if not self.is_here():
            return False
        try:
            with self._in_use.engine() as held, held.turn:
                began = self._timer()
                judgement = held.engine.judge(text)
                took_s, version = self._timer() - began, held.version
        except (ArtifactError, StorageError) as error:
            raise GuardError(str(error)) from error
        self._on_read(version, took_s, judgement)
        return judgement.is_flagged

    def try_new_model(self, may_go_on: MayGoOn = lambda: True) -> Outcome[object] | None:
        """Load the one on trial, exercise it, and use it from now on; see `InUse.try_new_model`."""
        return self._in_use.try_new_model(may_go_on)

    def reload(self) -> None:
        """Use the one that is current now, where another one is in use."""
        self._in_use.reload()

    @property
    def is_in_gap(self) -> bool:
        """Whether nobody gets an answer just now, because one takes the place of another."""
        return self._in_use.is_in_gap

    def close(self) -> None:
        """Let go of it; whoever is using it finishes first."""
        self._in_use.close()
