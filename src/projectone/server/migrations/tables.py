"""Every room's tables in one place: importing this module fills `METADATA`."""

from __future__ import annotations

from sqlalchemy import MetaData

from projectone.server import approvals, audit, leases, runs
from projectone.server.corpus import catalog, clusters, exports, golden_set, labels, quarantined, recalls, snapshots
from projectone.server.database import METADATA
from projectone.server.delivery import ledger, rollouts, tickets, weekly_tickets
from projectone.server.devices import catalog as devices
from projectone.server.devices import operators
from projectone.server.hubd import repos
from projectone.server.memories import tables as memories
from projectone.server.monitoring import quality, reports
from projectone.server.notifications import outbox

OWNERS = (
    approvals,
    audit,
    leases,
    runs,
    catalog,
    clusters,
    exports,
    golden_set,
    labels,
    quarantined,
    recalls,
    snapshots,
    ledger,
    rollouts,
    tickets,
    weekly_tickets,
    quality,
    reports,
    devices,
    operators,
    repos,
    memories,
    outbox,
)


def all_tables() -> MetaData:
    """The tables as the code has them now."""
    return METADATA
