"""Small local classifiers: an encoder, a direction for each label, and a measured "none of these".

A folder holds the tuned encoder as `embeddings` reads it (`model.safetensors` under stock names, `config.json`,
`tokenizer.json`), `head.safetensors` and `classifier.json`. The weights' file holds the digests of the other three, so
that its own digest names the classifier whole: two that differ in their threshold alone have different weights' files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from safetensors.numpy import save

from projectone.assist.calibration import Alarm, calibration_error, probabilities
from projectone.assist.embeddings import Numerics, SentenceEmbedder
from projectone.assist.encoder.bert_files import (
    CONFIG,
    TOKENIZER,
    WEIGHTS,
    BertFiles,
    read_bert,
    read_facts,
    read_tensors,
    write_bert,
)
from projectone.assist.protocols import Embedder, Judgement, Vectors
from projectone.assist.sketches import sketches
from projectone.errors import ArtifactError
from projectone.storage.files import building_directory, digest_of, write_atomically

CLASSIFIER, HEAD = "classifier.json", "head.safetensors"
SCHEMA_VERSION = 1
Bits = Literal[32, 8]
_PIN = "sha256 of "
Shares = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, eq=False)
class Head:
    """Labels and where they lie among the sentences.

    Attributes:
        labels: In the order of the directions.
        directions: Of length one, (labels, width).
        scale: Cosines times this, through a softmax, are probabilities.
        threshold: The lowest cosine that counts; below it, it is none of these.
        measured: What was measured when it was made, for people to read.
        alarm: From when on one of the labels is warned of; None where none is.
    """

    labels: tuple[str, ...]
    directions: Vectors
    scale: float
    threshold: float
    measured: Mapping[str, Any]
    alarm: Alarm | None = None

    def judge(self, vectors: Vectors) -> list[Judgement]:
        """A judgement for each sentence, (sentences, width)."""
        cosines = vectors @ self.directions.T
        shares = probabilities(cosines, self.scale)
        best, parts = cosines.argmax(axis=1), sketches(vectors)
        return [
            Judgement(
                label=self.labels[index] if cosines[row, index] >= self.threshold else None,
                nearest=self.labels[index],
                probability=float(shares[row, index]),
                fit=float(cosines[row, index]),
                sketch=parts[row],
            )
            for row, index in enumerate(best)
        ]


class EncoderClassifier:
    """Asks an embedder where a text lies, and a head what lies there."""

    def __init__(self, embedder: Embedder, head: Head) -> None:
        self._embedder = embedder
        self.head = head

    def classify(self, texts: Sequence[str]) -> list[Judgement]:
        """A judgement for each text."""
        return self.head.judge(self._embedder.embed(texts))

    def probability_of(self, label: str, texts: Sequence[str]) -> Shares:
        """Of this label, for each text.

        Raises:
            ValueError: if there is no such label.
        """
        cosines = self._embedder.embed(texts) @ self.head.directions.T
        return np.asarray(probabilities(cosines, self.head.scale)[:, self.head.labels.index(label)])


@dataclass(frozen=True)
class Verdict:
    """How well a classifier does on texts whose label is known.

    Attributes:
        accuracy: Share of texts with a label whose nearest label is right, whatever the threshold.
        answered_accuracy: Share of texts with a label that were answered, and rightly.
        out_of_scope_recall: Share of texts without a label that were called so; None where there are none.
        calibration_error: Of the probabilities, over texts with a label.
        n_in_scope: Texts with a label.
        n_out_of_scope: Texts without.
    """

    accuracy: float
    answered_accuracy: float
    out_of_scope_recall: float | None
    calibration_error: float
    n_in_scope: int
    n_out_of_scope: int


def judge_rows(judgements: Sequence[Judgement], wanted: Sequence[str | None]) -> Verdict:
    """Compare judgements with what was meant; None is none of the labels.

    Raises:
        ValueError: if no text has a label.
    """
    pairs = list(zip(judgements, wanted, strict=True))
    inside = [(made, label) for made, label in pairs if label is not None]
    outside = [made for made, label in pairs if label is None]
    if not inside:
        raise ValueError("expected texts with a label, got none")
    is_right = np.array([made.nearest == label for made, label in inside])
    return Verdict(
        accuracy=float(is_right.mean()),
        answered_accuracy=float(np.mean([made.label == label for made, label in inside])),
        out_of_scope_recall=float(np.mean([made.label is None for made in outside])) if outside else None,
        calibration_error=calibration_error(np.array([made.probability for made, _ in inside]), is_right),
        n_in_scope=len(inside),
        n_out_of_scope=len(outside),
    )


def save_classifier(folder: Path, encoder: BertFiles, head: Head, *, bits: Bits = 32) -> None:
    """Write a folder, all of it or nothing.

    Args:
        folder: That does not exist yet.
        encoder: The tuned encoder.
        head: Its labels.
        bits: Of a weight of the encoder.

    Raises:
        StorageError: if the folder exists, or the disk refused.
    """
    described = {
        "schema_version": SCHEMA_VERSION,
        "labels": list(head.labels),
        "scale": head.scale,
        "threshold": head.threshold,
        "bits": bits,
        "measured": dict(head.measured),
    } | ({"alarm": asdict(head.alarm)} if head.alarm else {})
    contents = {HEAD: save({"directions": np.ascontiguousarray(head.directions)})}
    for name, plain in ((CONFIG, encoder.config.to_json()), (CLASSIFIER, described)):
        contents[name] = (json.dumps(plain, indent=1, ensure_ascii=False) + "\n").encode()
    pinned = contents | {TOKENIZER: encoder.tokenizer}
    pins = {f"{_PIN}{name}": hashlib.sha256(content).hexdigest() for name, content in pinned.items()}
    with building_directory(folder) as building:
        write_bert(building, encoder, bits=bits, facts=pins)
        for name, content in contents.items():
            write_atomically(building / name, content)


def load_classifier(folder: Path, *, numerics: Numerics = "float32", n_threads: int = 0) -> EncoderClassifier:
    """Read what `save_classifier` wrote.

    Args:
        folder: Where.
        numerics: What the encoder computes in.
        n_threads: Of int8; as many as there are cores by default.

    Raises:
        ArtifactError: naming the file, key or tensor that is not as it must be.
        SettingsError: if onnx or onnxruntime is not installed, and int8 asked for.
    """
    encoder = read_bert(folder)
    head = _read_head(folder, encoder.config.hidden_size)
    _check_pins(folder)
    return EncoderClassifier(SentenceEmbedder(encoder, numerics=numerics, n_threads=n_threads), head)


def _check_pins(folder: Path) -> None:
    """Refuse a folder whose files do not belong together. Folders of before have no pins."""
    for name, pinned in read_facts(folder / WEIGHTS).items():
        if name.startswith(_PIN):
            path = folder / name.removeprefix(_PIN)
            if path.name not in (HEAD, TOKENIZER, CONFIG, CLASSIFIER) or not path.is_file():
                raise ArtifactError(f"{WEIGHTS!r}: names {path.name!r}, which is not there")
            if digest_of(path) != pinned:
                raise ArtifactError(f"{path.name!r} is not the one that these weights were written with")


def _read_head(folder: Path, width: int) -> Head:
    try:
        raw = json.loads((folder / CLASSIFIER).read_bytes())
        version, labels = raw["schema_version"], raw["labels"]
        scale, threshold, measured = raw["scale"], raw["threshold"], raw["measured"]
    except (OSError, ValueError, RecursionError, KeyError, TypeError) as error:
        raise ArtifactError(f"{CLASSIFIER!r} is missing or not what was written: {error!r}") from error
    if version != SCHEMA_VERSION:
        raise ArtifactError(f"{CLASSIFIER}: schema_version: expected {SCHEMA_VERSION}, got {version!r:.20}")
    if not isinstance(labels, list) or not labels or not all(isinstance(label, str) and label for label in labels):
        raise ArtifactError(f"{CLASSIFIER}: labels: expected names, got {labels!r:.60}")
    if len(set(labels)) != len(labels):
        raise ArtifactError(f"{CLASSIFIER}: labels: expected each once")
    for name, number in (("scale", scale), ("threshold", threshold)):
        if not isinstance(number, float) or not np.isfinite(number):
            raise ArtifactError(f"{CLASSIFIER}: {name}: expected a number, got {number!r:.40}")
    tensors = read_tensors(folder / HEAD)
    if list(tensors) != ["directions"] or tensors["directions"].shape != (len(labels), width):
        raise ArtifactError(f"{HEAD!r}: expected directions of shape {(len(labels), width)}")
    if not isinstance(measured, dict):
        raise ArtifactError(f"{CLASSIFIER}: measured: expected an object, got {type(measured).__name__}")
    alarm = _alarm(raw["alarm"], labels) if "alarm" in raw else None
    return Head(tuple(labels), tensors["directions"], scale, threshold, cast(Mapping[str, Any], measured), alarm)


def _alarm(raw: object, labels: Sequence[str]) -> Alarm:
    try:
        alarm = Alarm(**cast(dict[str, Any], raw))
        shares = [float(share) for share in (alarm.threshold, alarm.recall, alarm.false_alarm_rate)]
    except (TypeError, ValueError) as error:
        raise ArtifactError(f"{CLASSIFIER}: alarm is not what was written: {error}") from error
    if alarm.label not in labels or not np.isfinite(shares).all():
        raise ArtifactError(f"{CLASSIFIER}: alarm: expected one of the labels and numbers, got {raw!r:.120}")
    return alarm
