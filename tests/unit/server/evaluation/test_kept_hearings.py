"""An evaluation that is ended goes on where it was, and comes to the same numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.fakes.tiny_whisper import WORDS, save_tiny, say

import projectone.server.evaluation.kept_hearings as kept
from projectone.contracts.scores import EvaluationReport
from projectone.server.evaluation.golden import GoldenClip, GoldenSet, golden_set
from projectone.server.evaluation.kept_hearings import Hear, KeptHearings, hear_all
from projectone.server.evaluation.scorer import score_model
from projectone.speech.transcribe import GREEDY

TEXTS = [" ".join(list(WORDS)[i % 4 : i % 4 + 1 + i % 3]) or "red" for i in range(14)]


@pytest.fixture(scope="module")
def golden() -> GoldenSet:
    clips = [GoldenClip(f"c{i}", f"s{i % 4}", "x", say(text, seed=i), text) for i, text in enumerate(TEXTS)]
    return golden_set(clips)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("kept") / "model")


def score(model: Path, golden: GoldenSet, hear: Hear, end_after: int = 0) -> EvaluationReport:
    def end(n_done: int, n_all: int) -> None:
        if end_after and n_done >= end_after:
            raise KeyboardInterrupt

    return score_model(model, golden, batch_size=1, options=GREEDY, hear=hear, on_progress=end, clock=lambda: 0.0)


def test_an_evaluation_ended_again_and_again_gives_the_report_of_one_that_was_not(
    model: Path, golden: GoldenSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = score(model, golden, hear_all)
    for end_after in (3, 5, 9, 13):
        with pytest.raises(KeyboardInterrupt):
            score(model, golden, KeptHearings(tmp_path / "heard"), end_after)
    (own,) = (tmp_path / "heard").iterdir()
    assert sorted(path.name for path in own.iterdir()) == ["page-0000.json", "page-0001.json", "page-0002.json"]
    heard: list[int] = []
    monkeypatch.setattr(
        kept, "hear_all", lambda *args, **options: heard.append(len(args[1])) or hear_all(*args, **options)
    )
    assert score(model, golden, KeptHearings(tmp_path / "heard")) == whole
    assert heard == [2]  # nothing was heard twice


def test_a_damaged_page_is_heard_again_and_another_model_has_pages_of_its_own(
    model: Path, golden: GoldenSet, tmp_path: Path
) -> None:
    whole = score(model, golden, KeptHearings(tmp_path / "heard"))
    (own,) = (tmp_path / "heard").iterdir()
    for name, content in (("page-0000.json", b"["), ("page-0001.json", b"[]"), ("page-0002.json", b'[["red"]]')):
        (own / name).write_bytes(content)
    assert score(model, golden, KeptHearings(tmp_path / "heard")) == whole
    other = save_tiny(tmp_path / "other", seed=1)
    assert score(other, golden, KeptHearings(tmp_path / "heard")) == score(other, golden, hear_all)
    assert len(list((tmp_path / "heard").iterdir())) == 2
