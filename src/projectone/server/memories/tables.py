"""The tables of memories, where they are made without anything that computes."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, DateTime, Float, Index, Integer, LargeBinary, String, Table, Uuid

from projectone.server.database import METADATA

HOSTED_MEMORIES = Table(
    "hosted_memories",
    METADATA,
    Column("tenant", String(256), primary_key=True),
    Column("person", String(256), primary_key=True),
    Column("memory_id", Uuid, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("sealed", LargeBinary, nullable=False),  # the text, whom and what it was about, what was meant
    Column("said_s", Float, nullable=False),
    Column("kept_s", Float, nullable=False),
    Column("expires_s", Float, index=True),
    Column("embedded_by", String(96)),
    Column("gone_s", Float, index=True),
)
Index("ix_hosted_memories_newest", *(HOSTED_MEMORIES.c[name] for name in ("tenant", "person", "said_s")))

HOSTED_MEMORY_KEYS = Table(
    "hosted_memory_keys",
    METADATA,
    Column("tenant", String(256), primary_key=True),
    Column("person", String(256), primary_key=True),
    Column("key_id", Uuid, nullable=False),  # in the store of keys, among those of consents
    Column("is_forgotten", Boolean, nullable=False),
)

HOSTED_MEMORY_LINKS = Table(
    "hosted_memory_links",
    METADATA,
    Column("tenant", String(256), primary_key=True),
    Column("person", String(256), primary_key=True),
    Column("contributor_id", String(96), nullable=False),  # whose consents are this person's, as the product says
    Column("linked_s", Float, nullable=False),
)

HOSTED_MEMORY_WITHDRAWALS = Table(
    "hosted_memory_withdrawals",
    METADATA,
    Column("entry_id", Uuid, primary_key=True),
    Column("contributor_id", String(96), nullable=False, index=True),
    Column("withdrawn_at", DateTime(timezone=True), nullable=False),  # of the last consent, which took them along
    Column("n_memories", Integer, nullable=False),  # of which product and person, nobody keeps
)

MEMORY_TENANTS = Table(
    "memory_tenants",
    METADATA,
    Column("tenant", String(48), primary_key=True),
    # The token itself is nowhere: it has 256 random bits, so a plain digest cannot be tried out.
    Column("token_sha256", String(64), nullable=False, unique=True),
    Column("keep", String(96), nullable=False),
    Column("added_at", DateTime(timezone=True), nullable=False),
)
