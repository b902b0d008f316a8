"""The record of every act that matters, each entry bound to all before it: who changes history breaks the chain.

An entry is written in the transaction of its act: there is none without the other. It holds ids, digests, counts and
words from fixed lists, so that nothing a person said or is called comes into what is never erased. The chain alone
shows edits, removals and changes of order; that its end was cut off, or all of it written anew, shows whoever holds a
signed checkpoint from before.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from sqlalchemy import Column, Connection, Engine, Integer, String, Table, Text, func, insert, select, text

from projectone.contracts.base import canonical_json, sha256_hex
from projectone.contracts.checkpoints import AuditCheckpoint
from projectone.contracts.merkle import MerkleTree
from projectone.server.database import METADATA, reading

Act = Literal[
    "consent-granted",
    "consent-withdrawn",
    "sample-erased",
    "samples-expired",
    "keys-rotated",
    "key-destroyed",
    "golden-accepted",
    "golden-refused",
    "golden-sealed",
    "labels-changed",
    "policies-approved",
    "memories-forgotten",
    "sample-accepted",
    "sample-refused",
    "sample-doubted",
    "samples-returned",
    "clip-opened",
    "snapshot-sealed",
    "exported",
    "export-deleted",
    "run-approved",
    "run-vetoed",
    "run-judged-again",
    "approval-expired",
    "approval-withdrawn",
    "run-ended",
    "released",
    "role-key-replaced",
    "root-replaced",
    "release-recalled",
    "rollout-began",
    "rollout-advanced",
    "rollout-paused",
    "rollout-resumed",
    "rollout-halted",
    "rollout-rolled-back",
    "device-revoked",
    "hub-repo-created",
    "hub-repo-changed",
    "hub-repo-deleted",
    "hub-pushed",
    "hub-ref-set",
    "hub-ref-deleted",
    "hub-squashed",
    "hub-files-deleted",
    "hub-collected",
    "hub-token-created",
    "hub-token-revoked",
    "token-created",
    "token-revoked",
    "restored",
]
ACTS: Final[tuple[Act, ...]] = Act.__args__  # type: ignore[attr-defined] # a Literal knows its words
Fact = str | int | bool | None

SERVER: Final = "server"
"""Who acts where no person decides."""

NOTHING: Final = "0" * 64
"""What the first entry is bound to."""

AUDIT_LOG = Table(
    "audit_log",
    METADATA,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", String(32), nullable=False),  # as text, zone and all: it is part of what is digested
    Column("act", String(32), nullable=False),
    Column("subject", String(96), nullable=False, index=True),
    Column("actor", String(96), nullable=False),
    Column("facts", Text, nullable=False),
    Column("entry_sha256", String(64), nullable=False),
)

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+-]{0,95}")  # a key service names its keys with slashes
_ACCOUNT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,47}")
_MAX_PROBLEMS = 100
_LOCK = 0x70726F6A  # PostgreSQL's advisory locks are numbers


@dataclass(frozen=True, kw_only=True)
class AuditEntry:
    """One act. `previous` is not kept: it is the digest of the entry before."""

    seq: int
    at: str
    act: str
    subject: str
    actor: str
    facts: Mapping[str, Fact]
    entry_sha256: str


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What a look at the whole log found; sound where there are no problems."""

    n_entries: int
    head_sha256: str
    n_checkpoints: int
    problems: tuple[str, ...]

    @property
    def is_sound(self) -> bool:
        """Whether the log is as it was written, as far as chain and checkpoints can tell."""
        return not self.problems


def record(connection: Connection, act: Act, *subjects: object, by: str = SERVER, now: datetime, **facts: Fact) -> None:
    """Write that something was done, an entry for each subject, in the transaction that does it.

    Args:
        connection: The writing transaction of the act.
        act: What was done.
        *subjects: Ids or digests of what it was done to.
        by: Who did it: the name of an account. What does not look like one is kept as a digest.
        now: When, with its zone.
        **facts: What else is to be known: counts, digests, versions, words from fixed lists.

    Raises:
        ValueError: for free text: it could be somebody's words, and nothing here is ever erased.
    """
    names = [str(subject) for subject in subjects]
    if strange := [value for value in (*names, *facts.values()) if isinstance(value, str) and not _is_plain(value)]:
        raise ValueError(f"audit log: expected ids, digests and words from lists, got {len(strange)} other texts")
    if connection.dialect.name == "postgresql":  # SQLite has one writer anyway
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
    newest = select(AUDIT_LOG.c.seq, AUDIT_LOG.c.entry_sha256).order_by(AUDIT_LOG.c.seq.desc()).limit(1)
    found = connection.execute(newest).one_or_none()
    seq, previous = (0, NOTHING) if found is None else (found.seq, found.entry_sha256)
    common = {"at": now.astimezone(UTC).isoformat(), "act": act, "actor": account_of(by)}
    rows: list[dict[str, Any]] = []
    for name in names:
        seq += 1
        row: dict[str, Any] = {"seq": seq, **common, "subject": name, "facts": canonical_json(facts).decode()}
        previous = entry_digest(row, previous)
        rows.append({**row, "entry_sha256": previous})
    if rows:
        connection.execute(insert(AUDIT_LOG), rows)


def account_of(by: str) -> str:
    """An account's name as it is; of anything longer or stranger, a digest that the same again gives again."""
    return by if _ACCOUNT.fullmatch(by) else f"sha256:{sha256_hex(by.encode(errors='replace'))[:16]}"


