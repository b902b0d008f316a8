from dataclasses import replace
from pathlib import Path

import jiwer
import pytest
from tests.fakes.tiny_whisper import WORDS, save_tiny, say, tiny_checkpoint

from projectone.server.evaluation.golden import GoldenClip, golden_set
from projectone.server.evaluation.kept_hearings import Said
from projectone.server.evaluation.scorer import SCORING, score_model, score_utterance
from projectone.speech.checkpoint import save_checkpoint
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


@pytest.mark.parametrize(
    ("language", "said", "heard"),
    [("de", "wir treffen uns um acht", "wir treffen uns acht"), ("de", "schön", "schon"), ("hi", "कि", "की")],
)
def test_a_word_of_another_language_is_no_english_hesitation_and_its_marks_count(
    language: str, said: str, heard: str
) -> None:
    clip = GoldenClip("c", "s", "x", say("red"), said)
    assert score_utterance(clip, heard, language=language).word_errors == 1
    assert score_utterance(clip, heard).word_errors == 0


def test_a_model_is_scored_in_the_language_that_it_transcribes(tmp_path: Path) -> None:
    save_checkpoint(tiny_checkpoint(languages=("en", "de")), tmp_path / "model")
    golden = golden_set([GoldenClip("c", "s", "x", say("red"), "um acht")])

    def hear(*_: object, **__: object) -> list[Said]:
        return [Said("acht", 1)]

    words = {
        code: score_model(tmp_path / "model", golden, options=replace(SCORING, language=code), hear=hear).utterances[0]
        for code in ("de", "en")
    }
    assert (words["de"].word_errors, words["de"].n_words) == (1, 2)
    assert (words["en"].word_errors, words["en"].n_words) == (0, 1)
