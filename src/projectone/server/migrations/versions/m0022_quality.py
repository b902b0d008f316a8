"""The sums of what devices say of how well models hear, and the tickets with which they say it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision: str | None = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "quality_weeks",
        sa.Column("week", sa.String(length=8), nullable=False),
        sa.Column("ticket_key", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("week", name=op.f("pk_quality_weeks")),
    )
    op.create_table(
        "quality_tickets",
        sa.Column("week", sa.String(length=8), nullable=False),
        sa.Column("device_sha256", sa.String(length=64), nullable=False),
        sa.Column("blinded_sha256", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("week", "device_sha256", name=op.f("pk_quality_tickets")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "quality_cells",
        sa.Column("channel", sa.String(length=96), nullable=False),
        sa.Column("model_version", sa.String(length=96), nullable=False),
        sa.Column("week", sa.String(length=8), nullable=False),
        sa.Column("tier", sa.String(length=96), nullable=False),
        sa.Column("app_version", sa.String(length=16), nullable=False),
        sa.Column("histogram", sa.String(length=24), nullable=False),
        sa.Column("bin", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint(
            "channel",
            "model_version",
            "week",
            "tier",
            "app_version",
            "histogram",
            "bin",
            name=op.f("pk_quality_cells"),
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "quality_counted",
        sa.Column("week", sa.String(length=8), nullable=False),
        sa.Column("report_sha256", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("week", "report_sha256", name=op.f("pk_quality_counted")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    for table in ("quality_counted", "quality_cells", "quality_tickets", "quality_weeks"):
        op.drop_table(table)
