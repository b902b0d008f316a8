"""Sentences of people who agreed to it judge classifiers, and no classifier learns from them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.caller import Caller, a_clip
from tests.fakes.taught_intents import save_honest
from tests.unit.server.api.conftest import Backend, backend, fresh_home  # noqa: F401 - fixtures

from projectone.contracts import endpoints
from projectone.server.cli import main
from projectone.server.corpus.clips import read_sentence
from projectone.server.corpus.golden_set import GOLDEN, GOLDEN_PERSON, GoldenSets
from projectone.server.pipeline.models import ModelFolders
from projectone.server.settings import ServerSettings
from projectone.server.work.golden import SealedTexts
from projectone.server.work.intent_scores import IntentScores
from projectone.server.work.lent import lent_sentences

Ask = Callable[..., Any]


@pytest.fixture
def ask(backend: Backend, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:  # noqa: F811
    monkeypatch.setenv("PROJECTONE_SERVER_HOME", str(backend.home))

    def run(*arguments: str, code: int = 0) -> Any:
        capsys.readouterr()
        assert main([*arguments, "--json"]) == code
        return json.loads(capsys.readouterr().out)

    run("corpus", "labels", "--add", "weather", "--add", "timer")
    return run


def judge(backend: Backend, name: str = "judy") -> Caller:  # noqa: F811
    """Somebody whose samples may judge models."""
    caller = backend.caller(name)
    caller.grant_intents()
    receipt = caller.receipt("evaluation", receipt_id=uuid.uuid4())
    assert caller.signed("PUT", endpoints.consent(receipt.receipt_id), receipt.to_bytes()).status_code == 200
    return caller


def states(backend: Backend) -> dict[str, tuple[str, str | None]]:  # noqa: F811
    return {row.kind + row.text: (row.state, row.reason) for row in backend.catalog.living()}


def test_a_sentence_is_lent_accepted_sealed_and_judges(
    backend: Backend,  # noqa: F811
    ask: Ask,
    tmp_path: Path,
) -> None:
    judy, ann = judge(backend), backend.caller("ann")
    ann.grant_intents()
    judy.put(a_clip())
    judy.put_intent("how warm is it", "weather")
    ann.put_intent("set a timer", "timer")
    (found,) = ask("golden", "candidates", "--family", "intents")["candidates"]
    assert (found["sentence"], found["text"]) == ("how warm is it", "weather")
    (recording,) = ask("golden", "candidates")["candidates"]
    assert recording["sentence"] is None and recording["sample_id"] != found["sample_id"]
    ask("golden", "accept", found["sample_id"], "--family", "intents")
    assert ask("golden", "seal", "--family", "intents")["n_clips"] == 1
    assert ask("golden", "show", "--family", "intents")["main"]["n_clips"] == 1
    assert ask("golden", "show") == {}, "no set of recordings was sealed"
    settings = ServerSettings.from_env({"PROJECTONE_SERVER_HOME": str(backend.home)}).of_family("intents")
    assert [(text.text, text.label) for text in lent_sentences(settings)] == [("how warm is it", "weather")]
    judged = ask("validate", "--model", str(save_honest(tmp_path / "made")), code=1)
    assert judged["findings"] and not judged["passed"], "one sentence is too few"
    sealed = SealedTexts(
        GoldenSets(backend.engine, backend.catalog, "intents"),
        "main",
        lambda sha256: read_sentence(backend.catalog, backend.services.blobs, sha256),
        backend.home / "keys",
    )
    assert [(text.text, text.label) for text in sealed.texts()] == [("how warm is it", "weather")]
    file = tmp_path / "golden.jsonl"
    file.write_text('{"text": "set a timer", "label": "timer"}\n')
    scores = IntentScores(tmp_path, ModelFolders(tmp_path / "models"), file, sealed)
    assert {"set a timer", "how warm is it"} <= set(scores.sentences())
    alone = IntentScores(tmp_path, ModelFolders(tmp_path / "models"), None, sealed)
    assert (alone.has_set, "how warm is it" in alone.sentences()) == (True, True)
    judy.withdraw_intents()
    assert sealed.texts() == lent_sentences(settings) == [], "a withdrawal takes it from the set too"
    assert "people lent" in ask("validate", "--model", str(tmp_path / "made"), code=2)["error"]["message"]
    assert ("set a timer" in scores.sentences(), alone.has_set) == (True, False)
    assert not any("warm" in sentence for sentence in scores.sentences())


def test_who_judges_classifiers_teaches_speech_and_no_classifier(backend: Backend, ask: Ask) -> None:  # noqa: F811
    judy = judge(backend)
    judy.put(a_clip())
    judy.put_intent("how warm is it", "weather")
    (found,) = ask("golden", "candidates", "--family", "intents")["candidates"]
    ask("golden", "accept", found["sample_id"], "--family", "intents")
    judy.put_intent("set a timer", "timer")
    assert GoldenSets(backend.engine, backend.catalog, "intents").set_aside() == 1
    assert GoldenSets(backend.engine, backend.catalog).set_aside() == 0
    assert states(backend) == {
        "correctionseven": ("waiting", None),
        "intentweather": ("held", GOLDEN),
        "intenttimer": ("held", GOLDEN_PERSON),
    }


def test_a_recording_is_no_candidate_for_classifiers(backend: Backend, ask: Ask) -> None:  # noqa: F811
    judy = judge(backend)
    judy.put(a_clip())
    (recording,) = ask("golden", "candidates")["candidates"]
    ask("golden", "accept", recording["sample_id"], "--family", "intents", code=2)
    assert states(backend) == {"correctionseven": ("waiting", None)}


def test_whose_sentences_were_learned_from_judges_no_classifier(backend: Backend, ask: Ask) -> None:  # noqa: F811
    judy = judge(backend)
    judy.put(a_clip())
    judy.put_intent("how warm is it", "weather")
    (row,) = backend.catalog.waiting("intents")
    backend.catalog.note_sealed("a" * 64, [row.sample_id])
    judy.put_intent("set a timer", "timer")
    assert ask("golden", "candidates", "--family", "intents")["candidates"] == []
    assert len(ask("golden", "candidates")["candidates"]) == 1, "their voice was learned from by nobody"
