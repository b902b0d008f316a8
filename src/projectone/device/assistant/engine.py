"""A classifier of intents or safety, loaded: in eight bits where onnxruntime is, else in numpy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from projectone.errors import SettingsError

if TYPE_CHECKING:
    from projectone.assist.classifiers import EncoderClassifier
    from projectone.assist.protocols import Judgement
    from projectone.assist.safety import SafetyGuard, SafetyJudgement


class IntentEngine:
    """A loaded classifier, for one thread at a time."""

    def __init__(self, classifier: EncoderClassifier) -> None:
        self._classifier: EncoderClassifier | None = classifier

    @property
    def labels(self) -> tuple[str, ...]:
        """The intents that it knows."""
        return self._open().head.labels

    def classify(self, texts: Sequence[str]) -> list[Judgement]:
        """A judgement for each text."""
        return self._open().classify(texts)

    def close(self) -> None:
        """Let go of the memory."""
        self._classifier = None

    def _open(self) -> EncoderClassifier:
        assert self._classifier is not None, "a closed engine is never used"
        return self._classifier


class GuardEngine:
    """A loaded safety classifier, for one thread at a time."""

    def __init__(self, guard: SafetyGuard) -> None:
        self._guard: SafetyGuard | None = guard

    def flags(self, text: str) -> bool:
        """Whether a text raises the alarm."""
        return self.judge(text).is_flagged

    def judge(self, text: str) -> SafetyJudgement:
        """The same, with the probability that it is what is warned of."""
        assert self._guard is not None, "a closed engine is never used"
        return self._guard.judge([text])[0]

    def close(self) -> None:
        """Let go of the memory."""
        self._guard = None


def load_intents(folder: Path) -> IntentEngine:
    """The classifier in a folder, ready to be used.

    Raises:
        ArtifactError: naming the file, key or tensor that is not as it must be.
        SettingsError: if what it computes with is not installed.
    """
    return IntentEngine(_loaded(folder))


def load_guard(folder: Path) -> GuardEngine:
    """The safety classifier in a folder, ready to be used.

    Raises:
        ArtifactError: naming what is not as it must be, also where it has no alarm.
        SettingsError: if what it computes with is not installed.
    """
    classifier = _loaded(folder)
    from projectone.assist.safety import SafetyGuard

    return GuardEngine(SafetyGuard(classifier))


def _loaded(folder: Path) -> EncoderClassifier:
    # Imported here: it takes half a second, and `status` or `sync` need none of it.
    try:
        from projectone.assist.classifiers import load_classifier
    except ImportError as error:
        raise SettingsError(f"`projectone ask` needs pip install 'projectone[device]' ({error})") from error
    try:
        return load_classifier(folder, numerics="int8")
    except (
        SettingsError
    ):  # onnxruntime is an extra: without it a sentence takes three times as long, and that is little
        return load_classifier(folder)
