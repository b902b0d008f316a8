"""What is counted of understanding and answering: the class of each, and nothing of what was said.

Everything is counted under the classifier that is in use: a device without one counts nothing here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from projectone.contracts.questions import ANSWERERS, OUTCOMES, REPLIES, bin_of
from projectone.device.quality.measures import Bins
from projectone.device.quality.quality import Quality

if TYPE_CHECKING:
    from projectone.assist.first_turn import Choice
    from projectone.assist.generation.protocol import Answer, Reason
    from projectone.assist.protocols import Judgement

_WHY_TEMPLATE: Final[Mapping[Reason, str]] = {
    "timeout": "late",
    "rate-limited": "down",
    "down": "down",
    "breaker-open": "down",
    "busy": "down",
    "no-consent": "not-allowed",
    "masked-away": "not-allowed",
    "over-budget": "not-allowed",
    "not-installed": "no-model",
}
"""Whatever else a model did instead of answering was no fit answer."""


class Understanding:
    """Counts sentences, corrections, first replies and answers, where the user allows it."""

    def __init__(self, quality: Quality, version: Callable[[], str | None]) -> None:
        """Nothing is counted yet.

        Args:
            quality: Asks for the consent before anything is measured.
            version: Of the classifier in use; None without one.
        """
        self._quality = quality
        self._version = version

    def judged(self, version: str, took_s: float, judgement: Judgement) -> None:
        """Count a sentence that a classifier of this version judged in so many seconds."""
        self._quality.count(lambda: measure_judgement(judgement, took_s), lambda: version)

    def meant(self, version: str, understood: str | None, meant: str | None) -> None:
        """Count what a person said they meant of what this version understood."""
        self._quality.count(lambda: measure_meaning(understood, meant), lambda: version)

    def replied(self, choice: Choice) -> None:
        """Count a first reply."""
        self._quality.count(lambda: {"first_reply": REPLIES.index(choice.kind)}, self._version)

    def answered(self, answer: Answer) -> None:
        """Count an answer in words."""
        self._quality.count(lambda: measure_answer(answer), self._version)


def measure_judgement(judgement: Judgement, took_s: float) -> Bins:
    """The classes of one sentence."""
    bins: Bins = {
        "fit": bin_of("fit", judgement.fit),
        "probability": bin_of("probability", judgement.probability),
        "outcome": OUTCOMES.index("none" if judgement.label is None else "understood"),
        "judging_time": bin_of("judging_time", took_s),
    }
    return bins if judgement.sketch is None else bins | {"sketch": judgement.sketch}


def measure_meaning(understood: str | None, meant: str | None) -> Bins:
    """The class of a correction, or of saying that it was right."""
    if meant == understood:
        return {"outcome": OUTCOMES.index("right")}
    if meant is None:
        return {"outcome": OUTCOMES.index("should-be-none")}
    return {"outcome": OUTCOMES.index("should-be-one" if understood is None else "another")}


def measure_answer(answer: Answer) -> Bins:
    """The class of an answer: who gave it, and where it was the template, why the last one before it did not."""
    if answer.cached != "no":
        who = "kept"
    elif answer.by in ("local", "hosted"):
        who = answer.by
    else:
        who = _WHY_TEMPLATE.get(answer.failed[-1].reason, "unfit") if answer.failed else "no-model"
    return {"answered": ANSWERERS.index(who)}
