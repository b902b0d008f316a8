"""Golden sets of people who agreed to it: reviews, sealed versions and their members."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision: str | None = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "golden_reviews",
        sa.Column("sample_id", sa.Uuid(), nullable=False),
        sa.Column("part", sa.String(length=8), nullable=True),
        sa.Column("reviewed_by", sa.String(length=96), nullable=False),
        sa.Column("reviewed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["sample_id"], ["samples.sample_id"], name=op.f("fk_golden_reviews_sample_id")),
        sa.PrimaryKeyConstraint("sample_id", name=op.f("pk_golden_reviews")),
    )
    op.create_table(
        "golden_versions",
        sa.Column("version", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("part", sa.String(length=8), nullable=False),
        sa.Column("sealed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("signed", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_golden_versions")),
    )
    op.create_table(
        "golden_members",
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("sample_id", sa.Uuid(), nullable=False),
        sa.Column("leaf", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["version"], ["golden_versions.version"], name=op.f("fk_golden_members_version")),
        sa.ForeignKeyConstraint(["sample_id"], ["samples.sample_id"], name=op.f("fk_golden_members_sample_id")),
        sa.PrimaryKeyConstraint("version", "sample_id", name=op.f("pk_golden_members")),
    )


def downgrade() -> None:
    for table in ("golden_members", "golden_versions", "golden_reviews"):
        op.drop_table(table)
