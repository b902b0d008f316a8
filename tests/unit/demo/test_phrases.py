"""What people of the demo mean: sentences that teach, judge and are said have nothing in common."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from projectone.contracts.policies import Policy
from projectone.demo import meanings
from projectone.demo.phrases import KNOWN, draw_phrases, write_phrases
from projectone.server.evaluation.intents.golden_texts import read_golden_texts, read_lessons


def test_the_same_seed_says_the_same_and_no_sentence_is_in_two_parts() -> None:
    phrases = draw_phrases(2)
    assert phrases == draw_phrases(2) != draw_phrases(3)
    parts = [phrases.learned, phrases.measured_on, phrases.golden, phrases.said]
    texts = [text for part in parts for text, _ in part]
    assert len(texts) == len(set(texts))
    assert {label for _, label in phrases.said} == set(KNOWN)
    assert {label for _, label in phrases.golden} == {*KNOWN, None}
    assert not any("{" in text for text in texts)


def test_the_files_are_those_that_an_operator_would_keep(tmp_path: Path) -> None:
    files = write_phrases(draw_phrases(2), tmp_path / "intents")
    learned, measured_on = read_lessons(files["data"])
    assert len(learned) == 2 * len(KNOWN) and len(measured_on) > len(learned)
    assert len(list(read_golden_texts(files["golden"]))) > 100
    policies = [
        Policy.model_validate_json(
            json.dumps({**row, "version": 1, "approved_by": "x", "approved_at": "2026-11-01T00:00:00Z"})
        )
        for row in json.loads(files["policies"].read_text())["policies"]
    ]
    assert {policy.intents for policy in policies} == {(label,) for label in KNOWN}


def test_without_an_encoder_the_act_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meanings, "can_understand", lambda: False)
    assert meanings.intent_settings(tmp_path, 2) == {} and not list(tmp_path.iterdir())
