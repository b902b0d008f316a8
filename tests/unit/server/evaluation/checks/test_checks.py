"""Each check on reports that differ in nothing else: its objection, its code, and what it lets through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from tests.unit.server.evaluation.test_gate import FAST, both, report, utterance

from projectone.contracts.evidence import ClipTiming, Defect, Footprint, Membership, NoiseMasking, ProbeScore, Recall
from projectone.contracts.scores import CheckResult, EvaluationReport, Verdict
from projectone.server.evaluation.checks.cost import Size
from projectone.server.evaluation.gate import judge
from projectone.server.evaluation.probes import probes

BEFORE, AFTER = both(100, lambda i: (4, 2))


def judged(production: dict[str, Any], candidate: dict[str, Any]) -> Verdict:
    """A clear gain, with this beside it."""
    return judge(BEFORE.model_copy(update=production), AFTER.model_copy(update=candidate), FAST)


def of(verdict: Verdict, check: str) -> list[CheckResult]:
    return [result for result in verdict.checks if result.check == check]


def written_on(*names: str) -> dict[str, Any]:
    return {"probes": tuple(ProbeScore(name=one.name, hypothesis="you" * (one.name in names)) for one in probes())}


NOISY = tuple(one.name for one in probes() if "noise" in one.name or "tone" in one.name)


@pytest.mark.parametrize(
    ("before", "after", "codes"),
    [
        ((), (), ()),
        (("chord",), ("melody", "hum-50-hz"), ()),
        ((), ("silence",), ("silence-hallucination",)),
        (("silence",), ("silence", "faint-dither"), ()),
        (("chord",), ("chord", "fan", "melody", "hum-50-hz", "drums"), ("silence-hallucination",)),
        # Production writes on many of them: four more are chance, five are not, and some for some others never are.
        (NOISY, (*NOISY, "fan", "melody", "chord", "drums"), ()),
        (NOISY, (*NOISY, "fan", "melody", "chord", "drums", "typing"), ("silence-hallucination",)),
        (NOISY, (*NOISY[4:], "fan", "melody", "chord", "drums", "audible-dither"), ()),
    ],
)
def test_words_on_made_sounds(before: Sequence[str], after: Sequence[str], codes: tuple[str, ...]) -> None:
    verdict = judged(written_on(*before), written_on(*after))
    assert verdict.codes == codes
    assert of(verdict, "silence")[1].reason.startswith("it writes words on silence") == (
        "silence" in {*after} - {*before}
    )


def timed(*segments: tuple[float, float | None], shift_s: float = 0.0, n: int = 10) -> dict[str, Any]:
    moved = tuple((start + shift_s, None if end is None else end + shift_s) for start, end in segments)
    return {"timings": tuple(ClipTiming(clip_id=str(i), duration_s=3.0, segments=moved) for i in range(n))}


@pytest.mark.parametrize(
    ("after", "codes"),
    [
        (timed((0.0, 1.4), (1.4, 2.8)), ()),
        (timed((0.0, 1.4), (1.4, 2.8), shift_s=0.2), ()),
        (timed((0.0, 1.4), (1.4, None)), ("timestamps-broken",)),
        (timed((0.0, 1.4), (1.2, 2.8)), ("timestamps-broken",)),
        (timed((0.0, 1.4), (1.4, 3.8)), ("timestamps-broken",)),
        (timed((1.4, 1.4)), ("timestamps-broken",)),
        (timed(), ("timestamps-broken",)),
        (timed((0.0, 1.4), (1.4, 2.8), shift_s=0.5), ("timestamps-moved",)),
        (timed((0.0, None), n=5), ()),
    ],
)
def test_timestamps(after: dict[str, Any], codes: tuple[str, ...]) -> None:
    verdict = judged(timed((0.0, 1.4), (1.4, 2.8)), after)
    assert verdict.codes == codes
    assert verdict.decision == {"timestamps-moved": "hold", "timestamps-broken": "reject"}.get(
        "".join(codes), "promote"
    )


def styled(made: EvaluationReport, n_more: int) -> EvaluationReport:
    """So many words of each clip wrong in nothing but their capitals."""
    rows = [
        one.model_copy(update={"raw_word_errors": one.word_errors + n_more, "n_raw_words": 10})
        for one in made.utterances
    ]
    return report(rows)


def test_lost_capitals_are_seen_beside_a_better_error_rate() -> None:
    verdict = judge(styled(BEFORE, 0), styled(AFTER, 1), FAST)
    assert (verdict.decision, verdict.codes) == ("reject", ("style-drift",))
    assert "0.0 % -> 10.0 %" in verdict.reasons[0]
    assert judge(styled(BEFORE, 1), styled(AFTER, 0), FAST).decision == "promote"


@pytest.mark.parametrize(
    ("after", "code"),
    [
        (
            {"defects": (Defect(code="not-finite", reason="tensor 'x' holds numbers that are not finite"),)},
            "not-finite",
        ),
        ({"vocabulary_sha256": "2" * 64}, "wrong-vocabulary"),
        ({"footprint": Footprint(size_bytes=100, operations=1300.0, n_tokens=1)}, "slower"),
        ({"footprint": Footprint(size_bytes=120, operations=1000.0, n_tokens=1)}, "too-large"),
        ({"recall": Recall(n_texts=20, n_told=6, n_told_by_production=0, auc=0.9, auc_of_production=0.5)}, "memorised"),
    ],
)
def test_one_fault_has_one_code(after: dict[str, Any], code: str) -> None:
    sound = {
        "vocabulary_sha256": "1" * 64,
        "footprint": Footprint(size_bytes=100, operations=1000.0, n_tokens=1),
        "recall": Recall(n_texts=20, n_told=6, n_told_by_production=5, auc=0.6, auc_of_production=0.5),
    }
    assert judged(sound, sound).decision == "promote"
    verdict = judged(sound, sound | after)
    assert (verdict.decision, verdict.codes) == ("reject", (code,))


@pytest.mark.parametrize(
    ("areas", "decision"), [((1.0, 0.5), "hold"), ((1.0, 0.9), "promote"), ((0.9, 0.2), "promote")]
)
def test_lessons_known_by_heart_wait_for_a_person(areas: tuple[float, float], decision: str) -> None:
    told = Recall(n_texts=20, n_told=0, n_told_by_production=0, auc=areas[0], auc_of_production=areas[1])
    assert judged({}, {"recall": told}).decision == decision


def of_recordings(
    *, excess_low: float = 0.0, auc_low: float = 0.5, n: int = 20, is_asked: bool = True
) -> dict[str, Recall]:
    """What recordings told, beside texts that told nothing."""
    masking = NoiseMasking(
        n_lessons=n,
        n_guessed=6,
        n_guessed_by_production=1,
        n_others=n,
        n_guessed_of_others=2,
        n_guessed_of_others_by_production=1,
        excess=max(0.2, excess_low),
        excess_low=excess_low,
        excess_high=1.0,
    )
    membership = Membership(n_lessons=n, n_others=n, auc=max(0.6, auc_low), auc_low=auc_low, auc_high=1.0)
    told = Recall(n_texts=20, n_told=0, n_told_by_production=0, auc=0.5, auc_of_production=0.5)
    asked = {"masking": masking, "membership": membership}
    return {"recall": told.model_copy(update=asked) if is_asked else told}


@pytest.mark.parametrize(
    ("found", "decision", "codes"),
    [
        (of_recordings(), "promote", ()),
        (of_recordings(excess_low=0.1, auc_low=0.79), "promote", ()),
        (of_recordings(excess_low=0.11), "reject", ("covered-words-guessed",)),
        (of_recordings(auc_low=0.8), "hold", ("recordings-known",)),
        (of_recordings(excess_low=0.5, auc_low=0.9), "reject", ("covered-words-guessed", "recordings-known")),
        (of_recordings(excess_low=0.5, auc_low=0.9, n=15), "promote", ()),
        (of_recordings(excess_low=0.5, auc_low=0.9, is_asked=False), "promote", ()),
    ],
)
def test_what_a_model_knows_of_its_recordings(found: dict[str, Recall], decision: str, codes: tuple[str, ...]) -> None:
    verdict = judged({}, found)
    assert (verdict.decision, verdict.codes) == (decision, codes)
    without = FAST.without("covered-words", "known-recordings")
    assert judge(BEFORE, AFTER.model_copy(update=found), without).decision == "promote"


def test_both_figures_stand_in_the_verdict_with_their_intervals() -> None:
    verdict = judged({}, of_recordings())
    (covered,), (known,) = (of(verdict, name) for name in ("covered-words", "known-recordings"))
    assert "6 of 20 lessons (production 1)" in covered.reason and "(95 % interval 0.0 % to 100.0 %)" in covered.reason
    assert "an area of 0.60 (95 % interval 0.50 to 1.00)" in known.reason


def test_a_budget_of_bytes_holds_whatever_production_takes() -> None:
    heavy = {"footprint": Footprint(size_bytes=100, operations=1.0, n_tokens=1)}
    strict = FAST.with_check(Size(max_bytes=99))
    assert judge(BEFORE.model_copy(update=heavy), AFTER.model_copy(update=heavy), strict).codes == ("too-large",)


def test_packing_may_not_cost_what_training_gave() -> None:
    """Packed it is still better than production, and worse than itself."""
    packed, unpacked = both(100, lambda i: (2, 1))
    verdict = judge(BEFORE, packed, FAST, unpacked=unpacked)
    assert (verdict.decision, verdict.codes) == ("reject", ("quantization-damage",))
    assert judge(BEFORE, packed, FAST, unpacked=packed).decision == "promote"


def test_what_a_report_of_before_does_not_tell_is_not_judged() -> None:
    verdict = judge(BEFORE, AFTER, FAST)
    unjudged = {one.check for one in verdict.checks if one.outcome == "not-judged"}
    assert {"vocabulary", "speed", "size", "silence", "timestamps", "memorisation", "numerics"} <= unjudged
    assert {"covered-words", "known-recordings"} <= unjudged
    assert verdict.decision == "promote"


def test_a_clip_that_nobody_speaks_in_is_asked_apart_from_made_sounds() -> None:
    silent = [utterance(1000 + i, 0, words=0, text="") for i in range(4)]
    verdict = judge(report([*BEFORE.utterances, *silent]), report([*AFTER.utterances, *silent]), FAST)
    assert [one.outcome for one in of(verdict, "silence")] == ["passed", "not-judged"]
