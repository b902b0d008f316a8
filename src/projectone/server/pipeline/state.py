"""What the graph remembers between its nodes: the design's fields, as ids, digests and a few numbers.

It is saved after every node and read back by a serialiser, so it holds no transcript, no array and no path that
another machine lacks. What a digest names lies in the home's stores.
"""

from __future__ import annotations

from typing import TypedDict

GRAPH_VERSION = 2
"""Rises when nodes, edges or state change their meaning; a run finishes on the version it began with."""

INGESTION = "data_ingestion_and_validation"
FINE_TUNING = "model_fine_tuning"
EVALUATION = "model_evaluation"
APPROVAL = "human_approval"
DEPLOYMENT = "deploy_model"
QUARANTINE = "quarantine_and_notify"


class TrainingGraphState(TypedDict, total=False):
    """The state of one run. A field is absent until its node has ended.

    Attributes:
        run_id: The row of the run.
        graph_version: Which graph this is the state of.
        raw_data_path: Digest of the list of sample ids that the run took from the waiting ones.
        processed_data_path: Digest of the sealed dataset.
        base_model_version: Digest of the weights that training starts from, the same in every run.
        new_model_path: Digest of the candidate's weights, which names its folder.
        training_log_path: Where the log lies, relative to the home.
        evaluation_metrics: Word and character error rates of the candidate and of production on the golden set.
        is_new_model_better: The verdict.
        is_approval_needed: Whether a person has to decide before anything is deployed.
        approval: What they decided: ``"approved"``, ``"vetoed"``, ``"judge-again"``, ``"expired"`` or ``"withdrawn"``.
        approval_sha256: Digest of the question that this answers.
        n_judged_again: How often production changed while the run waited for a person.
        deployment_status: ``"deployed 1.2.0"``, ``"quarantined"``, ``"no-data"``, ``"no-train"`` or ``"withdrawn"``.
        proposed_version: What the model is to be called that a person made and the run began with.
        error_message: Why a stage failed, if one did.
    """

    run_id: str
    graph_version: int
    raw_data_path: str
    processed_data_path: str
    base_model_version: str
    new_model_path: str
    training_log_path: str
    evaluation_metrics: dict[str, float]
    is_new_model_better: bool
    is_approval_needed: bool
    approval: str
    approval_sha256: str
    n_judged_again: int
    deployment_status: str
    proposed_version: str
    error_message: str


def title(state: TrainingGraphState) -> str:
    """What a run is called where people are told of it: nothing was trained for a model that was proposed."""
    run_id, proposed = state["run_id"], state.get("proposed_version")
    return f"Training run {run_id}" if proposed is None else f"Proposed model {proposed} (run {run_id})"


def thread_id(run_id: str, graph_version: int) -> str:
    """The checkpointer's name for a run: newer code never takes up an older graph's state."""
    return f"{run_id}-graph-{graph_version}"
