"""Puts together what a device remembers and what it may answer: rows, vectors, an encoder and the approved policies."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from projectone.assist import usual_encoder
from projectone.assist.memory import Memory, Retention
from projectone.assist.vectors.sqlite import SqliteVectors
from projectone.contracts.policies import PolicySet, SignedPolicies
from projectone.device.quality import Understanding
from projectone.device.remembering import Remembering
from projectone.device.replies import Replies
from projectone.device.transport import Transport
from projectone.errors import StorageError
from projectone.storage.database import Database


def remembering(
    database: Database,
    retention: Retention,
    terms: Callable[[], tuple[str, ...]],
    clock: Callable[[], datetime],
) -> Remembering:
    """The memory of the person whose device this is; what ran out since the last time is let go now."""
    memory = Memory(
        database,
        lambda: SqliteVectors(database, usual_encoder.WIDTH),
        usual_encoder.embed,
        embedded_by=usual_encoder.usual_name(),
        retention=retention,
    )
    made = Remembering(database, memory, terms=terms, clock=clock)
    with contextlib.suppress(StorageError):  # another process writes: what ran out is not served, and goes next time
        made.sweep()
    return made


def replies(
    home: Path,
    transport: Transport,
    read: Callable[[SignedPolicies], PolicySet],
    memory: Remembering,
    flags: Callable[[str], bool] | None,
    understanding: Understanding,
    clock: Callable[[], datetime],
) -> Replies:
    """The first answers of this device, from the set of policies that its server signed."""
    return Replies(
        home / "policies",
        transport,
        read,
        memory,
        embed=usual_encoder.embed,
        embedded_by=usual_encoder.usual_name(),
        flags=flags,
        clock=clock,
        on_reply=understanding.replied,
    )
