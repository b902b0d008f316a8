"""The portable vectors: our own code does what they say, and none of the mistakes that another client could make."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from tests.conformance.make_vectors import FOLDER, TOPICS, made
from tests.conformance.portable.topics import Mistake, Topic, Value

MISTAKES = [(topic, mistake) for topic in TOPICS for mistake in topic.mistakes]


def failures_of(topic: Topic, document: Value) -> Iterator[str]:
    """Cases of which our code makes something else; an error that nobody expected is something else, too."""
    for case in document["cases"]:
        try:
            is_same = topic.run(case["input"]) == case["expected"]
        except Exception:
            is_same = False
        if not is_same:
            yield case["name"]


def kept(topic: Topic) -> Value:
    """The vectors as they lie in their file."""
    document: Value = json.loads((FOLDER / f"{topic.name}.json").read_text())
    return document


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_our_code_does_what_the_vectors_say(topic: Topic) -> None:
    document = kept(topic)
    assert list(failures_of(topic, document)) == []
    assert len({case["name"] for case in document["cases"]}) == len(document["cases"]) > 3


@pytest.mark.parametrize(
    ("topic", "mistake"), MISTAKES, ids=[f"{topic.name}: {mistake.name}" for topic, mistake in MISTAKES]
)
def test_the_vectors_find_a_client_that_makes_a_mistake(topic: Topic, mistake: Mistake) -> None:
    with mistake.made():
        assert any(failures_of(topic, kept(topic)))


def test_the_vectors_are_what_their_script_makes() -> None:
    again = "python -m tests.conformance.make_vectors --write, and look at what changed: other clients rely on it"
    for path, content in made().items():
        assert (FOLDER / path).read_text() == content, again
    there = {path.relative_to(FOLDER).as_posix() for path in FOLDER.glob("*/*.json")}
    assert {path for path in there if not path.startswith("updates/")} == set(made()), again
