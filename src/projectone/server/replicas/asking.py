"""Bytes in, bytes out: the seam between whoever asks and wherever the models are, and the models of this process."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Protocol

from projectone.errors import DataError, ProjectOneError, SettingsError
from projectone.server.replicas import wire
from projectone.server.replicas.models import Kind, ModelPlaces, load_model, warm_up


class Asking(Protocol):
    """Answers questions that are bytes (`wire`)."""

    def ask(self, kind: Kind, body: bytes) -> bytes:
        """The answer; an error of the models' side is an answer too.

        Raises:
            TransportError: if nobody could be asked.
        """
        ...


def answer_all(kind: Kind, model: Any, bodies: Sequence[bytes]) -> list[bytes]:  # noqa: ANN401 - by `kind`
    """Answers to questions of one kind. Texts of several questions are computed together.

    A question that is none gets its own error and costs the others nothing.
    """
    if kind in ("classify", "embed"):
        return _answer_texts(kind, model, bodies)
    return [_answer_one(kind, model, body) for body in bodies]


class LocalModels:
    """The models in this process: the default, which needs nothing but this process.

    Args:
        places: Which.
        models: Loaded ones, by kind, instead of those that lie at `places`.
    """

    def __init__(self, places: ModelPlaces, models: dict[Kind, Any] | None = None) -> None:
        self._models = models if models is not None else {kind: load_model(kind, places) for kind in places.kinds}
        self._turns = {kind: threading.Lock() for kind in self._models}

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What can be asked for."""
        return tuple(self._models)

    def warm_up(self) -> None:
        """Let each compute once."""
        for kind, model in self._models.items():
            warm_up(kind, model)

    def ask(self, kind: Kind, body: bytes) -> bytes:
        """The answer of this process's model; one question of a kind after the other."""
        if kind not in self._models:
            return wire.error_to_bytes(SettingsError(f"{kind}: no model is served for it"))
        with self._turns[kind]:
            return answer_all(kind, self._models[kind], [body])[0]

    def close(self) -> None:
        """Let go of what has a thread of its own."""
        for model in self._models.values():
            if hasattr(model, "close"):
                model.close()


def _answer_texts(kind: Kind, model: Any, bodies: Sequence[bytes]) -> list[bytes]:  # noqa: ANN401 - by `kind`
    answers: list[bytes] = [b""] * len(bodies)
    asked: list[tuple[int, list[str]]] = []
    for place, body in enumerate(bodies):
        try:
            asked.append((place, wire.texts_from_bytes(body)))
        except DataError as error:
            answers[place] = wire.error_to_bytes(error)
    texts = [text for _, own in asked for text in own]
    try:
        found = model.classify(texts) if kind == "classify" else model.embed(texts)
    except ProjectOneError as error:
        for place, _ in asked:
            answers[place] = wire.error_to_bytes(error)
        return answers
    start = 0
    for place, own in asked:
        part = found[start : start + len(own)]
        answers[place] = wire.judgements_to_bytes(part) if kind == "classify" else wire.vectors_to_bytes(part)
        start += len(own)
    return answers


def _answer_one(kind: Kind, model: Any, body: bytes) -> bytes:  # noqa: ANN401 - by `kind`
    try:
        if kind == "transcribe":
            return wire.hearing_to_bytes(model.transcribe(wire.samples_from_bytes(body)))
        return wire.written_to_bytes(model.generate(wire.request_from_bytes(body)))
    except ProjectOneError as error:
        return wire.error_to_bytes(error)
