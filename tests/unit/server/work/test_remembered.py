"""What was seen in clips is remembered whole, in little room, and no longer than it may be."""

from __future__ import annotations

import dataclasses
import tracemalloc

from projectone.server.corpus.validation import Findings
from projectone.server.pipeline.ports import Look
from projectone.server.work.look import Question
from projectone.server.work.remembered import Remembered

CLIP, OTHER = "ab" * 32, "cd" * 32
MEASURES = {f"figure_{i}": 1 / (i + 3) for i in range(16)}


def test_an_answer_comes_back_as_it_was_given() -> None:
    remembered = Remembered(10)
    answers = {
        Question(CLIP, "seven"): Look(Findings(None, ("personal-card",), MEASURES), OTHER),
        Question(CLIP, "seven", heard="eleven"): Look(Findings("silence")),
        Question(CLIP, "seven", holds_personal=False): Look(Findings("text-empty")),
    }
    for question, answer in answers.items():
        remembered.put(question, answer)
    assert {question: remembered.get(question) for question in answers} == answers
    assert remembered.get(Question(OTHER, "seven")) is None


def test_every_part_of_a_question_counts() -> None:
    remembered = Remembered(10)
    asked = Question(CLIP, "seven")
    remembered.put(asked, Look(Findings()))
    other = {"clip_sha256": OTHER, "text": "six", "language": "de", "heard": "", "holds_personal": False}
    other |= {"wants_fingerprint": True, "holds_speakers": True}
    assert set(other) == {field.name for field in dataclasses.fields(Question)}
    for name, value in other.items():
        assert remembered.get(dataclasses.replace(asked, **{name: value})) is None, name


def test_clips_that_nobody_names_any_more_are_forgotten() -> None:
    remembered = Remembered(10)
    for clip in (CLIP, OTHER):
        remembered.put(Question(clip, "seven"), Look(Findings()))
    remembered.forget_others({OTHER})
    assert remembered.get(Question(CLIP, "seven")) is None
    assert remembered.get(Question(OTHER, "seven")) == Look(Findings())


def test_an_answer_takes_less_than_a_kilobyte() -> None:
    remembered = Remembered(2_000)
    tracemalloc.start()
    for i in range(1_000):
        sha256 = f"{i:064x}"
        measures = {name: value + i for name, value in MEASURES.items()}
        remembered.put(Question(sha256, "a sentence of ten words or so"), Look(Findings(None, (), measures), sha256))
    n_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert n_bytes / 1_000 < 800