def entry_digest(row: Mapping[str, Any], previous: str) -> str:
    """What binds an entry to all before it; `facts` counts as the text that is kept."""
    bound = [row[name] for name in ("seq", "at", "act", "subject", "actor", "facts")]
    return sha256_hex(canonical_json([previous, *bound]))


class AuditLog:
    """Reads the log of a database, and checks it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._tree: tuple[int, MerkleTree] | None = None

    def newest(self, n: int, *, act: str | None = None, subject: str | None = None) -> list[AuditEntry]:
        """The newest entries, newest first; only of this act, or about subjects whose ids begin like this."""
        query = select(AUDIT_LOG).order_by(AUDIT_LOG.c.seq.desc())
        if act is not None:
            query = query.where(AUDIT_LOG.c.act == act)
        if subject is not None:
            query = query.where(AUDIT_LOG.c.subject.startswith(subject, autoescape=True))
        with reading(self._engine) as connection:
            return [_entry(row) for row in connection.execute(query.limit(n))]

    def n_entries(self) -> int:
        """How many entries there are."""
        with reading(self._engine) as connection:
            return int(connection.execute(select(func.count()).select_from(AUDIT_LOG)).scalar_one())

    def checkpoint(self, now: datetime) -> AuditCheckpoint:
        """What is to be signed of the log as it is now."""
        with reading(self._engine) as connection:
            digests = list(connection.execute(select(AUDIT_LOG.c.entry_sha256).order_by(AUDIT_LOG.c.seq)).scalars())
        head = digests[-1] if digests else NOTHING
        return AuditCheckpoint(n_entries=len(digests), head_sha256=head, merkle_root=_root(digests), made_at=now)

    def prefix_path(self, n_first: int, n_entries: int) -> list[bytes]:
        """What shows that the first entries were once all of them; see `contracts.merkle.is_prefix`.

        Nothing is shown of none, of as many, or of more; nor if so many entries are not there any more. The tree over
        the entries is kept, some 150 bytes for each: many ask about one checkpoint.
        """
        if not 0 < n_first < n_entries:
            return []
        with self._lock:
            if self._tree is None or self._tree[0] != n_entries:
                numbered = select(AUDIT_LOG.c.entry_sha256).where(AUDIT_LOG.c.seq <= n_entries)
                with reading(self._engine) as connection:
                    digests = list(connection.execute(numbered.order_by(AUDIT_LOG.c.seq)).scalars())
                if len(digests) != n_entries:
                    return []
                self._tree = (n_entries, MerkleTree(map(bytes.fromhex, digests)))
            return self._tree[1].prefix_path(n_first)

    def verify(self, checkpoints: Iterable[AuditCheckpoint] = ()) -> Verification:
        """Compare every entry with the one before it, and the log with what was signed of it."""
        with reading(self._engine) as connection:
            rows = connection.execution_options(yield_per=1000).execute(select(AUDIT_LOG).order_by(AUDIT_LOG.c.seq))
            return verify_entries((dict(row) for row in rows.mappings()), checkpoints)


def verify_entries(rows: Iterable[Mapping[str, Any]], checkpoints: Iterable[AuditCheckpoint] = ()) -> Verification:
    """Compare entries, in their order, with one another and with checkpoints."""
    digests: list[str] = []
    problems: list[str] = []
    previous = NOTHING
    for place, row in enumerate(rows, start=1):
        if row["seq"] != place:
            problems.append(f"entry {row['seq']}: stands at place {place}")
        if row["entry_sha256"] != entry_digest(row, previous):
            problems.append(f"entry {row['seq']}: is not what was written, or does not follow the one before it")
        previous = row["entry_sha256"]
        digests.append(previous)
    known = sorted(checkpoints, key=lambda item: item.n_entries)
    problems += _against(digests, known)
    return Verification(
        n_entries=len(digests),
        head_sha256=previous,
        n_checkpoints=len(known),
        problems=tuple(problems[:_MAX_PROBLEMS]),
    )


def _against(digests: Sequence[str], checkpoints: Sequence[AuditCheckpoint]) -> Iterator[str]:
    for number, checkpoint in enumerate(checkpoints, start=1):
        n, when = checkpoint.n_entries, f"{checkpoint.made_at:%Y-%m-%d %H:%M}"
        if n > len(digests):
            yield f"checkpoint of {when}: there were {n} entries, {n - len(digests)} of them are gone"
        elif (digests[n - 1] if n else NOTHING) != checkpoint.head_sha256:
            yield f"checkpoint of {when}: entry {n} was another one"
        # The newest one covers what the others do.
        elif number == len(checkpoints) and _root(digests[:n]) != checkpoint.merkle_root:
            yield f"checkpoint of {when}: the first {n} entries were others"


def _root(digests: Sequence[str]) -> str:
    return MerkleTree(map(bytes.fromhex, digests)).root.hex()


def _is_plain(value: str) -> bool:
    return _PLAIN.fullmatch(value) is not None


def _entry(row: Any) -> AuditEntry:  # noqa: ANN401 - a SQLAlchemy row has no type of its own
    return AuditEntry(
        seq=row.seq,
        at=row.at,
        act=row.act,
        subject=row.subject,
        actor=row.actor,
        facts=json.loads(row.facts),
        entry_sha256=row.entry_sha256,
    )
