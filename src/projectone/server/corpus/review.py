"""Samples that wait for a person: why, with which figures, and what the person decided.

A doubt is no reason to drop a sample: the hard corrections look odd by nature. What is held keeps its clip, its text
and its figures until somebody accepts or refuses it; nothing is trained on it meanwhile. All of it lies in the row of
the sample, so that an erasure takes it along.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from sqlalchemy import Connection, Engine, bindparam, func, select, update

from projectone.contracts.corrections import SampleKind
from projectone.errors import DataError
from projectone.server.audit import Act, record
from projectone.server.corpus.golden_set import SET_ASIDE
from projectone.server.corpus.sample_words import opened
from projectone.server.corpus.tables import SAMPLES, SampleRow, utc
from projectone.server.corpus.validation import Findings
from projectone.server.corpus.vault import Vault
from projectone.server.database import reading, writing

Decision = Literal["accepted", "refused", "doubted"]

ACCEPTED, REFUSED = "accepted", "refused"
"""What a sample says as its reason after a review: it waits again, or it is discarded."""

DOUBTED: Final = "doubted"
"""What a sample says that a person put there."""

_AFTER: Final = {ACCEPTED: "waiting", REFUSED: "discarded", DOUBTED: "held"}
_ACTS: Final[dict[Decision, Act]] = {
    "accepted": "sample-accepted",
    "refused": "sample-refused",
    "doubted": "sample-doubted",
}

SURPRISE = "surprise_nats"
"""Nats per token by which the base model finds a text less likely than what was heard in the same clip."""

WORST, LONGEST_S = "worst_nats", "longest_token_s"
"""Nats that the base model needs for the least likely token of a text, and seconds of sound that one token has."""

ODD_NATS, ODD_S = 6.0, 1.8
"""From here on a text is in the band that a person should see. Of 80 real clips of people whom the starter never heard
3 % are in it by their worst token; of the same clips with a word changed, three put in or half of them missing, 99 %.
Words that the model does not know are in it, too: it is what a hard correction looks like."""

_LOOKUP_BATCH = 500
# What the golden set holds waits for nobody's word.
_IS_HELD = (SAMPLES.c.state == "held") & func.coalesce(SAMPLES.c.reason, "").not_in(SET_ASIDE)


@dataclass(frozen=True)
class Review:
    """One decision about one sample: on which reasons, by whom, when, and why in their words."""

    decision: Decision
    reasons: tuple[str, ...]
    decided_by: str
    decided_at: str
    why: str | None


@dataclass(frozen=True)
class Checks:
    """What is known about a sample beside what was sent.

    Attributes:
        held: Why it waits for a person, or waited before its last review.
        measures: Figures by name.
        reviews: Decisions, oldest first.
    """

    held: tuple[str, ...] = ()
    measures: Mapping[str, float] = field(default_factory=dict)
    reviews: tuple[Review, ...] = ()

    @property
    def accepted(self) -> frozenset[str]:
        """Reasons that a person has seen in this sample and found harmless."""
        return frozenset(reason for review in self.reviews if review.decision == ACCEPTED for reason in review.reasons)

    @classmethod
    def read(cls, text: str | None) -> Checks:
        """From a row; nothing is known where the row says nothing."""
        if text is None:
            return cls()
        plain = json.loads(text)
        reviews = tuple(Review(**item | {"reasons": tuple(item["reasons"])}) for item in plain["reviews"])
        return cls(tuple(plain["held"]), plain["measures"], reviews)

    def write(self) -> str:
        """For a row."""
        plain = {"held": self.held, "measures": dict(self.measures), "reviews": [vars(item) for item in self.reviews]}
        return json.dumps(plain, sort_keys=True)


@dataclass(frozen=True)
class HeldSample:
    """What a person needs to judge a sample."""

    sample_id: UUID
    contributor_id: str
    text: str
    heard: str | None
    clip_sha256: str
    duration_s: float
    received_at: datetime
    run_id: str | None
    checks: Checks
    kind: SampleKind = "correction"


@dataclass(frozen=True)
class QueuedSample:
    """A sample that waits for a person, without its words."""

    sample_id: UUID
    received_at: datetime
    duration_s: float
    checks: Checks
    kind: SampleKind


class Reviews:
    """Puts samples before a person, and keeps the person's word."""

    def __init__(self, engine: Engine, vault: Vault) -> None:
        self._engine = engine
        self._vault = vault

    def note(
        self,
        findings: Mapping[str, Findings],
        *,
        run_id: str,
        guard: Callable[[Connection], None] = lambda connection: None,
    ) -> int:
        """Keep what was found about samples that wait, and hold those with a doubt; gives how many this run holds.

        What was erased, or is not waiting any more, is left as it is. `guard` may refuse the transaction.
        """
        is_waiting = SAMPLES.c.state == "waiting"
        one = update(SAMPLES).where(SAMPLES.c.sample_id == bindparam("of_sample"), is_waiting)
        holding = {"state": "held", "reason": bindparam("why"), "run_id": run_id}
        with writing(self._engine) as connection:
            guard(connection)
            known = _checks_of(connection, findings)
            noted, held = [], []
            for sample_id, found in findings.items():
                before = known.get(UUID(sample_id), Checks())
                measures = {**before.measures, **found.measures}
                checks = Checks(found.hold or before.held, measures, before.reviews)
                noted.append({"of_sample": UUID(sample_id), "found": checks.write()})
                if found.hold:
                    held.append({"of_sample": UUID(sample_id), "why": found.hold[0]})
            if noted:
                connection.execute(one.values(checks=bindparam("found")), noted)
            if held:
                connection.execute(one.values(**holding), held)
            by_run = select(func.count()).where(SAMPLES.c.state == "held", SAMPLES.c.run_id == run_id)
            return connection.execute(by_run).scalar_one()

    def add_measures(
        self,
        figures: Mapping[str, Mapping[str, float]],
        *,
        guard: Callable[[Connection], None] = lambda connection: None,
    ) -> None:
        """Keep more figures of samples beside those that are known; what was erased stays so. `guard` may refuse it."""
        one = update(SAMPLES).where(SAMPLES.c.sample_id == bindparam("of_sample"), SAMPLES.c.state != "erased")
        with writing(self._engine) as connection:
            guard(connection)
            known = _checks_of(connection, figures)
            rows = []
            for sample_id, measured in figures.items():
                before = known.get(UUID(sample_id), Checks())
                checks = replace(before, measures={**before.measures, **measured})
                rows.append({"of_sample": UUID(sample_id), "found": checks.write()})
            if rows:
                connection.execute(one.values(checks=bindparam("found")), rows)

    def surprising(self, n: int, *, at_least: float) -> list[HeldSample]:
        """At most `n` samples that wait and whose text fits its sound badly, for the base model; the worst first.

        They are those that are less likely than what was heard, then those with one odd token, or with one that stands
        for a long stretch of sound: a band to look at, which holds nothing back.

        Args:
            n: How many.
            at_least: Nats per token by which the text is less likely than what was heard.
        """
        query = select(SAMPLES).where(SAMPLES.c.state == "waiting", SAMPLES.c.checks.is_not(None))
        with reading(self._engine) as connection:
            known = [(row, Checks.read(row.checks)) for row in connection.execute(query)]
            odd = [(row, c) for row, c in known if is_odd(c.measures, at_least)]
            odd.sort(
                key=lambda item: (*(-item[1].measures.get(name, 0.0) for name in (SURPRISE, WORST)), item[0].sample_id)
            )
            return [_held(sample, c) for row, c in odd[:n] for sample in opened([row], self._vault)]

    def queue(self, n: int) -> list[QueuedSample]:
        """At most `n` of those that wait for a person, oldest first, without their words: needs no key."""
        columns = [SAMPLES.c[name] for name in ("sample_id", "received_at", "duration_s", "checks", "kind")]
        query = select(*columns).where(_IS_HELD)
        with reading(self._engine) as connection:
            rows = connection.execute(query.order_by(SAMPLES.c.received_at, SAMPLES.c.sample_id).limit(n)).all()
        return [QueuedSample(row[0], utc(row[1]), row[2], Checks.read(row[3]), row[4]) for row in rows]

    def held_clip(self, sample_id: UUID) -> str | None:
        """The clip of a sample that waits for a person; None of any other."""
        waits = (SAMPLES.c.sample_id == sample_id, SAMPLES.c.state == "held")
        with reading(self._engine) as connection:
            found: str | None = connection.execute(select(SAMPLES.c.clip_sha256).where(*waits)).scalar_one_or_none()
        return found

    def held(self, n: int, *, reason: str | None = None) -> list[HeldSample]:
        """At most `n` of those that wait for a person, oldest first; only those with this reason if one is given."""
        query = select(SAMPLES).where(_IS_HELD).order_by(SAMPLES.c.received_at, SAMPLES.c.sample_id)
        found = []
        with reading(self._engine) as connection:
            for row in connection.execute(query):
                checks = Checks.read(row.checks)
                if reason is None or reason in checks.held:
                    found += [_held(sample, checks) for sample in opened([row], self._vault)]
                if len(found) == n:
                    break
        return found

    def decide(
        self, sample_ids: Sequence[UUID], decision: Decision, *, by: str, why: str | None, now: datetime
    ) -> list[UUID]:
        """Let held samples wait for the next run, or discard them; or hold doubted ones that wait. All or none.

        What a person accepts is not held for the same reasons again. Gives their ids.

        Raises:
            DataError: ``not-held`` if one is not held, as after a withdrawal, or a doubted one does not wait.
        """
        query = select(SAMPLES.c.sample_id, SAMPLES.c.checks)
        query = query.where(SAMPLES.c.state == "waiting" if decision == DOUBTED else _IS_HELD)
        with writing(self._engine) as connection:
            found: dict[UUID, str | None] = {}
            for batch in _batches(sample_ids):
                found |= {i: checks for i, checks in connection.execute(query.where(SAMPLES.c.sample_id.in_(batch)))}
            if strangers := [str(sample_id) for sample_id in sample_ids if sample_id not in found]:
                expected = "that wait" if decision == DOUBTED else "that are held for review"
                raise DataError("not-held", f"samples {', '.join(strangers)}: expected samples {expected}")
            for sample_id, text in found.items():
                checks = Checks.read(text)
                held = (DOUBTED,) if decision == DOUBTED else checks.held
                review = Review(decision, held, by, now.isoformat(), why)
                reviewed = Checks(held, checks.measures, (*checks.reviews, review))
                values = {"state": _AFTER[decision], "reason": decision, "checks": reviewed.write()}
                connection.execute(update(SAMPLES).where(SAMPLES.c.sample_id == sample_id).values(**values))
            record(connection, _ACTS[decision], *found, by=by, now=now)
        return list(found)


