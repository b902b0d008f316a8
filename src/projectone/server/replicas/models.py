"""Which models are served, where they lie, and how one is loaded; each only where it is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, get_args

import numpy as np

from projectone.errors import SettingsError

if TYPE_CHECKING:
    from projectone.speech.checkpoint import WhisperCheckpoint
    from projectone.speech.threads import MlxThread

Kind = Literal["classify", "embed", "generate", "transcribe"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Numerics = Literal["float32", "int8"]
Samples = np.ndarray[Any, np.dtype[np.float32]]
TEMPLATES: Final = "templates"
"""In the place of a language model's folder: the answers that no model writes."""


@dataclass(frozen=True)
class SpokenWord:
    """A word that was heard, and when, in seconds from the start."""

    text: str
    start_s: float
    end_s: float
    probability: float


@dataclass(frozen=True)
class Hearing:
    """What a model heard in a recording."""

    text: str
    words: tuple[SpokenWord, ...]


class Speech(Protocol):
    """Recordings as text: what a device's engine does, without its hints."""

    def transcribe(self, samples: Samples) -> Hearing:
        """What is said in 16 kHz mono samples."""
        ...


@dataclass(frozen=True, kw_only=True)
class ModelPlaces:
    """Folders of the models that are served; what is not named is not served.

    Attributes:
        classifier: As `projectone-server assist train` writes one.
        encoder: A sentence encoder as Hugging Face keeps one.
        generator: A language model's folder, or ``"templates"``.
        speech: A Whisper checkpoint.
        language: Of the recordings.
        numerics: What classifier, encoder and speech compute in.
    """

    classifier: Path | None = None
    encoder: Path | None = None
    generator: Path | Literal["templates"] | None = None
    speech: Path | None = None
    language: str = "en"
    numerics: Numerics = "float32"

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What is served."""
        named = {
            "classify": self.classifier,
            "embed": self.encoder,
            "generate": self.generator,
            "transcribe": self.speech,
        }
        return tuple(kind for kind in KINDS if named[kind] is not None)

    def as_words(self) -> dict[str, str | None]:
        """For a process on another machine; folders must lie at the same path there."""
        return {name: None if value is None else str(value) for name, value in vars(self).items()}

    @classmethod
    def from_words(cls, words: dict[str, str | None]) -> ModelPlaces:
        """What `as_words` gave."""
        given: dict[str, Any] = dict(words)
        for name in ("classifier", "encoder", "speech", "generator"):
            if given[name] is not None and (name, given[name]) != ("generator", TEMPLATES):
                given[name] = Path(given[name])
        return cls(**given)


def load_model(kind: Kind, places: ModelPlaces) -> Any:  # noqa: ANN401 - one of four protocols, by `kind`
    """A `Classifier`, `Embedder`, `Generator` or `Speech`.

    Raises:
        SettingsError: if none is named, or what it computes with is not installed.
        ArtifactError: naming what in the folder is not as it must be.
    """
    # Imported here: a replica loads what it serves and nothing else.
    if kind == "classify" and places.classifier is not None:
        from projectone.assist.classifiers import load_classifier

        return load_classifier(places.classifier, numerics=places.numerics)
    if kind == "embed" and places.encoder is not None:
        from projectone.assist.embeddings import load_embedder

        return load_embedder(places.encoder, numerics=places.numerics)
    if kind == "generate" and places.generator is not None:
        if isinstance(places.generator, Path):
            from projectone.assist.generation.local.language_model import LocalGenerator

            return LocalGenerator(places.generator)
        from projectone.assist.generation.templates import TemplateGenerator
        from projectone.assist.generation.wordings import WORDINGS

        return TemplateGenerator(WORDINGS)
    if kind == "transcribe" and places.speech is not None:
        return load_speech(places.speech, language=places.language, numerics=places.numerics)
    raise SettingsError(f"{kind}: no model is named for it")


class LoadedSpeech:
    """A Whisper checkpoint on a thread of its own (see `speech.threads`)."""

    def __init__(self, thread: MlxThread, checkpoint: WhisperCheckpoint, language: str) -> None:
        self._thread, self._checkpoint, self._language = thread, checkpoint, language

    def transcribe(self, samples: Samples) -> Hearing:
        """What is said in 16 kHz mono samples, with the words' times."""
        from projectone.speech.transcribe import TranscribeOptions, transcribe

        options = TranscribeOptions(language=self._language, words=True)
        heard = self._thread.run(lambda: transcribe(self._checkpoint, samples, options=options))
        words = [word for segment in heard.segments for word in segment.words]
        return Hearing(
            heard.text, tuple(SpokenWord(word.text, word.start_s, word.end_s, word.probability) for word in words)
        )

    def close(self) -> None:
        """Let go of the weights, on their own thread."""
        self._thread.close()


def load_speech(folder: Path, *, language: str, numerics: Numerics) -> LoadedSpeech:
    """The Whisper checkpoint in a folder.

    Raises:
        ArtifactError: naming the file, key or tensor that is not as it must be.
        SettingsError: if what it computes with is not installed, or the model does not know the language.
    """
    try:
        from projectone.speech.int8 import load_for_inference
        from projectone.speech.threads import MlxThread
    except ImportError as error:
        raise SettingsError(f"transcription needs pip install 'projectone[device]' ({error})") from error
    thread = MlxThread("projectone-speech")
    try:
        checkpoint = thread.run(lambda: load_for_inference(folder, numerics))
        known = checkpoint.tokenizer.languages
        if known and language not in known:
            raise SettingsError(f"--language: expected one of {', '.join(known)}, got {language!r}")
        return LoadedSpeech(thread, checkpoint, language)
    except BaseException:
        thread.close()
        raise


WARM_TEXTS: Sequence[str] = ("warm up",)


def warm_up(kind: Kind, model: Any) -> None:  # noqa: ANN401 - one of four protocols, by `kind`
    """Let a model compute once, so that nobody's first question waits for what is made on first use."""
    if kind == "classify":
        model.classify(WARM_TEXTS)
    elif kind == "embed":
        model.embed(WARM_TEXTS)
    elif kind == "transcribe":
        model.transcribe(np.zeros(8_000, np.float32))
    # A language model's weights are read on its first request; its own deadline says how long that may take.
