"""`projectone answer`: a template without anything, a model here, a server only where that was agreed to."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.chat_server import ChatServer, serving

from projectone.device.cli import main

QUESTION = "please write to Anna Schmidt at 12 Rose Lane about the 450 euros"
PERSONAL = (b"Anna", b"Schmidt", b"Rose", b"450")
LONG_S = "60"


@pytest.fixture(scope="module")
def server() -> Iterator[ChatServer]:
    with serving() as server:
        yield server


@pytest.fixture(autouse=True)
def _device(tmp_path: Path, server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROJECTONE_HOME", str(tmp_path / "device"))
    monkeypatch.setenv("PROJECTONE_ANSWERS_DEADLINE_S", LONG_S)
    server.fault, server.said = "none", ""
    server.received.clear()


@pytest.fixture
def with_server(tmp_path: Path, server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    key = tmp_path / "key"
    key.write_text("key-1\n")
    key.chmod(0o600)
    monkeypatch.setenv("PROJECTONE_ANSWERS_URL", server.base_url)
    monkeypatch.setenv("PROJECTONE_ANSWERS_MODEL", "small-1")
    monkeypatch.setenv("PROJECTONE_ANSWERS_KEY", str(key))


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_without_any_model_a_template_answers(capsys: pytest.CaptureFixture[str]) -> None:
    found = run(capsys, "answer", "how warm is it")
    assert (found["by"], found["template"], found["failed"]) == ("template", "plain", [])
    assert main(["answer", "how warm is it"]) == 0
    assert "by template" in capsys.readouterr().out


@pytest.mark.usefixtures("with_server")
def test_nothing_leaves_before_it_is_agreed_to_and_nothing_personal_after_it(
    server: ChatServer, capsys: pytest.CaptureFixture[str]
) -> None:
    found = run(capsys, "answer", QUESTION)
    assert (found["by"], found["failed"][0]["reason"]) == ("template", "no-consent")
    assert server.received == []
    preview = run(capsys, "answer", QUESTION, "--preview")
    assert not preview["is_allowed"] and "Rose" not in preview["prompt"]
    assert server.received == []

    run(capsys, "consent", "grant", "hosted_answers", "--yes")
    found = run(capsys, "answer", QUESTION)
    assert (found["by"], found["text"], found["failed"]) == ("hosted", QUESTION, [])
    (request,) = server.received
    said = request.partition(b"\r\n\r\n")[2]  # the port in the head may be any number
    assert [part for part in PERSONAL if part in said] == []
    body = json.loads(said)
    (sent,) = run(capsys, "answers", "sent")["sent"]
    assert (sent["prompt"], sent["system"]) == (body["messages"][1]["content"], body["messages"][0]["content"])
    assert sent["prompt"] == preview["prompt"]  # what was shown is what left


@pytest.mark.usefixtures("with_server")
def test_a_withdrawal_stops_it_and_empties_the_list(
    tmp_path: Path, server: ChatServer, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "consent", "grant", "hosted_answers", "--yes")
    run(capsys, "answer", "what helps against hiccups")
    assert run(capsys, "answers")["n_sent"] == 1
    assert main(["consent", "withdraw", "hosted_answers"]) == 0
    said = capsys.readouterr().out
    assert "only whoever runs it can delete" in said and "counted" not in said
    assert run(capsys, "answers") | {"templates": ""} == {
        "local": None,
        "host": server.base_url.split("/")[2],
        "model": "small-1",
        "templates": "",
        "is_allowed": False,
        "n_sent": 0,
        "n_kept": 0,
    }
    server.received.clear()
    assert run(capsys, "answer", "what helps against hiccups")["by"] == "template"
    assert server.received == []
    kept = b"".join(path.read_bytes() for path in (tmp_path / "device").glob("device.sqlite*"))
    assert b"hiccups" not in kept


@pytest.mark.usefixtures("with_server")
def test_a_question_that_says_the_same_is_not_sent_again(
    server: ChatServer, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "consent", "grant", "hosted_answers", "--yes")
    questions = ("what's good for a cold", "What is good for a cold?", "what is not good for a cold")
    cached = [run(capsys, "answer", question)["cached"] for question in questions]
    assert (cached, len(server.received)) == (["no", "near", "no"], 2)
    assert run(capsys, "answers")["n_kept"] == 2
    run(capsys, "answers", "forget")
    assert run(capsys, "answer", questions[0])["cached"] == "no"


@pytest.mark.usefixtures("with_server")
def test_costs_are_counted_and_a_budget_ends_them(
    server: ChatServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROJECTONE_ANSWERS_PRICES", "100,200")
    monkeypatch.setenv("PROJECTONE_ANSWERS_BUDGET", "0.04")
    run(capsys, "consent", "grant", "hosted_answers", "--yes")
    assert run(capsys, "answer", "what is good for a cold")["cost"]["micros"] == 11 * 100 + 5 * 200
    server.fault = "cut"  # nobody knows whether it is billed, so all that it could cost counts
    run(capsys, "answer", "what is good for a cough")
    found = run(capsys, "answer", "what is good for a fever")
    assert found["failed"][0]["reason"] == "over-budget"
    costs = run(capsys, "answers", "costs")
    assert {(line["by"], line["outcome"]): line["n"] for line in costs["lines"]} == {
        ("hosted", "answered"): 1,
        ("hosted", "cut"): 1,
        ("hosted", "over-budget"): 1,
        ("template", "answered"): 2,
    }
    assert sum(costs["times"]["hosted"]["counts"]) == 1
    assert main(["answers", "costs"]) == 0
    assert "over-budget" in capsys.readouterr().out


@pytest.mark.usefixtures("with_server")
def test_a_server_that_fails_is_named_and_a_template_answers(
    server: ChatServer, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "consent", "grant", "hosted_answers", "--yes")
    server.fault = "429"
    found = run(capsys, "answer", "how warm is it outside")
    assert (found["by"], found["failed"][0]["by"], found["failed"][0]["reason"]) == (
        "template",
        "hosted",
        "rate-limited",
    )


@pytest.mark.usefixtures("with_server")
def test_a_stream_ends_with_the_whole_answer(server: ChatServer, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "consent", "grant", "hosted_answers", "--yes")
    server.fault = "cut"
    capsys.readouterr()
    assert main(["answer", "how warm is it outside", "--stream"]) == 0
    said = capsys.readouterr().out
    assert "how warm" not in said  # half of the echo had come
    assert "not by hosted: cut" in said


def test_on_a_terminal_what_was_shown_is_wiped_before_another_answer_begins(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from projectone.device.cli.answers import _Screen

    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("shutil.get_terminal_size", lambda fallback: os.terminal_size((10, 24)))
    screen = _Screen()
    screen.show("a" * 25)  # three rows of ten
    screen.retract()
    screen.show("whole\x1b[2J")
    screen.end("whole")
    assert capsys.readouterr().out == "a" * 25 + "\r\x1b[2A\x1b[Jwhole\\x1b[2J\n"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PROJECTONE_ANSWERS_DEADLINE_S", "soon"),
        ("PROJECTONE_ANSWERS_URL", "http://example.org/v1"),
        ("PROJECTONE_ANSWERS_LOCAL_MODEL", "/nowhere"),
        ("PROJECTONE_ANSWERS_KEY", "/nowhere"),
        ("PROJECTONE_ANSWERS_MODEL", ""),
        ("PROJECTONE_ANSWERS_PRICES", "cheap"),
        ("PROJECTONE_ANSWERS_BUDGET", "-1"),
    ],
)
@pytest.mark.usefixtures("with_server")
def test_a_wrong_setting_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert main(["answer", "how warm is it"]) == 2
    assert "expected" in capsys.readouterr().err


@pytest.mark.usefixtures("with_server")
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "key").chmod(0o644)
    assert main(["answer", "how warm is it"]) == 2
    assert "chmod 600" in capsys.readouterr().err


def test_what_makes_no_sense_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (("answer", " "), ("answer", "x", "--temperature", "9"), ("answer", "x", "--stream", "--json")):
        assert main(list(words)) == 2
