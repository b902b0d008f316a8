"""Memories of a product's people, their keys' ids, and the products that keep them here."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision: str | None = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "hosted_memories",
        sa.Column("tenant", sa.String(256), nullable=False),
        sa.Column("person", sa.String(256), nullable=False),
        sa.Column("memory_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("said_s", sa.Float(), nullable=False),
        sa.Column("kept_s", sa.Float(), nullable=False),
        sa.Column("expires_s", sa.Float(), nullable=True),
        sa.Column("embedded_by", sa.String(96), nullable=True),
        sa.Column("gone_s", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "person", "memory_id", name=op.f("pk_hosted_memories")),
    )
    op.create_index("ix_hosted_memories_newest", "hosted_memories", ["tenant", "person", "said_s"])
    op.create_index(op.f("ix_hosted_memories_expires_s"), "hosted_memories", ["expires_s"])
    op.create_index(op.f("ix_hosted_memories_gone_s"), "hosted_memories", ["gone_s"])
    op.create_table(
        "hosted_memory_keys",
        sa.Column("tenant", sa.String(256), nullable=False),
        sa.Column("person", sa.String(256), nullable=False),
        sa.Column("key_id", sa.Uuid(), nullable=False),
        sa.Column("is_forgotten", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "person", name=op.f("pk_hosted_memory_keys")),
    )
    op.create_table(
        "memory_tenants",
        sa.Column("tenant", sa.String(48), nullable=False),
        sa.Column("token_sha256", sa.String(64), nullable=False),
        sa.Column("keep", sa.String(96), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant", name=op.f("pk_memory_tenants")),
        sa.UniqueConstraint("token_sha256", name=op.f("uq_memory_tenants_token_sha256")),
    )


def downgrade() -> None:
    for table in ("memory_tenants", "hosted_memory_keys", "hosted_memories"):
        op.drop_table(table)
