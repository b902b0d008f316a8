"""Whether a device kept the model before, because its user's own recordings said that it hears them better."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision: str | None = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("health_reports", sa.Column("is_worse_here", sa.Boolean(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("health_reports") as table:
        table.drop_column("is_worse_here")
