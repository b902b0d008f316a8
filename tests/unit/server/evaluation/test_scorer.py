from pathlib import Path

import jiwer
import pytest
from tests.fakes.tiny_whisper import WORDS, save_tiny, say

from projectone.server.evaluation.golden import GoldenClip, golden_set
from projectone.server.evaluation.scorer import score_model, score_utterance
from projectone.speech.normalize import normalize_text
from projectone.speech.transcribe import GREEDY
from projectone.storage.files import digest_of

TEXTS = [" ".join(list(WORDS)[i % 4 : i % 4 + 1 + i % 3]) or "red" for i in range(12)]


@pytest.fixture
def clips() -> list[GoldenClip]:
    return [
        GoldenClip(f"c{i}", f"s{i % 4}", "even" if i % 2 == 0 else "odd", say(text, seed=i), text)
        for i, text in enumerate(TEXTS)
    ]


def test_the_rates_are_jiwers(clips: list[GoldenClip], tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "model")
    done: list[tuple[int, int]] = []
    report = score_model(
        folder, golden_set(clips), batch_size=5, on_progress=lambda *where: done.append(where), options=GREEDY
    )
    references = [normalize_text(clip.text) for clip in clips]
    hypotheses = [normalize_text(u.hypothesis) for u in report.utterances]
    assert report.wer.value == pytest.approx(jiwer.wer(references, hypotheses), abs=1e-12)
    assert report.cer.value == pytest.approx(jiwer.cer(references, hypotheses), abs=1e-12)
    assert report.wer.n_units == sum(len(text.split()) for text in references)
    assert report.wer.low <= report.wer.value <= report.wer.high
    assert report.model_sha256 == digest_of(folder / "model.safetensors")
    assert set(report.slices) == {"even", "odd"}
    assert report.n_clips == 12
    assert done[-1] == (12, 12)


@pytest.mark.parametrize(
    ("said", "errors"), [("Red, BLUE!", 0), ("red", 1), ("", 2), ("red blue green", 1), ("green black", 2)]
)
def test_an_utterance_is_scored_on_normalised_text(said: str, errors: int) -> None:
    clip = GoldenClip("c", "s", "x", say("red blue"), "red blue")
    assert score_utterance(clip, said).word_errors == errors
