"""Tickets without the hidden number of a row: it told in which order devices asked, and so which report was whose."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision: str | None = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _made_anew(with_rowid=False)


def downgrade() -> None:
    _made_anew(with_rowid=True)


def _made_anew(*, with_rowid: bool) -> None:
    if op.get_bind().dialect.name != "sqlite":  # other databases number no rows
        return
    op.create_table(
        "health_tickets_anew",
        sa.Column("channel", sa.String(length=96), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("side", sa.String(length=8), nullable=False),
        sa.Column("device_sha256", sa.String(length=64), nullable=False),
        sa.Column("blinded_sha256", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("channel", "seq", "side", "device_sha256", name=op.f("pk_health_tickets")),
        sqlite_with_rowid=with_rowid,
    )
    op.execute("INSERT INTO health_tickets_anew SELECT * FROM health_tickets ORDER BY device_sha256")
    op.drop_table("health_tickets")
    op.rename_table("health_tickets_anew", "health_tickets")
