"""How long samples are kept, for each purpose: what is due when, and the erasing of what is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, case, func, select

from projectone.contracts.consent import CONSENT_SCOPES, KEPT_HERE, ConsentScope
from projectone.server.audit import record
from projectone.server.corpus.consents import erase
from projectone.server.corpus.golden_set import GOLDEN
from projectone.server.corpus.tables import CONSENTS, SAMPLES, utc
from projectone.server.database import forget_freed_pages, reading, writing

Keep = Mapping[ConsentScope, timedelta | None]
"""For each purpose how long after it was received a sample is kept; None for as long as the consent holds."""

EXPIRED = "expired"
"""The reason in a row that was emptied because its time was over."""

LATE_AFTER = timedelta(days=1)
"""The job runs at least daily; what is due for longer than this says that it did not."""

_BATCH = 500
# A sample that is set aside to judge models is kept for that, whatever it was given for.
_PURPOSE = case(((SAMPLES.c.state == "held") & (SAMPLES.c.reason == GOLDEN), "evaluation"), else_=CONSENTS.c.scope)


@dataclass(frozen=True, kw_only=True)
class Due:
    """What one purpose keeps.

    Attributes:
        keep: For how long; None for as long as the consent holds.
        n_kept: Samples that are here.
        n_due: Of those, how many should be gone.
        n_soon: Of those, how many will be due within 30 days.
        first_due_at: When the oldest of them is due, or was.
    """

    purpose: ConsentScope
    keep: timedelta | None
    n_kept: int
    n_due: int
    n_soon: int
    first_due_at: datetime | None

    def is_late(self, now: datetime) -> bool:
        """Whether something should have been erased before the last daily job."""
        return self.n_due > 0 and self.first_due_at is not None and now - self.first_due_at > LATE_AFTER


class Expiry:
    """Knows what is due, and erases it."""

    def __init__(self, engine: Engine, keep: Keep) -> None:
        self._engine = engine
        self._keep = keep

    def due(self, now: datetime) -> list[Due]:
        """One for each purpose, in their order."""
        kept = (scope for scope in CONSENT_SCOPES if scope not in KEPT_HERE)
        return [self._due(purpose, self._keep.get(purpose), now) for purpose in kept]

    def expire(self, now: datetime) -> int:
        """Empty every sample whose time is over; gives how many. `remove_doomed` takes the bytes.

        A batch is one transaction. Whatever is killed in between is gone on with at the next call.
        """
        n_expired = 0
        for purpose, keep in self._keep.items():
            while keep is not None and (n := self._expire_some(purpose, now - keep, now)):
                n_expired += n
        if n_expired:
            forget_freed_pages(self._engine)
        return n_expired

    def _expire_some(self, purpose: ConsentScope, before: datetime, now: datetime) -> int:
        over = _of(purpose, select(SAMPLES.c.sample_id)).where(SAMPLES.c.received_at <= before)
        with writing(self._engine) as connection:
            ids = list(connection.execute(over.order_by(SAMPLES.c.received_at).limit(_BATCH)).scalars())
            if not ids:
                return 0
            n_erased = erase(connection, SAMPLES.c.sample_id.in_(ids), reason=EXPIRED)
            record(connection, "samples-expired", purpose, now=now, n_erased=n_erased)
            return n_erased

    def _due(self, purpose: ConsentScope, keep: timedelta | None, now: datetime) -> Due:
        kept = _of(purpose, select(func.count(), func.min(SAMPLES.c.received_at)))
        with reading(self._engine) as connection:
            n_kept, oldest = connection.execute(kept).one()
            if keep is None or oldest is None:
                return Due(purpose=purpose, keep=keep, n_kept=n_kept, n_due=0, n_soon=0, first_due_at=None)
            n_due, n_soon = (
                connection.execute(kept.where(SAMPLES.c.received_at <= now + ahead - keep)).one()[0]
                for ahead in (timedelta(0), timedelta(days=30))
            )
        return Due(
            purpose=purpose,
            keep=keep,
            n_kept=n_kept,
            n_due=n_due,
            n_soon=n_soon - n_due,
            first_due_at=utc(oldest) + keep,
        )


def _of(purpose: ConsentScope, query: Any) -> Any:  # noqa: ANN401 - SQLAlchemy queries
    joined = query.select_from(SAMPLES).join(CONSENTS, CONSENTS.c.receipt_id == SAMPLES.c.consent_receipt_id)
    return joined.where(SAMPLES.c.state != "erased", purpose == _PURPOSE)