def is_odd(measures: Mapping[str, float], at_least: float) -> bool:
    """Whether these figures of a sample lie in the band that a person should see."""
    return (
        measures.get(SURPRISE, float("-inf")) >= at_least
        or measures.get(WORST, 0.0) >= ODD_NATS
        or measures.get(LONGEST_S, 0.0) >= ODD_S
    )


def _held(sample: SampleRow, checks: Checks) -> HeldSample:
    return HeldSample(
        sample_id=sample.sample_id,
        contributor_id=sample.contributor_id,
        text=sample.text,
        heard=sample.heard,
        clip_sha256=sample.clip_sha256,
        duration_s=sample.duration_s,
        received_at=sample.received_at,
        run_id=sample.run_id,
        checks=checks,
        kind=sample.kind,
    )


def _checks_of(connection: Connection, sample_ids: Iterable[str]) -> dict[UUID, Checks]:
    query = select(SAMPLES.c.sample_id, SAMPLES.c.checks).where(SAMPLES.c.checks.is_not(None))
    found: dict[UUID, Checks] = {}
    for batch in _batches([UUID(sample_id) for sample_id in sample_ids]):
        rows = connection.execute(query.where(SAMPLES.c.sample_id.in_(batch)))
        found |= {sample_id: Checks.read(checks) for sample_id, checks in rows}
    return found


def _batches(sample_ids: Sequence[UUID]) -> Iterator[Sequence[UUID]]:
    for start in range(0, len(sample_ids), _LOOKUP_BATCH):
        yield sample_ids[start : start + _LOOKUP_BATCH]
