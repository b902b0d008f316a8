"""Signed snapshots of what was trained on, and the salts that their leaves are made with."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision: str | None = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "snapshots",
        sa.Column("snapshot_id", sa.String(length=64), nullable=False),
        sa.Column("dataset_sha256", sa.String(length=64), nullable=False),
        sa.Column("signed", sa.Text(), nullable=False),
        sa.Column("leaves", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("replaces", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("snapshot_id", name=op.f("pk_snapshots")),
        sa.UniqueConstraint("replaces", name=op.f("uq_snapshots_replaces")),
    )
    op.create_index(op.f("ix_snapshots_dataset_sha256"), "snapshots", ["dataset_sha256"], unique=False)
    op.create_index(op.f("ix_snapshots_made_at"), "snapshots", ["made_at"], unique=False)
    op.create_table(
        "sample_salts",
        sa.Column("sample_id", sa.Uuid(), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["sample_id"], ["samples.sample_id"], name=op.f("fk_sample_salts_sample_id")),
        sa.PrimaryKeyConstraint("sample_id", name=op.f("pk_sample_salts")),
    )


def downgrade() -> None:
    op.drop_table("sample_salts")
    op.drop_index(op.f("ix_snapshots_made_at"), table_name="snapshots")
    op.drop_index(op.f("ix_snapshots_dataset_sha256"), table_name="snapshots")
    op.drop_table("snapshots")
