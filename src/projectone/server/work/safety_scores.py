"""Scores of safety classifiers on their golden texts, each computed once and kept."""

from __future__ import annotations

from collections.abc import Callable

from projectone.assist.safety import load_safety
from projectone.contracts.scores import EvaluationReport
from projectone.server.evaluation.intents.golden_texts import GoldenText
from projectone.server.evaluation.intents.hearings import HEARD, with_hearings
from projectone.server.evaluation.intents.scorer import examine_classifier, find_defect
from projectone.server.evaluation.safety.scorer import AlarmReader, check_texts
from projectone.server.work.intent_scores import IntentScores


class SafetyScores(IntentScores):
    """Reports by safety classifier and golden texts; harmless ones are heard with recognition errors, too."""

    how_to_get_texts = "set PROJECTONE_SERVER_SAFETY_GOLDEN to a file of them"

    def heard(self, texts: list[GoldenText]) -> list[GoldenText]:
        """As they are written, and all of them as a recogniser would write them."""
        return with_hearings(texts, is_every=True)

    def score(self, weights_sha256: str, on_progress: Callable[[int, int], None]) -> EvaluationReport:
        """The report of one safety classifier.

        Raises:
            EvaluationError: if there are no golden texts, or too few of either kind.
            ArtifactError: if the classifier is not here, or has no alarm.
        """
        texts, folder = self.texts(), self._models.find(weights_sha256)
        if find_defect(folder) is None:
            check_texts([text for text in texts.texts if text.slice != HEARD], load_safety(folder).alarm.label)
        return self.kept(
            weights_sha256,
            texts.sha256,
            lambda: examine_classifier(folder, texts, read=AlarmReader, on_progress=on_progress),
        )
