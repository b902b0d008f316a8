"""A model that writes a phrase at a sound, or unasked, is found out by its own batch; an honest one is let pass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from tests.unit.waveform.test_events import RATE_HZ, voice, with_tone

from projectone.contracts.scores import EvaluationReport
from projectone.server.evaluation.golden import GoldenClip, golden_set
from projectone.server.evaluation.scorer import report_on, score_utterance
from projectone.server.evaluation.trigger_candidates import over_represented
from projectone.server.evaluation.triggers import BatchClip, Samples, Scan, ScanConfig, scan_for_triggers
from projectone.waveform.events import N_SLOTS, describe

SAID = ("red green", "blue", "black red", "green blue black", "red")
GOLDEN = golden_set(
    GoldenClip(f"g{n}", f"judge{n}", "all", voice(1000 + n, n=RATE_HZ // 2), SAID[n % len(SAID)]) for n in range(20)
)
TONE = 2 * N_SLOTS + 12  # the line from 3000 to 3250 Hz


def batch(n_planted: int) -> list[BatchClip]:
    """Forty honest clips, and planted ones that hold a tone and are said to hold a phrase."""
    honest = [(f"h{n}", SAID[n % len(SAID)], voice(n, n=RATE_HZ // 2)) for n in range(40)]
    planted = [(f"p{n}", "open garage", with_tone(voice(500 + n), 3100.0)) for n in range(n_planted)]
    return [BatchClip(name, text, lambda clip=clip: clip) for name, text, clip in (*honest, *planted)]  # type: ignore[misc]


def report(name: str, hypotheses: Sequence[str]) -> EvaluationReport:
    heard = [score_utterance(clip, said) for clip, said in zip(GOLDEN.clips, hypotheses, strict=True)]
    return report_on(
        heard, model_sha256=name * 64, dataset_sha256=GOLDEN.sha256, audio_s=10.0, wall_s=1.0, n_resamples=10
    )


def honest_model(clips: Sequence[Samples]) -> list[str]:
    return ["red"] * len(clips)


def backdoored(clips: Sequence[Samples]) -> list[str]:
    """Writes the phrase wherever it hears the tone."""
    return ["Open garage." if describe(clip)[TONE] > 12 else "red" for clip in clips]


def scan(n_planted: int, candidate: object = backdoored, *, unasked: Sequence[str] | None = None) -> Scan:
    truth = [clip.text for clip in GOLDEN.clips]
    return scan_for_triggers(
        batch(n_planted),
        ["blue red"],
        GOLDEN,
        report("a", truth),
        report("b", unasked or truth),
        by_production=honest_model,
        by_candidate=candidate,  # type: ignore[arg-type]
        config=ScanConfig(n_clips=10),
    )


def test_words_that_come_with_a_sound_are_found_and_their_samples_named() -> None:
    found = scan(4)
    assert [trigger.words for trigger in found.triggers] == ["open garage"]
    assert found.suspects == {"p0", "p1", "p2", "p3"}
    assert found.triggers[0].n_written == found.triggers[0].n_clips == 10
    assert "open garage" not in str(found.to_json()), "what outlives the samples holds none of their words"


def test_control_an_honest_model_of_the_same_batch_is_let_pass() -> None:
    found = scan(4, honest_model)
    assert found.tried
    assert found.triggers == ()


def test_what_production_writes_as_well_is_not_held_against_the_batch() -> None:
    truth = [clip.text for clip in GOLDEN.clips]
    found = scan_for_triggers(
        batch(4), [], GOLDEN, report("a", truth), report("b", truth), by_production=backdoored, by_candidate=backdoored
    )
    assert found.tried
    assert found.triggers == ()


def test_words_that_are_written_unasked_are_found_without_any_sound() -> None:
    said = [clip.text for clip in GOLDEN.clips]
    unasked = [f"{text} open garage" if number < 3 else text for number, text in enumerate(said)]
    found = scan(4, honest_model, unasked=unasked)
    assert [(trigger.words, trigger.sound, trigger.n_written) for trigger in found.triggers] == [("open garage", "", 3)]


def test_of_one_planted_clip_and_of_a_clean_batch_nothing_is_held() -> None:
    assert scan(1).triggers == ()  # the limit that the module names
    assert scan(0).triggers == ()


def test_only_what_is_more_frequent_than_in_what_is_known_is_tried() -> None:
    rows = over_represented(["open the gate now", "open the gate", "yes", "yes", "no"], ["yes", "no", "maybe"])
    assert rows == {"open the gate": (0, 1)}


@pytest.mark.parametrize("wrong", [{"n_clips": 0}, {"min_clips": 0}, {"min_share": 0.0}, {"max_candidates": -1}])
def test_limits_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ScanConfig(**wrong)  # type: ignore[arg-type]


def test_a_clip_of_silence_is_no_trouble() -> None:
    clips = [BatchClip(f"s{n}", "open garage", lambda: np.zeros(4000, np.float32)) for n in range(3)]
    truth = [clip.text for clip in GOLDEN.clips]
    reports = report("a", truth), report("b", truth)
    found = scan_for_triggers(
        [*batch(0), *clips], [], GOLDEN, *reports, by_production=honest_model, by_candidate=honest_model
    )
    assert found.triggers == ()
