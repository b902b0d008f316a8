"""Weights are judged by words of the language that they are trained in."""

from types import SimpleNamespace

import pytest
from mlx.utils import tree_flatten
from tests.fakes.tiny_whisper import say, tiny_checkpoint

from projectone.server.training import selection
from projectone.server.training.config import TrainingConfig
from projectone.server.training.examples import ExampleBuilder, TrainingClip
from projectone.server.training.selection import DevJudge
from projectone.server.training.state import DevScore


def judged(language: str, said: str, written: str, monkeypatch: pytest.MonkeyPatch) -> DevScore:
    """The score of weights that write this for one clip."""
    checkpoint = tiny_checkpoint(languages=("en", "de", "hi"))
    builder = ExampleBuilder(checkpoint, language=language)
    examples, _ = builder.build([TrainingClip("c", say("red"), said, "s")])
    monkeypatch.setattr(selection, "decode", lambda *_: [SimpleNamespace(text=written)])
    judge = DevJudge(builder, examples, examples, TrainingConfig(language=language))
    return judge(dict(tree_flatten(checkpoint.model.parameters())))


@pytest.mark.parametrize(
    ("language", "said", "written"), [("de", "um acht", "acht"), ("de", "schön", "schon"), ("hi", "कि", "की")]
)
def test_weights_pay_for_words_that_english_would_not_count(
    language: str, said: str, written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    score = judged(language, said, written, monkeypatch)
    assert (score.errors, score.general_errors) == ((1,), (1,))
    assert score.n_words == len(said.split())


def test_english_weights_do_not_pay_for_hesitations(monkeypatch: pytest.MonkeyPatch) -> None:
    score = judged("en", "um at eight", "at eight", monkeypatch)
    assert (score.errors, score.n_words) == ((0,), 2)
