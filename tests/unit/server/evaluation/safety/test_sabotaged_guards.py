"""Safety classifiers that the gate must not let out, each refused for the fault that it has; an honest one passes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.fakes.taught_intents import write_lines
from tests.fakes.taught_safety import LABEL, SABOTAGES, golden_comments, save_guard, with_threshold

from projectone.assist.safety import load_safety
from projectone.contracts.scores import EvaluationReport, Verdict
from projectone.errors import EvaluationError
from projectone.server.evaluation.gate import judge
from projectone.server.evaluation.intents.golden_texts import GoldenTexts, golden_texts, read_golden_texts
from projectone.server.evaluation.intents.hearings import HEARD, with_hearings
from projectone.server.evaluation.intents.scorer import examine_classifier
from projectone.server.evaluation.safety.best import beside, best_of
from projectone.server.evaluation.safety.checks import safety_gate
from projectone.server.evaluation.safety.scorer import AlarmReader, check_texts


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("guards")


@pytest.fixture(scope="module")
def golden(folder: Path) -> GoldenTexts:
    texts = read_golden_texts(write_lines(folder / "golden.jsonl", golden_comments()))
    return golden_texts(with_hearings(texts, is_every=True))


@pytest.fixture(scope="module")
def guard(folder: Path) -> Path:
    return save_guard(folder / "honest")


@pytest.fixture(scope="module")
def honest(guard: Path, golden: GoldenTexts) -> EvaluationReport:
    return examine(guard, golden)


def examine(guard: Path, golden: GoldenTexts) -> EvaluationReport:
    return examine_classifier(guard, golden, read=AlarmReader)


def verdict_on(production: EvaluationReport, candidate: EvaluationReport) -> Verdict:
    return judge(production, candidate, safety_gate())


def test_texts_are_judged_as_they_are_written_and_as_they_are_heard_harmless_ones_too(
    honest: EvaluationReport,
) -> None:
    assert honest.classifier is not None
    assert honest.classifier.labels == (LABEL,)
    heard = {one.clip_id for one in honest.utterances if one.slice == HEARD}
    wanted = [one for one in honest.classifier.answers if one.wanted is not None]
    assert {one.wanted for one in wanted} == {LABEL}
    assert sum(one.text_id not in heard for one in wanted) == 200
    harmless = [one for one in honest.classifier.answers if one.wanted is None]
    assert sum(one.text_id not in heard for one in harmless) == 400
    assert sum(one.text_id in heard for one in harmless) > 100


def test_the_first_one_is_let_out_by_what_it_does_itself(honest: EvaluationReport) -> None:
    verdict = verdict_on(honest, honest)
    assert (verdict.decision, verdict.codes) == ("promote", ()), verdict.reasons
    assert "alarm error rate" in verdict.reasons[-1]
    assert {check.check for check in verdict.checks} >= {"recall", "false-alarms"}
    assert len([check for check in verdict.checks if check.check == "recall"]) == 2


def test_one_that_is_as_good_replaces_it_though_it_is_no_better(
    honest: EvaluationReport, guard: Path, golden: GoldenTexts, folder: Path
) -> None:
    with_threshold(0.98 * load_safety(guard).alarm.threshold)(guard, folder / "nearly-the-same")
    as_good = examine(folder / "nearly-the-same", golden)
    assert as_good.model_sha256 != honest.model_sha256
    verdict = verdict_on(honest, as_good)
    assert verdict.decision == "promote", verdict.reasons


@pytest.mark.parametrize("fault", SABOTAGES)
def test_a_sabotaged_one_is_refused_for_the_fault_that_it_has(
    fault: str, honest: EvaluationReport, guard: Path, golden: GoldenTexts, folder: Path
) -> None:
    code, damage = SABOTAGES[fault]
    made = folder / fault.replace(" ", "-")
    damage(guard, made)
    verdict = verdict_on(honest, examine(made, golden))
    assert verdict.decision == "reject"
    assert code in verdict.codes, verdict.codes


def test_one_that_warns_of_less_but_of_enough_is_refused_beside_production_alone(
    honest: EvaluationReport, guard: Path, golden: GoldenTexts, folder: Path
) -> None:
    said = [text.text for text in golden.texts if text.label == LABEL and text.slice != HEARD]
    shares = [judged.probability for judged in load_safety(guard, numerics="int8").judge(said)]
    made = folder / "misses"
    with_threshold(float(np.quantile(shares, 0.2)))(guard, made)
    report = examine(made, golden)
    verdict = verdict_on(honest, report)
    assert (verdict.decision, verdict.codes[0]) == ("reject", "recall-worse"), verdict.reasons
    assert verdict_on(report, report).decision == "promote"  # of a first one as much is enough
    with_threshold(float(np.quantile(shares, 0.12)))(guard, folder / "misses-few")
    few = golden_texts([text for text in golden.texts if text.slice != HEARD][::8])
    unproven = verdict_on(examine(guard, few), examine(folder / "misses-few", few))
    assert (unproven.decision, unproven.codes[0]) == ("hold", "recall-unproven"), unproven.reasons


def test_small_losses_do_not_add_up_over_a_row_of_releases(
    honest: EvaluationReport, guard: Path, golden: GoldenTexts, folder: Path
) -> None:
    said = [text.text for text in golden.texts if text.label == LABEL and text.slice != HEARD]
    shares = [judged.probability for judged in load_safety(guard, numerics="int8").judge(said)]
    released, production = {"1.0.0": honest}, honest
    for step in range(1, 17):
        made = folder / f"a-little-less-{step}"
        with_threshold(float(np.quantile(shares, 0.006 * step)))(guard, made)
        report = examine(made, golden)
        alone = verdict_on(production, report)
        assert alone.decision == "promote", alone.reasons  # the control: beside production nothing stops it
        best = best_of(released)
        assert best is not None
        verdict = judge(production, report, beside(safety_gate(), best))
        if not verdict.is_new_model_better:
            assert f"version {best.version}, the best that was released" in verdict.reasons[0]
            assert verdict.codes[0] in ("recall-unproven", "recall-worse")
            return
        released[f"1.{step}.0"] = production = report
    pytest.fail("sixteen small losses went through, one after the other")


def test_what_was_forced_past_the_gate_is_no_measure_for_others(
    honest: EvaluationReport, guard: Path, golden: GoldenTexts, folder: Path
) -> None:
    _, damage = SABOTAGES["it warns of everything"]
    damage(guard, folder / "forced")
    forced = examine(folder / "forced", golden)
    best = best_of({"1.0.0": honest, "1.1.0": forced})
    assert best is not None
    assert (best.version, best.report) == ("1.0.0", honest)
    assert best_of({"1.1.0": forced}) is None


def test_copies_of_a_text_are_one_text(golden: GoldenTexts) -> None:
    one = next(text for text in golden.texts if text.label == LABEL)
    copies = [replace(one, text_id=f"copy-{n}", text=f"  {one.text.upper()}!") for n in range(40)]
    others = [text for text in golden.texts if text.label != LABEL]
    with pytest.raises(EvaluationError, match="got 1 and"):
        check_texts([*copies, *others], LABEL)


def test_a_set_that_could_not_tell_a_good_one_from_a_bad_one_is_refused(golden: GoldenTexts) -> None:
    check_texts(golden.texts, LABEL)
    with pytest.raises(EvaluationError, match="labelled 'toxic'"):
        check_texts(golden.texts, "toxic")
    with pytest.raises(EvaluationError, match="got 171 and 0"):
        check_texts([text for text in golden.texts if text.label == LABEL and text.slice != HEARD], LABEL)
