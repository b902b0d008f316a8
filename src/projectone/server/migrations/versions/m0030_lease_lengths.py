"""How long each lease holds without a renewal; of those taken before nobody knows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision: str | None = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("leases", sa.Column("ttl_s", sa.Float(), nullable=False, server_default="0"))


def downgrade() -> None:
    with op.batch_alter_table("leases") as table:
        table.drop_column("ttl_s")
