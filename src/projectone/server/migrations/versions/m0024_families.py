"""Which kind of model a run makes; those of before made speech models."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision: str | None = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("family", sa.String(16), nullable=False, server_default="speech"))


def downgrade() -> None:
    with op.batch_alter_table("runs") as table:
        table.drop_column("family")
