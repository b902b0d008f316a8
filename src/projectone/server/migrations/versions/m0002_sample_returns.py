"""Which quarantined samples an operator put back among those that wait: who, when and why."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision: str | None = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sample_returns",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("run_id", sa.String(length=96), nullable=False),
        sa.Column("returned_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("returned_by", sa.String(length=96), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("n_samples", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_sample_returns")),
    )
    op.create_index(op.f("ix_sample_returns_run_id"), "sample_returns", ["run_id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_sample_returns_run_id"), table_name="sample_returns")
    op.drop_table("sample_returns")
