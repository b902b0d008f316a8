"""What a device can say of itself and of the consents that were given on it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from projectone.contracts.consent import ConsentReceipt, ConsentScope
from projectone.contracts.rollouts import SeenTurn
from projectone.device.installed import SetAside
from projectone.device.outbox import EntryState
from projectone.device.releases.history import HistoryAccount


@dataclass(frozen=True)
class DeviceStatus:
    """Where this device stands.

    Attributes:
        device_id: Random; known to the server once something was sent.
        home: Where everything lies.
        server: Where corrections go and models come from; None if not set.
        channel: Release channel.
        model_version: The model in use; None before the first update.
        model_seq: Its release number.
        previous_version: The model to which one can go back.
        intents_version: The classifier in use, which says what was meant; None before the first one.
        set_aside: Releases that failed here or that the user went back from.
        seen: A release whose turn had not come here when the server was asked last.
        is_reporting: Whether this device says how its model does.
        consents: For each purpose, when it was agreed to; None if it is not.
        recordings: How many recordings there are.
        corrections: How many of them were corrected.
        donations: How many scripts were read.
        intents: How many times the user said what they meant.
        uploaded: How many of all these the server has.
        waiting: How many things are still to be sent.
        refusals: Id, reason and words for each thing that the server would not take.
        history: Whether the server's audit log still begins with what this device saw of it.
    """

    device_id: str
    home: Path
    server: str | None
    channel: str
    model_version: str | None
    model_seq: int | None
    previous_version: str | None
    intents_version: str | None
    set_aside: tuple[SetAside, ...]
    seen: SeenTurn | None
    is_reporting: bool
    consents: dict[ConsentScope, datetime | None]
    recordings: int
    corrections: int
    donations: int
    intents: int
    uploaded: int
    waiting: int
    refusals: tuple[tuple[str, str, str], ...]
    history: HistoryAccount


@dataclass(frozen=True)
class ConsentAccount:
    """One consent and what was given under it.

    Attributes:
        receipt: The consent, withdrawn or not.
        samples: Where each sample is, and whether its bytes may ever have left this device.
        is_adult: What the person said of themself; None if they were not asked.
    """

    receipt: ConsentReceipt
    samples: dict[UUID, tuple[EntryState, bool]]
    is_adult: bool | None = None

    @property
    def n_waiting(self) -> int:
        """How many wait here: a withdrawal keeps them."""
        return sum(state == "waiting" and not may_have_left for state, may_have_left in self.samples.values())

    @property
    def n_there(self) -> int:
        """How many the server has, or may have: a withdrawal makes it erase them."""
        return sum(
            may_have_left and state in ("waiting", "sending", "sent") for state, may_have_left in self.samples.values()
        )
