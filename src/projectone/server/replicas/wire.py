"""Questions and answers as bytes: JSON, checked on arrival. An answer is either what was asked for, or an error.

Numbers come back as they were: texts of floats in JSON, arrays as float32 in base64.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final, NoReturn, cast

import numpy as np

from projectone.assist.generation.protocol import (
    REASONS,
    Answer,
    Attempt,
    Cost,
    GenerationError,
    GenerationRequest,
    Reason,
)
from projectone.assist.protocols import Judgement, Vectors
from projectone.assist.vectors.protocol import Owner
from projectone.errors import ContractError, DataError, ProjectOneError, RefusedError, error_document
from projectone.server.replicas.models import Hearing, Samples, SpokenWord

MAX_TEXTS: Final = 256
MAX_CHARACTERS: Final = 10_000
MAX_SAMPLES: Final = 16_000 * 600
MAX_BODY_BYTES: Final = 64 * 2**20

_BAD: Final = "bad-request"
_STATUS: Final = {"generation": 503, "data": 422, "settings": 404}


def texts_to_bytes(texts: Sequence[str]) -> bytes:
    """A question about texts."""
    return json.dumps({"texts": list(texts)}).encode()


def texts_from_bytes(body: bytes) -> list[str]:
    """The texts of a question.

    Raises:
        DataError: if it is none, or asks for too much at once.
    """
    texts = _document(body).get("texts")
    if not isinstance(texts, list) or len(texts) > MAX_TEXTS or not all(isinstance(text, str) for text in texts):
        raise DataError(_BAD, f"texts: expected at most {MAX_TEXTS} texts")
    if any(len(text) > MAX_CHARACTERS for text in texts):
        raise DataError(_BAD, f"texts: expected at most {MAX_CHARACTERS} characters in each")
    return texts


def judgements_to_bytes(judgements: Sequence[Judgement]) -> bytes:
    """The answer to `classify`."""
    return json.dumps({"judgements": [[x.label, x.nearest, x.probability, x.fit] for x in judgements]}).encode()


def judgements_from_bytes(content: bytes) -> list[Judgement]:
    """What `judgements_to_bytes` wrote; errors as `answer_from_bytes`."""
    return [Judgement(*row) for row in answer_from_bytes(content)["judgements"]]


def vectors_to_bytes(vectors: Vectors) -> bytes:
    """The answer to `embed`."""
    return json.dumps({"width": vectors.shape[1], "vectors": _floats_to_text(vectors)}).encode()


def vectors_from_bytes(content: bytes) -> Vectors:
    """What `vectors_to_bytes` wrote; errors as `answer_from_bytes`."""
    found = answer_from_bytes(content)
    return _floats_from_text(found["vectors"]).reshape(-1, found["width"])


def samples_to_bytes(samples: Samples) -> bytes:
    """A question about 16 kHz mono sound."""
    return json.dumps({"samples": _floats_to_text(samples)}).encode()


def samples_from_bytes(body: bytes) -> Samples:
    """The sound of a question.

    Raises:
        DataError: if it is none, too long, or not finite.
    """
    text = _document(body).get("samples")
    try:
        samples = _floats_from_text(cast(str, text))
    except (ValueError, TypeError) as error:
        raise DataError(_BAD, "samples: expected float32 in base64") from error
    if not 0 < samples.size <= MAX_SAMPLES or not np.isfinite(samples).all():
        raise DataError(_BAD, f"samples: expected 1 to {MAX_SAMPLES} finite numbers, got {samples.size}")
    return samples


def hearing_to_bytes(hearing: Hearing) -> bytes:
    """The answer to `transcribe`."""
    rows = [[word.text, word.start_s, word.end_s, word.probability] for word in hearing.words]
    return json.dumps({"text": hearing.text, "words": rows}).encode()


def hearing_from_bytes(content: bytes) -> Hearing:
    """What `hearing_to_bytes` wrote; errors as `answer_from_bytes`."""
    found = answer_from_bytes(content)
    return Hearing(found["text"], tuple(SpokenWord(*row) for row in found["words"]))


def request_to_bytes(request: GenerationRequest) -> bytes:
    """A question for a language model, with whose it is: a cache behind it must not mix people up."""
    owner = {"tenant": request.owner.tenant, "user": request.owner.user, "is_shared": request.owner.is_shared}
    plain = {name: value for name, value in vars(request).items() if name != "owner"}
    return json.dumps({"owner": owner, **plain, "facts": dict(request.facts)}).encode()


def request_from_bytes(body: bytes) -> GenerationRequest:
    """What `request_to_bytes` wrote.

    Raises:
        DataError: if it is none.
    """
    document = dict(_document(body))
    try:
        owner = document.pop("owner")
        return GenerationRequest(owner=Owner(owner["tenant"], owner["user"], is_shared=owner["is_shared"]), **document)
    except (ValueError, TypeError, KeyError) as error:
        # What was asked is nobody's business: the kind of mistake is enough.
        raise DataError(_BAD, f"generation request: not as agreed ({type(error).__name__})") from error


def written_to_bytes(answer: Answer) -> bytes:
    """The answer to `generate`."""
    return json.dumps(asdict(answer)).encode()


def written_from_bytes(content: bytes) -> Answer:
    """What `written_to_bytes` wrote; errors as `answer_from_bytes`."""
    found = answer_from_bytes(content)
    failed = tuple(Attempt(**attempt) for attempt in found.pop("failed"))
    return Answer(**{**found, "failed": failed, "cost": Cost(**found["cost"])})


def error_to_bytes(error: ProjectOneError) -> bytes:
    """An error as an answer: it crosses processes as words, for a pickled exception is code."""
    document = error_document(error)
    if isinstance(error, GenerationError) and error.retry_after_s is not None:
        return json.dumps({"error": {**document["error"], "retry_after_s": error.retry_after_s}}).encode()
    return json.dumps(document).encode()


def status_of(content: bytes) -> int:
    """The HTTP status that goes with an answer."""
    if not content.startswith(b'{"error"'):
        return 200
    return _STATUS.get(json.loads(content)["error"]["kind"], 500)


def answer_from_bytes(content: bytes) -> dict[str, Any]:
    """The facts of an answer.

    Raises:
        GenerationError, DataError: as the model's side raised it.
        RefusedError: for any other error of the model's side.
        ContractError: if it is no answer.
    """
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ContractError("replica: expected an answer in JSON") from error
    if not isinstance(found, dict):
        raise ContractError("replica: expected an answer in JSON")
    if "error" in found:
        _raise(found["error"])
    return found


def _raise(error: Mapping[str, Any]) -> NoReturn:
    kind, message, reason = error.get("kind"), str(error.get("message", "")), error.get("reason")
    if kind == "generation":
        known: Reason = reason if reason in REASONS else "failed"
        raise GenerationError(known, message, retry_after_s=error.get("retry_after_s"))
    if kind == "data":
        raise DataError(str(reason), message)
    raise RefusedError(message, status=_STATUS.get(str(kind), 500), reason=str(reason or kind))


def _document(body: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise DataError(_BAD, "expected a JSON object") from error
    if not isinstance(document, dict):
        raise DataError(_BAD, "expected a JSON object")
    return document


def _floats_to_text(values: Samples) -> str:
    return base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode()


def _floats_from_text(text: str) -> Samples:
    return np.frombuffer(base64.b64decode(text, validate=True), "<f4").astype(np.float32)
