"""The best safety classifier that was released: what a new one is held against beside the one in production.

Each no worse than the last within chance, a row of releases could give away recall a little at a time. The best one on
the same texts stays where it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from projectone.contracts.scores import EvaluationReport
from projectone.server.evaluation.gate import GateConfig, judge
from projectone.server.evaluation.intents.hearings import HEARD
from projectone.server.evaluation.safety.checks import Alarms, Best, safety_gate


def best_of(released: Mapping[str, EvaluationReport]) -> Best | None:
    """The release with the highest recall less its share of false alarms, on the texts as they are written.

    One that the whole gate would not let out by what it does itself is none: somebody forced it past the gate.

    Args:
        released: Reports on one set by version, the oldest first; of equals the oldest counts.
    """
    sound = {version: report for version, report in released.items() if _keeps_to(report)}
    if not sound:
        return None
    version = max(sound, key=lambda version: _merit(sound[version]))
    return Best(version, sound[version])


def beside(gate: GateConfig, best: Best) -> GateConfig:
    """The same gate, whose questions about alarms are asked beside the best release, too."""
    checks = (replace(check, best=best) if isinstance(check, Alarms) else check for check in gate.checks)
    return replace(gate, checks=tuple(checks))


def _keeps_to(report: EvaluationReport) -> bool:
    return judge(report, report, safety_gate()).is_new_model_better


def _merit(report: EvaluationReport) -> float:
    assert report.classifier is not None, "the gate lets none out whose answers are not told"
    heard = {one.clip_id for one in report.utterances if one.slice == HEARD}
    written = [answer for answer in report.classifier.answers if answer.text_id not in heard]
    wanted = [answer.answered is not None for answer in written if answer.wanted is not None]
    others = [answer.answered is not None for answer in written if answer.wanted is None]
    return sum(wanted) / max(1, len(wanted)) - sum(others) / max(1, len(others))
