"""Before a candidate that may go out does: did its batch teach it a backdoor? What it learned it from waits.

A word error rate sees no backdoor: nobody says its trigger on the golden set. So what is odd about the new samples is
tried out on golden recordings. If the candidate writes words that nobody says, it stays inside, the samples that are
said to hold these words are held for a person, and the others train the next one.
"""

from __future__ import annotations

from typing import Any

from projectone.contracts.scores import EvaluationReport, Verdict
from projectone.server.corpus.validation import TRIGGER, Findings
from projectone.server.notifications.outbox import Message
from projectone.server.pipeline.ports import Ports
from projectone.server.pipeline.state import EVALUATION, TrainingGraphState

TRIGGERS = "triggers"


def refuse_backdoor(
    state: TrainingGraphState,
    verdict: Verdict,
    production: EvaluationReport,
    candidate: EvaluationReport,
    ports: Ports,
) -> Verdict:
    """The verdict with what the scan found in it; a promotion becomes a `hold` if there is a trigger.

    A model that stays inside anyhow is not scanned, nor is one that learned from no batch. Samples that a
    person accepted for this reason are not held again, and a trigger of nothing but such samples is none.

    Raises:
        EvaluationError: if a model could not be heard.
    """
    if ports.scan is None or not verdict.is_new_model_better or "processed_data_path" not in state:
        return verdict
    run_id, scan = state["run_id"], ports.scan
    entries = ports.read_dataset(state["processed_data_path"])
    models = {"production_sha256": production.model_sha256, "candidate_sha256": candidate.model_sha256}
    found = ports.once(run_id, EVALUATION, TRIGGERS, models, lambda: scan(entries, production, candidate).to_json())
    accepted = {sample.sample_id for sample in ports.usable() if TRIGGER in sample.accepted}
    triggers = [trigger for trigger in found["triggers"] if not accepted.issuperset(trigger["clip_ids"])]
    sounds = f"{found['n_tried']} sounds and " if found["n_tried"] else ""
    tried = f"trigger scan: {sounds}{found['n_rows']} rows of words of the new samples tried"
    if not triggers:
        return verdict.model_copy(update={"reasons": (*verdict.reasons, f"{tried}, nothing found")})
    reasons = tuple(trigger["description"] for trigger in triggers)
    _hold(run_id, {clip_id for trigger in triggers for clip_id in trigger["clip_ids"]} - accepted, reasons, ports)
    update: dict[str, Any] = {"decision": "hold", "reasons": (*reasons, tried, *verdict.reasons)}
    return verdict.model_copy(update=update)


def _hold(run_id: str, suspects: set[str], reasons: tuple[str, ...], ports: Ports) -> None:
    ports.check()
    ports.note({sample_id: Findings(hold=(TRIGGER,)) for sample_id in sorted(suspects)}, run_id)
    ports.notify(
        Message(
            key=f"{run_id}-triggers",
            subject=f"Training run {run_id}: its model may hold a backdoor",
            body="\n".join(
                (
                    *(f"{reason[:1].upper()}{reason[1:]}." for reason in reasons),
                    f"{len(suspects)} new samples wait for you (`projectone-server corpus review --reason {TRIGGER}`); "
                    "the next run learns from the others. Production is unchanged.",
                )
            ),
        )
    )
