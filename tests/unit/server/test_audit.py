"""The audit log: what is changed in it is found, and nobody's words get into it."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import delete, insert, select, update

from projectone.contracts.checkpoints import AuditCheckpoint
from projectone.contracts.consent import ConsentReceipt
from projectone.contracts.signatures import key_id_of, public_key_text, sign_checkpoint, verify_checkpoint
from projectone.errors import SignatureError
from projectone.server import audit
from projectone.server.audit import AUDIT_LOG, AuditLog, account_of, entry_digest, record, verify_entries
from projectone.server.corpus.consents import Consents
from projectone.server.database import Engine, open_engine, reading, writing
from projectone.server.migrations.upgrade import upgrade_database

N_ENTRIES, N_ATTACKS = 40, 500
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
Rows = list[dict[str, Any]]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = open_engine(f"sqlite:///{tmp_path}/rows.sqlite")
    upgrade_database(made)
    yield made
    made.dispose()


def fill(engine: Engine, n: int = N_ENTRIES) -> Rows:
    """A log of `n` entries, as the rows that are kept."""
    with writing(engine) as connection:
        for number in range(n):
            act: audit.Act = random.choice(audit.ACTS)
            subject = uuid.UUID(int=random.getrandbits(128))
            when = NOW + timedelta(seconds=number)
            record(connection, act, subject, by=random.choice(("server", "ada", "grace")), now=when, n=number)
    return kept(engine)


def kept(engine: Engine) -> Rows:
    with reading(engine) as connection:
        return [dict(row) for row in connection.execute(select(AUDIT_LOG).order_by(AUDIT_LOG.c.seq)).mappings()]


def numbered(rows: Rows) -> Rows:
    """As an operator would leave them: without a gap."""
    return [{**row, "seq": place} for place, row in enumerate(rows, start=1)]


def edit(
    rows: Rows,
    source: random.Random,
    fields: Sequence[str] = ("at", "act", "subject", "actor", "facts", "entry_sha256"),
) -> Rows:
    place = source.randrange(len(rows))
    field = source.choice(fields)
    new = {
        "at": (NOW - timedelta(days=1)).isoformat(),
        "act": "run-ended" if rows[place]["act"] != "run-ended" else "released",
        "subject": str(uuid.UUID(int=source.getrandbits(128))),
        "actor": "nobody",
        "facts": '{"n":-1}',
        "entry_sha256": f"{source.getrandbits(256):064x}",
    }
    return [{**row, field: new[field]} if number == place else row for number, row in enumerate(rows)]


def remove(rows: Rows, source: random.Random) -> Rows:
    gone = source.randrange(len(rows) - 1)  # the last one: see `cut`
    return numbered([row for number, row in enumerate(rows) if number != gone])


def reorder(rows: Rows, source: random.Random) -> Rows:
    one, other = sorted(source.sample(range(len(rows)), 2))
    moved = [*rows]
    moved[one], moved[other] = rows[other], rows[one]
    return numbered(moved)


def cut(rows: Rows, source: random.Random) -> Rows:
    return rows[: -source.randrange(1, len(rows))]


def write_anew(rows: Rows, source: random.Random) -> Rows:
    """The patient operator: changes one entry and computes the whole chain again."""
    made, previous = [], audit.NOTHING
    for row in edit(rows, source, ("at", "act", "subject", "actor", "facts")):
        previous = audit.entry_digest(row, previous)
        made.append({**row, "entry_sha256": previous})
    return made


ATTACKS: tuple[Callable[[Rows, random.Random], Rows], ...] = (edit, remove, reorder, cut, write_anew)


def test_every_change_of_history_is_found_by_who_holds_a_checkpoint(engine: Engine) -> None:
    rows, source = fill(engine), random.Random(7)
    log = AuditLog(engine)
    checkpoint = log.checkpoint(NOW)
    assert log.verify([checkpoint]).is_sound
    found = {attack.__name__: 0 for attack in ATTACKS}
    by_chain = dict(found)
    for number in range(N_ATTACKS):
        attack = ATTACKS[number % len(ATTACKS)]
        bent = attack(rows, source)
        found[attack.__name__] += not verify_entries(bent, [checkpoint]).is_sound
        by_chain[attack.__name__] += not verify_entries(bent).is_sound
    each = N_ATTACKS // len(ATTACKS)
    assert found == dict.fromkeys(found, each)
    # Without a checkpoint the chain alone says nothing of its end, nor of a chain that was made anew.
    assert by_chain == {"edit": each, "remove": each, "reorder": each, "cut": 0, "write_anew": 0}


def test_without_the_chain_no_change_is_found(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: entries that are bound to nothing, and a verifier that compares nothing."""
    monkeypatch.setattr(audit, "entry_digest", lambda row, previous: "a" * 64)
    rows, source = fill(engine), random.Random(7)
    assert AuditLog(engine).verify().is_sound
    bent = [attack(rows, source) for attack in ATTACKS for _ in range(N_ATTACKS // len(ATTACKS))]
    unbound = [[{**row, "entry_sha256": "a" * 64} for row in one] for one in bent]
    assert sum(not verify_entries(one).is_sound for one in unbound) == 0


def test_a_change_in_the_database_is_found(engine: Engine) -> None:
    fill(engine)
    checkpoint = AuditLog(engine).checkpoint(NOW)
    with writing(engine) as connection:
        connection.execute(update(AUDIT_LOG).where(AUDIT_LOG.c.seq == 12).values(actor="nobody"))
    found = AuditLog(engine).verify([checkpoint])
    assert not found.is_sound and "entry 12" in found.problems[0]


def test_an_entry_and_its_act_are_there_together_or_not_at_all(engine: Engine) -> None:
    receipt = ConsentReceipt(
        receipt_id=uuid.UUID(int=1),
        contributor_id="person-1",
        scope="corrections",
        text_version=1,
        method="cli",
        granted_at=NOW,
    )
    consents = Consents(engine)
    consents.grant(receipt, NOW)
    consents.grant(receipt, NOW)  # the same again is no new act
    assert [row["act"] for row in kept(engine)] == ["consent-granted"]
    with pytest.raises(RuntimeError), writing(engine) as connection:
        record(connection, "released", "run-1", now=NOW)
        raise RuntimeError("the act failed")
    assert consents.withdraw(receipt.receipt_id, "person-1", NOW) is not None
    assert consents.withdraw(receipt.receipt_id, "person-1", NOW) is not None
    rows = kept(engine)
    assert [row["act"] for row in rows] == ["consent-granted", "consent-withdrawn"]
    assert all(row["subject"] == str(receipt.receipt_id) and "person" not in str(row) for row in rows)


def test_words_of_people_do_not_get_in(engine: Engine) -> None:
    with writing(engine) as connection:
        for words in ("my card is 4111 1111", "Grüße", "line\nbreak", "", "x" * 200, "<b>"):
            with pytest.raises(ValueError, match="ids, digests"):
                record(connection, "released", words, now=NOW)
            with pytest.raises(ValueError, match="ids, digests"):
                record(connection, "released", "run-1", now=NOW, reason=words)
        record(connection, "released", "run-1", by="Jane Doe, extension 12", now=NOW)
    (row,) = kept(engine)
    assert row["actor"] == account_of("Jane Doe, extension 12") and row["actor"].startswith("sha256:")
    assert account_of("jane") == "jane"


def test_a_signed_checkpoint_cannot_be_bent() -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    trusted = {key_id_of(public_key_text(key)): public_key_text(key)}
    checkpoint = AuditCheckpoint(n_entries=3, head_sha256="1" * 64, merkle_root="2" * 64, made_at=NOW)
    signed = sign_checkpoint(key, checkpoint)
    assert verify_checkpoint(trusted, signed) == checkpoint
    other = sign_checkpoint(key, checkpoint.model_copy(update={"n_entries": 2}))
    with pytest.raises(SignatureError):
        verify_checkpoint(trusted, signed.model_copy(update={"checkpoint": other.checkpoint}))
    with pytest.raises(SignatureError):
        verify_checkpoint({}, signed)


def test_a_removed_row_leaves_a_gap_that_is_named(engine: Engine) -> None:
    fill(engine, 5)
    with writing(engine) as connection:
        connection.execute(delete(AUDIT_LOG).where(AUDIT_LOG.c.seq == 2))
        with pytest.raises(Exception, match="UNIQUE"):  # nor can an entry be written twice
            connection.execute(insert(AUDIT_LOG).values(**kept(engine)[0]))
    assert "entry 3: stands at place 2" in AuditLog(engine).verify().problems


def test_the_digest_binds_every_field() -> None:
    row = {"seq": 1, "at": "t", "act": "a", "subject": "s", "actor": "b", "facts": "{}"}
    digests = {entry_digest(row, "p"), entry_digest(row, "q")}
    digests |= {entry_digest({**row, name: f"{value}x"}, "p") for name, value in row.items()}
    assert len(digests) == 2 + len(row)
