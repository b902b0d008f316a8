"""Which intents a corrected one may name."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision: str | None = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "intent_labels",
        sa.Column("label", sa.String(96), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("label", name=op.f("pk_intent_labels")),
    )


def downgrade() -> None:
    op.drop_table("intent_labels")
