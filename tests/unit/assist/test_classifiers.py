"""Labels, probabilities and "none of these"; kept on disk and read again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.fakes.tiny_bert import tiny_bert

from projectone.assist.classifiers import (
    CLASSIFIER,
    EncoderClassifier,
    Head,
    judge_rows,
    load_classifier,
    save_classifier,
)
from projectone.assist.embeddings import SentenceEmbedder
from projectone.assist.protocols import Judgement
from projectone.errors import ArtifactError, StorageError

TEXTS = ["play some music", "it is warm", "rain"]


def classifier(threshold: float = 0.0) -> EncoderClassifier:
    embedder = SentenceEmbedder(tiny_bert())
    directions = embedder.embed(["play some song", "is it warm weather"])
    return EncoderClassifier(embedder, Head(("music", "weather"), directions, 20.0, threshold, {"accuracy": 0.5}))


def test_the_nearest_label_wins_and_what_fits_too_little_is_none_of_these() -> None:
    open_minded = classifier(-1.0).classify(TEXTS)
    assert [made.label for made in open_minded[:2]] == ["music", "weather"]
    strict = classifier(open_minded[0].fit + 1e-6).classify(TEXTS[:1])[0]
    assert strict.label is None
    assert strict.nearest == "music"
    assert strict.probability == pytest.approx(open_minded[0].probability, abs=1e-6)
    assert 0.5 <= strict.probability <= 1


@pytest.mark.parametrize("bits", [32, 8])
def test_a_classifier_is_the_same_after_a_journey_over_the_disk(bits: int, tmp_path: Path) -> None:
    made = classifier(0.25)
    save_classifier(tmp_path / "model", tiny_bert(), made.head, bits=bits)  # type: ignore[arg-type]
    read = load_classifier(tmp_path / "model")
    assert read.head.labels == ("music", "weather")
    assert (read.head.scale, read.head.threshold, read.head.measured) == (20.0, 0.25, {"accuracy": 0.5})
    for before, after in zip(made.classify(TEXTS), read.classify(TEXTS), strict=True):
        assert after.nearest == before.nearest
        assert after.fit == pytest.approx(before.fit, abs=1e-6 if bits == 32 else 0.02)
    with pytest.raises(StorageError, match="exists"):
        save_classifier(tmp_path / "model", tiny_bert(), made.head)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"schema_version": 2}, "schema_version"),
        ({"labels": ["a", "a"]}, "labels"),
        ({"labels": ["a", "b", "c"]}, "directions"),
        ({"scale": float("nan")}, "scale"),
        ({"threshold": "high"}, "threshold"),
        ({"measured": 1}, "measured"),
    ],
)
def test_a_description_that_cannot_be_is_refused(change: dict[str, object], named: str, tmp_path: Path) -> None:
    save_classifier(tmp_path / "model", tiny_bert(), classifier().head)
    path = tmp_path / "model" / CLASSIFIER
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ArtifactError, match=named):
        load_classifier(tmp_path / "model")
    path.unlink()
    with pytest.raises(ArtifactError, match=CLASSIFIER):
        load_classifier(tmp_path / "model")


def test_the_verdict_counts_answers_and_refusals() -> None:
    made = [
        Judgement("a", "a", 0.9, 0.9),
        Judgement(None, "a", 0.8, 0.2),  # right, but not trusted
        Judgement("b", "b", 0.7, 0.7),
        Judgement(None, "b", 0.4, 0.1),
        Judgement("b", "b", 0.9, 0.8),
    ]
    verdict = judge_rows(made, ["a", "a", "a", None, None])
    assert verdict.accuracy == pytest.approx(2 / 3)
    assert verdict.answered_accuracy == pytest.approx(1 / 3)
    assert verdict.out_of_scope_recall == pytest.approx(1 / 2)
    assert (verdict.n_in_scope, verdict.n_out_of_scope) == (3, 2)
    assert verdict.calibration_error == pytest.approx((0.1 + 0.2 + 0.7) / 3)
    with pytest.raises(ValueError, match="with a label"):
        judge_rows(made[:1], [None])
    assert np.isfinite(verdict.calibration_error)


def test_the_name_of_the_weights_is_the_name_of_the_whole_classifier(tmp_path: Path) -> None:
    for name, threshold in (("one", 0.25), ("same", 0.25), ("other", 0.0)):
        save_classifier(tmp_path / name, tiny_bert(), classifier(threshold).head, bits=8)
    one, same, other = (tmp_path / name / "model.safetensors" for name in ("one", "same", "other"))
    assert one.read_bytes() == same.read_bytes() != other.read_bytes()
    (tmp_path / "one" / CLASSIFIER).write_bytes((tmp_path / "other" / CLASSIFIER).read_bytes())
    with pytest.raises(ArtifactError, match="not the one that these weights were written with"):
        load_classifier(tmp_path / "one")
    (tmp_path / "same" / CLASSIFIER).unlink()
    with pytest.raises(ArtifactError, match=r"classifier\.json"):
        load_classifier(tmp_path / "same")
