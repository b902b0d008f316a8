"""Node 3, Model Evaluation: candidate and production on the golden set, and the gate's verdict."""

from __future__ import annotations

from typing import Any

from projectone.contracts.scores import EvaluationReport
from projectone.server.evaluation.golden import CANARY_LIMIT
from projectone.server.notifications.outbox import Message
from projectone.server.pipeline.ports import Ports
from projectone.server.pipeline.recall import with_recall
from projectone.server.pipeline.state import EVALUATION, TrainingGraphState, title
from projectone.server.pipeline.triggers import refuse_backdoor
from projectone.server.pipeline.withdrawal import refuse_withdrawn

VERDICT, CANARY = "verdict", "canary"
_REPLACES = "production has to go, for it learned from something withdrawn since; this model is not worse beyond chance"


def evaluate(state: TrainingGraphState, ports: Ports) -> TrainingGraphState:
    """Judge the candidate of this run.

    Raises:
        EvaluationError: if the judgement could not be made.
        WithdrawnError: if a sample that the candidate learned from was withdrawn meanwhile.
    """
    run_id, candidate_sha256 = state["run_id"], state["new_model_path"]
    refuse_withdrawn(run_id, ports)
    production = ports.production()
    production_report = ports.score(production.weights_sha256)
    candidate_report = with_recall(state, production_report, ports.score(candidate_sha256), ports)
    verdict = ports.judge(production_report, candidate_report)
    if verdict.decision == "hold" and ports.is_replacing(run_id):
        verdict = verdict.model_copy(update={"decision": "promote", "reasons": (_REPLACES, *verdict.reasons)})
    verdict = refuse_backdoor(state, verdict, production_report, candidate_report, ports)
    # Bound to both models: deployment refuses if production is another one by then.
    judged: dict[str, Any] = {"production_sha256": production.weights_sha256, "candidate_sha256": candidate_sha256}
    if n_again := state.get("n_judged_again", 0):  # a verdict of its own, even if an earlier production came back
        judged["n_judged_again"] = n_again
    ports.once(run_id, EVALUATION, VERDICT, judged, lambda: {**judged, "verdict": verdict.model_dump(mode="json")})
    ports.record(run_id, {"verdict": verdict.to_bytes().decode()})
    refuse_withdrawn(run_id, ports)
    return {
        "evaluation_metrics": {
            "production_wer": production_report.wer.value,
            "production_cer": production_report.cer.value,
            "candidate_wer": candidate_report.wer.value,
            "candidate_cer": candidate_report.cer.value,
            **_show_canary(state, candidate_report, ports),
        },
        "is_new_model_better": verdict.is_new_model_better,
        "is_approval_needed": ports.asks_person(verdict.decision),
    }


def _show_canary(state: TrainingGraphState, candidate: EvaluationReport, ports: Ports) -> dict[str, float]:
    """The candidate on the secret set, after the verdict: no decision may learn from it, or it would be no secret."""
    report = ports.canary(candidate.model_sha256)
    if report is None:
        return {}
    run_id = state["run_id"]
    wers = {"golden": candidate.wer.value, "canary": report.wer.value}
    ports.once(run_id, EVALUATION, CANARY, {"candidate_sha256": candidate.model_sha256}, lambda: wers)
    if abs(wers["golden"] - wers["canary"]) > CANARY_LIMIT:
        ports.notify(
            Message(
                key=f"{run_id}-canary",
                subject=f"{title(state)}: the secret set disagrees with the golden set",
                body=(
                    f"The candidate's {ports.rate} is {wers['golden']:.1%} on the golden set and "
                    f"{wers['canary']:.1%} on the secret one: more than {CANARY_LIMIT:.0%} apart. Either the "
                    "sets differ in difficulty, or the golden set leaked into training. The verdict did not look at it."
                ),
            )
        )
    return {"canary_wer": wers["canary"]}
