"""When people had no consent in force any more, also those who have agreed again since.

Moments cannot say it: that of an agreement is the device's, that of a withdrawal ours. The audit log has their order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from projectone.server.audit import AUDIT_LOG
from projectone.server.corpus.tables import CONSENTS, batches, utc

_GRANTED, _WITHDRAWN = "consent-granted", "consent-withdrawn"


def lapses(connection: Connection, contributor_ids: Collection[str]) -> dict[str, list[datetime]]:
    """Of these people the withdrawals after which nothing was in force, in their order; who has none is left out.

    What is not in the log is older than that, and came before all that is in it.
    """
    found: defaultdict[str, list[datetime]] = defaultdict(list)
    theirs: defaultdict[str, dict[str, datetime | None]] = defaultdict(dict)
    fields = (CONSENTS.c.contributor_id, CONSENTS.c.receipt_id, CONSENTS.c.withdrawn_at)
    for batch in batches(sorted(contributor_ids)):
        for person, receipt_id, withdrawn_at in connection.execute(
            select(*fields).where(CONSENTS.c.contributor_id.in_(batch))
        ):
            theirs[person][str(receipt_id)] = None if withdrawn_at is None else utc(withdrawn_at)
    for person, consents in theirs.items():
        events = _events(connection, consents)
        ended = {receipt_id for act, receipt_id in events if act == _WITHDRAWN}
        given = {receipt_id for act, receipt_id in events if act == _GRANTED}
        in_force = {key for key, moment in consents.items() if key not in given and (moment is None or key in ended)}
        for act, receipt_id in events:
            if act == _GRANTED:
                in_force.add(receipt_id)
            elif receipt_id in in_force:  # a repeated withdrawal may have its entry, too
                in_force.remove(receipt_id)
                moment = consents[receipt_id]
                if not in_force and moment is not None:
                    found[person].append(moment)
    return dict(found)


def _events(connection: Connection, receipt_ids: Collection[str]) -> list[tuple[Any, ...]]:
    """What was agreed to and taken back, in the order in which it came."""
    events: list[tuple[Any, ...]] = []
    for batch in batches(sorted(receipt_ids)):
        query = select(AUDIT_LOG.c.seq, AUDIT_LOG.c.act, AUDIT_LOG.c.subject).where(
            AUDIT_LOG.c.subject.in_(batch), AUDIT_LOG.c.act.in_((_GRANTED, _WITHDRAWN))
        )
        events += [tuple(row) for row in connection.execute(query)]
    return [(act, subject) for _, act, subject in sorted(events)]
