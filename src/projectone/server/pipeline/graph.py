"""The edges of the AI Model Trainer, and nothing else.

    START -> data_ingestion_and_validation -> model_fine_tuning -> model_evaluation
                 nothing new, or nothing                             better:     deploy_model -> END
                 to gain (no-train): END                             ask first:  human_approval -> one of these
                                                                     otherwise:  quarantine_and_notify -> END

A model that a person made and proposes begins at its evaluation: nothing was ingested or trained for it.
A stage that fails leads to quarantine from wherever it is. If production changed while a person was asked, approval
leads back to evaluation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from projectone.errors import StageError
from projectone.server.pipeline.approval import approve
from projectone.server.pipeline.deploy import deploy
from projectone.server.pipeline.evaluate import evaluate
from projectone.server.pipeline.finetune import finetune
from projectone.server.pipeline.ingest import ingest
from projectone.server.pipeline.ports import Ports
from projectone.server.pipeline.quarantine import quarantine
from projectone.server.pipeline.state import (
    APPROVAL,
    DEPLOYMENT,
    EVALUATION,
    FINE_TUNING,
    INGESTION,
    QUARANTINE,
    TrainingGraphState,
)

Node = Callable[[TrainingGraphState, Ports], TrainingGraphState]
TrainingGraph = CompiledStateGraph[TrainingGraphState, None, TrainingGraphState, TrainingGraphState]


class BoundNode(Protocol):
    """A node that has its ports."""

    def __call__(self, state: TrainingGraphState) -> TrainingGraphState:
        """What the node adds to the state."""
        ...


def build_graph(ports: Ports, checkpointer: BaseCheckpointSaver[Any]) -> TrainingGraph:
    """The compiled graph, bound to its outside and its memory."""
    builder = StateGraph(TrainingGraphState)
    for name, node in (
        (INGESTION, ingest),
        (FINE_TUNING, finetune),
        (EVALUATION, evaluate),
        (APPROVAL, approve),
        (DEPLOYMENT, deploy),
        (QUARANTINE, quarantine),
    ):
        builder.add_node(name, _bind(name, node, ports))
    builder.add_conditional_edges(START, _first, [INGESTION, EVALUATION])
    builder.add_conditional_edges(INGESTION, _after_ingestion, [FINE_TUNING, QUARANTINE, END])
    builder.add_conditional_edges(FINE_TUNING, _after_fine_tuning, [EVALUATION, QUARANTINE])
    builder.add_conditional_edges(EVALUATION, _after_evaluation, [APPROVAL, DEPLOYMENT, QUARANTINE])
    builder.add_conditional_edges(APPROVAL, _after_approval, [EVALUATION, DEPLOYMENT, QUARANTINE])
    builder.add_conditional_edges(DEPLOYMENT, _after_deployment, [QUARANTINE, END])
    builder.add_edge(QUARANTINE, END)
    return builder.compile(checkpointer=checkpointer)


def _bind(name: str, node: Node, ports: Ports) -> BoundNode:
    def act(state: TrainingGraphState) -> TrainingGraphState:
        ports.check()
        ports.enter(state["run_id"], name)
        if name == QUARANTINE:  # nowhere to go from here but to another try
            return node(state, ports)
        try:
            return node(state, ports)
        except StageError as error:
            return {"error_message": f"{name}: {error}"}

    return act


def _first(state: TrainingGraphState) -> str:
    return EVALUATION if "proposed_version" in state else INGESTION


def _after_ingestion(state: TrainingGraphState) -> str:
    if state.get("error_message"):
        return QUARANTINE
    # Discards carry their reasons in the catalog, a `no-train` verdict stands in the run's row, and its samples go on
    # waiting: there is no model to set aside.
    return END if state.get("deployment_status") in ("no-data", "no-train") else FINE_TUNING


def _after_fine_tuning(state: TrainingGraphState) -> str:
    return QUARANTINE if state.get("error_message") else EVALUATION


def _after_evaluation(state: TrainingGraphState) -> str:
    if state.get("error_message"):
        return QUARANTINE
    if state["is_approval_needed"]:
        return APPROVAL
    return DEPLOYMENT if state["is_new_model_better"] else QUARANTINE


def _after_approval(state: TrainingGraphState) -> str:
    if state.get("error_message"):
        return QUARANTINE
    return {"approved": DEPLOYMENT, "judge-again": EVALUATION}.get(state["approval"], QUARANTINE)


def _after_deployment(state: TrainingGraphState) -> str:
    return QUARANTINE if state.get("error_message") else END
