"""Corrected intents at the operator's terminal: labels, dossiers, reviews, scrubs, and what a withdrawal leaves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.caller import Caller, a_clip
from tests.unit.server.api.conftest import Backend, backend, fresh_home  # noqa: F401 - fixtures

from projectone.contracts.assist import NONE_OF_THESE
from projectone.server.audit import AuditLog
from projectone.server.cli import main
from projectone.server.corpus.review import Reviews
from projectone.server.corpus.validation import Findings

SENTENCE = "how warm will it be in Tromsø"

Ask = Callable[..., Any]


@pytest.fixture
def ask(backend: Backend, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:  # noqa: F811
    """`projectone-server corpus ...` with `--json`; with `is_text` what a person reads."""
    monkeypatch.setenv("PROJECTONE_SERVER_HOME", str(backend.home))

    def run(*arguments: str, code: int = 0, is_text: bool = False) -> Any:
        capsys.readouterr()
        assert main(["corpus", *arguments, *([] if is_text else ["--json"])]) == code
        shown = capsys.readouterr()
        return (shown.out + shown.err) if is_text else json.loads(shown.out)

    return run


@pytest.fixture
def ada(backend: Backend, ask: Ask) -> Caller:  # noqa: F811
    ask("labels", "--add", "weather", "--add", "timer")
    caller = backend.caller()
    caller.grant_intents()
    return caller


def only_id(ask: Ask) -> str:
    (sample,) = ask("list", "--kind", "intent")["samples"]
    return str(sample["sample_id"])


def acts(backend: Backend) -> list[str]:  # noqa: F811
    return [entry.act for entry in AuditLog(backend.engine).newest(50)]


def test_labels_are_added_removed_and_counted_on_the_record(
    backend: Backend,  # noqa: F811
    ask: Ask,
    ada: Caller,
    tmp_path: Path,
) -> None:
    ada.put_intent(SENTENCE)
    ada.put_intent("what is love", None)
    (tmp_path / "classifier.json").write_text(json.dumps({"labels": ["music", "weather"]}))
    (tmp_path / "plain.txt").write_text("alarm\n\nmusic\n")
    assert ask("labels", "--from", str(tmp_path / "classifier.json"))["added"] == 1
    shown = ask("labels", "--from", str(tmp_path / "plain.txt"), "--remove", "timer")
    assert (shown["added"], shown["removed"]) == (1, 1)
    assert [item["label"] for item in shown["labels"]] == ["alarm", "music", "weather"]
    assert shown["labels"][2] == {"label": "weather", "n_samples": 1, "n_people": 1}
    assert shown["none_of_these"] == {"n_samples": 1, "n_people": 1}
    assert acts(backend).count("labels-changed") == 3
    assert ask("labels")["added"] == 0
    assert acts(backend).count("labels-changed") == 3


@pytest.mark.parametrize("content", [b"", b"{}", b'{"labels": [1]}', b"\xff\xfe", b"(none of these)\n", b"a\x07\n"])
def test_a_file_without_labels_is_refused_and_changes_nothing(ask: Ask, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "labels").write_bytes(content)
    ask("labels", "--from", str(tmp_path / "labels"), "--add", "good", code=2, is_text=True)
    assert ask("labels")["labels"] == []


@pytest.mark.parametrize("known", [True, False])
def test_a_label_that_is_added_and_removed_at_once_is_refused_and_nothing_changes(
    ask: Ask, tmp_path: Path, known: bool
) -> None:
    if known:
        ask("labels", "--add", "weather")
    (tmp_path / "labels").write_text("music\nweather\n")
    for adding in (("--add", "weather", "--add", "timer"), ("--from", str(tmp_path / "labels"))):
        told = ask("labels", *adding, "--remove", "weather", code=2, is_text=True)
        assert "'weather': expected it to be added or removed, not both" in told
    assert [item["label"] for item in ask("labels")["labels"]] == (["weather"] if known else [])


def test_a_dossier_shows_sentence_meaning_and_guess(ask: Ask, ada: Caller) -> None:
    ada.put_intent(SENTENCE)
    sample_id = only_id(ask)
    facts = ask("show", sample_id)
    assert (facts["sentence"], facts["text"], facts["heard"]) == (SENTENCE, "weather", "timer")
    assert (facts["reason_today"], facts["held_today"], facts["measured"]["n_words"]) == (None, [], 7.0)
    text = ask("show", sample_id, is_text=True)
    assert f"sentence  {SENTENCE}" in text and "means     weather" in text and "guessed   timer" in text
    ask("labels", "--remove", "weather")
    assert ask("show", sample_id)["reason_today"] == "label-unknown"


def test_lists_tell_kinds_apart_and_show_no_sentence(ask: Ask, ada: Caller) -> None:
    ada.put(a_clip())
    ada.put_intent(SENTENCE, None)
    assert [item["kind"] for item in ask("list", "--kind", "correction")["samples"]] == ["correction"]
    shown = ask("list", is_text=True)
    assert f"intent   waiting                   {NONE_OF_THESE}" in shown and "Tromsø" not in shown


def test_a_sentence_is_opened_on_the_record(
    backend: Backend,  # noqa: F811
    ask: Ask,
    ada: Caller,
    tmp_path: Path,
) -> None:
    ada.put_intent(SENTENCE)
    out = tmp_path / "sentence.txt"
    ask("clip", only_id(ask), "--out", str(out))
    assert out.read_text() == SENTENCE and out.stat().st_mode & 0o077 == 0
    assert "clip-opened" in acts(backend)


def test_what_is_held_shows_its_sentence_to_whoever_decides(
    backend: Backend,  # noqa: F811
    ask: Ask,
    ada: Caller,
) -> None:
    ada.put_intent(SENTENCE)
    sample_id = only_id(ask)
    found = {sample_id: Findings(None, ("label-conflict",))}
    assert Reviews(backend.engine, backend.catalog.vault).note(found, run_id="run-1") == 1
    (held,) = ask("review")["samples"]
    assert (held["sentence"], held["text"], held["kind"]) == (SENTENCE, "weather", "intent")
    assert f"weather  <-  {SENTENCE}" in ask("review", is_text=True)
    assert ask("review", "accept", sample_id, "--why", "it is about the weather")["samples"] == [sample_id]
    assert backend.catalog.waiting("intents")[0].reason == "accepted"


def test_a_scrub_reads_sentences_and_finds_damage(backend: Backend, ask: Ask, ada: Caller) -> None:  # noqa: F811
    ada.put_intent(SENTENCE)
    assert ask("scrub") == {"n_blobs": 1, "damaged": [], "missing": [], "changed": []}
    (blob,) = [path for path in (backend.home / "blobs").rglob("*") if path.is_file()]
    blob.chmod(0o600)
    sealed = blob.read_bytes()
    blob.write_bytes(sealed[:-1] + bytes([sealed[-1] ^ 1]))
    assert len(ask("scrub", code=1)["damaged"]) == 1
    assert ask("show", only_id(ask))["clip"]["state"] == "damaged"


def test_a_withdrawal_leaves_no_word_at_the_terminal(ask: Ask, ada: Caller) -> None:
    ada.put_intent(SENTENCE)
    sample_id = only_id(ask)
    ada.withdraw_intents()
    facts = ask("show", sample_id)
    assert (facts["state"], facts["sentence"], facts["text"], facts["heard"]) == ("erased", None, None, None)
    assert [item["purpose"] for item in ask("retention")["purposes"] if item["kept"]] == []
    assert SENTENCE not in ask("show", sample_id, is_text=True)
