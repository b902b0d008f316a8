"""Why a device was revoked."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision: str | None = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("devices", sa.Column("revoked_because", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("devices", "revoked_because")
