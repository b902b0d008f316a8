"""When each large file came to the Hub."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision: str | None = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("hub_uploads", sa.Column("uploaded_at_s", sa.Float(), nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("hub_uploads", "uploaded_at_s")
