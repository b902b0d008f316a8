"""Which approved policy a text falls under, and that none does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.assist.approved import EMBEDDER, approved, policy

from projectone.assist import usual_encoder
from projectone.assist.embeddings import HashingEmbedder
from projectone.assist.policies import Policies, measure_threshold, without_policy
from projectone.contracts.policies import PolicySet
from projectone.errors import ContractError

EMBED = HashingEmbedder(384).embed


def test_the_nearest_policy_comes_with_distance_threshold_and_version() -> None:
    match = Policies(approved(), EMBED, embedded_by=EMBEDDER).nearest("i lost my card")
    assert match is not None and match.applies
    assert (match.policy_id, match.version, match.threshold) == ("card", 2, 0.6)
    assert match.distance == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("text", ["sing me an old song", "", "?!"])
def test_no_policy_applies_is_an_answer(text: str) -> None:
    assert Policies(approved(), EMBED, embedded_by=EMBEDDER).nearest(text) is None


def test_a_threshold_of_another_encoder_says_nothing() -> None:
    policies = Policies(approved(), EMBED, embedded_by="another")
    assert policies.closest("i lost my card") is None
    found = policies.of_intent("report_lost_card")
    assert found is not None and found.policy_id == "card"


def test_a_threshold_is_measured_where_most_find_theirs_and_others_find_none() -> None:
    rows: list[tuple[str, str | None]] = [
        ("i have lost my card", "card"),
        ("my card was lost", "report_lost_card"),
        ("how warm is it today", "weather"),
        ("will it rain tomorrow", "weather"),
        ("sing me an old song", None),
        ("who wrote this book", None),
    ]
    measured = measure_threshold(approved(distance=None), EMBED, EMBEDDER, rows)
    assert (measured.answered, measured.refused, measured.n_of_policies, measured.n_of_none) == (1.0, 1.0, 4, 2)
    held = approved().model_copy(update={"thresholds": (measured,)})
    policies = Policies(held, EMBED, embedded_by=EMBEDDER)
    assert [policies.nearest(text) is not None for text, _ in rows] == [label is not None for _, label in rows]


def test_an_intent_without_a_policy_is_one_where_none_applies() -> None:
    rows = [("i have lost my card", "card"), ("sing me an old song", "music"), ("who wrote this book", "books")]
    rows += [("play an old song", "music")]
    bare = [(text, label if label == "card" else None) for text, label in rows]
    held = approved(distance=None)
    assert measure_threshold(held, EMBED, EMBEDDER, rows) == measure_threshold(held, EMBED, EMBEDDER, bare)
    assert list(without_policy(held, rows).items()) == [("music", 2), ("books", 1)]
    with pytest.raises(ValueError, match="only others, such as 'nobody'"):
        measure_threshold(held, EMBED, EMBEDDER, [("hello", "nobody")])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"policies": [policy("card", ["a card"]), policy("card", ["cards"])]}, "policy 'card'"),
        ({"policies": [policy("a", ["one"], ["x"]), policy("b", ["two"], ["x"])]}, "intent 'x'"),
        ({"otherwise": {"response_id": "unsafe", "text": "No."}}, "response 'unsafe'"),
        ({"otherwise": {"response_id": "o", "text": "\u202e"}}, "invisible"),
        ({"extra": 1}, "extra"),
        ({"version": 0}, "version"),
    ],
)
def test_a_set_that_contradicts_itself_is_refused(change: dict[str, object], said: str) -> None:
    raw = approved().model_dump(mode="json")
    raw |= {k: [p.model_dump(mode="json") for p in v] if isinstance(v, list) else v for k, v in change.items()}
    with pytest.raises(ContractError, match=said):
        PolicySet.from_bytes(json.dumps(raw).encode())


def test_a_policy_without_an_answer_that_always_fits_is_refused() -> None:
    raw = approved().model_dump(mode="json")
    raw["policies"][0]["responses"] = [{"response_id": "x", "text": "Again.", "when": "again"}]
    with pytest.raises(ContractError, match="fits always"):
        PolicySet.from_bytes(json.dumps(raw).encode())


def test_out_of_scope_texts_of_clinc150_find_no_policy(real_data: Path) -> None:
    """Ten intents as policies with five examples each; measured on validation texts, asked on test texts."""
    if usual_encoder.usual_name() == usual_encoder.HASHING:
        pytest.skip("MiniLM's weights are not installed")
    raw = json.loads((real_data / "text" / "clinc150" / "data_full.json").read_text())
    names = sorted({label for _, label in raw["val"]})[:10]

    def texts(part: str, label: str, n: int) -> list[tuple[str, str | None]]:
        return [(text, label) for text, wanted in raw[part] if wanted == label][:n]

    policies = tuple(policy(name, [text for text, _ in texts("train", name, 5)], [name]) for name in names)
    held = approved(distance=None).model_copy(update={"policies": policies})
    development = [row for name in names for row in texts("val", name, 3)] + [(t, None) for t, _ in raw["oos_val"][:30]]
    measured = measure_threshold(held, usual_encoder.embed, "minilm", development)
    found = Policies(held.model_copy(update={"thresholds": (measured,)}), usual_encoder.embed, embedded_by="minilm")
    inside = [row for name in names for row in texts("test", name, 3)]
    n_right = sum((match := found.nearest(text)) is not None and match.policy_id == label for text, label in inside)
    n_refused = sum(found.nearest(text) is None for text, _ in raw["oos_test"][:30])
    assert min(n_right, n_refused) >= 24, (n_right, n_refused)
