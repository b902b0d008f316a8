"""Scores of classifiers on the golden texts, each computed once and kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from projectone.contracts.scores import EvaluationReport
from projectone.errors import DataError, EvaluationError
from projectone.server.evaluation.intents.golden_texts import GoldenText, GoldenTexts, golden_texts, read_golden_texts
from projectone.server.evaluation.intents.hearings import with_hearings
from projectone.server.evaluation.intents.scorer import examine_classifier
from projectone.server.pipeline.models import ModelFolders
from projectone.server.pipeline.ports import Samples
from projectone.server.work.golden import SealedTexts
from projectone.server.work.scoring import Scores


class IntentScores(Scores):
    """Reports by classifier and golden texts.

    Args:
        folder: Where reports are kept.
        models: Where classifiers lie.
        golden: JSON lines of texts and labels, or None if none are configured.
        sealed: Sentences that people lent for this purpose.
        is_secret: As of `Scores`.
    """

    how_to_get_texts: ClassVar[str] = (
        "set PROJECTONE_SERVER_INTENTS_GOLDEN to a file of them, or seal some (`projectone-server golden --family "
        "intents`)"
    )

    def __init__(
        self, folder: Path, models: ModelFolders, golden: Path | None, sealed: SealedTexts, *, is_secret: bool = False
    ) -> None:
        super().__init__(folder, models, golden, is_secret=is_secret)
        self._lent = sealed
        self._texts: GoldenTexts | None = None
        self._known: tuple[str, ...] = ()

    @property
    def has_set(self) -> bool:
        """Whether there is anything to judge by."""
        return self._manifest is not None or bool(self._lent.names())

    def texts(self) -> GoldenTexts:
        """The golden texts, as they are written and as a recogniser would write them.

        Raises:
            EvaluationError: if there are none, or they cannot be read.
        """
        names = self._lent.names()
        if self._texts is None or names != self._known:  # a withdrawal, or a new version
            if not self.has_set:
                raise EvaluationError(f"golden texts: none are configured; {self.how_to_get_texts}")
            try:
                written = () if self._manifest is None else read_golden_texts(self._manifest)
                self._texts = golden_texts(self.heard([*written, *self._lent.texts()]))
            except DataError as error:
                raise EvaluationError(f"golden texts: {error}") from error
            self._known = names
        return self._texts

    def heard(self, texts: list[GoldenText]) -> list[GoldenText]:
        """As they are written, and those with an intent as a recogniser would write them."""
        return with_hearings(texts)

    def clip_digests(self) -> frozenset[str]:
        """What must not be trained on, by its words; nothing where no texts are configured."""
        return frozenset(text.sha256 for text in self.texts().texts) if self.has_set else frozenset()

    def sentences(self) -> list[str]:
        """The texts themselves; none where none are configured."""
        return [text.text for text in self.texts().texts] if self.has_set else []

    def recordings(self) -> list[Samples]:
        """Texts have none."""
        return []

    def speakers(self) -> frozenset[str]:
        """Whose the texts are, where that is known."""
        return frozenset(text.speaker for text in self.texts().texts) if self.has_set else frozenset()

    def score(self, weights_sha256: str, on_progress: Callable[[int, int], None]) -> EvaluationReport:
        """The report of one classifier.

        Raises:
            EvaluationError: if there are no golden texts.
            ArtifactError: if the classifier is not here.
        """
        texts = self.texts()
        return self.kept(
            weights_sha256,
            texts.sha256,
            lambda: examine_classifier(self._models.find(weights_sha256), texts, on_progress=on_progress),
        )
