"""What stands before the first act, made from a folder that somebody brings."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

from tests.fakes.tiny_whisper import say

from projectone.demo.plan import Size
from projectone.demo.screen import Screen
from projectone.demo.stage import DemoOptions, Stage, gather
from projectone.waveform.wav import encode_wav

SIZE = Size(users=3, to_correct=4, kept_back=2, golden=6, poisoned=4)


PEOPLE = ("ann", "ben", "cleo", "dan", "eve")


def gathered(folder: Path, people: Sequence[str], n_clips: int) -> tuple[Stage, str]:
    corpus, out = folder / "corpus", folder / "out"
    for place in (corpus, out):
        place.mkdir()
    rows = []
    for number, who in enumerate(people):
        for clip in range(n_clips):
            audio = f"{who}-{clip}.wav"
            (corpus / audio).write_bytes(encode_wav(say("red green", seed=100 * number + clip)))
            rows.append({"audio": audio, "text": "red green", "speaker": who})
    (corpus / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    shown = io.StringIO()
    return gather(DemoOptions(corpus=corpus, out=out, environment={}, size=SIZE), Screen(shown)), shown.getvalue()


def test_a_large_corpus_is_told_how_much_of_it_is_taken(tmp_path: Path) -> None:
    stage, shown = gathered(tmp_path, PEOPLE, 20)
    n_own = sum(len(person.to_correct) + len(person.kept_back) for person in stage.materials.people)
    assert f"takes 3 of the corpus's 5 speakers as users, and of its 100 recordings {n_own} of theirs" in stage.taken
    assert "of the corpus's 5 speakers" in " ".join(shown.split())
    assert all(person.name in shown for person in stage.materials.people)


def test_a_corpus_that_is_taken_whole_is_not_excused(tmp_path: Path) -> None:
    stage, shown = gathered(tmp_path, PEOPLE[:2], 6)
    assert "speakers as users" not in stage.taken + shown
