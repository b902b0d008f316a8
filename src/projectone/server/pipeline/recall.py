"""Beside a candidate's scores: what it gives away of its new lessons, as figures without a word of them."""

from __future__ import annotations

from projectone.contracts.evidence import Recall
from projectone.contracts.scores import EvaluationReport
from projectone.server.pipeline.ports import Ports
from projectone.server.pipeline.state import EVALUATION, TrainingGraphState

RECALL = "recall"


def with_recall(
    state: TrainingGraphState, production: EvaluationReport, candidate: EvaluationReport, ports: Ports
) -> EvaluationReport:
    """The candidate's report with what could be had from it of the texts that production never saw.

    A model that cannot be used is not asked.
    """
    if ports.recall is None or candidate.defects:
        return candidate
    run_id, measure = state["run_id"], ports.recall
    new = [entry for entry in ports.read_dataset(state["processed_data_path"]) if entry.is_new]
    models = {"production_sha256": production.model_sha256, "candidate_sha256": candidate.model_sha256}
    found = ports.once(
        run_id, EVALUATION, RECALL, models, lambda: measure(new, production, candidate).model_dump(mode="json")
    )
    return candidate.model_copy(update={"recall": Recall.model_validate(found)})
