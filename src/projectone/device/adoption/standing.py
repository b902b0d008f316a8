"""Where a device stands with models, in words for people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from projectone.contracts.rollouts import SeenTurn
from projectone.device.acceptance import Comparison
from projectone.device.adoption.offered import Offered, offer_words
from projectone.device.installed import USER_WENT_BACK, Installed, InstallState, Slot

Phase = Literal[
    "none", "current", "offered", "waiting", "staged", "downloading", "trying", "swapping", "went-back", "problem"
]
"""No model yet; the newest that is known; a newer one was looked at and not fetched; not this device's turn; one is
here and waits for its trial; one comes; one is tried; one takes the place of another; a newer one is set aside;
something is in the way."""

Role = Literal["current", "previous", "staged", "base"]


@dataclass(frozen=True)
class KeptModel:
    """A model on this device's disk. A base may share its files with another one."""

    version: str
    seq: int
    role: Role
    size_bytes: int


@dataclass(frozen=True)
class AdoptionState:
    """Where this device stands with models.

    Attributes:
        words: The phase in a sentence or two, for people.
        version: The model in use; None before the first.
        since: When it was first used here.
        staged_version: A model that is here and was not tried yet.
        is_automatic: Whether newer models are looked for without being asked.
        waits_for: Why nothing happens just now, in plain words; empty if nothing is in the way.
        last: What the last trial showed.
        used_bytes: What models and bases take on the disk.
        budget_bytes: What they may take; None for no limit.
    """

    phase: Phase
    words: str
    version: str | None
    since: datetime | None
    staged_version: str | None
    is_automatic: bool
    waits_for: tuple[str, ...]
    last: Comparison | None
    models: tuple[KeptModel, ...]
    used_bytes: int
    budget_bytes: int | None


def models_on_disk(installed: Installed) -> tuple[KeptModel, ...]:
    """Every model and every base that is here, with what it takes."""
    state = installed.state()
    roles: tuple[tuple[Role, Slot | None], ...] = (
        ("current", state.current),
        ("previous", state.previous),
        ("staged", state.trial),
    )
    kept = [
        KeptModel(slot.version, slot.seq, role, installed.size_of(slot)) for role, slot in roles if slot is not None
    ]
    kept += [KeptModel(manifest.version, manifest.seq, "base", size) for manifest, size in installed.bases()]
    return tuple(kept)


def at_work(doing: Phase, noun: str = "model") -> tuple[Phase, str]:
    """What is being done, and a sentence about it."""
    return doing, {
        "swapping": f"A {noun} takes the place of another. Whoever asks it something waits for a moment.",
        "downloading": f"A newer {noun} is being fetched.",
        "trying": f"A newer {noun} is being tried on what you corrected. The one in use works on.",
    }.get(doing, "")


def at_rest(
    state: InstallState,
    waits: tuple[str, ...],
    *,
    problem: str | None,
    seen: SeenTurn | None,
    noun: str = "model",
    found: Offered | None = None,
) -> tuple[Phase, str]:
    """The phase while nothing is being done, and a sentence about it.

    Args:
        state: What is installed.
        waits: What is waited for.
        problem: What went wrong the last time.
        seen: A release whose turn has not come.
        noun: What people call one of them.
        found: A newer release that was looked at.
    """
    name = noun.capitalize()
    offered = found.version if found is not None and found.offer.status == "offered" else None
    if state.current is None:
        told = "" if offered is None else f" {name} {offered} is offered."
        return "none", f"There is no {noun} on this device yet.{told}"
    version = state.current.version
    if state.trial is not None and offered is not None:
        return "offered", f"{name} {offered} is offered, newer than {state.trial.version}, which waits for its trial."
    if state.trial is not None:
        why = f", because {waits[0]}" if waits else ""
        return "staged", f"{name} {state.trial.version} is here and waits for its trial{why}."
    if problem is not None:
        return "problem", f"{problem}. {name} {version} works on."
    if found is not None and found.offer.is_repair:
        return "offered", offer_words(found, noun)
    if offered is not None:
        return "offered", f"{name} {offered} is offered. {name} {version} works on until you take it."
    newer = [item for item in state.set_aside if item.seq > state.current.seq]
    if newer and newer[-1].reason == USER_WENT_BACK:
        return "went-back", f"You went back to {noun} {version} from {noun} {newer[-1].version}."
    if newer:
        return "went-back", f"{name} {version} stays. {name} {newer[-1].version} is set aside: {newer[-1].reason}."
    if seen is not None and not seen.is_halted:
        return "waiting", f"{name} {seen.version} goes out in stages, and it is not your turn yet."
    return "current", f"{name} {version} is the newest that is known here."
