"""What a `DeviceClient` is made of: the rooms of a device, and the functions that `wiring` hands in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from projectone.contracts.erasures import ErasureReceipt, SignedErasure
from projectone.contracts.uses import SampleUses, SignedUses
from projectone.contracts.versions import Family
from projectone.device.adoption import Adoption, ModelLine
from projectone.device.answers import Answers
from projectone.device.assistant import Assistant, Guard, Harmless
from projectone.device.consent import ConsentLedger
from projectone.device.corrections import Corrections
from projectone.device.donating import Donating
from projectone.device.given import Given
from projectone.device.heard import OnProgress
from projectone.device.installed import Installed
from projectone.device.keys import DeviceKeys
from projectone.device.library import Library
from projectone.device.live import Live
from projectone.device.outbox import Outbox
from projectone.device.quality import Quality
from projectone.device.recordings import Clip, Recording, Recordings
from projectone.device.releases.history import ServerHistory
from projectone.device.remembering import Remembering
from projectone.device.replies import Replies
from projectone.device.sent import Sent
from projectone.device.transcriber import Transcriber
from projectone.device.transport import Transport
from projectone.device.uploader import Uploader
from projectone.device.vocabulary import Vocabulary
from projectone.storage.database import Database
from projectone.storage.reserve import Reserve

LearnedFrom = tuple[SampleUses, tuple[bool | None, ...]]
"""What the server signed about a sample, and for each model whether it learned from it, as its proof shows."""


@dataclass(frozen=True, kw_only=True)
class DeviceRooms:
    """What `wiring` joined. Each is used through `DeviceClient`."""

    home: Path
    database: Database
    reserve: Reserve
    recordings: Recordings
    consent: ConsentLedger
    outbox: Outbox
    keys: DeviceKeys
    transport: Transport
    installed: Installed
    corrections: Corrections
    sent: Sent
    given: Given
    library: Library
    uploader: Uploader
    lines: Mapping[Family, ModelLine]
    adoptions: Mapping[Family, Adoption]
    transcriber: Transcriber
    vocabulary: Vocabulary
    donating: Donating
    assist: Assistant
    guard: Guard
    harmless: Harmless
    memory: Remembering
    replies: Replies
    answers: Answers
    live: Live
    quality: Quality
    history: ServerHistory
    read_erasure: Callable[[SignedErasure], ErasureReceipt]
    read_uses: Callable[[SignedUses], LearnedFrom]
    channel: str
    keep: Callable[[Clip, datetime, OnProgress | None], Recording]
    clock: Callable[[], datetime]
