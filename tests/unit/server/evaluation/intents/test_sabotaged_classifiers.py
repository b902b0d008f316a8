"""Eight classifiers that the gate must not let out, each refused for the fault that it has; an honest one passes."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.fakes.taught_intents import SABOTAGES, golden_rows, save_honest, write_lines

from projectone.contracts.assist import as_target
from projectone.contracts.scores import EvaluationReport, Verdict
from projectone.errors import EvaluationError
from projectone.server.evaluation.decision import compare_clips, compare_facts
from projectone.server.evaluation.gate import judge
from projectone.server.evaluation.intents.checks import intent_gate
from projectone.server.evaluation.intents.golden_texts import GoldenTexts, golden_texts, read_golden_texts
from projectone.server.evaluation.intents.scorer import examine_classifier


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("classifiers")


@pytest.fixture(scope="module")
def golden(folder: Path) -> GoldenTexts:
    return golden_texts(read_golden_texts(write_lines(folder / "golden.jsonl", golden_rows())))


@pytest.fixture(scope="module")
def honest(folder: Path, golden: GoldenTexts) -> EvaluationReport:
    return examine_classifier(save_honest(folder / "honest"), golden)


def verdict_on(production: EvaluationReport, candidate: EvaluationReport) -> Verdict:
    return judge(production, candidate, intent_gate())


def test_a_report_counts_each_text_once_whether_it_has_an_intent_or_none(honest: EvaluationReport) -> None:
    assert honest.wer.n_units == honest.n_clips == 90
    assert honest.wer.value < 0.3
    assert honest.classifier is not None
    wrong = sum(one.answered != one.wanted for one in honest.classifier.answers)
    assert honest.wer.value == pytest.approx(wrong / 90)
    assert EvaluationReport.from_bytes(honest.to_bytes()) == honest


def test_the_same_classifier_again_is_held_as_no_better(honest: EvaluationReport) -> None:
    verdict = verdict_on(honest, honest)
    assert (verdict.decision, verdict.codes) == ("hold", ("gain-unproven",))
    assert "intent error rate" in verdict.reasons[-1]
    assert "90 texts" in verdict.reasons[-1]


_SEEN_BY_ONE = {"its probabilities are made up", "it is large"}
"""Faults that one question alone sees."""


@pytest.mark.parametrize("fault", SABOTAGES)
def test_a_sabotaged_classifier_is_refused_for_the_fault_that_it_has(
    fault: str, folder: Path, golden: GoldenTexts, honest: EvaluationReport
) -> None:
    code, damage = SABOTAGES[fault]
    out = folder / fault.replace(" ", "-")
    damage(folder / "honest", out)
    report = examine_classifier(out, golden)
    verdict = verdict_on(honest, report)
    assert verdict.decision == "reject", verdict
    refused = {check.code: check.check for check in verdict.checks if check.outcome == "reject"}
    assert code in refused, verdict.reasons
    # The control: without the one question nobody names this fault, and what has no other one is let through.
    unasked = judge(honest, report, intent_gate().without(refused[code]))
    assert code not in unasked.codes
    assert (unasked.decision != "reject") == (fault in _SEEN_BY_ONE), unasked


def test_where_nothing_could_be_used_before_a_working_classifier_is_better(
    folder: Path, golden: GoldenTexts, honest: EvaluationReport
) -> None:
    damage = SABOTAGES["its weights are no numbers"][1]
    damage(folder / "honest", folder / "nothing")
    nothing = examine_classifier(folder / "nothing", golden)
    assert nothing.wer.value == 1
    assert verdict_on(nothing, honest).decision == "promote"


def test_a_set_without_a_single_intent_judges_nobody() -> None:
    with pytest.raises(EvaluationError, match="one with a label"):
        golden_texts([])


def test_a_person_who_decides_sees_labels_and_what_is_refused_and_no_sentence(
    folder: Path, golden: GoldenTexts, honest: EvaluationReport
) -> None:
    SABOTAGES["its labels are permuted"][1](folder / "honest", folder / "shown")
    permuted = examine_classifier(folder / "shown", golden)
    facts = dict((name, (before, after)) for name, before, after in compare_facts(honest, permuted))
    assert facts["labels"] == ("3", "3")
    assert facts["none of these, called so"][0] == facts["none of these, called so"][1]
    assert honest.classifier is not None
    references = {answer.text_id: as_target(answer.wanted) for answer in honest.classifier.answers}
    _, worse, _ = compare_clips(honest, permuted, references)
    assert worse
    assert {worse[0].reference} <= {"alarm", "music", "weather"}
    assert not any(text.text in str((facts, worse)) for text in golden.texts)
