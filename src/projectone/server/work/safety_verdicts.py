"""The gate's verdict on a safety classifier: held against production, and against the best one that was released."""

from __future__ import annotations

from collections.abc import Callable

from projectone.contracts.scores import EvaluationReport, Verdict
from projectone.server.evaluation.gate import judge
from projectone.server.evaluation.safety.best import beside, best_of
from projectone.server.work.workshop import Workshop


def judge_safety(
    workshop: Workshop, production: EvaluationReport, candidate: EvaluationReport, pause_point: Callable[[], None]
) -> Verdict:
    """The verdict on one that was scored.

    The first one is held against itself, so that what is asked of each by itself decides; a later one against
    production and against the best one that was released.
    """
    if workshop.production().version is None:
        return judge(candidate, candidate, workshop.gate)
    best = best_of(_released(workshop, candidate, pause_point))
    is_another = best is not None and best.report.model_sha256 not in (production.model_sha256, candidate.model_sha256)
    gate = beside(workshop.gate, best) if best is not None and is_another else workshop.gate
    return judge(production, candidate, gate)


def _released(
    workshop: Workshop, candidate: EvaluationReport, pause_point: Callable[[], None]
) -> dict[str, EvaluationReport]:
    """What the releases of this line do on today's golden set, by version: those that are here and warn of the same."""
    first: dict[str, str] = {}
    for release in workshop.ledger.releases(workshop.settings.channel):
        first.setdefault(release.manifest.weights_sha256, release.manifest.version)
    found = {
        version: workshop.score(weights_sha256, pause_point)
        for weights_sha256, version in first.items()
        if workshop.models.known(weights_sha256) is not None
    }
    return {version: report for version, report in found.items() if _labels(report) == _labels(candidate)}


def _labels(report: EvaluationReport) -> tuple[str, ...]:
    return () if report.classifier is None else report.classifier.labels
