"""How far each release has gone, who had a ticket to report on it, and what was reported."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision: str | None = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rollouts",
        sa.Column("channel", sa.String(length=96), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("stage", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=16), nullable=True),
        sa.Column("stage_began_at_s", sa.Float(), nullable=False),
        sa.Column("judged_up_to", sa.Integer(), nullable=False),
        sa.Column("told", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("channel", "seq", name=op.f("pk_rollouts")),
    )
    op.create_table(
        "health_tickets",
        sa.Column("channel", sa.String(length=96), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("side", sa.String(length=8), nullable=False),
        sa.Column("device_sha256", sa.String(length=64), nullable=False),
        sa.Column("blinded_sha256", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("channel", "seq", "side", "device_sha256", name=op.f("pk_health_tickets")),
    )
    op.create_table(
        "health_reports",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("serial", sa.String(length=64), nullable=False),
        sa.Column("channel", sa.String(length=96), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("tier", sa.String(length=96), nullable=False),
        sa.Column("app_version", sa.String(length=16), nullable=False),
        sa.Column("cohort", sa.String(length=8), nullable=False),
        sa.Column("phase", sa.Integer(), nullable=False),
        sa.Column("began_at_s", sa.Float(), nullable=False),
        sa.Column("is_load_failed", sa.Boolean(), nullable=True),
        sa.Column("is_crash_looped", sa.Boolean(), nullable=True),
        sa.Column("is_slow", sa.Boolean(), nullable=True),
        sa.Column("is_empty", sa.Boolean(), nullable=True),
        sa.Column("is_corrected", sa.Boolean(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_health_reports")),
        sa.UniqueConstraint("serial", name=op.f("uq_health_reports_serial")),
    )
    op.create_index("ix_health_reports_release", "health_reports", ["channel", "seq"])


def downgrade() -> None:
    op.drop_index("ix_health_reports_release", "health_reports")
    for table in ("health_reports", "health_tickets", "rollouts"):
        op.drop_table(table)
