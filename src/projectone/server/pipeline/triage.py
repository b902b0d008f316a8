"""The end of node 1: whether training on what was sealed can come to anything. If not, the run ends there."""

from __future__ import annotations

from typing import Any

from projectone.contracts.scores import Verdict
from projectone.server.notifications.outbox import Message
from projectone.server.pipeline.ports import Ports
from projectone.server.pipeline.state import INGESTION

TRIAGE = "triage"


def refuse_training(run_id: str, dataset_sha256: str, ports: Ports) -> Verdict | None:
    """The verdict `no-train` on this run's new samples, written down and told; None if training is worth while.

    The samples stay as they are: they wait, and with more of their kind a later run may learn from them.

    Raises:
        EvaluationError: if production could not be heard on them.
    """
    if ports.triage is None or ports.is_replacing(run_id):
        return None
    ask = ports.triage
    # Asked once for these samples and this production: a repeated node does not transcribe them again.
    inputs = {"dataset_sha256": dataset_sha256, "production_sha256": ports.production().weights_sha256}

    def weigh() -> dict[str, Any]:
        new = [entry for entry in ports.read_dataset(dataset_sha256) if entry.is_new]
        triage = ask(new)
        verdict = None if triage.is_worth_training else triage.verdict().model_dump(mode="json")
        return {"triage": triage.to_json(), "verdict": verdict}

    found = ports.once(run_id, INGESTION, TRIAGE, inputs, weigh)
    if found["verdict"] is None:
        return None
    verdict = Verdict.model_validate(found["verdict"])
    ports.check()
    ports.record(run_id, {"verdict": verdict.to_bytes().decode(), "reason": _in_words(verdict)})
    ports.notify(_message(run_id, found["triage"]["n_clips"], verdict))
    return verdict


def _in_words(verdict: Verdict) -> str:
    return f"{'; '.join(verdict.reasons)}. Proposal: {'; '.join(verdict.proposals)}"


def _message(run_id: str, n_new: int, verdict: Verdict) -> Message:
    return Message(
        key=f"{run_id}-no-train",
        subject=f"Training run {run_id} was not begun: nothing to gain",
        body="\n".join(
            (
                *(f"{reason}." for reason in verdict.reasons),
                f"{n_new} new samples go on waiting. Production is unchanged.",
                *(f"Proposal: {proposal}." for proposal in verdict.proposals),
            )
        ),
    )
