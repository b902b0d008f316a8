"""Who became known together, and the salt of the hour."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision: str | None = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "enrolment_clusters",
        sa.Column("contributor_id", sa.String(length=96), nullable=False),
        sa.Column("cluster", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("contributor_id", name=op.f("pk_enrolment_clusters")),
    )
    op.create_table(
        "enrolment_salts",
        sa.Column("hour", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("salt", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("hour", name=op.f("pk_enrolment_salts")),
    )


def downgrade() -> None:
    op.drop_table("enrolment_salts")
    op.drop_table("enrolment_clusters")
