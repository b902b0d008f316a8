"""What people said, sealed with the key of their consent. Rows that lie open are sealed by `corpus/sealing.py`."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision: str | None = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("samples") as table:
        table.add_column(sa.Column("words", sa.LargeBinary(), nullable=True))
        table.add_column(sa.Column("text_mac", sa.String(length=64), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("samples") as table:
        table.drop_column("text_mac")
        table.drop_column("words")
