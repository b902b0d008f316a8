"""Between evaluation and deployment: a person approves or vetoes. The run sleeps in the rows until they do.

The node asks and does nothing before it: LangGraph runs it again from its first line when the answer is there. The
question is bound to run, verdict and both models, so that an answer to another one opens nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langgraph.types import interrupt

from projectone.contracts.base import canonical_json, sha256_hex
from projectone.errors import StageError
from projectone.server.approvals import Question
from projectone.server.notifications.outbox import Message
from projectone.server.pipeline.evaluate import VERDICT
from projectone.server.pipeline.ports import Ports
from projectone.server.pipeline.state import EVALUATION, TrainingGraphState, title
from projectone.server.pipeline.withdrawal import refuse_withdrawn

APPROVABLE = ("hold", "promote")
"""Verdicts that a person may let out. What was rejected is released by a new run or not at all."""


def approve(state: TrainingGraphState, ports: Ports) -> TrainingGraphState:
    """Wait for a person, and go where they say.

    Raises:
        StageError: if there is nothing that a person may approve, or the answer is to another question.
        WithdrawnError: if a sample that the candidate learned from was withdrawn meanwhile.
    """
    question = question_of(state, ports)
    answer: dict[str, Any] = interrupt(question.subject_sha256)
    if not is_answer_to(question, answer):
        raise StageError("approval: the answer is to another question; nothing is released on it")
    refuse_withdrawn(state["run_id"], ports)
    said: str = answer["answer"]
    if said == "approved" and ports.production().weights_sha256 != question.production_sha256:
        said = "judge-again"  # a release came between the answer and this line: it is no longer what was approved
    return {
        "approval": said,
        "approval_sha256": question.subject_sha256,
        "n_judged_again": state.get("n_judged_again", 0) + (said == "judge-again"),
    }


def question_of(state: TrainingGraphState, ports: Ports) -> Question:
    """What a person is asked about a run that was judged.

    Raises:
        StageError: if it was not judged, or its verdict is none that a person may let out.
    """
    run_id, model_sha256 = state["run_id"], state["new_model_path"]
    judged = ports.find_effect(run_id, EVALUATION, VERDICT)
    if judged is None or judged["candidate_sha256"] != model_sha256:
        raise StageError(f"approval: expected a verdict on {model_sha256}, found none")
    decision = judged["verdict"]["decision"]
    if decision not in APPROVABLE:
        raise StageError(f"approval: expected one of {', '.join(APPROVABLE)}, got {decision!r}")
    about = [run_id, state.get("n_judged_again", 0), judged, state["evaluation_metrics"]]
    return Question(
        subject_sha256=sha256_hex(canonical_json(about)),
        run_id=run_id,
        decision=decision,
        production_sha256=judged["production_sha256"],
        candidate_sha256=model_sha256,
    )


def is_answer_to(question: Question, answer: Mapping[str, Any]) -> bool:
    """Whether a person was asked exactly this."""
    return bool(answer["subject_sha256"] == question.subject_sha256)


def message_of(question: Question, state: TrainingGraphState, ports: Ports) -> Message:
    """What is said to a person, and what they can do."""
    run_id = question.run_id
    judged = ports.find_effect(run_id, EVALUATION, VERDICT)
    reasons = judged["verdict"]["reasons"] if judged else []
    metrics = state["evaluation_metrics"]
    doubt = "the gate could not decide" if question.decision == "hold" else "the gate would release it"
    return Message(
        key=f"{run_id}-approval-{question.subject_sha256[:12]}",
        subject=f"{title(state)} waits for your decision: {doubt}",
        body="\n".join(
            (
                *(f"{reason[:1].upper()}{reason[1:]}." for reason in reasons),
                f"Golden {ports.rate}: production {metrics['production_wer']:.1%}, "
                f"candidate {metrics['candidate_wer']:.1%}.",
                "Production is unchanged, and other runs go on.",
                f"Read:    projectone-server work report {run_id} --out report.html, or listen in the console",
                f"Approve: projectone-server work approve {run_id} --by NAME",
                f"Veto:    projectone-server work veto {run_id} --by NAME --note WHY",
            )
        ),
    )
