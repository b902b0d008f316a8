"""`Assistant`: asks the classifier in use what a text means, and keeps what it answered."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from projectone.contracts.assist import clean_utterance, label_of
from projectone.device.assistant.asked import Asked, AskedRows
from projectone.device.assistant.correcting import Meanings, check_label
from projectone.device.assistant.engine import IntentEngine
from projectone.device.in_use import InUse, MayGoOn, ModelTrial, Watch
from projectone.device.installed import Installed, Outcome, Slot
from projectone.device.offers import Kept
from projectone.device.outbox import EntryState
from projectone.device.recordings import FineTuningDataPoint, Recordings
from projectone.errors import DataError

if TYPE_CHECKING:
    from projectone.assist.protocols import Judgement

IntentTrial = ModelTrial[str, str | None]
"""What a new classifier must get through: texts, and the label it gives each."""

_WARMING = "hello"
_EVERY = 1_000_000_000


@dataclass(frozen=True)
class Understood:
    """What was asked, what the classifier made of it, and what the person says they meant.

    Attributes:
        meant: The correction; None if there is none.
        state: Where that is, if it was ever put in line.
    """

    asked: Asked
    meant: FineTuningDataPoint | None
    state: EntryState | None = None

    def facts(self) -> dict[str, Any]:
        """For programs: the terminal and the pages say the same."""
        meant = self.meant
        said = None if meant is None else {"label": label_of(meant.text), "sample_id": str(meant.sample_id)}
        return self.asked.facts() | {"correction": said}


class _Warming:
    """The least that a new classifier must do: answer."""

    def hear_before(self, version: str, hear: Callable[[str], str | None]) -> None:
        """Nothing to compare with."""

    def hear_after(self, hear: Callable[[str], str | None]) -> None:
        """Whatever it raises speaks against the classifier."""
        hear(_WARMING)


class Assistant:
    """What a text means to the classifier installed here. An `assist.protocols.Classifier`. Used by several threads."""

    def __init__(
        self,
        installed: Installed,
        load: Callable[[Path], IntentEngine],
        asked: AskedRows,
        meanings: Meanings,
        recordings: Recordings,
        *,
        clock: Callable[[], datetime],
        begin_trial: Callable[[Slot, MayGoOn], IntentTrial] = lambda slot, may_go_on: _Warming(),
        has_room: Callable[[Path], bool] = lambda folder: True,
        watch: Watch | None = None,
        on_judged: Callable[[str, float, Judgement], object] = lambda version, took_s, judgement: None,
        on_meant: Callable[[str, str | None, str | None], object] = lambda version, understood, meant: None,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Nothing is loaded yet.

        Args:
            installed: The classifiers on this device.
            load: Makes an engine from a classifier's folder.
            asked: What was asked.
            meanings: What the person says they meant.
            recordings: What was said.
            clock: The time.
            begin_trial: What a new classifier must get through.
            has_room: Whether there is memory for the one in a folder beside the one that is loaded.
            watch: Told of what happens to the classifier in use.
            on_judged: Told of each text that a person asked about: which version answered, in how many seconds, and
                what. Nothing of the text.
            on_meant: Told of each first time that a person says what they meant: of which version's answer, what it
                was, and what was meant. The same, where they say that it was right.
            timer: Seconds, from anywhere.
        """
        self._asked = asked
        self._meanings = meanings
        self._recordings = recordings
        self._clock = clock
        self._on_judged = on_judged
        self._on_meant = on_meant
        self._timer = timer
        self._in_use: InUse[IntentEngine, str, str | None] = InUse(
            installed,
            load,
            lambda engine, text: engine.classify([text])[0].label,
            begin_trial=begin_trial,
            warm=lambda engine: engine.classify([_WARMING]),
            has_room=has_room,
            watch=watch,
        )

    def classify(self, texts: Sequence[str]) -> list[Judgement]:
        """A judgement for each text; nothing is kept or counted.

        Raises:
            ArtifactError: if no whole classifier is installed.
        """
        with self._in_use.engine() as held, held.turn:
            return held.engine.classify(texts)

    def labels(self) -> tuple[str, ...]:
        """The intents that the classifier in use knows.

        Raises:
            ArtifactError: if no whole classifier is installed.
        """
        with self._in_use.engine() as held:
            return held.engine.labels

    def understand(self, text: str) -> Understood:
        """What a text means. It is kept here with the answer, so that the answer can be corrected.

        Raises:
            DataError: if it is no sentence that a person could have said, or a longer one than is judged.
            ArtifactError: if no whole classifier is installed.
        """
        return self._understand(clean_utterance(text), None)

    def understand_recording(self, recording_id: str) -> Understood:
        """What was meant in a recording, by its corrected text where there is one.

        Args:
            recording_id: The id, a beginning of it that fits one only, or ``"last"``.

        Raises:
            DataError: if there is no such recording, nothing was said in it, or more than is judged.
            ArtifactError: if no whole classifier is installed.
        """
        recording = self._recordings.find(recording_id)
        said = recording.text if recording.corrected_text is None else recording.corrected_text
        if not said.strip():
            raise DataError("nothing-said", "nothing was said in this recording, so nothing was meant")
        return self._understand(clean_utterance(said), recording.recording_id)

    def correct(self, named: str, label: str | None) -> Kept:
        """Keep what was meant; it is sent at the next `sync` if the user has agreed to that.

        Args:
            named: What was asked: its id, a beginning of it that fits one only, or ``"last"``.
            label: The intent that was meant; None where none of them was.

        Raises:
            DataError: if there is no such thing, or no such intent.
            ArtifactError: if no whole classifier is installed.
        """
        asked = self._asked.find(named)
        is_new = self._meanings.of(asked) is None
        kept = self._meanings.correct(asked, None if label is None else check_label(label, self.labels()))
        if is_new:
            self._on_meant(asked.model_version, asked.label, label)
        return kept

    def undo(self, named: str) -> str:
        """The sample to take back so that what the person said they meant counts no more, as `DeviceClient.undo` does.

        Raises:
            DataError: if there is no such thing, or it was not corrected.
        """
        meant = self._meanings.of(self._asked.find(named))
        if meant is None:
            raise DataError("not-corrected", f"{named!r}: it was not corrected")
        return str(meant.sample_id)

    def asked(self, named: str) -> Understood:
        """What was asked before.

        Args:
            named: Its id, a beginning of it that fits one only, or ``"last"``.

        Raises:
            DataError: if there is no such thing.
        """
        return self._with_meaning(self._asked.find(named))

    def newest(self, limit: int = 20) -> list[Understood]:
        """What was asked, the last first."""
        return [self._with_meaning(item) for item in self._asked.newest(limit)]

    def of_recording(self, recording_id: str) -> Understood | None:
        """What was last asked about a recording; None if nothing was."""
        found = self._asked.of_recording(recording_id)
        return None if found is None else self._with_meaning(found)

    def forget(self, named: str | None = None) -> int:
        """Forget what was asked, one of them or all, and take back what was said of it; gives how many.

        Raises:
            DataError: if there is no such thing.
        """
        return self._meanings.forget(self._asked.newest(_EVERY) if named is None else [self._asked.find(named)])

    def prepare(self) -> None:
        """Load the classifier before it is needed.

        Raises:
            ArtifactError: if no whole classifier is installed.
        """
        self.classify([_WARMING])

    def try_new_model(self, may_go_on: MayGoOn = lambda: True) -> Outcome[object] | None:
        """Load the classifier on trial, exercise it, and use it from now on; see `InUse.try_new_model`."""
        return self._in_use.try_new_model(may_go_on)

    def reload(self) -> None:
        """Use the classifier that is current now, where another one is in use."""
        self._in_use.reload()

    @property
    def is_in_gap(self) -> bool:
        """Whether nobody gets an answer just now, because a classifier takes the place of another."""
        return self._in_use.is_in_gap

    def close(self) -> None:
        """Let go of the classifier; whoever is using it finishes first."""
        self._in_use.close()

    def _with_meaning(self, asked: Asked) -> Understood:
        meant = self._meanings.of(asked)
        return Understood(asked, meant, None if meant is None else self._meanings.state_of(meant))

    def _understand(self, text: str, recording_id: str | None) -> Understood:
        with self._in_use.engine() as held, held.turn:
            began = self._timer()
            (judgement,) = held.engine.classify([text])
            took_s, version = self._timer() - began, held.version
        self._on_judged(version, took_s, judgement)
        asked = self._asked.keep(text, judgement, version, recording_id=recording_id, asked_at=self._clock())
        return self._with_meaning(asked)
