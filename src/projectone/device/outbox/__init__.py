"""What waits to be sent: the line, and where each thing in it is."""

from projectone.device.outbox.line import Outbox, OutboxEntry
from projectone.device.outbox.schema import M003_OUTBOX, M006_DELETIONS, M009_LEFT_AT
from projectone.device.outbox.whereabouts import Departure, EntryKind, EntryState, Whereabouts

__all__ = [
    "M003_OUTBOX",
    "M006_DELETIONS",
    "M009_LEFT_AT",
    "Departure",
    "EntryKind",
    "EntryState",
    "Outbox",
    "OutboxEntry",
    "Whereabouts",
]
