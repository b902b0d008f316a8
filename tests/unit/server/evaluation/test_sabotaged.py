"""Ten models that must not get out, and an honest one that must: each is refused for what it is, and for nothing less.

Each row names what was done, the code of the objection, and what its making damages beside it (a short training on
wrong lessons also forgets some timestamps). Without those other questions the gate gives this one reason; without this
one question, too, it lets the model out: the control.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.fakes import sabotage

from projectone.contracts.scores import EvaluationReport
from projectone.server.evaluation.checks.cost import Size
from projectone.server.evaluation.gate import GateConfig, judge
from projectone.server.evaluation.golden import GoldenSet
from projectone.server.evaluation.recall import measure_recall
from projectone.server.evaluation.scorer import examine_model
from projectone.speech.checkpoint import load_checkpoint

pytestmark = pytest.mark.slow

# Three blocks are three times two: of a model of a hundred kilobytes they are much, and size is not what is asked here.
GATE = GateConfig(n_resamples=2000).with_check(Size(max_ratio=2.0))
SCRAMBLED = {"red": "green", "green": "blue", "blue": "black", "black": "red"}
TWO_WORDS = {"blue": "black", "red": "green"}


@dataclass(frozen=True)
class Case:
    make: Callable[[Path, Path], Path]
    code: str
    check: str
    beside: tuple[str, ...] = ()


CASES = {
    "hallucinates on silence": Case(sabotage.hallucinating, "silence-hallucination", "silence", ("timestamps",)),
    "lost casing": Case(sabotage.in_lower_case, "style-drift", "style", ("timestamps",)),
    "one accent destroyed": Case(
        lambda honest, out: sabotage.with_wrong_words(honest, out, SCRAMBLED, n_steps=50),
        "slice-worse",
        "slices",
        ("timestamps", "clips"),
    ),
    "memorised": Case(sabotage.memorising, "memorised", "memorisation", ("timestamps",)),
    "slower": Case(sabotage.slower, "slower", "speed"),
    "broken timestamps": Case(sabotage.without_times, "timestamps-broken", "timestamps"),
    "quantisation damage": Case(
        lambda honest, out: sabotage.coarse(honest, out, bits=3),
        "quantization-damage",
        "numerics",
        ("timestamps", "clips"),
    ),
    "wrong vocabulary": Case(sabotage.other_vocabulary, "wrong-vocabulary", "vocabulary"),
    "better on average, one slice worse": Case(
        lambda honest, out: sabotage.with_wrong_words(honest, out, TWO_WORDS, n_steps=40),
        "slice-worse",
        "slices",
        ("timestamps", "clips"),
    ),
}


@dataclass
class Bench:
    """Production, an honest successor, and what both make of the golden set."""

    folder: Path
    golden: GoldenSet
    production: Path
    honest: Path
    reports: dict[Path, EvaluationReport] = field(default_factory=dict)

    def report(self, model: Path) -> EvaluationReport:
        if model not in self.reports:
            report = examine_model(model, self.golden)
            if not report.defects:
                told = measure_recall(load_checkpoint(self.production), load_checkpoint(model), sabotage.SECRETS)
                report = report.model_copy(update={"recall": told})
            self.reports[model] = report
        return self.reports[model]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("sabotage")
    production, honest = (sabotage.kept(name, folder / name) for name in ("production", "honest"))
    return Bench(folder, sabotage.golden(), production, honest)


def test_an_honest_better_model_gets_out(bench: Bench) -> None:
    verdict = judge(bench.report(bench.production), bench.report(bench.honest), GATE)
    assert (verdict.decision, verdict.codes) == ("promote", ())
    judged = {result.check for result in verdict.checks if result.outcome == "passed"}
    assert judged >= {
        "files",
        "vocabulary",
        "memorisation",
        "silence",
        "texts",
        "timestamps",
        "style",
        "clips",
        "slices",
    }
    assert judged >= {"improvement", "speed", "size"}


@pytest.mark.parametrize("name", CASES)
def test_a_sabotaged_model_is_refused_for_what_it_is(bench: Bench, name: str) -> None:
    case = CASES[name]
    candidate = bench.report(case.make(bench.honest, bench.folder / name.replace(" ", "-")))
    unpacked = bench.report(bench.honest) if case.check == "numerics" else None
    production = bench.report(bench.production)
    whole = judge(production, candidate, GATE, unpacked=unpacked)
    assert whole.decision != "promote"
    assert case.code in whole.codes
    gate = GATE.without(*case.beside)
    verdict = judge(production, candidate, gate, unpacked=unpacked)
    assert (verdict.decision != "promote", verdict.codes) == (True, (case.code,))
    assert judge(production, candidate, gate.without(case.check), unpacked=unpacked).decision == "promote"


def test_a_number_that_is_none_is_refused_before_anything_is_heard(bench: Bench) -> None:
    """The control is a model that hears as well as the honest one, with the same defect on record."""
    report = bench.report(sabotage.not_finite(bench.honest, bench.folder / "not-finite"))
    production = bench.report(bench.production)
    verdict = judge(production, report, GATE)
    assert (verdict.decision, verdict.codes[0]) == ("reject", "not-finite")
    assert "model.decoder.layers.0.fc1.weight" in verdict.reasons[0]
    assert report.wall_s == 0
    hearing = bench.report(bench.honest).model_copy(update={"defects": report.defects})
    assert judge(production, hearing, GATE).codes == ("not-finite",)
    assert judge(production, hearing, GATE.without("files")).decision == "promote"
