"""Samples that people took back one by one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision: str | None = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "deleted_samples",
        sa.Column("sample_id", sa.Uuid(), nullable=False),
        sa.Column("contributor_id", sa.String(96), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("sample_id", "contributor_id", name=op.f("pk_deleted_samples")),
    )


def downgrade() -> None:
    op.drop_table("deleted_samples")
