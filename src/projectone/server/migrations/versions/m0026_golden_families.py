"""Which models a golden set judges; those of before judged speech models."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision: str | None = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("golden_versions", sa.Column("family", sa.String(16), nullable=False, server_default="speech"))


def downgrade() -> None:
    with op.batch_alter_table("golden_versions") as table:
        table.drop_column("family")
