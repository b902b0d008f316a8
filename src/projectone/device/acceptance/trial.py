"""A new model tried on the user's own recordings, before it is in use: the old one hears them, then the new one.

Everything stays on the device. One model is heard after the other, so that two need not be in memory together. Each
has half of the time; what both heard by then is compared. Nobody's moment is taken: between two recordings the trial
asks whether it may go on, and waits for another time if not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime

from projectone.device.acceptance.choosing import OwnRecording, choose
from projectone.device.acceptance.judging import Judgement, Pair
from projectone.device.acceptance.outcome import OnTrial, conclude
from projectone.device.acceptance.rows import TrialRows
from projectone.device.acceptance.smoke import Samples, complaint, sounds
from projectone.errors import ArtifactError, ProjectOneError

Hear = Callable[[Samples], str]
"""What a model hears in 16 kHz mono samples."""

Errors = Callable[[Sequence[str], Sequence[str]], int]
"""How many words are wrong, by the words that were said and those that were heard."""

BUDGET_S = 120.0
"""How long a trial may take, both models together."""


class Acceptance:
    """Makes trials."""

    def __init__(
        self,
        recordings: Callable[[datetime], Sequence[OwnRecording]],
        read: Callable[[str], Samples],
        *,
        words: Callable[[str], tuple[str, ...]],
        errors: Errors,
        rows: TrialRows,
        clock: Callable[[], datetime],
        spoken: Callable[[], Sequence[str]] = tuple,
        timer: Callable[[], float] = time.monotonic,
        budget_s: float = BUDGET_S,
    ) -> None:
        """Join what is needed.

        Args:
            recordings: The user's own recordings that they corrected or read aloud, the newest first, by when the new
                model was made.
            read: The sound of one.
            words: A text made comparable, in single words.
            errors: Counts words that are wrong.
            rows: Keeps what came of it.
            clock: The time.
            spoken: The sounds of a few recordings in which a model heard something, corrected or not.
            timer: Seconds, from anywhere.
            budget_s: How long a trial may take.
        """
        self._recordings = recordings
        self._read = read
        self.words = words
        self.errors = errors
        self.rows = rows
        self.clock = clock
        self._spoken = spoken
        self.timer = timer
        self.budget_s = budget_s

    def begin(
        self, *, seq: int, version: str, made_at: datetime, may_go_on: Callable[[], bool] = lambda: True
    ) -> Trial:
        """A trial of a release.

        Args:
            seq: Its number.
            version: Its name.
            made_at: When it was made: what was corrected after that, it cannot have learned from.
            may_go_on: Asked between two recordings.
        """
        chosen = [
            (item, samples) for item in choose(self._recordings(made_at)) for samples in self._sound(item.audio_sha256)
        ]
        return Trial(self, chosen, OnTrial(seq, version, "model", may_go_on))

    def refuse_deaf(self, hear: Hear) -> None:
        """Refuse a model that hears nothing where another one heard something.

        Raises:
            ArtifactError: if it hears nothing in any such recording.
        """
        spoken = [samples for audio_sha256 in self._spoken() for samples in self._sound(audio_sha256)]
        if spoken and not any(hear(samples).strip() for samples in spoken):
            raise ArtifactError(f"it heard nothing in {len(spoken)} recordings of this user that hold speech")

    def _sound(self, audio_sha256: str) -> list[Samples]:
        try:
            return [self._read(audio_sha256)]
        except ProjectOneError:  # a damaged file says nothing about a model
            return []


class Trial:
    """One release, tried once: `hear_before` with the model in use if there is one, then `hear_after`."""

    def __init__(
        self, acceptance: Acceptance, recordings: Sequence[tuple[OwnRecording, Samples]], release: OnTrial
    ) -> None:
        self._acceptance = acceptance
        self._recordings = recordings
        self._release = release
        self._against: str | None = None
        self._quiet_before: dict[str, int] | None = None
        self._wrong_before: list[int] = []

    def hear_before(self, version: str, hear: Hear) -> None:
        """Have the model in use hear everything.

        Raises:
            PostponedError: if this is not the moment any more.
        """
        self._quiet_before = self._smoke(hear)
        self._wrong_before = self._wrong(hear, len(self._recordings))
        self._against = version

    def hear_after(self, hear: Hear) -> None:
        """Have the new model hear the same, and judge it. It is warm after this.

        Raises:
            WorseHereError: if it is worse for this user.
            ArtifactError: if it hears words where nobody speaks, or nothing where somebody does.
            PostponedError: if this is not the moment any more.
        """
        problem = complaint(self._quiet_before, self._smoke(hear))
        if problem is not None:
            raise ArtifactError(problem)
        self._acceptance.refuse_deaf(hear)
        against = self._against
        if against is None:
            return
        wrong_after = self._wrong(hear, len(self._wrong_before))
        heard = self._recordings[: len(wrong_after)]
        pairs = [
            Pair(len(item.words), before, after)
            for (item, _), before, after in zip(heard, self._wrong_before, wrong_after, strict=False)
        ]

        def refusal(judged: Judgement) -> str:
            return (
                f"in {judged.n_recordings} of your own recordings it gets {judged.wrong_after} of {judged.n_words} "
                f"words wrong, model {against} {judged.wrong_before}"
            )

        conclude(
            self._release,
            against,
            pairs,
            rows=self._acceptance.rows,
            now=self._acceptance.clock(),
            n_maybe_learned=sum(item.may_be_learned for item, _ in heard),
            refusal=refusal,
        )

    def _smoke(self, hear: Hear) -> dict[str, int]:
        return {name: len(self._acceptance.words(hear(samples))) for name, samples in sounds().items()}

    def _wrong(self, hear: Hear, n_most: int) -> list[int]:
        """Words wrong in each recording, each word once at most, as far as half of the time goes."""
        timer, wrong = self._acceptance.timer, []
        end_s = timer() + self._acceptance.budget_s / 2
        for item, samples in self._recordings[:n_most]:
            self._release.go_on()
            if timer() >= end_s:
                break
            heard = self._acceptance.words(hear(samples))
            wrong.append(min(len(item.words), self._acceptance.errors(item.words, heard)))
        return wrong
