"""How many memories went with a person's last consent, so that its receipt can say so when the link is gone."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision: str | None = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "hosted_memory_withdrawals",
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.Column("contributor_id", sa.String(96), nullable=False),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("n_memories", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_hosted_memory_withdrawals")),
    )
    op.create_index(
        op.f("ix_hosted_memory_withdrawals_contributor_id"), "hosted_memory_withdrawals", ["contributor_id"]
    )


def downgrade() -> None:
    op.drop_index(op.f("ix_hosted_memory_withdrawals_contributor_id"), table_name="hosted_memory_withdrawals")
    op.drop_table("hosted_memory_withdrawals")
