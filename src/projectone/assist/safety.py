"""Whether a text is fit to be answered, shown or spoken: a small classifier that raises an alarm.

The same encoder, head and folder as for intents. One label is warned of; the probability from which on it is was chosen
on texts that were not learned from, so that no more than a stated share of harmless ones raises the alarm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from projectone.assist.classifiers import CLASSIFIER, EncoderClassifier, load_classifier
from projectone.assist.embeddings import Numerics
from projectone.errors import ArtifactError


@dataclass(frozen=True)
class SafetyJudgement:
    """What the guard thinks of a text.

    Attributes:
        is_flagged: Whether it raises the alarm.
        probability: Of the label that is warned of.
    """

    is_flagged: bool
    probability: float


class SafetyGuard:
    """Raises the alarm of a classifier.

    Args:
        classifier: With an alarm.

    Raises:
        ArtifactError: if the classifier was taught none.
    """

    def __init__(self, classifier: EncoderClassifier) -> None:
        if classifier.head.alarm is None:
            raise ArtifactError(f"{CLASSIFIER}: expected an alarm, got none; teach with --alarm LABEL")
        self.alarm = classifier.head.alarm
        self._classifier = classifier

    def judge(self, texts: Sequence[str]) -> list[SafetyJudgement]:
        """A judgement for each text."""
        if not texts:
            return []
        shares = self._classifier.probability_of(self.alarm.label, texts)
        return [SafetyJudgement(bool(share >= self.alarm.threshold), float(share)) for share in shares]

    def flags(self, text: str) -> bool:
        """Whether one text raises the alarm."""
        return self.judge([text])[0].is_flagged


def load_safety(folder: Path, *, numerics: Numerics = "float32", n_threads: int = 0) -> SafetyGuard:
    """The guard of a classifier's folder.

    Args:
        folder: Where.
        numerics: What the encoder computes in.
        n_threads: Of int8; as many as there are cores by default.

    Raises:
        ArtifactError: naming what is not as it must be, also where the classifier has no alarm.
        SettingsError: if onnx or onnxruntime is not installed, and int8 asked for.
    """
    return SafetyGuard(load_classifier(folder, numerics=numerics, n_threads=n_threads))
