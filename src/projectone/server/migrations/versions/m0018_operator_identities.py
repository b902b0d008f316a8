"""Who an operator is at the sign-in provider."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision: str | None = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("operator_tokens", sa.Column("identity", sa.String(length=255), nullable=True))
    op.create_index(op.f("ix_operator_tokens_identity"), "operator_tokens", ["identity"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_operator_tokens_identity"), table_name="operator_tokens")
    op.drop_column("operator_tokens", "identity")
