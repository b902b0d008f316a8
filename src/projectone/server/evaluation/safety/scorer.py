"""A safety classifier's alarm as answers to golden texts: the label that is warned of, or none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from projectone.assist.embeddings import Numerics
from projectone.assist.safety import load_safety
from projectone.contracts.evidence import IntentAnswer
from projectone.errors import EvaluationError
from projectone.server.evaluation.intents.golden_texts import GoldenText

LEAST_TEXTS = 20
"""Of either kind, as they are written: of fewer no share is worth a decision."""


class AlarmReader:
    """An `intents.scorer.Reader`: answers with its own label where the alarm is raised, and with none where it is not.

    A text is wanted to raise it if the golden set gives it that label.
    """

    def __init__(self, folder: Path, numerics: Numerics) -> None:
        self._guard = load_safety(folder, numerics=numerics, n_threads=1)
        self.labels = (self._guard.alarm.label,)
        self.threshold = self._guard.alarm.threshold

    def answer(self, texts: Sequence[GoldenText]) -> list[IntentAnswer]:
        """See `Reader`."""
        (label,) = self.labels
        made = self._guard.judge([text.text for text in texts])
        return [
            IntentAnswer(
                text_id=text.text_id,
                wanted=label if text.label == label else None,
                answered=label if judged.is_flagged else None,
                nearest=label,
                probability=min(1.0, max(0.0, judged.probability)),
                fit=judged.probability,
            )
            for text, judged in zip(texts, made, strict=True)
        ]


def check_texts(texts: Sequence[GoldenText], label: str) -> None:
    """Refuse a set that could not tell a good alarm from a bad one. Copies of a text are one text.

    Raises:
        EvaluationError: if it has too few texts with the label, or too few others.
    """
    n_with = len({text.sha256 for text in texts if text.label == label})
    n_without = len({text.sha256 for text in texts if text.label != label})
    if min(n_with, n_without) < LEAST_TEXTS:
        raise EvaluationError(
            f"golden texts: expected {LEAST_TEXTS} different ones labelled {label!r} at least and as many others, got "
            f"{n_with} and {n_without}; the label is the one that `assist train --alarm` was given"
        )
