"""A new classifier tried on the sentences whose meaning this user corrected, as a speech model is on their recordings.

Both classifiers judge the same sentences, one after the other, and `judging` says whether the new one is worse or it is
chance. A sentence is right or wrong, so each counts as one word. Everything stays on the device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from projectone.device.acceptance.choosing import ENOUGH_UNLEARNED
from projectone.device.acceptance.judging import Judgement, Pair
from projectone.device.acceptance.outcome import OnTrial, conclude
from projectone.device.acceptance.rows import TrialRows
from projectone.errors import ArtifactError

Judge = Callable[[str], str | None]
"""What a classifier takes a sentence to mean; None for none of its intents."""

MOST_SENTENCES = 200
"""A sentence takes a few milliseconds."""

_LEAST_ANSWERED = 3


@dataclass(frozen=True)
class OwnSentence:
    """A sentence of this device's user, with what they say they meant.

    Attributes:
        label: None for none of the intents.
        may_be_learned: Whether the server may have had it when the new classifier was made.
    """

    text: str
    label: str | None
    may_be_learned: bool


class SentenceAcceptance:
    """Makes trials of classifiers."""

    def __init__(
        self,
        sentences: Callable[[datetime], Sequence[OwnSentence]],
        *,
        answered: Callable[[], Sequence[str]],
        rows: TrialRows,
        clock: Callable[[], datetime],
    ) -> None:
        """Join what is needed.

        Args:
            sentences: What the user corrected, the newest first, by when the new classifier was made.
            answered: A few sentences in which a classifier here found something meant, corrected or not.
            rows: Keeps what came of it.
            clock: The time.
        """
        self._sentences = sentences
        self.answered = answered
        self.rows = rows
        self.clock = clock

    def begin(
        self, *, seq: int, version: str, made_at: datetime, may_go_on: Callable[[], bool] = lambda: True
    ) -> SentenceTrial:
        """A trial of a release.

        Args:
            seq: Its number.
            version: Its name.
            made_at: When it was made: what was corrected after that, it cannot have learned from.
            may_go_on: Asked between two sentences.
        """
        release = OnTrial(seq, version, "classifier", may_go_on)
        return SentenceTrial(self, choose(self._sentences(made_at)), release)


class SentenceTrial:
    """One release, tried once: `hear_before` with the classifier in use if there is one, then `hear_after`."""

    def __init__(self, acceptance: SentenceAcceptance, sentences: Sequence[OwnSentence], release: OnTrial) -> None:
        self._acceptance = acceptance
        self._sentences = sentences
        self._release = release
        self._against: str | None = None
        self._wrong_before: list[bool] = []

    def hear_before(self, version: str, hear: Judge) -> None:
        """Have the classifier in use judge everything.

        Raises:
            PostponedError: if this is not the moment any more.
        """
        self._wrong_before = self._wrong(hear)
        self._against = version

    def hear_after(self, hear: Judge) -> None:
        """Have the new classifier judge the same, and judge it. It is warm after this.

        Raises:
            WorseHereError: if it is worse for this user.
            ArtifactError: if it finds nothing meant in anything.
            PostponedError: if this is not the moment any more.
        """
        hear("hello")
        self._refuse_dumb(hear)
        against = self._against
        if against is None:
            return
        wrong_after = self._wrong(hear)
        pairs = [
            Pair(1, int(before), int(after)) for before, after in zip(self._wrong_before, wrong_after, strict=True)
        ]

        def refusal(judged: Judgement) -> str:
            return (
                f"of {judged.n_recordings} of your own sentences it gets {judged.wrong_after} wrong, classifier "
                f"{against} {judged.wrong_before}"
            )

        conclude(
            self._release,
            against,
            pairs,
            rows=self._acceptance.rows,
            now=self._acceptance.clock(),
            n_maybe_learned=sum(item.may_be_learned for item in self._sentences),
            refusal=refusal,
        )

    def _refuse_dumb(self, hear: Judge) -> None:
        texts = self._acceptance.answered()
        if len(texts) >= _LEAST_ANSWERED and all(hear(text) is None for text in texts):
            raise ArtifactError(f"it found nothing meant in {len(texts)} sentences of this user that mean something")

    def _wrong(self, hear: Judge) -> list[bool]:
        wrong = []
        for item in self._sentences:
            self._release.go_on()
            wrong.append(hear(item.text) != item.label)
        return wrong


def choose(newest: Sequence[OwnSentence]) -> list[OwnSentence]:
    """The sentences to try a classifier on: each text once, as it was corrected last.

    Those that it cannot have learned from count alone, unless they are too few.

    Args:
        newest: What there is, the newest first.
    """
    varied = list({item.text: item for item in reversed(newest)}.values())[::-1]
    unlearned = [item for item in varied if not item.may_be_learned]
    if len(unlearned) < ENOUGH_UNLEARNED:
        unlearned += [item for item in varied if item.may_be_learned]
    return unlearned[:MOST_SENTENCES]
