"""A sample was withdrawn while a run worked with it: nothing made from it leaves, and another run begins without it."""

from __future__ import annotations

from projectone.errors import RegistryError, WithdrawnError
from projectone.server.notifications.outbox import Message
from projectone.server.pipeline.ingest import read_sealed
from projectone.server.pipeline.ports import Ports

WITHDRAWN = "withdrawn"
"""The deployment status of a run that ended for this reason."""


def is_withdrawn(run_id: str, ports: Ports) -> bool:
    """Whether somebody took back a sample of the dataset that this run sealed last."""
    sealed = read_sealed(run_id, ports)
    return sealed is not None and ports.is_withdrawn(sealed.dataset_sha256)


def refuse_withdrawn(run_id: str, ports: Ports) -> None:
    """Stop a run before it goes on with a model that learned from a withdrawn sample.

    Raises:
        WithdrawnError: if somebody took back a sample of its dataset.
    """
    if is_withdrawn(run_id, ports):
        raise WithdrawnError("a sample was withdrawn after training had begun; nothing made from it is released")


def begin_anew(run_id: str, ports: Ports) -> None:
    """Undo what the run has outside, ask for another one, and say so. Its folders go once it has ended."""
    reason = "a sample that it worked with was withdrawn; another run begins without it"
    try:
        undone = ports.retract(run_id)
    except RegistryError as error:  # a token may write but not delete: that is no reason to stand still
        undone = [f"The Hub had taken the model and would not let it go: {error}. Remove it there."]
    ports.check()
    ports.record(run_id, {"reason": reason})
    ports.start_anew(run_id)
    ports.notify(
        Message(
            key=f"{run_id}-withdrawn",
            subject=f"Training run {run_id} is stopped: a sample was withdrawn",
            body="\n".join(
                (
                    f"{reason}.",
                    "The other samples go on waiting. Production is unchanged.",
                    *undone,
                )
            ),
        )
    )
