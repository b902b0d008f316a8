"""How many samples there are, of which kind, and why some are not learned from."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from sqlalchemy import Engine, func, select

from projectone.contracts.versions import DEFAULT_FAMILY, Family
from projectone.server.corpus.tables import SAMPLES, STATES, State, of_family, under_consent, utc
from projectone.server.database import reading


class SampleCounts:
    """Figures over all rows; needs no key. A part of the `Catalog`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def counts(self, family: Family | None = None) -> dict[State, int]:
        """How many samples are in each state; of all families or of one."""
        query = of_family(select(SAMPLES.c.state, func.count()), family).group_by(SAMPLES.c.state)
        with reading(self._engine) as connection:
            found = {state: n for state, n in connection.execute(query)}
        return {state: found.get(state, 0) for state in STATES}

    def used_of_each(self, family: Family = DEFAULT_FAMILY) -> Counter[str]:
        """How many samples of each person released models of a family learned from."""
        used = select(SAMPLES.c.contributor_id, func.count()).where(SAMPLES.c.state == "used")
        used = of_family(used, family)
        with reading(self._engine) as connection:
            return Counter({person: n for person, n in connection.execute(used.group_by(SAMPLES.c.contributor_id))})

    def discard_reasons(self, family: Family | None = None) -> dict[str, int]:
        """Why samples were discarded, and how many for each reason, the most frequent first."""
        n = func.count()
        query = select(SAMPLES.c.reason, n).where(SAMPLES.c.state == "discarded").group_by(SAMPLES.c.reason)
        query = of_family(query, family)
        with reading(self._engine) as connection:
            found = connection.execute(query.order_by(n.desc(), SAMPLES.c.reason)).all()
        return {reason or "unknown": number for reason, number in found}

    def waiting_since(self, family: Family = DEFAULT_FAMILY) -> datetime | None:
        """When the oldest waiting sample came; None if none waits."""
        oldest = of_family(under_consent(select(func.min(SAMPLES.c.received_at)), "waiting"), family)
        with reading(self._engine) as connection:
            found = connection.execute(oldest).scalar()
        return None if found is None else utc(found)
