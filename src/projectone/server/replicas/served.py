"""The protocols of `assist`, and speech, over whatever can be asked: whoever uses one does not see where it runs."""

from __future__ import annotations

from collections.abc import Sequence

from projectone.assist.generation.protocol import Answer, GenerationError, GenerationRequest
from projectone.assist.protocols import Judgement, Vectors
from projectone.errors import ContractError, RefusedError, TransportError
from projectone.server.replicas import wire
from projectone.server.replicas.asking import Asking
from projectone.server.replicas.models import Hearing, Samples


class ServedClassifier:
    """A `Classifier` that runs elsewhere. Long lists are asked in parts.

    It raises `TransportError` if nobody could be asked, and what the models' side raised.
    """

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    def classify(self, texts: Sequence[str]) -> list[Judgement]:
        """A judgement for each text."""
        parts = [self._asking.ask("classify", wire.texts_to_bytes(part)) for part in _parts(texts)]
        return [judgement for part in parts for judgement in wire.judgements_from_bytes(part)]


class ServedEmbedder:
    """An `Embedder` that runs elsewhere; as `ServedClassifier`."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    def embed(self, texts: Sequence[str]) -> Vectors:
        """A vector for each text, (texts, width)."""
        import numpy as np

        parts = [self._asking.ask("embed", wire.texts_to_bytes(part)) for part in _parts(texts) or [texts]]
        return np.concatenate([wire.vectors_from_bytes(part) for part in parts])


class ServedGenerator:
    """A `Generator` that runs elsewhere; a link of a chain like any other.

    Args:
        asking: Where.
        model_version: Of the model there; two answers of one version to one request are the same.
    """

    name = "served"

    def __init__(self, asking: Asking, *, model_version: str) -> None:
        self._asking = asking
        self.model_version = model_version

    def generate(self, request: GenerationRequest) -> Answer:
        """The answer, with who gave it there.

        Raises:
            GenerationError: if there is none; its reason says why, `down` if nobody could be asked.
        """
        try:
            return wire.written_from_bytes(self._asking.ask("generate", wire.request_to_bytes(request)))
        except RefusedError as error:
            raise GenerationError("refused", str(error)) from error
        except (TransportError, ContractError) as error:
            raise GenerationError("down", str(error)) from error


class ServedSpeech:
    """A `Speech` that runs elsewhere; as `ServedClassifier`."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    def transcribe(self, samples: Samples) -> Hearing:
        """What is said in 16 kHz mono samples."""
        return wire.hearing_from_bytes(self._asking.ask("transcribe", wire.samples_to_bytes(samples)))


def _parts(texts: Sequence[str]) -> list[Sequence[str]]:
    return [texts[start : start + wire.MAX_TEXTS] for start in range(0, len(texts), wire.MAX_TEXTS)]
