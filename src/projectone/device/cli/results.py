"""What a command is, and what it has to say."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from projectone.device.client import DeviceClient
from projectone.device.offers import Kept
from projectone.device.recordings import Recording
from projectone.device.sent import Undone


@dataclass(frozen=True)
class Result:
    """What a command has to say: for programs, for people, whether it did what it was asked, and if not, why not."""

    facts: dict[str, Any]
    text: str
    is_done: bool = True
    problem: str | None = None


@dataclass(frozen=True)
class Command:
    """One word of the command line."""

    examples: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    execute: Callable[[DeviceClient, argparse.Namespace], Result]


def add_others_present(parser: argparse.ArgumentParser) -> None:
    """The mark for recordings in which a third person can be heard, who was never asked."""
    parser.add_argument(
        "--others-present", action="store_true", help="somebody else can be heard: it is not trained on"
    )


def kept_result(kept: Kept) -> Result:
    """That something is kept here, and whether it will be sent."""
    facts = {"sample_id": str(kept.sample_id), "text": kept.text, "is_queued": kept.is_queued, "reason": kept.reason}
    facts |= {"is_again": True} if kept.is_again else {}
    text = "kept; `projectone sync` sends it" if kept.is_queued else f"kept on this device only: {kept.reason}"
    if kept.is_again:
        text = "this recording of these words was given before; one is kept"
        text += f", here only: {kept.reason}" if kept.reason else ""
    if kept.learned:
        facts["learned"] = list(kept.learned)
        text += f"; from now on this device minds: {', '.join(kept.learned)}"
    return Result(facts, text)


def undone_result(undone: Undone) -> Result:
    """That something counts no more, and whether the server has to be told."""
    facts = {
        "sample_id": str(undone.sample_id),
        "text": undone.text,
        "is_undone": True,
        "may_have_left": undone.may_have_left,
    }
    where = (
        "it was sent, or may have been: the next `projectone sync` makes the server delete it"
        if undone.may_have_left
        else "it never left this device"
    )
    return Result(facts, f"taken back: {undone.text!r}; {where}")


def shown(recording: Recording) -> str:
    """For people; programs get the empty text as it is."""
    return recording.text or "(no speech was heard)"


def recording_facts(recording: Recording) -> dict[str, Any]:
    """A recording for programs."""
    return {
        **recording.facts(),
        "words": [asdict(word) | {"is_doubtful": word.is_doubtful} for word in recording.words],
        "signals": None if recording.signals is None else asdict(recording.signals),
    }
