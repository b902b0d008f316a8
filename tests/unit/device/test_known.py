"""What this device knows has the last word: a policy before a memory, and an earlier question never."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from projectone.assist.first_turn import Choice
from projectone.assist.memory import About, Recalled, Remembered
from projectone.assist.policies import PolicyMatch
from projectone.device.answers.known import Knowledge, Known
from projectone.device.cli import main
from projectone.errors import ArtifactError, GuardError

SAID_AT = datetime(2026, 1, 5, 12, tzinfo=UTC)


def remembered(text: str, kind: Any = "said", names: tuple[str, ...] = ()) -> Remembered:
    return Remembered(UUID(int=1), text, About(kind, SAID_AT, names), None)


def known(choice: Choice | None = None, recalled: tuple[Recalled, ...] = ()) -> Known:
    return Known(
        first=lambda text: choice,
        recall=lambda text, k: recalled,
        newest=lambda n: [remembered("x", names=("Ida",))],
        terms=lambda: ("Ramipril",),
    )


def choice(policy: PolicyMatch | None) -> Choice:
    return Choice("r1", "We open at nine.", "because", None, policy, (), 1.0, "example")


POLICY = PolicyMatch("hours", 1, 0.1, 0.4)


def test_a_policy_comes_before_a_memory_and_must_be_kept_to() -> None:
    near = (Recalled(remembered("you open late"), 0.1),)
    assert known(choice(POLICY), near).bearing_on("when") == Knowledge("policy", facts={"policy": "We open at nine."})


def test_a_memory_that_is_near_may_be_said_and_a_question_is_no_answer() -> None:
    question = Recalled(remembered("when is anas birthday", "asked"), 0.0)
    note = Recalled(remembered("anas birthday is in may"), 0.4)
    far = Recalled(remembered("the bus is late"), 0.9)
    found = known(choice(None), (question, note)).bearing_on("when is anas birthday")
    assert found == Knowledge("memory", hints={"said": "anas birthday is in may", "day": "Monday, 05 January 2026"})
    assert known(None, (question, far)).bearing_on("when is anas birthday") == Knowledge()


def test_a_damaged_set_of_policies_stops_no_answer() -> None:
    def broken(text: str) -> Choice | None:
        raise ArtifactError("damaged")

    found = Known(first=broken, recall=lambda text, k: [], newest=lambda n: [], terms=tuple).bearing_on("x")
    assert found == Knowledge()


def test_a_safety_classifier_that_cannot_be_read_is_no_damage_to_pass_over() -> None:
    def unread(text: str) -> Choice | None:
        raise GuardError("damaged")

    with pytest.raises(GuardError):
        Known(first=unread, recall=lambda text, k: [], newest=lambda n: [], terms=tuple).bearing_on("x")


def test_whom_one_spoke_about_is_hidden_like_ones_own_words() -> None:
    assert known().names() == ("Ramipril", "Ida")


def test_a_device_answers_with_what_it_was_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROJECTONE_HOME", str(tmp_path / "device"))
    assert main(["memory", "on"]) == main(["memory", "add", "the birthday of Ana is in May"]) == 0
    capsys.readouterr()
    assert main(["answer", "the birthday of Ana is when", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["template"] == "memory" and "the birthday of Ana is in May" in found["text"]
